"""The institution's console inside its node: what it shows against the command line, the journal and the asker; what it does."""

import csv
import io
import json
import re
import shutil
import signal
import socket
import stat
import subprocess
import sys
import threading
from datetime import UTC, date, datetime
from fractions import Fraction
from pathlib import Path

import httpx2
import pytest
from hypothesis import given, settings

from api.console.node import health, policies
from api.console.node.app import PAGES
from api.console.node.budget import nano, rho
from api.console.node.doorbell import ADDRESS
from api.console.node.judging import Case, closing
from api.console.node.place import NodePlace
from api.console.node.rules import conditions
from api.console.pages import Visit
from api.console.wording import Words
from api.processes import microseconds
from exchange.hub import catalog
from exchange.hub.store import Store
from exchange.node import registration, vault
from exchange.node.vault import Vault
from privacy import permissions
from privacy.atoms import ROWS, USES, Atom
from privacy.errors import Malformed
from privacy.permissions import STRANGER, Person
from privacy.policy import Policy
from privacy.purposes import PURPOSES, ROLES
from tests.consoles import Seen, kept_town, running, visitor
from tests.strategies import STANDARD, rich_policies
from tests.strategies import policies as any_policies
from tests.test_console import crawl

JOINT = "credit-risk-statistics"
ASKED = "SELECT region, AVG(balance), COUNT(*) FROM consumer_credit WHERE product = 'card' GROUP BY region"
TOO_MUCH = "SELECT region, AVG(balance), AVG(income) FROM consumer_credit GROUP BY region"
EDUCATION = "SELECT education, COUNT(*) FROM consumer_credit GROUP BY education"


@pytest.fixture(scope="module")
def town(tmp_path_factory):
    """A kept town with two more banks, that are enrolled and hold nothing yet; and a copy of the first bank's home."""
    home = kept_town(tmp_path_factory)
    made = {party: vault.create(home / party, party=party) for party in ("bank-d", "bank-e")}
    store = Store.open(home / "exchange", clock=microseconds)
    try:
        for party, key in made.items():
            raw = key.public_key().public_bytes_raw()
            catalog.enrol(store, party=party, name=party.title(), role="institution", key=raw)
    finally:
        store.close()
    held = Vault.open(home / "bank-d", clock=microseconds)
    try:
        held.pin("bank-d-li", bytes(range(32)), role="officer")
        held.pin("lender-x", bytes.fromhex(keys(home)["lender-x"]), role="lender")
    finally:
        held.close()
    shutil.copytree(home / "bank-a", home / "copy-of-a")
    return home


def keys(home: Path) -> dict[str, str]:
    """Return the keys that the first bank has pinned, by party."""
    held = Vault.open(home / "bank-a", clock=microseconds)
    try:
        return {party: key.hex() for party, key in held.directory().items()}
    finally:
        held.close()


@pytest.fixture(scope="module")
def street(town):
    with running(town, nodes=("bank-b", "bank-c")) as made:
        yield made


@pytest.fixture(scope="module")
def bank(street):
    """The first bank's data office at its node, in English."""
    with visitor(street.node("bank-a")) as client:
        client.get("/?lang=en")
        yield client


@pytest.fixture(scope="module")
def newcomer(street):
    """The fourth bank's."""
    with visitor(street.node("bank-d")) as client:
        client.get("/?lang=en")
        yield client


@pytest.fixture(scope="module")
def copied(town):
    """What the first bank's ledger held before its node was started, opened as the node opens it."""
    held = Vault.open(town / "copy-of-a", clock=microseconds)
    yield held
    held.close()


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-P", "-m", "api.cli", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)


# -- doors -----------------------------------------------------------------------------------------------------------


