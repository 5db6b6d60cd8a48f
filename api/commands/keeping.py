"""Backups and check-ups at the command line, for exchange, node and desk alike."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from api.commands.terminal import FAILED, note, tell
from privacy.errors import Malformed

if TYPE_CHECKING:
    from exchange.backup import Backup
    from exchange.hub.blindness import Blindness

T = TypeVar("T")
Home = Annotated[Path, typer.Argument(help="Directory of an exchange, a node or a desk.")]
Archive = Annotated[Path, typer.Argument(help="The backup.")]


def backup(home: Home, to: Annotated[Path, typer.Argument(help="File to write; it holds secret keys.")]) -> None:
    """Back a party up into one file: keys, journal and stored answers; it may go on working meanwhile."""
    from api.processes import microseconds  # noqa: PLC0415
    from exchange import backup as room  # noqa: PLC0415

    made = _done(lambda: room.take(home, to, at=microseconds()))
    typer.echo(_told(made))
    typer.echo("Keep it as you keep the directory: it holds the party's secret keys, and no rows.", err=True)


def verify(archive: Archive) -> None:
    """Read a backup through: every file and the whole journal; nothing is changed."""
    from exchange import backup as room  # noqa: PLC0415

    typer.echo("sound: " + _told(_done(lambda: room.verify(archive))))


def restore(archive: Archive, home: Home) -> None:
    """Put a backup into a new directory, after checking it."""
    from exchange import backup as room  # noqa: PLC0415

    made = _done(lambda: room.restore(archive, home))
    typer.echo(_told(made))
    if made.head is not None:
        typer.echo(
            "What was journaled after the backup is not in it. A node whose exchange has seen a later entry answers nothing "
            "until that is settled; `touchstone node up` says how.",
            err=True,
        )


def doctor(
    home: Home,
    *,
    exchange: Annotated[
        str | None, typer.Option("--exchange", envvar="TOUCHSTONE_URL", help="Try to reach this exchange, too.")
    ] = None,
    fix: Annotated[bool, typer.Option("--fix", help="Mend what can be mended without a decision of yours.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the findings as JSON.")] = False,
) -> None:
    """Examine a party's directory and its way to the exchange, and say in words what is wrong and what to do."""
    from api.commands.checkup import examine  # noqa: PLC0415

    findings = examine(home, exchange=exchange, fix=fix)
    faults = sum(finding.state == "fault" for finding in findings)
    if as_json:
        tell([finding.to_json() for finding in findings])
    else:
        for number, finding in enumerate(findings, 1):
            typer.echo(
                f"{number:>2}  {finding.state.upper() if finding.state == 'fault' else finding.state:<6} {finding.text}"
            )
            if finding.do:
                typer.echo(f"           do: {finding.do}")
        typer.echo("all is well" if not faults else f"{faults} to mend", err=True)
    raise typer.Exit(1 if faults else 0)


def blind_check(
    home: Annotated[Path, typer.Argument(help="Directory of the exchange, which may be running.")],
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print counts and findings as one JSON object.")] = False,
) -> None:
    """Look for a figure of one institution in clear: every ciphertext ever taken, every entry, file and key; changes nothing.

    That what is sealed is masked it cannot show: that takes the asker's key.
    """
    from exchange.hub import blindness  # noqa: PLC0415

    with _reading() as progress:
        found = _done(lambda: blindness.blind_check(home, progress=progress))
    if as_json:
        tell({"status": "ok" if found.blind else "failed", **found.to_json()})
    else:
        for line in _looked_at(found) if found.blind else _counted(found):
            typer.echo(line)
    for finding in () if as_json else found.findings:
        typer.echo(f"{f'entry {finding.seq}' if finding.seq else 'home'}: {finding.what}")
    if found.blind:
        return
    note(f"{len(found.findings) + found.more} findings: this exchange cannot be called blind")
    raise typer.Exit(FAILED)


@contextmanager
def _reading() -> Iterator[Callable[[int, int], None]]:
    """Tell on standard error how much of a journal is read, while that is a terminal."""
    from rich.console import Console  # noqa: PLC0415

    told = -1

    def progress(done: int, total: int) -> None:
        nonlocal told
        if done * 100 // max(total, 1) > told:
            told = done * 100 // max(total, 1)
            status.update(f"reading the journal: {told} %")

    with Console(stderr=True).status("reading the journal") as status:
        yield progress


def _counted(found: "Blindness") -> list[str]:
    return [
        f"journal    {found.head[0]:,} entries",
        f"keys       {found.keys:,}",
        f"questions  {found.sessions:,}",
        f"answers    {found.shares:,} with {found.ciphertexts:,} ciphertexts",
        f"products   {found.products:,}",
        f"files      {found.files:,}",
    ]


def _looked_at(found: "Blindness") -> list[str]:
    """Say of each count what was checked; only of an exchange against which nothing was found."""
    journal, keys, questions, answers, products, files = _counted(found)
    catalogue = {
        "compared": "the tables of this release; keys, messages and products in them are the journal's",
        "in use": "left out: it changed while it was copied; ask again, or stop the exchange first",
        "missing": "none; the next start makes it from the journal",
    }
    sealed = f"; {found.sealed_keys} key files are sealed and were not compared" if found.sealed_keys else ""
    return [
        f"{journal} to {found.head[1]}, each with the fields of its kind and no others",
        f"{keys}, each fit for sessions; no two share a factor",
        f"{questions}, each under a key of its asker",
        f"{answers}: each of its key's full length, a unit, blinded, no short number, none twice",
        f"{products}, each exactly the product of its question's answers",
        f"{files}, each one that an exchange has; none holds a secret Paillier key or a party's signing key{sealed}",
        f"catalogue  {catalogue[found.catalogue]}",
        "0 figures of a single institution in clear",
    ]


def _done(act: Callable[[], T]) -> T:
    try:
        return act()
    except OSError as error:
        reason = error.strerror or "the disk refused"
        raise Malformed(f"a file cannot be read or written: {reason}", fix="check path, rights and room") from None


def _told(made: "Backup") -> str:
    day = datetime.fromtimestamp(made.taken / 1e6, tz=UTC).strftime("%Y-%m-%d %H:%M UTC")
    where = "no journal" if made.head is None else f"journal to entry {made.head[0]}"
    return f"{made.party}, {day}: {len(made.files)} files, {made.size:,} bytes, {where}"
