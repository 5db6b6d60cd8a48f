"""Methods 26, 27 and 29 to 31: contributions with closed forms, their error under noise, and the split of a value."""

from collections import Counter
from fractions import Fraction
from math import comb

from valuation.desk.contract import Field, ListOf, Number, ObjectOf
from valuation.desk.method import Figures, Given, Output, field, method, series
from valuation.desk.reals import root, rounded, total
from valuation.errors import OutOfRange, WrongType

MAX_IDS = 100_000
"""Ids or labels in one list."""

MAX_INSTITUTIONS = 64
EPSILON = "(0,4]"
USUAL_EPSILON = "[0.1,1]"


@method(
    title="Coverage Shapley value",
    formula="φ_i = Σ_{x∈ids_i} w_x/m_x;  union = Σ_x w_x;  exclusive_share_i = Σ_{x of i alone} w_x / Σ_{x of i} w_x",
    latex=r"\phi_i=\sum_{x\in X_i}\frac{w_x}{m_x},\quad m_x=\#\{j:x\in X_j\},\quad \sum_i\phi_i=\sum_{x\in\bigcup X_j}w_x",
    source="Shapley value of an additive union game",
    inputs=(
        Field(
            "id_sets",
            ListOf(ListOf(Number("id", "any", whole=True), most=MAX_IDS), most=MAX_INSTITUTIONS),
            "ids held by each institution; a repeated id inside one list counts once",
        ),
        Field(
            "id_weights",
            ObjectOf(Number("weight", ">0"), most=MAX_IDS),
            "weight by id (the id in decimal text); an id not listed weighs 1; may be empty",
        ),
    ),
    outputs=(
        Output("shapley", "weight", "by institution", "list of number"),
        Output("union", "weight", "total weight of the union"),
        Output(
            "exclusive_share", "share", "weight that no other holds / weight held, by institution", "list of number"
        ),
    ),
)
def coverage_shapley(given: Given) -> Figures:
    """Exact Shapley value of the union-of-ids game without enumeration."""
    weights: dict[int, Fraction] = {}
    for name, weight in given["id_weights"].items():
        digits = name.removeprefix("-")
        if not (digits.isascii() and digits.isdigit() and len(name) <= 101 and name == str(int(name))):
            raise WrongType("id_weights", "an object whose names are ids in decimal text")
        weights[int(name)] = weight
    holdings = [set(ids) for ids in given["id_sets"]]
    holders = Counter(identity for ids in holdings for identity in ids)
    shapley, exclusive = [], []
    for ids in holdings:
        by_holders: Counter[int] = Counter()  # ids of weight 1, counted; the few with a weight of their own, summed
        weighed: dict[int, Fraction] = {}
        for identity in ids:
            shared_by = holders[identity]
            if identity in weights:
                weighed[shared_by] = weighed.get(shared_by, Fraction(0)) + weights[identity]
            else:
                by_holders[shared_by] += 1
        held = {many: weighed.get(many, Fraction(0)) + by_holders[many] for many in {*weighed, *by_holders}}
        shapley.append(total(weight / many for many, weight in held.items()))
        exclusive.append(held.get(1, Fraction(0)) / total(held.values()))
    union = total(weights[identity] for identity in holders if identity in weights)
    union += sum(identity not in weights for identity in holders)
    return {"shapley": shapley, "union": union, "exclusive_share": exclusive}


def noise_coefficient(players: int) -> Fraction:
    """c(n): variance of a Shapley value whose non-empty coalitions carry independent noise of variance 1; ``players >= 1``.

    c(n) = (1/n^2) [sum over s=1..n of 1/C(n-1, s-1) + sum over s=1..n-1 of 1/C(n-1, s)].
    """
    joined = total(Fraction(1, comb(players - 1, size - 1)) for size in range(1, players + 1))
    left = total(Fraction(1, comb(players - 1, size)) for size in range(1, players))
    return (joined + left) / players**2


@method(
    title="Noise on the coverage vector",
    formula="Δ₁ = max_k {1 for k = 0; 1/(k+1) + k·(1/k − 1/(k+1)) for k = 1…n−1};  b = Δ₁;  direct_sd = √2·b;  M = 2^n − 1;  "
    "naive_sd = √2·M·√c(n)",
    latex=r"\Delta_1=\max_{0\le k<n}\begin{cases}1&k=0\\\tfrac2{k+1}&k\ge1\end{cases},\quad \sigma_{direct}=\sqrt2\,\Delta_1,"
    r"\quad\sigma_{naive}=\sqrt2\,(2^n-1)\sqrt{c(n)}",
    source="Laplace mechanism, Dwork et al. 2006, on coverage_shapley",
    inputs=(
        field("n_institutions", "", "[2,64]", "n", whole=True),
        field(
            "epsilon_total",
            "nats",
            EPSILON,
            "recorded; the outputs named _eps1 are stated for ε = 1 and do not change with it",
            usual=USUAL_EPSILON,
        ),
    ),
    outputs=(
        Output("l1_sensitivity", "weight", "largest L1 move of the vector by one record of unit weight"),
        Output("noise_scale_b_eps1", "weight", "Laplace scale of each entry at ε = 1"),
        Output("naive_releases", "", "coalitions to be noised otherwise", "integer"),
        Output("naive_sd_phi_eps1", "weight", "standard deviation of a value from noised coalitions"),
        Output("direct_sd_phi_eps1", "weight", "standard deviation of a directly noised value"),
    ),
)
def coverage_shapley_dp(given: Given) -> Figures:
    """Why one noise draw on the coverage vector beats noising every coalition."""
    players = given["n_institutions"]
    moves = [Fraction(1)]
    moves += [Fraction(1, k + 1) + k * (Fraction(1, k) - Fraction(1, k + 1)) for k in range(1, players)]
    sensitivity, releases = max(moves), 2**players - 1
    return {
        "l1_sensitivity": sensitivity,
        "noise_scale_b_eps1": sensitivity,
        "naive_releases": releases,
        "naive_sd_phi_eps1": releases * root(2 * noise_coefficient(players)),
        "direct_sd_phi_eps1": sensitivity * root(Fraction(2)),
    }


