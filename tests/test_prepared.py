"""Prepared tables answer as the rows themselves do, survive every end of the process, and are renewed to the same."""

import os
import random
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exchange.node import prepared
from exchange.node.engine import SourceFault
from exchange.node.source import Field
from privacy.plan import CountRows, CountUnits, Plan
from tests import reference, sources
from tests.sources import clip, inspect
from tests.strategies import DOMAINS, NUMBERS, STANDARD, plans, tables

ROOT = Path(__file__).parents[1]
KEY = bytes(range(32))


def opened(directory, key=KEY):
    return sources.prepared(Path(directory) / "prepared", sampling_key=key)


def count_rows(*measures):
    return Plan(
        standard=STANDARD.id,
        standard_digest=STANDARD.digest,
        purpose="credit-risk-statistics",
        parties=("bank-a",),
        rows_per_unit=STANDARD.rows_per_unit,
        institutions_per_unit=2,
        groups=(),
        where=(),
        measures=measures or (CountRows(), CountUnits()),
        rho=1_000_000,
    )


def raw(choose, *, people, rows):
    """Raw rows of some people, more than may count of many of them."""

    def cell(column):
        if column.domain:
            return choose.choice([None, "elsewhere", *column.domain * 3])
        if column.bounds is None:
            return f"p{choose.randint(1, people)}" if choose.random() < 0.98 else None
        low, high = column.bounds.lower, column.bounds.upper
        return choose.choice([None, "unreadable", low - 1, high + 9, *[choose.randint(low, high)] * 12])

    return [{column.name: cell(column) for column in STANDARD.columns} for _ in range(rows)]


def contents(tables, dataset):
    """What a table says, without the numbers that persons happen to have: people, and rows by their person's hash."""
    engine = tables._engine(dataset)
    people = engine.execute("SELECT who, total, says FROM people ORDER BY ALL").fetchall()
    rows = engine.execute(
        "SELECT who, bounded.* EXCLUDE (person) FROM bounded JOIN people ON person = code ORDER BY ALL"
    ).fetchall()
    assert engine.execute("SELECT count(*) FROM bounded").fetchall() == [(len(rows),)]
    codes = engine.execute("SELECT count(*), count(DISTINCT code), count(code) FROM people").fetchall()
    assert codes == [(len(people),) * 3]
    return people, rows


# -- what it answers -------------------------------------------------------------------------------------------------


@settings(max_examples=25)
@given(
    rows=tables(most=20, people=4),
    asked=st.lists(plans(odd=False, depth=2), min_size=3, max_size=6),
    seed=st.integers(),
)
def test_the_table_the_view_and_plain_python_say_the_same(rows, asked, seed):
    with tempfile.TemporaryDirectory() as directory:
        dataset = sources.lay(Path(directory), rows, STANDARD, random.Random(seed))
        ready = opened(directory)
        assert ready.make(dataset)
        counted = sources.counting(rows, STANDARD, key=KEY)
        for plan in asked:
            expected = reference.cells(plan, counted, STANDARD)
            assert clip(plan, dataset, sampling_key=KEY, ready=ready).totals == expected
            assert clip(plan, dataset, sampling_key=KEY).totals == expected
        ready.close()


def test_columns_that_are_not_mapped_are_refused_before_anything_is_read(tmp_path):
    from privacy.errors import Refused
    from privacy.plan import CountKnown

    dataset = sources.lay(tmp_path, [], STANDARD, random.Random(1))
    dataset = replace(dataset, mapping={name: field for name, field in dataset.mapping.items() if name != "grade"})
    ready = opened(tmp_path)
    ready.make(dataset)
    assert clip(count_rows(), dataset, sampling_key=KEY, ready=ready).totals == (0, 0)
    Path(dataset.location.path).unlink()
    with pytest.raises(Refused, match="does not hold grade"):
        clip(count_rows(CountKnown("grade")), dataset, sampling_key=KEY, ready=ready)
    with pytest.raises(Refused, match="does not hold grade"):
        clip(count_rows(CountKnown("grade")), dataset, sampling_key=KEY)
    ready.close()


