"""Inputs of a product as traced figures, each with its source; a source dated after the day of the calculation is refused."""

from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any

from valuation.asset import Citation
from valuation.errors import CurrencyMismatch, OutOfRange
from valuation.finance.cents import cents_of
from valuation.intake import Record, within
from valuation.money import Money, check_currency
from valuation.trace import Traced, given

PER_YEAR = (1, 2, 4, 12)
"""Periods a year that a structure may have."""

MOST_PERIODS = 120


@dataclass(frozen=True, slots=True)
class Frame:
    """What every input of one document shares: the day of the calculation and the currency."""

    on: date
    currency: str

    @classmethod
    def of(cls, record: Record) -> "Frame":
        """Read the keys ``on`` and ``currency``; raises a typed error that names the key."""
        return cls(record.day("on"), check_currency(record.text("currency"), key=record.path("currency")))

    def cited(self, record: Record, key: str = "cited") -> Citation:
        """Read a source.

        Raises:
            OutOfRange: naming the key, if it is dated after the day of the calculation.
        """
        citation = Citation.from_json(record.raw(key), record.path(key))
        if citation.on > self.on:
            raise OutOfRange(f"{record.path(key)}.on", "dates up to the day of the calculation")
        return citation

    def cents(self, record: Record, key: str) -> int:
        """Read an amount in the document's currency as whole cents.

        Raises:
            CurrencyMismatch: if it is in another one. OutOfRange: if it is negative or finer than a cent.
        """
        return cents_of(self.money(record, key), record.path(key))

    def money(self, record: Record, key: str) -> Money:
        """Read an amount in the document's currency.

        Raises:
            CurrencyMismatch: if it is in another one.
        """
        amount = record.money(key)
        if amount.currency != self.currency:
            raise CurrencyMismatch(self.currency, amount.currency)
        return amount

    def amount(self, record: Record, key: str, *, name: str, label: str) -> Traced:
        """Read ``{"amount": ..., "cited": ...}``, an amount of whole cents, as the figure ``name``."""
        inner = Record(record.raw(key), record.path(key), "amount cited")
        self.cents(inner, "amount")
        return stated(name, label, self.money(inner, "amount"), self.cited(inner))

    def number(
        self,
        record: Record,
        key: str,
        *,
        name: str,
        label: str,
        unit: str,
        above: Decimal | int | None = None,
        low: Decimal | int | None = None,
        below: Decimal | int | None = None,
        high: Decimal | int | None = None,
    ) -> Traced:
        """Read ``{"value": ..., "cited": ...}`` in its range as the figure ``name``."""
        inner = Record(record.raw(key), record.path(key), "value cited")
        value = within(inner.decimal("value"), inner.path("value"), above=above, low=low, below=below, high=high)
        return stated(name, label, value, self.cited(inner), unit=unit)


def stated(name: str, label: str, value: Money | Decimal | int, citation: Citation, *, unit: str = "") -> Traced:
    """The figure of a value that a document states."""
    return given(name, label, value, unit=unit, source=str(citation), evidence=citation.document)


def per_year(record: Record) -> int:
    """Read the key ``per_year``: how many periods a year has.

    Raises:
        OutOfRange: naming the key.
    """
    count = record.integer("per_year", low=1, high=12)
    if count not in PER_YEAR:
        raise OutOfRange(record.path("per_year"), "{1, 2, 4, 12}")
    return count


def texts(record: Record, keys: str) -> dict[str, str]:
    """Read several short texts, such as the names of the parties."""
    return {key: record.text(key) for key in keys.split()}


def names_once(names: list[str], path: str) -> None:
    """Refuse a list in which a name occurs twice.

    Raises:
        OutOfRange: naming the key.
    """
    if len(set(names)) != len(names):
        raise OutOfRange(path, "lists in which nothing occurs twice")


def choice(record: Record, key: str, allowed: tuple[str, ...]) -> str:
    """Read one of a few words.

    Raises:
        OutOfRange: naming the key and what is allowed.
    """
    word: Any = record.raw(key)
    if word not in allowed:
        raise OutOfRange(record.path(key), "{" + ", ".join(allowed) + "}")
    return str(word)
