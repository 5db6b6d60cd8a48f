"""How fast the catalog takes registrations and is searched.

Run with ``python -m benchmarks.catalog [--datasets N] [--messages N] [--registrations N]``; the last line is one JSON object.
``rebuild`` makes the catalogue from a journal of N registrations and session messages; the searches, in Chinese and English,
run over it with the caches warm; registrations come on top, from 256 callers at once, signed, verified and durable. Processor
time stands beside the time by the clock, which on a busy machine tells of the others, too.
"""

import argparse
import json
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import median
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from exchange.hub import catalog
from exchange.hub.search import Question
from exchange.hub.store import Store
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


def register_all(store: Store, registrations: int) -> dict[str, int]:
    """Let 256 callers register at once, a caller's datasets one after the other; they are signed before the clock runs."""
    parties = Parties(store, registrations)
    turns = registrations // CALLERS
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
        "verify_us": verify_us(waiting[0][0], parties),
    }


def verify_us(envelope: Envelope, parties: Parties) -> int:
    """What checking one signature costs: the part of a registration that is not the catalog's."""
    directory = {envelope.signer: parties.keys[envelope.signer].public_key().public_bytes_raw()}
    used = time.thread_time()
    for _ in range(500):
        envelope.verify(directory)
    return round((time.thread_time() - used) / 500 * 1e6)


def percentile(times: list[float], share: float) -> float:
    return round(sorted(times)[int(share * (len(times) - 1))] * 1000, 2)


def timed(act: Any, repeats: int) -> list[tuple[float, float]]:
    """Seconds by the clock and of this thread's processor time, each time."""
    act()
    times = []
    for _ in range(repeats):
        began, used = time.perf_counter(), time.thread_time()
        act()
        times.append((time.perf_counter() - began, time.thread_time() - used))
    return times


def searches(store: Store, repeats: int) -> dict[str, Any]:
    search = store.search
    times: dict[str, list[tuple[float, float]]] = {
        "zh": [],
        "en": [],
        "facets_zh": [],
        "facets_en": [],
        "filtered": [],
        "page_2": [],
    }
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
    return {
        "p95_ms": {name: percentile([clock for clock, _ in values], 0.95) for name, values in times.items()},
        "p95_cpu_ms": {name: percentile([used for _, used in values], 0.95) for name, values in times.items()},
        "found": found,
    }


def lay_down(home: Path, *, datasets: int, messages: int) -> int:
    """Write an exchange's journal: a standard, ``datasets`` registrations, ``messages`` of sessions; return its length."""
    standard = shipped("consumer_credit/1")
    note = {"kind": "share", "signer": "bank-1", "body": "x" * 800, "signature": "x" * 86}
    events: list[tuple[str, Any]] = [("standard", standard.to_json())]

    def more() -> Iterator[tuple[str, Any]]:
        for number in range(datasets):
            body = registration(number, standard).model_dump_json()
            told = {"kind": "registration", "signer": f"inst-{number % 5_000}", "body": body, "signature": "A" * 86}
            yield "dataset", told
        for number in range(messages // 7):
            name = f"{number:064x}"
            session = {"id": name, "asker": "x", "plan_hash": name, "key_fingerprint": name, "parties": ["a", "b"]}
            yield "session", session | {"expires": 0, "ask": note}
            for kind, stage in (("accept", "judging"), ("commit", "committing"), ("share", "answering")):
                for signer in ("a", "b"):
                    yield (
                        "message",
                        {"session": name, "stage": stage, "envelope": note | {"kind": kind, "signer": signer}},
                    )

    with Journal.open(home / "journal", owner="exchange") as journal:
        for event in more():
            events.append(event)
            if len(events) == 1_000:
                journal.append(events, clock())
                events = []
        journal.append(events, clock())
        return journal.head[0]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--datasets", type=int, default=100_000)
    parser.add_argument("--messages", type=int, default=100_000)
    parser.add_argument("--registrations", type=int, default=10_240)
    parser.add_argument("--repeats", type=int, default=30)
    told = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as name:
        home = Path(name) / "exchange"
        entries = lay_down(home, datasets=told.datasets, messages=told.messages)
        began, used = time.perf_counter(), time.process_time()
        store = Store.open(home, clock=clock)
        figures: dict[str, Any] = {
            "datasets": told.datasets,
            "rebuild": {
                "entries": entries,
                "per_s": round(entries / (time.perf_counter() - began)),
                "cpu_us_each": round((time.process_time() - used) / entries * 1e6),
            },
        }
        began = time.perf_counter()
        store.search.find(Question(words="信贷"), hidden=())
        figures["index_s"] = round(time.perf_counter() - began, 1)
        figures["search"] = searches(store, told.repeats)
        figures["registrations"] = register_all(store, told.registrations)
        store.close()
    print(json.dumps(figures, ensure_ascii=False))


if __name__ == "__main__":
    main()
