"""The forms that a verified report can take, by the ending of a file's name."""

from collections.abc import Mapping
from typing import Any

from valuation.statement import state
from valuation.statement.reading import Reading
from valuation.statement.words import Language

FORMS = (".pdf", ".html", ".xlsx")


def form(document: Mapping[str, Any], ending: str, language: Language) -> bytes:
    """Make ``document`` into the form that one of :data:`FORMS` names.

    Caller must: verify the document with :func:`valuation.report.verify` before.
    """
    statement = state(document)
    match ending:
        case ".pdf":
            from api.printing.pdf import pdf  # noqa: PLC0415  34 MB that a web page does not need

            return pdf(statement, language)
        case ".html":
            from api.printing.page import page  # noqa: PLC0415

            return page(statement, language)
        case _:
            from api.printing.workbook import workbook  # noqa: PLC0415

            return workbook(statement, Reading(document), language)
