"""Pledges from quote to end: nothing happens that the table does not allow, one lien for an asset and rank, every cent found."""

import shutil
import tempfile
from collections import Counter
from contextlib import suppress
from datetime import UTC, date, datetime, timedelta
from hashlib import sha256
from itertools import count, pairwise
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from exchange.audit.record import Record
from exchange.audit.rules import RULES
from exchange.hub import catalog, liens
from exchange.hub.store import Store
from exchange.protocol.agreement import (
    STEPS,
    Acceptance,
    Assignment,
    Creditor,
    Drawdown,
    Endorsement,
    Filing,
    Leave,
    Level,
    Notice,
    PartialRelease,
    Payment,
    Realisation,
    Release,
    Renewal,
    Signature,
    StepIn,
)
from exchange.protocol.envelope import Envelope
from exchange.protocol.errors import Encumbered, Forbidden, PeerFault, Taken, Unknown
from exchange.protocol.messages import Consent, Objection, Publication, Registration
from exchange.protocol.pledge import CAUSES, LIVE, OVER, TABLE, Agreement, Event, State, print_table
from exchange.protocol.waterfall import Ranked, distribute
from exchange.standards import shipped
from privacy.errors import Malformed, PrivacyError
from tests import pledging
from tests.marked import mark
from tests.pledging import NOW, nonce

CREDIT = shipped("consumer_credit/1")
ASSET = "bank-a/accounts"
LENDERS = ("lender-x", "lender-y", "lender-z")
OFFICERS = ("ann", "ben", "cy")
DAY = 86_400
EVIDENCE = "e" * 64


def key_of(party):
    return Ed25519PrivateKey.from_private_bytes(sha256(party.encode()).digest())


KEYS = {party: key_of(party) for party in ("bank-a", "bank-b", *LENDERS, *OFFICERS, "overseer")}
DIRECTORY = {party: key.public_key().public_bytes_raw() for party, key in KEYS.items()}
TWO = {officer: KEYS[officer] for officer in ("ann", "ben")}


def opened(home, clock=None):
    ticks = count(NOW * 1_000_000, 1_000_000)
    store = Store.open(home, clock=clock or (lambda: next(ticks)))
    roles = {"bank-a": "institution", "bank-b": "institution", "overseer": "regulator"} | dict.fromkeys(
        LENDERS, "lender"
    )
    for party, role in roles.items():
        catalog.enrol(store, party=party, name=party.upper(), role=role, key=DIRECTORY[party])
    catalog.publish_standard(store, CREDIT)
    register(store)
    mark(store, ASSET, KEYS["bank-a"])
    pledging_to = {"lenders": list(LENDERS), "limit": 10**9, "until": "2049-12-31"}
    policy = {
        "owner": "bank-a", "dataset": "accounts", "standard": CREDIT.id, "version": 1, "everyone": 1, "partner": 1,
        "grants": [], "bounds": {}, "domains": {}, "pledging": pledging_to,
    }  # fmt: skip
    catalog.publish_policy(store, Publication(policy=policy).sealed_by("bank-a", KEYS["bank-a"]))
    for lender in LENDERS:
        pledging.name_officers(store, lender, key=KEYS[lender], officers={one: KEYS[one] for one in OFFICERS})
    return store


def register(store, **told):
    told = {"refreshed": "2026-10-31", "population": "people"} | told
    message = Registration(
        dataset="accounts", title="Accounts", standard=CREDIT.id, standard_digest=CREDIT.digest,
        columns=("balance", "person"), **told,
    )  # fmt: skip
    return catalog.register(store, message.sealed_by("bank-a", KEYS["bank-a"]))


@pytest.fixture
def store(tmp_path):
    made = opened(tmp_path / "exchange")
    yield made
    made.close()


def quote(store, lender="lender-x", **told):
    return pledging.quote(store, lender, key=KEYS[lender], **told)


def agreed(store, lender="lender-x", **told):
    offer = quote(store, lender, **told)
    pledging.agree(store, offer, lender, key=KEYS[lender], officers=TWO, owner_key=KEYS["bank-a"])
    return offer


def filed(store, lender="lender-x", expires="2027-12-31", **told):
    offer = agreed(store, lender, **told)
    pledging.file(store, offer, lender, key=KEYS[lender], expires=expires)
    return offer


def active(store, lender="lender-x", amount=10_000, **told):
    offer = filed(store, lender, **told)
    pledging.draw(store, offer, lender, key=KEYS[lender], amount=amount)
    return offer


def say(store, signer, message, now=NOW):
    return liens.step(store, message.offer, message.sealed_by(signer, KEYS[signer]), now=now)


def title(store):
    return pledging.title_of(store)


def notice(offer, level, number=0):
    cure_by = "2026-12-31" if level is Level.MARGIN_CALL else None
    return Notice(offer=offer, level=level, evidence=EVIDENCE, cure_by=cure_by, nonce=nonce(number))


def stepped_in(store, lender="lender-x", **told):
    offer = active(store, lender, **told)
    say(store, lender, notice(offer, Level.MARGIN_CALL))
    say(store, lender, StepIn(offer=offer, title=title(store), operator="bank-b", evidence=EVIDENCE))
    return offer


def realisation(store, offer, proceeds, costs=0, unregistered=(), successor="bank-a"):
    others = tuple(Creditor(name=name, amount=amount) for name, amount in unregistered)
    return Realisation(
        offer=offer, asset=ASSET, title=title(store), proceeds=proceeds, costs=costs, unregistered=others,
        successor=successor, evidence=EVIDENCE,
    )  # fmt: skip


