"""Methods 38 to 43: regulatory mechanics, pricing, and what a decaying collateral recovers."""

from fractions import Fraction

from valuation.desk.decay import HALF_LIFE, USUAL_HALF_LIFE
from valuation.desk.method import Figures, Given, Output, field, method
from valuation.desk.reals import below, discount, exp, exp_less_1, halved, ln, quantile, root, rounded

_ZERO, _ONE, _FLOOR = Fraction(0), Fraction(1), Fraction(1, 4)

PD_RANGE, LGD_RANGE, RATE_RANGE = "[0.0005,1)", "[0.25,1]", "[0,0.3]"
USUAL_PD, USUAL_LGD = "[0.005,0.06]", "[0.35,0.75]"
LIQUIDATION = "[0,0.95]"
USUAL_LIQUIDATION = "[0.3,0.8]"

PD = field("PD", "1/y", PD_RANGE, "default probability", usual=USUAL_PD)
LGD = field("LGD", "share", LGD_RANGE, "loss given default", usual=USUAL_LGD)
EAD = field("EAD", "¥", ">0", "exposure", usual="[500000,20000000]")


@method(
    title="Comprehensive approach",
    formula="f = √((NR + TM − 1)/10);  Hc = Hc_10d·f;  Hfx = Hfx_10d·f;  C_adjusted = C·(1 − Hc − Hfx);  "
    "factor = 1 if t ≥ T, else (min(t,T′) − 0.25)/(T′ − 0.25), T′ = min(5,T);  E* = (E·(1+He) − C_adjusted·factor)⁺",
    latex=r"H=H_{10}\sqrt{\tfrac{N_R+T_M-1}{10}},\quad C_a=C(1-H_c-H_{fx}),\quad "
    r"E^*=\Bigl(E(1+H_e)-C_a\frac{t'-0.25}{T'-0.25}\Bigr)^+",
    source="Basel Framework CRE22; for comparison only: data assets are not eligible collateral there",
    inputs=(
        field("E", "¥", ">0", "exposure"),
        field("C", "¥", ">=0", "collateral"),
        field("He", "share", "[0,1)", "exposure haircut, used as given (not scaled)"),
        field("Hc_10d", "share", "[0,1)", "10-day collateral haircut"),
        field("Hfx_10d", "share", "[0,1)", "10-day currency haircut"),
        field("holding_days_TM", "days", ">=1", "minimum holding period"),
        field("revaluation_days_NR", "days", ">=1", "days between revaluations"),
        field("collateral_residual", "y", ">=0.25", "residual maturity t of the protection"),
        field("exposure_residual", "y", ">0.25", "residual maturity T of the exposure"),
    ),
    outputs=(
        Output("Hc", "share", "scaled collateral haircut"),
        Output("Hfx", "share", "scaled currency haircut"),
        Output("C_adjusted", "¥", "collateral after haircuts, before maturity, not capped by the exposure"),
        Output("maturity_factor", "", "1 without a mismatch"),
        Output("E_star", "¥", "exposure after mitigation"),
    ),
)
def basel_comprehensive(given: Given) -> Figures:
    """Mechanics of the comprehensive approach (for comparison only)."""
    scale = root((given["revaluation_days_NR"] + given["holding_days_TM"] - 1) / 10)
    haircut, currency = given["Hc_10d"] * scale, given["Hfx_10d"] * scale
    adjusted = given["C"] * (1 - haircut - currency)
    protection, exposure = given["collateral_residual"], given["exposure_residual"]
    factor = _ONE
    if protection < exposure:
        longest = min(Fraction(5), exposure)
        factor = (min(protection, longest) - _FLOOR) / (longest - _FLOOR)
    return {
        "Hc": haircut,
        "Hfx": currency,
        "C_adjusted": adjusted,
        "maturity_factor": factor,
        "E_star": max(given["E"] * (1 + given["He"]) - adjusted * factor, _ZERO),
    }


@method(
    title="F-IRB LGD with collateral",
    formula="G = E·(1+He);  ES = min(C·(1−Hc), G);  EU = G − ES;  LGD* = (LGDU·EU + LGDS·ES)/G",
    latex=r"G=E(1+H_e),\ E_S=\min(C(1-H_c),G),\ E_U=G-E_S,\quad LGD^*=\frac{LGD_UE_U+LGD_SE_S}G",
    source="Basel Framework CRE32",
    inputs=(
        field("E", "¥", ">0", "exposure"),
        field("C", "¥", ">=0", "collateral (0 when not recognised: the regulatory case for data)"),
        field("Hc", "share", "[0,1]", "collateral haircut"),
        field("LGDU", "share", "(0,1]", "LGD unsecured"),
        field("LGDS", "share", "[0,1]", "LGD secured"),
        field("He", "share", "[0,1)", "exposure haircut"),
    ),
    outputs=(
        Output("ES", "¥", "secured part"),
        Output("EU", "¥", "unsecured part"),
        Output("LGD_star", "share", "LGD*"),
    ),
)
def firb_lgd_star(given: Given) -> Figures:
    """F-IRB LGD with partial collateral."""
    gross = given["E"] * (1 + given["He"])
    secured = min(given["C"] * (1 - given["Hc"]), gross)
    unsecured = gross - secured
    return {
        "ES": secured,
        "EU": unsecured,
        "LGD_star": (given["LGDU"] * unsecured + given["LGDS"] * secured) / gross,
    }


