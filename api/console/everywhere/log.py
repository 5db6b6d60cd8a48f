"""The exchange's log: its head and who signed it, proofs that one can follow by eye, and for regulators the entries themselves."""

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, date, datetime
from typing import Any

from api.console.pages import Page, Visit
from api.console.places import Place, Same
from api.console.wording import Words, msg
from exchange.protocol.attest import Attested
from exchange.protocol.envelope import Envelope
from exchange.protocol.errors import Unknown
from exchange.protocol.log import Forked, TreeHead, check_follows, check_inclusion, hashes, read_head
from exchange.protocol.log import Place as Entry
from exchange.protocol.messages import Cosigned, expect
from exchange.protocol.tree import leaf_hash, node_hash
from privacy.errors import Malformed, PrivacyError

_REGULATOR = frozenset({"regulator"})
_ON_A_PAGE = 25
_WINDOW = 1_000
_WINDOWS = 5
"""Stretches of the log that are read for one page of filtered entries."""

_SHOWN = 20_000
"""Characters of an entry that a page shows; its twin has all."""

KINDS: Mapping[str, str] = {
    "party": msg("Party enrolled"),
    "standard": msg("Standard published"),
    "officers": msg("Officers of a lender named"),
    "dataset": msg("Dataset registered"),
    "deprecated": msg("Dataset marked as outdated"),
    "withdrawn": msg("Dataset withdrawn"),
    "policy": msg("Policy published"),
    "key": msg("Key of an asker published"),
    "session": msg("Question put"),
    "message": msg("Step of a question"),
    "folded": msg("Sealed answers multiplied"),
    "expired": msg("Question expired"),
    "refusal": msg("Question refused"),
    "access": msg("Access asked for"),
    "ruling": msg("Ruling of an officer"),
    "appraisal": msg("Appraisal put on record"),
    "offer": msg("Loan offered"),
    "objected": msg("Offer objected to"),
    "lien": msg("Pledge registered"),
    "pledge": msg("Step of a pledge"),
    "lapsed": msg("Offer lapsed"),
    "fingerprint": msg("Fingerprint of rows declared"),
    "confirmation": msg("Rows confirmed by their node"),
    "searched": msg("Rows searched for copies"),
    "appointed": msg("Reviewer appointed"),
    "clearance": msg("Ruling of a reviewer"),
    "witness": msg("Journal of a node witnessed"),
}
"""Kinds of entries, in words."""


def show(visit: Visit) -> Mapping[str, Any]:
    """Return the head, checked, with cosignatures, and the proofs that were asked for."""
    told = visit.place.get("log", "head")
    log, head = _head(told)
    keys = {one["id"]: bytes.fromhex(one["key"]) for one in visit.place.get("parties")["parties"]}
    return {
        "log": log,
        "head": head.model_dump(mode="json"),
        "signed_by": ["Ed25519", "ML-DSA-65"],
        "cosigned": [_cosigned(one, head, keys) for one in told["cosigned"]],
        "asked": {name: visit.query.get(name, "") for name in ("seq", "leaf", "old", "root")},
        "inclusion": _asked(visit, "seq", lambda: _inclusion(visit, head)),
        "consistency": _asked(visit, "old", lambda: _consistency(visit, head)),
        "reads_entries": visit.place.role in _REGULATOR,
        "at_desk": visit.place.kind == "desk",
        "same_as": [
            Same(
                msg("Command line"),
                "touchstone audit head --as HOME --exchange URL\n"
                "touchstone audit export URL -o log.bundle --as REGULATOR\n"
                f"touchstone audit verify log.bundle --log {log}",
            ).to_json(),
            Same("HTTP", "GET /v1/log/head").to_json(),
        ],
    }


def _head(told: Any) -> tuple[str, TreeHead]:
    log = Attested.from_json(told["head"]).keys.id
    return log, read_head(told["head"], log)


def _cosigned(item: Any, head: TreeHead, keys: Mapping[str, bytes]) -> dict[str, Any]:
    """Return whose word it is, up to where, and whether the head goes on from there."""
    envelope = Envelope.from_json(item["said"])
    said = expect(envelope, {envelope.signer: keys[envelope.signer]}, Cosigned)
    seen = TreeHead(size=said.size, root=said.root, chain=head.chain if said.size == head.size else said.root, at=0)
    try:
        check_follows(head, seen, hashes(item["consistency"]))
    except Forked:
        follows = False
    else:
        follows = True
    return {"party": envelope.signer, "size": said.size, "root": said.root, "follows": follows}


