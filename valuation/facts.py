"""What is known about an asset on one date, each fact with its source, owner, date and document hash.

Strict: an unknown key, a missing key, a wrong type or an impossible date is a typed error naming the key. Numbers with
decimals travel as text; absent optional facts are ``null``.
"""

from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from enum import StrEnum
from typing import Any

from valuation import exact
from valuation.asset import Citation
from valuation.deals import MarketFacts
from valuation.earnings import IncomeFacts
from valuation.errors import CurrencyMismatch, MissingKey, OutOfRange, WrongType
from valuation.intake import Record, decimal_of, within
from valuation.money import Money, check_currency
from valuation.option import OptionFacts
from valuation.records import Grain, Usage

MAX_LIFE = 100
"""No data asset is older, or expected to live longer, in years."""


class CostKind(StrEnum):
    """Cost elements of the 2023 guidance's cost approach."""

    PRE = "pre"
    DIRECT = "direct"
    INDIRECT = "indirect"
    OPPORTUNITY = "opportunity"
    TAX = "tax"


class OwnerForm(StrEnum):
    """Legal form of the owner; administrative and public-institution data may not secure a loan."""

    COMPANY = "company"
    FINANCIAL_INSTITUTION = "financial_institution"
    AUTHORISED_OPERATOR = "authorised_operator"
    PUBLIC_INSTITUTION = "public_institution"
    GOVERNMENT = "government"


class LawfulBasis(StrEnum):
    """Why personal data may be processed (PIPL article 13), or that it no longer is personal (article 4)."""

    CONSENT = "consent"
    CONTRACT = "contract"
    LEGAL_DUTY = "legal_duty"
    PUBLIC_INTEREST = "public_interest"
    DISCLOSED = "disclosed"
    ANONYMISED = "anonymised"


@dataclass(frozen=True, slots=True)
class CostLine:
    """One cost: the calendar year in which it was spent, its kind, the nominal amount."""

    year: int
    kind: CostKind
    amount: Money
    cited: Citation

    def to_json(self) -> dict[str, Any]:
        """Return the canonical JSON object."""
        return {
            "year": self.year,
            "kind": self.kind.value,
            "amount": self.amount.to_json(),
            "cited": self.cited.to_json(),
        }

    @classmethod
    def from_json(cls, document: Any, path: str) -> "CostLine":
        """Parse; raises a typed error that names the key."""
        record = Record(document, path, "year kind amount cited")
        amount = record.money("amount")
        within(amount.amount, record.path("amount"), low=0)
        return cls(
            year=record.integer("year", low=1970, high=2200),
            kind=CostKind(record.member(CostKind, "kind")),
            amount=amount,
            cited=Citation.from_json(record.raw("cited"), record.path("cited")),
        )


@dataclass(frozen=True, slots=True)
class PriceIndex:
    """Level of one price index by calendar year, any base, above 0; sorted by year."""

    levels: tuple[tuple[int, Decimal], ...]
    cited: Citation

    def level(self, year: int, *, path: str = "facts.price_index.levels") -> Decimal:
        """Return the level of ``year``.

        Raises:
            MissingKey: if the index does not cover it.
        """
        for known, level in self.levels:
            if known == year:
                return level
        raise MissingKey(f"{path}.{year}")

    def to_json(self) -> dict[str, Any]:
        """Return the canonical JSON object."""
        return {
            "levels": {str(year): exact.spell(level) for year, level in self.levels},
            "cited": self.cited.to_json(),
        }

    @classmethod
    def from_json(cls, document: Any, path: str) -> "PriceIndex":
        """Parse; raises a typed error that names the key."""
        record = Record(document, path, "levels cited")
        levels = {}
        for where, name, value in record.entries("levels"):
            if not (name.isascii() and name.isdigit() and len(name) == 4):
                raise WrongType(where, "a year of four digits")
            levels[int(name)] = within(decimal_of(value, where), where, above=0)
        cited = Citation.from_json(record.raw("cited"), record.path("cited"))
        return cls(tuple(sorted(levels.items())), cited)


@dataclass(frozen=True, slots=True)
class Life:
    """Age and remaining useful life in years; ``low`` and ``high`` bound the remaining life where it is uncertain."""

    age: Decimal
    remaining: Decimal
    low: Decimal | None
    high: Decimal | None
    cited: Citation

    def to_json(self) -> dict[str, Any]:
        """Return the canonical JSON object."""
        return {
            "age_years": exact.spell(self.age),
            "remaining_years": exact.spell(self.remaining),
            "remaining_low": None if self.low is None else exact.spell(self.low),
            "remaining_high": None if self.high is None else exact.spell(self.high),
            "cited": self.cited.to_json(),
        }

    @classmethod
    def from_json(cls, document: Any, path: str) -> "Life":
        """Parse; raises a typed error that names the key."""
        record = Record(document, path, "age_years remaining_years remaining_low remaining_high cited")
        age = within(record.decimal("age_years"), record.path("age_years"), low=0, high=MAX_LIFE)
        remaining = within(record.decimal("remaining_years"), record.path("remaining_years"), above=0, high=MAX_LIFE)
        low, high = (record.decimal(key) if record.given(key) else None for key in ("remaining_low", "remaining_high"))
        if (low is None) != (high is None):
            raise MissingKey(record.path("remaining_low" if low is None else "remaining_high"))
        if low is not None and high is not None:
            within(low, record.path("remaining_low"), above=0, high=remaining)
            within(high, record.path("remaining_high"), low=remaining, high=MAX_LIFE)
        return cls(age, remaining, low, high, Citation.from_json(record.raw("cited"), record.path("cited")))


