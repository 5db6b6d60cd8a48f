"""Stacked bars as SVG: no script, no other file, positions from exact numbers, so that equal data are equal bytes."""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from html import escape
from unicodedata import category

COLOURS = ("#0b5394", "#e69f00", "#2e8b57", "#b03a2e", "#7d5ba6", "#5f6a6a", "#56b4e9", "#d4ac0d")
"""Told apart in print and by most colour-blind readers; the legend names each."""

HEIGHT = 220
ALONE, BESIDE = 720, 500
"""Width of a panel that is alone, and of one with another at its side."""

_LEFT, _RIGHT, _TOP, _BOTTOM = 62, 12, 58, 24
_MOST_LABELS = 12
_LONGEST = 26
_LETTER = 6


@dataclass(frozen=True, slots=True)
class Bars:
    """One panel: a bar per label, made of one part per series; every part is 0 or more."""

    title: str
    unit: str
    labels: tuple[str, ...]
    series: tuple[tuple[str, tuple[Fraction, ...]], ...]
    colours: tuple[str, ...] = COLOURS


def printable(text: str) -> str:
    """Text for HTML and SVG: markup is inert; controls, and marks that turn the direction of text, are replaced."""
    plain = "".join("\ufffd" if category(letter).startswith("C") else letter for letter in text)
    return escape(plain, quote=True)


def draw(panels: Sequence[Bars], *, title: str) -> str:
    """Draw the panels side by side; the picture says in words what it shows."""
    width = ALONE if len(panels) == 1 else BESIDE
    whole = width * len(panels)
    told = "; ".join(f"{panel.title} ({', '.join(name for name, _ in panel.series)})" for panel in panels)
    body = "".join(_panel(panel, start=place * width, width=width) for place, panel in enumerate(panels))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" role="img" viewBox="0 0 {whole} {HEIGHT}" width="{whole}" height="{HEIGHT}" '
        'font-family="Noto Sans, Noto Sans CJK SC, Helvetica, Arial, sans-serif" font-size="11">'
        f"<title>{printable(title)}</title><desc>{printable(told)}</desc>"
        f'<rect width="{whole}" height="{HEIGHT}" fill="#ffffff"/>{body}</svg>'
    )


def _panel(panel: Bars, *, start: int, width: int) -> str:
    totals = [sum((values[place] for _, values in panel.series), Fraction(0)) for place in range(len(panel.labels))]
    step, count = _scale(max(totals, default=Fraction(0)))
    room = HEIGHT - _TOP - _BOTTOM
    floor, left = HEIGHT - _BOTTOM, start + _LEFT
    parts = [f'<text x="{start + 8}" y="16" font-size="13" font-weight="bold">{printable(panel.title)}</text>']
    parts.append(_legend(panel, left=left, right=start + width))
    for tick in range(count + 1):
        y = _number(floor - Fraction(room * tick, count))
        parts.append(f'<line x1="{left}" x2="{start + width - _RIGHT}" y1="{y}" y2="{y}" stroke="#d5d8dc"/>')
        parts.append(f'<text x="{left - 6}" y="{y}" dy="4" text-anchor="end">{_amount(step * tick, panel.unit)}</text>')
    slot = Fraction(width - _LEFT - _RIGHT, max(len(panel.labels), 1))
    every = -(-len(panel.labels) // _MOST_LABELS)
    for place, label in enumerate(panel.labels):
        x, base = left + slot * place, Fraction(floor)
        for number, (_, values) in enumerate(panel.series):
            tall = room * values[place] / (step * count)
            base -= tall
            if tall:
                parts.append(
                    f'<rect x="{_number(x + slot * Fraction(12, 100))}" y="{_number(base)}" '
                    f'width="{_number(slot * Fraction(76, 100))}" height="{_number(tall)}" fill="{_colour(panel, number)}"/>'
                )
        if place % every == 0:
            parts.append(
                f'<text x="{_number(x + slot / 2)}" y="{floor + 16}" text-anchor="middle">{printable(_cut(label, int(slot * every / _LETTER)))}</text>'
            )
    return "".join(parts)


def _legend(panel: Bars, *, left: int, right: int) -> str:
    """Colours and names on at most two lines."""
    parts, x, y = [], left, 22
    for number, (name, _) in enumerate(panel.series):
        text = _cut(name, _LONGEST)
        # Chinese letters are as wide as they are high
        wide = 24 + sum(11 if ord(letter) > 0x2E80 else _LETTER for letter in text)
        if x + wide > right and x > left:
            x, y = left, y + 15
        if y > _TOP - 12:
            break
        parts.append(f'<rect x="{x}" y="{y}" width="11" height="11" fill="{_colour(panel, number)}"/>')
        parts.append(f'<text x="{x + 15}" y="{y + 10}">{printable(text)}</text>')
        x += wide
    return "".join(parts)


def _colour(panel: Bars, number: int) -> str:
    return panel.colours[number % len(panel.colours)]


def _cut(text: str, longest: int) -> str:
    return text if len(text) <= longest else text[: max(longest - 1, 1)] + "…"


def _scale(most: Fraction) -> tuple[Fraction, int]:
    """A round step and how many of them reach ``most``; between 1 and 5."""
    if most <= 0:
        return Fraction(1), 1
    size = Fraction(1)
    while size * 10 < most:
        size *= 10
    while size >= most:
        size /= 10
    for step in (size / 2, size, size * 2, size * Fraction(5, 2), size * 5):
        if step * 5 >= most:
            return step, -int(-most // step)
    return size * 10, 1


def _amount(value: Fraction, unit: str) -> str:
    if unit == "share":
        return f"{_trimmed(value * 100)} %"
    if unit == "money":
        for size, letter in ((10**9, " bn"), (10**6, " m"), (10**3, " k")):
            if value >= size:
                return f"{_trimmed(value / size)}{letter}"
    return _trimmed(value)


def _trimmed(value: Fraction) -> str:
    """Up to four decimals, without zeros at the end."""
    scaled = round(value * 10_000)
    return f"{scaled // 10_000}.{scaled % 10_000:04d}".rstrip("0").rstrip(".")


def _number(value: Fraction | int) -> str:
    """A position to a tenth of a unit."""
    tenths = round(Fraction(value) * 10)
    return f"{tenths // 10}.{tenths % 10}"
