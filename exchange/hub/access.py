"""Requests for access on their way between askers, officers and nodes: kept, shown to those concerned, handed on.

The exchange decides nothing here: what a ruling is worth is the word of the owner's node. To everybody but the asker and the
officers of those owners whose policy wants it approved a request does not exist.
"""

from datetime import UTC, date, datetime, timedelta
from typing import Any

from exchange.hub.rounds import check
from exchange.hub.store import Event, Store
from exchange.hub.view import View
from exchange.protocol.envelope import Envelope
from exchange.protocol.errors import Forbidden, PeerFault, Unknown
from exchange.protocol.messages import AccessRequest, Officers, Ruled, Ruling, expect, read
from privacy.errors import Malformed, Refused
from privacy.necessity import decide
from privacy.offences import Request
from privacy.plan import Plan

OPEN_DAYS = 90
"""Days that a request may wait for rulings."""

MOST_OPEN = 100
"""Requests of one asker that may be open at one time."""

MOST_RULINGS = 20
"""Rulings of one officer on one request."""

LONGEST = 128 << 10
"""Bytes of one request."""

AT_ONCE = 16
"""Rulings that a node is handed at one time."""


def announce(store: Store, envelope: Envelope) -> int:
    """Take an institution's or lender's signed list of its officers, in place of any earlier one; return how many it names.

    Raises:
        Forbidden: if the signer is neither.
    """
    view = store.view()
    told = expect(envelope, view.signer(envelope.signer), Officers)
    if view.role(envelope.signer) not in ("institution", "lender"):
        raise Forbidden("only institutions and lenders have officers", fix="enrol as one of them")
    if view.officers(envelope.signer) != frozenset(told.officers):
        store.write(lambda _: ([("officers", envelope.to_json())], None))
    return len(told.officers)


def request(store: Store, envelope: Envelope, *, now: int) -> str:
    """Take an asker's request for access and return its id; the same one again changes nothing. ``now`` in seconds.

    Raises:
        Forbidden: if an officer asks.
        Unknown: if a party of the plan holds no such dataset.
        Overreach: if the plan exceeds what its purpose needs: no approval lifts that; the refusal is journaled.
        Malformed: if plan or last day is not valid.
        Refused: if no owner's policy asks for an approval of it.
        PeerFault: if the asker has as many open requests as it may have.
    """
    view = store.view()
    told = expect(envelope, view.signer(envelope.signer), AccessRequest)
    today = _day(now)
    if view.role(envelope.signer) == "officer":
        raise Forbidden("officers approve what others ask", fix="ask with the key of an asker")
    if not today <= date.fromisoformat(told.closes) <= today + timedelta(days=OPEN_DAYS):
        raise Malformed("the last day for rulings is out of range", fix=f"choose a day within {OPEN_DAYS} days")
    if len(envelope.body) > LONGEST:
        raise Malformed(f"the request is longer than {LONGEST} bytes", fix="ask for a simpler plan")
    plan = Plan.from_json(told.plan)
    # how long a result is kept is said with the question itself, and judged then
    check(store, view, plan=plan, asker=envelope.signer, keeps=0, now=now)
    owners = _wanting(view, Request(plan, envelope.signer, view.role(envelope.signer), keeps=0, on=today))
    if not owners:
        raise Refused("no owner asks for an approval of this", fix="put the question")

    def take(inner: View) -> tuple[list[Event], str]:
        if inner.access(envelope.id) is not None:
            return [], envelope.id
        if inner.open_access(envelope.signer, today.isoformat()) >= MOST_OPEN:
            raise PeerFault("too many of your requests are open", fix="wait until officers have ruled on some")
        body = {"owners": owners, "closes": told.closes, "envelope": envelope.to_json()}
        return [("access", body)], envelope.id

    return store.write(take)


def _wanting(view: View, request: Request) -> list[str]:
    """Return the owners by whose published policy a person must approve a request that it covers."""
    standard = view.standard(request.plan.standard)
    if standard is None:
        raise Unknown("standard")
    return [
        owner
        for owner in request.plan.parties
        if not decide(request, standard=standard, policies=view.policies_for(standard.id, owner), approvals=()).allowed
    ]


