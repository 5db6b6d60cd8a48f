"""The process that has rows open can do nothing else, and the node can lose it: at rest, at work, by hunger, by a hang."""

import json
import os
import shutil
import signal
import subprocess
import sys
import textwrap
import threading
import time
from contextlib import closing
from pathlib import Path

import pytest

from exchange.node import sandbox, worker
from exchange.node.engine import Ended, Files, Location, NoRoom, SourceFault, TooLong, engine
from exchange.node.prepared import Prepared
from exchange.node.sandbox import Sandbox
from exchange.node.source import clip
from tests import sources
from tests.strategies import STANDARD
from tests.test_prepared import KEY, count_rows, raw

CANARY = "canary-320106199001011234"


def laid(home, count=90):
    import random

    choose = random.Random(8)
    return sources.lay(home, raw(choose, people=20, rows=count), STANDARD, choose, kind="parquet")


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    path = tmp_path_factory.mktemp("rows") / "rows.csv"
    path.write_text("a\n1\n")
    return Location("csv", str(path))


@pytest.fixture(scope="module")
def engines(tmp_path_factory):
    """Real processes, with little memory."""
    made = Sandbox(tmp_path_factory.mktemp("node") / "prepared", memory=128 << 20)
    yield made
    made.close()
    assert running(made) == {}


def running(engines):
    return {source: worker.pid for source, worker in engines._workers.items() if worker.alive}


def alone(engines):
    (pid,) = running(engines).values()
    return pid


def ended(pid):
    """Wait until a process is gone, or waits to be buried with all its threads."""
    for _ in range(600):
        try:
            told = Path(f"/proc/{pid}/stat").read_text("ascii").rpartition(")")[2].split()
            if told[0] == "Z" and told[17] == "1":
                return
        except OSError:
            return
        time.sleep(0.05)
    raise AssertionError("it did not end")


def kill_at_work(pid, by):
    """Send a signal once the process has been busy for a while."""
    before = busy(pid)

    def wait():
        while busy(pid) < before + 20:
            time.sleep(0.01)
        os.kill(pid, by)

    threading.Thread(target=wait, daemon=True).start()


def busy(pid):
    fields = Path(f"/proc/{pid}/stat").read_text("ascii").rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


# -- what it can do --------------------------------------------------------------------------------------------------

TRIED = """
    import json, os, socket, sys, resource
    from pathlib import Path
    sys.path.insert(0, {room!r})
    import worker
    home = Path({home!r})
    held = worker.confine(
        parent=os.getppid(), memory=1 << 28, reads=[str(home / "rows.csv"), str(home / "rows.csv.wal")],
        writes=[str(home / "prepared")],
    )
    def tried(do):
        try:
            do()
        except Exception as error:
            return type(error).__name__
        return "done"
    def hungry():
        held = bytearray((1 << 28) + worker.ROOM)
    print(json.dumps({{
        "held": held,
        "the source": tried(lambda: (home / "rows.csv").read_bytes()),
        "a table": tried(lambda: (home / "prepared" / "fresh").write_bytes(b"x")),
        "writing the source": tried(lambda: (home / "rows.csv").write_bytes(b"x")),
        "the file beside": tried(lambda: (home / "signing.key").read_bytes()),
        "its directory": tried(lambda: list(home.iterdir())),
        "a password": tried(lambda: Path("/etc/passwd").read_bytes()),
        "its parent's memory": tried(lambda: Path("/proc/%d/mem" % os.getppid()).open("rb")),
        "a file elsewhere": tried(lambda: (home / "fresh").write_bytes(b"x")),
        "a socket": tried(lambda: socket.socket()),
        "a local socket": tried(lambda: socket.socket(socket.AF_UNIX)),
        "a program": tried(lambda: os.execv("/bin/true", ["true"])),
        "its parent's end": tried(lambda: os.kill(os.getppid(), 9)),
        "much memory": tried(hungry),
        "core": resource.getrlimit(resource.RLIMIT_CORE)[0],
    }}))
"""


