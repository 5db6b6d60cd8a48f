"""A reserve at the node's ledger: whole until somebody has stepped in, spent once, given back once, whatever happens in between."""

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext, suppress
from copy import deepcopy
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from itertools import count
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from api import cli
from exchange.audit.record import Asked, Record
from exchange.audit.rules import RULES, _drawable
from exchange.audit.spending import Answer, Spending
from exchange.hub import catalog, collateral, liens, watch
from exchange.hub.store import Store
from exchange.node.agent import Agent
from exchange.node.following import REGISTERED_WITHIN, Following
from exchange.node.vault import Vault, create
from exchange.protocol.agreement import (
    Acceptance,
    Assignment,
    Drawdown,
    Endorsement,
    Level,
    Notice,
    PartialRelease,
    Realisation,
    Release,
    StepIn,
)
from exchange.protocol.collateral import Confirmation
from exchange.protocol.envelope import Envelope, sign
from exchange.protocol.errors import PeerFault
from exchange.protocol.messages import Consent, Objection, Offer, Publication, Registration, StepInTerms
from exchange.protocol.pledge import State
from privacy.errors import Exhausted, Malformed, Mismatch, PrivacyError, Refused
from privacy.ledger import Caps, Reserve, Spent, charge, remaining
from privacy.pledging import Pledging, SteppingIn
from tests import pledging
from tests.marked import mark
from tests.pledging import NOW, nonce
from tests.test_vault import CREDIT, OTHER, PURPOSE, ROOT, a_dataset, a_plan, a_policy, promise

ASSET = "bank-a/accounts"
DAY = date(2023, 11, 14)
KEYS = {
    party: Ed25519PrivateKey.from_private_bytes(bytes([number]) * 32)
    for number, party in enumerate(("lender-x", "lender-y", "ann", "ben", "buyer", "partner"), 1)
}
OFFICERS = {officer: KEYS[officer] for officer in ("ann", "ben")}
RESERVE = 300
TERMS = StepInTerms(purpose=PURPOSE, reserve=RESERVE, operators=("buyer",), exclusive=True)
DECLARED = SteppingIn(PURPOSE, ("buyer", "partner"), 500, exclusive=True)


def rules(version=1, **told):
    told = {"step_in": DECLARED, "everyone": 1_000, "purpose": 900, "partner": 800, "other": 1_000} | told
    clause = Pledging(("lender-x", "lender-y"), 10**9, "2049-12-31", told.pop("step_in"))
    return replace(a_policy(**told, version=version), pledging=clause)


