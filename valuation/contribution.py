"""From contributions to money: shares of a pool, clipped and not, to the cent, with the interval of what they were measured by.

A contribution phi is what an institution adds to a pool by some game (:mod:`valuation.utilities`,
:mod:`valuation.coverage`), linear in measured amounts whose noises are independent. Its share is phi over the sum, a
negative one counting as 0; what it would be unclipped stands beside it. Money is the pool's value times the share, in whole
cents: rounded down, and the cents left over go to the largest remainders, ties to the first by name, so that it adds up to the pool.
Errors follow by the delta method. Source: Shapley 1953; Hamilton's method for the cents.
"""

from collections.abc import Sequence
from decimal import Decimal
from fractions import Fraction
from math import ceil, floor
from typing import NamedTuple

from valuation import desk
from valuation.cost import Remark
from valuation.desk.reals import root, total
from valuation.errors import OutOfRange, Swamped
from valuation.money import Money
from valuation.quality import LEAST_SIGMAS
from valuation.trace import Traced, derived

SOURCE = "efficiency scaling of a cooperative game's value"

CENTS = 100
_ZERO = Fraction(0)


class Noise(NamedTuple):
    """One independent noise: its variance, and how far it moves each contribution, in order of institutions."""

    variance: Fraction
    moves: tuple[Fraction, ...]


class Contributions(NamedTuple):
    """What a game says: a contribution for each institution in order of name, and the noises that they carry.

    ``quantile``: standard errors in half of a 95 % interval. ``others`` are figures that check the game.
    """

    parties: tuple[str, ...]
    phi: tuple[Traced, ...]
    noises: tuple[Noise, ...]
    quantile: Decimal
    others: tuple[Traced, ...]
    remarks: tuple[Remark, ...]


class Shared(NamedTuple):
    """A pool's value shared out: the money of each institution with its interval, and every other figure to be published."""

    money: tuple[Traced, ...]
    intervals: tuple[tuple[Traced, Traced], ...]
    others: tuple[Traced, ...]
    remarks: tuple[Remark, ...]


def clipped(phi: Sequence[Fraction]) -> list[Fraction]:
    """Each contribution's share of the sum, negative ones counting as 0; at least one is above 0."""
    kept = [max(one, _ZERO) for one in phi]
    whole = total(kept)
    return [one / whole for one in kept]


def in_cents(value: Fraction, shares: Sequence[Fraction]) -> list[int]:
    """Split a value of whole cents by shares that add up to 1: rounded down, what is left to the largest remainders."""
    exact = [value * CENTS * share for share in shares]
    found = [floor(one) for one in exact]
    left = int(value * CENTS) - sum(found)
    # sorting is stable: equal remainders keep the order of institutions
    for place in sorted(range(len(exact)), key=lambda one: found[one] - exact[one])[:left]:
        found[place] += 1
    return found


