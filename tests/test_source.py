"""Reading rows: what a cell means is written down, and nothing in a table can break, bend or leak through it."""

import csv
import os
import random
import subprocess
import sys
from dataclasses import replace
from datetime import date
from itertools import pairwise
from pathlib import Path

import duckdb
import pytest

from exchange.node.engine import Location, SourceFault
from exchange.node.printer import print_cells
from exchange.node.source import Dataset, Field, print_view
from exchange.standards import shipped
from privacy.errors import Malformed, Refused
from privacy.expression import (
    Added,
    AllOf,
    AnyOf,
    Between,
    ByBand,
    ByCase,
    ByCategory,
    ByDate,
    Choice,
    Constant,
    Missing,
    Not,
    OneOf,
    Times,
    Value,
    values,
)
from privacy.plan import (
    CountFilled,
    CountKnown,
    CountPresent,
    CountRows,
    CountUnits,
    CountValid,
    Histogram,
    Plan,
    Sum,
    term_of,
)
from privacy.terms import LIFETIME, UNKNOWN, Bounds
from tests.sources import clip, inspect, run

SHIPPED = shipped("consumer_credit/1")
KEY = bytes(range(32))
SELF = {column.name: Field(source=column.name) for column in SHIPPED.columns}
NAMES = ("person", "region", "balance")


def with_column(standard, name, **changes):
    columns = [replace(column, **changes) if column.name == name else column for column in standard.columns]
    return replace(standard, columns=tuple(columns))


# many rows a person count, and amounts from -1,000 to a million yuan, so that few tests meet a bound that they do not mean
CREDIT = with_column(replace(SHIPPED, rows_per_unit=1_000), "balance", bounds=Bounds(-100_000, 100_000_000), edges=())
DOMAIN = CREDIT.column("region").domain
REGION = ByCategory("region", DOMAIN)


def a_plan(*measures, groups=(), where=(), bounds=(), standard=CREDIT):
    """A plan over the standard's own bounds, but where ``bounds`` say otherwise."""
    held = measures or (CountRows(),)
    inner = [item for item in (*map(term_of, held), *groups, *where) if item is not None]
    computed = frozenset().union(*map(values, inner)) if inner else frozenset()
    return Plan(
        standard=standard.id,
        standard_digest=standard.digest,
        purpose="credit-risk-statistics",
        parties=("bank-a",),
        rows_per_unit=standard.rows_per_unit,
        institutions_per_unit=2,
        groups=tuple(groups),
        where=tuple(where),
        measures=held,
        rho=1_000_000,
        bounds=tuple((name, dict(bounds).get(name) or standard.column(name).bounds) for name in sorted(computed)),
    )


def held(location, mapping=None, standard=CREDIT):
    names = mapping or {name: SELF[name] for name in NAMES}
    return Dataset("accounts", "Accounts", standard, "people", location, names, "2026-10-31")


def totals(plan, dataset, key=KEY):
    return clip(plan, dataset, sampling_key=key).totals


def asked(dataset, *measures, **parts):
    """The cells of each measure, in the order given."""
    plan = a_plan(*measures, standard=dataset.standard, **parts)
    cells = {}
    for (measure, _, _), total in zip(plan.cells(), totals(plan, dataset), strict=True):
        cells.setdefault(measure.key, []).append(total)
    return [tuple(cells[measure.key]) for measure in measures]


def alone(dataset, measure, **parts):
    return asked(dataset, measure, **parts)[0]


def count(dataset, *where, **parts):
    return alone(dataset, CountRows(), where=where, **parts)[0]


BALANCE = Value("balance")


def table(tmp_path, select, kind="duckdb"):
    """Lay the rows of a query where an institution would have them."""
    path = tmp_path / f"rows-{len(list(tmp_path.iterdir()))}.{kind}"
    if kind == "duckdb":
        with duckdb.connect(path) as engine:
            engine.execute(f"CREATE TABLE rows AS {select}")
        return Location(kind, str(path), "rows")
    with duckdb.connect() as engine:
        engine.execute(f"COPY ({select}) TO '{path}' (FORMAT {kind})")
    return Location(kind, str(path))


def csv_file(tmp_path, text, name="rows.csv"):
    path = tmp_path / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return Location("csv", str(path))


# -- what a cell means -----------------------------------------------------------------------------------------------

READ = [
    # SQL expression, value in units of 0.01 (None: NULL or unreadable)
    ("NULL", None),
    ("'12abc'", None),
    ("''", None),
    ("' '", None),
    ("'nan'", None),
    ("'NaN'", None),
    ("'inf'", None),
    ("'-Infinity'", None),
    ("'1e400'", None),
    ("'0x10'", None),
    ("'12,5'", None),
    ("'１２'", None),  # noqa: RUF001  full-width digits
    ("'中文'", None),
    ("'12'", 1200),
    ("' 12 '", 1200),
    ("'+12.5'", 1250),
    ("'-0.01'", -1),
    ("'007'", 700),
    ("'1e3'", 100_000),
    ("'12.345'", 1235),
    ("'-12.345'", -1235),
    ("'12.3449999999999999999'", 1234),
    ("'99999999999999999999'", None),
    ("12::TINYINT", 1200),
    ("12::BIGINT", 1200),
    ("9223372036854775807::BIGINT", None),
    ("170141183460469231731687303715884105727::HUGEINT", None),
    ("12.34::DECIMAL(4, 2)", 1234),
    ("12.3456789::DECIMAL(38, 10)", 1235),
    ("12345678901234567890123456789012345678::DECIMAL(38, 0)", None),
    ("12.34::DOUBLE", 1234),
    ("12.34::FLOAT", 1234),
    ("'nan'::DOUBLE", None),
    ("'inf'::DOUBLE", None),
    ("'-inf'::DOUBLE", None),
    ("1e300::DOUBLE", None),
    ("5e-324::DOUBLE", 0),
    ("DATE '2020-01-01'", None),
    ("[1, 2]", None),
    ("{'a': 1}", None),
    ("'12'::BLOB", None),
    ("INTERVAL 1 DAY", None),
]


