"""The only room that reads rows: from tables where they lie to the bounded view, and from a plan to its cells.

What a row says, for every plan the same; each mapped column is read once:

- the person: a text. A row without a person belongs to nobody and is left out.
- a category: its position, 1 to n, in the standard's public domain; NULL if missing, empty or outside the domain.
- a measure: a whole number of ``10**-decimals`` units, rounded half away from zero and clamped to the standard's bounds;
  NULL if missing or unreadable. A number from 10**18 on is unreadable.
- a date: days since 1970-01-01, clamped to the standard's bounds; NULL if missing or unreadable. Dates and timestamps are
  read as they are (with a time zone: in UTC), texts as ISO 8601, ``YYYY-MM-DD``; a time after it does not matter.
- two flags: ``filled``, something is there, whatever it says; ``valid``, as told it lies within the bounds or the domain.

An empty text is NULL, since CSV cannot tell the two apart. All of it is total: casts turn what they cannot read into NULL,
so that no row can make a statement fail. Nothing about a CSV file is guessed from its rows, so that one person's row cannot
change how others are read: the separator (comma, semicolon, tab or bar) and the names come from its first line, the rest is
RFC 4180 in UTF-8.

Contribution bounding comes next: of each person's rows, the standard's ``rows_per_unit`` are kept, chosen by a keyed hash of
what the row says, the same rows for every plan (Wilson et al. 2020, section 3). Only then tests, groups and measures apply:
:mod:`exchange.node.printer`. The rows that are kept make the bounded view, which :mod:`exchange.node.prepared` keeps ready.
Source: PROOFS 1.2, 1.3.
"""

import csv
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from exchange.node.engine import QUESTION, WORK, Engines, Location, Parameters, check_file, engine, unreadable
from exchange.node.printer import filled, print_cells, quote, valid
from exchange.protocol.declaration import UNDECLARED, Declaration, read_declaration
from privacy.errors import Malformed
from privacy.expression import quoted
from privacy.plan import Plan
from privacy.sensitivity import Clipped
from privacy.terms import Column, Kind, Standard

_PLAIN = r"BOOLEAN|U?(TINY|SMALL|BIG|HUGE)?INT(EGER)?|FLOAT|DOUBLE|DECIMAL.*|DATE|TIME.*"
# nanoseconds are read as text: the engine rounds them up into the next day
_DATED = r"DATE|TIMESTAMP(_S|_MS| WITH TIME ZONE)?"
_ISO_DATE = r"^((?:000[1-9]|00[1-9]\d|0[1-9]\d\d|[1-9]\d{3})-\d\d-\d\d)(?:[T ]\d\d:\d\d.*)?$"
_INTEGERS = {"TINYINT": 7, "SMALLINT": 15, "INTEGER": 31, "BIGINT": 63}


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
    """A dataset where it lies, mapped onto a standard. ``refreshed`` (ISO date) is its public version, ``declared`` public too."""

    name: str
    title: str
    standard: Standard
    population: str
    location: Location
    mapping: Mapping[str, Field]
    refreshed: str
    declared: Declaration = UNDECLARED

    def to_json(self) -> dict[str, Any]:
        """Return the canonical JSON object; it stays on the node."""
        return self.rows_json() | (
            # left out where nothing was declared, as releases before this one wrote it
            {} if self.declared == UNDECLARED else {"declared": self.declared.model_dump(mode="json")}
        )

    def rows_json(self) -> dict[str, Any]:
        """Return the part that says what the rows are: another declaration is the same rows."""
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
                declared=read_declaration(document.get("declared", {})),
            )
        except (KeyError, TypeError, AttributeError):
            raise Malformed("the document is not a dataset", fix="register the dataset anew") from None


def inspect(location: Location, *, engines: Engines) -> dict[str, str]:
    """Return the source's columns with their engine types.

    Raises:
        SourceFault: if it cannot be read.
    """
    rows = _run(location, f"DESCRIBE SELECT * FROM {_table(location)}", {}, engines=engines)
    return {str(row[0]): str(row[1]) for row in rows}


def sample(location: Location, most: int, *, engines: Engines) -> dict[str, list[str | None]]:
    """Return up to ``most`` of the first rows as texts by column, for drafting at the node; they go nowhere else.

    Raises:
        SourceFault: if it cannot be read.
    """
    names = list(inspect(location, engines=engines))
    texts = ", ".join(f"CAST(held.{quote(name)} AS VARCHAR)" for name in names)
    rows = _run(location, f"SELECT {texts} FROM {_table(location)} AS held LIMIT {most}", {}, engines=engines)
    return {name: [row[place] for row in rows] for place, name in enumerate(names)}


def described(location: Location, *, engines: Engines) -> tuple[int, int, int]:
    """Return rows, columns and unpacked bytes of a Parquet file, as it describes itself; no row is read.

    Raises:
        SourceFault: if it does not.
    """
    path = quoted(location.path)
    counted = f"SELECT sum(num_rows), count(*) FROM parquet_file_metadata({path})"
    told = (
        "SELECT count(DISTINCT path_in_schema), coalesce(sum(greatest(total_uncompressed_size, 0)), 0) "
        f"FROM parquet_metadata({path})"
    )
    with engine(location, engines=engines, seconds=QUESTION) as opened:
        rows, parts = (opened.execute(statement).fetchall() for statement in (counted, told))
    if rows[0][0] is None:
        raise unreadable()
    return int(rows[0][0]), int(parts[0][0]), int(parts[0][1])


