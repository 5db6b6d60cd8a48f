"""Errors before they are paid for: what cells to expect, how exact figures would be, and the prices that make them so.

Nothing here reads rows. What is not known of the data comes from stored answers, from what the asker expects, or is left open.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from fractions import Fraction
from math import inf, isclose, isfinite, sqrt

from exchange.analyst.desk import variances
from exchange.analyst.noisy import Cells, Figure, Noisy, deviations
from exchange.analyst.pricing import Target, cheapest
from exchange.analyst.question import Question
from privacy.expression import decimals, extent
from privacy.plan import CountUnits, Histogram, Measure, Plan, Sum, width
from privacy.terms import Standard

Figures = Mapping[str, Sequence[Figure | None]]
"""By column: the figure of every group, ``None`` where it cannot be shown."""

Evaluate = Callable[[Question, Cells], Figures]
"""Works out every figure of a question from cells."""

MARGIN = 0.999
"""Part of a wanted variance that prices aim at: noise scales are rounded up, by a three-thousandth at most."""


def assumed(plan: Plan, standard: Standard, *, rows: int) -> Cells:
    """Return cells such as groups of ``rows`` rows would have, with the noise of ``plan``.

    Values are taken to lie three quarters up their range, which makes ratios err a little more than usual; people have as
    many rows as may count.
    """
    places = standard.decimals

    def value(measure: Measure) -> Fraction:
        match measure:
            case Sum(term):
                low, high = extent(term, plan.clipped)
                return Fraction(rows * (low + 3 * high), 4 * 10 ** decimals(term, places))
            case Histogram():
                return Fraction(rows, width(measure))
            case CountUnits():
                return Fraction(rows, plan.rows_per_unit)
            case _:
                return Fraction(rows)

    values = {measure.key: value(measure) for measure in plan.measures}
    return _noised(plan, standard, lambda key, _group, _slot: values[key])


def with_noise_of(plan: Plan, standard: Standard, cells: Cells) -> Cells:
    """Return the values of ``cells`` with the noise that ``plan`` would put on them."""
    return _noised(plan, standard, lambda key, group, slot: cells(key, group, slot).value)


def _noised(plan: Plan, standard: Standard, value: Callable[[str, tuple[str, ...], int], Fraction | float]) -> Cells:
    places = standard.decimals
    told = variances(plan)
    spreads = {
        measure.key: sqrt(told[measure.key]) / (10 ** decimals(measure.term, places) if isinstance(measure, Sum) else 1)
        for measure in plan.measures
    }

    def cell(key: str, group: tuple[str, ...] = (), slot: int = 0) -> Noisy:
        return Noisy.cell(plan.place(key, group, slot), value(key, group, slot), spreads[key])

    return cell


def half(figure: Figure | None) -> float | None:
    """Return half the width of a figure's interval; nothing if there is no figure."""
    return None if figure is None or figure.value is None else (figure.high - figure.low) / 2


def worst(figures: Figures) -> dict[str, float | None]:
    """Return by column the largest half-width over all groups; nothing where no group has a figure."""
    found = {}
    for name, listed in figures.items():
        halves = [wide for figure in listed if (wide := half(figure)) is not None]
        largest = max(halves, default=inf)
        found[name] = largest if isfinite(largest) else None
    return found


def depending(question: Question, standard: Standard, evaluate: Evaluate) -> frozenset[str]:
    """Return the columns whose error depends on the data: those for which it is another in groups of another size."""
    few = worst(evaluate(question, assumed(question.plan, standard, rows=1_000)))
    many = worst(evaluate(question, assumed(question.plan, standard, rows=100_000)))
    return frozenset(name for name in few if not _alike(few[name], many[name]))


def _alike(one: float | None, other: float | None) -> bool:
    return one is not None and other is not None and isclose(one, other, rel_tol=1e-6)


def priced_for(
    question: Question,
    accuracy: Mapping[str, float],
    *,
    cells: Cells,
    stored: Figures | None,
    evaluate: Evaluate,
) -> Question:
    """Price each measure so that every figure has at most the half-width of ``accuracy`` for its column, at the least sum.

    ``cells`` are those to expect, with the noise of the question's own plan. ``stored`` are the same figures from stored
    answers: they count, so that only what is missing is paid for. To first order; what is met is checked afterwards by looking.

    Raises:
        Refused: if no budget reaches it.
    """
    plan, reach = question.plan, deviations(0.95)
    prices = {measure.key: price for measure, price in zip(plan.measures, plan.prices, strict=True)}
    # each measure's part of a figure's variance is that of the figure with this noise alone
    alone = {key: evaluate(question, _only(key, cells)) for key in prices}
    targets = []
    for name, wanted in accuracy.items():
        for index in range(len(next(iter(alone.values()))[name])):
            told = None if stored is None else half(stored[name][index])
            variance = _missing(MARGIN * (wanted / reach) ** 2, None if told is None else (told / reach) ** 2)
            halves = {key: half(figures[name][index]) for key, figures in alone.items()}
            if variance is None or None in halves.values():
                continue
            costs = {key: (wide / reach) ** 2 * prices[key] for key, wide in halves.items() if wide}
            targets.append(Target(costs, variance))
    floor = 1 if plan.shared is None else 2
    return question.priced(cheapest(targets, measures=list(prices), floor=floor))


def _only(measure: str, cells: Cells) -> Cells:
    """The same cells with the noise of one measure alone."""

    def cell(key: str, group: tuple[str, ...] = (), slot: int = 0) -> Noisy:
        found = cells(key, group, slot)
        return found if key == measure else replace(found, parts={})

    return cell


def _missing(wanted: float, held: float | None) -> float | None:
    """Return the variance that a new answer may have, so that together with the stored one it is as wanted; nothing if it is."""
    if held is None or held <= 0:
        return wanted if held is None else None
    return None if held <= wanted else 1 / (1 / wanted - 1 / held)
