"""Whose key is whose from when on: changes that parties sign, and keys that the operator takes away."""

from typing import Any

from exchange.hub.store import Event, Store
from exchange.hub.view import View
from exchange.protocol.envelope import Envelope
from exchange.protocol.errors import PeerFault, Unknown
from exchange.protocol.messages import unverified
from exchange.protocol.rotation import Rotation, read_rotation
from privacy.errors import Malformed

LONGEST_REASON = 400
"""Characters of the reason of a revocation; auditors read it."""

MOST = 500
"""Changes of keys in one answer."""


def rotate(store: Store, envelope: Envelope) -> dict[str, Any]:
    """Change a party's key as it signed, and return the key; the same change again changes nothing.

    Raises:
        Mismatch: if it is not signed by the party's present key, or the new one's owner does not prove to have it.
        PeerFault: if the new key belongs, or belonged, to somebody.
    """
    asked = unverified(envelope, Rotation)

    def decide(view: View) -> tuple[list[Event], dict[str, Any]]:
        done = [change for _, change in view.rotations(party=envelope.signer)]
        if not done or done[-1].id != envelope.id:
            told = read_rotation(envelope, view.signer(envelope.signer))
            if view.owner_of(told.key) is not None:
                raise PeerFault(
                    "this key belongs to a party, or did", fix="make a new key: touchstone keys rotate does"
                )
            return [("rotated", envelope.to_json())], {"key": told.key}
        return [], {"key": asked.key}

    return store.write(decide)


def changes(view: View, *, after: int) -> dict[str, Any]:
    """Return the changes of keys after an entry of the journal, oldest first, as their parties signed them."""
    found = view.rotations(after=after, limit=MOST)
    return {"rotations": [{"seq": seq, "envelope": envelope.to_json()} for seq, envelope in found]}


def revoke(store: Store, party: str, *, because: str) -> str:
    """Take a party's key away, and return it: nothing that it signs is taken from here on. What is on record stays.

    Raises:
        Unknown: if there is no such party.
        PeerFault: if its key is revoked already.
        Malformed: if the reason is not one line of plain text.
    """
    if not 0 < len(because) <= LONGEST_REASON or not because.isprintable():
        raise Malformed("the reason is not one line of plain text", fix="say in a few words why; auditors read it")

    def decide(view: View) -> tuple[list[Event], str]:
        if view.role(party) is None:
            raise Unknown("party")
        held = view.signer(party)
        if not held:
            raise PeerFault("the key of this party is revoked already", fix="invite the party to enrol anew")
        key = held[party].hex()
        return [("revoked", {"party": party, "key": key, "because": because})], key

    return store.write(decide)
