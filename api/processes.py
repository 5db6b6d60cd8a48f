"""The two long-running processes: an exchange that serves, a node that calls. Each says on standard output when it is ready.

Signals end both in order. With a lifeline, a process also ends when its standard input closes, so that no child outlives
the program that started it, however that one ends.
"""

import ctypes
import json
import logging
import os
import resource
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

from exchange.protocol.errors import PeerFault
from privacy.errors import PrivacyError

if TYPE_CHECKING:
    from api.console.node.app import Served
    from api.operating import Door
    from exchange.node.agent import Agent
    from exchange.node.vault import Vault

GRACE = 5.0
"""Seconds that a node's task may go on after the signal; one that takes longer ends as in a crash, which loses nothing."""

_PR_SET_DUMPABLE = 4  # of linux/prctl.h: no other process of this user may read the memory or have it dumped
_SIGNALS = {signal.SIGTERM, signal.SIGINT}


def serve_exchange(home: Path, *, host: str, port: int, lifeline: bool, tls: "tuple[Path, Path] | None" = None) -> None:
    """Serve the exchange under ``home`` until a signal comes; port 0 picks a free one.

    By TLS with the certificate and key of the files ``tls``, or with those that the exchange made for itself, if it did.
    """
    import uvicorn  # noqa: PLC0415

    from api import admission  # noqa: PLC0415
    from api.app import create_app  # noqa: PLC0415
    from api.commands import certificates  # noqa: PLC0415
    from api.operating import Door  # noqa: PLC0415
    from exchange import acts  # noqa: PLC0415
    from exchange.hub import office  # noqa: PLC0415
    from exchange.hub.store import Store  # noqa: PLC0415

    prepare(home, lifeline=lifeline)
    _Ending()  # the server hands the signal on once it has stopped, and the store is closed after that
    listener = admission.Listener(socket.AF_INET6 if ":" in host else socket.AF_INET, most=admission.room())
    try:
        listener.bind((host, port))
    except OSError:
        raise PeerFault(f"port {port} is taken or not yours", fix="choose another port, or 0 for a free one") from None
    context = certificates.context(home, tls)
    store = Store.open(home, clock=microseconds)
    try:
        config = uvicorn.Config(
            create_app(store, seconds=time.time),
            log_config=None,
            access_log=False,
            timeout_graceful_shutdown=1,
            server_header=False,
            http=admission.Connection,
            ssl_context_factory=None if context is None else lambda _config, _default: context,
        )
        listener.listen(128)
        scheme = "http" if context is None else "https"
        url = f"{scheme}://{f'[{host}]' if ':' in host else host}:{listener.getsockname()[1]}"
        with Door(home, lambda kind, told: acts.read(office.ACTS, kind, told).perform(store)):
            _say({"ready": url})
            uvicorn.Server(config).run(sockets=[listener])
    finally:
        store.close()


def run_node(home: Path, *, exchange: str, lifeline: bool, console: int | None = None) -> None:
    """Run the node under ``home`` until a signal comes; what it is doing then is finished first, for some seconds at most.

    With a port, its console is served on loopback beside it (0 picks a free one), and the link that opens it is told next.
    """
    # Waited for here and held back from every thread that starts below: an exception raised by a handler, anywhere in the
    # work, could leave a lock taken that closing needs.
    signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
    prepare(home, lifeline=lifeline)
    node = _Node(home, exchange, console)
    node.start()
    signal.sigwait(_SIGNALS)
    node.end()


