"""The PDF: archival (PDF/A-2a), accessible (PDF/UA-1), the same bytes whenever it is made. The typesetter reads no other file."""

import json
from importlib.resources import files

import typst

from api.printing.glyphs import drawable, drawable_picture, fonts
from valuation.statement.blocks import Statement, told
from valuation.statement.words import Language

STANDARDS = ["a-2a", "ua-1"]


def pdf(statement: Statement, language: Language) -> bytes:
    """Set the statement as a PDF."""
    made = _compile(statement, language, "pdf")
    return b"".join(made)


def pages(statement: Statement, language: Language) -> list[bytes]:
    """The same pages as PNG pictures."""
    return _compile(statement, language, "png")


def _compile(statement: Statement, language: Language, form: str) -> list[bytes]:
    content = drawable(told(statement, language))
    for section in (content["summary"], *content["sections"]):
        for block in section["blocks"]:
            if block["kind"] == "picture":
                block["svg"] = drawable_picture(block["svg"])
    made = typst.compile(
        (files("api.printing") / "templates" / "statement.typ").read_bytes(),
        font_paths=[fonts()],
        ignore_system_fonts=True,
        format=form,
        sys_inputs={"statement": json.dumps(content, ensure_ascii=False)},
        pdf_standards=STANDARDS if form == "pdf" else [],
        ppi=110,
    )
    return made if isinstance(made, list) else [made]
