"""A guarantee on a data-backed loan: joint default, fee floor, risk shares, and who is paid what after a call.

After a call the guarantor has paid the covered share of the claim and steps into it: the subrogated claim stands at the
lien's own rank, beside what the lender still has to get. Proceeds of the data go to costs, to earlier ranks, to this rank,
to later ranks, to the pledgor.
"""

from decimal import Decimal
from fractions import Fraction
from typing import Any

from valuation.cost import Remark
from valuation.desk.schedules import KINDS
from valuation.errors import OutOfRange
from valuation.finance.arrangement import NO_RELIEF, Arrangement, Column, Table
from valuation.finance.cents import money_of, spelled
from valuation.finance.factor import both_default
from valuation.finance.loans import Instalment, schedule
from valuation.finance.recourse import Claim, Collateral, Shares, in_period
from valuation.finance.stated import MOST_PERIODS, Frame, choice, names_once, per_year, stated, texts
from valuation.intake import Record, within
from valuation.money import Money
from valuation.trace import Traced, derived

SOURCE = "Gaussian copula, double-default reasoning"
RULE = "guarantee practice; subrogation at the rank of the lien"

RECOVERIES = ("pro_rata", "lender_first")
"""How lender and guarantor share what their rank receives."""

USUAL_LENDER_SHARE = (Fraction(1, 5), Fraction(3, 10))
USUAL_CORRELATION = (Fraction(12, 100), Fraction(25, 100))
MOST_CLAIMS = 50

ASSUMPTIONS = (
    "default probabilities are per year; expected losses are of the first year, on the amount at the start",
    "a claim is the balance with the interest of the period in which the borrower stops paying",
    "the value stated for the data has its haircuts off and no prior claims; it fades by its half-life",
    "recoveries on other assets of the borrower are not counted in the table; the loss given default stands for all of them",
    "a counter-guarantor pays the guarantor, not the lender: if the guarantor fails, the lender leans on the data alone",
    NO_RELIEF,
)

COLUMNS = (
    Column("period", "period", "count", "numbered from 1"),
    Column("opening", "balance", "money", "balance before the payment of the period"),
    Column("interest", "interest", "money", "balance * rate / periods a year, half-even to the cent"),
    Column("principal", "principal", "money", "as the schedule says; the last is what is left"),
    Column("fee", "guarantee fee", "money", "balance * covered share * fee / periods a year, half-even to the cent"),
    Column("claim", "claim", "money", "if the borrower stops now: balance + interest"),
    Column("call", "guarantor pays", "money", "claim less the lender's share, split to the cent"),
    Column("costs", "costs", "money", "value of the data then * cost share"),
    Column("prior", "earlier ranks", "money", "what claims before the lien take of the proceeds"),
    Column("lender", "lender recovers", "money", "of this rank's proceeds: by claim, or first"),
    Column("subrogated", "guarantor recovers", "money", "the rest of this rank's proceeds"),
    Column("later", "later ranks", "money", "what claims after the lien take"),
    Column("surplus", "pledgor", "money", "proceeds that nobody claims"),
    Column("lender_loss", "lender loses", "money", "claim - call - lender recovers"),
    Column("guarantor_loss", "guarantor loses", "money", "its part of call - guarantor recovers"),
    Column("counter_loss", "counter-guarantor loses", "money", "the rest of call - guarantor recovers"),
    Column("alone_loss", "lender loses if both fail", "money", "claim less the data's proceeds at the lien's rank"),
)


