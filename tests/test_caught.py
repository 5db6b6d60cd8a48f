"""What the planted bugs of :mod:`tests.planted` found uncovered: the order of an answer, and what each side must refuse.

A town in one process: the exchange's and the nodes' own rooms on disk, three institutions, two lenders; the lines are
calls. Nothing is random that decides a test.
"""

import json
import secrets
from contextlib import nullcontext
from dataclasses import replace
from functools import cache, reduce
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from api.service import Service
from exchange.analyst.desk import Desk
from exchange.analyst.desk import create as create_desk
from exchange.hub import catalog, keys, rounds
from exchange.hub.store import Store
from exchange.journal import RolledBack
from exchange.node import agent as agent_room
from exchange.node import slots
from exchange.node.agent import Agent
from exchange.node.engine import Location, SourceFault
from exchange.node.source import Dataset, Field
from exchange.node.vault import Vault, create
from exchange.protocol.envelope import Envelope, sign
from exchange.protocol.errors import Denied, Overreach, PeerFault, Taken
from exchange.protocol.messages import (
    Ask,
    Commit,
    Key,
    Publication,
    Registration,
    Withdrawal,
    read,
)
from exchange.protocol.request import Caller
from exchange.protocol.session import Move
from privacy import approval, seal
from privacy.errors import Mismatch, PrivacyError, Refused
from privacy.expression import ByCategory, Times, Value
from privacy.masks import Masked
from privacy.modulus import PublicKey
from privacy.plan import CountRows, Plan, Sum
from privacy.policy import Grant, Policy
from privacy.sensitivity import calibrate
from privacy.terms import NANO, Bounds, Column, Kind, Standard
from privacy.unseal import SecretKey
from tests import pledging, sources
from tests.marked import mark

PARTIES = ("bank-a", "bank-b", "bank-c")
LENDERS = ("lender-x", "lender-y")
NOW = 1_800_000_000
REGIONS = ("north", "east")
STANDARD = Standard(
    name="credit",
    version=1,
    title="credit",
    unit="person",
    rows_per_unit=2,
    institutions_per_unit=2,
    columns=(
        Column(name="person", kind=Kind.IDENTIFIER, meaning="natural person"),
        Column(name="region", kind=Kind.CATEGORY, meaning="region", domain=REGIONS),
        Column(name="balance", kind=Kind.MEASURE, meaning="balance", bounds=Bounds(0, 1000)),
    ),
)
RHO = NANO // 50


@cache
def secret_key():
    told = json.loads((Path(__file__).parent / "vectors" / "paillier.json").read_text("utf-8"))
    return SecretKey.from_jwk(told["secret_jwk"])


@cache
def proof(party):
    return secret_key().prove(context=party).to_json(secret_key().public)


def plan_of(*measures, parties=PARTIES, rho=RHO, groups=(), bounds=()):
    return Plan(
        standard=STANDARD.id,
        standard_digest=STANDARD.digest,
        purpose="credit-risk-statistics",
        parties=parties,
        rows_per_unit=2,
        institutions_per_unit=2,
        groups=groups,
        where=(),
        measures=measures or (CountRows(),),
        bounds=bounds,
        rho=rho,
    )


class Line:
    """The way to the exchange, as calls."""

    def __init__(self, store):
        self.store = store
        self.sent = []

    def post(self, path, value):
        self.sent.append(value)
        match path.split("/")[2:]:
            case ["keys"]:
                return {"fingerprint": keys.register(self.store, value)}
            case ["sessions"]:
                return {"id": rounds.open_session(self.store, value, now=NOW)}
            case ["sessions", session, "messages"]:
                return {"stage": rounds.receive(self.store, session, value, now=NOW).value}
        raise AssertionError(path)

    def get(self, path):
        match path.partition("?")[0].split("/")[2:]:
            case ["standards", *_]:
                return self.store.view().standard(STANDARD.id).to_json()
            case ["sessions", session]:
                return rounds.describe(self.store.view(), session, caller=LENDERS[0])
            case ["rotations"]:
                return {"rotations": []}
        raise AssertionError(path)


