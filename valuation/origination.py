"""What an appraisal shows of each covenant on the first day, and what the lender's own evidence adds."""

from datetime import date
from decimal import Decimal

from valuation import exact
from valuation.asset import Citation
from valuation.cost import Appraisal
from valuation.covenant import DECLARED
from valuation.loan import Loan
from valuation.trace import Traced, given


def measured(
    loan: Loan, appraisal: Appraisal, *, maturity: date, ltv: Traced, cover: Traced | None, disclosed: bool
) -> dict[str, Traced]:
    """The figure that each covenant looks at, by its name; covenants without one are not shown to be kept."""
    facts = appraisal.facts
    refreshed = facts.legal.refreshed
    found = {
        "quality": appraisal.quality.low,
        "refresh_age": _cited(
            "refresh_age", "days since the last refresh", (appraisal.on - refreshed.on).days, "days", refreshed
        ),
        "volume": given("covenant.volume", "rows against those at origination", 1, unit="share", source="origination"),
        "ltv": ltv,
        "rights_margin": _rights(appraisal, maturity),
        "book_disclosed": _cited(
            "book_disclosed",
            "value to carrying amount disclosed",
            int(disclosed),
            "yes or no",
            facts.book_value.cited,
        ),
    }
    if cover is not None:
        found["dscr"] = cover
    if loan.licensees is not None:
        hhi = exact.written(loan.licensees.hhi)
        found["licensee_hhi"] = _cited(
            "licensee_hhi", "concentration of licensees (HHI)", hhi, "share", loan.licensees.cited
        )
    for name in sorted(DECLARED & set(loan.evidence)):
        one = loan.evidence[name]
        found[name] = _cited(name, f"evidence: {name.replace('_', ' ')}", one.value, "as stated", one.cited)
    return found


def _cited(name: str, label: str, value: Decimal | int, unit: str, cited: Citation) -> Traced:
    return given(f"covenant.{name}", label, value, unit=unit, source=str(cited), evidence=cited.document)


def _rights(appraisal: Appraisal, maturity: date) -> Traced:
    """Days by which the rights outlast the loan: up to the first expiry, or up to the horizon that the gates checked."""
    legal = appraisal.facts.legal
    ends, source, document = legal.expires, "gates: rights without a term, checked up to the horizon", ""
    if ends is None:
        ends = appraisal.facts.horizon
    else:
        link = next(link for link in legal.title if link.expires == ends)
        source, document = link.name, link.document
    label = "days by which rights outlast the loan"
    days = (ends - maturity).days
    return given("covenant.rights_margin", label, days, unit="days", source=source, evidence=document)
