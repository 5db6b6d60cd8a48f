"""What commands open and read: the home of an exchange or a node, a document, a key."""

import json
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from privacy.errors import Malformed

if TYPE_CHECKING:
    from exchange.hub import office
    from exchange.node import office as node_office

Home = Annotated[Path, typer.Argument(help="Directory that holds the keys, the journal and the catalogue.")]
Address = Annotated[str, typer.Option("--exchange", envvar="TOUCHSTONE_URL", help="Address of the exchange.")]
Lifeline = Annotated[bool, typer.Option("--lifeline", hidden=True)]


def store_of(home: Path) -> Any:
    """Open an exchange that does not run; a context."""
    from api.processes import microseconds  # noqa: PLC0415
    from exchange.hub.store import Store  # noqa: PLC0415

    return closing(Store.open(home, clock=microseconds))


def vault_of(home: Path) -> Any:
    """Open a node that does not run; a context."""
    from api.processes import microseconds  # noqa: PLC0415
    from exchange.node.vault import Vault  # noqa: PLC0415

    return closing(Vault.open(home, clock=microseconds))


def at_exchange(home: Path, act: "office.Act") -> dict[str, Any]:
    """Do an act at an exchange, whether it runs or not, and return what it tells."""
    return _done(home, act, store_of)


def at_node(home: Path, act: "node_office.Act") -> dict[str, Any]:
    """Do an act at a node, whether it runs or not, and return what it tells."""
    return _done(home, act, vault_of)


def _done(home: Path, act: "office.Act | node_office.Act", opened: Callable[[Path], Any]) -> dict[str, Any]:
    from api.operating import operate  # noqa: PLC0415

    def alone() -> dict[str, Any]:
        with opened(home) as held:
            return act.perform(held)

    return operate(home, act, alone)


def document(path: Path) -> Any:
    """Read a JSON file.

    Raises:
        Malformed: if it cannot be read, or is none.
    """
    try:
        return json.loads(path.read_text("utf-8"))
    except (OSError, ValueError, RecursionError):
        raise Malformed(f"{path.name} cannot be read as JSON", fix="check the path and the file") from None


def key_of(text: str) -> bytes:
    """Read an Ed25519 key (32 bytes) from 64 hexadecimal digits.

    Raises:
        Malformed: if it is none.
    """
    try:
        key = bytes.fromhex(text)
    except ValueError:
        key = b""
    if len(key) != 32:
        raise Malformed("the key is not 64 hexadecimal digits", fix="copy it from the party's init command")
    return key
