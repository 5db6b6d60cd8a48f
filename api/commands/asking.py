"""Asking from the command line: what a question would cost, its answer as a table, a file or JSON, and what was asked before."""

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.table import Table

from api.commands.terminal import tell
from exchange.analyst.client import Client
from exchange.analyst.inquiry import Inquiry, Preview
from exchange.analyst.result import Result, shown
from exchange.analyst.syntax import QueryFault
from exchange.protocol.errors import Overreach
from exchange.protocol.session import OVER
from privacy.errors import Malformed
from privacy.terms import rho


def progress_line(stage: str, waiting: tuple[str, ...]) -> str:
    """Return what a session is at, for a status line."""
    return f"{stage}: {', '.join(waiting) or 'complete'}"


def wanted_errors(items: list[str]) -> dict[str, float]:
    """Read ``column=half-width`` items.

    Raises:
        Malformed: if one is not of that form.
    """
    read = {}
    for item in items:
        name, _, number = item.rpartition("=")
        try:
            read[name.strip()] = float(number)
        except ValueError:
            name = ""
        if not name:
            raise Malformed("an accuracy is not of the form column=number", fix="write for example avg_balance=50")
    return read


def statement(text: str | None, file: Path | None) -> str:
    """Return the statement that was given, as text or in a file.

    Raises:
        Malformed: if none or both were given, or the file cannot be read.
    """
    if text is not None and file is None:
        return text
    if file is None or text is not None:
        raise Malformed("a statement is given once, as text or in a file", fix="use -e SQL or -f FILE")
    try:
        return file.read_text("utf-8")
    except (OSError, UnicodeDecodeError):
        raise Malformed("the file of the statement cannot be read", fix="check its path; it is text in UTF-8") from None


@contextmanager
def pointing_at(sql: str) -> Iterator[None]:
    """Show on stderr where a statement leaves the language."""
    try:
        yield
    except QueryFault as fault:
        lines = sql.splitlines()
        if 0 < fault.line <= len(lines):
            console = Console(stderr=True)
            console.print(lines[fault.line - 1], highlight=False, markup=False, soft_wrap=True)
            console.print(" " * (fault.column - 1) + "^", highlight=False)
        raise


def follow(inquiry: Inquiry) -> Result:
    """Run a question with its progress on stderr while that is a terminal; a refusal brings the nearest request that passes."""
    console = Console(stderr=True)
    with console.status("asking") as status:
        try:
            return inquiry.run(lambda stage, waiting: status.update(progress_line(stage, waiting)))
        except Overreach as refusal:
            nearest, plan = inquiry.offer(refusal), refusal.nearest
            named = {item.item.partition(" ")[0] for item in refusal.violations}
            if nearest is not None and plan is not None:
                price = f" --budget {rho(plan.rho)}" if "precision" in named else ""
                kept = f" --keep-days {refusal.keeps}" if "retention" in named else ""
                refusal.fix = f'ask the nearest request that passes: -e "{nearest}"{price}{kept}'
            elif named == {"approval"}:
                refusal.fix = "ask for it: touchstone access request, with the same statement and purpose and --why"
            raise


def show_preview(preview: Preview, *, as_json: bool) -> None:
    """Print what a question would meet and cost."""
    if as_json:
        _print_json(preview.to_json())
    else:
        Console().print(str(preview), highlight=False, markup=False, soft_wrap=True)


def show(result: Result, *, as_json: bool, output: Path | None) -> None:
    """Print an answer: a table for people, or one JSON object; or write it to a file and say so on stderr."""
    if output is not None:
        result.write(output)
        Console(stderr=True).print(
            f"{len(result.table.rows)} rows written to {output.name}. {result.cost}", highlight=False
        )
    elif as_json:
        _print_json(result.to_json())
    else:
        console = Console()
        console.print(table(result))
        for note in result.table.notes:
            console.print(note, highlight=False, markup=False)
        console.print(result.cost, highlight=False)
        told = ", ".join(session[:16] for session in result.sources)
        console.print(f"receipt: session {told}", highlight=False)


def table(result: Result) -> Table:
    """Return the answer as a table for a terminal."""
    view = Table(show_edge=False)
    for name in result.table.columns:
        if name in result.table.labels:
            view.add_column(name)
        else:
            view.add_column(f"{name} (± 95 %)", justify="right")
    if any(result.table.cautions):
        view.add_column("caution")
    for row, caution in zip(result.table.rows, result.table.cautions, strict=True):
        view.add_row(*map(shown, row), *([caution] if caution else []))
    return view


def list_jobs(client: Client, *, as_json: bool) -> None:
    """Print every question that the desk put, newest first."""
    listed = [
        {"id": job.id, "asked_at": job.asked_at, "state": job.state(), "purpose": job.asking.purpose, "sql": job.sql}
        for job in client.jobs()
    ]
    if as_json:
        tell({"jobs": listed}, indent=None)
        return
    view = Table(show_edge=False)
    for name in ("id", "state", "purpose", "sql"):
        view.add_column(name, overflow="fold")
    for job in listed:
        view.add_row(str(job["id"])[:16], str(job["state"]), str(job["purpose"]), " ".join(str(job["sql"]).split()))
    Console().print(view)


def watch_job(client: Client, session: str) -> Result:
    """Follow a question to its end, one JSON line on stdout for each piece of news; the last one says that it is the last."""

    def tell(stage: str, waiting: tuple[str, ...]) -> None:
        news = {"id": job.id, "stage": stage, "waiting_for": list(waiting), "terminal": stage in OVER}
        sys.stdout.write(json.dumps(news) + "\n")
        sys.stdout.flush()

    job = client.job(session)
    return job.result(tell)


def _print_json(document: object) -> None:
    sys.stdout.write(json.dumps(document, ensure_ascii=False) + "\n")
