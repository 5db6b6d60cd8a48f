"""The sessions of joint queries: open, collect, fold, hand out tasks. Orders messages, opens nothing.

State is rebuilt from the store for every message, stepped by the table of :mod:`exchange.protocol.session`, and journaled
before anybody is told.
"""

from datetime import UTC, datetime
from typing import Any

from exchange.hub import register
from exchange.hub.fold import fold
from exchange.hub.store import Event, Store
from exchange.hub.view import View
from exchange.protocol.envelope import Envelope
from exchange.protocol.errors import Overreach, PeerFault, Unknown
from exchange.protocol.keys import stored_key
from exchange.protocol.messages import Ask, Share, expect, read
from exchange.protocol.session import OVER, Session, Stage
from privacy import seal
from privacy.errors import Malformed, Mismatch
from privacy.modulus import PublicKey
from privacy.necessity import Decision, decide
from privacy.offences import Request
from privacy.packing import layout_of
from privacy.plan import Plan
from privacy.policy import Policy
from privacy.purposes import PURPOSES, REFUSED

LONGEST = 24 * 3600
"""Seconds that a session may stay open."""


def open_session(store: Store, envelope: Envelope, *, now: int) -> str:
    """Judge an ask by the published policies and open its session; returns the session's id. ``now`` in seconds.

    Raises:
        Overreach: if minimum necessity refuses the plan; the refusal is journaled.
        Unknown: if a party of the plan holds no such dataset.
        Malformed: if plan, key or deadline is not valid.
    """
    view = store.view()
    ask = expect(envelope, view.signer(envelope.signer), Ask)
    plan = Plan.from_json(ask.plan)
    if not now < ask.expires <= now + LONGEST:
        raise Malformed("the deadline is not within the next day", fix="choose a deadline within 24 hours")
    if view.session(envelope.id) is not None:
        return envelope.id
    key = _key(view, envelope)
    layout_of(plan, modulus_bits=key.bits)
    check(store, view, plan=plan, asker=envelope.signer, keeps=ask.keeps, now=now)

    def begin(inner: View) -> tuple[list[Event], str]:
        if inner.session(envelope.id) is not None:
            return [], envelope.id
        opened = {
            "id": envelope.id,
            "asker": envelope.signer,
            "plan_hash": plan.hash,
            "key_fingerprint": key.fingerprint,
            "parties": list(plan.parties),
            "expires": ask.expires,
            "ask": envelope.to_json(),
        }
        return [("session", opened)], envelope.id

    return store.write(begin)


def receive(store: Store, session_id: str, envelope: Envelope, *, now: int) -> Stage:
    """Take a node's message and return the stage it leads to; the last answer is folded at once.

    The head of its journal that a node shows with an answer is witnessed in the same write: from then on no copy of its
    ledger without the charge is good for anything. An answer that was on its way while its node polled again names an
    older head, which is not noted.

    Raises:
        Unknown: if there is no such session.
        PeerFault: if the message has no place now, or an answer names another history than its node has shown.
        Malformed: if an answer's ciphertexts are not valid under the session's key.
    """
    view = store.view()
    message = read(envelope, view.signer(envelope.signer))
    if getattr(message, "session", None) != session_id:
        raise Unknown("session")
    if isinstance(message, Share):
        _check_share(view, session_id, message)

    def step(inner: View) -> tuple[list[Event], tuple[Stage, Stage]]:
        session, ask, expires = _session(inner, session_id)
        if now > expires and session.stage not in OVER:
            return [("expired", {"session": session_id})], (session.stage, session.expire().stage)
        after = session.step(message, envelope)
        if after == session:
            return [], (session.stage, after.stage)
        events: list[Event] = [
            ("message", {"session": session_id, "stage": after.stage.value, "envelope": envelope.to_json()})
        ]
        if isinstance(message, Share):
            events += noted(store, inner, envelope.signer, seq=message.seq, head=message.head)
        if after.stage is Stage.ANSWERED:
            key = _key(inner, ask)
            shares = [expect(share, inner.signed(share), Share).ciphertexts for share in after.shares.values()]
            events.append(("folded", {"session": session_id, "product": fold(shares, key)}))
        return events, (session.stage, after.stage)

    # until a stage is complete, nobody else has anything to do
    _, stage = store.write(step, news=lambda stages: stages[0] is not stages[1])
    return stage


def expire(store: Store, *, now: int) -> None:
    """Close every session whose deadline has passed. ``now`` in seconds."""
    if store.view().late_sessions(now):
        store.write(lambda view: ([("expired", {"session": name}) for name in view.late_sessions(now)], None))


def tasks(view: View, party: str) -> list[dict[str, Any]]:
    """Return what a node has to do next, in its sessions and for its assets."""
    todo: list[dict[str, Any]] = []
    for name in view.open_sessions(party):
        session, ask, _ = _session(view, name)
        if party not in session.waiting_for():
            continue
        match session.stage:
            case Stage.JUDGING:
                registered = view.key(expect(ask, view.signed(ask), Ask).key)
                told = None if registered is None else registered.to_json()
                todo.append({"task": "judge", "session": name, "ask": ask.to_json(), "key": told})
            case Stage.COMMITTING:
                todo.append({"task": "commit", "session": name, "accepts": _wire(session.accepts)})
            case Stage.ANSWERING:
                todo.append({"task": "answer", "session": name, "commits": _wire(session.commits)})
            case _:
                pass
    todo += [{"task": "consent", "offer": offer.to_json()} for offer in view.open_offers(party)]
    return todo


