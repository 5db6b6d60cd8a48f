"""Backups and check-ups at the command line, for exchange, node and desk alike."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from api.terminal import tell
from privacy.errors import Malformed

if TYPE_CHECKING:
    from exchange.backup import Backup

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
    from api.checkup import examine  # noqa: PLC0415

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


def _done(act: Callable[[], "Backup"]) -> "Backup":
    try:
        return act()
    except OSError as error:
        reason = error.strerror or "the disk refused"
        raise Malformed(f"a file cannot be read or written: {reason}", fix="check path, rights and room") from None


def _told(made: "Backup") -> str:
    day = datetime.fromtimestamp(made.taken / 1e6, tz=UTC).strftime("%Y-%m-%d %H:%M UTC")
    where = "no journal" if made.head is None else f"journal to entry {made.head[0]}"
    return f"{made.party}, {day}: {len(made.files)} files, {made.size:,} bytes, {where}"
