"""The coverage game: a pool is worth the identifiers it covers. Contributions in closed form, from releases alone.

An identifier that m institutions hold counts 1/m for each of them, which is the Shapley value. So an institution's
contribution follows from its own noisy counts of identifiers by number of holders, or from its one noisy sum, without a
utility of any coalition: one draw of noise, not 2^n - 1. Source: Shapley value of an additive union game.
"""

from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from enum import StrEnum
from fractions import Fraction
from itertools import pairwise
from typing import Any

from privacy import canonical
from privacy.errors import Mismatch
from privacy.release import Estimate, Release
from valuation import desk, exact
from valuation.asset import Citation
from valuation.contribution import Contributions, Noise
from valuation.desk.reals import total
from valuation.errors import OutOfRange
from valuation.intake import Record, within
from valuation.quality import Z95
from valuation.trace import Traced, derived, given

LAPLACE95 = Decimal("2.1184")
"""Half of a two-sided 95 % interval of the Laplace distribution, ln 20 / root 2 standard deviations, rounded up."""

IMPOSSIBLE_SIGMAS = 6
"""Counts that contradict each other by more than this are not explained by noise."""

HELD = "count(distinct unit)"
UNIT = "identifiers"


class Distribution(StrEnum):
    """Law of the noise of a released sum."""

    GAUSSIAN = "gaussian"
    LAPLACE = "laplace"


@dataclass(frozen=True, slots=True)
class HolderCounts:
    """One institution's identifiers by number of holders in the pool, released by it alone on the day ``on``."""

    party: str
    on: date
    release: Release

    def to_json(self) -> dict[str, Any]:
        """Return the canonical JSON object."""
        return {"party": self.party, "on": self.on.isoformat(), "release": self.release.to_json()}

    def cell(self, holders: int) -> Estimate:
        """Identifiers that ``holders`` institutions hold, this one among them."""
        return self.release.estimate(HELD, (str(holders),))


@dataclass(frozen=True, slots=True)
class ReleasedCounts:
    """A release by every institution: ``COUNT(DISTINCT unit)`` by the number of holders, 1 to n, of the whole table."""

    purpose: str
    counts: tuple[HolderCounts, ...]

    def to_json(self) -> dict[str, Any]:
        """Return the canonical JSON object."""
        return {"kind": "holders", "purpose": self.purpose, "counts": [one.to_json() for one in self.counts]}

    @classmethod
    def from_json(cls, document: Any, path: str, parties: tuple[str, ...]) -> "ReleasedCounts":
        """Parse; raises a typed error that names the key, ``Mismatch`` if the releases cannot be compared."""
        record = Record(document, path, "kind purpose counts")
        counts = []
        for where, item in record.items("counts"):
            inner = Record(item, where, "party on release")
            # a private copy: what the digest was taken of must not change under the figures
            release = Release.from_json(canonical.decode(canonical.encode(inner.raw("release"))))
            counts.append(HolderCounts(inner.text("party"), inner.day("on"), release))
        if tuple(one.party for one in counts) != parties:
            raise OutOfRange(record.path("counts"), "one release of every contributor, in the same order")
        game = cls(record.text("purpose"), tuple(counts))
        game._compare()
        return game

    @property
    def dates(self) -> list[tuple[str, date]]:
        """The day of every release, by the path of its key within the game."""
        return [(f"counts[{place}].on", one.on) for place, one in enumerate(self.counts)]

    def contributions(self) -> Contributions:
        """Contributions with their noise; beside them the union, and what each institution alone holds."""
        self._possible()
        numbers = range(1, len(self.counts) + 1)
        phi, noises, others = [], [], []
        for place, one in enumerate(self.counts):
            cells = tuple(self._figure(one, holders) for holders in numbers)
            phi.append(
                derived(
                    f"phi.{one.party}",
                    f"contribution of {one.party}, coverage",
                    total(one.cell(holders).value / holders for holders in numbers),
                    unit=UNIT,
                    formula="sum over m of identifiers held by m institutions / m",
                    because=cells,
                    source=desk.find("coverage_shapley").source,
                )
            )
            variance = total(one.cell(holders).variance / holders**2 for holders in numbers)
            noises.append(_alone(variance, place, len(self.counts)))
            held = total(one.cell(holders).value for holders in numbers)
            if held > 0:
                others.append(
                    derived(
                        f"exclusive.{one.party}",
                        f"share of the identifiers of {one.party} that no other holds",
                        one.cell(1).value / held,
                        unit="share",
                        formula="identifiers held by 1 institution / identifiers held",
                        because=cells,
                        source=desk.find("coverage_shapley").source,
                    )
                )
        parties = tuple(one.party for one in self.counts)
        return Contributions(parties, tuple(phi), tuple(noises), Z95, tuple(others), ())

    @staticmethod
    def _figure(one: HolderCounts, holders: int) -> Traced:
        cell, digest, source = one.cell(holders), one.release.digest, "differentially private release"
        key, label = f"held.{one.party}.{holders}", f"identifiers of {one.party} that {holders} institutions hold"
        noise = given(f"{key}.noise", f"variance of the noise of {key}", exact.written(cell.variance),
                      unit=f"{UNIT} squared", source=source, evidence=digest)  # fmt: skip
        return Traced(key, label, exact.written(cell.value), UNIT, "given", source, (noise,), digest)

    def _compare(self) -> None:
        """All releases count the same thing, each over the whole table of its own institution.

        Raises:
            Mismatch: naming what differs.
        """
        wanted = {str(holders) for holders in range(1, len(self.counts) + 1)}
        for one in self.counts:
            plan = one.release.plan
            checks = {
                "is not of this contributor alone": plan.parties == (one.party,),
                "was opened for another purpose": plan.purpose == self.purpose,
                "describes a part of the table only": not plan.where,
                "does not count by the number of holders, 1 to the number of contributors": (
                    len(plan.groups) == 1 and set(plan.groups[0].labels) == wanted
                ),
                "does not count distinct people or companies": HELD in {measure.key for measure in plan.measures},
            }
            for what, holds in checks.items():
                if not holds:
                    raise Mismatch(f"a release {what}", fix="measure every contributor's table by number of holders")
        for one, other in pairwise(self.counts):
            if (one.release.plan.standard_digest, one.release.plan.groups) != (
                other.release.plan.standard_digest,
                other.release.plan.groups,
            ):
                raise Mismatch("the releases count different things", fix="measure all under one standard and column")

    def _possible(self) -> None:
        """Nobody shares more than the others hold: an identifier of m holders is with m - 1 others, too.

        Raises:
            Mismatch: naming whose count exceeds that by more than noise does.
        """
        for one in self.counts:
            for holders in range(2, len(self.counts) + 1):
                mine = one.cell(holders)
                others = [other.cell(holders) for other in self.counts if other is not one]
                excess = (holders - 1) * mine.value - total(cell.value for cell in others)
                variance = (holders - 1) ** 2 * mine.variance + total(cell.variance for cell in others)
                if excess > 0 and excess**2 > IMPOSSIBLE_SIGMAS**2 * variance:
                    raise Mismatch(
                        f"{one.party} shares more identifiers of {holders} holders than the others hold",
                        fix="match the contributors' identifiers again, on one day",
                    )


