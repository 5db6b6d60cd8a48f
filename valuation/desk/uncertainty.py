"""Methods 52 to 54: one-at-a-time sensitivity, the distribution a simulation must approach, and combining indications."""

from collections.abc import Iterable
from fractions import Fraction

from valuation.desk.contract import Field, Group, ListOf, Number, ObjectOf, named
from valuation.desk.decay import HALF_LIFE, USUAL_HALF_LIFE, Stream, stream_value
from valuation.desk.method import Figures, Given, Output, Remark, field, method, series
from valuation.desk.reals import below, exp, exp_less_1, quantile, root, root_of_two_pi, rounded, total
from valuation.errors import OutOfRange, UnknownKey

WIDE = Fraction(3, 10)
"""Indications whose spread exceeds this are flagged."""

STREAM = (
    field("revenue", "¥/y", ">0", "revenue"),
    field("royalty", "share", "(0,0.5)", "royalty", usual="[0.01,0.1]"),
    field("quality", "share", "(0,1.5]", "quality coefficient", usual="[0.3,1]"),
    field("tax", "share", "[0,1)", "tax"),
    field("half_life", "y", HALF_LIFE, "half-life", usual=USUAL_HALF_LIFE),
    field("growth", "1/y", "(-1,1)", "growth"),
    field("rate", "1/y", "(0,1)", "discount rate"),
    field("horizon", "y", ">0", "horizon"),
)


@method(
    title="Tornado",
    formula="V* = revenue·royalty·quality·(1−τ)·(1 − e^(−k·T))/k;  k = ln(1+rate) + ln 2/h − ln(1+growth);  "
    "low, high = V* with one parameter·(1 + shock);  rows by |high − low|, largest first",
    latex=r"V^*=R\rho q(1-\tau)\frac{1-e^{-kT}}k,\quad k=\ln(1+i)+\frac{\ln2}h-\ln(1+g)",
    source="sensitivity practice",
    inputs=(
        Field("base", Group(STREAM), "parameters of the stream"),
        Field(
            "shocks",
            ObjectOf(ListOf(Number("share", ">=-1"), least=2, most=2)),
            "relative shocks [low, high] by parameter name (a key of base)",
        ),
    ),
    outputs=(
        Output("base", "¥", "V* at the base"),
        Output("order", "", "parameters, largest effect first; ties keep the order of shocks", "list of string"),
        Output("low", "¥", "V* at the low shock, in that order; it can exceed high", "list of number"),
        Output("high", "¥", "V* at the high shock, in that order", "list of number"),
    ),
    conditions=("shocks name keys of base", "every shocked value can be computed (no other range is checked)"),
)
def tornado(given: Given) -> Figures:
    """One-at-a-time sensitivity of the decaying royalty stream V*."""
    base = Stream(**given["base"])
    rows = []
    for name, shocks in given["shocks"].items():
        if name not in Stream._fields:
            raise UnknownKey(named("shocks", name))
        start = getattr(base, name)
        try:
            low, high = (stream_value(base._replace(**{name: start * (1 + shock)})) for shock in shocks)
        except ArithmeticError:
            raise OutOfRange(f"shocks.{name}", "shocks after which the value can be computed") from None
        rows.append((name, low, high))
    rows.sort(key=lambda row: abs(row[2] - row[1]), reverse=True)  # stable: ties keep their order
    return {
        "base": stream_value(base),
        "order": [name for name, _, _ in rows],
        "low": [low for _, low, _ in rows],
        "high": [high for _, _, high in rows],
    }


