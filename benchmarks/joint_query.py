"""A private joint answer beside plain ones: ``python -m benchmarks.joint_query [--rows N] [--peers [PYTHON ...]]``.

Three institutions with N rows each (10,000,000 unless said otherwise) in Parquet files, each prepared by its own node. The
same statement is answered (a) by the town: exchange, three nodes and an analyst as processes of their own, with accounting,
noise, masks and Paillier at full size; (b) by plain DuckDB over the union of the Parquet files; (c) by plain DuckDB over
tables of its own format. All on the same cores, in one run, each the median of several. CPU seconds are those of all
processes that take part. With ``--peers`` the statement also goes once through OpenDP's context interface and
smartnoise-sql, over all rows at once and as far as they are installed. Lines for people go to stderr, one JSON object to stdout, last.
"""

import argparse
import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import duckdb

from api.demo import people, town
from benchmarks import peers
from benchmarks.end_to_end import Stopwatch, processor_seconds
from exchange import connect
from exchange.analyst.client import Client
from exchange.node.engine import Location
from exchange.node.source import Field
from privacy.terms import NANO

SQL = "SELECT region, product, COUNT(*), SUM(balance), AVG(balance) FROM consumer_credit GROUP BY region, product"
CUBE = (
    "SELECT region, product, education, month, COUNT(*), SUM(balance), SUM(months_overdue) "
    "FROM consumer_credit GROUP BY region, product, education, month"
)
RUNS = 5
COLUMNS = ("person", "region", "product", "education", "month", "balance", "credit_limit", "months_overdue", "income")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=10_000_000, help="rows of each institution")
    parser.add_argument(
        "--peers",
        nargs="*",
        metavar="PYTHON",
        help="also ask OpenDP's and SmartNoise's own interfaces, by these interpreters (this one if none is named)",
    )
    options = parser.parse_args()
    watch = Stopwatch()
    with tempfile.TemporaryDirectory(prefix="touchstone-benchmark-") as directory:
        home = Path(directory)
        institutions = watch.timed("lay_out_tables", lambda: lay_out(home, rows=options.rows))
        files = [one.location.path for one in institutions]
        private, cube = asked_of_the_town(home, institutions, watch)
        parquet = plain(files, native=None, watch=watch)
        native = plain(files, native=home / "native.duckdb", watch=watch)
        others = {} if options.peers is None else asked_of_peers(files, options.peers or [sys.executable])
    told = {
        "benchmark": "joint_query",
        "rows_per_institution": options.rows,
        "statement": SQL,
        "ratio_cpu_parquet": round(private["cpu"] / parquet["cpu"], 3),
        "ratio_cpu_native": round(private["cpu"] / native["cpu"], 3),
        "private": private,
        "duckdb_on_parquet": parquet,
        "duckdb_on_native_tables": native,
        "cube": cube,
        "peers": others,
        "seconds": watch.seconds,
        "machine": {"cores": os.cpu_count(), "python": platform.python_version(), "processor": platform.machine()},
    }
    print(json.dumps(told))


def lay_out(home: Path, *, rows: int) -> list[people.Institution]:
    """Write three Parquet files of people with some accounts each; the generator is the engine's own hash."""
    made = []
    for index, party in enumerate(("bank-a", "bank-b", "bank-c")):
        folder = home / party
        folder.mkdir(parents=True, mode=0o700)
        path = folder / "accounts.parquet"
        with duckdb.connect(":memory:") as engine:
            engine.execute("SET threads = 2")
            engine.execute(
                f"""COPY (SELECT 'P' || lpad(CAST(hash(i // 3, {index}) % {rows} AS VARCHAR), 9, '0') AS person,
                ['north', 'east', 'south', 'west', 'central'][CAST(1 + hash(i, 1) % 5 AS INTEGER)] AS region,
                ['card', 'mortgage', 'car', 'cash'][CAST(1 + hash(i, 2) % 4 AS INTEGER)] AS product,
                ['graduate', 'university', 'school', 'other', 'unknown'][CAST(1 + hash(i, 3) % 5 AS INTEGER)] AS education,
                lpad(CAST(1 + hash(i, 4) % 12 AS VARCHAR), 2, '0') AS month,
                CAST((hash(i, 5) % 18000000) / 100 AS DECIMAL(12, 2)) AS balance,
                CAST((hash(i, 6) % 90000000) / 100 AS DECIMAL(12, 2)) AS credit_limit,
                CAST(hash(i, 7) % 9 AS INTEGER) AS months_overdue,
                CAST((hash(i, 8) % 90000000) / 100 AS DECIMAL(12, 2)) AS income
                FROM range({rows}) AS t(i)) TO '{path}' (FORMAT parquet)"""  # noqa: S608  numbers and a path of ours
            )
        made.append(
            people.Institution(
                party=party,
                name=party.title(),
                location=Location("parquet", str(path)),
                mapping={column: Field(source=column) for column in COLUMNS},
                rows=rows,
                persons=rows // 3,
            )
        )
    return made


