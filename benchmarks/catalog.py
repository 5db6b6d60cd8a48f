"""How fast the catalog takes registrations and is searched.

Run with ``python -m benchmarks.catalog [--datasets N] [--entries N]``; the last line is one JSON object. Registrations come
from 256 callers at once, signed, verified and durable; the searches, in Chinese and English, run over N datasets with the
caches warm. ``rebuild_per_s`` is how fast a catalogue is made again from a journal of registrations and session messages.
"""

import argparse
import json
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import median
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from exchange.book import Book
from exchange.hub import catalog
from exchange.hub.search import Question
from exchange.hub.store import PROJECTION, Store
from exchange.journal import Journal
from exchange.protocol.declaration import Coverage, Declaration, Wording
from exchange.protocol.envelope import Envelope
from exchange.protocol.messages import Registration
from exchange.standards import shipped
from privacy.terms import Standard

CALLERS = 256
ZH = [
    "消费",
    "信贷",
    "账户",
    "逾期",
    "小微",
    "企业",
    "流水",
    "税务",
    "发票",
    "信用卡",
    "按揭",
    "汽车",
    "保险",
    "理赔",
    "通信",
    "空气质量",
]
EN = [
    "consumer",
    "credit",
    "accounts",
    "overdue",
    "small",
    "business",
    "payments",
    "tax",
    "invoices",
    "cards",
    "mortgage",
]
REGIONS = ["北京", "上海", "广东", "浙江", "四川", "陕西"]
QUESTIONS = [
    "信贷",
    "小微企业 逾期",
    "信用卡",
    "空气质量 北京",
    "税",
    "credit",
    "overdue accounts",
    "tax invoices 广东",
    "number 4711",
]


def clock() -> int:
    return time.time_ns() // 1000


def standards(count: int) -> list[Standard]:
    """The shipped standard under ``count`` names, since an institution holds one dataset under each."""
    document = shipped("consumer_credit/1").to_json()
    return [Standard.from_json(document | {"name": f"credit_{number}"}) for number in range(count)]


def registration(number: int, standard: Standard) -> Registration:
    zh = [ZH[number * step % len(ZH)] for step in (3, 5, 7)]
    en = [EN[number * step % len(EN)] for step in (3, 5, 7)]
    return Registration(
        dataset=f"set_{number}",
        title=f"{' '.join(en)} number {number}",
        standard=standard.id,
        standard_digest=standard.digest,
        population=f"people {number}",
        columns=tuple(sorted(column.name for column in standard.columns)),
        refreshed="2026-10-31",
        declared=Declaration(
            title=Wording(zh=f"{''.join(zh)}数据第{number}号"),
            description=Wording(
                zh=f"{REGIONS[number % 6]}的{zh[2]}与{zh[0]}明细，按月更新。" * 3, en=f"{en[1]} of {en[2]}. " * 5
            ),
            level=1 + number % 5,
            coverage=Coverage(regions=(REGIONS[number % 6],)),
        ),
    )


