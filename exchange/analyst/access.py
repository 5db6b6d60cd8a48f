"""Asking owners for access, ruling on what others ask, and what has become of either: an asker's and an officer's side.

What the exchange shows is checked: a request by its id, which is the hash of what its asker signed; an institution's words
and policies by its pinned key. An exchange can hold a word back, not change one.
"""

import secrets
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

from exchange.analyst.desk import Desk
from exchange.line import monotonic
from exchange.pins import reading
from exchange.protocol.access import OPEN, Act, Case, Standing
from exchange.protocol.envelope import Envelope
from exchange.protocol.errors import PeerFault, Unknown
from exchange.protocol.messages import AccessRequest, Publication, Ruled, Ruling, expect, unverified
from privacy.errors import Malformed, Mismatch, Refused
from privacy.plan import Plan
from privacy.policy import Policy

PATIENCE = 60
"""Seconds that an officer waits for the word of the node."""


@dataclass(frozen=True, slots=True)
class Move:
    """What an officer did about a request, and its node's word on it, once that has come.

    The officers of one institution need not have pinned each other's keys: the node's word says whether it counted.
    """

    id: str
    officer: str
    ruling: Ruling
    word: Ruled | None


@dataclass(frozen=True, slots=True)
class Side:
    """Where a request stands with one owner.

    ``reason`` is that of a refusal or withdrawal. An officer of the owner (``own``) sees its ``rulings`` and its ``policy``
    for such questions as well.
    """

    case: Case
    reason: str
    rulings: tuple[Move, ...] = ()
    policy: Policy | None = None
    own: bool = False


@dataclass(frozen=True, slots=True)
class Asked:
    """A request for access, known ``since`` (ISO, UTC); ``sides`` by owner, as far as the caller sees them.

    ``known`` says that the asker's key is pinned here and its signature was checked; if not, the owner's node will check it.
    """

    id: str
    seq: int
    since: str
    asker: str
    plan: Plan
    why: str
    standing: bool
    closes: date
    heard: int
    known: bool
    sides: Mapping[str, Side]

    @property
    def waiting_for(self) -> tuple[str, ...]:
        """The owners whose officers have not ruled yet."""
        return tuple(owner for owner, side in self.sides.items() if side.case.standing in OPEN)

    @property
    def state(self) -> str:
        """Where the request stands with all owners that are seen, in words."""
        ended = [side for side in self.sides.values() if side.case.standing not in {*OPEN, Standing.APPROVED}]
        if ended:
            return str(ended[0].case.standing)
        if self.waiting_for:
            return f"waiting for {', '.join(self.waiting_for)}"
        ends = [side.case.until for side in self.sides.values() if side.case.until is not None]
        return f"approved until {min(ends)}" if ends else "waiting"


