"""The exchange's store: its journal, the catalogue that ``tables.py`` makes of it, and the one way to write.

Writing happens only in :meth:`Store.write`, in the book's single writer, where a decision sees everything that was decided
before it.
"""

import copy
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from exchange import identity
from exchange.book import Book
from exchange.hub.log import Log
from exchange.hub.search import Search
from exchange.hub.tables import PROJECTION
from exchange.hub.view import View
from exchange.projection import Foreseen
from exchange.protocol.envelope import Envelope
from exchange.protocol.errors import Unknown
from exchange.protocol.tree import Tree

T = TypeVar("T")
Event = tuple[str, Any]


class Heads:
    """The latest place and hash of each node's journal that a poll has shown; safe for any number of threads.

    They are remembered at once and journaled a little later, all in one write: polls are many.
    """

    def __init__(self) -> None:
        self._shown: dict[str, tuple[int, str]] = {}
        self._lock = threading.Lock()

    def latest(self, party: str, noted: tuple[int, str] | None) -> tuple[int, str] | None:
        """Return the later one of what was shown and what is ``noted`` in the journal."""
        shown = self._shown.get(party)
        return noted if shown is None or (noted is not None and noted[0] >= shown[0]) else shown

    def show(self, party: str, *, seq: int, head: str, noted: tuple[int, str] | None) -> tuple[int, str]:
        """Take a head that is later than all before, and return the latest."""
        with self._lock:
            latest = self.latest(party, noted)
            if latest is None or seq > latest[0]:
                latest = self._shown[party] = seq, head
            return latest

    def all(self) -> dict[str, tuple[int, str]]:
        """Return by party what was shown and not dropped yet."""
        with self._lock:
            return dict(self._shown)

    def forget(self, party: str) -> None:
        """Forget what a party has shown: the journal says where it stands."""
        with self._lock:
            self._shown.pop(party, None)

    def drop(self, noted: Mapping[str, tuple[int, str]]) -> None:
        """Forget what is in the journal now."""
        with self._lock:
            for party, head in noted.items():
                if self._shown.get(party) == head:
                    del self._shown[party]


class Store:
    """The exchange's memory: its journal and catalogue, where it lies on disk, its own key, and in ``heads`` what nodes have shown."""

    def __init__(
        self,
        book: Book,
        *,
        home: Path | None = None,
        signing: Ed25519PrivateKey | None = None,
        log: Log | None = None,
    ) -> None:
        self.book = book
        self._log = log
        self.heads = Heads()
        self._listeners: tuple[Callable[[], None], ...] = ()
        self.home = home
        self.signing = signing
        self._search: Search | None = None
        self._changed: list[set[str]] = []  # of one set, once it is read; guarded stores share it
        self._opening = threading.Lock()
        self._check: Callable[[View], None] | None = None

    @classmethod
    def open(cls, home: Path, *, clock: Callable[[], int]) -> "Store":
        """Open or create the exchange's journal, projection and key under ``home``; ``clock`` gives microseconds since 1970."""
        tree = Tree()
        book = Book.open(home, owner="exchange", projection=PROJECTION, clock=clock, onlooker=tree.extend)
        try:
            if not (home / "party").exists():
                identity.make(home, party="exchange", what="exchange")
            _, signing = identity.load(home, what="exchange")
            log = Log.open(home, tree, signing=signing, head=lambda: book.head)
        except BaseException:
            book.close()
            raise
        return cls(book, home=home, signing=signing, log=log)

    def write(
        self,
        decide: Callable[[View], tuple[list[Event], T]],
        foreseen: Sequence[Foreseen] = (),
        *,
        news: Callable[[T], bool] = lambda _: True,
    ) -> T:
        """Run a decision in the single writer; its events are durable when this returns.

        What it will ask by key may be ``foreseen``: then that is asked for all waiting decisions at once. ``news`` says of
        the result whether somebody who waits may have something to do now: then the listeners hear of it.
        """

        def decided(cursor: Any) -> tuple[Sequence[Event], T]:
            view = View(lambda sql, values: cursor.execute(sql, values).fetchall())
            events, result = decide(view)
            if events and self._check is not None:
                self._check(view)
            self._check_signers(view, events)
            return events, result

        result = self.book.write(decided, foreseen)
        if news(result):
            for listener in self._listeners:
                listener()
        return result

    def _check_signers(self, view: View, events: Sequence[Event]) -> None:
        """Let nothing be written that a key signed which its party has given up, even if it was looked at before that.

        Raises:
            Mismatch: if an event's envelope is not signed by its party's present key.
        """
        for kind, body in events:
            if kind in ("rotated", "revoked"):
                # the writer alone decides and reads this; one too many after a failed batch costs a look, no more
                self._changed_parties(view).add(body.get("signer") or body["party"])
                continue
            told = body.get("envelope") or body.get("ask") or body
            if isinstance(told, dict) and "signature" in told and told["signer"] in self._changed_parties(view):
                Envelope.from_json(told).verify(view.signer(told["signer"]))

    def _changed_parties(self, view: View) -> set[str]:
        """Parties whose key was changed or revoked since there is a journal, read once."""
        if not self._changed:
            self._changed.append(view.changed_parties())
        return self._changed[0]

    def guarded(self, check: Callable[[View], None]) -> "Store":
        """Return this store as one that runs ``check`` in the single writer before any event of a decision is taken; it may raise."""
        guarded = copy.copy(self)
        guarded._check = check  # noqa: SLF001  a store of this class
        return guarded

    def check_ready(self) -> None:
        """Return if a write would be taken now; raises what would meet it, see :meth:`exchange.book.Book.check_ready`."""
        self.book.check_ready()

    def listen(self, listener: Callable[[], None]) -> Callable[[], None]:
        """Call ``listener`` after every write that is news, from the thread that wrote; returns the way to stop."""
        self._listeners = (*self._listeners, listener)

        def stop() -> None:
            self._listeners = tuple(kept for kept in self._listeners if kept is not listener)

        return stop

    def view(self) -> View:
        """Return a reading view of what was committed."""
        return View(lambda sql, values: [tuple(row.values()) for row in self.book.read(sql, values)])

    @property
    def log(self) -> Log:
        """The log over the journal, as outsiders see it."""
        if self._log is None:
            raise Unknown("log of a store in memory")
        return self._log

    @property
    def search(self) -> Search:
        """The search file beside the projection, opened and brought up to date at first use."""
        with self._opening:
            if self._search is None:
                if self.home is None:
                    raise Unknown("search file of a store in memory")
                path = self.home / "search.sqlite"
                self._search = Search(path, catalogue=self.view, hash_at=self.book.journal.hash_at)
            return self._search

    def close(self) -> None:
        """Finish what is queued and close the files."""
        if self._search is not None:
            self._search.close()
        if self._log is not None:
            self._log.keep()
        self.book.close()
