"""A pledge from quote to end as a printable table: what may happen when, who may cause it, by which signed message.

The exchange, and whoever verifies a certificate without it, read the same messages by the same table; no clock is read and
no order but that of the journal counts. ``python -m exchange.protocol.pledge`` prints the table.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Self

from exchange.protocol.agreement import (
    Acceptance,
    Assignment,
    Drawdown,
    Endorsement,
    Filing,
    Leave,
    Level,
    Notice,
    PartialRelease,
    Payment,
    Realisation,
    Release,
    Renewal,
    Signature,
    Step,
    StepIn,
)
from exchange.protocol.envelope import Envelope
from exchange.protocol.errors import Forbidden, PeerFault
from exchange.protocol.messages import Consent, Objection, Offer, StepInTerms, unverified
from privacy.pledging import Pointing

OFFICERS = 2
"""Officers of the lender, each with a key of its own, who must approve a quote."""


class State(StrEnum):
    """Where a pledge stands."""

    QUOTED = "quoted"
    APPROVED = "approved"
    SIGNED = "signed"
    REGISTERED = "registered"
    ACTIVE = "active"
    WARNING = "warning"
    MARGIN_CALL = "margin_call"
    CURED = "cured"
    STEP_IN = "step_in"
    REALISED = "realised"
    RELEASED = "released"
    EXPIRED = "expired"
    REFUSED = "refused"


class Event(StrEnum):
    """What can happen to a pledge."""

    ENDORSED = "an officer approves and another must"
    ALL_ENDORSED = "the second officer approves"
    REFUSED_WITHIN = "an officer refuses"
    SIGNED = "one party signs and the other must"
    ALL_SIGNED = "the second party signs"
    OBJECTED = "the owner objects"
    FILED = "it is filed for registration"
    DRAWN = "the loan is paid out"
    WARNED = "notice of a warning"
    CALLED = "notice of a margin call"
    CURED = "notice that the call is cured"
    LIFTED = "notice that all is well again"
    STEPPED_IN = "the lender steps in"
    REALISED = "the asset is realised"
    SWEPT = "the asset is realised at another rank"
    RELEASED = "it is released"
    LAPSED = "its last day passes"
    PAID = "a payment comes in"
    LESSENED = "a part is released"
    ASSIGNED = "it is assigned"
    TAKEN_OVER = "an assignment is accepted"
    RENEWED = "its registration is renewed"
    LET_IN = "another pledge is let in"


UNSIGNED = (State.QUOTED, State.APPROVED)
WATCHED = (State.ACTIVE, State.WARNING, State.MARGIN_CALL, State.CURED)
LIVE = (State.REGISTERED, *WATCHED, State.STEP_IN)
"""States in which a pledge is a live lien: at most one for an asset and rank."""

TABLE: Mapping[tuple[State, Event], State] = {
    (State.QUOTED, Event.ENDORSED): State.QUOTED,
    (State.QUOTED, Event.ALL_ENDORSED): State.APPROVED,
    **{(origin, Event.REFUSED_WITHIN): State.REFUSED for origin in UNSIGNED},
    (State.APPROVED, Event.SIGNED): State.APPROVED,
    (State.APPROVED, Event.ALL_SIGNED): State.SIGNED,
    (State.APPROVED, Event.OBJECTED): State.REFUSED,
    (State.SIGNED, Event.FILED): State.REGISTERED,
    (State.REGISTERED, Event.DRAWN): State.ACTIVE,
    **{(origin, Event.WARNED): State.WARNING for origin in (State.ACTIVE, State.CURED)},
    **{(origin, Event.CALLED): State.MARGIN_CALL for origin in (State.ACTIVE, State.WARNING, State.CURED)},
    **{(origin, Event.CURED): State.CURED for origin in (State.MARGIN_CALL, State.STEP_IN)},
    **{(origin, Event.LIFTED): State.ACTIVE for origin in (State.WARNING, State.CURED)},
    (State.MARGIN_CALL, Event.STEPPED_IN): State.STEP_IN,
    (State.STEP_IN, Event.REALISED): State.REALISED,
    **{(origin, Event.SWEPT): State.REALISED for origin in LIVE},
    **{(origin, Event.RELEASED): State.RELEASED for origin in LIVE},
    **{(origin, Event.LAPSED): State.EXPIRED for origin in (*UNSIGNED, State.SIGNED, *LIVE)},
    **{(origin, Event.PAID): origin for origin in (*WATCHED, State.STEP_IN)},
    **{(origin, Event.LESSENED): origin for origin in (State.REGISTERED, *WATCHED)},
    **{(origin, event): origin for event in (Event.ASSIGNED, Event.TAKEN_OVER) for origin in LIVE},
    **{(origin, event): origin for event in (Event.RENEWED, Event.LET_IN) for origin in LIVE},
}
"""Everything that may happen to a pledge. What is not here is refused by name and changes nothing."""

OVER = frozenset(state for state in State if not any(state is origin for origin, _ in TABLE))
"""States from which nothing leads away."""

_OFFICER, _LENDER, _OWNER, _EXCHANGE = "an officer of the lender", "the lender", "the owner", "the exchange"
CAUSES: Mapping[Event, tuple[str, str]] = {
    Event.ENDORSED: (_OFFICER, Endorsement.kind),
    Event.ALL_ENDORSED: (_OFFICER, Endorsement.kind),
    Event.REFUSED_WITHIN: (_OFFICER, Endorsement.kind),
    Event.SIGNED: (f"{_LENDER}, {_OWNER}", f"{Signature.kind}, {Consent.kind}"),
    Event.ALL_SIGNED: (f"{_LENDER}, {_OWNER}", f"{Signature.kind}, {Consent.kind}"),
    Event.OBJECTED: (_OWNER, Objection.kind),
    Event.FILED: (_LENDER, Filing.kind),
    Event.DRAWN: (_LENDER, Drawdown.kind),
    Event.WARNED: (_LENDER, Notice.kind),
    Event.CALLED: (_LENDER, Notice.kind),
    Event.CURED: (_LENDER, Notice.kind),
    Event.LIFTED: (_LENDER, Notice.kind),
    Event.STEPPED_IN: (_LENDER, StepIn.kind),
    Event.REALISED: (_LENDER, Realisation.kind),
    Event.SWEPT: ("the lender of the first rank", Realisation.kind),
    Event.RELEASED: (_LENDER, Release.kind),
    Event.LAPSED: (_EXCHANGE, "none: its journal says so"),
    Event.PAID: (_LENDER, Payment.kind),
    Event.LESSENED: (f"{_LENDER}, {_OWNER}", PartialRelease.kind),
    Event.ASSIGNED: (_LENDER, Assignment.kind),
    Event.TAKEN_OVER: ("the new lender", Acceptance.kind),
    Event.RENEWED: (_LENDER, Renewal.kind),
    Event.LET_IN: (_LENDER, Leave.kind),
}
"""Who may cause each event, and by which signed message."""

_NOTICES = {
    Level.WARNING: Event.WARNED,
    Level.MARGIN_CALL: Event.CALLED,
    Level.CURED: Event.CURED,
    Level.LIFTED: Event.LIFTED,
}
_EVENTS: Mapping[type[Step], Event] = {
    Objection: Event.OBJECTED,
    Filing: Event.FILED,
    Drawdown: Event.DRAWN,
    StepIn: Event.STEPPED_IN,
    Realisation: Event.REALISED,
    Release: Event.RELEASED,
    Payment: Event.PAID,
    PartialRelease: Event.LESSENED,
    Assignment: Event.ASSIGNED,
    Acceptance: Event.TAKEN_OVER,
    Renewal: Event.RENEWED,
    Leave: Event.LET_IN,
}


@dataclass(frozen=True, slots=True)
class Agreement:
    """One pledge as its messages made it. Immutable: a refused message leaves it as it was.

    ``lender`` quoted it, ``holder`` holds it now. ``secured`` is how much the lien covers at most and ``claim`` how much is
    owed, in cents. ``endorsed`` are the officers who approved with the ids of their approvals, ``assigned`` is an assignment
    that waits for its new lender, ``lets_in`` the quotes that the holder has let in. ``terms`` are those of a step-in, if
    any were agreed, ``reserve`` (1e-9 rho) what the owner's node keeps back for it, as its consent says if the pledge is
    registered up to and including the day ``kept_until``. ``operator`` has the asset's entitlements in the owner's place.
    """

    id: str
    asset: str
    owner: str
    lender: str
    holder: str
    rank: int
    matures: str
    forbids_juniors: bool
    secured: int
    state: State = State.QUOTED
    claim: int = 0
    endorsed: tuple[tuple[str, str], ...] = ()
    signed: frozenset[str] = frozenset()
    title: str | None = None
    expires: str | None = None
    cure_by: str | None = None
    assigned: tuple[str, str] | None = None
    operator: str | None = None
    lets_in: frozenset[str] = frozenset()
    terms: StepInTerms | None = None
    reserve: int = 0
    kept_until: str | None = None

    @classmethod
    def quoted(cls, envelope: Envelope) -> Self:
        """Return the pledge that a lender's offer quotes."""
        told = unverified(envelope, Offer)
        return cls(
            id=envelope.id,
            asset=told.asset,
            owner=told.asset.partition("/")[0],
            lender=envelope.signer,
            holder=envelope.signer,
            rank=told.rank,
            matures=told.matures,
            forbids_juniors=told.forbids_juniors,
            secured=told.amount * 100,
            terms=told.step_in,
            reserve=0 if told.step_in is None else told.step_in.reserve,
        )

    @property
    def last_day(self) -> str:
        """The day (ISO) after which it is over: the registration's last, or before that the loan's."""
        return self.matures if self.expires is None else self.expires

    @property
    def waits_for_owner(self) -> bool:
        """Whether the owner's signature is all that the agreement lacks."""
        return self.state is State.APPROVED and self.lender in self.signed

    def points(self, day: str) -> Pointing | None:
        """Return who is answered in the owner's place on a day (ISO): who stepped in, or the buyer up to the last day.

        Nobody, if the agreement has no terms for it. The owner's policy says how far.
        """
        stepped = self.state is State.STEP_IN or (self.state is State.REALISED and day <= self.last_day)
        if self.terms is None or self.operator is None or not stepped:
            return None
        return Pointing(self.operator, self.terms.purpose, exclusive=self.terms.exclusive)

    def step(self, message: Step, envelope: Envelope) -> "Agreement":
        """Take one message whose signature was verified; of an endorsement, that its signer is the lender's officer, too.

        Raises:
            Forbidden: if the signer may not cause this.
            PeerFault: if the pledge is not where this may happen, or the message contradicts what was agreed.
        """
        if isinstance(message, Realisation) and message.asset != self.asset:
            raise PeerFault("the message names another asset", fix="name the asset of the pledge")
        if isinstance(message, Realisation) and message.offer != self.id:
            return replace(self, state=self._after(Event.SWEPT), operator=None)
        if message.offer != self.id:
            raise PeerFault("the message names another pledge", fix="send it to its own pledge")
        event = self._event(message)
        if not self._may(message, envelope.signer):
            raise Forbidden(f"{event}: that is for {CAUSES[event][0]}", fix="sign it with that party's key")
        after = self._after(event)
        told = getattr(message, "title", self.title)
        if told != self.title and not isinstance(message, Filing | Renewal):
            raise PeerFault("the message names another title", fix="name the one that the pledge is tied to")
        match message:
            case Endorsement(act="approve") | Signature() | Consent() | Filing() | Renewal():
                made = self._agree(message, envelope)
            case Drawdown() | Payment() | PartialRelease():
                made = self._count(message, by_owner=envelope.signer == self.owner)
            case _:
                made = self._hand(message, envelope)
        return replace(made, state=after)

    def lapse(self) -> "Agreement":
        """Let its last day pass.

        Raises:
            PeerFault: if it is already over.
        """
        return replace(self, state=self._after(Event.LAPSED))

    def _event(self, message: Step) -> Event:
        match message:
            case Endorsement(act="refuse"):
                return Event.REFUSED_WITHIN
            case Endorsement():
                return Event.ALL_ENDORSED if len(self.endorsed) + 1 >= OFFICERS else Event.ENDORSED
            case Signature() | Consent():
                return Event.ALL_SIGNED if self.signed else Event.SIGNED
            case Notice():
                return _NOTICES[message.level]
            case _:
                return _EVENTS[type(message)]

    def _may(self, message: Step, signer: str) -> bool:
        match message:
            case Endorsement():
                return signer not in (self.lender, self.owner)
            case Consent() | Objection():
                return signer == self.owner
            case PartialRelease():
                return signer in (self.holder, self.owner)
            case Acceptance():
                return self.assigned is not None and signer == self.assigned[1]
            case _:
                return signer == self.holder

    def _after(self, event: Event) -> State:
        try:
            return TABLE[self.state, event]
        except KeyError:
            raise PeerFault(
                f"the pledge is {self.state}: {event} has no place now", fix="look at where the pledge stands"
            ) from None

    def _agree(self, message: Endorsement | Signature | Consent | Filing | Renewal, envelope: Envelope) -> "Agreement":
        match message:
            case Endorsement():
                if envelope.signer in dict(self.endorsed):
                    raise PeerFault("this officer has approved before", fix="have another officer approve")
                return replace(self, endorsed=(*self.endorsed, (envelope.signer, envelope.id)))
            case Signature() | Consent():
                return self._sign(message, by=envelope.signer)
            case Filing():
                if message.expires < self.matures:
                    raise PeerFault("the registration would end before the loan", fix="choose a later last day")
                return replace(self, title=message.title, expires=message.expires)
            case Renewal():
                if message.expires <= self.last_day:
                    raise PeerFault("the renewal does not prolong the registration", fix="choose a later last day")
                return replace(self, title=message.title, expires=message.expires)

    def _sign(self, message: Signature | Consent, *, by: str) -> "Agreement":
        if isinstance(message, Signature) and set(message.endorsements) != {held for _, held in self.endorsed}:
            raise PeerFault("the signature names other approvals", fix="name the two that the pledge shows")
        if by in self.signed:
            raise PeerFault("this party has signed before", fix="wait for the other party")
        signed = replace(self, signed=self.signed | {by})
        if isinstance(message, Signature):
            return signed
        if (0 if message.kept is None else message.kept.reserve) != self.reserve:
            raise PeerFault(
                "the owner's node does not keep back the reserve of the agreement", fix="update the owner's node"
            )
        return replace(signed, kept_until=None if message.kept is None else message.kept.until)

    def _count(self, message: Drawdown | Payment | PartialRelease, *, by_owner: bool) -> "Agreement":
        match message:
            case Drawdown():
                if message.amount > self.secured:
                    raise PeerFault("more is paid out than the pledge secures", fix="quote a larger pledge")
                return replace(self, claim=message.amount)
            case Payment():
                if message.amount > self.claim:
                    raise PeerFault("more is paid than is claimed", fix="send the rest back to the payer")
                return replace(self, claim=self.claim - message.amount)
            case PartialRelease():
                left = self.secured - message.amount
                if left <= 0:
                    raise PeerFault("nothing would be left of the pledge", fix="have the lender release it in full")
                if by_owner and left < self.claim:
                    raise PeerFault(
                        "less would be secured than is claimed", fix="release less, or have the lender sign it"
                    )
                if message.reserve and (by_owner or message.reserve > self.reserve):
                    raise PeerFault(
                        "of the reserve only the lender lets go, and of no more than there is", fix="name a part of it"
                    )
                return replace(self, secured=left, reserve=self.reserve - message.reserve)

    def _hand(self, message: Step, envelope: Envelope) -> "Agreement":
        match message:
            case Assignment():
                if message.to in (self.holder, self.owner):
                    raise PeerFault("a pledge is assigned to another lender", fix="name that lender")
                return replace(self, assigned=(envelope.id, message.to))
            case Acceptance():
                if self.assigned is None or message.assignment != self.assigned[0]:
                    raise PeerFault("another assignment took its place", fix="accept the one that the pledge shows")
                return replace(self, holder=envelope.signer, assigned=None)
            case Leave():
                return replace(self, lets_in=self.lets_in | {message.other})
            case StepIn() | Realisation() | Notice() | Release():
                return self._point(message)
            case _:
                return self

    def _point(self, message: StepIn | Realisation | Notice | Release) -> "Agreement":
        """Say who has the asset's entitlements in the owner's place from now on."""
        match message:
            case StepIn():
                if message.operator == self.owner:
                    raise PeerFault("the owner cannot be its own operator", fix="name another party")
                if self.terms is not None and message.operator not in self.terms.operators:
                    raise PeerFault("the agreement names no such operator", fix="name one that the agreement names")
                return replace(self, operator=message.operator)
            case Realisation():
                return replace(self, operator=None if message.successor == self.owner else message.successor)
            case Notice():
                # who cured the call after a step-in has the entitlements again
                operator = None if message.level is Level.CURED else self.operator
                return replace(self, cure_by=message.cure_by, operator=operator)
            case Release():
                return replace(self, operator=None)


def print_table() -> str:
    """Return the table as Markdown; ``docs/register.md`` holds this text."""
    lines = ["| when | by | message | a pledge that is | becomes |", "|---|---|---|---|---|"]
    for event in Event:
        who, kind = CAUSES[event]
        moves: dict[str, list[str]] = {}
        for (origin, happened), target in TABLE.items():
            if happened is event:
                moves.setdefault("stays" if target is origin else target.value, []).append(origin.value)
        lines += [
            f"| {event} | {who} | {kind} | {', '.join(origins)} | {target} |" for target, origins in moves.items()
        ]
    return "\n".join(lines)


if __name__ == "__main__":
    print(print_table())  # noqa: T201  this room's one command
