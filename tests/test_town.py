"""End to end over real processes: the demonstration as its user runs it, and what an eavesdropper learns from it."""

import base64
import json
import os
import re
import secrets
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

import duckdb
import httpx2
import pytest
from rich.console import Console

from api.demo import people, town
from api.demo.telling import Telling
from exchange.hub.store import Store
from exchange.node.vault import Vault
from privacy import seal
from privacy.errors import Mismatch, PrivacyError, Refused
from privacy.modulus import from_text
from privacy.packing import layout_of, unpack
from privacy.terms import NANO
from tests.asked import open_desk, put
from tests.cards import CARDS, with_cards
from tests.recorder import Recorder

SQL = "SELECT region, COUNT(*), SUM(balance), AVG(balance) FROM consumer_credit WHERE product = 'card' GROUP BY region"
CANARIES = ("CANARY-PERSON-7", "31415.93", "3141593", "27182.82", "2718282")


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-P", "-m", "api.cli", *arguments]


def environment(temporary: Path) -> dict[str, str]:
    return {**os.environ, "TMPDIR": str(temporary), "NO_COLOR": "1"}


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def gone(pids: list[int], *, within: float = 15) -> bool:
    deadline = time.monotonic() + within
    while time.monotonic() < deadline:
        if not any(alive(pid) for pid in pids):
            return True
        time.sleep(0.1)
    return False


