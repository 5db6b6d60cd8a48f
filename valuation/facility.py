"""One loan planned in full on top of its limit: amount, price, tenor, repayment, covenants, margin, stress; all traced."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import date
from fractions import Fraction
from typing import Any

from valuation import exact, pricing, schedule, stress, tenor
from valuation.cash import SOURCE as COVER
from valuation.cash import TERMS, Cash, evidenced, rate_of, revenue_of
from valuation.cost import Appraisal, Remark
from valuation.covenant import Examined, examine
from valuation.days import later
from valuation.desk.reals import halved
from valuation.loan import Kind, Loan
from valuation.margin import Reading, opened, step
from valuation.money import Money
from valuation.origination import measured
from valuation.pricing import Pricing
from valuation.schedule import Payment, Plan
from valuation.stress import Base, Row
from valuation.tenor import Tenor
from valuation.trace import Traced, derived, given

RULE = "product rule"


@dataclass(frozen=True, slots=True)
class Secured:
    """What the quote has found before a loan is planned on it. ``value`` is the lower end before haircuts.

    ``binding`` names what sets the limit, ``serves`` is the loan that the cash flow serves, if any is evidenced.
    """

    appraisal: Appraisal
    maturity: date
    value: Traced
    prior: Traced
    years: Traced
    recognised: Traced
    ltv_cap: Traced
    limit: Traced
    binding: str
    serves: Fraction | None
    value_to_book: Traced | None


@dataclass(frozen=True, slots=True)
class Facility:
    """The loan. ``cover`` is the least cash over debt service of a period; ``state`` is the margin state on the first day."""

    loan: Loan
    asked: Traced | None
    amount: Traced
    pricing: Pricing
    tenor: Tenor
    payments: tuple[Payment, ...]
    repaid: tuple[Traced, ...]
    cover: Traced | None
    covenants: tuple[Examined, ...]
    margin: tuple[Traced, ...]
    state: str
    rows: tuple[Row, ...]
    drop: Traced
    reverse: Traced | None
    ratios: tuple[Traced, ...]
    remarks: tuple[Remark, ...]

    @property
    def roots(self) -> tuple[Traced, ...]:
        """The figures from which every other figure of the loan can be reached."""
        optional = (self.asked, self.cover, self.reverse)
        return (
            *self.pricing.roots,
            self.tenor.days,
            *self.repaid,
            *(figure for test in self.covenants for figure in test.figures),
            *self.margin,
            *(figure for row in self.rows for figure in row.roots),
            self.drop,
            *self.ratios,
            *(figure for figure in optional if figure is not None),
        )

    def to_json(self) -> dict[str, Any]:
        """Name what concludes; values stand in the list of figures."""

        def key(figure: Traced | None) -> str | None:
            return None if figure is None else figure.key

        return {
            "asked": key(self.asked),
            "amount": self.amount.key,
            "expected_loss": self.pricing.expected_loss.key,
            "lgd": self.pricing.lgd.key,
            "economic_lgd": self.pricing.economic_lgd.key,
            "recovery": self.pricing.recovery.key,
            "floor": self.pricing.floor.key,
            "rate": "loan.rate",
            "raroc": self.pricing.raroc.key,
            "hurdle": self.pricing.hurdle.key,
            "ltv_max": self.pricing.ltv_max.key,
            "tenor": {"prudent": self.tenor.days.key, "binding": self.tenor.binding, "days": "tenor.days"},
            "cover": key(self.cover),
            "payments": [
                {
                    "number": payment.number,
                    "from": payment.start.isoformat(),
                    "to": payment.end.isoformat(),
                    "days": payment.days,
                    "due": payment.due.isoformat(),
                    "interest": f"schedule.{payment.number}.interest",
                    "principal": f"schedule.{payment.number}.principal",
                    "balance": f"schedule.{payment.number}.balance",
                }
                for payment in self.payments
            ],
            "covenants": [test.to_json() for test in self.covenants],
            "margin": {figure.key.rpartition(".")[2]: figure.key for figure in self.margin},
            "state": self.state,
            "stresses": [row.to_json() for row in self.rows],
            "drop": self.drop.key,
            "reverse": key(self.reverse),
            "ratios": [figure.key for figure in self.ratios],
        }


def plan(loan: Loan, found: Secured) -> Facility | None:
    """Plan ``loan`` within its limit; ``None`` if nothing can be lent.

    Raises:
        OutOfRange: if the schedule follows a cash flow and none is evidenced. MissingKey: if no half-life is.
    """
    asked = None
    if loan.amount is not None:
        asked = given("loan.asked", "amount asked for", loan.amount, source=TERMS)
    if found.limit.fraction == 0:
        return None
    amount = _amount(asked, found.limit)
    if amount.fraction == 0:
        return None
    cash = evidenced(found.appraisal, loan)
    priced = pricing.price(
        found.appraisal, loan, amount=amount, value=found.value, prior=found.prior, years=found.years
    )
    longest = tenor.prudent(found.appraisal, loan)
    payments = schedule.repay(amount.money, _plan(loan, found, priced.half_life, cash))
    cover = None if cash is None else schedule.cover(payments, cash)
    margin = _margin(loan, amount, found.recognised)
    ltv = _over("loan.ltv", "loan to recognised value", amount, found.recognised)
    shown = measured(
        loan, found.appraisal, maturity=found.maturity, ltv=ltv, cover=cover, disclosed=found.value_to_book is not None
    )
    tests = examine(loan.covenants, shown)
    base = _base(loan, found, amount, priced.half_life, cash)
    quality = found.appraisal.quality
    shocks = stress.shocks(loan, error=quality.error.fraction / quality.alpha.fraction)
    rows = stress.rows(base, shocks, loan.bands, cut=found.recognised.fraction / found.value.fraction)
    standing, _ = step(
        opened(loan.drawn),
        Reading(loan.drawn, amount.money, found.recognised.money),
        loan.bands,
        loan.calendar,
    )
    facility = Facility(
        loan=loan,
        asked=asked,
        amount=amount,
        pricing=priced,
        tenor=longest,
        payments=payments,
        repaid=tuple(schedule.figures(payments, amount, rate_of(loan))),
        cover=cover,
        covenants=tests,
        margin=margin,
        state=standing.state.value,
        rows=rows,
        drop=stress.least_drop(base),
        reverse=stress.least_shock(base, shocks[stress.REVERSED]),
        ratios=(ltv, *_ratios(loan, found, amount)),
        remarks=(),
    )
    return replace(facility, remarks=tuple(_remarks(facility, found)))


def rules() -> dict[str, Any]:
    """The product's own numbers, as a report states them."""
    return {
        "unsecured_lgd": exact.spell(exact.written(pricing.UNSECURED_LGD)),
        "rights_days": tenor.RIGHTS_DAYS,
        "most_months": tenor.MOST_MONTHS,
        "quality_sigmas": stress.QUALITY_SIGMAS,
        "reversed": stress.REVERSED,
    }


