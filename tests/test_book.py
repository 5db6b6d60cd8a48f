import contextlib
import errno
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from pathlib import Path

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exchange import book as room
from exchange.book import Book, Closed
from exchange.journal import Broken, Damaged, Held, Journal, NoSpace, RolledBack
from exchange.projection import Projection, Unknown
from privacy.errors import Malformed, Refused

ROOT = Path(__file__).parents[1]
OWNER = "north-bank"


def _opened(cursor, entry):
    cursor.execute("INSERT OR REPLACE INTO account VALUES (?, 0, ?)", [entry.body["id"], [entry.hash]])


def _charged(cursor, entry):
    cursor.execute("UPDATE account SET spent = spent + ? WHERE id = ?", [entry.body["units"], entry.body["id"]])
    cursor.execute(
        "INSERT INTO charge VALUES (?, ?, ?, ?)",
        [entry.seq, entry.body["id"], entry.body["units"], entry.body.get("note")],
    )


def _closed(cursor, entry):
    cursor.execute("DELETE FROM account WHERE id = ?", [entry.body["id"]])


def _faulty(cursor, entry):
    cursor.execute("UPDATE account SET spent = 1000000")
    raise ZeroDivisionError


PROJECTION = Projection(
    version=1,
    tables=[
        "CREATE TABLE account (id VARCHAR PRIMARY KEY, spent BIGINT, history VARCHAR[])",
        "CREATE TABLE charge (seq BIGINT PRIMARY KEY, account VARCHAR, units BIGINT, note VARCHAR)",
    ],
    apply={"opened": _opened, "charged": _charged, "closed": _closed, "faulty": _faulty},
)


def ticking():
    ticks = count(1_700_000_000_000_000, 1000)
    return lambda: next(ticks)


def opened(path, **options):
    return Book.open(path, **{"owner": OWNER, "projection": PROJECTION, "clock": ticking(), **options})


def open_account(name):
    return lambda _: ([("opened", {"id": name})], name)


def charge(name, units, *, cap=None, note=""):
    def decide(cursor):
        row = cursor.execute("SELECT spent FROM account WHERE id = ?", [name]).fetchone()
        if row is None:
            raise Refused("no such account")
        if cap is not None and row[0] + units > cap:
            raise Refused("the cap is reached")
        return [("charged", {"id": name, "units": units, "note": note})], row[0] + units

    return decide


def state(book):
    return {table: book.read(f"SELECT * FROM {table} ORDER BY 1") for table in ("account", "charge", "meta")}


def rebuilt(path):
    """Return the state that the journal alone leads to."""
    fresh = path.with_name(path.name + "-fresh")
    shutil.rmtree(fresh, ignore_errors=True)
    shutil.copytree(path / "journal", fresh / "journal")
    with opened(fresh) as book:
        return state(book)


def held_back(book, *decisions):
    """Let several commands wait together, so that they become one batch; return their results and errors in order."""
    go = threading.Event()
    started = threading.Event()

    def first(_):
        started.set()
        go.wait()
        return [], None

    def outcome(decide):
        try:
            return book.write(decide)
        except Exception as error:  # noqa: BLE001
            return error

    with ThreadPoolExecutor(len(decisions) + 1) as pool:
        pool.submit(book.write, first)
        started.wait()
        futures = []
        for i, decide in enumerate(decisions, 1):
            futures.append(pool.submit(outcome, decide))
            while len(book._queue) < i:
                time.sleep(0.001)
        go.set()
        return [future.result() for future in futures]


class Failing:
    """Stands for a DuckDB connection one of whose methods fails."""

    def __init__(self, connection, method, error):
        self._connection, self._method, self._error = connection, method, error

    def __getattr__(self, name):
        if name == self._method:
            raise self._error
        return getattr(self._connection, name)


def test_what_is_written_can_be_read_and_survives(tmp_path):
    with opened(tmp_path / "b") as book:
        assert book.recovered == ()
        assert book.write(open_account("a")) == "a"
        assert book.write(charge("a", 5)) == 5
        assert book.write(charge("a", 2)) == 7
        assert book.write(lambda _: ([], "nothing")) == "nothing"
        assert book.head[0] == 3
        before = state(book)
        assert before["account"][0]["spent"] == 7
        assert before["meta"][0]["head"] == book.head[1]
        assert book.read("SELECT units FROM charge WHERE units > $least", {"least": 4}) == [{"units": 5}]
    with opened(tmp_path / "b") as book:
        assert book.recovered == ()
        assert state(book) == before == rebuilt(tmp_path / "b")
        assert [entry.kind for entry in book.journal.entries()] == ["opened", "charged", "charged"]


