"""The committee's page: from a verified report alone, nothing blank, nothing invented; at the command line."""

import copy
import json
import re
from decimal import Decimal
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from api import cli
from api.printing.pledge_page import render
from privacy import canonical
from privacy.errors import Malformed
from tests.test_cli import run
from tests.test_pledge import REPORT as PLAIN
from tests.test_pledge_loan import INPUTS, WHOLE
from tests.test_valuation import VECTORS
from valuation.errors import Differs, MissingKey, OutOfRange
from valuation.reperform import NOTICE
from valuation.sheet import CAPITAL, sheet
from valuation.shown import ABSENT, three

SHEET = sheet(WHOLE)
FIGURES = {figure["key"]: figure for figure in WHOLE["figures"]}
ROWS = [row for section in SHEET["sections"] for row in section["rows"]]


def shown(label):
    return next(row["shown"] for row in ROWS if row["label"]["en"] == label)


def test_the_page_has_its_twelve_sections_and_its_notices():
    assert [section["number"] for section in SHEET["sections"]] == list(range(1, 13))
    assert all(section["rows"] or section["tables"] for section in SHEET["sections"])
    assert SHEET["notice"] == dict(NOTICE)
    assert SHEET["capital"] == dict(CAPITAL)
    assert "no capital relief" in SHEET["capital"]["en"]
    assert SHEET["report"] == WHOLE["digest"]


def test_a_sheet_is_made_of_its_report_alone_and_is_the_same_each_time():
    again = sheet(canonical.encode(WHOLE))
    assert again == SHEET
    rest = {key: value for key, value in SHEET.items() if key != "digest"}
    assert canonical.digest(rest) == SHEET["digest"]
    assert canonical.decode(canonical.encode(SHEET)) == SHEET


def test_every_figure_on_the_page_stands_in_the_report():
    named = [row for row in ROWS if row["figure"] is not None]
    assert len(named) > 30
    assert {row["figure"] for row in named} <= set(FIGURES)
    assert shown("Quoted") == f"{int(FIGURES['loan.amount']['value']):,}"
    assert shown("Limit").startswith(f"{int(FIGURES['pledge.limit']['value']):,}, set by")
    assert shown("Least DSCR").startswith(three(Decimal(FIGURES["loan.cover"]["value"])))
    assert shown("Largest licensee") == "38.0 %"
    assert shown("Prudent end of the loan") == f"{FIGURES['tenor.prudent']['value']} days, set by life"
    assert shown("Report") == WHOLE["digest"]
    red = [remark["text"] for remark in WHOLE["remarks"] if remark["code"].startswith("red-flag")]
    assert [row["shown"] for row in ROWS if row["label"]["en"] == "Red flag"] == red


def test_what_is_not_evidenced_is_said_and_nothing_but_signatures_is_blank():
    blank = [row["label"]["en"] for row in ROWS if not row["shown"]]
    assert blank == ["Credit officer", "Second approver", "Dissent"]
    assert shown("Substitutes") == ABSENT["en"]
    bare = copy.deepcopy(INPUTS)
    bare["terms"]["loan"] |= {"licensees": None, "revenue": None, "contract": None, "amount": None}
    del bare["terms"]["loan"]["evidence"]
    told = {row["label"]["en"]: row["shown"] for section in sheet(made(bare))["sections"] for row in section["rows"]}
    for label in (
        "Largest licensee",
        "Value to a year's data revenue",
        "Other live liens",
        "Privacy budget in reserve",
    ):
        assert told[label] == ABSENT["en"]
    assert told["Asked for"] == "the whole limit"
    assert "other live liens" in told["To be shown before money moves"]


def made(inputs):
    from valuation.report import perform

    return perform(inputs)


def test_a_changed_report_makes_no_sheet():
    odd = copy.deepcopy(WHOLE)
    next(figure for figure in odd["figures"] if figure["key"] == "pledge.limit")["value"] = "999999"
    with pytest.raises(Differs) as caught:
        sheet(odd)
    assert caught.value.place == "pledge.limit"
    with pytest.raises(OutOfRange):
        sheet(PLAIN)
    with pytest.raises(Malformed):
        sheet(b"{}")


@given(st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**12), max_value=10**12, places=6))
def test_no_uncertain_number_is_shown_with_more_than_three_digits(value):
    text = three(value)
    digits = re.sub(r"[^0-9]", "", text).strip("0")
    assert len(digits) <= 3
    assert abs(Decimal(text.replace(",", "")) - value) <= abs(value) * Decimal("0.005")
    assert "E" not in text


class Texts(HTMLParser):
    """What a page shows, and what it would load."""

    def __init__(self):
        super().__init__()
        self.shown, self.tags = [], []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.shown.append(data)


def read_page(text):
    page = Texts()
    page.feed(text)
    return page


