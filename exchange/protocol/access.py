"""Where a request for access stands with one owner, as a printable table, and what an officer's ruling makes of it.

The owner's node keeps the case and decides; exchange and desks show what it said, and let the days pass by the same table.
``python -m exchange.protocol.access`` prints it.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from enum import StrEnum

from exchange.protocol.errors import PeerFault


class Standing(StrEnum):
    """Where a request stands with one owner."""

    WAITING = "waiting"
    HALF = "half approved"
    APPROVED = "approved"
    REFUSED = "refused"
    WITHDRAWN = "withdrawn"
    LAPSED = "lapsed"
    EXPIRED = "expired"


class Act(StrEnum):
    """What an officer does about a request."""

    APPROVE = "approve"
    REFUSE = "refuse"
    WITHDRAW = "withdraw"


class Event(StrEnum):
    """What can happen to a request."""

    APPROVED = "an officer approves and another must"
    ALL_APPROVED = "the last officer needed approves"
    REFUSED = "an officer refuses"
    WITHDRAWN = "an officer takes the approval back"
    CLOSED = "the last day for rulings passes"
    ENDED = "the approval's last day passes"


TABLE: Mapping[tuple[Standing, Event], Standing] = {
    (Standing.WAITING, Event.APPROVED): Standing.HALF,
    (Standing.WAITING, Event.ALL_APPROVED): Standing.APPROVED,
    (Standing.WAITING, Event.REFUSED): Standing.REFUSED,
    (Standing.WAITING, Event.CLOSED): Standing.LAPSED,
    (Standing.HALF, Event.APPROVED): Standing.HALF,
    (Standing.HALF, Event.ALL_APPROVED): Standing.APPROVED,
    (Standing.HALF, Event.REFUSED): Standing.REFUSED,
    (Standing.HALF, Event.WITHDRAWN): Standing.WITHDRAWN,
    (Standing.HALF, Event.CLOSED): Standing.LAPSED,
    (Standing.APPROVED, Event.WITHDRAWN): Standing.WITHDRAWN,
    (Standing.APPROVED, Event.ENDED): Standing.EXPIRED,
}
"""Everything that may happen to a request. What is not here counts for nothing."""

OVER = frozenset(standing for standing in Standing if not any(standing is origin for origin, _ in TABLE))
"""Standings from which nothing leads away: who still wants access asks anew."""

OPEN = frozenset({Standing.WAITING, Standing.HALF})
"""Standings in which a request waits for an officer."""


@dataclass(frozen=True, slots=True)
class Case:
    """One request at one owner. Immutable: a ruling that counts for nothing leaves it as it was.

    ``closes`` is the last day for rulings that approve or refuse. ``approvals`` gives the last day that each officer
    approved for, ``until`` the last day of the approval that they make together, ``step`` how many rulings counted.
    """

    closes: date
    standing: Standing = Standing.WAITING
    approvals: Mapping[str, date] = field(default_factory=dict)
    until: date | None = None
    step: int = 0

    def on(self, day: date) -> "Case":
        """Return the case as it stands on a day: what has run out by then is over."""
        match self.standing:
            case Standing.WAITING | Standing.HALF if day > self.closes:
                return replace(self, standing=_after(self.standing, Event.CLOSED))
            case Standing.APPROVED if self.until is None or day > self.until:
                return replace(self, standing=_after(self.standing, Event.ENDED))
            case Standing.HALF:
                return replace(self, approvals={who: end for who, end in self.approvals.items() if day <= end})
            case _:
                return self

    def rule(self, act: Act, *, officer: str, until: date | None, persons: int, day: date) -> "Case":
        """Take an officer's ruling of a day; ``persons`` different officers must approve, each ``until`` a last day.

        Raises:
            PeerFault: naming why the ruling counts for nothing.
        """
        now = self.on(day)
        if now.standing in OVER:
            raise PeerFault(f"the request is {now.standing}", fix="have the asker send a new request")
        if act is not Act.WITHDRAW and officer in now.approvals:
            raise PeerFault(
                "this officer has approved before", fix="let another officer rule, or withdraw the approval"
            )
        match act:
            case Act.REFUSE:
                return replace(now, standing=_after(now.standing, Event.REFUSED), step=now.step + 1)
            case Act.WITHDRAW:
                return replace(now, standing=_after(now.standing, Event.WITHDRAWN), until=None, step=now.step + 1)
            case Act.APPROVE:
                if until is None or until < day:
                    raise PeerFault("the approval's last day has passed", fix="approve for more days")
                held = {**now.approvals, officer: until}
                end = together(held.values(), persons=persons)
                standing = _after(now.standing, Event.APPROVED if end is None else Event.ALL_APPROVED)
                return replace(now, standing=standing, approvals=held, until=end, step=now.step + 1)


def together(ends: Iterable[date], *, persons: int) -> date | None:
    """Return the last day on which as many as ``persons`` approvals are in force, given the last day of each."""
    ranked = sorted(ends, reverse=True)
    return ranked[persons - 1] if 0 < persons <= len(ranked) else None


def _after(standing: Standing, event: Event) -> Standing:
    try:
        return TABLE[standing, event]
    except KeyError:
        raise PeerFault(
            f"the request is {standing}: {event} has no place now", fix="look at where the request stands"
        ) from None


def print_table() -> str:
    """Return the table as Markdown; ``docs/access.md`` holds this text."""
    lines = ["| a request is | when | it becomes |", "|---|---|---|"]
    lines += [f"| {origin} | {event} | {target} |" for (origin, event), target in TABLE.items()]
    return "\n".join(lines)


if __name__ == "__main__":
    print(print_table())  # noqa: T201  this room's one command
