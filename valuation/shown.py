"""Figures of a report as a committee reads them: at most three digits where a number is uncertain, in full where it binds."""

from collections.abc import Mapping
from decimal import ROUND_HALF_EVEN, Context, Decimal
from typing import Any

from valuation import exact

ABSENT = {"en": "not evidenced", "zh": "无证据"}
"""Stands wherever a figure is not there; nothing is left blank."""

_THREE = Context(prec=3, rounding=ROUND_HALF_EVEN)


def three(value: Decimal) -> str:
    """At most three significant digits, thousands grouped: no price of data is known better."""
    return f"{_THREE.plus(value):,f}"


class Figures:
    """The figures of a report by key; a key of ``None`` is a figure that was not evidenced."""

    def __init__(self, report: Mapping[str, Any]) -> None:
        self._found = {figure["key"]: figure for figure in report["figures"]}

    def value(self, key: str | None) -> Decimal | None:
        """The value under ``key``, ``None`` if there is none."""
        figure = None if key is None else self._found.get(key)
        return None if figure is None else Decimal(figure["value"])

    def keys(self, start: str) -> list[str]:
        """Keys that begin with ``start``, in the order of the report."""
        return [key for key in self._found if key.startswith(start)]

    def about(self, key: str | None) -> str:
        """An uncertain amount: three significant digits."""
        value = self.value(key)
        return ABSENT["en"] if value is None else three(value)

    def plain(self, key: str | None) -> str:
        """A count or a threshold, as it stands."""
        value = self.value(key)
        return ABSENT["en"] if value is None else f"{value:,f}"

    def money(self, key: str | None) -> str:
        """An amount that binds: to the cent, without empty cents."""
        value = self.value(key)
        if value is None:
            return ABSENT["en"]
        cents = value.quantize(Decimal("0.01"), ROUND_HALF_EVEN)
        return f"{cents:,.2f}".removesuffix(".00")

    def percent(self, key: str | None) -> str:
        """A share, one decimal."""
        value = self.value(key)
        return ABSENT["en"] if value is None else exact.percent(value)

    def rate(self, key: str | None) -> str:
        """A rate per year, two decimals."""
        value = self.value(key)
        return ABSENT["en"] if value is None else f"{(value * 100).quantize(Decimal('0.01'), ROUND_HALF_EVEN)} %"

    def times(self, key: str | None) -> str:
        """A ratio: three significant digits."""
        value = self.value(key)
        return ABSENT["en"] if value is None else f"{three(value)} ×"
