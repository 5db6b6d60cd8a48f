"""The one page on top: what it is worth, what may be lent, what binds, what to be wary of."""

from collections.abc import Iterator

from valuation.statement.amounts import DOWN, NEAREST, UP, money, share
from valuation.statement.blocks import Block, Items, Paragraph, Section, Table, pairs
from valuation.statement.charts import pictures
from valuation.statement.labels import term
from valuation.statement.phrases import phrase
from valuation.statement.reading import Reading
from valuation.statement.words import Text, joined, same

BINDING = {
    "ltv": Text("loan to value", "质押率"),
    "dscr": Text("debt service", "偿债能力"),
    "revenue": Text("data revenue", "数据收入"),
    "policy": Text("policy cap", "政策上限"),
}

_MOST_REMARKS = 8


def summarise(reading: Reading) -> Section:
    """The summary: rounded to three significant digits, each amount with its range."""
    asset, method = reading.inputs["asset"], reading.inputs["method"]
    blocks: list[Block] = [
        pairs(
            (
                (Text("Data asset", "数据资产"), same(f"{asset['owner']}/{asset['dataset']}")),
                (Text("Version, standard", "版本、标准"), same(f"{asset['version']}, {asset['standard']}")),
                (Text("Use", "应用场景"), same(asset["scenario"])),
                (Text("Valuation date", "评估基准日"), same(method["on"])),
                (Text("Purpose", "评估目的"), purpose(reading)),
            ),
            head=(Text("Subject", "标的"), Text("", "")),
        ),
        Table(
            (Text("Conclusion", "结论"), Text("amount", "金额"), Text("range", "区间")),
            tuple(_amounts(reading)),
            "lrr",
            (4, 3, 4),
        ),
    ]
    drawn = pictures(reading)
    if "intervals" in drawn:
        blocks.append(drawn["intervals"])
    blocks.append(Items(tuple(_bounds(reading))))
    remarks = [phrase(remark["text"]) for remark in reading.document["remarks"]]
    if remarks:
        blocks.append(Paragraph(Text("To be wary of:", "提请关注：")))
        blocks.append(Items(tuple(remarks[:_MOST_REMARKS])))
    if len(remarks) > _MOST_REMARKS:
        more = len(remarks) - _MOST_REMARKS
        blocks.append(Paragraph(Text(f"{more} more in section 11.", f"另有 {more} 项见第十一节。")))
    return Section("summary", Text("Summary", "摘要"), tuple(blocks))


def purpose(reading: Reading) -> Text:
    """What the calculation is for, as the lender's request named it."""
    name = str(reading.inputs["necessity"]["purpose"])
    return Text(name, {"pledge-valuation": "数据资产质押估值（pledge-valuation）"}.get(name, name))


def _amounts(reading: Reading) -> Iterator[tuple[Text, Text, Text]]:
    currency = reading.currency
    low, central, high = reading.low, reading.central, reading.high
    ends = joined([money(low.amount, currency, DOWN), money(high.amount, currency, UP)], en=" to ", zh=" 至 ")
    yield Text("Value", "估值"), money(central.amount, currency, NEAREST), ends
    for name, start in reading.approaches:
        if len(reading.approaches) > 1:
            three = [reading.figures[f"{start}.{end}"].amount for end in ("low", "central", "high")]
            between = joined([money(three[0], currency, DOWN), money(three[2], currency, UP)], en=" to ", zh=" 至 ")
            yield Text(f"  by {name}", f"  {term(name)}法"), money(three[1], currency), between
    recognised, limit = reading.concluded("recognised"), reading.concluded("limit")
    if recognised is not None and limit is not None:
        binding = BINDING.get(reading.conclusion["binding"], same(reading.conclusion["binding"]))
        bound = Text(f"bound by {binding.en}", f"约束条件：{binding.zh}")
        yield Text("Recognised value", "认定价值"), money(recognised.amount, currency, DOWN), Text("–", "–")
        yield Text("Loan limit", "贷款限额"), money(limit.amount, currency, DOWN), bound


def _bounds(reading: Reading) -> Iterator[Text]:
    haircut, ltv, alpha = (reading.get(key) for key in ("pledge.total_haircut", "pledge.ltv", "quality.alpha.used"))
    if haircut is not None and ltv is not None:
        yield Text(
            f"Haircuts take {share(haircut.amount)} off the value in all; the limit is {share(ltv.amount)} of it.",
            f"综合折扣率 {share(haircut.amount)}；贷款限额为估值的 {share(ltv.amount)}。",
        )
    if alpha is not None:
        quality = share(alpha.amount)
        yield Text(
            f"Quality {quality}, measured at the owner under differential privacy.",
            f"质量系数 {quality}，在持有人处以差分隐私方式测量。",
        )
    necessity = reading.inputs["necessity"]
    opened, withheld = len(necessity["opened"]), len(necessity["withheld"])
    yield Text(
        f"Minimum necessity: {opened} items of evidence were opened for this purpose, {withheld} withheld (section 12).",
        f"最小必要：为本目的开放证据 {opened} 项，不予提供 {withheld} 项（见第十二节）。",
    )
    gates = len(reading.document["gates"])
    yield Text(
        f"All {gates} gates passed (title, lawful basis, disputes, freshness, form of the owner).",
        f"{gates} 项准入审查（权属、合法性基础、争议、时效、主体性质等）均通过。",
    )
