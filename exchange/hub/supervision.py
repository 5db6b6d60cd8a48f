"""What a supervisor reads of the register: every pledge with what is on record of it, and refused requests as counts.

Nothing of what is in the data is on record, and of persons only that the lender's officers have approved: neither is told.
What a refusal says of itself is told by closed words alone, so that no text that somebody typed travels on.
"""

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from exchange.hub.register import agreement
from exchange.hub.view import HELD, View
from exchange.protocol.agreement import Endorsement, Notice
from exchange.protocol.envelope import Envelope
from exchange.protocol.messages import Objection, Offer, unverified
from exchange.protocol.pledge import Agreement
from privacy.atoms import USES
from privacy.purposes import PURPOSES, REFUSED

_BATCH = 1_000
"""Refusals that are read at once."""

_LISTED = (
    "SELECT offer.id AS id, offer.seq AS seq, dataset.standard AS standard, dataset.declared AS declared "
    "FROM offer LEFT JOIN dataset ON dataset.asset = offer.asset WHERE offer.seq < ? ORDER BY offer.seq DESC LIMIT ?"
)
_REFUSED = (
    "SELECT refusal.seq AS seq, party.role AS role, refusal.items AS items, "
    "refusal.standard AS standard, refusal.purpose AS purpose FROM refusal "
    "LEFT JOIN party ON party.id = refusal.asker WHERE refusal.seq > ? ORDER BY refusal.seq LIMIT ?"
)

_ABOUT = frozenset({"bounds", "grain", "precision", "use", "values"})
"""First words of items that go on with a column."""

_WHOLE = frozenset(
    {
        "approval", "asker", "cells", "contribution bounds", "date", "noise", "parties", "policy", "precision", "purpose",
        "retention", "rows", "standard",
    }
)  # fmt: skip


def pledges(view: View, *, before: int | None, limit: int) -> list[dict[str, Any]]:
    """Return the pledges of the register, newest first, amounts in cents; ``before`` is the last ``seq`` seen."""
    rows = view.rows(_LISTED, [(1 << 62) if before is None else before, limit])
    found = ((seq, standard, declared, agreement(view, id_)) for id_, seq, standard, declared in rows)
    return [
        _told(view, held, seq=seq, standard=standard, declared=json.loads(declared or "{}"))
        for seq, standard, declared, held in found
        if held is not None
    ]


def _told(
    view: View, held: Agreement, *, seq: int, standard: str | None, declared: Mapping[str, Any]
) -> dict[str, Any]:
    lien = view.lien(held.asset, held.rank)
    ends = [right["valid_until"] for right in declared.get("rights", ()) if right["valid_until"] is not None]
    steps = [(envelope, since) for envelope, _, since, _ in view.steps(held.id) if envelope is not None]
    return {
        "seq": seq,
        "id": held.id,
        "lender": held.holder,
        "owner": held.owner,
        "asset": held.asset,
        "standard": standard,
        "rank": held.rank,
        "state": held.state.value,
        "secured": held.secured,
        "claim": held.claim,
        "matures": held.matures,
        "expires": held.expires,
        "registered": lien.since if lien is not None and lien.offer == held.id else None,
        "notice": _notice(steps),
        "appraisal": _appraisal(view, held.id),
        "title_ends": min(ends, default=None),
        "refused": _refused(steps),
    }


def _notice(steps: Iterable[tuple[Envelope, str]]) -> dict[str, Any] | None:
    """The latest notice of the cover, with the day on which it was journaled."""
    told = [(unverified(said, Notice), since) for said, since in steps if said.kind == Notice.kind]
    if not told:
        return None
    notice, since = told[-1]
    return {"level": notice.level.value, "on": since[:10], "evidence": notice.evidence, "cure_by": notice.cure_by}


def _appraisal(view: View, offer: str) -> dict[str, str] | None:
    quoted = view.offer(offer)
    if quoted is None:
        return None
    cited = unverified(quoted["envelope"], Offer).appraisal
    found = view.rows("SELECT report, valuer FROM appraisal WHERE id = ?", [cited])
    return {"report": found[0][0], "valuer": found[0][1]} if found else None


def _refused(steps: Iterable[tuple[Envelope, str]]) -> dict[str, str] | None:
    """Who said no and when; the reason is words of a person, and stays with those concerned."""
    for said, since in steps:
        if said.kind == Objection.kind:
            return {"by": "owner", "on": since[:10]}
        if said.kind == Endorsement.kind and unverified(said, Endorsement).act == "refuse":
            return {"by": "officer", "on": since[:10]}
    return None


def refusals(view: View) -> list[dict[str, Any]]:
    """Count the requests that minimum necessity refused, by the asker's role, standard, purpose and kind of offending item.

    A request counts once for each kind of item that it was refused for. Standard and purpose are those of its plan; a
    purpose that no registry knows is ``None``. Releases before wrote of a refused plan its hash alone: of such a refusal
    they are those of the rules that refused it, ``None`` where no rule names one.
    """
    counted: Counter[tuple[str | None, str | None, str | None, str]] = Counter()
    standards: dict[str, str | None] = {}
    after = 0
    while rows := view.rows(_REFUSED, [after, _BATCH]):
        for _, role, text, standard, purpose in rows:
            items = json.loads(text)
            if standard is None:
                standard, purpose = _standard(view, items, standards), _purpose(items)  # noqa: PLW2901
            counted.update((role, standard, purpose, kind) for kind in {kind_of(one["item"]) for one in items})
        after = rows[-1][0]
    return [
        {"role": role, "standard": standard, "purpose": purpose, "item": kind, "refused": number}
        for (role, standard, purpose, kind), number in sorted(
            counted.items(), key=lambda pair: tuple(part or "" for part in pair[0])
        )
    ]


def _standard(view: View, items: Iterable[Mapping[str, str]], known: dict[str, str | None]) -> str | None:
    """The standard of the datasets whose policies refused a request; their rules name the dataset."""
    for one in items:
        if one["layer"] == "policy" and "@" in one["rule"]:
            owner, _, dataset = one["rule"].rpartition("@")[0].partition(".")
            asset = f"{owner}/{dataset}"
            if asset not in known:
                known[asset] = next((str(row[2]) for row in view.find(HELD, asset)), None)
            if known[asset] is not None:
                return known[asset]
    return None


def _purpose(items: Iterable[Mapping[str, str]]) -> str | None:
    """The purpose whose template refused a part of a request."""
    named = (one["rule"] for one in items if one["layer"] == "purpose")
    return next((rule for rule in named if rule in PURPOSES or rule in REFUSED), None)


def kind_of(item: str) -> str:
    """Return what kind of item one is, without its column: a closed list of words, ``other`` for what is not on it."""
    if item in _WHOLE:
        return item
    first, _, rest = item.partition(" ")
    if first in _ABOUT:
        return first
    use = rest.removeprefix("as ")
    return f"use: {use}" if rest.startswith("as ") and use in USES else "other"
