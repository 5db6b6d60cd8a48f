"""The market approach: a second computation, its properties, the regression beside it, and its refusals."""

import copy
from decimal import Decimal
from fractions import Fraction
from math import exp, isclose, log

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.test_valuation import CASE, changed, close, evidence
from valuation.errors import BadInput, CurrencyMismatch, MissingKey, OutOfRange, UnknownKey, WrongType
from valuation.facts import Facts
from valuation.market import appraise_market

CITED = {"source": "exchange listing", "owner": "data exchange", "on": "2026-05-01", "document": "8" * 64}


def deal(name, price, rows, *, on="2025-03-31", factor="0.9", distance="0.5"):
    return {
        "name": name,
        "on": on,
        "price": {"amount": str(price), "currency": "CNY"},
        "rows": str(rows),
        "adjustments": [{"name": "region", "factor": factor, "reason": "city against province"}],
        "dissimilarity": distance,
        "cited": CITED,
    }


DEALS = [
    deal("one", 900000, 80000),
    deal("two", 1500000, 120000, on="2024-09-30", factor="1.1", distance="0"),
    deal("three", 700000, 90000, on="2026-02-01", factor="1.3", distance="2"),
]


def facts(deals):
    return Facts.from_json(copy.deepcopy(CASE["facts"]) | {"market": {"deals": deals}})


def appraise(deals=None, ev=None):
    return appraise_market(facts(DEALS if deals is None else deals), ev or evidence())


def test_market_equals_a_second_computation():
    index = {int(year): Fraction(level) for year, level in CASE["facts"]["price_index"]["levels"].items()}
    prices = [
        Fraction(one["price"]["amount"]) * Fraction(one["adjustments"][0]["factor"]) * index[2026]
        / index[int(one["on"][:4])] / Fraction(one["rows"])
        for one in DEALS
    ]  # fmt: skip
    weights = [1 / (1 + Fraction(one["dissimilarity"])) for one in DEALS]
    mean = sum(w * p for w, p in zip(weights, prices, strict=True)) / sum(weights)
    counts = [CASE["counts"][key] for key in CASE["counts"] if key.startswith("valid(")]
    rows = Fraction(sum(int(one[0]) for one in counts), len(counts))
    error = (sum(float(one[1]) for one in counts) / len(counts) ** 2) ** 0.5
    got = appraise()
    assert close(got.central.fraction, mean * rows, "1e-30")
    assert close(got.low.fraction, mean * (rows - Fraction(1.959963984540054 * error)), "1e-12")
    assert close(got.high.fraction, mean * (rows + Fraction(1.959963984540054 * error)), "1e-12")


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.tuples(st.integers(1, 10**8), st.integers(1, 10**6)), min_size=3, max_size=6),
    st.integers(50_000, 90_000),
    st.integers(1, 9_000),
    st.integers(1, 10**6),
    st.data(),
)
def test_value_moves_the_right_way(pairs, valid, worse, more, data):
    deals = [deal(f"d{place}", price, rows) for place, (price, rows) in enumerate(pairs)]
    at = data.draw(st.integers(0, len(pairs) - 1))
    dearer = copy.deepcopy(deals)
    dearer[at]["price"]["amount"] = str(pairs[at][0] + more)
    people = {"count(distinct unit)": (20_000, 400)}
    counts = {"count(*)": (100_000, 400), **people, "filled(balance)": (95_000, 400), "valid(balance)": (valid, 400)}
    plain = appraise(deals, evidence(counts))
    assert appraise(dearer, evidence(counts)).central.fraction > plain.central.fraction
    worn = appraise(deals, evidence({**counts, "valid(balance)": (valid - worse, 400)}))
    assert worn.central.fraction < plain.central.fraction
    # rows that are empty, invalid or copies pad the table, not the value
    padded = {**counts, "count(*)": (100_000 + more, 400), "filled(balance)": (95_000 + more, 400)}
    assert appraise(deals, evidence(padded)).central.fraction < plain.central.fraction
    copied = {**padded, "valid(balance)": (valid + more, 400)}
    assert appraise(deals, evidence(copied)).central.value == plain.central.value
    # a mean lies between its members
    rows = plain.central.find("market.rows.central").fraction
    each = [plain.central.find(f"market.deal.{place}").fraction * rows for place in range(len(deals))]
    slack = 1 + Fraction(1, 10**30)
    assert min(each) <= plain.central.fraction * slack
    assert plain.central.fraction <= max(each) * slack


