"""Methods 19 to 21, the market approach: corrected comparables, and a price regression."""

from collections.abc import Sequence
from decimal import Decimal, localcontext
from fractions import Fraction
from math import prod

from valuation.desk.contract import Field, ListOf, Number
from valuation.desk.method import Figures, Given, Output, field, method, series, table
from valuation.desk.reals import DIGITS, exp, ln, rounded, total, working
from valuation.errors import OutOfRange

FACTORS = ("quality", "supply_demand", "date", "volume", "other")
"""X1 to X5 of the guidance, in its order."""

LEAST_PRODUCT, MOST_PRODUCT = Fraction("0.33"), Fraction(3)
"""A subset whose factors multiply to less or more is no comparable."""

_FACTOR, _USUAL_FACTOR = "[0.2,5]", "[0.7,1.4]"

MAX_FEATURES = 20
_SINGULAR = Decimal("1e-40")


@method(
    title="Market approach (2023 guidance)",
    formula="part_i = Q_i·X_i1·X_i2·X_i3·X_i4·X_i5;  P = Σ part_i",
    latex=r"P=\sum_iQ_iX_{i1}X_{i2}X_{i3}X_{i4}X_{i5}",
    source="中评协〔2023〕17号, market approach",
    inputs=(
        table(
            "sets",
            "comparable subsets",
            field("Q", "¥", ">0", "reference price of the subset"),
            field("quality", "", _FACTOR, "X1 quality", usual=_USUAL_FACTOR),
            field("supply_demand", "", _FACTOR, "X2 supply and demand", usual=_USUAL_FACTOR),
            field("date", "", _FACTOR, "X3 date", usual=_USUAL_FACTOR),
            field("volume", "", _FACTOR, "X4 volume", usual=_USUAL_FACTOR),
            field("other", "", _FACTOR, "X5 other", usual=_USUAL_FACTOR),
        ),
    ),
    outputs=(
        Output("parts", "¥", "value by subset", "list of number"),
        Output("P", "¥", "sum over subsets, not a mean"),
    ),
    conditions=("the five factors of a subset multiply to at least 0.33 and at most 3",),
)
def market_cas2023(given: Given) -> Figures:
    """Sum of comparable subsets times five corrections."""
    parts = []
    for index, subset in enumerate(given["sets"]):
        factor = prod((subset[name] for name in FACTORS), start=Fraction(1))
        if not LEAST_PRODUCT <= factor <= MOST_PRODUCT:
            raise OutOfRange(f"sets[{index}]", "subsets whose five factors multiply to a number in [0.33,3]")
        parts.append(subset["Q"] * factor)
    return {"parts": parts, "P": total(parts)}


@method(
    title="Adjusted comparables (expert guideline No. 9)",
    formula="adjusted = price·tech·density·(index_base/index_deal)·(subject_capacity/capacity)·other;  "
    "mean, median, and Σ w·adjusted/Σ w with w = 1/(1 + dissimilarity)",
    latex=r"a_j=p_jt_jd_j\frac{I_D}{I_j}\frac{q}{q_j}o_j,\quad \bar a,\ \operatorname{med}a,\ "
    r"\frac{\sum_ja_j/(1+\Delta_j)}{\sum_j1/(1+\Delta_j)}",
    source="资产评估专家指引第9号, market method",
    inputs=(
        table(
            "comparables",
            "deals",
            field("price", "¥", ">0", "deal price"),
            field("capacity", "same unit as subject", ">0", "comparable's volume"),
            field("tech", "", _FACTOR, "technical correction"),
            field("density", "", _FACTOR, "value-density correction"),
            field("index_base", "", ">0", "price index at valuation date"),
            field("index_deal", "", ">0", "price index at deal date"),
            field("other", "", _FACTOR, "other correction"),
            field("dissimilarity", "", ">=0", "distance to the subject"),
        ),
        field("subject_capacity", "", ">0", "subject's volume"),
    ),
    outputs=(
        Output("adjusted", "¥", "adjusted price by comparable", "list of number"),
        Output("mean", "¥", "arithmetic mean"),
        Output("median", "¥", "middle value, or the mean of the two middle values"),
        Output("similarity_weighted", "¥", "mean weighted by 1/(1 + dissimilarity)"),
    ),
)
def market_cas9(given: Given) -> Figures:
    """Adjusted comparable prices, three ways to combine."""
    adjusted = [
        rounded(
            deal["price"]
            * deal["tech"]
            * deal["density"]
            * (deal["index_base"] / deal["index_deal"])
            * (given["subject_capacity"] / deal["capacity"])
            * deal["other"]
        )
        for deal in given["comparables"]
    ]
    closeness = [rounded(1 / (1 + deal["dissimilarity"])) for deal in given["comparables"]]
    ordered, middle = sorted(adjusted), len(adjusted) // 2
    weighted = total(weight * value for weight, value in zip(closeness, adjusted, strict=True))
    return {
        "adjusted": adjusted,
        "mean": total(adjusted) / len(adjusted),
        "median": (ordered[middle] + ordered[-1 - middle]) / 2,
        "similarity_weighted": weighted / total(closeness),
    }


