"""Budgets recomputed from the log: what institutions charged, by their people, against the caps that they had published.

The log shows a charge with the answer that it paid for; one whose answer never came is the node's alone to show. So what is
counted here is at least a part of what was spent, and never more: an honest log passes, and caps that are broken here are
broken. Amounts in 1e-9 rho.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from privacy import canonical
from privacy.errors import Mismatch
from privacy.ledger import Caps
from privacy.plan import Plan


@dataclass(frozen=True, slots=True)
class Answer:
    """One institution's answer in a session: whose people it is about, who asked what, and what it says of its budget.

    ``versions`` are the public versions of the parties' data, ``caps`` those in force at any time since the session began.
    ``reserve`` is the pledge whose reserve has paid with how much was ever kept back for it; ``kept`` is what live pledges keep
    back of these people's budget, by pledge, with the purpose that it is kept for.
    """

    owner: str
    population: str
    dataset: str
    asker: str
    plan: Plan
    versions: Mapping[str, str]
    caps: Sequence[Caps]
    charged: int
    left: int
    reserve: tuple[str, int] | None = None
    kept: Mapping[str, tuple[str, int]] = field(default_factory=dict)


@dataclass(slots=True)
class _Account:
    everyone: int = 0
    partners: defaultdict[str, int] = field(default_factory=lambda: defaultdict(int))
    purposes: defaultdict[str, int] = field(default_factory=lambda: defaultdict(int))
    paid: set[str] = field(default_factory=set)
    drawn: defaultdict[str, int] = field(default_factory=lambda: defaultdict(int))


class Spending:
    """What is known to be spent, by institution and its people."""

    def __init__(self) -> None:
        self._accounts: dict[tuple[str, str], _Account] = {}

    def take(self, answer: Answer) -> None:
        """Count an answer.

        Raises:
            Mismatch: if it charges another price than the plan's, twice, beyond a cap, into what is kept back for a pledge or
                beyond that, or says that more is left than can be.
        """
        account = self._accounts.setdefault((answer.owner, answer.population), _Account())
        name = _name(answer)
        price, purpose = answer.plan.rho, answer.plan.purpose
        if answer.charged not in (0, price):
            raise _wrong(f"{answer.owner} charged {answer.charged}, the plan costs {price}")
        if answer.charged and name in account.paid:
            raise _wrong(f"{answer.owner} charged the same answer twice")
        if name not in account.paid:
            # a free answer was paid for in a session that never ended: by somebody, for the same purpose
            account.paid.add(name)
            account.everyone += price
            account.purposes[purpose] += price
        account.partners[answer.asker] += answer.charged
        rooms = {
            "population": max(caps.everyone for caps in answer.caps) - account.everyone,
            "partner": max(caps.partner for caps in answer.caps) - account.partners[answer.asker],
            "purpose": max(caps.purposes.get(purpose, 0) for caps in answer.caps) - account.purposes[purpose],
        }
        if answer.reserve is None:
            # what is left may have been told before a reserve was taken, what was charged keeps to it
            limits = rooms | _besides(account, answer)
        else:
            pledge, most = answer.reserve
            account.drawn[pledge] += answer.charged
            limits = rooms = rooms | {"reserve": most - account.drawn[pledge]}
        for cap, room in limits.items():
            if answer.charged and room < 0:
                raise _wrong(f"{answer.owner} charged {-room} beyond its {cap} cap")
        if answer.left > max(0, min(rooms.values())):
            raise _wrong(
                f"{answer.owner} says that {answer.left} is left, at most {max(0, min(rooms.values()))} can be"
            )

    def forgive(self, owner: str) -> int:
        """Begin anew for an institution that lost its ledger, and return what is forgotten by that."""
        forgotten = [name for name in self._accounts if name[0] == owner]
        return sum(self._accounts.pop(name).everyone for name in forgotten)

    def to_json(self) -> list[dict[str, Any]]:
        """Return all accounts by institution and people."""
        return [
            {
                "owner": owner,
                "population": population,
                "everyone": account.everyone,
                "partners": {name: spent for name, spent in sorted(account.partners.items()) if spent},
                "purposes": dict(sorted(account.purposes.items())),
            }
            for (owner, population), account in sorted(self._accounts.items())
        ]


def _besides(account: _Account, answer: Answer) -> dict[str, int]:
    """Return the room besides what live pledges keep back: what of it was drawn is spent, not kept."""
    if not answer.kept:
        return {}
    purpose = answer.plan.purpose
    every, same = account.everyone, account.purposes[purpose]
    for pledge, (kept_for, most) in answer.kept.items():
        left = most - account.drawn[pledge]
        every, same = every + left, same + (left if kept_for == purpose else 0)
    rooms = {"unreserved": max(caps.everyone for caps in answer.caps) - every}
    if any(kept_for == purpose for kept_for, _ in answer.kept.values()):
        rooms["unreserved purpose"] = max(caps.purposes.get(purpose, 0) for caps in answer.caps) - same
    return rooms


def _name(answer: Answer) -> str:
    """Name what is paid for once: a plan over one version of the data, with shared noise over one of everybody's."""
    versions = answer.versions[answer.owner] if answer.plan.shared is None else dict(answer.versions)
    return canonical.digest([answer.plan.hash, answer.dataset, versions])


def _wrong(reason: str) -> Mismatch:
    return Mismatch(reason, fix="ask the institution for its own ledger")
