"""Quality of an asset from noisy counts: completeness and validity, one combined factor, its error.

Completeness (GB/T 36344 完整性, ISO/IEC 25024 Com-I-1): required cells that are filled / required cells. Validity (规范性,
ISO/IEC 25024 Acc-I): filled cells that pass the standard's rule / filled cells checked; an empty cell lowers
completeness alone, so that no defect is counted twice. Both are pooled over the columns that the release counts.

The combined factor is the weighted geometric mean ``alpha = exp(sum of w_k ln q_k)`` (a metric of zero destroys the
value). Its error is by the delta method on the *counts*, not on the ratios: the noises of the cells are independent (one
draw for each cell), while ratios that share a count are not, so gradients are added up for each count before squaring.

Rows that repeat others (:mod:`valuation.repeats`) are taken out of the good ones, in every column: copies of the best rows
raise nothing.

No ratio is clipped: a noisy ratio above 1 is averaged as it is (clipping first would bias it). Only where alpha enters a
price is it capped at 1, by a step of its own.

Source: delta method, e.g. Casella and Berger 2002, section 5.5.4.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction

from privacy.release import Estimate
from valuation import exact
from valuation.desk.quality import geometric_mean
from valuation.errors import MissingKey, OutOfRange, Swamped
from valuation.evidence import Measured, counted
from valuation.intake import number_of, within
from valuation.repeats import PEOPLE, ROWS, Repeats
from valuation.trace import Traced, derived

Z95 = Decimal("1.959963984540054")
"""Two-sided 95 % quantile of the standard normal distribution."""

LEAST_SIGMAS = 20
"""A count below 20 standard deviations of its noise (relative noise above 5 %) makes no ratio: the delta method ends."""

WEIGHTS: Mapping[str, Decimal] = {"completeness": Decimal("0.5"), "validity": Decimal("0.5")}
"""Weights of the metrics where nothing else is agreed."""

_DELTA = "delta method over the independent noises of the counts"


Side = Mapping[str, Fraction]
"""A sum of cells, each with its factor."""


@dataclass(frozen=True, slots=True)
class Ratio:
    """A metric ``(sum of over) / (sum of under)``, each a sum of cells with their factors."""

    metric: str
    over: Side
    under: Side


@dataclass(frozen=True, slots=True)
class Quality:
    """The metrics and the combined factor. ``alpha``, ``low`` and ``high`` are as measured, possibly above 1.

    ``used``, ``used_low`` and ``used_high`` are what a price may take: capped at 1. ``errors`` holds the standard
    error of each metric, pooled and by column, over the metric itself, for the report.
    """

    metrics: tuple[Traced, ...]
    errors: tuple[Traced, ...]
    error: Traced
    alpha: Traced
    low: Traced
    high: Traced
    used: Traced
    used_low: Traced
    used_high: Traced


def quality(measured: Measured, weights: Mapping[str, Decimal] = WEIGHTS, repeated: Repeats | None = None) -> Quality:
    """Compute the quality of a dataset version from its release.

    The release counts ``count(*)`` and, for each required column c, ``filled(c)`` and ``valid(c)``. ``weights`` has the
    keys ``completeness`` and ``validity``, each >= 0, any scale. ``repeated`` tells the rows that repeat others, if known.

    Raises:
        MissingKey: if a count is absent. Swamped: if the noise is too large beside a count.
    """
    cells = measured.cells
    columns = _columns(cells)
    taken = _taken(repeated, len(columns))
    rows = {"count(*)": Fraction(len(columns))}
    filled, valid = ({f"{kind}({c})": Fraction(1) for c in columns} for kind in ("filled", "valid"))
    ratios = (
        Ratio("completeness", _plus(filled, taken), _plus(rows, taken)),
        Ratio("validity", _plus(valid, taken), _plus(filled, taken)),
    )
    shares = _shares(weights, [ratio.metric for ratio in ratios])
    counts = {key: counted(key, cells[key], measured.digest) for key in _cells_of(ratios)}
    for ratio in ratios:
        for side in (ratio.over, ratio.under):
            if not _stands_out(side, cells):
                raise Swamped(", ".join(sorted(side)))
    also = () if repeated is None or not taken else (repeated.surplus,)
    metrics = tuple(_metric(f"quality.{ratio.metric}", ratio, cells, counts, also) for ratio in ratios)
    alpha, error = _alpha(ratios, metrics, shares, cells, counts)
    spread = Fraction(Z95) * error.fraction
    low = _end("quality.low", "alpha, lower end", alpha, error, alpha.fraction - spread, sign="-")
    high = _end("quality.high", "alpha, upper end", alpha, error, alpha.fraction + spread, sign="+")
    return Quality(
        metrics=metrics,
        errors=(
            *(_error(ratio, metric, cells) for ratio, metric in zip(ratios, metrics, strict=True)),
            *(figure for column in columns for figure in _of_column(column, cells, counts)),
        ),
        error=error,
        alpha=alpha,
        low=low,
        high=high,
        used=_capped(alpha),
        used_low=_capped(low),
        used_high=_capped(high),
    )


def _columns(cells: Mapping[str, Estimate]) -> tuple[str, ...]:
    if "count(*)" not in cells:
        raise MissingKey("release.count(*)")
    filled = {key[7:-1] for key in cells if key.startswith("filled(")}
    valid = {key[6:-1] for key in cells if key.startswith("valid(")}
    # a column with one of its two counts would let an owner leave out the worse half
    for column in sorted(filled ^ valid):
        raise MissingKey(f"release.{'filled' if column in valid else 'valid'}({column})")
    if not filled:
        raise MissingKey("release.filled(column)")
    return tuple(sorted(filled))


def _taken(repeated: Repeats | None, columns: int) -> Side:
    """What takes the repeats out of a sum over the columns: nothing where there are none."""
    if repeated is None or repeated.surplus.fraction == 0:
        return {}
    return {ROWS: Fraction(-columns), PEOPLE: columns * repeated.grain.fraction}


def _plus(side: Side, more: Side) -> Side:
    """Add two sums cell by cell; a cell whose factors cancel is gone."""
    both = {key: side.get(key, Fraction(0)) + more.get(key, Fraction(0)) for key in {**side, **more}}
    return {key: factor for key, factor in both.items() if factor != 0}


def _shares(weights: Mapping[str, Decimal], metrics: list[str]) -> dict[str, Fraction]:
    for metric in metrics:
        if metric not in weights:
            raise MissingKey(f"weights.{metric}")
        within(number_of(weights[metric], f"weights.{metric}"), f"weights.{metric}", low=0)
    total = sum((Fraction(weights[metric]) for metric in metrics), Fraction(0))
    if total == 0 or set(weights) != set(metrics):
        raise OutOfRange("weights", f"weights of {', '.join(metrics)} whose sum is above 0")
    return {metric: Fraction(weights[metric]) / total for metric in metrics}


def _cells_of(ratios: tuple[Ratio, ...]) -> list[str]:
    return sorted({cell for ratio in ratios for cell in (*ratio.over, *ratio.under)})


def _sum(side: Side, cells: Mapping[str, Estimate]) -> Fraction:
    return sum((factor * cells[key].value for key, factor in side.items()), Fraction(0))


def _stands_out(side: Side, cells: Mapping[str, Estimate]) -> bool:
    total = _sum(side, cells)
    variance = sum((cells[key].variance * factor**2 for key, factor in side.items()), Fraction(0))
    return total > 0 and total * total >= LEAST_SIGMAS**2 * variance


def _value(ratio: Ratio, cells: Mapping[str, Estimate]) -> Fraction:
    return _sum(ratio.over, cells) / _sum(ratio.under, cells)


def _gradient(ratio: Ratio, cells: Mapping[str, Estimate]) -> dict[str, Fraction]:
    """Derivative of ln(ratio) by each cell."""
    gradient: dict[str, Fraction] = {}
    for side, sign in ((ratio.over, 1), (ratio.under, -1)):
        total = _sum(side, cells)
        for key, factor in side.items():
            gradient[key] = gradient.get(key, Fraction(0)) + sign * factor / total
    return gradient


def _sum_text(side: Side) -> str:
    terms = [key if factor == 1 else f"{exact.spell(exact.written(factor))} * {key}" for key, factor in side.items()]
    return terms[0] if len(terms) == 1 else f"({' + '.join(terms)})"


def _metric(
    key: str,
    ratio: Ratio,
    cells: Mapping[str, Estimate],
    counts: Mapping[str, Traced],
    also: tuple[Traced, ...] = (),
) -> Traced:
    return derived(
        key,
        ratio.metric,
        _value(ratio, cells),
        unit="share",
        formula=f"{_sum_text(ratio.over)} / {_sum_text(ratio.under)}, not clipped",
        because=(*(counts[cell] for cell in sorted({*ratio.over, *ratio.under})), *also),
        source="GB/T 36344, ISO/IEC 25024: A / B",
    )


def _error(ratio: Ratio, value: Traced, cells: Mapping[str, Estimate]) -> Traced:
    variance = sum((cells[cell].variance * slope**2 for cell, slope in _gradient(ratio, cells).items()), Fraction(0))
    return derived(
        f"{value.key}.error",
        f"standard error of {value.label}",
        exact.root(variance) * value.fraction,
        unit="share",
        formula="metric * root(sum over counts of variance * (d ln metric / d count)^2)",
        because=(value,),
        source=_DELTA,
    )


def _of_column(column: str, cells: Mapping[str, Estimate], counts: Mapping[str, Traced]) -> tuple[Traced, ...]:
    """Standard errors, with the metrics under them, of one column; without a metric whose counts are too small.

    The pooled metric stands in that case: this one column is too thin, or too empty, to be told from zero.
    """
    figures = []
    for metric, over, under in (
        ("completeness", f"filled({column})", "count(*)"),
        ("validity", f"valid({column})", f"filled({column})"),
    ):
        ratio = Ratio(f"{metric} of {column}", {over: Fraction(1)}, {under: Fraction(1)})
        if _stands_out(ratio.over, cells) and _stands_out(ratio.under, cells):
            figures.append(_error(ratio, _metric(f"quality.{column}.{metric}", ratio, cells, counts), cells))
    return tuple(figures)


def _alpha(
    ratios: tuple[Ratio, ...],
    metrics: tuple[Traced, ...],
    shares: Mapping[str, Fraction],
    cells: Mapping[str, Estimate],
    counts: Mapping[str, Traced],
) -> tuple[Traced, Traced]:
    weights = tuple(
        derived(
            f"weight.{metric}",
            f"weight of {metric}",
            share,
            unit="share",
            formula="agreed, divided by the sum of weights",
            because=(),
            source="appraiser's parameter",
        )
        for metric, share in shares.items()
    )
    alpha = derived(
        "quality.alpha",
        "alpha, combined quality factor",
        geometric_mean({ratio.metric: metric.fraction for ratio, metric in zip(ratios, metrics, strict=True)}, shares),
        unit="share",
        formula="exp(sum of weight * ln(metric))",
        because=(*metrics, *weights),
        source="geometric mean of the metrics",
    )
    gradient: dict[str, Fraction] = {}
    for ratio in ratios:
        for cell, slope in _gradient(ratio, cells).items():
            gradient[cell] = gradient.get(cell, Fraction(0)) + shares[ratio.metric] * slope
    variance = sum((cells[cell].variance * slope**2 for cell, slope in gradient.items()), Fraction(0))
    error = derived(
        "quality.error",
        "standard error of alpha",
        alpha.fraction * exact.root(variance),
        unit="share",
        formula="alpha * root(sum over counts of variance * (sum over metrics of weight * d ln metric / d count)^2)",
        because=(alpha, *(counts[cell] for cell in sorted(gradient))),
        source=_DELTA,
    )
    return alpha, error


def _end(key: str, label: str, alpha: Traced, error: Traced, value: Fraction, *, sign: str) -> Traced:
    return derived(
        key,
        label,
        value,
        unit="share",
        formula=f"alpha {sign} {Z95} * standard error of alpha, not clipped",
        because=(alpha, error),
        source="normal approximation, two-sided 95 %",
    )


def _capped(figure: Traced) -> Traced:
    return derived(
        f"{figure.key}.used",
        f"{figure.label}, as used in the price",
        min(figure.fraction, Fraction(1)),
        unit="share",
        formula="min(as measured, 1)",
        because=(figure,),
        source="a share cannot exceed 1; capped here and nowhere else",
    )
