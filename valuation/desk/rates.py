"""Methods 16 to 18: the discount rate, the return left for the data, and a pre-tax rate of equal value."""

from collections.abc import Iterable
from fractions import Fraction

from valuation.desk.contract import Field, Text
from valuation.desk.income import present_value
from valuation.desk.method import Figures, Given, Output, Remark, field, method, series, table
from valuation.desk.reals import exp, ln, rounded, total
from valuation.errors import OutOfRange

_FINE = Fraction(1, 10**50)
_STEPS = 500


@method(
    title="Discount rate",
    formula="ke = rf + β·erp + size + specific;  wacc = ke·(1−w) + kd·(1−τ)·w;  buildup = rf + erp + size + specific",
    latex=r"k_e=r_f+\beta\,ERP+s+d,\quad WACC=k_e(1-w)+k_d(1-\tau)w,\quad r_{b}=r_f+ERP+s+d",
    source="CAPM, WACC; IVS 103",
    inputs=(
        field("rf", "1/y", "[0,1)", "risk-free rate"),
        field("beta", "", "[-5,5]", "levered beta β"),
        field("erp", "1/y", "[0,1)", "equity risk premium"),
        field("size_premium", "1/y", "[0,1)", "size premium"),
        field("data_specific_premium", "1/y", "[0,1)", "specific premium", usual="[0.03,0.1]"),
        field("kd", "1/y", "[0,1)", "pre-tax cost of debt"),
        field("tax", "share", "[0,1)", "tax rate τ"),
        field("debt_to_value", "share", "[0,1)", "D/(D+E) = w"),
    ),
    outputs=(
        Output("ke", "1/y", "cost of equity"),
        Output("wacc", "1/y", "weighted average cost of capital"),
        Output("buildup", "1/y", "build-up rate, without beta"),
    ),
)
def discount_rate(given: Given) -> Figures:
    """Cost of equity, WACC, build-up rate."""
    premiums = given["size_premium"] + given["data_specific_premium"]
    equity = given["rf"] + given["beta"] * given["erp"] + premiums
    debt = given["debt_to_value"]
    return {
        "ke": equity,
        "wacc": equity * (1 - debt) + given["kd"] * (1 - given["tax"]) * debt,
        "buildup": given["rf"] + given["erp"] + premiums,
    }


def _implausible(given: Given, figures: Figures) -> Iterable[Remark]:
    if not given["wacc"] <= figures["implied_rate"] <= 3 * given["wacc"]:
        yield Remark("implied_rate", "the implied return lies outside one to three times the WACC")


@method(
    title="Implied return (WARA)",
    formula="r = (wacc·Σ value − Σ_known value·rate)/value_unknown",
    latex=r"r_x=\frac{WACC\sum_a v_a-\sum_{a\ne x}v_ar_a}{v_x}",
    source="WARA reconciliation, IVS 210; Appraisal Foundation",
    inputs=(
        table(
            "assets",
            "all assets of the business",
            Field("name", Text(), "label"),
            field("value", "¥, any scale", ">0", "value"),
            field("rate", "1/y", "[0,1)", "return; null in exactly one asset, the unknown", null=True),
        ),
        field("wacc", "1/y", "(0,1)", "target"),
    ),
    outputs=(Output("implied_rate", "1/y", "return of the asset whose rate is null; may be negative"),),
    conditions=("exactly one assets[].rate is null",),
    flags=_implausible,
)
def wara_implied_rate(given: Given) -> Figures:
    """Return on the one asset whose rate is unknown so that WARA = WACC."""
    unknown = [asset for asset in given["assets"] if asset["rate"] is None]
    if len(unknown) != 1:
        raise OutOfRange("assets", "lists in which exactly one rate is null")
    earned = total(asset["value"] * asset["rate"] for asset in given["assets"] if asset["rate"] is not None)
    wanted = given["wacc"] * total(asset["value"] for asset in given["assets"])
    return {"implied_rate": (wanted - earned) / unknown[0]["value"]}


@method(
    title="Pre-tax rate of equal value",
    formula="P = Σ ebit_t·(1−τ)·(1+r)^(−t);  x solves Σ ebit_t·(1+x)^(−t) = P;  shortcut = r/(1−τ)",
    latex=r"\sum_t\frac{E_t}{(1+x)^t}=P=\sum_t\frac{E_t(1-\tau)}{(1+r)^t},\quad \tilde x=\frac r{1-\tau}",
    source="IAS 36 style iteration",
    inputs=(
        series("ebit", "¥/y", ">0", "pre-tax income"),
        field("tax", "share", "[0,1)", "tax rate τ"),
        field("post_tax_rate", "1/y", "(0,1)", "rate r on after-tax flows"),
    ),
    outputs=(
        Output("P", "¥", "value of the after-tax flows, end-year"),
        Output("pre_tax_rate", "1/y", "the rate that gives P from pre-tax flows"),
        Output("gross_up_shortcut", "1/y", "post_tax_rate/(1−tax), for comparison"),
    ),
)
def pretax_rate_equivalence(given: Given) -> Figures:
    """The pre-tax rate that gives the same value as a post-tax rate."""
    flows, keep, rate = given["ebit"], 1 - given["tax"], given["post_tax_rate"]
    value = present_value((flow * keep for flow in flows), rate)
    # with tax 0 the start is the root; otherwise it lies on the right of it
    factor = _root(flows, value, 1 / (1 + rate)) if keep < 1 else 1 / (1 + rate)
    return {"P": value, "pre_tax_rate": 1 / factor - 1, "gross_up_shortcut": rate / keep}


def _root(flows: tuple[Fraction, ...], value: Fraction, start: Fraction) -> Fraction:
    """The v with sum of flow_t v^t = value, by Newton's method in ln v from a start on the right.

    ln of the sum is convex and increasing in ln v: the steps go left, never pass the root, and few are needed, since the
    curve is nearly straight there even for a thousand flows.
    """
    point = start
    for _ in range(_STEPS):
        height = slope = Fraction(0)
        for flow in reversed(flows):
            slope = rounded(slope * point + height)
            height = rounded(height * point + flow)
        slope = slope * point + height
        height *= point
        step = rounded(ln(height / value) * height / (slope * point))
        point = rounded(point * exp(-step))
        if step <= _FINE:
            break
    return point
