"""Keys from strangers: what is refused at once, what only the proof excludes, and proofs that do not belong."""

import json
from dataclasses import replace
from functools import cache
from math import gcd, prod
from pathlib import Path

import gmpy2
import phe
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from privacy import canonical, modulus, unseal
from privacy.errors import Malformed, Mismatch, Refused
from privacy.modulus import FOURTH_ROOTS, NTH_ROOTS, Proof, PublicKey, from_text, shares_a_factor, to_text, verify
from privacy.unseal import SecretKey

VECTORS = json.loads((Path(__file__).parent / "vectors" / "paillier.json").read_text())
SECRET = SecretKey.from_jwk(VECTORS["secret_jwk"])
KEY = SECRET.public
OTHER = SecretKey.from_jwk(VECTORS["other_secret_jwk"]).public
P, Q = SECRET._phe.p, SECRET._phe.q
CONTEXT = VECTORS["proof_context"]
PROOF = Proof.from_json(VECTORS["proof"], KEY)
REFUSAL = "the key is not an acceptable Paillier key"


def prime(bits: int, *, skip: int = 0, residue: int = 3, modulo: int = 4) -> int:
    """A fixed prime of ``bits`` bits, close to 15/16 of the largest, with the given residue."""
    found = gmpy2.mpz(15 << (bits - 4)) + (skip << max(bits - 12, 4))
    while True:
        found = gmpy2.next_prime(found)
        if found % modulo == residue:
            return int(found)


MERSENNE = (1 << 3217) - 1
BAD_MODULI = {
    "zero": 0,
    "one": 1,
    "minus fifteen": -15,
    "fifteen": 15,
    "negative": -KEY.n,
    "even": KEY.n * 2,
    "even by one": KEY.n - 1,
    "square": P * P,
    "cube": prime(1024) ** 3,
    "prime": MERSENNE,
    "sixteen small factors": prod(prime(16, skip=i) for i in range(16)) * Q * prime(1290),
    "factor 65537": 65537 * Q * prime(1520),
    "factor 1048573": 1048573 * Q * prime(1516),
    "close primes": P * int(gmpy2.next_prime(P)),
    "close primes further away": P * int(gmpy2.next_prime(P + (1 << 760))),
    "1024 bits": prime(512) * prime(512, skip=1),
    "2048 bits": prime(1024) * prime(1024, skip=1),
    "3071 bits": (1 << 3070) + 9,
    "8193 bits": (1 << 8192) + 9,
    "16385 bits": KEY.n << (16385 - 3072) | 1,
    "float": float(P >> 600),
    "nan": float("nan"),
    "text": str(KEY.n),
    "bool": True,
    "null": None,
    "list": [KEY.n],
    "mpz": gmpy2.mpz(KEY.n),
}


@pytest.mark.parametrize("name", BAD_MODULI)
def test_a_bad_modulus_is_no_key(name):
    with pytest.raises(Malformed) as caught:
        PublicKey(BAD_MODULI[name])
    assert str(caught.value) == REFUSAL


@pytest.mark.parametrize("name", [name for name, n in BAD_MODULI.items() if type(n) is int and n > 0])
def test_a_bad_modulus_is_refused_from_a_file_with_the_same_words(name):
    with pytest.raises(Malformed) as caught:
        PublicKey.from_jwk({**KEY.to_jwk(), "n": phe.util.int_to_base64(BAD_MODULI[name])})
    assert str(caught.value) == REFUSAL
    assert caught.value.__cause__ is None


def test_phe_itself_would_take_them():
    # why this room exists: should phe ever refuse them, our checks can be reconsidered
    assert phe.PaillierPublicKey(MERSENNE).raw_encrypt(5)
    assert phe.PaillierPublicKey(15).n == 15


@pytest.mark.parametrize(
    ("name", "check", "stand_in"),
    [("factor 1048573", "_small_primes", lambda: 1), ("close primes", "_neighbours", lambda _: False)],
)
def test_no_other_check_would_have_refused_it(name, check, stand_in, monkeypatch):
    monkeypatch.setattr(modulus, check, stand_in)
    modulus._sound.cache_clear()
    assert PublicKey(BAD_MODULI[name])
    modulus._sound.cache_clear()


