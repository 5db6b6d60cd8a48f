"""Asking a joint question from the command line and showing the answer."""

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from exchange.analyst import figures
from exchange.analyst.desk import PATIENCE, Answer, Desk
from exchange.analyst.query import QueryFault, Question, narrow, parse, spell
from exchange.line import Line
from exchange.protocol.errors import Overreach
from privacy.release import Estimate
from privacy.terms import NANO, Standard

Tell = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Answered:
    """A question with its answer, ready to be shown."""

    sql: str
    question: Question
    standard: Standard
    answer: Answer

    def rows(self) -> list[figures.Row]:
        """Return the table that was asked for."""
        return list(figures.rows(self.question, self.answer.release, min_group=self.answer.min_group))


def open_desk(home: Path, exchange: str) -> Desk:
    """Open an asker's desk on its line to an exchange."""
    return Desk(home, lambda party, key: Line(exchange, party=party, key=key))


def put(
    desk: Desk,
    *,
    sql: str,
    purpose: str,
    rho: int,
    standard: str,
    tell: Tell,
    shared: int | None = None,
    seconds: int = PATIENCE,
) -> Answered:
    """Ask every institution that holds data under the standard, follow the session, open the answer.

    Raises:
        Overreach: if the purpose does not cover the question; it carries the nearest plan that passes.
    """
    schema = desk.standard(standard)
    question = parse(sql, standard=schema, purpose=purpose, parties=desk.holders(standard), rho=rho, shared=shared)
    desk.registered_key()  # making and proving a key takes a while: the session's time starts after it
    session = desk.ask(question.plan, now=int(time.time()), seconds=seconds)
    record = desk.wait(session, lambda stage, waiting: tell(f"{stage}: {', '.join(waiting) or 'complete'}"))
    return Answered(sql, question, schema, desk.open(record, question.plan))


def ask(home: Path, *, sql: str, purpose: str, exchange: str, rho: int, standard: str, shared: int | None) -> Answered:
    """Ask from the command line; progress goes to stderr while that is a terminal."""
    console = Console(stderr=True)
    desk = open_desk(home, exchange)
    with desk.line, console.status("asking") as status:
        try:
            return put(desk, sql=sql, purpose=purpose, rho=rho, standard=standard, tell=status.update, shared=shared)
        except Overreach as refusal:
            nearest = counter_offer(refusal, sql=sql, desk=desk, standard=standard)
            if nearest is not None and refusal.nearest is not None:
                price = f" --budget {refusal.nearest.rho / NANO:g}" if refusal.nearest.rho < rho else ""
                refusal.fix = f'ask the nearest request that passes: -e "{nearest}"{price}'
            raise
        except QueryFault as fault:
            if fault.line:
                console.print(sql.splitlines()[fault.line - 1], highlight=False, markup=False, soft_wrap=True)
                console.print(" " * (fault.column - 1) + "^", highlight=False)
            raise


def counter_offer(refusal: Overreach, *, sql: str, desk: Desk, standard: str) -> str | None:
    """Return a refused question as the statement that would pass, if there is one."""
    if refusal.nearest is None:
        return None
    schema = desk.standard(standard)
    plan = refusal.nearest
    question = parse(sql, standard=schema, purpose=plan.purpose, parties=plan.parties, rho=plan.rho, shared=plan.shared)
    return spell(narrow(question, plan), schema)


def show(answered: Answered, *, as_json: bool) -> None:
    """Print an answer: a table for people, or one JSON object."""
    if as_json:
        import json  # noqa: PLC0415

        sys.stdout.write(json.dumps(to_json(answered), ensure_ascii=False) + "\n")
        return
    console = Console()
    console.print(table(answered))
    receipt = answered.answer.receipt
    spent = ", ".join(
        f"{party} {nano / NANO:g} (left {receipt['left'][party] / NANO:g})"
        for party, nano in receipt["charged"].items()
    )
    console.print(f"charged in rho: {spent}")
    console.print(f"receipt: session {receipt['session'][:16]}, plan {receipt['plan_hash'][:16]}")


def table(answered: Answered) -> Table:
    """Return the answer as a table for a terminal."""
    view = Table(show_edge=False)
    groups = [output.name for output in answered.question.outputs if output.what == "group"]
    values = [output for output in answered.question.outputs if output.what != "group"]
    for name in groups:
        view.add_column(name)
    for output in values:
        view.add_column(f"{output.name} (± 95 %)", justify="right")
    rows = answered.rows()
    if any(row.caution for row in rows):
        view.add_column("caution")
    for row in rows:
        cells = ["-" if figure is None else write(figure) for figure in row.figures.values()]
        view.add_row(*row.group, *cells, *([row.caution] if row.caution else []))
    return view


def write(figure: Estimate) -> str:
    """Write a value with its half-width, rounded to what the error leaves meaningful."""
    half = figure.half_width()
    digits = 0 if half >= 10 or figure.value.denominator == 1 else 2
    return f"{float(figure.value):,.{digits}f} ± {half:,.{digits}f}"


def to_json(answered: Answered) -> dict[str, object]:
    """Return an answer as a versioned JSON object; figures as decimal texts."""
    rows = []
    outputs = [output for output in answered.question.outputs if output.what == "group"]
    for row in answered.rows():
        told: dict[str, object] = dict(zip((output.name for output in outputs), row.group, strict=True))
        for name, figure in row.figures.items():
            told[name] = None if figure is None else f"{float(figure.value):.6f}"
            told[f"{name}_half_width"] = None if figure is None else f"{figure.half_width():.6f}"
        rows.append(told | ({"caution": row.caution} if row.caution else {}))
    return {"schema_version": "1", "sql": answered.sql, "rows": rows, "receipt": answered.answer.receipt}
