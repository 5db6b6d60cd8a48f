"""A pledge loan as the credit officer reads it: what binds the limit, price, repayment, covenants, cover over time, stresses, committee's page.

All of it is read off a verified report whose terms plan a loan; other terms are tried on the page of what-ifs.
"""

from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from typing import Any

from api.console.everywhere import assumptions, opening, reported
from api.console.pages import Offer, Page, Visit
from api.console.papers import Kind, Paper
from api.console.places import Same
from api.console.wording import Words, msg
from exchange.protocol.errors import Unknown
from privacy.errors import Malformed
from valuation import sheet
from valuation.covenant import RULES
from valuation.statement import lending
from valuation.statement.reading import Reading

_FILES = {"committee.pdf": "application/pdf", "committee.html": "text/html; charset=utf-8"}
_TENORS: Mapping[str, str] = {
    "life": msg("economic life less a year"),
    "title": msg("first title document less half a year"),
    "contract": msg("half of the longest contract"),
    "policy": msg("36 months"),
}
_LIMITS: Mapping[str, str] = {
    "limit.ltv": msg("by loan to recognised value"),
    "limit.dscr": msg("by cash flow, as stated"),
    "limit.dscr.cash": msg("by what the cash flow serves"),
    "limit.revenue": msg("by data revenue"),
    "limit.revenue.year": msg("by a year's data revenue"),
    "limit.policy": msg("by the lender's policy"),
}
_STATES = (msg("normal"), msg("liquidation"))
"""States of the margin that are no states of a pledge."""


def start(visit: Visit) -> Mapping[str, Any]:
    """Return the reports with a lender's terms that are open in this session, and an example."""
    papers = [one for one in visit.place.papers.every(Kind.REPORT) if one.document["inputs"]["terms"] is not None]
    return {
        "open": [
            {
                "paper": one.name,
                "asset": reported.name(one),
                "lender": one.document["inputs"]["terms"]["lender"],
                "has_loan": "loan" in one.document["conclusion"],
                "headline": reported.headline(Reading(one.document)),
            }
            for one in papers
        ],
        "examples": opening.listed("pledge-loan", "air-quality"),
        "text": visit.form.get("text", ""),
        "same_as": [
            Same(msg("Command line"), "touchstone pledge quote facts.json -o report.json").to_json(),
            Same("HTTP", "POST /v1/pledges/quote").to_json(),
        ],
    }


def take(visit: Visit) -> str:
    """Open what the form brought and lead to its loan.

    Raises:
        Malformed: if it holds no lender's terms.
    """
    paper = opening.open_report(visit, opening.read(visit))
    if paper.document["inputs"]["terms"] is None:
        raise Malformed(
            "the report holds no lender's terms", fix="give its inputs with the key terms, as docs/pledge.md tells"
        )
    return f"/quote/{paper.name}"


def show(visit: Visit) -> Mapping[str, Any]:
    """Return the loan of a report; where its terms plan none, what may be lent and why."""
    paper = _paper(visit)
    reading, words = Reading(paper.document), visit.words
    limit = reading.concluded("limit")
    if limit is None:
        raise Unknown("quote in this report: it holds no lender's terms")
    told: dict[str, Any] = {
        "paper": paper.name,
        "asset": reported.name(paper),
        "on": reading.inputs["method"]["on"],
        "lender": reading.inputs["terms"]["lender"],
        "maturity": reading.inputs["terms"]["maturity"],
        "headline": reported.headline(reading),
        "may_offer": visit.place.kind == "desk" and visit.place.role == "lender",
        "constraints": [
            {
                "name": words.say(_LIMITS.get(key, key)),
                "value": reading.figures[key].value,
                "shown": words.brief(reading.figures[key].amount, reading.currency),
                "key": key,
                "binds": reading.figures[key].amount == min(reading.figures[one].amount for one in limit.because),
            }
            for key in limit.because
        ],
        "remarks": [
            {**one, "flag": one["code"].startswith(("red-flag", "stress"))}
            for one in reported.remarks(reading.document, words)
        ],
        "files": [],
        "loan": None,
        "same_as": [
            Same(
                msg("Command line"),
                "touchstone pledge quote facts.json -o report.json\ntouchstone pledge schedule report.json\n"
                "touchstone pledge stress report.json\ntouchstone pledge sheet report.json -o sheet.pdf",
            ).to_json(),
            Same("HTTP", "POST /v1/pledges/quote").to_json(),
        ],
    }
    if "loan" in reading.conclusion:
        told |= {"files": list(_FILES), "loan": _loan(reading, words)}
    return told


