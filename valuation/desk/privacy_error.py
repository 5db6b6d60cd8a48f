"""Methods 33 to 36 and 55: what privacy noise does to counts, prices and margin calls, and its budget as a reserve.

Error formulas only: nothing here draws noise.
"""

from fractions import Fraction
from math import ceil, floor

from valuation.desk.contribution import EPSILON, USUAL_EPSILON
from valuation.desk.method import Figures, Given, Output, field, method
from valuation.desk.reals import below, exp, exp_less_1, ln, quantile, root
from valuation.errors import OutOfRange

TWO_SIDED_95 = Fraction("0.975")
_MISSED = Fraction(1, 20)
_ZERO = Fraction(0)


def ratio_variance(ratio: Fraction, under: Fraction, *, over_noise: Fraction, under_noise: Fraction) -> Fraction:
    """First-order variance of A/B for independent noises of the counts A and B (delta method).

    ``ratio`` = A/B, ``under`` = B > 0, the noises as variances in counts squared.
    """
    return (over_noise + ratio * ratio * under_noise) / under**2


def laplace_variance(epsilon: Fraction | None) -> Fraction:
    """Variance 2/epsilon^2 of the Laplace noise on a count of sensitivity 1; 0 if it is public (``None``)."""
    return _ZERO if epsilon is None else 2 / (epsilon * epsilon)


@method(
    title="Error of a noised count",
    formula="e = ε/Δ;  b = 1/e;  sd = √2·b;  half = b·ln 20;  discrete: q = e^(−e), sd = √(2q)/(1−q), "
    "half = min{k ≥ 0: 2q^(k+1)/(1+q) ≤ 0.05}",
    latex=r"b=\frac\Delta\varepsilon,\ \sigma=\sqrt2b,\ h=b\ln20;\quad q=e^{-1/b},\ \sigma_d=\frac{\sqrt{2q}}{1-q},\ "
    r"h_d=\min\Bigl\{k\ge0:\tfrac{2q^{k+1}}{1+q}\le0.05\Bigr\}",
    source="Dwork et al. 2006; Ghosh, Roughgarden and Sundararajan 2009",
    inputs=(
        field("epsilon", "nats", EPSILON, "ε", usual=USUAL_EPSILON),
        field("sensitivity", "counts", ">0", "L1 sensitivity Δ"),
    ),
    outputs=(
        Output("laplace_scale", "counts", "b"),
        Output("laplace_sd", "counts", "standard deviation"),
        Output("laplace_95_halfwidth", "counts", "95 % half-width"),
        Output("discrete_laplace_sd", "counts", "standard deviation of the two-sided geometric"),
        Output("discrete_laplace_95_halfwidth", "counts", "smallest k with P(|X| > k) ≤ 5 %", "integer"),
    ),
)
def dp_count_error(given: Given) -> Figures:
    """Error of one noised count."""
    scale = given["sensitivity"] / given["epsilon"]
    steepness = 1 / scale
    ratio = exp(-steepness)
    # 2 q^(k+1) <= (1 + q)/20 solved for k; equality cannot occur, since q is transcendental
    width = -ln((1 + ratio) * _MISSED / 2) / steepness - 1
    return {
        "laplace_scale": scale,
        "laplace_sd": scale * root(Fraction(2)),
        "laplace_95_halfwidth": scale * ln(1 / _MISSED),
        "discrete_laplace_sd": root(2 * ratio) / -exp_less_1(-steepness),
        "discrete_laplace_95_halfwidth": max(ceil(width), 0),
    }


@method(
    title="From noise on a ratio to a price",
    formula="x = A/B;  sd_x = √(2/ε_A² + x²·2/ε_B²)/B;  rel = elasticity·sd_x/x;  sd = price·rel;  half = sd·Φ⁻¹(0.975)",
    latex=r"\sigma_x=\frac1B\sqrt{\frac2{\varepsilon_A^2}+x^2\frac2{\varepsilon_B^2}},\quad \sigma_P=P\,\eta\,\frac{\sigma_x}x,"
    r"\quad h=\sigma_P\,\Phi^{-1}(0.975)",
    source="delta method",
    inputs=(
        field("A", "count", ">0", "numerator"),
        field("B", "count", ">0", "denominator"),
        field("eps_A", "nats", EPSILON, "ε of the release of A", usual=USUAL_EPSILON),
        field(
            "eps_B_or_null_if_public",
            "nats",
            EPSILON,
            "ε of B; null when B is public (no noise)",
            usual=USUAL_EPSILON,
            null=True,
        ),
        field("price", "¥", ">0", "price"),
        field("price_elasticity", "", ">=0", "∂ln P/∂ln(ratio)"),
    ),
    outputs=(
        Output("ratio", "share", "A/B"),
        Output("sd_ratio", "share", "its standard deviation, first order"),
        Output("rel_price_sd", "share", "relative standard deviation of the price"),
        Output("price_sd", "¥", "standard deviation of the price"),
        Output("price_95_halfwidth", "¥", "95 % half-width of the price"),
    ),
)
def dp_ratio_to_price(given: Given) -> Figures:
    """How noise on A and B moves a price through the ratio A/B."""
    ratio = given["A"] / given["B"]
    variance = ratio_variance(
        ratio,
        given["B"],
        over_noise=laplace_variance(given["eps_A"]),
        under_noise=laplace_variance(given["eps_B_or_null_if_public"]),
    )
    spread = root(variance)
    relative = given["price_elasticity"] * spread / ratio
    price_spread = given["price"] * relative
    return {
        "ratio": ratio,
        "sd_ratio": spread,
        "rel_price_sd": relative,
        "price_sd": price_spread,
        "price_95_halfwidth": price_spread * quantile(TWO_SIDED_95),
    }


