"""A certificate is checked with the exchange's key alone, and nothing in it can be exchanged for something else."""

import base64
import copy
import json

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import declarations
from test_catalog import deprecate, enrol, key_of, opened, register, store, withdraw  # noqa: F401  store is a fixture

from api.printing.certificate_page import render
from exchange.hub import catalog, certificates
from exchange.interop import dcat
from exchange.protocol.certificate import verify
from exchange.protocol.declaration import Declaration, Wording
from exchange.protocol.envelope import Envelope, sign
from exchange.protocol.errors import Unknown
from privacy import canonical
from privacy.errors import Malformed, Mismatch, PrivacyError


@pytest.fixture
def issued(store):  # noqa: F811
    register(store, declared=Declaration(title=Wording(zh="消费信贷"), level=3))
    for number in range(3):
        enrol(store, f"later-{number}")
    register(store, refreshed="2026-12-31", declared=Declaration(title=Wording(zh="消费信贷<b>"), level=3))
    told = certificates.issue(store, "bank-a/accounts", reader="bank-b")
    return json.loads(json.dumps(told.to_json())), bytes.fromhex(certificates.public_key(store))


def body_of(document):
    return json.loads(document["body"])


def signed_again(body, key):
    return sign("certificate", body, signer="exchange", key=key).to_json()


def test_a_certificate_verifies_with_the_exchanges_key_alone(issued, store):  # noqa: F811
    document, key = issued
    told, registration, standing = verify(document, exchange_key=key)
    assert (told.asset, registration.refreshed, standing) == ("bank-a/accounts", "2026-12-31", None)
    assert told.place.hash == store.book.journal.hash_at(told.place.seq)
    assert (told.head.seq, told.head.hash) == store.book.head
    deprecate(store)
    again = certificates.issue(store, "bank-a/accounts", reader="bank-b")
    assert verify(again.to_json(), exchange_key=key)[2].because == "stale"
    withdraw(store)
    last = certificates.issue(store, "bank-a/accounts", reader="bank-b")
    assert verify(last.to_json(), exchange_key=key)[2].kind == "withdrawal"
    with pytest.raises(Unknown):
        certificates.issue(store, "bank-a/none", reader="bank-b")


def test_another_exchanges_key_does_not_verify_it(issued):
    document, _ = issued
    other = Ed25519PrivateKey.generate()
    with pytest.raises(Mismatch):
        verify(document, exchange_key=other.public_key().public_bytes_raw())
    forged = signed_again(body_of(document), other)
    with pytest.raises(Mismatch, match="another exchange"):
        verify(forged, exchange_key=other.public_key().public_bytes_raw())


@pytest.mark.parametrize("number", range(100))
def test_no_bit_of_it_can_change(issued, number):
    document, key = issued
    bent = copy.deepcopy(document)
    if number % 2:
        place = number * 7919 % len(bent["body"])
        bent["body"] = bent["body"][:place] + chr(ord(bent["body"][place]) ^ 1) + bent["body"][place + 1 :]
    else:
        raw = bytearray(base64.urlsafe_b64decode(bent["signature"] + "=="))
        raw[number * 31 % 64] ^= 1
        bent["signature"] = base64.urlsafe_b64encode(raw).decode().rstrip("=")
    with pytest.raises(PrivacyError):
        verify(bent, exchange_key=key)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("asset",), "bank-a/other"),
        (("owner",), "bank-b"),
        (("owner_key",), "0" * 64),
        (("place", "seq"), 4),
        (("place", "at"), 5),
        (("place", "previous"), "0" * 64),
        (("place", "hash"), "0" * 64),
        (("head", "seq"), 1),
        (("registration", "signer"), "bank-b"),
        (("standing",), {}),
        (("secret",), 1),
    ],
)
def test_even_the_exchange_cannot_certify_what_the_owner_did_not_register(issued, store, path, value):  # noqa: F811
    """The exchange signs whatever it likes here; the owner's signature and the chain hold it to the truth."""
    document, key = issued
    body = body_of(document)
    inner = body
    for step in path[:-1]:
        inner = inner[step]
    inner[path[-1]] = value
    with pytest.raises(PrivacyError):
        verify(signed_again(body, store.signing), exchange_key=key)


