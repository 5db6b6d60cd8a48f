"""Messages: strict both ways, whatever a signed stranger writes."""

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import any_message, json_values, mutations, wild

from exchange.protocol.access import Act, Standing
from exchange.protocol.envelope import Envelope, sign
from exchange.protocol.messages import (
    KINDS,
    Abort,
    Accept,
    AccessRequest,
    Commit,
    Consent,
    Decline,
    Indication,
    Kept,
    Offence,
    Offer,
    Officers,
    Preview,
    Refusal,
    Ruled,
    Ruling,
    Share,
    StepInTerms,
    Verdict,
    expect,
    read,
    unverified,
)
from privacy.errors import Malformed, Mismatch

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
DIRECTORY = {"bank-a": KEY.public_key().public_bytes_raw()}
HEX = "5e" * 32
ACCEPT = Accept(
    session=HEX, plan_hash=HEX, policy_digest=HEX, version="2026-06-30", nonce=HEX, share=HEX, price=5, left=10, min_group=20
)  # fmt: skip
DECLINE = Decline(
    session=HEX, reason="no", fix="-", offences=(Offence(item="a", layer="b", rule="c", why="d", fix="e"),)
)  # fmt: skip
SHARE = Share(session=HEX, roster_hash=HEX, ciphertexts=("a", "b"), charged=1, left=2, seq=3, head=HEX)
PREVIEW = Preview(plan={"rho": 1}, keeps=30, nonce=HEX, expires=5)
INDICATION = Indication(policy_digest=HEX, version="2026-06-30", price=5, left=10, cap="purpose", min_group=20)
INDICATED = Verdict(preview=HEX, plan_hash=HEX, outcome=INDICATION)
REFUSED = Verdict(preview=HEX, plan_hash=HEX, outcome=Refusal(reason="no", fix="-", offences=DECLINE.offences))
WANTED = AccessRequest(plan={"rho": 1}, why="to price a loan", standing=False, closes="2027-12-31", nonce=HEX)
OFFICERS = Officers(officers=("li", "wang"))
APPROVAL = Ruling(request=HEX, owner="bank-a", act=Act.APPROVE, until="2027-12-31", because="", nonce=HEX)
REFUSAL = Ruling(request=HEX, owner="bank-a", act=Act.REFUSE, until=None, because="no", nonce=HEX)
RULED = Ruled(
    request=HEX, ruling=HEX, counted=True, standing=Standing.APPROVED, step=1, until="2027-12-31", reason=""
)  # fmt: skip
ACCESS = [WANTED, OFFICERS, APPROVAL, REFUSAL, RULED]
TERMS = StepInTerms(purpose="pledge-valuation", reserve=5, operators=("bank-b",), exclusive=True)
KEPT = Kept(reserve=5, until="2026-12-31", seq=3, head=HEX)
SPARING = [
    (Share(**{**SHARE.model_dump(), "ciphertexts": ("a",)}, reserve=HEX), "reserve"),
    (Consent(offer=HEX, kept=KEPT), "kept"),
]
OFFER = Offer(asset="x", rank=1, amount=1, matures="2027-12-31", appraisal=HEX, nonce=HEX, forbids_juniors=False)


def signed(kind, body):
    return sign(kind, body, signer="bank-a", key=KEY)


@given(any_message | st.sampled_from([PREVIEW, INDICATED, REFUSED, *ACCESS]))
def test_messages_survive_the_wire(message):
    wire = message.sealed_by("bank-a", KEY).to_json()
    told = read(Envelope.from_json(wire), DIRECTORY)
    assert told == message
    assert type(told) is type(message) is KINDS[wire["kind"]]


