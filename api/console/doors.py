"""Who comes in: one-time links, sessions in a cookie that no script reads, and forms that come from our own pages only."""

import hashlib
import secrets
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from api.console.places import Place
from exchange.protocol.errors import Denied, Forbidden, Throttled

COOKIE = "touchstone-console"
LINK_SECONDS = 600
"""A link opens once, within ten minutes."""

IDLE_SECONDS = 3600
LONGEST_SECONDS = 12 * 3600
"""A session ends after an hour without a request, and after twelve hours in any case."""

_MOST = 1_000
_OF_ONE = 20
"""Links, and sessions, that one party may have open here: so no party takes the room of others."""


@dataclass(slots=True)
class _Session:
    place: Place
    started: float
    seen: float


class Doors:
    """The links and sessions of one console; both are kept as hashes, in memory: a restart ends them all.

    ``seconds`` tells the time.
    """

    def __init__(self, seconds: Callable[[], float]) -> None:
        self._seconds = seconds
        self._lock = threading.Lock()
        self._links: dict[str, tuple[Place, float]] = {}
        self._sessions: dict[str, _Session] = {}

    def link(self, place: Place) -> str:
        """Return a secret that opens one session at a place; a party that has too many open loses its oldest.

        Raises:
            Throttled: if all parties together have too many open.
        """
        secret, now = secrets.token_urlsafe(32), self._seconds()
        with self._lock:
            self._links = {name: held for name, held in self._links.items() if held[1] > now}
            own = [name for name, (other, _) in self._links.items() if other.party == place.party]
            _make_room(self._links, own)
            if len(self._links) >= _MOST:
                raise Throttled(seconds=LINK_SECONDS)
            self._links[_named(secret)] = (place, now + LINK_SECONDS)
        return secret

    def enter(self, secret: str) -> str:
        """Open a session with a link's secret, which is used up, and return the value of its cookie.

        A party that has too many open loses the one that it has left unused the longest.

        Raises:
            Denied: if the link was used, has expired or never was.
            Throttled: if all parties together have too many open.
        """
        now = self._seconds()
        with self._lock:
            place, until = self._links.pop(_named(secret), (None, 0.0))
            if place is None or until <= now:
                raise Denied("the link was used or has expired", fix="ask for a new one where this one came from")
            value = secrets.token_urlsafe(32)
            self._sessions = {name: held for name, held in self._sessions.items() if _is_live(held, now)}
            own = [name for name, held in self._sessions.items() if held.place.party == place.party]
            _make_room(self._sessions, sorted(own, key=lambda name: self._sessions[name].seen))
            if len(self._sessions) >= _MOST:
                raise Throttled(seconds=60)
            self._sessions[_named(value)] = _Session(place, now, now)
        return value

    def place(self, cookie: str | None) -> Place:
        """Return the place of a session.

        Raises:
            Denied: if there is no live session of this cookie.
        """
        now = self._seconds()
        with self._lock:
            held = self._sessions.get(_named(cookie)) if cookie else None
            if held is None or not _is_live(held, now):
                raise Denied("you are not signed in here, or the session has ended", fix="open a new link")
            held.seen = now
            return held.place

    def others(self, cookie: str | None) -> int:
        """Return how many other sessions are open here of the party that a cookie's session is of."""
        now = self._seconds()
        with self._lock:
            own = self._sessions.get(_named(cookie)) if cookie else None
            if own is None:
                return 0
            parties = [held.place.party for held in self._sessions.values() if held is not own and _is_live(held, now)]
        return parties.count(own.place.party)

    def leave(self, cookie: str | None, *, everywhere: bool = False) -> None:
        """End a session; ``everywhere`` all of its party here, and the links that it has not used yet."""
        with self._lock:
            ended = self._sessions.pop(_named(cookie), None) if cookie else None
            if ended is None or not everywhere:
                return
            party = ended.place.party
            self._sessions = {name: held for name, held in self._sessions.items() if held.place.party != party}
            self._links = {name: held for name, held in self._links.items() if held[0].party != party}


def check_origin(*, host: str, scheme: str, origin: str | None, site: str | None) -> None:
    """Let a form in that one of our own pages sent (OWASP: verifying the origin with standard headers).

    Raises:
        Forbidden: if a page of another origin did, or nothing tells which.
    """
    ours = site == "same-origin" if origin is None else origin == f"{scheme}://{host}"
    if not ours:
        raise Forbidden("the form was sent from another page", fix="use the form on the console's own page")


def _named(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


def _make_room(held: dict[str, Any], own: list[str]) -> None:
    """Let go of what a party has too many of when one more comes; ``own`` names them, first those to go first."""
    for name in own[: max(0, len(own) + 1 - _OF_ONE)]:
        del held[name]


def _is_live(session: _Session, now: float) -> bool:
    return now - session.seen < IDLE_SECONDS and now - session.started < LONGEST_SECONDS
