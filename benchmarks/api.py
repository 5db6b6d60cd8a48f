"""What the exchange's interface takes: signed reads and writes beside an unsigned hello world, and one client in a flood.

Run with ``python -m benchmarks.api [--requests N] [--connections N] [--seconds S] [--tenants N] [--entries N]``; the last line is
one JSON object. Exchange and hello world are processes of their own, served alike; requests are made and signed beforehand, so
that the client, which shares the machine, costs little. ``cpu_ms`` is the server's processor time for each request: the figure
that other work on the machine changes least. ``slower`` is how many times as long a signed request takes as an unsigned hello
world, by that figure and by requests a second.

In the flood each hostile tenant sends as fast as it is answered: requests of its own until its bucket is empty, then the same
again, which are replays. An honest client asks at a steady pace meanwhile; ``failed`` counts its requests that were not answered
with what it asked for. ``journal`` and ``proofs`` are those of ``benchmarks.journal``.
"""

import argparse
import json
import secrets
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from api.demo.town import Town
from benchmarks.end_to_end import processor_seconds
from benchmarks.journal import appends, percentile, prove
from exchange.hub import catalog
from exchange.hub.store import Store
from exchange.protocol import version
from exchange.protocol.messages import Registration
from exchange.protocol.request import token
from exchange.standards import shipped
from privacy import canonical
from privacy.terms import Standard

BUCKET = 400
"""Requests of one party at once: fewer than the exchange allows."""

PACE = 20.0
"""Requests of the honest client each second."""

READ = "/v1/datasets/bank-0/accounts"


def clock() -> int:
    return time.time_ns() // 1000


@dataclass
class Load:
    """What some connections saw: seconds of each answer, and statuses."""

    times: list[float] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)
    took: float = 0.0


class Wire:
    """One kept connection that sends requests as they are and reads each answer whole."""

    def __init__(self, url: str) -> None:
        place = urlsplit(url)
        self._socket = socket.create_connection((place.hostname or "", place.port or 80), timeout=60)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._held = b""

    def ask(self, request: bytes) -> int:
        """Send one request and return the status of its answer."""
        self._socket.sendall(request)
        while (end := self._held.find(b"\r\n\r\n")) < 0:
            self._more()
        head = self._held[:end].lower()
        length = int(head.partition(b"content-length: ")[2].split(b"\r\n", 1)[0] or 0)
        while len(self._held) < end + 4 + length:
            self._more()
        self._held = self._held[end + 4 + length :]
        return int(head.split(b" ", 2)[1])

    def _more(self) -> None:
        part = self._socket.recv(1 << 16)
        if not part:
            raise ConnectionError("the server closed the connection")
        self._held += part

    def close(self) -> None:
        """Close the connection."""
        self._socket.close()


def request(method: str, path: str, body: bytes = b"", *, signed: str | None = None) -> bytes:
    head = f"{method} {path} HTTP/1.1\r\nhost: here\r\ncontent-length: {len(body)}\r\n"
    if signed is not None:
        head += f"authorization: Bearer {signed}\r\n{version.HEADER}: {version.NEWEST}\r\n"
    return head.encode() + b"\r\n" + body


@dataclass(frozen=True)
class Parties:
    """The members of the exchange, and how they sign for it, which is known by the id of its log."""

    log: str
    keys: dict[str, Ed25519PrivateKey]

    def read(self, party: str) -> bytes:
        """Return a signed request for one dataset's record."""
        return self._signed(party, "GET", READ, b"")

    def write(self, party: str, number: int, standard: Standard) -> bytes:
        """Return a signed request that registers a new version of a party's dataset."""
        sealed = registration(standard, title=f"Accounts {number}").sealed_by(party, self.keys[party])
        return self._signed(party, "POST", "/v1/datasets", canonical.encode(sealed.to_json()))

    def _signed(self, party: str, method: str, path: str, body: bytes) -> bytes:
        signed = token(
            caller=party,
            audience=self.log,
            key=self.keys[party],
            method=method,
            path=path,
            body=body,
            now=int(time.time()),
            token_id=secrets.token_hex(16),
        )
        return request(method, path, body, signed=signed)


def registration(standard: Standard, *, title: str) -> Registration:
    return Registration(
        dataset="accounts",
        title=title,
        standard=standard.id,
        standard_digest=standard.digest,
        population="people",
        columns=("balance", "person"),
        refreshed="2026-10-31",
    )


def settle(home: Path, *, institutions: int, tenants: int) -> Parties:
    """Make an exchange with institutions that hold a dataset each, lenders who will be hostile, and one who is honest."""
    standard = shipped("consumer_credit/1")
    names = [f"bank-{number}" for number in range(institutions)]
    keys = {
        party: Ed25519PrivateKey.generate() for party in (*names, *(f"tenant-{n}" for n in range(tenants)), "honest")
    }
    store = Store.open(home / "exchange", clock=clock)
    for party, key in keys.items():
        role = "institution" if party in names else "lender"
        catalog.enrol(store, party=party, name=party, role=role, key=key.public_key().public_bytes_raw())
    catalog.publish_standard(store, standard)
    for party in names:
        catalog.register(store, registration(standard, title="Accounts").sealed_by(party, keys[party]))
    log = store.log.id
    store.close()
    return Parties(log, keys)


def put(url: str, requests: Sequence[bytes], *, connections: int) -> Load:
    """Send all requests over some connections, each as soon as the one before it was answered."""
    load = Load()

    def work(own: Sequence[bytes]) -> None:
        with closing(Wire(url)) as wire:
            for one in own:
                began = time.perf_counter()
                status = wire.ask(one)
                load.times.append(time.perf_counter() - began)
                load.statuses[status] += 1

    threads = [threading.Thread(target=work, args=(requests[n::connections],)) for n in range(connections)]
    began = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    load.took = time.perf_counter() - began
    return load


