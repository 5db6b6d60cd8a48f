"""Supervision with values: reports that lie on the regulator's own machine are found by their digest and computed anew."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from api import supervising
from api.console.desk import log
from api.console.desk.place import beside
from api.console.everywhere import supervision
from api.console.pages import Offer, Page, Visit
from api.console.places import DESK
from api.console.wording import msg


def show(visit: Visit) -> Mapping[str, Any]:
    """Return the portfolio with the values of the reports in the directory that the visitor names."""
    told = supervision.read(visit)
    notes: list[str] = []
    made = _made(visit, told, notes)
    return supervision.facts(visit, told, made, reports=visit.query.get("reports", ""), notes=notes)


def _made(visit: Visit, told: Mapping[str, Any], notes: list[str]) -> dict[str, Any] | None:
    named = visit.query.get("reports", "").strip()
    cited = [one["appraisal"]["report"] for one in supervising.live(told) if one["appraisal"] is not None]
    worths = supervising.valued(Path(named).expanduser(), cited, note=notes.append) if named else {}
    return supervision.performed(visit, told, worths=worths, overrides=_overrides(visit))


def _overrides(visit: Visit) -> Mapping[str, list[str]]:
    """Return the operator's overrides in the bundle that was checked here last, by institution."""
    checked = log.latest(beside(visit.place).home)
    return {} if checked is None else supervising.read_overrides(checked)


def give(visit: Visit, name: str) -> Offer:
    """Hand out the portfolio as it is shown."""
    return supervision.handed(_made(visit, supervision.read(visit), []), name)


PAGES = (
    Page(
        "/supervision", "supervision.html", msg("Supervision"), show,
        group=msg("Oversight"), roles=supervision.REGULATOR, places=frozenset({DESK}), give=give,
    ),
)  # fmt: skip