class Town:
    def __init__(self, home):
        self.now = NOW
        ticks = iter(range(NOW * 1_000_000, (NOW + 1000) * 1_000_000, 1000))
        self.store = Store.open(home / "exchange", clock=lambda: next(ticks))
        self.signing = {party: create(home / party, party=party) for party in PARTIES}
        self.signing |= {"lender-y": Ed25519PrivateKey.generate()}
        public = {party: key.public_key().public_bytes_raw() for party, key in self.signing.items()}
        desk = home / "lender-x"
        self.signing["lender-x"] = create_desk(desk, party="lender-x", pinned={p: public[p] for p in PARTIES})
        public["lender-x"] = self.signing["lender-x"].public_key().public_bytes_raw()
        told = json.dumps(secret_key().to_jwk())
        (desk / "paillier.json").write_text(told)
        key = Key(key=secret_key().public.to_jwk(), proof=proof("lender-x"))
        self.registered = key.sealed_by("lender-x", self.signing["lender-x"])
        (desk / "registered-key.json").write_text(
            json.dumps(self.registered.to_json(), separators=(",", ":"), sort_keys=True)
        )
        catalog.publish_standard(self.store, STANDARD)
        self.vaults, self.nodes, self.lines = {}, {}, {}
        for party, raw in public.items():
            role = "lender" if party in LENDERS else "institution"
            catalog.enrol(self.store, party=party, name=party, role=role, key=raw)
        for party in PARTIES:
            vault = self.vaults[party] = Vault.open(home / party, clock=lambda: next(ticks))
            for other, raw in public.items():
                vault.pin(other, raw, role="institution" if other in PARTIES else "lender")
            rows = home / f"{party}.csv"
            rows.write_text("person,region,balance\n" + "".join(f"p{i},north,{i}\n" for i in range(50)))
            dataset = Dataset(
                "accounts", "Accounts", STANDARD, f"{party}/people", Location("csv", str(rows)),
                {column.name: Field(source=column.name) for column in STANDARD.columns}, "2026-01-01",
            )  # fmt: skip
            grant = Grant(
                "credit-risk-statistics", LENDERS, {"*": ("count",), "region": ("group",), "balance": ("sum", "product")},
                min_parties=2, min_group=0, rho_per_query=RHO, budget=10 * RHO,
            )  # fmt: skip
            policy = Policy(
                party, "accounts", STANDARD.id, 1, 10 * RHO, 10 * RHO, (grant,),
                {"balance": Bounds(0, 1000)}, {"region": REGIONS},
            )  # fmt: skip
            vault.keep(dataset, policy)
            told = Registration(
                dataset="accounts", title="Accounts", standard=STANDARD.id, standard_digest=STANDARD.digest,
                population=dataset.population, columns=tuple(sorted(dataset.mapping)), refreshed="2026-01-01",
            )  # fmt: skip
            catalog.register(self.store, told.sealed_by(party, self.signing[party]))
            catalog.publish_policy(
                self.store, Publication(policy=policy.to_json()).sealed_by(party, self.signing[party])
            )
            self.lines[party] = Line(self.store)
            self.nodes[party] = Agent(vault, self.lines[party], seconds=lambda: self.now, slot=nullcontext)
        self.desk = Desk(desk, lambda _party, _key: Line(self.store))

    def close(self):
        for memory in (*self.vaults.values(), self.store):
            memory.close()

    def tasks(self, party):
        return rounds.tasks(self.store.view(), party)

    def step(self):
        """Let each party do all its tasks once; whether there was one."""
        todo = {party: self.tasks(party) for party in PARTIES}
        for party, listed in todo.items():
            for task in listed:
                self.nodes[party].perform(task)
        return any(todo.values())

    def ask(self, plan):
        return self.desk.ask(plan, now=NOW)

    def record(self, session):
        return rounds.describe(self.store.view(), session, caller=LENDERS[0])

    def run(self, plan):
        session = self.ask(plan)
        for _ in range(9):  # judge, commit, answer; a node that cannot do its task is asked again and again
            self.step()
        return self.record(session)


@pytest.fixture
def town(tmp_path):
    made = Town(tmp_path)
    yield made
    made.close()


@pytest.fixture
def steps(monkeypatch):
    """What every node does, in order, by name."""
    told = []

    def watch(owner, name):
        real = getattr(owner, name)

        def watched(*args, **options):
            told.append(name)
            return real(*args, **options)

        monkeypatch.setattr(owner, name, watched)

    for name in ("clip", "add_noise", "pack", "mask"):
        watch(agent_room, name)
    watch(agent_room.seal, "seal")
    for name in ("judged", "charge", "keep_noised", "move"):
        watch(Vault, name)
    return told