def state(store, offer, caller="bank-a"):
    return liens.describe(store.view(), offer, caller=caller)["state"]


# -- the table ---------------------------------------------------------------------------------------------------------


def test_every_state_of_the_agreement_is_reached_and_every_event_has_a_cause():
    reached, frontier = {State.QUOTED}, [State.QUOTED]
    while frontier:
        origin = frontier.pop()
        for (before, _), after in TABLE.items():
            if before is origin and after not in reached:
                reached.add(after)
                frontier.append(after)
    assert reached == set(State)
    assert {event for _, event in TABLE} == set(Event) == set(CAUSES)
    assert {State.REALISED, State.RELEASED, State.EXPIRED, State.REFUSED} == OVER
    assert not OVER & set(LIVE)
    printed = print_table()
    assert all(event in printed for event in Event)


def example_messages():
    """One message of every kind, by the party that may say it, for a pledge whose quote is known."""
    offer, x = "0" * 64, "lender-x"
    return {
        Event.ENDORSED: ("ann", Endorsement(offer=offer, act="approve", because="")),
        Event.REFUSED_WITHIN: ("ann", Endorsement(offer=offer, act="refuse", because="too dear")),
        Event.SIGNED: (x, Signature(offer=offer, endorsements=("0" * 64, "1" * 64))),
        Event.OBJECTED: ("bank-a", Objection(offer=offer, reason="no")),
        Event.FILED: (x, Filing(offer=offer, title="0" * 64, expires="2030-01-01")),
        Event.DRAWN: (x, Drawdown(offer=offer, amount=1)),
        Event.WARNED: (x, notice(offer, Level.WARNING)),
        Event.CALLED: (x, notice(offer, Level.MARGIN_CALL)),
        Event.CURED: (x, notice(offer, Level.CURED)),
        Event.LIFTED: (x, notice(offer, Level.LIFTED)),
        Event.STEPPED_IN: (x, StepIn(offer=offer, title="0" * 64, operator="bank-b", evidence=EVIDENCE)),
        Event.REALISED: (x, Realisation(offer=offer, asset=ASSET, title="0" * 64, proceeds=1, costs=0, unregistered=(), successor="bank-a", evidence=EVIDENCE)),
        Event.RELEASED: (x, Release(offer=offer, title="0" * 64)),
        Event.PAID: (x, Payment(offer=offer, amount=1, nonce="0" * 64)),
        Event.LESSENED: (x, PartialRelease(offer=offer, title="0" * 64, amount=1, nonce="0" * 64)),
        Event.ASSIGNED: (x, Assignment(offer=offer, title="0" * 64, to="lender-y", nonce="0" * 64)),
        Event.RENEWED: (x, Renewal(offer=offer, title="0" * 64, expires="2031-01-01")),
        Event.LET_IN: (x, Leave(offer=offer, other="1" * 64)),
    }  # fmt: skip


@pytest.mark.parametrize("origin", State)
def test_a_step_that_the_table_does_not_allow_is_refused_by_name_and_changes_nothing(origin):
    made = Agreement(
        id="0" * 64, asset=ASSET, owner="bank-a", lender="lender-x", holder="lender-x", rank=1, matures="2027-12-31",
        forbids_juniors=False, secured=100, state=origin, claim=50, title="0" * 64, expires="2028-01-01",
        endorsed=(), signed=frozenset(),
    )  # fmt: skip
    for event, (signer, message) in example_messages().items():
        envelope = message.sealed_by(signer, KEYS[signer])
        stranger = message.sealed_by("lender-z", KEYS["lender-z"])
        if event not in (Event.ENDORSED, Event.REFUSED_WITHIN):
            with pytest.raises(Forbidden, match="that is for"):
                made.step(message, stranger)
        if event is Event.SIGNED and (origin, event) in TABLE:
            with pytest.raises(PeerFault, match="names other approvals"):
                made.step(message, envelope)
        elif (origin, event) in TABLE:
            assert made.step(message, envelope).state is TABLE[origin, event]
        else:
            with pytest.raises(PeerFault, match=f"the pledge is {origin}: {event} has no place now"):
                made.step(message, envelope)


def test_a_message_is_strict_and_names_what_is_wrong(store):
    offer = quote(store)
    for told in (
        {"offer": offer},
        {"offer": offer, "act": "approve", "because": "", "x": 1},
        {"offer": offer, "act": "refuse", "because": ""},
    ):
        from exchange.protocol.envelope import sign

        with pytest.raises(Malformed):
            liens.step(store, offer, sign("pledge-endorsement", told, signer="ann", key=KEYS["ann"]), now=NOW)
    with pytest.raises(ValueError, match="Value error"):
        Notice(offer=offer, level=Level.MARGIN_CALL, evidence=EVIDENCE, cure_by=None, nonce=nonce())


# -- from quote to lien ------------------------------------------------------------------------------------------------


