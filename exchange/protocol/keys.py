"""Reading a registered Paillier key: the same check for the exchange and for every node."""

from collections.abc import Mapping

from exchange.protocol.envelope import Envelope
from exchange.protocol.messages import Key, expect
from privacy.modulus import Proof, PublicKey, verify


def read_key(envelope: Envelope, directory: Mapping[str, bytes]) -> PublicKey:
    """Return the key that an envelope registers, once its signature and the proof of its modulus hold.

    The proof is bound to the signer's name: nobody registers another party's key as its own.

    Raises:
        Mismatch: if the signature or the proof does not hold.
        Malformed: if the key is not fit for sessions.
    """
    told = expect(envelope, directory, Key)
    key = PublicKey.from_jwk(told.key)
    verify(key, Proof.from_json(told.proof, key), context=envelope.signer)
    return key


def stored_key(envelope: Envelope, directory: Mapping[str, bytes]) -> PublicKey:
    """Return the key of an envelope whose proof was verified before it was stored."""
    return PublicKey.from_jwk(expect(envelope, directory, Key).key)