def test_files_are_private(tmp_path):
    with opened(tmp_path / "b") as book:
        book.write(open_account("a"))
        assert (tmp_path / "b").stat().st_mode & 0o777 == 0o700
        assert (tmp_path / "b" / "catalog.duckdb").stat().st_mode & 0o777 == 0o600


def test_reading_cannot_write_or_reach_outside(tmp_path):
    with opened(tmp_path / "b") as book:
        book.write(open_account("a"))
        for sql in (
            "DELETE FROM account",
            "CREATE TABLE t (i INTEGER)",
            "COPY account TO 'out.csv'",
            "SELECT * FROM read_text('/etc/hostname')",
            "SET threads = 4",
            "ATTACH 'other.duckdb'",
            "INSTALL httpfs",
        ):
            with pytest.raises(duckdb.Error):
                book.read(sql)
        with pytest.raises(ValueError, match="same name"):
            book.read("SELECT 1 AS a, 2 AS a")
        assert book.write(charge("a", 1)) == 1


def test_a_refusal_and_a_malformed_event_leave_nothing(tmp_path):
    with opened(tmp_path / "b") as book:
        book.write(open_account("a"))
        before = state(book)
        with pytest.raises(Refused, match="cap"):
            book.write(charge("a", 5, cap=4))
        with pytest.raises(Malformed):
            book.write(lambda _: ([("opened", {"id": "b"}), ("opened", {"id": 0.5})], None))
        with pytest.raises(Unknown, match="'stolen'"):
            book.write(lambda _: ([("opened", {"id": "b"}), ("stolen", {})], None))
        with pytest.raises(ZeroDivisionError):
            book.write(lambda _: ([("opened", {"id": "b"}), ("faulty", {})], None))
        assert state(book) == before
        assert book.head[0] == 1


def test_commands_of_one_batch_see_each_other_and_fail_alone(tmp_path):
    def swallowed(cursor):
        with contextlib.suppress(duckdb.Error):
            cursor.execute("SELECT nonsense FROM nowhere")
        return [], "swallowed"

    def careless(cursor):
        cursor.execute("SELECT CAST('x' AS INTEGER)").fetchall()

    with opened(tmp_path / "b") as book:
        syncs = book.journal._spans
        results = held_back(
            book,
            open_account("a"),
            charge("a", 3, cap=10),
            careless,
            charge("a", 3, cap=10),
            lambda _: ([("charged", {"id": "a", "units": 1}), ("faulty", {})], None),
            swallowed,
            charge("a", 3, cap=10),
            charge("a", 3, cap=10),
            lambda _: ([("charged", {"id": "a", "units": 1}), ("unheard", {})], None),
            charge("b", 1),
            charge("a", 1, cap=10),
        )
        assert len(syncs) <= 2
        assert [r if isinstance(r, int | str) else type(r) for r in results] == [
            "a", 3, duckdb.ConversionException, 6, ZeroDivisionError, "swallowed", 9, Refused, Unknown, Refused, 10,
        ]  # fmt: skip
        assert book.head[0] == 5
        assert [entry.body.get("units") for entry in book.journal.entries()] == [None, 3, 3, 3, 1]
        assert state(book) == rebuilt(tmp_path / "b")


def test_a_cap_holds_under_64_callers(tmp_path):
    with opened(tmp_path / "b") as book:
        book.write(open_account("a"))

        def spend(_):
            won = 0
            for _ in range(6):
                with contextlib.suppress(Refused):
                    book.write(charge("a", 1, cap=100))
                    won += 1
            return won

        with ThreadPoolExecutor(64) as pool:
            assert sum(pool.map(spend, range(64))) == 100
        assert book.read("SELECT spent FROM account") == [{"spent": 100}]
        assert book.read("SELECT count(*) AS n, sum(units) AS s FROM charge") == [{"n": 100, "s": 100}]


