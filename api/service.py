"""What a request may lean on: the store, the open previews, the clock, who calls, and a bell for long polls."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Any

from fastapi import Depends, Request
from fastapi.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect

from api import rights
from api.limits import MOST, Limits, Strangers
from api.tags import unchanged
from exchange.hub.previews import Previews
from exchange.hub.store import Store
from exchange.hub.view import View
from exchange.protocol import request as proof
from exchange.protocol import version
from exchange.protocol.envelope import Envelope
from exchange.protocol.errors import Denied, Forbidden, Revoked, Slow
from privacy import canonical
from privacy.errors import Malformed


class Bell:
    """Wakes everybody who waits for news, of the store or of previews."""

    def __init__(self) -> None:
        self._event = asyncio.Event()

    def now(self) -> asyncio.Event:
        """Return the event that the next news will set; take it before looking, so that no news is missed."""
        return self._event

    def ring(self) -> None:
        """Tell the news; on the loop's thread."""
        told, self._event = self._event, asyncio.Event()
        told.set()

    @staticmethod
    async def wait(event: asyncio.Event, seconds: float) -> None:
        """Wait for news or until ``seconds`` have passed."""
        try:
            await asyncio.wait_for(event.wait(), timeout=max(0.0, seconds))
        except TimeoutError:
            return


BURST = 0.25
"""Seconds in which news that comes close together is told as one."""

LOOK = 1.0
"""Seconds after which somebody who follows is told of what is no news to anybody else."""

LONGEST_HEAD = 1 << 15
"""Bytes that the headers of a request may have; the server itself lets some more through."""

ARRIVAL = 30.0
"""Seconds that a body may take to arrive."""


@dataclass(frozen=True, slots=True)
class Polled:
    """A node's last poll: when it came (seconds since 1970), by how many seconds its clock was ahead, whether its journal was behind."""

    at: int
    clock: int
    behind: bool


class Service:
    """One exchange: its memory, its open previews, its clock (seconds since 1970) and the token ids it has seen.

    ``limits`` says how often each party may ask, ``strangers`` how often an address may fail to prove a name, ``enrolling``
    how often it may try to enrol; ``calculating`` lets one long calculation run at a time, so that they never crowd out who
    asks and answers. ``polled`` has each node's last poll since the service was started.
    """

    def __init__(self, store: Store, seconds: Callable[[], float]) -> None:
        self.store = store
        self.previews = Previews(store)
        self.seconds = seconds
        self.bell = Bell()
        self.calculating = asyncio.Semaphore(1)
        self.limits = Limits(seconds)
        self.enrolling = Limits(seconds, each_second=0.5, burst=30)
        self.strangers = Strangers(seconds)
        self.polled: dict[str, Polled] = {}
        self._tokens: dict[str, int] = {}
        self._sweep = MOST

    def now(self) -> int:
        """Whole seconds since 1970."""
        return int(self.seconds())

    def remember(self, caller: proof.Caller) -> None:
        """Take a token once, and count its request among its party's; a token that is not counted is not remembered.

        Raises:
            Denied: if it was taken before; nobody else's requests are used up by a replay.
            Throttled: if the party asks too often.
        """
        now = self.now()
        if len(self._tokens) > self._sweep:
            self._tokens = {token: expires for token, expires in self._tokens.items() if expires >= now}
            self._sweep = max(
                MOST, 2 * len(self._tokens)
            )  # so that sweeping costs each request the same, however many come
        if caller.token_id in self._tokens:
            raise Denied("the token was used before", fix="sign each request anew")
        self.limits.take(caller.party)
        self._tokens[caller.token_id] = caller.expires


class Call:
    """An authenticated request: who calls, the ``body`` it brought, as sent, and the tags it said it would ``match``, if any.

    ``clock`` is by how many seconds its clock is ahead.
    """

    def __init__(self, service: Service, party: str, body: bytes, match: str | None = None, *, clock: int = 0) -> None:
        self.service = service
        self.store = service.store
        self.party = party
        self.body = body
        self.clock = clock
        self._match = match

    @cached_property
    def value(self) -> Any:
        """The canonical JSON value that the caller brought, if any.

        Raises:
            Malformed: if the body is not canonical.
        """
        return canonical.decode(self.body) if self.body else None

    def envelope(self) -> Envelope:
        """Return the signed envelope that the caller brought.

        Raises:
            Forbidden: if it is signed by somebody else.
        """
        envelope = Envelope.from_json(self.value)
        if envelope.signer != self.party:
            raise Forbidden("the message is signed by another party", fix="send your own messages")
        return envelope

    def store_if(self, look: Callable[[View], Any]) -> Store:
        """Return the store to write to: one that takes nothing if what ``look`` finds is no longer what the caller read.

        What the caller read is told by the tags that it said it would match. A message that is on record already changes
        nothing and so is never held up: a caller that did not hear the answer may send it again.
        """
        if self._match is None:
            return self.store
        return self.store.guarded(unchanged(self._match, look))


WITHIN = "touchstone.within"
"""Key of a scope under which the exchange's own console has its :class:`Guest`; no request from outside has it."""


@dataclass(frozen=True, slots=True)
class Guest:
    """For whom the exchange's own console reads: a party, and the Ed25519 key (32 bytes) that asked for the session."""

    party: str
    key: bytes

    def role(self, view: View) -> str | None:
        """Return the party's role.

        Raises:
            Denied, Revoked: if the key is no longer the party's.
        """
        if view.signer(self.party).get(self.party) != self.key:
            if (self.key, True) in view.given_up(self.party):
                raise Revoked
            raise Denied("the key that opened this session was replaced", fix="open a new link with the new one")
        return view.role(self.party)