class Access:
    """Requests for access as one desk sees them on a day."""

    def __init__(self, desk: Desk, *, today: date) -> None:
        self._desk = desk
        self._today = today

    def ask(self, plan: Plan, *, why: str, standing: bool, closes: date) -> str:
        """Ask the owners of a plan's data to approve it, for ``why``, and return the request's id.

        ``standing`` asks for every later plan that needs no more at no higher price. Officers may rule up to ``closes``.

        Raises:
            Overreach: if the plan exceeds what its purpose needs: no approval lifts that.
            Unknown: if a party of the plan holds no such dataset.
            Malformed: if the reason is empty, too long or not plain text.
        """
        if not 0 < len(why) <= 400 or not why.isprintable():
            raise Malformed("the reason is not one line of plain text", fix="say why in 1 to 400 characters")
        message = AccessRequest(
            plan=plan.to_json(), why=why, standing=standing, closes=closes.isoformat(), nonce=secrets.token_hex(32)
        )
        signed = self._desk.sign(message)
        if self._desk.line.post("/v1/access", signed) != {"id": signed.id}:
            raise Mismatch("the exchange took another request than the one sent", fix="report the exchange")
        return signed.id

    def every(self) -> Iterator[Asked]:
        """Yield every request that concerns this desk, newest first."""
        before = ""
        while True:
            match self._desk.line.get(f"/v1/access{before}"):
                case {"requests": list(records)}:
                    found = [self._read(record) for record in records]
                case _:
                    raise PeerFault("the exchange's list is not one of requests", fix="report the exchange")
            yield from found
            if not found:
                return
            before = f"?before={found[-1].seq}"

    def find(self, request: str) -> Asked:
        """Return a request by its id or the beginning of it.

        Raises:
            Unknown: if there is none for this desk, or several.
        """
        if len(request) == 64 and request.isalnum():
            return self._fetch(request)
        found = [one for one in self.every() if request and one.id.startswith(request)]
        if len(found) != 1:
            raise Unknown("one request whose id begins like this")
        return found[0]

    def rule(
        self,
        request: Asked,
        act: Act,
        *,
        owner: str | None = None,
        until: date | None = None,
        because: str = "",
        patience: int = PATIENCE,
    ) -> Ruled:
        """Rule on a request as an officer and return the node's word; an approval lasts ``until`` a day.

        ``owner`` says for which institution, if it could be several.

        Raises:
            Refused: if the ruling counts for nothing, with the node's reason; or if the node is silent: the ruling waits.
            Unknown: if this desk's party is no officer of an owner.
            Malformed: if a reason is missing or not plain text.
        """
        owner = self._owner(request, owner)
        if len(because) > 400 or not because.isprintable() or (act is Act.REFUSE and not because):
            raise Malformed("the reason is not one line of plain text", fix="say why in 1 to 400 characters")
        message = Ruling(
            request=request.id,
            owner=owner,
            act=act,
            until=None if until is None else until.isoformat(),
            because=because,
            nonce=secrets.token_hex(32),
        )
        signed = self._desk.sign(message)
        self._desk.line.post(f"/v1/access/{request.id}/rulings", signed)
        word = self._await(request, signed, owner=owner, until=monotonic() + patience)
        if not word.counted:
            raise Refused(f"{owner} does not take the ruling: {word.reason}", fix=f"see the request: {request.id[:16]}")
        return word

    def _owner(self, request: Asked, owner: str | None) -> str:
        own = [name for name, side in request.sides.items() if side.own and owner in (None, name)]
        if not own:
            raise Unknown("request on which you may rule")
        if len(own) > 1:
            raise Malformed("you are an officer of several owners", fix=f"say for which one: {', '.join(own)}")
        return own[0]

    def _await(self, request: Asked, ruling: Envelope, *, owner: str, until: float) -> Ruled:
        seen = request.heard
        while True:
            told = self._read(self._desk.line.get(f"/v1/access/{request.id}?wait=10&seen={seen}"))
            for move in told.sides[owner].rulings if owner in told.sides else ():
                if move.id == ruling.id and move.word is not None:
                    return move.word
            if monotonic() > until:
                raise Refused(f"the node of {owner} has not answered yet", fix="the ruling waits for it; look again")
            seen = told.heard

    def _fetch(self, request: str) -> Asked:
        found = self._read(self._desk.line.get(f"/v1/access/{request}"))
        if found.id != request:
            raise Mismatch("the record is that of another request", fix="report the exchange")
        return found

    def _read(self, record: Any) -> Asked:
        """Check a record from the signed messages up."""
        match record:
            case {
                "id": str(name), "seq": int(seq), "since": str(since), "request": asked, "owners": dict(owners),
                "heard": int(heard),
            }:  # fmt: skip
                envelope = Envelope.from_json(asked)
            case _:
                raise PeerFault("the exchange's record is not that of a request", fix="report the exchange")
        if envelope.id != name:
            raise Mismatch("the record is that of another request", fix="report the exchange")
        directory = {**reading(self._desk.pinned, envelope), self._desk.party: self._desk.own(envelope)}
        # an officer need not know every asker's key: its node does, and checks the request that the ruling names
        known = envelope.signer in directory
        message = expect(envelope, directory, AccessRequest) if known else unverified(envelope, AccessRequest)
        plan = Plan.from_json(message.plan)
        if not set(owners) <= set(plan.parties):
            raise Mismatch("the record names owners that the plan does not", fix="report the exchange")
        closes = date.fromisoformat(message.closes)
        return Asked(
            id=name,
            seq=seq,
            since=since,
            asker=envelope.signer,
            plan=plan,
            why=message.why,
            standing=message.standing,
            closes=closes,
            heard=heard,
            known=known,
            sides={owner: self._side(owner, told, name, plan, closes) for owner, told in sorted(owners.items())},
        )

    def _side(self, owner: str, told: Any, request: str, plan: Plan, closes: date) -> Side:
        match told:
            case {"words": list(words), "rulings": list(rulings), "policies": list(policies)}:
                own = True
            case {"words": list(words)}:
                rulings, policies, own = [], [], False
            case _:
                raise PeerFault("the exchange's record is not that of a request", fix="report the exchange")
        heard = [self._word(owner, word, request) for word in words]
        counted = [word for word in heard if word.counted]
        last = max(counted, key=lambda word: word.step, default=None)
        case = Case(closes)
        if last is not None:
            until = None if last.until is None else date.fromisoformat(last.until)
            case = Case(closes, standing=last.standing, until=until, step=last.step)
        by_ruling = {word.ruling: word for word in heard}
        return Side(
            case=case.on(self._today),
            reason="" if last is None else last.reason,
            rulings=tuple(
                Move(envelope.id, envelope.signer, unverified(envelope, Ruling), by_ruling.get(envelope.id))
                for envelope in map(Envelope.from_json, rulings)
            ),
            policy=self._policy(owner, policies, plan),
            own=own,
        )

    def _word(self, owner: str, told: Any, request: str) -> Ruled:
        envelope = Envelope.from_json(told)
        word = expect(envelope, reading(self._desk.pinned, envelope), Ruled)
        if envelope.signer != owner or word.request != request:
            raise Mismatch("an institution's word is about another request", fix="report the exchange")
        return word

    def _policy(self, owner: str, told: list[Any], plan: Plan) -> Policy | None:
        """Return the owner's policy for the plan's standard, as the owner signed it."""
        for envelope in map(Envelope.from_json, told):
            policy = Policy.from_json(expect(envelope, reading(self._desk.pinned, envelope), Publication).policy)
            if (envelope.signer, policy.owner, policy.standard) == (owner, owner, plan.standard):
                return policy
        return None