def test_a_regression_stands_beside_many_deals():
    # prices on a curve c * rows^0.8, exactly: the regression finds it, whatever the mean of the unit prices says
    flat = [deal(f"d{n}", round(50 * (n * 10000) ** 0.8), n * 10000, on="2026-01-01", factor="1") for n in range(1, 10)]
    got = appraise(flat)
    rows = float(got.central.find("market.rows.central").fraction)
    assert isclose(float(got.others[0].fraction), exp(log(50) + 0.8 * log(rows)), rel_tol=1e-4)
    assert appraise().others == ()
    skewed = [deal(f"d{n}", round(50 * (n * 1000) ** 0.5), n * 1000, on="2026-01-01", factor="1") for n in range(1, 10)]
    assert "hedonic-gap" in {remark.code for remark in appraise(skewed).remarks}


def test_remarks_on_old_and_much_adjusted_deals():
    old = [*DEALS, deal("four", 1000000, 90000, on="2024-01-01", factor="1.9")]
    assert [remark.code for remark in appraise(old).remarks] == ["deal-old", "deal-unusual"]
    assert appraise().remarks == ()


@pytest.mark.parametrize(
    ("path", "value", "error", "key"),
    [
        ((), DEALS[:2], OutOfRange, "facts.market.deals"),
        ((), [], OutOfRange, "facts.market.deals"),
        ((), [*DEALS, DEALS[0]], OutOfRange, "facts.market.deals"),
        ((0, "price", "amount"), "0", OutOfRange, "facts.market.deals[0].price"),
        ((0, "price", "amount"), "NaN", WrongType, "facts.market.deals[0].price.amount"),
        ((0, "price", "amount"), "9" * 400, WrongType, "facts.market.deals[0].price.amount"),
        ((0, "rows"), "-Infinity", WrongType, "facts.market.deals[0].rows"),
        ((0, "rows"), "0", OutOfRange, "facts.market.deals[0].rows"),
        ((0, "rows"), 5, WrongType, "facts.market.deals[0].rows"),
        ((0, "on"), "2026-07-01", OutOfRange, "facts.market.deals[0].on"),
        ((0, "on"), "2025-02-29", OutOfRange, "facts.market.deals[0].on"),
        ((0, "cited", "on"), "2026-07-01", OutOfRange, "facts.market.deals[0].cited.on"),
        ((0, "dissimilarity"), "-0.1", OutOfRange, "facts.market.deals[0].dissimilarity"),
        ((0, "adjustments", 0, "factor"), "0.19", OutOfRange, "facts.market.deals[0].adjustments[0].factor"),
        ((0, "adjustments", 0, "factor"), "3.01", OutOfRange, "facts.market.deals[0].adjustments"),
        ((0, "weight"), "1", UnknownKey, "facts.market.deals[0].weight"),
        ((0, "cited"), KeyError, MissingKey, "facts.market.deals[0].cited"),
    ],
)
def test_market_refuses_and_names_the_key(path, value, error, key):
    deals = changed(path, value, DEALS) if path else value
    with pytest.raises(error) as caught:
        facts(deals)
    assert isinstance(caught.value, BadInput)
    assert caught.value.key == key


def test_market_refuses_what_it_cannot_join():
    with pytest.raises(CurrencyMismatch):
        facts(changed((0, "price", "currency"), "USD", DEALS))
    with pytest.raises(MissingKey) as caught:
        appraise(changed((0, "on"), "2019-01-01", DEALS))
    assert caught.value.key == "facts.price_index.levels.2019"
    with pytest.raises(MissingKey):
        appraise_market(Facts.from_json(CASE["facts"]), evidence())
    with pytest.raises(MissingKey):
        appraise(
            ev=evidence({key: CASE["counts"][key] for key in ("count(*)", "count(distinct unit)", "filled(balance)")})
        )
    assert facts(DEALS).to_json()["market"] == {"deals": DEALS}
    assert Decimal(DEALS[0]["rows"]) == 80000
