"""The desk beside QuantLib: discounting, annuities, internal rates, options, normal distributions, loan schedules.

QuantLib computes by its own calendars, curves, engines and special functions. What it does not offer is not here; every method
has other second computations in ``test_desk.py``. The desk counts no days, so day counts only carry times to QuantLib: whole
months in its simple count, 365ths of a year in ACT/365.
"""

from decimal import Decimal
from fractions import Fraction
from math import exp, log, sqrt

import pytest

from tests.test_desk import changed
from valuation import desk
from valuation.desk.reals import below, jointly_below, quantile

ql = pytest.importorskip("QuantLib")  # a checkout without the development group still runs the rest

TODAY = ql.Date(15, 1, 2026)


@pytest.fixture(autouse=True)
def _on_one_day():
    ql.Settings.instance().evaluationDate = TODAY
    yield
    ql.Settings.instance().evaluationDate = ql.Date()


def close(got, wanted, allowed=1e-9):
    return abs(float(got) - float(wanted)) <= allowed * max(abs(float(got)), abs(float(wanted)))


def legs(flows, months):
    """Cash flows after those many months."""
    return ql.Leg(
        [
            ql.SimpleCashFlow(float(flow), TODAY + ql.Period(month, ql.Months))
            for flow, month in zip(flows, months, strict=True)
        ]
    )


def worth(flows, months, rate):
    yearly = ql.InterestRate(float(rate), ql.SimpleDayCounter(), ql.Compounded, ql.Annual)
    return ql.CashFlows.npv(legs(flows, months), yearly, False, TODAY, TODAY)


FLOWS = ([100, 200, -50, 400], [1_800_000, 2_050_000, 2_210_000, 2_140_000, 1_760_000], [7.5] * 30)


