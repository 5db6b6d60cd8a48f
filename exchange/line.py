"""The line to the exchange: signed outbound HTTP requests, retried, with problems turned back into errors.

Nodes and analysts both call out on it; nobody is called. Every request is idempotent (an envelope is known by its hash),
so a broken connection is simply tried again.
"""

import json
import logging
import secrets
import ssl
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from email.utils import parsedate_to_datetime
from typing import Any, Self

import httpx2
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from exchange.protocol import problems, version
from exchange.protocol.envelope import Envelope
from exchange.protocol.request import token
from exchange.tls import Impostor, client
from privacy import canonical
from privacy.errors import PrivacyError

log = logging.getLogger("touchstone.line")
"""Told of every call at level DEBUG: method, address, bytes of the body; of nothing that is in it."""

seconds = time.time
"""The default clock: seconds since 1970."""

monotonic = time.monotonic
"""The default clock for durations: seconds from an arbitrary start, never set back."""

PATIENCE = 8
"""Times that a request is tried while the exchange cannot be reached."""

LONGEST = 120
"""Seconds that a request may take with all its repetitions: longer than any poll is held, shorter than anybody's patience."""

MOST_BYTES = 64 << 20
"""Bytes that an answer may have."""


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
    """

    def __init__(
        self,
        url: str,
        *,
        party: str,
        key: Ed25519PrivateKey,
        pin: bytes | None = None,
        seconds: Callable[[], float] = time.time,
    ) -> None:
        """Make ready; nothing is sent yet.

        Raises:
            Impostor: if the certificate is pinned, and the address is one without TLS.
        """
        self.url = url.rstrip("/")
        self.party = party
        self._key = key
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
            if status in (429, 503):
                continue
            return _read(status, data)
        raise self._gone()

    def _try(self, method: str, path: str, body: bytes, *, until: float) -> tuple[int, bytes]:
        log.debug("%s %s%s (%d bytes, signed by %s)", method, self.url, path, len(body), self.party)
        data = bytearray()
        with self._http.stream(method, path, content=body, headers=self._headers(method, path, body)) as response:
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

    def _headers(self, method: str, path: str, body: bytes) -> dict[str, str]:
        proof = token(
            caller=self.party,
            key=self._key,
            method=method,
            path=httpx2.URL(path).raw_path.decode("ascii"),  # as it goes over the wire
            body=body,
            now=int(self._seconds()),
            token_id=secrets.token_hex(16),
        )
        # an answer is read as it comes: none that is packed can unfold to more than was sent
        return {
            "authorization": f"Bearer {proof}",
            "content-type": "application/json",
            version.HEADER: str(version.NEWEST),
            "accept-encoding": "identity",
        }


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
