"""The demonstration's town: homes and keys for every party, then an exchange and three nodes as separate processes."""

import json
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from api.demo.people import Institution
from exchange import identity
from exchange.analyst import desk
from exchange.hub import catalog
from exchange.hub.store import Store
from exchange.line import Unreachable
from exchange.node import custody, registration, vault
from exchange.standards import every, shipped
from exchange.witness import Witness
from privacy.terms import NANO, Kind

STANDARD = "consumer_credit/1"
DATASET = "accounts"
REFRESHED = "2026-11-15"
LENDERS = (("lender-x", "Lender X"), ("lender-y", "Lender Y"))
AUTHORITY = ("authority", "Supervisory Authority")
OFFICERS = {"lender-x": ("x-credit", "x-risk"), "lender-y": ("y-credit", "y-risk")}
"""The two people of each lender who approve what it quotes, each with a key of its own."""

DATA_OFFICERS = {"bank-a": "a-data", "bank-b": "b-data", "bank-c": "c-data"}
"""The person of each institution's data office who rules on requests for access, with a key of its own."""

VISITORS = {
    "a bank's data office": DATA_OFFICERS["bank-a"],
    "a lender that asks": "lender-x",
    "its credit officer": "x-credit",
    "another lender": "lender-y",
    "the supervisor": AUTHORITY[0],
}
"""Who opens a console when the town holds open house, by role."""

PURPOSE = "credit-risk-statistics"
VALUATION = "pledge-valuation"
SUPERVISION = "supervision-statistics"
BUDGETS = {
    "everyone": 1 * NANO,
    "partner": NANO // 2,
    PURPOSE: 4 * NANO // 10,
    VALUATION: NANO // 10,
    SUPERVISION: NANO // 10,
}
"""Budgets of each institution's people, in 1e-9 rho."""

MIN_GROUP = 500
PLEDGE_LIMIT = 5_000_000
PLEDGE_UNTIL = "2028-12-31"
_READY_WITHIN = 60


