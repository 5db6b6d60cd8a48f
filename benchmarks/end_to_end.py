"""The demonstration's town end to end: ``python -m benchmarks.end_to_end [--rows N]``.

Real processes, real keys, real ciphertexts: three nodes, an exchange, and a lender without data in this process. Lines for
people go to stderr, one JSON object to stdout, last. Seconds are wall time; ``cpu_seconds`` are those of each process from
its start (for the lender: of this process, which also lays out the tables).
"""

import argparse
import json
import os
import platform
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import median
from typing import TypeVar

from api.demo import people, town
from api.demo.lending import pledge, value
from exchange import connect
from exchange.analyst.client import Client
from exchange.analyst.desk import Desk

T = TypeVar("T")

SQL = "SELECT region, COUNT(*), SUM(balance), AVG(balance) FROM consumer_credit WHERE product = 'card' GROUP BY region"
REPEATS = 5


class Stopwatch:
    """Seconds of wall time by what was done."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    def timed(self, what: str, work: Callable[[], T]) -> T:
        """Do the work, note its time and return what it made."""
        started = time.perf_counter()
        done = work()
        self.seconds[what] = round(time.perf_counter() - started, 3)
        print(f"{what:>24} {self.seconds[what]:8.2f} s", file=sys.stderr)
        return done


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=100_000, help="rows of each institution")
    rows = parser.parse_args().rows
    watch = Stopwatch()
    seconds, timed = watch.seconds, watch.timed
    with tempfile.TemporaryDirectory(prefix="touchstone-benchmark-") as directory:
        home = Path(directory)
        institutions = timed("lay_out_tables", lambda: people.synthesise(home, rows=rows))
        with town.Town(home, institutions, clock=lambda: time.time_ns() // 1000) as running:
            started = time.perf_counter()
            timed("make_homes_and_register", running.settle)
            timed("start_exchange", running.start_exchange)
            for one in institutions:
                timed(f"start_{one.party}", partial(running.start_node, one.party))
            with connect(home / "lender-x", running.url) as client:
                timed("make_paillier_key", lambda: client.desk.key)
                timed("first_joint_answer", lambda: ask(client))
                seconds["start_to_first_answer"] = round(time.perf_counter() - started, 3)
                again = [timed(f"repeated_answer_{count + 1}", lambda: ask(client)) for count in range(REPEATS)]
                if any(any(charged.values()) for charged in again):
                    sys.exit("a repeated answer was charged")
                lend(client.desk, institutions[0], home, watch)
            cpu = {party: processor_seconds(pid) for party, pid in running.running().items()}
    repeated = [seconds.pop(f"repeated_answer_{count + 1}") for count in range(REPEATS)]
    cpu["lender-x"] = round(time.process_time(), 2)
    told = {
        "benchmark": "end_to_end",
        "rows_per_institution": rows,
        "institutions": len(institutions),
        "seconds": seconds | {"repeated_answer": median(repeated)},
        "cpu_seconds": cpu,
        "machine": {"cores": os.cpu_count(), "python": platform.python_version(), "processor": platform.machine()},
    }
    print(json.dumps(told))


def ask(client: Client) -> dict[str, int]:
    """Ask the demonstration's question of the institutions and return what each charged (1e-9 rho)."""
    inquiry = client.query(SQL, purpose=town.PURPOSE, budget=0.1, fresh=True)
    return dict(inquiry.run().receipt["charged"])


def lend(desk: Desk, one: people.Institution, home: Path, watch: Stopwatch) -> None:
    """Appraise one dataset with its quality measured at the node, and register the lien."""
    documents, mapped = home / one.party / "documents", tuple(one.mapping)
    valued = watch.timed(
        "appraise_and_quote",
        lambda: value(desk, owner=one.party, documents=documents, mapped=mapped, progress=lambda _stage, _for: None),
    )
    watch.timed("register_lien", lambda: pledge(desk, valued, owner=one.party, home=home))


def processor_seconds(pid: int) -> float | None:
    """Return the CPU seconds of a process and all that it started, so far, where the system tells them in ``/proc``."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text("utf-8").rpartition(")")[2].split()
        started = [
            int(child) for path in Path(f"/proc/{pid}/task").glob("*/children") for child in path.read_text().split()
        ]
    except OSError:
        return None
    own = sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")  # its own, and of those that it has waited for
    return round(own + sum(processor_seconds(child) or 0.0 for child in started), 2)


if __name__ == "__main__":
    main()
