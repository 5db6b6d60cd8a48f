"""The sections in the order of the Chinese standard for appraisal reports, and what data assets must disclose besides.

What the report does not hold (an appraiser's signature, an outlook on the industry) is said to be absent, never filled in.
"""

from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any

from valuation.statement.amounts import money, number, share
from valuation.statement.blocks import Block, Items, Paragraph, Section, Table, pairs
from valuation.statement.charts import pictures
from valuation.statement.labels import term
from valuation.statement.phrases import phrase
from valuation.statement.reading import Figure, Reading
from valuation.statement.summary import BINDING, purpose
from valuation.statement.words import Text, joined, same

_NUMERALS = "一 二 三 四 五 六 七 八 九 十 十一 十二 十三 十四".split()

_NAME, _WHAT = Text("item", "项目"), Text("content", "内容")
_NONE = Text("none", "无")

_FORMS = {
    "company": Text("company", "企业法人"),
    "financial_institution": Text("financial institution", "金融机构"),
    "authorised_operator": Text("authorised operator of public data", "公共数据授权运营机构"),
    "public_institution": Text("public institution", "事业单位"),
    "government": Text("government", "行政机关"),
}
_BASES = {
    "consent": Text("consent", "个人同意"),
    "contract": Text("contract", "订立或履行合同所必需"),
    "legal_duty": Text("legal duty", "履行法定职责或义务所必需"),
    "public_interest": Text("public interest", "公共利益"),
    "disclosed": Text("lawfully disclosed", "已合法公开的个人信息"),
    "anonymised": Text("anonymised", "已匿名化"),
}
_RIGHTS = {
    "holding": Text("to hold the resource", "数据资源持有权"),
    "processing": Text("to process and use it", "数据加工使用权"),
    "operating": Text("to operate products made of it", "数据产品经营权"),
}
_MODES = {
    "quality": Text("quality", "质量"),
    "life": Text("remaining life", "剩余寿命"),
    "both": Text("quality times remaining life", "质量 × 剩余寿命"),
}
_INCOMES = {
    "direct": Text("direct income", "直接收益预测法"),
    "share": Text("share of income", "分成收益预测法"),
    "excess": Text("excess income (MPEEM)", "超额收益预测法（MPEEM）"),
    "with_without": Text("with and without the data", "增量收益预测法（有无对比）"),
    "royalty": Text("relief from royalty", "许可费节省法"),
}


