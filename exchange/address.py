"""Where a party's exchange is and by which key it is known, as the party's own directory remembers it in ``exchange.json``.

Beside it, ``log.json`` has the id of the exchange's log. A home that holds a pin reaches the exchange by TLS under that pin or not at all; one without is told its address each time,
and trusts the machine's certificate authorities for ``https``.
"""

from collections.abc import Callable
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from exchange import identity, witness
from exchange.line import Line, seconds
from exchange.tls import PIN_BYTES
from privacy import canonical
from privacy.errors import Malformed

FILE = "exchange.json"


def remember(home: Path, *, url: str, pin: bytes | None) -> None:
    """Write down where the exchange is, and the pin of its certificate if it has one."""
    document = {"url": url, "pin": None if pin is None else pin.hex()}
    identity.write_secret(home / FILE, canonical.encode(document).decode())


def pin(home: Path) -> bytes | None:
    """Return the pin under which the party under ``home`` reaches its exchange, if it holds one.

    Raises:
        Malformed: if what is written there cannot be read: it is not passed over.
    """
    path = home / FILE
    if not path.exists():
        return None
    try:
        told = canonical.decode(path.read_bytes())
        held = None if told["pin"] is None else bytes.fromhex(told["pin"])
        sound = told.keys() == {"url", "pin"} and (held is None or len(held) == PIN_BYTES)
    except (OSError, KeyError, TypeError, ValueError, AttributeError, Malformed):
        sound = False
    if not sound:
        raise Malformed(f"{FILE} cannot be read", fix="put it back from a backup, or join anew with an invite")
    return held


def line(home: Path, url: str, *, party: str, key: Ed25519PrivateKey, clock: Callable[[], float] = seconds) -> Line:
    """Return a line to the exchange that the party under ``home`` knows, by the pin and the log's id that it holds.

    ``clock`` tells the seconds since 1970.

    Raises:
        Malformed, Unknown: if either cannot be read.
        Impostor: if the certificate is pinned, and the address is one without TLS.
    """
    return Line(url, party=party, key=key, pin=pin(home), audience=witness.followed(home), seconds=clock)
