"""Reading rows: what a cell means is written down, and nothing in a table can break, bend or leak through it."""

import csv
import os
import random
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import duckdb
import pytest

from exchange.node import source
from exchange.node.source import Dataset, Field, Location, SourceFault, clip, inspect, print_sql
from exchange.standards import shipped
from privacy.errors import Malformed
from privacy.plan import Between, CountPresent, CountRows, CountValid, GroupBy, OneOf, Plan, Sum
from privacy.terms import Bounds

CREDIT = shipped("consumer_credit/1")
KEY = bytes(range(32))
SELF = {column.name: Field(source=column.name) for column in CREDIT.columns}
NAMES = ("person", "region", "balance")


def a_plan(*measures, groups=(), where=(), rows_per_unit=1_000):
    return Plan(
        standard=CREDIT.id,
        standard_digest=CREDIT.digest,
        purpose="credit-risk-statistics",
        parties=("bank-a",),
        rows_per_unit=rows_per_unit,
        institutions_per_unit=2,
        groups=tuple(GroupBy(name, CREDIT.column(name).domain) for name in groups),
        where=tuple(where),
        measures=measures or (CountRows(),),
        rho=1_000_000,
    )


def held(location, mapping=None):
    names = mapping or {name: SELF[name] for name in NAMES}
    return Dataset("accounts", "Accounts", CREDIT, "people", location, names, "2026-10-31")


def totals(plan, dataset, key=KEY):
    return clip(plan, dataset, sampling_key=key).totals


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
    # -5000 to 2000000: low enough to see negative values pass
    plan = a_plan(CountRows(), CountPresent("balance"), Sum("balance", Bounds(-5_000, 2_000_000)))
    expected = (int(units is not None), 1, units or 0)
    assert [measure.key for measure in plan.measures] == ["count(*)", "count(balance)", "sum(balance)"]
    assert totals(plan, dataset) == (1, expected[0], expected[2])
    passes = totals(a_plan(where=[Between("balance", Bounds(-(1 << 52), 1 << 52))]), dataset)
    assert passes == (expected[0],)


def test_values_out_of_bounds_are_clipped_in_sums_and_filtered_as_they_are(tmp_path):
    rows = "SELECT 'p' || i AS person, 'north' AS region, v AS balance FROM "
    rows += "(VALUES (1, -1e6), (2, -0.01), (3, 0), (4, 5), (5, 200000), (6, 200000.01), (7, 1e17), (8, NULL)) t(i, v)"
    dataset = held(table(tmp_path, rows))
    bounds = CREDIT.column("balance").bounds
    assert totals(a_plan(Sum("balance", bounds)), dataset) == (500 + 3 * 20_000_000,)
    assert totals(a_plan(Sum("balance", Bounds(100, 400))), dataset) == (3 * 100 + 4 * 400,)
    assert totals(a_plan(Sum("balance", Bounds(-300, -200))), dataset) == (-300 - 6 * 200,)
    assert totals(a_plan(CountValid("balance")), dataset) == (3,)
    assert totals(a_plan(CountPresent("balance")), dataset) == (7,)
    assert totals(a_plan(where=[Between("balance", Bounds(20_000_001, 1 << 52))]), dataset) == (1,)
    assert totals(a_plan(where=[Between("balance", Bounds(-(1 << 52), -1))]), dataset) == (2,)


@pytest.mark.parametrize("kind", ["duckdb", "parquet", "csv"])
def test_categories_outside_the_domain_fall_into_no_group(tmp_path, kind):
    values = ["north", "North", "north ", "mars", "", "中文", "n'orth", 'n"orth', "EAST", "east", "0", "NULL"]
    listed = ", ".join(f"('p{i}', '{value.replace(chr(39), chr(39) * 2)}', 1)" for i, value in enumerate(values))
    location = table(tmp_path, f"SELECT * FROM (VALUES {listed}, ('px', NULL, 1)) t(person, region, balance)", kind)
    dataset = held(location)
    plan = a_plan(CountRows(), groups=["region"])
    assert totals(plan, dataset) == tuple(int(name in {"north", "east"}) for name in CREDIT.column("region").domain)
    assert totals(a_plan(CountRows()), dataset) == (13,)
    assert totals(a_plan(CountPresent("region")), dataset) == (11,)  # an empty text is NULL in every format
    assert totals(a_plan(CountValid("region")), dataset) == (2,)
    assert totals(a_plan(where=[OneOf("region", ("mars", "n'orth"))]), dataset) == (2,)


