"""Who may call which route: one table, deny by default.

What belongs to whom is decided where it is kept, and what is another's reads there like what does not exist.
"""

from collections.abc import Mapping

from exchange.hub.catalog import ROLES
from exchange.protocol.errors import Forbidden

EVERY = frozenset(ROLES)
ASKERS = frozenset({"institution", "lender", "regulator"})
INSTITUTION = frozenset({"institution"})
LENDER = frozenset({"lender"})
REGULATOR = frozenset({"regulator"})
LENDING = INSTITUTION | LENDER

TABLE: Mapping[str, frozenset[str]] = {
    "GET /v1/exchange": EVERY,
    "POST /v1/links": EVERY,
    "GET /v1/parties": EVERY,
    "GET /v1/standards": EVERY,
    "GET /v1/standards/{name}/{version}": EVERY,
    "GET /v1/datasets": EVERY,
    "GET /v1/datasets/{owner}/{dataset}": EVERY,
    "GET /v1/datasets/{owner}/{dataset}/certificate": EVERY,
    "GET /v1/datasets/{owner}/{dataset}/consequences": INSTITUTION,
    "POST /v1/datasets": INSTITUTION,
    "POST /v1/deprecations": INSTITUTION,
    "POST /v1/withdrawals": INSTITUTION,
    "POST /v1/policies": INSTITUTION,
    "POST /v1/keys": ASKERS,
    "GET /v1/rotations": EVERY,
    "POST /v1/rotations": EVERY,
    "POST /v1/previews": ASKERS,
    "GET /v1/previews/{preview_id}": ASKERS,
    "POST /v1/previews/{preview_id}/verdicts": INSTITUTION,
    "POST /v1/sessions": ASKERS,
    "GET /v1/sessions/{session}": ASKERS,
    "POST /v1/sessions/{session}/messages": INSTITUTION,
    "POST /v1/poll": INSTITUTION,
    "POST /v1/access": ASKERS,
    "GET /v1/access": EVERY,
    "POST /v1/access/officers": LENDING,
    "GET /v1/access/{request_id}": EVERY,
    "POST /v1/access/{request_id}/rulings": INSTITUTION | {"officer"},
    "POST /v1/appraisals": LENDING,
    "POST /v1/offers": LENDER,
    "GET /v1/offers/{offer_id}": EVERY,
    "POST /v1/offers/{offer_id}/answer": INSTITUTION,
    "GET /v1/liens/{owner}/{dataset}": EVERY,
    "GET /v1/log/head": EVERY,
    "GET /v1/log/inclusion": EVERY,
    "GET /v1/log/consistency": EVERY,
    "GET /v1/log/entries": REGULATOR,
    "GET /v1/nodes": EVERY,
    "GET /v1/pledges": EVERY,
    "POST /v1/pledges/{offer_id}/steps": LENDING | {"officer"},
    "GET /v1/pledges/{offer_id}/certificate": EVERY,
    "GET /v1/pledges/{offer_id}/form": EVERY,
    "POST /v1/fingerprints": INSTITUTION,
    "POST /v1/confirmations": INSTITUTION,
    "GET /v1/collateral/{owner}/{dataset}": ASKERS,
    "GET /v1/reviews": frozenset({"officer"}),
    "POST /v1/reviews": frozenset({"officer"}),
    "GET /v1/supervision/pledges": REGULATOR,
    "GET /v1/supervision/refusals": REGULATOR,
    "GET /v1/formulas": EVERY,
    "GET /v1/formulas/{name}": EVERY,
    "POST /v1/formulas/{name}": EVERY,
    "GET /v1/structures": EVERY,
    "POST /v1/structures/{kind}": EVERY,
    "POST /v1/pledges/quote": EVERY,
    "POST /v1/reports": EVERY,
    "POST /v1/reports/verify": EVERY,
}
"""By method and address: the roles that may call. A route without a line lets nobody in, and the service does not start."""

CONDITIONAL = frozenset(
    {
        "POST /v1/datasets",
        "POST /v1/deprecations",
        "POST /v1/withdrawals",
        "POST /v1/policies",
        "POST /v1/access/{request_id}/rulings",
        "POST /v1/offers/{offer_id}/answer",
        "POST /v1/pledges/{offer_id}/steps",
    }
)
"""Routes that write only if a record still is what the caller read, when asked to by If-Match; the others refuse the header."""


OPEN = frozenset({"POST /v1/enrolments"})
"""Routes that take no caller's key: whoever enrols has none yet, and proves to have an invite."""


def check(route: str, role: str | None) -> None:
    """Let a role call a route, or refuse.

    Raises:
        Forbidden: if the table does not say that it may; the refusal names who may.
    """
    roles = TABLE.get(route, frozenset())
    if role not in roles:
        named = ", ".join(sorted(roles)) or "nobody"
        raise Forbidden("your role does not allow this", fix=f"call with the key of one of: {named}")
