"""Pages as routes: HTML, its JSON twin, forms, files and problems, with headers that keep everything on this host."""

import gzip
import json
import secrets
from collections.abc import Awaitable, Callable, Mapping, Sequence
from decimal import Decimal
from functools import cache
from hashlib import sha256
from importlib.resources import files
from typing import Any
from urllib.parse import parse_qsl, urlencode

from fastapi import APIRouter, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from jinja2 import Environment, PackageLoader, StrictUndefined

from api import problems
from api.console import charts, handbook, sentences, wording
from api.console.doors import COOKIE, LONGEST_SECONDS, Doors, check_origin
from api.console.pages import Page, Visit, menu
from api.console.places import NOBODY, Place
from api.console.wording import Words
from exchange.protocol.errors import Denied, Unknown
from privacy.errors import Malformed, PrivacyError

LANGUAGE_COOKIE = "touchstone-language"
MOST_FORM_BYTES = 8 << 20

HEADERS = {
    "content-security-policy": (
        "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; object-src 'none'"
    ),
    "x-content-type-options": "nosniff",
    "referrer-policy": "same-origin",  # with no-referrer a browser sends its own forms from origin "null"
    "cross-origin-opener-policy": "same-origin",
    "cache-control": "no-store",
}

_STATIC = {"console.css": "text/css", "htmx.min.js": "text/javascript", "icon.svg": "image/svg+xml"}
_PACKED = 1_000
"""Bytes from which an answer is worth packing."""


def routes(pages: Sequence[Page], doors: Doors, *, hosts: frozenset[str] | None = None) -> APIRouter:
    """Return the routes of a console with these pages; ``hosts`` are the names under which it may be called (any, if not given).

    Naming the hosts keeps a page of a stranger, whose name was made to lead here, from reading a console on loopback.
    """
    made = APIRouter(include_in_schema=False)
    desk = _Counter(pages, doors, hosts)
    for page in pages:
        methods = ["GET", "POST"] if page.act else ["GET"]
        name = "/home" if page.path == "/" else page.path
        if page.give is not None:
            made.add_api_route(f"{name.rstrip('/')}/as/{{file}}", desk.answer(page, _give), methods=["GET"])
        made.add_api_route(f"{name}.json", desk.answer(page, _twin), methods=["GET"])
        made.add_api_route(page.path, desk.answer(page, desk.draw), methods=methods)
    made.add_api_route("/enter/{secret}", desk.enter, methods=["GET"])
    made.add_api_route("/leave", desk.leave, methods=["POST"])
    made.add_api_route("/static/{name}", _static, methods=["GET"])
    return made


