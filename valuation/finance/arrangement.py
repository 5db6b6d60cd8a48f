"""What a product works out to: figures with reasons, tables by period, gates that are open, remarks, what it rests on."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

from valuation.cost import Remark
from valuation.trace import Traced

NO_RELIEF = "data is not eligible collateral for regulatory capital; no capital relief follows from this structure"
"""Stands among the assumptions of every arrangement."""


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a table. ``unit`` is ``money``, ``count``, ``share`` or ``text``; ``rule`` says how it is computed."""

    key: str
    label: str
    unit: str
    rule: str

    def to_json(self) -> dict[str, Any]:
        """Return the canonical JSON object."""
        return {"key": self.key, "label": self.label, "unit": self.unit, "rule": self.rule}


@dataclass(frozen=True, slots=True)
class Table:
    """Rows under columns, in the order of the columns; amounts are decimal text, counts are integers."""

    key: str
    title: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[str | int, ...], ...]

    def to_json(self) -> dict[str, Any]:
        """Return the canonical JSON object."""
        return {
            "key": self.key,
            "title": self.title,
            "columns": [column.to_json() for column in self.columns],
            "rows": [list(row) for row in self.rows],
        }


@dataclass(frozen=True, slots=True)
class Opened:
    """A gate that is open: its rule, and the SHA-256 of the document that opened it."""

    gate: str
    rule: str
    document: str

    def to_json(self) -> dict[str, Any]:
        """Return the canonical JSON object."""
        return {"gate": self.gate, "rule": self.rule, "document": self.document}


@dataclass(frozen=True, slots=True)
class Arrangement:
    """A product worked out. ``conclusion`` names the figures that conclude, by what a reader calls them."""

    kind: str
    title: str
    on: date
    currency: str
    parties: Mapping[str, str]
    roots: tuple[Traced, ...]
    tables: tuple[Table, ...]
    gates: tuple[Opened, ...]
    remarks: tuple[Remark, ...]
    conclusion: Mapping[str, str]
    assumptions: tuple[str, ...]
