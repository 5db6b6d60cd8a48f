"""A first draft of a dataset document, for a person to confirm: local, and nothing of it leaves.

The first rows of a source are looked at. For each column of the standard the likeliest column of the source is named, with a
confidence between 0 and 1 and the reason; bounds and domains are the standard's, since bounds taken from data would tell of
the data. Columns that look like identifiers are named and raise the level. What only a person can know (title, population,
date of the load) is left empty, so that a draft nobody has read cannot be registered.
"""

import math
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal, InvalidOperation
from difflib import SequenceMatcher
from pathlib import Path
from typing import Any

from exchange.node.admission import admit
from exchange.node.engine import Engines, Location
from exchange.node.source import sample
from privacy.terms import Column, Kind, Standard

LOOKED_AT = 10_000
"""Rows that a draft looks at."""

LEAST = 0.45
"""Confidence below which a column is left for a person to map."""

_SURE = 0.9  # share of the values that must look like an identifier
_WEIGHTS = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)  # GB 11643, ISO 7064 MOD 11-2
_CREDIT_CODE = "0123456789ABCDEFGHJKLMNPQRTUWXY"  # GB 32100, in base 31
_NUMBER = re.compile(r"[+-]?\d{1,20}(\.\d{1,18})?")


@dataclass(frozen=True, slots=True)
class Look:
    """What an identifier looks like: its name, the test of one value, the level that it raises a dataset to."""

    name: str
    fits: Callable[[str], bool]
    level: int


def is_resident_number(text: str) -> bool:
    """Whether a text is a Chinese resident identity number: a date of birth and a valid check character (GB 11643)."""
    if not re.fullmatch(r"[1-9]\d{16}[\dXx]", text):
        return False
    try:
        date(int(text[6:10]), int(text[10:12]), int(text[12:14]))
    except ValueError:
        return False
    total = sum(int(digit) * weight for digit, weight in zip(text, _WEIGHTS, strict=False))
    return "10X98765432"[total % 11] == text[17].upper()


def is_credit_code(text: str) -> bool:
    """Whether a text is a unified social credit code with a valid check character (GB 32100)."""
    if len(text) != 18 or any(character not in _CREDIT_CODE for character in text):
        return False
    total = sum(_CREDIT_CODE.index(character) * pow(3, place, 31) for place, character in enumerate(text[:17]))
    return _CREDIT_CODE[-total % 31] == text[17]


def is_card_number(text: str) -> bool:
    """Whether a text is a bank card's number: 15 to 19 digits that satisfy Luhn's check (ISO 7812)."""
    if not re.fullmatch(r"[1-9]\d{14,18}", text):
        return False
    doubled = [int(digit) * (1 + place % 2) for place, digit in enumerate(reversed(text))]
    return sum(value - 9 if value > 9 else value for value in doubled) % 10 == 0


def is_phone(text: str) -> bool:
    """Whether a text is a mobile number of mainland China, with or without its country code."""
    return re.fullmatch(r"(\+?86)?[- ]?1[3-9]\d{9}", text) is not None


def is_mail(text: str) -> bool:
    """Whether a text is a mail address."""
    return re.fullmatch(r"[^@\s]{1,64}@[^@\s]{1,190}\.[A-Za-z]{2,24}", text) is not None


LOOKS = (
    Look("resident identity numbers", is_resident_number, 4),
    Look("bank card numbers", is_card_number, 4),
    Look("unified social credit codes", is_credit_code, 3),
    Look("mobile numbers", is_phone, 4),
    Look("mail addresses", is_mail, 4),
)


def entropy(values: Sequence[str]) -> float:
    """Return the Shannon entropy of values, in bits."""
    total = len(values)
    return -sum(count / total * math.log2(count / total) for count in Counter(values).values())


