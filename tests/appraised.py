"""Reports of many kinds, made anew from varied inputs, for tests of how reports are told and printed."""

import copy
import json
from functools import cache

from tests.test_valuation import VECTORS
from tests.test_valuation_income import CITED, income, money, share
from tests.test_valuation_market import deal
from tests.test_valuation_reconcile import FACTS, INPUTS, JUDGEMENT, REASON, REPORT
from valuation.report import perform

OTHERS = [{"name": "software", "value": money(3000000), "rate": "0.1", "cited": CITED}]
EIGHT = [deal(f"deal {n}", 400000 + 90000 * n + 7000 * n * n, 50000 + 11000 * n, distance=str(n)) for n in range(8)]
OPTION = {
    "name": "parametric insurance",
    "right": "deploy",
    "worth": money(2000000),
    "strike": money(2300000),
    "half_life_years": "4",
    "risk_free": "0.02",
    "volatility": "0.45",
    "years": "2",
    "cited": CITED,
}


def _inputs(*, facts=None, judgement=None, method=None, terms=None):
    document = copy.deepcopy(INPUTS)
    document["facts"] |= facts or {}
    document["method"]["judgement"] |= judgement or {}
    document["method"] |= method or {}
    document["terms"] = None if terms == "none" else {**document["terms"], **(terms or {})}
    return json.loads(json.dumps(document))


def _with_income(method, **changes):
    sales = {"royalty": "9000000", "share": "9000000", "with_without": "1500000"}.get(method, "1400000")
    return {"facts": {"income": income(method, sales=sales, **changes)}}


def _expiring():
    legal = copy.deepcopy(FACTS["legal"])
    legal["title"][1]["expires"] = "2029-08-31"
    return {"facts": {"legal": legal}}


def _firm():
    rate = income("direct", post_tax=True)["rate"] | {"wacc": share("0.12"), "other_assets": OTHERS}
    return _with_income("excess", post_tax=True, rate=rate)


def _all_drivers():
    spreads = [
        {"driver": driver, "shape": "triangular", "low": "0.8", "high": "1" if driver == "quality" else "1.3", **REASON}
        for driver in ("level", "half_life", "rate", "upkeep", "quality", "cost", "market")
    ]
    factors = dict.fromkeys(("level", "half_life", "rate", "upkeep", "quality", "cost", "market"), "0.9")
    scenarios = [*JUDGEMENT["scenarios"], {"name": "all worse", "reason": "every driver", "factors": factors}]
    return {"judgement": {"spreads": spreads, "scenarios": scenarios}}


VARIANTS = {
    "share": lambda: _inputs(**_with_income("share")),
    "royalty": lambda: _inputs(**_with_income("royalty", post_tax=True)),
    "with_without": lambda: _inputs(**_with_income("with_without", post_tax=True)),
    "firm": lambda: _inputs(**_firm()),
    "expiring": lambda: _inputs(**_expiring(), method={"mode": "life"}),
    "drivers": lambda: _inputs(
        **_all_drivers(), method={"mode": "quality", "weights": {"completeness": "3", "validity": "1"}}
    ),
    "eight deals": lambda: _inputs(facts={"market": {"deals": EIGHT}, "option": OPTION}),
    "sale": lambda: _inputs(facts={"option": OPTION | {"right": "sell"}}),
    "worthless": lambda: _inputs(facts={"income": income("direct", sales="100000")}, terms="none"),
    "limits": lambda: _inputs(
        terms={"dscr_capacity": money(40000), "revenue_cap": money(900000), "prior_liens": money(1000)}
    ),
}


@cache
def report(name):
    """The report of one kind: ``three`` approaches, by ``cost`` alone, ``bare`` without a loan, or a variant."""
    if name == "three":
        return REPORT
    if name in SET_DOWN:
        return perform(SET_DOWN[name])
    if name in {"cost", "bare"}:
        facts = {key: INPUTS["facts"][key] for key in INPUTS["facts"] if key not in {"income", "market"}}
        method = {key: INPUTS["method"][key] for key in ("on", "mode", "weights")} | {"name": "cost_cas2023"}
        terms = INPUTS["terms"] if name == "cost" else None
        return perform(INPUTS | {"facts": facts, "method": method, "terms": terms})
    return perform(VARIANTS[name]())


def _set_down():
    """Every vector that is an appraisal's inputs, but the one that is :data:`REPORT`."""
    for path in sorted(VECTORS.glob("*.json")):
        document = json.loads(path.read_text("utf-8"))
        if isinstance(document, dict) and {"facts", "method", "necessity"} <= set(document) and document != INPUTS:
            yield path.stem, document


SET_DOWN = dict(_set_down())
NAMES = ("three", "cost", "bare", *VARIANTS, *SET_DOWN)
