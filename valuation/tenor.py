"""How long a loan against data should run: short of its economic life, its rights and its longest contract.

The hard gate is the quote's: a loan may not outlive the data or its rights. Here is the prudent end before that, which a
committee may overrule with reasons, so it is flagged and does not refuse.

Source: product rule; loans against data usually end within 12 months.
"""

from dataclasses import dataclass
from fractions import Fraction
from math import floor

from valuation.cost import DAYS_A_YEAR, Appraisal
from valuation.days import later
from valuation.earnings import Ground
from valuation.loan import Loan
from valuation.trace import Traced, derived, given

SOURCE = "product rule: life less 12 months, rights less 6 months, half of the longest contract, 36 months"

RIGHTS_DAYS = 183
"""Six months that a loan ends before the first title document does."""

MOST_MONTHS = 36


@dataclass(frozen=True, slots=True)
class Tenor:
    """The prudent last day of a loan, in days from the valuation date, and what sets it."""

    days: Traced
    binding: str
    contracted: bool


def prudent(appraisal: Appraisal, loan: Loan) -> Tenor:
    """The shortest of the ends that are evidenced; 0 days where none is left."""
    ends = {"life": _life(appraisal), "rights": _rights(appraisal), "contract": _contract(appraisal, loan)}
    ends["policy"] = given(
        "tenor.end.policy",
        f"days up to {MOST_MONTHS} months",
        (later(appraisal.on, MOST_MONTHS) - appraisal.on).days,
        unit="days",
        source=SOURCE,
    )
    known = {name: figure for name, figure in ends.items() if figure is not None}
    binding = min(known, key=lambda name: known[name].fraction)
    longest = derived(
        "tenor.prudent",
        "prudent days to maturity",
        max(known[binding].fraction, Fraction(0)),
        unit="days",
        formula=f"smallest of {', '.join(known)} ({binding} binds)",
        because=tuple(known.values()),
        source=SOURCE,
    )
    return Tenor(longest, binding, ends["contract"] is not None)


def _life(appraisal: Appraisal) -> Traced:
    left = appraisal.remaining_low
    return derived(
        "tenor.end.life",
        "days up to 12 months before the end of the economic life",
        Fraction(floor(left.fraction * DAYS_A_YEAR) - DAYS_A_YEAR),
        unit="days",
        formula=f"{left.label} * {DAYS_A_YEAR} - {DAYS_A_YEAR}, whole days",
        because=(left,),
        source=SOURCE,
    )


def _rights(appraisal: Appraisal) -> Traced | None:
    expires = appraisal.facts.legal.expires
    if expires is None:
        return None
    link = next(link for link in appraisal.facts.legal.title if link.expires == expires)
    return given(
        "tenor.end.rights",
        "days up to 6 months before the first title document expires",
        (expires - appraisal.on).days - RIGHTS_DAYS,
        unit="days",
        source=link.name,
        evidence=link.document,
    )


def _contract(appraisal: Appraisal, loan: Loan) -> Traced | None:
    if loan.contract is not None:
        cited = loan.contract.cited
        length = given(
            "tenor.contract",
            "days to the end of the longest data contract",
            (loan.contract.ends - appraisal.on).days,
            unit="days",
            source=str(cited),
            evidence=cited.document,
        )
    else:
        income = appraisal.facts.income
        lines = [] if income is None else [line for line in income.lines if line.ground is Ground.CONTRACT]
        if not lines:
            return None
        last = max(lines, key=lambda line: line.year)
        length = given(
            "tenor.contract",
            "days to the end of the last year under contract",
            (later(appraisal.on, 12 * last.year) - appraisal.on).days,
            unit="days",
            source=str(last.cited),
            evidence=last.cited.document,
        )
    return derived(
        "tenor.end.contract",
        "half of the days to the end of the longest contract",
        Fraction(floor(length.fraction / 2)),
        unit="days",
        formula="days of the longest contract / 2, whole days",
        because=(length,),
        source=SOURCE,
    )
