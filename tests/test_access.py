"""Access: what an officer's ruling is worth, whatever else is sent; from the table of standings to commands over real processes."""

import json
import os
import subprocess
import sys
import tempfile
import time
from contextlib import closing
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from math import sqrt
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st

from api.demo import people, town
from exchange.analyst.access import Access
from exchange.analyst.consequence import consequence, statement
from exchange.analyst.desk import create as create_desk
from exchange.analyst.reading import parse, quality_plan
from exchange.hub import access, catalog
from exchange.hub.store import Store
from exchange.line import Line
from exchange.node.rulings import hear
from exchange.node.vault import Vault, create
from exchange.protocol.access import OVER, TABLE, Act, Case, Standing
from exchange.protocol.envelope import Envelope, sign
from exchange.protocol.errors import Forbidden, Overreach, PeerFault, Unknown
from exchange.protocol.messages import (
    AccessRequest,
    Officers,
    Publication,
    Registration,
    Ruled,
    Ruling,
    expect,
    read,
)
from exchange.standards import shipped
from privacy import canonical
from privacy.approval import Approval, Consent, Manner
from privacy.atoms import atoms
from privacy.errors import Malformed, Mismatch, Refused
from privacy.offences import Request
from privacy.plan import CountKnown
from privacy.sensitivity import calibrate
from privacy.terms import NANO
from tests.test_crash import Fragile
from tests.test_vault import OTHER, a_dataset, a_plan, a_policy

TODAY = date(2026, 11, 22)
SQL = "SELECT region, COUNT(*), AVG(balance) FROM consumer_credit GROUP BY region"
BANKS = ("bank-a", "bank-b", "bank-c")
KEYS = {
    name: Ed25519PrivateKey.from_private_bytes(bytes([number]) * 32)
    for number, name in enumerate(
        ("bank-a", "bank-b", "bank-c", "lender-x", "lender-y", "li", "wang", "zhao", "chen", "stranger"), start=1
    )
}
OWN = ("li", "wang", "zhao")


def public(name):
    return KEYS[name].public_key().public_bytes_raw()


def a_request(plan, *, asker="lender-x", standing=False, closes=TODAY + timedelta(days=30), why="to price a loan", n=0):
    message = AccessRequest(
        plan=plan.to_json(), why=why, standing=standing, closes=closes.isoformat(), nonce=f"{n:064x}"
    )
    return message.sealed_by(asker, KEYS[asker])


def a_ruling(
    request, officer="li", act=Act.APPROVE, *, until=TODAY + timedelta(days=10), owner="bank-a", n=0, key=None
):
    message = Ruling(
        request=request.id,
        owner=owner,
        act=act,
        until=until.isoformat() if act is Act.APPROVE else None,
        because="" if act is Act.APPROVE else "it was asked too often",
        nonce=f"{n:064x}",
    )
    return message.sealed_by(officer, key or KEYS[officer])


# -- the table of standings --------------------------------------------------------------------------------------------


def test_the_table_leads_from_every_standing_that_is_not_over_and_to_every_one():
    assert {origin for origin, _ in TABLE} | OVER == set(Standing)
    assert {target for _, target in TABLE.items()} | {Standing.WAITING} >= set(Standing)
    assert {target for (origin, _), target in TABLE.items()} == set(Standing) - {Standing.WAITING}
    assert {Standing.REFUSED, Standing.WITHDRAWN, Standing.LAPSED, Standing.EXPIRED} == OVER


def test_an_approval_by_two_lasts_as_long_as_the_shorter_one():
    case = Case(TODAY)
    first = case.rule(Act.APPROVE, officer="li", until=TODAY + timedelta(days=9), persons=2, day=TODAY)
    assert (first.standing, first.until) == (Standing.HALF, None)
    both = first.rule(Act.APPROVE, officer="wang", until=TODAY + timedelta(days=4), persons=2, day=TODAY)
    assert (both.standing, both.until) == (Standing.APPROVED, TODAY + timedelta(days=4))
    assert both.on(TODAY + timedelta(days=4)).standing is Standing.APPROVED
    assert both.on(TODAY + timedelta(days=5)).standing is Standing.EXPIRED
    assert first.on(TODAY + timedelta(days=1)).standing is Standing.LAPSED


def approved_by(consent, *, version=1, **caps):
    policy = a_policy(version=version, **caps)
    return replace(policy, grants=tuple(replace(grant, consent=consent) for grant in policy.grants))


# -- a node and its officers -------------------------------------------------------------------------------------------


class Node:
    """One real node on disk, its pins, and how its grants are approved; days pass when told."""

    def __init__(self, home, consent):
        create(home, party="bank-a")
        self.home = home
        self.day = TODAY
        self.vault = Vault.open(home, clock=lambda: 1_795_000_000_000_000)
        self.key = self.vault.signing.public_key().public_bytes_raw()
        for party, role in (("bank-b", "institution"), ("bank-c", "institution"), ("lender-x", "lender")):
            self.vault.pin(party, public(party), role=role)
        for officer in OWN:
            self.vault.pin(officer, public(officer), role="officer")
        self.version = 0
        self.demand(consent)

    def demand(self, consent):
        """Put a policy in force whose grants are approved in this manner."""
        self.version += 1
        self.vault.keep(a_dataset(), approved_by(consent, version=self.version))

    def restart(self):
        self.vault.close()
        self.vault = Vault.open(self.home, clock=lambda: 1_795_000_000_000_000)

    def hear(self, request, ruling):
        told = hear(self.vault, request=request, ruling=ruling, day=self.day)
        word = expect(told, {"bank-a": self.key}, Ruled)
        assert (word.request, word.ruling) == (request.id, ruling.id)
        return word

    @property
    def approvals(self):
        return self.vault.approvals(self.day)


ONE = Consent(Manner.STANDING, persons=1, days=30)
TWO = Consent(Manner.STANDING, persons=2, days=30)


@pytest.fixture
def node(tmp_path):
    made = Node(tmp_path / "node", ONE)
    yield made
    made.vault.close()


