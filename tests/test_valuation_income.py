"""The income approach against closed forms written here, its properties over random boxes, and its refusals."""

import copy
import json
from datetime import date
from decimal import Decimal
from fractions import Fraction
from math import log

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.test_valuation import CASE, changed, close, evidence
from valuation.earnings import MAX_YEARS
from valuation.errors import CurrencyMismatch, MissingKey, OutOfRange, UnknownKey, WrongType
from valuation.facts import Facts
from valuation.income import appraise_income, worth
from valuation.indication import Shift
from valuation.quality import WEIGHTS, quality

CITED = {"source": "contract register", "owner": "bank-a", "on": "2026-06-01", "document": "7" * 64}


def money(amount, currency="CNY"):
    return {"amount": str(amount), "currency": currency}


def line(year, kind, amount):
    return {"year": year, "kind": kind, "ground": "forecast", "amount": money(amount), "cited": CITED}


def share(value):
    return {"value": str(value), "cited": CITED}


def parts(*values):
    names = ("risk_free", "equity_premium", "size_premium", "specific_premium")
    return {name: share(value) for name, value in zip(names, values, strict=True)}


CLAIMS = {
    "direct": None,
    "with_without": None,
    "share": {"low": "0.05", "high": "0.25", "score": "0.6", "cited": CITED},
    "royalty": {"royalty": "0.06", "tab_years": 10, "cited": CITED},
    "excess": {
        "contributory": [{"name": "servers", "value": money(400000), "rate": "0.07", "cited": CITED}],
        "tab_years": 10,
        "cited": CITED,
    },
}


def income(method="direct", *, years=5, sales="900000", costs="200000", post_tax=False, **changes):
    kinds = {"direct": ("revenue", "cost"), "excess": ("revenue", "cost"), "with_without": ("with", "without")}
    amounts = dict(zip(kinds.get(method, ("revenue",)), (sales, costs), strict=False))
    document = {
        "method": method,
        "lines": [line(year, kind, amount) for year in range(1, years + 1) for kind, amount in amounts.items()],
        "fade": {"half_life_years": "3", "growth": "0.02", "upkeep": money(10000), "cited": CITED},
        "rate": {
            "basis": "post_tax" if post_tax else "pre_tax",
            "parts": parts("0.02", "0.06", "0.03", "0.09"),
            "wacc": None,
            "other_assets": [],
        },
        "tax": share("0.25" if post_tax else "0"),
        "claim": copy.deepcopy(CLAIMS[method]),
        "quality_assumed": "0.95",
    }
    # through JSON, so that no two keys share one object
    return json.loads(json.dumps(document | changes))


def facts(document):
    long = copy.deepcopy(CASE["facts"]) | {"income": document}
    for link in long["legal"]["title"]:
        link["expires"] = None
    return Facts.from_json(long)


MEASURED = quality(evidence().quality, WEIGHTS)


def appraise(document, measured=MEASURED):
    return appraise_income(facts(document), measured)


def before_tax(method, amounts, q, claim):
    if method == "with_without":
        uplift = amounts["with"] - amounts["without"]
        return uplift * q if uplift > 0 else uplift
    part = {"share": lambda: 0.05 + 0.2 * float(claim["score"]), "royalty": lambda: float(claim["royalty"])}
    return amounts["revenue"] * q * part.get(method, lambda: 1)() - amounts["cost"]


