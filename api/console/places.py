"""Where a console stands: whose it is there, how it reads the exchange, and what lies beside it."""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode

from api.console.papers import Papers
from exchange.protocol.errors import Denied, Unknown

EXCHANGE, DESK, NODE = "exchange", "desk", "node"
EVERYWHERE = frozenset({EXCHANGE, DESK, NODE})


class Place:
    """One party's console. ``read`` returns the JSON answer of the exchange to this party for an address, or raises its problem.

    ``papers`` are the documents open here. ``alone`` returns a context in which to calculate for long; at the exchange it
    lets one calculation run at a time, among those that are asked for over the interface, too. What can be done only beside a key or a ledger is in the subclasses of the packages ``desk`` and ``node``.
    """

    kind = EXCHANGE

    def __init__(
        self,
        *,
        party: str,
        role: str,
        read: Callable[[str], Any],
        alone: Callable[[], AbstractContextManager[object]] = nullcontext,
    ) -> None:
        self.party = party
        self.role = role
        self.papers = Papers()
        self.alone = alone
        self._read = read

    def get(self, *parts: str, **query: object) -> Any:
        """Return the exchange's answer at ``/v1/`` and these parts of a path; query values of ``None`` or ``""`` are left out.

        Raises:
            PrivacyError: the problem that the exchange told of.
        """
        asked = {name: value for name, value in query.items() if value not in (None, "")}
        path = "/".join(quote(part, safe="") for part in parts)
        return self._read(f"/v1/{path}{'?' + urlencode(asked) if asked else ''}")

    def find(self, *parts: str, **query: object) -> Any | None:
        """Return like :meth:`get`, or ``None`` where there is no such thing."""
        try:
            return self.get(*parts, **query)
        except Unknown:
            return None


def _unread(_: str) -> Any:
    raise Denied("you are not signed in here", fix="open a new link")


NOBODY = Place(party="", role="", read=_unread)
"""The place of somebody who is not signed in: nothing of the exchange is read there."""


@dataclass(frozen=True, slots=True)
class Same:
    """How to get the same as a page shows in another way: ``way`` names it (a message), ``code`` is what to copy."""

    way: str
    code: str

    def to_json(self) -> Mapping[str, str]:
        """Return the JSON object."""
        return {"way": self.way, "code": self.code}
