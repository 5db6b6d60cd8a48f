"""The node follows the pledges for which it keeps a reserve: it takes a step only if it has verified it itself.

The exchange shows the steps in their order; that is all it is believed. Every step must bear the signature of a party whose
key is pinned here and follow the ones before by the table of :mod:`exchange.protocol.pledge`. What officers of the lender
have approved is vouched for by the lender's own signature, which names the approvals. A lapse, which nobody signs, counts
once the pledge's last day is over by this node's own clock. What does not verify is left alone, and so is all after it.
"""

import logging
from collections.abc import Mapping
from datetime import date, timedelta
from typing import Any

from exchange.line import Line
from exchange.node.reserves import Held
from exchange.node.vault import Vault
from exchange.protocol.agreement import (
    Acceptance,
    Assignment,
    Endorsement,
    PartialRelease,
    Realisation,
    Release,
    Step,
    StepIn,
    read_step,
)
from exchange.protocol.envelope import Envelope
from exchange.protocol.errors import PeerFault
from exchange.protocol.messages import Consent, unverified
from exchange.protocol.pledge import LIVE, Agreement, State
from privacy.errors import Mismatch, PrivacyError

log = logging.getLogger(__name__)

REGISTERED_WITHIN = 14
"""Days after its consent within which a pledge is registered, or what was kept back for it is given back."""

_MOVING = frozenset(one.kind for one in (Assignment, Acceptance, StepIn, Realisation, Release, PartialRelease))


class Following:
    """One node's eye on the pledges of its owner's assets."""

    def __init__(self, vault: Vault, line: Line) -> None:
        self._vault = vault
        self._line = line

    def tend(self, day: date, *, dataset: str | None = None) -> None:
        """Take up what has happened to each pledge with a reserve; what goes wrong is logged and tried again next time."""
        for one in self._vault.reserves.held(dataset=dataset):
            try:
                self._follow(one, day)
            except PrivacyError as error:
                log.warning("a pledge of %s could not be followed: %s; %s", one.dataset, error.reason, error.fix)

    def _follow(self, held: Held, day: date) -> None:
        told = self._line.get(f"/v1/offers/{held.pledge}")
        shown = _steps(told)
        if [None if said is None else said.id for said in shown[: held.heard]] != self._vault.reserves.said(
            held.pledge
        ):
            raise Mismatch("the exchange shows another past of the pledge", fix="report the exchange")
        made, sure, known = held.agreement, held.agreement, held.heard
        try:
            for number, said in enumerate(shown[held.heard :], held.heard + 1):
                made = self._taken(made, said, day)
                # what an officer is shown to have said stands once the lender's signature names it, and not before
                if said is None or said.kind != Endorsement.kind:
                    sure, known = made, number
        finally:
            # what was verified before a step that is not stands, whatever comes after it
            ends, news = ending(sure, day=day, until=held.until), shown[held.heard : known]
            if news or ends is not None:
                self._vault.reserves.hear(held.pledge, news, after=held.heard, nano=sure.reserve, ends=ends)

    def _taken(self, made: Agreement, said: Envelope | None, day: date) -> Agreement:
        """Verify one step and take it.

        Raises:
            Mismatch: if its signature, or its place, cannot be verified here.
            PeerFault, Forbidden: if it cannot follow the ones before it.
        """
        if said is None:
            if day.isoformat() <= made.last_day:
                raise Mismatch("the pledge is said to have lapsed before its last day", fix="report the exchange")
            return made.lapse()
        step: Step
        if said.kind == Endorsement.kind:
            step = unverified(said, Endorsement)
        elif said == self._vault.consent(made.id):
            step = unverified(said, Consent)  # this node's own word, under whatever key it had then
        else:
            step = read_step(said, self._keys(said))
        if isinstance(step, Realisation) and step.offer != made.id:
            self._check_first(made, step, signer=said.signer)
        return made.step(step, said)

    def _keys(self, said: Envelope) -> Mapping[str, bytes]:
        """Return the key under which a step must hold.

        A key that its party has given up may be in a thief's hands: what opens a reserve or gives it back must hold under
        the one that is pinned now. Other steps were perhaps signed before their party changed its key.
        """
        if said.signer == self._vault.party:
            return {said.signer: self._vault.signing.public_key().public_bytes_raw()}
        return self._vault.directory() if said.kind in _MOVING else self._vault.signed(said)

    def _check_first(self, made: Agreement, step: Realisation, *, signer: str) -> None:
        """A realisation of another pledge ends this one if that one came first and its own holder said so."""
        others = (one.agreement for one in self._vault.reserves.held(dataset=made.asset.partition("/")[2], ended=True))
        first = (step.offer, signer, State.REALISED)
        if not any((one.id, one.holder, one.state) == first and one.rank < made.rank for one in others):
            raise Mismatch(
                "the asset was realised under a pledge that is not known here", fix="have the lender release it"
            )


def ending(made: Agreement, *, day: date, until: str) -> str | None:
    """Return why nothing is kept back for a pledge any more on a day, or nothing while it is.

    A buyer has what is left up to the last day of the pledge.
    """
    if made.state is State.REALISED and made.operator is not None:
        return "the buyer's time is over" if day.isoformat() > made.last_day else None
    if made.state in LIVE:
        return None
    if made.state in (State.QUOTED, State.APPROVED, State.SIGNED):
        # a day more: two clocks may disagree on which day it is
        return "it was not registered in time" if day > date.fromisoformat(until) + timedelta(days=1) else None
    return f"it is {made.state.value}"


def _steps(told: Any) -> list[Envelope | None]:
    match told:
        case {"steps": list(steps)} if all(isinstance(one, Mapping) and "said" in one for one in steps):
            return [None if one["said"] is None else Envelope.from_json(one["said"]) for one in steps]
    raise PeerFault("the exchange answered with something else", fix="check the address and the version")
