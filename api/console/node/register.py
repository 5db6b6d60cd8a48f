"""Registering a dataset in four steps: locate the rows, confirm what they mean, decide what may be asked, publish.

Each step is kept as a draft on the node's own disk. What was drafted from the rows is a suggestion: a column that no person has
confirmed is not mapped, and bounds that nobody has confirmed let nothing be added up. Nothing leaves before the last step.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from api.console.node.composing import confirmed, dataset_document, needed, policy_of
from api.console.node.place import NodePlace, beside
from api.console.node.rules import described, scaled
from api.console.pages import Page, Visit
from api.console.places import NODE, Same
from api.console.wording import msg
from api.problems import document
from exchange.node.drafting import draft as drafted
from exchange.node.engine import KINDS, Location
from exchange.node.registration import read_dataset, register
from exchange.node.source import inspect
from exchange.standards import every, shipped
from privacy.errors import Malformed, PrivacyError
from privacy.permissions import findings
from privacy.purposes import PURPOSES
from privacy.terms import Column, Kind, Standard

STEPS = {
    "columns": msg("2. Confirm what the columns mean"),
    "purposes": msg("3. Decide what may be asked"),
    "publish": msg("4. Publish"),
}
_KINDS = {"parquet": msg("Parquet file"), "csv": msg("CSV file"), "duckdb": msg("table of a DuckDB file")}

_USUAL = {"everyone": "1", "partner": "0.5", "group": "500", "price": "0.1", "budget": "0.4"}
"""What a form suggests for a new dataset, in rho and rows; a person decides."""


def show(visit: Visit) -> Mapping[str, Any]:
    """Return the drafts, and the form that locates a source."""
    place = beside(visit.place)
    drafts = [(name, place.drafts.get("dataset", name)) for name in place.drafts.names("dataset")]
    return {
        "standards": [one.id for one in every()],
        "kinds": {name: _KINDS[name] for name in KINDS},
        "form": {name: visit.form.get(name, "") for name in ("path", "table", "kind", "standard")},
        "drafts": [
            {"name": name, "path": one["location"]["path"], "standard": one["standard"], "step": one["step"]}
            for name, one in drafts
        ],
        "steps": STEPS,
        "held": [{"name": one.name, "title": one.title} for one in place.vault.datasets()],
        "same_as": [
            Same(
                msg("Command line"),
                "touchstone node draft FILE --standard NAME/1 -o dataset.json\n"
                f"touchstone node register {place.home} dataset.json policy.json",
            ).to_json()
        ],
    }


def locate(visit: Visit) -> str:
    """Look at the first rows of a source and keep a draft of its document.

    Raises:
        Malformed: if the path is not absolute, or the kind is none.
        SourceFault: if the file is not what its kind says, or cannot be read.
        Unknown: if the standard is none.
    """
    place, form = beside(visit.place), visit.form
    if form.get("do") == "drop":
        place.drafts.drop("dataset", form.get("name", ""))
        return "/register"
    standard = shipped(form.get("standard", ""))
    path = form.get("path", "").strip()
    if not path.startswith("/"):
        raise Malformed(
            "the path is not absolute", fix="write it from the root of the node's machine, as /data/loans.csv"
        )
    table = form.get("table", "").strip()
    kind = form.get("kind") or ("duckdb" if table else "parquet" if path.endswith((".parquet", ".pq")) else "csv")
    location = Location(kind, str(Path(path).resolve()), table)
    engines = place.vault.prepared.engines
    found = drafted(location, standard, engines=engines)
    name = _free(found["dataset"]["name"], place)
    place.drafts.keep(
        "dataset",
        name,
        {
            "step": "columns",
            "location": {"kind": location.kind, "path": location.path, "table": location.table},
            "standard": standard.id,
            "held": list(inspect(location, engines=engines)),
            "suggested": found["columns"],
            "warnings": found["warnings"],
            "columns": {one: {"source": told["source"], "sure": False} for one, told in found["columns"].items()},
            "about": {
                "name": name,
                "title": "",
                "population": "",
                "refreshed": "",
                "level": str(found["dataset"]["declared"]["level"]),
            },
            "rules": {},
        },
    )
    return f"/register/{name}"


def _free(name: str, place: NodePlace) -> str:
    taken, number, free = set(place.drafts.names("dataset")), 1, name
    while free in taken:
        number += 1
        free = f"{name[:58]}_{number}"
    return free


def one(visit: Visit) -> Mapping[str, Any]:
    """Return a draft at the step that the address names, or at the one that it has come to."""
    place, name = beside(visit.place), visit.path["draft"]
    kept = place.drafts.get("dataset", name)
    asked = visit.form.get("step") or visit.query.get("step", "")
    step = asked if asked in STEPS else str(kept["step"])
    standard = shipped(kept["standard"])
    facts: dict[str, Any] = {
        "name": name,
        "step": step,
        "steps": STEPS,
        "location": kept["location"],
        "standard": standard.id,
        "unit": standard.unit,
        "about": {part: visit.form.get(part, told) for part, told in kept["about"].items()},
        "party": place.party,
        "same_as": [
            Same(msg("Command line"), f"touchstone node register {place.home} dataset.json policy.json").to_json()
        ],
    }
    match step:
        case "columns":
            columns = [_suggestion(column, kept, visit) for column in standard.columns]
            return facts | {"columns": columns, "held": kept["held"], "warnings": kept["warnings"]}
        case "purposes":
            return facts | _choices(place, kept, standard, visit)
        case _:
            return facts | _review(place, kept)


def _suggestion(column: Column, kept: Mapping[str, Any], visit: Visit) -> dict[str, Any]:
    """Return what was drafted for a column, and what a person has said of it."""
    told = kept["suggested"].get(column.name)
    chosen = kept["columns"].get(column.name, {"source": "", "sure": False})
    sent = visit.form.get("step") == "columns"
    return {
        "name": column.name,
        "meaning": column.meaning,
        "kind": column.kind.value,
        "level": column.security,
        "required": column.required,
        "source": visit.form.get(f"source_{column.name}", "") if sent else chosen["source"],
        "sure": f"sure_{column.name}" in visit.form if sent else chosen["sure"],
        "confidence": None if told is None else f"{told['confidence']:.2f}",
        "reason": "" if told is None else told["reason"],
    }


def _choices(place: NodePlace, kept: Mapping[str, Any], standard: Standard, visit: Visit) -> dict[str, Any]:
    """Return what can be granted over the confirmed columns, with what was said so far."""
    columns = confirmed(kept, standard)
    said: Mapping[str, str] = visit.form if visit.form.get("step") == "purposes" else kept["rules"]
    return {
        "said": dict(said),
        "usual": _USUAL,
        "known": [one.party for one in place.history.pinned() if one.role != "officer"],
        "purposes": [
            {
                "purpose": template.purpose,
                "title": template.title,
                "parties": template.min_parties,
                "keeps": template.keeps,
                "roles": list(template.roles),
                "open": f"open_{template.purpose}" in said,
                "columns": [
                    {
                        "name": column.name,
                        "uses": needed(template, column),
                        "on": f"use_{template.purpose}_{column.name}" in said,
                    }
                    for column in columns
                    if needed(template, column)
                ],
            }
            for template in PURPOSES.values()
        ],
        "bounds": [
            {
                "name": column.name,
                "unit": column.unit,
                "low": said.get(f"low_{column.name}", scaled(column, column.bounds.lower)),
                "high": said.get(f"high_{column.name}", scaled(column, column.bounds.upper)),
                "sure": f"bound_{column.name}" in said,
            }
            for column in columns
            if column.kind is Kind.MEASURE and column.bounds is not None
        ],
        "domains": [
            {"name": column.name, "labels": list(column.domain), "sure": f"domain_{column.name}" in said}
            for column in columns
            if column.kind is Kind.CATEGORY
        ],
    }


def advance(visit: Visit) -> str:
    """Keep what a step says and go on; the last step registers the dataset and tells the exchange.

    Raises:
        Malformed: if what was said makes no dataset or no policy.
        Refused: if the dataset would replace another one.
        SourceFault: if the source, or a row of it, cannot be read.
    """
    place, name, form = beside(visit.place), visit.path["draft"], visit.form
    kept = place.drafts.get("dataset", name)
    standard = shipped(kept["standard"])
    match form.get("step"):
        case "columns":
            kept["about"] = {part: form.get(part, "").strip() for part in kept["about"]}
            kept["columns"] = {
                column.name: {"source": form.get(f"source_{column.name}", ""), "sure": f"sure_{column.name}" in form}
                for column in standard.columns
            }
            read_dataset(dataset_document(kept))
            following = "purposes"
        case "purposes":
            kept["rules"] = {field: told for field, told in form.items() if field != "step"}
            policy_of(place, kept)
            following = "publish"
        case "publish":
            return _publish(place, name, kept, agreed=form.get("confirmed") == "yes")
        case _:
            raise Malformed("the form does not say which step it is", fix="use a button of the page")
    kept["step"] = following
    place.drafts.keep("dataset", name, kept)
    return f"/register/{name}?step={following}"


def _publish(place: NodePlace, draft: str, kept: Mapping[str, Any], *, agreed: bool) -> str:
    if not agreed:
        raise Malformed("nobody has confirmed what is published", fix="read it, then check the box")
    policy = policy_of(place, kept)
    with place.alone():
        held = register(place.vault, dataset=dataset_document(kept), policy=policy.to_json())
    place.drafts.drop("dataset", draft)
    place.announce(held.name)
    return f"/policies/{held.name}"


def _review(place: NodePlace, kept: Mapping[str, Any]) -> dict[str, Any]:
    """Return what would be published, and what a data office should look at first."""
    try:
        policy = policy_of(place, kept)
    except PrivacyError as error:
        return {
            "problem": document(error),
            "policy": None,
            "findings": [],
            "dataset": dataset_document(kept),
            "public": None,
        }
    standard = shipped(kept["standard"])
    dataset = read_dataset(dataset_document(kept))
    return {
        "problem": None,
        "policy": described(policy, standard),
        "findings": list(findings(policy, standard)),
        "dataset": dataset_document(kept),
        "public": {
            "name": dataset.name,
            "title": dataset.title,
            "standard": dataset.standard.id,
            "population": dataset.population,
            "refreshed": dataset.refreshed,
            "columns": sorted(dataset.mapping),
        },
    }


PAGES = (
    Page(
        "/register",
        "register.html",
        msg("Register a dataset"),
        show,
        group=msg("What may be asked"),
        places=frozenset({NODE}),
        act=locate,
    ),
    Page(
        "/register/{draft}",
        "register-draft.html",
        msg("Register a dataset"),
        one,
        places=frozenset({NODE}),
        act=advance,
    ),
)
