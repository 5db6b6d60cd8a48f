"""Masks cancel exactly in the sum of parties that agree on everything, and in no other; each is uniform by itself."""

import hashlib
import hmac
import itertools
import json
import re
from dataclasses import fields, replace
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from privacy.errors import Malformed
from privacy.masks import Context, Masked, Peer, mask, pair_mask, pair_secret
from privacy.packing import Layout, Packed

VECTORS = json.loads((Path(__file__).parent / "vectors" / "masks.json").read_text("utf-8"))
MODULUS = (1 << 3071) + (1 << 1500) + 12345
SMALL = 65_537
CONTEXT = Context(session="5e" * 32, plan_hash="b1" * 32, roster_hash="40" * 32, key_fingerprint="ce" * 32)
NAMES = ("bank-a", "bank-b", "insurer-c", "telecom-d", "tax-e", "data-f", "lender-g", "z-h", "a-i")


class Party:
    """A party that joined: its key and nonce derived from its name, so that every run sees the same."""

    def __init__(self, name):
        self.name = name
        self.secret = X25519PrivateKey.from_private_bytes(hashlib.sha256(f"secret {name}".encode()).digest())
        self.nonce = hashlib.sha256(f"nonce {name}".encode()).digest()

    @property
    def peer(self):
        return Peer(self.secret.public_key().public_bytes_raw(), self.nonce)


def packed(values):
    return Packed(tuple(values), Layout(cells=len(values), parties=2, magnitude=4, width=8, slots=1))


def masked_by(party, values, others, *, context=CONTEXT, modulus=SMALL):
    peers = {other.name: other.peer for other in others if other.name != party.name}
    return mask(
        packed(values),
        me=party.name,
        secret=party.secret,
        nonce=party.nonce,
        peers=peers,
        context=context,
        modulus=modulus,
    ).values


def independent_mask(shared, *, names, nonces, context, index, modulus):
    """The derivation written again from RFC 5869 and the text: HMAC by hand, candidates bit by bit."""
    pseudorandom = hmac.new(nonces[0] + nonces[1], shared, hashlib.sha256).digest()
    bits = len(bin(modulus)) - 2
    for attempt in itertools.count():
        info = (
            f'{{"index":{index},"key":"{context.key_fingerprint}","parties":["{names[0]}","{names[1]}"],'
            f'"plan":"{context.plan_hash}","roster":"{context.roster_hash}","session":"{context.session}",'
            f'"try":{attempt},"use":"touchstone/mask/1"}}'
        ).encode()
        stream, block = b"", b""
        for counter in range(1, 256):
            block = hmac.new(pseudorandom, block + info + bytes([counter]), hashlib.sha256).digest()
            stream += block
            if 8 * len(stream) >= bits:
                break
        candidate = int("".join(f"{byte:08b}" for byte in stream)[:bits], 2)
        if candidate < modulus:
            return candidate
    raise AssertionError


def independent_masked(party, values, others, *, context, modulus):
    result = list(values)
    for other in others:
        if other.name == party.name:
            continue
        shared = party.secret.exchange(other.secret.public_key())
        low, high = (party, other) if party.name < other.name else (other, party)
        for index in range(len(values)):
            drawn = independent_mask(
                shared,
                names=(low.name, high.name),
                nonces=(low.nonce, high.nonce),
                context=context,
                index=index,
                modulus=modulus,
            )
            result[index] += drawn if party is low else -drawn
    return tuple(value % modulus for value in result)


@pytest.mark.parametrize("count", range(2, 10))
def test_masks_cancel_over_the_whole_roster(count):
    roster = [Party(name) for name in NAMES[:count]]
    rows = [[(7 * i + 3 * j) % SMALL for j in range(3)] for i in range(count)]
    masked = [masked_by(party, row, roster) for party, row in zip(roster, rows, strict=True)]
    assert [sum(column) % SMALL for column in zip(*masked, strict=True)] == [
        sum(column) % SMALL for column in zip(*rows, strict=True)
    ]
    assert all(one != tuple(row) for one, row in zip(masked, rows, strict=True))


def test_masks_cancel_modulo_a_paillier_modulus():
    roster = [Party(name) for name in NAMES[:3]]
    masked = [masked_by(party, [index, MODULUS - 1], roster, modulus=MODULUS) for index, party in enumerate(roster)]
    assert [sum(column) % MODULUS for column in zip(*masked, strict=True)] == [3, MODULUS - 3]
    assert all(value.bit_length() > 3000 for row in masked for value in row)


