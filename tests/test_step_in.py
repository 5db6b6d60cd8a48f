"""End to end over processes: a buyer's operator is answered from the reserve after a step-in, the borrower's partner is not.

bank-a's node and the exchange run as processes. lender-x lends against its data and has asked before; lender-y may step in.
"""

import json
import os
import secrets
import signal
import time
from contextlib import closing
from dataclasses import replace

import pytest
from typer.testing import CliRunner

from api import cli
from api.demo import people, town
from exchange import identity
from exchange.analyst.pledging import Pledges
from exchange.analyst.reading import quality_plan
from exchange.audit import verdict
from exchange.line import Line
from exchange.node.registration import register
from exchange.node.vault import Vault
from exchange.protocol import messages
from exchange.protocol.agreement import Drawdown, Level, Notice, StepIn
from exchange.protocol.errors import Overreach
from privacy.errors import PrivacyError, Refused
from privacy.policy import Policy
from tests import second_verifier
from tests.asked import open_desk

MILLION = 1_000_000
RESERVE = 70 * MILLION
ASSET = "bank-a/accounts"
TERMS = {"purpose": town.VALUATION, "reserve": RESERVE, "operators": ("lender-y",), "exclusive": True}
DECLARED = {"purpose": town.VALUATION, "recipients": ["lender-y"], "reserve": RESERVE, "exclusive": True}


def clock():
    return time.time_ns() // 1000


def policy_of(one, version, **step_in):
    """The owner's policy: lender-x alone may ask for the quality; lender-y only if it steps in."""
    told = town.policy_document(one) | {"version": version}
    grants = [grant | {"recipients": ["lender-x"]} for grant in told["grants"] if grant["purpose"] == town.VALUATION]
    return told | {"grants": grants, "pledging": told["pledging"] | step_in}


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    home = tmp_path_factory.mktemp("stepping")
    institutions = people.synthesise(home, rows=1_500)[:1]
    with town.Town(home, institutions, clock=clock) as made:
        made.settle()
        with closing(Vault.open(home / "bank-a", clock=clock)) as vault:
            (one,) = institutions
            register(vault, dataset=town.dataset_document(one), policy=policy_of(one, 2, step_in=DECLARED))
        made.start_exchange()
        made.start_node("bank-a")
        made.x, made.y = (open_desk(home / lender, made.url) for lender in ("lender-x", "lender-y"))
        with made.x.line, made.y.line:
            Pledges(made.x.line, made.x.sign).name_officers(*town.OFFICERS["lender-x"])
            yield made


def command(*arguments):
    done = CliRunner().invoke(cli.app, [str(one) for one in arguments])
    if isinstance(done.exception, PrivacyError):
        raise done.exception
    assert done.exit_code == 0, done.output
    return done.stdout


def refused(desk, millions, **changes):
    """Why bank-a's data gives no answer."""
    with pytest.raises(Overreach) as told:
        asked(desk, millions, **changes)
    (violation,) = told.value.violations
    return violation.why


def asked(desk, millions, **changes):
    """Ask bank-a for the quality of its data at a price; returns what it charged and what it says is left."""
    plan = replace(quality_plan(desk.standard(town.STANDARD), party="bank-a", rho=millions * MILLION), **changes)
    desk.registered_key()
    receipt = desk.open(desk.wait(desk.ask(plan, now=int(time.time()))), plan).receipt
    return receipt["charged"]["bank-a"] // MILLION, receipt["left"]["bank-a"] // MILLION


def signed_off(running, pledges, **terms):
    """Quote a pledge, have two officers approve and both parties sign; returns its id."""
    appraisal = pledges.record(messages.Appraisal(asset=ASSET, report="0" * 64, releases=()))
    told = {"rank": 1, "amount": 100, "matures": "2027-12-31", "nonce": secrets.token_hex(32), "forbids_juniors": False}
    name = pledges.quote(messages.Offer(asset=ASSET, appraisal=appraisal, **told, **terms))
    for officer in town.OFFICERS["lender-x"]:
        party, key = identity.load(running.home / officer, what="officer")
        with Line(running.url, party=party, key=key) as line:
            Pledges.under(line, key).approve(name)
    pledges.sign(name)
    pledges.show(name, wait=20)
    return name


def revive(running):
    """Kill the node as a power cut would, and start it again."""
    index, (_, process) = next((index, held) for index, held in enumerate(running._processes) if held[0] == "bank-a")
    os.kill(process.pid, signal.SIGKILL)
    process.wait(timeout=20)
    running._processes.pop(index)
    process.stdin.close()
    process.stdout.close()
    running.start_node("bank-a")


