"""What an owner declares of a dataset beside its columns: what a pledge, a partner and a supervisor need to know.

Declared values only: nothing here is derived from rows, and nothing costs budget. What is ``None`` or empty was not
declared; silence never counts in the owner's favour. A profile that was measured is cited by the release that charged it.
"""

from datetime import date
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from privacy import canonical
from privacy.errors import Malformed

LONGEST_DESCRIPTION = 4_000
"""Characters that a description may have."""


def _on_calendar(text: str) -> str:
    date.fromisoformat(text)
    return text


Date = Annotated[str, Field(pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$"), AfterValidator(_on_calendar)]
Hex32 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Asset = Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{0,62}/[a-z][a-z0-9_]{0,62}$")]
Line = Annotated[str, Field(min_length=1, max_length=200)]
Level = Annotated[int, Field(ge=1, le=5)]
"""Security level as JR/T 0197 counts it: 1 may be public, 5 must never leave."""


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")


class Wording(_Part):
    """A text in Chinese and English, either or both."""

    zh: Annotated[str, Field(min_length=1, max_length=LONGEST_DESCRIPTION)] | None = None
    en: Annotated[str, Field(min_length=1, max_length=LONGEST_DESCRIPTION)] | None = None


class Right(_Part):
    """One of the three rights in a data asset, where it comes from and until when it holds (``None``: without end).

    ``evidence`` is the SHA-256 of the document that proves it.
    """

    right: Literal["holding", "processing", "operating"]
    source: Literal["collected", "authorised", "purchased", "public"]
    evidence: Hex32
    valid_until: Date | None = None


class Title(_Part):
    """A document of the chain of title, by its SHA-256: what happened to the rights on a day."""

    event: Literal["initial", "transfer", "change", "renewal", "cancellation"]
    document: Hex32
    on: Date


class Coverage(_Part):
    """What the rows are about: regions by name, and the first and last day."""

    regions: tuple[Line, ...] = ()
    first: Date | None = None
    last: Date | None = None

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.first is not None and self.last is not None and self.first > self.last:
            raise ValueError
        return self


class Lineage(_Part):
    """What the dataset was made from: its earlier version, and its parents, as ``owner/dataset``."""

    earlier: Asset | None = None
    parents: Annotated[tuple[Asset, ...], Field(max_length=64)] = ()


class Band(_Part):
    """How many rows there are, as the owner declares it: at least ``least`` and, if told, fewer than ``below``."""

    least: Annotated[int, Field(ge=0, lt=1 << 53)]
    below: Annotated[int, Field(gt=0, lt=1 << 53)] | None = None

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.below is not None and self.below <= self.least:
            raise ValueError
        return self


class Profile(_Part):
    """How many rows there are, as measured and charged: the session whose release tells it."""

    release: Hex32


class Declaration(_Part):
    """Everything that is declared of a dataset; the unit of privacy is its standard's.

    ``refresh`` is the period in which the rows are loaded anew (ISO 8601, for example ``P1M``); ``titles`` come in the order
    of their days, and the first one is the initial registration.
    """

    title: Wording = Wording()
    description: Wording = Wording()
    steward: Line | None = None
    licence: Line | None = None
    level: Level | None = None
    rights: tuple[Right, ...] = ()
    titles: Annotated[tuple[Title, ...], Field(max_length=256)] = ()
    refresh: Annotated[str, Field(pattern=r"^P[1-9][0-9]{0,3}[DWMY]$")] | None = None
    coverage: Coverage = Coverage()
    lineage: Lineage = Lineage()
    rows: Band | Profile | None = None

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        kinds = [right.right for right in self.rights]
        days = [title.on for title in self.titles]
        documents = [title.document for title in self.titles]
        if len(set(kinds)) < len(kinds) or len(set(documents)) < len(documents) or days != sorted(days):
            raise ValueError
        if self.titles and [title.event for title in self.titles].index("initial") != 0:
            raise ValueError
        if [title.event for title in self.titles[1:]].count("initial"):
            raise ValueError
        return self


UNDECLARED = Declaration()


def read_declaration(document: Any) -> Declaration:
    """Parse a declaration's JSON object, in which what is not declared may be left out.

    Raises:
        Malformed: naming the parts that are not valid, never their values.
    """
    try:
        return Declaration.model_validate_json(canonical.encode(document))
    except ValidationError as error:
        parts = sorted({str(item["loc"][0]) for item in error.errors() if item["loc"]} & set(Declaration.model_fields))
        named = ", ".join(parts) or "the whole, or parts that contradict each other"
        raise Malformed(f"the declaration is not valid: {named}", fix="compare it with docs/catalog.md") from None
