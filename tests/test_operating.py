"""The operator's door: what changes an exchange is done while it runs, by whoever owns its directory and nobody else."""

import json
import os
import signal
import socket
import stat
import subprocess
import sys
import time
from contextlib import nullcontext

import httpx2
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from api.commands.homes import at_exchange, at_node
from api.demo import people, town
from api.operating import Door, operate
from exchange.acts import DOOR
from exchange.hub import office
from exchange.line import Line, Unreachable
from exchange.node import office as node_office
from exchange.protocol.errors import PeerFault, Revoked, Unknown
from exchange.standards import shipped
from privacy import canonical
from privacy.errors import Malformed, PrivacyError
from tests import served
from tests.consoles import visitor

STANDARD = shipped("consumer_credit/1").to_json() | {"name": "another_credit"}


@pytest.fixture
def exchange(tmp_path):
    made = served.serve(tmp_path)
    yield made
    made.town.stop()


@pytest.fixture
def home(exchange, tmp_path):
    return tmp_path / "exchange"


def run(*arguments):
    command = [sys.executable, "-P", "-m", "api.cli", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)


def fresh():
    return Ed25519PrivateKey.generate().public_key().public_bytes_raw().hex()


def test_a_party_joins_and_is_put_out_while_the_exchange_runs(exchange, home, tmp_path):
    told = run("exchange", "invite", home, "bank-n", "--role", "institution", "--url", exchange.url)
    assert told.returncode == 0, told.stderr
    joined = run("join", told.stdout.strip(), tmp_path / "bank-n")
    assert "enrolled as bank-n, institution" in joined.stdout, joined.stderr
    lender = run("exchange", "enrol", home, "lender-n", fresh(), "--role", "lender", "--name", "New lender")
    assert lender.returncode == 0, lender.stderr
    named = {one["id"]: one["role"] for one in exchange.call("bank-a", "GET", "/v1/parties").json()["parties"]}
    assert (named["bank-n"], named["lender-n"]) == ("institution", "lender")
    put_out = run("exchange", "revoke", home, "bank-b", "--reason", "its laptop was stolen")
    assert put_out.returncode == 0, put_out.stderr
    refused = exchange.call("bank-b", "GET", "/v1/parties")
    assert (refused.status_code, refused.json()["code"]) == (403, "TS-AUTH-003")
    assert exchange.call("bank-a", "GET", "/v1/parties").status_code == 200
    again = run("exchange", "revoke", home, "bank-b", "--reason", "once more")
    assert again.returncode != 0
    assert "revoked already" in again.stderr


def test_standards_reviewers_and_ledgers_are_put_in_place_while_it_runs(exchange, home):
    at_exchange(home, office.Publish(standard=STANDARD))
    assert exchange.call("lender-x", "GET", "/v1/standards/another_credit/1").status_code == 200
    at_exchange(home, office.Appoint(party="clerk"))
    assert exchange.call("clerk", "GET", "/v1/reviews").status_code == 200

    def poll(seq):
        body = canonical.encode({"wait": 0, "seq": seq, "head": f"{seq:064}"})
        return exchange.call("bank-a", "POST", "/v1/poll", body).json()["witnessed"]["seq"]

    assert (poll(9), poll(5)) == (9, 9)  # a ledger that forgot charges
    at_exchange(home, office.Witness(party="bank-a", seq=5, head=f"{5:064}"))
    assert (poll(5), poll(6)) == (5, 6)
    time.sleep(2.5)  # heads are journaled every second: the later one is not written after all
    assert poll(6) == 6


def test_a_session_of_the_console_ends_with_the_key_that_opened_it(exchange, home):
    def enter(party):
        path = exchange.call(party, "POST", "/v1/links", b"{}").json()["path"]
        return visitor(exchange.url + path)

    with enter("bank-b") as theirs, enter("bank-a") as ours:
        for guest in (theirs, ours):
            assert guest.get("/assets").status_code == 200
        at_exchange(home, office.Revoke(party="bank-b", because="stolen"))
        refused = theirs.get("/assets")
        assert refused.status_code == 403
        assert "TS-AUTH-003" in refused.text
        assert ours.get("/assets").status_code == 200


def said(home, data):
    """What comes back for bytes."""
    with socket.socket(socket.AF_UNIX) as wire:
        wire.settimeout(30)
        wire.connect(str(home / DOOR))
        try:
            wire.sendall(data)
            wire.shutdown(socket.SHUT_WR)
        except BrokenPipeError:
            pass
        with wire.makefile("rb") as answer:
            return answer.read()


