"""One joint question put at a desk, without what a client does around it: no stored answers, no preview."""

import time
from dataclasses import dataclass

from api.demo import town
from exchange.analyst.desk import PATIENCE, Answer, Desk
from exchange.analyst.question import Question
from exchange.analyst.reading import parse
from exchange.line import Line
from privacy.terms import NANO


@dataclass(frozen=True, slots=True)
class Asked:
    """A question with its answer."""

    question: Question
    answer: Answer


def open_desk(home, url):
    """Open the desk under ``home`` on its line to the exchange at ``url``."""
    return Desk(home, lambda party, key: Line(url, party=party, key=key))


def put(desk, sql, *, rho=NANO // 10, shared=None, seconds=PATIENCE):
    """Ask every institution that holds data, follow the session, open the answer."""
    schema = desk.standard(town.STANDARD)
    holders = desk.holders(town.STANDARD)
    question = parse(sql, standard=schema, purpose=town.PURPOSE, parties=holders, rho=rho, shared=shared)
    desk.registered_key()
    session = desk.ask(question.plan, now=int(time.time()), seconds=seconds)
    return Asked(question, desk.open(desk.wait(session), question.plan))
