"""The twelve sections of a credit committee's page, each read off a report: rows, tables, bars, nothing computed."""

from collections.abc import Callable, Iterable
from datetime import date
from decimal import Decimal
from typing import Any, NamedTuple

from valuation import exact
from valuation.covenant import RULES
from valuation.days import later
from valuation.shown import ABSENT, Figures, three

RED_FLAG = "Red flag"
"""Label of what must be answered before lending."""

TORNADO = 5
"""Drivers shown, the widest first."""

_KINDS = {
    "annuity": "level payments 等额本息", "equal_principal": "equal principal 等额本金", "bullet": "at maturity 到期还本",
    "ltv_constant": "constant LTV 恒定质押率", "dscr_sculpted": "sculpted to cash flow 按现金流",
}  # fmt: skip
_BINDING = {"ltv": "LTV", "dscr": "DSCR", "revenue": "revenue 收入", "policy": "policy 政策"}


class Row(NamedTuple):
    """A line of a section: label in both languages, text, key of the figure behind it."""

    en: str
    zh: str
    shown: str
    figure: str | None = None


class Source(NamedTuple):
    """What every section reads."""

    inputs: dict[str, Any]
    conclusion: dict[str, Any]
    remarks: list[dict[str, str]]
    document: dict[str, Any]
    figures: Figures

    @property
    def loan(self) -> dict[str, Any]:
        """What the report concludes on the loan."""
        found: dict[str, Any] = self.conclusion["loan"]
        return found

    @property
    def terms(self) -> dict[str, Any]:
        """What the lender planned."""
        found: dict[str, Any] = self.inputs["terms"]["loan"]
        return found


def _ask(source: Source) -> Iterable[Any]:
    terms, figures = source.terms, source.figures
    yield Row("Borrower", "借款人", terms["borrower"])
    yield Row("Lender", "贷款人", source.inputs["terms"]["lender"])
    asked = source.loan["asked"]
    yield Row("Asked for", "申请金额", "the whole limit" if asked is None else figures.money(asked), asked)
    yield Row("Quoted", "报价金额", figures.money(source.loan["amount"]), source.loan["amount"])
    yield Row("Use", "用途", terms["use"])
    span = f"{terms['drawn']} to {source.inputs['terms']['maturity']}"
    yield Row("Tenor", "期限", span, source.loan["tenor"]["days"])
    yield Row("Rate", "利率", f"{figures.rate('loan.rate')}, {terms['basis']}", "loan.rate")
    payments = source.loan["payments"]
    every = f"{_KINDS[terms['kind']]}, {len(payments)} payments, every {terms['months']} months"
    yield Row("Repayment", "还款", every)
    yield Row("Total interest", "利息合计", figures.money("schedule.interest"), "schedule.interest")


def _decision(source: Source) -> Iterable[Any]:
    figures, loan = source.figures, source.loan
    flags = [remark["text"] for remark in source.remarks if remark["code"].startswith("red-flag")]
    for text in flags:
        yield Row(RED_FLAG, "红旗", text)
    if not flags:
        yield Row("Red flags", "红旗", "none")
    binding = _BINDING[source.conclusion["binding"]]
    yield Row(
        "Limit",
        "授信上限",
        f"{figures.money(source.conclusion['limit'])}, set by {binding}",
        source.conclusion["limit"],
    )
    yield Row(
        "Recognised value", "认定价值", figures.about(source.conclusion["recognised"]), source.conclusion["recognised"]
    )
    yield Row("Loan to value", "贷款/评估值", figures.percent("loan.to_value"), "loan.to_value")
    cap = exact.percent(figures.value("pledge.ltv_cap") or Decimal(0))
    yield Row("Loan to recognised value", "贷款/认定价值", f"{figures.percent('loan.ltv')}, cap {cap}", "loan.ltv")
    yield Row("LTV by quantile, on value", "分位数质押率", figures.percent(loan["ltv_max"]), loan["ltv_max"])
    cover = f"{figures.times(loan['cover'])}, target {source.terms['dscr_target']}"
    yield Row("Least DSCR", "最低偿债备付率", cover, loan["cover"])
    yield Row(
        "RAROC", "风险调整收益", f"{figures.rate(loan['raroc'])}, hurdle {figures.rate(loan['hurdle'])}", loan["raroc"]
    )
    yield Row(
        "Floor rate", "最低利率", f"{figures.rate(loan['floor'])}, offered {figures.rate('loan.rate')}", loan["floor"]
    )
    yield Row("Expected loss of a year", "年预期损失", figures.about(loan["expected_loss"]), loan["expected_loss"])
    loss = f"{figures.percent(loan['lgd'])}, without floor {figures.percent(loan['economic_lgd'])}"
    yield Row("LGD", "违约损失率", loss, loan["lgd"])
    yield {
        "head": ["haircut 折扣", "share 比例", "why 理由"],
        "rows": [
            [name.replace("_", " "), figures.percent(f"haircut.{name}"), cut["reason"]]
            for name, cut in source.conclusion["haircuts"].items()
        ],
    }


