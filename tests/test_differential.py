"""With the noise taken away, a joint answer is what plain SQL says over all tables laid together.

The noise-free path exists here and nowhere else: cells are called noised without noise. The truth does not come from the
code under test: rows are generated with the meaning that each cell is documented to have, every institution stores them
in its own format, types and names, and a printer of this file writes the SQL over the meanings.
"""

import csv
import random
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from itertools import product

import duckdb
import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from exchange.analyst.figures import rows as answer_rows
from exchange.analyst.query import parse, spell
from exchange.node.source import Dataset, Field, Location, clip
from exchange.standards import shipped
from privacy.masks import Context, Peer, mask
from privacy.noise import Noised
from privacy.packing import layout_of, pack, unpack
from privacy.release import Release
from privacy.seal import Sealed, fold, seal
from privacy.terms import Kind
from privacy.unseal import SecretKey

CREDIT = shipped("consumer_credit/1")
PARTIES = ("bank-a", "bank-b", "bank-c")
CATEGORIES = [column for column in CREDIT.columns if column.kind is Kind.CATEGORY]
MEASURES = [column for column in CREDIT.columns if column.kind is Kind.MEASURE]
NAMES = [column.name for column in CREDIT.columns]
PLANS = 200


# -- the tables ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Cell:
    """What an institution stores (as SQL and as CSV text) and what it means."""

    sql: str
    text: str
    meaning: str | Decimal | None


def word(value):
    return Cell("'" + value.replace("'", "''") + "'", value, value or None)


def number(value):
    return Cell(f"{value}", f"{value}", Decimal(value))


NULL = Cell("NULL", "", None)
RUBBISH = ["12abc", "", "nan", "inf", "-inf", "1e400", "12,5", "中文", "'", '"', "a;b", "\n", "#", "0x10"]
PEOPLE = ["张三", "007", "7", " 7", "o'brien", 'say "x"', "Ω", "a,b", "ﬁ", "P1", "p1", "\t", "-- x"]


def person(choose, index):
    return word(PEOPLE[index]) if index < len(PEOPLE) else word(f"p{choose.choice('ab')}{index:04d}")


def category(choose, column):
    odd = ["mars", "", f" {column.domain[0]}", column.domain[0].upper() + "!", "2020-01-01", "中文", "it's", "NULL"]
    if choose.random() < 0.12:
        return choose.choice([NULL, word(choose.choice(odd))])
    return word(choose.choice(column.domain))


def amount(choose, column):
    low, high = (Decimal(end).scaleb(-column.decimals) for end in (column.bounds.lower, column.bounds.upper))
    places = Decimal(1).scaleb(-column.decimals)
    edges = [low, high, low - places, high + places, -high, high * 1000, Decimal(0), Decimal(1), low + places]
    if choose.random() < 0.15:
        return choose.choice(edges).quantize(places)
    # mostly small figures, so that filters cut through the middle of the data
    return Decimal(choose.randint(0, 3_000)).scaleb(-column.decimals if choose.random() < 0.5 else 0).quantize(places)


def people_and_rows(choose, *, persons, rows_per_unit):
    """Yield a row (column to cell) at a time: at most ``rows_per_unit`` a person, some of them the same row again."""
    for index in range(persons):
        who = person(choose, index)
        for _ in range(choose.randint(1, rows_per_unit)):
            again = choose.random() < 0.1
            row = {"person": who}
            for column in CATEGORIES:
                row[column.name] = category(choose, column)
            for column in MEASURES:
                row[column.name] = NULL if choose.random() < 0.08 else number(amount(choose, column))
            yield row
            if again and rows_per_unit > 1 and index % 2:
                yield row
                break
    for _ in range(20):
        row = {column.name: category(choose, column) for column in CATEGORIES}
        yield {"person": NULL, **row, **{column.name: number(amount(choose, column)) for column in MEASURES}}


def bounded(rows, limit):
    seen = {}
    for row in rows:
        who = row["person"].meaning
        seen[who] = seen.get(who, 0) + 1
        if who is None or seen[who] <= limit:
            yield row


