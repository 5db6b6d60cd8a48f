"""The formula desk and pledge quotes as their users reach them: over HTTP and at the command line, the same exact figures."""

import copy
import json
from decimal import Decimal

import pytest

from privacy import canonical
from tests.test_api import call, exchange, is_problem  # noqa: F401  the fixture is used by its name
from tests.test_cli import run
from tests.test_desk import EXAMPLES, FIRST, NAMES, differences, tolerance
from tests.test_valuation import VECTORS, changed
from tests.test_valuation_reconcile import INPUTS, REPORT
from valuation import desk, report
from valuation.desk import wire
from valuation.finance.document import KINDS, perform

PLEDGE = json.loads((VECTORS / "pledge_loan.json").read_text("utf-8"))


def text_of(inputs):
    return wire.spell(inputs)


def read(text):
    return json.loads(text, parse_float=Decimal, parse_int=Decimal)


def test_every_worked_example_comes_back_over_http(exchange):  # noqa: F811
    for example in EXAMPLES:
        name = example["method"]
        response = call(exchange, "POST", f"/v1/formulas/{name}", text_of(example["inputs"]).encode())
        assert response.status_code == 200, response.text
        assert response.headers["content-type"] == "application/json"
        told = read(response.text)
        assert list(told) == ["method", "outputs", "warnings"]
        assert differences(told["outputs"], example["outputs"], tolerance(name)) == []
        assert response.text == wire.spell(
            {
                "method": name,
                "outputs": desk.evaluate(name, example["inputs"]),
                "warnings": [remark.to_json() for remark in desk.warnings(name, example["inputs"])],
            }
        )


def test_the_contracts_are_served(exchange):  # noqa: F811
    assert [row["name"] for row in call(exchange, "GET", "/v1/formulas").json()["formulas"]] == NAMES
    told = call(exchange, "GET", "/v1/formulas/dcf_finite").json()
    assert told == json.loads(json.dumps(desk.find("dcf_finite").to_json()))
    for method in ("GET", "POST"):
        is_problem(call(exchange, method, "/v1/formulas/dcf_infinite", b"{}"), 404, "TS-REQ-004")


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"rate": Decimal("1.5")}, "rate: outside (0,1)"),
        ({"rate": "0.1"}, "rate: not"),
        ({"rate": None}, "rate: not"),
        ({"pace": 1}, "pace: unknown key"),
        ({"income": []}, "income: "),
    ],
)
def test_inputs_outside_the_contract_are_refused_by_key(exchange, changes, complaint):  # noqa: F811
    body = text_of(FIRST["dcf_finite"] | changes).encode()
    told = is_problem(call(exchange, "POST", "/v1/formulas/dcf_finite", body), 422, "TS-REQ-001")
    assert complaint in told["detail"]
    for nonsense in (b"", b"{", b'{"rate": NaN}', b'{"rate": 1, "rate": 2}', b"\xff", b"[" * 5000, b"1" * 5000):
        is_problem(call(exchange, "POST", "/v1/formulas/dcf_finite", nonsense), 422, "TS-REQ-001")


def test_a_report_comes_over_http_to_the_byte_and_is_computed_anew(exchange):  # noqa: F811
    made = call(exchange, "POST", "/v1/reports", json.dumps(INPUTS).encode())
    assert made.status_code == 200, made.text
    assert made.content == canonical.encode(REPORT)
    told = call(exchange, "POST", "/v1/reports/verify", made.content)
    assert told.json() == {"digest": REPORT["digest"], "basis": REPORT["basis"], "figures": len(REPORT["figures"])}


def test_reports_over_http_fail_as_they_do_at_the_command_line(exchange):  # noqa: F811
    odd = copy.deepcopy(REPORT)
    next(one for one in odd["figures"] if one["key"] == "income.central")["value"] = "99999999"
    told = is_problem(call(exchange, "POST", "/v1/reports/verify", canonical.encode(odd)), 422, "TS-REQ-002")
    assert "income.central does not follow" in told["detail"]
    assert "99999999" not in json.dumps(told)
    for path, value, complaint in (
        (("facts", "income", "tax", "value"), "7", "inputs.facts.income.tax.value: outside [0, 1)"),
        (("facts", "costs"), INPUTS["facts"]["costs"] * 400, "inputs.facts.costs: outside lists of at most"),
        (("surprise",), 1, "inputs.surprise: unknown key"),
    ):
        told = is_problem(
            call(exchange, "POST", "/v1/reports", json.dumps(changed(path, value, INPUTS)).encode()), 422, "TS-REQ-001"
        )
        assert complaint in told["detail"]
    closed = json.dumps(changed(("facts", "legal", "owner_form"), "government", INPUTS)).encode()
    told = call(exchange, "POST", "/v1/reports", closed)
    assert told.status_code == 403
    assert "legal_form" in told.json()["detail"]
    for nonsense in (b"", b"{", b'{"facts": NaN}', b'{"facts": 1, "facts": 2}', b"\xff", b"[" * 5000, b"null"):
        for path in ("/v1/reports", "/v1/reports/verify"):
            is_problem(call(exchange, "POST", path, nonsense), 422, "TS-REQ-001")


