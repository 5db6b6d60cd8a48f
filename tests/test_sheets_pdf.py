"""One-page sheets as PDF: complete, marked, archival, inert, the same bytes every time."""

import copy
import json
import re
from dataclasses import replace
from functools import cache
from io import BytesIO

import pytest
from pypdf import PdfReader
from typer.testing import CliRunner

from api import cli
from api.printing import sheets
from privacy import canonical
from privacy.errors import Malformed
from tests.test_cli import run
from tests.test_pledge_loan import INPUTS as LOAN
from tests.test_pledge_loan import WHOLE
from tests.test_valuation import VECTORS
from valuation.finance.document import KINDS, perform
from valuation.finance.page import page
from valuation.report import perform as appraise
from valuation.sheet import sheet

HOSTILE = (
    '<script>alert(1)</script> #import "secret.typ": * #panic("typ") $x$ *b* _i_ @ref \\ `raw`',
    '"}],"kind":"picture","svg":"<svg/>',
    "\u202e1000000 \U0001f600 \U00020000 \u0623 end",
    "a" * 300,
)
FINANCE = {kind: json.loads((VECTORS / f"finance_{kind}.json").read_text("utf-8")) for kind in KINDS}


@cache
def printed(name):
    return sheets.committee(sheet(WHOLE)) if name == "committee" else sheets.product(page(perform(name, FINANCE[name])))


def words(data):
    """Every text of a PDF without white space and places to break, by page."""
    return [re.sub(r"[\s\u200b]", "", one.extract_text()) for one in PdfReader(BytesIO(data)).pages]


def closed_up(text):
    return re.sub(r"\s", "", text)


every = pytest.mark.parametrize("name", ["committee", *KINDS])


@every
def test_a_sheet_is_one_archival_page_that_carries_its_notice(name):
    data = printed(name)
    (text,) = words(data)
    assert text.count(closed_up("not an appraisal report signed by a licensed firm")) == 2, (
        "on the sheet and at its foot"
    )
    assert "不是由持牌机构签署的资产评估报告" in text
    assert closed_up("no capital relief") in text
    claims = PdfReader(BytesIO(data)).trailer["/Root"]["/Metadata"].get_object().get_data().decode("utf-8")
    for claim in (r"pdfaid:part>2<", r"pdfaid:conformance>A<", r"pdfuaid:part>1<"):
        assert re.search(claim, claims)
    size = PdfReader(BytesIO(data)).pages[0].mediabox
    assert (round(float(size.width)), round(float(size.height))) == (595, 842)


def test_the_committee_s_page_holds_every_row_of_the_sheet():
    told, (text,) = sheet(WHOLE), words(printed("committee"))
    for section in told["sections"]:
        assert closed_up(f"{section['number']}{section['title']['en']}{section['title']['zh']}") in text
        for row in section["rows"]:
            assert closed_up(row["label"]["en"]) in text
            assert closed_up(row["shown"]) in text
        for cell in (one for table in section["tables"] for line in (table["head"], *table["rows"]) for one in line):
            assert closed_up(cell) in text
        for bar in section["bars"]:
            assert closed_up(bar["shown"]) in text
    assert told["digest"] in text
    assert told["report"] in text


@pytest.mark.parametrize("kind", KINDS)
def test_a_product_s_page_holds_what_the_web_page_does(kind):
    told, (text,) = page(perform(kind, FINANCE[kind])), words(printed(kind))
    lines = [told.title, told.parties, told.digest, *told.notice, *(part for pair in told.concluded for part in pair)]
    lines += [text for text, _ in told.remarks] + list(told.assumptions)
    lines += [cell for table in told.tables for line in (table.head, *table.rows) for cell in line]
    for line in lines:
        assert closed_up(line) in text, line
    assert PdfReader(BytesIO(printed(kind))).metadata.creation_date.date().isoformat() == told.on


@pytest.mark.parametrize("name", ["committee", "abs"])
def test_another_process_writes_the_same_bytes(name, tmp_path):
    made = WHOLE if name == "committee" else perform(name, FINANCE[name])
    (tmp_path / "made.json").write_bytes(canonical.encode(made) + b"\n")
    command = "pledge" if name == "committee" else "finance"
    told = run(command, "sheet", str(tmp_path / "made.json"), "-o", str(tmp_path / "sheet.pdf"))
    assert told.returncode == 0, told.stderr
    assert (tmp_path / "sheet.pdf").read_bytes() == printed(name)


def test_hostile_texts_are_texts_on_the_committee_s_page():
    inputs = copy.deepcopy(LOAN)
    inputs["terms"]["loan"]["borrower"], inputs["terms"]["loan"]["use"] = HOSTILE[0], HOSTILE[2]
    inputs["necessity"]["withheld"][0]["item"] = HOSTILE[1]
    inputs["necessity"]["withheld"].append({"item": HOSTILE[3], "reason": "not needed"})
    text = "".join(words(sheets.committee(sheet(appraise(inputs)))))
    for one in (HOSTILE[0], HOSTILE[1], HOSTILE[3]):
        assert closed_up(one) in text
    assert "[U+202E]1000000[U+1F600][U+20000][U+0623]end" in text


def test_hostile_texts_are_texts_on_a_product_s_page():
    inputs = copy.deepcopy(FINANCE["portfolio"]) | {"title": HOSTILE[0], "reported_by": HOSTILE[2]}
    inputs["records"][0]["lender"] = HOSTILE[1]
    inputs["shocks"][0]["name"] = HOSTILE[3]
    inputs["records"][0]["loan"] = {"amount": "10000000", "currency": "CNY"}
    text = "".join(words(sheets.product(page(perform("portfolio", inputs)))))
    for one in (HOSTILE[0], HOSTILE[1], HOSTILE[3]):
        assert closed_up(one) in text
    assert "[U+202E]1000000" in text


def test_what_does_not_fit_one_page_goes_on_and_is_not_lost():
    laid = page(perform("abs", FINANCE["abs"]))
    lines = tuple(f"{number}: {'word ' * 60}" for number in range(60))
    sheets_of = words(sheets.product(replace(laid, assumptions=lines)))
    assert len(sheets_of) > 1
    for text in sheets_of:
        assert closed_up("not an appraisal report signed by a licensed firm") in text
    whole = "".join(sheets_of)
    assert all(f"{number}:word" in whole for number in range(60))


def test_another_ending_is_refused_by_name(tmp_path):
    (tmp_path / "report.json").write_bytes(canonical.encode(WHOLE))
    for command in ("pledge", "finance"):
        told = CliRunner().invoke(
            cli.app, [command, "sheet", str(tmp_path / "report.json"), "-o", str(tmp_path / "sheet.docx")]
        )
        assert isinstance(told.exception, Malformed)
        assert ".pdf" in told.exception.fix + told.exception.reason
    assert not (tmp_path / "sheet.docx").exists()