@pytest.mark.parametrize(("expression", "units"), READ)
def test_a_measure_is_read_exactly_or_counts_as_missing(tmp_path, expression, units):
    dataset = held(table(tmp_path, f"SELECT 'p' AS person, 'north' AS region, {expression} AS balance"))
    known = int(units is not None)
    empty = expression in ("NULL", "''")
    measures = (CountRows(), CountPresent(BALANCE), Sum(BALANCE), CountFilled("balance"), CountValid("balance"))
    assert asked(dataset, *measures) == [(1,), (known,), (units or 0,), (int(not empty),), (known,)]
    assert count(dataset, Between(BALANCE, lower=CREDIT.column("balance").bounds.lower)) == known
    assert count(dataset, Missing("balance")) == 1 - known


@pytest.mark.parametrize("decimals", [0, 1, 2, 9])
@pytest.mark.parametrize("kind", ["VARCHAR", "DOUBLE", "DECIMAL(38, 9)"])
def test_numbers_of_any_size_and_decimals_are_read_alike(tmp_path, kind, decimals):
    """What the fast way reads, with 64 bits, is what the wide way reads, with 128; what neither holds is unreadable."""
    widest = Bounds(-(1 << 53) + 1, (1 << 53) - 1)
    standard = with_column(CREDIT, "balance", bounds=widest, decimals=decimals)
    told = ["0", "-0.4999", "0.5", "-0.5", "1.25", "1234567.891", "-123456789.1", "9007199", "123456789012", "1e15"]
    told += ["-99999999999999999", "999999999999990000", "1000000000000000000", "-1e18"]
    listed = ", ".join(f"('p{index}', CAST('{value}' AS {kind}))" for index, value in enumerate(told))
    location = table(tmp_path, f"SELECT person, 'north' AS region, balance FROM (VALUES {listed}) t(person, balance)")
    with duckdb.connect() as engine:
        read = engine.execute(
            f"SELECT CAST(TRY_CAST(v AS DECIMAL({18 + decimals}, {decimals})) * {10**decimals} AS HUGEINT) "
            f"FROM (VALUES {listed}) t(p, v)"
        ).fetchall()
    units = [None if value is None else min(max(value, widest.lower), widest.upper) for (value,) in read]
    assert units[-2:] == [None, None]
    assert None not in units[:-2]
    dataset = held(location, standard=standard)
    found = [
        asked(dataset, CountPresent(BALANCE), Sum(BALANCE), where=[Between(BALANCE, lower=unit, upper=unit)])
        for unit in set(units[:-2])
    ]
    assert found == [[(units.count(unit),), (unit * units.count(unit),)] for unit in set(units[:-2])]
    assert count(dataset, Missing("balance")) == 2
    inside = sum(value is not None and widest.lower <= value <= widest.upper for (value,) in read)
    assert alone(dataset, CountValid("balance")) == (inside,)


DAY = (date(2024, 2, 29) - date(1970, 1, 1)).days
DATES = [
    # SQL expression, days since 1970-01-01 (None: NULL or unreadable)
    ("DATE '2024-02-29'", DAY),
    ("TIMESTAMP '2024-02-29 23:59:59.999999'", DAY),
    ("TIMESTAMP_S '2024-02-29 00:00:00'", DAY),
    ("TIMESTAMP_NS '2024-02-29 23:59:59.999999999'", DAY),
    ("TIMESTAMPTZ '2024-02-29 23:30:00-05'", DAY + 1),  # in UTC
    ("TIMESTAMPTZ '2024-02-29 23:30:00+00'", DAY),
    ("'2024-02-29'", DAY),
    ("'2024-02-29 10:30'", DAY),
    ("'2024-02-29T23:59:59Z'", DAY),
    ("'1969-12-31'", -1),
    ("'0001-01-01'", LIFETIME[0]),
    ("'9999-12-31'", LIFETIME[1]),
    ("DATE '12345-01-01'", LIFETIME[1]),
    ("DATE '0044-03-15 (BC)'", LIFETIME[0]),
    ("NULL", None),
    ("''", None),
    ("'2023-02-29'", None),
    ("'2024-13-01'", None),
    ("'2024-2-9'", None),
    ("'0000-01-01'", None),
    ("'29.02.2024'", None),
    ("'02/29/2024'", None),
    ("'20240229'", None),
    ("'2024-02-290'", None),
    ("'12345-01-01'", None),
    ("'0044-03-15 (BC)'", None),
    ("'2024-02-29 tomorrow'", None),
    ("' 2024-02-29'", None),
    ("'2024-02-2９'", None),  # noqa: RUF001  a full-width digit
    ("'today'", None),
    ("'epoch'", None),
    ("'infinity'", None),
    ("DATE 'infinity'", None),
    ("TIMESTAMP '-infinity'", None),
    ("20240229", None),
    ("19782.5", None),
    ("[DATE '2024-02-29']", None),
    ("TIME '10:30:00'", None),
    ("INTERVAL 1 DAY", None),
]


@pytest.mark.parametrize(("expression", "days"), DATES)
def test_a_date_is_read_exactly_or_counts_as_missing(tmp_path, expression, days):
    standard = with_column(CREDIT, "opened", bounds=Bounds(*LIFETIME), edges=())
    mapping = {"person": SELF["person"], "opened": SELF["opened"]}
    dataset = held(table(tmp_path, f"SELECT 'p' AS person, {expression} AS opened"), mapping, standard)
    opened = Value("opened")
    expected = [(1,), (0 if days is None else 1,), (days or 0,), (int(expression not in ("NULL", "''")),)]
    assert asked(dataset, CountRows(), CountPresent(opened), Sum(opened), CountFilled("opened")) == expected
    assert count(dataset, Missing("opened")) == int(days is None)


def test_dates_beyond_the_bounds_count_as_the_nearest_and_are_not_valid(tmp_path):
    listed = "('1989-12-31'), ('1990-01-01'), ('2039-12-31'), ('2040-01-01'), ('soon'), (NULL)"
    mapping = {"person": SELF["person"], "opened": SELF["opened"]}
    location = table(tmp_path, f"SELECT 'p' || opened || 'x' AS person, opened FROM (VALUES {listed}) t(opened)")
    dataset = held(location, {**mapping, "person": Field(constant="everybody")})
    low, high = CREDIT.column("opened").bounds.lower, CREDIT.column("opened").bounds.upper
    opened = Value("opened")
    assert asked(dataset, CountValid("opened"), CountPresent(opened), Sum(opened), CountFilled("opened")) == [
        (2,), (4,), (2 * low + 2 * high,), (5,),
    ]  # fmt: skip
    years = ByDate("opened", "year", ("1990", "2039", "1989", UNKNOWN))
    assert alone(dataset, CountRows(), groups=[years]) == (2, 2, 0, 2)


