"""How the value was found and what it rests on: methods, procedure, conclusion, and the tables and pictures that show it."""

from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any

from valuation.statement.amounts import money, number, share
from valuation.statement.blocks import Block, Paragraph, Table
from valuation.statement.charts import pictures
from valuation.statement.labels import term
from valuation.statement.phrases import phrase
from valuation.statement.reading import Figure, Reading
from valuation.statement.summary import BINDING
from valuation.statement.words import Text, same

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
_GATES = {
    "legal_form": "主体性质",
    "rights": "权利",
    "title": "权属链",
    "lawful_basis": "合法性基础",
    "dispute": "争议",
    "freshness": "时效",
}
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


def methods(reading: Reading) -> Iterator[Block]:
    """Methods, why and with which weight, their formulas."""
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
    formulas: dict[tuple[Text, ...], None] = {
        (figure.label, phrase(figure.formula)): None for figure in _leading(reading) if not figure.is_given
    }
    yield Table((Text("figure", "数字"), Text("formula", "公式")), tuple(formulas), "ll", (4, 7))
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
        if leads and not {"low", "high", "evidence"} & set(parts[:-1]) and parts[-1] != "error":
            if parts[-1] in {"low", "high"} and parts[0] != "conclusion":
                continue
            if len(parts) > 2 and parts[0] == "quality" and parts[-1] != "used":
                continue
            if "flow" in parts and parts[-1] != "1":
                continue
            yield figure


def procedure(reading: Reading) -> Iterator[Block]:
    """What was done, in order; the quality that was found."""
    method = reading.inputs["method"]
    measured = [item["on"] for item in reading.inputs["evidence"]["measured"]]
    yield Paragraph(Text("1. Gates before any price:", "1. 计价之前的准入审查："))
    yield Table(
        (Text("gate", "审查项"), Text("rule, found to hold", "规则（均已满足）"), Text("documents", "文件数")),
        tuple(
            (
                Text(gate["gate"].replace("_", " "), _GATES.get(gate["gate"], gate["gate"])),
                phrase(gate["rule"]),
                same(len(gate["documents"])),
            )
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


def conclusion(reading: Reading) -> Iterator[Block]:
    """The conclusion, what it rests on and what moves it."""
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


def _short(figure: Figure, currency: str) -> Text:
    if figure.is_money:
        return money(figure.amount, currency)
    return same(share(figure.amount) if figure.unit in {"share", "1/year"} else number(figure.amount))


def _cents(figure: Figure) -> str:
    """An amount in full to two decimals; all its digits stand in the annex."""
    return f"{figure.amount:,.2f}"