def test_two_officers_approve_both_parties_sign_and_only_then_a_lien_is_filed(store):
    offer = quote(store)
    filing = Filing(offer=offer, title=title(store), expires="2027-12-31")
    head = store.book.head
    for signer, message, error in (
        ("lender-x", filing, PeerFault),
        ("lender-x", Signature(offer=offer, endorsements=("0" * 64, "1" * 64)), PeerFault),
        ("lender-x", Endorsement(offer=offer, act="approve", because=""), Forbidden),
        ("bank-a", Endorsement(offer=offer, act="approve", because=""), Forbidden),
        ("lender-y", Endorsement(offer=offer, act="approve", because=""), Unknown),
        ("bank-b", filing, Unknown),
    ):
        with pytest.raises(error):
            say(store, signer, message)
    assert store.book.head == head, "what is refused leaves no trace"
    say(store, "ann", Endorsement(offer=offer, act="approve", because=""))
    with pytest.raises(PeerFault, match="approved before"):
        say(store, "ann", Endorsement(offer=offer, act="approve", because="twice"))
    assert store.view().open_offers("bank-a") == []
    say(store, "ben", Endorsement(offer=offer, act="approve", because=""))
    told = liens.describe(store.view(), offer, caller="cy")
    assert (told["state"], told["approved_by"]) == ("approved", ["ann", "ben"])
    with pytest.raises(PeerFault, match="other approvals"):
        say(store, "lender-x", Signature(offer=offer, endorsements=("0" * 64, "1" * 64)))
    say(store, "lender-x", Signature(offer=offer, endorsements=tuple(told["endorsements"])))
    assert [one.id for one in store.view().open_offers("bank-a")] == [offer], "the owner's node is asked now"
    with pytest.raises(PeerFault, match="is approved: it is filed"):
        say(store, "lender-x", filing)
    liens.answer(store, offer, Consent(offer=offer).sealed_by("bank-a", KEYS["bank-a"]))
    assert (state(store, offer), store.view().liens(ASSET)) == ("signed", [])
    with pytest.raises(PeerFault, match="not the registration in force"):
        say(store, "lender-x", filing.model_copy(update={"title": "0" * 64}))
    with pytest.raises(PeerFault, match="would end before the loan"):
        say(store, "lender-x", filing.model_copy(update={"expires": "2027-12-30"}))
    told = say(store, "lender-x", filing)
    (lien,) = store.view().liens(ASSET)
    assert (lien.offer, lien.seq, lien.expires) == (offer, told["position"], "2027-12-31")
    assert liens.public(lien) | {"since": ""} == {
        "asset": ASSET, "rank": 1, "holder": "lender-x", "since": "", "position": store.book.head[0], "expires": "2027-12-31",
    }  # fmt: skip


def test_an_officer_refuses_an_owner_objects_and_it_ends_there(store):
    first, second = quote(store, nonce=nonce(1)), quote(store, nonce=nonce(2))
    say(store, "ann", Endorsement(offer=first, act="refuse", because="too dear"))
    with pytest.raises(PeerFault, match="is refused"):
        say(store, "ben", Endorsement(offer=first, act="approve", because=""))
    pledging.offered(store, second, "lender-x", key=KEYS["lender-x"], officers=TWO)
    objection = Objection(offer=second, reason="no").sealed_by("bank-a", KEYS["bank-a"])
    told = liens.answer(store, second, objection)
    assert told["state"] == "refused"
    head = store.book.head
    liens.answer(store, second, objection)
    assert store.book.head == head
    with pytest.raises(PeerFault):
        liens.answer(store, second, Consent(offer=second).sealed_by("bank-a", KEYS["bank-a"]))


def test_a_step_sent_again_changes_nothing(store):
    offer = stepped_in(store)
    say(store, "lender-x", realisation(store, offer, 5_000))
    head = store.book.head
    for envelope, *_ in store.view().steps(offer):
        if envelope.kind == "consent":
            liens.answer(store, offer, envelope)
        else:
            liens.step(store, offer, envelope, now=NOW)
    assert store.book.head == head


def test_only_those_concerned_and_supervisors_see_a_pledge(store):
    offer = filed(store)
    for caller in ("lender-x", "bank-a", "ann", "overseer"):
        assert state(store, offer, caller) == "registered"
    for caller in ("lender-y", "bank-b"):
        with pytest.raises(Unknown):
            liens.describe(store.view(), offer, caller=caller)
    for caller, seen in (("lender-x", 1), ("bank-a", 1), ("cy", 1), ("lender-y", 0), ("bank-b", 0)):
        assert len(liens.listed(store.view(), caller=caller, before=None, limit=9)) == seen


# -- prior liens -------------------------------------------------------------------------------------------------------


def test_an_offer_of_nothing_is_refused(store):
    before = store.book.head
    with pytest.raises(Malformed, match="0 yuan"):
        quote(store, amount=0)
    assert store.book.head[0] == before[0] + 1, "the appraisal alone"
    assert quote(store, amount=1)


def test_an_offer_of_nothing_that_is_on_record_stays_readable_and_verifiable(store):
    offer = pledging.quoted_of_nothing(store, "lender-x", key=KEYS["lender-x"])
    sent = store.view().offer(offer)["envelope"]
    assert liens.offer(store, sent) == offer, "what was taken before is not refused when it is sent again"
    assert state(store, offer) == State.QUOTED
    assert [one["id"] for one in liens.listed(store.view(), caller="lender-x", before=None, limit=9)] == [offer]
    pledging.agree(store, offer, "lender-x", key=KEYS["lender-x"], officers=TWO, owner_key=KEYS["bank-a"])
    pledging.file(store, offer, "lender-x", key=KEYS["lender-x"])
    with pytest.raises(PeerFault, match="more is paid out than the pledge secures"):
        pledging.draw(store, offer, "lender-x", key=KEYS["lender-x"], amount=1)
    say(store, "lender-x", Release(offer=offer, title=title(store)))
    record = Record()
    for entry in store.book.journal.entries():
        RULES[entry.kind](record, entry)
    assert not record.claims


