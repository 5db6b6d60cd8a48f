"""The assumptions in a report's inputs that a reader may try otherwise, as fields of a form, and the inputs with some of them changed.

A field's name is its path in the inputs, so that an address says what was changed. Shares are written in per cent.
"""

import copy
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any

from api.console.wording import msg
from valuation import exact
from valuation.errors import OutOfRange
from valuation.terms import HAIRCUTS

VALUE, TERMS = "value", "terms"
SHARE, NUMBER, MONEY, TEXT = "%", "", "money", "text"
_DIGITS = 40
_REST = "market", "income", "cost"
"""Approaches in the order in which one takes what the others leave of the weight."""


@dataclass(frozen=True, slots=True)
class Field:
    """One assumption: where it stands, what it is called (a message), how it is written; ``choices`` if it is one of a few."""

    path: str
    label: str
    unit: str
    part: str = VALUE
    choices: tuple[str, ...] = ()


_PARTS = "facts.income.rate.parts"
_LOAN = "terms.loan"
_FIELDS = (
    Field(f"{_PARTS}.risk_free.value", msg("Risk-free rate"), SHARE),
    Field(f"{_PARTS}.equity_premium.value", msg("Market risk premium"), SHARE),
    Field(f"{_PARTS}.size_premium.value", msg("Size premium"), SHARE),
    Field(f"{_PARTS}.specific_premium.value", msg("Premium for the risk of data"), SHARE),
    Field("facts.income.fade.half_life_years", msg("Half-life of the income, years"), NUMBER),
    Field("facts.income.fade.growth", msg("Growth of the market, a year"), SHARE),
    Field("facts.income.fade.upkeep.amount", msg("Upkeep of a year"), MONEY),
    Field("facts.income.quality_assumed", msg("Quality that the income counts on"), SHARE),
    Field("facts.life.remaining_years", msg("Remaining life, years"), NUMBER),
    Field("facts.life.remaining_low", msg("Remaining life at least, years"), NUMBER),
    Field("facts.life.remaining_high", msg("Remaining life at most, years"), NUMBER),
    Field("method.judgement.weights.cost.share", msg("Weight of the cost approach"), SHARE),
    Field("method.judgement.weights.income.share", msg("Weight of the income approach"), SHARE),
    Field("method.judgement.weights.market.share", msg("Weight of the market approach"), SHARE),
    Field("terms.ltv_cap", msg("Highest loan to recognised value"), SHARE, TERMS),
    Field("terms.policy_cap.amount", msg("Cap by policy"), MONEY, TERMS),
    Field("terms.revenue_cap.amount", msg("Cap by revenue"), MONEY, TERMS),
    Field("terms.dscr_capacity.amount", msg("Cap by cash flow, as stated"), MONEY, TERMS),
    Field("terms.prior_liens.amount", msg("Claims registered before"), MONEY, TERMS),
    Field("terms.maturity", msg("Maturity"), TEXT, TERMS),
    Field("terms.haircuts.legal_title.share", msg("Haircut for title"), SHARE, TERMS),
    Field("terms.haircuts.liquidity.share", msg("Haircut for liquidity"), SHARE, TERMS),
    Field("terms.haircuts.model_risk.share", msg("Haircut for model risk"), SHARE, TERMS),
    Field("terms.haircuts.concentration.share", msg("Haircut for concentration"), SHARE, TERMS),
    Field(f"{_LOAN}.amount.amount", msg("Amount asked for"), MONEY, TERMS),
    Field(f"{_LOAN}.rate", msg("Rate offered"), SHARE, TERMS),
    Field(
        f"{_LOAN}.kind", msg("Repayment"), TEXT, TERMS,
        ("annuity", "equal_principal", "bullet", "ltv_constant", "dscr_sculpted"),
    ),
    Field(f"{_LOAN}.months", msg("Months between payments"), NUMBER, TERMS, ("1", "3", "6", "12")),
    Field(f"{_LOAN}.dscr_target", msg("Debt service cover that is wanted"), NUMBER, TERMS),
    Field(f"{_LOAN}.risk.pd.value", msg("Probability of default, a year"), SHARE, TERMS),
    Field(f"{_LOAN}.risk.lgd_floor", msg("Least loss given default"), SHARE, TERMS),
    Field(f"{_LOAN}.risk.liquidation", msg("Discount of a forced sale"), SHARE, TERMS),
    Field(f"{_LOAN}.risk.cost", msg("Cost of a sale"), SHARE, TERMS),
    Field(f"{_LOAN}.price.ftp", msg("Funding rate"), SHARE, TERMS),
    Field(f"{_LOAN}.price.opex", msg("Operating cost"), SHARE, TERMS),
    Field(f"{_LOAN}.price.hurdle", msg("Hurdle of the return on capital"), SHARE, TERMS),
)  # fmt: skip
KINDS: Mapping[str, str] = {
    "annuity": msg("level payments"),
    "equal_principal": msg("equal principal"),
    "bullet": msg("all at maturity"),
    "ltv_constant": msg("constant loan to value"),
    "dscr_sculpted": msg("sculpted to the cash flow"),
}
"""Kinds of repayment, as a reader knows them."""


