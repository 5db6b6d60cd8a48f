"""Which entries of the log belong to a session: what the exchange promises its asker to keep there."""

from collections.abc import Mapping, Sequence
from typing import Any

from exchange.journal import Entry
from exchange.projection import Rows

TABLE = "CREATE TABLE trace (seq BIGINT PRIMARY KEY, session VARCHAR, kind VARCHAR, party VARCHAR, stage VARCHAR, moment BIGINT)"
PROMISED = "SELECT seq, kind, party, stage, moment FROM trace WHERE session = ? ORDER BY seq"


def _opened(entry: Entry) -> list[Any]:
    return [entry.seq, entry.body["id"], "session", entry.body["asker"], "", entry.at]


def _heard(entry: Entry) -> list[Any]:
    envelope, stage = entry.body["envelope"], entry.body["stage"]
    return [entry.seq, entry.body["session"], envelope["kind"], envelope["signer"], stage, entry.at]


def _folded(entry: Entry) -> list[Any]:
    return [entry.seq, entry.body["session"], "folded", "", "", entry.at]


OPENED, HEARD, FOLDED = (Rows("trace", row, replace=False) for row in (_opened, _heard, _folded))
"""The rows that a session, a message in it and its product are here."""


def promised(rows: Sequence[Sequence[Any]]) -> list[Mapping[str, Any]]:
    """Return what of a session is promised: the question, every answer and the product, in the order of the log."""
    names = ("seq", "kind", "party", "stage", "at")
    found = [dict(zip(names, row, strict=True)) for row in rows]
    return [row for row in found if row["kind"] in ("session", "share", "folded")]