def test_an_approval_is_in_force_to_its_last_day_and_covers_what_was_asked(node):
    plan, other = a_plan(), a_plan(rho=99)
    request = a_request(plan)
    word = node.hear(request, a_ruling(request))
    assert (word.counted, word.standing, word.step, word.until) == (True, Standing.APPROVED, 1, "2026-12-02")
    until = TODAY + timedelta(days=10)
    needed = frozenset(map(str, atoms(plan)))
    only = Approval("lender-x", plan.purpose, plan.hash, needed, plan.rho, until, frozenset({"li"}))
    assert node.approvals == node.vault.approvals(TODAY, asker="lender-x") == [only]
    assert node.vault.approvals(TODAY, asker="bank-b") == []
    asked = {"asker": "lender-x", "purpose": plan.purpose, "atoms": needed}
    assert only.covers(**asked, plan_hash=plan.hash, rho=plan.rho, on=until)
    assert not only.covers(**asked, plan_hash=other.hash, rho=other.rho, on=until)
    node.day = until
    assert node.approvals == [only]
    node.day = until + timedelta(days=1)
    assert node.approvals == []
    node.day = TODAY
    node.restart()
    assert node.approvals == [only]
    standing = a_request(other, standing=True)
    node.hear(standing, a_ruling(standing, "wang"))
    (lasting,) = (one for one in node.approvals if one.plan_hash is None)
    assert lasting.covers(**asked, plan_hash="any", rho=99, on=TODAY)
    assert not lasting.covers(**asked, plan_hash="any", rho=100, on=TODAY)


def test_two_different_officers_must_approve_where_the_grant_says_so(node):
    node.demand(TWO)
    request = a_request(a_plan())
    first = node.hear(request, a_ruling(request, "li"))
    assert (first.standing, first.until) == (Standing.HALF, None)
    assert node.approvals == []
    twice = node.hear(request, a_ruling(request, "li", n=1))
    assert (twice.counted, twice.reason) == (False, "this officer has approved before")
    changed = node.hear(request, a_ruling(request, "li", Act.REFUSE))
    assert (changed.counted, changed.reason) == (False, "this officer has approved before")
    node.restart()
    second = node.hear(request, a_ruling(request, "wang"))
    assert (second.standing, second.step) == (Standing.APPROVED, 2)
    assert [one.persons for one in node.approvals] == [{"li", "wang"}]


def test_an_approval_ends_with_a_withdrawal_a_dismissal_or_a_stricter_policy(node):
    requests = [a_request(a_plan(), n=n) for n in range(2)]
    for request in requests:
        node.hear(request, a_ruling(request, "li"))
    assert len(node.approvals) == 2
    back = node.hear(requests[0], a_ruling(requests[0], "wang", Act.WITHDRAW))
    assert (back.standing, back.until, back.reason) == (Standing.WITHDRAWN, None, "it was asked too often")
    assert len(node.approvals) == 1
    for consent in (TWO, Consent(Manner.ONCE, persons=1, days=30)):
        node.demand(consent)
        assert len(node.approvals) == (0 if consent is TWO else 1)
    node.demand(Consent(Manner.STANDING, persons=1, days=3))
    node.day = TODAY + timedelta(days=4)
    assert node.approvals == [], "the grant lets no approval last so long any more"
    node.demand(ONE)
    node.vault.dismiss("li")
    assert node.approvals == []
    again = node.hear(requests[1], a_ruling(requests[1], "li", Act.WITHDRAW))
    assert (again.counted, again.reason) == (False, "the signer is not among the pinned parties")
    with pytest.raises(Unknown, match="officer"):
        node.vault.dismiss("lender-x")


def test_a_standing_request_needs_a_grant_that_is_approved_so(node):
    node.demand(Consent(Manner.ONCE, persons=1, days=30))
    lasting, once = a_request(a_plan(), standing=True), a_request(a_plan())
    assert node.hear(lasting, a_ruling(lasting)).reason == "the grant is approved request by request"
    assert node.hear(once, a_ruling(once)).counted
    node.demand(Consent())
    other = a_request(a_plan(rho=3))
    assert node.hear(other, a_ruling(other)).reason == "the grant asks for no approval"
    assert node.approvals == [], "what needs no approval has none"


def test_a_ruling_again_gets_the_same_word_and_changes_nothing(node):
    request = a_request(a_plan())
    approved, withdrawn = a_ruling(request), a_ruling(request, "wang", Act.WITHDRAW)
    first = hear(node.vault, request=request, ruling=approved, day=TODAY)
    hear(node.vault, request=request, ruling=withdrawn, day=TODAY)
    head = node.vault.book.head
    node.restart()
    for day in (TODAY, TODAY + timedelta(days=400)):
        assert hear(node.vault, request=request, ruling=approved, day=day) == first
    assert node.vault.book.head == head
    assert node.approvals == [], "an approval that was taken back does not come back by replay"
    fresh = node.hear(request, a_ruling(request, n=7))
    assert (fresh.counted, fresh.reason) == (False, "the request is withdrawn")


