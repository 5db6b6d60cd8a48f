"""Exact arithmetic inside, one fixed precision where a result must be written down.

Methods compute in ``Fraction``, so every comparison, floor and tie is decided exactly. A figure is written as a
``Decimal`` of 34 significant digits (IEEE 754 decimal128), half-even, and so is a square root. Results are equal on every
platform and in every thread, because no operation here reads the thread's own decimal context. Other real functions are in
:mod:`valuation.desk.reals`, with more digits.
"""

import re
from decimal import ROUND_HALF_EVEN, Context, Decimal, DivisionByZero, InvalidOperation, Overflow
from fractions import Fraction

DIGITS = 34
"""Significant digits of a written figure."""

MAX_DIGITS = 60
"""Significant digits that a foreign number may have."""

MAX_MAGNITUDE = 30
"""A foreign number that is not 0 lies between ``10**-30`` and ``10**31`` in magnitude."""

_CONTEXT = Context(prec=DIGITS, rounding=ROUND_HALF_EVEN, traps=[DivisionByZero, InvalidOperation, Overflow])
_PLAIN = re.compile(r"-?(?:0|[1-9][0-9]{0,79})(?:\.[0-9]{1,80})?", re.ASCII)


def is_tame(value: Decimal) -> bool:
    """Whether ``value`` is finite, of at most 60 significant digits and of ordinary magnitude."""
    if not value.is_finite():
        return False
    digits = len(value.as_tuple().digits)
    return digits <= MAX_DIGITS and (value.is_zero() or abs(value.adjusted()) <= MAX_MAGNITUDE)


def read(text: str) -> Decimal | None:
    """Parse plain decimal notation such as ``-1280000.50``; ``None`` for exponents, signs, spaces or endless digits."""
    if len(text) > MAX_DIGITS + MAX_MAGNITUDE or not _PLAIN.fullmatch(text):
        return None
    value = Decimal(text)
    return value if is_tame(value) else None


def spell(value: Decimal) -> str:
    """Write ``value`` in the one canonical notation: no exponent, no trailing zeros, no negative zero."""
    if value.is_zero():
        return "0"
    text = format(value, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def written(value: Fraction) -> Decimal:
    """Round an exact number to 34 significant digits, half-even: the only rounding a figure undergoes."""
    return _CONTEXT.divide(Decimal(value.numerator), Decimal(value.denominator))


def root(value: Fraction) -> Fraction:
    """Square root of ``value >= 0`` to 34 significant digits."""
    return Fraction(_CONTEXT.sqrt(written(value)))


def percent(value: Fraction | Decimal) -> str:
    """Show a share as a percentage with one decimal, half-even; for sentences, never for arithmetic."""
    tenths = round(Fraction(value) * 1000)
    sign, tenths = ("-" if tenths < 0 else ""), abs(tenths)
    return f"{sign}{tenths // 10}.{tenths % 10} %"
