"""Which rows a question is about, against those that a grant opens."""

from collections.abc import Iterable
from dataclasses import replace

from privacy.expression import Between, ByBand, ByCategory, Dimension, OneOf, Test
from privacy.plan import computed
from privacy.terms import UNKNOWN


def missing_rows(where: Iterable[Test], groups: Iterable[Dimension], demanded: Iterable[Test]) -> list[Test]:
    """Return the tests that neither a test nor a group of the plan makes already."""
    tests, dimensions = list(where), list(groups)
    return [
        scope
        for scope in demanded
        if not any(_within(test, scope) for test in tests) and not any(_inside(by, scope) for by in dimensions)
    ]


def _within(test: Test, scope: Test) -> bool:
    """Whether every row that passes ``test`` passes ``scope``; in doubt not."""
    match test, scope:
        case OneOf(column, listed), OneOf(other, opened):
            return column == other and set(listed) <= set(opened)
        case Between(term, lower, upper), Between(other, least, most) if term == other:
            above = least is None or (lower is not None and lower >= least)
            return above and (most is None or (upper is not None and upper <= most))
        case _:
            return test == scope


def _inside(by: Dimension, scope: Test) -> bool:
    """Whether every row that a dimension has a label for passes ``scope``; in doubt not."""
    match by, scope:
        case ByCategory(column, labels), OneOf(other, opened):
            return column == other and UNKNOWN not in labels and set(labels) <= set(opened)
        case ByBand(column, edges, labels), Between() as between:
            return (
                UNKNOWN not in labels
                and _within(replace(between, lower=edges[0], upper=edges[-1]), between)
                and (computed([between]) == {column} and str(between.term) == column)
            )
        case _:
            return False
