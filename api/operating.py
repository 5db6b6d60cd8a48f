"""The owner's door of an exchange or a node that runs: a socket in its directory, which only the directory's owner can open.

The commands that change a home use it, so that nobody has to be stopped for an invite, a new partner or a stolen key. One
request is one connection: an act's kind and fields as canonical JSON, up to the end of what is sent; then the answer.
"""

import json
import logging
import os
import socket
import socketserver
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Self

from exchange.acts import DOOR, Act
from exchange.line import Unreachable
from exchange.protocol import problems
from privacy import canonical
from privacy.errors import Malformed, PrivacyError

log = logging.getLogger("touchstone.operating")

Perform = Callable[[Any, Any], dict[str, Any]]
"""Does an act by its kind and what is told for it, and returns what its owner is told."""

HEARING = 30.0
"""Seconds that a request may take to arrive."""

PATIENCE = 3_600.0
"""Seconds that an act may take: rows of a large source are read once for a new version."""


class Door:
    """The door of the home that this process holds the lock of; served by threads of its own until :meth:`end`.

    Where there can be no socket the process runs without one, and its commands want it stopped.
    """

    def __init__(self, home: Path, perform: Perform) -> None:
        """Open it."""
        self._home = home
        self._server: _Server | None = None
        try:
            with _reached(home) as path:
                path.unlink(missing_ok=True)  # of a process that was killed: who holds the journal's lock is alone here
                self._server = _Server(path, perform)
        except OSError as error:
            log.warning("commands want this process stopped, since it has no socket: %s", error.strerror or error)
            return
        threading.Thread(target=self._server.serve_forever, daemon=True, name="operator").start()

    def end(self) -> None:
        """Hear nobody any more."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            (self._home / DOOR).unlink(missing_ok=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.end()


def operate(home: Path, act: Act, alone: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """Do one act at a home: by its door if a process runs there, else ``alone`` does it in the files; return what it tells.

    Raises:
        PrivacyError: if it is refused.
        Unreachable: if the process does not answer.
    """
    with _reached(home) as path, socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as wire:
        wire.settimeout(PATIENCE)
        if wire.connect_ex(str(path)) != 0:
            return alone()
        try:
            wire.sendall(canonical.encode({"kind": act.kind, "told": act.model_dump(mode="json")}))
            wire.shutdown(socket.SHUT_WR)
            with wire.makefile("rb") as answer:
                told = json.loads(answer.read())
        except (OSError, ValueError):
            raise Unreachable("the process that runs there does not answer", fix="look into its process.log") from None
    if "problem" in told:
        raise problems.error(told["problem"])
    return dict(told["done"])


class _Server(socketserver.ThreadingUnixStreamServer):
    daemon_threads = True

    def __init__(self, path: Path, perform: Perform) -> None:
        self.perform = perform
        super().__init__(str(path), _Hearing)

    def server_activate(self) -> None:
        Path(str(self.server_address)).chmod(0o600)  # before anybody is listened to
        super().server_activate()


class _Hearing(socketserver.StreamRequestHandler):
    timeout = HEARING
    server: _Server

    def handle(self) -> None:
        with suppress(OSError):  # who asks may go, or never say what is to be done
            said = self.rfile.read(canonical.MAX_BYTES + 1)
            self.wfile.write(json.dumps(self._answer(said)).encode())

    def _answer(self, said: bytes) -> dict[str, Any]:
        try:
            return {"done": self._do(said)}
        except PrivacyError as error:
            return {"problem": problems.document(error)}
        except Exception:
            log.exception("an act failed")
            return {"problem": problems.document(PrivacyError("this was not foreseen", fix="look into process.log"))}

    def _do(self, said: bytes) -> dict[str, Any]:
        match canonical.decode(said):
            case {"kind": kind, "told": told}:
                return self.server.perform(kind, told)
        raise Malformed("this is no act", fix="use the touchstone command")


@contextmanager
def _reached(home: Path) -> Iterator[Path]:
    """Yield a path of the socket that is short enough for one (108 bytes), however deep the home lies."""
    try:
        held = os.open(home, os.O_RDONLY | os.O_DIRECTORY)
    except OSError:
        yield home / DOOR  # there is no such home: who opens it says so
        return
    try:
        short = Path(f"/proc/self/fd/{held}")
        yield (short if short.exists() else home) / DOOR
    finally:
        os.close(held)
