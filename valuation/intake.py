"""The door for foreign documents: every key read once, by name and type; what is left over is refused.

No value is converted or clipped. Errors name the path of the key, e.g. ``facts.costs[2].amount``.
"""

import re
from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from enum import StrEnum
from typing import Any

from valuation import exact
from valuation.errors import MissingKey, OutOfRange, UnknownKey, WrongType
from valuation.money import Money

MAX_TEXT = 500
MAX_ITEMS = 10_000

_DIGEST = re.compile(r"[0-9a-f]{64}", re.ASCII)
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", re.ASCII)


class Record:
    """A JSON object at ``path`` that has exactly the keys ``required``, and perhaps some of ``optional``."""

    def __init__(self, document: Any, path: str, required: str, optional: str = "") -> None:
        if not isinstance(document, dict):
            raise WrongType(path or "inputs", "an object")
        known = {*required.split(), *optional.split()}
        for key in document:
            if key not in known:
                raise UnknownKey(self._join(path, key if isinstance(key, str) and len(key) <= 60 else "(a key)"))
        for key in required.split():
            if key not in document:
                raise MissingKey(self._join(path, key))
        self._document: dict[str, Any] = document
        self._path = path

    @staticmethod
    def _join(path: str, key: str) -> str:
        return f"{path}.{key}" if path else key

    def path(self, key: str) -> str:
        """Path of a key, for error messages."""
        return self._join(self._path, key)

    def raw(self, key: str) -> Any:
        """The value under ``key``, unread; ``None`` if the key is optional and absent."""
        return self._document.get(key)

    def given(self, key: str) -> bool:
        """Whether the key is there and not null."""
        return self._document.get(key) is not None

    def text(self, key: str, *, empty: bool = False) -> str:
        """Text of 1 (or, if ``empty``, 0) to 500 characters."""
        value = self.raw(key)
        if not isinstance(value, str):
            raise WrongType(self.path(key), "text")
        if not (1 - empty) <= len(value) <= MAX_TEXT:
            raise OutOfRange(self.path(key), f"texts of {int(not empty)} to {MAX_TEXT} characters")
        return value

    def flag(self, key: str) -> bool:
        """A JSON boolean."""
        value = self.raw(key)
        if not isinstance(value, bool):
            raise WrongType(self.path(key), "true or false")
        return value

    def integer(self, key: str, *, low: int, high: int) -> int:
        """A JSON integer in ``[low, high]``."""
        value = self.raw(key)
        if isinstance(value, bool) or not isinstance(value, int):
            raise WrongType(self.path(key), "an integer")
        if not low <= value <= high:
            raise OutOfRange(self.path(key), f"[{low}, {high}]")
        return value

    def decimal(self, key: str) -> Decimal:
        """A decimal number written as text in plain notation."""
        return decimal_of(self.raw(key), self.path(key))

    def day(self, key: str) -> date:
        """A calendar date, YYYY-MM-DD."""
        value = self.raw(key)
        if not isinstance(value, str) or not _DATE.fullmatch(value):
            raise WrongType(self.path(key), "a date as YYYY-MM-DD")
        try:
            return date.fromisoformat(value)
        except ValueError:
            raise OutOfRange(self.path(key), "dates of the calendar") from None

    def digest(self, key: str) -> str:
        """A SHA-256 as 64 lower-case hexadecimal digits."""
        value = self.raw(key)
        if not isinstance(value, str) or not _DIGEST.fullmatch(value):
            raise WrongType(self.path(key), "a SHA-256 of 64 lower-case hexadecimal digits")
        return value

    def member(self, kinds: type[StrEnum], key: str) -> str:
        """The text of one of the members of ``kinds``."""
        value = self.text(key)
        if value not in {kind.value for kind in kinds}:
            raise OutOfRange(self.path(key), "{" + ", ".join(kind.value for kind in kinds) + "}")
        return value

    def money(self, key: str) -> Money:
        """Money as ``{"amount": "12.5", "currency": "CNY"}``."""
        inner = Record(self.raw(key), self.path(key), "amount currency")
        return Money(inner.decimal("amount"), inner.text("currency"))

    def items(self, key: str, *, least: int = 0) -> Iterator[tuple[str, Any]]:
        """Yield the path and value of each element of a list of at least ``least`` elements."""
        value = self.raw(key)
        if not isinstance(value, list | tuple):
            raise WrongType(self.path(key), "a list")
        if not least <= len(value) <= MAX_ITEMS:
            raise OutOfRange(self.path(key), f"lists of {least} to {MAX_ITEMS} elements")
        for index, item in enumerate(value):
            yield f"{self.path(key)}[{index}]", item

    def entries(self, key: str) -> Iterator[tuple[str, str, Any]]:
        """Yield the path, name and value of each entry of an object whose names are data."""
        value = self.raw(key)
        if not isinstance(value, dict):
            raise WrongType(self.path(key), "an object")
        if len(value) > MAX_ITEMS:
            raise OutOfRange(self.path(key), f"objects of at most {MAX_ITEMS} entries")
        for name, item in value.items():
            if not isinstance(name, str) or not 0 < len(name) <= MAX_TEXT:
                raise WrongType(self.path(key), f"an object with names of 1 to {MAX_TEXT} characters")
            yield f"{self.path(key)}.{name}", name, item


def decimal_of(value: Any, path: str) -> Decimal:
    """Read decimal text such as ``"0.8731"``; a JSON number is refused, since parsers disagree about it."""
    parsed = exact.read(value) if isinstance(value, str) else None
    if parsed is None:
        raise WrongType(path, "a decimal number as text, e.g. 0.25")
    return parsed


def number_of(value: Any, path: str) -> Decimal:
    """Read an ``int`` or ``Decimal``; a ``float`` has already lost the decimal that was spelled, so it is refused."""
    if isinstance(value, float):
        raise WrongType(path, "an exact number (parse JSON with parse_float=Decimal)")
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        raise WrongType(path, "a number")
    # an integer is measured before it becomes text: 10**400 must not cost anything
    if isinstance(value, int) and abs(value) >= 10 ** (exact.MAX_MAGNITUDE + 1):
        raise OutOfRange(path, f"numbers below 10^{exact.MAX_MAGNITUDE + 1} in magnitude")
    number = Decimal(value)
    if not exact.is_tame(number):
        raise OutOfRange(path, f"finite numbers of at most {exact.MAX_DIGITS} digits")
    return number


def within(
    value: Decimal,
    path: str,
    *,
    above: Decimal | int | None = None,
    low: Decimal | int | None = None,
    below: Decimal | int | None = None,
    high: Decimal | int | None = None,
) -> Decimal:
    """Return ``value`` if it lies in the range given by open ends ``above``, ``below`` or closed ends ``low``, ``high``.

    Raises:
        OutOfRange: naming the key and the range.
    """
    holds = (
        (above is None or value > above)
        and (low is None or value >= low)
        and (below is None or value < below)
        and (high is None or value <= high)
    )
    if not holds:
        left = f"({above}" if above is not None else f"[{low}" if low is not None else "(-inf"
        right = f"{below})" if below is not None else f"{high}]" if high is not None else "inf)"
        raise OutOfRange(path, f"{left}, {right}")
    return value
