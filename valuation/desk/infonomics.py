"""Method 24: scores for triage, never a conclusion of value."""

from valuation.desk.contract import Field, ListOf, Number
from valuation.desk.method import Figures, Given, Output, field, method, series
from valuation.desk.reals import total


@method(
    title="Six information metrics",
    formula="IVI = validity·completeness·(1−scarcity_shared)·lifecycle;  BVI = Σ relevance·validity·completeness·timeliness;  "
    "PVI = (kpi_informed/kpi_control − 1)·T/t;  CVI = process_expense·attributable·T/t + Σ lost_revenue;  "
    "MVI = exclusive_price·partners/premium;  EVI = (rev_informed − rev_control − acq − adm − app)·T/t",
    latex=r"IVI=vc(1-s)l,\ BVI=vcm\sum\rho,\ PVI=\Bigl(\frac{k_i}{k_c}-1\Bigr)\frac Tt,\ CVI=ea\frac Tt+\sum\ell,\ "
    r"MVI=\frac{xn}{\pi},\ EVI=(R_i-R_c-c)\frac Tt",
    source="Laney, Infonomics, 2017",
    inputs=(
        field("validity", "share", "[0,1]", "correct share"),
        field("completeness", "share", "[0,1]", "complete share"),
        field("scarcity_shared", "share", "[0,1]", "share others also hold"),
        field("lifecycle", "share", "[0,1]", "remaining usefulness"),
        series("relevance", "share", "[0,1]", "relevance to each business process"),
        field("timeliness", "share", "[0,1]", "timeliness"),
        field("kpi_informed", "", "any", "KPI of the informed group"),
        field("kpi_control", "", ">0", "KPI of the control group"),
        field("T", "y", ">0", "usable life of the data"),
        field("t", "y", ">0", "length of the trial"),
        field("process_expense", "¥", ">=0", "cost of capture in t"),
        field("attributable", "share", "[0,1]", "share attributable to the data"),
        Field("lost_revenue", ListOf(Number("¥", ">=0"), least=0), "revenue lost per period without it; may be empty"),
        field("exclusive_price", "¥", ">=0", "price of exclusivity"),
        field("partners", "", ">=0", "number of partners"),
        field("premium", "", ">=1", "exclusivity premium factor"),
        field("rev_informed", "¥", "any", "revenue of the informed group in t"),
        field("rev_control", "¥", "any", "revenue of the control group in t"),
        field("acq", "¥", ">=0", "acquisition cost"),
        field("adm", "¥", ">=0", "administration cost"),
        field("app", "¥", ">=0", "application cost"),
    ),
    outputs=(
        Output("IVI", "index", "intrinsic value"),
        Output("BVI", "index", "business value"),
        Output("PVI", "index", "performance value"),
        Output("CVI", "¥", "cost value"),
        Output("MVI", "¥", "market value"),
        Output("EVI", "¥", "economic value"),
    ),
)
def infonomics(given: Given) -> Figures:
    """Laney's six information metrics (scores and triage, not a conclusion of value)."""
    sound = given["validity"] * given["completeness"]
    lives = given["T"] / given["t"]
    gained = given["rev_informed"] - given["rev_control"] - given["acq"] - given["adm"] - given["app"]
    return {
        "IVI": sound * (1 - given["scarcity_shared"]) * given["lifecycle"],
        "BVI": total(given["relevance"]) * sound * given["timeliness"],
        "PVI": (given["kpi_informed"] / given["kpi_control"] - 1) * lives,
        "CVI": given["process_expense"] * given["attributable"] * lives + total(given["lost_revenue"]),
        "MVI": given["exclusive_price"] * given["partners"] / given["premium"],
        "EVI": gained * lives,
    }
