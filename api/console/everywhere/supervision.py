"""What a supervisor sees of all pledges: exposures, concentration, cover, what a common shock would trigger, refusals, titles.

Worked out from the register by the same formulas as ``touchstone finance portfolio``. Nothing of what is in a dataset is read.
"""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Any

from api import supervising
from api.console.pages import Offer, Page, Visit
from api.console.places import EXCHANGE, Same
from api.console.wording import msg
from exchange.protocol.errors import Unknown
from privacy import canonical
from privacy.errors import Malformed
from valuation.finance import document
from valuation.finance.export import cells

_BY: Mapping[str, str] = {
    "lender": msg("Exposure by lender"),
    "institution": msg("Exposure by institution"),
    "sector": msg("Exposure by sector"),
    "product": msg("Exposure by product"),
}

HEADS = (
    msg("lender"), msg("institution"), msg("sector"), msg("product"), msg("pledges"), msg("loans"), msg("share of all loans"),
    msg("value"), msg("recognised value"), msg("with value shown"), msg("loan to value"), msg("state"), msg("reported"),
    msg("recomputed"), msg("reported milder"), msg("shock"), msg("round"), msg("normal"), msg("margin call"),
    msg("liquidation"), msg("loans in call or beyond"), msg("cash to cure calls"), msg("shortfall"), msg("title ends"),
    msg("pledge"), msg("loan ends"), msg("loan"), msg("before the loan"), msg("rule"), msg("gate"), msg("refused"),
    msg("role"), msg("standard"), msg("purpose"), msg("item"), msg("requests refused"),
)  # fmt: skip
"""Heads of the portfolio's tables, and words in their rows."""

WORDS = (
    msg("not stated"), msg("yes"), msg("no"), msg("ended"), msg("within 90 days"), msg("within 180 days"),
    msg("within 365 days"), msg("later"), msg("no end stated"), msg("no value"), msg("value not shown"), msg("not on record"),
    msg("refused by an officer of the lender"), msg("refused by the owner"),
)  # fmt: skip

REMARKS = (
    msg("concentration by lender (HHI) is above 0.25"),
    msg("concentration by institution (HHI) is above 0.25"),
    msg("concentration by sector (HHI) is above 0.25"),
    msg("{n} of {all} pledges are reported in a milder state than their loan to value tells"),
    msg("{n} of {all} pledges have a title that ends no later than the loan"),
    msg("{n} of {all} pledges have a title that has ended"),
    msg("{n} of {all} pledges are past their maturity and still owe"),
    msg("{n} of {all} pledges were made with a rule overridden"),
    msg("{n} of {all} pledges have no verified report: their value is not shown"),
)
"""What a portfolio remarks, with its numbers left open."""

ITEMS = (
    msg("use: group"), msg("use: filter"), msg("use: count"), msg("use: valid"), msg("use: sum"), msg("use: product"),
    msg("use: histogram"), msg("approval"), msg("asker"), msg("cells"), msg("contribution bounds"), msg("noise"),
    msg("parties"), msg("policy"), msg("precision"), msg("retention"), msg("rows"), msg("bounds"), msg("grain"),
    msg("use"), msg("values"), msg("other"),
)  # fmt: skip
"""Kinds of items for which requests are refused."""

_SPREAD, _CROWDED = Decimal("0.15"), Decimal("0.25")
"""Of the index of concentration: below the one it is spread, above the other concentrated, as competition authorities draw the lines."""

_MOST_DROP = Decimal(99)


def show(visit: Visit) -> Mapping[str, Any]:
    """Return the portfolio of the register, without values: reports lie with those who made them."""
    told = read(visit)
    return facts(visit, told, performed(visit, told, worths={}, overrides={}))


def facts(visit: Visit, told: Mapping[str, Any], made: Mapping[str, Any] | None, **more: object) -> Mapping[str, Any]:
    """Return what the page shows of a register and the portfolio worked out from it; ``more`` is what a place adds."""
    asked = {name: visit.query.get(name, usual) for name, usual in (("drop", "20"), ("impact", "30"))}
    shown: dict[str, Any] = {"empty": made is None, "asked": asked, "at_desk": visit.place.kind == "desk", **more}
    shown["same_as"] = [
        Same(
            msg("Command line"),
            "touchstone finance portfolio --from-exchange --as HOME --exchange URL \\\n    --valuations REPORTS -o portfolio.json --csv portfolio.csv",
        ).to_json(),
        Same("HTTP", "GET /v1/supervision/pledges\nGET /v1/supervision/refusals").to_json(),
    ]
    names = ("role", "standard", "purpose", "item", "refused")
    shown["requests"] = {
        "heads": [*names[:-1], "requests refused"],
        "units": ["text", "text", "text", "text", "count"],
        "rows": [[one[name] for name in names] for one in told["refusals"]],
    }
    if made is None:
        return shown
    figures = {one["key"]: one["value"] for one in made["figures"]}
    tables = {one["key"]: _table(one) for one in made["tables"]}
    return shown | {
        "on": made["on"],
        "digest": made["digest"],
        "loans": figures["exposure"],
        "recognised": figures.get("recognised"),
        "cover": figures.get("ltv.portfolio"),
        "by": [
            {"name": name, "title": title, "table": tables[f"by.{name}"], "index": _index(figures.get(f"hhi.{name}"))}
            for name, title in _BY.items()
        ],
        "remarks": [_remark(one["text"]) for one in made["remarks"]],
        "tables": {name: table for name, table in tables.items() if not name.startswith("by.")},
        "triggered": figures.get("shock.1.triggered"),
    }  # fmt: skip


