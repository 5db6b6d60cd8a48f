"""Consoles over real processes: a kept town, made once for a whole run and copied, and visitors that come by their link."""

import fcntl
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path

import httpx2

from api.demo.town import Town
from api.processes import microseconds

ROWS = 5_000
BANKS = ("bank-a", "bank-b", "bank-c")


def kept_town(tmp_path_factory) -> Path:
    """Return a directory with the homes of a town in which the whole story was told, the caller's own to change."""
    own = tmp_path_factory.getbasetemp()
    # the directory of this run: that of one of several workers lies in it
    root = (own.parent if "PYTEST_XDIST_WORKER" in os.environ else own) / f"told-{ROWS}"
    with root.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # the workers of one run share it
        if not (root / "summary.html").exists():
            shutil.rmtree(root, ignore_errors=True)
            told_in(root)
    mine = tmp_path_factory.mktemp("town") / "town"
    shutil.copytree(root, mine)
    return mine


def told_in(directory: Path, *, rows: int | None = ROWS) -> None:
    """Tell the demonstration's story and keep its town in a new directory; ``rows`` of each bank, or as many as usual."""
    size = [] if rows is None else ["--rows", str(rows)]
    command = [sys.executable, "-P", "-m", "api.cli", "demo", *size, "--keep", str(directory)]
    subprocess.run(command, check=True, capture_output=True, timeout=300)


@dataclass
class Street:
    """A town that runs, with its consoles: ``url`` is the exchange's address."""

    home: Path
    url: str
    consoles: dict[str, str] = field(default_factory=dict)
    _processes: list[subprocess.Popen[str]] = field(default_factory=list)

    def console(self, party: str) -> str:
        """Start the console of a party's desk and return the link that opens it once."""
        command = [sys.executable, "-P", "-m", "api.cli", "console", str(self.home / party), "--exchange", self.url]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        self._processes.append(process)
        return process.stdout.readline().strip()

    def at_exchange(self, party: str) -> str:
        """Return a link to the exchange's own console for a party."""
        command = [sys.executable, "-P", "-m", "api.cli", "console", str(self.home / party), "--exchange", self.url]
        done = subprocess.run([*command, "--at-exchange"], capture_output=True, text=True, check=True, timeout=60)
        return done.stdout.strip()

    def node(self, party: str) -> str:
        """Start a node with its console and return the link that opens it once."""
        command = [sys.executable, "-P", "-m", "api.cli", "node", "up", str(self.home / party), "--exchange", self.url]
        process = subprocess.Popen([*command, "--console", "0"], stdout=subprocess.PIPE, text=True)
        self._processes.append(process)
        assert json.loads(process.stdout.readline()) == {"ready": party}
        return json.loads(process.stdout.readline())["console"]

    def stop(self) -> None:
        """End every console, by its process id."""
        for process in self._processes:
            process.terminate()
        for process in self._processes:
            process.wait(timeout=20)
            process.stdout.close()


@contextmanager
def running(home: Path, *, nodes: tuple[str, ...] = BANKS) -> Iterator[Street]:
    """Run a kept town's exchange and nodes, and end whatever was started."""
    with Town(home, [], microseconds) as town:
        town.start_exchange()
        for party in nodes:
            town.start_node(party)
        street = Street(home, town.url)
        try:
            yield street
        finally:
            street.stop()


@contextmanager
def visitor(link: str) -> Iterator[httpx2.Client]:
    """Give a browser without scripts that has come in by a link."""
    base, _, secret = link.partition("/enter/")
    with httpx2.Client(base_url=base, follow_redirects=True, timeout=60, headers={"origin": base}) as client:
        answer = client.get(f"/enter/{secret}")
        assert answer.status_code == 200, answer.text
        yield client


class Seen(HTMLParser):
    """What a page holds: its words, headings, links, forms' fields and labels, ids, and addresses that it loads."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.words: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self._silent = 0
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        self._silent += tag in ("script", "style")

    def handle_endtag(self, tag):
        self._silent -= tag in ("script", "style")

    def handle_data(self, data):
        if not self._silent and data.strip():
            self.words.append(" ".join(data.split()))

    def all(self, tag: str) -> list[dict[str, str | None]]:
        """Return the attributes of each element of a kind."""
        return [attrs for found, attrs in self.tags if found == tag]

    @property
    def text(self) -> str:
        """All words of the page."""
        return " ".join(self.words)
