"""Chinese for the set phrases of a report: formulas, sources, remarks, assumptions, rules, reasons, units.

A phrase unknown here, or somebody's own words, stays as it is in both languages.
"""

import re

from valuation.statement import lending
from valuation.statement.labels import cell, term
from valuation.statement.words import Text, same

UNITS = {
    "rows": "行",
    "rows squared": "行²",
    "share": "比率",
    "years": "年",
    "days": "天",
    "index": "指数",
    "1/year": "1/年",
    "factor": "系数",
    "draws": "次",
    "distance": "距离",
    "ratio": "倍",
    "standard errors": "标准误",
    "1/root year": "1/√年",
    "coefficient": "系数",
    "yes or no": "是或否",
    "liens": "项",
    "cases": "件",
    "hours": "小时",
    "changes": "次",
    "months": "月",
    "as stated": "按申报",
    "CNY": "元",
}

_PHRASES = {  # where the Chinese has places to fill, the English is a pattern
    # formulas
    "given": "给定",
    "as stated": "按申报",
    "C * delta": "C × δ",
    "days / 365": "天数 ÷ 365",
    r"sum of costs of (\d{4}) \* price index (\d{4}) / price index (\d{4})": (
        "{0}年各项成本之和 × {1}年价格指数 ÷ {2}年价格指数"
    ),
    "sum of the years' costs at prices of the valuation year": "各年成本（按估值年价格水平）之和",
    "remaining life / (remaining life + age)": "剩余寿命 ÷（剩余寿命 + 已使用年限）",
    "alpha as used": "计价采用的 α",
    "share of life left": "剩余寿命占比",
    "alpha as used * share of life left": "计价采用的 α × 剩余寿命占比",
    "min(as stated, years until the first title document expires)": "取小：申报值、距首份权属文件到期的年数",
    "discount_rate, buildup: risk free + equity premium + size premium + specific premium": (
        "累加法：无风险报酬率 + 市场风险溢价 + 规模风险溢价 + 特有风险溢价"
    ),
    "1 - 2^(-1 / half-life)": "1 − 2^(−1 ÷ 半衰期)",
    "min(alpha as used / quality that the income counts on, 1)": "取小：计价采用的 α ÷ 收益预测所依据的质量系数、1",
    "(1-a)^(year-1) * (1 - a/2) * income of the method, grown - upkeep after tax": (
        "(1−a)^(年序−1) × (1−a/2) × 该方法的收益（含增长）− 税后维护成本"
    ),
    "the earliest year at whose end stopping is worth most; at most the years stated and the title's term": (
        "在年末停止使现值最大的最早年份；不超过申报年数和权属期限"
    ),
    r"(\w+) over the economic life": "在收益期内按 {0} 计算",
    "present value of the upkeep over the economic life, by the same timing and tax benefit": (
        "收益期内维护成本的现值，折现时点与税收摊销收益同前"
    ),
    "value before upkeep - value of the upkeep": "扣除维护成本前的价值 − 维护成本现值",
    "wara_implied_rate": "加权平均资产回报率（WARA）反推",
    "mean of the valid cells over the columns": "各列合规数的均值",
    r"mean of the valid cells over the columns ([+-]) z95 \* standard error": "各列合规数的均值 {0} z95 × 标准误",
    r"(\w+): price \* adjustments \* price index / price index of the deal / rows": (
        "{0}：成交价 × 各修正系数 × 估值年价格指数 ÷ 成交年价格指数 ÷ 行数"
    ),
    r"(\w+): effective rows \* mean of the adjusted prices weighted by 1 / \(1 \+ distance\)": (
        "{0}：有效行数 × 调整后价格的加权均值，权重为 1 ÷（1 + 差异度）"
    ),
    "market_hedonic_loglog over the adjusted prices of the deals": "对各成交调整后价格作双对数回归",
    r"(\w+), deploy, with the yield ln 2 / half-life": "{0}，看涨（投入新用途），收益率 = ln 2 ÷ 半衰期",
    r"(\w+), sell, with the yield ln 2 / half-life": "{0}，看跌（出售），收益率 = ln 2 ÷ 半衰期",
    "years to maturity / remaining life, low": "距到期年数 ÷ 剩余寿命下限",
    "max(lower value * product of (1 - haircut) - prior claims, 0)": (
        "取大：较低的估值 ×（1 − 各折扣率）之积 − 在先债权、0"
    ),
    r"smallest of ([\w, ]+) \((\w+) binds\), rounded down to the yuan": "取小：{0}（{1}起约束作用），向下取整到元",
    "min(LTV cap, highest LTV cap that the proof bears) * recognised value": "min(质押率上限, 收益证明所支持的最高质押率) × 认定价值",
    "1 - recognised value / value": "1 − 认定价值 ÷ 估值",
    "loan limit / value": "贷款限额 ÷ 估值",
    "value / carrying amount": "估值 ÷ 账面价值",
    "metric * root(sum over counts of variance * (d ln metric / d count)^2)": ("指标 × √Σ 方差 ×（∂ln 指标/∂计数）²"),
    "agreed, divided by the sum of weights": "约定值，除以权重之和",
    "exp(sum of weight * ln(metric))": "exp(Σ 权重 × ln 指标)",
    "alpha * root(sum over counts of variance * (sum over metrics of weight * d ln metric / d count)^2)": (
        "α × √Σ 方差 ×（Σ 权重 × ∂ln 指标/∂计数）²"
    ),
    r"alpha ([+-]) ([\d.]+) \* standard error of alpha, not clipped": "α {0} {1} × α 的标准误，不截断",
    "min(as measured, 1)": "取小：测得值、1",
    "sum of weight * value over the approaches": "Σ 权重 × 各方法估值",
    "standard deviation of the drawn values": "抽样值的标准差",
    "reconciliation, spread": "（最大值 − 最小值）÷ 均值",
    "reconciliation, chi2": "Σ ((估值 − 逆方差均值) ÷ 标准差)²",
    "reconciliation, inverse_variance": "Σ 估值 ÷ 方差，除以 Σ 1 ÷ 方差",
    "conclusion at drawn drivers and at drawn noise of the counts": "按抽取的驱动因素和计数噪声计算的结论",
    "|mean of the draws - mean of the distribution| / (its standard deviation / root of the draws)": (
        "|抽样均值 − 分布均值| ÷（分布标准差 ÷ √抽样次数）"
    ),
    "least over years n of (value by cost - value of n years at level 0) / what level 1 adds to it": (
        "各年数 n 中最小的（成本法估值 − 收益水平为 0 时 n 年的价值）÷ 收益水平为 1 所增加的价值"
    ),
    "people * rows of a person": "人数 × 每人行数",
    "max(rows - rows that differ, 0)": "取大：行数 − 互不相同的行数、0",
    "mean of the valid cells over the columns - rows that repeat others": "各列合规数的均值 − 重复行数",
    r"mean of the valid cells over the columns - rows that repeat others ([+-]) z95 \* standard error": (
        "各列合规数的均值 − 重复行数 {0} z95 × 标准误"
    ),
    "max(share of the largest licensee - 30 %, 0) / 70 % * 20 %": "取大：最大被许可方占比 − 30%、0，÷ 70% × 20%",
    "smallest of: 5 % of the draws, the evidence's interval": "取小：抽样 5% 分位、证据区间",
    "largest of: 95 % of the draws, the evidence's interval": "取大：抽样 95% 分位、证据区间",
    "smallest of: 5 % of the draws, the evidence's interval, the approaches, which disagree": (
        "取小：抽样 5% 分位、证据区间、（相互不一致的）各方法"
    ),
    "largest of: 95 % of the draws, the evidence's interval, the approaches, which disagree": (
        "取大：抽样 95% 分位、证据区间、（相互不一致的）各方法"
    ),
    "conclusion at these factors on its drivers, all else as stated": "驱动因素取这些系数、其余按申报时的结论",
    r"bisected to (\d+) / 2\^(\d+)": "二分法求解，精确到 {0} ÷ 2^{1}",
    # sources
    "differentially private release": "差分隐私发布",
    "release": "差分隐私发布",
    "GB/T 36344, ISO/IEC 25024: A / B": "GB/T 36344、ISO/IEC 25024：A ÷ B",
    "delta method over the independent noises of the counts": "各计数独立噪声的 delta 法",
    "independent noises of the counts": "各计数的独立噪声",
    "data asset appraisal guidance 2023 No. 17, cost approach": "《数据资产评估指导意见》（中评协〔2023〕17号）成本法",
    "data asset appraisal guidance 2023 No. 17, income approach; IVS 210": (
        "《数据资产评估指导意见》（中评协〔2023〕17号）收益法；IVS 210"
    ),
    "data asset appraisal guidance 2023 No. 17, market approach; expert guideline No. 9": (
        "《数据资产评估指导意见》（中评协〔2023〕17号）市场法；《资产评估专家指引第9号》"
    ),
    "income approach, 中评协〔2023〕17号; IVS 103": "收益法，中评协〔2023〕17号；IVS 103",
    "中评协〔2023〕17号, income approach by sharing (分成)": "中评协〔2023〕17号，收益法（分成收益预测）",
    "IVS 210, relief from royalty": "IVS 210，许可费节省法",
    "IVS 210, with-and-without; 中评协〔2023〕17号, 增量收益": "IVS 210，有无对比法；中评协〔2023〕17号，增量收益",
    "IVS 210, excess earnings; 中评协〔2023〕17号, 超额收益": "IVS 210，超额收益法；中评协〔2023〕17号，超额收益",
    "WARA reconciliation, IVS 210; Appraisal Foundation": "加权平均资产回报率（WARA）核对，IVS 210；Appraisal Foundation",
    "Black and Scholes 1973; Merton 1973": "Black 与 Scholes 1973；Merton 1973",
    "appraiser's parameter": "评估参数",
    "geometric mean of the metrics": "各指标的几何平均",
    "normal approximation, two-sided 95 %": "正态近似，双侧 95%",
    "a share cannot exceed 1; capped here and nowhere else": "比率不超过 1；仅在此处截断",
    "the weakest upstream licence bounds the life": "最弱的上游许可限定寿命",
    "quality enters the income approach here and nowhere else": "质量仅在此处进入收益法",
    "exponential decay": "指数衰减",
    "stated with the income": "随收益申报",
    "economic life: income at least its upkeep": "经济寿命：收益不低于维护成本",
    "GB/T 36344 validity, pooled": "GB/T 36344 规范性，各列合并",
    "GB/T 36344 validity, pooled, and uniqueness": "GB/T 36344 规范性（各列合并）与唯一性",
    "GB/T 36344, uniqueness": "GB/T 36344 唯一性",
    "most that the release admits of a person": "发布所容许的每人最多行数",
    "IVS 103, reconciliation; IVS 105, models": "IVS 103 结论综合；IVS 105 估值模型",
    "Birge-type consistency; IVS reconciliation": "Birge 一致性检验；IVS 结论综合",
    "mean and variance of the uniform and the triangular distribution": "均匀分布与三角分布的均值和方差",
    "lender's terms": "贷款人条款",
    "lender's terms, lien register": "贷款人条款、担保登记",
    "actual/365": "实际天数/365",
    "product rule; collateral practice of banks": "连乘规则；银行押品管理惯例",
    "disclosure against inflated collateral; an appraisal never restates the books": (
        "为防止押品高估而披露；估值不调整账面"
    ),
    "hedonic regression, Rosen 1974": "特征价格回归，Rosen 1974",
    r"seed '(.*)'": "随机种子“{0}”",
    # haircuts' reasons
    "registered title from own operations or contracts": "自有经营或合同取得并已登记的权属",
    "authorised public data": "授权运营的公共数据",
    "no record of recoveries on data exists; upper end of 20-50 %": "尚无数据资产处置回收记录；取 20%–50% 的上端",
    "share of the remaining life, at its low end, that passes by maturity": "剩余寿命（下限）中到期前消耗的比例",
    "one approach only, not reconciled with income or market": "仅用一种方法，未与收益法或市场法相互印证",
    "approaches are reconciled by judgement that no sale or recovery has tested; upper end of 10-20 %": (
        "各方法的综合依据判断，未经出售或处置检验；取 10%–20% 的上端"
    ),
    "the spread of licensees is not evidenced; middle of 0-20 %": "被许可方的分散程度无证据；取 0–20% 的中值",
    # gates
    "the owner is not an administrative or public institution": "持有人不是行政机关或事业单位",
    "the owner may process the data or operate products made of it": "持有人有权加工使用数据或经营数据产品",
    "every right is traced to the owner and lasts up to the horizon": "各项权利可追溯至持有人，且持续到权利核查截止日",
    "personal data is processed on a lawful basis": "个人信息的处理有合法性基础",
    "no claim against the asset is open": "不存在未了结的权属争议",
    "the data is refreshed on schedule and was measured within a year up to the valuation date": (
        "数据按期更新，且质量测量在评估基准日前一年之内"
    ),
    # assumptions and limiting conditions
    "highest and best lawful use, in the one scenario stated; rights as documented": (
        "合法前提下的最佳使用，且仅限所述一个应用场景；权利以文件所载为准"
    ),
    "no copy of the data is held elsewhere that was not disclosed": "不存在未披露的数据副本",
    "the data goes on being refreshed at its present cost": "数据按现有成本持续更新",
    "costs are nominal, brought to the price level of the valuation year; no terminal value, no synergy": (
        "成本为名义金额，调整到估值年价格水平；不计永续价值，不计协同效应"
    ),
    "the error of the private measurement is in the range; noises of the counts are independent": (
        "隐私测量的误差已计入区间；各计数的噪声相互独立"
    ),
    "counts are of the rows that contribution bounds admit at the owner's node": "计数针对持有人节点上贡献上限所容许的行",
    "low and high take every uncertain input at its worse or better end at once: an envelope, not a joint 95 % interval": (
        "上下限同时取各不确定输入的不利端或有利端：为包络，不是联合 95% 区间"
    ),
    "low and high hold 90 % of the draws and the 95 % interval of the measurement; drivers are drawn independently": (
        "上下限涵盖 90% 的抽样值和测量的 95% 区间；各驱动因素独立抽取"
    ),
    "low and high hold 90 % of the draws and the 95 % interval of the measurement; drivers are drawn with the correlations stated": (
        "上下限涵盖 90% 的抽样值和测量的 95% 区间；各驱动因素按所列相关系数抽取"
    ),
    "income is counted by year up to its economic life, the last year stated and the title's term, whichever comes first": (
        "收益逐年计算，至经济寿命、申报的最后一年、权属期限三者中最早者为止"
    ),
    "weights, spreads and scenarios are the appraiser's judgement, with the reasons given": (
        "权重、分布和情景为估值人员的判断，理由如所列"
    ),
    "data is not eligible collateral for regulatory capital; no capital relief follows": (
        "数据资产不是监管资本计量的合格押品；不产生资本缓释"
    ),
    "valid for one year from the valuation date at most, and only while title, quality and freshness last": (
        "自评估基准日起最长一年有效，且以权属、质量、时效保持为前提"
    ),
    # remarks
    r"delta is (\S+ %); usual are 30 % to 100 %": "δ 为 {0}；通常为 30% 至 100%",
    "quality enters through delta only; no other factor may take it up again": "质量仅通过 δ 计入一次，不得在其他因素中重复",
    "the remaining life was cut where the first title document expires": "剩余寿命在首份权属文件到期处截止",
    "alpha was measured above 1 through noise and enters the price as 1": "因噪声测得 α 大于 1，计价取 1",
    r"half the range is (\S+ %) of the value; above 20 % is concerning": "区间半宽为价值的 {0}；超过 20% 应予关注",
    "no cost was stated, so the cost method gives no value": "未申报成本，成本法无估值",
    r"facts of ([\w, ]+) were stated and are not used by the cost method": "已申报 {0} 的事实，成本法未使用",
    r"the discount rate is (\S+ %); usual are (\S+ %) to (\S+ %)": "折现率为 {0}；通常为 {1} 至 {2}",
    r"income after year (\d+) is not counted: a title document expires": "第 {0} 年之后的收益不计：权属文件到期",
    "the income does not bear its upkeep, so the income approach gives no value": "收益不足以负担维护成本，收益法无估值",
    r"income after year (\d+) is not counted: it does not bear its upkeep": (
        "第 {0} 年之后的收益不计：不足以负担维护成本"
    ),
    "the other assets leave the data a return outside one to three times the WACC": (
        "其他资产为数据留下的回报率不在 WACC 的一至三倍之内"
    ),
    r"the rate is (\S+ %), the other assets leave (\S+ %)": "折现率为 {0}，其他资产留下的回报率为 {1}",
    r"(.+) is older than two years": "{0} 距今超过两年",
    r"(.+) is adjusted by (\S+ %); usual are 70 % to 140 %": "{0} 的修正为 {1}；通常为 70% 至 140%",
    "the regression differs from the adjusted prices by more than 30 %": "回归结果与调整后价格相差超过 30%",
    r"haircut (\w+) of (\S+ %) is outside the usual (\S+ %) to (\S+ %)": "折扣率“{0}”为 {1}，不在通常的 {2} 至 {3} 之内",
    r"no (dscr|revenue) limit was stated: the limit leans on the asset alone": "未申报按{0}的限额：限额仅依据资产本身",
    "loans against data usually end within 12 months": "数据资产质押贷款通常在 12 个月内到期",
    "the total haircut is below 40 %, the Basel haircut of other physical assets": (
        "综合折扣率低于 40%（巴塞尔协议对其他实物押品的折扣率）"
    ),
    "nothing can be lent against this asset on these terms": "按此条款，该资产不能支持任何贷款",
    "the asset has no carrying amount to compare the value with": "该资产无账面价值可与估值比较",
    r"the appraised value is (\S+) times the carrying amount": "估值为账面价值的 {0} 倍",
    "a real option stands beside the value and is not in it": "实物期权列于价值之外，不计入价值",
    r"the (\w+) approach carries no weight": "{0}法不占权重",
    "one approach only: nothing checks it": "仅一种方法：无从相互印证",
    "the approaches differ by more than 30 % of their mean; the range covers them all": (
        "各方法之差超过其均值的 30%；区间涵盖全部方法"
    ),
    "no driver has a spread: the range shows the noise of the measurement only": "各驱动因素无分布：区间仅反映测量噪声",
    r"the draws of (\w+) are off their closed form; another seed or more draws help": (
        "{0}的抽样值偏离理论值；可更换随机种子或增加抽样次数"
    ),
}
_ALL = _PHRASES | lending.PHRASES
_PATTERNS = tuple((re.compile(phrase), chinese) for phrase, chinese in _ALL.items() if "{0}" in chinese)
_RATIO = re.compile(r"(?P<over>.+) / (?P<under>.+), not clipped")
_CELL = re.compile(r"(?:count\(\*\)|[a-z]+\([^()]+\))")


def phrase(english: str) -> Text:
    """The phrase in both languages; what is no set phrase stays as it is."""
    chinese = _ALL.get(english, "")
    if chinese and "{0}" not in chinese:
        return Text(english, chinese)
    for pattern, chinese in _PATTERNS:
        found = pattern.fullmatch(english)
        if found is not None:
            return Text(english, chinese.format(*(_listed(part) for part in found.groups())))
    ratio = _RATIO.fullmatch(english)
    if ratio is not None:
        spelled = _CELL.sub(lambda one: cell(one.group()), english.removesuffix(", not clipped"))
        return Text(english, f"{spelled.replace(' / ', ' ÷ ').replace(' * ', ' × ')}，不截断")
    return same(english)


def unit(english: str) -> Text:
    """The unit of a figure in both languages."""
    return Text(english, UNITS.get(english, english))


def _listed(part: str) -> str:
    return "、".join("数据收入" if word == "revenue" else term(word) for word in part.split(", "))
