"""The command line. Heavy libraries load inside the commands that need them; data goes to stdout, the rest to stderr."""

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from api.commands import cataloguing, inviting, keeping, pledge_records, pledging, quoting, terminal, watching
from api.commands.approving import app as access_app
from api.commands.auditing import audit_app
from api.commands.desk import desk_app, job_app, query
from api.commands.exchange import exchange_app
from api.commands.financing import finance_app
from api.commands.homes import Address, Lifeline
from api.commands.keys import keys_app
from api.commands.node import node_app
from api.commands.policy import policy_app
from api.commands.value import value_app
from privacy.errors import PrivacyError

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="Value data without moving it.",
)
pledge_app = typer.Typer(no_args_is_help=True, help="Pledge data assets, from quote to release.")
for name, command in {
    **quoting.COMMANDS,
    **pledging.COMMANDS,
    **pledge_records.COMMANDS,
    **watching.COMMANDS,
}.items():
    pledge_app.command(name)(command)
backup_app = typer.Typer(no_args_is_help=True, help="Back a party's directory up, check a backup, put it back.")
backup_app.command("take")(keeping.backup)
backup_app.command("verify")(keeping.verify)
backup_app.command("restore")(keeping.restore)
for name, group in {
    "exchange": exchange_app,
    "node": node_app,
    "desk": desk_app,
    "job": job_app,
    "access": access_app,
    "policy": policy_app,
    "audit": audit_app,
    "keys": keys_app,
    "catalog": cataloguing.catalog_app,
    "standard": cataloguing.standard_app,
    "certificate": cataloguing.certificate_app,
    "value": value_app,
    "finance": finance_app,
    "backup": backup_app,
    "pledge": pledge_app,
}.items():
    app.add_typer(group, name=name)


@app.callback()
def every(
    context: typer.Context,
    *,
    verbose: Annotated[bool, typer.Option("-v", "--verbose", help="Show every call to the exchange.")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show the first call that would change something, and stop before it.")
    ] = False,
    lang: Annotated[str, typer.Option(envvar="TOUCHSTONE_LANG", help="Language of the help: en or zh.")] = "en",
) -> None:
    """Value data without moving it."""
    del lang  # known before the help is made
    if verbose:
        terminal.show_calls()
    if dry_run:
        if context.invoked_subcommand not in terminal.REHEARSED:
            raise typer.BadParameter(f"only of {', '.join(sorted(terminal.REHEARSED))}", param_hint="--dry-run")
        from exchange import line  # noqa: PLC0415

        context.with_resource(line.rehearsing())


@app.command()
def demo(
    *,
    data: Annotated[
        Path | None, typer.Option(help="Split this credit-card CSV file over the three institutions.")
    ] = None,
    check: Annotated[bool, typer.Option("--check", help="Verify every step against the truth; exit 0 or 1.")] = False,
    keep: Annotated[Path | None, typer.Option(help="Keep everything in this directory.")] = None,
    rows: Annotated[
        int, typer.Option(min=5_000, max=10_000_000, help="Synthetic rows for each institution.")
    ] = 100_000,
    console: Annotated[
        bool, typer.Option("--console", help="Start the town again afterwards, with a console for each role.")
    ] = False,
) -> None:
    """Run the whole story on this machine: three banks, an exchange, two lenders, a query, a price, a lien."""
    from api.demo.story import tell  # noqa: PLC0415

    raise typer.Exit(tell(data=data, check=check, keep=keep, rows=rows, console=console))


@app.command("console")
def open_console(
    home: Annotated[Path, typer.Argument(help="Directory that holds the keys of your party.")],
    *,
    exchange: Address,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port on loopback; 0 picks a free one.")] = 0,
    at_exchange: Annotated[
        bool, typer.Option("--at-exchange", help="Print a link to the exchange's own console, for reading.")
    ] = False,
    open_browser: Annotated[bool, typer.Option("--open", help="Open the browser.")] = False,
    lifeline: Lifeline = False,
) -> None:
    """Open the console in a browser: beside your keys on this machine, or at the exchange; prints a link that works once."""
    if at_exchange:
        from exchange import address, identity  # noqa: PLC0415

        party, key = identity.load(home, what="party")
        with address.line(home, exchange, party=party, key=key) as line:
            typer.echo(f"{line.url}{line.post('/v1/links', {})['path']}")
        return
    from api.console.desk.app import serve  # noqa: PLC0415

    serve(home, exchange=exchange, port=port, open_browser=open_browser, lifeline=lifeline)


app.command("query")(query)
app.command("doctor")(keeping.doctor)
app.command("join")(inviting.join)


def main() -> None:
    """Run the command line; errors are one sentence and its fix, never a traceback."""
    arguments = sys.argv[1:]
    command = typer.main.get_command(app)
    if terminal.language(arguments, os.environ) == "zh":
        from api.console.wording import Words  # noqa: PLC0415

        terminal.localise(command, Words("zh").say)
    try:
        command(prog_name="touchstone")
    except PrivacyError as error:
        sys.exit(terminal.end(error, as_json="--json" in arguments))


if __name__ == "__main__":
    main()
