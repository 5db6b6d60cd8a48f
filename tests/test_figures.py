"""The answer's table: every group, its figures with their errors, and which groups not to use."""

import random
from fractions import Fraction
from itertools import product
from math import sqrt
from statistics import fmean, pvariance

import pytest

from exchange.analyst.figures import rows
from exchange.analyst.query import parse
from exchange.standards import shipped
from privacy.noise import Noised
from privacy.release import Estimate, Release
from privacy.sensitivity import calibrate

CREDIT = shipped("consumer_credit/1")
REGIONS = CREDIT.column("region").domain
PRODUCTS = CREDIT.column("product").domain


def ask(sql):
    return parse(
        sql,
        standard=CREDIT,
        purpose="credit-risk-statistics",
        parties=("bank-a", "bank-b", "bank-c"),
        rho=20_000_000,
    )


def released(question, value):
    """A release whose cells are ``value(measure key, group by column)`` in integer units."""
    plan = question.plan
    columns = [group.column for group in plan.groups]
    totals = tuple(value(measure.key, dict(zip(columns, cell, strict=True))) for measure, cell in plan.cells())
    variances = {scale.measure.key: 3 * scale.sigma**2 for scale in calibrate(plan)}
    return Release(plan, "session", totals, variances, {"sum(balance)": 2, "sum(income)": 2})


def test_groups_come_in_domain_order_of_the_columns_as_shown():
    # the plan sorts product before region; the answer follows the statement
    question = ask("SELECT region, COUNT(*) AS n, product FROM consumer_credit GROUP BY product, region")

    def value(_, cell):
        return 1000 * (1 + REGIONS.index(cell["region"])) + PRODUCTS.index(cell["product"])

    table = list(rows(question, released(question, value), min_group=0))
    assert [row.group for row in table] == list(product(REGIONS, PRODUCTS))
    for row in table:
        region, kind = row.group
        assert row.figures["n"].value == 1000 * (1 + REGIONS.index(region)) + PRODUCTS.index(kind)
        assert list(row.figures) == ["n"]
        assert row.caution == ""


def test_figures_are_in_the_columns_units_under_the_names_of_the_statement():
    question = ask("SELECT COUNT(*), SUM(balance) AS owed, AVG(balance), COUNT(income) AS told FROM consumer_credit")
    values = {"count(*)": 900, "count(balance)": 800, "count(income)": 700, "sum(balance)": 123_456_00}
    (row,) = rows(question, released(question, lambda key, _: values[key]), min_group=10)
    sigma = {scale.measure.key: scale.sigma for scale in calibrate(question.plan)}
    assert row.group == ()
    assert {name: figure.value for name, figure in row.figures.items()} == {
        "count": 900,
        "owed": 123_456,
        "avg_balance": Fraction(123_456, 800),
        "told": 700,
    }
    assert row.figures["count"].variance == 3 * sigma["count(*)"] ** 2
    assert row.figures["owed"].variance == 3 * sigma["sum(balance)"] ** 2 / 10_000
    assert row.figures["owed"].half_width() == pytest.approx(1.959964 * sqrt(row.figures["owed"].variance))


@pytest.mark.parametrize(("count", "usable"), [(50, True), (49, False), (0, False), (-30, False), (51, True)])
def test_groups_below_the_minimum_stay_listed_without_figures(count, usable):
    question = ask("SELECT region, COUNT(*), SUM(balance), AVG(balance) FROM consumer_credit GROUP BY region")

    def value(key, cell):
        return count if cell["region"] == "south" and key == "count(*)" else 1_000_000

    table = list(rows(question, released(question, value), min_group=50))
    assert [row.group[0] for row in table] == list(REGIONS)
    for row in table:
        if row.group[0] == "south" and not usable:
            assert row.figures == {"count": None, "sum_balance": None, "avg_balance": None}
            assert row.caution == "fewer than 50"
        else:
            assert row.caution == ""
            assert all(figure is not None for figure in row.figures.values())


