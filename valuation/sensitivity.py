"""The conclusion as a function of its drivers, and what moves it: one driver at a time, by scenario, at break-even."""

from collections.abc import Mapping
from fractions import Fraction

from valuation.cost import Appraisal, Mode
from valuation.desk.reals import rounded, total
from valuation.earnings import IncomeFacts
from valuation.income import quality_share, worth
from valuation.indication import AS_STATED, Indication, Shift
from valuation.judgement import Judgement
from valuation.money import Money
from valuation.trace import Traced, derived, given

SOURCE = "IVS 103, reconciliation; IVS 105, models"

MOST_LEVEL = 64
"""The break-even level of income is looked for up to this factor."""

_ONE = Fraction(1)


class Model:
    """The conclusion as a function of its drivers: what draws, scenarios and sensitivities evaluate."""

    def __init__(self, base: Appraisal, indications: Mapping[str, Indication], judgement: Judgement) -> None:
        self.indications = indications
        self.currency = base.currency
        self.stated: IncomeFacts | None = base.facts.income
        self.alpha, self.error = base.quality.alpha.fraction, base.quality.error.fraction
        self.by_quality = base.mode is not Mode.LIFE
        self.weights = {name: Fraction(weight.share) for name, weight in judgement.weights.items()}
        self.used = min(self.alpha, _ONE)
        income, market = indications.get("income"), indications.get("market")
        self.years = (
            0 if income is None else sum(1 for f in income.central.walk() if f.key.startswith("income.central.flow."))
        )
        self.rows_error = Fraction(0)
        if market is not None:
            rows = market.central.find("market.rows.central").fraction
            self.rows_error = market.low.find("market.rows.error").fraction / rows if rows else Fraction(0)

    def values(self, shift: Shift, noise: Fraction = Fraction(0)) -> dict[str, Fraction]:
        """Value by approach; ``noise`` is how many standard errors the measured counts lie off."""
        alpha = min(self.alpha + noise * self.error, _ONE)
        cost = self.indications["cost"].central.fraction * shift.cost
        if self.by_quality:
            cost *= alpha / self.used * shift.quality
        values = {"cost": cost}
        if self.stated is not None:
            share = quality_share(self.stated, alpha)
            values["income"] = worth(self.stated, quality=share, years=self.years, shift=shift).value
        if "market" in self.indications:
            rows = (1 + noise * self.rows_error) * shift.quality
            values["market"] = self.indications["market"].central.fraction * shift.market * rows
        return {approach: max(rounded(value), Fraction(0)) for approach, value in values.items()}

    def weighted(self, values: Mapping[str, Fraction]) -> Fraction:
        """The conclusion that values by approach lead to."""
        return total(self.weights[approach] * value for approach, value in values.items())


def _at(model: Model, shift: Shift, key: str, label: str, factors: tuple[Traced, ...]) -> Traced:
    return derived(
        key,
        label,
        Money.of(model.weighted(model.values(shift)), model.currency),
        formula="conclusion at these factors on its drivers, all else as stated",
        because=(*factors, *(one.central for one in model.indications.values())),
        source=SOURCE,
    )


def tornado(model: Model, judgement: Judgement) -> tuple[Traced, ...]:
    """The conclusion at both ends of each spread, the driver with the widest effect first."""
    rows = []
    for spread in judgement.spreads:
        pair = []
        for end, value in (("low", spread.low), ("high", spread.high)):
            label = f"factor on {spread.driver}, {spread.shape.value}, {end}"
            factor = given(f"spread.{spread.driver}.{end}", label, value, unit="factor", source=spread.reason)
            shift = AS_STATED._replace(**{spread.driver: factor.fraction})
            key, label = f"tornado.{spread.driver}.{end}", f"value where {spread.driver} is at its {end} end"
            pair.append(_at(model, shift, key, label, (factor,)))
        rows.append(pair)
    rows.sort(key=lambda pair: abs(pair[1].fraction - pair[0].fraction), reverse=True)  # stable: ties keep their order
    return tuple(figure for pair in rows for figure in pair)


def scenarios(model: Model, judgement: Judgement) -> tuple[Traced, ...]:
    """The conclusion in each scenario, in the order given."""
    figures = []
    for number, scenario in enumerate(judgement.scenarios):
        key = f"scenario.{number}"
        factors = tuple(
            given(
                f"{key}.{driver}", f"factor on {driver}: {scenario.name}", value, unit="factor", source=scenario.reason
            )
            for driver, value in sorted(scenario.factors.items())
        )
        shift = AS_STATED._replace(**{driver: Fraction(value) for driver, value in scenario.factors.items()})
        figures.append(_at(model, shift, key, f"value in the scenario: {scenario.name}", factors))
    return tuple(figures)


def break_even(model: Model) -> tuple[Traced, ...]:
    """The least level of income at which the data is worth what it would cost; none if no level up to 64 times does it.

    The value of keeping the data up for n years is a line in the level, and the value of the income the highest of these
    lines: it reaches the cost where the first of them does.
    """
    stated = model.stated
    if stated is None:
        return ()
    target = model.indications["cost"].central
    quality = quality_share(stated, min(model.alpha, _ONE))
    bare, full = (
        worth(stated, quality=quality, years=model.years, shift=AS_STATED._replace(level=level))
        for level in (Fraction(0), _ONE)
    )
    levels = [
        (target.fraction / full.benefit - start) / (whole - start)
        for start, whole in zip(bare.values, full.values, strict=True)
        if whole > start
    ]
    if not levels or min(levels) > MOST_LEVEL:
        return ()
    return (
        derived(
            "break_even.level",
            "factor on the level of income from which the income approach reaches the cost approach",
            max(min(levels), Fraction(0)),
            unit="factor",
            formula="least over years n of (value by cost - value of n years at level 0) / what level 1 adds to it",
            because=(target, model.indications["income"].central),
            source=SOURCE,
        ),
    )
