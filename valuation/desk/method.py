"""A method of the desk: its contract as data, and one function from validated exact inputs to outputs."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Any

from valuation import exact
from valuation.desk.contract import Field, Group, ListOf, Number, refuse_floats, rows, unusual, weigh
from valuation.errors import BadInput, OutOfRange

Given = Mapping[str, Any]
"""Inputs as read: ``Fraction`` for numbers, ``int`` for integers, tuples for lists, dicts for objects."""

Figures = dict[str, Any]
"""Outputs of a method function: ``Fraction`` for numbers, otherwise as in JSON."""

LARGEST_RESULT = Fraction(10) ** 300
"""A result of this size or more has no place in a JSON reader's double."""


@dataclass(frozen=True, slots=True)
class Output:
    """A key of the outputs. ``type`` is spelled as in the contract; ``inner`` names the keys of fixed objects."""

    key: str
    unit: str
    meaning: str
    type: str = "number"
    inner: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Remark:
    """A warning beside a result: the input or output ``key`` it is about, and why it was said."""

    key: str
    text: str

    def to_json(self) -> dict[str, str]:
        """Return the JSON object."""
        return {"key": self.key, "text": self.text}


Flags = Callable[[Given, Figures], Iterable[Remark]]


def _none(_given: Given, _figures: Figures) -> Iterable[Remark]:
    return ()


@dataclass(frozen=True, slots=True)
class Method:
    """One method: what it is for, its mathematics, its inputs and outputs, and its function.

    ``numeric`` methods agree to 1e-6 in relative terms, all others to 1e-9. ``conditions`` are the rules between keys that
    the function itself checks. ``flags`` looks at inputs and results and remarks; it refuses nothing.
    """

    name: str
    title: str
    purpose: str
    formula: str
    latex: str
    source: str
    inputs: tuple[Field, ...]
    outputs: tuple[Output, ...]
    conditions: tuple[str, ...]
    numeric: bool
    compute: Callable[[Given], Figures]
    flags: Flags

    def read(self, inputs: Any, *, floats: bool = True) -> dict[str, Any]:
        """Read the inputs exactly; binary floats count as their shortest spelling, or are refused.

        Raises:
            BadInput: naming the key.
        """
        weigh(inputs)
        if not floats:
            refuse_floats(inputs)
        return Group(self.inputs).read(inputs, "")

    def figures(self, given: Given) -> Figures:
        """Compute the outputs as exact numbers.

        Raises:
            BadInput: for inputs whose result is undefined or absurdly large.
        """
        try:
            return self.compute(given)
        except ArithmeticError:
            raise OutOfRange("inputs", "inputs for which the method has a result of ordinary size") from None

    def outputs_of(self, figures: Figures) -> dict[str, Any]:
        """Write the outputs in the contract's order: numbers as ``Decimal`` of 34 significant digits, integers as ``int``."""
        return {output.key: _written(figures[output.key], output.type, output.key) for output in self.outputs}

    def remarks(self, given: Given, figures: Figures) -> tuple[Remark, ...]:
        """What is unusual about the inputs, and what the method itself flags."""
        outside = tuple(
            Remark(path, f"outside the usual range {usual}") for path, usual in unusual(Group(self.inputs), given, "")
        )
        return outside + tuple(self.flags(given, figures))

    def to_json(self) -> dict[str, Any]:
        """The contract as a JSON object, for documentation and faces."""
        return {
            "name": self.name,
            "title": self.title,
            "purpose": self.purpose,
            "formula": self.formula,
            "latex": self.latex,
            "source": self.source,
            "tolerance": "1e-6" if self.numeric else "1e-9",
            "inputs": [
                {
                    "key": row.key,
                    "type": row.type,
                    "unit": row.unit,
                    "range": row.range,
                    "usual": row.usual or None,
                    "optional": row.optional,
                    "meaning": row.meaning,
                }
                for row in rows(self.inputs)
            ],
            "conditions": list(self.conditions),
            "outputs": [
                {"key": output.key, "type": output.type, "unit": output.unit, "meaning": output.meaning}
                for output in self.outputs
            ],
        }


def method(
    *,
    title: str,
    formula: str,
    latex: str,
    source: str,
    inputs: tuple[Field, ...],
    outputs: tuple[Output, ...],
    conditions: tuple[str, ...] = (),
    numeric: bool = False,
    flags: Flags = _none,
) -> Callable[[Callable[[Given], Figures]], Method]:
    """Declare the contract of the function below; its name is the method's name, its docstring the purpose."""

    def declared(function: Callable[[Given], Figures]) -> Method:
        return Method(
            name=function.__name__,
            title=title,
            purpose=(function.__doc__ or "").strip(),
            formula=formula,
            latex=latex,
            source=source,
            inputs=inputs,
            outputs=outputs,
            conditions=conditions,
            numeric=numeric,
            compute=function,
            flags=flags,
        )

    return declared


def _written(value: Any, kind: str, key: str) -> Any:
    if value is None and kind.endswith("or null"):
        return None
    if kind.startswith("list of "):
        inner = kind.removeprefix("list of ")
        return [_written(item, inner, key) for item in value]
    if kind.startswith("object of "):
        inner = kind.removeprefix("object of ")
        return {name: _written(item, inner, key) for name, item in value.items()}
    if kind.startswith("number"):
        return _number(Fraction(value), key)
    return value


def _number(value: Fraction, key: str) -> Decimal:
    if abs(value) >= LARGEST_RESULT:
        raise OutOfRange(key, "results below 10^300 in magnitude")
    return exact.written(value)


def field(
    key: str,
    unit: str,
    allowed: str,
    meaning: str,
    *,
    usual: str = "",
    whole: bool = False,
    null: bool = False,
) -> Field:
    """A key that holds one number."""
    return Field(key, Number(unit, allowed, usual, whole, null), meaning)


def series(
    key: str,
    unit: str,
    allowed: str,
    meaning: str,
    *,
    usual: str = "",
    along: str = "",
    least: int = 1,
) -> Field:
    """A key that holds a list of numbers."""
    return Field(key, ListOf(Number(unit, allowed, usual), least), meaning, along=along)


def table(key: str, meaning: str, *columns: Field) -> Field:
    """A key that holds a list of objects with the same keys."""
    return Field(key, ListOf(Group(columns)), meaning)


__all__ = [
    "BadInput",
    "Field",
    "Figures",
    "Flags",
    "Given",
    "Method",
    "Output",
    "Remark",
    "field",
    "method",
    "series",
    "table",
]
