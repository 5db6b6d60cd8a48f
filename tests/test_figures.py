"""The answer's table: every group, its figures with their intervals, which groups not to use, and what was left out."""

import random
from dataclasses import replace
from fractions import Fraction
from itertools import product
from math import inf, sqrt
from statistics import fmean

import pytest

from exchange.analyst import statistics
from exchange.analyst.accuracy import assumed
from exchange.analyst.figures import Reckoning
from exchange.analyst.noisy import Noisy
from exchange.analyst.reading import parse
from exchange.analyst.tables import columns, figures, rows, tabulate
from privacy.expression import decimals
from privacy.plan import Sum
from privacy.release import Release
from privacy.sensitivity import calibrate
from tests import reference
from tests.released import cells_of
from tests.statements import LOANS, rows_of

REGIONS = LOANS.column("region").domain
GRADES = LOANS.column("grade").domain


def ask(sql, rho=20_000_000):
    return parse(
        sql,
        standard=LOANS,
        purpose="credit-risk-statistics",
        parties=("bank-a", "bank-b", "bank-c"),
        rho=rho,
    )


def released(question, value):
    """Cells of a release in which each is ``value(measure key, group by column)``, in integer units."""
    plan = question.plan
    names = [by.column for by in plan.groups]
    totals = tuple(value(measure.key, dict(zip(names, group, strict=True))) for measure, group, _ in plan.cells())
    variances = {scale.measure.key: 3 * (scale.sigma * scale.grain) ** 2 for scale in calibrate(plan)}
    scales = {
        measure.key: decimals(measure.term, LOANS.decimals) for measure in plan.measures if isinstance(measure, Sum)
    }
    return cells_of(Release(plan, "session", totals, variances, scales))


def exactly(question, raw):
    """Cells without noise over raw rows."""
    plan = question.plan
    totals = reference.cells(plan, raw, LOANS)
    scale = {m.key: 10 ** decimals(m.term, LOANS.decimals) if isinstance(m, Sum) else 1 for m in plan.measures}
    return lambda key, group, slot: Noisy.constant(Fraction(totals[plan.place(key, group, slot)], scale[key]))


def deviation(question, key):
    """Deviation of the noise of a cell in the answer, in its term's unit."""
    scale = next(scale for scale in calibrate(question.plan) if scale.measure.key == key)
    places = decimals(scale.measure.term, LOANS.decimals) if isinstance(scale.measure, Sum) else 0
    return sqrt(3) * float(scale.sigma) * scale.grain / 10**places


def test_groups_come_in_domain_order_of_the_columns_as_shown():
    # the plan sorts grade before region; the answer follows the statement
    question = ask(
        "SELECT region, COUNT(*) AS n, grade FROM loans WHERE region IS NOT NULL AND grade IS NOT NULL GROUP BY grade, region"
    )

    def value(_, cell):
        return 1000 * (1 + REGIONS.index(cell["region"])) + GRADES.index(cell["grade"])

    told = rows(question, released(question, value), min_group=0)
    assert [row.group for row in told.shown] == list(product(REGIONS, GRADES))
    for row in told.shown:
        region, grade = row.group
        assert row.figures["n"].value == 1000 * (1 + REGIONS.index(region)) + GRADES.index(grade)
        assert row.caution == ""
    assert (told.small, told.unmet, told.cut) == ((), 0, 0)


def test_figures_are_in_the_columns_units_under_the_names_of_the_statement():
    question = ask("SELECT COUNT(*), SUM(balance) AS owed, AVG(balance), COUNT(income) AS told, SUM(rate) FROM loans")
    values = {
        "count(*)": 900,
        "count(balance)": 800,
        "count(income)": 700,
        "sum((-5000.00 + balance))": -123_456_00,
        "sum(rate)": 5_500,
    }
    (row,) = rows(question, released(question, lambda key, _: values[key]), min_group=10).shown
    assert row.group == ()
    assert {name: figure.value for name, figure in row.figures.items()} == {
        "count": 900,
        "owed": 800 * 5000 - 123_456,
        "avg_balance": 5000 - Fraction(123_456, 800),
        "told": 700,
        "sum_rate": Fraction(11, 2),
    }
    counted = row.figures["count"]
    assert (counted.high - counted.low) / 2 == pytest.approx(1.959964 * deviation(question, "count(*)"))
    owed = row.figures["owed"]
    error = sqrt(
        deviation(question, "sum((-5000.00 + balance))") ** 2 + (5000 * deviation(question, "count(balance)")) ** 2
    )
    assert (owed.high - owed.low) / 2 == pytest.approx(1.959964 * error)


