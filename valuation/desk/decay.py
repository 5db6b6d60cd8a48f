"""Methods 14 and 15, and the decaying royalty stream V*: income that fades because data ages."""

from fractions import Fraction
from typing import NamedTuple

from valuation.desk.method import Figures, Given, Output, field, method, series
from valuation.desk.reals import discount, exp, ln, mean_decay, power, rounded, total
from valuation.errors import OutOfRange

_HALF, _ONE, _TWO = Fraction(1, 2), Fraction(1), Fraction(2)

HALF_LIFE = "[0.05,30]"
USUAL_HALF_LIFE = "[0.5,6]"


class Stream(NamedTuple):
    """A royalty stream: ``revenue`` in ¥/y, shares, ``half_life`` and ``horizon`` in years, rates per year."""

    revenue: Fraction
    royalty: Fraction
    quality: Fraction
    tax: Fraction
    half_life: Fraction
    growth: Fraction
    rate: Fraction
    horizon: Fraction


def stream_value(stream: Stream) -> Fraction:
    """V* = revenue royalty quality (1-tax) (1-e^(-k horizon))/k, k = ln(1+rate) + ln 2/half_life - ln(1+growth), in ¥.

    A continuous flow discounted continuously at ln(1+rate), no terminal value; at k = 0 the last factor is the horizon.
    An ``ArithmeticError`` where it cannot be computed: half_life 0, growth or rate at or below -1.
    """
    fading = ln(1 + stream.rate) + ln(_TWO) / stream.half_life - ln(1 + stream.growth)
    start = stream.revenue * stream.royalty * stream.quality * (1 - stream.tax)
    return start * stream.horizon * mean_decay(fading * stream.horizon)


@method(
    title="Decaying income with upkeep",
    formula="λ = ln 2/h;  δ = ln(1+i);  γ = ln(1+g);  k = δ + λ − γ;  "
    "N(T) = F0·(1 − e^(−kT))/k − c·(1 − e^(−δT))/δ;  P = N(horizon);  T* = ln(F0/c)/(λ − γ);  ln(100)/k",
    latex=r"N(T)=F_0\frac{1-e^{-kT}}{k}-c\,\frac{1-e^{-\delta T}}{\delta},\quad k=\delta+\lambda-\gamma,\quad "
    r"T^*=\frac{\ln(F_0/c)}{\lambda-\gamma}",
    source="continuous discounting; economic life by income = upkeep",
    inputs=(
        field("F0_per_year", "¥/y", ">0", "income rate at time 0"),
        field("half_life_years", "y", HALF_LIFE, "half-life h", usual=USUAL_HALF_LIFE),
        field("growth", "1/y", "(-1,1)", "market growth g"),
        field("rate", "1/y", "(0,1)", "discount rate i"),
        field("horizon", "y", ">0", "horizon T"),
        field("upkeep_per_year", "¥/y", ">=0", "level continuous upkeep c"),
    ),
    outputs=(
        Output("lambda_", "1/y", "decay rate λ"),
        Output("P", "¥", "value to the horizon, not stopped at the economic life"),
        Output("economic_life", "y", "T*; null unless c > 0, λ > γ and F0 > c", "number or null"),
        Output("P_at_economic_life", "¥", "value to T*, not capped by the horizon", "number or null"),
        Output("years_to_99pct_of_gross", "y", "years in which 99 % of the gross income's value is earned"),
    ),
    conditions=("k > 0",),
)
def decaying_income(given: Given) -> Figures:
    """Continuous income that halves every h years, less level upkeep; economic life."""
    start, upkeep = given["F0_per_year"], given["upkeep_per_year"]
    decay = rounded(ln(_TWO) / given["half_life_years"])
    discounting, growth = ln(1 + given["rate"]), ln(1 + given["growth"])
    fading = discounting + decay - growth
    if fading <= 0:
        raise OutOfRange("growth", "growth below (1 + rate) * 2^(1/half_life_years) - 1")

    def net(years: Fraction) -> Fraction:
        gross: Fraction = start * mean_decay(fading * years)
        spent: Fraction = upkeep * mean_decay(discounting * years)
        return years * (gross - spent)

    life = None
    if 0 < upkeep < start and decay > growth:
        life = rounded(ln(start / upkeep) / (decay - growth))
    return {
        "lambda_": decay,
        "P": net(given["horizon"]),
        "economic_life": life,
        "P_at_economic_life": None if life is None else net(life),
        "years_to_99pct_of_gross": ln(Fraction(100)) / fading,
    }


@method(
    title="Weibull attrition",
    formula="S_t = exp(−((t−½)/η)^k);  P = Σ income_t·S_t·(1+i)^(½−t)",
    latex=r"S_t=e^{-\left(\frac{t-1/2}{\eta}\right)^k},\quad P=\sum_t\frac{R_tS_t}{(1+i)^{t-1/2}}",
    source="Weibull attrition (IVS 210, customer or data attrition)",
    inputs=(
        series("income", "¥/y", "any", "income if everything survived"),
        field("shape", "", ">0", "shape k"),
        field("scale_years", "y", ">0", "scale η"),
        field("rate", "1/y", "(0,1)", "discount rate"),
    ),
    outputs=(
        Output("survival", "share", "S_t at mid-year", "list of number"),
        Output("P", "¥", "value"),
    ),
)
def weibull_attrition_dcf(given: Given) -> Figures:
    """Income weighted by Weibull survival."""
    shape, scale, rate = given["shape"], given["scale_years"], given["rate"]
    middles = [year + _HALF for year in range(len(given["income"]))]
    survival = [_survives(middle / scale, shape) for middle in middles]
    value = total(
        flow * share * discount(rate, middle)
        for flow, share, middle in zip(given["income"], survival, middles, strict=True)
    )
    return {"survival": survival, "P": value}


def _survives(age: Fraction, shape: Fraction) -> Fraction:
    # beyond e^10000 the power itself is no figure, but the survival is: all gone, or none
    hazard = shape * ln(age)
    if hazard > 100:
        return Fraction(0)
    return exp(-power(age, shape)) if hazard > -6000 else _ONE
