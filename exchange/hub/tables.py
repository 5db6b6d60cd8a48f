"""The exchange's tables: how each kind of entry of its journal becomes rows of the DuckDB catalogue.

The journal is the truth; every table here can be deleted and is rebuilt.
"""

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import duckdb

from exchange.hub import marks, traces
from exchange.journal import Entry
from exchange.projection import Projection, Rows
from exchange.protocol.agreement import Acceptance, Notice, Realisation, Release, Renewal, StepIn
from exchange.protocol.envelope import Envelope
from exchange.protocol.pledge import State
from exchange.protocol.session import Stage
from privacy.terms import Standard

_HEARD_IN = {"accept": Stage.JUDGING, "commit": Stage.COMMITTING, "share": Stage.ANSWERING}
"""The stage in which each message is heard; until the last of its kind, the session stays there."""

_TABLES = [
    "CREATE TABLE party (id VARCHAR PRIMARY KEY, name VARCHAR, role VARCHAR, key VARCHAR, seq BIGINT, revoked VARCHAR)",
    "CREATE TABLE held (key VARCHAR PRIMARY KEY, party VARCHAR, since BIGINT, until BIGINT, revoked BOOLEAN)",
    "CREATE TABLE invite (key VARCHAR PRIMARY KEY, party VARCHAR, name VARCHAR, role VARCHAR, expires BIGINT, seq BIGINT)",
    "CREATE TABLE rotation (seq BIGINT PRIMARY KEY, party VARCHAR, envelope VARCHAR)",
    "CREATE TABLE standard (id VARCHAR PRIMARY KEY, digest VARCHAR, document VARCHAR)",
    "CREATE TABLE dataset (asset VARCHAR PRIMARY KEY, id VARCHAR, owner VARCHAR, standard VARCHAR, title VARCHAR, "
    "population VARCHAR, columns VARCHAR, refreshed VARCHAR, level INTEGER, declared VARCHAR, seq BIGINT, since VARCHAR)",
    "CREATE TABLE version (asset VARCHAR, seq BIGINT PRIMARY KEY, since VARCHAR, id VARCHAR, envelope VARCHAR)",
    "CREATE TABLE standing (asset VARCHAR PRIMARY KEY, state VARCHAR, because VARCHAR, successor VARCHAR, id VARCHAR, "
    "envelope VARCHAR, seq BIGINT, since VARCHAR)",
    "CREATE TABLE policy (asset VARCHAR PRIMARY KEY, version INTEGER, document VARCHAR, envelope VARCHAR)",
    "CREATE TABLE paillier (fingerprint VARCHAR PRIMARY KEY, owner VARCHAR, envelope VARCHAR)",
    "CREATE TABLE witness (party VARCHAR PRIMARY KEY, seq BIGINT, hash VARCHAR)",
    "CREATE TABLE session (id VARCHAR PRIMARY KEY, asker VARCHAR, stage VARCHAR, plan_hash VARCHAR, "
    "key_fingerprint VARCHAR, parties VARCHAR[], expires BIGINT, ask VARCHAR)",
    "CREATE TABLE message (session VARCHAR, kind VARCHAR, party VARCHAR, envelope VARCHAR, "
    "PRIMARY KEY (session, kind, party))",
    "CREATE TABLE product (session VARCHAR PRIMARY KEY, ciphertexts VARCHAR)",
    "CREATE TABLE refusal (seq BIGINT PRIMARY KEY, asker VARCHAR, plan_hash VARCHAR, items VARCHAR, standard VARCHAR, "
    "purpose VARCHAR)",
    "CREATE TABLE appraisal (id VARCHAR PRIMARY KEY, asset VARCHAR, report VARCHAR, valuer VARCHAR, envelope VARCHAR)",
    "CREATE TABLE offer (id VARCHAR PRIMARY KEY, asset VARCHAR, owner VARCHAR, lender VARCHAR, rank INTEGER, "
    "amount BIGINT, matures VARCHAR, state VARCHAR, until VARCHAR, awaits VARCHAR, envelope VARCHAR, seq BIGINT)",
    "CREATE TABLE step (offer VARCHAR, id VARCHAR, seq BIGINT, since VARCHAR, envelope VARCHAR, paid VARCHAR, "
    "PRIMARY KEY (offer, id))",
    "CREATE TABLE lien (asset VARCHAR, rank INTEGER, holder VARCHAR, offer VARCHAR, since VARCHAR, seq BIGINT, "
    "expires VARCHAR, PRIMARY KEY (asset, rank))",
    "CREATE TABLE entitlement (asset VARCHAR PRIMARY KEY, operator VARCHAR, offer VARCHAR, since VARCHAR)",
    "CREATE TABLE officer (owner VARCHAR, party VARCHAR, PRIMARY KEY (owner, party))",
    "CREATE TABLE access (id VARCHAR PRIMARY KEY, seq BIGINT, since VARCHAR, asker VARCHAR, owners VARCHAR[], "
    "closes VARCHAR, envelope VARCHAR)",
    "CREATE TABLE ruling (id VARCHAR PRIMARY KEY, request VARCHAR, owner VARCHAR, seq BIGINT, envelope VARCHAR, "
    "word VARCHAR)",
    "CREATE TABLE drawn (id VARCHAR PRIMARY KEY, pledge VARCHAR, charged BIGINT, seq BIGINT)",
    traces.TABLE,
    *marks.TABLES,
]


