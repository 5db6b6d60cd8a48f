"""The line to the exchange: signed outbound HTTP requests, retried, with problems turned back into errors.

Nodes and analysts both call out on it; nobody is called. Every request is idempotent (an envelope is known by its hash),
so a broken connection is simply tried again.
"""

import json
import logging
import secrets
import ssl
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, date, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Self

import httpx2
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from exchange.protocol import problems, version
from exchange.protocol.envelope import Envelope
from exchange.protocol.errors import PeerFault
from exchange.protocol.request import token
from exchange.tls import Impostor, client
from privacy import canonical
from privacy.errors import PrivacyError

log = logging.getLogger("touchstone.line")
"""Told of every call at level DEBUG: method, address, bytes of the body; of nothing that is in it."""

seconds = time.time
"""The default clock: seconds since 1970."""


def today() -> date:
    """Return the day of the default clock, in UTC."""
    return datetime.fromtimestamp(seconds(), tz=UTC).date()


monotonic = time.monotonic
"""The default clock for durations: seconds from an arbitrary start, never set back."""

pause = time.sleep
"""The default way to let seconds pass."""

PATIENCE = 8
"""Times that a request is tried while the exchange cannot be reached."""

LONGEST = 120
"""Seconds that a request may take with all its repetitions: longer than any poll is held, shorter than anybody's patience."""

MOST_BYTES = 64 << 20
"""Bytes that an answer may have."""

GREETING = 2.0
"""Seconds that somebody at a console or a command waits for the exchange to say how it is, where that is beside the point."""

MOST_NAME = 100
"""Characters that the name of an exchange may have; the id of a log has 64."""


_LATER = (429, 503)
"""Statuses of an exchange that would answer later."""

_UNPACKED = {"accept-encoding": "identity"}
"""An answer is read as it comes: none that is packed can unfold to more than was sent."""

CALCULATIONS = ("/v1/previews", "/v1/reports", "/v1/formulas", "/v1/structures", "/v1/pledges/quote")
"""Addresses that take a document and change nothing."""

_rehearsal: ContextVar[bool] = ContextVar("rehearsal", default=False)


class Rehearsed(PrivacyError):
    """A call that would change something was not sent, since this is a rehearsal."""

    code = "TS-CLI-001"


@contextmanager
def rehearsing() -> Iterator[None]:
    """Stop before the first call that would change something: :class:`Rehearsed` is raised with it."""
    token = _rehearsal.set(True)
    try:
        yield
    finally:
        _rehearsal.reset(token)


class Unreachable(PrivacyError):
    """The exchange could not be reached in time."""

    code = "TS-NET-001"


def greet(url: str, *, within: float, pin: bytes | None = None) -> tuple[Any, float | None]:
    """Ask an exchange, unsigned and once, how it is: what it answers, and its time if it tells it (seconds since 1970).

    ``within`` are seconds to wait, ``pin`` is that of its certificate.

    Raises:
        Unreachable: if nothing answers there, or what does is no exchange.
        Impostor: if it shows another certificate than the pinned one, or none.
    """
    try:
        with httpx2.Client(verify=_trust(url, pin), timeout=within, follow_redirects=False) as http:
            answer = http.get(f"{url.rstrip('/')}/healthz")
        told = answer.headers.get("date")
        return _read(answer.status_code, answer.content), None if told is None else parsedate_to_datetime(
            told
        ).timestamp()
    except (httpx2.RequestError, httpx2.InvalidURL, ValueError):
        raise Unreachable(
            f"{url} does not answer", fix="check the address, and that outbound traffic to it is allowed"
        ) from None
    except Impostor:
        raise
    except PrivacyError:
        raise Unreachable(
            f"{url} answers, and is no exchange", fix="check the address, and any proxy in between"
        ) from None


def send(url: str, path: str, value: Any, *, pin: bytes | None = None, within: float = 30.0) -> Any:
    """Send a canonical JSON value, unsigned and once, and return the JSON answer; ``within`` are seconds to wait.

    Raises:
        PrivacyError: the problem that the exchange told of.
        Unreachable: if nothing answers there. Impostor: if it shows another certificate than the pinned one.
    """
    try:
        with httpx2.Client(verify=_trust(url, pin), timeout=within, follow_redirects=False) as http:
            body, headers = canonical.encode(value), {"content-type": "application/json"}
            answer = http.post(f"{url.rstrip('/')}{path}", content=body, headers=headers)
            return _read(answer.status_code, answer.content)
    except (httpx2.RequestError, httpx2.InvalidURL):
        raise Unreachable(
            f"{url} does not answer", fix="check the address, and that outbound traffic to it is allowed"
        ) from None