def test_values_out_of_bounds_are_clamped_everywhere_but_where_validity_is_counted(tmp_path):
    rows = "SELECT 'p' || i AS person, 'north' AS region, v AS balance FROM "
    rows += "(VALUES (1, -1e6), (2, -0.01), (3, 0), (4, 5), (5, 200000), (6, 200000.01), (7, 1e17), (8, NULL)) t(i, v)"
    dataset = held(table(tmp_path, rows), standard=replace(SHIPPED, rows_per_unit=1_000))
    assert alone(dataset, Sum(BALANCE)) == (500 + 3 * 20_000_000,)
    for low, high in ((100, 400), (-300, -200), (0, 0), (20_000_001, 20_000_002), (-5, 30_000_000)):
        clamped = [min(max(v, 0), 20_000_000) for v in (-(10**8), -1, 0, 500, 20_000_000, 20_000_001, 10**19)]
        clipped = [min(max(v, low), high) for v in clamped]
        bounds = {"balance": Bounds(low, high)}
        assert alone(dataset, Sum(BALANCE), bounds=bounds) == (sum(clipped),)
        assert count(dataset, Between(BALANCE, lower=high), bounds=bounds) == sum(v >= high for v in clipped)
        bands = ByBand("balance", (-300, 200, 20_000_000), ("low", "high"))
        assert alone(dataset, CountRows(), groups=[bands], bounds=bounds) == (
            sum(-300 <= v < 200 for v in clipped), sum(200 <= v <= 20_000_000 for v in clipped),
        )  # fmt: skip
    assert alone(dataset, CountValid("balance")) == (3,)
    assert alone(dataset, CountPresent(BALANCE)) == (7,)
    assert count(dataset, Between(BALANCE, lower=20_000_000)) == 3
    assert count(dataset, Between(BALANCE, upper=-1)) == 0


@pytest.mark.parametrize("kind", ["duckdb", "parquet", "csv"])
def test_categories_outside_the_domain_are_unknown(tmp_path, kind):
    texts = ["north", "North", "north ", "mars", "", "中文", "n'orth", 'n"orth', "EAST", "east", "0", "NULL"]
    listed = ", ".join(f"('p{i}', '{text.replace(chr(39), chr(39) * 2)}', 1)" for i, text in enumerate(texts))
    location = table(tmp_path, f"SELECT * FROM (VALUES {listed}, ('px', NULL, 1)) t(person, region, balance)", kind)
    dataset = held(location)
    assert alone(dataset, CountRows(), groups=[REGION]) == tuple(int(name in {"north", "east"}) for name in DOMAIN)
    whole = ByCategory("region", (*DOMAIN, UNKNOWN))
    assert alone(dataset, CountUnits(), groups=[whole])[-1] == 11
    assert count(dataset) == 13
    assert alone(dataset, CountFilled("region")) == (11,)  # an empty text is NULL in every format
    assert asked(dataset, CountKnown("region"), CountValid("region")) == [(2,), (2,)]
    assert count(dataset, OneOf("region", ("mars", "n'orth"))) == 0
    assert count(dataset, Not(OneOf("region", ("mars", "east")))) == 1  # of what is unknown, nothing is known to hold
    assert count(dataset, Missing("region")) == 11


@pytest.mark.parametrize("kind", ["duckdb", "parquet", "csv"])
def test_rows_without_a_person_are_left_out_and_identifiers_stay_texts(tmp_path, kind):
    rows = "(VALUES (NULL, 1), ('', 1), ('007', 1), ('7', 1), (' 7', 1), ('张三', 1), ('p', 1), ('P', 1), ('p', 1))"
    location = table(tmp_path, f"SELECT person, 'north' AS region, balance FROM {rows} t(person, balance)", kind)
    # '007', '7' and ' 7' are three people, 'p' and 'P' two
    assert asked(held(location), CountRows(), CountUnits()) == [(7,), (6,)]
    assert count(held(location, standard=replace(CREDIT, rows_per_unit=1))) == 6


@pytest.mark.parametrize("kind", ["duckdb", "parquet"])
def test_dates_and_numbers_in_a_category_are_compared_as_texts(tmp_path, kind):
    rows = "SELECT i AS person, DATE '2020-01-01' AS region, i AS month, 1.5 AS balance FROM range(1, 13) t(i)"
    mapping = {name: SELF[name] for name in (*NAMES, "month")}
    standard = with_column(CREDIT, "region", domain=("2020-01-01", "other"))
    dataset = held(table(tmp_path, rows, kind), mapping, standard)
    assert count(dataset, OneOf("region", ("2020-01-01",))) == 12
    months = ByCategory("month", CREDIT.column("month").domain)
    assert alone(dataset, CountRows(), groups=[months]) == (0,) * 9 + (1,) * 3  # '1' is not '01'


@pytest.mark.parametrize("kind", ["duckdb", "parquet", "csv"])
def test_whole_rows_that_repeat_count_as_often_as_the_bound_allows(tmp_path, kind):
    location = table(tmp_path, "SELECT 'p' AS person, 'north' AS region, 2.5 AS balance FROM range(5)", kind)
    for bound, counted in ((1, 1), (3, 3), (5, 5), (9, 5)):
        dataset = held(location, standard=replace(CREDIT, rows_per_unit=bound))
        assert asked(dataset, CountRows(), Sum(BALANCE)) == [(counted,), (counted * 250,)]


NASTY = ['he said "x"', "it's", "two words", "余额", "select", "order", "rank of row", "a;b", "a,b", "person", "?", "$1", "$p0", "told", "heavy", "filled balance", "filled region", "%s", "{x}", "--", "held", "*"]  # fmt: skip


@pytest.mark.parametrize("kind", ["duckdb", "parquet", "csv"])
@pytest.mark.parametrize("name", NASTY)
def test_columns_of_any_name_are_read(tmp_path, kind, name):
    quoted = '"' + name.replace('"', '""') + '"'
    location = table(tmp_path, f"SELECT 'p1' AS cust, 'north' AS {quoted}, 5 AS amount", kind)
    assert name in inspect(location)
    mapping = {"person": Field(source="cust"), "region": Field(source=name), "balance": Field(source="amount")}
    assert totals(a_plan(groups=[REGION]), held(location, mapping)) == (1, 0, 0, 0, 0)


