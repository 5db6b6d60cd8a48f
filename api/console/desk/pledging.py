"""A party's own hand in its pledges: the steps that the table allows it now, each confirmed by whoever takes it, under its key.

What may happen when is :mod:`exchange.protocol.pledge`'s; the exchange decides again, and its refusals are shown by name.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from api.commands.pledging import cents, nano, nonce, stated, step_in_terms
from api.console.desk.place import DeskPlace, beside
from api.console.everywhere import pledges, reported
from api.console.pages import Page, Visit
from api.console.papers import Kind
from api.console.places import DESK, Same
from api.console.wording import msg
from exchange.protocol.agreement import (
    Acceptance,
    Assignment,
    Creditor,
    Drawdown,
    Endorsement,
    Leave,
    Level,
    Notice,
    PartialRelease,
    Payment,
    Realisation,
    Release,
    Renewal,
    Step,
    StepIn,
)
from exchange.protocol.messages import Appraisal
from exchange.protocol.messages import Offer as Quote
from exchange.protocol.pledge import TABLE, Agreement, Event
from privacy.errors import Malformed
from valuation.statement.reading import Reading

OFFICER, LENDER, OWNER, NEXT = "officer", "lender", "owner", "next"
_NOTICES = {"warn": Level.WARNING, "call": Level.MARGIN_CALL, "cured": Level.CURED, "lift": Level.LIFTED}
_MOST_CREDITORS = 100
_LAST_RANK = 9

Input = tuple[str, str, str]
"""Name, label (a message) and kind of a field: ``yuan``, ``day``, ``text``, ``optional``, ``file`` or ``lines``."""

_AMOUNT = ("amount", msg("Amount, yuan"), "yuan")
_EVIDENCE = ("evidence_sha256", msg("Evidence: a file; its hash goes on record, the file stays here"), "file")
_RESERVE = ("reserve", msg("Of the reserve, rho; the lender alone, may be empty"), "optional")
_BECAUSE = ("because", msg("Reason, in one line"), "text")


@dataclass(frozen=True, slots=True)
class Action:
    """One step: what it is called, what it does (both messages), what it causes, who may take it, what it asks for."""

    name: str
    title: str
    consequence: str
    event: Event
    by: tuple[str, ...] = (LENDER,)
    fields: tuple[Input, ...] = ()


ACTIONS = (
    Action("approve", msg("Approve the quote"), msg("You put your signature under this quote as an officer. After two approvals the lender may sign it."), Event.ENDORSED, (OFFICER,)),
    Action("refuse", msg("Refuse the quote"), msg("The quote ends here for good; lender and owner see your reason."), Event.REFUSED_WITHIN, (OFFICER,), (_BECAUSE,)),
    Action("sign", msg("Sign the agreement"), msg("You sign what your officers approved. The owner's node answers by its policy; once it signs, both are bound."), Event.SIGNED),
    Action("register", msg("Register the pledge"), msg("The rows are compared with all on record. Nobody else can then hold this rank of the asset; the register tells everybody your name and the time."), Event.FILED, fields=(("expires", msg("Registered until"), "day"),)),
    Action("draw", msg("Tell that the loan is paid out"), msg("From now on you claim this amount. It cannot be raised later."), Event.DRAWN, fields=(_AMOUNT,)),
    Action("pay", msg("Tell that a payment came in"), msg("Your claim falls by this amount. It cannot be taken back."), Event.PAID, fields=(_AMOUNT,)),
    Action("warn", msg("Give notice of a warning"), msg("The owner sees that the cover is thin. Nothing falls due."), Event.WARNED, fields=(_EVIDENCE,)),
    Action("call", msg("Call for margin"), msg("The owner must cure the cover by the last day that you set. If it does not, you may step in."), Event.CALLED, fields=(_EVIDENCE, ("cure_by", msg("To be cured by"), "day"))),
    Action("cured", msg("Tell that the call is cured"), msg("The margin call ends; you cannot step in on it any more."), Event.CURED, fields=(_EVIDENCE,)),
    Action("lift", msg("Tell that all is well again"), msg("The pledge is active again as before the warning."), Event.LIFTED, fields=(_EVIDENCE,)),
    Action("step-in", msg("Step in"), msg("The asset's fees and grants go to the operator that you name, from now on. No data moves."), Event.STEPPED_IN, fields=(("operator", msg("Operator (party)"), "text"), _EVIDENCE)),
    Action("realise", msg("Tell that the asset was realised"), msg("Proceeds are paid out by rank: costs, lenders, others, owner. Every lien on the asset ends, yours, too."), Event.REALISED, fields=(("proceeds", msg("Proceeds, yuan"), "yuan"), ("costs", msg("Costs of the sale, yuan"), "yuan"), ("successor", msg("Entitlements go to (party)"), "text"), ("unregistered", msg("Creditors without a lien, NAME=YUAN, one a line; may be empty"), "lines"), _EVIDENCE)),
    Action("release-part", msg("Release a part"), msg("So much less is secured from now on. It cannot be taken back."), Event.LESSENED, (LENDER, OWNER), (_AMOUNT, _RESERVE)),
    Action("assign", msg("Assign it to another lender"), msg("Pledge and claim go over once the other lender accepts; rank and place stay."), Event.ASSIGNED, fields=(("to", msg("New lender (party)"), "text"),)),
    Action("accept", msg("Take it over"), msg("You hold pledge and claim from now on, at the same rank and place."), Event.TAKEN_OVER, (NEXT,)),
    Action("renew", msg("Renew the registration"), msg("The registration runs longer; rank and place stay. It can be done within its last 90 days."), Event.RENEWED, fields=(("expires", msg("Registered until"), "day"),)),
    Action("let", msg("Let another pledge in"), msg("The other pledge may be registered although yours forbids it or would be overtaken."), Event.LET_IN, fields=(("other", msg("Id of the other quote, 64 digits"), "text"),)),
    Action("release", msg("Release the pledge"), msg("Your lien ends for good and the rank is free for others at once, whatever is still owed."), Event.RELEASED),
)  # fmt: skip
"""Every step that a lender, its officers and an owner take by hand. An owner's signature is its node's, by its policy."""


def every(visit: Visit) -> Mapping[str, Any]:
    """Return the list, with what a lender may begin here."""
    return {**pledges.every(visit), "may_offer": visit.place.role == "lender", "named": visit.form.get("officers", "")}


def name_officers(visit: Visit) -> str:
    """Name the officers who approve this lender's quotes."""
    named = visit.form.get("officers", "").replace(",", " ").split()
    if not named:
        raise Malformed("no officer was named", fix="name each officer as it is enrolled, with spaces between")
    beside(visit.place).pledges.name_officers(*named)
    return "/pledges"


