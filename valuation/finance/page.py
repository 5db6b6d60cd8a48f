"""The one page of a document as plain texts, the same for every form in which it is printed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Context, Decimal
from typing import Any

from valuation import exact
from valuation.finance.arrangement import NO_RELIEF
from valuation.finance.chart import chart

HEADS = {
    "guarantee": ("Guarantee", "担保"),
    "trust": ("Data trust", "数据信托"),
    "abs": ("Securitisation", "资产证券化"),
    "portfolio": ("Portfolio", "监管组合"),
}
"""What each kind is called, in English and Chinese."""

NO_RELIEF_ZH = "数据不是合格的监管资本押品，本结构不产生资本减免"

MOST_ROWS, FEW_ROWS = 8, 3
"""Rows of a table on the page; few where there are many tables."""

_SHOWN: Mapping[str, tuple[tuple[str, str], ...]] = {
    "guarantee": (
        ("periods", "period opening principal fee claim call lender subrogated lender_loss guarantor_loss alone_loss"),
    ),
    "trust": (("periods", ""), ("beneficiaries", "")),
    "abs": (
        ("scenarios", ""),
        (
            "periods.0",
            "period pool fee senior_interest senior_principal junior_interest junior_principal residual reserve senior",
        ),
    ),
    "portfolio": (("by.lender", ""), ("states", ""), ("shocks", ""), ("expiring", "")),
}
"""Tables on the page, and which of their columns; all where none is named."""

_WIDE = Context(prec=100, rounding=ROUND_HALF_EVEN)


@dataclass(frozen=True, slots=True)
class Shown:
    """A table as a reader sees it: texts, which columns are ``words``, and how many rows are only in the document."""

    title: str
    head: tuple[str, ...]
    words: tuple[bool, ...]
    rows: tuple[tuple[str, ...], ...]
    more: int


@dataclass(frozen=True, slots=True)
class Page:
    """Everything on the page; pairs are label and value, remarks come with whether they are red flags."""

    kind: tuple[str, str]
    on: str
    currency: str
    title: str
    parties: str
    notice: tuple[str, str]
    concluded: tuple[tuple[str, str], ...]
    remarks: tuple[tuple[str, bool], ...]
    picture: str
    tables: tuple[Shown, ...]
    gates: tuple[tuple[str, str], ...]
    assumptions: tuple[str, ...]
    figures: int
    digest: str
    code: str


def page(document: Mapping[str, Any]) -> Page:
    """Lay out a document that has been verified."""
    tables = {table["key"]: table for table in document["tables"]}
    notice, shown = document["notice"], _SHOWN[document["kind"]]
    rows = MOST_ROWS if len(shown) < 3 else FEW_ROWS
    return Page(
        kind=HEADS[document["kind"]],
        on=document["on"],
        currency=document["currency"],
        title=document["title"],
        parties="; ".join(f"{one['role'].replace('_', ' ')}: {one['name']}" for one in document["parties"]),
        notice=(f"{notice['en']}; {NO_RELIEF}.", f"{notice['zh']}。{NO_RELIEF_ZH}。"),
        concluded=tuple(concluded(document)),
        remarks=tuple((one["text"], one["code"].startswith("red-flag")) for one in document["remarks"]),
        picture=chart(document),
        tables=tuple(_table(tables[key], keys.split(), most=rows) for key, keys in shown),
        gates=tuple((one["rule"], one["document"][:12]) for one in document["gates"]),
        assumptions=tuple(document["assumptions"]),
        figures=len(document["figures"]),
        digest=document["digest"],
        code=document["code"],
    )


def concluded(document: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What the document concludes, rounded for readers: label and value."""
    figures = {figure["key"]: figure for figure in document["figures"]}
    return [(one["label"], _figure(figures[one["figure"]], document["currency"])) for one in document["conclusion"]]


def _table(table: Mapping[str, Any], keys: Sequence[str], *, most: int) -> Shown:
    places = [place for place, one in enumerate(table["columns"]) if not keys or one["key"] in keys]
    columns = [table["columns"][place] for place in places]
    return Shown(
        title=table["title"],
        head=tuple(one["label"] for one in columns),
        words=tuple(one["unit"] == "text" for one in columns),
        rows=tuple(
            tuple(_cell(row[place], one["unit"]) for place, one in zip(places, columns, strict=True))
            for row in table["rows"][:most]
        ),
        more=max(0, len(table["rows"]) - most),
    )


def _cell(cell: str | int, unit: str) -> str:
    if unit == "money":
        return f"{Decimal(cell).quantize(Decimal(1), context=_WIDE):,}"
    if unit == "share":
        return exact.percent(Decimal(cell))
    return str(cell).replace("_", " ") if unit == "text" else f"{cell:,}"


def _figure(figure: Mapping[str, str], currency: str) -> str:
    """A concluding figure for a reader: money to the cent, shares as percentages, ratios to three digits."""
    value = Decimal(figure["value"])
    if figure["unit"] == currency:
        return f"{value.quantize(Decimal('0.01'), context=_WIDE):,} {currency}"
    if figure["unit"] == "index":
        return _three(value)
    if figure["unit"] == "ratio":
        return f"{_three(value)} times"
    per = figure["unit"].removeprefix("1/y").strip() if figure["unit"].startswith("1/y") else None
    return f"{_three(value * 100)} %" + ("" if per is None else f" a year {per}".rstrip())


def _three(value: Decimal) -> str:
    return exact.spell(Context(prec=3, rounding=ROUND_HALF_EVEN).plus(value))
