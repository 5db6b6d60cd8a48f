"""The one-page sheet of a document as HTML: self-contained, no script, prints on one side of A4."""

from collections.abc import Mapping, Sequence
from decimal import ROUND_HALF_EVEN, Context, Decimal
from typing import Any

from valuation import exact
from valuation.finance.arrangement import NO_RELIEF
from valuation.finance.chart import chart
from valuation.finance.drawing import printable

HEADS = {
    "guarantee": ("Guarantee", "担保"),
    "trust": ("Data trust", "数据信托"),
    "abs": ("Securitisation", "资产证券化"),
    "portfolio": ("Portfolio", "监管组合"),
}
"""What each kind is called, in English and Chinese."""

NO_RELIEF_ZH = "数据不是合格的监管资本押品，本结构不产生资本减免"

MOST_ROWS, FEW_ROWS = 8, 3
"""Rows of a table on the sheet; few where there are many tables."""

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
"""Tables on the sheet, and which of their columns; all where none is named."""

_WIDE = Context(prec=100, rounding=ROUND_HALF_EVEN)

_STYLE = """
@page { size: A4; margin: 9mm }
body { font: 10px/1.35 "Noto Sans", "Noto Sans CJK SC", "PingFang SC", "Microsoft YaHei", sans-serif; color: #1b2631; max-width: 190mm;
  margin: 0 auto }
@media screen { body { padding: 4mm } }
h1 { font-size: 17px; margin: 0 } h2 { font-size: 12px; margin: 8px 0 2px } p { margin: 2px 0 }
table { border-collapse: collapse; width: 100% } th, td { padding: 1px 4px; border-bottom: 1px solid #d5d8dc; text-align: left }
th { font-weight: 600; background: #f4f6f7 } .n { text-align: right; font-variant-numeric: tabular-nums } td.n, .s { white-space: nowrap }
.flag { color: #922b21; font-weight: 600 } .notice { border: 1px solid #922b21; padding: 3px 6px; margin: 4px 0 }
ul { margin: 2px 0; padding-left: 14px } .small { font-size: 8.5px; color: #515a5a } svg { width: 100%; height: auto }
code { font-size: 8.5px; overflow-wrap: anywhere }
"""


def sheet(document: Mapping[str, Any]) -> str:
    """Write the sheet of a document that has been verified."""
    english, chinese = HEADS[document["kind"]]
    tables = {table["key"]: table for table in document["tables"]}
    notice, shown = document["notice"], _SHOWN[document["kind"]]
    rows = MOST_ROWS if len(shown) < 3 else FEW_ROWS
    parties = "; ".join(f"{one['role'].replace('_', ' ')}: {one['name']}" for one in document["parties"])
    parts = [
        "<!doctype html>",
        '<html lang="en"><head><meta charset="utf-8">',
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">",
        f"<title>{printable(document['title'])}</title><style>{_STYLE}</style></head><body>",
        f'<p>{english} <span lang="zh">{chinese}</span> · {document["on"]} · {document["currency"]}</p>',
        f"<h1>{printable(document['title'])}</h1><p>{printable(parties)}</p>",
        f'<p class="notice">{printable(notice["en"])}; {NO_RELIEF}.<br><span lang="zh">{notice["zh"]}。{NO_RELIEF_ZH}。</span></p>',
        "<h2>In short</h2><table>",
        *_pairs(concluded(document)),
        "</table>",
        _remarks(document["remarks"]),
        chart(document),
        *(_table(tables[key], keys.split(), most=rows) for key, keys in shown),
        _gates(document["gates"]),
        '<h2>It rests on</h2><ul class="small">',
        *(f"<li>{printable(line)}</li>" for line in document["assumptions"]),
        "</ul>",
        f'<p class="small">{len(document["figures"])} figures with their reasons, and every amount to the cent, are in the document of digest <code>{document["digest"]}</code>, made by '
        f"{printable(document['code'])}. Anybody can compute it anew: <code>touchstone finance verify FILE</code>.</p>",
        "</body></html>\n",
    ]
    return "".join(parts)


def concluded(document: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What the document concludes, rounded for readers: label and value."""
    figures = {figure["key"]: figure for figure in document["figures"]}
    return [(one["label"], _figure(figures[one["figure"]], document["currency"])) for one in document["conclusion"]]


def _pairs(pairs: Sequence[tuple[str, str]]) -> list[str]:
    """Two figures on a line, so that the sheet stays on one page."""
    cells = [f'<th>{printable(label)}</th><td class="n">{value}</td>' for label, value in pairs]
    return [f"<tr>{''.join(cells[place : place + 2])}</tr>" for place in range(0, len(cells), 2)]


def _remarks(remarks: Sequence[Mapping[str, str]]) -> str:
    if not remarks:
        return ""
    flags = {True: ' class="flag"', False: ""}
    items = "".join(f"<li{flags[one['code'].startswith('red-flag')]}>{printable(one['text'])}</li>" for one in remarks)
    return f"<h2>Look at</h2><ul>{items}</ul>"


def _gates(gates: Sequence[Mapping[str, str]]) -> str:
    if not gates:
        return ""
    rules = "; ".join(f"{printable(one['rule'])} <code>{printable(one['document'][:12])}</code>" for one in gates)
    return f'<h2>Gates passed, by document</h2><p class="small">{rules}</p>'


def _table(table: Mapping[str, Any], keys: Sequence[str], *, most: int) -> str:
    places = [place for place, one in enumerate(table["columns"]) if not keys or one["key"] in keys]
    columns = [table["columns"][place] for place in places]
    head = "".join(f"<th{_side(one)}>{printable(one['label'])}</th>" for one in columns)
    rows = "".join(
        "<tr>"
        + "".join(
            f"<td{_side(one, row[place])}>{_cell(row[place], one['unit'])}</td>"
            for place, one in zip(places, columns, strict=True)
        )
        + "</tr>"
        for row in table["rows"][:most]
    )
    more = len(table["rows"]) - most
    told = f'<p class="small">rows that are only in the document: {more}</p>' if more > 0 else ""
    if not table["rows"]:
        told = '<p class="small">none</p>'
    return f"<h2>{printable(table['title'])}</h2><table><tr>{head}</tr>{rows}</table>{told}"


def _side(column: Mapping[str, str], cell: str | int = "") -> str:
    if column["unit"] != "text":
        return ' class="n"'
    return ' class="s"' if 0 < len(str(cell)) <= len("2026-12-31") else ""


def _cell(cell: str | int, unit: str) -> str:
    if unit == "money":
        return f"{Decimal(cell).quantize(Decimal(1), context=_WIDE):,}"
    if unit == "share":
        return exact.percent(Decimal(cell))
    return printable(str(cell).replace("_", " ")) if unit == "text" else f"{cell:,}"


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
    return f"{_three(value * 100)} %" + ("" if per is None else f" a year {printable(per)}".rstrip())


def _three(value: Decimal) -> str:
    return exact.spell(Context(prec=3, rounding=ROUND_HALF_EVEN).plus(value))
