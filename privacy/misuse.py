"""What a standard's columns are, and where a plan uses them as something else."""

from collections.abc import Iterator, Mapping

from privacy.expression import ByCategory, ByDate, Item, OneOf, known, walk
from privacy.plan import CountKnown, Measure, Plan, computed, term_of
from privacy.terms import Column, Kind, Standard


def columns_of(standard: Standard) -> dict[str, Column]:
    """Return the columns that a question can use, by name: all but identifiers."""
    return {column.name: column for column in standard.columns if column.kind is not Kind.IDENTIFIER}


def misfits(plan: Plan, standard: Standard) -> Iterator[tuple[str, str]]:
    """Yield the columns that are used as another kind than they are, or beyond the standard's bounds and labels, and why.

    Identifiers and columns that the standard lacks are the floor's to name.
    """
    held = columns_of(standard)
    for item in (*plan.where, *plan.groups, *plan.measures):
        yield from misused(item, held)
    for name, bounds in plan.bounds:
        declared = held[name].bounds if name in held else None
        if declared is not None and not declared.covers(bounds):
            yield name, "the bounds leave the standard's"
    for by in plan.groups:
        if isinstance(by, ByCategory) and by.column in held and not set(known(by)) <= set(held[by.column].domain):
            yield by.column, "the standard's public domain has other values"


def misused(used: Item | Measure, held: Mapping[str, Column]) -> Iterator[tuple[str, str]]:
    """Yield the columns that one item uses as another kind than they are, and why that has no meaning."""
    inner = term_of(used) if isinstance(used, Measure) else used
    items = [] if inner is None else list(walk(inner))
    dated = {item.column for item in items if isinstance(item, ByDate)}
    named = {item.column for item in items if isinstance(item, OneOf | ByCategory)}
    named |= {used.column} if isinstance(used, CountKnown) else set()
    for columns, kinds, why in (
        (dated, {Kind.DATE}, "only a date has such parts"),
        (named, {Kind.CATEGORY}, "only a category is compared with values"),
        (computed([used]), {Kind.MEASURE, Kind.DATE}, "a category has no numbers"),
    ):
        yield from ((name, why) for name in sorted(columns & set(held)) if held[name].kind not in kinds)
