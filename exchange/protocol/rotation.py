"""A party changes its signing key: the old key signs the new one, and the new one proves that its owner has it.

Whoever pins the old key follows such a change without a word from anybody else; no exchange can make one up. From its entry
of the log on, nothing that the old key signs is taken; what it signed before stays as it was.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from pydantic import Field

from exchange.protocol.declaration import Hex32
from exchange.protocol.envelope import Envelope
from exchange.protocol.messages import Message, expect, unverified
from privacy import canonical
from privacy.errors import Mismatch

_LABEL = b"touchstone/rotation/1\x00"

Signature = Annotated[str, Field(pattern=r"^[0-9a-f]{128}$")]


class Rotation(Message):
    """From now on the signer's key is ``key`` in place of ``old``; ``proof`` is the new key's signature over both and the name."""

    kind = "rotation"
    old: Hex32
    key: Hex32
    proof: Signature


def rotate(party: str, *, old: Ed25519PrivateKey, new: Ed25519PrivateKey) -> Envelope:
    """Sign a change of a party's key; the same two keys always give the same envelope."""
    before, after = (key.public_key().public_bytes_raw().hex() for key in (old, new))
    proof = new.sign(_proved(party, before, after)).hex()
    return Rotation(old=before, key=after, proof=proof).sealed_by(party, old)


def read_rotation(envelope: Envelope, directory: Mapping[str, bytes]) -> Rotation:
    """Return a change of the key that is pinned for its signer, once both signatures hold.

    Raises:
        Mismatch: if it is signed by another key than the pinned one, or the new key's owner does not prove to have it.
        Malformed: if it is another message.
    """
    told = expect(envelope, directory, Rotation)
    if told.old != directory[envelope.signer].hex() or told.key == told.old:
        raise Mismatch("the change does not begin at the party's present key", fix="sign it with the present key")
    try:
        key = Ed25519PublicKey.from_public_bytes(bytes.fromhex(told.key))
        key.verify(bytes.fromhex(told.proof), _proved(envelope.signer, told.old, told.key))
    except (InvalidSignature, ValueError):
        raise Mismatch("the new key does not prove that its owner has it", fix="make the change anew") from None
    return told


def chain(party: str, *, held: bytes, changes: Iterable[Envelope]) -> list[Envelope]:
    """Return those of a party's changes, oldest first, that lead on from a key that is held; each is checked.

    Raises:
        Mismatch: if a change leads to other keys without a signature of the one that is held by then.
    """
    key, followed = held.hex(), []
    told = [(change, unverified(change, Rotation)) for change in changes if change.signer == party]
    for change, message in told:
        if message.old == key:  # those before the key that is held have led up to it
            read_rotation(change, {party: bytes.fromhex(key)})
            key = message.key
            followed.append(change)
    if told and told[-1][1].key != key:
        raise Mismatch(
            f"{party} shows another key than the pinned one, which did not sign for it",
            fix="compare the key with that party by phone",
        )
    return followed


def signed_by(envelope: Envelope, keys: Sequence[bytes]) -> Mapping[str, bytes]:
    """Return the one of a signer's keys, present and past, under which an envelope holds, as a directory of this party alone.

    If it holds under none, the first is returned, and whoever reads the envelope under it refuses.
    """
    for key in keys if len(keys) > 1 else ():
        if envelope.holds(key):
            return {envelope.signer: key}
    return {envelope.signer: keys[0]} if keys else {}


def _proved(party: str, old: str, new: str) -> bytes:
    return _LABEL + canonical.encode([party, old, new])
