"""Releases: each cell is found by its name, in its unit, with the variance of its noise; intervals cover."""

from dataclasses import replace
from fractions import Fraction
from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import mutations, plans, wild
from test_sensitivity import plan_of

from privacy import canonical
from privacy.errors import Malformed
from privacy.expression import ByBand, Value
from privacy.plan import CountRows, Histogram, Sum
from privacy.release import Estimate, Release
from privacy.terms import Bounds

PLAN = plan_of(CountRows(), Sum(Value("balance")), bounds={"balance": Bounds(0, 500)})
RELEASE = Release(
    plan=PLAN,
    session="5e" * 32,
    totals=(10, 20, 12_345, -678),
    variances={"count(*)": Fraction(9), "sum(balance)": Fraction(40_001)},
    decimals={"sum(balance)": 2},
)


def test_cells_are_told_in_the_columns_unit():
    assert RELEASE.estimate("count(*)", ("x",)) == Estimate(Fraction(10), Fraction(9))
    assert RELEASE.estimate("count(*)", ("y",)) == Estimate(Fraction(20), Fraction(9))
    assert RELEASE.estimate("sum(balance)", ("x",)) == Estimate(Fraction("123.45"), Fraction("4.0001"))
    assert RELEASE.estimate("sum(balance)", ("y",)) == Estimate(Fraction("-6.78"), Fraction("4.0001"))


@given(plans())
def test_every_cell_is_found_by_its_name(plan):
    totals = tuple(range(plan.cells_count))
    keys = {measure.key: Fraction(index + 1) for index, measure in enumerate(plan.measures)}
    release = Release(plan, "5e" * 32, totals, keys, {})
    for total, (measure, labels, slot) in zip(totals, plan.cells(), strict=True):
        assert release.estimate(measure.key, labels, slot) == Estimate(Fraction(total), keys[measure.key])


def test_a_histogram_has_a_cell_for_each_band():
    bands = Histogram(ByBand("v", (0, 3, 6, 9), ("low", "middle", "high")))
    plan = plan_of(CountRows(), bands)
    release = Release(
        plan, "5e" * 32, (1, 2, 3, 4, 5, 6, 7, 8), dict.fromkeys(("count(*)", bands.key), Fraction(9)), {}
    )
    assert [release.estimate(bands.key, ("y",), slot).value for slot in range(3)] == [6, 7, 8]
    for slot in (3, -1):
        with pytest.raises(KeyError):
            release.estimate(bands.key, ("y",), slot)
    with pytest.raises(KeyError):
        release.estimate("count(*)", ("y",), 1)


@pytest.mark.parametrize(
    "cell", [("count(*)",), ("count(*)", ("z",)), ("count(*)", ("x", "y")), ("sum(age)", ("x",))], ids=str
)
def test_cells_that_are_not_there_are_a_key_error(cell):
    with pytest.raises(KeyError):
        RELEASE.estimate(*cell)


CHANGES = {
    "plan": replace(PLAN, rho=PLAN.rho + 1, prices=()),
    "session": "5f" * 32,
    "totals": (10, 20, 12_345, -679),
    "variances": {"count(*)": Fraction(9), "sum(balance)": Fraction(40_002)},
    "decimals": {"sum(balance)": 3},
}


@pytest.mark.parametrize("field", CHANGES)
def test_everything_enters_the_digest(field):
    assert set(CHANGES) == set(RELEASE.to_json())
    assert replace(RELEASE, **{field: CHANGES[field]}).digest != RELEASE.digest
    assert replace(RELEASE).digest == RELEASE.digest


@given(plans(), st.data())
def test_a_release_survives_its_canonical_form(plan, data):
    keys = [measure.key for measure in plan.measures]
    release = Release(
        plan,
        "5e" * 32,
        tuple(data.draw(st.integers(-(2**70), 2**70)) for _ in range(plan.cells_count)),
        {key: data.draw(st.fractions(Fraction(1, 100), 10**9)) for key in keys},
        {key: data.draw(st.integers(0, 36)) for key in keys[1:]},
    )
    told = Release.from_json(canonical.decode(canonical.encode(release.to_json())))
    assert told == release
    assert told.digest == release.digest


