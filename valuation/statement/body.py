"""The sections in the order of the Chinese standard for appraisal reports, and what data assets must disclose besides.

What the report does not hold (an appraiser's signature, an outlook on the industry) is said to be absent, never filled in.
"""

from collections.abc import Iterator, Mapping

from valuation.statement.amounts import money
from valuation.statement.analysis import conclusion, methods, procedure
from valuation.statement.blocks import Block, Items, Paragraph, Section, Table, pairs
from valuation.statement.phrases import phrase
from valuation.statement.reading import Reading
from valuation.statement.subject import NAME, NONE, WHAT, bases, client, date, kind, purpose_of, subject
from valuation.statement.words import Text, same

_NUMERALS = (*"一二三四五六七八九十", "十一", "十二", "十三", "十四")


def body(reading: Reading) -> tuple[Section, ...]:
    """The statement and the fourteen sections."""
    makers = (
        ("client", Text("Client and other users", "委托人及其他使用人"), client),
        ("purpose", Text("Purpose", "评估目的"), purpose_of),
        ("object", Text("Object and scope", "评估对象和范围"), subject),
        ("basis-of-value", Text("Type of value", "价值类型"), kind),
        ("date", Text("Valuation date", "评估基准日"), date),
        ("bases", Text("Bases", "评估依据"), bases),
        ("methods", Text("Methods and why they were chosen", "评估方法及选择理由"), methods),
        ("procedure", Text("Procedure", "评估程序实施过程"), procedure),
        ("assumptions", Text("Assumptions and limiting conditions", "评估假设与限制条件"), _assumptions),
        ("conclusion", Text("Conclusion and the analysis behind it", "评估结论及其分析"), conclusion),
        ("special", Text("Special matters", "特别事项说明"), _special),
        ("limits", Text("Limits on use; minimum necessity", "使用限制说明；最小必要清单"), _limits),
        ("report-date", Text("Date of the report", "报告日"), _report_date),
        ("signatures", Text("Signatures", "签名盖章"), _signatures),
    )
    declaration = Section("declaration", Text("Declaration", "声明"), (_declaration(reading),))
    return (
        declaration,
        *(
            Section(name, Text(f"{place}. {title.en}", f"{numeral}、{title.zh}"), tuple(make(reading)))
            for place, (numeral, (name, title, make)) in enumerate(zip(_NUMERALS, makers, strict=True), 1)
        ),
    )


def _declaration(reading: Reading) -> Block:
    en, zh = reading.document["notice"]["en"], reading.document["notice"]["zh"]
    return Items(
        (
            Text(f"{en}.", f"{zh}。"),
            Text(
                "It was computed from the facts, documents and releases that it names; nobody here has examined their truth.",
                "本计算依据所列事实、文件和发布结果；未对其真实性进行核实。",
            ),
            Text(
                "Raw data was never seen: quality was measured where the data lies and left it under differential privacy.",
                "计算过程未接触原始数据：质量在数据所在地测量，结果经差分隐私保护后发布。",
            ),
            Text(
                "Every figure follows from the inputs in the report and can be derived again offline, to the last digit.",
                "每一数字均由报告所载输入推得，可离线逐位复算。",
            ),
        )
    )


def _assumptions(reading: Reading) -> Iterator[Block]:
    yield Items(tuple(phrase(line) for line in reading.document["assumptions"]))


def _special(reading: Reading) -> Iterator[Block]:
    remarks = reading.document["remarks"]
    yield Items(tuple(phrase(remark["text"]) for remark in remarks) or (NONE,))
    legal, terms = reading.inputs["facts"]["legal"], reading.inputs["terms"]
    disputes = [f"{one['subject']} ({one['opened']} – {one['closed'] or ''})" for one in legal["disputes"]]
    prior = reading.get("liens.prior")
    rows = [
        (Text("Disputes, all closed", "争议（均已了结）"), same("; ".join(disputes)) if disputes else NONE),
        (Text("Experts and other reports relied on", "利用专家工作及其他报告"), NONE),
    ]
    if terms is not None:
        rows.append((Text("Loan ends", "贷款到期日"), same(terms["maturity"])))
    if prior is not None:
        rows.append((prior.label, money(prior.amount, reading.currency)))
    yield pairs(rows, head=(NAME, WHAT))


def _limits(reading: Reading) -> Iterator[Block]:
    necessity = reading.inputs["necessity"]
    yield Paragraph(
        Text(
            "For the users and the purpose named above, within one year from the valuation date at most. Not an appraisal "
            "report: it may not be used where the law asks for one.",
            "仅供上述使用人为上述目的使用，自评估基准日起最长一年有效。本文不是资产评估报告，依法须出具资产评估报告的，不得以本文代替。",
        )
    )
    yield Paragraph(Text("Evidence that the purpose opened:", "为本目的开放的证据："))
    yield Items(tuple(same(item) for item in necessity["opened"]) or (NONE,))
    yield Paragraph(Text("Evidence that was withheld:", "不予提供的证据："))
    yield Table(
        (Text("item", "项目"), Text("reason", "理由")),
        tuple((same(one["item"]), same(one["reason"])) for one in necessity["withheld"]) or ((NONE, Text("–", "–")),),
        "ll",
        (4, 7),
    )


def _report_date(reading: Reading) -> Iterator[Block]:
    del reading
    yield Paragraph(
        Text(
            "None: the calculation reads no clock and is the same whenever it is performed; it speaks for the valuation date.",
            "无：本计算不读取时钟，任何时候复算结果相同；其结论以评估基准日为准。",
        )
    )


def _signatures(reading: Reading) -> Iterator[Block]:
    signed = reading.document.get("signatures")
    if isinstance(signed, list) and signed:
        yield Items(
            tuple(same(str(one.get("party", one))) if isinstance(one, Mapping) else same(one) for one in signed)
        )
    yield Paragraph(
        Text(
            "No appraiser and no licensed firm has signed this; at least two appraisers and the firm sign an appraisal report.",
            "本文未经资产评估师签名，未加盖评估机构印章；资产评估报告须由至少两名资产评估师签名并加盖机构印章。",
        )
    )
