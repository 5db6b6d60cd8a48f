"""A node's memory: charged once, never beyond a cap, whole after any end of the process."""

import json
import os
import shutil
import signal
import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from itertools import count
from pathlib import Path
from threading import Barrier

import duckdb
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from exchange.node.engine import Location
from exchange.node.source import Dataset, Field
from exchange.node.vault import Account, Vault, create
from exchange.protocol.envelope import sign
from exchange.protocol.errors import PeerFault, Unknown
from exchange.protocol.session import PART_TABLE, Move, Part
from exchange.standards import shipped
from privacy.errors import Exhausted, Malformed
from privacy.noise import Noised
from privacy.plan import CountKnown, CountRows, Plan
from privacy.policy import Grant, Policy

ROOT = Path(__file__).parents[1]
CREDIT = shipped("consumer_credit/1")
PURPOSE, OTHER = "credit-risk-statistics", "pledge-valuation"
LENDER = Ed25519PrivateKey.from_private_bytes(bytes(32))
PRICE = 100
ROWS = (CountRows(),)


def opened(home):
    ticks = count(1_700_000_000_000_000, 1000)
    return Vault.open(home, clock=lambda: next(ticks))


def a_dataset(refreshed="2026-10-31"):
    mapping = {"person": Field(source="p")}
    return Dataset("accounts", "Accounts", CREDIT, "people", Location("csv", "/x.csv"), mapping, refreshed)


def a_policy(*, everyone=1_000, partner=1_000, purpose=1_000, other=1_000, version=1):
    grants = tuple(
        Grant(name, ("*",), {"*": ("count",)}, min_parties=1, min_group=0, rho_per_query=1_000, budget=budget)
        for name, budget in ((PURPOSE, purpose), (OTHER, other))
    )
    return Policy("bank-a", "accounts", CREDIT.id, version, everyone, partner, grants, {}, {})


def a_plan(*, rho=PRICE, purpose=PURPOSE, parties=("bank-a", "bank-b", "bank-c"), measures=ROWS):
    return Plan(
        standard=CREDIT.id,
        standard_digest=CREDIT.digest,
        purpose=purpose,
        parties=parties,
        rows_per_unit=6,
        institutions_per_unit=2,
        groups=(),
        where=(),
        measures=measures,
        rho=rho,
    )


def judge(vault, label, plan, part=Part.ACCEPTED):
    ask = sign("ask", {"label": label}, signer="lender", key=LENDER)
    reply = sign("accept", {"label": label}, signer="bank-a", key=vault.signing)
    vault.judged(ask, plan_hash=plan.hash, part=part, reply=reply)
    return ask.id


def promise(vault, label, plan):
    """A session in which the node has signed the roster: the next step is the charge."""
    session = judge(vault, label, plan)
    vault.move(session, Move.COMMIT, roster="r" * 64)
    return session


def pay(vault, label, plan, *, partner="lender", dataset=None):
    session = promise(vault, label, plan)
    return vault.charge(plan, session=session, partner=partner, dataset=dataset or a_dataset())


def state(vault):
    tables = ("pinned", "dataset", "policy", "part", "charge", "noised", "consent")
    return {table: vault.book.read(f"SELECT * FROM {table} ORDER BY ALL") for table in tables}


@pytest.fixture
def home(tmp_path):
    create(tmp_path / "node", party="bank-a")
    return tmp_path / "node"


@pytest.fixture
def vault(home):
    kept = opened(home)
    kept.keep(a_dataset(), a_policy())
    yield kept
    kept.close()


# -- charges ---------------------------------------------------------------------------------------------------------


def test_a_plan_is_charged_once_for_each_version_of_the_data(vault):
    plan = a_plan()
    receipt, charged = pay(vault, "first", plan)
    assert (charged, receipt.charged, receipt.left) == (PRICE, PRICE, 900)
    assert (receipt.plan_hash, receipt.population, receipt.partner) == (plan.hash, "people", "lender")
    for again in ("second", "third"):
        receipt, charged = pay(vault, again, plan)
        assert (charged, receipt.charged, receipt.left) == (0, 0, 900)
    newer = a_dataset("2026-11-30")
    assert vault.price(plan, partner="lender", dataset=newer)[0] == PRICE
    assert pay(vault, "fourth", plan, dataset=newer)[1] == PRICE
    assert vault.price(plan, partner="lender", dataset=newer)[0] == 0
    # another roster, another measure, another price: other questions
    assert pay(vault, "fifth", a_plan(parties=("bank-a", "bank-b")))[1] == PRICE
    assert pay(vault, "sixth", a_plan(measures=(CountRows(), CountKnown("region"))))[1] == PRICE
    assert pay(vault, "seventh", a_plan(rho=PRICE + 1))[1] == PRICE + 1
    assert [charge["nano"] for charge in vault.spending()] == [100, 100, 100, 100, 101]
    assert vault.price(a_plan(rho=7), partner="lender", dataset=newer)[1].left == 499


