"""From an appraised value to a loan limit: recognised value after named haircuts, then the binding constraint.

``AV -> lower bound -> * product of (1 - haircut) -> - prior claims -> recognised value RV -> limit = min(ltv * RV, dscr,
revenue, policy)``. Haircuts multiply, since added ones can exceed 1. A limit is a ceiling: rounded down to the yuan.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from math import floor
from typing import Any

from valuation import desk, exact
from valuation.cash import Ceiling, ceilings
from valuation.cost import DAYS_A_YEAR, Appraisal, Remark
from valuation.desk.pledge import binding as smallest
from valuation.desk.pledge import recognised as recognised_value
from valuation.errors import CurrencyMismatch, Finding, GatesClosed, OutOfRange
from valuation.facility import Facility, Secured, plan
from valuation.facts import OwnerForm
from valuation.intake import within
from valuation.loan import Licensees
from valuation.money import Money
from valuation.proof import proven
from valuation.terms import HAIRCUTS, PUBLIC_DATA_TITLE, Haircut, Terms
from valuation.trace import Traced, derived, given

SOURCE = "product rule; collateral practice of banks"


RECONCILED_RISK = "approaches are reconciled by judgement that no sale or recovery has tested; upper end of 10-20 %"
"""Why the model haircut stays where several approaches were reconciled."""

BOOK_FLAG = 2
"""Appraised above this multiple of the carrying amount is a red flag."""

USUAL_TENOR_DAYS = 366

EVEN_SPREAD = Fraction(3, 10)
"""A licensee with a larger share of the revenue makes the collateral concentrated."""

SPREAD = "max(share of the largest licensee - 30 %, 0) / 70 % * 20 %"


@dataclass(frozen=True, slots=True)
class Quote:
    """What may be lent against an appraisal. ``binding`` is one of :data:`CONSTRAINTS`; amounts carry their reasons.

    ``limit`` is whole yuan, rounded down; ``ltv`` is the limit over the appraised value; ``value_to_book`` is ``None``
    if the asset is not on the balance sheet. ``facility`` is the loan that the terms plan, ``None`` without one or without
    lending value.
    """

    appraisal: Appraisal
    terms: Terms
    haircuts: tuple[tuple[str, Haircut], ...]
    recognised: Traced
    total_haircut: Traced | None
    limit: Traced
    binding: str
    ltv: Traced | None
    value_to_book: Traced | None
    remarks: tuple[Remark, ...]
    facility: Facility | None = None

    @property
    def red_flags(self) -> tuple[Remark, ...]:
        """The remarks that a credit officer must answer before lending."""
        return tuple(remark for remark in self.remarks if remark.code.startswith("red-flag"))

    @property
    def roots(self) -> tuple[Traced, ...]:
        """The figures from which every other figure of the quote can be reached."""
        optional = (self.total_haircut, self.ltv, self.value_to_book)
        planned = () if self.facility is None else self.facility.roots
        return (self.recognised, self.limit, *(figure for figure in optional if figure is not None), *planned)


def recognised_value_limit(inputs: Mapping[str, Any]) -> dict[str, Decimal | str]:
    """The method by its public contract: from appraised value to loan limit (CNY, unrounded) and what binds it.

    The desk's method of this name, for callers that never held a binary float.

    Raises:
        BadInput: naming the key.
    """
    return desk.evaluate("recognised_value_limit", inputs, floats=False)


def quote(appraisal: Appraisal, terms: Terms) -> Quote:
    """Quote a pledge loan against an appraisal, from the lower end of its value.

    Raises:
        GatesClosed: if the rights or the remaining life end before the loan. OutOfRange: naming a term.
        CurrencyMismatch: if a term is in another currency.
    """
    terms = Terms.from_json(terms.to_json())  # terms built by hand pass the same door as foreign ones
    years = _tenor(appraisal, terms)
    most = _proof(appraisal, terms, years)
    currency = appraisal.currency
    haircuts = {name: _haircut(name, appraisal, terms, years) for name in HAIRCUTS}
    worked_out: dict[str, tuple[str, tuple[Traced, ...]]] = {
        "decay_to_maturity": ("years to maturity / remaining life, low", (years, appraisal.remaining_low))
    }
    if terms.loan is not None and terms.loan.licensees is not None:
        worked_out["concentration"] = (SPREAD, (_top_licensee(terms.loan.licensees),))
    shares = tuple(
        given(f"haircut.{name}", f"haircut: {name}", haircut.share, unit="share", source=haircut.reason)
        if name not in worked_out or name in terms.haircuts
        else derived(
            f"haircut.{name}",
            f"haircut: {name}",
            Fraction(haircut.share),
            unit="share",
            formula=worked_out[name][0],
            because=worked_out[name][1],
            source=haircut.reason,
        )
        for name, haircut in haircuts.items()
    )
    prior = given("liens.prior", "claims registered before", terms.prior_liens, source="lender's terms, lien register")
    exact_value = recognised_value(
        min(appraisal.low.fraction, appraisal.central.fraction), [share.fraction for share in shares], prior.fraction
    )
    recognised = derived(
        "pledge.recognised",
        "RV, recognised value",
        Money.of(exact_value, currency),
        formula="max(lower value * product of (1 - haircut) - prior claims, 0)",
        because=(appraisal.low, *shares, prior),
        source=SOURCE,
    )
    found = {} if terms.loan is None else ceilings(appraisal, terms.loan, maturity=terms.maturity)
    constraints, amounts = _constraints(terms, recognised, exact_value, found, most)
    binding, ceiling = smallest(amounts)
    limit = derived(
        "pledge.limit",
        "loan limit",
        # from the exact number: a ceiling rounded half-even first could end one yuan too high
        Money(Decimal(floor(ceiling)), currency),
        formula=f"smallest of {', '.join(amounts)} ({binding} binds), rounded down to the yuan",
        because=constraints,
        source=SOURCE,
    )
    total_haircut, ltv, value_to_book = _ratios(appraisal, recognised, limit)
    facility = None
    if terms.loan is not None:
        low = appraisal.low if appraisal.low.fraction <= appraisal.central.fraction else appraisal.central
        secured = Secured(
            appraisal=appraisal,
            maturity=terms.maturity,
            value=low,
            prior=prior,
            years=years,
            recognised=recognised,
            ltv_cap=constraints[0].find("pledge.ltv_cap"),
            limit=limit,
            binding=binding,
            serves=found["dscr"].exact if "dscr" in found else None,
            value_to_book=value_to_book,
        )
        facility = plan(terms.loan, secured)
    return Quote(
        appraisal=appraisal,
        terms=terms,
        haircuts=tuple(haircuts.items()),
        recognised=recognised,
        total_haircut=total_haircut,
        limit=limit,
        binding=binding,
        ltv=ltv,
        value_to_book=value_to_book,
        remarks=(
            *_remarks(
                appraisal,
                terms,
                haircuts,
                total_haircut,
                limit,
                value_to_book,
                absent={"dscr", "revenue"} - set(amounts),
            ),
            *(() if facility is None else facility.remarks),
        ),
        facility=facility,
    )


def _tenor(appraisal: Appraisal, terms: Terms) -> Traced:
    """Years to maturity; the loan must end before the rights and before the life of the data."""
    if terms.loan is not None:
        terms.loan.check(on=appraisal.on, maturity=terms.maturity, currency=appraisal.currency)
    for amount in (terms.policy_cap, terms.prior_liens, terms.dscr_capacity, terms.revenue_cap):
        if amount is not None and amount.currency != appraisal.currency:
            raise CurrencyMismatch(appraisal.currency, amount.currency)
    if terms.maturity <= appraisal.on:
        raise OutOfRange("terms.maturity", "dates after the valuation date")
    if terms.maturity > appraisal.facts.horizon:
        reason = f"the loan ends after {appraisal.facts.horizon.isoformat()}, up to when the rights were checked"
        document = f"facts whose horizon is {terms.maturity.isoformat()} or later"
        raise GatesClosed([Finding("tenor", reason, document)])
    days = (terms.maturity - appraisal.on).days
    span = given("tenor.days", "days to maturity", days, unit="days", source="lender's terms")
    years = derived(
        "tenor.years",
        "years to maturity",
        Fraction(days, DAYS_A_YEAR),
        unit="years",
        formula=f"days / {DAYS_A_YEAR}",
        because=(span,),
        source="actual/365",
    )
    if years.fraction >= appraisal.remaining_low.fraction:
        reason = "the loan outlives the data: its remaining life, at the low end, ends before maturity"
        raise GatesClosed(
            [Finding("tenor", reason, "evidence of a longer useful life, or terms with an earlier maturity")]
        )
    return years


def _proof(appraisal: Appraisal, terms: Terms, years: Traced) -> Traced:
    """The highest LTV cap that the proof of the income bears; the terms' own stays within it."""
    found = proven(appraisal, years.fraction)
    if found.cap == 0:
        document = "a contract on revenue from the data, or a log that shows its use"
        raise GatesClosed([Finding("income_proof", found.reason, document)])
    within(terms.ltv_cap, "terms.ltv_cap", above=0, high=found.cap)
    return given(
        "pledge.ltv_most",
        f"highest LTV cap, income proven by {found.proof.value}",
        found.cap,
        unit="share",
        source=found.reason,
        evidence=found.document,
    )


