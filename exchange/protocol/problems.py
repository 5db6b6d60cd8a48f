"""One table from error type to problem document (RFC 9457) and back, shared by service and clients.

A document carries a stable ``code``, what happened (``detail``), what to do next (``fix``) and, for refusals, every
offending item; never a row value, a key or another tenant's name.
"""

from dataclasses import dataclass
from typing import Any

from exchange.protocol.errors import (
    Denied,
    Encumbered,
    Forbidden,
    Overreach,
    PeerFault,
    Revoked,
    Slow,
    Stale,
    Taken,
    Throttled,
    TooNew,
    TooOld,
    Uninvited,
    Unknown,
)
from privacy.errors import Exhausted, Malformed, Mismatch, Overflow, PrivacyError, Refused
from privacy.offences import Violation
from privacy.plan import Plan


@dataclass(frozen=True, slots=True)
class Problem:
    """How one error type is presented: stable code, HTTP status, title, and what somebody who meets it should know."""

    code: str
    status: int
    title: str
    help: str


TABLE: dict[type[PrivacyError], Problem] = {
    Malformed: Problem(
        "TS-REQ-001",
        422,
        "The request is not well formed",
        "A parameter or the body is not what the address takes. Compare it with the description of the interface; a client "
        "of this release never sends such a request.",
    ),
    Mismatch: Problem(
        "TS-REQ-002",
        422,
        "Two things that must agree do not",
        "A signature, a hash or a total does not belong to what it stands with. Fetch the newer of the two and sign again; if "
        "it happens again, compare keys with the other party by phone.",
    ),
    Overflow: Problem(
        "TS-REQ-003",
        422,
        "The plan needs more room than a slot can prove",
        "The sums could grow beyond what the encryption carries without loss. Ask for narrower bounds or fewer rows a person.",
    ),
    PeerFault: Problem(
        "TS-SES-001",
        409,
        "The protocol does not allow this now",
        "What was sent does not fit what is on record: it came too late, twice with other words, or out of order. Look at the "
        "record first, then send what it waits for.",
    ),
    Unknown: Problem(
        "TS-REQ-004",
        404,
        "There is no such thing",
        "Nothing of that name exists for this caller. What belongs to others reads the same as what does not exist.",
    ),
    Slow: Problem(
        "TS-REQ-005",
        408,
        "The request took too long to arrive",
        "A body has half a minute to arrive. Look for a proxy or a connection that holds it up, and send it again.",
    ),
    Stale: Problem(
        "TS-REQ-006",
        412,
        "The record has changed since you read it",
        "The request was to count only if the record still had the tag named in If-Match, and it has another. Nothing was "
        "done. Read the record again, then decide anew.",
    ),
    TooOld: Problem(
        "TS-VER-001",
        400,
        "Your release is too old for this exchange",
        "Every request says in Touchstone-Protocol which version of the protocol it speaks; this exchange no longer speaks "
        "yours. Install a newer release; keys, journals and budgets stay as they are.",
    ),
    TooNew: Problem(
        "TS-VER-002",
        400,
        "Your release is too new for this exchange",
        "Every request says in Touchstone-Protocol which version of the protocol it speaks; this exchange does not speak "
        "yours yet. Use the release that its operator names, or wait until the exchange is updated.",
    ),
    Denied: Problem(
        "TS-AUTH-001",
        401,
        "The caller is not known",
        "The request does not prove who sends it: no token, a token of another request, a clock that is wrong by more than a "
        "minute, or a key that is not registered. Set the clock by NTP and see that the exchange has your key.",
    ),
    Revoked: Problem(
        "TS-AUTH-003",
        403,
        "The key has been revoked",
        "The operator of the exchange took this key away, since it was lost, stolen or given up. Nothing that it signs is "
        "taken any more; what is on record stays. Ask the operator for an invite and enrol anew with a new key.",
    ),
    Uninvited: Problem(
        "TS-AUTH-004",
        403,
        "The invite enrols nobody",
        "The invite is unknown, was replaced by a newer one, used, has expired, or is for another party or role. If it was used "
        "and not by you, tell the operator at once: the key that it enrolled is to be revoked.",
    ),
    Forbidden: Problem(
        "TS-AUTH-002",
        403,
        "The caller may not do this",
        "The caller is known, and its role is not one that calls this address. Use the key of a party with the right role.",
    ),
    Throttled: Problem(
        "TS-LIM-001",
        429,
        "Too many requests",
        "A party asked more often than the exchange allows. The document says after how many seconds it may go on; clients "
        "of this release wait by themselves.",
    ),
    Taken: Problem(
        "TS-LIEN-001",
        409,
        "The asset is already pledged",
        "A lien of this rank is live; its holder and the time are told, since they are public facts of the register. Ask the "
        "holder for a release, or take a later rank.",
    ),
    Encumbered: Problem(
        "TS-LIEN-002",
        409,
        "A live lien forbids it",
        "A pledged asset cannot be withdrawn or turned into something else. Have the holder release its lien first.",
    ),
    Overreach: Problem(
        "TS-POL-001",
        403,
        "The request exceeds what its purpose needs",
        "Every offending item is listed with the rule that decides, and the nearest request that passes is offered where "
        "there is one. Send that, or declare the purpose that this question is for.",
    ),
    Exhausted: Problem(
        "TS-BUD-001",
        403,
        "The budget does not cover the request",
        "The privacy budget of the people asked about does not cover it: what was asked and what is left are told. Ask for "
        "less precision, or read the answers that were paid for; they stay free.",
    ),
    Refused: Problem(
        "TS-POL-002",
        403,
        "The request is refused",
        "A rule that is known before any row is read refuses this; the reason and the way forward are told.",
    ),
    PrivacyError: Problem(
        "TS-BUG-001",
        500,
        "Something went wrong on our side",
        "Nothing was done. Send the request id to the operator of the exchange, who finds the cause in its log by it.",
    ),
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
        case Throttled():
            told["seconds"] = error.seconds
        case TooOld() | TooNew():
            told["speaks"] = {"oldest": error.oldest, "newest": error.newest}
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
        kind = next(cls for cls, problem in TABLE.items() if problem.code == code)
        match kind.__name__:
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
            case "Throttled":
                return Throttled(int(told["seconds"]))
            case "Revoked":
                return Revoked()
            case "TooOld" | "TooNew":
                other = TooOld if kind is TooOld else TooNew
                return other(oldest=int(told["speaks"]["oldest"]), newest=int(told["speaks"]["newest"]))
            case "Unknown":
                return Unknown(told["detail"].removeprefix("no such "))
            case _:
                return kind(told["detail"], fix=told["fix"])
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError, StopIteration, Malformed):
        return PrivacyError("the exchange answered with something unreadable", fix="check the address and the version")
