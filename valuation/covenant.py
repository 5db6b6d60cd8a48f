"""Covenants of a pledge loan: each a rule over one measured figure, kept or not, with today's headroom.

A figure that is not there keeps nothing: silence is a breach, at origination a condition that must be shown before money
moves. A monitor examines the same rules over later evidence.

Source: valuation and pledge practice; Civil Code article 444 for licences of pledged rights.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, NamedTuple

from valuation import exact
from valuation.intake import Record, within
from valuation.trace import Traced, derived, given


class Rule(NamedTuple):
    """``label`` is what is measured, in ``unit``; ``least``: it must be at least the threshold, else at most.

    ``usual`` is the threshold where none is agreed. A breach of a ``grave`` one calls the loan, of others it warns.
    """

    label: str
    unit: str
    least: bool
    usual: Decimal
    grave: bool = False


RULES: Mapping[str, Rule] = {
    "quality": Rule("combined quality factor, lower end", "share", True, Decimal("0.85")),
    "refresh_age": Rule("age of the last refresh", "days", False, Decimal(31)),
    "refresh_in_time": Rule("refreshes in time", "share", True, Decimal("0.95")),
    "volume": Rule("rows against those at origination", "share", True, Decimal("0.9")),
    "rights_margin": Rule("rights that outlast the loan", "days", True, Decimal(0), True),
    "ltv": Rule("balance to recognised value", "share", False, Decimal("0.6")),
    "dscr": Rule("least debt service cover of a period", "ratio", True, Decimal("1.2")),
    "licensee_hhi": Rule("concentration of licensees (HHI)", "share", False, Decimal("0.5")),
    "book_disclosed": Rule("value to carrying amount disclosed", "yes or no", True, Decimal(1)),
    "other_liens": Rule("other live liens on the asset", "liens", False, Decimal(0), True),
    "transfers": Rule("transfers and exclusive licences without consent", "cases", False, Decimal(0), True),
    "violations": Rule("breaches of data export or personal data law", "cases", False, Decimal(0), True),
    "budget_reserve": Rule("privacy budget left for a buyer in foreclosure", "share", True, Decimal("0.1")),
    "escrow_age": Rule("age of the escrow copy", "hours", False, Decimal(24)),
    "escrow_test": Rule("days since the escrow copy was opened in a test", "days", False, Decimal(31)),
    "insurance": Rule("days for which insurance is in force", "days", True, Decimal(1)),
    "engine_changes": Rule("changes of the policy engine without notice", "changes", False, Decimal(0)),
}
"""Every covenant that a loan may have, by name."""

DECLARED = frozenset(
    {
        "refresh_in_time", "other_liens", "transfers", "violations", "budget_reserve", "escrow_age", "escrow_test",
        "insurance", "engine_changes",
    }
)  # fmt: skip
"""Those that an appraisal cannot measure: evidence of them is stated with its source, or is missing."""


@dataclass(frozen=True, slots=True)
class Examined:
    """A covenant examined. ``measured`` and ``headroom`` are ``None`` where nothing was measured; that keeps nothing.

    ``headroom`` is how far the measured figure may worsen, in its own unit; negative where the covenant is not kept.
    """

    name: str
    kept: bool
    threshold: Traced
    measured: Traced | None
    headroom: Traced | None

    @property
    def figures(self) -> tuple[Traced, ...]:
        """What was found, conclusions last."""
        return tuple(one for one in (self.threshold, self.measured, self.headroom) if one is not None)

    def to_json(self) -> dict[str, Any]:
        """Name the figures; their values stand in the list of figures."""
        return {
            "name": self.name,
            "kept": self.kept,
            "grave": RULES[self.name].grave,
            "threshold": self.threshold.key,
            "measured": None if self.measured is None else self.measured.key,
            "headroom": None if self.headroom is None else self.headroom.key,
        }


def examine(agreed: Mapping[str, Decimal], measured: Mapping[str, Traced]) -> tuple[Examined, ...]:
    """Examine every agreed covenant, by name, over what was measured, by the same names."""
    return tuple(_examine(name, threshold, measured.get(name)) for name, threshold in agreed.items())


def agreed_from_json(document: Any, path: str) -> dict[str, Decimal]:
    """Parse thresholds by name; ``None`` takes every rule at its usual threshold. Raises a typed error naming the key."""
    if document is None:
        return {name: rule.usual for name, rule in RULES.items()}
    record = Record(document, path, "", " ".join(RULES))
    return {name: within(record.decimal(name), record.path(name), low=0) for name in RULES if record.given(name)}


def _examine(name: str, threshold: Decimal, measured: Traced | None) -> Examined:
    rule = RULES[name]
    sign = "at least" if rule.least else "at most"
    bound = given(
        f"covenant.{name}.threshold",
        f"covenant: {rule.label}, {sign}",
        threshold,
        unit=rule.unit,
        source="lender's terms",
    )
    if measured is None:
        return Examined(name, kept=False, threshold=bound, measured=None, headroom=None)
    room = measured.fraction - bound.fraction
    formula = "measured - threshold"
    if not rule.least:
        room, formula = -room, "threshold - measured"
    headroom = derived(
        f"covenant.{name}.headroom",
        f"headroom of {rule.label}",
        room,
        unit=rule.unit,
        formula=formula,
        because=(measured, bound),
        source="lender's terms",
    )
    return Examined(name, kept=room >= 0, threshold=bound, measured=measured, headroom=headroom)


def spelled(agreed: Mapping[str, Decimal]) -> dict[str, str]:
    """The canonical JSON object of thresholds."""
    return {name: exact.spell(threshold) for name, threshold in agreed.items()}