def _haircut(name: str, appraisal: Appraisal, terms: Terms, years: Traced) -> Haircut:
    rule = HAIRCUTS[name]
    if name in terms.haircuts:
        return terms.haircuts[name]
    if name == "decay_to_maturity":
        return Haircut(exact.written(years.fraction / appraisal.remaining_low.fraction), rule.reason)
    if name == "legal_title" and appraisal.facts.legal.owner_form is OwnerForm.AUTHORISED_OPERATOR:
        return Haircut(PUBLIC_DATA_TITLE, "authorised public data")
    if name == "concentration" and terms.loan is not None and terms.loan.licensees is not None:
        return Haircut(exact.written(concentration(terms.loan.licensees.top)), "share of the largest licensee")
    if name == "model_risk" and appraisal.judgement is not None:
        return Haircut(rule.default, RECONCILED_RISK)
    return Haircut(rule.default, rule.reason)


def concentration(top: Fraction) -> Fraction:
    """Haircut for a largest licensee of share ``top``: 0 up to 30 %, then rising evenly to 20 % for a single one."""
    return max(top - EVEN_SPREAD, Fraction(0)) / (1 - EVEN_SPREAD) * Fraction(HAIRCUTS["concentration"].high)


def _top_licensee(licensees: Licensees) -> Traced:
    cited = licensees.cited
    return given(
        "licensees.top",
        "share of the largest licensee",
        exact.written(licensees.top),
        unit="share",
        source=str(cited),
        evidence=cited.document,
    )


