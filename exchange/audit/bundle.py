"""The bundle that an auditor takes away: a signed head, what parties cosigned, and every entry of the log.

A file of lines, each canonical JSON but for the hash in front of an entry::

    {"cosigned": [envelope, ...], "format": ..., "head": statement}
    hash of entry 1, a space, text of entry 1
    ...

The hash is the journal's own: SHA-256 over a label, the hash before and the text. It tells which line was changed; that
the lines are the log is told by the Merkle root in the head alone.
"""

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from exchange import journal
from exchange.journal import Entry
from exchange.protocol.attest import Attested
from exchange.protocol.envelope import Envelope
from exchange.protocol.log import TreeHead, read_head
from privacy import canonical
from privacy.errors import Malformed, PrivacyError

FORMAT = "touchstone bundle 1"
OWNER = "exchange"
_LONGEST = canonical.MAX_BYTES + 66


class Wrong(PrivacyError):
    """A bundle is not the log of an honest exchange; ``seq`` is the first entry that is wrong, 0 for the head itself."""

    code = "TS-LOG-003"

    def __init__(self, reason: str, *, seq: int, fix: str = "") -> None:
        place = f"entry {seq}" if seq else "head"
        fix = fix or "export the bundle again; if it stays so, show it to the other parties"
        super().__init__(f"{place}: {reason}", fix=fix)
        self.seq = seq


@dataclass(frozen=True, slots=True)
class Opening:
    """The first line of a bundle: a head as signed, the log's id by the keys in it, cosignatures not yet checked."""

    signed: Mapping[str, Any]
    cosigned: tuple[Envelope, ...]

    @property
    def log(self) -> str:
        """Id of the log by the keys that the head carries."""
        return Attested.from_json(self.signed).keys.id

    @classmethod
    def read(cls, line: bytes) -> Self:
        """Parse a bundle's first line.

        Raises:
            Malformed: if it is none.
        """
        try:
            document = canonical.decode(line)
        except Malformed:
            document = None
        match document:
            case {"format": str(told), "head": dict(head), "cosigned": list(listed)} if told == FORMAT:
                return cls(head, tuple(Envelope.from_json(item) for item in listed))
        raise Malformed("the file is not a bundle of this release", fix="export it with this release")


class Lines:
    """A bundle being read; entries come one at a time, so that no size of a log is too large."""

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            with path.open("rb") as file:
                self.opening = Opening.read(file.readline(_LONGEST).removesuffix(b"\n"))
        except OSError:
            raise Malformed("the bundle cannot be read", fix="check the path") from None

    def entries(self) -> Iterator[Entry]:
        """Yield the entries, each on the one before.

        Raises:
            Wrong: at the first line that is not the next entry.
        """
        previous, at = journal.origin(OWNER), 0
        with self._path.open("rb") as file:
            file.readline(_LONGEST)
            seq = 0
            while line := file.readline(_LONGEST):
                seq += 1
                entry = _entry(line, seq=seq, previous=previous, at=at)
                previous, at = bytes.fromhex(entry.hash), entry.at
                yield entry


def write(path: Path, *, signed: Mapping[str, Any], cosigned: Sequence[Envelope], texts: Iterable[bytes]) -> int:
    """Write a bundle, whole or not at all, and return the number of its entries.

    Raises:
        Wrong: if the entries are not as many as the head says.
        Malformed: if the file cannot be written.
    """
    head = {"cosigned": [envelope.to_json() for envelope in cosigned], "format": FORMAT, "head": dict(signed)}
    size = read_head(signed, Attested.from_json(signed).keys.id).size
    fresh = path.with_name(f"{path.name}.new")
    previous, count = journal.origin(OWNER), 0
    try:
        with fresh.open("wb") as file:
            file.write(canonical.encode(head) + b"\n")
            for text in texts:
                previous = journal.chained(previous, text)
                file.write(previous.hex().encode() + b" " + text + b"\n")
                count += 1
            file.flush()
            os.fsync(file.fileno())
        if count != size:
            raise Wrong(f"the log has {count} entries, the head says {size}", seq=min(count, size) + 1)
        fresh.replace(path)
    except OSError:
        raise Malformed("the bundle cannot be written", fix="check the path and the room on the disk") from None
    finally:
        fresh.unlink(missing_ok=True)
    return count


def head_of(opening: Opening, log: str) -> TreeHead:
    """Verify the head that a bundle opens with; raises like :func:`exchange.protocol.log.read_head`."""
    return read_head(opening.signed, log)


def _entry(line: bytes, *, seq: int, previous: bytes, at: int) -> Entry:
    if not line.endswith(b"\n") or line[64:65] != b" ":
        raise Wrong("the line is cut off or not an entry", seq=seq)
    text = line[65:-1]
    digest = journal.chained(previous, text)
    if line[:64] != digest.hex().encode():
        raise Wrong("it was changed, or does not follow the entry before", seq=seq)
    try:
        value = canonical.decode(text)
    except Malformed as error:
        raise Wrong(error.reason, seq=seq) from None
    match value:
        case {"at": int(moment), "body": body, "kind": str(kind), "seq": int(number)} if len(value) == 4:
            if number != seq:
                raise Wrong(f"it calls itself entry {number}", seq=seq)
            if moment < at:
                raise Wrong("time runs backwards", seq=seq)
            return Entry(seq, moment, kind, body, previous.hex(), digest.hex(), text)
    raise Wrong("it is not an event", seq=seq)
