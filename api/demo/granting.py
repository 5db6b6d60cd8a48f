"""The supervisor's half of the story: a question that the owners' officers see, and rule on, before any node answers it."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from api.commands import approving
from api.demo.town import DATA_OFFICERS
from exchange import connect
from exchange.analyst.access import Access
from exchange.analyst.desk import Desk
from exchange.line import today
from exchange.protocol.access import Act
from privacy.plan import Plan

_WHY = "quarterly review of household credit"
_DAYS = 30


@dataclass(frozen=True, slots=True)
class Approval:
    """What an officer read before approving, and until when the approval lasts."""

    officer: str
    consequence: str
    until: str


def request(desk: Desk, plan: Plan) -> str:
    """Ask the owners of a plan's data to approve it; returns the request's id."""
    day = today()
    return Access(desk, today=day).ask(plan, why=_WHY, standing=False, closes=day + timedelta(days=_DAYS))


def approve(name: str, *, home: Path, url: str) -> Iterator[Approval]:
    """Let each institution's officer read what an approval would give away and approve the request.

    ``home`` is where the homes of the officers are.
    """
    day = today()
    for owner, officer in DATA_OFFICERS.items():
        with connect(home / officer, url) as client:
            access = Access(client.desk, today=day)
            found = access.find(name)
            told = approving.consequence_of(client.desk, found, owner, day)
            word = access.rule(found, Act.APPROVE, until=day + timedelta(days=_DAYS))
        yield Approval(officer, told, word.until or "")
