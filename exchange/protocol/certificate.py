"""The certificate of a registration: what the exchange has on record of a dataset, to be checked without it.

It carries the owner's signed registration, the entry of the exchange's journal that holds it, with the hash before, and the
head at which it was issued; the exchange signs the whole. Whoever has the exchange's key recomputes the entry's hash from
the registration and so holds the exchange to its place in the chain.
"""

import hashlib
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from pydantic import BaseModel, ConfigDict, ValidationError

from exchange.protocol.declaration import Asset, Hex32
from exchange.protocol.envelope import Envelope
from exchange.protocol.messages import Amount, Deprecation, Message, Party, Registration, Withdrawal, expect, read
from privacy import canonical
from privacy.errors import Malformed, Mismatch

SIGNER = "exchange"
_LABEL = b"touchstone journal entry 1\x00"


class Place(BaseModel):
    """An entry of the journal: ``at`` in microseconds since 1970; ``hash`` covers the one before and the entry."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")
    seq: Amount
    at: Amount
    previous: Hex32
    hash: Hex32


class Head(BaseModel):
    """The last entry of the journal when the certificate was issued."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")
    seq: Amount
    hash: Hex32


class Certificate(Message):
    """What the exchange certifies of a dataset; keys are the Ed25519 keys on record, 64 hexadecimal digits."""

    kind = "certificate"
    asset: Asset
    owner: Party
    owner_name: str
    owner_key: Hex32
    exchange_key: Hex32
    place: Place
    registration: dict[str, Any]
    standing: dict[str, Any] | None
    head: Head

    def sealed(self, key: Ed25519PrivateKey) -> Envelope:
        """Put the certificate into an envelope signed by the exchange."""
        return self.sealed_by(SIGNER, key)


def verify(document: Any, *, exchange_key: bytes) -> tuple[Certificate, Registration, Deprecation | Withdrawal | None]:
    """Check a certificate against the exchange's key (32 bytes, compared out of band) and return what it holds.

    Raises:
        Mismatch: if a signature, or the entry's hash, does not belong to what is certified.
        Malformed: if the document is not a certificate.
    """
    envelope = Envelope.from_json(document)
    envelope.verify({SIGNER: exchange_key})
    try:
        told = Certificate.model_validate_json(envelope.body)
    except ValidationError:
        raise Malformed("the document is not a certificate", fix="fetch it from the exchange again") from None
    if envelope.kind != Certificate.kind or told.exchange_key != exchange_key.hex():
        raise Mismatch("the certificate names another exchange", fix="compare the exchange's key out of band")
    signed = Envelope.from_json(told.registration)
    directory = {told.owner: bytes.fromhex(told.owner_key)}
    registration = expect(signed, directory, Registration)
    if told.asset != f"{told.owner}/{registration.dataset}" or signed.signer != told.owner:
        raise Mismatch("the certificate is for another dataset than the owner registered", fix="report the exchange")
    if entry_hash(told.place, "dataset", told.registration) != told.place.hash or told.place.seq > told.head.seq:
        raise Mismatch("the registration is not the entry that the certificate names", fix="report the exchange")
    standing = None if told.standing is None else read(Envelope.from_json(told.standing), directory)
    if standing is not None and (
        not isinstance(standing, Deprecation | Withdrawal) or standing.dataset != registration.dataset
    ):
        raise Mismatch("what the owner said is not about this dataset", fix="report the exchange")
    return told, registration, standing


def entry_hash(place: Place, kind: str, body: Any) -> str:
    """Return the hash that an entry of the journal at ``place`` has if it holds ``body``."""
    text = canonical.encode({"at": place.at, "body": body, "kind": kind, "seq": place.seq})
    return hashlib.sha256(_LABEL + bytes.fromhex(place.previous) + text).hexdigest()
