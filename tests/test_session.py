"""The session's tables: random messages by parties and strangers never reorder, repeat or reopen anything."""

import copy
import json
import shutil
import subprocess
import sys
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from api.demo import people, town
from exchange.analyst import desk as desk_room
from exchange.analyst.desk import Desk
from exchange.analyst.reading import parse
from exchange.hub import access, catalog, keys, rounds
from exchange.hub.store import Store
from exchange.journal import RolledBack
from exchange.line import Unreachable
from exchange.node.agent import Agent
from exchange.node.vault import Vault
from exchange.protocol import session as tables
from exchange.protocol.errors import PeerFault, Unknown
from exchange.protocol.keys import stored_key
from exchange.protocol.messages import Abort, Accept, Ask, Commit, Consent, Decline, Share
from exchange.protocol.session import (
    OVER,
    PART_TABLE,
    TABLE,
    Event,
    Move,
    Part,
    Session,
    Stage,
    advance,
    check_commits,
    print_tables,
    roster_hash,
)
from exchange.standards import shipped
from privacy import seal
from privacy.errors import Malformed, Mismatch, PrivacyError, Refused
from privacy.masks import Masked

SESSION, PLAN, KEY, OTHER = "5e" * 32, "b1" * 32, "ce" * 32, "00" * 32
PARTIES = ("bank-a", "bank-b", "insurer-c")
EVERYBODY = (*PARTIES, "stranger")
SIGNING = {name: Ed25519PrivateKey.from_private_bytes(bytes([index]) * 32) for index, name in enumerate(EVERYBODY, 1)}
ORDER = (Stage.JUDGING, Stage.COMMITTING, Stage.ANSWERING, Stage.ANSWERED)


def accept(nonce="aa", *, session=SESSION, plan=PLAN):
    return Accept(
        session=session,
        plan_hash=plan,
        policy_digest=OTHER,
        version="2026-06-30",
        nonce=nonce * 32,
        share=OTHER,
        price=1,
        left=2,
        min_group=3,
    )


def share(roster, text="c", *, session=SESSION):
    return Share(session=session, roster_hash=roster, ciphertexts=(text,), charged=1, left=2, seq=3, head=OTHER)


def sent(session, sender, message):
    return session.step(message, message.sealed_by(sender, SIGNING[sender]))


def fresh(parties=PARTIES):
    return Session(SESSION, PLAN, KEY, parties)


def accepted(parties=PARTIES):
    session = fresh(parties)
    for party in parties:
        session = sent(session, party, accept())
    return session


def committed():
    session = accepted()
    for party in PARTIES:
        session = sent(session, party, Commit(session=SESSION, roster_hash=session.roster_hash))
    return session


def answered():
    session = committed()
    for party in PARTIES:
        session = sent(session, party, share(session.roster_hash))
    return session


