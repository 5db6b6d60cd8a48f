"""What the register of liens adds to an agreement's own table: one lien per asset and rank, prior liens respected, titles.

A later rank never overtakes an earlier one, nor an earlier rank a lien that was registered before, unless the lender
concerned has given leave by its signature. Only the lender of the first live rank steps in.
"""

from datetime import date, timedelta
from typing import Any

from exchange.hub.store import Event
from exchange.hub.view import View
from exchange.protocol.agreement import (
    STEPS,
    Acceptance,
    Assignment,
    Filing,
    Realisation,
    Renewal,
    Step,
    StepIn,
)
from exchange.protocol.envelope import Envelope
from exchange.protocol.errors import UNLESS_LET_IN, Encumbered, PeerFault, Taken, Unknown
from exchange.protocol.messages import unverified
from exchange.protocol.pledge import Agreement
from exchange.protocol.waterfall import Ranked, distribute
from privacy.policy import Policy

LONGEST_YEARS = 30
"""Years that a registration may run at most, as in the national movables registry."""

RENEWAL_DAYS = 90
"""A registration is renewed within its last days, as there."""


def agreement(view: View, offer_id: str) -> Agreement | None:
    """Return a pledge as its journaled messages made it, each of which was verified before it was taken."""
    held = view.offer(offer_id)
    if held is None:
        return None
    made = Agreement.quoted(held["envelope"])
    for envelope, _, _, _ in view.steps(offer_id):
        made = made.lapse() if envelope is None else made.step(unverified(envelope, STEPS[envelope.kind]), envelope)
    return made


def pointed(view: View, policy: Policy, *, day: str) -> Policy:
    """Return a published policy as it stands on a day (ISO): with the step-in that is on record, as far as it declares one."""
    pledge = view.entitled_by(f"{policy.owner}/{policy.dataset}")
    held = None if pledge is None else agreement(view, pledge)
    to = None if held is None else held.points(day)
    return policy if to is None else policy.pointed(to, role=view.role(to.party))


def check(view: View, held: Agreement, message: Step, *, signer: str, day: date) -> None:
    """Refuse a step that the register forbids on a day, however well it fits the agreement.

    Raises:
        Taken, Encumbered, PeerFault, Unknown: naming what stands in its way.
    """
    match message:
        case Filing():
            _check_filing(view, held, message, day=day)
        case Renewal():
            if not date.fromisoformat(held.last_day) - timedelta(days=RENEWAL_DAYS) <= day:
                raise PeerFault(
                    f"a registration is renewed within its last {RENEWAL_DAYS} days", fix="renew it when they have come"
                )
            _check_term(message.expires, day=day)
            _check_title(view, held.asset, title=message.title)
        case Assignment():
            _check_lender(view, held.asset, lender=message.to)
        case Acceptance():
            _check_lender(view, held.asset, lender=signer)
        case StepIn():
            _check_first(view, held)
            _check_party(view, message.operator)
        case Realisation():
            _check_first(view, held)
            _check_party(view, message.successor)
        case _:
            pass


def _check_filing(view: View, held: Agreement, message: Filing, *, day: date) -> None:
    dataset = view.dataset(held.asset)
    if dataset is None:
        raise PeerFault("the asset was withdrawn", fix="quote a pledge of another asset")
    check_free(view, asset=held.asset, rank=held.rank)
    for lien in view.liens(held.asset):
        other = agreement(view, lien.offer)
        if other is None or held.id in other.lets_in:
            continue
        if lien.rank > held.rank or other.forbids_juniors:
            doing = "pledged at a later rank" if lien.rank < held.rank else "pledged ahead of it"
            raise Encumbered(
                asset=held.asset,
                rank=lien.rank,
                holder=lien.holder,
                since=lien.since,
                doing=f"{doing} {UNLESS_LET_IN}",
            )
    operator = view.operator(held.asset)
    if operator is not None:
        raise PeerFault(f"the asset's entitlements went to {operator[0]}", fix="have them released to the owner first")
    check_rights(dataset["declared"], matures=held.matures)
    _check_title(view, held.asset, title=message.title)
    _check_term(message.expires, day=day)
    if held.kept_until is not None and day.isoformat() > held.kept_until:
        raise PeerFault("the reserve was kept back for a registration in time", fix="quote the pledge anew")


def realise(view: View, message: Realisation, envelope: Envelope, *, asset: str) -> list[Event]:
    """Return what a realisation is to every live lien on its asset: each ends with the same waterfall on record."""
    pledges = [made for lien in view.liens(asset) if (made := agreement(view, lien.offer)) is not None]
    payouts = distribute(
        message.proceeds,
        costs=message.costs,
        liens=[Ranked(made.rank, made.holder, made.secured, made.claim) for made in pledges],
        unregistered=[(one.name, one.amount) for one in message.unregistered],
        pledgor=asset.partition("/")[0],
    )
    paid = [payout.to_json() for payout in payouts]
    return [
        (
            "pledge",
            {
                "offer": made.id,
                "stage": made.step(message, envelope).state.value,
                "envelope": envelope.to_json(),
                "paid": paid,
            },
        )
        for made in pledges
    ]


def check_rights(declared: dict[str, Any], *, matures: str) -> None:
    """No pledge outlives what its owner may do with the asset."""
    ends = [right["valid_until"] for right in declared.get("rights", ()) if right["valid_until"] is not None]
    if ends and matures > min(ends):
        raise PeerFault(
            f"a right in the asset ends on {min(ends)}, before the loan",
            fix="offer a shorter loan, or have the right renewed",
        )


def check_free(view: View, *, asset: str, rank: int) -> None:
    """One live lien for an asset and rank.

    Raises:
        Taken: naming its holder and since when.
    """
    lien = view.lien(asset, rank)
    if lien is not None:
        raise Taken(asset=asset, rank=rank, holder=lien.holder, since=lien.since)


def _check_title(view: View, asset: str, *, title: str) -> None:
    held = view.registration(asset)
    if held is None or held[0].id != title:
        raise PeerFault(
            "the title is not the registration in force", fix="fetch the asset's certificate of registration again"
        )


def _check_term(expires: str, *, day: date) -> None:
    if not day <= date.fromisoformat(expires) <= day + timedelta(days=366 * LONGEST_YEARS):
        raise PeerFault(f"a registration runs for {LONGEST_YEARS} years at most", fix="choose another last day")


def _check_lender(view: View, asset: str, *, lender: str) -> None:
    """An owner's policy in force names whom it pledges to; silence denies."""
    policy = view.policy(asset)
    if view.role(lender) != "lender" or policy is None or policy.pledging is None:
        raise PeerFault("the owner has not agreed to pledge to this lender", fix="name a lender that its policy names")
    if lender not in policy.pledging.lenders:
        raise PeerFault("the owner has not agreed to pledge to this lender", fix="name a lender that its policy names")


def _check_first(view: View, held: Agreement) -> None:
    first = view.liens(held.asset)[0]
    if first.offer != held.id:
        raise Encumbered(
            asset=held.asset, rank=first.rank, holder=first.holder, since=first.since, doing="realised at a later rank"
        )


def _check_party(view: View, party: str) -> None:
    if view.role(party) not in ("institution", "lender"):
        raise Unknown("institution or lender to operate the asset")
