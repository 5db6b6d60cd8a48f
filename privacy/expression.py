"""What a row says: terms, tests and dimensions, as closed typed trees over the columns of a standard.

A **term** is a whole number for each row, or NULL: a column's value clipped to the plan's bounds, a constant, sums,
products and CASE of them. A **test** is true, false or unknown for each row, in SQL's three-valued logic. A **dimension**
puts each row into one of its public labels, or into none. All of them are total: nothing of them can fail on a value,
and the range of a term follows from the bounds alone, which is what prices it.

A category outside its public domain is unknown, like NULL. A measure outside its bounds counts as the nearest bound.

Sums, products, AND and OR stand flat and sorted, in whatever order and nesting they were written: two such spellings
are one expression with one name. Nothing else is simplified. Source: PROOFS 1.2, 1.5.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from hashlib import sha256
from typing import Any

from privacy import canonical
from privacy.errors import Malformed
from privacy.terms import UNKNOWN, Bounds, check_name

MAX_LIST = 1_000
"""Values in a list, labels of a dimension, cases of a CASE at most."""

MAX_DEPTH = 8
"""Levels that a term or test may be nested."""

ROOM_BITS = 62
"""Every term, and every step on the way to it, stays below 2**62: the engine's 64-bit arithmetic cannot overflow."""

# ASCII digits alone: \d would take other scripts' digits, and two labels of one code would count a row in two cells
_SPELLINGS = {
    "year": "([0-9]{4})",
    "quarter": "Q([1-4])",
    "month": "(0[1-9]|1[0-2])",
    "weekday": "([1-7])",
    "year-quarter": "([0-9]{4})-Q([1-4])",
    "year-month": "([0-9]{4})-(0[1-9]|1[0-2])",
}
PARTS = tuple(_SPELLINGS)
"""Parts of a date that rows can be grouped by; weekdays count from Monday, 1."""

Range = tuple[int, int]
"""Smallest and largest value of a term."""


@dataclass(frozen=True, slots=True)
class Value:
    """A measure's or date's value in integer units (``10**-decimals``; days since 1970-01-01), clipped to its bounds."""

    column: str

    def __str__(self) -> str:
        return self.column


@dataclass(frozen=True, slots=True)
class Constant:
    """The number ``units * 10**-decimals``."""

    units: int
    decimals: int = 0

    def __str__(self) -> str:
        return str(Decimal(self.units).scaleb(-self.decimals))


@dataclass(frozen=True, slots=True)
class Added:
    """Sum of terms of the same decimals; NULL if one is NULL."""

    terms: tuple["Term", ...]

    def __post_init__(self) -> None:
        parts = [inner for term in self.terms for inner in (term.terms if isinstance(term, Added) else (term,))]
        object.__setattr__(self, "terms", tuple(sorted(parts, key=_spelling)))

    def __str__(self) -> str:
        return "(" + " + ".join(map(str, self.terms)) + ")"


@dataclass(frozen=True, slots=True)
class Times:
    """Product of two terms, whose decimals add up; NULL if one is NULL. Only ``left`` may be a product again."""

    left: "Term"
    right: "Term"

    def __post_init__(self) -> None:
        first, *others, last = sorted((*_factors(self.left), *_factors(self.right)), key=_spelling)
        for factor in others:
            # not by the constructor: it would sort each part again, and the parts of each part
            product = object.__new__(Times)
            object.__setattr__(product, "left", first)
            object.__setattr__(product, "right", factor)
            first = product
        object.__setattr__(self, "left", first)
        object.__setattr__(self, "right", last)

    def __str__(self) -> str:
        return f"{self.left} * {self.right}"


@dataclass(frozen=True, slots=True)
class Choice:
    """CASE: the term of the first test that is true, else ``otherwise``, else NULL."""

    cases: tuple[tuple["Test", "Term"], ...]
    otherwise: "Term | None" = None

    def __str__(self) -> str:
        cases = " ".join(f"WHEN {test} THEN {term}" for test, term in self.cases)
        return f"CASE {cases}{'' if self.otherwise is None else f' ELSE {self.otherwise}'} END"


Term = Value | Constant | Added | Times | Choice


@dataclass(frozen=True, slots=True)
class OneOf:
    """The category is one of ``values``; unknown if it is NULL or outside its public domain."""

    column: str
    values: tuple[str, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "values", tuple(sorted(self.values)))

    def __str__(self) -> str:
        return f"{self.column} IN ({', '.join(map(quoted, self.values))})"


