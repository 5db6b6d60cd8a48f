"""Draws of a conclusion, all at once and in double precision, to equal bits on every machine.

How they are made. The shares drawn for a name (that of a driver, or of the noise of the counts) are the output of SHAKE-256
on the seed and the name, eight bytes for a draw, of which 52 bits count. So a draw depends on seed, name and number alone,
not on how many draws or which other names there are. A driver's spread makes its share into a factor; the normal
distribution makes the other share into standard errors. The values at those factors are the formulas of
:class:`valuation.sensitivity.Model` in double precision, element by element (:mod:`valuation.doubles` says why the bits are equal everywhere).
Sums over draws are exact before they are rounded once.

A figure made of draws is written to 12 significant digits; its standard error is far larger than their last. The
conclusion itself, its interval by the evidence, tornado, scenarios and break-even stay exact: they do not pass through here.
"""

import hashlib
from collections.abc import Iterable, Mapping
from fractions import Fraction
from math import ceil, fsum, sqrt
from typing import NamedTuple

import numpy as np

from valuation.correlation import mixing
from valuation.doubles import Row, halvings, normal_quantile, normal_share
from valuation.earnings import IncomeFacts
from valuation.income import MID_YEAR, charges, incomes
from valuation.judgement import DRIVERS, Judgement, Shape, Spread
from valuation.sensitivity import Model

NOISE = "noise of the counts"
"""Name under which the noise of the evidence is drawn."""

_LEAST_SHARE = 2.0**-53

DIGITS = 12
"""Significant digits of a figure made of draws."""


class Drawn(NamedTuple):
    """What the draws say: mean factor by driver, standard deviation by approach; mean, its error, percentiles of the conclusion.

    ``percentiles`` by share: the smallest draw that this share of the draws do not exceed.
    """

    factors: Mapping[str, Fraction]
    deviations: Mapping[str, Fraction]
    mean: Fraction
    error: Fraction
    percentiles: Mapping[Fraction, Fraction]


def draw(model: Model, judgement: Judgement, *, at: Iterable[Fraction]) -> Drawn:
    """Draw every driver that has a spread, as they correlate, and the noise of the counts apart; value each draw."""
    count = judgement.draws
    drawn = together(judgement, {one.driver: shares(judgement.seed, one.driver, count) for one in judgement.spreads})
    factors = {one.driver: factors_of(one, drawn[one.driver]) for one in judgement.spreads}
    values = values_at(model, factors, normal_quantile(shares(judgement.seed, NOISE, count)))
    conclusions = np.zeros(count)
    for approach, row in values.items():
        conclusions = conclusions + float(model.weights[approach]) * row
    mean, deviation = _moments(conclusions)
    ordered = np.sort(conclusions)
    return Drawn(
        factors={driver: _told(_moments(row)[0]) for driver, row in factors.items()},
        deviations={approach: _told(_moments(row)[1]) for approach, row in values.items()},
        mean=_told(mean),
        error=_told(deviation / sqrt(count)),
        percentiles={share: _told(float(ordered[ceil(share * count) - 1])) for share in at},
    )


def shares(seed: str, name: str, count: int) -> Row:
    """The first ``count`` shares of ``name``, each one of the 2^52 odd multiples of 2^-53 in (0, 1)."""
    text = f"{len(seed)}:{seed}/{name}"
    stream = hashlib.shake_256(text.encode("utf-8")).digest(8 * count)
    whole = np.frombuffer(stream, dtype=">u8").astype(np.uint64) >> np.uint64(12)
    return (2.0 * whole.astype(np.float64) + 1.0) * 2.0**-53


def together(judgement: Judgement, apart: Mapping[str, Row]) -> Mapping[str, Row]:
    """Make shares drawn apart follow the correlations: their normal scores are mixed, and made shares again.

    A driver that nothing is correlated with keeps its shares to the bit.
    """
    tied = {driver for one in judgement.correlations for driver in one.drivers}
    names = [driver for driver in apart if driver in tied]
    scores = [normal_quantile(apart[name]) for name in names]
    mixed = {}
    for name, row in zip(names, mixing(judgement.correlations, names), strict=True):
        score = np.zeros(judgement.draws)
        for weight, other in zip(row, scores, strict=False):
            score = score + float(weight) * other
        mixed[name] = np.clip(normal_share(score), _LEAST_SHARE, 1.0 - _LEAST_SHARE)
    return {**apart, **mixed}


