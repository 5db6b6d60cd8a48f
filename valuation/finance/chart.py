"""The one picture of each kind of document, drawn from the document alone."""

from collections.abc import Callable, Mapping
from fractions import Fraction
from typing import Any

from valuation.finance.drawing import Bars, draw

_GRAVITY = ("#0b5394", "#f0c808", "#e67e22", "#b03a2e")
"""Colours of the margin states, the gravest last."""


def chart(document: Mapping[str, Any]) -> str:
    """Draw a document of :mod:`valuation.finance.document` that has been verified."""
    tables = {table["key"]: table for table in document["tables"]}
    return draw(_PANELS[document["kind"]](tables), title=document["title"])


def column(table: Mapping[str, Any], key: str) -> list[Any]:
    """The cells of one column."""
    place = [one["key"] for one in table["columns"]].index(key)
    return [row[place] for row in table["rows"]]


def _amounts(table: Mapping[str, Any], *keys: str) -> tuple[Fraction, ...]:
    """The sum of several columns, row by row."""
    return tuple(
        sum((Fraction(cell) for cell in cells), Fraction(0))
        for cells in zip(*(column(table, key) for key in keys), strict=True)
    )


def _labels(table: Mapping[str, Any], key: str) -> tuple[str, ...]:
    return tuple(str(cell) for cell in column(table, key))


def _guarantee(tables: Mapping[str, Any]) -> list[Bars]:
    table = tables["periods"]
    series = [
        ("recovered from the data", _amounts(table, "lender", "subrogated")),
        ("lender loses", _amounts(table, "lender_loss")),
        ("guarantor loses", _amounts(table, "guarantor_loss")),
    ]
    if any(_amounts(table, "counter_loss")):
        series.append(("counter-guarantor loses", _amounts(table, "counter_loss")))
    title = "Who bears the claim if the borrower stops in a period"
    return [Bars(title, "money", _labels(table, "period"), tuple(series))]


def _trust(tables: Mapping[str, Any]) -> list[Bars]:
    table = tables["periods"]
    series = [
        (one["label"], _amounts(table, one["key"]))
        for one in table["columns"]
        if one["key"].startswith(("fee.", "paid."))
    ]
    series.append(("carried over", _amounts(table, "carried")))
    return [Bars("Distributions by period", "money", _labels(table, "end"), tuple(series))]


def _abs(tables: Mapping[str, Any]) -> list[Bars]:
    found = tables["distribution"]
    chances, reaches = _amounts(found, "chance"), column(found, "class")
    bands = tuple(_millions(end) for end in column(found, "to"))
    losing = [
        (
            name,
            tuple(chance if reach == word else Fraction(0) for chance, reach in zip(chances, reaches, strict=True))[1:],
        )
        for name, word in (("borne by the subordination", "subordination"), ("reaches the senior class", "senior"))
    ]
    summary = tables["scenarios"]
    left = [Fraction(cell) for cell in column(summary, "senior_left")]
    worst = left.index(max(left))
    flows = tables[f"periods.{worst}"]
    paid = (
        ("fees", _amounts(flows, "fee")),
        ("senior interest", _amounts(flows, "senior_interest")),
        ("senior principal", _amounts(flows, "senior_principal")),
        ("junior", _amounts(flows, "junior_interest", "junior_principal")),
        ("residual", _amounts(flows, "residual")),
    )
    return [
        Bars(
            f"Chance of a loss up to …; of none: {_percent(chances[0])}",
            "share",
            bands[1:],
            tuple(losing),
        ),
        Bars(f"Waterfall by period: {column(summary, 'scenario')[worst]}", "money", _labels(flows, "period"), paid),
    ]


def _portfolio(tables: Mapping[str, Any]) -> list[Bars]:
    bands = tables["ltv"]
    panels = [
        Bars(
            "Loans by loan to recognised value", "money", _labels(bands, "band"), (("loans", _amounts(bands, "loans")),)
        )
    ]
    shocks = tables["shocks"]
    if shocks["rows"]:
        names = tuple(
            f"{number}: {name}" for name, number in zip(column(shocks, "shock"), column(shocks, "round"), strict=True)
        )
        series = tuple(
            (state.replace("_", " "), _amounts(shocks, state))
            for state in ("normal", "warning", "margin_call", "liquidation")
        )
        panels.append(Bars("Pledges by state, round: shock", "count", names, series, _GRAVITY))
    return panels


def _millions(amount: str) -> str:
    tenths = round(Fraction(amount) / 10**5)
    return f"{tenths // 10}.{tenths % 10} m"


def _percent(share: Fraction) -> str:
    tenths = round(share * 1000)
    return f"{tenths // 10}.{tenths % 10} %"


_PANELS: Mapping[str, Callable[[Mapping[str, Any]], list[Bars]]] = {
    "guarantee": _guarantee,
    "trust": _trust,
    "abs": _abs,
    "portfolio": _portfolio,
}