def test_the_system_holds_the_process_to_its_source_and_its_tables(tmp_path):
    (tmp_path / "prepared").mkdir()
    (tmp_path / "rows.csv").write_text("a\n1\n")
    (tmp_path / "signing.key").write_text(CANARY)
    script = textwrap.dedent(TRIED.format(room=str(Path(worker.__file__).parent), home=str(tmp_path)))
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    told = json.loads(done.stdout)
    if told.pop("held") != ["files", "calls"]:
        pytest.skip("this system has no Landlock or no seccomp")
    assert told.pop("core") == 0
    assert [what for what, came in told.items() if came == "done"] == ["the source", "a table"]
    assert told["much memory"] == "MemoryError"
    assert (tmp_path / "rows.csv").read_text() == "a\n1\n"


def test_the_process_has_no_variable_file_or_directory_of_the_nodes(engines, table, monkeypatch):
    monkeypatch.setenv("TOUCHSTONE_SECRET", CANARY)
    descriptor = os.open(table.path, os.O_RDONLY)
    os.set_inheritable(descriptor, True)
    try:
        fresh = Sandbox(memory=1 << 28)
        with closing(fresh), engine(table, engines=fresh):
            own = Path(f"/proc/{alone(fresh)}")
            if os.geteuid() == 0:  # to others its own description is closed, too
                assert (own / "environ").read_bytes() == b"LC_ALL=C.UTF-8\0"
                assert (own / "cwd").readlink() == Path("/")
                opened = {str(link.readlink()) for link in (own / "fd").iterdir()}
                assert not [name for name in opened if not name.startswith(("pipe:", "/dev/null", "anon_inode:"))]
            assert (own / "cmdline").read_bytes().split(b"\0")[1:3] == [b"-I", worker.__file__.encode()]
    finally:
        os.close(descriptor)


def test_only_the_file_that_is_the_source_now_can_be_read(tmp_path):
    path = tmp_path / "rows.csv"
    path.write_text("a\n1\n")
    location = Location("csv", str(path))
    engines = Sandbox(memory=1 << 28)
    with closing(engines):
        assert list(sandbox_columns(location, engines)) == ["a"]
        before = alone(engines)
        (tmp_path / "newer.csv").write_text("b\n1\n")
        (tmp_path / "newer.csv").replace(path)
        assert list(sandbox_columns(location, engines)) == ["b"]
        assert alone(engines) != before
        assert list(sandbox_columns(location, engines)) == ["b"]


def sandbox_columns(location, engines):
    from exchange.node.source import inspect

    return inspect(location, engines=engines)


def test_values_come_back_as_they_are(engines, table):
    texts = ["", "张三", "'; DROP TABLE rows; --", "💥", "\x1f\x1e", "a" * 100_000, '{"hex": "00"}', "\ufeff"]
    told = [None, True, False, 0, -(2**126), 2**126, 2**63, *texts, b"", b"\x00\xff", bytes(range(256))]
    with engine(table, engines=engines) as opened:
        for value in told:
            text = (
                (value.hex() if isinstance(value, bytes) else value) if isinstance(value, str | bytes) else str(value)
            )
            spelt = {str: "$x", bytes: "unhex($x)", bool: "CAST($x AS BOOLEAN)", int: "CAST($x AS HUGEINT)"}
            statement = f"SELECT {spelt.get(type(value), 'nullif($x, $x)')}"
            [(back,)] = opened.execute(statement, {"x": text}).fetchall()
            assert (back, type(back)) == (value, type(value))


@pytest.mark.parametrize("value", ["1.5", "DATE '2026-01-01'", "[1]", "{'a': 1}", "1.5::DECIMAL(3,1)", "'nan'::DOUBLE"])
def test_no_other_value_comes_back(table, value):
    with pytest.raises(SourceFault), engine(table, engines=sources.HERE) as opened:
        opened.execute(f"SELECT {value}")


# -- the node loses it -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("by", [signal.SIGSEGV, signal.SIGKILL, signal.SIGABRT])
def test_a_process_that_ended_at_rest_is_not_missed(engines, table, by):
    with engine(table, engines=engines):
        pass
    pid = alone(engines)
    os.kill(pid, by)
    ended(pid)
    with engine(table, engines=engines) as opened:
        assert opened.execute("SELECT 1").fetchall() == [(1,)]
    assert alone(engines) != pid


