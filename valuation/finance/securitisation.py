"""A securitisation of loans pledged by data: label, loss of the small pool, cover on recognised value, cash by period."""

from collections.abc import Sequence
from decimal import Decimal
from fractions import Fraction
from typing import Any

from valuation import exact
from valuation.cost import Remark
from valuation.errors import OutOfRange
from valuation.finance.arrangement import NO_RELIEF, Arrangement
from valuation.finance.cents import money_of
from valuation.finance.factor import Losses, losses
from valuation.finance.pool import MOST_LAG, SOURCE, Loan, Scenario, obligors, play, read_loans, read_scenarios
from valuation.finance.stated import Frame, per_year, stated, texts
from valuation.finance.tranches import by_period, distribution, summary
from valuation.finance.waterfall import TRIGGERS, Notes, Payment, Pool, closing, pour
from valuation.intake import Record, within
from valuation.money import Money
from valuation.trace import Traced, derived

RULE = "two-class securitisation; label of the market for data-asset securities"

LABEL = Fraction(1, 2)
"""More than this share of the pool must be secured by pledged data to carry the label."""

LEAST_COVER = "1.05"
LEVELS = ("0.95", "0.99", "0.999")

ASSUMPTIONS = (
    "the loss distribution counts defaults up to each obligor's last payment, at the balance of the start, on one factor",
    "loans of one obligor default together; excess interest and the reserve are not counted against the losses",
    "cover counts the recognised value of data pledged for loans that pay, never an appraised value; it fades by half-life",
    "a loan that stopped has no cover any more; what it recovers arrives once, after the stated lag",
    "excess interest goes to the holder of the residual until a trigger trips, and cannot be called back",
    "no guarantee or liquidity of a third party is counted: a rating may lean on such support, these figures do not",
    NO_RELIEF,
)


def arrange(inputs: Any) -> Arrangement:
    """Work a securitisation out from its inputs.

    Raises:
        BadInput: naming the key. CurrencyMismatch: if an amount is in another currency.
        GatesClosed: with every loan whose title to the pledged data ends before it.
    """
    keys = "title on currency parties per_year loans correlation recovery_lag notes fees reserve triggers scenarios"
    record = Record(inputs, "inputs", keys)
    frame = Frame.of(record)
    parties = texts(
        Record(record.raw("parties"), record.path("parties"), "originator issuer servicer"),
        "originator issuer servicer",
    )
    count = per_year(record)
    lag = record.integer("recovery_lag", low=1, high=MOST_LAG)
    loans = read_loans(record, frame, count)
    size = sum(loan.cents for loan in loans)
    notes, classes = _notes(record, frame, count, size)
    scenarios = read_scenarios(record, loans)
    correlation = frame.number(
        record,
        "correlation",
        name="risk.correlation",
        label="asset correlation",
        unit="share",
        above=0,
        high=Decimal("0.6"),
    )

    balances = tuple(loan.balance for loan in loans)
    pool = derived(
        "pool.balance", "pool", money_of(size, frame.currency), formula="sum of balances", because=balances, source=RULE
    )
    label = _label(loans, pool)
    recognised = sum(loan.pledge.after(Fraction(0)) for loan in loans if loan.pledge is not None)
    cover = _cover(frame, loans, classes["senior"], recognised)
    risk, found = _risk(frame, loans, count, correlation, pool, classes, record.path("loans"))
    played = [(one, play(loans, one, count=count, lag=lag)) for one in scenarios]
    poured = [(one, pools, pour(notes, pools, recognised=recognised)) for one, pools in played]
    because = (pool, *classes.values())
    outcomes = [
        figure
        for number, (one, pools, payments) in enumerate(poured)
        for figure in _outcome(number, one, pools, payments, notes, frame, because)
    ]
    conclusion = {
        "share of the pool pledged by data": "label.share",
        "recognised value to senior class": "cover.recognised",
        "of it, what the loans can claim": "cover.claimable",
        "probability that the senior class loses": "risk.senior_hit",
        "expected loss of the senior class": "risk.senior_el",
        "expected loss of the pool": "risk.pool_el",
    }
    return Arrangement(
        kind="abs",
        title=record.text("title"),
        on=frame.on,
        currency=frame.currency,
        parties=parties,
        roots=(label, *cover, *risk, *outcomes),
        tables=(
            distribution(found, size - notes.senior, size),
            summary(poured, notes),
            *(by_period(number, one, pools, payments) for number, (one, pools, payments) in enumerate(poured)),
        ),
        gates=(),
        remarks=tuple(_remarks(label, cover, notes, recognised, poured, found)),
        conclusion=conclusion,
        assumptions=ASSUMPTIONS,
    )


