"""The supervisor's half of the story: a question that the owners' officers see, and rule on, before any node answers it."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from api.commands import approving
from api.demo.town import DATA_OFFICERS
from exchange import connect
from exchange.analyst.access import Access
from exchange.analyst.desk import Desk
from exchange.line import seconds
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
    today = _today()
    return Access(desk, today=today).ask(plan, why=_WHY, standing=False, closes=today + timedelta(days=_DAYS))


def approve(name: str, *, home: Path, url: str) -> Iterator[Approval]:
    """Let each institution's officer read what an approval would give away and approve the request.

    ``home`` is where the homes of the officers are.
    """
    today = _today()
    for owner, officer in DATA_OFFICERS.items():
        with connect(home / officer, url) as client:
            access = Access(client.desk, today=today)
            found = access.find(name)
            told = approving.consequence_of(client.desk, found, owner, today)
            word = access.rule(found, Act.APPROVE, until=today + timedelta(days=_DAYS))
        yield Approval(officer, told, word.until or "")


def _today() -> date:
    return datetime.fromtimestamp(seconds(), tz=UTC).date()
