"""How fast a journal and a book write and come back.

Run with ``python -m benchmarks.journal``; the last line is one JSON object. Entries are about 200 bytes. The disk decides
most of it: ``sync_us`` is the median time of one bare write and fdatasync in the same directory, in microseconds. ``plain`` is a
journal as nodes keep it, ``logged`` one with the Merkle tree of the exchange's log over it, in turns in the same run. A
proof is found and checked at a log of a million entries, in milliseconds of processor time, half of them and 99 of 100.
"""

import json
import os
import secrets
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import median
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA65PrivateKey

from exchange.book import Book
from exchange.journal import Entry, Journal
from exchange.projection import Projection, Rows
from exchange.protocol.attest import LogSigner, attest
from exchange.protocol.tree import Tree, check_consistency, root_by_inclusion

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


def appends(path: Path, callers: int) -> dict[str, dict[str, float]]:
    """Entries a second, microseconds of 99 writes in 100 and of processor time an entry, when ``callers`` write together."""
    group = [("charged", BODY)] * callers
    times: dict[str, list[float]] = {"plain": [], "logged": []}
    used = {"plain": 0.0, "logged": 0.0}
    for number in range(6):
        kind = ("plain", "logged")[number % 2]
        onlooker = Tree().extend if kind == "logged" else None
        with Journal.open(path / f"journal-{callers}-{number}", owner=OWNER, onlooker=onlooker) as journal:
            end, before = time.perf_counter() + SECONDS, time.process_time()
            while (start := time.perf_counter()) < end:
                journal.append(group, clock())
                times[kind].append(time.perf_counter() - start)
            used[kind] += time.process_time() - before
    return {
        kind: {
            "per_s": round(callers * len(taken) / sum(taken)),
            "p99_us": percentile(taken, 99),
            "cpu_us": round(used[kind] * 1e6 / (callers * len(taken)), 1),
        }
        for kind, taken in times.items()
    }


def percentile(times: list[float], percent: int) -> int:
    """Microseconds below which ``percent`` of 100 times are."""
    return round(sorted(times)[len(times) * percent // 100] * 1e6)


def prove(size: int) -> dict[str, Any]:
    """A log of ``size`` entries: made, then proofs of random places and sizes found and checked."""
    tree, entry = Tree(), json.dumps(BODY).encode()
    start = time.thread_time()
    for _ in range(size):
        tree.add(entry)
    added = time.thread_time() - start
    root = tree.root()
    grown = time.thread_time() - start - added
    found: dict[str, list[float]] = {"inclusion": [], "consistency": [], "checking_inclusion": []}
    for _ in range(2_000):
        at, old = secrets.randbelow(size), 1 + secrets.randbelow(size)
        start = time.thread_time()
        path = tree.inclusion(at, size)
        found["inclusion"].append(time.thread_time() - start)
        start = time.thread_time()
        assert root_by_inclusion(tree.leaf(at), index=at, size=size, path=path) == root
        found["checking_inclusion"].append(time.thread_time() - start)
        start = time.thread_time()
        proof = tree.consistency(old, size)
        found["consistency"].append(time.thread_time() - start)
        check_consistency(old=old, old_root=tree.root(old), new=size, new_root=root, proof=proof)
    signer = LogSigner(Ed25519PrivateKey.generate(), MLDSA65PrivateKey.generate())
    signed = []
    for _ in range(200):
        start = time.thread_time()
        attest("head", {"root": root.hex(), "size": size}, signer)
        signed.append(time.thread_time() - start)
    milliseconds = {
        name: {"p50_ms": percentile(taken, 50) / 1e3, "p99_ms": percentile(taken, 99) / 1e3}
        for name, taken in {**found, "signing_a_head": signed}.items()
    }
    return {"entries": size, "adding_s": round(added, 2), "hashing_above_s": round(grown, 2), **milliseconds}


def book_writes(path: Path, callers: int) -> int:
    with Book.open(path / f"book-{callers}", owner=OWNER, projection=PROJECTION, clock=clock) as book:
        return per_second(callers, lambda: book.write(lambda _: ([("charged", BODY)], None)))


def come_back(path: Path) -> dict[str, int]:
    """Open a journal of 200,000 entries, by processor time; make a catalogue again from 20,000."""
    with Journal.open(path / "long", owner=OWNER) as journal:
        for _ in range(200):
            journal.append([("charged", BODY)] * 1000, clock())
    start = time.process_time()
    with Journal.open(path / "long", owner=OWNER, onlooker=Tree().extend) as journal:
        logged = journal.head[0] / (time.process_time() - start)
    start = time.process_time()
    with Journal.open(path / "long", owner=OWNER) as journal:
        verified = journal.head[0] / (time.process_time() - start)
        start = time.perf_counter()
        parsed = sum(1 for _ in journal.entries()) / (time.perf_counter() - start)
    with Journal.open(path / "again" / "journal", owner=OWNER) as journal:
        for _ in range(20):
            journal.append([("charged", BODY)] * 1000, clock())
    start = time.perf_counter()
    with Book.open(path / "again", owner=OWNER, projection=PROJECTION, clock=clock) as book:
        replayed = book.head[0] / (time.perf_counter() - start)
    return {
        "verify_per_s": round(verified),
        "verify_logged_per_s": round(logged),
        "parse_per_s": round(parsed),
        "replay_per_s": round(replayed),
    }


def main() -> None:
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as name:
        path = Path(name)
        figures: dict[str, Any] = {"sync_us": sync_us(path)}
        figures["appends"] = {str(callers): appends(path, callers) for callers in (1, 16, 128)}
        figures["book_writes_per_s"] = {str(callers): book_writes(path, callers) for callers in (1, 16, 128)}
        figures |= come_back(path)
    figures["log"] = prove(1_000_000)
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