def _amount(asked: Traced | None, limit: Traced) -> Traced:
    if asked is None:
        return derived(
            "loan.amount", "amount of the loan", limit.money, formula="loan limit", because=(limit,), source=RULE
        )
    return derived(
        "loan.amount",
        "amount of the loan",
        min(asked.money, limit.money).floored(),
        formula="smaller of amount asked for and loan limit, rounded down to the yuan",
        because=(asked, limit),
        source=RULE,
    )


def _plan(loan: Loan, found: Secured, half_life: Traced, cash: Cash | None) -> Plan:
    on, top = found.appraisal.on, found.ltv_cap.fraction * found.recognised.fraction

    def ceiling(day: date) -> Fraction:
        return top * halved(Fraction((day - on).days, 365), half_life.fraction)

    return Plan(
        kind=loan.kind,
        drawn=loan.drawn,
        maturity=found.maturity,
        months=loan.months,
        rate=Fraction(loan.rate),
        basis=loan.basis,
        calendar=loan.calendar,
        ceiling=ceiling,
        cash=None if cash is None else cash.between,
        target=Fraction(loan.dscr_target),
    )


def _margin(loan: Loan, amount: Traced, recognised: Traced) -> tuple[Traced, ...]:
    """Thresholds of the margin states, and the recognised value at which a call would fall due today."""
    bands = {
        name: given(f"margin.{name}", f"LTV on recognised value: {label}", getattr(loan.bands, name), unit="share", source=TERMS)
        for name, label in (
            ("initial", "a cure restores it"), ("release", "below it a warning ends"), ("warning", "warning"),
            ("call", "margin call"), ("liquidation", "liquidation"),
        )
    }  # fmt: skip
    at_call = derived(
        "margin.value_at_call",
        "recognised value at which a margin call falls due",
        Money.of(amount.fraction / bands["call"].fraction, amount.unit),
        formula="amount / call",
        because=(amount, bands["call"]),
        source="product rule",
    )
    drop = derived(
        "margin.drop_to_call",
        "fall of the recognised value up to a margin call",
        1 - at_call.fraction / recognised.fraction,
        unit="share",
        formula="1 - value at call / recognised value",
        because=(at_call, recognised),
        source="product rule",
    )
    return (*bands.values(), at_call, drop)


