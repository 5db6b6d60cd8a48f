"""Many signed fixed-point cells in one plaintext, with headroom proved before anything is encrypted.

Slot arithmetic: a party's cell ``v`` satisfies ``|v| < 2**magnitude`` (totals and noise are clamped to it, see
:mod:`privacy.noise`). Each party adds the offset ``2**magnitude``, so a slot holds a non-negative number below
``2**(magnitude + 1)``; the sum over ``parties`` stays below ``2**(magnitude + 1) * parties <= 2**(width - 1)``. The top
bit of each slot is a guard that must come back zero. Plaintexts use whole slots below ``modulus / 2``. Source: PROOFS 4.1.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from privacy.errors import Mismatch, Overflow
from privacy.noise import Noised
from privacy.plan import Plan
from privacy.sensitivity import magnitude


@dataclass(frozen=True, slots=True)
class Layout:
    """Where the cells stand: ``width`` bits a slot, ``slots`` slots a plaintext, ``cells`` cells in all."""

    cells: int
    parties: int
    magnitude: int
    width: int
    slots: int

    @property
    def plaintexts(self) -> int:
        """Number of plaintexts that hold all cells."""
        return -(-self.cells // self.slots)


@dataclass(frozen=True, slots=True)
class Packed:
    """One party's noised cells as plaintexts, not yet masked: never leaves the node."""

    plaintexts: tuple[int, ...]
    layout: Layout

    def __repr__(self) -> str:
        return f"Packed({len(self.plaintexts)} plaintexts, secret)"


def lay_out(*, cells: int, parties: int, magnitude: int, modulus_bits: int) -> Layout:
    """Choose the slots for ``cells`` cells of magnitude below ``2**magnitude`` summed over ``parties`` parties.

    Raises:
        Overflow: if not even one slot fits below half the modulus.
    """
    width = magnitude + 1 + (parties - 1).bit_length() + 1
    slots = (modulus_bits - 2) // width
    if slots < 1 or cells < 1 or parties < 1:
        raise Overflow("the cells do not fit one plaintext", fix="use narrower bounds or a longer key")
    return Layout(cells=cells, parties=parties, magnitude=magnitude, width=width, slots=slots)


def layout_of(plan: Plan, *, modulus_bits: int) -> Layout:
    """Return the layout that every party of a plan uses under a key of ``modulus_bits`` bits.

    Raises:
        Overflow: if the plan's cells could outgrow their slots.
    """
    return lay_out(
        cells=plan.cells_count, parties=len(plan.parties), magnitude=magnitude(plan), modulus_bits=modulus_bits
    )


def pack(noised: Noised, layout: Layout) -> Packed:
    """Pack one party's noised cells, first cell in the lowest slot.

    Raises:
        Overflow: if the number of cells is not the layout's or a cell exceeds its magnitude.
    """
    offset = 1 << layout.magnitude
    if len(noised.values) != layout.cells or any(abs(value) >= offset for value in noised.values):
        raise Overflow("the cells do not fit their layout", fix="plan the layout from the same plan")
    plaintexts = []
    for start in range(0, layout.cells, layout.slots):
        plaintext = 0
        for value in reversed(noised.values[start : start + layout.slots]):
            plaintext = plaintext << layout.width | (value + offset)
        plaintexts.append(plaintext)
    return Packed(tuple(plaintexts), layout)


def unpack(plaintexts: Sequence[int], layout: Layout) -> tuple[int, ...]:
    """Return the signed totals of all parties from the decrypted sums.

    Every slot must lie in its proved range and everything above the last slot must be zero; otherwise some party sent
    what the protocol does not allow, and no number is shown. Source: PROOFS 4.2.

    Raises:
        Mismatch: if a number is out of range or the number of plaintexts is wrong.
    """
    complaint = Mismatch(
        "the decrypted sum lies outside the range that the plan allows",
        fix="ask again; if it recurs, a party is faulty",
    )
    if len(plaintexts) != layout.plaintexts:
        raise complaint
    shift = layout.parties << layout.magnitude
    ceiling = layout.parties * ((1 << (layout.magnitude + 1)) - 1)
    totals: list[int] = []
    for plaintext in plaintexts:
        rest = plaintext
        for _ in range(min(layout.slots, layout.cells - len(totals))):
            slot = rest & ((1 << layout.width) - 1)
            rest >>= layout.width
            # a party's slot holds at least 1 (the cell is above -2**magnitude) and at most 2**(magnitude + 1) - 1
            if not layout.parties <= slot <= ceiling:
                raise complaint
            totals.append(slot - shift)
        if rest:
            raise complaint
    return tuple(totals)