def one(visit: Visit) -> Mapping[str, Any]:
    """Return one pledge with the steps that this party may take now."""
    told = pledges.one(visit)
    _, history = pledges.replayed(visit.place.get("offers", visit.path["id"]))
    made = history[-1][0]
    usual = {"register.expires": made.matures, "draw.amount": _yuan(made.secured), "pay.amount": _yuan(made.claim)}
    return {
        **told,
        "actions": [
            {
                "name": action.name,
                "title": action.title,
                "consequence": action.consequence,
                "fields": [
                    {"name": name, "label": label, "as": kind, "value": _refilled(visit, action, name, usual)}
                    for name, label, kind in action.fields
                ],
                "open": visit.form.get("act") == action.name,
            }
            for action in allowed(made, party=visit.place.party, role=visit.place.role)
        ],
        **({"again_in": 3} if made.waits_for_owner else {}),
    }


def allowed(made: Agreement, *, party: str, role: str) -> list[Action]:
    """Return the steps that the table allows in a pledge's state to a party of this role."""
    is_here = {
        OFFICER: role == "officer" and party not in dict(made.endorsed),
        LENDER: party == made.holder,
        OWNER: party == made.owner,
        NEXT: made.assigned is not None and made.assigned[1] == party,
    }
    return [
        action
        for action in ACTIONS
        if (made.state, action.event) in TABLE
        and any(is_here[who] for who in action.by)
        and not (action.event is Event.SIGNED and party in made.signed)
    ]