# -- what a node makes of a request -------------------------------------------------------------------------------------


def judged_alone(town, plan, **change):
    """What bank-a's node says to an ask that never passed the exchange."""
    told = {"plan": plan.to_json(), "keeps": 30, "key": secret_key().public.fingerprint, "nonce": secrets.token_hex(32)}
    envelope = Ask(**(told | {"expires": NOW + 60} | change)).sealed_by("lender-x", town.signing["lender-x"])
    town.nodes["bank-a"].perform({"task": "judge", "ask": envelope.to_json(), "key": town.registered.to_json()})
    reply = json.loads(town.vaults["bank-a"].standing(envelope.id).reply.body)
    return {offence["item"] for offence in reply.get("offences", [])}


def put_in_force(town, **change):
    """A new version of bank-a's policy, kept by its node alone."""
    vault = town.vaults["bank-a"]
    held = vault.policy("accounts")
    policy = replace(held, version=held.version + 1, grants=(replace(held.grants[0], **change),))
    vault.keep(vault.dataset(STANDARD.id), policy)


def test_a_node_judges_retention_role_day_and_approval_by_itself(town):
    """The exchange knows none of these policies: what the node says is its own."""
    assert judged_alone(town, plan_of()) == set()
    assert judged_alone(town, plan_of(), keeps=366) == {"retention"}
    put_in_force(town, keeps=29)
    assert judged_alone(town, plan_of()) == {"retention"}
    put_in_force(town, keeps=None, recipients=("role:lender",))
    assert judged_alone(town, plan_of()) == set()
    put_in_force(town, recipients=("role:regulator",))
    assert judged_alone(town, plan_of()) == {"purpose"}
    put_in_force(town, valid=("2000-01-01", "2000-01-02"), recipients=("*",))
    assert judged_alone(town, plan_of()) == {"date"}
    put_in_force(town, valid=None, consent=approval.Consent(approval.Manner.ONCE, 1, 30))
    assert judged_alone(town, plan_of()) == {"approval"}


def test_the_exchange_leaves_approval_to_the_nodes(town):
    """A published grant that waits for a person opens a session all the same; the node that lacks the approval declines."""
    vault = town.vaults["bank-a"]
    put_in_force(town, consent=approval.Consent(approval.Manner.ONCE, 1, 30))
    told = Publication(policy=vault.policy("accounts").to_json()).sealed_by("bank-a", town.signing["bank-a"])
    catalog.publish_policy(town.store, told)
    record = town.run(plan_of())
    assert record["stage"] == "refused"
    assert record["ended_by"]["signer"] == "bank-a"
    with pytest.raises(Overreach) as caught:
        town.desk.wait(json.loads(record["ended_by"]["body"])["session"])
    assert {violation.item for violation in caught.value.violations} == {"approval"}
    assert caught.value.fix == "ask the owner for an approval"


def test_a_level_of_the_standard_hides_small_groups_whatever_an_owner_says(town):
    town.ask(plan_of(Sum(Value("balance")), bounds=(("balance", Bounds(0, 1000)),)))
    town.step()
    (session,) = {task["session"] for task in town.tasks("bank-a")}
    accepts = town.record(session)["accepts"]
    assert {json.loads(one["body"])["min_group"] for one in accepts} == {
        20
    }  # the owners say 0; balances are of level 3


# -- the order of an answer --------------------------------------------------------------------------------------------


def test_rows_are_read_after_the_charge_and_noised_before_anything_is_stored_or_sealed(town, steps):
    town.ask(plan_of())
    town.step()
    assert steps == ["judged"] * 3
    town.step()
    assert steps[3:] == ["move"] * 3
    town.nodes["bank-a"].perform(town.tasks("bank-a")[0])
    assert steps[6:] == ["charge", "clip", "add_noise", "keep_noised", "pack", "mask", "seal", "move"]


def test_the_charge_is_on_disk_when_rows_are_read(town, monkeypatch):
    plan, real, held = plan_of(), agent_room.clip, []

    def clip(*args, **options):
        held.append([len(vault.spending()) for vault in town.vaults.values()])
        return real(*args, **options)

    monkeypatch.setattr(agent_room, "clip", clip)
    assert town.run(plan)["stage"] == "answered"
    assert held == [[1, 0, 0], [1, 1, 0], [1, 1, 1]]