class Parties:
    """The callers, each with its key; signs registrations before the clock runs."""

    def __init__(self, store: Store, datasets: int) -> None:
        self.keys = {f"bank-{number}": Ed25519PrivateKey.generate() for number in range(CALLERS)}
        self.standards = standards(-(-datasets // CALLERS))
        for party, key in self.keys.items():
            catalog.enrol(store, party=party, name=party, role="institution", key=key.public_key().public_bytes_raw())
        for standard in self.standards:
            catalog.publish_standard(store, standard)

    def signed(self, caller: int, count: int) -> list[Envelope]:
        """Return a caller's registrations, one for each of the first ``count`` standards."""
        party = f"bank-{caller}"
        told = [registration(caller + CALLERS * turn, self.standards[turn]) for turn in range(count)]
        return [one.sealed_by(party, self.keys[party]) for one in told]


def register_all(store: Store, datasets: int) -> dict[str, int]:
    """Register ``datasets`` datasets, a caller's one after the other, in rounds so that signing is not timed."""
    parties = Parties(store, datasets)
    turns = datasets // CALLERS
    waiting = [parties.signed(caller, turns) for caller in range(CALLERS)]
    start = threading.Barrier(CALLERS + 1)
    times: list[float] = []

    def work(envelopes: list[Envelope]) -> None:
        start.wait()
        for envelope in envelopes:
            began = time.perf_counter()
            catalog.register(store, envelope)
            times.append(time.perf_counter() - began)

    with ThreadPoolExecutor(CALLERS) as pool:
        done = [pool.submit(work, envelopes) for envelopes in waiting]
        start.wait()
        began, used = time.perf_counter(), time.process_time()
        for future in done:
            future.result()
        took, cpu = time.perf_counter() - began, time.process_time() - used
    return {
        "per_s": round(len(times) / took),
        "cpu_us_each": round(cpu / len(times) * 1e6),
        "p50_ms": round(median(times) * 1000),
    }


def percentile(times: list[float], share: float) -> float:
    return round(sorted(times)[int(share * (len(times) - 1))] * 1000, 2)


def timed(act: Any, repeats: int) -> list[float]:
    act()
    times = []
    for _ in range(repeats):
        began = time.perf_counter()
        act()
        times.append(time.perf_counter() - began)
    return times


def searches(store: Store, repeats: int) -> dict[str, Any]:
    search = store.search
    times: dict[str, list[float]] = {"zh": [], "en": [], "facets_zh": [], "facets_en": [], "filtered": [], "page_2": []}
    found = {}
    for words in QUESTIONS:
        language = "zh" if not words[0].isascii() else "en"
        question = Question(words=words)
        first = search.find(question, hidden=(), limit=50)
        found[words] = len(first.datasets)
        times[language] += timed(lambda q=question: search.find(q, hidden=(), limit=50), repeats)
        times[f"facets_{language}"] += timed(
            lambda q=question: search.find(q, hidden=(), limit=50, facets=True), repeats
        )
        narrow = Question(words=words, owner="bank-7", level="3")
        times["filtered"] += timed(lambda q=narrow: search.find(q, hidden=(), limit=50, facets=True), repeats)
        if first.following:
            times["page_2"] += timed(
                lambda q=question, c=first.following: search.find(q, hidden=(), cursor=c, limit=50), repeats
            )
    times["all_with_facets"] = timed(lambda: search.find(Question(), hidden=(), facets=True), repeats)
    return {"p95_ms": {name: percentile(values, 0.95) for name, values in times.items()}, "found": found}


def rebuild(path: Path, entries: int) -> dict[str, int]:
    """Make a catalogue again from a journal: a fifth registrations, the rest sessions of eight messages."""
    told = registration(1, shipped("consumer_credit/1")).sealed_by("bank-1", Ed25519PrivateKey.generate()).to_json()
    note = {"kind": "share", "signer": "bank-1", "body": "x" * 800, "signature": "x" * 86}
    with Journal.open(path / "again" / "journal", owner="exchange") as journal:
        for block in range(0, entries, 1_000):
            events: list[tuple[str, Any]] = []
            while len(events) < 1_000:
                number = block + len(events)
                body = json.loads(told["body"]) | {"dataset": f"set_{number}"}
                events.append(("dataset", told | {"body": json.dumps(body, separators=(",", ":"))}))
                name = f"{number:064x}"
                session = {"id": name, "asker": "x", "plan_hash": name, "key_fingerprint": name, "parties": ["a", "b"]}
                events.append(("session", session | {"expires": 0, "ask": note}))
                for kind, stage in (("accept", "gathering"), ("commit", "committing"), ("share", "answering")):
                    for signer in ("a", "b"):
                        told_by = note | {"kind": kind, "signer": signer}
                        events.append(("message", {"session": name, "stage": stage, "envelope": told_by}))
            journal.append(events[:1_000], clock())
    began = time.perf_counter()
    with Book.open(path / "again", owner="exchange", projection=PROJECTION, clock=clock) as book:
        took = time.perf_counter() - began
        return {"entries": book.head[0], "per_s": round(book.head[0] / took)}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--datasets", type=int, default=100_000)
    parser.add_argument("--entries", type=int, default=100_000)
    parser.add_argument("--repeats", type=int, default=30)
    told = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as name:
        home = Path(name) / "exchange"
        store = Store.open(home, clock=clock)
        figures: dict[str, Any] = {"datasets": told.datasets, "registrations": register_all(store, told.datasets)}
        began = time.perf_counter()
        store.search.find(Question(words="信贷"), hidden=())
        figures["index_s"] = round(time.perf_counter() - began, 1)
        figures["search"] = searches(store, told.repeats)
        store.close()
        figures["rebuild"] = rebuild(Path(name), told.entries)
    print(json.dumps(figures, ensure_ascii=False))


if __name__ == "__main__":
    main()
