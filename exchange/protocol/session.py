"""The session of a joint query as two printable tables: one for the exchange, one for each node.

The exchange's table only orders messages; it decides nothing that could open a value. A node's table makes sure that it
commits to one roster and answers once. ``python -m exchange.protocol.session`` prints both.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum

from exchange.protocol.envelope import Envelope
from exchange.protocol.errors import PeerFault
from exchange.protocol.messages import Abort, Accept, Commit, Decline, Message, Share
from privacy import canonical
from privacy.errors import Mismatch


class Stage(StrEnum):
    """Where a session stands at the exchange, and what it waits for."""

    JUDGING = "judging"
    COMMITTING = "committing"
    ANSWERING = "answering"
    ANSWERED = "answered"
    REFUSED = "refused"
    ABORTED = "aborted"
    EXPIRED = "expired"


class Event(StrEnum):
    """What can happen to a session."""

    ACCEPTED = "a node accepts"
    ALL_ACCEPTED = "the last node accepts"
    DECLINED = "a node declines"
    COMMITTED = "a node commits"
    ALL_COMMITTED = "the last node commits"
    SHARED = "a node answers"
    ALL_SHARED = "the last node answers"
    ABORTED = "a node aborts"
    DEADLINE = "the deadline passes"


TABLE: Mapping[tuple[Stage, Event], Stage] = {
    (Stage.JUDGING, Event.ACCEPTED): Stage.JUDGING,
    (Stage.JUDGING, Event.ALL_ACCEPTED): Stage.COMMITTING,
    (Stage.JUDGING, Event.DECLINED): Stage.REFUSED,
    (Stage.JUDGING, Event.ABORTED): Stage.ABORTED,
    (Stage.JUDGING, Event.DEADLINE): Stage.EXPIRED,
    (Stage.COMMITTING, Event.COMMITTED): Stage.COMMITTING,
    (Stage.COMMITTING, Event.ALL_COMMITTED): Stage.ANSWERING,
    (Stage.COMMITTING, Event.ABORTED): Stage.ABORTED,
    (Stage.COMMITTING, Event.DEADLINE): Stage.EXPIRED,
    (Stage.ANSWERING, Event.SHARED): Stage.ANSWERING,
    (Stage.ANSWERING, Event.ALL_SHARED): Stage.ANSWERED,
    (Stage.ANSWERING, Event.ABORTED): Stage.ABORTED,
    (Stage.ANSWERING, Event.DEADLINE): Stage.EXPIRED,
}
"""Everything that may happen at the exchange. What is not here is a fault of whoever sent it."""

OVER = frozenset(stage for stage in Stage if not any(stage is origin for origin, _ in TABLE))
"""Stages from which nothing leads away."""


class Part(StrEnum):
    """Where one node stands in a session."""

    ACCEPTED = "accepted"
    COMMITTED = "committed"
    CHARGED = "charged"
    ANSWERED = "answered"
    DECLINED = "declined"
    ABORTED = "aborted"


class Move(StrEnum):
    """What a node does next."""

    COMMIT = "signs the roster"
    CHARGE = "charges its budget"
    ANSWER = "stores its sealed answer"
    ABORT = "gives the session up"


PART_TABLE: Mapping[tuple[Part, Move], Part] = {
    (Part.ACCEPTED, Move.COMMIT): Part.COMMITTED,
    (Part.ACCEPTED, Move.ABORT): Part.ABORTED,
    (Part.COMMITTED, Move.CHARGE): Part.CHARGED,
    (Part.COMMITTED, Move.ABORT): Part.ABORTED,
    (Part.CHARGED, Move.ANSWER): Part.ANSWERED,
    (Part.CHARGED, Move.ABORT): Part.ABORTED,
}
"""Everything that a node may do after it judged a plan: one roster, one charge, one answer."""


def advance(part: Part, move: Move) -> Part:
    """Return where ``move`` leads from ``part``.

    Raises:
        PeerFault: if the table does not allow it, for example a second roster or a second answer.
    """
    try:
        return PART_TABLE[part, move]
    except KeyError:
        raise PeerFault(f"a node that has {part} never {move} again", fix="open a new session") from None


@dataclass(frozen=True, slots=True)
class Session:
    """One joint query at the exchange. Immutable: a refused message leaves the old session usable."""

    id: str
    plan_hash: str
    key_fingerprint: str
    parties: tuple[str, ...]
    stage: Stage = Stage.JUDGING
    accepts: Mapping[str, Envelope] = field(default_factory=dict)
    commits: Mapping[str, Envelope] = field(default_factory=dict)
    shares: Mapping[str, Envelope] = field(default_factory=dict)
    ended_by: Envelope | None = None

    def step(self, message: Message, envelope: Envelope) -> "Session":
        """Take one verified message; repeating a message that was taken changes nothing.

        Raises:
            PeerFault: if the sender is not of the roster, says something else than before, or speaks out of turn.
        """
        sender = envelope.signer
        if sender not in self.parties:
            raise PeerFault("the sender is not a party of this session", fix="answer only sessions that name you")
        if getattr(message, "session", self.id) != self.id:
            raise PeerFault("the message names another session", fix="send it to its own session")
        match message:
            case Accept():
                if message.plan_hash != self.plan_hash:
                    raise PeerFault("the message names another plan", fix="judge the plan that the session carries")
                return self._collect("accepts", envelope, Event.ACCEPTED, Event.ALL_ACCEPTED)
            case Commit():
                self._check_roster(message.roster_hash)
                return self._collect("commits", envelope, Event.COMMITTED, Event.ALL_COMMITTED)
            case Share():
                self._check_roster(message.roster_hash)
                return self._collect("shares", envelope, Event.SHARED, Event.ALL_SHARED)
            case Decline():
                if sender in self.accepts:
                    raise PeerFault("the sender accepted before", fix="abort the session instead")
                return self._end(envelope, Event.DECLINED)
            case Abort():
                return self._end(envelope, Event.ABORTED)
            case _:
                raise PeerFault("this message does not belong to a session", fix="send it to its own address")

    def expire(self) -> "Session":
        """Let the deadline pass.

        Raises:
            PeerFault: if the session is already over.
        """
        return replace(self, stage=self._next(Event.DEADLINE))

    @property
    def roster_hash(self) -> str:
        """Hash over all accepts, once they are complete: what nodes commit to and derive masks from."""
        return roster_hash(
            session=self.id, plan_hash=self.plan_hash, key_fingerprint=self.key_fingerprint, accepts=self.accepts
        )

    def silent(self) -> tuple[str, ...]:
        """Parties not yet heard in the step that is not complete: whom it waits for, or waited for in vain."""
        for heard in (self.accepts, self.commits, self.shares):
            if len(heard) < len(self.parties):
                return tuple(party for party in self.parties if party not in heard)
        return ()

    def waiting_for(self) -> tuple[str, ...]:
        """Parties whose message the session needs next; none when it is over."""
        return () if self.stage in OVER else self.silent()

    def _check_roster(self, claimed: str) -> None:
        if set(self.accepts) != set(self.parties) or claimed != self.roster_hash:
            raise PeerFault("the message names another roster", fix="use the roster that the session carries")

    def _collect(self, box: str, envelope: Envelope, one: Event, last: Event) -> "Session":
        held: Mapping[str, Envelope] = getattr(self, box)
        before = held.get(envelope.signer)
        if before is not None:
            if before == envelope:
                return self
            raise PeerFault("the sender said something else before", fix="repeat the same bytes")
        grown = {**held, envelope.signer: envelope}
        stage = self._next(last if len(grown) == len(self.parties) else one)
        match box:
            case "accepts":
                return replace(self, accepts=grown, stage=stage)
            case "commits":
                return replace(self, commits=grown, stage=stage)
            case _:
                return replace(self, shares=grown, stage=stage)

    def _end(self, envelope: Envelope, event: Event) -> "Session":
        if self.ended_by == envelope:
            return self
        return replace(self, stage=self._next(event), ended_by=envelope)

    def _next(self, event: Event) -> Stage:
        try:
            return TABLE[self.stage, event]
        except KeyError:
            raise PeerFault(
                f"the session is {self.stage}: {event} has no place now", fix="open a new session"
            ) from None


def roster_hash(*, session: str, plan_hash: str, key_fingerprint: str, accepts: Mapping[str, Envelope]) -> str:
    """Hash of who takes part and with which nonces and shares: 64 hexadecimal digits."""
    return canonical.digest(
        {
            "use": "touchstone/roster/1",
            "session": session,
            "plan": plan_hash,
            "key": key_fingerprint,
            "accepts": {party: envelope.id for party, envelope in accepts.items()},
        }
    )


def check_commits(roster: str, *, parties: tuple[str, ...], commits: Mapping[str, Commit]) -> None:
    """Make sure that every party committed to the same roster.

    Raises:
        Mismatch: naming the first party that did not.
    """
    for party in parties:
        commit = commits.get(party)
        if commit is None or commit.roster_hash != roster:
            raise Mismatch(f"{party} has not committed to the same roster", fix="open a new session")


def print_tables() -> str:
    """Return both tables as Markdown; ``docs/architecture.md`` holds this text."""
    lines = ["| exchange is | when | exchange becomes |", "|---|---|---|"]
    lines += [f"| {origin} | {event} | {target} |" for (origin, event), target in TABLE.items()]
    lines += ["", "| node has | node | node has |", "|---|---|---|"]
    lines += [f"| {origin} | {move} | {target} |" for (origin, move), target in PART_TABLE.items()]
    return "\n".join(lines)


if __name__ == "__main__":
    print(print_tables())  # noqa: T201  this room's one command
