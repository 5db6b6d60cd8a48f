"""The cheapest prices meet every target, and no others do for less."""

from math import sqrt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exchange.analyst.pricing import Target, cheapest
from privacy.errors import Refused

costs = st.dictionaries(st.sampled_from("abc"), st.floats(1e6, 1e12), min_size=1)
targets = st.lists(st.builds(Target, costs, st.floats(1.0, 1e3)), min_size=1, max_size=4)


def variance(target, prices):
    return sum(cost / prices[measure] for measure, cost in target.costs.items())


@given(targets)
def test_every_target_is_met(asked):
    try:
        prices = cheapest(asked, measures="abc")
    except Refused:
        return
    assert all(variance(target, prices) <= target.variance * (1 + 1e-9) for target in asked)


@given(targets, st.lists(st.floats(0.2, 5), min_size=3, max_size=3))
def test_other_prices_that_meet_the_targets_cost_more(asked, factors):
    """Any other point of the feasible set, found by scaling random prices, is no cheaper (within rounding)."""
    try:
        found = cheapest(asked, measures="abc")
    except Refused:
        return
    other = {measure: found[measure] * factor for measure, factor in zip("abc", factors, strict=True)}
    excess = max(variance(target, other) / target.variance for target in asked)
    used = {measure for target in asked for measure in target.costs}
    assert sum(other[m] * excess for m in used) >= (sum(found[m] for m in used) - 3) * 0.995


def test_a_single_figure_is_split_by_the_roots_of_its_costs():
    prices = cheapest([Target({"sum": 4e9, "count": 1e9}, 100.0)], measures=["count", "sum", "other"])
    assert prices["sum"] / prices["count"] == pytest.approx(2, rel=1e-6)
    assert prices["other"] == 1
    assert prices["sum"] + prices["count"] == pytest.approx((sqrt(4e9) + sqrt(1e9)) ** 2 / 100, rel=1e-6)


def test_what_no_budget_reaches_is_refused():
    with pytest.raises(Refused, match="exact"):
        cheapest([Target({"a": 1.0}, 0.0)], measures="a")
    with pytest.raises(Refused, match="no budget"):
        cheapest([Target({"a": 1e30}, 1.0)], measures="a")