def _inverse(matrix: list[list[Decimal]]) -> list[list[Decimal]]:
    """Inverse of a symmetric positive definite matrix by elimination; refuses one that is singular to 40 digits."""
    size = len(matrix)
    scale = [matrix[i][i] for i in range(size)]
    rows = [[*row, *(Decimal(int(i == j)) for j in range(size))] for i, row in enumerate(matrix)]
    for column in range(size):
        pivot = rows[column][column]
        if pivot <= scale[column] * _SINGULAR:
            raise OutOfRange("features", "features that are not combinations of each other or constant")
        rows[column] = [entry / pivot for entry in rows[column]]
        for other in range(size):
            if other != column:
                factor = rows[other][column]
                rows[other] = [entry - factor * above for entry, above in zip(rows[other], rows[column], strict=True)]
    return [row[size:] for row in rows]


@method(
    title="Log-log hedonic regression",
    formula="ln p = b0 + Σ b_j·ln x_j by least squares;  s² = RSS/(N−p−1);  z = [1, ln subject];  log_pred = z·b;  "
    "median = exp(log_pred);  sd = √(s²·(1 + zᵀ(XᵀX)⁻¹z))",
    latex=r"b=(X^\top X)^{-1}X^\top\ln p,\quad s^2=\frac{\lVert\ln p-Xb\rVert^2}{N-p-1},\quad \hat p=e^{z^\top b},\quad "
    r"\sigma=s\sqrt{1+z^\top(X^\top X)^{-1}z}",
    source="hedonic regression, Rosen 1974",
    inputs=(
        Field(
            "features",
            ListOf(ListOf(Number("", ">0"), most=MAX_FEATURES)),
            "N×p features of the N deals",
            along="deals",
        ),
        series("prices", "any money unit", ">0", "prices", along="deals"),
        series("subject", "", ">0", "subject's p features"),
    ),
    outputs=(
        Output("coef", "", "intercept first, then the features in order", "list of number"),
        Output("s2", "", "residual variance of ln price"),
        Output("log_pred", "", "predicted ln price"),
        Output("median_price", "unit of prices", "exp(log_pred), no smearing and no half variance"),
        Output("pred_sd_log", "", "standard deviation of a new ln price"),
    ),
    conditions=(
        "each row of features is as long as subject (p ≤ 20)",
        "N > p + 1",
        "features are linearly independent in logarithms",
    ),
)
def market_hedonic_loglog(given: Given) -> Figures:
    """Log-log price regression and prediction for the subject."""
    features, subject = given["features"], given["subject"]
    for index, row in enumerate(features):
        if len(row) != len(subject):
            raise OutOfRange(f"features[{index}]", "lists as long as subject")
    if len(features) <= len(subject) + 1:
        raise OutOfRange("features", "lists of more than p + 1 deals, p features each")
    # normal equations square the condition number; of 80 digits enough are left
    with localcontext(working(DIGITS + 20)):
        design = [[Decimal(1), *(_log(value) for value in row)] for row in features]
        logs = [_log(price) for price in given["prices"]]
        columns = list(zip(*design, strict=True))
        inverse = _inverse([[_dot(one, other) for other in columns] for one in columns])
        moments = [_dot(column, logs) for column in columns]
        coefficients = [_dot(row, moments) for row in inverse]
        misses = [log - _dot(row, coefficients) for row, log in zip(design, logs, strict=True)]
        variance = _dot(misses, misses) / (len(features) - len(subject) - 1)
        point = [Decimal(1), *(_log(value) for value in subject)]
        predicted = Fraction(_dot(point, coefficients))
        spread = (variance * (1 + _dot(point, [_dot(row, point) for row in inverse]))).sqrt()
    return {
        "coef": coefficients,
        "s2": variance,
        "log_pred": predicted,
        "median_price": exp(predicted),
        "pred_sd_log": spread,
    }


def _log(value: Fraction) -> Decimal:
    logarithm = ln(value)
    return Decimal(logarithm.numerator) / Decimal(logarithm.denominator)


def _dot(one: Sequence[Decimal], other: Sequence[Decimal]) -> Decimal:
    return sum((left * right for left, right in zip(one, other, strict=True)), Decimal(0))
