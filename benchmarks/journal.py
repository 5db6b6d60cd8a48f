"""How fast a journal and a book write and come back.

Run with ``python -m benchmarks.journal``; the last line is one JSON object. Entries are about 200 bytes. The disk decides
most of it: ``sync_us`` is the median time of one bare write and fdatasync in the same directory, in microseconds.
"""

import json
import os
import tempfile
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import median
from typing import Any

from exchange.book import Book
from exchange.journal import Entry, Journal
from exchange.projection import Projection, Rows

OWNER = "benchmark"
BODY = {"dataset": "loans-2025", "digest": "0" * 64, "note": "n" * 30, "units": 12_500_000}
SECONDS = 1.5


def clock() -> int:
    return time.time_ns() // 1000


def _charged(entry: Entry) -> list[Any]:
    return [entry.seq, entry.body["dataset"], entry.body["units"]]


PROJECTION = Projection(
    version=1,
    tables=["CREATE TABLE charge (seq BIGINT PRIMARY KEY, dataset VARCHAR, units BIGINT)"],
    apply={"charged": Rows("charge", _charged, replace=False)},
)


def sync_us(path: Path) -> float:
    file = os.open(path / "probe", os.O_RDWR | os.O_CREAT, 0o600)
    times = []
    for i in range(200):
        start = time.perf_counter()
        os.pwrite(file, b"x" * 300, 300 * i)
        os.fdatasync(file)
        times.append(time.perf_counter() - start)
    os.close(file)
    return round(median(times) * 1e6)


def per_second(callers: int, act: Callable[[], Any]) -> int:
    """Let ``callers`` threads repeat ``act`` for a while; return how often it was done in a second."""
    end = time.perf_counter() + SECONDS
    start = time.perf_counter()

    def work(_: int) -> int:
        done = 0
        while time.perf_counter() < end:
            act()
            done += 1
        return done

    with ThreadPoolExecutor(callers) as pool:
        total = sum(pool.map(work, range(callers)))
    return round(total / (time.perf_counter() - start))


def appends(path: Path, callers: int) -> int:
    """Entries a second when every write of the journal carries what ``callers`` callers have waiting."""
    with Journal.open(path / f"journal-{callers}", owner=OWNER) as journal:
        group = [("charged", BODY)] * callers
        lock = threading.Lock()

        def act() -> None:
            with lock:
                journal.append(group, clock())

        return per_second(1, act) * callers


def book_writes(path: Path, callers: int) -> int:
    with Book.open(path / f"book-{callers}", owner=OWNER, projection=PROJECTION, clock=clock) as book:
        return per_second(callers, lambda: book.write(lambda _: ([("charged", BODY)], None)))


def come_back(path: Path) -> dict[str, int]:
    """Open a journal of 200,000 entries; make a catalogue again from 20,000."""
    with Journal.open(path / "long", owner=OWNER) as journal:
        for _ in range(200):
            journal.append([("charged", BODY)] * 1000, clock())
    start = time.perf_counter()
    with Journal.open(path / "long", owner=OWNER) as journal:
        verified = journal.head[0] / (time.perf_counter() - start)
        start = time.perf_counter()
        parsed = sum(1 for _ in journal.entries()) / (time.perf_counter() - start)
    with Journal.open(path / "again" / "journal", owner=OWNER) as journal:
        for _ in range(20):
            journal.append([("charged", BODY)] * 1000, clock())
    start = time.perf_counter()
    with Book.open(path / "again", owner=OWNER, projection=PROJECTION, clock=clock) as book:
        replayed = book.head[0] / (time.perf_counter() - start)
    return {"verify_per_s": round(verified), "parse_per_s": round(parsed), "replay_per_s": round(replayed)}


def main() -> None:
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as name:
        path = Path(name)
        figures: dict[str, Any] = {"sync_us": sync_us(path)}
        figures["appends_per_s"] = {str(callers): appends(path, callers) for callers in (1, 16, 128)}
        figures["book_writes_per_s"] = {str(callers): book_writes(path, callers) for callers in (1, 16, 128)}
        figures |= come_back(path)
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