class World:
    """A real exchange's store and a real node's vault; what the node asks of the exchange is called, not sent."""

    def __init__(self, home):
        self.home, self.now = home, NOW
        self.ticks = count(NOW * 1_000_000, 1_000)
        create(home / "node", party="bank-a")
        self.store = Store.open(home / "exchange", clock=lambda: next(self.ticks))
        self.open()
        keys = {**KEYS, "bank-a": self.vault.signing}
        for party, key in keys.items():
            role = "officer" if party in OFFICERS else "lender" if party.startswith("lender") else "institution"
            raw = key.public_key().public_bytes_raw()
            catalog.enrol(self.store, party=party, name=party.upper(), role=role, key=raw)
            if party not in (*OFFICERS, "bank-a"):
                self.vault.pin(party, raw, role=role)
        self.vault.keep(a_dataset(), rules())
        catalog.publish_standard(self.store, CREDIT)
        registered = Registration(
            dataset="accounts", title="Accounts", standard=CREDIT.id, standard_digest=CREDIT.digest, population="people",
            columns=("person",), refreshed="2026-10-31",
        )  # fmt: skip
        catalog.register(self.store, registered.sealed_by("bank-a", self.vault.signing))
        self.publish(rules())
        mark(self.store, ASSET, self.vault.signing)
        for lender in ("lender-x", "lender-y"):
            pledging.name_officers(self.store, lender, key=KEYS[lender], officers=OFFICERS)
        self.labels = count()

    def open(self):
        self.vault = Vault.open(self.home / "node", clock=lambda: next(self.ticks))
        self.agent = Agent(self.vault, self, seconds=lambda: self.now, slot=nullcontext)
        self.following = Following(self.vault, self)

    def close(self):
        self.vault.close()
        self.store.close()

    def publish(self, policy):
        catalog.publish_policy(self.store, Publication(policy=policy.to_json()).sealed_by("bank-a", self.vault.signing))

    def get(self, path):
        """What the exchange shows the node of a pledge."""
        return liens.describe(self.store.view(), path.rpartition("/")[2], caller="bank-a")

    def quote(self, *, lender="lender-x", rank=1, terms=TERMS, number=0):
        """A quote that its officers have approved and its lender has signed."""
        told = {} if terms is None else {"step_in": terms}
        offer = pledging.quote(
            self.store, lender, key=KEYS[lender], rank=rank, nonce=nonce(number), matures="2024-12-31", **told
        )
        pledging.offered(self.store, offer, lender, key=KEYS[lender], officers=OFFICERS)
        return offer

    def quote_of_nothing(self):
        """A quote of 0 yuan that an earlier exchange took, approved and signed."""
        key = KEYS["lender-x"]
        offer = pledging.quoted_of_nothing(self.store, "lender-x", key=key, matures="2024-12-31")
        pledging.offered(self.store, offer, "lender-x", key=key, officers=OFFICERS)
        return offer

    def answer(self, offer, lender="lender-x"):
        """What the node says to a quote."""
        envelope = self.store.view().offer(offer)["envelope"]
        told = Offer.model_validate_json(envelope.body)
        objection = self.agent._objection(lender, told)
        try:
            message = Objection(offer=offer, reason=objection) if objection else self.agent._consent(envelope, told)
        except Refused as error:
            message = Objection(offer=offer, reason=error.reason)
        liens.answer(self.store, offer, message.sealed_by("bank-a", self.vault.signing))
        return message

    def register(self, *, lender="lender-x", **told):
        offer = self.quote(lender=lender, **told)
        assert isinstance(self.answer(offer, lender), Consent)
        pledging.file(self.store, offer, lender, key=KEYS[lender], expires="2024-12-31")
        return offer

    def say(self, message, signer="lender-x"):
        return liens.step(self.store, message.offer, message.sealed_by(signer, KEYS[signer]), now=self.now)

    def call(self, offer, signer="lender-x"):
        """Pay the loan out and call it, so that the lender may step in."""
        with suppress(PeerFault):
            self.say(Drawdown(offer=offer, amount=9_000), signer)
        self.say(notice(offer, Level.MARGIN_CALL, next(self.labels)), signer)

    def step_in(self, offer, operator="buyer"):
        title = self.get(offer)["title"]
        self.say(StepIn(offer=offer, title=title, operator=operator, evidence="e" * 64))

    def pay(self, rho, *, partner="partner", purpose=PURPOSE, dataset=None, day=DAY):
        """Charge as the node's answer does; returns what was charged."""
        dataset = dataset or a_dataset()
        number = next(self.labels)
        plan = a_plan(rho=rho, purpose=purpose, parties=("bank-a", f"bank-{'b' * (1 + number % 50)}-{number}"))
        session = promise(self.vault, f"session {number}", plan)
        pledge = self.vault.drawn_from(dataset, partner=partner, purpose=purpose, day=day)
        return self.vault.charge(plan, session=session, partner=partner, dataset=dataset, pledge=pledge)[1]

    def left(self, *, ended=False):
        return {one.pledge: one.left for one in self.vault.reserves.held(ended=ended)}

    def follow(self, day=DAY):
        self.following.tend(day)


def notice(offer, level, number=0):
    cure_by = "2023-12-01" if level is Level.MARGIN_CALL else None
    return Notice(offer=offer, level=level, evidence="e" * 64, cure_by=cure_by, nonce=nonce(f"notice {number}"))


@pytest.fixture
def world(tmp_path):
    made = World(tmp_path)
    yield made
    made.close()


# -- the rule ----------------------------------------------------------------------------------------------------------

AMOUNTS = st.integers(0, 30)


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from((PURPOSE, OTHER)), AMOUNTS, AMOUNTS, AMOUNTS, AMOUNTS), max_size=3),
    st.tuples(AMOUNTS, AMOUNTS, AMOUNTS), AMOUNTS, AMOUNTS, st.integers(1, 30), st.sampled_from((PURPOSE, OTHER)),
)  # fmt: skip
def test_after_any_charge_every_reserve_could_still_be_spent_to_the_last_unit(kept, caps, first, second, rho, purpose):
    """Against the definition: what fits before a charge, spent in any order, still fits after it."""
    reserves = [
        Reserve(f"p{number}", what, left, Caps(everyone, 1_000, {PURPOSE: one, OTHER: one}))
        for number, (what, left, everyone, one, _) in enumerate(kept)
    ]
    by_purpose = {PURPOSE: first, OTHER: second}
    spent = Spent(first + second, 0, by_purpose[purpose])
    own = Caps(caps[0], 1_000, {PURPOSE: caps[1], OTHER: caps[2]})
    fits = own.everyone >= spent.everyone + rho and own.purposes[purpose] >= spent.purpose + rho
    after = by_purpose | {purpose: by_purpose[purpose] + rho}
    for one in reserves:
        if one.left:
            fits &= one.caps.everyone >= sum(after.values()) + sum(other.left for other in reserves)
            if one.purpose == purpose:
                same = sum(other.left for other in reserves if other.purpose == purpose)
                fits &= one.caps.purposes[purpose] >= after[purpose] + same
    told = {"caps": own, "spent": spent, "population": "people", "partner": "any", "reserves": reserves}
    if fits:
        receipt = charge(a_plan(rho=rho, purpose=purpose), **told)
        assert receipt.left + rho == remaining(own, spent, purpose=purpose, reserves=reserves)[1]
    else:
        with pytest.raises(Exhausted):
            charge(a_plan(rho=rho, purpose=purpose), **told)


