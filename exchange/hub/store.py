"""All SQL of the exchange: the projection of its journal into DuckDB, and typed reading of it.

The journal is the truth; every table here can be deleted and is rebuilt. Writing happens only in :meth:`Store.write`, in
the book's single writer, where a decision sees everything that was decided before it.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import duckdb

from exchange.book import Book, Projection
from exchange.journal import Entry
from exchange.protocol.envelope import Envelope
from exchange.protocol.session import OVER, Session, Stage
from privacy.policy import Policy
from privacy.terms import Standard

T = TypeVar("T")
Event = tuple[str, Any]
Rows = Callable[[str, Sequence[Any]], list[tuple[Any, ...]]]
"""Runs one SELECT with its parameters and returns its rows."""

_TABLES = [
    "CREATE TABLE party (id VARCHAR PRIMARY KEY, name VARCHAR, role VARCHAR, key VARCHAR)",
    "CREATE TABLE standard (id VARCHAR PRIMARY KEY, digest VARCHAR, document VARCHAR)",
    "CREATE TABLE dataset (asset VARCHAR PRIMARY KEY, owner VARCHAR, standard VARCHAR, title VARCHAR, "
    "population VARCHAR, columns VARCHAR[], refreshed VARCHAR, envelope VARCHAR)",
    "CREATE TABLE policy (asset VARCHAR PRIMARY KEY, version INTEGER, document VARCHAR, envelope VARCHAR)",
    "CREATE TABLE paillier (fingerprint VARCHAR PRIMARY KEY, owner VARCHAR, envelope VARCHAR)",
    "CREATE TABLE witness (party VARCHAR PRIMARY KEY, seq BIGINT, hash VARCHAR)",
    "CREATE TABLE session (id VARCHAR PRIMARY KEY, asker VARCHAR, stage VARCHAR, plan_hash VARCHAR, "
    "key_fingerprint VARCHAR, parties VARCHAR[], expires BIGINT, ask VARCHAR)",
    "CREATE TABLE message (session VARCHAR, kind VARCHAR, party VARCHAR, envelope VARCHAR, "
    "PRIMARY KEY (session, kind, party))",
    "CREATE TABLE product (session VARCHAR PRIMARY KEY, ciphertexts VARCHAR)",
    "CREATE TABLE refusal (seq BIGINT PRIMARY KEY, asker VARCHAR, plan_hash VARCHAR, items VARCHAR)",
    "CREATE TABLE appraisal (id VARCHAR PRIMARY KEY, asset VARCHAR, report VARCHAR, valuer VARCHAR, envelope VARCHAR)",
    "CREATE TABLE offer (id VARCHAR PRIMARY KEY, asset VARCHAR, owner VARCHAR, lender VARCHAR, rank INTEGER, "
    "amount BIGINT, matures VARCHAR, state VARCHAR, envelope VARCHAR, answer VARCHAR)",
    "CREATE TABLE lien (asset VARCHAR, rank INTEGER, holder VARCHAR, offer VARCHAR, since VARCHAR, seq BIGINT, "
    "PRIMARY KEY (asset, rank))",
    "CREATE TABLE officer (owner VARCHAR, party VARCHAR, PRIMARY KEY (owner, party))",
    "CREATE TABLE access (id VARCHAR PRIMARY KEY, seq BIGINT, since VARCHAR, asker VARCHAR, owners VARCHAR[], "
    "closes VARCHAR, envelope VARCHAR)",
    "CREATE TABLE ruling (id VARCHAR PRIMARY KEY, request VARCHAR, owner VARCHAR, seq BIGINT, envelope VARCHAR, "
    "word VARCHAR)",
]


def _party(cursor: duckdb.DuckDBPyConnection, entry: Entry) -> None:
    body = entry.body
    row = [body["id"], body["name"], body["role"], body["key"]]
    cursor.execute("INSERT OR REPLACE INTO party VALUES (?, ?, ?, ?)", row)


def _standard(cursor: duckdb.DuckDBPyConnection, entry: Entry) -> None:
    standard = Standard.from_json(entry.body)
    row = [standard.id, standard.digest, json.dumps(entry.body)]
    cursor.execute("INSERT OR REPLACE INTO standard VALUES (?, ?, ?)", row)


def _dataset(cursor: duckdb.DuckDBPyConnection, entry: Entry) -> None:
    envelope = entry.body
    told = json.loads(envelope["body"])
    row = [
        f"{envelope['signer']}/{told['dataset']}", envelope["signer"], told["standard"], told["title"],
        told["population"], told["columns"], told["refreshed"], json.dumps(envelope),
    ]  # fmt: skip
    cursor.execute("INSERT OR REPLACE INTO dataset VALUES (?, ?, ?, ?, ?, ?, ?, ?)", row)


def _policy(cursor: duckdb.DuckDBPyConnection, entry: Entry) -> None:
    envelope = entry.body
    document = json.loads(envelope["body"])["policy"]
    row = [
        f"{document['owner']}/{document['dataset']}",
        document["version"],
        json.dumps(document),
        json.dumps(envelope),
    ]
    cursor.execute("INSERT OR REPLACE INTO policy VALUES (?, ?, ?, ?)", row)


def _key(cursor: duckdb.DuckDBPyConnection, entry: Entry) -> None:
    body = entry.body
    row = [body["fingerprint"], body["envelope"]["signer"], json.dumps(body["envelope"])]
    cursor.execute("INSERT INTO paillier VALUES (?, ?, ?)", row)


def _witness(cursor: duckdb.DuckDBPyConnection, entry: Entry) -> None:
    body = entry.body
    cursor.execute("INSERT OR REPLACE INTO witness VALUES (?, ?, ?)", [body["party"], body["seq"], body["hash"]])


def _session(cursor: duckdb.DuckDBPyConnection, entry: Entry) -> None:
    body = entry.body
    row = [
        body["id"], body["asker"], Stage.JUDGING.value, body["plan_hash"], body["key_fingerprint"], body["parties"],
        body["expires"], json.dumps(body["ask"]),
    ]  # fmt: skip
    cursor.execute("INSERT INTO session VALUES (?, ?, ?, ?, ?, ?, ?, ?)", row)


def _message(cursor: duckdb.DuckDBPyConnection, entry: Entry) -> None:
    body = entry.body
    envelope = body["envelope"]
    row = [body["session"], envelope["kind"], envelope["signer"], json.dumps(envelope)]
    cursor.execute("INSERT INTO message VALUES (?, ?, ?, ?)", row)
    cursor.execute("UPDATE session SET stage = ? WHERE id = ?", [body["stage"], body["session"]])


def _expired(cursor: duckdb.DuckDBPyConnection, entry: Entry) -> None:
    cursor.execute("UPDATE session SET stage = ? WHERE id = ?", [Stage.EXPIRED.value, entry.body["session"]])


def _folded(cursor: duckdb.DuckDBPyConnection, entry: Entry) -> None:
    row = [entry.body["session"], json.dumps(entry.body["product"])]
    cursor.execute("INSERT INTO product VALUES (?, ?)", row)


def _refusal(cursor: duckdb.DuckDBPyConnection, entry: Entry) -> None:
    row = [entry.seq, entry.body["asker"], entry.body["plan_hash"], json.dumps(entry.body["items"])]
    cursor.execute("INSERT INTO refusal VALUES (?, ?, ?, ?)", row)


def _appraisal(cursor: duckdb.DuckDBPyConnection, entry: Entry) -> None:
    envelope = Envelope.from_json(entry.body)
    told = json.loads(envelope.body)
    row = [envelope.id, told["asset"], told["report"], envelope.signer, json.dumps(entry.body)]
    cursor.execute("INSERT INTO appraisal VALUES (?, ?, ?, ?, ?)", row)


def _offer(cursor: duckdb.DuckDBPyConnection, entry: Entry) -> None:
    envelope = Envelope.from_json(entry.body)
    told = json.loads(envelope.body)
    row = [
        envelope.id, told["asset"], told["asset"].partition("/")[0], envelope.signer, told["rank"], told["amount"],
        told["matures"], "open", json.dumps(entry.body), None,
    ]  # fmt: skip
    cursor.execute("INSERT INTO offer VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", row)


def _lien(cursor: duckdb.DuckDBPyConnection, entry: Entry) -> None:
    """A consent makes the offer a live lien: one primary key per asset and rank says that there is one."""
    consent = entry.body
    offer = json.loads(consent["body"])["offer"]
    cursor.execute("UPDATE offer SET state = 'live', answer = ? WHERE id = ?", [json.dumps(consent), offer])
    cursor.execute(
        "INSERT INTO lien SELECT asset, rank, lender, id, ?, ? FROM offer WHERE id = ?",
        [stamp(entry.at), entry.seq, offer],
    )


def _objected(cursor: duckdb.DuckDBPyConnection, entry: Entry) -> None:
    objection = entry.body
    offer = json.loads(objection["body"])["offer"]
    cursor.execute("UPDATE offer SET state = 'refused', answer = ? WHERE id = ?", [json.dumps(objection), offer])


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
    version=1,
    tables=_TABLES,
    apply={
        "party": _party,
        "standard": _standard,
        "dataset": _dataset,
        "policy": _policy,
        "key": _key,
        "witness": _witness,
        "session": _session,
        "message": _message,
        "expired": _expired,
        "folded": _folded,
        "refusal": _refusal,
        "appraisal": _appraisal,
        "offer": _offer,
        "lien": _lien,
        "objected": _objected,
        "officers": _officers,
        "access": _access,
        "ruling": _ruling,
    },
)


def stamp(at: int) -> str:
    """Write journal time (microseconds since 1970) as ISO 8601 in UTC, to the second."""
    return datetime.fromtimestamp(at // 1_000_000, tz=UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


@dataclass(frozen=True, slots=True)
class Lien:
    """A live pledge: one per asset and rank."""

    asset: str
    rank: int
    holder: str
    offer: str
    since: str


class View:
    """Typed reading: of what was committed, or of what the single writer sees while it decides."""

    def __init__(self, rows: Rows) -> None:
        self.rows = rows

    def directory(self) -> Mapping[str, bytes]:
        """Return the registered Ed25519 keys by party."""
        return {party: bytes.fromhex(key) for party, key in self.rows("SELECT id, key FROM party", [])}

    def parties(self) -> list[dict[str, str]]:
        """Return every registered party."""
        found = self.rows("SELECT id, name, role, key FROM party ORDER BY id", [])
        return [dict(zip(("id", "name", "role", "key"), row, strict=True)) for row in found]

    def role(self, party: str) -> str | None:
        """Return the role of a party, if it is registered."""
        return next((row[0] for row in self.rows("SELECT role FROM party WHERE id = ?", [party])), None)

    def standard(self, name: str) -> Standard | None:
        """Return a published standard by ``name/version``."""
        found = self.rows("SELECT document FROM standard WHERE id = ?", [name])
        return Standard.from_json(json.loads(found[0][0])) if found else None

    def datasets(self) -> list[dict[str, Any]]:
        """Return the metadata of every registered dataset."""
        return self._datasets("TRUE", [])

    def dataset(self, asset: str) -> dict[str, Any] | None:
        """Return the metadata of one dataset."""
        return next(iter(self._datasets("asset = ?", [asset])), None)

    def datasets_of(self, owner: str, standard: str) -> list[dict[str, Any]]:
        """Return the metadata of one owner's datasets under a standard."""
        return self._datasets("owner = ? AND standard = ?", [owner, standard])

    def registration(self, asset: str) -> Envelope | None:
        """Return the envelope that registered a dataset."""
        found = self.rows("SELECT envelope FROM dataset WHERE asset = ?", [asset])
        return Envelope.from_json(json.loads(found[0][0])) if found else None

    def policy(self, asset: str) -> Policy | None:
        """Return the policy in force for one dataset."""
        found = self.rows("SELECT document FROM policy WHERE asset = ?", [asset])
        return Policy.from_json(json.loads(found[0][0])) if found else None

    def policies_for(self, standard: str, party: str) -> list[Policy]:
        """Return the policies of a party's datasets under a standard."""
        found = self.rows(
            "SELECT policy.document FROM policy JOIN dataset USING (asset) WHERE dataset.standard = ? AND owner = ?",
            [standard, party],
        )
        return [Policy.from_json(json.loads(row[0])) for row in found]

    def key(self, fingerprint: str) -> Envelope | None:
        """Return the envelope that registered a Paillier key."""
        found = self.rows("SELECT envelope FROM paillier WHERE fingerprint = ?", [fingerprint])
        return Envelope.from_json(json.loads(found[0][0])) if found else None

    def registered_keys(self) -> list[Envelope]:
        """Return the envelopes of all registered Paillier keys."""
        return [Envelope.from_json(json.loads(row[0])) for row in self.rows("SELECT envelope FROM paillier", [])]

    def witnessed(self, party: str) -> tuple[int, str] | None:
        """Return the latest head of a node's journal that the node has shown: seq and hash."""
        found = self.rows("SELECT seq, hash FROM witness WHERE party = ?", [party])
        return (int(found[0][0]), str(found[0][1])) if found else None

    def session(self, session_id: str) -> tuple[Session, Envelope, int] | None:
        """Return a session with the ask that opened it and its deadline (seconds since 1970)."""
        found = self.rows(
            "SELECT stage, plan_hash, key_fingerprint, parties, expires, ask FROM session WHERE id = ?", [session_id]
        )
        if not found:
            return None
        stage, plan_hash, fingerprint, parties, expires, ask = found[0]
        boxes: dict[str, dict[str, Envelope]] = {"accept": {}, "commit": {}, "share": {}}
        ended_by = None
        for kind, party, text in self.rows(
            "SELECT kind, party, envelope FROM message WHERE session = ? ORDER BY party", [session_id]
        ):
            envelope = Envelope.from_json(json.loads(text))
            if kind in boxes:
                boxes[kind][party] = envelope
            else:
                ended_by = envelope
        session = Session(
            id=session_id,
            plan_hash=plan_hash,
            key_fingerprint=fingerprint,
            parties=tuple(parties),
            stage=Stage(stage),
            accepts=boxes["accept"],
            commits=boxes["commit"],
            shares=boxes["share"],
            ended_by=ended_by,
        )
        return session, Envelope.from_json(json.loads(ask)), expires

    def open_sessions(self, party: str) -> list[str]:
        """Return the ids of a party's sessions that are not over."""
        return self._unfinished("list_contains(parties, ?)", party)

    def late_sessions(self, now: int) -> list[str]:
        """Return the ids of sessions that are not over although their deadline has passed (``now`` in seconds)."""
        return self._unfinished("expires < ?", now)

    def product(self, session_id: str) -> list[str] | None:
        """Return the folded ciphertexts of an answered session (wire form)."""
        found = self.rows("SELECT ciphertexts FROM product WHERE session = ?", [session_id])
        return json.loads(found[0][0]) if found else None

    def appraised(self, appraisal: str, asset: str) -> bool:
        """Whether an appraisal of this id for this asset is on record."""
        return bool(self.rows("SELECT 1 FROM appraisal WHERE id = ? AND asset = ?", [appraisal, asset]))

    def lien(self, asset: str, rank: int) -> Lien | None:
        """Return the live lien of one rank on an asset."""
        return next((lien for lien in self.liens(asset) if lien.rank == rank), None)

    def liens(self, asset: str) -> list[Lien]:
        """Return the live liens on an asset, by rank."""
        found = self.rows("SELECT asset, rank, holder, offer, since FROM lien WHERE asset = ? ORDER BY rank", [asset])
        return [Lien(*row) for row in found]

    def offer(self, offer: str) -> dict[str, Any] | None:
        """Return an offer with its state and envelopes."""
        names = ("id", "asset", "owner", "lender", "rank", "amount", "matures", "state", "envelope", "answer")
        found = self.rows(f"SELECT {', '.join(names)} FROM offer WHERE id = ?", [offer])  # noqa: S608  constant names
        return dict(zip(names, found[0], strict=True)) if found else None

    def open_offers(self, owner: str) -> list[Envelope]:
        """Return the offers that wait for an owner's consent."""
        found = self.rows("SELECT envelope FROM offer WHERE owner = ? AND state = 'open'", [owner])
        return [Envelope.from_json(json.loads(row[0])) for row in found]

    def publications(self, owner: str, standard: str) -> list[Envelope]:
        """Return the envelopes that put the policies of an owner's datasets under a standard in force."""
        found = self.rows(
            "SELECT policy.envelope FROM policy JOIN dataset USING (asset) WHERE owner = ? AND dataset.standard = ? "
            "ORDER BY asset",
            [owner, standard],
        )
        return [Envelope.from_json(json.loads(row[0])) for row in found]

    def officers(self, owner: str) -> frozenset[str]:
        """Return the officers that an institution has named."""
        return frozenset(row[0] for row in self.rows("SELECT party FROM officer WHERE owner = ?", [owner]))

    def owners(self, officer: str) -> frozenset[str]:
        """Return the institutions that have named a registered officer."""
        if self.role(officer) != "officer":
            return frozenset()
        return frozenset(row[0] for row in self.rows("SELECT owner FROM officer WHERE party = ?", [officer]))

    def access(self, request: str) -> dict[str, Any] | None:
        """Return a request for access by its id."""
        return next(iter(self._requests("id = ?", [request], limit=1)), None)

    def access_of(self, caller: str, *, owners: Sequence[str], before: int | None, limit: int) -> list[dict[str, Any]]:
        """Return the requests that a caller sent, or that wait for one of some owners, newest first."""
        condition = "(asker = ? OR list_has_any(owners, ?::VARCHAR[])) AND seq < ?"
        return self._requests(condition, [caller, list(owners), (1 << 62) if before is None else before], limit=limit)

    def open_access(self, asker: str, day: str) -> int:
        """Return how many requests of an asker may still be ruled on, on a day (ISO)."""
        return int(self.rows("SELECT count(*) FROM access WHERE asker = ? AND closes >= ?", [asker, day])[0][0])

    def rulings(self, request: str, owner: str) -> list[tuple[Envelope, Envelope | None]]:
        """Return the rulings of an owner's officers on a request, oldest first, with its node's word where it came."""
        found = self.rows(
            "SELECT envelope, word FROM ruling WHERE request = ? AND owner = ? ORDER BY seq", [request, owner]
        )
        return [(_opened(ruling), None if word is None else _opened(word)) for ruling, word in found]

    def unheard(self, owner: str, limit: int) -> list[tuple[Envelope, Envelope]]:
        """Return requests with the rulings on them that wait for the word of the owner's node, oldest first."""
        found = self.rows(
            "SELECT access.envelope AS asked, ruling.envelope AS ruled FROM ruling JOIN access ON access.id = ruling.request "
            "WHERE ruling.owner = ? AND ruling.word IS NULL ORDER BY ruling.seq LIMIT ?",
            [owner, limit],
        )
        return [(_opened(request), _opened(ruling)) for request, ruling in found]

    def _requests(self, condition: str, values: list[Any], *, limit: int) -> list[dict[str, Any]]:
        names = ("id", "seq", "since", "asker", "owners", "closes", "envelope")
        sql = f"SELECT {', '.join(names)} FROM access WHERE {condition} ORDER BY seq DESC LIMIT ?"  # noqa: S608  constant
        found = [dict(zip(names, row, strict=True)) for row in self.rows(sql, [*values, limit])]
        return [row | {"envelope": json.loads(row["envelope"])} for row in found]

    def _datasets(self, condition: str, values: list[Any]) -> list[dict[str, Any]]:
        names = ("asset", "owner", "standard", "title", "population", "columns", "refreshed")
        sql = f"SELECT {', '.join(names)} FROM dataset WHERE {condition} ORDER BY asset"  # noqa: S608  constant text
        return [dict(zip(names, row, strict=True)) for row in self.rows(sql, values)]

    def _unfinished(self, condition: str, value: Any) -> list[str]:
        over = ", ".join(f"'{stage.value}'" for stage in sorted(OVER))
        sql = f"SELECT id FROM session WHERE stage NOT IN ({over}) AND {condition}"  # noqa: S608  constant text
        return [row[0] for row in self.rows(sql, [value])]


def _opened(text: str) -> Envelope:
    return Envelope.from_json(json.loads(text))


class Store:
    """The exchange's memory."""

    def __init__(self, book: Book) -> None:
        self.book = book

    @classmethod
    def open(cls, home: Path, *, clock: Callable[[], int]) -> "Store":
        """Open or create the exchange's journal and projection under ``home``; ``clock`` gives microseconds since 1970."""
        return cls(Book.open(home, owner="exchange", projection=PROJECTION, clock=clock))

    def write(self, decide: Callable[[View], tuple[list[Event], T]]) -> T:
        """Run a decision in the single writer; its events are durable when this returns."""
        return self.book.write(lambda cursor: decide(View(lambda sql, values: cursor.execute(sql, values).fetchall())))

    def view(self) -> View:
        """Return a reading view of what was committed."""
        return View(lambda sql, values: [tuple(row.values()) for row in self.book.read(sql, values)])

    def close(self) -> None:
        """Finish what is queued and close the files."""
        self.book.close()
