"""Fingerprints, confirmations, searches and reviewers' rulings as tables of the exchange's projection, and typed reading of them."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

from exchange.journal import Entry
from exchange.projection import Apply, Rows
from exchange.protocol.collateral import DIGITS
from exchange.protocol.envelope import Envelope
from exchange.protocol.pledge import UNSIGNED, State

TABLES = [
    "CREATE TABLE fingerprint (id VARCHAR PRIMARY KEY, asset VARCHAR, standard VARCHAR, version VARCHAR, key VARCHAR, "
    "root VARCHAR, columns VARCHAR, least BIGINT, below BIGINT, sketch VARCHAR, heard BIGINT, seq BIGINT)",
    "CREATE TABLE confirmation (id VARCHAR PRIMARY KEY, asset VARCHAR, fingerprint VARCHAR, day VARCHAR, found VARCHAR, "
    "heard BIGINT, seq BIGINT, reserves VARCHAR)",
    "CREATE TABLE reviewer (party VARCHAR PRIMARY KEY)",
    "CREATE TABLE clearance (id VARCHAR PRIMARY KEY, first VARCHAR, second VARCHAR, act VARCHAR, officer VARCHAR, "
    "because VARCHAR, seq BIGINT)",
    "CREATE TABLE search (offer VARCHAR PRIMARY KEY, asset VARCHAR, fingerprint VARCHAR, state VARCHAR, found VARCHAR, "
    "seq BIGINT)",
]


class Reading(Protocol):
    """What of a view of the store is needed here."""

    @property
    def rows(self) -> Any:
        """Runs one SELECT with its parameters."""


@dataclass(frozen=True, slots=True)
class Mark:
    """A fingerprint on record; ``at`` is the journal's time of it (microseconds since 1970)."""

    id: str
    asset: str
    standard: str
    version: str
    key: str
    root: str
    columns: str
    least: int
    below: int
    sketch: Sequence[str]
    at: int
    seq: int


@dataclass(frozen=True, slots=True)
class Word:
    """A node's confirmation on record; ``reserves`` is what its ledger keeps back by pledge (1e-9 rho)."""

    id: str
    fingerprint: str
    day: str
    found: str
    at: int
    seq: int
    reserves: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Search:
    """What the search for copies found when a pledge was filed last."""

    offer: str
    asset: str
    fingerprint: str
    state: str
    found: list[dict[str, Any]]


_MARK = "SELECT id, asset, standard, version, key, root, columns, least, below, sketch, heard, seq FROM fingerprint"
_PLEDGED = "SELECT search.fingerprint FROM search JOIN lien ON lien.offer = search.offer"


def current(view: Reading, asset: str) -> Mark | None:
    """Return the fingerprint of an asset that was taken last."""
    return _first(view.rows(f"{_MARK} WHERE asset = ? ORDER BY seq DESC LIMIT 1", [asset]))


def mark(view: Reading, fingerprint: str) -> Mark | None:
    """Return a fingerprint by its id."""
    return _first(view.rows(f"{_MARK} WHERE id = ?", [fingerprint]))


def key_in_use(view: Reading, standard: str) -> str | None:
    """Return the name of the key under which the first fingerprint of a standard's name was made."""
    found = view.rows("SELECT key FROM fingerprint WHERE standard = ? ORDER BY seq LIMIT 1", [standard])
    return str(found[0][0]) if found else None


def others(view: Reading, asset: str, standard: str) -> list[Mark]:
    """Return the fingerprints to compare with: of every other asset under the standard's name the last one and those pledged."""
    newest = "seq IN (SELECT max(seq) FROM fingerprint GROUP BY asset)"
    sql = f"{_MARK} WHERE asset <> ? AND standard = ? AND ({newest} OR id IN ({_PLEDGED})) ORDER BY seq"
    return [_mark(row) for row in view.rows(sql, [asset, standard])]


def pledged(view: Reading, asset: str) -> Mark | None:
    """Return the fingerprint under which the oldest live lien on an asset was registered."""
    return _first(view.rows(f"{_MARK} WHERE id IN ({_PLEDGED} WHERE lien.asset = ?) ORDER BY seq LIMIT 1", [asset]))


def words(view: Reading, asset: str, most: int) -> list[Word]:
    """Return the last confirmations of an asset, newest first."""
    sql = (
        "SELECT id, fingerprint, day, found, heard, seq, reserves FROM confirmation WHERE asset = ? "
        "ORDER BY seq DESC LIMIT ?"
    )
    return [
        Word(id_, fingerprint, day, found, at, seq, json.loads(kept))
        for id_, fingerprint, day, found, at, seq, kept in view.rows(sql, [asset, most])
    ]


def is_known(view: Reading, word: str) -> bool:
    """Whether a confirmation of this id is on record."""
    return bool(view.rows("SELECT 1 FROM confirmation WHERE id = ?", [word]))


