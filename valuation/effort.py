"""The work that a document asks for, bounded before any of it is done.

A report comes from anybody, and computing it anew is how it is verified: so a hostile one must not cost more than a long
honest one. Lists have a most each; what they come to together is counted in steps, two and a half million of which take about a second
on one core of an ordinary machine.
"""

from collections.abc import Mapping
from typing import Any

from valuation.errors import OutOfRange
from valuation.evidence import Evidence
from valuation.facts import Facts
from valuation.judgement import Judgement

LISTS: Mapping[str, int] = {
    "facts.costs": 1_000,
    "facts.price_index.levels": 250,
    "facts.legal.title": 100,
    "facts.legal.disputes": 100,
    "facts.income.lines": 600,
    "facts.income.claim.contributory": 50,
    "facts.income.rate.other_assets": 50,
    "facts.market.deals": 200,
    "facts.market.deals[].adjustments": 20,
    "evidence.measured": 50,
    "evidence.measured[].release.plan.measures": 250,
    "evidence.measured[].release.totals": 250,
    "method.judgement.spreads": 10,
    "method.judgement.scenarios": 50,
    "method.judgement.correlations": 21,
    "terms.haircuts": 10,
    "necessity.opened": 500,
    "necessity.withheld": 500,
}
"""Most elements of each list (or object) of an appraisal's inputs."""

MOST_STEPS = 2_500_000

_ALWAYS = 8
"""Evaluations of the income that the ends of the evidence and the break-even take."""


def check_lists(inputs: Any) -> None:
    """Refuse a document with a list that is too long, before it is read any further.

    Raises:
        OutOfRange: naming the list and its most.
    """
    for path, most in LISTS.items():
        _measure(inputs, path.split("."), most, "inputs")


def check_steps(facts: Facts, evidence: Evidence, judgement: Judgement | None) -> None:
    """Refuse inputs whose computation would take too many steps.

    Raises:
        OutOfRange: naming what takes the most of them.
    """
    taken = steps(facts, evidence, judgement)
    if sum(taken.values()) > MOST_STEPS:
        most = max(taken, key=lambda key: taken[key])
        raise OutOfRange(
            f"inputs.{most}", f"documents of {MOST_STEPS} steps of work or less ({taken[most]} of them stand here)"
        )


def steps(facts: Facts, evidence: Evidence, judgement: Judgement | None) -> dict[str, int]:
    """Steps by the part of the inputs that asks for them."""
    cells = sum(len(item.document["plan"]["measures"]) for item in evidence.measured)
    taken = {
        "facts.costs": 150 * len(facts.costs),
        "evidence.measured": 4_000 * cells + 1_000 * len(evidence.measured),
        "facts.market.deals": 0 if facts.market is None else 1_200 * len(facts.market.deals),
    }
    if judgement is not None:
        years = 0 if facts.income is None else facts.income.years + facts.income.claim.tab_years
        drivers = len(judgement.spreads) + 1
        taken["method.judgement.draws"] = judgement.draws * (years + 4 * drivers) // 5
        if facts.income is not None:
            times = _ALWAYS + 2 * drivers + len(judgement.scenarios)
            taken["facts.income.lines"] = times * (30 * len(facts.income.lines) + 100 * years)
    return taken


def _measure(value: Any, path: list[str], most: int, name: str) -> None:
    """Follow ``path`` as far as the document goes; a part that is of another type is refused where it is read."""
    if not path:
        if isinstance(value, list | dict) and len(value) > most:
            raise OutOfRange(name, f"lists of at most {most} elements")
        return
    key, many = path[0].removesuffix("[]"), path[0].endswith("[]")
    if not isinstance(value, dict) or key not in value:
        return
    inner, name = value[key], f"{name}.{key}"
    if not many:
        _measure(inner, path[1:], most, name)
    elif isinstance(inner, list):
        for place, item in enumerate(inner):
            _measure(item, path[1:], most, f"{name}[{place}]")
