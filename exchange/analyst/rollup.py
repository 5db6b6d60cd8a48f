"""Which cells of one plan add up to the cells of another: answers that cost nothing.

A stored release of a finer question answers a coarser one by addition, which is post-processing (Dwork and Roth 2014,
section 2.1): fewer groups, merged bands, years from months, a filter on something that was grouped by. It does so only
where the cells are exactly the same rows; where that cannot be told from the two plans, there is no derivation.
"""

from collections.abc import Callable, Mapping
from itertools import product

from privacy.expression import (
    AllOf,
    AnyOf,
    Between,
    ByBand,
    ByCase,
    ByCategory,
    ByDate,
    Dimension,
    Missing,
    Not,
    OneOf,
    Test,
    Value,
    date_code,
    date_label,
    known,
    tested,
)
from privacy.plan import CountUnits, Plan, width
from privacy.terms import UNKNOWN

Places = tuple[tuple[int, ...], ...]
"""For each wanted cell, the numbers of the stored cells that add up to it."""

Domains = Mapping[str, tuple[str, ...]]
"""The public values of each category."""

LabelMap = Mapping[str, str | None]
"""Where each stored label's rows go: to a wanted label, or nowhere."""

_COARSER = {
    "year-month": ("year", "month", "year-quarter", "quarter"),
    "year-quarter": ("year", "quarter"),
    "month": ("quarter",),
}
"""Date parts that follow from a finer one."""


def derive(stored: Plan, wanted: Plan, domains: Domains) -> Places | None:
    """Return how the cells of ``wanted`` are sums of cells of ``stored``, or nothing if they are not.

    ``domains`` are the standard's. Price and split of the price play no part: the stored answer has the error that it has.
    """
    if _frame(stored) != _frame(wanted) or not set(wanted.measures) <= set(stored.measures):
        return None
    if any(wanted.clipped.get(column, bounds) != bounds for column, bounds in stored.bounds):
        return None
    if not set(stored.where) <= set(wanted.where):
        return None
    extra = [test for test in wanted.where if test not in stored.where]
    kept = _kept(stored, extra, domains)
    maps = _maps(stored, wanted, kept, domains) if kept is not None else None
    if kept is None or maps is None:
        return None
    finest = stored.groups == wanted.groups and not extra
    if not finest and any(isinstance(measure, CountUnits) for measure in wanted.measures):
        return None  # a person of two groups would count twice
    return _places(stored, wanted, kept=kept, maps=maps)


def _frame(plan: Plan) -> tuple[object, ...]:
    """What must be the same for rows to be the same rows, bounded the same way, for the same purpose."""
    return (
        plan.standard_digest,
        plan.purpose,
        plan.parties,
        plan.rows_per_unit,
        plan.institutions_per_unit,
    )


def _values(by: ByCategory, label: str | None, domains: Domains) -> tuple[str | None, ...]:
    """Return the values that rows under a label can have; ``None`` is NULL. Without a label: those of rows in no cell."""
    rest = (None, *(value for value in domains.get(by.column, ()) if value not in by.labels))
    if label is None:
        return () if UNKNOWN in by.labels else rest
    return rest if label == UNKNOWN else (label,)


def _kept(stored: Plan, extra: list[Test], domains: Domains) -> list[frozenset[str]] | None:
    """Return the labels of each stored dimension whose rows pass the extra tests; nothing if labels cannot decide them."""
    kept = [frozenset(by.labels) for by in stored.groups]
    for test in extra:
        columns = tested(test)
        for index, by in enumerate(stored.groups):
            decided = _decided(by, test, domains) if {getattr(by, "column", None)} == columns else None
            if decided is not None:
                kept[index] &= decided
                break
        else:
            return None
    return kept


def _decided(by: Dimension, test: Test, domains: Domains) -> frozenset[str] | None:
    """Return the labels all of whose rows pass ``test``, if each label's rows pass it together or fail it together."""
    match by:
        case ByCategory():
            passing = {label: {holds(test, v) is True for v in _values(by, label, domains)} for label in by.labels}
            lost = any(holds(test, value) is True for value in _values(by, None, domains))
            if lost or any(len(found) > 1 for found in passing.values()):
                return None
            return frozenset(label for label, found in passing.items() if True in found)
        case ByBand():
            return _bands_within(by, test)
        case _:
            return None


