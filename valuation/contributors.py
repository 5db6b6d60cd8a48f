"""Who may share in a pool: verified legal entities, none of them there twice, under its own name or another.

Whoever copies its data under a second name raises its share of every identifier that k others hold from 1/(k+1) to 2/(k+2). No
formula can tell; so a split needs documents for every contributor, and the report of a search for near-duplicates.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from itertools import pairwise
from typing import Any

from privacy.errors import Malformed
from privacy.terms import check_party
from valuation import exact
from valuation.asset import Citation
from valuation.cost import Remark
from valuation.errors import Finding, GatesClosed, OutOfRange, WrongType
from valuation.gates import Passed
from valuation.intake import Record, within

LEAST, MOST = 2, 64
"""Contributors of a pool."""

SEARCHED_DAYS = 366
"""A search for near-duplicates is made again at least once a year."""

BLOCKING, REVIEWED = Decimal("0.8"), Decimal("0.3")
"""Similarity (Jaccard) of two contributions from which they count as one, and from which somebody must look."""

RULES = {
    "entity": "every contributor is a verified legal entity, and no entity stands twice",
    "near_duplicates": "a search found no two contributions alike, within a year up to the date of the split",
}
"""What each gate demands, in the order in which they are reported."""

# GB 32100-2015, unified social credit code: 17 characters, each of a weight 3^i mod 31, and a check character
_CREDIT_CODE = re.compile(r"[0-9A-HJ-NPQRTUWXY]{18}", re.ASCII)
_CREDIT_DIGITS = "0123456789ABCDEFGHJKLMNPQRTUWXY"
# ISO 17442, legal entity identifier: 18 characters and two check digits, mod 97 (ISO 7064)
_ENTITY_IDENTIFIER = re.compile(r"[0-9A-Z]{18}[0-9]{2}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Contributor:
    """One institution: its name in the exchange, its unified social credit code or LEI, the document that verifies both.

    ``identifier`` and ``cited`` are ``None`` where nobody has verified it.
    """

    party: str
    identifier: str | None
    cited: Citation | None

    def to_json(self) -> dict[str, Any]:
        """Return the canonical JSON object."""
        cited = None if self.cited is None else self.cited.to_json()
        return {"party": self.party, "identifier": self.identifier, "cited": cited}

    @classmethod
    def from_json(cls, document: Any, path: str) -> "Contributor":
        """Parse; raises a typed error that names the key."""
        record = Record(document, path, "party identifier cited")
        party = record.text("party")
        try:
            check_party(party)
        except Malformed as error:
            raise WrongType(record.path("party"), f"a valid name ({error.fix})") from None
        identifier = record.text("identifier") if record.given("identifier") else None
        if identifier is not None and not is_identifier(identifier):
            raise WrongType(record.path("identifier"), "a unified social credit code or an LEI whose check digits hold")
        cited = Citation.from_json(record.raw("cited"), record.path("cited")) if record.given("cited") else None
        return cls(party, identifier, cited)


@dataclass(frozen=True, slots=True)
class Likeness:
    """Two contributions that a search found alike: Jaccard similarity in [0, 1] of their rows or identifiers."""

    parties: tuple[str, str]
    similarity: Decimal

    def to_json(self) -> dict[str, Any]:
        """Return the canonical JSON object."""
        return {"parties": list(self.parties), "similarity": exact.spell(self.similarity)}


@dataclass(frozen=True, slots=True)
class Search:
    """A search for near-duplicates among all contributions: its report, and every pair at 0.3 or more."""

    cited: Citation
    found: tuple[Likeness, ...]

    def to_json(self) -> dict[str, Any]:
        """Return the canonical JSON object."""
        return {"cited": self.cited.to_json(), "found": [one.to_json() for one in self.found]}

    @classmethod
    def from_json(cls, document: Any, path: str, parties: Iterable[str]) -> "Search":
        """Parse; raises a typed error that names the key."""
        record = Record(document, path, "cited found")
        known = list(parties)
        found = []
        for where, item in record.items("found"):
            inner = Record(item, where, "parties similarity")
            pair = tuple(member for _, member in inner.items("parties"))
            if len(pair) != 2 or pair[0] == pair[1] or any(member not in known for member in pair):
                raise OutOfRange(inner.path("parties"), "pairs of two different contributors")
            similarity = within(inner.decimal("similarity"), inner.path("similarity"), low=0, high=1)
            found.append(Likeness((pair[0], pair[1]), similarity))
        return cls(Citation.from_json(record.raw("cited"), record.path("cited")), tuple(found))


def contributors_from(record: Record) -> tuple[Contributor, ...]:
    """Parse the list ``contributors`` of a split: 2 to 64, each name once, in order of name."""
    found = tuple(Contributor.from_json(item, where) for where, item in record.items("contributors", least=LEAST))
    path = record.path("contributors")
    if len(found) > MOST:
        raise OutOfRange(path, f"lists of {LEAST} to {MOST} elements")
    # one order only, so that the same split is the same document and ties of cents fall the same way
    if any(one.party >= other.party for one, other in pairwise(found)):
        raise OutOfRange(path, "lists in ascending order of party, each once")
    return found


def check(contributors: Iterable[Contributor], search: Search | None, on: date) -> tuple[Passed, ...]:
    """Try both gates for a split on the day ``on``.

    Raises:
        GatesClosed: with everything that is missing and the document that would supply it.
    """
    listed = list(contributors)
    findings = [*_entities(listed, on), *_duplicates(search, on)]
    if findings:
        raise GatesClosed(findings)
    documents = {
        "entity": tuple(one.cited.document for one in listed if one.cited is not None),
        "near_duplicates": () if search is None else (search.cited.document,),
    }
    return tuple(Passed(gate, rule, documents[gate]) for gate, rule in RULES.items())


def remarks(search: Search | None) -> Iterable[Remark]:
    """Pairs that are not one dataset, yet alike enough that somebody must look."""
    for one in () if search is None else search.found:
        if one.similarity >= REVIEWED:
            names = " and ".join(one.parties)
            yield Remark(
                "contributions-alike", f"{names} are alike to {exact.percent(one.similarity)}: find out why first"
            )


def is_identifier(text: str) -> bool:
    """Whether ``text`` is a unified social credit code or an LEI, check digits included."""
    if _CREDIT_CODE.fullmatch(text):
        weighted = sum(_CREDIT_DIGITS.index(character) * pow(3, place, 31) for place, character in enumerate(text[:17]))
        if (31 - weighted % 31) % 31 == _CREDIT_DIGITS.index(text[17]):
            return True
    if _ENTITY_IDENTIFIER.fullmatch(text):
        return int("".join(str(int(character, 36)) for character in text)) % 97 == 1
    return False


def _entities(contributors: Iterable[Contributor], on: date) -> Iterable[Finding]:
    seen: dict[str, str] = {}
    for one in contributors:
        wanted = f"the business licence or LEI record of {one.party}"
        if one.identifier is None or one.cited is None:
            yield Finding("entity", f"{one.party} is not verified as a legal entity", wanted)
        elif one.cited.on > on:
            yield Finding("entity", f"{one.party} was verified after the date of the split", f"{wanted} by that date")
        elif one.identifier in seen:
            yield Finding(
                "entity", f"{one.party} is the same legal entity as {seen[one.identifier]}", "one contribution of both"
            )
        if one.identifier is not None:
            seen.setdefault(one.identifier, one.party)


def _duplicates(search: Search | None, on: date) -> Iterable[Finding]:
    wanted = "the report of a near-duplicate search over all contributions"
    if search is None:
        yield Finding("near_duplicates", "no search for near-duplicates is on file", wanted)
        return
    if not timedelta(0) <= on - search.cited.on <= timedelta(SEARCHED_DAYS):
        yield Finding("near_duplicates", "the search is not of the year up to the date of the split", wanted)
    for one in search.found:
        if one.similarity >= BLOCKING:
            names = " and ".join(one.parties)
            reason = f"the contributions of {names} are alike to {exact.percent(one.similarity)}"
            yield Finding("near_duplicates", reason, "proof of separate sources, or one contribution of both")
