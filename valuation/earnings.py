"""What an asset earns: income by year, how it fades, what others' assets take of it, the parts of the rate.

Year ``t`` is the ``t``-th twelve months after the valuation date; there is no year beyond the last one stated. Incomes are
stated for data as good as on the valuation date; ageing, growth and upkeep are facts of their own, applied by the method.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from enum import StrEnum
from fractions import Fraction
from typing import Any

from valuation import exact
from valuation.asset import Citation
from valuation.errors import MissingKey, OutOfRange, UnknownKey
from valuation.intake import Record, within
from valuation.money import Money

MAX_YEARS = 30
"""Longest projection, in years."""


class IncomeMethod(StrEnum):
    """How the income of the data is told from that of the business around it."""

    DIRECT = "direct"
    SHARE = "share"
    EXCESS = "excess"
    WITH_WITHOUT = "with_without"
    ROYALTY = "royalty"


class LineKind(StrEnum):
    """What an amount of a year is: sales, what they cost, or profit of the business with and without the data."""

    REVENUE = "revenue"
    COST = "cost"
    WITH = "with"
    WITHOUT = "without"


class Ground(StrEnum):
    """What an amount rests on."""

    CONTRACT = "contract"
    FORECAST = "forecast"


class TaxBasis(StrEnum):
    """Whether the rate, and so the income, is before or after tax; they can never differ."""

    PRE_TAX = "pre_tax"
    POST_TAX = "post_tax"


KINDS = {
    IncomeMethod.DIRECT: ({LineKind.REVENUE}, {LineKind.REVENUE, LineKind.COST}),
    IncomeMethod.SHARE: ({LineKind.REVENUE}, {LineKind.REVENUE}),
    IncomeMethod.EXCESS: ({LineKind.REVENUE}, {LineKind.REVENUE, LineKind.COST}),
    IncomeMethod.WITH_WITHOUT: ({LineKind.WITH, LineKind.WITHOUT}, {LineKind.WITH, LineKind.WITHOUT}),
    IncomeMethod.ROYALTY: ({LineKind.REVENUE}, {LineKind.REVENUE}),
}
"""By method: the kinds that every year needs, and those it may have."""

PARTS = ("risk_free", "equity_premium", "size_premium", "specific_premium")
"""Parts of a built-up rate, in the order in which they are added."""


@dataclass(frozen=True, slots=True)
class IncomeLine:
    """One amount of year ``year`` >= 1; sales and costs are not negative, profits may be."""

    year: int
    kind: LineKind
    ground: Ground
    amount: Money
    cited: Citation

    def to_json(self) -> dict[str, Any]:
        """Return the canonical JSON object."""
        return {
            "year": self.year,
            "kind": self.kind.value,
            "ground": self.ground.value,
            "amount": self.amount.to_json(),
            "cited": self.cited.to_json(),
        }

    @classmethod
    def from_json(cls, document: Any, path: str) -> "IncomeLine":
        """Parse; raises a typed error that names the key."""
        record = Record(document, path, "year kind ground amount cited")
        kind, amount = LineKind(record.member(LineKind, "kind")), record.money("amount")
        if kind in {LineKind.REVENUE, LineKind.COST}:
            within(amount.amount, record.path("amount"), low=0)
        return cls(
            year=record.integer("year", low=1, high=MAX_YEARS),
            kind=kind,
            ground=Ground(record.member(Ground, "ground")),
            amount=amount,
            cited=Citation.from_json(record.raw("cited"), record.path("cited")),
        )


@dataclass(frozen=True, slots=True)
class Fade:
    """How income changes with age: it halves every ``half_life`` years, markets grow by ``growth``, ``upkeep`` is level."""

    half_life: Decimal
    growth: Decimal
    upkeep: Money
    cited: Citation

    def to_json(self) -> dict[str, Any]:
        """Return the canonical JSON object."""
        return {
            "half_life_years": exact.spell(self.half_life),
            "growth": exact.spell(self.growth),
            "upkeep": self.upkeep.to_json(),
            "cited": self.cited.to_json(),
        }

    @classmethod
    def from_json(cls, document: Any, path: str) -> "Fade":
        """Parse; raises a typed error that names the key."""
        record = Record(document, path, "half_life_years growth upkeep cited")
        upkeep = record.money("upkeep")
        within(upkeep.amount, record.path("upkeep"), low=0)
        return cls(
            half_life=within(
                record.decimal("half_life_years"), record.path("half_life_years"), low=Decimal("0.05"), high=30
            ),
            growth=within(record.decimal("growth"), record.path("growth"), above=-1, below=1),
            upkeep=upkeep,
            cited=Citation.from_json(record.raw("cited"), record.path("cited")),
        )


@dataclass(frozen=True, slots=True)
class CitedShare:
    """A rate or share with its source."""

    value: Decimal
    cited: Citation

    def to_json(self) -> dict[str, Any]:
        """Return the canonical JSON object."""
        return {"value": exact.spell(self.value), "cited": self.cited.to_json()}

    @classmethod
    def from_json(cls, document: Any, path: str, *, below: Decimal | int = 1) -> "CitedShare":
        """Parse a share in [0, ``below``); raises a typed error that names the key."""
        record = Record(document, path, "value cited")
        value = within(record.decimal("value"), record.path("value"), low=0, below=below)
        return cls(value, Citation.from_json(record.raw("cited"), record.path("cited")))


@dataclass(frozen=True, slots=True)
class OtherAsset:
    """An asset beside the data: its value and the return that its owners require, per year."""

    name: str
    value: Money
    rate: Decimal
    cited: Citation

    def to_json(self) -> dict[str, Any]:
        """Return the canonical JSON object."""
        return {
            "name": self.name,
            "value": self.value.to_json(),
            "rate": exact.spell(self.rate),
            "cited": self.cited.to_json(),
        }

    @classmethod
    def from_json(cls, document: Any, path: str) -> "OtherAsset":
        """Parse; raises a typed error that names the key."""
        record = Record(document, path, "name value rate cited")
        value = record.money("value")
        within(value.amount, record.path("value"), above=0)
        rate = within(record.decimal("rate"), record.path("rate"), low=0, below=1)
        return cls(record.text("name"), value, rate, Citation.from_json(record.raw("cited"), record.path("cited")))


@dataclass(frozen=True, slots=True)
class Rate:
    """A built-up discount rate: its parts by name as in :data:`PARTS`; ``wacc`` and ``others`` check it against the firm.

    ``others`` are the firm's other assets; with none, or without ``wacc``, there is no such check.
    """

    basis: TaxBasis
    parts: tuple[CitedShare, ...]
    wacc: CitedShare | None
    others: tuple[OtherAsset, ...]

    @property
    def total(self) -> Fraction:
        """The rate per year."""
        return sum((Fraction(part.value) for part in self.parts), Fraction(0))

    def to_json(self) -> dict[str, Any]:
        """Return the canonical JSON object."""
        return {
            "basis": self.basis.value,
            "parts": {name: part.to_json() for name, part in zip(PARTS, self.parts, strict=True)},
            "wacc": None if self.wacc is None else self.wacc.to_json(),
            "other_assets": [asset.to_json() for asset in self.others],
        }

    @classmethod
    def from_json(cls, document: Any, path: str) -> "Rate":
        """Parse; raises a typed error that names the key."""
        record = Record(document, path, "basis parts wacc other_assets")
        inner = Record(record.raw("parts"), record.path("parts"), " ".join(PARTS))
        parts = tuple(CitedShare.from_json(inner.raw(name), inner.path(name)) for name in PARTS)
        wacc = CitedShare.from_json(record.raw("wacc"), record.path("wacc")) if record.given("wacc") else None
        others = tuple(OtherAsset.from_json(item, where) for where, item in record.items("other_assets"))
        rate = cls(TaxBasis(record.member(TaxBasis, "basis")), parts, wacc, others)
        if not 0 < rate.total < 1:
            raise OutOfRange(record.path("parts"), "parts that add up to a rate in (0, 1)")
        if wacc is not None:
            within(wacc.value, f"{record.path('wacc')}.value", above=0)
            if rate.basis is TaxBasis.PRE_TAX:
                # a WACC is after tax: beside a rate before tax it would check nothing
                raise OutOfRange(record.path("wacc"), "{null} where the rate is before tax")
        return rate


@dataclass(frozen=True, slots=True)
class Claim:
    """What the method needs beyond amounts: market bounds and score of a share, or a royalty, or contributory assets.

    ``low``, ``high``, ``score``: share = low + (high - low) * score. ``royalty``: share of revenue. ``tab_years``: years over
    which a buyer could amortise the asset for tax, 0 for no such benefit.
    """

    low: Decimal = Decimal(0)
    high: Decimal = Decimal(0)
    score: Decimal = Decimal(0)
    royalty: Decimal = Decimal(0)
    tab_years: int = 0
    contributory: tuple[OtherAsset, ...] = ()
    cited: Citation | None = None

    def to_json(self, method: IncomeMethod) -> dict[str, Any] | None:
        """Return the canonical JSON object of that method's claim."""
        if self.cited is None:
            return None
        cited = {"cited": self.cited.to_json()}
        if method is IncomeMethod.SHARE:
            spelled = {"low": self.low, "high": self.high, "score": self.score}
            return {name: exact.spell(value) for name, value in spelled.items()} | cited
        if method is IncomeMethod.ROYALTY:
            return {"royalty": exact.spell(self.royalty), "tab_years": self.tab_years} | cited
        return {"contributory": [item.to_json() for item in self.contributory], "tab_years": self.tab_years} | cited

    @classmethod
    def from_json(cls, document: Any, path: str, method: IncomeMethod) -> "Claim":
        """Parse; raises a typed error that names the key."""
        if method in {IncomeMethod.DIRECT, IncomeMethod.WITH_WITHOUT}:
            if document is not None:
                raise UnknownKey(path)
            return cls()
        if document is None:
            raise MissingKey(path)
        keys = {
            IncomeMethod.SHARE: "low high score cited",
            IncomeMethod.EXCESS: "contributory tab_years cited",
            IncomeMethod.ROYALTY: "royalty tab_years cited",
        }
        record = Record(document, path, keys[method])
        cited = Citation.from_json(record.raw("cited"), record.path("cited"))
        if method is IncomeMethod.SHARE:
            low = within(record.decimal("low"), record.path("low"), low=0, below=1)
            high = within(record.decimal("high"), record.path("high"), above=low, below=1)
            score = within(record.decimal("score"), record.path("score"), low=0, high=1)
            return cls(low=low, high=high, score=score, cited=cited)
        years = record.integer("tab_years", low=0, high=MAX_YEARS)
        if method is IncomeMethod.ROYALTY:
            royalty = within(record.decimal("royalty"), record.path("royalty"), above=0, below=Decimal("0.5"))
            return cls(royalty=royalty, tab_years=years, cited=cited)
        assets = tuple(OtherAsset.from_json(item, where) for where, item in record.items("contributory", least=1))
        return cls(contributory=assets, tab_years=years, cited=cited)


