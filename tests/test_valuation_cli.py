"""Appraising and verifying as the credit officer's office does it: files in, a report out, every error by its key."""

import copy
import json

import pytest

from privacy import canonical
from tests.test_cli import run
from tests.test_valuation import VECTORS
from tests.test_valuation_reconcile import FACTS as THREE
from tests.test_valuation_reconcile import INPUTS, REPORT


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    home = tmp_path_factory.mktemp("appraisal")
    (home / "facts.json").write_text(json.dumps(INPUTS, indent=1, ensure_ascii=False), "utf-8")
    told = run("value", "appraise", str(home / "facts.json"), "-o", str(home / "report.json"))
    assert told.returncode == 0, told.stderr
    return home, told


def test_the_documented_example_is_the_one_that_is_tested():
    assert json.loads((VECTORS / "valuation_three_approaches.json").read_text("utf-8")) == INPUTS


def test_another_process_makes_the_same_report_to_the_byte(made):
    home, told = made
    assert (home / "report.json").read_bytes() == canonical.encode(REPORT)
    assert REPORT["digest"] in told.stdout
    assert "not an appraisal report signed by a licensed firm" in told.stdout
    for label in ("value, low", "value, reconciled", "value, high", "by income", "by market", "by cost", "loan limit"):
        assert label in told.stdout
    printed = run("value", "appraise", "-", input=json.dumps(INPUTS))
    assert printed.stdout.encode() == canonical.encode(REPORT) + b"\n"


def test_a_report_verifies_and_a_changed_figure_is_named(made):
    home, _ = made
    told = run("value", "verify", str(home / "report.json"))
    assert told.returncode == 0, told.stderr
    assert f"all {len(REPORT['figures'])} figures follow" in told.stdout
    odd = copy.deepcopy(REPORT)
    next(one for one in odd["figures"] if one["key"] == "income.central")["value"] = "99999999"
    (home / "odd.json").write_bytes(canonical.encode(odd))
    told = run("value", "verify", str(home / "odd.json"))
    assert told.returncode == 1
    assert "income.central does not follow" in told.stderr
    assert "99999999" not in told.stderr


def test_a_cost_only_appraisal_still_works(made):
    home, _ = made
    facts = {key: THREE[key] for key in THREE if key not in {"income", "market"}}
    method = {key: INPUTS["method"][key] for key in ("on", "mode", "weights")} | {"name": "cost_cas2023"}
    (home / "cost.json").write_text(json.dumps(INPUTS | {"facts": facts, "method": method}), "utf-8")
    told = run("value", "appraise", str(home / "cost.json"), "-o", str(home / "cost-report.json"))
    assert told.returncode == 0, told.stderr
    assert "by income" not in told.stdout
    assert run("value", "verify", str(home / "cost-report.json")).returncode == 0


@pytest.mark.parametrize(
    ("path", "value", "complaint"),
    [
        (
            ("facts", "income", "fade", "growth"),
            "0.5",
            "inputs.facts.income.fade.growth: outside growth below the discount",
        ),
        (("facts", "income", "tax", "value"), "7", "inputs.facts.income.tax.value: outside [0, 1)"),
        (("facts", "market", "deals"), [], "inputs.facts.market.deals: outside lists of 3 to"),
        (("facts", "costs", 0, "amount", "amount"), 5, "inputs.facts.costs[0].amount.amount: not a decimal number"),
        (("method", "judgement", "draws"), 1, "inputs.method.judgement.draws: outside [100, 100000]"),
        (("surprise",), 1, "inputs.surprise: unknown key"),
    ],
)
def test_errors_name_the_key_and_the_range(made, path, value, complaint):
    document = copy.deepcopy(INPUTS)
    inner = document
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value
    told = run("value", "appraise", "-", input=json.dumps(document))
    assert told.returncode == 1
    assert complaint in told.stderr
    assert "Traceback" not in told.stderr


def test_files_that_are_none(made):
    home, _ = made
    assert "cannot be read" in run("value", "appraise", str(home / "absent.json")).stderr
    for nonsense in ("", "{", '{"facts": NaN}', '{"facts": 1, "facts": 2}', "[" * 5000):
        told = run("value", "appraise", "-", input=nonsense)
        assert told.returncode == 1
        assert "Traceback" not in told.stderr
        assert run("value", "verify", "-", input=nonsense).returncode == 1
    told = run("value", "appraise", str(home / "facts.json"), "-o", str(home / "no" / "report.json"))
    assert "cannot be written" in told.stderr
    closed = copy.deepcopy(INPUTS)
    closed["facts"]["legal"]["owner_form"] = "government"
    assert run("value", "appraise", "-", input=json.dumps(closed)).returncode == 3