class Exchange(RuleBasedStateMachine):
    """Messages in any order, by anybody, true and false; a plain record of what was taken says what must hold."""

    @initialize()
    def open(self):
        self.session = fresh()
        self.path = [Stage.JUDGING]
        self.taken = []
        self.reached = set()

    def deliver(self, sender, message):
        envelope = message.sealed_by(sender, SIGNING[sender])
        before, picture = self.session, copy.deepcopy(self.session)
        try:
            after = before.step(message, envelope)
        except PeerFault:
            assert self.session == picture
            assert self.session is before
            return
        assert before == picture
        assert sender in PARTIES
        if envelope in [held for held, _ in self.taken]:
            assert after == before
            return
        assert after != before
        assert before.stage not in OVER
        self.taken.append((envelope, message))
        self.session = after
        self.path.append(after.stage)

    senders = st.sampled_from((*PARTIES, *EVERYBODY))

    @rule(sender=senders, nonce=st.sampled_from(["aa", "aa", "bb"]), plan=st.sampled_from([PLAN, PLAN, PLAN, OTHER]))
    def accepts(self, sender, nonce, plan):
        self.deliver(sender, accept(nonce, plan=plan))

    @rule()
    def all_accept(self):
        for party in PARTIES:
            self.deliver(party, accept())

    @rule(sender=senders, right=st.sampled_from([True, True, True, False]))
    def commits(self, sender, right):
        self.deliver(sender, Commit(session=SESSION, roster_hash=self.session.roster_hash if right else OTHER))

    @rule()
    def all_commit(self):
        for party in PARTIES:
            self.deliver(party, Commit(session=SESSION, roster_hash=self.session.roster_hash))

    @rule(sender=senders, right=st.sampled_from([True, True, True, False]), text=st.sampled_from(["c", "c", "d"]))
    def shares(self, sender, right, text):
        self.deliver(sender, share(self.session.roster_hash if right else OTHER, text))

    @rule(
        sender=senders,
        message=st.sampled_from(["decline", "abort", "consent", "other session"]),
        luck=st.integers(0, 3),
    )
    def disturbs(self, sender, message, luck):
        if luck == 0 or message in {"consent", "other session"}:
            self.deliver(
                sender,
                {
                    "decline": Decline(session=SESSION, reason="no", fix="-", offences=()),
                    "abort": Abort(session=SESSION, reason="fire"),
                    "consent": Consent(offer=OTHER),
                    "other session": accept(session=OTHER),
                }[message],
            )

    @precondition(lambda self: self.taken)
    @rule(position=st.integers(0))
    def repeats(self, position):
        envelope, message = self.taken[position % len(self.taken)]
        self.deliver(envelope.signer, message)

    @rule(luck=st.integers(0, 9))
    def expires(self, luck):
        if luck:
            return
        if self.session.stage in OVER:
            with pytest.raises(PeerFault):
                self.session.expire()
        else:
            self.session = self.session.expire()
            self.path.append(self.session.stage)

    @invariant()
    def stages_only_move_on(self):
        steps = [(one, other) for one, other in zip(self.path, self.path[1:], strict=False) if one is not other]
        assert all(one not in OVER for one, _ in steps)
        assert set(steps) <= {(origin, target) for (origin, _), target in TABLE.items()}

    @invariant()
    def each_stage_has_what_it_needs(self):
        session = self.session
        highest = max(ORDER.index(stage) for stage in self.path if stage in ORDER)
        boxes = (session.accepts, session.commits, session.shares)
        for needed, box in enumerate(boxes, start=1):
            assert (set(box) == set(PARTIES)) == (highest >= needed)
            assert not box or highest >= needed - 1
            assert all(envelope.signer == party for party, envelope in box.items())
        # one roster: the hash over the accepts as they are now is what every commit and share names
        named = {message.roster_hash for _, message in self.taken if isinstance(message, Commit | Share)}
        assert named <= {session.roster_hash}

    @invariant()
    def nobody_is_heard_twice(self):
        for kind in (Accept, Commit, Share):
            senders = [envelope.signer for envelope, message in self.taken if isinstance(message, kind)]
            assert len(set(senders)) == len(senders)

    @invariant()
    def it_waits_for_those_who_are_missing(self):
        heard = {Stage.JUDGING: Accept, Stage.COMMITTING: Commit, Stage.ANSWERING: Share}.get(self.session.stage)
        said = {envelope.signer for envelope, message in self.taken if heard and isinstance(message, heard)}
        missing = tuple(party for party in PARTIES if party not in said)
        assert self.session.waiting_for() == (missing if heard else ())


TestExchange = Exchange.TestCase


def test_the_whole_way():
    session = answered()
    assert session.stage is Stage.ANSWERED
    assert set(session.shares) == set(PARTIES)
    assert [len(box) for box in (session.accepts, session.commits, session.shares)] == [3, 3, 3]


@pytest.mark.parametrize("session", [answered(), committed(), accepted(), fresh()], ids=lambda session: session.stage)
@pytest.mark.parametrize(
    "message",
    [
        accept("dd"),
        accept(plan=OTHER),
        accept(session=OTHER),
        Commit(session=SESSION, roster_hash=OTHER),
        Commit(session=OTHER, roster_hash=accepted().roster_hash),
        share(OTHER),
        share(committed().roster_hash, session=OTHER),
        Decline(session=OTHER, reason="no", fix="-", offences=()),
        Abort(session=OTHER, reason="no"),
        Consent(offer=OTHER),
    ],
    ids=lambda message: message.kind,
)
def test_what_has_no_place_is_a_fault_of_the_sender(session, message):
    if session.stage is Stage.JUDGING and message == accept("dd"):
        assert sent(session, "bank-a", message).stage is Stage.JUDGING
        return
    with pytest.raises(PeerFault):
        sent(session, "bank-a", message)


