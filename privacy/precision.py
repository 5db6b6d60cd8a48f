"""How exact an answer would be, against the least error that an owner grants: half-widths of 95 % intervals, exactly.

A sum's half-width is told in the column's integer units: what a term multiplies a column by, or shifts it by, does not count.
It is that of the joint answer over all parties of the plan. Source: PROOFS 8.5.
"""

from collections.abc import Iterator, Mapping
from fractions import Fraction

from privacy.atoms import ROWS
from privacy.errors import Malformed, Refused
from privacy.expression import extent, summed
from privacy.plan import Measure, Plan, Sum
from privacy.sensitivity import calibrate, weight

_SQUARED_DEVIATIONS = Fraction(196, 100) ** 2
"""Deviations on each side of a 95 % interval, squared."""

_ROUNDS = 40


def finer(plan: Plan, finest: Mapping[str, int]) -> frozenset[str]:
    """Return the columns (``*``: counts) whose sums would be more exact than the least half-width granted.

    A plan that no noise protects is too exact for all of them.
    """
    if not finest:
        return frozenset()
    try:
        return frozenset(column for _, column, squared in _squares(plan) if squared < finest.get(column, 0) ** 2)
    except Refused:
        return frozenset(finest)


def lowered(plan: Plan, finest: Mapping[str, int]) -> Plan | None:
    """Return the plan at the price that keeps to the least half-widths, split as before; nothing if none does."""
    for _ in range(_ROUNDS):
        if not finer(plan, finest):
            return plan
        try:
            least = min(squared / finest[column] ** 2 for _, column, squared in _squares(plan) if finest.get(column))
            # noise scales are rounded up: a little below what the ratio says
            plan = plan.priced(int(plan.rho * min(least, Fraction(1)) * Fraction(999, 1000)))
        except (Malformed, Refused):
            return None
    return None


def _squares(plan: Plan) -> Iterator[tuple[Measure, str, Fraction]]:
    """Yield each measure with each column that it adds up (``*`` where it counts) and its squared half-width."""
    for scale in calibrate(plan):
        squared = _SQUARED_DEVIATIONS * len(plan.parties) * (scale.sigma * scale.grain) ** 2
        spans = _spans(plan, scale.measure)
        if not spans:
            yield scale.measure, ROWS, squared / weight(plan, scale.measure) ** 2
        for column, part in spans.items():
            yield scale.measure, column, squared * part**2


def _spans(plan: Plan, measure: Measure) -> dict[str, Fraction]:
    """Return by column that a measure adds up how wide its range is, as a part of the whole term's."""
    if not isinstance(measure, Sum):
        return {}
    low, high = extent(measure.term, plan.clipped)
    held = {column: plan.clipped[column] for column, _ in summed(measure.term)}
    if low == high:
        return {}
    return {name: Fraction(one.upper - one.lower, high - low) for name, one in held.items() if one.lower < one.upper}