@settings(max_examples=30)
@given(st.integers(2, 4), st.integers(2, 1 << 70), st.data())
def test_masks_cancel_and_agree_with_the_second_derivation(count, modulus, data):
    names = data.draw(
        st.lists(st.from_regex(r"[a-z][a-z0-9-]{0,9}", fullmatch=True), min_size=count, max_size=count, unique=True)
    )
    context = Context(*(data.draw(st.binary(min_size=32, max_size=32)).hex() for _ in range(4)))
    roster = [Party(name) for name in names]
    rows = [[data.draw(st.integers(0, modulus - 1)) for _ in range(2)] for _ in roster]
    masked = [
        masked_by(party, row, roster, context=context, modulus=modulus) for party, row in zip(roster, rows, strict=True)
    ]
    for party, row, found in zip(roster, rows, masked, strict=True):
        assert found == independent_masked(party, row, roster, context=context, modulus=modulus)
    assert [sum(column) % modulus for column in zip(*masked, strict=True)] == [
        sum(column) % modulus for column in zip(*rows, strict=True)
    ]


def test_any_proper_part_of_the_roster_keeps_its_mask():
    roster = [Party(name) for name in NAMES[:4]]
    masked = {party.name: masked_by(party, [0], roster, modulus=MODULUS)[0] for party in roster}
    for size in range(1, 4):
        for some in itertools.combinations(masked.values(), size):
            assert (sum(some) % MODULUS).bit_length() > 2900


A, B, C = (Party(name) for name in NAMES[:3])


@pytest.mark.parametrize("field", [field.name for field in fields(Context)])
def test_two_parties_told_different_things_do_not_cancel(field):
    other = replace(CONTEXT, **{field: "00" * 32})
    told_this = masked_by(A, [0, 0], [A, B], modulus=MODULUS)
    told_that = masked_by(B, [0, 0], [A, B], context=other, modulus=MODULUS)
    assert [
        (one + two) % MODULUS for one, two in zip(told_this, masked_by(B, [0, 0], [A, B], modulus=MODULUS), strict=True)
    ] == [0, 0]
    assert all(((one + two) % MODULUS).bit_length() > 2900 for one, two in zip(told_this, told_that, strict=True))


