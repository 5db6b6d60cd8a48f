"""What a hostile report costs: lists and work are bounded before anything is computed, and the refusal names the limit."""

import copy
import json
from contextlib import suppress
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.test_pledge import leaves
from tests.test_valuation import changed
from tests.test_valuation_reconcile import INPUTS, REPORT, spread
from valuation.effort import LISTS, MOST_STEPS, check_lists, steps
from valuation.errors import OutOfRange, WrongType
from valuation.evidence import Evidence
from valuation.facts import Facts
from valuation.judgement import DRIVERS, MOST_DRAWS, Judgement
from valuation.report import perform, verify


def counted(inputs):
    return steps(
        Facts.from_json(inputs["facts"]),
        Evidence.from_json(inputs["evidence"]),
        Judgement.from_json(inputs["method"]["judgement"]),
    )


def with_years(inputs, years, copies=1):
    """The inputs with so many years of income, each of so many lines of each kind."""
    inputs = copy.deepcopy(inputs)
    lines = {line["kind"]: line for line in inputs["facts"]["income"]["lines"]}
    inputs["facts"]["income"]["lines"] = [
        {**line, "year": year} for year in range(1, years + 1) for line in lines.values() for _ in range(copies)
    ]
    return inputs


def longest(path, inputs):
    """The inputs with the list at ``path`` one longer than it may be."""
    walk, inputs = path.replace("[]", ".0").split("."), copy.deepcopy(inputs)
    inner = inputs
    for key in walk[:-1]:
        inner = inner[int(key)] if isinstance(inner, list) else inner.setdefault(key, {})
    items = [{}] * (LISTS[path] + 1)
    inner[walk[-1]] = items if len(walk[-1]) % 2 else {str(place): item for place, item in enumerate(items)}
    return inputs


@pytest.mark.parametrize("path", LISTS)
def test_a_list_that_is_too_long_is_refused_by_its_name_and_most(path):
    with pytest.raises(OutOfRange) as caught:
        perform(
            longest(path, INPUTS)
            if "claim" not in path
            else longest(path, changed(("facts", "income", "claim"), {}, INPUTS))
        )
    assert caught.value.key == f"inputs.{path}".replace("[]", "[0]")
    assert caught.value.allowed == f"lists of at most {LISTS[path]} elements"


def test_the_largest_honest_appraisal_is_within_bounds():
    inputs = with_years(INPUTS, 30)
    judgement = inputs["method"]["judgement"] | {"draws": MOST_DRAWS}
    judgement["spreads"] = [spread(driver, "0.9", "1" if driver == "quality" else "1.1") for driver in DRIVERS]
    inputs["method"]["judgement"] = judgement
    assert sum(counted(inputs).values()) < MOST_STEPS


def test_work_is_counted_and_refused_before_any_of_it():
    inputs = with_years(INPUTS, 30, copies=10)
    judgement = inputs["method"]["judgement"] | {"draws": MOST_DRAWS}
    judgement["scenarios"] = [{"name": str(n), "reason": "r", "factors": {"level": "0.9"}} for n in range(50)]
    judgement["spreads"] = [spread(driver, "0.9", "1" if driver == "quality" else "1.1") for driver in DRIVERS]
    inputs["method"]["judgement"] = judgement
    # a gate that is closed, too, is never looked at
    inputs["facts"]["legal"]["owner_form"] = "government"
    assert sum(counted(inputs).values()) > MOST_STEPS
    for ask in (perform, lambda hostile: verify({**REPORT, "inputs": hostile})):
        with pytest.raises(OutOfRange) as caught:
            ask(inputs)
        assert caught.value.key == "inputs.facts.income.lines"
        assert str(MOST_STEPS) in caught.value.allowed


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 12), st.integers(1, 3), st.integers(100, MOST_DRAWS), st.integers(1, 300))
def test_more_of_anything_is_more_work(years, copies, draws, more):
    fewer = with_years(INPUTS, years, copies)
    fewer["method"]["judgement"]["draws"] = draws
    base = sum(counted(fewer).values())
    longer = with_years(fewer, years + 1, copies)
    drawn = copy.deepcopy(fewer)
    drawn["method"]["judgement"]["draws"] = min(draws + more, MOST_DRAWS)
    costly = copy.deepcopy(fewer)
    costly["facts"]["costs"] = costly["facts"]["costs"] * 2
    assert sum(counted(longer).values()) > base
    assert sum(counted(drawn).values()) >= base
    assert sum(counted(costly).values()) > base


@settings(max_examples=150, deadline=None)
@given(
    st.sampled_from(list(leaves(INPUTS))), st.sampled_from([None, True, -1, 10**18, "", "x" * 600, [], {}, [[]] * 300])
)
def test_no_change_of_a_document_breaks_the_bounds(path, value):
    """Whatever stands where a list should: the bounds never fail in any other way than by their own refusal."""
    for place in range(1, len(path) + 1):
        odd = changed(path[:place], value, INPUTS)
        with suppress(OutOfRange):
            check_lists(odd)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("totals", 0), "9" * 400),
        (("totals",), []),
        (("totals", 0), "nan"),
        (("variances", "count(*)"), ["0", "1"]),
        (("variances", "count(*)"), ["1", "0"]),
        (("variances",), {}),
        (("plan", "measures"), []),
        (("plan", "prices"), []),
        (("plan", "rho"), -1),
        (("session",), 5),
        (("decimals",), {"count(*)": 10**6}),
        (("surprise",), 1),
    ],
)
def test_evidence_is_a_release_or_nothing(path, value):
    where = ("evidence", "measured", 0, "release", *path)
    with pytest.raises(WrongType) as caught:
        perform(changed(where, value, INPUTS))
    assert caught.value.key in {"inputs.evidence.measured[0].release", "release.totals[0]"}
    assert "9999" not in json.dumps(str(caught.value))


def test_a_step_is_what_was_measured():
    """Each part counts: none is free, and none alone exceeds the whole for a usual appraisal."""
    taken = counted(INPUTS)
    assert min(taken.values()) > 0
    assert Fraction(sum(taken.values()), MOST_STEPS) < Fraction(1, 10)
