"""Several approaches, one conclusion: weights, consistency, draws against closed forms, reports that verify, refusals."""

import copy
import json
from datetime import date
from decimal import Decimal
from fractions import Fraction
from math import exp, isclose, log, sqrt
from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from privacy.errors import PrivacyError
from tests.test_pledge import flip, leaves
from tests.test_valuation import CASE, changed, close, evidence
from tests.test_valuation_income import income
from tests.test_valuation_market import DEALS, deal
from valuation.asset import DataAsset
from valuation.cost import Mode, appraise_cost
from valuation.draws import factors_of
from valuation.errors import BadInput, CurrencyMismatch, Differs, GatesClosed, MissingKey, OutOfRange, UnknownKey
from valuation.facts import Facts
from valuation.judgement import Judgement, Shape, Spread
from valuation.pledge import quote
from valuation.reconcile import appraise
from valuation.report import Necessity, compose, perform, verify
from valuation.terms import Terms

ON = date(2026, 6, 30)
REASON = {"reason": "contracts carry two thirds of the income"}


def spread(driver, low, high, shape="triangular"):
    return {"driver": driver, "shape": shape, "low": low, "high": high, "reason": "three years of actuals"}


JUDGEMENT = {
    "weights": {
        "cost": {"share": "0.2", **REASON},
        "income": {"share": "0.5", **REASON},
        "market": {"share": "0.3", **REASON},
    },
    "spreads": [
        spread("level", "0.6", "1.2"),
        spread("half_life", "0.5", "1.3"),
        spread("rate", "0.9", "1.4", "uniform"),
        spread("market", "0.7", "1.3"),
    ],
    "scenarios": [
        {
            "name": "rival",
            "reason": "a free rival",
            "factors": {"level": "0.75", "half_life": "0.67", "market": "0.65"},
        },
        {"name": "as stated", "reason": "check", "factors": {}},
    ],
    "seed": "2026-06-30 cards_2026",
    "draws": 200,
}

FACTS = json.loads(json.dumps(CASE["facts"] | {"income": income(sales="1400000"), "market": {"deals": DEALS}}))
for link in FACTS["legal"]["title"]:
    link["expires"] = None


def value(judgement=JUDGEMENT, facts=FACTS, ev=None, mode=Mode.BOTH):
    return appraise(
        DataAsset.from_json(CASE["asset"]),
        Facts.from_json(facts),
        ev or evidence(),
        ON,
        judgement=Judgement.from_json(judgement),
        mode=mode,
    )


GOT = value()


def figure(key, got=GOT):
    return next(one for root in got.roots for one in root.walk() if one.key == key)


def only(*approaches, **changes):
    kept = {name: FACTS[name] for name in FACTS if name not in {"income", "market"} or name in approaches}
    weights = {name: {"share": "1" if name == approaches[0] else "0", **REASON} for name in approaches}
    weights.setdefault("cost", {"share": "0", **REASON})
    return value({**JUDGEMENT, "spreads": [], "scenarios": [], "weights": weights, **changes}, kept)


def test_the_conclusion_is_the_weighted_mean_and_never_the_largest():
    parts = [figure(f"{name}.central").fraction for name in ("value", "income", "market")]
    weights = [Fraction(1, 5), Fraction(1, 2), Fraction(3, 10)]
    assert close(GOT.central.fraction, sum(w * v for w, v in zip(weights, parts, strict=True)), "1e-30")
    assert min(parts) < GOT.central.fraction < max(parts)
    assert GOT.low.money <= GOT.central.money <= GOT.high.money


def test_consistency_is_computed_twice():
    parts = [figure(f"{name}.central").fraction for name in ("value", "income", "market")]
    errors = [figure(f"spread.{name}").fraction for name in ("cost", "income", "market")]
    ratio = (max(parts) - min(parts)) / (sum(parts) / 3)
    assert close(figure("consistency.spread").fraction, ratio, "1e-30")
    mean = sum(v / s**2 for v, s in zip(parts, errors, strict=True)) / sum(1 / s**2 for s in errors)
    chi2 = sum(((v - mean) / s) ** 2 for v, s in zip(parts, errors, strict=True))
    assert close(figure("consistency.chi2").fraction, chi2, "1e-20")
    disagree = "approaches-disagree" in {remark.code for remark in GOT.remarks}
    assert disagree == (ratio > Fraction(3, 10))
    if disagree:
        assert GOT.low.fraction <= min(parts)
        assert GOT.high.fraction >= max(parts)