def act(visit: Visit) -> str:
    """Take the step that the form asks for.

    Raises:
        PrivacyError: by name, if it is not for this party, not in place now, or what the form holds is not what it takes.
    """
    place, id_ = beside(visit.place), visit.path["id"]
    made, _ = place.pledges.show(id_)
    name = visit.form.get("act", "")
    if name not in {action.name for action in allowed(made, party=place.party, role=place.role)}:
        raise Malformed("this step has no place now", fix="look at where the pledge stands")
    if visit.form.get("confirmed") != "yes":
        raise Malformed("the step was not confirmed", fix="tick that you have read what it does")
    match name:
        case "approve":
            place.pledges.approve(id_)
        case "sign":
            place.pledges.sign(id_)
        case "register":
            place.pledges.file(id_, expires=visit.form.get("expires") or None)
        case _:
            place.pledges.send(_message(name, made, visit.form, place))
    return f"/pledges/{id_}"


def _message(name: str, made: Agreement, form: Mapping[str, str], place: DeskPlace) -> Step:
    told = {key: text.strip() for key, text in form.items()}
    evidence = told.get("evidence_sha256", "")
    common = {"offer": made.id}
    titled = {**common, "title": made.title}
    makers: Mapping[str, Callable[[], Any]] = {
        "refuse": lambda: stated(Endorsement, **common, act="refuse", because=told.get("because", "")),
        "draw": lambda: stated(Drawdown, **common, amount=cents(told.get("amount", ""))),
        "pay": lambda: stated(Payment, **common, amount=cents(told.get("amount", "")), nonce=nonce()),
        "step-in": lambda: stated(StepIn, **titled, operator=told.get("operator", ""), evidence=evidence),
        "realise": lambda: stated(
            Realisation,
            **titled,
            asset=made.asset,
            proceeds=cents(told.get("proceeds", "")),
            costs=cents(told.get("costs", "")),
            unregistered=_creditors(told.get("unregistered", "")),
            successor=told.get("successor", ""),
            evidence=evidence,
        ),
        "release": lambda: stated(Release, **titled),
        "release-part": lambda: stated(
            PartialRelease,
            **titled,
            amount=cents(told.get("amount", "")),
            nonce=nonce(),
            reserve=nano(told["reserve"]) if told.get("reserve") else 0,
        ),
        "assign": lambda: stated(Assignment, **titled, to=told.get("to", ""), nonce=nonce()),
        "accept": lambda: stated(Acceptance, **titled, assignment=made.assigned[0] if made.assigned else ""),
        "renew": lambda: stated(
            Renewal, **common, title=place.pledges.title(made.asset), expires=told.get("expires", "")
        ),
        "let": lambda: stated(Leave, **common, other=told.get("other", "")),
    }
    if name in _NOTICES:
        cure_by = told.get("cure_by") or None
        made_of = {"level": _NOTICES[name], "evidence": evidence, "cure_by": cure_by, "nonce": nonce()}
        return stated(Notice, **common, **made_of)  # type: ignore[no-any-return]
    return makers[name]()  # type: ignore[no-any-return]


def _creditors(text: str) -> tuple[Any, ...]:
    lines = [line.rpartition("=") for line in text.splitlines()[:_MOST_CREDITORS] if line.strip()]
    return tuple(stated(Creditor, name=who.strip(), amount=cents(due.strip())) for who, _, due in lines)


def _yuan(amount: int) -> str:
    return f"{amount // 100}.{amount % 100:02d}"


def _refilled(visit: Visit, action: Action, name: str, usual: Mapping[str, str]) -> str:
    mine = visit.form.get("act") == action.name
    return visit.form.get(name, "") if mine else usual.get(f"{action.name}.{name}", "")