def test_shorter_keys_only_when_asked_for_and_never_below_2048():
    n = BAD_MODULI["2048 bits"]
    assert PublicKey(n, minimum_bits=2048).bits == 2048
    with pytest.raises(Malformed):
        PublicKey(n)
    with pytest.raises(ValueError, match="2048"):
        PublicKey(n, minimum_bits=2047)


FILES = {
    "no document": None,
    "list": [],
    "empty": {},
    "other kty": {**KEY.to_jwk(), "kty": "RSA"},
    "other alg": {**KEY.to_jwk(), "alg": "PAI-GN2"},
    "no alg": {k: v for k, v in KEY.to_jwk().items() if k != "alg"},
    "other use": {**KEY.to_jwk(), "key_ops": ["decrypt"]},
    "two uses": {**KEY.to_jwk(), "key_ops": ["encrypt", "decrypt"]},
    "extra field": {**KEY.to_jwk(), "e": 0},
    "own generator": {**KEY.to_jwk(), "g": "AQAB"},
    "decimal": {**KEY.to_jwk(), "n": str(KEY.n)},
    "integer": {**KEY.to_jwk(), "n": KEY.n},
    "padded": {**KEY.to_jwk(), "n": to_text(KEY.n) + "="},
    "leading zero": {**KEY.to_jwk(), "n": to_text(KEY.n, octets=385)},
    "standard alphabet": {**KEY.to_jwk(), "n": "+/" + to_text(KEY.n)[2:]},
    "line end": {**KEY.to_jwk(), "n": to_text(KEY.n) + "\n"},
    "empty number": {**KEY.to_jwk(), "n": ""},
    "huge number": {**KEY.to_jwk(), "n": "A" * 10_000_000},
    "kid is no text": {**KEY.to_jwk(), "kid": 5},
    "kid has control characters": {**KEY.to_jwk(), "kid": "a\x1b[2J"},
    "kid is a novel": {**KEY.to_jwk(), "kid": "a" * 257},
    "secret key": SECRET.to_jwk(),
}


@pytest.mark.parametrize("name", FILES)
def test_a_malformed_key_file_is_refused_with_the_same_words(name):
    for reader in (PublicKey.from_jwk, SecretKey.from_jwk):
        if (reader, name) == (SecretKey.from_jwk, "secret key"):
            continue
        with pytest.raises(Malformed) as caught:
            reader(FILES[name])
        assert str(caught.value) == REFUSAL


def test_a_secret_key_file_must_hold_the_primes_of_its_public_part():
    good = SECRET.to_jwk()
    bad = [
        {**good, "pub": OTHER.to_jwk()},
        {**good, "p": good["q"]},
        {**good, "p": to_text(P + 2)},
        {**good, "q": "AQ"},
        {**good, "p": to_text(KEY.n), "q": "AQ"},
        {**good, "p": str(P)},
        {**good, "x": 1},
        {**good, "key_ops": ["encrypt"]},
        {**good, "pub": {**good["pub"], "extra": 1}},
    ]
    for document in bad:
        with pytest.raises(Malformed) as caught:
            SecretKey.from_jwk(document)
        assert str(caught.value) == REFUSAL


def test_factors_that_are_not_primes_of_equal_size_make_no_secret_key():
    composite = prime(768) * prime(768, skip=1)
    near = int(gmpy2.next_prime(P + (1 << 1400)))
    assert PublicKey(P * near)  # nobody without the primes can tell
    for p, q in [
        (P, near),
        (composite, Q),
        (prime(1400), prime(1672)),
        (P, int(gmpy2.next_prime(P))),
        (True, Q),
        (-P, -Q),
    ]:
        with pytest.raises(Malformed):
            SecretKey(p, q)