def test_a_refusal_is_decided_without_reading_a_row(town, steps):
    # more than the owners grant: the exchange would refuse it, so the tasks are handed out by hand
    for plan in (
        plan_of(rho=RHO + 1),
        plan_of(Sum(Value("person")), bounds=(("person", Bounds(0, 1)),)),
        plan_of(parties=("bank-a",)),
    ):
        ask = Ask(plan=plan.to_json(), keeps=30, key=secret_key().public.fingerprint, nonce="00" * 32, expires=NOW + 60)
        envelope = ask.sealed_by("lender-x", town.signing["lender-x"])
        town.nodes["bank-a"].perform({"task": "judge", "ask": envelope.to_json(), "key": town.registered.to_json()})
        assert town.vaults["bank-a"].standing(envelope.id).part.value == "declined"
    assert steps == ["judged"] * 3


class Stopwatch:
    """A clock that only what is done moves."""

    def __init__(self):
        self.now = 0.0

    def pass_by(self, seconds):
        self.now += seconds

    def slot(self):
        return slots.held(clock=lambda: self.now, wait=self.pass_by)


@pytest.mark.parametrize("readable", [True, False], ids=["read", "not read"])
@pytest.mark.parametrize(
    ("took", "leaves"), [(0.001, 0.05), (0.049, 0.05), (0.051, 0.1), (0.3, 0.4), (1.0, 1.6), (3.1, 3.2)]
)
def test_an_answer_leaves_at_one_of_few_times_whatever_its_rows_took(town, monkeypatch, took, leaves, readable):
    stopwatch, real_clip, real_move, left = Stopwatch(), agent_room.clip, Vault.move, []

    def clip(*args, **options):
        stopwatch.pass_by(took)
        if not readable:
            raise SourceFault("the source cannot be read", fix="-")
        return real_clip(*args, **options)

    def move(vault, session, what, **options):
        if what in (Move.ANSWER, Move.ABORT):
            left.append(round(stopwatch.now, 9))
        return real_move(vault, session, what, **options)

    monkeypatch.setattr(agent_room, "clip", clip)
    monkeypatch.setattr(Vault, "move", move)
    for party, vault in town.vaults.items():
        town.nodes[party] = Agent(vault, town.lines[party], seconds=lambda: town.now, slot=stopwatch.slot)
    assert town.run(plan_of())["stage"] == ("answered" if readable else "aborted")
    assert left == [round(leaves * turn, 9) for turn in (1, 2, 3)]  # one institution after the other


def test_what_was_charged_stays_charged_when_the_rows_cannot_be_read(town, monkeypatch):
    def fail(*_, **__):
        raise SourceFault("the source cannot be read", fix="-")

    monkeypatch.setattr(agent_room, "clip", fail)
    record = town.run(plan_of())
    assert record["stage"] == "aborted"
    spent = [row["nano"] for vault in town.vaults.values() for row in vault.spending()]
    assert spent
    assert set(spent) == {RHO}
    plan = plan_of()
    vault = town.vaults[Envelope.from_json(record["ended_by"]).signer]
    assert vault.price(plan, partner="lender-x", dataset=vault.dataset(STANDARD.id))[1].left == 9 * RHO


def test_noise_is_drawn_once_for_one_question_and_anew_for_another(town, steps):
    plan = plan_of()
    first = town.desk.open(town.run(plan), plan)
    assert steps.count("add_noise") == 3
    again = town.desk.open(town.run(plan), plan)
    assert steps.count("add_noise") == 3
    assert again.release.totals == first.release.totals
    assert set(again.receipt["charged"].values()) == {0}
    fewer = plan_of(parties=("bank-a", "bank-b", "bank-c")[:3], groups=(ByCategory("region", REGIONS),))
    other = town.desk.open(town.run(fewer), fewer)
    assert steps.count("add_noise") == 6
    assert set(other.receipt["charged"].values()) == {RHO}


