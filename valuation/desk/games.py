"""Methods 25 and 28: semivalues and the least core of a small game, and the three games that a text can define.

A coalition is a bit mask: player i is in it if bit i is set.
"""

import re
from collections.abc import Sequence
from fractions import Fraction
from math import ceil, comb, factorial, lcm

from valuation.desk.contract import Field, Number, ObjectOf, Text, named
from valuation.desk.method import Figures, Given, Output, field, method
from valuation.desk.reals import exp_less_1, total
from valuation.errors import MissingKey, OutOfRange, UnknownKey, WrongType

PRINTED = Fraction(1, 10**9)
"""How far a printed worth may lie from the formula that its definition states."""

FORMS = "v=1 if |S|>=q; v=1-exp(-records/R), records r0,r1,…; coverage of U ids: [a0,b0),[a1,b1),…"

_NUMBER = r"-?[0-9]{1,40}(?:\.[0-9]{1,40})?"
_COUNT = r"[0-9]{1,40}(?:\.[0-9]{1,40})?"
_REMARK = re.compile(r"\s*\([^()\[\]]*\)\s*$")
_QUORUM = re.compile(rf"v\s*=\s*1\s+if\s+\|S\|\s*>=\s*({_NUMBER})", re.ASCII)
_RECORDS = re.compile(
    rf"v\s*=\s*1\s*-\s*exp\(\s*-\s*records\s*/\s*({_COUNT})\s*\)\s*,\s*records\s+({_COUNT}(?:\s*,\s*{_COUNT})*)",
    re.ASCII,
)
_COVERAGE = re.compile(
    rf"coverage\s+of\s+({_COUNT})\s+ids\s*:\s*(\[\s*{_NUMBER}\s*,\s*{_NUMBER}\s*\)"
    rf"(?:\s*,\s*\[\s*{_NUMBER}\s*,\s*{_NUMBER}\s*\))*)",
    re.ASCII,
)
MOST_PLAYERS = 10
_WORTHS = ObjectOf(Number("unit of v", "any"), most=1 << MOST_PLAYERS)


def _stripped(definition: str) -> str:
    return _REMARK.sub("", definition).strip()


def _key(coalition: int, players: int) -> str:
    return "".join(str(player) for player in range(players) if coalition >> player & 1) or "empty"


def _listed(worths: dict[str, Fraction], players: int) -> list[Fraction]:
    """Worths by coalition, from an object that must name all 2^n coalitions and nothing else."""
    keys = [_key(coalition, players) for coalition in range(1 << players)]
    known = set(keys)
    for key in worths:
        if key not in known:
            raise UnknownKey(named("v", key))
    for key in keys:
        if key not in worths:
            raise MissingKey(f"v.{key}")
    return [worths[key] for key in keys]


def _saturating(definition: str, players: int) -> list[Fraction] | None:
    """Worths 1 - exp(-records/R) in full precision, if the definition has that form."""
    found = _RECORDS.fullmatch(_stripped(definition))
    if found is None:
        return None
    scale = Fraction(found[1])
    records = [Fraction(text) for text in found[2].replace(" ", "").split(",")]
    if scale == 0:
        raise OutOfRange("definition", "definitions with R above 0")
    if len(records) != players:
        raise OutOfRange("definition", "definitions with one number of records for each of the n players")
    return [-exp_less_1(-_held(records, coalition) / scale) for coalition in range(1 << players)]


def _held(amounts: Sequence[Fraction], coalition: int) -> Fraction:
    return total(amount for player, amount in enumerate(amounts) if coalition >> player & 1)


def _covering(found: re.Match[str], players: int) -> list[Fraction]:
    """Share of U ids that a coalition's half-open intervals cover, however long they are."""
    universe = Fraction(found[1])
    bounds = [Fraction(text) for text in re.findall(_NUMBER, found[2])]
    spans = [(ceil(low), ceil(high)) for low, high in zip(bounds[::2], bounds[1::2], strict=True)]
    if universe == 0:
        raise OutOfRange("definition", "definitions with U above 0")
    if len(spans) != players:
        raise OutOfRange("definition", "definitions with one interval for each of the n players")

    def covered(coalition: int) -> int:
        count, reached = 0, None
        for low, high in sorted(span for player, span in enumerate(spans) if coalition >> player & 1):
            start = low if reached is None else max(low, reached)
            count += max(high - start, 0)
            reached = high if reached is None else max(high, reached)
        return count

    return [covered(coalition) / universe for coalition in range(1 << players)]


def _defined(definition: str, players: int) -> list[Fraction]:
    saturating = _saturating(definition, players)
    if saturating is not None:
        return saturating
    text = _stripped(definition)
    quorum = _QUORUM.fullmatch(text)
    if quorum is not None:
        least = Fraction(quorum[1])
        worths = [Fraction(int(coalition.bit_count() >= least)) for coalition in range(1 << players)]
        return [Fraction(0), *worths[1:]]
    coverage = _COVERAGE.fullmatch(text)
    if coverage is None:
        raise WrongType("definition", f"a definition in one of the forms {FORMS}, and v is not given")
    return _covering(coverage, players)


