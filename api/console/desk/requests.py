"""Requests for access: an asker sends them and follows them, officers read what each would give away and rule on it."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from api.commands.approving import consequence_of, document, sql_of
from api.console.desk.asking import ASKERS, asked, link, stated
from api.console.desk.place import DeskPlace, beside
from api.console.pages import Page, Visit
from api.console.places import DESK, Same
from api.console.wording import msg
from exchange.analyst.access import Access, Asked
from exchange.line import today
from exchange.protocol.access import OPEN, Act, Standing
from privacy.errors import Malformed
from privacy.purposes import PURPOSES
from privacy.terms import rho

OFFICERS = frozenset({"officer"})
DAYS = 30
"""Days that an asker gives officers to rule, and an officer an approval to last, if nobody says otherwise."""

_MOST_DAYS = {"closes": 90, "until": 3660}
_MOMENT = 3
"""Seconds that a page waits for the word of an institution's node; then it shows that the word is waited for."""

_AGAIN = {"officer": 2, "asker": 10}


def every(visit: Visit) -> Mapping[str, Any]:
    """Return the requests that this party sent or that concern its institution; to an asker also the form of a new one."""
    place = beside(visit.place)
    fields = asked(visit.form if visit.sent else visit.query)
    return {
        "officer": place.role == "officer",
        "requests": [_row(one) for one in _access(place).every()] if place.asks else [],
        "form": None if place.role == "officer" else _form(visit, fields),
        "same_as": [
            Same(msg("Command line"), f"touchstone access list HOME --exchange {place.exchange}").to_json(),
            Same("HTTP", "GET /v1/access").to_json(),
        ],
    }


def _form(visit: Visit, fields: Mapping[str, str]) -> dict[str, Any]:
    roles = ((one.purpose, one.title) for one in PURPOSES.values() if not one.roles or visit.place.role in one.roles)
    return {
        "sql": fields.get("sql", ""),
        "purpose": fields.get("purpose", ""),
        "budget": fields.get("budget", ""),
        "why": visit.form.get("why", ""),
        "standing": "standing" in visit.form,
        "days": visit.form.get("days", str(DAYS)),
        "purposes": [{"purpose": purpose, "title": title} for purpose, title in roles],
    }


def send(visit: Visit) -> str:
    """Ask the owners of a question's data to approve it."""
    place = beside(visit.place)
    plan = stated(
        place, {name: text for name, text in asked(visit.form).items() if name in ("sql", "purpose", "budget")}
    ).plan()
    closes = today() + timedelta(days=_days(visit, "closes"))
    why = " ".join(visit.form.get("why", "").split())
    name = _access(place).ask(plan, why=why, standing="standing" in visit.form, closes=closes)
    return f"/requests/{name}"


def inbox(visit: Visit) -> Mapping[str, Any]:
    """Return what waits for a ruling of this officer's institution, oldest first, each with what an approval gives away."""
    place = beside(visit.place)
    found = reversed(list(_access(place).every())) if place.asks else iter(())
    return {
        "rules": place.asks,
        "waiting": [
            _told(place, one, sql=False)
            for one in found
            if any(side.own and side.case.standing in OPEN for side in one.sides.values())
        ],
        "same_as": [
            Same(msg("Command line"), f"touchstone access inbox HOME --exchange {place.exchange}").to_json(),
            Same("HTTP", "GET /v1/access").to_json(),
        ],
    }


def show(visit: Visit) -> Mapping[str, Any]:
    """Return a request: what would be given away, the question, the reason given, where it stands with each owner."""
    place = beside(visit.place)
    one = _access(place).find(visit.path["id"])
    told = _told(place, one, sql=True)
    pending = any(move["counted"] is None for side in told["owners"] for move in side["rulings"])
    waits = told["state"] in OPEN
    again = (_AGAIN["officer"] if pending else None) if place.role == "officer" else _AGAIN["asker"] if waits else None
    short, at = one.id[:16], f"--exchange {place.exchange}"
    ways = [f"touchstone access show HOME {short} {at}"]
    if any(side["may_rule"] for side in told["owners"]):
        ways += [f"touchstone access approve HOME {short} --days {DAYS} {at}"]
    return told | {
        "mine": one.asker == place.party,
        "pending": pending,
        "days": visit.form.get("days", str(DAYS)),
        "because": visit.form.get("because", ""),
        "again_in": again,
        "same_as": [
            Same(msg("Command line"), "\n".join(ways)).to_json(),
            Same("SQL", told["sql"]).to_json(),
            Same("HTTP", f"GET /v1/access/{one.id}").to_json(),
        ],
    }


