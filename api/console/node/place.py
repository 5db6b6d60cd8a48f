"""The place beside a node's ledger, inside its process: it reads what the node keeps, and can put policies and datasets in force."""

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, date, datetime
from pathlib import Path

from api.console.node.drafts import Drafts
from api.console.node.history import History
from api.console.places import NODE, Place
from exchange import address
from exchange.line import GREETING, greet
from exchange.node.source import Dataset
from exchange.node.vault import Account, Vault
from exchange.protocol.errors import Unknown
from privacy.errors import PrivacyError


class NodePlace(Place):
    """An institution's own console. ``line`` signs with the node's key; ``working`` is held while the node does a task.

    ``announce`` tells the exchange of what is in force, and returns why it could not be told.
    """

    kind = NODE

    def __init__(
        self, home: Path, vault: Vault, exchange: str, *, working: threading.Lock, announce: Callable[[], str | None]
    ) -> None:
        self.home = home
        self.vault = vault
        self.exchange = exchange
        self.history = History(vault)
        self.drafts = Drafts(home / "drafts")
        self._pin = address.pin(home)
        self.line = address.line(home, exchange, party=vault.party, key=vault.signing)
        self._working = working
        self._announce = announce
        self._untold: dict[str, str] = {}
        super().__init__(party=vault.party, role="institution", read=self.line.get)

    def close(self) -> None:
        """Close the line."""
        self.line.close()

    def today(self) -> date:
        """The day, in UTC; a clock that is set back does not bring back what has ended."""
        return datetime.fromtimestamp(max(time.time(), self.vault.moment / 1_000_000), tz=UTC).date()

    @contextmanager
    def alone(self) -> Iterator[None]:
        """While inside, the node begins no task: what changes its documents does not meet one half done."""
        with self._working:
            yield

    def dataset(self, name: str) -> Dataset:
        """Return a dataset that this node holds.

        Raises:
            Unknown: if there is none of that name.
        """
        for held in self.vault.datasets():
            if held.name == name:
                return held
        raise Unknown("dataset")

    def spent(self, population: str) -> tuple[int, Mapping[str, int], Mapping[str, int]]:
        """Return what was charged on a population (1e-9 rho): in all, by partner, by purpose."""
        partners: dict[str, int] = {}
        purposes: dict[str, int] = {}
        for row in self.vault.spending():
            if row["population"] == population:
                partners[row["partner"]] = partners.get(row["partner"], 0) + row["nano"]
                purposes[row["purpose"]] = purposes.get(row["purpose"], 0) + row["nano"]
        return sum(partners.values()), partners, purposes

    def room(self, dataset: Dataset, *, partner: str, purpose: str) -> Account:
        """Return what a partner has left for a purpose today, and which limit ends first; a reserve pays where one does."""
        pledge = self.vault.drawn_from(dataset, partner=partner, purpose=purpose, day=self.today())
        return self.vault.room(partner=partner, purpose=purpose, dataset=dataset, pledge=pledge)

    def answers(self) -> tuple[float | None, PrivacyError | None]:
        """Return by how many seconds this clock is ahead of the exchange's, if that is told, or why it does not answer."""
        try:
            _, now = greet(self.exchange, within=GREETING, pin=self._pin)
        except PrivacyError as error:
            return None, error
        return (None if now is None else time.time() - now), None

    def announce(self, dataset: str) -> None:
        """Tell the exchange of what is in force here; what could not be told stays among :attr:`untold`."""
        untold = self._announce()
        if untold is None:
            self._untold.clear()
        else:
            self._untold[dataset] = untold

    @property
    def untold(self) -> Mapping[str, str]:
        """By dataset, why the exchange has not been told of what was put in force since the node was started."""
        return dict(self._untold)


def beside(place: Place) -> NodePlace:
    """Return the place as the node's that it is; pages of this package stand nowhere else.

    Raises:
        Unknown: if it is another.
    """
    if not isinstance(place, NodePlace):
        raise Unknown("node here")
    return place