SLOW = "SELECT count(*) FROM range(1000000) AS a, range(10000000) AS b WHERE hash(a.range, b.range) = 1"


@pytest.mark.parametrize(
    ("by", "fault"),
    [(signal.SIGSEGV, Ended), (signal.SIGABRT, Ended), (signal.SIGKILL, NoRoom), (signal.SIGXCPU, TooLong)],
)
def test_a_process_that_ends_at_work_is_a_fault_of_that_question_alone(engines, table, by, fault):
    with engine(table, engines=engines):
        kill_at_work(alone(engines), by)
    with pytest.raises(fault) as caught, engine(table, engines=engines) as opened:
        opened.execute(SLOW)
    assert caught.value.__cause__ is None
    assert getattr(caught.value, "broke", False) == (fault is Ended)
    with engine(table, engines=engines) as opened:
        assert opened.execute("SELECT 1").fetchall() == [(1,)]


def test_a_statement_without_end_and_a_process_that_hangs_are_ended(engines, table):
    files = Files(table.path, allowed=(table.path,), seconds=1)
    for hangs in (False, True):
        opened = engines.open(files)
        if hangs:
            os.kill(alone(engines), signal.SIGSTOP)
        with pytest.raises(TooLong):
            opened.execute(SLOW)
        assert not opened.alive
        opened.close()
        assert running(engines) == {}


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT len(list(range)) FROM range(100000000)",
        "SELECT length(string_agg(repeat('x', 1000), '')) FROM range(3000000)",
        "SELECT count(*) FROM (SELECT DISTINCT md5(range::VARCHAR) || repeat('x', 200) FROM range(3000000))",
        "SELECT max(length(repeat('x', 4000000000)))",
    ],
)
def test_hunger_is_told_and_the_next_question_is_answered(table, statement):
    engines = Sandbox(memory=64 << 20)
    with closing(engines):
        with pytest.raises(SourceFault), engine(table, engines=engines) as opened:
            opened.execute(statement)
        with engine(table, engines=engines) as opened:
            assert opened.execute("SELECT 1").fetchall() == [(1,)]


@pytest.mark.parametrize(
    "program",
    [
        "print('row 1: canary', flush=True); import time; time.sleep(60)",
        "import sys; sys.stdout.buffer.write(b'\\xff\\xff\\xff\\xff'); sys.stdout.flush(); sys.stdin.read()",
        "import sys; sys.stdout.buffer.write(b'\\0\\0\\0\\4true'); sys.stdout.flush(); sys.stdin.read()",
        'import sys; sys.stdout.buffer.write(b\'\\0\\0\\0\\x11{"fault":"canary"}\'); sys.stdout.flush(); sys.stdin.read()',
        "import sys; d = b'[' * 99999; sys.stdout.buffer.write(len(d).to_bytes(4, 'big') + d); sys.stdout.flush()",
        "import os; os.close(1); os.close(0)",
        "pass",
    ],
)
def test_a_process_that_says_what_it_must_not_is_ended_and_not_quoted(table, tmp_path, monkeypatch, caplog, program):
    (tmp_path / "rogue.py").write_text(program)
    monkeypatch.setattr(sandbox, "_PROGRAM", tmp_path / "rogue.py")
    engines = Sandbox(memory=1 << 28)
    with closing(engines):
        with pytest.raises(SourceFault) as caught, engine(table, engines=engines):
            pass
        assert "canary" not in f"{caught.value!r} {caplog.text}"


def test_rows_of_another_form_are_refused(table, tmp_path, monkeypatch):
    hostile = ['[["a", [1]]]', '[[{"hex": "zz"}]]', '[[{"hex": "00", "x": 1}]]', '[[["a"]]]', '{"a": 1}', "[5]", '"ab"']
    for rows in hostile:
        with pytest.raises(ValueError):
            sandbox._rows(json.loads(rows))
    program = Path(worker.__file__).read_text("utf-8").replace("_spelt(value) for", "[value] for")
    (tmp_path / "rogue.py").write_text(program)
    monkeypatch.setattr(sandbox, "_PROGRAM", tmp_path / "rogue.py")
    engines = Sandbox(memory=1 << 28)
    with closing(engines), pytest.raises(Ended), engine(table, engines=engines) as opened:
        opened.execute("SELECT 1")


