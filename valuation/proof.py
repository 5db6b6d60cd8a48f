"""How the income behind a loan is proven, which decides how much of the recognised value may be lent.

Decided from the documents in the facts, never from what anybody calls the asset; what they do not show does not count.
"""

from collections.abc import Mapping
from datetime import timedelta
from decimal import Decimal
from enum import StrEnum
from fractions import Fraction
from math import ceil
from typing import NamedTuple

from valuation.cost import Appraisal
from valuation.earnings import Ground, LineKind


class Proof(StrEnum):
    """What shows that the data earns, the strongest first."""

    CONTRACT = "contract"
    USAGE = "usage"
    COST = "cost"
    UNUSED = "unused"


LTV_CAPS: Mapping[Proof, Decimal] = {
    Proof.CONTRACT: Decimal("0.50"),
    Proof.USAGE: Decimal("0.35"),
    Proof.COST: Decimal("0.20"),
    Proof.UNUSED: Decimal(0),
}
"""Highest loan to recognised value by proof: contracted revenue, metered use, cost alone, never used."""

LEAST_WEIGHT = Decimal("0.5")
"""A proven income bears a loan where it carries so much of the value."""

LOG_SPAN = timedelta(days=180)
"""A log of use proves an income if it covers so long a time."""

LOG_AGE = timedelta(days=92)
"""A log that ends longer before the valuation date says nothing of today."""


class Proven(NamedTuple):
    """The proof, why it is that one, and the SHA-256 of the document that shows it (empty if a lack of documents does)."""

    proof: Proof
    reason: str
    document: str

    @property
    def cap(self) -> Decimal:
        """Highest loan to recognised value."""
        return LTV_CAPS[self.proof]


def proven(appraisal: Appraisal, years: Fraction) -> Proven:
    """Decide how the income behind a loan of ``years`` years is proven.

    Contracts prove it if every revenue up to maturity rests on one; a log of use if it is long and fresh and shows use. Both
    need an income approach that gives a value and carries half of the weight. A log that shows no use closes the asset to lending.
    """
    log = appraisal.facts.usage
    if log is not None and log.uses == 0:
        return Proven(Proof.UNUSED, "the log of use shows none", log.cited.document)
    stated, judgement = appraisal.facts.income, appraisal.judgement
    weight = None if judgement is None else judgement.weights.get("income")
    if stated is None or weight is None or weight.share < LEAST_WEIGHT:
        return Proven(Proof.COST, "less than half of the value rests on income", "")
    if not any(figure.key == "income.central" and figure.fraction > 0 for figure in appraisal.central.walk()):
        return Proven(Proof.COST, "the income stated gives no value", "")
    earned = [line for line in stated.lines if line.kind in {LineKind.REVENUE, LineKind.WITH}]
    due = [line for line in earned if line.year <= ceil(years)]
    if {line.year for line in due} == set(range(1, ceil(years) + 1)) and all(
        line.ground is Ground.CONTRACT for line in due
    ):
        return Proven(Proof.CONTRACT, "all revenue up to maturity is contracted", due[0].cited.document)
    if log is None:
        return Proven(Proof.COST, "revenue up to maturity is forecast, and no log of use is stated", "")
    if log.cited.on - log.since < LOG_SPAN or appraisal.on - log.cited.on > LOG_AGE:
        reason = f"the log of use covers less than {LOG_SPAN.days} days, or ended over {LOG_AGE.days} days ago"
        return Proven(Proof.COST, reason, log.cited.document)
    return Proven(Proof.USAGE, "a log of use shows that the data is used", log.cited.document)
