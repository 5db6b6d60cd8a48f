"""Who asked, for what, and what is valued: the sections before the methods."""

from collections.abc import Iterator

from valuation.statement.blocks import Block, Items, Paragraph, Table, pairs
from valuation.statement.phrases import phrase
from valuation.statement.reading import Reading
from valuation.statement.summary import purpose
from valuation.statement.words import Text, joined, same

NAME, WHAT = Text("item", "项目"), Text("content", "内容")
NONE = Text("none", "无")

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


def client(reading: Reading) -> Iterator[Block]:
    """Who asked and who may use it."""
    terms = reading.inputs["terms"]
    lender = Text("not stated", "未载明") if terms is None else same(terms["lender"])
    yield pairs(
        (
            (Text("Owner of the data asset", "数据资产持有人"), same(reading.inputs["asset"]["owner"])),
            (Text("Lender", "贷款人（报告使用人）"), lender),
            (Text("Other users", "其他使用人"), Text("none but by law", "除法律另有规定外，无")),
        ),
        head=(NAME, WHAT),
    )


def purpose_of(reading: Reading) -> Iterator[Block]:
    """What it is for."""
    yield Paragraph(purpose(reading))


def subject(reading: Reading) -> Iterator[Block]:
    """What is valued: information, legal and value attributes."""
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
        head=(NAME, WHAT),
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
            (Text("Rights", "权利"), joined(rights) if rights else NONE),
            (Text("Personal data, lawful basis", "个人信息处理的合法性基础"), personal),
            (Text("Rights were checked up to", "权利核查截止日"), same(facts["horizon"])),
        ),
        head=(NAME, WHAT),
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
        head=(NAME, WHAT),
    )


def kind(reading: Reading) -> Iterator[Block]:
    """What kind of value this is."""
    del reading
    yield Paragraph(
        Text(
            "Value in the stated use to a lawful holder, under the assumptions of section 9. The recognised value is a "
            "lender's figure after haircuts and no market value. A licensed firm states the type of value of a report.",
            "在第九节假设下，数据资产在所述应用场景中对合法持有人的价值。认定价值为贷款人扣除折扣后的数额，不是市场价值。"
            "资产评估报告的价值类型由持牌机构确定。",
        )
    )


def date(reading: Reading) -> Iterator[Block]:
    """The valuation date."""
    yield Paragraph(same(reading.inputs["method"]["on"]))


def bases(reading: Reading) -> Iterator[Block]:
    """Standards and rules that the figures name."""
    sources = dict.fromkeys(one.source for one in reading.figures.values() if not one.is_given)
    yield Paragraph(Text("Standards and rules that the figures name:", "各数字所依据的准则与规则："))
    yield Items(tuple(phrase(source) for source in sources))
    yield Paragraph(Text("Documents of title and pricing are listed in annex C.", "权属与计价文件列于附件三。"))