def test_a_centred_sum_beside_an_average_is_as_exact_as_one_alone_at_the_same_price_each():
    """Half the reach twice over: centring costs a count, and halves what the sum needs."""
    alone, beside = (
        ask("SELECT SUM(balance) FROM loans", rho=10_000_000),
        ask("SELECT SUM(balance), AVG(balance) FROM loans"),
    )
    errors = []
    for question in (alone, beside):
        (figure,) = figures(question, assumed(question.plan, LOANS, rows=10_000))["sum_balance"]
        errors.append(figure.high - figure.low)
    assert errors[1] == pytest.approx(errors[0] / sqrt(2), rel=0.01)


@pytest.mark.parametrize(("count", "usable"), [(50, True), (49, False), (0, False), (-30, False), (51, True)])
def test_groups_below_the_minimum_stay_listed_without_figures(count, usable):
    question = ask(
        "SELECT region, COUNT(*), SUM(rate), AVG(balance) FROM loans WHERE region IS NOT NULL GROUP BY region ORDER BY 2 LIMIT 2"
    )

    def value(key, cell):
        return count if cell["region"] == "south" and key == "count(*)" else 1_000_000

    cells = released(question, value)
    told = rows(question, cells, min_group=50)
    assert [row.group[0] for row in told.small] == ([] if usable else ["south"])
    assert told.cut == (3 if usable else 2)
    assert all(figure is not None for row in told.shown for figure in row.figures.values())
    for row in told.small:
        assert row.figures == {"count": None, "sum_rate": None, "avg_balance": None}
        assert row.caution == "fewer than 50"
    table = tabulate(question, cells, min_group=50)
    assert table.columns == ("region", "count", "sum_rate", "avg_balance")
    assert len(table.rows) == len(told.shown) + len(told.small)
    assert ("1 group without figures: fewer than 50" in table.notes) is not usable
    assert f"{told.cut} groups left out by LIMIT" in table.notes


def test_a_group_with_enough_rows_and_too_few_values_is_small_but_a_filter_makes_none():
    question = ask(
        "SELECT region, COUNT(*), AVG(balance), COUNT(*) FILTER (WHERE overdue > 3) AS late FROM loans WHERE region IS NOT NULL GROUP BY region"
    )

    def value(key, cell):
        if cell["region"] == "east" and key == "count(balance)":
            return 3
        return 3 if "CASE" in key else 1_000_000

    told = rows(question, released(question, value), min_group=50)
    assert [row.group for row in told.small] == [("east",)]
    assert all(row.figures["late"].value == 3 for row in told.shown)


def test_having_leaves_groups_out_and_counts_them():
    question = ask(
        "SELECT region FROM loans WHERE region IS NOT NULL GROUP BY region HAVING COUNT(*) >= 300".replace(
            "region FROM", "region, COUNT(*) FROM"
        )
    )
    cells = released(question, lambda _, cell: 100 * (1 + REGIONS.index(cell["region"])))
    told = rows(question, cells, min_group=0)
    assert [row.group[0] for row in told.shown] == list(REGIONS[2:])
    assert told.unmet == 2
    assert "2 groups left out by HAVING" in tabulate(question, cells, min_group=0).notes


def test_what_has_no_value_fails_having_and_sorts_last_either_way():
    for way in ("", " DESC"):
        question = ask(
            f"SELECT region, AVG(balance) AS a FROM loans WHERE region IS NOT NULL GROUP BY region ORDER BY a{way}, region DESC"
        )

        def value(key, cell):
            place = REGIONS.index(cell["region"])
            return {1: 0, 3: 0}.get(place, 1_000_000) if key.startswith("count") else 10**9 * (place % 3)

        order = [row.group[0] for row in rows(question, released(question, value), min_group=-1).shown]
        assert order[3:] == [REGIONS[3], REGIONS[1]]
        assert order[:3] == [REGIONS[0], REGIONS[4], REGIONS[2]] if not way else [REGIONS[2], REGIONS[4], REGIONS[0]]
    question = ask(
        "SELECT region, COUNT(*) FROM loans WHERE region IS NOT NULL GROUP BY region HAVING NOT AVG(balance) > 1 OR AVG(balance) > 1"
    )
    cells = released(question, lambda key, _: 0 if key == "count(balance)" else 1_000)
    assert rows(question, cells, min_group=0).unmet == len(REGIONS)


