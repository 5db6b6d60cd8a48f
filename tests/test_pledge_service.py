"""Pledges over real processes: 64 lenders at once, an exchange killed at every step, and the commands as people type them."""

import json
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from typer.testing import CliRunner

from api import cli
from api.demo.town import Town
from exchange import identity
from exchange.analyst.pledging import Pledges
from exchange.hub import catalog, liens
from exchange.hub.store import Store
from exchange.line import Line
from exchange.protocol import problems
from exchange.protocol.agreement import (
    Creditor,
    Drawdown,
    Endorsement,
    Filing,
    Level,
    Notice,
    Payment,
    Realisation,
    Signature,
    StepIn,
)
from exchange.protocol.errors import Taken
from exchange.protocol.messages import Appraisal, Consent, Offer, Publication, Registration
from exchange.standards import shipped
from privacy.errors import PrivacyError
from tests import pledging
from tests.marked import mark
from tests.pledging import nonce
from tests.test_crash import CRASHING

CREDIT = shipped("consumer_credit/1")
MANY = [f"lender-{number:02}" for number in range(64)]
KEYS = {party: Ed25519PrivateKey.generate() for party in ("bank-a", "bank-b", "ann", "ben", *MANY)}
OFFICERS = {officer: KEYS[officer] for officer in ("ann", "ben")}
MATURES = f"{datetime.now(tz=UTC).year + 3}-12-31"
EVIDENCE = "e" * 64


def clock():
    return time.time_ns() // 1000


def now():
    return int(time.time())


def settle(home):
    """An exchange on disk with two owners' assets, 64 lenders and the two officers whom they all have named."""
    store = Store.open(home / "exchange", clock=clock)
    for party, key in KEYS.items():
        if party not in OFFICERS:
            role = "institution" if party.startswith("bank") else "lender"
            raw = key.public_key().public_bytes_raw()
            catalog.enrol(store, party=party, name=party.upper(), role=role, key=raw)
    catalog.publish_standard(store, CREDIT)
    for number, owner in enumerate(("bank-a", "bank-b")):
        register(store, owner)
        mark(store, f"{owner}/accounts", KEYS[owner], range(number * 5_000, number * 5_000 + 5_000))
    for lender in MANY:
        pledging.name_officers(store, lender, key=KEYS[lender], officers=OFFICERS)
    return store


def register(store, owner):
    message = Registration(
        dataset="accounts", title="Accounts", standard=CREDIT.id, standard_digest=CREDIT.digest, population="people",
        columns=("balance", "person"), refreshed="2026-10-31",
    )  # fmt: skip
    catalog.register(store, message.sealed_by(owner, KEYS[owner]))
    policy = {
        "owner": owner, "dataset": "accounts", "standard": CREDIT.id, "version": 1, "everyone": 1, "partner": 1,
        "grants": [], "bounds": {}, "domains": {},
        "pledging": {"lenders": MANY, "limit": 10**9, "until": MATURES},
    }  # fmt: skip
    catalog.publish_policy(store, Publication(policy=policy).sealed_by(owner, KEYS[owner]))


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    """A served exchange: 64 lenders hold signed agreements on bank-a's asset; on bank-b's there is nothing yet."""
    home = tmp_path_factory.mktemp("pledges")
    store = settle(home)

    def agree(lender):
        key = KEYS[lender]
        offer = pledging.quote(store, lender, key=key, matures=MATURES)
        pledging.agree(store, offer, lender, key=key, officers=OFFICERS, owner_key=KEYS["bank-a"], now=now())
        return offer

    with ThreadPoolExecutor(16) as pool:
        agreements = dict(zip(MANY, pool.map(agree, MANY), strict=True))
    title = pledging.title_of(store)
    store.close()
    made = Town(home, [], clock=clock)
    made.start_exchange()
    yield made, agreements, title
    made.stop()


def line(running, party):
    return Line(running[0].url, party=party, key=KEYS[party])


def test_of_64_lenders_at_once_one_has_the_lien_and_the_others_learn_who(running):
    _, agreements, title = running

    def file(lender):
        with line(running, lender) as to:
            try:
                told = Pledges.under(to, KEYS[lender]).send(
                    Filing(offer=agreements[lender], title=title, expires=MATURES)
                )
            except Taken as taken:
                return taken.holder, taken.since
            return told["lender"], told["since"]

    with ThreadPoolExecutor(len(MANY)) as pool:
        outcomes = list(pool.map(file, MANY))
    assert len(set(outcomes)) == 1, "all tell of the same holder and time"
    ((holder, since),) = set(outcomes)
    with line(running, "bank-b") as to:
        told = to.get("/v1/liens/bank-a/accounts")
    ((lien,), operator) = told["liens"], told["operator"]
    assert (lien["holder"], lien["since"], operator) == (holder, since, None)