def test_a_table_without_any_column_but_the_person_counts(tmp_path):
    rows = raw(random.Random(2), people=5, rows=40)
    dataset = sources.lay(tmp_path, rows, STANDARD, random.Random(2))
    dataset = replace(dataset, mapping={"person": dataset.mapping["person"]})
    ready = opened(tmp_path)
    ready.make(dataset)
    counted = sources.counting(rows, STANDARD, mapped=(), key=KEY)
    expected = (len(counted), len({row["person"] for row in counted}))
    plan = count_rows()
    by_key = dict(zip((measure.key for measure in plan.measures), (0, 1), strict=True))
    found = clip(plan, dataset, sampling_key=KEY, ready=ready).totals
    assert found == clip(plan, dataset, sampling_key=KEY).totals
    assert (found[by_key["count(*)"]], found[by_key["count(distinct unit)"]]) == expected
    newer = replace(dataset, refreshed="2026-12-01")
    ready.make(newer, before=dataset)
    assert contents(ready, newer) == contents(ready, dataset)
    ready.close()


# -- whose table is used ---------------------------------------------------------------------------------------------


def test_another_document_or_sampling_key_never_uses_the_table(tmp_path, monkeypatch):
    choose = random.Random(3)
    rows = raw(choose, people=9, rows=60)
    dataset = sources.lay(tmp_path, rows, STANDARD, choose)
    ready = opened(tmp_path)
    ready.make(dataset)
    text = "SELECT count(*) FROM bounded"
    assert ready.rows(dataset, text) is not None
    wider = replace(STANDARD, rows_per_unit=4)
    others = [
        replace(dataset, refreshed="2026-11-01"),
        replace(dataset, standard=wider),
        replace(dataset, mapping={**dataset.mapping, "grade": Field(constant="a")}),
        replace(dataset, population="bank-a/others"),
        replace(dataset, location=replace(dataset.location, path=dataset.location.path + "x")),
    ]
    assert [ready.rows(other, text) for other in others] == [None] * len(others)
    ready.close()
    stranger = opened(tmp_path, key=bytes(32))
    assert stranger.rows(dataset, text) is None
    # a file under a name that is not its own is torn
    names = list((tmp_path / "prepared").iterdir())
    shutil.copy(names[0], stranger._path(dataset))
    assert not stranger._is_sound(dataset)
    assert not stranger._path(dataset).exists()
    monkeypatch.setattr(prepared, "FORM", prepared.FORM + 1)
    assert stranger._path(dataset).name not in {path.name for path in names}
    stranger.close()


def test_tables_of_datasets_no_longer_in_force_are_deleted(tmp_path):
    choose = random.Random(4)
    rows = raw(choose, people=9, rows=30)
    dataset = sources.lay(tmp_path, rows, STANDARD, choose)
    ready = opened(tmp_path)
    versions = [replace(dataset, refreshed=f"2026-1{month}-01") for month in range(3)]
    for version in versions:
        ready.make(version)
    assert len(list((tmp_path / "prepared").iterdir())) == 3
    ready.keep(versions[1:2])
    assert [path.stem for path in (tmp_path / "prepared").iterdir()] == [ready._path(versions[1]).stem]
    assert ready.rows(versions[1], "SELECT 1 FROM made") == [(1,)]
    ready.keep([])
    assert list((tmp_path / "prepared").iterdir()) == []
    ready.close()


# -- files -----------------------------------------------------------------------------------------------------------


def test_only_the_owner_can_read_the_files_and_they_hold_no_identifier(tmp_path):
    canary = "canary-320106199001011234"
    row = {"person": canary, **dict.fromkeys(DOMAINS, None), **dict.fromkeys(NUMBERS, None)}
    dataset = sources.lay(tmp_path, [row] * 5, STANDARD, random.Random(5), kind="csv")
    previous = os.umask(0)
    try:
        ready = opened(tmp_path)
        ready.make(dataset)
    finally:
        os.umask(previous)
    directory = tmp_path / "prepared"
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    [path] = directory.iterdir()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert canary.encode() not in path.read_bytes()
    assert ready.rows(dataset, "SELECT count(*) FROM bounded") == [(STANDARD.rows_per_unit,)]
    ready.close()


