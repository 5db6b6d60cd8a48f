"""The vocabulary: standards, columns, bounds and budgets. Every other room may import it.

A **standard** is a published schema that institutions map their tables onto; its bounds and domains are public, never
derived from data. Measures travel as integers in units of ``10**-decimals``; budgets as integers in units of 1e-9 rho
(zero-concentrated differential privacy, Bun and Steinke 2016).
"""

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from privacy import canonical
from privacy.errors import Malformed

NANO = 1_000_000_000
"""Budget units in one rho."""


def rho(nano: int) -> str:
    """Write a price or a budget of ``nano`` units in rho, exactly, as forms and the command line take it."""
    whole, rest = divmod(nano, NANO)
    return f"{whole}.{rest:09d}".rstrip("0").rstrip(".")


DELTA = 1e-6
"""The delta at which (epsilon, delta) is shown beside rho."""

LIFETIME = (-25_567, 84_005)
"""Days since 1970-01-01 that a date may stand for: 1900-01-01 to 2199-12-31."""

UNKNOWN = "(unknown)"
"""Last label of a dimension that takes every row without another label: so that its cells add up to all rows."""

_NAME = re.compile(r"[a-z][a-z0-9_]{0,62}")
_PARTY = re.compile(r"[a-z][a-z0-9-]{0,62}")


def check_name(text: str, *, what: str) -> str:
    """Return ``text`` if it may name a column or dataset (lower-case ASCII, digits, underscore; 63 at most).

    Raises:
        Malformed: naming ``what``, never the text.
    """
    if not isinstance(text, str) or not _NAME.fullmatch(text):
        raise Malformed(f"the {what} is not a valid name", fix="use a-z, 0-9 and _, starting with a letter, 63 at most")
    return text


def check_party(text: str) -> str:
    """Return ``text`` if it may name a party (lower-case ASCII, digits, hyphen; 63 at most).

    Raises:
        Malformed: never with the text.
    """
    if not isinstance(text, str) or not _PARTY.fullmatch(text):
        raise Malformed("the party is not a valid name", fix="use a-z, 0-9 and -, starting with a letter, 63 at most")
    return text


def _whole(number: Any) -> bool:
    return isinstance(number, int) and not isinstance(number, bool)


class Kind(StrEnum):
    """What a column is for; the classification floor of minimum necessity hangs on it."""

    IDENTIFIER = "identifier"
    CATEGORY = "category"
    MEASURE = "measure"
    DATE = "date"


LEVELS = (1, 2, 3, 4, 5)
"""Security levels of data, after JR/T 0197: from open to anybody (1) to never shared (5)."""

_USUAL_LEVELS = {Kind.IDENTIFIER: 4, Kind.CATEGORY: 2, Kind.MEASURE: 3, Kind.DATE: 2}


