"""The command line as its user meets it: what is typed wrong gets a sentence, a place and a way forward."""

import json
import os
import subprocess
import sys
import time

import pytest
import typer

from api.cli import app
from api.console import wording
from api.demo import people, town
from exchange import identity
from exchange.line import Line
from privacy.terms import NANO


def run(*arguments: str, **options) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-P", "-m", "api.cli", *arguments],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env={**os.environ, "NO_COLOR": "1", "COLUMNS": "200"},
        **options,
    )


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    home = tmp_path_factory.mktemp("cli")
    institutions = people.synthesise(home, rows=3000)
    with town.Town(home, institutions, clock=lambda: time.time_ns() // 1000) as made:
        made.settle()
        made.start_exchange()
        for one in institutions:
            made.start_node(one.party)
        yield made


def query(running: town.Town, sql: str, *more: str, purpose: str = town.PURPOSE) -> subprocess.CompletedProcess[str]:
    home = str(running.home / "lender-x")
    return run("query", home, "--exchange", running.url, "--purpose", purpose, "-e", sql, *more)


def test_an_answer_is_a_table_for_people_and_one_object_for_programs(running):
    sql = "SELECT region, COUNT(*), AVG(balance) FROM consumer_credit GROUP BY region"
    shown = query(running, sql)
    assert shown.returncode == 0, shown.stderr
    assert "±" in shown.stdout
    assert "Charged in rho: bank-a 0.1" in shown.stdout
    told = json.loads(query(running, sql, "--json").stdout)
    assert told["schema_version"] == "1"
    assert [row["region"] for row in told["rows"]] == ["north", "east", "south", "west", "central"]
    assert all({"count_low", "count_high"} <= set(row) for row in told["rows"])
    assert told["free"], "the same question again is read off the stored answer"
    asked_again = json.loads(query(running, sql, "--json", "--fresh").stdout)
    assert set(asked_again["receipt"]["charged"].values()) == {0}, "and free for who asks for it again"
    assert asked_again["rows"] == told["rows"]


def test_shared_noise_is_asked_for_by_the_number_it_withstands(running):
    told = json.loads(query(running, "SELECT COUNT(*) FROM consumer_credit", "--shared", "1", "--json").stdout)
    assert told["receipt"]["noise_of"] == "all parties together, withstanding 1"
    seen = {row["who"]: row["rho"] for row in told["receipt"]["seen_by"]}
    assert seen["analyst, exchange and 1 of 3 parties"] == NANO // 10
    refused = query(running, "SELECT COUNT(*) FROM consumer_credit", "--shared", "0")
    assert refused.returncode == 3
    assert "noise: the owner wants noise that withstands 1" in refused.stderr


def test_a_refusal_names_each_offence_once_with_all_owners_and_offers_the_nearest_request(running):
    refused = query(
        running, "SELECT region, COUNT(*), SUM(income) FROM consumer_credit GROUP BY region", "--budget", "0.5"
    )
    assert refused.returncode == 3
    assert refused.stderr.count("income as sum: ") == 1
    assert "bank-a.accounts@1, bank-b.accounts@1, bank-c.accounts@1" in refused.stderr
    offer = '-e "SELECT region, COUNT(*) FROM consumer_credit GROUP BY region" --budget 0.1'
    assert offer in refused.stderr
    assert "Traceback" not in refused.stderr
    assert refused.stdout == ""


def test_what_is_not_in_the_language_is_pointed_at(running):
    sql = "SELECT regon, COUNT(*) FROM consumer_credit GROUP BY regon"
    wrong = query(running, sql)
    assert wrong.returncode == 1
    lines = wrong.stderr.splitlines()
    assert lines[0] == sql
    assert lines[1].index("^") in (sql.index("regon"), sql.rindex("regon"))
    assert lines[2].startswith("TS-SQL-001  ")
    assert lines[3].startswith("Fix: ")
    assert lines[4] == "Answered would be: SELECT region, COUNT(*) FROM consumer_credit GROUP BY region"


def test_an_unknown_purpose_lists_the_known_ones(running):
    refused = query(running, "SELECT COUNT(*) FROM consumer_credit", purpose="marketing")
    assert refused.returncode == 3
    assert "this purpose is not registered" in refused.stderr


def test_a_node_that_runs_says_who_holds_its_files(running):
    held = run("node", "confirm", str(running.home / "bank-a"), "accounts", "--exchange", running.url)
    assert held.returncode == 1
    assert held.stderr.startswith("TS-ENV-001  held by process ")


def test_an_exchange_that_is_not_there_is_named(tmp_path, running):
    gone = run(
        "query",
        str(running.home / "lender-x"),
        *("--exchange", "http://127.0.0.1:1", "--purpose", "x", "-e", "SELECT COUNT(*) FROM consumer_credit"),
    )
    assert gone.returncode == 4
    assert gone.stderr.splitlines()[0].startswith("TS-NET-001  the exchange at http://127.0.0.1:1 does not answer")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("node", "init", "{home}/n", "Bank A"), "the party is not a valid name"),
        (("node", "pin", "{home}/none", "bank-a", "ab" * 32, "--role", "lender"), "no such node"),
        (("exchange", "enrol", "{home}/x", "bank-a", "zz", "--role", "institution", "--name", "A"), "64 hexadecimal"),
        (("desk", "init", "{home}/d", "lender", "{home}/missing.json"), "cannot be read as JSON"),
        (("node", "refresh", "{home}/none", "accounts", "--date", "2026-12-31"), "no such node"),
        (("node", "register", "{home}/none", "{home}/a.json", "{home}/b.json"), "a.json cannot be read"),
    ],
)
def test_a_wrong_argument_gets_a_sentence(tmp_path, arguments, said):
    told = run(*(part.format(home=tmp_path) for part in arguments))
    assert told.returncode == 1
    assert said in told.stderr
    assert "Traceback" not in told.stderr