@dataclass(frozen=True, slots=True)
class Between:
    """The term lies from ``lower`` to ``upper``, both included (integer units, ``None`` for open); unknown if NULL."""

    term: Term
    lower: int | None = None
    upper: int | None = None

    def __str__(self) -> str:
        return f"{self.term} BETWEEN {_end(self.lower, '-infinity')} AND {_end(self.upper, 'infinity')}"


@dataclass(frozen=True, slots=True)
class Missing:
    """The column is NULL, unreadable or, for a category, outside its public domain. Never unknown."""

    column: str

    def __str__(self) -> str:
        return f"{self.column} IS NULL"


@dataclass(frozen=True, slots=True)
class AllOf:
    """All tests are true."""

    tests: tuple["Test", ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "tests", arranged(self.tests, AllOf))

    def __str__(self) -> str:
        return "(" + " AND ".join(map(str, self.tests)) + ")"


@dataclass(frozen=True, slots=True)
class AnyOf:
    """At least one test is true."""

    tests: tuple["Test", ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "tests", arranged(self.tests, AnyOf))

    def __str__(self) -> str:
        return "(" + " OR ".join(map(str, self.tests)) + ")"


@dataclass(frozen=True, slots=True)
class Not:
    """The test is false; unknown stays unknown."""

    test: "Test"

    def __str__(self) -> str:
        return f"NOT {self.test}"


Test = OneOf | Between | Missing | AllOf | AnyOf | Not


@dataclass(frozen=True, slots=True)
class ByCategory:
    """A category's public values, in the order of its domain; a last ``UNKNOWN`` takes every row without one of them."""

    column: str
    labels: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ByBand:
    """Bands of a measure or date, by their edges in integer units.

    ``labels[i]`` holds values from ``edges[i]`` up to, without, ``edges[i + 1]``; the last band holds its upper edge too.
    Values beyond the outer edges are in no band: ``UNKNOWN``, if that is the last label, takes them and NULL.
    """

    column: str
    edges: tuple[int, ...]
    labels: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ByDate:
    """A part of a date; labels as ``date_label`` spells them, ``UNKNOWN`` at the end for all other rows."""

    column: str
    part: str
    labels: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ByCase:
    """CASE: the label of the first test that is true, else ``otherwise``, else none. Only ``otherwise`` may be ``UNKNOWN``."""

    cases: tuple[tuple[Test, str], ...]
    otherwise: str | None = None

    @property
    def labels(self) -> tuple[str, ...]:
        """The labels in order of first mention."""
        told = [label for _, label in self.cases] + ([] if self.otherwise is None else [self.otherwise])
        return tuple(dict.fromkeys(told))


Dimension = ByCategory | ByBand | ByDate | ByCase
Item = Term | Test | Dimension


def known(dimension: Dimension) -> tuple[str, ...]:
    """Return the labels of a dimension without ``UNKNOWN``."""
    return dimension.labels[:-1] if dimension.labels[-1:] == (UNKNOWN,) else dimension.labels


def date_code(part: str, label: str) -> int:
    """Return the whole number that stands for a date part's label, as a node computes it from a date.

    Years stand for themselves; ``2024-Q2`` for ``4 * 2024 + 1``; ``2024-03`` for ``12 * 2024 + 2``; quarters ``Q1`` to
    ``Q4``, months ``01`` to ``12`` and weekdays ``1`` (Monday) to ``7`` for their number.

    Raises:
        Malformed: if the label is not spelled that way.
    """
    pattern = _SPELLINGS.get(part)
    found = re.fullmatch(pattern, label) if pattern is not None else None
    if found is None:
        raise Malformed("a date part is not spelled as in the language", fix=f"parts: {', '.join(PARTS)}")
    numbers = [int(number) for number in found.groups()]
    per_year = {"year-quarter": 4, "year-month": 12}.get(part)
    return numbers[0] if per_year is None else per_year * numbers[0] + numbers[1] - 1


def date_label(part: str, code: int) -> str:
    """Return the label of a date part's code: the inverse of :func:`date_code`."""
    per_year = {"year-quarter": 4, "year-month": 12}.get(part, 1)
    year, rest = divmod(code, per_year)
    spelled = {
        "year": f"{code:04d}",
        "quarter": f"Q{code}",
        "month": f"{code:02d}",
        "weekday": str(code),
        "year-quarter": f"{year:04d}-Q{rest + 1}",
        "year-month": f"{year:04d}-{rest + 1:02d}",
    }
    return spelled[part]


