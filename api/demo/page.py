"""The summary page of the story: one self-contained HTML file that works without a network, a script or a server."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from exchange.analyst.noisy import Figure
from exchange.analyst.result import Result, shown

_WIDTH = 560
_ROW = 30
_LABEL = 115
"""Pixels for a group's name, and between a bar and its text."""
_CHARACTER = 7.5
"""Pixels of a character at most."""


@dataclass(frozen=True, slots=True)
class Bar:
    """One group's estimate on a common scale, in pixels."""

    label: str
    text: str
    y: int
    value: float
    low: float
    high: float


def write_page(path: Path, told: Mapping[str, Any]) -> Path:
    """Render what was told into ``path`` and return its absolute path."""
    from jinja2 import Environment, PackageLoader, StrictUndefined  # noqa: PLC0415

    environment = Environment(
        loader=PackageLoader("api.demo"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    result: Result = told["answer"]
    valued = told["valued"]
    amounts = [
        ("value, low", valued.appraisal.low.money),
        ("value, central", valued.appraisal.central.money),
        ("value, high", valued.appraisal.high.money),
        ("recognised value", valued.quoted.recognised.money),
        ("loan limit", valued.quoted.limit.money),
    ]
    widest = max(money.amount for _, money in amounts)
    html = environment.get_template("summary.html.j2").render(
        told=told,
        columns=result.table.columns,
        rows=[
            tuple(caution if cell is None else shown(cell) for cell in row)
            for row, caution in zip(result.table.rows, result.table.cautions, strict=True)
        ],
        bars=_bars(result),
        chart_height=len(_bars(result)) * _ROW + 24,
        amounts=[(label, money.shown(), float(money.amount / widest * 100)) for label, money in amounts],
        haircuts=[
            (name.replace("_", " "), f"{float(haircut.share):.1%}", haircut.reason)
            for name, haircut in valued.quoted.haircuts
        ],
        binding=valued.quoted.binding,
        withheld=valued.report["inputs"]["necessity"]["withheld"],
        notice=valued.report["notice"],
        digest=valued.digest,
    )
    path.write_text(html, "utf-8")
    return path.resolve()


def _bars(result: Result) -> list[Bar]:
    """Lay out the averages with their intervals; groups without a figure are in the table, not in the picture."""
    place = result.table.columns.index("avg_balance")
    figures = [
        (str(row[0]), figure, float(figure.value))
        for row in result.table.rows
        if isinstance(figure := row[place], Figure) and figure.value is not None
    ]
    top = max((figure.high for _, figure, _ in figures), default=1.0) or 1.0
    longest = max((len(shown(figure)) for _, figure, _ in figures), default=0)
    scale = (_WIDTH - _LABEL - longest * _CHARACTER) / top
    return [
        Bar(
            label=label,
            text=shown(figure),
            y=index * _ROW + 18,
            value=round(value * scale, 1),
            low=round(max(0.0, figure.low) * scale, 1),
            high=round(figure.high * scale, 1),
        )
        for index, (label, figure, value) in enumerate(figures)
    ]