def asked_of_the_town(
    home: Path, institutions: list[people.Institution], watch: Stopwatch
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Ask the statement of real processes, several times afresh; return its CPU and wall seconds, and those of a cube."""
    with town.Town(home, institutions, clock=lambda: time.time_ns() // 1000) as running:
        watch.timed("prepare_and_register", running.settle)
        watch.timed("start_exchange", running.start_exchange)
        for one in institutions:
            watch.timed(f"start_{one.party}", partial(running.start_node, one.party))
        with connect(home / "lender-x", running.url) as client:
            watch.timed("first_answer_with_new_key", lambda: ask(client, SQL, budget=0.001))
            runs = [measured(running, partial(ask, client, SQL, budget=0.002 + n / 10_000)) for n in range(RUNS)]
            cube = measured(running, lambda: ask(client, CUBE, budget=0.05))
    print(f"{'private':>24} {median(r['wall'] for r in runs):8.2f} s wall", file=sys.stderr)
    return typical(runs), cube


def ask(client: Client, sql: str, *, budget: float) -> None:
    """Ask afresh, whatever is stored."""
    result = client.query(sql, purpose=town.PURPOSE, budget=budget, fresh=True).run()
    charged = result.receipt["charged"]
    if set(charged.values()) != {round(budget * NANO)}:
        sys.exit(f"not every institution charged what was asked: {charged}")


def measured(running: town.Town, work: Callable[[], None]) -> dict[str, float]:
    """Return the wall and CPU seconds of some work in this process and all processes of the town."""
    before = time.perf_counter(), _cpu(running)
    work()
    return {"wall": round(time.perf_counter() - before[0], 3), "cpu": round(_cpu(running) - before[1], 3)}


def _cpu(running: town.Town) -> float:
    return time.process_time() + sum(processor_seconds(pid) or 0.0 for pid in running.running().values())


def typical(runs: list[dict[str, float]]) -> dict[str, Any]:
    """Return the medians, and all runs."""
    return {
        "wall": median(run["wall"] for run in runs),
        "cpu": median(run["cpu"] for run in runs),
        "runs": runs,
    }


def plain(files: list[str], *, native: Path | None, watch: Stopwatch) -> dict[str, Any]:
    """Answer the statement by plain DuckDB over the union of the files, or over tables of its own made of them."""
    union = " UNION ALL ".join(f"SELECT region, product, balance FROM read_parquet('{file}')" for file in files)  # noqa: S608
    with duckdb.connect(":memory:" if native is None else str(native)) as engine:
        engine.execute("SET threads = 2")
        if native is not None:
            everything = " UNION ALL ".join(f"SELECT * FROM read_parquet('{file}')" for file in files)  # noqa: S608
            watch.timed("load_native_tables", lambda: engine.execute(f"CREATE TABLE held AS {everything}"))
            union = "SELECT region, product, balance FROM held"
        statement = SQL.replace("consumer_credit", f"({union})")
        runs = []
        for _ in range(RUNS + 1):
            started, used = time.perf_counter(), _own()
            engine.execute(statement).fetchall()
            runs.append({"wall": round(time.perf_counter() - started, 3), "cpu": round(_own() - used, 3)})
    return typical(runs[1:])  # the first run reads what the system has not cached


def _own() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def asked_of_peers(files: list[str], interpreters: list[str]) -> dict[str, Any]:
    """Put the statement to other libraries, each by the first interpreter that has it; over the rows of all files at once."""
    found: dict[str, Any] = {}
    for name in peers.PEERS:
        found[name] = "not installed"
        for interpreter in interpreters:
            told = _told(interpreter, name, files)
            if told is not None:
                found[name] = told
                break
        print(f"{name:>24} {found[name]}", file=sys.stderr)
    return found


def _told(interpreter: str, name: str, files: list[str]) -> dict[str, Any] | str | None:
    """Return what one library took in a process of its own: seconds, and gigabytes at most; nothing if it is not there."""
    started = time.perf_counter()
    with tempfile.TemporaryFile() as said, tempfile.TemporaryFile() as complained:
        process = subprocess.Popen([interpreter, peers.__file__, name, *files], stdout=said, stderr=complained)
        _, status, used = os.wait4(process.pid, 0)
        took = time.perf_counter() - started
        process.returncode = os.waitstatus_to_exitcode(status)
        said.seek(0)
        complained.seek(0)
        told = json.loads(said.read()) if process.returncode == 0 else {}
        last = complained.read().decode(errors="replace").strip().rpartition("\n")[2]
    if "missing" in told:
        return None
    if "answer" not in told:
        return f"failed: {last[:100]}"
    return {
        "version": told["version"],
        "wall": round(took, 2),
        "cpu": round(used.ru_utime + used.ru_stime, 2),
        "gigabytes": round(used.ru_maxrss / (1 << 20), 2),
        "groups": len(told["answer"]),
    }


if __name__ == "__main__":
    main()