class _Counter:
    """What all routes of one console lean on."""

    def __init__(self, pages: Sequence[Page], doors: Doors, hosts: frozenset[str] | None) -> None:
        self._pages = pages
        self._doors = doors
        self._hosts = hosts

    def answer(self, page: Page, make: Callable[[Page, Visit], Response]) -> Callable[[Request], Awaitable[Response]]:
        """Return the endpoint that answers with what ``make`` makes of a visit; problems become pages, or problem documents."""

        async def endpoint(request: Request) -> Response:
            words = _words(request)
            place: Place | None = None
            try:
                self._check_host(request)
                place = self._signed_in(request, page)
                if place is not None:
                    request.state.party = place.party
                    if not page.is_for(place):
                        raise Unknown("page for your role here")
                sent = request.method == "POST"
                visit = Visit(
                    place or NOBODY,
                    words,
                    address=_address(request),
                    path=dict(request.path_params),
                    query=dict(request.query_params),
                    form=await _form(request) if sent else {},
                    sent=sent,
                    others=self._doors.others(request.cookies.get(COOKIE)),
                )
                response = await run_in_threadpool(make, page, visit)
            except PrivacyError as error:
                response = self._problem(request, error, place, words, as_json=make is _twin)
            return _sealed(request, response, words)

        return endpoint

    def draw(self, page: Page, visit: Visit) -> Response:
        """Draw a page, or do what its form asks and lead on; what is refused stands above the form as it was sent."""
        problem, status = None, 200
        if visit.sent and page.act is not None:
            try:
                return RedirectResponse(page.act(visit), status_code=303)
            except PrivacyError as error:
                problem = problems.document(error)
                status = problem["status"]
        facts = page.show(visit)
        place = None if visit.place is NOBODY else visit.place
        return self._page(
            page.template, place, visit.words, status, page=page, visit=visit, facts=facts, problem=problem
        )

    async def enter(self, request: Request) -> Response:
        """Open a session with a one-time link."""
        words = _words(request)
        try:
            self._check_host(request)
            value = self._doors.enter(request.path_params["secret"])
        except PrivacyError as error:
            return _sealed(request, self._problem(request, error, None, words), words)
        response = RedirectResponse("/", status_code=303)
        secure = request.url.scheme == "https"
        response.set_cookie(COOKIE, value, max_age=LONGEST_SECONDS, httponly=True, samesite="strict", secure=secure)
        return _sealed(request, response, words)

    async def leave(self, request: Request) -> Response:
        """End the session, and all others of its party where the form says so."""
        words, cookie = _words(request), request.cookies.get(COOKIE)
        try:
            self._check_host(request)
            self._doors.place(cookie)  # nothing of a form is read for a stranger
            form = await _form(request)
        except PrivacyError as error:
            return _sealed(request, self._problem(request, error, None, words), words)
        self._doors.leave(cookie, everywhere="everywhere" in form)
        response = RedirectResponse("/", status_code=303)
        response.delete_cookie(COOKIE)
        return _sealed(request, response, words)

    def _signed_in(self, request: Request, page: Page) -> Place | None:
        """Return the place of a request's session, or ``None`` for a stranger at an open page."""
        try:
            return self._doors.place(request.cookies.get(COOKIE))
        except Denied:
            if page.open:
                return None
            raise

    def _check_host(self, request: Request) -> None:
        if self._hosts is not None and request.headers.get("host") not in self._hosts:
            raise Denied("this console is not called by that name", fix="open the address that it printed")

    def _problem(
        self, request: Request, error: PrivacyError, place: Place | None, words: Words, *, as_json: bool = False
    ) -> Response:
        told = problems.document(error) | {"request_id": _request_id(request)}
        if as_json:
            return Response(_json(told), told["status"], media_type=problems.MEDIA_TYPE)
        if place is None and isinstance(error, Denied):
            return self._page("sign-in.html", None, words, 401, problem=told)
        return self._page("problem.html", place, words, told["status"], problem=told)

    def _page(self, template: str, place: Place | None, words: Words, status: int, **told: Any) -> HTMLResponse:
        usual: dict[str, Any] = {"page": None, "visit": None, "facts": {}, "problem": None}
        shown = {} if place is None else menu(self._pages, place)
        made = _pages(words.language).get_template(template)
        return HTMLResponse(made.render(**usual | told, place=place, menu=shown), status)


def _twin(page: Page, visit: Visit) -> Response:
    return Response(_json(page.show(visit)), media_type="application/json")


def _give(page: Page, visit: Visit) -> Response:
    if page.give is None:
        raise Unknown("file")
    offer = page.give(visit, visit.path["file"])
    headers = {"content-disposition": f'attachment; filename="{offer.name}"'}
    return Response(offer.data, media_type=offer.media_type, headers=headers)


async def _form(request: Request) -> Mapping[str, str]:
    """Read a form that one of our own pages sent; a file in it is its text, or its SHA-256 where the field's name ends in it.

    Raises:
        Forbidden: if another page sent it.
        Malformed: if it is too long, or a file is not UTF-8.
    """
    sent = request.headers
    check_origin(
        host=sent.get("host", ""), scheme=request.url.scheme, origin=sent.get("origin"), site=sent.get("sec-fetch-site")
    )
    length = sent.get("content-length", "")
    if not length.isdecimal() or int(length) > MOST_FORM_BYTES:
        raise Malformed("the form is too long", fix=f"send at most {MOST_FORM_BYTES >> 20} MiB")
    told: dict[str, str] = {}
    async with request.form(max_files=4, max_fields=1_000, max_part_size=MOST_FORM_BYTES) as form:
        for name, value in form.multi_items():
            try:
                text = value if isinstance(value, str) else _text(name, await value.read())
            except UnicodeDecodeError:
                raise Malformed("the file is not text in UTF-8", fix="choose a JSON or CSV file") from None
            told[name] = text if name not in told else f"{told[name]}\n{text}"
    return told


