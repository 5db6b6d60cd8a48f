"""Issuing certificates of registration from the journal, under the exchange's own key."""

from exchange.hub import catalog
from exchange.hub.store import Store
from exchange.protocol.certificate import Certificate, Head, Place
from exchange.protocol.envelope import Envelope
from exchange.protocol.errors import Unknown


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
        place=Place(seq=entry.seq, at=entry.at, previous=entry.previous, hash=entry.hash),
        registration=held[0].to_json(),
        standing=None if standing is None else standing[0].to_json(),
        head=Head(seq=seq, hash=head),
    ).sealed(store.signing)