def _remark(text: str) -> dict[str, Any]:
    found = re.fullmatch(r"(\d+) of (\d+) (pledges .+)", text)
    if found is None:
        return {"text": text, "numbers": {}}
    return {"text": f"{{n}} of {{all}} {found[3]}", "numbers": {"n": int(found[1]), "all": int(found[2])}}


def _table(table: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "heads": [column["label"] for column in table["columns"]],
        "units": [column["unit"] for column in table["columns"]],
        "rows": table["rows"],
    }


def _index(told: str | None) -> dict[str, str] | None:
    """Return an index of concentration, what it means, and how many equal shares would be as concentrated; none without loans."""
    if told is None:
        return None
    index = Decimal(told)
    if index >= 1:
        meaning = msg("all in one hand")
    elif index > _CROWDED:
        meaning = msg("concentrated")
    else:
        meaning = msg("moderately concentrated") if index > _SPREAD else msg("spread")
    return {"hhi": told, "meaning": meaning, "like": str((1 / index).quantize(Decimal("0.1")))}


def read(visit: Visit) -> dict[str, Any]:
    """Return the register as the exchange tells it today."""
    return supervising.read(_Reading(visit), on=datetime.now(tz=UTC).date())


def performed(
    visit: Visit,
    told: Mapping[str, Any],
    *,
    worths: Mapping[str, supervising.Worth],
    overrides: Mapping[str, list[str]],
) -> dict[str, Any] | None:
    """Work the portfolio of a register out, with the shock that the visitor asks for; ``None`` while no pledge is live.

    Raises:
        Malformed: if the shock is out of range.
    """
    if not supervising.live(told):
        return None
    drop, impact = _percent(visit, "drop", "20"), _percent(visit, "impact", "30")
    shocks = [{"name": f"values fall by {_text(drop)} %", "drop": _share(drop), "impact": _share(impact)}]
    inputs = supervising.inputs(told, worths=worths, sectors={}, overrides=overrides, shocks=shocks)
    return dict(document.perform("portfolio", inputs))


class _Reading:
    """The exchange, read by paths, as :mod:`api.supervising` asks it."""

    def __init__(self, visit: Visit) -> None:
        self._place = visit.place

    def get(self, path: str) -> Any:
        """Return the JSON document at ``path``."""
        what, _, query = path.removeprefix("/v1/supervision/").partition("?")
        before = query.removeprefix("before=") or None
        return self._place.get("supervision", what, before=before)


def _percent(visit: Visit, name: str, usual: str) -> Decimal:
    text = visit.query.get(name) or usual
    try:
        value = Decimal(text)
    except InvalidOperation:
        value = Decimal(-1)
    if not (value.is_finite() and 0 <= value <= _MOST_DROP) or len(text) > 6:
        raise Malformed("a fall is a number of per cent from 0 to 99", fix="write it like 20")
    return value


def _share(percent: Decimal) -> str:
    return _text(percent / 100)


def _text(value: Decimal) -> str:
    text = f"{value:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def handed(made: Mapping[str, Any] | None, name: str) -> Offer:
    """Hand out a portfolio's tables as CSV, or the whole document.

    Raises:
        Unknown: if there is no such file, or no portfolio.
    """
    if made is not None and name == "portfolio.csv":
        return Offer(name, "text/csv; charset=utf-8", cells(made).encode())
    if made is not None and name == "portfolio.json":
        return Offer(name, "application/json", canonical.encode(made))
    raise Unknown("file")


def give(visit: Visit, name: str) -> Offer:
    """Hand out the portfolio as it is shown."""
    return handed(performed(visit, read(visit), worths={}, overrides={}), name)


REGULATOR = frozenset({"regulator"})

PAGES = (
    Page(
        "/supervision", "supervision.html", msg("Supervision"), show,
        group=msg("Oversight"), roles=REGULATOR, places=frozenset({EXCHANGE}), give=give,
    ),
)  # fmt: skip
