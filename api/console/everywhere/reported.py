"""A verified report as facts of a page: the value by approach, how it becomes a limit, what moves it, and where each figure comes from.

Nothing is computed here; amounts are the report's own figures as text, with the short form that a picture shows beside them.
"""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from api.console.papers import Paper
from api.console.wording import Words, msg
from valuation.statement.phrases import phrase, unit
from valuation.statement.reading import Figure, Reading

APPROACHES: Mapping[str, str] = {
    "cost": msg("by cost"),
    "income": msg("by income"),
    "market": msg("by market"),
}
DRIVERS: Mapping[str, str] = {
    "level": msg("level of income"),
    "half_life": msg("half-life of income"),
    "rate": msg("discount rate"),
    "upkeep": msg("upkeep"),
    "quality": msg("measured quality"),
    "cost": msg("cost of replacement"),
    "market": msg("prices of deals"),
}
HAIRCUTS: Mapping[str, str] = {
    "legal_title": msg("haircut for title"),
    "liquidity": msg("haircut for liquidity"),
    "decay_to_maturity": msg("decay to maturity"),
    "model_risk": msg("haircut for model risk"),
    "concentration": msg("haircut for concentration"),
}
BINDING: Mapping[str, str] = {
    "ltv": msg("loan to recognised value"),
    "dscr": msg("debt service cover"),
    "revenue": msg("data revenue"),
    "policy": msg("the lender's policy"),
}
CAUSES: Mapping[str, str] = {
    "date, prices and title": msg("date, prices and title"),
    "costs": msg("costs"),
    "income": msg("income"),
    "rates": msg("rates"),
    "life": msg("life and fading"),
    "market": msg("market"),
    "quality": msg("quality"),
    "judgement": msg("weights and judgement"),
    "terms": msg("terms of the loan"),
}
_MOST_REASONS = 40


def said(text: str, words: Words) -> str:
    """Return a set phrase of a report in the visitor's language; somebody's own words stay as they are."""
    return phrase(text).zh if words.language == "zh" else text


def remarks(document: Mapping[str, Any], words: Words) -> list[dict[str, str]]:
    """Return the remarks of a document, in the visitor's language where they are set phrases."""
    return [{"code": one["code"], "text": said(one["text"], words)} for one in document["remarks"]]


def gates(document: Mapping[str, Any], words: Words) -> list[str]:
    """Return the rules of the gates that a document passed."""
    return [said(one["rule"], words) for one in document["gates"]]


def name(paper: Paper) -> str:
    """Return the asset of a report as owner/dataset."""
    told = paper.document["inputs"]["asset"]
    return f"{told['owner']}/{told['dataset']}"


def headline(reading: Reading) -> dict[str, Any]:
    """Return what a report concludes, as text; ``None`` where it says nothing."""
    recognised, limit = reading.concluded("recognised"), reading.concluded("limit")
    binding = reading.conclusion.get("binding")
    return {
        "currency": reading.currency,
        "low": reading.low.value,
        "central": reading.central.value,
        "high": reading.high.value,
        "recognised": None if recognised is None else recognised.value,
        "limit": None if limit is None else limit.value,
        "binding": None if binding is None else BINDING.get(binding, binding),
    }


def facts(paper: Paper, words: Words) -> dict[str, Any]:
    """Return everything that the page of a report shows."""
    reading = Reading(paper.document)
    inputs = reading.inputs
    return {
        "paper": paper.name,
        "asset": name(paper),
        "version": inputs["asset"]["version"],
        "scenario": inputs["asset"]["scenario"],
        "on": inputs["method"]["on"],
        "signer": paper.signer,
        "lender": None if inputs["terms"] is None else inputs["terms"]["lender"],
        "has_loan": "loan" in reading.conclusion,
        "figures": len(reading.figures),
        "headline": headline(reading),
        "approaches": _approaches(reading, words),
        "waterfall": _waterfall(reading, words),
        "tornado": _tornado(reading, words),
        "draws": _draws(reading, words),
        "flows": [
            {"year": one.key.rsplit(".", 1)[1], "amount": one.value, "shown": words.brief(one.amount, reading.currency)}
            for one in reading.like("income.central.flow.")
        ],
        "scenarios": [
            {"name": one.label.en.partition(": ")[2], "value": one.value, "key": one.key}
            for one in reading.like("scenario.")
            if one.key.count(".") == 1
        ],
        "necessity": inputs["necessity"],
        "gates": gates(reading.document, words),
        "remarks": remarks(reading.document, words),
        "documents": [{"digest": digest, "source": source} for digest, source in reading.documents()],
    }