async def authenticate(request: Request) -> Call:
    """Check the caller's token, the route against the caller's role, then read the body that the token names; return the call.

    Nothing of a body is read for who may not send it.

    Raises:
        TooOld, TooNew: if the caller speaks another version of the protocol.
        Denied: if the caller does not prove who it is.
        Revoked: if it proves to have a key that the operator took away.
        Throttled: if it asks too often, or its address has failed to prove a name too often.
        Forbidden: if its role may not call this route.
        Malformed: if the body is too long, or a condition is set that the route does not keep.
        Slow: if the body does not arrive.
    """
    service: Service = request.app.state.service
    if sum(len(name) + len(value) for name, value in request.headers.raw) > LONGEST_HEAD:
        raise Malformed(f"the headers are longer than {LONGEST_HEAD} bytes", fix="send fewer or shorter ones")
    version.check(request.headers.get(version.HEADER))
    guest: Guest | None = request.scope.get(WITHIN)
    if guest is None:
        caller, role = await _proved(request, service)
        party = caller.party
    else:
        caller, party = None, guest.party
        role = await run_in_threadpool(lambda: guest.role(service.store.view()))
        service.limits.take(party)
    request.state.party = party
    route = f"{request.method} {request.scope['route'].path}"
    rights.check(route, role)
    match = ",".join(request.headers.getlist("if-match")) or None
    if match is not None and route not in rights.CONDITIONAL:
        raise Malformed("this address does not keep If-Match", fix="leave the header out")
    clock = 0 if caller is None else caller.issued - service.now()
    body = await _arrived(request)
    if caller is not None:
        caller.check(body)
    return Call(service, party, body, match, clock=clock)


async def _proved(request: Request, service: Service) -> tuple[proof.Caller, str | None]:
    """Return who calls by its token, which is used up, and its role; what its address fails to prove is counted."""
    address = request.client.host if request.client else ""
    service.strangers.check(address)
    try:
        caller, role = await _identify(request, service)
        service.remember(caller)
    except Denied:
        service.strangers.failed(address)
        raise
    service.strangers.proved(address)
    return caller, role


async def _identify(request: Request, service: Service) -> tuple[proof.Caller, str | None]:
    """Return who calls by its token, and its role."""
    told = request.headers.getlist("authorization")
    scheme, _, token = told[0].partition(" ") if len(told) == 1 else ("", "", "")
    if scheme != "Bearer":
        raise Denied("the request is not signed", fix="use the touchstone client with this party's key")
    # as it came over the wire: what a percent sign stands for is not decoded, so no two addresses can be taken for one
    path, query = request.scope["raw_path"].decode("latin-1"), request.scope["query_string"].decode("latin-1")

    def identify() -> tuple[proof.Caller, str | None]:
        view = service.store.view()

        def prove(directory: Mapping[str, bytes]) -> proof.Caller:
            asked = f"{path}?{query}" if query else path
            return proof.verify(
                token,
                audience=service.store.log.id,
                directory=directory,
                method=request.method,
                path=asked,
                now=service.now(),
            )

        party = proof.named(token)
        try:
            caller = prove({} if party is None else view.signer(party))
        except Denied:
            _explain(view, token, prove)
            raise
        return caller, view.role(caller.party)

    return await asyncio.to_thread(identify)


async def _arrived(request: Request) -> bytes:
    """Return the body, however it is cut into parts.

    Raises:
        Malformed: if it is longer than a document may be, or breaks off.
        Slow: if it takes too long.
    """
    too_long = Malformed(f"the body is longer than {canonical.MAX_BYTES} bytes", fix="send a smaller document")
    declared = request.headers.get("content-length", "0")
    if not declared.isdecimal() or len(declared) > 20 or int(declared) > canonical.MAX_BYTES:
        raise too_long
    body = bytearray()
    try:
        async with asyncio.timeout(ARRIVAL):
            async for part in request.stream():
                body += part
                if len(body) > canonical.MAX_BYTES:
                    raise too_long
    except TimeoutError:
        raise Slow("the body did not arrive in time", fix="look for what holds it up, and send it again") from None
    except ClientDisconnect:
        raise Malformed("the body broke off", fix="send it again") from None
    return bytes(body)


def _explain(view: View, token: str, prove: Callable[[Mapping[str, bytes]], proof.Caller]) -> None:
    """Tell who proves to have a key that its party has given up what became of it; strangers learn nothing.

    Raises:
        Revoked: if the operator took it away. Denied: if its owner replaced it.
    """
    party = proof.named(token)
    for key, revoked in view.given_up(party) if party is not None else ():
        try:
            prove({str(party): key})
        except Denied:
            continue
        if revoked:
            raise Revoked
        raise Denied(
            "this key was replaced by its owner",
            fix="use the new one; `touchstone keys rotate` finishes what was stopped",
        )


Authenticated = Annotated[Call, Depends(authenticate)]


async def follow(call: Call, look: Callable[[], dict[str, Any]], *, wait: int, seen: int) -> dict[str, Any]:
    """Return a record as ``look`` finds it, at once or after at most ``wait`` seconds.

    It is held until more than ``seen`` messages were ``heard`` and those that came close after, or it is
    ``waiting_for`` nobody. Institutions answer close together: telling of one at a time would cost a request for each.
    """
    service = call.service
    until, told = service.seconds() + wait, False
    while True:
        news = service.bell.now()
        record = await run_in_threadpool(look)
        if record["heard"] > seen and not told:
            until, told = min(until, service.seconds() + BURST), True
        left = until - service.seconds()
        if not record["waiting_for"] or left <= 0:
            return record
        await Bell.wait(news, min(left, LOOK))
