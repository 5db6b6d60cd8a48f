"""When things happened at a node, read from its journal once and followed from there: questions, charges, policies, consents."""

import json
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from exchange.journal import Entry
from exchange.node.vault import Vault


@dataclass(slots=True)
class Asked:
    """One question that the node has judged: when (microseconds since 1970), by whom, and how far it has come."""

    session: str
    at: int
    asker: str
    stage: str


@dataclass(frozen=True, slots=True)
class Put:
    """One policy as it was put in force, at a moment (microseconds since 1970)."""

    at: int
    document: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Pinned:
    """One party with its key, pinned or changed by the party itself at a moment (microseconds since 1970)."""

    at: int
    party: str
    role: str
    key: str


class History:
    """What a node's journal tells beyond what the vault keeps at hand; any thread may read it."""

    def __init__(self, vault: Vault) -> None:
        self._vault = vault
        self._lock = threading.Lock()
        self._seen = 0
        self._moments: dict[int, int] = {}
        self._asked: dict[str, Asked] = {}
        self._policies: dict[str, list[Put]] = {}
        self._pinned: dict[str, Pinned] = {}
        self._offers: dict[str, tuple[int, str]] = {}

    def charged(self, seq: int) -> int:
        """Return when a charge was made (microseconds since 1970), by its place in the journal."""
        self._follow()
        return self._moments[seq]

    def questions(self) -> Sequence[Asked]:
        """Return every question that was judged, newest first."""
        self._follow()
        return list(reversed(self._asked.values()))

    def policies(self, dataset: str) -> Sequence[Put]:
        """Return every policy that was in force for a dataset, newest first."""
        self._follow()
        return list(reversed(self._policies.get(dataset, [])))

    def pinned(self) -> Sequence[Pinned]:
        """Return who is trusted now, by name."""
        self._follow()
        return sorted(self._pinned.values(), key=lambda one: one.party)

    def offer(self, offer: str) -> tuple[int, str] | None:
        """Return when an offer was answered (microseconds since 1970), and with what kind of message."""
        self._follow()
        return self._offers.get(offer)

    def _follow(self) -> None:
        with self._lock:
            for entry in self._vault.book.journal.entries(self._seen):
                self._take(entry)
                self._seen = entry.seq

    def _take(self, entry: Entry) -> None:
        body = entry.body
        match entry.kind:
            case "judged":
                self._asked[body["session"]] = Asked(body["session"], entry.at, body["asker"], body["stage"])
            case "moved":
                self._asked[body["session"]].stage = body["stage"]
            case "charged":
                self._moments[entry.seq] = entry.at
            case "policy":
                self._policies.setdefault(body["dataset"], []).append(Put(entry.at, body))
            case "pinned":
                self._pinned[body["party"]] = Pinned(entry.at, body["party"], body["role"], body["key"])
            case "followed":
                held, changed = self._pinned.get(body["signer"]), json.loads(body["body"])["key"]
                if held is not None:
                    self._pinned[held.party] = Pinned(entry.at, held.party, held.role, changed)
            case "dismissed":
                self._pinned.pop(body["party"], None)
            case "consented":
                reply = body["reply"]
                reason = "" if reply["kind"] == "consent" else str(json.loads(reply["body"]).get("reason", ""))
                self._offers[body["offer"]] = (entry.at, reason)
            case _:
                pass
