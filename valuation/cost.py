"""The guidance's cost method: indexed historical cost times a value-adjustment coefficient, P = C * delta.

Source: guidance on data asset appraisal (China Appraisal Society, 2023 No. 17), cost approach and appendix.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from enum import StrEnum
from fractions import Fraction
from itertools import groupby
from typing import Any

from privacy.errors import Mismatch
from valuation import desk, exact, gates
from valuation.asset import DataAsset
from valuation.desk.cost import coefficient, indexed, life_share
from valuation.evidence import Evidence
from valuation.facts import Facts
from valuation.gates import Passed
from valuation.judgement import Judgement
from valuation.money import Money
from valuation.quality import WEIGHTS, Quality, quality
from valuation.repeats import Repeats, repeats, room
from valuation.trace import Traced, derived, given

SOURCE = "data asset appraisal guidance 2023 No. 17, cost approach"
DAYS_A_YEAR = 365
"""Day count for rights that expire: actual/365."""


UNUSED = "facts-unused"
"""Code of the remark that the cost method alone left facts aside."""


class Mode(StrEnum):
    """Which coefficient delta: quality, remaining life, or their product."""

    QUALITY = "quality"
    LIFE = "life"
    BOTH = "both"


@dataclass(frozen=True, slots=True)
class Remark:
    """A warning that stands in the report: ``code`` for machines, ``text`` for readers."""

    code: str
    text: str

    def to_json(self) -> dict[str, Any]:
        """Return the canonical JSON object."""
        return {"code": self.code, "text": self.text}


@dataclass(frozen=True, slots=True)
class Appraisal:
    """A value with its range on one day, the gates it passed and the reasons under each figure.

    ``low`` and ``high`` take every uncertain input at its worse or better end at once: an envelope, wider than a joint
    95 % interval. ``remaining_low`` is the remaining life at its worse end, which a pledge must outlast. ``judgement`` is what
    several approaches were reconciled by, ``None`` for the cost method alone; ``others`` are the figures beside the value.
    """

    method: str
    asset: DataAsset
    facts: Facts
    evidence: Evidence
    on: date
    mode: Mode
    weights: Mapping[str, Decimal]
    gates: tuple[Passed, ...]
    quality: Quality
    low: Traced
    central: Traced
    high: Traced
    remaining_low: Traced
    remarks: tuple[Remark, ...]
    judgement: Judgement | None = None
    others: tuple[Traced, ...] = ()

    @property
    def currency(self) -> str:
        """Currency of every amount in the appraisal."""
        return self.facts.currency

    @property
    def roots(self) -> tuple[Traced, ...]:
        """The figures from which every other figure of the appraisal can be reached."""
        return (*self.quality.errors, self.low, self.central, self.high, *self.others)


def cost_cas2023(inputs: Mapping[str, Any]) -> dict[str, Decimal]:
    """The desk's method of this name, for callers that never held a binary float: plain inputs, outputs C, delta and P.

    Raises:
        BadInput: naming the key.
    """
    return desk.evaluate("cost_cas2023", inputs, floats=False)


def appraise_cost(
    asset: DataAsset,
    facts: Facts,
    evidence: Evidence,
    on: date,
    *,
    mode: Mode = Mode.BOTH,
    weights: Mapping[str, Decimal] = WEIGHTS,
) -> Appraisal:
    """Value ``asset`` on the day ``on`` by the cost method; quality enters once, through delta.

    The remaining life is cut at the earliest expiry of a title document, since no licence is worth more than its term.

    Raises:
        GatesClosed: before any figure is computed. Mismatch: facts of another day, evidence of another asset.
        BadInput: naming a fact that is missing or out of range. Swamped: if noise drowns a count.
    """
    if facts.on != on:
        raise Mismatch(
            "the facts are of another day than the valuation", fix="state the facts as of the valuation date"
        )
    passed = gates.check(asset, facts, evidence)
    for item in evidence.measured:
        item.about(asset)
    repeated = repeats(facts, evidence.quality)
    measured = quality(evidence.quality, weights, repeated)
    cost = _indexed_cost(facts)
    remaining = _remaining(facts)
    values = {
        "low": _value("low", facts, mode, cost, measured.used_low, remaining["low"]),
        "central": _value("central", facts, mode, cost, measured.used, remaining["central"]),
        "high": _value("high", facts, mode, cost, measured.used_high, remaining["high"]),
    }
    return Appraisal(
        method="cost_cas2023",
        asset=asset,
        facts=facts,
        evidence=evidence,
        on=on,
        mode=mode,
        weights=dict(weights),
        gates=passed,
        quality=measured,
        low=values["low"],
        central=values["central"],
        high=values["high"],
        remaining_low=remaining["low"],
        remarks=(*_remarks(facts, mode, measured, values, remaining), *_repeated(repeated), *_unused(facts)),
    )


def _indexed_cost(facts: Facts) -> Traced:
    """C: every cost line brought to the price level of the valuation year."""
    base_year = facts.on.year
    index = facts.price_index
    cited = {"source": str(index.cited), "evidence": index.cited.document}
    base = given(f"index.{base_year}", f"price index {base_year}", index.level(base_year), unit="index", **cited)
    years = []
    lines = sorted(enumerate(facts.costs), key=lambda pair: pair[1].year)
    for year, group in groupby(lines, key=lambda pair: pair[1].year):
        level = given(f"index.{year}", f"price index {year}", index.level(year), unit="index", **cited)
        spent = tuple(
            given(
                f"cost.{year}.{number}",
                f"{line.kind.value} cost {year}",
                line.amount,
                source=str(line.cited),
                evidence=line.cited.document,
            )
            for number, line in group
        )
        total = sum((figure.fraction for figure in spent), Fraction(0))
        years.append(
            derived(
                f"cost.{year}",
                f"cost of {year} at prices of {base_year}",
                Money.of(indexed(total, base=base.fraction, level=level.fraction), facts.currency),
                formula=f"sum of costs of {year} * price index {base_year} / price index {year}",
                because=(*spent, base, level),
                source=SOURCE,
            )
        )
    return derived(
        "cost.total",
        "C, indexed cost",
        Money.of(sum((figure.fraction for figure in years), Fraction(0)), facts.currency),
        formula="sum of the years' costs at prices of the valuation year",
        because=tuple(years),
        source=SOURCE,
    )


def _remaining(facts: Facts) -> dict[str, Traced]:
    """Remaining life at its low end, centre and high end, each cut where the first title document expires."""
    life = facts.life
    cited = {"source": str(life.cited), "evidence": life.cited.document}
    expires = facts.legal.expires
    term: tuple[Traced, ...] = ()
    if expires is not None:
        days = (expires - facts.on).days
        link = next(link for link in facts.legal.title if link.expires == expires)
        last = given(
            "title.days",
            "days until the first title document expires",
            days,
            unit="days",
            source=link.name,
            evidence=link.document,
        )
        term = (
            derived(
                "title.years",
                "years until the first title document expires",
                Fraction(days, DAYS_A_YEAR),
                unit="years",
                formula=f"days / {DAYS_A_YEAR}",
                because=(last,),
                source="actual/365",
            ),
        )
    stated = {"low": life.low or life.remaining, "central": life.remaining, "high": life.high or life.remaining}
    remaining = {}
    for end, years in stated.items():
        declared = given(f"life.{end}.stated", f"remaining life, {end}, as stated", years, unit="years", **cited)
        remaining[end] = derived(
            f"life.{end}",
            f"remaining life, {end}",
            min(declared.fraction, *(figure.fraction for figure in term)) if term else declared.fraction,
            unit="years",
            formula="min(as stated, years until the first title document expires)" if term else "as stated",
            because=(declared, *term),
            source="the weakest upstream licence bounds the life",
        )
    return remaining


def _value(end: str, facts: Facts, mode: Mode, cost: Traced, share: Traced, remaining: Traced) -> Traced:
    life = facts.life
    age = given("life.age", "age", life.age, unit="years", source=str(life.cited), evidence=life.cited.document)
    left = derived(
        f"life.{end}.share",
        f"share of life left, {end}",
        life_share(age=age.fraction, remaining=remaining.fraction),
        unit="share",
        formula="remaining life / (remaining life + age)",
        because=(remaining, age),
        source=SOURCE,
    )
    formulas: dict[Mode, tuple[str, tuple[Traced, ...]]] = {
        Mode.QUALITY: ("alpha as used", (share,)),
        Mode.LIFE: ("share of life left", (left,)),
        Mode.BOTH: ("alpha as used * share of life left", (share, left)),
    }
    formula, because = formulas[mode]
    delta = derived(
        f"delta.{end}",
        f"delta, value-adjustment coefficient, {end}",
        coefficient(mode, share=share.fraction, life=left.fraction),
        unit="share",
        formula=formula,
        because=because,
        source=SOURCE,
    )
    return derived(
        f"value.{end}",
        f"value, {end}",
        Money.of(cost.fraction * delta.fraction, facts.currency),
        formula="C * delta",
        because=(cost, delta),
        source=SOURCE,
    )


def _repeated(found: Repeats | None) -> Iterable[Remark]:
    if found is None:
        yield Remark(
            "repeats-unmeasured", "people were not counted: rows that repeat others cannot be told from others"
        )
    elif found.certain:
        share = exact.percent(found.surplus.fraction / found.rows.fraction)
        yield Remark("repeats", f"{share} of the rows repeat others; they were taken out of the good ones")
    elif text := room(found):
        yield Remark("repeats-room", text)


def _unused(facts: Facts) -> Iterable[Remark]:
    stated = {"income": facts.income, "market": facts.market, "option": facts.option}
    names = [name for name, there in stated.items() if there is not None]
    if names:
        yield Remark(UNUSED, f"facts of {', '.join(names)} were stated and are not used by the cost method")


def _remarks(
    facts: Facts, mode: Mode, measured: Quality, values: Mapping[str, Traced], remaining: Mapping[str, Traced]
) -> Iterable[Remark]:
    central = values["central"]
    delta = central.because[1].fraction
    if not Fraction(3, 10) <= delta <= 1:
        yield Remark("delta-unusual", f"delta is {exact.percent(delta)}; usual are 30 % to 100 %")
    if mode is Mode.BOTH:
        yield Remark("quality-once", "quality enters through delta only; no other factor may take it up again")
    if remaining["central"].value != facts.life.remaining:
        yield Remark("life-cut", "the remaining life was cut where the first title document expires")
    if measured.alpha.fraction > 1:
        yield Remark("alpha-capped", "alpha was measured above 1 through noise and enters the price as 1")
    if central.fraction > 0:
        width = (values["high"].fraction - values["low"].fraction) / (2 * central.fraction)
        # bands as lenders read them: below 10 % good, above 20 % concerning
        if width > Fraction(1, 5):
            yield Remark(
                "range-wide", f"half the range is {exact.percent(width)} of the value; above 20 % is concerning"
            )
    else:
        yield Remark("worthless", "no cost was stated, so the cost method gives no value")