def test_approaches_that_agree_leave_the_range_to_draws_and_evidence():
    like = copy.deepcopy(FACTS)
    like["income"] = income(sales="3260000")
    for one in like["market"]["deals"]:
        one["price"]["amount"] = str(5 * int(one["price"]["amount"]))
    got = value(facts=like)
    assert figure("consistency.spread", got).fraction <= Fraction(3, 10)
    assert "approaches-disagree" not in {remark.code for remark in got.remarks}
    parts = [figure(name, got) for name in ("draws.p5", "conclusion.evidence.low", "conclusion.central")]
    assert got.low.fraction == min(part.fraction for part in parts)
    parts = [figure(name, got) for name in ("draws.p95", "conclusion.evidence.high", "conclusion.central")]
    assert got.high.fraction == max(part.fraction for part in parts)


NUMBERS = {"amount", "value", "half_life_years", "growth", "quality_assumed", "rows", "factor", "dissimilarity"}
EXTREMES = (
    "0",
    "0.000000000000000000000000000001",
    "0.999999999999999999999999",
    "1",
    "29.9",
    "9" * 30,
    "-" + "9" * 30,
)


@pytest.mark.parametrize(
    "path",
    [
        p
        for p in leaves({key: FACTS[key] for key in ("income", "market")})
        if p[-1] in NUMBERS and 1 not in p and 2 not in p and 3 not in p
    ],
    ids=lambda p: ".".join(map(str, p)),
)
def test_extreme_facts_give_a_value_or_a_named_key(path):
    for text in EXTREMES:
        try:
            got = value({**JUDGEMENT, "draws": 100}, changed(path, text, FACTS))
        except BadInput:
            continue
        assert 0 <= got.low.fraction <= got.central.fraction <= got.high.fraction


def test_a_wild_approach_widens_the_range_to_itself():
    dear = copy.deepcopy(FACTS)
    dear["market"]["deals"] = [deal(f"d{n}", 90_000_000, 80000) for n in range(3)]
    got = value(facts=dear)
    assert "approaches-disagree" in {remark.code for remark in got.remarks}
    assert got.high.fraction >= figure("market.high", got).fraction
    assert got.low.fraction <= min(figure("value.low", got).fraction, figure("income.low", got).fraction)
    poor = copy.deepcopy(FACTS)
    poor["income"] = income(sales="1", costs="0")
    got = value(facts=poor)
    assert got.low.fraction == 0 < got.central.fraction
    assert got.remaining_low.fraction == 0


def test_draws_of_a_linear_driver_meet_their_closed_forms():
    # one approach, one driver, hardly any noise: the conclusion is v * factor, whose law is known
    got = only("market", spreads=[spread("market", "0.7", "1.6")], draws=20_000)
    base = figure("market.central", got).fraction
    one = Spread("market", Shape.TRIANGULAR, Decimal("0.7"), Decimal("1.6"), "r")
    error = figure("draws.error", got).fraction
    assert abs(figure("draws.mean", got).fraction - base * one.mean) < 4 * error
    assert close(error**2 * 20_000, base**2 * one.variance, "0.1")
    for name, share in (("p5", 0.05), ("p50", 0.5), ("p95", 0.95)):
        law = float(factors_of(one, np.array([share]))[0])
        assert isclose(figure(f"draws.{name}", got).fraction, base * law, rel_tol=0.03)
    assert figure("draws.check.market", got).fraction < 4


def test_the_noise_of_the_counts_alone_gives_its_normal_quantiles():
    people = {"count(distinct unit)": (4_100, 4)}
    counts = {
        "count(*)": (20_000, 90_000),
        **people,
        "filled(balance)": (19_000, 90_000),
        "valid(balance)": (18_000, 90_000),
    }
    got = appraise(
        DataAsset.from_json(CASE["asset"]),
        Facts.from_json({key: FACTS[key] for key in FACTS if key != "income"}),
        evidence(counts),
        ON,
        judgement=Judgement.from_json(
            {**JUDGEMENT, "spreads": [], "scenarios": [], "draws": 30_000,
             "weights": {"cost": {"share": "0", **REASON}, "market": {"share": "1", **REASON}}}
        ),
    )  # fmt: skip
    base = float(figure("market.central", got).fraction)
    for name, share in (("p5", 0.05), ("p95", 0.95)):
        law = base * (1 + 300 / 18_000 * NormalDist().inv_cdf(share))
        assert abs(float(figure(f"draws.{name}", got).fraction) - law) < 0.002 * base
    assert got.low.fraction == figure("conclusion.evidence.low", got).fraction


