"""The one-page sheets as archival PDF: the credit committee's, from its plain structure, and a product's, from its page."""

from collections.abc import Mapping, Sequence
from typing import Any

from api.printing.pdf import typeset
from valuation.committee import RED_FLAG
from valuation.finance.page import Page
from valuation.shown import ABSENT

_WORDS = 3
"""A committee's table of so many columns holds words; of more, figures from the second column on."""

_BROAD = 34
"""Letters that a column of words counts for at most when the width is shared out."""

_EDGES = 2
"""Letters that the edges of a column are as wide as."""


def committee(sheet: Mapping[str, Any]) -> bytes:
    """Set the sheet that :func:`valuation.sheet.sheet` made."""
    about = f"{sheet['asset']}, {sheet['on']}"
    notice, capital = sheet["notice"], sheet["capital"]
    return typeset(
        "sheet.typ",
        {
            "title": f"Credit committee sheet: {about}",
            "on": sheet["on"],
            "heading": "Credit committee sheet",
            "small": "信贷审批一页纸",
            "lead": [f"{about}; amounts in {sheet['currency']}"],
            "notice": [f"{notice['en']}. {capital['en']}.", f"{notice['zh']}。{capital['zh']}。"],
            "check": f"Report {sheet['report']}; sheet {sheet['digest']}. Every figure stands in the report under its key "
            "and can be computed anew: touchstone value verify report.json",
            "columns": 2,
            "sections": [_section(section) for section in sheet["sections"]],
        },
    )


def _section(section: Mapping[str, Any]) -> dict[str, Any]:
    blocks: list[dict[str, Any]] = []
    if section["rows"]:
        blocks.append({"kind": "pairs", "rows": [_row(row) for row in section["rows"]]})
    if section["bars"]:
        blocks.append(
            {
                "kind": "bars",
                "rows": [
                    {"label": bar["label"], "share": round(float(bar["share"]) * 1000), "text": bar["shown"]}
                    for bar in section["bars"]
                ],
            }
        )
    for table in section["tables"]:
        figures = len(table["head"]) > _WORDS
        words = [place == 0 or not figures for place in range(len(table["head"]))]
        blocks.append(_table(table["head"], table["rows"], words))
    title = section["title"]
    return {"title": f"{section['number']} {title['en']}", "small": title["zh"], "blocks": blocks}


def _row(row: Mapping[str, Any]) -> dict[str, Any]:
    flag = row["label"]["en"] == RED_FLAG
    tone = "flag" if flag else "absent" if row["shown"] == ABSENT["en"] else ""
    label = row["label"]
    return {"label": label["en"], "small": label["zh"], "text": row["shown"], "name": tone, "wide": flag}


def product(page: Page) -> bytes:
    """Set the page of a verified document of a product."""
    english, chinese = page.kind
    pairs = [{"label": label, "small": "", "text": value, "name": "", "wide": False} for label, value in page.concluded]
    sections = [_titled("In short", {"kind": "pairs", "rows": pairs})]
    if page.remarks:
        items = [{"text": text, "name": "flag" if flag else ""} for text, flag in page.remarks]
        sections.append(_titled("Look at", {"kind": "items", "items": items}))
    sections.append(_titled("", {"kind": "picture", "svg": page.picture, "alt": f"{english}: {page.title}"}))
    for table in page.tables:
        blocks = [_table(table.head, table.rows, table.words)] if table.rows else [_words("none")]
        if table.more:
            blocks.append(_words(f"rows that are only in the document: {table.more}"))
        sections.append(_titled(table.title, *blocks))
    if page.gates:
        rules = "; ".join(f"{rule} {document}" for rule, document in page.gates)
        sections.append(_titled("Gates passed, by document", _words(rules)))
    rests = [{"text": line, "name": ""} for line in page.assumptions]
    sections.append(_titled("It rests on", {"kind": "items", "items": rests}))
    return typeset(
        "sheet.typ",
        {
            "title": f"{english}: {page.title}",
            "on": page.on,
            "heading": page.title,
            "small": chinese,
            "lead": [f"{english}, {page.on}, {page.currency}", page.parties],
            "notice": list(page.notice),
            "check": f"{page.figures} figures with their reasons, and every amount to the cent, are in the document of digest "
            f"{page.digest}, made by {page.code}. Anybody can compute it anew: touchstone finance verify FILE",
            "columns": 1,
            "sections": sections,
        },
    )


def _titled(title: str, *blocks: dict[str, Any]) -> dict[str, Any]:
    return {"title": title, "small": "", "blocks": list(blocks)}


def _words(text: str) -> dict[str, Any]:
    return {"kind": "text", "text": text}


def _table(head: Sequence[str], rows: Sequence[Sequence[str]], words: Sequence[bool]) -> dict[str, Any]:
    cells = list(zip(*rows, strict=True)) or [()] * len(head)
    return {
        "kind": "table",
        "head": list(head),
        "rows": [list(row) for row in rows],
        "align": ["l" if told else "r" for told in words],
        "widths": [_width(name, column, may_break=told) for name, column, told in zip(head, cells, words, strict=True)],
    }


def _width(name: str, cells: Sequence[str], *, may_break: bool) -> int:
    """How many letters a column needs: figures as they stand, names of columns by their longest word."""
    widest = max((_letters(cell) for cell in cells), default=0)
    if may_break:
        widest = min(widest, _BROAD)
    return max([widest, *(_letters(word) for word in name.split())]) + _EDGES


def _letters(text: str) -> int:
    """How wide a text is; a Chinese letter is as wide as two others."""
    return sum(1 if one.isascii() else 2 for one in text)
