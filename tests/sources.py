"""Raw rows laid where institutions have them, each in its own format, types, names and spellings; and which of them count.

Rows are as :mod:`tests.reference` takes them: whole numbers, texts or ``None``; text in a measure's or date's column is text
that cannot be read. Everything here is a second implementation: nothing of the code under test is used but its types.
"""

import csv
import json
from datetime import date, timedelta
from decimal import Decimal
from hashlib import sha256

import duckdb

from exchange.node import admission, drafting, fingerprint, source
from exchange.node.engine import Location
from exchange.node.prepared import Prepared
from exchange.node.sandbox import _Engine, complaint, opening
from exchange.node.source import Dataset, Field
from exchange.node.worker import Bench
from privacy.terms import Kind

KINDS = ("parquet", "csv", "duckdb")
RUBBISH = ["12abc", " ", "nan", "inf", "-inf", "1e400", "12,5", "中文", "'", '"', "a;b", "\n", "#", "0x10", "None", "2020-13-01", "--"]  # fmt: skip
NAMES = ["Kunde Nr", "select", 'the "product"', "教育", "group", "cust,no", "it's", "余额", "a;b", "order", "rank of row", "told", "held", "filled balance", "person", "balance", "?", "$p0", "%s"]  # fmt: skip


def quoted(name):
    return '"' + name.replace('"', '""') + '"'


def literal(text):
    return "'" + text.replace("'", "''") + "'"


def lay(home, rows, standard, choose, *, kind=None, constant=None, name="rows"):
    """Store raw rows under ``home`` in a way that ``choose`` picks and return the dataset; ``constant`` names a category
    that stands in the mapping alone, with the value that all rows must have."""
    kind = kind or choose.choice(KINDS)
    columns = [column for column in standard.columns if constant is None or column.name != constant[0]]
    local = dict(zip([column.name for column in columns], choose.sample(NAMES, len(columns)), strict=True))
    types = {column.name: _type(column, rows, choose, kind) for column in columns}
    home.mkdir(parents=True, exist_ok=True)
    path = home / f"{name} 账户 region=mars.{kind}"
    spelt = [[_spell(row[column.name], column, types[column.name], choose) for column in columns] for row in rows]
    if kind == "csv":
        with path.open("w", newline="", encoding=choose.choice(["utf-8", "utf-8-sig"])) as file:
            writer = csv.writer(file, delimiter=choose.choice(",;\t|"))
            writer.writerow(local.values())
            writer.writerows([cell or "" for cell in row] for row in spelt)
    else:
        table = ", ".join(f"{quoted(local[column.name])} {types[column.name]}" for column in columns)
        with duckdb.connect(str(path) if kind == "duckdb" else ":memory:") as engine:
            engine.execute(f"CREATE OR REPLACE TABLE \"the 'rows'; --\" ({table}, unused INTEGER)")
            for start in range(0, len(spelt), 100):
                listed = ", ".join(
                    f"({', '.join('NULL' if cell is None else literal(cell) for cell in row)}, 5)"
                    for row in spelt[start : start + 100]
                )
                engine.execute(f"INSERT INTO \"the 'rows'; --\" VALUES {listed}")
            if kind == "parquet":
                engine.execute(f"COPY \"the 'rows'; --\" TO {literal(str(path))} (FORMAT parquet)")
    mapping = {column: Field(source=source) for column, source in local.items()}
    if constant is not None:
        mapping[constant[0]] = Field(constant=constant[1])
    location = Location(kind, str(path), "the 'rows'; --" if kind == "duckdb" else "")
    return Dataset("accounts", "Accounts", standard, "bank-a/people", location, mapping, "2026-10-31")


def _type(column, rows, choose, kind):
    """A type that can hold the column's cells."""
    if kind == "csv" or column.kind in (Kind.IDENTIFIER, Kind.CATEGORY):
        return "VARCHAR"
    readable = not any(isinstance(row[column.name], str) for row in rows)
    if column.kind is Kind.DATE:
        return choose.choice(["VARCHAR", "DATE", "TIMESTAMP", "TIMESTAMPTZ"] if readable else ["VARCHAR"])
    exact = [f"DECIMAL(38, {column.decimals})", *(["BIGINT", "INTEGER", "HUGEINT"] if column.decimals == 0 else [])]
    return choose.choice([*exact, "DOUBLE", "VARCHAR"] if readable else ["DOUBLE", "VARCHAR"])