def stamp(at: int) -> str:
    """Write journal time (microseconds since 1970) as ISO 8601 in UTC, to the second."""
    return datetime.fromtimestamp(at // 1_000_000, tz=UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _party(entry: Entry) -> list[Any]:
    return [*(entry.body[name] for name in ("id", "name", "role", "key")), entry.seq, None]


def _held(entry: Entry) -> list[Any]:
    return [entry.body["key"], entry.body["id"], entry.seq, None, False]


def _invited(entry: Entry) -> list[Any]:
    return [*(entry.body[name] for name in ("key", "party", "name", "role", "expires")), entry.seq]


def _rotated(cursor: duckdb.DuckDBPyConnection, entry: Entry) -> None:
    """A party's key is another one from here on; what the old one signed before stays its word."""
    party, told = entry.body["signer"], json.loads(entry.body["body"])
    cursor.execute("UPDATE held SET until = ? WHERE key = ?", [entry.seq, told["old"]])
    cursor.execute("INSERT INTO held VALUES (?, ?, ?, NULL, FALSE)", [told["key"], party, entry.seq])
    cursor.execute("UPDATE party SET key = ? WHERE id = ?", [told["key"], party])
    cursor.execute("INSERT INTO rotation VALUES (?, ?, ?)", [entry.seq, party, json.dumps(entry.body)])


def _revoked(cursor: duckdb.DuckDBPyConnection, entry: Entry) -> None:
    """A key is taken away: its party has none until it is enrolled anew."""
    body = entry.body
    cursor.execute("UPDATE held SET until = ?, revoked = TRUE WHERE key = ?", [entry.seq, body["key"]])
    cursor.execute("UPDATE party SET revoked = ? WHERE id = ?", [stamp(entry.at), body["party"]])


def _standard(entry: Entry) -> list[Any]:
    standard = Standard.from_json(entry.body)
    return [standard.id, standard.digest, json.dumps(entry.body)]


def _signed(entry: Entry) -> tuple[str, dict[str, Any]]:
    """Return id and message of an entry's envelope, which was checked before it was written."""
    body = entry.body
    return Envelope(body["kind"], body["signer"], body["body"].encode(), b"").id, json.loads(body["body"])


def _dataset(entry: Entry) -> list[Any]:
    id_, told = _signed(entry)
    owner = entry.body["signer"]
    declared = told.get("declared") or {}  # releases before the declaration did not write one
    return [
        f"{owner}/{told['dataset']}", id_, owner, told["standard"], told["title"],
        told["population"], json.dumps(told["columns"]), told["refreshed"], declared.get("level"), json.dumps(declared),
        entry.seq, stamp(entry.at),
    ]  # fmt: skip


def _version(entry: Entry) -> list[Any]:
    id_, told = _signed(entry)
    asset = f"{entry.body['signer']}/{told['dataset']}"
    return [asset, entry.seq, stamp(entry.at), id_, json.dumps(entry.body)]


def _standing(entry: Entry) -> list[Any]:
    id_, told = _signed(entry)
    return [
        f"{entry.body['signer']}/{told['dataset']}", entry.kind, told["because"], told.get("successor"), id_,
        json.dumps(entry.body), entry.seq, stamp(entry.at),
    ]  # fmt: skip


def _policy(entry: Entry) -> list[Any]:
    document = json.loads(entry.body["body"])["policy"]
    asset = f"{document['owner']}/{document['dataset']}"
    return [asset, document["version"], json.dumps(document), json.dumps(entry.body)]


def _key(entry: Entry) -> list[Any]:
    body = entry.body
    return [body["fingerprint"], body["envelope"]["signer"], json.dumps(body["envelope"])]


def _witness(entry: Entry) -> list[Any]:
    return [entry.body[name] for name in ("party", "seq", "hash")]


def _session(entry: Entry) -> list[Any]:
    body = entry.body
    return [
        body["id"], body["asker"], Stage.JUDGING.value, body["plan_hash"], body["key_fingerprint"], body["parties"],
        body["expires"], json.dumps(body["ask"]),
    ]  # fmt: skip


def _message(entry: Entry) -> list[Any]:
    envelope = entry.body["envelope"]
    return [entry.body["session"], envelope["kind"], envelope["signer"], json.dumps(envelope)]


def _moved(cursor: duckdb.DuckDBPyConnection, entries: Sequence[Entry]) -> None:
    """The last message of its kind moves its session on; of many, the last one tells the stage. Reserves are drawn from."""
    for entry in entries:
        envelope = entry.body["envelope"]
        # the text is looked at before it is read: few answers are paid for by a reserve
        if envelope["kind"] == "share" and '"reserve":' in envelope["body"]:
            told = json.loads(envelope["body"])
            row = [f"{told['session']}/{envelope['signer']}", told["reserve"], told["charged"], entry.seq]
            cursor.execute("INSERT INTO drawn VALUES (?, ?, ?, ?)", row)
    stages = {
        entry.body["session"]: entry.body["stage"]
        for entry in entries
        if Stage(entry.body["stage"]) is not _HEARD_IN.get(entry.body["envelope"]["kind"])
    }
    if not stages:
        return
    if len(stages) == 1:
        cursor.execute("UPDATE session SET stage = ? WHERE id = ?", [*stages.values(), *stages])
        return
    cursor.execute(
        "UPDATE session SET stage = told.stage FROM (SELECT unnest(?::VARCHAR[]) AS id, unnest(?::VARCHAR[]) AS stage) "
        "told WHERE session.id = told.id",
        [list(stages), list(stages.values())],
    )


def _expired(cursor: duckdb.DuckDBPyConnection, entry: Entry) -> None:
    cursor.execute("UPDATE session SET stage = ? WHERE id = ?", [Stage.EXPIRED.value, entry.body["session"]])


def _folded(entry: Entry) -> list[Any]:
    return [entry.body["session"], json.dumps(entry.body["product"])]


def _refusal(entry: Entry) -> list[Any]:
    body = entry.body  # releases before told neither standard nor purpose
    told = [body["asker"], body["plan_hash"], json.dumps(body["items"]), body.get("standard"), body.get("purpose")]
    return [entry.seq, *told]


def _appraisal(entry: Entry) -> list[Any]:
    envelope = Envelope.from_json(entry.body)
    told = json.loads(envelope.body)
    return [envelope.id, told["asset"], told["report"], envelope.signer, json.dumps(entry.body)]


def _offer(entry: Entry) -> list[Any]:
    envelope = Envelope.from_json(entry.body)
    told = json.loads(envelope.body)
    return [
        envelope.id, told["asset"], told["asset"].partition("/")[0], envelope.signer, told["rank"], told["amount"],
        told["matures"], State.QUOTED.value, told["matures"], None, json.dumps(entry.body), entry.seq,
    ]  # fmt: skip


def _stepped(cursor: duckdb.DuckDBPyConnection, entry: Entry, envelope: Any, paid: Any = None) -> tuple[str, Any]:
    """Keep a step of a pledge, and return the pledge's id and the step's message."""
    told = json.loads(envelope["body"])
    offer = entry.body.get("offer", told["offer"])
    id_ = Envelope(envelope["kind"], envelope["signer"], envelope["body"].encode(), b"").id
    row = [offer, id_, entry.seq, stamp(entry.at), json.dumps(envelope), None if paid is None else json.dumps(paid)]
    cursor.execute("INSERT INTO step VALUES (?, ?, ?, ?, ?, ?)", row)
    return offer, told


def _lien(cursor: duckdb.DuckDBPyConnection, entry: Entry) -> None:
    """A filing makes the pledge a live lien: one primary key per asset and rank says that there is one."""
    offer, told = _stepped(cursor, entry, entry.body)
    cursor.execute(
        "UPDATE offer SET state = ?, until = ? WHERE id = ?", [State.REGISTERED.value, told["expires"], offer]
    )
    cursor.execute(
        "INSERT INTO lien SELECT asset, rank, lender, id, ?, ?, until FROM offer WHERE id = ?",
        [stamp(entry.at), entry.seq, offer],
    )


def _objected(cursor: duckdb.DuckDBPyConnection, entry: Entry) -> None:
    offer, _ = _stepped(cursor, entry, entry.body)
    cursor.execute("UPDATE offer SET state = ?, awaits = NULL WHERE id = ?", [State.REFUSED.value, offer])


def _pledge(cursor: duckdb.DuckDBPyConnection, entry: Entry) -> None:
    """Any other step of a pledge: where it stands since, and what that means for the register and who has the entitlements."""
    envelope, stage = entry.body["envelope"], entry.body["stage"]
    offer, told = _stepped(cursor, entry, envelope, entry.body.get("paid"))
    cursor.execute("UPDATE offer SET state = ?, awaits = ? WHERE id = ?", [stage, entry.body.get("awaits"), offer])
    match envelope["kind"]:
        case Acceptance.kind:
            cursor.execute("UPDATE offer SET lender = ? WHERE id = ?", [envelope["signer"], offer])
            cursor.execute("UPDATE lien SET holder = ? WHERE offer = ?", [envelope["signer"], offer])
        case Renewal.kind:
            cursor.execute("UPDATE offer SET until = ? WHERE id = ?", [told["expires"], offer])
            cursor.execute("UPDATE lien SET expires = ? WHERE offer = ?", [told["expires"], offer])
        case Notice.kind if stage == State.CURED:
            cursor.execute("DELETE FROM entitlement WHERE offer = ?", [offer])
        case StepIn.kind:
            cursor.execute(
                "INSERT OR REPLACE INTO entitlement SELECT asset, ?, id, ? FROM offer WHERE id = ?",
                [told["operator"], stamp(entry.at), offer],
            )
        case Realisation.kind:
            cursor.execute("DELETE FROM lien WHERE offer = ?", [offer])
            cursor.execute("UPDATE entitlement SET operator = ? WHERE offer = ?", [told["successor"], offer])
            # what the owner has again is recorded of nobody else
            cursor.execute("DELETE FROM entitlement WHERE offer = ? AND operator = split_part(asset, '/', 1)", [offer])
        case Release.kind:
            _end(cursor, offer)
        case _:
            pass


def _lapsed(cursor: duckdb.DuckDBPyConnection, entry: Entry) -> None:
    offer = entry.body["offer"]
    cursor.execute("UPDATE offer SET state = ?, awaits = NULL WHERE id = ?", [State.EXPIRED.value, offer])
    row = [offer, "lapsed", entry.seq, stamp(entry.at), None, None]
    cursor.execute("INSERT INTO step VALUES (?, ?, ?, ?, ?, ?)", row)
    _end(cursor, offer)


def _end(cursor: duckdb.DuckDBPyConnection, offer: str) -> None:
    """A lien that ends frees its rank, and what its lender had stepped into goes back to the owner."""
    cursor.execute("DELETE FROM lien WHERE offer = ?", [offer])
    cursor.execute("DELETE FROM entitlement WHERE offer = ?", [offer])


def _officers(cursor: duckdb.DuckDBPyConnection, entry: Entry) -> None:
    owner = entry.body["signer"]
    cursor.execute("DELETE FROM officer WHERE owner = ?", [owner])
    for officer in sorted(set(json.loads(entry.body["body"])["officers"])):
        cursor.execute("INSERT INTO officer VALUES (?, ?)", [owner, officer])


def _access(cursor: duckdb.DuckDBPyConnection, entry: Entry) -> None:
    body = entry.body
    envelope = Envelope.from_json(body["envelope"])
    row = [
        envelope.id, entry.seq, stamp(entry.at), envelope.signer, body["owners"], body["closes"],
        json.dumps(body["envelope"]),
    ]  # fmt: skip
    cursor.execute("INSERT INTO access VALUES (?, ?, ?, ?, ?, ?, ?)", row)


def _ruling(cursor: duckdb.DuckDBPyConnection, entry: Entry) -> None:
    """An officer's ruling, or the word of its institution's node on it."""
    body = entry.body
    envelope = Envelope.from_json(body["envelope"])
    text = json.dumps(body["envelope"])
    if envelope.kind == "ruling":
        row = [envelope.id, body["request"], body["owner"], entry.seq, text, None]
        cursor.execute("INSERT INTO ruling VALUES (?, ?, ?, ?, ?, ?)", row)
    else:
        cursor.execute("UPDATE ruling SET word = ? WHERE id = ?", [text, json.loads(envelope.body)["ruling"]])


PROJECTION = Projection(
    version=6,
    tables=_TABLES,
    apply={
        "party": Rows("party", _party, beside=(Rows("held", _held, replace=False),)),
        "invited": Rows("invite", _invited),
        "rotated": _rotated,
        "revoked": _revoked,
        "standard": Rows("standard", _standard),
        "dataset": Rows("dataset", _dataset, beside=(Rows("version", _version, replace=False),)),
        "deprecated": Rows("standing", _standing),
        "withdrawn": Rows("standing", _standing),
        "policy": Rows("policy", _policy),
        "key": Rows("paillier", _key, replace=False),
        "witness": Rows("witness", _witness),
        "session": Rows("session", _session, replace=False, beside=(traces.OPENED,)),
        "message": Rows("message", _message, replace=False, then=_moved, beside=(traces.HEARD,)),
        "expired": _expired,
        "folded": Rows("product", _folded, replace=False, beside=(traces.FOLDED,)),
        "refusal": Rows("refusal", _refusal, replace=False),
        "appraisal": Rows("appraisal", _appraisal, replace=False),
        "offer": Rows("offer", _offer, replace=False),
        "lien": _lien,
        "objected": _objected,
        "pledge": _pledge,
        "lapsed": _lapsed,
        "officers": _officers,
        "access": _access,
        "ruling": _ruling,
        **marks.APPLY,
    },
)
