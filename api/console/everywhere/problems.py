"""Every problem code, with what somebody who meets it should know: what a problem document's ``type`` leads to."""

from collections.abc import Mapping
from typing import Any

from api import problems
from api.console.pages import Page, Visit
from api.console.wording import msg
from exchange.protocol.errors import Unknown
from exchange.protocol.problems import Problem


def every(_: Visit) -> Mapping[str, Any]:
    """Return every problem that a service or a console may answer with, by code."""
    return {"problems": [_told(problem) for problem in problems.known()]}


def one(visit: Visit) -> Mapping[str, Any]:
    """Return one problem."""
    for problem in problems.known():
        if problem.code == visit.path["code"]:
            return _told(problem)
    raise Unknown("problem")


def _told(problem: Problem) -> dict[str, Any]:
    return {"code": problem.code, "status": problem.status, "title": problem.title, "help": problem.help}


PAGES = (
    Page("/problems", "problems.html", msg("Problem codes"), every, open=True),
    Page("/problems/{code}", "problem-code.html", msg("Problem codes"), one, open=True),
)
