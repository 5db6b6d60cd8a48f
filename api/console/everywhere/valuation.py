"""Valuation: a report opened and verified, why each figure is what it is, what other assumptions would make of it, and files of it.

Everything is computed from the report in hand; nothing is asked of a node, put on record or kept beyond the session.
"""

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from api.console.everywhere import assumptions, opening, reported
from api.console.pages import Offer, Page, Visit
from api.console.papers import Kind, Paper
from api.console.places import Same
from api.console.wording import msg
from api.problems import document as problem_of
from exchange.protocol.errors import Unknown
from privacy import canonical
from privacy.errors import PrivacyError
from valuation import comparison, report
from valuation.statement.reading import Reading
from valuation.statement.words import Language

_MEDIA = {
    "pdf": "application/pdf",
    "html": "text/html; charset=utf-8",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    "json": "application/json",
}
_ON_A_PAGE = 400


def start(visit: Visit) -> Mapping[str, Any]:
    """Return the reports that are open in this session, and the examples."""
    return {
        "open": [
            {
                "paper": one.name,
                "asset": reported.name(one),
                "on": one.document["inputs"]["method"]["on"],
                "signer": one.signer,
                "headline": reported.headline(Reading(one.document)),
            }
            for one in visit.place.papers.every(Kind.REPORT)
        ],
        "examples": opening.listed("air-quality", "pledge-loan"),
        "text": visit.form.get("text", ""),
        "same_as": [
            Same(msg("Command line"), "touchstone value appraise facts.json -o report.json\ntouchstone value verify report.json").to_json(),
            Same("HTTP", "POST /v1/reports\nPOST /v1/reports/verify").to_json(),
            Same("Python", "from valuation import report\nmade = report.perform(inputs)\nreport.verify(made)").to_json(),
        ],
    }  # fmt: skip


def take(visit: Visit) -> str:
    """Open what the form brought and lead to its page."""
    return f"/value/{opening.open_report(visit, opening.read(visit)).name}"


def show(visit: Visit) -> Mapping[str, Any]:
    """Return what a report says; see :func:`api.console.everywhere.reported.facts`."""
    paper = _paper(visit)
    return {
        **reported.facts(paper, visit.words),
        "files": list(_MEDIA),
        "same_as": [
            Same(msg("Command line"), "touchstone value verify report.json\ntouchstone value report report.json -o report.pdf --lang zh").to_json(),
            Same("HTTP", "POST /v1/reports/verify").to_json(),
        ],
    }  # fmt: skip


def why(visit: Visit) -> Mapping[str, Any]:
    """Return one figure of a report with its reasons, and the report's figures that fit the words asked for."""
    paper = _paper(visit)
    reading = Reading(paper.document)
    key = visit.query.get("figure") or reading.central.key
    found = reported.explained(reading, key, visit.words)
    if found is None:
        raise Unknown("figure in this report")
    asked = visit.query.get("q", "").strip().lower()
    rows = [reported.row(one, visit.words) for one in reading.figures.values()]
    fit = [one for one in rows if asked in one["key"].lower() or asked in one["label"].lower()]
    return {
        "paper": paper.name,
        "asset": reported.name(paper),
        "figure": found,
        "q": visit.query.get("q", ""),
        "all": fit[:_ON_A_PAGE],
    }


def what_if(visit: Visit) -> Mapping[str, Any]:
    """Return a report beside what other assumptions make of it; a draft, kept nowhere. ``why=1`` tells the causes, too."""
    paper = _paper(visit)
    original = paper.document
    told = {**visit.query, **visit.form}
    made: Mapping[str, Any] | None = None
    refused = causes = None
    changes: dict[str, str] = {}
    try:
        changes = assumptions.changes(original, told)
        made = perform(visit, original, changes) if changes else original
        if told.get("why") and changes:
            with visit.place.alone():
                causes = _causes(comparison.compare(original, made))
    except PrivacyError as error:
        refused = dict(problem_of(error))
    first, second = Reading(original), None if made is None else Reading(made)
    return {
        "paper": paper.name,
        "asset": reported.name(paper),
        "on": original["inputs"]["method"]["on"],
        "fields": [
            {**one, "now": told.get(one["name"]) or one["value"], "changed": one["name"] in changes}
            for one in assumptions.fields(original)
        ],
        "rest": assumptions.rest(original),
        "changes": changes,
        "before": reported.headline(first),
        "after": None if second is None else reported.headline(second),
        "approaches": [] if second is None else _beside(visit, first, second),
        "loan": [] if second is None else _loans(first, second),
        "refused": refused,
        "causes": causes,
        "address": f"/value/{paper.name}/what-if",
        "query": urlencode(changes),
        "same_as": [
            Same(msg("Command line"), "touchstone value appraise changed.json -o changed-report.json\ntouchstone value compare report.json changed-report.json").to_json(),
            Same("HTTP", "POST /v1/reports").to_json(),
        ],
    }  # fmt: skip


