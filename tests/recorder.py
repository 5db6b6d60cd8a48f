"""A TCP relay that keeps every byte that crosses it, both ways: what an eavesdropper or the exchange itself would have."""

import socket
import threading
from urllib.parse import urlsplit


class Recorder:
    """Relays connections on a free loopback port to ``target`` and records them."""

    def __init__(self, target: str) -> None:
        split = urlsplit(target)
        self._target = (split.hostname or "127.0.0.1", split.port or 80)
        self._chunks: list[bytes] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._open: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def bytes(self) -> bytes:
        """Everything recorded so far."""
        return b"".join(self._chunks)

    def close(self) -> None:
        """Stop accepting and cut every connection."""
        self._listener.close()
        for one in self._open:
            one.close()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            far = socket.create_connection(self._target)
            self._open += [near, far]
            for source, sink in ((near, far), (far, near)):
                threading.Thread(target=self._relay, args=(source, sink), daemon=True).start()

    def _relay(self, source: socket.socket, sink: socket.socket) -> None:
        try:
            while chunk := source.recv(1 << 16):
                self._chunks.append(chunk)
                sink.sendall(chunk)
            sink.shutdown(socket.SHUT_WR)
        except OSError:
            return
