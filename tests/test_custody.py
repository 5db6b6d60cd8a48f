"""End to end over processes: copies under another owner are found before a lien, and a lender sees what happens to the rows after it.

bank-a lends against a Parquet file. bank-b holds the same rows in another order, as CSV under other names; bank-c holds 60
percent of them among its own, in a DuckDB table.
"""

import base64
import hashlib
import json
import re
import secrets
import time
from contextlib import closing, suppress
from pathlib import Path

import duckdb
import pytest
from typer.testing import CliRunner

from api import cli
from api.demo import people, town
from exchange import identity
from exchange.analyst import desk as desks
from exchange.analyst.pledging import Pledges
from exchange.analyst.reading import quality_plan
from exchange.line import Line
from exchange.node import vault as vaults
from exchange.node.registration import refresh, register
from exchange.node.vault import Vault
from exchange.protocol import messages
from exchange.protocol.errors import Forbidden
from privacy.errors import PrivacyError, Refused
from tests.asked import open_desk
from tests.recorder import Recorder

ROWS = 2_000


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    """An exchange and three nodes whose every byte is recorded, and a reviewer."""
    home = tmp_path_factory.mktemp("custody")
    institutions = people.synthesise(home, rows=ROWS)
    copy(*institutions)
    with town.Town(home, institutions, clock=lambda: time.time_ns() // 1000) as made:
        made.settle()
        key = desks.create(home / "officer-o", party="officer-o", pinned={}).public_key().public_bytes_raw().hex()
        command("exchange", "enrol", home / "exchange", "officer-o", key, "--role", "officer", "--name", "Reviewer")
        command("exchange", "appoint", home / "exchange", "officer-o")
        recorder = Recorder(made.start_exchange())
        made.url = recorder.url
        for one in institutions:
            made.start_node(one.party)
        desk = open_desk(home / "lender-x", made.url)
        with desk.line:
            Pledges(desk.line, desk.sign).name_officers(*town.OFFICERS[desk.party])
            made.offers = {one.party: pledge(made, desk, f"{one.party}/accounts") for one in institutions}
            made.desk, made.recorder = desk, recorder
            yield made
        recorder.close()


def copy(first, second, third):
    """Give bank-b all rows of bank-a, and bank-c three in five."""
    with duckdb.connect(":memory:") as engine:
        engine.execute(f"CREATE TABLE rows AS SELECT * FROM '{first.location.path}' ORDER BY hash(person)")
        listed = [(field.source, column) for column, field in second.mapping.items()][::-1]
        named = ", ".join(f"{column} AS {source}" for source, column in listed)
        engine.execute(f"COPY (SELECT {named} FROM rows) TO '{second.location.path}' (FORMAT csv)")
        engine.execute(f"ATTACH '{third.location.path}' AS held")
        engine.execute(f"DELETE FROM held.accounts WHERE rowid >= {ROWS * 2 // 5}")
        engine.execute(f"INSERT INTO held.accounts BY NAME SELECT * FROM rows LIMIT {ROWS * 3 // 5}")


def command(*arguments, code=0):
    done = CliRunner().invoke(cli.app, [str(one) for one in arguments])
    if isinstance(done.exception, PrivacyError):
        raise done.exception
    assert done.exit_code == code, done.output
    return done.stdout


def pledge(running, desk, asset):
    """Take a pledge to its filing, and return where it stands then, whether it was registered or not."""
    pledges = Pledges(desk.line, desk.sign)
    appraisal = pledges.record(messages.Appraisal(asset=asset, report="0" * 64, releases=()))
    told = {"rank": 1, "amount": 100, "matures": "2027-12-31", "nonce": secrets.token_hex(32)}
    name = pledges.quote(messages.Offer(asset=asset, appraisal=appraisal, forbids_juniors=False, **told))
    for officer in town.OFFICERS[desk.party]:
        party, key = identity.load(running.home / officer, what="officer")
        with Line(desk.line.url, party=party, key=key) as line:
            Pledges.under(line, key).approve(name)
    pledges.sign(name)
    pledges.show(name, wait=20)
    with suppress(Refused):
        pledges.file(name)
    return pledges.show(name)[1]


def seen(running, asset="bank-a/accounts"):
    shown = command("pledge", "watch", running.home / "lender-x", asset, "--exchange", running.url, "--json")
    return json.loads(shown)


def stop(running, party):
    """End one node in order, so that its home can be worked on."""
    index = next(index for index, (name, _) in enumerate(running._processes) if name == party)
    _, process = running._processes.pop(index)
    process.stdin.close()
    process.terminate()
    process.wait(timeout=20)
    process.stdout.close()


def test_the_same_rows_of_a_second_owner_are_blocked_and_a_part_of_them_is_reviewed(running):
    states = {party: (told["state"], told["search"]["state"]) for party, told in running.offers.items()}
    signed = {"bank-b": ("signed", "blocked"), "bank-c": ("signed", "review")}
    assert states == {"bank-a": ("registered", "clear")} | signed
    (found,) = running.offers["bank-b"]["search"]["found"]
    assert (found["asset"], found["likeness"]["jaccard"]["share"]) == ("bank-a/accounts", "1.0000")
    found, unpledged = running.offers["bank-c"]["search"]["found"]
    assert "asset" not in unpledged, "bank-b's copy is on record, too, and named to nobody"
    assert float(found["likeness"]["of_this"]["low"]) <= 0.6 <= float(found["likeness"]["of_this"]["high"])
    for copied in ("bank-b", "bank-c"):
        assert running.desk.line.get(f"/v1/liens/{copied}/accounts")["liens"] == []


def test_a_reviewer_rules_from_the_command_line(running):
    home, at = running.home / "officer-o", ("--exchange", running.url)
    assert "like bank-a/accounts (pledged)" in command("pledge", "reviews", home, *at)
    with pytest.raises(PrivacyError, match="no such review"):
        command("pledge", "review", home, "bank-b/accounts", "bank-a/accounts", "--act", "clear", "--because", "x", *at)
    ruling = ("--act", "same", "--because", "a part was sold, not shared")
    command("pledge", "review", home, "bank-c/accounts", "bank-a/accounts", *ruling, *at)
    assert command("pledge", "reviews", home, *at) == "Nothing waits for a ruling.\n"
    name, lender = running.offers["bank-c"]["id"], running.home / "lender-x"
    with pytest.raises(Refused, match="a reviewer found"):
        command("pledge", "register", lender, name, *at)
    assert "copies    blocked: like bank-a/accounts" in command("pledge", "status", lender, name, *at)
    with pytest.raises(Forbidden):
        command("pledge", "reviews", lender, *at)


def test_no_row_leaves_and_a_guessed_row_is_not_found_without_the_key(running):
    wire = running.recorder.bytes
    assert wire.count(b"columns_digest") >= 3, "the recording holds the fingerprints"
    with duckdb.connect(":memory:") as engine:
        source = running.institutions[0].location.path
        rows = engine.execute(f"SELECT person, balance, credit_limit FROM '{source}' WHERE balance > 1000").fetchall()
    for person, balance, limit in rows:
        assert person.encode() not in wire
        assert f"{balance:.2f}".encode() not in wire
        for guess in (
            person,
            f"{person};{balance:.2f}",
            f"{len(person)};{person};{round(balance * 100)};{limit:.0f};.",
        ):
            hashed = hashlib.sha256(guess.encode())
            assert hashed.hexdigest()[:16].encode() not in wire
            assert base64.urlsafe_b64encode(hashed.digest())[:20] not in wire
    key = (running.home / "bank-a" / "collateral.key").read_bytes()
    resting = b"".join(path.read_bytes() for path in (running.home / "exchange").rglob("*") if path.is_file())
    assert key not in wire + resting
    assert b"sketch" in resting


@pytest.mark.long  # test_vault.py shows the same at the node, without processes
def test_nobody_rolls_the_noise_of_a_revaluation_again(running):
    """What a watch revalues from is memoised: the same measures of the same version, asked three times, are one release."""
    desk = running.desk
    desk.registered_key()
    plan = quality_plan(desk.standard(town.STANDARD), party="bank-a", rho=20_000_000)
    answers = [desk.open(desk.wait(desk.ask(plan, now=int(time.time()))), plan) for _ in range(3)]
    assert len({answer.release.totals for answer in answers}) == 1
    assert [answer.receipt["charged"]["bank-a"] for answer in answers] == [20_000_000, 0, 0]


def test_the_lender_sees_what_becomes_of_the_rows(running):
    """Confirmed, changed without a word, refreshed as declared, gone."""
    assert seen(running)["state"] == "confirmed"
    home, at = running.home / "bank-a", ("--exchange", running.url)
    source = Path(running.institutions[0].location.path)
    stop(running, "bank-a")
    assert command("node", "confirm", home, "accounts", *at).strip() == "confirmed"
    with duckdb.connect(":memory:") as engine:
        engine.execute(f"CREATE TABLE rows AS SELECT * FROM '{source}'")
        engine.execute("INSERT INTO rows BY NAME SELECT * REPLACE (person || 'n' AS person) FROM rows LIMIT 50")
        engine.execute(f"COPY rows TO '{source}' (FORMAT parquet)")
    assert command("node", "confirm", home, "accounts", *at, code=1).strip() == "changed"
    told = seen(running)
    assert (told["state"], [word["found"] for word in told["words"]]) == ("changed", ["changed", "confirmed"])
    with closing(Vault.open(home, clock=lambda: time.time_ns() // 1000)) as vault:
        refresh(vault, name="accounts", refreshed="2026-11-20")
    running.start_node("bank-a")  # it announces the version and publishes its fingerprint by itself
    for _ in range(400):
        told = seen(running)
        if (told["state"], told["version"]) == ("confirmed", "2026-11-20"):
            break
        time.sleep(0.1)
    assert (told["state"], told["version"], told["pledged"]["version"]) == ("confirmed", "2026-11-20", town.REFRESHED)
    assert float(told["kept"]["low"]) > 0.99
    assert told["fingerprint"] != told["pledged"]["fingerprint"]
    stop(running, "bank-a")
    source.rename(source.with_suffix(".moved"))
    assert command("node", "confirm", home, "accounts", *at, code=1).strip() == "gone"
    assert seen(running)["state"] == "gone"
    source.with_suffix(".moved").rename(source)
    assert command("node", "confirm", home, "accounts", *at).strip() == "confirmed"
    shown = command("pledge", "watch", running.home / "lender-x", "bank-a/accounts", *at)
    assert "bank-a/accounts  confirmed" in shown
    assert re.search(r"\d{4}-\d\d-\d\d  gone", shown)


def test_without_the_owner_s_consent_or_the_key_nothing_is_even_computed(tmp_path):
    """No exchange is there to be called: what is refused is refused before that."""
    one = people.synthesise(tmp_path, rows=1_000)[1]
    for pledging, reason in ((None, "not agreed to pledge"), (town.policy_document(one)["pledging"], "no key")):
        home = tmp_path / reason
        vaults.create(home, party="bank-b")
        with closing(Vault.open(home, clock=lambda: time.time_ns() // 1000)) as vault:
            register(
                vault, dataset=town.dataset_document(one), policy=town.policy_document(one) | {"pledging": pledging}
            )
        with pytest.raises(Refused, match=reason):
            command("node", "fingerprint", home, "accounts", "--exchange", "http://127.0.0.1:9")
        with pytest.raises(PrivacyError, match="no such fingerprint"):
            command("node", "confirm", home, "accounts", "--exchange", "http://127.0.0.1:9")


def test_an_owner_that_agrees_to_a_pledge_publishes_by_hand(running):
    home, at = running.home / "bank-b", ("--exchange", running.url)
    stop(running, "bank-b")
    shown = json.loads(command("node", "fingerprint", home, "accounts", *at, "--json"))["fingerprint"]
    assert "sketch" not in shown
    assert shown["version"] == town.REFRESHED
    with pytest.raises(PrivacyError, match="no such dataset"):
        command("node", "fingerprint", home, "nothing", *at)
    with pytest.raises(PrivacyError, match="no such asset"):
        command("pledge", "watch", running.home / "lender-y", "bank-a/accounts", *at)
