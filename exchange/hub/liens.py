"""The lien registry: one live lien per asset and rank, first journaled first served, both sides' signatures on file."""

import json
from typing import Any

from exchange.hub import collateral
from exchange.hub.store import Event, Lien, Store, View
from exchange.protocol.envelope import Envelope
from exchange.protocol.errors import Forbidden, PeerFault, Taken, Unknown
from exchange.protocol.messages import Appraisal, Consent, Objection, Offer, expect, read
from privacy.errors import Malformed


def record_appraisal(store: Store, envelope: Envelope) -> str:
    """Put a report's fingerprint on record and return its id.

    Raises:
        Unknown: if the asset is not registered.
    """
    told = expect(envelope, store.view().directory(), Appraisal)

    def decide(view: View) -> tuple[list[Event], str]:
        if view.dataset(told.asset) is None:
            raise Unknown("asset")
        known = view.appraised(envelope.id, told.asset)
        return ([] if known else [("appraisal", envelope.to_json())]), envelope.id

    return store.write(decide)


def offer(store: Store, envelope: Envelope) -> str:
    """Take a lender's offer to lend against an asset; it waits for the owner's consent. Returns its id.

    Raises:
        Forbidden: if the caller is not a lender.
        Unknown: if the asset or the appraisal it cites is not on record.
        Taken: if a lien of this rank is live.
        PeerFault: if a right in the asset, as its owner declared it, ends before the loan.
    """
    view = store.view()
    told = expect(envelope, view.directory(), Offer)
    if view.role(envelope.signer) != "lender":
        raise Forbidden("only lenders offer loans", fix="enrol as a lender")

    def decide(inner: View) -> tuple[list[Event], str]:
        if inner.offer(envelope.id) is not None:
            return [], envelope.id
        dataset = inner.dataset(told.asset)
        if dataset is None:
            raise Unknown("asset")
        if not inner.appraised(told.appraisal, told.asset):
            raise Unknown("appraisal")
        _check_rights(dataset["declared"], matures=told.matures)
        _check_free(inner, asset=told.asset, rank=told.rank)
        return [("offer", envelope.to_json())], envelope.id

    return store.write(decide)


def answer(store: Store, offer_id: str, envelope: Envelope) -> dict[str, Any]:
    """Take the owner's consent or objection; a consent registers the lien in the same step, if the rows are nobody else's.

    Raises:
        Unknown: if there is no such offer for this owner.
        Taken: if another lien of this rank went live meanwhile.
        Refused: if there is no fingerprint of the version in force.
    """
    message = read(envelope, store.view().directory())
    if not isinstance(message, Consent | Objection) or message.offer != offer_id:
        raise Malformed("an answer to this offer was expected", fix="sign a consent or an objection to it")

    def decide(view: View) -> tuple[list[Event], None]:
        held = view.offer(offer_id)
        if held is None or held["owner"] != envelope.signer:
            raise Unknown("offer")
        if held["state"] != "open":
            if held["answer"] is not None and Envelope.from_json(json.loads(held["answer"])) == envelope:
                return [], None
            raise PeerFault("the offer has been answered", fix="ask the lender for a new offer")
        if isinstance(message, Objection):
            return [("objected", envelope.to_json())], None
        if view.dataset(held["asset"]) is None:
            raise PeerFault("the asset was withdrawn", fix="ask the lender for an offer on another asset")
        _check_free(view, asset=held["asset"], rank=held["rank"])
        return collateral.register_unless_alike(view, held, consent=envelope), None

    store.write(decide)
    return describe(store.view(), offer_id, caller=envelope.signer)


def describe(view: View, offer_id: str, *, caller: str) -> dict[str, Any]:
    """Return an offer's state to its lender or owner, with the live lien if it became one.

    Raises:
        Unknown: for everybody else.
    """
    held = view.offer(offer_id)
    if held is None or caller not in (held["lender"], held["owner"]):
        raise Unknown("offer")
    lien = view.lien(held["asset"], held["rank"])
    told = {name: held[name] for name in ("id", "asset", "owner", "lender", "rank", "amount", "matures", "state")}
    told["answer"] = json.loads(held["answer"]) if held["answer"] else None
    told["search"] = collateral.outcome(view, offer_id)
    told["since"] = lien.since if lien is not None and lien.offer == offer_id else None
    return told


def public(lien: Lien) -> dict[str, Any]:
    """Return what the registry tells everybody about a live lien."""
    return {"asset": lien.asset, "rank": lien.rank, "holder": lien.holder, "since": lien.since}


def _check_rights(declared: dict[str, Any], *, matures: str) -> None:
    """No pledge outlives what its owner may do with the asset."""
    ends = [right["valid_until"] for right in declared.get("rights", ()) if right["valid_until"] is not None]
    if ends and matures > min(ends):
        raise PeerFault(
            f"a right in the asset ends on {min(ends)}, before the loan",
            fix="offer a shorter loan, or have the right renewed",
        )


def _check_free(view: View, *, asset: str, rank: int) -> None:
    lien = view.lien(asset, rank)
    if lien is not None:
        raise Taken(asset=asset, rank=rank, holder=lien.holder, since=lien.since)
