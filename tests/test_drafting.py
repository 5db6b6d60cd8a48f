"""Drafts: identifiers are recognised, nothing half-read is registered, and hostile files are named before they are read."""

import csv
import gzip
import os
import random
import struct

import duckdb
import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from api import cli
from exchange.node.drafting import is_card_number, is_credit_code, is_phone, is_resident_number, looks_like
from exchange.node.engine import Location, SourceFault
from exchange.node.registration import register
from exchange.node.vault import Vault, create
from exchange.standards import shipped
from privacy.errors import Malformed
from tests.sources import admit, draft

CREDIT = shipped("consumer_credit/1")


def resident(draw):
    """A number with its check character, by the sum of GB 11643 written the other way round: all weights are 2**i mod 11."""
    digits = f"{draw.randint(11, 65)}{draw.randint(0, 9999):04}{draw.randint(1950, 2005)}{draw.randint(1, 12):02}"
    digits += f"{draw.randint(1, 28):02}{draw.randint(0, 999):03}"
    left = -sum(int(digit) * 2 ** (17 - place) for place, digit in enumerate(digits)) % 11
    return digits + "0123456789X"[(left + 1) % 11]


def card(draw):
    digits = [draw.randint(1, 9), *(draw.randint(0, 9) for _ in range(17))]
    total = sum(
        sum(divmod(digit * 2, 10)) if place % 2 else digit for place, digit in enumerate(reversed([*digits, 0]))
    )
    return "".join(map(str, digits)) + str(-total % 10)


def test_published_examples_of_identifiers_are_recognised():
    assert is_resident_number("11010519491231002X")  # the example of GB 11643
    assert not is_resident_number("110105194912310021")
    assert not is_resident_number("11010519491331002X")
    assert is_card_number("4111111111111111")
    assert not is_card_number("4111111111111112")
    assert is_credit_code("91350100M000100Y43")  # the example of GB 32100
    assert not is_credit_code("91350100M000100Y44")
    assert is_phone("13800138000")
    assert is_phone("+86 13800138000")
    assert not is_phone("23800138000")


@given(st.randoms(use_true_random=False))
def test_identifiers_made_by_another_formula_are_recognised_and_one_wrong_digit_is_not(draw):
    for made, test in ((resident(draw), is_resident_number), (card(draw), is_card_number)):
        assert test(made)
        place = draw.randrange(6)
        wrong = made[:place] + str((int(made[place]) + draw.randint(1, 9)) % 10 or 9) + made[place + 1 :]
        assert wrong == made or not test(wrong)


def test_columns_of_identifiers_are_told_from_columns_of_numbers():
    draw = random.Random(5)
    for made, named, level in (
        ([resident(draw) for _ in range(200)], "resident", 4),
        ([card(draw) for _ in range(200)], "card", 4),
        ([f"1{draw.randint(30, 99)}{draw.randint(0, 10**8 - 1):08}" for _ in range(200)], "mobile", 4),
        ([f"u{i}@bank.cn" for i in range(200)], "mail", 4),
        ([f"C{draw.randint(0, 10**9):09}" for _ in range(200)], "one row each", 3),
    ):
        name, found = looks_like(made)
        assert named in name
        assert found == level
    for plain in (
        [str(draw.randint(0, 5000)) for _ in range(200)],
        [f"{draw.random() * 1e6:.2f}" for _ in range(200)],
        [f"20{draw.randint(10, 25)}-{draw.randint(1, 12):02}-{draw.randint(1, 28):02}" for _ in range(200)],
        ["north", "south"] * 100,
        ["16" + "0" * 14] * 3,
        [],
    ):
        assert looks_like(plain) is None


@pytest.fixture
def table(tmp_path):
    draw = random.Random(3)
    path = tmp_path / "Loans 2026.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        out = csv.writer(file)
        out.writerow(["id_card", "region_name", "prod", "bal", "months_late", "open_date", "mobile"])
        for _ in range(500):
            day = f"20{draw.randint(0, 25):02}-{draw.randint(1, 12):02}-{draw.randint(1, 28):02}"
            out.writerow([resident(draw), draw.choice(["north", "east"]), draw.choice(["card", "car"]),
                          f"{draw.random() * 1e5:.2f}", draw.randint(0, 9), day, f"138{draw.randint(0, 10**8 - 1):08}"])  # fmt: skip
    return path


