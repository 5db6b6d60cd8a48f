"""JSON text to inputs and outputs to JSON text, without a binary float in between."""

import json
from collections.abc import Sequence
from decimal import Decimal, InvalidOperation
from typing import Any

from privacy.errors import Malformed
from valuation import exact
from valuation.desk.contract import is_unicode
from valuation.errors import OutOfRange

MAX_BYTES = 8 << 20
_LONGEST_INTEGER = 400


def parse(text: str | bytes) -> Any:
    """Read a request: every number as the exact decimal it spells; duplicate keys and NaN are refused.

    Raises:
        Malformed: if it is no such JSON, or longer than 8 MiB; no part of the text is repeated.
    """
    if len(text) > MAX_BYTES:
        raise Malformed(f"the request is longer than {MAX_BYTES} bytes", fix="send a smaller request")
    try:
        if isinstance(text, bytes):
            text = text.decode("utf-8")
        return json.loads(
            text,
            parse_float=Decimal,
            parse_int=_integer,
            parse_constant=_no_number,
            object_pairs_hook=_object,
        )
    except (ValueError, RecursionError, InvalidOperation):
        raise Malformed("the request is not JSON in UTF-8", fix="send one JSON value with finite numbers") from None


def _integer(text: str) -> int | Decimal:
    # a very long integer is left to the contract, which refuses it by the name of its key
    return int(text) if len(text) <= _LONGEST_INTEGER else Decimal(text)


def _no_number(_: str) -> Any:
    raise ValueError


def _object(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if not all(map(is_unicode, found)):
        raise ValueError  # such a key could not even be named in an answer
    if len(found) != len(pairs):
        keys = [key for key, _ in pairs]
        key = next(key for place, key in enumerate(keys) if key in keys[:place])
        raise OutOfRange(key if len(key) <= 60 and key.isprintable() else "(a key)", "objects without duplicate keys")
    return found


def spell(value: Any) -> str:
    """Write outputs as JSON; a ``Decimal`` as the number it is, in plain notation unless that takes over 40 zeros."""
    if isinstance(value, Decimal):
        plain = value.is_zero() or -40 <= value.adjusted() <= 40
        return exact.spell(value) if plain else str(value)
    if isinstance(value, dict):
        return "{" + ", ".join(f"{spell(str(key))}: {spell(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(spell(item) for item in value) + "]"
    return json.dumps(value, ensure_ascii=False, allow_nan=False)
