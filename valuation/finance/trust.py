"""A data trust: an income right held for beneficiaries, paid out by the metered use of what each one brought in.

Income of the trust is a share of the operator's revenue. Fees come first, in the order stated, unpaid ones before the next;
the rest is split over the beneficiaries by the use that the exchange metered, to the cent, by largest remainder. What a
period without any use leaves is carried over; at the end it is split by units.
"""

from datetime import date
from decimal import Decimal
from fractions import Fraction
from typing import Any

from valuation.cost import DAYS_A_YEAR, Remark
from valuation.desk.reals import discount
from valuation.errors import Finding, GatesClosed, OutOfRange
from valuation.finance.arrangement import NO_RELIEF, Arrangement, Column, Opened, Table
from valuation.finance.cents import money_of, spelled
from valuation.finance.distribution import Beneficiary, Fee, Paid, Period, distribute
from valuation.finance.stated import MOST_PERIODS, Frame, choice, names_once, stated, texts
from valuation.intake import Record, within
from valuation.money import Money
from valuation.trace import Traced, derived, given

SOURCE = "trust deed; asset-service trust practice"
MOST_BENEFICIARIES = 50
MOST_FEES = 10
MOST_USE = 10**15

REMOTENESS = {
    "separate_register": (
        "the trust property is registered apart from the settlor's",
        "the certificate of the operating or income right in the trustee's name",
    ),
    "no_recourse": (
        "the settlor owes nothing if the income falls short",
        "a legal opinion that the transfer is final and without recourse",
    ),
    "replacement_operator": (
        "another operator stands ready",
        "the agreement with a named replacement operator",
    ),
    "entitlement_keys": (
        "the trustee holds the keys of the entitlements",
        "the exchange's record that entitlements point to the trustee",
    ),
    "controlled_account": (
        "income arrives in an account that the trustee controls",
        "the account control agreement",
    ),
    "settlor_solvent": (
        "the settlor was solvent at the transfer",
        "the settlor's audited accounts or a certificate of solvency at the transfer",
    ),
}
"""Each remoteness test: its rule, and the document that lifts it."""

ASSUMPTIONS = (
    "metered use is what the exchange logged; forecasts are the operator's, and the present value rests on them alone",
    "the trust's share of a revenue is rounded down to the cent, the settlor keeps the rest",
    "unpaid fees are carried over without interest; distributions are made at the end of each period",
    "present values count actual days over 365 at one annual rate, with no value after the last period",
    NO_RELIEF,
)

_ZERO = Fraction(0)


def arrange(inputs: Any) -> Arrangement:
    """Work a data trust out from its inputs.

    Raises:
        BadInput: naming the key. CurrencyMismatch: if an amount is in another currency.
        GatesClosed: with every remoteness test that fails and the document that lifts it.
    """
    keys = "title on currency parties income_right remoteness fees beneficiaries periods discount_rate"
    record = Record(inputs, "inputs", keys)
    frame = Frame.of(record)
    names = Record(record.raw("parties"), record.path("parties"), "settlor trustee operator")
    parties = texts(names, "settlor trustee operator")
    right = Record(record.raw("income_right"), record.path("income_right"), "share until cited")
    value = within(right.decimal("share"), right.path("share"), above=0, high=1)
    share = stated("right.share", "share of revenue", value, frame.cited(right), unit="share")
    until = right.day("until")
    fees = _fees(record, frame)
    beneficiaries = _beneficiaries(record)
    periods, figures = _periods(record, frame, beneficiaries, until)
    rate = frame.number(record, "discount_rate", name="rate", label="discount rate", unit="1/y", above=0, below=1)
    opened = _remoteness(record, frame)
    paid = distribute(periods, tuple(fee for fee, _ in fees), tuple(one.units for one in beneficiaries), share.fraction)
    because = (share, *figures, *(figure for _, reasons in fees for figure in reasons))
    totals = _totals(frame, because, periods, paid)
    present = sum(
        (
            sum(one.shares) * discount(rate.fraction, Fraction((period.end - frame.on).days, DAYS_A_YEAR)) / 100
            for one, period in zip(paid, periods, strict=True)
            if not period.metered
        ),
        _ZERO,
    )
    worth = derived(
        "value.present",
        "present value of distributions to come",
        Money.of(present, frame.currency),
        formula="sum of distributions / (1 + discount rate) ^ (days / 365) over the forecast periods",
        because=(*because, rate),
        source=SOURCE,
    )
    spread = _spread(beneficiaries, periods, figures)
    conclusion = {figure.label: figure.key for figure in (*totals.values(), worth)}
    return Arrangement(
        kind="trust",
        title=record.text("title"),
        on=frame.on,
        currency=frame.currency,
        parties=parties,
        roots=(*totals.values(), worth, *spread),
        tables=(_table(fees, beneficiaries, periods, paid), _by_beneficiary(beneficiaries, periods, paid)),
        gates=opened,
        remarks=tuple(_remarks(fees, periods, paid, spread)),
        conclusion=conclusion,
        assumptions=ASSUMPTIONS,
    )


