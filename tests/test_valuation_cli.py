"""Appraising and verifying as the credit officer's office does it: files in, a report out, every error by its key."""

import copy
import json

import pytest

from api.commands import valuing
from exchange import identity
from exchange.protocol import envelope
from exchange.protocol.errors import Unknown
from privacy import canonical
from privacy.errors import Mismatch, PrivacyError
from tests.test_cli import run
from tests.test_valuation import VECTORS
from tests.test_valuation_reconcile import FACTS as THREE
from tests.test_valuation_reconcile import INPUTS, REPORT
from valuation.errors import Differs


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


def test_a_report_is_signed_by_its_maker_and_held_to_the_key(made):
    home, _ = made
    keys = {}
    for party in ("lender-x", "lender-y"):
        keys[party] = identity.make(home / party, party=party, what="desk").public_key().public_bytes_raw().hex()
    told = run(
        "value", "sign", str(home / "report.json"), "--key", str(home / "lender-x"), "-o", str(home / "signed.json")
    )
    assert told.returncode == 0, told.stderr
    assert told.stdout == f"signed by lender-x; digest {REPORT['digest']}\n"
    held = run("value", "verify", str(home / "signed.json"), "--signer", keys["lender-x"])
    assert held.returncode == 0, held.stderr
    assert held.stdout.startswith("signed by lender-x\n")
    assert f"all {len(REPORT['figures'])} figures follow" in held.stdout
    unchecked = run("value", "verify", str(home / "signed.json"))
    assert (unchecked.returncode, "signed by lender" in unchecked.stdout) == (0, False)
    assert "give that party's key as --signer" in unchecked.stderr
    complaints = {
        ("signed.json", keys["lender-y"]): "the signature does not belong",
        ("signed.json", "0" * 64): "the signature does not belong",
        ("report.json", keys["lender-x"]): "the report is not signed",
    }
    for (name, key), complaint in complaints.items():
        with pytest.raises(Mismatch, match=complaint):
            valuing.verify(home / name, signer=bytes.fromhex(key))
    told = run("value", "verify", str(home / "signed.json"), "--signer", "12")
    assert (told.returncode, told.stdout) == (1, "")
    assert "not 64 hexadecimal digits" in told.stderr


def test_a_signature_covers_every_byte_and_nobody_signs_what_does_not_hold(made, capsys):
    home, _ = made
    key = identity.make(home / "maker", party="maker", what="desk")
    pinned = key.public_key().public_bytes_raw()
    odd = copy.deepcopy(REPORT)
    next(one for one in odd["figures"] if one["key"] == "income.central")["value"] = "99999999"
    (home / "false.json").write_bytes(canonical.encode(odd))
    with pytest.raises(Differs):
        valuing.sign(home / "false.json", home=home / "maker", output=None)
    with pytest.raises(Unknown):
        valuing.sign(home / "report.json", home=home / "nobody", output=None)
    good = envelope.sign("valuation-report", REPORT, signer="maker", key=key).to_json()
    body = good["body"]
    hostile = {
        "body": good | {"body": canonical.encode(odd).decode()},
        "signer": good | {"signer": "lender-x"},
        "kind": envelope.sign("offer", REPORT, signer="maker", key=key).to_json(),
        "bent": good | {"body": body[:-1] + " }"},
        "short": good | {"signature": good["signature"][:-4]},
        # signed, but it does not follow: the key stands for who says so, the figures for whether it is so
        "false": envelope.sign("valuation-report", odd, signer="maker", key=key).to_json(),
    }
    assert capsys.readouterr().out == ""
    for name, document in hostile.items():
        (home / "hostile.json").write_bytes(canonical.encode(document))
        with pytest.raises(PrivacyError):
            valuing.verify(home / "hostile.json", signer=pinned)
        assert "figures follow" not in capsys.readouterr().out, name
