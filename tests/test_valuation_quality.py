"""The error of the quality factor: coverage by simulation, covariance of shared counts, no clipping, refusals."""

import random
from datetime import date
from decimal import Decimal, localcontext
from fractions import Fraction
from math import exp, log, sqrt

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from privacy.plan import CountFilled, CountRows, CountValid, Plan
from privacy.release import Release
from valuation import exact
from valuation.errors import MissingKey, OutOfRange, Swamped, WrongType
from valuation.evidence import Measured
from valuation.quality import quality

RUNS = 4_000
EQUAL = {"completeness": Decimal(1), "validity": Decimal(1)}


def measured(counts, variance):
    kinds = {"filled": CountFilled, "valid": CountValid}
    plan = Plan(
        standard="consumer_credit/1",
        standard_digest="0" * 64,
        purpose="pledge-valuation",
        parties=("bank-a",),
        rows_per_unit=5,
        institutions_per_unit=2,
        groups=(),
        where=(),
        measures=tuple(
            CountRows() if key == "count(*)" else kinds[key.partition("(")[0]](key.partition("(")[2][:-1])
            for key in counts
        ),
        rho=1_000_000,
    )
    variances = {key: Fraction(variance if isinstance(variance, int) else variance[key]) for key in counts}
    return Measured.of(
        Release(plan, "s", tuple(counts[cell.key] for cell, _, _ in plan.cells()), variances, {}),
        dataset="cards",
        version=1,
        on=date(2026, 1, 1),
    )


TRUTH = {"count(*)": 8000, "filled(a)": 7600, "filled(b)": 7990, "valid(a)": 7200, "valid(b)": 7900}


def combined(counts, weights):
    """Alpha in floats, written differently from the code under test."""
    w = float(weights["completeness"]) / float(sum(weights.values()))
    filled, valid = counts["filled(a)"] + counts["filled(b)"], counts["valid(a)"] + counts["valid(b)"]
    return exp(w * log(filled / 2 / counts["count(*)"]) + (1 - w) * log(valid / filled))


@pytest.mark.parametrize("weights", [EQUAL, {"completeness": Decimal("0.8"), "validity": Decimal("0.2")}])
@pytest.mark.parametrize("sigma", [20, 120])
def test_the_interval_covers_the_truth(weights, sigma):
    rng = random.Random(20260630 + sigma)
    truth = combined(TRUTH, weights)
    hits, squares, errors = 0, 0.0, 0.0
    for _ in range(RUNS):
        noisy = {key: count + round(rng.gauss(0, sigma)) for key, count in TRUTH.items()}
        result = quality(measured(noisy, sigma**2), weights)
        hits += float(result.low.value) <= truth <= float(result.high.value)
        squares += (float(result.alpha.value) - truth) ** 2
        errors += float(result.error.value) ** 2
    assert hits / RUNS >= 0.94
    # the stated error is the real one, neither padded nor short
    assert 0.93 <= sqrt(errors / squares) <= 1.07


