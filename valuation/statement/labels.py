"""Chinese labels of a report's figures, by the key of the figure; a figure unknown here keeps its English label.

Parts of a key (an end, a driver, a year) and parts of the English label that no key holds (a kind of cost, a name somebody
stated) are put into the Chinese one; words of the trade among them are translated, names are not.
"""

import re
from typing import NamedTuple

from valuation.statement import lending
from valuation.statement.words import Text

TERMS = {
    "low": "下限",
    "central": "中值",
    "high": "上限",
    "cost": "成本",
    "income": "收益",
    "market": "市场",
    "level": "收益水平",
    "half_life": "半衰期",
    "rate": "折现率",
    "upkeep": "维护成本",
    "quality": "质量",
    "triangular": "三角",
    "uniform": "均匀",
    "completeness": "完整性",
    "validity": "规范性",
    "pre tax": "税前",
    "post tax": "税后",
    "contract": "合同",
    "forecast": "预测",
    "revenue": "收入",
    "with": "使用数据的利润",
    "without": "不使用数据的利润",
    "legal_title": "权属",
    "liquidity": "变现",
    "decay_to_maturity": "到期前衰减",
    "model_risk": "模型风险",
    "concentration": "客户集中度",
    "ltv": "质押率",
    "dscr": "偿债能力",
    "policy": "政策上限",
}
"""Words of the trade that stand in keys and labels."""

COSTS = {"pre": "前期费用", "direct": "直接成本", "indirect": "间接成本", "opportunity": "机会成本", "tax": "相关税费"}
"""Cost elements of the 2023 guidance."""

_TABLES = {
    "costs": COSTS,
    "covenant": lending.COVENANTS,
    "shock": lending.SHOCKS,
    "effect": lending.EFFECTS,
    "part": lending.PARTS,
}
_CELLS = {"filled": "{} 非空数", "valid": "{} 合规数", "sum": "{} 合计"}
_END = r"(?P<end>low|central|high)"
_DRIVER = r"(?P<driver>level|half_life|rate|upkeep|quality|cost|market)"
_APPROACH = r"(?P<approach>cost|income|market)"


class _Rule(NamedTuple):
    """Keys of one pattern, the Chinese label, and the pattern of the English label that names what the key does not."""

    key: str
    zh: str
    label: str = ""


