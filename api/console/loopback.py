"""Where a console beside a key or a ledger listens: on this machine alone, under two names."""

import socket

import uvicorn
from starlette.types import ASGIApp

from exchange.protocol.errors import PeerFault


class Loopback:
    """A port of loopback that is taken, not yet listened on; ``hosts`` are the names under which it may be called."""

    def __init__(self, port: int) -> None:
        """Take a port; 0 picks a free one.

        Raises:
            PeerFault: if the port is taken.
        """
        self.listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            self.listener.bind(("127.0.0.1", port))
        except OSError:
            self.listener.close()
            raise PeerFault(
                f"port {port} is taken or not yours", fix="choose another port, or 0 for a free one"
            ) from None
        bound = self.listener.getsockname()[1]
        self.url = f"http://127.0.0.1:{bound}"
        self.hosts = frozenset({f"127.0.0.1:{bound}", f"localhost:{bound}"})

    def server(self, app: ASGIApp) -> uvicorn.Server:
        """Listen, and return the server that answers once it is run with the listener."""
        self.listener.listen(64)
        config = uvicorn.Config(
            app, log_config=None, access_log=False, timeout_graceful_shutdown=1, server_header=False
        )
        return uvicorn.Server(config)