def _constraints(
    terms: Terms, recognised: Traced, exact_value: Fraction, found: Mapping[str, Ceiling], most: Traced
) -> tuple[tuple[Traced, ...], dict[str, Fraction]]:
    cap = given("pledge.ltv_cap", "LTV cap on recognised value", terms.ltv_cap, unit="share", source="lender's terms")
    by_ltv = exact_value * min(cap.fraction, most.fraction)
    figures = [
        derived(
            "limit.ltv",
            "limit by loan to value",
            Money.of(by_ltv, terms.policy_cap.currency),
            formula="min(LTV cap, highest LTV cap that the proof bears) * recognised value",
            because=(cap, most, recognised),
            source=SOURCE,
        )
    ]
    amounts = {"ltv": by_ltv}
    for name, label, amount in (
        ("dscr", "limit by debt service", terms.dscr_capacity),
        ("revenue", "limit by data revenue", terms.revenue_cap),
        ("policy", "limit by policy", terms.policy_cap),
    ):
        if amount is not None:
            figures.append(given(f"limit.{name}", label, amount, source="lender's terms"))
            amounts[name] = amount.fraction
        if name in found:
            # what is evidenced binds beside what is stated: the smaller of both
            figures.append(found[name].figure)
            amounts[name] = min(amounts.get(name, found[name].exact), found[name].exact)
    return tuple(figures), amounts


def _ratios(
    appraisal: Appraisal, recognised: Traced, limit: Traced
) -> tuple[Traced | None, Traced | None, Traced | None]:
    central = appraisal.central
    total_haircut, ltv, value_to_book = None, None, None
    if central.fraction > 0:
        total_haircut = derived(
            "pledge.total_haircut",
            "total haircut on the appraised value",
            1 - recognised.fraction / central.fraction,
            unit="share",
            formula="1 - recognised value / value",
            because=(recognised, central),
            source=SOURCE,
        )
        ltv = derived(
            "pledge.ltv",
            "loan limit to appraised value",
            limit.fraction / central.fraction,
            unit="share",
            formula="loan limit / value",
            because=(limit, central),
            source=SOURCE,
        )
    carried = appraisal.facts.book_value
    if not carried.amount.amount.is_zero():
        book = given(
            "book.value", "carrying amount", carried.amount, source=str(carried.cited), evidence=carried.cited.document
        )
        value_to_book = derived(
            "pledge.value_to_book",
            "appraised value to carrying amount",
            central.fraction / book.fraction,
            unit="ratio",
            formula="value / carrying amount",
            because=(central, book),
            source="disclosure against inflated collateral; an appraisal never restates the books",
        )
    return total_haircut, ltv, value_to_book


def _remarks(
    appraisal: Appraisal,
    terms: Terms,
    haircuts: Mapping[str, Haircut],
    total_haircut: Traced | None,
    limit: Traced,
    value_to_book: Traced | None,
    *,
    absent: Collection[str],
) -> list[Remark]:
    remarks = []
    for name, haircut in haircuts.items():
        rule = HAIRCUTS[name]
        if not rule.low <= haircut.share <= rule.high:
            usual = f"{exact.percent(rule.low)} to {exact.percent(rule.high)}"
            text = f"haircut {name} of {exact.percent(haircut.share)} is outside the usual {usual}"
            remarks.append(Remark("haircut-unusual", text))
    remarks.extend(
        Remark("constraint-absent", f"no {name} limit was stated: the limit leans on the asset alone")
        for name in ("dscr", "revenue")
        if name in absent
    )
    if (terms.maturity - appraisal.on).days > USUAL_TENOR_DAYS:
        remarks.append(Remark("tenor-unusual", "loans against data usually end within 12 months"))
    if total_haircut is not None and total_haircut.fraction < Fraction(2, 5):
        remarks.append(
            Remark("haircut-low", "the total haircut is below 40 %, the Basel haircut of other physical assets")
        )
    if limit.fraction == 0:
        remarks.append(Remark("no-lending-value", "nothing can be lent against this asset on these terms"))
    if value_to_book is None:
        remarks.append(Remark("red-flag-unbooked", "the asset has no carrying amount to compare the value with"))
    elif value_to_book.fraction > BOOK_FLAG:
        times = round(value_to_book.fraction * 10)
        text = f"the appraised value is {times // 10}.{times % 10} times the carrying amount"
        remarks.append(Remark("red-flag-book", text))
    return remarks
