"""The table that a question asked for: every group of the public domain with its figures, in the order asked for.

What is not shown is told: groups that are too small keep their row without figures, those that HAVING or LIMIT leave out are
counted. All of it is done on noisy values that were released already.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product

from exchange.analyst import regression, statistics
from exchange.analyst.figures import Group, Reckoning
from exchange.analyst.noisy import Cells, Figure, TooNoisy
from exchange.analyst.question import Aggregate, Output, Question, Sorting, default_name
from exchange.analyst.result import Cell, Table
from privacy.expression import ByBand, ByCase, ByCategory, ByDate, Dimension, tested
from privacy.plan import CountKnown, CountPresent, CountRows, CountUnits, Plan
from privacy.terms import UNKNOWN


@dataclass(frozen=True, slots=True)
class Row:
    """One group: its labels as shown, its figures by output name (``None``: not shown), and what speaks against using it.

    A histogram's figures stand under ``name band``, such as ``histogram_balance 0 to 20``.
    """

    group: tuple[str, ...]
    figures: Mapping[str, Figure | None]
    caution: str = ""


@dataclass(frozen=True, slots=True)
class Rows:
    """An answer: the rows ``shown``, in order; the groups too ``small`` to show figures of; how many others were left out.

    Those of them of rows without a label are ``nameless``: most data has none, so they are told in a note, not in rows.
    ``unmet`` groups do not meet HAVING, ``cut`` lie beyond LIMIT and OFFSET.
    """

    shown: tuple[Row, ...]
    small: tuple[Row, ...] = ()
    nameless: tuple[Row, ...] = ()
    unmet: int = 0
    cut: int = 0


def figures(question: Question, cells: Cells) -> dict[str, list[Figure]]:
    """Return the figures of every group, by output name, in the order of the public labels; a histogram's band by band.

    A table function has none.
    """
    if question.sheet is not None:
        return {}
    reckoning = Reckoning(question, cells)
    found: dict[str, list[Figure]] = {output.name: [] for output in question.shown}
    for _, group in _groups(question):
        for output in question.shown:
            found[output.name] += [figure for _, figure in _figures(output, reckoning, group)]
    return found


def rows(question: Question, cells: Cells, *, min_group: int) -> Rows:
    """Return the rows of a question without a table function.

    A group is small if the least of its noisy counts (of rows, people or values; not of those that pass a FILTER) is below
    ``min_group``; a question without groups is never small. Small groups are neither ordered nor limited.
    """
    reckoning = Reckoning(question, cells)
    kept: list[tuple[Group, Row]] = []
    small: list[Row] = []
    nameless: list[Row] = []
    unmet = 0
    for labels, group in _groups(question):
        if question.plan.groups and _least(question.plan, cells, group) < min_group:
            nothing: dict[str, Figure | None] = dict.fromkeys(columns(question))
            listed = nameless if UNKNOWN in labels else small
            listed.append(Row(labels, nothing, f"fewer than {min_group}"))
        elif question.having is not None and reckoning.holds(question.having, group) is not True:
            unmet += 1
        else:
            told = [pair for output in question.shown for pair in _figures(output, reckoning, group)]
            cautions = dict.fromkeys(figure.caution for _, figure in told if figure.caution)
            kept.append((group, Row(labels, dict(told), "; ".join(cautions))))
    for sorting in reversed(question.order):
        kept = _ordered(kept, sorting, question, reckoning)
    ended = None if question.limit is None else question.offset + question.limit
    shown = tuple(row for _, row in kept[question.offset : ended])
    return Rows(shown, tuple(small), tuple(nameless), unmet, len(kept) - len(shown))


def columns(question: Question) -> tuple[str, ...]:
    """Return the names of the figures of an answer's rows."""
    return tuple(name for output in question.shown for name in _names(output))


def tabulate(question: Question, cells: Cells, *, min_group: int) -> Table:
    """Return the table of a question: its rows, then its small groups; or what its table function comes to."""
    if question.sheet is not None:
        try:
            return _sheet(question, Reckoning(question, cells))
        except TooNoisy as error:
            return Table((), frozenset(), (), (), (f"{error.reason}: {error.fix}",))
    found = rows(question, cells, min_group=min_group)
    names = [name for output in question.outputs for name in _names(output)]
    labels = {output.name: index for index, output in enumerate(question.groups)}
    listed = (*found.shown, *found.small)
    told = tuple(
        tuple(row.group[labels[name]] if name in labels else row.figures[name] for name in names) for row in listed
    )
    return Table(tuple(names), frozenset(labels), told, tuple(row.caution for row in listed), tuple(_notes(found)))


def _notes(found: Rows) -> Iterator[str]:
    def groups(count: int) -> str:
        return "1 group" if count == 1 else f"{count} groups"

    if found.small:
        yield f"{groups(len(found.small))} without figures: {found.small[0].caution}"
    if found.nameless:
        yield f"{groups(len(found.nameless))} of rows without a label: {found.nameless[0].caution}"
    if found.unmet:
        yield f"{groups(found.unmet)} left out by HAVING"
    if found.cut:
        yield f"{groups(found.cut)} left out by LIMIT"


def _names(output: Output) -> list[str]:
    if isinstance(output.of, Aggregate) and output.of.name == "HISTOGRAM" and output.of.band is not None:
        return [f"{output.name} {label}" for label in output.of.band.labels]
    return [output.name]


