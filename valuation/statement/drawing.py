"""Lines, bars and words on a plane, and the SVG that shows them: no script, no style sheet, nothing from elsewhere."""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from valuation.statement.words import Language, Text

INK, SOFT, RULE, ACCENT, PALE, WARN = "#1c2430", "#5b6675", "#cdd4dc", "#0b6b74", "#b9dadd", "#b4542a"
"""Colours that differ in print without colour, too: by lightness."""

FONTS = "Noto Sans SC, PingFang SC, Microsoft YaHei, Noto Sans CJK SC, sans-serif"


@dataclass(frozen=True, slots=True)
class Line:
    """A straight line between two points."""

    x1: float
    y1: float
    x2: float
    y2: float
    colour: str = RULE
    width: float = 1


@dataclass(frozen=True, slots=True)
class Bar:
    """A filled rectangle."""

    x: float
    y: float
    width: float
    height: float
    colour: str = ACCENT


@dataclass(frozen=True, slots=True)
class Word:
    """A short text at a point; ``anchor`` is ``start``, ``middle`` or ``end``. In both languages English goes below."""

    x: float
    y: float
    text: Text
    anchor: str = "start"
    colour: str = INK
    size: float = 11


Mark = Line | Bar | Word


@dataclass(frozen=True, slots=True)
class Drawing:
    """Marks on a plane of ``width`` by ``height`` points, drawn in order."""

    width: float
    height: float
    marks: Sequence[Mark]


def svg(drawing: Drawing, language: Language, alt: Text) -> str:
    """The drawing as one SVG element with a title for those who do not see it."""
    size = f'viewBox="0 0 {_n(drawing.width)} {_n(drawing.height)}"'
    told = escape(" ".join(alt.told(language)))
    marks = "".join(_mark(mark, language) for mark in drawing.marks)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} width="{_n(drawing.width)}" height="{_n(drawing.height)}" '
        f'role="img" font-family="{FONTS}"><title>{told}</title>{marks}</svg>'
    )


def _mark(mark: Mark, language: Language) -> str:
    match mark:
        case Line(x1, y1, x2, y2, colour, width):
            ends = f'x1="{_n(x1)}" y1="{_n(y1)}" x2="{_n(x2)}" y2="{_n(y2)}"'
            return f'<line {ends} stroke="{colour}" stroke-width="{_n(width)}"/>'
        case Bar(x, y, width, height, colour):
            return f'<rect x="{_n(x)}" y="{_n(y)}" width="{_n(width)}" height="{_n(height)}" fill="{colour}"/>'
        case Word(x, y, text, anchor, colour, size):
            told = text.told(language)
            # two languages share the place of one: a smaller line above and below its middle
            small = size if len(told) == 1 else size * 0.8
            start = y if len(told) == 1 else y - small * 0.45
            return "".join(
                f'<text x="{_n(x)}" y="{_n(start + row * small * 1.1)}" text-anchor="{anchor}" fill="{colour}" '
                f'font-size="{_n(small)}">{escape(line)}</text>'
                for row, line in enumerate(told)
            )


def _n(value: float) -> str:
    """Two decimals at most, so that equal drawings are equal bytes on every machine."""
    return f"{value:.2f}".rstrip("0").rstrip(".")