def test_key_files_come_back_the_same():
    assert PublicKey.from_jwk(json.loads(json.dumps(KEY.to_jwk()))) == KEY
    again = SecretKey.from_jwk(json.loads(json.dumps(SECRET.to_jwk())))
    assert again.to_jwk() == SECRET.to_jwk()
    assert again.public.fingerprint == VECTORS["fingerprint"]
    # phe's own words, field by field
    assert KEY.to_jwk()["n"] == phe.util.int_to_base64(KEY.n)
    assert phe.util.base64_to_int(KEY.to_jwk()["n"]) == KEY.n


def test_fingerprints_differ_and_are_hashes():
    assert KEY.fingerprint != OTHER.fingerprint
    assert len(KEY.fingerprint) == 64
    assert PublicKey(KEY.n) == KEY
    assert hash(KEY) == hash(PublicKey(KEY.n))


def test_a_new_key_is_what_it_claims():
    secret = SecretKey.generate()
    p, q = secret._phe.p, secret._phe.q
    assert secret.public.bits == 3072
    assert p % 4 == q % 4 == 3
    assert gcd(p - 1, q - 1) == 2
    assert p.bit_length() == q.bit_length() == 1536
    assert abs(p - q) > 1 << (1536 - 100)
    assert gcd(p * q, (p - 1) * (q - 1)) == 1
    assert secret.public != KEY
    proof = secret.prove(context="a")
    verify(secret.public, proof, context="a")


def test_primes_whose_predecessors_share_more_than_2_are_drawn_again(monkeypatch):
    # both predecessors of the first two are multiples of 6
    drawn = [prime(1536, residue=7, modulo=12), prime(1536, skip=1, residue=7, modulo=12), Q]
    assert gcd(drawn[0] - 1, Q - 1) == 2
    draws = iter(drawn)
    monkeypatch.setattr(unseal, "_blum_prime", lambda _: next(draws))
    assert SecretKey.generate().public.n == drawn[0] * Q


@pytest.mark.parametrize("bits", [0, 1024, 2048, 3071, 3073, 8194, 1 << 40])
def test_keys_of_other_sizes_are_not_made(bits):
    with pytest.raises(Malformed):
        SecretKey.generate(bits)


# numbers as text


@given(st.integers(1, (1 << 8192) - 1))
@settings(deadline=None)
def test_text_has_one_spelling(value):
    text = to_text(value)
    assert from_text(text) == value
    assert from_text(to_text(value, octets=1024), octets=1024) == value
    assert text == phe.util.int_to_base64(value)


@given(st.text(max_size=12) | st.text("AQab_-=+/ \n", max_size=12))
@settings(deadline=None)
def test_whatever_is_read_is_written_back_alike(text):
    for octets in (None, 1, 2, 3, 4):
        try:
            value = from_text(text, octets=octets)
        except Malformed:
            continue
        assert to_text(value, octets=octets) == text


# the registry


def test_keys_that_share_a_prime_are_found():
    a, b, c, d, e = (prime(1024, skip=i) for i in range(5))
    f, g = prime(1024, skip=7), prime(1024, skip=9)
    keys = [PublicKey(n, minimum_bits=2048) for n in (a * b, c * d, e * a, f * g)]
    assert shares_a_factor(keys) == (0, 2)
    assert shares_a_factor(keys[1:]) == ()
    assert shares_a_factor([*keys, KEY, KEY]) == (0, 2, 4, 5)
    assert shares_a_factor([keys[3], *keys]) == (0, 1, 3, 4)
    assert shares_a_factor([]) == shares_a_factor(keys[:1]) == ()


@given(st.lists(st.tuples(st.integers(0, 7), st.integers(0, 7)).filter(lambda t: t[0] != t[1]), max_size=9))
@settings(deadline=None, max_examples=25)
def test_the_tree_agrees_with_all_pairs(pairs):
    keys = [PublicKey(PRIMES[i] * PRIMES[j], minimum_bits=2048) for i, j in pairs]
    expected = tuple(
        i for i, key in enumerate(keys) if any(j != i and gcd(key.n, other.n) != 1 for j, other in enumerate(keys))
    )
    assert shares_a_factor(keys) == expected


