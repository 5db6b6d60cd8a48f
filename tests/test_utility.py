"""What private answers are worth on real rows: a scorecard study of the public credit-card file, split over three institutions.

Seven questions are put to real processes within the budget that the demonstration's owners grant to the purpose. The truth is
worked out from the file itself by numpy, by textbook formulas. An interval of 95 % misses now and then, and it should (how
often is measured in ``test_intervals``): so here every figure is within two and a half half-widths, beyond which noise
carries one in a million, most lie within their intervals, and no interval is wider than what an analyst can use.
"""

import re
import time

import numpy as np
import pandas as pd
import pytest

from api.demo import people, town
from exchange import connect
from exchange.analyst.noisy import Figure
from privacy.terms import NANO
from tests.cards import CARDS, with_cards

pytestmark = with_cards

BUDGET = 0.06
"""Rho of each question: six that are charged leave 0.04 of the purpose's 0.4."""

EDUCATION = {1: "graduate", 2: "university", 3: "school", 4: "other"}
BANDS = [0, 1_000, 5_000, 10_000, 20_000, 50_000, 100_000, 200_000]
LATE_BANDS = [0, 1, 3, 9]
FINE = 40
FEATURES = "CASE WHEN months_overdue >= 2 THEN 1 ELSE 0 END, CASE WHEN education = 'graduate' THEN 1 ELSE 0 END"
RIDGE = 0.05

QUESTIONS = {
    "woe_iv": "SELECT woe_iv(months_overdue >= 2, balance) FROM consumer_credit",
    "auc": f"SELECT auc(months_overdue >= 2, balance, {FINE}) FROM consumer_credit",
    "linear": f"SELECT linear_regression(balance, {FEATURES}) FROM consumer_credit",
    "ridge": f"SELECT ridge_regression({RIDGE}, balance, {FEATURES}) FROM consumer_credit",
    "crosstab": "SELECT crosstab(education, CASE WHEN months_overdue < 1 THEN 'in time' WHEN months_overdue < 3 THEN 'late' "
    "ELSE 'very late' END) FROM consumer_credit WHERE education IN ('graduate', 'university', 'school')",
    "psi": "SELECT psi(balance, month IN ('07', '08', '09')) FROM consumer_credit",
    "groups": "SELECT education, COUNT(*), AVG(balance) FROM consumer_credit GROUP BY education",
}