@dataclass(frozen=True, slots=True)
class TitleDocument:
    """One link of the chain of title: ``grantor`` gave ``grantee`` its rights from ``issued`` to ``expires``.

    ``expires`` is the last day of validity; ``None`` if the right has no term.
    """

    name: str
    grantor: str
    grantee: str
    issued: date
    expires: date | None
    document: str

    def to_json(self) -> dict[str, Any]:
        """Return the canonical JSON object."""
        return {
            "name": self.name,
            "grantor": self.grantor,
            "grantee": self.grantee,
            "issued": self.issued.isoformat(),
            "expires": None if self.expires is None else self.expires.isoformat(),
            "document": self.document,
        }

    @classmethod
    def from_json(cls, document: Any, path: str) -> "TitleDocument":
        """Parse; raises a typed error that names the key."""
        record = Record(document, path, "name grantor grantee issued expires document")
        issued = record.day("issued")
        expires = record.day("expires") if record.given("expires") else None
        if expires is not None and expires < issued:
            raise OutOfRange(record.path("expires"), "dates from the date of issue on")
        return cls(
            name=record.text("name"),
            grantor=record.text("grantor"),
            grantee=record.text("grantee"),
            issued=issued,
            expires=expires,
            document=record.digest("document"),
        )


@dataclass(frozen=True, slots=True)
class Dispute:
    """A claim against the asset, open until ``closed``."""

    subject: str
    opened: date
    closed: date | None
    document: str

    def to_json(self) -> dict[str, Any]:
        """Return the canonical JSON object."""
        return {
            "subject": self.subject,
            "opened": self.opened.isoformat(),
            "closed": None if self.closed is None else self.closed.isoformat(),
            "document": self.document,
        }

    @classmethod
    def from_json(cls, document: Any, path: str) -> "Dispute":
        """Parse; raises a typed error that names the key."""
        record = Record(document, path, "subject opened closed document")
        opened, closed = record.day("opened"), record.day("closed") if record.given("closed") else None
        if closed is not None and closed < opened:
            raise OutOfRange(record.path("closed"), "dates from the day of opening on")
        return cls(record.text("subject"), opened, closed, record.digest("document"))


@dataclass(frozen=True, slots=True)
class Legal:
    """What the gates look at. ``title`` lists every document by which rights reached the owner, sources first.

    ``basis`` is needed only if the asset holds personal data. ``refresh_days`` is how old a live dataset of this kind
    may become; ``refreshed`` cites the log that shows the last refresh, its date being the day of the refresh.
    """

    owner_form: OwnerForm
    title: tuple[TitleDocument, ...]
    personal_data: bool
    basis: LawfulBasis | None
    basis_cited: Citation | None
    disputes: tuple[Dispute, ...]
    refresh_days: int
    refreshed: Citation

    @property
    def expires(self) -> date | None:
        """Last day on which every title document is valid: the weakest upstream licence rules; ``None`` if unlimited."""
        return min((link.expires for link in self.title if link.expires is not None), default=None)

    def to_json(self) -> dict[str, Any]:
        """Return the canonical JSON object."""
        basis = None
        if self.basis is not None and self.basis_cited is not None:
            basis = {"kind": self.basis.value, "cited": self.basis_cited.to_json()}
        return {
            "owner_form": self.owner_form.value,
            "title": [link.to_json() for link in self.title],
            "personal_data": self.personal_data,
            "lawful_basis": basis,
            "disputes": [dispute.to_json() for dispute in self.disputes],
            "refresh_days": self.refresh_days,
            "refreshed": self.refreshed.to_json(),
        }

    @classmethod
    def from_json(cls, document: Any, path: str) -> "Legal":
        """Parse; raises a typed error that names the key."""
        keys = "owner_form title personal_data lawful_basis disputes refresh_days refreshed"
        record = Record(document, path, keys)
        basis, basis_cited = None, None
        if record.given("lawful_basis"):
            inner = Record(record.raw("lawful_basis"), record.path("lawful_basis"), "kind cited")
            basis = LawfulBasis(inner.member(LawfulBasis, "kind"))
            basis_cited = Citation.from_json(inner.raw("cited"), inner.path("cited"))
        return cls(
            owner_form=OwnerForm(record.member(OwnerForm, "owner_form")),
            title=tuple(TitleDocument.from_json(item, where) for where, item in record.items("title")),
            personal_data=record.flag("personal_data"),
            basis=basis,
            basis_cited=basis_cited,
            disputes=tuple(Dispute.from_json(item, where) for where, item in record.items("disputes")),
            refresh_days=record.integer("refresh_days", low=1, high=3660),
            refreshed=Citation.from_json(record.raw("refreshed"), record.path("refreshed")),
        )


