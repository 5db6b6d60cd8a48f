"""What a statement is made of: sections of paragraphs, lists, tables and pictures, and their form in one language.

:func:`told` turns a statement into plain lists and texts of the language asked for, which a printer only has to set; no text
in it is markup.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from valuation.statement.drawing import Drawing, svg
from valuation.statement.words import Language, Text


@dataclass(frozen=True, slots=True)
class Paragraph:
    """One paragraph."""

    text: Text


@dataclass(frozen=True, slots=True)
class Items:
    """A list of short texts."""

    items: tuple[Text, ...]


@dataclass(frozen=True, slots=True)
class Table:
    """Rows under a head. ``align`` has an ``l`` or ``r`` and ``widths`` a share for each column; ``fine`` is small print."""

    head: tuple[Text, ...]
    rows: tuple[tuple[Text, ...], ...]
    align: str
    widths: tuple[int, ...]
    fine: bool = False


@dataclass(frozen=True, slots=True)
class Picture:
    """A chart with its title and what a reader who does not see it is told."""

    title: Text
    alt: Text
    drawing: Drawing


Block = Paragraph | Items | Table | Picture


@dataclass(frozen=True, slots=True)
class Section:
    """A titled part; ``name`` is its address within the page."""

    name: str
    title: Text
    blocks: tuple[Block, ...]


@dataclass(frozen=True, slots=True)
class Statement:
    """All that a person reads of a report, in both languages."""

    title: Text
    subject: Text
    on: str
    notice: Text
    digest: str
    check: Text
    summary: Section
    sections: tuple[Section, ...] = field(default=())


def pairs(rows: Iterable[tuple[Text, Text]], *, head: tuple[Text, Text]) -> Table:
    """A table of names and what belongs to them."""
    return Table(head, tuple(rows), "ll", (3, 7))


def told(statement: Statement, language: Language) -> dict[str, Any]:
    """The statement as plain lists and texts: every text a list of one text, or of two for both languages."""
    return {
        "title": statement.title.told(language),
        "subject": statement.subject.told(language),
        "on": statement.on,
        "notice": statement.notice.told(language),
        "digest": statement.digest,
        "check": statement.check.told(language),
        "language": language.value,
        "contents": Text("Contents", "目录").told(language),
        "summary": _section(statement.summary, language),
        "sections": [_section(section, language) for section in statement.sections],
    }


def _section(section: Section, language: Language) -> dict[str, Any]:
    return {
        "name": section.name,
        "title": section.title.told(language),
        "blocks": [_block(block, language) for block in section.blocks],
    }


def _block(block: Block, language: Language) -> dict[str, Any]:
    match block:
        case Paragraph(text):
            return {"kind": "paragraph", "text": text.told(language)}
        case Items(items):
            return {"kind": "items", "items": [item.told(language) for item in items]}
        case Table(head, rows, align, widths, fine):
            return {
                "kind": "table",
                "head": [name.told(language) for name in head],
                "rows": [[one.told(language) for one in row] for row in rows],
                "align": list(align),
                "widths": list(widths),
                "fine": fine,
            }
        case Picture(title, alt, drawing):
            return {
                "kind": "picture",
                "title": title.told(language),
                "alt": " ".join(alt.told(language)),
                "svg": svg(drawing, language, alt),
            }
