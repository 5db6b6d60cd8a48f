"""``touchstone audit`` on the command line: options and help; :mod:`api.commands.inspecting` does the work."""

from pathlib import Path
from typing import Annotated

import typer

from api.commands.homes import Address
from api.commands.terminal import note

audit_app = typer.Typer(no_args_is_help=True, help="Check the exchange's log from outside.")

Desk = Annotated[Path, typer.Option("--as", help="Directory of your own keys (touchstone desk init).")]


@audit_app.command("pin")
def pin(
    home: Annotated[Path, typer.Argument(help="Directory of a node or a desk.")],
    log: Annotated[
        str, typer.Argument(help="The log's id, as `touchstone exchange init` told it; compare it by phone.")
    ],
) -> None:
    """Follow the log with this id and no other.

    It forgets what was seen before: after a loss at the exchange, ask why first.
    """
    from api.commands import inspecting  # noqa: PLC0415

    inspecting.pin(home, log)
    note(f"this directory now follows log {log}")


@audit_app.command("export")
def export(
    source: Annotated[str, typer.Argument(help="Directory of a stopped exchange, or address of a running one.")],
    *,
    output: Annotated[Path, typer.Option("-o", "--output", help="Write the bundle here.")],
    home: Annotated[Path | None, typer.Option("--as", help="For an address: directory of a regulator's keys.")] = None,
) -> None:
    """Write the whole log into one file that anybody can check offline."""
    from api.commands import inspecting  # noqa: PLC0415

    count = inspecting.export(source, output=output, home=home)
    note(f"{count} entries in {output.name}; check it with `touchstone audit verify`")


@audit_app.command("verify")
def verify(
    path: Annotated[Path, typer.Argument(metavar="BUNDLE", help="A bundle.")],
    *,
    log: Annotated[str | None, typer.Option(help="Id that the log must have.")] = None,
    home: Annotated[
        Path | None, typer.Option("--as", help="Directory of your keys: its pinned log, parties and last head count.")
    ] = None,
    seen: Annotated[Path | None, typer.Option(help="A head that you saw before (audit head -o).")] = None,
    report: Annotated[
        list[Path] | None, typer.Option(help="A report whose appraisal is on record; may be repeated.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Check a bundle offline: tree, signatures, cosignatures, every entry, budgets, liens, appraisals."""
    from api.commands import inspecting  # noqa: PLC0415

    inspecting.verify(path, log=log, home=home, seen=seen, reports=report or (), as_json=as_json)


@audit_app.command("head")
def head(
    *,
    home: Desk,
    exchange: Address,
    output: Annotated[Path | None, typer.Option("-o", "--output", help="Keep the signed head here.")] = None,
) -> None:
    """Fetch the log's head, hold it to the last one that was seen here, and print it with who cosigned it."""
    from api.commands import inspecting  # noqa: PLC0415

    inspecting.head(home, exchange, output=output)


@audit_app.command("watch")
def watch(
    *,
    home: Desk,
    exchange: Address,
    every: Annotated[int, typer.Option(min=1, help="Seconds between two looks.")] = 60,
    looks: Annotated[int | None, typer.Option(min=1, help="End after so many looks; never, if not given.")] = None,
) -> None:
    """Follow the log: one JSON line for each new head; ends with the reason if it is ever another log."""
    from api.commands import inspecting  # noqa: PLC0415

    inspecting.watch(home, exchange, every=every, looks=looks)
