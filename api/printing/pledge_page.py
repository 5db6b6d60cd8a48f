"""The credit committee's sheet as one page to print, from its plain structure; no script, no style sheet, no network."""

import html
from typing import Any

from valuation.committee import RED_FLAG
from valuation.shown import ABSENT

_STYLE = """@page{size:A4;margin:7mm 9mm}
*{box-sizing:border-box}
body{font:6.6pt/1.2 "Noto Sans","Noto Sans CJK SC","Microsoft YaHei",Arial,sans-serif;color:#1b1f24;margin:0 auto;max-width:192mm}
header{border-bottom:1.2pt solid #1b1f24;padding-bottom:2pt;margin-bottom:4pt}
h1{font-size:11pt;margin:0}h1 small{font-weight:400;font-size:8pt;color:#4a535d}
header p{margin:1pt 0 0}.notice{color:#8a1c1c;font-weight:600}
main{columns:2;column-gap:5mm}
section{break-inside:avoid;margin:0 0 3.5pt}
h2{font-size:7.6pt;margin:0 0 1pt;padding:.6pt 3pt;background:#e8ecf1}h2 small{font-weight:400;color:#4a535d}
dl{margin:0;display:grid;grid-template-columns:43% 57%}
dt,dd{margin:0;padding:.4pt 3pt;border-bottom:.3pt solid #d8dde3;overflow-wrap:anywhere}
dt{color:#4a535d}dt small{color:#6b747e;font-size:5.8pt;white-space:nowrap}
table{border-collapse:collapse;width:100%;font-size:6.2pt;margin:1pt 0 1.5pt}
th,td{text-align:left;vertical-align:top;padding:.4pt 3pt;border-bottom:.3pt solid #d8dde3}th{font-weight:600;color:#4a535d}
td.n,th.n{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}th.n{font-size:5.8pt}td:first-child{min-width:24mm}
.bar{display:grid;grid-template-columns:28% 46% 26%;padding:.4pt 3pt;align-items:center}
.bar b{display:block;height:5pt;background:#35608f}.bar span:last-child{text-align:right;font-variant-numeric:tabular-nums}
.flag{color:#8a1c1c;font-weight:600}dd.flag{grid-column:1/-1}dd.flag small{font-weight:400}.absent{color:#6b747e;font-style:italic}
footer{border-top:.6pt solid #1b1f24;margin-top:2pt;padding-top:1.5pt;font-size:5.6pt;color:#4a535d;overflow-wrap:anywhere}
@media screen{body{padding:8mm 4mm;zoom:1.35}}@media screen and (max-width:150mm){main{columns:1}}"""

_WORDS = 3
"""A table of so many columns holds words; of more, figures from the second column on."""


def render(sheet: dict[str, Any]) -> str:
    """Return the page of a sheet as :func:`valuation.sheet.sheet` makes it."""
    sections = "\n".join(_section(section) for section in sheet["sections"])
    title = f"{sheet['asset']}, {sheet['on']}"
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>{html.escape(title)}</title>
<style>{_STYLE}</style></head>
<body><header><h1>Credit committee sheet <small>信贷审批一页纸</small></h1>
<p>{html.escape(title)}; amounts in {html.escape(sheet["currency"])}</p>
<p class="notice">{html.escape(sheet["notice"]["en"])}. {html.escape(sheet["capital"]["en"])}.</p>
<p class="notice" lang="zh">{html.escape(sheet["notice"]["zh"])}。{html.escape(sheet["capital"]["zh"])}。</p></header>
<main>
{sections}
</main>
<footer>Report {html.escape(sheet["report"])}; sheet {html.escape(sheet["digest"])}. Every figure stands in the report under its key and can be
computed anew: touchstone value verify report.json</footer></body></html>
"""


def _section(section: dict[str, Any]) -> str:
    title = section["title"]
    head = f'{section["number"]} {html.escape(title["en"])} <small lang="zh">{html.escape(title["zh"])}</small>'
    rows = "".join(_row(row) for row in section["rows"])
    parts = [
        f"<dl>{rows}</dl>" if rows else "",
        *(_bar(bar) for bar in section["bars"]),
        *(_table(table) for table in section["tables"]),
    ]
    return f"<section><h2>{head}</h2>{''.join(parts)}</section>"


def _row(row: dict[str, Any]) -> str:
    label = row["label"]
    told = f'{html.escape(label["en"])} <small lang="zh">{html.escape(label["zh"])}</small>'
    if label["en"] == RED_FLAG:
        # over the whole width: what must be answered is read first and never squeezed
        return f'<dd class="flag">{told}: {html.escape(row["shown"])}</dd>'
    kind = ' class="absent"' if row["shown"] == ABSENT["en"] else ""
    figure = "" if row["figure"] is None else f' title="{html.escape(row["figure"])}"'
    return f"<dt>{told}</dt><dd{kind}{figure}>{html.escape(row['shown'])}</dd>"


def _table(table: dict[str, Any]) -> str:
    wide = len(table["head"]) > _WORDS

    def cell(tag: str, place: int, text: str) -> str:
        kind = ' class="n"' if place > 0 and wide else ""
        return f"<{tag}{kind}>{html.escape(text)}</{tag}>"

    head = "".join(cell("th", place, text) for place, text in enumerate(table["head"]))
    lines = ["".join(cell("td", place, text) for place, text in enumerate(line)) for line in table["rows"]]
    return f"<table><tr>{head}</tr>{''.join(f'<tr>{line}</tr>' for line in lines)}</table>"


def _bar(bar: dict[str, Any]) -> str:
    width = f"{float(bar['share']) * 100:.1f}%"
    return (
        f'<div class="bar"><span>{html.escape(bar["label"])}</span><span><b style="width:{width}"></b></span>'
        f"<span>{html.escape(bar['shown'])}</span></div>"
    )
