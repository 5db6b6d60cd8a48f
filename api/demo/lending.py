"""The lender's half of the story: one dataset measured where it lies, appraised by cost, quoted, pledged, pledged again.

The facts are an example written for the demonstration; each cites a document that is kept beside the bank's table and is
known by its hash, as an appraiser's working papers would be.
"""

import hashlib
import json
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

from api.demo.town import DATASET, OFFICERS, REFRESHED, STANDARD, VALUATION
from exchange import address, identity
from exchange.analyst.desk import Answer, Desk, Progress
from exchange.analyst.pledging import Pledges
from exchange.analyst.reading import quality_plan
from exchange.protocol import messages
from privacy.proof import closed
from privacy.terms import NANO
from valuation.asset import DataAsset
from valuation.cost import Appraisal, appraise_cost
from valuation.evidence import Evidence, Measured
from valuation.facts import Facts
from valuation.money import Money
from valuation.pledge import Quote, quote
from valuation.report import Necessity, compose
from valuation.terms import propose_terms

VALUED_ON = date(2026, 11, 20)
MATURES = date(2027, 11, 20)
QUALITY_PRICE = NANO // 50
"""What measuring the quality costs, in 1e-9 rho."""

_POLICY_CAP = Money(Decimal(3_000_000), "CNY")
_COSTS = {
    2023: {"pre": 300_000, "direct": 1_850_000, "indirect": 420_000, "opportunity": 96_000, "tax": 111_000},
    2024: {"direct": 2_300_000, "indirect": 510_000, "opportunity": 141_000, "tax": 138_000},
    2025: {"direct": 1_975_000, "indirect": 388_000, "opportunity": 88_000, "tax": 118_500},
}


@dataclass(frozen=True, slots=True)
class Valued:
    """An appraised asset with the quote on it and the report that carries both."""

    measured: Answer
    appraisal: Appraisal
    quoted: Quote
    report: Mapping[str, Any]
    digest: str


def value(desk: Desk, *, owner: str, documents: Path, mapped: tuple[str, ...], progress: Progress) -> Valued:
    """Measure the quality of ``owner``'s dataset under differential privacy, appraise it by cost and quote a loan.

    ``documents`` is where the facts' documents are written; ``mapped`` are the dataset's columns.
    """
    plan = quality_plan(desk.standard(STANDARD), party=owner, rho=QUALITY_PRICE)
    record = desk.wait(desk.ask(plan, now=int(time.time())), progress)
    measured = desk.open(record, plan)
    facts = Facts.from_json(_facts(documents, owner=owner))
    asset = DataAsset.from_json(
        {
            "dataset": DATASET,
            "version": 1,
            "owner": owner,
            "standard": STANDARD,
            "rights": {"holding": True, "processing": True, "operating": False},
            "scenario": "joint credit-risk statistics for partner lenders",
        }
    )
    evidence = Measured.of(measured.release, dataset=DATASET, version=1, on=VALUED_ON)
    appraisal = appraise_cost(asset, facts, Evidence((evidence,)), VALUED_ON)
    quoted = quote(appraisal, propose_terms(appraisal, lender=desk.party, maturity=MATURES, policy_cap=_POLICY_CAP))
    proof = measured.receipt["necessity"]
    opened = tuple(item["use"] for item in proof["needed"])
    withheld = tuple((column, reason) for column, reason in closed(proof) if column in mapped)
    report = compose(appraisal, quoted, Necessity(VALUATION, opened, withheld))
    return Valued(measured, appraisal, quoted, report, str(report["digest"]))


def pledge(desk: Desk, valued: Valued, *, owner: str, home: Path) -> Mapping[str, Any]:
    """Quote the loan, have two officers approve it, sign, and file it once the owner has signed; return how it stands.

    ``home`` is where the homes of the lender's officers are.

    Raises:
        Taken: if the asset is pledged at this rank, with holder and time.
    """
    asset = f"{owner}/{DATASET}"
    pledges = Pledges(desk.line, desk.sign)
    recorded = messages.Appraisal(asset=asset, report=valued.digest, releases=(valued.measured.release.digest,))
    known = pledges.quote(
        messages.Offer(
            asset=asset,
            rank=1,
            amount=int(valued.quoted.limit.money.amount),
            matures=MATURES.isoformat(),
            appraisal=pledges.record(recorded),
            nonce=secrets.token_hex(32),
            forbids_juniors=True,
        )
    )
    pledges.name_officers(*OFFICERS[desk.party])
    for officer in OFFICERS[desk.party]:
        party, key = identity.load(home / officer, what="officer")
        with address.line(home / officer, desk.line.url, party=party, key=key) as line:
            Pledges.under(line, key).approve(known)
    pledges.sign(known)
    pledges.show(known, wait=20)
    return pledges.file(known)


def _facts(documents: Path, *, owner: str) -> dict[str, Any]:
    """Write the example's documents and return the facts that cite them by hash."""
    documents.mkdir(parents=True, exist_ok=True)

    def cite(source: str, on: str, content: object) -> dict[str, Any]:
        text = json.dumps({"document": source, "example": True, "content": content}, ensure_ascii=False, indent=1)
        name = source.replace(" ", "-")
        (documents / f"{name}.json").write_text(text, "utf-8")
        return {
            "source": source,
            "owner": f"{owner} finance",
            "on": on,
            "document": hashlib.sha256(text.encode()).hexdigest(),
        }

    def cite_title(document: dict[str, str | None]) -> dict[str, str | None]:
        cited = cite(str(document["name"]), str(document["issued"]), document)
        return {**document, "document": cited["document"]}

    def yuan(amount: int) -> dict[str, str]:
        return {"amount": str(amount), "currency": "CNY"}

    on = VALUED_ON.isoformat()
    ledgers = {year: cite(f"ledger {year}", f"{year}-12-31", costs) for year, costs in _COSTS.items()}
    index = {"2023": "100", "2024": "102.5", "2025": "103.9", "2026": "105.2"}
    title: list[dict[str, str | None]] = [
        {
            "name": "customer contracts",
            "grantor": "customers",
            "grantee": owner,
            "issued": "2023-01-01",
            "expires": None,
        },
        {
            "name": "registration certificate",
            "grantor": owner,
            "grantee": owner,
            "issued": "2026-01-15",
            "expires": "2032-01-14",
        },
    ]
    return {
        "on": on,
        "horizon": "2028-05-20",
        "currency": "CNY",
        "costs": [
            {"year": year, "kind": kind, "amount": yuan(amount), "cited": ledgers[year]}
            for year, costs in _COSTS.items()
            for kind, amount in costs.items()
        ],
        "price_index": {"levels": index, "cited": cite("producer price index", on, index)},
        "life": {
            "age_years": "1.5",
            "remaining_years": "3.5",
            "remaining_low": "2.5",
            "remaining_high": "4.5",
            "cited": cite("usage study", on, "queries by age of the rows they used"),
        },
        "book_value": {"amount": yuan(7_400_000), "cited": cite("balance sheet", "2026-09-30", "carrying amount")},
        "legal": {
            "owner_form": "financial_institution",
            "title": [cite_title(document) for document in title],
            "personal_data": True,
            "lawful_basis": {
                "kind": "contract",
                "cited": cite("privacy notice and impact assessment", "2026-03-01", "purposes, basis, retention"),
            },
            "disputes": [],
            "refresh_days": 31,
            "refreshed": cite("refresh log", REFRESHED, "last complete load"),
        },
    }
