"""A real option on a use that is not yet made of the data: a named figure beside the value, never a part of it.

The option is on flows that no forecast counts, and its volatility is a judgement; so nothing adds it up with the conclusion.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from enum import StrEnum
from fractions import Fraction
from typing import Any

from valuation import desk, exact
from valuation.asset import Citation
from valuation.desk.reals import ln, rounded
from valuation.intake import Record, within
from valuation.money import Money
from valuation.trace import Traced, derived, given

_METHOD = "real_option_bsm"


class Right(StrEnum):
    """What the holder may do: put the data to a second use at a cost, or sell it at a price."""

    DEPLOY = "deploy"
    SELL = "sell"


@dataclass(frozen=True, slots=True)
class OptionFacts:
    """``worth`` of the use today, which halves every ``half_life`` years; ``strike``: cost to deploy, or sale price.

    ``risk_free`` is continuous, per year; ``volatility`` per root year; ``years`` to the last day of exercise.
    """

    name: str
    right: Right
    worth: Money
    strike: Money
    half_life: Decimal
    risk_free: Decimal
    volatility: Decimal
    years: Decimal
    cited: Citation

    @property
    def amounts(self) -> tuple[Money, ...]:
        """Every amount of money in these facts."""
        return (self.worth, self.strike)

    @property
    def dates(self) -> Iterator[tuple[str, date]]:
        """The date of the source, by the path of its key within the facts."""
        yield "option.cited.on", self.cited.on

    def to_json(self) -> dict[str, Any]:
        """Return the canonical JSON object."""
        return {
            "name": self.name,
            "right": self.right.value,
            "worth": self.worth.to_json(),
            "strike": self.strike.to_json(),
            "half_life_years": exact.spell(self.half_life),
            "risk_free": exact.spell(self.risk_free),
            "volatility": exact.spell(self.volatility),
            "years": exact.spell(self.years),
            "cited": self.cited.to_json(),
        }

    @classmethod
    def from_json(cls, document: Any, path: str) -> "OptionFacts":
        """Parse; raises a typed error that names the key."""
        keys = "name right worth strike half_life_years risk_free volatility years cited"
        record = Record(document, path, keys)
        amounts = {key: record.money(key) for key in ("worth", "strike")}
        for key, money in amounts.items():
            within(money.amount, record.path(key), above=0)

        def number(key: str, low: str, high: str) -> Decimal:
            return within(record.decimal(key), record.path(key), low=Decimal(low), high=Decimal(high))

        return cls(
            name=record.text("name"),
            right=Right(record.member(Right, "right")),
            worth=amounts["worth"],
            strike=amounts["strike"],
            half_life=number("half_life_years", "0.05", "30"),
            risk_free=number("risk_free", "0", "0.5"),
            volatility=number("volatility", "0.1", "1.5"),
            years=number("years", "0.05", "30"),
            cited=Citation.from_json(record.raw("cited"), record.path("cited")),
        )


def appraise_option(facts: OptionFacts) -> Traced:
    """Value the option by its closed form; the decay of the data is the yield that waiting costs."""
    cited = {"source": str(facts.cited), "evidence": facts.cited.document}
    units = {"half_life": "years", "risk_free": "1/year", "volatility": "1/root year", "years": "years"}
    because = tuple(
        given(f"option.{name}", name.replace("_", " "), getattr(facts, name), unit=units.get(name, ""), **cited)
        for name in ("worth", "strike", "half_life", "risk_free", "volatility", "years")
    )
    figures = desk.find(_METHOD).figures(
        {
            "S": facts.worth.fraction,
            "K": facts.strike.fraction,
            "r": Fraction(facts.risk_free),
            "decay_yield_q": rounded(ln(Fraction(2)) / Fraction(facts.half_life)),
            "sigma": Fraction(facts.volatility),
            "T": Fraction(facts.years),
            "call": facts.right is Right.DEPLOY,
        }
    )
    return derived(
        "option",
        f"real option beside the value, not in it: {facts.name}",
        # the closed form is a difference, which rounding may leave a hair below the 0 that an option is worth at least
        Money.of(max(figures["value"], Fraction(0)), facts.worth.currency),
        formula=f"{_METHOD}, {facts.right.value}, with the yield ln 2 / half-life",
        because=because,
        source=desk.find(_METHOD).source,
    )