def fields(report: Mapping[str, Any], part: str | None = None) -> list[dict[str, Any]]:
    """Return the assumptions that a report's inputs hold, as a form shows them; ``part`` asks for value or terms alone."""
    left = _rest(report["inputs"])
    return [
        {
            "name": one.path,
            "label": one.label,
            "unit": one.unit,
            "part": one.part,
            "choices": [{"value": choice, "title": KINDS.get(choice, choice)} for choice in one.choices],
            "value": _written(one, found),
        }
        for one, found in _found(report)
        if part in (None, one.part) and one.path != left
    ]


def rest(report: Mapping[str, Any]) -> str | None:
    """Return the name (a message) of the weight that is what the others leave, if there are several."""
    path = _rest(report["inputs"])
    return next((one.label for one in _FIELDS if one.path == path), None)


def changes(report: Mapping[str, Any], told: Mapping[str, str]) -> dict[str, str]:
    """Return what of a query differs from a report's assumptions: by path, as written in the form.

    Raises:
        OutOfRange: naming a field that holds no number.
    """
    made = {}
    for one, found in _found(report):
        text = told.get(one.path, "").strip()
        if text and one.path != _rest(report["inputs"]) and _read(one, text) != _read(one, _written(one, found)):
            made[one.path] = text
    return made


def changed(report: Mapping[str, Any], told: Mapping[str, str]) -> dict[str, Any]:
    """Return a report's inputs with these changes; the last approach's weight is what the others leave."""
    inputs: dict[str, Any] = copy.deepcopy(dict(report["inputs"]))
    for one, _ in _found(report):
        if one.path in told:
            _put(inputs, one.path, _read(one, told[one.path]))
    left = _rest(inputs)
    if left is not None:
        weights = inputs["method"]["judgement"]["weights"]
        last = left.split(".")[-2]
        others = sum((Decimal(held["share"]) for name, held in weights.items() if name != last), Decimal(0))
        if Decimal(weights[last]["share"]) != 1 - others:
            weights[last]["share"] = exact.spell(1 - others)
    return inputs


def _found(report: Mapping[str, Any]) -> Iterator[tuple[Field, str]]:
    """Every field with its value in the inputs; a haircut that they leave out stands at what the report concludes."""
    haircuts = report["conclusion"].get("haircuts", {})
    for one in _FIELDS:
        found = _look(report["inputs"], one.path)
        if found is None and one.path.startswith("terms.haircuts."):
            found = haircuts.get(one.path.split(".")[2], {}).get("share")
        if isinstance(found, str | int) and not isinstance(found, bool):
            yield one, str(found)


def _rest(inputs: Mapping[str, Any]) -> str | None:
    """Path of the weight that is what the others leave, if there are several."""
    weights = _look(inputs, "method.judgement.weights") or {}
    last = next((name for name in _REST if name in weights), None)
    return f"method.judgement.weights.{last}.share" if last and len(weights) > 1 else None


def _written(one: Field, value: str) -> str:
    return exact.spell(Decimal(value) * 100) if one.unit == SHARE else value


def _read(one: Field, text: str) -> str:
    if one.unit == TEXT:
        return text
    try:
        number = Decimal(text) if len(text) <= _DIGITS else Decimal("NaN")
    except InvalidOperation:
        number = Decimal("NaN")
    if not number.is_finite() or abs(number.adjusted()) > _DIGITS:
        raise OutOfRange(one.path, "decimal numbers such as 12.5")
    return exact.spell(number / 100 if one.unit == SHARE else number)


def _look(inputs: Any, path: str) -> Any:
    for key in path.split("."):
        if not isinstance(inputs, Mapping) or key not in inputs:
            return None
        inputs = inputs[key]
    return inputs


def _put(inputs: dict[str, Any], path: str, value: str) -> None:
    *walk, last = path.split(".")
    inner = inputs
    for key in walk:
        inner = inner.setdefault(key, {})
    inner[last] = int(value) if isinstance(inner.get(last), int) else value
    if walk[:2] == ["terms", "haircuts"]:
        inner.setdefault("reason", HAIRCUTS[walk[2]].reason)