def test_readers_see_whole_batches_only(tmp_path):
    with opened(tmp_path / "b") as book:
        book.write(open_account("a"))
        stop = threading.Event()

        def watch():
            torn = reads = 0
            while not stop.is_set():
                row = book.read("SELECT spent, (SELECT coalesce(sum(units), 0) FROM charge) AS total FROM account")[0]
                torn += row["spent"] != row["total"]
                reads += 1
            return torn, reads

        with ThreadPoolExecutor(8) as pool:
            watchers = [pool.submit(watch) for _ in range(2)]
            list(pool.map(lambda _: book.write(charge("a", 1)), range(150)))
            stop.set()
            for watcher in watchers:
                torn, reads = watcher.result()
                assert torn == 0
                assert reads > 0


def test_batches_are_bounded_in_commands_and_bytes(tmp_path, monkeypatch):
    monkeypatch.setattr(room, "_COMMANDS", 4)
    monkeypatch.setattr(room, "_WAITING", 8)
    monkeypatch.setattr(room, "_BATCH_BYTES", 1000)
    monkeypatch.setattr(room, "_COMMAND_BYTES", 2000)
    frames = []
    real = Journal.commit
    monkeypatch.setattr(Journal, "commit", lambda self, entries: (frames.append(len(entries)), real(self, entries)))
    with opened(tmp_path / "b") as book:
        book.write(open_account("a"))
        with ThreadPoolExecutor(32) as pool:
            list(pool.map(lambda _: book.write(charge("a", 1, note="x" * 400)), range(64)))
        with pytest.raises(Malformed, match="more than 2000"):
            book.write(charge("a", 1, note="x" * 2000))
        assert book.read("SELECT spent FROM account") == [{"spent": 64}]
    assert max(frames) <= 3
    assert sum(frames) == 65


def test_one_statement_at_a_time_is_read(tmp_path):
    with opened(tmp_path) as book:
        for text in ("", "SELECT 1; SELECT 2", "SELECT 1 AS a; DELETE FROM account"):
            with pytest.raises(ValueError, match="values to unpack"):
                book.read(text)
        assert book.read("SELECT 1 AS a;") == [{"a": 1}]


def test_a_decision_that_writes_is_told_instead_of_waiting_for_ever(tmp_path):
    with opened(tmp_path / "b") as book:

        def nested(_):
            return book.write(open_account("b"))

        with pytest.raises(RuntimeError, match="wait for itself"):
            book.write(nested)


def test_closing_drains_and_ends_the_writer(tmp_path):
    book = opened(tmp_path / "b")
    book.write(open_account("a"))
    gate = threading.Event()

    def slow(_):
        gate.wait()
        return [], None

    with ThreadPoolExecutor(20) as pool:
        pool.submit(book.write, slow)
        time.sleep(0.05)
        waiting = [pool.submit(book.write, charge("a", 1)) for _ in range(10)]
        while len(book._queue) < 10:
            time.sleep(0.001)
        closing = pool.submit(book.close)
        while not book._closing:
            time.sleep(0.001)
        with pytest.raises(Closed):
            book.write(charge("a", 1))
        gate.set()
        closing.result()
        assert sorted(future.result() for future in waiting) == list(range(1, 11))
    assert not book._thread.is_alive()
    book.close()
    for use in (lambda: book.write(charge("a", 1)), lambda: book.read("SELECT 1")):
        with pytest.raises(Closed):
            use()
    with opened(tmp_path / "b") as again:
        assert again.head[0] == 11


# --- the disk ---------------------------------------------------------------------------------------------------------


def test_nothing_is_acknowledged_or_visible_before_the_disk_confirms(tmp_path, monkeypatch):
    with opened(tmp_path / "b") as book:
        book.write(open_account("a"))
        go, reached = threading.Event(), threading.Event()
        real = os.fdatasync

        def slow(file):
            reached.set()
            go.wait()
            real(file)

        monkeypatch.setattr(os, "fdatasync", slow)
        with ThreadPoolExecutor(1) as pool:
            future = pool.submit(book.write, charge("a", 1))
            reached.wait()
            time.sleep(0.05)
            assert not future.done()
            assert book.read("SELECT spent FROM account") == [{"spent": 0}]
            go.set()
            assert future.result() == 1
        assert book.read("SELECT spent FROM account") == [{"spent": 1}]


