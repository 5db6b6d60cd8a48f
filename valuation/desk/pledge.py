"""Methods 37, 47 and 56: from appraised value to a loan limit, its state as values move, and named stresses."""

from collections.abc import Iterable, Mapping
from fractions import Fraction
from math import prod

from valuation.desk.contract import Field, Number, ObjectOf, Text
from valuation.desk.decay import HALF_LIFE, USUAL_HALF_LIFE
from valuation.desk.method import Figures, Given, Output, field, method, table
from valuation.desk.reals import halved
from valuation.errors import OutOfRange

CONSTRAINTS = ("ltv", "dscr", "revenue", "policy")
"""What can bind a limit; of equal ones the first here is named."""

_ZERO, _ONE = Fraction(0), Fraction(1)


def after_haircuts(value: Fraction, shares: Iterable[Fraction]) -> Fraction:
    """``value`` times the product of (1 - share): haircuts multiply, since added ones can exceed 1."""
    return value * prod((1 - share for share in shares), start=_ONE)


def recognised(value: Fraction, shares: Iterable[Fraction], prior: Fraction) -> Fraction:
    """Value after haircuts less ``prior`` claims, at least 0: claims come off after the haircuts."""
    return max(after_haircuts(value, shares) - prior, _ZERO)


def binding(amounts: Mapping[str, Fraction]) -> tuple[str, Fraction]:
    """Name and amount of the smallest constraint; ties go to the first in :data:`CONSTRAINTS`."""
    name = min((name for name in CONSTRAINTS if name in amounts), key=lambda name: amounts[name])
    return name, amounts[name]


def state_of(ltv: Fraction, *, warning: Fraction, call: Fraction, liquidation: Fraction) -> str:
    """``liquidation``, ``margin_call``, ``warning`` or ``normal``; thresholds are inclusive upward."""
    for state, threshold in (("liquidation", liquidation), ("margin_call", call), ("warning", warning)):
        if ltv >= threshold:
            return state
    return "normal"


@method(
    title="Recognised value and limit",
    formula="RV = (min(AV, LCB)·Π(1−h) − prior)⁺;  limit = min(ltv_cap·RV, dscr, revenue, policy);  "
    "total_haircut = 1 − RV/AV;  limit/AV;  AV/book",
    latex=r"RV=\Bigl(\min(AV,LCB)\prod_j(1-h_j)-L_0\Bigr)^+,\quad L=\min(\ell\,RV,\,D,\,R,\,P)",
    source="product rule; collateral practice of banks",
    inputs=(
        field("appraised", "¥", ">0", "appraised value AV"),
        field("lower_bound", "¥", ">=0", "lower confidence value LCB"),
        Field(
            "haircuts",
            ObjectOf(Number("share", "[0,1)")),
            "legal_title, liquidity, decay_to_maturity, model_risk, concentration (any names; all applied)",
        ),
        field("prior_liens", "¥", ">=0", "claims registered before"),
        field("ltv_cap", "ratio", "(0,1]", "LTV on recognised value"),
        field("dscr_cap", "¥", ">=0", "debt-service capacity"),
        field("revenue_cap", "¥", ">=0", "revenue cap"),
        field("policy_cap", "¥", ">=0", "policy cap"),
        field("book_value", "¥", ">0", "carrying amount"),
    ),
    outputs=(
        Output("recognised_value", "¥", "RV"),
        Output("total_haircut", "share", "1 − RV/AV"),
        Output("limit", "¥", "loan limit"),
        Output("binding", "", "ltv, dscr, revenue or policy; ties: first in this order", "string"),
        Output("ltv_on_appraised", "ratio", "limit/AV"),
        Output("value_to_book", "ratio", "AV/book_value"),
    ),
)
def recognised_value_limit(given: Given) -> Figures:
    """From appraised value to loan limit with the binding constraint."""
    appraised = given["appraised"]
    value = recognised(min(appraised, given["lower_bound"]), given["haircuts"].values(), given["prior_liens"])
    name, limit = binding({"ltv": given["ltv_cap"] * value, **{cap: given[f"{cap}_cap"] for cap in CONSTRAINTS[1:]}})
    return {
        "recognised_value": value,
        "total_haircut": 1 - value / appraised,
        "limit": limit,
        "binding": name,
        "ltv_on_appraised": limit / appraised,
        "value_to_book": appraised / given["book_value"],
    }


