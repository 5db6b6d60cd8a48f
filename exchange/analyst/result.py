"""The answer to a question as people and programs use it: a table of values with their intervals, and its receipt."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Any

from exchange.analyst.noisy import Figure
from privacy.errors import Refused

if TYPE_CHECKING:
    import duckdb
    import pandas as pd

SCHEMA_VERSION = "1"
"""Version of the JSON form; a field is never given another meaning under the same number."""

FORMATS = ("parquet", "csv", "xlsx", "json")

Cell = str | Figure | None
"""A label, a value with its interval, or nothing that could be shown."""


@dataclass(frozen=True, slots=True)
class Table:
    """Columns by name, of which ``labels`` hold text and the others figures; rows in the order asked for.

    ``cautions`` say for each row what speaks against using it, or nothing; ``notes`` tell of the whole: what was left out and why.
    """

    columns: tuple[str, ...]
    labels: frozenset[str]
    rows: tuple[tuple[Cell, ...], ...]
    cautions: tuple[str, ...]
    notes: tuple[str, ...] = ()

    def records(self) -> Iterator[dict[str, str | float | None]]:
        """Yield each row flat: a figure takes three columns, ``name``, ``name_low`` and ``name_high``."""
        for row, caution in zip(self.rows, self.cautions, strict=True):
            told: dict[str, str | float | None] = {}
            for name, cell in zip(self.columns, row, strict=True):
                if name in self.labels:
                    told[name] = cell if isinstance(cell, str) else None
                else:
                    told |= _three(name, cell if isinstance(cell, Figure) else None)
            if any(self.cautions):
                told["caution"] = caution or None
            yield told

    @property
    def flat(self) -> dict[str, bool]:
        """The columns of :meth:`records`, and whether each holds text."""
        told: dict[str, bool] = {}
        for name in self.columns:
            told |= {name: True} if name in self.labels else {name + end: False for end in ("", "_low", "_high")}
        return told | ({"caution": True} if any(self.cautions) else {})


@dataclass(frozen=True, slots=True)
class Result:
    """What a question came to: ``table``, the ``receipt`` of the session it came from, and the ``sql`` that was asked.

    ``sources`` are the sessions whose releases the figures come from; several, if stored answers were made consistent.
    """

    sql: str
    table: Table
    receipt: Mapping[str, Any]
    sources: tuple[str, ...]
    free: bool
    level: float = 0.95

    def to_json(self) -> dict[str, Any]:
        """Return the versioned JSON object: numbers as JSON numbers, nothing where nothing can be shown."""
        return {
            "schema_version": SCHEMA_VERSION,
            "sql": self.sql,
            "level": self.level,
            "rows": list(self.table.records()),
            "notes": list(self.table.notes),
            "free": self.free,
            "sources": list(self.sources),
            "receipt": dict(self.receipt),
        }

    def to_pandas(self) -> "pd.DataFrame":
        """Return the table as a data frame: labels as text, each figure as value, low and high (``NaN`` for nothing)."""
        import pandas as pd  # noqa: PLC0415  half a second that only those pay who want frames

        frame = pd.DataFrame(list(self.table.records()), columns=list(self.table.flat))
        return frame.astype({name: "str" if text else "float64" for name, text in self.table.flat.items()})

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        """Stream the table to any library that reads Arrow (the PyCapsule interface), without any of them being needed here."""
        return self._relation().__arrow_c_stream__(requested_schema)

    def write(self, path: Path) -> None:
        """Write the table to a file; its ending says how: parquet, csv, xlsx (with the receipt on a second sheet) or json.

        Raises:
            Refused: for another ending.
        """
        match path.suffix.lower():
            case ".parquet":
                self._relation().write_parquet(str(path))
            case ".csv":
                self._relation().write_csv(str(path))
            case ".json":
                path.write_text(json.dumps(self.to_json(), ensure_ascii=False, indent=1) + "\n", "utf-8")
            case ".xlsx":
                _write_workbook(self, path)
            case _:
                raise Refused("a table is not written to such a file", fix=f"end its name in {', '.join(FORMATS)}")

    def _relation(self) -> "duckdb.DuckDBPyRelation":
        import duckdb  # noqa: PLC0415  an engine for files and streams, not for the question

        engine = duckdb.connect(":memory:")
        names = {name: "VARCHAR" if text else "DOUBLE" for name, text in self.table.flat.items()}
        listed = ", ".join(f"unnest(?::{kind}[]) AS {_quoted(name)}" for name, kind in names.items())
        records = list(self.table.records())
        return engine.sql(f"SELECT {listed}", params=[[record[name] for record in records] for name in names])

    def _repr_html_(self) -> str:
        heads = "".join(f"<th>{escape(name)}</th>" for name in self.table.columns)
        body = "".join(
            "<tr>" + "".join(f"<td>{escape(shown(cell))}</td>" for cell in row) + f"<td>{escape(caution)}</td></tr>"
            for row, caution in zip(self.table.rows, self.table.cautions, strict=True)
        )
        notes = "".join(f"<p>{escape(note)}</p>" for note in self.table.notes)
        return f"<table><thead><tr>{heads}<th></th></tr></thead><tbody>{body}</tbody></table>{notes}<p>{escape(self.cost)}</p>"

    @property
    def cost(self) -> str:
        """One sentence on what the answer cost each institution's budget."""
        if self.free:
            return f"Free: from {len(self.sources)} stored answer{'s' if len(self.sources) > 1 else ''}."
        charged = self.receipt.get("charged", {})
        left = self.receipt.get("left", {})
        told = ", ".join(f"{party} {nano / 1e9:g} (left {left[party] / 1e9:g})" for party, nano in charged.items())
        return f"Charged in rho: {told}."


