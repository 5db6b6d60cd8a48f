"""One table from error type to problem document (RFC 9457) and back, shared by service and clients.

A document carries a stable ``code``, what happened (``detail``), what to do next (``fix``) and, for refusals, every
offending item; never a row value, a key or another tenant's name.
"""

from dataclasses import dataclass
from typing import Any

from exchange.protocol.errors import Denied, Encumbered, Overreach, PeerFault, Taken, Unknown
from privacy.errors import Exhausted, Malformed, Mismatch, Overflow, PrivacyError, Refused
from privacy.offences import Violation
from privacy.plan import Plan


@dataclass(frozen=True, slots=True)
class Problem:
    """How one error type is presented: stable code, HTTP status, title."""

    code: str
    status: int
    title: str


TABLE: dict[type[PrivacyError], Problem] = {
    Malformed: Problem("TS-REQ-001", 422, "The request is not well formed"),
    Mismatch: Problem("TS-REQ-002", 422, "Two things that must agree do not"),
    Overflow: Problem("TS-REQ-003", 422, "The plan needs more room than a slot can prove"),
    PeerFault: Problem("TS-SES-001", 409, "The protocol does not allow this now"),
    Unknown: Problem("TS-REQ-004", 404, "There is no such thing"),
    Denied: Problem("TS-AUTH-001", 401, "The caller is not known"),
    Taken: Problem("TS-LIEN-001", 409, "The asset is already pledged"),
    Encumbered: Problem("TS-LIEN-002", 409, "A live lien forbids it"),
    Overreach: Problem("TS-POL-001", 403, "The request exceeds what its purpose needs"),
    Exhausted: Problem("TS-BUD-001", 403, "The budget does not cover the request"),
    Refused: Problem("TS-POL-002", 403, "The request is refused"),
    PrivacyError: Problem("TS-BUG-001", 500, "Something went wrong on our side"),
}


def of(error: PrivacyError) -> Problem:
    """Return the row of the most specific class in the table."""
    return next(TABLE[cls] for cls in type(error).__mro__ if cls in TABLE)


def document(error: PrivacyError) -> dict[str, Any]:
    """Return the problem document of an error."""
    problem = of(error)
    told: dict[str, Any] = {
        "type": f"/problems/{problem.code}",
        "code": problem.code,
        "status": problem.status,
        "title": problem.title,
        "detail": error.reason,
        "fix": error.fix,
    }
    match error:
        case Overreach():
            told["violations"] = [violation.to_json() for violation in error.violations]
            told["nearest"] = error.nearest.to_json() if error.nearest else None
            told["keeps"] = error.keeps
        case Exhausted():
            told |= {"asked": error.asked, "left": error.left, "cap": error.cap}
        case Taken():
            told |= {"asset": error.asset, "rank": error.rank, "holder": error.holder, "since": error.since}
        case Encumbered():
            named = ("asset", "rank", "holder", "since", "doing")
            told |= {name: getattr(error, name) for name in named}
        case _:
            pass
    return told


def error(told: Any) -> PrivacyError:
    """Rebuild the error that a problem document tells of; an unreadable document gives a plain one."""
    try:
        code = told["code"]
        match next(cls for cls, problem in TABLE.items() if problem.code == code).__name__:
            case "Overreach":
                nearest = told["nearest"]
                violations = tuple(Violation(**violation) for violation in told["violations"])
                return Overreach(violations, None if nearest is None else Plan.from_json(nearest), told["keeps"])
            case "Exhausted":
                return Exhausted(asked=told["asked"], left=told["left"], cap=told["cap"])
            case "Taken":
                return Taken(asset=told["asset"], rank=told["rank"], holder=told["holder"], since=told["since"])
            case "Encumbered":
                named = ("asset", "rank", "holder", "since", "doing")
                return Encumbered(**{name: told[name] for name in named})
            case "Unknown":
                return Unknown(told["detail"].removeprefix("no such "))
            case _:
                cls = next(cls for cls, problem in TABLE.items() if problem.code == code)
                return cls(told["detail"], fix=told["fix"])
    except (KeyError, TypeError, AttributeError, OverflowError, StopIteration, Malformed):
        return PrivacyError("the exchange answered with something unreadable", fix="check the address and the version")