def _asked(visit: Visit, name: str, prove: Any) -> Mapping[str, Any] | None:
    """Return a proof that was asked for, or the problem with it; nothing where nothing was asked."""
    if not visit.query.get(name):
        return None
    try:
        proved: Mapping[str, Any] = prove()
    except PrivacyError as error:
        return {"holds": False, "why": error.reason, "fix": error.fix}
    return proved


def _inclusion(visit: Visit, head: TreeHead) -> Mapping[str, Any]:
    seq = visit.number("seq", 0, least=1, most=head.size)
    if not seq:
        raise Malformed(f"there are entries 1 to {head.size}", fix="give one of these numbers")
    leaf = visit.query.get("leaf", "").strip().lower()
    if not leaf and visit.place.role in _REGULATOR:
        leaf = leaf_hash(_text(visit.place, seq)).hex()
    return proved(visit, Entry(seq=seq, leaf=_hash(leaf)), head)


def proved(visit: Visit, entry: Entry, head: TreeHead) -> Mapping[str, Any]:
    """Fetch the audit path of an entry, check it, and draw it.

    Raises:
        Unknown: if there is no such entry. Mismatch: if the path does not lead to the head's root.
    """
    path = visit.place.get("log", "inclusion", seq=entry.seq, leaf=entry.leaf, size=head.size)["path"]
    check_inclusion(entry, head, hashes(path))
    return {
        "holds": True,
        "seq": entry.seq,
        "leaf": entry.leaf,
        "size": head.size,
        "path": path,
        "drawn": drawn(bytes.fromhex(entry.leaf), hashes(path), seq=entry.seq, size=head.size, words=visit.words),
    }


def drawn(leaf: bytes, path: Sequence[bytes], *, seq: int, size: int, words: Words) -> str:
    """Draw an audit path as a tree of text, the root above, each node with the one that it was hashed with beside it."""
    at, last, node = seq - 1, size - 1, leaf
    pairs: list[tuple[bytes, bytes, bool]] = []
    for step in path:
        left = bool(at & 1) or at == last
        pairs.append((step, node, left))
        if left:
            node = node_hash(step, node)
            while not at & 1 and at:
                at, last = at >> 1, last >> 1
        else:
            node = node_hash(node, step)
        at, last = at >> 1, last >> 1
    here, sides = (
        words.say(msg("entry {n} of the log"), n=seq),
        (words.say(msg("to the right")), words.say(msg("to the left"))),
    )
    lines = [f"{_short(node)}  {words.say(msg('root of {n} entries'), n=size)}"]
    for depth, (step, below, left) in enumerate(reversed(pairs)):
        pad = "   " * depth
        beside = f"{_short(step)}  {sides[left]}"
        mine = f"{_short(below)}{f'  {here}' if depth == len(pairs) - 1 else ''}"
        lines += [f"{pad}├─ {beside}", f"{pad}└─ {mine}"]
    return "\n".join(lines)


def _short(node: bytes) -> str:
    return f"{node.hex()[:12]}…"


def _consistency(visit: Visit, head: TreeHead) -> Mapping[str, Any]:
    old = visit.number("old", 0, least=1, most=head.size)
    if not old:
        raise Malformed(f"the log has 1 to {head.size} entries", fix="give the size of a head that you have kept")
    root = _hash(visit.query.get("root", "").strip().lower())
    proof = visit.place.get("log", "consistency", old=old, new=head.size)["proof"]
    seen = TreeHead(size=old, root=root, chain=head.chain if old == head.size else root, at=0)
    check_follows(head, seen, hashes(proof))
    return {"holds": True, "old": old, "root": root, "new": head.size, "proof": proof}


def _hash(text: str) -> str:
    if len(text) != 64 or not all(digit in "0123456789abcdef" for digit in text):
        raise Malformed("a hash has 64 hexadecimal digits", fix="copy it whole")
    return text


def entries(visit: Visit) -> Mapping[str, Any]:
    """Return entries that fit the filters, newest first, from before a place in the log."""
    place = visit.place
    _, head = _head(place.get("log", "head"))
    before = visit.number("before", head.size + 1, least=1, most=head.size + 1)
    asked = {name: visit.query.get(name, "") for name in ("kind", "party", "from", "to")}
    fits = _fitting(asked)
    found: list[dict[str, Any]] = []
    reached = before
    for _ in range(_WINDOWS):
        if reached <= 1 or len(found) >= _ON_A_PAGE:
            break
        start = max(1, reached - _WINDOW)
        found += [row for row in (_row(text) for text in reversed(list(_texts(place, start, reached)))) if fits(row)]
        reached = start
    if len(found) > _ON_A_PAGE:
        found, reached = found[:_ON_A_PAGE], found[_ON_A_PAGE - 1]["seq"]
    return {
        "asked": asked,
        "kinds": KINDS,
        "parties": [one["id"] for one in place.get("parties")["parties"]],
        "entries": found,
        "size": head.size,
        "next": reached if reached > 1 else None,
        "same_as": [
            Same(msg("Command line"), "touchstone audit export URL -o log.bundle --as HOME").to_json(),
            Same("HTTP", f"GET /v1/log/entries?after={max(0, before - 1 - _ON_A_PAGE)}&limit={_ON_A_PAGE}").to_json(),
        ],
    }


