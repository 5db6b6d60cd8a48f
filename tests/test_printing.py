"""The three forms of a report as their readers get them: complete, marked on every page, inert, the same bytes every time."""

import copy
import re
from functools import cache
from html.parser import HTMLParser
from io import BytesIO

import pytest
from pypdf import PdfReader

from api.commands import valuing
from api.printing import glyphs, made
from privacy import canonical
from privacy.errors import PrivacyError
from tests.appraised import report
from tests.spreadsheet import Workbook
from tests.test_cli import run
from tests.test_pledge import flip
from valuation.reperform import NOTICE
from valuation.report import perform, verify
from valuation.statement import state
from valuation.statement.blocks import told
from valuation.statement.words import Language


@cache
def printed(name, ending, language=Language.BOTH):
    return made.form(report(name), ending, language)


@cache
def pages(data, most=None):
    """The text of each page, or of the first ones, without the places where long words may break."""
    return [page.extract_text().replace("\u200b", "") for page in PdfReader(BytesIO(data)).pages[:most]]


def closed_up(text):
    return re.sub(r"\s", "", text)


class Page(HTMLParser):
    """What a browser would see: every text, every element with its attributes."""

    def __init__(self, data):
        super().__init__()
        self.texts, self.elements = [], []
        self.feed(data.decode("utf-8"))

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.texts.append(data)


# -- complete ------------------------------------------------------------------------------------------------------------


def test_every_figure_stands_in_full_in_every_form():
    document = report("three")
    pdf = closed_up("".join(pages(printed("three", ".pdf", Language.ZH))))
    html = closed_up("".join(Page(printed("three", ".html")).texts))
    texts = set(Workbook(printed("three", ".xlsx")).texts.values())
    for one in document["figures"]:
        assert closed_up(one["key"]) in pdf
        assert one["value"] in pdf
        assert f"({one['key']})" in html
        assert one["value"] in html
        assert {one["key"], one["value"]} <= texts
    for digest in (document["digest"], document["basis"], *document["releases"]):
        assert digest in pdf
        assert digest in html
        assert any(digest in text for text in texts)


@pytest.mark.parametrize("language", list(Language))
def test_the_notice_and_the_digest_are_on_every_page_of_every_form(language):
    notices = [NOTICE[code] for code in ("zh", "en") if language in {Language.BOTH, code}]
    document = report("cost")
    sheets = pages(printed("cost", ".pdf", language))
    assert len(sheets) > 5
    for number, text in enumerate(sheets, 1):
        assert all(closed_up(text).count(closed_up(notice)) >= 2 for notice in notices), f"page {number}"
        assert document["digest"] in text
        assert "touchstone value verify" in text
    html = printed("cost", ".html", language).decode("utf-8")
    head, foot = (re.search(f"<{part}>.*?</{part}>", html, re.DOTALL)[0] for part in ("thead", "tfoot"))
    assert all(notice in head and notice in foot for notice in notices)
    assert document["digest"] in foot
    assert "table-header-group" in html
    assert "table-footer-group" in html
    book = Workbook(printed("cost", ".xlsx", language))
    for name, header in book.headers.items():
        assert all(notice in header and notice in book.texts[(name, "A1")] for notice in notices), name
        assert document["digest"] in book.texts[(name, "A3")]


@pytest.mark.parametrize("ending", made.FORMS)
def test_what_was_opened_and_withheld_is_in_every_form(ending):
    data = printed("three", ending)
    read = {
        ".pdf": lambda: "".join(pages(printed("three", ".pdf", Language.ZH))),
        ".html": lambda: "".join(Page(data).texts),
        ".xlsx": lambda: "".join(Workbook(data).texts.values()),
    }
    text = closed_up(read[ending]())
    necessity = report("three")["inputs"]["necessity"]
    for item in (*necessity["opened"], *(part for one in necessity["withheld"] for part in one.values())):
        assert closed_up(item) in text


