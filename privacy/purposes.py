"""The registry of purposes: what each can need at most, for how long, by whom. It is data, shipped beside this file.

A purpose that is not in the registry is refused; some are in it to be refused by name. Each hangs under a purpose of the
Data Privacy Vocabulary (DPV). Source: PROOFS 8.3.
"""

import json
import pkgutil
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from privacy.atoms import USES
from privacy.errors import Malformed
from privacy.grain import PERIODS
from privacy.terms import Kind

ROLES = ("institution", "lender", "regulator")
"""Who a party is, as the exchange enrolled it and each node pinned it."""


@dataclass(frozen=True, slots=True)
class Template:
    """What a purpose can need at most: uses by kind of column, parts of dates, how long a result is kept, who may ask.

    ``min_parties`` is how many institutions an answer must join, ``keeps`` the days that a result may be kept, ``roles``
    who may declare the purpose (nobody named: everybody), ``part`` the finest part of a date, ``parent`` the purpose of
    the Data Privacy Vocabulary above it (an IRI).
    """

    purpose: str
    version: int
    title: str
    parent: str
    uses: Mapping[Kind, frozenset[str]]
    min_parties: int
    keeps: int
    roles: tuple[str, ...]
    part: str

    @property
    def id(self) -> str:
        """``purpose/version``, as proofs cite it."""
        return f"{self.purpose}/{self.version}"


@dataclass(frozen=True, slots=True)
class Barred:
    """A purpose that is refused whatever anybody grants, and why."""

    purpose: str
    parent: str
    why: str


def read(document: Any) -> tuple[Mapping[str, Template], Mapping[str, Barred]]:
    """Parse a registry's JSON object into its purposes and those that are always refused, by name.

    Raises:
        Malformed: if a field is missing, extra or mistyped, or a purpose stands twice.
    """
    try:
        templates = [_template(**item) for item in document["purposes"]]
        barred = [Barred(**item) for item in document["refused"]]
        sound = set(document) == {"version", "purposes", "refused"} and type(document["version"]) is int
    except (KeyError, TypeError, ValueError, AttributeError):
        raise Malformed("the document is no registry of purposes", fix="compare it with the shipped one") from None
    names = [item.purpose for item in templates] + [item.purpose for item in barred]
    texts = [text for item in templates for text in (item.purpose, item.title, item.parent)]
    texts += [text for item in barred for text in (item.purpose, item.parent, item.why)]
    if not sound or len(set(names)) != len(names) or not all(isinstance(text, str) and text for text in texts):
        raise Malformed(
            "the registry of purposes has mistyped or double entries", fix="compare it with the shipped one"
        )
    return {item.purpose: item for item in templates}, {item.purpose: item for item in barred}


def _template(*, uses: Mapping[str, list[str]], roles: list[str], part: str, **rest: Any) -> Template:
    numbers = [rest[name] for name in ("version", "min_parties", "keeps")]
    known = set(roles) <= set(ROLES) and part in PERIODS and all(set(listed) <= set(USES) for listed in uses.values())
    if not known or any(type(number) is not int or number < 1 for number in numbers):
        raise ValueError
    read_uses = {Kind(kind): frozenset(listed) for kind, listed in uses.items()}
    if set(read_uses) != {Kind.CATEGORY, Kind.MEASURE, Kind.DATE}:
        raise ValueError
    return Template(uses=read_uses, roles=tuple(roles), part=part, **rest)


# read by the import system, as code is: this package opens no file
PURPOSES, REFUSED = read(json.loads(pkgutil.get_data("privacy", "purposes.json") or b"null"))
"""The registry of this release: purposes by name, and those that are always refused."""
