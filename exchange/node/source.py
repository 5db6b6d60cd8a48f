"""The only room that reads rows: from a plan to one institution's clipped integer cells.

The SQL is printed from the typed plan, never taken from an analyst; it uses total functions only (casts that turn what
they cannot read into NULL, no division), so that no row can make it fail. NULL rules: a row without a person belongs to
nobody and is left out; a category outside its public domain falls into no group and passes no filter; a measure that is
NULL or unreadable adds nothing to sums and counts of the column, and passes no filter; an empty text is NULL, since CSV
cannot tell the two apart.

Nothing about a CSV file is guessed from its rows, so that one person's row cannot change how others are read: the
separator (comma, semicolon, tab or bar) and the names come from its first line, the rest is RFC 4180 in UTF-8.

Contribution bounding comes first: of each person's rows, ``rows_per_unit`` are kept, chosen by a keyed hash of the row,
the same rows for every plan (Wilson et al. 2020, section 3). Only then filters and groups apply. Source: PROOFS 1.2, 1.3.
"""

import csv
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb

from privacy.errors import Malformed, PrivacyError
from privacy.plan import Between, CountPresent, CountRows, CountValid, Filter, Measure, OneOf, Plan, Sum
from privacy.sensitivity import Clipped
from privacy.terms import Column, Kind, Standard

KINDS = ("parquet", "csv", "duckdb")


class SourceFault(PrivacyError):
    """The source cannot be read; the engine's own words stay inside, since they may quote a row."""

    code = "TS-SRC-001"


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
class Field:
    """Where a standard's column comes from: a column of the source, or one constant for all rows."""

    source: str | None = None
    constant: str | None = None

    def __post_init__(self) -> None:
        if (self.source is None) == (self.constant is None):
            raise Malformed("a mapped column has either a source or a constant", fix="give one of the two")


@dataclass(frozen=True, slots=True)
class Dataset:
    """A dataset where it lies, mapped onto a standard. ``refreshed`` (ISO date) is its public version."""

    name: str
    title: str
    standard: Standard
    population: str
    location: Location
    mapping: Mapping[str, Field]
    refreshed: str

    def to_json(self) -> dict[str, Any]:
        """Return the canonical JSON object; it stays on the node."""
        return {
            "name": self.name,
            "title": self.title,
            "standard": self.standard.to_json(),
            "population": self.population,
            "location": {"kind": self.location.kind, "path": self.location.path, "table": self.location.table},
            "mapping": {
                column: {"source": field.source, "constant": field.constant} for column, field in self.mapping.items()
            },
            "refreshed": self.refreshed,
        }

    @classmethod
    def from_json(cls, document: Any) -> "Dataset":
        """Parse what :meth:`to_json` wrote.

        Raises:
            Malformed: if it is something else.
        """
        try:
            return cls(
                name=document["name"],
                title=document["title"],
                standard=Standard.from_json(document["standard"]),
                population=document["population"],
                location=Location(**document["location"]),
                mapping={column: Field(**field) for column, field in document["mapping"].items()},
                refreshed=document["refreshed"],
            )
        except (KeyError, TypeError, AttributeError):
            raise Malformed("the document is not a dataset", fix="register the dataset anew") from None


def inspect(location: Location) -> dict[str, str]:
    """Return the source's columns with their engine types.

    Raises:
        SourceFault: if it cannot be read.
    """
    rows = _run(location, f"DESCRIBE SELECT * FROM {_table(location)}", [])
    return {str(row[0]): str(row[1]) for row in rows}


def read_through(dataset: Dataset) -> int:
    """Read every mapped cell once and return the number of rows: what cannot be read is found before anything is charged.

    Raises:
        SourceFault: if a row cannot be read.
    """
    parameters: list[Any] = []
    columns = sorted(dataset.mapping)
    mapped = _mapped(dataset, columns, parameters)
    counted = ", ".join(f"count({_quote(name)})" for name in columns)
    statement = f"SELECT count(*), {counted} FROM ({mapped})"
    return int(_run(dataset.location, statement, parameters)[0][0])


def clip(plan: Plan, dataset: Dataset, *, sampling_key: bytes) -> Clipped:
    """Read the rows and return the plan's cells, bounded per person and clipped. Caller must have charged the plan.

    Raises:
        SourceFault: if the source cannot be read.
    """
    statement, parameters = print_sql(plan, dataset, sampling_key=sampling_key)
    found = {
        tuple(row[: len(plan.groups)]): row[len(plan.groups) :] for row in _run(dataset.location, statement, parameters)
    }
    index = {measure.key: position for position, measure in enumerate(plan.measures)}
    cells = []
    for measure, values in plan.cells():
        row = found.get(values)
        cells.append(int(row[index[measure.key]] or 0) if row is not None else 0)
    return Clipped(plan.hash, tuple(cells))