def _value(source: Source) -> Iterable[Any]:
    figures, ends = source.figures, source.conclusion
    shown = f"{figures.about(ends['central'])} ({figures.about(ends['low'])} to {figures.about(ends['high'])})"
    yield Row("Value, with its range", "评估值及区间", shown, ends["central"])
    yield Row("Taken by its error", "误差扣减", figures.percent("pledge.error_share"), "pledge.error_share")
    yield Row(
        "Value to carrying amount", "评估值/账面值", figures.times("pledge.value_to_book"), "pledge.value_to_book"
    )
    yield Row(
        "Value to a year's data revenue",
        "评估值/年数据收入",
        figures.times("loan.value_to_revenue"),
        "loan.value_to_revenue",
    )
    found = {
        "by cost 成本法": "value.central",
        "by income 收益法": "income.central",
        "by market 市场法": "market.central",
    }
    values = {label: figures.value(key) for label, key in found.items()}
    known = {label: value for label, value in values.items() if value is not None}
    most = max(known.values(), default=None)
    for label, value in known.items():
        share = value / most if most else value
        yield {"label": label, "share": f"{share:.3f}", "shown": three(value)}


def _title(source: Source) -> Iterable[Any]:
    facts, asset = source.inputs["facts"], source.inputs["asset"]
    legal = facts["legal"]
    held = ", ".join(name for name, holds in asset["rights"].items() if holds)
    yield Row("Rights held", "持有权利", held)
    yield Row(
        "Gates passed", "准入", f"{len(source.document['gates'])} of {len(source.document['gates'])}; none may fail"
    )
    yield Row("Chain of title", "权属链", f"{len(legal['title'])} documents, every one leads to the owner")
    ends = min((link["expires"] for link in legal["title"] if link["expires"] is not None), default=None)
    yield Row(
        "First document expires",
        "最早到期",
        ends or f"none; checked up to {facts['horizon']}",
        "covenant.rights_margin",
    )
    basis = "none" if not legal["personal_data"] else f"yes, basis: {legal['lawful_basis']['kind']}"
    yield Row("Personal data", "个人信息", basis)
    yield Row("Prudent end of the loan", "审慎期限", f"{source.figures.plain(source.loan['tenor']['prudent'])} days, set by "
               f"{source.loan['tenor']['binding']}", source.loan["tenor"]["prudent"])  # fmt: skip


