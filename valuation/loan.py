"""What a lender sets for one loan beyond the limit: amount, dates, schedule, cash flow, risk, price, covenants, bands.

An optional part of the terms; without it a quote ends at the limit. Every figure that is not the lender's own decision
cites its source.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from enum import StrEnum
from fractions import Fraction
from typing import Any

from valuation import exact
from valuation.asset import Citation
from valuation.covenant import DECLARED, agreed_from_json, spelled
from valuation.days import Basis, Calendar
from valuation.earnings import MAX_YEARS, CitedShare
from valuation.errors import CurrencyMismatch, OutOfRange
from valuation.intake import Record, decimal_of, within
from valuation.margin import Bands
from valuation.money import Money

EVERY = (1, 3, 6, 12)
"""Months between payments."""


class Kind(StrEnum):
    """How a loan is repaid."""

    ANNUITY = "annuity"
    EQUAL_PRINCIPAL = "equal_principal"
    BULLET = "bullet"
    LTV_CONSTANT = "ltv_constant"
    DSCR_SCULPTED = "dscr_sculpted"


@dataclass(frozen=True, slots=True)
class CashFlow:
    """Cash for debt service that the borrower states: ``years`` hold successive twelve months from the day ``since``."""

    since: date
    years: tuple[Money, ...]
    cited: Citation

    def to_json(self) -> dict[str, Any]:
        """Return the canonical JSON object."""
        years = [amount.to_json() for amount in self.years]
        return {"since": self.since.isoformat(), "years": years, "cited": self.cited.to_json()}

    @classmethod
    def from_json(cls, document: Any, path: str) -> "CashFlow":
        """Parse; raises a typed error that names the key."""
        record = Record(document, path, "since years cited")
        years = [
            Money(inner.decimal("amount"), inner.text("currency"))
            for inner in (Record(item, where, "amount currency") for where, item in record.items("years", least=1))
        ]
        if len(years) > MAX_YEARS:
            raise OutOfRange(record.path("years"), f"lists of at most {MAX_YEARS} years")
        return cls(record.day("since"), tuple(years), Citation.from_json(record.raw("cited"), record.path("cited")))


@dataclass(frozen=True, slots=True)
class Revenue:
    """A cap of ``multiple`` times a year's data revenue; ``trailing`` is ``None`` for the first year under contract."""

    multiple: Decimal
    trailing: Money | None
    cited: Citation | None

    def to_json(self) -> dict[str, Any]:
        """Return the canonical JSON object."""
        return {
            "multiple": exact.spell(self.multiple),
            "trailing": None if self.trailing is None else self.trailing.to_json(),
            "cited": None if self.cited is None else self.cited.to_json(),
        }

    @classmethod
    def from_json(cls, document: Any, path: str) -> "Revenue":
        """Parse; raises a typed error that names the key."""
        record = Record(document, path, "multiple trailing cited")
        multiple = within(record.decimal("multiple"), record.path("multiple"), above=0, high=10)
        if not record.given("trailing"):
            if record.given("cited"):
                raise OutOfRange(record.path("cited"), "{null} where no amount is stated")
            return cls(multiple, None, None)
        within(record.money("trailing").amount, record.path("trailing"), low=0)
        cited = Citation.from_json(record.raw("cited"), record.path("cited"))
        return cls(multiple, record.money("trailing"), cited)


@dataclass(frozen=True, slots=True)
class Contract:
    """The data contract that runs longest, up to the day ``ends``."""

    ends: date
    cited: Citation

    def to_json(self) -> dict[str, Any]:
        """Return the canonical JSON object."""
        return {"ends": self.ends.isoformat(), "cited": self.cited.to_json()}

    @classmethod
    def from_json(cls, document: Any, path: str) -> "Contract":
        """Parse; raises a typed error that names the key."""
        record = Record(document, path, "ends cited")
        return cls(record.day("ends"), Citation.from_json(record.raw("cited"), record.path("cited")))


@dataclass(frozen=True, slots=True)
class Licensees:
    """Shares of the data revenue by licensee, none of them named; they add up to at most 1."""

    shares: tuple[Decimal, ...]
    cited: Citation

    @property
    def top(self) -> Fraction:
        """Share of the largest licensee."""
        return max(Fraction(share) for share in self.shares)

    @property
    def hhi(self) -> Fraction:
        """Sum of the squared shares; what is not stated counts as one more licensee."""
        stated = [Fraction(share) for share in self.shares]
        rest = 1 - sum(stated, Fraction(0))
        return sum((share * share for share in (*stated, rest)), Fraction(0))

    def to_json(self) -> dict[str, Any]:
        """Return the canonical JSON object."""
        return {"shares": [exact.spell(share) for share in self.shares], "cited": self.cited.to_json()}

    @classmethod
    def from_json(cls, document: Any, path: str) -> "Licensees":
        """Parse; raises a typed error that names the key."""
        record = Record(document, path, "shares cited")
        shares = tuple(
            within(decimal_of(value, where), where, above=0, high=1) for where, value in record.items("shares", least=1)
        )
        if sum(Fraction(share) for share in shares) > 1:
            raise OutOfRange(record.path("shares"), "shares that add up to at most 1")
        return cls(shares, Citation.from_json(record.raw("cited"), record.path("cited")))


