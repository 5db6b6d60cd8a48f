"""Enrolling once by invite: the new party's key signs that it is, and the invite's key signs for that very message."""

from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from exchange.protocol.declaration import Hex32
from exchange.protocol.envelope import Envelope
from exchange.protocol.messages import Message, expect, unverified
from privacy.errors import Malformed

_LABEL = b"touchstone/enrolment/1\x00"
ENROLLED = "enrolled"
"""Kind of the log's statement by which the exchange confirms it."""


class Enrolment(Message):
    """The signer enrols in a ``role`` with its ``key``, by the invite whose public key is ``invite``."""

    kind = "enrolment"
    role: str
    key: Hex32
    invite: Hex32


def enrol(party: str, role: str, *, key: Ed25519PrivateKey, invite: Ed25519PrivateKey) -> dict[str, Any]:
    """Return the document that is sent: the signed message, and the invite's signature over it."""
    told = Enrolment(role=role, key=_public(key), invite=_public(invite))
    envelope = told.sealed_by(party, key)
    return {"envelope": envelope.to_json(), "proof": invite.sign(_LABEL + bytes.fromhex(envelope.id)).hex()}


def read_enrolment(document: Any) -> tuple[str, Enrolment, bool]:
    """Return who enrols and how, once the party proves to have its key, and whether the invite's key signed for it.

    Raises:
        Malformed: if the document is none. Mismatch: if the party does not prove to have the key.
    """
    match document:
        case {"envelope": dict(told), "proof": str(proof)} if len(document) == 2 and len(proof) == 128:
            envelope = Envelope.from_json(told)
        case _:
            raise Malformed("the document is not an enrolment", fix="use `touchstone join`")
    message = unverified(envelope, Enrolment)
    expect(envelope, {envelope.signer: bytes.fromhex(message.key)}, Enrolment)
    try:
        signed = _LABEL + bytes.fromhex(envelope.id)
        Ed25519PublicKey.from_public_bytes(bytes.fromhex(message.invite)).verify(bytes.fromhex(proof), signed)
    except (InvalidSignature, ValueError):
        return envelope.signer, message, False
    return envelope.signer, message, True


def _public(key: Ed25519PrivateKey) -> str:
    return key.public_key().public_bytes_raw().hex()