@method(
    title="IRB risk weight, corporates",
    formula="w = (1 − e^(−50·PD))/(1 − e^(−50));  R = 0.12·w + 0.24·(1−w) − 0.04·(1 − (S−5)/45), S in [5,50];  "
    "b = (0.11852 − 0.05478·ln PD)²;  K = LGD·[Φ((Φ⁻¹(PD) + √R·Φ⁻¹(0.999))/√(1−R)) − PD]·(1 + (M−2.5)·b)/(1 − 1.5·b);  "
    "RW = 12.5·K",
    latex=r"K=LGD\Bigl[\Phi\Bigl(\frac{\Phi^{-1}(PD)+\sqrt R\,\Phi^{-1}(0.999)}{\sqrt{1-R}}\Bigr)-PD\Bigr]"
    r"\frac{1+(M-2.5)b}{1-1.5b},\quad RW=12.5K",
    source="Basel Framework CRE31",
    inputs=(
        PD,
        LGD,
        field("M", "y", "[1,5]", "effective maturity"),
        field(
            "sales_mEUR_or_null",
            "million EUR",
            ">=0",
            "turnover for the SME adjustment, clamped to [5,50]; null: none",
            null=True,
        ),
    ),
    outputs=(
        Output("R", "", "asset correlation"),
        Output("b", "", "maturity adjustment"),
        Output("K", "share of EAD", "capital; no scaling factor 1.06, no floor inside"),
        Output("RW", "1 = 100%", "risk weight"),
    ),
)
def irb_capital(given: Given) -> Figures:
    """Corporate IRB risk weight."""
    default, sales = given["PD"], given["sales_mEUR_or_null"]
    share = exp_less_1(-50 * default) / exp_less_1(Fraction(-50))
    correlation = Fraction("0.12") * share + Fraction("0.24") * (1 - share)
    if sales is not None:
        clamped = min(max(sales, Fraction(5)), Fraction(50))
        correlation -= Fraction("0.04") * (1 - (clamped - 5) / 45)
    slope = (Fraction("0.11852") - Fraction("0.05478") * ln(default)) ** 2
    stressed = (quantile(default) + root(correlation) * quantile(Fraction("0.999"))) / root(1 - correlation)
    maturity = (1 + (given["M"] - Fraction("2.5")) * slope) / (1 - Fraction("1.5") * slope)
    # the difference of the complements: exact where both probabilities are near 1
    capital = given["LGD"] * ((1 - default) - below(-stressed)) * maturity
    return {"R": correlation, "b": slope, "K": capital, "RW": Fraction("12.5") * capital}


def least_rate(
    *,
    funding: Fraction,
    opex: Fraction,
    loss: Fraction,
    capital: Fraction,
    hurdle: Fraction,
    risk_free: Fraction,
    tax: Fraction,
) -> Fraction:
    """Floor rate per year: funding + opex + expected loss share + capital (hurdle/(1-tax) - risk_free)."""
    return funding + opex + loss + capital * (hurdle / (1 - tax) - risk_free)


@method(
    title="Loan pricing",
    formula="EL = EAD·PD·LGD;  min_rate = FTP + opex + PD·LGD + EC·(hurdle/(1−tax) − rf);  "
    "raroc = [(rate − FTP − opex)·EAD − EL + EC·EAD·rf]·(1−tax)/(EC·EAD);  spread = rate − min_rate",
    latex=r"r_{min}=f+o+PD\,LGD+c\Bigl(\frac h{1-\tau}-r_f\Bigr),\quad "
    r"RAROC=\frac{(r-f-o-PD\,LGD+c\,r_f)(1-\tau)}{c}",
    source="RAROC practice",
    inputs=(
        EAD,
        PD,
        LGD,
        field("FTP", "1/y", RATE_RANGE, "funding cost"),
        field("opex", "1/y", RATE_RANGE, "operating cost"),
        field("EC_share", "share of EAD", "(0,1]", "economic capital"),
        field("hurdle", "1/y", RATE_RANGE, "after-tax hurdle"),
        field("rf", "1/y", RATE_RANGE, "return on invested capital"),
        field("tax", "share", "[0,1)", "tax rate"),
        field("rate", "1/y", "[0,1)", "offered rate"),
    ),
    outputs=(
        Output("EL", "¥", "expected loss of a year"),
        Output("min_rate", "1/y", "rate at which RAROC is the hurdle"),
        Output("raroc", "1/y", "risk-adjusted return on capital, after tax"),
        Output("rorac_spread", "1/y", "rate − min_rate; may be negative"),
    ),
)
def loan_pricing_raroc(given: Given) -> Figures:
    """Expected loss, floor rate, RAROC."""
    exposure, capital, tax = given["EAD"], given["EC_share"], given["tax"]
    loss = given["PD"] * given["LGD"]
    least = least_rate(
        funding=given["FTP"],
        opex=given["opex"],
        loss=loss,
        capital=capital,
        hurdle=given["hurdle"],
        risk_free=given["rf"],
        tax=tax,
    )
    earned = given["rate"] - given["FTP"] - given["opex"] - loss + capital * given["rf"]
    return {
        "EL": exposure * loss,
        "min_rate": least,
        "raroc": earned * (1 - tax) / capital,
        "rorac_spread": given["rate"] - least,
    }