def _loan(reading: Reading, words: Words) -> dict[str, Any]:
    loan, terms = reading.conclusion["loan"], reading.inputs["terms"]["loan"]
    value = {name: figure.value for name, figure in reading.figures.items()}
    recognised = reading.figures["pledge.recognised"].amount
    amount = Decimal(value[loan["amount"]])
    return {
        "borrower": terms["borrower"],
        "use": terms["use"],
        "drawn": terms["drawn"],
        "kind": assumptions.KINDS[terms["kind"]],
        "basis": terms["basis"],
        "state": loan["state"],
        "tenor": {
            "days": value[loan["tenor"]["days"]],
            "prudent": value[loan["tenor"]["prudent"]],
            "binding": _TENORS.get(loan["tenor"]["binding"], loan["tenor"]["binding"]),
        },
        **{name: None if loan[name] is None else value[loan[name]] for name in ("asked", "amount", "floor", "rate", "raroc", "hurdle", "cover", "expected_loss", "lgd")},
        "ltv": value["loan.ltv"],
        "price": _price(reading, amount),
        "payments": [
            {**{name: one[name] for name in ("number", "due", "days")}, **{name: value[one[name]] for name in ("interest", "principal", "balance")}}
            for one in loan["payments"]
        ],
        "interest": value.get("schedule.interest"),
        "bands": {name: value[key] for name, key in loan["margin"].items()},
        "path": _path(terms, loan, value, amount, recognised),
        "covenants": [_covenant(one, value, words) for one in loan["covenants"]],
        "stresses": [
            {
                "name": lending.SHOCKS.get(one["name"], one["label"]) if words.language == "zh" else one["label"],
                "state": one["state"],
                **{name: value[one[name]] if one[name] else None for name in ("ltv", "dscr", "shortfall")},
            }
            for one in loan["stresses"]
        ],
        "drop": value[loan["drop"]],
        "reverse": value[loan["reverse"]] if loan["reverse"] else None,
    }  # fmt: skip


def _price(reading: Reading, amount: Decimal) -> list[dict[str, str]]:
    """The parts of the floor rate, which add up to it; the cost of capital is what the others leave."""
    figures = reading.figures
    loss = figures["price.el"].amount / amount if amount else Decimal(0)
    rest = figures["price.floor"].amount - figures["price.ftp"].amount - figures["price.opex"].amount - loss
    return [
        {"name": msg("funding"), "rate": figures["price.ftp"].value, "key": "price.ftp"},
        {"name": msg("operating cost"), "rate": figures["price.opex"].value, "key": "price.opex"},
        {"name": msg("expected loss"), "rate": str(loss), "key": "price.el"},
        {"name": msg("cost of capital"), "rate": str(rest), "key": "price.floor"},
    ]


def _path(
    terms: Mapping[str, Any], loan: Mapping[str, Any], value: Mapping[str, str], amount: Decimal, recognised: Decimal
) -> list[dict[str, Any]]:
    """Balance over today's recognised value from the first day to the last."""
    balances = [(terms["drawn"], amount), *((one["due"], Decimal(value[one["balance"]])) for one in loan["payments"])]
    return [
        {"on": on, "day": date.fromisoformat(on).toordinal(), "balance": str(left), "ltv": f"{left / recognised:.6f}"}
        for on, left in balances
        if recognised > 0
    ]


def _covenant(one: Mapping[str, Any], value: Mapping[str, str], words: Words) -> dict[str, Any]:
    rule = RULES[one["name"]]
    label = lending.COVENANTS.get(one["name"], rule.label) if words.language == "zh" else rule.label
    return {
        "name": label,
        "unit": rule.unit,
        "least": rule.least,
        "grave": one["grave"],
        "kept": one["kept"],
        **{name: value[one[name]] if one[name] else None for name in ("threshold", "measured", "headroom")},
    }


def hand_out(visit: Visit, file: str) -> Offer:
    """Return the credit committee's one page."""
    paper = _paper(visit)
    if file not in _FILES:
        raise Unknown("file of a quote")
    with visit.place.alone():
        made = sheet.sheet(paper.document)
        if file.endswith(".html"):
            from api.printing import pledge_page  # noqa: PLC0415

            content = pledge_page.render(made).encode()
        else:
            from api.printing import sheets  # noqa: PLC0415  a typesetter only where something is set

            content = sheets.committee(made)
    return Offer(f"{paper.name[:16]}-{file}", _FILES[file], content)


def _paper(visit: Visit) -> Paper:
    return visit.place.papers.find(visit.path["paper"], Kind.REPORT)


PAGES = (
    Page("/quote", "quote.html", msg("Loan quotes"), start, group=msg("Lending"), act=take),
    Page("/quote/{paper}", "quote-loan.html", msg("Loan quote"), show, give=hand_out),
)
