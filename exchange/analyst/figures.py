"""From cells to figures: what each formula of a question comes to in one group, with its interval.

Cells are read by measure key, group labels and band, whatever they come from: one release, several made consistent, or
cells assumed before anything is asked. The formulas are the same for all.
"""

from collections.abc import Sequence
from fractions import Fraction
from functools import cached_property

from exchange.analyst import moments, regression, statistics
from exchange.analyst.noisy import Cells, Figure, Noisy, TooNoisy, ratio, steady
from exchange.analyst.planning import JOINT, Recipe, counted, planner_of, products
from exchange.analyst.question import (
    Aggregate,
    Comparison,
    Condition,
    Formula,
    Joined,
    Negated,
    Operation,
    Question,
    asked,
)
from exchange.analyst.spelling import spell_term
from privacy.plan import Measure

Group = tuple[str, ...]
"""Labels of a group, in the order of the plan's dimensions."""

Judged = statistics.Comparison | statistics.Discrimination | statistics.Contingency | regression.Regression
"""What a table function comes to."""


class Reckoning:
    """Works out figures of one question from its cells; intervals hold with probability ``level`` in (0, 1)."""

    def __init__(self, question: Question, cells: Cells, *, level: float = 0.95) -> None:
        self._question = question
        self._cells = cells
        self._level = level
        self._planner = planner_of(question)
        self._counted = counted(asked(question), self._planner)
        self._recipes: dict[Aggregate, Recipe] = {}

    def figure(self, of: Formula, group: Group = ()) -> Figure:
        """Return a formula's figure in one group; without a value where noise leaves nothing to show."""
        try:
            return self._figure(of, group)
        except TooNoisy as error:
            return Figure.missing(error.reason)

    def bands(self, of: Aggregate, group: Group = ()) -> list[Figure]:
        """Return the figures of a histogram, band by band."""
        return [Figure.around(cell, level=self._level) for cell in self._bins(of, group)]

    def holds(self, condition: Condition, group: Group = ()) -> bool | None:
        """Return whether a condition holds for a group's noisy values; ``None`` where a value is missing."""
        match condition:
            case Negated(inner):
                told = self.holds(inner, group)
                return None if told is None else not told
            case Joined(sign, inner_ones):
                found = {self.holds(inner, group) for inner in inner_ones}
                decisive = sign == "OR"  # one true decides OR, one false decides AND
                return decisive if decisive in found else None if None in found else not decisive
            case Comparison(sign, left, right):
                one, other = (self.figure(side, group).value for side in (left, right))
                if one is None or other is None:
                    return None
                return {
                    "=": one == other,
                    "<>": one != other,
                    "<": one < other,
                    "<=": one <= other,
                    ">": one > other,
                    ">=": one >= other,
                }[sign]

    # -- one aggregate ---------------------------------------------------------------------------------------------

    def _figure(self, of: Formula, group: Group) -> Figure:
        match of:
            case Fraction():
                return Figure(of, float(of), float(of))
            case Aggregate():
                return self._aggregate(of, group)
            case Operation("*", Fraction() as factor, inner) | Operation("*", inner, Fraction() as factor):
                return scaled(self._figure(inner, group), factor)
            case Operation("/", inner, Fraction() as by):
                return scaled(self._figure(inner, group), 1 / by)
            case Operation("/", above, below):
                upper, lower = self._noisy(above, group), self._noisy(below, group)
                return (
                    ratio(upper, lower, level=self._level)
                    if lower.value > 0
                    else ratio(-upper, -lower, level=self._level)
                )
            case Operation():
                shaky = "" if self._steady(of, group) else "few rows beside the noise: the error is larger than shown"
                return Figure.around(self._noisy(of, group), level=self._level, caution=shaky)

    def _aggregate(self, of: Aggregate, group: Group) -> Figure:
        if of.name == "QUANTILE" and of.band is not None and of.probability is not None:
            scale = 10 ** self._planner.decimals[of.band.column]
            edges = [Fraction(edge, scale) for edge in of.band.edges]
            return statistics.quantile(self._bins(of, group), edges, of.probability, level=self._level)
        recipe = self._recipe(of)
        if of.name in ("ROWS", "UNITS", "KNOWN", "COUNT", "SUM"):
            return Figure.around(self._noisy(of, group), level=self._level)
        count, totals = self._read(recipe, group)
        sample, level = of.name.endswith("SAMP"), self._level
        match of.name:
            case "AVG":
                return moments.mean(count, totals[0], recipe.centres[0], level=level)
            case "VAR_POP" | "VAR_SAMP":
                return moments.variance(count, *totals, sample=sample, level=level)
            case "STDDEV_POP" | "STDDEV_SAMP":
                return moments.deviation(count, *totals, sample=sample, level=level)
            case "CORR":
                return moments.correlation(count, *totals, level=level)
            case name if name in JOINT:
                return moments.covariance(count, *totals, sample=sample, level=level)
            case _:
                raise ValueError(of.name)

    def _noisy(self, of: Formula, group: Group) -> Noisy:
        """Return a formula's value with its noise, to first order.

        Raises:
            TooNoisy: if noise leaves nothing to divide by or to take the root of.
        """
        match of:
            case Fraction():
                return Noisy.constant(of)
            case Operation(sign, left, right):
                one, other = self._noisy(left, group), self._noisy(right, group)
                match sign:
                    case "+":
                        return one + other
                    case "-":
                        return one - other
                    case "*":
                        return one * other
                    case _:
                        return one / other
            case Aggregate(name):
                recipe = self._recipe(of)
                count, totals = self._read(recipe, group)
                if name == "SUM":
                    return totals[0] + count * recipe.centres[0] if recipe.count is not None else totals[0]
                return _first_order(name, count, totals, recipe.centres)

    def _steady(self, of: Formula, group: Group) -> bool:
        """Whether every count that a formula divides by stands out from its noise."""
        match of:
            case Operation(sign, left, right):
                divisor = sign != "/" or isinstance(right, Fraction) or steady(abs_of(self._noisy(right, group)))
                return divisor and self._steady(left, group) and self._steady(right, group)
            case Aggregate(name) if name not in ("ROWS", "UNITS", "KNOWN", "COUNT", "SUM"):
                return steady(self._read(self._recipe(of), group)[0])
            case _:
                return True

    # -- tables ----------------------------------------------------------------------------------------------------

    @cached_property
    def judged(self) -> Judged:
        """What the question's table function comes to.

        Raises:
            TooNoisy: if its rows do not stand out from the noise.
        """
        sheet, level, seed = self._question.sheet, self._level, self._question.plan.hash
        if sheet is None:
            raise ValueError("the question has no table function")
        if sheet.terms:
            return regression.regression(self._moments(), ridge=float(sheet.ridge), level=level, seed=seed)
        table = self.table
        labels = sheet.dimensions[0].labels
        first, second = ([row[column] for row in table] for column in (0, 1))
        match sheet.name:
            case "woe_iv":  # the last label is the event
                return statistics.woe_iv(second, first, labels, level=level, seed=seed)
            case "auc":
                return statistics.auc(second, first, level=level, seed=seed)
            case "psi":
                return statistics.psi(first, second, labels, level=level, seed=seed)
            case _:
                return statistics.crosstab(table, level=level, seed=seed)

    @cached_property
    def table(self) -> list[list[Noisy]]:
        """Counts of a table function by the labels of its two dimensions."""
        sheet, plan = self._question.sheet, self._question.plan
        if sheet is None or not sheet.dimensions:
            raise ValueError("the question counts no table")
        across, down = sheet.dimensions
        straight = plan.groups[0] == across
        return [
            [self._cells("count(*)", (one, other) if straight else (other, one), 0) for other in down.labels]
            for one in across.labels
        ]

    def _moments(self) -> regression.Moments:
        sheet = self._question.sheet
        if sheet is None:
            raise ValueError("the question has no table function")
        recipe = self._planner.sheet(sheet)
        count, totals = self._read(recipe, ())
        size = len(sheet.terms)
        scales = recipe.reaches
        crossed = iter(
            total / (scales[later] * scales[earlier])
            for total, (later, earlier) in zip(totals[size:], products(size), strict=True)
        )
        return regression.Moments(
            names=tuple(spell_term(self._question, term) for term in (*sheet.terms[1:], sheet.terms[0])),
            centres=recipe.centres,
            scales=scales,
            count=count,
            totals=tuple(total / scale for total, scale in zip(totals, scales, strict=False)),
            products=tuple(tuple(next(crossed) for _ in range(row + 1)) for row in range(size)),
        )

    # -- cells -----------------------------------------------------------------------------------------------------

    def _recipe(self, of: Aggregate) -> Recipe:
        if of not in self._recipes:
            self._recipes[of] = self._planner.recipe(of, self._counted)
        return self._recipes[of]

    def _read(self, recipe: Recipe, group: Group) -> tuple[Noisy, list[Noisy]]:
        count = Noisy.constant(0) if recipe.count is None else self._cell(recipe.count, group)
        return count, [self._cell(total, group) for total in recipe.totals]

    def _cell(self, measure: Measure, group: Group) -> Noisy:
        return self._cells(measure.key, group, 0)

    def _bins(self, of: Aggregate, group: Group) -> Sequence[Noisy]:
        (measure,) = self._recipe(of).totals
        width = len(of.band.labels) if of.band is not None else 0
        return [self._cells(measure.key, group, slot) for slot in range(width)]