def test_a_reserve_pays_for_its_own_purpose_alone():
    kept = Reserve("p", PURPOSE, 10, Caps(100, 100, {PURPOSE: 100, OTHER: 100}))
    told = {"caps": kept.caps, "spent": Spent(), "population": "people", "partner": "any", "drawn": kept}
    assert charge(a_plan(rho=10), **told).reserve == "p"
    with pytest.raises(Exhausted) as caught:
        charge(a_plan(rho=11), **told)
    assert (caught.value.cap, caught.value.left) == ("reserve", 10)
    with pytest.raises(Mismatch):
        charge(a_plan(rho=1, purpose=OTHER), **told)


# -- kept back ---------------------------------------------------------------------------------------------------------


def test_what_is_kept_back_is_nobody_s_whatever_partner_purpose_or_dataset(world):
    world.register()
    before = world.vault.head
    for told in ({}, {"partner": "buyer"}, {"partner": "lender-x"}):
        with pytest.raises(Exhausted) as caught:
            world.pay(601, **told)
        assert (caught.value.cap, caught.value.left) == ("unreserved", 600)
    with pytest.raises(Exhausted):
        world.pay(701, purpose=OTHER)
    assert world.vault.spending() == []
    assert world.vault.head[0] == before[0] + 8, "of four refused charges there are the verdicts and promises alone"
    assert world.pay(600) == 600
    assert world.pay(100, purpose=OTHER) == 100
    renamed = replace(a_dataset("2026-11-30"), title="Other rows of the same people")
    with pytest.raises(Exhausted):
        world.pay(1, dataset=renamed, partner="lender-y")
    assert world.vault.kept_back()[0]["left"] == RESERVE


def test_64_at_the_boundary_leave_the_reserve_whole(world):
    offer = world.register()
    plans = [a_plan(rho=60, parties=("bank-a", f"bank-{number}")) for number in range(64)]
    sessions = [promise(world.vault, f"at once {number}", plan) for number, plan in enumerate(plans)]

    def pay(number):
        told = {"session": sessions[number], "partner": f"partner-{number}", "dataset": a_dataset()}
        try:
            return world.vault.charge(plans[number], **told)[1]
        except Exhausted as error:
            return error.cap

    with ThreadPoolExecutor(32) as pool:
        outcomes = Counter(pool.map(pay, range(64)))
    assert outcomes == {60: 10, "unreserved": 54}
    assert world.left() == {offer: RESERVE}


def test_without_the_node_s_word_or_too_late_there_is_no_lien(world):
    offer = world.quote()
    for said in (Consent(offer=offer), replaced(world, offer, reserve=RESERVE - 1)):
        with pytest.raises(PeerFault, match="does not keep back"):
            liens.answer(world.store, offer, said.sealed_by("bank-a", world.vault.signing))
    said = world.answer(offer)
    assert said.kept.seq <= world.vault.head[0]
    assert world.store.view().witnessed("bank-a") == (said.kept.seq, said.kept.head), "the reserve is witnessed with it"
    late = NOW + (REGISTERED_WITHIN + 1) * 86_400
    with pytest.raises(PeerFault, match="registration in time"):
        pledging.file(world.store, offer, "lender-x", key=KEYS["lender-x"], now=late)
    world.follow(DAY + timedelta(days=REGISTERED_WITHIN + 1))
    assert world.left() == {offer: RESERVE}, "two clocks may differ by a day"
    world.follow(DAY + timedelta(days=REGISTERED_WITHIN + 2))
    assert world.left() == {}
    with pytest.raises(Refused, match="given back"):
        world.vault.reserve(world.store.view().offer(offer)["envelope"], dataset=a_dataset(), until="2023-12-24")


def replaced(world, offer, **changes):
    seq, head = world.vault.head
    kept = {"reserve": RESERVE, "until": "2023-11-28", "seq": seq, "head": head} | changes
    return Consent(offer=offer, kept=kept)


