"""Who may hold connections to the exchange, how many, and how long one may keep the exchange waiting.

The server below bounds how long a connection stays open after an answer, and nothing before it: somebody who connects and
says nothing, says it bit by bit, or asks and never reads, would keep a place for ever, without a key or a name.
"""

import asyncio
import logging
import resource
import socket
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from api.limits import network

log = logging.getLogger("touchstone.connections")

HEAD = 10.0
"""Seconds within which a request's first line and headers must be there: of the connection, or of the first byte of a later one."""

BODY = 60.0
"""Seconds within which a request's body must be there; the interface itself waits for half as long, and answers then."""

READING = 30.0
"""Seconds for which an answer may wait for its reader to take more of it."""

EACH = 256
"""Connections that one address may hold (of IPv6, one network of 64 bits); who calls on the machine itself may hold more."""

FILES = 8_192
"""Open files to ask the system for; some are the exchange's own, all others may be connections."""

OWN = 256
"""Open files that the exchange needs beside connections: its journal, its catalogue's threads, its console."""

_QUIET = 60.0
"""Seconds between two lines in the log about connections that were refused: a flood writes no log."""


def room() -> int:
    """Have the system allow as many open files as are wanted, and return how many connections that leaves."""
    allowed, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = max(allowed, min(FILES, most))
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, most))
    return max(OWN, min(FILES, wanted) - OWN)


class Listener(socket.socket):
    """A listening socket that closes what is too many: ``most`` connections at once, and :data:`EACH` for one address.

    It counts what is open from the moment on that the system has it, so that a handshake that never ends counts, too. For one
    thread.
    """

    def __init__(self, family: int, *, most: int, clock: Callable[[], float] = time.monotonic) -> None:
        # asyncio sends without delay only on a socket that names its protocol: otherwise each answer waits 40 ms for an ACK
        super().__init__(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        self.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._most = most
        self._clock = clock
        self._held: Counter[str] = Counter()
        self._refused = 0
        self._told = -_QUIET

    def accept(self) -> "tuple[socket.socket, Any]":
        """Return the next connection and where it comes from.

        Raises:
            ConnectionAbortedError: if it was one too many; it is closed.
        """
        accepted, peer = super().accept()
        try:
            here = accepted.getsockname()[0] == peer[0]
        except OSError:
            accepted.close()
            raise ConnectionAbortedError from None
        place = network(peer[0])
        if self._held.total() >= self._most or (not here and self._held[place] >= EACH):
            accepted.close()
            self._refuse(place)
            raise ConnectionAbortedError
        self._held[place] += 1
        return _Held(accepted, lambda: self._release(place)), peer

    def _release(self, place: str) -> None:
        self._held[place] -= 1
        if not self._held[place]:
            del self._held[place]

    def _refuse(self, place: str) -> None:
        self._refused += 1
        now = self._clock()
        if now - self._told >= _QUIET:
            open_now, own = self._held.total(), self._held[place]
            log.warning(
                "%d connections were refused, the last one from %s; %d are open, %d of them from there",
                self._refused, place, open_now, own,
            )  # fmt: skip
            self._refused, self._told = 0, now


class _Held(socket.socket):
    """A connection that says once when it is closed."""

    def __init__(self, accepted: socket.socket, closed: Callable[[], None]) -> None:
        super().__init__(accepted.family, accepted.type, accepted.proto, fileno=accepted.detach())
        self._closed_once: Callable[[], None] | None = closed

    def close(self) -> None:
        super().close()
        told, self._closed_once = self._closed_once, None
        if told is not None:
            told()


class Connection(H11Protocol):
    """A connection that is closed when it keeps the exchange waiting: for a request's head, for its body, or for a reader."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin, and wait for a request."""
        super().connection_made(transport)
        self._head = _Deadline(HEAD, self.loop, transport.abort)
        self._body = _Deadline(BODY, self.loop, transport.abort)
        self._reader = _Deadline(READING, self.loop, transport.abort)
        self._head.set()

    def data_received(self, data: bytes) -> None:
        """Take what came; a request that has begun must be whole in time."""
        super().data_received(data)
        for deadline, state in ((self._head, h11.IDLE), (self._body, h11.SEND_BODY)):
            if self.conn.their_state is state:
                deadline.set()
            else:
                deadline.lift()

    def pause_writing(self) -> None:
        """Wait for the reader, not for ever."""
        super().pause_writing()
        self._reader.set()

    def resume_writing(self) -> None:
        """Go on: the reader has taken what there was."""
        super().resume_writing()
        self._reader.lift()

    def connection_lost(self, exc: Exception | None) -> None:
        """End."""
        for deadline in (self._head, self._body, self._reader):
            deadline.lift()
        super().connection_lost(exc)


class _Deadline:
    """Calls something once time is up, unless it is lifted before."""

    def __init__(self, seconds: float, loop: asyncio.AbstractEventLoop, then: Callable[[], None]) -> None:
        self._seconds = seconds
        self._loop = loop
        self._then = then
        self._timer: asyncio.TimerHandle | None = None

    def set(self) -> None:
        """Let time run, if it does not yet."""
        if self._timer is None:
            self._timer = self._loop.call_later(self._seconds, self._then)

    def lift(self) -> None:
        """Let no time run."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