def test_two_sessions_share_no_nonce_no_key_agreement_and_no_mask(town):
    plan = plan_of()
    records = [town.run(plan) for _ in range(2)]
    accepts = [
        read(Envelope.from_json(item), town.vaults["bank-a"].directory())
        for record in records
        for item in record["accepts"]
    ]
    assert len({accept.nonce for accept in accepts}) == 6
    assert len({accept.share for accept in accepts}) == 6
    key = secret_key()
    opened = set()
    for record in records:
        for item in record["shares"]:
            share = read(Envelope.from_json(item), town.vaults["bank-a"].directory())
            opened.update(key.open(seal.Sealed.from_wire(list(share.ciphertexts), key.public)))
    # the cells are the same both times: equal plaintexts under equal masks would show
    assert len(opened) == 6
    assert all(value.bit_length() > 2900 for value in opened)


def test_rows_in_several_groups_are_bounded_together(tmp_path):
    standard = STANDARD
    path = tmp_path / "rows.csv"
    path.write_text("person,region,balance\n" + "p,north,5\np,east,5\n" * 4)
    fields = {column.name: Field(source=column.name) for column in standard.columns}
    dataset = Dataset("accounts", "Accounts", standard, "people", Location("csv", str(path)), fields, "2026-01-01")
    cells = sources.clip(plan_of(groups=(ByCategory("region", REGIONS),)), dataset, sampling_key=b"k" * 32).totals
    assert sum(cells) == standard.rows_per_unit


def test_a_ledger_that_forgot_what_was_shown_is_refused(town):
    vault = town.vaults["bank-a"]
    before = vault.head
    assert town.run(plan_of())["stage"] == "answered"
    seq, head = vault.head
    vault.check_witness(*before)
    vault.check_witness(seq, head)
    for lost in ((seq + 1, head), (seq, before[1]), (seq, "00" * 32)):
        with pytest.raises(RolledBack):
            vault.check_witness(*lost)


# -- what a node refuses -----------------------------------------------------------------------------------------------


def committing(town):
    """A session in which everybody has accepted: the task of the first node."""
    session = town.ask(plan_of())
    town.step()
    (task,) = town.tasks("bank-a")
    assert task["task"] == "commit"
    return session, task


def stage_of(town, session):
    return town.vaults["bank-a"].standing(session).part.value


@pytest.mark.parametrize(
    "change", ["one short", "a stranger for another", "one twice", "another accept of mine", "another plan"]
)
def test_a_node_commits_to_the_parties_of_the_plan_only(town, change):
    session, task = committing(town)
    accepts = {item["signer"]: item for item in task["accepts"]}
    body = json.loads(accepts["bank-c"]["body"])
    listed = list(accepts.values())
    match change:
        case "one short":
            listed = listed[:2]
        case "a stranger for another":
            stranger = sign("accept", body, signer="lender-y", key=town.signing["lender-y"])
            listed = [*listed[:2], stranger.to_json()]
        case "one twice":
            listed = [*listed, listed[1]]
        case "another accept of mine":
            mine = json.loads(accepts["bank-a"]["body"]) | {"nonce": "11" * 32}
            listed = [sign("accept", mine, signer="bank-a", key=town.signing["bank-a"]).to_json(), *listed[1:]]
        case "another plan":
            other = sign("accept", body | {"plan_hash": "22" * 32}, signer="bank-c", key=town.signing["bank-c"])
            listed = [*listed[:2], other.to_json()]
    assert not town.nodes["bank-a"].perform(task | {"accepts": listed})
    assert stage_of(town, session) == "accepted"
    assert town.nodes["bank-a"].perform(task)
    assert stage_of(town, session) == "committed"


@pytest.mark.parametrize("change", ["one short", "another roster", "a forged signature"])
def test_a_node_answers_only_when_all_have_promised_its_roster(town, change):
    session, _ = committing(town)
    town.step()
    (task,) = town.tasks("bank-a")
    assert task["task"] == "answer"
    commits = {item["signer"]: item for item in task["commits"]}
    match change:
        case "one short":
            listed = [commits["bank-a"], commits["bank-b"]]
        case "another roster":
            told = Commit(session=session, roster_hash="33" * 32).sealed_by("bank-c", town.signing["bank-c"])
            listed = [commits["bank-a"], commits["bank-b"], told.to_json()]
        case "a forged signature":
            body = json.loads(commits["bank-c"]["body"])
            told = sign("commit", body, signer="bank-c", key=town.signing["lender-y"])
            listed = [commits["bank-a"], commits["bank-b"], told.to_json()]
    assert not town.nodes["bank-a"].perform(task | {"commits": listed})
    assert stage_of(town, session) == "committed"
    assert town.vaults["bank-a"].spending() == []
    assert town.nodes["bank-a"].perform(task)