def looks_like(values: Sequence[str]) -> tuple[str, int] | None:
    """Say what identifier values look like, if any, and the level that follows."""
    if not values:
        return None
    for look in LOOKS:
        share = sum(map(look.fits, values)) / len(values)
        # of random digits, one in ten satisfies Luhn's check
        if share >= _SURE:
            return look.name, look.level
    distinct = len(set(values))
    typical = sorted(map(len, values))[len(values) // 2]
    fraction = any("." in value for value in values[:100])
    if len(values) >= 50 and distinct > 0.95 * len(values) and typical >= 6 and not fraction and not _dates(values):
        return f"values of one row each ({entropy(values):.1f} bits)", 3
    return None


def draft(location: Location, standard: Standard, *, engines: Engines) -> dict[str, Any]:
    """Return the draft: a dataset document under ``dataset``, the reasons under ``columns``, ``warnings`` for the rest.

    Raises:
        SourceFault: if the file is not what its kind says, beyond the limits, or cannot be read.
    """
    admit(location, engines=engines)
    held = {
        name: [text for value in values if value is not None and (text := value.strip())]
        for name, values in sample(location, LOOKED_AT, engines=engines).items()
    }
    found = {name: look for name, values in held.items() if (look := looks_like(values)) is not None}
    chosen = _assign(standard, held, found)
    mapped = {source for source, _, _ in chosen.values()}
    level = max([2, *(level for _, level in found.values())])
    warnings = [
        f"{name} holds {what}: {'it is mapped, and never leaves' if name in mapped else 'it is not mapped; leave it so'}"
        for name, (what, _) in found.items()
    ]
    missing = [column.name for column in standard.columns if column.name not in chosen]
    warnings += [f"nothing was found for {name}: map it, or leave it out" for name in missing]
    return {
        "dataset": {
            "name": _name(location),
            "title": "",
            "standard": standard.id,
            "population": "",
            "source": {"kind": location.kind, "path": location.path, "table": location.table},
            "mapping": {name: {"source": source} for name, (source, _, _) in chosen.items()},
            "refreshed": "",
            "declared": {"level": level},
        },
        "columns": {
            name: {"source": source, "confidence": round(confidence, 2), "reason": reason}
            | _public(standard.column(name))
            for name, (source, confidence, reason) in chosen.items()
        },
        "warnings": warnings,
    }


def _public(column: Column) -> dict[str, Any]:
    told: dict[str, Any] = {"kind": column.kind.value}
    if column.bounds is not None:
        told["bounds"] = [column.bounds.lower, column.bounds.upper]
    return told


def _assign(
    standard: Standard, held: Mapping[str, Sequence[str]], found: Mapping[str, tuple[str, int]]
) -> dict[str, tuple[str, float, str]]:
    """Give each column of the standard its likeliest source, the surest first; a source is given once."""
    scored = []
    for column in standard.columns:
        for name, values in held.items():
            fit, why = _fit(column, values, found.get(name))
            alike = _alike(name, column.name)
            scored.append(
                (0.55 * fit + 0.45 * alike if fit else 0.0, column.name, name, f"{why}; name {alike:.0%} alike")
            )
    chosen: dict[str, tuple[str, float, str]] = {}
    taken: set[str] = set()
    for score, wanted, name, reason in sorted(scored, key=lambda one: (-one[0], one[1], one[2])):
        if score >= LEAST and wanted not in chosen and name not in taken:
            chosen[wanted] = (name, score, reason)
            taken.add(name)
    return {column.name: chosen[column.name] for column in standard.columns if column.name in chosen}


def _fit(column: Column, values: Sequence[str], look: tuple[str, int] | None) -> tuple[float, str]:
    """Return how well values fit a column, 0 to 1, and why; an identifier fits nothing else."""
    if not values:
        return 0.0, "no values"
    if column.kind is Kind.IDENTIFIER:
        if look is not None:
            return 1.0, f"looks like {look[0]}"
        share = len(set(values)) / len(values)
        return (0.6 if share > 0.1 else 0.0), f"{share:.0%} of the values differ"
    if look is not None:
        return 0.0, "looks like an identifier"
    if column.kind is Kind.CATEGORY:
        share = sum(value in column.domain for value in values) / len(values)
        return share, f"{share:.0%} of the values are in the domain"
    if column.kind is Kind.DATE:
        share = sum(_day(value) for value in values) / len(values)
        return share, f"{share:.0%} of the values are dates"
    share = sum(_within(value, column) for value in values) / len(values)
    # small whole numbers fit every measure, so fitting says little
    return 0.7 * share, f"{share:.0%} of the values lie within the bounds"


def _within(text: str, column: Column) -> bool:
    if column.bounds is None or not _NUMBER.fullmatch(text):
        return False
    try:
        units = Decimal(text).scaleb(column.decimals)
    except InvalidOperation:
        return False
    return column.bounds.lower <= units <= column.bounds.upper


def _day(text: str) -> bool:
    try:
        date.fromisoformat(text[:10])
    except ValueError:
        return False
    return len(text) >= 10


def _dates(values: Sequence[str]) -> bool:
    return sum(map(_day, values)) >= _SURE * len(values)


def _alike(name: str, column: str) -> float:
    plain = re.sub(r"[^a-z0-9]+", "", name.lower())
    wanted = column.replace("_", "")
    if plain and (wanted.startswith(plain) or plain.startswith(wanted)) and min(len(plain), len(wanted)) >= 3:
        return 0.9 if plain != wanted else 1.0
    return SequenceMatcher(None, plain, wanted).ratio()


def _name(location: Location) -> str:
    plain = re.sub(r"[^a-z0-9_]+", "_", (location.table or Path(location.path).stem).lower()).strip("_")[:63]
    return plain if re.match(r"[a-z]", plain) else f"data_{plain}"[:63].rstrip("_")
