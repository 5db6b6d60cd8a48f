"""The policy of a dataset: what is in force in words, what it would say to whom, what a draft would change, and publishing it."""

import json
from collections.abc import Mapping
from typing import Any

from api.console.node.judging import LAYERS, WORDS, Case, askers, changes, effective, grid, judged
from api.console.node.place import NodePlace, beside
from api.console.node.rules import described
from api.console.pages import Offer, Page, Visit
from api.console.places import NODE, Same
from api.console.wording import msg
from api.problems import document
from exchange.node.registration import amend, read_policy
from exchange.node.source import Dataset
from exchange.protocol.errors import Unknown
from privacy.atoms import USES
from privacy.errors import Malformed, Mismatch, PrivacyError
from privacy.permissions import Person, findings
from privacy.policy import Policy
from privacy.purposes import PURPOSES


def listed(visit: Visit) -> Mapping[str, Any]:
    """Return the policies in force, one of each dataset."""
    place = beside(visit.place)
    rows = []
    for dataset in place.vault.datasets():
        policy = place.vault.policy(dataset.name)
        rows.append(
            {
                "dataset": dataset.name,
                "title": dataset.title,
                "standard": dataset.standard.id,
                "id": policy.id,
                "since": place.history.policies(dataset.name)[0].at,
                "purposes": list(dict.fromkeys(grant.purpose for grant in policy.grants)),
                "draft": place.drafts.find("policy", dataset.name) is not None,
                "findings": len(list(findings(policy, dataset.standard))),
            }
        )
    return {"policies": rows}


def show(visit: Visit) -> Mapping[str, Any]:
    """Return a policy in words and as JSON, the simulator's grid, one statement's verdict and what a draft would change."""
    place = beside(visit.place)
    dataset = place.dataset(visit.path["dataset"])
    policy = place.vault.policy(dataset.name)
    pointed = place.vault.pointed(dataset, place.today())  # with a step-in that is in force, as questions are judged
    people = askers(place, policy)
    case = _case(visit, place, policy, people)
    history = place.history.policies(dataset.name)
    return {
        "dataset": dataset.name,
        "title": dataset.title,
        "standard": dataset.standard.id,
        "policy": described(policy, dataset.standard),
        "since": history[0].at,
        "text": _text(policy.to_json()),
        "findings": list(findings(policy, dataset.standard)),
        "people": [{"party": one.party, "role": one.role} for one in people],
        "purposes": list(PURPOSES),
        "uses": list(USES),
        "words": WORDS,
        "layers": LAYERS,
        "asked": {"who": f"{case.who.party}:{case.who.role}", "purpose": case.purpose, "on": case.day.isoformat()},
        "who": {"party": case.who.party, "role": case.who.role},
        "grid": grid(pointed, dataset.standard, case),
        "effective": effective(place, dataset, pointed, case),
        "tried": _tried(visit, place, dataset, pointed, case),
        "draft": _draft(visit, place, dataset, policy),
        "history": [{"version": put.document["version"], "at": put.at} for put in history],
        "compared": _compared(visit, place, dataset, policy),
        "untold": place.untold.get(dataset.name),
        "same_as": _same(dataset, case, visit),
    }


def _case(visit: Visit, place: NodePlace, policy: Policy, people: list[Person]) -> Case:
    """Return who asks for what in the simulator: what the address says, where it says something that is offered."""
    named, _, role = visit.query.get("who", "").partition(":")
    # an address may name anybody, a party that is to be pinned tomorrow, too
    who = next((one for one in people if (one.party, one.role) == (named, role)), people[0])
    granted = [grant.purpose for grant in policy.grants] or list(PURPOSES)
    purpose = visit.query.get("purpose", "")
    return Case(who, purpose if purpose in PURPOSES else granted[0], place.today())


def _tried(visit: Visit, place: NodePlace, dataset: Dataset, policy: Policy, case: Case) -> Mapping[str, Any]:
    """Return what the node would say to the statement in the address, if there is one; what is wrong with it as a problem."""
    told = {name: visit.query.get(name, "").strip() for name in ("sql", "price", "keeps")}
    found: dict[str, Any] = {"asked": told, "verdict": None, "problem": None}
    if told["sql"]:
        try:
            found["verdict"] = judged(place, dataset, policy, case, **told)
        except PrivacyError as error:
            found["problem"] = document(error)
    return found


