"""From a release to the table that the question asked for: each figure with its error, unusable groups named."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

from exchange.analyst.query import Output, Question
from privacy.release import Estimate, Release

STEADY = 8
"""Standard deviations of its noise that a count must reach for the delta method's interval of an average to hold; below, the
row is cautioned."""


@dataclass(frozen=True, slots=True)
class Row:
    """One group: its values, its figures by output name, and what speaks against using them, if anything."""

    group: tuple[str, ...]
    figures: dict[str, Estimate | None]
    caution: str = ""


def rows(question: Question, release: Release, *, min_group: int) -> Iterator[Row]:
    """Yield a row for every group of the public domain, in domain order of the columns shown.

    A group whose noisy count is below ``min_group`` keeps its row, without figures: it is listed, never dropped. An average
    over few rows is cautioned.
    """
    shown = [output for output in question.outputs if output.what == "group"]
    domains = {group.column: group.domain for group in release.plan.groups}
    order = [group.column for group in release.plan.groups]
    counts = [measure.key for measure in release.plan.measures if measure.key.startswith("count(")]
    for values in product(*(domains[output.column] for output in shown)):
        cell = tuple(value for _, value in sorted(zip((o.column for o in shown), values, strict=True)))
        least = min((release.estimate(key, cell).value for key in counts), default=None)
        if order and least is not None and least < min_group:
            yield Row(values, {o.name: None for o in question.outputs if o.what != "group"}, f"fewer than {min_group}")
        else:
            figures = {o.name: _figure(o, release, cell) for o in question.outputs if o.what != "group"}
            shaky = any(o.what == "avg" and not _steady(release, o.column, cell) for o in question.outputs)
            yield Row(values, figures, "average over few rows: its error is larger than shown" if shaky else "")


def _figure(output: Output, release: Release, cell: tuple[str, ...]) -> Estimate | None:
    match output.what:
        case "count":
            return release.estimate(f"count({output.column})", cell)
        case "sum":
            return release.estimate(f"sum({output.column})", cell)
        case _:
            total, count = f"sum({output.column})", f"count({output.column})"
            return release.estimate(total, cell).over(release.estimate(count, cell))


def _steady(release: Release, column: str, cell: tuple[str, ...]) -> bool:
    """Whether a column's count stands out enough for the delta method's interval of its average."""
    count = release.estimate(f"count({column})", cell)
    return count.value > 0 and count.value**2 >= STEADY**2 * count.variance
