"""Gates before prices: what stops an asset from being valued as collateral, and the document that would lift it.

All gates are tried, so that a refusal is complete. Sources: Ministry of Finance 2024 (data assets of administrative and
public institutions may not secure debts); guidance on data asset appraisal 2023 No. 17, legal attributes; PIPL articles 4 and 13; Civil
Code article 440.
"""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from valuation.asset import DataAsset
from valuation.errors import Finding, GatesClosed
from valuation.evidence import Evidence
from valuation.facts import Facts, LawfulBasis, OwnerForm

MEASURED_DAYS = 366
"""Collateral is measured again at least once a year (collateral guideline of the banking regulator, 2017 No. 16)."""

RULES = {
    "legal_form": "the owner is not an administrative or public institution",
    "rights": "the owner may process the data or operate products made of it",
    "title": "every right is traced to the owner and lasts up to the horizon",
    "lawful_basis": "personal data is processed on a lawful basis",
    "dispute": "no claim against the asset is open",
    "freshness": "the data is refreshed on schedule and was measured within a year up to the valuation date",
}
"""What each gate demands, in the order in which they are reported."""


@dataclass(frozen=True, slots=True)
class Passed:
    """One open gate: its rule, and the SHA-256 of the documents that opened it (none if a declaration did)."""

    gate: str
    rule: str
    documents: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Return the canonical JSON object."""
        return {"gate": self.gate, "rule": self.rule, "documents": list(self.documents)}


def check(asset: DataAsset, facts: Facts, evidence: Evidence) -> tuple[Passed, ...]:
    """Try every gate for a pledge of ``asset`` on the day of ``facts``.

    Raises:
        GatesClosed: with every closed gate and the document that would lift it.
    """
    findings = [
        *_legal_form(facts),
        *_rights(asset),
        *_title(asset, facts),
        *_lawful_basis(facts),
        *_dispute(facts),
        *_freshness(facts, evidence),
    ]
    if findings:
        raise GatesClosed(findings)
    legal = facts.legal
    documents = {
        "title": tuple(link.document for link in legal.title),
        "lawful_basis": () if legal.basis_cited is None else (legal.basis_cited.document,),
        "dispute": tuple(dispute.document for dispute in legal.disputes),
        "freshness": (legal.refreshed.document, *(item.digest for item in evidence.measured)),
    }
    return tuple(Passed(gate, rule, documents.get(gate, ())) for gate, rule in RULES.items())


def _legal_form(facts: Facts) -> list[Finding]:
    form = facts.legal.owner_form
    if form in {OwnerForm.PUBLIC_INSTITUTION, OwnerForm.GOVERNMENT}:
        reason = "data of administrative and public institutions may not be collateral"
        document = (
            "the certificate of incorporation of a company that holds the asset, with the authorisation it works under"
        )
        return [Finding("legal_form", reason, document)]
    if form is OwnerForm.AUTHORISED_OPERATOR and all(link.grantor == link.grantee for link in facts.legal.title):
        return [
            Finding("legal_form", "no authorisation of the operator is on file", "the public-data operation agreement")
        ]
    return []


def _rights(asset: DataAsset) -> list[Finding]:
    if asset.rights.processing or asset.rights.operating:
        return []
    reason = "a mere right to hold gives a lender nothing to operate or license"
    return [Finding("rights", reason, "a registration certificate of the processing or the operating right")]


def _title(asset: DataAsset, facts: Facts) -> list[Finding]:
    """Every document leads, directly or through later documents, to the owner, and outlasts the horizon."""
    title = facts.legal.title
    if not title:
        return [
            Finding("title", "no document of title is on file", "the title registration certificate or source licence")
        ]
    findings = []
    if all(link.grantee != asset.owner for link in title):
        findings.append(Finding("title", "no document grants rights to the owner", f"a grant to {asset.owner}"))
    for index, link in enumerate(title):
        if link.grantee != asset.owner and all(later.grantor != link.grantee for later in title[index + 1 :]):
            missing = f"the grant by which {link.grantee} passed on what it held under {link.name}"
            findings.append(Finding("title", f"the chain breaks after {link.name}", missing))
        if link.expires is not None and link.expires < facts.horizon:
            reason = f"{link.name} expires on {link.expires.isoformat()}, before the horizon"
            renewal = f"a renewal of {link.name} to {facts.horizon.isoformat()} or later"
            findings.append(Finding("title", reason, renewal))
    return findings


def _lawful_basis(facts: Facts) -> list[Finding]:
    if not facts.legal.personal_data:
        return []
    if facts.legal.basis is None:
        document = (
            "the consent template, contract or statute under which the data is processed, with the impact assessment"
        )
        return [Finding("lawful_basis", "personal data without a stated lawful basis", document)]
    if facts.legal.basis is LawfulBasis.ANONYMISED:
        # anonymised data is not personal (PIPL article 4): the two declarations contradict each other
        return [Finding("lawful_basis", "data called personal and anonymised at once", "the anonymisation assessment")]
    return []


def _dispute(facts: Facts) -> list[Finding]:
    return [
        Finding("dispute", f"open since {dispute.opened.isoformat()}: {dispute.subject}", "the judgment or settlement")
        for dispute in facts.legal.disputes
        if dispute.closed is None or dispute.closed > facts.on
    ]


def _freshness(facts: Facts, evidence: Evidence) -> list[Finding]:
    findings = []
    refreshed = facts.legal.refreshed.on
    if facts.on - refreshed > timedelta(days=facts.legal.refresh_days):
        reason = f"last refreshed on {refreshed.isoformat()}, due every {facts.legal.refresh_days} days"
        findings.append(Finding("freshness", reason, "the log of a later refresh"))
    if any(item.on > facts.on for item in evidence.measured):
        findings.append(
            Finding("freshness", "measured after the valuation date", "a release drawn by the valuation date")
        )
    if any((facts.on - item.on).days > MEASURED_DAYS for item in evidence.measured):
        reason = f"measured more than {MEASURED_DAYS} days before the valuation date"
        findings.append(Finding("freshness", reason, "a release drawn within a year"))
    return findings