def second(document, alpha):
    """Value by the textbook formula in binary floating point, year by year, stopping wherever that is best."""
    tax, rate = float(document["tax"]["value"]), sum(float(p["value"]) for p in document["rate"]["parts"].values())
    fade = document["fade"]
    lost = 1 - 0.5 ** (1 / float(fade["half_life_years"]))
    q = min(float(alpha) / float(document["quality_assumed"]), 1)
    sums = {}
    for one in document["lines"]:
        key = (one["year"], one["kind"])
        sums[key] = sums.get(key, 0) + float(one["amount"]["amount"])
    claim, method, best, value, n = document["claim"], document["method"], 0.0, 0.0, 1
    while any(year == n for year, _ in sums):
        amounts = {kind: sums.get((n, kind), 0.0) for kind in ("revenue", "cost", "with", "without")}
        gross = before_tax(method, amounts, q, claim)
        charge = 28000 if method == "excess" else 0
        net = gross * (1 - tax) * (1 + float(fade["growth"])) ** (n - 1) - charge
        net = net * (1 - lost) ** (n - 1) * (1 - lost / 2) - float(fade["upkeep"]["amount"]) * (1 - tax)
        value += net / (1 + rate) ** (n - 0.5 * (method in {"excess", "royalty"}))
        best, n = max(best, value), n + 1
    years = (claim or {}).get("tab_years", 0)
    if years:
        annuity = sum((1 + rate) ** -t for t in range(1, years + 1))
        best *= years / (years - tax * annuity * (1 + rate) ** 0.5)
    return best


METHODS = list(CLAIMS)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("post_tax", [False, True])
def test_income_equals_a_second_computation(method, post_tax):
    document = income(method, post_tax=post_tax)
    got = appraise(document)
    for end, used in (("low", MEASURED.used_low), ("central", MEASURED.used), ("high", MEASURED.used_high)):
        assert close(getattr(got, end).fraction, Fraction(second(document, used.value)), "1e-9")
    assert 0 < got.low.fraction <= got.central.fraction <= got.high.fraction


@pytest.mark.parametrize("method", METHODS)
def test_the_desk_and_the_quick_sum_agree(method):
    stated = facts(income(method, years=9, post_tax=True, sales="150000", costs="90000")).income
    for end in ("low", "central", "high"):
        got = getattr(appraise(income(method, years=9, post_tax=True, sales="150000", costs="90000")), end)
        share_of = got.find(f"income.{end}.quality").fraction
        assert abs(worth(stated, quality=share_of, years=9).value - got.fraction) < Fraction(1, 10**20)


@pytest.mark.parametrize("method", ["excess", "royalty"])
def test_without_years_there_is_no_tax_benefit(method):
    bare = changed(("claim", "tab_years"), 0, income(method, post_tax=True))
    got = appraise(bare)
    assert close(got.central.fraction, Fraction(second(bare, MEASURED.used.value)), "1e-9")
    assert got.central.fraction < appraise(income(method, post_tax=True)).central.fraction


def test_a_level_perpetuity_is_never_reached():
    # thirty equal years: below the perpetuity, and the closed form of an annuity to the last digit
    fade = {"half_life_years": "30", "growth": "0", "upkeep": money(0), "cited": CITED}
    stated = facts(income(years=30, costs="0", fade=fade, quality_assumed="0.5")).income
    endless = worth(stated, quality=Fraction(1), years=30, shift=Shift(half_life=Fraction(10**9))).value
    annuity = 900000 * (1 - Fraction(1, 1) / Fraction("1.2") ** 30) / Fraction("0.2")
    assert close(endless, annuity, "1e-8")
    assert endless < 900000 / Fraction("0.2")


amounts = st.integers(0, 2_000_000)
boxes = st.fixed_dictionaries(
    {
        "method": st.sampled_from(METHODS),
        "lines": st.lists(st.tuples(st.integers(1, 2_000_000), amounts), min_size=1, max_size=8),
        "half_life": st.integers(5, 3000),
        "growth": st.integers(-20, 14),
        "upkeep": st.integers(0, 300_000),
        "rate": st.integers(15, 60),
        "tax": st.integers(0, 45),
        "assumed": st.integers(30, 100),
        "quality": st.integers(1, 100),
    }
)


