"""The lien registry: pledges from quote to end, one live lien per asset and rank, first journaled first served.

What may happen to a pledge when, and by whose signature, is :mod:`exchange.protocol.pledge`'s; what the register adds is in
:mod:`exchange.hub.register`. Everything is decided by the one writer, so the journal's order is the order of priority.
"""

from datetime import UTC, datetime
from typing import Any

from exchange.hub import collateral, register, rounds
from exchange.hub.register import agreement
from exchange.hub.store import Event, Store
from exchange.hub.view import Lien, View
from exchange.protocol.agreement import Endorsement, Filing, Realisation, Step, read_step
from exchange.protocol.envelope import Envelope
from exchange.protocol.errors import Forbidden, PeerFault, Unknown
from exchange.protocol.messages import Appraisal, Consent, Objection, Offer, expect
from exchange.protocol.pledge import Agreement
from privacy.errors import Malformed, Refused


def record_appraisal(store: Store, envelope: Envelope) -> str:
    """Put a report's fingerprint on record and return its id.

    Raises:
        Unknown: if the asset is not registered.
    """
    told = expect(envelope, store.view().signer(envelope.signer), Appraisal)

    def decide(view: View) -> tuple[list[Event], str]:
        if view.dataset(told.asset) is None:
            raise Unknown("asset")
        known = view.appraised(envelope.id, told.asset)
        return ([] if known else [("appraisal", envelope.to_json())]), envelope.id

    return store.write(decide)


def offer(store: Store, envelope: Envelope) -> str:
    """Take a lender's offer to lend against an asset: the quote of a pledge, for its officers to approve. Returns its id.

    Raises:
        Forbidden: if the caller is not a lender.
        Unknown: if the asset or the appraisal it cites is not on record.
        Taken: if a lien of this rank is live.
        PeerFault: if a right in the asset, as its owner declared it, ends before the loan.
        Malformed: if the loan is of nothing.
    """
    view = store.view()
    told = expect(envelope, view.signer(envelope.signer), Offer)
    if view.role(envelope.signer) != "lender":
        raise Forbidden("only lenders offer loans", fix="enrol as a lender")

    def decide(inner: View) -> tuple[list[Event], str]:
        if inner.offer(envelope.id) is not None:
            return [], envelope.id
        if told.is_of_nothing:
            raise Malformed("the offer is of 0 yuan", fix="offer a loan of one yuan or more")
        dataset = inner.dataset(told.asset)
        if dataset is None:
            raise Unknown("asset")
        if not inner.appraised(told.appraisal, told.asset):
            raise Unknown("appraisal")
        register.check_rights(dataset["declared"], matures=told.matures)
        register.check_free(inner, asset=told.asset, rank=told.rank)
        return [("offer", envelope.to_json())], envelope.id

    return store.write(decide)


def answer(store: Store, offer_id: str, envelope: Envelope) -> dict[str, Any]:
    """Take the owner's consent, which is its signature, or objection.

    Raises:
        Unknown: if there is no such offer for this owner.
        PeerFault: if the offer does not wait for it, or the asset was withdrawn.
    """
    message = read_step(envelope, store.view().signer(envelope.signer))
    if not isinstance(message, Consent | Objection) or message.offer != offer_id:
        raise Malformed("an answer to this offer was expected", fix="sign a consent or an objection to it")

    def decide(view: View) -> tuple[list[Event], None]:
        held = agreement(view, offer_id)
        if held is None or held.owner != envelope.signer:
            raise Unknown("offer")
        if view.stepped(offer_id, envelope.id):
            return [], None
        events = _events(view, held, message, envelope)
        if isinstance(message, Consent):
            if view.dataset(held.asset) is None:
                raise PeerFault("the asset was withdrawn", fix="ask the lender for an offer on another asset")
            if (
                message.kept is not None
            ):  # with the consent, so that no copy of the node's ledger without the reserve is good
                kept = message.kept
                events += rounds.noted(store, view, envelope.signer, seq=kept.seq, head=kept.head)
        return events, None

    store.write(decide)
    return describe(store.view(), offer_id, caller=envelope.signer)


