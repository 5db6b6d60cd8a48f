"""Cash in whole cents: what is paid, split and kept adds up exactly, whatever the shares."""

from collections.abc import Sequence
from decimal import Decimal
from fractions import Fraction

from valuation import exact
from valuation.errors import OutOfRange
from valuation.money import Money

PER_UNIT = 100


def cents_of(amount: Money, path: str) -> int:
    """An amount as whole cents, at least 0.

    Raises:
        OutOfRange: naming the key, if it is negative or finer than a cent.
    """
    cents = amount.fraction * PER_UNIT
    if cents < 0 or cents.denominator != 1:
        raise OutOfRange(path, "amounts of at least 0 in whole cents")
    return cents.numerator


def money_of(cents: int, currency: str) -> Money:
    """Whole cents as money."""
    return Money(Decimal(cents).scaleb(-2), currency)


def spelled(cents: int) -> str:
    """Whole cents as decimal text of the currency's unit, e.g. ``12.5``."""
    return exact.spell(Decimal(cents).scaleb(-2))


def split(total: int, weights: Sequence[Fraction | int]) -> tuple[int, ...]:
    """Split ``total >= 0`` cents in proportion to ``weights >= 0``, whose sum is above 0, by largest remainder.

    The parts add up to the total; each is less than a cent off its exact share; equal remainders favour the earlier.
    """
    whole = sum(weights, Fraction(0))
    shares = [total * Fraction(weight) / whole for weight in weights]
    parts = [int(share) for share in shares]
    order = sorted(range(len(parts)), key=lambda place: (parts[place] - shares[place], place))
    for place in order[: total - sum(parts)]:
        parts[place] += 1
    return tuple(parts)