@dataclass
class Town:
    """Everything that runs: started in order, ended in reverse, by process id."""

    home: Path
    institutions: list[Institution]
    clock: Callable[[], int]
    url: str = ""
    _processes: list[tuple[str, "subprocess.Popen[bytes]"]] = field(default_factory=list)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def settle(self) -> None:
        """Give every party its home and keys, pin the keys with each other, register datasets and policies."""
        nodes = {one.party: vault.create(self._home_of(one.party), party=one.party) for one in self.institutions}
        keys = {party: key.public_key().public_bytes_raw() for party, key in nodes.items()}
        shared = custody.make_key(self._home_of(self.institutions[0].party))
        for one in self.institutions[1:]:
            custody.take_key(self._home_of(one.party), shared)
        lenders = {}
        for party, _ in LENDERS:
            made = desk.create(self._home_of(party), party=party, pinned=keys)
            lenders[party] = made.public_key().public_bytes_raw()
        watching = desk.create(self._home_of(AUTHORITY[0]), party=AUTHORITY[0], pinned=keys)
        officers = {
            officer: identity.make(self._home_of(officer), party=officer, what="officer")
            for named in OFFICERS.values()
            for officer in named
        }
        offices = {
            officer: desk.create(self._home_of(officer), party=officer, pinned={owner: keys[owner]})
            for owner, officer in DATA_OFFICERS.items()
            if owner in keys
        }
        store = Store.open(self._home_of("exchange"), clock=self.clock)
        try:
            for standard in every():
                catalog.publish_standard(store, standard)
            for one in self.institutions:
                catalog.enrol(store, party=one.party, name=one.name, role="institution", key=keys[one.party])
            for party in (*nodes, *lenders, AUTHORITY[0]):
                Witness(self._home_of(party)).pin(store.log.id)
            for party, name in LENDERS:
                catalog.enrol(store, party=party, name=name, role="lender", key=lenders[party])
            raw = watching.public_key().public_bytes_raw()
            catalog.enrol(store, party=AUTHORITY[0], name=AUTHORITY[1], role="regulator", key=raw)
            for officer, signing in {**officers, **offices}.items():
                raw = signing.public_key().public_bytes_raw()
                catalog.enrol(store, party=officer, name=officer, role="officer", key=raw)
        finally:
            store.close()
        for one in self.institutions:
            held = vault.Vault.open(self._home_of(one.party), clock=self.clock)
            try:
                for party, key in {**keys, **lenders}.items():
                    held.pin(party, key, role="institution" if party in keys else "lender")
                held.pin(AUTHORITY[0], watching.public_key().public_bytes_raw(), role="regulator")
                officer = DATA_OFFICERS[one.party]
                held.pin(officer, offices[officer].public_key().public_bytes_raw(), role="officer")
                registration.register(held, dataset=dataset_document(one), policy=policy_document(one))
            finally:
                held.close()

    def start_exchange(self) -> str:
        """Start the exchange on a free port and return its address."""
        self.url = self._start("exchange", ["exchange", "up", str(self._home_of("exchange"))])["ready"]
        return self.url

    def start_node(self, party: str, *, console: bool = False) -> int:
        """Start a node, with its console if wished, and return its process id, once it has announced its dataset."""
        arguments = ["node", "up", str(self._home_of(party)), "--exchange", self.url]
        self._start(party, [*arguments, *(["--console", "0"] if console else [])])
        return self._processes[-1][1].pid

    def start_console(self, party: str) -> str:
        """Start the console beside a party's keys and return the link that opens it once."""
        return self._first(f"{party}, console", ["console", str(self._home_of(party)), "--exchange", self.url])

    def open_console(self, party: str) -> str:
        """Return a link that opens the console of a running node once."""
        command = [sys.executable, "-P", "-m", "api.cli", "node", "console", str(self._home_of(party))]
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=_READY_WITHIN).stdout.strip()

    def stop(self) -> None:
        """End every process, last started first; by force if one does not go."""
        while self._processes:
            _, process = self._processes.pop()
            if process.stdin is not None:
                process.stdin.close()
            process.terminate()
            try:
                process.wait(timeout=10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            if process.stdout is not None:
                process.stdout.close()

    def running(self) -> dict[str, int]:
        """Return the process ids by party."""
        return {party: process.pid for party, process in self._processes}

    def _home_of(self, party: str) -> Path:
        home = self.home / party
        home.mkdir(parents=True, exist_ok=True, mode=0o700)
        return home

    def _start(self, party: str, arguments: list[str]) -> dict[str, Any]:
        told: dict[str, Any] = json.loads(self._first(party, arguments))
        return told

    def _first(self, name: str, arguments: list[str]) -> str:
        """Start a process and return its first line."""
        errors = self._home_of(name.partition(",")[0]) / "errors.log"
        log = errors.open("ab")
        with log:
            # -P keeps the working directory out of the module path: another package named api there must not win
            process = subprocess.Popen(
                [sys.executable, "-P", "-m", "api.cli", *arguments, "--lifeline"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                start_new_session=True,
            )
        self._processes.append((name, process))
        line = _first_line(process)
        if not line:
            raise Unreachable(f"{name} did not start", fix=f"read {errors}")
        return line


def dataset_document(one: Institution) -> dict[str, Any]:
    """Return the registration of an institution's table, as its data office would write it."""
    location = one.location
    return {
        "name": DATASET,
        "title": f"Consumer credit accounts of {one.name}",
        "standard": STANDARD,
        "population": f"{one.party}/customers",
        "source": {"kind": location.kind, "path": location.path, "table": location.table},
        "mapping": {
            column: {"source": mapped.source} if mapped.source is not None else {"constant": mapped.constant}
            for column, mapped in one.mapping.items()
        },
        "refreshed": REFRESHED,
    }


def policy_document(one: Institution) -> dict[str, Any]:
    """Return the policy of an institution's table: joint statistics of what is owed, not of limits and income; its own quality.

    What the supervisor asks is answered once the institution's officer has seen it.
    """
    standard = shipped(STANDARD)
    mapped = [column for column in standard.columns if column.name in one.mapping]
    joint: dict[str, list[str]] = {"*": ["count"]}
    for column in mapped:
        if column.kind is Kind.CATEGORY:
            joint[column.name] = ["count", "filter", "group"]
        elif column.kind is Kind.DATE:
            joint[column.name] = ["count", "filter", "group", "histogram"]
    supervised = {column: ["count", "filter", "group"] for column in joint if column != "*"} | {"*": ["count"]}
    for owed in ("balance", "months_overdue"):
        joint[owed] = ["count", "filter", "group", "histogram", "product", "sum"]
        supervised[owed] = ["count", "filter", "sum"]
    own = {"*": ["count"]} | {column.name: ["count", "valid"] for column in mapped if column.required}
    return {
        "owner": one.party,
        "dataset": DATASET,
        "standard": STANDARD,
        "version": 1,
        "everyone": BUDGETS["everyone"],
        "partner": BUDGETS["partner"],
        "grants": [
            {
                "purpose": PURPOSE,
                "recipients": ["*"],
                "columns": joint,
                "min_parties": 3,
                "min_group": MIN_GROUP,
                "rho_per_query": NANO // 10,
                "budget": BUDGETS[PURPOSE],
                "shared_from": 1,
            },
            {
                "purpose": VALUATION,
                "recipients": [party for party, _ in LENDERS],
                "columns": own,
                "min_parties": 1,
                "min_group": MIN_GROUP,
                "rho_per_query": NANO // 50,
                "budget": BUDGETS[VALUATION],
                "shared_from": None,
            },
            {
                "purpose": SUPERVISION,
                "recipients": [AUTHORITY[0]],
                "columns": supervised,
                "min_parties": 3,
                "min_group": MIN_GROUP,
                "rho_per_query": NANO // 20,
                "budget": BUDGETS[SUPERVISION],
                "shared_from": 1,
                "consent": {"manner": "once", "persons": 1, "days": 30},
            },
        ],
        "bounds": {
            column.name: [column.bounds.lower, column.bounds.upper]
            for column in mapped
            if column.kind is Kind.MEASURE and column.bounds is not None and column.name in joint
        },
        "domains": {column.name: list(column.domain) for column in mapped if column.kind is Kind.CATEGORY},
        "pledging": {
            "lenders": [party for party, _ in LENDERS],
            "limit": PLEDGE_LIMIT,
            "until": PLEDGE_UNTIL,
        },
    }


def _first_line(process: "subprocess.Popen[bytes]") -> str:
    """Read the process's first line of output, or nothing if it ends or stays silent."""
    said: list[bytes] = []

    def read() -> None:
        if process.stdout is not None:
            said.append(process.stdout.readline())

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    reader.join(timeout=_READY_WITHIN)
    return said[0].decode().strip() if said else ""