def act(kind, told):
    return canonical.encode({"kind": kind, "told": told})


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"", 422),
        (b"{}", 422),
        (b"[" * 100_000, 422),
        (b"MARK" * 1_000_000, 422),
        (b"\xff\xfe", 422),
        (b'{"kind":"appoint","told":{"party":NaN}}', 422),
        (act("conquer", {}), 404),
        (act("", {}), 404),
        (act(["appoint"], {}), 404),
        (act("appoint", {}), 422),
        (act("appoint", {"party": 7}), 422),
        (act("appoint", {"party": "clerk", "more": 1}), 422),
        (act("appoint", []), 422),
        (act("appoint", None), 422),
        (act("appoint", {"party": "nobody"}), 404),
        (act("enrol", {"party": "../x", "name": "n", "role": "lender", "key": "ab" * 32}), 422),
        (act("enrol", {"party": "x", "name": "n", "role": "king", "key": "ab" * 32}), 422),
        (act("enrol", {"party": "bank-a", "name": "n", "role": "lender", "key": "ab" * 32}), 409),
        (act("publish", {"standard": {}}), 422),
        (act("publish", {"standard": {"name": "MARK" * 50}}), 422),
        (act("reset-witness", {"party": "lender-x", "seq": 1, "head": "ab" * 32}), 404),
        (act("reset-witness", {"party": "bank-a", "seq": -1, "head": "ab" * 32}), 422),
        (act("reset-witness", {"party": "bank-a", "seq": 1 << 60, "head": "ab" * 32}), 422),
    ],
    ids=lambda value: repr(value)[:60],
)
def test_what_is_not_an_act_is_refused_and_changes_nothing(shared, data, status):
    exchange, home = shared
    before = httpx2.get(f"{exchange.url}/healthz").json()["journal"]
    answer = said(home, data)
    assert json.loads(answer)["problem"]["status"] == status
    assert b"MARK" not in answer
    assert httpx2.get(f"{exchange.url}/healthz").json()["journal"] == before


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    home = tmp_path_factory.mktemp("o")
    made = served.serve(home)
    yield made, home / "exchange"
    made.town.stop()


def test_the_door_is_its_owners_alone_and_is_not_on_the_network(shared):
    exchange, home = shared
    assert stat.S_IMODE((home / DOOR).stat().st_mode) == 0o600
    assert stat.S_IMODE(home.stat().st_mode) == 0o700
    assert httpx2.post(f"{exchange.url}/acts/appoint", json={"party": "clerk"}).status_code == 404
    signed = exchange.call("bureau", "POST", "/acts/appoint", b'{"party":"clerk"}')
    assert signed.status_code == 404


def test_errors_come_back_as_they_are_raised_in_the_files(exchange, home):
    acts = [
        (office.Revoke(party="nobody", because="x"), Unknown),
        (office.Revoke(party="bank-a", because="two\nlines"), Malformed),
        (office.Enrol(party="bank-a", name="x", role="lender", key=fresh()), PeerFault),
    ]
    told = []
    for act, kind in acts:
        with pytest.raises(kind) as heard:
            at_exchange(home, act)
        told.append((type(heard.value), heard.value.reason, heard.value.fix))
    exchange.town.stop()
    for (act, _), running in zip(acts, told, strict=True):
        with pytest.raises(PrivacyError) as heard:
            at_exchange(home, act)
        assert (type(heard.value), heard.value.reason, heard.value.fix) == running


def test_after_a_kill_the_files_take_it_and_the_next_process_opens_its_door_anew(exchange, home):
    os.kill(exchange.town.running()["exchange"], signal.SIGKILL)
    deadline = time.monotonic() + 20
    while True:
        with socket.socket(socket.AF_UNIX) as probe:
            if probe.connect_ex(str(home / DOOR)) != 0:
                break
        assert time.monotonic() < deadline
    assert (home / DOOR).exists()
    exchange.town.stop()
    at_exchange(home, office.Appoint(party="clerk"))
    url = exchange.town.start_exchange()
    at_exchange(home, office.Revoke(party="bank-b", because="stolen"))
    with Line(url, party="bank-b", key=exchange.keys["bank-b"]) as line, pytest.raises(Revoked):
        line.get("/v1/parties")
    exchange.town.stop()
    assert not (home / DOOR).exists()


def test_a_home_may_lie_deeper_than_a_socket_can_be_named(tmp_path):
    home = tmp_path / ("d" * 100) / ("e" * 100)
    home.mkdir(parents=True)
    exchange = served.serve(home)
    try:
        assert len(str(home / "exchange" / DOOR)) > 108
        at_exchange(home / "exchange", office.Revoke(party="bank-b", because="stolen"))
        assert exchange.call("bank-b", "GET", "/v1/parties").status_code == 403
    finally:
        exchange.town.stop()