def scaled(figure: Figure, by: Fraction) -> Figure:
    """Return a figure times a number."""
    value = None if figure.value is None else figure.value * (by if isinstance(figure.value, Fraction) else float(by))
    ends = sorted((figure.low * float(by), figure.high * float(by))) if by else [0.0, 0.0]
    return Figure(value, ends[0], ends[1], figure.caution)


def abs_of(noisy: Noisy) -> Noisy:
    """Return a value or its negative, whichever is not below 0."""
    return noisy if noisy.value >= 0 else -noisy


def _first_order(name: str, count: Noisy, totals: Sequence[Noisy], centres: Sequence[Fraction]) -> Noisy:
    if not totals:
        return count
    if name == "AVG":
        return totals[0] / count + centres[0]
    rows = count - 1 if name.endswith("SAMP") else count
    if name in ("COVAR_POP", "COVAR_SAMP"):
        return (totals[2] - totals[0] * totals[1] / count) / rows
    if name == "CORR":
        x, y = (totals[2 + index] - totals[index] * totals[index] / count for index in (0, 1))
        return (totals[4] - totals[0] * totals[1] / count) / (x * y).sqrt()
    spread = (totals[1] - totals[0] * totals[0] / count) / rows
    return spread.sqrt() if name.startswith("STDDEV") else spread
