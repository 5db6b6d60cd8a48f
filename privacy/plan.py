"""The plan: a joint statistic as a closed, typed, canonical, hashable value.

An analyst's text ends here; what travels, is charged, hashed into the masks and printed as SQL at each node is the plan.
Every statistic is a post-processing of additive integer cells: the plan lists the cells, in one fixed order.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from math import prod
from typing import Any

from privacy import canonical
from privacy.errors import Malformed
from privacy.terms import NANO, Bounds, check_name, check_party

MAX_CELLS = 10_000
MAX_LIST = 1_000


@dataclass(frozen=True, slots=True, order=True)
class CountRows:
    """COUNT(*): rows that pass the filter."""

    @property
    def key(self) -> str:
        """Name of the cell in plans, policies and releases."""
        return "count(*)"


@dataclass(frozen=True, slots=True, order=True)
class CountPresent:
    """COUNT(column): rows whose value is not NULL (and could be read as the column's type)."""

    column: str

    @property
    def key(self) -> str:
        """Name of the cell in plans, policies and releases."""
        return f"count({self.column})"


@dataclass(frozen=True, slots=True, order=True)
class CountValid:
    """Rows whose value lies in the standard's bounds or domain: the validity metric's numerator."""

    column: str

    @property
    def key(self) -> str:
        """Name of the cell in plans, policies and releases."""
        return f"valid({self.column})"


@dataclass(frozen=True, slots=True)
class Sum:
    """SUM(column) of values clipped to ``bounds`` (integer units); NULL counts as nothing."""

    column: str
    bounds: Bounds

    @property
    def key(self) -> str:
        """Name of the cell in plans, policies and releases."""
        return f"sum({self.column})"


Measure = CountRows | CountPresent | CountValid | Sum


@dataclass(frozen=True, slots=True)
class GroupBy:
    """One grouping column with its public domain; every value gets a cell, rows outside it belong to none."""

    column: str
    domain: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class OneOf:
    """Filter: the category is one of ``values`` (NULL is not)."""

    column: str
    values: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Between:
    """Filter: the measure, before clipping, lies in the closed interval ``bounds`` (NULL does not)."""

    column: str
    bounds: Bounds


Filter = OneOf | Between


@dataclass(frozen=True, slots=True)
class Plan:
    """A joint statistic over the parties' tables of one standard, priced at ``rho`` (units of 1e-9) for each party.

    ``shared`` says how the noise is made. ``None``, standalone: each party adds its full noise, so that its guarantee
    needs nobody else. A number t: the parties share the noise, and the price holds against the asker, the exchange and
    any t of the parties together.

    ``groups`` and ``where`` are kept sorted by column, ``measures`` by key, ``parties`` by name, the values of a filter as
    text, so that two spellings of one question are one plan with one hash. A group's domain keeps its own order (that
    of the standard), in which the cells are told.
    """

    standard: str
    standard_digest: str
    purpose: str
    parties: tuple[str, ...]
    rows_per_unit: int
    institutions_per_unit: int
    groups: tuple[GroupBy, ...]
    where: tuple[Filter, ...]
    measures: tuple[Measure, ...]
    rho: int
    shared: int | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "parties", tuple(sorted(self.parties)))
        object.__setattr__(self, "groups", tuple(sorted(self.groups, key=lambda group: group.column)))
        object.__setattr__(self, "where", tuple(sorted(map(_sorted_values, self.where), key=lambda test: test.column)))
        object.__setattr__(self, "measures", tuple(sorted(self.measures, key=lambda measure: measure.key)))
        self._validate()

    def _validate(self) -> None:
        for party in self.parties:
            check_party(party)
        for column in self.columns:
            check_name(column, what="column")
        checks = {
            "names a party twice": len(set(self.parties)) == len(self.parties),
            "has no party": bool(self.parties),
            "has no measure": bool(self.measures),
            "names a measure twice": len({m.key for m in self.measures}) == len(self.measures),
            "groups twice by one column": len({g.column for g in self.groups}) == len(self.groups),
            "filters twice on one column": len({f.column for f in self.where}) == len(self.where),
            "has an empty or repeated list of values": all(
                0 < len(values) <= MAX_LIST and len(set(values)) == len(values)
                for values in [g.domain for g in self.groups] + [f.values for f in self.where if isinstance(f, OneOf)]
            ),
            "has a price outside 1e-9 to 100 rho": 0 < self.rho <= 100 * NANO,
            "shares its noise among too few": self.shared is None
            or (0 <= self.shared <= len(self.parties) - 2 and self.rho > 1),
            "has contribution bounds out of range": 0 < self.rows_per_unit <= 10_000
            and 0 < self.institutions_per_unit <= 1_000,
            f"has more than {MAX_CELLS} cells": self.groups_count * len(self.measures) <= MAX_CELLS,
        }
        for problem, holds in checks.items():
            if not holds:
                raise Malformed(f"the plan {problem}", fix="build the plan with the analyst's client")

    @property
    def columns(self) -> tuple[str, ...]:
        """Every column that the plan touches, sorted."""
        touched = {group.column for group in self.groups} | {test.column for test in self.where}
        touched |= {measure.column for measure in self.measures if not isinstance(measure, CountRows)}
        return tuple(sorted(touched))

    @property
    def counted(self) -> int:
        """How many parties' noise the price counts on: one if standalone, else all but the ``shared`` that may collude."""
        return 1 if self.shared is None else len(self.parties) - self.shared

    @property
    def groups_count(self) -> int:
        """Number of groups, the whole table being one group."""
        return prod(len(group.domain) for group in self.groups)

    @property
    def cells_count(self) -> int:
        """Number of additive integer cells: groups times measures."""
        return self.groups_count * len(self.measures)

    def cells(self) -> Iterator[tuple[Measure, tuple[str, ...]]]:
        """Yield every cell in the order in which it is packed: by measure, then by group values."""
        for measure in self.measures:
            for values in product(*(group.domain for group in self.groups)):
                yield measure, values

    def place(self, measure: str, group: tuple[str, ...]) -> int:
        """Return where the cell of a measure's key and a group stands in the order of :meth:`cells`.

        Raises:
            KeyError: if the plan has no such cell.
        """
        try:
            place = [held.key for held in self.measures].index(measure)
            for by, value in zip(self.groups, group, strict=True):
                place = place * len(by.domain) + by.domain.index(value)
        except ValueError:
            raise KeyError(measure) from None
        return place

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
            "groups": [{"column": group.column, "domain": list(group.domain)} for group in self.groups],
            "where": [_filter_json(test) for test in self.where],
            "measures": [_measure_json(measure) for measure in self.measures],
            "rho": self.rho,
            "shared": self.shared,
        }

    @classmethod
    def from_json(cls, document: Any) -> "Plan":
        """Parse a plan's JSON object; only the canonical spelling is accepted.

        Raises:
            Malformed: if a field is missing, extra, mistyped or not in canonical order.
        """
        try:
            plan = cls(
                standard=_text(document["standard"]),
                standard_digest=_text(document["standard_digest"]),
                purpose=_text(document["purpose"]),
                parties=tuple(_text(party) for party in document["parties"]),
                rows_per_unit=_integer(document["rows_per_unit"]),
                institutions_per_unit=_integer(document["institutions_per_unit"]),
                groups=tuple(
                    GroupBy(_text(group["column"]), tuple(_text(value) for value in group["domain"]))
                    for group in document["groups"]
                ),
                where=tuple(_filter(test) for test in document["where"]),
                measures=tuple(_measure(measure) for measure in document["measures"]),
                rho=_integer(document["rho"]),
                shared=None if document["shared"] is None else _integer(document["shared"]),
            )
        except (KeyError, TypeError, ValueError, AttributeError):
            raise Malformed("the document is not a plan", fix="build the plan with the analyst's client") from None
        if plan.to_json() != document:
            raise Malformed("the plan is not in canonical form", fix="build the plan with the analyst's client")
        return plan


