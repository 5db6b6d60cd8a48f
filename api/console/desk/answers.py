"""An answer as a page shows it: its table, a picture of its intervals, its receipt, and the files it is handed out as."""

from collections.abc import Iterator, Mapping
from fractions import Fraction
from math import isfinite
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from api.console.pages import Offer
from exchange.analyst.noisy import Figure
from exchange.analyst.result import Result, Table, shown
from exchange.protocol.errors import Unknown
from privacy.terms import rho

FILES: Mapping[str, str] = {
    "csv": "text/csv",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    "parquet": "application/vnd.apache.parquet",
    "json": "application/json",
}
"""What an answer is handed out as, by the ending of its name."""

_MOST_DRAWN = 30


def told(result: Result, *, chosen: str | None) -> dict[str, Any]:
    """Return an answer as facts; ``chosen`` is the column whose intervals are drawn, if it has such a one."""
    table = result.table
    labels = [index for index, name in enumerate(table.columns) if name in table.labels]
    rows, suppressed = [], []
    for row, caution in zip(table.rows, table.cautions, strict=True):
        if labels and len(labels) < len(row) and all(cell is None for i, cell in enumerate(row) if i not in labels):
            suppressed.append({"group": ", ".join(str(row[index]) for index in labels), "why": caution})
        else:
            rows.append({"cells": [shown(cell) for cell in row], "caution": caution})
    drawn = list(_drawable(table))
    return {
        "columns": [{"name": name, "label": name in table.labels} for name in table.columns],
        "rows": rows,
        "cautioned": any(row["caution"] for row in rows),
        "suppressed": suppressed,
        "notes": [note for note in table.notes if not (suppressed and "without figures" in note)],
        "drawn": drawn,
        "picture": _picture(table, chosen if chosen in drawn else drawn[-1]) if drawn else None,
        "free": result.free,
        "level": str(result.level),
        "sources": list(result.sources),
        "receipt": _receipt(result.receipt),
        "records": result.to_json()["rows"],
    }


def file_of(result: Result, name: str, *, called: str) -> Offer:
    """Write an answer as ``answer.csv``, ``answer.xlsx``, ``answer.parquet`` or ``answer.json``.

    Raises:
        Unknown: for any other name.
    """
    ending = name.removeprefix("answer.")
    if ending not in FILES or name == ending:
        raise Unknown("file of an answer")
    with TemporaryDirectory() as folder:
        path = Path(folder) / name
        result.write(path)
        return Offer(f"{called}.{ending}", FILES[ending], path.read_bytes())


def _drawable(table: Table) -> Iterator[str]:
    """Yield the columns with a picture to draw: where there are groups to compare, each that has an interval in two of them."""
    for index, name in enumerate(table.columns):
        if name not in table.labels and table.labels and len(list(_intervals(table, index))) > 1:
            yield name


def _intervals(table: Table, index: int) -> Iterator[tuple[str, Figure, float]]:
    """Yield the label, figure and value of each row whose figure has an interval that ends, and is no whole of the others."""
    labels = [place for place, name in enumerate(table.columns) if name in table.labels]
    for row in table.rows:
        figure = row[index]
        name = ", ".join(str(row[place]) for place in labels)
        if isinstance(figure, Figure) and figure.value is not None and isfinite(figure.high - figure.low):
            yield name, figure, float(figure.value)


def _picture(table: Table, column: str) -> dict[str, Any]:
    """Return what is drawn of a column, and what it shows: which group is highest and lowest, and whether noise could be why."""
    found = list(_intervals(table, table.columns.index(column)))
    top = max(found, key=lambda one: one[2])
    least = min(found, key=lambda one: one[2])
    return {
        "column": column,
        "rows": [
            {"name": name, "low": figure.low, "central": value, "high": figure.high, "shown": shown(figure)}
            for name, figure, value in found[:_MOST_DRAWN]
        ],
        "left_out": max(0, len(found) - _MOST_DRAWN),
        "top": top[0],
        "least": least[0],
        "apart": top[1].low > least[1].high,
    }


def _receipt(receipt: Mapping[str, Any]) -> dict[str, Any]:
    charged, left = receipt["charged"], receipt["left"]
    return {
        "session": receipt["session"],
        "plan": receipt["plan_hash"],
        "release": receipt["release"],
        "unit": receipt["unit"],
        "noise_of": receipt["noise_of"],
        "charged": [
            {
                "party": party,
                "nano_rho": nano,
                "left_nano_rho": left[party],
                "share": share(nano, left[party]),
                "more": left[party] // nano if nano else None,
            }
            for party, nano in charged.items()
        ],
        "seen_by": [{**one, "rho": rho(one["rho"])} for one in receipt["seen_by"]],
        "necessity": receipt["necessity"],
    }


def share(charged: int, left: int) -> str:
    """Return what a charge took of what there was before it, as a share of 1 with four decimals."""
    return f"{float(Fraction(charged, charged + left)):.4f}" if charged else "0"
