"""Evidence: what differentially private releases say about one version of a dataset.

Built from a :class:`privacy.release.Release`, or from its canonical JSON when a report is re-performed offline. Only
whole-table releases of the owner alone are evidence about the owner's asset.
"""

from dataclasses import dataclass
from datetime import date
from fractions import Fraction
from typing import Any

from privacy import canonical
from privacy.errors import Malformed, Mismatch
from privacy.release import Estimate, Release
from valuation import exact
from valuation.asset import DataAsset
from valuation.errors import OutOfRange, WrongType
from valuation.intake import Record
from valuation.trace import Traced, given

_PLAN = "the release's plan"


@dataclass(frozen=True, slots=True)
class Measured:
    """One release about version ``version`` of ``dataset``, drawn on the day ``on``; ``document`` is its JSON."""

    dataset: str
    version: int
    on: date
    document: dict[str, Any]

    def __post_init__(self) -> None:
        # a private copy: what the digest was taken of must not change under the figures
        object.__setattr__(self, "document", canonical.decode(canonical.encode(self.document)))
        _ = self.cells

    @classmethod
    def of(cls, release: Release, *, dataset: str, version: int, on: date) -> "Measured":
        """Take a release as evidence about one dataset version."""
        return cls(dataset, version, on, release.to_json())

    @property
    def digest(self) -> str:
        """SHA-256 by which every figure cites the release; equals ``Release.digest``."""
        return canonical.digest(self.document)

    @property
    def cells(self) -> dict[str, Estimate]:
        """Each measure's total with the variance of its noise, by key such as ``count(*)`` or ``valid(balance)``.

        Raises:
            BadInput: if the document is not a release.
            Mismatch: if the release describes groups or a part of the table only.
        """
        path = "release"
        record = Record(self.document, path, "plan session totals variances decimals")
        plan = record.raw("plan")
        if not isinstance(plan, dict) or not isinstance(plan.get("measures"), list):
            raise WrongType(f"{path}.plan", "a plan")
        if plan.get("groups") != [] or plan.get("where") != []:
            raise Mismatch(f"{_PLAN} groups or filters rows", fix="measure the whole table, without GROUP BY or WHERE")
        keys = [_key(measure, f"{path}.plan.measures[{i}]") for i, measure in enumerate(plan["measures"])]
        totals = [_integer(value, where) for where, value in record.items("totals")]
        variances = {name: _variance(value, where) for where, name, value in record.entries("variances")}
        decimals = {name: value for _, name, value in record.entries("decimals")}
        if len(set(keys)) != len(keys) or len(totals) != len(keys) or not set(keys) <= set(variances):
            raise WrongType(f"{path}.totals", "one total and one variance for each measure")
        cells = {}
        for key, total in zip(keys, totals, strict=True):
            places = decimals.get(key, 0)
            if isinstance(places, bool) or not isinstance(places, int) or not 0 <= places <= 9:
                raise OutOfRange(f"{path}.decimals.{key}", "[0, 9]")
            scale = Fraction(10) ** places
            cells[key] = Estimate(Fraction(total) / scale, variances[key] / scale**2)
        return cells

    def about(self, asset: DataAsset) -> None:
        """Check that the release measures this asset, all of it and nothing else.

        Raises:
            Mismatch: naming what differs.
        """
        plan = self.document["plan"]
        checks = {
            "dataset": self.dataset == asset.dataset,
            "version": self.version == asset.version,
            "standard": plan.get("standard") == asset.standard,
            "party": plan.get("parties") == [asset.owner],
        }
        for what, holds in checks.items():
            if not holds:
                raise Mismatch(f"the release is about another {what}", fix="measure the asset that is to be valued")

    def to_json(self) -> dict[str, Any]:
        """Return the canonical JSON object."""
        return {
            "dataset": self.dataset,
            "version": self.version,
            "on": self.on.isoformat(),
            "release": self.document,
        }


@dataclass(frozen=True, slots=True)
class Evidence:
    """All releases an appraisal may use. Quality is read from the one that holds ``count(*)``."""

    measured: tuple[Measured, ...]

    @property
    def quality(self) -> Measured:
        """The release from which the quality of the asset is computed.

        Raises:
            Mismatch: if no release, or more than one, counts the rows (two draws would let an owner pick the luckier).
        """
        found = [item for item in self.measured if "count(*)" in item.cells]
        if len(found) != 1:
            raise Mismatch(
                f"{len(found)} releases count the rows of the asset",
                fix="give exactly one release with count(*); noise is drawn once for a version",
            )
        return found[0]

    def to_json(self) -> dict[str, Any]:
        """Return the canonical JSON object."""
        return {"measured": [item.to_json() for item in self.measured]}

    @classmethod
    def from_json(cls, document: Any, path: str = "evidence") -> "Evidence":
        """Parse; raises a typed error that names the key."""
        measured = []
        for where, item in Record(document, path, "measured").items("measured"):
            record = Record(item, where, "dataset version on release")
            try:
                Release.from_json(record.raw("release"))
            except Malformed:
                raise WrongType(record.path("release"), "a release as the desk stored it") from None
            measured.append(
                Measured(
                    dataset=record.text("dataset"),
                    version=record.integer("version", low=1, high=10**9),
                    on=record.day("on"),
                    document=record.raw("release"),
                )
            )
        return cls(tuple(measured))


def counted(key: str, estimate: Estimate, digest: str) -> Traced:
    """The noisy total of a cell and, under it, the variance that the release ``digest`` declares for it."""
    source = "differentially private release"
    variance = given(
        f"noise.{key}", f"variance of the noise of {key}", exact.written(estimate.variance), unit="rows squared",
        source=source, evidence=digest,
    )  # fmt: skip
    return Traced(f"cell.{key}", key, exact.written(estimate.value), "rows", "given", source, (variance,), digest)


def _key(measure: Any, path: str) -> str:
    """Name a cell as plans do: ``count(*)``, ``count(balance)``, ``filled(balance)``, ``valid(balance)``, ``sum(balance)``."""
    match measure:
        case {"count": "rows"}:
            return "count(*)"
        case {"count": "units"}:
            return "count(distinct unit)"
        case {"filled": str(column)}:
            return f"filled({column})"
        case {"valid": str(column)}:
            return f"valid({column})"
        case {"known": str(column)} | {"present": {"value": str(column)}}:
            return f"count({column})"
        case {"sum": {"value": str(column)}}:
            return f"sum({column})"
        case _:
            raise WrongType(path, "a measure")


def _integer(value: Any, path: str) -> int:
    sign = value.removeprefix("-") if isinstance(value, str) else ""
    if not (sign.isascii() and sign.isdigit() and len(sign) <= 60):
        raise WrongType(path, "an integer as text")
    return int(value)


def _variance(value: Any, path: str) -> Fraction:
    if not isinstance(value, list) or len(value) != 2:
        raise WrongType(path, "a fraction as two integers")
    above, below = (_integer(part, path) for part in value)
    if above < 0 or below <= 0:
        raise OutOfRange(path, "[0, inf)")
    return Fraction(above, below)