class _Node(threading.Thread):
    """A node at work in a thread of its own, which may be left waiting for the exchange when the process ends."""

    def __init__(self, home: Path, exchange: str, console: int | None) -> None:
        super().__init__(daemon=True)
        self._home = home
        self._exchange = exchange
        self._port = console
        self._console: Served | None = None
        self._door: Door | None = None
        self._ending = threading.Event()
        self._working = threading.Lock()
        self._vault: Vault | None = None
        self._failure: BaseException | None = None

    def run(self) -> None:
        """Work until told to end; what goes wrong is kept for :meth:`end`, and ends the process."""
        try:
            self._serve()
        except BaseException as error:  # noqa: BLE001  it is raised again where the process ends
            self._failure = error
        os.kill(os.getpid(), signal.SIGTERM)

    def end(self) -> None:
        """Let a task that is under way finish, then close the files.

        Raises:
            PrivacyError: what the work failed with.
        """
        self._ending.set()
        self._working.acquire(timeout=GRACE)  # and never let go: no other task begins
        for listening in (self._console, self._door):
            if listening is not None:
                listening.end()
        if self._vault is not None:
            self._vault.close()
        if self._failure is not None:
            raise self._failure

    def _serve(self) -> None:
        from api.operating import Door  # noqa: PLC0415
        from exchange import address  # noqa: PLC0415
        from exchange.node.agent import Agent  # noqa: PLC0415
        from exchange.node.declared import deliver  # noqa: PLC0415
        from exchange.node.vault import Vault  # noqa: PLC0415
        from exchange.witness import Witness  # noqa: PLC0415

        vault = self._vault = Vault.open(self._home, clock=microseconds)
        vault.prepare()
        with address.line(self._home, self._exchange, party=vault.party, key=vault.signing) as line:
            take = partial(deliver, self._home, vault, line)  # by this thread alone: it moves files
            agent = Agent(vault, line, seconds=time.time, deliver=take, witness=Witness(self._home))
            take()
            agent.announce()
            announce = partial(self._announce, agent)
            self._door = Door(self._home, partial(self._perform, vault, announce))
            _say({"ready": vault.party})
            if self._port is not None:
                from api.console.node.app import Served  # noqa: PLC0415

                self._console = Served(
                    self._home,
                    vault,
                    exchange=self._exchange,
                    port=self._port,
                    working=self._working,
                    announce=announce,
                )
                _say({"console": self._console.link()})
            agent.run(self._ending, working=self._working)

    def _perform(self, vault: "Vault", announce: "Callable[[], str | None]", kind: Any, told: Any) -> dict[str, Any]:
        """Do an act of the owner's between two tasks, and tell the exchange of what is in force then."""
        from exchange import acts  # noqa: PLC0415
        from exchange.node import office  # noqa: PLC0415

        act = acts.read(office.ACTS, kind, told)
        with self._working:
            done = act.perform(vault)
        return done | {"untold": announce()} if act.announces else done

    def _announce(self, agent: "Agent") -> str | None:
        """Tell the exchange of what is in force here, if it can be reached now; else return why not and what to do."""
        from exchange import address  # noqa: PLC0415
        from exchange.line import GREETING, greet  # noqa: PLC0415

        try:
            greet(self._exchange, within=GREETING, pin=address.pin(self._home))
            agent.announce()
        except PrivacyError as error:
            return f"{error.reason}; {error.fix}"
        return None


class _Ending:
    """Ends the process in order at the first SIGTERM that the server hands on; a later one changes nothing."""

    def __init__(self) -> None:
        self._asked = False
        signal.signal(signal.SIGTERM, self._end)

    def _end(self, _signal: int, _frame: FrameType | None) -> None:
        if not self._asked:
            self._asked = True
            raise SystemExit(0)


def prepare(home: Path, *, lifeline: bool) -> None:
    """Keep secrets out of core dumps and from debuggers, log to a file under ``home``, and die with the parent if asked."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with suppress(OSError, AttributeError):  # not every system has the call, and the limit above holds there
        ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
    logging.basicConfig(
        filename=home / "process.log", level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s"
    )
    logging.getLogger("httpx2").setLevel(logging.WARNING)
    if lifeline:
        threading.Thread(target=_watch_lifeline, daemon=True).start()


def _watch_lifeline() -> None:
    # not by way of sys.stdin: an interpreter that ends while a thread waits in there aborts
    while os.read(0, 4096):
        pass
    os.kill(os.getpid(), signal.SIGTERM)


def microseconds() -> int:
    """Tell the time in microseconds since 1970, for journals."""
    return time.time_ns() // 1000


def _say(value: dict[str, str]) -> None:
    sys.stdout.write(json.dumps(value) + "\n")
    sys.stdout.flush()
