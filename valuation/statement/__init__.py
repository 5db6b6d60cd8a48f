"""A verified report as a person reads it: what stands where, in Chinese and English; printers in :mod:`api.printing` set it.

Everything comes from the report's JSON alone, and no number is computed here: one that is shown rounded on a page stands in
full in the annex. The workbook's formulas (:mod:`valuation.statement.cells`) compute a report's figures a second time.
"""

from collections.abc import Mapping
from typing import Any

from valuation.statement.annex import annexes
from valuation.statement.blocks import Statement
from valuation.statement.body import body
from valuation.statement.reading import Reading
from valuation.statement.summary import summarise
from valuation.statement.words import Text

TITLE = Text("Data asset valuation calculation", "数据资产估值计算书")


def state(document: Mapping[str, Any]) -> Statement:
    """The statement of a report that :func:`valuation.report.verify` has found to follow from its inputs."""
    reading = Reading(document)
    asset = reading.inputs["asset"]
    name = f"{asset['owner']}/{asset['dataset']}"
    return Statement(
        title=TITLE,
        subject=Text(f"{name}, version {asset['version']}", f"{name}，第 {asset['version']} 版"),
        on=str(reading.inputs["method"]["on"]),
        notice=Text(document["notice"]["en"], document["notice"]["zh"]),
        digest=str(document["digest"]),
        check=Text(
            "Verify offline: touchstone value verify report.json; the digest must be this one.",
            "离线核验：touchstone value verify report.json；摘要须与此一致。",
        ),
        summary=summarise(reading),
        sections=(*body(reading), *annexes(reading)),
    )
