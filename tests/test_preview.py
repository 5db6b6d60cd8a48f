"""Previews: what a plan would meet at every node, for nothing; over real processes, and against hostile messages."""

import json
import os
import secrets
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from api.demo import people, town
from exchange.analyst import desk as desk_room
from exchange.analyst.desk import Desk
from exchange.analyst.reading import parse
from exchange.hub import catalog, previews, rounds
from exchange.hub.previews import Previews
from exchange.hub.store import Store
from exchange.line import Line
from exchange.node.agent import LEEWAY, Agent
from exchange.node.vault import Vault
from exchange.protocol.envelope import Envelope
from exchange.protocol.errors import Overreach, PeerFault, Unknown
from exchange.protocol.messages import (
    Accept,
    Ask,
    Decline,
    Indication,
    Preview,
    Refusal,
    Verdict,
    expect,
)
from exchange.standards import shipped
from privacy.errors import Exhausted, Malformed, Mismatch, PrivacyError
from privacy.plan import CountKnown
from privacy.terms import NANO
from tests.asked import open_desk, put

BANKS = ("bank-a", "bank-b", "bank-c")
PRICE = NANO // 10
NOW = 1_800_000_000
HEX = "5e" * 32
FORBIDDEN = "SELECT education, SUM(income) FROM consumer_credit GROUP BY education"


def plan_of(sql="SELECT region, COUNT(*), SUM(balance) FROM consumer_credit GROUP BY region", *, parties=BANKS):
    return parse(
        sql, standard=shipped(town.STANDARD), purpose=town.PURPOSE, parties=parties, rho=PRICE, shared=None
    ).plan


def key_of(home, party):
    return Ed25519PrivateKey.from_private_bytes(bytes.fromhex((home / party / "signing.key").read_text()))


def heard(store, envelope):
    return expect(envelope, store.view().signer(envelope.signer), Verdict)


