"""Prepared tables: the bounded view of each dataset in force, computed once, so that a query costs a scan.

A table is a DuckDB file of its own under the node's home, named by the digest of the dataset's document and of the sampling
key: another mapping, standard, version or key is another table. It is made under another name and takes its own when it is
complete and on disk, so that a crash leaves a whole table or none. It is derived data: a file that is torn, foreign or
missing is thrown away and made again from the source, never mended. Files of datasets that are no longer in force are
deleted, not emptied, so that nobody's rows outlast them.

Persons are numbered; the table holds no identifier. For each person it keeps a keyed hash of the identifier, the number of
rows and the sum of a keyed hash of what each row says. A newer version of the source is compared by these: people whose rows
say the same keep their part of the table, all others' rows are bounded anew. Which rows count depends on a person's own rows
alone (:mod:`exchange.node.source`), so that the outcome is the same as from the whole source.

The node is one process; only the owner of its journal has these files opened, by the process of the dataset's source
(:mod:`exchange.node.sandbox`).
"""

import fcntl
import hashlib
import logging
import os
import re
import shutil
import threading
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import duckdb

from exchange.node.engine import QUESTION, Cursor, Ended, Engines, Files, Parameters, SourceFault, engine
from exchange.node.printer import quote
from exchange.node.source import Dataset, print_chosen, print_told, view_columns
from privacy import canonical
from privacy.terms import Kind

FORM = 1
"""Version of what a table holds; a table of another form is made again."""

_NAME = re.compile(r"[0-9a-f]{64}\.duckdb")
# what fails for the statement's sake, or for want of memory, says nothing against the file
_NOT_TORN = (duckdb.BinderException, duckdb.ParserException, duckdb.OutOfMemoryException)

log = logging.getLogger(__name__)


