"""Envelopes: what was signed is what is read, byte for byte; everything else is refused."""

import json
import runpy
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import json_values, mutations, wild

from exchange.protocol.envelope import Envelope, sign
from privacy import canonical
from privacy.errors import Malformed, Mismatch

HERE = Path(__file__).parent / "vectors"
VECTORS = json.loads((HERE / "envelope.json").read_text("utf-8"))
KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
OTHER = Ed25519PrivateKey.from_private_bytes(bytes(range(1, 33)))
DIRECTORY = {"bank-a": KEY.public_key().public_bytes_raw(), "bank-b": OTHER.public_key().public_bytes_raw()}
ENVELOPE = sign("commit", {"session": "5e" * 32, "n": [1, None, "\u6570"]}, signer="bank-a", key=KEY)


@given(st.text(st.characters(codec="utf-8"), max_size=8), json_values)
def test_what_is_signed_is_read(kind, body):
    envelope = Envelope.from_json(sign(kind, body, signer="bank-a", key=KEY).to_json())
    assert envelope.verify(DIRECTORY) == body
    assert envelope.body == canonical.encode(body)


@given(st.integers(0), st.integers(1, 255), st.sampled_from(["body", "signature"]))
def test_any_flipped_byte_is_refused(position, flip, field):
    data = bytearray(getattr(ENVELOPE, field))
    data[position % len(data)] ^= flip
    with pytest.raises(Mismatch):
        replace(ENVELOPE, **{field: bytes(data)}).verify(DIRECTORY)


@pytest.mark.parametrize(
    "change",
    [
        {"kind": "abort"},
        {"kind": "commit "},
        {"kind": ""},
        {"signer": "bank-b"},
        {"signer": "bank-c"},
        {"body": b""},
        {"body": ENVELOPE.body + b" "},
        {"signature": b""},
        {"signature": ENVELOPE.signature + b"\x00"},
        {"signature": bytes(64)},
    ],
    ids=str,
)
def test_another_kind_signer_body_or_signature_is_refused(change):
    with pytest.raises(Mismatch):
        replace(ENVELOPE, **change).verify(DIRECTORY)
    assert ENVELOPE.verify(DIRECTORY)["session"] == "5e" * 32


def test_a_signature_of_another_key_in_the_signers_name_is_refused():
    with pytest.raises(Mismatch):
        sign("commit", {}, signer="bank-a", key=OTHER).verify(DIRECTORY)


def test_the_second_signature_with_the_group_order_added_is_refused():
    # RFC 8032, 5.1.7: S must be below the order, else anyone can make a second envelope of one message
    order = 2**252 + 27742317777372353535851937790883648493
    scalar = int.from_bytes(ENVELOPE.signature[32:], "little") + order
    with pytest.raises(Mismatch):
        replace(ENVELOPE, signature=ENVELOPE.signature[:32] + scalar.to_bytes(32, "little")).verify(DIRECTORY)


@pytest.mark.parametrize("key", [b"", bytes(31), bytes(33), b"\xff" * 32], ids=len)
def test_pinned_keys_that_are_no_keys_verify_nothing(key):
    with pytest.raises(Mismatch):
        ENVELOPE.verify({"bank-a": key})


def test_a_signed_body_that_is_not_canonical_is_malformed():
    body = b'{"a": 1}'
    head = canonical.encode(["commit", "bank-a"])
    signature = KEY.sign(b"touchstone/envelope/1\x00" + len(head).to_bytes(4) + head + body)
    with pytest.raises(Malformed):
        Envelope("commit", "bank-a", body, signature).verify(DIRECTORY)


def test_kind_signer_and_body_cannot_be_shifted_into_each_other():
    names = {
        sign(kind, body, signer=signer, key=KEY).id
        for kind, signer, body in [
            ("a", "b", "c"),
            ("ab", "c", ""),
            ("a", "bc", ""),
            ("", "a", "bc"),
            ("a", "b", ["c"]),
        ]
    }
    assert len(names) == 5


@settings(max_examples=300)
@given(mutations(ENVELOPE.to_json()))
def test_a_changed_wire_form_is_malformed_or_does_not_verify(document):
    try:
        envelope = Envelope.from_json(document)
    except Malformed:
        return
    assert envelope.to_json() == document
    if document != ENVELOPE.to_json():
        with pytest.raises((Mismatch, Malformed)):
            envelope.verify(DIRECTORY)


@given(wild)
def test_nothing_else_is_an_envelope(document):
    with pytest.raises(Malformed):
        Envelope.from_json(document)


@pytest.mark.parametrize("field", ["kind", "signer", "body", "signature"])
@pytest.mark.parametrize("value", [None, 1, True, [], {}, ["commit"], b"x", "\ud800"], ids=repr)
def test_fields_are_text(field, value):
    wire = ENVELOPE.to_json()
    if field == "kind" and value == "\ud800":
        with pytest.raises(Malformed):
            Envelope.from_json({**wire, field: value}).verify(DIRECTORY)
        return
    with pytest.raises(Malformed):
        Envelope.from_json({**wire, field: value})


# -- vectors -----------------------------------------------------------------------------------------------------------

PINNED = {name: bytes.fromhex(key) for name, key in VECTORS["directory"].items()}


@pytest.mark.parametrize("vector", VECTORS["good"], ids=lambda vector: vector["name"])
def test_vectors(vector):
    envelope = Envelope.from_json(vector["wire"])
    assert envelope.verify(PINNED) == vector["body"]
    assert envelope.id == vector["id"]
    assert envelope.to_json() == vector["wire"]


@pytest.mark.parametrize("vector", VECTORS["bad"], ids=lambda vector: vector["name"])
def test_negative_vectors(vector):
    with pytest.raises((Malformed, Mismatch)):
        Envelope.from_json(vector["wire"]).verify(PINNED)


@pytest.mark.parametrize("name", ["packing.json", "masks.json", "envelope.json"])
def test_the_committed_vectors_are_what_the_generator_writes(name):
    generator = runpy.run_path(str(HERE / "__main__.py"))
    assert (HERE / name).read_text("utf-8") == generator["text"](name)
    assert set(generator["FILES"]) == {"packing.json", "masks.json", "envelope.json"}
