"""A pledge over time: LTV against its thresholds at each reading, and why a reading calls for a revaluation.

A reading is what is known on a day, each figure from a release, a document or the watch over the rows; nothing here measures.
**Memoised**: readings of one version cite one release. A second release of the same version would be noise that was drawn
again, and is refused: nobody asks until the figures are lucky.

The interval of LTV is that of the value's own error, ``sigmas`` standard errors on each side; a threshold is surely crossed
where the lower end is beyond it, which is the dead band of the desk's ``dp_false_margin_call``.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from enum import StrEnum
from fractions import Fraction
from typing import Any

from privacy.errors import Mismatch
from valuation import exact
from valuation.desk.pledge import state_of
from valuation.errors import OutOfRange
from valuation.intake import Record, decimal_of, within
from valuation.money import Money


class Watch(StrEnum):
    """The states of the watch over pledged rows."""

    CONFIRMED = "confirmed"
    LATE = "late"
    CHANGED = "changed"
    GONE = "gone"


@dataclass(frozen=True, slots=True)
class Rules:
    """Thresholds of LTV (0 < warning < call < liquidation <= 1), and what calls for a revaluation.

    ``every`` days at the latest; a quality measure that falls by more than ``drop`` of itself or by ``fall_sigmas`` standard errors;
    income that falls by more than ``usage``; an index that moves by more than ``market``; rights that end within
    ``title`` days; rows older than ``fresh`` days.
    """

    warning: Decimal = Decimal("0.60")
    call: Decimal = Decimal("0.65")
    liquidation: Decimal = Decimal("0.75")
    sigmas: Decimal = Decimal(2)
    every: int = 92
    drop: Decimal = Decimal("0.10")
    fall_sigmas: Decimal = Decimal(5)
    usage: Decimal = Decimal("0.20")
    market: Decimal = Decimal("0.15")
    title: int = 183
    fresh: int = 92

    @classmethod
    def from_json(cls, document: Any, path: str = "rules") -> "Rules":
        """Parse an object in which every rule may be left out; raises a typed error that names the key."""
        names = ("warning", "call", "liquidation", "sigmas", "drop", "fall_sigmas", "usage", "market")
        days = ("every", "title", "fresh")
        record = Record(document, path, "", " ".join((*names, *days)))
        told: dict[str, Any] = {name: record.decimal(name) for name in names if record.given(name)}
        told |= {name: record.integer(name, low=1, high=3_660) for name in days if record.given(name)}
        rules = cls(**told)
        within(rules.warning, record.path("warning"), above=0, below=rules.call)
        within(rules.liquidation, record.path("liquidation"), above=rules.call, high=1)
        for name in ("drop", "usage", "market"):
            within(getattr(rules, name), record.path(name), above=0, below=1)
        for name in ("sigmas", "fall_sigmas"):
            within(getattr(rules, name), record.path(name), low=0, high=10)
        return rules


@dataclass(frozen=True, slots=True)
class Reading:
    """What is known on the day ``on`` of the ``version`` (its day of loading) in force.

    ``error`` is the value's relative standard error; ``quality`` gives each measure with its standard error, from the
    ``release``; ``income`` is that of the trailing year, ``index`` the price index; ``rights_end`` the first end of a right.
    """

    on: date
    version: date
    release: str
    watch: str
    balance: Money
    value: Money
    error: Decimal
    quality: Mapping[str, tuple[Decimal, Decimal]]
    income: Money | None
    index: Decimal | None
    rights_end: date | None

    @classmethod
    def from_json(cls, document: Any, path: str) -> "Reading":
        """Parse; raises a typed error that names the key."""
        required = "on version release watch balance value error quality"
        record = Record(document, path, required, "income index rights_end")
        quality = {}
        for at, name, item in record.entries("quality"):
            inner = Record(item, at, "value error")
            quality[name] = (
                within(inner.decimal("value"), f"{at}.value", low=0),
                within(inner.decimal("error"), f"{at}.error", low=0),
            )
        balance, value = record.money("balance"), record.money("value")
        _ = balance + value  # two currencies in one ratio are refused here
        within(balance.amount, record.path("balance"), low=0)
        within(value.amount, record.path("value"), low=0)
        return cls(
            on=record.day("on"),
            version=record.day("version"),
            release=record.digest("release"),
            watch=record.member(Watch, "watch"),
            balance=balance,
            value=value,
            error=within(record.decimal("error"), record.path("error"), low=0, below=1),
            quality=quality,
            income=record.money("income") if record.given("income") else None,
            index=within(decimal_of(record.raw("index"), record.path("index")), record.path("index"), above=0)
            if record.given("index")
            else None,
            rights_end=record.day("rights_end") if record.given("rights_end") else None,
        )


@dataclass(frozen=True, slots=True)
class Point:
    """LTV on a day with its interval (``None``: something is owed on nothing), its state, and each reason to revalue."""

    on: date
    ltv: Fraction | None
    low: Fraction | None
    high: Fraction | None
    state: str
    surely: str
    revalue: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Return the JSON object; ratios with 34 digits at most."""
        ratios = {"ltv": self.ltv, "low": self.low, "high": self.high}
        return {
            "on": self.on.isoformat(),
            **{name: None if ratio is None else exact.spell(exact.written(ratio)) for name, ratio in ratios.items()},
            "state": self.state,
            "surely": self.surely,
            "revalue": list(self.revalue),
        }


