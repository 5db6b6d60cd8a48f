"""Method 57: from quality counts to the state of a loan in one chain, each step one of the desk's own functions."""

from fractions import Fraction

from valuation.desk.contract import Field, ListOf, Number, ObjectOf, named
from valuation.desk.credit import LIQUIDATION, PD_RANGE, RATE_RANGE, USUAL_LIQUIDATION, USUAL_PD, least_rate, proceeds
from valuation.desk.decay import Stream, stream_value
from valuation.desk.method import Figures, Given, Output, field, method, series
from valuation.desk.pledge import after_haircuts, binding, state_of
from valuation.desk.privacy_error import laplace_variance, ratio_variance
from valuation.desk.quality import METRICS, geometric_mean, shares_of
from valuation.desk.reals import halved, quantile, root, rounded, total
from valuation.desk.schedules import payment_factor
from valuation.desk.uncertainty import STREAM
from valuation.errors import MissingKey, OutOfRange, UnknownKey

CONFIDENCE = Fraction("0.95")
WARNING, CALL, LIQUIDATE = Fraction("0.60"), Fraction("0.65"), Fraction("0.75")
"""Thresholds of the loan's state, inclusive upward."""

_STATE_MONTH = 6
_STREAM = {key.key: key for key in STREAM}


@method(
    title="Quality to loan state",
    formula="α = exp(Σ w·ln(A/B));  rel = √(Σ w²·Var(q)/q²);  AV = V*(quality = α);  LCB = AV·(1 − Φ⁻¹(0.95)·√(rel² + model_sd²));  "
    "RV = LCB·Π(1−h) − prior;  L = min(ltv_cap·RV, caps);  recovery = min(L, AV·2^(−T/h)·(1−liq)·(1−cost)/(1+rate)^w);  "
    "min_rate = ftp + opex + pd·LGD + ec·(hurdle/(1−τ) − rf);  i = min_rate/12;  A = L·i/(1 − (1+i)^(−n));  "
    "ltv_6 = b_6/(RV·2^(−0.5/h))",
    latex=r"\alpha=e^{\sum w\ln q},\ LCB=AV(1-z_{.95}\sigma),\ RV=LCB\prod(1-h_j)-L_0,\ L=\min(\ell RV,D,R,P),\ "
    r"LTV_6=\frac{b_6}{RV\,2^{-0.5/h}}",
    source="product rule; dq_metrics, dp_ratio_to_price, recognised_value_limit, loan_pricing_raroc, collateral_lgd, "
    "repayment_schedule, margin_call",
    inputs=(
        Field(
            "ratios",
            ObjectOf(ListOf(Number("counts", ">0"), least=2, most=2)),
            "numerator and denominator [A, B] per metric, of completeness, uniqueness, accuracy, consistency, timeliness, "
            "validity",
        ),
        Field("weights", ObjectOf(Number("", ">=0")), "weight per metric, same names, any scale"),
        field(
            "epsilon",
            "nats",
            "(0,4]",
            "ε with which each of the counts A and B was released (sensitivity 1)",
            usual="[0.1,1]",
        ),
        _STREAM["revenue"],
        _STREAM["royalty"],
        field("tax", "share", "[0,1)", "tax (of the income and of the bank)"),
        _STREAM["half_life"],
        _STREAM["growth"],
        field("rate", "1/y", "(0,1)", "discount rate (income and workout)"),
        _STREAM["horizon"],
        field("model_sd", "share", "[0,1)", "relative standard deviation of the model"),
        series("haircuts", "share", "[0,1)", "haircuts"),
        field("prior_liens", "¥", ">=0", "prior claims"),
        field("ltv_cap", "ratio", "(0,1]", "LTV cap"),
        field("dscr_cap", "¥", ">0", "debt-service cap"),
        field("revenue_cap", "¥", ">0", "revenue cap"),
        field("policy_cap", "¥", ">0", "policy cap"),
        field("default_year", "y", ">=0", "time of default for LGD"),
        field("liq", "share", LIQUIDATION, "liquidation discount", usual=USUAL_LIQUIDATION),
        field("cost", "share", "[0,0.4]", "realisation cost", usual="[0.05,0.15]"),
        field("workout", "y", ">=0", "workout years"),
        field("pd", "1/y", PD_RANGE, "default probability", usual=USUAL_PD),
        field("ftp", "1/y", RATE_RANGE, "funding"),
        field("opex", "1/y", RATE_RANGE, "operating cost"),
        field("ec", "share", "(0,1]", "economic capital share"),
        field("hurdle", "1/y", RATE_RANGE, "after-tax hurdle"),
        field("rf", "1/y", RATE_RANGE, "return on capital"),
        field("months", "months", ">=6", "tenor n", whole=True),
    ),
    outputs=(
        Output("alpha", "share", "combined quality factor"),
        Output("alpha_rel_sd", "share", "its relative standard deviation from the noise"),
        Output("appraised", "¥", "AV"),
        Output("lower_bound", "¥", "one-sided 95 % lower bound"),
        Output("recognised", "¥", "RV"),
        Output("limit", "¥", "L"),
        Output("binding", "", "ltv, dscr, revenue or policy; ties: first in this order", "string"),
        Output("ltv_on_appraised", "ratio", "L/AV"),
        Output("LGD", "share", "loss given default, recovery from the appraised value, no floor"),
        Output("EL", "¥", "expected loss"),
        Output("min_rate", "1/y", "floor rate"),
        Output("payment", "¥/month", "level payment at the floor rate"),
        Output("balance_month_6", "¥", "balance after month 6"),
        Output("ltv_month_6", "ratio", "on recognised value, decayed half a year"),
        Output("state_month_6", "", "normal, warning (0.60), margin_call (0.65) or liquidation (0.75)", "string"),
    ),
    conditions=(
        "ratios and weights have the same names, out of the six metrics",
        "A ≤ B",
        "Σ weights > 0",
        "RV > 0",
    ),
)
def end_to_end_pledge(given: Given) -> Figures:
    """Quality counts to loan state in one chain."""
    alpha, spread = _quality(given)
    stream = Stream(quality=alpha, **{name: given[name] for name in Stream._fields if name != "quality"})
    appraised = stream_value(stream)
    sigma = root(spread * spread + given["model_sd"] ** 2)
    lower = appraised * (1 - quantile(CONFIDENCE) * sigma)
    recognised = after_haircuts(lower, given["haircuts"]) - given["prior_liens"]
    if recognised <= 0:
        raise OutOfRange("recognised", "(0, inf): the lower bound after haircuts does not cover the prior liens")
    name, limit = binding(
        {"ltv": given["ltv_cap"] * recognised, **{cap: given[f"{cap}_cap"] for cap in ("dscr", "revenue", "policy")}}
    )
    recovery = min(
        limit,
        proceeds(
            appraised * halved(given["default_year"], given["half_life"]),
            liquidation=given["liq"],
            cost=given["cost"],
            rate=given["rate"],
            workout=given["workout"],
        ),
    )
    loss = 1 - recovery / limit
    floor_rate = least_rate(
        funding=given["ftp"],
        opex=given["opex"],
        loss=given["pd"] * loss,
        capital=given["ec"],
        hurdle=given["hurdle"],
        risk_free=given["rf"],
        tax=given["tax"],
    )
    payment = limit * payment_factor(floor_rate / 12, given["months"])
    remaining = given["months"] - _STATE_MONTH
    # what is left to pay, discounted: equals L(1+i)^6 - payment ((1+i)^6 - 1)/i, and is 0 in the last month
    balance = payment / payment_factor(floor_rate / 12, remaining) if remaining else Fraction(0)
    ltv = balance / (recognised * halved(Fraction(_STATE_MONTH, 12), given["half_life"]))
    return {
        "alpha": alpha,
        "alpha_rel_sd": spread,
        "appraised": appraised,
        "lower_bound": lower,
        "recognised": recognised,
        "limit": limit,
        "binding": name,
        "ltv_on_appraised": limit / appraised,
        "LGD": loss,
        "EL": limit * given["pd"] * loss,
        "min_rate": floor_rate,
        "payment": payment,
        "balance_month_6": balance,
        "ltv_month_6": ltv,
        "state_month_6": state_of(ltv, warning=WARNING, call=CALL, liquidation=LIQUIDATE),
    }


def _quality(given: Given) -> tuple[Fraction, Fraction]:
    """The combined factor alpha, and its relative standard deviation from the noise of both counts of every ratio."""
    pairs, weights = given["ratios"], given["weights"]
    for metric in pairs:
        if metric not in METRICS:
            raise UnknownKey(named("ratios", metric))
        if metric not in weights:
            raise MissingKey(f"weights.{metric}")
    for metric in weights:
        if metric not in METRICS:
            raise UnknownKey(named("weights", metric))
        if metric not in pairs:
            raise MissingKey(f"ratios.{metric}")
    for metric, (over, under) in pairs.items():
        if over > under:
            raise OutOfRange(f"ratios.{metric}", "pairs [A, B] with A <= B")
    shares = shares_of(weights)
    ratios = {metric: over / under for metric, (over, under) in pairs.items()}
    noise = laplace_variance(given["epsilon"])
    variance = total(
        (shares[metric] / ratios[metric]) ** 2
        * ratio_variance(ratios[metric], pairs[metric][1], over_noise=noise, under_noise=noise)
        for metric in pairs
    )
    return geometric_mean(ratios, shares), root(rounded(variance))
