"""Previews of joint queries: what a plan would meet at every node, told before anything is spent.

Open previews are held in memory and nowhere else: they are no part of any record, reserve nothing, and end with their
minute. A restart of the exchange forgets them; the asker asks again.
"""

import threading
from dataclasses import dataclass, field
from typing import Any

from exchange.hub.rounds import judged
from exchange.hub.store import Store
from exchange.protocol.envelope import Envelope
from exchange.protocol.errors import PeerFault, Unknown
from exchange.protocol.messages import Preview, Verdict, expect
from exchange.protocol.request import LIFETIME
from privacy.errors import Malformed
from privacy.necessity import Decision
from privacy.plan import Plan

LONGEST = 60
"""Seconds that a preview stays open at most."""

MOST, MOST_OF_ONE = 1_000, 100
"""Previews that are open at one time, of everybody together and of one asker."""

ROOM, ROOM_OF_ONE = 256 << 20, 32 << 20
"""Bytes of signed messages that may have to be held at one time, for everybody together and for one asker."""

LONGEST_VERDICT = 16 << 10
"""Bytes of one verdict: room for some eighty offences."""

AT_ONCE = 16
"""Previews that a node is handed at one time."""


@dataclass(slots=True)
class _Open:
    """One open preview: the ask, its plan, the exchange's own judgement, and what each node has said."""

    ask: Envelope
    plan: Plan
    decision: Decision
    until: int
    verdicts: dict[str, Envelope] = field(default_factory=dict)
    handed: dict[str, int] = field(default_factory=dict)

    @property
    def waiting_for(self) -> list[str]:
        return [party for party in self.plan.parties if party not in self.verdicts]

    @property
    def size(self) -> int:
        # room for every verdict is taken when the preview is opened: what others say later never fills an asker's room
        return len(self.ask.body) + len(self.plan.parties) * LONGEST_VERDICT


class Previews:
    """The open previews of one exchange; every method may be called from any thread. ``now`` is seconds since 1970."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._lock = threading.Lock()
        self._open: dict[str, _Open] = {}

    def open(self, envelope: Envelope, *, now: int) -> str:
        """Take a signed :class:`Preview` and return its id, the envelope's; the same one again changes nothing.

        Raises:
            Unknown: if a party of the plan holds no such dataset.
            Malformed: if plan or deadline is not valid.
            PeerFault: if as many previews are open as may be.
        """
        view = self._store.view()
        message = expect(envelope, view.signer(envelope.signer), Preview)
        plan = Plan.from_json(message.plan)
        # an asker's clock that runs ahead by what its requests are forgiven does not make its previews live longer
        if not now < message.expires <= now + LONGEST + LIFETIME:
            raise Malformed("the deadline is not within the next minute", fix=f"choose a deadline within {LONGEST} s")
        with self._lock:
            self._forget(now)
            self._check_room(envelope)  # refused before the work of judging is done
        made = _Open(
            ask=envelope,
            plan=plan,
            decision=judged(view, plan=plan, asker=envelope.signer, keeps=message.keeps, now=now),
            until=min(message.expires, now + LONGEST),
        )
        with self._lock:
            self._check_room(envelope)
            self._open.setdefault(envelope.id, made)
        return envelope.id

    def tasks(self, party: str, *, now: int) -> list[dict[str, Any]]:
        """Return the previews that wait for a node, at most 16: those handed to it least often first."""
        with self._lock:
            self._forget(now)
            waiting = [held for held in self._open.values() if party in held.waiting_for]
            # what a node leaves alone comes round again, but does not stand in the way of the others
            waiting.sort(key=lambda held: held.handed.get(party, 0))
            for held in waiting[:AT_ONCE]:
                held.handed[party] = held.handed.get(party, 0) + 1
            return [{"task": "preview", "ask": held.ask.to_json()} for held in waiting[:AT_ONCE]]

    def receive(self, preview: str, envelope: Envelope, *, now: int) -> int:
        """Take a node's signed :class:`Verdict` and return how many nodes have answered; repeating it changes nothing.

        Raises:
            Unknown: if no such preview is open, or the sender is no party of its plan.
            PeerFault: if the verdict is about another preview or plan, is the sender's second, or is too long to hold.
        """
        held = self._held(preview, now=now)
        if envelope.signer not in held.plan.parties:
            raise Unknown("preview")
        verdict = expect(envelope, self._store.view().signer(envelope.signer), Verdict)
        if (verdict.preview, verdict.plan_hash) != (preview, held.plan.hash):
            raise PeerFault(
                "the verdict is about another preview or plan", fix="judge the plan that the preview carries"
            )
        with self._lock:
            before = held.verdicts.get(envelope.signer)
            if before is None:
                if len(envelope.body) > LONGEST_VERDICT:
                    raise PeerFault(f"the verdict is longer than {LONGEST_VERDICT} bytes", fix="name fewer offences")
                held.verdicts[envelope.signer] = envelope
            elif before != envelope:
                raise PeerFault("the sender said something else before", fix="answer a preview once")
            return len(held.verdicts)

    def describe(self, preview: str, *, caller: str, now: int) -> dict[str, Any]:
        """Return a preview's record to its asker: the exchange's violations, and the verdicts heard so far.

        Raises:
            Unknown: for everybody else, and once it has ended, as if it did not exist.
        """
        held = self._held(preview, now=now)
        if caller != held.ask.signer:
            raise Unknown("preview")
        with self._lock:
            nearest = held.decision.nearest
            return {
                "id": preview,
                "heard": len(held.verdicts),
                "waiting_for": held.waiting_for,
                "violations": [violation.to_json() for violation in held.decision.violations],
                "nearest": None if nearest is None else nearest.to_json(),
                "keeps": held.decision.keeps,
                "verdicts": [verdict.to_json() for verdict in held.verdicts.values()],
            }

    def _held(self, preview: str, *, now: int) -> _Open:
        with self._lock:
            self._forget(now)
            held = self._open.get(preview)
        if held is None:
            raise Unknown("preview")
        return held

    # -- with the lock held ------------------------------------------------------------------------------------------

    def _forget(self, now: int) -> None:
        self._open = {name: held for name, held in self._open.items() if held.until >= now}

    def _check_room(self, ask: Envelope) -> None:
        """Make sure that one more preview can be held for its asker."""
        if ask.id in self._open:
            return
        size = len(ask.body)
        own = [held.size for held in self._open.values() if held.ask.signer == ask.signer]
        if len(own) >= MOST_OF_ONE or sum(own) + size > ROOM_OF_ONE:
            raise PeerFault("too many of your previews are open", fix="wait a minute")
        if len(self._open) >= MOST or sum(held.size for held in self._open.values()) + size > ROOM:
            raise PeerFault("the exchange holds as many previews as it can", fix="try again in a minute")