def life(title):
    """Every step of one pledge of bank-b's asset, by who says it; what follows from ids is made when its turn comes."""
    lender = MANY[0]

    def step(signer, make):
        return lambda offer, so_far: (signer, make(offer, so_far))

    def call_of(level, number):
        cure_by = "2099-01-01" if level is Level.MARGIN_CALL else None
        return lambda offer, _: _notice(offer, level, number, cure_by)

    return [
        step("ann", lambda offer, _: Endorsement(offer=offer, act="approve", because="")),
        step("ben", lambda offer, _: Endorsement(offer=offer, act="approve", because="")),
        step(lender, lambda offer, so_far: Signature(offer=offer, endorsements=tuple(so_far[:2]))),
        step("bank-b", lambda offer, _: Consent(offer=offer)),
        step(lender, lambda offer, _: Filing(offer=offer, title=title, expires=MATURES)),
        step(lender, lambda offer, _: Drawdown(offer=offer, amount=9_000)),
        step(lender, call_of(Level.WARNING, 1)),
        step(lender, lambda offer, _: Payment(offer=offer, amount=500, nonce=nonce())),
        step(lender, call_of(Level.MARGIN_CALL, 2)),
        step(lender, lambda offer, _: StepIn(offer=offer, title=title, operator="bank-a", evidence=EVIDENCE)),
        step(
            lender,
            lambda offer, _: Realisation(
                offer=offer, asset="bank-b/accounts", title=title, proceeds=10_000, costs=100,
                unregistered=(Creditor(name="printer", amount=200),), successor="bank-b", evidence=EVIDENCE,
            ),
        ),
    ]  # fmt: skip


def _notice(offer, level, number, cure_by):
    return Notice(offer=offer, level=level, evidence=EVIDENCE, cure_by=cure_by, nonce=nonce(number))


STATES = [
    "quoted", "approved", "approved", "signed", "registered", "active", "warning", "warning", "margin_call", "step_in",
    "realised",
]  # fmt: skip


def send(running, signer, message):
    path = "answer" if isinstance(message, Consent) else "steps"
    root = "offers" if isinstance(message, Consent) else "pledges"
    envelope = message.sealed_by(signer, KEYS[signer])
    with line(running, signer) as to:
        told = to.post(f"/v1/{root}/{message.offer}/{path}", envelope)
    return envelope.id, told