def _approaches(reading: Reading, words: Words) -> list[dict[str, Any]]:
    judgement = reading.inputs["method"].get("judgement")
    weights = {} if judgement is None else judgement["weights"]
    made = []
    for approach, start in reading.approaches:
        low, central, high = (reading.figures[f"{start}.{end}"] for end in ("low", "central", "high"))
        weight = weights.get(approach)
        made.append(
            {
                "name": words.say(APPROACHES[approach]),
                "low": min(low.amount, high.amount, central.amount),
                "central": central.amount,
                "high": max(low.amount, high.amount, central.amount),
                "key": central.key,
                "shown": words.brief(central.amount, reading.currency),
                "weight": None if weight is None else weight["share"],
                "reason": None if weight is None else said(weight["reason"], words),
            }
        )
    return [{**one, **{end: str(one[end]) for end in ("low", "central", "high")}} for one in made]


def _waterfall(reading: Reading, words: Words) -> list[dict[str, Any]]:
    """The way from the value to the limit, step by step; each bar from ``start`` to ``end``, what is taken off ``second``."""
    recognised, limit = reading.concluded("recognised"), reading.concluded("limit")
    if recognised is None or limit is None or reading.central.amount <= 0:
        return []
    currency, central = reading.currency, reading.central

    def step(title: str, start: Decimal, end: Decimal, shown: str, *, off: bool, key: str, why: str) -> dict[str, Any]:
        kind = "second" if off else "main"
        told = {"name": words.say(title), "start": str(start), "end": str(end), "shown": shown}
        return {**told, "kind": kind, "key": key, "why": why}

    made = [
        step(msg("value"), Decimal(0), central.amount, words.brief(central.amount, currency), off=False, key=central.key, why="")
    ]  # fmt: skip
    left = min(reading.low.amount, central.amount)
    taken = f"− {words.brief(central.amount - left, currency)}"
    made.append(step(msg("to the low end"), left, central.amount, taken, off=True, key=reading.low.key, why=""))
    reasons = reading.conclusion["haircuts"]
    for key in recognised.because:
        cut = reading.get(key)
        if cut is not None and key.startswith("haircut."):
            which, after = key.removeprefix("haircut."), left * (1 - cut.amount)
            why = said(reasons.get(which, {}).get("reason", ""), words)
            shown = f"− {words.share(cut.amount)}"
            made.append(step(HAIRCUTS.get(which, which), after, left, shown, off=True, key=key, why=why))
            left = after
    prior = reading.get("liens.prior")
    if prior is not None and prior.amount > 0:
        shown = f"− {words.brief(prior.amount, currency)}"
        made.append(step(msg("claims registered before"), recognised.amount, left, shown, off=True, key=prior.key, why=""))  # fmt: skip
    for title, figure in ((msg("recognised value"), recognised), (msg("loan limit"), limit)):
        shown = words.brief(figure.amount, currency)
        made.append(step(title, Decimal(0), figure.amount, shown, off=False, key=figure.key, why=""))
    return made


def _tornado(reading: Reading, words: Words) -> list[dict[str, Any]]:
    made = []
    for driver in dict.fromkeys(one.key.split(".")[1] for one in reading.like("tornado.")):
        low, high = reading.get(f"tornado.{driver}.low"), reading.get(f"tornado.{driver}.high")
        if low is not None and high is not None:
            first, last = sorted((low.amount, high.amount))
            shown = f"{words.brief(first, reading.currency)} … {words.brief(last, reading.currency)}"
            title = words.say(DRIVERS.get(driver, driver))
            made.append({"name": title, "low": low.value, "high": high.value, "shown": shown, "key": low.key})
    return made


def _draws(reading: Reading, words: Words) -> list[dict[str, str]]:
    titles = (("p5", msg("5 % are below")), ("p50", msg("half are below")), ("p95", msg("95 % are below")))
    return [
        {"name": words.say(title), "value": one.value, "key": one.key}
        for end, title in titles
        if (one := reading.get(f"draws.{end}")) is not None
    ]


def explained(reading: Reading, key: str, words: Words) -> dict[str, Any] | None:
    """Return one figure with what it follows from, or ``None`` if the report has no such figure."""
    figure = reading.get(key)
    if figure is None:
        return None
    reasons = [found for one in figure.because[:_MOST_REASONS] if (found := reading.get(one)) is not None]
    users = [one for one in reading.figures.values() if key in one.because]
    return {
        **row(figure, words),
        "formula": said(figure.formula, words),
        "source": said(figure.source, words),
        "evidence": figure.evidence,
        "because": [row(one, words) for one in reasons],
        "used_in": [row(one, words) for one in users[:_MOST_REASONS]],
    }


def row(figure: Figure, words: Words) -> dict[str, Any]:
    """Return a figure in a line."""
    label = figure.label.zh if words.language == "zh" else figure.label.en
    told = unit(figure.unit).zh if words.language == "zh" else figure.unit
    return {"key": figure.key, "label": label, "value": figure.value, "unit": told, "given": figure.is_given}
