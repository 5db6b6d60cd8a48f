"""The two long-running processes: an exchange that serves, a node that calls. Each says on standard output when it is ready.

Signals end both in order. With a lifeline, a process also ends when its standard input closes, so that no child outlives
the program that started it, however that one ends.
"""

import json
import logging
import os
import resource
import signal
import socket
import sys
import threading
import time
from pathlib import Path
from types import FrameType

from exchange.protocol.errors import PeerFault


def serve_exchange(home: Path, *, host: str, port: int, lifeline: bool) -> None:
    """Serve the exchange under ``home`` until a signal comes; port 0 picks a free one."""
    import uvicorn  # noqa: PLC0415

    from api.app import create_app  # noqa: PLC0415
    from exchange.hub.store import Store  # noqa: PLC0415

    _prepare(home, lifeline=lifeline)
    _Ending()  # the server hands the signal on once it has stopped, and the store is closed after that
    # asyncio sends without delay only on a socket that names its protocol: otherwise each answer waits 40 ms for an ACK
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError:
        raise PeerFault(f"port {port} is taken or not yours", fix="choose another port, or 0 for a free one") from None
    store = Store.open(home, clock=microseconds)
    try:
        config = uvicorn.Config(
            create_app(store, seconds=time.time),
            log_config=None,
            access_log=False,
            timeout_graceful_shutdown=1,
            server_header=False,
        )
        listener.listen(128)
        url = f"http://{f'[{host}]' if ':' in host else host}:{listener.getsockname()[1]}"
        _say({"ready": url})
        uvicorn.Server(config).run(sockets=[listener])
    finally:
        store.close()


def run_node(home: Path, *, exchange: str, lifeline: bool) -> None:
    """Run the node under ``home`` until a signal comes."""
    from exchange.line import Line  # noqa: PLC0415
    from exchange.node.agent import Agent  # noqa: PLC0415
    from exchange.node.declared import deliver  # noqa: PLC0415
    from exchange.node.vault import Vault  # noqa: PLC0415

    _prepare(home, lifeline=lifeline)
    ending = _Ending()
    vault = Vault.open(home, clock=microseconds)
    try:
        vault.prepare()
        with Line(exchange, party=vault.party, key=vault.signing) as line:
            agent = Agent(vault, line, seconds=time.time, deliver=lambda: deliver(home, vault, line))
            agent.announce()
            _say({"ready": vault.party})
            agent.run(lambda: ending.asked, rest=time.sleep)
    finally:
        vault.close()


class _Ending:
    """Ends the process in order at the first SIGTERM, wherever its main thread is; a later one changes nothing.

    The handler takes no lock: it runs between any two steps of the main thread, those of an earlier signal's handler
    among them, and would wait for ever for a lock that is held there. ``asked`` is for the case that the exception is
    lost, raised as it may be where Python ignores exceptions.
    """

    def __init__(self) -> None:
        self.asked = False
        signal.signal(signal.SIGTERM, self._end)

    def _end(self, _signal: int, _frame: FrameType | None) -> None:
        if not self.asked:
            self.asked = True
            raise SystemExit(0)


def _prepare(home: Path, *, lifeline: bool) -> None:
    """Keep secrets out of core dumps, log to a file under ``home``, and die with the parent if asked."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    logging.basicConfig(
        filename=home / "process.log", level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s"
    )
    logging.getLogger("httpx2").setLevel(logging.WARNING)
    if lifeline:
        threading.Thread(target=_watch_lifeline, daemon=True).start()


def _watch_lifeline() -> None:
    sys.stdin.buffer.read()
    os.kill(os.getpid(), signal.SIGTERM)


def microseconds() -> int:
    """Tell the time in microseconds since 1970, for journals."""
    return time.time_ns() // 1000


def _say(value: dict[str, str]) -> None:
    sys.stdout.write(json.dumps(value) + "\n")
    sys.stdout.flush()