@dataclass(frozen=True, slots=True)
class BookValue:
    """Carrying amount in the owner's accounts, 0 if the asset is not on the balance sheet."""

    amount: Money
    cited: Citation


@dataclass(frozen=True, slots=True)
class Facts:
    """Everything an appraisal on the day ``on`` may use, valid for that day only. All money is in ``currency``.

    ``horizon`` is the last day up to which the asset's rights must hold for the purpose (a pledge: past the loan's end).
    ``income``, ``market``, ``option``, ``grain`` and ``usage`` are ``None`` where there is nothing to state; the document then lacks them.
    """

    on: date
    horizon: date
    currency: str
    costs: tuple[CostLine, ...]
    price_index: PriceIndex
    life: Life
    book_value: BookValue
    legal: Legal
    income: IncomeFacts | None = None
    market: MarketFacts | None = None
    option: OptionFacts | None = None
    grain: Grain | None = None
    usage: Usage | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the canonical JSON object."""
        further = {
            "income": self.income,
            "market": self.market,
            "option": self.option,
            "grain": self.grain,
            "usage": self.usage,
        }
        return {
            "on": self.on.isoformat(),
            "horizon": self.horizon.isoformat(),
            "currency": self.currency,
            "costs": [line.to_json() for line in self.costs],
            "price_index": self.price_index.to_json(),
            "life": self.life.to_json(),
            "book_value": {"amount": self.book_value.amount.to_json(), "cited": self.book_value.cited.to_json()},
            "legal": self.legal.to_json(),
            **{key: facts.to_json() for key, facts in further.items() if facts is not None},
        }

    @classmethod
    def from_json(cls, document: Any, path: str = "facts") -> "Facts":
        """Parse; raises a typed error that names the key."""
        record = Record(
            document,
            path,
            "on horizon currency costs price_index life book_value legal",
            "income market option grain usage",
        )
        on, horizon = record.day("on"), record.day("horizon")
        if horizon < on:
            raise OutOfRange(record.path("horizon"), "dates from the valuation date on")
        book = Record(record.raw("book_value"), record.path("book_value"), "amount cited")
        within(book.money("amount").amount, book.path("amount"), low=0)
        facts = cls(
            on=on,
            horizon=horizon,
            currency=check_currency(record.raw("currency"), key=record.path("currency")),
            costs=tuple(CostLine.from_json(item, where) for where, item in record.items("costs", least=1)),
            price_index=PriceIndex.from_json(record.raw("price_index"), record.path("price_index")),
            life=Life.from_json(record.raw("life"), record.path("life")),
            book_value=BookValue(book.money("amount"), Citation.from_json(book.raw("cited"), book.path("cited"))),
            legal=Legal.from_json(record.raw("legal"), record.path("legal")),
            income=IncomeFacts.from_json(record.raw("income"), record.path("income")) if "income" in document else None,
            market=MarketFacts.from_json(record.raw("market"), record.path("market")) if "market" in document else None,
            option=OptionFacts.from_json(record.raw("option"), record.path("option")) if "option" in document else None,
            grain=Grain.from_json(record.raw("grain"), record.path("grain")) if "grain" in document else None,
            usage=Usage.from_json(record.raw("usage"), record.path("usage")) if "usage" in document else None,
        )
        facts._check(path)
        return facts

    def _check(self, path: str) -> None:
        """What no single field can show: one currency, and nothing that happened after the date of the facts."""
        further = [facts for facts in (self.income, self.market, self.option) if facts is not None]
        amounts = [line.amount for line in self.costs] + [money for facts in further for money in facts.amounts]
        for money in (*amounts, self.book_value.amount):
            if money.currency != self.currency:
                raise CurrencyMismatch(self.currency, money.currency)
        past = {f"costs[{i}].cited.on": line.cited.on for i, line in enumerate(self.costs)}
        past |= {f"legal.title[{i}].issued": link.issued for i, link in enumerate(self.legal.title)}
        past |= {f"legal.disputes[{i}].opened": dispute.opened for i, dispute in enumerate(self.legal.disputes)}
        past |= {
            "price_index.cited.on": self.price_index.cited.on,
            "life.cited.on": self.life.cited.on,
            "book_value.cited.on": self.book_value.cited.on,
            "legal.refreshed.on": self.legal.refreshed.on,
        }
        if self.legal.basis_cited is not None:
            past["legal.lawful_basis.cited.on"] = self.legal.basis_cited.on
        past |= {
            f"{key}.cited.on": fact.cited.on
            for key, fact in (("grain", self.grain), ("usage", self.usage))
            if fact is not None
        }
        past |= {key: day for facts in further for key, day in facts.dates}
        for key, day in past.items():
            if day > self.on:
                raise OutOfRange(f"{path}.{key}", "dates up to the date of the facts")
        for index, line in enumerate(self.costs):
            if line.year > self.on.year:
                raise OutOfRange(f"{path}.costs[{index}].year", "years up to the date of the facts")