@dataclass(frozen=True, slots=True)
class ReleasedSums:
    """One noisy sum of 1/m over its identifiers for every institution, with the law and variance of the noise."""

    distribution: Distribution
    sums: tuple[tuple[str, Decimal, Decimal], ...]
    cited: Citation

    def to_json(self) -> dict[str, Any]:
        """Return the canonical JSON object."""
        return {
            "kind": "sums",
            "noise": self.distribution.value,
            "cited": self.cited.to_json(),
            "sums": [
                {"party": party, "sum": exact.spell(value), "variance": exact.spell(variance)}
                for party, value, variance in self.sums
            ],
        }

    @classmethod
    def from_json(cls, document: Any, path: str, parties: tuple[str, ...]) -> "ReleasedSums":
        """Parse; raises a typed error that names the key."""
        record = Record(document, path, "kind noise cited sums")
        sums = []
        for where, item in record.items("sums"):
            inner = Record(item, where, "party sum variance")
            # a release without noise would be none
            variance = within(inner.decimal("variance"), inner.path("variance"), above=0)
            sums.append((inner.text("party"), inner.decimal("sum"), variance))
        if tuple(party for party, _, _ in sums) != parties:
            raise OutOfRange(record.path("sums"), "one sum of every contributor, in the same order")
        noise = Distribution(record.member(Distribution, "noise"))
        return cls(noise, tuple(sums), Citation.from_json(record.raw("cited"), record.path("cited")))

    @property
    def dates(self) -> list[tuple[str, date]]:
        """The date of the source, by the path of its key within the game."""
        return [("cited.on", self.cited.on)]

    def contributions(self) -> Contributions:
        """The sums are the contributions."""
        cited, source = self.cited.document, str(self.cited)
        phi = []
        for party, value, variance in self.sums:
            noise = given(f"noise.{party}", f"variance of the noise of {party}'s sum", variance,
                          unit=f"{UNIT} squared", source=source, evidence=cited)  # fmt: skip
            label = f"contribution of {party}, coverage: sum of 1 / holders over its identifiers"
            phi.append(Traced(f"phi.{party}", label, value, UNIT, "given", source, (noise,), cited))
        noises = [_alone(Fraction(variance), place, len(self.sums)) for place, (_, _, variance) in enumerate(self.sums)]
        quantile = LAPLACE95 if self.distribution is Distribution.LAPLACE else Z95
        return Contributions(tuple(party for party, _, _ in self.sums), tuple(phi), tuple(noises), quantile, (), ())


def _alone(variance: Fraction, place: int, count: int) -> Noise:
    """A noise that moves one institution's contribution and no other's."""
    return Noise(variance, tuple(Fraction(int(other == place)) for other in range(count)))
