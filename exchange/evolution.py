"""What may change from one version of a standard to the next, and what has changed, in plain words.

A version is published once and never changes; datasets under an older one go on working under it, as a joint table of its
own. A new version is compatible if everything that a dataset mapped, a policy granted or a guarantee rested on still means
the same:

=====================================  =========================================================================
may change                             why
=====================================  =========================================================================
title, meaning of a column             words for people
a new column, at the end or between    what is not mapped is unknown; nobody has granted it
a value appended to a domain           the values before keep their positions; a value outside was unknown anyway
fewer rows of a person count           the reach of a person falls, so every price stays enough
a person at more institutions          the reach is priced with this number, so it may only be told too large
bounds within the earlier bounds       one value moves a sum by less
bands where there were none            no earlier histogram had others
a column no longer required            a complete row needs less
=====================================  =========================================================================

Everything else is refused: a column gone, or of another kind, unit or decimals; values removed or in another order; wider
bounds; other bands; a column newly required; another identifier; more rows of a person; a person at fewer institutions.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from privacy.errors import Malformed, Refused
from privacy.terms import Bounds, Column, Standard


@dataclass(frozen=True, slots=True)
class Change:
    """One difference between two versions: where it is, in words, and whether what rests on the older one survives it."""

    place: str
    words: str
    compatible: bool


def changes(old: Standard, new: Standard) -> tuple[Change, ...]:
    """Return every difference between two standards, those that are not compatible first."""
    found = [*_of_standard(old, new), *_of_columns(old, new)]
    return tuple(sorted(found, key=lambda change: change.compatible))


def check_compatible(old: Standard, new: Standard) -> None:
    """Refuse a version that is not compatible with the one before.

    Raises:
        Malformed: if it is not a later version of the same standard.
        Refused: naming every change that is not compatible.
    """
    if old.name != new.name or new.version <= old.version:
        raise Malformed("the standard is not a later version", fix=f"give it the name {old.name} and a higher version")
    broken = [f"{change.place} {change.words}" for change in changes(old, new) if not change.compatible]
    if broken:
        raise Refused(
            f"the version is not compatible with {old.id}: {'; '.join(broken)}",
            fix="publish it under a name of its own, or leave these as they are",
        )


def _of_standard(old: Standard, new: Standard) -> Iterator[Change]:
    if old.title != new.title:
        yield Change("title", "has other words", compatible=True)
    if old.unit != new.unit:
        yield Change("unit of privacy", f"was {old.unit}, is {new.unit}", compatible=False)
    if old.rows_per_unit != new.rows_per_unit:
        words = f"counted at most {old.rows_per_unit} rows, counts {new.rows_per_unit}"
        yield Change("a person", words, compatible=new.rows_per_unit < old.rows_per_unit)
    if old.institutions_per_unit != new.institutions_per_unit:
        words = f"was at up to {old.institutions_per_unit} institutions, is at {new.institutions_per_unit}"
        yield Change("a person", words, compatible=new.institutions_per_unit > old.institutions_per_unit)


def _of_columns(old: Standard, new: Standard) -> Iterator[Change]:
    kept = {column.name: column for column in new.columns}
    before = {column.name for column in old.columns}
    for column in old.columns:
        if column.name in kept:
            yield from _of_column(column, kept[column.name])
        else:
            yield Change(f"column {column.name}", "is gone", compatible=False)
    for column in new.columns:
        if column.name not in before:
            words = f"is new: {column.kind.value}, {column.meaning}"
            # a row that was complete would not be any more
            yield Change(f"column {column.name}", words, compatible=not column.required)


def _of_column(old: Column, new: Column) -> Iterator[Change]:
    place = f"column {old.name}"
    if old.meaning != new.meaning:
        yield Change(place, "is described in other words", compatible=True)
    for what, was, now in (
        ("kind", old.kind.value, new.kind.value),
        ("unit", old.unit, new.unit),
        ("decimals", str(old.decimals), str(new.decimals)),
    ):
        if was != now:
            yield Change(place, f"had {what} {was or '(none)'}, has {now or '(none)'}", compatible=False)
    if old.bounds != new.bounds:
        narrower = old.bounds is not None and new.bounds is not None and old.bounds.covers(new.bounds)
        yield Change(place, f"had bounds {_told(old.bounds)}, has {_told(new.bounds)}", compatible=narrower)
    if old.domain != new.domain:
        extended = new.domain[: len(old.domain)] == old.domain
        words = f"gains the values {', '.join(new.domain[len(old.domain) :])}" if extended else "lost or moved values"
        yield Change(place, words, compatible=extended and bool(old.domain))
    if old.edges != new.edges:
        yield Change(place, "has bands" if not old.edges else "has other bands", compatible=not old.edges)
    if old.required != new.required:
        words = "is required now" if new.required else "is no longer required"
        yield Change(place, words, compatible=not new.required)


def _told(bounds: Bounds | None) -> str:
    return "none" if bounds is None else f"{bounds.lower} to {bounds.upper}"