def test_labels_order_by_their_domain_and_limits_count_from_the_offset():
    question = ask(
        "SELECT region, COUNT(*) FROM loans WHERE region IS NOT NULL GROUP BY region ORDER BY region DESC LIMIT 2 OFFSET 1"
    )
    told = rows(question, released(question, lambda *_: 100), min_group=0)
    assert [row.group[0] for row in told.shown] == list(reversed(REGIONS))[1:3]
    assert told.cut == 3


def test_a_histogram_has_a_figure_for_each_band():
    question = ask("SELECT grade, HISTOGRAM(balance) AS h, COUNT(*) FROM loans WHERE grade IS NOT NULL GROUP BY grade")
    assert columns(question) == ("h 0 to 1000", "h 1000 to 5000", "h 5000 to 10000", "count")
    raw = rows_of(random.Random(3), 90)
    told = rows(question, exactly(question, raw), min_group=0)
    for row in told.shown:
        held = [one for one in raw if one["grade"] == row.group[0]]
        filled = [one["balance"] for one in held if one["balance"] is not None]
        assert [figure.value for figure in row.figures.values()] == [
            sum(value < 100_000 for value in filled),
            sum(100_000 <= value < 500_000 for value in filled),
            sum(value >= 500_000 for value in filled),
            len(held),
        ]


def test_quantiles_lie_within_a_band_of_the_exact_ones():
    raw = rows_of(random.Random(4), 400)
    question = ask("SELECT MEDIAN(income) AS m, QUANTILE_CONT(income, 0.9) AS q FROM loans")
    (row,) = rows(question, exactly(question, raw), min_group=0).shown
    held = sorted(one["income"] / 100 for one in raw if one["income"] is not None)
    for name, share in (("m", 0.5), ("q", 0.9)):
        near = held[round(share * (len(held) - 1))]
        assert abs(float(row.figures[name].value) - near) <= 4500 / 100 * 1.5


@pytest.mark.parametrize(
    "figure", ["AVG(balance)", "VAR_POP(balance)", "CORR(balance, income)", "SUM(balance) / COUNT(*)"]
)
def test_a_figure_of_nothing_has_no_value(figure):
    question = ask(f"SELECT {figure} AS x FROM loans")
    for count in (0, -5):
        cells = released(question, lambda key, _, n=count: n if key.startswith("count") else 1000)
        (row,) = rows(question, cells, min_group=10).shown
        assert row.figures["x"].value is None
        assert (row.figures["x"].low, row.figures["x"].high) in {(-inf, inf), (-1.0, 1.0), (0.0, inf)}
        assert row.caution


@pytest.mark.parametrize(
    "figure",
    [
        "AVG(balance)",
        "100 * AVG(balance) + 5",
        "SUM(income) / SUM(balance)",
        "AVG(income) / AVG(balance)",
        "AVG(balance) - AVG(income)",
        "STDDEV_POP(balance) / AVG(balance)",
        "COUNT(*) FILTER (WHERE overdue >= 3) / COUNT(*)",
        "SUM(balance) * 2 - COUNT(*)",
        "CORR(balance, income) * 2 - 1",
    ],
)
def test_arithmetic_of_figures_errs_as_much_as_it_says(figure):
    """Noise of known deviation is drawn many times: the interval holds the exact value in 19 of 20 draws."""
    raw = rows_of(random.Random(5), 400)
    question = ask(f"SELECT {figure} AS x FROM loans")
    few = exactly(question, raw)

    def exact(*cell):
        return few(*cell) * 500

    truth = float(Reckoning(question, exact).figure(question.outputs[0].of).value)
    draw = random.Random(6)
    keys = {measure.key: deviation(question, measure.key) for measure in question.plan.measures}
    inside = []
    for _ in range(300):
        noise = {key: draw.gauss(0, spread) for key, spread in keys.items()}

        def cell(key, group, slot, noise=noise):
            return Noisy.cell(
                question.plan.place(key, group, slot), float(exact(key, group, slot).value) + noise[key], keys[key]
            )

        found = Reckoning(question, cell).figure(question.outputs[0].of)
        inside.append(found.low <= truth <= found.high)
    # 300 draws: 95 % has a deviation of 1.3 %
    assert 0.9 <= fmean(inside) <= 0.99