# -- over real processes -----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    home = tmp_path_factory.mktemp("preview")
    institutions = people.synthesise(home, rows=1000)
    with town.Town(home, institutions, clock=lambda: time.time_ns() // 1000) as made:
        made.settle()
        made.start_exchange()
        for one in institutions:
            made.start_node(one.party)
        yield made


@pytest.fixture
def desk(running):
    opened = open_desk(running.home / "lender-x", running.url)
    with opened.line:
        yield opened


def look(desk, plan, *, seconds=20):
    return desk.preview(plan, now=int(time.time()), seconds=seconds)


def journals(home):
    """Every byte that the exchange and the nodes have on record."""
    return {
        path.relative_to(home): path.read_bytes()
        for party in ("exchange", *BANKS)
        for path in sorted((home / party / "journal").rglob("*"))
        if path.is_file()
    }


def settled_journals(home):
    """The same, once the heads that nodes showed on their last polls are on record, too."""
    before = journals(home)
    while True:
        time.sleep(2)
        after = journals(home)
        if after == before:
            return after
        before = after


def ask(desk, sql):
    return put(desk, sql, rho=PRICE)


def test_a_preview_tells_the_price_while_nothing_is_written_and_no_row_read(running, desk):
    plan = plan_of()
    look(desk, plan)  # every node has polled by now: what it shows at its first poll is on record
    before = settled_journals(running.home)
    assert before
    sources = [Path(one.location.path) for one in running.institutions]
    for path in sources:
        path.rename(path.with_suffix(".away"))
    try:
        started = time.monotonic()
        told = look(desk, plan)
        took = time.monotonic() - started
    finally:
        for path in sources:
            path.with_suffix(".away").rename(path)
    assert took < 5, "the nodes were woken; nobody waited for the time to be over"
    assert told.allowed
    assert told.violations == ()
    assert told.nearest is None
    assert tuple(told.verdicts) == BANKS
    for one in running.institutions:
        verdict = told.verdicts[one.party]
        assert isinstance(verdict.outcome, Indication)
        assert verdict.plan_hash == plan.hash
        assert verdict.outcome.price == PRICE
        assert (verdict.outcome.cap, verdict.outcome.left) == ("purpose", town.BUDGETS[town.PURPOSE])
        assert verdict.outcome.min_group == town.MIN_GROUP
        assert verdict.outcome.version == town.REFRESHED
    assert journals(running.home) == before


def test_a_stored_answer_is_told_as_free_and_a_spent_budget_as_spent(running, desk):
    questions = [f"SELECT COUNT(*) FROM consumer_credit WHERE balance >= {least}" for least in range(1, 6)]
    first = ask(desk, questions[0])
    told = look(desk, first.question.plan)
    assert {verdict.outcome.price for verdict in told.verdicts.values()} == {0}
    assert {verdict.outcome.left for verdict in told.verdicts.values()} == {town.BUDGETS[town.PURPOSE] - PRICE}
    for sql in questions[1:4]:
        ask(desk, sql)
    plan = plan_of(questions[4])
    gone = look(desk, plan)
    assert not gone.allowed
    assert gone.violations == (), "the exchange knows policies, not budgets"
    for verdict in gone.verdicts.values():
        assert isinstance(verdict.outcome, Refusal)
        assert "the purpose budget has 0 rho left" in verdict.outcome.reason
        assert verdict.outcome.offences == ()
    with pytest.raises(PrivacyError, match="the purpose budget has 0 rho left"):
        ask(desk, questions[4])
    again = look(desk, first.question.plan)
    assert again.allowed, "what is stored stays free when nothing is left"


def test_a_refusal_names_every_item_by_the_exchange_and_by_each_node(running, desk):
    before = settled_journals(running.home)
    told = look(desk, plan_of(FORBIDDEN))
    assert not told.allowed
    assert "income as sum" in {violation.item for violation in told.violations}
    assert told.nearest is not None
    for verdict in told.verdicts.values():
        assert isinstance(verdict.outcome, Refusal)
        assert "income as sum" in {offence.item for offence in verdict.outcome.offences}
    assert journals(running.home) == before, "a refused preview is no refusal on record"


def test_only_the_asker_sees_its_preview(running, desk):
    signed = desk.sign(Preview(plan=plan_of().to_json(), keeps=30, nonce=HEX, expires=int(time.time()) + 30))
    assert desk.line.post("/v1/previews", signed) == {"id": signed.id}
    assert desk.line.post("/v1/previews", signed) == {"id": signed.id}, "a repetition changes nothing"
    record = desk.line.get(f"/v1/previews/{signed.id}?wait=10&seen=2")
    assert record["heard"] == 3
    assert record["waiting_for"] == []
    for party in ("lender-y", "bank-a"):
        with Line(running.url, party=party, key=key_of(running.home, party)) as line:
            with pytest.raises(Unknown):
                line.get(f"/v1/previews/{signed.id}")
            with pytest.raises(Unknown):
                line.get(f"/v1/previews/{HEX}")


def test_a_node_that_does_not_run_is_told_as_not_on_line(running, desk):
    os.kill(running.running()["bank-b"], signal.SIGKILL)
    started = time.monotonic()
    told = look(desk, plan_of(), seconds=3)
    assert 2.5 < time.monotonic() - started < 8
    assert {party for party, verdict in told.verdicts.items() if verdict is None} == {"bank-b"}
    assert not told.allowed
    assert isinstance(told.verdicts["bank-a"], Verdict)


# -- in one process, with hostile messages -----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def settled(tmp_path_factory):
    """A town with registered datasets, of which nothing runs: an open store and open vaults."""
    home = tmp_path_factory.mktemp("settled")
    institutions = people.synthesise(home, rows=1000)
    made = town.Town(home, institutions, clock=lambda: NOW * 1_000_000)
    made.settle()
    store = Store.open(home / "exchange", clock=made.clock)
    vaults = {party: Vault.open(home / party, clock=made.clock) for party in BANKS}
    for vault in vaults.values():
        Agent(vault, Direct(store), seconds=lambda: NOW).announce()
    yield home, store, vaults
    for vault in vaults.values():
        vault.close()
    store.close()


class Direct:
    """A line that goes to the exchange's rooms without a service, to its previews if given, and remembers what was posted."""

    def __init__(self, store, held=None):
        self.store = store
        self.held = held
        self.posted = []

    def post(self, path, value):
        self.posted.append((path, value))
        match path.split("/")[2:]:
            case ["datasets"]:
                return catalog.register(self.store, value)
            case ["policies"]:
                return catalog.publish_policy(self.store, value)
            case ["previews", name, "verdicts"] if self.held is not None:
                return {"heard": self.held.receive(name, value, now=NOW)}
        return {}


@pytest.fixture
def hub(settled):
    return Previews(settled[1])


def signed_by(settled, party, message):
    return message.sealed_by(party, key_of(settled[0], party))


def preview(settled, *, by="lender-x", plan=None, expires=NOW + 30):
    document = (plan or plan_of()).to_json()
    return signed_by(settled, by, Preview(plan=document, keeps=30, nonce=secrets.token_hex(32), expires=expires))


def verdict(settled, asked, *, by="bank-a", plan_hash=None, price=1, preview_id=None):
    outcome = Indication(policy_digest=HEX, version="x", price=price, left=2, cap="purpose", min_group=3)
    plan_hash = plan_hash or plan_of().hash
    return signed_by(settled, by, Verdict(preview=preview_id or asked.id, plan_hash=plan_hash, outcome=outcome))


def head(settled):
    return settled[1].book.head, [vault.book.head for vault in settled[2].values()]


def test_nodes_take_the_task_answer_once_and_write_nothing(settled, hub):
    before = head(settled)
    asked = preview(settled)
    assert hub.open(asked, now=NOW) == asked.id
    for count, (party, vault) in enumerate(settled[2].items(), start=1):
        [task] = hub.tasks(party, now=NOW)
        assert task == {"task": "preview", "ask": asked.to_json()}
        assert Agent(vault, Direct(settled[1], hub), seconds=lambda: NOW).perform(json.loads(json.dumps(task)))
        assert hub.tasks(party, now=NOW) == []
        record = hub.describe(asked.id, caller="lender-x", now=NOW)
        assert record["heard"] == count
        assert record["waiting_for"] == list(BANKS[count:])
    assert record["violations"] == []
    told = [heard(settled[1], Envelope.from_json(one)) for one in record["verdicts"]]
    assert [one.outcome.price for one in told] == [PRICE] * 3
    assert head(settled) == before
    assert hub.tasks("lender-x", now=NOW) == []


def test_a_session_and_a_preview_are_judged_by_one_rule(settled, hub, monkeypatch):
    vault = settled[2]["bank-a"]
    agent = Agent(vault, Direct(settled[1], hub), seconds=lambda: NOW)
    asked = preview(settled)
    hub.open(asked, now=NOW)
    for error in (Exhausted(asked=5, left=3, cap="partner"), Overreach((), None)):

        def weigh(*_, error=error, **__):
            raise error

        monkeypatch.setattr(Agent, "_weigh", weigh)
        monkeypatch.setattr(Agent, "_key", lambda *_: type("Key", (), {"bits": 3072}))
        ask = Ask(plan=plan_of().to_json(), keeps=30, key=HEX, nonce=HEX, expires=NOW)
        with pytest.raises(type(error)):
            agent._verdict(asked, ask, plan_of())


def test_a_preview_that_a_node_cannot_verify_is_left_alone(settled, hub):
    vault = settled[2]["bank-a"]
    before = vault.book.head
    line = Direct(settled[1], hub)
    agent = Agent(vault, line, seconds=lambda: NOW)
    good = preview(settled)
    stranger = Preview(plan=plan_of().to_json(), keeps=30, nonce=HEX, expires=NOW).sealed_by(
        "nobody", key_of(settled[0], "bank-b")
    )
    forged = Envelope(good.kind, "lender-y", good.body, good.signature)
    late = preview(settled, expires=NOW - LEEWAY - 1)
    bent = preview(settled).to_json() | {"body": good.to_json()["body"].replace("region", "month")}
    ask = signed_by(settled, "lender-x", Ask(plan=plan_of().to_json(), keeps=30, key=HEX, nonce=HEX, expires=NOW))
    no_plan = signed_by(settled, "lender-x", Preview(plan={"rho": 1}, keeps=30, nonce=HEX, expires=NOW))
    for task in [*(one.to_json() for one in (stranger, forged, late, ask, no_plan)), bent, None, {}, 7, "x"]:
        assert not agent.perform({"task": "preview", "ask": task})
    assert not agent.perform({"task": "preview"})
    assert line.posted == []
    assert vault.book.head == before


def test_a_plan_without_this_institution_is_declined(settled, hub):
    line = Direct(settled[1])
    agent = Agent(settled[2]["bank-a"], line, seconds=lambda: NOW)
    for parties in (("bank-b", "bank-c"), (*BANKS, "bank-z")):
        assert agent.perform({"task": "preview", "ask": preview(settled, plan=plan_of(parties=parties)).to_json()})
        told = heard(settled[1], line.posted[-1][1])
        assert isinstance(told.outcome, Refusal)


def test_a_plan_of_very_many_offences_is_declined_and_ends_no_node(settled):
    plan = plan_of()
    columns = tuple(CountKnown(f"a_column_that_nobody_has_{number:03}") for number in range(60))
    wide = replace(plan, measures=columns, prices=(), bounds=())
    line = Direct(settled[1])
    agent = Agent(settled[2]["bank-a"], line, seconds=lambda: NOW)
    assert agent.perform({"task": "preview", "ask": preview(settled, plan=wide).to_json()})
    told = heard(settled[1], line.posted[-1][1])
    assert isinstance(told.outcome, Refusal)
    assert len(told.outcome.offences) >= 60
    assert len(told.outcome.reason) <= 400


def test_a_verdict_is_heard_from_its_own_node_about_this_preview_once(settled, hub):
    one, two = preview(settled), preview(settled)
    hub.open(one, now=NOW)
    hub.open(two, now=NOW)
    good = verdict(settled, one)
    with pytest.raises(PeerFault, match="another preview"):
        hub.receive(two.id, good, now=NOW)
    with pytest.raises(PeerFault, match="another preview"):
        hub.receive(one.id, verdict(settled, one, plan_hash=HEX), now=NOW)
    for stranger in ("lender-x", "lender-y"):
        with pytest.raises(Unknown):
            hub.receive(one.id, verdict(settled, one, by=stranger), now=NOW)
    forged = Envelope(good.kind, "bank-b", good.body, good.signature)
    with pytest.raises(Mismatch):
        hub.receive(one.id, forged, now=NOW)
    with pytest.raises(Unknown):
        hub.receive(HEX, verdict(settled, one, preview_id=HEX), now=NOW)
    assert hub.describe(one.id, caller="lender-x", now=NOW)["heard"] == 0
    assert hub.receive(one.id, good, now=NOW) == 1
    assert hub.receive(one.id, good, now=NOW) == 1, "a repetition changes nothing"
    with pytest.raises(PeerFault, match="something else"):
        hub.receive(one.id, verdict(settled, one, price=7), now=NOW)
    record = hub.describe(one.id, caller="lender-x", now=NOW)
    assert record["verdicts"] == [good.to_json()]


def test_a_verdict_that_is_too_long_is_not_held(settled, hub):
    asked = preview(settled)
    hub.open(asked, now=NOW)
    item = {"item": "i" * 400, "layer": "l" * 400, "rule": "r" * 400, "why": "w" * 400, "fix": "f" * 400}
    outcome = Refusal.model_validate_json(json.dumps({"reason": "r", "fix": "f", "offences": [item] * 9}))
    long = signed_by(settled, "bank-a", Verdict(preview=asked.id, plan_hash=plan_of().hash, outcome=outcome))
    with pytest.raises(PeerFault, match="longer"):
        hub.receive(asked.id, long, now=NOW)
    assert hub.describe(asked.id, caller="lender-x", now=NOW)["heard"] == 0


def test_no_message_of_a_preview_has_a_place_in_a_session(settled, hub):
    store = settled[1]
    asked = preview(settled)
    hub.open(asked, now=NOW)
    told = verdict(settled, asked)
    hub.receive(asked.id, told, now=NOW)
    with pytest.raises(Malformed):
        expect(told, store.view().signer(told.signer), Accept)
    with pytest.raises(Malformed):
        expect(asked, store.view().signer(asked.signer), Ask)
    with pytest.raises(Malformed):
        rounds.open_session(store, asked, now=NOW)
    with pytest.raises(Unknown):
        rounds.receive(store, asked.id, told, now=NOW)
    relabelled = Envelope("accept", told.signer, told.body, told.signature)
    with pytest.raises(Mismatch):
        expect(relabelled, store.view().signer(told.signer), Accept)
    session = signed_by(
        settled, "lender-x", Ask(plan=plan_of().to_json(), keeps=30, key=HEX, nonce=HEX, expires=NOW + 9)
    )
    with pytest.raises(Malformed):
        hub.open(session, now=NOW)
    decline = signed_by(settled, "bank-b", Decline(session=asked.id, reason="no", fix="-", offences=()))
    with pytest.raises(Malformed):
        hub.receive(asked.id, decline, now=NOW)


def test_a_preview_ends_with_its_deadline_and_within_a_minute(settled, hub):
    short, long = preview(settled, expires=NOW + 5), preview(settled, expires=NOW + 100)
    for asked in (short, long):
        hub.open(asked, now=NOW)
    assert len(hub.tasks("bank-a", now=NOW + 5)) == 2
    assert hub.tasks("bank-a", now=NOW + 6) == [{"task": "preview", "ask": long.to_json()}]
    with pytest.raises(Unknown):
        hub.describe(short.id, caller="lender-x", now=NOW + 6)
    with pytest.raises(Unknown):
        hub.receive(short.id, verdict(settled, short), now=NOW + 6)
    assert hub.describe(long.id, caller="lender-x", now=NOW + 60)["heard"] == 0
    with pytest.raises(Unknown):
        hub.describe(long.id, caller="lender-x", now=NOW + 61)
    for expires in (NOW, NOW - 1, NOW + 121, 0):
        with pytest.raises(Malformed):
            hub.open(preview(settled, expires=expires), now=NOW)


def test_plans_that_no_session_would_take_are_not_held(settled, hub):
    with pytest.raises(Unknown):
        hub.open(preview(settled, plan=plan_of(parties=(*BANKS, "bank-z"))), now=NOW)
    with pytest.raises(Malformed):
        hub.open(signed_by(settled, "lender-x", Preview(plan={}, keeps=30, nonce=HEX, expires=NOW + 9)), now=NOW)
    with pytest.raises(Mismatch):
        hub.open(
            Preview(plan={}, keeps=30, nonce=HEX, expires=NOW + 9).sealed_by("x", key_of(settled[0], "bank-a")), now=NOW
        )
    assert all(hub.tasks(party, now=NOW) == [] for party in BANKS)


def test_a_flood_is_refused_at_its_bounds(settled, hub, monkeypatch):
    monkeypatch.setattr(previews, "MOST", 12)
    monkeypatch.setattr(previews, "MOST_OF_ONE", 7)
    mine = [preview(settled) for _ in range(8)]
    for asked in mine[:7]:
        hub.open(asked, now=NOW)
    with pytest.raises(PeerFault, match="your previews"):
        hub.open(mine[7], now=NOW)
    hub.open(mine[0], now=NOW)  # known already: needs no room
    theirs = [preview(settled, by="lender-y") for _ in range(6)]
    for asked in theirs[:5]:
        hub.open(asked, now=NOW)
    with pytest.raises(PeerFault, match="as many previews as it can"):
        hub.open(theirs[5], now=NOW)
    hub.open(preview(settled, expires=NOW + 40), now=NOW + 31)


def test_a_flood_of_bytes_is_refused_too(settled, hub, monkeypatch):
    size = len(preview(settled).body) + 3 * previews.LONGEST_VERDICT
    monkeypatch.setattr(previews, "ROOM_OF_ONE", 2 * size)
    monkeypatch.setattr(previews, "ROOM", 3 * size)
    for _ in range(2):
        hub.open(preview(settled), now=NOW)
    with pytest.raises(PeerFault, match="your previews"):
        hub.open(preview(settled), now=NOW)
    hub.open(preview(settled, by="lender-y"), now=NOW)
    with pytest.raises(PeerFault, match="as many previews as it can"):
        hub.open(preview(settled, by="lender-y"), now=NOW)


def test_previews_that_a_node_leaves_alone_do_not_stand_in_the_way(settled, hub):
    for _ in range(40):
        hub.open(preview(settled, by="lender-y"), now=NOW)
    last = preview(settled)
    hub.open(last, now=NOW)
    handed = [hub.tasks("bank-a", now=NOW) for _ in range(3)]
    assert [len(tasks) for tasks in handed] == [previews.AT_ONCE] * 3
    assert {"task": "preview", "ask": last.to_json()} in handed[2]


def test_many_threads_at_once_see_whole_previews(settled, hub):
    asked = [preview(settled, by=by) for by in ("lender-x", "lender-y") for _ in range(20)]
    start = threading.Barrier(8)

    def work(number):
        start.wait()
        for one in asked:
            hub.open(one, now=NOW)
            hub.tasks("bank-a", now=NOW)
            with pytest.raises(PeerFault) if number % 2 else nullcontext():
                hub.receive(one.id, verdict(settled, one, price=0, plan_hash=HEX if number % 2 else None), now=NOW)
        return [hub.describe(one.id, caller=one.signer, now=NOW)["heard"] for one in asked]

    with ThreadPoolExecutor(8) as pool:
        told = list(pool.map(work, range(8)))
    assert all(heard == 1 for heard in told[0])
    assert all(hub.describe(one.id, caller=one.signer, now=NOW)["heard"] == 1 for one in asked)


# -- the desk trusts signatures, not the exchange ----------------------------------------------------------------------


class Told:
    """A line to an exchange that answers a preview with whatever it is told to."""

    def __init__(self, record):
        self.record = record
        self.asked = None
        self.calls = 0

    def post(self, path, value):
        self.asked = value
        return {"id": value.id}

    def get(self, path):
        self.calls += 1
        return self.record(self.asked)


@pytest.fixture
def desk_told(settled):
    def told(record, **options):
        line = Told(record)
        ticks = iter(range(1000))
        desk = Desk(settled[0] / "lender-x", lambda _party, _key: line, ticking=lambda: next(ticks))
        return desk.preview(plan_of(), now=NOW, **options), line

    return told


def record(*verdicts, violations=(), nearest=None):
    return {
        "verdicts": [one.to_json() for one in verdicts],
        "violations": list(violations),
        "nearest": nearest,
        "keeps": None,
    }


def test_a_desk_waits_until_the_time_is_over_and_no_longer(settled, desk_told):
    told, line = desk_told(lambda asked: record(verdict(settled, asked)), seconds=5)
    assert [party for party, one in told.verdicts.items() if one is None] == ["bank-b", "bank-c"]
    assert line.calls == 5
    told, line = desk_told(lambda asked: record(*(verdict(settled, asked, by=party) for party in BANKS)))
    assert line.calls == 1
    assert told.allowed


@pytest.mark.parametrize(
    "twist",
    [
        lambda settled, asked: record(verdict(settled, asked, preview_id=HEX)),
        lambda settled, asked: record(verdict(settled, asked, plan_hash=HEX)),
        lambda settled, asked: record(verdict(settled, asked), verdict(settled, asked, price=9)),
        lambda settled, asked: record(verdict(settled, asked), verdict(settled, asked)),
        lambda settled, asked: record(verdict(settled, asked, by="lender-y")),
        lambda settled, asked: record(Envelope("verdict", "bank-b", *_parts(verdict(settled, asked)))),
        lambda settled, asked: record(asked),
        lambda settled, asked: record(verdict(settled, asked), violations=[{"item": "x"}]),
        lambda settled, asked: record(violations=[None]),
        lambda settled, asked: record(nearest={"rho": 1}),
        lambda settled, asked: {},
        lambda settled, asked: None,
        lambda settled, asked: [],
        lambda settled, asked: {"verdicts": [None], "violations": [], "nearest": None, "keeps": None},
        lambda settled, asked: {"verdicts": {}, "violations": [], "nearest": None, "keeps": None},
    ],
    ids=range(15),
)
def test_a_desk_believes_no_record_that_does_not_fit(settled, desk_told, twist):
    with pytest.raises((Mismatch, Malformed, PeerFault)):
        desk_told(lambda asked: twist(settled, asked))


def _parts(envelope):
    return envelope.body, envelope.signature


def test_a_desk_follows_no_other_preview_than_its_own(settled):
    class Other(Told):
        def post(self, path, value):
            return {"id": HEX}

    desk = Desk(settled[0] / "lender-x", lambda _party, _key: Other(None))
    with pytest.raises(Mismatch, match="another preview"):
        desk.preview(plan_of(), now=NOW)


def test_an_outlook_is_allowed_when_everybody_would_answer(settled):
    indication = Indication(policy_digest=HEX, version="x", price=0, left=0, cap="purpose", min_group=0)
    yes = Verdict(preview=HEX, plan_hash=HEX, outcome=indication)
    no = Verdict(preview=HEX, plan_hash=HEX, outcome=Refusal(reason="r", fix="f", offences=()))
    for verdicts, allowed in (([yes, yes], True), ([yes, no], False), ([yes, None], False)):
        told = desk_room.Outlook(dict(zip(BANKS, verdicts, strict=False)), (), None)
        assert told.allowed is allowed
