"""The credit committee's one page, made from a report alone: what is asked, what it rests on, what can go wrong.

A plain structure that any page can be printed from: twelve sections of rows, tables and bars, every text already as a
reader sees it, every figure named by its key in the report. Nothing is computed here but what is shown rounded; what
the report does not hold is said to be not evidenced. The report is performed anew first, so a sheet cannot be made of a
changed one.

Source: product rule; contents of a credit application.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from privacy import canonical
from valuation import report
from valuation.committee import SECTIONS, Row, Source
from valuation.errors import OutOfRange
from valuation.shown import Figures

FORMAT = "touchstone-credit-sheet/1"

CAPITAL: Mapping[str, str] = {
    "en": "The data is not eligible collateral for regulatory capital; no capital relief is claimed",
    "zh": "数据资产不是合格的监管资本缓释工具，本页不主张任何资本缓释",
}
"""Stands on every sheet beside the notice of the report."""


def sheet(document: bytes | Mapping[str, Any]) -> dict[str, Any]:
    """Make the sheet of a report; equal reports make equal sheets, and ``digest`` is over all the rest.

    Raises:
        Malformed, Differs: if the report does not verify. OutOfRange: if it plans no loan.
    """
    report.verify(document)
    told = canonical.decode(document if isinstance(document, bytes) else canonical.encode(document))
    if "loan" not in told["conclusion"]:
        raise OutOfRange("report.conclusion", "reports whose terms plan a loan that can be lent")
    source = Source(told["inputs"], told["conclusion"], told["remarks"], told, Figures(told))
    made: dict[str, Any] = {
        "format": FORMAT,
        "report": told["digest"],
        "notice": told["notice"],
        "capital": dict(CAPITAL),
        "asset": f"{source.inputs['asset']['owner']}/{source.inputs['asset']['dataset']}",
        "on": source.inputs["method"]["on"],
        "currency": source.conclusion["currency"],
        "sections": [
            {"number": number, "title": {"en": en, "zh": zh}, **_section(part(source), source.figures)}
            for number, (en, zh, part) in enumerate(SECTIONS, 1)
        ],
    }
    made["digest"] = canonical.digest(made)
    return made


def _section(parts: Iterable[Any], figures: Figures) -> dict[str, Any]:
    rows, tables, bars = [], [], []
    for part in parts:
        if isinstance(part, Row):
            label = {"en": part.en, "zh": part.zh}
            rows.append(
                {
                    "label": label,
                    "shown": part.shown,
                    "figure": None if figures.value(part.figure) is None else part.figure,
                }
            )
        elif "head" in part:
            tables.append(part)
        else:
            bars.append(part)
    return {"rows": rows, "tables": tables, "bars": bars}
