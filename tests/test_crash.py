"""kill -9 at every named step of a node and of the exchange: same answer, charged once, nothing acknowledged lost."""

import itertools
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from api.demo import people, town
from exchange.node.vault import Vault
from privacy.errors import PrivacyError
from privacy.terms import NANO
from tests.asked import Asked, open_desk, put

CRASHING = Path(__file__).with_name("crashing.py")
PRICE = NANO // 1000

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
            shutil.copytree(self.home / party, copy, ignore=shutil.ignore_patterns("*.lock", "catalog*", "source"))
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
    backup = Path(shutil.copytree(home, fragile.home / "backup"))
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
