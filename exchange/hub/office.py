"""What only the operator of an exchange does: each act by name, of plain values, so that a process that runs can be told of it.

Whoever may do these things owns the exchange's directory; nothing here asks who calls.
"""

from abc import abstractmethod
from typing import Any

from exchange import acts
from exchange.hub import catalog, collateral, invites, parties
from exchange.hub.store import Event, Store
from exchange.hub.view import View
from exchange.protocol.collateral import Count
from exchange.protocol.declaration import Hex32
from exchange.protocol.errors import Unknown
from privacy.terms import Standard


class Act(acts.Act):
    """One thing to do at an exchange."""

    @abstractmethod
    def perform(self, store: Store) -> dict[str, Any]:
        """Do it and return what the operator is told, JSON-able.

        Raises:
            PrivacyError: if it is refused; nothing was changed then.
        """


class Enrol(Act):
    """Register a party with the key that it told; an officer's ``salt`` comes back."""

    kind = "enrol"
    party: str
    name: str
    role: str
    key: Hex32

    def perform(self, store: Store) -> dict[str, Any]:
        """Do it; raises like :func:`exchange.hub.catalog.enrol`."""
        catalog.enrol(store, party=self.party, name=self.name, role=self.role, key=bytes.fromhex(self.key))
        return {"salt": store.log.salt(self.party) if self.role == "officer" else None}


class Invite(Act):
    """Make an invite that is good from ``now`` until it ``expires`` (seconds since 1970); the line that carries it comes back.

    ``pin`` is that of the exchange's certificate, if it has one.
    """

    kind = "invite"
    party: str
    name: str
    role: str
    url: str
    pin: Hex32 | None
    now: Count
    expires: Count

    def perform(self, store: Store) -> dict[str, Any]:
        """Do it; raises like :func:`exchange.hub.invites.invite`."""
        made = invites.invite(
            store,
            party=self.party,
            name=self.name,
            role=self.role,
            url=self.url,
            pin=None if self.pin is None else bytes.fromhex(self.pin),
            expires=self.expires,
            now=self.now,
        )
        return {"invite": made.spelled()}


class Revoke(Act):
    """Take a party's key away; the key comes back."""

    kind = "revoke"
    party: str
    because: str

    def perform(self, store: Store) -> dict[str, Any]:
        """Do it; raises like :func:`exchange.hub.parties.revoke`."""
        return {"key": parties.revoke(store, self.party, because=self.because)}


class Appoint(Act):
    """Let an officer rule on rows that are alike."""

    kind = "appoint"
    party: str

    def perform(self, store: Store) -> dict[str, Any]:
        """Do it; raises like :func:`exchange.hub.collateral.appoint`."""
        collateral.appoint(store, self.party)
        return {}


class Publish(Act):
    """Publish a standard."""

    kind = "publish"
    standard: dict[str, Any]

    def perform(self, store: Store) -> dict[str, Any]:
        """Do it; raises like :func:`exchange.hub.catalog.publish_standard`."""
        catalog.publish_standard(store, Standard.from_json(self.standard))
        return {}


class Witness(Act):
    """Go by another entry of an institution's journal, which lost the later ones."""

    kind = "reset-witness"
    party: str
    seq: Count
    head: Hex32

    def perform(self, store: Store) -> dict[str, Any]:
        """Do it.

        Raises:
            Unknown: if there is no such institution.
        """

        def decide(view: View) -> tuple[list[Event], None]:
            if view.role(self.party) != "institution":
                raise Unknown("institution")
            store.heads.forget(self.party)
            return [("witness", {"party": self.party, "seq": self.seq, "hash": self.head})], None

        store.write(decide)
        return {}


ACTS: dict[str, type[Act]] = {act.kind: act for act in (Enrol, Invite, Revoke, Appoint, Publish, Witness)}