@pytest.fixture(scope="module")
def answers(tmp_path_factory):
    """Every question's answer, put one after the other by one lender."""
    home = tmp_path_factory.mktemp("utility")
    institutions = people.split_cards(home, CARDS)
    with town.Town(home, institutions, clock=lambda: time.time_ns() // 1000) as running:
        running.settle()
        running.start_exchange()
        for one in institutions:
            running.start_node(one.party)
        with connect(home / "lender-x", running.url) as client:
            return {
                name: client.query(sql, purpose=town.PURPOSE, budget=BUDGET).run() for name, sql in QUESTIONS.items()
            }


@pytest.fixture(scope="module")
def rows():
    """The rows of all institutions as numpy columns; clients of two of them stand twice with their months of spring."""
    wide = pd.read_csv(CARDS)
    found = []
    for month, late, bill in ((9, 0, 1), (8, 2, 2), (7, 3, 3), (6, 4, 4), (5, 5, 5), (4, 6, 6)):
        part = pd.DataFrame(
            {
                "month": month,
                "education": [EDUCATION.get(code, "unknown") for code in wide["education"]],
                "late": np.maximum(wide[f"pay_{late}"], 0),
                "balance": np.clip(wide[f"bill_amt{bill}"], 0, 200_000).astype(float),
            }
        )
        found += [part, part[wide["id"] % 10 == 0]] if month <= 6 else [part]
    return pd.concat(found, ignore_index=True)


def within(figure, truth, *, useful):
    """Whether an interval holds the truth; it is near it in any case, and no wider than an analyst can use."""
    assert isinstance(figure, Figure)
    assert not figure.caution
    half = (figure.high - figure.low) / 2
    assert half <= useful, (figure, truth)
    assert figure.low - 1.5 * half <= truth <= figure.high + 1.5 * half, (figure, truth)
    return figure.low <= truth <= figure.high


def column(result, name):
    """The figures of one column by the labels of their rows."""
    table = result.table
    labels, place = len(table.labels), table.columns.index(name)
    return {row[:labels] if labels > 1 else row[0]: row[place] for row in table.rows}


def banded(values, edges):
    """The number of each value's band; the last band holds its upper edge."""
    return np.clip(np.searchsorted(edges, values, side="right") - 1, 0, len(edges) - 2)


def shares(values, edges):
    counts = np.bincount(banded(values, edges), minlength=len(edges) - 1)
    return counts / counts.sum()


def jeffreys(one, other):
    return float(((one - other) * np.log(one / other)).sum())


def roc(positives, negatives):
    """Area under the curve, ties counting half, and the largest distance between the two cumulative distributions."""
    values = np.unique(np.concatenate([positives, negatives]))
    below, above = (np.searchsorted(np.sort(negatives), positives, side=side) for side in ("left", "right"))
    area = (below + above).mean() / 2 / len(negatives)
    ends = [np.searchsorted(np.sort(kind), values, side="right") / len(kind) for kind in (positives, negatives)]
    return area, float(np.abs(ends[0] - ends[1]).max())


def fitted(rows, ridge=0.0):
    """Intercept and slopes of balance on two indicators, whose scaled columns lie in [-1, 1]; the share explained."""
    features = np.column_stack([rows["late"] >= 2, rows["education"] == "graduate"]).astype(float)
    balance = rows["balance"].to_numpy()
    scaled, apart = 2 * (features - features.mean(axis=0)), balance - balance.mean()
    size = len(balance)
    slopes = 2 * np.linalg.solve(scaled.T @ scaled / size + ridge * np.eye(2), scaled.T @ apart / size)
    told = (features - features.mean(axis=0)) @ slopes
    explained = 1 - ((apart - told) ** 2).sum() / (apart**2).sum()
    return [balance.mean() - features.mean(axis=0) @ slopes, *slopes], explained


def test_a_study_stays_within_the_budget_of_its_purpose(answers):
    charged = [sum(result.receipt["charged"].values()) for result in answers.values() if not result.free]
    assert charged == [3 * round(BUDGET * NANO)] * 6
    assert sum(charged) / 3 <= town.BUDGETS[town.PURPOSE]
    assert answers["ridge"].free, "a ridge regression is read off the moments of the linear one"


def test_information_value_and_weights_of_evidence(answers, rows):
    told = column(answers["woe_iv"], "woe")
    bad, good = (shares(rows["balance"][rows["late"].ge(2) == late], BANDS) for late in (True, False))
    within(column(answers["woe_iv"], "iv")["(whole)"], jeffreys(good, bad), useful=0.02)
    weights = list(told.values())[: len(bad)]
    held = [within(one, truth, useful=0.06) for one, truth in zip(weights, np.log(good / bad), strict=True)]
    assert sum(held) > len(held) / 3


def test_discrimination(answers, rows):
    told = column(answers["auc"], "value")
    late = rows["late"] >= 2
    edges = np.linspace(0, 200_000, FINE + 1)
    numbers = banded(rows["balance"], edges)
    area, distance = roc(numbers[late], numbers[~late])
    within(told["auc"], area, useful=0.01)
    within(told["gini"], 2 * area - 1, useful=0.02)
    within(told["ks"], distance, useful=0.015)
    # what bands leave out of the score is less than what noise adds
    assert abs(roc(rows["balance"][late].to_numpy(), rows["balance"][~late].to_numpy())[0] - area) < 0.03


@pytest.mark.parametrize(("name", "ridge"), [("linear", 0.0), ("ridge", RIDGE)])
def test_regressions(answers, rows, name, ridge):
    told = list(column(answers[name], "coefficient").values())
    coefficients, explained = fitted(rows, ridge)
    for figure, truth, useful in zip(
        told, [*coefficients, explained, len(rows)], (500, 1_500, 800, 0.004, 500), strict=True
    ):
        within(figure, truth, useful=useful)


def test_a_contingency_table(answers, rows):
    labels = ("graduate", "university", "school")
    counts = np.array(
        [np.bincount(banded(rows["late"][rows["education"] == one], LATE_BANDS), minlength=3) for one in labels]
    )
    told = list(column(answers["crosstab"], "count").values())
    held = [within(figure, truth, useful=100) for figure, truth in zip(told, counts.ravel(), strict=True)]
    assert sum(held) > len(held) / 3
    expected = np.outer(counts.sum(axis=1), counts.sum(axis=0)) / counts.sum()
    chi_square = float(((counts - expected) ** 2 / expected).sum())
    note = answers["crosstab"].table.notes[0].replace(",", "")
    freedom, estimate, p_value, v, low, high = map(
        float,
        re.fullmatch(
            r"(\d+) degrees of freedom chi-square ([\d.e+]+) p ([\d.e-]+) for independence Cramér's V ([\d.]+) \(([\d.]+) to ([\d.]+)\)",
            note,
        ).groups(),
    )
    strength = (chi_square / counts.sum() / 2) ** 0.5
    assert (freedom, p_value) == (4, pytest.approx(1 / 600, rel=0.01)), "dependence beyond doubt"
    within(Figure(v, low, high), strength, useful=0.01)
    assert estimate == pytest.approx(chi_square, rel=0.35)


def test_the_stability_of_a_population(answers, rows):
    later, before = (shares(rows["balance"][rows["month"].ge(7) == late], BANDS) for late in (True, False))
    within(column(answers["psi"], "psi")["(whole)"], jeffreys(later, before), useful=0.002)


def test_averages_by_group(answers, rows):
    plain = rows.groupby("education")["balance"].agg(["size", "mean"])
    counts, averages = column(answers["groups"], "count"), column(answers["groups"], "avg_balance")
    for label in ("graduate", "university", "school"):
        within(counts[label], plain.loc[label, "size"], useful=150)
        within(averages[label], plain.loc[label, "mean"], useful=0.02 * plain.loc[label, "mean"])
    # 2,193 rows
    within(averages["unknown"], plain.loc["unknown", "mean"], useful=0.25 * plain.loc["unknown", "mean"])
