"""The node's part in the identity of what its owner pledges: it publishes a dataset's fingerprint, and confirms it every day.

A fingerprint is no differentially private release. It leaves the node only for a dataset whose policy says that its owner
agrees to a pledge, or once it did, and goes to the exchange alone, which has no key to it. What is confirmed is what was
registered: rows that change without a declared refresh are told as changed.
"""

import logging
from collections.abc import Callable
from datetime import date

from exchange.line import Line, Unreachable
from exchange.node.engine import SourceFault, Unread
from exchange.node.fingerprint import Computed, Progress, compute
from exchange.node.source import Dataset
from exchange.node.vault import Vault
from exchange.protocol.collateral import Confirmation, Fingerprint, Found, columns_digest
from exchange.protocol.envelope import Envelope
from exchange.protocol.errors import PeerFault, Unknown
from exchange.protocol.messages import LONGEST_TEXT, unverified
from privacy.errors import Mismatch, PrivacyError, Refused

log = logging.getLogger(__name__)

RETRY = 3600
"""Seconds until the node looks again after it could not confirm; what it could not send is sent with the next poll."""


class Watch:
    """One node's custody of what its owner pledges; ``seconds`` tells the time since 1970."""

    def __init__(self, vault: Vault, line: Line, *, seconds: Callable[[], float]) -> None:
        self._vault = vault
        self._line = line
        self._seconds = seconds
        self._sent: set[str] = set()
        self._tried: dict[str, float] = {}

    def publish(self, name: str, *, day: date, progress: Progress = lambda _done, _total: None) -> Envelope:
        """Put the fingerprint of a dataset's version in force on record at the exchange, and return it.

        Raises:
            Unknown: if there is no such dataset.
            Refused: if its owner has not agreed to a pledge, or the node has no key for fingerprints.
            SourceFault: if the source cannot be read.
        """
        dataset = self._dataset(name)
        held = self._vault.kept.fingerprint(name)
        if held is None and self._vault.policy(name).pledging is None:
            raise Refused(
                "the owner has not agreed to pledge this asset", fix="name lenders under pledging in the policy"
            )
        if held is not None and _is_of(held, dataset):
            try:
                return self._send_fingerprint(held)
            except (PeerFault, Mismatch):  # the exchange knows another past of this dataset: made anew, it follows that
                log.warning("the exchange did not take the fingerprint of %s that is kept", name)
        message = self._compute(dataset, progress).message(dataset, earlier=self._on_record(name))
        signed = message.sealed_by(self._vault.party, self._vault.signing)
        self._vault.kept.keep_fingerprint(signed, day=day)
        return self._send_fingerprint(signed)

    def objection(self, name: str, day: date) -> str:
        """Publish the fingerprint that a pledge needs, and return why there can be none, or nothing.

        Raises:
            Unreachable: if the exchange cannot be reached now.
        """
        try:
            self.publish(name, day=day)
        except Unreachable:
            raise
        except PrivacyError as error:
            return error.reason[:LONGEST_TEXT] or "-"
        return ""

    def confirm(self, name: str, *, day: date, progress: Progress = lambda _done, _total: None) -> Found:
        """Compute the fingerprint anew, tell the exchange what was found, and return it; a refreshed version gets its own.

        Raises:
            Unknown: if there is no such dataset, or no fingerprint of it was ever made.
            Unread: if the node could not read them to their end, for want of memory or time: that says nothing of the rows.
        """
        dataset = self._dataset(name)
        held = self._vault.kept.fingerprint(name)
        if held is None:
            raise Unknown("fingerprint")
        if not _is_of(held, dataset):
            self.publish(name, day=day, progress=progress)
            return "confirmed"
        found: Found
        try:
            computed = self._compute(dataset, progress)
            found = "confirmed" if computed.root == unverified(held, Fingerprint).root else "changed"
        except Unread:
            raise
        except SourceFault:
            found = "gone"
        kept = {one.pledge: one.left for one in self._vault.reserves.held(dataset=name)}
        told = Confirmation(dataset=name, fingerprint=held.id, day=day.isoformat(), found=found, reserves=kept)
        word = told.sealed_by(self._vault.party, self._vault.signing)
        self._vault.kept.keep_word(word)
        self._send_fingerprint(held)
        self._line.post("/v1/confirmations", word)
        self._sent.add(word.id)
        return found

    def tend(self, day: date) -> None:
        """Do for every dataset with a fingerprint what is due on a ``day``; what goes wrong is logged and tried again."""
        for dataset in self._vault.datasets():
            try:
                self._tend(dataset, day)
            except PrivacyError as error:
                log.warning("%s could not be confirmed: %s; %s", dataset.name, error.reason, error.fix)

    def _tend(self, dataset: Dataset, day: date) -> None:
        held = self._vault.kept.fingerprint(dataset.name)
        last = self._vault.kept.word(dataset.name)
        if held is None or last is None:
            return
        known, found, word = last
        if known >= day.isoformat() and _is_of(held, dataset):
            if held.id not in self._sent:
                self._send_fingerprint(held)
            if word is not None and word.id not in self._sent:
                self._line.post("/v1/confirmations", word.resigned(self._vault.signing))
                self._sent.add(word.id)
            if found == "confirmed":
                return
        now = self._seconds()
        if now - self._tried.get(dataset.name, now - RETRY) >= RETRY:
            self._tried[dataset.name] = now
            self.confirm(dataset.name, day=day)

    def _compute(self, dataset: Dataset, progress: Progress) -> Computed:
        key = self._vault.comparing
        if key is None:
            raise Refused(
                "the node has no key for fingerprints", fix="run touchstone node collateral-key, see docs/collateral.md"
            )
        return compute(dataset, key=key, engines=self._vault.prepared.engines, progress=progress)

    def _send_fingerprint(self, signed: Envelope) -> Envelope:
        self._line.post("/v1/fingerprints", signed.resigned(self._vault.signing))
        self._sent.add(signed.id)
        return signed

    def _on_record(self, name: str) -> str | None:
        """Return the fingerprint of this dataset that the exchange took last."""
        try:
            told = self._line.get(f"/v1/collateral/{self._vault.party}/{name}")
        except Unknown:
            return None
        match told:
            case {"fingerprint": str(known)}:
                return known
        raise PeerFault("the exchange answered with something else", fix="check the address and the version")

    def _dataset(self, name: str) -> Dataset:
        held = next((dataset for dataset in self._vault.datasets() if dataset.name == name), None)
        if held is None:
            raise Unknown("dataset")
        return held


def _is_of(fingerprint: Envelope, dataset: Dataset) -> bool:
    """Whether a fingerprint that this node has made is of a dataset as it stands."""
    told = unverified(fingerprint, Fingerprint)
    columns = columns_digest(standard_digest=dataset.standard.digest, columns=sorted(dataset.mapping))
    return (told.version, told.standard, told.columns_digest) == (dataset.refreshed, dataset.standard.id, columns)