def _notes(record: Record, frame: Frame, count: int, size: int) -> tuple[Notes, dict[str, Traced]]:
    inner = Record(record.raw("notes"), record.path("notes"), "senior junior senior_rate junior_rate cited")
    fees = Record(record.raw("fees"), record.path("fees"), "fixed share cited")
    reserve = Record(record.raw("reserve"), record.path("reserve"), "start target cited")
    limits = Record(
        record.raw("triggers"), record.path("triggers"), "cumulative_default over_collateralisation reserve cited"
    )
    cited = frame.cited(inner)
    senior, junior = frame.cents(inner, "senior"), frame.cents(inner, "junior")
    if senior == 0 or senior + junior > size:
        raise OutOfRange(inner.path("senior"), "classes that together are no larger than the pool")
    rates = {key: within(inner.decimal(key), inner.path(key), low=0, below=1) for key in ("senior_rate", "junior_rate")}
    share = within(fees.decimal("share"), fees.path("share"), low=0, high=Decimal("0.2"))
    default_limit = within(limits.decimal("cumulative_default"), limits.path("cumulative_default"), above=0, below=1)
    floor = within(
        limits.decimal("over_collateralisation"),
        limits.path("over_collateralisation"),
        low=Decimal(LEAST_COVER),
        high=100,
    )
    notes = Notes(
        senior=senior,
        junior=junior,
        senior_rate=Fraction(rates["senior_rate"]) / count,
        junior_rate=Fraction(rates["junior_rate"]) / count,
        reserve_start=frame.cents(reserve, "start"),
        reserve_target=frame.cents(reserve, "target"),
        fee_fixed=frame.cents(fees, "fixed"),
        fee_share=Fraction(share) / count,
        default_limit=Fraction(default_limit),
        cover_floor=Fraction(floor),
        reserve_floor=frame.cents(limits, "reserve"),
    )
    of_fees, of_reserve, of_limits = (frame.cited(one) for one in (fees, reserve, limits))
    figures = (
        stated("notes.senior", "senior class", frame.money(inner, "senior"), cited),
        stated("notes.junior", "junior class", frame.money(inner, "junior"), cited),
        stated("notes.senior_rate", "senior rate", rates["senior_rate"], cited, unit="1/y"),
        stated("notes.junior_rate", "junior rate", rates["junior_rate"], cited, unit="1/y"),
        stated("fees.fixed", "fees a period", frame.money(fees, "fixed"), of_fees),
        stated("fees.share", "fees on the pool", share, of_fees, unit="1/y"),
        stated("reserve.start", "reserve at the start", frame.money(reserve, "start"), of_reserve),
        stated("reserve.target", "target of the reserve", frame.money(reserve, "target"), of_reserve),
        stated("trigger.default", "limit of cumulative defaults", default_limit, of_limits, unit="share"),
        stated("trigger.cover", "floor of the cover", floor, of_limits, unit="ratio"),
        stated("trigger.reserve", "floor of the reserve", frame.money(limits, "reserve"), of_limits),
    )
    return notes, {figure.key.removeprefix("notes."): figure for figure in figures}


def _label(loans: Sequence[Loan], pool: Traced) -> Traced:
    pledged = [loan for loan in loans if loan.pledge is not None]
    return derived(
        "label.share",
        "share of the pool pledged by data",
        Fraction(sum(loan.cents for loan in pledged), 100) / pool.fraction,
        unit="share",
        formula="sum of balances of loans with a registered lien on data / pool",
        because=(*(loan.balance for loan in pledged), pool),
        source=RULE,
    )


def _cover(frame: Frame, loans: Sequence[Loan], senior: Traced, recognised: int) -> tuple[Traced, Traced]:
    """Recognised value over the senior class: in full, and as far as each loan can claim it."""
    held = [(loan, loan.pledge) for loan in loans if loan.pledge is not None]
    values = tuple(pledge.recognised for _, pledge in held)
    claimable = sum(min(pledge.after(Fraction(0)), loan.cents) for loan, pledge in held)
    total = derived(
        "cover.value",
        "recognised value of the pledged data",
        money_of(recognised, frame.currency),
        formula="sum of recognised values",
        because=values,
        source=RULE,
    )
    return (
        derived(
            "cover.recognised",
            "recognised value to senior class",
            total.fraction / senior.fraction,
            unit="ratio",
            formula="sum of recognised values / senior class",
            because=(total, senior),
            source=RULE,
        ),
        derived(
            "cover.claimable",
            "of it, what the loans can claim",
            Fraction(claimable, 100) / senior.fraction,
            unit="ratio",
            formula="sum of min(recognised value, balance) / senior class: what is beyond a loan goes to its pledgor",
            because=(*values, *(loan.balance for loan, _ in held), senior),
            source=RULE,
        ),
    )


