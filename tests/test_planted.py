"""The planted bugs still fit the source, and each is reported by a test."""

import pytest

from tests import planted


def test_every_planted_bug_applies_to_the_source_as_it_is():
    assert planted.stale() == [], "change the planted bugs together with the source: see tests/planted.py"


def test_planted_bugs_are_many_and_each_has_its_name_and_its_tests():
    assert len(planted.BUGS) >= 24
    assert len({bug.name for bug in planted.BUGS}) == len(planted.BUGS)
    assert all(bug.tests and bug.changes and all(old != new for old, new in bug.changes) for bug in planted.BUGS)


def test_a_change_that_fits_nowhere_or_twice_is_stale():
    bug = planted.bug("no name", "privacy/noise.py", ("x", "y"), tests="test_noise.py")
    assert planted.planted(bug, "a x b") == "a y b"
    assert planted.planted(bug, "a b") is None
    assert planted.planted(bug, "x x") is None


@pytest.mark.long
def test_every_planted_bug_is_caught():
    assert planted.main([]) == 0