@pytest.mark.parametrize("language", list(Language))
def test_the_summary_takes_one_page_and_the_contents_come_next(language):
    first, second = pages(printed("three", ".pdf", language), 2)
    titles = {"zh": ("摘要", "目录", "提请关注"), "en": ("Summary", "Contents", "To be wary of")}
    for title, contents, last in (titles["en" if language is Language.EN else "zh"],):
        assert title in first
        assert last in first
        assert contents in second
        assert contents not in first
    # rounded on the summary, in full behind it
    whole = report("three")["figures"]
    central = next(one["value"] for one in whole if one["key"] == "conclusion.central")
    assert central not in first
    assert ("273 万元" if language is not Language.EN else "2.73 million CNY") in first


# -- an archival, accessible document ------------------------------------------------------------------------------------


def test_the_pdf_says_that_it_is_archival_and_accessible_and_carries_its_fonts():
    read = PdfReader(BytesIO(printed("three", ".pdf", Language.ZH)))
    claims = read.trailer["/Root"]["/Metadata"].get_object().get_data().decode("utf-8")
    assert re.search(r"pdfaid:part>2<", claims)
    assert re.search(r"pdfaid:conformance>A<", claims)
    assert re.search(r"pdfuaid:part>1<", claims)
    assert read.trailer["/Root"]["/Lang"].startswith("zh")
    assert read.trailer["/Root"]["/MarkInfo"]["/Marked"]
    fonts = {
        font.get_object()["/BaseFont"] for page in read.pages for font in page["/Resources"].get("/Font", {}).values()
    }
    assert any("NotoSansSC" in font for font in fonts)
    assert all(re.match(r"/[A-Z]{6}\+", font) for font in fonts), "a subset of each font is embedded"
    assert read.metadata.creation_date.date().isoformat() == report("three")["inputs"]["method"]["on"]


def test_all_of_our_words_can_be_drawn():
    for name in ("three", "firm"):
        content = told(state(report(name)), Language.BOTH)
        for section in (content["summary"], *content["sections"]):
            for block in section["blocks"]:
                if block["kind"] == "picture":
                    assert "[U+" not in glyphs.drawable_picture(block["svg"])
        assert "[U+" not in str(glyphs.drawable(content))


# -- the same bytes ------------------------------------------------------------------------------------------------------


def test_another_process_writes_the_same_bytes_and_prints_what_it_wrote(tmp_path):
    (tmp_path / "report.json").write_bytes(canonical.encode(report("cost")) + b"\n")
    for ending, language in ((".pdf", "zh"), (".xlsx", "both")):
        output = tmp_path / f"out{ending}"
        told_back = run("value", "report", str(tmp_path / "report.json"), "-o", str(output), "--lang", language)
        assert told_back.returncode == 0, told_back.stderr
        assert "every figure verified" in told_back.stdout
        assert output.read_bytes() == printed("cost", ending, Language(language))


# -- hostile texts -------------------------------------------------------------------------------------------------------

HOSTILE = (
    "<script>alert(1)</script><img src=x onerror=alert(2)>",
    '#import "secret.typ": * #panic("typ") $x$ *b* _i_ @ref \\ `raw`',
    "=cmd|'/c calc'!A1",
    "+1+1",
    "{{ told.digest }}{% raw %}",
    '"}],"kind":"picture","svg":"<svg/>',
    "\u202e1000000 \U0001f600 \U00020000 \u0623 \u200b end",
    "a" * 300,
)


def planted():
    """A report whose facts carry hostile texts wherever somebody may state one; it verifies as any other."""
    inputs = copy.deepcopy(report("three")["inputs"])
    facts, judgement = inputs["facts"], inputs["method"]["judgement"]
    inputs["asset"]["scenario"] = HOSTILE[0]
    facts["costs"][0]["cited"]["source"] = HOSTILE[1]
    facts["costs"][1]["cited"]["owner"] = HOSTILE[2]
    facts["costs"][2]["cited"]["source"] = HOSTILE[3]
    facts["legal"]["title"][0]["name"] = HOSTILE[4]
    facts["market"]["deals"][0]["name"] = HOSTILE[5]
    judgement["scenarios"][0]["name"] = HOSTILE[6]
    judgement["weights"]["cost"]["reason"] = HOSTILE[7]
    judgement["weights"]["income"]["reason"] = HOSTILE[2]
    inputs["necessity"]["withheld"][0]["item"] = HOSTILE[2]
    inputs["necessity"]["withheld"][0]["reason"] = HOSTILE[0]
    document = perform(inputs)
    verify(document)
    return document