def spoilt(choose, row, types):
    """Write rubbish where the type of the column lets it stand; it means nothing."""
    broken = dict(row)
    for name, kind in types.items():
        if choose.random() < 0.1 and kind in {"VARCHAR", "DOUBLE"}:
            value = choose.choice(RUBBISH if kind == "VARCHAR" else ["nan", "inf", "-inf", "1e300"])
            sql = word(value).sql if kind == "VARCHAR" else f"'{value}'::DOUBLE"
            broken[name] = Cell(sql, value, None)
    return broken


LOCAL = {
    "bank-a": {
        "person": "Kunde Nr",
        "region": "select",
        "product": 'the "product"',
        "education": "教育",
        "month": "group",
    },
    "bank-b": {"person": "cust,no", "region": "product", "product": "region", "balance": "it's", "income": "余额"},
    "bank-c": {
        "person": "balance",
        "balance": "person",
        "region": "a;b",
        "month": "order",
        "credit_limit": "rank of row",
    },
}
TYPES = {
    "bank-a": {"balance": "DECIMAL(18, 2)", "credit_limit": "DOUBLE", "months_overdue": "BIGINT", "income": "VARCHAR"},
    "bank-b": dict.fromkeys(("balance", "credit_limit", "months_overdue", "income"), "VARCHAR"),
    "bank-c": {"balance": "VARCHAR", "credit_limit": "DECIMAL(38, 4)", "months_overdue": "VARCHAR", "income": "DOUBLE"},
}


def quoted(name):
    return '"' + name.replace('"', '""') + '"'


def stored(party, name, cell):
    text = cell is not NULL and TYPES[party].get(name, "VARCHAR") == "VARCHAR"
    return word(cell.text).sql if text else cell.sql


def lay_out(home, party, rows):
    """Store the rows in the party's own way and return the dataset."""
    local = {name: LOCAL[party].get(name, name) for name in rows[0]}
    location = {
        "bank-a": Location("parquet", str(home / "it's 账户" / "region=mars" / "a.parquet")),
        "bank-b": Location("csv", str(home / "b.csv")),
        "bank-c": Location("duckdb", str(home / "c x.duckdb"), 'the "table"; --'),
    }[party]
    if party == "bank-b":
        with (home / "b.csv").open("w", newline="", encoding="utf-8-sig") as file:
            writer = csv.writer(file)
            writer.writerow(local.values())
            writer.writerows([cell.text for cell in row.values()] for row in rows)
    else:
        columns = ", ".join(f"{quoted(local[name])} {TYPES[party].get(name, 'VARCHAR')}" for name in rows[0])
        values = ", ".join("(" + ", ".join(stored(party, *item) for item in row.items()) + ")" for row in rows)
        (home / "it's 账户" / "region=mars").mkdir(parents=True, exist_ok=True)
        with duckdb.connect(location.path if party == "bank-c" else ":memory:") as engine:
            name = quoted(location.table or "rows")
            engine.execute(f"CREATE TABLE {name} ({columns}, unused INTEGER)")
            engine.execute(f"INSERT INTO {name} SELECT *, 5 FROM (VALUES {values})")
            if party == "bank-a":
                engine.execute("COPY rows TO '" + location.path.replace("'", "''") + "' (FORMAT parquet)")
    mapping = {name: Field(source=local[name]) for name in rows[0]}
    mapping |= {name: Field(constant="school") for name in NAMES if name not in rows[0]}
    return Dataset("accounts", "Accounts", CREDIT, f"{party}/people", location, mapping, "2026-10-31")


@dataclass(frozen=True)
class Town:
    """Three datasets where they lie, and one engine with what all their rows mean."""

    datasets: dict
    truth: duckdb.DuckDBPyConnection


