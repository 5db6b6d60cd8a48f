"""The field sheet of a pledge as a page to print; needs no script, no style sheet and no network."""

import html
from typing import Any


def render(sheet: dict[str, Any]) -> str:
    """Return the page of a sheet as :func:`exchange.interop.movables.field_sheet` makes it."""
    rows = [(field["zh"], field["en"], html.escape(field["value"])) for field in sheet["fields"]]
    rows += [
        (field["zh"], field["en"], "<span class=open>由登记人填写 for the filer</span>")
        for field in sheet["to_fill_in"]
    ]
    cells = "\n".join(
        f"<tr><th scope=row>{html.escape(zh)}<br><small>{html.escape(en)}</small></th><td>{value}</td></tr>"
        for zh, en, value in rows
    )
    return f"""<!doctype html>
<html lang="zh"><head><meta charset="utf-8"><title>登记要素表 Field sheet</title>
<style>body{{font-family:serif;max-width:48em;margin:2em auto}}table{{border-collapse:collapse;width:100%}}
th,td{{border:1px solid #999;padding:.4em .6em;vertical-align:top;text-align:left}}th{{width:13em;font-weight:normal}}
td{{overflow-wrap:anywhere}}small{{color:#555}}.open{{color:#777;font-style:italic}}</style></head>
<body><h1>动产和权利担保登记要素表 Field sheet of a pledge</h1>
<p>{html.escape(sheet["notice"])}</p>
<table>
{cells}
</table></body></html>
"""