@pytest.mark.parametrize("early", [fresh(), accepted()], ids=lambda session: session.stage)
def test_nobody_answers_before_all_have_committed(early):
    with pytest.raises(PeerFault):
        sent(early, "bank-a", share(early.roster_hash))


def test_one_accept_short_is_no_roster():
    session = sent(sent(fresh(), "bank-a", accept()), "bank-b", accept())
    with pytest.raises(PeerFault):
        sent(session, "bank-a", Commit(session=SESSION, roster_hash=session.roster_hash))


def test_strangers_are_not_heard():
    for session in (fresh(), accepted(), committed()):
        for message in (
            accept(),
            Abort(session=SESSION, reason="x"),
            Decline(session=SESSION, reason="x", fix="-", offences=()),
        ):
            with pytest.raises(PeerFault, match="not a party"):
                sent(session, "stranger", message)


def test_a_session_of_one():
    session = accepted(("bank-a",))
    assert session.stage is Stage.COMMITTING
    session = sent(session, "bank-a", Commit(session=SESSION, roster_hash=session.roster_hash))
    assert sent(session, "bank-a", share(session.roster_hash)).stage is Stage.ANSWERED


@pytest.mark.parametrize("session", [fresh(), accepted(), committed()], ids=lambda session: session.stage)
def test_aborts_and_deadlines_end_it_for_good(session):
    for over in (sent(session, "bank-b", Abort(session=SESSION, reason="x")), session.expire()):
        assert over.stage in OVER
        assert over.waiting_for() == ()
        for message in (
            accept("dd"),
            Abort(session=SESSION, reason="y"),
            Commit(session=SESSION, roster_hash=session.roster_hash),
        ):
            if over.accepts and message.kind == "commit" and "bank-a" in over.commits:
                assert sent(over, "bank-a", message) == over
                continue
            with pytest.raises(PeerFault):
                sent(over, "bank-a", message)
        with pytest.raises(PeerFault):
            over.expire()


# -- roster ------------------------------------------------------------------------------------------------------------


def test_everything_enters_the_roster_hash():
    told = {"session": SESSION, "plan_hash": PLAN, "key_fingerprint": KEY, "accepts": accepted().accepts}
    other = {**told["accepts"], "bank-a": accept("bb").sealed_by("bank-a", SIGNING["bank-a"])}
    fewer = {party: told["accepts"][party] for party in PARTIES[:2]}
    changed = [{**told, name: OTHER} for name in ("session", "plan_hash", "key_fingerprint")]
    hashes = {roster_hash(**one) for one in [told, *changed, {**told, "accepts": other}, {**told, "accepts": fewer}]}
    assert len(hashes) == 6
    assert roster_hash(**{**told, "accepts": dict(reversed(told["accepts"].items()))}) == accepted().roster_hash


def test_a_node_sees_that_all_commit_to_its_roster():
    right, wrong = Commit(session=SESSION, roster_hash=KEY), Commit(session=SESSION, roster_hash=OTHER)
    check_commits(KEY, parties=PARTIES, commits=dict.fromkeys(PARTIES, right))
    for commits in (
        {**dict.fromkeys(PARTIES, right), "bank-b": wrong},
        dict.fromkeys(("bank-a", "insurer-c"), right),
        {},
    ):
        with pytest.raises(Mismatch, match="bank-b" if commits else "bank-a"):
            check_commits(KEY, parties=PARTIES, commits=commits)


# -- tables ------------------------------------------------------------------------------------------------------------


def test_the_exchanges_table():
    assert {Stage.ANSWERED, Stage.REFUSED, Stage.ABORTED, Stage.EXPIRED} == OVER
    assert [origin for (origin, event), target in TABLE.items() if target is Stage.ANSWERED] == [Stage.ANSWERING]
    assert {event for (_, event), target in TABLE.items() if target is Stage.ANSWERED} == {Event.ALL_SHARED}
    assert {origin for (origin, event) in TABLE if event in {Event.SHARED, Event.ALL_SHARED}} == {Stage.ANSWERING}
    for stage in set(Stage) - OVER:
        assert TABLE[stage, Event.DEADLINE] is Stage.EXPIRED
        assert TABLE[stage, Event.ABORTED] is Stage.ABORTED