def _remoteness(record: Record, frame: Frame) -> tuple[Opened, ...]:
    inner = Record(record.raw("remoteness"), record.path("remoteness"), " ".join(REMOTENESS))
    findings, opened = [], []
    for gate, (rule, document) in REMOTENESS.items():
        if inner.given(gate):
            opened.append(Opened(gate, rule, frame.cited(inner, gate).document))
        else:
            findings.append(Finding(gate, f"it is not shown that {rule}", document))
    if findings:
        raise GatesClosed(findings)
    return tuple(opened)


def _fees(record: Record, frame: Frame) -> list[tuple[Fee, tuple[Traced, ...]]]:
    fees: list[tuple[Fee, tuple[Traced, ...]]] = []
    for where, item in record.items("fees", least=1):
        one = Record(item, where, "party fixed share cited")
        cited = frame.cited(one)
        share = within(one.decimal("share"), one.path("share"), low=0, high=Decimal("0.5"))
        number = len(fees) + 1
        name = one.text("party")
        fees.append(
            (
                Fee(name, frame.cents(one, "fixed"), Fraction(share)),
                (
                    stated(f"fee.{number}.fixed", f"fee {number} a period", frame.money(one, "fixed"), cited),
                    stated(f"fee.{number}.share", f"fee {number} on income", share, cited, unit="share"),
                ),
            )
        )
    if len(fees) > MOST_FEES:
        raise OutOfRange(record.path("fees"), f"lists of 1 to {MOST_FEES} elements")
    return fees


def _beneficiaries(record: Record) -> tuple[Beneficiary, ...]:
    found = []
    for where, item in record.items("beneficiaries", least=1):
        one = Record(item, where, "name units")
        found.append(Beneficiary(one.text("name"), one.integer("units", low=1, high=MOST_USE)))
    if len(found) > MOST_BENEFICIARIES:
        raise OutOfRange(record.path("beneficiaries"), f"lists of 1 to {MOST_BENEFICIARIES} elements")
    names_once([one.name for one in found], record.path("beneficiaries"))
    return tuple(found)


def _periods(
    record: Record, frame: Frame, beneficiaries: tuple[Beneficiary, ...], until: date
) -> tuple[tuple[Period, ...], tuple[Traced, ...]]:
    names = [one.name for one in beneficiaries]
    found: list[Period] = []
    figures = []
    for where, item in record.items("periods", least=1):
        one = Record(item, where, "end basis revenue usage cited")
        end, basis = one.day("end"), choice(one, "basis", ("metered", "forecast"))
        if end > until or (found and end <= found[-1].end):
            raise OutOfRange(one.path("end"), "rising dates up to the end of the income right")
        if (basis == "metered") != (end <= frame.on):
            raise OutOfRange(one.path("basis"), "metered up to the day of the calculation, forecast after it")
        usage: dict[str, int] = {}
        for place, entry in one.items("usage"):
            used = Record(entry, place, "beneficiary use")
            name = used.text("beneficiary")
            if name not in names or name in usage:
                raise OutOfRange(used.path("beneficiary"), "beneficiaries of the trust, each once")
            usage[name] = used.integer("use", low=0, high=MOST_USE)
        found.append(
            Period(end, basis == "metered", frame.cents(one, "revenue"), tuple(usage.get(name, 0) for name in names))
        )
        label = f"revenue up to {end.isoformat()}, {basis}"
        figures.append(stated(f"revenue.{len(found)}", label, frame.money(one, "revenue"), frame.cited(one)))
    if len(found) > MOST_PERIODS:
        raise OutOfRange(record.path("periods"), f"lists of 1 to {MOST_PERIODS} elements")
    return tuple(found), tuple(figures)


def _totals(
    frame: Frame, because: tuple[Traced, ...], periods: tuple[Period, ...], paid: list[Paid]
) -> dict[str, Traced]:
    amounts = {
        "income": ("income of the trust", sum(one.income for one in paid)),
        "fees": ("fees", sum(sum(one.fees) for one in paid)),
        "distributed": ("distributed to beneficiaries", sum(sum(one.shares) for one in paid)),
        "kept": ("kept by the settlor", sum(one.settlor for one in paid)),
    }
    amounts["unallocated"] = (
        "revenue that went nowhere",
        sum(period.revenue for period in periods)
        - sum(one.settlor + sum(one.fees) + sum(one.shares) for one in paid)
        - paid[-1].carried,
    )
    rules = {
        "income": "sum over periods of revenue * share, rounded down to the cent",
        "fees": "sum over periods of what fees were paid",
        "distributed": "sum over periods of income + carried over - fees",
        "kept": "sum over periods of revenue - income",
        "unallocated": "revenue - kept by the settlor - fees - distributed - carried at the end",
    }
    return {
        name: derived(
            f"total.{name}", label, money_of(cents, frame.currency), formula=rules[name], because=because, source=SOURCE
        )
        for name, (label, cents) in amounts.items()
    }