@method(
    title="Margin call",
    formula="ltv = L/V;  state by ltv ≥ d, c, b;  cash_cure = (L − a·V)⁺;  collateral_cure = (L/a − V)⁺;  "
    "value_at_call = L/c;  drop_to_call = 1 − L/(c·V)",
    latex=r"\ell=\frac LV,\quad (L-aV)^+,\quad \Bigl(\frac La-V\Bigr)^+,\quad V_c=\frac Lc,\quad 1-\frac{V_c}V",
    source="product rule",
    inputs=(
        field("loan", "¥", ">0", "L"),
        field("value_now", "¥", ">0", "V"),
        field("initial_ltv", "ratio", "(0,1]", "a"),
        field("warning", "ratio", "(0,1]", "b"),
        field("call", "ratio", "(0,1]", "c"),
        field("liquidation", "ratio", "(0,1]", "d"),
    ),
    outputs=(
        Output("ltv", "ratio", "L/V"),
        Output("state", "", "normal, warning, margin_call or liquidation; thresholds inclusive upward", "string"),
        Output("cash_cure", "¥", "repayment back to the initial LTV"),
        Output("collateral_cure", "¥", "collateral back to the initial LTV"),
        Output("value_at_call", "¥", "value at which a call falls due"),
        Output("drop_to_call", "share", "fall of value up to a call; negative once past it"),
    ),
    conditions=("initial_ltv < warning < call < liquidation",),
)
def margin_call(given: Given) -> Figures:
    """LTV state and cure amounts."""
    for lower, upper in (("initial_ltv", "warning"), ("warning", "call"), ("call", "liquidation")):
        if given[lower] >= given[upper]:
            raise OutOfRange(upper, f"({lower},1]")
    loan, value, initial = given["loan"], given["value_now"], given["initial_ltv"]
    ltv = loan / value
    at_call = loan / given["call"]
    return {
        "ltv": ltv,
        "state": state_of(ltv, warning=given["warning"], call=given["call"], liquidation=given["liquidation"]),
        "cash_cure": max(loan - initial * value, _ZERO),
        "collateral_cure": max(loan / initial - value, _ZERO),
        "value_at_call": at_call,
        "drop_to_call": 1 - at_call / value,
    }


@method(
    title="Named stresses",
    formula="v = V0·(1 − drop)·2^(−months/(12h));  ltv = L/v;  dscr = cfads·(1 − income_drop)/(L·(rate + rate_up));  "
    "shortfall = (L − v·(1 − liq))⁺",
    latex=r"v=V_0(1-d)2^{-m/12h},\quad \ell=\frac Lv,\quad DSCR=\frac{C(1-e)}{L(i+\Delta i)},\quad (L-v(1-q))^+",
    source="product rule",
    inputs=(
        field("loan", "¥", ">0", "L"),
        field("value", "¥", ">0", "V0"),
        field("cfads", "¥/y", "any", "cash flow available for debt service"),
        field("rate", "1/y", "(0,1)", "loan rate"),
        table(
            "scenarios",
            "named stresses",
            Field("name", Text(), "label"),
            field("value_drop", "share", "[0,1)", "immediate drop"),
            field("half_life", "y", HALF_LIFE, "half-life in the scenario", usual=USUAL_HALF_LIFE),
            field("months", "months", ">=0", "time passed"),
            field("income_drop", "share", "[0,1]", "drop of cfads"),
            field("rate_up", "1/y", "[0,1)", "added to the rate"),
            field("liq", "share", "[0,0.95]", "liquidation discount", usual="[0.3,0.8]"),
        ),
    ),
    outputs=(
        Output(
            "results",
            "ltv ratio, dscr ratio, shortfall ¥",
            "by scenario in order: ltv; dscr on interest alone, no principal; shortfall without realisation cost",
            "list of object of number",
            inner=("ltv", "dscr", "shortfall"),
        ),
    ),
)
def stress_scenarios(given: Given) -> Figures:
    """LTV, DSCR and shortfall under named stresses."""
    loan, results = given["loan"], []
    for scenario in given["scenarios"]:
        value = given["value"] * (1 - scenario["value_drop"]) * halved(scenario["months"] / 12, scenario["half_life"])
        income = given["cfads"] * (1 - scenario["income_drop"])
        results.append(
            {
                "ltv": loan / value,
                "dscr": income / (loan * (given["rate"] + scenario["rate_up"])),
                "shortfall": max(loan - value * (1 - scenario["liq"]), _ZERO),
            }
        )
    return {"results": results}