UNHEARD = {
    "forged": (lambda r: (r, a_ruling(r, key=KEYS["stranger"])), "the signature does not belong to this message"),
    "by a stranger": (lambda r: (r, a_ruling(r, "stranger")), "the signer is not among the pinned parties"),
    "by another institution": (lambda r: (r, a_ruling(r, "bank-b")), "the signer is not among the pinned parties"),
    "by the asker": (lambda r: (r, a_ruling(r, "lender-x")), "the signer is not among the pinned parties"),
    "altered": (
        lambda r: (r, altered(a_ruling(r), until="2026-12-20")),
        "the signature does not belong to this message",
    ),
    "about another request": (lambda r: (a_request(a_plan(), n=5), a_ruling(r)), "the ruling is about another request"),
    "request altered": (
        lambda r: (altered(r, standing=True), a_ruling(altered(r, standing=True))),
        "the signature does not belong to this message",
    ),
    "request of a stranger": (
        lambda r: ((asked := a_request(a_plan(), asker="lender-y")), a_ruling(asked)),
        "the signer is not among the pinned parties",
    ),
    "request of an officer": (
        lambda r: ((asked := a_request(a_plan(), asker="li")), a_ruling(asked, "wang")),
        "the signer is not among the pinned parties",
    ),
    "plan of others": (
        lambda r: ((asked := a_request(a_plan(parties=("bank-b", "bank-c")))), a_ruling(asked)),
        "the plan does not name this institution",
    ),
}
UNCOUNTED = {
    "for another institution": (lambda r: (r, a_ruling(r, owner="bank-b")), "the ruling is for another institution"),
    "too long": (
        lambda r: (r, a_ruling(r, until=TODAY + timedelta(days=31))),
        "the grant lets an approval last 30 days",
    ),
    "run out": (lambda r: (r, a_ruling(r, until=TODAY - timedelta(days=1))), "the approval's last day has passed"),
    "late": (
        lambda r: ((asked := a_request(a_plan(), closes=TODAY - timedelta(days=1))), a_ruling(asked)),
        "the request is lapsed",
    ),
    "nothing to withdraw": (
        lambda r: (r, a_ruling(r, act=Act.WITHDRAW)),
        "the request is waiting: an officer takes the approval back has no place now",
    ),
    "no such purpose": (
        lambda r: ((asked := a_request(a_plan(purpose="marketing"))), a_ruling(asked)),
        "the request exceeds what its purpose needs: purpose",
    ),
    "beyond the grant": (
        lambda r: ((asked := a_request(a_plan(measures=(CountKnown("region"),)))), a_ruling(asked)),
        "the request exceeds what its purpose needs: region as count",
    ),
    "no dataset": (
        lambda r: ((asked := a_request(replace(a_plan(), standard="other/1"))), a_ruling(asked)),
        "no such dataset",
    ),
}


def altered(envelope, **changes):
    """What somebody else than the signer made of a message."""
    body = canonical.encode({**json.loads(envelope.body), **changes})
    return Envelope(envelope.kind, envelope.signer, body, envelope.signature)


@pytest.mark.parametrize("kind", UNHEARD)
def test_what_no_officer_or_no_asker_signed_leaves_no_trace(node, kind):
    make, reason = UNHEARD[kind]
    request, ruling = make(a_request(a_plan()))
    head = node.vault.book.head
    word = node.hear(request, ruling)
    assert (word.counted, word.reason) == (False, reason)
    assert (node.vault.book.head, node.approvals) == (head, [])


@pytest.mark.parametrize("kind", UNCOUNTED)
def test_a_ruling_that_has_no_place_counts_for_nothing_and_is_on_record(node, kind):
    make, reason = UNCOUNTED[kind]
    request, ruling = make(a_request(a_plan()))
    seq, _ = node.vault.book.head
    word = node.hear(request, ruling)
    assert (word.counted, word.reason, word.step) == (False, reason, 0)
    assert (node.vault.book.head[0], node.approvals) == (seq + 1, [])


def test_officers_neither_ask_nor_share_a_key(node):
    assert set(node.vault.directory()) == {"bank-b", "bank-c", "lender-x"}
    assert node.vault.officers() == {officer: public(officer) for officer in OWN}
    with pytest.raises(PeerFault, match="this key is pinned for another party"):
        node.vault.pin("li-again", public("li"), role="officer")
    with pytest.raises(PeerFault, match="other facts"):
        node.vault.pin("li", public("li"), role="lender")
    with pytest.raises(Malformed, match="no such role"):
        node.vault.pin("chen", public("chen"), role="boss")


class Oracle:
    """A second opinion, kept as plain sets: who approved until when, and whether anything ended it."""

    def __init__(self, consent, closes):
        self.consent, self.closes = consent, closes
        self.live: dict[str, date] = {}
        self.pinned = set(OWN)
        self.touched = self.full = self.over = False

    def counts(self, officer, act, until, day):
        """Whether a ruling of a pinned officer should count; if so, it does."""
        if self.full:
            self.over = self.over or len([end for end in self.live.values() if end >= day]) < self.consent.persons
        else:
            self.over = self.over or day > self.closes
            self.live = {who: end for who, end in self.live.items() if end >= day and who in self.pinned}
        if self.over or officer not in self.pinned:
            return False
        if act is Act.WITHDRAW:
            self.over = self.touched
            return self.touched
        if self.full or officer in self.live:
            return False
        if act is Act.REFUSE:
            self.over = True
            return True
        if not day <= until <= day + timedelta(days=self.consent.days):
            return False
        self.live[officer] = until
        self.touched = True
        self.full = len(self.live) >= self.consent.persons
        return True

    def in_force(self, day):
        held = [who for who, end in self.live.items() if end >= day and who in self.pinned]
        return self.full and not self.over and len(held) >= self.consent.persons


RULINGS = st.tuples(
    st.sampled_from(OWN), st.sampled_from([Act.APPROVE, Act.APPROVE, Act.REFUSE, Act.WITHDRAW]), st.integers(-2, 9)
)
STEPS = st.one_of(
    RULINGS.map(lambda told: ("rule", *told)),
    RULINGS.map(lambda told: ("rule", *told)),
    st.tuples(st.just("wait"), st.integers(1, 6)),
    st.tuples(st.just("replay"), st.integers(0, 20)),
    st.tuples(st.just("forge"), st.sampled_from(OWN)),
    st.just(("restart",)),
    st.just(("dismiss", "zhao")),
)