@pytest.mark.parametrize("kind", ["duckdb", "parquet", "csv"])
@pytest.mark.parametrize("folder", ["it's", "账户 数据", "region=south", "a;b -- c", 'x"y'])
def test_a_path_is_a_path_and_says_nothing_about_the_rows(tmp_path, kind, folder):
    home = tmp_path / folder
    home.mkdir()
    plain = Path(table(tmp_path, "SELECT 'p1' AS person, 'north' AS region, 5 AS balance", kind).path)
    moved = Location(kind, str(plain.rename(home / plain.name)), "rows" if kind == "duckdb" else "")
    assert totals(a_plan(groups=[REGION]), held(moved)) == (1, 0, 0, 0, 0)


def test_mapped_columns_are_columns_of_the_source_only(tmp_path):
    # without the column, "balance" must not be taken for the standard's column of that name, selected before
    location = table(tmp_path, "SELECT 'p1' AS cust, 7 AS bal")
    swapped = {"balance": Field(source="bal"), "person": Field(source="balance")}
    with pytest.raises(SourceFault):
        totals(a_plan(), held(location, swapped))
    crossed = table(tmp_path, "SELECT 'north' AS person, 'p1' AS region, 5 AS balance")
    mapping = {"person": Field(source="region"), "region": Field(source="person"), "balance": SELF["balance"]}
    assert totals(a_plan(groups=[REGION]), held(crossed, mapping)) == (1, 0, 0, 0, 0)


def test_constants_stand_for_every_row(tmp_path):
    location = table(tmp_path, "SELECT 'p' || i AS person FROM range(4) t(i)")
    mapping = {
        "person": SELF["person"],
        "region": Field(constant="east"),
        "product": Field(constant="it's ' OR 1=1 --"),
        "balance": Field(constant="2.50"),
        "income": Field(constant="plenty"),
        "opened": Field(constant="2024-02-29"),
    }
    evil = ("it's ' OR 1=1 --", "other")
    standard = with_column(CREDIT, "product", domain=("card", *evil))
    dataset = held(location, mapping, standard)
    months = ByDate("opened", "year-month", ("2024-02",))
    measures = (CountRows(), Sum(BALANCE), CountPresent(Value("income")), CountFilled("income"))
    where = (OneOf("product", evil),)
    assert asked(dataset, *measures, groups=[months], where=where) == [(4,), (1000,), (0,), (4,)]
    assert alone(dataset, CountRows(), groups=[REGION]) == (0, 4, 0, 0, 0)
    assert count(dataset, OneOf("product", ("card",))) == 0
    everybody = held(location, {**mapping, "person": Field(constant="one")}, standard)
    assert asked(everybody, CountRows(), CountUnits()) == [(4,), (1,)]


def test_an_empty_table_answers_with_zeros(tmp_path):
    bands = ByBand("balance", (0, 5, 9), ("low", "high"))
    for kind in ("duckdb", "parquet", "csv"):
        location = table(tmp_path, "SELECT 'p' AS person, 'north' AS region, 5 AS balance WHERE FALSE", kind)
        measures = (CountRows(), Sum(BALANCE), CountPresent(BALANCE), CountUnits(), Histogram(bands))
        assert asked(held(location), *measures) == [(0,), (0,), (0,), (0,), (0, 0)]
        some = ByCategory("region", ("north", "mars"))
        assert asked(held(location), *measures, groups=[some]) == [(0,) * 2] * 4 + [(0,) * 4]


def test_sums_do_not_overflow(tmp_path):
    rows = "SELECT 'p' || i AS person, 'north' AS region, 40000000000000::BIGINT AS balance FROM range(100000) t(i)"
    widest = (1 << 53) - 1
    dataset = held(table(tmp_path, rows), standard=with_column(CREDIT, "balance", bounds=Bounds(-widest, widest)))
    assert alone(dataset, Sum(BALANCE)) == (100_000 * 4_000_000_000_000_000,)
    assert alone(dataset, Sum(BALANCE), bounds={"balance": Bounds(widest, widest)}) == (
        100_000 * widest,
    )  # beyond 64 bits
    hundred = Times(Constant(500), BALANCE)  # just below 2**62
    assert alone(dataset, Sum(hundred)) == (500 * 100_000 * 4_000_000_000_000_000,)
    with pytest.raises(Malformed, match="62 bits"):
        a_plan(Sum(Times(BALANCE, BALANCE)), standard=dataset.standard)


# -- what a plan asks ------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def accounts(tmp_path_factory):
    """Eight rows of five people, small enough to count by hand."""
    rows = """(VALUES ('a', 'north', 'card', 1.00, 0, DATE '2023-12-31'), ('a', 'north', 'car', 2.00, 1, DATE '2024-01-01'),
        ('b', 'north', 'card', NULL, 2, DATE '2024-03-31'), ('b', 'south', 'card', -5.00, NULL, DATE '2024-04-01'),
        ('c', 'south', 'mortgage', 10.00, 3, NULL), ('c', NULL, 'cash', 20.00, 9, DATE '2024-12-30'),
        ('d', 'east', 'lease', 40.00, 0, DATE '2025-01-05'), ('e', 'west', NULL, 80.00, NULL, DATE '2025-01-06')
        ) t(person, region, product, balance, months_overdue, opened)"""
    columns = ("person", "region", "product", "balance", "months_overdue", "opened")
    location = table(tmp_path_factory.mktemp("accounts"), f"SELECT * FROM {rows}", "parquet")
    return held(location, {name: SELF[name] for name in columns})


LATE = Value("months_overdue")
CARD = OneOf("product", ("card",))


def test_terms(accounts):
    sums = {
        Added((BALANCE, Constant(-100, 2))): 14_800 - 700,
        Times(LATE, LATE): 1 + 4 + 9 + 81,
        Times(BALANCE, LATE): 200 + 3_000 + 18_000,
        Choice(((CARD, BALANCE),)): 100 - 500,
        Choice(((CARD, LATE), (Missing("region"), Constant(7))), Constant(100)): 2 + 7 + 400,
        Choice(((Between(LATE, lower=1), Constant(1)),), Constant(0)): 4,
        Constant(3): 24,
    }
    for term, total in sums.items():
        assert alone(accounts, Sum(term)) == (total,), str(term)
    present = {Added((BALANCE, LATE)): 5, Times(BALANCE, BALANCE): 7, Choice(((CARD, LATE),)): 2, Constant(1): 8}
    for term, counted in present.items():
        assert alone(accounts, CountPresent(term)) == (counted,), str(term)