def test_a_later_rank_needs_leave_where_the_first_agreement_forbids_it(store):
    first = filed(store, forbids_juniors=True)
    second = agreed(store, "lender-y", rank=2)
    with pytest.raises(Encumbered, match="at a later rank without its leave") as refused:
        pledging.file(store, second, "lender-y", key=KEYS["lender-y"])
    assert (refused.value.holder, refused.value.rank) == ("lender-x", 1)
    with pytest.raises(Unknown):
        say(store, "lender-y", Leave(offer=first, other=second))
    say(store, "lender-x", Leave(offer=first, other=second))
    pledging.file(store, second, "lender-y", key=KEYS["lender-y"])
    assert [lien.holder for lien in store.view().liens(ASSET)] == ["lender-x", "lender-y"]


def test_an_earlier_rank_that_fell_free_is_not_taken_over_the_head_of_who_came_before(store):
    first, second = filed(store), filed(store, "lender-y", rank=2)
    say(store, "lender-x", Release(offer=first, title=title(store)))
    third = agreed(store, "lender-z")
    with pytest.raises(Encumbered, match="ahead of it without its leave"):
        pledging.file(store, third, "lender-z", key=KEYS["lender-z"])
    say(store, "lender-y", Leave(offer=second, other=third))
    pledging.file(store, third, "lender-z", key=KEYS["lender-z"])
    assert [lien.holder for lien in store.view().liens(ASSET)] == ["lender-z", "lender-y"]


def test_only_the_first_rank_steps_in_and_a_realisation_ends_every_lien(store):
    first, second = active(store), active(store, "lender-y", rank=2, amount=8_000)
    for offer, lender in ((first, "lender-x"), (second, "lender-y")):
        say(store, lender, notice(offer, Level.MARGIN_CALL))
    step_in = StepIn(offer=second, title=title(store), operator="bank-b", evidence=EVIDENCE)
    with pytest.raises(Encumbered, match="at a later rank"):
        say(store, "lender-y", step_in)
    for operator, error in (("bank-a", PeerFault), ("ann", Unknown), ("nobody", Unknown)):
        with pytest.raises(error):
            say(store, "lender-x", step_in.model_copy(update={"offer": first, "operator": operator}))
    say(store, "lender-x", step_in.model_copy(update={"offer": first}))
    assert store.view().operator(ASSET)[0] == "bank-b"
    third = agreed(store, "lender-z", rank=3)
    with pytest.raises(PeerFault, match="went to bank-b"):
        pledging.file(store, third, "lender-z", key=KEYS["lender-z"])
    told = say(store, "lender-x", realisation(store, first, 17_000, 500, [("tax office", 4_000), ("printer", 2_000)]))
    paid = [(one["as"], one["name"], one["due"], one["paid"]) for one in told["steps"][-1]["paid"]]
    assert paid == [
        ("costs", "costs", 500, 500), ("rank 1", "lender-x", 10_000, 10_000), ("rank 2", "lender-y", 8_000, 6_500),
        ("unregistered", "tax office", 4_000, 0), ("unregistered", "printer", 2_000, 0), ("surplus", "bank-a", 0, 0),
    ]  # fmt: skip
    assert (state(store, first), state(store, second), store.view().liens(ASSET)) == ("realised", "realised", [])
    assert store.view().operator(ASSET) is None, "the owner has its entitlements again"


def test_the_successor_of_a_realisation_keeps_the_entitlements_and_no_pledge_goes_over_its_head(store):
    offer = stepped_in(store)
    say(store, "lender-x", realisation(store, offer, 1, successor="bank-b"))
    assert store.view().operator(ASSET)[0] == "bank-b"
    with pytest.raises(PeerFault, match="went to bank-b"):
        filed(store, "lender-y")


def test_a_dataset_under_a_live_lien_is_withdrawn_only_after_its_release(store):
    from exchange.protocol.messages import Withdrawal

    offer = stepped_in(store)
    withdrawal = Withdrawal(dataset="accounts", because="x").sealed_by("bank-a", KEYS["bank-a"])
    with pytest.raises(Encumbered, match="lender-x"):
        catalog.withdraw(store, withdrawal)
    say(store, "lender-x", Release(offer=offer, title=title(store)))
    assert store.view().operator(ASSET) is None
    catalog.withdraw(store, withdrawal)


# -- releases, assignments, terms --------------------------------------------------------------------------------------


def test_an_owner_releases_what_the_claim_does_not_need_and_the_lender_whatever_it_wants(store):
    offer = active(store, amount=4_000)  # of 10,000 secured
    part = PartialRelease(offer=offer, title=title(store), amount=6_001, nonce=nonce())
    with pytest.raises(PeerFault, match="less would be secured than is claimed"):
        say(store, "bank-a", part)
    assert say(store, "bank-a", part.model_copy(update={"amount": 6_000}))["secured"] == 4_000
    assert say(store, "lender-x", part.model_copy(update={"amount": 1_000}))["secured"] == 3_000
    with pytest.raises(PeerFault, match="nothing would be left"):
        say(store, "lender-x", part.model_copy(update={"amount": 3_000}))
    with pytest.raises(PeerFault, match="another title"):
        say(store, "lender-x", part.model_copy(update={"amount": 1, "title": "0" * 64}))
    assert say(store, "lender-x", Payment(offer=offer, amount=1_500, nonce=nonce()))["claim"] == 2_500
    with pytest.raises(PeerFault, match="more is paid than is claimed"):
        say(store, "lender-x", Payment(offer=offer, amount=2_501, nonce=nonce()))
    assert say(store, "lender-x", Release(offer=offer, title=title(store)))["state"] == "released"
    assert store.view().liens(ASSET) == []


