"""Money: an exact decimal amount in one currency. Rounded only where it is shown, or where a ceiling is set."""

import re
from dataclasses import dataclass
from decimal import ROUND_FLOOR, ROUND_HALF_EVEN, Context, Decimal, Inexact, InvalidOperation, Overflow
from fractions import Fraction
from typing import Any

from valuation import exact
from valuation.errors import CurrencyMismatch, OutOfRange, WrongType

_CURRENCY = re.compile(r"[A-Z]{3}", re.ASCII)
_TEXT = re.compile(r"(-?(?:[0-9]+|[0-9]{1,3}(?:,[0-9]{3})+)(?:\.[0-9]+)?) ([A-Z]{3})", re.ASCII)
_RANGE = f"{exact.MAX_DIGITS} significant digits below 10^{exact.MAX_MAGNITUDE + 1}"
# sums and products of two amounts need fewer than 200 digits: an inexact result would be a defect, so it is trapped
_WIDE = Context(prec=200, traps=[Inexact, InvalidOperation, Overflow])
_ROUNDING = Context(prec=200, traps=[InvalidOperation, Overflow])


def check_currency(code: Any, *, key: str = "currency") -> str:
    """Return ``code`` if it is spelled like an ISO 4217 code, e.g. ``CNY``.

    Raises:
        WrongType: naming ``key``.
    """
    if not isinstance(code, str) or not _CURRENCY.fullmatch(code):
        raise WrongType(key, "a currency code of three capital letters")
    return code


@dataclass(frozen=True, slots=True)
class Money:
    """``amount`` units of ``currency`` (yuan, not fen), exact; at most 60 significant digits.

    Sums and products with a ``Decimal`` or an integer are exact or refused; a ratio is a ``Fraction``. A product with a
    ``Fraction`` need not have a finite decimal form and is written to 34 significant digits, half-even.
    """

    amount: Decimal
    currency: str

    def __post_init__(self) -> None:
        if not isinstance(self.amount, Decimal):
            raise WrongType("amount", "a decimal number")
        check_currency(self.currency)
        if not exact.is_tame(self.amount):
            raise OutOfRange("amount", f"finite decimal numbers of at most {_RANGE}")
        # one spelling of a value, so that equal money hashes and prints equally (1.50 and 1.5, 0 and -0)
        object.__setattr__(self, "amount", Decimal(exact.spell(self.amount)))

    @classmethod
    def of(cls, value: Fraction, currency: str) -> "Money":
        """Write an exact number as money, to 34 significant digits, half-even."""
        return cls(exact.written(value), currency)

    @classmethod
    def parse(cls, text: str) -> "Money":
        """Read ``1280000.50 CNY``, thousands optionally grouped by commas.

        Raises:
            WrongType: if the text has another form.
        """
        match = _TEXT.fullmatch(text) if isinstance(text, str) and len(text) <= 200 else None
        value = exact.read(match[1].replace(",", "")) if match else None
        if match is None or value is None:
            raise WrongType("money", "an amount and a currency such as 1280000.50 CNY")
        return cls(value, match[2])

    @property
    def fraction(self) -> Fraction:
        """The amount as an exact rational."""
        return Fraction(self.amount)

    def __add__(self, other: "Money") -> "Money":
        self._same(other)
        return Money(_WIDE.add(self.amount, other.amount), self.currency)

    def __sub__(self, other: "Money") -> "Money":
        self._same(other)
        return Money(_WIDE.subtract(self.amount, other.amount), self.currency)

    def __neg__(self) -> "Money":
        return Money(self.amount.copy_negate(), self.currency)

    def __mul__(self, factor: Decimal | int | Fraction) -> "Money":
        if isinstance(factor, bool) or not isinstance(factor, Decimal | int | Fraction):
            raise WrongType("factor", "a decimal number, an integer or a fraction")
        if isinstance(factor, Fraction):
            return Money.of(self.fraction * factor, self.currency)
        if not exact.is_tame(Decimal(factor)):
            raise OutOfRange("factor", f"finite decimal numbers of at most {_RANGE}")
        return Money(_WIDE.multiply(self.amount, Decimal(factor)), self.currency)

    __rmul__ = __mul__

    def __truediv__(self, other: "Money") -> Fraction:
        self._same(other)
        if other.amount.is_zero():
            raise OutOfRange("divisor", "amounts other than 0")
        return self.fraction / other.fraction

    def __lt__(self, other: "Money") -> bool:
        self._same(other)
        return self.amount < other.amount

    def __le__(self, other: "Money") -> bool:
        self._same(other)
        return self.amount <= other.amount

    def __gt__(self, other: "Money") -> bool:
        return other < self

    def __ge__(self, other: "Money") -> bool:
        return other <= self

    def rounded(self, places: int = 2) -> "Money":
        """Round half-even to ``places`` decimals: for showing, never for arithmetic."""
        return Money(self._cut(places, ROUND_HALF_EVEN), self.currency)

    def floored(self, places: int = 0) -> "Money":
        """Round towards minus infinity to ``places`` decimals: how every ceiling of a loan is rounded."""
        return Money(self._cut(places, ROUND_FLOOR), self.currency)

    def shown(self, places: int = 2) -> str:
        """Text for a reader: rounded half-even, thousands grouped, e.g. ``1,280,000.50 CNY``."""
        return f"{self.rounded(places).amount:,.{places}f} {self.currency}"

    def __str__(self) -> str:
        return f"{exact.spell(self.amount)} {self.currency}"

    def to_json(self) -> dict[str, Any]:
        """Return the canonical JSON object: the amount as unrounded decimal text."""
        return {"amount": exact.spell(self.amount), "currency": self.currency}

    def _same(self, other: "Money") -> None:
        if not isinstance(other, Money):
            raise WrongType("money", "an amount with its currency")
        if other.currency != self.currency:
            raise CurrencyMismatch(self.currency, other.currency)

    def _cut(self, places: int, rounding: str) -> Decimal:
        return self.amount.quantize(Decimal(1).scaleb(-places, _ROUNDING), rounding, _ROUNDING)