def test_tests_are_three_valued(accounts):
    counted = {
        CARD: 3,
        Not(CARD): 3,  # a product outside the domain is unknown
        OneOf("product", ("lease",)): 0,
        Not(OneOf("product", ("lease",))): 6,
        AnyOf((CARD, Not(CARD))): 6,
        AnyOf((CARD, Missing("product"))): 5,
        AllOf((Not(CARD), Between(BALANCE, lower=1_000))): 2,
        Not(AllOf((Not(CARD), Between(BALANCE, lower=1_000)))): 4,
        Between(BALANCE, lower=100, upper=1_000): 3,
        Between(BALANCE, upper=99): 1,
        Between(Added((BALANCE, Times(Constant(-50, 2), LATE))), upper=100): 1,
        Between(BALANCE, lower=5, upper=4): 0,
        Not(Between(BALANCE, lower=5, upper=4)): 7,
        Missing("opened"): 1,
        Not(Missing("region")): 7,
    }
    for test, rows in counted.items():
        assert count(accounts, test) == rows, str(test)
    assert count(accounts, CARD, Not(Missing("balance"))) == 2


def test_dimensions(accounts):
    regions = ("north", "east", "south", "west", "central")
    asked_of = {
        ByCategory("region", regions): (3, 1, 2, 1, 0),
        ByCategory("region", ("south", "north")): (2, 3),
        ByCategory("region", ("south", UNKNOWN)): (2, 6),
        ByCategory("region", (*regions, UNKNOWN)): (3, 1, 2, 1, 0, 1),
        ByBand("balance", (100, 1_000, 2_000, 4_000), ("a", "b", "c")): (2, 1, 2),
        ByBand("balance", (-500, 100, 8_000), ("a", "b")): (1, 6),
        ByBand("balance", (100, 1_000, 2_000), ("a", "b", UNKNOWN)): (2, 2, 4),
        ByDate("opened", "year", ("2024", "2023")): (4, 1),
        ByDate("opened", "year", ("2024", "2023", UNKNOWN)): (4, 1, 3),
        ByDate("opened", "quarter", ("Q1", "Q2", "Q3", "Q4")): (4, 1, 0, 2),
        ByDate("opened", "month", ("12", "01")): (2, 3),
        ByDate("opened", "weekday", ("7", "1")): (3, 4),
        ByDate("opened", "year-quarter", ("2024-Q1", "2024-Q4")): (2, 1),
        ByDate("opened", "year-month", ("2024-01", "2025-01", UNKNOWN)): (1, 2, 5),
        ByCase(((CARD, "card"), (Missing("region"), "nowhere"), (Between(LATE, lower=3), "card"))): (4, 1),
        ByCase(((CARD, "card"),), "rest"): (3, 5),
        ByCase(((CARD, "card"),), UNKNOWN): (3, 5),
    }
    for by, rows in asked_of.items():
        assert alone(accounts, CountRows(), groups=[by]) == rows, str(by)


def test_people_are_counted_once_in_each_group(accounts):
    assert alone(accounts, CountUnits()) == (5,)
    products = ByCategory("product", ("card", "mortgage", "car", "cash", UNKNOWN))
    assert alone(accounts, CountUnits(), groups=[products]) == (2, 1, 1, 1, 2)
    year = ByDate("opened", "year", ("2023", UNKNOWN))
    assert alone(accounts, CountUnits(), groups=[year]) == (1, 5)  # everybody else once, whatever the year


def test_histograms_are_told_band_by_band_in_each_group(accounts):
    bands = ByBand("balance", (0, 100, 1_000, 8_000), ("a", "b", "c"))
    rest = ByBand("balance", (0, 4_000, 8_000), ("a", "b", UNKNOWN))
    two = ByCategory("region", ("south", "north"))
    assert asked(accounts, Histogram(bands), CountRows(), Histogram(rest)) == [(0, 2, 4), (8,), (4, 2, 2)]
    assert asked(accounts, CountUnits(), Histogram(bands), Histogram(rest), groups=[two]) == [
        (2, 2), (0, 0, 1, 0, 2, 0), (1, 0, 1, 2, 0, 1),
    ]  # fmt: skip


def test_many_even_and_uneven_bands_find_the_band_of_every_value(tmp_path):
    location = table(tmp_path, "SELECT 'p' || i AS person, i / 100 AS balance FROM range(-50, 1100) t(i)", "parquet")
    dataset = held(location, {name: SELF[name] for name in ("person", "balance")})
    for edges in ([*range(0, 1001, 10)], [index * index for index in range(32)], [0, 1], [-40, 3, 1000], [5, 6, 7, 8]):
        labels = tuple(map(str, edges[1:]))
        expected = [sum(low <= v < high for v in range(-50, 1100)) for low, high in pairwise(edges)]
        expected[-1] += 1
        assert alone(dataset, CountRows(), groups=[ByBand("balance", tuple(edges), labels)]) == tuple(expected)
        assert alone(dataset, Histogram(ByBand("balance", tuple(edges), labels))) == tuple(expected)


def test_the_longest_plans_are_answered(accounts):
    """The engine bounds how deep an expression nests and how many groups it likes; a plan's own limits come first."""
    long = Added(tuple(Times(Constant(index), LATE) for index in range(1_000)))
    assert alone(accounts, Sum(long)) == (15 * sum(range(1_000)),)
    either = AnyOf(tuple(Between(BALANCE, lower=100 * index, upper=100 * index) for index in range(1_000)))
    assert count(accounts, either) == 6
    cases = ByCase(tuple((Between(BALANCE, lower=8_000 - index), f"from {index}") for index in range(900)))
    assert sum(alone(accounts, CountRows(), groups=[cases])) == 1
    deep = CARD
    for _ in range(2):
        deep = Not(AllOf((Not(deep), Not(AnyOf((Missing("balance"), Missing("region")))))))
    assert count(accounts, deep) > 0
    thousand = ByBand("balance", tuple(range(0, 100_001, 100)), tuple(map(str, range(1_000))))
    assert sum(alone(accounts, Histogram(thousand), groups=[ByCategory("region", DOMAIN)])) == 5


