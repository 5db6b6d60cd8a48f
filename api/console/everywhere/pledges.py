"""Pledges that concern a party: the list, and one of them as a time line with what it waits for, who can act, and its papers.

Where a pledge stands follows here from its signed messages, by the same table as at the exchange.
"""

import json
from collections.abc import Iterator, Mapping
from datetime import date
from decimal import Decimal
from itertools import pairwise
from typing import Any

from api.console.pages import Offer, Page, Visit
from api.console.papers import Kind
from api.console.places import EXCHANGE, NODE, Place, Same
from api.console.wording import msg
from exchange.protocol.agreement import STEPS, Creditor, Notice, Step
from exchange.protocol.envelope import Envelope
from exchange.protocol.errors import Forbidden, Unknown
from exchange.protocol.messages import Appraisal, unverified
from exchange.protocol.messages import Offer as Quote
from exchange.protocol.pledge import CAUSES, LIVE, OVER, TABLE, Agreement, State
from privacy import canonical
from privacy.errors import Malformed, Mismatch
from valuation.statement.reading import Reading

_TITLES: Mapping[str, str] = {
    "pledge-endorsement": msg("An officer approved"),
    "pledge-endorsement refuse": msg("An officer refused"),
    "pledge-signature": msg("The lender signed"),
    "consent": msg("The owner signed"),
    "objection": msg("The owner objected"),
    "pledge-filing": msg("Registered: from now on it is a live lien"),
    "pledge-drawdown": msg("The loan was paid out"),
    "pledge-payment": msg("A payment came in"),
    "pledge-notice warning": msg("Notice of a warning"),
    "pledge-notice margin_call": msg("Margin call"),
    "pledge-notice cured": msg("The call was cured"),
    "pledge-notice lifted": msg("All is well again"),
    "pledge-step-in": msg("The lender stepped in"),
    "pledge-realisation": msg("The asset was realised"),
    "pledge-partial-release": msg("A part was released"),
    "pledge-release": msg("It was released"),
    "pledge-assignment": msg("It was assigned"),
    "pledge-acceptance": msg("The new lender took it over"),
    "pledge-renewal": msg("The registration was renewed"),
    "pledge-leave": msg("Another pledge was let in"),
}
"""By kind of message, and what decides within it: what happened."""

_WAITS: Mapping[State, tuple[str, str]] = {
    State.QUOTED: (msg("Two officers of the lender approve it"), msg("officers of the lender")),
    State.APPROVED: (msg("Lender and owner sign it"), msg("the lender, then the owner")),
    State.SIGNED: (msg("The lender files it"), msg("the lender")),
    State.REGISTERED: (msg("The lender pays the loan out"), msg("the lender")),
    State.ACTIVE: (msg("Payments, until the loan is repaid and released"), msg("the lender")),
    State.WARNING: (msg("The cover is thin: a payment, or notice that all is well"), msg("the lender")),
    State.MARGIN_CALL: (msg("Cash or collateral must cure it"), msg("the owner; the lender tells when it is cured")),
    State.CURED: (msg("The lender lifts the call"), msg("the lender")),
    State.STEP_IN: (msg("The asset is realised"), msg("the lender")),
}
_EVENTS = (
    msg("an officer approves and another must"), msg("the second officer approves"), msg("an officer refuses"),
    msg("one party signs and the other must"), msg("the second party signs"), msg("the owner objects"),
    msg("it is filed for registration"), msg("the loan is paid out"), msg("notice of a warning"),
    msg("notice of a margin call"), msg("notice that the call is cured"), msg("notice that all is well again"),
    msg("the lender steps in"), msg("the asset is realised"), msg("the asset is realised at another rank"),
    msg("it is released"), msg("its last day passes"), msg("a payment comes in"), msg("a part is released"),
    msg("it is assigned"), msg("an assignment is accepted"), msg("its registration is renewed"),
    msg("another pledge is let in"),
)  # fmt: skip
_CAUSES = (
    msg("an officer of the lender"), msg("the lender"), msg("the owner"), msg("the exchange"), msg("the lender, the owner"),
    msg("the lender of the first rank"), msg("the new lender"),
)  # fmt: skip
_SEARCHED: Mapping[str, str] = {
    "clear": msg("no copy was found"),
    "review": msg("alike rows: a reviewer rules"),
    "blocked": msg("they are rows of another asset"),
}
_BANDS = {"warning": Decimal("0.60"), "call": Decimal("0.65"), "liquidation": Decimal("0.75")}
"""Usual bands of loan to recognised value; a report's own take their place."""

_FILES = {
    "certificate.json": "application/json",
    "field-sheet.html": "text/html; charset=utf-8",
    "field-sheet.json": "application/json",
}