def test_every_page_is_whole_without_a_script_in_both_languages_and_has_a_twin(bank):
    seen = 0
    for address, language, answer in crawl(PAGES, "node", "institution", bank):
        assert answer.status_code == 200, (address, answer.text[:500])
        page = Seen(answer.text)
        assert len(page.all("h1")) == 1, address
        assert "console at the node" in page.text or "节点控制台" in page.text
        for tag, attrs in page.tags:
            for name in ("src", "href", "action"):
                assert not re.match(r"(https?:)?//", attrs.get(name) or ""), (address, tag, attrs)
            assert "style" not in attrs, (address, tag)
        ids = [attrs["id"] for _, attrs in page.tags if attrs.get("id")]
        assert len(ids) == len(set(ids)), (address, ids)
        inside = re.sub(r"<label.*?</label>", "", answer.text, flags=re.DOTALL)
        named = {attrs.get("for") for attrs in page.all("label")}
        for field in re.findall(r"<(?:input|select|textarea)\b[^>]*>", inside):
            assert 'type="hidden"' in field or re.search(r'id="([^"]+)"', field).group(1) in named, (address, field)
        assert len(answer.content) < 400_000
        if language == "en":
            twin = bank.get(f"{'/home' if address == '/' else address}.json")
            assert twin.headers["content-type"] == "application/json"
        seen += 1
    assert seen >= 24
    bank.get("/?lang=en")


def test_a_link_is_made_for_whoever_holds_the_nodes_key_and_for_nobody_else(town, bank):
    done = run("node", "console", str(town / "bank-a"))
    assert done.returncode == 0, done.stderr
    with visitor(done.stdout.strip()) as again:
        assert "bank-a" in again.get("/budget").text
    base = str(bank.base_url)
    with httpx2.Client(base_url=base) as stranger:
        for headers in ({}, {"authorization": "Bearer of bad news"}):
            refused = stranger.post("/links", content=b"{}", headers=headers)
            assert refused.status_code == 401
            assert "enter" not in refused.text
        assert stranger.post("/links", content=b" " * 100).status_code == 401
        assert stranger.get("/budget").status_code == 401
    assert stat.S_IMODE((town / "bank-a" / ADDRESS).stat().st_mode) == 0o600
    lost = run("node", "console", str(town / "bank-b"))
    assert lost.returncode == 1
    assert "no console runs at this node" in lost.stderr


