"""Likeness from sketches: within its error of the truth, also for parts of a set, and exact where a sketch holds all."""

import random
from fractions import Fraction
from math import sqrt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exchange.protocol.collateral import SKETCH
from exchange.protocol.likeness import Share, Z, compare


def sketched(hashes):
    return sorted(hashes)[:SKETCH]


def tables(seed):
    """Two sets of random hashes with a random overlap and random sizes."""
    choose = random.Random(seed)
    pool = [f"{choose.getrandbits(64):016x}" for _ in range(16_000)]
    common, first, second = (choose.choice([0, 50, 400, 2_000, 5_000]) for _ in range(3))
    ours = set(pool[: common + first])
    theirs = set(pool[:common]) | set(pool[common + first : common + first + second])
    return ours, theirs


@pytest.mark.parametrize("seed", range(60))
def test_estimates_lie_within_four_standard_deviations_of_the_truth(seed):
    ours, theirs = tables(seed)
    if not ours or not theirs:
        return
    told = compare(sketched(ours), sketched(theirs))
    common = len(ours & theirs)
    truths = (common / len(ours | theirs), common / len(ours), common / len(theirs))
    for share, true in zip(told.shares, truths, strict=True):
        if share.seen == 0:
            assert (share.low, share.high) == (0, 1)
            continue
        deviation = sqrt(true * (1 - true) / share.seen)
        assert abs(float(share.value) - true) <= 4 * deviation + (1 / share.seen if not share.whole else 0)
        if share.whole:
            assert share.value == share.low == share.high
            assert abs(float(share.value) - true) < 1e-12
    if max(len(ours), len(theirs)) > SKETCH:
        assert told.jaccard.seen >= SKETCH
        assert sqrt(0.25 / told.jaccard.seen) <= 0.016


@given(st.integers(1, 2_000), st.data())
def test_the_interval_is_wilson_s_rounded_outwards(seen, data):
    matched = data.draw(st.integers(0, seen))
    share, p = Share(matched, seen), matched / seen
    centre = (p + Z * Z / (2 * seen)) / (1 + Z * Z / seen)
    half = Z * sqrt(p * (1 - p) / seen + Z * Z / (4 * seen * seen)) / (1 + Z * Z / seen)
    assert centre - half - 3e-6 <= share.low <= centre - half + 1e-9 or share.low == 0
    assert centre + half - 1e-9 <= share.high <= centre + half + 3e-6 or share.high == 1
    assert 0 <= share.low <= share.value <= share.high <= 1


def test_a_part_and_the_whole_are_alike_by_their_own_shares():
    pool = [f"{value:016x}" for value in random.Random(7).sample(range(1 << 62), 50_000)]
    told = compare(sketched(pool[:5_000]), sketched(pool))
    assert told.of_first.value == 1
    assert told.of_second.low <= Fraction(1, 10) <= told.of_second.high
    assert told.jaccard.low <= Fraction(1, 10) <= told.jaccard.high


def test_nothing_seen_excludes_nothing():
    small, large = ["f" * 16], [f"{value:016x}" for value in range(SKETCH)]
    told = compare(small, large)
    assert (told.of_first.seen, told.of_first.value, told.of_first.high) == (0, 0, 1)
    assert told.of_first.to_json() == {"share": "0.0000", "low": "0.0000", "high": "1.0000", "of": 0}