@settings(max_examples=25, deadline=None)
@given(persons=st.integers(1, 2), days=st.integers(1, 7), closes=st.integers(0, 12), steps=st.lists(STEPS, max_size=14))
def test_whatever_is_sent_an_approval_is_in_force_iff_enough_officers_stand_by_it(persons, days, closes, steps):
    consent = Consent(Manner.STANDING, persons=persons, days=days)
    last = TODAY + timedelta(days=closes)
    with tempfile.TemporaryDirectory() as home:
        node, oracle = Node(Path(home) / "node", consent), Oracle(consent, last)
        request = a_request(a_plan(), closes=last)
        sent = []
        for n, step in enumerate(steps):
            match step:
                case ("rule", officer, act, lasting):
                    until = node.day + timedelta(days=lasting)
                    ruling = a_ruling(request, officer, act, until=until, n=n)
                    sent.append((ruling, node.hear(request, ruling)))
                    assert sent[-1][1].counted == oracle.counts(officer, act, until, node.day)
                case ("wait", passing):
                    node.day += timedelta(days=passing)
                case ("replay", which) if sent:
                    ruling, before = sent[which % len(sent)]
                    assert node.hear(request, ruling) == before
                case ("forge", officer):
                    assert not node.hear(request, a_ruling(request, officer, n=n, key=KEYS["stranger"])).counted
                case ("restart",):
                    node.restart()
                case ("dismiss", officer) if officer in oracle.pinned:
                    node.vault.dismiss(officer)
                    oracle.pinned.remove(officer)
            pinned = {officer: public(officer) for officer in OWN}
            counted = [(expect(r, pinned, Ruling), r.signer) for r, word in sent if word.counted]
            standing_by = {
                who
                for told, who in counted
                if told.act is Act.APPROVE and told.until >= node.day.isoformat() and who in oracle.pinned
            }
            undone = any(told.act is not Act.APPROVE for told, _ in counted)
            assert bool(node.approvals) == oracle.in_force(node.day)
            if node.approvals:
                (only,) = node.approvals
                assert not undone
                assert only.persons == standing_by
                assert len(standing_by) >= persons
                assert only.until >= node.day
        node.vault.close()


# -- the exchange in between -------------------------------------------------------------------------------------------

NOW = int(datetime(TODAY.year, TODAY.month, TODAY.day, 12, tzinfo=UTC).timestamp())


def enrolled(home):
    """An exchange on disk: three institutions with data, two lenders; li and wang are bank-a's officers, chen is bank-c's."""
    store = Store.open(home, clock=lambda: NOW * 1_000_000)
    catalog.publish_standard(store, shipped(town.STANDARD))
    for party in KEYS:
        role = "institution" if party in BANKS else "lender" if party.startswith("lender") else "officer"
        catalog.enrol(store, party=party, name=party, role=role, key=public(party))
    for bank in BANKS:
        dataset, policy = a_dataset(), replace(approved_by(ONE), owner=bank)
        registration = Registration(
            dataset=dataset.name,
            title=dataset.title,
            standard=dataset.standard.id,
            standard_digest=dataset.standard.digest,
            population=dataset.population,
            columns=tuple(sorted(dataset.mapping)),
            refreshed=dataset.refreshed,
        )
        catalog.register(store, registration.sealed_by(bank, KEYS[bank]))
        catalog.publish_policy(store, Publication(policy=policy.to_json()).sealed_by(bank, KEYS[bank]))
    name(store, "bank-a", "li", "wang")
    name(store, "bank-c", "chen")
    return store


def name(store, bank, *officers):
    return access.announce(store, Officers(officers=officers).sealed_by(bank, KEYS[bank]))


def a_word(request, ruling, *, bank="bank-a", step=1, standing=Standing.APPROVED, counted=True, reason=""):
    until = "2026-12-02" if standing is Standing.APPROVED else None
    word = Ruled(
        request=request.id,
        ruling=ruling.id,
        counted=counted,
        standing=standing,
        step=step,
        until=until,
        reason=reason,
    )
    return word.sealed_by(bank, KEYS[bank])


@pytest.fixture
def store(tmp_path):
    made = enrolled(tmp_path / "exchange")
    yield made
    made.close()


def concerned(store, request):
    """Who can see that a request exists, by either way of looking."""
    seen = set()
    for party in KEYS:
        listed = {one["id"] for one in access.listed(store.view(), caller=party, before=None, limit=100)}
        try:
            access.describe(store.view(), request, caller=party)
        except Unknown:
            assert request not in listed
        else:
            assert request in listed
            seen.add(party)
    return seen


def test_a_request_exists_for_its_asker_and_the_officers_of_its_owners_alone(store):
    whole = access.request(store, a_request(a_plan()), now=NOW)
    part = access.request(store, a_request(a_plan(purpose=OTHER, parties=("bank-b", "bank-c"))), now=NOW)
    assert concerned(store, whole) == {"lender-x", "li", "wang", "chen"}
    assert concerned(store, part) == {"lender-x", "chen"}
    name(store, "bank-a", "wang", "zhao", "lender-y")
    assert concerned(store, whole) == {"lender-x", "wang", "zhao", "chen"}, "only who is enrolled as an officer is one"
    name(store, "bank-a")
    assert concerned(store, whole) == {"lender-x", "chen"}
    own = access.describe(store.view(), whole, caller="chen")["owners"]
    assert {party: sorted(told) for party, told in own.items()} == {"bank-c": ["policies", "rulings", "words"]}
    asked = access.describe(store.view(), whole, caller="lender-x")["owners"]
    assert {party: sorted(told) for party, told in asked.items()} == {bank: ["words"] for bank in BANKS}


def test_a_ruling_goes_to_its_node_once_and_the_word_back_to_those_concerned(store):
    request = a_request(a_plan())
    access.request(store, request, now=NOW)
    ruling = a_ruling(request)
    for _ in range(2):
        access.receive(store, request.id, ruling)
    task = {"task": "rule", "request": request.to_json(), "ruling": ruling.to_json()}
    assert access.tasks(store.view(), "bank-a") == [task]
    assert access.tasks(store.view(), "bank-b") == []
    with pytest.raises(PeerFault, match="still waits for your institution's node"):
        access.receive(store, request.id, a_ruling(request, n=1))
    access.receive(store, request.id, a_ruling(request, "wang"))
    assert len(access.tasks(store.view(), "bank-a")) == 2, "another officer need not wait"
    word = a_word(request, ruling)
    head = store.book.head[0]
    for _ in range(2):
        access.receive(store, request.id, word)
    assert store.book.head[0] == head + 1
    with pytest.raises(PeerFault, match="something else before"):
        access.receive(store, request.id, a_word(request, ruling, step=2))
    assert [task["ruling"]["signer"] for task in access.tasks(store.view(), "bank-a")] == ["wang"]
    seen = access.describe(store.view(), request.id, caller="lender-x")
    assert seen["owners"]["bank-a"]["words"] == [word.to_json()]
    assert seen["heard"] == 3
    store.close()
    again = Store.open(store.book.journal._path.parent, clock=lambda: NOW * 1_000_000)
    assert access.describe(again.view(), request.id, caller="lender-x") == seen
    again.close()