def test_errors_of_counts_and_sums_are_known_beforehand_and_others_follow_from_what_is_expected():
    question = ask("SELECT COUNT(*) AS n, SUM(balance) AS s, AVG(balance) AS a FROM loans")
    few, many = (figures(question, assumed(question.plan, LOANS, rows=count)) for count in (1_000, 100_000))
    for name in ("n",):
        assert few[name][0].high - few[name][0].low == pytest.approx(many[name][0].high - many[name][0].low)
    assert few["a"][0].high - few["a"][0].low > 50 * (many["a"][0].high - many["a"][0].low)
    dearer = question.priced(
        {measure.key: 4 * price for measure, price in zip(question.plan.measures, question.plan.prices, strict=True)}
    )
    (one,), (other,) = (figures(q, assumed(q.plan, LOANS, rows=1_000))["s"] for q in (question, dearer))
    assert other.high - other.low == pytest.approx((one.high - one.low) / 2, rel=0.01)


# -- table functions -------------------------------------------------------------------------------------------------

RAW = rows_of(random.Random(8), 600)


def judged(sql):
    question = ask(sql)
    return Reckoning(question, exactly(question, RAW)).judged


def counts(test, feature, labels):
    return [sum(test(one) and feature(one) == label for one in RAW) for label in labels]


def constants(values):
    return [Noisy.constant(value) for value in values]


def test_weight_of_evidence_counts_events_by_label():
    found = judged("SELECT woe_iv(overdue >= 3, region) FROM loans")
    late = counts(lambda one: one["overdue"] is not None and one["overdue"] >= 3, lambda one: one["region"], REGIONS)
    well = counts(lambda one: one["overdue"] is not None and one["overdue"] < 3, lambda one: one["region"], REGIONS)
    assert found == statistics.woe_iv(constants(late), constants(well), REGIONS, seed="any")
    other = judged("SELECT woe_iv(defaulted, region) FROM loans")
    failed = counts(lambda one: one["defaulted"] == "yes", lambda one: one["region"], REGIONS)
    held = counts(lambda one: one["defaulted"] == "no", lambda one: one["region"], REGIONS)
    assert other == statistics.woe_iv(constants(failed), constants(held), REGIONS, seed="any")