def _figures(output: Output, reckoning: Reckoning, group: Group) -> list[tuple[str, Figure]]:
    match output.of:
        case ByCategory() | ByBand() | ByDate() | ByCase():
            return []
        case Aggregate("HISTOGRAM") as histogram:
            return list(zip(_names(output), reckoning.bands(histogram, group), strict=True))
        case formula:
            return [(output.name, reckoning.figure(formula, group))]


def _groups(question: Question) -> Iterator[tuple[tuple[str, ...], Group]]:
    """Yield the labels of every group as shown, and in the order of the plan's dimensions."""
    shown = [output.of for output in question.groups if isinstance(output.of, ByCategory | ByBand | ByDate | ByCase)]
    places = [shown.index(by) for by in question.plan.groups]
    for labels in product(*(by.labels for by in shown)):
        yield labels, tuple(labels[place] for place in places)


def _least(plan: Plan, cells: Cells, group: Group) -> float:
    """The least noisy count of a group that no FILTER narrows; no bound if there is none."""
    told = []
    for measure in plan.measures:
        plain = isinstance(measure, CountRows | CountUnits | CountKnown)
        if plain or (isinstance(measure, CountPresent) and not tested(measure.term)):
            told.append(float(cells(measure.key, group, 0).value))
    return min(told, default=float("inf"))


def _ordered(
    kept: Sequence[tuple[Group, Row]], sorting: Sorting, question: Question, reckoning: Reckoning
) -> list[tuple[Group, Row]]:
    of = sorting.of
    if isinstance(of, ByCategory | ByBand | ByDate | ByCase):
        place = question.plan.groups.index(of)
        ranks = {label: rank for rank, label in enumerate(of.labels)}
        return sorted(kept, key=lambda pair: ranks[pair[0][place]], reverse=sorting.descending)
    values = [(reckoning.figure(of, pair[0]).value, pair) for pair in kept]
    known = [(value, pair) for value, pair in values if value is not None]
    known.sort(key=lambda told: told[0], reverse=sorting.descending)
    return [pair for _, pair in known] + [pair for value, pair in values if value is None]


# -- table functions -------------------------------------------------------------------------------------------------


def _sheet(question: Question, reckoning: Reckoning) -> Table:
    judged = reckoning.judged
    dimensions = question.sheet.dimensions if question.sheet is not None else ()
    match judged:
        case statistics.Comparison():
            first, second, log, part = {
                "woe_iv": ("share_of_others", "share_of_events", "woe", "iv"),
                "psi": ("actual_share", "expected_share", "log_ratio", "psi"),
            }[question.sheet.name if question.sheet is not None else ""]
            listed: list[tuple[Cell, ...]] = [
                (one.label, one.first, one.second, one.log_ratio, one.contribution) for one in judged.parts
            ]
            listed.append(("(whole)", None, None, None, judged.whole))
            return _table((default_name(dimensions[0]), first, second, log, part), 1, listed)
        case statistics.Discrimination():
            listed = [("auc", judged.auc), ("gini", judged.gini), ("ks", judged.ks)]
            return _table(("statistic", "value"), 1, listed)
        case statistics.Contingency():
            return _contingency(judged, dimensions, reckoning)
        case regression.Regression():
            listed = [
                (
                    one.name or "(intercept)",
                    one.figure,
                    None if one.sampling_error is None else _exactly(one.sampling_error),
                )
                for one in (judged.intercept, *judged.coefficients)
            ]
            listed += [("(r squared)", judged.r_squared, None), ("(rows)", judged.rows, None)]
            return _table(("term", "coefficient", "sampling_error"), 1, listed)


def _contingency(judged: statistics.Contingency, dimensions: Sequence[Dimension], reckoning: Reckoning) -> Table:
    across, down = dimensions
    listed: list[tuple[Cell, ...]] = []
    for one, counts, fitted in zip(across.labels, reckoning.table, judged.expected, strict=True):
        for other, count, expected in zip(down.labels, counts, fitted, strict=True):
            listed.append((one, other, Figure.around(count), _exactly(expected)))
    names = (default_name(across), default_name(down), "count", "expected")
    told = [f"{judged.freedom} degrees of freedom"]
    told += [] if judged.chi_square is None else [f"chi-square {judged.chi_square:,.4g}"]
    told += [] if judged.p_value is None else [f"p {judged.p_value:.3g} for independence"]
    strength = judged.cramers_v
    if strength.value is None:
        told.append(f"no chi-square: {strength.caution}")
    else:
        told.append(f"Cramér's V {float(strength.value):.3f} ({strength.low:.3f} to {strength.high:.3f})")
    return _table(names, 2, listed, notes=(", ".join(told),))


def _table(
    names: tuple[str, ...], labels: int, listed: Sequence[tuple[Cell, ...]], notes: tuple[str, ...] = ()
) -> Table:
    cautions = tuple(
        "; ".join(dict.fromkeys(cell.caution for cell in row if isinstance(cell, Figure) and cell.caution))
        for row in listed
    )
    unique = tuple(name if names.index(name) == index else f"{name}_{index + 1}" for index, name in enumerate(names))
    return Table(unique, frozenset(unique[:labels]), tuple(listed), cautions, notes)


def _exactly(value: float) -> Figure:
    return Figure(value, value, value)