def test_the_page_shows_everything_and_loads_nothing():
    page = read_page(render(SHEET))
    told = " ".join(page.shown)
    for section in SHEET["sections"]:
        assert section["title"]["en"] in told
        assert all(row["shown"] in told for row in section["rows"])
        assert all(cell in told for table in section["tables"] for line in table["rows"] for cell in line)
    for notice in (NOTICE, CAPITAL):
        assert notice["en"] in told
        assert notice["zh"] in told
    assert {tag for tag, _ in page.tags} & {"script", "img", "link", "iframe"} == set()
    assert not any({"src", "href", "onclick"} & set(attributes) for _, attributes in page.tags)


def test_hostile_names_stay_text():
    hostile = copy.deepcopy(SHEET)
    attack = '<script>alert("1")</script>\'"><b onload=x>'
    hostile["asset"] = attack
    for section in hostile["sections"]:
        for row in section["rows"]:
            row["shown"] = attack
        for table in section["tables"]:
            table["rows"] = [[attack for _ in line] for line in table["rows"]]
    page = read_page(render(hostile))
    assert "script" not in {tag for tag, _ in page.tags}
    assert not any("onload" in attributes for _, attributes in page.tags)
    assert any(attack in text for text in page.shown)


# --- as its users reach it ---------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    path = tmp_path_factory.mktemp("pledge")
    (path / "report.json").write_bytes(canonical.encode(WHOLE))
    return path


def told_by(*arguments, input=""):  # noqa: A002  the runner's own name
    return CliRunner().invoke(cli.app, ["pledge", *map(str, arguments)], input=input, env={"COLUMNS": "200"})


def test_another_process_quotes_the_same_to_the_byte(home):
    told = run("pledge", "quote", str(VECTORS / "pledge_loan.json"), "-o", str(home / "quoted.json"))
    assert told.returncode == 0, told.stderr
    assert (home / "quoted.json").read_bytes() == canonical.encode(WHOLE)
    assert WHOLE["digest"] in told.stdout
    assert NOTICE["en"] in told.stdout
    for label in ("limit", "floor rate", "RAROC", "prudent days", "red-flag-amount", "stress-shortfall"):
        assert label in told.stdout
    wrong = run("pledge", "quote", "-", input='{"terms": null}')
    assert (wrong.returncode, wrong.stdout) == (1, "")
    assert "inputs.terms: missing" in wrong.stderr
    assert "Traceback" not in wrong.stderr


def test_schedule_and_stress_come_from_inputs_and_from_a_report_alike(home):
    told = json.loads(told_by("schedule", home / "report.json", "--json").stdout)
    payments = told["payments"]
    assert sum(Decimal(payment["principal"]) for payment in payments) == Decimal(told["amount"])
    assert payments[-1]["balance"] == "0"
    told = json.loads(told_by("stress", "-", "--json", input=json.dumps(INPUTS)).stdout)
    assert {row["name"]: row["state"] for row in told["stresses"]}["ban"] == "liquidation"
    assert "2027-07-15" in told_by("schedule", home / "report.json").stdout
    assert "a free rival enters" in told_by("stress", home / "report.json").stdout


def test_the_sheet_is_written_as_a_page_and_as_json(home):
    assert told_by("sheet", home / "report.json", "-o", home / "sheet.html").exit_code == 0
    assert (home / "sheet.html").read_text("utf-8") == render(SHEET)
    assert told_by("sheet", home / "report.json", "-o", home / "sheet.json").exit_code == 0
    assert (home / "sheet.json").read_bytes() == canonical.encode(SHEET)


def test_wrong_files_end_in_a_sentence(home):
    odd = canonical.encode(WHOLE).replace(b'"51491"', b'"61491"').decode()
    shut = copy.deepcopy(INPUTS)
    shut["terms"]["loan"]["rate"] = "7"
    cases = [
        (("sheet", "-"), odd, Differs, "does not follow"),
        (("stress", "-"), odd, Differs, "does not follow"),
        (("schedule", "-"), canonical.encode(PLAIN).decode(), MissingKey, "inputs.terms.loan: missing"),
        (("quote", "-"), json.dumps(shut), OutOfRange, "terms.loan.rate: outside (0, 1)"),
        (("sheet", home / "none.json"), "", Malformed, "cannot be read"),
        (("sheet", home / "report.json", "-o", home / "sheet.docx"), "", Malformed, ".html or .json"),
        (("sheet", home / "report.json", "-o", home / "no" / "sheet.html"), "", Malformed, "cannot be written"),
    ]
    for arguments, text, error, complaint in cases:
        told = told_by(*arguments, input=text)
        assert isinstance(told.exception, error)
        assert complaint in str(told.exception)
        assert told.stdout == ""
