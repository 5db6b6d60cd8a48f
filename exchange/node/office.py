"""What only the owner of a node does: each act by name, of plain values.

Whoever may do these things owns the node's directory; nothing here asks who calls.
"""

from abc import abstractmethod
from datetime import date
from typing import Any, ClassVar

from exchange import acts
from exchange.node import registration
from exchange.node.vault import Vault
from exchange.protocol.declaration import Date, Hex32


class Act(acts.Act):
    """One thing to do at a node; ``announces`` if the exchange is to be told of what is in force then."""

    announces: ClassVar[bool] = True

    @abstractmethod
    def perform(self, vault: Vault) -> dict[str, Any]:
        """Do it and return what the owner is told, JSON-able.

        Raises:
            PrivacyError: if it is refused; nothing was changed then.
        """


class Pin(Act):
    """Trust a partner's or an own officer's key for a role."""

    kind = "pin"
    party: str
    key: Hex32
    role: str
    replaces: Hex32 | None

    def perform(self, vault: Vault) -> dict[str, Any]:
        """Do it; raises like :meth:`exchange.node.vault.Vault.pin`."""
        replaces = None if self.replaces is None else bytes.fromhex(self.replaces)
        vault.pin(self.party, bytes.fromhex(self.key), role=self.role, replaces=replaces)
        return {}


class Dismiss(Act):
    """Take an officer's key away."""

    kind = "dismiss"
    officer: str

    def perform(self, vault: Vault) -> dict[str, Any]:
        """Do it; raises like :meth:`exchange.node.vault.Vault.dismiss`."""
        vault.dismiss(self.officer)
        return {}


class Register(Act):
    """Keep a dataset and its policy."""

    kind = "register"
    dataset: Any
    policy: Any

    def perform(self, vault: Vault) -> dict[str, Any]:
        """Do it; raises like :func:`exchange.node.registration.register`."""
        registration.register(vault, dataset=self.dataset, policy=self.policy)
        return {}


class Refresh(Act):
    """Take up what has changed in a source."""

    kind = "refresh"
    dataset: str
    refreshed: str

    def perform(self, vault: Vault) -> dict[str, Any]:
        """Do it; raises like :func:`exchange.node.registration.refresh`."""
        registration.refresh(vault, name=self.dataset, refreshed=self.refreshed)
        return {}


class Budget(Act):
    """Tell every charge, and what is kept back for pledges."""

    kind = "budget"
    announces = False

    def perform(self, vault: Vault) -> dict[str, Any]:
        """Tell it."""
        return {"charges": vault.spending(), "reserves": vault.kept_back()}


class Approvals(Act):
    """Tell what officers have approved and is in force on a day."""

    kind = "approvals"
    announces = False
    on: Date

    def perform(self, vault: Vault) -> dict[str, Any]:
        """Tell it."""
        held = [
            {
                "asker": one.asker,
                "purpose": one.purpose,
                "plan_hash": one.plan_hash,
                "uses": sorted(one.atoms),
                "nano_rho": one.rho,
                "until": one.until.isoformat(),
                "officers": sorted(one.persons),
            }
            for one in vault.approvals(date.fromisoformat(self.on))
        ]
        return {"approvals": held}


ACTS: dict[str, type[Act]] = {act.kind: act for act in (Pin, Dismiss, Register, Refresh, Budget, Approvals)}
