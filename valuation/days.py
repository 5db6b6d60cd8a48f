"""Days of a loan: when payments fall, what part of a year lies between two days, which days are business days.

Weekends rest. Holidays, and weekends that are worked, are stated by whoever sets the terms: nothing here knows a
country's calendar, and nothing reads today's date.
"""

from calendar import monthrange
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from enum import StrEnum
from fractions import Fraction

from valuation.errors import OutOfRange

LATEST = date(2200, 1, 1)
"""No day of a loan lies after this one."""

_FIRST_REST_DAY = 5


class Basis(StrEnum):
    """Day count of interest. In 30E/360 every month has 30 days, and a 31st counts as a 30th."""

    ACT_360 = "ACT/360"
    THIRTY_E_360 = "30E/360"


def days(basis: Basis, start: date, end: date) -> int:
    """Days of interest from ``start`` to ``end``; both counts are additive over a split of the time."""
    if basis is Basis.ACT_360:
        return (end - start).days
    return _thirty(end) - _thirty(start)


def share(basis: Basis, start: date, end: date) -> Fraction:
    """Part of a year of 360 days for which interest is owed."""
    return Fraction(days(basis, start, end), 360)


def later(day: date, months: int) -> date:
    """The same day ``months`` >= 0 months later, or the last one of a shorter month.

    Raises:
        OutOfRange: beyond the year 2200.
    """
    year, month = divmod(day.year * 12 + day.month - 1 + months, 12)
    if year >= LATEST.year:
        raise OutOfRange("days", "dates before the year 2200")
    return date(year, month + 1, min(day.day, monthrange(year, month + 1)[1]))


def falls(drawn: date, maturity: date, every: int) -> Iterator[tuple[date, date]]:
    """The periods of a loan: ``every`` months each, counted from the drawdown, the last one cut at maturity."""
    start, number = drawn, 1
    while start < maturity:
        end = min(later(drawn, every * number), maturity)
        yield start, end
        start, number = end, number + 1


@dataclass(frozen=True, slots=True)
class Calendar:
    """Business days: Monday to Friday without ``holidays``, and the weekend days in ``workdays``."""

    holidays: frozenset[date] = frozenset()
    workdays: frozenset[date] = frozenset()

    def works(self, day: date) -> bool:
        """Whether ``day`` is a business day."""
        return day in self.workdays or (day.weekday() < _FIRST_REST_DAY and day not in self.holidays)

    def following(self, day: date) -> date:
        """``day`` itself, or the first business day after it."""
        while not self.works(day):
            day += timedelta(days=1)
        return day

    def after(self, day: date, count: int) -> date:
        """The ``count``-th business day after ``day``."""
        for _ in range(count):
            day = self.following(day + timedelta(days=1))
        return day


def _thirty(day: date) -> int:
    return 360 * day.year + 30 * day.month + min(day.day, 30)
