"""Methods 7 to 13, the income approach over finite lists of years. No terminal value is ever added."""

from collections.abc import Iterable
from fractions import Fraction

from valuation.desk.contract import Field, Flag, Text
from valuation.desk.method import Figures, Given, Output, field, method, series, table
from valuation.desk.reals import annuity, discount, power, power_less_1, rounded, total
from valuation.errors import OutOfRange

_HALF, _ONE = Fraction(1, 2), Fraction(1)

RATE = field("rate", "1/y", "(0,1)", "discount rate")
TAX = field("tax", "share", "[0,1)", "tax rate")


def present_value(flows: Iterable[Fraction], rate: Fraction, *, mid_year: bool = False) -> Fraction:
    """Value of the flows of years 1, 2, ... discounted t years, or t - 1/2 if ``mid_year``; annual compounding."""
    early = _HALF if mid_year else 0
    return rounded(total(flow * discount(rate, year - early) for year, flow in enumerate(flows, 1)))


def amortisation_benefit(years: int, rate: Fraction, tax: Fraction, *, mid_year: bool) -> Fraction:
    """TAB(n, i, tau, mid) = n / (n - tau A(n, i) c), c = (1+i)^(1/2) if ``mid_year``, else 1; ``years >= 1``.

    Source: IVS 210, tax amortisation benefit.
    """
    early = power(1 + rate, _HALF) if mid_year else _ONE
    return rounded(years / (years - tax * annuity(years, rate) * early))


@method(
    title="Discounted income",
    formula="P = Σ_k F_k·(1+i)^(−t_k);  F_1 = income_1·s;  end: t_k = s + k − 1;  mid: t_1 = s/2, t_k = s + k − 3/2",
    latex=r"P=\frac{s\,R_1}{(1+i)^{t_1}}+\sum_{k=2}^n\frac{R_k}{(1+i)^{t_k}},\quad t_k=s+k-1\ \text{or}\ "
    r"t_1=\tfrac s2,\ t_k=s+k-\tfrac32",
    source="income approach, 中评协〔2023〕17号; IVS 103",
    inputs=(
        series("income", "¥/y", "any", "annual-rate income of periods 1…n"),
        field("rate", "1/y", "(0,1)", "discount rate, pre-tax for income before tax", usual="[0.15,0.35]"),
        Field("timing", Text(("end", "mid")), "where in the period the flow sits"),
        field("stub_fraction", "y", "(0,1]", "length s of the first period; later periods last one year"),
    ),
    outputs=(Output("P", "¥", "value"),),
)
def dcf_finite(given: Given) -> Figures:
    """Present value of a finite income list, whole or broken first year."""
    stub, rate, mid = given["stub_fraction"], given["rate"], given["timing"] == "mid"
    first, *later = given["income"]
    value = first * stub * discount(rate, stub / 2 if mid else stub)
    for year, flow in enumerate(later, 1):
        value += flow * discount(rate, stub + year - (_HALF if mid else 0))
    return {"P": value}


@method(
    title="Growing annuity",
    formula="P = Σ_{t=1..n} F1·(1+g)^(t−1)/(1+i)^t;  for g = i: n·F1/(1+i)",
    latex=r"P=\sum_{t=1}^{n}\frac{F_1(1+g)^{t-1}}{(1+i)^t}=F_1\frac{1-\bigl(\frac{1+g}{1+i}\bigr)^n}{i-g}",
    source="annuity mathematics",
    inputs=(
        field("F1", "¥/y", "any", "income at the end of year 1"),
        field("g", "1/y", "(-1,1)", "growth"),
        field("i", "1/y", "(0,1)", "discount rate"),
        field("n", "y", ">=1", "years", whole=True),
    ),
    outputs=(Output("P", "¥", "value"),),
)
def dcf_growing_annuity(given: Given) -> Figures:
    """Level-growth finite income."""
    growth, rate, years = given["g"], given["i"], given["n"]
    if growth == rate:
        return {"P": years * given["F1"] / (1 + rate)}
    return {"P": given["F1"] * power_less_1((1 + growth) / (1 + rate), years) / (growth - rate)}


