"""The keys that a node pins, as events of its journal: as told out of band, then as their owners changed them.

A change is followed if the pinned key signed it. What is on record here stays readable under the keys of its time; what comes
in is read under the present ones alone.
"""

import json
import logging
from collections.abc import Mapping, Sequence

from exchange.book import Book, Cursor
from exchange.journal import Entry
from exchange.pins import Change
from exchange.protocol.envelope import Envelope
from exchange.protocol.messages import unverified
from exchange.protocol.rotation import Rotation, chain, signed_by
from privacy.errors import PrivacyError

_log = logging.getLogger(__name__)

TABLES = [
    "CREATE TABLE pinned (party VARCHAR PRIMARY KEY, key VARCHAR, role VARCHAR)",
    "CREATE TABLE past (key VARCHAR PRIMARY KEY, party VARCHAR, seq BIGINT)",
]


def _pinned(cursor: Cursor, entry: Entry) -> None:
    row = [entry.body["party"], entry.body["key"], entry.body["role"]]
    before = "INSERT OR REPLACE INTO past SELECT key, party, ? FROM pinned WHERE party = ? AND key <> ?"
    cursor.execute(before, [entry.seq, *row[:2]])
    cursor.execute("INSERT OR REPLACE INTO pinned VALUES (?, ?, ?)", row)


def _dismissed(cursor: Cursor, entry: Entry) -> None:
    cursor.execute("DELETE FROM pinned WHERE party = ?", [entry.body["party"]])


def _followed(cursor: Cursor, entry: Entry) -> None:
    party, told = entry.body["signer"], json.loads(entry.body["body"])
    cursor.execute("UPDATE pinned SET key = ? WHERE party = ?", [told["key"], party])
    cursor.execute("INSERT OR REPLACE INTO past VALUES (?, ?, ?)", [told["old"], party, entry.seq])


APPLY = {"pinned": _pinned, "dismissed": _dismissed, "followed": _followed}


def follow(book: Book, changes: Sequence[Change]) -> None:
    """Follow the changes that pinned keys have signed; of any other nothing is taken, and the log says so.

    ``changes`` are all that the exchange has, so that none in between is missed.
    """
    for row in book.read("SELECT party, key FROM pinned ORDER BY party"):
        party, key = str(row["party"]), bytes.fromhex(row["key"])
        try:
            followed = chain(party, held=key, changes=[envelope for _, envelope in changes])
        except PrivacyError as error:
            _log.error("a changed key was refused: %s; %s", error.reason, error.fix)
            continue
        if followed:
            last = unverified(followed[-1], Rotation).key
            if book.read("SELECT 1 FROM pinned WHERE key = ? AND party <> ?", [last, party]):
                _log.error("a changed key was refused: the new key of %s is pinned for another party", party)
                continue
            _record(book, followed)
            _log.warning("%s has changed its key, signed by the one before", party)


def _record(book: Book, followed: Sequence[Envelope]) -> None:
    events = [("followed", envelope.to_json()) for envelope in followed]
    book.write(lambda _: (events, None))


def signed(book: Book, envelope: Envelope) -> Mapping[str, bytes]:
    """Return the key under which an envelope that is on record here holds: its signer's at the time."""
    party = [envelope.signer]
    present = book.read("SELECT key FROM pinned WHERE party = ?", party)
    past = book.read("SELECT key FROM past WHERE party = ? ORDER BY seq DESC", party)
    return signed_by(envelope, [bytes.fromhex(row["key"]) for row in (*present, *past)])
