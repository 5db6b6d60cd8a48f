"""The tables of a document as one CSV file: a line for each cell, so that every table fits the same five columns."""

import csv
import io
from collections.abc import Mapping
from typing import Any

HEAD = ("table", "row", "column", "unit", "value")

_RISKY = ("=", "+", "-", "@", "\t", "\r")


def cells(document: Mapping[str, Any]) -> str:
    """Write all tables; text that a spreadsheet would run as a formula gets an apostrophe in front."""
    text = io.StringIO(newline="")
    lines = csv.writer(text, lineterminator="\r\n")
    lines.writerow(HEAD)
    for table in document["tables"]:
        for number, row in enumerate(table["rows"], start=1):
            for column, cell in zip(table["columns"], row, strict=True):
                inert = column["unit"] == "text" and str(cell).startswith(_RISKY)
                lines.writerow((table["key"], number, column["key"], column["unit"], f"'{cell}" if inert else cell))
    return text.getvalue()