def every(visit: Visit) -> Mapping[str, Any]:
    """Return the pledges that concern the visitor's party, newest first, those that are over apart."""
    pledges = visit.place.get("pledges", before=visit.query.get("before"))["pledges"]
    rows = [{**one, "waits": _waits(one["state"])} for one in pledges]
    return {
        "role": visit.place.role,
        "live": [one for one in rows if one["state"] not in OVER],
        "over": [one for one in rows if one["state"] in OVER],
        "next": pledges[-1]["seq"] if pledges else None,
        "same_as": [
            Same(msg("Command line"), "touchstone pledge list HOME --exchange URL").to_json(),
            Same("HTTP", "GET /v1/pledges").to_json(),
        ],
    }


def one(visit: Visit) -> Mapping[str, Any]:
    """Return one pledge: where it stands and how it came there, what may happen next, its rows, its cover over time."""
    told = visit.place.get("offers", visit.path["id"])
    quoted, history = replayed(told)
    made = history[-1][0]
    offer = unverified(quoted, Quote)
    steps = [_step(step, before=before.claim) for (_, step), (before, _) in zip(history[1:], history, strict=False)]
    return {
        "id": told["id"],
        "party": visit.place.party,
        "record": {name: told[name] for name in told if name not in ("steps", "envelope")},
        "live": made.state in LIVE,
        "quoted_by": quoted.signer,
        "amount": offer.amount * 100,
        "waits": _waiting(made, steps),
        "timeline": steps,
        "next": [
            {"event": event.value, "who": CAUSES[event][0], "becomes": target.value}
            for (origin, event), target in TABLE.items()
            if origin is made.state
        ],
        "watched": _watched(visit.place, made.asset),
        "searched": None if told["search"] is None else _SEARCHED[told["search"]["state"]],
        "cover": _cover(visit.place, quoted, history),
        "reserve": str(Decimal(made.reserve).scaleb(-9)),
        "kept_until": made.kept_until,
        "files": list(_FILES) if told["title"] is not None else [],
        "same_as": [
            Same(msg("Command line"), f"touchstone pledge status HOME {told['id'][:16]} --exchange URL").to_json(),
            Same("HTTP", f"GET /v1/offers/{told['id']}").to_json(),
            Same("Python", f'pledges = Pledges.under(line, key)\nmade, told = pledges.show("{told["id"]}")').to_json(),
        ],
    }


def replayed(told: Mapping[str, Any]) -> tuple[Envelope, list[tuple[Agreement, Mapping[str, Any]]]]:
    """Return a pledge's quote and how it stood after it and after each step that the exchange tells, with that step.

    Raises:
        Mismatch: if the exchange shows another pledge, or another state than the messages lead to.
    """
    quoted = Envelope.from_json(told["envelope"])
    made = Agreement.quoted(quoted)
    history: list[tuple[Agreement, Mapping[str, Any]]] = [(made, {})]
    for step in told["steps"]:
        if step["said"] is None:
            made = made.lapse()
        else:
            said = Envelope.from_json(step["said"])
            made = made.step(_message(said), said)
        history.append((made, step))
    if quoted.id != told["id"] or made.state != told["state"]:
        raise Mismatch("the pledge does not stand where the exchange says", fix="report the exchange")
    return quoted, history


def _message(said: Envelope) -> Step:
    cls = STEPS.get(said.kind)
    if cls is None:
        raise Malformed("the exchange shows a step that is none", fix="use a console of this release")
    return unverified(said, cls)


def _waits(state: str) -> str | None:
    return _WAITS[State(state)][0] if State(state) in _WAITS else None


def _waiting(made: Agreement, steps: list[dict[str, Any]]) -> dict[str, Any] | None:
    """What it waits for, who can act, since when and until when; ``None`` once it is over."""
    if made.state not in _WAITS:
        return None
    what, who = _WAITS[made.state]
    if made.waits_for_owner:
        what, who = msg("The owner signs or objects; its node answers by its policy"), msg("the owner")
    elif made.state is State.APPROVED:
        what, who = msg("The lender signs it"), msg("the lender")
    elif made.endorsed and made.state is State.QUOTED:
        what, who = msg("A second officer of the lender approves it"), msg("another officer of the lender")
    since = steps[-1]["at"] if steps else None
    return {"what": what, "who": who, "since": since, "until": made.cure_by or made.last_day}


def _step(step: Mapping[str, Any], *, before: int) -> dict[str, Any]:
    """One step as the time line shows it."""
    if step["said"] is None:
        return {
            "at": step["at"],
            "seq": step["seq"],
            "title": msg("Its last day passed"),
            "who": None,
            "told": [],
            "paid": [],
        }
    said = Envelope.from_json(step["said"])
    message = _message(said)
    within = message.level if isinstance(message, Notice) else getattr(message, "act", None)
    title = _TITLES.get(f"{said.kind} {within}", _TITLES.get(said.kind, said.kind))
    return {
        "at": step["at"],
        "seq": step["seq"],
        "title": title,
        "who": said.signer,
        "told": list(_told(message, before=before)),
        "paid": step["paid"] or [],
    }


