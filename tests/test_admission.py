"""Connections of strangers: too many from one address, silent ones, slow ones, and readers that do not read."""

import asyncio
import contextlib
import selectors
import socket
import time
from datetime import UTC, datetime
from urllib.parse import urlsplit

import httpx2
import pytest
import uvicorn

from api import admission
from exchange import tls
from privacy import canonical
from tests import served

STRANGER = "127.0.0.9"
"""An address of loopback that is not the one the exchange listens on, so it counts as another machine's."""


@pytest.fixture(scope="module")
def exchange(tmp_path_factory):
    made = served.serve(tmp_path_factory.mktemp("admission"))
    yield made
    made.town.stop()


@pytest.fixture
def connect(exchange):
    """Opens connections from an address, and closes them all in the end."""
    place = urlsplit(exchange.url)
    with contextlib.ExitStack() as stack:

        def opened(source, said=b""):
            wire = stack.enter_context(
                socket.create_connection((place.hostname, place.port), timeout=30, source_address=(source, 0))
            )
            wire.sendall(said)
            return wire

        yield opened


def is_open(wire, *, within=0.0):
    """Whether the other side still holds a connection on which nothing was answered."""
    with selectors.DefaultSelector() as waiting:
        waiting.register(wire, selectors.EVENT_READ)
        if not waiting.select(within):
            return True
        try:
            return bool(wire.recv(1))
        except ConnectionResetError:
            return False


def healthy(exchange, source):
    """Whether somebody at an address is answered."""
    with httpx2.Client(transport=httpx2.HTTPTransport(local_address=source)) as http:
        return http.get(f"{exchange.url}/healthz", timeout=30).status_code == 200


def test_an_address_holds_so_many_connections_and_shuts_out_nobody_else(exchange, connect):
    half = b"GET /healthz HTTP/1.1\r\nHost: a\r\n"
    wires = [connect(STRANGER, half) for _ in range(admission.EACH)]
    assert all(is_open(wire) for wire in wires)
    with pytest.raises(httpx2.RequestError):
        healthy(exchange, STRANGER)
    assert healthy(exchange, "127.0.0.8")
    assert healthy(exchange, "127.0.0.1")
    for wire in wires:
        wire.close()
    deadline = time.monotonic() + 20
    while True:  # the exchange learns of it in its own time
        try:
            assert healthy(exchange, STRANGER)
            break
        except httpx2.RequestError:
            assert time.monotonic() < deadline
            time.sleep(0.1)


def test_who_calls_on_the_machine_itself_may_hold_more(exchange, connect):
    wires = [connect("127.0.0.1") for _ in range(admission.EACH + 20)]
    assert healthy(exchange, "127.0.0.1")
    assert all(is_open(wire) for wire in wires)


