"""Guarantee, data trust and securitisation: worked out from stated facts, verified, shown as on the one-page sheet."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from api.console.everywhere import opening
from api.console.pages import Offer, Page, Visit
from api.console.papers import Kind, Paper
from api.console.places import Same
from api.console.wording import msg
from exchange.protocol.errors import Unknown
from privacy import canonical
from valuation.finance import page as pages

_KINDS: Mapping[str, str] = {
    "guarantee": msg("Guarantee"),
    "trust": msg("Data trust"),
    "abs": msg("Securitisation"),
    "portfolio": msg("Portfolio"),
}
_DRAWN: Mapping[str, tuple[str, str, str, str]] = {
    "guarantee": ("periods", "period", "lender_loss", msg("The lender loses {most} at worst, if the borrower stops in period {at}.")),
    "trust": ("periods", "end", "income", msg("The trust takes in {most} in its best period, which ends on {at}.")),
    "abs": ("periods.0", "period", "senior", msg("The senior class starts at {most}, in period {at}, and shrinks as it is repaid.")),
}  # fmt: skip
"""By kind: the table and columns of the picture, and its finding."""

_FILES = {"document.json": "application/json", "sheet.pdf": "application/pdf"}


def start(visit: Visit) -> Mapping[str, Any]:
    """Return the structures that are open in this session, and examples."""
    return {
        "kinds": [{"name": name, "title": title} for name, title in _KINDS.items() if name in _DRAWN],
        "kind": visit.form.get("kind", "guarantee"),
        "open": [
            {"paper": one.name, "title": one.document["title"], "kind": _KINDS[one.document["kind"]]}
            for one in visit.place.papers.every(Kind.STRUCTURE)
        ],
        "examples": opening.listed(*_DRAWN),
        "text": visit.form.get("text", ""),
        "same_as": [
            Same(msg("Command line"), "touchstone finance guarantee facts.json -o document.json").to_json(),
            Same("HTTP", "POST /v1/structures/guarantee").to_json(),
        ],
    }


def take(visit: Visit) -> str:
    """Open what the form brought and lead to its page; an example is of the kind of its name."""
    kind = visit.form.get("example") or visit.form.get("kind", "")
    return f"/structures/{opening.open_structure(visit, kind, opening.read(visit)).name}"


def show(visit: Visit) -> Mapping[str, Any]:
    """Return what a document concludes, its tables and its picture's rows."""
    paper = _paper(visit)
    laid = pages.page(paper.document)
    return {
        "paper": paper.name,
        "title": laid.title,
        "kind": _KINDS[paper.document["kind"]],
        "on": laid.on,
        "currency": laid.currency,
        "parties": laid.parties,
        "concluded": [list(pair) for pair in laid.concluded],
        "remarks": [{"text": text, "flag": flag} for text, flag in laid.remarks],
        "tables": [
            {"title": one.title, "head": list(one.head), "words": list(one.words), "rows": [list(row) for row in one.rows], "more": one.more}
            for one in laid.tables
        ],
        "picture": _picture(paper, visit),
        "gates": [list(gate) for gate in laid.gates],
        "assumptions": list(laid.assumptions),
        "figures": laid.figures,
        "files": list(_FILES),
        "same_as": [Same(msg("Command line"), "touchstone finance verify document.json\ntouchstone finance sheet document.json -o sheet.pdf").to_json()],
    }  # fmt: skip


def _picture(paper: Paper, visit: Visit) -> dict[str, Any] | None:
    """One bar for each period, and the finding with the largest."""
    if paper.document["kind"] not in _DRAWN:
        return None
    key, period, column, finding = _DRAWN[paper.document["kind"]]
    table = next(one for one in paper.document["tables"] if one["key"] == key)
    places = [one["key"] for one in table["columns"]]
    rows = [(str(row[places.index(period)]), Decimal(str(row[places.index(column)]))) for row in table["rows"]]
    currency = paper.document["currency"]
    at, most = max(rows, key=lambda one: one[1])
    return {
        "finding": visit.words.say(finding, most=visit.words.brief(most, currency), at=at),
        "rows": [
            {"name": name, "start": "0", "end": str(value), "shown": visit.words.brief(value, currency)}
            for name, value in rows
        ],
    }


def hand_out(visit: Visit, file: str) -> Offer:
    """Return the document, or its one-page sheet."""
    paper = _paper(visit)
    if file not in _FILES:
        raise Unknown("file of a structure")
    name = f"{paper.document['kind']}-{paper.name[:8]}-{file}"
    if file == "document.json":
        return Offer(name, _FILES[file], canonical.encode(paper.document) + b"\n")
    from api.printing import sheets  # noqa: PLC0415  a typesetter only where something is set

    with visit.place.alone():
        return Offer(name, _FILES[file], sheets.product(pages.page(paper.document)))


def _paper(visit: Visit) -> Paper:
    return visit.place.papers.find(visit.path["paper"], Kind.STRUCTURE)


PAGES = (
    Page("/structures", "structures.html", msg("Structures"), start, group=msg("Lending"), act=take),
    Page("/structures/{paper}", "structure.html", msg("Structure"), show, give=hand_out),
)
