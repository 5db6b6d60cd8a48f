"""The PDF: archival (PDF/A-2a), accessible (PDF/UA-1), the same bytes whenever it is made. The typesetter reads no other file."""

import json
from importlib.resources import files
from typing import Any

import typst

from api.printing.glyphs import drawable, drawable_picture, fonts
from valuation.statement.blocks import Statement, told
from valuation.statement.words import Language


def pdf(statement: Statement, language: Language) -> bytes:
    """Set the statement as a PDF; what the font cannot draw is spelled by its code point."""
    return typeset("statement.typ", told(statement, language))


def typeset(template: str, content: Any) -> bytes:
    """Set plain content by one of the templates; none of its texts is read as markup."""
    return typst.compile(
        (files("api.printing") / "templates" / template).read_bytes(),
        font_paths=typst.Fonts(include_system_fonts=False, font_paths=[fonts()]),
        format="pdf",
        sys_inputs={"statement": json.dumps(_drawable(content), ensure_ascii=False)},
        pdf_standards=["a-2a", "ua-1"],
    )


def _drawable(content: Any) -> Any:
    content = drawable(content)
    for section in (*((content["summary"],) if "summary" in content else ()), *content["sections"]):
        for block in section["blocks"]:
            if block["kind"] == "picture":
                block["svg"] = drawable_picture(block["svg"])
    return content
