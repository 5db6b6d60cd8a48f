"""How often a party may ask: a bucket of requests for each, filled evenly, so that none crowds out the others."""

import math
import threading
from collections.abc import Callable

from exchange.protocol.errors import Throttled

EACH_SECOND = 50.0
"""Requests by which a party's bucket fills each second: many times what a busy node or desk makes."""

BURST = 500.0
"""Requests that a full bucket holds."""

MOST = 10_000
"""Buckets held; beyond that, those that are full again are forgotten, which changes nothing."""


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