@dataclass(frozen=True, slots=True)
class IncomeFacts:
    """Everything the income approach may use. ``quality_assumed`` is the combined quality that the forecast counts on."""

    method: IncomeMethod
    lines: tuple[IncomeLine, ...]
    fade: Fade
    rate: Rate
    tax: CitedShare
    claim: Claim
    quality_assumed: Decimal

    @property
    def years(self) -> int:
        """Number of years stated."""
        return max(line.year for line in self.lines)

    def sums(self, kind: LineKind) -> tuple[Fraction, ...]:
        """The amounts of one kind added up by year, from year 1."""
        totals = [Fraction(0)] * self.years
        for line in self.lines:
            if line.kind is kind:
                totals[line.year - 1] += line.amount.fraction
        return tuple(totals)

    @property
    def amounts(self) -> tuple[Money, ...]:
        """Every amount of money in these facts."""
        assets = (*self.claim.contributory, *self.rate.others)
        return (*(line.amount for line in self.lines), self.fade.upkeep, *(asset.value for asset in assets))

    @property
    def dates(self) -> Iterator[tuple[str, date]]:
        """The date of every source, by the path of its key within the facts."""
        for index, line in enumerate(self.lines):
            yield f"income.lines[{index}].cited.on", line.cited.on
        yield "income.fade.cited.on", self.fade.cited.on
        yield "income.tax.cited.on", self.tax.cited.on
        for name, part in zip(PARTS, self.rate.parts, strict=True):
            yield f"income.rate.parts.{name}.cited.on", part.cited.on
        if self.rate.wacc is not None:
            yield "income.rate.wacc.cited.on", self.rate.wacc.cited.on
        for index, asset in enumerate(self.rate.others):
            yield f"income.rate.other_assets[{index}].cited.on", asset.cited.on
        for index, asset in enumerate(self.claim.contributory):
            yield f"income.claim.contributory[{index}].cited.on", asset.cited.on
        if self.claim.cited is not None:
            yield "income.claim.cited.on", self.claim.cited.on

    def to_json(self) -> dict[str, Any]:
        """Return the canonical JSON object."""
        return {
            "method": self.method.value,
            "lines": [line.to_json() for line in self.lines],
            "fade": self.fade.to_json(),
            "rate": self.rate.to_json(),
            "tax": self.tax.to_json(),
            "claim": self.claim.to_json(self.method),
            "quality_assumed": exact.spell(self.quality_assumed),
        }

    @classmethod
    def from_json(cls, document: Any, path: str) -> "IncomeFacts":
        """Parse; raises a typed error that names the key."""
        record = Record(document, path, "method lines fade rate tax claim quality_assumed")
        method = IncomeMethod(record.member(IncomeMethod, "method"))
        facts = cls(
            method=method,
            lines=tuple(IncomeLine.from_json(item, where) for where, item in record.items("lines", least=1)),
            fade=Fade.from_json(record.raw("fade"), record.path("fade")),
            rate=Rate.from_json(record.raw("rate"), record.path("rate")),
            tax=CitedShare.from_json(record.raw("tax"), record.path("tax")),
            claim=Claim.from_json(record.raw("claim"), record.path("claim"), method),
            quality_assumed=within(record.decimal("quality_assumed"), record.path("quality_assumed"), above=0, high=1),
        )
        facts._check(path)
        return facts

    def _check(self, path: str) -> None:
        """What no single field can show: whole years, growth below the rate, tax and rate on one basis."""
        needed, allowed = KINDS[self.method]
        for index, line in enumerate(self.lines):
            if line.kind not in allowed:
                raise OutOfRange(f"{path}.lines[{index}].kind", "{" + ", ".join(sorted(allowed)) + "}")
        stated = {(line.year, line.kind) for line in self.lines}
        for year in range(1, self.years + 1):
            for kind in sorted(needed):
                if (year, kind) not in stated:
                    raise MissingKey(f"{path}.lines of year {year} and kind {kind}")
        if Fraction(self.fade.growth) >= self.rate.total:
            raise OutOfRange(f"{path}.fade.growth", "growth below the discount rate")
        if self.rate.basis is TaxBasis.PRE_TAX and self.tax.value != 0:
            raise OutOfRange(f"{path}.tax.value", "{0} where the rate is before tax")
        if self.method is IncomeMethod.EXCESS and any(amount == 0 for amount in self.sums(LineKind.REVENUE)):
            raise OutOfRange(f"{path}.lines", "revenues above 0 in every year")
