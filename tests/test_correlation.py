"""Correlated drivers: the factor against a second computation, draws against closed forms, and what cannot hold together."""

import copy
from decimal import Decimal
from fractions import Fraction
from math import asin, pi, sqrt
from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from privacy import canonical
from tests.test_valuation_reconcile import FACTS, INPUTS, JUDGEMENT, figure, spread, value
from valuation.correlation import Correlation, mixing
from valuation.doubles import normal_share
from valuation.draws import shares, together
from valuation.errors import OutOfRange
from valuation.judgement import DRIVERS, Judgement
from valuation.report import perform, verify

NAMES = list(DRIVERS)


def tie(one, other, coefficient):
    return {"drivers": [one, other], "coefficient": str(coefficient), "reason": "one market moves both"}


def judged(*ties, spreads=None, draws=20_000, **changes):
    document = {**JUDGEMENT, "scenarios": [], "draws": draws, **changes}
    if spreads is not None:
        document["spreads"] = spreads
    return document | ({"correlations": list(ties)} if ties else {})


@settings(max_examples=30, deadline=None)
@given(st.integers(2, 7), st.integers(0, 10**9))
def test_the_factor_gives_the_matrix_back(size, seed):
    """A matrix of correlations of random directions; numpy says what its factor is."""
    rows = np.random.default_rng(seed).normal(size=(size, size + 2))
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    names = NAMES[:size]
    ties = [
        Correlation((names[i], names[j]), Decimal(str(round(float(rows[i] @ rows[j]), 6))), "r")
        for i in range(size)
        for j in range(i)
    ]
    lower = mixing(ties, names)
    matrix = np.eye(size)
    for one in ties:
        i, j = (names.index(driver) for driver in one.drivers)
        matrix[i, j] = matrix[j, i] = float(one.coefficient)
    want = np.linalg.cholesky(matrix)
    for i in range(size):
        for j in range(i + 1):
            assert abs(float(lower[i][j]) - want[i, j]) < 1e-6
        assert abs(sum(value**2 for value in lower[i]) - 1) < Fraction(1, 10**50)


def test_the_normal_distribution_of_many_numbers_equals_the_library_s():
    scores = np.linspace(-6.9, 6.9, 2_761)
    law = NormalDist()
    worst = max(
        abs(share - law.cdf(score)) for score, share in zip(scores.tolist(), normal_share(scores).tolist(), strict=True)
    )
    assert worst < 1e-14
    assert normal_share(np.array([0.0])).tolist() == [pytest.approx(0.5, abs=1e-15)]


@pytest.mark.parametrize("coefficient", ["-0.8", "0.3", "0.95"])
def test_two_drivers_meet_their_closed_form(coefficient):
    """Uniform margins under normal scores correlated by r are correlated by 6/pi asin(r/2); a sum of two has its variance."""
    spreads = [spread("cost", "0.5", "1.5", "uniform"), spread("market", "0.5", "1.5", "uniform")]
    weights = {name: {"share": "0.5", "reason": "equal"} for name in ("cost", "market")}
    facts = {key: FACTS[key] for key in FACTS if key != "income"}
    got = value(judged(tie("cost", "market", coefficient), spreads=spreads, weights=weights), facts)
    parts = [float(figure(f"{name}.central", got).fraction) / 2 for name in ("value", "market")]
    together_ = 6 / pi * asin(float(coefficient) / 2)
    want = sqrt((parts[0] ** 2 + parts[1] ** 2 + 2 * together_ * parts[0] * parts[1]) / 12)
    deviation = float(figure("draws.error", got).fraction) * sqrt(20_000)
    # the deviation of 20,000 draws of a bounded sum errs by under 1 %, four standard errors
    assert deviation == pytest.approx(want, rel=0.02)
    for driver in ("cost", "market"):
        assert figure(f"draws.check.{driver}", got).fraction < 4
    named = figure("correlation.cost.market", got)
    assert (named.value, named.source) == (Decimal(coefficient), "one market moves both")


def test_drawn_scores_are_correlated_as_said_and_others_keep_their_bits():
    ties = [tie("level", "market", "0.6"), tie("level", "half_life", "-0.4")]
    judgement = Judgement.from_json(judged(*ties))
    apart = {one.driver: shares(judgement.seed, one.driver, judgement.draws) for one in judgement.spreads}
    mixed = together(judgement, apart)
    law = NormalDist()
    scores = {name: np.array([law.inv_cdf(share) for share in mixed[name].tolist()]) for name in mixed}
    want = {("level", "market"): 0.6, ("level", "half_life"): -0.4, ("half_life", "market"): 0, ("rate", "level"): 0}
    for (one, other), coefficient in want.items():
        assert np.corrcoef(scores[one], scores[other])[0, 1] == pytest.approx(coefficient, abs=4 / sqrt(20_000))
    assert mixed["rate"] is apart["rate"]
    # a margin stays uniform: chi-square of 19 degrees of freedom, far inside the 0.1 % point
    for name in ("level", "market", "half_life"):
        bins = np.bincount((mixed[name] * 20).astype(int), minlength=20)
        assert ((bins - 1000) ** 2 / 1000).sum() < 43.8


def test_what_moves_together_widens_the_range_and_leaves_the_value():
    plain, tied = value(judged()), value(judged(tie("level", "market", "0.9")))
    widths = [figure("draws.p95", got).fraction - figure("draws.p5", got).fraction for got in (plain, tied)]
    assert widths[1] > widths[0]
    assert plain.central == tied.central


@pytest.mark.parametrize(
    ("ties", "key", "allowed"),
    [
        (
            [tie("level", "half_life", "0.9"), tie("level", "rate", "0.9"), tie("half_life", "rate", "-0.9")],
            "correlations[1].coefficient",
            "change that of level and rate",
        ),
        ([tie("level", "market", "1")], "correlations[0].coefficient", "(-1, 1)"),
        ([tie("level", "market", "-1")], "correlations[0].coefficient", "(-1, 1)"),
        ([tie("level", "level", "0.5")], "correlations[0].drivers", "two different drivers"),
        ([tie("level", "cost", "0.5")], "correlations[0].drivers", "that have a spread"),
        ([tie("level", "luck", "0.5")], "correlations[0].drivers", "that have a spread"),
        (
            [tie("level", "market", "0.5"), tie("market", "level", "0.5")],
            "correlations[1].drivers",
            "occur once",
        ),
    ],
)
def test_correlations_that_cannot_be_are_refused_by_name(ties, key, allowed):
    with pytest.raises(OutOfRange) as caught:
        Judgement.from_json(judged(*ties))
    assert caught.value.key == f"judgement.{key}"
    assert allowed in caught.value.allowed


def test_a_matrix_at_the_edge_is_decided_without_rounding():
    """1 + 2abc - a^2 - b^2 - c^2 is exactly 0 for 0.6, 0.8, 0: no distribution; a hair inside it there is one."""
    edge = [tie("level", "half_life", "0.6"), tie("level", "rate", "0.8")]
    with pytest.raises(OutOfRange):
        Judgement.from_json(judged(*edge))
    edge[1]["coefficient"] = "0.7999999999999999999999999"
    assert len(Judgement.from_json(judged(*edge)).correlations) == 2


def test_a_report_with_correlations_verifies_and_says_so():
    inputs = copy.deepcopy(INPUTS)
    inputs["method"]["judgement"]["correlations"] = [tie("level", "market", "0.5")]
    made = perform(inputs)
    assert verify(canonical.encode(made)).figures == len(made["figures"])
    assert any("drawn with the correlations stated" in line for line in made["assumptions"])
    assert not any("independently" in line for line in made["assumptions"])
