"""What lies in an exchange's home beside its journal: files that it has, none with another's secret, and a catalogue that adds nothing.

Everything is looked at where it lies, while the exchange runs or not; the catalogue from a copy, so that no lock is met or held.
"""

import hashlib
import json
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Self

import duckdb
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from exchange import strongbox
from exchange.acts import DOOR
from exchange.hub.tables import PROJECTION
from exchange.journal import Entry, Head
from exchange.projection import Rows, Table

Catalogue = Literal["compared", "in use", "missing"]
"""What became of the comparison: it changed while it was copied, again and again, or there is none; else it was made."""

KNOWN = re.compile(
    r"(?:party|(?:signing|ml-dsa|salt|tls)\.key|(?:log|tls|protection)\.json|journal/[0-9]{6}\.log)(?:\.new)?"
    r"|journal/lock|(?:process|errors)\.log|search\.sqlite(?:-wal|-shm|-journal)?"
    r"|catalog\.duckdb(?:\.damaged-[0-9]+)?(?:\.wal)?|catalog\.duckdb\.tmp/[A-Za-z0-9._-]+"
)
"""Names of the files that an exchange has; ``.new`` is what an interrupted write leaves."""

_GAP = r"(?:\s|\\+[nrt]){0,32}"
SECRET = rf'\\*"key_ops\\*"{_GAP}:{_GAP}\[{_GAP}\\*"decrypt\\*"'
"""How a secret Paillier key is told in JSON, ours and phe's, quoted once more or not."""

_SECRET = re.compile(SECRET.encode())
_LONGEST = 256  # more bytes than the pattern can span
_CHUNK = 1 << 20
_KEY_FILE = re.compile(rb"\s*([0-9a-f]{64})\s*")
_TRIES = 3
_COMPARED = {"key": "paillier", "message": "message", "folded": "product"}  # kinds of entries and their tables
_META = "CREATE TABLE meta (one INTEGER PRIMARY KEY, applied_seq BIGINT, head VARCHAR, schema_version VARCHAR)"


@dataclass(frozen=True, slots=True)
class Files:
    """How many files there are, how many of them are sealed keys that were not opened, and what is wrong."""

    count: int
    sealed: int
    findings: tuple[str, ...]


def is_exchange(home: Path) -> bool:
    """Whether an exchange lives under ``home``."""
    try:
        return (home / "party").read_text("utf-8").strip() == "exchange"
    except (OSError, UnicodeDecodeError):
        return False


def search(home: Path, *, signers: set[bytes]) -> Files:
    """Look at every file: whether an exchange has such a one, and whether it holds a secret that is not the exchange's own.

    ``signers`` are the public keys (32 bytes) that parties have or had.
    """
    count = sealed = 0
    findings = []
    for path in sorted(home.rglob("*")):
        name = path.relative_to(home).as_posix()
        if path.is_symlink():
            findings.append(f"{name} is a link: what it leads to was not looked at")
        elif path.is_file():
            count += 1
            if not KNOWN.fullmatch(name):
                findings.append(f"{name} is no file that an exchange has")
            with suppress(FileNotFoundError):  # of a running exchange, what a write leaves for a moment
                sealed += _is_sealed(path)
                findings += (f"{name} holds {what}" for what in _secrets(path, signers))
        elif not path.is_dir() and path.exists() and name != DOOR:
            findings.append(f"{name} is neither a file nor a directory")
    return Files(count, sealed, tuple(findings))


def _is_sealed(path: Path) -> bool:
    with path.open("rb") as file:
        return path.suffix == ".key" and strongbox.is_sealed(file.read(64).decode("utf-8", "replace"))


def _secrets(path: Path, signers: set[bytes]) -> Iterator[str]:
    with path.open("rb") as file:
        tail = file.read(_LONGEST)
        alone = _KEY_FILE.fullmatch(tail)
        if alone is not None:
            private = Ed25519PrivateKey.from_private_bytes(bytes.fromhex(alone[1].decode()))
            if private.public_key().public_bytes_raw() in signers:
                yield "the signing key of a party"
        while chunk := file.read(_CHUNK):
            if _SECRET.search(tail + chunk):
                yield "a secret Paillier key"
                return
            tail = chunk[-_LONGEST:]
        if _SECRET.search(tail):
            yield "a secret Paillier key"