PRIMES = [prime(1024, skip=i) for i in range(8)]


# the proof


def test_a_proof_holds_for_its_key_and_context_and_travels_as_canonical_json():
    verify(KEY, PROOF, context=CONTEXT)
    wire = canonical.encode(PROOF.to_json(KEY))
    assert canonical.decode(wire) == VECTORS["proof"]


@pytest.mark.parametrize("context", ["", "bank-b/session key", "bank-a/session key ", "bank-a/registry"])
def test_a_proof_replayed_for_another_party_or_purpose_is_refused(context):
    with pytest.raises(Mismatch):
        verify(KEY, PROOF, context=context)


def test_a_proof_for_another_key_is_refused():
    with pytest.raises((Mismatch, Malformed)):
        verify(OTHER, Proof.from_json(VECTORS["proof"], OTHER), context=CONTEXT)


@pytest.mark.parametrize("index", [0, 1, 63, FOURTH_ROOTS - 1])
def test_every_part_of_the_transcript_counts(index):
    def other(numbers, place, value):
        return (*numbers[:place], value, *numbers[place + 1 :])

    n, proof = KEY.n, PROOF
    mutants = [
        replace(proof, witness=n - proof.witness),
        replace(proof, witness=proof.witness * 4 % n),
        replace(proof, cosets=other(proof.cosets, index, proof.cosets[index] ^ 1)),
        replace(proof, cosets=other(proof.cosets, index, proof.cosets[index] ^ 2)),
        replace(proof, cosets=other(proof.cosets, index, proof.cosets[index] + 4)),
        replace(proof, fourth_roots=other(proof.fourth_roots, index, proof.fourth_roots[index] ^ 1)),
        replace(proof, fourth_roots=other(proof.fourth_roots, index, 0)),
        replace(proof, fourth_roots=other(proof.fourth_roots, index, proof.fourth_roots[index] + n)),
        replace(proof, fourth_roots=proof.fourth_roots[:-1], cosets=proof.cosets[:-1]),
        replace(proof, fourth_roots=(), cosets=(), nth_roots=()),
        replace(proof, nth_roots=other(proof.nth_roots, index % NTH_ROOTS, proof.nth_roots[index % NTH_ROOTS] ^ 1)),
        replace(proof, nth_roots=other(proof.nth_roots, index % NTH_ROOTS, n - proof.nth_roots[index % NTH_ROOTS])),
        replace(proof, nth_roots=proof.nth_roots[:-1]),
        replace(proof, nth_roots=proof.nth_roots[1:] + proof.nth_roots[:1]),
        replace(proof, fourth_roots=proof.fourth_roots[1:] + proof.fourth_roots[:1]),
    ]
    for mutant in mutants:
        with pytest.raises(Mismatch):
            verify(KEY, mutant, context=CONTEXT)


def test_malformed_proof_documents_are_refused():
    good = VECTORS["proof"]
    bad = [
        None,
        [],
        {},
        {**good, "extra": 1},
        {k: v for k, v in good.items() if k != "witness"},
        {**good, "use": "touchstone/modulus/2"},
        {**good, "witness": 5},
        {**good, "witness": "AQ"},
        {**good, "witness": to_text(KEY.n, octets=384)},
        {**good, "witness": "A" * 512},
        {**good, "cosets": good["cosets"][:-1]},
        {**good, "cosets": good["cosets"][:-1] + "4"},
        {**good, "cosets": good["cosets"] + "\n"},
        {**good, "cosets": [int(digit) for digit in good["cosets"]]},
        {**good, "fourth_roots": good["fourth_roots"][:-1]},
        {**good, "fourth_roots": [*good["fourth_roots"], good["fourth_roots"][0]]},
        {**good, "fourth_roots": dict.fromkeys(good["fourth_roots"])},
        {**good, "nth_roots": good["nth_roots"] * 100_000},
        {**good, "nth_roots": [None] * NTH_ROOTS},
    ]
    for document in bad:
        with pytest.raises(Malformed):
            Proof.from_json(document, KEY)


