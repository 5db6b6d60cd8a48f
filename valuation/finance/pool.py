"""The loans of a securitisation: who owes what, against which pledged data, and what they pay under a scenario."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from fractions import Fraction
from functools import lru_cache

from valuation.desk.reals import halved, power, rounded
from valuation.desk.schedules import KINDS
from valuation.errors import Finding, GatesClosed, OutOfRange
from valuation.finance.factor import MOST, Obligor
from valuation.finance.loans import Instalment, schedule
from valuation.finance.stated import MOST_PERIODS, Frame, choice, names_once, stated
from valuation.finance.waterfall import Pool
from valuation.intake import Record, within
from valuation.trace import Traced, derived

MOST_LOANS = 100
MOST_LAG = 24
SOURCE = "Vasicek one-factor binomial mixture, unequal loans"


@dataclass(frozen=True, slots=True)
class Pledge:
    """Data pledged for one loan: its recognised value in cents, and how fast that fades."""

    recognised: Traced
    half_life: Fraction

    def after(self, years: Fraction) -> int:
        """Recognised value in cents after ``years``, rounded down."""
        return int(rounded(self.recognised.fraction * 100 * _kept(years, self.half_life)))


@lru_cache(maxsize=4096)
def _kept(years: Fraction, half_life: Fraction) -> Fraction:
    return halved(years, half_life)


@dataclass(frozen=True, slots=True)
class Loan:
    """One loan of the pool: figures of its balance, default probability a year and loss given default, and its payments."""

    name: str
    obligor: str
    balance: Traced
    pd: Traced
    lgd: Traced
    payments: tuple[Instalment, ...]
    pledge: Pledge | None

    @property
    def cents(self) -> int:
        """Balance at the start."""
        return self.payments[0].opening


@dataclass(frozen=True, slots=True)
class Scenario:
    """A named course of events: in which period a loan stops paying, and in which the servicer fails."""

    name: str
    reason: str
    stops: Mapping[str, int]
    servicer_fails: int | None


def read_loans(record: Record, frame: Frame, count: int) -> tuple[Loan, ...]:
    """Read the pool; ``count`` periods a year.

    Raises:
        BadInput: naming the key. GatesClosed: with every loan whose title to the data ends before the loan.
    """
    loans: list[Loan] = []
    findings = []
    for where, item in record.items("loans", least=1):
        if len(loans) == MOST_LOANS:
            raise OutOfRange(record.path("loans"), f"lists of 1 to {MOST_LOANS} elements")
        one = Record(item, where, "name obligor balance rate periods kind pd lgd pledge cited")
        number, cited = len(loans) + 1, frame.cited(one)
        name, cents = one.text("name"), frame.cents(one, "balance")
        if cents == 0:
            raise OutOfRange(one.path("balance"), "amounts above 0")
        rate = Fraction(within(one.decimal("rate"), one.path("rate"), low=0, below=1))
        pd = within(one.decimal("pd"), one.path("pd"), low=Decimal("0.0005"), below=1)
        lgd = within(one.decimal("lgd"), one.path("lgd"), low=Decimal("0.25"), high=1)
        periods = one.integer("periods", low=1, high=MOST_PERIODS)
        pledge = None
        if one.given("pledge"):
            pledge, ends = _pledge(one, frame, number)
            if ends is not None and ends <= _after(frame.on, periods * 12 // count):
                reason = f"the title of loan {number} ends on {ends.isoformat()}, before the loan"
                findings.append(Finding("title", reason, "a renewal of the title beyond the last payment"))
        loans.append(
            Loan(
                name=name,
                obligor=one.text("obligor"),
                balance=stated(
                    f"loan.{number}.balance", f"balance of loan {number}", frame.money(one, "balance"), cited
                ),
                pd=stated(f"loan.{number}.pd", f"default probability of loan {number}", pd, cited, unit="1/y"),
                lgd=stated(f"loan.{number}.lgd", f"loss given default of loan {number}", lgd, cited, unit="share"),
                payments=schedule(cents, rate / count, periods=periods, kind=choice(one, "kind", KINDS)),
                pledge=pledge,
            )
        )
    names_once([loan.name for loan in loans], record.path("loans"))
    if findings:
        raise GatesClosed(findings)
    return tuple(loans)


def _pledge(one: Record, frame: Frame, number: int) -> tuple[Pledge, date | None]:
    inner = Record(one.raw("pledge"), one.path("pledge"), "recognised half_life lien title_expires cited")
    inner.digest("lien")
    frame.cents(inner, "recognised")
    value = stated(
        f"loan.{number}.recognised",
        f"recognised value of the data of loan {number}",
        frame.money(inner, "recognised"),
        frame.cited(inner),
    )
    half_life = within(inner.decimal("half_life"), inner.path("half_life"), low=Decimal("0.05"), high=30)
    return Pledge(value, Fraction(half_life)), inner.day("title_expires") if inner.given("title_expires") else None


def _after(day: date, months: int) -> date:
    """The day that many months later, or the last one of its month."""
    year, month = divmod(day.year * 12 + day.month - 1 + months, 12)
    for last in (day.day, 30, 29, 28):
        try:
            return date(year, month + 1, last)
        except ValueError:
            continue
    raise OutOfRange("on", "dates of the calendar")


def read_scenarios(record: Record, loans: Sequence[Loan]) -> tuple[Scenario, ...]:
    """Read the scenarios; the one in which every loan pays comes first and is not stated.

    Raises:
        BadInput: naming the key.
    """
    lives = {loan.name: len(loan.payments) for loan in loans}
    found = [Scenario("as agreed", "every loan pays", {}, None)]
    for where, item in record.items("scenarios"):
        one = Record(item, where, "name reason stops servicer_fails")
        stops: dict[str, int] = {}
        for place, stop in one.items("stops"):
            inner = Record(stop, place, "loan period")
            name = inner.text("loan")
            if name not in lives or name in stops:
                raise OutOfRange(inner.path("loan"), "loans of the pool, each once")
            stops[name] = inner.integer("period", low=1, high=lives[name])
        fails = one.integer("servicer_fails", low=1, high=MOST_PERIODS) if one.given("servicer_fails") else None
        found.append(Scenario(one.text("name"), one.text("reason"), stops, fails))
    if len(found) > 10:
        raise OutOfRange(record.path("scenarios"), "lists of 0 to 9 elements")
    names_once([one.name for one in found], record.path("scenarios"))
    return tuple(found)


def play(loans: Sequence[Loan], scenario: Scenario, *, count: int, lag: int) -> tuple[Pool, ...]:
    """What the pool pays in each period; what stopped is recovered ``lag`` periods later, rounded down to the cent."""
    ends = [len(loan.payments) for loan in loans]
    ends += [period + lag for period in scenario.stops.values()]
    pools = []
    defaulted = 0
    for period in range(1, max(ends) + 1):
        opening = closing = interest = principal = recovered = recognised = 0
        for loan in loans:
            stop = scenario.stops.get(loan.name)
            if stop is not None and period == stop + lag:
                recovered += int(loan.payments[stop - 1].opening * (1 - loan.lgd.fraction))
            if period > len(loan.payments) or (stop is not None and period > stop):
                continue
            payment = loan.payments[period - 1]
            opening += payment.opening
            if period == stop:
                defaulted += payment.opening
                continue
            interest += payment.interest
            principal += payment.principal
            closing += payment.closing
            if loan.pledge is not None and payment.closing > 0:
                recognised += loan.pledge.after(Fraction(period, count))
        failed = scenario.servicer_fails is not None and period >= scenario.servicer_fails
        pools.append(Pool(opening, closing, interest, principal, recovered, defaulted, recognised, failed))
    return tuple(pools)


def obligors(loans: Sequence[Loan], count: int, path: str) -> tuple[tuple[Obligor, ...], tuple[Traced, ...]]:
    """Each obligor once, with its loans' loss together, and the figures of its default probability up to its last payment.

    Raises:
        OutOfRange: if there are more than a small pool has, or loans of one obligor state different probabilities.
    """
    groups: dict[str, list[Loan]] = {}
    for loan in loans:
        groups.setdefault(loan.obligor, []).append(loan)
    if len(groups) > MOST:
        raise OutOfRange(path, f"pools of at most {MOST} obligors")
    found, figures = [], []
    for number, group in enumerate(groups.values(), start=1):
        if len({loan.pd.fraction for loan in group}) > 1:
            raise OutOfRange(path, "loans of one obligor with one default probability")
        years = Fraction(max(len(loan.payments) for loan in group), count)
        chance = 1 - rounded(power(1 - group[0].pd.fraction, years))
        figures.append(
            derived(
                f"obligor.{number}.pd",
                f"default probability of obligor {number} up to its last payment",
                chance,
                unit="probability",
                formula=f"1 - (1 - default probability a year) ^ {years} years",
                because=(group[0].pd,),
                source=SOURCE,
            )
        )
        loss = sum((loan.cents * loan.lgd.fraction for loan in group), Fraction(0))
        found.append(Obligor(figures[-1].fraction, loss))
    return tuple(found), tuple(figures)