def test_a_draft_maps_what_it_recognises_with_reasons_and_raises_the_level(table):
    told = draft(Location("csv", str(table)), CREDIT)
    mapping = {name: field["source"] for name, field in told["dataset"]["mapping"].items()}
    assert mapping["person"] == "id_card"
    assert mapping["region"] == "region_name"
    assert mapping["product"] == "prod"
    assert mapping["balance"] == "bal"
    assert mapping["months_overdue"] == "months_late"
    assert mapping["opened"] == "open_date"
    assert "mobile" not in mapping.values()
    assert told["dataset"]["declared"] == {"level": 4}
    assert any("mobile" in warning for warning in told["warnings"])
    for why in told["columns"].values():
        assert 0.45 <= why["confidence"] <= 1
        assert why["reason"]
    # bounds are the public ones, never the data's
    assert told["columns"]["balance"]["bounds"] == [0, 20_000_000]


def test_a_draft_is_not_registered_before_somebody_completes_it(table, tmp_path):
    told = draft(Location("csv", str(table)), CREDIT)["dataset"]
    create(tmp_path / "node", party="bank-a")
    vault = Vault.open(tmp_path / "node", clock=lambda: 0)
    try:
        policy = {
            "owner": "bank-a", "dataset": told["name"], "standard": CREDIT.id, "version": 1, "everyone": 1, "partner": 1,
            "grants": [], "bounds": {}, "domains": {}, "pledging": None,
        }  # fmt: skip
        for missing in ("title", "population", "refreshed"):
            complete = told | {"title": "Loans", "population": "p", "refreshed": "2026-10-31"}
            with pytest.raises(Malformed):
                register(vault, dataset=complete | {missing: ""}, policy=policy)
        assert register(vault, dataset=complete, policy=policy).declared.level == 4
    finally:
        vault.close()


def test_no_value_of_a_row_is_in_a_draft(table):
    told = repr(draft(Location("csv", str(table)), CREDIT))
    with table.open(encoding="utf-8") as file:
        for row in list(csv.reader(file))[1:50]:
            assert row[0] not in told
            assert row[3] not in told
            assert row[6] not in told


def test_the_command_writes_a_document(table, tmp_path):
    target = tmp_path / "dataset.json"
    command = ["node", "draft", str(table), "--standard", "consumer_credit/1", "-o", str(target)]
    done = CliRunner().invoke(cli.app, command)
    assert done.exit_code == 0, done.output
    assert '"loans_2026"' in target.read_text("utf-8")


@pytest.mark.parametrize("kind", ["parquet", "duckdb"])
def test_other_kinds_are_drafted_too(table, tmp_path, kind):
    path = tmp_path / f"x.{kind}"
    if kind == "parquet":
        duckdb.sql(f"SELECT * FROM read_csv('{table}')").write_parquet(str(path))
        location = Location(kind, str(path))
    else:
        with duckdb.connect(str(path)) as made:
            made.execute(f"CREATE TABLE loans AS SELECT * FROM read_csv('{table}')")
        location = Location(kind, str(path), "loans")
    assert draft(location, CREDIT)["dataset"]["mapping"]["person"] == {"source": "id_card"}


# -- wrong and hostile files -------------------------------------------------------------------------------------------


def parquet_of(path, sql):
    duckdb.sql(sql).write_parquet(str(path))
    return path.read_bytes()


