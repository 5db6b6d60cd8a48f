"""A pledge's time line as a picture: LTV with its interval over the days, against the thresholds; SVG that loads nothing."""

from fractions import Fraction
from html import escape

from valuation import exact
from valuation.timeline import Point, Timeline

WIDTH, HEIGHT = 720, 320
_LEFT, _RIGHT, _TOP, _BOTTOM = 56, 116, 34, 40
_STYLE = (
    "text{font:12px sans-serif;fill:#222}.axis{stroke:#888}.warning{stroke:#b58900}.call{stroke:#cb4b16}"
    ".liquidation{stroke:#a00}.threshold{stroke-width:1.5;stroke-dasharray:6 4}.ltv{fill:none;stroke:#1f6feb;stroke-width:2}"
    ".error{stroke:#1f6feb;stroke-opacity:.45;stroke-width:2}.point{fill:#1f6feb}.revalue{fill:none;stroke:#a00;stroke-width:2}"
    "@media(prefers-color-scheme:dark){svg{background:#111}text{fill:#ddd}}"
)


def draw(line: Timeline) -> str:
    """Return the picture; a ring marks a reading that calls for a revaluation, a gap one with nothing left to secure the loan."""
    days = [(point.on - line.points[0].on).days for point in line.points]
    span = max(days[-1], 1)
    known = [ratio for point in line.points for ratio in (point.ltv, point.high) if ratio is not None]
    top = max([Fraction(1), *(min(ratio, Fraction(2)) for ratio in known)])

    def across(day: int) -> str:
        return _number(_LEFT + Fraction(day * (WIDTH - _LEFT - _RIGHT), span))

    def up(ratio: Fraction) -> str:
        return _number(HEIGHT - _BOTTOM - min(ratio, top) / top * (HEIGHT - _TOP - _BOTTOM))

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img">',
        f"<title>LTV of {escape(line.asset)}</title>",
        f"<desc>{escape(_told(line))}</desc>",
        f"<style>{_STYLE}</style>",
        f'<text x="{_LEFT}" y="20">LTV of {escape(line.asset)} against its thresholds</text>',
    ]
    for tenths in range(0, int(top * 10) + 1, 2):
        at = up(Fraction(tenths, 10))
        parts.append(f'<text x="{_LEFT - 8}" y="{at}" text-anchor="end" dy="4">{tenths * 10} %</text>')
    base, right = HEIGHT - _BOTTOM, WIDTH - _RIGHT
    parts.append(f'<path class="axis" fill="none" d="M{_LEFT} {_TOP}V{base}H{right}"/>')
    for name in ("warning", "call", "liquidation"):
        ratio = Fraction(getattr(line.rules, name))
        at = up(ratio)
        parts.append(f'<path class="threshold {name}" d="M{_LEFT} {at}H{right}"/>')
        parts.append(f'<text x="{right + 6}" y="{at}" dy="4">{name} {exact.percent(ratio)}</text>')
    for day, anchor in {0: "start", days[-1]: "end"}.items():
        on = line.points[0 if anchor == "start" else -1].on
        parts.append(f'<text x="{across(day)}" y="{base + 20}" text-anchor="{anchor}">{on}</text>')
    path, pen = [], "M"
    for day, point in zip(days, line.points, strict=True):
        if point.ltv is None:
            pen = "M"
            continue
        path.append(f"{pen}{across(day)} {up(point.ltv)}")
        pen = "L"
    parts.append(f'<path class="ltv" d="{"".join(path)}"/>')
    for day, point in zip(days, line.points, strict=True):
        if point.ltv is not None:
            parts += _marked(
                point, x=across(day), y=up(point.ltv), ends=(up(point.low or point.ltv), up(point.high or top))
            )
    return "\n".join([*parts, "</svg>\n"])


def _marked(point: Point, *, x: str, y: str, ends: tuple[str, str]) -> list[str]:
    parts = [
        f'<path class="error" d="M{x} {ends[0]}V{ends[1]}"/>',
        f'<circle class="point" cx="{x}" cy="{y}" r="3.5"><title>{point.on}: {point.state}</title></circle>',
    ]
    if point.revalue:
        told = escape("; ".join(point.revalue))
        parts.append(f'<circle class="revalue" cx="{x}" cy="{y}" r="7"><title>{told}</title></circle>')
    return parts


def _told(line: Timeline) -> str:
    last = line.points[-1]
    shown = "nothing secures the balance" if last.ltv is None else f"LTV {exact.percent(last.ltv)}"
    return f"{len(line.points)} readings from {line.points[0].on} to {last.on}; at the end {shown}, {last.state}"


def _number(value: Fraction) -> str:
    tenths = round(value * 10)
    return f"{tenths // 10}.{tenths % 10}"
