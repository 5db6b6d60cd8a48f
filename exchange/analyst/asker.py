"""Who asks: one desk with its stored answers and a record of every question that it put, so that none is lost."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from exchange import address, identity
from exchange.analyst.desk import Desk, Progress, unwatched
from exchange.analyst.logged import Proofs
from exchange.analyst.question import Question
from exchange.analyst.reading import parse
from exchange.analyst.result import Result
from exchange.analyst.shelf import Served, Shelf, Stored
from exchange.analyst.tables import tabulate
from exchange.protocol.errors import Unknown
from privacy import canonical
from privacy.plan import Plan
from privacy.terms import NANO


@dataclass(frozen=True, slots=True)
class Asking:
    """What makes a statement a question: its text, purpose, standard (``name/version``), institutions and kind of noise.

    ``keeps`` is for how many days the answer will be kept at most; ``None``: for as long as the purpose needs.
    """

    sql: str
    purpose: str
    standard: str
    parties: tuple[str, ...]
    shared: int | None
    keeps: int | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the canonical JSON object."""
        return {
            "sql": self.sql,
            "purpose": self.purpose,
            "standard": self.standard,
            "parties": list(self.parties),
            "shared": self.shared,
            "keeps": self.keeps,
        }

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> "Asking":
        """Read what :meth:`to_json` wrote."""
        return cls(**{**document, "parties": tuple(document["parties"])})


class Asker:
    """One asker's keys, stored answers and questions under ``home``, and its line to the exchange at a URL.

    ``seconds`` tells the time since 1970.
    """

    def __init__(self, home: Path, exchange: str, *, seconds: Callable[[], float]) -> None:
        self.desk = Desk(home, lambda party, key: address.line(home, exchange, party=party, key=key, clock=seconds))
        self.shelf = Shelf(home / "answers")
        self.proofs = Proofs(home, self.desk.line, directory=self.desk.pinned)
        self._asked = home / "asked"
        self._seconds = seconds

    def moment(self) -> int:
        """Whole seconds since 1970."""
        return int(self._seconds())

    def read(self, asking: Asking) -> Question:
        """Read a statement into the question that it is; it has no price of its own yet, but 1 rho.

        Raises:
            QueryFault: if the statement is not in the language.
        """
        return parse(
            asking.sql,
            standard=self.desk.standard(asking.standard),
            purpose=asking.purpose,
            parties=asking.parties,
            rho=NANO,
            shared=asking.shared,
        )

    def served(self, question: Question, versions: Mapping[str, str] | None = None) -> Served | None:
        """Answer a question from what is stored over the parties' present versions of the data, or over ``versions``."""
        plan = question.plan
        domains = {column.name: column.domain for column in question.standard.columns if column.domain}
        return self.shelf.serve(plan, versions or self.desk.versions(plan), domains)

    def show(self, question: Question, sql: str, served: Served, *, receipt: Mapping[str, Any] | None = None) -> Result:
        """Work out the table of a question from its cells; without a ``receipt`` of its own it is free, by stored answers."""
        return Result(
            sql=sql,
            table=tabulate(question, served.cells, min_group=served.min_group),
            receipt=served.sources[0].receipt if receipt is None else receipt,
            sources=tuple(stored.release.session for stored in served.sources),
            free=receipt is None or not any(receipt["charged"].values()),
        )

    def put(self, question: Question, asking: Asking) -> "Job":
        """Open a session for a question and record it, so that it can be found again whatever happens."""
        self.desk.registered_key()  # making and proving a key takes a while: the session's time starts after it
        at = self.moment()
        session = self.desk.ask(question.plan, now=at, keeps=asking.keeps)
        self._asked.mkdir(mode=0o700, parents=True, exist_ok=True)
        prices = dict(zip((measure.key for measure in question.plan.measures), question.plan.prices, strict=True))
        document = {"asking": asking.to_json(), "prices": prices, "asked_at": at}
        identity.write_secret(self._asked / f"{session}.json", canonical.encode(document).decode())
        return Job(self, session, asking, prices=prices, asked_at=at)

    def job(self, session: str) -> "Job":
        """Return a question that was put before, by the id of its session or the beginning of it.

        Raises:
            Unknown: if there is none, or more than one begins like this.
        """
        found = [path for path in self._asked.glob("*.json") if path.stem.startswith(session)]
        if len(found) != 1 or not session:
            raise Unknown("one question of this desk whose id begins like this")
        document = json.loads(found[0].read_text("utf-8"))
        asking = Asking.from_json(document["asking"])
        return Job(self, found[0].stem, asking, prices=document["prices"], asked_at=document["asked_at"])

    def jobs(self) -> list["Job"]:
        """Return every question that was put, newest first."""
        held = [self.job(path.stem) for path in self._asked.glob("*.json")]
        return sorted(held, key=lambda job: (-job.asked_at, job.id))


class Job:
    """A question that was put to the institutions; ``id`` is that of its session."""

    def __init__(self, asker: Asker, session: str, asking: Asking, *, prices: Mapping[str, int], asked_at: int) -> None:
        self._asker = asker
        self._prices = prices
        self.id = session
        self.asking = asking
        self.asked_at = asked_at

    @property
    def sql(self) -> str:
        """The statement that was asked."""
        return self.asking.sql

    @property
    def plan(self) -> Plan:
        """The plan that was asked."""
        return self._question.plan

    def state(self) -> str:
        """Return where the question stands: ``answered``, or the stage of its session at the exchange."""
        if self._asker.shelf.get(self.id) is not None:
            return "answered"
        return str(self._asker.desk.record(self.id)["stage"])

    def result(self, progress: Progress = unwatched) -> Result:
        """Follow the session to its end and return the answer; one that was opened before is read from its file.

        Raises:
            Overreach, Refused: if it ended without an answer, with the reason.
            Mismatch: if anything in its record does not fit together, or its place in the log is not promised; nothing is
                shown then.
        """
        question = self._question
        stored = self._asker.shelf.get(self.id)
        if stored is None:
            record = self._asker.desk.wait(self.id, progress)
            answer = self._asker.desk.open(record, question.plan)
            ended = self._asker.moment()
            self._asker.proofs.keep_promise(self.id, record, question.plan, now=ended)
            stored = Stored(
                release=answer.release,
                receipt=answer.receipt,
                versions=answer.versions,
                min_group=answer.min_group,
                opened=ended,
                took=max(0, ended - self.asked_at),
            )
            self._asker.shelf.keep(stored)
        served = self._asker.served(question, stored.versions)
        if served is None:
            raise Unknown("stored answer of this question")
        return self._asker.show(question, self.sql, served, receipt=stored.receipt)

    def receipt(self) -> Mapping[str, Any]:
        """Return the receipt of an answer that was opened.

        Raises:
            Unknown: if it was not opened at this desk.
        """
        stored = self._asker.shelf.get(self.id)
        if stored is None:
            raise Unknown("opened answer of this question")
        return stored.receipt

    def promised(self) -> Mapping[str, Any] | None:
        """Return what is kept of the log's promise; with ``head`` and ``paths`` once it was proved."""
        return self._asker.proofs.kept(self.id)

    def proof(self) -> Mapping[str, Any]:
        """Fetch, check and keep the proof that this question, its answers and charges are in the exchange's log.

        Raises:
            Unknown: if it was not opened at this desk.
            Forked, Mismatch: if the exchange does not keep its promise, or shows another log than before.
        """
        return self._asker.proofs.prove(self.id, now=self._asker.moment())

    @cached_property
    def _question(self) -> Question:
        return self._asker.read(self.asking).priced(self._prices)
