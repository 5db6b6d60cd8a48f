"""The Paillier modulus: what a foreign one must satisfy before any arithmetic, and the proof that it is a proper one.

phe accepts any integer as a public key (also 0, primes, squares and products of sixteen small primes), and a bad modulus
costs its readers more than its owner: GG18 wallets lost their keys to one (CVE-2023-33241). Here a :class:`PublicKey`
cannot be made from a number that fails a check, whoever made it.

What the checks cannot see (three primes, a square times a prime, primes that are 1 modulo 4) is excluded by
:class:`Proof`. What neither shows is that the two primes are of equal size: an owner who picks a short one weakens the
secrecy of sums meant for that owner, and of nothing else, because a single party's part stays hidden by its masks.
Source: PROOFS 6.3.
"""

import binascii
import hashlib
import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Sequence
from dataclasses import InitVar, dataclass, field
from functools import lru_cache
from math import gcd
from typing import Any

import gmpy2  # type: ignore[import-untyped]
import phe

from privacy import canonical
from privacy.errors import Malformed, Mismatch

SESSION_BITS = 3072
"""The least modulus of a session: 128-bit strength (NIST SP 800-57 part 1, table 2)."""

INTEROPERABILITY_BITS = 2048
"""The least modulus that may be asked for explicitly, to read what older systems made."""

MOST_BITS = 8192
"""The largest modulus: beyond it a single foreign key would be a denial of service."""

FACTOR_BITS = 20
"""No prime factor of an accepted modulus is below ``2**20``; the proof's second half relies on it."""

FERMAT_STEPS = 256
"""Steps of Fermat's factoring that a modulus must withstand."""

FOURTH_ROOTS = 128
"""Challenges of the proof's first half; a bad modulus passes each with probability 1/2 at most."""

NTH_ROOTS = 7
"""Challenges of the second half; a bad modulus passes each with probability ``2**-20`` at most, all with 2**-140."""

_TEXT = re.compile(r"[A-Za-z0-9_-]+")
_PROOF = "touchstone/modulus/1"


def refusal() -> Malformed:
    """Return the one complaint about a foreign key: it says neither which check failed nor what was sent."""
    return Malformed(
        "the key is not an acceptable Paillier key",
        fix=f"make a key of {SESSION_BITS} to {MOST_BITS} bits from two random primes of equal size",
    )


def to_text(value: int, *, octets: int | None = None) -> str:
    """Write a positive integer as base64url without padding, big-endian, in ``octets`` bytes (absent: as few as it needs)."""
    length = octets or (value.bit_length() + 7) // 8
    return urlsafe_b64encode(value.to_bytes(length)).rstrip(b"=").decode("ascii")


def from_text(text: Any, *, octets: int | None = None) -> int:
    """Read the only spelling that :func:`to_text` writes: exact alphabet, exact length, no padding, no stray bits.

    Without ``octets`` the number must be written in as few bytes as it needs, and in no more than an 8192-bit key has.

    Raises:
        Malformed: with no part of the text in the message.
    """
    complaint = Malformed(
        "a number is not in canonical base64url", fix="send base64url without padding, of fixed length"
    )
    most = MOST_BITS // 8 if octets is None else octets
    # the length is checked before the alphabet, so that a huge text costs nothing
    if not isinstance(text, str) or len(text) > (4 * most + 2) // 3 or not _TEXT.fullmatch(text):
        raise complaint
    try:
        data = urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except (binascii.Error, ValueError):
        raise complaint from None
    if urlsafe_b64encode(data).rstrip(b"=") != text.encode("ascii"):
        raise complaint
    if (data[0] == 0) if octets is None else (len(data) != octets):
        raise complaint
    return int.from_bytes(data)


