"""A verified report, read: its figures by key, and what everybody may ask of it. Nothing is computed here."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from privacy import canonical
from valuation.money import check_currency
from valuation.statement.labels import label
from valuation.statement.words import Text


@dataclass(frozen=True, slots=True)
class Figure:
    """One figure as the report holds it; ``number`` is its place in the report, from 1."""

    number: int
    key: str
    label: Text
    value: str
    unit: str
    formula: str
    source: str
    because: tuple[str, ...]
    evidence: str

    @property
    def amount(self) -> Decimal:
        """The value, exact."""
        return Decimal(self.value)

    @property
    def is_money(self) -> bool:
        """Whether the unit is a currency."""
        return len(self.unit) == 3 and self.unit.isascii() and self.unit.isupper()

    @property
    def is_given(self) -> bool:
        """Whether it was supplied rather than derived."""
        return self.formula == "given"


class Reading:
    """A report and its figures by key. The caller has verified it; see :func:`valuation.report.verify`."""

    def __init__(self, report: Mapping[str, Any]) -> None:
        # in the order of the canonical form: equal reports make equal pages, however they were parsed
        document: Mapping[str, Any] = canonical.decode(canonical.encode(report))
        self.document = document
        self.inputs: Mapping[str, Any] = document["inputs"]
        self.conclusion: Mapping[str, Any] = document["conclusion"]
        self.currency = check_currency(self.conclusion["currency"])
        self.figures: dict[str, Figure] = {
            one["key"]: Figure(
                number=number,
                key=one["key"],
                label=label(one["key"], one["label"]),
                value=one["value"],
                unit=one["unit"],
                formula=one["formula"],
                source=one["source"],
                because=tuple(one["because"]),
                evidence=one["evidence"],
            )
            for number, one in enumerate(document["figures"], 1)
        }

    def get(self, key: str) -> Figure | None:
        """The figure of that key, if the report has it."""
        return self.figures.get(key)

    def concluded(self, name: str) -> Figure | None:
        """The figure that the conclusion names, such as ``central`` or ``limit``."""
        key = self.conclusion.get(name)
        return self.figures.get(key) if isinstance(key, str) else None

    def like(self, start: str, end: str = "") -> list[Figure]:
        """Figures whose keys begin and end so, in the order of the report."""
        return [one for key, one in self.figures.items() if key.startswith(start) and key.endswith(end)]

    @property
    def low(self) -> Figure:
        """Lower end of the value."""
        return self.figures[self.conclusion["low"]]

    @property
    def central(self) -> Figure:
        """The value."""
        return self.figures[self.conclusion["central"]]

    @property
    def high(self) -> Figure:
        """Upper end of the value."""
        return self.figures[self.conclusion["high"]]

    @property
    def approaches(self) -> list[tuple[str, str]]:
        """Name of each approach that has a value, and how the keys of its three values begin."""
        starts = {"cost": "value", "income": "income", "market": "market"}
        return [(name, start) for name, start in starts.items() if f"{start}.central" in self.figures]

    def documents(self) -> Iterator[tuple[str, str]]:
        """SHA-256 and description of every document that the inputs cite, each document once, in the order of the inputs."""
        told: dict[str, str] = {}
        for name, part in self.inputs.items():
            if name != "evidence":  # releases are known by their own digests
                for digest, source in _cited(part):
                    told.setdefault(digest, source)
        yield from told.items()


def _cited(part: Any) -> Iterator[tuple[str, str]]:
    if isinstance(part, Mapping):
        digest = part.get("document")
        if isinstance(digest, str):
            if "source" in part:
                yield digest, f"{part['source']} ({part['owner']}, {part['on']})"
            else:
                yield digest, str(part.get("name", part.get("subject", "")))
        for value in part.values():
            yield from _cited(value)
    elif isinstance(part, list | tuple):
        for item in part:
            yield from _cited(item)
