"""Cash for debt service, by day, and what it can carry: the loan that it repays at a target cover, and the revenue cap.

The cash is what the borrower states with a source, or else the income of the appraised data at the low end of its
quality, up to its economic life. A year's cash comes evenly over its days; after the last year there is none. A
relief from royalty saves a cost and brings no cash, so it serves no debt.

Source: project-finance practice; the desk's ``dscr_sculpting``, on real dates.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from fractions import Fraction
from typing import NamedTuple

from valuation.cost import Appraisal
from valuation.days import falls, later, share
from valuation.desk.reals import rounded, total
from valuation.earnings import Ground, IncomeMethod, LineKind
from valuation.loan import Loan, Revenue
from valuation.money import Money
from valuation.trace import Traced, derived, given

SOURCE = "project-finance practice: cash flow over debt service"
TERMS = "lender's terms"


@dataclass(frozen=True, slots=True)
class Cash:
    """Cash by year: ``years`` are successive twelve months from the day ``since``."""

    since: date
    years: tuple[Traced, ...]

    def between(self, start: date, end: date) -> Fraction:
        """Cash from ``start`` up to, and without, ``end``."""
        parts = []
        for number, year in enumerate(self.years):
            first, last = later(self.since, 12 * number), later(self.since, 12 * (number + 1))
            common = (min(end, last) - max(start, first)).days
            if common > 0:
                parts.append(year.fraction * Fraction(common, (last - first).days))
        return total(parts)


class Ceiling(NamedTuple):
    """A limit of the loan: the figure, and the exact number that it writes down."""

    figure: Traced
    exact: Fraction


def evidenced(appraisal: Appraisal, loan: Loan) -> Cash | None:
    """The cash that serves the loan; ``None`` if none is evidenced."""
    if loan.cash is not None:
        cited = loan.cash.cited
        return Cash(
            loan.cash.since,
            tuple(
                given(f"cash.{number}", f"cash for debt service of year {number}, stated", amount, source=str(cited), evidence=cited.document)
                for number, amount in enumerate(loan.cash.years, 1)
            ),
        )  # fmt: skip
    income = appraisal.facts.income
    if income is None or appraisal.judgement is None or income.method is IncomeMethod.ROYALTY:
        return None
    figures = {figure.key: figure for root in appraisal.others for figure in root.walk()}
    life = int(figures["income.low.life"].fraction)
    years = tuple(figures[f"income.low.flow.{year}"] for year in range(1, life + 1))
    # no year within the economic life: the income is known to carry nothing, which is not the same as unknown
    return Cash(appraisal.on, years)


def capacity(cash: Cash, loan: Loan, *, maturity: date, currency: str) -> Ceiling:
    """The largest loan whose interest and principal each period's cash covers ``dscr_target`` times; 0 at least.

    Sum over periods of cash / target, discounted period by period at the loan's own rate and day count.
    """
    target = given("loan.dscr_target", "DSCR target", loan.dscr_target, unit="ratio", source=TERMS)
    rate = rate_of(loan)
    factor, carried = Fraction(1), []
    for start, end in falls(loan.drawn, maturity, loan.months):
        factor = rounded(factor / (1 + rate.fraction * share(loan.basis, start, end)))
        carried.append(rounded(cash.between(start, end) * factor))
    exact = max(total(carried), Fraction(0)) / target.fraction
    figure = derived(
        "limit.dscr.cash",
        "loan that the cash flow serves",
        Money.of(exact, currency),
        formula=f"sum over periods of cash / DSCR target, discounted at the rate of the loan, {loan.basis.value}",
        because=(*cash.years, target, rate),
        source=SOURCE,
    )
    return Ceiling(figure, exact)


def revenue_of(appraisal: Appraisal, agreed: Revenue) -> Traced | None:
    """A year's data revenue: of the past year as stated, or of the first year under contract; ``None`` without evidence."""
    if agreed.trailing is None or agreed.cited is None:
        return _contracted(appraisal)
    cited = agreed.cited
    return given(
        "loan.revenue",
        "data revenue of the past year",
        agreed.trailing,
        source=str(cited),
        evidence=cited.document,
    )


def revenue_cap(appraisal: Appraisal, loan: Loan) -> Ceiling | None:
    """The agreed multiple of a year's data revenue; ``None`` if none is agreed or no revenue is evidenced."""
    if loan.revenue is None:
        return None
    revenue = revenue_of(appraisal, loan.revenue)
    if revenue is None:
        return None
    multiple = given("loan.revenue.multiple", "multiple of a year's data revenue", loan.revenue.multiple, unit="ratio",
                     source=TERMS)  # fmt: skip
    exact = multiple.fraction * revenue.fraction
    figure = derived(
        "limit.revenue.year",
        "limit by a year's data revenue",
        Money.of(exact, appraisal.currency),
        formula=f"multiple * {revenue.label}",
        because=(multiple, revenue),
        source="revenue cap of the lender",
    )
    return Ceiling(figure, exact)


def ceilings(appraisal: Appraisal, loan: Loan, *, maturity: date) -> Mapping[str, Ceiling]:
    """The limits that income sets, by name of the constraint: ``dscr``, ``revenue``, as far as there is evidence."""
    cash = evidenced(appraisal, loan)
    found = {
        "dscr": None if cash is None else capacity(cash, loan, maturity=maturity, currency=appraisal.currency),
        "revenue": revenue_cap(appraisal, loan),
    }
    return {name: ceiling for name, ceiling in found.items() if ceiling is not None}


def rate_of(loan: Loan) -> Traced:
    """The offered rate as a figure."""
    return given("loan.rate", f"rate offered, {loan.basis.value}", loan.rate, unit="1/year", source=TERMS)


def _contracted(appraisal: Appraisal) -> Traced | None:
    """Revenue of the first year that the facts say is under contract."""
    stated = appraisal.facts.income
    if stated is None:
        return None
    lines = [
        line
        for line in stated.lines
        if line.year == 1 and line.kind is LineKind.REVENUE and line.ground is Ground.CONTRACT
    ]
    if not lines:
        return None
    # the citation of the largest line stands for the sum; each line has its own in the facts
    cited = max(lines, key=lambda line: line.amount.amount).cited
    amount = total(line.amount.fraction for line in lines)
    return given(
        "loan.revenue",
        "data revenue of the first year under contract",
        Money.of(amount, appraisal.currency),
        source=str(cited),
        evidence=cited.document,
    )
