"""The identity of what is pledged: fingerprints on record, the search for copies before a lien, the daily watch after it.

No lien is registered on rows that cannot be compared: without a fingerprint of the version in force there is none. Rows that
are pledged under another name are refused; rows that may be are left to a reviewer of the exchange, who is no owner's officer.
What others hold without a lien is named to reviewers alone.
"""

from datetime import UTC, date, datetime, timedelta
from typing import Any

from exchange.hub import marks
from exchange.hub.store import Event, Store
from exchange.hub.view import View
from exchange.protocol.collateral import Clearance, Confirmation, Fingerprint, columns_digest
from exchange.protocol.envelope import Envelope
from exchange.protocol.errors import PeerFault, Unknown
from exchange.protocol.likeness import Shown, search
from exchange.protocol.messages import expect
from privacy.errors import Mismatch, Refused

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


def check_unique(view: View, asset: str) -> tuple[str, str, list[dict[str, Any]]]:
    """Compare an asset's rows with all on record and return the fingerprint's id, the outcome, and each finding.

    The outcome is ``clear``, ``review`` or ``blocked``.

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
    first = marks.pledged(view, asset)
    outcome, found = search(
        _shown(view, own),
        [_shown(view, other) for other in marks.others(view, asset, own.standard)],
        first=None if first is None else first.seq,
        rulings=marks.rulings(view, own.id),
    )
    return own.id, outcome, found


def search_for(view: View, *, offer: str, asset: str) -> tuple[list[Event], Refused | None]:
    """Search for copies of what is to be registered; return what is written of it, and why there can be no lien.

    The same refusal again is not written again: who files in a loop does not fill the journal.

    Raises:
        Unknown: if there is no such asset.
        Refused: if there is no fingerprint of the version in force.
    """
    fingerprint, outcome, found = check_unique(view, asset)
    body = {"offer": offer, "asset": asset, "fingerprint": fingerprint, "state": outcome, "found": found}
    event: Event = ("searched", body)
    if outcome == "clear":
        return [event], None
    last = marks.search(view, offer)
    known = last is not None and (last.fingerprint, last.state, last.found) == (fingerprint, outcome, found)
    return ([] if known else [event]), _refusal(outcome, found)


def _refusal(outcome: str, found: list[dict[str, Any]]) -> Refused:
    """Say why there is no lien; only assets whose lien everybody can see are named."""
    if outcome == "review":
        return Refused(
            "the rows may be those of another asset", fix="wait for a reviewer of the exchange, then file it again"
        )
    pledged = next((finding["asset"] for finding in found if finding["outcome"] == "blocked"), None)
    if pledged is None:
        return Refused(
            "a reviewer found that the rows are those of another asset", fix="quote a pledge of another asset"
        )
    return Refused(
        f"the rows are those of {pledged}, which is pledged",
        fix="have that lien released first, or quote a pledge of another asset",
    )


def outcome(view: View, offer: str) -> dict[str, Any] | None:
    """Return what the search for copies found when a pledge was filed last, to its parties: live liens by name, all else without."""
    held = marks.search(view, offer)
    if held is None:
        return None
    named = ("asset", "outcome", "likeness")
    found = [{name: finding[name] for name in named if finding["pledged"] or name != "asset"} for finding in held.found]
    return {"state": held.state, "fingerprint": held.fingerprint, "found": found}


def _shown(view: View, mark: marks.Mark) -> Shown:
    return Shown(mark.asset, mark.id, mark.sketch, mark.seq, bool(view.liens(mark.asset)))


# -- reviews ---------------------------------------------------------------------------------------------------------


def appoint(store: Store, party: str) -> None:
    """Let an enrolled officer rule on rows that are alike.

    Raises:
        Unknown: if no officer of this name is enrolled.
        Refused: if a party of the exchange names it as its own officer.
    """

    def decide(view: View) -> tuple[list[Event], None]:
        if view.role(party) != "officer":
            raise Unknown("officer")
        if view.owners(party):
            raise Refused(
                "a party of the exchange names this officer as its own", fix="appoint one whom no party names"
            )
        return ([] if marks.is_reviewer(view, party) else [("appointed", {"party": party})]), None

    store.write(decide)


def reviews(view: View, *, caller: str) -> list[dict[str, Any]]:
    """Return to a reviewer what waits for a ruling: of each pair of fingerprints how alike they are.

    Raises:
        Refused: if the caller is no reviewer of the exchange.
    """
    _check_reviewer(view, caller)
    return [
        {"offer": held.offer, "asset": held.asset, "fingerprint": held.fingerprint, "found": held.found}
        for held in marks.waiting(view)
    ]


def rule(store: Store, envelope: Envelope) -> str:
    """Take a reviewer's ruling and return its id; the lender files the pledge again, and the search goes by it.

    Raises:
        Refused: if the signer is no reviewer of the exchange.
        Unknown: if no ruling on the two fingerprints is waited for.
    """
    told = expect(envelope, store.view().signer(envelope.signer), Clearance)

    def decide(view: View) -> tuple[list[Event], str]:
        _check_reviewer(view, envelope.signer)
        if marks.is_ruled(view, envelope.id):
            return [], envelope.id
        pairs = {
            (held.asset, held.fingerprint, finding["asset"], finding["fingerprint"])
            for held in marks.waiting(view)
            for finding in held.found
        }
        if (told.asset, told.fingerprint, told.other, told.other_fingerprint) not in pairs:
            raise Unknown("review")
        return [("clearance", envelope.to_json())], envelope.id

    return store.write(decide)


def _check_reviewer(view: View, party: str) -> None:
    """Who rules is a reviewer of the exchange, and no institution's officer."""
    if not marks.is_reviewer(view, party) or view.owners(party):
        raise Refused(
            "only reviewers whom the operator appointed, and whom no party names its officer, rule on rows that are alike",
            fix="ask the operator of the exchange: touchstone exchange appoint",
        )


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