@given(st.lists(st.sampled_from(Move), max_size=8))
def test_a_node_commits_charges_and_answers_once_and_in_this_order(moves):
    part, done = Part.ACCEPTED, []
    for move in moves:
        try:
            part = advance(part, move)
        except PeerFault:
            continue
        done.append(move)
    way = [Move.COMMIT, Move.CHARGE, Move.ANSWER]
    steps = [move for move in done if move is not Move.ABORT]
    assert steps == way[: len(steps)]
    assert done.count(Move.ABORT) <= 1
    assert Move.ABORT not in done[:-1]
    assert not (Move.ANSWER in done and Move.ABORT in done)


@pytest.mark.parametrize("part", Part)
@pytest.mark.parametrize("move", Move)
def test_what_is_not_in_the_nodes_table_is_refused(part, move):
    if (part, move) in PART_TABLE:
        assert advance(part, move) is PART_TABLE[part, move]
    else:
        with pytest.raises(PeerFault):
            advance(part, move)


def test_the_module_prints_its_tables():
    told = subprocess.run(
        [sys.executable, "-m", tables.__name__], capture_output=True, text=True, check=True, timeout=60
    )
    assert told.stdout == print_tables() + "\n"
    for (origin, event), target in TABLE.items():
        assert f"| {origin} | {event} | {target} |" in told.stdout
    for (origin, move), target in PART_TABLE.items():
        assert f"| {origin} | {move} | {target} |" in told.stdout


# -- the desk ----------------------------------------------------------------------------------------------------------


class Endless:
    """A line to an exchange that never ends a session; each of its answers takes ``pace`` seconds."""

    def __init__(self, pace):
        self.pace = pace
        self.passed = 0
        self.polls = 0
        self.asked = Ask(plan={}, keeps=30, key=KEY, nonce=OTHER, expires=9).sealed_by("lender-x", SIGNING["stranger"])

    def post(self, path, value):
        self.asked = value
        self.passed += self.pace
        return {"id": value.id}

    def get(self, path):
        self.polls += 1
        self.passed += self.pace
        return {"heard": self.polls, "stage": "judging", "waiting_for": ["bank-a"], "ask": self.asked.to_json()}


@pytest.mark.parametrize("pace", [1, 10, 60])
@pytest.mark.parametrize(("mine", "seconds"), [(True, 6), (True, 300), (False, desk_room.PATIENCE)])
def test_a_desk_gives_up_on_an_exchange_that_never_ends_a_session(tmp_path, monkeypatch, pace, mine, seconds):
    desk_room.create(tmp_path, party="lender-x", pinned={})
    line = Endless(pace)
    desk = Desk(tmp_path, lambda _party, _key: line, ticking=lambda: line.passed)
    monkeypatch.setattr(Desk, "registered_key", lambda _: KEY)
    session = line.asked.id
    if mine:
        plan = type("Plan", (), {"to_json": dict, "purpose": "credit-risk-statistics"})()
        session = desk.ask(plan, now=1_800_000_000, seconds=seconds)
    with pytest.raises(Refused, match="has not ended the session"):
        desk.wait(session)
    assert line.polls >= 1
    limit = seconds + desk_room.MARGIN
    assert limit < line.passed <= limit + 2 * pace


# -- the head of a node's ledger ---------------------------------------------------------------------------------------

NOW = 1_800_000_000
SQL = "SELECT COUNT(*) FROM consumer_credit"


class Rooms:
    """A line straight into the exchange's rooms; ``lost`` swallows messages of sessions on their way."""

    def __init__(self, store, party=""):
        self.store = store
        self.party = party
        self.lost = False

    def post(self, path, value):
        match path.split("/")[2:]:
            case ["datasets"]:
                return catalog.register(self.store, value)
            case ["policies"]:
                return catalog.publish_policy(self.store, value)
            case ["access", "officers"]:
                return {"officers": access.announce(self.store, value)}
            case ["keys"]:
                return keys.register(self.store, value)
            case ["sessions"]:
                return {"id": rounds.open_session(self.store, value, now=NOW)}
            case ["sessions", session, "messages"]:
                if self.lost:
                    raise Unreachable("lost", fix="-")
                return {"stage": rounds.receive(self.store, session, value, now=NOW).value}
            case ["poll"]:
                seq, head = rounds.witness(self.store, self.party, seq=value["seq"], head=value["head"])
                return {"tasks": rounds.tasks(self.store.view(), self.party), "witnessed": {"seq": seq, "head": head}}
        raise Unknown("page")


