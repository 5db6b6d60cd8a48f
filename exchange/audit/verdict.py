"""The whole check of a bundle, in order: head, entries, root, what others saw. Needs the file and, to rely on it, the log's id."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from exchange.audit.bundle import Lines, Wrong, head_of
from exchange.audit.record import Record
from exchange.audit.rules import RULES
from exchange.journal import Entry
from exchange.protocol.envelope import Envelope
from exchange.protocol.log import TreeHead
from exchange.protocol.messages import Cosigned, expect
from exchange.protocol.session import OVER
from exchange.protocol.tree import Tree
from privacy.errors import PrivacyError


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a bundle was found to hold: its log's id, its head, who cosigned up to where, and what the entries add up to."""

    log: str
    head: TreeHead
    cosigned: Mapping[str, int]
    record: Record

    def to_json(self) -> dict[str, Any]:
        """Return everything as one JSON object."""
        record = self.record
        liens = [
            {"asset": asset, "rank": rank, "holder": holder} for (asset, rank), holder in sorted(record.claims.items())
        ]
        appraisals = [
            {"id": id_, "asset": asset, "report": report, "valuer": valuer}
            for id_, (asset, report, valuer) in record.appraisals.items()
        ]
        return {
            "log": self.log,
            "head": self.head.model_dump(mode="json"),
            "cosigned": dict(self.cosigned),
            "entries": dict(sorted(record.kinds.items())),
            "sessions": {
                "answered": sum(asked.product for asked in record.sessions.values()),
                "open": sum(asked.session.stage not in OVER for asked in record.sessions.values()),
                "all": len(record.sessions),
            },
            "budgets": record.spending.to_json(),
            "liens": liens,
            "appraisals": appraisals,
            "overrides": record.overrides,
        }


def verify(
    path: Path,
    *,
    log: str | None = None,
    seen: TreeHead | None = None,
    pinned: Mapping[str, bytes] | None = None,
) -> Verdict:
    """Check a bundle from its first line to its last.

    ``log`` is the id that it must be signed by (else the one that it names, to be compared by the reader); ``seen`` a head
    that was seen before; ``pinned`` parties' keys as the reader knows them, which the log's must then be.

    Raises:
        Wrong: naming the first entry that is wrong, and why.
        Mismatch, Malformed: if the head is not signed twice by that log, or the file is no bundle.
    """
    lines = Lines(path)
    id_ = log or lines.opening.log
    head = head_of(lines.opening, id_)
    tree, record = Tree(), Record()
    last: Entry | None = None
    for entry in lines.entries():
        if entry.seq > head.size:
            raise Wrong(f"the head ends at entry {head.size}", seq=entry.seq)
        tree.add(entry.text)
        _apply(record, entry)
        last = entry
    if tree.size < head.size:
        raise Wrong(f"it is missing: the head counts {head.size} entries", seq=tree.size + 1)
    _check_pinned(record, pinned or {})
    cosigned = _cosigned(lines.opening.cosigned, tree, record, log=id_)
    if tree.root().hex() != head.root or (last is not None and last.hash != head.chain):
        sound = max(cosigned.values(), default=0)
        told = f"; parties cosigned them up to entry {sound}" if sound else ""
        raise Wrong(f"the head is signed over other entries than these{told}", seq=sound + 1)
    if seen is not None:
        _check_seen(seen, head, tree)
    for asked in record.sessions.values():
        if asked.session.stage == "answered" and not asked.product:
            raise Wrong("the answered session's product is missing", seq=asked.opened)
    return Verdict(id_, head, cosigned, record)


def _apply(record: Record, entry: Entry) -> None:
    rule = RULES.get(entry.kind)
    if rule is None:
        raise Wrong("it is of a kind that this release does not know", seq=entry.seq, fix="use a newer release")
    try:
        rule(record, entry)
    except Wrong:
        raise
    except PrivacyError as error:
        raise Wrong(error.reason, seq=entry.seq) from None
    except (KeyError, TypeError, ValueError, AttributeError):
        raise Wrong("it is not well formed", seq=entry.seq) from None
    record.kinds[entry.kind] += 1


def _check_pinned(record: Record, pinned: Mapping[str, bytes]) -> None:
    """A key that the reader pins is the party's: the present one, or one that has signed for it."""
    for party, key in pinned.items():
        if party in record.roles and not record.leads_to_present(party, key):
            raise Wrong(f"{party} is enrolled with another key than the pinned one", seq=record.enrolled[party])


def _cosigned(listed: tuple[Envelope, ...], tree: Tree, record: Record, *, log: str) -> dict[str, int]:
    """Check every cosignature against the entries: what a party saw must be how the log begins."""
    found: dict[str, int] = {}
    try:
        said = [(expect(envelope, record.signed(envelope), Cosigned), envelope) for envelope in listed]
    except PrivacyError as error:
        raise Wrong(f"a cosignature does not hold: {error.reason}", seq=0) from None
    for told, envelope in sorted(said, key=lambda pair: pair[0].size):
        if told.log != log or told.size > tree.size:
            raise Wrong(f"{envelope.signer} cosigned another or a longer log", seq=0)
        until = record.holders[record.signed(envelope)[envelope.signer]].until
        if until is not None and told.size >= until:
            raise Wrong(f"{envelope.signer} cosigned with a key that was given up at entry {until}", seq=0)
        if tree.root(told.size).hex() != told.root:
            raise Wrong(
                f"{envelope.signer} saw other entries up to {told.size}: the log was rewritten or forked",
                seq=max(found.values(), default=0) + 1,
            )
        found[envelope.signer] = told.size
    return found


def _check_seen(seen: TreeHead, head: TreeHead, tree: Tree) -> None:
    if seen.size > head.size:
        raise Wrong(f"it is stale: the log was seen up to entry {seen.size}", seq=head.size + 1)
    if tree.root(seen.size).hex() != seen.root:
        raise Wrong(f"up to entry {seen.size} the log was seen with other entries: it is forked", seq=0)
