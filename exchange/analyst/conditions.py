"""Tests in one normal form, so that spellings of one condition are one condition, and conditions that say nothing are seen.

Where these tests stand a row counts if they are true: false and unknown are one. So a negation must have been pushed down
to single comparisons before (``reading`` does it while it reads, by De Morgan's laws, which hold in three-valued logic);
from then on tests on one column are merged, and what another test already says is left out.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from privacy.expression import (
    AllOf,
    AnyOf,
    Between,
    Choice,
    Missing,
    Not,
    OneOf,
    Range,
    Term,
    Test,
    extent,
    values,
    walk,
)
from privacy.terms import Bounds, Standard

Span = tuple[int, int]
"""A closed interval of whole numbers."""


class Never(Exception):
    """No row can pass."""


class Always(Exception):
    """Every row with a value passes."""


@dataclass(frozen=True, slots=True)
class Logic:
    """Merges tests over the columns of a standard, clipped to ``bounds``."""

    standard: Standard
    bounds: Mapping[str, Bounds]

    def within(self, term: Term, spans: Iterable[Span]) -> Test:
        """Return the test that a term lies in one of some intervals.

        Raises:
            Never, Always: if it cannot, or must.
            Malformed: if the term can outgrow the engine's arithmetic.
        """
        low, high = extent(term, self.bounds)
        cut = [(max(first, low), min(last, high)) for first, last in spans]
        return self._told(term, (low, high), _joined(span for span in cut if span[0] <= span[1]))

    def one_of(self, column: str, listed: Iterable[str]) -> Test:
        """Return the test that a category is one of some values; all of its domain: that it is known.

        Raises:
            Never: if there are none.
        """
        domain = self.standard.column(column).domain
        kept = frozenset(listed)
        if not kept:
            raise Never
        return Not(Missing(column)) if domain and kept >= set(domain) else OneOf(column, tuple(kept))

    def both(self, tests: Iterable[Test]) -> Test:
        """Return one test that is true where all are.

        Raises:
            Never: if that is nowhere.
        """
        gathered = self._gather(tests, AllOf)
        merged: list[Test] = []
        for term, held in gathered.spans.items():
            low, high = extent(term, self.bounds)
            merged.append(self._told(term, (low, high), _met([(low, high)], *held)))
        for column, sets in gathered.chosen.items():
            merged.append(self.one_of(column, frozenset.intersection(*sets)))
        there = {column for test in merged for column in present(test)}
        if gathered.missing & (gathered.filled | there):
            raise Never
        merged += [Not(Missing(column)) for column in sorted(gathered.filled - there)]
        merged += [Missing(column) for column in sorted(gathered.missing)]
        said = {*merged, *(Not(Missing(column)) for column in there)}
        rest = [test for test in gathered.rest if not (isinstance(test, AnyOf) and said & set(test.tests))]
        return _one(AllOf, [*merged, *rest])

    def either(self, tests: Iterable[Test]) -> Test:
        """Return one test that is true where at least one is.

        Raises:
            Always: if every row with a value passes.
        """
        gathered = self._gather(tests, AnyOf)
        merged: list[Test] = []
        for term, held in gathered.spans.items():
            joined = _joined(span for spans in held for span in spans)
            merged.append(self._told(term, extent(term, self.bounds), joined))
        for column, sets in gathered.chosen.items():
            merged.append(self.one_of(column, frozenset.union(*sets)))
        filled = gathered.filled | {
            test.test.column for test in merged if isinstance(test, Not) and isinstance(test.test, Missing)
        }
        if filled & gathered.missing:
            raise Always
        merged = [test for test in merged if not (present(test) & filled)]
        merged += [Not(Missing(column)) for column in sorted(filled)]
        merged += [Missing(column) for column in sorted(gathered.missing)]
        whole = set(merged)
        rest = [test for test in gathered.rest if not (isinstance(test, AllOf) and whole & set(test.tests))]
        return _one(AnyOf, [*merged, *rest])

    def _told(self, term: Term, room: Range, spans: Sequence[Span]) -> Test:
        if not spans:
            raise Never
        if list(spans) == [room]:
            raise Always
        parts: list[Test] = [
            Between(term, None if low == room[0] else low, None if high == room[1] else high) for low, high in spans
        ]
        return parts[0] if len(parts) == 1 else AnyOf(tuple(parts))

    def _gather(self, tests: Iterable[Test], kind: type[AllOf | AnyOf]) -> "_Gathered":
        found = _Gathered()
        for test in _flat(tests, kind):
            # within AND, a union of intervals of one term is itself a set of that term
            parts = test.tests if kind is AllOf and isinstance(test, AnyOf) else (test,)
            terms = {part.term if isinstance(part, Between) else None for part in parts}
            term = next(iter(terms)) if len(terms) == 1 else None
            if term is not None:
                low, high = extent(term, self.bounds)
                spans = [
                    (low if part.lower is None else part.lower, high if part.upper is None else part.upper)
                    for part in parts
                    if isinstance(part, Between)
                ]
                found.spans.setdefault(term, []).append(spans)
                continue
            match test:
                case OneOf(column, listed):
                    found.chosen.setdefault(column, []).append(frozenset(listed))
                case Missing(column):
                    found.missing.add(column)
                case Not(Missing(column)):
                    found.filled.add(column)
                case _:
                    found.rest.append(test)
        return found


@dataclass(slots=True)
class _Gathered:
    spans: dict[Term, list[list[Span]]] = field(default_factory=dict)
    chosen: dict[str, list[frozenset[str]]] = field(default_factory=dict)
    missing: set[str] = field(default_factory=set)
    filled: set[str] = field(default_factory=set)
    rest: list[Test] = field(default_factory=list)


def conjuncts(test: Test) -> tuple[Test, ...]:
    """Return the tests that must all be true for a test to be."""
    return test.tests if isinstance(test, AllOf) else (test,)


def _flat(tests: Iterable[Test], kind: type[AllOf | AnyOf]) -> Iterator[Test]:
    for test in tests:
        if isinstance(test, kind):
            yield from test.tests
        else:
            yield test


def present(test: Test) -> frozenset[str]:
    """Return the columns that surely have a value where a test is true."""
    match test:
        case OneOf(column):
            return frozenset({column})
        case Between(term):
            return frozenset() if any(isinstance(part, Choice) for part in walk(term)) else values(term)
        case Not(Missing(column)):
            return frozenset({column})
        case AllOf(tests):
            return frozenset[str]().union(*map(present, tests))
        case AnyOf(tests):
            return frozenset.intersection(*map(present, tests))
        case _:
            return frozenset()


def _joined(spans: Iterable[Span]) -> list[Span]:
    """Union of intervals of whole numbers; neighbours become one."""
    found: list[Span] = []
    for low, high in sorted(spans):
        if found and low <= found[-1][1] + 1:
            found[-1] = found[-1][0], max(found[-1][1], high)
        else:
            found.append((low, high))
    return found


def _met(*sets: Sequence[Span]) -> list[Span]:
    """Intersection of unions of intervals."""
    first, *others = sets
    kept = list(first)
    for other in others:
        kept = [
            (max(low, bottom), min(high, top))
            for low, high in kept
            for bottom, top in other
            if max(low, bottom) <= min(high, top)
        ]
    return _joined(kept)


def _one(kind: type[AllOf | AnyOf], tests: Sequence[Test]) -> Test:
    told = list(dict.fromkeys(tests))
    return told[0] if len(told) == 1 else kind(tuple(told))