def _risk(
    frame: Frame,
    loans: Sequence[Loan],
    count: int,
    correlation: Traced,
    pool: Traced,
    classes: dict[str, Traced],
    path: str,
) -> tuple[tuple[Traced, ...], Losses]:
    parties, chances = obligors(loans, count, path)
    found = losses(parties, correlation.fraction)
    because = (correlation, *chances, *(loan.balance for loan in loans), *(loan.lgd for loan in loans))
    size, senior = pool.fraction * 100, classes["senior"].fraction * 100
    attach = size - senior
    how = "exact mixture over all sets of defaults" if found.exact else "mixture on a lattice that keeps each mean"
    specs: list[tuple[str, str, Fraction | Money, str, str, tuple[Traced, ...]]] = [
        ("pool_el", "expected loss of the pool", found.mean / size, "share", "sum of probability * loss / pool", (pool,)),
        ("none", "probability of no default", found.counts[0], "probability", "no obligor defaults", ()),
        ("several", "probability of two defaults or more", 1 - sum(found.counts[:2], Fraction(0)), "probability", "1 - none - one", ()),
        ("senior_hit", "probability that the senior class loses", found.beyond(attach), "probability",
         "probability of a loss above pool - senior class", (pool, classes["senior"])),
        ("senior_el", "expected loss of the senior class", found.excess(attach) / senior, "share",
         "expected loss above pool - senior class / senior class", (pool, classes["senior"])),
    ]  # fmt: skip
    specs += [
        (
            f"loss.{level}",
            f"loss not exceeded with probability {level}",
            Money.of(found.quantile(Fraction(level)) / 100, frame.currency),
            "",
            "quantile of the loss",
            (),
        )
        for level in LEVELS
    ]
    return tuple(
        derived(
            f"risk.{name}", label, value, unit=unit, formula=f"{rule} ({how})", because=because + more, source=SOURCE
        )
        for name, label, value, unit, rule, more in specs
    ), found


def _outcome(
    number: int,
    scenario: Scenario,
    pools: Sequence[Pool],
    payments: Sequence[Payment],
    notes: Notes,
    frame: Frame,
    because: tuple[Traced, ...],
) -> list[Traced]:
    end = payments[-1].state
    paid = sum(
        one.fee + one.senior_interest + one.senior_principal + one.junior_interest + one.junior_principal + one.residual
        for one in payments
    )
    amounts = (
        ("senior_left", "senior principal never repaid", end.senior, "senior balance after the last period"),
        ("junior_left", "junior principal never repaid", end.junior, "junior balance after the last period"),
        ("unallocated", "cash that went nowhere",
         notes.reserve_start + sum(pool.collected for pool in pools) - paid - end.reserve,
         "reserve at the start + collections - all payments - reserve at the end"),
    )  # fmt: skip
    return [
        derived(
            f"scenario.{number}.{name}",
            f"{label}: {scenario.name}",
            money_of(cents, frame.currency),
            formula=rule,
            because=because,
            source=RULE,
        )
        for name, label, cents, rule in amounts
    ]


def _remarks(
    label: Traced,
    cover: tuple[Traced, Traced],
    notes: Notes,
    recognised: int,
    poured: Sequence[tuple[Scenario, tuple[Pool, ...], list[Payment]]],
    found: Losses,
) -> list[Remark]:
    remarks = []
    share = exact.percent(label.fraction)
    if label.fraction > LABEL:
        remarks.append(Remark("label-earned", f"{share} of the pool is pledged by data, more than half"))
    else:
        remarks.append(
            Remark("red-flag-label", f"only {share} of the pool is pledged by data; the label needs more than half")
        )
    if closing(notes, recognised=recognised).tripped:
        remarks.append(
            Remark("red-flag-cover", "the cover is below its floor on the first day: no cash reaches the junior class")
        )
    if cover[1].fraction < 1:
        remarks.append(
            Remark(
                "red-flag-claimable", "what the loans can claim of the recognised value does not cover the senior class"
            )
        )
    remarks.extend(
        Remark("red-flag-senior", f"the senior class is not repaid in full: {one.name}")
        for one, _, payments in poured
        if payments[-1].state.senior
    )
    tripped = {name for _, _, payments in poured for name in payments[-1].state.tripped}
    remarks.extend(
        Remark(f"trigger-{name.replace('_', '-')}", f"trips in a scenario: {TRIGGERS[name]}")
        for name in TRIGGERS
        if name in tripped
    )
    if not found.exact:
        remarks.append(
            Remark(
                "losses-on-lattice", "more sets of defaults than can be listed: expected excess losses are upper bounds"
            )
        )
    return remarks
