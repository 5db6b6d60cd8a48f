"""A pledge's certificate is checked with the exchange's key alone, and even the exchange cannot certify what nobody signed."""

import base64
import copy
import json

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from api.printing.field_sheet_page import render
from exchange.hub import certificates, liens
from exchange.interop import movables
from exchange.protocol.agreement import Acceptance, Assignment, Level, Payment, Renewal, StepIn
from exchange.protocol.envelope import Envelope, sign
from exchange.protocol.errors import PeerFault, Unknown
from exchange.protocol.pledge import State
from exchange.protocol.pledge_certificate import verify
from privacy.errors import Malformed, Mismatch, PrivacyError
from tests.pledging import nonce
from tests.test_pledges import (  # noqa: F401  store is a fixture
    KEYS,
    active,
    filed,
    notice,
    opened,
    quote,
    realisation,
    register,
    say,
    seconds,
    stepped_in,
    store,
    title,
)


def issued(store, offer, reader="bank-a"):  # noqa: F811
    """The certificate as it is read from a file, and the exchange's key."""
    told = certificates.issue_pledge(store, offer, reader=reader)
    return json.loads(json.dumps(told.to_json())), bytes.fromhex(certificates.public_key(store))


@pytest.fixture(scope="module")
def lived(tmp_path_factory):
    """The store with a pledge that was assigned, warned, renewed under a newer registration, and paid down; it only is read."""
    kept = opened(tmp_path_factory.mktemp("lived") / "exchange")
    offer = active(kept)
    say(kept, "lender-x", notice(offer, Level.WARNING))
    told = say(kept, "lender-x", Assignment(offer=offer, title=title(kept), to="lender-y", nonce=nonce()))
    acceptance = Acceptance(offer=offer, title=title(kept), assignment=told["assigned"]["assignment"])
    say(kept, "lender-y", acceptance)
    register(kept, refreshed="2027-10-31")
    say(kept, "lender-y", Renewal(offer=offer, title=title(kept), expires="2029-06-30"), now=seconds("2027-12-01"))
    say(kept, "lender-y", Payment(offer=offer, amount=1_234, nonce=nonce()))
    yield kept, offer
    kept.close()


def test_a_certificate_proves_every_step_with_the_exchanges_key_alone(lived):
    kept, offer = lived
    document, key = issued(kept, offer)
    pledged = verify(document, exchange_key=key)
    made = pledged.agreement
    assert (made.holder, made.lender, made.state, made.rank) == ("lender-y", "lender-x", State.WARNING, 1)
    assert (made.claim, made.secured, made.expires) == (8_766, 10_000, "2029-06-30")
    (lien,) = kept.view().liens(made.asset)
    assert pledged.position == lien.seq
    assert pledged.title.refreshed == "2027-10-31"
    assert dict(made.endorsed).keys() == {"ann", "ben"}
    assert (pledged.told.head.seq, pledged.told.head.hash) == kept.book.head
    for record in pledged.told.entries:
        assert record.place.hash == kept.book.journal.hash_at(record.place.seq)


def test_a_realised_and_an_expired_pledge_are_certified_as_such(store):  # noqa: F811
    first, second = active(store), filed(store, "lender-y", rank=2)
    say(store, "lender-x", notice(first, Level.MARGIN_CALL))
    say(store, "lender-x", StepIn(offer=first, title=title(store), operator="bank-b", evidence="e" * 64))
    say(store, "lender-x", realisation(store, first, 12_345, 45, [("printer", 600)]))
    for offer in (first, second):
        pledged = verify(issued(store, offer)[0], exchange_key=issued(store, offer)[1])
        assert (pledged.agreement.state, sum(one.paid for one in pledged.paid)) == (State.REALISED, 12_345)
    third = filed(store, "lender-z")
    liens.expire(store, now=seconds("2028-01-01"))
    assert verify(issued(store, third)[0], exchange_key=issued(store, third)[1]).agreement.state is State.EXPIRED


def test_only_a_registered_pledge_is_certified_and_only_to_those_concerned(store):  # noqa: F811
    offer = quote(store)
    with pytest.raises(PeerFault, match="never registered"):
        issued(store, offer)
    with pytest.raises(Unknown):
        issued(store, filed(store, nonce=nonce(1)), reader="lender-y")


@pytest.mark.parametrize("number", range(40))
def test_no_bit_of_it_can_change(lived, number):
    document, key = issued(*lived)
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


def without(entries, kind):
    return [one for one in entries if one["body"].get("envelope", one["body"]).get("kind") != kind]