BASE = {
    "shared": bytes(range(32)),
    "first": ("bank-a", b"\x01" * 32),
    "second": ("bank-b", b"\x02" * 32),
    "context": CONTEXT,
    "index": 0,
    "modulus": MODULUS,
}
CHANGES = {
    **{f"context {field.name}": {"context": replace(CONTEXT, **{field.name: "00" * 32})} for field in fields(Context)},
    "secret": {"shared": bytes(32)},
    "first nonce": {"first": ("bank-a", b"\x03" * 32)},
    "second nonce": {"second": ("bank-b", b"\x03" * 32)},
    "nonces swapped": {"first": ("bank-a", b"\x02" * 32), "second": ("bank-b", b"\x01" * 32)},
    "first name": {"first": ("bank-aa", b"\x01" * 32)},
    "second name": {"second": ("bank-c", b"\x02" * 32)},
    "index": {"index": 1},
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
def test_everything_enters_the_mask(change):
    before, after = pair_mask(**BASE), pair_mask(**{**BASE, **change})
    assert before == pair_mask(**BASE)
    # two independent uniform numbers agree in half of their bits, give or take 28 (one deviation)
    assert 1200 < (before ^ after).bit_count() < 1900


def test_context_fields_cannot_be_shifted_into_each_other():
    swapped = Context(CONTEXT.plan_hash, CONTEXT.session, CONTEXT.roster_hash, CONTEXT.key_fingerprint)
    assert pair_mask(**BASE) != pair_mask(**{**BASE, "context": swapped})


def test_the_pair_order_does_not_depend_on_who_computes():
    one = masked_by(A, [0], [A, B], modulus=MODULUS)[0]
    two = masked_by(B, [0], [A, B], modulus=MODULUS)[0]
    drawn = pair_mask(
        pair_secret(A.secret, B.peer.public), first=("bank-a", A.nonce), second=("bank-b", B.nonce), context=CONTEXT, index=0, modulus=MODULUS
    )  # fmt: skip
    assert (one, two) == (drawn, MODULUS - drawn)


@pytest.mark.parametrize("modulus", [97, 129, 255, 256])
def test_masks_are_uniform_below_the_modulus(modulus):
    # deterministic: the inputs are fixed; 129 needs most of the retries that rejection sampling can need
    counts = [0] * modulus
    for index in range(40 * modulus):
        counts[pair_mask(**{**BASE, "index": index, "modulus": modulus})] += 1
    assert min(counts) > 0
    assert stats.chisquare(counts).pvalue > 1e-4


def test_one_masked_plaintext_is_uniform_whatever_it_hides():
    for hidden in (0, 5, 96):
        counts = [0] * 97
        for index in range(3_000):
            context = replace(CONTEXT, session=f"{index:064x}")
            counts[masked_by(A, [hidden], [A, B, C], context=context, modulus=97)[0]] += 1
        assert stats.chisquare(counts).pvalue > 1e-4


LOW_ORDER = {
    "zero": bytes(32),
    "one": bytes([1, *[0] * 31]),
    "order 8": bytes.fromhex("e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800"),
    "order 8, other": bytes.fromhex("5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157"),
    "p - 1": (2**255 - 20).to_bytes(32, "little"),
    "p": (2**255 - 19).to_bytes(32, "little"),
    "p + 1": (2**255 - 18).to_bytes(32, "little"),
    "zero with the unused bit": bytes([*[0] * 31, 0x80]),
    "one with the unused bit": bytes([1, *[0] * 30, 0x80]),
    "empty": b"",
    "31 bytes": b"\x09" * 31,
    "33 bytes": b"\x09" * 33,
}


@pytest.mark.parametrize("public", LOW_ORDER.values(), ids=LOW_ORDER.keys())
def test_shares_of_low_order_or_wrong_length_are_malformed(public):
    with pytest.raises(Malformed) as told:
        pair_secret(A.secret, public)
    assert re.search("[0-9a-f]{8}", str(told.value)) is None
    with pytest.raises(Malformed):
        mask(
            packed([1]),
            me=A.name,
            secret=A.secret,
            nonce=A.nonce,
            peers={"bank-b": B.peer, "bank-c": Peer(public, b"\x01" * 32)},
            context=CONTEXT,
            modulus=MODULUS,
        )


@pytest.mark.parametrize("value", [-1, SMALL, SMALL + 1])
def test_plaintexts_must_fit_the_modulus(value):
    with pytest.raises(Malformed):
        masked_by(A, [0, value], [A, B])


def test_nobody_is_its_own_peer():
    with pytest.raises(Malformed):
        mask(
            packed([1]),
            me=A.name,
            secret=A.secret,
            nonce=A.nonce,
            peers={A.name: A.peer, B.name: B.peer},
            context=CONTEXT,
            modulus=MODULUS,
        )


def test_a_roster_of_one_has_nothing_to_hide():
    assert masked_by(A, [5], [A]) == (5,)


def test_masked_values_are_not_shown():
    assert "424242" not in repr(Masked((424242,), MODULUS))


# -- vectors -----------------------------------------------------------------------------------------------------------


class VectorParty(Party):
    def __init__(self, told):
        self.name = told["name"]
        self.secret = X25519PrivateKey.from_private_bytes(bytes.fromhex(told["secret"]))
        self.nonce = bytes.fromhex(told["nonce"])


@pytest.mark.parametrize("vector", VECTORS["good"], ids=lambda vector: vector["name"])
def test_vectors_by_the_code_and_by_the_second_derivation(vector):
    roster = [VectorParty(told) for told in vector["parties"]]
    context, modulus = Context(**vector["context"]), int(vector["modulus"])
    sums = [0] * len(vector["parties"][0]["plaintexts"])
    for party, told in zip(roster, vector["parties"], strict=True):
        values = [int(value) for value in told["plaintexts"]]
        expected = tuple(int(value) for value in told["masked"])
        assert party.peer.public.hex() == told["share"]
        assert masked_by(party, values, roster, context=context, modulus=modulus) == expected
        assert independent_masked(party, values, roster, context=context, modulus=modulus) == expected
        sums = [(before + value) % modulus for before, value in zip(sums, expected, strict=True)]
    assert [str(value) for value in sums] == vector["sums"]


@pytest.mark.parametrize("vector", VECTORS["bad"], ids=lambda vector: vector["name"])
def test_negative_vectors(vector):
    with pytest.raises(Malformed):
        mask(
            packed([int(value) for value in vector["plaintexts"]]),
            me="bank-a",
            secret=A.secret,
            nonce=A.nonce,
            peers={
                peer["name"]: Peer(bytes.fromhex(peer["share"]), bytes.fromhex(peer["nonce"]))
                for peer in vector["peers"]
            },
            context=CONTEXT,
            modulus=int(vector["modulus"]),
        )
