"""Pairwise masks, uniform modulo the Paillier modulus, that cancel exactly in the sum over the roster.

With them a single party's ciphertext decrypts to a uniform number even for the key holder, as long as two parties of
the roster are honest. Everything the parties must agree on goes into the derivation, so that masks of two parties who
were told different plans, rosters, keys or attempts do not cancel (protocol pitfalls 17 to 20).
Source: PROOFS 5.1, 5.2; Bonawitz et al. 2017, section 3; RFC 7748 (X25519); RFC 5869 (HKDF).
"""

from collections.abc import Mapping
from dataclasses import dataclass

from cryptography.exceptions import InvalidKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from privacy import canonical
from privacy.errors import Malformed
from privacy.packing import Packed


@dataclass(frozen=True, slots=True)
class Context:
    """All that the masks of one attempt are bound to; hashes and fingerprints as 64 hexadecimal digits.

    Source: PROOFS 5.3, and PROOFS 9.1 for what that takes from a hostile exchange.
    """

    session: str
    plan_hash: str
    roster_hash: str
    key_fingerprint: str


@dataclass(frozen=True, slots=True)
class Peer:
    """Another party's share of the key agreement: X25519 public key (32 bytes) and its nonce (32 bytes)."""

    public: bytes
    nonce: bytes


@dataclass(frozen=True, slots=True)
class Masked:
    """Plaintexts below ``modulus`` with all masks added: uniform, safe to encrypt and send."""

    values: tuple[int, ...]
    modulus: int

    def __repr__(self) -> str:
        return f"Masked({len(self.values)} plaintexts)"


def pair_secret(mine: X25519PrivateKey, theirs: bytes) -> bytes:
    """Return the 32-byte X25519 shared secret.

    Raises:
        Malformed: if the peer's key is not 32 bytes or is of low order.
    """
    try:
        return mine.exchange(X25519PublicKey.from_public_bytes(theirs))
    except (ValueError, InvalidKey):
        raise Malformed(
            "a peer's key agreement share is not a valid X25519 key", fix="the peer must join anew"
        ) from None


def mask(
    packed: Packed,
    *,
    me: str,
    secret: X25519PrivateKey,
    nonce: bytes,
    peers: Mapping[str, Peer],
    context: Context,
    modulus: int,
) -> Masked:
    """Add to each plaintext the masks shared with every other party of the roster, modulo ``modulus``.

    The party whose name sorts first adds a pair's mask, the other subtracts it. With no peers (a roster of one) the
    plaintexts pass unchanged: there is nobody to hide a part from, the sum is that party's own noised release (PROOFS 5.4).

    Raises:
        Malformed: if a peer's share is invalid, a plaintext does not fit the modulus or the party is its own peer.
    """
    if me in peers:
        raise Malformed("a party cannot share a mask with itself", fix="leave the party out of its peers")
    if any(not 0 <= value < modulus for value in packed.plaintexts):
        raise Malformed("a packed plaintext does not fit the modulus", fix="use the layout made for this key")
    values = list(packed.plaintexts)
    for name, peer in peers.items():
        shared = pair_secret(secret, peer.public)
        first, second = sorted([(me, nonce), (name, peer.nonce)])
        sign = 1 if me < name else -1
        for index in range(len(values)):
            drawn = pair_mask(shared, first=first, second=second, context=context, index=index, modulus=modulus)
            values[index] = (values[index] + sign * drawn) % modulus
    return Masked(tuple(values), modulus)


def pair_mask(
    shared: bytes, *, first: tuple[str, bytes], second: tuple[str, bytes], context: Context, index: int, modulus: int
) -> int:
    """Return the pair's mask for plaintext ``index``: uniform in [0, modulus), by rejection sampling of HKDF output.

    ``first`` and ``second`` are (name, nonce) of the two parties in name order.
    """
    bits = modulus.bit_length()
    length = (bits + 7) // 8
    tries = 0
    while True:
        label = canonical.encode(
            {
                "use": "touchstone/mask/1",
                "session": context.session,
                "plan": context.plan_hash,
                "roster": context.roster_hash,
                "key": context.key_fingerprint,
                "parties": [first[0], second[0]],
                "index": index,
                "try": tries,
            }
        )
        stream = HKDF(algorithm=SHA256(), length=length, salt=first[1] + second[1], info=label).derive(shared)
        candidate = int.from_bytes(stream) >> (8 * length - bits)
        if candidate < modulus:
            return candidate
        tries += 1
