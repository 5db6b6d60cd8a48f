"""What a lender sets: named haircuts with their usual ranges and reasons, caps, maturity, prior claims."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from fractions import Fraction
from typing import Any, NamedTuple

from valuation import exact
from valuation.cost import DAYS_A_YEAR, Appraisal
from valuation.errors import MissingKey, UnknownKey
from valuation.intake import Record, within
from valuation.loan import Loan
from valuation.money import Money
from valuation.proof import proven


class HaircutRule(NamedTuple):
    """Usual range and default of one haircut, and why."""

    low: Decimal
    high: Decimal
    default: Decimal
    reason: str


HAIRCUTS: Mapping[str, HaircutRule] = {
    "legal_title": HaircutRule(
        Decimal("0.05"), Decimal("0.15"), Decimal("0.05"), "registered title from own operations or contracts"
    ),
    "liquidity": HaircutRule(
        Decimal("0.20"),
        Decimal("0.80"),
        Decimal("0.50"),
        "no record of recoveries on data exists; upper end of 20-50 %",
    ),
    "decay_to_maturity": HaircutRule(
        Decimal(0), Decimal("0.50"), Decimal(0), "share of the remaining life, at its low end, that passes by maturity"
    ),
    "model_risk": HaircutRule(
        Decimal("0.10"), Decimal("0.20"), Decimal("0.20"), "one approach only, not reconciled with income or market"
    ),
    "concentration": HaircutRule(
        Decimal(0), Decimal("0.20"), Decimal("0.10"), "the spread of licensees is not evidenced; middle of 0-20 %"
    ),
}
"""The five named haircuts. Decay has no fixed default: it is computed from the maturity."""

PUBLIC_DATA_TITLE = Decimal("0.15")
"""Title haircut of authorised public data, whose rights revert to the state."""


@dataclass(frozen=True, slots=True)
class Haircut:
    """A share in [0, 1) taken off the value, and the reason."""

    share: Decimal
    reason: str

    def to_json(self) -> dict[str, Any]:
        """Return the canonical JSON object."""
        return {"share": exact.spell(self.share), "reason": self.reason}


@dataclass(frozen=True, slots=True)
class Terms:
    """What the lender sets. Haircuts left out of ``haircuts`` take their default; ``decay_to_maturity`` is then computed.

    ``policy_cap`` bounds every loan. ``dscr_capacity`` (loan that the borrower's cash flow can serve) and ``revenue_cap``
    are ``None`` where no income is evidenced; the quote then says that they did not apply. ``ltv_cap`` in (0, 0.50], and within what
    the proof of the income bears (:mod:`valuation.proof`).
    ``loan`` plans one loan in full within the limit; ``None`` leaves it at the limit, and the document then lacks it.
    """

    lender: str
    maturity: date
    policy_cap: Money
    prior_liens: Money
    dscr_capacity: Money | None
    revenue_cap: Money | None
    ltv_cap: Decimal
    haircuts: Mapping[str, Haircut]
    loan: Loan | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the canonical JSON object."""
        return {
            "lender": self.lender,
            "maturity": self.maturity.isoformat(),
            "policy_cap": self.policy_cap.to_json(),
            "prior_liens": self.prior_liens.to_json(),
            "dscr_capacity": None if self.dscr_capacity is None else self.dscr_capacity.to_json(),
            "revenue_cap": None if self.revenue_cap is None else self.revenue_cap.to_json(),
            "ltv_cap": exact.spell(self.ltv_cap),
            "haircuts": {name: haircut.to_json() for name, haircut in self.haircuts.items()},
            **({} if self.loan is None else {"loan": self.loan.to_json()}),
        }

    @classmethod
    def from_json(cls, document: Any, path: str = "terms") -> "Terms":
        """Parse; raises a typed error that names the key."""
        keys = "lender maturity policy_cap prior_liens dscr_capacity revenue_cap ltv_cap haircuts"
        record = Record(document, path, keys, "loan")
        haircuts = {}
        for where, name, item in record.entries("haircuts"):
            if name not in HAIRCUTS:
                raise UnknownKey(where if len(name) <= 60 else record.path("haircuts"))
            inner = Record(item, where, "share reason")
            haircuts[name] = Haircut(
                within(inner.decimal("share"), inner.path("share"), low=0, below=1), inner.text("reason")
            )
        amounts = {}
        for key in ("policy_cap", "prior_liens", "dscr_capacity", "revenue_cap"):
            if record.given(key):
                amounts[key] = record.money(key)
                within(amounts[key].amount, record.path(key), low=0)
        for key in ("policy_cap", "prior_liens"):
            if key not in amounts:
                raise MissingKey(record.path(key))
        return cls(
            lender=record.text("lender"),
            maturity=record.day("maturity"),
            policy_cap=amounts["policy_cap"],
            prior_liens=amounts["prior_liens"],
            dscr_capacity=amounts.get("dscr_capacity"),
            revenue_cap=amounts.get("revenue_cap"),
            ltv_cap=within(record.decimal("ltv_cap"), record.path("ltv_cap"), low=0, high=1),
            haircuts=haircuts,
            loan=Loan.from_json(record.raw("loan"), record.path("loan")) if record.given("loan") else None,
        )


def propose_terms(appraisal: Appraisal, *, lender: str, maturity: date, policy_cap: Money) -> Terms:
    """Return the default terms for an appraisal: default haircuts, no prior claims, no income, the highest LTV cap.

    The cap is 0 where nothing may be lent; a quote on such terms is refused.
    """
    years = Fraction((maturity - appraisal.on).days, DAYS_A_YEAR)
    return Terms(
        lender=lender,
        maturity=maturity,
        policy_cap=policy_cap,
        prior_liens=Money(Decimal(0), appraisal.currency),
        dscr_capacity=None,
        revenue_cap=None,
        ltv_cap=proven(appraisal, years).cap,
        haircuts={},
    )
