"""A pledge's cover over time: a history of readings drawn against the bands, with every reason to value it anew."""

from collections.abc import Mapping
from datetime import date
from typing import Any

from api.console.everywhere import opening
from api.console.pages import Page, Visit
from api.console.papers import Kind, Paper
from api.console.places import Same
from api.console.wording import msg
from privacy import canonical
from valuation import timeline

_LINE = ("on", "ltv", "low", "high", "state", "surely", "revalue")


def start(visit: Visit) -> Mapping[str, Any]:
    """Return the histories that are open in this session."""
    return {
        "open": [
            {"paper": one.name, "asset": one.document["asset"], "due": one.document["revaluation_due"]}
            for one in visit.place.papers.every(Kind.HISTORY)
        ],
        "text": visit.form.get("text", ""),
        "same_as": [Same(msg("Command line"), "touchstone pledge timeline history.json --svg line.svg").to_json()],
    }


def take(visit: Visit) -> str:
    """Open a history of readings and lead to its line."""
    given = opening.read(visit)
    with visit.place.alone():
        made = timeline.timeline(given).to_json()
    return f"/cover/{visit.place.papers.lay(Paper(Kind.HISTORY, canonical.digest(made), made))}"


def show(visit: Visit) -> Mapping[str, Any]:
    """Return the line: loan to value with its interval at each reading, its state, and why it is to be valued anew."""
    told = visit.place.papers.find(visit.path["paper"], Kind.HISTORY).document
    points = [
        {**{name: one[name] for name in _LINE}, "day": date.fromisoformat(one["on"]).toordinal()}
        for one in told["points"]
    ]
    return {
        "asset": told["asset"],
        "bands": told["thresholds"],
        "points": points,
        "due": told["revaluation_due"],
        "last": points[-1],
    }


PAGES = (
    Page("/cover", "cover.html", msg("Cover over time"), start, group=msg("Lending"), act=take),
    Page("/cover/{paper}", "cover-line.html", msg("Cover over time"), show),
)