def read_through(dataset: Dataset, *, engines: Engines) -> int:
    """Read every mapped cell once and return the number of rows that have a person: what cannot be read is found before anything is charged.

    Raises:
        SourceFault: if a row cannot be read.
    """
    parameters: Parameters = {}
    told = print_told(dataset, parameters)
    counted = ", ".join(f"count({name})" for name in [quote(dataset.standard.unit), *view_columns(dataset)])
    rows = _run(dataset.location, f"SELECT count(*), {counted} FROM ({told})", parameters, engines=engines)
    return int(rows[0][0])


class Ready(Protocol):
    """Where the bounded views of datasets lie ready; ``engines`` read the rows where there is none."""

    @property
    def engines(self) -> Engines:
        """Who runs engines for this node."""

    def rows(self, dataset: Dataset, statement: str) -> list[tuple[Any, ...]] | None:
        """Return the rows of a statement over the dataset's view, called ``bounded``; ``None`` if it does not lie ready."""


def clip(plan: Plan, dataset: Dataset, *, sampling_key: bytes, ready: Ready) -> Clipped:
    """Return the plan's cells, bounded per person and clipped: from the ready view, else from the rows where they lie.

    Caller must have charged the plan.

    Raises:
        Refused: if the plan asks for columns that the dataset does not map, or for more than they are; nothing is read.
        SourceFault: if the source cannot be read.
    """
    printed = print_cells(plan, dataset.standard, mapped=dataset.mapping)
    rows = ready.rows(dataset, printed.text)
    if rows is None:
        view, parameters = print_view(dataset, sampling_key=sampling_key)
        text = f"{view} {printed.text}"
        rows = _run(dataset.location, text, parameters, engines=ready.engines, seconds=QUESTION)
    return Clipped(plan.hash, printed.cells(plan, rows))


# -- the bounded view ------------------------------------------------------------------------------------------------


def view_columns(dataset: Dataset) -> list[str]:
    """Return the quoted names of the view's columns besides the person: of each mapped column its value and its flags."""
    return [
        name
        for column in _columns(dataset)
        # a category is valid where it has a position
        for name in (quote(column.name), filled(column.name), valid(column.name))[: 2 + bool(column.bounds)]
    ]


def print_view(dataset: Dataset, *, sampling_key: bytes) -> tuple[str, Parameters]:
    """Print the WITH that reads a source as a view called ``bounded``, with its parameters. All names are quoted."""
    parameters: Parameters = {}
    told = print_told(dataset, parameters)
    chosen = print_chosen(dataset, "told SEMI JOIN heavy", sampling_key=sampling_key, parameters=parameters)
    unit = quote(dataset.standard.unit)
    names = ", ".join([unit, *view_columns(dataset)])
    heavy = f"SELECT {unit} FROM told GROUP BY {unit} HAVING count(*) > {dataset.standard.rows_per_unit}"
    kept = f"SELECT {names} FROM told ANTI JOIN heavy USING ({unit}) UNION ALL {chosen}"
    return f"WITH told AS MATERIALIZED ({told}), heavy AS ({heavy}), bounded AS ({kept})", parameters


def print_chosen(dataset: Dataset, joined: str, *, sampling_key: bytes, parameters: Parameters) -> str:
    """Print the SELECT of the rows that count of people who have more than may count: ``told``, ``joined`` with them."""
    names = [quote(dataset.standard.unit), *view_columns(dataset)]
    unit, columns = names[0], ", ".join(f"told.{name}" for name in names)
    # the person enters behind a length, all else is numbers and flags, NULL apart: different rows never tie, and the choice
    # depends on the person's own rows alone and is the same for every plan
    texts = [f"length(told.{unit})", f"told.{unit}"]
    texts += [f"coalesce(CAST(told.{name} AS VARCHAR), '-')" for name in names[1:]]
    order = f"sha256(concat_ws(';', {', '.join([_mark(parameters, sampling_key.hex()), *texts])}))"
    rank = f"row_number() OVER (PARTITION BY told.{unit} ORDER BY {order})"
    return (
        f'SELECT {", ".join(names)} FROM (SELECT {columns}, {rank} AS "rank of row" FROM {joined} USING ({unit})) '
        f'WHERE "rank of row" <= {dataset.standard.rows_per_unit}'
    )


