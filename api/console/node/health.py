"""Whether all is well at the node: the exchange, the clock, the log, the data and its table, custody, claims and offers."""

import time
from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from api.console.node.place import NodePlace, beside
from api.console.pages import Page, Visit
from api.console.places import NODE, Same
from api.console.wording import msg
from exchange.node.admission import admit
from exchange.node.engine import SourceFault
from exchange.node.source import Dataset
from exchange.protocol.pledge import OVER
from exchange.witness import STALE, Witness
from privacy.errors import Malformed, PrivacyError

SKEW = 30
"""Seconds by which this clock may differ from the exchange's before it is a fault."""

AGAIN = 30
"""Seconds after which the page looks again."""

_ENDED = {state.value for state in OVER}
_WAITS = {
    "quoted": msg("two officers of the lender"),
    "approved": msg("this node, which answers by the policy"),
    "signed": msg("the lender, who files it"),
    "warning": msg("nobody yet: the cover is thin"),
    "margin_call": msg("this institution: cash or collateral must cure it"),
    "step_in": msg("the lender, who operates the rows"),
}


def show(visit: Visit) -> Mapping[str, Any]:
    """Return how exchange, clock, log, ledger, datasets and claims stand."""
    place = beside(visit.place)
    skew, error = place.answers()
    reached = error is None
    return {
        "url": place.exchange,
        "reached": reached,
        "why": None if error is None else {"reason": error.reason, "fix": error.fix},
        "skew": None if skew is None else f"{abs(skew):.0f}",
        "clock": skew is None or abs(skew) <= SKEW,
        "log": _log(place),
        "journal": {"entries": place.vault.head[0], "head": place.vault.head[1], "last": place.vault.moment},
        "mended": list(place.vault.book.recovered),
        "datasets": [_dataset(place, dataset, reached=reached) for dataset in place.vault.datasets()],
        "pledges": list(_pledges(place)) if reached else [],
        "declared": list(_declared(place)),
        "untold": dict(place.untold),
        "again_in": AGAIN,
        "same_as": [
            Same(msg("Command line"), f"touchstone doctor {place.home} --exchange {place.exchange}").to_json(),
            Same("HTTP", f"GET {place.exchange}/healthz").to_json(),
        ],
    }


def _log(place: NodePlace) -> Mapping[str, Any]:
    """Return the head of the exchange's log that this node has checked last, and whether it is recent."""
    try:
        witness = Witness(place.home)
    except PrivacyError as error:
        return {"id": None, "size": 0, "at": None, "fresh": False, "why": error.reason}
    head = witness.head
    forked = (place.home / "log-forked.json").exists()
    return {
        "id": witness.log,
        "size": witness.size,
        "at": None if head is None else head.at,
        "fresh": head is not None and time.time() - head.at <= STALE,
        "why": msg("two histories were signed; both are kept as evidence") if forked else "",
    }


def _dataset(place: NodePlace, dataset: Dataset, *, reached: bool) -> dict[str, Any]:
    policy = place.vault.policy(dataset.name)
    word = place.vault.kept.word(dataset.name)
    found: dict[str, Any] = {
        "name": dataset.name,
        "title": dataset.title,
        "version": dataset.refreshed,
        "age": (place.today() - date.fromisoformat(dataset.refreshed)).days,
        "source": _source(place, dataset),
        "prepared": place.vault.prepared.is_ready(dataset),
        "custody": None if word is None else {"day": word[0], "found": word[1]},
        "key": place.vault.comparing is not None,
        "pledging": None
        if policy.pledging is None
        else {
            "lenders": list(policy.pledging.lenders),
            "limit": policy.pledging.limit,
            "until": policy.pledging.until,
        },
        "record": None,
        "liens": [],
    }
    if reached:
        found["record"] = _record(place, dataset)
        told = place.find("liens", place.party, dataset.name)
        found["liens"] = [] if told is None else told["liens"]
    return found


def _source(place: NodePlace, dataset: Dataset) -> Mapping[str, Any]:
    """Return whether the source can be read, and whether its file is younger than the version in force."""
    try:
        admit(dataset.location, engines=place.vault.prepared.engines)
        at = Path(dataset.location.path).stat().st_mtime
    except SourceFault as fault:
        return {"fine": False, "why": fault.reason, "fix": fault.fix, "changed": None}
    except (OSError, Malformed):
        return {
            "fine": False,
            "why": "the source cannot be opened",
            "fix": "let the node's user read it",
            "changed": None,
        }
    changed = datetime.fromtimestamp(at, tz=UTC).date().isoformat()
    return {"fine": True, "why": "", "fix": "", "changed": changed if changed > dataset.refreshed else None}


def _record(place: NodePlace, dataset: Dataset) -> Mapping[str, Any] | None:
    """Return what the exchange has on record of a dataset, if it has: its version, state, and the state of custody."""
    held = place.find("datasets", place.party, dataset.name)
    if held is None:
        return None
    watched = place.find("collateral", place.party, dataset.name)
    return {
        "version": held["refreshed"],
        "state": held["state"],
        "same": held["refreshed"] == dataset.refreshed,
        "watched": None if watched is None else {"state": watched["state"], "because": watched["because"]},
    }


def _pledges(place: NodePlace) -> Iterator[dict[str, Any]]:
    """Yield the pledges of this institution's assets that are not over: who has to act, and what this node answered."""
    for one in place.get("pledges")["pledges"]:
        if one["owner"] != place.party or one["state"] in _ENDED:
            continue
        answered = place.history.offer(one["id"])
        yield {
            "id": one["id"],
            "asset": one["asset"],
            "dataset": one["asset"].partition("/")[2],
            "lender": one["lender"],
            "rank": one["rank"],
            "state": one["state"],
            "secured": one["secured"],
            "since": one["since"],
            "until": one["cure_by"] or one["expires"],
            "waits": _WAITS.get(one["state"]),
            "answered": None if answered is None else {"at": answered[0], "objection": answered[1]},
        }


def _declared(place: NodePlace) -> Iterator[dict[str, str]]:
    """Yield what was declared of datasets and is not delivered yet, or was refused."""
    directory = place.home / "declared"
    for path in sorted(directory.glob("*")):
        if path.suffix == ".json":
            yield {"dataset": path.stem, "state": "waiting", "why": ""}
        elif path.suffix == ".refused":
            yield {"dataset": path.stem, "state": "refused", "why": path.read_text("utf-8").strip()}


PAGES = (Page("/health", "health.html", msg("Health"), show, group=msg("This node"), places=frozenset({NODE})),)
