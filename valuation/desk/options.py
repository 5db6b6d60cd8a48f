"""Methods 22 and 23, real options on a decaying asset: the decay of the data is a continuous yield."""

from fractions import Fraction
from itertools import pairwise
from math import expm1

from valuation.desk.contract import Field, Flag
from valuation.desk.method import Figures, Given, Output, field, method
from valuation.desk.reals import below, exp, exp_less_1, ln, root, rounded
from valuation.errors import OutOfRange

_OPTION = (
    field("S", "¥", ">0", "value of the use case now"),
    field("K", "¥", ">0", "cost to deploy (call) or sale price (put)"),
    field("r", "1/y", "(-1,1)", "continuous risk-free rate"),
    field("decay_yield_q", "1/y", ">=0", "continuous yield q = ln 2/half-life"),
    field("sigma", "1/√y", "[0.1,1.5]", "volatility σ"),
    field("T", "y", ">0", "maturity"),
)
_CALL = Field("call", Flag(), "true call, false put")


@method(
    title="Real option, closed form",
    formula="d1 = [ln(S/K) + (r − q + σ²/2)·T]/(σ√T);  d2 = d1 − σ√T;  call = S·e^(−qT)·Φ(d1) − K·e^(−rT)·Φ(d2);  "
    "put = K·e^(−rT)·Φ(−d2) − S·e^(−qT)·Φ(−d1)",
    latex=r"d_{1}=\frac{\ln\frac SK+(r-q+\frac{\sigma^2}2)T}{\sigma\sqrt T},\ d_2=d_1-\sigma\sqrt T,\quad "
    r"\pm\bigl(Se^{-qT}\Phi(\pm d_1)-Ke^{-rT}\Phi(\pm d_2)\bigr)",
    source="Black and Scholes 1973; Merton 1973",
    inputs=(*_OPTION, _CALL),
    outputs=(Output("d1", "", "d1, the same for both"), Output("d2", "", "d2"), Output("value", "¥", "value")),
)
def real_option_bsm(given: Given) -> Figures:
    """European option on a decaying asset."""
    spread = given["sigma"] * root(given["T"])
    drift = (given["r"] - given["decay_yield_q"]) * given["T"]
    first = rounded((ln(given["S"] / given["K"]) + drift + spread * spread / 2) / spread)
    second = first - spread
    asset = given["S"] * exp(-given["decay_yield_q"] * given["T"])
    strike = given["K"] * exp(-given["r"] * given["T"])
    if given["call"]:
        value = asset * below(first) - strike * below(second)
    else:
        value = strike * below(-second) - asset * below(-first)
    return {"d1": first, "d2": second, "value": value}


@method(
    title="Real option, binomial tree",
    formula="Δ = T/N;  u = e^(σ√Δ), d = 1/u;  p = (e^((r−q)Δ) − d)/(u − d);  back from payoff (S·u^(2j−N) − K)⁺ or its "
    "mirror: V = e^(−rΔ)·(p·V_up + (1−p)·V_down); american: the larger of that and exercise",
    latex=r"p=\frac{e^{(r-q)\Delta}-d}{u-d},\quad V_{k,j}=\max\bigl\{e^{-r\Delta}[pV_{k+1,j+1}+(1-p)V_{k+1,j}],\ "
    r"\text{exercise if american}\bigr\}",
    source="Cox, Ross and Rubinstein 1979",
    inputs=(
        *_OPTION,
        field("steps", "", "[1,5000]", "steps N", whole=True),
        _CALL,
        Field("american", Flag(), "early exercise allowed, at time 0 as well"),
    ),
    outputs=(Output("p", "", "risk-neutral up probability"), Output("value", "¥", "value")),
    conditions=("p lies in (0,1), i.e. |r − q|·√(T/N) < σ",),
)
def real_option_crr(given: Given) -> Figures:
    """The same on a binomial tree, with early exercise."""
    step = given["T"] / given["steps"]
    drift = given["r"] - given["decay_yield_q"]
    # d < e^(drift step) < u, decided exactly: no exponential is needed
    if drift * drift * step >= given["sigma"] ** 2:
        raise OutOfRange("steps", "steps for which p lies in (0,1): more than T (r - decay_yield_q)^2 / sigma^2")
    move = given["sigma"] * root(step)
    # with 1/u taken out of numerator and denominator: p = (e^(drift step + move) - 1) / (e^(2 move) - 1)
    span = exp_less_1(2 * move)
    up = exp_less_1(drift * step + move) / span
    down = exp(drift * step + move) * exp_less_1(move - drift * step) / span
    discount = exp(-given["r"] * step)
    if given["call"]:
        # counted in units of the asset, a call is a put on K/S, which rises when S falls: so only puts are rolled back,
        # and they never exceed their strike, however high the tree grows
        unit, log_spot = given["S"], ln(given["K"] / given["S"])
        weights = (discount * down * exp(-move), discount * up * exp(move))
    else:
        unit, log_spot = given["K"], ln(given["S"] / given["K"])
        weights = (discount * up, discount * down)
    value = _put(
        log_spot=float(log_spot),
        move=float(move),
        weights=(float(weights[0]), float(weights[1])),
        steps=given["steps"],
        american=given["american"],
    )
    return {"p": up, "value": Fraction(value) * unit}


def _put(*, log_spot: float, move: float, weights: tuple[float, float], steps: int, american: bool) -> float:
    """Put with strike 1 on ``exp(log_spot)``, rolled back; ``weights`` are the discounted up and down probabilities.

    Double precision: every term is positive, so the relative error stays near steps * 1e-16.
    """
    up, down = weights
    # exercise[steps + net]: worth of exercising after that many net up-moves
    heights = (log_spot + move * net for net in range(-steps, steps + 1))
    exercise = [-expm1(height) if height < 0 else 0.0 for height in heights]
    values = exercise[::2]
    for level in range(steps - 1, -1, -1):
        held = [up * high + down * low for low, high in pairwise(values)]
        if american:
            now = exercise[steps - level : steps + level + 1 : 2]
            # written out: a call of max for each of twelve million nodes would double the time
            values = [one if one > other else other for one, other in zip(held, now, strict=True)]  # noqa: FURB136
        else:
            values = held
    return values[0]