def _base(loan: Loan, found: Secured, amount: Traced, half_life: Traced, cash: Cash | None) -> Base:
    left = (found.maturity.year - found.appraisal.on.year) * 12 + found.maturity.month - found.appraisal.on.month
    income = None
    if cash is not None:
        income = derived(
            "stress.income",
            "cash of the first twelve months",
            Money.of(cash.between(loan.drawn, later(loan.drawn, 12)), amount.unit),
            formula="cash by day over twelve months from the drawdown",
            because=cash.years,
            source=COVER,
        )
    return Base(
        loan=amount,
        value=found.value,
        prior=found.prior,
        half_life=half_life,
        liquidation=given("risk.liquidation", "liquidation discount", loan.risk.liquidation, unit="share", source=TERMS),
        rate=rate_of(loan),
        months=given("stress.months", "months after which stresses are looked at", min(loan.stress_months, left),
                     unit="months", source=TERMS),
        income=income,
    )  # fmt: skip


def _ratios(loan: Loan, found: Secured, amount: Traced) -> Iterable[Traced]:
    central = found.appraisal.central
    yield derived(
        "pledge.error_share",
        "share of the value taken by its error",
        1 - found.value.fraction / central.fraction,
        unit="share",
        formula="1 - lower value / value",
        because=(found.value, central),
        source="recognised value starts at the lower end: model and privacy error count against the loan",
    )
    yield _over("loan.to_value", "loan to value", amount, central)
    revenue = None if loan.revenue is None else revenue_of(found.appraisal, loan.revenue)
    if revenue is not None and revenue.fraction:
        yield derived(
            "loan.value_to_revenue",
            "value to a year's data revenue",
            central.fraction / revenue.fraction,
            unit="ratio",
            formula=f"value / {revenue.label}",
            because=(central, revenue),
            source=RULE,
        )


def _over(key: str, label: str, amount: Traced, value: Traced) -> Traced:
    return derived(
        key,
        label,
        amount.fraction / value.fraction,
        unit="share",
        formula=f"{amount.label} / {value.label}",
        because=(amount, value),
        source=RULE,
    )


def _remarks(facility: Facility, found: Secured) -> Iterable[Remark]:
    loan, asked = facility.loan, facility.asked
    if asked is not None and asked.fraction > found.limit.fraction:
        yield Remark("red-flag-amount", f"more is asked for than the limit, which the {found.binding} constraint sets")
    if asked is not None and found.serves is not None and asked.fraction > found.serves:
        yield Remark("red-flag-capacity", "more is asked for than the cash flow serves at the target cover")
    yield from _of_income(facility)
    yield from pricing.remarks(facility.pricing, loan, ltv=facility.ratios[2])
    if (found.maturity - found.appraisal.on).days > facility.tenor.days.fraction:
        text = f"the loan runs longer than {facility.tenor.days.fraction} days, which {facility.tenor.binding} sets"
        yield Remark("red-flag-tenor", text)
    if not facility.tenor.contracted:
        yield Remark("contract-absent", "no data contract is evidenced that the tenor could be measured by")
    failed = [test.name for test in facility.covenants if not test.kept and test.measured is not None]
    if failed:
        yield Remark("red-flag-covenant", f"not kept on the first day: {', '.join(failed)}")
    silent = [test.name for test in facility.covenants if test.measured is None]
    if silent:
        yield Remark("conditions", f"to be shown before money moves: {', '.join(silent)}")
    if facility.state != "normal":
        yield Remark("red-flag-margin", f"the loan would start in the state {facility.state}")
    short = [row.name for row in facility.rows if row.shortfall.fraction > 0]
    if short:
        yield Remark("stress-shortfall", f"a shortfall under: {', '.join(short)}")


def _of_income(facility: Facility) -> Iterable[Remark]:
    loan, cover = facility.loan, facility.cover
    if cover is None:
        yield Remark("red-flag-cash", "no cash for debt service is evidenced: the loan leans on the asset alone")
    elif cover.fraction < Fraction(loan.dscr_target):
        text = f"the cash of a period covers its debt service {exact.percent(cover.fraction)}, below the target"
        yield Remark("red-flag-dscr", text)
    if loan.kind is Kind.BULLET:
        yield Remark("bullet-reserve", "repaid at once: agree on a debt service reserve account")
    if loan.licensees is None:
        yield Remark("licensees-absent", "the spread of licensees is not evidenced: the stress takes all income away")