@pytest.mark.parametrize("rate", ["0.013", "0.175", "0.62"])
@pytest.mark.parametrize("timing", ["end", "mid"])
@pytest.mark.parametrize("flows", FLOWS, ids=len)
@pytest.mark.parametrize("stub", [12, 6])
def test_discounted_income(flows, timing, rate, stub):
    if timing == "end":
        months = [stub + 12 * year for year in range(len(flows))]
    else:
        months = [stub // 2, *(stub + 12 * year - 6 for year in range(1, len(flows)))]
    got = desk.evaluate("dcf_finite", {"income": [Decimal(str(one)) for one in flows], "rate": Decimal(rate), "timing": timing,
                                       "stub_fraction": Decimal(stub) / 12})["P"]  # fmt: skip
    assert close(got, worth([flows[0] * stub / 12, *flows[1:]], months, rate))


@pytest.mark.parametrize(
    ("first", "growth", "rate", "years"), [(100, "0.06", "0.18", 7), (5, "-0.3", "0.4", 3), (9, "0.2", "0.1", 25)]
)
def test_growing_annuities(first, growth, rate, years):
    got = desk.evaluate("dcf_growing_annuity", {"F1": first, "g": Decimal(growth), "i": Decimal(rate), "n": years})["P"]
    flows = [first * (1 + float(growth)) ** year for year in range(years)]
    assert close(got, worth(flows, range(12, 12 * years + 1, 12), rate))


@pytest.mark.parametrize("mid", [True, False])
@pytest.mark.parametrize(("years", "rate", "tax"), [(10, "0.16", "0.25"), (5, "0.3", "0.15"), (20, "0.08", "0.4")])
def test_tax_amortisation_benefits(years, rate, tax, mid):
    got = desk.evaluate("tab_factor", {"n": years, "rate": Decimal(rate), "tax": Decimal(tax), "mid_year": mid})[
        "factor"
    ]
    saved = worth([float(tax) / years] * years, [12 * year - 6 * mid for year in range(1, years + 1)], rate)
    assert close(got, 1 / (1 - saved))


@pytest.mark.parametrize("mid", [True, False])
@pytest.mark.parametrize(
    ("royalty", "rate", "tax"), [("0.05", "0.12", "0.25"), ("0.2", "0.31", "0"), ("0.01", "0.07", "0.2")]
)
def test_royalties(royalty, rate, tax, mid):
    given = changed("relief_from_royalty", royalty=Decimal(royalty), rate=Decimal(rate), tax=Decimal(tax), mid_year=mid)
    kept = float(royalty) * (1 - float(tax))
    flows = [float(one) * kept for one in given["revenue"]]
    months = [12 * year - 6 * mid for year in range(1, len(flows) + 1)]
    assert close(desk.evaluate("relief_from_royalty", given)["pv_before_tab"], worth(flows, months, rate))


@pytest.mark.parametrize(
    ("flows", "tax", "rate"),
    [([1_000_000] * 5, "0.25", "0.15"), ([300, 500, 200], "0.4", "0.09"), ([70] * 12, "0.15", "0.3")],
)
def test_internal_rates(flows, tax, rate):
    """The pre-tax rate is the internal rate of the income before tax at the value that the income after tax has."""
    got = desk.evaluate("pretax_rate_equivalence", {"ebit": flows, "tax": Decimal(tax), "post_tax_rate": Decimal(rate)})
    months = range(12, 12 * len(flows) + 1, 12)
    assert close(got["P"], worth([one * (1 - float(tax)) for one in flows], months, rate))
    internal = ql.CashFlows.yieldRate(
        legs(flows, months), float(got["P"]), ql.SimpleDayCounter(), ql.Compounded, ql.Annual, False, TODAY, TODAY, 1e-14,
        1000, 0.2,
    )  # fmt: skip
    assert close(got["pre_tax_rate"], internal)


def process(spot, rate, decay, sigma):
    count = ql.Actual365Fixed()
    flat = lambda level: ql.YieldTermStructureHandle(ql.FlatForward(TODAY, level, count))  # noqa: E731
    swing = ql.BlackVolTermStructureHandle(ql.BlackConstantVol(TODAY, ql.NullCalendar(), sigma, count))
    return ql.BlackScholesMertonProcess(ql.QuoteHandle(ql.SimpleQuote(spot)), flat(decay), flat(rate), swing)


OPTIONS = [
    ("8000000", "6500000", "0.023", "0.35", "0.45", 730),
    ("100", "130", "0.04", "0", "0.2", 219),
    ("50", "45", "-0.01", "0.1", "0.9", 511),
    ("1", "1", "0.1", "0.02", "0.3", 1825),
]


@pytest.mark.parametrize("call", [True, False])
@pytest.mark.parametrize(("spot", "strike", "rate", "decay", "sigma", "days"), OPTIONS)
def test_options(spot, strike, rate, decay, sigma, days, call):
    given = {"S": Decimal(spot), "K": Decimal(strike), "r": Decimal(rate), "decay_yield_q": Decimal(decay),
             "sigma": Decimal(sigma), "T": Decimal(days) / 365, "call": call}  # fmt: skip
    payoff = ql.PlainVanillaPayoff(ql.Option.Call if call else ql.Option.Put, float(strike))
    market = process(float(spot), float(rate), float(decay), float(sigma))
    european = ql.VanillaOption(payoff, ql.EuropeanExercise(TODAY + days))
    european.setPricingEngine(ql.AnalyticEuropeanEngine(market))
    assert close(desk.evaluate("real_option_bsm", given)["value"], european.NPV())
    # the tree comes as near as its steps allow; QuantLib's own tree of that name has other probabilities
    tree = desk.evaluate("real_option_crr", given | {"steps": 150, "american": False})["value"]
    assert close(tree, european.NPV(), 1e-2)
    american = ql.VanillaOption(payoff, ql.AmericanExercise(TODAY, TODAY + days))
    american.setPricingEngine(ql.QdFpAmericanEngine(market, ql.QdFpAmericanEngine.highPrecisionScheme()))
    tree = desk.evaluate("real_option_crr", given | {"steps": 150, "american": True})["value"]
    assert close(tree, american.NPV(), 1e-2)


def test_normal_distributions():
    law = ql.CumulativeNormalDistribution()
    for point in (-7.5, -3, -1.25, -0.1, 0, 0.4, 2, 5):
        assert close(below(Fraction(point)), law(point), 1e-12)
    for share in (1e-9, 0.001, 0.05, 0.3, 0.5001, 0.97, 0.999):
        assert close(quantile(Fraction(share)), ql.InverseCumulativeNormal()(share), 3e-9)


@pytest.mark.parametrize(
    ("default", "guarantor", "correlation"),
    [("0.03", "0.002", "0.2"), ("0.2", "0.1", "0.6"), ("0.01", "0.05", "0.05"), ("0.4", "0.3", "0")],
)
def test_joint_defaults(default, guarantor, correlation):
    points = [float(quantile(Fraction(one))) for one in (default, guarantor)]
    want = ql.BivariateCumulativeNormalDistributionWe04DP(float(correlation))(*points)
    assert close(jointly_below(Fraction(default), Fraction(guarantor), Fraction(correlation)), want, 1e-10)
    given = changed(
        "guarantee_joint_default",
        PD=Decimal(default),
        PD_guarantor=Decimal(guarantor),
        correlation=Decimal(correlation),
    )
    assert close(desk.evaluate("guarantee_joint_default", given)["joint_pd"], want, 1e-6)


@pytest.mark.parametrize(
    ("default", "loss", "rho", "attach", "detach"),
    [("0.03", "0.7", "0.15", "0", "0.1"), ("0.05", "0.6", "0.3", "0.1", "0.3"), ("0.2", "0.9", "0.05", "0.15", "0.5")],
)
def test_tranches(default, loss, rho, attach, detach):
    """Expected loss of a tranche from two bivariate normal probabilities."""
    given = {
        "PD": Decimal(default),
        "LGD": Decimal(loss),
        "rho": Decimal(rho),
        "attach": Decimal(attach),
        "detach": Decimal(detach),
    }
    p, lgd, r = float(default), float(loss), float(rho)
    inverse, joint = ql.InverseCumulativeNormal(), ql.BivariateCumulativeNormalDistributionWe04DP(sqrt(r))

    def beyond(level):
        if level == 0:
            return p * lgd
        edge = (inverse(p) - sqrt(1 - r) * inverse(level / lgd)) / sqrt(r)
        return lgd * joint(inverse(p), edge) - level * ql.CumulativeNormalDistribution()(edge)

    want = (beyond(float(attach)) - beyond(float(detach))) / (float(detach) - float(attach))
    assert close(desk.evaluate("abs_tranche_lhp", given)["tranche_el"], want, 1e-6)


@pytest.mark.parametrize(
    ("default", "loss", "maturity"), [("0.02", "0.4", "2.5"), ("0.0005", "0.25", "1"), ("0.15", "0.75", "5")]
)
def test_risk_weights(default, loss, maturity):
    given = {"PD": Decimal(default), "LGD": Decimal(loss), "M": Decimal(maturity), "sales_mEUR_or_null": None}
    got = desk.evaluate("irb_capital", given)
    p, r = float(default), float(got["R"])
    inverse, law = ql.InverseCumulativeNormal(), ql.CumulativeNormalDistribution()
    stressed = law((inverse(p) + sqrt(r) * inverse(0.999)) / sqrt(1 - r))
    slope = (0.11852 - 0.05478 * log(p)) ** 2
    want = float(loss) * (stressed - p) * (1 + (float(maturity) - 2.5) * slope) / (1 - 1.5 * slope)
    assert close(got["K"], want, 1e-8)


@pytest.mark.parametrize(
    ("half_life", "sigma", "confidence"), [("3", "0.35", "0.95"), ("1", "0.6", "0.99"), ("8", "0.2", "0.9")]
)
def test_quantiles_of_value(half_life, sigma, confidence):
    given = changed(
        "ltv_from_quantile", half_life=Decimal(half_life), sigma=Decimal(sigma), confidence=Decimal(confidence)
    )
    drift, years = float(given["drift"]), float(given["T"])
    spread = float(sigma) * sqrt(years)
    rate = drift - log(2) / float(half_life)
    point = ql.InverseCumulativeNormal()(1 - float(confidence))
    kept = exp((rate - float(sigma) ** 2 / 2) * years + spread * point)
    got = desk.evaluate("ltv_from_quantile", given)
    kept *= (1 - float(given["liquidation_discount"])) / (1 + float(given["loan_rate"]) * years)
    assert close(got["ltv_max"], kept, 1e-7)


@pytest.mark.parametrize(
    ("principal", "rate", "months"), [(10_000_000, "0.0435", 12), (250_000, "0.12", 36), (77, "0.005", 240)]
)
def test_loan_schedules(principal, rate, months):
    """Level payments beside QuantLib's schedule of what is still owed."""
    given = {"principal": principal, "annual_rate": Decimal(rate), "months": months, "kind": "annuity", "balloon": 0}
    got = desk.evaluate("repayment_schedule", given)
    owed = ql.sinkingNotionals(ql.Period(months, ql.Months), ql.Monthly, float(rate), float(principal))
    monthly = float(rate) / 12
    assert close(got["first_principal"], owed[0] - owed[1], 1e-8)
    assert close(got["mid_balance"], owed[months // 2], 1e-8)
    assert close(got["last_principal"], owed[months - 1], 1e-8)
    assert close(got["total_interest"], sum(one * monthly for one in owed), 1e-8)