def body(reading: Reading) -> tuple[Section, ...]:
    """The statement and the fourteen sections."""
    makers = (
        ("client", Text("Client and other users", "委托人及其他使用人"), _client),
        ("purpose", Text("Purpose", "评估目的"), _purpose),
        ("object", Text("Object and scope", "评估对象和范围"), _object),
        ("basis-of-value", Text("Type of value", "价值类型"), _kind),
        ("date", Text("Valuation date", "评估基准日"), _date),
        ("bases", Text("Bases", "评估依据"), _bases),
        ("methods", Text("Methods and why they were chosen", "评估方法及选择理由"), _methods),
        ("procedure", Text("Procedure", "评估程序实施过程"), _procedure),
        ("assumptions", Text("Assumptions and limiting conditions", "评估假设与限制条件"), _assumptions),
        ("conclusion", Text("Conclusion and the analysis behind it", "评估结论及其分析"), _conclusion),
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


def _client(reading: Reading) -> Iterator[Block]:
    terms = reading.inputs["terms"]
    lender = Text("not stated", "未载明") if terms is None else same(terms["lender"])
    yield pairs(
        (
            (Text("Owner of the data asset", "数据资产持有人"), same(reading.inputs["asset"]["owner"])),
            (Text("Lender", "贷款人（报告使用人）"), lender),
            (Text("Other users", "其他使用人"), Text("none but by law", "除法律另有规定外，无")),
        ),
        head=(_NAME, _WHAT),
    )


def _purpose(reading: Reading) -> Iterator[Block]:
    yield Paragraph(purpose(reading))


def _object(reading: Reading) -> Iterator[Block]:
    asset, facts = reading.inputs["asset"], reading.inputs["facts"]
    legal = facts["legal"]
    rights = [text for name, text in _RIGHTS.items() if asset["rights"].get(name)]
    columns = [one.key.removeprefix("cell.filled(").removesuffix(")") for one in reading.like("cell.filled(")]
    rows = reading.get("cell.count(*)")
    yield Paragraph(Text("Information attributes", "信息属性"))
    yield pairs(
        (
            (Text("Dataset, version", "数据集、版本"), same(f"{asset['dataset']}, {asset['version']}")),
            (Text("Standard (structure, units, meaning)", "数据标准（结构、单位、含义）"), same(asset["standard"])),
            (Text("Rows, as measured with noise", "记录数（含噪声测量）"), same("–" if rows is None else rows.value)),
            (Text("Columns measured", "测量的列"), same(", ".join(columns) or "–")),
            (Text("Refreshed every (days)", "更新周期（天）"), same(legal["refresh_days"])),
            (Text("Last refreshed", "最近更新"), same(legal["refreshed"]["on"])),
        ),
        head=(_NAME, _WHAT),
    )
    yield Paragraph(Text("Legal attributes", "法律属性"))
    basis = legal["lawful_basis"]
    if legal["personal_data"]:
        personal = _BASES.get(basis["kind"], same(basis["kind"])) if basis else Text("yes", "是")
    else:
        personal = Text("no personal data", "不含个人信息")
    yield pairs(
        (
            (Text("Form of the owner", "持有人性质"), _FORMS.get(legal["owner_form"], same(legal["owner_form"]))),
            (Text("Rights", "权利"), joined(rights) if rights else _NONE),
            (Text("Personal data, lawful basis", "个人信息处理的合法性基础"), personal),
            (Text("Rights were checked up to", "权利核查截止日"), same(facts["horizon"])),
        ),
        head=(_NAME, _WHAT),
    )
    yield Table(
        (
            Text("document of title", "权属文件"),
            Text("from", "授予方"),
            Text("to", "被授予方"),
            Text("issued", "签发日"),
            Text("expires", "到期日"),
        ),
        tuple(
            (
                same(link["name"]),
                same(link["grantor"]),
                same(link["grantee"]),
                same(link["issued"]),
                same(link["expires"]) if link["expires"] else Text("no term", "无期限"),
            )
            for link in legal["title"]
        ),
        "lllll",
        (4, 3, 3, 2, 2),
    )
    yield Paragraph(Text("Value attributes", "价值属性"))
    yield pairs(
        (
            (Text("Use scenario (the only one counted)", "应用场景（仅计此一项）"), same(asset["scenario"])),
            (
                Text("Outlook of economy and industry", "宏观与行业前景"),
                Text("not part of this calculation", "不在本计算范围内"),
            ),
        ),
        head=(_NAME, _WHAT),
    )


def _kind(reading: Reading) -> Iterator[Block]:
    del reading
    yield Paragraph(
        Text(
            "Value in the stated use to a lawful holder, under the assumptions of section 9. The recognised value is a "
            "lender's figure after haircuts and no market value. A licensed firm states the type of value of a report.",
            "在第九节假设下，数据资产在所述应用场景中对合法持有人的价值。认定价值为贷款人扣除折扣后的数额，不是市场价值。"
            "资产评估报告的价值类型由持牌机构确定。",
        )
    )


def _date(reading: Reading) -> Iterator[Block]:
    yield Paragraph(same(reading.inputs["method"]["on"]))


def _bases(reading: Reading) -> Iterator[Block]:
    sources = dict.fromkeys(one.source for one in reading.figures.values() if not one.is_given)
    yield Paragraph(Text("Standards and rules that the figures name:", "各数字所依据的准则与规则："))
    yield Items(tuple(phrase(source) for source in sources))
    yield Paragraph(Text("Documents of title and pricing are listed in annex C.", "权属与计价文件列于附件三。"))


def _methods(reading: Reading) -> Iterator[Block]:
    method = reading.inputs["method"]
    mode = _MODES.get(method["mode"], same(method["mode"]))
    yield Paragraph(
        Text(
            f"The coefficient of the cost approach rests on {mode.en}.",
            f"成本法的价值调整系数依据：{mode.zh}。",
        )
    )
    weights = method.get("judgement", {}).get("weights", {})
    rows = []
    for name in ("cost", "income", "market"):
        start = {"cost": "value"}.get(name, name)
        central = reading.get(f"{start}.central") or reading.get(f"{start}")
        if central is None:
            why = Text("not used: no facts were stated for it", "未采用：未申报相应事实")
            rows.append((Text(name, f"{term(name)}法"), Text("–", "–"), why))
        else:
            weight = weights.get(name)
            told = Text("the only approach", "唯一方法") if weight is None else _weight(weight)
            rows.append((Text(name, f"{term(name)}法"), money(central.amount, reading.currency), told))
    head = (Text("approach", "方法"), Text("value", "估值"), Text("weight and reason", "权重及理由"))
    yield Table(head, tuple(rows), "lrl", (2, 3, 6))
    if (income := reading.inputs["facts"].get("income")) is not None:
        told = _INCOMES.get(income["method"], same(income["method"]))
        yield Paragraph(Text(f"Income: {told.en}.", f"收益法采用：{told.zh}。"))
    yield Paragraph(Text("Formulas, as the figures name them:", "公式（与各数字所载一致）："))
    formulas = {
        (figure.label, phrase(figure.formula)): None for figure in _leading(reading) if not figure.is_given
    }
    head = (Text("figure", "数字"), Text("formula", "公式"))
    yield Table(head, tuple(formulas), "ll", (4, 7))
    drawn = pictures(reading)
    if "decay" in drawn:
        yield drawn["decay"]


def _weight(weight: Mapping[str, Any]) -> Text:
    told = f"{number_of(weight['share'])}: {weight['reason']}"
    return Text(told, told.replace(": ", "：", 1))


def number_of(text: str) -> str:
    """A share that was given as text, as a percentage."""
    return share(Decimal(text))


def _leading(reading: Reading) -> Iterator[Figure]:
    """Figures of the central value and the loan, without their twins at the low and high ends."""
    for key, figure in reading.figures.items():
        parts = key.split(".")
        leads = parts[0] in {
            "quality", "cost", "life", "delta", "value", "income", "market", "conclusion", "pledge", "limit", "haircut", "option",
        }  # fmt: skip
        if leads and not {"low", "high", "evidence"} & set(parts[:-1]) and parts[-1] not in {"error"}:
            if parts[-1] in {"low", "high"} and parts[0] != "conclusion":
                continue
            if len(parts) > 2 and parts[0] == "quality" and parts[-1] != "used":
                continue
            if "flow" in parts and parts[-1] != "1":
                continue
            yield figure


def _procedure(reading: Reading) -> Iterator[Block]:
    method = reading.inputs["method"]
    measured = [item["on"] for item in reading.inputs["evidence"]["measured"]]
    yield Paragraph(Text("1. Gates before any price:", "1. 计价之前的准入审查："))
    yield Table(
        (Text("gate", "审查项"), Text("rule, found to hold", "规则（均已满足）"), Text("documents", "文件数")),
        tuple(
            (Text(gate["gate"].replace("_", " "), _GATES.get(gate["gate"], gate["gate"])), phrase(gate["rule"]), same(len(gate["documents"])))
            for gate in reading.document["gates"]
        ),
        "llr",
        (3, 7, 2),
    )
    dates = ", ".join(measured)
    yield Paragraph(
        Text(
            f"2. Quality was measured at the owner's node under differential privacy ({dates}); raw rows never left it. Goal: "
            "completeness and validity by GB/T 36344. Result, with standard errors:",
            f"2. 质量在持有人节点以差分隐私方式测量（{dates}），原始数据未离开节点。目标：GB/T 36344 完整性与规范性。"
            "结果及标准误：",
        )
    )
    rows = []
    for error in reading.like("quality.", ".error"):
        measure = reading.get(error.key.removesuffix(".error"))
        if measure is not None:
            rows.append((measure.label, same(share(measure.amount)), same(share(error.amount))))
    head = (Text("metric", "指标"), Text("measured", "测得值"), Text("standard error", "标准误"))
    yield Table(head, tuple(rows), "lrr", (6, 2, 2))
    judgement = method.get("judgement")
    if judgement is not None:
        yield Paragraph(
            Text(
                f"3. The approaches were computed and reconciled; {judgement['draws']} draws from the seed "
                f"{judgement['seed']!r} give the range.",
                f"3. 分别计算各方法并综合；以随机种子“{judgement['seed']}”抽样 {judgement['draws']} 次得出区间。",
            )
        )
    yield Paragraph(
        Text(
            "Then every figure was derived a second time from the inputs in the report before this page was made.",
            "在生成本文之前，已由报告所载输入将每一数字重新推算一遍。",
        )
    )


_GATES = {
    "legal_form": "主体性质",
    "rights": "权利",
    "title": "权属链",
    "lawful_basis": "合法性基础",
    "dispute": "争议",
    "freshness": "时效",
}


def _assumptions(reading: Reading) -> Iterator[Block]:
    yield Items(tuple(phrase(line) for line in reading.document["assumptions"]))


def _conclusion(reading: Reading) -> Iterator[Block]:
    currency = reading.currency
    head = (Text("figure", "项目"), Text(f"amount, {currency}", f"金额（{currency}）"))
    concluded = [reading.low, reading.central, reading.high]
    concluded += [figure for name in ("recognised", "limit") if (figure := reading.concluded(name)) is not None]
    yield Table(head, tuple((one.label, same(_cents(one))) for one in concluded), "lr", (6, 5))
    if "binding" in reading.conclusion:
        binding = BINDING.get(reading.conclusion["binding"], same(reading.conclusion["binding"]))
        yield Paragraph(Text(f"The limit is bound by {binding.en}.", f"贷款限额的约束条件：{binding.zh}。"))
    drawn = pictures(reading)
    if haircuts := reading.conclusion.get("haircuts"):
        yield Table(
            (Text("haircut", "折扣项"), Text("share", "折扣率"), Text("reason", "理由")),
            tuple(
                (Text(name.replace("_", " "), term(name)), same(number_of(one["share"])), phrase(one["reason"]))
                for name, one in haircuts.items()
            ),
            "lrl",
            (3, 2, 7),
        )
    yield from (drawn[name] for name in ("waterfall", "tornado", "distribution") if name in drawn)
    scenarios = [one for one in reading.like("scenario.") if one.key.count(".") == 1]
    if scenarios:
        head = (Text("scenario", "情景"), Text("value", "价值"))
        yield Table(head, tuple((one.label, money(one.amount, currency)) for one in scenarios), "lr", (7, 4))
    others = [one for key in _CHECKS if (one := reading.get(key)) is not None]
    if others:
        head = (Text("check", "检验"), Text("figure", "数值"))
        yield Table(head, tuple((one.label, _short(one, currency)) for one in others), "lr", (8, 3))


_CHECKS = (
    "consistency.spread",
    "consistency.chi2",
    "consistency.inverse_variance",
    "draws.error",
    "break_even.level",
    "income.wara",
    "market.hedonic",
    "pledge.total_haircut",
    "pledge.ltv",
    "pledge.value_to_book",
    "option",
)


def _short(figure: Figure, currency: str) -> Text:
    if figure.is_money:
        return money(figure.amount, currency)
    return same(share(figure.amount) if figure.unit in {"share", "1/year"} else number(figure.amount))


def _cents(figure: Figure) -> str:
    """An amount in full to two decimals; all its digits stand in the annex."""
    return f"{figure.amount:,.2f}"


def _special(reading: Reading) -> Iterator[Block]:
    remarks = reading.document["remarks"]
    yield Items(tuple(phrase(remark["text"]) for remark in remarks) or (_NONE,))
    legal, terms = reading.inputs["facts"]["legal"], reading.inputs["terms"]
    disputes = [f"{one['subject']} ({one['opened']} – {one['closed'] or ''})" for one in legal["disputes"]]
    prior = reading.get("liens.prior")
    rows = [
        (Text("Disputes, all closed", "争议（均已了结）"), same("; ".join(disputes)) if disputes else _NONE),
        (Text("Experts and other reports relied on", "利用专家工作及其他报告"), _NONE),
    ]
    if terms is not None:
        rows.append((Text("Loan ends", "贷款到期日"), same(terms["maturity"])))
    if prior is not None:
        rows.append((prior.label, money(prior.amount, reading.currency)))
    yield pairs(rows, head=(_NAME, _WHAT))


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
    yield Items(tuple(same(item) for item in necessity["opened"]) or (_NONE,))
    yield Paragraph(Text("Evidence that was withheld:", "不予提供的证据："))
    yield Table(
        (Text("item", "项目"), Text("reason", "理由")),
        tuple((same(one["item"]), same(one["reason"])) for one in necessity["withheld"]) or ((_NONE, Text("–", "–")),),
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
        yield Items(tuple(same(str(one.get("party", one))) if isinstance(one, Mapping) else same(one) for one in signed))
    yield Paragraph(
        Text(
            "No appraiser and no licensed firm has signed this; at least two appraisers and the firm sign an appraisal report.",
            "本文未经资产评估师签名，未加盖评估机构印章；资产评估报告须由至少两名资产评估师签名并加盖机构印章。",
        )
    )