def keep(visit: Visit) -> str:
    """Open the draft as a report of its own, to be read and handed out like any other."""
    original = _paper(visit).document
    changes = assumptions.changes(original, {**visit.query, **visit.form})
    return f"/value/{opening.lay_down(visit, perform(visit, original, changes)).name}"


def perform(visit: Visit, original: Mapping[str, Any], changes: Mapping[str, str]) -> dict[str, Any]:
    """Return the report that a report's inputs with these changes make."""
    inputs = assumptions.changed(original, changes)
    with visit.place.alone():
        return report.perform(inputs)


def hand_out(visit: Visit, file: str) -> Offer:
    """Return a report in one of its forms, as ``report.pdf``; PDF, page and workbook in the visitor's language."""
    paper = _paper(visit)
    name, _, ending = file.rpartition(".")
    if name != "report" or ending not in _MEDIA:
        raise Unknown("file of a report")
    owner, dataset = reported.name(paper).split("/", 1)
    title = f"{owner}-{dataset}-{paper.name[:8]}.{ending}"
    if ending == "json":
        return Offer(title, _MEDIA[ending], canonical.encode(paper.document) + b"\n")
    from api.printing import made  # noqa: PLC0415  a typesetter only where something is set

    with visit.place.alone():
        content = made.form(paper.document, f".{ending}", Language(visit.words.language))
    return Offer(title, _MEDIA[ending], content)


def _paper(visit: Visit) -> Paper:
    return visit.place.papers.find(visit.path["paper"], Kind.REPORT)


def _beside(visit: Visit, first: Reading, second: Reading) -> list[dict[str, Any]]:
    """The central value of each approach in both reports."""
    return [
        {
            "name": visit.words.say(reported.APPROACHES[name]),
            "before": first.figures[f"{start}.central"].value,
            "after": second.figures[f"{start}.central"].value if f"{start}.central" in second.figures else None,
        }
        for name, start in first.approaches
    ]


_LOAN = (
    ("amount", msg("Amount"), "money"),
    ("floor", msg("Least rate"), "rate"),
    ("rate", msg("Rate offered"), "rate"),
    ("raroc", msg("Return on capital"), "rate"),
    ("cover", msg("Least debt service cover"), "ratio"),
)


def _loans(first: Reading, second: Reading) -> list[dict[str, Any]]:
    """What both reports say of a planned loan, if both plan one; ``None`` where one does not say it."""
    told = [first, second]
    if not all("loan" in one.conclusion for one in told):
        return []
    keys = [one.conclusion["loan"] for one in told]
    return [
        {
            "name": title,
            "as": kind,
            **{
                when: None if key[name] is None else one.figures[key[name]].value
                for when, one, key in zip(("before", "after"), told, keys, strict=True)
            },
        }
        for name, title, kind in _LOAN
    ]


def _causes(found: comparison.Comparison) -> list[dict[str, Any]]:
    told = found.to_json()
    return [
        {
            "of": title,
            "change": told[part]["change"],
            "causes": [
                {"names": [reported.CAUSES.get(group, group) for group in cause["groups"]], "part": cause["part"]}
                for cause in told[part]["causes"]
            ],
        }
        for part, title in (("value", msg("Value")), ("limit", msg("Loan limit")))
        if told[part] is not None
    ]


PAGES = (
    Page("/value", "value.html", msg("Valuation"), start, group=msg("Lending"), act=take),
    Page("/value/{paper}", "value-report.html", msg("Valuation report"), show, give=hand_out),
    Page("/value/{paper}/why", "value-why.html", msg("Explain this number"), why),
    Page("/value/{paper}/what-if", "value-what-if.html", msg("What if"), what_if, act=keep),
)