def receive(store: Store, request_id: str, envelope: Envelope) -> None:
    """Take an officer's ruling for the node, or the node's word on one; repeating either changes nothing.

    Raises:
        Unknown: if there is no such request for the sender, or no such ruling.
        PeerFault: if the officer's last ruling still waits for the node, or the node said something else before.
        Malformed: if it is another message.
    """
    message = read(envelope, store.view().signer(envelope.signer))
    match message:
        case Ruling() | Ruled() if message.request == request_id:
            owner = message.owner if isinstance(message, Ruling) else envelope.signer
        case _:
            raise Malformed("a ruling on this request was expected", fix="sign a ruling that names the request")

    def take(view: View) -> tuple[list[Event], None]:
        held = view.access(request_id)
        if held is None or owner not in held["owners"]:
            raise Unknown("request")
        rulings = view.rulings(request_id, owner)
        if isinstance(message, Ruling):
            news = _ruling(view, rulings, owner=owner, envelope=envelope)
        else:
            news = _word(rulings, message, envelope)
        body = {"request": request_id, "owner": owner, "envelope": envelope.to_json()}
        return ([("ruling", body)] if news else []), None

    store.write(take)


def tasks(view: View, party: str) -> list[dict[str, Any]]:
    """Return the rulings that wait for a node's word, oldest first."""
    return [
        {"task": "rule", "request": asked.to_json(), "ruling": ruling.to_json()}
        for asked, ruling in view.unheard(party, AT_ONCE)
    ]


def listed(view: View, *, caller: str, before: int | None, limit: int) -> list[dict[str, Any]]:
    """Return the records of the requests that concern the caller, newest first; ``before`` is the last ``seq`` seen."""
    owners = view.owners(caller)
    found = view.access_of(caller, owners=sorted(owners), before=before, limit=limit)
    return [_record(view, held, caller=caller, owners=owners) for held in found]


def describe(view: View, request_id: str, *, caller: str) -> dict[str, Any]:
    """Return a request's record: to its asker with each node's words, to an officer with its own institution's rulings.

    Raises:
        Unknown: for everybody else, as if it did not exist.
    """
    held = view.access(request_id)
    owners = view.owners(caller)
    if held is None or (caller != held["asker"] and not owners & set(held["owners"])):
        raise Unknown("request")
    return _record(view, held, caller=caller, owners=owners)


def _record(view: View, held: dict[str, Any], *, caller: str, owners: frozenset[str]) -> dict[str, Any]:
    asked = Envelope.from_json(held["envelope"])
    standard = Plan.from_json(expect(asked, view.signed(asked), AccessRequest).plan).standard
    shown: dict[str, dict[str, Any]] = {}
    heard = 0
    for owner in held["owners"]:
        if caller != held["asker"] and owner not in owners:
            continue
        rulings = view.rulings(held["id"], owner)
        words = [word.to_json() for _, word in rulings if word is not None]
        heard += len(rulings) + len(words)
        shown[owner] = {"words": words}
        if owner in owners:
            published = [policy.to_json() for policy in view.publications(owner, standard)]
            shown[owner] |= {"rulings": [ruling.to_json() for ruling, _ in rulings], "policies": published}
    told = {name: held[name] for name in ("id", "seq", "since")}
    return {**told, "request": held["envelope"], "owners": shown, "heard": heard}


def _ruling(view: View, rulings: list[tuple[Envelope, Envelope | None]], *, owner: str, envelope: Envelope) -> bool:
    """Whether a ruling is news.

    Raises:
        Unknown: if its signer is no officer of the owner.
        PeerFault: if the officer must wait, or has ruled too often.
    """
    if owner not in view.owners(envelope.signer):
        raise Unknown("request")
    own = [(ruling, word) for ruling, word in rulings if ruling.signer == envelope.signer]
    if any(ruling == envelope for ruling, _ in own):
        return False
    if any(word is None for _, word in own):
        raise PeerFault("your last ruling still waits for your institution's node", fix="see that the node runs")
    if len(own) >= MOST_RULINGS:
        raise PeerFault("you have ruled on this request too often", fix="have the asker send a new request")
    return True


def _word(rulings: list[tuple[Envelope, Envelope | None]], message: Ruled, envelope: Envelope) -> bool:
    """Whether a node's word is news.

    Raises:
        Unknown: if there is no such ruling for this node.
        PeerFault: if it said something else before.
    """
    known = {ruling.id: word for ruling, word in rulings}
    if message.ruling not in known:
        raise Unknown("ruling")
    before = known[message.ruling]
    if before is not None and before != envelope:
        raise PeerFault("the sender said something else before", fix="repeat the same bytes")
    return before is None


def _day(now: int) -> date:
    return datetime.fromtimestamp(now, tz=UTC).date()
