"""What a method takes and gives, declared once as data: reading, documentation and the faces all follow it.

A JSON number means the exact decimal it spells. ``int``, ``Decimal`` and ``float`` are taken, a float by its shortest
spelling (which is the text it was parsed from, up to 15 digits); integer and decimal spellings of one value are one
input. A ``Fraction`` is refused: a number of the contract is a decimal. Nothing is clipped or converted beyond that.
Read numbers are ``Fraction``, integers ``int``, lists tuples. No message repeats a foreign value.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from functools import cache
from itertools import islice
from typing import Any, Protocol

from valuation.errors import MissingKey, OutOfRange, UnknownKey, WrongType

MAX_DIGITS = 100
"""Significant digits that an input may have."""

MAX_MAGNITUDE = 100
"""An input that is not 0 lies between ``10**-100`` and ``10**101`` in magnitude."""

MAX_LIST = 1_000
"""Elements of an ordinary list: a thousand periods, deals, claims or lenders."""

MAX_NODES = 250_000
"""Values in one request, all lists and objects counted through."""

MAX_TEXT = 500
MAX_DEPTH = 64
_SHOWN_NAME = 60


@dataclass(frozen=True, slots=True)
class Interval:
    """The numbers that a text such as ``(0,1]``, ``>=0`` or ``any`` describes."""

    text: str
    low: Fraction | None = None
    high: Fraction | None = None
    low_open: bool = False
    high_open: bool = False

    def holds(self, value: Fraction) -> bool:
        """Whether ``value`` lies inside, decided exactly."""
        if self.low is not None and (value < self.low or (self.low_open and value == self.low)):
            return False
        return self.high is None or value < self.high or (value == self.high and not self.high_open)


@cache
def interval(text: str) -> Interval:
    """Parse the notation of the contract: ``any``, ``>0``, ``>=-1``, ``(a,b)``, ``[a,b]`` and the half-open ones."""
    if text == "any":
        return Interval(text)
    if text.startswith(">"):
        return Interval(text, low=Fraction(text.lstrip(">=")), low_open="=" not in text)
    low, high = text[1:-1].split(",")
    return Interval(text, Fraction(low), Fraction(high), text.startswith("("), text.endswith(")"))


class Shape(Protocol):
    """Type of an input: how it is read, and how it is described."""

    def read(self, value: Any, path: str) -> Any:
        """Return the exact value; raise a ``BadInput`` that names ``path``."""

    @property
    def words(self) -> str:
        """The type in words."""


@dataclass(frozen=True, slots=True)
class Number:
    """A number of ``unit`` in ``range``; outside ``usual`` it only warns. ``whole``: an integer. ``null``: or nothing."""

    unit: str = ""
    range: str = "any"
    usual: str = ""
    whole: bool = False
    null: bool = False

    def read(self, value: Any, path: str) -> Fraction | int | None:
        """Read exactly; a whole number becomes ``int``, any other a ``Fraction``."""
        if value is None and self.null:
            return None
        number = exact_number(value, path)
        if self.whole and number.denominator != 1:
            raise WrongType(path, "an integer")
        if not interval(self.range).holds(number):
            raise OutOfRange(path, self.range)
        return number.numerator if self.whole else number

    @property
    def words(self) -> str:
        """``number``, ``integer``, or one of them ``or null``."""
        return ("integer" if self.whole else "number") + (" or null" if self.null else "")


@dataclass(frozen=True, slots=True)
class Text:
    """A string of at most 500 characters, perhaps one of ``choices``. ``null``: or nothing."""

    choices: tuple[str, ...] = ()
    null: bool = False

    def read(self, value: Any, path: str) -> str | None:
        """Return the text as it is."""
        if value is None and self.null:
            return None
        if not isinstance(value, str):
            raise WrongType(path, "text")
        if self.choices and value not in self.choices:
            raise OutOfRange(path, "{" + ", ".join(self.choices) + "}")
        if not is_unicode(value):
            raise WrongType(path, "Unicode text (it holds a lone surrogate)")
        if len(value) > MAX_TEXT:
            raise OutOfRange(path, f"texts of at most {MAX_TEXT} characters")
        return value

    @property
    def words(self) -> str:
        """``string``, perhaps ``or null``."""
        return "string or null" if self.null else "string"


@dataclass(frozen=True, slots=True)
class Flag:
    """true or false."""

    def read(self, value: Any, path: str) -> bool:
        """Return the boolean."""
        if not isinstance(value, bool):
            raise WrongType(path, "true or false")
        return value

    @property
    def words(self) -> str:
        """``boolean``."""
        return "boolean"


@dataclass(frozen=True, slots=True)
class ListOf:
    """A list of ``least`` to ``most`` elements."""

    item: Shape
    least: int = 1
    most: int = MAX_LIST

    def read(self, value: Any, path: str) -> tuple[Any, ...]:
        """Read each element under its own path."""
        if not isinstance(value, list | tuple):
            raise WrongType(path, "a list")
        if not self.least <= len(value) <= self.most:
            raise OutOfRange(path, f"lists of {self.least} to {self.most} elements")
        return tuple(self.item.read(item, f"{path}[{index}]") for index, item in enumerate(value))

    @property
    def words(self) -> str:
        """``list of ...``; a list of two numbers is a pair."""
        if self.least == self.most == 2:
            return "pair of number"
        inner = self.item.words
        return "list of " + (f"lists{inner.removeprefix('list')}" if inner.startswith("list") else inner)


@dataclass(frozen=True, slots=True)
class ObjectOf:
    """An object of at most ``most`` entries with names that are data; if ``names`` is given, with all of these and no other."""

    value: Shape
    names: tuple[str, ...] = ()
    most: int = MAX_LIST

    def read(self, value: Any, path: str) -> dict[str, Any]:
        """Read each value under its name, in the order given."""
        if not isinstance(value, Mapping):
            raise WrongType(path, "an object")
        if len(value) > self.most:
            raise OutOfRange(path, f"objects of at most {self.most} entries")
        for name in value:
            if not isinstance(name, str) or not 0 < len(name) <= MAX_TEXT:
                raise WrongType(path, f"an object with names of 1 to {MAX_TEXT} characters")
            if self.names and name not in self.names:
                raise UnknownKey(named(path, name))
        for name in self.names:
            if name not in value:
                raise MissingKey(named(path, name))
        return {name: self.value.read(item, named(path, name)) for name, item in value.items()}

    @property
    def words(self) -> str:
        """``object of ...``."""
        return f"object of {self.value.words}"


@dataclass(frozen=True, slots=True)
class Field:
    """A key with its shape and meaning. Lists with the same ``along`` have equal length."""

    key: str
    shape: Shape
    meaning: str
    optional: bool = False
    along: str = ""


@dataclass(frozen=True, slots=True)
class Group:
    """An object with exactly the keys of ``fields``, optional ones perhaps left out."""

    fields: tuple[Field, ...]

    def read(self, value: Any, path: str) -> dict[str, Any]:
        """Read every key; unknown keys are named before missing ones, and those before wrong values."""
        if not isinstance(value, Mapping):
            raise WrongType(path or "inputs", "an object")
        known = {field.key for field in self.fields}
        for name in value:
            if name not in known:
                raise UnknownKey(named(path, name))
        for field in self.fields:
            if field.key not in value and not field.optional:
                raise MissingKey(named(path, field.key))
        read = {
            field.key: field.shape.read(value[field.key], named(path, field.key))
            for field in self.fields
            if field.key in value
        }
        first: dict[str, Field] = {}
        for field in self.fields:
            if field.along and field.key in read:
                leader = first.setdefault(field.along, field)
                if len(read[field.key]) != len(read[leader.key]):
                    raise OutOfRange(named(path, field.key), f"lists as long as {named(path, leader.key)}")
        return read

    @property
    def words(self) -> str:
        """``object``."""
        return "object"


@dataclass(frozen=True, slots=True)
class Document:
    """A JSON object of strings, integers, booleans, nulls, lists and objects; no fractions, no exponents."""

    def read(self, value: Any, path: str) -> dict[str, Any]:
        """Return the document; numbers are plain ``int`` afterwards."""
        if not isinstance(value, Mapping):
            raise WrongType(path, "an object")
        return {_document_key(name, path): _document(item, named(path, name)) for name, item in value.items()}

    @property
    def words(self) -> str:
        """``object``."""
        return "object"


def _document_key(name: Any, path: str) -> str:
    if not isinstance(name, str) or not is_unicode(name):
        raise WrongType(path, "an object with names of Unicode text")
    return name


def _document(value: Any, path: str) -> Any:
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        if not is_unicode(value):
            raise WrongType(path, "Unicode text (it holds a lone surrogate)")
        return value
    if isinstance(value, int):
        return exact_number(value, path).numerator
    if isinstance(value, Mapping):
        return {_document_key(name, path): _document(item, named(path, name)) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_document(item, f"{path}[{index}]") for index, item in enumerate(value)]
    raise WrongType(path, "a string, integer, boolean, null, list or object (write other numbers as decimal text)")


def is_unicode(text: str) -> bool:
    """Whether ``text`` can be written as UTF-8: no lone surrogates."""
    return text.isascii() or not any("\ud800" <= character <= "\udfff" for character in text)


def named(path: str, name: Any) -> str:
    """Path of an entry; a name that is foreign and long, or no text, is not repeated."""
    shown = name if isinstance(name, str) and len(name) <= _SHOWN_NAME and is_unicode(name) else "(a key)"
    return f"{path}.{shown}" if path else shown


def exact_number(value: Any, path: str) -> Fraction:
    """The exact decimal that ``value`` spells.

    Raises:
        WrongType: for booleans, text, fractions. OutOfRange: if not finite, of more than 100 digits, or of absurd size.
    """
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        raise WrongType(path, "a number")
    # an integer is measured before it becomes text: 10**400 must not cost anything
    if isinstance(value, int) and abs(value) >= 10 ** (MAX_MAGNITUDE + 1):
        raise OutOfRange(path, f"numbers below 10^{MAX_MAGNITUDE + 1} in magnitude")
    number = Decimal(float.__repr__(value)) if isinstance(value, float) else Decimal(value)
    tame = number.is_finite() and (number.is_zero() or abs(number.adjusted()) <= MAX_MAGNITUDE)
    if not tame or len(number.as_tuple().digits) > MAX_DIGITS:
        raise OutOfRange(path, f"finite numbers of at most {MAX_DIGITS} digits and of ordinary size")
    return Fraction(0) if number.is_zero() else Fraction(number)


def weigh(inputs: Any) -> None:
    """Refuse a request of more than 250,000 values or 64 levels before anything in it is read.

    Raises:
        OutOfRange: naming ``inputs``.
    """
    count, level = 0, [inputs]
    for _ in range(MAX_DEPTH + 1):
        count += len(level)
        if count > MAX_NODES:
            raise OutOfRange("inputs", f"requests of at most {MAX_NODES} values")
        # lazily, so that a list repeated in itself a thousand times over is not laid out first
        below = (item for value in level if isinstance(value, Mapping | list | tuple) for item in _children(value))
        level = list(islice(below, MAX_NODES + 1))
        if not level:
            return
    raise OutOfRange("inputs", f"requests of at most {MAX_DEPTH} levels")


def _children(value: Any) -> Iterable[Any]:
    return value.values() if isinstance(value, Mapping) else value


def refuse_floats(value: Any, path: str = "") -> None:
    """Refuse binary floats anywhere: for callers whose numbers were never one.

    Raises:
        WrongType: naming the key.
    """
    if isinstance(value, float):
        raise WrongType(path or "inputs", "an exact number (parse JSON with parse_float=Decimal)")
    if isinstance(value, Mapping):
        for name, item in value.items():
            refuse_floats(item, named(path, name))
    elif isinstance(value, list | tuple):
        for index, item in enumerate(value):
            refuse_floats(item, f"{path}[{index}]")


@dataclass(frozen=True, slots=True)
class Row:
    """A line of the input table: one leaf of the contract."""

    key: str
    type: str
    unit: str
    range: str
    usual: str
    meaning: str
    optional: bool


def rows(fields: tuple[Field, ...], path: str = "", *, optional: bool = False) -> Iterator[Row]:
    """Yield the leaves of a contract in order, with paths such as ``items[].year`` and ``base.rate``."""
    for field in fields:
        key = f"{path}{field.key}"
        beside = optional or field.optional
        match field.shape:
            case Group(fields=inner):
                yield from rows(inner, f"{key}.", optional=beside)
            case ListOf(item=Group(fields=inner)):
                yield from rows(inner, f"{key}[].", optional=beside)
            case ListOf(item=ListOf(item=Group(fields=inner))):
                yield from rows(inner, f"{key}[][].", optional=beside)
            case shape:
                leaf = _leaf(shape)
                number = leaf if isinstance(leaf, Number) else Number()
                choices = "{" + ", ".join(leaf.choices) + "}" if isinstance(leaf, Text) and leaf.choices else ""
                yield Row(key, shape.words, number.unit, choices or number.range, number.usual, field.meaning, beside)


def _leaf(shape: Shape) -> Shape:
    match shape:
        case ListOf(item=inner) | ObjectOf(value=inner):
            return _leaf(inner)
        case _:
            return shape


def unusual(shape: Shape, value: Any, path: str) -> Iterator[tuple[str, str]]:
    """Yield path and usual range of every number that was read and lies outside its usual range."""
    match shape:
        case Number(usual=usual) if usual and value is not None and not interval(usual).holds(Fraction(value)):
            yield path, usual
        case ListOf(item=inner):
            for index, item in enumerate(value):
                yield from unusual(inner, item, f"{path}[{index}]")
        case ObjectOf(value=inner):
            for name, item in value.items():
                yield from unusual(inner, item, named(path, name))
        case Group(fields=fields):
            for field in fields:
                if field.key in value:
                    yield from unusual(field.shape, value[field.key], named(path, field.key))