@dataclass(frozen=True, slots=True)
class Timeline:
    """The points of a pledge in the order of their days, its rules, and the day by which it is to be revalued."""

    asset: str
    rules: Rules
    points: tuple[Point, ...]
    due: date

    def to_json(self) -> dict[str, Any]:
        """Return the JSON object."""
        thresholds = ("warning", "call", "liquidation")
        return {
            "asset": self.asset,
            "thresholds": {name: exact.spell(getattr(self.rules, name)) for name in thresholds},
            "points": [point.to_json() for point in self.points],
            "revaluation_due": self.due.isoformat(),
        }


def timeline(document: Any) -> Timeline:
    """Return the time line of a pledge from its readings, the first of which is that of the last valuation.

    Raises:
        BadInput: naming the key that is not valid.
        Mismatch: if readings are not in the order of their days, or two releases are cited for one version.
    """
    record = Record(document, "", "asset readings", "rules")
    rules = Rules.from_json(record.raw("rules") or {})
    readings = [Reading.from_json(item, path) for path, item in record.items("readings", least=1)]
    releases: dict[date, str] = {}
    for before, reading in zip([None, *readings], readings, strict=False):
        if before is not None and (reading.on < before.on or reading.version < before.version):
            raise Mismatch("the readings are not in the order of their days", fix="sort them, the oldest one first")
        if reading.version > reading.on:
            raise OutOfRange("readings.version", "days up to that of the reading")
        if releases.setdefault(reading.version, reading.release) != reading.release:
            raise Mismatch(
                f"two releases are cited for the version of {reading.version}: noise is drawn once",
                fix="cite the first release of each version",
            )
    first = readings[0]
    points = tuple(_point(first, reading, rules) for reading in readings)
    return Timeline(record.text("asset"), rules, points, first.on + timedelta(days=rules.every))


def _point(valued: Reading, reading: Reading, rules: Rules) -> Point:
    revalue = tuple(_reasons(valued, reading, rules))
    value, owed = reading.value.fraction, reading.balance.fraction
    if not value:
        worst = "liquidation" if owed else "normal"
        nothing = None if owed else Fraction(0)
        return Point(reading.on, nothing, nothing, nothing, worst, worst, revalue)
    spread = Fraction(rules.sigmas) * Fraction(reading.error)
    ltv = owed / value
    low, high = ltv / (1 + spread), None if spread >= 1 else ltv / (1 - spread)
    return Point(reading.on, ltv, low, high, _state(ltv, rules), _state(low, rules), revalue)


def _state(ltv: Fraction, rules: Rules) -> str:
    thresholds = (Fraction(rules.warning), Fraction(rules.call), Fraction(rules.liquidation))
    return state_of(ltv, warning=thresholds[0], call=thresholds[1], liquidation=thresholds[2])


def _reasons(valued: Reading, reading: Reading, rules: Rules) -> Iterator[str]:
    """Tell what has happened since the valuation that asks for a new one."""
    if (reading.on - valued.on).days >= rules.every:
        yield f"schedule: valued on {valued.on}, {rules.every} days or more ago"
    if reading.watch != Watch.CONFIRMED:
        yield f"identity: the rows are {reading.watch}"
    if (reading.on - reading.version).days > rules.fresh:
        yield f"freshness: the rows are of {reading.version}"
    for name, (was, _) in sorted(valued.quality.items()):
        now, error = reading.quality.get(name, (Decimal(0), Decimal(0)))
        if was - now > rules.drop * was or (error and was - now > rules.fall_sigmas * error):
            yield f"quality: {name} fell from {exact.spell(was)} to {exact.spell(now)}"
    if valued.income is not None and (
        reading.income is None or reading.income.fraction < valued.income.fraction * (1 - Fraction(rules.usage))
    ):
        yield "usage: income fell by more than the rule, or is not told any more"
    if valued.index is not None and (
        reading.index is None or abs(reading.index - valued.index) > rules.market * valued.index
    ):
        yield "market: the index moved by more than the rule, or is not told any more"
    if reading.rights_end is not None and (reading.rights_end - reading.on).days <= rules.title:
        yield f"title: a right ends on {reading.rights_end}"