@pytest.mark.parametrize("kind", ["duckdb", "parquet", "csv"])
def test_rows_without_a_person_are_left_out_and_identifiers_stay_texts(tmp_path, kind):
    rows = "(VALUES (NULL, 1), ('', 1), ('007', 1), ('7', 1), (' 7', 1), ('张三', 1), ('p', 1), ('P', 1), ('p', 1))"
    location = table(tmp_path, f"SELECT person, 'north' AS region, balance FROM {rows} t(person, balance)", kind)
    assert totals(a_plan(CountRows()), held(location)) == (7,)
    # '007', '7' and ' 7' are three people, 'p' and 'P' two
    assert totals(a_plan(CountRows(), rows_per_unit=1), held(location)) == (6,)


@pytest.mark.parametrize("kind", ["duckdb", "parquet"])
def test_dates_and_numbers_in_a_category_are_compared_as_texts(tmp_path, kind):
    rows = "SELECT i AS person, DATE '2020-01-01' AS region, i AS month, 1.5 AS balance FROM range(1, 13) t(i)"
    mapping = {name: SELF[name] for name in (*NAMES, "month")}
    dataset = held(table(tmp_path, rows, kind), mapping)
    assert totals(a_plan(where=[OneOf("region", ("2020-01-01",))]), dataset) == (12,)
    assert totals(a_plan(groups=["month"]), dataset) == (0,) * 9 + (1,) * 3  # '1' is not '01'


@pytest.mark.parametrize("kind", ["duckdb", "parquet", "csv"])
def test_whole_rows_that_repeat_count_as_often_as_the_bound_allows(tmp_path, kind):
    rows = "SELECT 'p' AS person, 'north' AS region, 2.5 AS balance FROM range(5)"
    dataset = held(table(tmp_path, rows, kind))
    for bound, counted in ((1, 1), (3, 3), (5, 5), (9, 5)):
        plan = a_plan(CountRows(), Sum("balance", Bounds(0, 1000)), rows_per_unit=bound)
        assert totals(plan, dataset) == (counted, counted * 250)


NASTY = ['he said "x"', "it's", "two words", "余额", "select", "order", "rank of row", "a;b", "a,b", "person", "?", "$1", "%s", "{x}", "--", "held", "*"]  # fmt: skip


@pytest.mark.parametrize("kind", ["duckdb", "parquet", "csv"])
@pytest.mark.parametrize("name", NASTY)
def test_columns_of_any_name_are_read(tmp_path, kind, name):
    quoted = '"' + name.replace('"', '""') + '"'
    location = table(tmp_path, f"SELECT 'p1' AS cust, 'north' AS {quoted}, 5 AS amount", kind)
    assert name in inspect(location)
    mapping = {"person": Field(source="cust"), "region": Field(source=name), "balance": Field(source="amount")}
    assert totals(a_plan(groups=["region"]), held(location, mapping)) == (1, 0, 0, 0, 0)


@pytest.mark.parametrize("kind", ["duckdb", "parquet", "csv"])
@pytest.mark.parametrize("folder", ["it's", "账户 数据", "region=south", "a;b -- c", 'x"y'])
def test_a_path_is_a_path_and_says_nothing_about_the_rows(tmp_path, kind, folder):
    home = tmp_path / folder
    home.mkdir()
    plain = Path(table(tmp_path, "SELECT 'p1' AS person, 'north' AS region, 5 AS balance", kind).path)
    moved = Location(kind, str(plain.rename(home / plain.name)), "rows" if kind == "duckdb" else "")
    assert totals(a_plan(groups=["region"]), held(moved)) == (1, 0, 0, 0, 0)