def test_who_says_nothing_or_too_slowly_is_closed_and_who_waits_for_an_answer_is_not(exchange, connect):
    silent = connect(STRANGER)
    slow = connect(STRANGER, b"GET /healthz HTTP/1.1\r\n")
    later = connect(STRANGER, b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n")
    later.settimeout(30)
    assert later.recv(1 << 16).startswith(b"HTTP/1.1 200")
    later.sendall(b"GET /hea")  # the next one on the same connection
    body = canonical.encode({"wait": 15, "seq": 0, "head": "0" * 64})
    signed = exchange.token("bank-a", "POST", "/v1/poll", body)
    poll = connect(
        "127.0.0.1",
        b"POST /v1/poll HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer %s\r\nContent-Length: %d\r\n\r\n%s"
        % (signed.encode(), len(body), body),
    )
    until = time.monotonic() + 3 * admission.HEAD
    waiting = {"silent": silent, "slow": slow, "later": later}
    while waiting and time.monotonic() < until:
        for name in [name for name in ("slow", "later") if name in waiting]:
            with contextlib.suppress(OSError):
                waiting[name].sendall(b"X")  # a byte at a time
        waiting = {name: wire for name, wire in waiting.items() if is_open(wire, within=0.3)}
    assert not waiting
    assert is_open(poll)
    poll.settimeout(40)
    assert poll.recv(1 << 16).startswith(b"HTTP/1.1 200")  # was held for as long as it wished
    assert healthy(exchange, STRANGER)


def test_a_reader_that_does_not_read_is_closed(exchange, connect, monkeypatch):
    """In this process, so that thirty seconds can be half a second."""
    monkeypatch.setattr(admission, "READING", 0.5)
    listener = admission.Listener(socket.AF_INET, most=10)
    listener.bind(("127.0.0.1", 0))
    listener.listen(10)
    sent = 64 << 20
    told = []

    async def app(scope, _receive, send):
        if scope["type"] != "http":
            return
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % sent)]})
        for _ in range(64):
            await send({"type": "http.response.body", "body": b"x" * (1 << 20), "more_body": True})
        await send({"type": "http.response.body", "body": b""})
        told.append("done")

    async def serve():
        server = uvicorn.Server(uvicorn.Config(app, log_config=None, http=admission.Connection, lifespan="off"))
        running = asyncio.create_task(server.serve(sockets=[listener]))
        for patient in (True, False):
            reader, writer = await asyncio.open_connection(*listener.getsockname(), limit=1 << 16)
            writer.write(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            if not patient:
                await asyncio.sleep(2)
            found = 0
            with contextlib.suppress(ConnectionResetError):
                while found < sent and (part := await reader.read(1 << 20)):
                    found += len(part)
            assert (found >= sent) == patient
            writer.close()
        server.should_exit = True
        await running

    asyncio.run(serve())


def test_beyond_its_room_nobody_is_taken_and_every_end_makes_room():
    listener = admission.Listener(socket.AF_INET, most=2)
    listener.bind(("127.0.0.1", 0))
    listener.listen(10)
    place = listener.getsockname()
    with contextlib.ExitStack() as stack:
        stack.enter_context(listener)
        for _ in range(3):
            stack.enter_context(socket.create_connection(place))
        first, second = listener.accept()[0], listener.accept()[0]
        with pytest.raises(ConnectionAbortedError):
            listener.accept()
        first.close()
        first.close()  # counts once
        stack.enter_context(socket.create_connection(place))
        third = listener.accept()[0]
        stack.enter_context(socket.create_connection(place))
        with pytest.raises(ConnectionAbortedError):
            listener.accept()
        second.close()
        third.close()


def test_a_handshake_that_never_ends_counts_as_a_connection(monkeypatch):
    """In this process, with few enough to be counted on one hand."""
    monkeypatch.setattr(admission, "EACH", 3)
    key = tls.make_key()
    context = tls.server(tls.certify(key, "localhost", now=datetime.now(tz=UTC)), key)
    listener = admission.Listener(socket.AF_INET, most=10)
    listener.bind(("127.0.0.1", 0))
    listener.listen(10)
    place = listener.getsockname()

    async def app(_scope, _receive, send):
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    async def connected():
        return await asyncio.open_connection(*place, local_addr=(STRANGER, 0))

    async def is_closed(reader):
        try:
            async with asyncio.timeout(1):
                return await reader.read(1) == b""
        except ConnectionResetError:
            return True
        except TimeoutError:
            return False

    async def serve():
        config = uvicorn.Config(
            app, log_config=None, http=admission.Connection, lifespan="off", ssl_context_factory=lambda *_: context
        )
        server = uvicorn.Server(config)
        running = asyncio.create_task(server.serve(sockets=[listener]))
        silent = [await connected() for _ in range(3)]  # not a byte of TLS
        assert [await is_closed(reader) for reader, _ in silent] == [False] * 3
        reader, writer = await connected()
        assert await is_closed(reader)
        writer.close()
        silent[0][1].close()
        await asyncio.sleep(0.5)
        reader, writer = await connected()
        assert not await is_closed(reader)
        for _, held in (*silent[1:], (reader, writer)):
            held.close()
        server.should_exit = True
        await running

    asyncio.run(serve())
