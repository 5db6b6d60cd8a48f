"""The help: every page of the documents inside the application, in the reader's language where it is written, searched."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from api.console import handbook
from api.console.pages import Offer, Page, Visit
from api.console.wording import msg
from exchange.protocol.errors import Unknown

_GROUPS: Mapping[str, tuple[str, ...]] = {
    msg("Guides, one for each desk"): (
        "guide-data-office", "guide-analyst", "guide-lender", "guide-regulator", "guide-operator",
    ),
    msg("To understand it"): ("concepts", "faq", "architecture", "privacy", "security", "console"),
    msg("To share data and ask"): ("node", "policy", "catalog", "access", "analyst", "sql"),
    msg("To value, pledge and lend"): (
        "valuation", "case-air-quality", "pledge", "register", "collateral", "finance", "formulas",
    ),
    msg("To run and check it"): ("deployment", "keys", "configuration", "operations", "audit", "performance", "development"),
    msg("To look up"): ("reference-cli",),
}  # fmt: skip
"""Pages by what one comes for, in this order; one that is not listed stands under the last heading."""

_SOURCES = {"guide-data-office": "institution", "guide-lender": "lender", "guide-regulator": "regulator"}


def index(visit: Visit) -> Mapping[str, Any]:
    """Return every page by what one comes for, or the parts of pages that hold the words asked for."""
    found = handbook.chapters(visit.words.language)
    named = {name for names in _GROUPS.values() for name in names}
    more = tuple(name for name in found if name not in named)
    last = list(_GROUPS)[-1]
    asked = visit.query.get("q", "")[:200]
    return {
        "asked": asked,
        "found": [asdict(hit) for hit in handbook.search(asked, visit.words.language)],
        "yours": next((name for name, role in _SOURCES.items() if role == visit.place.role and name in found), None),
        "groups": [
            {
                "title": title,
                "pages": [
                    {"name": name, "title": found[name].title, "language": found[name].language}
                    for name in (*names, *(more if title == last else ()))
                    if name in found
                ],
            }
            for title, names in _GROUPS.items()
        ],
    }


def chapter(visit: Visit) -> Mapping[str, Any]:
    """Return one page as Markdown, with its parts."""
    found = handbook.chapters(visit.words.language).get(visit.path["name"])
    if found is None:
        raise Unknown("page of the help")
    return asdict(found) | {"contents": handbook.contents(found.text)}


def picture(_: Visit, name: str) -> Offer:
    """Hand out a picture of the pages."""
    if name not in handbook.pictures():
        raise Unknown("picture of the help")
    return Offer(name, "image/svg+xml", handbook.pictures()[name])


PAGES = (
    Page("/help", "help.html", msg("Help"), index, group=msg("Overview"), give=picture, open=True),
    Page("/help/{name}", "chapter.html", msg("Help"), chapter, open=True),
)
