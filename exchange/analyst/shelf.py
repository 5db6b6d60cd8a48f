"""The answers that a desk has: repeats, coarser questions and refinements are read off them, free of further charge.

Every answer stays in a file of its own, readable by its owner alone. A question is answered from the finest stored one
that holds its cells over the same versions of the data, and made consistent with all others that add up from it: the
stored cells x with noises of variance D are moved by least squares towards the sums y = A x + noise of variance E that
other releases told, x + D A' (A D A' + E)^-1 (y - A x) (Hay, Rastogi, Miklau and Suciu 2010, section 4, for trees; this is the
same estimate for any sums). So children add up to their parents, and what was asked twice at different prices is one
answer, better than both.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction
from math import sqrt
from pathlib import Path
from typing import Any

from exchange import identity
from exchange.analyst.noisy import Cells, Noisy, total
from exchange.analyst.rollup import Domains, Places, derive
from privacy import canonical
from privacy.errors import Malformed
from privacy.plan import Plan
from privacy.release import Release

MOST_SUMS = 200
"""Sums of other releases that one measure is made consistent with; beyond, the releases of fewest cells come first."""


@dataclass(frozen=True, slots=True)
class Stored:
    """One answer as it was opened: the release, its receipt, the versions of the parties' data.

    ``opened`` is when, in seconds since 1970, ``took`` how many seconds it took from the question to the answer.
    """

    release: Release
    receipt: Mapping[str, Any]
    versions: Mapping[str, str]
    min_group: int
    opened: int
    took: int

    def to_json(self) -> dict[str, Any]:
        """Return the canonical JSON object of the file."""
        return {
            "release": self.release.to_json(),
            "receipt": dict(self.receipt),
            "versions": dict(self.versions),
            "min_group": self.min_group,
            "opened": self.opened,
            "took": self.took,
        }

    @classmethod
    def from_json(cls, document: Any) -> "Stored":
        """Parse what :meth:`to_json` wrote.

        Raises:
            Malformed: if it is something else.
        """
        try:
            stored = cls(
                release=Release.from_json(document["release"]),
                receipt=document["receipt"],
                versions=document["versions"],
                min_group=document["min_group"],
                opened=document["opened"],
                took=document["took"],
            )
        except (KeyError, TypeError):
            raise Malformed(
                "the file is not a stored answer", fix="delete it; the question can be asked again"
            ) from None
        return stored


@dataclass(frozen=True, slots=True)
class Served:
    """Cells of a question read off stored answers, and the sessions that they come from, the finest first."""

    cells: Cells
    sources: tuple[Stored, ...]

    @property
    def min_group(self) -> int:
        """The least count of a group worth showing."""
        return max(stored.min_group for stored in self.sources)


class Shelf:
    """The stored answers under one directory."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._held: dict[str, Stored] = {}

    def keep(self, stored: Stored) -> None:
        """Store an answer durably, under the name of its session."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        path = self._folder / f"{stored.release.session}.json"
        if not path.exists():
            identity.write_secret(path, canonical.encode(stored.to_json()).decode())
        self._all()[stored.release.session] = stored

    def get(self, session: str) -> Stored | None:
        """Return the answer of one session, if it is stored."""
        return self._all().get(session)

    def newest(self) -> list[Stored]:
        """Return all answers, newest first."""
        return sorted(self._all().values(), key=lambda stored: (-stored.opened, stored.release.session))

    def serve(self, plan: Plan, versions: Mapping[str, str], domains: Domains) -> Served | None:
        """Answer ``plan`` from stored answers over these versions of the parties' data, if one holds its cells.

        ``domains`` are the public values of the standard's categories.
        """
        # one plan over one version has one answer, however often it was given: its noise counts once
        once = {stored.release.plan: stored for stored in self.newest() if stored.versions == versions}
        fitting = sorted(once.values(), key=lambda stored: (-stored.opened, stored.release.session))
        derived = [
            (stored, places) for stored in fitting if (places := derive(stored.release.plan, plan, domains)) is not None
        ]
        if not derived:
            return None
        base, places = max(derived, key=lambda pair: pair[0].release.plan.cells_count)
        others = [
            (stored, sums)
            for stored in fitting
            if stored is not base and (sums := derive(base.release.plan, stored.release.plan, domains)) is not None
        ]
        return serve(plan, base, places, others)

    def _all(self) -> dict[str, Stored]:
        """Return what is stored, with what was stored elsewhere since."""
        for path in self._folder.glob("*.json"):
            if path.stem not in self._held:
                with suppress(Malformed, OSError, ValueError):  # what cannot be read is asked again
                    self._held[path.stem] = Stored.from_json(json.loads(path.read_text("utf-8")))
        return self._held


def serve(plan: Plan, base: Stored, places: Places, others: Sequence[tuple[Stored, Places]]) -> Served:
    """Build the cells of ``plan``: sums, at ``places``, of the cells of ``base``, made consistent with ``others``.

    ``others`` come with the places in ``base`` that each of their cells adds up from.
    """
    held = _Held(base, sorted(others, key=lambda other: other[0].release.plan.cells_count))
    found: dict[int, Noisy] = {}

    def cell(measure: str, group: tuple[str, ...] = (), slot: int = 0) -> Noisy:
        place = plan.place(measure, group, slot)
        if place not in found:
            found[place] = held.sum(measure, places[place])
        return found[place]

    used = tuple(other for other, _ in held.used(measure.key for measure in plan.measures))
    return Served(cell, (base, *used))


class _Held:
    """The cells of one release with the sums that other releases tell of them."""

    def __init__(self, base: Stored, others: Sequence[tuple[Stored, Places]]) -> None:
        self._base = base.release
        self._others = others
        self._moved: dict[str, dict[int, Noisy]] = {}

    def used(self, measures: Any) -> list[tuple[Stored, Places]]:
        """Return the other releases that tell of any of these measures."""
        keys = set(measures)
        return [pair for pair in self._others if keys & {held.key for held in pair[0].release.plan.measures}]

    def sum(self, measure: str, places: Sequence[int]) -> Noisy:
        """Add up cells of the base."""
        if measure not in self._moved:
            self._moved[measure] = self._adjust(measure)
        moved = self._moved[measure]
        return total(moved[place] if place in moved else self._cell(measure, place) for place in places)

    def _cell(self, measure: str, place: int) -> Noisy:
        scale = Fraction(10) ** self._base.decimals.get(measure, 0)
        deviation = sqrt(self._base.variances[measure]) / float(scale)
        return Noisy.cell(place, Fraction(self._base.totals[place]) / scale, deviation)

    def _adjust(self, measure: str) -> dict[int, Noisy]:
        """Move the base's cells by least squares towards the sums that others tell; those that stay are left out."""
        cells: dict[int, Noisy] = {}
        moves: dict[int, list[Noisy]] = {}
        for sums in _apart(self._sums(measure)):
            touched = sorted({place for places, _ in sums for place in places})
            cells |= {place: self._cell(measure, place) for place in touched}
            members = [frozenset(places) for places, _ in sums]
            residuals = [told - total(cells[place] for place in places) for places, told in sums]
            # A D A' + E: what two sums share of the base's noise, and each sum's own
            matrix = [
                [
                    sum(cells[place].variance for place in mine & other)
                    + (sums[row][1].variance if mine is other else 0)
                    for other in members
                ]
                for row, mine in enumerate(members)
            ]
            for (places, _), weight in zip(sums, _solve(matrix, residuals), strict=True):
                for place in places:
                    moves.setdefault(place, [cells[place]]).append(weight * cells[place].variance)
        return {place: total(parts) for place, parts in moves.items()}

    def _sums(self, measure: str) -> list[tuple[tuple[int, ...], Noisy]]:
        """Return what other releases tell: places in the base and their sum, with noise of its own number."""
        sums: list[tuple[tuple[int, ...], Noisy]] = []
        number = self._base.plan.cells_count
        for other, derived in self._others:
            release = other.release
            keys = {held.key for held in release.plan.measures}
            measured = release.plan.places(measure) if measure in keys else range(0)
            if measured and len(sums) + len(measured) <= MOST_SUMS:
                scale = Fraction(10) ** release.decimals.get(measure, 0)
                deviation = sqrt(release.variances[measure]) / float(scale)
                for place in measured:
                    value = Fraction(release.totals[place]) / scale
                    sums.append((derived[place], Noisy.cell(number + place, value, deviation)))
            number += release.plan.cells_count
        return _merged((places, told) for places, told in sums if places)