def test_the_open_engine_is_locked_and_reads_only(tmp_path):
    dataset = sources.lay(tmp_path, raw(random.Random(6), people=3, rows=9), STANDARD, random.Random(6))
    ready = opened(tmp_path)
    ready.make(dataset)
    engine = ready._engine(dataset)
    for statement in (
        "SET enable_external_access = true",
        "RESET lock_configuration",
        "SELECT * FROM read_text('/etc/passwd')",
        f"ATTACH '{tmp_path / 'new.duckdb'}' AS fresh",
        f"COPY bounded TO '{tmp_path / 'out.csv'}'",
        "DELETE FROM bounded",
        "CREATE TABLE prepared.mine (x INTEGER)",
        "INSTALL httpfs",
    ):
        with pytest.raises(duckdb.Error):
            engine.execute(statement)
    assert not (tmp_path / "out.csv").exists()
    assert not (tmp_path / "new.duckdb").exists()
    ready.close()


def damages(path):
    size = path.stat().st_size
    whole = path.read_bytes()
    yield b""
    yield whole[: size // 2]
    yield whole[:4096]
    yield b"\xff" * size
    for start in range(0, size, size // 6):
        yield whole[:start] + b"\xff" * 4096 + whole[start + 4096 :]
        yield whole[:start] + bytes(4096) + whole[start + 4096 :]


def test_a_torn_table_is_never_trusted_and_made_again(tmp_path):
    choose = random.Random(7)
    rows = raw(choose, people=200, rows=3000)
    dataset = sources.lay(tmp_path, rows, STANDARD, choose, kind="parquet")
    ready = opened(tmp_path)
    ready.make(dataset)
    path = ready._path(dataset)
    plan, expected = count_rows(), contents(ready, dataset)
    totals = clip(plan, dataset, sampling_key=KEY).totals
    ready.close()
    told = 0
    for damaged in list(damages(path)):
        path.write_bytes(damaged)
        ready = opened(tmp_path)
        assert clip(plan, dataset, sampling_key=KEY, ready=ready).totals == totals
        try:
            assert contents(ready, dataset) == expected
        except duckdb.Error:
            told += 1  # a block that the plan did not read; reading it is noticed
            assert ready.rows(dataset, "SELECT max(says), max(who), max(columns(*)) FROM people, bounded") is not None
            assert contents(ready, dataset) == expected
        ready.close()
    assert told < 8


def test_a_table_that_is_gone_leaves_the_rows_to_answer(tmp_path):
    choose = random.Random(8)
    dataset = sources.lay(tmp_path, raw(choose, people=20, rows=90), STANDARD, choose)
    ready = opened(tmp_path)
    ready.make(dataset)
    totals = clip(count_rows(), dataset, sampling_key=KEY, ready=ready).totals
    ready.close()
    ready._path(dataset).unlink()
    assert clip(count_rows(), dataset, sampling_key=KEY, ready=ready).totals == totals
    assert ready.make(dataset)
    assert not ready.make(dataset)
    assert clip(count_rows(), dataset, sampling_key=KEY, ready=ready).totals == totals
    ready.close()


def test_a_source_that_cannot_be_read_makes_no_table(tmp_path):
    choose = random.Random(9)
    dataset = sources.lay(tmp_path, raw(choose, people=20, rows=90), STANDARD, choose, kind="csv")
    with Path(dataset.location.path).open("ab") as file:
        file.write(b'"unclosed\n')
    ready = opened(tmp_path)
    with pytest.raises(SourceFault) as caught:
        ready.make(dataset)
    assert caught.value.__cause__ is None
    assert list((tmp_path / "prepared").iterdir()) == []
    assert ready.rows(dataset, "SELECT 1") is None
    ready.close()


def test_a_directory_that_cannot_be_written_makes_no_table(tmp_path, monkeypatch):
    choose = random.Random(9)
    dataset = sources.lay(tmp_path, raw(choose, people=20, rows=90), STANDARD, choose)

    def full(*_):
        raise OSError(28, "No space left on device")

    ready = opened(tmp_path)
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(SourceFault, match="directory"):
        ready.make(dataset)
    assert list((tmp_path / "prepared").iterdir()) == []
    assert clip(count_rows(), dataset, sampling_key=KEY, ready=ready).totals[0] > 0
    ready.close()


KILLED = """
import os, pickle, random, signal, sys, threading
from pathlib import Path
from tests.sources import prepared
dataset = pickle.loads(bytes.fromhex(sys.stdin.readline()))
ready = prepared(Path(sys.argv[1]) / "prepared", sampling_key=bytes(range(32)))
print("ready", flush=True)
sys.stdin.readline()
ready.make(dataset)
print("made", flush=True)
sys.stdin.read()
"""


def doomed(home, dataset):
    import pickle

    process = subprocess.Popen(
        [sys.executable, "-c", KILLED, str(home)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    process.stdin.write(pickle.dumps(dataset).hex().encode() + b"\n")
    process.stdin.flush()
    assert process.stdout.readline() == b"ready\n"
    process.stdin.write(b"\n")
    process.stdin.flush()
    return process


def test_a_kill_at_any_moment_leaves_a_whole_table_or_none(tmp_path):
    choose = random.Random(10)
    rows = raw(choose, people=2_000, rows=20_000)
    dataset = sources.lay(tmp_path, rows, STANDARD, choose, kind="parquet")
    expected_in = tmp_path / "expected"
    sound = opened(expected_in.parent / "sound")
    (tmp_path / "sound").mkdir()
    sound.make(dataset)
    expected = contents(sound, dataset)
    sound.close()
    home = tmp_path / "home"
    home.mkdir()
    process = doomed(home, dataset)
    start = time.monotonic()
    assert process.stdout.readline() == b"made\n"
    whole = time.monotonic() - start
    outcomes = set()
    for attempt in range(7):
        process.kill()
        process.communicate()
        ready = opened(home)
        [*left] = (home / "prepared").iterdir()
        outcomes.add(len(left))
        assert all(path == ready._path(dataset) for path in left)  # nothing half made is left
        if left:
            assert contents(ready, dataset) == expected
        ready.close()
        for path in left:
            path.unlink()
        process = doomed(home, dataset)
        time.sleep(whole * attempt / 6)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    ready = opened(home)
    ready.make(dataset)
    assert contents(ready, dataset) == expected
    ready.close()
    assert 0 in outcomes


# -- renewing --------------------------------------------------------------------------------------------------------


def edited(choose, rows, people):
    """Some rows changed, dropped, doubled, swapped between people, or new; some people gone or new."""
    fresh = [dict(row) for row in rows]
    for _ in range(choose.randint(0, 12)):
        what = choose.choice(["change", "drop", "double", "add", "gone", "swap", "nobody"])
        if what == "add" or not fresh:
            fresh += raw(choose, people=people + 3, rows=choose.randint(1, 3))
            continue
        place = choose.randrange(len(fresh))
        if what == "change":
            column = choose.choice(STANDARD.columns[1:]).name
            fresh[place][column] = raw(choose, people=people, rows=1)[0][column]
        elif what == "drop":
            del fresh[place]
        elif what == "double":
            fresh.append(dict(fresh[place]))
        elif what == "gone":
            fresh = [row for row in fresh if row["person"] != fresh[place]["person"]]
        elif what == "nobody":
            fresh[place]["person"] = None
        else:
            other, column = choose.randrange(len(fresh)), choose.choice(STANDARD.columns[1:]).name
            fresh[place][column], fresh[other][column] = fresh[other][column], fresh[place][column]
    choose.shuffle(fresh)
    return fresh


@settings(max_examples=15)
@given(seed=st.integers(0, 2**32))
def test_a_renewed_table_is_the_table_made_anew(seed):
    choose = random.Random(seed)
    with tempfile.TemporaryDirectory() as directory:
        home, people = Path(directory), choose.randint(1, 12)
        rows = raw(choose, people=people, rows=choose.randint(0, 40))
        dataset = sources.lay(home, rows, STANDARD, random.Random(seed), kind="duckdb")
        ready, whole = opened(home), opened(home / "whole")
        ready.make(dataset)
        (home / "whole").mkdir()
        for version in range(2):
            rows = edited(choose, rows, people)
            newer = sources.lay(home, rows, STANDARD, random.Random(seed), kind="duckdb", name=f"v{version}")
            # the same names and types, so that the mapping stays
            newer = replace(newer, mapping=dataset.mapping, refreshed=f"2026-11-0{version + 1}")
            if not _same_columns(dataset, newer):
                break
            ready.make(newer, before=dataset)
            whole.make(newer)
            assert contents(ready, newer) == contents(whole, newer)
            ready.keep([newer])
            dataset = newer
        ready.close()
        whole.close()


def _same_columns(dataset, newer):
    return set(inspect(dataset.location)) == set(inspect(newer.location))


def test_only_people_whose_rows_changed_are_bounded_anew(tmp_path, monkeypatch):
    choose = random.Random(11)
    rows = raw(choose, people=50, rows=400)
    dataset = sources.lay(tmp_path, rows, STANDARD, random.Random(1), kind="parquet")
    ready = opened(tmp_path)
    ready.make(dataset)
    changed = [dict(row) for row in rows]
    for row in changed:
        if row["person"] == "p7":
            row["region"] = "south" if row["region"] == "north" else "north"
    newer = replace(
        sources.lay(tmp_path, changed, STANDARD, random.Random(1), kind="parquet", name="newer"),
        mapping=dataset.mapping,
        refreshed="2026-11-30",
    )
    before = ready._engine(dataset).execute("SELECT who, code FROM people ORDER BY ALL").fetchall()
    taken = []
    real = prepared.engine

    class Watched:
        def __init__(self, inner):
            self.inner = inner

        def execute(self, statement, *parameters):
            self.inner.execute(statement, *parameters)
            if statement.startswith("CREATE TEMP TABLE told"):
                taken.append(self.inner.execute("SELECT DISTINCT person FROM told").fetchall())

    @contextmanager
    def watched(*arguments, **options):
        with real(*arguments, **options) as inner:
            yield Watched(inner)

    monkeypatch.setattr(prepared, "engine", watched)
    ready.make(newer, before=dataset)
    assert taken == [[("p7",)]]
    after = ready._engine(newer).execute("SELECT who, code FROM people ORDER BY ALL").fetchall()
    assert after == before  # nobody came or went: everybody keeps their number
    ready.close()


@pytest.mark.parametrize("what", ["mapping", "standard", "engine", "torn", "gone"])
def test_a_table_that_says_otherwise_is_not_gone_by(tmp_path, monkeypatch, what):
    choose = random.Random(12)
    rows = raw(choose, people=30, rows=200)
    dataset = sources.lay(tmp_path, rows, STANDARD, random.Random(1), kind="parquet")
    ready, whole = opened(tmp_path), opened(tmp_path / "whole")
    ready.make(dataset)
    newer = replace(dataset, refreshed="2026-11-30")
    path = ready._path(dataset)
    if what == "mapping":
        newer = replace(newer, mapping={**dataset.mapping, "grade": dataset.mapping["product"]})
    elif what == "standard":
        newer = replace(newer, standard=replace(STANDARD, rows_per_unit=2))
    elif what == "engine":
        monkeypatch.setattr(prepared.duckdb, "__version__", "1.0")
    elif what == "torn":
        data = bytearray(path.read_bytes())
        ready.close()
        data[12288:] = b"\xff" * (len(data) - 12288)
        path.write_bytes(data)
    else:
        ready.close()
        path.unlink()
    (tmp_path / "whole").mkdir()
    ready.make(newer, before=dataset)
    whole.make(newer)
    assert contents(ready, newer) == contents(whole, newer)
    ready.close()
    whole.close()