def test_a_reserve_that_does_not_fit_is_objected_to(world):
    world.pay(650)
    offer = world.quote()
    said = world.answer(offer)
    assert "the unreserved budget has 2.5e-07 rho left" in said.reason
    assert world.left(ended=True) == {}
    for terms, reason in (
        (TERMS.model_copy(update={"purpose": OTHER}), "no step-in for this purpose"),
        (TERMS.model_copy(update={"operators": ("lender-y",)}), "one of the operators"),
        (TERMS.model_copy(update={"reserve": 501}), "at most 5e-07 rho"),
    ):
        assert reason in world.answer(world.quote(terms=terms, number=reason)).reason


def test_a_node_agrees_to_no_offer_of_nothing_whatever_its_exchange_took(world):
    assert world.answer(world.quote_of_nothing()).reason == "the offer is of 0 yuan"


def test_the_lender_s_watch_tells_a_whole_reserve_from_a_broken_one(world):
    offer = world.register()

    def seen():
        (told,) = watch.watch(world.store.view(), ASSET, caller="lender-x", now=NOW)["reserves"]
        return told["state"], told["told"]

    def confirm(**kept):
        mark_ = watch.watch(world.store.view(), ASSET, caller="lender-x", now=NOW)["fingerprint"]
        word = Confirmation(dataset="accounts", fingerprint=mark_, day=DAY.isoformat(), found="confirmed", **kept)
        collateral.record_confirmation(world.store, word.sealed_by("bank-a", world.vault.signing), now=NOW)

    assert seen() == ("whole", RESERVE), "by the consent"
    confirm(reserves={offer: RESERVE - 1})
    assert seen() == ("broken", RESERVE - 1), "nobody has stepped in"
    confirm(reserves={offer: RESERVE})
    assert seen() == ("whole", RESERVE)
    confirm()
    assert seen() == ("broken", None)
    confirm(reserves={offer: RESERVE, "0" * 64: 5})
    world.publish(rules(2, step_in=None))
    assert seen() == ("broken", RESERVE), "the policy on record does not let anybody step in"
    world.publish(rules(3))
    world.call(offer)
    world.step_in(offer)
    confirm(reserves={offer: 100})
    assert seen() == ("drawn", 100)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--reserve", "0.05"], "needs a reserve, an operator and a purpose"),
        (["--exclusive"], "needs a reserve, an operator and a purpose"),
        *((["--reserve", wrong, "--operator", "b", "--purpose", PURPOSE], "not an amount of rho") for wrong in ("0", "1e-10", "x", "NaN")),
        (["--reserve", "1", "--operator", "No Name", "--purpose", PURPOSE], "not valid: operators"),
    ],
)  # fmt: skip
def test_terms_that_are_none_are_refused_before_anything_is_sent(tmp_path, arguments, said):
    command = [
        "pledge",
        "offer",
        str(tmp_path),
        ASSET,
        "--report",
        "none.json",
        "--amount",
        "1",
        "--matures",
        "2027-12-31",
    ]
    with pytest.raises(Malformed, match=said):
        raise CliRunner().invoke(cli.app, [*command, "--exchange", "http://127.0.0.1:9", *arguments]).exception


def test_reserves_of_two_datasets_of_the_same_people_fit_beside_each_other(world):
    """Each under the caps of its own dataset: taken in either order, both could be spent."""
    other = replace(CREDIT, name="other_credit")
    second = replace(a_dataset(), name="others", standard=other)
    wide = replace(rules(everyone=5_000, purpose=5_000), dataset="others", standard=other.id)
    world.vault.keep(second, wide)
    first, later = (world.store.view().offer(world.quote(number=number))["envelope"] for number in (1, 2))
    world.vault.reserve(first, dataset=second, until="2023-11-28")
    world.pay(350, dataset=second)
    with pytest.raises(Exhausted) as caught:
        world.vault.reserve(later, dataset=a_dataset(), until="2023-11-28")
    assert (caught.value.asked, caught.value.left, caught.value.cap) == (RESERVE, 250, "unreserved")
    assert world.vault.spending()[0]["nano"] == 350


def test_a_policy_cannot_break_a_live_reserve_and_says_so_in_time(world):
    world.register()
    world.pay(500)
    for broken in (
        rules(2, step_in=None), rules(2, step_in=replace(DECLARED, purpose=OTHER)), rules(2, everyone=799),
        rules(2, purpose=799), rules(2, partner=299),
    ):  # fmt: skip
        with pytest.raises(Refused, match="live pledge"):
            world.vault.keep(a_dataset(), broken)
    world.vault.keep(a_dataset(), rules(2, everyone=800, purpose=800, partner=300))


# -- steps, as the node verifies them ----------------------------------------------------------------------------------


