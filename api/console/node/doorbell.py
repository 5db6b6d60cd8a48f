"""Asking a running node for a link to its console: by a request on loopback that its own key signs."""

import json
from pathlib import Path

from exchange import identity
from exchange.line import Line
from exchange.protocol.errors import PeerFault

ADDRESS = "console.json"
"""In the node's home, while its console runs: where on loopback."""

PATH = "/links"


def ring(home: Path) -> str:
    """Return a link that opens the console of the node under ``home`` once.

    Raises:
        Unknown: if no node lives there.
        PeerFault: if it runs without a console, or not at all.
        Unreachable: if it ended without saying so.
    """
    party, key = identity.load(home, what="node")
    try:
        url = str(json.loads((home / ADDRESS).read_text("utf-8"))["url"])
    except (OSError, ValueError, KeyError, TypeError):
        raise PeerFault(
            "no console runs at this node", fix="start the node with touchstone node up HOME --exchange URL --console 0"
        ) from None
    with Line(url, party=party, key=key, audience=party) as line:
        return f"{url}{line.post(PATH, {})['path']}"