@pytest.mark.parametrize("name", ["dcf_finite", "irb_capital", "abs_waterfall"])
def test_the_command_line_computes_a_worked_example(tmp_path, name):
    example = next(example for example in EXAMPLES if example["method"] == name)
    path = tmp_path / "inputs.json"
    path.write_text(text_of(example["inputs"]), "utf-8")
    told = run("value", "formula", name, "--inputs", str(path))
    assert told.returncode == 0, told.stderr
    assert differences(read(told.stdout), example["outputs"], tolerance(name)) == []
    assert run("value", "formula", name, "--inputs", "-", input=path.read_text("utf-8")).stdout == told.stdout


def test_the_command_line_lists_and_explains():
    listed = run("value", "formula", "--list")
    assert all(name in listed.stdout for name in NAMES)
    assert [row["name"] for row in json.loads(run("value", "formula", "--list", "--json").stdout)["items"]] == NAMES
    told = run("value", "formula", "dcf_finite")
    assert "discount rate" in told.stdout
    assert "(0,1)" in told.stdout
    assert json.loads(run("value", "formula", "dcf_finite", "--json").stdout)["name"] == "dcf_finite"


def test_the_command_line_says_what_to_mend(tmp_path):
    wrong = run("value", "formula", "dcf_finite", "--inputs", "-", input='{"income": [1], "rate": 2}')
    assert (wrong.returncode, wrong.stdout) == (1, "")
    assert "rate: outside (0,1)" in wrong.stderr or "missing" in wrong.stderr
    unknown = run("value", "formula", "dcf_infinite")
    assert unknown.returncode == 1
    assert "method: outside" in unknown.stderr
    assert "cannot be read" in run("value", "formula", "dcf_finite", "--inputs", str(tmp_path / "none")).stderr
    assert "Traceback" not in wrong.stderr + unknown.stderr


def test_a_structure_comes_back_over_http_as_the_command_writes_it(exchange):  # noqa: F811
    told = call(exchange, "GET", "/v1/structures").json()["structures"]
    assert [row["kind"] for row in told] == list(KINDS)
    for kind in KINDS:
        inputs = (VECTORS / f"finance_{kind}.json").read_bytes()
        response = call(exchange, "POST", f"/v1/structures/{kind}", inputs)
        assert response.status_code == 200, response.text
        assert response.content == canonical.encode(perform(kind, json.loads(inputs)))
    is_problem(call(exchange, "POST", "/v1/structures/option", b"{}"), 404, "TS-REQ-004")
    told = is_problem(call(exchange, "POST", "/v1/structures/abs", b'{"title": 3}'), 422, "TS-REQ-001")
    assert "inputs.on" in told["detail"]
    closed = json.loads((VECTORS / "finance_trust.json").read_text("utf-8"))
    closed["remoteness"]["no_recourse"] = None
    told = is_problem(call(exchange, "POST", "/v1/structures/trust", json.dumps(closed).encode()), 403, "TS-POL-002")
    assert "without recourse" in told["fix"]


def test_a_pledge_quote_over_http_is_the_report_and_errors_name_their_key(exchange):  # noqa: F811
    path = "/v1/pledges/quote"
    answer = call(exchange, "POST", path, json.dumps(PLEDGE).encode())
    assert answer.status_code == 200, answer.text
    assert answer.content == canonical.encode(report.perform(PLEDGE))
    wrong = copy.deepcopy(PLEDGE)
    wrong["terms"]["loan"]["risk"]["lgd_floor"] = "0.1"
    told = is_problem(call(exchange, "POST", path, json.dumps(wrong).encode()), 422, "TS-REQ-001")
    assert "inputs.terms.loan.risk.lgd_floor: outside [0.25, 1]" in told["detail"]
    for nonsense in (b"", b"{", b"[]", b'{"terms": null}', b'{"a": NaN}', b'{"a": 1, "a": 2}', b"[" * 5000):
        is_problem(call(exchange, "POST", path, nonsense), 422, "TS-REQ-001")
    long = copy.deepcopy(PLEDGE)
    long["method"]["judgement"]["draws"] = 5_000
    told = is_problem(call(exchange, "POST", path, json.dumps(long).encode()), 422, "TS-REQ-001")
    assert "judgement.draws" in told["detail"]
    shut = copy.deepcopy(PLEDGE)
    shut["facts"]["legal"]["owner_form"] = "government"
    assert call(exchange, "POST", path, json.dumps(shut).encode()).status_code == 403
