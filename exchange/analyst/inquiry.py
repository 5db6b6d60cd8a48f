"""A question before and while it is asked: what it would cost and how exact it would be, and then the answer."""

import asyncio
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from html import escape
from statistics import median
from typing import Any

from exchange.analyst import accuracy
from exchange.analyst.asker import Asker, Asking, Job
from exchange.analyst.desk import Outlook, Progress, unwatched
from exchange.analyst.narrowing import narrow
from exchange.analyst.noisy import Cells
from exchange.analyst.question import Question
from exchange.analyst.result import SCHEMA_VERSION, Result
from exchange.analyst.shelf import Served
from exchange.analyst.spelling import spell
from exchange.analyst.tables import figures
from exchange.protocol.errors import Overreach
from exchange.protocol.messages import Indication, Verdict
from privacy.errors import Malformed
from privacy.offences import Violation
from privacy.plan import Plan
from privacy.terms import NANO

DEFAULT = NANO // 10
"""Price of a question (1e-9 rho) if neither accuracy nor budget is given and no owner wants a lower one."""

PILOT = 10
"""A pilot, which finds out how large the groups are, costs one part in so many of the default price."""


@dataclass(frozen=True, slots=True)
class Wish:
    """How exact or how dear an answer may be: half-widths of 95 % intervals by column, or a budget (1e-9 rho), or neither.

    ``rows`` is how many rows a group is expected to have, where nothing stored tells; ``fresh`` asks the institutions even
    where a stored answer would do.
    """

    accuracy: Mapping[str, float] | None = None
    budget: int | None = None
    rows: int | None = None
    fresh: bool = False


@dataclass(frozen=True, slots=True)
class Preview:
    """What a question would meet and cost, as far as can be told for nothing.

    ``price`` in 1e-9 rho for each institution (0 if free); ``repeats``: about how many more like it the tightest budget
    bears. ``expected`` gives by column the half-width of the 95 % interval in the worst group, ``None`` where it depends on
    data that nothing stored tells of. ``on_line``, ``answers`` (whether one that is on line would) and ``left`` (1e-9 rho
    before the question) are by institution.
    ``items`` are what is refused, each with its reason and a way forward; ``nearest`` is the statement that would pass, kept
    for ``keeps`` days at most and for the price ``offered`` (1e-9 rho) where that was refused, too. ``pilot`` is the price of a
    first small question that would find how large the groups are, 0 if none is needed. ``seconds`` is how long such questions took.
    """

    sql: str
    allowed: bool
    free: bool
    price: int
    repeats: int | None
    expected: Mapping[str, float | None]
    on_line: Mapping[str, bool]
    left: Mapping[str, int]
    answers: Mapping[str, bool] = field(default_factory=dict)
    items: tuple[Violation, ...] = ()
    nearest: str | None = None
    keeps: int | None = None
    offered: int | None = None
    pilot: int = 0
    seconds: float | None = None

    @property
    def refusals(self) -> tuple[str, ...]:
        """The reasons of a refusal as sentences, each once."""
        return tuple(dict.fromkeys(f"{one.item}: {one.why}; {one.fix}" for one in self.items))

    def lines(self) -> Iterator[str]:
        """Yield the preview as sentences."""
        if self.free:
            yield "Free: a stored answer serves it."
        elif self.allowed:
            more = "" if self.repeats is None else f"; the budget bears about {self.repeats} more like it"
            yield f"Every institution would answer, for {self.price / NANO:g} rho{more}."
        else:
            yield "It would be refused:" if self.refusals else "Not every institution is on line."
        yield from (f"  {reason}" for reason in self.refusals)
        if self.nearest is not None:
            kept = "" if self.keeps is None else f", kept for {self.keeps} days at most"
            yield f"  the nearest request that passes: {self.nearest}{kept}"
        for name, half in self.expected.items():
            unknown = "depends on the number of rows: say how many to expect, or ask a count first"
            yield f"{name}: {unknown if half is None else f'± {half:,.4g}'}"
        silent = [party for party, there in self.on_line.items() if not there]
        if not self.free:
            told = f"; silent: {', '.join(silent)}" if silent else ""
            yield f"{len(self.on_line) - len(silent)} of {len(self.on_line)} institutions on line{told}."
        if self.pilot:
            yield f"A pilot for {self.pilot / NANO:g} rho would come first, to learn how large the groups are."
        if self.seconds is not None:
            yield f"Such questions took about {self.seconds:g} s."

    def __str__(self) -> str:
        return "\n".join(self.lines())

    def _repr_html_(self) -> str:
        return "<br>".join(escape(line) for line in self.lines())

    def to_json(self) -> dict[str, Any]:
        """Return the versioned JSON object."""
        return {
            "schema_version": SCHEMA_VERSION,
            "sql": self.sql,
            "allowed": self.allowed,
            "free": self.free,
            "price_nano_rho": self.price,
            "repeats": self.repeats,
            "expected_half_width": dict(self.expected),
            "on_line": dict(self.on_line),
            "left_nano_rho": dict(self.left),
            "refusals": list(self.refusals),
            "nearest": self.nearest,
            "nearest_keep_days": self.keeps,
            "pilot_nano_rho": self.pilot,
            "seconds": self.seconds,
        }