def test_only_owners_whose_policy_wants_it_are_asked(store):
    def publish(bank, consent, version):
        policy = replace(approved_by(consent, version=version), owner=bank)
        catalog.publish_policy(store, Publication(policy=policy.to_json()).sealed_by(bank, KEYS[bank]))

    publish("bank-c", Consent(), 2)
    request = a_request(a_plan())
    access.request(store, request, now=NOW)
    assert concerned(store, request.id) == {"lender-x", "li", "wang"}
    told = access.describe(store.view(), request.id, caller="lender-x")
    assert set(told["owners"]) == {"bank-a", "bank-b"}
    with pytest.raises(Unknown, match="no such request"):
        access.receive(store, request.id, a_ruling(request, "chen", owner="bank-c"))
    for bank in ("bank-a", "bank-b"):
        publish(bank, Consent(), 2)
    with pytest.raises(Refused, match="no owner asks for an approval of this"):
        access.request(store, a_request(a_plan(), n=1), now=NOW)


REFUSED_AT_THE_DOOR = {
    "no officer of it": (lambda r: a_ruling(r, "chen"), Unknown, "no such request"),
    "no officer": (lambda r: a_ruling(r, "lender-x"), Unknown, "no such request"),
    "for an owner that the plan lacks": (lambda r: a_ruling(r, owner="bank-z"), Unknown, "no such request"),
    "forged": (lambda r: a_ruling(r, key=KEYS["stranger"]), Mismatch, "the signature does not belong"),
    "another request": (lambda r: a_ruling(a_request(a_plan(), n=9)), Malformed, "a ruling on this request"),
    "word on nothing": (lambda r: a_word(r, a_ruling(r)), Unknown, "no such ruling"),
    "word of a stranger": (lambda r: a_word(r, a_ruling(r), bank="lender-x"), Unknown, "no such request"),
    "another message": (lambda r: r, Malformed, "a ruling on this request"),
}


@pytest.mark.parametrize("kind", REFUSED_AT_THE_DOOR)
def test_what_is_no_ruling_is_refused_at_the_door(store, kind):
    make, error, reason = REFUSED_AT_THE_DOOR[kind]
    request = a_request(a_plan())
    access.request(store, request, now=NOW)
    head = store.book.head
    with pytest.raises(error, match=reason):
        access.receive(store, request.id, make(request))
    assert store.book.head == head


def test_a_request_is_checked_before_any_officer_sees_it(store):
    cases = {
        "officers approve": (a_request(a_plan(), asker="li"), Forbidden),
        "no such dataset": (a_request(a_plan(parties=("bank-a", "bank-z"))), Unknown),
        "last day": (a_request(a_plan(), closes=TODAY + timedelta(days=91)), Malformed),
        "exceeds what its purpose needs": (a_request(a_plan(measures=(CountKnown("region"),))), Overreach),
        "not a plan": (
            AccessRequest(plan={}, why="x", standing=False, closes=TODAY.isoformat(), nonce="0" * 64).sealed_by(
                "lender-x", KEYS["lender-x"]
            ),
            Malformed,
        ),
    }
    head = store.book.head
    for reason, (request, error) in cases.items():
        with pytest.raises(error, match=reason):
            access.request(store, request, now=NOW)
    (refusal,) = store.book.journal.entries(after=head[0])
    assert (refusal.kind, refusal.body["asker"]) == ("refusal", "lender-x")
    assert refusal.body["plan_hash"] == a_plan(measures=(CountKnown("region"),)).hash
    assert refusal.body["items"]
    with pytest.raises(Forbidden, match="only institutions and lenders have officers"):
        name(store, "li", "lender-y")
    for n in range(access.MOST_OPEN):
        access.request(store, a_request(a_plan(), closes=TODAY, n=n), now=NOW)
    with pytest.raises(PeerFault, match="too many of your requests"):
        access.request(store, a_request(a_plan(), n=500), now=NOW)
    access.request(store, a_request(a_plan(), n=500, closes=TODAY + timedelta(days=2)), now=NOW + 86_400)


def test_neither_long_requests_nor_endless_rulings_are_taken(store):
    body = {
        "plan": {"x": "y" * access.LONGEST},
        "why": "x",
        "standing": False,
        "closes": "2026-12-01",
        "nonce": "0" * 64,
    }
    with pytest.raises(Malformed, match="longer than"):
        access.request(store, sign("access-request", body, signer="lender-x", key=KEYS["lender-x"]), now=NOW)
    request = a_request(a_plan())
    access.request(store, request, now=NOW)
    for n in range(access.MOST_RULINGS):
        ruling = a_ruling(request, n=n)
        access.receive(store, request.id, ruling)
        access.receive(store, request.id, a_word(request, ruling, counted=False, step=0, reason="no"))
    with pytest.raises(PeerFault, match="too often"):
        access.receive(store, request.id, a_ruling(request, n=99))
    assert access.tasks(store.view(), "bank-a") == []


def test_requests_are_listed_newest_first_page_by_page(store):
    sent = [access.request(store, a_request(a_plan(), n=n), now=NOW) for n in range(7)]
    found, before = [], None
    while page := access.listed(store.view(), caller="li", before=before, limit=3):
        found += [one["id"] for one in page]
        before = page[-1]["seq"]
    assert found == sent[::-1]


@pytest.mark.parametrize("why", ["", "x" * 401, "two\nlines", "\x1b[2Jgone", "left \u202eto right"])
def test_a_reason_that_could_steer_a_screen_is_no_message(why):
    body = {
        "plan": {}, "why": why, "standing": False, "closes": "2026-12-01", "nonce": "0" * 64
    }  # fmt: skip
    with pytest.raises(Malformed, match="invalid fields: why"):
        read(sign("access-request", body, signer="lender-x", key=KEYS["lender-x"]), {"lender-x": public("lender-x")})


# -- what desks believe ------------------------------------------------------------------------------------------------


class Hostile:
    """An exchange that shows a desk whatever it likes."""

    def __init__(self, record):
        self.record = record

    def get(self, _path):
        return self.record


