"""From a plan to SQL over the bounded view, and from the engine's rows back to the plan's cells.

The bounded view has one row for each row that counts: the person; for each category its position, 1 to n, in the
standard's public domain; for each measure and date a whole number within the standard's bounds; for each of these a flag
``filled`` (something is there, whatever it says) and for measures and dates a flag ``valid`` (as told it lay within the
bounds). A value that is missing or unreadable, and a category outside its domain, is NULL. So nothing but numbers, flags
and persons meets a plan, and no text of an asker meets the engine: categories are compared by position.

What the printer writes is total. Values enter arithmetic as 64-bit integers, clipped to the plan's bounds, and a plan
warrants that every step stays below 2**62; sums are 128 bits wide; nothing is divided but by a constant and no cast can
fail; tests follow SQL's three-valued logic. What a plan asks of a column that the standard does not declare so, or that
the dataset does not map, is refused here, before anything is read. Source: PROOFS 1.2.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from privacy.errors import Refused
from privacy.expression import (
    Added,
    AllOf,
    AnyOf,
    Between,
    ByBand,
    ByCase,
    ByCategory,
    ByDate,
    Choice,
    Constant,
    Dimension,
    Missing,
    Not,
    OneOf,
    Term,
    Test,
    Times,
    Value,
    date_code,
    known,
)
from privacy.plan import (
    CountFilled,
    CountKnown,
    CountPresent,
    CountRows,
    CountUnits,
    CountValid,
    Histogram,
    Measure,
    Plan,
    Sum,
    width,
)
from privacy.terms import UNKNOWN, Kind, Standard

_NUMBERS = (Kind.MEASURE, Kind.DATE)
_DATED = {
    "year": "year({0})",
    "quarter": "quarter({0})",
    "month": "month({0})",
    "weekday": "isodow({0})",
    "year-quarter": "4 * year({0}) + quarter({0}) - 1",
    "year-month": "12 * year({0}) + month({0}) - 1",
}


@dataclass(frozen=True, slots=True)
class Section:
    """A part of the statement: one SELECT over the view, grouped by the dimensions and, for a histogram, its bands."""

    measures: tuple[Measure, ...]
    values: tuple[str, ...]
    band: str | None = None


@dataclass(frozen=True, slots=True)
class Printed:
    """A plan's SELECT over a view called ``bounded``; each row has a section's number, a group, a band and its values.

    ``places`` give, for each dimension, where a label stands among its labels by what the engine tells for it.
    """

    text: str
    sections: tuple[Section, ...]
    places: tuple[Mapping[int | None, int], ...]

    def cells(self, plan: Plan, rows: Iterable[Sequence[Any]]) -> tuple[int, ...]:
        """Return all cells of ``plan`` in its order, from the engine's rows; groups without rows hold zeros."""
        spans = [
            [(plan.places(measure.key).start, width(measure)) for measure in section.measures]
            for section in self.sections
        ]
        cells = [0] * plan.cells_count
        sizes = [len(by.labels) for by in plan.groups]
        groups = len(self.places)
        for number, *told in rows:
            place = 0
            for size, places, code in zip(sizes, self.places, told, strict=False):
                label = places.get(code)
                if label is None:
                    break
                place = place * size + label
            else:
                slot = told[groups]
                if self.sections[number].band is not None and slot is None:
                    continue
                for (start, wide), value in zip(spans[number], told[groups + 1 :], strict=False):
                    cells[start + place * wide + (slot or 0)] = int(value or 0)
        return tuple(cells)


def print_cells(plan: Plan, standard: Standard, *, mapped: Collection[str]) -> Printed:
    """Print the plan for DuckDB, over a view called ``bounded`` that holds the ``mapped`` columns of ``standard``.

    Raises:
        Refused: if the plan is not about this standard's columns as they are declared and mapped.
    """
    if plan.rows_per_unit < standard.rows_per_unit:
        raise Refused("the plan prices fewer rows a person than are counted", fix="use the standard's bounds")
    printer = _Printer(plan, standard, mapped)
    for column in plan.columns:
        printer.name(column)
    sections = printer.sections()
    dimensions = [printer.dimension(by) for by in plan.groups]
    tests = [printer.test(test) for test in plan.where]
    # a group that has no cell is not made
    tests += [
        printer.test(OneOf(by.column, by.labels))
        for by in plan.groups
        if isinstance(by, ByCategory) and UNKNOWN not in by.labels
        if len(by.labels) < len(standard.column(by.column).domain)
    ]
    where = f" WHERE {_balanced(tests, 'AND')}" if tests else ""
    most = max(len(section.values) for section in sections)
    text = " UNION ALL ".join(
        _select(number, section, [expression for expression, _ in dimensions], where=where, width=most)
        for number, section in enumerate(sections)
    )
    return Printed(text, tuple(sections), tuple(places for _, places in dimensions))