def is_reviewer(view: Reading, party: str) -> bool:
    """Whether the exchange's operator has appointed a party to rule on rows that are alike."""
    return bool(view.rows("SELECT 1 FROM reviewer WHERE party = ?", [party]))


def rulings(view: Reading, fingerprint: str) -> dict[str, str]:
    """Return the last ruling on a fingerprint by the other one that it was compared with."""
    sql = "SELECT first, second, act FROM clearance WHERE first = ? OR second = ? ORDER BY seq"
    return {second if first == fingerprint else first: act for first, second, act in view.rows(sql, [fingerprint] * 2)}


def is_ruled(view: Reading, ruling: str) -> bool:
    """Whether a ruling of this id is on record."""
    return bool(view.rows("SELECT 1 FROM clearance WHERE id = ?", [ruling]))


def has_offered(view: Reading, asset: str, lender: str) -> bool:
    """Whether a lender has an offer on an asset that has not become a lien yet."""
    sql = "SELECT 1 FROM offer WHERE asset = ? AND lender = ? AND list_contains(?::VARCHAR[], state) LIMIT 1"
    return bool(view.rows(sql, [asset, lender, [*UNSIGNED, State.SIGNED]]))


def search(view: Reading, offer: str) -> Search | None:
    """Return what the search found when a pledge was filed last."""
    return next(iter(_searches(view, "offer = ?", [offer])), None)


def waiting(view: Reading) -> list[Search]:
    """Return, oldest first, the searches of pledges that wait to be filed again, each with the findings that wait for a ruling."""
    held = _searches(view, "state = 'review' AND offer IN (SELECT id FROM offer WHERE state = ?)", [State.SIGNED.value])
    open_ = (replace(one, found=_unruled(one.found, rulings(view, one.fingerprint))) for one in held)
    return [one for one in open_ if one.found]


def _unruled(found: list[dict[str, Any]], rulings: dict[str, str]) -> list[dict[str, Any]]:
    if any(rulings.get(finding["fingerprint"]) == "same" for finding in found):
        return []  # refused already, whatever the others are
    return [finding for finding in found if finding["fingerprint"] not in rulings]


def _searches(view: Reading, condition: str, values: list[Any]) -> list[Search]:
    sql = f"SELECT offer, asset, fingerprint, state, found FROM search WHERE {condition} ORDER BY seq"  # noqa: S608  constant text
    return [
        Search(offer, asset, fingerprint, state, json.loads(found))
        for offer, asset, fingerprint, state, found in view.rows(sql, values)
    ]


def _first(rows: list[tuple[Any, ...]]) -> Mark | None:
    return _mark(rows[0]) if rows else None


def _mark(row: tuple[Any, ...]) -> Mark:
    id_, asset, standard, version, key, root, columns, least, below, sketch, at, seq = row
    values = [sketch[start : start + DIGITS] for start in range(0, len(sketch), DIGITS)]
    return Mark(id_, asset, standard, version, key, root, columns, least, below, values, at, seq)


# -- events ----------------------------------------------------------------------------------------------------------


def _signed(entry: Entry) -> tuple[str, str, dict[str, Any]]:
    """Return id, signer and message of an entry's envelope, which was checked before it was written."""
    envelope = Envelope.from_json(entry.body)
    return envelope.id, envelope.signer, json.loads(envelope.body)


def _fingerprint(entry: Entry) -> list[Any]:
    id_, owner, told = _signed(entry)
    return [
        id_, f"{owner}/{told['dataset']}", told["standard"].partition("/")[0], told["version"], told["key"], told["root"],
        told["columns_digest"], told["least"], told["below"], told["sketch"], entry.at, entry.seq,
    ]  # fmt: skip


def _confirmation(entry: Entry) -> list[Any]:
    id_, owner, told = _signed(entry)
    asset = f"{owner}/{told['dataset']}"
    kept = json.dumps(told.get("reserves", {}))
    return [id_, asset, told["fingerprint"], told["day"], told["found"], entry.at, entry.seq, kept]


def _clearance(entry: Entry) -> list[Any]:
    id_, officer, told = _signed(entry)
    pair = [told["fingerprint"], told["other_fingerprint"]]
    return [id_, *pair, told["act"], officer, told["because"], entry.seq]


def _searched(entry: Entry) -> list[Any]:
    body = entry.body
    return [body["offer"], body["asset"], body["fingerprint"], body["state"], json.dumps(body["found"]), entry.seq]


APPLY: dict[str, Apply] = {
    "fingerprint": Rows("fingerprint", _fingerprint, replace=False),
    "confirmation": Rows("confirmation", _confirmation, replace=False),
    "appointed": Rows("reviewer", lambda entry: [entry.body["party"]]),
    "clearance": Rows("clearance", _clearance, replace=False),
    "searched": Rows("search", _searched),
}