def test_a_key_without_its_proof_is_not_accepted(town):
    told = Key(key=secret_key().public.to_jwk(), proof=proof("lender-y"))
    stolen = told.sealed_by("lender-x", town.signing["lender-x"])
    plan = plan_of()
    ask = Ask(plan=plan.to_json(), keeps=30, key=secret_key().public.fingerprint, nonce="00" * 32, expires=NOW + 60)
    envelope = ask.sealed_by("lender-x", town.signing["lender-x"])
    town.nodes["bank-a"].perform({"task": "judge", "ask": envelope.to_json(), "key": stolen.to_json()})
    assert town.vaults["bank-a"].key(secret_key().public.fingerprint) is None
    assert stage_of(town, envelope.id) == "declined"


# -- what the asker refuses --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("waited", "answered"), [(0, True), (179, True), (181, False), (10**6, False)])
@pytest.mark.parametrize("held_back", [0, 2])
def test_an_exchange_that_sits_on_a_session_cannot_have_it_charged_after_its_deadline(
    town, held_back, waited, answered
):
    """The deadline is 120 s after asking, clocks may differ by 60; the session is held back before judging or answering."""
    session = town.ask(plan_of())
    for _ in range(held_back):
        town.step()
    town.now = NOW + waited
    for _ in range(4):
        town.step()
    assert (town.record(session)["stage"] == "answered") is answered
    assert [len(vault.spending()) for vault in town.vaults.values()] == [int(answered)] * len(PARTIES)


def test_the_asker_opens_the_product_of_the_signed_answers_only(town):
    plan = plan_of()
    record = town.run(plan)
    key = PublicKey.from_jwk(secret_key().public.to_jwk())
    honest = seal.Sealed.from_wire(record["product"], key)
    more = seal.seal(Masked(tuple(5 for _ in honest.ciphertexts), key.n), key)
    forged = seal.fold([honest, more]).to_wire()
    with pytest.raises(Mismatch):
        town.desk.open(record | {"product": forged}, plan)
    assert town.desk.open(record, plan).release.totals


@pytest.mark.parametrize("box", ["accepts", "commits", "shares"])
def test_the_asker_takes_each_partys_own_word_only(town, box):
    plan = plan_of()
    record = town.run(plan)
    last = record[box][2]
    forged = sign(last["kind"], json.loads(last["body"]), signer="bank-c", key=town.signing["bank-b"]).to_json()
    for listed in ([*record[box][:2], forged], record[box][:2], [*record[box], last]):
        with pytest.raises(Mismatch):
            town.desk.open(record | {box: listed}, plan)


def test_the_asker_brings_huge_sums_back_from_their_grains(town):
    """Sums of sixth powers are counted in grains: their noise is as large as the release says, in the term's own units.

    Noise of six answers that is below a hundredth of its deviation in all: with probability 3e-13.
    """
    balance = Value("balance")
    term = reduce(Times, [balance] * 6)
    loudest = 0.0
    for rho in (RHO, RHO - 1, RHO - 2):
        plan = plan_of(
            Sum(term), rho=rho, groups=(ByCategory("region", REGIONS),), bounds=(("balance", Bounds(0, 1000)),)
        )
        (scale,) = calibrate(plan)
        release = town.desk.open(town.run(plan), plan).release
        assert scale.grain > 1
        assert all(total % scale.grain == 0 for total in release.totals)
        assert release.variances == {Sum(term).key: 3 * (scale.sigma * scale.grain) ** 2}
        deviation = float(release.variances[Sum(term).key]) ** 0.5
        loudest = max(loudest, *(abs(total) / deviation for total in release.totals))
    assert 0.01 < loudest < 100


def test_the_asker_opens_its_own_question_only(town):
    plan = plan_of()
    record = town.run(plan)
    with pytest.raises(Mismatch):
        town.desk.open(record, plan_of(rho=RHO - 1))


def test_a_signature_is_its_signers_alone():
    """Neither a stranger's name over a pinned party's signature, nor one holder of a key in another's name."""
    key = Ed25519PrivateKey.generate()
    raw = key.public_key().public_bytes_raw()
    stranger = sign("commit", {}, signer="stranger", key=key)
    with pytest.raises(Mismatch):
        stranger.verify({"bank-a": raw})
    renamed = replace(sign("commit", {}, signer="bank-a", key=key), signer="bank-b")
    with pytest.raises(Mismatch):
        renamed.verify({"bank-a": raw, "bank-b": raw})