def arrange(inputs: Any) -> Arrangement:
    """Work a guarantee out from its inputs.

    Raises:
        BadInput: naming the key. CurrencyMismatch: if an amount is in another currency.
    """
    keys = "title on currency parties per_year loan risk shares fee recoveries collateral"
    record = Record(inputs, "inputs", keys)
    frame = Frame.of(record)
    names = Record(record.raw("parties"), record.path("parties"), "borrower lender guarantor", "counter_guarantor")
    parties = texts(names, "borrower lender guarantor")
    if names.given("counter_guarantor"):
        parties |= texts(names, "counter_guarantor")
    count = per_year(record)
    amount, rate, payments = _loan(record, frame, count)
    shares, covered = _shares(record, frame, with_counter="counter_guarantor" in parties)
    recoveries = choice(record, "recoveries", RECOVERIES)
    collateral = _collateral(record, frame) if record.given("collateral") else None
    fee = Record(record.raw("fee"), record.path("fee"), "rate operating_cost")
    charged = frame.number(
        fee, "rate", name="fee.charged", label="fee charged", unit="1/y of covered", low=0, high=Decimal("0.3")
    )
    operating = frame.number(
        fee, "operating_cost", name="fee.operating", label="guarantor's operating cost", unit="1/y of covered", low=0, high=Decimal("0.3")
    )  # fmt: skip
    risk = _risk(record, frame)
    expected = _expected(amount, risk, covered)
    floor = derived(
        "fee.floor",
        "fee floor",
        expected["fair"].fraction + operating.fraction,
        unit="1/y of covered",
        formula="fair fee + operating cost",
        because=(expected["fair"], operating),
        source=RULE,
    )
    rows = [
        in_period(
            number,
            payment,
            fee=round(payment.opening * shares.covered * charged.fraction / count),
            shares=shares,
            collateral=collateral,
            pro_rata=recoveries == RECOVERIES[0],
            years=Fraction(number, count),
        )
        for number, payment in enumerate(payments, start=1)
    ]
    held = () if collateral is None else (collateral.value, collateral.half_life, collateral.cost)
    base = (amount, rate, covered, *held)
    places = {column.key: place for place, column in enumerate(COLUMNS)}
    totals = {
        name: derived(
            name,
            label,
            money_of(pick(row[places[key]] for row in rows), frame.currency),
            formula=f"{word} of column {key}",
            because=(amount, rate, covered, charged) if key == "fee" else base,
            source=RULE,
        )
        for name, label, key, pick, word in (
            ("fee.total", "fees over the life of the loan", "fee", sum, "sum"),
            ("loss.lender", "lender's largest loss, guarantor paying", "lender_loss", max, "largest"),
            ("loss.guarantor", "guarantor's largest loss", "guarantor_loss", max, "largest"),
            ("loss.alone", "lender's largest loss, both failing", "alone_loss", max, "largest"),
        )
    }
    conclusion = {
        "expected loss without the guarantee": "el.without",
        "expected loss with it": "el.with",
        "fee floor": "fee.floor",
        "fee charged": "fee.charged",
        **{figure.label: name for name, figure in totals.items()},
    }
    return Arrangement(
        kind="guarantee",
        title=record.text("title"),
        on=frame.on,
        currency=frame.currency,
        parties=parties,
        roots=(*expected.values(), floor, charged, *totals.values()),
        tables=(
            Table(
                "periods",
                "Payments, and who is paid what if the borrower stops in a period",
                COLUMNS,
                tuple((row[0], *(spelled(cents) for cents in row[1:])) for row in rows),
            ),
        ),
        gates=(),
        remarks=tuple(_remarks(shares, risk, collateral, charged, floor)),
        conclusion=conclusion,
        assumptions=ASSUMPTIONS,
    )


def _loan(record: Record, frame: Frame, count: int) -> tuple[Traced, Traced, tuple[Instalment, ...]]:
    loan = Record(record.raw("loan"), record.path("loan"), "amount rate periods kind cited")
    cents = frame.cents(loan, "amount")
    if cents == 0:
        raise OutOfRange(loan.path("amount"), "amounts above 0")
    cited = frame.cited(loan)
    amount = stated("loan.amount", "loan", frame.money(loan, "amount"), cited)
    value = within(loan.decimal("rate"), loan.path("rate"), low=0, below=1)
    rate = stated("loan.rate", "loan rate", value, cited, unit="1/y")
    periods = loan.integer("periods", low=1, high=MOST_PERIODS)
    return amount, rate, schedule(cents, rate.fraction / count, periods=periods, kind=choice(loan, "kind", KINDS))


def _shares(record: Record, frame: Frame, *, with_counter: bool) -> tuple[Shares, Traced]:
    keys = "lender guarantor counter_guarantor cited" if with_counter else "lender guarantor cited"
    inner = Record(record.raw("shares"), record.path("shares"), keys)
    share = {
        key: Fraction(within(inner.decimal(key), inner.path(key), low=0, high=1))
        for key in keys.split()
        if key != "cited"
    }
    if sum(share.values()) != 1 or share["lender"] == 1:
        raise OutOfRange(inner.path("lender"), "shares that add up to 1 and leave the guarantor a part")
    kept = stated("share.lender", "lender's share", inner.decimal("lender"), frame.cited(inner), unit="share")
    covered = derived(
        "share.covered",
        "covered share",
        1 - kept.fraction,
        unit="share",
        formula="1 - lender's share",
        because=(kept,),
        source=RULE,
    )
    return Shares(share["lender"], share["guarantor"], share.get("counter_guarantor", Fraction(0))), covered


