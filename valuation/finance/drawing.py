"""Stacked bars as SVG: no script, no other file, positions from exact numbers, so that equal data are equal bytes."""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from html import escape
from unicodedata import category

COLOURS = ("#0b5394", "#e69f00", "#2e8b57", "#b03a2e", "#7d5ba6", "#5f6a6a", "#56b4e9", "#d4ac0d")
"""Told apart in print and by most colour-blind readers; the legend names each."""

WIDTH, HEIGHT = 720, 250
_LEFT, _RIGHT, _TOP, _BOTTOM = 76, 12, 46, 40
_MOST_LABELS = 12
_LONGEST = 26


@dataclass(frozen=True, slots=True)
class Bars:
    """One panel: a bar per label, made of one part per series; every part is 0 or more."""

    title: str
    unit: str
    labels: tuple[str, ...]
    series: tuple[tuple[str, tuple[Fraction, ...]], ...]


def printable(text: str) -> str:
    """Text for HTML and SVG: markup is inert; controls, and marks that turn the direction of text, are replaced."""
    plain = "".join("\ufffd" if category(letter).startswith("C") else letter for letter in text)
    return escape(plain, quote=True)


def draw(panels: Sequence[Bars], *, title: str) -> str:
    """Draw the panels one below the other; the picture says in words what it shows."""
    height = HEIGHT * len(panels)
    told = "; ".join(f"{panel.title} ({', '.join(name for name, _ in panel.series)})" for panel in panels)
    body = "".join(_panel(panel, top=place * HEIGHT) for place, panel in enumerate(panels))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" role="img" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" '
        'font-family="Noto Sans, Noto Sans CJK SC, Helvetica, Arial, sans-serif" font-size="11">'
        f"<title>{printable(title)}</title><desc>{printable(told)}</desc>"
        f'<rect width="{WIDTH}" height="{height}" fill="#ffffff"/>{body}</svg>'
    )


def _panel(panel: Bars, *, top: int) -> str:
    totals = [sum((values[place] for _, values in panel.series), Fraction(0)) for place in range(len(panel.labels))]
    step, count = _scale(max(totals, default=Fraction(0)))
    room = HEIGHT - _TOP - _BOTTOM
    floor = top + HEIGHT - _BOTTOM
    parts = [f'<text x="8" y="{top + 16}" font-size="13" font-weight="bold">{printable(panel.title)}</text>']
    parts.append(_legend(panel, top=top))
    for tick in range(count + 1):
        y = _number(floor - Fraction(room * tick, count))
        parts.append(f'<line x1="{_LEFT}" x2="{WIDTH - _RIGHT}" y1="{y}" y2="{y}" stroke="#d5d8dc"/>')
        parts.append(
            f'<text x="{_LEFT - 6}" y="{y}" dy="4" text-anchor="end">{_amount(step * tick, panel.unit)}</text>'
        )
    slot = Fraction(WIDTH - _LEFT - _RIGHT, max(len(panel.labels), 1))
    every = -(-len(panel.labels) // _MOST_LABELS)
    for place, label in enumerate(panel.labels):
        x, base = _LEFT + slot * place, Fraction(floor)
        for number, (_, values) in enumerate(panel.series):
            tall = room * values[place] / (step * count)
            base -= tall
            if tall:
                parts.append(
                    f'<rect x="{_number(x + slot * Fraction(12, 100))}" y="{_number(base)}" '
                    f'width="{_number(slot * Fraction(76, 100))}" height="{_number(tall)}" fill="{_colour(number)}"/>'
                )
        if place % every == 0:
            parts.append(
                f'<text x="{_number(x + slot / 2)}" y="{floor + 16}" text-anchor="middle">{printable(_cut(label))}</text>'
            )
    return "".join(parts)


def _legend(panel: Bars, *, top: int) -> str:
    parts, x = [], _LEFT
    for number, (name, _) in enumerate(panel.series):
        text = _cut(name)
        # Chinese letters are as wide as they are high
        wide = 22 + sum(11 if ord(letter) > 0x2E80 else 6 for letter in text) + 8
        if x + wide > WIDTH:
            parts.append(f'<text x="{x}" y="{top + 36}">…</text>')
            break
        parts.append(f'<rect x="{x}" y="{top + 26}" width="12" height="12" fill="{_colour(number)}"/>')
        parts.append(f'<text x="{x + 16}" y="{top + 36}">{printable(text)}</text>')
        x += wide
    return "".join(parts)


def _colour(number: int) -> str:
    return COLOURS[number % len(COLOURS)]


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"


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