def test_only_a_verified_step_in_opens_the_reserve_and_a_cure_shuts_it(world):
    offer = world.register()
    world.call(offer)
    world.follow()
    assert world.vault.pointed(a_dataset(), DAY).pointing is None
    with pytest.raises(PeerFault, match="no such operator"):
        world.step_in(offer, operator="partner")
    world.step_in(offer)
    assert world.vault.pointed(a_dataset(), DAY).pointing is None, "not before it is heard of"
    world.follow()
    to = world.vault.pointed(a_dataset(), DAY).pointing
    assert (to.party, to.purpose, to.exclusive) == ("buyer", PURPOSE, True)
    assert world.pay(200, partner="buyer") == 200
    assert world.left() == {offer: 100}
    with pytest.raises(Exhausted) as caught:
        world.pay(101, partner="buyer")
    assert (caught.value.cap, caught.value.left) == ("reserve", 100)
    assert world.pay(601, purpose=OTHER) == 601, "another purpose is paid for as always"
    world.vault.close()
    world.open()
    assert world.vault.pointed(a_dataset(), DAY).pointing == to, "a restart forgets nothing"
    world.say(notice(offer, Level.CURED))
    world.follow()
    assert world.vault.pointed(a_dataset(), DAY).pointing is None
    with pytest.raises(Exhausted):
        world.pay(100, partner="buyer")
    assert world.left() == {offer: 100}


def forged(world, offer, how):
    """What a dishonest exchange might show instead of the truth."""
    told = world.get(offer)
    title = told["title"]
    step = StepIn(offer=offer, title=title, operator="buyer", evidence="e" * 64)
    real = step.sealed_by("lender-x", KEYS["lender-x"])
    made = {
        "unsigned": Envelope(real.kind, real.signer, real.body, bytes(64)),
        "by its operator": step.sealed_by("buyer", KEYS["buyer"]),
        "in the lender's name": step.sealed_by("lender-x", KEYS["buyer"]),
        "by a stranger": step.sealed_by("stranger", KEYS["ann"]),
        "for another pledge": step.model_copy(update={"offer": "0" * 64}).sealed_by("lender-x", KEYS["lender-x"]),
        "for an operator whom nobody agreed on": step.model_copy(update={"operator": "partner"}).sealed_by(
            "lender-x", KEYS["lender-x"]
        ),
        "of another kind": sign("pledge-step-in", {"offer": offer}, signer="lender-x", key=KEYS["lender-x"]),
        "lapsed": None,
        "swept by a stranger's sale": Realisation(
            offer="0" * 64, asset=ASSET, title=title, proceeds=1, costs=0, unregistered=(), successor="bank-a",
            evidence="e" * 64,
        ).sealed_by("buyer", KEYS["buyer"]),
    }[how]  # fmt: skip
    said = None if made is None else made.to_json()
    return told | {"steps": [*told["steps"], {"seq": 99, "at": "", "said": said, "paid": None}]}


FORGED = (
    "unsigned", "by its operator", "in the lender's name", "by a stranger", "for another pledge",
    "for an operator whom nobody agreed on", "of another kind", "lapsed", "swept by a stranger's sale",
)  # fmt: skip


def test_the_exchange_s_word_opens_and_gives_back_nothing(world, monkeypatch):
    offer = world.register()
    world.call(offer)
    for how in FORGED:
        shown = forged(world, offer, how)
        with monkeypatch.context() as patched:
            patched.setattr(world, "get", lambda _, shown=shown: shown)
            for _ in range(2):
                world.follow()
        assert world.vault.pointed(a_dataset(), DAY).pointing is None, how
        assert world.left() == {offer: RESERVE}, how
        standing = world.vault.reserves.held()[0].agreement.state
        assert standing is State.MARGIN_CALL, "what was signed before it stands"


@pytest.mark.parametrize("act", ["approve", "refuse"])
def test_an_officer_s_word_counts_once_the_lender_has_signed_it(world, monkeypatch, act):
    """Whose key an officer has is known to the lender and the exchange alone: the latter may invent one."""
    offer = world.register()
    said = Endorsement(offer=offer, act=act, because="no").sealed_by("invented", KEYS["ann"])
    told = world.get(offer)
    with monkeypatch.context() as patched:
        steps = [told["steps"][0], {"said": said.to_json()}, *told["steps"][2:]]
        for shown in (steps[:2], steps):
            patched.setattr(world, "get", lambda _, shown=shown: told | {"steps": shown})
            world.follow()
    assert world.left() == {offer: RESERVE}
    world.follow()
    assert world.vault.reserves.held()[0].agreement.state is State.REGISTERED, "the truth is taken up all the same"


def test_another_past_is_not_followed(world, monkeypatch):
    offer = world.register()
    world.follow()
    told = world.get(offer)
    monkeypatch.setattr(world, "get", lambda _: told | {"steps": told["steps"][:-1]})
    world.follow()
    monkeypatch.setattr(world, "get", lambda _: {"steps": [5]})
    world.follow()
    assert world.left() == {offer: RESERVE}