@method(
    title="Income share",
    formula="K = m + (n − m)·r;  F_t = revenue_t·K·(1 − τ);  P = Σ F_t·(1+i)^(−t)",
    latex=r"K=m+(n-m)r,\quad F_t=R_tK(1-\tau),\quad P=\sum_t F_t(1+i)^{-t}",
    source="中评协〔2023〕17号, income approach by sharing (分成)",
    inputs=(
        series("revenue", "¥/y", ">=0", "base of the share, year 1…"),
        field("share_low", "share", "[0,1)", "market lower bound m"),
        field("share_high", "share", "(0,1)", "market upper bound n"),
        field("adjustment", "", "[0,1]", "composite score r"),
        RATE,
        field("tax", "share", "[0,1)", "0 means income before tax with a pre-tax rate"),
    ),
    outputs=(
        Output("K", "share", "share of the data"),
        Output("F", "¥/y", "income of the data by year", "list of number"),
        Output("P", "¥", "value"),
    ),
    conditions=("share_high > share_low",),
)
def income_share(given: Given) -> Figures:
    """The sharing (分成) method."""
    low, high = given["share_low"], given["share_high"]
    if high <= low:
        raise OutOfRange("share_high", "(share_low,1)")
    share = low + (high - low) * given["adjustment"]
    flows = [revenue * share * (1 - given["tax"]) for revenue in given["revenue"]]
    return {"K": share, "F": flows, "P": present_value(flows, given["rate"])}


@method(
    title="Tax amortisation benefit",
    formula="TAB = n/(n − τ·A(n,i)·c);  A(n,i) = Σ_{t=1..n} (1+i)^(−t);  c = (1+i)^½ if mid-year, else 1",
    latex=r"TAB=\frac{n}{n-\tau\,A(n,i)\,c},\quad A(n,i)=\sum_{t=1}^n(1+i)^{-t},\quad c\in\{\sqrt{1+i},\,1\}",
    source="IVS 210, tax amortisation benefit",
    inputs=(
        field("n", "y", ">=1", "amortisation years (China ≥ 10 unless a legal or contract term)", whole=True),
        RATE,
        TAX,
        Field("mid_year", Flag(), "true: mid-year convention (IVS form); false: textbook end-year"),
    ),
    outputs=(Output("factor", "", "multiplier on the value before the benefit"),),
)
def tab_factor(given: Given) -> Figures:
    """Tax amortisation benefit multiplier."""
    return {"factor": amortisation_benefit(given["n"], given["rate"], given["tax"], mid_year=given["mid_year"])}


@method(
    title="Multi-period excess earnings",
    formula="s_t = (1−a)^(t−1)·(1−a/2);  CAC = Σ value·rate;  F_t = s_t·[revenue_t·margin_t·(1−τ) − CAC];  "
    "P = TAB·Σ F_t·(1+i)^(½−t)",
    latex=r"F_t=(1-a)^{t-1}\bigl(1-\tfrac a2\bigr)\Bigl[R_tm_t(1-\tau)-\sum_a v_ar_a\Bigr],\quad "
    r"P=TAB\sum_t\frac{F_t}{(1+i)^{t-1/2}}",
    source="IVS 210, excess earnings; 中评协〔2023〕17号, 超额收益",
    inputs=(
        series("revenue", "¥/y", ">0", "revenue before attrition", along="years"),
        series("ebita_margin", "share", "[-1,1]", "margin by year", along="years"),
        TAX,
        table(
            "contributory_assets",
            "assets that serve the data",
            Field("asset", Text(), "label (working_capital, servers, software, workforce …)"),
            field("value", "¥", ">=0", "value, constant over time"),
            field(
                "rate",
                "1/y",
                "[0,1)",
                "required return (working capital 3–5%, fixed 6–8%, software 12–15%, workforce 14–18%)",
                usual="[0.03,0.18]",
            ),
        ),
        field("attrition", "1/y", "[0,1)", "share of the income base lost each year"),
        RATE,
        field("tab_years", "y", ">=1", "amortisation years of the tax benefit", whole=True),
    ),
    outputs=(
        Output("F", "¥/y", "excess earnings by year", "list of number"),
        Output("pv_before_tab", "¥", "value before the tax benefit"),
        Output("tab", "factor", "TAB, mid-year"),
        Output("P", "¥", "value"),
    ),
)
def mpeem(given: Given) -> Figures:
    """Multi-period excess earnings after contributory asset charges."""
    lost, rate, tax = given["attrition"], given["rate"], given["tax"]
    charge = total(asset["value"] * asset["rate"] for asset in given["contributory_assets"])
    survival = 1 - lost / 2  # mean of the first year
    flows = []
    for revenue, margin in zip(given["revenue"], given["ebita_margin"], strict=True):
        flows.append(survival * (revenue * margin * (1 - tax) - charge))
        survival = rounded(survival * (1 - lost))
    before = present_value(flows, rate, mid_year=True)
    benefit = amortisation_benefit(given["tab_years"], rate, tax, mid_year=True)
    return {"F": flows, "pv_before_tab": before, "tab": benefit, "P": before * benefit}