def test_sensitivities():
    pairs = [
        (figure(f"tornado.{one['driver']}.low").fraction, figure(f"tornado.{one['driver']}.high").fraction)
        for one in JUDGEMENT["spreads"]
    ]
    assert pairs[0][0] < GOT.central.fraction < pairs[0][1]
    assert pairs[2][0] > GOT.central.fraction > pairs[2][1]
    order = list(dict.fromkeys(f.key.split(".")[1] for f in GOT.others if f.key.startswith("tornado.")))
    widths = {one["driver"]: abs(high - low) for one, (low, high) in zip(JUDGEMENT["spreads"], pairs, strict=True)}
    assert order == sorted(widths, key=widths.get, reverse=True)
    assert close(figure("scenario.1").fraction, GOT.central.fraction, "1e-25")
    assert figure("scenario.0").fraction < GOT.central.fraction
    # at the break-even level the income approach gives what the cost approach gives
    level = figure("break_even.level").fraction
    at = copy.deepcopy(FACTS)
    for line in at["income"]["lines"]:
        if line["kind"] == "revenue":
            line["amount"]["amount"] = str(Decimal(int(1400000 * level * 10**6)) / 10**6)
    assert close(figure("income.central", value(facts=at)).fraction, figure("value.central").fraction, "1e-6")
    poor = copy.deepcopy(FACTS)
    poor["income"] = income(sales="1", costs="0")
    assert not any(f.key.startswith("break_even") for f in value(facts=poor).others)


@settings(max_examples=6, deadline=None)
@given(st.integers(1, 10**6), st.integers(1, 9_000))
def test_the_whole_moves_the_right_way(more, worse):
    small = {**JUDGEMENT, "draws": 100}
    richer = copy.deepcopy(FACTS)
    richer["income"]["lines"][0]["amount"]["amount"] = str(1400000 + more)
    plain, rich = value(small), value(small, richer)
    assert rich.central.fraction > plain.central.fraction
    assert figure("draws.p5", rich).fraction >= figure("draws.p5", plain).fraction
    counts = {**CASE["counts"], "valid(balance)": [96800 - worse, 400]}
    worn = value(small, ev=evidence(counts))
    assert worn.central.fraction < value(small).central.fraction
    assert worn.low.fraction < value(small).low.fraction


def test_quality_as_a_driver_moves_every_approach_once():
    got = value({**JUDGEMENT, "spreads": [spread("quality", "0.5", "1", "uniform")], "scenarios": []})
    half = figure("tornado.quality.low", got).fraction
    assert half < GOT.central.fraction
    market = only("market", spreads=[spread("quality", "0.5", "1", "uniform")])
    low = figure("tornado.quality.low", market).fraction
    assert close(low, figure("market.central", market).fraction / 2, "1e-25")


OPTION = {
    "name": "second use by insurers",
    "right": "deploy",
    "worth": {"amount": "800000", "currency": "CNY"},
    "strike": {"amount": "600000", "currency": "CNY"},
    "half_life_years": "4",
    "risk_free": "0.02",
    "volatility": "0.4",
    "years": "2",
    "cited": FACTS["costs"][0]["cited"],
}


def test_a_real_option_stands_beside_the_value_and_not_in_it():
    got = value(facts={**FACTS, "option": OPTION})
    for end in ("low", "central", "high", "remaining_low"):
        assert getattr(got, end) == getattr(GOT, end)
    q, law = log(2) / 4, NormalDist().cdf
    first = (log(8 / 6) + (0.02 - q + 0.08) * 2) / (0.4 * sqrt(2))
    want = 800000 * exp(-2 * q) * law(first) - 600000 * exp(-0.04) * law(first - 0.4 * sqrt(2))
    assert isclose(float(figure("option", got).fraction), want, rel_tol=1e-9)
    put = figure("option", value(facts={**FACTS, "option": OPTION | {"right": "sell"}})).fraction
    assert isclose(want - float(put), 800000 * exp(-2 * q) - 600000 * exp(-0.04), rel_tol=1e-9)
    assert "option-apart" in {remark.code for remark in got.remarks}
    assert Facts.from_json({**FACTS, "option": OPTION}).to_json()["option"] == OPTION
    for key, wrong in (("volatility", "0.05"), ("years", "0"), ("half_life_years", "31"), ("risk_free", "-1")):
        with pytest.raises(OutOfRange) as caught:
            Facts.from_json({**FACTS, "option": OPTION | {key: wrong}})
        assert caught.value.key == f"facts.option.{key}"
    with pytest.raises(CurrencyMismatch):
        Facts.from_json({**FACTS, "option": changed(("strike", "currency"), "USD", OPTION)})