LIES = {
    "another state": lambda body: body | {"state": "released"},
    "another pledge": lambda body: body | {"offer": "0" * 64},
    "another owner's key": lambda body: body | {"keys": body["keys"] | {"bank-a": "0" * 64}},
    "an officer left out": lambda body: body | {"entries": without(body["entries"], "pledge-endorsement")},
    "no consent": lambda body: body | {"entries": without(body["entries"], "consent")},
    "no filing": lambda body: body | {"entries": without(body["entries"], "pledge-filing")},
    "an assignment that nobody accepted": lambda body: body | {"entries": without(body["entries"], "pledge-acceptance")},
    "steps in another order": lambda body: body | {"entries": [body["entries"][0], *body["entries"][:0:-1]]},
    "a step twice": lambda body: body | {"entries": [*body["entries"], body["entries"][-1]]},
    "a head before the steps": lambda body: body | {"head": body["head"] | {"seq": 1}},
    "another title": lambda body: body | {"title": body["title"] | {"signer": "bank-b"}},
    "an earlier place": lambda body: moved(body, seq=7),
    "another chain": lambda body: moved(body, previous="0" * 64),
    "another time": lambda body: moved(body, at=5),
    "nothing": lambda body: body | {"entries": []},
    "something more": lambda body: body | {"more": 1},
}  # fmt: skip


def moved(body, **place):
    first = body["entries"][0]
    return body | {"entries": [first | {"place": first["place"] | place}, *body["entries"][1:]]}


@pytest.mark.parametrize("lie", LIES)
def test_even_the_exchange_cannot_certify_what_the_parties_did_not_sign(lived, lie):
    """The exchange signs whatever it likes here; the parties' signatures and the table hold it to the truth."""
    kept, offer = lived
    document, key = issued(kept, offer)
    body = json.loads(document["body"])
    forged = sign("pledge-certificate", LIES[lie](body), signer="exchange", key=kept.signing).to_json()
    with pytest.raises(PrivacyError):
        verify(forged, exchange_key=key)


def test_another_exchanges_key_or_another_document_does_not_do(lived):
    kept, offer = lived
    document, key = issued(kept, offer)
    other = Ed25519PrivateKey.generate()
    with pytest.raises(Mismatch):
        verify(document, exchange_key=other.public_key().public_bytes_raw())
    forged = sign("pledge-certificate", json.loads(document["body"]), signer="exchange", key=other).to_json()
    with pytest.raises(Mismatch, match="another exchange"):
        verify(forged, exchange_key=other.public_key().public_bytes_raw())
    registration = certificates.issue(kept, "bank-a/accounts", reader="bank-b").to_json()
    with pytest.raises(Malformed):
        verify(registration, exchange_key=key)


def test_a_realisation_whose_sums_do_not_add_up_is_not_certified(store):  # noqa: F811
    """Entries are hashed with what was paid out, so that a wrong one must have been journaled so, which no verifier takes."""
    from exchange.protocol.certificate import Place, entry_hash

    offer = stepped_in(store)
    say(store, "lender-x", realisation(store, offer, 12_345))
    document, key = issued(store, offer)
    body = json.loads(document["body"])
    last = body["entries"][-1]
    for paid in ([], [{"as": "rank 1", "name": "x", "due": 1, "paid": 12_344}], [{}], "x", None):
        wrong = last["body"] | {"paid": paid}
        place = last["place"] | {"hash": entry_hash(Place(**last["place"]), last["kind"], wrong)}
        forged = body | {"entries": [*body["entries"][:-1], last | {"body": wrong, "place": place}]}
        with pytest.raises(Mismatch, match="paid out"):
            verify(sign("pledge-certificate", forged, signer="exchange", key=store.signing).to_json(), exchange_key=key)


# -- the field sheet ---------------------------------------------------------------------------------------------------


def test_the_field_sheet_is_made_from_what_the_certificate_proves(lived):
    kept, offer = lived
    document, key = issued(kept, offer)
    issue = Envelope.from_json(document).id
    sheet = movables.field_sheet(verify(document, exchange_key=key), certificate=issue)
    told = {field["en"]: field["value"] for field in sheet["fields"]}
    assert (told["Debtor"], told["Secured party"]) == ("BANK-A (bank-a)", "LENDER-Y (lender-y)")
    assert (told["Claim that is secured"], told["Secured at most"]) == ("87.66", "100.00")
    assert (told["Maturity of the claim"], told["Registration ends on"]) == ("2027-12-31", "2029-06-30")
    assert (told["Registered on"], told["Term in months"]) == ("2023-11-14", "68")
    assert told["Digest of the collateral's registration"] == title(kept)
    assert told["Certificate, by its digest"] == issue
    assert all(field["zh"] and field["en"] and isinstance(field["value"], str) for field in sheet["fields"])
    assert "not a filing" in sheet["notice"]


def test_the_page_shows_every_field_and_runs_nothing(lived):
    kept, offer = lived
    document, key = issued(kept, offer)
    sheet = movables.field_sheet(verify(document, exchange_key=key), certificate="0" * 64)
    sheet["fields"][1]["value"] = "<b>&BANK</b>"
    page = render(sheet)
    for field in [*sheet["fields"][2:], *sheet["to_fill_in"]]:
        assert field["zh"] in page
        assert field.get("value", "") in page
    assert "&lt;b&gt;&amp;BANK" in page
    assert "<script" not in page
    assert "http" not in page


def test_keys_of_all_who_signed_are_the_only_keys_told(lived):
    kept, offer = lived
    told = json.loads(issued(kept, offer)[0]["body"])
    assert set(told["keys"]) == {"bank-a", "lender-x", "lender-y", "ann", "ben"}
    assert all(bytes.fromhex(key) == KEYS[who].public_key().public_bytes_raw() for who, key in told["keys"].items())