REFUSED = [
    CountKnown("income"),  # not mapped
    CountFilled("person"),
    CountValid("person"),
    CountKnown("balance"),
    CountKnown("ghost"),
    Sum(Value("region")),
    Sum(Value("person")),
    CountPresent(Choice(((OneOf("balance", ("1",)), Constant(1)),))),
    CountPresent(Choice(((OneOf("person", ("a",)), Constant(1)),))),
    CountPresent(Choice(((Missing("person"), Constant(1)),))),
    Histogram(ByBand("region", (0, 1), ("a",))),
]


@pytest.mark.parametrize("measure", REFUSED, ids=lambda measure: measure.key)
def test_what_no_column_is_for_is_refused_before_anything_is_read(accounts, measure):
    gone = replace(accounts, location=Location("parquet", accounts.location.path + ".gone"))
    bounds = dict.fromkeys(("region", "person", "ghost"), Bounds(0, 1))
    with pytest.raises(Refused) as caught:
        alone(gone, measure, bounds=bounds)
    assert caught.value.fix


def test_dimensions_of_another_kind_are_refused(accounts):
    bounds = dict.fromkeys(("region", "person"), Bounds(0, 1))
    for by in (
        ByCategory("balance", ("1",)),
        ByCategory("person", ("a",)),
        ByDate("balance", "year", ("2024",)),
        ByBand("region", (0, 1), ("a",)),
        ByCategory("education", ("school",)),
    ):
        with pytest.raises(Refused):
            alone(accounts, CountRows(), groups=[by], bounds=bounds)


def test_a_plan_that_prices_fewer_rows_a_person_is_refused(accounts):
    plan = replace(a_plan(), rows_per_unit=CREDIT.rows_per_unit - 1)
    with pytest.raises(Refused, match="fewer rows"):
        totals(plan, accounts)


# -- CSV: nothing is guessed from rows ------------------------------------------------------------------------------

FIELDS = ["a", "b;c", "x|y", '"q"', "'s", "l\nm", "t\tu", "#h", "", "中文", "e\\", '\\"', ",", "  sp ", "a,b", "NULL", "\x1f", "\r\n", "# c"]  # fmt: skip


@pytest.mark.parametrize("end", ["\r\n", "\n"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_csv_rows_cannot_change_how_other_rows_are_read(tmp_path, end, delimiter):
    for seed in range(8):
        choose = random.Random(seed)
        some = choose.sample(FIELDS, choose.randint(1, 6))
        rows = [[f"p{i}", choose.choice(some), choose.choice(some)] for i in range(choose.choice([1, 2, 9, 3000]))]
        path = tmp_path / f"{seed}.csv"
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file, delimiter=delimiter, lineterminator=end)
            writer.writerows([["person", "one", "two"], *rows])
        mapping = {"person": SELF["person"], "region": Field(source="one"), "product": Field(source="two")}
        dataset = held(Location("csv", str(path)), mapping)
        texts = tuple(value for value in some if value) or ("none",)
        standard = with_column(CREDIT, "region", domain=texts)
        dataset = replace(dataset, standard=standard)
        found = asked(
            dataset, CountRows(), CountFilled("region"), CountFilled("product"), groups=[ByCategory("region", texts)]
        )
        counted = tuple(sum(row[1] == value for row in rows) for value in texts)
        with_both = tuple(sum(row[1] == value and row[2] != "" for row in rows) for value in texts)
        assert found == [counted, counted, with_both], seed
        assert count(dataset) == len(rows)


def test_a_csv_header_gives_names_and_separator(tmp_path):
    for text, names in (
        ("person,region\np,north\n", ["person", "region"]),
        ("\ufeffperson;region\np;north\n", ["person", "region"]),
        ('"per;son;id",region\np,north\n', ["per;son;id", "region"]),
        ("1,2\np,north\n", ["1", "2"]),
        (",region\n0,north\n", ["column0", "region"]),
        ("person\np\n", ["person"]),
    ):
        assert list(inspect(csv_file(tmp_path, text))) == names


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\n\n",
        b"\xff\xfep\x00e\x00",
        b"person,region,region\np,north,south\n",
        b"person,region,balance\np,north,5\n\xff\xfe,north,5\n",
        b"person,region,balance\np,north,5\nq\n",
        b"person,region,balance\np,north,5\nq,north,5,6\n",
        b'person,region,balance\np,north,5\n"q,north,5\n',
        b"person,region,balance\np,north,5\n" + b"x" * 3_000_000 + b",north,5\n",
        b"p" * 2_000_000,
        "person,region,balance\n张三,北,5\n".encode("gb18030"),
    ],
)
def test_a_file_that_is_no_csv_is_refused_as_a_whole(tmp_path, data):
    location = csv_file(tmp_path, data)
    with pytest.raises(SourceFault) as caught:
        totals(a_plan(), held(location))
    check_words(caught.value)


# -- nothing else can be opened, nothing is told ----------------------------------------------------------------------


def check_words(fault):
    assert (fault.reason, fault.fix) == (
        "the source cannot be read",
        "check that the file is there and has its columns",
    )
    assert fault.__cause__ is None
    assert fault.__suppress_context__ or fault.__context__ is None  # the words of the engine are not carried along


CANARY = "canary-320106199001011234"


def test_table_content_cannot_make_a_query_fail_or_speak(tmp_path):
    hostile = [
        CANARY,
        "'; DROP TABLE rows; --",
        "\x00",
        "\x1f",
        "\x1e",
        "9" * 400,
        "1e999",
        "-1e999",
        "💥",
        "%s%n",
        "a" * 100_000,
    ]
    rows = [(f"{value}{i % 7}", value, value) for i, value in enumerate(hostile * 3)]
    path = tmp_path / "rows.duckdb"
    with duckdb.connect(path) as engine:
        engine.execute("CREATE TABLE rows (person VARCHAR, region VARCHAR, balance VARCHAR)")
        engine.execute(
            "INSERT INTO rows SELECT unnest(?), unnest(?), unnest(?)",
            [list(column) for column in zip(*rows, strict=True)],
        )
    dataset = held(Location("duckdb", str(path), "rows"))
    measures = (CountRows(), CountPresent(BALANCE), CountValid("region"), CountValid("balance"), Sum(BALANCE))
    assert asked(dataset, *measures)[1:] == [(0,)] * 4
    assert CANARY not in repr(clip(a_plan(*measures), dataset, sampling_key=KEY))