def step(store: Store, offer_id: str, envelope: Envelope, *, now: int) -> dict[str, Any]:
    """Take any other step of a pledge and return how it stands; the same one again changes nothing. ``now`` in seconds.

    Raises:
        Unknown: if there is no such pledge for the signer.
        Forbidden: if the step is for another party.
        PeerFault: if the pledge is not where this may happen, or the register forbids it.
        Taken: if another lien of its rank is live.
        Encumbered: if a live lien forbids it or would be overtaken.
        Refused: if it is filed and its rows cannot be compared with all others on record, or are or may be another asset's.
    """
    message = read_step(envelope, store.view().signer(envelope.signer))
    if isinstance(message, Consent | Objection):
        raise Malformed("an owner answers an offer at the offer's own address", fix="send it there")
    day = datetime.fromtimestamp(now, tz=UTC).date()

    def decide(view: View) -> tuple[list[Event], Refused | None]:
        held = agreement(view, offer_id)
        if held is None or not _concerned(view, held, envelope.signer):
            raise Unknown("pledge")
        if message.offer != offer_id:
            raise PeerFault("the message names another pledge", fix="send it to its own pledge")
        if view.stepped(offer_id, envelope.id):
            return [], None
        if isinstance(message, Endorsement) and held.lender not in view.owners(envelope.signer):
            raise Forbidden("only officers of the lender approve its quotes", fix="have the lender name its officers")
        events = _events(view, held, message, envelope)
        register.check(view, held, message, signer=envelope.signer, day=day)
        if not isinstance(message, Filing):
            return events, None
        searched, refusal = collateral.search_for(view, offer=offer_id, asset=held.asset)
        return ([*searched, *events] if refusal is None else searched), refusal

    refusal = store.write(decide)  # what the search found is on record, whether it became a lien or not
    if refusal is not None:
        raise refusal
    return describe(store.view(), offer_id, caller=envelope.signer)


def _events(view: View, held: Agreement, message: Step, envelope: Envelope) -> list[Event]:
    after = held.step(message, envelope)
    match message:
        case Filing():
            return [("lien", envelope.to_json())]
        case Objection():
            return [("objected", envelope.to_json())]
        case Realisation():
            return register.realise(view, message, envelope, asset=held.asset)
        case _:
            body = {"offer": held.id, "stage": after.state.value, "envelope": envelope.to_json()}
            return [("pledge", body | ({"awaits": "owner"} if after.waits_for_owner else {}))]


def expire(store: Store, *, now: int) -> None:
    """End every pledge whose last day has passed; its rank is free from then on. ``now`` in seconds since 1970."""
    day = datetime.fromtimestamp(now, tz=UTC).date().isoformat()
    if store.view().overdue(day):
        store.write(lambda view: ([("lapsed", {"offer": name}) for name in view.overdue(day)], None))


def describe(view: View, offer_id: str, *, caller: str) -> dict[str, Any]:
    """Return where a pledge stands, with every step, to its parties, the lender's officers and supervisors.

    Raises:
        Unknown: for everybody else.
    """
    held, quoted = agreement(view, offer_id), view.offer(offer_id)
    if held is None or quoted is None or not (_concerned(view, held, caller) or view.role(caller) == "regulator"):
        raise Unknown("pledge")
    told = _summary(view, held) | {
        "search": collateral.outcome(view, offer_id),
        "envelope": quoted["envelope"].to_json(),
        "steps": [
            {"seq": seq, "at": at, "said": None if said is None else said.to_json(), "paid": paid}
            for said, seq, at, paid in view.steps(offer_id)
        ],
    }
    return told | {"heard": len(told["steps"]), "waiting_for": ["owner"] if held.waits_for_owner else []}


def listed(view: View, *, caller: str, before: int | None, limit: int) -> list[dict[str, Any]]:
    """Return the pledges that concern the caller, newest first, without their steps; ``before`` is the last ``seq`` seen."""
    found = view.offers_of(
        caller, lenders=sorted(view.owners(caller)), before=(1 << 62) if before is None else before, limit=limit
    )
    pledges = ((row["seq"], agreement(view, row["id"])) for row in found)
    return [{"seq": seq} | _summary(view, held) for seq, held in pledges if held is not None]


def public(lien: Lien) -> dict[str, Any]:
    """Return what the registry tells everybody about a live lien; ``position`` is its entry of the journal."""
    return {
        "asset": lien.asset,
        "rank": lien.rank,
        "holder": lien.holder,
        "since": lien.since,
        "position": lien.seq,
        "expires": lien.expires,
    }


def _summary(view: View, held: Agreement) -> dict[str, Any]:
    lien = view.lien(held.asset, held.rank)
    mine = lien is not None and lien.offer == held.id
    return {
        "id": held.id,
        "asset": held.asset,
        "owner": held.owner,
        "lender": held.holder,
        "rank": held.rank,
        "state": held.state.value,
        "secured": held.secured,
        "claim": held.claim,
        "matures": held.matures,
        "expires": held.expires,
        "title": held.title,
        "forbids_juniors": held.forbids_juniors,
        "approved_by": [officer for officer, _ in held.endorsed],
        "endorsements": [name for _, name in held.endorsed],
        "signed_by": sorted(held.signed),
        "cure_by": held.cure_by,
        "assigned": None if held.assigned is None else {"assignment": held.assigned[0], "to": held.assigned[1]},
        "operator": held.operator,
        "step_in": None if held.terms is None else held.terms.model_dump(mode="json") | {"reserve": held.reserve},
        "since": lien.since if lien is not None and mine else None,
        "position": lien.seq if lien is not None and mine else None,
    }


def _concerned(view: View, held: Agreement, caller: str) -> bool:
    if caller in (held.holder, held.owner) or (held.assigned is not None and caller == held.assigned[1]):
        return True
    return held.holder in view.owners(caller)
