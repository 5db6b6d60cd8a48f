"""Pictures of a page: SVG drawn on the server, coloured by the style sheet, each with its finding in words and its table.

Lengths are in points of a plane 640 wide; the page scales it. What a picture tells by colour it tells by place or words, too.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from markupsafe import Markup

WIDTH = 640.0
_NAMES, _SHOWN, _ROW = 170.0, 120.0, 30.0
_LONGEST_NAME, _LONGEST_SHOWN = 24, 36
_LETTER = 6.8
_LINE = 14.0

Amount = int | float | Decimal


@dataclass(frozen=True, slots=True)
class Interval:
    """One row of a picture of intervals; ``shown`` is the text beside it."""

    name: str
    low: Amount
    central: Amount
    high: Amount
    shown: str


@dataclass(frozen=True, slots=True)
class Series:
    """One line of a picture over time: points ``(x, y)`` in order; ``kind`` is ``main``, ``second`` or ``limit``."""

    name: str
    points: Sequence[tuple[Amount, Amount]]
    kind: str = "main"


def read_intervals(rows: Sequence[Mapping[str, Any]]) -> list[Interval]:
    """Return the intervals that a page's facts tell, amounts as text."""
    return [
        Interval(row["name"], Decimal(row["low"]), Decimal(row["central"]), Decimal(row["high"]), row["shown"])
        for row in rows
    ]


def read_bars(rows: Sequence[Mapping[str, Any]]) -> list[tuple[str, Amount, str]]:
    """Return the bars that a page's facts tell, their ``value`` as text."""
    return [(row["name"], Decimal(row["value"]), row["shown"]) for row in rows]


def bars(rows: Sequence[tuple[str, Amount, str]], *, finding: str) -> Markup:
    """Draw one bar for each ``(name, value, shown)``; values are not negative."""
    longest = max((float(value) for _, value, _ in rows), default=0.0) or 1.0
    plot = WIDTH - _NAMES - _SHOWN
    marks: list[Markup] = []
    for place, (name, value, shown) in enumerate(rows):
        y = _ROW * place + _ROW / 2
        long = plot * float(value) / longest
        marks += [
            _word(_NAMES - 10, y + 4, name, "end"),
            _rect(_NAMES, y - 9, max(long, 1), 18, "bar"),
            _word(_NAMES + long + 8, y + 4, shown),
        ]
    return _svg(_ROW * len(rows), marks, finding)


def intervals(rows: Sequence[Interval], *, finding: str) -> Markup:
    """Draw one whisker with a dot for each row, on one axis that holds all of them."""
    ends = [float(end) for row in rows for end in (row.low, row.high)]
    low, high = min(ends, default=0.0), max(ends, default=1.0)
    beside = min(_LONGEST_SHOWN, max((len(row.shown) for row in rows), default=0))
    edge = WIDTH - max(_SHOWN, 10 + _LETTER * beside)
    across = _axis(low, high, _NAMES, edge)
    marks: list[Markup] = []
    if low <= 0 <= high:
        marks.append(_line(across(0), 0, across(0), _ROW * len(rows), "rule"))
    for place, row in enumerate(rows):
        y = _ROW * place + _ROW / 2
        left, right = across(row.low), across(row.high)
        marks += [
            _word(_NAMES - 10, y + 4, row.name, "end"),
            _line(left, y, right, y, "whisker"),
            _line(left, y - 5, left, y + 5, "whisker"),
            _line(right, y - 5, right, y + 5, "whisker"),
            Markup('<circle class="dot" cx="{}" cy="{}" r="4.5"/>').format(_n(across(row.central)), _n(y)),
            _word(edge + 10, y + 4, row.shown, most=_LONGEST_SHOWN),
        ]
    return _svg(_ROW * len(rows), marks, finding)


@dataclass(frozen=True, slots=True)
class Span:
    """One bar from ``start`` to ``end``, ``kind`` ``main``, ``second`` or ``limit``; ``shown`` is the text beside it."""

    name: str
    start: Amount
    end: Amount
    shown: str
    kind: str = "main"


def read_spans(rows: Sequence[Mapping[str, Any]]) -> list[Span]:
    """Return the spans that a page's facts tell from ``start`` to ``end``, or from ``low`` to ``high``, amounts as text."""
    return [
        Span(
            row["name"],
            Decimal(row.get("start", row.get("low", "0"))),
            Decimal(row.get("end", row.get("high", "0"))),
            row["shown"],
            row.get("kind", "main"),
        )
        for row in rows
    ]


def read_path(
    rows: Sequence[Mapping[str, Any]], name: str, title: str = "", other: str = "", beside: str = ""
) -> list[Series]:
    """Return one line over the days of a page's facts, and another one beside it, which then are named; days without a value are left out."""
    kinds = {name: (title, "main")} | ({other: (beside, "second")} if other else {})
    return [
        Series(told, [(row["day"], Decimal(row[key])) for row in rows if row[key] is not None], kind)
        for key, (told, kind) in kinds.items()
    ]


def read_days(rows: Sequence[Mapping[str, Any]], day: Callable[[str], str]) -> list[tuple[Amount, str]]:
    """Return the first and the last day of a page's facts as ticks; ``day`` writes one."""
    ends = {row["day"]: row["on"] for row in (rows[0], rows[-1])}
    return [(at, day(on)) for at, on in ends.items()]