def _bands_within(by: ByBand, test: Test) -> frozenset[str] | None:
    match test:
        case Between(Value(), lower, upper):
            pass
        case Not(Missing()) if UNKNOWN not in by.labels:
            return frozenset(by.labels)
        case _:
            return None
    inside = set()
    last = len(by.edges) - 2
    for index, label in enumerate(by.labels):
        if label == UNKNOWN:
            return None  # values beyond the outer edges are there together with NULL
        low, high = by.edges[index], by.edges[index + 1] - (index < last)
        within = (lower is None or lower <= low) and (upper is None or high <= upper)
        beyond = (lower is not None and high < lower) or (upper is not None and upper < low)
        if within:
            inside.add(label)
        elif not beyond:
            return None
    return frozenset(inside)


def holds(test: Test, value: str | None) -> bool | None:
    """Return whether a test on one category holds for ``value``, in SQL's three-valued logic (``None`` is NULL, unknown).

    Raises:
        KeyError: if the test is not one on a category alone.
    """
    match test:
        case OneOf(_, values):
            return None if value is None else value in values
        case Missing():
            return value is None
        case Not(inner):
            found = holds(inner, value)
            return None if found is None else not found
        case AllOf(tests):
            told = [holds(inner, value) for inner in tests]
            return False if False in told else None if None in told else True
        case AnyOf(tests):
            told = [holds(inner, value) for inner in tests]
            return True if True in told else None if None in told else False
        case Between():
            raise KeyError(str(test))


def _maps(
    stored: Plan, wanted: Plan, kept: list[frozenset[str]], domains: Domains
) -> list[tuple[int, LabelMap]] | None:
    """Return for each wanted dimension the stored one that it is derived from (by number) and where its labels go.

    Nothing if one has no source, or a stored dimension that falls away does not hold all rows that are wanted.
    """
    maps: list[tuple[int, LabelMap]] = []
    for by in wanted.groups:
        for index, held in enumerate(stored.groups):
            found = _coarser(held, by, kept[index], domains)
            if found is not None:
                maps.append((index, found))
                break
        else:
            return None
    used = {index for index, _ in maps}
    for index, by in enumerate(stored.groups):
        # rows without a label are in no cell: a dimension can fall away only if there are none, or none are wanted
        if index not in used and not _holds_all(by, wanted, domains):
            return None
    return maps


def _holds_all(by: Dimension, wanted: Plan, domains: Domains) -> bool:
    """Whether every row that passes the wanted filter has a label of ``by``."""
    match by:
        case ByCategory(column):
            lost = _values(by, None, domains)
            tests = [test for test in wanted.where if tested(test) == {column}]
            return not lost or any(all(holds(test, value) is not True for value in lost) for test in tests)
        case ByCase(_, otherwise):
            return otherwise is not None
        case _:
            return UNKNOWN in by.labels


def _coarser(held: Dimension, by: Dimension, kept: frozenset[str], domains: Domains) -> LabelMap | None:
    """Return where each label of ``held`` that is kept goes among the labels of ``by``, if that is the same for all its rows."""
    if held == by:
        return {label: label for label in kept}
    match held, by:
        case ByCategory(column), ByCategory(other) if column == other:
            return _regrouped(held, kept, domains, lambda value: _named(by, value))
        case ByCategory(column), ByCase(cases, otherwise) if all(tested(test) == {column} for test, _ in cases):
            return _regrouped(held, kept, domains, lambda value: _case(cases, otherwise, value))
        case ByBand(column, edges), ByBand(other, fewer) if column == other and set(fewer) <= set(edges):
            # the last band holds its upper edge: elsewhere that value belongs to the next band
            whole = edges[-1] == fewer[-1] and (UNKNOWN in held.labels or UNKNOWN not in by.labels)
            return {label: _band(held, by, label) for label in kept} if whole else None
        case ByDate(column, part, labels), ByDate(other, wider) if column == other:
            whole = wider in _COARSER.get(part, ()) and (UNKNOWN in labels or UNKNOWN not in by.labels)
            if not whole or not _whole_parts(part, wider, labels):
                return None
            made = {label: _date(part, wider, label) for label in labels}
            if not set(known(by)) <= set(made.values()):
                return None
            rest = UNKNOWN if UNKNOWN in by.labels else None
            return {label: made[label] if made[label] in by.labels else rest for label in kept}
        case _:
            return None