_RULES = (
    _Rule(r"noise\.(?P<cell>.+)", "{cell}的噪声方差"),
    _Rule(r"cell\.(?P<cell>.+)", "{cell}"),
    _Rule(r"quality\.alpha", "α，综合质量系数"),
    _Rule(r"quality\.error", "α 的标准误"),
    _Rule(rf"quality\.{_END}", "α 的{end}"),
    _Rule(r"quality\.alpha\.used", "α，计价采用的质量系数"),
    _Rule(rf"quality\.{_END}\.used", "α 的{end}，计价采用"),
    _Rule(r"quality\.(?P<metric>completeness|validity)", "{metric}"),
    _Rule(r"quality\.(?P<metric>completeness|validity)\.error", "{metric}的标准误"),
    _Rule(r"quality\.(?P<column>.+)\.(?P<metric>completeness|validity)", "{column} 的{metric}"),
    _Rule(r"quality\.(?P<column>.+)\.(?P<metric>completeness|validity)\.error", "{column} 的{metric}标准误"),
    _Rule(r"weight\.(?P<metric>completeness|validity)", "{metric}的权重"),
    _Rule(rf"weight\.{_APPROACH}", "{approach}法的权重"),
    _Rule(r"cost\.(?P<year>\d{4})\.\d+", "{year}年{costs}", r"(?P<costs>\w+) cost \d{4}"),
    _Rule(r"(?:market\.)?index\.(?P<year>\d{4})", "{year}年价格指数"),
    _Rule(
        r"cost\.(?P<year>\d{4})", "{year}年成本（按{base}年价格水平）", r"cost of \d{4} at prices of (?P<base>\d{4})"
    ),
    _Rule(r"cost\.total", "C，按价格指数调整的成本"),
    _Rule(rf"life\.{_END}\.stated", "剩余经济寿命（申报），{end}"),
    _Rule(rf"life\.{_END}", "剩余经济寿命，{end}"),
    _Rule(rf"life\.{_END}\.share", "剩余寿命占比，{end}"),
    _Rule(r"life\.age", "已使用年限"),
    _Rule(r"title\.days", "距首份权属文件到期的天数"),
    _Rule(r"title\.years", "距首份权属文件到期的年数"),
    _Rule(rf"delta\.{_END}", "δ，价值调整系数，{end}"),
    _Rule(rf"value\.{_END}", "成本法估值，{end}"),
    _Rule(
        r"income\.line\.\d+", "第{year}年{kind}（{ground}）", r"(?P<kind>\w+) of year (?P<year>\d+), (?P<ground>\w+)"
    ),
    _Rule(r"income\.quality_assumed", "收益预测所依据的质量系数"),
    _Rule(rf"income\.{_END}\.quality", "质量可支撑的收益比例，{end}"),
    _Rule(r"income\.half_life", "收益半衰期"),
    _Rule(r"income\.attrition", "a，收益的年衰减率"),
    _Rule(r"income\.growth", "市场增长率"),
    _Rule(r"income\.upkeep", "每年维护成本"),
    _Rule(r"income\.tax", "税率"),
    _Rule(r"income\.rate\.risk_free", "无风险报酬率"),
    _Rule(r"income\.rate\.equity_premium", "市场风险溢价"),
    _Rule(r"income\.rate\.size_premium", "规模风险溢价"),
    _Rule(r"income\.rate\.specific_premium", "数据资产特有风险溢价"),
    _Rule(r"income\.rate", "折现率（{basis}）", r"discount rate, (?P<basis>.+)"),
    _Rule(rf"income\.{_END}\.flow\.(?P<year>\d+)", "第{year}年扣除维护成本后的收益，{end}"),
    _Rule(rf"income\.{_END}\.life", "收益期（经济寿命），{end}"),
    _Rule(rf"income\.{_END}\.gross", "扣除维护成本前的价值，{end}"),
    _Rule(rf"income\.{_END}\.upkeep", "维护成本现值，{end}"),
    _Rule(rf"income\.{_END}", "收益法估值，{end}"),
    _Rule(r"income\.claim\.low", "分成率下限"),
    _Rule(r"income\.claim\.high", "分成率上限"),
    _Rule(r"income\.claim\.score", "分成率综合评分"),
    _Rule(r"income\.claim\.royalty", "许可费率"),
    _Rule(r"income\.claim\.tab_years", "税收摊销收益的年限"),
    _Rule(r"income\.charge\.\d+\.value", "{name}的价值", r"value of (?P<name>.+)"),
    _Rule(r"income\.charge\.\d+\.rate", "{name}的要求回报率", r"required return on (?P<name>.+)"),
    _Rule(r"income\.term", "距首份权属文件到期的整年数"),
    _Rule(
        r"income\.wara\.\d+", "{name}的价值，回报率 {share}", r"value of (?P<name>.+), earning (?P<share>-?\d+\.\d %)"
    ),
    _Rule(r"income\.wacc", "加权平均资本成本（WACC）"),
    _Rule(r"income\.wara", "企业其他资产为数据资产留下的隐含回报率"),
    _Rule(r"market\.(?P<cell>[a-z]+\(.+\))", "计数：{cell}"),
    _Rule(r"market\.rows\.error", "有效行数的标准误"),
    _Rule(rf"market\.rows\.{_END}", "有效行数，{end}"),
    _Rule(r"market\.deal\.\d+\.price", "{name}的成交价", r"price of (?P<name>.+)"),
    _Rule(r"market\.deal\.\d+\.rows", "{name}的有效行数", r"effective rows of (?P<name>.+)"),
    _Rule(r"market\.deal\.\d+\.adjustment\.\d+", "修正系数：{name}", r"(?P<name>.+)"),
    _Rule(r"market\.deal\.\d+\.dissimilarity", "{name}与标的的差异度", r"distance of (?P<name>.+) to the subject"),
    _Rule(r"market\.deal\.\d+", "每行调整后价格，{name}", r"adjusted price of a row, (?P<name>.+)"),
    _Rule(rf"market\.{_END}", "市场法估值，{end}"),
    _Rule(r"market\.hedonic", "按行数回归的价格中位数"),
    _Rule(r"conclusion\.central", "估值结论（加权）"),
    _Rule(rf"conclusion\.evidence\.{_END}", "估值结论，质量证据取{end}"),
    _Rule(r"conclusion\.low", "价值区间下限"),
    _Rule(r"conclusion\.high", "价值区间上限"),
    _Rule(rf"spread\.{_DRIVER}\.{_END}", "{driver}系数，{shape}分布，{end}", r"factor on \w+, (?P<shape>\w+), \w+"),
    _Rule(rf"spread\.{_APPROACH}", "{approach}法抽样值的标准差"),
    _Rule(r"consistency\.spread", "各方法最大值减最小值与均值之比"),
    _Rule(r"consistency\.chi2", "各方法的卡方统计量，自由度 {degrees}", r".+, (?P<degrees>\d+) degrees of freedom"),
    _Rule(r"consistency\.inverse_variance", "各方法的逆方差加权均值，仅供比较"),
    _Rule(r"draws", "抽样次数"),
    _Rule(r"draws\.p5", "5% 的抽样值低于此数"),
    _Rule(r"draws\.p50", "半数抽样值低于此数"),
    _Rule(r"draws\.p95", "95% 的抽样值低于此数"),
    _Rule(r"draws\.mean", "抽样值的均值"),
    _Rule(r"draws\.error", "抽样均值的标准误"),
    _Rule(rf"draws\.check\.{_DRIVER}", "{driver}系数抽样均值与理论值之差（标准误的倍数）"),
    _Rule(rf"tornado\.{_DRIVER}\.{_END}", "{driver}取{end}时的价值"),
    _Rule(rf"scenario\.\d+\.{_DRIVER}", "{driver}系数：{name}", r"factor on \w+: (?P<name>.+)"),
    _Rule(r"scenario\.\d+", "情景价值：{name}", r"value in the scenario: (?P<name>.+)"),
    _Rule(r"break_even\.level", "使收益法达到成本法的收益水平系数"),
    _Rule(rf"correlation\.{_DRIVER}\.{_DRIVER.replace('driver', 'other')}", "{driver}与{other}的相关系数（正态分数）"),
    _Rule(r"repeats\.grain", "每人行数"),
    _Rule(r"repeats\.distinct", "互不相同的行数（至多）"),
    _Rule(r"repeats\.surplus", "重复行数（至少）"),
    _Rule(r"licensees\.top", "最大被许可方占比"),
    _Rule(r"covenant\.(?P<covenant>\w+)\.threshold", "约定阈值：{covenant}"),
    _Rule(r"covenant\.(?P<covenant>\w+)\.headroom", "余量：{covenant}"),
    _Rule(r"covenant\.(?P<covenant>\w+)", "实测：{covenant}"),
    _Rule(
        r"schedule\.(?P<year>\d+)\.(?P<part>\w+)", "第{year}期{part}（{due}）", r".+, due (?P<due>\d{4}-\d{2}-\d{2})"
    ),
    _Rule(r"stress\.reverse", "出现缺口的最小冲击比例：{name}", r"[^:]+: (?P<name>.+)"),
    _Rule(r"stress\.(?P<shock>\w+)\.(?P<effect>\w+)", "{effect}：{shock}"),
    _Rule(r"haircut\.(?P<haircut>\w+)", "折扣率：{haircut}"),
    _Rule(r"tenor\.days", "距贷款到期的天数"),
    _Rule(r"tenor\.years", "距贷款到期的年数"),
    _Rule(r"liens\.prior", "在先登记的债权"),
    _Rule(r"pledge\.recognised", "RV，认定价值"),
    _Rule(r"pledge\.ltv_cap", "质押率上限（对认定价值）"),
    _Rule(r"limit\.revenue", "按数据收入的限额"),
    _Rule(r"limit\.(?P<constraint>ltv|dscr|policy)", "按{constraint}的限额"),
    _Rule(r"pledge\.limit", "贷款限额"),
    _Rule(r"pledge\.total_haircut", "相对估值的综合折扣率"),
    _Rule(r"pledge\.ltv", "贷款限额与估值之比"),
    _Rule(r"book\.value", "账面价值"),
    _Rule(r"pledge\.value_to_book", "估值与账面价值之比"),
    _Rule(r"option", "实物期权（列于价值之外，不计入价值）：{name}", r"[^:]+: (?P<name>.+)"),
    _Rule(r"option\.worth", "期权：用途的现值"),
    _Rule(r"option\.strike", "期权：投入成本或售价"),
    _Rule(r"option\.half_life", "期权：半衰期"),
    _Rule(r"option\.risk_free", "期权：无风险利率（连续复利）"),
    _Rule(r"option\.volatility", "期权：波动率"),
    _Rule(r"option\.years", "期权：期限"),
)
_COMPILED = tuple((re.compile(rule.key), rule.zh, re.compile(rule.label, re.DOTALL)) for rule in _RULES)


def cell(name: str) -> str:
    """Chinese for a counted cell such as ``filled(balance)``."""
    if name == "count(*)":
        return "记录总数"
    kind, _, column = name.rstrip(")").partition("(")
    return _CELLS[kind].format(column) if kind in _CELLS and column else name


def label(key: str, english: str) -> Text:
    """The label of a figure in both languages; where no rule knows the key, the English one twice."""
    if key in lending.NAMED:
        return Text(english, lending.NAMED[key])
    for pattern, chinese, stated in _COMPILED:
        found, named = pattern.fullmatch(key), stated.fullmatch(english) if stated.pattern else None
        if found is None or (stated.pattern and named is None):
            continue
        parts = found.groupdict() | (named.groupdict() if named else {})
        return Text(english, chinese.format(**{name: _part(name, text) for name, text in parts.items()}))
    return Text(english, english)


def term(word: str) -> str:
    """Chinese for a word of the trade; the word itself if it is none."""
    return TERMS.get(word, word)


def _part(name: str, text: str) -> str:
    match name:
        case "name" | "column":
            return text  # somebody's own words
        case "cell":
            return cell(text)
        case "costs" | "covenant" | "shock" | "effect" | "part":
            return _TABLES[name].get(text, text)
        case _:
            return term(text)
