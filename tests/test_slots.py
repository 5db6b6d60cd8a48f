"""The times at which answers leave a node: few, never before the work is done, and never much after it."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exchange.node.slots import LONGEST, SHORTEST, held, leaves

seconds = st.floats(min_value=0, max_value=10_000, allow_nan=False)


@given(seconds)
def test_an_answer_waits_for_its_work_and_little_longer(took):
    left = leaves(took)
    assert took <= left
    assert left <= max(SHORTEST, 2 * took)
    assert left - took <= LONGEST


@given(seconds, seconds)
def test_more_work_never_leaves_sooner(took, other):
    assert leaves(min(took, other)) <= leaves(max(took, other))


def test_up_to_ten_seconds_there_are_seventeen_times():
    told = sorted({round(leaves(tick / 10_000), 9) for tick in range(100_000)})
    assert told[:6] == [0.05, 0.1, 0.2, 0.4, 0.8, 1.6]
    assert len(told) == 17
    assert told[-1] == 10.4


def test_by_the_clock_of_the_machine_what_takes_no_time_and_what_fails_leave_no_sooner():
    for fails in (False, True):
        began = time.monotonic()
        if fails:
            with pytest.raises(ValueError, match="broken"), held():
                raise ValueError("broken")
        else:
            with held():
                pass
        assert time.monotonic() - began >= SHORTEST