def test_a_full_disk_refuses_what_needs_it_and_nothing_else(tmp_path, monkeypatch):
    with opened(tmp_path / "b") as book:
        book.write(open_account("a"))
        before = state(book)
        real = os.pwrite

        def full(file, data, offset):
            real(file, data[:20], offset)
            raise OSError(errno.ENOSPC, "full")

        with monkeypatch.context() as patch:
            patch.setattr(os, "pwrite", full)
            results = held_back(
                book,
                charge("zero", 1),  # refused on durable state
                lambda c: ([], c.execute("SELECT spent FROM account").fetchone()[0]),
                charge("a", 1),
                charge("zero", 1),  # refused on a state that never came to be: may not be told as the truth
                lambda c: ([], c.execute("SELECT spent FROM account").fetchone()[0]),  # would answer 1
            )
            assert [r if isinstance(r, int) else type(r) for r in results] == [Refused, 0, NoSpace, NoSpace, NoSpace]
            assert state(book) == before
        assert book.write(charge("a", 1)) == 1
        assert state(book) == rebuilt(tmp_path / "b")


def test_a_real_file_size_limit(tmp_path):
    with opened(tmp_path / "b") as book:
        book.write(open_account("a"))
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        size = (tmp_path / "b" / "journal" / "000001.log").stat().st_size
        resource.setrlimit(resource.RLIMIT_FSIZE, (size + 50, hard))
        try:
            for _ in range(3):
                with pytest.raises(NoSpace):
                    book.write(charge("a", 1))
                assert book.read("SELECT spent FROM account") == [{"spent": 0}]
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        assert book.write(charge("a", 1)) == 1
    with opened(tmp_path / "b") as book:
        assert book.recovered == ()


def test_a_disk_that_fails_to_confirm_stops_writing_but_not_reading(tmp_path, monkeypatch):
    with opened(tmp_path / "b") as book:
        book.write(open_account("a"))
        with monkeypatch.context() as patch:
            patch.setattr(os, "fdatasync", lambda _: (_ for _ in ()).throw(OSError(errno.EIO, "broken")))
            with pytest.raises(Broken):
                book.write(charge("a", 1))
        for _ in range(2):
            with pytest.raises(Broken):
                book.write(charge("a", 1))
        with pytest.raises(Refused):
            book.write(charge("zero", 1))
        assert book.read("SELECT spent FROM account") == [{"spent": 0}]
    with opened(tmp_path / "b") as book:
        assert book.write(charge("a", 1)) == 1


def test_a_catalogue_that_cannot_follow_catches_up(tmp_path):
    with opened(tmp_path / "b") as book:
        book.write(open_account("a"))
        real = book._cursor
        book._cursor = Failing(real, "commit", duckdb.TransactionException("Failed to commit: No space left on device"))
        # the journal has it, so it is acknowledged although the catalogue is full
        assert book.write(charge("a", 1)) == 1
        with pytest.raises(NoSpace):
            book.write(charge("a", 1))
        assert book.read("SELECT spent FROM account") == [{"spent": 0}]
        book._cursor = real
        assert book.write(charge("a", 1)) == 2
        assert state(book) == rebuilt(tmp_path / "b")


@pytest.mark.parametrize(
    ("kind", "text"), [(duckdb.FatalException, "invalidated"), (duckdb.Error, "Corrupt database file")]
)
def test_a_catalogue_that_fails_in_use_is_made_again(tmp_path, kind, text):
    error = kind(text)
    with opened(tmp_path / "b") as book:
        book.write(open_account("a"))
        book._cursor = Failing(book._cursor, "commit", error)
        assert book.write(charge("a", 1)) == 1
        assert book.read("SELECT spent FROM account") == [{"spent": 1}]
        assert book.recovered == ("the catalogue failed while in use; it was made again from 2 entries",)
        book._cursor = Failing(book._cursor, "execute", error)
        assert book.write(charge("a", 1)) == 2
        book._root = Failing(book._root, "cursor", error)
        assert book.read("SELECT spent FROM account") == [{"spent": 2}]
        assert len(book.recovered) == 3
        # a command in the middle of a batch at which the engine fails runs again after the mending
        fail = iter([error])

        def unlucky(cursor):
            for fault in fail:
                raise fault
            return charge("a", 1)(cursor)

        results = held_back(book, charge("a", 1), unlucky, charge("a", 1))
        assert sorted(results) == [3, 4, 5]
        assert state(book) == rebuilt(tmp_path / "b")


