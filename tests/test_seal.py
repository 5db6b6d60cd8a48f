"""Sealing, folding and opening: round trips, phe on the other side, hostile ciphertexts, faults."""

import copy
import json
import pickle
from dataclasses import FrozenInstanceError
from itertools import count
from math import gcd
from pathlib import Path
from secrets import randbelow
from threading import Thread

import gmpy2
import phe
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from privacy import seal as seal_room
from privacy import unseal as unseal_room
from privacy.errors import Malformed, Mismatch
from privacy.masks import Masked
from privacy.modulus import to_text
from privacy.seal import DIGITS, Blinder, PublicKey, Sealed, fold, rerandomise, seal
from privacy.unseal import SecretKey

VECTORS = json.loads((Path(__file__).parent / "vectors" / "paillier.json").read_text())
SECRET = SecretKey.from_jwk(VECTORS["secret_jwk"])
KEY = SECRET.public
OTHER = SecretKey.from_jwk(VECTORS["other_secret_jwk"]).public
P, Q = SECRET._phe.p, SECRET._phe.q

plaintexts = st.one_of(
    st.sampled_from([0, 1, 2, KEY.n - 1, KEY.n - 2, KEY.n // 2, KEY.n // 3 + 1, P, Q, KEY.n - P]),
    st.integers(0, KEY.n - 1),
)
few = settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def masked(*values: int) -> Masked:
    return Masked(values, KEY.n)


# round trips


@few
@given(st.lists(plaintexts, min_size=1, max_size=4))
def test_what_is_sealed_opens_to_itself(values):
    assert SECRET.open(seal(masked(*values), KEY)) == tuple(values)
    assert SECRET.open(SECRET.seal(masked(*values))) == tuple(values)


@few
@given(st.lists(st.tuples(plaintexts, plaintexts), min_size=1, max_size=5))
def test_folding_adds_modulo_n_component_by_component(parts):
    sealed = [seal(masked(*part), KEY) for part in parts]
    assert SECRET.open(fold(sealed)) == tuple(sum(column) % KEY.n for column in zip(*parts, strict=True))


def test_folding_is_deterministic_and_does_not_depend_on_the_order():
    parts = [seal(masked(i, 7), KEY) for i in range(3)]
    assert fold(parts) == fold(parts[::-1])
    assert fold(parts[:1]) == parts[0]


def test_rerandomising_keeps_the_plaintext_and_nothing_else():
    sealed = seal(masked(11, 12), KEY)
    again = rerandomise(sealed)
    assert SECRET.open(again) == (11, 12)
    assert not set(again.ciphertexts) & set(sealed.ciphertexts)


def test_a_batch_larger_than_any_core_count_opens_in_order():
    values = tuple(range(40))
    assert SECRET.open(seal(masked(*values), KEY)) == values


def test_the_published_vectors_open():
    sealed = Sealed.from_wire(VECTORS["sealed"], KEY)
    assert [str(value) for value in SECRET.open(sealed)] == VECTORS["plaintexts"]
    assert KEY.fingerprint == VECTORS["fingerprint"]


# phe on the other side


@few
@given(plaintexts)
def test_phe_opens_what_we_seal(value):
    theirs = SECRET._phe
    assert theirs.raw_decrypt(seal(masked(value), KEY).ciphertexts[0]) == value
    assert theirs.raw_decrypt(SECRET.seal(masked(value)).ciphertexts[0]) == value


@few
@given(st.integers(-(KEY.n // 3) + 1, KEY.n // 3 - 1))
def test_we_open_what_phe_encrypts_at_exponent_0(value):
    number = KEY.phe().encrypt(value)
    assert number.exponent == 0
    assert SECRET.open(Sealed((number.ciphertext(),), KEY)) == (value % KEY.n,)


def test_sums_mix_phe_and_us():
    public = KEY.phe()
    ours = phe.EncryptedNumber(public, seal(masked(40), KEY).ciphertexts[0])
    assert SECRET._phe.decrypt(ours + public.encrypt(2)) == 42
    assert SECRET.open(fold([Sealed((public.raw_encrypt(2),), KEY), seal(masked(40), KEY)])) == (42,)


def test_a_key_of_phe_made_elsewhere_is_read_only_when_asked_for():
    with pytest.raises(Malformed):
        SecretKey.from_jwk(VECTORS["phe_secret_jwk"])
    theirs = SecretKey.from_jwk(VECTORS["phe_secret_jwk"], minimum_bits=2048)
    sealed = Sealed((int(VECTORS["phe_ciphertext"]),), theirs.public)
    assert theirs.open(sealed) == (int(VECTORS["phe_plaintext"]),)
    assert theirs.open(seal(Masked((5,), theirs.public.n), theirs.public)) == (5,)


def test_our_key_files_are_read_by_phes_command_line(tmp_path):
    from click.testing import CliRunner
    from phe.command_line import cli

    (tmp_path / "secret").write_text(json.dumps(SECRET.to_jwk()))
    (tmp_path / "public").write_text(json.dumps(KEY.to_jwk()))
    runner = CliRunner()
    assert runner.invoke(cli, ["extract", str(tmp_path / "secret"), str(tmp_path / "extracted")]).exit_code == 0
    assert PublicKey.from_jwk(json.loads((tmp_path / "extracted").read_text())) == KEY
    arguments = ["encrypt", str(tmp_path / "public"), "2.5", "--output", str(tmp_path / "number")]
    assert runner.invoke(cli, arguments).exit_code == 0
    arguments = ["decrypt", str(tmp_path / "secret"), str(tmp_path / "number")]
    assert "2.5" in runner.invoke(cli, arguments).output


def test_phes_command_line_makes_keys_that_we_read(tmp_path):
    from click.testing import CliRunner
    from phe.command_line import cli

    assert CliRunner().invoke(cli, ["genpkey", "--keysize", "2048", str(tmp_path / "key")]).exit_code == 0
    document = json.loads((tmp_path / "key").read_text())
    secret = SecretKey.from_jwk(document, minimum_bits=2048)
    assert secret.public == PublicKey.from_jwk(document["pub"], minimum_bits=2048)


# blinding


def test_no_ciphertext_is_unblinded_and_no_randomness_is_used_twice():
    sealed = [*seal(masked(*[5] * 20), KEY).ciphertexts, *SECRET.seal(masked(*[5] * 20)).ciphertexts]
    residues = {c % KEY.n for c in sealed}
    assert len(residues) == 40
    assert all((c - 1) % KEY.n and (c + 1) % KEY.n for c in sealed)
    # same plaintext: the quotient of two ciphertexts would be 1 modulo n had they shared r
    assert all(c % KEY.n != d % KEY.n for c in sealed for d in sealed if c != d)


def test_seal_has_no_switch_and_no_room_for_randomness():
    import inspect

    assert list(inspect.signature(seal).parameters) == ["masked", "key"]


def test_the_base_is_an_nth_residue_of_jacobi_symbol_minus_one_squared():
    base = seal_room.nth_residue(KEY)
    assert SECRET.open(Sealed((base,), KEY)) == (0,)
    # -x**2 modulo a Blum modulus: Jacobi symbol 1, not a square modulo either prime; the n-th power keeps both
    assert (gmpy2.jacobi(base, P), gmpy2.jacobi(base, Q)) == (-1, -1)


def test_each_key_and_process_has_its_own_base():
    assert seal_room.nth_residue(KEY) != seal_room.nth_residue(KEY)
    assert seal_room.blinder(KEY) is seal_room.blinder(PublicKey(KEY.n))
    assert seal_room.blinder(KEY) is not seal_room.blinder(OTHER)


def test_two_threads_make_one_table():
    seal_room._make_blinder.cache_clear()
    tables = []
    threads = [Thread(target=lambda: tables.append(seal_room.blinder(KEY))) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({id(table) for table in tables}) == 1


def test_old_tables_are_dropped():
    assert seal_room._make_blinder.cache_parameters()["maxsize"] == 4


@few
@given(st.binary(min_size=DIGITS, max_size=DIGITS), plaintexts)
def test_the_table_computes_the_power_that_its_docstring_says(digits, value):
    exponent = sum(((digit & 127) + 1) << (7 * i) for i, digit in enumerate(digits))
    plain = (1 + value * KEY.n) * gmpy2.powmod(BASE, exponent, KEY.n_squared) % KEY.n_squared
    assert TABLE.power(digits, value) == plain


BASE = seal_room.nth_residue(KEY)
TABLE = Blinder(BASE, KEY.n)


def test_blinding_exponents_are_as_long_as_promised_and_come_from_the_system(monkeypatch):
    assert DIGITS * seal_room.WINDOW >= 2 * 128 + 64
    asked = []
    monkeypatch.setattr(seal_room, "token_bytes", lambda count: asked.append(count) or bytes(count))
    TABLE.encrypt(1)
    TABLE.encrypt(1)
    assert asked == [DIGITS, DIGITS]


# what is refused before any arithmetic

C = seal(masked(1234), KEY).ciphertexts[0]
N, N2 = KEY.n, KEY.n_squared
HOSTILE = {
    "zero": 0,
    "one": 1,
    "minus one": -1,
    "n squared minus one": N2 - 1,
    "n": N,
    "seven n": 7 * N,
    "n squared": N2,
    "five n squared": 5 * N2,
    "unblinded": 1 + N,
    "unblinded 777": 1 + 777 * N,
    "unblinded negative": N2 - 1 - N,
    "plus n squared": C + N2,
    "minus n squared": C - N2,
    "huge": 1 << 200_000,
    "shares p": C * P % N2,
    "shares q squared": C * Q * Q % N2,
    "p": P,
    "float": float(12345),
    "nan": float("nan"),
    "bool": True,
    "text": str(C),
    "null": None,
    "list": [C],
    "bytes": C.to_bytes(768),
    "mpz": gmpy2.mpz(C),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_number_is_no_ciphertext(name):
    for numbers in [(HOSTILE[name],), (C, HOSTILE[name]), (HOSTILE[name], C)]:
        with pytest.raises(Malformed) as caught:
            Sealed(numbers, KEY)
        assert str(caught.value) == "the document is not a list of ciphertexts under this key"


@pytest.mark.parametrize("numbers", [(), [C], C, None], ids=["none", "a list", "a number", "null"])
def test_ciphertexts_come_as_a_tuple_of_one_at_least(numbers):
    with pytest.raises(Malformed):
        Sealed(numbers, KEY)


# the key is fresh, so how long a number is must not decide whether it is a case
@pytest.mark.parametrize("name", [name for name, c in HOSTILE.items() if type(c) is int and c >= 0])
def test_a_hostile_number_in_perfect_spelling_is_refused_from_the_wire(name):
    number = HOSTILE[name]
    with pytest.raises(Malformed):
        Sealed.from_wire([to_text(number, octets=max(768, (number.bit_length() + 7) // 8))], KEY)


TEXT = to_text(C, octets=768)
SPELLINGS = {
    "not a list": TEXT,
    "tuple": (TEXT,),
    "empty": [],
    "nothing": None,
    "object": {"v": TEXT, "e": 0},
    "number": [C],
    "null": [None],
    "bool": [True],
    "bytes": [TEXT.encode()],
    "nested": [[TEXT]],
    "decimal": [str(C)],
    "hex": [f"{C:x}"],
    "padded": [TEXT + "="],
    "space before": [" " + TEXT[1:]],
    "line end": [TEXT + "\n"],
    "line end inside": [TEXT[:-1] + "\n"],
    "standard alphabet +": ["+" + TEXT[1:]],
    "standard alphabet /": [TEXT[:-1] + "/"],
    "full width": ["\uff21" + TEXT[1:]],
    "one character short": [TEXT[:-1]],
    "one character long": [TEXT + "A"],
    "one byte short": [to_text(C >> 8, octets=767)],
    "one byte long": [to_text(C, octets=769)],
    "leading zero bytes": ["AAAA" + TEXT],
    "not blinded among good": [TEXT, to_text(1 + N, octets=768)],
    "huge": ["A" * 10_000_000],
}


@pytest.mark.parametrize("name", SPELLINGS)
def test_another_spelling_is_refused_with_the_same_message(name):
    with pytest.raises(Malformed) as caught:
        Sealed.from_wire(SPELLINGS[name], KEY)
    assert str(caught.value) == "the document is not a list of ciphertexts under this key"
    assert caught.value.__cause__ is None


def test_a_vector_longer_than_any_plan_is_refused_unread():
    with pytest.raises(Malformed):
        Sealed.from_wire([TEXT] * 65_537, KEY)


def test_stray_bits_after_the_last_byte_are_refused():
    # 2056-bit keys have ciphertexts whose text ends in a character with unused bits
    secret = SecretKey.generate(2056, minimum_bits=2048)
    text = seal(Masked((1,), secret.public.n), secret.public).to_wire()[0]
    assert secret.public.ciphertext_bytes % 3
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    twin = text[:-1] + alphabet[alphabet.index(text[-1]) + 1]
    with pytest.raises(Malformed):
        Sealed.from_wire([twin], secret.public)


@few
@given(st.lists(plaintexts, min_size=1, max_size=3))
def test_the_wire_has_one_spelling_of_fixed_length(values):
    sealed = seal(masked(*values), KEY)
    wire = sealed.to_wire()
    assert {len(text) for text in wire} == {1024}
    assert Sealed.from_wire(wire, KEY) == sealed
    assert Sealed.from_wire(json.loads(json.dumps(wire)), KEY).to_wire() == wire


def test_small_ciphertexts_keep_their_leading_zeros():
    small = Sealed((2, 3), KEY)
    assert {len(text) for text in small.to_wire()} == {1024}
    assert Sealed.from_wire(small.to_wire(), KEY) == small


def test_parts_that_multiply_to_an_unblinded_number_are_refused_by_the_fold():
    inverse = int(gmpy2.invert(C, N2) * (1 + 5 * N) % N2)
    with pytest.raises(Malformed):
        fold([Sealed((C,), KEY), Sealed((inverse,), KEY)])


def test_what_does_not_belong_together_is_not_folded():
    one, two = seal(masked(1), KEY), seal(masked(1, 2), KEY)
    foreign = seal(Masked((1,), OTHER.n), OTHER)
    for parts in [[], [one, two], [one, foreign]]:
        with pytest.raises(Mismatch):
            fold(parts)


def test_sealing_refuses_what_was_masked_for_another_key_or_does_not_fit():
    for door in (lambda m: seal(m, KEY), SECRET.seal):
        with pytest.raises(Mismatch):
            door(Masked((1,), OTHER.n))
        for values in [(), (-1,), (N,), (1, N + 1)]:
            with pytest.raises(Malformed):
                door(Masked(values, N))


def test_opening_refuses_another_key_and_checks_again():
    with pytest.raises(Mismatch):
        SECRET.open(seal(Masked((1,), OTHER.n), OTHER))
    forged = seal(masked(1), KEY)
    object.__setattr__(forged, "ciphertexts", (7 * N,))
    with pytest.raises(Malformed):
        SECRET.open(forged)


# faults: a value wrong modulo one prime only would factor the key (protocol finding M9)


def test_why_faults_matter():
    value = 1234
    faulty = SECRET._phe.crt(value % P, (value + 1) % Q)
    assert gcd(faulty - value, N) == P


@pytest.mark.parametrize("place", range(6))
def test_a_fault_in_one_half_of_any_decryption_is_caught(monkeypatch, place):
    honest, calls = unseal_room._open_half, count()

    def faulty(ciphertext, prime, square, inverse):
        flipped = 1 if next(calls) == place else 0
        return (honest(ciphertext, prime, square, inverse) ^ flipped) % prime

    monkeypatch.setattr(unseal_room, "_open_half", faulty)
    sealed = seal(masked(1, 2, 3), KEY)
    with pytest.raises(Mismatch, match="nothing is shown"):
        SECRET.open(sealed)


@pytest.mark.parametrize("part", ["hp", "hq", "p_inverse", "psquare", "qsquare", "p", "q"])
def test_a_bit_flipped_in_the_stored_key_is_caught(part):
    secret = SecretKey.from_jwk(VECTORS["secret_jwk"])
    setattr(secret._phe, part, getattr(secret._phe, part) ^ 1 << 9)
    with pytest.raises((Mismatch, ValueError)) as caught:
        secret.open(seal(masked(randbelow(N), randbelow(N)), KEY))
    assert str(P) not in str(caught.value)


def test_two_faults_that_cancel_in_a_plain_sum_are_caught(monkeypatch):
    honest = SECRET._decrypt
    shift = P * (gmpy2.invert(P, Q))
    monkeypatch.setattr(
        SecretKey,
        "_decrypt",
        lambda self, cs: tuple(int((v + (shift, -shift, 0)[i]) % N) for i, v in enumerate(honest(cs))),
    )
    with pytest.raises(Mismatch):
        SECRET.open(seal(masked(1, 2, 3), KEY))


def test_a_fault_before_decryption_is_caught(monkeypatch):
    monkeypatch.setattr(SecretKey, "_veil", lambda self, cs: [int(c * (1 + N) % N2) for c in cs])
    with pytest.raises(Mismatch):
        SECRET.open(seal(masked(5), KEY))


def test_the_secret_meets_only_numbers_that_the_sender_does_not_know(monkeypatch):
    seen = []
    honest = unseal_room._open_half
    monkeypatch.setattr(unseal_room, "_open_half", lambda c, *rest: seen.append(c) or honest(c, *rest))
    sealed = seal(masked(5), KEY)
    assert SECRET.open(sealed) == (5,)
    assert len(seen) == 2
    assert sealed.ciphertexts[0] not in seen


def test_secret_exponents_meet_only_constant_time_code(monkeypatch):
    honest = gmpy2.powmod
    exponents = []

    def watched(base, exponent, m):
        exponents.append(int(exponent))
        return honest(base, exponent, m)

    sealed = seal(masked(5, 6), KEY)
    monkeypatch.setattr(gmpy2, "powmod", watched)
    SECRET.open(sealed)
    SECRET.prove(context="x")
    assert set(exponents) <= {4, N}


# secrets stay where they are


def test_nothing_secret_is_printed_copied_or_pickled():
    sealed = seal(masked(987654321), KEY)
    shown = " ".join(map(repr, [SECRET, str(SECRET), f"{SECRET}", KEY, sealed, vars(type(SECRET)).get("public")]))
    for number in (P, Q, SECRET._phe.hp, 987654321):
        assert str(number) not in shown
        assert f"{number:x}" not in shown
    for leak in (copy.copy, copy.deepcopy, pickle.dumps):
        with pytest.raises(TypeError):
            leak(SECRET)


def test_the_public_room_cannot_reach_the_secret_one():
    import subprocess
    import sys

    probe = "import sys, privacy.seal; sys.exit('privacy.unseal' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", probe], check=False, cwd=Path(__file__).parents[1]).returncode == 0


def test_sealed_and_keys_are_frozen():
    sealed = seal(masked(1), KEY)
    with pytest.raises(FrozenInstanceError):
        sealed.ciphertexts = ()
    with pytest.raises(FrozenInstanceError):
        KEY.n = 5


def test_uniform_plaintexts_of_a_real_size_survive_three_parties():
    parts = [tuple(randbelow(N) for _ in range(4)) for _ in range(3)]
    sealed = fold([Sealed.from_wire(seal(masked(*part), KEY).to_wire(), KEY) for part in parts])
    assert SECRET.open(sealed) == tuple(sum(column) % N for column in zip(*parts, strict=True))
