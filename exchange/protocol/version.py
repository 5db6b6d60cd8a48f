"""Which versions of the protocol are spoken: a caller names its own in a header, and hears what to do when the two do not meet.

The number goes up when what a released client or node sends or reads would be misunderstood; what is only added does not
count. A caller that names none speaks the newest by definition: it was written against the description that is served.
"""

from exchange.protocol.errors import TooNew, TooOld
from privacy.errors import Malformed

HEADER = "touchstone-protocol"

OLDEST = 1
NEWEST = 1
"""The versions that this release speaks, both ends included; its own requests are of the newest."""


def check(told: str | None, *, oldest: int = OLDEST, newest: int = NEWEST) -> None:
    """Return if the version that a caller named, if any, is spoken here.

    Raises:
        TooOld: if it no longer is; TooNew: if it is not yet.
        Malformed: if it is no version.
    """
    if told is None:
        return
    if not (told.isascii() and told.isdecimal() and len(told) <= 9):
        raise Malformed("the protocol's version is not a number", fix=f"send {HEADER}: {newest}")
    version = int(told)
    if version < oldest:
        raise TooOld(oldest=oldest, newest=newest)
    if version > newest:
        raise TooNew(oldest=oldest, newest=newest)
