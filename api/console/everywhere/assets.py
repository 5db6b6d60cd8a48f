"""The catalog, and one asset in it: what its owner declared, who holds a claim on it, how its record came about."""

import json
from collections.abc import Mapping
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

from api.console.pages import Page, Visit
from api.console.places import Same
from api.console.wording import msg
from exchange.protocol.errors import Forbidden, Unknown

_ON_A_PAGE = 25
_EPOCH = date(1970, 1, 1)
_FACETS = ("standard", "owner", "level", "state")


def catalog(visit: Visit) -> Mapping[str, Any]:
    """Return one page of the datasets that fit the words and facets asked for, with how many there are by facet."""
    asked = {name: visit.query.get(name, "") for name in ("q", *_FACETS)}
    found = visit.place.get("datasets", **asked, cursor=visit.query.get("cursor"), limit=_ON_A_PAGE, facets="true")
    address = "&".join(f"{name}={value}" for name, value in asked.items() if value)
    return {
        "asked": asked,
        "datasets": [_row(visit, one) for one in found["datasets"]],
        "facets": {name: found["facets"][name] for name in _FACETS},
        "exact": found["exact"],
        "next": found["next"],
        "same_as": [
            Same(msg("Command line"), _search(asked)).to_json(),
            Same("HTTP", f"GET /v1/datasets{'?' + address if address else ''}").to_json(),
        ],
    }


def _search(asked: Mapping[str, str]) -> str:
    options = "".join(f" --{name} {value}" for name, value in asked.items() if value and name != "q")
    return f'touchstone catalog search HOME "{asked["q"]}"{options}'


def _row(visit: Visit, one: Mapping[str, Any]) -> dict[str, Any]:
    declared = one["declared"]
    return {
        "asset": one["asset"],
        "title": declared["title"].get(visit.words.language) or one["title"],
        "owner": one["owner"],
        "standard": one["standard"],
        "columns": len(one["columns"]),
        "refreshed": one["refreshed"],
        "level": one["level"],
        "state": one["state"],
    }


def asset(visit: Visit) -> Mapping[str, Any]:
    """Return everything on record of one asset that this party may see."""
    owner, dataset = visit.path["owner"], visit.path["dataset"]
    place = visit.place
    record = place.get("datasets", owner, dataset)
    name, _, version = record["standard"].rpartition("/")
    standard = place.get("standards", name, version)
    held = place.get("liens", owner, dataset)
    return {
        "asset": record["asset"],
        "title": record["declared"]["title"].get(visit.words.language) or record["title"],
        "record": {key: value for key, value in record.items() if key not in ("versions", "standing")},
        "schema": [_column(column, record["columns"]) for column in standard["columns"]],
        "liens": held["liens"],
        "operator": held["operator"],
        "watched": _watched(visit, owner, dataset),
        "history": [
            {
                "position": one["seq"],
                "at": one["at"],
                "refreshed": json.loads(one["registration"]["body"])["refreshed"],
                "id": one["registration"]["signature"][:16],
            }
            for one in record["versions"]
        ],
        "same_as": [
            Same(msg("Command line"), f"touchstone catalog show HOME {owner}/{dataset}").to_json(),
            Same("SQL", f"SELECT COUNT(*) FROM {name}").to_json(),
            Same("HTTP", f"GET /v1/datasets/{owner}/{dataset}").to_json(),
        ],
    }


def _column(column: Mapping[str, Any], mapped: list[str]) -> dict[str, Any]:
    """Return a column as the standard has it; bounds of a date are days, of a measure numbers in its unit, as text."""
    bounds = column["bounds"] and [str(Decimal(end).scaleb(-column["decimals"])) for end in column["bounds"]]
    if bounds and column["kind"] == "date":
        bounds = [(_EPOCH + timedelta(days=day)).isoformat() for day in column["bounds"]]
    return {
        "name": column["name"],
        "meaning": column["meaning"],
        "kind": column["kind"],
        "held": column["name"] in mapped,
        "bounds": bounds,
        "domain": column["domain"],
        "unit": column["unit"],
    }


def _watched(visit: Visit, owner: str, dataset: str) -> Mapping[str, Any] | None:
    """What the register knows of the rows: for the owner, its lenders and regulators, nobody else."""
    try:
        told: Mapping[str, Any] = visit.place.get("collateral", owner, dataset)
    except (Unknown, Forbidden):
        return None
    return told


def standards(visit: Visit) -> Mapping[str, Any]:
    """Return every published standard."""
    return {"standards": visit.place.get("standards")["standards"]}


def parties(visit: Visit) -> Mapping[str, Any]:
    """Return who takes part, with the fingerprint of each key to be compared by phone."""
    return {"parties": visit.place.get("parties")["parties"]}


PAGES = (
    Page("/assets", "assets.html", msg("Catalog"), catalog, group=msg("Data")),
    Page("/assets/{owner}/{dataset}", "asset.html", msg("Asset"), asset),
    Page("/standards", "standards.html", msg("Standards"), standards, group=msg("Data")),
    Page("/parties", "parties.html", msg("Parties"), parties, group=msg("Overview")),
)
