"""The place beside an asker's keys: it reads the exchange by signed requests, and can ask, open and act."""

import threading
from pathlib import Path

from api.console.desk.errands import Errands
from api.console.places import DESK, Place
from exchange import address, identity
from exchange.analyst.asker import Asker
from exchange.analyst.client import Client
from exchange.analyst.pledging import Pledges
from exchange.line import seconds
from exchange.protocol.errors import Unknown


class DeskPlace(Place):
    """A party's own console. ``line`` signs with its key, ``pledges`` their steps; ``client`` asks questions, for a home that holds a desk.

    ``errands`` are what pages have begun and do not wait for; ``opening`` lets one answer be opened at a time.
    """

    kind = DESK

    def __init__(self, home: Path, exchange: str) -> None:
        party, key = identity.load(home, what="desk, node or officer")
        self.home = home
        self.exchange = exchange
        self.errands = Errands()
        self.opening = threading.Lock()
        self._client: Client | None = None
        if (home / "pinned.json").exists():
            self._client = Client(Asker(home, exchange, seconds=seconds))
            self.line = self._client.desk.line
        else:
            self.line = address.line(home, exchange, party=party, key=key)
        self.pledges = Pledges.under(self.line, key)
        roles = {one["id"]: one["role"] for one in self.line.get("/v1/parties")["parties"]}
        if party not in roles:
            raise Unknown("party of yours at this exchange")
        super().__init__(party=party, role=roles[party], read=self.line.get)

    @property
    def client(self) -> Client:
        """The client that asks questions and opens answers.

        Raises:
            Unknown: if this home holds the key of an officer alone.
        """
        if self._client is None:
            raise Unknown("desk under this directory: an officer's key asks no questions")
        return self._client

    @property
    def asks(self) -> bool:
        """Whether questions can be asked here."""
        return self._client is not None

    def close(self) -> None:
        """Close the line."""
        self.line.close()


def beside(place: Place) -> DeskPlace:
    """Return the place as the desk's that it is; pages of this package stand nowhere else.

    Raises:
        Unknown: if it is another.
    """
    if not isinstance(place, DeskPlace):
        raise Unknown("desk here")
    return place
