"""What a file must look like before its rows are read: each wrong, hostile or huge file is named for what it is.

Only the file's kind, its size, its first bytes and a Parquet file's own description of itself are looked at, so refusing
costs no more than that, however large the file is or claims to be.
"""

import codecs
import csv
import os
import re
import stat
from pathlib import Path

from exchange.node.engine import Engines, Location, SourceFault
from exchange.node.source import described

MOST_BYTES = 1 << 40
MOST_ROWS = 10**10
MOST_COLUMNS = 2_000
LONGEST_NAME = 200
LONGEST_HEADER = 1 << 18
MOST_TIMES = 2_000
"""A Parquet file of more than a gibibyte unpacked may be so many times as large as it is on the disk."""

_LOOKED_AT = 1 << 16
_FOREIGN = (
    (b"\x1f\x8b", "is packed with gzip", "unpack it first"),
    (b"PK\x03\x04", "is a ZIP archive or an Excel workbook", "save the table as CSV in UTF-8, or as Parquet"),
    (b"\x28\xb5\x2f\xfd", "is packed with zstd", "unpack it first"),
    (b"\xff\xfe", "is written in UTF-16", "save it in UTF-8"),
    (b"\xfe\xff", "is written in UTF-16", "save it in UTF-8"),
    (b"%PDF", "is a PDF document", "export the table as CSV or Parquet"),
    (b"SQLite format 3", "is an SQLite file", "export the table as CSV or Parquet"),
    (b"\xd0\xcf\x11\xe0", "is an old Excel workbook", "save the table as CSV in UTF-8"),
    (b"<", "is a page or XML", "export the table as CSV or Parquet"),
)


def admit(location: Location, *, engines: Engines) -> None:
    """Refuse a file that is not what its kind says, or beyond the limits, before a row of it is read.

    Raises:
        SourceFault: saying what the file is and what to do; never with anything from inside it.
    """
    path = Path(location.path)
    size = _check_plain(path)
    try:
        with path.open("rb") as file:
            first = file.read(_LOOKED_AT)
            file.seek(max(0, size - 8))
            last = file.read(8)
    except OSError:
        raise SourceFault("the source cannot be opened", fix="let the node's user read it") from None
    database = first[8:12] == b"DUCK"  # what stands before it is a checksum, which may begin like anything else
    for mark, what, fix in _FOREIGN:
        if first.startswith(mark) and not database:
            raise SourceFault(f"the source {what}", fix=fix)
    match location.kind:
        case "parquet":
            _check_parquet(location, size=size, first=first, last=last, engines=engines)
        case "csv":
            _check_csv(first)
        case _ if not database:
            raise SourceFault("the source is not a DuckDB file", fix="name its kind: parquet or csv")


def _check_plain(path: Path) -> int:
    try:
        told = os.stat(path)  # noqa: PTH116  follows links, as reading does
    except (OSError, ValueError):
        raise SourceFault("there is no such source", fix="check the path") from None
    if not stat.S_ISREG(told.st_mode):
        raise SourceFault("the source is a directory, pipe or device", fix="name one plain file")
    if told.st_size == 0:
        raise SourceFault("the source is empty", fix="check that the export was finished")
    if told.st_size > MOST_BYTES:
        raise SourceFault("the source is larger than 1 TiB", fix="register a part of it, or a database")
    return told.st_size


def _check_csv(first: bytes) -> None:
    if first.startswith(b"PAR1"):
        raise SourceFault("the source is a Parquet file", fix="name its kind: parquet")
    if b"\x00" in first:
        raise SourceFault("the source holds zero bytes, so it is no text in UTF-8", fix="save it as CSV in UTF-8")
    try:  # the last character of a long file may be cut through
        text = codecs.getincrementaldecoder("utf-8-sig")().decode(first, final=len(first) < _LOOKED_AT)
    except UnicodeDecodeError:
        raise SourceFault("the source is not text in UTF-8 (GBK, perhaps)", fix="save it in UTF-8") from None
    line = text.splitlines()[0] if text.splitlines() else ""
    if len(first) == _LOOKED_AT and "\n" not in text and "\r" not in text:
        raise SourceFault("the first line is longer than 64 KiB", fix="save the table with one line for each row")
    delimiter = max(",;\t|", key=re.sub('"[^"]*"', "", line).count)
    if line.count('"') % 2:
        raise SourceFault("a quote of the first line is never closed", fix="save the file as CSV again")
    _check_names(next(csv.reader([line], delimiter=delimiter), []))


def _check_names(names: list[str]) -> None:
    if len(names) > MOST_COLUMNS:
        raise SourceFault(f"the source has more than {MOST_COLUMNS} columns", fix="export the columns to be mapped")
    if any(len(name) > LONGEST_NAME for name in names):
        raise SourceFault(f"a column's name is longer than {LONGEST_NAME} characters", fix="give columns short names")
    held = [name for name in names if name]
    if len({name.casefold() for name in held}) < len(held):
        raise SourceFault("two columns of the source have the same name", fix="give each column its own name")


def _check_parquet(location: Location, *, size: int, first: bytes, last: bytes, engines: Engines) -> None:
    if first[:4] == b"PARE" or last[-4:] == b"PARE":
        raise SourceFault("the Parquet file is encrypted", fix="decrypt it, or register the database it came from")
    length = int.from_bytes(last[:4], "little")
    if first[:4] != b"PAR1" or last[-4:] != b"PAR1" or size < 12 or length > size - 12:
        raise SourceFault("the source is not a whole Parquet file", fix="check that it was copied to its end")
    if length > LONGEST_HEADER * 256:
        raise SourceFault("the Parquet file describes itself in more than 64 MiB", fix="write it in larger row groups")
    rows, columns, unpacked = described(location, engines=engines)
    if not 0 <= rows <= MOST_ROWS:
        raise SourceFault("the Parquet file claims an impossible number of rows", fix="register a part of it")
    if columns > MOST_COLUMNS:
        raise SourceFault(f"the source has more than {MOST_COLUMNS} columns", fix="export the columns to be mapped")
    if unpacked > 1 << 30 and unpacked > size * MOST_TIMES:
        raise SourceFault("the Parquet file unpacks to thousands of times its size", fix="check where it came from")