def test_a_small_consortium_is_set_up_by_hand(tmp_path):
    """The commands that a person types, in order, up to a registered dataset; nothing else is needed."""
    exchange, node = tmp_path / "exchange", tmp_path / "bank-a"
    assert run("exchange", "init", str(exchange)).returncode == 0
    key = run("node", "init", str(node), "bank-a").stdout.strip()
    assert len(bytes.fromhex(key)) == 32
    enrolled = run("exchange", "enrol", str(exchange), "bank-a", key, "--role", "institution", "--name", "Bank A")
    assert enrolled.returncode == 0
    assert run("node", "pin", str(node), "bank-b", "11" * 32, "--role", "institution").returncode == 0
    one = people.synthesise(tmp_path / "data", rows=1000)[0]
    (tmp_path / "dataset.json").write_text(json.dumps(town.dataset_document(one)))
    (tmp_path / "policy.json").write_text(json.dumps(town.policy_document(one)))
    registered = run("node", "register", str(node), str(tmp_path / "dataset.json"), str(tmp_path / "policy.json"))
    assert registered.returncode == 0, registered.stderr
    spent = json.loads(run("node", "budget", str(node)).stdout)
    assert spent == {"schema_version": "1", "status": "ok", "charges": [], "reserves": []}
    pins = tmp_path / "pins.json"
    pins.write_text(json.dumps({"bank-a": key}))
    assert len(run("desk", "init", str(tmp_path / "lender"), "lender-z", str(pins)).stdout.strip()) == 64
    again = run("node", "init", str(node), "bank-a")
    assert again.returncode == 1
    assert "already holds a node" in again.stderr


def test_a_refusal_is_one_object_for_programs(running):
    refused = query(running, "SELECT region, AVG(income) FROM consumer_credit GROUP BY region", "--json")
    told = json.loads(refused.stdout)
    assert refused.returncode == 3
    assert (told["schema_version"], told["status"], told["code"]) == ("1", "refused", "TS-POL-001")
    assert any("income" in str(one) for one in told["violations"])
    assert told["nearest"]
    mistyped = json.loads(query(running, "SELECT region, MAX(income) FROM consumer_credit", "--json").stdout)
    assert mistyped["code"] == "TS-SQL-001"
    home = str(running.home / "lender-x")
    gone = run("access", "list", home, "--exchange", "http://127.0.0.1:1", "--json")
    assert (gone.returncode, json.loads(gone.stdout)["status"]) == (4, "unreachable")


def test_calls_are_shown_and_a_rehearsal_sends_none_that_changes_anything(running):
    home = str(running.home / "lender-y")
    shown = run("-v", "access", "list", home, "--exchange", running.url, "--json")
    assert f"> GET {running.url}/v1/access" in shown.stderr
    assert json.loads(shown.stdout) == {"schema_version": "1", "status": "ok", "requests": []}
    with Line(running.url, party="lender-y", key=identity.load(running.home / "lender-y", what="desk")[1]) as line:
        before = line.get("/v1/log/head")["head"]["body"]
        sql = "SELECT region, COUNT(*) FROM consumer_credit GROUP BY region"
        asked = ("query", home, "--exchange", running.url, "--purpose", town.PURPOSE, "-e", sql)
        rehearsed = run("--dry-run", *asked)
        assert rehearsed.returncode == 0, rehearsed.stderr
        assert rehearsed.stdout.startswith(f"POST {running.url}/v1/")
        assert "nothing was sent" in rehearsed.stderr
        assert line.get("/v1/log/head")["head"]["body"] == before
    assert not (running.home / "lender-y" / "asked").exists()


def test_what_cannot_be_rehearsed_is_not_run(tmp_path):
    refused = run("--dry-run", "exchange", "init", str(tmp_path / "exchange"))
    assert refused.returncode == 2
    assert not (tmp_path / "exchange").exists()


def test_what_is_begun_is_completed():
    asked = {"_TOUCHSTONE_COMPLETE": "complete_bash", "COMP_WORDS": "touchstone pl", "COMP_CWORD": "1"}
    program = "from api.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False, env=os.environ | asked
    )
    assert done.stdout.split() == ["pledge"]


@pytest.mark.parametrize("group", [(), ("node",), ("pledge",), ("value", "report")])
def test_help_loads_no_heavy_library(group):
    program = "import sys; sys.argv[1:] = sys.argv[1:] + ['--help']; from api.cli import main\ntry: main()\nexcept SystemExit: pass\n"
    program += "print([name for name in ('duckdb', 'pandas', 'opendp', 'fastapi', 'numpy', 'rich', 'phe', 'httpx2') if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program, *group], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def helped(command) -> set[str]:
    """Return every help text of a command and of all below it."""
    told = {command.help or "", *(getattr(one, "help", None) or "" for one in command.params)} - {""}
    return told.union(*(helped(below) for below in getattr(command, "commands", {}).values()))


def test_every_help_text_is_told_in_chinese():
    missing = helped(typer.main.get_command(app)) - wording.catalog("zh").keys()
    assert not missing, sorted(missing)
    assert "数据不动" in run("--lang", "zh", "--help").stdout
    assert "Value data" in run("--help").stdout