@method(
    title="With and without",
    formula="F_t = (with_t − without_t)·(1 − τ);  P = Σ F_t·(1+i)^(−t)",
    latex=r"F_t=(\pi^{w}_t-\pi^{wo}_t)(1-\tau),\quad P=\sum_tF_t(1+i)^{-t}",
    source="IVS 210, with-and-without; 中评协〔2023〕17号, 增量收益",
    inputs=(
        series("with_", "¥/y", "any", "profit with the data", along="years"),
        series("without_", "¥/y", "any", "profit without", along="years"),
        RATE,
        TAX,
    ),
    outputs=(
        Output("F", "¥/y", "incremental profit; negative ones stay negative", "list of number"),
        Output("P", "¥", "value"),
    ),
)
def with_and_without(given: Given) -> Figures:
    """Incremental profit method."""
    keep = 1 - given["tax"]
    flows = [(one - other) * keep for one, other in zip(given["with_"], given["without_"], strict=True)]
    return {"F": flows, "P": present_value(flows, given["rate"])}


@method(
    title="Relief from royalty",
    formula="F_t = revenue_t·(ρ − m)·(1 − τ);  pv = Σ F_t·(1+i)^(−t) or ^(½−t);  P = pv·TAB (1 if tab_years = 0)",
    latex=r"P=TAB\sum_t\frac{R_t(\rho-m)(1-\tau)}{(1+i)^{t-\delta}},\quad\delta\in\{0,\tfrac12\}",
    source="IVS 210, relief from royalty",
    inputs=(
        series("revenue", "¥/y", ">=0", "revenue served by the data"),
        field("royalty", "share", "(0,0.5)", "royalty rate ρ", usual="[0.01,0.1]"),
        TAX,
        RATE,
        field("maintenance_share", "share", "[0,0.5)", "upkeep m borne by the licensee, share of revenue"),
        Field("mid_year", Flag(), "true: royalties discounted t − ½ years; false: t"),
        field("tab_years", "y", ">=0", "TAB years; 0 means no TAB (factor 1)", whole=True),
        Field("tab_mid_year", Flag(), "convention inside the TAB only"),
    ),
    outputs=(
        Output("pv_before_tab", "¥", "value before the tax benefit"),
        Output("tab", "factor", "TAB"),
        Output("P", "¥", "value"),
    ),
)
def relief_from_royalty(given: Given) -> Figures:
    """Royalties saved."""
    rate, tax, years = given["rate"], given["tax"], given["tab_years"]
    kept = (given["royalty"] - given["maintenance_share"]) * (1 - tax)
    before = present_value((revenue * kept for revenue in given["revenue"]), rate, mid_year=given["mid_year"])
    benefit = amortisation_benefit(years, rate, tax, mid_year=given["tab_mid_year"]) if years else _ONE
    return {"pv_before_tab": before, "tab": benefit, "P": before * benefit}
