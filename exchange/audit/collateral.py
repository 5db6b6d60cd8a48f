"""What must hold of the identity of collateral: signed fingerprints, searches for copies made again, appointed reviewers' rulings.

No lien goes live without a search of its rows just before it that found nothing alike which a reviewer had not cleared. Every
search is made anew from the sketches on record, so an exchange that lets a copy pass is found by its own log.
"""

from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, timedelta

from exchange.audit.record import Custody, Marked, Record, Searched, fields, require
from exchange.journal import Entry
from exchange.protocol.collateral import Clearance, Confirmation, Fingerprint, columns_digest
from exchange.protocol.envelope import Envelope
from exchange.protocol.likeness import Shown, search
from exchange.protocol.messages import expect
from exchange.protocol.pledge import LIVE, State


def _fingerprint(record: Record, entry: Entry) -> None:
    envelope = Envelope.from_json(entry.body)
    told = expect(envelope, record.directory, Fingerprint)
    asset, held = f"{envelope.signer}/{told.dataset}", record.custody
    dataset, before = record.live(asset), held.last.get(asset)
    digest = columns_digest(standard_digest=record.standards[dataset.standard].digest, columns=sorted(dataset.columns))
    registered = dataset.standard, dataset.refreshed, digest
    require((told.standard, told.version, told.columns_digest) == registered, "it is not of the version in force")
    require(envelope.id not in held.marks, "the fingerprint is on record already")
    name = told.standard.partition("/")[0]
    require(held.keys.setdefault(name, told.key) == told.key, "it was made with another key than those before")
    require(told.earlier == (None if before is None else before.id), "it does not follow the last one on record")
    if before is not None:
        require(before.version <= told.version, "it is of an older version than the last one")
        same = (before.version, before.columns) == (told.version, told.columns_digest)
        require(not same or before.root == told.root, "the rows of one version change")
    held.mark(
        Marked(
            id=envelope.id,
            asset=asset,
            standard=name,
            version=told.version,
            columns=told.columns_digest,
            root=told.root,
            sketch=told.values,
            seq=entry.seq,
        )
    )


def _confirmation(record: Record, entry: Entry) -> None:
    envelope = Envelope.from_json(entry.body)
    told = expect(envelope, record.directory, Confirmation)
    asset, held = f"{envelope.signer}/{told.dataset}", record.custody
    record.live(asset)
    last = held.last.get(asset)
    require(last is not None and last.id == told.fingerprint, "it is about another fingerprint than the last one")
    words = held.words.setdefault(asset, {})
    require(envelope.id not in words, "the word is on record already")
    require(all(day <= told.day for day in words.values()), "a later word is on record")
    today = datetime.fromtimestamp(entry.at // 1_000_000, tz=UTC).date()
    require(abs(date.fromisoformat(told.day) - today) <= timedelta(days=2), "it is not of the day of its entry")
    words[envelope.id] = told.day


def _appointed(record: Record, entry: Entry) -> None:
    party = fields(entry.body, "party")["party"]
    require(record.roles.get(party) == "officer", "no officer of this name is enrolled")
    require(party not in record.custody.reviewers, f"{party} is appointed twice")
    require(not _is_named(record, party), f"{party} is a party's officer")
    record.custody.reviewers.add(party)


def _clearance(record: Record, entry: Entry) -> None:
    envelope = Envelope.from_json(entry.body)
    told = expect(envelope, record.directory, Clearance)
    held = record.custody
    require(envelope.signer in held.reviewers, "its signer is no reviewer of the exchange")
    require(not _is_named(record, envelope.signer), "its signer is a party's officer")
    pair = frozenset((told.fingerprint, told.other_fingerprint))
    waits = any(
        (one.state, one.asset, one.fingerprint) == ("review", told.asset, told.fingerprint)
        and record.pledges[offer].state is State.SIGNED
        and (told.other, told.other_fingerprint) in one.alike
        for offer, one in held.searches.items()
    )
    require(waits and pair not in held.rulings, "no ruling on the two fingerprints is waited for")
    held.rulings[pair] = told.act


def _searched(record: Record, entry: Entry) -> None:
    told = fields(entry.body, "offer", "asset", "fingerprint", "state", "found")
    pledge = record.pledges.get(told["offer"])
    require(pledge is not None and pledge.asset == told["asset"], "it is about no such offer on the asset")
    require(pledge is not None and pledge.state is State.SIGNED, "the pledge is not one to be filed")
    asset, held = told["asset"], record.custody
    own = held.last.get(asset)
    require(own is not None and own.id == told["fingerprint"], "it is about another fingerprint than the last one")
    require(own is not None and own.version == record.live(asset).refreshed, "it is not of the version in force")
    if own is not None:
        pledged = _pledged(record)
        others = [
            _shown(record, mark)
            for mark in held.marks.values()
            if mark.asset != asset
            and mark.standard == own.standard
            and (mark.id in pledged or held.last[mark.asset] is mark)
        ]
        first = min((held.marks[id_].seq for id_ in pledged if held.marks[id_].asset == asset), default=None)
        state, found = search(_shown(record, own), others, first=first, rulings=held.rulings_on(own.id))
        require((state, found) == (told["state"], told["found"]), "the sketches on record say something else")
        alike = frozenset((one["asset"], one["fingerprint"]) for one in found)
        held.searches[told["offer"]] = Searched(entry.seq, asset, own.id, state, alike)


def check_searched(custody: Custody, *, offer: str, seq: int) -> None:
    """Make sure that the entry before a lien's, ``seq``, is its search, and that nothing stood in the way.

    Raises:
        Mismatch: if it is not.
    """
    held = custody.searches.get(offer)
    require(
        held is not None and (held.seq, held.state) == (seq - 1, "clear"),
        "it goes live without a search that cleared its rows",
    )


def _is_named(record: Record, officer: str) -> bool:
    """Whether a party of the exchange names an officer as its own."""
    return any(officer in officers for officers in record.officers.values())


def _pledged(record: Record) -> set[str]:
    """Return the fingerprints under which live liens were registered."""
    searches = record.custody.searches
    return {searches[offer].fingerprint for offer, pledge in record.pledges.items() if pledge.state in LIVE}


def _shown(record: Record, mark: Marked) -> Shown:
    return Shown(mark.asset, mark.id, mark.sketch, mark.seq, bool(record.ranks(mark.asset)))


RULES: Mapping[str, Callable[[Record, Entry], None]] = {
    "fingerprint": _fingerprint,
    "confirmation": _confirmation,
    "appointed": _appointed,
    "clearance": _clearance,
    "searched": _searched,
}