@method(
    title="Product of lognormal drivers",
    formula="M = Σ log_means;  s² = Σ log_sds²;  median = e^M;  mean = e^(M + s²/2);  quantile_p = e^(M + s·Φ⁻¹(p));  "
    "cv = √(e^(s²) − 1)",
    latex=r"M=\sum\mu_j,\ s^2=\sum\sigma_j^2,\quad e^M,\ e^{M+s^2/2},\ e^{M+s\Phi^{-1}(p)},\ \sqrt{e^{s^2}-1}",
    source="lognormal distribution",
    inputs=(
        series("log_means", "", "any", "means of ln X_j", along="drivers"),
        series("log_sds", "", ">=0", "standard deviations of ln X_j", along="drivers"),
        series("probabilities", "probability", "(0,1)", "quantile levels"),
    ),
    outputs=(
        Output("median", "unit of the product", "median"),
        Output("mean", "unit of the product", "mean"),
        Output("quantiles", "unit of the product", "in the order of probabilities", "list of number"),
        Output("cv", "", "coefficient of variation"),
    ),
)
def monte_carlo_closed_form(given: Given) -> Figures:
    """Exact distribution of a product of independent lognormal drivers."""
    middle = total(given["log_means"])
    variance = total(spread * spread for spread in given["log_sds"])
    spread = root(variance)
    return {
        "median": exp(middle),
        "mean": exp(middle + variance / 2),
        "quantiles": [exp(middle + spread * quantile(level)) for level in given["probabilities"]],
        "cv": root(exp_less_1(variance)),
    }


def chi_square_above(value: Fraction, freedom: int) -> Fraction:
    """Probability that a chi-square variable of ``freedom >= 1`` degrees exceeds ``value >= 0``.

    Finite sums for whole degrees of freedom: Abramowitz and Stegun 1964, 26.4.4 and 26.4.5.
    """
    if freedom % 2 == 0:
        term = tail = Fraction(1)
        for step in range(1, freedom // 2):
            term = rounded(term * value / (2 * step))
            tail += term
        return exp(-value / 2) * tail
    spread = root(value)
    term, tail = spread, Fraction(0)
    for step in range(1, (freedom - 1) // 2 + 1):
        tail += term
        term = rounded(term * value / (2 * step + 1))
    return 2 * (below(-spread) + exp(-value / 2) * tail / root_of_two_pi())


def _doubtful(given: Given, figures: Figures) -> Iterable[Remark]:
    if figures["spread"] > WIDE:
        yield Remark("spread", "the indications differ by more than 30 % of their mean")
    freedom = len(given["indications"]) - 1
    if freedom and chi_square_above(figures["chi2"], freedom) < Fraction(1, 20):
        yield Remark("chi2", "the indications differ by more than their errors explain (95 % quantile)")


@method(
    title="Reconciliation",
    formula="weighted = Σwv/Σw;  μ = Σ(v/s²)/Σ(1/s²);  iv_sd = 1/√Σ(1/s²);  spread = (max − min)/mean;  χ² = Σ((v−μ)/s)²",
    latex=r"\frac{\sum wv}{\sum w},\quad \mu=\frac{\sum v/s^2}{\sum1/s^2},\quad \Bigl(\sum s^{-2}\Bigr)^{-1/2},\quad "
    r"\frac{\max v-\min v}{\bar v},\quad \chi^2=\sum\frac{(v-\mu)^2}{s^2}",
    source="Birge-type consistency; IVS reconciliation",
    inputs=(
        series("indications", "¥", ">0", "values by approach", along="approaches"),
        series("sds", "¥", ">0", "their standard deviations", along="approaches"),
        series("weights", "", ">=0", "judgement weights", along="approaches"),
    ),
    outputs=(
        Output("weighted", "¥", "mean by judgement weights"),
        Output("inverse_variance", "¥", "mean by inverse variance"),
        Output("iv_sd", "¥", "its standard deviation"),
        Output("spread", "ratio", "range over plain mean"),
        Output("chi2", "", "consistency, count − 1 degrees of freedom"),
    ),
    conditions=("Σ weights > 0",),
    flags=_doubtful,
)
def reconciliation(given: Given) -> Figures:
    """Combining indications of value."""
    values, weights = given["indications"], given["weights"]
    whole = total(weights)
    if whole == 0:
        raise OutOfRange("weights", "weights whose sum is above 0")
    precisions = [rounded(1 / (spread * spread)) for spread in given["sds"]]
    precision = total(precisions)
    mean = rounded(total(value * one for value, one in zip(values, precisions, strict=True)) / precision)
    return {
        "weighted": total(weight * value for weight, value in zip(weights, values, strict=True)) / whole,
        "inverse_variance": mean,
        "iv_sd": 1 / root(precision),
        "spread": (max(values) - min(values)) * len(values) / total(values),
        "chi2": total((value - mean) ** 2 * one for value, one in zip(values, precisions, strict=True)),
    }
