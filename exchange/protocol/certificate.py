"""The certificate of a registration: what the exchange has on record of a dataset, to be checked without it.

It carries the owner's signed registration, the entry of the exchange's journal that holds it, with the hash before, and the
head at which it was issued; the exchange signs the whole. Whoever has the exchange's key recomputes the entry's hash from
the registration and so holds the exchange to its place in the chain.
"""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from pydantic import BaseModel, ConfigDict, ValidationError

from exchange.protocol.declaration import Asset, Hex32
from exchange.protocol.envelope import Envelope
from exchange.protocol.messages import (
    Amount,
    Deprecation,
    Message,
    Party,
    Registration,
    Withdrawal,
    expect,
    read,
    unverified,
)
from exchange.protocol.rotation import Rotation, read_rotation, signed_by
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


class Changed(BaseModel):
    """An entry of the journal after which a party's key was another: replaced as the party signed, or revoked."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")
    place: Place
    kind: Literal["rotated", "revoked"]
    body: dict[str, Any]


class Certificate(Message):
    """What the exchange certifies of a dataset; keys are the Ed25519 keys on record, 64 hexadecimal digits.

    ``rotations`` are the changes that led to the owner's present key, ``owner_key``.
    """

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
    rotations: tuple[Changed, ...] = ()

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
    keys = Keys.trace({told.owner: told.owner_key}, told.rotations)
    registration = expect(signed, keys.at(told.place.seq), Registration)
    if told.asset != f"{told.owner}/{registration.dataset}" or signed.signer != told.owner:
        raise Mismatch("the certificate is for another dataset than the owner registered", fix="report the exchange")
    if entry_hash(told.place, "dataset", told.registration) != told.place.hash or told.place.seq > told.head.seq:
        raise Mismatch("the registration is not the entry that the certificate names", fix="report the exchange")
    said = None if told.standing is None else Envelope.from_json(told.standing)
    standing = None if said is None else read(said, keys.of(said))
    if standing is not None and (
        not isinstance(standing, Deprecation | Withdrawal) or standing.dataset != registration.dataset
    ):
        raise Mismatch("what the owner said is not about this dataset", fix="report the exchange")
    return told, registration, standing


class Keys:
    """The keys of some parties by their place in the journal, traced back from the present ones."""

    def __init__(self, held: Mapping[str, Sequence[tuple[int, bytes]]]) -> None:
        self._held = held

    @classmethod
    def trace(cls, present: Mapping[str, str], changes: Sequence[Changed]) -> "Keys":
        """Check every change from the newest back, each against the key that it led to.

        Raises:
            Mismatch: if one is not the entry that is named, or does not lead to the key that followed it.
        """
        held = {party: [(0, bytes.fromhex(key))] for party, key in present.items()}
        for change in sorted(changes, key=lambda change: change.place.seq, reverse=True):
            if entry_hash(change.place, change.kind, change.body) != change.place.hash:
                raise Mismatch("a change of a key is not the entry that is named", fix="report the exchange")
            party, old = _before(change, held)
            line = held[party]
            if old != line[0][1]:  # the last key of a party stays its own when it is revoked and none follows
                line[0] = (change.place.seq, line[0][1])
                line.insert(0, (0, old))
        return cls(held)

    def at(self, seq: int) -> Mapping[str, bytes]:
        """Return the keys that parties had at an entry."""
        return {party: [key for since, key in line if since <= seq][-1] for party, line in self._held.items()}

    def of(self, envelope: Envelope) -> Mapping[str, bytes]:
        """Return the one of the signer's keys under which an envelope holds whose place is told by something else."""
        return signed_by(envelope, [key for _, key in reversed(self._held.get(envelope.signer, ()))])


def _before(change: Changed, held: Mapping[str, Sequence[tuple[int, bytes]]]) -> tuple[str, bytes]:
    """Return whose key a change gave up, and which: a replaced one must have signed for the one that followed."""
    stray = Mismatch("the changes do not lead to the key on record", fix="report the exchange")
    if change.kind == "revoked":
        match change.body:
            case {"party": str(party), "key": str(key), "because": str()} if party in held:
                return party, bytes.fromhex(key)
        raise stray
    envelope = Envelope.from_json(change.body)
    told = unverified(envelope, Rotation)
    if envelope.signer not in held or held[envelope.signer][0][1].hex() != told.key:
        raise stray
    read_rotation(envelope, {envelope.signer: bytes.fromhex(told.old)})
    return envelope.signer, bytes.fromhex(told.old)


def entry_hash(place: Place, kind: str, body: Any) -> str:
    """Return the hash that an entry of the journal at ``place`` has if it holds ``body``."""
    text = canonical.encode({"at": place.at, "body": body, "kind": kind, "seq": place.seq})
    return hashlib.sha256(_LABEL + bytes.fromhex(place.previous) + text).hexdigest()