def test_a_key_whose_primes_are_not_3_modulo_4_is_not_proved():
    secret = SecretKey(prime(1024, residue=1), prime(1024, skip=3), minimum_bits=2048)
    with pytest.raises(Refused):
        secret.prove(context="a")


def test_a_fault_while_proving_hands_out_nothing(monkeypatch):
    honest = SecretKey._power
    monkeypatch.setattr(SecretKey, "_power", lambda self, base, e: honest(self, base, e) ^ 1)
    with pytest.raises(Mismatch):
        SECRET.prove(context="a")


def power(base: int, exponent: int, m: int) -> int:
    return int(gmpy2.powmod(base, exponent, m))


@cache
def cheat(kind: str) -> tuple[PublicKey, Proof, int, int]:
    """The best proof that someone who knows the factorisation (prime to exponent) can make, and how many challenges pass.

    For primes that are 3 modulo 4 or 5 modulo 8: there a fourth power is exactly what has odd order in the group.
    """
    factors, context = IMPROPER.get(kind, {PRIMES[0]: 1, PRIMES[1]: 1}), "a"
    n = prod(p**e for p, e in factors.items())
    key = PublicKey(n, minimum_bits=2048)
    powers = {p: p**e for p, e in factors.items()}
    orders = {p: p ** (e - 1) * (p - 1) for p, e in factors.items()}
    odd = {p: order // (order & -order) for p, order in orders.items()}
    basis = {p: n // m * int(gmpy2.invert(n // m, m)) for p, m in powers.items()}
    witness = next(w for w in range(2, 10_000) if gmpy2.jacobi(w, n) == -1)
    fourth, nth = modulus.challenges(key, witness=witness, context=context)

    def root(value, degree):
        parts = {p: power(value, int(gmpy2.invert(degree, odd[p])), powers[p]) for p in factors}
        return sum(parts[p] * basis[p] for p in factors) % n

    cosets, fourth_roots, passed = [], [], 0
    for challenge in fourth:
        moved = [int(modulus.in_coset(challenge, coset, witness=witness, n=n)) for coset in range(4)]
        good = [i for i, v in enumerate(moved) if all(power(v, odd[p], powers[p]) == 1 for p in factors)]
        passed += bool(good)
        cosets.append(good[0] if good else 0)
        fourth_roots.append(root(moved[good[0]], 4) if good else 1)
    nth_roots, solved = [], 0
    for challenge in nth:
        exponents = {p: gcd(n, orders[p]) for p in factors}
        coprime = all(power(challenge, orders[p] // exponents[p], powers[p]) == 1 for p in factors)
        solved += coprime
        answer = 1
        if coprime:
            shares = {p: orders[p] // exponents[p] for p in factors}
            parts = {p: power(challenge, int(gmpy2.invert(n, shares[p])), powers[p]) for p in factors}
            answer = sum(parts[p] * basis[p] for p in factors) % n
        nth_roots.append(answer)
    return key, Proof(witness, tuple(cosets), tuple(fourth_roots), tuple(nth_roots)), passed, solved


def test_the_cheat_is_competent():
    key, proof, passed, solved = cheat("none: a proper modulus")
    assert (passed, solved) == (FOURTH_ROOTS, NTH_ROOTS)
    verify(key, proof, context="a")


IMPROPER = {
    "three primes": {prime(684, skip=i): 1 for i in range(3)},
    "three primes, one of them 1 modulo 4": {prime(684): 1, prime(684, skip=1): 1, prime(684, residue=5, modulo=8): 1},
    "four primes": {prime(520, skip=i): 1 for i in range(4)},
    "both primes 1 modulo 4": {prime(1030, residue=5, modulo=8): 1, prime(1030, skip=3, residue=5, modulo=8): 1},
    "one prime 1 modulo 4": {prime(1030, residue=5, modulo=8): 1, prime(1030, skip=3): 1},
    "square times prime": {prime(700): 2, prime(700, skip=1): 1},
    "square times prime 1 modulo 4": {prime(700): 2, prime(700, residue=5, modulo=8): 1},
    "cube times prime": {prime(520): 3, prime(520, skip=1): 1},
}


@pytest.mark.parametrize("name", IMPROPER)
def test_an_improper_modulus_passes_the_quick_checks_and_fails_the_proof(name):
    key, proof, passed, solved = cheat(name)
    with pytest.raises(Mismatch):
        verify(key, proof, context="a")
    square_free = all(e == 1 for e in IMPROPER[name].values())
    if square_free:
        # the soundness bound of a single challenge is 1/2: 128 coins show at most 96 heads (2**-25 against)
        assert passed <= 96
    else:
        assert solved == 0


def test_a_witness_that_shares_primes_with_the_modulus_proves_nothing():
    # roots that are 0 modulo two of three primes would answer every challenge, were the witness not checked
    one, two, three = IMPROPER["three primes"]
    key, proof, _, solved = cheat("three primes")
    witness = one * two
    fourth, _ = modulus.challenges(key, witness=witness, context="a")
    cosets, roots = [], []
    for challenge in fourth:
        moved = [int(modulus.in_coset(challenge, coset, witness=witness, n=key.n)) for coset in range(4)]
        coset = 2 if gmpy2.jacobi(moved[2], three) == 1 else 3
        root = power(moved[coset], int(gmpy2.invert(4, (three - 1) // 2)), three)
        roots.append(root * int(gmpy2.invert(one * two, three)) * one * two % key.n)
        cosets.append(coset)
        assert power(roots[-1], 4, key.n) == moved[coset]
    _, nth = modulus.challenges(key, witness=witness, context="a")
    phi = (one - 1) * (two - 1) * (three - 1)
    nth_roots = tuple(power(challenge, int(gmpy2.invert(key.n, phi)), key.n) for challenge in nth)
    assert solved == NTH_ROOTS
    with pytest.raises(Mismatch):
        verify(
            key,
            replace(proof, witness=witness, cosets=tuple(cosets), fourth_roots=tuple(roots), nth_roots=nth_roots),
            context="a",
        )


def test_both_halves_of_the_proof_are_needed():
    # a cube times a prime answers every fourth root; only the n-th roots give it away
    _, _, passed, solved = cheat("cube times prime")
    assert (passed, solved) == (FOURTH_ROOTS, 0)
    # three primes answer every n-th root; only the fourth roots give them away
    _, _, passed, solved = cheat("three primes")
    assert solved == NTH_ROOTS
    assert passed <= 96


def test_challenges_are_spread_and_bound_to_everything():
    base = modulus.challenges(KEY, witness=5, context="a")
    assert len({*base[0], *base[1]}) == FOURTH_ROOTS + NTH_ROOTS
    assert all(0 < c < KEY.n for c in (*base[0], *base[1]))
    # high bits are used: a third of uniform numbers at least lies in the upper half, with 2**-20 against
    assert sum(c > KEY.n // 2 for c in base[0]) > FOURTH_ROOTS // 4
    others = [
        modulus.challenges(KEY, witness=6, context="a"),
        modulus.challenges(KEY, witness=5, context="b"),
        modulus.challenges(OTHER, witness=5, context="a"),
    ]
    for other in others:
        assert not set(base[0] + base[1]) & set(other[0] + other[1])


def test_challenges_that_exceed_the_modulus_are_drawn_again():
    # a modulus just above a power of two: half of all draws are too large and must not be reduced
    bits = 2056
    p = int(gmpy2.next_prime(1 << (bits // 2)))
    q = int(gmpy2.next_prime((1 << (bits // 2)) + (1 << (bits // 2 - 4))))
    key = PublicKey(p * q, minimum_bits=2048)
    drawn = modulus.challenges(key, witness=5, context="a")[0]
    assert all(c < key.n for c in drawn)
    assert sum(c > key.n // 2 for c in drawn) > FOURTH_ROOTS // 4