@pytest.mark.parametrize(
    ("caps", "cap"),
    [({"everyone": 250}, "population"), ({"partner": 250}, "partner"), ({"purpose": 250}, "purpose")],
)
def test_each_cap_holds_to_the_last_unit(home, caps, cap):
    vault = opened(home)
    vault.keep(a_dataset(), a_policy(**caps))
    pay(vault, "a", a_plan(rho=100))
    pay(vault, "b", a_plan(rho=149))
    session = promise(vault, "c", a_plan(rho=2))
    head = vault.book.head
    with pytest.raises(Exhausted) as caught:
        vault.charge(a_plan(rho=2), session=session, partner="lender", dataset=a_dataset())
    assert (caught.value.asked, caught.value.left, caught.value.cap) == (2, 1, cap)
    assert vault.book.head == head  # a refused charge leaves no trace
    assert vault.standing(session).part is Part.COMMITTED
    assert vault.price(a_plan(rho=2), partner="lender", dataset=a_dataset()) == (2, Account(cap, 1))
    assert pay(vault, "d", a_plan(rho=1))[0].left == 0
    with pytest.raises(Exhausted):
        pay(vault, "e", a_plan(rho=1, parties=("bank-a",)))
    # what was paid for stays free
    assert pay(vault, "f", a_plan(rho=100))[1] == 0
    vault.close()


def test_partners_and_purposes_have_their_own_caps_under_the_common_one(home):
    vault = opened(home)
    vault.keep(a_dataset(), a_policy(everyone=350, partner=200, purpose=1_000, other=120))
    pay(vault, "a", a_plan(rho=200), partner="one")
    with pytest.raises(Exhausted, match="partner"):
        pay(vault, "b", a_plan(rho=1), partner="one")
    pay(vault, "c", a_plan(rho=120, purpose=OTHER), partner="two")
    with pytest.raises(Exhausted, match="purpose"):
        pay(vault, "d", a_plan(rho=1, purpose=OTHER), partner="two")
    pay(vault, "e", a_plan(rho=30), partner="two")
    with pytest.raises(Exhausted, match="population"):
        pay(vault, "f", a_plan(rho=1), partner="three")
    assert sum(charge["nano"] for charge in vault.spending()) == 350
    vault.close()


def test_lowering_a_cap_below_what_is_spent_refuses_without_owing(vault):
    pay(vault, "a", a_plan(rho=500))
    vault.keep(a_dataset(), a_policy(everyone=400, version=2))
    assert vault.price(a_plan(rho=1), partner="lender", dataset=a_dataset())[1] == Account("population", 0)
    with pytest.raises(Exhausted) as caught:
        pay(vault, "b", a_plan(rho=1))
    assert caught.value.left == 0
    assert pay(vault, "c", a_plan(rho=500))[0].left == 0


def test_of_64_racing_for_the_last_units_exactly_one_is_served(home):
    vault = opened(home)
    vault.keep(a_dataset(), a_policy(everyone=250))
    pay(vault, "spent", a_plan(rho=150))
    plans = [a_plan(rho=100, parties=("bank-a", f"bank-{i}")) for i in range(64)]
    sessions = [promise(vault, i, plan) for i, plan in enumerate(plans)]
    start = Barrier(64)

    def race(plan, session):
        start.wait()
        try:
            return vault.charge(plan, session=session, partner="lender", dataset=a_dataset())[1]
        except Exhausted:
            return None

    with ThreadPoolExecutor(64) as pool:
        outcomes = list(pool.map(race, plans, sessions))
    assert sorted(outcomes, key=str) == [100] + [None] * 63
    assert sum(charge["nano"] for charge in vault.spending()) == 250
    served = sessions[outcomes.index(100)]
    assert [vault.standing(s).part for s in sessions if s == served] == [Part.CHARGED]
    assert {vault.standing(s).part for s in sessions if s != served} == {Part.COMMITTED}
    vault.close()