@settings(max_examples=300)
@given(st.sampled_from([ACCEPT, DECLINE, SHARE, PREVIEW, INDICATED, REFUSED, OFFER, *ACCESS]), st.data())
def test_a_changed_body_is_another_message_or_malformed(message, data):
    document = data.draw(mutations(message.model_dump(mode="json")))
    try:
        envelope = signed(message.kind, document)
        told = read(envelope, DIRECTORY)
    except Malformed:
        return
    # whatever was accepted is written back as it came: nothing was coerced, dropped or filled in
    assert told.sealed_by("bank-a", KEY).body == envelope.body


@given(st.sampled_from(sorted(KINDS)), wild | json_values)
def test_any_signed_body_is_a_message_or_malformed(kind, body):
    with pytest.raises(Malformed):
        read(signed(kind, body), DIRECTORY)


@pytest.mark.parametrize(
    "message",
    [ACCEPT, DECLINE, SHARE, PREVIEW, INDICATED, REFUSED, OFFER, Commit(session=HEX, roster_hash=HEX), *ACCESS],
    ids=lambda m: m.kind,
)
def test_every_field_is_needed_and_no_other_is_taken(message):
    body = message.model_dump(mode="json")
    for field in body:
        with pytest.raises(Malformed, match=field):
            read(signed(message.kind, {key: value for key, value in body.items() if key != field}), DIRECTORY)
    with pytest.raises(Malformed):
        read(signed(message.kind, {**body, "exponent": 0}), DIRECTORY)


def test_what_says_nothing_is_left_out_and_never_written_as_nothing():
    terms = (Offer(**{**OFFER.model_dump(), "step_in": TERMS}), "step_in")
    for message, field in [*SPARING, terms]:
        body = message.model_dump(mode="json")
        without = {name: value for name, value in body.items() if name != field}
        said = read(signed(message.kind, without), DIRECTORY)
        assert said.model_dump(mode="json") == without
        assert getattr(said, field) is None
        with pytest.raises(Malformed):
            read(signed(message.kind, {**without, field: None}), DIRECTORY)
        assert read(signed(message.kind, body), DIRECTORY) == message


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("reserve", 0), ("reserve", 1 << 62), ("reserve", "5"), ("operators", []), ("operators", ["Bank B"]),
        ("operators", ["bank-b"] * 21), ("exclusive", 1), ("purpose", ""),
    ],
)  # fmt: skip
def test_terms_of_a_step_in_are_read_strictly(field, value):
    body = OFFER.model_dump(mode="json") | {"step_in": TERMS.model_dump(mode="json") | {field: value}}
    with pytest.raises(Malformed, match="step_in"):
        read(signed("offer", body), DIRECTORY)


BAD = {
    "session": ["", "5E" * 32, "5e" * 31, "5e" * 33, HEX + "\n", " " + HEX[1:], 5, None, [HEX], "\uff15e" * 32],
    "price": [-1, 1 << 62, "5", True, None, [], {}],
}
BAD_OFFER = {
    "rank": [0, 10, -1, "1", True, None],
    "amount": [-1, 1 << 62, "1", False],
    "matures": [
        "", "2027-1-1", "2027-02-29", "2026-13-01", "0000-01-01", "20271231", "2027-12-31T00:00", "2027-12-31\n",
        "\uff12\uff10\uff12\uff17-12-31", 20271231, None,
    ],
    "asset": ["", "a" * 401, 5, None],
}  # fmt: skip


@pytest.mark.parametrize(
    ("message", "field", "value"),
    [(ACCEPT, field, value) for field, values in BAD.items() for value in values]
    + [(OFFER, field, value) for field, values in BAD_OFFER.items() for value in values],
)
def test_fields_of_the_wrong_shape_are_named_and_not_repeated(message, field, value):
    with pytest.raises(Malformed) as told:
        read(signed(message.kind, {**message.model_dump(mode="json"), field: value}), DIRECTORY)
    assert field in told.value.reason
    if isinstance(value, str) and len(value) > 3:
        assert value not in told.value.reason


