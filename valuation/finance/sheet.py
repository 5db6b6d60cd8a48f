"""The one-page sheet of a document as HTML: self-contained, no script, prints on one side of A4."""

from collections.abc import Mapping, Sequence
from typing import Any

from valuation.finance.drawing import printable
from valuation.finance.page import Shown, page

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
    told = page(document)
    (english, chinese), title, notice = told.kind, printable(told.title), [printable(text) for text in told.notice]
    parts = [
        "<!doctype html>",
        '<html lang="en"><head><meta charset="utf-8">',
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">",
        f"<title>{title}</title><style>{_STYLE}</style></head><body>",
        f'<p>{english} <span lang="zh">{chinese}</span> · {told.on} · {told.currency}</p>',
        f"<h1>{title}</h1><p>{printable(told.parties)}</p>",
        f'<p class="notice">{notice[0]}<br><span lang="zh">{notice[1]}</span></p>',
        "<h2>In short</h2><table>",
        *_pairs(told.concluded),
        "</table>",
        _remarks(told.remarks),
        told.picture,
        *(_table(table) for table in told.tables),
        _gates(told.gates),
        '<h2>It rests on</h2><ul class="small">',
        *(f"<li>{printable(line)}</li>" for line in told.assumptions),
        "</ul>",
        f'<p class="small">{told.figures} figures with their reasons, and every amount to the cent, are in the document of digest <code>{told.digest}</code>, made by '
        f"{printable(told.code)}. Anybody can compute it anew: <code>touchstone finance verify FILE</code>.</p>",
        "</body></html>\n",
    ]
    return "".join(parts)


def _pairs(pairs: Sequence[tuple[str, str]]) -> list[str]:
    """Two figures on a line, so that the sheet stays on one page."""
    cells = [f'<th>{printable(label)}</th><td class="n">{printable(value)}</td>' for label, value in pairs]
    return [f"<tr>{''.join(cells[place : place + 2])}</tr>" for place in range(0, len(cells), 2)]


def _remarks(remarks: Sequence[tuple[str, bool]]) -> str:
    if not remarks:
        return ""
    flags = {True: ' class="flag"', False: ""}
    items = "".join(f"<li{flags[flag]}>{printable(text)}</li>" for text, flag in remarks)
    return f"<h2>Look at</h2><ul>{items}</ul>"


def _gates(gates: Sequence[tuple[str, str]]) -> str:
    if not gates:
        return ""
    rules = "; ".join(f"{printable(rule)} <code>{printable(document)}</code>" for rule, document in gates)
    return f'<h2>Gates passed, by document</h2><p class="small">{rules}</p>'


def _table(table: Shown) -> str:
    head = "".join(
        f"<th{_side('', words=words)}>{printable(name)}</th>"
        for name, words in zip(table.head, table.words, strict=True)
    )
    rows = "".join(
        "<tr>"
        + "".join(
            f"<td{_side(cell, words=words)}>{printable(cell)}</td>"
            for cell, words in zip(row, table.words, strict=True)
        )
        + "</tr>"
        for row in table.rows
    )
    told = f'<p class="small">rows that are only in the document: {table.more}</p>' if table.more > 0 else ""
    if not table.rows:
        told = '<p class="small">none</p>'
    return f"<h2>{printable(table.title)}</h2><table><tr>{head}</tr>{rows}</table>{told}"


def _side(cell: str, *, words: bool) -> str:
    if not words:
        return ' class="n"'
    return ' class="s"' if 0 < len(cell) <= len("2026-12-31") else ""