def _text(name: str, data: bytes) -> str:
    """Evidence of any kind is known by its hash, and goes no further than here."""
    if name.endswith("sha256"):
        return sha256(data).hexdigest() if data else ""
    return data.decode()


def _words(request: Request) -> Words:
    asked, remembered = request.query_params.get("lang"), request.cookies.get(LANGUAGE_COOKIE)
    return Words(wording.preferred(asked, remembered, request.headers.get("accept-language", "")))


def _address(request: Request) -> str:
    """The address with its query, without the language."""
    query = urlencode([(name, value) for name, value in request.query_params.multi_items() if name != "lang"])
    return request.url.path + (f"?{query}" if query else "")


def _request_id(request: Request) -> str:
    return getattr(request.state, "request_id", None) or secrets.token_hex(8)


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, indent=2, default=str)


def _sealed(request: Request, response: Response, words: Words) -> Response:
    """Add what every answer carries: headers, the language if it was chosen just now, and packing."""
    response.headers.update(HEADERS)
    response.headers["content-language"] = words.tag
    if request.query_params.get("lang") == words.language:
        response.set_cookie(LANGUAGE_COOKIE, words.language, max_age=365 * 86_400, samesite="lax")
    return _pack(request, response)


def _pack(request: Request, response: Response) -> Response:
    body = bytes(response.body)
    response.headers["vary"] = "accept-encoding, accept-language, cookie"
    if len(body) >= _PACKED and "gzip" in request.headers.get("accept-encoding", ""):
        response.body = gzip.compress(body, 6)
        response.headers["content-encoding"] = "gzip"
        response.headers["content-length"] = str(len(response.body))
    return response


async def _static(request: Request) -> Response:
    """Hand out a file of the console's own; its address names its content, so it is kept for good."""
    name = request.path_params["name"]
    if name not in _STATIC:
        raise Unknown("file")
    data, _ = _file(name)
    response = Response(
        data, media_type=_STATIC[name], headers={**HEADERS, "cache-control": "public, max-age=31536000, immutable"}
    )
    return _pack(request, response)


@cache
def _file(name: str) -> tuple[bytes, str]:
    data = (files("api.console") / "static" / name).read_bytes()
    return data, sha256(data).hexdigest()[:12]


def _static_address(name: str) -> str:
    return f"/static/{name}?{_file(name)[1]}"


def _elsewhere(address: str, **changed: object) -> str:
    """Return an address with some values of its query changed, or left out where they are ``None``."""
    path, _, query = address.partition("?")
    told: dict[str, object] = dict(parse_qsl(query)) | changed
    kept = {name: value for name, value in told.items() if value not in (None, "")}
    return path + (f"?{urlencode(kept)}" if kept else "")


def _row(words: Words, told: Mapping[str, Any], names: Sequence[str], currency: str) -> list[str]:
    """A row of a picture's table: the first cell as it is, amounts after it."""
    return [str(told[names[0]]), *(words.money(told[name], currency) for name in names[1:])]


@cache
def _pages(language: str) -> Environment:
    words = Words(language)
    made = Environment(
        loader=PackageLoader("api.console"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.globals |= {
        "_": words.say,
        "words": words,
        "languages": wording.LANGUAGES,
        "charts": charts,
        "static": _static_address,
        "elsewhere": _elsewhere,
    }
    made.filters |= {
        "number": words.number,
        "share": words.share,
        "money": words.money,
        "brief": words.brief,
        "day": words.day,
        "moment": words.moment,
        "instant": words.instant,
        "cents": words.cents,
        "listed": words.listed,
        "retold": lambda text: sentences.retold(words, text),
        "decimal": Decimal,
        "plain": lambda told, names: [words.say(str(told[name])) for name in names],
        "row": lambda told, names, currency: _row(words, told, names, currency),
        "prose": handbook.prose,
    }
    return made
