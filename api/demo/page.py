"""The summary page of the story: one self-contained HTML file that works without a network, a script or a server."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from api.asking import Answered, write

_WIDTH = 560
_ROW = 30


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
    answered: Answered = told["answer"]
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
        columns=[output.name for output in answered.question.outputs],
        rows=[
            (*row.group, *(row.caution if figure is None else write(figure) for figure in row.figures.values()))
            for row in answered.rows()
        ],
        bars=_bars(answered),
        chart_height=len(_bars(answered)) * _ROW + 24,
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


def _bars(answered: Answered) -> list[Bar]:
    """Lay out the averages with their intervals; groups without a figure are in the table, not in the picture."""
    figures = [
        (row.group[0], figure) for row in answered.rows() if (figure := row.figures.get("avg_balance")) is not None
    ]
    top = max((float(figure.value) + figure.half_width() for _, figure in figures), default=1.0) or 1.0
    scale = (_WIDTH - 250) / top
    return [
        Bar(
            label=label,
            text=write(figure),
            y=index * _ROW + 18,
            value=round(float(figure.value) * scale, 1),
            low=round(max(0.0, float(figure.value) - figure.half_width()) * scale, 1),
            high=round((float(figure.value) + figure.half_width()) * scale, 1),
        )
        for index, (label, figure) in enumerate(figures)
    ]
