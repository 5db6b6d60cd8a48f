"""kill -9 at every named step of a node and of the exchange: same answer, charged once, nothing acknowledged lost."""

import itertools
import os
import random
import secrets
import shutil
import signal
import subprocess
import sys
import threading
import time
from contextlib import closing, suppress
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from api.demo import people, town
from exchange.hub.store import Store
from exchange.node.vault import Vault
from exchange.witness import Witness
from privacy.errors import PrivacyError
from privacy.terms import NANO
from tests.asked import Asked, open_desk, put

CRASHING = Path(__file__).with_name("crashing.py")
PRICE = NANO // 10_000  # 700 questions are within every cap

# a node's calls to the exchange in one session, after its two announcements: polls and sends alternate
NODE_STEPS = [
    "before:judged",
    "after:judged",
    "before:move#1",
    "after:move#1",
    "before:charge",
    "after:charge",
    "after:clip",
    "after:add_noise",
    "before:keep_noised",
    "after:keep_noised",
    "before:move#2",
    "after:move#2",
]
EXCHANGE_STEPS = [f"{when}:write#{count}" for count in range(1, 11) for when in ("before", "after")]
NORMAL = {"after:judged", "after:move#1", "after:charge", "after:keep_noised", "after:move#2"}
NORMAL |= {"before:write#1", "after:write#4", "after:write#10"}


def marked(steps):
    return [step if step in NORMAL else pytest.param(step, marks=pytest.mark.long) for step in steps]