def test_after_a_step_in_its_operator_is_answered_from_the_reserve_and_nobody_else_at_all(running):
    pledges, at = Pledges(running.x.line, running.x.sign), ("--exchange", running.url)
    home = running.home / "lender-x"
    assert asked(running.x, 20) == (20, 80)
    assert refused(running.y, 19) == "the owner grants you nothing for this purpose"

    # more than the owner has declared is objected to by its node
    wider = messages.StepInTerms(**TERMS | {"reserve": RESERVE + 1})
    _, told = pledges.show(signed_off(running, pledges, step_in=wider))
    assert told["state"] == "refused"
    assert "at most 0.07 rho" in json.loads(told["steps"][-1]["said"]["body"])["reason"]

    name = signed_off(running, pledges, step_in=messages.StepInTerms(**TERMS))
    pledges.file(name)
    assert "reserve   whole: 0.07 of 0.07 rho" in command("pledge", "watch", home, ASSET, *at)
    assert "lender-y for pledge-valuation, 0.07 rho kept back, nobody else" in command(
        "pledge", "status", home, name, *at
    )
    revive(running)
    with pytest.raises(Refused, match=r"the unreserved budget has 0\.01 rho left, the request needs 0\.018"):
        asked(running.x, 18)
    assert asked(running.x, 3) == (3, 7)
    assert refused(running.y, 19) == "the owner grants you nothing for this purpose"

    pledges.send(Drawdown(offer=name, amount=10_000))
    told = {"evidence": "e" * 64, "nonce": secrets.token_hex(32)}
    pledges.send(Notice(offer=name, level=Level.MARGIN_CALL, cure_by="2027-01-01", **told))
    with pytest.raises(PrivacyError, match="names no such operator"):
        step_in(pledges, name, "lender-x")
    step_in(pledges, name, "lender-y")

    assert asked(running.y, 19) == (19, 51)
    assert refused(running.x, 4) == "a lender has stepped in: answers go to another party"
    # no more than the purpose that was agreed on
    assert refused(running.y, 1, purpose="pledge-monitoring") == "the owner grants you nothing for this purpose"
    assert "reserve   drawn: 0.051 of 0.07 rho" in command("pledge", "watch", home, ASSET, *at)
    revive(running)
    assert asked(running.y, 18) == (18, 33)

    pledges.send(Notice(offer=name, level=Level.CURED, cure_by=None, **told))
    assert refused(running.y, 17) == "the owner grants you nothing for this purpose"
    with pytest.raises(Refused, match="unreserved"):
        asked(running.x, 8)
    command("pledge", "release", home, name, "--amount", "1", "--reserve", "0.03", *at)
    assert asked(running.x, 8) == (8, 29), "what the lender lets go of is everybody's again"

    check_ledger(running, name)


def step_in(pledges, name, operator):
    made, _ = pledges.show(name)
    pledges.send(StepIn(offer=name, title=made.title, operator=operator, evidence="e" * 64))


def check_ledger(running, name):
    """The owner cannot take back what a live pledge needs; released, the rest of the budget is everybody's again."""
    running.stop()
    home, (one,) = running.home / "bank-a", running.institutions
    told = json.loads(command("node", "budget", home))
    (kept,) = told["reserves"][-1:]
    assert (kept["nano"], kept["left"], kept["given_back"]) == (40 * MILLION, 3 * MILLION, None)
    assert [charge["reserve"] for charge in told["charges"]] == [None, None, name, name, None]
    with closing(Vault.open(home, clock=clock)) as vault:
        for broken in (policy_of(one, 3), policy_of(one, 3, step_in=DECLARED | {"purpose": town.PURPOSE})):
            with pytest.raises(Refused, match="what a step-in under a live pledge needs"):
                vault.keep(vault.datasets()[0], Policy.from_json(broken))
        low = policy_of(one, 3, step_in=DECLARED)
        low["grants"] = [grant | {"budget": 70 * MILLION} for grant in low["grants"]]
        with pytest.raises(Refused, match="would not cover"):
            vault.keep(vault.datasets()[0], Policy.from_json(low))
    bundle = running.home / "log.bundle"
    command("audit", "export", running.home / "exchange", "-o", bundle)
    found = verdict.verify(bundle)
    (account,) = [one for one in found.to_json()["budgets"] if one["owner"] == "bank-a"]
    assert account["partners"] == {"lender-x": 31 * MILLION, "lender-y": 37 * MILLION}
    assert second_verifier.verify(bundle.read_bytes())["spent"]["bank-a/customers"] == {"bank-a": 68 * MILLION}
