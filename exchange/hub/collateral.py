"""The identity of what is pledged: fingerprints on record, the search for copies before a lien, the daily watch after it.

No lien is registered on rows that cannot be compared: without a fingerprint of the version in force there is none. Rows that
are pledged under another name are refused; rows that may be are left to a reviewer of the exchange, who is no owner's officer.
What others hold without a lien is named to reviewers alone.
"""

from datetime import UTC, date, datetime, timedelta
from fractions import Fraction
from typing import Any

from exchange.hub import marks
from exchange.hub.likeness import Likeness, compare
from exchange.hub.store import Event, Store, View
from exchange.protocol.collateral import Clearance, Confirmation, Fingerprint, columns_digest
from exchange.protocol.envelope import Envelope
from exchange.protocol.errors import PeerFault, Unknown
from exchange.protocol.messages import expect
from privacy.errors import Mismatch, Refused

BLOCK = Fraction(8, 10)
"""From this share on, rows are those of the other asset: no lien beside a live one."""

REVIEW = Fraction(3, 10)
"""From this share on, as high as it may be within its error, a reviewer rules."""


# -- fingerprints ----------------------------------------------------------------------------------------------------


def record_fingerprint(store: Store, envelope: Envelope) -> str:
    """Take an owner's fingerprint of the version in force of its dataset and return its id; the same one again changes nothing.

    Raises:
        Unknown: if the signer has no such dataset.
        Mismatch: if it is of another version, standard or columns than are registered.
        Refused: if it was made with another key than the first one under this standard, which nothing could be compared with.
        PeerFault: if it is an older one, does not follow the last one, or tells other rows of the same version.
    """
    told = expect(envelope, store.view().signer(envelope.signer), Fingerprint)
    asset = f"{envelope.signer}/{told.dataset}"

    def decide(view: View) -> tuple[list[Event], str]:
        dataset = view.dataset(asset)
        if dataset is None:
            raise Unknown("dataset")
        if (told.standard, told.version) != (dataset["standard"], dataset["refreshed"]) or told.columns_digest != (
            columns_digest(
                standard_digest=view.standard_digest(told.standard) or "", columns=sorted(dataset["columns"])
            )
        ):
            raise Mismatch("the fingerprint is not of the version that is registered", fix="let the node make it anew")
        last = marks.current(view, asset)
        if last is not None and last.id == envelope.id:
            return [], envelope.id
        if marks.mark(view, envelope.id) is not None:
            raise PeerFault("the fingerprint is an older one", fix="send that of the version in force")
        in_use = marks.key_in_use(view, dataset["standard"].partition("/")[0])
        if in_use not in (None, told.key):
            raise Refused(
                "the fingerprint was made with another key than those on record",
                fix="take over the key of the institutions: touchstone node collateral-key",
            )
        _check_follows(told, last)
        return [("fingerprint", envelope.to_json())], envelope.id

    return store.write(decide)


def _check_follows(told: Fingerprint, last: marks.Mark | None) -> None:
    if told.earlier != (None if last is None else last.id):
        raise PeerFault("the fingerprint does not follow the last one on record", fix="let the node make it anew")
    if last is None:
        return
    if told.version < last.version:
        raise PeerFault("the fingerprint is of an older version", fix="send that of the version in force")
    if (told.version, told.columns_digest) == (last.version, last.columns) and told.root != last.root:
        raise PeerFault("the rows of one version never change", fix="refresh the dataset: touchstone node refresh")


# -- the search for copies -------------------------------------------------------------------------------------------


def check_unique(
    view: View, asset: str, *, ruled: dict[str, str] | None = None
) -> tuple[str, str, list[dict[str, Any]]]:
    """Compare an asset's rows with all on record and return the fingerprint's id, the outcome, and each finding.

    The outcome is ``clear``, ``review`` or ``blocked``. ``ruled`` are rulings (by the other fingerprint) that are being taken now.

    Raises:
        Unknown: if there is no such asset.
        Refused: if there is no fingerprint of the version in force.
    """
    dataset, own = view.dataset(asset), marks.current(view, asset)
    if dataset is None:
        raise Unknown("asset")
    if own is None or own.version != dataset["refreshed"]:
        raise Refused(
            "there is no fingerprint of the version in force",
            fix="have the owner's node make it: touchstone node fingerprint",
        )
    rulings = marks.rulings(view, own.id) | (ruled or {})
    first = marks.pledged(view, asset)
    found = []
    for other in marks.others(view, asset, own.standard):
        liens = view.liens(other.asset)
        if not liens and _owner(other.asset) == _owner(asset):
            continue  # what an owner holds twice is pledged once all the same
        if not liens and first is not None and first.seq < other.seq:
            continue  # who shows the rows after they were pledged does not hinder a second rank
        likeness = compare(own.sketch, other.sketch)
        outcome = _outcome(likeness, pledged=bool(liens))
        if outcome == "review":  # no ruling lifts a block
            outcome = rulings.get(other.id, outcome)
        if outcome != "clear":
            finding = {"asset": other.asset, "fingerprint": other.id, "outcome": outcome, "pledged": bool(liens)}
            found.append(finding | {"likeness": likeness.to_json()})
    outcomes = {finding["outcome"] for finding in found}
    state = "blocked" if outcomes & {"blocked", "same"} else "review" if outcomes else "clear"
    return own.id, state, found


