"""The registry of Paillier keys: each proved, each its owner's own, no two sharing a factor."""

from exchange.hub.store import Event, Store
from exchange.hub.view import View
from exchange.protocol.envelope import Envelope
from exchange.protocol.errors import PeerFault
from exchange.protocol.keys import read_key, stored_key
from privacy.modulus import shares_a_factor


def register(store: Store, envelope: Envelope) -> str:
    """Register a key and return its fingerprint; registering the same key again changes nothing.

    Raises:
        Mismatch: if the signature or the proof of the modulus does not hold.
        Malformed: if the key is not fit for sessions.
        PeerFault: if the key is another party's, or shares a factor with a registered key.
    """
    key = read_key(envelope, store.view().signer(envelope.signer))

    def decide(view: View) -> tuple[list[Event], str]:
        held = view.key(key.fingerprint)
        if held is not None and held.signer == envelope.signer:
            return [], key.fingerprint
        others = [stored_key(other, view.signed(other)) for other in view.registered_keys()]
        if held is not None or shares_a_factor([*others, key]):
            raise PeerFault("the key is not independent of a registered key", fix="make a new key")
        return [("key", {"fingerprint": key.fingerprint, "envelope": envelope.to_json()})], key.fingerprint

    return store.write(decide)