def _quality(source: Source) -> Iterable[Any]:
    figures = source.figures
    for name, zh in (("completeness", "完整性"), ("validity", "规范性")):
        key = f"quality.{name}"
        value, error = figures.value(key), figures.value(f"{key}.error")
        shown = ABSENT["en"]
        if value is not None and error is not None:
            shown = f"{exact.percent(value)}, standard error {exact.percent(error)}"
        yield Row(name.capitalize(), zh, shown, key)
    yield Row("Combined, lower end", "综合下限", figures.percent("quality.low"), "quality.low")
    yield Row("Accuracy, consistency, duplicates", "准确性、一致性、唯一性", ABSENT["en"])
    yield Row("Rows, as measured", "行数", figures.about("cell.count(*)"), "cell.count(*)")
    legal = source.inputs["facts"]["legal"]
    yield Row(
        "Refreshed",
        "更新",
        f"{legal['refreshed']['on']}, due every {legal['refresh_days']} days",
        "covenant.refresh_age",
    )
    yield Row(
        "Privacy budget in reserve",
        "隐私预算储备",
        figures.percent("covenant.budget_reserve"),
        "covenant.budget_reserve",
    )


def _uniqueness(source: Source) -> Iterable[Any]:
    yield Row("Cost to build it again", "重置成本", source.figures.about("cost.total"), "cost.total")
    yield Row("Share that nobody else holds", "独占比例", ABSENT["en"])
    yield Row("Substitutes", "替代品", ABSENT["en"])


def _income(source: Source) -> Iterable[Any]:
    figures, terms = source.figures, source.terms
    income = source.inputs["facts"].get("income")
    lines = [] if income is None else [line for line in income["lines"] if line["ground"] == "contract"]
    share = ABSENT["en"] if income is None else f"{len(lines)} of {len(income['lines'])} amounts are under contract"
    yield Row("Contracts", "合同", share)
    served = "stated by the borrower" if terms["cash"] is not None else "income of the appraisal, low end"
    yield Row(
        "Cash for debt service",
        "偿债现金流",
        ABSENT["en"] if source.loan["cover"] is None else served,
        source.loan["cover"],
    )
    yield Row("Loan that the cash serves", "现金流可承担", figures.about("limit.dscr.cash"), "limit.dscr.cash")
    yield Row("Largest licensee", "最大被许可人", figures.percent("licensees.top"), "licensees.top")
    yield Row(
        "Concentration (HHI)",
        "集中度",
        figures.times("covenant.licensee_hhi").removesuffix(" ×"),
        "covenant.licensee_hhi",
    )
    yield Row("Metered usage", "计量使用", ABSENT["en"])


def _downside(source: Source) -> Iterable[Any]:
    figures, loan = source.figures, source.loan
    yield {
        "head": ["shock 情形", "LTV", "DSCR", "shortfall 缺口", "state 状态"],
        "rows": [
            [
                row["label"],
                figures.percent(row["ltv"]) if row["ltv"] else "no value left",
                figures.times(row["dscr"]),
                figures.about(row["shortfall"]),
                row["state"].replace("_", " "),
            ]
            for row in loan["stresses"]
        ],
    }
    yield Row("Fall of the value that leaves a shortfall", "单独跌幅临界", figures.percent(loan["drop"]), loan["drop"])
    reverse = "none, even in full" if loan["reverse"] is None else figures.percent(loan["reverse"])
    name = source.document["parameters"]["lending"]["reversed"]
    yield Row(f"Least share of a {name} that leaves one", "反向压力", reverse, loan["reverse"])
    yield Row("State", "状态", "of the LTV on recognised value, by the bands of section 11")
    ends = [key for key in figures.keys("tornado.") if key.endswith(".low")][:TORNADO]
    for key in ends:
        high = f"{key.removesuffix('.low')}.high"
        label = key.removeprefix("tornado.").removesuffix(".low").replace("_", " ")
        yield Row(f"Value as {label} varies", "敏感性", f"{figures.about(key)} to {figures.about(high)}", key)


def _lien(source: Source) -> Iterable[Any]:
    figures = source.figures
    yield Row("Claims registered before", "在先债权", figures.money("liens.prior"), "liens.prior")
    yield Row("Other live liens", "其他质押", figures.plain("covenant.other_liens"), "covenant.other_liens")
    yield Row(
        "Register number, rank, search for near-copies",
        "登记号、顺位、查重",
        "on the lien certificate, once registered",
    )