@pytest.fixture(scope="module")
def town(tmp_path_factory):
    home = tmp_path_factory.mktemp("town")
    choose = random.Random(20_261_122)
    datasets = {}
    meanings = []
    for party in PARTIES:
        rows = list(bounded(people_and_rows(choose, persons=220, rows_per_unit=6), CREDIT.rows_per_unit))
        rows = [spoilt(choose, row, TYPES[party]) for row in rows]
        meanings += [(party, *(row[name].meaning for name in NAMES)) for row in rows]
        if party == "bank-b":
            rows = [{name: cell for name, cell in row.items() if name != "education"} for row in rows]
            meanings[-len(rows) :] = [
                (*meaning[: 1 + NAMES.index("education")], "school", *meaning[2 + NAMES.index("education") :])
                for meaning in meanings[-len(rows) :]
            ]
        choose.shuffle(rows)
        datasets[party] = lay_out(home, party, rows)
    truth = duckdb.connect()
    kinds = {column.name: f"DECIMAL(30, {column.decimals})" for column in MEASURES}
    columns = ", ".join(f"{name} {kinds.get(name, 'VARCHAR')}" for name in NAMES)
    truth.execute(f"CREATE TABLE joint (party VARCHAR, {columns})")
    for start in range(0, len(meanings), 200):
        chunk = meanings[start : start + 200]
        marks = ", ".join(f"({', '.join('?' for _ in chunk[0])})" for _ in chunk)
        truth.execute(f"INSERT INTO joint VALUES {marks}", [value for meaning in chunk for value in meaning])
    yield Town(datasets, truth)
    truth.close()


# -- the questions ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Asked:
    """A question in parts, from which both printers write their own SQL."""

    groups: tuple[str, ...]
    tests: tuple[str, ...]
    terms: tuple[tuple[str, str], ...]

    def statement(self):
        terms = [*self.groups, *(f"{what}({name})" for what, name in self.terms)]
        text = f"SELECT {', '.join(terms)} FROM consumer_credit"
        text += f" WHERE {' AND '.join(self.tests)}" if self.tests else ""
        return text + (f" GROUP BY {', '.join(self.groups)}" if self.groups else "")

    def plain(self):
        """SQL over the meanings; the comparisons are the analyst's own, engine and standard say the same thing here."""
        shown = [*self.groups]
        for what, name in self.terms:
            column = next((c for c in MEASURES if c.name == name), None)
            within = ""
            if column is not None:
                low, high = (
                    Decimal(end).scaleb(-column.decimals) for end in (column.bounds.lower, column.bounds.upper)
                )
                within = f"CASE WHEN {name} < {low} THEN {low} WHEN {name} > {high} THEN {high} ELSE {name} END"
            shown.append(
                {
                    "COUNT": f"count({name})",
                    "SUM": f"coalesce(sum({within}), 0)",
                    # sum and count apart: the engine's avg is a binary float
                    "AVG": f"[coalesce(sum({within}), 0), count({name})]",
                }[what]
            )
        text = f"SELECT {', '.join(shown)} FROM joint WHERE person IS NOT NULL"
        text += "".join(f" AND ({test})" for test in self.tests)
        return text + (f" GROUP BY {', '.join(self.groups)}" if self.groups else "")


def a_number(choose, column):
    value = abs(amount(choose, column)) * choose.choice([1, 1, 1, -1])
    return choose.choice([f"{value}", f"{value}", f"{value + Decimal('0.0004')}", f"{int(value)}"])


def a_question(choose):
    groups = tuple(column.name for column in choose.sample(CATEGORIES, choose.choice([0, 0, 1, 1, 2])))
    tests = []
    for column in choose.sample(CATEGORIES, choose.choice([0, 0, 1, 2])):
        values = [choose.choice(column.domain) for _ in range(choose.randint(1, 4))]
        listed = ", ".join(f"'{value}'" for value in values)
        tests.append(f"{column.name} = '{values[0]}'" if choose.random() < 0.4 else f"{column.name} IN ({listed})")
    for column in choose.sample(MEASURES, choose.choice([0, 0, 1, 1, 2])):
        low, high = sorted((a_number(choose, column), a_number(choose, column)), key=Decimal)
        places = Decimal(1).scaleb(-column.decimals)
        low, high = (f"{Decimal(end).quantize(places)}" for end in (low, high))
        tests += choose.choice(
            [
                [f"{column.name} {choose.choice(['<', '<=', '>', '>='])} {a_number(choose, column)}"],
                [f"{column.name} BETWEEN {low} AND {high}"],
                [f"{column.name} >= {low}", f"{column.name} <= {high}"],
                [f"{column.name} = {low}"],
            ]
        )
    choose.shuffle(tests)
    terms = [("COUNT", "*")] + [("COUNT", name) for name in NAMES if name != "person"]
    terms += [(what, column.name) for what in ("SUM", "AVG") for column in MEASURES for _ in range(2)]
    asked = tuple(dict.fromkeys(choose.choice(terms) for _ in range(choose.randint(1, 5))))
    return Asked(groups, tuple(tests), asked)


