"""The page that explains the service's interface, from the service alone.

It needs no key, tells nothing of any party, loads nothing from another host and works without a script.
"""

from collections.abc import Mapping
from functools import cache
from typing import Any

from fastapi import APIRouter, FastAPI
from fastapi.responses import HTMLResponse
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from api.leads import LEADS

PLAIN = {
    "content-security-policy": "default-src 'none'; style-src 'unsafe-inline'",
    "x-content-type-options": "nosniff",
}

_GROUPS = {
    "Standards, parties, datasets, policies": ("exchange", "links", "nodes", "parties", "standards", "datasets", "deprecations", "withdrawals", "policies", "rotations", "enrolments"),
    "Joint questions": ("keys", "previews", "sessions", "poll"),
    "Access and approvals": ("access",),
    "Appraisals, offers, liens": ("appraisals", "offers", "liens"),
    "Formulas and structures": ("formulas", "structures"),
    "Pledge loans": ("pledges",),
    "Identity of collateral": ("fingerprints", "confirmations", "collateral", "reviews"),
    "Supervision": ("supervision",),
}  # fmt: skip


def router(app: FastAPI) -> APIRouter:
    """Return the route of the page about ``app``."""
    made = APIRouter(include_in_schema=False)

    @made.get("/docs")
    async def interface() -> HTMLResponse:
        """Show every route: who may call it, what it takes, what it answers."""
        return _page("reference.html", **_reference(app))

    return made


def _reference(app: FastAPI) -> dict[str, Any]:
    described = app.openapi()
    groups: dict[str, list[dict[str, Any]]] = {group: [] for group in (*_GROUPS, "Other")}
    for path, methods in sorted(described["paths"].items()):
        named = path.removeprefix("/v1/").partition("/")[0]
        group = next((group for group, names in _GROUPS.items() if named in names), "Other")
        groups[group] += [_route(method, path, operation) for method, operation in methods.items()]
    return {"described": described, "groups": {group: routes for group, routes in groups.items() if routes}}


def _route(method: str, path: str, operation: Mapping[str, Any]) -> dict[str, Any]:
    first, *others = operation.get("description", operation["summary"]).split("\n\n")
    return {
        "method": method.upper(),
        "path": path,
        "summary": first,
        "paragraphs": others,
        "takes": _taken(operation.get("requestBody")),
        "parameters": [
            {"name": parameter["name"], "where": parameter["in"], "type": _type(parameter["schema"])}
            for parameter in operation.get("parameters", ())
            if parameter["in"] != "header"  # those of every route are told at the top
        ],
        "answers": ", ".join(operation["responses"]),
        "leads": LEADS.get(f"{method.upper()} {path}", ()),
    }


def _taken(body: Mapping[str, Any] | None) -> str:
    if body is None:
        return ""
    schema = body["content"]["application/json"]["schema"]
    if "allOf" not in schema:
        return "a JSON object"
    return "a signed envelope of kind " + " or ".join(schema["allOf"][1]["properties"]["kind"]["enum"])


def _type(schema: Mapping[str, Any]) -> str:
    if "anyOf" in schema:
        return " or ".join(_type(part) for part in schema["anyOf"] if part.get("type") != "null")
    limits = [f"{word} {schema[name]}" for name, word in (("minimum", "from"), ("maximum", "to")) if name in schema]
    return " ".join([schema.get("type", "any"), *limits])


@cache
def _pages() -> Environment:
    made = Environment(loader=PackageLoader("api"), autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    made.filters["names"] = _names
    return made


def _names(text: str) -> Markup:
    """Set the names that a docstring puts between double backquotes as code."""
    parts = text.split("``")
    return Markup().join(Markup("<code>{}</code>").format(part) if at % 2 else part for at, part in enumerate(parts))


def _page(name: str, **told: Any) -> HTMLResponse:
    return HTMLResponse(_pages().get_template(name).render(**told), headers=PLAIN)