@dataclass
class Bench:
    """An exchange, its nodes and an asker in one process; every step of a session is taken by hand."""

    home: Path
    store: Store
    vaults: dict[str, Vault]
    lines: dict[str, Rooms]
    agents: dict[str, Agent]
    desk: Desk
    asked: int = 0

    def answering(self):
        """Open a session about a new question and lead it to where nodes answer; returns its id."""
        self.asked += 1
        sql = f"{SQL} WHERE balance >= {self.asked}"
        plan = parse(
            sql,
            standard=shipped(town.STANDARD),
            purpose=town.PURPOSE,
            parties=list(self.vaults),
            rho=1_000_000,
            shared=None,
        ).plan
        session = self.desk.ask(plan, now=NOW)
        for _ in ("judge", "commit"):
            for party in self.vaults:
                self.work(party)
        assert self.store.view().session(session)[0].stage is Stage.ANSWERING
        return session

    def work(self, party):
        """Let a node poll once and do what it is told; returns what it was told."""
        tasks = self.agents[party]._poll()
        for task in tasks:
            self.agents[party].perform(task)
        return [task["task"] for task in tasks]

    def witnessed(self, party):
        return self.store.heads.latest(party, self.store.view().witnessed(party))

    def restart(self, party, home):
        """Run the party's node on the ledger under ``home`` from now on."""
        self.vaults[party].close()
        self.vaults[party] = Vault.open(home, clock=lambda: NOW * 1_000_000)
        self.agents[party] = Agent(self.vaults[party], self.lines[party], seconds=lambda: NOW)


@pytest.fixture(scope="module")
def bench(tmp_path_factory):
    home = tmp_path_factory.mktemp("bench")
    settled = town.Town(home, people.synthesise(home, rows=1000), clock=lambda: NOW * 1_000_000)
    settled.settle()
    store = Store.open(home / "exchange", clock=settled.clock)
    names = ("bank-a", "bank-b", "bank-c")
    vaults = {party: Vault.open(home / party, clock=settled.clock) for party in names}
    lines = {party: Rooms(store, party) for party in names}
    agents = {party: Agent(vaults[party], lines[party], seconds=lambda: NOW) for party in names}
    for agent in agents.values():
        agent.announce()
    made = Bench(home, store, vaults, lines, agents, Desk(home / "lender-x", lambda _party, _key: Rooms(store)))
    yield made
    for vault in made.vaults.values():
        vault.close()
    store.close()


def test_announcing_moves_no_file_that_the_agents_own_thread_moves(bench):
    """A console or a command announces from another thread while the agent delivers what its owner has declared."""
    delivered = []
    agent = Agent(
        bench.vaults["bank-a"], bench.lines["bank-a"], seconds=lambda: NOW, deliver=lambda: delivered.append("now")
    )
    agent.announce()
    assert not delivered


def head_in(store, session, party):
    told = json.loads(store.view().session(session)[0].shares[party].body)
    return told["seq"], told["head"]


def test_a_charge_is_witnessed_with_its_answer(bench):
    session = bench.answering()
    before = bench.witnessed("bank-a")
    assert bench.work("bank-a") == ["answer"]
    shown = bench.witnessed("bank-a")
    assert shown == head_in(bench.store, session, "bank-a")
    assert before[0] < shown[0] <= bench.vaults["bank-a"].head[0]
    charged = bench.vaults["bank-a"].spending()[-1]
    assert charged["session"] == session
    assert charged["seq"] <= shown[0], "the head that was shown holds the charge"
    assert bench.vaults["bank-a"].book.journal.hash_at(shown[0]) == shown[1]
    assert [entry.kind for entry in bench.store.book.journal.entries()][-2:] == ["message", "witness"]


def test_a_ledger_set_back_to_before_its_charge_is_noticed_at_the_next_poll(bench):
    home = bench.home / "bank-b"
    bench.answering()
    backup = Path(shutil.copytree(home, bench.home / "backup", ignore=shutil.ignore_patterns("*.lock")))
    assert bench.work("bank-b") == ["answer"]
    bench.restart("bank-b", backup)
    assert bench.vaults["bank-b"].head[0] > 0
    with pytest.raises(RolledBack, match="which the exchange has witnessed"):
        bench.work("bank-b")
    bench.restart("bank-b", home)
    bench.work("bank-b")