def parsed(asked, purpose="credit-risk-statistics", parties=PARTIES):
    return parse(asked.statement(), standard=CREDIT, purpose=purpose, parties=parties, rho=20_000_000)


def plain_answer(town, asked):
    """Every group of the public domain with its figures; an average is a pair of sum and count."""
    found = {row[: len(asked.groups)]: row[len(asked.groups) :] for row in town.truth.execute(asked.plain()).fetchall()}
    nothing = tuple([0, 0] if what == "AVG" else 0 for what, _ in asked.terms)
    domains = [CREDIT.column(name).domain for name in asked.groups]
    return [(cell, found.get(cell, nothing)) for cell in product(*domains)]


def exact(value):
    return (
        Fraction(value) if not isinstance(value, list) else (Fraction(value[0]) / int(value[1]) if value[1] else None)
    )


def check(town, asked, question, totals):
    """Compare the analyst's table over ``totals`` with the plain answer, figure by figure."""
    decimals = {f"sum({column.name})": column.decimals for column in MEASURES}
    variances = {measure.key: Fraction(0) for measure in question.plan.measures}
    release = Release(question.plan, "session", totals, variances, decimals)
    table = list(answer_rows(question, release, min_group=0))
    expected = plain_answer(town, asked)
    assert [row.group for row in table] == [cell for cell, _ in expected]
    for row, (cell, values) in zip(table, expected, strict=True):
        got = [None if figure is None else figure.value for figure in row.figures.values()]
        assert got == [exact(value) for value in values], (asked.statement(), cell)


def noise_free(town, plan, sampling=b"k"):
    return {
        party: clip(plan, dataset, sampling_key=sampling * 32).totals
        for party, dataset in town.datasets.items()
        if party in plan.parties
    }


def questions():
    choose = random.Random(7)
    asked = []
    while len(asked) < PLANS:
        candidate = a_question(choose)
        if candidate not in asked:
            asked.append(candidate)
    return asked


def test_the_answer_without_noise_is_plain_sql_over_all_tables(town):
    plans, cells, filled = set(), 0, 0
    for asked in questions():
        question = parsed(asked)
        parts = noise_free(town, question.plan)
        totals = tuple(sum(values) for values in zip(*parts.values(), strict=True))
        check(town, asked, question, totals)
        plans.add(question.plan.hash)
        cells += len(totals)
        filled += sum(total != 0 for total in totals)
        assert parse(
            spell(question, CREDIT), standard=CREDIT, purpose="credit-risk-statistics", parties=PARTIES, rho=20_000_000
        ).plan == (question.plan)
    # the comparison is about something: almost all plans differ, and many cells are not empty
    assert len(plans) > 0.9 * PLANS
    assert filled > 0.3 * cells


def test_each_institution_answers_for_its_own_rows(town):
    asked = Asked(("product", "region"), ("balance >= 1",), (("COUNT", "*"), ("SUM", "balance"), ("AVG", "income")))
    for party in PARTIES:
        question = parsed(asked, parties=(party,))
        town.truth.execute("CREATE OR REPLACE TEMP VIEW joint AS SELECT * FROM memory.main.joint WHERE party = 'none'")
        town.truth.execute(
            f"CREATE OR REPLACE TEMP VIEW joint AS SELECT * FROM memory.main.joint WHERE party = '{party}'"
        )
        try:
            check(town, asked, question, noise_free(town, question.plan)[party])
        finally:
            town.truth.execute("DROP VIEW temp.joint")


