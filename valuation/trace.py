"""A figure carries its reasons: label, value, unit, formula, source, the figures it follows from, its evidence.

A report is a walk over these; a number without a node cannot get into one.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Any

from privacy.errors import Mismatch
from valuation import exact
from valuation.errors import WrongType
from valuation.money import Money


@dataclass(frozen=True, slots=True)
class Traced:
    """One figure. ``key`` is its name within a report (dotted, unique), ``label`` what a reader sees.

    ``value`` is money, or a ``Decimal`` in ``unit`` (``share``, ``rows``, ``years``, ``index``, ...; the currency for
    money). ``formula`` is written over the labels of ``because``; a figure that was given has the formula ``given``.
    ``evidence`` is the SHA-256 of the document or release that supports it, empty for a derived figure.
    """

    key: str
    label: str
    value: Money | Decimal
    unit: str
    formula: str
    source: str
    because: tuple["Traced", ...] = ()
    evidence: str = ""

    @property
    def fraction(self) -> Fraction:
        """The value as an exact rational, as written: what a figure that builds on this one computes with."""
        return self.value.fraction if isinstance(self.value, Money) else Fraction(self.value)

    @property
    def money(self) -> Money:
        """The value as money.

        Raises:
            WrongType: if the figure is not an amount.
        """
        if not isinstance(self.value, Money):
            raise WrongType(self.key, "an amount of money")
        return self.value

    def walk(self) -> Iterator["Traced"]:
        """Yield every figure this one rests on, reasons first, each once, this one last."""
        yield from walk(self)

    def find(self, key: str) -> "Traced":
        """Return the figure of that key among this one and its reasons.

        Raises:
            KeyError: if there is none.
        """
        for figure in self.walk():
            if figure.key == key:
                return figure
        raise KeyError(key)

    def to_json(self) -> dict[str, Any]:
        """Return the canonical JSON object; reasons are named by key, since several figures may share one."""
        amount = self.value.amount if isinstance(self.value, Money) else self.value
        return {
            "key": self.key,
            "label": self.label,
            "value": exact.spell(amount),
            "unit": self.unit,
            "formula": self.formula,
            "source": self.source,
            "because": [reason.key for reason in self.because],
            "evidence": self.evidence,
        }


def given(
    key: str, label: str, value: Money | Decimal | int, *, source: str, unit: str = "", evidence: str = ""
) -> Traced:
    """Make the node of a figure that was supplied rather than derived."""
    number = Decimal(value) if isinstance(value, int) else value
    return Traced(key, label, number, _unit(number, unit), "given", source, (), evidence)


def derived(
    key: str,
    label: str,
    value: Money | Fraction,
    *,
    formula: str,
    because: tuple[Traced, ...],
    source: str,
    unit: str = "",
) -> Traced:
    """Make the node of a figure that follows from others; an exact number is written to 34 significant digits."""
    number = exact.written(value) if isinstance(value, Fraction) else value
    return Traced(key, label, number, _unit(number, unit), formula, source, because)


def walk(*roots: Traced) -> Iterator[Traced]:
    """Yield the figures of several trees, reasons before conclusions, each key once.

    Raises:
        Mismatch: if two different figures share a key.
    """
    seen: dict[str, Traced] = {}
    # an explicit stack: a long chain of reasons must not meet the interpreter's recursion limit
    stack = [(root, False) for root in reversed(roots)]
    while stack:
        figure, reasons_done = stack.pop()
        known = seen.get(figure.key)
        if known is not None:
            if known is not figure and known != figure:
                raise Mismatch(f"two figures are called {figure.key}", fix="give each figure its own key")
            continue
        if reasons_done:
            seen[figure.key] = figure
            yield figure
        else:
            stack.append((figure, True))
            stack.extend((reason, False) for reason in reversed(figure.because))


def _unit(value: Money | Decimal, unit: str) -> str:
    return value.currency if isinstance(value, Money) else unit
