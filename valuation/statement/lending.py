"""Chinese for a planned loan: its price, schedule, covenants, margins and stresses, by the key of the figure."""

NAMED = {
    "loan.asked": "申请金额",
    "loan.amount": "贷款金额",
    "loan.rate": "报价利率（实际天数/360）",
    "loan.dscr_target": "偿债覆盖率目标",
    "loan.revenue": "过去一年的数据收入",
    "loan.revenue.multiple": "年度数据收入的倍数",
    "loan.ltv": "贷款与认定价值之比",
    "loan.cover": "各期最低偿债覆盖率",
    "loan.to_value": "贷款与估值之比",
    "loan.value_to_revenue": "估值与年度数据收入之比",
    "limit.dscr.cash": "现金流可偿付的贷款",
    "limit.revenue.year": "按年度数据收入的限额",
    "risk.pd": "年违约概率",
    "risk.distress": "借款人违约时的价值损失",
    "risk.half_life": "价值半衰期",
    "risk.liquidation": "处置折扣",
    "risk.cost": "处置费用率",
    "risk.workout": "处置年限",
    "risk.lgd_floor": "违约损失率下限",
    "risk.drift": "价值漂移率",
    "risk.sigma": "价值波动率",
    "risk.confidence": "分位数质押率的置信度",
    "price.value": "违约时的价值",
    "price.recovery": "数据资产的回收额",
    "price.lgd.economic": "未设下限的违约损失率",
    "price.lgd": "LGD，违约损失率",
    "price.el": "EL，年预期损失",
    "price.capital.unsecured": "无担保贷款的资本要求",
    "price.ftp": "FTP，资金成本",
    "price.opex": "运营成本",
    "price.hurdle": "资本回报率要求",
    "price.risk_free": "无风险利率",
    "price.tax": "贷款人税率",
    "price.floor": "利率下限",
    "price.raroc": "RAROC（税后）",
    "price.ltv_max": "按分位数的最高质押率",
    "tenor.end.life": "至经济寿命终止前 12 个月的天数",
    "tenor.end.rights": "至首份权属文件到期前 6 个月的天数",
    "tenor.end.contract": "至最长合同终止天数的一半",
    "tenor.end.policy": "政策最长期限的天数",
    "tenor.contract": "至最长数据合同（或最后一个合同年度）终止的天数",
    "tenor.prudent": "审慎期限（天）",
    "schedule.interest": "全部利息",
    "margin.initial": "质押率（对认定价值）：补足后应恢复至",
    "margin.release": "质押率（对认定价值）：低于此数解除预警",
    "margin.warning": "质押率（对认定价值）：预警线",
    "margin.call": "质押率（对认定价值）：补仓线",
    "margin.liquidation": "质押率（对认定价值）：处置线",
    "margin.value_at_call": "触发补仓的认定价值",
    "margin.drop_to_call": "触发补仓的认定价值跌幅",
    "stress.months": "压力情景的考察月数",
    "stress.income": "前十二个月的现金流",
    "stress.drop": "仅价值下跌时出现缺口的跌幅",
    "pledge.error_share": "误差占估值的比例",
    "pledge.ltv_most": "收益证明程度所容许的最高质押率",
}
"""Figures whose key says all."""

COVENANTS = {
    "quality": "综合质量系数下端",
    "refresh_age": "距最近更新的天数",
    "refresh_in_time": "按时更新率",
    "volume": "数据量相对放款时",
    "rights_margin": "权利超出贷款期限的天数",
    "ltv": "余额与认定价值之比",
    "dscr": "各期最低偿债覆盖率",
    "licensee_hhi": "被许可方集中度（HHI）",
    "book_disclosed": "已披露估值与账面价值之比",
    "other_liens": "其他有效担保",
    "transfers": "未经同意的转让与独占许可",
    "violations": "违反数据出境或个人信息规定",
    "budget_reserve": "为处置时买方保留的隐私预算",
    "escrow_age": "托管副本的时龄",
    "escrow_test": "距上次托管副本开启测试的天数",
    "insurance": "保险剩余有效天数",
    "engine_changes": "未通知的策略引擎变更",
}

SHOCKS = {
    "none": "无冲击，仅时间推移",
    "rival": "免费竞品出现",
    "ban": "用途被禁或同意被撤回",
    "leak": "数据泄露",
    "licensee": "最大被许可方流失",
    "refresh": "停止更新",
    "quality": "质量低 5 个标准误",
    "operator": "运营方停摆，30 天无法访问",
}

EFFECTS = {
    "value": "价值损失",
    "half_life": "半衰期系数",
    "half_life_cap": "半衰期上限",
    "income": "收益损失",
    "rate": "利率上升",
    "liquidation": "处置折扣",
    "ltv": "质押率",
    "dscr": "利息偿付覆盖率",
    "shortfall": "缺口",
}

PARTS = {"interest": "利息", "principal": "本金", "balance": "偿付后余额"}