def test_another_datasets_withdrawal_does_not_count(issued, store):  # noqa: F811
    document, key = issued
    from exchange.protocol.messages import Withdrawal

    body = body_of(document)
    body["standing"] = Withdrawal(dataset="other", because="x").sealed_by("bank-a", key_of("bank-a")).to_json()
    with pytest.raises(Mismatch):
        verify(signed_again(body, store.signing), exchange_key=key)


def test_the_page_shows_what_was_verified_and_runs_nothing(issued):
    document, key = issued
    page = render(*verify(document, exchange_key=key), text=json.dumps(document, ensure_ascii=False))
    assert "消费信贷&lt;b&gt;" in page
    assert "<script" not in page
    assert "http" not in page
    for part in ("bank-a/accounts", body_of(document)["place"]["hash"], document["signature"]):
        assert part in page


def test_the_exchange_keeps_its_key(tmp_path):
    first = opened(tmp_path / "e")
    key = certificates.public_key(first)
    first.close()
    again = opened(tmp_path / "e")
    assert certificates.public_key(again) == key
    again.close()
    assert (tmp_path / "e" / "signing.key").stat().st_mode & 0o777 == 0o600


# -- DCAT --------------------------------------------------------------------------------------------------------------


@settings(max_examples=200, deadline=None)
@given(declarations, st.sampled_from(["active", "deprecated", "withdrawn"]), st.none() | st.just("bank-b/next"))
def test_a_dataset_goes_out_as_dcat_and_comes_back_whole(declared, state, successor):
    record = {
        "asset": "bank-a/accounts", "owner": "bank-a", "standard": "consumer_credit/1", "title": "Accounts",
        "population": "people", "columns": ["balance", "person"], "refreshed": "2026-10-31", "level": declared.level,
        "declared": declared.model_dump(mode="json"), "registered": 7, "since": "2026-10-31T00:00:00Z", "state": state,
        "because": None if state == "active" else "stale", "successor": successor, "changed": 9,
    }  # fmt: skip
    document = json.loads(json.dumps(dcat.export_dataset(record)))
    assert dcat.import_dataset(document) == record
    assert canonical.encode(document), "it holds nothing but plain JSON"
    whole = json.loads(json.dumps(dcat.export_catalog([record])))
    assert dcat.import_catalog(whole) == [record]
    told = document["dcterms:title"][0]["@value"], document["adms:status"]["@id"].lower()
    assert told[0] == "Accounts"
    for name, field in (("dcterms:license", declared.licence), ("dcat:contactPoint", declared.steward)):
        assert document.get(name) == field


def test_what_contradicts_itself_or_is_foreign_is_refused(store):  # noqa: F811
    register(store, declared=Declaration(licence="none"))
    document = dcat.export_dataset(catalog.describe(store.view(), "bank-a/accounts", reader="bank-b"))
    for path, value in (
        (("dcterms:license",), "all"),
        (("dcterms:identifier",), "bank-b/accounts"),
        (("adms:status", "@id"), "adms:Lost"),
        (("ts:declared", "@value"), {"level": 9}),
        (("@context",), {}),
        (("ts:record",), None),
    ):
        bent = copy.deepcopy(document)
        inner = bent
        for step in path[:-1]:
            inner = inner[step]
        inner[path[-1]] = value
        with pytest.raises(Malformed):
            dcat.import_dataset(bent)
    for foreign in (None, [], {}, {"@type": "dcat:Catalog"}, 5):
        with pytest.raises(Malformed):
            dcat.import_catalog(foreign)
        with pytest.raises(Malformed):
            dcat.import_dataset(foreign)


def test_an_envelope_of_another_kind_is_no_certificate(issued, store):  # noqa: F811
    document, key = issued
    other = sign("registration", body_of(document), signer="exchange", key=store.signing).to_json()
    with pytest.raises(PrivacyError):
        verify(other, exchange_key=key)
    assert Envelope.from_json(document).kind == "certificate"