def share_out(pool: Traced, told: Contributions) -> Shared:
    """Share the value of ``pool``, money in whole cents, by the contributions.

    Raises:
        OutOfRange: if the contributions do not add up to more than 0. Swamped: if their sum does not stand out of its noise.
    """
    phi = [figure.fraction for figure in told.phi]
    whole = total(phi)
    if whole <= 0:
        raise OutOfRange("inputs.game", "games whose contributions add up to more than 0")
    if whole**2 < LEAST_SIGMAS**2 * total(noise.variance * total(noise.moves) ** 2 for noise in told.noises):
        raise Swamped("the contributions together")
    currency, value = pool.money.currency, pool.fraction
    shares = clipped(phi)
    proportional = desk.find("value_allocation").figures({"pool_value": value, "phi": phi})["proportional"]
    errors = _errors(told)
    off = _share_errors(phi, shares, told)
    money, intervals, others = [], [], [_sum(told)]
    for place, (party, cents) in enumerate(zip(told.parties, in_cents(value, shares), strict=True)):
        contribution, quantile = told.phi[place], Fraction(told.quantile)
        share = derived(
            f"share.{party}",
            f"share of {party}",
            shares[place],
            unit="share",
            formula="contribution, 0 if negative, over the sum of those",
            because=told.phi,
            source=SOURCE,
        )
        error = _error(f"phi.{party}", f"contribution of {party}", contribution.unit, errors[place], told.phi)
        share_error = _error(f"share.{party}", f"share of {party}", "share", off[place], told.phi)
        unclipped = derived(
            f"unclipped.{party}",
            f"value of {party}, negative contributions kept",
            Money.of(proportional[place], currency),
            formula="value of the pool * contribution / sum of contributions",
            because=(pool, *told.phi),
            source=desk.find("value_allocation").source,
        )
        part = derived(
            f"money.{party}",
            f"value of {party}",
            Money.of(Fraction(cents, CENTS), currency),
            formula="value of the pool * share, down to the cent; cents left over to the largest remainders",
            because=(pool, share),
            source=SOURCE,
        )
        middle, width = value * shares[place], value * off[place] * quantile
        if shares[place] == 0:  # what clipping hides: how far above 0 the contribution may lie
            width = value * max(phi[place] + errors[place] * quantile, _ZERO) / whole
        low = Fraction(floor(max(middle - width, _ZERO) * CENTS), CENTS)
        high = Fraction(ceil(min(middle + width, value) * CENTS), CENTS)
        ends = (("low", "lower", low), ("high", "upper", high))
        because = (pool, share, share_error, error)
        interval = tuple(
            derived(
                f"money.{party}.{end}",
                f"value of {party}, {word} end",
                Money.of(amount, currency),
                formula=f"value of the pool * (share {sign} {told.quantile} * its standard error), to the cent outwards",
                because=because,
                source="delta method over the independent noises, two-sided 95 %",
            )
            for (end, word, amount), sign in zip(ends, "-+", strict=True)
        )
        money.append(part)
        intervals.append((interval[0], interval[1]))
        others += [unclipped]
    return Shared(tuple(money), tuple(intervals), (*others, *told.others), (*told.remarks, *_remarks(told)))


def _sum(told: Contributions) -> Traced:
    return derived(
        "phi.sum",
        "sum of the contributions",
        total(figure.fraction for figure in told.phi),
        unit=told.phi[0].unit,
        formula="sum of contributions",
        because=told.phi,
        source=SOURCE,
    )


def _error(key: str, label: str, unit: str, value: Fraction, because: tuple[Traced, ...]) -> Traced:
    return derived(
        f"{key}.error",
        f"standard error of the {label}",
        value,
        unit=unit,
        formula="root of the sum over noises of variance * (how far the noise moves it)^2",
        because=because,
        source="linearity of the contributions; delta method for shares",
    )


def _errors(told: Contributions) -> list[Fraction]:
    """Standard error of each contribution, exact up to the root: contributions are linear."""
    places = range(len(told.phi))
    return [root(total(noise.variance * noise.moves[place] ** 2 for noise in told.noises)) for place in places]


def _share_errors(phi: Sequence[Fraction], shares: Sequence[Fraction], told: Contributions) -> list[Fraction]:
    """Standard error of each share: d share_i = (d phi_i - share_i * sum of d phi_j) / sum of phi_j, over those not clipped."""
    kept = [place for place, one in enumerate(phi) if one > 0]
    whole = total(phi[place] for place in kept)
    variances = [_ZERO] * len(phi)
    for noise in told.noises:
        moved = total(noise.moves[place] for place in kept)
        for place in kept:
            variances[place] += noise.variance * (noise.moves[place] - shares[place] * moved) ** 2
    return [root(variance) / whole for variance in variances]


def _remarks(told: Contributions) -> list[Remark]:
    return [
        Remark("negative-contribution", f"{party} contributes less than nothing; its share is 0, the others' are rescaled")
        for party, figure in zip(told.parties, told.phi, strict=True)
        if figure.fraction < 0
    ]  # fmt: skip
