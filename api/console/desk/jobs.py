"""Questions that were put: where each stands with every institution, and its answer, opened here and nowhere else."""

import json
import shlex
from collections.abc import Mapping
from typing import Any

from api import problems
from api.console.desk.answers import file_of, share, told
from api.console.desk.asking import ASKERS, link
from api.console.desk.place import DeskPlace, beside
from api.console.pages import Offer, Page, Visit
from api.console.places import DESK, Same
from api.console.wording import msg
from exchange.analyst.asker import Job
from exchange.analyst.result import Result
from exchange.protocol.errors import Overreach, Unknown
from exchange.protocol.session import OVER
from privacy.errors import Malformed, PrivacyError
from privacy.offences import APPROVAL
from privacy.terms import rho

_ON_A_PAGE = 25
_AGAIN = 2
"""Seconds after which a page that waits looks again."""


def every(visit: Visit) -> Mapping[str, Any]:
    """Return one page of the desk's questions, newest first; ``q`` is looked for in statement, purpose and id."""
    place = beside(visit.place)
    words = visit.query.get("q", "").strip()
    found = [job for job in place.client.jobs() if _fits(job, words.lower())]
    pages = max(1, -(-len(found) // _ON_A_PAGE))
    page = visit.number("page", 1, least=1, most=pages)
    return {
        "q": words,
        "count": len(found),
        "page": page,
        "pages": pages,
        "jobs": [_row(job) for job in found[(page - 1) * _ON_A_PAGE : page * _ON_A_PAGE]],
        "same_as": [
            Same(msg("Command line"), f"touchstone job list HOME --exchange {place.exchange}").to_json(),
            Same("Python", "client.jobs()").to_json(),
        ],
    }


def _fits(job: Job, words: str) -> bool:
    text = f"{job.sql} {job.asking.purpose} {job.id}".lower()
    return all(word in text for word in words.split())


def _row(job: Job) -> dict[str, Any]:
    receipt = _receipt(job)
    return {
        "id": job.id,
        "asked_at": job.asked_at,
        "state": job.state(),
        "purpose": job.asking.purpose,
        "sql": job.sql,
        "share": None if receipt is None else _share(receipt),
    }


def _receipt(job: Job) -> Mapping[str, Any] | None:
    try:
        return job.receipt()
    except Unknown:
        return None


def _share(receipt: Mapping[str, Any]) -> str:
    """What a question took of what the tightest institution had left before it."""
    return max((share(nano, receipt["left"][party]) for party, nano in receipt["charged"].items()), key=float)


# -- one question ------------------------------------------------------------------------------------------------------


def show(visit: Visit) -> Mapping[str, Any]:
    """Return where a question stands; its answer is opened as soon as there is one."""
    place, name = beside(visit.place), visit.path["id"]
    errand = place.errands.find(name)
    if errand is None:
        return _facts(visit, place.client.job(name))
    if not errand.is_over():
        return _preparing(name, errand.stage, errand.waiting)
    try:
        session = errand.outcome()
    except PrivacyError as error:
        return _blank(name) | {"state": "failed", "ended": problems.document(error)}
    return _facts(visit, place.client.job(session))


def _blank(name: str) -> dict[str, Any]:
    facts = ("sql", "purpose", "standard", "asked_at", "until", "ended", "result", "proof", "again", "anew", "access")
    return {"id": name, "lanes": [], "waiting_for": [], "again_in": None, "same_as": [], **dict.fromkeys(facts)}


def _preparing(name: str, stage: str, waiting: tuple[str, ...]) -> dict[str, Any]:
    """A question that is being put: a key is made first, or a pilot is asked that tells how large the groups are."""
    return _blank(name) | {
        "state": stage or "preparing",
        "waiting_for": list(waiting),
        "pilot": bool(stage),
        "again_in": _AGAIN,
    }


def _facts(visit: Visit, job: Job) -> dict[str, Any]:
    place = beside(visit.place)
    asking = job.asking
    fields = {"sql": job.sql, "purpose": asking.purpose, "keep_days": asking.keeps, "shared": asking.shared}
    facts = _blank(job.id) | {
        "sql": job.sql,
        "purpose": asking.purpose,
        "standard": asking.standard,
        "asked_at": job.asked_at,
        "again": link("/ask", fields),
        "anew": link("/ask", {**fields, "fresh": "yes"}),
        "same_as": _same(place, job),
    }
    if _receipt(job) is not None:
        lanes = [_lane(party, 3, waits=False) for party in asking.parties]
        result = place.client.job(job.id).result()
        return facts | _answered(visit, job, result) | {"lanes": lanes}
    record = place.client.desk.record(job.id)
    facts |= {
        "state": str(record["stage"]),
        "until": record["expires"],
        "waiting_for": list(record["waiting_for"]),
        "lanes": [_lane_of(party, record) for party in asking.parties],
    }
    if record["stage"] not in OVER:
        return facts | {"again_in": _AGAIN}
    try:
        with place.opening:
            result = job.result()
    except PrivacyError as error:
        return facts | {"ended": problems.document(error), "access": _access(job, error)}
    return facts | _answered(visit, job, result)


def _lane_of(party: str, record: Mapping[str, Any]) -> dict[str, Any]:
    """Where an institution stands: it judges the plan, commits to the roster, answers."""
    said = [party in {message["signer"] for message in record[box]} for box in ("accepts", "commits", "shares")]
    if record["stage"] == "answering":  # answers are kept closed until the last one is there
        said[2] = party not in record["waiting_for"]
    over = record["stage"] in OVER
    waits = not over and party in record["waiting_for"]
    return _lane(party, sum(said), waits=waits, silent=over and party in record["silent"])


def _lane(party: str, steps: int, *, waits: bool, silent: bool = False) -> dict[str, Any]:
    return {
        "party": party,
        "judged": steps > 0,
        "committed": steps > 1,
        "answered": steps > 2,
        "waits": waits,
        "silent": silent,
    }


def _access(job: Job, error: PrivacyError) -> str | None:
    """Return where to ask for an approval, if that is all that lacks."""
    if isinstance(error, Overreach) and {one.item for one in error.violations} == {APPROVAL}:
        fields = {"sql": job.sql, "purpose": job.asking.purpose, "budget": rho(job.plan.rho)}
        return link("/requests", fields)
    return None


def _answered(visit: Visit, job: Job, result: Result) -> dict[str, Any]:
    return {
        "state": "answered",
        "waiting_for": [],
        "result": told(result, chosen=visit.query.get("column")),
        "proof": _proof(job),
    }


def _proof(job: Job) -> dict[str, Any] | None:
    """What is kept of the promise that the answer is in the log: the entries, and the head that proves them once fetched."""
    kept = job.promised()
    if kept is None:
        return None
    promise = json.loads(kept["promise"]["body"]) if "body" in kept["promise"] else kept["promise"]
    entries = [entry["seq"] for entry in promise.get("entries", [])]
    head = kept.get("head")
    return {"entries": entries, "proved": head is not None, "head": head}


def _same(place: DeskPlace, job: Job) -> list[Mapping[str, str]]:
    short = job.id[:16]
    sql = shlex.quote(job.sql)
    purpose = shlex.quote(job.asking.purpose)
    return [
        Same(
            msg("Command line"),
            f"touchstone job show HOME {short} --exchange {place.exchange}\n"
            f"touchstone query HOME -e {sql} --purpose {purpose} --exchange {place.exchange}",
        ).to_json(),
        Same("Python", f"client.job({short!r}).result().to_pandas()").to_json(),
        Same("SQL", job.sql).to_json(),
        Same("HTTP", f"GET /v1/sessions/{job.id}").to_json(),
    ]


def prove(visit: Visit) -> str:
    """Fetch and check the proof that a question, its answers and charges are in the exchange's log."""
    place = beside(visit.place)
    if visit.form.get("do") != "prove":
        raise Malformed("the form asks for nothing that can be done here", fix="use the buttons of the page")
    job = place.client.job(visit.path["id"])
    with place.opening:
        job.proof()
    return f"/jobs/{job.id}#proof"


def hand_out(visit: Visit, name: str) -> Offer:
    """Return an opened answer as a file."""
    job = beside(visit.place).client.job(visit.path["id"])
    job.receipt()
    return file_of(job.result(), name, called=f"answer-{job.id[:16]}")


PAGES = (
    Page(
        "/jobs",
        "jobs.html",
        msg("Your questions"),
        every,
        group=msg("Questions"),
        roles=ASKERS,
        places=frozenset({DESK}),
    ),
    Page(
        "/jobs/{id}",
        "job.html",
        msg("Question"),
        show,
        roles=ASKERS,
        places=frozenset({DESK}),
        act=prove,
        give=hand_out,
    ),
)