def built(box, **changes):
    box = box | changes
    kinds = {"direct": ("revenue", "cost"), "excess": ("revenue", "cost"), "with_without": ("with", "without")}
    chosen = kinds.get(box["method"], ("revenue",))
    lines = [
        line(year, kind, amount)
        for year, pair in enumerate(box["lines"], 1)
        for kind, amount in zip(chosen, pair, strict=False)
    ]
    document = income(box["method"], post_tax=True, lines=lines, tax=share(Decimal(box["tax"]) / 100))
    document["fade"] = {
        "half_life_years": str(Decimal(box["half_life"]) / 100),
        "growth": str(Decimal(box["growth"]) / 100),
        "upkeep": money(box["upkeep"]),
        "cited": CITED,
    }
    document["rate"]["parts"] = parts(Decimal(box["rate"]) / 100, 0, 0, 0)
    stated = facts(document).income
    return worth(stated, quality=Fraction(box["quality"], 100), years=stated.years).value


@settings(max_examples=60, deadline=None)
@given(boxes, st.integers(1, 10**6), st.integers(1, 30), st.data())
def test_value_moves_the_right_way(box, more, step, data):
    value = built(box)
    assert value >= 0
    at = data.draw(st.integers(0, len(box["lines"]) - 1))
    richer = [(first + more * (place == at), second_) for place, (first, second_) in enumerate(box["lines"])]
    assert built(box, lines=richer) >= value
    assert built(box, rate=box["rate"] + step) <= value
    assert built(box, upkeep=box["upkeep"] + more) <= value
    assert built(box, quality=max(box["quality"] - step, 1)) <= value
    # a year that does not bear its upkeep, appended, changes nothing
    upkeep = max(box["upkeep"], 1)
    padded = [*box["lines"], (1, 2_000_000)]
    assert built(box, lines=padded, upkeep=upkeep) == built(box, upkeep=upkeep)


def test_economic_life_ends_where_upkeep_begins():
    poor = income(years=12, sales="60000", costs="0")
    got = appraise(poor)
    life = got.central.find("income.central.life").fraction
    # closed form of the continuous decay, T* = ln(F0/c) / (lambda - ln(1+g)): the whole years are within one of it
    q = min(float(MEASURED.used.value) / 0.95, 1)
    assert abs(float(life) - log(60000 * q / 10000) / (log(2) / 3 - log(1.02))) <= 1
    assert "income-life" in {remark.code for remark in got.remarks}
    assert appraise(income(years=30, sales="60000", costs="0")).central.value == got.central.value
    assert appraise(income(sales="100", costs="0")).central.fraction == 0
    assert "income-worthless" in {remark.code for remark in appraise(income(sales="100", costs="0")).remarks}


def test_the_title_cuts_the_income():
    document = copy.deepcopy(CASE["facts"]) | {"income": income()}
    document["legal"]["title"][1]["expires"] = "2028-06-28"
    got = appraise_income(Facts.from_json(document), MEASURED)
    assert got.central.find("income.term").fraction == 1
    assert got.central.find("income.central.life").fraction == 1
    assert "income-cut" in {remark.code for remark in got.remarks}


def test_surplus_quality_adds_nothing():
    assert appraise(income(quality_assumed="0.5")).high.value == appraise(income(quality_assumed="0.4")).low.value


def test_the_firms_other_assets_check_the_rate():
    document = income(post_tax=True)
    document["rate"] |= {
        "wacc": share("0.1"),
        "other_assets": [{"name": "plant", "value": money(9000000), "rate": "0.08", "cited": CITED}],
    }
    got = appraise(document)
    value = got.central.fraction
    assert close(got.others[0].fraction, (Fraction("0.1") * (value + 9000000) - 720000) / value, "1e-30")
    document["rate"]["wacc"] = share("0.3")
    assert {"wara-implausible", "wara-gap"} <= {remark.code for remark in appraise(document).remarks}


