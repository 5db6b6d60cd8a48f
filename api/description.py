"""What the service says of itself: an OpenAPI 3.1 document that tells every answer, made from the routes and the tables.

Bodies are signed envelopes, read as the very bytes that were sent, so the framework cannot know them: a route names the
messages that it takes by :func:`takes`.
"""

from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from api import rights
from api.leads import LEADS, Lead
from api.problems import MEDIA_TYPE, every
from exchange.protocol import version
from exchange.protocol.agreement import STEPS
from exchange.protocol.collateral import KINDS as COLLATERAL
from exchange.protocol.messages import KINDS, Message
from exchange.protocol.rotation import Rotation

_SCHEMAS = "#/components/schemas/"

_ALWAYS = {
    "400": "The exchange does not speak the version of the protocol that the request names; what it speaks is told.",
    "401": "The caller did not prove who it is.",
    "403": "The caller's role does not allow it, or the request is refused by policy, budget or a lien.",
    "408": "The body of the request did not arrive in time.",
    "429": "The caller asks too often; `seconds` tells when to go on.",
    "500": "Something went wrong on the exchange's side; nothing was done.",
    "503": "The exchange is stopping or mending itself; ask again.",
}
_LOOKED_UP = {"404": "There is no such thing, or it is not the caller's to see."}
_READ = {"422": "A parameter or the body is not well formed, or two things in it do not agree."}
_TOO_EARLY = {"409": "The pledge is not registered yet, or no longer."}
_CONDITIONAL = {"412": "The record no longer has the tag that was named in If-Match; nothing was done."}
_WRITTEN = {
    "409": "What is asked does not fit what is on record.",
    "507": "The exchange has no room left; nothing was done.",
}

_TAGS = {"type": "string", "examples": ['"0123456789abcdef0123456789abcdef"']}
_TAG = {"etag": {"description": "The tag of what was answered.", "schema": {"type": "string"}}}


def takes(*messages: type[Message]) -> dict[str, Any]:
    """Say for a route that its body is an envelope with one of ``messages``, signed by the caller."""
    contents = [{"$ref": _SCHEMAS + message.__name__} for message in messages]
    told = {
        "kind": {"enum": [message.kind for message in messages]},
        "body": {"contentMediaType": "application/json", "contentSchema": {"oneOf": contents}},
    }
    return _body({"allOf": [{"$ref": _SCHEMAS + "Envelope"}, {"properties": told}]})


def reads(schema: Mapping[str, Any] | type[BaseModel]) -> dict[str, Any]:
    """Say for a route that its body is a plain JSON document of this schema, or of this model."""
    return _body(dict(schema) if isinstance(schema, Mapping) else schema.model_json_schema())


def _body(schema: dict[str, Any]) -> dict[str, Any]:
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": schema}}}}


def install(app: FastAPI) -> None:
    """Give the application its description, completed at first use.

    Raises:
        RuntimeError: if a route has no line in the table of rights, or the other way round.
    """
    plain = get_openapi(title=app.title, version=app.version, description=app.description, routes=app.routes)
    routes = {f"{method.upper()} {path}" for path, kinds in plain["paths"].items() for method in kinds}
    signed = {route for route in routes if " /v1/" in route}
    if signed != set(rights.TABLE) | rights.OPEN:
        raise RuntimeError(f"routes and rights differ: {sorted(signed ^ (set(rights.TABLE) | rights.OPEN))}")

    app.openapi = cache(lambda: _described(plain))  # type: ignore[method-assign]  # the framework's documented way


def _described(told: dict[str, Any]) -> dict[str, Any]:
    """Complete what the framework knows of the routes."""
    for path, methods in told["paths"].items():
        for method, operation in methods.items():
            operation["responses"] = dict(_answers(operation, path, method))
            roles = rights.TABLE.get(f"{method.upper()} {path}")
            if roles is None:
                continue
            operation["security"] = [{"signed": []}]
            operation["parameters"] = [*operation.get("parameters", ()), *_headers(f"{method.upper()} {path}")]
            named = "every registered party" if roles == rights.EVERY else ", ".join(sorted(roles))
            operation["description"] = f"{operation.get('description', '')}\n\nMay be called by: {named}.".strip()
    _link(told["paths"])
    told["components"] = {
        "securitySchemes": {
            "signed": {
                "type": "http",
                "scheme": "bearer",
                "bearerFormat": "JWT",
                "description": (
                    "A token for this very request, signed with the caller's Ed25519 key: header alg Ed25519 and kid, claims "
                    "sub (the caller), aud (the exchange: the id of its log, which /healthz tells), iat, exp (at most 60 s "
                    "later), jti (16 to 64 characters, used once), htm (method), htu (path with query), bh (SHA-256 of the body, hexadecimal)."
                ),
            }
        },
        "schemas": _schemas(),
    }
    return told