class Prepared:
    """The prepared tables under one directory; ``sampling_key`` decides which rows count and names no file twice."""

    def __init__(self, directory: Path, *, sampling_key: bytes, engines: Engines) -> None:
        """Take the directory over; caller holds the node's journal. What an end of the process left half made is deleted."""
        self.engines = engines
        self._directory = directory
        self._key = sampling_key
        self._engines: dict[Path, Cursor] = {}
        self._turn = threading.RLock()
        if directory.is_dir():
            _wait_for_others(directory)
            for entry in directory.iterdir():
                if not _NAME.fullmatch(entry.name):
                    _remove(entry)

    def close(self) -> None:
        """Let go of the files: what is being read is not waited for."""
        self.engines.close()

    def rows(self, dataset: Dataset, statement: str) -> list[tuple[Any, ...]] | None:
        """Return the rows of a statement over the dataset's view, called ``bounded``; ``None`` if there is no table to read.

        A table that proves torn is made again first.

        Raises:
            Unread: if the engine ended meanwhile. A table that broke the engine is deleted, and made again at the next start.
        """
        path = self._path(dataset)
        with self._turn:
            for _ in range(2):
                if not path.is_file():
                    return None
                try:
                    return self._engine(dataset).execute(statement).fetchall()
                except _NOT_TORN:
                    return None
                except Ended as ended:
                    if ended.broke:
                        self._drop(path)
                    raise
                except duckdb.Error as error:
                    # the engine's words may quote a row: only the kind of error is told
                    log.warning("a prepared table proved damaged and is made again: %s", type(error).__name__)
                    self._drop(path)
                try:
                    self.make(dataset)
                except SourceFault:
                    return None
            return None

    def make(self, dataset: Dataset, *, before: Dataset | None = None) -> bool:
        """Make the dataset's table, if there is none, and return whether it was made.

        ``before`` is the version in force until now: what has not changed since is taken from its table.

        Raises:
            SourceFault: if the source cannot be read, or the table not be written; there is no table then.
        """
        path = self._path(dataset)
        with self._turn:
            if self._is_sound(dataset):
                return False
            comparable = before is not None and _is_comparable(dataset, before) and self._is_usable(before)
            old = self._path(before) if before is not None and comparable else None
            try:
                self._make(dataset, path, old)
            except SourceFault:
                if old is None:
                    raise
                # the fault may lie in the old table: once more, from the source alone
                self._make(dataset, path, None)
        return True

    def is_ready(self, dataset: Dataset) -> bool:
        """Tell whether there is a table of the dataset as it stands; whether it is whole shows when it is read."""
        return self._path(dataset).is_file()

    def keep(self, datasets: Iterable[Dataset]) -> None:
        """Delete every table but those of ``datasets``, the ones in force."""
        kept = {self._path(dataset) for dataset in datasets}
        with self._turn:
            for path in sorted(self._directory.glob("*.duckdb")):
                if path not in kept:
                    self._drop(path)

    # -- files -----------------------------------------------------------------------------------------------------

    def _path(self, dataset: Dataset) -> Path:
        return self._directory / f"{self._digest(dataset)}.duckdb"

    def _digest(self, dataset: Dataset) -> str:
        return canonical.digest({"form": FORM, "dataset": dataset.rows_json(), "key": self._derived("name")})

    def _derived(self, label: str) -> str:
        """Return a key of its own for each use, that says nothing about the sampling key."""
        return hashlib.sha256(f"touchstone prepared {label}\0".encode() + self._key).hexdigest()

    def _is_sound(self, dataset: Dataset) -> bool:
        """Whether there is a complete table of this dataset; one that cannot be opened is deleted."""
        path = self._path(dataset)
        if not path.is_file():
            return False
        try:
            self._engine(dataset)
        except duckdb.Error:
            log.warning("a prepared table cannot be opened and is deleted")
            self._drop(path)
            return False
        return True

    def _is_usable(self, before: Dataset) -> bool:
        """Whether a newer version can go by this table: other versions of the engine may hash otherwise."""
        if not self._is_sound(before):
            return False
        return self._engine(before).execute("SELECT engine FROM made").fetchall() == [(duckdb.__version__,)]

    def _engine(self, dataset: Dataset) -> Cursor:
        """Return the engine that has the dataset's table open for reading and can open nothing else; it stays open.

        Starting an engine costs as much as scanning some million rows.
        """
        path = self._path(dataset)
        opened = self._engines.get(path)
        if opened is None or not opened.alive:
            attached = ("prepared", str(path), "READ_ONLY")
            files = Files(dataset.location.path, attached=(attached,), uses="prepared", seconds=QUESTION)
            opened = self.engines.open(files)
            try:
                made = opened.execute("SELECT name FROM made").fetchall()
                if made != [(path.stem,)]:
                    raise duckdb.IOException("the file is another table")
            except duckdb.Error:
                opened.close()
                raise
            self._engines[path] = opened
        return opened

    def _shut(self, path: Path) -> None:
        opened = self._engines.pop(path, None)
        if opened is not None:
            opened.close()

    def _drop(self, path: Path) -> None:
        self._shut(path)
        for name in (path.name, f"{path.name}.wal"):
            _remove(path.with_name(name))

    # -- making a table --------------------------------------------------------------------------------------------

    def _make(self, dataset: Dataset, path: Path, old: Path | None) -> None:
        fresh = path.with_name(f"{path.stem}.new")
        beside = {"fresh": (fresh, "READ_WRITE")} | ({} if old is None else {"old": (old, "READ_ONLY")})
        try:
            self._directory.mkdir(mode=0o700, exist_ok=True)
            with engine(dataset.location, engines=self.engines, beside=beside) as opened:
                fresh.chmod(0o600)
                self._fill(opened, dataset, renewed=old is not None)
                opened.execute("INSERT INTO fresh.made VALUES (?, ?)", [path.stem, duckdb.__version__])
                opened.execute("CHECKPOINT fresh")
            _settle(fresh, path)
        except OSError:
            raise SourceFault("the node's directory cannot be written", fix="make room on its disk") from None
        finally:
            for name in (fresh.name, f"{fresh.name}.wal"):
                _remove(path.with_name(name))

    def _fill(self, opened: Cursor, dataset: Dataset, *, renewed: bool) -> None:
        """Make the tables ``people`` and ``bounded`` of the file ``fresh``; ``renewed`` goes by those of the file ``old``."""
        unit, columns = quote(dataset.standard.unit), view_columns(dataset)
        parameters: Parameters = {}
        told = print_told(dataset, parameters)
        # hashed twice: the engine's way to combine columns leaves the last one bare, so that sums could cancel out
        person = (
            f"{unit}, unhex(left(sha256($names || {unit}), 32)) AS who, count(*) AS total, "
            f"sum(hash(hash({', '.join(['$says', *columns])}))) AS says"
        )
        keys = {"names": self._derived("identifiers"), "says": self._derived("rows")}
        people = f"{unit} VARCHAR, who BLOB, total BIGINT, says HUGEINT, code BIGINT"
        if renewed:
            # one grouped scan tells who is the same; only the others' rows are taken up
            opened.execute(
                f"CREATE TEMP TABLE same AS SELECT now.*, code FROM (SELECT {person} FROM ({told}) GROUP BY {unit}) AS now "
                "JOIN old.people USING (who, total, says)",
                parameters | keys,
            )
            told = f"SELECT told.* FROM ({told}) AS told ANTI JOIN same USING ({unit})"
        else:
            opened.execute(f"CREATE TEMP TABLE same ({people})")
        opened.execute(f"CREATE TEMP TABLE told AS {told}", parameters)
        known = "SELECT who, code FROM old.people" if renewed else "SELECT who, code FROM same"
        opened.execute(
            f"CREATE TEMP TABLE other AS SELECT now.*, coalesce(code, (SELECT coalesce(max(code), 0) FROM ({known})) "
            "+ row_number() OVER ()) AS code "
            f"FROM (SELECT {person} FROM told GROUP BY {unit}) AS now LEFT JOIN ({known}) USING (who)",
            keys,
        )
        opened.execute(
            "CREATE TABLE fresh.people AS SELECT who, total, says, code FROM "
            "(SELECT * FROM same UNION ALL BY NAME SELECT * FROM other)"
        )
        # step by step, so that no statement needs to hold more than one large table at a time
        limit, listed = dataset.standard.rows_per_unit, ", ".join([unit, *columns])
        coded = ", ".join([f"code AS {unit}", *columns])
        opened.execute(f"CREATE TEMP VIEW heavy AS SELECT {unit} FROM other WHERE total > {limit}")
        marks: Parameters = {}
        chosen = print_chosen(dataset, "told SEMI JOIN heavy", sampling_key=self._key, parameters=marks)
        opened.execute(f"CREATE TEMP TABLE chosen AS SELECT {coded} FROM ({chosen}) JOIN other USING ({unit})", marks)
        opened.execute(
            f"CREATE TEMP TABLE light AS SELECT {coded} FROM told "
            f"JOIN (SELECT {unit}, code FROM other WHERE total <= {limit}) USING ({unit})"
        )
        opened.execute("DROP TABLE told")
        rows = f"SELECT {listed} FROM light UNION ALL SELECT {listed} FROM chosen"
        if renewed:
            rows += f" UNION ALL SELECT {listed} FROM old.bounded AS held SEMI JOIN same ON held.{unit} = same.code"
        opened.execute(f"CREATE TABLE fresh.bounded AS SELECT * FROM ({rows}){_order(dataset)}")
        opened.execute("CREATE TABLE fresh.made (name VARCHAR, engine VARCHAR)")


def _is_comparable(dataset: Dataset, before: Dataset) -> bool:
    """Whether equal rows say the same in both versions of a dataset."""
    return (dataset.standard, dict(dataset.mapping)) == (before.standard, dict(before.mapping))


def _order(dataset: Dataset) -> str:
    """Print the order of rows: categories with few values first, so that most of their columns are runs."""
    columns = [dataset.standard.column(name) for name in dataset.mapping]
    categories = sorted((len(column.domain), column.name) for column in columns if column.kind is Kind.CATEGORY)
    return f" ORDER BY {', '.join(quote(name) for _, name in categories)}" if categories else ""


def _wait_for_others(directory: Path) -> None:
    """Wait until no process of an earlier run works in the directory: one that was killed ends a moment after its node."""
    place = os.open(directory, os.O_RDONLY)
    try:
        fcntl.flock(place, fcntl.LOCK_EX)
    finally:
        os.close(place)


def _settle(fresh: Path, path: Path) -> None:
    """Give a complete file its name once it is on disk."""
    for place in (fresh, path.parent):
        descriptor = os.open(place, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        if place == fresh:
            fresh.replace(path)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