def _told(message: Step, *, before: int) -> Iterator[dict[str, Any]]:
    """The particulars of a step: name, value and how it is written."""
    named = (
        ("amount", msg("amount"), "cents"), ("proceeds", msg("proceeds"), "cents"), ("costs", msg("costs of the sale"), "cents"),
        ("expires", msg("registered until"), "day"), ("cure_by", msg("to be cured by"), "day"), ("to", msg("new lender"), "text"),
        ("operator", msg("operator"), "text"), ("successor", msg("entitlements go to"), "text"), ("because", msg("because"), "text"),
        ("evidence", msg("evidence (SHA-256)"), "code"), ("other", msg("the other pledge"), "code"),
    )  # fmt: skip
    for name, label, kind in named:
        value = getattr(message, name, None)
        if value not in (None, "") and not isinstance(value, Creditor):
            yield {"label": label, "value": value, "as": kind}
    if message.kind == "pledge-payment":
        yield {"label": msg("claimed before"), "value": before, "as": "cents"}


def _watched(place: Place, asset: str) -> Mapping[str, Any] | None:
    """What the register knows of the rows, if it tells this party."""
    try:
        told: Mapping[str, Any] = place.get("collateral", *asset.split("/", 1))
    except (Unknown, Forbidden):
        return None
    return told


def _cover(place: Place, quoted: Envelope, history: list[tuple[Agreement, Mapping[str, Any]]]) -> dict[str, Any]:
    """The claim over time, and its share of the recognised value where the report that the quote cites is open here.

    That it is that report follows from its digest: the quote names the hash of what its lender recorded.
    """
    report = next((one for one in place.papers.every(Kind.REPORT) if _cites(quoted, one.document)), None)
    value = bands = None
    if report is not None:
        reading = Reading(report.document)
        recognised = reading.concluded("recognised")
        value = None if recognised is None or recognised.amount <= 0 else recognised.amount
        found = {name: reading.get(f"margin.{name}") for name in _BANDS}
        bands = {name: str(held.amount if held is not None else _BANDS[name]) for name, held in found.items()}
    points = [
        {
            "on": step["at"][:10],
            "day": date.fromisoformat(step["at"][:10]).toordinal(),
            "claim": made.claim,
            "secured": made.secured,
            "ltv": None if value is None else f"{Decimal(made.claim) / 100 / value:.4f}",
            "state": made.state.value,
        }
        for made, step in history[1:]
    ]
    return {
        "report": None if report is None else report.name,
        "recognised": None if value is None else str(value),
        "bands": bands,
        "points": points,
        "path": _stepped(points),
        "days": len({point["on"] for point in points}),
        "drawn": any(point["claim"] for point in points),
    }


def _stepped(points: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The points with each value held until the day on which it changes."""
    held = [
        {**after, **{name: before[name] for name in ("claim", "secured", "ltv")}} for before, after in pairwise(points)
    ]
    return points[:1] + [one for pair in zip(held, points[1:], strict=True) for one in pair]


def _cites(quoted: Envelope, report: Mapping[str, Any]) -> bool:
    told = unverified(quoted, Quote)
    body = Appraisal(asset=told.asset, report=str(report["digest"]), releases=tuple(report["releases"]))
    text = canonical.encode(body.model_dump(mode="json"))
    return Envelope(kind=Appraisal.kind, signer=quoted.signer, body=text, signature=b"").id == told.appraisal


def hand_out(visit: Visit, file: str) -> Offer:
    """Return the certificate of a registered pledge, or the field sheet for the national registry of movables."""
    if file not in _FILES:
        raise Unknown("file of a pledge")
    name = visit.path["id"]
    if file == "certificate.json":
        told = visit.place.get("pledges", name, "certificate")
    else:
        told = visit.place.get("pledges", name, "form")
    if file.endswith(".html"):
        from api.printing.field_sheet_page import render  # noqa: PLC0415

        return Offer(f"{name[:16]}-{file}", _FILES[file], render(told).encode())
    text = json.dumps(told, indent=2, ensure_ascii=False) + "\n"
    return Offer(f"{name[:16]}-{file}", _FILES[file], text.encode())


LIST, ONE = "/pledges", "/pledges/{id}"
_READ_ONLY = frozenset({EXCHANGE, NODE})
PAGES = (
    Page(LIST, "pledges.html", msg("Pledges"), every, group=msg("Lending"), places=_READ_ONLY),
    Page(ONE, "pledge.html", msg("Pledge"), one, places=_READ_ONLY, give=hand_out),
)