@given(
    st.integers(10**4, 10**6),
    st.lists(st.integers(0, 30), min_size=4, max_size=4),
    st.lists(st.integers(1, 10**4), min_size=5, max_size=5),
    st.integers(0, 10),
    st.integers(1, 10),
)
@settings(deadline=None)
def test_error_equals_numerical_differentiation(rows, gaps, variances, first, second):
    """Gradient by finite differences on the counts, so that shared counts are seen as a stranger would see them."""
    present = {"filled(a)": rows * (100 - gaps[0]) // 100, "filled(b)": rows * (100 - gaps[1]) // 100}
    counts = {"count(*)": rows, **present}
    counts |= {
        f"valid({c})": present[f"filled({c})"] * (100 - gap) // 100 for c, gap in zip("ab", gaps[2:], strict=True)
    }
    weights = {"completeness": Decimal(first), "validity": Decimal(second)}
    spread = dict(zip(counts, variances, strict=True))
    total = 0.0
    for key, variance in spread.items():
        step = counts[key] * 1e-5
        up, down = {**counts, key: counts[key] + step}, {**counts, key: counts[key] - step}
        total += variance * ((combined(up, weights) - combined(down, weights)) / (2 * step)) ** 2
    result = quality(measured(counts, spread), weights)
    assert float(result.alpha.value) == pytest.approx(combined(counts, weights), rel=1e-12)
    assert float(result.error.value) == pytest.approx(sqrt(total), rel=1e-5)


def test_ratios_above_one_are_averaged_as_they_are_and_capped_in_the_price_alone():
    counts = {"count(*)": 10_000, "filled(a)": 10_020, "valid(a)": 10_010}
    result = quality(measured(counts, 400))
    assert result.metrics[0].fraction > 1
    assert result.alpha.fraction > 1
    assert result.used.value == 1
    assert result.used.because == (result.alpha,)
    assert result.low.fraction < 1 < result.high.fraction
    assert result.used_high.value == 1
    assert result.used_low.value == result.low.value


def test_pooled_error_is_not_the_sum_of_dependent_errors():
    """Both columns share count(*): with noise on it alone, the two completeness ratios err together, not apart."""
    spread = dict.fromkeys(TRUTH, 0) | {"count(*)": 400}
    only = {"completeness": Decimal(1), "validity": Decimal(0)}
    result = quality(measured(TRUTH, spread), only)
    assert float(result.error.value / result.alpha.value) == pytest.approx(20 / 8000, rel=1e-12)


def test_counts_that_noise_swamps_are_refused():
    edge = {"count(*)": 400, "filled(a)": 400, "valid(a)": 400}
    assert quality(measured(edge, 400)).alpha.value == 1
    for key in edge:
        with pytest.raises(Swamped) as caught:
            quality(measured({**edge, key: 399}, 400))
        assert key in caught.value.cells
    with pytest.raises(Swamped):
        quality(measured({**edge, "valid(a)": -5}, 400))


def test_a_thin_column_is_pooled_but_not_shown_alone():
    counts = {**TRUTH, "filled(b)": 30, "valid(b)": 20}
    shown = {figure.key for figure in quality(measured(counts, 400)).errors}
    assert "quality.a.validity.error" in shown
    assert "quality.b.validity.error" not in shown
    assert "quality.completeness.error" in shown


@pytest.mark.parametrize(
    ("absent", "key"),
    [("count(*)", "release.count(*)"), ("filled(a)", "release.filled(a)"), ("valid(b)", "release.valid(b)")],
)
def test_no_count_may_be_left_out(absent, key):
    counts = {name: count for name, count in TRUTH.items() if name != absent}
    with pytest.raises(MissingKey) as caught:
        quality(measured(counts, 400))
    assert caught.value.key == key


def test_rows_alone_are_no_quality():
    with pytest.raises(MissingKey):
        quality(measured({"count(*)": 8000}, 400))


@pytest.mark.parametrize(
    ("weights", "error"),
    [
        ({"completeness": Decimal(1)}, MissingKey),
        ({**EQUAL, "luck": Decimal(1)}, OutOfRange),
        ({"completeness": Decimal(0), "validity": Decimal(0)}, OutOfRange),
        ({**EQUAL, "validity": Decimal(-1)}, OutOfRange),
        ({**EQUAL, "validity": Decimal("NaN")}, OutOfRange),
        ({**EQUAL, "validity": 0.5}, WrongType),
    ],
)
def test_weights_are_strict(weights, error):
    with pytest.raises(error):
        quality(measured(TRUTH, 400), weights)


def test_results_do_not_depend_on_the_decimal_context_of_the_caller():
    plain = quality(measured(TRUTH, 400))
    with localcontext() as context:
        context.prec = 5
        context.rounding = "ROUND_UP"
        again = quality(measured(TRUTH, 400))
    assert again == plain


def test_written_numbers_have_34_digits_and_one_spelling():
    assert str(exact.written(Fraction(2, 3))) == "0." + "6" * 33 + "7"
    assert exact.spell(Decimal("1E+3")) == "1000"
    assert exact.spell(Decimal("-0.500")) == "-0.5"
    assert exact.spell(Decimal("-0")) == "0"
    assert exact.read("1e3") is None
    assert exact.read("0" * 5) is None
    assert exact.percent(Fraction(-1, 8)) == "-12.5 %"
    assert exact.percent(Fraction(1, 3)) == "33.3 %"