def test_an_assignment_needs_both_lenders_and_keeps_rank_and_position(store):
    offer = active(store)
    (before,) = store.view().liens(ASSET)
    assignment = Assignment(offer=offer, title=title(store), to="lender-y", nonce=nonce())
    for to, error in (("bank-b", PeerFault), ("nobody", PeerFault), ("lender-x", PeerFault)):
        with pytest.raises(error):
            say(store, "lender-x", assignment.model_copy(update={"to": to}))
    told = say(store, "lender-x", assignment)
    assert told["lender"] == "lender-x", "one signature moves nothing"
    acceptance = Acceptance(offer=offer, title=title(store), assignment=told["assigned"]["assignment"])
    with pytest.raises(Unknown):
        say(store, "lender-z", acceptance)
    again = say(store, "lender-x", assignment.model_copy(update={"nonce": nonce(1)}))
    with pytest.raises(PeerFault, match="another assignment"):
        say(store, "lender-y", acceptance)
    told = say(store, "lender-y", acceptance.model_copy(update={"assignment": again["assigned"]["assignment"]}))
    (after,) = store.view().liens(ASSET)
    assert (told["lender"], after.holder) == ("lender-y", "lender-y")
    assert (after.rank, after.seq, after.since) == (before.rank, before.seq, before.since)
    with pytest.raises(Unknown):
        say(store, "lender-x", Release(offer=offer, title=title(store)))
    say(store, "lender-y", Payment(offer=offer, amount=1, nonce=nonce()))


def test_an_assignment_goes_only_to_lenders_whom_the_owners_policy_names(store):
    offer = active(store)
    policy = store.view().policy(ASSET).to_json() | {"version": 2}
    policy["pledging"] = policy["pledging"] | {"lenders": ["lender-x"]}
    catalog.publish_policy(store, Publication(policy=policy).sealed_by("bank-a", KEYS["bank-a"]))
    with pytest.raises(PeerFault, match="not agreed to pledge to this lender"):
        say(store, "lender-x", Assignment(offer=offer, title=title(store), to="lender-y", nonce=nonce()))


def seconds(day):
    return int(datetime.fromisoformat(f"{day}T12:00:00+00:00").timestamp())


def test_a_registration_is_renewed_in_its_last_90_days_and_ends_with_its_last_day(store):
    offer = active(store)
    (before,) = store.view().liens(ASSET)
    register(store, refreshed="2027-09-30")
    renewal = Renewal(offer=offer, title=title(store), expires="2029-12-31")
    with pytest.raises(PeerFault, match="within its last 90 days"):
        say(store, "lender-x", renewal, now=seconds("2027-10-01"))
    with pytest.raises(PeerFault, match="does not prolong"):
        say(store, "lender-x", renewal.model_copy(update={"expires": "2027-12-31"}), now=seconds("2027-10-02"))
    with pytest.raises(PeerFault, match="30 years"):
        say(store, "lender-x", renewal.model_copy(update={"expires": "2099-12-31"}), now=seconds("2027-10-02"))
    with pytest.raises(PeerFault, match="not the registration in force"):
        say(store, "lender-x", renewal.model_copy(update={"title": "0" * 64}), now=seconds("2027-10-02"))
    told = say(store, "lender-x", renewal, now=seconds("2027-10-02"))
    (after,) = store.view().liens(ASSET)
    assert (told["title"], after.expires, after.seq, after.rank) == (title(store), "2029-12-31", before.seq, 1)
    liens.expire(store, now=seconds("2029-12-31"))
    assert state(store, offer) == "active"
    with pytest.raises(Taken):
        filed(store, "lender-y", matures="2031-01-01", expires="2031-01-01")
    liens.expire(store, now=seconds("2030-01-01"))
    head = store.book.head
    liens.expire(store, now=seconds("2030-01-02"))
    assert (state(store, offer), store.view().liens(ASSET), store.book.head) == ("expired", [], head)
    mark(store, ASSET, KEYS["bank-a"])
    filed(store, "lender-y", matures="2031-01-01", expires="2031-01-01", nonce=nonce(7))


# -- who gets what -----------------------------------------------------------------------------------------------------

CENTS = st.integers(0, 10**13)


@settings(max_examples=200, deadline=None)
@given(
    proceeds=CENTS,
    costs=CENTS,
    ranks=st.lists(st.tuples(CENTS, CENTS), max_size=4),
    others=st.lists(st.integers(1, 10**13), max_size=4),
)
def test_what_is_paid_out_is_what_came_in_and_nobody_is_paid_before_his_rank(proceeds, costs, ranks, others):
    ranked = [Ranked(rank, f"l{rank}", secured, claim) for rank, (secured, claim) in enumerate(ranks, 1)]
    named = [(f"o{number}", due) for number, due in enumerate(others)]
    payouts = distribute(proceeds, costs=costs, liens=ranked[::-1], unregistered=named, pledgor="bank-a")
    assert sum(one.paid for one in payouts) == proceeds
    assert all(0 <= one.paid <= one.due for one in payouts)
    ladder = [one for one in payouts if one.role not in ("unregistered", "surplus")]
    assert [one.role for one in ladder] == ["costs", *(f"rank {one.rank}" for one in ranked)]
    for earlier, later in pairwise(ladder):
        assert later.paid == 0 or earlier.paid == earlier.due
    shared = [one for one in payouts if one.role == "unregistered"]
    due, paid = sum(one.due for one in shared), sum(one.paid for one in shared)
    assert all(abs(one.paid * due - one.due * paid) <= due for one in shared), "pro rata, to the cent"
    assert payouts[-1].paid == 0 or all(one.paid == one.due for one in payouts)
    owed = {one.holder: one.claim for one in ranked}
    for holder, claim in owed.items():
        assert sum(one.due for one in payouts if one.name == holder) == claim, "every cent of a claim stands somewhere"