def test_the_answer_of_a_fault_never_depends_on_the_table(tmp_path):
    path = tmp_path / "rows.duckdb"
    with duckdb.connect(path) as engine:
        engine.execute(f"CREATE TABLE rows AS SELECT '{CANARY}' AS person, '{CANARY}' AS region, '{CANARY}' AS balance")
        engine.execute("CREATE VIEW shouting AS SELECT error('row ' || person) AS person, region, balance FROM rows")
        engine.execute("CREATE VIEW casting AS SELECT person, region, balance::INTEGER AS balance FROM rows")
    for name in ("shouting", "casting", "absent", CANARY):
        with pytest.raises(SourceFault) as caught:
            totals(a_plan(Sum(BALANCE)), held(Location("duckdb", str(path), name)))
        check_words(caught.value)


def test_no_other_file_can_be_opened(tmp_path):
    secret = csv_file(tmp_path, "person,region,balance\nothers,north,5\n", "secret.csv")
    path = tmp_path / "rows.duckdb"
    other = tmp_path / "other.duckdb"
    with duckdb.connect(other) as engine:
        engine.execute("CREATE TABLE rows AS SELECT 'p' AS person, 'north' AS region, 1 AS balance")
    with duckdb.connect(path) as engine:
        engine.execute("CREATE TABLE rows AS SELECT 'p' AS person, 'north' AS region, 1 AS balance")
        engine.execute(f"CREATE VIEW peeking AS SELECT * FROM read_csv('{secret.path}')")
        engine.execute(
            "CREATE VIEW globbing AS SELECT file AS person, file AS region, 1 AS balance FROM glob('/etc/*')"
        )
        engine.execute(
            f"CREATE VIEW text AS SELECT content AS person, 'x' AS region, 1 AS balance FROM read_text('{secret.path}')"
        )
    assert totals(a_plan(), held(Location("duckdb", str(path), "rows"))) == (1,)
    places = [Location("duckdb", str(path), view) for view in ("peeking", "globbing", "text")]
    places += [
        Location("csv", str(tmp_path / "secre?.csv")),
        Location("csv", str(tmp_path / "*.csv")),
        Location("parquet", str(tmp_path / "**")),
        Location("csv", f"{secret.path}', '/etc/passwd"),
        Location("duckdb", str(path), f"rows\" UNION SELECT * FROM read_csv('{secret.path}') --"),
        Location("duckdb", str(path), 'rows", "rows'),
        Location("csv", "/https://example.org/x.csv"),
    ]
    (tmp_path / "s[ae]cret.csv").write_text("person,region,balance\nown,north,5\n")
    (tmp_path / "sacret.csv").write_text("person,region,balance\nothers,north,5\nothers,north,5\n")
    places.append(Location("csv", str(tmp_path / "s[ae]cret.csv")))
    for place in places:
        with pytest.raises(SourceFault) as caught:
            totals(a_plan(), held(place))
        check_words(caught.value)


@pytest.mark.parametrize("kind", ["duckdb", "parquet", "csv"])
def test_the_engine_is_locked_before_anything_is_read(tmp_path, kind):
    location = table(tmp_path, "SELECT 'p' AS person, 'north' AS region, 5 AS balance", kind)
    other = csv_file(tmp_path, "a\n1\n", "other.csv")
    settings = dict(
        run(
            location,
            "SELECT name, value FROM duckdb_settings() WHERE name IN "
            "('enable_external_access', 'lock_configuration', 'autoinstall_known_extensions', 'autoload_known_extensions')",
            {},
        )
    )
    assert settings == {
        "enable_external_access": "false",
        "lock_configuration": "true",
        "autoinstall_known_extensions": "false",
        "autoload_known_extensions": "false",
    }
    out = tmp_path / "out.csv"
    for statement in (
        "SET enable_external_access = true",
        "SET allowed_directories = ['/']",
        "RESET lock_configuration",
        f"SELECT * FROM read_csv('{other.path}')",
        "SELECT * FROM read_text('/etc/passwd')",
        f"ATTACH '{tmp_path / 'new.duckdb'}' AS fresh",
        f"COPY (SELECT 1) TO '{out}'",
        "INSTALL httpfs",
        "LOAD httpfs",
    ):
        with pytest.raises(SourceFault):
            run(location, statement, {})
    assert not out.exists()
    assert not (tmp_path / "new.duckdb").exists()


def test_the_source_is_opened_for_reading_only(tmp_path):
    location = table(tmp_path, "SELECT 'p' AS person, 'north' AS region, 5 AS balance")
    before = Path(location.path).read_bytes()
    for statement in ("DROP TABLE source.rows", "INSERT INTO source.rows VALUES ('q', 'x', 1)"):
        with pytest.raises(SourceFault):
            run(location, statement, {})
    totals(a_plan(), held(location))
    assert Path(location.path).read_bytes() == before
    assert sorted(entry.name for entry in tmp_path.iterdir()) == [Path(location.path).name]


def test_missing_corrupt_and_foreign_files_are_faults(tmp_path):
    good = table(tmp_path, "SELECT 'p' AS person, 'north' AS region, 5 AS balance")
    data = bytearray(Path(good.path).read_bytes())
    data[8:4096] = b"\xff" * (4096 - 8)
    (tmp_path / "corrupt.duckdb").write_bytes(data)
    (tmp_path / "short.parquet").write_bytes(b"PAR1\x00\x00PAR1")
    os.mkfifo(tmp_path / "pipe.csv")
    for location in (
        Location("duckdb", str(tmp_path / "absent.duckdb"), "rows"),
        Location("csv", str(tmp_path / "absent.csv")),
        Location("parquet", str(tmp_path / "absent.parquet")),
        Location("duckdb", str(tmp_path / "corrupt.duckdb"), "rows"),
        Location("parquet", str(tmp_path / "short.parquet")),
        Location("parquet", good.path),
        Location("csv", good.path),
        Location("csv", str(tmp_path)),
        Location("parquet", "/dev/zero"),
        Location("csv", "/dev/zero"),
        Location("csv", str(tmp_path / "pipe.csv")),
        Location("parquet", str(tmp_path / "pipe.csv")),
    ):
        for read in (inspect, lambda place: totals(a_plan(), held(place))):
            with pytest.raises(SourceFault) as caught:
                read(location)
            check_words(caught.value)
    assert not (tmp_path / "absent.duckdb").exists()


