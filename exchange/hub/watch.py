"""What a lender sees of a pledged dataset between valuations: one named state, why, and the words that it rests on.

The states, the graver one first: ``gone``, the rows cannot be read or the dataset was withdrawn; ``changed``, they are others than
were pledged; ``late``, the node has not confirmed them in time, or they were not loaded anew when they should have been;
``confirmed``. Silence is ``late``, never ``confirmed``.
"""

import re
from datetime import UTC, date, datetime, timedelta
from fractions import Fraction
from typing import Any

from exchange.hub import marks, register
from exchange.hub.tables import stamp
from exchange.hub.view import Lien, View
from exchange.protocol.agreement import StepIn
from exchange.protocol.errors import Unknown
from exchange.protocol.likeness import Share, compare

LATE_AFTER = 36 * 3600
"""Seconds without a word of the node after which it is late: a day, and half a day for a node that was down."""

KEPT = Fraction(9, 10)
"""The share of the pledged rows that a refresh must keep."""

GRACE = 7
"""Days that a declared refresh may be late."""

MOST = 60
"""Confirmations that are told."""

_DAYS = {"D": 1, "W": 7, "M": 31, "Y": 366}


def watch(view: View, asset: str, *, caller: str, now: int) -> dict[str, Any]:
    """Return state and record of an asset to its owner, to lenders with a live lien or an offer on it, and to regulators.

    ``now`` in seconds since 1970.

    Raises:
        Unknown: for everybody else, and while no fingerprint is on record.
    """
    record, last = view.record(asset), marks.current(view, asset)
    if record is None or last is None or not _may_see(view, asset, owner=record["owner"], caller=caller):
        raise Unknown("asset")
    base = marks.pledged(view, asset)
    kept = None if base is None else compare(base.sketch, last.sketch).of_first
    words = marks.words(view, asset, MOST)
    state, because = _state(record, last, words, kept=kept, now=now)
    return {
        "asset": asset,
        "state": state,
        "because": because,
        "version": last.version,
        "age_days": (_day(now) - date.fromisoformat(last.version)).days,
        "fingerprint": last.id,
        "root": last.root,
        "columns": last.columns,
        "rows": {"least": last.least, "below": last.below},
        "pledged": None if base is None else {"fingerprint": base.id, "version": base.version, "root": base.root},
        "kept": None if kept is None else kept.to_json(),
        "reserves": [one for lien in view.liens(asset) if (one := _reserve(view, lien, words)) is not None],
        "liens": [{"rank": lien.rank, "holder": lien.holder, "since": lien.since} for lien in view.liens(asset)],
        "words": [{"day": word.day, "found": word.found, "at": stamp(word.at)} for word in words],
    }


def _state(
    record: dict[str, Any], last: marks.Mark, words: list[marks.Word], *, kept: Share | None, now: int
) -> tuple[str, str]:
    """Return the state and the reason for it."""
    if record["state"] == "withdrawn":
        return "gone", "the dataset was withdrawn"
    word = next((word for word in words if word.fingerprint == last.id), None)
    if word is not None and word.found == "gone":
        return "gone", f"the node could not read the rows on {word.day}"
    if word is not None and word.found == "changed":
        return "changed", f"on {word.day} the node found other rows than it had declared"
    if kept is not None and (not kept.seen or kept.value < KEPT):
        return "changed", f"the version of {last.version} keeps fewer of the pledged rows than nine in ten"
    heard = max(last.at, last.at if word is None else word.at) // 1_000_000
    if now - heard > LATE_AFTER:
        return "late", f"the node has said nothing since {stamp(heard * 1_000_000)}"
    if record["refreshed"] != last.version:
        return "late", f"the version of {record['refreshed']} has no fingerprint yet"
    due = _due(record)
    if due is not None and _day(now) > due + timedelta(days=GRACE):
        return "late", f"the rows should have been loaded anew by {due}"
    return "confirmed", f"the rows of {last.version} are there, by the node's word of {stamp(heard * 1_000_000)}"


def _reserve(view: View, lien: Lien, words: list[marks.Word]) -> dict[str, Any] | None:
    """Return what a live lien keeps back of the privacy budget, by the node's last word, if its agreement has terms for it.

    ``whole``: all that was agreed. ``drawn``: less, since somebody has stepped in. ``broken``: less although nobody has, none at
    all, or the owner's policy in force does not declare the step-in any more.
    """
    held = register.agreement(view, lien.offer)
    if held is None or held.terms is None:
        return None
    drawn, since = view.rows("SELECT coalesce(sum(charged), 0), max(seq) FROM drawn WHERE pledge = ?", [lien.offer])[0]
    stepped = any(said is not None and said.kind == StepIn.kind for said, _, _, _ in view.steps(lien.offer))
    # a word from before the last answer tells of more than is left
    word = next((one for one in words if one.seq > max(lien.seq, since or 0)), None)
    told = held.reserve - int(drawn) if word is None else word.reserves.get(lien.offer)
    policy = view.policy(lien.asset)
    declared = None if policy is None or policy.pledging is None else policy.pledging.step_in
    if told is None or declared is None or declared.purpose != held.terms.purpose:
        state = "broken"
    elif told >= held.reserve:
        state = "whole"
    else:
        state = "drawn" if stepped else "broken"
    return {
        "pledge": lien.offer,
        "rank": lien.rank,
        "purpose": held.terms.purpose,
        "state": state,
        "agreed": held.reserve,
        "drawn": int(drawn),
        "told": told,
        "on": None if word is None else word.day,
    }


def _due(record: dict[str, Any]) -> date | None:
    """Return when the rows are to be loaded anew, if their owner has declared a period; months count 31 days, years 366."""
    declared = re.fullmatch(r"P(\d+)([DWMY])", record["declared"].get("refresh") or "")
    if declared is None:
        return None
    return date.fromisoformat(record["refreshed"]) + timedelta(days=int(declared[1]) * _DAYS[declared[2]])


def _may_see(view: View, asset: str, *, owner: str, caller: str) -> bool:
    return (
        caller == owner
        or view.role(caller) == "regulator"
        or any(lien.holder == caller for lien in view.liens(asset))
        or marks.has_offered(view, asset, caller)
    )


def _day(now: int) -> date:
    return datetime.fromtimestamp(now, tz=UTC).date()
