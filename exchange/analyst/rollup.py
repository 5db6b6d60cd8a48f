"""Which cells of one plan add up to the cells of another: answers that cost nothing.

A stored release of a finer question answers a coarser one by addition, which is post-processing (Dwork and Roth 2014,
section 2.1): fewer groups, merged bands, years from months, a filter on something that was grouped by. It does so only
where the cells are exactly the same rows; where that cannot be told from the two plans, there is no derivation.
"""

from collections.abc import Callable, Mapping
from itertools import product

from privacy.expression import (
    UNKNOWN,
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
    tested,
)
from privacy.plan import CountUnits, Plan, width

Places = tuple[tuple[int, ...], ...]
"""For each wanted cell, the numbers of the stored cells that add up to it."""

LabelMap = Mapping[str, str | None]
"""Where each stored label's rows go: to a wanted label, or nowhere."""

_COARSER = {
    "year-month": ("year", "month", "year-quarter", "quarter"),
    "year-quarter": ("year", "quarter"),
    "month": ("quarter",),
}
"""Date parts that follow from a finer one."""


def derive(stored: Plan, wanted: Plan) -> Places | None:
    """Return how the cells of ``wanted`` are sums of cells of ``stored``, or nothing if they are not.

    Price and split of the price play no part: the stored answer has the error that it has.
    """
    if _frame(stored) != _frame(wanted) or not set(wanted.measures) <= set(stored.measures):
        return None
    if any(wanted.clipped.get(column, bounds) != bounds for column, bounds in stored.bounds):
        return None
    if not set(stored.where) <= set(wanted.where):
        return None
    extra = [test for test in wanted.where if test not in stored.where]
    kept = _kept(stored, extra)
    maps = _maps(stored, wanted, kept) if kept is not None else None
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


def _kept(stored: Plan, extra: list[Test]) -> list[frozenset[str]] | None:
    """Return the labels of each stored dimension whose rows pass the extra tests; nothing if labels cannot decide them."""
    kept = [frozenset(by.labels) for by in stored.groups]
    for test in extra:
        columns = tested(test)
        for index, by in enumerate(stored.groups):
            decided = _decided(by, test) if getattr(by, "column", None) in columns and len(columns) == 1 else None
            if decided is not None:
                kept[index] &= decided
                break
        else:
            return None
    return kept


def _decided(by: Dimension, test: Test) -> frozenset[str] | None:
    """Return the labels all of whose rows pass ``test``, if each label's rows pass it together or fail it together."""
    match by:
        case ByCategory():
            return frozenset(label for label in by.labels if holds(test, None if label == UNKNOWN else label) is True)
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


def _maps(stored: Plan, wanted: Plan, kept: list[frozenset[str]]) -> list[tuple[int, LabelMap]] | None:
    """Return for each wanted dimension the stored one that it is derived from (by number) and where its labels go.

    Nothing if one has no source, or a stored dimension that falls away does not hold all rows that are wanted.
    """
    maps: list[tuple[int, LabelMap]] = []
    for by in wanted.groups:
        for index, held in enumerate(stored.groups):
            found = _coarser(held, by, kept[index])
            if found is not None:
                maps.append((index, found))
                break
        else:
            return None
    used = {index for index, _ in maps}
    for index, by in enumerate(stored.groups):
        # rows without a label are in no cell: a dimension can fall away only if there are none, or none are wanted
        if index not in used and not _holds_all(by, wanted):
            return None
    return maps


def _holds_all(by: Dimension, wanted: Plan) -> bool:
    """Whether every row that passes the wanted filter has a label of ``by``."""
    match by:
        case ByCategory(column, labels) if UNKNOWN not in labels:
            return any(
                isinstance(t, OneOf) and t.column == column and set(t.values) <= set(labels) for t in wanted.where
            )
        case ByCase(_, otherwise):
            return otherwise is not None
        case _:
            return UNKNOWN in by.labels


def _coarser(held: Dimension, by: Dimension, kept: frozenset[str]) -> LabelMap | None:
    """Return where each label of ``held`` that is kept goes among the labels of ``by``, if that is the same for all its rows."""
    if held == by:
        return {label: label for label in kept}
    target = _target_of(held, by)
    if target is None:
        return None
    rest = UNKNOWN in by.labels
    if UNKNOWN not in held.labels:
        # rows without a stored label are in no cell: none of them may be wanted
        lost = _case(by.cases, by.otherwise, None) if isinstance(by, ByCase) else None
        if rest or lost is not None:
            return None
    if not _covers(held, by):
        return None
    goes = {label: target(label) for label in kept}
    return {label: to if to in by.labels else UNKNOWN if rest else None for label, to in goes.items()}


def _target_of(held: Dimension, by: Dimension) -> Callable[[str], str | None] | None:
    """Return the function that tells where a stored label's rows go, if the two dimensions are of one column."""
    match held, by:
        case ByCategory(column), ByCategory(other) if column == other:
            return lambda label: label
        case ByCategory(column), ByCase(cases, otherwise) if all(tested(test) == {column} for test, _ in cases):
            return lambda label: _case(cases, otherwise, None if label == UNKNOWN else label)
        case ByBand(column, edges), ByBand(other, fewer) if column == other and set(fewer) <= set(edges):
            # the last band holds its upper edge: elsewhere that value belongs to the next band
            return (lambda label: _band(held, by, label)) if edges[-1] == fewer[-1] else None
        case ByDate(column, part), ByDate(other, wider) if column == other and wider in _COARSER.get(part, ()):
            return lambda label: _date(part, wider, label)
        case _:
            return None


def _covers(held: Dimension, by: Dimension) -> bool:
    """Whether every wanted label can be made of stored labels at all."""
    match held, by:
        case ByCategory(_, labels), ByCategory(_, wanted):
            return set(wanted) - {UNKNOWN} <= set(labels)
        case ByCategory(_, labels), ByCase(cases):
            named = {value for test, _ in cases for value in _named(test)}
            return named <= set(labels)
        case ByDate(_, part, labels), ByDate(_, wider, wanted):
            made = {_date(part, wider, label) for label in labels if label != UNKNOWN}
            return set(wanted) - {UNKNOWN} <= made and _whole_parts(part, wider, labels)
        case _:
            return True


def _named(test: Test) -> frozenset[str]:
    match test:
        case OneOf(_, values):
            return frozenset(values)
        case AllOf(tests) | AnyOf(tests):
            return frozenset[str]().union(*map(_named, tests))
        case Not(inner):
            return _named(inner)
        case _:
            return frozenset()


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
    if label == UNKNOWN:
        return None
    low = held.edges[held.labels.index(label)]
    for index in range(len(by.edges) - 1):
        if by.edges[index] <= low < by.edges[index + 1]:
            return by.labels[index]
    return None


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
    starts = {}
    start = 0
    for measure in wanted.measures:
        starts[measure] = start
        start += wanted.groups_count * width(measure)
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