def extent(term: Term, bounds: Mapping[str, Bounds]) -> Range:
    """Return the smallest and the largest value that ``term`` can take within ``bounds``, by interval arithmetic.

    Raises:
        Malformed: if a column has no bounds, or a step could outgrow 2**62.
    """
    match term:
        case Value(column):
            held = bounds.get(column)
            if held is None:
                raise Malformed("a term uses a column without bounds", fix="build the plan with the analyst's client")
            found = held.lower, held.upper
        case Constant(units):
            found = units, units
        case Added(terms):
            parts = [extent(part, bounds) for part in terms]
            # the engine adds one by one: every partial sum stays within the sum of the magnitudes
            _check_room(sum(max(abs(low), abs(high)) for low, high in parts))
            found = sum(low for low, _ in parts), sum(high for _, high in parts)
        case Times(left, right):
            corners = [a * b for a in extent(left, bounds) for b in extent(right, bounds)]
            found = min(corners), max(corners)
        case Choice(cases, otherwise):
            branches = [branch for _, branch in cases] + ([] if otherwise is None else [otherwise])
            ranges = [extent(branch, bounds) for branch in branches]
            found = min(low for low, _ in ranges), max(high for _, high in ranges)
            for test, _ in cases:
                check_extents(test, bounds)
    _check_room(max(abs(found[0]), abs(found[1])))
    return found


def check_extents(test: Test, bounds: Mapping[str, Bounds]) -> None:
    """Make sure that no term inside ``test`` can outgrow the engine's arithmetic.

    Raises:
        Malformed: if one can, or uses a column without bounds.
    """
    match test:
        case Between(term):
            extent(term, bounds)
        case AllOf(tests) | AnyOf(tests):
            for inner in tests:
                check_extents(inner, bounds)
        case Not(inner):
            check_extents(inner, bounds)
        case OneOf() | Missing():
            pass


def size(item: Item) -> int:
    """Return how long ``item`` is to print: its inner items, and the values and labels that they list."""
    listed = {OneOf: "values", ByCategory: "labels", ByBand: "labels", ByDate: "labels"}
    return sum(1 + len(getattr(found, listed.get(type(found), ""), ())) for found in walk(item))


def walk(item: Item) -> Iterator[Item]:
    """Yield ``item`` and everything inside it."""
    waiting: list[Item] = [item]
    while waiting:
        found = waiting.pop()
        yield found
        match found:
            case Added(parts) | AllOf(parts) | AnyOf(parts):
                waiting += parts
            case Times(left, right):
                waiting += (left, right)
            case Choice(cases, otherwise):
                waiting += [part for case in cases for part in case] + ([] if otherwise is None else [otherwise])
            case ByCase(cases):
                waiting += [test for test, _ in cases]
            case Between(inner) | Not(inner):
                waiting.append(inner)
            case _:
                pass


def values(item: Item) -> frozenset[str]:
    """Return the columns whose values enter arithmetic, comparisons or bands, so that a plan needs their bounds."""
    return frozenset(found.column for found in walk(item) if isinstance(found, Value | ByBand | ByDate))


def tested(item: Item) -> frozenset[str]:
    """Return the columns that decide a test, or a CASE inside a term."""
    named = {found.column for found in walk(item) if isinstance(found, OneOf | Missing)}
    return frozenset(named).union(*(values(found) for found in walk(item) if isinstance(found, Between)))


def summed(term: Term, *, use: str = "sum") -> Iterator[tuple[str, str]]:
    """Yield each column that a sum of ``term`` adds up, and its use: ``sum``, or ``product`` if multiplied with another."""
    match term:
        case Value(column):
            yield column, use
        case Constant():
            pass
        case Added(parts):
            for part in parts:
                yield from summed(part, use=use)
        case Times(left, right):
            both = "product" if _contents(left) and _contents(right) else use
            yield from summed(left, use=both)
            yield from summed(right, use=both)
        case Choice(cases, otherwise):
            for branch in [branch for _, branch in cases] + ([] if otherwise is None else [otherwise]):
                yield from summed(branch, use=use)


