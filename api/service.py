"""What a request may lean on: the store, the open previews, the clock, who calls, and a bell for long polls."""

import asyncio
from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Annotated, Any

from fastapi import Depends, Request
from fastapi.concurrency import run_in_threadpool

from api import rights
from api.limits import Limits
from exchange.hub.previews import Previews
from exchange.hub.store import Store, View
from exchange.protocol import request as proof
from exchange.protocol.envelope import Envelope
from exchange.protocol.errors import Denied, Forbidden, Revoked
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


class Service:
    """One exchange: its memory, its open previews, its clock (seconds since 1970) and the token ids it has seen.

    ``limits`` says how often each party may ask, ``enrolling`` how often each address may try to enrol; ``calculating`` lets one long calculation run at a time, so that they never crowd out who asks and answers.
    """

    def __init__(self, store: Store, seconds: Callable[[], float]) -> None:
        self.store = store
        self.previews = Previews(store)
        self.seconds = seconds
        self.bell = Bell()
        self.calculating = asyncio.Semaphore(1)
        self.limits = Limits(seconds)
        self.enrolling = Limits(seconds, each_second=0.5, burst=30)
        self._tokens: dict[str, int] = {}

    def now(self) -> int:
        """Whole seconds since 1970."""
        return int(self.seconds())

    def remember(self, caller: proof.Caller) -> None:
        """Take a token once.

        Raises:
            Denied: if it was taken before.
        """
        now = self.now()
        if len(self._tokens) > 10_000:
            self._tokens = {token: expires for token, expires in self._tokens.items() if expires >= now}
        if caller.token_id in self._tokens:
            raise Denied("the token was used before", fix="sign each request anew")
        self._tokens[caller.token_id] = caller.expires


class Call:
    """An authenticated request: who calls, and the ``body`` it brought, as sent."""

    def __init__(self, service: Service, party: str, body: bytes) -> None:
        self.service = service
        self.store = service.store
        self.party = party
        self.body = body

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


WITHIN = "touchstone.within"
"""Key of a scope under which the exchange's own console names the party for whom it reads; no request from outside has it."""


async def authenticate(request: Request) -> Call:
    """Read the body, check the caller's token against it and the route against the caller's role, and return the call.

    Raises:
        Denied: if the caller does not prove who it is.
        Revoked: if it proves to have a key that the operator took away.
        Throttled: if it asks too often.
        Forbidden: if its role may not call this route.
        Malformed: if the body is too long.
    """
    service: Service = request.app.state.service
    declared = request.headers.get("content-length", "0")
    if not declared.isdecimal() or int(declared) > canonical.MAX_BYTES:
        raise Malformed(f"the body is longer than {canonical.MAX_BYTES} bytes", fix="send a smaller document")
    body = await request.body()
    within: str | None = request.scope.get(WITHIN)
    if within is not None:
        role = await run_in_threadpool(lambda: service.store.view().role(within))
        return _admit(request, service, within, role, body)
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme != "Bearer":
        raise Denied("the request is not signed", fix="use the touchstone client with this party's key")
    query = f"?{request.url.query}" if request.url.query else ""

    def identify() -> tuple[proof.Caller, str | None]:
        view = service.store.view()

        def prove(directory: Mapping[str, bytes]) -> proof.Caller:
            path = request.url.path + query
            return proof.verify(
                token, directory=directory, method=request.method, path=path, body=body, now=service.now()
            )

        try:
            caller = prove(view.directory())
        except Denied:
            _explain(view, token, prove)
            raise
        return caller, view.role(caller.party)

    caller, role = await asyncio.to_thread(identify)
    service.remember(caller)
    return _admit(request, service, caller.party, role, body)


def _admit(request: Request, service: Service, party: str, role: str | None, body: bytes) -> Call:
    request.state.party = party
    service.limits.take(party)
    rights.check(f"{request.method} {request.scope['route'].path}", role)
    return Call(service, party, body)


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