def run_demo(directory: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    temporary = directory / "tmp"
    temporary.mkdir()
    finished = subprocess.run(
        command("demo", "--check", *arguments),
        cwd=directory,
        env=environment(temporary),
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert finished.returncode == 0, finished.stdout[-3000:] + finished.stderr[-3000:]
    assert list(temporary.iterdir()) == [], "the demonstration leaves nothing behind"
    page = (directory / "touchstone-demo.html").read_text()
    assert str(directory / "touchstone-demo.html") in finished.stdout.replace("\n", "")
    assert "was refused" in page
    assert "http://" not in page.replace("http://127", "")
    pids = [int(pid) for pid in re.findall(r"process (\d+)", finished.stdout)]
    assert len(set(pids)) == 4
    assert gone(pids)
    return finished


def test_the_demonstration_verifies_itself_on_synthetic_people(tmp_path):
    told = run_demo(tmp_path, "--rows", "20000").stdout
    assert re.search(r"(\d+) of \1 checks passed", told)
    assert "FAILED" not in told


@with_cards
def test_the_demonstration_verifies_itself_on_the_real_file(tmp_path):
    told = run_demo(tmp_path, "--data", str(CARDS)).stdout
    assert re.search(r"(\d+) of \1 checks passed", told)
    assert "university" in told


def test_a_file_without_the_columns_is_refused_by_name(tmp_path):
    (tmp_path / "other.csv").write_text("id,limit_bal\n1,2\n")
    finished = subprocess.run(
        command("demo", "--data", "other.csv"),
        cwd=tmp_path,
        env=environment(tmp_path),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert finished.returncode == 1
    assert "no column education" in finished.stderr
    assert "Traceback" not in finished.stderr


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_that_an_engine_swallows_ends_the_story_at_its_next_word(how):
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        telling = Telling(Console(quiet=True), check=True)
        timer = threading.Timer(0.3, lambda: os.kill(os.getpid(), how))
        timer.start()
        # interrupted, DuckDB raises an error of its own, or nothing at all and goes on to the query's end
        with suppress(RuntimeError, KeyboardInterrupt, duckdb.Error):
            duckdb.sql("SELECT sum(hash(range)) FROM range(200000000)").fetchall()
            while not telling.ending.code:
                time.sleep(0.01)
        assert telling.ending.code == 128 + how
        for word in (lambda: telling.say("x"), lambda: telling.step("x")):
            with pytest.raises(KeyboardInterrupt):
                word()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_however_the_demonstration_ends_every_process_ends(tmp_path, how):
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    running = subprocess.Popen(
        command("demo", "--rows", "5000"),
        cwd=tmp_path,
        env=environment(temporary) | {"PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        text=True,
    )
    pids = []
    assert running.stdout is not None
    for line in running.stdout:
        pids += [int(pid) for pid in re.findall(r"process (\d+)", line)]
        if len(pids) == 4:
            break
    assert all(alive(pid) for pid in pids)
    running.send_signal(how)
    running.stdout.read()
    running.stdout.close()
    assert running.wait(timeout=30) != 0
    assert gone(pids)
    if how is not signal.SIGKILL:
        assert list(temporary.iterdir()) == []


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    """A town whose every byte is recorded, with canaries planted in the rows, after one joint query and one valuation."""
    home = tmp_path_factory.mktemp("town")
    institutions = people.synthesise(home, rows=2000)
    plant(Path(institutions[2].location.path))
    with town.Town(home, institutions, clock=lambda: time.time_ns() // 1000) as running:
        running.settle()
        recorder = Recorder(running.start_exchange())
        running.url = recorder.url
        for one in institutions:
            running.start_node(one.party)
        desk = open_desk(home / "lender-x", recorder.url)
        with desk.line:
            answered = put(desk, SQL)
            yield home, recorder, desk, answered, running
        recorder.close()


def plant(path: Path) -> None:
    with duckdb.connect(str(path)) as engine:
        row = "region, 'card' AS product, education, month"
        for person, balance, limit in (("CANARY-PERSON-7", 31415.93, 27182.82),) * 2:
            engine.execute(
                f"INSERT INTO accounts SELECT '{person}', {row}, {balance}, {limit}, months_overdue, income, opened "
                "FROM accounts LIMIT 1"
            )


def decoded(wire: bytes) -> bytes:
    """The wire, and whatever base64 or hexadecimal text on it decodes to."""
    found = [wire]
    for text in set(re.findall(rb"[A-Za-z0-9_+/-]{16,}", wire)):
        padded = text.replace(b"-", b"+").replace(b"_", b"/") + b"=" * (-len(text) % 4)
        try:
            found.append(base64.b64decode(padded, validate=True))
        except ValueError:
            continue
        if re.fullmatch(rb"(?:[0-9a-f]{2})+", text):
            found.append(bytes.fromhex(text.decode()))
    return b"\x00".join(found)


def test_no_row_crosses_the_wire_and_none_rests_at_the_exchange(recorded):
    home, recorder, _, _, _ = recorded
    wire = decoded(recorder.bytes)
    assert b'"share"' in wire, "the recording holds the answers"
    resting = b"".join(path.read_bytes() for path in (home / "exchange").rglob("*") if path.is_file())
    for canary in CANARIES:
        assert canary.encode() not in wire
        assert canary.encode() not in resting
    assert b"CANARY-PERSON-7" in Path(home / "bank-c" / "source" / "accounts.duckdb").read_bytes()


def test_every_ciphertext_on_the_wire_is_blinded_and_hides_its_party_even_from_the_key_holder(recorded):
    _, recorder, desk, answered, _ = recorded
    wire = recorder.bytes.decode("utf-8", "replace")
    public = desk.key.public
    length = len(public.to_jwk()["n"]) * 2
    texts = set(re.findall(rf'"([A-Za-z0-9_-]{{{length}}})\\?"', wire))
    ciphertexts = [from_text(text, octets=public.ciphertext_bytes) for text in texts]
    assert len(ciphertexts) >= 4, "three parts and their product"
    for ciphertext in ciphertexts:
        assert (ciphertext - 1) % public.n != 0
        assert (ciphertext + 1) % public.n != 0
    plan = answered.question.plan
    layout = layout_of(plan, modulus_bits=public.bits)
    opened = [desk.key.open(seal.Sealed((ciphertext,), public)) for ciphertext in ciphertexts]
    readable = []
    for plaintext in opened:
        try:
            readable.append(unpack(plaintext, layout))
        except Mismatch:
            continue
    assert readable == [answered.answer.release.totals], "only the sum can be read, no party's part of it"


def test_no_secret_key_is_on_the_wire_or_at_the_exchange(recorded):
    home, recorder, _, _, _ = recorded
    secrets = [json.loads((home / "lender-x" / "paillier.json").read_text())]
    keys = [str(value) for value in secrets[0].values() if isinstance(value, str) and len(value) > 100]
    keys += [(home / party / "signing.key").read_text() for party in ("bank-a", "bank-b", "bank-c", "lender-x")]
    keys += [(home / party / "sampling.key").read_text() for party in ("bank-a", "bank-b", "bank-c")]
    assert len(keys) == 9
    resting = b"".join(path.read_bytes() for path in (home / "exchange").rglob("*") if path.is_file())
    for key in keys:
        assert key.encode() not in recorder.bytes
        assert key.encode() not in resting


def spellings(secret: bytes) -> list[bytes]:
    """A secret as it is, and as text that programs write it in."""
    plain = base64.b64encode(secret).rstrip(b"=")
    return [
        secret,
        secret.hex().encode(),
        plain,
        base64.urlsafe_b64encode(secret).rstrip(b"="),
        repr(secret)[2:-1].encode(),
    ]


def canaries(home: Path) -> dict[str, list[tuple[bytes, ...]]]:
    """By owner: the values that were planted in its rows, and its secret keys, each in every spelling."""
    found: dict[str, list[tuple[bytes, ...]]] = {"bank-c": [(canary.encode(),) for canary in CANARIES]}
    for file in home.rglob("*.key"):
        owner = file.relative_to(home).parts[0]
        found.setdefault(owner, []).append(tuple(spellings(bytes.fromhex(file.read_text().strip()))))
    numbers = json.loads((home / "lender-x" / "paillier.json").read_text()).values()
    found["lender-x"] += [(text.encode(),) for text in numbers if isinstance(text, str) and len(text) > 100]
    return found


def test_no_canary_is_anywhere_but_with_its_owner(recorded):
    """Rows and keys, looked for in every file of everybody else, every log, every answer, the metrics and the whole wire."""
    home, recorder, desk, _, running = recorded
    # what goes wrong is told, too: refusals, unknown names, what is no question, an asker without rights
    for sql in (
        "SELECT region, SUM(income) FROM consumer_credit GROUP BY region",
        f"SELECT COUNT(*) FROM consumer_credit WHERE person = '{secrets.token_hex(8)}'",
        "SELECT nothing FROM consumer_credit",
    ):
        with pytest.raises(PrivacyError):
            put(desk, sql, rho=NANO // 1000, seconds=10)
    shown = b"".join(
        httpx2.get(f"{running.url}{path}").content
        for path in ("/metrics", "/healthz", "/readyz", "/docs", "/openapi.json", "/problems")
    )
    assert b"touchstone_requests_total" in shown
    public = {"wire and answers": decoded(recorder.bytes), "pages and metrics": shown}
    files = {path.relative_to(home): path.read_bytes() for path in home.rglob("*") if path.is_file()}
    logs = [path for path in files if path.suffix == ".log"]
    assert {path.parts[0] for path in logs} >= {"exchange", "bank-a", "bank-b", "bank-c"}
    owned = canaries(home)
    assert {"exchange", "bank-a", "bank-b", "bank-c", "lender-x", "x-credit"} <= set(owned)
    shared = _shared(owned)
    for owner, secret in ((owner, secret) for owner, held in owned.items() for secret in held if secret not in shared):
        at_home = 0
        for place, data in [*public.items(), *files.items()]:
            seen = any(spelled in data for spelled in secret)
            if isinstance(place, Path) and place.parts[0] == owner:
                at_home += seen
                assert not (seen and place.suffix == ".log"), f"{owner}'s own log {place} tells a secret"
            else:
                assert not seen, f"{place} holds a secret of {owner}"
        assert at_home or secret[0].decode("latin-1") in CANARIES, "what is looked for is there"


def _shared(owned: dict[str, list[tuple[bytes, ...]]]) -> set[tuple[bytes, ...]]:
    """Keys that institutions share by design, to compare fingerprints of rows; no lender and no exchange has them."""
    held = [(owner, secret) for owner, secrets_ in owned.items() for secret in secrets_]
    several = {secret for owner, secret in held if any(s == secret and o != owner for o, s in held)}
    assert all(owner.startswith("bank-") for owner, secret in held if secret in several)
    return several


def test_the_journals_hold_the_whole_story(recorded):
    home, _, _, answered, running = recorded
    running.stop()
    session = answered.answer.release.session
    store = Store.open(home / "exchange", clock=lambda: time.time_ns() // 1000)
    entries = list(store.book.journal.entries())
    kinds = [entry.kind for entry in entries]
    held = store.view().session(session)
    store.close()
    shares = [place for place, entry in enumerate(entries) if entry.body.get("envelope", {}).get("kind") == "share"]
    shown = [entries[place + 1] for place in shares]
    assert [entry.kind for entry in shown] == ["witness"] * 3, "an answer and its node's head are one write"
    assert kinds.count("session") == 1
    assert kinds.count("message") == 9
    assert kinds.count("folded") == 1
    assert held is not None
    assert held[0].stage.value == "answered"
    vault = Vault.open(home / "bank-a", clock=lambda: time.time_ns() // 1000)
    own = [entry.kind for entry in vault.book.journal.entries()]
    order = [own.index(kind) for kind in ("judged", "charged", "noised")]
    assert order == sorted(order), "charged before noised"
    witnessed = next(entry.body for entry in shown if entry.body["party"] == "bank-a")
    assert vault.book.journal.hash_at(witnessed["seq"]) == witnessed["hash"]
    assert witnessed["seq"] >= own.index("charged") + 1, "the head that was shown holds the charge"
    assert own[own.index("noised") :].count("moved") == 1, "the answer is stored after the noise"
    vault.close()


def test_a_session_ends_by_its_deadline_with_a_reason(tmp_path):
    institutions = people.synthesise(tmp_path, rows=1000)
    with town.Town(tmp_path, institutions, clock=lambda: time.time_ns() // 1000) as running:
        running.settle()
        url = running.start_exchange()
        for one in institutions:
            running.start_node(one.party)
        os.kill(running.running()["bank-b"], signal.SIGKILL)
        desk = open_desk(tmp_path / "lender-x", url)
        with desk.line, pytest.raises(Refused, match="bank-b"):
            put(desk, SQL, seconds=6)
    for party in ("bank-a", "bank-c"):
        vault = Vault.open(tmp_path / party, clock=lambda: time.time_ns() // 1000)
        assert vault.spending() == [], "nobody charged for a session that never had its roster"
        vault.close()