def test_a_sale_points_to_the_buyer_up_to_the_last_day_and_a_release_gives_back_at_once(world):
    offer = world.register()
    junior = world.register(lender="lender-y", rank=2, number=2)
    world.call(offer)
    world.step_in(offer)
    world.follow()
    world.pay(100, partner="buyer")
    title = world.get(offer)["title"]
    world.say(
        Realisation(
            offer=offer, asset=ASSET, title=title, proceeds=10_000, costs=0, unregistered=(), successor="partner",
            evidence="e" * 64,
        )
    )  # fmt: skip
    world.follow()
    assert world.left(ended=True) == {offer: 200, junior: 0}
    assert world.vault.kept_back()[1]["given_back"] == "it is realised"
    assert world.pay(50, partner="partner") == 50
    assert world.left() == {offer: 150}
    assert [one["reserve"] for one in world.vault.spending()] == [offer, offer]
    last = date(2024, 12, 31)
    assert world.vault.pointed(a_dataset(), last).pointing.party == "partner"
    assert world.vault.pointed(a_dataset(), last + timedelta(days=1)).pointing is None
    world.follow(last + timedelta(days=1))
    assert world.left() == {}


def test_parts_go_back_by_the_lender_s_word_and_a_new_lender_has_the_rest(world):
    offer = world.register()
    title = world.get(offer)["title"]
    part = PartialRelease(offer=offer, title=title, amount=1, nonce=nonce(1), reserve=100)
    with pytest.raises(PeerFault, match="only the lender"):
        liens.step(world.store, offer, part.sealed_by("bank-a", world.vault.signing), now=NOW)
    with pytest.raises(PeerFault, match="only the lender"):
        world.say(part.model_copy(update={"reserve": RESERVE + 1}))
    world.say(part)
    assignment = Assignment(offer=offer, title=title, to="lender-y", nonce=nonce(2))
    world.say(assignment)
    named = assignment.sealed_by("lender-x", KEYS["lender-x"]).id
    world.say(Acceptance(offer=offer, title=title, assignment=named), signer="lender-y")
    world.follow()
    assert world.left() == {offer: 200}
    world.say(Release(offer=offer, title=title), signer="lender-y")
    world.follow()
    world.follow()
    assert world.left() == {}
    world.vault.reserves.hear(offer, [], after=len(world.get(offer)["steps"]), nano=200, ends="again")
    assert [kind for kind in kinds(world) if kind in ("reserved", "given_back")] == ["reserved", "given_back"]
    assert world.pay(800) == 800


def kinds(world):
    return [entry.kind for entry in world.vault.book.journal.entries()]


# -- histories -----------------------------------------------------------------------------------------------------------

PARTNERS = ("buyer", "partner", "lender-x")
MOVES = st.one_of(
    st.tuples(st.just("pay"), st.sampled_from(PARTNERS), st.sampled_from((PURPOSE, OTHER)), st.integers(1, 400)),
    st.tuples(st.just("pledge"), st.sampled_from((1, 2)), st.integers(50, 400)),
    st.tuples(st.sampled_from(["call", "step in", "cure", "release", "part", "sell", "sell to the owner"]), st.integers(0, 3)),
    st.tuples(st.just("days"), st.sampled_from((1, 20, 500))),
    st.tuples(st.just("restart")),
    st.tuples(st.just("follow")),
    st.tuples(st.just("policy"), st.integers(300, 1_000)),
)  # fmt: skip


