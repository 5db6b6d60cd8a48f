"""The plan: a joint statistic as a closed, typed, canonical, hashable value.

An analyst's text ends here; what travels, is charged, hashed into the masks and printed as SQL at each node is the plan.
Every statistic is a post-processing of additive integer cells: the plan lists the cells, in one fixed order.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import product
from math import prod
from typing import Any

from privacy import canonical
from privacy.errors import Malformed
from privacy.expression import (
    AllOf,
    ByBand,
    ByCase,
    Dimension,
    Item,
    Term,
    Test,
    arranged,
    check_extents,
    dimension_json,
    extent,
    read_dimension,
    read_term,
    read_test,
    short_digest,
    size,
    term_json,
    test_json,
    tested,
    values,
)
from privacy.terms import NANO, Bounds, check_name, check_party

MAX_CELLS = 10_000
MAX_FILTERS = 50
MAX_SIZE = 10_000
"""Terms, tests, values and labels of a plan, all levels together: so that no statement printed from it outgrows an engine."""


@dataclass(frozen=True, slots=True)
class CountRows:
    """COUNT(*): rows that pass the filter."""

    @property
    def key(self) -> str:
        """Name of the cells in policies and releases."""
        return "count(*)"


@dataclass(frozen=True, slots=True)
class CountUnits:
    """COUNT(DISTINCT unit): people with at least one row that passes, in each group; each institution counts its own."""

    @property
    def key(self) -> str:
        """Name of the cells in policies and releases."""
        return "count(distinct unit)"


@dataclass(frozen=True, slots=True)
class CountPresent:
    """COUNT(term): rows where the term is not NULL."""

    term: Term

    @property
    def key(self) -> str:
        """Name of the cells in policies and releases."""
        return f"count({self.term})"


@dataclass(frozen=True, slots=True)
class CountKnown:
    """COUNT(category): rows whose category is one of its public values."""

    column: str

    @property
    def key(self) -> str:
        """Name of the cells in policies and releases."""
        return f"count({self.column})"


@dataclass(frozen=True, slots=True)
class CountFilled:
    """Rows with anything in the column, whatever it says: the completeness metric's numerator."""

    column: str

    @property
    def key(self) -> str:
        """Name of the cells in policies and releases."""
        return f"filled({self.column})"


@dataclass(frozen=True, slots=True)
class CountValid:
    """Rows whose value, as told, lies in the standard's bounds or domain: the validity metric's numerator."""

    column: str

    @property
    def key(self) -> str:
        """Name of the cells in policies and releases."""
        return f"valid({self.column})"


@dataclass(frozen=True, slots=True)
class Sum:
    """SUM(term) in the term's integer units; NULL counts as nothing."""

    term: Term

    @property
    def key(self) -> str:
        """Name of the cells in policies and releases."""
        return f"sum({self.term})"


@dataclass(frozen=True, slots=True)
class Histogram:
    """Rows in each band of a column: as many cells for each group as there are bands."""

    band: ByBand

    @property
    def key(self) -> str:
        """Name of the cells in policies and releases; the digest tells bands apart."""
        return f"histogram({self.band.column}, {len(self.band.labels)} bands {short_digest(self.band.edges)})"


Measure = CountRows | CountUnits | CountPresent | CountKnown | CountFilled | CountValid | Sum | Histogram


def width(measure: Measure) -> int:
    """Return how many cells a measure has in each group."""
    return len(measure.band.labels) if isinstance(measure, Histogram) else 1


def term_of(measure: Measure) -> Term | ByBand | None:
    """Return the term or the band that a measure computes with, if any."""
    match measure:
        case Sum(term) | CountPresent(term):
            return term
        case Histogram(band):
            return band
        case _:
            return None


def computed(used: Iterable[Item | Measure]) -> frozenset[str]:
    """Return the columns that tests, dimensions and measures compute with: a plan of them bounds each."""
    inner = (term_of(item) if isinstance(item, Measure) else item for item in used)
    return frozenset[str]().union(*(values(item) for item in inner if item is not None))


def split_evenly(rho: int, count: int) -> tuple[int, ...]:
    """Split a price (1e-9 rho) into ``count`` whole parts that differ by 1 at most."""
    part, rest = divmod(rho, count)
    return tuple(part + (index < rest) for index in range(count))