def test_a_catalogue_that_cannot_be_made_again_says_so_and_tries_again(tmp_path, monkeypatch):
    with opened(tmp_path / "b") as book:
        book.write(open_account("a"))
        book._root = Failing(book._root, "cursor", duckdb.FatalException("invalidated"))
        with monkeypatch.context() as patch:
            patch.setattr(
                Book, "_connect", lambda _: (_ for _ in ()).throw(duckdb.IOException("No space left on device"))
            )
            with pytest.raises(duckdb.IOException):
                book.read("SELECT 1 AS one")
            with pytest.raises(duckdb.IOException):
                book.write(charge("a", 1))
        assert book.read("SELECT 1 AS one") == [{"one": 1}]
        assert book.write(charge("a", 1)) == 1


# --- the catalogue is only a projection -----------------------------------------------------------------------------


def filled(path, charges=40):
    with opened(path) as book:
        for name in "abc":
            book.write(open_account(name))
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda i: book.write(charge("abc"[i % 3], i, note=f"{i}" * 400)), range(charges)))
        book.write(lambda _: ([("closed", {"id": "c"}), ("opened", {"id": "c"})], None))
        return state(book), book.head


def damaged(path):
    return sorted(file.name for file in path.glob("*.damaged-*"))


def test_a_missing_catalogue_is_made_again(tmp_path):
    before, head = filled(tmp_path / "b")
    (tmp_path / "b" / "catalog.duckdb").unlink()
    with opened(tmp_path / "b") as book:
        assert book.recovered == (f"the catalogue was missing; it was made again from {head[0]} entries",)
        assert state(book) == before
    assert damaged(tmp_path / "b") == []


