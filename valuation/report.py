"""One canonical document of an appraisal and its quote, and its re-performance by somebody else, offline.

The document holds every input (asset, facts, releases, method, terms), every parameter, every figure with its reasons,
and the version of the code. :func:`verify` parses the inputs, computes everything anew and compares. Decimals travel as
text; the form is that of :mod:`privacy.canonical`, so equal reports are equal bytes.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from privacy import canonical
from privacy.errors import Mismatch
from valuation import exact, pledge, quality, terms
from valuation.asset import DataAsset
from valuation.cost import DAYS_A_YEAR, Appraisal, Mode, appraise_cost
from valuation.effort import check_lists, check_steps
from valuation.errors import MissingKey, OutOfRange, UnknownKey
from valuation.evidence import Evidence
from valuation.facility import rules
from valuation.facts import Facts
from valuation.intake import Record, decimal_of
from valuation.judgement import Judgement
from valuation.pledge import Quote
from valuation.proof import LTV_CAPS
from valuation.reconcile import appraise
from valuation.reperform import CODE, NOTICE, Verified, reperform
from valuation.terms import Terms
from valuation.trace import walk

FORMAT = "touchstone-valuation/1"

ASSUMPTIONS = (
    "highest and best lawful use, in the one scenario stated; rights as documented",
    "no copy of the data is held elsewhere that was not disclosed",
    "the data goes on being refreshed at its present cost",
    "costs are nominal, brought to the price level of the valuation year; no terminal value, no synergy",
    "the error of the private measurement is in the range; noises of the counts are independent",
    "counts are of the rows that contribution bounds admit at the owner's node",
    "low and high take every uncertain input at its worse or better end at once: an envelope, not a joint 95 % interval",
    "data is not eligible collateral for regulatory capital; no capital relief follows",
    "valid for one year from the valuation date at most, and only while title, quality and freshness last",
)
"""Assumptions and limiting conditions, printed with every report."""

ENVELOPE = next(line for line in ASSUMPTIONS if line.startswith("low and high"))

RECONCILED = (
    "low and high hold 90 % of the draws and the 95 % interval of the measurement; drivers are drawn independently",
    "income is counted by year up to its economic life, the last year stated and the title's term, whichever comes first",
    "weights, spreads and scenarios are the appraiser's judgement, with the reasons given",
)
"""Stand in place of the envelope where several approaches were reconciled."""


@dataclass(frozen=True, slots=True)
class Necessity:
    """What the lender's purpose opened and what was withheld from it, as decided by the owner's policy.

    ``withheld`` pairs each item with the reason.
    """

    purpose: str
    opened: tuple[str, ...]
    withheld: tuple[tuple[str, str], ...]

    def to_json(self) -> dict[str, Any]:
        """Return the canonical JSON object."""
        return {
            "purpose": self.purpose,
            "opened": list(self.opened),
            "withheld": [{"item": item, "reason": reason} for item, reason in self.withheld],
        }

    @classmethod
    def from_json(cls, document: Any, path: str = "necessity") -> "Necessity":
        """Parse; raises a typed error that names the key."""
        record = Record(document, path, "purpose opened withheld")
        withheld = []
        for where, item in record.items("withheld"):
            inner = Record(item, where, "item reason")
            withheld.append((inner.text("item"), inner.text("reason")))
        opened = tuple(Record({"item": item}, where, "item").text("item") for where, item in record.items("opened"))
        return cls(record.text("purpose"), opened, tuple(withheld))


def compose(appraisal: Appraisal, quoted: Quote | None, necessity: Necessity) -> dict[str, Any]:
    """Write the report of an appraisal, and of the quote made from it if there is one.

    ``basis`` is the SHA-256 over inputs, parameters, code version and release digests; ``digest`` over all the rest.

    Raises:
        Mismatch: if the quote is of another appraisal, or a release was opened for another purpose.
    """
    if quoted is not None and quoted.appraisal != appraisal:
        raise Mismatch("the quote was made from another appraisal", fix="quote from the appraisal in the report")
    for item in appraisal.evidence.measured:
        if item.document["plan"].get("purpose") != necessity.purpose:
            raise Mismatch("a release was opened for another purpose", fix="measure under the purpose of this report")
    inputs = {
        "asset": appraisal.asset.to_json(),
        "facts": appraisal.facts.to_json(),
        "evidence": appraisal.evidence.to_json(),
        "method": {
            "name": appraisal.method,
            "on": appraisal.on.isoformat(),
            "mode": appraisal.mode.value,
            "weights": {name: exact.spell(weight) for name, weight in appraisal.weights.items()},
            **({} if appraisal.judgement is None else {"judgement": appraisal.judgement.to_json()}),
        },
        "terms": None if quoted is None else quoted.terms.to_json(),
        "necessity": necessity.to_json(),
    }
    releases = [item.digest for item in appraisal.evidence.measured]
    roots = (*appraisal.roots, *(() if quoted is None else quoted.roots))
    remarks = (*appraisal.remarks, *(() if quoted is None else quoted.remarks))
    document: dict[str, Any] = {
        "format": FORMAT,
        "code": CODE,
        "notice": dict(NOTICE),
        "inputs": inputs,
        "parameters": _parameters() | ({} if quoted is None or quoted.facility is None else {"lending": rules()}),
        "releases": releases,
        "gates": [gate.to_json() for gate in appraisal.gates],
        "figures": [figure.to_json() for figure in walk(*roots)],
        "conclusion": _conclusion(appraisal, quoted),
        "remarks": [remark.to_json() for remark in remarks],
        "assumptions": _assumptions(appraisal),
    }
    document["basis"] = canonical.digest({key: document[key] for key in ("inputs", "parameters", "code", "releases")})
    document["digest"] = canonical.digest(document)
    return document


def verify(document: bytes | Mapping[str, Any]) -> Verified:
    """Re-derive every figure of a report from the inputs in it; needs nothing but the report and this code.

    Figures are compared first, reasons before conclusions, so that the first one that was changed is the one named.

    Raises:
        Malformed: if it is not a canonical report, or an input is not what its contract demands.
        Differs: naming the first figure or part that does not follow.
    """
    parts = "format code notice inputs parameters releases gates figures conclusion remarks assumptions basis digest"
    return reperform(document, what="report", form=FORMAT, parts=parts, perform=lambda told: perform(told["inputs"]))


def perform(inputs: Any) -> dict[str, Any]:
    """Compute a whole report from its inputs: what :func:`verify` does again.

    Raises:
        PrivacyError: as :func:`read` does.
    """
    return compose(*read(inputs))


def read(inputs: Any) -> tuple[Appraisal, Quote | None, Necessity]:
    """Parse a report's inputs, and appraise and quote from them.

    ``inputs`` has the keys asset, facts, evidence, method, terms (null for no quote) and necessity. The method's name is
    ``cost_cas2023``, or ``reconciled`` with a ``judgement`` beside it.

    Raises:
        BadInput: naming the key, or the list or part that asks for too much work. GatesClosed, Swamped: if there is nothing to price. Mismatch: if parts do not fit together.
    """
    record = Record(inputs, "inputs", "asset facts evidence method terms necessity")
    check_lists(inputs)
    method = Record(record.raw("method"), record.path("method"), "name on mode weights", "judgement")
    mode = method.text("mode")
    if mode not in {kind.value for kind in Mode}:
        raise OutOfRange(method.path("mode"), "{quality, life, both}")
    name = method.text("name")
    if name not in {"cost_cas2023", "reconciled"}:
        raise OutOfRange(method.path("name"), "{cost_cas2023, reconciled}")
    if name == "reconciled" and not method.given("judgement"):
        raise MissingKey(method.path("judgement"))
    if name == "cost_cas2023" and "judgement" in record.raw("method"):
        raise UnknownKey(method.path("judgement"))
    asset = DataAsset.from_json(record.raw("asset"), record.path("asset"))
    facts = Facts.from_json(record.raw("facts"), record.path("facts"))
    evidence = Evidence.from_json(record.raw("evidence"), record.path("evidence"))
    weights = {name: decimal_of(value, where) for where, name, value in method.entries("weights")}
    agreed = Terms.from_json(record.raw("terms"), record.path("terms")) if record.given("terms") else None
    necessity = Necessity.from_json(record.raw("necessity"), record.path("necessity"))
    on, chosen = method.day("on"), Mode(mode)
    judgement = None
    if name == "reconciled":
        judgement = Judgement.from_json(method.raw("judgement"), method.path("judgement"))
    check_steps(facts, evidence, judgement)
    if judgement is not None:
        appraisal = appraise(asset, facts, evidence, on, judgement=judgement, mode=chosen, weights=weights)
    else:
        appraisal = appraise_cost(asset, facts, evidence, on, mode=chosen, weights=weights)
    quoted = None if agreed is None else pledge.quote(appraisal, agreed)
    return appraisal, quoted, necessity


def _parameters() -> dict[str, Any]:
    return {
        "digits": exact.DIGITS,
        "days_a_year": DAYS_A_YEAR,
        "z95": exact.spell(quality.Z95),
        "least_sigmas": quality.LEAST_SIGMAS,
        "ltv_caps": {proof.value: exact.spell(cap) for proof, cap in LTV_CAPS.items()},
        "haircuts": {
            name: {
                "usual": [exact.spell(rule.low), exact.spell(rule.high)],
                "default": exact.spell(rule.default),
                "reason": rule.reason,
            }
            for name, rule in terms.HAIRCUTS.items()
        },
        "public_data_title": exact.spell(terms.PUBLIC_DATA_TITLE),
        "book_flag": pledge.BOOK_FLAG,
    }


APART, TOGETHER = "drivers are drawn independently", "drivers are drawn with the correlations stated"


def _assumptions(appraisal: Appraisal) -> list[str]:
    if appraisal.judgement is None:
        return list(ASSUMPTIONS)
    lines = [line for stated in ASSUMPTIONS for line in (RECONCILED if stated == ENVELOPE else (stated,))]
    return [line.replace(APART, TOGETHER) for line in lines] if appraisal.judgement.correlations else lines


def _conclusion(appraisal: Appraisal, quoted: Quote | None) -> dict[str, Any]:
    """Name the figures that conclude; their values stand in the list of figures alone."""
    conclusion: dict[str, Any] = {
        "currency": appraisal.currency,
        "low": appraisal.low.key,
        "central": appraisal.central.key,
        "high": appraisal.high.key,
    }
    if appraisal.judgement is not None:
        conclusion["approaches"] = list(appraisal.judgement.weights)
    if quoted is not None:
        conclusion |= {
            "recognised": quoted.recognised.key,
            "limit": quoted.limit.key,
            "binding": quoted.binding,
            "haircuts": {name: haircut.to_json() for name, haircut in quoted.haircuts},
        }
        if quoted.facility is not None:
            conclusion["loan"] = quoted.facility.to_json()
    return conclusion