def test_of_64_sessions_of_one_plan_one_pays(home):
    vault = opened(home)
    vault.keep(a_dataset(), a_policy(everyone=PRICE))
    plan = a_plan()
    sessions = [promise(vault, i, plan) for i in range(64)]
    start = Barrier(64)

    def race(session):
        start.wait()
        return vault.charge(plan, session=session, partner="lender", dataset=a_dataset())[1]

    with ThreadPoolExecutor(64) as pool:
        outcomes = list(pool.map(race, sessions))
    assert sorted(outcomes) == [0] * 63 + [PRICE]
    assert len(vault.spending()) == 1
    vault.close()


# -- sessions --------------------------------------------------------------------------------------------------------


def reach(vault, label, part):
    """Bring a session to a part by the table's own moves."""
    if part is Part.DECLINED:
        return judge(vault, label, a_plan(), part=Part.DECLINED)
    session = judge(vault, label, a_plan())
    path = {
        Part.ACCEPTED: [],
        Part.COMMITTED: [Move.COMMIT],
        Part.CHARGED: [Move.COMMIT, Move.CHARGE],
        Part.ANSWERED: [Move.COMMIT, Move.CHARGE, Move.ANSWER],
        Part.ABORTED: [Move.ABORT],
    }[part]
    for move in path:
        vault.move(session, move, roster="r" * 64 if move is Move.COMMIT else None)
    return session


@pytest.mark.parametrize("part", Part)
@pytest.mark.parametrize("move", Move)
def test_a_session_moves_as_the_table_says_and_not_otherwise(vault, part, move):
    session = reach(vault, "s", part)
    reply = sign("word", {"n": 1}, signer="bank-a", key=vault.signing)
    before, head = vault.standing(session), vault.book.head
    assert before.part is part
    if (part, move) in PART_TABLE:
        vault.move(session, move, reply=reply)
        after = vault.standing(session)
        assert (after.part, after.reply) == (PART_TABLE[part, move], reply)
        assert after.roster == before.roster  # what was signed stays signed
        assert (after.ask, after.accept) == (before.ask, before.accept)
    else:
        with pytest.raises(PeerFault):
            vault.move(session, move, reply=reply)
        assert (vault.standing(session), vault.book.head) == (before, head)


@pytest.mark.parametrize("part", [part for part in Part if part is not Part.COMMITTED])
def test_nothing_is_charged_outside_a_committed_session(vault, part):
    session = reach(vault, "s", part)
    with pytest.raises(PeerFault):
        vault.charge(a_plan(), session=session, partner="lender", dataset=a_dataset())
    assert vault.spending() == []


def test_unknown_sessions_are_unknown(vault):
    assert vault.standing("0" * 64) is None
    with pytest.raises(Unknown):
        vault.move("0" * 64, Move.COMMIT)
    with pytest.raises(Unknown):
        vault.charge(a_plan(), session="0" * 64, partner="lender", dataset=a_dataset())
    with pytest.raises(Unknown):
        vault.dataset("other/1")
    with pytest.raises(Unknown):
        vault.policy("other")
    assert vault.spending() == []


def test_a_session_is_judged_once(vault):
    judge(vault, "s", a_plan())
    head = vault.book.head
    with pytest.raises(duckdb.ConstraintException):
        judge(vault, "s", a_plan(rho=1))
    assert vault.book.head == head


# -- what was drawn ---------------------------------------------------------------------------------------------------


def test_noised_cells_are_stored_once_and_exactly(vault):
    plan = a_plan()
    pay(vault, "s", plan)
    assert vault.noised(plan, a_dataset()) is None
    first = Noised(plan.hash, (-(1 << 61) + 1,))
    vault.keep_noised(first, plan, a_dataset())
    head = vault.book.head
    with pytest.raises(duckdb.ConstraintException):
        vault.keep_noised(Noised(plan.hash, (5,)), plan, a_dataset())
    assert vault.book.head == head
    assert vault.noised(plan, a_dataset()) == first
    assert vault.noised(plan, a_dataset("2026-11-30")) is None
    assert vault.noised(a_plan(rho=1), a_dataset()) is None


# -- keys and peers ---------------------------------------------------------------------------------------------------


def test_a_pinned_key_never_changes(vault):
    vault.pin("bank-b", bytes(32), role="institution")
    head = vault.book.head
    vault.pin("bank-b", bytes(32), role="institution")
    with pytest.raises(PeerFault, match="other facts"):
        vault.pin("bank-b", bytes([1] * 32), role="institution")
    assert (vault.directory(), vault.book.head) == ({"bank-b": bytes(32)}, head)


