"""Paillier, public half: seal masked plaintexts, check foreign ciphertexts, fold them. Cannot open anything.

A ciphertext of ``m`` is ``(1 + m n) * h_s**r`` modulo ``n**2``: Paillier at generator ``1 + n`` with the randomness of
Damgard, Jurik and Nielsen, "A generalization of Paillier's public-key system with applications to electronic voting"
(International Journal of Information Security 9, 2010), section 4.2: ``h = -x**2`` modulo n, ``h_s = h**n``. Any Paillier
implementation decrypts it. Every party draws its own ``h`` for each key: one supplied by the key's owner, or by the
exchange, could have a small order and leave the message bare. ``r`` has 406 bits from the operating system; the
assumption beyond Paillier's own is that a random power of h with such an exponent looks like any other (discrete
logarithms with short exponents; the best attack known takes ``2**203`` steps).

Blinding cannot be turned off, and nothing random is kept: two seals of one value never share ``r``. Source: PROOFS 6.1.

Timing: the same number of full-size multiplications is made for every message and every ``r`` (no digit stands for a
factor of 1). Table look-ups are indexed by digits of ``r``: a program on the same core that watches the cache could learn
about them. Sealing happens on the institution's own machine, so that is accepted; secret keys have no such table.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from secrets import randbelow, token_bytes
from threading import Lock
from typing import Any

import gmpy2  # type: ignore[import-untyped]

from privacy.errors import Malformed, Mismatch
from privacy.masks import Masked
from privacy.modulus import PublicKey, from_text, to_text

__all__ = ["PublicKey", "Sealed", "fold", "rerandomise", "seal"]

WINDOW = 7
"""Bits of a digit of ``r``: the table is made in 80 ms and takes 7 MB for a key of 3072 bits; 8 would double both."""

DIGITS = 58
"""Digits of ``r``: 406 bits, more than twice 128 plus 64. Even, because factors are multiplied in pairs."""

MOST_CIPHERTEXTS = 1 << 16
"""The longest vector that is read from the wire."""


@dataclass(frozen=True, slots=True)
class Sealed:
    """Ciphertexts under ``key``, every one of them checked: whoever made them, arithmetic with them is safe.

    Raises:
        Malformed: unless there is one at least, and each is an integer with ``1 < c < n**2``, coprime to n, and not unblinded (1 or -1 modulo n).
            Decrypting 0 or a multiple of a factor of n would hand out a number that factors the owner's key (PROOFS 6.2).
    """

    ciphertexts: tuple[int, ...]
    key: PublicKey

    def __post_init__(self) -> None:
        _check(self.ciphertexts, self.key)

    def __repr__(self) -> str:
        return f"Sealed({len(self.ciphertexts)} ciphertexts, key {self.key.fingerprint[:16]})"

    def to_wire(self) -> list[str]:
        """Return one base64url text without padding per ciphertext, all of the same length (1024 at 3072 bits)."""
        return [to_text(ciphertext, octets=self.key.ciphertext_bytes) for ciphertext in self.ciphertexts]

    @classmethod
    def from_wire(cls, document: Any, key: PublicKey) -> "Sealed":
        """Read what :meth:`to_wire` wrote, and nothing else.

        Raises:
            Malformed: for another spelling, length or type, for an empty list or one of more than 65,536, or for a
                number that is no ciphertext under ``key``.
        """
        if not isinstance(document, list) or not 1 <= len(document) <= MOST_CIPHERTEXTS:
            raise _refusal()
        try:
            return cls(tuple(from_text(text, octets=key.ciphertext_bytes) for text in document), key)
        except Malformed:
            raise _refusal() from None


def seal(masked: Masked, key: PublicKey) -> Sealed:
    """Encrypt masked plaintexts, each with fresh randomness: 0.3 ms each at 3072 bits once the key's table is made.

    Sequential on purpose. With the interpreter lock released, threads on two cores took as long as one and 40 % more
    processor time (a multiplication takes 10 us, and the lock changes hands for each); a second process has to start and
    make its own table, half a second that pays from some 4,000 values on only.

    Raises:
        Mismatch: if the values were masked for another modulus.
        Malformed: if there are none, or one lies outside [0, n).
    """
    if masked.modulus != key.n:
        raise Mismatch("the values were masked for another key", fix="mask with the modulus of the session's key")
    if not masked.values or not all(0 <= value < key.n for value in masked.values):
        raise Malformed("a masked value does not fit the key", fix="mask with the modulus of the session's key")
    table = blinder(key)
    return Sealed(tuple(table.encrypt(value) for value in masked.values), key)


def rerandomise(sealed: Sealed) -> Sealed:
    """Return other ciphertexts of the same plaintexts, unlinkable to the given ones for anyone without the secret key."""
    table, square = blinder(sealed.key), gmpy2.mpz(sealed.key.n_squared)
    return Sealed(tuple(int(table.encrypt(0) * c % square) for c in sealed.ciphertexts), sealed.key)


def fold(sealed: Sequence[Sealed]) -> Sealed:
    """Multiply the parties' vectors component by component: the result opens to the sums modulo n.

    Deterministic, so that anyone can recompute it from the signed parts (what that does not prevent: PROOFS 9.2). The
    result is checked again: parts that are sound one by one can be made to multiply to an unblinded number. Source: PROOFS 6.4.

    Raises:
        Mismatch: if there is nothing to fold, or keys or lengths differ.
        Malformed: if a product is no ciphertext.
    """
    if not sealed:
        raise Mismatch("there is nothing to fold", fix="fold the parts of at least one party")
    key, length = sealed[0].key, len(sealed[0].ciphertexts)
    if any(part.key != key or len(part.ciphertexts) != length for part in sealed):
        raise Mismatch("the parts are not sealed under one key and layout", fix="fold parts of one session only")
    square = gmpy2.mpz(key.n_squared)
    products = [gmpy2.mpz(1)] * length
    for part in sealed:
        products = [product * c % square for product, c in zip(products, part.ciphertexts, strict=True)]
    return Sealed(tuple(int(product) for product in products), key)


class Blinder:
    """Fixed-base table for random powers of ``base`` modulo ``modulus**2``, shared by all encryptions under one key.

    Every unit modulo ``m**2`` is ``a (1 + t m)`` with a, t below m, and in a product the ``t`` merely add up. So only
    numbers of half the size are multiplied pairwise before a reduction is due, and the sum of the ``t`` joins the message:
    half the time of a table of plain powers. Row i holds ``base**(d * 2**(7 i))`` for d from 1 to 128: with no entry for
    d = 0, every exponent costs the same multiplications (r is uniform over a range that does not start at 0).
    Source of the fixed-base method: Brickell, Gordon, McCurley and Wilson, EUROCRYPT '92.
    """

    __slots__ = ("_modulus", "_rows", "_square")

    def __init__(self, base: int, modulus: int) -> None:
        self._modulus = m = gmpy2.mpz(modulus)
        self._square = m * m
        high, a = gmpy2.f_divmod(gmpy2.mpz(base), m)
        inverse = gmpy2.invert(a, m)
        t = high * inverse % m
        rows = []
        for _ in range(DIGITS):
            step_a, step_t, step_inverse = a, t, inverse
            row = [(a, t)]
            for _ in range((1 << WINDOW) - 1):
                # a step_a = c + q m = c (1 + q/c m): the carry q moves into t
                carry, a = gmpy2.f_divmod(a * step_a, m)
                inverse = inverse * step_inverse % m
                t = (t + step_t + carry * inverse) % m
                row.append((a, t))
            rows.append(row)
        self._rows = rows

    def encrypt(self, value: int) -> int:
        """Return ``(1 + value m) * base**r`` modulo ``m**2`` for a fresh random r."""
        return self.power(token_bytes(DIGITS), value)

    def power(self, digits: bytes, value: int) -> int:
        """Return ``(1 + value m) * base**r`` modulo ``m**2``, where r has the low 7 bits of each byte as digits, plus 1.

        An even number of bytes, 58 at most; fewer give a shorter r.
        """
        square = self._square
        mask = (1 << WINDOW) - 1
        factors = [row[digit & mask] for row, digit in zip(self._rows, digits, strict=False)]
        product = gmpy2.mpz(1)
        total = gmpy2.mpz(value)
        for (a, t), (b, s) in zip(factors[::2], factors[1::2], strict=True):
            product = product * (a * b) % square
            total += t + s
        return int(product * (1 + total % self._modulus * self._modulus) % square)


_LOCK = Lock()


def blinder(key: PublicKey) -> Blinder:
    """Return the table of ``key``: made at first use, shared by all threads, kept for the last four keys."""
    # under a lock, so that two threads that meet a new key do not both make its table
    with _LOCK:
        return _make_blinder(key)


@lru_cache(maxsize=4)
def _make_blinder(key: PublicKey) -> Blinder:
    return Blinder(nth_residue(key), key.n)


def nth_residue(key: PublicKey) -> int:
    """Draw ``h_s = (-x**2)**n`` modulo ``n**2`` for a random x: the base of all blinding under ``key``."""
    n = gmpy2.mpz(key.n)
    x = 2 + randbelow(key.n - 3)
    return int(gmpy2.powmod(-x * x % n, n, key.n_squared))


def _refusal() -> Malformed:
    return Malformed(
        "the document is not a list of ciphertexts under this key",
        fix="send each ciphertext as base64url without padding, of the key's full length",
    )


def _check(ciphertexts: Any, key: PublicKey) -> None:
    """Refuse what is no ciphertext under ``key``; one gcd serves the whole vector, so a check costs some 10 us each."""
    if type(ciphertexts) is not tuple or not ciphertexts:
        raise _refusal()
    n = gmpy2.mpz(key.n)
    product = gmpy2.mpz(1)
    for ciphertext in ciphertexts:
        if type(ciphertext) is not int or not 1 < ciphertext < key.n_squared:
            raise _refusal()
        residue = ciphertext % n
        # (1 + m n) and its negative are unblinded: anyone reads m from them
        if residue in (1, n - 1):
            raise _refusal()
        product = product * residue % n
    if gmpy2.gcd(product, n) != 1:
        raise _refusal()