class History:
    """A world to which anything may happen in any order; what is refused is refused."""

    def __init__(self, home):
        self.world, self.offers, self.day, self.version = World(home), [], DAY, 1

    def move(self, name, *told):
        with suppress(PrivacyError, IndexError):
            getattr(self, name.replace(" ", "_"))(*told)

    def pay(self, partner, purpose, rho):
        self.world.pay(rho, partner=partner, purpose=purpose, day=self.day)

    def pledge(self, rank, reserve):
        lender = f"lender-{'xy'[rank - 1]}"
        terms = TERMS.model_copy(update={"reserve": reserve, "exclusive": reserve % 2 == 0})
        offer = self.world.quote(lender=lender, rank=rank, terms=terms, number=len(self.offers) + 10)
        self.offers.append((offer, lender))
        self.world.answer(offer, lender)
        told = {"key": KEYS[lender], "expires": "2024-12-31", "now": self.world.now}
        pledging.file(self.world.store, offer, lender, **told)

    def call(self, at):
        self.world.call(*self.offers[at])

    def step_in(self, at):
        self._titled(StepIn, at, operator="buyer", evidence="e" * 64)

    def cure(self, at):
        offer, lender = self.offers[at]
        self.world.say(notice(offer, Level.CURED, next(self.world.labels)), lender)

    def release(self, at):
        self._titled(Release, at)

    def part(self, at):
        self._titled(PartialRelease, at, amount=1, nonce=nonce(next(self.world.labels)), reserve=20)

    def sell(self, at, successor="partner"):
        sold = {"proceeds": 5, "costs": 0, "unregistered": (), "successor": successor, "evidence": "e" * 64}
        self._titled(Realisation, at, asset=ASSET, **sold)

    def sell_to_the_owner(self, at):
        self.sell(at, "bank-a")

    def days(self, number):
        self.day += timedelta(days=number)
        self.world.now = int(datetime(self.day.year, self.day.month, self.day.day, 12, tzinfo=UTC).timestamp())
        self.world.ticks = count(self.world.now * 1_000_000, 1_000)
        liens.expire(self.world.store, now=self.world.now)

    def restart(self):
        self.world.vault.close()
        self.world.open()

    def follow(self):
        self.world.follow(self.day)

    def policy(self, everyone):
        self.world.vault.keep(a_dataset(), rules(self.version + 1, everyone=everyone))
        self.version += 1

    def _titled(self, cls, at, **told):
        offer, lender = self.offers[at]
        self.world.say(cls(offer=offer, title=self.world.get(offer)["title"], **told), lender)

    def check(self):
        """Recompute the ledger from the node's entries alone, and hold the exchange's to the auditor's rules."""
        ledger = Ledger()
        for entry in self.world.vault.book.journal.entries():
            ledger.take(entry)
        assert self.world.left() == ledger.left()
        record = audited(self.world)
        for offer, one in record.pledges.items():
            assert (self.world.get(offer)["state"] == "step_in") is (one.state is State.STEP_IN)


class Ledger:
    """A node's journal read by somebody who knows no table of it."""

    def __init__(self):
        self.everyone, self.spent, self.kept, self.drawn, self.over = 0, 0, {}, Counter(), set()

    def left(self):
        return {pledge: nano - self.drawn[pledge] for pledge, nano in self.kept.items() if pledge not in self.over}

    def take(self, entry):
        body = entry.body
        if entry.kind == "policy":
            self.everyone = body["everyone"]
        elif entry.kind == "reserved":
            pledge = Envelope.from_json(body["quote"]).id
            assert pledge not in self.kept, "taken once"
            self.kept[pledge] = body["nano"]
        elif entry.kind == "heard":
            self.kept[body["pledge"]] = body["nano"]
        elif entry.kind == "given_back":
            assert body["pledge"] not in self.over, "given back once"
            self.over.add(body["pledge"])
        elif entry.kind == "charged":
            self.spent += body["nano"]
            if "reserve" in body:
                assert (body["partner"] in ("buyer", "partner"), body["purpose"]) == (True, PURPOSE)
                assert body["reserve"] not in self.over
                self.drawn[body["reserve"]] += body["nano"]
        assert all(amount >= 0 for amount in self.left().values())
        if entry.kind in ("reserved", "charged"):
            assert self.spent + sum(self.left().values()) <= self.everyone, "every reserve could still be spent"


def audited(world):
    """What an auditor makes of the exchange's journal."""
    record = Record()
    for entry in world.store.book.journal.entries():
        RULES[entry.kind](record, entry)
    return record


def play(moves):
    with tempfile.TemporaryDirectory() as home:
        history = History(Path(home))
        try:
            for move in moves:
                history.move(*move)
            history.check()
        finally:
            history.world.close()


STORY = [
    ("pledge", 1, 300), ("pay", "partner", PURPOSE, 200), ("pledge", 2, 100), ("call", 0), ("part", 0), ("step in", 0),
    ("follow",), ("pay", "buyer", PURPOSE, 150), ("restart",), ("pay", "buyer", PURPOSE, 200), ("pay", "partner", OTHER, 300),
    ("cure", 0), ("follow",), ("pay", "buyer", PURPOSE, 10), ("release", 0), ("days", 500), ("follow",), ("policy", 300),
    ("pay", "partner", OTHER, 400),
]  # fmt: skip


def test_a_story_adds_up():
    play(STORY)


@settings(max_examples=3, deadline=None)
@given(st.lists(MOVES, min_size=8, max_size=14), st.integers(0, len(STORY) - 1))
def test_random_histories_take_keep_and_give_back_each_reserve_once(moves, begun):
    play([*STORY[:begun], *moves])


