"""Which characters the font of the PDF can draw; any other is spelled by its code point, so that no text is lost.

An archival PDF may not hold a character without a glyph, and a box in its place would hide what somebody stated.
"""

import re
from functools import cache
from importlib.resources import files
from struct import unpack_from
from typing import Any

FONT = "NotoSansSC-Regular.ttf"

BUILT_IN = frozenset("αβγδερσΣ∂√≤≥")
"""Characters of our wording that the typesetter's own fonts draw."""

_LONG = re.compile(r"[!-~]{22}(?=[!-~])")
"""A run so long needs a place to break: nothing may run over the edge of its column."""


def fonts() -> str:
    """The directory with the font and its licence."""
    return str(files("api.printing") / "fonts")


@cache
def drawn() -> frozenset[int]:
    """Code points that the font has a glyph for: the ranges of its format 4 character map."""
    data = (files("api.printing") / "fonts" / FONT).read_bytes()
    tables = {
        data[place : place + 4]: unpack_from(">I", data, place + 8)[0]
        for place in range(12, 12 + 16 * unpack_from(">H", data, 4)[0], 16)
    }
    start = tables[b"cmap"]
    offsets = [
        unpack_from(">I", data, start + 8 + 8 * place)[0] for place in range(unpack_from(">H", data, start + 2)[0])
    ]
    at = start + next(offset for offset in offsets if unpack_from(">H", data, start + offset)[0] == 4)
    count = unpack_from(">H", data, at + 6)[0] // 2
    ends = unpack_from(f">{count}H", data, at + 14)
    starts = unpack_from(f">{count}H", data, at + 16 + 2 * count)
    return frozenset(code for first, last in zip(starts, ends, strict=True) for code in range(first, last + 1)) - {
        0xFFFF
    }


def drawable(part: Any) -> Any:
    """Every text of a told statement with only such characters as can be drawn, and with places to break long words."""
    if isinstance(part, str):
        return _breakable("".join(_shown(one) for one in part))
    if isinstance(part, list):
        return [drawable(item) for item in part]
    if isinstance(part, dict):
        return {name: value if name in _MACHINE else drawable(value) for name, value in part.items()}
    return part


_MACHINE = frozenset({"kind", "name", "svg", "align", "language", "on"})
"""Keys whose values are read by the printer and never set as text; a picture's words are made drawable apart."""


def _shown(one: str) -> str:
    return one if ord(one) in drawn() or one in BUILT_IN else f"[U+{ord(one):04X}]"


def _breakable(text: str) -> str:
    return _LONG.sub(lambda found: f"{found.group()}\u200b", text)


def drawable_picture(svg: str) -> str:
    """A picture with only such characters as can be drawn."""
    return "".join(_shown(one) for one in svg)
