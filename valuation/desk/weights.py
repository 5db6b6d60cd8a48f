"""Methods 4 to 6: weights from judgements, weights from dispersion, and a fuzzy score."""

from collections.abc import Iterable
from decimal import Decimal, localcontext
from fractions import Fraction

from valuation.desk.contract import Field, ListOf, Number, Text
from valuation.desk.method import Figures, Given, Output, Remark, method, series
from valuation.desk.reals import ln, rounded, total, working
from valuation.errors import OutOfRange

RANDOM_INDEX = {3: "0.58", 4: "0.90", 5: "1.12", 6: "1.24", 7: "1.32"}
"""Mean consistency index of random matrices by size (Saaty 1980)."""

CONSISTENT = Fraction(1, 10)
"""A caller accepts weights only below this consistency ratio."""

_PERRON_DIGITS = 70
_PERRON_ROUNDS = 800


def _perron(matrix: list[list[Fraction]]) -> tuple[list[Fraction], Fraction]:
    """Principal right eigenvector (sum 1) and eigenvalue of a positive matrix, to about 60 digits.

    The matrix is squared until all its columns are multiples of one vector: 2^k steps of the power method for k squarings.
    All terms are positive, so nothing cancels, however inconsistent the judgements are.
    """
    size = range(len(matrix))
    with localcontext(working(_PERRON_DIGITS)):
        power = [[Decimal(entry.numerator) / Decimal(entry.denominator) for entry in row] for row in matrix]
        tiny = Decimal(10) ** (5 - _PERRON_DIGITS)
        vector = [Decimal(0)] * len(matrix)
        for _ in range(_PERRON_ROUNDS):
            sums = [sum(row, Decimal(0)) for row in power]
            whole = sum(sums, Decimal(0))
            before, vector = vector, [entry / whole for entry in sums]
            if all(abs(one - other) <= tiny * one for one, other in zip(vector, before, strict=True)):
                break
            squared = [[sum((power[i][k] * power[k][j] for k in size), Decimal(0)) for j in size] for i in size]
            largest = max(max(row) for row in squared)
            power = [[entry / largest for entry in row] for row in squared]
    found = [Fraction(entry) for entry in vector]
    scale = total(found)
    weights = [rounded(entry / scale) for entry in found]
    return weights, rounded(total(matrix[i][j] * weights[j] for i in size for j in size))


def _inconsistent(_given: Given, figures: Figures) -> Iterable[Remark]:
    if figures["CR"] >= CONSISTENT:
        yield Remark("CR", "the judgements are not consistent: accept the weights only if CR is below 0.10")


@method(
    title="Analytic hierarchy weights",
    formula="M·w = λ_max·w, Σw = 1;  CI = (λ_max − n)/(n − 1);  CR = CI/RI, RI = 0.58, 0.90, 1.12, 1.24, 1.32 for n = 3…7",
    latex=r"Mw=\lambda_{\max}w,\quad \mathbf 1^\top w=1,\quad CI=\frac{\lambda_{\max}-n}{n-1},\quad CR=\frac{CI}{RI_n}",
    source="Saaty, The Analytic Hierarchy Process, 1980",
    inputs=(
        Field(
            "upper_triangle",
            ListOf(ListOf(Number("", "any"), least=3, most=7), least=3, most=7),
            "n×n judgements a_ij > 0 for i < j; entries on and below the diagonal are ignored; n = 3…7",
        ),
        Field("RI_table", Text(), "label of the random-index table; not parsed"),
    ),
    outputs=(
        Output("weights", "share", "principal eigenvector, sum 1", "list of number"),
        Output("lambda_max", "", "principal eigenvalue"),
        Output("CI", "", "consistency index"),
        Output("CR", "", "consistency ratio; weights are accepted below 0.10"),
    ),
    conditions=("the matrix is square", "entries above the diagonal are above 0"),
    flags=_inconsistent,
)
def ahp_weights(given: Given) -> Figures:
    """Priority weights and consistency from a pairwise comparison matrix."""
    upper = given["upper_triangle"]
    size = len(upper)
    matrix = [[Fraction(1)] * size for _ in upper]
    for i, row in enumerate(upper):
        if len(row) != size:
            raise OutOfRange(f"upper_triangle[{i}]", "lists as long as upper_triangle")
        for j in range(i + 1, size):
            if row[j] <= 0:
                raise OutOfRange(f"upper_triangle[{i}][{j}]", ">0")
            matrix[i][j], matrix[j][i] = row[j], 1 / row[j]
    weights, largest = _perron(matrix)
    index = (largest - size) / (size - 1)
    return {
        "weights": weights,
        "lambda_max": largest,
        "CI": index,
        "CR": index / Fraction(RANDOM_INDEX[size]),
    }