def test_names_of_unknown_fields_are_not_repeated():
    with pytest.raises(Malformed) as told:
        read(signed("commit", {"session": HEX, "roster_hash": HEX, "id 110101199003077777": 1}), DIRECTORY)
    assert "110101199003077777" not in str(told.value)


def test_ciphertexts_have_a_greatest_length():
    body = SHARE.model_dump(mode="json")
    assert isinstance(read(signed("share", {**body, "ciphertexts": ["a" * 4096]}), DIRECTORY), Share)
    with pytest.raises(Malformed):
        read(signed("share", {**body, "ciphertexts": ["a" * 4097]}), DIRECTORY)


@pytest.mark.parametrize("kind", ["", "accepts", "Accept", "__class__", "accept\n"])
def test_unknown_kinds_are_malformed(kind):
    with pytest.raises(Malformed):
        read(signed(kind, ACCEPT.model_dump(mode="json")), DIRECTORY)


def test_a_body_of_one_kind_is_no_message_of_another():
    with pytest.raises(Malformed):
        read(signed("abort", ACCEPT.model_dump(mode="json")), DIRECTORY)
    with pytest.raises(Malformed):
        expect(ACCEPT.sealed_by("bank-a", KEY), DIRECTORY, Abort)
    assert expect(ACCEPT.sealed_by("bank-a", KEY), DIRECTORY, Accept) == ACCEPT


@pytest.mark.parametrize(
    "outcome",
    [
        {},
        None,
        [],
        {**INDICATION.model_dump(), "reason": "no", "fix": "-", "offences": []},
        {**INDICATION.model_dump(), "price": "5"},
        {"reason": "no", "fix": "-"},
        {"reason": "no", "fix": "-", "offences": [{"item": "a"}]},
    ],
    ids=range(7),
)
def test_a_verdict_is_an_indication_or_a_refusal_and_nothing_between(outcome):
    with pytest.raises(Malformed, match="outcome"):
        read(signed("verdict", {**INDICATED.model_dump(mode="json"), "outcome": outcome}), DIRECTORY)


def test_a_verdict_is_no_accept_whatever_it_is_called():
    body = INDICATED.model_dump(mode="json")
    with pytest.raises(Malformed):
        read(signed("accept", body), DIRECTORY)
    with pytest.raises(Malformed):
        read(signed("accept", {**body, **INDICATION.model_dump(mode="json"), "session": HEX}), DIRECTORY)
    with pytest.raises(Malformed):
        read(signed("verdict", ACCEPT.model_dump(mode="json")), DIRECTORY)


def test_unsigned_messages_are_not_read():
    with pytest.raises(Mismatch):
        read(ACCEPT.sealed_by("bank-b", KEY), DIRECTORY)
    with pytest.raises(Mismatch):
        read(ACCEPT.sealed_by("bank-a", KEY), {"bank-a": bytes(32)})


@pytest.mark.parametrize(
    "changes",
    [
        {"until": None},
        {"act": "refuse"},
        {"act": "refuse", "until": None},
        {"act": "withdraw"},
        {"act": "bless"},
        {"because": "two\nlines"},
        {"until": "2027-02-30"},
    ],
)
def test_a_ruling_has_what_its_act_needs_and_nothing_else(changes):
    with pytest.raises(Malformed):
        read(signed("ruling", APPROVAL.model_dump(mode="json") | changes), DIRECTORY)


def test_an_unverified_message_is_read_as_strictly_as_any():
    told = WANTED.sealed_by("stranger", KEY)
    assert unverified(told, AccessRequest) == WANTED
    with pytest.raises(Mismatch):
        read(told, DIRECTORY)
    for envelope in (
        RULED.sealed_by("stranger", KEY),
        Envelope(told.kind, told.signer, told.body + b" ", told.signature),
        Envelope(told.kind, told.signer, told.body.replace(b"false", b"0"), told.signature),
    ):
        with pytest.raises(Malformed):
            unverified(envelope, AccessRequest)
