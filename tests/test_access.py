"""Access: what an officer's ruling is worth, whatever else is sent; from the table of standings to commands over real processes."""

import itertools
import json
import os
import secrets
import subprocess
import sys
import time
from contextlib import closing
from datetime import date, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from api.demo import people, town
from exchange.analyst.consequence import consequence, statement
from exchange.analyst.reading import parse, quality_plan
from exchange.hub import access, catalog, rounds
from exchange.hub.store import Store
from exchange.line import Line
from exchange.node import vault as vault_room
from exchange.node.rulings import hear
from exchange.node.vault import Vault, create
from exchange.protocol.access import OVER, TABLE, Act, Case, Standing
from exchange.protocol.envelope import Envelope, sign
from exchange.protocol.errors import Denied, Overreach, PeerFault, Unknown
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
from privacy.approval import Approval, Consent, Manner
from privacy.errors import Malformed, Mismatch, PrivacyError
from privacy.necessity import atoms
from privacy.terms import NANO
from tests.test_crash import Fragile
from tests.test_vault import a_dataset, a_policy

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
        self.town.settle()
        for officer, owner in self.PEOPLE:
            self.hire(officer, owner)
        self.url = self.town.start_exchange()
        for one in institutions:
            self.town.start_node(one.party)

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
    """What a node has on record and what it lets through, read from its files while it is stopped."""
    with closing(Vault.open(office.home / party, clock=lambda: time.time_ns() // 1000)) as vault:
        kinds = [entry.kind for entry in vault.book.journal.entries()]
        return kinds.count("ruled"), vault.approvals(in_days(0))


@pytest.mark.parametrize(
    ("party", "step"),
    [
        ("bank-c", "before:keep_ruling"),
        ("bank-c", "after:keep_ruling"),
        ("exchange", "before:write#1"),
        ("exchange", "after:write#1"),
        ("exchange", "after:write#2"),
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
    assert again == (after, now)
    assert office.shown("lender-x", request)["owners"]["bank-c"]["standing"] == "approved"