def _spell(told, column, kind, choose):
    """Spell a raw cell: a text that the engine casts to the column's type, or ``None`` for NULL."""
    if told is None:
        return choose.choice([None, ""]) if kind == "VARCHAR" else None
    if isinstance(told, str):
        if column.kind in (Kind.IDENTIFIER, Kind.CATEGORY):
            return told
        return choose.choice(["nan", "inf", "-inf", "1e300"]) if kind == "DOUBLE" else choose.choice(RUBBISH)
    if column.kind is Kind.DATE:
        day = (date(1970, 1, 1) + timedelta(days=told)).isoformat()
        clock = {"VARCHAR": ["", " 10:30", "T23:59:59.999Z"], "TIMESTAMPTZ": [" 10:30:00+00", " 00:00:00+00"]}
        return day + choose.choice(clock.get(kind, [""]))
    number = str(Decimal(told).scaleb(-column.decimals))
    return choose.choice([number, f" {number} ", f"{told}e-{column.decimals}"]) if kind == "VARCHAR" else number


def counting(rows, standard, *, mapped=None, key):
    """Return the rows that count: of each person, the first ``rows_per_unit`` by a keyed hash of what the row says."""
    people = {}
    for row in rows:
        if row[standard.unit] is not None:
            people.setdefault(row[standard.unit], []).append(row)
    return [
        row
        for mine in people.values()
        for row in sorted(mine, key=lambda row: _order(row, standard, mapped, key))[: standard.rows_per_unit]
    ]


def _order(row, standard, mapped, key):
    person = row[standard.unit]
    parts = [key.hex(), str(len(person)), person]
    for column in sorted(standard.columns, key=lambda column: column.name):
        if column.kind is Kind.IDENTIFIER or (mapped is not None and column.name not in mapped):
            continue
        told = row[column.name]
        if column.kind is Kind.CATEGORY:
            parts += [str(column.domain.index(told) + 1) if told in column.domain else "-", _flag(told is not None)]
            continue
        low, high = column.bounds.lower, column.bounds.upper
        number = told if isinstance(told, int) else None
        parts.append("-" if number is None else str(min(max(number, low), high)))
        parts += [_flag(told is not None), _flag(number is not None and low <= number <= high)]
    return sha256(";".join(parts).encode()).hexdigest()


def _flag(truth):
    return "true" if truth else "false"


# -- engines in this process -----------------------------------------------------------------------------------------


class Here:
    """Engines as the process of a node runs them, in this one: thousands of examples need no thousand processes."""

    alive = True

    def __init__(self):
        self.bench = Bench(memory=1 << 33)

    def open(self, files):
        return _Engine(self, self.ask(opening(files, spill=""), seconds=0)["opened"], seconds=0)

    def ask(self, message, *, seconds):
        answer = json.loads(json.dumps(self.bench.answer(json.loads(json.dumps(message)))))
        if "fault" in answer:
            raise complaint(answer["fault"])
        return answer

    def close(self):
        self.bench.close()


HERE = Here()


class InPlace:
    """No table lies ready."""

    engines = HERE

    def rows(self, dataset, statement):
        return None


def clip(plan, dataset, *, sampling_key, ready=InPlace()):  # noqa: B008
    return source.clip(plan, dataset, sampling_key=sampling_key, ready=ready)


def inspect(location):
    return source.inspect(location, engines=HERE)


def read_through(dataset):
    return source.read_through(dataset, engines=HERE)


def run(location, statement, parameters):
    return source._run(location, statement, parameters, engines=HERE)


def admit(location):
    admission.admit(location, engines=HERE)


def draft(location, standard):
    return drafting.draft(location, standard, engines=HERE)


def compute(dataset, *, key, **options):
    return fingerprint.compute(dataset, key=key, engines=HERE, **options)


def prepared(directory, *, sampling_key):
    return Prepared(directory, sampling_key=sampling_key, engines=Here())