def _outcome(likeness: Likeness, *, pledged: bool) -> str:
    """What a likeness means: rows that nobody has pledged are a question of title, which a reviewer answers."""
    if pledged and any(share.seen and share.value >= BLOCK for share in likeness.shares):
        return "blocked"
    return "review" if any(share.high >= REVIEW for share in likeness.shares) else "clear"


def register_unless_alike(
    view: View, offer: dict[str, Any], *, consent: Envelope, ruled: dict[str, str] | None = None
) -> list[Event]:
    """Return what an owner's consent to an offer comes to: a search on record, and the lien if nothing alike was found.

    Raises:
        Unknown: if there is no such asset.
        Refused: if there is no fingerprint of the version in force.
    """
    fingerprint, state, found = check_unique(view, offer["asset"], ruled=ruled)
    if state == "clear" and view.lien(offer["asset"], offer["rank"]) is not None:
        state = "taken"
    searched = {
        "offer": offer["id"],
        "asset": offer["asset"],
        "fingerprint": fingerprint,
        "state": state,
        "found": found,
        "consent": consent.to_json(),
    }
    lien: list[Event] = [("lien", consent.to_json())] if state == "clear" else []
    return [("searched", searched), *lien]


def outcome(view: View, offer: str) -> dict[str, Any] | None:
    """Return what the search for copies found on an offer, to its lender or owner: live liens by name, all else without."""
    held = marks.search(view, offer)
    if held is None:
        return None
    named = ("asset", "outcome", "likeness")
    found = [{name: finding[name] for name in named if finding["pledged"] or name != "asset"} for finding in held.found]
    return {"state": held.state, "fingerprint": held.fingerprint, "found": found}


# -- reviews ---------------------------------------------------------------------------------------------------------


def appoint(store: Store, party: str) -> None:
    """Let an enrolled officer rule on rows that are alike.

    Raises:
        Unknown: if no officer of this name is enrolled.
    """

    def decide(view: View) -> tuple[list[Event], None]:
        if view.role(party) != "officer":
            raise Unknown("officer")
        return ([] if marks.is_reviewer(view, party) else [("appointed", {"party": party})]), None

    store.write(decide)


def reviews(view: View, *, caller: str) -> list[dict[str, Any]]:
    """Return to a reviewer what waits for one: of each pair of fingerprints how alike they are; to others, nothing."""
    if not _may_rule(view, caller):
        return []
    return [
        {"offer": held.offer, "asset": held.asset, "fingerprint": held.fingerprint, "found": held.found}
        for held in marks.waiting(view)
    ]


def rule(store: Store, envelope: Envelope) -> str:
    """Take a reviewer's ruling and return its id; offers that waited for it alone become liens or are over in the same step.

    Raises:
        Unknown: if no search found the two fingerprints alike, or the signer is no reviewer of the exchange.
    """
    told = expect(envelope, store.view().signer(envelope.signer), Clearance)

    def decide(view: View) -> tuple[list[Event], str]:
        if not _may_rule(view, envelope.signer):
            raise Unknown("review")
        if marks.is_ruled(view, envelope.id):
            return [], envelope.id
        held = [one for one in marks.waiting(view, told.asset) if one.fingerprint == told.fingerprint]
        pairs = {(finding["asset"], finding["fingerprint"]) for one in held for finding in one.found}
        if (told.other, told.other_fingerprint) not in pairs:
            raise Unknown("review")
        events: list[Event] = [("clearance", envelope.to_json())]
        for one in held:
            offer = view.offer(one.offer)
            if offer is None:
                continue
            follows = register_unless_alike(view, offer, consent=one.consent, ruled={told.other_fingerprint: told.act})
            events += follows
            if len(follows) > 1:
                break  # the rank is taken now; what else waits for it is settled when it is ruled on
        return events, envelope.id

    return store.write(decide)


def _may_rule(view: View, party: str) -> bool:
    """Whether a party is a reviewer of the exchange, and no institution's officer."""
    return marks.is_reviewer(view, party) and not view.owners(party)


# -- confirmations ---------------------------------------------------------------------------------------------------


def record_confirmation(store: Store, envelope: Envelope, *, now: int) -> str:
    """Take a node's word of a day on the version in force and return its id; one that is on record changes nothing.

    ``now`` in seconds since 1970.

    Raises:
        Unknown: if the signer has no such dataset, or no fingerprint of it is on record.
        PeerFault: if it speaks of another fingerprint than the last, or is not of these days, or older than the last word.
    """
    told = expect(envelope, store.view().signer(envelope.signer), Confirmation)
    asset = f"{envelope.signer}/{told.dataset}"
    today = datetime.fromtimestamp(now, tz=UTC).date()

    def decide(view: View) -> tuple[list[Event], str]:
        last = marks.current(view, asset)
        if view.dataset(asset) is None or last is None:
            raise Unknown("fingerprint")
        if marks.is_known(view, envelope.id):
            return [], envelope.id
        if told.fingerprint != last.id:
            raise PeerFault("the word is about another version", fix="confirm the version in force")
        if abs(date.fromisoformat(told.day) - today) > timedelta(days=1):
            raise PeerFault("the word is not of today", fix="check the clock of the node")
        before = marks.words(view, asset, 1)
        if before and told.day < before[0].day:
            raise PeerFault("a later word is on record", fix="confirm the version in force")
        return [("confirmation", envelope.to_json())], envelope.id

    return store.write(decide)


def _owner(asset: str) -> str:
    return asset.partition("/")[0]
