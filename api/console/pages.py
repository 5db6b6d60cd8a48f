"""What a page is: an address, who may open it where, the facts that it shows, and what can be done on it.

Facts are JSON: the page's twin at ``<address>.json`` is exactly them. A template turns them into HTML and works nothing out.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from api.console.places import EVERYWHERE, Place
from api.console.wording import Words

EVERYBODY = frozenset({"institution", "lender", "regulator", "officer"})


@dataclass(frozen=True, slots=True)
class Visit:
    """Somebody at a page: the place, the language, the values in the path, the query and, if one was ``sent``, a form.

    ``others`` is how many more sessions the party has open here.
    """

    place: Place
    words: Words
    address: str
    path: Mapping[str, str]
    query: Mapping[str, str]
    form: Mapping[str, str] = field(default_factory=dict)
    sent: bool = False
    others: int = 0

    def number(self, name: str, usual: int, *, least: int, most: int) -> int:
        """Return a whole number from the query, or the usual one where it is absent or out of range."""
        text = self.query.get(name, "")
        return int(text) if text.isascii() and text.isdecimal() and least <= int(text[:9]) <= most else usual


@dataclass(frozen=True, slots=True)
class Offer:
    """A file to be handed out instead of a page."""

    name: str
    media_type: str
    data: bytes


@dataclass(frozen=True, slots=True)
class Page:
    """One page. ``show`` returns its facts, JSON-able; ``act`` does what a form on it asks and returns the address to go to.

    ``title`` is a message. ``group`` is the heading (a message) of the menu under which it stands, ``None`` for a page that is
    reached from others. ``give`` hands out files by the name that follows the page's address, ``/as/<name>``. An ``open`` page tells
    of no party and is shown to anybody, signed in or not.
    """

    path: str
    template: str
    title: str
    show: Callable[[Visit], Mapping[str, Any]]
    group: str | None = None
    roles: frozenset[str] = EVERYBODY
    places: frozenset[str] = EVERYWHERE
    act: Callable[[Visit], str] | None = None
    give: Callable[[Visit, str], Offer] | None = None
    open: bool = False

    def is_for(self, place: Place) -> bool:
        """Tell whether a place and its party's role have this page."""
        return self.open or (place.role in self.roles and place.kind in self.places)


_ORDER = (
    "Overview",
    "Data",
    "Questions",
    "Access",
    "This node",
    "What may be asked",
    "What others learn",
    "Lending",
    "Oversight",
)
"""Headings of the menu from top to bottom."""


def menu(pages: Sequence[Page], place: Place) -> dict[str, list[Page]]:
    """Return the menu of a place: pages by heading, under each in the order in which they are listed."""
    made: dict[str, list[Page]] = {group: [] for group in _ORDER}
    for page in pages:
        if page.group is not None and page.is_for(place):
            made[page.group].append(page)
    return {group: listed for group, listed in made.items() if listed}