class Line:
    """Signed requests from ``party`` to the exchange at ``url``; ``seconds`` tells the time for tokens.

    With the ``pin`` of the exchange's certificate (32 bytes) nobody else is spoken to: it stands in for certificate authorities.
    ``audience`` is the id of the exchange's log, to which tokens are bound; without one, what answers at the address is asked
    for it, once.
    """

    def __init__(
        self,
        url: str,
        *,
        party: str,
        key: Ed25519PrivateKey,
        pin: bytes | None = None,
        audience: str | None = None,
        seconds: Callable[[], float] = time.time,
    ) -> None:
        """Make ready; nothing is sent yet.

        Raises:
            Impostor: if the certificate is pinned, and the address is one without TLS.
        """
        self.url = url.rstrip("/")
        self.party = party
        self._key = key
        self._audience = audience
        self._seconds = seconds
        self._http = httpx2.Client(
            base_url=self.url, verify=_trust(url, pin), timeout=httpx2.Timeout(60, connect=5), follow_redirects=False
        )

    def get(self, path: str) -> Any:
        """Return the JSON document at ``path``.

        Raises:
            PrivacyError: the problem that the exchange told of.
            Unreachable: if it could not be reached.
            Impostor: if somebody else answers at its address.
        """
        return self._call("GET", path, b"")

    def post(self, path: str, value: Any) -> Any:
        """Send a canonical JSON value (or an envelope) and return the JSON answer; raises like :meth:`get`."""
        document = value.to_json() if isinstance(value, Envelope) else value
        if _rehearsal.get() and not path.startswith(CALCULATIONS):
            kind = f" with a signed {value.kind}: {value.body.decode()}" if isinstance(value, Envelope) else ""
            raise Rehearsed(f"POST {self.url}{path}{kind}", fix="nothing was sent; leave out --dry-run to send it")
        return self._call("POST", path, canonical.encode(document))

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _call(self, method: str, path: str, body: bytes) -> Any:
        until = monotonic() + LONGEST
        for attempt in range(PATIENCE):
            if attempt:
                time.sleep(min(5.0, 0.1 * 2**attempt) * (0.5 + secrets.randbelow(1000) / 1000))
            try:
                status, data = self._try(method, path, body, until=until)
            except httpx2.RequestError:
                if monotonic() > until:
                    break
                continue
            if status in _LATER:
                continue
            return _read(status, data)
        raise self._gone()

    def _try(self, method: str, path: str, body: bytes, *, until: float) -> tuple[int, bytes]:
        if self._audience is None:
            status, told = self._send("GET", "/healthz", b"", until=until, headers=_UNPACKED)
            if status in _LATER:
                return status, told
            self._audience = _whom(_read(status, told))
        log.debug("%s %s%s (%d bytes, signed by %s)", method, self.url, path, len(body), self.party)
        return self._send(
            method, path, body, until=until, headers=self._headers(method, path, body, whom=self._audience)
        )

    def _send(
        self, method: str, path: str, body: bytes, *, until: float, headers: Mapping[str, str]
    ) -> tuple[int, bytes]:
        data = bytearray()
        with self._http.stream(method, path, content=body, headers=headers) as response:
            # bit by bit, an answer could go on for ever without any single wait being long
            for chunk in response.iter_raw():
                data += chunk
                if len(data) > MOST_BYTES or monotonic() > until:
                    raise self._gone()
        return response.status_code, bytes(data)

    def _gone(self) -> Unreachable:
        return Unreachable(
            f"the exchange at {self.url} does not answer", fix="check that it runs and that outbound traffic is allowed"
        )

    def _headers(self, method: str, path: str, body: bytes, *, whom: str) -> dict[str, str]:
        proof = token(
            caller=self.party,
            audience=whom,
            key=self._key,
            method=method,
            path=httpx2.URL(path).raw_path.decode("ascii"),  # as it goes over the wire
            body=body,
            now=int(self._seconds()),
            token_id=secrets.token_hex(16),
        )
        return {
            "authorization": f"Bearer {proof}",
            "content-type": "application/json",
            version.HEADER: str(version.NEWEST),
            **_UNPACKED,
        }


def _whom(told: Any) -> str:
    """Return the id of the log of the exchange that says how it is.

    Raises:
        PeerFault: if what answers is no exchange.
    """
    match told:
        case {"log": str(log)} if len(log) <= MOST_NAME:
            return log
    raise PeerFault("what answers is no exchange", fix="check the address, and any proxy in between")


def _trust(url: str, pin: bytes | None) -> ssl.SSLContext | bool:
    """Whom to believe that it is the exchange: the holder of the pinned key, or whom the machine's authorities vouch for."""
    if pin is None:
        # no TLS, no authorities to read: they are many, and redirects to other addresses are not followed
        return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT) if url.startswith("http://") else True
    if not url.startswith("https://"):
        raise Impostor(
            "the exchange's certificate is pinned, and the address is one without TLS", fix="use its https address"
        )
    return client(pin)


def _read(status: int, data: bytes) -> Any:
    try:
        document = json.loads(data)
    except (ValueError, RecursionError):
        document = None
    if status >= 400 or document is None:
        raise problems.error(document)
    return document