def test_mapped_columns_are_columns_of_the_source_only(tmp_path):
    # without the column, "balance" must not be taken for the standard's column of that name, selected before
    location = table(tmp_path, "SELECT 'p1' AS cust, 7 AS bal")
    swapped = {"balance": Field(source="bal"), "person": Field(source="balance")}
    with pytest.raises(SourceFault):
        totals(a_plan(), held(location, swapped))
    crossed = table(tmp_path, "SELECT 'north' AS person, 'p1' AS region, 5 AS balance")
    mapping = {"person": Field(source="region"), "region": Field(source="person"), "balance": SELF["balance"]}
    assert totals(a_plan(groups=["region"]), held(crossed, mapping)) == (1, 0, 0, 0, 0)


def test_constants_stand_for_every_row(tmp_path):
    location = table(tmp_path, "SELECT 'p' || i AS person FROM range(4) t(i)")
    mapping = {
        "person": SELF["person"],
        "region": Field(constant="east"),
        "product": Field(constant="it's ' OR 1=1 --"),
        "balance": Field(constant="2.50"),
        "income": Field(constant="plenty"),
    }
    plan = a_plan(CountRows(), Sum("balance", Bounds(0, 1000)), CountPresent("income"), groups=["region"])
    # one filter value per kind keeps the order of parameters in view
    plan = replace(plan, where=(OneOf("product", ("it's ' OR 1=1 --", "other")),))
    assert totals(plan, held(location, mapping)) == (0, 4, 0, 0, 0) + (0,) * 5 + (0, 1000, 0, 0, 0)
    assert totals(replace(plan, where=(OneOf("product", ("card",)),)), held(location, mapping)) == (0,) * 15


def test_an_empty_table_answers_with_zeros(tmp_path):
    for kind in ("duckdb", "parquet", "csv"):
        location = table(tmp_path, "SELECT 'p' AS person, 'north' AS region, 5 AS balance WHERE FALSE", kind)
        plan = a_plan(CountRows(), Sum("balance", Bounds(0, 9)), CountPresent("balance"))
        assert totals(plan, held(location)) == (0, 0, 0)
        assert totals(replace(plan, groups=(GroupBy("region", ("north", "mars")),)), held(location)) == (0,) * 6


def test_sums_do_not_overflow(tmp_path):
    rows = "SELECT 'p' || i AS person, 'north' AS region, 40000000000000::BIGINT AS balance FROM range(100000) t(i)"
    dataset = held(table(tmp_path, rows))
    widest = (1 << 53) - 1
    assert totals(a_plan(Sum("balance", Bounds(0, widest))), dataset) == (100_000 * 4_000_000_000_000_000,)
    assert totals(a_plan(Sum("balance", Bounds(widest, widest))), dataset) == (100_000 * widest,)  # beyond 64 bits


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
        texts = tuple(value for value in some if value)
        plan = a_plan(CountRows(), CountPresent("region"), CountPresent("product"))
        plan = replace(plan, groups=(GroupBy("region", texts or ("none",)),))
        counted = [sum(row[1] == value for row in rows) for value in texts] or [0]
        with_both = [sum(row[1] == value and row[2] != "" for row in rows) for value in texts] or [0]
        assert totals(plan, dataset) == (*counted, *with_both, *counted), seed
        assert totals(a_plan(), dataset) == (len(rows),)


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
    bounds = CREDIT.column("balance").bounds
    measures = (
        CountRows(),
        CountPresent("balance"),
        CountValid("region"),
        CountValid("balance"),
        Sum("balance", bounds),
    )
    plan = a_plan(*measures, rows_per_unit=1)
    assert totals(plan, dataset)[1:] == (0, 0, 0, 0)
    assert CANARY not in repr(clip(plan, dataset, sampling_key=KEY))