def test_an_answer_that_comes_after_a_later_poll_is_taken_and_its_older_head_not_noted(bench):
    session = bench.answering()
    bench.lines["bank-c"].lost = True
    assert bench.work("bank-c") == ["answer"]
    bench.lines["bank-c"].lost = False
    assert bench.work("bank-c") == ["answer"], "the same again, byte for byte"
    later = bench.witnessed("bank-c")
    assert later == bench.vaults["bank-c"].head
    assert head_in(bench.store, session, "bank-c")[0] < later[0]


def test_who_waits_is_woken_when_a_stage_is_complete_and_not_before(bench):
    rung = []
    bench.desk.registered_key()
    while any(bench.work(party) for party in bench.vaults):
        pass  # what other tests have left to do
    stop = bench.store.listen(lambda: rung.append(bench.store.book.head[0]))
    session = bench.answering()
    assert len(rung) == 3, "the session opened, all had accepted, all had committed"
    bench.work("bank-a")
    bench.work("bank-b")
    rounds.note_heads(bench.store)
    assert len(rung) == 3
    bench.work("bank-c")
    assert bench.store.view().session(session)[0].stage is Stage.ANSWERED
    assert len(rung) == 4
    stop()
    bench.answering()
    assert len(rung) == 4


def test_a_clock_that_is_set_back_does_not_bring_back_a_grant_that_has_ended(bench):
    vault, day = bench.vaults["bank-a"], 86_400
    dataset = vault.dataset(town.STANDARD)
    held = vault.policy(dataset.name)
    ended = tuple(str(datetime.fromtimestamp(NOW - days * day, tz=UTC).date()) for days in (90, 30))
    grants = tuple(replace(grant, valid=ended) for grant in held.grants)
    vault.keep(dataset, replace(held, version=held.version + 1, grants=grants))
    plan = parse(SQL, standard=dataset.standard, purpose=town.PURPOSE, parties=list(bench.vaults), rho=1_000_000).plan
    for back in (0, 60 * day):
        agent = Agent(vault, bench.lines["bank-a"], seconds=lambda back=back: NOW - back)
        with pytest.raises(PrivacyError, match="its purpose needs: date"):
            agent._weigh(plan, asker="lender-x", keeps=0, bits=3072)
    vault.keep(dataset, replace(held, version=held.version + 2))
    agent = Agent(vault, bench.lines["bank-a"], seconds=lambda: NOW)
    assert agent._weigh(plan, asker="lender-x", keeps=0, bits=3072).price == 1_000_000


def test_heads_shown_on_polls_are_journaled_together_and_once(bench):
    bench.answering()
    before, _ = bench.store.book.head
    shown = {party: bench.vaults[party].head for party in bench.vaults}
    for party in bench.vaults:
        bench.agents[party]._poll()
    assert bench.store.book.head[0] == before, "a poll alone writes nothing"
    rounds.note_heads(bench.store)
    entries = list(bench.store.book.journal.entries())
    noted = {entry.body["party"]: (entry.body["seq"], entry.body["hash"]) for entry in entries[before:]}
    assert noted == shown
    assert {entry.kind for entry in entries[before:]} == {"witness"}
    assert {party: bench.store.view().witnessed(party) for party in shown} == shown
    rounds.note_heads(bench.store)
    assert bench.store.book.head[0] == before + len(shown)


def test_an_answer_with_another_history_than_was_shown_is_refused(bench):
    session = bench.answering()
    seq, head = bench.witnessed("bank-a")
    held = bench.store.view().session(session)[0]
    ask = bench.store.view().key(held.key_fingerprint)
    key = stored_key(ask, bench.store.view().signer(ask.signer))
    good = seal.seal(Masked((5,), key.n), key).to_wire()
    signing = bench.vaults["bank-a"].signing
    fields = {"session": session, "roster_hash": held.roster_hash, "charged": 0, "left": 0}
    forked = Share(**fields, ciphertexts=tuple(good), seq=seq, head=OTHER if head != OTHER else KEY)
    before = bench.store.book.head
    with pytest.raises(PeerFault, match="another journal"):
        rounds.receive(bench.store, session, forked.sealed_by("bank-a", signing), now=NOW)
    bad = Share(**fields, ciphertexts=("A" * 1024,), seq=seq + 9, head=OTHER)
    with pytest.raises(Malformed):
        rounds.receive(bench.store, session, bad.sealed_by("bank-a", signing), now=NOW)
    assert bench.store.book.head == before, "nothing of what is refused is witnessed"
    assert bench.witnessed("bank-a") == (seq, head)