def _collateral(record: Record, frame: Frame) -> Collateral:
    path = record.path("collateral")
    inner = Record(record.raw("collateral"), path, "value half_life cost in_favour_of rank claims")
    value = frame.amount(inner, "value", name="data.value", label="value of the data after haircuts")
    claims = []
    for where, item in inner.items("claims"):
        one = Record(item, where, "party rank amount")
        claims.append(
            Claim(one.text("party"), one.integer("rank", low=1, high=MOST_CLAIMS), frame.cents(one, "amount"))
        )
    rank = inner.integer("rank", low=1, high=MOST_CLAIMS)
    names_once([str(number) for number in (rank, *(claim.rank for claim in claims))], inner.path("claims"))
    return Collateral(
        value=value,
        half_life=frame.number(
            inner,
            "half_life",
            name="data.half_life",
            label="half-life of the data",
            unit="years",
            low=Decimal("0.05"),
            high=30,
        ),
        cost=frame.number(
            inner, "cost", name="data.cost", label="cost of realisation", unit="share", low=0, high=Decimal("0.4")
        ),
        gross=int(value.fraction * 100),
        to_lender=choice(inner, "in_favour_of", ("lender", "guarantor")) == "lender",
        rank=rank,
        claims=tuple(sorted(claims, key=lambda claim: claim.rank)),
    )


def _risk(record: Record, frame: Frame) -> dict[str, Traced]:
    inner = Record(record.raw("risk"), record.path("risk"), "pd lgd pd_guarantor correlation")
    return {
        "pd": frame.number(
            inner, "pd", name="risk.pd", label="borrower's default probability", unit="1/y", low=Decimal("0.0005"), below=1
        ),
        "lgd": frame.number(
            inner, "lgd", name="risk.lgd", label="loss given default", unit="share", low=Decimal("0.25"), high=1
        ),
        "pd_guarantor": frame.number(
            inner, "pd_guarantor", name="risk.pd_guarantor", label="guarantor's default probability", unit="1/y", low=Decimal("0.0005"), below=1
        ),
        "correlation": frame.number(
            inner, "correlation", name="risk.correlation", label="asset correlation", unit="share", low=0, high=Decimal("0.6")
        ),
    }  # fmt: skip


def _expected(amount: Traced, risk: dict[str, Traced], covered: Traced) -> dict[str, Traced]:
    pd, lgd = risk["pd"], risk["lgd"]
    together = both_default(pd.fraction, risk["pd_guarantor"].fraction, risk["correlation"].fraction)
    joint = derived(
        "risk.joint",
        "probability that both default",
        together,
        unit="1/y",
        formula="bivariate normal probability below both default thresholds",
        because=(pd, risk["pd_guarantor"], risk["correlation"]),
        source=SOURCE,
    )
    at_risk = amount.fraction * lgd.fraction
    without = at_risk * pd.fraction
    with_it = at_risk * ((1 - covered.fraction) * pd.fraction + covered.fraction * together)
    currency = amount.unit
    alone = derived(
        "el.without",
        "expected loss without the guarantee",
        Money.of(without, currency),
        formula="loan * loss given default * borrower's default probability",
        because=(amount, lgd, pd),
        source=SOURCE,
    )
    return {
        "joint": joint,
        "without": alone,
        "with": derived(
            "el.with",
            "expected loss with the guarantee",
            Money.of(with_it, currency),
            formula="loan * loss given default * ((1 - covered) * borrower's probability + covered * joint probability)",
            because=(amount, lgd, pd, joint, covered),
            source=SOURCE,
        ),
        "saved": derived(
            "el.saved",
            "expected loss taken over by the guarantor",
            Money.of(without - with_it, currency),
            formula="expected loss without - with, from the exact numbers",
            because=(alone, joint, covered),
            source=SOURCE,
        ),
        "fair": derived(
            "fee.fair",
            "fair fee",
            lgd.fraction * (pd.fraction - together),
            unit="1/y of covered",
            formula="loss given default * (borrower's probability - joint probability)",
            because=(lgd, pd, joint),
            source=SOURCE,
        ),
    }


def _remarks(
    shares: Shares, risk: dict[str, Traced], collateral: Collateral | None, charged: Traced, floor: Traced
) -> list[Remark]:
    remarks = []
    if charged.fraction < floor.fraction:
        remarks.append(Remark("red-flag-fee", "the fee charged is below its floor: the guarantor pays for the risk"))
    if risk["pd_guarantor"].fraction >= risk["pd"].fraction:
        remarks.append(Remark("red-flag-guarantor", "the guarantor is no better a risk than the borrower"))
    low, high = USUAL_LENDER_SHARE
    if not low <= shares.lender <= high:
        remarks.append(Remark("share-unusual", "lenders usually keep 20 to 30 % of the risk"))
    low, high = USUAL_CORRELATION
    if not low <= risk["correlation"].fraction <= high:
        remarks.append(Remark("correlation-unusual", "asset correlations are usually 0.12 to 0.25"))
    if collateral is None:
        remarks.append(
            Remark("no-counter-guarantee", "no data secures the guarantor's recourse: subrogation is unsecured")
        )
    elif any(claim.rank < collateral.rank for claim in collateral.claims):
        remarks.append(
            Remark("junior-lien", "claims of earlier rank are paid first; the subrogated claim inherits that")
        )
    return remarks
