"""Pledge records as a supervisor receives them; there is no key for anything of what is in the data."""

from dataclasses import dataclass
from datetime import date
from fractions import Fraction

from valuation.errors import OutOfRange
from valuation.finance.cascade import STATES, Shock
from valuation.finance.cents import cents_of
from valuation.finance.stated import Frame, choice, names_once, texts
from valuation.intake import Record, within

PRODUCTS = ("pledge", "guarantee", "trust", "abs")
MOST_RECORDS, MOST_SHOCKS = 3000, 10


@dataclass(frozen=True, slots=True)
class Held:
    """One live pledge, amounts in cents; both values are 0 where they are not ``shown``."""

    name: str
    groups: dict[str, str]
    value: int
    recognised: int
    loan: int
    state: str
    title_expires: date | None
    maturity: date
    overrides: tuple[str, ...]
    shown: bool

    @property
    def ltv(self) -> Fraction | None:
        """Loan to recognised value; ``None`` without one."""
        return Fraction(self.loan, self.recognised) if self.recognised else None


def read_records(record: Record, frame: Frame) -> tuple[Held, ...]:
    """Read the live pledges; raises a typed error that names the key."""
    found = []
    keys = "name lender institution sector product value recognised loan state title_expires maturity overrides"
    for where, item in record.items("records"):
        one = Record(item, where, keys)
        groups = texts(one, "lender institution sector") | {"product": choice(one, "product", PRODUCTS)}
        overrides = []
        for place, entry in one.items("overrides"):
            inner = Record(entry, place, "rule approved_by")
            inner.text("approved_by")
            overrides.append(inner.text("rule"))
        shown = one.given("value") or one.given("recognised")
        value, recognised = (
            cents_of(frame.money(one, key), one.path(key)) if shown else 0 for key in ("value", "recognised")
        )
        if recognised > value:
            raise OutOfRange(one.path("recognised"), "amounts up to the value")
        found.append(
            Held(
                name=one.text("name"),
                groups=groups,
                value=value,
                recognised=recognised,
                loan=cents_of(frame.money(one, "loan"), one.path("loan")),
                state=choice(one, "state", STATES),
                title_expires=one.day("title_expires") if one.given("title_expires") else None,
                maturity=one.day("maturity"),
                overrides=tuple(overrides),
                shown=shown,
            )
        )
    if len(found) > MOST_RECORDS:
        raise OutOfRange(record.path("records"), f"lists of 0 to {MOST_RECORDS} elements")
    names_once([one.name for one in found], record.path("records"))
    return tuple(found)


def read_refusals(record: Record, frame: Frame) -> list[tuple[str, str]]:
    """Read who refused an application, and for which gate; raises a typed error that names the key."""
    found = []
    for where, item in record.items("refusals"):
        one = Record(item, where, "lender product gate on")
        choice(one, "product", PRODUCTS)
        if one.day("on") > frame.on:
            raise OutOfRange(one.path("on"), "dates up to the day of the calculation")
        found.append((one.text("lender"), one.text("gate")))
    return found


def read_shocks(record: Record) -> tuple[Shock, ...]:
    """Read the shocks to be tried; raises a typed error that names the key."""
    found = []
    for where, item in record.items("shocks"):
        one = Record(item, where, "name drop impact")
        drop = within(one.decimal("drop"), one.path("drop"), low=0, below=1)
        impact = within(one.decimal("impact"), one.path("impact"), low=0, below=1)
        found.append(Shock(one.text("name"), Fraction(drop), Fraction(impact)))
    if len(found) > MOST_SHOCKS:
        raise OutOfRange(record.path("shocks"), f"lists of 0 to {MOST_SHOCKS} elements")
    return tuple(found)