@dataclass(frozen=True, slots=True)
class PublicKey:
    """A Paillier public key (modulus ``n``, generator ``1 + n``) that passed every check that needs no secret.

    ``minimum_bits`` is 3072; a lower one, down to 2048, is for reading foreign material and never for a session.

    Raises:
        Malformed: for anything but an integer of ``minimum_bits`` to 8192 bits that is odd, composite, no perfect power,
            free of prime factors below ``2**20``, and not the product of two neighbouring numbers.
    """

    n: int = field(repr=False)
    n_squared: int = field(init=False, repr=False, compare=False)
    fingerprint: str = field(init=False, compare=False)
    minimum_bits: InitVar[int] = SESSION_BITS

    def __post_init__(self, minimum_bits: int) -> None:
        if minimum_bits < INTEROPERABILITY_BITS:
            raise ValueError(f"no key below {INTEROPERABILITY_BITS} bits is ever accepted")
        sized = type(self.n) is int and self.n > 0 and minimum_bits <= self.n.bit_length() <= MOST_BITS
        if not (sized and _sound(self.n)):
            raise refusal()
        # the only way to fill derived fields of a frozen dataclass
        object.__setattr__(self, "n_squared", self.n * self.n)
        octets = self.n.to_bytes((self.bits + 7) // 8)
        object.__setattr__(self, "fingerprint", hashlib.sha256(b"touchstone/paillier/1\0" + octets).hexdigest())

    @property
    def bits(self) -> int:
        """Length of the modulus in bits."""
        return self.n.bit_length()

    @property
    def ciphertext_bytes(self) -> int:
        """Length of a ciphertext on the wire in bytes: 768 at 3072 bits."""
        return (self.n_squared.bit_length() + 7) // 8

    @classmethod
    def from_jwk(cls, document: Any, minimum_bits: int = SESSION_BITS) -> "PublicKey":
        """Read the JSON object that phe's command line writes (``kty`` DAJ, ``alg`` PAI-GN1).

        Raises:
            Malformed: for a missing, extra or mistyped field or an unacceptable modulus, always with the same message.
        """
        fixed = {"kty": "DAJ", "alg": "PAI-GN1", "key_ops": ["encrypt"]}
        if not isinstance(document, dict) or not {*fixed, "n"} <= document.keys() <= {*fixed, "n", "kid"}:
            raise refusal()
        if any(document[name] != value for name, value in fixed.items()) or not plain(document.get("kid", "")):
            raise refusal()
        try:
            n = from_text(document["n"])
        except Malformed:
            raise refusal() from None
        return cls(n, minimum_bits=minimum_bits)

    def to_jwk(self) -> dict[str, Any]:
        """Return the JSON object that phe's command line reads; ``kid`` names the fingerprint."""
        return {
            "kty": "DAJ",
            "alg": "PAI-GN1",
            "key_ops": ["encrypt"],
            "n": to_text(self.n),
            "kid": f"Touchstone {self.fingerprint[:16]}",
        }

    def phe(self) -> phe.PaillierPublicKey:
        """Return the same key as an object of phe."""
        return phe.PaillierPublicKey(self.n)


def plain(comment: Any) -> bool:
    """Whether ``comment`` may stand as a key's free ``kid`` text: at most 256 printable characters."""
    return isinstance(comment, str) and len(comment) <= 256 and (comment == "" or comment.isprintable())


@lru_cache(maxsize=256)
def _sound(n: int) -> bool:
    """Whether ``n`` passes the checks that need only ``n``: about 10 ms at 3072 bits, remembered for later uses.

    All checks are always made, so that the time of a refusal does not say which one failed.
    """
    number = gmpy2.mpz(n)
    checks = (
        not number.is_prime(),
        not number.is_power(),
        gmpy2.gcd(_small_primes() % number, number) == 1,
        not _neighbours(number),
    )
    return all(checks)


@lru_cache(maxsize=1)
def _small_primes() -> Any:
    """Product of all primes below ``2**20``, 2 among them (1.5 million bits, 13 ms to make)."""
    return gmpy2.primorial(1 << FACTOR_BITS)


def _neighbours(number: Any) -> bool:
    """Whether Fermat's method finds ``number = (a - b)(a + b)`` within its steps: two primes too close together."""
    root = gmpy2.isqrt(number) + 1
    return any(gmpy2.is_square((root + step) ** 2 - number) for step in range(FERMAT_STEPS))


def shares_a_factor(keys: Sequence[PublicKey]) -> tuple[int, ...]:
    """Return the positions of all keys whose modulus shares a prime with, or equals, another one of the registry.

    Bernstein's batch gcd by product and remainder trees, as used by Heninger et al., "Mining your Ps and Qs" (2012),
    section 3.2: quasi-linear in the total size.
    """
    if len(keys) < 2:
        return ()
    levels = [[gmpy2.mpz(key.n) for key in keys]]
    while len(levels[-1]) > 1:
        row = levels[-1]
        levels.append([row[i] * row[i + 1] if i + 1 < len(row) else row[i] for i in range(0, len(row), 2)])
    remainders = levels[-1]
    for row in reversed(levels[:-1]):
        remainders = [remainders[i // 2] % (number * number) for i, number in enumerate(row)]
    # the product of all keys modulo n**2 is n times (the product of the others modulo n)
    return tuple(
        i for i, (rest, n) in enumerate(zip(remainders, levels[0], strict=True)) if gmpy2.gcd(rest // n, n) != 1
    )


@dataclass(frozen=True, slots=True)
class Proof:
    """A non-interactive proof that a modulus is the product of exactly two primes, both 3 modulo 4, coprime to phi(n).

    ``witness`` has Jacobi symbol -1. For challenge i, ``cosets[i] = a + 2 b`` and ``fourth_roots[i]**4`` equals
    ``(-1)**a * witness**b * challenge`` modulo n; ``nth_roots[i]**n`` equals a challenge of the second kind.

    First half: Canetti, Gennaro, Goldfeder, Makriyannis and Peled, "UC Non-Interactive, Proactive, Threshold ECDSA with
    Identifiable Aborts" (ePrint 2021/060), figure "Paillier-Blum Modulus ZK". Second half with few challenges, because
    small factors are excluded beforehand: Goldberg, Reyzin, Sagga and Baldimtsi, "Efficient Noninteractive Certification
    of RSA Moduli and Beyond" (ePrint 2018/057). Made non-interactive by Fiat and Shamir's transform.

    Why it is sound. n is odd, composite and has no prime factor below ``2**20``. If a prime divided both n and phi(n),
    the n-th powers would be a subgroup of index ``2**20`` or more and 7 random challenges would all lie in it with
    probability ``2**-140`` at most; so n is square-free, with k of 2 or more primes. The witness is a unit (its Jacobi
    symbol is not 0), so for each challenge there are four numbers of which one must be a fourth power. Modulo every
    prime at most half of all units are fourth powers, and modulo a prime that is 1 modulo 4 at most a quarter. If there
    are three primes, or one that is 1 modulo 4, fourth powers have index 8 or more, and four cosets hold at most half of
    all challenges: 128 pass with probability ``2**-128`` at most, for each witness that a cheat tries.
    Why it tells nothing: all it holds is simulated by choosing the roots first and computing the challenges from them.
    """

    witness: int
    cosets: tuple[int, ...]
    fourth_roots: tuple[int, ...] = field(repr=False)
    nth_roots: tuple[int, ...] = field(repr=False)

    def to_json(self, key: PublicKey) -> dict[str, Any]:
        """Return the canonical JSON object: numbers as base64url of the modulus' length, cosets as digits 0 to 3."""
        octets = (key.bits + 7) // 8
        return {
            "use": _PROOF,
            "witness": to_text(self.witness, octets=octets),
            "cosets": "".join(str(coset) for coset in self.cosets),
            "fourth_roots": [to_text(root, octets=octets) for root in self.fourth_roots],
            "nth_roots": [to_text(root, octets=octets) for root in self.nth_roots],
        }

    @classmethod
    def from_json(cls, document: Any, key: PublicKey) -> "Proof":
        """Read a proof's JSON object; that it holds is for :func:`verify` to say.

        Raises:
            Malformed: for a missing, extra or mistyped field, a wrong count, or a number that is not below the modulus.
        """
        complaint = Malformed("the document is not a modulus proof", fix="send the proof made for this key")
        fields = {"use", "witness", "cosets", "fourth_roots", "nth_roots"}
        if not isinstance(document, dict) or document.keys() != fields or document["use"] != _PROOF:
            raise complaint
        cosets, fourth, nth = document["cosets"], document["fourth_roots"], document["nth_roots"]
        if not isinstance(cosets, str) or not re.fullmatch(f"[0-3]{{{FOURTH_ROOTS}}}", cosets):
            raise complaint
        if not (
            isinstance(fourth, list) and len(fourth) == FOURTH_ROOTS and isinstance(nth, list) and len(nth) == NTH_ROOTS
        ):
            raise complaint
        octets = (key.bits + 7) // 8
        numbers = [from_text(text, octets=octets) for text in (document["witness"], *fourth, *nth)]
        if not all(0 < number < key.n for number in numbers):
            raise complaint
        return cls(
            witness=numbers[0],
            cosets=tuple(int(digit) for digit in cosets),
            fourth_roots=tuple(numbers[1 : 1 + FOURTH_ROOTS]),
            nth_roots=tuple(numbers[1 + FOURTH_ROOTS :]),
        )


def challenges(key: PublicKey, *, witness: int, context: str) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return the challenges for fourth roots and for n-th roots, each uniform in [0, n).

    They are drawn from SHAKE-256 over the key, the witness and the context (who proves, and what for), so that a proof
    holds for nobody else and for no other purpose.
    """
    octets = (key.bits + 7) // 8
    spare = 8 * octets - key.bits

    def draw(kind: str, index: int) -> int:
        tries = 0
        while True:
            label = canonical.encode(
                {
                    "use": _PROOF,
                    "n": to_text(key.n),
                    "witness": to_text(witness, octets=octets),
                    "context": context,
                    "kind": kind,
                    "index": index,
                    "try": tries,
                }
            )
            candidate = int.from_bytes(hashlib.shake_256(label).digest(octets)) >> spare
            if candidate < key.n:
                return candidate
            tries += 1

    return (
        tuple(draw("fourth", index) for index in range(FOURTH_ROOTS)),
        tuple(draw("nth", index) for index in range(NTH_ROOTS)),
    )


def verify(key: PublicKey, proof: Proof, *, context: str) -> None:
    """Check that ``proof`` was made for this key and context; about 0.1 s at 3072 bits.

    Raises:
        Mismatch: if it was not, or if the key is not the product of two primes that are 3 modulo 4.
    """
    complaint = Mismatch(
        "the proof does not show that the key is a proper Paillier modulus",
        fix="make a new key and prove it for this party and purpose",
    )
    n = gmpy2.mpz(key.n)
    witness = gmpy2.mpz(proof.witness)
    shape = (len(proof.cosets), len(proof.fourth_roots), len(proof.nth_roots))
    if shape != (FOURTH_ROOTS, FOURTH_ROOTS, NTH_ROOTS) or not all(0 <= coset <= 3 for coset in proof.cosets):
        raise complaint
    if not all(0 < number < n for number in (witness, *proof.fourth_roots, *proof.nth_roots)):
        raise complaint
    # a witness that is no unit would turn roots into 0, which is a fourth root of 0 modulo as many primes as one likes
    if gmpy2.jacobi(witness, n) != -1:
        raise complaint
    fourth, nth = challenges(key, witness=proof.witness, context=context)
    for challenge, coset, root in zip(fourth, proof.cosets, proof.fourth_roots, strict=True):
        if gmpy2.powmod(root, 4, n) != in_coset(challenge, coset, witness=witness, n=n):
            raise complaint
    for challenge, root in zip(nth, proof.nth_roots, strict=True):
        # a challenge that is not a unit would say nothing about n (and would factor it)
        if gcd(challenge, key.n) != 1 or gmpy2.powmod(root, n, n) != challenge:
            raise complaint


def in_coset(challenge: Any, coset: int, *, witness: Any, n: Any) -> Any:
    """Return ``(-1)**a * witness**b * challenge`` modulo n for ``coset = a + 2 b``."""
    moved = challenge * witness % n if coset & 2 else challenge
    return -moved % n if coset & 1 else moved