def measured(url: str, requests: Sequence[bytes], *, connections: int, pid: int) -> dict[str, Any]:
    before = processor_seconds(pid) or 0.0
    load = put(url, requests, connections=connections)
    used = (processor_seconds(pid) or 0.0) - before
    if any(status >= 400 for status in load.statuses):
        raise SystemExit(f"not every request was taken: {dict(load.statuses)}")
    return {
        "requests": len(requests),
        "per_s": round(len(requests) / load.took),
        "p50_ms": percentile(load.times, 50) / 1000,
        "p99_ms": percentile(load.times, 99) / 1000,
        "cpu_ms": round(used * 1000 / len(requests), 3),
    }


def honest(url: str, parties: Parties, *, seconds: float) -> dict[str, Any]:
    """Ask at a steady pace, and wait where told to, as the client of this release does."""
    times, failed = [], 0
    with closing(Wire(url)) as wire:
        end = time.perf_counter() + seconds
        while (began := time.perf_counter()) < end:
            failed += wire.ask(parties.read("honest")) != 200
            times.append(time.perf_counter() - began)
            time.sleep(max(0.0, 1 / PACE - times[-1]))
    return {
        "requests": len(times),
        "failed": failed,
        "p50_ms": percentile(times, 50) / 1000,
        "p99_ms": percentile(times, 99) / 1000,
    }


def flood(url: str, parties: Parties, *, stock: int, seconds: float) -> dict[str, Any]:
    """An honest client alone, then among hostile tenants who send as fast as they are answered, from a stock of requests each."""
    alone = honest(url, parties, seconds=seconds)
    tenants = [party for party in parties.keys if party.startswith("tenant-")]
    stocks = [[parties.read(tenant) for _ in range(stock)] for tenant in tenants]
    over, statuses = threading.Event(), Counter[int]()

    def hostile(own: Sequence[bytes]) -> None:
        with closing(Wire(url)) as wire:
            while not over.is_set():
                for one in own:
                    if over.is_set():
                        return
                    statuses[wire.ask(one)] += 1

    threads = [threading.Thread(target=hostile, args=(own,)) for own in stocks]
    for thread in threads:
        thread.start()
    try:
        among = honest(url, parties, seconds=seconds)
    finally:
        over.set()
        for thread in threads:
            thread.join()
    told = {str(status): count for status, count in sorted(statuses.items())}
    return {"tenants": len(stocks), "hostile_requests": told, "alone": alone, "honest": among}


def hello() -> None:
    """Serve an unsigned hello world as the exchange is served, until standard input closes."""
    import uvicorn
    from fastapi import FastAPI

    app = FastAPI()

    @app.get("/hello")
    async def greet() -> dict[str, str]:
        return {"hello": "world"}

    listener = socket.socket(
        socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP
    )  # sends without delay, as the exchange does
    listener.bind(("127.0.0.1", 0))
    listener.listen(128)
    server = uvicorn.Server(uvicorn.Config(app, log_config=None, access_log=False, server_header=False))

    def end() -> None:
        sys.stdin.buffer.read()
        server.should_exit = True

    threading.Thread(target=end, daemon=True).start()
    print(json.dumps({"ready": f"http://127.0.0.1:{listener.getsockname()[1]}"}), flush=True)
    server.run(sockets=[listener])


def greeted(count: int, connections: int) -> dict[str, Any]:
    command = [sys.executable, "-P", "-c", "from benchmarks.api import hello; hello()"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=Path(__file__).parents[1]) as run:
        assert run.stdout is not None
        assert run.stdin is not None
        url = json.loads(run.stdout.readline())["ready"]
        put(url, [request("GET", "/hello")] * 100, connections=connections)
        told = measured(url, [request("GET", "/hello")] * count, connections=connections, pid=run.pid)
        run.stdin.close()
    return told


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=4_000)
    parser.add_argument("--connections", type=int, default=16)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--tenants", type=int, default=50)
    parser.add_argument("--entries", type=int, default=1_000_000)
    asked = parser.parse_args()
    institutions = -(-asked.requests // BUCKET)
    figures: dict[str, Any] = {"hello_world": greeted(asked.requests, asked.connections)}
    with tempfile.TemporaryDirectory(prefix="touchstone-benchmark-", dir=Path.cwd()) as name:
        home = Path(name)
        parties = settle(home, institutions=2 * institutions, tenants=asked.tenants)
        standard = shipped("consumer_credit/1")
        with Town(home, [], clock=clock) as town:
            url, pid = town.start_exchange(), town.running()["exchange"]
            put(url, [parties.read("honest") for _ in range(50)], connections=1)
            reads = [parties.read(f"bank-{n % institutions}") for n in range(asked.requests)]
            figures["signed_read"] = measured(url, reads, connections=asked.connections, pid=pid)
            writes = [
                parties.write(f"bank-{institutions + n % institutions}", n, standard) for n in range(asked.requests)
            ]
            figures["signed_write"] = measured(url, writes, connections=asked.connections, pid=pid)
            figures["flood"] = flood(url, parties, stock=min(BUCKET, asked.requests), seconds=asked.seconds)
        figures["journal"] = appends(home, 16)
    figures["proofs"] = prove(asked.entries)
    bare = figures["hello_world"]
    figures["slower"] = {
        name: {
            "cpu": round(figures[name]["cpu_ms"] / max(bare["cpu_ms"], 0.001), 1),
            "per_s": round(bare["per_s"] / figures[name]["per_s"], 1),
        }
        for name in ("signed_read", "signed_write")
    }
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