def shown(cell: Cell) -> str:
    """Write a cell for people: a figure with its half-width, rounded to what the error leaves meaningful."""
    if not isinstance(cell, Figure):
        return "-" if cell is None else cell
    if cell.value is None:
        return "-"
    value = float(cell.value)
    below, above = value - cell.low, cell.high - value
    if not isfinite(below) or not isfinite(above):
        return f"{value:,.4g} (no bound)"
    digits = _digits(value, max(below, above))
    if abs(below - above) <= 0.05 * max(below, above, 1e-300):
        return f"{value:,.{digits}f}" + (f" ± {above:,.{digits}f}" if above else "")
    return f"{value:,.{digits}f} ({cell.low:,.{digits}f} to {cell.high:,.{digits}f})"


def _digits(value: float, error: float) -> int:
    """Decimals worth showing: two figures of the error, whole numbers where that is enough."""
    if error <= 0:
        return 0 if value == int(value) else 4
    return min(8, max(0, next((n for n in range(9) if error * 10**n >= 10), 8)))


def _three(name: str, figure: Figure | None) -> dict[str, float | None]:
    if figure is None or figure.value is None:
        return {name: None, f"{name}_low": None, f"{name}_high": None}
    ends = [end if isfinite(end) else None for end in (figure.low, figure.high)]
    return {name: float(figure.value), f"{name}_low": ends[0], f"{name}_high": ends[1]}


def _write_workbook(result: Result, path: Path) -> None:
    import xlsxwriter  # noqa: PLC0415  needed for workbooks alone

    with xlsxwriter.Workbook(str(path), {"strings_to_formulas": False, "strings_to_urls": False}) as book:
        sheet = book.add_worksheet("answer")
        bold = book.add_format({"bold": True})
        names = list(result.table.flat)
        sheet.write_row(0, 0, names, bold)
        for row, record in enumerate(result.table.records(), start=1):
            _write_row(sheet, row, [record[name] for name in names])
        sheet.freeze_panes(1, 0)
        sheet.autofit()
        told = book.add_worksheet("receipt")
        lines: Sequence[tuple[str, str]] = [
            ("sql", result.sql),
            ("cost", result.cost),
            *(("note", note) for note in result.table.notes),
            *((key, json.dumps(value, ensure_ascii=False)) for key, value in result.receipt.items()),
        ]
        for row, (key, value) in enumerate(lines):
            told.write_string(row, 0, key, bold)
            told.write_string(row, 1, value)


def _write_row(sheet: Any, row: int, cells: Sequence[str | float | None]) -> None:
    for column, cell in enumerate(cells):
        if isinstance(cell, str):
            sheet.write_string(row, column, cell)
        elif cell is not None:
            sheet.write_number(row, column, cell)


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