@method(
    title="Entropy weights",
    formula="p_ij = x_ij/Σ_i x_ij;  e_j = −(1/ln m)·Σ_i p_ij·ln p_ij;  d_j = 1 − e_j;  w_j = d_j/Σ d",
    latex=r"p_{ij}=\frac{x_{ij}}{\sum_i x_{ij}},\quad d_j=1+\frac1{\ln m}\sum_i p_{ij}\ln p_{ij},\quad w_j=\frac{d_j}{\sum d}",
    source="Shannon entropy weighting",
    inputs=(
        Field(
            "matrix_rows_are_datasets",
            ListOf(ListOf(Number("", ">=0"), most=20), least=2),
            "m×n values, rows are datasets (m ≥ 2), columns are indicators (n ≤ 20)",
        ),
    ),
    outputs=(
        Output("divergence", "", "d_j by indicator", "list of number"),
        Output("weights", "share", "weight by indicator", "list of number"),
    ),
    conditions=("rows have equal length", "each column sum is above 0", "not every column is constant"),
)
def entropy_weights(given: Given) -> Figures:
    """Objective indicator weights from dispersion across datasets."""
    matrix = given["matrix_rows_are_datasets"]
    for index, row in enumerate(matrix):
        if len(row) != len(matrix[0]):
            raise OutOfRange(f"matrix_rows_are_datasets[{index}]", "lists as long as matrix_rows_are_datasets[0]")
    divergence = [_divergence(column) for column in zip(*matrix, strict=True)]
    whole = total(divergence)
    if whole == 0:
        raise OutOfRange("matrix_rows_are_datasets", "matrices with at least one column that is not constant")
    return {"divergence": divergence, "weights": [rounded(entry / whole) for entry in divergence]}


def _divergence(column: tuple[Fraction, ...]) -> Fraction:
    whole = total(column)
    if whole == 0:
        raise OutOfRange("matrix_rows_are_datasets", "matrices whose column sums are above 0")
    if len(set(column)) == 1:  # decided exactly: a rounded logarithm would leave a divergence of 1e-60
        return Fraction(0)
    shares = [value / whole for value in column if value > 0]
    return rounded(1 + total(share * ln(share) for share in shares) / ln(Fraction(len(column))))


@method(
    title="Fuzzy comprehensive score",
    formula="B_j = Σ_i w_i·R_ij;  score = Σ_j B_j·grade_j / Σ_j B_j",
    latex=r"B_j=\sum_i w_iR_{ij},\quad s=\frac{\sum_j B_jg_j}{\sum_j B_j}",
    source="weighted-average fuzzy operator",
    inputs=(
        series("weights", "", ">=0", "factor weights as given (not re-scaled), length m", along="factors"),
        Field(
            "membership_matrix",
            ListOf(ListOf(Number("", "[0,1]"), most=100)),
            "m×g membership of factor i in grade j",
            along="factors",
        ),
        series("grades", "score", "any", "score of each grade, length g"),
    ),
    outputs=(
        Output("membership", "", "B_j by grade", "list of number"),
        Output("score", "score", "mean grade weighted by B"),
    ),
    conditions=("each row of membership_matrix is as long as grades", "Σ B > 0"),
)
def fuzzy_score(given: Given) -> Figures:
    """Fuzzy comprehensive evaluation."""
    weights, matrix, grades = given["weights"], given["membership_matrix"], given["grades"]
    for index, row in enumerate(matrix):
        if len(row) != len(grades):
            raise OutOfRange(f"membership_matrix[{index}]", "lists as long as grades")
    membership = [
        total(weight * share for weight, share in zip(weights, column, strict=True))
        for column in zip(*matrix, strict=True)
    ]
    whole = total(membership)
    if whole == 0:
        raise OutOfRange("membership_matrix", "memberships whose weighted sum is above 0")
    score = total(share * grade for share, grade in zip(membership, grades, strict=True)) / whole
    return {"membership": membership, "score": score}
