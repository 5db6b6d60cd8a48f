"""Entity tags (RFC 9110): a reader is not sent again what it has, and a writer can say what it had read.

A tag is made from the bytes of an answer. A record that can be changed is always spelled alike, so that its tag can be made anew
where it is changed.
"""

import hashlib
import json
from collections.abc import Callable
from typing import Any

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from exchange.hub.view import View
from exchange.protocol.errors import Stale, Unknown

CACHING = "private, no-cache"
"""What is told to one caller is nobody else's, and is asked for anew each time."""


def tag_of(record: Any) -> str:
    """Return the tag of a record as one caller reads it: equal tags, equal records."""
    return _tag(_spelled(record))


def tagged(record: Any) -> Response:
    """Return the answer that tells a record, in the spelling that its tag is made from."""
    return Response(_spelled(record), media_type="application/json")


def _spelled(record: Any) -> bytes:
    return json.dumps(record, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode()


def unchanged(match: str, look: Callable[[View], Any]) -> Callable[[View], None]:
    """Return a check that a record is one of those whose tags ``match`` lists; ``look`` reads it as the caller does.

    The check raises :class:`Stale` if it is not.
    """

    def check(view: View) -> None:
        try:
            tag = tag_of(look(view))
        except Unknown:
            tag = ""
        if not tag or not _listed(match, tag, weakly=False):
            raise Stale("the record has changed since you read it", fix="read it again, then decide anew")

    return check


def _tag(data: bytes) -> str:
    return f'"{hashlib.sha256(data).hexdigest()[:32]}"'


def _listed(match: str, tag: str, *, weakly: bool) -> bool:
    """Whether a list of tags holds one, or is ``*``; for reading, a weak tag is as good."""
    listed = {one.strip() for one in match.split(",")}
    return bool({"*", tag} & listed) or (weakly and f"W/{tag}" in listed)


class Tagged:
    """Gives each successful answer to a signed GET its tag, and answers 304 to who has it already."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on; a successful answer is held until it is whole."""
        if scope["type"] != "http" or scope["method"] != "GET" or not scope["path"].startswith("/v1/"):
            await self._app(scope, receive, send)
            return
        start: Message | None = None  # of an answer that is held
        body = bytearray()

        async def sending(message: Message) -> None:
            nonlocal start
            if message["type"] == "http.response.start" and message["status"] == 200:
                start = message
            elif start is None:
                await send(message)
            else:
                body.extend(message.get("body", b""))
                if not message.get("more_body", False):
                    await self._answer(Headers(scope=scope), start, bytes(body), send)

        await self._app(scope, receive, sending)

    async def _answer(self, asked: Headers, start: Message, body: bytes, send: Send) -> None:
        status = 200
        headers = MutableHeaders(raw=list(start["headers"]))
        tag = headers["etag"] = _tag(body)
        headers["cache-control"] = CACHING
        headers["vary"] = "authorization"
        if _listed(",".join(asked.getlist("if-none-match")), tag, weakly=True):
            del headers["content-length"], headers["content-type"]
            status, body = 304, b""
        await send({"type": "http.response.start", "status": status, "headers": headers.raw})
        await send({"type": "http.response.body", "body": body})