def proceeds(value: Fraction, *, liquidation: Fraction, cost: Fraction, rate: Fraction, workout: Fraction) -> Fraction:
    """What a sale of collateral worth ``value`` at default brings, net and discounted over ``workout`` years, in ¥."""
    return value * (1 - liquidation) * (1 - cost) * discount(rate, workout)


@method(
    title="Economic LGD of decaying collateral",
    formula="V_T = V0·2^(−T/h);  recovery = min(EAD, V_T·(1−liq)·(1−cost)/(1+rate)^w);  LGD = 1 − recovery/EAD",
    latex=r"V_T=V_02^{-T/h},\quad A=\min\Bigl(EAD,\frac{V_T(1-q)(1-k)}{(1+r)^w}\Bigr),\quad LGD=1-\frac A{EAD}",
    source="workout LGD; no floor is applied here",
    inputs=(
        EAD,
        field("V0", "¥", ">=0", "value now"),
        field("half_life", "y", HALF_LIFE, "half-life h", usual=USUAL_HALF_LIFE),
        field("years_to_default", "y", ">=0", "T"),
        field("liquidation_discount", "share", LIQUIDATION, "liq", usual=USUAL_LIQUIDATION),
        field("cost_share", "share", "[0,0.4]", "realisation cost", usual="[0.05,0.15]"),
        field("rate", "1/y", "[0,1)", "discount rate in workout"),
        field("workout_years", "y", ">=0", "w"),
    ),
    outputs=(
        Output("V_at_default", "¥", "value at default"),
        Output("recovery", "¥", "recovery, at most the exposure"),
        Output("LGD", "share", "loss given default, not floored"),
    ),
)
def collateral_lgd(given: Given) -> Figures:
    """Economic LGD of a decaying collateral."""
    value = given["V0"] * halved(given["years_to_default"], given["half_life"])
    net = proceeds(
        value,
        liquidation=given["liquidation_discount"],
        cost=given["cost_share"],
        rate=given["rate"],
        workout=given["workout_years"],
    )
    recovery = min(given["EAD"], net)
    return {"V_at_default": value, "recovery": recovery, "LGD": 1 - recovery / given["EAD"]}


@method(
    title="LTV from a loss quantile",
    formula="ltv_max = exp((μ − λ − σ²/2)·T + σ√T·Φ⁻¹(1−c))·(1−liq)/(1 + loan_rate·T);  haircut = 1 − ltv_max",
    latex=r"\ell=\frac{(1-q)\,e^{(\mu-\lambda-\sigma^2/2)T+\sigma\sqrt T\,\Phi^{-1}(1-c)}}{1+rT},\quad \lambda=\frac{\ln2}h",
    source="lognormal quantile",
    inputs=(
        field("drift", "1/y", "(-1,1)", "μ"),
        field("half_life", "y", HALF_LIFE, "half-life h", usual=USUAL_HALF_LIFE),
        field("sigma", "1/√y", "[0.05,2]", "volatility σ", usual="[0.2,0.6]"),
        field("T", "y", ">0", "tenor"),
        field("liquidation_discount", "share", LIQUIDATION, "liq", usual=USUAL_LIQUIDATION),
        field("confidence", "", "(0.5,1)", "c"),
        field("loan_rate", "1/y", "[0,1)", "simple interest for T"),
    ),
    outputs=(Output("haircut", "share", "1 − ltv_max"), Output("ltv_max", "ratio", "largest LTV")),
)
def ltv_from_quantile(given: Given) -> Figures:
    """The largest LTV with a bounded loss probability."""
    years, spread = given["T"], given["sigma"]
    decay = ln(Fraction(2)) / given["half_life"]
    exponent = (given["drift"] - decay - spread * spread / 2) * years
    exponent += spread * root(years) * quantile(1 - given["confidence"])
    largest = rounded(exp(exponent) * (1 - given["liquidation_discount"]) / (1 + given["loan_rate"] * years))
    return {"haircut": 1 - largest, "ltv_max": largest}