def bad_files(path):
    good = parquet_of(path.with_name("good.parquet"), "SELECT range AS a FROM range(1000)")
    wide = ",".join(f"c{i}" for i in range(3000))
    return [
        ("csv", b"", "empty"),
        ("csv", gzip.compress(b"a,b\n1,2\n"), "gzip"),
        ("csv", b"PK\x03\x04rest", "ZIP|Excel"),
        ("csv", "a,b\n1,2\n".encode("utf-16"), "UTF-16"),
        ("csv", "姓名,金额\n张,2\n".encode("gbk"), "UTF-8"),
        ("csv", b"a,b\n1,\x00\n", "zero bytes"),
        ("csv", b"x" * 200_000, "first line"),
        ("csv", wide.encode() + b"\n", "columns"),
        ("csv", b"a,A\n1,2\n", "same name"),
        ("csv", b'a,"b\n1,2\n', "never closed"),
        ("csv", b"a," + b"n" * 300 + b"\n1,2\n", "longer than"),
        ("csv", good, "Parquet file"),
        ("csv", b"<html>", "page"),
        ("csv", b"%PDF-1.7", "PDF"),
        ("parquet", good[:-5], "whole Parquet"),
        ("parquet", b"a,b\n1,2\n", "whole Parquet"),
        ("parquet", good[:-8] + struct.pack("<I", 1 << 31) + b"PAR1", "whole Parquet"),
        ("parquet", good[:-8] + struct.pack("<I", 5) + b"PAR1", "cannot be read|whole"),
        ("parquet", b"PARE" + good[4:-4] + b"PARE", "encrypted"),
        ("duckdb", b"SQLite format 3\x00" + bytes(100), "SQLite"),
        ("duckdb", b"x" * 100, "not a DuckDB"),
    ]


def test_wrong_files_are_named_for_what_they_are_without_echo(tmp_path):
    for number, (kind, data, named) in enumerate(bad_files(tmp_path / "x")):
        path = tmp_path / f"bad-{number}"
        path.write_bytes(data)
        with pytest.raises(SourceFault, match=named) as refused:
            admit(Location(kind, str(path), "t" if kind == "duckdb" else ""))
        assert refused.value.fix
        assert str(tmp_path) not in str(refused.value)


@pytest.mark.parametrize("mark", [b"<", b"PK\x03\x04", b"\x1f\x8b", b"\xff\xfe", b"%PDF", b"PAR1"])
def test_a_database_may_begin_like_anything_since_its_checksum_does(tmp_path, mark):
    path = tmp_path / "held.duckdb"
    with duckdb.connect(str(path)) as made:
        made.execute("CREATE TABLE t (a INTEGER)")
    path.write_bytes(mark + path.read_bytes()[len(mark) :])
    admit(Location("duckdb", str(path), "t"))


def test_what_is_no_plain_file_is_refused_without_being_read(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    for path in (tmp_path / "pipe", tmp_path, tmp_path / "loop", tmp_path / "none", "/dev/zero", "/dev/full"):
        with pytest.raises(SourceFault):
            admit(Location("csv", str(path)))


def test_a_file_of_a_terabyte_is_refused_by_its_size(tmp_path):
    path = tmp_path / "huge.csv"
    with path.open("wb") as file:
        file.truncate((1 << 40) + 1)  # sparse: it takes no room
    with pytest.raises(SourceFault, match="1 TiB"):
        admit(Location("csv", str(path)))


def test_a_small_file_that_unpacks_to_gigabytes_is_refused_by_its_own_description(tmp_path, monkeypatch):
    path = tmp_path / "bomb.parquet"
    parquet_of(path, "SELECT repeat('x', 1000) AS a FROM range(20000)")
    admit(Location("parquet", str(path)))
    from exchange.node import admission

    monkeypatch.setattr(admission, "described", lambda _, *, engines: (1000, 1, 30 << 30))
    with pytest.raises(SourceFault, match="thousands of times"):
        admit(Location("parquet", str(path)))
    monkeypatch.setattr(admission, "described", lambda _, *, engines: (-5, 1, 10))
    with pytest.raises(SourceFault, match="impossible"):
        admit(Location("parquet", str(path)))
    monkeypatch.setattr(admission, "described", lambda _, *, engines: (5, 3000, 10))
    with pytest.raises(SourceFault, match="columns"):
        admit(Location("parquet", str(path)))


def test_ordinary_files_are_let_in(tmp_path):
    path = tmp_path / "x.csv"
    for data in ("a,b\n1,2\n", "\ufeffa;b\r\n1;2\r\n", '"a,x",b\n1,2\n', "a\n", "姓名\t金额\n" + "张\t1\n" * 50_000):
        path.write_text(data, "utf-8", newline="")
        admit(Location("csv", str(path)))
