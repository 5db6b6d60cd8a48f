"""A party's directory in one file, and back: keys, journal and what cannot be made again; verified both ways.

A journal only grows, so it is copied while its owner works: the copy is verified as a chain, and an unfinished write at its
end is cut off there. Catalogues, search files and prepared tables are left out: they are made again from the rest.

A ledger that is put back is older than the one that was lost. An exchange that has witnessed a later head tells its node
so, and the node answers nothing until somebody has taken that up (see :meth:`exchange.node.vault.Vault.check_witness`).
"""

import hashlib
import json
import os
import re
import tarfile
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from exchange.journal import Head, Journal
from exchange.protocol.errors import PeerFault
from privacy import canonical
from privacy.errors import Malformed, Mismatch

FORMAT = "touchstone backup 1"
MANIFEST = "backup.json"

_KEPT = re.compile(
    r"party|[a-z0-9-]+\.(?:key|json)|journal/[0-9]{6}\.log|(?:answers|asked|proofs)/[A-Za-z0-9_-][A-Za-z0-9._-]*(?<!\.new)"
)
"""Names of what only this directory has: keys, pins, the journal, a desk's stored answers. Rows are not among them."""
_MOST_MANIFEST = 16 << 20
_CHUNK = 1 << 20


@dataclass(frozen=True, slots=True)
class Backup:
    """What a backup holds: whose it is, when it was taken (microseconds since 1970), where the journal stands, its files.

    ``head`` is ``None`` for a party without a journal; ``files`` gives size and SHA-256 by name.
    """

    party: str
    taken: int
    head: Head | None
    files: dict[str, tuple[int, str]]

    @property
    def size(self) -> int:
        """Bytes of all files together."""
        return sum(size for size, _ in self.files.values())

    def to_json(self) -> dict[str, Any]:
        """Return the manifest."""
        return {
            "format": FORMAT,
            "party": self.party,
            "taken": self.taken,
            "head": None if self.head is None else list(self.head),
            "files": {name: [size, digest] for name, (size, digest) in self.files.items()},
        }

    @classmethod
    def from_json(cls, document: Any) -> "Backup":
        """Parse a manifest.

        Raises:
            Malformed: if it is not one of this release, or names a file that no party keeps.
        """
        try:
            head = document["head"]
            made = cls(
                party=str(document["party"]),
                taken=int(document["taken"]),
                head=None if head is None else (int(head[0]), str(head[1])),
                files={name: (int(size), str(digest)) for name, (size, digest) in document["files"].items()},
            )
            sound = made.to_json() == document and all(map(_KEPT.fullmatch, made.files))
        except (KeyError, TypeError, ValueError, AttributeError, IndexError):
            sound = False
        if not sound or any(size < 0 for size, _ in made.files.values()):
            raise Malformed("the file is not a backup of this release", fix="check which file it is")
        return made


def take(home: Path, to: Path, *, at: int) -> Backup:
    """Write a backup of the party under ``home`` to the file ``to`` (mode 0600); ``at`` is the time now.

    Raises:
        Malformed: if no party lives there.
        PeerFault: if there is a file at ``to``.
        Damaged: if the journal is not what was written.
        OSError: if a file cannot be read or written.
    """
    party = _party(home)
    if to.exists():
        raise PeerFault("there is a file of that name already", fix="choose another name: backups are not overwritten")
    fresh = to.with_name(f"{to.name}.new")
    with tempfile.TemporaryDirectory(dir=to.parent, prefix=".backup-") as name:
        staged = Path(name)
        for file in _kept(home):
            _copy(home / file, staged / file)
        made = Backup(party=party, taken=at, head=_head(staged, party), files=_listed(staged))
        fresh.unlink(missing_ok=True)
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as out:
            with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as archive:
                manifest = staged / MANIFEST
                manifest.write_bytes(canonical.encode(made.to_json()))
                archive.add(manifest, MANIFEST, recursive=False)
                for file in made.files:
                    archive.add(staged / file, file, recursive=False)
            out.flush()
            os.fsync(out.fileno())
    fresh.replace(to)
    return made