def draft(visit: Visit) -> Mapping[str, Any]:
    """Return the form of a new quote, filled from a report that is open here."""
    papers = [one for one in visit.place.papers.every(Kind.REPORT) if one.document["inputs"]["terms"] is not None]
    chosen = next((one for one in papers if one.name == visit.query.get("report")), papers[0] if papers else None)
    filled: dict[str, str] = {
        "report": "",
        "asset": "",
        "amount": "",
        "matures": "",
        "rank": visit.query.get("rank", "1"),
        "forbid": "",
        "reserve": "",
        "operators": "",
        "purpose": "",
        "exclusive": "",
    }
    free: Mapping[str, Any] | None = None
    if chosen is not None:
        reading = Reading(chosen.document)
        limit = reading.concluded("limit")
        filled |= {
            "report": chosen.name,
            "asset": reported.name(chosen),
            "amount": "" if limit is None else str(int(limit.amount)),
            "matures": str(reading.inputs["terms"]["maturity"]),
        }
        free = visit.place.find("liens", *filled["asset"].split("/", 1))
    return {
        "reports": [{"paper": one.name, "asset": reported.name(one)} for one in papers],
        "filled": filled | {name: text for name, text in visit.form.items() if name in filled},
        "liens": None if free is None else free["liens"],
        "next_rank": None if free is None else _next_rank(free["liens"]),
        "same_as": [
            Same(
                msg("Command line"),
                "touchstone pledge offer HOME OWNER/DATASET --report report.json --amount YUAN --matures DAY --exchange URL",
            ).to_json()
        ],
    }


def _next_rank(liens: list[Mapping[str, Any]]) -> int | None:
    """The first rank behind all live ones, if there is one."""
    last = max((int(lien["rank"]) for lien in liens), default=0)
    return last + 1 if 0 < last < _LAST_RANK else None


def offer(visit: Visit) -> str:
    """Put the report on record and quote the loan.

    Raises:
        Taken: if the asset is pledged at this rank, with holder and time.
    """
    place, told = beside(visit.place), visit.form
    paper = place.papers.find(told.get("report", ""), Kind.REPORT)
    asset = reported.name(paper)
    if told.get("asset", "").strip() not in ("", asset):
        raise Malformed("the report is of another asset", fix="choose the report of the asset that is pledged")
    try:
        amount, rank = int(told.get("amount", "")), int(told.get("rank", ""))
    except ValueError:
        raise Malformed(
            "amount or rank is not a number", fix="write the amount in whole yuan, the rank as 1 to 9"
        ) from None
    report = stated(Appraisal, asset=asset, report=paper.name, releases=tuple(paper.document["releases"]))
    parts = {"asset": asset, "rank": rank, "amount": amount, "matures": told.get("matures", ""), "nonce": nonce()}
    terms = step_in_terms(
        told.get("reserve") or None,
        told.get("operators", "").replace(",", " ").split(),
        purpose=told.get("purpose", ""),
        exclusive=told.get("exclusive") == "yes",
    )
    quote = {**parts, **terms, "forbids_juniors": told.get("forbid") == "yes"}
    stated(Quote, **quote, appraisal="0" * 64)  # what the quote says is checked before anything goes on record
    return f"/pledges/{place.pledges.quote(stated(Quote, **quote, appraisal=place.pledges.record(report)))}"


_HERE = frozenset({DESK})
PAGES = (
    Page(pledges.LIST, "pledges.html", msg("Pledges"), every, group=msg("Lending"), places=_HERE, act=name_officers),
    Page(
        "/pledges/new",
        "pledge-offer.html",
        msg("Offer a loan"),
        draft,
        roles=frozenset({"lender"}),
        places=_HERE,
        act=offer,
    ),
    Page(pledges.ONE, "pledge.html", msg("Pledge"), one, places=_HERE, act=act, give=pledges.hand_out),
)
