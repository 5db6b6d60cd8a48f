"""What officers have ruled on requests for access, as events of the node's journal and tables of its projection.

Every ruling that an officer of this node has signed is kept with the word that was given on it, whether it counted or not.
"""

import json
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import date
from itertools import groupby
from typing import Any

from exchange.book import Book, Cursor
from exchange.journal import Entry, Event
from exchange.protocol.access import Case, Standing
from exchange.protocol.envelope import Envelope
from exchange.protocol.errors import PeerFault

TABLES = [
    "CREATE TABLE access (id VARCHAR PRIMARY KEY, asker VARCHAR, envelope VARCHAR)",
    "CREATE TABLE ruling (id VARCHAR PRIMARY KEY, request VARCHAR, step INTEGER, counted BOOLEAN, standing VARCHAR, "
    "officer VARCHAR, until VARCHAR, ends VARCHAR, day VARCHAR, word VARCHAR)",
]


def _ruled(cursor: Cursor, entry: Entry) -> None:
    body = entry.body
    request, ruling = (Envelope.from_json(body[name]) for name in ("request", "ruling"))
    row = [request.id, request.signer, json.dumps(body["request"])]
    cursor.execute("INSERT OR IGNORE INTO access VALUES (?, ?, ?)", row)
    word = json.loads(body["word"]["body"])
    until = json.loads(ruling.body)["until"]
    row = [ruling.id, request.id, word["step"], word["counted"], word["standing"], ruling.signer, until, word["until"]]
    cursor.execute(
        "INSERT INTO ruling VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", [*row, body["day"], json.dumps(body["word"])]
    )


APPLY = {"ruled": _ruled}


@dataclass(frozen=True, slots=True)
class Consented:
    """One officer's approval that counted: on which day it was taken, and its last day."""

    officer: str
    day: date
    until: date


class Cases:
    """The requests that officers of one node have ruled on."""

    def __init__(self, book: Book) -> None:
        self._book = book

    def word(self, ruling: str) -> Envelope | None:
        """Return what was said on a ruling, by its id."""
        rows = self._book.read("SELECT word FROM ruling WHERE id = ?", [ruling])
        return Envelope.from_json(json.loads(rows[0]["word"])) if rows else None

    def case(self, request: str, *, closes: date, officers: Collection[str]) -> Case:
        """Return where a request stands, by its id; approvals of those who are no ``officers`` any more do not count."""
        rows = self._counted(request)
        if not rows:
            return Case(closes)
        last = rows[-1]
        return Case(
            closes,
            standing=Standing(last["standing"]),
            approvals={one.officer: one.until for one in _consented(rows) if one.officer in officers},
            until=None if last["ends"] is None else date.fromisoformat(last["ends"]),
            step=last["step"],
        )

    def approved(self, on: date, *, asker: str | None = None) -> Iterator[tuple[Envelope, list[Consented]]]:
        """Yield every request, of one asker or of all, that stands approved on a day, with the approvals that counted."""
        rows = self._book.read(
            "SELECT request, step, standing, officer, until, ends, day, envelope FROM ruling JOIN access "
            "ON access.id = ruling.request WHERE counted AND coalesce(asker = ?, TRUE) AND request IN "
            "(SELECT request FROM ruling WHERE counted AND ends >= ?) ORDER BY request, step",
            [asker, on.isoformat()],
        )
        for _, listed in groupby(rows, key=lambda row: str(row["request"])):
            counted = list(listed)
            if counted[-1]["standing"] == Standing.APPROVED:
                yield Envelope.from_json(json.loads(counted[-1]["envelope"])), _consented(counted)

    def keep(self, *, request: Envelope, ruling: Envelope, word: Envelope, day: date) -> None:
        """Record a ruling with the word on it, before that is sent.

        Raises:
            PeerFault: if the ruling was taken before, or another one since the word was made.
        """
        body = {
            "request": request.to_json(),
            "ruling": ruling.to_json(),
            "word": word.to_json(),
            "day": day.isoformat(),
        }
        told = json.loads(word.body)

        def decide(cursor: Cursor) -> tuple[list[Event], None]:
            counted = cursor.execute(
                "SELECT count(*) FROM ruling WHERE request = ? AND counted", [request.id]
            ).fetchone()
            taken = cursor.execute("SELECT 1 FROM ruling WHERE id = ?", [ruling.id]).fetchone()
            if taken is not None or counted != (told["step"] - told["counted"],):
                raise PeerFault("another ruling was taken meanwhile", fix="judge the ruling again")
            return [("ruled", body)], None

        self._book.write(decide)

    def _counted(self, request: str) -> list[dict[str, Any]]:
        sql = "SELECT step, standing, officer, until, ends, day FROM ruling WHERE request = ? AND counted ORDER BY step"
        return self._book.read(sql, [request])


def _consented(rows: list[dict[str, Any]]) -> list[Consented]:
    """Return the approvals among counted rulings, the last one of each officer."""
    told = {row["officer"]: row for row in rows if row["until"] is not None}
    return [
        Consented(officer, date.fromisoformat(row["day"]), date.fromisoformat(row["until"]))
        for officer, row in told.items()
    ]