class Catalogued:
    """What a catalogue holds of keys, messages and products, to be compared with the entries that it was made from.

    Rows are compared by number and by the sum of their SHA-256, so that their order is free and none is kept.
    """

    def __init__(self, state: Catalogue, *, findings: list[str], stands: Head = (0, "")) -> None:
        self.state = state
        self._findings = findings
        self._stands = stands
        self._hash = ""
        self._held: dict[str, _Sum] = {table: _Sum() for table in _COMPARED.values()}
        self._told: dict[str, _Sum] = {table: _Sum() for table in _COMPARED.values()}

    @classmethod
    def open(cls, home: Path) -> Self:
        """Read the catalogue under ``home`` as it stands now; to be called before its journal is read."""
        file = home / "catalog.duckdb"
        if not file.exists():
            return cls("missing", findings=[])
        with tempfile.TemporaryDirectory(prefix="touchstone-") as name:
            for _ in range(_TRIES):
                copied = Path(name) / file.name
                if _copied(file, copied):
                    try:
                        return cls._read(copied)
                    except duckdb.Error:
                        return cls("compared", findings=["the catalogue cannot be read, so it was not compared"])
        return cls("in use", findings=[])

    @classmethod
    def _read(cls, copied: Path) -> Self:
        with closing(duckdb.connect(str(copied), config={"enable_external_access": "false", "threads": "1"})) as made:
            strange = _strange(made)
            if strange:
                return cls("compared", findings=strange)
            row = made.execute("SELECT applied_seq, head FROM meta").fetchone()
            found = cls("compared", findings=[], stands=(int(row[0]), str(row[1])) if row else (0, ""))
            for table, held in found._held.items():
                rows = made.execute(f"SELECT * FROM {table}")  # noqa: S608  constant names
                while some := rows.fetchmany(1_000):
                    for one in some:
                        held.add(list(one))
            return found

    def take(self, entry: Entry) -> None:
        """Count an entry with those that the catalogue was made from, if it was."""
        if entry.seq == self._stands[0]:
            self._hash = entry.hash
        if entry.seq <= self._stands[0] and entry.kind in _COMPARED:
            apply = PROJECTION.apply[entry.kind]
            if isinstance(apply, Rows):
                self._told[_COMPARED[entry.kind]].add(list(apply.row(entry)))

    def compare(self, head: Head) -> list[str]:
        """Return what of the catalogue does not follow from the journal, which ends at ``head``."""
        if self._findings or self.state != "compared":
            return self._findings
        seq, digest = self._stands
        if seq > head[0] or (seq > 0 and digest != self._hash):
            return ["the catalogue was made from another journal"]
        return [
            f"table {table} of the catalogue holds something else than the journal's entries"
            for table, held in self._held.items()
            if held != self._told[table]
        ]


@dataclass(slots=True)
class _Sum:
    rows: int = 0
    digests: int = field(default=0, repr=False)

    def add(self, row: list[str]) -> None:
        self.rows += 1
        self.digests = (self.digests + int.from_bytes(hashlib.sha256(json.dumps(row).encode()).digest())) % (1 << 256)


def _copied(file: Path, to: Path) -> bool:
    """Copy a database and what it has not taken in yet; whether both stood still meanwhile."""
    pairs = [(file, to), (file.with_name(f"{file.name}.wal"), to.with_name(f"{to.name}.wal"))]
    before = [_state(source) for source, _ in pairs]
    for source, target in pairs:
        target.unlink(missing_ok=True)
        with suppress(FileNotFoundError):
            shutil.copyfile(source, target)
    return before == [_state(source) for source, _ in pairs]


def _state(path: Path) -> tuple[int, int, int] | None:
    try:
        told = path.stat()
    except FileNotFoundError:
        return None
    return told.st_ino, told.st_size, told.st_mtime_ns


def _strange(made: duckdb.DuckDBPyConnection) -> list[str]:
    """Return what of a catalogue is not of this release: tables, columns, views, and keys in any column."""
    wanted = {table.name: dict(zip(table.columns, table.types, strict=True)) for table in _tables()}
    sql = "SELECT table_name, column_name, data_type FROM duckdb_columns() WHERE NOT internal"
    found: dict[str, dict[str, str]] = {}
    for table, column, kind in made.execute(sql).fetchall():
        found.setdefault(table, {})[column] = kind
    strange = [
        f"table {name} of the catalogue is not one of this release, or has other columns"
        for name in sorted(wanted.keys() | found.keys())
        if found.get(name) != wanted.get(name)
    ]
    if strange:
        return strange
    return [
        f"table {table} of the catalogue holds a secret Paillier key"
        for table, columns in wanted.items()
        if _holds_secret(made, table, list(columns))
    ]


def _holds_secret(made: duckdb.DuckDBPyConnection, table: str, columns: list[str]) -> bool:
    tests = " OR ".join(f'regexp_matches(CAST("{column}" AS VARCHAR), ?)' for column in columns)
    sql = f"SELECT 1 FROM {table} WHERE {tests} LIMIT 1"  # noqa: S608  names of this release's tables
    return made.execute(sql, [SECRET] * len(columns)).fetchone() is not None


def _tables() -> Iterator[Table]:
    return map(Table.read, [_META, *PROJECTION.tables])