# -- through the sealed path -------------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def key():
    return SecretKey.generate(3072)


def sealed_sum(plan, parts, key):
    """Pack, mask, seal, fold, open and unpack cells to which no noise was added."""
    layout = layout_of(plan, modulus_bits=key.public.bits)
    secrets = {party: X25519PrivateKey.generate() for party in parts}
    peers = {
        party: Peer(secret.public_key().public_bytes_raw(), party.encode().ljust(32, b"\0"))
        for party, secret in secrets.items()
    }
    context = Context("0" * 64, plan.hash, "1" * 64, key.public.fingerprint)
    shares = []
    for party, totals in parts.items():
        masked = mask(
            pack(Noised(plan.hash, totals), layout),
            me=party,
            secret=secrets[party],
            nonce=peers[party].nonce,
            peers={name: peer for name, peer in peers.items() if name != party},
            context=context,
            modulus=key.public.n,
        )
        wire = seal(masked, key.public).to_wire()
        shares.append(Sealed.from_wire(wire, key.public))
    alone = key.open(shares[0])
    packed = pack(Noised(plan.hash, next(iter(parts.values()))), layout).plaintexts
    assert all(one != other for one, other in zip(alone, packed, strict=True))  # one part alone opens to its mask
    return unpack(key.open(fold(shares)), layout)


def test_the_sealed_sum_is_the_plain_sum(town, key):
    """The same through packing, masks, encryption under a real key, folding and opening."""
    for asked in questions()[::16]:
        question = parsed(asked)
        parts = noise_free(town, question.plan)
        totals = sealed_sum(question.plan, parts, key)
        assert totals == tuple(sum(values) for values in zip(*parts.values(), strict=True))
        check(town, asked, question, totals)


# -- where the bound on rows binds -------------------------------------------------------------------------------------


def test_where_the_bound_binds_the_rows_that_count_are_one_choice_for_all_plans(tmp_path):
    """Twenty rows a person, six of them counted: all plans see the same six, whoever else is in the table."""
    choose = random.Random(3)

    def table(name, persons):
        rows = [
            {
                "person": word(f"p{index}"),
                **{column.name: word(column.domain[(index + row) % len(column.domain)]) for column in CATEGORIES},
                "balance": number(Decimal(1 << row).scaleb(-2)),
                "months_overdue": number(Decimal(row % 10)),
            }
            for index in persons
            for row in range(20)
        ]
        choose.shuffle(rows)
        (tmp_path / name).mkdir()
        return lay_out(tmp_path / name, "bank-c", rows)

    def ask(dataset, sampling=b"k", tests=(), terms=(("SUM", "balance"),)):
        plan = parsed(Asked((), tuple(tests), terms), parties=("bank-c",)).plan
        totals = clip(plan, dataset, sampling_key=sampling * 32).totals
        return dict(zip((measure.key for measure, _ in plan.cells()), totals, strict=True))

    def bits(dataset, index, **options):
        return ask(dataset, tests=[f"person = 'p{index}'", *options.pop("tests", ())], **options)["sum(balance)"]

    crowd = table("crowd", range(30))
    assert ask(crowd, terms=(("COUNT", "*"),))["count(*)"] == 30 * CREDIT.rows_per_unit
    smaller = table("smaller", range(3))
    for index in range(3):
        mine = bits(crowd, index)
        assert mine.bit_count() == CREDIT.rows_per_unit
        assert mine < 1 << 20
        assert bits(smaller, index) == mine
        assert bits(crowd, index, sampling=b"x") != mine
        several = (("COUNT", "*"), ("AVG", "months_overdue"), ("SUM", "balance"))
        assert bits(crowd, index, terms=several) == mine
        seen = [bits(crowd, index, tests=[f"balance = {Decimal(1 << row).scaleb(-2)}"]) for row in range(20)]
        assert seen == [mine & 1 << row for row in range(20)]
        by_region = [bits(crowd, index, tests=[f"region = '{value}'"]) for value in CREDIT.column("region").domain]
        assert sum(by_region) == mine
