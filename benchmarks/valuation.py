"""What valuing costs: appraisals with many draws, a portfolio, contributions of institutions; beside pyDVL on request.

``python -m benchmarks.valuation [PART ...] [--assets 10000] [--identifiers 1000000] [--rows 10000] [--runs 5]
[--pydvl PYTHON]`` prints one JSON object last; without a PART, all of them are measured. Seconds are of this process's
processor time unless they are called ``clock``.
"""

import argparse
import copy
import json
import math
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from fractions import Fraction
from itertools import combinations
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from benchmarks import valuation_peer
from valuation.desk.games import semivalue, shapley_weights
from valuation.report import perform, verify
from valuation.split import perform as split

CASE = Path(__file__).parents[1] / "tests" / "vectors" / "valuation_three_approaches.json"
DRAWS = 100_000
PORTFOLIO_DRAWS = 1_000
PLAYERS, HOLDERS, GROUPS, COLUMNS = 12, 8, 10, 8
"""Institutions of the declared game, of the coverage game, of the regression; its columns."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="PART", help="appraisal portfolio enumeration coverage regression")
    parser.add_argument("--assets", type=int, default=10_000)
    parser.add_argument("--identifiers", type=int, default=1_000_000)
    parser.add_argument("--rows", type=int, default=10_000)
    parser.add_argument("--runs", type=int, default=5, help="of which the median counts")
    parser.add_argument("--pydvl", help="an interpreter that has pyDVL")
    given = parser.parse_args()
    figures: dict[str, Any] = {}
    works: dict[str, Callable[[], dict[str, Any]]] = {
        "appraisal": lambda: appraisal(given.runs),
        "portfolio": lambda: portfolio(given.assets),
        "enumeration": lambda: enumeration(given.runs),
        "coverage": lambda: coverage(given.identifiers, given.runs),
        "regression": lambda: regression(given.rows, given.runs, given.pydvl),
    }
    if not set(given.parts) <= set(works):
        parser.error(f"a PART is one of {', '.join(works)}")
    for name in given.parts or works:
        figures[name] = works[name]()
        print(f"{name}: {figures[name]}", file=sys.stderr)
    print(json.dumps(figures))


def timed(work: Callable[[], Any], runs: int) -> tuple[float, Any]:
    """Median processor seconds of some work, and what it returned."""
    spent = []
    for _ in range(runs):
        start = time.process_time()
        result = work()
        spent.append(time.process_time() - start)
    return round(median(spent), 4), result


def case(draws: int) -> dict[str, Any]:
    """The whole example of the documentation: three approaches, five spreads, two scenarios."""
    inputs: dict[str, Any] = json.loads(CASE.read_text("utf-8"))
    inputs["method"]["judgement"]["draws"] = draws
    return inputs


def appraisal(runs: int) -> dict[str, Any]:
    """A full appraisal by three approaches with its report, and its re-performance by somebody else."""
    inputs = case(DRAWS)
    made, report = timed(lambda: perform(inputs), runs)
    checked, _ = timed(lambda: verify(report), runs)
    return {"draws": DRAWS, "seconds": made, "verify_seconds": checked, "figures": len(report["figures"])}


def portfolio(count: int) -> dict[str, Any]:
    """Assets that differ in sales, upkeep and rate, each appraised anew with a report of its own."""
    assets: list[dict[str, Any]] = []
    for number in range(count):
        inputs = copy.deepcopy(case(PORTFOLIO_DRAWS)) if not number else copy.deepcopy(assets[0])
        income = inputs["facts"]["income"]
        for line in income["lines"]:
            if line["kind"] == "revenue":
                line["amount"]["amount"] = str(1_000_000 + 97 * number)
        income["fade"]["upkeep"]["amount"] = str(10_000 + number % 5_000)
        income["rate"]["parts"]["specific_premium"]["value"] = f"0.{80 + number % 40:04}"
        inputs["method"]["judgement"]["seed"] = f"portfolio {number}"
        assets.append(inputs)
    clock = time.perf_counter()
    spent, total = timed(lambda: sum(_central(perform(inputs)) for inputs in assets), runs=1)
    clock = time.perf_counter() - clock
    return {
        "assets": count,
        "draws": PORTFOLIO_DRAWS,
        "seconds": round(spent, 1),
        "clock": round(clock, 1),
        "an_asset": round(spent / count, 4),
        "value": round(float(total)),
    }


def _central(report: dict[str, Any]) -> Fraction:
    key = report["conclusion"]["central"]
    return next(Fraction(figure["value"]) for figure in report["figures"] if figure["key"] == key)


def enumeration(runs: int) -> dict[str, Any]:
    """A declared game of twelve institutions: the four semivalues and the least core, exact, with the document."""
    cited = {"source": "pool agreement", "owner": "pool office", "on": "2026-06-01", "document": "5" * 64}
    parties = [f"bank-{number:02}" for number in range(PLAYERS)]
    coalitions: list[dict[str, Any]] = [
        {
            "members": [parties[one] for one in members],
            "worth": f"{1 - 0.8 ** sum(1 + one / 10 for one in members):.9f}",
        }
        for size in range(1, PLAYERS + 1)
        for members in combinations(range(PLAYERS), size)
    ]
    game = {"kind": "utilities", "rule": "shapley", "unit": "R2", "cited": cited, "coalitions": coalitions}
    inputs = {
        "pool": {"name": "pool", "value": {"amount": "12000000", "currency": "CNY"}, "cited": cited},
        "on": "2026-06-30",
        "contributors": [
            {"party": party, "identifier": credit_code(number), "cited": cited} for number, party in enumerate(parties)
        ],
        "search": {"cited": cited, "found": []},
        "game": game,
    }
    whole, document = timed(lambda: split(inputs), runs)
    worths = [Fraction(0)] * (1 << PLAYERS)
    for one in coalitions:
        worths[sum(1 << parties.index(member) for member in one["members"])] = Fraction(one["worth"])
    alone, values = timed(lambda: semivalue(worths, shapley_weights(PLAYERS)), runs)
    assert sum(values) == worths[-1]
    return {"institutions": PLAYERS, "shapley": alone, "split_document": whole, "figures": len(document["figures"])}


def credit_code(number: int) -> str:
    """A unified social credit code with its check character (GB 32100-2015)."""
    digits = "0123456789ABCDEFGHJKLMNPQRTUWXY"
    body = f"9111000010{number:07d}"
    weighted = sum(digits.index(one) * pow(3, place, 31) for place, one in enumerate(body))
    return body + digits[-weighted % 31]


def coverage(count: int, runs: int) -> dict[str, Any]:
    """Eight institutions that hold random parts of the identifiers: counts by number of holders, then the closed form."""
    rng = np.random.default_rng(8)
    held = rng.random((HOLDERS, count)) < np.linspace(0.1, 0.6, HOLDERS)[:, None]

    def closed() -> list[Fraction]:
        holders = held.sum(axis=0, dtype=np.int8)
        counts = [np.bincount(holders[own], minlength=HOLDERS + 1).tolist() for own in held]
        return [sum((Fraction(row[many], many) for many in range(1, HOLDERS + 1)), Fraction(0)) for row in counts]

    def enumerated() -> list[Fraction]:
        owners: Counter[int] = Counter((held * (1 << np.arange(HOLDERS))[:, None]).sum(axis=0).tolist())
        worths = [
            Fraction(sum(many for mask, many in owners.items() if mask & coalition))
            for coalition in range(1 << HOLDERS)
        ]
        return semivalue(worths, shapley_weights(HOLDERS))

    seconds, values = timed(closed, runs)
    again, enumerated_values = timed(enumerated, runs=1)
    assert values == enumerated_values
    assert sum(values) == int(held.any(axis=0).sum())
    return {"institutions": HOLDERS, "identifiers": count, "seconds": seconds, "by_enumeration": again}


def regression(rows: int, runs: int, interpreter: str | None) -> dict[str, Any]:
    """Exact Shapley value of ten institutions for the R squared of a joint regression: from sums, and by pyDVL from rows."""
    rng = np.random.default_rng(10)
    weights = rng.normal(size=COLUMNS)
    x = np.column_stack([np.ones(rows), rng.normal(size=(rows, COLUMNS - 1))])
    groups = rng.integers(0, GROUPS, rows)
    y = x @ weights + rng.normal(size=rows) * (1 + groups)  # some institutions' data is noisier
    x_held = np.column_stack([np.ones(rows // 5), rng.normal(size=(rows // 5, COLUMNS - 1))])
    y_held = x_held @ weights + rng.normal(size=rows // 5)

    def sums() -> tuple[np.ndarray, np.ndarray]:
        parts = [(x[groups == group], y[groups == group]) for group in range(GROUPS)]
        return np.array([a.T @ a for a, _ in parts]), np.array([a.T @ b for a, b in parts])

    def from_sums() -> list[Fraction]:
        joined = np.array([[coalition >> group & 1 for group in range(GROUPS)] for coalition in range(1, 1 << GROUPS)])
        squares = np.tensordot(joined, gram, 1)
        fitted = np.linalg.solve(squares, np.tensordot(joined, cross, 1)[..., None])[..., 0]
        errors = y_held @ y_held - 2 * fitted @ held_cross + np.einsum("ci,ij,cj->c", fitted, held_gram, fitted)
        scores = 1 - errors / ((y_held - y_held.mean()) ** 2).sum()
        return semivalue(
            [Fraction(0), *(Fraction(round(one * 10**15), 10**15) for one in scores.tolist())], weights_of_size
        )

    weights_of_size = shapley_weights(GROUPS)
    held_gram, held_cross = x_held.T @ x_held, x_held.T @ y_held
    summed, (gram, cross) = timed(sums, runs)
    seconds, values = timed(from_sums, runs)
    told: dict[str, Any] = {"institutions": GROUPS, "rows": rows, "sums_of_rows": summed, "seconds": seconds}
    if interpreter is None:
        return {**told, "pydvl": "not asked"}
    with tempfile.TemporaryDirectory() as home:
        file = Path(home) / "rows.npz"
        np.savez(file, x=x, y=y, groups=groups, x_held=x_held, y_held=y_held)
        command = [interpreter, valuation_peer.__file__, str(file)]
        one_core = os.environ | {"OMP_NUM_THREADS": "1"}  # threads that wait for each other would count as work
        answer = json.loads(subprocess.run(command, capture_output=True, check=True, text=True, env=one_core).stdout)
    if "missing" in answer:
        return {**told, "pydvl": "not installed"}
    off = max(abs(float(one) - other) for one, other in zip(values, answer["values"], strict=True))
    assert math.isclose(off, 0, abs_tol=1e-8), f"the two disagree by {off}"
    times = answer["cpu"] / (summed + seconds)
    return {**told, "pydvl": {**answer, "largest_difference": off, "times_slower": round(times)}}


if __name__ == "__main__":
    main()
