"""A question: the plan that travels, and what the asker alone keeps: which figures its cells make, and how they are shown.

Everything here is about noisy cells that were released already: it costs nothing and nobody else sees it.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from fractions import Fraction

from privacy.expression import ByBand, ByCase, ByCategory, ByDate, Dimension, Term, Test, Value
from privacy.plan import Plan
from privacy.terms import Standard


@dataclass(frozen=True, slots=True)
class Aggregate:
    """One aggregate.

    ``name`` is ROWS (COUNT(*)), UNITS (COUNT of distinct people), KNOWN (COUNT of a category), COUNT, SUM, AVG, VAR_POP,
    VAR_SAMP, STDDEV_POP, STDDEV_SAMP, COVAR_POP, COVAR_SAMP, CORR, QUANTILE or HISTOGRAM.

    ``terms`` are what it is of, ``column`` of KNOWN; ``where`` is the test of its rows; ``band`` the bands of a quantile or
    histogram, and ``probability`` which quantile, in (0, 1).
    """

    name: str
    terms: tuple[Term, ...] = ()
    where: Test | None = None
    column: str = ""
    band: ByBand | None = None
    probability: Fraction | None = None


@dataclass(frozen=True, slots=True)
class Operation:
    """Arithmetic of two figures; ``sign`` is + - * or /."""

    sign: str
    left: "Formula"
    right: "Formula"


Formula = Aggregate | Operation | Fraction
"""How a figure is made of cells."""


@dataclass(frozen=True, slots=True)
class Output:
    """One column of the answer: the labels of a dimension, or a figure."""

    name: str
    of: Dimension | Formula

    @property
    def is_group(self) -> bool:
        """Whether the column holds labels."""
        return not isinstance(self.of, Aggregate | Operation | Fraction)


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two figures compared by = <> < <= > >=; unknown where one has no value."""

    sign: str
    left: Formula
    right: Formula


@dataclass(frozen=True, slots=True)
class Joined:
    """AND or OR of conditions."""

    sign: str
    conditions: tuple["Condition", ...]


@dataclass(frozen=True, slots=True)
class Negated:
    """NOT."""

    condition: "Condition"


Condition = Comparison | Joined | Negated
"""HAVING: judged on noisy values, in three-valued logic."""


@dataclass(frozen=True, slots=True)
class Sorting:
    """One item of ORDER BY: a figure, or a dimension by the order of its labels."""

    of: Dimension | Formula
    descending: bool = False


@dataclass(frozen=True, slots=True)
class Sheet:
    """A table function: ``name`` is woe_iv, auc, psi, crosstab, linear_regression or ridge_regression.

    The first four count rows by two ``dimensions``: feature and label, score bands and label, feature and split, rows and
    columns of the table; a label's last value is the event, a split's last value is the actual population. A regression has
    ``terms``, the response first, and ``ridge`` >= 0.
    """

    name: str
    dimensions: tuple[Dimension, ...] = ()
    terms: tuple[Term, ...] = ()
    ridge: Fraction = Fraction(0)


@dataclass(frozen=True, slots=True)
class Question:
    """A plan over a standard and how its answer is shown.

    ``places`` says where each item that the plan uses stands in the text (line and column, from 1), under the name that minimum
    necessity gives it, such as ``balance as sum``.
    """

    plan: Plan
    standard: Standard
    outputs: tuple[Output, ...]
    sheet: Sheet | None = None
    having: Condition | None = None
    order: tuple[Sorting, ...] = ()
    limit: int | None = None
    offset: int = 0
    places: Mapping[str, tuple[int, int]] = field(default_factory=dict, compare=False)

    @property
    def groups(self) -> tuple[Output, ...]:
        """The columns that hold labels."""
        return tuple(output for output in self.outputs if output.is_group)

    @property
    def shown(self) -> tuple[Output, ...]:
        """The columns that hold figures."""
        return tuple(output for output in self.outputs if not output.is_group)

    def at(self, rho: int) -> "Question":
        """Return the question at ``rho`` (1e-9), split evenly over its measures.

        Raises:
            Malformed: if that leaves a measure without a price, or is above 100 rho.
        """
        return replace(self, plan=replace(self.plan, rho=rho, prices=()))

    def priced(self, prices: Mapping[str, int]) -> "Question":
        """Return the question with other prices (1e-9 rho) by measure key.

        Raises:
            Malformed: if one is not above 0, or their sum is above 100 rho. KeyError: if a measure has none.
        """
        told = tuple(prices[measure.key] for measure in self.plan.measures)
        return replace(self, plan=replace(self.plan, rho=sum(told), prices=told))


def aggregates(of: Formula | Condition) -> Iterator[Aggregate]:
    """Yield every aggregate in a formula or condition."""
    match of:
        case Aggregate():
            yield of
        case Operation(_, left, right) | Comparison(_, left, right):
            yield from aggregates(left)
            yield from aggregates(right)
        case Joined(_, conditions):
            for condition in conditions:
                yield from aggregates(condition)
        case Negated(condition):
            yield from aggregates(condition)
        case Fraction():
            pass


def asked(question: Question) -> Iterator[Aggregate]:
    """Yield every aggregate that a question needs, shown or not."""
    for output in question.outputs:
        if isinstance(output.of, Aggregate | Operation | Fraction):
            yield from aggregates(output.of)
    if question.having is not None:
        yield from aggregates(question.having)
    for sorting in question.order:
        if isinstance(sorting.of, Aggregate | Operation | Fraction):
            yield from aggregates(sorting.of)


def default_name(of: Dimension | Formula) -> str:
    """Return the name of an output that was given none."""
    match of:
        case ByCategory(column) | ByBand(column):
            return column
        case ByDate(column, part):
            return f"{part.rpartition('-')[2]}_{column}"
        case ByCase():
            return "label"
        case Aggregate("ROWS"):
            return "count"
        case Aggregate("UNITS"):
            return "people"
        case Aggregate("KNOWN", column=column):
            return f"count_{column}"
        case Aggregate(name, band=ByBand(column)):
            return f"{name.lower()}_{column}"
        case Aggregate(name, terms) if all(isinstance(term, Value) for term in terms):
            return "_".join((name.lower(), *map(str, terms)))
        case Aggregate(name):
            return name.lower()
        case _:
            return "figure"