def _merged(sums: Iterable[tuple[tuple[int, ...], Noisy]]) -> list[tuple[tuple[int, ...], Noisy]]:
    """Bring what was told several times of the same cells to one value each, weighted by how exact they are."""
    told: dict[tuple[int, ...], list[Noisy]] = {}
    for places, value in sums:
        told.setdefault(places, []).append(value)
    return [
        (places, total(value * (1 / value.variance) for value in values) / sum(1 / value.variance for value in values))
        for places, values in told.items()
    ]


def _apart(sums: Sequence[tuple[tuple[int, ...], Noisy]]) -> Iterator[list[tuple[tuple[int, ...], Noisy]]]:
    """Yield sums in sets that have no cell in common: each set is a system of its own."""
    waiting = list(sums)
    while waiting:
        found = [waiting.pop()]
        cells = set(found[0][0])
        grown = True
        while grown:
            joined = [item for item in waiting if not cells.isdisjoint(item[0])]
            waiting = [item for item in waiting if cells.isdisjoint(item[0])]
            cells.update(place for places, _ in joined for place in places)
            found += joined
            grown = bool(joined)
        yield found


def _solve(matrix: list[list[float]], right: list[Noisy]) -> list[Noisy]:
    """Solve a positive definite system by Cholesky's method; the right-hand side carries its noise along."""
    size = len(matrix)
    lower = [[0.0] * size for _ in range(size)]
    for row in range(size):
        for column in range(row + 1):
            rest = matrix[row][column] - sum(lower[row][k] * lower[column][k] for k in range(column))
            lower[row][column] = sqrt(rest) if row == column else rest / lower[column][column]
    forward: list[Noisy] = []
    for row in range(size):
        known = total(forward[k] * lower[row][k] for k in range(row) if lower[row][k])
        forward.append((right[row] - known) / lower[row][row])
    solved: list[Noisy] = [Noisy.constant(0)] * size
    for row in reversed(range(size)):
        known = total(solved[k] * lower[k][row] for k in range(row + 1, size) if lower[k][row])
        solved[row] = (forward[row] - known) / lower[row][row]
    return solved