def print_sql(plan: Plan, dataset: Dataset, *, sampling_key: bytes) -> tuple[str, list[Any]]:
    """Print the plan for DuckDB: the statement and its parameters. All values are parameters, all names are quoted."""
    parameters: list[Any] = []
    columns = sorted(dataset.mapping)
    mapped = _mapped(dataset, columns, parameters)
    unit = _quote(dataset.standard.unit)
    parameters.append(sampling_key.hex())
    # every column enters the hash behind its length, and NULL apart from '', so that different rows never tie: the choice
    # depends on the person's own rows alone and is the same for every plan
    texts = [f"CAST({_quote(name)} AS VARCHAR)" for name in columns]
    ingredients = " || ".join(f"coalesce(length({text}) || ':' || {text}, '-')" for text in texts)
    order = f"sha256(? || {ingredients})"
    groups = [_quote(group.column) for group in plan.groups]
    rank = f"row_number() OVER (PARTITION BY {unit} ORDER BY {order})"
    statement = (
        f"WITH mapped AS ({mapped}), "
        f'ranked AS (SELECT *, {rank} AS "rank of row" FROM mapped WHERE {unit} IS NOT NULL) '
    )
    outputs = [*groups, *(_aggregate(measure, dataset.standard, parameters) for measure in plan.measures)]
    statement += f'SELECT {", ".join(outputs)} FROM ranked WHERE "rank of row" <= {plan.rows_per_unit}'
    for test in (*plan.where, *(OneOf(group.column, group.domain) for group in plan.groups)):
        statement += f" AND {_condition(test, parameters)}"
    if groups:
        statement += f" GROUP BY {', '.join(groups)}"
    return statement, parameters


def _mapped(dataset: Dataset, columns: list[str], parameters: list[Any]) -> str:
    """Print the SELECT that reads the source as columns of the standard."""
    read = [
        f"{_value(dataset.standard.column(name), dataset.mapping[name], parameters)} AS {_quote(name)}"
        for name in columns
    ]
    return f"SELECT {', '.join(read)} FROM {_table(dataset.location)} AS held"


def _value(column: Column, field: Field, parameters: list[Any]) -> str:
    """Read one column as text (identifiers, categories) or as an integer of ``10**-decimals`` units (measures)."""
    if field.constant is not None:
        parameters.append(field.constant)
        raw = "?"
    else:
        # of the source: a bare name that the source lacks would be taken for a column of the standard selected before
        raw = f"held.{_quote(str(field.source))}"
    if column.kind is not Kind.MEASURE:
        return f"nullif(CAST({raw} AS VARCHAR), '')"
    decimals = column.decimals
    return f"CAST(TRY_CAST({raw} AS DECIMAL({18 + decimals}, {decimals})) * {10**decimals} AS HUGEINT)"


def _aggregate(measure: Measure, standard: Standard, parameters: list[Any]) -> str:
    match measure:
        case CountRows():
            return "count(*)"
        case CountPresent(column):
            return f"count({_quote(column)})"
        case CountValid(column):
            declared = standard.column(column)
            bounds = declared.bounds
            test: Filter = OneOf(column, declared.domain) if bounds is None else Between(column, bounds)
            return f"count(*) FILTER (WHERE {_condition(test, parameters)})"
        case Sum(column, bounds):
            name = _quote(column)
            # greatest and least ignore NULL in DuckDB: without the CASE a missing value would count as a bound
            clipped = f"greatest(least({name}, {bounds.upper}), {bounds.lower})"
            return f"sum(CASE WHEN {name} IS NULL THEN 0 ELSE {clipped} END)"


def _condition(test: Filter, parameters: list[Any]) -> str:
    match test:
        case OneOf(column, values):
            parameters += values
            return f"{_quote(column)} IN ({', '.join('?' for _ in values)})"
        case Between(column, bounds):
            return f"{_quote(column)} BETWEEN {bounds.lower} AND {bounds.upper}"


def _table(location: Location) -> str:
    match location.kind:
        case "parquet":
            return f"read_parquet({_literal(location.path)}, hive_partitioning = false)"
        case "csv":
            names, delimiter = _header(location)
            columns = ", ".join(f"{_literal(name)}: 'VARCHAR'" for name in names)
            return (
                f"read_csv({_literal(location.path)}, auto_detect = false, hive_partitioning = false, header = true, "
                f"delim = {_literal(delimiter)}, quote = '\"', escape = '\"', comment = '', columns = {{{columns}}})"
            )
        case _:
            return f"source.{_quote(location.table)}"


def _header(location: Location) -> tuple[list[str], str]:
    """Return a CSV file's column names and separator, from its first line."""
    _check_file(location)
    try:
        with Path(location.path).open(encoding="utf-8-sig", newline="") as file:
            line = file.readline(1 << 20)
        delimiter = max(",;\t|", key=re.sub('"[^"]*"', "", line).count)
        names = next(csv.reader([line], delimiter=delimiter), [])
    except (OSError, ValueError, csv.Error):
        raise _unreadable() from None
    if not names:
        raise _unreadable()
    return [name or f"column{index}" for index, name in enumerate(names)], delimiter


def _check_file(location: Location) -> None:
    # a pipe or a device would be read for ever
    if not Path(location.path).is_file():
        raise _unreadable()


def _run(location: Location, statement: str, parameters: list[Any]) -> list[tuple[Any, ...]]:
    """Run one statement in a fresh engine that can open this source and nothing else."""
    _check_file(location)
    try:
        with duckdb.connect(":memory:") as engine:
            engine.execute("SET threads = 2")
            engine.execute("SET autoinstall_known_extensions = false")
            engine.execute("SET autoload_known_extensions = false")
            if location.kind == "duckdb":
                engine.execute(f"ATTACH {_literal(location.path)} AS source (READ_ONLY)")
            else:
                engine.execute(f"SET allowed_paths = [{_literal(location.path)}]")
            engine.execute("SET enable_external_access = false")
            engine.execute("SET lock_configuration = true")
            return engine.execute(statement, parameters).fetchall()
    except duckdb.Error:
        raise _unreadable() from None


def _unreadable() -> SourceFault:
    return SourceFault("the source cannot be read", fix="check that the file is there and has its columns")


def _quote(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
