"""Where an answer leads: for each route that makes or changes something, the routes that take what it answers, in one table.

The description tells these as links (OpenAPI 3.1, Link Object). Parameters are its runtime expressions; what goes into a signed
message, where no expression reaches, is told in words.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Lead:
    """One way on, to a route. ``parameters`` are its parameters in the path, ``body`` its body if that is all it takes."""

    to: str
    text: str
    parameters: Mapping[str, str] = field(default_factory=dict)
    body: str | None = None


_ID = "$response.body#/id"
_DATASET = {"owner": "$response.body#/owner", "dataset": "$response.body#/dataset"}
_TOLD = "$request.path."

_RECORD = Lead("GET /v1/datasets/{owner}/{dataset}", "Read the record of the dataset.", _DATASET)
_CONSEQUENCES = Lead(
    "GET /v1/datasets/{owner}/{dataset}/consequences", "See what a withdrawal would meet now.", _DATASET
)
_CERTIFICATE = Lead(
    "GET /v1/datasets/{owner}/{dataset}/certificate", "Fetch the certificate of the registration.", _DATASET
)
_WITHDRAW = Lead("POST /v1/withdrawals", "Take it out of the catalog; the message names ``dataset``.")
_WATCH = Lead("GET /v1/collateral/{owner}/{dataset}", "Read the state of the asset.", _DATASET)


def _pledge(offer_id: str) -> tuple[Lead, ...]:
    """Return the ways on from a pledge whose id stands at an expression."""
    where = {"offer_id": offer_id}
    return (
        Lead("GET /v1/offers/{offer_id}", "Read where the pledge stands.", where),
        Lead("POST /v1/pledges/{offer_id}/steps", "Take the next step; its message names the id as ``offer``.", where),
        Lead("POST /v1/offers/{offer_id}/answer", "The owner answers; the message names the id as ``offer``.", where),
    )


LEADS: Mapping[str, tuple[Lead, ...]] = {
    "POST /v1/datasets": (
        _RECORD,
        _CONSEQUENCES,
        _CERTIFICATE,
        Lead("GET /v1/liens/{owner}/{dataset}", "Read the live liens on it.", _DATASET),
        Lead("POST /v1/policies", "Put its policy in force; the policy names ``owner`` and ``dataset``."),
        Lead("POST /v1/fingerprints", "Put its fingerprint on record; the message names ``dataset``."),
        Lead("POST /v1/deprecations", "Advise against it; the message names ``dataset``."),
        _WITHDRAW,
        Lead("POST /v1/appraisals", "Put an appraisal of it on record; the message names it as ``asset``."),
    ),
    "POST /v1/policies": (_RECORD,),
    "POST /v1/deprecations": (_RECORD, _CERTIFICATE, _CONSEQUENCES, _WITHDRAW),
    "POST /v1/withdrawals": (_RECORD, _CERTIFICATE, _CONSEQUENCES),
    "POST /v1/fingerprints": (
        _WATCH,
        _RECORD,
        Lead("POST /v1/confirmations", "Confirm it each day; the message names the id as ``fingerprint``."),
    ),
    "POST /v1/confirmations": (_WATCH, _RECORD),
    "POST /v1/rotations": (
        Lead("GET /v1/rotations", "Read the changes of keys; this one is among them."),
        Lead("GET /v1/parties", "Read the keys in force."),
    ),
    "POST /v1/enrolments": (Lead("GET /v1/parties", "Read who is enrolled; sign with the new key."),),
    "POST /v1/keys": (Lead("POST /v1/sessions", "Ask; the message names the fingerprint as ``key``."),),
    "POST /v1/previews": (
        Lead("GET /v1/previews/{preview_id}", "Read what the nodes say.", {"preview_id": _ID}),
        Lead(
            "POST /v1/previews/{preview_id}/verdicts",
            "A node of the plan answers; its message names the id as ``preview``.",
            {"preview_id": _ID},
        ),
    ),
    "POST /v1/sessions": (
        Lead("GET /v1/sessions/{session}", "Follow the session.", {"session": _ID}),
        Lead(
            "POST /v1/sessions/{session}/messages",
            "A node of the plan answers; its message names the id as ``session``.",
            {"session": _ID},
        ),
    ),
    "POST /v1/sessions/{session}/messages": (
        Lead("GET /v1/sessions/{session}", "Follow the session.", {"session": _TOLD + "session"}),
        Lead("POST /v1/sessions/{session}/messages", "Send the next message.", {"session": _TOLD + "session"}),
    ),
    "POST /v1/access": (
        Lead("GET /v1/access/{request_id}", "Follow the request.", {"request_id": _ID}),
        Lead(
            "POST /v1/access/{request_id}/rulings",
            "An officer of an owner rules; the message names the id as ``request``.",
            {"request_id": _ID},
        ),
    ),
    "POST /v1/access/{request_id}/rulings": (
        Lead("GET /v1/access/{request_id}", "An officer reads what has been ruled.", {"request_id": _ID}),
        Lead(
            "POST /v1/access/{request_id}/rulings",
            "The owner's node says what a ruling counts for; its message names the id as ``request``.",
            {"request_id": _ID},
        ),
    ),
    "POST /v1/appraisals": (Lead("POST /v1/offers", "Offer a loan; the message names the id as ``appraisal``."),),
    "POST /v1/offers": _pledge(_ID),
    "POST /v1/offers/{offer_id}/answer": _pledge(_ID),
    "POST /v1/pledges/{offer_id}/steps": (
        *_pledge(_ID),
        Lead("GET /v1/pledges/{offer_id}/certificate", "Once registered: the certificate.", {"offer_id": _ID}),
        Lead("GET /v1/pledges/{offer_id}/form", "Once registered: the registry's fields.", {"offer_id": _ID}),
    ),
    "POST /v1/reviews": (Lead("GET /v1/reviews", "Read what still waits for a ruling."),),
    "POST /v1/reports": (
        Lead("POST /v1/reports/verify", "Have it computed anew.", body="$response.body"),
        Lead("POST /v1/appraisals", "Put it on record; the message names its ``digest`` as ``report``."),
    ),
    "POST /v1/reports/verify": (
        Lead("POST /v1/appraisals", "Put it on record; the message names the digest as ``report``."),
    ),
}
"""By method and address of the route that answers."""