def test_no_more_processes_are_kept_than_a_few(tmp_path, monkeypatch):
    monkeypatch.setattr(sandbox, "WARM", 2)
    engines = Sandbox(tmp_path / "prepared", memory=1 << 28)
    with closing(engines):
        for name in "abc":
            (tmp_path / name).write_text("a\n1\n")
            with engine(Location("csv", str(tmp_path / name)), engines=engines):
                pass
        assert [Path(source).name for source in running(engines)] == ["b", "c"]
    assert list((tmp_path / "prepared").iterdir()) == []


def test_processes_end_with_their_node_and_the_next_one_waits_for_them(table, tmp_path):
    script = """
import sys
from pathlib import Path
from exchange.node.engine import Files
from exchange.node.sandbox import Sandbox
engines = Sandbox(Path(sys.argv[2]), memory=1 << 28)
engines.open(Files(sys.argv[1]))
print(*(worker.pid for worker in engines._workers.values()), flush=True)
sys.stdin.read()
"""
    node = subprocess.Popen(
        [sys.executable, "-c", script, table.path, str(tmp_path / "prepared")],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, env={"PYTHONPATH": str(Path(__file__).parents[1])},
    )  # fmt: skip
    with node:
        pid = int(node.stdout.readline())
        assert Path(f"/proc/{pid}").exists()
        node.kill()
    ended(pid)
    Prepared(tmp_path / "prepared", sampling_key=KEY, engines=sources.HERE)


# -- tables ----------------------------------------------------------------------------------------------------------


def test_a_table_that_broke_the_engine_is_not_asked_again(tmp_path):
    """A file that ends the process, not the statement: told once, then the rows answer, and a start makes it anew."""
    dataset, directory = laid(tmp_path), tmp_path / "prepared"
    ready = Prepared(directory, sampling_key=KEY, engines=Sandbox(directory, memory=1 << 28))
    with closing(ready):
        assert ready.make(dataset)
        totals = clip(count_rows(), dataset, sampling_key=KEY, ready=ready).totals
        kill_at_work(alone(ready.engines), signal.SIGSEGV)
        with pytest.raises(Ended):
            ready.rows(dataset, SLOW)
        assert list(directory.glob("*.duckdb")) == []
        assert clip(count_rows(), dataset, sampling_key=KEY, ready=ready).totals == totals
        assert ready.make(dataset)
        assert clip(count_rows(), dataset, sampling_key=KEY, ready=ready).totals == totals


def test_a_process_that_ended_at_rest_leaves_its_table(tmp_path):
    dataset, directory = laid(tmp_path), tmp_path / "prepared"
    ready = Prepared(directory, sampling_key=KEY, engines=Sandbox(directory, memory=1 << 28))
    with closing(ready):
        ready.make(dataset)
        held = {path.name: path.stat().st_ino for path in directory.glob("*.duckdb")}
        totals = clip(count_rows(), dataset, sampling_key=KEY, ready=ready).totals
        pid = alone(ready.engines)
        os.kill(pid, signal.SIGSEGV)
        ended(pid)
        assert clip(count_rows(), dataset, sampling_key=KEY, ready=ready).totals == totals
        assert {path.name: path.stat().st_ino for path in directory.glob("*.duckdb")} == held


def test_tables_answer_the_same_from_a_process_of_their_own(tmp_path):
    dataset, directory = laid(tmp_path), tmp_path / "prepared"
    expected = sources.clip(count_rows(), dataset, sampling_key=KEY).totals
    ready = Prepared(directory, sampling_key=KEY, engines=Sandbox(directory, memory=1 << 28))
    with closing(ready):
        assert clip(count_rows(), dataset, sampling_key=KEY, ready=ready).totals == expected  # where the rows lie
        ready.make(dataset)
        Path(dataset.location.path).rename(tmp_path / "moved")
        assert clip(count_rows(), dataset, sampling_key=KEY, ready=ready).totals == expected  # from the table
        shutil.rmtree(directory)
        with pytest.raises(SourceFault):
            clip(count_rows(), dataset, sampling_key=KEY, ready=ready)