def test_a_process_that_does_not_answer_is_given_up(tmp_path, monkeypatch):
    monkeypatch.setattr("api.operating.PATIENCE", 0.3)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / DOOR))
        listener.listen(1)
        with pytest.raises(Unreachable):
            operate(tmp_path, office.Appoint(party="clerk"), dict)


def test_what_nobody_foresaw_is_told_without_what_it_was(tmp_path, caplog):
    def perform(_kind, _told):
        raise ValueError("MARK")

    with Door(tmp_path, perform), pytest.raises(PrivacyError) as heard:
        operate(tmp_path, office.Appoint(party="clerk"), dict)
    assert "MARK" not in heard.value.reason + heard.value.fix
    assert "MARK" in caplog.text  # for the owner, in process.log
    assert not (tmp_path / DOOR).exists()


def test_without_a_socket_a_process_runs_and_commands_find_nobody(tmp_path, monkeypatch, caplog):
    deep = tmp_path / ("d" * 120)
    deep.mkdir()
    monkeypatch.setattr("api.operating._reached", lambda home: nullcontext(home / DOOR))  # no short way to it
    with Door(deep, lambda _kind, _told: {}):
        assert "commands want this process stopped" in caplog.text
        assert operate(tmp_path, office.Appoint(party="clerk"), lambda: {"alone": True}) == {"alone": True}


# -- a node ----------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def bank(tmp_path_factory):
    """An institution's node that runs, and its town."""
    home = tmp_path_factory.mktemp("b")
    made = town.Town(home, people.synthesise(home, rows=1000), clock=lambda: time.time_ns() // 1000)
    made.settle()
    made.start_exchange()
    made.start_node("bank-a")
    yield home / "bank-a", made
    made.stop()


def refreshed(home):
    lender = Ed25519PrivateKey.from_private_bytes(bytes.fromhex((home.parent / "lender-x" / "signing.key").read_text()))
    with Line(json.loads((home.parent / "url").read_text()), party="lender-x", key=lender) as line:
        return line.get("/v1/datasets/bank-a/accounts")["refreshed"]


def test_a_node_takes_partners_officers_and_new_rows_while_it_runs(bank):
    home, running = bank
    (home.parent / "url").write_text(json.dumps(running.url))
    assert stat.S_IMODE((home / DOOR).stat().st_mode) == 0o600
    key = fresh()
    pinned = run("node", "pin", home, "bank-n", key, "--role", "institution")
    assert pinned.stderr.strip() == "pinned bank-n as institution and announced", pinned.stderr
    again = run("node", "pin", home, "bank-n", fresh(), "--role", "institution")
    assert again.returncode != 0
    assert "other facts are pinned for this party" in again.stderr
    assert "and announced" in run("node", "pin", home, "clerk-a", fresh(), "--role", "officer").stderr
    assert "dismissed clerk-a and announced" in run("node", "dismiss", home, "clerk-a").stderr
    before = refreshed(home)
    assert "refreshed accounts and announced" in run("node", "refresh", home, "accounts", "--date", "2027-01-31").stderr
    assert before < refreshed(home) == "2027-01-31"
    held = [run("node", what, home) for what in ("budget", "approvals")]
    assert [one.returncode for one in held] == [0, 0]
    assert json.loads(held[0].stdout).items() >= {"charges": [], "reserves": []}.items()
    assert json.loads(held[1].stdout)["approvals"] == []


@pytest.mark.parametrize("day", ["2026-13-45", "2026-02-30", "tomorrow", ""])
def test_a_day_that_is_none_is_refused(bank, day):
    home, _ = bank
    assert json.loads(said(home, act("approvals", {"on": day})))["problem"]["status"] == 422


def test_what_the_exchange_could_not_be_told_is_told_of(tmp_path):
    made = town.Town(tmp_path, people.synthesise(tmp_path, rows=1000), clock=lambda: time.time_ns() // 1000)
    made.settle()
    made.start_exchange()
    made.start_node("bank-a")
    try:
        os.kill(made.running()["exchange"], signal.SIGKILL)
        told = at_node(
            tmp_path / "bank-a", node_office.Pin(party="bank-n", key=fresh(), role="institution", replaces=None)
        )
        assert "does not answer" in told["untold"]
        with pytest.raises(Unknown):
            at_node(tmp_path / "bank-a", node_office.Dismiss(officer="nobody"))
    finally:
        made.stop()
    alone = at_node(
        tmp_path / "bank-a", node_office.Pin(party="bank-m", key=fresh(), role="institution", replaces=None)
    )
    assert alone == {}
    assert not (tmp_path / "bank-a" / DOOR).exists()


def test_a_home_that_is_none_is_told_of(tmp_path):
    with pytest.raises((PrivacyError, OSError)):
        at_exchange(tmp_path / "missing" / "home", office.Appoint(party="clerk"))