def test_a_file_that_another_process_writes_is_a_fault(tmp_path):
    location = table(tmp_path, "SELECT 'p' AS person, 'north' AS region, 5 AS balance")
    script = f"import duckdb, sys; c = duckdb.connect({location.path!r}); print('held', flush=True); sys.stdin.read()"
    with subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as writer:
        assert writer.stdout.readline() == b"held\n"
        with pytest.raises(SourceFault) as caught:
            inspect(location)
        check_words(caught.value)
        writer.stdin.close()
    assert inspect(location) == {"person": "VARCHAR", "region": "VARCHAR", "balance": "INTEGER"}


@pytest.mark.parametrize(
    "location",
    [("csv", "relative.csv", ""), ("csv", "/x.csv", "t"), ("duckdb", "/x", ""), ("json", "/x", ""), ("", "/x", "")],
)
def test_a_location_is_an_absolute_path_of_a_known_kind(location):
    with pytest.raises(Malformed):
        Location(*location)


def test_a_dataset_reads_back_as_it_was_written(tmp_path):
    mapping = {"person": Field(source='c"x'), "region": Field(constant="东")}
    dataset = held(Location("csv", str(tmp_path / "x.csv")), mapping)
    assert Dataset.from_json(dataset.to_json()) == dataset
    for broken in (
        {},
        None,
        [],
        {**dataset.to_json(), "mapping": 5},
        {**dataset.to_json(), "location": {"kind": "csv"}},
    ):
        with pytest.raises(Malformed):
            Dataset.from_json(broken)


def test_values_travel_as_parameters_never_in_the_statement(tmp_path):
    location = table(tmp_path, "SELECT 'p' AS person, 'north' AS region, 5 AS balance")
    evil = "x'); DROP TABLE rows; --"
    standard = with_column(CREDIT, "region", domain=("north", evil))
    where = (OneOf("region", (evil, "'; --")),)
    plan = a_plan(groups=[ByCase(((where[0], evil),), "'; --")], where=where, standard=standard)
    mapping = {"person": SELF["person"], "region": SELF["region"], "product": Field(constant=evil)}
    dataset = held(location, mapping, standard)
    view, parameters = print_view(dataset, sampling_key=KEY)
    cells = print_cells(plan, standard, mapped=mapping).text
    assert evil not in view + cells
    assert "'" not in cells  # no text at all: categories are told by their position
    texts = [("north", evil), CREDIT.column("product").domain]
    assert sorted(map(str, parameters.values())) == sorted([evil, KEY.hex(), *(str(list(text)) for text in texts)])
    assert all(f"${name}" in view for name in parameters)
    assert totals(plan, dataset) == (0, 0)


# -- the bound on rows -----------------------------------------------------------------------------------------------


def crowd(tmp_path, people, *, seed=1, name="crowd"):
    """People with many rows each, every row with its own amount so that the kept ones can be told from sums."""
    choose = random.Random(seed)
    rows = [(person, "north", 1 << bit) for person, count in people.items() for bit in range(count)]
    choose.shuffle(rows)
    path = tmp_path / f"{name}.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([NAMES, *rows])
    return held(Location("csv", str(path)))


PEOPLE = tuple(f"{letter}{number}" for letter in "pq" for number in ["", *range(12)])


def kept(dataset, person, *, bound, key=KEY, also=(), where=()):
    """Which rows of a person count, as bits of the sum of their amounts; the person's name stands in a category, too."""
    standard = with_column(replace(CREDIT, rows_per_unit=bound), "product", domain=PEOPLE)
    standard = with_column(standard, "balance", bounds=Bounds(0, 1 << 40))
    mapping = {**dataset.mapping, "product": Field(source="person")}
    named = replace(dataset, standard=standard, mapping=mapping)
    plan = a_plan(Sum(BALANCE), *also, where=[OneOf("product", (person,)), *where], standard=standard)
    return totals(plan, named, key)[plan.place(Sum(BALANCE).key)] // 100


@pytest.mark.parametrize("bound", [1, 3, 6])
def test_at_most_so_many_rows_of_a_person_count(tmp_path, bound):
    people = {f"p{i}": number for i, number in enumerate([1, 2, 3, 5, 8, 20])}
    dataset = crowd(tmp_path, people)
    for person, number in people.items():
        rows = kept(dataset, person, bound=bound)
        assert rows.bit_count() == min(bound, number)
        assert rows < 1 << number
    bounded = replace(dataset, standard=replace(CREDIT, rows_per_unit=bound))
    assert count(bounded) == sum(min(bound, number) for number in people.values())


def test_the_same_rows_count_for_every_plan(tmp_path):
    dataset = crowd(tmp_path, {"p": 20, "q": 20})
    rows = kept(dataset, "p", bound=6)
    assert kept(dataset, "p", bound=6, also=(CountRows(), CountKnown("region"))) == rows
    assert kept(dataset, "p", bound=6, where=[OneOf("region", ("north",))]) == rows
    # a filter applies to the rows that were kept; it does not make room for others
    for bit in range(20):
        one = kept(dataset, "p", bound=6, where=[Between(BALANCE, 100 << bit, 100 << bit)])
        assert one == rows & 1 << bit
    assert kept(dataset, "p", bound=3) & rows == kept(dataset, "p", bound=3)
    assert kept(dataset, "p", bound=20) == (1 << 20) - 1


def test_the_rows_that_count_depend_on_nobody_else_nor_on_their_order(tmp_path):
    mine = kept(crowd(tmp_path, {"p": 20}), "p", bound=6)
    for seed in range(4):
        others = {"p": 20, **{f"other{i}": i % 25 + 1 for i in range(seed * 150)}}
        assert kept(crowd(tmp_path, others, seed=seed, name=f"crowd-{seed}"), "p", bound=6) == mine


def test_the_rows_that_count_change_with_the_key_and_look_drawn(tmp_path):
    dataset = crowd(tmp_path, {"p": 20})
    drawn = [kept(dataset, "p", bound=6, key=bytes([i]) * 32) for i in range(40)]
    assert len(set(drawn)) == 40
    # each of 20 rows is kept with probability 0.3: 12 of 40 expected, outside 1 to 28 once in 10,000 runs at most
    for bit in range(20):
        assert 1 <= sum(rows >> bit & 1 for rows in drawn) <= 28


def test_persons_with_equal_rows_keep_rows_of_their_own_choice(tmp_path):
    dataset = crowd(tmp_path, {f"p{i}": 20 for i in range(12)})
    assert len({kept(dataset, f"p{i}", bound=6) for i in range(12)}) > 10