def _link(paths: dict[str, Any]) -> None:
    """Add to the answers that make or change something the links to what takes it."""
    for route, leads in LEADS.items():
        responses = _operation(paths, route)["responses"]
        (done,) = (status for status in responses if status.startswith("2"))
        told = {lead.to: _operation(paths, lead.to)["operationId"] for lead in leads}
        responses[done]["links"] = {told[lead.to]: _told(lead, told[lead.to]) for lead in leads}


def _operation(paths: dict[str, Any], route: str) -> dict[str, Any]:
    method, _, path = route.partition(" ")
    found: dict[str, Any] = paths[path][method.lower()]
    return found


def _told(lead: Lead, operation: str) -> dict[str, Any]:
    link: dict[str, Any] = {"operationId": operation, "description": lead.text}
    if lead.parameters:
        link["parameters"] = dict(lead.parameters)
    return link if lead.body is None else link | {"requestBody": lead.body}


def _headers(route: str) -> Iterable[dict[str, Any]]:
    """The headers that a signed route reads, beside the token."""
    number = {"type": "integer", "minimum": version.OLDEST, "maximum": version.NEWEST}
    yield _header(version.HEADER, "The version of the protocol that the caller speaks.", number)
    if route.startswith("GET "):
        yield _header("if-none-match", "Tags that the caller has; the answer is 304 if it would carry one.", _TAGS)
    elif route in rights.CONDITIONAL:
        text = "Tags, one of which the record must still carry, as its own GET gave it; otherwise nothing is done."
        yield _header("if-match", text, _TAGS)


def _header(name: str, text: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"name": name, "in": "header", "required": False, "description": text, "schema": schema}


def _answers(operation: Mapping[str, Any], path: str, method: str) -> Iterable[tuple[str, dict[str, Any]]]:
    """What a route may answer: its success as the framework knows it, then every problem."""
    signed_read = method == "get" and path.startswith("/v1/")
    for status, answer in operation["responses"].items():
        if status.startswith("2"):
            yield status, answer | ({"headers": _TAG} if signed_read else {})
    if signed_read:
        yield "304", {"description": "What the caller has is what it would get.", "headers": _TAG}
    for status, text in sorted(_problems(path, method).items()):
        yield status, _problem(text)


def _problems(path: str, method: str) -> Mapping[str, str]:
    """The problems that a route may answer with, by status."""
    if not path.startswith("/v1/"):
        return _LOOKED_UP if "{" in path else {}
    possible = _ALWAYS | _READ
    if "{" in path or method == "post" or path.startswith("/v1/log/"):
        possible |= _LOOKED_UP
    if method == "post":
        possible |= _WRITTEN
    elif path.startswith("/v1/pledges/"):
        possible |= _TOO_EARLY
    if f"{method.upper()} {path}" in rights.CONDITIONAL:
        possible |= _CONDITIONAL
    return possible


def _problem(text: str) -> dict[str, Any]:
    return {"description": text, "content": {MEDIA_TYPE: {"schema": {"$ref": _SCHEMAS + "Problem"}}}}


def _schemas() -> dict[str, Any]:
    kinds: list[type[Message]] = sorted(
        {*KINDS.values(), *STEPS.values(), *COLLATERAL.values(), Rotation}, key=lambda kind: kind.__name__
    )
    _, told = models_json_schema([(kind, "validation") for kind in kinds], ref_template=_SCHEMAS + "{model}")
    codes = [problem.code for problem in every()]
    defined: dict[str, Any] = told["$defs"]
    return defined | {
        "Envelope": {
            "type": "object",
            "description": "One message, signed by the caller over its kind, its signer and the very bytes of its body.",
            "required": ["kind", "signer", "body", "signature"],
            "additionalProperties": False,
            "properties": {
                "kind": {"type": "string"},
                "signer": {"type": "string", "pattern": "^[a-z][a-z0-9-]{0,62}$"},
                "body": {"type": "string", "description": "Canonical JSON (RFC 8785, integers only)."},
                "signature": {"type": "string", "description": "Ed25519 (RFC 8032), base64url without padding."},
            },
        },
        "Problem": {
            "type": "object",
            "description": "A problem document (RFC 9457); its type is an address here that explains the code.",
            "required": ["type", "code", "status", "title", "detail", "fix", "request_id"],
            "properties": {
                "type": {"type": "string", "format": "uri-reference"},
                "code": {"type": "string", "examples": codes},
                "status": {"type": "integer"},
                "title": {"type": "string"},
                "detail": {"type": "string", "description": "What happened; never what was sent."},
                "fix": {"type": "string", "description": "What to do next."},
                "request_id": {"type": "string", "pattern": "^[0-9a-f]{16}$"},
            },
        },
    }