@settings(max_examples=300)
@given(mutations(RELEASE.to_json()))
def test_a_changed_document_is_another_release_or_malformed(document):
    try:
        release = Release.from_json(document)
    except Malformed:
        return
    assert release.to_json() == document
    for measure, labels, slot in release.plan.cells():
        assert release.estimate(measure.key, labels, slot).variance > 0


@given(wild)
def test_nothing_else_is_a_release(document):
    with pytest.raises(Malformed):
        Release.from_json(document)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("session",), 5),
        (("totals",), ["10", "20", "12345"]),
        (("totals", 0), 10),
        (("totals", 0), "010"),
        (("totals", 0), "1_0"),
        (("totals", 0), "\uff11\uff10"),
        (("variances", "count(*)"), ["0", "1"]),
        (("variances", "count(*)"), ["-9", "1"]),
        (("variances", "count(*)"), ["18", "2"]),
        (("variances", "count(*)"), ["9", "0"]),
        (("variances",), {"count(*)": ["9", "1"]}),
        (("variances", "sum(age)"), ["9", "1"]),
        (("decimals", "sum(balance)"), True),
        (("decimals", "sum(balance)"), -1),
        (("decimals", "sum(balance)"), 10**6),
        (("decimals", "sum(balance)"), "2"),
        (("decimals", "sum(age)"), 2),
        (("note",), 1),
    ],
    ids=str,
)
def test_hostile_releases_are_malformed(path, value):
    document = canonical.decode(canonical.encode(RELEASE.to_json()))
    assert Release.from_json(document) == RELEASE
    inner = document
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value
    with pytest.raises(Malformed):
        Release.from_json(document)


def test_totals_of_any_size_have_a_digest():
    assert len(replace(RELEASE, totals=(1 << 70, -(1 << 70), 0, 0)).digest) == 64


@given(st.integers(1, 10**12), st.sampled_from([0.5, 0.9, 0.95, 0.999]))
def test_half_widths_are_the_normal_quantiles(variance, level):
    half = Estimate(Fraction(5), Fraction(variance)).half_width(level)
    covered = NormalDist(sigma=variance**0.5)
    assert covered.cdf(half) - covered.cdf(-half) == pytest.approx(level, abs=1e-9)


def test_intervals_of_a_ratio_cover_what_they_claim():
    # fixed seed: 20000 draws; the delta method is allowed half a percent at this size of noise
    generator = np.random.default_rng(11)
    total, count = 250_000, 5_000
    sums = np.rint(generator.normal(total, 900, 20_000)).astype(int)
    counts = np.rint(generator.normal(count, 40, 20_000)).astype(int)
    covered = 0
    for one, other in zip(sums.tolist(), counts.tolist(), strict=True):
        ratio = Estimate(Fraction(one), Fraction(900**2)).over(Estimate(Fraction(other), Fraction(40**2)))
        covered += abs(float(ratio.value) - total / count) <= ratio.half_width()
    assert 0.945 < covered / 20_000 < 0.955


@given(st.fractions(-1000, 1000), st.fractions(1, 1000), st.fractions(0, 100), st.fractions(0, 100))
def test_a_ratio_has_the_variance_of_the_delta_method(value, other, variance, spread):
    ratio = Estimate(value, variance).over(Estimate(other, spread))
    assert ratio.value == value / other
    # the gradient of a / b is (1 / b, -a / b^2)
    assert ratio.variance == (1 / other) ** 2 * variance + (value / other**2) ** 2 * spread


@pytest.mark.parametrize("count", [0, -1, Fraction(-1, 10)])
def test_nothing_is_divided_by_a_count_that_is_not_positive(count):
    assert Estimate(Fraction(1), Fraction(1)).over(Estimate(Fraction(count), Fraction(1))) is None