def _spread(
    beneficiaries: tuple[Beneficiary, ...], periods: tuple[Period, ...], figures: tuple[Traced, ...]
) -> tuple[Traced, ...]:
    """How concentrated the metered use is; nothing if none was metered."""
    used = [sum(period.usage[place] for period in periods if period.metered) for place in range(len(beneficiaries))]
    if not any(used):
        return ()
    whole = sum(used)
    reasons = tuple(
        given(
            f"use.{place}",
            f"metered use of {one.name}",
            used[place - 1],
            unit="calls",
            source="metered use of the periods up to the day of the calculation",
            evidence=next(figure.evidence for figure, period in zip(figures, periods, strict=True) if period.metered),
        )
        for place, one in enumerate(beneficiaries, start=1)
    )
    return (
        derived(
            "use.largest",
            "largest share of the metered use",
            Fraction(max(used), whole),
            unit="share",
            formula="largest use / all use",
            because=reasons,
            source=SOURCE,
        ),
        derived(
            "use.hhi",
            "concentration of the metered use (HHI)",
            sum((Fraction(use, whole) ** 2 for use in used), _ZERO),
            unit="index",
            formula="sum of squared shares of use",
            because=reasons,
            source=SOURCE,
        ),
    )


def _table(
    fees: list[tuple[Fee, tuple[Traced, ...]]],
    beneficiaries: tuple[Beneficiary, ...],
    periods: tuple[Period, ...],
    paid: list[Paid],
) -> Table:
    columns = (
        Column("end", "period to", "text", "last day of the period"),
        Column("basis", "basis", "text", "metered or forecast"),
        Column("revenue", "revenue", "money", "of the operator, as stated"),
        Column("settlor", "settlor keeps", "money", "revenue - income of the trust"),
        Column("income", "income of the trust", "money", "revenue * share, rounded down to the cent"),
        Column("brought", "brought over", "money", "what the last period left"),
        *(
            Column(
                f"fee.{place}",
                f"fee: {fee.party}",
                "money",
                "unpaid before + fixed + share of income, as far as cash goes",
            )
            for place, (fee, _) in enumerate(fees, start=1)
        ),
        *(
            Column(f"paid.{place}", one.name, "money", "of what is left, by metered use, largest remainder")
            for place, one in enumerate(beneficiaries, start=1)
        ),
        Column("carried", "carried over", "money", "left where nothing was used; at the end it is split by units"),
    )
    rows = []
    for period, one in zip(periods, paid, strict=True):
        cells = (period.revenue, one.settlor, one.income, one.brought, *one.fees, *one.shares, one.carried)
        head = (period.end.isoformat(), "metered" if period.metered else "forecast")
        rows.append((*head, *(spelled(cents) for cents in cells)))
    return Table("periods", "From revenue to distribution", columns, tuple(rows))


def _by_beneficiary(beneficiaries: tuple[Beneficiary, ...], periods: tuple[Period, ...], paid: list[Paid]) -> Table:
    columns = (
        Column("name", "beneficiary", "text", "as stated"),
        Column("units", "units", "count", "as stated"),
        Column("use", "use", "count", "sum over the periods"),
        Column("paid", "paid", "money", "sum over the periods"),
    )
    rows = tuple(
        (
            one.name,
            one.units,
            sum(period.usage[place] for period in periods),
            spelled(sum(row.shares[place] for row in paid)),
        )
        for place, one in enumerate(beneficiaries)
    )
    return Table("beneficiaries", "Beneficiaries", columns, rows)


def _remarks(
    fees: list[tuple[Fee, tuple[Traced, ...]]],
    periods: tuple[Period, ...],
    paid: list[Paid],
    spread: tuple[Traced, ...],
) -> list[Remark]:
    remarks = []
    if not any(period.metered for period in periods):
        remarks.append(Remark("red-flag-forecast", "nothing was metered yet: every figure rests on forecasts"))
    income = sum(one.income for one in paid)
    if sum(sum(one.fees) for one in paid) * 4 > income:
        remarks.append(Remark("fees-high", "fees take more than a quarter of the income"))
    due = sum((fee.fixed + round(one.income * fee.share) for one in paid for fee, _ in fees), 0)
    if due > sum(sum(one.fees) for one in paid):
        remarks.append(Remark("red-flag-fees-unpaid", "the income does not cover the fees"))
    if any(one.carried for one in paid):
        remarks.append(Remark("carried-over", "in some periods nothing was used: their income was carried over"))
    if spread and spread[0].fraction > Fraction(1, 2):
        remarks.append(Remark("use-concentrated", "one beneficiary's data earns more than half of the metered use"))
    return remarks