def decimals(term: Term, of: Mapping[str, int]) -> int:
    """Return the decimals of ``term``, given those of each column.

    Raises:
        Malformed: if terms of different decimals are added or chosen between.
    """
    match term:
        case Value(column):
            return of[column]
        case Constant(_, places):
            return places
        case Times(left, right):
            return decimals(left, of) + decimals(right, of)
        case Added(parts):
            told = {decimals(part, of) for part in parts}
        case Choice(cases, otherwise):
            branches = [branch for _, branch in cases] + ([] if otherwise is None else [otherwise])
            told = {decimals(branch, of) for branch in branches}
    if len(told) != 1:
        raise Malformed("terms of different decimals are added up", fix="build the plan with the analyst's client")
    return told.pop()


def quoted(text: str) -> str:
    """Return a text as SQL spells it."""
    return "'" + text.replace("'", "''") + "'"


# -- JSON ----------------------------------------------------------------------------------------------------------


def term_json(term: Term) -> dict[str, Any]:
    """Return the canonical JSON object of a term."""
    match term:
        case Value(column):
            return {"value": column}
        case Constant(units, places):
            return {"constant": units, "decimals": places}
        case Added(terms):
            return {"add": [term_json(part) for part in terms]}
        case Times(left, right):
            return {"times": [term_json(left), term_json(right)]}
        case Choice(cases, otherwise):
            return {
                "case": [[test_json(test), term_json(part)] for test, part in cases],
                "else": None if otherwise is None else term_json(otherwise),
            }


def test_json(test: Test) -> dict[str, Any]:
    """Return the canonical JSON object of a test."""
    match test:
        case OneOf(column, listed):
            return {"one_of": list(listed), "column": column}
        case Between(term, lower, upper):
            return {"between": [lower, upper], "term": term_json(term)}
        case Missing(column):
            return {"missing": column}
        case AllOf(tests):
            return {"all": [test_json(inner) for inner in tests]}
        case AnyOf(tests):
            return {"any": [test_json(inner) for inner in tests]}
        case Not(inner):
            return {"not": test_json(inner)}


def dimension_json(dimension: Dimension) -> dict[str, Any]:
    """Return the canonical JSON object of a dimension."""
    match dimension:
        case ByCategory(column, labels):
            return {"category": column, "labels": list(labels)}
        case ByBand(column, edges, labels):
            return {"band": column, "edges": list(edges), "labels": list(labels)}
        case ByDate(column, part, labels):
            return {"date": column, "part": part, "labels": list(labels)}
        case ByCase(cases, otherwise):
            return {"case": [[test_json(test), label] for test, label in cases], "else": otherwise}


def read_term(document: Any, depth: int = 0) -> Term:
    """Parse a term's JSON object; anything else raises ``ValueError``, ``TypeError``, ``KeyError`` or ``Malformed``."""
    deeper = _deeper(depth)
    match document:
        case {"value": column, **rest} if not rest:
            return Value(check_name(column, what="column"))
        case {"constant": units, "decimals": places, **rest} if not rest:
            if abs(_integer(units)) >= 1 << ROOM_BITS or not 0 <= _integer(places) <= 18:
                raise ValueError
            return Constant(units, places)
        case {"add": [_, _, *_] as parts, **rest} if not rest and len(parts) <= MAX_LIST:
            return Added(tuple(read_term(part, deeper) for part in parts))
        case {"times": [left, right], **rest} if not rest:
            return Times(read_term(left, deeper), read_term(right, deeper))
        case {"case": [_, *_] as cases, "else": otherwise, **rest} if not rest and len(cases) <= MAX_LIST:
            read = tuple((read_test(test, deeper), read_term(part, deeper)) for test, part in cases)
            return Choice(read, None if otherwise is None else read_term(otherwise, deeper))
        case _:
            raise ValueError


def read_test(document: Any, depth: int = 0) -> Test:
    """Parse a test's JSON object; raises like :func:`read_term`."""
    deeper = _deeper(depth)
    match document:
        case {"one_of": [_, *_] as listed, "column": column, **rest} if not rest:
            return OneOf(check_name(column, what="column"), labels_of(listed))
        case {"between": [lower, upper], "term": term, **rest} if not rest:
            ends = [None if end is None else _integer(end) for end in (lower, upper)]
            if ends == [None, None] or any(end is not None and abs(end) >= 1 << ROOM_BITS for end in ends):
                raise ValueError
            return Between(read_term(term, deeper), *ends)
        case {"missing": column, **rest} if not rest:
            return Missing(check_name(column, what="column"))
        case {"all": [_, _, *_] as tests, **rest} if not rest and len(tests) <= MAX_LIST:
            return AllOf(tuple(read_test(inner, deeper) for inner in tests))
        case {"any": [_, _, *_] as tests, **rest} if not rest and len(tests) <= MAX_LIST:
            return AnyOf(tuple(read_test(inner, deeper) for inner in tests))
        case {"not": inner, **rest} if not rest:
            return Not(read_test(inner, deeper))
        case _:
            raise ValueError