def doomed(made, when):
    """Replace the exchange by one that kills itself before or after its next write is acknowledged."""
    made.stop()
    port = str(urlsplit(made.url).port)
    process = subprocess.Popen(
        [sys.executable, "-P", str(CRASHING), f"{when}:write", "exchange", str(made.home / "exchange"), port],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert process.stdout is not None
    assert process.stdout.readline()
    return process


def revive(made, process):
    assert process.wait(timeout=60) == -signal.SIGKILL, "the write was reached"
    for stream in (process.stdin, process.stdout):
        if stream is not None:
            stream.close()
    port = str(urlsplit(made.url).port)
    made._start("exchange", ["exchange", "up", str(made.home / "exchange"), "--port", port])


KILLS = {("after", 4)}
"""Filings that are in the journal and were never answered: the step at which most would be lost."""


@pytest.fixture(scope="module")
def halfway(running):
    """A pledge of bank-b's asset that the kills below take through its life, one step after the other."""
    with line(running, MANY[0]) as to:
        pledges = Pledges.under(to, KEYS[MANY[0]])
        title = pledges.title("bank-b/accounts")
        asset = "bank-b/accounts"
        appraisal = pledges.record(Appraisal(asset=asset, report="a" * 64, releases=()))
        offer = pledges.quote(
            Offer(
                asset=asset, rank=1, amount=100, matures=MATURES, appraisal=appraisal, nonce=nonce(), forbids_juniors=False
            )
        )  # fmt: skip
    return offer, life(title), []


@pytest.mark.parametrize("number", range(len(STATES)))
def test_an_exchange_killed_at_any_step_of_a_pledge_loses_nothing_acknowledged(running, halfway, number):
    """A step whose answer never came is sent again; the journal has it once, and the pledge stands where it should."""
    made, *_ = running
    offer, steps, so_far = halfway
    signer, message = steps[number](offer, so_far)
    for when in ("before", "after"):
        if (when, number) in KILLS:
            process = doomed(made, when)
            with ThreadPoolExecutor(1) as pool:
                cut = pool.submit(send, running, signer, message)
                revive(made, process)
                assert cut.result(timeout=150)[1]["state"] == STATES[number], "taken at a later attempt"
    id_, told = send(running, signer, message)
    so_far.append(id_)
    assert told["state"] == STATES[number]
    kinds = [step["said"]["kind"] for step in told["steps"]]
    assert len(kinds) == number + 1, "each step stands in the journal once"
    with line(running, signer) as to:
        assert Pledges.under(to, KEYS[signer]).show(offer)[0].state.value == STATES[number]


@pytest.mark.long
def test_an_exchange_killed_before_and_after_every_step_loses_nothing_acknowledged(running, halfway, monkeypatch):
    every = {(when, number) for when in ("before", "after") for number in range(len(STATES))}
    monkeypatch.setattr(sys.modules[__name__], "KILLS", every)
    for number in range(len(STATES)):
        test_an_exchange_killed_at_any_step_of_a_pledge_loses_nothing_acknowledged(running, halfway, number)


# -- the commands ------------------------------------------------------------------------------------------------------


def touchstone(*arguments, fails=False):
    """Run a command in this process and return what it prints, or what it complains of."""
    told = CliRunner().invoke(cli.app, ["pledge", *map(str, arguments)])
    if fails:
        assert isinstance(told.exception, PrivacyError), told.output
        return f"{problems.of(told.exception).code} {told.exception}"
    assert told.exit_code == 0, told.exception
    return told.stdout


def test_the_commands_take_a_pledge_to_its_certificate_and_field_sheet(running, tmp_path):
    """Types what a lender's people type; the owner's answer is its node's, sent here by its key."""
    made, *_ = running
    for party in ("ann", "ben", MANY[1]):
        home = tmp_path / party
        home.mkdir()
        identity.write_secret(home / "signing.key", KEYS[party].private_bytes_raw().hex())
        identity.write_secret(home / "party", party)
    at, lender = ("--exchange", made.url), tmp_path / MANY[1]
    with line(running, MANY[1]) as to:
        pledges = Pledges.under(to, KEYS[MANY[1]])
        asset = "bank-b/accounts"
        appraisal = pledges.record(Appraisal(asset=asset, report="a" * 64, releases=()))
        told = {"rank": 2, "amount": 100, "matures": MATURES, "appraisal": appraisal, "nonce": nonce(3)}
        offer = pledges.quote(Offer(asset=asset, **told, forbids_juniors=True))
        touchstone("approve", tmp_path / "ann", offer, *at)
        assert "two officers must approve" in touchstone("sign", lender, offer, *at, fails=True)
        touchstone("approve", tmp_path / "ben", offer, *at)
        assert "waits for the owner" in touchstone("sign", lender, offer[:12], *at)
        send(running, "bank-b", Consent(offer=offer))
        assert "is registered" in touchstone("register", lender, offer, *at)
        certificate, sheet = tmp_path / "certificate.json", tmp_path / "sheet.html"
        touchstone("certificate", lender, offer, *at, "-o", certificate)
        key = to.get("/v1/exchange")["key"]
    proven = json.loads(touchstone("verify", certificate, "--key", key))
    assert (proven["valid"], proven["rank"], proven["state"]) == (True, 2, "registered")
    assert "TS-REQ-002" in touchstone("verify", certificate, "--key", "0" * 64, fails=True)
    touchstone("form", lender, offer, *at, "-o", sheet)
    assert "动产" in Path(sheet).read_text("utf-8")
    assert "last day to cure" in touchstone(
        "notice", lender, offer, "margin_call", "--evidence", certificate, *at, fails=True
    )
    assert "registered" in touchstone("status", tmp_path / "ann", offer, *at)
    assert "not one of yuan and cents" in touchstone("draw", lender, offer, "--amount", "1.005", *at, fails=True)
    assert "no such pledge" in touchstone("status", tmp_path / "ben", "f" * 64, *at, fails=True)


def test_the_journal_holds_one_lien_and_63_agreements_that_came_too_late(running):
    """What was said over HTTP is what a store on the same files reads, once the service has stopped."""
    made, agreements, _ = running
    made.stop()
    store = Store.open(made.home / "exchange", clock=clock)
    (lien,) = store.view().liens("bank-a/accounts")
    states = [liens.describe(store.view(), offer, caller="bank-a")["state"] for offer in agreements.values()]
    assert sorted(states) == ["registered"] + ["signed"] * 63
    assert agreements[lien.holder] == lien.offer
    store.close()
