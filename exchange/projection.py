"""From events to tables: how an owner's events become rows, and how a batch of them reaches the engine at once.

One statement costs DuckDB about a millisecond, mostly in planning, however few rows it moves. So a batch's rows wait and
are put in together, by one statement a table, before anybody reads; and what decisions say that they will ask by key is
asked for the whole batch at once. Neither can be noticed from inside: a decision sees everything decided before it.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, cast

import duckdb

from exchange.journal import Entry
from exchange.recall import Recall
from privacy import canonical
from privacy.errors import PrivacyError

Cursor = duckdb.DuckDBPyConnection
Values = tuple[Any, ...]

_CREATED = re.compile(r"CREATE TABLE (\w+) \((.*)\)", re.DOTALL)
_KEY = re.compile(r", *PRIMARY KEY \(([^)]*)\)")


@lru_cache(maxsize=1_024)
def parsed(sql: str) -> duckdb.Statement:
    """Parse one statement, once: DuckDB spends as long on parsing a short one as on running it.

    Raises:
        ValueError: if the text holds another number of statements.
    """
    (statement,) = duckdb.extract_statements(sql)
    return statement


class Unknown(PrivacyError):
    """An event is of a kind that this version of the owner cannot apply."""

    def __init__(self, kind: str) -> None:
        super().__init__(f"events of kind {kind!r} are not known here", fix="start the version that wrote the journal")
        self.kind = kind


class Stuck(Exception):
    """Rows that waited could not be put in together; applied one by one, the one at fault is found."""


@dataclass(frozen=True, slots=True)
class Rows:
    """A kind of event that is one row of ``table``, in place of the row with the same key; many are put in at once.

    Without ``replace``, a second row of the same key is a fault. ``beside`` are rows that the same event is in other tables;
    ``then`` follows with what a run of events, in their order, means for yet other tables.
    """

    table: str
    row: Callable[[Entry], Sequence[Any]]
    replace: bool = True
    beside: tuple["Rows", ...] = ()
    then: Callable[[Cursor, Sequence[Entry]], None] | None = None

    def __call__(self, cursor: Cursor, entry: Entry) -> None:
        """Apply one event."""
        values = self.row(entry)
        marks = ", ".join("?" * len(values))
        verb = "INSERT OR REPLACE" if self.replace else "INSERT"
        cursor.execute(f"{verb} INTO {self.table} VALUES ({marks})", values)
        for other in self.beside:
            other(cursor, entry)
        if self.then is not None:
            self.then(cursor, [entry])


Apply = Callable[[Cursor, Entry], None]


@dataclass(frozen=True, slots=True)
class Find:
    """What a decision asks by key: ``columns`` of the rows of ``table`` whose ``key`` columns have the values given.

    The columns begin with the table's primary key, so that a row that is replaced is recognised.
    """

    table: str
    columns: tuple[str, ...]
    key: tuple[str, ...]

    @property
    def sql(self) -> str:
        """The statement for one key; a decision that runs it gets what was foreseen, if that still holds."""
        return f"SELECT {', '.join(self.columns)} FROM {self.table} WHERE {' AND '.join(f'{name} = ?' for name in self.key)}"  # noqa: S608  names of the owner's code

    @property
    def together(self) -> str:
        """The statement for many keys, given as one list a key column; each row begins with its key."""
        key, columns = (", ".join(f"found.{name}" for name in names) for names in (self.key, self.columns))
        named = ", ".join(f"unnest(?::VARCHAR[]) AS {name}" for name in self.key)
        joined = " AND ".join(f"found.{name} = asked.{name}" for name in self.key)
        return f"SELECT {key}, {columns} FROM {self.table} found JOIN (SELECT {named}) asked ON {joined}"  # noqa: S608  names of the owner's code


Foreseen = tuple[Find, Values]


@dataclass(frozen=True, slots=True)
class Table:
    """A table as its CREATE statement tells it: column names, their types, the primary key."""

    name: str
    columns: tuple[str, ...]
    types: tuple[str, ...]
    key: tuple[str, ...]

    @classmethod
    def read(cls, statement: str) -> "Table":
        """Read a statement of the form that every owner writes: ``CREATE TABLE name (column TYPE [PRIMARY KEY], ...)``."""
        made = _CREATED.fullmatch(statement)
        if made is None:
            raise ValueError(f"not a CREATE TABLE statement: {statement[:40]}")
        apart = _KEY.search(made[2])
        parts = [part.split() for part in _KEY.sub("", made[2]).split(",")]
        key = tuple(name.strip() for name in apart[1].split(",")) if apart else ()
        return cls(
            name=made[1],
            columns=tuple(part[0] for part in parts),
            types=tuple(part[1] for part in parts),
            key=key or tuple(part[0] for part in parts if part[2:] == ["PRIMARY", "KEY"]),
        )


@dataclass(frozen=True, slots=True)
class Projection:
    """How an owner's events become tables.

    ``version`` changes whenever the meaning of a table changes; ``tables`` are CREATE TABLE statements with primary keys
    and no other index (``meta`` is taken); ``apply`` gives for every kind the rows that its events are, or the function that
    applies one event with plain SQL, reading nothing but the event and the tables: replay must lead to the same tables.
    """

    version: int
    tables: Sequence[str]
    apply: Mapping[str, Apply]

    @property
    def stamp(self) -> str:
        """The version with a digest of the statements, so that a forgotten new version is noticed as well."""
        return f"{self.version}-{canonical.digest(list(self.tables))[:16]}"


class _Noting:
    """A cursor that notes which tables the statements of an event mention."""

    def __init__(self, cursor: Cursor, recall: Recall, touched: set[str]) -> None:
        self._cursor = cursor
        self._recall = recall
        self._touched = touched

    def execute(self, sql: str, params: object = None) -> Cursor:
        """Note the tables, then execute."""
        self._touched.update(self._recall.mentioned(sql))
        return self._cursor.execute(parsed(sql), params)


class _Told:
    """Rows that a statement gave, as a cursor gives them."""

    def __init__(self, rows: Sequence[Values]) -> None:
        self._rows = list(rows)

    def fetchall(self) -> list[Values]:
        """Return all rows."""
        return list(self._rows)

    def fetchone(self) -> Values | None:
        """Return the first row."""
        return self._rows[0] if self._rows else None


class Draft:
    """One open transaction of the writer: what is applied, what waits to be, and what is known of the answers.

    ``touched`` collects the tables that change; with ``singly`` every event is applied at once.
    """

    def __init__(
        self, cursor: Cursor, projection: Projection, recall: Recall, touched: set[str], *, singly: bool = False
    ) -> None:
        self._cursor = cursor
        self._projection = projection
        self._recall = recall
        self._touched = touched
        self._singly = singly
        self._tables = _tables(tuple(projection.tables))
        self._waiting: dict[str, list[tuple[Rows, Entry, Sequence[Any]]]] = {}
        self._answers: dict[tuple[str, Values], list[Values]] = {}
        self._finds: dict[str, set[Find]] = {}
        self._holding: dict[tuple[str, Values], set[tuple[str, Values]]] = {}  # answers by table and key of their rows
        self.spoilt: duckdb.Error | None = None
        """What a decision's statement failed with, even if it swallowed it: the engine refuses the rest of its transaction."""
        self.stuck = False

    def restart(self) -> None:
        """Forget everything: the transaction was rolled back."""
        self._waiting.clear()
        self._answers.clear()
        self._holding.clear()
        self.spoilt, self.stuck = None, False

    def foresee(self, asked: Iterable[Foreseen]) -> None:
        """Ask what a batch's decisions will ask by key, one statement for each form of question."""
        together: dict[Find, set[Values]] = {}
        for find, values in asked:
            together.setdefault(find, set()).add(values)
        for find, keys in together.items():
            width = len(find.key)
            listed = list(keys)
            found: dict[Values, list[Values]] = {values: [] for values in listed}
            for row in self._cursor.execute(
                find.together, [list(part) for part in zip(*listed, strict=True)]
            ).fetchall():
                found[row[:width]].append(row[width:])
            self._finds.setdefault(find.table, set()).add(find)
            sql, key = find.sql, len(self._tables[find.table].key)
            for values, rows in found.items():
                self._answers[sql, values] = rows
                for row in rows:
                    self._holding.setdefault((find.table, row[:key]), set()).add((sql, values))

    def execute(self, sql: str, params: Sequence[Any] = ()) -> Any:
        """Run a decision's SELECT over everything decided before it.

        Raises:
            Stuck: if rows that waited could not be put in; the batch is to be repeated one by one.
        """
        if self._answers:
            known = self._answers.get((sql, tuple(params)))
            if known is not None:
                return _Told(known)
        self.flush()
        try:
            return _Told(self._cursor.execute(parsed(sql), params or None).fetchall())
        except duckdb.Error as error:
            self.spoilt = error
            raise

    def take(self, entry: Entry) -> None:
        """Apply an event, or keep its row waiting.

        Raises:
            Unknown: if the owner does not know its kind.
            duckdb.Error: if the decision has spoilt the transaction.
            Exception: whatever applying it raises.
        """
        if self.spoilt is not None:
            raise self.spoilt
        apply = self._projection.apply.get(entry.kind)
        if apply is None:
            raise Unknown(entry.kind)
        if isinstance(apply, Rows) and not self._singly:
            rows = [(part, entry, part.row(entry)) for part in (apply, *apply.beside)]
            for part, _, row in rows:
                self._touched.add(part.table)
                self._outdate(part.table, row)
            for one in rows:
                self._waiting.setdefault(one[0].table, []).append(one)
            return
        self.flush()
        touched: set[str] = set()
        apply(cast("Cursor", _Noting(self._cursor, self._recall, touched)), entry)
        self._touched |= touched
        for key in [key for key in self._answers if touched.intersection(self._recall.mentioned(key[0]))]:
            del self._answers[key]

    def flush(self) -> None:
        """Put in the rows that wait, one statement a table, then what they mean for other tables.

        Raises:
            Stuck: if the engine refuses; the transaction is to be rolled back.
        """
        if not self._waiting:
            return
        try:
            for name, rows in self._waiting.items():
                self._insert(self._tables[name], rows)
            for rows in self._waiting.values():
                self._follow(rows)
        except duckdb.Error as error:
            self.stuck = True
            raise Stuck from error
        self._waiting.clear()

    def _insert(self, table: Table, rows: Sequence[tuple[Rows, Entry, Sequence[Any]]]) -> None:
        """Put in rows that come after each other; of those with the same key that may replace each other, the last."""
        start = 0
        while start < len(rows):
            replace = rows[start][0].replace
            end = next((i for i in range(start, len(rows)) if rows[i][0].replace is not replace), len(rows))
            chosen: Iterable[Sequence[Any]] = [row for _, _, row in rows[start:end]]
            if replace:
                at = [table.columns.index(name) for name in table.key]
                chosen = {tuple(row[i] for i in at): row for row in chosen}.values()
            lists = [list(part) for part in zip(*chosen, strict=True)]
            parts = ", ".join(f"unnest(?::{kind}[])" for kind in table.types)
            verb = "INSERT OR REPLACE" if replace else "INSERT"
            self._cursor.execute(f"{verb} INTO {table.name} SELECT {parts}", lists)
            start = end

    def _follow(self, rows: Sequence[tuple[Rows, Entry, Sequence[Any]]]) -> None:
        noting = cast("Cursor", _Noting(self._cursor, self._recall, self._touched))
        by_kind: dict[str, tuple[Callable[[Cursor, Sequence[Entry]], None], list[Entry]]] = {}
        for apply, entry, _ in rows:
            if apply.then is not None:
                by_kind.setdefault(entry.kind, (apply.then, []))[1].append(entry)
        for then, entries in by_kind.values():
            then(noting, entries)

    def _outdate(self, table: str, row: Sequence[Any]) -> None:
        """Drop the answers that a new row belongs to, and those that held the row which it replaces."""
        if not self._answers:
            return
        told = self._tables[table]
        named = dict(zip(told.columns, row, strict=True))
        for find in self._finds.get(table, ()):
            self._answers.pop((find.sql, tuple(named[name] for name in find.key)), None)
        for held in self._holding.pop((table, tuple(named[name] for name in told.key)), ()):
            self._answers.pop(held, None)


@lru_cache(maxsize=64)
def _tables(statements: tuple[str, ...]) -> Mapping[str, Table]:
    return {table.name: table for table in map(Table.read, statements)}
