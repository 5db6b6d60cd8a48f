"""Paillier, secret half: make keys, open sums, prove the modulus. The only room that can open anything.

Keys are phe's keys (its JSON form, its ``PaillierPrivateKey`` holds and derives the numbers), so that either side opens
what the other sealed. Decryption by Chinese remainders as in Paillier, EUROCRYPT '99, section 7, with three additions:

- exponentiation with secret exponents in constant time (``powmod_sec``: GMP's ``mpz_powm_sec``);
- each ciphertext is re-randomised before a secret touches it, so that its sender does not know what is exponentiated;
- no value is handed out before a check that a computing fault cannot pass: a value that is right modulo one prime and
  wrong modulo the other would give the key away (Boneh, DeMillo and Lipton, EUROCRYPT '97). Source: PROOFS 6.5.

Python does not promise constant time for the few reductions around the exponentiations, nor that memory is wiped:
open where the key lives, away from those who send ciphertexts.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from math import gcd
from secrets import randbelow, randbits, token_bytes
from threading import Lock
from typing import Any, NoReturn

import gmpy2  # type: ignore[import-untyped]
import phe

from privacy import modulus
from privacy.errors import Malformed, Mismatch, Refused
from privacy.masks import Masked
from privacy.modulus import MOST_BITS, SESSION_BITS, Proof, PublicKey
from privacy.seal import DIGITS, Blinder, Sealed, blinder, nth_residue

WEIGHT_BITS = 64
"""A fault goes unnoticed with probability ``2**-64`` at most; whoever provokes one cannot know the weights."""

VEIL_DIGITS = 18
"""Digits of the power (126 bits) that hides from a ciphertext's sender what the secret exponents are applied to. The
result stays in this process, so it needs less than the 406 bits of a ciphertext that others see."""

CLOSE_BITS = 100
"""The primes differ by more than ``2**(bits / 2 - 100)`` (FIPS 186-5, appendix A.1.3)."""


class SecretKey:
    """A Paillier secret key. Cannot be printed, copied or pickled; leaves only through :meth:`to_jwk`.

    Made by :meth:`generate` or :meth:`from_jwk`; the constructor takes any two primes and checks them.

    Raises:
        Malformed: unless ``p`` and ``q`` are primes of equal length, far apart, whose product is an acceptable key.
    """

    __slots__ = ("_encryptor", "_lock", "_phe", "public")

    public: PublicKey

    def __init__(self, p: int, q: int, *, minimum_bits: int = SESSION_BITS) -> None:
        if type(p) is not int or type(q) is not int or not 1 < p < 1 << MOST_BITS or not 1 < q < 1 << MOST_BITS:
            raise modulus.refusal()
        self.public = PublicKey(p * q, minimum_bits=minimum_bits)
        far = abs(p - q) >> (self.public.bits // 2 - CLOSE_BITS)
        if p.bit_length() != q.bit_length() or not far or not (gmpy2.is_prime(p, 64) and gmpy2.is_prime(q, 64)):
            raise modulus.refusal()
        self._phe = phe.PaillierPrivateKey(self.public.phe(), p, q)
        self._encryptor: _OwnersEncryptor | None = None
        self._lock = Lock()

    def __repr__(self) -> str:
        return f"SecretKey(for {self.public.fingerprint[:16]}, secret)"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a secret key is not copied or pickled; write it with to_jwk")

    @classmethod
    def generate(cls, bits: int = SESSION_BITS, *, minimum_bits: int = SESSION_BITS) -> "SecretKey":
        """Make a key of ``bits`` bits (even, 3072 to 8192) from the operating system's randomness; about 0.3 s at 3072.

        Both primes are 3 modulo 4 and ``gcd(p - 1, q - 1) = 2``, as Damgard, Jurik and Nielsen 2010 (section 4.2) and
        the proof of a proper modulus need.

        Raises:
            Malformed: for another number of bits.
        """
        if bits % 2 or not minimum_bits <= bits <= MOST_BITS:
            raise Malformed(f"a key has an even number of bits from {minimum_bits} to {MOST_BITS}", fix="use 3072")
        p = _blum_prime(bits // 2)
        while True:
            q = _blum_prime(bits // 2)
            if gcd(p - 1, q - 1) == 2 and abs(p - q) >> (bits // 2 - CLOSE_BITS):
                return cls(p, q, minimum_bits=minimum_bits)

    @classmethod
    def from_jwk(cls, document: Any, minimum_bits: int = SESSION_BITS) -> "SecretKey":
        """Read the JSON object that phe's command line writes for a secret key.

        Raises:
            Malformed: for a missing, extra or mistyped field, unacceptable primes, or a public part that is not theirs;
                always with the same message.
        """
        fixed = {"kty": "DAJ", "key_ops": ["decrypt"]}
        names = {*fixed, "p", "q", "pub"}
        if not isinstance(document, dict) or not names <= document.keys() <= {*names, "kid"}:
            raise modulus.refusal()
        if any(document[name] != value for name, value in fixed.items()) or not modulus.plain(document.get("kid", "")):
            raise modulus.refusal()
        public = PublicKey.from_jwk(document["pub"], minimum_bits)
        try:
            key = cls(modulus.from_text(document["p"]), modulus.from_text(document["q"]), minimum_bits=minimum_bits)
        except Malformed:
            raise modulus.refusal() from None
        if key.public != public:
            raise modulus.refusal()
        return key

    def to_jwk(self) -> dict[str, Any]:
        """Return the secret key as the JSON object that phe's command line reads: store it encrypted, mode 0600."""
        return {
            "kty": "DAJ",
            "key_ops": ["decrypt"],
            "p": modulus.to_text(self._phe.p),
            "q": modulus.to_text(self._phe.q),
            "pub": self.public.to_jwk(),
            "kid": f"Touchstone {self.public.fingerprint[:16]}, secret",
        }

    def open(self, sealed: Sealed) -> tuple[int, ...]:
        """Return the plaintexts in [0, n): all of them verified, or none.

        Runs on all cores: gmpy2 releases the interpreter lock during an exponentiation.

        Raises:
            Mismatch: if the ciphertexts are under another key, or the computer made an error.
            Malformed: if a number is no ciphertext (only possible for a ``Sealed`` not made by its constructor).
        """
        if sealed.key != self.public:
            raise Mismatch("the ciphertexts are sealed under another key", fix="open them with the session's key")
        checked = Sealed(sealed.ciphertexts, self.public)
        values = self._decrypt(self._veil(checked.ciphertexts))
        self._verify(checked.ciphertexts, values)
        return values

    def seal(self, masked: Masked) -> Sealed:
        """Encrypt as :func:`privacy.seal.seal` does, by the owner's shorter way modulo p**2 and q**2.

        Raises:
            Mismatch: if the values were masked for another modulus.
            Malformed: if there are none, or one lies outside [0, n).
        """
        if masked.modulus != self.public.n:
            raise Mismatch("the values were masked for another key", fix="mask with the modulus of the session's key")
        if not masked.values or not all(0 <= value < self.public.n for value in masked.values):
            raise Malformed("a masked value does not fit the key", fix="mask with the modulus of the session's key")
        with self._lock:
            encryptor = self._encryptor = self._encryptor or _OwnersEncryptor(self._phe, self.public)
        return Sealed(tuple(encryptor.encrypt(value) for value in masked.values), self.public)

    def prove(self, *, context: str) -> Proof:
        """Prove that the modulus is proper, for whoever checks it under the same ``context`` (party and purpose).

        Raises:
            Refused: if the primes are not 3 modulo 4, as in most keys made by phe.
        """
        p, q, n = gmpy2.mpz(self._phe.p), gmpy2.mpz(self._phe.q), gmpy2.mpz(self.public.n)
        if p % 4 != 3 or q % 4 != 3:
            raise Refused("this key's modulus has no proof of being proper", fix="make a new key with Touchstone")
        witness = gmpy2.mpz(randbelow(self.public.n - 1) + 1)
        while gmpy2.jacobi(witness, n) != -1:
            witness = gmpy2.mpz(randbelow(self.public.n - 1) + 1)
        fourth, nth = modulus.challenges(self.public, witness=int(witness), context=context)
        # modulo a prime that is 3 modulo 4, the fourth root of a square that is itself a square
        exponents = (((p + 1) // 4) ** 2 % (p - 1), ((q + 1) // 4) ** 2 % (q - 1))
        cosets, fourth_roots = [], []
        for challenge in fourth:
            coset, square = next(
                (coset, moved)
                for coset in range(4)
                if gmpy2.jacobi(moved := modulus.in_coset(challenge, coset, witness=witness, n=n), p) == 1
                and gmpy2.jacobi(moved, q) == 1
            )
            cosets.append(coset)
            fourth_roots.append(self._power(square, exponents))
        inverses = (gmpy2.invert(n, p - 1), gmpy2.invert(n, q - 1))
        nth_roots = [self._power(challenge, inverses) for challenge in nth]
        proof = Proof(int(witness), tuple(cosets), tuple(fourth_roots), tuple(nth_roots))
        # a faulty root would give the key away just as a faulty decryption would
        modulus.verify(self.public, proof, context=context)
        return proof

    def _veil(self, ciphertexts: Sequence[int]) -> list[int]:
        """Multiply each ciphertext by a fresh encryption of 0."""
        table, square = blinder(self.public), gmpy2.mpz(self.public.n_squared)
        return [int(table.power(token_bytes(VEIL_DIGITS), 0) * c % square) for c in ciphertexts]

    def _decrypt(self, ciphertexts: Sequence[int]) -> tuple[int, ...]:
        key = self._phe
        tasks = [
            (c, *half) for c in ciphertexts for half in ((key.p, key.psquare, key.hp), (key.q, key.qsquare, key.hq))
        ]
        halves = _on_all_cores(_open_half, tasks)
        return tuple(int(key.crt(m_p, m_q)) for m_p, m_q in zip(halves[::2], halves[1::2], strict=True))

    def _verify(self, ciphertexts: Sequence[int], values: Sequence[int]) -> None:
        """Check all values at once against the original ciphertexts: one decryption a batch and 0.6 ms a ciphertext.

        With random weights w (the first is 1), ``prod c**w * (1 + n)**(-sum w m)`` must be an n-th residue, that is of
        order dividing p - 1 modulo p**2, and likewise for q. If some value is wrong modulo p, the weighted sum of the
        errors is 0 modulo p with probability ``2**-64`` at most. The check shares neither the inverses nor the
        recombination with decryption, and starts from the ciphertexts before re-randomisation.

        Raises:
            Mismatch: without any value.
        """
        n, square = gmpy2.mpz(self.public.n), gmpy2.mpz(self.public.n_squared)
        weights = [1, *(randbits(WEIGHT_BITS) for _ in values[1:])]
        total = sum(weight * value for weight, value in zip(weights, values, strict=True)) % n
        # the product of powers bit by bit, all ciphertexts sharing the squarings (Straus 1964)
        product = gmpy2.mpz(1)
        for bit in reversed(range(WEIGHT_BITS)):
            product = product * product % square
            for ciphertext, weight in zip(ciphertexts, weights, strict=True):
                if weight >> bit & 1:
                    product = product * ciphertext % square
        residue = product * (1 + n * (n - total)) % square
        primes = (self._phe.p, self._phe.q)
        orders = _on_all_cores(_raise, [(residue, prime - 1, prime * prime) for prime in primes])
        if any(order != 1 for order in orders):
            raise Mismatch(
                "the decryption failed its check; nothing is shown", fix="try again, then replace this computer"
            )

    def _power(self, base: Any, exponents: tuple[Any, Any]) -> int:
        """Return the number that is ``base**exponents[0]`` modulo p and ``base**exponents[1]`` modulo q."""
        p, q = self._phe.p, self._phe.q
        return int(
            self._phe.crt(*(int(gmpy2.powmod_sec(base % m, e, m)) for m, e in zip((p, q), exponents, strict=True)))
        )


class _OwnersEncryptor:
    """Two tables of half the size, modulo p**2 and q**2, for the same power of the same base."""

    __slots__ = ("_halves", "_lift", "_squares")

    def __init__(self, key: Any, public: PublicKey) -> None:
        base = nth_residue(public)
        # modulo p**2 the message's factor 1 + m n is 1 + (m q mod p) p
        self._halves = tuple(
            (Blinder(base % (prime * prime), prime), other) for prime, other in ((key.p, key.q), (key.q, key.p))
        )
        self._squares = (gmpy2.mpz(key.psquare), gmpy2.mpz(key.qsquare))
        self._lift = gmpy2.invert(self._squares[0], self._squares[1])

    def encrypt(self, value: int) -> int:
        """Return a fresh encryption of ``value``; both halves use the same r."""
        digits = token_bytes(DIGITS)
        c_p, c_q = (half.power(digits, value * other) for half, other in self._halves)
        return int(c_p + self._squares[0] * ((c_q - c_p) * self._lift % self._squares[1]))


def _blum_prime(bits: int) -> int:
    """Draw a prime that is 3 modulo 4, uniformly among those whose two highest bits are 1, so that products have 2 ``bits``."""
    sieve = gmpy2.primorial(2000)
    while True:
        candidate = gmpy2.mpz(randbits(bits) | 3 << (bits - 2) | 3)
        # GMP's Baillie-PSW test finds the candidate; the constructor of the key repeats it with 40 random rounds
        if gmpy2.gcd(candidate, sieve) == 1 and gmpy2.is_prime(candidate):
            return int(candidate)


def _open_half(ciphertext: int, prime: int, square: int, inverse: int) -> int:
    """Return the plaintext modulo one prime; ``inverse`` is Paillier's h for it."""
    lifted = gmpy2.powmod_sec(ciphertext % square, prime - 1, square)
    return int((lifted - 1) // prime * inverse % prime)


def _raise(base: Any, exponent: int, square: int) -> int:
    return int(gmpy2.powmod_sec(base % square, exponent, square))


def _on_all_cores(work: Callable[..., int], tasks: Sequence[tuple[Any, ...]]) -> list[int]:
    """Do ``work`` for each task on threads: an exponentiation takes 5 ms, so here two cores take half the time of one."""
    with ThreadPoolExecutor(initializer=_release_lock) as pool:
        return list(pool.map(work, *zip(*tasks, strict=True)))


def _release_lock() -> None:
    # gmpy2's context belongs to the thread: nobody else's arithmetic is changed
    gmpy2.get_context().allow_release_gil = True
