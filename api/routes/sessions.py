"""Joint queries over HTTP: asked, followed and answered by outbound calls alone."""

from typing import Annotated, Any

from fastapi import APIRouter, Query
from fastapi.concurrency import run_in_threadpool
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from api import service
from api.description import reads, takes
from api.routes import log
from api.service import Authenticated, Bell, Call, Polled
from exchange.hub import access, keys, rounds
from exchange.hub.store import Store
from exchange.protocol.envelope import Envelope
from exchange.protocol.errors import Forbidden
from exchange.protocol.messages import Abort, Accept, Ask, Commit, Cosigned, Decline, Key, Share, expect
from exchange.protocol.session import Stage
from privacy.errors import Malformed

router = APIRouter(prefix="/v1")

LONGEST_WAIT = 20
"""Seconds that a poll is held open at most."""


@router.post("/keys", status_code=201, openapi_extra=takes(Key))
async def register_key(call: Authenticated) -> dict[str, Any]:
    """Register the Paillier key that one's sessions are answered under: a signed key envelope with its proof."""
    return {"fingerprint": await run_in_threadpool(keys.register, call.store, call.envelope())}


@router.post("/sessions", status_code=201, openapi_extra=takes(Ask))
async def ask(call: Authenticated) -> dict[str, Any]:
    """Open a session: a signed ask envelope. Refused with every offending item if it exceeds its purpose."""
    now = call.service.now()
    return {"id": await run_in_threadpool(lambda: rounds.open_session(call.store, call.envelope(), now=now))}


@router.get("/sessions/{session}")
async def follow(
    session: str,
    call: Authenticated,
    wait: Annotated[int, Query(ge=0, le=LONGEST_WAIT)] = 0,
    seen: Annotated[int, Query(ge=-1)] = -1,
) -> dict[str, Any]:
    """Return a session's record; with ``wait``, once more than ``seen`` messages were heard or it is over."""
    return await service.follow(call, lambda: _described(call.store, session, caller=call.party), wait=wait, seen=seen)


def _described(store: Store, session: str, *, caller: str) -> dict[str, Any]:
    """Describe a session; one that was answered with the promise that it stands in the log."""
    view = store.view()
    record = rounds.describe(view, session, caller=caller)
    if record["stage"] != Stage.ANSWERED:
        return record
    places = view.promised(session)
    promise = store.log.promise(session, [place["seq"] for place in places])
    return record | {"logged": {"promise": promise.to_json(), "places": places}}


@router.post("/sessions/{session}/messages", openapi_extra=takes(Accept, Decline, Commit, Share, Abort))
async def tell(session: str, call: Authenticated) -> dict[str, Any]:
    """Take a node's message: a signed accept, decline, commit, share or abort envelope."""
    now = call.service.now()
    stage = await run_in_threadpool(lambda: rounds.receive(call.store, session, call.envelope(), now=now))
    return {"stage": stage.value}


class Poll(BaseModel):
    """What a node says when it polls: how long to hold the call open, and the head of its journal.

    ``log`` is the number of entries up to which it has followed the exchange's log, ``cosigned`` its cosignature of that head.
    """

    model_config = ConfigDict(strict=True, extra="forbid")
    wait: Annotated[int, Field(ge=0, le=LONGEST_WAIT)]
    seq: Annotated[int, Field(ge=0, lt=1 << 62)]
    head: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    log: Annotated[int, Field(ge=0, lt=1 << 62)] | None = None
    cosigned: dict[str, Any] | None = None


@router.post("/poll", openapi_extra=reads(Poll))
async def poll(call: Authenticated) -> dict[str, Any]:
    """Return what the calling node has to do next, held open while there is nothing, and the head it has shown last.

    ``rotated`` is the entry of the last change of a party's key: a node that has not followed it does so first.

    To a node that follows the log, its newest head comes with the proof that it goes on from where the node was. A node whose journal is behind that head gets no tasks: it has forgotten charges.
    """
    try:
        asked = Poll.model_validate(call.value)
    except ValidationError:
        raise Malformed("the poll is not well formed", fix="use the node of this release") from None
    deadline = call.service.seconds() + asked.wait
    seq, head = await run_in_threadpool(rounds.witness, call.store, call.party, seq=asked.seq, head=asked.head)
    behind = (asked.seq, asked.head) != (seq, head)
    call.service.polled[call.party] = Polled(at=call.service.now(), clock=call.clock, behind=behind)
    if asked.cosigned is not None:
        await run_in_threadpool(_cosign, call, Envelope.from_json(asked.cosigned))

    def tasks_now() -> list[dict[str, Any]]:
        waiting = call.service.previews.tasks(call.party, now=call.service.now())
        view = call.store.view()
        return rounds.tasks(view, call.party) + access.tasks(view, call.party) + waiting

    while True:
        news = call.service.bell.now()
        tasks = [] if behind else await run_in_threadpool(tasks_now)
        left = deadline - call.service.seconds()
        if tasks or behind or left <= 0:
            changed = await run_in_threadpool(lambda: call.store.view().last_rotation())
            told = {"tasks": tasks, "witnessed": {"seq": seq, "head": head}, "rotated": changed}
            if asked.log is None:
                return told
            return told | {"log": await run_in_threadpool(_followed, call, asked.log)}
        await Bell.wait(news, left)


def _followed(call: Call, size: int) -> dict[str, Any]:
    """Show a node the log's newest head, going on from where it was."""
    return log.shown(call.store.log, since=size, now=call.service.now())


def _cosign(call: Call, envelope: Envelope) -> None:
    """Take a node's cosignature of a head."""
    if envelope.signer != call.party:
        raise Forbidden("the cosignature is another party's", fix="send your own")
    call.store.log.take(expect(envelope, call.store.view().signer(call.party), Cosigned), envelope)