class Believer:
    """A desk in front of it, with bank-a's key pinned."""

    def __init__(self, record, party="li"):
        self.line = Hostile(record)
        self.party = party
        self.public = public(party)
        self.own = lambda _: self.public
        self.pinned = {bank: public(bank) for bank in BANKS} if party == "lender-x" else {"bank-a": public("bank-a")}


def shown(store, request, party, /, **changes):
    record = access.describe(store.view(), request.id, caller=party)
    return Access(Believer({**record, **changes}, party), today=TODAY).find(request.id)


def test_a_desk_shows_what_was_signed_and_lets_the_days_pass(store):
    request = a_request(a_plan(purpose=OTHER, parties=("bank-a", "bank-c")))
    access.request(store, request, now=NOW)
    told = shown(store, request, "lender-x")
    assert (told.known, told.state, told.waiting_for) == (True, "waiting for bank-a, bank-c", ("bank-a", "bank-c"))
    for officer, bank, n in (("li", "bank-a", 0), ("chen", "bank-c", 0)):
        ruling = a_ruling(request, officer, owner=bank, n=n)
        access.receive(store, request.id, ruling)
        access.receive(store, request.id, a_word(request, ruling, bank=bank))
    assert shown(store, request, "lender-x").state == "approved until 2026-12-02"
    own = shown(store, request, "wang")
    assert (own.known, list(own.sides)) == (False, ["bank-a"])
    assert own.sides["bank-a"].policy == approved_by(ONE)
    assert [(move.officer, move.ruling.act, move.word.counted) for move in own.sides["bank-a"].rulings] == [
        ("li", Act.APPROVE, True)
    ]
    record = access.describe(store.view(), request.id, caller="lender-x")
    later = Access(Believer(record, "lender-x"), today=date(2026, 12, 3)).find(request.id)
    assert later.state == "expired"
    back = a_ruling(request, "wang", Act.WITHDRAW)
    access.receive(store, request.id, back)
    access.receive(store, request.id, a_word(request, back, step=2, standing=Standing.WITHDRAWN, reason="repaid"))
    told = shown(store, request, "lender-x")
    assert (told.state, told.sides["bank-a"].reason) == ("withdrawn", "repaid")


def test_an_exchange_cannot_change_what_a_desk_believes(store):
    request, other = a_request(a_plan()), a_request(a_plan(), n=1)
    for one in (request, other):
        access.request(store, one, now=NOW)
        ruling = a_ruling(one)
        access.receive(store, one.id, ruling)
        access.receive(store, one.id, a_word(one, ruling))
    owners = access.describe(store.view(), request.id, caller="li")["owners"]["bank-a"]
    elsewhere = access.describe(store.view(), other.id, caller="li")["owners"]["bank-a"]
    forged = a_word(request, a_ruling(request), bank="bank-b")
    forged = Envelope(forged.kind, "bank-a", forged.body, forged.signature)
    policy = Publication(policy=replace(a_policy(), version=2).to_json()).sealed_by("bank-b", KEYS["bank-b"])
    for changes, reason in (
        ({"id": other.id}, "that of another request"),
        ({"request": other.to_json()}, "that of another request"),
        ({"owners": {"bank-z": owners}}, "owners that the plan does not"),
        ({"owners": {"bank-a": elsewhere}}, "about another request"),
        ({"owners": {"bank-a": owners | {"words": [forged.to_json()]}}}, "does not belong to this message"),
        ({"owners": {"bank-a": owners | {"policies": [policy.to_json()]}}}, "not among the pinned parties"),
        ({"owners": {"bank-a": {"words": 1}}}, "not that of a request"),
        ({"seq": "1"}, "not that of a request"),
    ):
        with pytest.raises((Mismatch, PeerFault), match=reason):
            shown(store, request, "li", **changes)
    assert shown(store, request, "li", owners={}).sides == {}


# -- what an officer is told -------------------------------------------------------------------------------------------


