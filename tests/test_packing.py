"""Cells in slots: sums of parties come back exactly, at the extremes, and whatever is out of range is not shown."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_sensitivity import plan_of

from privacy.errors import Mismatch, Overflow
from privacy.expression import ByBand, Value
from privacy.noise import Noised
from privacy.packing import Layout, Packed, lay_out, layout_of, pack, unpack
from privacy.plan import CountRows, Histogram, Sum
from privacy.sensitivity import magnitude
from privacy.terms import Bounds

VECTORS = json.loads((Path(__file__).parent / "vectors" / "packing.json").read_text("utf-8"))


@st.composite
def layouts(draw):
    parties, size = draw(st.integers(1, 12)), draw(st.integers(0, 61))
    bits = draw(st.sampled_from([128, 200, 512, 3072]))
    return lay_out(cells=draw(st.integers(1, 30)), parties=parties, magnitude=size, modulus_bits=bits), bits


def noised(values):
    return Noised("0" * 64, tuple(values))


def summed(layout, rows):
    packed = [pack(noised(row), layout).plaintexts for row in rows]
    return [sum(column) for column in zip(*packed, strict=True)]


@given(layouts(), st.data())
def test_the_sum_of_parties_unpacks_to_the_sum_of_their_cells(drawn, data):
    layout, bits = drawn
    most = (1 << layout.magnitude) - 1
    cell = st.sampled_from([most, -most, 0]) | st.integers(-most, most)
    row = st.lists(cell, min_size=layout.cells, max_size=layout.cells)
    rows = data.draw(st.lists(row, min_size=layout.parties, max_size=layout.parties))
    sums = summed(layout, rows)
    assert unpack(sums, layout) == tuple(map(sum, zip(*rows, strict=True)))
    assert all(0 <= value < 1 << (bits - 2) for value in sums)


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("parties", [1, 2, 3, 4, 5, 8, 9, 1000])
@pytest.mark.parametrize("size", [1, 33, 61])
def test_all_parties_at_their_extremes_fit(sign, parties, size):
    layout = lay_out(cells=97, parties=parties, magnitude=size, modulus_bits=3072)
    extreme = sign * ((1 << size) - 1)
    (one, *_) = packed = pack(noised([extreme] * 97), layout).plaintexts
    sums = [parties * value for value in packed]
    assert unpack(sums, layout) == (parties * extreme,) * 97
    assert parties * one < 1 << 3070


@given(layouts())
def test_layouts_waste_no_whole_slot_and_cover_all_cells(drawn):
    layout, bits = drawn
    assert layout.slots * layout.width <= bits - 2 < (layout.slots + 1) * layout.width
    assert (layout.plaintexts - 1) * layout.slots < layout.cells <= layout.plaintexts * layout.slots
    # the largest sum leaves the guard bit of its slot zero
    assert layout.parties * ((1 << (layout.magnitude + 1)) - 1) < 1 << (layout.width - 1)


def test_the_layout_of_a_plan_holds_what_its_noise_may_be():
    bands = Histogram(ByBand("v", (0, 1, 2, 3), ("a", "b", "c")))
    plan = plan_of(CountRows(), Sum(Value("v")), bands, bounds={"v": Bounds(-9_999, 5)})
    layout = layout_of(plan, modulus_bits=3072)
    assert layout == Layout(
        cells=10, parties=4, magnitude=magnitude(plan), width=magnitude(plan) + 4, slots=3070 // (magnitude(plan) + 4)
    )


@pytest.mark.parametrize("field", ["cells", "parties"])
def test_empty_layouts_overflow(field):
    with pytest.raises(Overflow):
        lay_out(**{"cells": 1, "parties": 1, "magnitude": 10, "modulus_bits": 3072, field: 0})


def test_the_smallest_modulus_that_holds_one_slot():
    assert lay_out(cells=1, parties=3, magnitude=20, modulus_bits=26).slots == 1
    with pytest.raises(Overflow):
        lay_out(cells=1, parties=3, magnitude=20, modulus_bits=25)


LAYOUT = lay_out(cells=5, parties=3, magnitude=6, modulus_bits=22)


@pytest.mark.parametrize(
    "values", [[], [0] * 4, [0] * 6, [64, 0, 0, 0, 0], [0, 0, 0, 0, -64], [0, 0, 1 << 200, 0, 0]], ids=str
)
def test_cells_that_do_not_fit_are_not_packed(values):
    with pytest.raises(Overflow):
        pack(noised(values), LAYOUT)


@given(st.lists(st.integers(-(2**40), 2**40), min_size=3, max_size=3))
def test_numbers_that_are_no_sum_of_parties_are_refused(plaintexts):
    """Every vector of plaintexts is either exactly one vector of sums in range, packed, or refused."""
    try:
        totals = unpack(plaintexts, LAYOUT)
    except Mismatch:
        return
    assert all(abs(total) <= 3 * 63 for total in totals)
    offsets = [total + 3 * 64 for total in totals]
    again = [
        sum(slot << (LAYOUT.width * place) for place, slot in enumerate(offsets[start : start + LAYOUT.slots]))
        for start in range(0, 5, LAYOUT.slots)
    ]
    assert again == plaintexts


@given(st.data())
def test_one_slot_out_of_range_hides_all(data):
    rows = data.draw(st.lists(st.lists(st.integers(-63, 63), min_size=5, max_size=5), min_size=3, max_size=3))
    sums = summed(LAYOUT, rows)
    totals = [sum(column) for column in zip(*rows, strict=True)]
    cell = data.draw(st.integers(0, 4))
    wrong = data.draw(st.integers(0, (1 << LAYOUT.width) - 1).filter(lambda slot: not 3 <= slot <= 3 * 127))
    place, slot = divmod(cell, LAYOUT.slots)
    sums[place] += (wrong - (totals[cell] + 192)) << (LAYOUT.width * slot)
    with pytest.raises(Mismatch) as told:
        unpack(sums, LAYOUT)
    assert not any(character.isdigit() for character in told.value.reason)


@pytest.mark.parametrize("change", [-1, 1 << 31, 1 << 40, 1 << 3000])
def test_nothing_may_stand_below_or_above_the_slots(change):
    sums = summed(LAYOUT, [[1, 2, 3, 4, 5]] * 3)
    for place in range(len(sums)):
        changed = [value + (change if index == place else 0) for index, value in enumerate(sums)]
        if change == -1:
            changed[place] = -sums[place]
        with pytest.raises(Mismatch):
            unpack(changed, LAYOUT)


@pytest.mark.parametrize("count", [0, 1, 2, 4])
def test_the_number_of_plaintexts_is_the_layouts(count):
    sums = summed(LAYOUT, [[0] * 5] * 3)
    assert len(sums) == 3
    with pytest.raises(Mismatch):
        unpack((sums * 2)[:count], LAYOUT)


def test_a_missing_or_doubled_party_is_out_of_range_at_the_edge():
    rows = [[63] * 5] * 3
    with pytest.raises(Mismatch):
        unpack(summed(LAYOUT, [*rows, rows[0]]), LAYOUT)
    with pytest.raises(Mismatch):
        unpack(summed(LAYOUT, [[-63] * 5] * 2), LAYOUT)


def test_packed_cells_are_not_shown():
    assert "424242" not in repr(Packed((424242,), replace(LAYOUT)))


# -- vectors -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("vector", VECTORS["good"], ids=lambda vector: vector["name"])
def test_vectors(vector):
    layout = lay_out(**vector["lay_out"])
    assert {"width": layout.width, "slots": layout.slots, "plaintexts": layout.plaintexts} == vector["layout"]
    packed = [pack(noised(row), layout).plaintexts for row in vector["parties"]]
    assert [[str(value) for value in row] for row in packed] == vector["packed"]
    assert unpack([sum(column) for column in zip(*packed, strict=True)], layout) == tuple(vector["totals"])


@pytest.mark.parametrize("vector", VECTORS["bad"], ids=lambda vector: vector["name"])
def test_negative_vectors(vector):
    layout = lay_out(**vector["lay_out"])
    if "cells" in vector:
        with pytest.raises(Overflow):
            pack(noised(vector["cells"]), layout)
    else:
        with pytest.raises(Mismatch):
            unpack([int(value) for value in vector["sums"]], layout)
