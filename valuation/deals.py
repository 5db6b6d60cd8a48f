"""Comparable deals: dated prices of other data assets, and how each differs from the one that is valued."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from fractions import Fraction
from math import prod
from typing import Any

from valuation import exact
from valuation.asset import Citation
from valuation.errors import OutOfRange
from valuation.intake import Record, within
from valuation.money import Money

LEAST_DEALS = 3
"""Fewer comparables make no market."""

LOWEST, HIGHEST = Fraction("0.33"), Fraction(3)
"""A deal whose adjustments multiply to less or more is no comparable."""


@dataclass(frozen=True, slots=True)
class Adjustment:
    """One named factor in [0.2, 5] that brings a deal's price to the subject, and the reason."""

    name: str
    factor: Decimal
    reason: str

    def to_json(self) -> dict[str, Any]:
        """Return the canonical JSON object."""
        return {"name": self.name, "factor": exact.spell(self.factor), "reason": self.reason}

    @classmethod
    def from_json(cls, document: Any, path: str) -> "Adjustment":
        """Parse; raises a typed error that names the key."""
        record = Record(document, path, "name factor reason")
        factor = within(record.decimal("factor"), record.path("factor"), low=Decimal("0.2"), high=5)
        return cls(record.text("name"), factor, record.text("reason"))


@dataclass(frozen=True, slots=True)
class Deal:
    """A sale on the day ``on``. ``rows``: effective rows sold, i.e. valid in every column that the standard requires.

    ``dissimilarity`` >= 0 is the distance to the subject by which the deal counts less.
    """

    name: str
    on: date
    price: Money
    rows: Decimal
    adjustments: tuple[Adjustment, ...]
    dissimilarity: Decimal
    cited: Citation

    @property
    def factor(self) -> Fraction:
        """Product of the adjustments."""
        return prod((Fraction(one.factor) for one in self.adjustments), start=Fraction(1))

    def to_json(self) -> dict[str, Any]:
        """Return the canonical JSON object."""
        return {
            "name": self.name,
            "on": self.on.isoformat(),
            "price": self.price.to_json(),
            "rows": exact.spell(self.rows),
            "adjustments": [one.to_json() for one in self.adjustments],
            "dissimilarity": exact.spell(self.dissimilarity),
            "cited": self.cited.to_json(),
        }

    @classmethod
    def from_json(cls, document: Any, path: str) -> "Deal":
        """Parse; raises a typed error that names the key."""
        record = Record(document, path, "name on price rows adjustments dissimilarity cited")
        price = record.money("price")
        within(price.amount, record.path("price"), above=0)
        deal = cls(
            name=record.text("name"),
            on=record.day("on"),
            price=price,
            rows=within(record.decimal("rows"), record.path("rows"), above=0),
            adjustments=tuple(Adjustment.from_json(item, where) for where, item in record.items("adjustments")),
            dissimilarity=within(record.decimal("dissimilarity"), record.path("dissimilarity"), low=0),
            cited=Citation.from_json(record.raw("cited"), record.path("cited")),
        )
        if not LOWEST <= deal.factor <= HIGHEST:
            raise OutOfRange(record.path("adjustments"), "adjustments that multiply to a factor in [0.33, 3]")
        return deal


@dataclass(frozen=True, slots=True)
class MarketFacts:
    """Everything the market approach may use: at least three deals with names of their own."""

    deals: tuple[Deal, ...]

    @property
    def amounts(self) -> tuple[Money, ...]:
        """Every amount of money in these facts."""
        return tuple(deal.price for deal in self.deals)

    @property
    def dates(self) -> Iterator[tuple[str, date]]:
        """The date of every deal and source, by the path of its key within the facts."""
        for index, deal in enumerate(self.deals):
            yield f"market.deals[{index}].on", deal.on
            yield f"market.deals[{index}].cited.on", deal.cited.on

    def to_json(self) -> dict[str, Any]:
        """Return the canonical JSON object."""
        return {"deals": [deal.to_json() for deal in self.deals]}

    @classmethod
    def from_json(cls, document: Any, path: str) -> "MarketFacts":
        """Parse; raises a typed error that names the key."""
        record = Record(document, path, "deals")
        deals = tuple(Deal.from_json(item, where) for where, item in record.items("deals", least=LEAST_DEALS))
        if len({deal.name for deal in deals}) != len(deals):
            raise OutOfRange(record.path("deals"), "deals with names of their own")
        return cls(deals)
