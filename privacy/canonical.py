"""One spelling for every value that is hashed or signed: RFC 8785 JSON without floats.

Objects with sorted string keys, arrays, strings, booleans, null and integers below 2**63 in magnitude (RFC 8785 stops at
2**53, where doubles end; ours are read as integers); no floats, so that no two parsers can disagree. Keys stay within
the Basic Multilingual Plane, where sorting by code point and by UTF-16 unit, as RFC 8785 does, is the same. Parsing refuses every other spelling of the same value (spaces, duplicate keys,
escapes that need not be), so equal bytes and equal values are the same thing.
"""

import hashlib
import json
from collections.abc import Iterable
from typing import Any

from privacy.errors import Malformed

MAX_BYTES = 1 << 22
MAX_DEPTH = 32
MAX_INTEGER = 1 << 63
LAST_KEY_CHARACTER = "\uffff"


def encode(value: Any) -> bytes:
    """Return the canonical UTF-8 bytes of a JSON value.

    Raises:
        Malformed: for floats, integers of 64 bits or more, keys that are not text, lone surrogates or deep nesting.
    """
    _check(value, depth=0)
    try:
        text = json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"), allow_nan=False)
        return text.encode("utf-8")
    except (UnicodeEncodeError, ValueError, TypeError):
        raise Malformed("the value has no canonical form", fix="send text as UTF-8 and numbers as integers") from None


def decode(data: bytes) -> Any:
    """Parse canonical bytes; anything that would not be written back byte for byte is refused.

    Raises:
        Malformed: with no part of the input in the message.
    """
    if len(data) > MAX_BYTES:
        raise Malformed(f"the document is longer than {MAX_BYTES} bytes", fix="send a smaller document")
    try:
        value = json.loads(data.decode("utf-8"), parse_float=_no_float, parse_constant=_no_float)
    except (UnicodeDecodeError, ValueError, RecursionError):
        raise Malformed(
            "the document is not JSON in UTF-8", fix="send canonical JSON (RFC 8785, integers only)"
        ) from None
    if encode(value) != data:
        raise Malformed("the document is not in canonical form", fix="send canonical JSON (RFC 8785, integers only)")
    return value


def digest(value: Any) -> str:
    """SHA-256 of the canonical bytes, as 64 hexadecimal digits."""
    return hashlib.sha256(encode(value)).hexdigest()


def _no_float(_: str) -> Any:
    raise ValueError


_PLAIN = (str, bool)


def _check(value: Any, *, depth: int) -> None:
    # most of what is checked is text in lists and objects: that is decided first, and without another call
    if value is None or isinstance(value, _PLAIN):
        return
    if depth > MAX_DEPTH:
        raise Malformed(f"the document nests deeper than {MAX_DEPTH} levels", fix="send a flatter document")
    if isinstance(value, int):
        if not -MAX_INTEGER < value < MAX_INTEGER:
            raise Malformed("an integer needs more than 63 bits", fix="send large numbers as text")
    elif isinstance(value, dict):
        _check_keys(value)
        _check_all(value.values(), depth=depth + 1)
    elif isinstance(value, list | tuple):
        _check_all(value, depth=depth + 1)
    else:
        raise Malformed("the value is not JSON without floats", fix="send integers, text, lists and objects")


def _check_all(values: Iterable[Any], *, depth: int) -> None:
    for value in values:
        if type(value) is not str:
            _check(value, depth=depth)


def _check_keys(value: dict[Any, Any]) -> None:
    for key in value:
        if not isinstance(key, str) or (not key.isascii() and max(key) > LAST_KEY_CHARACTER):
            raise Malformed("an object key is not text of the Basic Multilingual Plane", fix="use plain text keys")