@method(
    title="Nearest-neighbour Shapley value",
    formula="I_i = [y_i = y*];  s_N = I_N/N;  s_i = s_{i+1} + (I_i − I_{i+1})/K·min(K,i)/i;  total = Σ s_i",
    latex=r"s_N=\frac{I_N}N,\quad s_i=s_{i+1}+\frac{I_i-I_{i+1}}K\cdot\frac{\min(K,i)}i,\quad I_i=[y_i=y^*]",
    source="Jia et al. 2019",
    inputs=(
        Field(
            "labels_sorted_by_distance",
            ListOf(Number("label", "any", whole=True), most=MAX_IDS),
            "labels y_1…y_N, nearest first",
        ),
        field("test_label", "label", "any", "y*", whole=True),
        field("K", "", ">=1", "neighbours", whole=True),
    ),
    outputs=(
        Output("values", "share", "s_i in input order", "list of number"),
        Output("total", "share", "sum: the share of correct labels among the K nearest"),
    ),
    conditions=("K ≤ N",),
)
def knn_shapley(given: Given) -> Figures:
    """Exact Shapley of training points for a K-nearest-neighbour classifier and one test point."""
    right = [int(label == given["test_label"]) for label in given["labels_sorted_by_distance"]]
    count, neighbours = len(right), given["K"]
    if neighbours > count:
        raise OutOfRange("K", "[1, length of labels_sorted_by_distance]")
    values = [Fraction(right[-1], count)]
    for place in range(count - 1, 0, -1):
        change = right[place - 1] - right[place]
        step = Fraction(change * min(neighbours, place), neighbours * place)
        # unrounded, the common denominator of all places would grow with their number
        values.append(rounded(values[-1] + step) if change else values[-1])
    values.reverse()
    return {"values": values, "total": total(values)}


@method(
    title="Error of a noised Shapley value",
    formula="c(n) = (1/n²)·[Σ_{s=1..n} 1/C(n−1,s−1) + Σ_{s=1..n−1} 1/C(n−1,s)];  sd = σ·√c;  coalitions = 2^n − 1",
    latex=r"c(n)=\frac1{n^2}\Bigl[\sum_{s=1}^n\tbinom{n-1}{s-1}^{-1}+\sum_{s=1}^{n-1}\tbinom{n-1}{s}^{-1}\Bigr],\quad "
    r"\sigma_\phi=\sigma\sqrt{c(n)}",
    source="linearity of the Shapley value",
    inputs=(
        field("n_institutions", "", "[1,64]", "n", whole=True),
        field(
            "sigma_of_each_noised_utility",
            "unit of v",
            ">=0",
            "standard deviation of independent noise on each non-empty coalition; v of the empty one is known",
        ),
    ),
    outputs=(
        Output("var_coefficient", "", "c(n)"),
        Output("sd_phi", "unit of v", "standard deviation of a value"),
        Output("coalitions", "", "non-empty coalitions", "integer"),
    ),
)
def dp_shapley_error(given: Given) -> Figures:
    """Error of a Shapley value built from noised coalition utilities."""
    players = given["n_institutions"]
    coefficient = noise_coefficient(players)
    return {
        "var_coefficient": coefficient,
        "sd_phi": given["sigma_of_each_noised_utility"] * root(coefficient),
        "coalitions": 2**players - 1,
    }


@method(
    title="Split of a pool value",
    formula="proportional_i = V·φ_i/Σφ;  clipped_i = V·φ_i⁺/Σφ⁺",
    latex=r"p_i=V\frac{\phi_i}{\sum_j\phi_j},\quad c_i=V\frac{\phi_i^+}{\sum_j\phi_j^+}",
    source="efficiency scaling",
    inputs=(
        field("pool_value", "¥", ">=0", "V"),
        series("phi", "", "any", "contributions, may be negative"),
    ),
    outputs=(
        Output("proportional", "¥", "negative entries kept", "list of number"),
        Output("clipped", "¥", "negative entries counted as 0", "list of number"),
    ),
    conditions=("Σ φ ≠ 0", "at least one φ > 0"),
)
def value_allocation(given: Given) -> Figures:
    """Splitting a pool value by contribution."""
    value, contributions = given["pool_value"], given["phi"]
    kept = [max(contribution, Fraction(0)) for contribution in contributions]
    whole, positive = total(contributions), total(kept)
    if whole == 0 or positive == 0:
        raise OutOfRange("phi", "lists whose sum is not 0 and of which at least one entry is above 0")
    return {
        "proportional": [value * contribution / whole for contribution in contributions],
        "clipped": [value * contribution / positive for contribution in kept],
    }
