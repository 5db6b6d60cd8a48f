"""The field sheet of a pledge for the national unified registry of movables and rights (动产融资统一登记公示系统).

That registry takes the filer's word and examines nothing, so its fields are written from what a verified certificate
proves; what no certificate knows (credit codes, addresses) is listed for the filer. Filling them in is not filing.
"""

from datetime import UTC, date, datetime
from typing import Any

from exchange.protocol.declaration import Declaration
from exchange.protocol.messages import Registration
from exchange.protocol.pledge import LIVE
from exchange.protocol.pledge_certificate import Pledged

FORM = "touchstone-field-sheet/1"
NOTICE = (
    "本表由登记证明生成，供登记人自行核对并填报，不是登记本身。"
    "Made from the certificate of the pledge for the filer to check and enter; it is not a filing."
)
TO_FILL_IN = (
    ("出质人统一社会信用代码", "Debtor's unified credit code"),
    ("出质人住所", "Debtor's address"),
    ("出质人法定代表人", "Debtor's legal representative"),
    ("质权人统一社会信用代码", "Secured party's unified credit code"),
    ("质权人住所", "Secured party's address"),
    ("主合同号码", "Number of the loan contract on paper"),
)
_RIGHTS = {"holding": "持有权", "processing": "使用权", "operating": "经营权"}


def field_sheet(pledged: Pledged, *, certificate: str) -> dict[str, Any]:
    """Return the sheet's fields in order, each with its Chinese and English name; ``certificate`` is the certificate's id."""
    told, made, title = pledged.told, pledged.agreement, pledged.title
    expires = made.last_day
    filed = datetime.fromtimestamp(pledged.registered_at // 1_000_000, tz=UTC).date()
    fields = [
        ("登记类型", "Kind of registration", "数据资产质押 pledge of a data asset"),
        ("出质人", "Debtor", _named(told.parties, made.owner)),
        ("质权人", "Secured party", _named(told.parties, made.holder)),
        ("质押合同号码", "Contract of pledge", made.id),
        ("币种", "Currency", "CNY"),
        ("担保的主债权数额", "Claim that is secured", yuan(made.claim)),
        ("最高担保额", "Secured at most", yuan(made.secured)),
        ("债务履行期限届满日", "Maturity of the claim", made.matures),
        ("登记日", "Registered on", filed.isoformat()),
        ("登记到期日", "Registration ends on", expires),
        ("登记期限 月数", "Term in months", str(_months(filed, date.fromisoformat(expires)))),
        ("顺位", "Rank", str(made.rank)),
        ("是否限制再次出质", "Forbids later pledges", "是 yes" if made.forbids_juniors else "否 no"),
        ("质押财产描述", "Collateral", _collateral(made.asset, title)),
        ("质押财产唯一标识", "Digest of the collateral's registration", str(made.title)),
        ("登记状态", "State", f"{made.state.value} ({'有效 live' if made.state in LIVE else '失效 not live'})"),
        ("交易所登记位置", "Entry of the exchange's journal", str(pledged.position)),
        ("登记证明", "Certificate, by its digest", certificate),
    ]
    return {
        "form": FORM,
        "notice": NOTICE,
        "fields": [{"zh": zh, "en": en, "value": value} for zh, en, value in fields],
        "to_fill_in": [{"zh": zh, "en": en} for zh, en in TO_FILL_IN],
    }


def yuan(cents: int) -> str:
    """Write an amount of cents in yuan."""
    return f"{cents // 100:,}.{cents % 100:02d}"


def _named(parties: dict[str, str], party: str) -> str:
    return f"{parties.get(party, party)} ({party})"


def _months(first: date, last: date) -> int:
    """Whole months that a term reaches into: the registry counts in months and a term must not end too early."""
    months = (last.year - first.year) * 12 + last.month - first.month
    return months + (last.day > first.day)


def _collateral(asset: str, title: Registration) -> str:
    declared: Declaration = title.declared
    names = " / ".join(dict.fromkeys(name for name in (title.title, declared.title.zh, declared.title.en) if name))
    parts = [
        f"数据资产 data asset {asset}: {names}",
        f"标准 standard {title.standard}",
        f"人群 population {title.population}",
        f"数据版本 data as of {title.refreshed}",
        f"字段 columns {', '.join(title.columns)}",
    ]
    parts += [
        f"{_RIGHTS[right.right]} {right.right} ({right.source}, {right.valid_until or '无期限 no end'}), SHA-256 {right.evidence}"
        for right in declared.rights
    ]
    parts += [f"权属文件 title {one.event} {one.on}, SHA-256 {one.document}" for one in declared.titles]
    return "; ".join(parts)
