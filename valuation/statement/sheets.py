"""Sheets of cells as a workbook holds them: texts, numbers, and formulas over other cells; a printer only writes them down."""

from dataclasses import dataclass, field
from decimal import Decimal

from valuation.statement.words import Text

FIGURES, SCHEDULES, INPUTS = "Figures", "Schedules", "Inputs"
VALUE = "D"
"""Column of the live values on the sheet of figures and on that of inputs."""


@dataclass(frozen=True, slots=True)
class Formula:
    """A formula, without the equals sign, and what it gives for the report as it is, ``None`` where the report does not say."""

    expression: str
    value: Decimal | str | None = None


Cell = Text | Decimal | Formula | None


@dataclass(slots=True)
class Sheet:
    """One sheet: rows of cells under a head, and the width of each column in characters."""

    name: str
    widths: tuple[int, ...]
    rows: list[tuple[Cell, ...]] = field(default_factory=list)

    def add(self, *cells: Cell) -> int:
        """Append a row and return its number, from 1, as formulas name it."""
        self.rows.append(cells)
        return len(self.rows)


def total(cells: list[str]) -> str:
    """The sum of cells, 0 for none."""
    return "+".join(cells) if cells else "0"


def product(cells: list[str]) -> str:
    """The product of cells, 1 for none."""
    return "*".join(cells) if cells else "1"