def planned(sql, *, rho=NANO // 10):
    schema = shipped(town.STANDARD)
    return parse(sql, standard=schema, purpose=town.PURPOSE, parties=BANKS, rho=rho, shared=None).plan


@pytest.mark.parametrize(
    "sql",
    [
        SQL,
        "SELECT SUM(balance) FROM consumer_credit WHERE product = 'card'",
        "SELECT COUNT(DISTINCT person) FROM consumer_credit",
        "SELECT education, STDDEV_SAMP(balance), CORR(balance, months_overdue) FROM consumer_credit GROUP BY education",
        "SELECT COUNT(*) FILTER (WHERE months_overdue >= 3) FROM consumer_credit WHERE region IN ('north', 'east')",
        "SELECT YEAR(opened), COUNT(*) FROM consumer_credit GROUP BY YEAR(opened)",
        "SELECT HISTOGRAM(balance) FROM consumer_credit",
    ],
)
def test_the_statement_that_an_officer_reads_asks_for_everything_in_the_plan_and_no_more(sql):
    plan = planned(sql)
    again = planned(statement(plan, shipped(town.STANDARD)))
    assert {measure.key for measure in again.measures} == {measure.key for measure in plan.measures}
    assert (again.groups, set(again.where), again.clipped) == (plan.groups, set(plan.where), plan.clipped)


def test_the_sentence_says_what_is_learned_how_exactly_and_at_which_price():
    plan, standard = planned("SELECT region, COUNT(*) FROM consumer_credit GROUP BY region"), shipped(town.STANDARD)
    (scale,) = calibrate(plan)
    half = 1.959963984540054 * sqrt(len(BANKS)) * float(scale.sigma * scale.grain)
    policy = approved_by(ONE, purpose=4 * NANO // 10)
    grants = [
        replace(grant, rho_per_query=NANO, columns={"*": ("count",), "region": ("group",)}) for grant in policy.grants
    ]
    policy = replace(policy, grants=tuple(grants), domains={"region": standard.column("region").domain})
    request = Request(plan, "lender-x", "lender", 0, TODAY)
    told = consequence(request, standing=True, standard=standard, policy=policy)
    assert told == (
        f"lender-x learns for credit-risk-statistics the number of rows to ±{half:,.4g} by region (6 groups); jointly over "
        "bank-a, bank-b and bank-c; uses 1 of 10 columns; costs 0.1 of 0.4 rho for this purpose; one officer approves every "
        "later question that needs no more, at no higher price, for 30 days at most."
    )
    once = replace(policy, grants=tuple(replace(one, consent=Consent(Manner.ONCE, 2, 5)) for one in grants))
    told = consequence(request, standing=False, standard=standard, policy=once)
    assert told.endswith("; 2 different officers approve this question alone, for 5 days at most.")
    told = consequence(request, standing=True, standard=standard, policy=once)
    assert "a standing approval would count for nothing" in told
    free = replace(policy, grants=tuple(replace(one, consent=Consent()) for one in grants))
    assert "the grant asks for no approval" in consequence(request, standing=True, standard=standard, policy=free)
    for lacking, item in (
        (None, "policy"),
        (replace(policy, grants=()), "purpose"),
        (replace(policy, domains={}), "values of region"),
    ):
        told = consequence(request, standing=False, standard=standard, policy=lacking)
        assert f"would count for nothing, since the policy in force does not cover {item}" in told
    quality = quality_plan(standard, party="bank-a", rho=NANO // 100)
    told = consequence(replace(request, plan=quality), standing=False, standard=standard, policy=None)
    assert "how many values of 4 columns are there and how many values of 4 columns are valid" in told
    assert "of this institution alone" in told


# -- commands over real processes --------------------------------------------------------------------------------------


def command(*arguments):
    return [sys.executable, "-P", "-m", "api.cli", *map(str, arguments)]


def run(*arguments):
    environment = {**os.environ, "NO_COLOR": "1", "COLUMNS": "300"}
    return subprocess.run(
        command(*arguments), capture_output=True, text=True, timeout=120, check=False, env=environment
    )


class Office(Fragile):
    """A town whose institutions have officers, made with the commands that people type."""

    PEOPLE = (("bank-a-li", "bank-a"), ("bank-a-wang", "bank-a"), ("bank-b-zhao", "bank-b"), ("bank-c-chen", "bank-c"))

    def __init__(self, home):
        self.home = home
        institutions = people.synthesise(home, rows=1000)
        self.town = town.Town(home, institutions, clock=lambda: time.time_ns() // 1000)
        documented = town.policy_document
        # what the joint purpose opens is to be seen by an officer first
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(town, "policy_document", lambda one: self.policy(documented(one)))
            self.town.settle()
        self.hire(*self.PEOPLE[0])
        self.settle_in(self.PEOPLE[1:])
        self.url = self.town.start_exchange()
        for one in institutions:
            self.town.start_node(one.party)

    @staticmethod
    def policy(document):
        document["grants"][0]["consent"] = {"manner": "standing", "persons": 1, "days": 90}
        return document

    def hire(self, officer, owner):
        pins = self.home / f"{officer}.json"
        signing = bytes.fromhex((self.home / owner / "signing.key").read_text())
        key = Ed25519PrivateKey.from_private_bytes(signing).public_key().public_bytes_raw().hex()
        pins.write_text(json.dumps({owner: key}))
        made = run("desk", "init", self.home / officer, officer, pins)
        own = made.stdout.strip()
        name = ("--role", "officer", "--name", officer)
        for told in (
            made,
            run("exchange", "enrol", self.home / "exchange", officer, own, *name),
            run("node", "pin", self.home / owner, officer, own, "--role", "officer"),
        ):
            assert told.returncode == 0, told.stderr

    def settle_in(self, others):
        """The others, without starting a process for every command."""
        clock = self.town.clock
        with closing(Store.open(self.home / "exchange", clock=clock)) as store:
            for officer, owner in others:
                with closing(Vault.open(self.home / owner, clock=clock)) as vault:
                    pinned = {owner: vault.signing.public_key().public_bytes_raw()}
                    key = create_desk(self.home / officer, party=officer, pinned=pinned).public_key()
                    vault.pin(officer, key.public_bytes_raw(), role="officer")
                    catalog.enrol(store, party=officer, name=officer, role="officer", key=key.public_bytes_raw())

    def access(self, verb, who, *more):
        return run("access", verb, self.home / who, *more, "--exchange", self.url)

    def request(self, *more, sql=SQL, asker="lender-x"):
        told = self.access("request", asker, "-e", sql, "--purpose", town.PURPOSE, "--why", "to price a loan", *more)
        assert told.returncode == 0, told.stderr
        return told.stdout.strip()

    def shown(self, who, request):
        told = self.access("show", who, request, "--json")
        assert told.returncode == 0, told.stderr
        return json.loads(told.stdout)


@pytest.fixture(scope="module")
def office(tmp_path_factory):
    made = Office(tmp_path_factory.mktemp("office"))
    try:
        yield made
    finally:
        made.town.stop()


def in_days(days):
    # the commands count from the day in UTC
    return date.fromisoformat(time.strftime("%Y-%m-%d", time.gmtime())) + timedelta(days=days)


def test_a_request_is_seen_by_those_concerned_ruled_on_and_followed(office):
    request = office.request("--standing")
    told = office.access("show", "lender-y", request)
    assert (told.returncode, told.stderr.splitlines()[0]) == (1, "TS-REQ-004  no such request")
    assert json.loads(office.access("list", "lender-y", "--json").stdout)["requests"] == []
    node = Ed25519PrivateKey.from_private_bytes(bytes.fromhex((office.home / "bank-a" / "signing.key").read_text()))
    with Line(office.url, party="bank-a", key=node) as line:  # its officers are people of their own
        assert line.get("/v1/access") == {"requests": []}
        with pytest.raises(Unknown, match="no such request"):
            line.get(f"/v1/access/{request}")
    seen = office.shown("lender-x", request)
    assert seen["state"] == "waiting for bank-a, bank-b, bank-c"
    card = office.access("inbox", "bank-a-li").stdout
    assert "lender-x learns for credit-risk-statistics the average of balance to ±" in card
    assert "by region (6 groups); jointly over bank-a, bank-b and bank-c" in card
    assert "uses 2 of 10 columns; costs 0.1 of 0.4 rho for this purpose" in card
    assert "reason given: to price a loan" in card
    shown = office.access("show", "bank-a-li", request[:12]).stdout
    assert "SELECT region, AVG(balance), COUNT(*) FROM consumer_credit GROUP BY region" in shown
    assert "lender-x (the node checks the signature when you rule)" in shown
    for officer in ("bank-a-li", "bank-b-zhao"):
        told = office.access("approve", officer, request, "--days", "20")
        assert (told.returncode, told.stdout) == (0, f"approved until {in_days(20)}\n"), told.stderr
    again = office.access("approve", "bank-a-wang", request)
    assert again.returncode == 3
    assert "the request is approved: the last officer needed approves has no place now" in again.stderr
    beyond = office.access("approve", "bank-c-chen", request, "--days", "91")
    assert beyond.returncode == 3
    assert "the grant lets an approval last 90 days" in beyond.stderr
    assert office.shown("lender-x", request)["state"] == "waiting for bank-c"
    assert office.access("approve", "bank-c-chen", request, "--days", "10").returncode == 0
    seen = office.shown("lender-x", request)
    assert seen["state"] == f"approved until {in_days(10)}"
    assert [side["until"] for side in seen["owners"].values()] == [str(in_days(days)) for days in (20, 20, 10)]
    assert all(side["rulings"] == [] for side in seen["owners"].values()), "who ruled is the institution's own matter"
    own = office.shown("bank-a-wang", request)
    assert list(own["owners"]) == ["bank-a"], "an officer sees its own institution's part"
    assert [(one["officer"], one["act"], one["counted"]) for one in own["owners"]["bank-a"]["rulings"]] == [
        ("bank-a-li", "approve", True),
        ("bank-a-wang", "approve", False),
    ]
    assert request[:16] not in office.access("inbox", "bank-a-li").stdout
    assert office.access("withdraw", "bank-a-wang", request, "--because", "the loan was repaid").returncode == 0
    seen = office.shown("lender-x", request)
    assert (seen["state"], seen["owners"]["bank-a"]["reason"]) == ("withdrawn", "the loan was repaid")
    listed = office.access("list", "lender-x").stdout
    assert request[:16] in listed
    assert "withdrawn" in listed


def test_a_question_is_answered_once_officers_have_approved_it_and_no_longer(office):
    sql = "SELECT product, COUNT(*) FROM consumer_credit GROUP BY product"
    question = ("query", office.home / "lender-x", "--exchange", office.url, "--purpose", town.PURPOSE, "-e", sql)
    unseen = run(*question)
    assert unseen.returncode == 3
    assert "approval: the owner approves such questions before it is answered" in unseen.stderr
    assert "touchstone access request" in unseen.stderr
    request = office.request(sql=sql)
    for officer in ("bank-a-wang", "bank-b-zhao"):
        assert office.access("approve", officer, request).returncode == 0
    half = run(*question)
    assert half.returncode == 3, "one institution has not approved yet"
    assert office.access("approve", "bank-c-chen", request).returncode == 0
    answered = run(*question)
    assert answered.returncode == 0, answered.stderr
    assert "mortgage" in answered.stdout
    other = run(*question[:-1], sql.replace("COUNT(*)", "AVG(balance)"))
    assert other.returncode == 3, "another question than the one that was approved"
    assert office.access("withdraw", "bank-c-chen", request).returncode == 0
    again = run(*question, "--fresh")
    assert again.returncode == 3, "an approval that was taken back covers not even a repetition"


def test_a_refusal_reaches_the_asker_with_its_reason(office):
    request = office.request()
    silent = office.access("refuse", "bank-b-zhao", request, "--because", "")
    assert silent.returncode == 1
    assert "the reason is not one line of plain text" in silent.stderr
    told = office.access("refuse", "bank-b-zhao", request, "--because", "ask for fewer groups")
    assert (told.returncode, told.stdout) == (0, "refused\n")
    shown = office.access("show", "lender-x", request).stdout
    assert "state     refused" in shown
    assert "bank-b: refused, ask for fewer groups" in shown
    late = office.access("approve", "bank-b-zhao", request)
    assert "the request is refused" in late.stderr
    other = office.access("approve", "lender-x", request)
    assert (other.returncode, other.stderr.splitlines()[0]) == (1, "TS-REQ-004  no such request on which you may rule")


def ruled(office, party):
    """What a stopped node has on record, and what it would let through."""
    with closing(Vault.open(office.home / party, clock=lambda: time.time_ns() // 1000)) as vault:
        kinds = [entry.kind for entry in vault.book.journal.entries()]
    told = run("node", "approvals", office.home / party)
    assert told.returncode == 0, told.stderr
    return kinds.count("ruled"), json.loads(told.stdout)["approvals"]


@pytest.mark.parametrize(
    ("party", "step"),
    [
        ("bank-c", "after:keep_ruling"),
        ("exchange", "after:write#1"),
        pytest.param("bank-c", "before:keep_ruling", marks=pytest.mark.long),
        pytest.param("exchange", "before:write#1", marks=pytest.mark.long),
        pytest.param("exchange", "before:write#2", marks=pytest.mark.long),
        pytest.param("exchange", "after:write#2", marks=pytest.mark.long),
    ],
)
def test_a_ruling_counts_once_whatever_is_killed_on_its_way(office, party, step):
    request = office.request()
    office.halt("bank-c")
    before, held = ruled(office, "bank-c")
    office.start("bank-c")
    office.crash(party, step)
    waiting = subprocess.Popen(
        command("access", "approve", office.home / "bank-c-chen", request, "--exchange", office.url),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    office.recover(party)
    told, complaint = waiting.communicate(timeout=150)
    assert (waiting.returncode, told) == (0, f"approved until {in_days(30)}\n"), complaint
    office.halt("bank-c")
    after, now = ruled(office, "bank-c")
    again = ruled(office, "bank-c")
    office.start("bank-c")
    assert after == before + 1
    assert len(now) == len(held) + 1
    assert {(one["asker"], *one["officers"]) for one in now} == {("lender-x", "bank-c-chen")}
    assert again == (after, now)
    assert office.shown("lender-x", request)["owners"]["bank-c"]["standing"] == "approved"
