"""What this node keeps back of its people's budgets for pledges, and what it has heard of each, as events of its journal.

A reserve is one entry when it is taken and one when it ends; in between it is what was agreed, less what was let go of in
part and what whoever stepped in has spent of it. Where its pledge stands follows from the parties' signed steps, each
verified before it was written: they are taken again whenever it is asked, so that a restart forgets nothing.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from exchange.book import Book, Cursor
from exchange.journal import Entry, Event
from exchange.protocol.agreement import STEPS
from exchange.protocol.envelope import Envelope
from exchange.protocol.errors import PeerFault, Unknown
from exchange.protocol.messages import unverified
from exchange.protocol.pledge import LIVE, Agreement
from privacy.errors import Exhausted, Refused
from privacy.ledger import Reserve, Spent, remaining
from privacy.pledging import Pointing
from privacy.policy import Policy

Read = Callable[[str, list[Any]], list[tuple[Any, ...]]]
"""Runs one SELECT with its parameters and returns its rows."""

TABLES = [
    "CREATE TABLE reserve (pledge VARCHAR PRIMARY KEY, dataset VARCHAR, population VARCHAR, purpose VARCHAR, nano BIGINT, "
    "until VARCHAR, quote VARCHAR, seq BIGINT, ended VARCHAR)",
    "CREATE TABLE heard (pledge VARCHAR, number INTEGER, said VARCHAR, PRIMARY KEY (pledge, number))",
]


def _reserved(cursor: Cursor, entry: Entry) -> None:
    body = entry.body
    told = [body[name] for name in ("dataset", "population", "purpose", "nano", "until")]
    row = [Envelope.from_json(body["quote"]).id, *told, json.dumps(body["quote"]), entry.seq, None]
    cursor.execute("INSERT INTO reserve VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", row)


def _heard(cursor: Cursor, entry: Entry) -> None:
    body = entry.body
    for number, said in enumerate(body["steps"], body["after"]):
        row = [body["pledge"], number, None if said is None else json.dumps(said)]
        cursor.execute("INSERT INTO heard VALUES (?, ?, ?)", row)
    cursor.execute("UPDATE reserve SET nano = ? WHERE pledge = ?", [body["nano"], body["pledge"]])


def _given_back(cursor: Cursor, entry: Entry) -> None:
    body = entry.body
    cursor.execute("UPDATE reserve SET ended = ? WHERE pledge = ?", [body["because"], body["pledge"]])


APPLY = {"reserved": _reserved, "heard": _heard, "given_back": _given_back}

_LEFT = (
    "SELECT pledge, reserve.purpose, nano - coalesce((SELECT sum(charge.nano) FROM charge WHERE charge.reserve = pledge), 0), "
    "document FROM reserve JOIN policy USING (dataset) WHERE ended IS NULL AND reserve.population = ? ORDER BY reserve.seq"
)


def kept(read: Read, population: str) -> list[Reserve]:
    """Return what is kept back of a population's budget, first taken first, as a reader or the single writer sees it."""
    return [
        Reserve(pledge, purpose, left=max(0, int(left)), caps=Policy.from_json(json.loads(document)).caps)
        for pledge, purpose, left, document in read(_LEFT, [population])
    ]


def check_policy(read: Read, policy: Policy, *, spent: Callable[[str, str], Spent]) -> None:
    """Make sure that a new policy breaks no reserve of its dataset; ``spent`` tells it by population and purpose.

    What grants for the purpose open may still be narrowed, and a prohibition added: the law may demand it.

    Raises:
        Refused: if it takes back what a step-in needs, or leaves too little budget.
    """
    held = read("SELECT DISTINCT population FROM reserve WHERE ended IS NULL AND dataset = ?", [policy.dataset])
    mine = {row[0] for row in read("SELECT pledge FROM reserve WHERE dataset = ?", [policy.dataset])}
    declared = None if policy.pledging is None else policy.pledging.step_in
    for (population,) in held:
        every = kept(read, population)
        for one in every:
            if one.pledge not in mine:
                continue
            if declared is None or declared.purpose != one.purpose or not policy.granted(one.purpose):
                raise Refused(
                    "the policy would take back what a step-in under a live pledge needs",
                    fix="keep step_in and the grants of its purpose until the pledge has ended",
                )
            room = policy.caps.everyone - spent(population, one.purpose).everyone
            least = min(room - sum(other.left for other in every), policy.partner - one.left)
            same = sum(other.left for other in every if other.purpose == one.purpose)
            least = min(least, policy.caps.purposes[one.purpose] - spent(population, one.purpose).purpose - same)
            if one.left and least < 0:
                raise Refused(
                    "the policy's budgets would not cover what is kept back for a live pledge",
                    fix="lower them by less, or have the lender let go of a part of the reserve",
                )


@dataclass(frozen=True, slots=True)
class Held:
    """A reserve with where its pledge stands: ``heard`` steps of it were verified; ``left`` and ``nano`` in 1e-9 rho."""

    pledge: str
    dataset: str
    population: str
    purpose: str
    nano: int
    left: int
    until: str
    heard: int
    agreement: Agreement
    ended: str | None


@dataclass(frozen=True, slots=True)
class Drawing:
    """A verified step-in in force, and the pledge whose reserve pays for it."""

    pledge: str
    to: Pointing


