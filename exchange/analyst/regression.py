"""Linear and ridge regression from noisy second moments.

Arguments and intervals as ``statistics`` tells for all of them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import fsum, inf, sqrt
from operator import mul

from exchange.analyst.moments import LITTLE, comoment
from exchange.analyst.noisy import BUDGET, DRAWS, STEADY, Figure, Noisy, Redraws, TooNoisy, divergence, steady
from exchange.analyst.noisy import total as sum_of


@dataclass(frozen=True, slots=True)
class Moments:
    """Noisy second moments of columns over the ``count`` rows that have them all; the last column is the response.

    A column's value is taken as z = (x - centre) / scale, scale > 0: ``totals[i]`` is the sum of z_i, ``products[i][j]`` for
    j <= i that of z_i z_j. Cells are their own.
    """

    names: tuple[str, ...]
    centres: tuple[Fraction, ...]
    scales: tuple[Fraction, ...]
    count: Noisy
    totals: tuple[Noisy, ...]
    products: tuple[tuple[Noisy, ...], ...]

    def __post_init__(self) -> None:
        size = len(self.names)
        if size < 2 or {len(self.centres), len(self.scales), len(self.totals), len(self.products)} != {size}:
            raise ValueError("a regression has an explanatory column and a response, each with centre, scale and total")
        if any(len(row) != place + 1 for place, row in enumerate(self.products)):
            raise ValueError("products are of every column with itself and all before it")

    @property
    def cells(self) -> list[Noisy]:
        """All moments in one row: the count, the totals, the products row by row."""
        return [self.count, *self.totals, *(cell for row in self.products for cell in row)]


@dataclass(frozen=True, slots=True)
class Coefficient:
    """One coefficient, response units per unit of the column ``name`` (empty: the intercept); its interval is for the noise.

    ``sampling_error`` is the classical standard error of least squares, as if the moments were exact: how far another sample
    of as many rows would move it; ``None`` where noise leaves no residual variance to compute it from.
    """

    name: str
    figure: Figure
    sampling_error: float | None


@dataclass(frozen=True, slots=True)
class Regression:
    """A fit in the columns' own units; ``r_squared`` in [0, 1] is of the rows, its interval for the noise.

    ``noise_share`` says how large the noise of the moments is beside the moments in the worst direction (0: none).
    """

    intercept: Coefficient
    coefficients: tuple[Coefficient, ...]
    r_squared: Figure
    rows: Figure
    noise_share: float


SINGULAR = 1 / 6
"""Noise beside the moments, in the worst direction, beyond which no regression is shown: intervals of R² cover less there."""


def regression(
    moments: Moments, *, seed: str, ridge: float = 0.0, level: float = 0.95, draws: int = DRAWS
) -> Regression:
    """Least squares, or ridge regression, of the last column on the others with an intercept, from noisy second moments.

    ``ridge`` >= 0 is added to the variance of every scaled explanatory column (so 1 is much: scaled values lie in about
    [-1, 1]); the intercept is not shrunk, and the true value that intervals hold is the ridge fit of the exact moments.
    Intervals of coefficients: delta method, by the implicit function (Wang 2018, "Revisiting differentially private linear
    regression", perturbs the same moments). Interval of R²: redraws.

    Raises:
        TooNoisy: if the moments of the explanatory columns do not stand out from their noise in every direction.
    """
    if ridge < 0:
        raise ValueError(f"a ridge is not negative, unlike {ridge}")
    count, size = moments.count, len(moments.names) - 1
    if not steady(count):
        raise TooNoisy("the rows that have all columns do not stand out from noise", fix=BUDGET)
    spread = [
        [comoment(count, x, y, product) for y, product in zip(moments.totals, row, strict=False)]
        for x, row in zip(moments.totals, moments.products, strict=True)
    ]
    normal = [
        [cell + count * ridge if i == j else cell for j, cell in enumerate(row)] for i, row in enumerate(spread[:-1])
    ]
    root = _cholesky([[float(cell.value) for cell in row] for row in normal])
    inverse = [] if root is None else [_solved(root, [float(i == j) for i in range(size)]) for j in range(size)]
    noise_share = _noise_share(normal, inverse) if inverse else inf
    if noise_share > SINGULAR:
        raise TooNoisy(
            "noise leaves the explanatory columns too little spread, or too close to one another, to tell them apart",
            fix="ask with a larger budget, leave out a column, or take a ridge of some hundredths",
        )
    cross = spread[-1][:-1]
    plain = [fsum(weight * float(one.value) for weight, one in zip(row, cross, strict=True)) for row in inverse]
    # the normal equations, differentiated: d slopes = A^-1 (d cross - dA slopes)
    gaps = [cross[i] - sum_of(normal[max(i, j)][min(i, j)] * plain[j] for j in range(size)) for i in range(size)]
    slopes = [
        Noisy(slope, sum_of(gap * weight for gap, weight in zip(gaps, row, strict=True)).parts)
        for slope, row in zip(plain, inverse, strict=True)
    ]
    caution = "" if noise_share * STEADY <= 1 else LITTLE
    told = [Figure.around(one, level=level, caution=caution) for one in _in_units(moments, slopes)]
    errors = _sampling_errors(moments, spread, plain, inverse)
    fits = [Coefficient(*row) for row in zip(("", *moments.names[:-1]), told, errors, strict=True)]
    explained = _r_squared(
        moments, ridge, level=level, redraws=Redraws(moments.cells, seed=seed, draws=draws)
    ).cautioned(caution)
    return Regression(fits[0], tuple(fits[1:]), explained, Figure.around(count, level=level), noise_share)


def _in_units(moments: Moments, slopes: Sequence[Noisy]) -> list[Noisy]:
    """Intercept and coefficients in the columns' own units, from the slopes of scaled columns."""
    owns = [slope * (moments.scales[-1] / scale) for slope, scale in zip(slopes, moments.scales, strict=False)]
    *means, response = _means(moments)
    return [response - sum_of(own * one for own, one in zip(owns, means, strict=True)), *owns]


def _means(moments: Moments) -> list[Noisy]:
    return [
        added / moments.count * scale + centre
        for added, scale, centre in zip(moments.totals, moments.scales, moments.centres, strict=True)
    ]


def _sampling_errors(
    moments: Moments, spread: Sequence[Sequence[Noisy]], slopes: Sequence[float], inverse: Sequence[Sequence[float]]
) -> list[float | None]:
    """Classical standard errors of intercept and coefficients in their own units, of the noisy moments as they are.

    The covariance is s² A^-1 S A^-1 with S the moments and A = S + ridge, hence s² S^-1 without ridge; s² has rows - columns
    degrees of freedom.
    """
    size, rows = len(slopes), float(moments.count.value)
    square = [[float(spread[max(i, j)][min(i, j)].value) for j in range(size)] for i in range(size)]
    cross = [float(one.value) for one in spread[-1][:-1]]
    fitted = [_dot(row, slopes) for row in square]
    residual = float(spread[-1][-1].value) - 2 * _dot(slopes, cross) + _dot(slopes, fitted)
    if residual <= 0 or rows <= size + 1:
        return [None] * (size + 1)
    middle = [[_dot(row, column) for column in inverse] for row in square]
    scale = float(moments.scales[-1])
    units = [scale / float(one) for one in moments.scales[:-1]]
    noise = residual / (rows - size - 1)
    covariances = [
        [noise * _dot(row, [line[j] for line in middle]) * units[i] * units[j] for j in range(size)]
        for i, row in enumerate(inverse)
    ]
    means = [float(one.value) for one in _means(moments)[:-1]]
    intercept = noise * scale * scale / rows + _dot(means, [_dot(row, means) for row in covariances])
    # with a ridge, noise may leave moments that no sample can have, and negative variances
    return [sqrt(one) if one > 0 else None for one in (intercept, *(covariances[i][i] for i in range(size)))]


def _r_squared(moments: Moments, ridge: float, *, level: float, redraws: Redraws) -> Figure:
    """Share of the response's variance that the fit explains."""
    size = len(moments.names)
    observed = [float(cell.value) for cell in moments.cells]
    rows, totals = observed[0], observed[1 : size + 1]
    own = observed[-1] - totals[-1] * totals[-1] / rows
    if own <= 0:
        return Figure.missing("the response's spread does not stand out from noise").within(0.0, 1.0)

    def statistic(cells: Sequence[float]) -> float:
        count, place, spread = cells[0], size + 1, []
        for i in range(size):
            mean_of = cells[i + 1] / count
            spread.append([cells[place + j] - mean_of * cells[j + 1] for j in range(i + 1)])
            place += i + 1
        *cross, response = spread.pop()
        for i, row in enumerate(spread):
            row[i] += ridge * count
        root = _cholesky(spread)
        if root is None or response <= 0:
            return 1.0
        # explained is 2 b'c - b'Sb = b'c + ridge b'b for b = A^-1 c, and b'c the square of the half-solved c
        half = _half_solved(root, cross)
        slopes = _solved(root, cross) if ridge else ()
        return (_dot(half, half) + ridge * count * _dot(slopes, slopes)) / response

    def path(distance: float) -> list[float]:
        """The moments with so many times the observed covariance of the response with every other column."""
        moved = list(observed)
        for i in range(size - 1):
            apart = totals[i] * totals[-1] / rows
            moved[i - size] = apart + distance * (observed[i - size] - apart)
        return moved

    clear = own >= STEADY * moments.cells[-1].deviation
    figure = divergence(statistic, path, redraws, level=level).within(0.0, 1.0)
    return figure.cautioned("" if clear else LITTLE)


def _noise_share(normal: Sequence[Sequence[Noisy]], inverse: Sequence[Sequence[float]]) -> float:
    """Noise of a matrix beside the matrix in the worst direction: for one column, its deviation over its value.

    The root of the largest eigenvalue of A^-1 E[W A^-1 W], W the noise, entries taken as independent; by the power method.
    """
    size = len(normal)
    noises = [[normal[max(i, j)][min(i, j)].variance for j in range(size)] for i in range(size)]
    second = [
        [
            _dot(noises[i], [inverse[k][k] for k in range(size)]) if i == j else inverse[i][j] * noises[i][j]
            for j in range(size)
        ]
        for i in range(size)
    ]
    direction, largest = [1.0] * size, 0.0
    for _ in range(100):
        turned = [_dot(row, direction) for row in second]
        turned = [_dot(row, turned) for row in inverse]
        largest = max(map(abs, turned))
        if not largest:
            return 0.0
        direction = [one / largest for one in turned]
    return sqrt(largest)


# -- arithmetic --------------------------------------------------------------------------------------------------------


def _dot(one: Sequence[float], other: Sequence[float]) -> float:
    return fsum(map(mul, one, other))


def _cholesky(lower: Sequence[Sequence[float]]) -> list[list[float]] | None:
    """Lower triangular root of a symmetric matrix given by its lower triangle; ``None`` if it is not positive definite."""
    root: list[list[float]] = []
    for i, row in enumerate(lower):
        line: list[float] = []
        for j in range(i):
            line.append((row[j] - _dot(line, root[j])) / root[j][j])
        rest = row[i] - _dot(line, line)
        if rest <= 0:
            return None
        root.append([*line, sqrt(rest)])
    return root


def _half_solved(root: Sequence[Sequence[float]], right: Sequence[float]) -> list[float]:
    """Solution of root x = right for a lower triangular root."""
    solved: list[float] = []
    for row, one in zip(root, right, strict=True):
        solved.append((one - _dot(row[:-1], solved)) / row[-1])
    return solved


def _solved(root: Sequence[Sequence[float]], right: Sequence[float]) -> list[float]:
    """Solution of a system of equations by the lower triangular root of its matrix."""
    forward = _half_solved(root, right)
    back = [0.0] * len(root)
    for i in range(len(root) - 1, -1, -1):
        back[i] = (forward[i] - sum(root[k][i] * back[k] for k in range(i + 1, len(root)))) / root[i][i]
    return back
