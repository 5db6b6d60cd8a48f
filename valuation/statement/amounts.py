"""Amounts and shares as a committee reads them: at most three significant digits; full digits stand in the annex.

A range is shown so that it holds the exact one, a ceiling of a loan so that it never exceeds the exact one.
"""

from decimal import ROUND_CEILING, ROUND_FLOOR, ROUND_HALF_EVEN, Context, Decimal
from typing import Final

from valuation.statement.words import Text

NEAREST: Final = ROUND_HALF_EVEN
DOWN: Final = ROUND_FLOOR
UP: Final = ROUND_CEILING

DIGITS = 3
"""Significant digits on the summary page and in pictures."""

_LARGE_EN = ((9, "billion"), (6, "million"))
_LARGE_ZH = ((8, "亿"), (4, "万"))


def significant(value: Decimal, rounding: str = NEAREST) -> Decimal:
    """``value`` to three significant digits."""
    return Context(prec=DIGITS, rounding=rounding).plus(value)


def money(value: Decimal, currency: str, rounding: str = NEAREST) -> Text:
    """An amount to three significant digits, e.g. ``2.73 million CNY`` and ``273 万元``."""
    short = significant(value, rounding)
    english, chinese = _scaled(short, _LARGE_EN), _scaled(short, _LARGE_ZH)
    if currency == "CNY":
        return Text(f"{english} CNY", f"{chinese}元" if chinese[-1] in "万亿" else f"{chinese} 元")
    return Text(f"{english} {currency}", f"{chinese} {currency}")


def number(value: Decimal) -> str:
    """A figure that is no amount, to three significant digits."""
    return _plain(significant(value))


def share(value: Decimal) -> str:
    """A share as a percentage, to three significant digits."""
    return f"{_plain(significant(value * 100))} %"


def _scaled(value: Decimal, units: tuple[tuple[int, str], ...]) -> str:
    for exponent, name in units:
        if value.copy_abs() >= Decimal(10) ** exponent:
            return f"{_plain(value.scaleb(-exponent))} {name}"
    return _plain(value)


def _plain(value: Decimal) -> str:
    """Plain notation, grouped, no zeros after the last digit that counts."""
    if value.is_zero():
        return "0"
    text = f"{value:,f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