def test_a_group_with_enough_rows_and_too_few_values_is_cautioned():
    question = ask("SELECT region, COUNT(*), AVG(balance) FROM consumer_credit GROUP BY region")

    def value(key, cell):
        return 3 if cell["region"] == "west" and key == "count(balance)" else 1_000_000

    table = {row.group[0]: row for row in rows(question, released(question, value), min_group=50)}
    assert table["west"].caution == "fewer than 50"
    assert [name for name, row in table.items() if row.caution] == ["west"]


@pytest.mark.parametrize(("sigmas", "cautioned"), [(7.9, True), (8.1, False)])
def test_an_average_is_cautioned_until_its_count_stands_out(sigmas, cautioned):
    question = ask("SELECT AVG(balance) FROM consumer_credit")
    scale = next(scale for scale in calibrate(question.plan) if scale.measure.key == "count(balance)")
    count = round(sigmas * float(scale.sigma) * sqrt(3))
    (row,) = rows(question, released(question, lambda key, _: count if key == "count(balance)" else 10**9), min_group=1)
    assert row.figures["avg_balance"] is not None
    assert (row.caution != "") is cautioned


def test_an_average_over_nothing_has_no_figure():
    question = ask("SELECT AVG(balance) FROM consumer_credit")
    for count in (0, -5):
        values = {"count(balance)": count, "sum(balance)": 1000}
        (row,) = rows(question, released(question, lambda key, _, v=values: v[key]), min_group=10)
        assert row.figures == {"avg_balance": None}


def test_the_error_of_an_average_is_what_simulation_shows():
    draw = random.Random(5)
    total, count = 4_000_000.0, 20_000.0
    sigma_total, sigma_count = 60_000.0, 250.0
    estimate = Estimate(Fraction(int(total)), Fraction(int(sigma_total**2))).over(
        Estimate(Fraction(int(count)), Fraction(int(sigma_count**2)))
    )
    simulated = [draw.gauss(total, sigma_total) / draw.gauss(count, sigma_count) for _ in range(40_000)]
    # the sample variance of 40,000 draws is within 5 % of the true one, but for a chance below 1e-10; a term left out is 28 %
    assert float(estimate.variance) == pytest.approx(pvariance(simulated), rel=0.05)
    assert float(estimate.value) == pytest.approx(fmean(simulated), rel=0.001)
    inside = sum(abs(value - float(estimate.value)) <= estimate.half_width() for value in simulated)
    assert inside / 40_000 == pytest.approx(0.95, abs=0.007)


def test_an_average_of_real_noise_misses_by_as_much_as_it_says():
    """Through OpenDP: the z-scores of averages over many groups have variance 1."""
    from privacy.ledger import Receipt
    from privacy.noise import add_noise
    from privacy.sensitivity import Clipped

    question = ask(
        "SELECT region, product, education, month, AVG(balance) FROM consumer_credit GROUP BY region, product, education, month"
    )
    plan = question.plan
    counts, sums = 200_000, 1_000_000_000_00
    truth = Clipped(plan.hash, tuple(counts if m.key == "count(balance)" else sums for m, _ in plan.cells()))
    parts: list[Noised] = [
        add_noise(truth, plan, Receipt(plan.hash, "people", "lender", plan.purpose, charged=plan.rho, left=0))
        for _ in plan.parties
    ]
    totals = tuple(sum(values) for values in zip(*(part.values for part in parts), strict=True))
    variances = {scale.measure.key: 3 * scale.sigma**2 for scale in calibrate(plan)}
    release = Release(plan, "session", totals, variances, {"sum(balance)": 2})
    exact = Fraction(sums, 100 * counts)
    scores = []
    for index in range(0, plan.groups_count, 3):
        sum_, count = totals[plan.groups_count + index], totals[index]
        figure = Estimate(Fraction(sum_, 100), variances["sum(balance)"] / 10_000).over(
            Estimate(Fraction(count), variances["count(balance)"])
        )
        scores.append(float(figure.value - exact) / sqrt(figure.variance))
    # 400 scores: their mean square has standard deviation 0.07
    assert fmean(score * score for score in scores) == pytest.approx(1, abs=0.4)
    first = next(iter(rows(question, release, min_group=0)))
    assert first.group == (REGIONS[0], PRODUCTS[0], CREDIT.column("education").domain[0], "01")