@dataclass(frozen=True, slots=True)
class Risk:
    """What a default costs. ``pd`` per year; ``half_life`` in years, ``None`` for the one of the income's facts.

    ``distress``: share of the value that is gone when the borrower itself fails, since its data earns from the same
    business. ``liquidation`` and ``cost`` are shares lost in a sale that takes ``workout`` years. ``drift`` and ``sigma`` are of
    the value, per year and per root year; ``confidence`` is that of the loan to value by quantile.
    """

    pd: CitedShare
    half_life: CitedShare | None
    lgd_floor: Decimal
    liquidation: Decimal
    cost: Decimal
    workout: Decimal
    distress: Decimal
    drift: Decimal
    sigma: Decimal
    confidence: Decimal

    def to_json(self) -> dict[str, Any]:
        """Return the canonical JSON object."""
        return {
            "pd": self.pd.to_json(),
            "half_life": None if self.half_life is None else self.half_life.to_json(),
            **{name: exact.spell(getattr(self, name)) for name in RISK_RANGES},
        }

    @classmethod
    def from_json(cls, document: Any, path: str) -> "Risk":
        """Parse; raises a typed error that names the key."""
        record = Record(document, path, " ".join(("pd", "half_life", *RISK_RANGES)))
        default = CitedShare.from_json(record.raw("pd"), record.path("pd"))
        within(default.value, f"{record.path('pd')}.value", low=Decimal("0.0005"))
        half_life = None
        if record.given("half_life"):
            half_life = CitedShare.from_json(record.raw("half_life"), record.path("half_life"), below=31)
            within(half_life.value, f"{record.path('half_life')}.value", low=Decimal("0.05"), high=30)
        numbers = {name: within(record.decimal(name), record.path(name), **ends) for name, ends in RISK_RANGES.items()}
        return cls(pd=default, half_life=half_life, **numbers)


@dataclass(frozen=True, slots=True)
class Price:
    """The lender's own rates per year; ``capital`` is a share of the exposure, ``None`` for that of an unsecured loan."""

    ftp: Decimal
    opex: Decimal
    hurdle: Decimal
    risk_free: Decimal
    tax: Decimal
    capital: Decimal | None

    def to_json(self) -> dict[str, Any]:
        """Return the canonical JSON object."""
        rates = {name: exact.spell(getattr(self, name)) for name in (*RATES, "tax")}
        return rates | {"capital": None if self.capital is None else exact.spell(self.capital)}

    @classmethod
    def from_json(cls, document: Any, path: str) -> "Price":
        """Parse; raises a typed error that names the key."""
        record = Record(document, path, " ".join((*RATES, "tax", "capital")))
        rates = {name: within(record.decimal(name), record.path(name), low=0, high=Decimal("0.3")) for name in RATES}
        capital = None
        if record.given("capital"):
            capital = within(record.decimal("capital"), record.path("capital"), above=0, high=1)
        return cls(**rates, tax=within(record.decimal("tax"), record.path("tax"), low=0, below=1), capital=capital)