def test_the_answer_of_a_fault_never_depends_on_the_table(tmp_path):
    path = tmp_path / "rows.duckdb"
    with duckdb.connect(path) as engine:
        engine.execute(f"CREATE TABLE rows AS SELECT '{CANARY}' AS person, '{CANARY}' AS region, '{CANARY}' AS balance")
        engine.execute("CREATE VIEW shouting AS SELECT error('row ' || person) AS person, region, balance FROM rows")
        engine.execute("CREATE VIEW casting AS SELECT person, region, balance::INTEGER AS balance FROM rows")
    for name in ("shouting", "casting", "absent", CANARY):
        with pytest.raises(SourceFault) as caught:
            totals(a_plan(Sum("balance", Bounds(0, 9))), held(Location("duckdb", str(path), name)))
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
        source._run(
            location,
            "SELECT name, value FROM duckdb_settings() WHERE name IN "
            "('enable_external_access', 'lock_configuration', 'autoinstall_known_extensions', 'autoload_known_extensions')",
            [],
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
            source._run(location, statement, [])
    assert not out.exists()
    assert not (tmp_path / "new.duckdb").exists()


def test_the_source_is_opened_for_reading_only(tmp_path):
    location = table(tmp_path, "SELECT 'p' AS person, 'north' AS region, 5 AS balance")
    before = Path(location.path).read_bytes()
    for statement in ("DROP TABLE source.rows", "INSERT INTO source.rows VALUES ('q', 'x', 1)"):
        with pytest.raises(SourceFault):
            source._run(location, statement, [])
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
    plan = a_plan(CountRows(), where=[OneOf("region", (evil,))])
    mapping = {"person": SELF["person"], "region": SELF["region"], "product": Field(constant=evil)}
    statement, parameters = print_sql(plan, held(location, mapping), sampling_key=KEY)
    assert evil not in statement
    assert parameters == [evil, KEY.hex(), evil]
    assert statement.count("?") == len(parameters)


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


AMOUNT = Sum("balance", Bounds(0, 1 << 40))


def kept(dataset, person, *, bound, key=KEY, also=(), where=()):
    """Which rows of a person count, as bits of the sum of their amounts."""
    plan = a_plan(AMOUNT, *also, where=[OneOf("person", (person,)), *where], rows_per_unit=bound)
    total = totals(plan, dataset, key)[-plan.groups_count * 1 :][0]
    return total // 100


@pytest.mark.parametrize("bound", [1, 3, 6])
def test_at_most_so_many_rows_of_a_person_count(tmp_path, bound):
    people = {f"p{i}": count for i, count in enumerate([1, 2, 3, 5, 8, 20])}
    dataset = crowd(tmp_path, people)
    for person, count in people.items():
        rows = kept(dataset, person, bound=bound)
        assert rows.bit_count() == min(bound, count)
        assert rows < 1 << count
    assert totals(a_plan(rows_per_unit=bound), dataset) == (sum(min(bound, count) for count in people.values()),)


def test_the_same_rows_count_for_every_plan(tmp_path):
    dataset = crowd(tmp_path, {"p": 20, "q": 20})
    rows = kept(dataset, "p", bound=6)
    assert kept(dataset, "p", bound=6, also=(CountRows(), CountPresent("region"))) == rows
    assert kept(dataset, "p", bound=6, where=[OneOf("region", ("north",))]) == rows
    # a filter applies to the rows that were kept; it does not make room for others
    for bit in range(20):
        alone = kept(dataset, "p", bound=6, where=[Between("balance", Bounds(100 << bit, 100 << bit))])
        assert alone == rows & 1 << bit
    assert kept(dataset, "p", bound=3) & rows == kept(dataset, "p", bound=3)
    assert kept(dataset, "p", bound=20) == (1 << 20) - 1


def test_the_rows_that_count_depend_on_nobody_else_nor_on_their_order(tmp_path):
    alone = kept(crowd(tmp_path, {"p": 20}), "p", bound=6)
    for seed in range(4):
        others = {"p": 20, **{f"q{i}": i % 25 + 1 for i in range(seed * 150)}}
        assert kept(crowd(tmp_path, others, seed=seed, name=f"crowd-{seed}"), "p", bound=6) == alone


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
