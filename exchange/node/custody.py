"""Fingerprints and words on them as the node keeps them, as events of its journal, and the key that institutions share for them."""

import json
import secrets
from datetime import date
from pathlib import Path

from exchange import identity
from exchange.book import Book, Cursor
from exchange.journal import Entry
from exchange.node.fingerprint import KEY_BYTES, read_key
from exchange.protocol.envelope import Envelope
from exchange.protocol.errors import PeerFault
from privacy.errors import Malformed

KEY_FILE = "collateral.key"

TABLES = [
    "CREATE TABLE fingerprint (dataset VARCHAR PRIMARY KEY, version VARCHAR, columns_digest VARCHAR, id VARCHAR, "
    "envelope VARCHAR)",
    "CREATE TABLE confirmation (dataset VARCHAR PRIMARY KEY, day VARCHAR, found VARCHAR, envelope VARCHAR)",
]


def _fingerprinted(cursor: Cursor, entry: Entry) -> None:
    envelope = Envelope.from_json(entry.body["envelope"])
    told = json.loads(envelope.body)
    row = [told["dataset"], told["version"], told["columns_digest"], envelope.id, json.dumps(entry.body["envelope"])]
    cursor.execute("INSERT OR REPLACE INTO fingerprint VALUES (?, ?, ?, ?, ?)", row)
    # who makes a fingerprint has seen the rows: that day needs no other word
    row = [told["dataset"], entry.body["day"], "confirmed", None]
    cursor.execute("INSERT OR REPLACE INTO confirmation VALUES (?, ?, ?, ?)", row)


def _confirmed(cursor: Cursor, entry: Entry) -> None:
    told = json.loads(Envelope.from_json(entry.body).body)
    row = [told["dataset"], told["day"], told["found"], json.dumps(entry.body)]
    cursor.execute("INSERT OR REPLACE INTO confirmation VALUES (?, ?, ?, ?)", row)


APPLY = {"fingerprinted": _fingerprinted, "confirmed": _confirmed}


class Kept:
    """The fingerprints that one node has made and its last words on them."""

    def __init__(self, book: Book) -> None:
        self._book = book

    def fingerprint(self, dataset: str) -> Envelope | None:
        """Return the fingerprint that was made last, signed."""
        rows = self._book.read("SELECT envelope FROM fingerprint WHERE dataset = ?", [dataset])
        return Envelope.from_json(json.loads(rows[0]["envelope"])) if rows else None

    def word(self, dataset: str) -> tuple[str, str, Envelope | None] | None:
        """Return day and outcome of the last word, and the word itself where it was not a fingerprint."""
        rows = self._book.read("SELECT day, found, envelope FROM confirmation WHERE dataset = ?", [dataset])
        if not rows:
            return None
        told = rows[0]["envelope"]
        return rows[0]["day"], rows[0]["found"], None if told is None else Envelope.from_json(json.loads(told))

    def keep_fingerprint(self, envelope: Envelope, *, day: date) -> None:
        """Record a fingerprint, made on a day, before it is sent."""
        body = {"envelope": envelope.to_json(), "day": day.isoformat()}
        self._book.write(lambda _: ([("fingerprinted", body)], None))

    def keep_word(self, envelope: Envelope) -> None:
        """Record a word before it is sent."""
        self._book.write(lambda _: ([("confirmed", envelope.to_json())], None))


def make_key(home: Path) -> Path:
    """Make the key that institutions share, if this node has none, and return its file (mode 0600), to be handed to the others.

    Raises:
        Unknown: if there is no node under ``home``.
    """
    identity.load(home, what="node")
    path = home / KEY_FILE
    if not path.exists():
        identity.write_key(path, secrets.token_bytes(KEY_BYTES).hex())
    return path


def hand_over(home: Path, to: Path) -> None:
    """Write the shared key in the open to a file of mode 0600, for another institution: a protected home's own is sealed.

    Raises:
        PeerFault: if there is a file at ``to``. OSError: if it cannot be written.
    """
    if to.exists():
        raise PeerFault("there is a file of that name already", fix="choose another name")
    identity.write_secret(to, identity.read_key(make_key(home)))


def take_key(home: Path, file: Path) -> None:
    """Take over the key that another institution's node made.

    Raises:
        Unknown: if there is no node under ``home``.
        Malformed: if the file holds no key.
        PeerFault: if this node has another key: what it has published could not be compared any more.
    """
    identity.load(home, what="node")
    try:
        key = read_key(file.read_text("ascii"))
    except (OSError, ValueError):
        raise Malformed("the key's file cannot be read", fix="check the path") from None
    path = home / KEY_FILE
    if held_key(home) not in (None, key):
        raise PeerFault("this node has another key for fingerprints", fix="agree on one with the other institutions")
    identity.write_key(path, key.hex())


def held_key(home: Path) -> bytes | None:
    """Return the node's key for fingerprints, if it has one.

    Raises:
        Malformed: if its file holds something else.
    """
    path = home / KEY_FILE
    try:
        return read_key(identity.read_key(path)) if path.is_file() else None
    except (OSError, ValueError):
        raise Malformed("the key for fingerprints cannot be read", fix="put it back from a backup") from None
