"""What an owner's records say of the data beside its cost: how many rows one person fills, how often the data was used."""

from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any

from valuation import exact
from valuation.asset import Citation
from valuation.errors import OutOfRange
from valuation.intake import Record, within


@dataclass(frozen=True, slots=True)
class Grain:
    """How many rows one person fills, on average: beyond that a person's rows repeat each other."""

    rows_per_person: Decimal
    cited: Citation

    def to_json(self) -> dict[str, Any]:
        """Return the canonical JSON object."""
        return {"rows_per_person": exact.spell(self.rows_per_person), "cited": self.cited.to_json()}

    @classmethod
    def from_json(cls, document: Any, path: str) -> "Grain":
        """Parse; raises a typed error that names the key."""
        record = Record(document, path, "rows_per_person cited")
        rows = within(record.decimal("rows_per_person"), record.path("rows_per_person"), low=1, high=10_000)
        return cls(rows, Citation.from_json(record.raw("cited"), record.path("cited")))


@dataclass(frozen=True, slots=True)
class Usage:
    """A metered log of how often the data was used, from the day ``since`` to the date of its source."""

    since: date
    uses: int
    cited: Citation

    def to_json(self) -> dict[str, Any]:
        """Return the canonical JSON object."""
        return {"since": self.since.isoformat(), "uses": self.uses, "cited": self.cited.to_json()}

    @classmethod
    def from_json(cls, document: Any, path: str) -> "Usage":
        """Parse; raises a typed error that names the key."""
        record = Record(document, path, "since uses cited")
        since, cited = record.day("since"), Citation.from_json(record.raw("cited"), record.path("cited"))
        if since > cited.on:
            raise OutOfRange(record.path("since"), "dates up to the end of the log")
        return cls(since, record.integer("uses", low=0, high=10**15), cited)