@dataclass(frozen=True, slots=True)
class Plan:
    """A joint statistic over the parties' tables of one standard, priced at ``rho`` (units of 1e-9) for each party.

    ``bounds`` clip the values that enter arithmetic. ``where`` holds tests that must all be true. ``prices`` say how
    ``rho`` is split over the measures, in their order; none given means evenly. ``shared`` says how the noise is made.
    ``None``, standalone: each party adds its full noise, so that its guarantee needs nobody else. A number t: the
    parties share the noise, and the price holds against the asker, the exchange and any t of the parties together.

    Groups, tests, measures, bounds and parties are kept sorted, and tests that must all be true stand once and apart, so
    that two spellings of one question are one plan with one hash. A dimension's labels keep their own order, in which
    the cells are told.
    """

    standard: str
    standard_digest: str
    purpose: str
    parties: tuple[str, ...]
    rows_per_unit: int
    institutions_per_unit: int
    groups: tuple[Dimension, ...]
    where: tuple[Test, ...]
    measures: tuple[Measure, ...]
    rho: int
    bounds: tuple[tuple[str, Bounds], ...] = ()
    prices: tuple[int, ...] = ()
    shared: int | None = None
    _starts: Mapping[str, tuple[int, int]] = field(init=False, repr=False, compare=False)
    """By measure key: where its cells start, and how many each group has."""
    _ranks: tuple[Mapping[str, int], ...] = field(init=False, repr=False, compare=False)
    """By group: where each label stands."""

    def __post_init__(self) -> None:
        if not self.measures:
            raise _malformed("has no measure")
        prices = self.prices or split_evenly(self.rho, len(self.measures))
        if len(prices) != len(self.measures):
            raise _malformed("prices other measures than it has")
        order = sorted(range(len(self.measures)), key=lambda index: self.measures[index].key)
        if not self.prices:  # an even split goes by the sorted order, whatever order the measures were given in
            object.__setattr__(self, "prices", prices)
        else:
            object.__setattr__(self, "prices", tuple(prices[index] for index in order))
        object.__setattr__(self, "measures", tuple(self.measures[index] for index in order))
        object.__setattr__(self, "parties", tuple(sorted(self.parties)))
        object.__setattr__(self, "bounds", tuple(sorted(self.bounds, key=lambda pair: pair[0])))
        object.__setattr__(
            self, "groups", tuple(sorted(self.groups, key=lambda by: canonical.encode(dimension_json(by))))
        )
        object.__setattr__(self, "where", tuple(dict.fromkeys(arranged(self.where, AllOf))))
        self._validate()
        starts, start = {}, 0
        for measure in self.measures:
            starts[measure.key] = start, width(measure)
            start += self.groups_count * width(measure)
        object.__setattr__(self, "_starts", starts)
        ranks = tuple({label: rank for rank, label in enumerate(by.labels)} for by in self.groups)
        object.__setattr__(self, "_ranks", ranks)

    def _validate(self) -> None:
        for party in self.parties:
            check_party(party)
        self._check_language()
        for column in self.columns:
            check_name(column, what="column")
        least = 1 if self.shared is None else 2
        checks = {
            "names a party twice": len(set(self.parties)) == len(self.parties),
            "has no party": bool(self.parties),
            "names a measure twice": len({measure.key for measure in self.measures}) == len(self.measures),
            "groups twice by the same": len(set(self.groups)) == len(self.groups),
            f"has more than {MAX_FILTERS} tests": len(self.where) <= MAX_FILTERS,
            "bounds a column twice": len(dict(self.bounds)) == len(self.bounds),
            "has a price outside 1e-9 to 100 rho": 0 < self.rho <= 100 * NANO,
            "prices its measures at another sum, or one at nothing": sum(self.prices) == self.rho
            and min(self.prices) >= least,
            "shares its noise among too few": self.shared is None or 0 <= self.shared <= len(self.parties) - 2,
            "has contribution bounds out of range": 0 < self.rows_per_unit <= 10_000
            and 0 < self.institutions_per_unit <= 1_000,
            f"has more than {MAX_CELLS} cells": self.cells_count <= MAX_CELLS,
            "bounds other columns than those it computes with": set(self.clipped)
            == computed((*self.where, *self.groups, *self.measures)),
        }
        for problem, holds in checks.items():
            if not holds:
                raise _malformed(problem)
        self._check_room()

    def _check_room(self) -> None:
        """Make sure that no number on the way to a cell can outgrow the engine's arithmetic."""
        for measure in self.measures:
            if isinstance(measure, Sum | CountPresent):
                extent(measure.term, self.clipped)
        for test in self.where:
            check_extents(test, self.clipped)
        for by in self.groups:
            if isinstance(by, ByCase):
                for test, _ in by.cases:
                    check_extents(test, self.clipped)

    def _check_language(self) -> None:
        """Make sure that every item could have come as a document: a plan built here is one that others can read."""
        try:
            for test in self.where:
                read_test(test_json(test))
            for by in self.groups:
                read_dimension(dimension_json(by))
            for measure in self.measures:
                _measure(_measure_json(measure))
        except (KeyError, TypeError, ValueError, AttributeError):
            raise _malformed("says something that the language does not have") from None
        inner = [term_of(measure) for measure in self.measures]
        if sum(size(item) for item in (*self.where, *self.groups, *inner) if item is not None) > MAX_SIZE:
            raise _malformed(f"is longer than {MAX_SIZE} items")

    @property
    def clipped(self) -> dict[str, Bounds]:
        """The bounds by column."""
        return dict(self.bounds)

    @property
    def columns(self) -> tuple[str, ...]:
        """Every column that the plan touches, sorted."""
        touched = set(self.clipped).union(*(tested(test) for test in self.where))
        for by in self.groups:
            touched |= tested(by) if isinstance(by, ByCase) else {by.column}
        for measure in self.measures:
            match measure:
                case CountKnown(column) | CountFilled(column) | CountValid(column):
                    touched.add(column)
                case Sum(term) | CountPresent(term):
                    touched |= tested(term)
                case _:
                    pass
        return tuple(sorted(touched))

    @property
    def counted(self) -> int:
        """How many parties' noise the price counts on: one if standalone, else all but the ``shared`` that may collude."""
        return 1 if self.shared is None else len(self.parties) - self.shared

    @property
    def groups_count(self) -> int:
        """Number of groups, the whole table being one group."""
        return prod(len(by.labels) for by in self.groups)

    @property
    def cells_count(self) -> int:
        """Number of additive integer cells: groups times the measures' widths."""
        return self.groups_count * sum(width(measure) for measure in self.measures)

    def cells(self) -> Iterator[tuple[Measure, tuple[str, ...], int]]:
        """Yield every cell in the order in which it is packed: by measure, then by group labels, then by band."""
        for measure in self.measures:
            for labels in product(*(by.labels for by in self.groups)):
                for slot in range(width(measure)):
                    yield measure, labels, slot

    def places(self, measure: str) -> range:
        """Return where the cells of a measure's key stand in :meth:`cells`.

        Raises:
            KeyError: if the plan has no such measure.
        """
        start, wide = self._starts[measure]
        return range(start, start + self.groups_count * wide)

    def place(self, measure: str, group: tuple[str, ...] = (), slot: int = 0) -> int:
        """Return where the cell of a measure's key, a group's labels (in plan order) and a band stands in :meth:`cells`.

        Raises:
            KeyError: if the plan has no such cell.
        """
        start, wide = self._starts[measure]
        if len(group) != len(self._ranks) or not 0 <= slot < wide:
            raise KeyError(measure)
        place = 0
        for ranks, label in zip(self._ranks, group, strict=True):
            place = place * len(ranks) + ranks[label]
        return start + place * wide + slot

    def priced(self, rho: int) -> "Plan":
        """Return the plan at another price (1e-9 rho), split over the measures as before, rounded down.

        Raises:
            Malformed: if a measure would be left without a price.
        """
        parts = [price * rho // self.rho for price in self.prices]
        return replace(self, rho=sum(parts), prices=tuple(parts))

    @property
    def hash(self) -> str:
        """SHA-256 of the canonical form (64 hexadecimal digits): the plan's name everywhere."""
        return canonical.digest(self.to_json())

    def to_json(self) -> dict[str, Any]:
        """Return the canonical JSON object of the plan."""
        return {
            "standard": self.standard,
            "standard_digest": self.standard_digest,
            "purpose": self.purpose,
            "parties": list(self.parties),
            "rows_per_unit": self.rows_per_unit,
            "institutions_per_unit": self.institutions_per_unit,
            "groups": [dimension_json(by) for by in self.groups],
            "where": [test_json(test) for test in self.where],
            "measures": [_measure_json(measure) for measure in self.measures],
            "bounds": {column: [bounds.lower, bounds.upper] for column, bounds in self.bounds},
            "rho": self.rho,
            "prices": list(self.prices),
            "shared": self.shared,
        }

    @classmethod
    def from_json(cls, document: Any) -> "Plan":
        """Parse a plan's JSON object; only the canonical spelling is accepted.

        Raises:
            Malformed: if a field is missing, extra, mistyped or not in canonical order.
        """
        if not _is_small(document):  # before anything is made of it
            raise _malformed(f"is longer than {MAX_SIZE} items")
        try:
            plan = cls(
                standard=_text(document["standard"]),
                standard_digest=_text(document["standard_digest"]),
                purpose=_text(document["purpose"]),
                parties=tuple(_text(party) for party in document["parties"]),
                rows_per_unit=_integer(document["rows_per_unit"]),
                institutions_per_unit=_integer(document["institutions_per_unit"]),
                groups=tuple(read_dimension(by) for by in document["groups"]),
                where=tuple(read_test(test) for test in document["where"]),
                measures=tuple(_measure(measure) for measure in document["measures"]),
                bounds=tuple((_text(column), Bounds(*ends)) for column, ends in document["bounds"].items()),
                rho=_integer(document["rho"]),
                prices=tuple(_integer(price) for price in document["prices"]),
                shared=None if document["shared"] is None else _integer(document["shared"]),
            )
        except (KeyError, TypeError, ValueError, AttributeError):
            raise Malformed("the document is not a plan", fix="build the plan with the analyst's client") from None
        if plan.to_json() != document:
            raise Malformed("the plan is not in canonical form", fix="build the plan with the analyst's client")
        return plan


def _is_small(document: Any) -> bool:
    """Whether a JSON value is short enough for a plan: no item of one takes more than six values."""
    waiting, found = [document], 0
    while waiting and found <= 6 * MAX_SIZE:
        match waiting.pop():
            case dict() as item:
                waiting += item.values()
                found += len(item)
            case list() as item:
                waiting += item
                found += len(item)
    return found <= 6 * MAX_SIZE


def _malformed(problem: str) -> Malformed:
    return Malformed(f"the plan {problem}", fix="build the plan with the analyst's client")


def _text(value: Any) -> str:
    if not isinstance(value, str) or not 0 < len(value) <= 200:
        raise ValueError
    return value


def _integer(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError
    return value


def _measure_json(measure: Measure) -> dict[str, Any]:
    match measure:
        case CountRows():
            return {"count": "rows"}
        case CountUnits():
            return {"count": "units"}
        case CountPresent(term):
            return {"present": term_json(term)}
        case CountKnown(column):
            return {"known": column}
        case CountFilled(column):
            return {"filled": column}
        case CountValid(column):
            return {"valid": column}
        case Sum(term):
            return {"sum": term_json(term)}
        case Histogram(band):
            return {"histogram": dimension_json(band)}


def _measure(document: Any) -> Measure:
    match document:
        case {"count": "rows", **rest} if not rest:
            return CountRows()
        case {"count": "units", **rest} if not rest:
            return CountUnits()
        case {"present": term, **rest} if not rest:
            return CountPresent(read_term(term))
        case {"known": column, **rest} if not rest:
            return CountKnown(_text(column))
        case {"filled": column, **rest} if not rest:
            return CountFilled(_text(column))
        case {"valid": column, **rest} if not rest:
            return CountValid(_text(column))
        case {"sum": term, **rest} if not rest:
            return Sum(read_term(term))
        case {"histogram": band, **rest} if not rest:
            read = read_dimension(band)
            if isinstance(read, ByBand):
                return Histogram(read)
            raise ValueError
        case _:
            raise ValueError
