"""Changing a party's signing key from its own side, so that whatever stops it leaves one key that works.

The new key lies beside the old one before anybody hears of it, and takes its place once the exchange has it on record. A home
that holds both has stopped in between: the same command asks the exchange which of them counts, and finishes.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from exchange import identity
from exchange.line import Line
from exchange.pins import fetch, remember_own
from exchange.protocol.errors import Denied, PeerFault
from exchange.protocol.messages import unverified
from exchange.protocol.rotation import Rotation
from exchange.protocol.rotation import rotate as signed
from privacy.errors import Mismatch

NEXT = "signing-next.key"

Lines = Callable[[str, Ed25519PrivateKey], AbstractContextManager[Line]]
"""Opens a line to the exchange for a party and its key."""


def rotate(home: Path, line_to: Lines) -> bytes:
    """Change the signing key of the party under ``home``, or finish a change that was stopped; return the new public key.

    Raises:
        Unknown: if no party lives there. Locked: if its keys are protected, and not by what was given.
        Denied, Revoked: if the exchange does not know the party by this key.
        Mismatch: if the exchange does not show the change on record.
    """
    party, old = identity.load(home, what="party")
    if party == "exchange":
        raise PeerFault(
            "the exchange's own key is in its log's id, which parties pin", fix="it stays for the log's life"
        )
    new = _next(home)
    if new.private_bytes_raw() == old.private_bytes_raw():  # it has taken its place, and stopped right then
        (home / NEXT).unlink()
        return new.public_key().public_bytes_raw()
    if not _is_known(party, new, line_to):
        with line_to(party, old) as line:
            line.post("/v1/rotations", signed(party, old=old, new=new))
    before, after = (key.public_key().public_bytes_raw() for key in (old, new))
    with line_to(party, new) as line:
        remember_own(home, party, before, until=_on_record(line, party, after.hex()))
    identity.write_key(home / "signing.key", new.private_bytes_raw().hex())
    (home / NEXT).unlink()
    return after


def _next(home: Path) -> Ed25519PrivateKey:
    """The key that is to come: the one that lies there, or a fresh one."""
    path = home / NEXT
    if not path.exists():
        identity.write_key(path, Ed25519PrivateKey.generate().private_bytes_raw().hex())
    return Ed25519PrivateKey.from_private_bytes(bytes.fromhex(identity.read_key(path)))


def _is_known(party: str, key: Ed25519PrivateKey, line_to: Lines) -> bool:
    try:
        with line_to(party, key) as line:
            line.get("/v1/exchange")
    except Denied:
        return False
    return True


def _on_record(line: Line, party: str, key: str) -> int:
    """Return the entry of the log at which a key is on record as the party's."""
    for seq, envelope in fetch(line):
        if envelope.signer == party and unverified(envelope, Rotation).key == key:
            return seq
    raise Mismatch("the exchange does not show the change on record", fix="report the exchange")