def print_told(dataset: Dataset, parameters: Parameters) -> str:
    """Print the SELECT of what the source's rows say: the person, never NULL, then :func:`view_columns`."""
    unit = dataset.standard.unit
    read, told = [f"{_text(_raw(dataset, unit, parameters))} AS {quote(unit)}"], [quote(unit)]
    for column in _columns(dataset):
        raw, name = _raw(dataset, column.name, parameters), quote(column.name)
        if column.bounds is None:
            read.append(f"nullif(list_position({_mark(parameters, list(column.domain))}, {_text(raw)}), 0) AS {name}")
            told += [f"TRY_CAST({name} AS {_narrowest(len(column.domain))}) AS {name}", filled(column.name)]
        else:
            low, high = column.bounds.lower, column.bounds.upper
            within = f"CASE WHEN {name} < {low} THEN {low} WHEN {name} > {high} THEN {high} ELSE {name} END"
            read.append(f"{_days(raw) if column.kind is Kind.DATE else _units(raw, column.decimals)} AS {name}")
            told += [f"TRY_CAST({within} AS {_narrowest(low, high)}) AS {name}", filled(column.name)]
            told.append(f"coalesce({name} BETWEEN {low} AND {high}, FALSE) AS {valid(column.name)}")
        read.append(f"{_filled(raw)} AS {filled(column.name)}")
    rows = f"SELECT {', '.join(read)} FROM {_table(dataset.location)} AS held"
    return f"SELECT {', '.join(told)} FROM ({rows}) WHERE {quote(unit)} IS NOT NULL"


def _columns(dataset: Dataset) -> list[Column]:
    """Return the mapped columns that a plan can use, by name: all but identifiers."""
    columns = [dataset.standard.column(name) for name in sorted(dataset.mapping)]
    return [column for column in columns if column.kind is not Kind.IDENTIFIER]


def _mark(parameters: Parameters, value: Any) -> str:
    """Take a value in among the parameters and return the mark that stands for it in the statement."""
    name = f"p{len(parameters)}"
    parameters[name] = value
    return f"${name}"


def _raw(dataset: Dataset, name: str, parameters: Parameters) -> str:
    field = dataset.mapping[name]
    if field.constant is not None:
        return f"CAST({_mark(parameters, field.constant)} AS VARCHAR)"
    # of the source: a bare name that the source lacks would be taken for a column of the standard selected before
    return f"held.{quote(str(field.source))}"


def _text(raw: str) -> str:
    return f"nullif(CAST({raw} AS VARCHAR), '')"


def _filled(raw: str) -> str:
    # the engine knows the type when it binds the statement: numbers are not spelt out to see whether they are empty
    return f"CASE WHEN regexp_full_match(typeof({raw}), '{_PLAIN}') THEN {raw} IS NOT NULL ELSE {_text(raw)} IS NOT NULL END"


def _units(raw: str, decimals: int) -> str:
    """Read a number in units of ``10**-decimals``. What 64 bits hold is read twelve times faster than what needs 128."""
    # the product keeps the decimals for a moment: 18 digits in 64 bits, 38 in 128
    units = [
        f"CAST(TRY_CAST({raw} AS DECIMAL({digits}, {decimals})) * {10**decimals} AS {kind})"
        for digits, kind in ((18 - decimals, "BIGINT"), (18 + decimals, "HUGEINT"))
    ]
    return f"coalesce({', '.join(units)})"


def _days(raw: str) -> str:
    """Read a date in days since 1970-01-01; an infinite one is no date."""
    text = f"TRY_CAST(regexp_extract(CAST({raw} AS VARCHAR), '{_ISO_DATE}', 1) AS DATE)"
    day = f"CASE WHEN regexp_full_match(typeof({raw}), '{_DATED}') THEN TRY_CAST({raw} AS DATE) ELSE {text} END"
    return f"date_diff('day', DATE '1970-01-01', {day})"


def _narrowest(*ends: int) -> str:
    """Return the narrowest integer type that holds all of ``ends``."""
    return next(kind for kind, bits in _INTEGERS.items() if all(-(1 << bits) <= end < 1 << bits for end in ends))


# -- the engine ------------------------------------------------------------------------------------------------------


def _table(location: Location) -> str:
    match location.kind:
        case "parquet":
            return f"read_parquet({quoted(location.path)}, hive_partitioning = false)"
        case "csv":
            names, delimiter = _header(location)
            columns = ", ".join(f"{quoted(name)}: 'VARCHAR'" for name in names)
            return (
                f"read_csv({quoted(location.path)}, auto_detect = false, hive_partitioning = false, header = true, "
                f"delim = {quoted(delimiter)}, quote = '\"', escape = '\"', comment = '', columns = {{{columns}}})"
            )
        case _:
            return f"source.{quote(location.table)}"


def _header(location: Location) -> tuple[list[str], str]:
    """Return a CSV file's column names and separator, from its first line."""
    check_file(location)
    try:
        with Path(location.path).open(encoding="utf-8-sig", newline="") as file:
            line = file.readline(1 << 20)
        delimiter = max(",;\t|", key=re.sub('"[^"]*"', "", line).count)
        names = next(csv.reader([line], delimiter=delimiter), [])
    except (OSError, ValueError, csv.Error):
        raise unreadable() from None
    if not names:
        raise unreadable()
    return [name or f"column{index}" for index, name in enumerate(names)], delimiter


def _run(
    location: Location, statement: str, parameters: Parameters, *, engines: Engines, seconds: int = WORK
) -> list[tuple[Any, ...]]:
    with engine(location, engines=engines, seconds=seconds) as opened:
        return opened.execute(statement, parameters).fetchall()