def test_a_cut_or_foreign_catalogue_is_put_aside_and_made_again(tmp_path):
    before, head = filled(tmp_path / "b")
    file = tmp_path / "b" / "catalog.duckdb"
    good = file.read_bytes()
    for content in (
        good[:0],
        good[:100],
        good[:4096],
        good[: len(good) // 2],
        b"SQLite format 3\x00" + bytes(8000),
        os.urandom(20000),
    ):
        file.write_bytes(content)
        with opened(tmp_path / "b") as book:
            assert "made again" in book.recovered[0]
            assert state(book) == before
        assert damaged(tmp_path / "b") == [f"catalog.duckdb.damaged-{head[0]}"]
        assert (tmp_path / "b" / f"catalog.duckdb.damaged-{head[0]}").read_bytes() == content


def half_overwritten(path, *, times, seed):
    """Overwrite the second half of random 4 KB pages and compare with the state before; return how often it was noticed."""
    before, _ = filled(path, charges=120)
    file = path / "catalog.duckdb"
    good = file.read_bytes()
    rnd = random.Random(seed)
    noticed = 0
    for i in range(times):
        page = 4096 * (i % 4 if i < 8 else rnd.randrange(len(good) // 4096))
        filler = bytes(2048) if i % 2 else rnd.randbytes(2048)
        file.write_bytes(good[: page + 2048] + filler + good[page + 4096 :])
        with opened(path) as book:
            assert state(book) == before, page
            # a damaged index is noticed at its first use
            assert book.read("SELECT count(*) AS n FROM charge WHERE seq = 10") == [{"n": 1}]
            with pytest.raises(Refused):
                book.write(charge("a", 1, cap=0))
            noticed += bool(book.recovered)
    return noticed


def test_torn_pages_of_the_catalogue_never_show(tmp_path):
    assert half_overwritten(tmp_path / "b", times=20, seed=7) > 3


@pytest.mark.long
def test_torn_pages_of_the_catalogue_never_show_at_length(tmp_path):
    assert half_overwritten(tmp_path / "b", times=400, seed=11) > 100


def test_another_schema_is_made_again(tmp_path):
    before, head = filled(tmp_path / "b")
    for projection in (
        Projection(2, PROJECTION.tables, PROJECTION.apply),
        Projection(2, [*PROJECTION.tables, "CREATE TABLE extra (id BIGINT PRIMARY KEY)"], PROJECTION.apply),
        PROJECTION,
    ):
        with opened(tmp_path / "b", projection=projection) as book:
            assert book.recovered == (f"the catalogue was of another schema; it was made again from {head[0]} entries",)
            assert state(book)["charge"] == before["charge"]


def test_a_catalogue_that_is_behind_gets_the_rest(tmp_path):
    path = tmp_path / "b"
    filled(path)
    old = (path / "catalog.duckdb").read_bytes()
    with opened(path) as book:
        for _ in range(5):
            book.write(charge("a", 1))
        before = state(book)
    (path / "catalog.duckdb").write_bytes(old)
    with opened(path) as book:
        assert book.recovered == ("5 entries were added to the catalogue",)
        assert state(book) == before


def test_a_journal_older_than_its_catalogue_is_refused_and_one_of_another_history_is_told(tmp_path):
    path = tmp_path / "b"
    before, head = filled(path)
    shutil.copytree(path / "journal", tmp_path / "backup")
    with opened(path) as book:
        book.write(charge("a", 1))
        late = book.head
    shutil.rmtree(path / "journal")
    shutil.copytree(tmp_path / "backup", path / "journal")
    with pytest.raises(RolledBack):
        opened(path, witnessed=late)
    with pytest.raises(RolledBack, match=f"stands at entry {late[0]}, the journal ends at {head[0]}"):
        opened(path)
    (path / "catalog.duckdb").unlink()  # what the refusal tells the operator to do if the entries are lost for good
    with opened(path, witnessed=head) as book:
        assert state(book) == before
        book.write(charge("a", 2))
    catalogue = (path / "catalog.duckdb").read_bytes()
    shutil.rmtree(path / "journal")
    shutil.copytree(tmp_path / "backup", path / "journal")
    (path / "catalog.duckdb").unlink()
    with opened(path) as book:
        book.write(charge("b", 3))
        before = state(book)
    (path / "catalog.duckdb").write_bytes(catalogue)
    with opened(path) as book:
        assert "stood at another entry" in book.recovered[0]
        assert state(book) == before


def test_an_acknowledged_end_that_was_damaged_is_not_cut_off_as_unfinished(tmp_path):
    path = tmp_path / "b"
    _, head = filled(path)
    log = path / "journal" / "000001.log"
    good = bytearray(log.read_bytes())
    bad = bytearray(good)
    bad[-3] ^= 1
    log.write_bytes(bad)
    with pytest.raises(Damaged, match=f"entry {head[0]} was acknowledged"):
        opened(path)
    assert log.read_bytes() == bad
    log.write_bytes(good + b"\x00\x00\x00\x09half")
    with opened(path) as book:
        assert book.recovered == ("8 bytes of an unfinished write were cut off the journal",)
        assert book.head == head


def test_events_of_a_newer_version_are_refused_by_name(tmp_path):
    filled(tmp_path / "b")
    older = Projection(2, PROJECTION.tables, {"opened": _opened, "closed": _closed})
    with pytest.raises(Unknown, match="'charged'"):
        opened(tmp_path / "b", projection=older)
    with opened(tmp_path / "b") as book:
        assert book.head[0] == 45


def test_one_process_at_a_time_even_by_way_of_the_catalogue(tmp_path):
    path = tmp_path / "b"
    filled(path)
    with opened(path), pytest.raises(Held, match=f"process {os.getpid()}; stop it first"):
        opened(path)
    code = "import duckdb, sys; c = duckdb.connect(sys.argv[1]); print('open', flush=True); sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", code, str(path / "catalog.duckdb")], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        other.stdout.readline()
        with pytest.raises(Held, match=f"process {other.pid}; stop it first"):
            opened(path)
        assert damaged(path) == []
        other.stdin.close()
    with opened(path) as book:
        assert book.recovered == ()


commands = st.lists(
    st.one_of(
        st.tuples(st.just("open"), st.sampled_from("abc")),
        st.tuples(st.just("charge"), st.sampled_from("abcd"), st.integers(1, 9)),
        st.tuples(st.just("close"), st.sampled_from("abc")),
        st.tuples(st.just("again"), st.sampled_from("ab")),
        st.just(("reopen",)),
        st.just(("lose",)),
    ),
    max_size=25,
)


@settings(max_examples=15, deadline=None)
@given(commands)
def test_any_history_agrees_with_a_plain_model(tmp_path_factory, commands):
    path = tmp_path_factory.mktemp("book") / "b"
    model = {}
    book = opened(path)
    try:
        for command in commands:
            match command:
                case ("open", name):
                    book.write(open_account(name))
                    model[name] = 0
                case ("charge", name, units) if name in model:
                    model[name] += units
                    assert book.write(charge(name, units)) == model[name]
                case ("charge", name, units):
                    with pytest.raises(Refused):
                        book.write(charge(name, units))
                case ("close", name):
                    book.write(lambda _, name=name: ([("closed", {"id": name})], None))
                    model.pop(name, None)
                case ("again", name):
                    book.write(lambda _, name=name: ([("closed", {"id": name}), ("opened", {"id": name})], None))
                    model[name] = 0
                case ("reopen",) | ("lose",):
                    book.close()
                    if command == ("lose",):
                        (path / "catalog.duckdb").unlink()
                    book = opened(path)
            assert {row["id"]: row["spent"] for row in book.read("SELECT * FROM account")} == model
        assert state(book) == rebuilt(path)
    finally:
        book.close()


# --- kill -9 --------------------------------------------------------------------------------------------------------

CHILD = """
import os, sys, threading, time
from pathlib import Path
sys.path[:0] = sys.argv[2:]
import exchange.book as room
import test_book as t
real = room.duckdb.connect
def connect(path, config):
    return real(path, config=config | {"checkpoint_threshold": "16KB"})  # a checkpoint every few commits
room.duckdb.connect = connect
for _ in sys.stdin:  # every line asks for a fresh writer; modules are loaded already
    pid = os.fork()
    if pid == 0:
        os.write(1, f"pid {os.getpid()}\\n".encode())
        break
    os.waitpid(pid, 0)
    os.write(1, b"dead\\n")
else:
    sys.exit()
book = t.opened(Path(sys.argv[1]), clock=lambda: time.time_ns() // 1000)
def work(caller):
    i = 0
    while True:
        name = f"{os.getpid()}-{caller}-{i}"
        # two events a command: they stand or fall together
        events = [("opened", {"id": name}), ("charged", {"id": name, "units": 1, "note": "x" * 300})]
        book.write(lambda _: (events, None))
        os.write(1, name.encode() + b"\\n")
        i += 1
for caller in range(4):
    threading.Thread(target=work, args=(caller,), daemon=True).start()
time.sleep(60)
"""


def killed(path, *, times, seed):
    """Start a writer again and again and kill it at a random moment; return what it had acknowledged."""
    rnd = random.Random(seed)
    acknowledged = []
    command = [sys.executable, "-c", CHILD, str(path), str(ROOT), str(Path(__file__).parent)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as parent:
        for i in range(times):
            parent.stdin.write("go\n")
            parent.stdin.flush()
            pid = int(parent.stdout.readline().removeprefix("pid "))
            if i % 4:  # otherwise perhaps while it starts
                acknowledged.append(parent.stdout.readline().strip())
            time.sleep(rnd.random() * 0.25)
            os.kill(pid, signal.SIGKILL)
            while (line := parent.stdout.readline().strip()) != "dead":
                acknowledged.append(line)
            if i % 4 == 3 or i == times - 1:
                check(path, acknowledged)
        parent.stdin.close()
    return acknowledged


def check(path, acknowledged):
    with opened(path) as book:
        written = [entry.body["id"] for entry in book.journal.entries() if entry.kind == "charged"]
        assert len(written) == len(set(written))
        assert set(acknowledged) <= set(written)
        assert book.head[0] == 2 * len(written)
        assert {row["account"] for row in book.read("SELECT account FROM charge")} == set(written)
        expected = [{"n": len(written), "s": len(written)}]
        assert book.read("SELECT count(*) AS n, sum(spent) AS s FROM account") == expected


def test_no_acknowledged_write_is_lost_by_kill_9(tmp_path):
    assert len(killed(tmp_path / "b", times=20, seed=1)) > 100
    with opened(tmp_path / "b") as book:
        now = state(book)
    assert now == rebuilt(tmp_path / "b")


@pytest.mark.long
def test_no_acknowledged_write_is_lost_by_kill_9_at_length(tmp_path):
    for round_ in range(15):
        assert killed(tmp_path / f"b{round_}", times=20, seed=100 + round_)