@pytest.fixture(scope="module")
def hostile():
    return planted()


def test_hostile_texts_are_texts_on_the_page(hostile):
    page = Page(made.form(hostile, ".html", Language.BOTH))
    plain = Page(printed("three", ".html"))
    assert {tag for tag, _ in page.elements} == {tag for tag, _ in plain.elements}
    assert not {"script", "img", "iframe", "object", "link", "form"} & {tag for tag, _ in page.elements}
    for _, attributes in page.elements:
        assert not [name for name in attributes if name.startswith("on") or name in {"src", "action"}]
        assert attributes.get("href", "#").startswith("#")
    policy = next(attributes["content"] for tag, attributes in page.elements if "http-equiv" in attributes)
    assert policy == "default-src 'none'; style-src 'unsafe-inline'"
    shown = "".join(page.texts)
    assert all(text in shown for text in (*HOSTILE[:6], HOSTILE[7]))
    assert "[U+202E]1000000" in shown
    assert "\u202e" not in made.form(hostile, ".html", Language.BOTH).decode("utf-8")


def test_hostile_texts_are_texts_in_the_pdf(hostile):
    text = closed_up("".join(pages(made.form(hostile, ".pdf", Language.ZH))))
    for one in (*HOSTILE[:6], HOSTILE[7]):
        assert closed_up(one) in text
    # what the font cannot draw is spelled, not lost and not a box
    assert "[U+202E]1000000[U+1F600][U+20000][U+0623][U+200B]end" in text


def test_hostile_texts_are_texts_in_the_workbook(hostile):
    book = Workbook(made.form(hostile, ".xlsx", Language.BOTH))
    assert not [formula for formula in book.formulas.values() if "cmd" in formula or "calc" in formula]
    listed = list(book.texts.values())
    for one in (HOSTILE[0], HOSTILE[2], HOSTILE[4]):
        assert one in listed
    assert any(HOSTILE[3] in text for text in listed)
    assert not [name for name in book.names if "externalLink" in name or "_rels/sheet" in name or "vba" in name.lower()]
    for number in range(1, len(book.headers) + 1):
        assert f"xl/worksheets/sheet{number}.xml" in book.names


# -- refusals ------------------------------------------------------------------------------------------------------------


def test_a_report_that_does_not_follow_is_not_printed(tmp_path):
    odd = copy.deepcopy(report("cost"))
    figure = next(one for one in odd["figures"] if one["key"] == "value.central")
    figure["value"] = flip(figure["value"])
    (tmp_path / "odd.json").write_bytes(canonical.encode(odd))
    told_back = run("value", "report", str(tmp_path / "odd.json"), "-o", str(tmp_path / "odd.pdf"))
    assert told_back.returncode == 1
    assert "value.central does not follow" in told_back.stderr
    assert not (tmp_path / "odd.pdf").exists()


@pytest.mark.parametrize(
    ("output", "language", "complaint"),
    [
        ("out.docx", "zh", "outside {.pdf, .html, .xlsx}"),
        ("out", "zh", "outside {.pdf, .html, .xlsx}"),
        ("out.pdf", "fr", "lang: outside {zh, en, both}"),
        ("no/such/place.html", "en", "cannot be written"),
    ],
)
def test_errors_are_sentences_and_write_nothing(tmp_path, output, language, complaint):
    (tmp_path / "report.json").write_bytes(canonical.encode(report("bare")))
    with pytest.raises(PrivacyError, match=re.escape(complaint)):
        valuing.state(tmp_path / "report.json", output=tmp_path / output, lang=language)
    assert [path.name for path in tmp_path.iterdir()] == ["report.json"]


def test_an_ending_in_capitals_is_the_same_form(tmp_path):
    (tmp_path / "report.json").write_bytes(canonical.encode(report("bare")))
    valuing.state(tmp_path / "report.json", output=tmp_path / "OUT.HTML", lang="en")
    assert (tmp_path / "OUT.HTML").read_bytes() == printed("bare", ".html", Language.EN)
