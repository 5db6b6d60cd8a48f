"""The tables of a node's catalogue, each made from the entries of its journal."""

import json

import duckdb

from exchange.journal import Entry
from exchange.node import cases, custody, pins, reserves
from exchange.node.source import Dataset
from exchange.projection import Projection
from privacy import canonical

_TABLES = [
    *pins.TABLES,
    "CREATE TABLE paillier (fingerprint VARCHAR PRIMARY KEY, envelope VARCHAR)",
    "CREATE TABLE dataset (standard VARCHAR PRIMARY KEY, name VARCHAR, version VARCHAR, document VARCHAR)",
    "CREATE TABLE policy (dataset VARCHAR PRIMARY KEY, version INTEGER, document VARCHAR)",
    "CREATE TABLE part (session VARCHAR PRIMARY KEY, stage VARCHAR, plan_hash VARCHAR, asker VARCHAR, ask VARCHAR, "
    "accept VARCHAR, roster VARCHAR, reply VARCHAR)",
    "CREATE TABLE charge (answer VARCHAR PRIMARY KEY, session VARCHAR, population VARCHAR, partner VARCHAR, "
    "purpose VARCHAR, plan_hash VARCHAR, nano BIGINT, seq BIGINT, reserve VARCHAR)",
    "CREATE TABLE noised (answer VARCHAR PRIMARY KEY, cells VARCHAR)",
    "CREATE TABLE consent (offer VARCHAR PRIMARY KEY, reply VARCHAR)",
    "CREATE TABLE withdrawn (dataset VARCHAR PRIMARY KEY, because VARCHAR, seq BIGINT)",
    *cases.TABLES,
    *custody.TABLES,
    *reserves.TABLES,
]


def _key(cursor: duckdb.DuckDBPyConnection, entry: Entry) -> None:
    row = [entry.body["fingerprint"], json.dumps(entry.body["envelope"])]
    cursor.execute("INSERT INTO paillier VALUES (?, ?)", row)


def _dataset(cursor: duckdb.DuckDBPyConnection, entry: Entry) -> None:
    dataset = Dataset.from_json(entry.body)
    row = [dataset.standard.id, dataset.name, canonical.digest(entry.body), json.dumps(entry.body)]
    cursor.execute("INSERT OR REPLACE INTO dataset VALUES (?, ?, ?, ?)", row)


def _policy(cursor: duckdb.DuckDBPyConnection, entry: Entry) -> None:
    row = [entry.body["dataset"], entry.body["version"], json.dumps(entry.body)]
    cursor.execute("INSERT OR REPLACE INTO policy VALUES (?, ?, ?)", row)


def _judged(cursor: duckdb.DuckDBPyConnection, entry: Entry) -> None:
    body = entry.body
    row = [body["session"], body["stage"], body["plan_hash"], body["asker"], json.dumps(body["ask"])]
    row += [json.dumps(body["reply"]), None, json.dumps(body["reply"])]
    cursor.execute("INSERT INTO part VALUES (?, ?, ?, ?, ?, ?, ?, ?)", row)


def _moved(cursor: duckdb.DuckDBPyConnection, entry: Entry) -> None:
    body = entry.body
    cursor.execute(
        "UPDATE part SET stage = ?, roster = coalesce(?, roster), reply = ? WHERE session = ?",
        [body["stage"], body["roster"], json.dumps(body["reply"]) if body["reply"] else None, body["session"]],
    )


def _charged(cursor: duckdb.DuckDBPyConnection, entry: Entry) -> None:
    names = ("answer", "session", "population", "partner", "purpose", "plan_hash", "nano")
    row = [*(entry.body[name] for name in names), entry.seq, entry.body.get("reserve")]
    cursor.execute("INSERT INTO charge VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", row)


def _noised(cursor: duckdb.DuckDBPyConnection, entry: Entry) -> None:
    cursor.execute("INSERT INTO noised VALUES (?, ?)", [entry.body["answer"], json.dumps(entry.body["cells"])])


def _consented(cursor: duckdb.DuckDBPyConnection, entry: Entry) -> None:
    cursor.execute("INSERT INTO consent VALUES (?, ?)", [entry.body["offer"], json.dumps(entry.body["reply"])])


def _withdrawn(cursor: duckdb.DuckDBPyConnection, entry: Entry) -> None:
    row = [entry.body["dataset"], entry.body["because"], entry.seq]
    cursor.execute("INSERT INTO withdrawn VALUES (?, ?, ?)", row)


PROJECTION = Projection(
    version=4,
    tables=_TABLES,
    apply={
        "key": _key,
        "dataset": _dataset,
        "policy": _policy,
        "judged": _judged,
        "moved": _moved,
        "charged": _charged,
        "noised": _noised,
        "consented": _consented,
        "withdrawn": _withdrawn,
        **pins.APPLY,
        **cases.APPLY,
        **custody.APPLY,
        **reserves.APPLY,
    },
)