def test_files_can_be_read_by_their_owner_alone(home):
    vault = opened(home)
    vault.keep(a_dataset(), a_policy())
    vault.pin("bank-b", bytes(32), role="institution")
    modes = {path: stat.S_IMODE(path.stat().st_mode) for path in [home, *home.rglob("*")]}
    vault.close()
    assert {"signing.key", "sampling.key", "party", "catalog.duckdb", "journal"} <= {path.name for path in modes}
    wide = {str(path.relative_to(home)): oct(mode) for path, mode in modes.items() if mode & 0o077}
    # the engine makes its write-ahead log with the process's mask; the directory above keeps others out
    assert {name for name in wide if not name.startswith("catalog.duckdb.")} == set()
    assert stat.S_IMODE(home.stat().st_mode) == 0o700
    assert stat.S_IMODE((home / "journal").stat().st_mode) == 0o700


def test_a_directory_holds_one_node(home, tmp_path):
    with pytest.raises(PeerFault):
        create(home, party="bank-b")
    with pytest.raises(Unknown):
        opened(tmp_path / "nothing")
    one, other = opened(home), create(tmp_path / "other", party="bank-a")
    assert one.party == "bank-a"
    assert one.signing.private_bytes_raw() != other.private_bytes_raw()
    assert len(one.sampling) == 32
    assert one.sampling.hex() != (tmp_path / "other" / "sampling.key").read_text()
    one.close()


# -- ends of the process -----------------------------------------------------------------------------------------------


def filled(home):
    vault = opened(home)
    vault.keep(a_dataset(), a_policy())
    vault.pin("bank-b", bytes(32), role="institution")
    for i in range(5):
        plan = a_plan(rho=i + 1)
        session = promise(vault, i, plan)
        vault.charge(plan, session=session, partner="lender", dataset=a_dataset())
        vault.keep_noised(Noised(plan.hash, (i,)), plan, a_dataset())
        vault.move(session, Move.ANSWER, reply=sign("share", {"i": i}, signer="bank-a", key=vault.signing))
    judge(vault, "declined", a_plan(), part=Part.DECLINED)
    vault.keep_consent("0" * 64, sign("consent", {"offer": "0" * 64}, signer="bank-a", key=vault.signing))
    return vault