def _draft(visit: Visit, place: NodePlace, dataset: Dataset, policy: Policy) -> Mapping[str, Any]:
    """Return the draft of the next version, with what it opens and closes, or a copy of the one in force to start from."""
    kept = place.drafts.find("policy", dataset.name)
    start = policy.to_json() | {"version": policy.version + 1}
    text = visit.form.get("text") or _text(start if kept is None else kept)
    if kept is None:
        return {"text": text, "kept": False}
    try:
        drafted = read_policy(kept, dataset, owner=place.party)
    except PrivacyError as error:  # the dataset has changed since
        return {"text": text, "kept": False, "problem": document(error)}
    return {
        "text": text,
        "kept": True,
        "version": drafted.version,
        "digest": drafted.digest,
        "changes": changes(policy, drafted, dataset.standard, on=place.today()),
        "findings": list(findings(drafted, dataset.standard)),
    }


def _compared(visit: Visit, place: NodePlace, dataset: Dataset, policy: Policy) -> Mapping[str, Any] | None:
    """Return what the policy in force opens and closes against an earlier version that the address names."""
    for put in place.history.policies(dataset.name)[1:]:
        if str(put.document["version"]) == visit.query.get("against"):
            before = Policy.from_json(put.document)
            told = changes(before, policy, dataset.standard, on=place.today())
            return {"version": before.version, "changes": told}
    return None


def _same(dataset: Dataset, case: Case, visit: Visit) -> list[Mapping[str, str]]:
    who = f"--as {case.who.party} --role {case.who.role} --purpose {case.purpose}"
    sql = visit.query.get("sql", "").strip() or f"SELECT COUNT(*) FROM {dataset.standard.name}"
    quoted = sql.replace('"', '\\"')
    lines = [
        "touchstone policy explain policy.json",
        f'touchstone policy explain policy.json {who} -e "{quoted}"',
        "touchstone policy diff policy.json draft.json --no-new-access",
    ]
    return [
        Same(msg("Command line, on the file of the policy"), "\n".join(lines)).to_json(),
        Same(msg("The policy as a file"), f"GET /policies/{dataset.name}/as/policy.json").to_json(),
    ]


def act(visit: Visit) -> str:
    """Keep, throw away or publish a draft, or tell the exchange again.

    Raises:
        Malformed: if the draft is no policy for this dataset, or nobody confirmed what it opens.
        Mismatch: if the draft was changed after it was shown.
        PeerFault: if its version is not a new one.
    """
    place = beside(visit.place)
    dataset = place.dataset(visit.path["dataset"])
    address = f"/policies/{dataset.name}"
    match visit.form.get("do"):
        case "draft":
            drafted = read_policy(_parsed(visit.form.get("text", "")), dataset, owner=place.party)
            place.drafts.keep("policy", dataset.name, drafted.to_json())
            return f"{address}#draft"
        case "drop":
            place.drafts.drop("policy", dataset.name)
            return f"{address}#draft"
        case "publish":
            _publish(visit, place, dataset)
            return address
        case "tell":
            place.announce(dataset.name)
            return address
        case _:
            raise Malformed("the form does not say what to do", fix="use a button of the page")


def _publish(visit: Visit, place: NodePlace, dataset: Dataset) -> None:
    drafted = place.drafts.get("policy", dataset.name)
    if visit.form.get("confirmed") != "yes":
        raise Malformed("nobody has confirmed what the draft opens", fix="read what it opens, then check the box")
    if read_policy(drafted, dataset, owner=place.party).digest != visit.form.get("digest"):
        raise Mismatch("the draft was changed after it was shown", fix="read what it opens now")
    with place.alone():
        amend(place.vault, name=dataset.name, policy=drafted)
    place.drafts.drop("policy", dataset.name)
    place.announce(dataset.name)


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        raise Malformed(
            "the draft is not JSON", fix="start from the policy in force and change what you need"
        ) from None


def _text(policy: Mapping[str, Any]) -> str:
    return json.dumps(policy, ensure_ascii=False, indent=2)


def give(visit: Visit, name: str) -> Offer:
    """Return the policy in force, or the draft, as a file.

    Raises:
        Unknown: if another file is asked for, or there is no draft.
    """
    place = beside(visit.place)
    dataset = place.dataset(visit.path["dataset"])
    match name:
        case "policy.json":
            told: Mapping[str, Any] = place.vault.policy(dataset.name).to_json()
        case "draft.json":
            told = place.drafts.get("policy", dataset.name)
        case _:
            raise Unknown("file")
    return Offer(f"{dataset.name}-{name}", "application/json", f"{_text(told)}\n".encode())


PAGES = (
    Page(
        "/policies", "policies.html", msg("Policies"), listed, group=msg("What may be asked"), places=frozenset({NODE})
    ),
    Page("/policies/{dataset}", "policy.html", msg("Policy"), show, places=frozenset({NODE}), act=act, give=give),
)
