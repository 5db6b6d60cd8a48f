"""When an answer may leave its node: at fixed times after the question came, whatever reading and noise took.

How long a scan takes depends a little on its rows, and a sampler's time on what it draws: the time of an answer can tell of both
(Jin, McMurtry, Rubinstein and Ohrimenko, "Are We There Yet? Timing and Floating-Point Attacks on Differential Privacy Systems",
IEEE S&P 2022). An answer that waits for the next of a few fixed times tells no more than which of them it was.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from exchange.line import monotonic, pause

SHORTEST = 0.05
"""Seconds after which an answer may leave first; each of the next times is twice the one before."""

LONGEST = 0.8
"""Seconds that lie at most between two times: from here on they are its multiples, so that long work is not doubled."""


def leaves(took: float) -> float:
    """Return when an answer leaves that was ready after ``took`` seconds: seconds since its question came, not less."""
    slot = SHORTEST
    while slot < took and slot < LONGEST:
        slot *= 2
    return slot if took <= slot else -(-took // LONGEST) * LONGEST


@contextmanager
def held(*, clock: Callable[[], float] = monotonic, wait: Callable[[float], None] = pause) -> Iterator[None]:
    """Do what depends on rows or noise in here: it ends at one of the fixed times, also where it fails."""
    began = clock()
    try:
        yield
    finally:
        took = clock() - began
        wait(leaves(took) - took)