def read_dimension(document: Any) -> Dimension:
    """Parse a dimension's JSON object; raises like :func:`read_term`."""
    match document:
        case {"category": column, "labels": labels, **rest} if not rest:
            return ByCategory(check_name(column, what="column"), _labels(labels))
        case {"band": column, "edges": edges, "labels": labels, **rest} if not rest:
            read = ByBand(check_name(column, what="column"), tuple(map(_integer, edges)), _labels(labels))
            rising = all(low < high for low, high in zip(read.edges, read.edges[1:], strict=False))
            if len(read.edges) != len(known(read)) + 1 or not rising or max(map(abs, read.edges)) >= 1 << ROOM_BITS:
                raise ValueError
            return read
        case {"date": column, "part": str(part), "labels": labels, **rest} if not rest:
            dated = ByDate(check_name(column, what="column"), part, _labels(labels))
            for label in known(dated):
                date_code(part, label)
            return dated
        case {"case": [_, *_] as cases, "else": otherwise, **rest} if not rest and len(cases) <= MAX_LIST:
            branches = tuple((read_test(test), _text(label)) for test, label in cases)
            chosen = ByCase(branches, None if otherwise is None else _text(otherwise))
            if any(label == UNKNOWN for _, label in branches) or len(known(chosen)) > MAX_LIST:
                raise ValueError
            return chosen
        case _:
            raise ValueError


def labels_of(listed: Any) -> tuple[str, ...]:
    """Parse a list of distinct, non-empty texts of at most 200 characters."""
    read = tuple(_text(item) for item in listed)
    if not 0 < len(read) <= MAX_LIST or len(set(read)) != len(read):
        raise ValueError
    return read


def _labels(listed: Any) -> tuple[str, ...]:
    """Parse the labels of a dimension: as many as a list may have, and ``UNKNOWN`` after them, nowhere else."""
    read = tuple(_text(item) for item in listed)
    last = read[-1:] if read[-1:] == (UNKNOWN,) else ()
    if UNKNOWN in labels_of(read[: len(read) - len(last)]):
        raise ValueError
    return read


def short_digest(numbers: Sequence[int]) -> str:
    """Return eight hexadecimal digits that tell lists of numbers apart in names."""
    return sha256(canonical.encode(list(numbers))).hexdigest()[:8]


def arranged(tests: Iterable[Test], junction: type[AllOf] | type[AnyOf]) -> tuple[Test, ...]:
    """Return the tests that ``junction`` joins, flat and sorted."""
    flat = [inner for test in tests for inner in (test.tests if isinstance(test, junction) else (test,))]
    return tuple(sorted(flat, key=lambda test: canonical.encode(test_json(test))))


def _spelling(term: Term) -> bytes:
    return canonical.encode(term_json(term))


def _factors(term: Term) -> list[Term]:
    """Return the factors of a product, in order; its left part alone may be a product."""
    found = []
    while isinstance(term, Times):
        found.append(term.right)
        term = term.left
    return [term, *reversed(found)]


def _contents(term: Term) -> bool:
    """Whether a term holds a column's value at all."""
    return next(summed(term), None) is not None


def _end(number: int | None, name: str) -> str:
    return name if number is None else str(number)


def _deeper(depth: int) -> int:
    if depth >= MAX_DEPTH:
        raise ValueError
    return depth + 1


def _text(item: Any) -> str:
    if not isinstance(item, str) or not 0 < len(item) <= 200:
        raise ValueError
    return item


def _integer(item: Any) -> int:
    if isinstance(item, bool) or not isinstance(item, int):
        raise TypeError
    return item


def _check_room(magnitude: int) -> None:
    if magnitude >= 1 << ROOM_BITS:
        raise Malformed("a term can outgrow 62 bits", fix="multiply fewer columns, or narrower ones")
