"""Method 32: six quality ratios and their aggregates."""

from collections.abc import Mapping
from fractions import Fraction

from valuation.desk.contract import Field, Group, Number, ObjectOf
from valuation.desk.method import Figures, Given, Output, field, method
from valuation.desk.reals import exp, ln, total
from valuation.errors import OutOfRange

METRICS = ("completeness", "uniqueness", "accuracy", "consistency", "timeliness", "validity")
"""Quality metrics in the contract's order."""

_PARTS = (
    ("non_null", "required_cells"),
    ("distinct", "rows"),
    ("matched_reference", "checked_reference"),
    ("fk_violations", "fk_rows"),
    ("updated_in_sla", "due_for_update"),
    ("rule_pass", "rule_checked"),
)


def shares_of(weights: Mapping[str, Fraction], key: str = "weights") -> dict[str, Fraction]:
    """Weights divided by their sum.

    Raises:
        OutOfRange: naming ``key``, if the sum is 0.
    """
    whole = total(weights.values())
    if whole == 0:
        raise OutOfRange(key, "weights whose sum is above 0")
    return {name: weight / whole for name, weight in weights.items()}


def geometric_mean(values: Mapping[str, Fraction], shares: Mapping[str, Fraction]) -> Fraction:
    """exp(sum of share ln value), names as in ``shares`` (sum 1); 0 if a value of positive share is 0."""
    counted = [(share, values[name]) for name, share in shares.items() if share > 0]
    if any(value == 0 for _, value in counted):
        return Fraction(0)
    return exp(total(share * ln(value) for share, value in counted))


def _count(key: str, least: str, meaning: str) -> Field:
    return field(key, "count", least, meaning, whole=True)


@method(
    title="Quality metrics",
    formula="completeness = non_null/required_cells;  uniqueness = distinct/rows;  accuracy = matched/checked;  "
    "consistency = 1 − fk_violations/fk_rows;  timeliness = updated/due;  validity = rule_pass/rule_checked;  "
    "α = Σ w·q, exp(Σ w·ln q), min q",
    latex=r"q_k=\frac{A_k}{B_k},\quad \alpha_a=\sum_kw_kq_k,\quad \alpha_g=e^{\sum_kw_k\ln q_k},\quad \alpha_m=\min_kq_k",
    source="ISO/IEC 25024; GB/T 36344",
    inputs=(
        Field(
            "counts",
            Group(
                (
                    _count("rows", ">=1", "rows"),
                    _count("required_cells", ">=1", "required cells"),
                    _count("non_null", ">=0", "non-null required cells"),
                    _count("distinct", ">=0", "distinct keys"),
                    _count("checked_reference", ">=1", "values compared with a reference"),
                    _count("matched_reference", ">=0", "of these equal"),
                    _count("fk_rows", ">=1", "rows with a reference to check"),
                    _count("fk_violations", ">=0", "of these broken"),
                    _count("due_for_update", ">=1", "rows due"),
                    _count("updated_in_sla", ">=0", "updated in time"),
                    _count("rule_checked", ">=1", "rule checks"),
                    _count("rule_pass", ">=0", "passed"),
                )
            ),
            "counts",
        ),
        Field("weights", ObjectOf(Number("", ">=0"), METRICS), "weight of each of the six metrics, any scale, sum > 0"),
    ),
    outputs=(
        Output("metrics", "share", "the six metrics by name", "object of number"),
        Output("alpha_arithmetic", "share", "weighted arithmetic mean"),
        Output("alpha_geometric", "share", "weighted geometric mean; 0 if a metric of positive weight is 0"),
        Output("alpha_min", "share", "smallest of all six, weights ignored"),
    ),
    conditions=("no numerator exceeds its denominator", "Σ weights > 0"),
)
def dq_metrics(given: Given) -> Figures:
    """Six quality ratios and their aggregates."""
    counts, ratios = given["counts"], {}
    for metric, (over, under) in zip(METRICS, _PARTS, strict=True):
        if counts[over] > counts[under]:
            raise OutOfRange(f"counts.{over}", f"[0, counts.{under}]")
        ratios[metric] = Fraction(counts[over], counts[under])
    ratios["consistency"] = 1 - ratios["consistency"]
    shares = shares_of(given["weights"])
    return {
        "metrics": ratios,
        "alpha_arithmetic": total(shares[metric] * ratios[metric] for metric in METRICS),
        "alpha_geometric": geometric_mean(ratios, shares),
        "alpha_min": min(ratios.values()),
    }