@method(
    title="Budget of repeated revaluations",
    formula="n = ⌊ρ_total/ρ⌋;  σ = Δ/√(2ρ);  ε(ρ) = ρ + 2·√(ρ·ln(1/δ))",
    latex=r"n=\Bigl\lfloor\frac{\rho_{total}}\rho\Bigr\rfloor,\quad \sigma=\frac\Delta{\sqrt{2\rho}},\quad "
    r"\varepsilon(\rho)=\rho+2\sqrt{\rho\ln(1/\delta)}",
    source="Bun and Steinke 2016",
    inputs=(
        field("rho_total", "zCDP", ">0", "lifetime budget"),
        field("rho_per_revaluation", "zCDP", ">0", "cost of one revaluation"),
        field("delta", "probability", "(0,1)", "δ for the conversion"),
        field("sensitivity", "", ">0", "L2 sensitivity Δ"),
    ),
    outputs=(
        Output("revaluations", "", "whole revaluations that the budget covers", "integer"),
        Output("gaussian_sigma", "", "standard deviation of the noise of one"),
        Output("eps_each", "nats", "ε of one revaluation"),
        Output("eps_total", "nats", "ε of the lifetime budget"),
    ),
)
def dp_revaluation_budget(given: Given) -> Figures:
    """Ledger (zCDP) of repeated revaluations by the Gaussian mechanism."""
    whole, each = given["rho_total"], given["rho_per_revaluation"]
    rarity = -ln(given["delta"])
    return {
        "revaluations": floor(whole / each),
        "gaussian_sigma": given["sensitivity"] / root(2 * each),
        "eps_each": each + 2 * root(each * rarity),
        "eps_total": whole + 2 * root(whole * rarity),
    }


@method(
    title="False margin calls from noise",
    formula="p = Φ(−(1 − ltv/call)/s);  with dead band: call·(1 + k·s) for call;  trigger = 1/call",
    latex=r"p_0=\Phi\Bigl(-\frac{1-\ell/c}{s}\Bigr),\quad p_k=\Phi\Bigl(-\frac{1-\ell/(c(1+ks))}{s}\Bigr),\quad \frac1c",
    source="normal tail of the noised ratio",
    inputs=(
        field("true_ltv", "ratio", "(0,1]", "L/V"),
        field("call_ltv", "ratio", "(0,1]", "call threshold"),
        field("relative_price_sd", "share", "(0,1]", "s: the released value is V(1 + sZ), Z standard normal"),
        field("deadband_sigmas", "", ">=0", "k"),
    ),
    outputs=(
        Output("p_false_no_deadband", "probability", "of a call by noise alone"),
        Output("p_false_with_deadband", "probability", "with the threshold raised by k standard deviations"),
        Output("trigger_value_ratio", "ratio", "value per unit of loan at which a call falls due"),
    ),
    conditions=("call_ltv ≥ true_ltv",),
)
def dp_false_margin_call(given: Given) -> Figures:
    """Probability that noise alone triggers a margin call."""
    ltv, call, spread = given["true_ltv"], given["call_ltv"], given["relative_price_sd"]
    if call < ltv:
        raise OutOfRange("call_ltv", "[true_ltv,1]")
    raised = call * (1 + given["deadband_sigmas"] * spread)
    return {
        "p_false_no_deadband": below(-(1 - ltv / call) / spread),
        "p_false_with_deadband": below(-(1 - ltv / raised) / spread),
        "trigger_value_ratio": 1 / call,
    }


@method(
    title="Privacy budget as a reserve",
    formula="saleable = (t − u − r)⁺/t;  units = V·(t − u)/t;  foreclosure = V·min(r, t − u)/t",
    latex=r"s=\frac{(t-u-r)^+}t,\quad U=V\frac{t-u}t,\quad R=V\frac{\min(r,\,t-u)}t",
    source="product proposal; units-of-production depletion",
    inputs=(
        field("value_of_query_rights", "¥", ">=0", "V for the full lifetime budget"),
        field("eps_lifetime", "nats", ">0", "total t"),
        field("eps_used", "nats", ">=0", "used u"),
        field("eps_reserved_for_foreclosure", "nats", ">=0", "reserve r"),
    ),
    outputs=(
        Output("saleable_share", "share", "share of the budget that may still be sold"),
        Output("units_of_production_value", "¥", "value of what is unused; the reserve is not deducted"),
        Output("foreclosure_reserve_value", "¥", "value of the reserve, as far as it is left"),
    ),
    conditions=("eps_used ≤ eps_lifetime",),
)
def privacy_budget_as_reserve(given: Given) -> Figures:
    """Query rights as a depletable reserve of ε."""
    value, whole, used = given["value_of_query_rights"], given["eps_lifetime"], given["eps_used"]
    reserve = given["eps_reserved_for_foreclosure"]
    if used > whole:
        raise OutOfRange("eps_used", "[0,eps_lifetime]")
    left = whole - used
    return {
        "saleable_share": max(left - reserve, _ZERO) / whole,
        "units_of_production_value": value * left / whole,
        "foreclosure_reserve_value": value * min(reserve, left) / whole,
    }