def test_a_node_with_a_console_ends_at_the_signal_and_takes_the_address_back(town, street):
    home = str(town / "bank-e")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        done = run("node", "up", home, "--exchange", street.url, "--console", port)
    assert done.returncode == 1
    assert f"port {port} is taken" in done.stderr
    command = [sys.executable, "-P", "-m", "api.cli", "node", "up", home, "--exchange", street.url, "--console", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as node:
        assert json.loads(node.stdout.readline()) == {"ready": "bank-e"}
        link = json.loads(node.stdout.readline())["console"]
        with visitor(link) as guest:
            assert guest.get("/health").status_code == 200
        node.send_signal(signal.SIGTERM)
        assert node.wait(timeout=30) == 0
    assert not (town / "bank-e" / ADDRESS).exists()


# -- budget and what was learned ---------------------------------------------------------------------------------------


def test_the_budget_is_the_ledgers_sum_of_charges(bank, copied):
    paid = copied.spending()
    told = bank.get("/budget.json").json()
    (population,) = told["populations"]
    policy = copied.policy("accounts")
    assert population["everyone"]["spent"] == sum(row["nano"] for row in paid)
    assert population["everyone"]["cap"] == policy.everyone
    for meters, name, caps in (
        ("partners", "partner", dict.fromkeys(("lender-x", "authority"), policy.partner)),
        ("purposes", "purpose", dict(policy.caps.purposes)),
    ):
        for one in population[meters]:
            spent = sum(row["nano"] for row in paid if row[name] == one["name"])
            assert (one["spent"], one["left"], one["cap"]) == (spent, caps[one["name"]] - spent, caps[one["name"]])
    reserves = [one for one in copied.kept_back() if one["left"] and not one["given_back"]]
    for one in population["answers"]:
        rooms = [
            policy.everyone - sum(row["nano"] for row in paid),
            policy.partner - sum(row["nano"] for row in paid if row["partner"] == one["partner"]),
            policy.caps.purposes[one["purpose"]] - sum(row["nano"] for row in paid if row["purpose"] == one["purpose"]),
        ]
        for kept in reserves:  # nobody but whoever steps in can spend what a pledge keeps back
            rooms.append(rooms[0] - sum(other["left"] for other in reserves))
            if kept["purpose"] == one["purpose"]:
                rooms.append(rooms[2] - sum(other["left"] for other in reserves if other["purpose"] == kept["purpose"]))
        assert one["answers"] == max(0, min(rooms)) // one["price"]
    assert [(one["pledge"], one["left"]) for one in population["reserves"]] == [
        (one["pledge"], one["left"]) for one in copied.kept_back()
    ]
    assert population["burn"][0][1] == policy.everyone
    assert population["burn"][-1][1] == policy.everyone - sum(row["nano"] for row in paid)
    assert "27.0%" in bank.get("/budget").text
    assert {row["session"] for row in paid} == {one["session"] for one in told["charges"]}


def test_every_charge_is_in_the_spreadsheet_file(bank, copied):
    answer = bank.get("/budget/as/charges.csv")
    assert answer.headers["content-type"].startswith("text/csv")
    assert "charges-bank-a.csv" in answer.headers["content-disposition"]
    rows = list(csv.DictReader(io.StringIO(answer.content.decode("utf-8-sig"))))
    paid = copied.spending()
    assert [nano(row["rho"]) for row in rows] == [row["nano"] for row in reversed(paid)]
    assert {row["plan"] for row in rows} == {row["plan_hash"] for row in paid}
    moments = {entry.seq: entry.at for entry in copied.book.journal.entries()}
    for row in rows:
        paid_at = datetime.fromtimestamp(moments[int(row["seq"])] // 10**6, tz=UTC)
        assert row["at"][:19] == paid_at.isoformat()[:19]
    assert bank.get("/budget/as/other.csv").status_code == 404


def test_what_was_learned_has_the_errors_that_the_asker_reads(bank, town):
    told = bank.get("/learned.json", params={"asker": "lender-x", "stage": "answered"}).json()
    (first, again) = [one for one in told["questions"] if one["statement"] == ASKED]
    assert (first["free"], again["free"]) == (True, False)
    halves = {figure["name"]: figure for figure in again["figures"]}
    stored = json.loads((town / "lender-x" / "answers" / f"{again['session']}.json").read_text("utf-8"))
    drawn = next(one for one in stored["receipt"]["noise"] if one["measure"] == "count(*)")
    assert halves["count"]["half"] == f"{1.96 * len(again['parties']) ** 0.5 * float(Fraction(drawn['sigma'])):.4g}"
    assert halves["avg_balance"]["rows"] == 100_000
    page = bank.get(f"/learned/{again['session']}")
    assert page.status_code == 200
    assert "jointly" not in page.text
    assert "bank-a, bank-b, bank-c" in Seen(page.text).text
    assert bank.get(f"/learned/{'0' * 64}").status_code == 404


def test_amounts_of_rho_are_read_and_written_exactly():
    for text, units in (("0.1", 100_000_000), ("1", 10**9), ("0.000000001", 1), ("12.25", 12_250_000_000)):
        assert nano(text) == units
        assert rho(units) == text
    for wrong in ("", ".5", "1e3", "-1", "0.0000000001", "1000", "½", "0,1"):
        with pytest.raises(Malformed):
            nano(wrong)


# -- policies ----------------------------------------------------------------------------------------------------------


def test_the_grid_is_that_of_the_command_line(bank, tmp_path):
    file = tmp_path / "policy.json"
    file.write_bytes(bank.get("/policies/accounts/as/policy.json").content)
    done = run("policy", "simulate", str(file), "--json")
    told = {
        (one["party"], one["role"], one["purpose"], one["column"], one["use"]): one["allowed"]
        for one in json.loads(done.stdout)
    }
    compared = 0
    for party, role in (("lender-x", "lender"), ("anybody-else", "regulator")):
        for purpose in (JOINT, "pledge-valuation", "supervision-statistics"):
            asked = {"who": f"{party}:{role}", "purpose": purpose}
            for row in bank.get("/policies/accounts.json", params=asked).json()["grid"]:
                for cell in row["cells"]:
                    open_ = told[(party, role, purpose, row["column"], cell["use"])]
                    assert (cell["word"] == "open") == open_, (party, purpose, row["column"], cell)
                    assert bool(cell["reasons"]) != open_
                    compared += 1
    assert compared > 300


def test_a_statement_is_judged_as_the_command_line_judges_it_and_the_nearest_is_one_click_away(bank, tmp_path):
    asked = {"who": "lender-x:lender", "purpose": JOINT, "sql": TOO_MUCH, "price": "0.2", "keeps": "400"}
    told = bank.get("/policies/accounts.json", params=asked).json()["tried"]["verdict"]
    file = tmp_path / "policy.json"
    file.write_bytes(bank.get("/policies/accounts/as/policy.json").content)
    options = ["--as", "lender-x", "--role", "lender", "--purpose", JOINT, "--budget", "0.2", "--keep-days", "400"]
    done = json.loads(run("policy", "explain", str(file), "-e", TOO_MUCH, *options, "--json").stdout)
    assert told["outcome"] == done["outcome"] == "trim"
    assert told["items"] == [{name: item[name] for name in item if name != "at"} for item in done["items"]]
    assert told["nearest"]["sql"] == done["nearest"]
    page = bank.get("/policies/accounts", params=asked)
    offered = next(
        one["href"] for one in Seen(page.text).all("a") if one.get("class") == "button" and "sql=" in one["href"]
    )
    taken = Seen(bank.get(offered).text)
    assert "It is answered" in taken.text
    for wrong in ({"sql": "DELETE FROM x"}, {"sql": ASKED, "price": "much"}, {"sql": ASKED, "keeps": "long"}):
        shown = bank.get("/policies/accounts", params=wrong)
        assert shown.status_code == 200
        assert "What to do:" in shown.text


def test_a_draft_shows_what_it_opens_and_is_published_only_when_somebody_has_read_it(bank, street, town):
    held = bank.get("/policies/accounts/as/policy.json").json()
    page = bank.post("/policies/accounts", data={"do": "draft", "text": "{not json"})
    assert page.status_code == 422
    assert "{not json" in page.text
    assert bank.post("/policies/accounts", data={"do": "draft", "text": "{}"}).status_code == 422
    assert bank.post("/policies/accounts", data={"do": "conquer"}).status_code == 422
    other = json.dumps(held | {"owner": "bank-b", "version": 2})
    assert "What to do:" in bank.post("/policies/accounts", data={"do": "draft", "text": other}).text
    draft = json.loads(json.dumps(held | {"version": 2}))
    del draft["grants"][0]["columns"]["education"]
    draft["grants"][1]["columns"]["income"] = ["count"]
    kept = bank.post("/policies/accounts", data={"do": "draft", "text": json.dumps(draft)})
    assert kept.status_code == 200
    told = bank.get("/policies/accounts.json").json()
    changes = told["draft"]["changes"]
    assert [(one["what"], one["purpose"]) for one in changes["opens"]] == [("income as count", "pledge-valuation")]
    assert {one["what"] for one in changes["closes"]} == {
        "education as group",
        "education as filter",
        "education as count",
    }
    assert {one["party"] for one in changes["opens"][0]["who"]} == {"lender-x", "lender-y"}
    assert "what this opens (1)" in kept.text
    digest = {"do": "publish", "digest": told["draft"]["digest"]}
    assert "nobody has confirmed" in bank.post("/policies/accounts", data=digest).text
    stale = {"do": "publish", "confirmed": "yes", "digest": "0" * 64}
    assert "changed after it was shown" in bank.post("/policies/accounts", data=stale).text
    assert bank.get("/policies/accounts/as/policy.json").json() == held
    foreign = bank.post(
        "/policies/accounts", data=digest | {"confirmed": "yes"}, headers={"origin": "http://evil.test"}
    )
    assert foreign.status_code == 403
    done = bank.post("/policies/accounts", data=digest | {"confirmed": "yes"})
    assert done.status_code == 200
    assert bank.get("/policies/accounts/as/policy.json").json() == draft
    assert bank.get("/policies/accounts/as/draft.json").status_code == 404
    told = bank.get("/policies/accounts.json", params={"against": "1"}).json()
    assert told["untold"] is None
    assert [one["version"] for one in told["history"]] == [2, 1]
    assert told["compared"]["changes"] == changes
    # the exchange judges by the new version, too
    refused = run("query", str(town / "lender-x"), "--exchange", street.url, "--purpose", JOINT, "-e", EDUCATION)
    assert refused.returncode == 3
    assert "bank-a.accounts@2" in refused.stderr + refused.stdout
    again = bank.post("/policies/accounts", data={"do": "draft", "text": json.dumps(draft | {"version": 1})})
    old = {"do": "publish", "confirmed": "yes", "digest": bank.get("/policies/accounts.json").json()["draft"]["digest"]}
    assert again.status_code == 200
    assert "newer version of the policy is in force" in bank.post("/policies/accounts", data=old).text
    assert bank.post("/policies/accounts", data={"do": "drop"}).status_code == 200
    assert bank.get("/policies/accounts.json").json()["draft"]["kept"] is False


@settings(max_examples=25, deadline=None)
@given(policy=any_policies() | rich_policies())
def test_a_use_is_open_on_the_grid_exactly_where_nothing_closes_it(policy: Policy):
    columns = {column.name: column for column in STANDARD.columns}
    people = [Person("lender", "lender"), Person("other", "regulator"), Person(STRANGER, "institution")]
    day = date(2026, 11, 22)
    found = permissions.permissions([policy], STANDARD, people, on=day)
    for one in found:
        word = closing(policy, columns, Case(one.who, one.purpose, day), one.atom)
        assert (word == "open") == one.allowed, (one, word)


@settings(max_examples=50, deadline=None)
@given(policy=rich_policies())
def test_a_grant_has_as_many_conditions_here_as_on_the_command_line(policy: Policy):
    for grant in policy.grants:
        told = [one["text"].format(**one["values"]) for one in conditions(grant, STANDARD)]
        assert len(told) == len(list(permissions.conditions(grant, STANDARD)))
        assert len(set(told)) == len(told)


# -- registering -------------------------------------------------------------------------------------------------------


def columns_form(columns: list[dict[str, object]], **about: str) -> dict[str, str]:
    form = {"step": "columns", **about}
    for one in columns:
        form[f"source_{one['name']}"] = str(one["source"])
        if one["name"] not in ("income", "opened"):
            form[f"sure_{one['name']}"] = "on"
    return form


ABOUT = {
    "name": "loans",
    "title": "Loans of Bank D",
    "population": "bank-d/customers",
    "refreshed": "2026-11-20",
    "level": "3",
}
RULES = {
    "step": "purposes",
    "everyone": "1",
    "partner": "0.5",
    "bound_balance": "on",
    "low_balance": "0",
    "high_balance": "150000.5",
    "low_credit_limit": "0",
    "high_credit_limit": "9",
    "domain_region": "on",
    f"open_{JOINT}": "on",
    f"to_{JOINT}": "lender-x, role:regulator",
    f"group_{JOINT}": "100",
    f"price_{JOINT}": "0.05",
    f"budget_{JOINT}": "0.2",
    f"use_{JOINT}_balance": "on",
    f"use_{JOINT}_credit_limit": "on",
    f"use_{JOINT}_region": "on",
    f"use_{JOINT}_income": "on",
}


def located(newcomer: httpx2.Client, source: Path) -> str:
    """Draft a dataset from a file and confirm its columns but income and opened; return the draft's address."""
    answer = newcomer.post("/register", data={"path": str(source), "standard": "consumer_credit/1"})
    assert answer.status_code == 200, Seen(answer.text).text
    return answer.url.path


def at_exchange(bank: httpx2.Client) -> list[dict[str, object]]:
    return bank.get("/assets.json", params={"owner": "bank-d"}).json()["datasets"]


def test_a_source_that_cannot_be_read_is_named_and_the_form_keeps_what_was_typed(newcomer):
    wrong = newcomer.post("/register", data={"path": "relative.csv", "standard": "consumer_credit/1"})
    assert "the path is not absolute" in wrong.text
    assert 'value="relative.csv"' in wrong.text
    gone = newcomer.post("/register", data={"path": "/nowhere/x.csv", "standard": "consumer_credit/1"})
    assert "there is no such source" in gone.text
    assert newcomer.get("/register/nothing").status_code == 404
    assert newcomer.get("/register/guide-lender").status_code == 404
    assert newcomer.get("/register/..%2f..%2fparty").status_code == 404


def test_a_dataset_is_registered_step_by_step_and_nothing_leaves_before_the_last(newcomer, bank, town):
    source = town / "bank-a" / "source" / "accounts.parquet"
    address = located(newcomer, source)
    assert stat.S_IMODE((town / "bank-d" / "drafts" / "dataset" / "accounts.json").stat().st_mode) == 0o600
    facts = newcomer.get(f"{address}.json").json()
    assert facts["step"] == "columns"
    assert not any(one["sure"] for one in facts["columns"])
    unsure = {"step": "columns", **ABOUT} | {f"source_{one['name']}": one["source"] for one in facts["columns"]}
    assert "map person" in newcomer.post(address, data=unsure).text
    assert newcomer.post(address, data=columns_form(facts["columns"], **ABOUT)).status_code == 200
    shown = newcomer.post(address, data=RULES | {"high_balance": "much"})
    assert "a bound of balance is not a number" in shown.text
    assert 'value="much"' in shown.text
    assert "the amount is not a number of rho" in newcomer.post(address, data=RULES | {"everyone": "lots"}).text
    assert "Nothing has left this machine" in newcomer.post(address, data=RULES).text
    assert at_exchange(bank) == []
    assert "nobody has confirmed" in newcomer.post(address, data={"step": "publish"}).text
    assert at_exchange(bank) == []
    done = newcomer.post(address, data={"step": "publish", "confirmed": "yes"})
    assert (done.status_code, done.url.path) == (200, "/policies/loans"), Seen(done.text).text
    (found,) = at_exchange(bank)
    assert (found["asset"], found["level"], found["refreshed"]) == ("bank-d/loans", 3, "2026-11-20")
    record = bank.get("/assets/bank-d/loans.json").json()
    assert "income" not in record["record"]["columns"]
    assert str(source) not in json.dumps(record)
    assert newcomer.get(address).status_code == 404
    ready = newcomer.get("/health.json").json()["datasets"][0]
    assert (ready["prepared"], ready["source"]["fine"], ready["record"]["same"]) == (True, True, True)
    # what nobody confirmed is not there, whatever else was checked: no bounds of the limit, no use of the income
    policy = newcomer.get("/policies/loans/as/policy.json").json()
    assert policy["bounds"] == {"balance": [0, 15_000_050]}
    assert set(policy["domains"]) == {"region"}
    uses = policy["grants"][0]["columns"]
    assert set(uses) == {"*", "balance", "credit_limit", "region"}
    assert "sum" in uses["balance"]
    assert not {"sum", "product", "histogram"} & set(uses["credit_limit"])
    assert policy["grants"][0]["min_parties"] == PURPOSES[JOINT].min_parties
    asked = {"who": "lender-x:lender", "purpose": JOINT, "sql": "SELECT SUM(credit_limit) FROM consumer_credit"}
    assert newcomer.get("/policies/loans.json", params=asked).json()["tried"]["verdict"]["outcome"] != "allow"


def test_a_second_dataset_of_the_same_standard_is_refused_and_its_draft_thrown_away(newcomer, bank, town):
    if not at_exchange(bank):
        pytest.skip("the test before registers the first one")
    address = located(newcomer, town / "bank-a" / "source" / "accounts.parquet")
    facts = newcomer.get(f"{address}.json").json()
    newcomer.post(address, data=columns_form(facts["columns"], **ABOUT | {"name": "others"}))
    newcomer.post(address, data=RULES)
    refused = newcomer.post(address, data={"step": "publish", "confirmed": "yes"})
    assert "another dataset is registered under this standard" in refused.text
    assert newcomer.post("/register", data={"do": "drop", "name": address.rpartition("/")[2]}).status_code == 200
    assert newcomer.get("/register.json").json()["drafts"] == []


def test_officers_and_pins_are_those_of_the_journal(newcomer, bank, copied):
    told = newcomer.get("/approvals.json").json()
    assert [one["party"] for one in told["officers"]] == ["bank-d-li"]
    assert told["approvals"] == []
    pinned = bank.get("/trusted.json").json()["pinned"]
    known = {**copied.directory(), **copied.officers()}
    assert {one["party"]: one["key"] for one in pinned} == {name: key.hex() for name, key in known.items()}
    assert all(one["shown"] for one in pinned)
    (officer, lender) = newcomer.get("/trusted.json").json()["pinned"]
    assert (officer["shown"], lender["shown"]) == (None, True)


# -- health ------------------------------------------------------------------------------------------------------------


def test_health_tells_what_the_exchange_and_the_ledger_hold(bank, copied):
    told = bank.get("/health.json").json()
    assert told["reached"]
    assert told["clock"]
    assert told["log"]["fresh"]
    assert told["journal"]["entries"] >= copied.head[0]
    (one,) = told["datasets"]
    assert (one["prepared"], one["custody"]["found"], one["record"]["watched"]["state"]) == (
        True,
        "confirmed",
        "confirmed",
    )
    assert one["liens"][0]["holder"] == "lender-x"
    (pledge,) = told["pledges"]
    assert (pledge["state"], pledge["answered"]["objection"]) == ("registered", "")
    assert copied.consent(pledge["id"]).kind == "consent"
    page = Seen(bank.get("/health").text).text
    assert "answers an offer within seconds, by the standing consent" in page


def test_without_the_exchange_the_ledgers_pages_stand_and_what_was_published_waits_to_be_told(town):
    shutil.copytree(town / "copy-of-a", town / "alone", ignore=shutil.ignore_patterns("lock"))
    held = Vault.open(town / "alone", clock=microseconds)
    place = NodePlace(
        town / "alone", held, "http://127.0.0.1:9", working=threading.Lock(), announce=lambda: "it does not answer"
    )
    try:
        visit = Visit(place, Words("en"), address="/", path={"dataset": "accounts"}, query={})
        told = health.show(visit)
        assert (told["reached"], told["pledges"], told["datasets"][0]["record"]) == (False, [], None)
        assert told["why"]["reason"] == "http://127.0.0.1:9 does not answer"
        registration.amend(held, name="accounts", policy=held.policy("accounts").to_json() | {"version": 7})
        place.announce("accounts")
        facts = policies.show(visit)
        assert facts["policy"]["version"] == 7
        assert "does not answer" in facts["untold"]
    finally:
        place.close()
        held.close()


def test_every_role_and_use_has_its_words():
    assert set(ROLES) == {"institution", "lender", "regulator"}
    assert {Atom(ROWS, "count").use, *USES} == {"group", "filter", "count", "valid", "sum", "product", "histogram"}