# -- random histories --------------------------------------------------------------------------------------------------


MET = Counter()
"""How often each kind of step was taken in random histories."""


class Histories(RuleBasedStateMachine):
    """Several lenders, their officers and an owner say whatever they like; the journal is read again by other code."""

    def __init__(self):
        super().__init__()
        self.home = Path(tempfile.mkdtemp(prefix="pledges-"))
        self.numbers = count(1)
        self.now = NOW
        self.read = 0
        self.taken = []
        self.pledges = {}
        self.live = {}

    @initialize()
    def open(self):
        self.store = opened(self.home / "exchange", clock=lambda: self.now * 1_000_000 + next(self.numbers))
        # two live liens to begin with: chance alone rarely goes all the way from a quote to a loan that is paid out
        active(self.store, "lender-x")
        active(self.store, "lender-y", rank=2)
        self.follow()

    def attempt(self, act):
        """Somebody tries; a refusal must leave no trace."""
        head = self.store.book.head
        try:
            act()
        except PrivacyError:
            assert self.store.book.head == head

    def some(self, data, *, live=True):
        known = [one for one, held in self.pledges.items() if held["live"]] if live else []
        known = known or list(self.pledges)
        return data.draw(st.sampled_from(known)) if known else None

    def say(self, signer, message):
        self.attempt(lambda: say(self.store, signer, message, now=self.now))

    @rule(
        lender=st.sampled_from(LENDERS),
        rank=st.integers(1, 2),
        forbids=st.booleans(),
        far=st.integers(0, 4),
        data=st.data(),
    )
    def quote(self, lender, rank, forbids, far, data):
        maturity = (datetime.fromtimestamp(self.now, tz=UTC) + timedelta(days=data.draw(st.integers(200, 900)))).date()
        amount = data.draw(st.integers(1, 1_000))

        def act():
            offer = quote(
                self.store, lender, rank=rank, amount=amount, matures=maturity.isoformat(), forbids_juniors=forbids,
                nonce=nonce(next(self.numbers)),
            )  # fmt: skip
            told = {"key": KEYS[lender], "officers": TWO, "now": self.now}
            if far == 1:
                pledging.offered(self.store, offer, lender, **told)
            if far > 1:
                pledging.agree(self.store, offer, lender, owner_key=KEYS["bank-a"], **told)
            expires = maturity.isoformat()
            if far > 2:
                pledging.file(self.store, offer, lender, key=KEYS[lender], expires=expires, now=self.now)
            if far > 3:
                pledging.draw(self.store, offer, lender, key=KEYS[lender], amount=amount * 50, now=self.now)

        with suppress(Taken, Encumbered, PeerFault):
            act()

    @rule(
        data=st.data(),
        officer=st.sampled_from((*OFFICERS, "lender-x", "bank-a")),
        act=st.sampled_from(["approve"] * 4 + ["refuse"]),
    )
    def endorse(self, data, officer, act):
        if offer := self.some(data, live=False):
            self.say(officer, Endorsement(offer=offer, act=act, because="x" if act == "refuse" else ""))

    @rule(data=st.data())
    def sign(self, data):
        if offer := self.some(data, live=False):
            told = liens.describe(self.store.view(), offer, caller="bank-a")
            named = (*told["endorsements"], "0" * 64, "1" * 64)[:2]
            self.say(told["lender"], Signature(offer=offer, endorsements=named))

    @rule(data=st.data(), consents=st.booleans())
    def answer(self, data, consents):
        waiting = [one for one, held in self.pledges.items() if held["signed"] == 1 and not held["over"]]
        if offer := data.draw(st.sampled_from(waiting)) if waiting else self.some(data, live=False):
            said = Consent(offer=offer) if consents else Objection(offer=offer, reason="no")
            self.attempt(lambda: liens.answer(self.store, offer, said.sealed_by("bank-a", KEYS["bank-a"])))

    @rule(data=st.data(), longer=st.integers(0, 400))
    def file(self, data, longer):
        waiting = [one for one, held in self.pledges.items() if held["signed"] == 2 and not held["ever"]]
        if waiting:
            offer = data.draw(st.sampled_from(waiting))
            held = self.pledges[offer]
            expires = (date.fromisoformat(held["matures"]) + timedelta(days=longer)).isoformat()
            self.say(held["holder"], Filing(offer=offer, title=title(self.store), expires=expires))

    @rule(data=st.data(), amount=st.integers(1, 100_000))
    def draw(self, data, amount):
        if offer := self.some(data):
            self.say(self.pledges[offer]["holder"], Drawdown(offer=offer, amount=amount))

    @rule(data=st.data(), amount=st.integers(1, 50_000))
    def pay(self, data, amount):
        if offer := self.some(data):
            self.say(
                self.pledges[offer]["holder"], Payment(offer=offer, amount=amount, nonce=nonce(next(self.numbers)))
            )

    @rule(data=st.data(), amount=st.integers(1, 50_000), by_owner=st.booleans())
    def part(self, data, amount, by_owner):
        if offer := self.some(data):
            held = self.pledges[offer]
            message = PartialRelease(
                offer=offer, title=held["title"] or "0" * 64, amount=amount, nonce=nonce(next(self.numbers))
            )
            self.say("bank-a" if by_owner else held["holder"], message)

    @rule(data=st.data(), level=st.sampled_from(Level))
    def watch(self, data, level):
        if offer := self.some(data):
            self.say(self.pledges[offer]["holder"], notice(offer, level, next(self.numbers)))

    @rule(data=st.data(), operator=st.sampled_from(("bank-b", "lender-x", "bank-a")))
    def step_in(self, data, operator):
        if offer := self.some(data):
            held = self.pledges[offer]
            self.say(held["holder"], notice(offer, Level.MARGIN_CALL, next(self.numbers)))
            message = StepIn(offer=offer, title=held["title"] or "0" * 64, operator=operator, evidence=EVIDENCE)
            self.say(held["holder"], message)

    @rule(data=st.data(), proceeds=st.integers(0, 200_000), costs=st.integers(0, 9_000))
    def realise(self, data, proceeds, costs):
        if offer := self.some(data):
            message = realisation(self.store, offer, proceeds, costs, [("printer", 777)])
            message = message.model_copy(update={"title": self.pledges[offer]["title"] or "0" * 64})
            self.say(self.pledges[offer]["holder"], message)

    @rule(data=st.data())
    def release(self, data):
        if offer := self.some(data):
            held = self.pledges[offer]
            self.say(held["holder"], Release(offer=offer, title=held["title"] or "0" * 64))

    @rule(data=st.data(), to=st.sampled_from(LENDERS), accepts=st.booleans())
    def assign(self, data, to, accepts):
        if offer := self.some(data):
            held = self.pledges[offer]
            told = held["title"] or "0" * 64
            self.say(held["holder"], Assignment(offer=offer, title=told, to=to, nonce=nonce(next(self.numbers))))
            waiting = liens.describe(self.store.view(), offer, caller="bank-a")["assigned"]
            if accepts and waiting is not None:
                self.say(to, Acceptance(offer=offer, title=told, assignment=waiting["assignment"]))

    @rule(data=st.data(), longer=st.integers(-10, 400), late=st.booleans())
    def renew(self, data, longer, late):
        if offer := self.some(data):
            held = self.pledges[offer]
            if late:
                self.now = max(self.now, seconds(held["until"]) - 60 * DAY)
                self.attempt_expiry()
            expires = (date.fromisoformat(held["until"]) + timedelta(days=longer)).isoformat()
            self.say(held["holder"], Renewal(offer=offer, title=title(self.store), expires=expires))

    @rule(data=st.data())
    def let(self, data):
        if offer := self.some(data):
            other = self.some(data, live=False)
            self.say(self.pledges[offer]["holder"], Leave(offer=offer, other=other))

    @rule(data=st.data(), signer=st.sampled_from(("bank-a", "bank-b", *LENDERS, *OFFICERS)))
    def speak_out_of_turn(self, data, signer):
        if offer := self.some(data, live=False):
            _, message = data.draw(st.sampled_from([*example_messages().values()]))
            if signer != self.pledges[offer]["holder"]:
                self.say(signer, message.model_copy(update={"offer": offer}))

    @rule(data=st.data())
    def repeat(self, data):
        if self.taken:
            offer, envelope = data.draw(st.sampled_from(self.taken))
            head = self.store.book.head
            if envelope.kind in ("consent", "objection"):
                liens.answer(self.store, offer, envelope)
            elif envelope.signer in (self.pledges[offer]["holder"], "bank-a", *OFFICERS):
                liens.step(self.store, offer, envelope, now=self.now)
            assert self.store.book.head == head

    @rule(days=st.sampled_from([1, 7, 30, 400]))
    def wait(self, days):
        self.now += days * DAY
        self.attempt_expiry()

    def attempt_expiry(self):
        liens.expire(self.store, now=self.now)
        today = datetime.fromtimestamp(self.now, tz=UTC).date().isoformat()
        self.follow()
        assert all(held["over"] or held["until"] >= today for held in self.pledges.values())

    # -- the second reading of the journal, from its raw entries

    @invariant()
    def follow(self):
        for entry in self.store.book.journal.entries(after=self.read):
            self.read = entry.seq
            if entry.kind == "offer":
                self._quoted(entry)
            elif entry.kind in ("lien", "objected", "pledge", "lapsed"):
                self._moved(entry)
            assert all(held["claim"] >= 0 and held["secured"] > 0 for held in self.pledges.values())
        view = self.store.view()
        assert {(lien.asset, lien.rank): (lien.offer, lien.holder) for lien in view.liens(ASSET)} == {
            place: (offer, self.pledges[offer]["holder"]) for place, offer in self.live.items()
        }

    def _quoted(self, entry):
        envelope = Envelope.from_json(entry.body)
        told = envelope.verify(DIRECTORY)
        self.pledges[envelope.id] = {
            "holder": envelope.signer, "lender": envelope.signer, "rank": told["rank"], "matures": told["matures"],
            "until": told["matures"], "secured": told["amount"] * 100, "claim": 0, "approved": set(), "signed": 0,
            "called": False, "in": False, "ever": False, "live": False, "over": False, "title": None, "drawn": False,
            "to": None,
        }  # fmt: skip

    def _moved(self, entry):  # noqa: C901, PLR0912, PLR0915  one line for each kind of step, so that it is read beside the table
        if entry.kind == "lapsed":
            MET["lapsed"] += 1
            held = self._end(entry.body["offer"])
            assert held["until"] < datetime.fromtimestamp(self.now, tz=UTC).date().isoformat()
            return
        envelope = Envelope.from_json(entry.body.get("envelope", entry.body))
        told = envelope.verify(DIRECTORY)
        offer = entry.body.get("offer", told["offer"])
        held, signer, kind = self.pledges[offer], envelope.signer, envelope.kind
        assert not held["over"], "nothing follows the end"
        MET[kind] += 1
        if offer == told["offer"]:
            self.taken.append((offer, envelope))
        match kind:
            case "pledge-endorsement":
                assert signer in OFFICERS
                assert signer not in held["approved"]
                held["approved"].add(signer)
                if told["act"] == "refuse":
                    held["over"] = True
            case "pledge-signature" | "consent":
                assert len(held["approved"]) == 2
                assert signer == (held["lender"] if kind == "pledge-signature" else "bank-a")
                held["signed"] += 1
            case "objection":
                held["over"] = True
            case "pledge-filing":
                assert entry.kind == "lien"
                assert (held["signed"], signer, held["ever"]) == (2, held["holder"], False)
                place = (ASSET, held["rank"])
                assert place not in self.live, "two live liens at one position of the journal"
                self.live[place] = offer
                held |= {"live": True, "ever": True, "title": told["title"], "until": told["expires"]}
            case "pledge-drawdown":
                assert (held["live"], held["drawn"], signer) == (True, False, held["holder"])
                assert told["amount"] <= held["secured"]
                held |= {"drawn": True, "claim": told["amount"]}
            case "pledge-payment":
                assert held["drawn"]
                assert signer == held["holder"]
                held["claim"] -= told["amount"]
            case "pledge-partial-release":
                held["secured"] -= told["amount"]
                assert signer in (held["holder"], "bank-a")
                assert signer != "bank-a" or held["secured"] >= held["claim"]
            case "pledge-notice":
                assert held["drawn"]
                assert not held["in"]
                assert told["level"] != "cured" or held["called"]
                held["called"] = told["level"] == "margin_call"
            case "pledge-step-in":
                assert (held["called"], signer) == (True, held["holder"])
                assert held["rank"] == min(rank for _, rank in self.live)
                held["in"] = True
            case "pledge-realisation":
                self._realised(entry, offer, told)
            case "pledge-release":
                assert signer == held["holder"]
                self._end(offer)
            case "pledge-assignment":
                assert signer == held["holder"]
                held["to"] = (envelope.id, told["to"])
            case "pledge-acceptance":
                assert held["to"] == (told["assignment"], signer)
                held |= {"holder": signer, "to": None}
            case "pledge-renewal":
                today = datetime.fromtimestamp(self.now, tz=UTC).date()
                assert today >= date.fromisoformat(held["until"]) - timedelta(days=90)
                assert told["expires"] > held["until"]
                held |= {"until": told["expires"], "title": told["title"]}
            case "pledge-leave":
                assert held["live"]

    def _realised(self, entry, offer, told):
        assert self.pledges[told["offer"]]["in"], "no realisation without stepping in"
        paid = entry.body["paid"]
        assert sum(one["paid"] for one in paid) == told["proceeds"]
        held = self.pledges[offer]
        mine = [one for one in paid if one["as"] == f"rank {held['rank']}"]
        assert [one["due"] for one in mine] == [min(held["claim"], held["secured"])]
        self._end(offer)

    def _end(self, offer):
        held = self.pledges[offer]
        if held["live"]:
            assert self.live.pop((ASSET, held["rank"])) == offer
        held |= {"live": False, "over": True}
        return held

    def teardown(self):
        if not hasattr(self, "store"):
            shutil.rmtree(self.home)
            return
        tables = ("offer", "step", "lien", "entitlement", "officer")
        record = Record()
        for entry in self.store.book.journal.entries():
            RULES[entry.kind](record, entry)
        holders = {place: self.pledges[offer]["holder"] for place, offer in self.live.items()}
        assert record.claims == holders, "an auditor finds the same"
        before = {table: self.store.book.read(f"SELECT * FROM {table} ORDER BY ALL") for table in tables}
        states = {offer: state(self.store, offer) for offer in self.pledges}
        self.store.close()
        (self.home / "exchange" / "catalog.duckdb").unlink()
        again = Store.open(self.home / "exchange", clock=lambda: (self.now + 10**9) * 1_000_000)
        try:
            assert {table: again.book.read(f"SELECT * FROM {table} ORDER BY ALL") for table in tables} == before
            assert {offer: state(again, offer) for offer in self.pledges} == states
        finally:
            again.close()
            shutil.rmtree(self.home)


QUIET = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much]


def test_random_histories_keep_one_lien_every_cent_and_every_step():
    run_state_machine_as_test(
        Histories, settings=settings(max_examples=4, stateful_step_count=40, deadline=None, suppress_health_check=QUIET)
    )


@pytest.mark.long
def test_many_random_histories_meet_every_kind_of_step():
    wanted = settings(max_examples=60, stateful_step_count=60, deadline=None, suppress_health_check=QUIET)
    run_state_machine_as_test(Histories, settings=wanted)
    assert {*STEPS, "lapsed"} <= set(MET), MET