def _exit(source: Source) -> Iterable[Any]:
    figures, loan = source.figures, source.loan
    yield Row("Expected recovery", "预期回收", figures.about(loan["recovery"]), loan["recovery"])
    yield Row("Discount of a forced sale", "变现折扣", figures.percent("risk.liquidation"), "risk.liquidation")
    yield Row("Cost of realisation", "处置费用", figures.percent("risk.cost"), "risk.cost")
    years = figures.plain("risk.workout")
    yield Row("Years of the workout", "处置年限", years, "risk.workout")
    tested = "covenant.escrow_test"
    yield Row("Days since the escrow test", "托管测试", figures.plain(tested), tested)


def _unit(name: str) -> str:
    """The unit of a covenant behind its threshold, where it is a time."""
    unit = RULES[name].unit
    return f" {unit}" if unit in {"days", "hours"} else ""


def _covenants(source: Source) -> Iterable[Any]:
    figures = source.figures
    yield {
        "head": ["covenant 约定", "threshold 阈值", "today 当前", "headroom 余量", "kept 达标"],
        "rows": [
            [
                RULES[test["name"]].label,
                f"{'≥' if RULES[test['name']].least else '≤'} {figures.plain(test['threshold'])}{_unit(test['name'])}",
                figures.about(test["measured"]),
                figures.about(test["headroom"]),
                "yes" if test["kept"] else "no",
            ]
            for test in source.loan["covenants"]
            if test["measured"]
        ],
    }
    silent = [RULES[test["name"]].label for test in source.loan["covenants"] if not test["measured"]]
    if silent:
        yield Row("To be shown before money moves", "放款前提", "; ".join(silent))
    margin = source.loan["margin"]
    bands = " / ".join(figures.percent(margin[name]) for name in ("warning", "call", "liquidation"))
    yield Row("Warning / call / liquidation, LTV on recognised value", "预警/追加/处置线", bands, margin["call"])
    days = f"{source.terms['bands']['cure_days']} business days, back to {figures.percent(margin['initial'])}"
    yield Row("Cure", "补足", days, margin["initial"])
    fall = f"{figures.percent(margin['drop_to_call'])}, at {figures.about(margin['value_at_call'])}"
    yield Row("Fall up to a call", "距追加跌幅", fall, margin["drop_to_call"])


def _model(source: Source) -> Iterable[Any]:
    method = source.inputs["method"]
    yield Row("Method", "方法", f"{method['name']}; valid until {later(date.fromisoformat(method['on']), 12)} at most")
    yield Row("Code", "程序版本", source.document["code"])
    yield Row("Report", "报告摘要", source.document["digest"])
    withheld = source.inputs["necessity"]["withheld"]
    yield Row("Withheld from the lender", "未开放项", ", ".join(item["item"] for item in withheld) or "nothing")
    told = {"haircut-unusual", "haircut-low", "tenor-unusual", "stress-shortfall", "approaches-disagree"}
    for remark in source.remarks:
        if remark["code"] in told:
            yield Row("Remark", "提示", remark["text"])
    for en, zh in (("Credit officer", "客户经理"), ("Second approver", "复核人"), ("Dissent", "不同意见")):
        yield Row(en, zh, "")


SECTIONS: tuple[tuple[str, str, Callable[[Source], Iterable[Any]]], ...] = (
    ("Ask", "申请", _ask),
    ("Decision", "结论", _decision),
    ("Value", "价值", _value),
    ("Title", "权属", _title),
    ("Quality", "质量", _quality),
    ("Uniqueness", "独特性", _uniqueness),
    ("Income", "收益证明", _income),
    ("Downside", "压力情形", _downside),
    ("Lien", "质押登记", _lien),
    ("Exit", "处置", _exit),
    ("Covenants and triggers", "约定与触发", _covenants),
    ("Model and signatures", "模型与签字", _model),
)
"""Title in both languages and content of each section, in the order of the page."""