class Fragile:
    """A town in which one process can be replaced by one that kills itself at a step."""

    def __init__(self, home: Path) -> None:
        self.home = home
        institutions = people.synthesise(home, rows=1000)
        self.town = town.Town(home, institutions, clock=lambda: time.time_ns() // 1000)
        self.town.settle()
        self.url = self.town.start_exchange()
        for one in institutions:
            self.town.start_node(one.party)
        self.plans = itertools.count(1)

    def crash(self, party: str, step: str) -> None:
        """Replace a running process by one that kills itself at ``step``; returns once that one is ready."""
        self.halt(party)
        kind, where = ("node", self.url) if party != "exchange" else ("exchange", str(urlsplit(self.url).port))
        self.doomed = subprocess.Popen(
            [sys.executable, "-P", str(CRASHING), step, kind, str(self.home / party), where],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert self.doomed.stdout is not None
        assert self.doomed.stdout.readline()

    def halt(self, party: str, *, signals: int = 1) -> int:
        """End one process in order and return its exit code."""
        process = self.town._processes[self._index(party)][1]
        for _ in range(signals):
            process.terminate()
        for stream in (process.stdin, process.stdout):
            if stream is not None:
                stream.close()
        return process.wait(timeout=20)

    def recover(self, party: str) -> None:
        """Wait until the doomed process has killed itself and start an honest one in its place."""
        assert self.doomed.wait(timeout=60) == -signal.SIGKILL, "the step was reached"
        for stream in (self.doomed.stdin, self.doomed.stdout):
            if stream is not None:
                stream.close()
        self.start(party)

    def start(self, party: str) -> None:
        """Start an honest process in the place of one that has ended."""
        if party == "exchange":
            port = str(urlsplit(self.url).port)
            self.town._start(party, ["exchange", "up", str(self.home / party), "--port", port])
        else:
            self.town.start_node(party)
        self.town._processes[self._index(party)] = self.town._processes.pop()

    def _index(self, party: str) -> int:
        return next(index for index, (name, _) in enumerate(self.town._processes) if name == party)

    def question(self) -> str:
        """A plan that was never asked before."""
        return f"SELECT COUNT(*) FROM consumer_credit WHERE balance >= {next(self.plans)}"

    def ask(self, sql: str) -> Asked:
        desk = open_desk(self.home / "lender-x", self.url)
        with desk.line:
            return put(desk, sql, rho=PRICE)

    def ask_elsewhere(self, sql: str) -> "subprocess.Popen[bytes]":
        """Ask in a process of its own, as a user does, and go on."""
        return subprocess.Popen(
            [
                sys.executable, "-P", "-m", "api.cli", "query", str(self.home / "lender-x"), "-e", sql, "--json",
                "--purpose", town.PURPOSE, "--exchange", self.url, "--budget", str(PRICE / NANO),
            ],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, "NO_COLOR": "1"},
        )  # fmt: skip

    def ask_until_answered(self, sql: str) -> Asked:
        for _ in range(5):
            try:
                return self.ask(sql)
            except PrivacyError:
                time.sleep(0.5)
        return self.ask(sql)

    def charges(self, plan_hash: str) -> dict[str, list[int]]:
        """What each node's journal says it charged for a plan; the nodes are stopped first."""
        found = {}
        for party in ("bank-a", "bank-b", "bank-c"):
            copy = self.home / f"copy-{party}-{time.monotonic_ns()}"
            shutil.copytree(
                self.home / party, copy, ignore=shutil.ignore_patterns("*.lock", "*.sock", "catalog*", "source")
            )
            vault = Vault.open(copy, clock=lambda: time.time_ns() // 1000)
            found[party] = [row["nano"] for row in vault.spending() if row["plan_hash"] == plan_hash]
            drawn = [entry.body["answer"] for entry in vault.book.journal.entries() if entry.kind == "noised"]
            assert len(set(drawn)) == len(drawn), "no answer has two sets of noise"
            vault.close()
            shutil.rmtree(copy)
        return found


@pytest.fixture(scope="module")
def fragile(tmp_path_factory):
    made = Fragile(tmp_path_factory.mktemp("fragile"))
    yield made
    made.town.stop()


@pytest.mark.parametrize("step", marked(NODE_STEPS))
def test_a_node_killed_at_any_step_answers_the_same_and_charges_once(fragile, step):
    sql = fragile.question()
    fragile.crash("bank-b", step)
    cut = fragile.ask_elsewhere(sql)
    fragile.recover("bank-b")
    _, complaint = cut.communicate(timeout=150)
    assert cut.returncode in (0, 3), complaint.decode()  # aborted with a reason, or answered by the node that came back
    first = fragile.ask_until_answered(sql)
    again = fragile.ask(sql)
    assert again.answer.release.totals == first.answer.release.totals
    assert set(again.answer.receipt["charged"].values()) == {0}
    assert fragile.charges(first.question.plan.hash) == {party: [PRICE] for party in ("bank-a", "bank-b", "bank-c")}


@pytest.mark.parametrize("step", marked(EXCHANGE_STEPS))
def test_the_exchange_killed_at_any_write_loses_nothing_it_acknowledged(fragile, step):
    sql = fragile.question()
    fragile.crash("exchange", step)
    waiting = fragile.ask_elsewhere(sql)
    fragile.recover("exchange")
    told, complaint = waiting.communicate(timeout=150)
    first = fragile.ask_until_answered(sql)
    if waiting.returncode == 0:
        assert str(float(first.answer.release.estimate("count(*)").value)) in told.decode()
    else:
        assert waiting.returncode == 3, complaint.decode()
    assert fragile.charges(first.question.plan.hash) == {party: [PRICE] for party in ("bank-a", "bank-b", "bank-c")}


def test_a_node_with_an_old_ledger_refuses_to_answer_and_says_what_to_do(fragile):
    home = fragile.home / "bank-c"
    fragile.halt("bank-c")
    backup = Path(shutil.copytree(home, fragile.home / "backup", ignore=shutil.ignore_patterns("*.sock")))
    fragile.start("bank-c")
    fragile.ask(fragile.question())
    fragile.halt("bank-c")
    newest = home.rename(fragile.home / "newest")
    backup.rename(home)
    stopped = subprocess.run(
        [sys.executable, "-P", "-m", "api.cli", "node", "up", str(home), "--exchange", fragile.url],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert stopped.returncode == 1
    assert "which the exchange has witnessed" in stopped.stderr
    assert "put the newest journal back" in stopped.stderr
    shutil.rmtree(home)
    newest.rename(home)
    fragile.start("bank-c")
    fragile.ask(fragile.question())


@pytest.mark.parametrize("party", ["exchange", "bank-c"])
def test_a_storm_of_signals_ends_a_process_in_order_and_none_hangs(fragile, party):
    # a handler that takes a lock meets itself holding it in about one storm of three
    for _ in range(3):
        assert fragile.halt(party, signals=400) == 0
        assert list((fragile.home / party).rglob("*.wal")) == [], "every database was closed"
        fragile.start(party)
    fragile.ask(fragile.question())


# -- the process that has rows open ----------------------------------------------------------------------------------


def started_by(pid):
    """The processes that a process has started."""
    return [int(child) for path in Path(f"/proc/{pid}/task").glob("*/children") for child in path.read_text().split()]


def test_a_node_outlives_the_process_that_reads_rows_and_is_not_outlived_by_it(fragile):
    fragile.ask(fragile.question())
    node = fragile.town.running()["bank-b"]
    [worker] = started_by(node)
    os.kill(worker, signal.SIGSEGV)
    sql = fragile.question()
    first = fragile.ask_until_answered(sql)
    [fresh] = started_by(node)
    assert fresh != worker
    assert fragile.ask(sql).answer.release.totals == first.answer.release.totals
    assert fragile.charges(first.question.plan.hash) == {party: [PRICE] for party in ("bank-a", "bank-b", "bank-c")}
    os.kill(node, signal.SIGKILL)
    fragile.town._processes[fragile._index("bank-b")][1].wait(timeout=20)
    until(lambda: not Path(f"/proc/{fresh}").exists())
    fragile.halt("bank-b")
    fragile.start("bank-b")


@pytest.mark.parametrize(
    ("party", "file"),
    [
        ("bank-a", "accounts.parquet"),
        pytest.param("bank-b", "accounts.csv", marks=pytest.mark.long),
        pytest.param("bank-c", "accounts.duckdb", marks=pytest.mark.long),
    ],
)
def test_a_corrupt_source_is_told_without_a_value_and_costs_once(fragile, party, file):
    path = fragile.home / party / "source" / file
    whole = path.read_bytes()
    fragile.halt(party)
    shutil.rmtree(fragile.home / party / "prepared")
    path.write_bytes(whole[: len(whole) // 3] + b"\xff\xfe" * (len(whole) // 6) + whole[2 * len(whole) // 3 :])
    fragile.start(party)
    sql = fragile.question()
    with pytest.raises(PrivacyError, match="the source cannot be read") as caught:
        fragile.ask(sql)
    assert not set("0123456789") & set(caught.value.reason)
    path.write_bytes(whole)
    answered = fragile.ask(sql)
    plan = answered.question.plan.hash
    assert answered.answer.receipt["charged"][party] == 0
    assert fragile.charges(plan)[party] == [PRICE]
    fragile.halt(party)
    fragile.start(party)


def until(condition):
    for _ in range(600):
        if condition():
            return
        time.sleep(0.05)
    raise AssertionError("it did not happen")


# -- kill -9 at random moments ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("party", "times"),
    [
        ("bank-b", 3),
        pytest.param("exchange", 500, marks=pytest.mark.long),
        pytest.param("bank-b", 200, marks=pytest.mark.long),
    ],
)
def test_killed_at_random_moments_a_party_loses_nothing_and_charges_once(fragile, party, times):
    seed = secrets.randbelow(10**9)
    sys.stdout.write(f"seed {seed}\n")
    choose, asked, told = random.Random(seed), [], {}

    def ask(sql):
        with suppress(PrivacyError):
            told[sql] = fragile.ask(sql).answer.release.totals

    for _ in range(times):
        sql = fragile.question()
        asked.append(sql)
        asking = threading.Thread(target=ask, args=(sql,))
        asking.start()
        time.sleep(choose.random() * 1.2)
        process = fragile.town._processes[fragile._index(party)][1]
        process.kill()
        process.wait(timeout=20)
        fragile.halt(party)
        fragile.start(party)
        asking.join(timeout=300)
    assert len(asked) == times
    for sql in choose.sample(asked, max(1, times // 10)):
        again = fragile.ask_until_answered(sql)
        assert told.get(sql, again.answer.release.totals) == again.answer.release.totals
        assert fragile.charges(again.question.plan.hash) == {one: [PRICE] for one in ("bank-a", "bank-b", "bank-c")}


# -- clocks ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("party", "jumps"),
    [
        ("bank-b", (-2,)),
        pytest.param("bank-b", (2, -400, 400), marks=pytest.mark.long),
        pytest.param("exchange", (-2, 2, -400, 400), marks=pytest.mark.long),
    ],
)
def test_a_clock_that_jumps_is_told_and_changes_nothing(fragile, party, jumps):
    """By days, backwards and forwards: while it is wrong nothing is signed that another would take, and no budget comes back."""
    sql = fragile.question()
    before = fragile.ask(sql)
    for days in jumps:
        fragile.halt(party)
        kind, where = ("node", fragile.url) if party != "exchange" else ("exchange", str(urlsplit(fragile.url).port))
        with subprocess.Popen(
            [sys.executable, "-P", str(CRASHING), f"clock:{days}", kind, str(fragile.home / party), where],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        ) as process:  # fmt: skip
            if party == "exchange":
                assert process.stdout.readline()
                with pytest.raises(PrivacyError, match="clock"):
                    fragile.ask(fragile.question())
                process.stdin.close()
            else:
                assert process.wait(timeout=60) == 1
                assert "clock" in process.stderr.read().decode()
                process.stdin.close()
        fragile.start(party)
        again = fragile.ask_until_answered(sql)
        assert again.answer.release.totals == before.answer.release.totals
        assert set(again.answer.receipt["charged"].values()) == {0}
    for home in (fragile.home / "exchange", fragile.home / "bank-b"):
        copy = fragile.home / f"clock-{time.monotonic_ns()}"
        shutil.copytree(home, copy, ignore=shutil.ignore_patterns("*.lock", "*.sock", "catalog*", "source", "prepared"))
        book = (Store if home.name == "exchange" else Vault).open(copy, clock=lambda: 0)
        times = [entry.at for entry in book.book.journal.entries()]
        assert times == sorted(times)
        book.close()


# -- files -----------------------------------------------------------------------------------------------------------

DAMAGES = {
    "cut": lambda data: data[: len(data) // 2],
    "overwritten": lambda data: b"\xff" * len(data),
    "emptied": lambda _: b"",
    "zeros": lambda data: bytes(len(data)),
    "flipped": lambda data: data[: len(data) // 2] + bytes([data[len(data) // 2] ^ 4]) + data[len(data) // 2 + 1 :],
    "longer": lambda data: data + b"\n{}\xff",
    "gone": None,
}
# a file that no program reads, or that may be missing or say anything
FREE = {"errors.log", "process.log", "lock"}


def remembered(home, party):
    """Open a party as its program does, use each of its files once, and return what it remembers."""
    if party == "exchange":
        with closing(Store.open(home, clock=lambda: time.time_ns() // 1000)) as store:
            return store.book.head, store.view().parties()
    if party == "bank-a":
        with closing(Vault.open(home, clock=lambda: time.time_ns() // 1000)) as vault:
            Witness(home)
            vault.prepare()
            held = vault.datasets()
            rows = [vault.prepared.rows(dataset, "SELECT count(*) FROM bounded") for dataset in held]
            return vault.book.head, vault.spending(), held, rows
    desk = open_desk(home, "http://127.0.0.1:9")
    with desk.line:
        return desk.party, desk.key.public


@pytest.mark.parametrize(
    "how", [*list(DAMAGES)[:1], *(pytest.param(how, marks=pytest.mark.long) for how in list(DAMAGES)[1:])]
)
@pytest.mark.parametrize("party", ["exchange", "bank-a", "lender-x"])
def test_a_damaged_file_is_refused_by_name_or_mended_and_nothing_is_forgotten(fragile, tmp_path, party, how):
    whole = tmp_path / "whole" / party
    shutil.copytree(fragile.home / party, whole, ignore=shutil.ignore_patterns("*.sock", "catalog*", "search*"))
    known, refused = remembered(whole, party), set()
    files = [path.relative_to(whole) for path in sorted(whole.rglob("*")) if path.is_file() and path.name not in FREE]
    for file in files:
        copy = tmp_path / "copy" / party
        shutil.copytree(whole, copy)
        damage = DAMAGES[how]
        if damage is None:
            (copy / file).unlink()
        else:
            (copy / file).write_bytes(damage((copy / file).read_bytes()))
        try:
            found = remembered(copy, party)
        except PrivacyError:
            refused.add(file.name)
        else:
            # another name or key is somebody else, whom nobody knows
            assert found == known or file.name in {"party", "signing.key", "sampling.key", "paillier.json"}, file
        shutil.rmtree(copy)
    if how in ("cut", "overwritten", "emptied", "zeros"):
        assert {name for name in refused if name.endswith(".key")} == {
            file.name for file in files if file.suffix == ".key"
        }
        assert {"000001.log"} & {file.name for file in files} <= refused


def pin_on(vault):
    for number in range(1000):
        vault.pin(f"lender-{number}", number.to_bytes(32), role="lender")


@pytest.mark.parametrize("which", ["full", "read-only"])
def test_a_disk_without_room_takes_nothing_back_and_goes_on_when_there_is_room(fragile, tmp_path, which):
    disk = tmp_path / "disk"
    disk.mkdir()
    if os.geteuid() or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16m", "none", disk], check=False).returncode:
        pytest.skip("only root may mount a small disk")
    try:
        home = disk / "bank-a"
        shutil.copytree(fragile.home / "bank-a", home, ignore=shutil.ignore_patterns("*.sock", "catalog*", "prepared"))
        with closing(Vault.open(home, clock=lambda: time.time_ns() // 1000)) as vault:
            spent, head = vault.spending(), vault.head
        if which == "read-only":
            subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
            with pytest.raises(PrivacyError) as caught:
                Vault.open(home, clock=lambda: time.time_ns() // 1000)
            assert caught.value.fix
            subprocess.run(["mount", "-o", "remount,rw", disk], check=True)
        else:
            with closing(Vault.open(home, clock=lambda: time.time_ns() // 1000)) as vault:
                with suppress(OSError), (disk / "filling").open("wb", buffering=0) as filling:
                    while True:
                        filling.write(bytes(4096))
                vault.prepare()  # no room for a table: rows are read where they lie
                assert [vault.prepared.rows(dataset, "SELECT 1 FROM made") for dataset in vault.datasets()] == [None]
                with pytest.raises(PrivacyError) as caught:
                    pin_on(vault)
                assert "disk" in f"{caught.value.reason} {caught.value.fix}"
                assert vault.spending() == spent
                (disk / "filling").unlink()
                vault.pin("lender-z", b"z" * 32, role="lender")
                vault.prepare()
                assert [vault.prepared.rows(dataset, "SELECT 1 FROM made") for dataset in vault.datasets()] == [[(1,)]]
        with closing(Vault.open(home, clock=lambda: time.time_ns() // 1000)) as vault:
            assert vault.spending() == spent
            assert vault.book.journal.hash_at(head[0]) == head[1]
    finally:
        subprocess.run(["umount", "-l", disk], check=True)
