"""The PDF: archival (PDF/A-2a), accessible (PDF/UA-1), the same bytes whenever it is made. The typesetter reads no other file."""

import json
from importlib.resources import files

import typst

from api.printing.glyphs import drawable, drawable_picture, fonts
from valuation.statement.blocks import Statement, told
from valuation.statement.words import Language


def pdf(statement: Statement, language: Language) -> bytes:
    """Set the statement as a PDF; what the font cannot draw is spelled by its code point."""
    content = drawable(told(statement, language))
    for section in (content["summary"], *content["sections"]):
        for block in section["blocks"]:
            if block["kind"] == "picture":
                block["svg"] = drawable_picture(block["svg"])
    return typst.compile(
        (files("api.printing") / "templates" / "statement.typ").read_bytes(),
        font_paths=typst.Fonts(include_system_fonts=False, font_paths=[fonts()]),
        format="pdf",
        sys_inputs={"statement": json.dumps(content, ensure_ascii=False)},
        pdf_standards=["a-2a", "ua-1"],
    )