@pytest.mark.parametrize("loss", ["nothing", "catalogue", "log", "torn catalogue", "old catalogue"])
def test_everything_survives_the_loss_of_the_catalogue(home, tmp_path, loss):
    vault = opened(home)
    vault.close()
    shutil.copy(home / "catalog.duckdb", tmp_path / "old")
    vault = filled(home)
    before, head, directory = state(vault), vault.book.head, vault.directory()
    vault.close()
    catalogue = home / "catalog.duckdb"
    match loss:
        case "catalogue":
            catalogue.unlink()
        case "log":
            (home / "catalog.duckdb.wal").unlink(missing_ok=True)
        case "torn catalogue":
            data = catalogue.read_bytes()
            catalogue.write_bytes(data[: len(data) // 2])
        case "old catalogue":
            shutil.copy(tmp_path / "old", catalogue)
    vault = opened(home)
    assert state(vault) == before
    assert (vault.book.head, vault.directory()) == (head, directory)
    assert (vault.dataset(CREDIT.id), vault.policy("accounts")) == (a_dataset(), a_policy())
    assert len(before["charge"]) == len(before["noised"]) == 5
    # and it goes on where it stood
    assert pay(vault, "again", a_plan(rho=3))[1] == 0
    assert pay(vault, "more", a_plan(rho=9))[0].left == 1_000 - 15 - 9
    assert vault.consent("0" * 64) is not None
    vault.close()


VICTIM = """
import os, signal, sys
sys.path.insert(0, {tests!r})
import test_vault as t
vault = t.opened(t.Path({home!r}))
plan = t.a_plan()
session = t.promise(vault, {label!r}, plan)
stage = {stage!r}
if stage == "before":
    os.kill(os.getpid(), signal.SIGKILL)
charged = vault.charge(plan, session=session, partner="lender", dataset=t.a_dataset())[1]
if stage == "charged":
    print(charged, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
vault.keep_noised(t.Noised(plan.hash, (77,)), plan, t.a_dataset())
print(charged, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


def kill_at(home, stage, label):
    script = VICTIM.format(tests=str(Path(__file__).parent), home=str(home), stage=stage, label=label)
    ended = subprocess.run(
        [sys.executable, "-c", script],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        check=False,
    )
    assert ended.returncode == -signal.SIGKILL, ended.stderr.decode()
    return ended.stdout.decode().split()


def test_a_kill_between_charge_and_noise_neither_refunds_nor_repeats(home):
    vault = opened(home)
    vault.keep(a_dataset(), a_policy())
    vault.close()
    plan = a_plan()

    assert kill_at(home, "before", "one") == []
    vault = opened(home)
    assert vault.spending() == []
    vault.close()

    assert kill_at(home, "charged", "two") == [str(PRICE)]
    vault = opened(home)
    assert [charge["nano"] for charge in vault.spending()] == [PRICE]
    assert vault.noised(plan, a_dataset()) is None
    assert vault.price(plan, partner="lender", dataset=a_dataset())[0] == 0
    vault.close()

    # the next session continues the charge that was paid, and its draw is the only one
    assert kill_at(home, "noised", "three") == ["0"]
    vault = opened(home)
    assert len(vault.spending()) == 1
    assert vault.noised(plan, a_dataset()) == Noised(plan.hash, (77,))
    with pytest.raises(duckdb.ConstraintException):
        vault.keep_noised(Noised(plan.hash, (78,)), plan, a_dataset())
    assert pay(vault, "four", plan)[1] == 0
    vault.close()
    (home / "catalog.duckdb").unlink()
    vault = opened(home)
    assert len(vault.spending()) == 1
    assert vault.noised(plan, a_dataset()) == Noised(plan.hash, (77,))
    vault.close()


def test_secrets_do_not_reach_the_journal(home):
    vault = filled(home)
    secrets = [vault.signing.private_bytes_raw().hex(), vault.sampling.hex()]
    vault.close()
    kept = b"".join(path.read_bytes() for path in home.rglob("*") if path.is_file() and path.suffix != ".key")
    assert b"accounts" in kept
    assert not any(secret.encode() in kept or bytes.fromhex(secret) in kept for secret in secrets)


def test_a_policy_replaces_an_older_version_only(vault):
    vault.keep(a_dataset(), a_policy(version=3, everyone=5))
    for version in (1, 2, 3):
        with pytest.raises(PeerFault):
            vault.keep(a_dataset(), a_policy(version=version, everyone=6))
    assert vault.policy("accounts").everyone == 5
    moved = replace(a_dataset("2026-11-30"), location=Location("csv", "/y.csv"))
    vault.keep(moved, a_policy(version=3, everyone=5))
    assert vault.datasets() == [moved]
    assert json.loads(vault.book.read("SELECT document FROM dataset")[0]["document"]) == moved.to_json()
    with pytest.raises(Malformed):
        vault.keep(replace(moved, title=float("nan")), a_policy(version=3, everyone=5))
    assert vault.datasets() == [moved]


# -- prepared tables ---------------------------------------------------------------------------------------------------


def prepared_files(home):
    return sorted((home / "prepared").iterdir()) if (home / "prepared").exists() else []


def test_a_node_makes_what_is_missing_or_torn_among_its_tables_and_deletes_the_rest(home, tmp_path):
    rows = tmp_path / "rows.csv"
    rows.write_text("p,r\n" + "".join(f"p{i},north\n" for i in range(50)), "utf-8")
    mapping = {"person": Field(source="p"), "region": Field(source="r")}
    dataset = replace(a_dataset(), location=Location("csv", str(rows)), mapping=mapping)
    newer = replace(dataset, refreshed="2026-11-30")
    text = "SELECT count(*) FROM bounded"
    with closing(opened(home)) as vault:
        vault.prepare()
        assert prepared_files(home) == []  # no dataset, no file
        vault.keep(dataset, a_policy())
        assert vault.prepared.rows(dataset, text) is None
        vault.prepare()
        assert vault.prepared.rows(dataset, text) == [(50,)]
        vault.keep(newer, a_policy())
        vault.prepare()
        assert vault.prepared.rows(dataset, text) is None
        assert vault.prepared.rows(newer, text) == [(50,)]
    [path] = prepared_files(home)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    whole = path.read_bytes()
    for damage in (b"", whole[:5000], bytes(len(whole))):
        path.write_bytes(damage)
        (home / "prepared" / "left.new").write_bytes(whole)
        with closing(opened(home)) as vault:
            vault.prepare()
            assert prepared_files(home) == [path]
            assert vault.prepared.rows(newer, text) == [(50,)]


def test_a_node_whose_source_is_away_starts_without_a_table(home, caplog):
    with closing(opened(home)) as vault:
        vault.keep(a_dataset(), a_policy())
        vault.prepare()
        assert vault.prepared.rows(a_dataset(), "SELECT 1") is None
    assert prepared_files(home) == []
    assert "no prepared table for accounts" in caplog.text
    assert "x.csv" not in caplog.text
