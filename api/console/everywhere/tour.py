"""The tour: the main jobs in the order of a story, each with where to go, who goes there, and the same as code."""

from collections.abc import Mapping
from typing import Any

from api.console.pages import Page, Visit
from api.console.places import EXCHANGE, Same
from api.console.wording import msg

_PURPOSE = "credit-risk-statistics"
_SUPERVISION = "supervision-statistics"
_ASKED = "SELECT region, COUNT(*), AVG(months_overdue) FROM consumer_credit GROUP BY region"
_EXTREME = "SELECT region, MAX(months_overdue) FROM consumer_credit GROUP BY region"
_UNNEEDED = "SELECT region, AVG(income) FROM consumer_credit GROUP BY region"


def _query(sql: str) -> str:
    return f'touchstone query HOME --exchange URL --purpose {_PURPOSE} \\\n    -e "{sql}"'


_STEPS: tuple[Mapping[str, Any], ...] = (
    {
        "title": msg("Find the data"),
        "who": msg("anybody"),
        "text": msg(
            "Each institution keeps its table where it lies. The catalog tells what it holds, under which standard, and who has a claim on it."
        ),
        "goes": [(msg("Catalog"), "/assets")],
        "same": [("CLI", "touchstone catalog search HOME consumer --exchange URL")],
    },
    {
        "title": msg("Ask all institutions one question"),
        "who": msg("an analyst, or a lender without data"),
        "text": msg(
            "Write SQL over the standard's name. Look first: what each institution would say, what it costs and how exact it will be. Then ask: the answer is opened beside your key and nowhere else."
        ),
        "goes": [(msg("Ask"), "/ask")],
        "fill": _ASKED,
        "same": [
            ("CLI", _query(_ASKED)),
            (
                "Python",
                "from exchange import connect\n\n"
                'with connect("HOME", "URL") as client:\n'
                f'    question = client.query("{_ASKED}", purpose="{_PURPOSE}")\n'
                "    print(question.preview())\n"
                "    frame = question.run().to_pandas()",
            ),
        ],
    },
    {
        "title": msg("Ask for too much"),
        "who": msg("an analyst, or a lender without data"),
        "text": msg(
            "An extreme is one person's value, and an income is not needed to know who pays late: both are refused, with every item named and the nearest question that passes."
        ),
        "goes": [(msg("Ask"), "/ask")],
        "fill": _UNNEEDED,
        "same": [("CLI", _query(_EXTREME)), ("CLI", _query(_UNNEEDED))],
    },
    {
        "title": msg("Have a person look first"),
        "who": msg("an asker; then an officer of each institution"),
        "text": msg(
            "Where a policy wants it, an officer sees a question before it is answered: one sentence says what an approval gives away. The answer comes once every institution's officer has approved."
        ),
        "goes": [(msg("Requests for access"), "/requests"), (msg("Waiting for your ruling"), "/inbox")],
        "same": [
            (
                "CLI",
                f'touchstone access request HOME --exchange URL --purpose {_SUPERVISION} \\\n    --why "quarterly review" -e "{_ASKED}"',
            ),
            (
                "CLI",
                "touchstone access inbox HOME --exchange URL\ntouchstone access approve HOME REQUEST --exchange URL",
            ),
        ],
    },
    {
        "title": msg("See what was learned and what is left"),
        "who": msg("an institution's data office, beside its node"),
        "text": msg(
            "The node keeps the ledger. Every charge is there with its asker and purpose, and how many answers like it are left; the policy's sentences say who may ask what."
        ),
        "goes": [(msg("Budget"), "/budget"), (msg("Health"), "/health")],
        "same": [("CLI", "touchstone node budget HOME")],
    },
    {
        "title": msg("Value the asset"),
        "who": msg("an appraiser, a credit officer"),
        "text": msg(
            "Open a report: three approaches with their ranges, what takes the value down to the loan limit, and every figure's reasons. Change an assumption and see what moves."
        ),
        "goes": [(msg("Valuation"), "/value"), (msg("Quote"), "/quote")],
        "same": [
            (
                "CLI",
                "touchstone value verify valuation-report.json\ntouchstone value report valuation-report.json -o report.pdf",
            )
        ],
    },
    {
        "title": msg("Pledge it, once"),
        "who": msg("a lender, its two officers, the owner"),
        "text": msg(
            "Two officers approve, both sides sign, the lender files. A second lender is refused with holder and time, whatever the rows are called by then."
        ),
        "goes": [(msg("Pledges"), "/pledges")],
        "same": [("CLI", "touchstone pledge list HOME --exchange URL")],
    },
    {
        "title": msg("Check everything from outside"),
        "who": msg("a supervisor, an auditor, anybody"),
        "text": msg(
            "Every request, charge, answer, appraisal and lien is in a log that is verified offline, with no account. Change one byte of a copy, and its entry is named."
        ),
        "goes": [(msg("Log"), "/log"), (msg("Supervision"), "/supervision")],
        "same": [
            ("CLI", "touchstone audit export URL -o log.bundle --as HOME\ntouchstone audit verify log.bundle --as HOME")
        ],
    },
    {
        "title": msg("See that the exchange saw nothing"),
        "who": msg("the exchange's operator"),
        "text": msg(
            "Whatever passed through the exchange is in its directory. Every part of an answer there is a blinded ciphertext, and no key that opens one."
        ),
        "goes": [],
        "same": [("CLI", "touchstone exchange blind-check HOME")],
    },
)


def show(visit: Visit) -> Mapping[str, Any]:
    """Return the steps; a question is filled in where this console can ask one."""
    return {
        "place": visit.place.kind,
        "reads_only": visit.place.kind == EXCHANGE,
        "steps": [
            {
                "title": step["title"],
                "who": step["who"],
                "text": step["text"],
                "goes": [{"name": name, "at": at} for name, at in step["goes"]],
                "fill": {"sql": step["fill"], "purpose": _PURPOSE} if "fill" in step else None,
                "same": [
                    Same(msg("Command line") if way == "CLI" else way, code).to_json() for way, code in step["same"]
                ],
            }
            for step in _STEPS
        ],
    }


PAGES = (Page("/tour", "tour.html", msg("Tour"), show, group=msg("Overview")),)