def verify(archive: Path) -> Backup:
    """Read a backup through and check every file and the whole journal; nothing is kept.

    Raises:
        Malformed, Mismatch, Damaged: if it is not what was backed up.
    """
    with tempfile.TemporaryDirectory(dir=archive.parent, prefix=".verify-") as name:
        return _unpack(archive, Path(name))


def restore(archive: Path, home: Path) -> Backup:
    """Put a backup into ``home``, which must be empty or absent, after the same checks as :func:`verify`.

    Raises:
        PeerFault: if something lives there. Malformed, Mismatch, Damaged: if the backup is not what was backed up.
    """
    if home.exists() and any(home.iterdir()):
        raise PeerFault("the directory is not empty", fix="restore into a new directory, then compare")
    home.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=home.parent, prefix=".restore-") as name:
        staged = Path(name) / "home"
        staged.mkdir(mode=0o700)
        made = _unpack(archive, staged)
        if home.exists():
            home.rmdir()
        staged.rename(home)
    return made


def _party(home: Path) -> str:
    try:
        return (home / "party").read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError):
        raise Malformed(
            "no party lives under this directory", fix="give the directory of an exchange, node or desk"
        ) from None


def _kept(home: Path) -> Iterator[str]:
    """Names of the files to keep, relative to ``home``, in order; links are not followed.

    The journal comes last: a head of the log that was signed meanwhile must not be in the copy without its entries.
    """
    found = [*home.glob("*"), *home.glob("*/*")]
    for path in sorted(found, key=lambda path: (path.parent.name == "journal", path)):
        name = path.relative_to(home).as_posix()
        if _KEPT.fullmatch(name) and path.is_file() and not path.is_symlink():
            yield name


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with source.open("rb") as read, target.open("xb") as written:
        while chunk := read.read(_CHUNK):
            written.write(chunk)
    target.chmod(0o600)


def _head(home: Path, party: str) -> Head | None:
    """Verify the journal under ``home``, cut an unfinished write off its end, and return where it stands."""
    if not (home / "journal").is_dir():
        return None
    with Journal.open(home / "journal", owner=party) as journal:
        head = journal.head
    (home / "journal" / "lock").unlink()
    return head


def _listed(home: Path) -> dict[str, tuple[int, str]]:
    return {name: (size, digest) for name in _kept(home) for size, digest in [_digest(home / name)]}


def _digest(path: Path) -> tuple[int, str]:
    size, hashed = 0, hashlib.sha256()
    with path.open("rb") as read:
        while chunk := read.read(_CHUNK):
            size += len(chunk)
            hashed.update(chunk)
    return size, hashed.hexdigest()


def _unpack(archive: Path, to: Path) -> Backup:
    try:
        with tarfile.open(archive, mode="r:") as opened:
            members = iter(opened)
            first = next(members, None)
            if first is None or first.name != MANIFEST or not first.isreg() or first.size > _MOST_MANIFEST:
                raise Malformed("the file is not a backup of this release", fix="check which file it is")
            made = Backup.from_json(json.loads(_content(opened, first).read()))
            left = dict(made.files)
            for member in members:
                # names come from the manifest alone, so that no member can lead anywhere else
                size, _ = left.pop(member.name, (-1, ""))
                if not member.isreg() or member.size != size:
                    raise Mismatch("the backup holds a file that its list does not name", fix="use another backup")
                _write(_content(opened, member), to / member.name)
            if left:
                raise Mismatch("the backup lacks a file that its list names", fix="use another backup")
    except (tarfile.TarError, ValueError, EOFError):
        raise Malformed("the file is not a whole backup", fix="use another copy of it") from None
    if _listed(to) != made.files:
        raise Mismatch("a file of the backup is not what was backed up", fix="use another copy of it")
    if _head(to, made.party) != made.head:
        raise Mismatch("the journal of the backup ends elsewhere than its list says", fix="use another copy of it")
    return made


def _content(archive: tarfile.TarFile, member: tarfile.TarInfo) -> Any:
    content = archive.extractfile(member)
    if content is None:
        raise Malformed("the file is not a whole backup", fix="use another copy of it")
    return content


def _write(content: Any, target: Path) -> None:
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as written:
        while chunk := content.read(_CHUNK):
            written.write(chunk)
        written.flush()
        os.fsync(written.fileno())