@pytest.mark.parametrize(
    ("path", "value", "error", "key"),
    [
        (("method",), "hope", OutOfRange, "facts.income.method"),
        (("lines",), [], OutOfRange, "facts.income.lines"),
        (("lines",), [line(2, "revenue", 1)], MissingKey, "facts.income.lines of year 1 and kind revenue"),
        (("lines", 0, "kind"), "without", OutOfRange, "facts.income.lines[0].kind"),
        (("lines", 0, "year"), 0, OutOfRange, "facts.income.lines[0].year"),
        (("lines", 0, "year"), MAX_YEARS + 1, OutOfRange, "facts.income.lines[0].year"),
        (("lines", 0, "amount", "amount"), "NaN", WrongType, "facts.income.lines[0].amount.amount"),
        (("lines", 0, "amount", "amount"), "Infinity", WrongType, "facts.income.lines[0].amount.amount"),
        (("lines", 0, "amount", "amount"), "9" * 400, WrongType, "facts.income.lines[0].amount.amount"),
        (("lines", 0, "amount", "amount"), 5.0, WrongType, "facts.income.lines[0].amount.amount"),
        (("lines", 0, "amount", "amount"), "-1", OutOfRange, "facts.income.lines[0].amount"),
        (("lines", 0, "cited", "on"), "2026-02-30", OutOfRange, "facts.income.lines[0].cited.on"),
        (("lines", 0, "cited", "on"), "2026-07-01", OutOfRange, "facts.income.lines[0].cited.on"),
        (("rate", "parts", "risk_free", "cited", "on"), "2026-07-01", OutOfRange,
         "facts.income.rate.parts.risk_free.cited.on"),
        (("fade", "growth"), "0.2", OutOfRange, "facts.income.fade.growth"),
        (("fade", "growth"), "0.21", OutOfRange, "facts.income.fade.growth"),
        (("fade", "growth"), "-1", OutOfRange, "facts.income.fade.growth"),
        (("fade", "half_life_years"), "0", OutOfRange, "facts.income.fade.half_life_years"),
        (("fade", "upkeep", "amount"), "-1", OutOfRange, "facts.income.fade.upkeep"),
        (("rate", "parts"), parts(0, 0, 0, 0), OutOfRange, "facts.income.rate.parts"),
        (("rate", "parts"), parts("0.5", "0.5", 0, 0), OutOfRange, "facts.income.rate.parts"),
        (("rate", "basis"), "nominal", OutOfRange, "facts.income.rate.basis"),
        (("rate", "wacc"), share("0.1"), OutOfRange, "facts.income.rate.wacc"),
        (("tax", "value"), "0.25", OutOfRange, "facts.income.tax.value"),
        (("tax", "value"), "1", OutOfRange, "facts.income.tax.value"),
        (("claim",), CLAIMS["share"], UnknownKey, "facts.income.claim"),
        (("quality_assumed",), "0", OutOfRange, "facts.income.quality_assumed"),
        (("terminal_value",), "1", UnknownKey, "facts.income.terminal_value"),
    ],
)  # fmt: skip
def test_income_refuses_and_names_the_key(path, value, error, key):
    with pytest.raises(error) as caught:
        facts(changed(path, value, income()))
    assert caught.value.key == key


def test_claims_are_strict():
    for method, path, value, error in (
        ("share", ("claim",), None, MissingKey),
        ("share", ("claim", "high"), "0.05", OutOfRange),
        ("share", ("claim", "score"), "1.1", OutOfRange),
        ("royalty", ("claim", "royalty"), "0.5", OutOfRange),
        ("royalty", ("claim", "tab_years"), 31, OutOfRange),
        ("excess", ("claim", "contributory"), [], OutOfRange),
        ("excess", ("lines", 0, "amount", "amount"), "0", OutOfRange),
    ):
        with pytest.raises(error):
            facts(changed(path, value, income(method)))
    with pytest.raises(CurrencyMismatch):
        facts(changed(("lines", 0, "amount", "currency"), "USD", income()))
    with pytest.raises(MissingKey) as caught:
        appraise_income(Facts.from_json(CASE["facts"]), MEASURED)
    assert caught.value.key == "facts.income"


def test_facts_of_income_read_themselves_back():
    for method in METHODS:
        document = copy.deepcopy(CASE["facts"]) | {"income": income(method, post_tax=True)}
        assert Facts.from_json(document).to_json() == document
    assert Facts.from_json(CASE["facts"]).on == date(2026, 6, 30)
