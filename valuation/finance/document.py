"""One canonical document of an arrangement, and its re-performance by somebody else, offline."""

from collections.abc import Callable, Mapping
from typing import Any

from privacy import canonical
from valuation.errors import OutOfRange, WrongType
from valuation.finance import guarantee, portfolio, securitisation, trust
from valuation.finance.arrangement import Arrangement
from valuation.reperform import CODE, NOTICE, Verified, reperform
from valuation.trace import walk

FORMAT = "touchstone-finance/1"

KINDS: Mapping[str, Callable[[Any], Arrangement]] = {
    "guarantee": guarantee.arrange,
    "trust": trust.arrange,
    "abs": securitisation.arrange,
    "portfolio": portfolio.arrange,
}
"""Each kind of document and what works it out."""

PURPOSES: Mapping[str, str] = {
    "guarantee": "joint default, fee floor, and who is paid what after a call",
    "trust": "an income right paid out by metered use",
    "abs": "loss of a small pool, two classes, waterfall with triggers",
    "portfolio": "exposures, concentration and a common shock over many pledges",
}
"""What each kind is for, in a line."""

_PARTS = "format code notice kind title on currency parties inputs gates figures tables conclusion remarks assumptions basis digest"


def perform(kind: str, inputs: Any) -> dict[str, Any]:
    """Work a product out from its inputs and write the document; inputs are kept as they were given.

    Raises:
        OutOfRange: if there is no such kind. BadInput: naming the key. GatesClosed: naming every closed gate.
    """
    if kind not in KINDS:
        raise OutOfRange("kind", "{" + ", ".join(KINDS) + "}")
    made = KINDS[kind](inputs)
    document: dict[str, Any] = {
        "format": FORMAT,
        "code": CODE,
        "notice": dict(NOTICE),
        "kind": kind,
        "title": made.title,
        "on": made.on.isoformat(),
        "currency": made.currency,
        "parties": [{"role": role, "name": name} for role, name in made.parties.items()],
        "inputs": inputs,
        "gates": [gate.to_json() for gate in made.gates],
        "figures": [figure.to_json() for figure in walk(*made.roots)],
        "tables": [table.to_json() for table in made.tables],
        "conclusion": [{"label": label, "figure": key} for label, key in made.conclusion.items()],
        "remarks": [remark.to_json() for remark in made.remarks],
        "assumptions": list(made.assumptions),
    }
    document["basis"] = canonical.digest({key: document[key] for key in ("kind", "inputs", "code")})
    document["digest"] = canonical.digest(document)
    return document


def verify(document: bytes | Mapping[str, Any]) -> Verified:
    """Work the product out anew from the inputs in its document and compare; needs nothing but the document.

    Raises:
        Malformed: if it is no such document. Differs: naming the first figure or part that does not follow.
    """
    return reperform(
        document,
        what="document",
        form=FORMAT,
        parts=_PARTS,
        listed=("figures", "tables"),
        # inputs are kept as they were given, so what is worked out travels once before it is compared
        perform=lambda told: canonical.decode(canonical.encode(perform(_kind(told), told["inputs"]))),
    )


def _kind(told: Mapping[str, Any]) -> str:
    if not isinstance(told["kind"], str):
        raise WrongType("document.kind", "text")
    return told["kind"]