def semivalue(worths: Sequence[Fraction], weights: Sequence[Fraction]) -> list[Fraction]:
    """Sum over coalitions S without the player of ``weights[|S|]`` times what the player adds, by player.

    ``worths`` by coalition (2^n), ``weights`` by size of S (n). By size, what a player adds is the worth of all coalitions
    with the player less that of all without; they are summed as integers over one denominator.
    """
    players = len(weights)
    scale = lcm(*(worth.denominator for worth in worths))
    of_size = [0] * (players + 1)
    held = [[0] * (players + 1) for _ in range(players)]
    for coalition, worth in enumerate(worths):
        size, amount, rest = coalition.bit_count(), worth.numerator * (scale // worth.denominator), coalition
        of_size[size] += amount
        while rest:
            lowest = rest & -rest
            held[lowest.bit_length() - 1][size] += amount
            rest ^= lowest
    return [
        total(weight * (own[size + 1] + own[size] - of_size[size]) for size, weight in enumerate(weights)) / scale
        for own in held
    ]


def shapley_weights(players: int) -> list[Fraction]:
    """Weights by size of the coalition that a player joins: s! (n-s-1)! / n!."""
    return [Fraction(1, players * comb(players - 1, size)) for size in range(players)]


def banzhaf_weights(players: int) -> list[Fraction]:
    """Every coalition alike: 2^(1-n)."""
    return [Fraction(1, 1 << (players - 1))] * players


def _euler_beta(one: int, other: int) -> Fraction:
    return Fraction(factorial(one - 1) * factorial(other - 1), factorial(one + other - 1))


def beta_weights(players: int, a: int, b: int) -> list[Fraction]:
    """Beta(a, b): B(s+b, n-s-1+a) / B(a, b); with a above b, small coalitions weigh more."""
    return [_euler_beta(size + 1 + b - 1, players - (size + 1) + a) / _euler_beta(a, b) for size in range(players)]


@method(
    title="Semivalues of a small game",
    formula="value_i = Σ_{S∌i} w(|S|)·(v(S∪i) − v(S));  Shapley w = s!(n−s−1)!/n!;  Banzhaf w = 2^(1−n);  "
    "Beta(a,b) w = B(s+b, n−s−1+a)/B(a,b);  leave-one-out = v(N) − v(N∖i)",
    latex=r"\phi_i=\sum_{S\not\ni i}w_{|S|}\,[v(S\cup i)-v(S)],\quad w_s\in\Bigl\{\tfrac{s!(n-s-1)!}{n!},\ 2^{1-n},\ "
    r"\tfrac{B(s+b,\,n-s-1+a)}{B(a,b)},\ [s=n-1]\Bigr\}",
    source="Shapley 1953; Banzhaf: Wang and Jia 2023; Beta: Kwon and Zou 2022",
    inputs=(
        Field("game", Text(), "label"),
        field("n", "", "[1,10]", "players 0…n−1", whole=True),
        Field(
            "definition",
            Text(),
            "words describing v, a label; if it is v=1-exp(-records/R), records r0,r1,… the worths are computed from it",
        ),
        Field(
            "v",
            _WORTHS,
            "worth of all 2^n coalitions; key: the members' digits in ascending order, the empty set is `empty`",
        ),
    ),
    outputs=(
        Output("shapley", "unit of v", "by player", "list of number"),
        Output("banzhaf", "unit of v", "by player", "list of number"),
        Output("beta_4_1", "unit of v", "by player; small coalitions weigh more", "list of number"),
        Output("beta_16_1", "unit of v", "by player; small coalitions weigh most", "list of number"),
        Output("leave_one_out", "unit of v", "by player", "list of number"),
    ),
    conditions=(
        "v holds all 2^n coalitions and nothing else",
        "where definition computes v, the entries of v agree with it to 1e-9",
    ),
)
def semivalues(given: Given) -> Figures:
    """Shapley, Banzhaf, Beta(4,1), Beta(16,1) and leave-one-out of a small game."""
    players = given["n"]
    worths = _listed(given["v"], players)
    computed = _saturating(given["definition"], players)
    if computed is not None:
        for coalition, (printed, worth) in enumerate(zip(worths, computed, strict=True)):
            if abs(printed - worth) > PRINTED:
                raise OutOfRange(f"v.{_key(coalition, players)}", "worths that agree with the definition to 1e-9")
        worths = computed
    sizes = range(players)
    whole = worths[-1]
    return {
        "shapley": semivalue(worths, shapley_weights(players)),
        "banzhaf": semivalue(worths, banzhaf_weights(players)),
        "beta_4_1": semivalue(worths, beta_weights(players, 4, 1)),
        "beta_16_1": semivalue(worths, beta_weights(players, 16, 1)),
        "leave_one_out": [whole - worths[len(worths) - 1 - (1 << player)] for player in sizes],
    }


@method(
    title="Least core",
    formula="min e over x, e:  Σ_i x_i = v(N);  Σ_{i∈S} x_i + e ≥ v(S) for 0 < |S| < n",
    latex=r"\min_{x,e}\ e\quad\text{s.t.}\ \sum_ix_i=v(N),\ \sum_{i\in S}x_i+e\ge v(S)\ \forall\,0<|S|<n",
    source="Maschler, Peleg and Shapley 1979; Yan and Procaccia 2021",
    inputs=(
        Field("game", Text(), "name of the game"),
        field("n", "", "[2,10]", "players 0…n−1", whole=True),
        Field("definition", Text(), f"one of {FORMS}; a remark in parentheses at the end is ignored"),
        Field("v", _WORTHS, "worths as in semivalues; when present it replaces definition", optional=True),
    ),
    outputs=(Output("subsidy_e", "unit of v", "smallest uniform subsidy; may be negative"),),
    conditions=("without v, definition has one of the forms",),
    numeric=True,
)
def least_core(given: Given) -> Figures:
    """Smallest uniform subsidy that makes a revenue split stable."""
    players = given["n"]
    worths = _listed(given["v"], players) if "v" in given else _defined(given["definition"], players)
    return {"subsidy_e": least_excess(worths, players)}


def least_excess(worths: Sequence[Fraction], players: int) -> Fraction:
    """Optimum of the least-core linear programme, exact; ``worths`` by coalition, ``players >= 2``.

    The simplex method on the dual, in rational arithmetic: n coalitions are kept whose inequalities hold with equality,
    with weights >= 0 that sum to 1 and cover every player equally. The coalition whose inequality is broken most enters;
    it leaves whose weight falls to 0 first. When a step does not move (degenerate), Bland's rule takes over, which cannot
    cycle. Source: Dantzig 1963; Bland 1977.
    """
    whole = (1 << players) - 1
    kept = [1 << player for player in range(players)]  # singles with equal weights are a feasible start
    scale = lcm(*(worth.denominator for worth in worths))
    whole_worths = [worth.numerator * (scale // worth.denominator) for worth in worths]
    careful = False
    while True:
        inverse = _inverted([_column(coalition, players) for coalition in kept] + [_column(whole, players, 0)])
        prices = [
            total(inverse[place][row] * worths[coalition] for place, coalition in enumerate((*kept, whole)))
            for row in range(players + 1)
        ]
        entering = _entering(whole_worths, scale, prices, careful=careful)
        if entering is None:
            return prices[players]
        weights = [inverse[place][players] for place in range(players)]
        change = _times(inverse, _column(entering, players))
        ratios = [(weights[place] / change[place], kept[place], place) for place in range(players) if change[place] > 0]
        step, _, place = min(ratios)
        careful = step == 0
        kept[place] = entering


def _column(coalition: int, players: int, subsidy: int = 1) -> list[Fraction]:
    """Coefficients of x_0 … x_(n-1) and e in a coalition's row; the grand coalition has no e."""
    return [Fraction(coalition >> player & 1) for player in range(players)] + [Fraction(subsidy)]


def _entering(worths: Sequence[int], scale: int, prices: Sequence[Fraction], *, careful: bool) -> int | None:
    """The coalition to enter: the one that lacks most or, if ``careful``, the first that lacks anything; none if none.

    ``worths`` in units of 1/``scale``. Everything is brought to one denominator, so that 2^n comparisons are of integers.
    """
    common = lcm(*(price.denominator for price in prices))
    *shares, subsidy = (price.numerator * (common // price.denominator) * scale for price in prices)
    found, most = None, 0
    paid = [0] * len(worths)
    for coalition in range(1, len(worths) - 1):
        lowest = coalition & -coalition
        paid[coalition] = paid[coalition ^ lowest] + shares[lowest.bit_length() - 1]
        lack = worths[coalition] * common - paid[coalition] - subsidy
        if lack > most:
            found, most = coalition, lack
            if careful:
                break
    return found


def _inverted(columns: list[list[Fraction]]) -> list[list[Fraction]]:
    """Inverse of the matrix with these columns, by Gauss and Jordan's elimination."""
    size = len(columns)
    rows = [[columns[j][i] for j in range(size)] + [Fraction(int(i == j)) for j in range(size)] for i in range(size)]
    for column in range(size):
        chosen = next(row for row in range(column, size) if rows[row][column] != 0)
        rows[column], rows[chosen] = rows[chosen], rows[column]
        pivot = rows[column][column]
        rows[column] = [entry / pivot for entry in rows[column]]
        for other in range(size):
            factor = rows[other][column]
            if other != column and factor != 0:
                rows[other] = [entry - factor * above for entry, above in zip(rows[other], rows[column], strict=True)]
    return [row[size:] for row in rows]


def _times(matrix: list[list[Fraction]], vector: list[Fraction]) -> list[Fraction]:
    return [total(entry * value for entry, value in zip(row, vector, strict=True)) for row in matrix]
