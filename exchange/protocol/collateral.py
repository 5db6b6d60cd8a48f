"""What is said about the identity of a pledged dataset: its fingerprint, the daily word that it is still there, a reviewer's ruling.

A fingerprint is made of keyed hashes: whoever lacks the key of the institutions learns from it how many rows there are,
roughly, and how many a sketch shares with another; nothing else. It is no differentially private release, so it leaves a
node only after its owner has agreed to a pledge.
"""

from collections.abc import Mapping
from itertools import pairwise
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from exchange.protocol.declaration import Asset, Date, Hex32
from exchange.protocol.messages import Message, Name, Sparing, Text, Words
from privacy import canonical

SKETCH = 1_024
"""Values of a sketch: a share estimated from it has a standard deviation of at most 1.6 percent."""

DIGITS = 16
"""Hexadecimal digits of one value of a sketch."""

_BITS = 5

Count = Annotated[int, Field(ge=0, lt=1 << 53)]


class Fingerprint(Message):
    """What a version of a dataset is known by.

    ``key`` names the key of the hashes, ``root`` is the Merkle root of the rows' hashes, ``columns_digest`` says of which
    columns, ``least`` and ``below`` how many rows there are, to six percent. ``sketch`` holds the smallest hashes of what
    identifies rows, up to :data:`SKETCH`, rising. ``earlier`` is the fingerprint of the version before, by its envelope's id.
    """

    kind = "fingerprint"
    dataset: Name
    version: Date
    standard: Text
    key: Hex32
    root: Hex32
    columns_digest: Hex32
    least: Annotated[Count, Field(gt=0)]
    below: Count
    sketch: Annotated[str, Field(min_length=DIGITS, max_length=SKETCH * DIGITS, pattern=r"^[0-9a-f]+$")]
    earlier: Hex32 | None

    @property
    def values(self) -> list[str]:
        """The values of the sketch; of equal length, they sort as the numbers that they are."""
        return [self.sketch[start : start + DIGITS] for start in range(0, len(self.sketch), DIGITS)]

    @model_validator(mode="after")
    def _check_parts(self) -> Self:
        values = self.values
        if len(values[-1]) != DIGITS or any(low >= high for low, high in pairwise(values)):
            raise ValueError
        if (self.least, self.below) != band(self.least):
            raise ValueError
        return self


Found = Literal["confirmed", "changed", "gone"]


class Confirmation(Sparing):
    """A node's word of a ``day`` on the version that a fingerprint (the id of its envelope) tells of.

    ``confirmed``: computed anew, the fingerprint is the same. ``changed``: it is another one, though no refresh was declared.
    ``gone``: the rows cannot be read any more. ``reserves`` is what the node's ledger keeps back (1e-9 rho) by pledge.
    """

    kind = "confirmation"
    silent = ("reserves",)
    dataset: Name
    fingerprint: Hex32
    day: Date
    found: Found
    reserves: dict[Hex32, Annotated[int, Field(ge=0, lt=1 << 62)]] = Field(default_factory=dict)


class Clearance(Message):
    """A reviewer's ruling on two fingerprints whose rows are alike: ``clear``, they are different assets, or the ``same``."""

    kind = "clearance"
    asset: Asset
    fingerprint: Hex32
    other: Asset
    other_fingerprint: Hex32
    act: Literal["clear", "same"]
    because: Annotated[Words, Field(min_length=1)]
    nonce: Hex32


KINDS: Mapping[str, type[Message]] = {cls.kind: cls for cls in (Fingerprint, Confirmation, Clearance)}


def columns_digest(*, standard_digest: str, columns: list[str]) -> str:
    """Return what a fingerprint's hashes are about: the standard's content and which of its columns are mapped."""
    return canonical.digest({"standard": standard_digest, "columns": sorted(columns)})


def band(rows: int) -> tuple[int, int]:
    """Return the least and the first number beyond of the band that ``rows`` lies in, at most a sixteenth wide."""
    shift = max(0, rows.bit_length() - _BITS)
    least = rows >> shift << shift
    return least, least + (1 << shift)