def _fitting(asked: Mapping[str, str]) -> Any:
    first, last = _day(asked["from"]), _day(asked["to"])

    def fits(row: Mapping[str, Any]) -> bool:
        return (
            asked["kind"] in ("", row["kind"])
            and (not asked["party"] or asked["party"] in row["parties"])
            and (first is None or row["at"] >= first * 1_000_000)
            and (last is None or row["at"] < (last + 86_400) * 1_000_000)
        )

    return fits


def _day(text: str) -> int | None:
    try:
        return int(datetime.combine(date.fromisoformat(text), datetime.min.time(), UTC).timestamp()) if text else None
    except (ValueError, OverflowError):
        raise Malformed("a day is written like 2026-12-31", fix="choose it from the calendar") from None


def _texts(place: Place, start: int, end: int) -> Iterator[str]:
    """Yield the entries from ``start`` to before ``end``; the exchange gives large ones fewer at a time."""
    while start < end:
        got = place.get("log", "entries", after=start - 1, limit=end - start)["entries"]
        if not got:
            return
        yield from got
        start += len(got)


def _text(place: Place, seq: int) -> bytes:
    got = place.get("log", "entries", after=seq - 1, limit=1)["entries"]
    if not got:
        raise Unknown("entry of the log")
    return str(got[0]).encode()


def _row(text: str) -> dict[str, Any]:
    told = json.loads(text)
    return {
        "seq": told["seq"],
        "at": told["at"],
        "kind": told["kind"],
        "what": KINDS.get(told["kind"], told["kind"]),
        "parties": sorted(set(_parties(told["kind"], told["body"]))),
        "says": _says(told["body"]),
    }


def _parties(kind: str, body: Mapping[str, Any]) -> Iterator[str]:
    named = [body.get("signer"), body.get("party"), body.get("asker"), *(body.get("parties") or ())]
    named += [inner.get("signer") for inner in (body.get("envelope"), body.get("ask")) if isinstance(inner, dict)]
    if kind == "party":
        named.append(body.get("id"))
    yield from (name for name in named if isinstance(name, str))


def _says(body: Mapping[str, Any]) -> str:
    """Return the kind of the signed message in an entry, if one is."""
    inner = body.get("envelope") or body.get("ask") or body
    kind = inner.get("kind") if isinstance(inner, dict) else None
    return kind if isinstance(kind, str) else ""


def entry(visit: Visit) -> Mapping[str, Any]:
    """Return one entry whole, with the proof that it stands in the log."""
    _, head = _head(visit.place.get("log", "head"))
    number = visit.path["seq"]
    if not number.isascii() or not number.isdecimal() or not 1 <= int(number[:18]) <= head.size:
        raise Unknown("entry of the log")
    seq = int(number)
    text = _text(visit.place, seq)
    body = json.loads(text)["body"]
    whole = json.dumps(_opened(body), ensure_ascii=False, indent=2)
    return {
        **_row(text.decode()),
        "body": body,
        "shown": whole if len(whole) <= _SHOWN else f"{whole[:_SHOWN]}\n…",
        "cut": len(whole) > _SHOWN,
        "size": head.size,
        "proof": proved(visit, Entry(seq=seq, leaf=leaf_hash(text).hex()), head),
    }


def _opened(value: Any) -> Any:
    """Show what an envelope says as an object instead of the text that was signed."""
    if isinstance(value, dict):
        opened = {name: _opened(inner) for name, inner in value.items()}
        if {"kind", "signer", "signature"} <= value.keys() and isinstance(value.get("body"), str):
            opened["body"] = _opened(json.loads(value["body"]))
        return opened
    return [_opened(inner) for inner in value] if isinstance(value, list) else value


PAGES = (
    Page("/log", "log.html", msg("Log"), show, group=msg("Oversight")),
    Page(
        "/log/entries", "log-entries.html", msg("Entries of the log"), entries, group=msg("Oversight"), roles=_REGULATOR
    ),
    Page("/log/entries/{seq}", "log-entry.html", msg("Entry of the log"), entry, roles=_REGULATOR),
)