def rule(visit: Visit) -> str:
    """Approve, refuse or withdraw as an officer; the word of the institution's node is waited for a moment."""
    place = beside(visit.place)
    access, name = _access(place), visit.path["id"]
    one = access.find(name)
    try:
        act = Act(visit.form.get("do", ""))
    except ValueError:
        raise Malformed("the form asks for nothing that can be done here", fix="use the buttons of the page") from None
    until = today() + timedelta(days=_days(visit, "until")) if act is Act.APPROVE else None
    because = "" if act is Act.APPROVE else " ".join(visit.form.get("because", "").split())
    owner = visit.form.get("owner") or None
    _, errand = place.errands.start(lambda _: access.rule(one, act, owner=owner, until=until, because=because).request)
    if errand.is_over(within=_MOMENT):
        errand.outcome()
    return f"/requests/{one.id}"


def _days(visit: Visit, what: str) -> int:
    text = visit.form.get("days", str(DAYS)).strip()
    if not (text.isascii() and text.isdecimal() and int(text[:6]) <= _MOST_DAYS[what]):
        raise Malformed("the days are not a whole number in range", fix=f"give 0 to {_MOST_DAYS[what]} days")
    return int(text)


def _access(place: DeskPlace) -> Access:
    return Access(place.client.desk, today=today())


def _state(one: Asked) -> str:
    """Where a request stands with all owners that are seen: what ended it, else what it waits for, else approved."""
    standings = [side.case.standing for side in one.sides.values()]
    ended = [standing for standing in standings if standing not in {*OPEN, Standing.APPROVED}]
    opened = [standing for standing in standings if standing in OPEN]
    return str((ended or opened or [Standing.APPROVED])[0])


def _row(one: Asked) -> dict[str, Any]:
    return {
        "id": one.id,
        "since": one.since,
        "asker": one.asker,
        "purpose": one.plan.purpose,
        "state": _state(one),
        "waiting_for": list(one.waiting_for),
        "closes": one.closes.isoformat(),
        "why": one.why,
    }


def _told(place: DeskPlace, one: Asked, *, sql: bool) -> dict[str, Any]:
    desk = place.client.desk
    told = document(one)
    statement = sql_of(desk, one) if sql else ""
    return _row(one) | {
        "asker_known": one.known,
        "standing": one.standing,
        "parties": list(one.plan.parties),
        "sql": statement,
        "ask": link("/ask", {"sql": statement, "purpose": one.plan.purpose, "budget": rho(one.plan.rho)}),
        "owners": [
            side
            | {
                "owner": owner,
                "own": one.sides[owner].own,
                "may_rule": one.sides[owner].own and side["standing"] in OPEN,
                "may_withdraw": one.sides[owner].own and side["standing"] in (Standing.HALF, Standing.APPROVED),
                "consequence": consequence_of(desk, one, owner, today()) if one.sides[owner].own else None,
            }
            for owner, side in told["owners"].items()
        ],
    }


_AT = frozenset({DESK})

PAGES = (
    Page(
        "/inbox", "inbox.html", msg("Waiting for your ruling"), inbox, group=msg("Access"), roles=OFFICERS, places=_AT
    ),
    Page(
        "/requests",
        "requests.html",
        msg("Requests for access"),
        every,
        group=msg("Access"),
        roles=ASKERS | OFFICERS,
        places=_AT,
        act=send,
    ),
    Page(
        "/requests/{id}",
        "request.html",
        msg("Request for access"),
        show,
        roles=ASKERS | OFFICERS,
        places=_AT,
        act=rule,
    ),
)
