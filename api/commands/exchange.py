"""``touchstone exchange``: what its operator does."""

from pathlib import Path
from typing import Annotated

import typer

from api.commands import certificates, inviting, keeping, watching
from api.commands.homes import Home, Lifeline, at_exchange, key_of, store_of
from api.commands.terminal import note

exchange_app = typer.Typer(no_args_is_help=True, help="Run an exchange.")


@exchange_app.command("init")
def exchange_init(home: Home) -> None:
    """Make an exchange and publish the standards of this release."""
    from exchange.hub import catalog, certificates  # noqa: PLC0415
    from exchange.standards import every  # noqa: PLC0415

    with store_of(home) as store:
        for standard in every():
            catalog.publish_standard(store, standard)
            note(f"published {standard.id}")
        note(f"signs with {certificates.public_key(store)}")
        note(f"log {store.log.id}")


@exchange_app.command("enrol")
def exchange_enrol(
    home: Home,
    party: Annotated[str, typer.Argument(help="Short name: a-z, 0-9 and hyphen.")],
    key: Annotated[str, typer.Argument(help="The party's Ed25519 key, 64 hexadecimal digits.")],
    *,
    role: Annotated[str, typer.Option(help="institution, lender, regulator or officer")],
    name: Annotated[str, typer.Option(help="Full name.")],
) -> None:
    """Register a party with the key that it told you."""
    from exchange.hub.office import Enrol  # noqa: PLC0415

    told = at_exchange(home, Enrol(party=party, name=name, role=role, key=key_of(key).hex()))
    note(f"enrolled {party} as {role}")
    if told["salt"] is not None:
        note(f"the log holds a commitment to the name; keep its salt with the name: {told['salt']}")


@exchange_app.command("revoke")
def exchange_revoke(
    home: Home,
    party: Annotated[str, typer.Argument(help="The party's short name.")],
    *,
    reason: Annotated[str, typer.Option(help="Why, in one line; it goes on record, and auditors read it.")],
) -> None:
    """Take a party's key away: nothing that it signs is taken any more, and its console sessions end."""
    from exchange.hub.office import Revoke  # noqa: PLC0415

    told = at_exchange(home, Revoke(party=party, because=reason))
    note(f"revoked {told['key']}; what {party} has on record stays; to come back it enrols anew")


@exchange_app.command("reset-witness")
def exchange_reset_witness(
    home: Home,
    party: Annotated[str, typer.Argument(help="The institution whose ledger was lost.")],
    seq: Annotated[int, typer.Argument(min=0, help="Entry at which its journal stands now.")],
    head: Annotated[str, typer.Argument(help="Hash of that entry, as the institution told you.")],
) -> None:
    """Accept an institution's journal after a loss; journaled, since it lets forgotten charges go."""
    from exchange.hub.office import Witness  # noqa: PLC0415

    at_exchange(home, Witness(party=party, seq=seq, head=key_of(head).hex()))
    note(f"the exchange now goes by entry {seq} of {party}")


@exchange_app.command("up")
def exchange_up(
    home: Home,
    *,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port; 0 picks a free one.")] = 0,
    tls_cert: Annotated[
        Path | None, typer.Option(help="PEM file of a certificate (chain); else the one of `exchange certify`, if any.")
    ] = None,
    tls_key: Annotated[Path | None, typer.Option(help="PEM file of its private key.")] = None,
    lifeline: Lifeline = False,
) -> None:
    """Serve the exchange until Ctrl-C, by TLS if it has a certificate; prints its address when ready."""
    from api.commands.certificates import pair  # noqa: PLC0415
    from api.processes import serve_exchange  # noqa: PLC0415

    serve_exchange(home, host=host, port=port, lifeline=lifeline, tls=pair(tls_cert, tls_key))


exchange_app.command("appoint")(watching.appoint)
exchange_app.command("certify")(certificates.certify)
exchange_app.command("invite")(inviting.invite)
exchange_app.command("blind-check")(keeping.blind_check)
