"""A certificate as a page to print, made from the same verified JSON; needs no script, no style sheet and no network."""

import html
from typing import Any

from exchange.protocol.certificate import Certificate
from exchange.protocol.messages import Deprecation, Registration, Withdrawal

_RIGHTS = {"holding": "持有权 holding", "processing": "使用权 processing", "operating": "经营权 operating"}


def render(
    told: Certificate, registration: Registration, standing: Deprecation | Withdrawal | None, *, text: str
) -> str:
    """Return the page; ``text`` is the certificate's JSON as it was verified, printed at the end to be checked again."""
    declared = registration.declared
    rows: list[tuple[str, Any]] = [
        ("资产 Asset", told.asset),
        ("登记人 Owner", f"{told.owner_name} ({told.owner})"),
        ("名称 Title", " / ".join(t for t in (registration.title, declared.title.zh, declared.title.en) if t)),
        ("标准 Standard", registration.standard),
        ("人群 Population", registration.population),
        ("数据版本 Data as of", registration.refreshed),
        ("安全级别 Level", declared.level),
        ("许可 Licence", declared.licence),
        ("管理人 Steward", declared.steward),
    ]
    rows += [
        (_RIGHTS[right.right], f"{right.source}; {right.valid_until or '无期限 no end'}; SHA-256 {right.evidence}")
        for right in declared.rights
    ]
    rows += [(f"权属文件 Title, {title.event}", f"{title.on}; SHA-256 {title.document}") for title in declared.titles]
    rows += [
        ("日志位置 Journal entry", f"{told.place.seq}; {told.place.hash}"),
        ("签发时日志末端 Head at issue", f"{told.head.seq}; {told.head.hash}"),
        ("登记人公钥 Owner's key", told.owner_key),
        ("交易所公钥 Exchange's key", told.exchange_key),
    ]
    if standing is not None:
        rows.append(("状态 State", f"{standing.kind}: {standing.because}"))
    cells = "\n".join(
        f"<tr><th scope=row>{html.escape(name)}</th><td>{html.escape('未申报 not declared' if v is None else str(v))}</td></tr>"
        for name, v in rows
    )
    return f"""<!doctype html>
<html lang="zh"><head><meta charset="utf-8"><title>{html.escape(told.asset)}</title>
<style>body{{font-family:serif;max-width:48em;margin:2em auto}}th{{text-align:left;vertical-align:top;padding-right:1em}}
td{{overflow-wrap:anywhere}}pre{{white-space:pre-wrap;overflow-wrap:anywhere;font-size:70%}}</style></head>
<body><h1>数据资产登记证明 Certificate of registration</h1>
<p>本证明载明登记事实与登记人的声明，不构成权属认定或价值评估。It states what was registered and what the owner declared;
it is no finding of title and no appraisal.</p>
<table>
{cells}
</table>
<h2>核验 Verify</h2>
<p>将下文存为文件，执行 Save the text below as a file and run: <code>touchstone certificate verify FILE --key KEY</code></p>
<pre>{html.escape(text)}</pre></body></html>
"""