def factors_of(spread: Spread, drawn: Row) -> Row:
    """The factors that the shares ``drawn`` of the distribution stay below."""
    low, high = float(spread.low), float(spread.high)
    width = high - low
    if spread.shape is Shape.UNIFORM:
        return np.minimum(low + drawn * width, high)
    rising = low + np.sqrt(drawn * width * (1.0 - low))
    falling = high - np.sqrt((1.0 - drawn) * width * (high - 1.0))
    return np.where(drawn * width <= 1.0 - low, rising, falling)


def values_at(model: Model, factors: dict[str, Row], noise: Row) -> dict[str, Row]:
    """Value by approach at each draw's factors, and at ``noise`` standard errors of the measured counts.

    The formulas of ``model.values``, in double precision; a driver without factors stays at 1.
    """
    shift = dict.fromkeys(DRIVERS, np.ones_like(noise)) | factors
    alpha = np.minimum(float(model.alpha) + noise * float(model.error), 1.0)
    cost = float(model.indications["cost"].central.fraction) * shift["cost"]
    if model.by_quality:
        cost = cost * (alpha / float(model.used)) * shift["quality"]
    values = {"cost": cost}
    if model.stated is not None:
        there = np.minimum(alpha / float(model.stated.quality_assumed), 1.0)
        values["income"] = _income(model.stated, model.years, there, shift)
    if "market" in model.indications:
        rows = (1.0 + noise * float(model.rows_error)) * shift["quality"]
        values["market"] = float(model.indications["market"].central.fraction) * shift["market"] * rows
    return {approach: np.maximum(row, 0.0) for approach, row in values.items()}


def _income(stated: IncomeFacts, years: int, there: Row, shift: dict[str, Row]) -> Row:
    """Value of the income at each draw: :func:`valuation.income.worth` in double precision."""
    level = there * shift["quality"] * shift["level"]
    step = 1.0 / (1.0 + float(stated.rate.total) * shift["rate"])
    keep, charge = float(1 - Fraction(stated.tax.value)), float(charges(stated))
    upkeep = float(stated.fade.upkeep.fraction) * keep * shift["upkeep"]
    left = halvings(1.0 / (float(stated.fade.half_life) * shift["half_life"]))
    survival = (1.0 + left) / 2.0
    factor = np.sqrt(1.0 / step) if stated.method in MID_YEAR else np.ones_like(step)
    value = best = np.zeros_like(step)
    # the income of a year is a line in the level: what it is at level 0, and what level 1 adds
    bare, full = incomes(stated, Fraction(0)), incomes(stated, Fraction(1))
    growth, swell = Fraction(1), 1 + Fraction(stated.fade.growth)
    for start, whole in zip(bare[:years], full[:years], strict=True):
        income = float(start) + float(whole - start) * level
        factor = factor * step
        value = value + factor * (survival * (income * keep * float(growth) - charge) - upkeep)
        best = np.maximum(best, value)
        survival, growth = survival * left, growth * swell
    return best * _benefit(stated.claim.tab_years, step, 1.0 - keep)


def _benefit(years: int, step: Row, tax: float) -> Row:
    """The tax amortisation benefit, mid-year; 1 for none."""
    if not years:
        return np.ones_like(step)
    annuity = term = np.sqrt(step)
    for _ in range(1, years):
        term = term * step
        annuity = annuity + term
    return years / (years - tax * annuity)


def _moments(row: Row) -> tuple[float, float]:
    """Mean and standard deviation of draws; a deviation of exactly 0 where nothing moves them."""
    start = float(row[0])
    mean = start + fsum((row - start).tolist()) / len(row)
    off = row - mean
    return mean, sqrt(fsum((off * off).tolist()) / (len(row) - 1))


def _told(value: float) -> Fraction:
    """A number made of draws as a figure states it."""
    return Fraction(f"{value:.{DIGITS - 1}e}")