# -- pledges and tokens ------------------------------------------------------------------------------------------------


OFFICERS = {officer: Ed25519PrivateKey.generate() for officer in ("ann", "ben")}


def quoted(town, lender, *, rank=1, nonce="bb"):
    return pledging.quote(
        town.store, lender, key=town.signing[lender], rank=rank, matures="2030-01-01", nonce=nonce * 32
    )


def signed(town, lender, **told):
    offer = quoted(town, lender, **told)
    pledging.name_officers(town.store, lender, key=town.signing[lender], officers=OFFICERS)
    pledging.agree(
        town.store, offer, lender, key=town.signing[lender], officers=OFFICERS, owner_key=town.signing["bank-a"]
    )
    return offer


def file(town, lender, offer):
    if not town.store.view().rows("SELECT 1 FROM fingerprint", []):
        mark(town.store, "bank-a/accounts", town.signing["bank-a"])
    return pledging.file(town.store, offer, lender, key=town.signing[lender], expires="2030-01-01")


def test_one_lien_is_live_for_an_asset_and_rank(town):
    first, second = (signed(town, lender) for lender in LENDERS)
    file(town, "lender-x", first)
    with pytest.raises(Taken):
        file(town, "lender-y", second)
    with pytest.raises(Taken):
        quoted(town, "lender-y", nonce="cc")
    (lien,) = town.store.view().liens("bank-a/accounts")
    assert (lien.holder, lien.offer) == ("lender-x", first)
    file(town, "lender-y", signed(town, "lender-y", rank=2))
    assert [lien.holder for lien in town.store.view().liens("bank-a/accounts")] == ["lender-x", "lender-y"]


def test_a_node_registers_one_paillier_key_for_one_party(town):
    keys.register(town.store, town.registered)
    told = Key(key=secret_key().public.to_jwk(), proof=proof("lender-y"))
    with pytest.raises(PeerFault):
        keys.register(town.store, told.sealed_by("lender-y", town.signing["lender-y"]))


def test_a_token_is_taken_once():
    service = Service(None, lambda: NOW)
    caller = Caller(party="bank-a", token_id="t" * 16, expires=NOW + 60, body="0" * 64, issued=NOW)
    service.remember(caller)
    service.remember(replace(caller, token_id="u" * 16))
    with pytest.raises(Denied):
        service.remember(caller)


# -- a dataset that ends -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("stage", [0, 1, 2])
def test_a_withdrawal_ends_open_sessions_before_they_are_charged(town, steps, stage):
    """However far a session has come, the node that withdrew reads no row for it and charges nothing."""
    session = town.ask(plan_of())
    for _ in range(stage):
        town.step()
    catalog.withdraw(
        town.store, Withdrawal(dataset="accounts", because="x").sealed_by("bank-a", town.signing["bank-a"])
    )
    town.vaults["bank-a"].withdraw("accounts", because="x")
    for _ in range(4):
        town.step()
    assert town.record(session)["stage"] != "answered"
    assert town.vaults["bank-a"].spending() == []
    assert steps.count("clip") == steps.count("charge")
    with pytest.raises(PrivacyError):
        town.ask(plan_of(rho=RHO - 1))


def test_what_was_charged_stays_when_the_dataset_ends_and_what_follows_it_draws_on_the_same_budget(town):
    assert town.run(plan_of())["stage"] == "answered"
    vault = town.vaults["bank-a"]
    before = vault.spending()
    policy, dataset = vault.policy("accounts"), vault.dataset(STANDARD.id)
    vault.withdraw("accounts", because="x")
    assert vault.spending() == before
    with pytest.raises(Refused, match="withdrawn"):
        vault.keep(dataset, policy)
    renamed = replace(dataset, name="more"), replace(policy, dataset="more")
    with pytest.raises(Refused, match="population"):
        vault.keep(replace(renamed[0], population="bank-a/others"), renamed[1])
    vault.keep(*renamed)
    assert vault.price(plan_of(rho=RHO - 1), partner="lender-x", dataset=renamed[0])[1].left == 9 * RHO