class Reserves:
    """The reserves of one node."""

    def __init__(self, book: Book) -> None:
        self._book = book
        self._open: bool | None = None

    def held(self, *, dataset: str | None = None, ended: bool = False) -> list[Held]:
        """Return the reserves of a dataset or of all, by rank of their pledge; with ``ended`` also those that were given back."""
        if not ended and not self._any_open():
            return []
        rows = self._read(
            "SELECT pledge, dataset, population, purpose, nano, until, quote, ended, nano - coalesce((SELECT sum(charge.nano) "
            "FROM charge WHERE charge.reserve = pledge), 0) FROM reserve WHERE (ended IS NULL OR ?) "
            "AND dataset = coalesce(?, dataset) ORDER BY seq",
            [ended, dataset],
        )
        found = []
        for pledge, name, population, purpose, nano, until, quote, over, unspent in rows:
            said = self._read("SELECT said FROM heard WHERE pledge = ? ORDER BY number", [pledge])
            made = Agreement.quoted(Envelope.from_json(json.loads(quote)))
            for (text,) in said:
                made = made.lapse() if text is None else _taken(made, Envelope.from_json(json.loads(text)))
            left = 0 if over is not None else max(0, int(unspent))
            found.append(Held(pledge, name, population, purpose, nano, left, until, len(said), made, over))
        return sorted(found, key=lambda one: one.agreement.rank)

    def drawing(self, dataset: str, *, day: str) -> Drawing | None:
        """Return the step-in that is in force for a dataset on a day (ISO): only that of the first live rank is."""
        for one in self.held(dataset=dataset):
            to = one.agreement.points(day)
            if to is not None:
                return Drawing(one.pledge, to)
            if one.agreement.state in LIVE:
                return None
        return None

    def said(self, pledge: str) -> list[str | None]:
        """Return the ids of the steps that were heard of a pledge; ``None`` where it lapsed."""
        rows = self._read("SELECT said FROM heard WHERE pledge = ? ORDER BY number", [pledge])
        return [None if text is None else Envelope.from_json(json.loads(text)).id for (text,) in rows]

    def take(
        self,
        quote: Envelope,
        *,
        dataset: str,
        population: str,
        until: str,
        spent: Callable[[Cursor, str, str], Spent],
        policy: Callable[[Cursor, str], Policy],
    ) -> tuple[int, str]:
        """Keep back what a quote agrees on, once, and return amount and last day for its registration.

        Raises:
            Exhausted: if too little is left besides what is kept back already.
            Refused: if the budgets would not let one party spend it.
        """
        agreed = Agreement.quoted(quote)
        terms = agreed.terms
        if terms is None:
            raise Unknown("reserve in this agreement")

        def decide(cursor: Cursor) -> tuple[list[Event], tuple[int, str]]:
            def read(sql: str, values: list[Any]) -> list[tuple[Any, ...]]:
                return cursor.execute(sql, values).fetchall()

            known = read("SELECT nano, until, ended FROM reserve WHERE pledge = ?", [quote.id])
            if known:
                nano, last, ended = known[0]
                if ended is not None:
                    raise Refused("the reserve of this agreement was given back", fix="quote the pledge anew")
                return [], (int(nano), str(last))
            caps = policy(cursor, dataset).caps
            # as if it were kept back already: it must fit its own caps beside all the others, and theirs beside it
            every = [*kept(read, population), Reserve(quote.id, terms.purpose, terms.reserve, caps)]
            cap, room = remaining(caps, spent(cursor, population, terms.purpose), purpose=terms.purpose, reserves=every)
            if room < 0:
                raise Exhausted(asked=terms.reserve, left=max(0, room + terms.reserve), cap=cap)
            if terms.reserve > caps.partner:
                raise Refused("the policy lets one party spend less than the reserve", fix="agree on a smaller one")
            body = {
                "quote": quote.to_json(),
                "dataset": dataset,
                "population": population,
                "purpose": terms.purpose,
                "nano": terms.reserve,
                "until": until,
            }
            return [("reserved", body)], (terms.reserve, until)

        taken = self._book.write(decide)
        self._open = True
        return taken

    def hear(self, pledge: str, steps: Sequence[Envelope | None], *, after: int, nano: int, ends: str | None) -> None:
        """Record verified steps that follow the first ``after``, and in the same write that the reserve ends, if it does.

        Raises:
            PeerFault: if others were recorded meanwhile.
        """
        body = {
            "pledge": pledge,
            "after": after,
            "steps": [None if said is None else said.to_json() for said in steps],
            "nano": nano,
        }

        def decide(cursor: Cursor) -> tuple[list[Event], None]:
            known = cursor.execute("SELECT count(*) FROM heard WHERE pledge = ?", [pledge]).fetchone()
            over = cursor.execute("SELECT ended FROM reserve WHERE pledge = ?", [pledge]).fetchone()
            if known != (after,):
                raise PeerFault("other steps were heard meanwhile", fix="ask again")
            events: list[Event] = [("heard", body)] if steps else []
            if ends is not None and over == (None,):
                events.append(("given_back", {"pledge": pledge, "because": ends}))
            return events, None

        self._book.write(decide)
        self._open = None

    def _any_open(self) -> bool:
        """Whether anything is kept back: asked of the tables once, since most nodes keep nothing back and judge often."""
        if self._open is None:
            self._open = bool(self._read("SELECT 1 FROM reserve WHERE ended IS NULL LIMIT 1", []))
        return self._open

    def _read(self, sql: str, values: list[Any]) -> list[tuple[Any, ...]]:
        return [tuple(row.values()) for row in self._book.read(sql, values)]


def _taken(made: Agreement, said: Envelope) -> Agreement:
    return made.step(unverified(said, STEPS[said.kind]), said)
