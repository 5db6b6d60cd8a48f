"""``touchstone node``: what an institution does beside its data."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from api.commands import cataloguing, watching
from api.commands.homes import Address, Home, Lifeline, at_node, document, key_of
from api.commands.terminal import note, tell

node_app = typer.Typer(no_args_is_help=True, help="Run an institution's node.")


@node_app.command("init")
def node_init(home: Home, party: Annotated[str, typer.Argument(help="Short name of the institution.")]) -> None:
    """Make a node's keys and print the public one, to be told to the exchange and to partners out of band."""
    from exchange.node.vault import create  # noqa: PLC0415
    from privacy.terms import check_party  # noqa: PLC0415

    key = create(home, party=check_party(party))
    typer.echo(key.public_key().public_bytes_raw().hex())


@node_app.command("pin")
def node_pin(
    home: Home,
    party: Annotated[str, typer.Argument(help="The partner's short name.")],
    key: Annotated[str, typer.Argument(help="The key that the partner told you, 64 hexadecimal digits.")],
    *,
    role: Annotated[
        str, typer.Option(help="institution (counts on a roster), lender, regulator, or officer (approves here).")
    ],
    replaces: Annotated[str | None, typer.Option(help="The pinned key whose place it takes, after a loss.")] = None,
) -> None:
    """Trust a partner's or an own officer's key for a role; compare it by phone first."""
    from exchange.node.office import Pin  # noqa: PLC0415

    replaced = None if replaces is None else key_of(replaces).hex()
    told = at_node(home, Pin(party=party, key=key_of(key).hex(), role=role, replaces=replaced))
    note(f"pinned {party} as {role}{_announced(told)}")


@node_app.command("dismiss")
def node_dismiss(home: Home, officer: Annotated[str, typer.Argument(help="The officer's short name.")]) -> None:
    """Take an officer's key away, and with it every approval that needs it."""
    from exchange.node.office import Dismiss  # noqa: PLC0415

    told = at_node(home, Dismiss(officer=officer))
    note(f"dismissed {officer}{_announced(told)}")


@node_app.command("register")
def node_register(
    home: Home,
    dataset: Annotated[Path, typer.Argument(help="Dataset: name, title, standard, source, mapping (JSON).")],
    policy: Annotated[Path, typer.Argument(help="Policy: purposes, columns, bounds, budgets (JSON).")],
) -> None:
    """Register a dataset where it lies, with its policy. Nothing leaves; both are announced when the node runs."""
    from exchange.node.office import Register  # noqa: PLC0415

    told = at_node(home, Register(dataset=document(dataset), policy=document(policy)))
    note(f"registered{_announced(told)}")


@node_app.command("refresh")
def node_refresh(
    home: Home,
    dataset: Annotated[str, typer.Argument(help="The dataset's short name.")],
    *,
    date: Annotated[str, typer.Option(help="Day of the load, for example 2026-12-31; later than the last one.")],
) -> None:
    """Take up a source that has grown or changed, as a new version."""
    from exchange.node.office import Refresh  # noqa: PLC0415

    told = at_node(home, Refresh(dataset=dataset, refreshed=date))
    note(f"refreshed {dataset}{_announced(told)}")


@node_app.command("up")
def node_up(
    home: Home,
    *,
    exchange: Address,
    console: Annotated[
        int | None,
        typer.Option("--console", min=0, max=65535, help="Serve the console on this port of loopback; 0: a free one."),
    ] = None,
    lifeline: Lifeline = False,
) -> None:
    """Run the node until Ctrl-C: it calls the exchange, nobody calls it."""
    from api.processes import run_node  # noqa: PLC0415

    run_node(home, exchange=exchange, console=console, lifeline=lifeline)


@node_app.command("console")
def node_console(home: Home) -> None:
    """Print a link that opens the console of a running node once; start the node with --console first."""
    from api.console.node.doorbell import ring  # noqa: PLC0415

    typer.echo(ring(home))


@node_app.command("budget")
def node_budget(home: Home) -> None:
    """Print every charge on the institution's people and what is kept back for pledges, as JSON."""
    from exchange.node.office import Budget  # noqa: PLC0415

    tell(at_node(home, Budget()))


@node_app.command("approvals")
def node_approvals(home: Home) -> None:
    """Print what officers have approved and is in force today, as JSON."""
    from exchange.line import today  # noqa: PLC0415
    from exchange.node.office import Approvals  # noqa: PLC0415

    tell(at_node(home, Approvals(on=today().isoformat())))


def _announced(told: Mapping[str, Any]) -> str:
    """Say whether the exchange knows of what is in force now: a node that runs has told it."""
    if "untold" not in told:
        return "; `touchstone node up` announces it"
    return " and announced" if told["untold"] is None else f"; the exchange was not told: {told['untold']}"


node_app.command("draft")(cataloguing.draft)
node_app.command("deprecate")(cataloguing.deprecate)
node_app.command("withdraw")(cataloguing.withdraw)
node_app.command("collateral-key")(watching.collateral_key)
node_app.command("fingerprint")(watching.fingerprint)
node_app.command("confirm")(watching.confirm)
