"""Issuing certificates of registrations and of pledges from the journal, under the exchange's own key."""

from typing import Literal, cast

from exchange.hub import catalog, liens
from exchange.hub.register import agreement
from exchange.hub.store import Store
from exchange.hub.view import View
from exchange.journal import Entry
from exchange.protocol.certificate import Certificate, Changed, Head, Place
from exchange.protocol.envelope import Envelope
from exchange.protocol.errors import PeerFault, Unknown
from exchange.protocol.pledge_certificate import PledgeCertificate, Record


def public_key(store: Store) -> str:
    """Return the exchange's Ed25519 key, 64 hexadecimal digits; compare it out of band before relying on it.

    Raises:
        Unknown: if the exchange has none.
    """
    if store.signing is None:
        raise Unknown("key of this exchange")
    return store.signing.public_key().public_bytes_raw().hex()


def issue(store: Store, asset: str, *, reader: str) -> Envelope:
    """Certify the registration in force of a dataset, with what its owner has said of it since.

    Raises:
        Unknown: if there is none that ``reader`` may see.
    """
    key, view = public_key(store), store.view()
    catalog.describe(view, asset, reader=reader)
    held = view.registration(asset)
    entry = next(store.book.journal.entries(after=held[1] - 1), None) if held is not None else None
    if held is None or entry is None or store.signing is None:
        raise Unknown("dataset")
    owner = next(party for party in view.parties() if party["id"] == held[0].signer)
    standing = view.standing(asset)
    seq, head = store.book.head
    return Certificate(
        asset=asset,
        owner=owner["id"],
        owner_name=owner["name"],
        owner_key=owner["key"],
        exchange_key=key,
        place=_place(entry),
        registration=held[0].to_json(),
        standing=None if standing is None else standing[0].to_json(),
        head=Head(seq=seq, hash=head),
        rotations=_changes(store, view, {owner["id"]}),
    ).sealed(store.signing)


def issue_pledge(store: Store, offer: str, *, reader: str) -> Envelope:
    """Certify where a registered pledge stands, with every signed step from its quote on.

    Raises:
        Unknown: if there is none that ``reader`` may see.
        PeerFault: if it was never registered.
    """
    key, view = public_key(store), store.view()
    liens.describe(view, offer, caller=reader)
    held, quoted = agreement(view, offer), view.offer(offer)
    if held is None or quoted is None or store.signing is None:
        raise Unknown("pledge")
    title = next((told for told, _, _ in view.versions(held.asset) if told.id == held.title), None)
    if title is None:
        raise PeerFault("the pledge was never registered", fix="file it for registration first")
    steps = view.steps(offer)
    seqs = [quoted["seq"], *(seq for _, seq, _, _ in steps)]
    found = [next(store.book.journal.entries(after=seq - 1)) for seq in seqs]
    signers = {held.lender, held.owner, *(said.signer for said, _, _, _ in steps if said is not None)}
    seq, head = store.book.head
    return PledgeCertificate(
        offer=offer,
        state=held.state,
        parties={party["id"]: party["name"] for party in view.parties() if party["id"] in signers},
        keys={party["id"]: party["key"] for party in view.parties() if party["id"] in signers},
        exchange_key=key,
        title=title.to_json(),
        entries=tuple(Record(place=_place(entry), kind=entry.kind, body=entry.body) for entry in found),
        head=Head(seq=seq, hash=head),
        rotations=_changes(store, view, signers),
    ).sealed(store.signing)


def _changes(store: Store, view: View, parties: set[str]) -> tuple[Changed, ...]:
    """Return the entries at which parties gave keys up, with their places, oldest first."""
    seqs = sorted(seq for party in parties for seq in view.given_up_at(party))
    found = (next(store.book.journal.entries(after=seq - 1)) for seq in seqs)
    return tuple(
        Changed(place=_place(entry), kind=cast("Literal['rotated', 'revoked']", entry.kind), body=entry.body)
        for entry in found
    )


def _place(entry: Entry) -> Place:
    return Place(seq=entry.seq, at=entry.at, previous=entry.previous, hash=entry.hash)
