"""Engines on rows: where rows lie, which files an engine may open, and what its complaints are called.

No engine runs in the node's own process: :mod:`exchange.node.sandbox` has them run by a process that can open these files and
nothing else. What an engine complains of is told as one of a few faults; its own words never leave that process, since they
may quote a row.
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import duckdb

from privacy.errors import Malformed, PrivacyError

KINDS = ("parquet", "csv", "duckdb")

Parameters = dict[str, Any]
"""Values of a statement by their marks: texts reach the engine this way only."""

QUESTION = 900
"""Seconds that one statement of a question may take."""

WORK = 6 * 3600
"""Seconds that one statement may take which reads a whole source: for a prepared table, a fingerprint, a registration."""


class SourceFault(PrivacyError):
    """The source cannot be read; the engine's own words stay inside, since they may quote a row."""

    code = "TS-SRC-001"


class Unread(SourceFault):
    """The source may be well, but could not be read to its end now; it says nothing of the rows."""


class NoRoom(Unread):
    """The node has too little memory to read the source."""


class TooLong(Unread):
    """An engine was ended because it took too long."""


class Ended(Unread):
    """The engine's process ended while it was at work; ``broke`` says that it broke down by itself."""

    def __init__(self, *, broke: bool) -> None:
        super().__init__(
            "the engine ended while it read the source", fix="ask again; if it ends again, check the source's file"
        )
        self.broke = broke


@dataclass(frozen=True, slots=True)
class Location:
    """Where rows lie: a Parquet or CSV file, or a table of a DuckDB file."""

    kind: str
    path: str
    table: str = ""

    def __post_init__(self) -> None:
        if self.kind not in KINDS or not Path(self.path).is_absolute() or (self.kind == "duckdb") != bool(self.table):
            raise Malformed(
                "the source is not a file that can be read", fix=f"kinds: {', '.join(KINDS)}; absolute path"
            )


@dataclass(frozen=True, slots=True)
class Files:
    """What an engine has open: ``attached`` are databases as name, path and mode, ``allowed`` files that it may read.

    Engines of one ``source`` (a path) share a process. ``uses`` names the database that bare names belong to; ``seconds``
    is how long one statement may take.
    """

    source: str
    attached: tuple[tuple[str, str, str], ...] = ()
    allowed: tuple[str, ...] = ()
    uses: str = ""
    seconds: int = WORK


class Cursor(Protocol):
    """An engine that is open. Its errors are DuckDB's, without a word, or an :class:`Unread`."""

    @property
    def alive(self) -> bool:
        """Whether its process still runs."""

    def execute(self, statement: str, parameters: Parameters | Sequence[Any] | None = None) -> "Cursor":
        """Run a statement; :meth:`fetchall` has its rows."""

    def fetchall(self) -> list[tuple[Any, ...]]:
        """Return the rows of the statement that ran last."""

    def close(self) -> None:
        """Let go of the files."""


class Engines(Protocol):
    """Who runs engines."""

    def open(self, files: Files) -> Cursor:
        """Open an engine that can open these files and nothing else.

        Raises:
            duckdb.Error: if they cannot be opened.
            Unread: if the process that has them ended.
        """

    def close(self) -> None:
        """End all engines, whatever they are doing."""


@contextmanager
def engine(
    location: Location, *, engines: Engines, beside: Mapping[str, tuple[Path, str]] | None = None, seconds: int = WORK
) -> Iterator[Cursor]:
    """Open a fresh engine that can open this source and nothing else; what it complains of is told as a fault of the source.

    ``beside`` names files of the node's own to open as well, each ``READ_ONLY`` or ``READ_WRITE``.

    Raises:
        SourceFault: if the source cannot be read.
    """
    check_file(location)
    attached = [(name, str(path), mode) for name, (path, mode) in (beside or {}).items()]
    if location.kind == "duckdb":
        attached.append(("source", location.path, "READ_ONLY"))
    allowed = () if location.kind == "duckdb" else (location.path,)
    files = Files(location.path, attached=tuple(attached), allowed=allowed, seconds=seconds)
    try:
        with closing(engines.open(files)) as opened:
            yield opened
    except duckdb.OutOfMemoryException:
        raise NoRoom("the node has too little memory", fix="give it 200 bytes for each row of the source") from None
    except duckdb.Error:
        raise unreadable() from None


def check_file(location: Location) -> None:
    """Make sure that a path names one plain file, and not by way of a link.

    Raises:
        SourceFault: if it does not.
    """
    # a pipe or a device would be read for ever
    if not Path(location.path).is_file():
        raise unreadable()
    # where the links of a registered path led is part of the path: whoever can lay one later does not choose what is read
    if os.path.realpath(location.path) != os.path.normpath(location.path):
        raise SourceFault("the source's path leads elsewhere by a link", fix="register the file itself")


def unreadable() -> SourceFault:
    """Return the one fault for whatever an engine complains of."""
    return SourceFault("the source cannot be read", fix="check that the file is there and has its columns")