def _regrouped(
    held: ByCategory, kept: frozenset[str], domains: Domains, goes: Callable[[str | None], str | None]
) -> LabelMap | None:
    """Return where the labels of a category go, if all values under a label go together and no row in no cell is wanted."""
    targets = {label: {goes(value) for value in _values(held, label, domains)} for label in kept}
    if any(len(found) > 1 for found in targets.values()):
        return None
    if any(goes(value) is not None for value in _values(held, None, domains)):
        return None
    return {label: found.pop() for label, found in targets.items()}


def _named(by: ByCategory, value: str | None) -> str | None:
    rest = UNKNOWN if UNKNOWN in by.labels else None
    return value if value in by.labels else rest


def _whole_parts(part: str, wider: str, labels: tuple[str, ...]) -> bool:
    """Whether the stored labels hold every year, quarter or month of the years that they touch, so that none is cut short."""
    codes = sorted(date_code(part, label) for label in labels if label != UNKNOWN)
    if part == "month":
        return len(codes) == 12
    per_year = 12 if part == "year-month" else 4
    size = per_year if wider in ("year", "month", "quarter") else 3
    return codes == list(range(codes[0], codes[-1] + 1)) and codes[0] % size == 0 and (codes[-1] + 1) % size == 0


def _case(cases: tuple[tuple[Test, str], ...], otherwise: str | None, value: str | None) -> str | None:
    return next((label for test, label in cases if holds(test, value) is True), otherwise)


def _band(held: ByBand, by: ByBand, label: str) -> str | None:
    rest = UNKNOWN if UNKNOWN in by.labels else None
    if label == UNKNOWN:
        return rest
    low = held.edges[held.labels.index(label)]
    for index in range(len(by.edges) - 1):
        if by.edges[index] <= low < by.edges[index + 1]:
            return by.labels[index]
    return rest


def _date(part: str, wider: str, label: str) -> str | None:
    if label == UNKNOWN:
        return None
    code = date_code(part, label)
    if part == "month":
        return date_label("quarter", (code - 1) // 3 + 1)
    per_year = 12 if part == "year-month" else 4
    year, rest = divmod(code, per_year)
    quarter = rest // 3 if part == "year-month" else rest
    wide = {"year": year, "month": rest + 1, "quarter": quarter + 1, "year-quarter": 4 * year + quarter}
    return date_label(wider, wide[wider])


def _places(stored: Plan, wanted: Plan, *, kept: list[frozenset[str]], maps: list[tuple[int, LabelMap]]) -> Places:
    """Collect for each wanted cell the stored cells that add up to it."""
    gathered: list[list[int]] = [[] for _ in range(wanted.cells_count)]
    starts = {measure: wanted.places(measure.key).start for measure in wanted.measures}
    groups = list(product(*(by.labels for by in stored.groups)))
    targets: list[int | None] = [_target(wanted, labels, kept=kept, maps=maps) for labels in groups]
    place = 0
    for measure in stored.measures:
        for target in targets:
            for slot in range(width(measure)):
                if target is not None and measure in starts:
                    gathered[starts[measure] + target * width(measure) + slot].append(place)
                place += 1
    return tuple(map(tuple, gathered))


def _target(
    wanted: Plan, labels: tuple[str, ...], *, kept: list[frozenset[str]], maps: list[tuple[int, LabelMap]]
) -> int | None:
    """Return the number of the wanted group that a stored group's rows belong to, if any."""
    if any(label not in held for label, held in zip(labels, kept, strict=True)):
        return None
    number = 0
    for by, (index, found) in zip(wanted.groups, maps, strict=True):
        goes = found[labels[index]]
        if goes is None:
            return None
        number = number * len(by.labels) + by.labels.index(goes)
    return number