def test_the_cost_method_says_which_facts_it_left_aside():
    got = appraise_cost(DataAsset.from_json(CASE["asset"]), Facts.from_json(FACTS), evidence(), ON)
    assert [remark.text for remark in got.remarks if remark.code == "facts-unused"] == [
        "facts of income, market were stated and are not used by the cost method"
    ]
    assert "facts-unused" not in {remark.code for remark in GOT.remarks}


# --- reports -----------------------------------------------------------------------------------------------------------

INPUTS = {
    "asset": CASE["asset"],
    "facts": FACTS,
    "evidence": evidence(purpose=CASE["necessity"]["purpose"]).to_json(),
    "method": {
        "name": "reconciled",
        "on": "2026-06-30",
        "mode": "both",
        "weights": {"completeness": "0.5", "validity": "0.5"},
        "judgement": {**JUDGEMENT, "draws": 100},
    },
    "terms": CASE["terms"],
    "necessity": CASE["necessity"],
}
REPORT = perform(INPUTS)


def test_a_report_carries_every_approach_and_verifies():
    assert verify(REPORT).figures == len(REPORT["figures"])
    assert perform(json.loads(json.dumps(INPUTS))) == REPORT
    assert REPORT["conclusion"]["approaches"] == ["cost", "income", "market"]
    keys = {one["key"] for one in REPORT["figures"]}
    assert {"value.central", "income.central", "market.central", "draws.p5", "scenario.0", "break_even.level"} <= keys
    known = set()
    for one in REPORT["figures"]:
        assert set(one["because"]) <= known
        assert one["because"] or one["evidence"] or one["formula"].startswith(("given", "agreed"))
        known.add(one["key"])
    got = value({**JUDGEMENT, "draws": 100}, ev=evidence(purpose=CASE["necessity"]["purpose"]))
    quoted = quote(got, Terms.from_json(CASE["terms"]))
    haircut = dict(quoted.haircuts)["model_risk"]
    assert haircut.share == Decimal("0.2")
    assert "one approach only" not in haircut.reason
    assert compose(got, quoted, Necessity.from_json(CASE["necessity"])) == REPORT


@pytest.mark.parametrize("index", range(0, len(REPORT["figures"]), 9))
def test_a_flip_of_any_figure_is_found_and_named(index):
    odd = copy.deepcopy(REPORT)
    odd["figures"][index]["value"] = flip(odd["figures"][index]["value"])
    with pytest.raises(Differs) as caught:
        verify(odd)
    assert caught.value.place == REPORT["figures"][index]["key"]


@pytest.mark.parametrize(
    "path",
    [p for p in leaves(REPORT) if p[:3] == ("inputs", "method", "judgement") or p[:3] == ("inputs", "facts", "income")][
        ::4
    ]
    + [p for p in leaves(REPORT) if p[0] not in {"figures", "inputs"}][::6],
    ids=lambda p: ".".join(map(str, p)),
)
def test_a_flip_of_anything_else_is_found(path):
    odd = copy.deepcopy(REPORT)
    inner = odd
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = flip(inner[path[-1]])
    with pytest.raises(PrivacyError):
        verify(odd)