@dataclass(frozen=True, slots=True)
class Loan:
    """One loan as its lender plans it. ``amount`` is what is asked for, ``None`` for the whole limit; ``rate`` is nominal.

    ``cash`` is ``None`` where the income of the appraisal serves the debt. ``evidence`` is of covenants that an appraisal cannot measure.
    """

    borrower: str
    use: str
    amount: Money | None
    drawn: date
    rate: Decimal
    kind: Kind
    months: int
    basis: Basis
    dscr_target: Decimal
    cash: CashFlow | None
    revenue: Revenue | None
    contract: Contract | None
    licensees: Licensees | None
    risk: Risk
    price: Price
    stress_months: int = 12
    bands: Bands = field(default_factory=Bands)
    calendar: Calendar = field(default_factory=Calendar)
    covenants: Mapping[str, Decimal] = field(default_factory=lambda: agreed_from_json(None, "covenants"))
    evidence: Mapping[str, CitedShare] = field(default_factory=dict)

    @property
    def amounts(self) -> tuple[Money, ...]:
        """Every amount of money that is stated."""
        stated = (self.amount, None if self.revenue is None else self.revenue.trailing)
        years = () if self.cash is None else self.cash.years
        return (*(amount for amount in stated if amount is not None), *years)

    @property
    def citations(self) -> dict[str, Citation]:
        """Every source, by the path of its key within the loan."""
        parts = {
            "cash": self.cash,
            "contract": self.contract,
            "licensees": self.licensees,
            "risk.pd": self.risk.pd,
            "risk.half_life": self.risk.half_life,
            **{f"evidence.{name}": one for name, one in self.evidence.items()},
        }
        found = {key: part.cited for key, part in parts.items() if part is not None}
        if self.revenue is not None and self.revenue.cited is not None:
            found["revenue"] = self.revenue.cited
        return found

    def check(self, *, on: date, maturity: date, currency: str, path: str = "terms.loan") -> None:
        """Check what the loan alone cannot show: dates and currency against the appraisal's and the terms'.

        Raises:
            OutOfRange: naming a date. CurrencyMismatch: if an amount is in another currency.
        """
        for amount in self.amounts:
            if amount.currency != currency:
                raise CurrencyMismatch(currency, amount.currency)
        if not on <= self.drawn < maturity:
            raise OutOfRange(f"{path}.drawn", "dates from the valuation date on, before maturity")
        for key, cited in self.citations.items():
            if cited.on > on:
                raise OutOfRange(f"{path}.{key}.cited.on", "dates up to the valuation date")

    def to_json(self) -> dict[str, Any]:
        """Return the canonical JSON object."""
        parts = {
            "cash": self.cash,
            "revenue": self.revenue,
            "contract": self.contract,
            "licensees": self.licensees,
        }
        return {
            "borrower": self.borrower,
            "use": self.use,
            "amount": None if self.amount is None else self.amount.to_json(),
            "drawn": self.drawn.isoformat(),
            "rate": exact.spell(self.rate),
            "kind": self.kind.value,
            "months": self.months,
            "basis": self.basis.value,
            "dscr_target": exact.spell(self.dscr_target),
            **{name: None if part is None else part.to_json() for name, part in parts.items()},
            "risk": self.risk.to_json(),
            "price": self.price.to_json(),
            "stress_months": self.stress_months,
            "bands": self.bands.to_json(),
            "holidays": sorted(day.isoformat() for day in self.calendar.holidays),
            "workdays": sorted(day.isoformat() for day in self.calendar.workdays),
            "covenants": spelled(self.covenants),
            "evidence": {name: one.to_json() for name, one in self.evidence.items()},
        }

    @classmethod
    def from_json(cls, document: Any, path: str = "terms.loan") -> "Loan":
        """Parse; raises a typed error that names the key. What may be left out takes its usual value."""
        required = (
            "borrower use amount drawn rate kind months basis dscr_target cash revenue contract licensees risk price"
        )
        record = Record(document, path, required, "stress_months bands holidays workdays covenants evidence")
        rest = {
            key: [_day(item, where) for where, item in record.items(key)] if record.given(key) else []
            for key in ("holidays", "workdays")
        }
        amount = None
        if record.given("amount"):
            amount = record.money("amount")
            within(amount.amount, record.path("amount"), low=1)
        months = record.integer("months", low=1, high=12)
        if months not in EVERY:
            raise OutOfRange(record.path("months"), "{" + ", ".join(map(str, EVERY)) + "}")

        def part(key: str, kind: Any) -> Any:
            return kind.from_json(record.raw(key), record.path(key)) if record.given(key) else None

        stress = record.integer("stress_months", low=0, high=60) if record.given("stress_months") else 12
        return cls(
            borrower=record.text("borrower"),
            use=record.text("use"),
            amount=amount,
            drawn=record.day("drawn"),
            rate=within(record.decimal("rate"), record.path("rate"), above=0, below=1),
            kind=Kind(record.member(Kind, "kind")),
            months=months,
            basis=Basis(record.member(Basis, "basis")),
            dscr_target=within(record.decimal("dscr_target"), record.path("dscr_target"), low=1, high=3),
            cash=part("cash", CashFlow),
            revenue=part("revenue", Revenue),
            contract=part("contract", Contract),
            licensees=part("licensees", Licensees),
            risk=Risk.from_json(record.raw("risk"), record.path("risk")),
            price=Price.from_json(record.raw("price"), record.path("price")),
            stress_months=stress,
            bands=part("bands", Bands) or Bands(),
            calendar=Calendar(frozenset(rest["holidays"]), frozenset(rest["workdays"])),
            covenants=agreed_from_json(record.raw("covenants"), record.path("covenants")),
            evidence=_evidence(record),
        )


def _day(value: Any, path: str) -> date:
    return Record({"day": value}, path, "day").day("day")


def _evidence(record: Record) -> dict[str, CitedShare]:
    if not record.given("evidence"):
        return {}
    inner = Record(record.raw("evidence"), record.path("evidence"), "", " ".join(sorted(DECLARED)))
    most = 10**6
    return {
        name: CitedShare.from_json(inner.raw(name), inner.path(name), below=most)
        for name in sorted(DECLARED)
        if inner.given(name)
    }


RISK_RANGES: Mapping[str, dict[str, Decimal | int]] = {
    "lgd_floor": {"low": Decimal("0.25"), "high": 1},
    "liquidation": {"low": 0, "high": Decimal("0.95")},
    "cost": {"low": 0, "high": Decimal("0.4")},
    "workout": {"low": 0, "high": 10},
    "distress": {"low": 0, "below": 1},
    "drift": {"above": -1, "below": 1},
    "sigma": {"low": Decimal("0.05"), "high": 2},
    "confidence": {"above": Decimal("0.5"), "below": 1},
}
"""Ranges of the shares and rates that a :class:`Risk` is made of; outside is refused."""

RATES = ("ftp", "opex", "hurdle", "risk_free")
"""Rates of a :class:`Price`, each in [0, 0.3]."""
