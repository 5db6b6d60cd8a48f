"""A pool's game told by a table: what every coalition of institutions is worth, declared, each with its source.

The worth of nobody is 0. Contributions are semivalues, exact by enumeration: Shapley (the only one that adds up to the worth of
all), Banzhaf (steadiest under noise), Beta (small coalitions weigh more). Beside them stands the least core: how much more than
its part some coalition could earn alone, at this split and at the best one. Source: Shapley 1953; Wang and Jia 2023; Kwon and Zou
2022; Maschler, Peleg and Shapley 1979.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from enum import StrEnum
from fractions import Fraction
from typing import Any

from valuation import desk, exact
from valuation.asset import Citation
from valuation.contribution import Contributions, Noise, clipped
from valuation.cost import Remark
from valuation.desk.games import banzhaf_weights, beta_weights, least_excess, semivalue, shapley_weights
from valuation.desk.reals import total
from valuation.errors import MissingKey, OutOfRange
from valuation.intake import Record, decimal_of, within
from valuation.quality import Z95
from valuation.trace import Traced, derived, given

MOST_PLAYERS = 12
"""Institutions of a declared game: 4,095 coalitions."""


class Rule(StrEnum):
    """How what an institution adds to each coalition is averaged."""

    SHAPLEY = "shapley"
    BANZHAF = "banzhaf"
    BETA_4_1 = "beta_4_1"
    BETA_16_1 = "beta_16_1"


@dataclass(frozen=True, slots=True)
class Worth:
    """What one coalition is worth, the standard deviation of the noise in it, its own source if it has one."""

    value: Decimal
    deviation: Decimal
    cited: Citation | None


@dataclass(frozen=True, slots=True)
class Utilities:
    """The worth of every coalition but the empty one; bit i of a coalition's number is the i-th institution by name."""

    rule: Rule
    unit: str
    worths: tuple[Worth, ...]
    cited: Citation
    parties: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Return the canonical JSON object, coalitions in order of their number."""
        return {
            "kind": "utilities",
            "rule": self.rule.value,
            "unit": self.unit,
            "cited": self.cited.to_json(),
            "coalitions": [
                {
                    "members": self._members(coalition),
                    "worth": exact.spell(worth.value),
                    "deviation": exact.spell(worth.deviation),
                    "cited": None if worth.cited is None else worth.cited.to_json(),
                }
                for coalition, worth in enumerate(self.worths, 1)
            ],
        }

    @classmethod
    def from_json(cls, document: Any, path: str, parties: tuple[str, ...]) -> "Utilities":
        """Parse; raises a typed error that names the key."""
        record = Record(document, path, "kind rule unit cited coalitions")
        if len(parties) > MOST_PLAYERS:
            raise OutOfRange(path, f"declared games of at most {MOST_PLAYERS} institutions")
        places = {party: place for place, party in enumerate(parties)}
        found: dict[int, Worth] = {}
        for where, item in record.items("coalitions", least=1):
            inner = Record(item, where, "members worth", "deviation cited")
            members = [member for _, member in inner.items("members", least=1)]
            if any(not isinstance(member, str) or member not in places for member in members):
                raise OutOfRange(inner.path("members"), "contributors of this split")
            coalition = sum({1 << places[member] for member in members})
            if coalition in found or coalition.bit_count() != len(members):
                raise OutOfRange(inner.path("members"), "members each once, and coalitions each once")
            deviation = Decimal(0)
            if inner.given("deviation"):
                deviation = within(inner.decimal("deviation"), inner.path("deviation"), low=0)
            cited = Citation.from_json(inner.raw("cited"), inner.path("cited")) if inner.given("cited") else None
            found[coalition] = Worth(decimal_of(inner.raw("worth"), inner.path("worth")), deviation, cited)
        for coalition in range(1, 1 << len(parties)):
            if coalition not in found:
                missing = ", ".join(party for party, place in places.items() if coalition >> place & 1)
                raise MissingKey(f"{record.path('coalitions')} of {missing}")
        return cls(
            rule=Rule(record.member(Rule, "rule")),
            unit=record.text("unit"),
            worths=tuple(found[coalition] for coalition in range(1, 1 << len(parties))),
            cited=Citation.from_json(record.raw("cited"), record.path("cited")),
            parties=parties,
        )

    @property
    def dates(self) -> list[tuple[str, date]]:
        """The date of every source, by the path of its key within the game."""
        own = [
            (f"coalition {'+'.join(self._members(number))}, cited.on", worth.cited)
            for number, worth in enumerate(self.worths, 1)
        ]
        return [("cited.on", self.cited.on), *((where, cited.on) for where, cited in own if cited is not None)]

    def contributions(self) -> Contributions:
        """The chosen semivalue, the others beside it, and what the least core says of the split."""
        worths = [Fraction(0), *(Fraction(worth.value) for worth in self.worths)]
        table = self._table()
        found = {rule: semivalue(worths, weights) for rule, weights in self._weights().items()}
        phi = self._told(self.rule, found[self.rule], table, "phi")
        besides = [
            figure
            for rule, values in found.items()
            if rule is not self.rule
            for figure in self._told(rule, values, table, rule.value)
        ]
        core, unstable = self._core(worths, phi, table)
        remarks = [*unstable]
        if self.rule is not Rule.SHAPLEY:
            remarks.append(
                Remark(
                    "rescaled", f"contributions by {self.rule.value} do not add up to the worth of all; their shares do"
                )
            )
        return Contributions(
            parties=self.parties,
            phi=phi,
            noises=tuple(self._noises()),
            quantile=Z95,
            others=(*besides, *core),
            remarks=tuple(remarks),
        )

    def _weights(self) -> Mapping[Rule, list[Fraction]]:
        players = len(self.parties)
        return {
            Rule.SHAPLEY: shapley_weights(players),
            Rule.BANZHAF: banzhaf_weights(players),
            Rule.BETA_4_1: beta_weights(players, 4, 1),
            Rule.BETA_16_1: beta_weights(players, 16, 1),
        }

    def _members(self, coalition: int) -> list[str]:
        return [party for place, party in enumerate(self.parties) if coalition >> place & 1]

    def _table(self) -> Traced:
        """One node over the whole table: every contribution rests on every coalition."""
        rows = []
        for coalition, worth in enumerate(self.worths, 1):
            cited = worth.cited or self.cited
            # members by their place: names of twelve would make a table of megabytes
            members = "+".join(str(place + 1) for place in range(len(self.parties)) if coalition >> place & 1)
            noise = given(
                f"worth.{members}.deviation", f"standard deviation of the noise in {members}", worth.deviation,
                unit=self.unit, source=str(cited), evidence=cited.document,
            )  # fmt: skip
            rows.append(
                Traced(
                    f"worth.{members}", f"worth of institutions {members}", worth.value, self.unit, "given", str(cited),
                    (noise,) if worth.deviation else (), cited.document,
                )
            )  # fmt: skip
        return derived(
            "worths",
            "coalitions whose worth was declared; institutions by their place in order of name",
            Fraction(len(rows)),
            unit="coalitions",
            formula="number of coalitions",
            because=tuple(rows),
            source=str(self.cited),
        )

    def _told(self, rule: Rule, values: Sequence[Fraction], table: Traced, prefix: str) -> tuple[Traced, ...]:
        contract = desk.find("semivalues")
        return tuple(
            derived(
                f"{prefix}.{party}",
                f"contribution of {party}, {rule.value}",
                value,
                unit=self.unit,
                formula=f"semivalues, {rule.value}: weighted sum of what it adds to each coalition",
                because=(table,),
                source=contract.source,
            )
            for party, value in zip(self.parties, values, strict=True)
        )

    def _noises(self) -> list[Noise]:
        """Each coalition's noise moves its members by the weight of joining it, all others by that of staying out."""
        weights = [*self._weights()[self.rule], Fraction(0)]
        found = []
        for coalition, worth in enumerate(self.worths, 1):
            if worth.deviation:
                size = coalition.bit_count()
                moves = tuple(
                    weights[size - 1] if coalition >> place & 1 else -weights[size]
                    for place in range(len(self.parties))
                )
                found.append(Noise(Fraction(worth.deviation) ** 2, moves))
        return found

    def _core(
        self, worths: Sequence[Fraction], phi: tuple[Traced, ...], table: Traced
    ) -> tuple[tuple[Traced, ...], list[Remark]]:
        """The largest excess that a coalition has over its part, at this split and at the best; a remark where it is above 0."""
        players = len(self.parties)
        values = [figure.fraction for figure in phi]
        if total(values) <= 0:
            return (), []  # there is nothing to share, which whoever shares it says
        parts = [worths[-1] * share for share in clipped(values)]
        paid = [Fraction(0)] * len(worths)
        for coalition in range(1, len(worths)):
            lowest = coalition & -coalition
            paid[coalition] = paid[coalition ^ lowest] + parts[lowest.bit_length() - 1]
        worst = max(range(1, len(worths) - 1), key=lambda coalition: worths[coalition] - paid[coalition])
        excess, least = worths[worst] - paid[worst], least_excess(worths, players)
        source = desk.find("least_core").source
        figures = (
            derived("core.excess", "largest excess of a coalition's worth over its part of the worth of all", excess,
                    unit=self.unit, formula="max over coalitions of worth - sum of shares * worth of all",
                    because=(table, *phi), source=source),
            derived("core.least", "the same at the split where it is smallest, the least core", least,
                    unit=self.unit, formula="least_core", because=(table,), source=source),
        )  # fmt: skip
        if excess <= 0:
            return figures, []
        names = ", ".join(self._members(worst))
        return figures, [Remark("coalition-gains", f"{names} would be worth more alone than their part")]