def read_flows(rows: Sequence[Mapping[str, Any]], title: str) -> list[Span]:
    """Return one span for each year's ``amount``; ``title`` names a year ``{n}``."""
    return [Span(title.format(n=row["year"]), 0, Decimal(row["amount"]), row["shown"]) for row in rows]


def spans(rows: Sequence[Span], *, finding: str, at: Amount | None = None) -> Markup:
    """Draw bars that begin and end anywhere on one axis, which holds 0 unless ``at`` names the line that they lie around."""
    ends = [float(end) for row in rows for end in (row.start, row.end)] + [0.0 if at is None else float(at)]
    across = _axis(min(ends), max(ends), _NAMES, WIDTH - _SHOWN - 60)
    marks: list[Markup] = []
    for place, row in enumerate(rows):
        y = _ROW * place + _ROW / 2
        left, right = sorted((across(row.start), across(row.end)))
        marks += [
            _word(_NAMES - 10, y + 4, row.name, "end"),
            _rect(left, y - 9, max(right - left, 1), 18, f"part {row.kind}"),
            _word(right + 8, y + 4, row.shown),
        ]
    middle = across(0 if at is None else at)
    marks.append(_line(middle, 0, middle, _ROW * len(rows), "rule"))
    return _svg(_ROW * len(rows), marks, finding)


def lines(
    series: Sequence[Series],
    *,
    finding: str,
    ticks: Sequence[tuple[Amount, str]] = (),
    levels: Sequence[tuple[Amount, str]] = (),
) -> Markup:
    """Draw lines over a common axis; ``ticks`` name places on it, ``levels`` heights. A line alone is named by the finding."""
    height, left, right, foot = 220.0, 70.0, 20.0, 26.0
    xs = [float(x) for one in series for x, _ in one.points] + [float(x) for x, _ in ticks]
    ys = [float(y) for one in series for _, y in one.points] + [float(y) for y, _ in levels]
    across = _axis(min(xs, default=0.0), max(xs, default=1.0), left, WIDTH - right)
    up = _axis(min([*ys, 0.0]), max(ys, default=1.0), height - foot, 12.0)
    marks = [_line(left, up(y), WIDTH - right, up(y), "grid") for y, _ in levels]
    marks += [_word(left - 8, y + 4, name, "end") for y, name in _apart([(up(y), name) for y, name in levels])]
    marks += [_word(across(x), height - 6, name, "middle") for x, name in ticks]
    for one in series:
        path = " ".join(f"{_n(across(x))},{_n(up(y))}" for x, y in one.points)
        marks.append(Markup('<polyline class="series {}" points="{}"/>').format(one.kind, path))
        if one.points and len(series) > 1:
            x, y = one.points[-1]
            anchor = "end" if across(x) > WIDTH * 0.8 else "start"
            marks.append(_word(across(x), up(y) - 7, one.name, anchor))
    return _svg(height, marks, finding)


def _apart(words: Sequence[tuple[float, str]]) -> list[tuple[float, str]]:
    """Return words at heights of which no two are closer than a line; a lower one gives way downwards."""
    made: list[tuple[float, str]] = []
    for y, name in sorted(words):
        made.append((max(y, made[-1][0] + _LINE) if made else y, name))
    return made


def meter(parts: Sequence[tuple[str, Amount, str]], *, whole: Amount, finding: str) -> Markup:
    """Draw one bar of length ``whole`` with ``(name, value, kind)`` one after the other; kinds are ``main``, ``second``, ``limit``."""
    scale = WIDTH / (float(whole) or 1.0)
    at = 0.0
    marks = [_rect(0, 2, WIDTH, 18, "ground")]
    for name, value, kind in parts:
        long = min(float(value) * scale, WIDTH - at)
        marks.append(Markup("<g><title>{}</title>{}</g>").format(name, _rect(at, 2, max(long, 0), 18, f"part {kind}")))
        at += long
    return _svg(22, marks, finding)


def _axis(low: float, high: float, start: float, end: float) -> Callable[[Amount], float]:
    width = high - low or 1.0

    def across(value: Amount) -> float:
        return start + (float(value) - low) / width * (end - start)

    return across


def _svg(height: float, marks: Sequence[Markup], finding: str) -> Markup:
    frame = Markup('<svg class="chart" viewBox="0 0 {} {}" role="img" aria-label="{}">{}</svg>')
    return frame.format(_n(WIDTH), _n(max(height, 1)), finding, Markup().join(marks))


def _line(x1: float, y1: float, x2: float, y2: float, kind: str) -> Markup:
    made = Markup('<line class="{}" x1="{}" y1="{}" x2="{}" y2="{}"/>')
    return made.format(kind, _n(x1), _n(y1), _n(x2), _n(y2))


def _rect(x: float, y: float, width: float, height: float, kind: str) -> Markup:
    made = Markup('<rect class="{}" x="{}" y="{}" width="{}" height="{}"/>')
    return made.format(kind, _n(x), _n(y), _n(width), _n(height))


def _word(x: float, y: float, text: str, anchor: str = "start", *, most: int = _LONGEST_NAME) -> Markup:
    short = text if len(text) <= most else f"{text[: most - 1]}…"
    return Markup('<text x="{}" y="{}" text-anchor="{}">{}</text>').format(_n(x), _n(y), anchor, short)


def _n(value: float) -> str:
    return f"{value:.2f}".rstrip("0").rstrip(".")
