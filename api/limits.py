"""How often anybody may ask: a bucket of requests for each party, and one of failures for each address that proves no name."""

import ipaddress
import math
import threading
from collections.abc import Callable
from dataclasses import dataclass

from exchange.protocol.errors import Throttled

EACH_SECOND = 50.0
"""Requests by which a party's bucket fills each second: many times what a busy node or desk makes."""

BURST = 500.0
"""Requests that a full bucket holds."""

MOST = 10_000
"""Buckets held; beyond that, those that are full again are forgotten, which changes nothing."""

FAILURES_EACH_SECOND = 10.0
"""Failures to prove a name by which an address's bucket fills each second."""

FAILURES = 200.0
"""Failures that the full bucket of an address holds."""

MOST_ADDRESSES = 10_000
"""Addresses remembered, and no more; all beyond share one bucket."""

KNOWN = 3_600.0
"""Seconds for which an address is trusted to try, after a party has proved its name from it."""

_TIDY = 1.0
"""Seconds between two looks for addresses to forget: looking costs more than answering a stranger does."""

_REST = "others"


class Limits:
    """The buckets of all parties, or of all addresses; ``seconds`` tells the time. Safe for any number of threads."""

    def __init__(self, seconds: Callable[[], float], *, each_second: float = EACH_SECOND, burst: float = BURST) -> None:
        self._seconds = seconds
        self._each_second = each_second
        self._burst = burst
        self._held: dict[str, tuple[float, float]] = {}
        self._lock = threading.Lock()

    def take(self, party: str) -> None:
        """Count one request of a party.

        Raises:
            Throttled: if its bucket is empty; nothing is counted then.
        """
        now = self._seconds()
        with self._lock:
            left = self._left(party, now)
            if left < 1:
                raise Throttled(math.ceil((1 - left) / self._each_second))
            if len(self._held) >= MOST and party not in self._held:
                self._held = {name: held for name, held in self._held.items() if self._left(name, now) < self._burst}
            self._held[party] = left - 1, now

    def _left(self, party: str, now: float) -> float:
        left, since = self._held.get(party, (self._burst, now))
        return min(self._burst, left + max(0.0, now - since) * self._each_second)


@dataclass(frozen=True, slots=True)
class _Seen:
    """Of an address: failures ``left`` at the time ``at``, and until when it is ``known`` (0 if it never proved a name)."""

    left: float
    at: float
    known: float = 0.0

    def now(self, now: float) -> "_Seen":
        filled = self.left + max(0.0, now - self.at) * FAILURES_EACH_SECOND
        return _Seen(min(FAILURES, filled), now, self.known)


class Strangers:
    """What addresses failed to prove, in bounded memory; ``seconds`` tells the time. Safe for any number of threads.

    An address whose bucket is empty is turned away before any signature is checked, unless a party has proved its name from
    it lately: so nobody is shut out by who shares an address, as behind a proxy.
    """

    def __init__(self, seconds: Callable[[], float]) -> None:
        self._seconds = seconds
        self._seen: dict[str, _Seen] = {}
        self._tidied = 0.0
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._seen)

    def check(self, address: str) -> None:
        """Let an address try to prove a name.

        Raises:
            Throttled: if it has failed too often.
        """
        now = self._seconds()
        with self._lock:
            seen = self._of(self._place(address, now), now)
            if seen.left < 1 and seen.known <= now:
                raise Throttled(math.ceil((1 - seen.left) / FAILURES_EACH_SECOND))

    def failed(self, address: str) -> None:
        """Count one failure of an address."""
        now = self._seconds()
        with self._lock:
            place = self._place(address, now)
            seen = self._of(place, now)
            self._seen[place] = _Seen(max(0.0, seen.left - 1), now, seen.known)

    def proved(self, address: str) -> None:
        """Remember that a party has proved its name from an address."""
        now = self._seconds()
        with self._lock:
            place = self._place(address, now)
            if place != _REST:  # what is vouched for is an address, never all the others
                self._seen[place] = _Seen(self._of(place, now).left, now, now + KNOWN)

    def _of(self, place: str, now: float) -> _Seen:
        return self._seen.get(place, _Seen(FAILURES, now)).now(now)

    def _place(self, address: str, now: float) -> str:
        """Return the name that an address is remembered by: its own, if there is room."""
        place = network(address)
        if place in self._seen or len(self._seen) < MOST_ADDRESSES - 1:
            return place
        if abs(now - self._tidied) >= _TIDY:
            self._tidied = now
            self._seen = {
                name: seen for name, seen in self._seen.items() if seen.known > now or seen.now(now).left < FAILURES
            }
        return place if len(self._seen) < MOST_ADDRESSES - 1 else _REST


def network(address: str) -> str:
    """Return who an address stands for: of IPv6, the network of 64 bits that one subscriber is given."""
    try:
        read = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return _REST
    if isinstance(read, ipaddress.IPv4Address):
        return str(read)
    if read.ipv4_mapped is not None:
        return str(read.ipv4_mapped)
    return str(ipaddress.ip_network((read, 64), strict=False).network_address)
