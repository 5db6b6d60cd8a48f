"""The node's word on an officer's ruling: checked against its own pins and policy, whatever the exchange says.

An approval never widens a grant: it only lets a request through that the grant covers but wants a person to see. Nobody
approves what it asked for itself: a key is pinned for one name and role, and officers do not ask.
"""

from dataclasses import dataclass
from datetime import date, timedelta

from exchange.node.vault import Vault
from exchange.protocol.access import Case
from exchange.protocol.envelope import Envelope
from exchange.protocol.messages import LONGEST_TEXT, AccessRequest, Ruled, Ruling, expect
from privacy.approval import Consent, Manner
from privacy.errors import Mismatch, PrivacyError, Refused
from privacy.plan import Plan


@dataclass(frozen=True, slots=True)
class _Asked:
    """A request that a pinned asker has signed, with its plan."""

    envelope: Envelope
    message: AccessRequest
    plan: Plan


def hear(vault: Vault, *, request: Envelope, ruling: Envelope, day: date) -> Envelope:
    """Return the signed word on a ruling of a ``day``, recorded first; the same ruling again gets the same word.

    What is wrong with a ruling is the reason why it counts for nothing. What no pinned officer has signed, or is about a
    request that no pinned asker has signed, is answered and leaves no trace.
    """
    before = vault.cases.word(ruling.id)
    if before is not None:
        return before
    try:
        told = expect(ruling, vault.officers(), Ruling)
        asked = _read(vault, request)
        if told.request != request.id:
            raise Mismatch("the ruling is about another request", fix="rule on the request that is shown")
    except PrivacyError as error:
        return _word(vault, Case(day), request=request, ruling=ruling, counted=False, reason=error.reason)
    officers = vault.officers()
    held = vault.cases.case(request.id, closes=date.fromisoformat(asked.message.closes), officers=officers).on(day)
    try:
        case, reason, counted = (
            _judged(vault, asked, told, officer=ruling.signer, held=held, day=day),
            told.because,
            True,
        )
    except PrivacyError as error:
        case, reason, counted = held, error.reason, False
    word = _word(vault, case, request=request, ruling=ruling, counted=counted, reason=reason)
    vault.cases.keep(request=request, ruling=ruling, word=word, day=day)
    return word


def _read(vault: Vault, request: Envelope) -> _Asked:
    message = expect(request, vault.directory(), AccessRequest)
    plan = Plan.from_json(message.plan)
    if vault.party not in plan.parties:
        raise Mismatch("the plan does not name this institution", fix="rule for an institution that it names")
    return _Asked(request, message, plan)


def _judged(vault: Vault, asked: _Asked, told: Ruling, *, officer: str, held: Case, day: date) -> Case:
    """Return the case after a ruling.

    Raises:
        PrivacyError: naming why the ruling counts for nothing.
    """
    if told.owner != vault.party:
        raise Mismatch("the ruling is for another institution", fix="rule for the institution whose officer you are")
    until = None if told.until is None else date.fromisoformat(told.until)
    persons = 1
    if until is not None:
        consent = _demanded(vault, asked, day)
        if until > day + timedelta(days=consent.days):
            raise Refused(f"the grant lets an approval last {consent.days} days", fix="approve for fewer days")
        persons = consent.persons
    return held.rule(told.act, officer=officer, until=until, persons=persons, day=day)


def _demanded(vault: Vault, asked: _Asked, day: date) -> Consent:
    """Return how the grant that covers a request is approved.

    Raises:
        Refused: if there is none, or it is not approved in this manner.
        Unknown: if this institution holds nothing under the plan's standard.
    """
    consent = vault.demanded(asked.plan, asker=asked.envelope.signer, on=day)
    match consent.manner:
        case Manner.AUTOMATIC:
            raise Refused("the grant asks for no approval", fix="have the asker put its question")
        case Manner.ONCE if asked.message.standing:
            raise Refused("the grant is approved request by request", fix="have the asker ask for this plan alone")
        case _:
            return consent


def _word(vault: Vault, case: Case, *, request: Envelope, ruling: Envelope, counted: bool, reason: str) -> Envelope:
    message = Ruled(
        request=request.id,
        ruling=ruling.id,
        counted=counted,
        standing=case.standing,
        step=case.step,
        until=None if case.until is None else case.until.isoformat(),
        reason=reason[:LONGEST_TEXT],
    )
    return message.sealed_by(vault.party, vault.signing)