class Inquiry:
    """One statement with what is wished of its answer."""

    def __init__(self, asker: Asker, asking: Asking, wish: Wish) -> None:
        self._asker = asker
        self._asking = asking
        self._wish = wish
        self._question = asker.read(asking)
        if not set(wish.accuracy or ()) <= set(self.columns):
            known = ", ".join(self.columns) or "none: give a budget"
            raise Malformed("an accuracy is given for a column that the answer lacks", fix=f"columns: {known}")

    @property
    def sql(self) -> str:
        """The statement as it was written."""
        return self._asking.sql

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns of the answer that an accuracy may be given for; a table function has none."""
        return () if self._question.sheet is not None else tuple(output.name for output in self._question.shown)

    def preview(self, *, seconds: int = 5) -> Preview:
        """Ask every institution's node whether it would answer and at what price, and look up what is stored.

        Costs nothing and reads no rows; waits for silent institutions at most ``seconds``.

        Raises:
            Refused: if no budget reaches the accuracy.
        """
        served = self._served()
        if served is not None and self._is_enough(served):
            expected = accuracy.worst(figures(self._question, served.cells))
            return Preview(
                self.sql, allowed=True, free=True, price=0, repeats=None, expected=expected, on_line={}, left={}
            )
        question, pilot = self._priced(served)
        outlook = self._outlook(question.plan, seconds=seconds)
        return self._told(question, outlook, pilot=pilot, expected=self._expected(question, served))

    def plan(self) -> Plan:
        """Return the plan as it would be asked now, at the budget wished for or the owners' price."""
        return self._question.at(self._wish.budget or self._default).plan

    def submit(self, progress: Progress = unwatched) -> Job:
        """Open the session and return; a pilot, where the accuracy needs one, is run to its end before.

        Raises:
            Overreach: if minimum necessity refuses the question; it carries the nearest plan that passes.
            Refused: if no budget reaches the accuracy.
        """
        return self._submit(self._usable(), progress)

    def run(self, progress: Progress = unwatched) -> Result:
        """Return the answer: a stored one if it is exact enough, else asked of the institutions and followed to its end.

        If this is interrupted, the session goes on: its job can be found again.
        """
        served = self._usable()
        return self._read_off(served) or self._submit(served, progress).result(progress)

    def stored(self) -> Result | None:
        """Return the answer if a stored one is exact enough; nothing is asked."""
        return self._read_off(self._usable())

    async def arun(self, progress: Progress = unwatched) -> Result:
        """Run without blocking the event loop."""
        return await asyncio.to_thread(self.run, progress)

    async def apreview(self, *, seconds: int = 5) -> Preview:
        """Preview without blocking the event loop."""
        return await asyncio.to_thread(self.preview, seconds=seconds)

    def offer(self, refusal: Overreach) -> str | None:
        """Return the nearest request that passes, as a statement, of a refusal of this question; nothing if there is none."""
        return self._spelled(refusal.nearest)

    def _submit(self, served: Served | None, progress: Progress) -> Job:
        question, pilot = self._priced(served)
        if pilot:
            self._asker.put(self._question.at(pilot), self._asking).result(progress)
            question, _ = self._priced(self._served())
        return self._asker.put(question, self._asking)

    # -- the price ---------------------------------------------------------------------------------------------------

    def _outlook(self, plan: Plan, *, seconds: int) -> Outlook:
        return self._asker.desk.preview(plan, now=self._asker.moment(), keeps=self._asking.keeps, seconds=seconds)

    @cached_property
    def _default(self) -> int:
        """The owners' price for a question, at most ours."""
        nearest = self._outlook(self._question.at(DEFAULT).plan, seconds=0).nearest
        return DEFAULT if nearest is None else min(DEFAULT, nearest.rho)

    def _priced(self, served: Served | None) -> tuple[Question, int]:
        """Return the question at its price, and the price of the pilot that must come first, or 0."""
        if self._wish.accuracy is None:
            return self._question.at(self._wish.budget or self._default), 0
        question = self._question
        cells = self._to_expect(question, served)
        if cells is None:
            return question.at(self._default), max(self._default // PILOT, 2 * len(question.plan.measures))
        held = None if served is None else figures(question, served.cells)
        priced = accuracy.priced_for(question, self._wish.accuracy, cells=cells, stored=held, evaluate=figures)
        return priced, 0

    def _to_expect(self, question: Question, served: Served | None) -> Cells | None:
        """Return cells to expect with the noise of the plan; nothing if the wanted errors depend on what nobody told."""
        if served is not None:
            return accuracy.with_noise_of(question.plan, question.standard, served.cells)
        wanted = set(self._wish.accuracy or ())
        if self._wish.rows is None and wanted & accuracy.depending(question, question.standard, figures):
            return None
        return accuracy.assumed(question.plan, question.standard, rows=self._wish.rows or 100_000)

    # -- what is stored ----------------------------------------------------------------------------------------------

    def _served(self) -> Served | None:
        return self._asker.served(self._question)

    def _usable(self) -> Served | None:
        """Return what is stored, where it could be shown or tells what the price must be."""
        return None if self._wish.fresh and self._wish.accuracy is None else self._served()

    def _read_off(self, served: Served | None) -> Result | None:
        if served is None or not self._is_enough(served):
            return None
        return self._asker.show(self._question, self.sql, served)

    def _is_enough(self, served: Served) -> bool:
        """Whether a stored answer is as exact as what would be asked for."""
        base = served.sources[0].release.plan
        if self._wish.fresh or (self._asking.shared is not None and base.shared != self._asking.shared):
            return False
        if self._wish.accuracy is not None:
            found = accuracy.worst(figures(self._question, served.cells))
            return all((found[name] or 0) <= wanted for name, wanted in self._wish.accuracy.items())
        if self._wish.budget is None:
            return True
        question = self._question.at(self._wish.budget)
        held = accuracy.worst(figures(question, served.cells))
        cells = accuracy.with_noise_of(question.plan, question.standard, served.cells)
        fresh = accuracy.worst(figures(question, cells))
        return all((held[name] or 0) <= (fresh[name] or 0) * 1.000001 for name in held)

    # -- the preview -------------------------------------------------------------------------------------------------

    def _told(
        self, question: Question, outlook: Outlook, *, pilot: int, expected: Mapping[str, float | None]
    ) -> Preview:
        plan = question.plan
        told = {party: verdict.outcome for party, verdict in outlook.verdicts.items() if verdict is not None}
        given = {party: outcome for party, outcome in told.items() if isinstance(outcome, Indication)}
        left = {party: outcome.left for party, outcome in given.items()}
        price = max((outcome.price for outcome in given.values()), default=plan.rho)
        refused = {one.item.partition(" ")[0] for one in outlook.violations}
        return Preview(
            sql=self.sql,
            allowed=outlook.allowed,
            free=outlook.allowed and price == 0,
            price=price,
            repeats=min(left.values()) // plan.rho - (price > 0) if left else None,
            expected=expected,
            on_line={party: party in told for party in plan.parties},
            left=left,
            answers={party: party in given for party in told},
            items=tuple(_items(outlook.violations, outlook.verdicts)),
            nearest=self._spelled(outlook.nearest),
            keeps=outlook.keeps if "retention" in refused else None,
            offered=outlook.nearest.rho if outlook.nearest is not None and "precision" in refused else None,
            pilot=pilot,
            seconds=self._usual_seconds(plan),
        )

    def _expected(self, question: Question, served: Served | None) -> dict[str, float | None]:
        if served is not None or self._wish.rows is not None:
            cells = self._to_expect(question, served)
            return {} if cells is None else accuracy.worst(figures(question, cells))
        anyhow = accuracy.worst(figures(question, accuracy.assumed(question.plan, question.standard, rows=100_000)))
        depends = accuracy.depending(question, question.standard, figures)
        return {name: None if name in depends else half for name, half in anyhow.items()}

    def _spelled(self, nearest: Plan | None) -> str | None:
        found = None if nearest is None else narrow(self._question, nearest)
        return None if found is None else spell(found, self._question.standard)

    def _usual_seconds(self, plan: Plan) -> float | None:
        alike = [stored for stored in self._asker.shelf.newest() if stored.release.plan.parties == plan.parties]
        return median(stored.took for stored in alike[:9]) if alike else None


def _items(own: tuple[Violation, ...], verdicts: Mapping[str, Verdict | None]) -> Iterator[Violation]:
    """Yield what would be refused, each item once for each reason: by the exchange, then by the nodes."""
    told = list(own)
    for party, verdict in verdicts.items():
        if verdict is not None and not isinstance(verdict.outcome, Indication):
            refusal = verdict.outcome
            told += [Violation(**one.model_dump()) for one in refusal.offences] or [
                Violation(item=party, layer="node", rule="", why=refusal.reason, fix=refusal.fix)
            ]
    yield from {(one.item, one.why, one.fix): one for one in told}.values()
