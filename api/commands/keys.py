"""``touchstone keys`` on the command line: a party's keys on its own disk, and the change to new ones."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from api.commands.terminal import note

keys_app = typer.Typer(
    no_args_is_help=True,
    help="Protect a party's keys on disk, show their fingerprints, change them. A passphrase or key file is never an "
    "argument: TOUCHSTONE_KEY_FILE names a file of 32 bytes, TOUCHSTONE_PASSPHRASE_FILE one that holds the passphrase, "
    "TOUCHSTONE_PASSPHRASE is the passphrase; else you are asked.",
)

Home = Annotated[Path, typer.Argument(help="Directory of an exchange, a node, a desk or an officer.")]


@keys_app.command("protect")
def protect(home: Home) -> None:
    """Seal every secret key under a directory with a passphrase or a key file; without it nothing opens them again."""
    from exchange import passphrase, protecting  # noqa: PLC0415

    held = protecting.protection(home)
    opener = passphrase.chosen() if held is None else passphrase.given(held.kind)
    sealed = protecting.protect(home, opener)
    note(
        f"{sealed} files sealed with the {opener.kind.replace('-', ' ')}; `touchstone keys show` opens them for a look"
    )
    note(
        "what the disk held before may still be found on it: for keys that were in use, change them (keys rotate), too"
    )


@keys_app.command("unprotect")
def unprotect(home: Home) -> None:
    """Put the keys under a directory in the open again, readable by their owner alone."""
    from exchange import passphrase, protecting  # noqa: PLC0415

    opened = protecting.unprotect(home, passphrase.given)
    note(f"{opened} files are in the open")


@keys_app.command("show")
def show(home: Home) -> None:
    """Print the fingerprint of each key under a directory, and whether it is sealed; never a key."""
    from exchange import protecting  # noqa: PLC0415

    for kept in protecting.shown(home):
        typer.echo(f"{kept.name:<18} {'sealed' if kept.sealed else 'open':<6}  {kept.fingerprint}")


@keys_app.command("rotate")
def rotate(
    home: Home,
    *,
    exchange: Annotated[str, typer.Option("--exchange", envvar="TOUCHSTONE_URL", help="Address of the exchange.")],
) -> None:
    """Change the signing key: the old one signs the new one, and partners' nodes and desks follow. Again, it finishes.

    The party must not be running. What the old key signed stays verifiable; what of it still waits for others lapses.
    """
    from exchange import address, rotating  # noqa: PLC0415

    with _stopped(home):
        key = rotating.rotate(home, lambda party, key: address.line(home, exchange, party=party, key=key))
    typer.echo(key.hex())
    note("changed; who pins the old key follows by itself, since it signed for the new one")


@contextmanager
def _stopped(home: Path) -> Iterator[None]:
    """Hold a node's journal, so that no process of it goes on with the old key."""
    from exchange.journal import Journal  # noqa: PLC0415

    if not (home / "journal").is_dir():
        yield
        return
    with Journal.open(home / "journal", owner=(home / "party").read_text("utf-8").strip(), mend=False):
        yield