def quote(name: str) -> str:
    """Return a name as SQL spells it, whatever it holds."""
    return '"' + name.replace('"', '""') + '"'


def filled(column: str) -> str:
    """Return the quoted name of the view's flag that something is in the column."""
    return quote(f"filled {column}")


def valid(column: str) -> str:
    """Return the quoted name of the view's flag that the column's value, as told, lies within the standard's bounds."""
    return quote(f"valid {column}")


class _Printer:
    """Prints the parts of one plan; every column is checked against the standard where it is used."""

    def __init__(self, plan: Plan, standard: Standard, mapped: Collection[str]) -> None:
        self._plan = plan
        self._clipped = plan.clipped
        self._unit = quote(standard.unit)
        self._columns = {column.name: column for column in standard.columns}
        self._mapped = frozenset(mapped)

    def name(self, column: str, *kinds: Kind) -> str:
        """Return the quoted name of a mapped column of one of the kinds (none given: any but an identifier)."""
        declared = self._columns.get(column)
        if declared is None or declared.kind is Kind.IDENTIFIER or (kinds and declared.kind not in kinds):
            raise Refused(f"the standard has no such use of {column}", fix="build the plan with the analyst's client")
        if column not in self._mapped:
            raise Refused(f"this institution does not hold {column}", fix="leave out the column or the institution")
        return quote(column)

    def number(self, column: str, *kinds: Kind) -> str:
        """Return a measure's or date's value, clipped to the plan's bounds where they are narrower than the standard's."""
        name = self.name(column, *(kinds or _NUMBERS))
        asked, held = self._clipped.get(column), self._columns[column].bounds
        if asked is None or held is None:
            raise Refused(f"the plan gives no bounds for {column}", fix="build the plan with the analyst's client")
        # a comparison with NULL is not true, so that NULL stays NULL; DuckDB's greatest and least would drop it
        cases = f" WHEN {name} < {asked.lower} THEN {asked.lower}" if asked.lower > held.lower else ""
        cases += f" WHEN {name} > {asked.upper} THEN {asked.upper}" if asked.upper < held.upper else ""
        return f"CASE{cases} ELSE {name} END" if cases else name

    def term(self, term: Term) -> str:
        """Return a term as a 64-bit integer expression."""
        match term:
            case Value(column):
                return f"CAST({self.number(column)} AS BIGINT)"
            case Constant(units):
                return f"CAST({units} AS BIGINT)"
            case Added(terms):
                return _balanced([self.term(part) for part in terms], "+")
            case Times(left, right):
                return f"({self.term(left)} * {self.term(right)})"
            case Choice(cases, otherwise):
                printed = "".join(f" WHEN {self.test(test)} THEN {self.term(part)}" for test, part in cases)
                printed += "" if otherwise is None else f" ELSE {self.term(otherwise)}"
                return f"CASE{printed} END"

    def plain(self, term: Term) -> str:
        """Return a term that is counted, summed or compared as a whole; a bare value keeps its narrow type, which is faster."""
        return self.number(term.column) if isinstance(term, Value) else self.term(term)

    def test(self, test: Test) -> str:
        """Return a test as a Boolean expression that is NULL where the test is unknown."""
        match test:
            case OneOf(column, listed):
                name, domain = self.name(column, Kind.CATEGORY), self._columns[column].domain
                places = [str(domain.index(value) + 1) for value in listed if value in domain]
                # of nothing: false, but unknown where the category is
                return f"({name} IN ({', '.join(places)}))" if places else f"({name} < 0)"
            case Between(term, lower, upper):
                printed = self.plain(term)
                ends = [f"{printed} >= {lower}"] if lower is not None else []
                ends += [f"{printed} <= {upper}"] if upper is not None else []
                return f"({' AND '.join(ends)})"
            case Missing(column):
                return f"({self.name(column)} IS NULL)"
            case AllOf(tests):
                return _balanced([self.test(inner) for inner in tests], "AND")
            case AnyOf(tests):
                return _balanced([self.test(inner) for inner in tests], "OR")
            case Not(inner):
                return f"(NOT {self.test(inner)})"

    def dimension(self, by: Dimension) -> tuple[str, dict[int | None, int]]:
        """Return an expression that tells labels apart by small numbers, and the place of each label by its number.

        Where there is a label for all other rows, one value, NULL, stands for it.
        """
        rest: dict[int | None, int] = {None: len(by.labels) - 1} if by.labels[-1] == UNKNOWN else {}
        match by:
            case ByCategory(column):
                name, domain = self.name(column, Kind.CATEGORY), self._columns[column].domain
                told = {domain.index(label) + 1: place for place, label in enumerate(by.labels) if label in domain}
                return _only(name, told) if rest and len(told) < len(domain) else name, rest | told
            case ByBand():
                return self.band(by), rest | {place: place for place in range(len(known(by)))}
            case ByDate(column, part):
                day = f"(DATE '1970-01-01' + CAST({self.number(column, Kind.DATE)} AS INTEGER))"
                told = {date_code(part, label): place for place, label in enumerate(known(by))}
                code = f"CAST({_DATED[part].format(day)} AS BIGINT)"
                return _only(code, told) if rest else code, rest | told
            case ByCase(cases, otherwise):
                places = {label: place for place, label in enumerate(by.labels)}
                printed = "".join(f" WHEN {self.test(test)} THEN {places[label]}" for test, label in cases)
                printed += "" if otherwise is None else f" ELSE {places[otherwise]}"
                return f"CASE{printed} END", rest | {place: place for place in places.values()}

    def band(self, by: ByBand) -> str:
        """Return the number of a value's band, from 0; NULL beyond the outer edges."""
        name, first, last = self.number(by.column), by.edges[0], len(by.edges) - 2
        widths = {high - low for low, high in zip(by.edges, by.edges[1:], strict=False)}
        if len(widths) == 1:
            # whole-number division by a constant; the last band holds its upper edge, too
            found = f"least((CAST({name} AS BIGINT) - {first}) // {widths.pop()}, {last})"
        else:
            found = _search(name, by.edges, 0, last)
        return f"CASE WHEN {name} >= {first} AND {name} <= {by.edges[-1]} THEN {found} END"

    def sections(self) -> list[Section]:
        """Return what to select: additive measures together, people and each histogram by themselves."""
        together = [(measure, value) for measure in self._plan.measures if (value := self._value(measure))]
        measures, values = tuple(measure for measure, _ in together), tuple(value for _, value in together)
        found = [Section(measures, values)] if together else []
        for measure in self._plan.measures:
            match measure:
                case CountUnits():
                    found.append(Section((measure,), (f"count(DISTINCT {self._unit})",)))
                case Histogram(band):
                    slot = self.band(band)
                    rest = len(known(band)) < len(band.labels)
                    slot = f"coalesce({slot}, {len(known(band))})" if rest else slot
                    found.append(Section((measure,), ("count(*)",), slot))
                case _:
                    pass
        return found

    def _value(self, measure: Measure) -> str:
        match measure:
            case CountRows():
                return "count(*)"
            case CountPresent(term):
                return f"count({self.plain(term)})"
            case CountKnown(column):
                return f"count({self.name(column, Kind.CATEGORY)})"
            case CountFilled(column):
                self.name(column)
                return f"count(*) FILTER (WHERE {filled(column)})"
            case CountValid(column):
                # a category is valid where it has a position
                name = self.name(column)
                known = self._columns[column].kind is Kind.CATEGORY
                return f"count({name})" if known else f"count(*) FILTER (WHERE {valid(column)})"
            case Sum(term):
                return f"sum({self.plain(term)})"
            case CountUnits() | Histogram():
                return ""


