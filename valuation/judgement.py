"""What the appraiser judges, each with a reason: weights of the approaches, spreads of the drivers, scenarios.

A driver is a factor on what the facts state: 1 leaves it so, and every spread holds 1. Draws are a pure
function of the seed (:mod:`valuation.draws`).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from fractions import Fraction
from typing import Any

from valuation import exact
from valuation.correlation import Correlation, check
from valuation.errors import OutOfRange
from valuation.intake import Record, decimal_of, within

APPROACHES = ("cost", "income", "market")

DRIVERS: Mapping[str, tuple[str, ...]] = {
    "level": ("income",),
    "half_life": ("income",),
    "rate": ("income",),
    "upkeep": ("income",),
    "quality": ("cost", "income", "market"),
    "cost": ("cost",),
    "market": ("market",),
}
"""Each driver and the approaches that it moves."""

LEAST_DRAWS, MOST_DRAWS = 100, 100_000
FARTHEST = 20
"""Largest factor of a driver."""


class Shape(StrEnum):
    """Distribution of a driver's factor over [low, high]."""

    UNIFORM = "uniform"
    TRIANGULAR = "triangular"


@dataclass(frozen=True, slots=True)
class Weight:
    """Share of one approach in the conclusion, and why."""

    share: Decimal
    reason: str

    def to_json(self) -> dict[str, Any]:
        """Return the canonical JSON object."""
        return {"share": exact.spell(self.share), "reason": self.reason}


@dataclass(frozen=True, slots=True)
class Spread:
    """Distribution of one driver's factor, 0 < low <= 1 <= high; a triangular one has its peak at 1."""

    driver: str
    shape: Shape
    low: Decimal
    high: Decimal
    reason: str

    @property
    def mean(self) -> Fraction:
        """Exact mean."""
        low, high = Fraction(self.low), Fraction(self.high)
        return (low + high) / 2 if self.shape is Shape.UNIFORM else (low + high + 1) / 3

    @property
    def variance(self) -> Fraction:
        """Exact variance."""
        low, high = Fraction(self.low), Fraction(self.high)
        if self.shape is Shape.UNIFORM:
            return (high - low) ** 2 / 12
        return (low * low + high * high + 1 - low * high - low - high) / 18

    def to_json(self) -> dict[str, Any]:
        """Return the canonical JSON object."""
        return {
            "driver": self.driver,
            "shape": self.shape.value,
            "low": exact.spell(self.low),
            "high": exact.spell(self.high),
            "reason": self.reason,
        }

    @classmethod
    def from_json(cls, document: Any, path: str) -> "Spread":
        """Parse; raises a typed error that names the key."""
        record = Record(document, path, "driver shape low high reason")
        driver = record.text("driver")
        if driver not in DRIVERS:
            raise OutOfRange(record.path("driver"), "{" + ", ".join(DRIVERS) + "}")
        # what is measured has its own error; a surplus of quality earns nothing
        most = 1 if driver == "quality" else FARTHEST
        low = within(record.decimal("low"), record.path("low"), above=0, high=1)
        high = within(record.decimal("high"), record.path("high"), low=1, high=most)
        if low == high:
            raise OutOfRange(record.path("high"), "factors above low")
        return cls(driver, Shape(record.member(Shape, "shape")), low, high, record.text("reason"))


@dataclass(frozen=True, slots=True)
class Scenario:
    """A named state of the world: factors on drivers, and why it is looked at."""

    name: str
    reason: str
    factors: Mapping[str, Decimal]

    def to_json(self) -> dict[str, Any]:
        """Return the canonical JSON object."""
        factors = {driver: exact.spell(factor) for driver, factor in self.factors.items()}
        return {"name": self.name, "reason": self.reason, "factors": factors}

    @classmethod
    def from_json(cls, document: Any, path: str) -> "Scenario":
        """Parse; raises a typed error that names the key."""
        record = Record(document, path, "name reason factors")
        factors = {}
        for where, driver, value in record.entries("factors"):
            if driver not in DRIVERS:
                raise OutOfRange(record.path("factors"), "drivers of {" + ", ".join(DRIVERS) + "}")
            factors[driver] = within(
                decimal_of(value, where), where, above=0, high=1 if driver == "quality" else FARTHEST
            )
        return cls(record.text("name"), record.text("reason"), factors)


@dataclass(frozen=True, slots=True)
class Judgement:
    """How several approaches become one conclusion, and how far it may be off."""

    weights: Mapping[str, Weight]
    spreads: tuple[Spread, ...]
    scenarios: tuple[Scenario, ...]
    seed: str
    draws: int
    correlations: tuple[Correlation, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return the canonical JSON object."""
        return {
            "weights": {approach: weight.to_json() for approach, weight in self.weights.items()},
            "spreads": [spread.to_json() for spread in self.spreads],
            "scenarios": [scenario.to_json() for scenario in self.scenarios],
            "seed": self.seed,
            "draws": self.draws,
            **({"correlations": [one.to_json() for one in self.correlations]} if self.correlations else {}),
        }

    @classmethod
    def from_json(cls, document: Any, path: str = "judgement") -> "Judgement":
        """Parse; raises a typed error that names the key."""
        record = Record(document, path, "weights spreads scenarios seed draws", "correlations")
        inner = Record(record.raw("weights"), record.path("weights"), "", " ".join(APPROACHES))
        weights = {}
        for approach in APPROACHES:
            if inner.given(approach):
                one = Record(inner.raw(approach), inner.path(approach), "share reason")
                weights[approach] = Weight(
                    within(one.decimal("share"), one.path("share"), low=0, high=1), one.text("reason")
                )
        if sum((Fraction(weight.share) for weight in weights.values()), Fraction(0)) != 1:
            raise OutOfRange(record.path("weights"), "shares that add up to 1")
        spreads = tuple(Spread.from_json(item, where) for where, item in record.items("spreads"))
        scenarios = tuple(Scenario.from_json(item, where) for where, item in record.items("scenarios"))
        for key, names in (
            ("spreads", [one.driver for one in spreads]),
            ("scenarios", [one.name for one in scenarios]),
        ):
            if len(set(names)) != len(names):
                raise OutOfRange(record.path(key), "lists in which nothing occurs twice")
        for driver in {one.driver for one in spreads} | {name for one in scenarios for name in one.factors}:
            if not set(DRIVERS[driver]) & set(weights):
                raise OutOfRange(path, f"judgements about the approaches in it; {driver} moves none of them")
        correlations: tuple[Correlation, ...] = ()
        if "correlations" in document:
            listed = record.items("correlations", least=1)
            correlations = tuple(Correlation.from_json(item, where) for where, item in listed)
            check(correlations, [one.driver for one in spreads], record.path("correlations"))
        return cls(
            weights=weights,
            spreads=spreads,
            scenarios=scenarios,
            seed=record.text("seed"),
            draws=record.integer("draws", low=LEAST_DRAWS, high=MOST_DRAWS),
            correlations=correlations,
        )