PHRASES = {
    "share of the largest licensee": "最大被许可方占比",
    "sum over periods of cash / DSCR target, discounted at the rate of the loan, ACT/360": (
        "Σ 各期现金流 ÷ 偿债覆盖率目标，按贷款利率折现（实际天数/360）"
    ),
    "project-finance practice: cash flow over debt service": "项目融资惯例：现金流与偿债额之比",
    "multiple * data revenue of the past year": "倍数 × 过去一年的数据收入",
    "revenue cap of the lender": "贷款人的收入上限",
    "smaller of amount asked for and loan limit, rounded down to the yuan": "取小：申请金额、贷款限额，向下取整到元",
    "product rule": "连乘规则",
    "lower value * (1 - distress) * 2^(-years to maturity / half-life)": (
        "较低的估值 ×（1 − 违约时损失）× 2^(−距到期年数 ÷ 半衰期)"
    ),
    "default at maturity, by a borrower whose business the data is": "假定以该数据为业的借款人在到期时违约",
    "min(amount, value at default * (1 - liquidation) * (1 - cost) / (1 + rate)^workout - prior claims), 0 at least": (
        "取小：金额、违约时的价值 ×（1 − 处置折扣）×（1 − 费用率）÷（1 + 利率）^处置年限 − 在先债权；不低于 0"
    ),
    "workout LGD; no floor is applied here": "清收法违约损失率；此处未设下限",
    "1 - recovery / amount": "1 − 回收额 ÷ 金额",
    "max(LGD without a floor, floor)": "取大：未设下限的违约损失率、下限",
    "no record of recoveries on data exists": "尚无数据资产处置回收记录",
    "amount * default probability * LGD": "金额 × 违约概率 × 违约损失率",
    "EL and RAROC practice": "预期损失与 RAROC 惯例",
    "irb_capital at LGD 40 %, maturity of 1 year at least; data relieves no capital": (
        "irb_capital，违约损失率 40%，期限不低于 1 年；数据资产不产生资本缓释"
    ),
    "Basel Framework CRE31": "巴塞尔框架 CRE31",
    "FTP + opex + default probability * LGD + capital * (hurdle / (1 - tax) - risk free)": (
        "资金成本 + 运营成本 + 违约概率 × 违约损失率 + 资本 ×（回报要求 ÷（1 − 税率）− 无风险利率）"
    ),
    "(rate - FTP - opex - default probability * LGD + capital * risk free) * (1 - tax) / capital": (
        "（利率 − 资金成本 − 运营成本 − 违约概率 × 违约损失率 + 资本 × 无风险利率）×（1 − 税率）÷ 资本"
    ),
    "ltv_from_quantile: a sale at maturity repays loan and interest at this confidence": (
        "ltv_from_quantile：到期处置以该置信度清偿本息"
    ),
    "lognormal quantile": "对数正态分位数",
    r"remaining life, low \* (\d+) - (\d+), whole days": "剩余寿命下限 × {0} − {1}，取整天数",
    r"product rule: life less (\d+) months, rights less (\d+) months, half of the longest contract, (\d+) months": (
        "产品规则：寿命减 {0} 个月、权利减 {1} 个月、最长合同之半、{2} 个月"
    ),
    "days of the longest contract / 2, whole days": "最长合同天数 ÷ 2，取整天数",
    r"smallest of ([\w, ]+) \((\w+) binds\)": "取小：{0}（{1}起约束作用）",
    r"balance before \* rate \* (\d+) / 360, half-even to the cent": "前期余额 × 利率 × {0} ÷ 360，银行家舍入到分",
    "loan mathematics": "贷款算术",
    "by the schedule, whole cents; the last one takes what is left": "按还款计划，取整到分；末期清偿余额",
    "balance before - principal": "前期余额 − 本金",
    "sum of the interest of every payment": "各期利息之和",
    "measured - threshold": "测得值 − 阈值",
    "threshold - measured": "阈值 − 测得值",
    "amount of the loan / RV, recognised value": "贷款金额 ÷ 认定价值",
    r"cash of the period / \(interest \+ principal\), smallest: payment (\d+)": "当期现金流 ÷（利息 + 本金），最小：第{0}期",
    "amount / call": "金额 ÷ 补仓线",
    "1 - value at call / recognised value": "1 − 触发补仓的价值 ÷ 认定价值",
    "cash by day over twelve months from the drawdown": "自放款日起十二个月按日计的现金流",
    "loan / value under the shock": "贷款 ÷ 冲击后的价值",
    "named stresses of the product; the desk's stress_scenarios": "本产品的命名压力情景；公式库 stress_scenarios",
    "cash of a year * (1 - income lost) / (loan * (rate + rise))": "年现金流 ×（1 − 收益损失）÷（贷款 ×（利率 + 上升））",
    "max(loan - max(value * (1 - value lost) * 2^(-months / (12 half-life)) * (1 - discount) - prior, 0), 0)": (
        "取大：贷款 − 取大（价值 ×（1 − 价值损失）× 2^(−月数 ÷ (12 × 半衰期)) ×（1 − 折扣）− 在先债权、0）、0"
    ),
    "1 - (loan + prior) / (value * 2^(-months / (12 half-life)) * (1 - discount))": (
        "1 −（贷款 + 在先债权）÷（价值 × 2^(−月数 ÷ (12 × 半衰期)) ×（1 − 折扣））"
    ),
    "1 - lower value / value": "1 − 较低的估值 ÷ 估值",
    "recognised value starts at the lower end: model and privacy error count against the loan": (
        "认定价值自下限起算：模型误差与隐私误差不利于贷款"
    ),
    "amount of the loan / value, reconciled": "贷款金额 ÷ 估值",
    "amount of the loan / value, central": "贷款金额 ÷ 估值",
    "value / data revenue of the past year": "估值 ÷ 过去一年的数据收入",
    r"bisected to 2\^-(\d+), rounded up: value, half-life, income and discount together": (
        "二分法求解，精确到 2^−{0}，向上取：价值、半衰期、收益、折扣同时变动"
    ),
    r"more is asked for than the limit, which the (\w+) constraint sets": "申请金额超过限额；限额由{0}决定",
    r"the loss given default is floored: the value alone would leave (\S+ %)": "违约损失率取下限：仅按价值计为 {0}",
    r"to be shown before money moves: ([\w, ]+)": "放款前须证明：{0}",
    r"a shortfall under: ([\w, ]+)": "在下列情景下出现缺口：{0}",
}
"""Set phrases of a planned loan; where the Chinese has places to fill, the English is a pattern."""