def _select(number: int, section: Section, dimensions: list[str], *, where: str, width: int) -> str:
    """Print one section; unused values are NULL, so that all sections have the same columns."""
    keys = dimensions if section.band is None else [*dimensions, section.band]
    band = [] if section.band is not None else ["CAST(NULL AS INTEGER)"]
    values = [f"CAST({value} AS HUGEINT)" for value in section.values]
    values += ["CAST(NULL AS HUGEINT)"] * (width - len(values))
    text = f"SELECT {', '.join([str(number), *keys, *band, *values])} FROM bounded{where}"
    # by place: the first column is the section's number
    return text + (f" GROUP BY {', '.join(str(place + 2) for place in range(len(keys)))}" if keys else "")


def _search(name: str, edges: Sequence[int], first: int, last: int) -> str:
    """Print the number of the band, from ``first`` to ``last``, that holds a value: comparisons as a tree, log2(bands) deep."""
    if first == last:
        return str(first)
    middle = (first + last + 1) // 2
    below, above = _search(name, edges, first, middle - 1), _search(name, edges, middle, last)
    return f"CASE WHEN {name} < {edges[middle]} THEN {below} ELSE {above} END"


def _only(code: str, told: Collection[int]) -> str:
    """Print a code that is NULL unless it is one of ``told``."""
    return f"CASE WHEN {code} IN ({', '.join(map(str, told))}) THEN {code} END" if told else "CAST(NULL AS BIGINT)"


def _balanced(parts: Sequence[str], operator: str) -> str:
    """Join expressions as a balanced tree: engines bound how deep an expression may nest."""
    if len(parts) == 1:
        return parts[0]
    middle = len(parts) // 2
    return f"({_balanced(parts[:middle], operator)} {operator} {_balanced(parts[middle:], operator)})"