@dataclass(frozen=True, slots=True)
class Bounds:
    """Closed interval in the column's integer units, ``lower <= upper``, each below 2**53 in magnitude."""

    lower: int
    upper: int

    def __post_init__(self) -> None:
        for end in (self.lower, self.upper):
            if isinstance(end, bool) or not isinstance(end, int) or abs(end) >= 1 << 53:
                raise Malformed(
                    "a bound is not an integer below 2^53", fix="declare bounds in the column's integer units"
                )
        if self.lower > self.upper:
            raise Malformed("the lower bound lies above the upper bound", fix="swap the two bounds")

    @property
    def weight(self) -> int:
        """The most one value can move a sum by: ``max(|lower|, |upper|)``."""
        return max(abs(self.lower), abs(self.upper))

    def covers(self, other: "Bounds") -> bool:
        """Whether ``other`` lies inside this interval."""
        return self.lower <= other.lower and other.upper <= self.upper


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a standard.

    ``bounds`` belong to measures (integer units of ``10**-decimals`` of ``unit``) and dates (days since 1970-01-01),
    ``domain`` to categories. ``edges`` are the ends of a measure's or date's customary bands, in the units of its
    bounds: at least two, rising, within the bounds; none if there are no such bands. ``required`` says that a complete
    row has a value here (the completeness metric counts it). ``level`` is the security level, 1 to 5; a column that tells
    none has the usual one of its kind, see :attr:`security`.
    """

    name: str
    kind: Kind
    meaning: str
    unit: str = ""
    decimals: int = 0
    bounds: Bounds | None = None
    domain: tuple[str, ...] = ()
    edges: tuple[int, ...] = ()
    required: bool = False
    level: int | None = None

    def __post_init__(self) -> None:
        check_name(self.name, what="column")
        if self.level is not None and (not _whole(self.level) or self.level not in LEVELS):
            raise Malformed("a column's security level is none", fix="declare a level from 1 to 5")
        texts = (self.meaning, self.unit, *self.domain)
        if not all(isinstance(text, str) for text in texts) or not isinstance(self.required, bool):
            raise Malformed("a column has mistyped fields", fix="compare it with a published standard")
        if not _whole(self.decimals):
            raise Malformed("a column's decimals are not a whole number", fix="declare decimals between 0 and 9")
        if not 0 <= self.decimals <= 9:
            raise Malformed("a column has between 0 and 9 decimals", fix="declare decimals between 0 and 9")
        if self.kind in (Kind.MEASURE, Kind.DATE) and self.bounds is None:
            raise Malformed("a measure without public bounds cannot be published", fix="declare its bounds")
        if self.kind is Kind.DATE and (self.decimals or not Bounds(*LIFETIME).covers(self.bounds or Bounds(0, 0))):
            raise Malformed(
                "a date is counted in whole days of 1900 to 2199", fix="declare bounds in days since 1970-01-01"
            )
        if self.edges and (
            self.bounds is None
            or not all(map(_whole, self.edges))
            or len(self.edges) < 2
            or any(low >= high for low, high in zip(self.edges, self.edges[1:], strict=False))
            or not self.bounds.covers(Bounds(self.edges[0], self.edges[-1]))
        ):
            raise Malformed("a column's bands do not rise within its bounds", fix="declare rising edges in its units")
        if self.kind is Kind.CATEGORY and (not self.domain or len(set(self.domain)) != len(self.domain)):
            raise Malformed("a category needs a public domain of distinct values", fix="declare its domain")
        if UNKNOWN in self.domain:
            raise Malformed("a category's domain holds the label of unknown values", fix="leave it out of the domain")

    @property
    def security(self) -> int:
        """The security level: the one declared, else 4 for identifiers, 3 for measures, 2 for categories and dates."""
        return _USUAL_LEVELS[self.kind] if self.level is None else self.level

    def to_json(self) -> dict[str, Any]:
        """Return the canonical JSON object of the column; a level that is not declared is left out."""
        return {
            "name": self.name,
            "kind": self.kind.value,
            "meaning": self.meaning,
            "unit": self.unit,
            "decimals": self.decimals,
            "bounds": None if self.bounds is None else [self.bounds.lower, self.bounds.upper],
            "domain": list(self.domain),
            "edges": list(self.edges),
            "required": self.required,
            **({} if self.level is None else {"level": self.level}),
        }


@dataclass(frozen=True, slots=True)
class Standard:
    """A published schema; all datasets registered under it form one joint table named ``name``.

    ``unit`` is the column that identifies whose privacy is protected (a natural person), ``rows_per_unit`` how many of
    a person's rows one institution may count, ``institutions_per_unit`` at how many institutions a person may appear.
    """

    name: str
    version: int
    title: str
    unit: str
    rows_per_unit: int
    institutions_per_unit: int
    columns: tuple[Column, ...]

    def __post_init__(self) -> None:
        check_name(self.name, what="standard")
        if not isinstance(self.title, str) or not all(
            map(_whole, (self.version, self.rows_per_unit, self.institutions_per_unit))
        ):
            raise Malformed("the standard has mistyped fields", fix="compare it with a published standard")
        names = [column.name for column in self.columns]
        if len(set(names)) != len(names):
            raise Malformed("a standard names a column twice", fix="give each column its own name")
        if self.unit not in names or self.column(self.unit).kind is not Kind.IDENTIFIER:
            raise Malformed("the privacy unit is not an identifier column", fix="name the identifier of the person")
        if not 1 <= self.rows_per_unit <= 10_000 or not 1 <= self.institutions_per_unit <= 1_000:
            raise Malformed("the contribution bounds are out of range", fix="1 to 10000 rows, 1 to 1000 institutions")

    @property
    def id(self) -> str:
        """``name/version``, as written in catalogs and policies."""
        return f"{self.name}/{self.version}"

    @property
    def digest(self) -> str:
        """SHA-256 of the canonical form; plans and registrations pin it."""
        return canonical.digest(self.to_json())

    @property
    def decimals(self) -> dict[str, int]:
        """The decimals of each column, by its name."""
        return {column.name: column.decimals for column in self.columns}

    def column(self, name: str) -> Column:
        """Return the column called ``name``.

        Raises:
            KeyError: if the standard has none of that name.
        """
        for column in self.columns:
            if column.name == name:
                return column
        raise KeyError(name)

    def to_json(self) -> dict[str, Any]:
        """Return the canonical JSON object of the standard."""
        return {
            "name": self.name,
            "version": self.version,
            "title": self.title,
            "unit": self.unit,
            "rows_per_unit": self.rows_per_unit,
            "institutions_per_unit": self.institutions_per_unit,
            "columns": [column.to_json() for column in self.columns],
        }

    @classmethod
    def from_json(cls, document: Any) -> "Standard":
        """Parse a standard's JSON object.

        Raises:
            Malformed: if a field is missing, extra or of the wrong kind.
        """
        try:
            columns = tuple(
                Column(
                    name=item["name"],
                    kind=Kind(item["kind"]),
                    meaning=item["meaning"],
                    unit=item["unit"],
                    decimals=item["decimals"],
                    bounds=None if item["bounds"] is None else Bounds(*item["bounds"]),
                    domain=tuple(item["domain"]),
                    edges=tuple(item["edges"]),
                    required=item["required"],
                    level=item.get("level"),
                )
                for item in document["columns"]
            )
            standard = cls(**{**document, "columns": columns})
        except (KeyError, TypeError, ValueError, AttributeError):
            raise Malformed("the document is not a standard", fix="compare it with a published standard") from None
        if standard.to_json() != document:
            raise Malformed("the standard has extra or mistyped fields", fix="compare it with a published standard")
        return standard