def _text(value: Any) -> str:
    if not isinstance(value, str) or not 0 < len(value) <= 200:
        raise ValueError
    return value


def _integer(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError
    return value


def _sorted_values(test: Filter) -> Filter:
    return OneOf(test.column, tuple(sorted(test.values))) if isinstance(test, OneOf) else test


def _filter_json(test: Filter) -> dict[str, Any]:
    if isinstance(test, OneOf):
        return {"column": test.column, "one_of": list(test.values)}
    return {"column": test.column, "between": [test.bounds.lower, test.bounds.upper]}


def _filter(document: Any) -> Filter:
    column = _text(document["column"])
    if "one_of" in document:
        return OneOf(column, tuple(_text(value) for value in document["one_of"]))
    lower, upper = document["between"]
    return Between(column, Bounds(lower, upper))


def _measure_json(measure: Measure) -> dict[str, Any]:
    match measure:
        case CountRows():
            return {"count": "*"}
        case CountPresent(column):
            return {"count": column}
        case CountValid(column):
            return {"valid": column}
        case Sum(column, bounds):
            return {"sum": column, "bounds": [bounds.lower, bounds.upper]}


def _measure(document: Any) -> Measure:
    if "sum" in document:
        lower, upper = document["bounds"]
        return Sum(_text(document["sum"]), Bounds(lower, upper))
    if "valid" in document:
        return CountValid(_text(document["valid"]))
    column = _text(document["count"])
    return CountRows() if column == "*" else CountPresent(column)
