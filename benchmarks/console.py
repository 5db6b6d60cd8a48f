"""Weight and speed of the console's pages: bytes as a browser receives them, and the server's time, over a town that runs.

``python -m benchmarks.console [--visits N]``; the last line is one JSON object. Times are those of whole requests on loopback,
one after the other.
"""

import argparse
import json
import re
import statistics
import tempfile
import time
from pathlib import Path

import httpx2

from tests.browsing import reachable
from tests.consoles import running, told_in, visitor


def main() -> None:
    """Open every page of a lender's desk and of the exchange so many times."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--visits", type=int, default=20)
    visits = parser.parse_args().visits
    with tempfile.TemporaryDirectory() as directory:
        home = Path(directory) / "town"
        told_in(home)
        with running(home) as street:
            links = {"desk": street.console("lender-x"), "exchange": street.at_exchange("lender-x")}
            told = {where: measured(link, visits) for where, link in links.items()}
    print(json.dumps(told))


def measured(link: str, visits: int) -> dict[str, object]:
    """Return the heaviest page and the slowest, with what each weighs and takes."""
    with visitor(link) as client:
        pages = reachable(lambda address: client.get(address).text)
        weights = {address: weight(client, address) for address in pages}
        times = {address: [timed(client, address) for _ in range(visits)] for address in pages}
    every = [seconds for found in times.values() for seconds in found]
    slowest = max(times, key=lambda address: p95(times[address]))
    heaviest = max(weights, key=weights.__getitem__)
    for address in sorted(pages):
        print(f"{weights[address] / 1024:7.1f} KB  p95 {p95(times[address]) * 1000:7.1f} ms  {address}")
    return {
        "pages": len(pages),
        "heaviest": heaviest,
        "heaviest_kb": round(weights[heaviest] / 1024, 1),
        "p95_ms": round(p95(every) * 1000, 1),
        "slowest": slowest,
        "slowest_p95_ms": round(p95(times[slowest]) * 1000, 1),
    }


def weight(client: httpx2.Client, address: str) -> int:
    """Return the packed bytes of a page with everything that it loads."""
    page = client.get(address)
    loaded = set(re.findall(r'(?:src|href)="(/static/[^"]+)"', page.text))
    return packed(client, address) + sum(packed(client, path) for path in loaded)


def packed(client: httpx2.Client, address: str) -> int:
    """Return how many bytes an answer has on the wire."""
    with client.stream("GET", address, headers={"accept-encoding": "gzip"}) as answer:
        return sum(len(chunk) for chunk in answer.iter_raw())


def timed(client: httpx2.Client, address: str) -> float:
    """Return the seconds of one request."""
    began = time.perf_counter()
    client.get(address)
    return time.perf_counter() - began


def p95(found: list[float]) -> float:
    """Return the 95th percentile."""
    return statistics.quantiles(found, n=20)[-1] if len(found) > 1 else found[0]


if __name__ == "__main__":
    main()