@pytest.mark.long
@settings(max_examples=300, deadline=None)
@given(st.lists(MOVES, min_size=8, max_size=40), st.integers(0, len(STORY) - 1))
def test_long_random_histories_take_keep_and_give_back_each_reserve_once(moves, begun):
    play([*STORY[:begun], *moves])


# -- what an auditor sees ------------------------------------------------------------------------------------------------


def test_an_auditor_believes_no_draw_without_a_step_in(world):
    offer = world.register()
    asked = Asked("buyer", a_plan(), 0, {"bank-a": ASSET}, None)
    with pytest.raises(Mismatch, match="without a step-in"):
        _drawable(audited(world), asked, offer, ASSET)
    world.call(offer)
    world.step_in(offer)
    record = audited(world)
    assert _drawable(record, asked, offer, ASSET) == RESERVE
    assert record.kept("bank-a", "people") == {offer: (PURPOSE, RESERVE)}
    for other, asset in (
        (replace(asked, asker="partner"), ASSET), (replace(asked, plan=a_plan(purpose=OTHER)), ASSET),
        (asked, "bank-a/others"),
    ):  # fmt: skip
        with pytest.raises(Mismatch):
            _drawable(record, other, offer, asset)
    world.say(notice(offer, Level.CURED))
    record = audited(world)
    assert _drawable(record, asked, offer, ASSET) == RESERVE, "charged just before it was cured, perhaps"
    with pytest.raises(Mismatch, match="without a step-in"):
        _drawable(record, replace(asked, opened=10**6), offer, ASSET)


def test_an_auditor_adds_up_what_was_drawn_and_what_is_kept():
    caps = [Caps(100, 100, {PURPOSE: 100, OTHER: 100})]

    def answer(rho, *, left=0, purpose=PURPOSE, reserve=None):
        told = {
            "owner": "bank-a",
            "population": "people",
            "dataset": "accounts",
            "asker": "x",
            "versions": {"bank-a": "1"},
        }
        plan = a_plan(rho=rho, purpose=purpose)
        kept = {"p": (PURPOSE, 40)}
        return Answer(**told, plan=plan, caps=caps, charged=rho, left=left, reserve=reserve, kept=kept)

    spending = Spending()
    spending.take(answer(55, left=5))
    for wrong, reason in (
        (answer(6), "beyond its unreserved"), (answer(6, purpose=OTHER), "beyond its unreserved cap"),
        (answer(41, reserve=("p", 40)), "beyond its reserve cap"), (answer(7, left=34, reserve=("p", 40)), "is left"),
    ):  # fmt: skip
        tried = Spending()
        tried.take(answer(55, left=5))
        with pytest.raises(Mismatch, match=reason):
            tried.take(wrong)
    spending.take(answer(30, left=10, reserve=("p", 40)))
    spending.take(answer(5))
    with pytest.raises(Mismatch, match="unreserved"):
        deepcopy(spending).take(answer(1))
    spending.take(answer(10, reserve=("p", 40)))


# -- ends of the process ---------------------------------------------------------------------------------------------------

VICTIM = """
import os, signal, sys
from datetime import date
from exchange.node.vault import Vault
from exchange.protocol.envelope import Envelope
import json
from tests import test_reserves as t
vault = Vault.open(t.Path({home!r}), clock=lambda: t.NOW * 1_000_000)
quote = Envelope.from_json(json.loads({quote!r}))
if {stage!r} == "taken":
    vault.reserve(quote, dataset=t.a_dataset(), until="2023-11-28")
else:
    vault.reserves.hear(quote.id, [], after=0, nano=t.RESERVE, ends="it is released")
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.parametrize("stage", ["taken", pytest.param("ended", marks=pytest.mark.long)])
def test_a_kill_after_a_write_loses_and_doubles_nothing(world, stage):
    """The node dies when the reserve is taken and the consent not kept yet; or when it is given back."""
    offer = world.quote()
    quote = world.store.view().offer(offer)["envelope"]
    if stage == "ended":
        world.vault.reserve(quote, dataset=a_dataset(), until="2023-11-28")
    world.vault.close()
    script = VICTIM.format(home=str(world.home / "node"), quote=json.dumps(quote.to_json()), stage=stage)
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    ended = subprocess.run([sys.executable, "-c", script], cwd=ROOT, env=environment, capture_output=True, check=False)
    assert ended.returncode == -signal.SIGKILL, ended.stderr.decode()
    (world.home / "node" / "catalog.duckdb").unlink()
    world.open()
    assert world.left() == ({offer: RESERVE} if stage == "taken" else {})
    if stage == "taken":
        assert isinstance(world.answer(offer), Consent), "it goes on where it was"
        assert world.left() == {offer: RESERVE}
    told = Counter(kinds(world))
    assert (told["reserved"], told["given_back"]) == (1, 0 if stage == "taken" else 1)
