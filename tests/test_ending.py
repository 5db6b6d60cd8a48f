"""Owners end datasets from the command line while real processes run; and search them over HTTP."""

import json
import time

import pytest
from typer.testing import CliRunner

from api import cli
from api.commands import terminal
from api.demo import people, town
from exchange.protocol.errors import Encumbered
from privacy.errors import PrivacyError


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    """An exchange and three nodes, each a process of its own."""
    home = tmp_path_factory.mktemp("ending")
    with town.Town(home, people.synthesise(home, rows=1000), clock=lambda: time.time_ns() // 1000) as made:
        made.settle()
        made.start_exchange()
        for one in made.institutions:
            made.start_node(one.party)
        yield made


def told(running, *arguments, party="lender-x"):
    command = [*arguments[:2], str(running.home / party), *arguments[2:], "--exchange", running.url]
    done = CliRunner().invoke(cli.app, command)
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    assert done.exit_code == 0, done.output
    return done.stdout


def state(running, asset):
    return json.loads(told(running, "catalog", "show", asset))["state"]


def wait_for(condition):
    for _ in range(600):
        if condition():
            return
        time.sleep(0.1)
    raise AssertionError("it did not happen")


def test_what_lists_shows_and_counts(running):
    rows = json.loads(told(running, "catalog", "search", "--json"))["datasets"]
    assert sorted(row["asset"] for row in rows) == ["bank-a/accounts", "bank-b/accounts", "bank-c/accounts"]
    assert "bank-b/accounts" in told(running, "catalog", "search", "accounts", "--owner", "bank-b")
    counts = json.loads(told(running, "catalog", "facets", "--json"))
    assert counts["facets"]["standard"] == {"consumer_credit/1": 3}
    exported = json.loads(told(running, "catalog", "export"))
    assert len(exported["dcat:dataset"]) == 3


def test_a_certificate_is_fetched_and_verified_offline(running, tmp_path):
    file = tmp_path / "certificate.json"
    file.write_text(told(running, "certificate", "fetch", "bank-a/accounts"), "utf-8")
    key = json.loads(json.loads(file.read_text("utf-8"))["body"])["exchange_key"]
    page = tmp_path / "certificate.html"
    command = ["certificate", "verify", str(file), "--key", key, "--page", str(page)]
    done = CliRunner().invoke(cli.app, command)
    assert (done.exit_code, json.loads(done.stdout)["valid"]) == (0, True)
    assert "bank-a/accounts" in page.read_text("utf-8")
    done = CliRunner().invoke(cli.app, ["certificate", "verify", str(file), "--key", "00" * 32])
    assert isinstance(done.exception, PrivacyError)


def test_a_running_node_takes_its_owners_word_to_the_exchange(running):
    home = str(running.home / "bank-b")
    done = CliRunner().invoke(cli.app, ["node", "deprecate", home, "accounts", "--because", "a better one is coming"])
    assert done.exit_code == 0, done.output
    wait_for(lambda: state(running, "bank-b/accounts") == "deprecated")
    met = json.loads(told(running, "node", "withdraw", "accounts", "--because", "x", "--dry-run", party="bank-b"))
    assert (met["open_sessions"], met["liens"]) == (0, [])
    assert state(running, "bank-b/accounts") == "deprecated"
    told(running, "node", "withdraw", "accounts", "--because", "the source ends", party="bank-b")
    wait_for(lambda: state(running, "bank-b/accounts") == "withdrawn")
    wait_for(lambda: not (running.home / "bank-b" / "declared" / "accounts.json").exists())
    rows = json.loads(told(running, "catalog", "search", "--json"))["datasets"]
    assert sorted(row["asset"] for row in rows) == ["bank-a/accounts", "bank-c/accounts"]
    prepared = running.home / "bank-b" / "prepared"
    wait_for(lambda: not list(prepared.glob("*.duckdb")))


def test_the_node_itself_holds_the_dataset_no_more_and_its_charges_stay(running):
    """After the process above has ended, what is on its disk says so."""
    running.stop()
    from exchange.node.vault import Vault
    from exchange.protocol.errors import Unknown

    vault = Vault.open(running.home / "bank-b", clock=lambda: time.time_ns() // 1000)
    try:
        assert vault.datasets() == []
        with pytest.raises(Unknown):
            vault.dataset("consumer_credit/1")
        with pytest.raises(Unknown):
            vault.policy("accounts")
        assert vault.spending() == []
    finally:
        vault.close()


def test_an_encumbered_dataset_is_told_to_the_command_line():
    error = Encumbered(asset="a/b", rank=1, holder="lender-x", since="2026-01-01", doing="withdrawn")
    assert terminal.exit_code(error) == terminal.REFUSED