# --- refusals ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "new", "error", "key"),
    [
        (("weights", "cost", "share"), "0.3", OutOfRange, "judgement.weights"),
        (("weights", "cost", "share"), "-0.2", OutOfRange, "judgement.weights.cost.share"),
        (("weights", "hope"), {"share": "0", **REASON}, UnknownKey, "judgement.weights.hope"),
        (("weights", "cost", "reason"), "", OutOfRange, "judgement.weights.cost.reason"),
        (("spreads", 0, "driver"), "luck", OutOfRange, "judgement.spreads[0].driver"),
        (("spreads", 0, "low"), "0", OutOfRange, "judgement.spreads[0].low"),
        (("spreads", 0, "low"), "1.1", OutOfRange, "judgement.spreads[0].low"),
        (("spreads", 0, "high"), "0.9", OutOfRange, "judgement.spreads[0].high"),
        (("spreads", 0), spread("level", "1", "1"), OutOfRange, "judgement.spreads[0].high"),
        (("spreads", 0, "high"), "21", OutOfRange, "judgement.spreads[0].high"),
        (("spreads", 0, "shape"), "normal", OutOfRange, "judgement.spreads[0].shape"),
        (("spreads", 1, "driver"), "level", OutOfRange, "judgement.spreads"),
        (("spreads", 2, "high"), "5", OutOfRange, "judgement.spreads, rate"),
        (("spreads", 2, "low"), "0.1", OutOfRange, "judgement.spreads, rate"),
        (("scenarios", 0, "factors", "rate"), "5", OutOfRange, "judgement.scenarios, rival"),
        (("scenarios", 0, "factors", "luck"), "1", OutOfRange, "judgement.scenarios[0].factors"),
        (("scenarios", 0, "factors", "quality"), "1.1", OutOfRange, "judgement.scenarios[0].factors.quality"),
        (("scenarios", 1, "name"), "rival", OutOfRange, "judgement.scenarios"),
        (("draws",), 99, OutOfRange, "judgement.draws"),
        (("draws",), 10**400, OutOfRange, "judgement.draws"),
        (("seed",), "", OutOfRange, "judgement.seed"),
    ],
)
def test_judgements_are_strict(path, new, error, key):
    with pytest.raises(error) as caught:
        value(changed(path, new, JUDGEMENT))
    assert caught.value.key == key


def test_approaches_and_weights_match():
    for dropped in ("income", "market"):
        with pytest.raises(MissingKey) as caught:
            value(facts={key: FACTS[key] for key in FACTS if key != dropped})
        assert caught.value.key == f"facts.{dropped}"
    two = {"cost": {"share": "0.5", **REASON}, "income": {"share": "0.5", **REASON}}
    with pytest.raises(OutOfRange):  # a spread of the market moves neither of the two
        value({**JUDGEMENT, "weights": two})
    with pytest.raises(MissingKey) as caught:
        value({**JUDGEMENT, "weights": two, "spreads": [], "scenarios": []})
    assert caught.value.key == "judgement.weights.market"
    for name, judgement, error in (("reconciled", None, MissingKey), ("cost_cas2023", JUDGEMENT, UnknownKey)):
        method = {**INPUTS["method"], "name": name, "judgement": judgement}
        with pytest.raises(error):
            perform({**INPUTS, "method": method})


def test_gates_come_before_every_figure():
    closed = copy.deepcopy(FACTS)
    closed["legal"]["owner_form"] = "government"
    with pytest.raises(GatesClosed):
        value(facts=closed)


def test_approaches_without_an_error_are_still_compared():
    # by life alone nothing moves the cost approach: there is no chi-square, but the approaches lie as far apart as before
    judgement = {**JUDGEMENT, "spreads": [spread("cost", "0.9", "1.1"), spread("level", "0.9", "1.1")], "scenarios": []}
    still = {**judgement, "spreads": []}
    by_life = value(judgement, mode=Mode.LIFE), value(still, mode=Mode.LIFE)
    keys = [{f.key for f in got.others if f.key.startswith("consistency.")} for got in by_life]
    assert keys == [{"consistency.spread", "consistency.chi2", "consistency.inverse_variance"}, {"consistency.spread"}]
    for got in by_life:
        assert "approaches-disagree" in {remark.code for remark in got.remarks}
        assert got.high.fraction >= figure("value.high", got).fraction


def test_draws_that_miss_their_closed_form_are_remarked_on():
    # this seed's first hundred draws lie four standard errors off: found by trying twenty thousand
    got = only("cost", spreads=[spread("cost", "0.5", "1.5", "uniform")], draws=100, seed="23837")
    assert "draws-off" in {remark.code for remark in got.remarks}
    assert figure("draws.check.cost", got).fraction > 4


def test_remarks_on_judgements():
    alone = only("cost")
    assert {"approach-alone", "spreads-absent"} <= {remark.code for remark in alone.remarks}
    assert close(alone.central.fraction, figure("value.central").fraction, "1e-30")
    assert "approach-unweighted" in {remark.code for remark in only("market").remarks}