def test_discrimination_counts_scores_in_rising_bands():
    found = judged("SELECT auc(defaulted = 'yes', rate, 23) FROM loans")
    pairs = [(one["rate"], one["defaulted"]) for one in RAW if one["rate"] is not None and one["defaulted"] is not None]

    def band(value):
        return min((value - 1000) // 1000, 22)

    good, bad = ([band(rate) for rate, failed in pairs if failed == told] for told in ("no", "yes"))
    won = sum((one > other) + (one == other) / 2 for one in bad for other in good) / (len(good) * len(bad))
    assert float(found.auc.value) == pytest.approx(won)
    assert float(found.gini.value) == pytest.approx(2 * won - 1)


def test_stability_compares_before_and_after():
    found = judged("SELECT psi(grade, opened, DATE '2022-01-01') FROM loans")
    before = counts(lambda one: one["opened"] is not None and one["opened"] < 18_993, lambda one: one["grade"], GRADES)
    after = counts(lambda one: one["opened"] is not None and one["opened"] >= 18_993, lambda one: one["grade"], GRADES)
    assert found == statistics.psi(constants(before), constants(after), GRADES, seed="any")


@pytest.mark.parametrize(("one", "other"), [("region", "grade"), ("grade", "region")])
def test_a_contingency_table_stands_as_it_was_asked_for(one, other):
    question = ask(f"SELECT crosstab({one}, {other}) FROM loans WHERE grade <> 'c'")
    reckoning = Reckoning(question, exactly(question, RAW))
    domains = {"region": REGIONS, "grade": ("a", "b")}
    assert [[cell.value for cell in row] for row in reckoning.table] == [
        [sum(held[one] == first and held[other] == second for held in RAW) for second in domains[other]]
        for first in domains[one]
    ]
    table = tabulate(question, exactly(question, RAW), min_group=0)
    assert table.columns == (one, other, "count", "expected")
    assert len(table.rows) == 10
    assert "4 degrees of freedom" in table.notes[0]


def test_a_table_without_a_chi_square_says_why():
    question = ask("SELECT crosstab(region, grade) FROM loans")

    def cell(key, group, slot):
        return Noisy.cell(question.plan.place(key, group, slot), 3 if "c" in group else 5_000, 10.0)

    (note,) = tabulate(question, cell, min_group=0).notes
    assert "no chi-square: a row or column of the table does not stand out from noise" in note


def test_a_regression_is_that_of_the_complete_rows():
    np = pytest.importorskip("numpy")
    found = judged("SELECT linear_regression(balance, income, rate - overdue) FROM loans")
    held = [one for one in RAW if None not in (one["balance"], one["income"], one["rate"], one["overdue"])]
    x = np.array([[1, one["income"] / 100, one["rate"] / 1000 - one["overdue"]] for one in held])
    y = np.array([one["balance"] / 100 for one in held])
    fitted = np.linalg.lstsq(x, y, rcond=None)[0]
    told = [float(one.figure.value) for one in (found.intercept, *found.coefficients)]
    assert told == pytest.approx(list(fitted), rel=1e-6)
    assert [one.name for one in found.coefficients] == ["income", "rate - overdue"]
    residual = y - x @ fitted
    assert float(found.r_squared.value) == pytest.approx(1 - residual @ residual / ((y - y.mean()) @ (y - y.mean())))


@pytest.mark.parametrize(
    ("sql", "names", "last"),
    [
        ("woe_iv(defaulted, grade)", ("grade", "share_of_others", "share_of_events", "woe", "iv"), "(whole)"),
        ("auc(defaulted, rate)", ("statistic", "value"), "ks"),
        (
            "psi(grade, opened, DATE '2022-01-01')",
            ("grade", "actual_share", "expected_share", "log_ratio", "psi"),
            "(whole)",
        ),
        ("linear_regression(balance, income)", ("term", "coefficient", "sampling_error"), "(rows)"),
    ],
)
def test_table_functions_make_tables_of_their_own(sql, names, last):
    question = ask(f"SELECT {sql} FROM loans")
    table = tabulate(question, exactly(question, RAW), min_group=10)
    assert table.columns == names
    assert table.rows[-1][0] == last
    assert figures(question, exactly(question, RAW)) == {}
    nothing = tabulate(question, lambda *cell: Noisy.cell(question.plan.place(*cell), 0, 5.0), min_group=10)
    figures_in = [cell for row in nothing.rows for cell in row[1:] if cell is not None]
    assert all(cell.value is None for cell in figures_in)
    assert nothing.rows or nothing.notes


def test_cells_may_come_from_anywhere():
    question = ask("SELECT region, COUNT(*) FROM loans WHERE region IS NOT NULL GROUP BY region")
    told = rows(question, lambda *_: Noisy.cell(7, 42, 1.0), min_group=0)
    assert {row.figures["count"].value for row in told.shown} == {42}
    assert replace(question, limit=1).limit == 1


def test_rows_without_a_label_are_a_group_of_their_own_and_a_note_while_it_is_small():
    question = ask("SELECT region, COUNT(*) FROM loans GROUP BY region")
    raw = rows_of(random.Random(5), 120)
    told = rows(question, exactly(question, raw), min_group=1)
    counted = {row.group[0]: row.figures["count"].value for row in told.shown}
    assert counted["(unknown)"] == sum(one["region"] not in REGIONS for one in raw) > 0
    assert sum(counted.values()) == len(raw)
    table = tabulate(question, exactly(question, raw), min_group=60)
    assert "(unknown)" not in {row[0] for row in table.rows}
    assert "1 group of rows without a label: fewer than 60" in table.notes