def witness(store: Store, party: str, *, seq: int, head: str) -> tuple[int, str]:
    """Remember the head of a node's journal (``seq`` from 0, ``head`` its hash) and return the latest head it has shown.

    A head that goes back, or is another at the same place, is not taken: the node must not answer with a ledger that
    forgot charges, and it learns so from what this returns. :func:`note_heads` journals what is remembered.
    """
    return store.heads.show(party, seq=seq, head=head, noted=store.view().witnessed(party))


def note_heads(store: Store) -> None:
    """Journal the heads that nodes have shown since the last time, in one write."""

    def note(view: View) -> tuple[list[Event], dict[str, tuple[int, str]]]:
        shown = store.heads.all()  # as they are now: one may have been forgotten since this was asked for
        return [
            event
            for party, (seq, head) in sorted(shown.items())
            for event in _noted(view.witnessed(party), party, seq=seq, head=head)
        ], shown

    if store.heads.all():
        store.heads.drop(store.write(note, news=lambda _: False))


def noted(store: Store, view: View, party: str, *, seq: int, head: str) -> list[Event]:
    """Return the event that witnesses a head which a node has signed.

    Raises:
        PeerFault: if the node has shown another head at this place.
    """
    known = view.witnessed(party)
    latest = store.heads.latest(party, known)
    if latest is not None and latest[0] == seq and latest[1] != head:
        raise PeerFault("the sender has shown another journal before", fix="put the newest journal back")
    return _noted(known, party, seq=seq, head=head)


def _noted(latest: tuple[int, str] | None, party: str, *, seq: int, head: str) -> list[Event]:
    """Return the event that witnesses a head, if it is later than the ``latest``."""
    if latest is not None and seq <= latest[0]:
        return []
    return [("witness", {"party": party, "seq": seq, "hash": head})]


def describe(view: View, session_id: str, *, caller: str) -> dict[str, Any]:
    """Return a session's whole record to its asker or one of its parties.

    Raises:
        Unknown: for everybody else, as if it did not exist.
    """
    session, ask, expires = _session(view, session_id)
    if caller != ask.signer and caller not in session.parties:
        raise Unknown("session")
    return {
        "id": session.id,
        "stage": session.stage.value,
        "waiting_for": list(session.waiting_for()),
        "silent": list(session.silent()),
        "heard": len(session.accepts) + len(session.commits) + len(session.shares),
        "parties": list(session.parties),
        "expires": expires,
        "ask": ask.to_json(),
        "accepts": _wire(session.accepts),
        "commits": _wire(session.commits),
        "shares": _wire(session.shares) if session.stage is Stage.ANSWERED else [],
        "product": view.product(session_id),
        "ended_by": session.ended_by.to_json() if session.ended_by else None,
    }


def judged(view: View, *, plan: Plan, asker: str, keeps: int, now: int) -> Decision:
    """Judge a plan by the published policies of all its parties; nothing is written. ``now`` in seconds.

    Whether persons have approved it is known to the owners' nodes alone, and left to them.

    Raises:
        Unknown: if a party of the plan holds no such dataset.
    """
    standard = view.standard(plan.standard)
    if standard is None:
        raise Unknown("standard")
    policies: list[Policy] = []
    day = datetime.fromtimestamp(now, tz=UTC).date()
    for party in plan.parties:
        held = view.policies_for(plan.standard, party)
        if not held:
            raise Unknown("dataset")
        policies += [register.pointed(view, policy, day=day.isoformat()) for policy in held]
    request = Request(plan, asker, view.role(asker), keeps, day)
    return decide(request, standard=standard, policies=policies, approvals=None)


def check(store: Store, view: View, *, plan: Plan, asker: str, keeps: int, now: int) -> None:
    """Judge a plan like :func:`judged`, and journal a refusal. ``now`` in seconds.

    Raises:
        Overreach: if minimum necessity refuses the plan.
        Unknown: if a party of the plan holds no such dataset.
    """
    decision = judged(view, plan=plan, asker=asker, keeps=keeps, now=now)
    if not decision.allowed:
        items = [violation.to_json() for violation in decision.violations]
        # the asker's text does not travel on: a standard is a published one here, a purpose one of the registry's, or none
        purpose = plan.purpose if plan.purpose in PURPOSES or plan.purpose in REFUSED else None
        refusal = {
            "asker": asker,
            "plan_hash": plan.hash,
            "standard": plan.standard,
            "purpose": purpose,
            "items": items,
        }
        store.write(lambda _: ([("refusal", refusal)], None), news=lambda _: False)
        raise Overreach.of(decision)


def _check_share(view: View, session_id: str, share: Share) -> None:
    _, ask, _ = _session(view, session_id)
    key = _key(view, ask)
    plan = Plan.from_json(expect(ask, view.signed(ask), Ask).plan)
    if len(share.ciphertexts) != layout_of(plan, modulus_bits=key.bits).plaintexts:
        raise Mismatch("the answer has another number of ciphertexts than the plan", fix="pack with the plan's layout")
    seal.Sealed.from_wire(list(share.ciphertexts), key)


def _key(view: View, asked: Envelope) -> PublicKey:
    """Return the registered key that an ask names; it must be the asker's own."""
    ask = expect(asked, view.signed(asked), Ask)
    registered = view.key(ask.key)
    if registered is None or registered.signer != asked.signer:
        raise Unknown("key of yours")
    return stored_key(registered, view.signed(registered))


def _session(view: View, session_id: str) -> tuple[Session, Envelope, int]:
    found = view.session(session_id)
    if found is None:
        raise Unknown("session")
    return found


def _wire(envelopes: Any) -> list[dict[str, str]]:
    return [envelope.to_json() for envelope in envelopes.values()]
