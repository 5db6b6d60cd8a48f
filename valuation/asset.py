"""The product: a data asset is one version of a dataset, a bundle of rights and a use scenario; never a bare table."""

from dataclasses import dataclass
from datetime import date
from typing import Any

from privacy.errors import Malformed
from privacy.terms import check_name, check_party
from valuation.errors import WrongType
from valuation.intake import Record


@dataclass(frozen=True, slots=True)
class Citation:
    """Where a fact comes from: a named source, who answers for it, its date, the SHA-256 of the document."""

    source: str
    owner: str
    on: date
    document: str

    def to_json(self) -> dict[str, Any]:
        """Return the canonical JSON object."""
        return {"source": self.source, "owner": self.owner, "on": self.on.isoformat(), "document": self.document}

    @classmethod
    def from_json(cls, document: Any, path: str = "citation") -> "Citation":
        """Parse; raises a typed error that names the key."""
        record = Record(document, path, "source owner on document")
        return cls(record.text("source"), record.text("owner"), record.day("on"), record.digest("document"))

    def __str__(self) -> str:
        return f"{self.source} ({self.owner}, {self.on.isoformat()})"


@dataclass(frozen=True, slots=True)
class Rights:
    """The three rights of the Chinese data-rights framework that the owner holds in the asset.

    ``holding``: the resource itself (数据资源持有权); ``processing``: to process and use it (数据加工使用权);
    ``operating``: to sell products made of it (数据产品经营权).
    """

    holding: bool
    processing: bool
    operating: bool

    def to_json(self) -> dict[str, Any]:
        """Return the canonical JSON object."""
        return {"holding": self.holding, "processing": self.processing, "operating": self.operating}

    @classmethod
    def from_json(cls, document: Any, path: str = "rights") -> "Rights":
        """Parse; raises a typed error that names the key."""
        record = Record(document, path, "holding processing operating")
        return cls(record.flag("holding"), record.flag("processing"), record.flag("operating"))


@dataclass(frozen=True, slots=True)
class DataAsset:
    """What is valued.

    ``dataset`` and ``version`` name the registered table, ``owner`` the party that registered it, ``standard`` its
    published schema (``name/version``), ``scenario`` the one use the value assumes.
    """

    dataset: str
    version: int
    owner: str
    standard: str
    rights: Rights
    scenario: str

    def to_json(self) -> dict[str, Any]:
        """Return the canonical JSON object."""
        return {
            "dataset": self.dataset,
            "version": self.version,
            "owner": self.owner,
            "standard": self.standard,
            "rights": self.rights.to_json(),
            "scenario": self.scenario,
        }

    @classmethod
    def from_json(cls, document: Any, path: str = "asset") -> "DataAsset":
        """Parse; raises a typed error that names the key."""
        record = Record(document, path, "dataset version owner standard rights scenario")
        dataset, owner, standard = record.text("dataset"), record.text("owner"), record.text("standard")
        name, _, edition = standard.partition("/")
        try:
            key = "dataset"
            check_name(dataset, what="dataset")
            key = "owner"
            check_party(owner)
            key = "standard"
            check_name(name, what="standard")
        except Malformed as error:
            raise WrongType(record.path(key), f"a valid name ({error.fix})") from None
        if not (edition.isascii() and edition.isdigit() and len(edition) <= 9 and edition == str(int(edition))):
            raise WrongType(record.path("standard"), "a standard as name/version")
        return cls(
            dataset=dataset,
            version=record.integer("version", low=1, high=10**9),
            owner=owner,
            standard=standard,
            rights=Rights.from_json(record.raw("rights"), record.path("rights")),
            scenario=record.text("scenario"),
        )
