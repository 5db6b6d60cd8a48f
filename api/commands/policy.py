"""Policies on files, before they are in force: who may do what and why, what a change opens, what is wrong with one.

Everything here is offline: policy documents and the standards that ship with this release.
"""

import json
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from api.commands.homes import document

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from rich.table import Table

    from exchange.analyst.question import Question
    from privacy.necessity import Decision
    from privacy.openings import Change
    from privacy.permissions import Permission, Person
    from privacy.policy import Policy
    from privacy.terms import Standard

policy_app = typer.Typer(no_args_is_help=True, help="Read policies before they are in force.")

OPENS = 1
"""Exit code of ``diff --no-new-access`` when something is opened, and of ``check`` when something is found."""
REFUSED = 3

File = Annotated[Path, typer.Argument(help="A policy (JSON).")]
Files = Annotated[list[Path], typer.Argument(help="Policies (JSON); several must all allow what is asked.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
On = Annotated[
    str | None, typer.Option("--on", help="Day of the question, for example 2026-12-31; today if not given.")
]


@policy_app.command()
def explain(
    files: Files,
    *,
    sql: Annotated[str | None, typer.Option("-e", "--sql", help="A statement to judge.")] = None,
    party: Annotated[str, typer.Option("--as", help="Who asks.")] = "anybody-else",
    role: Annotated[str | None, typer.Option(help="The asker's role: institution, lender or regulator.")] = None,
    purpose: Annotated[str, typer.Option(help="The purpose that it is asked for.")] = "credit-risk-statistics",
    budget: Annotated[
        float | None, typer.Option(min=1e-9, max=100, help="Price in rho; the owners' if not given.")
    ] = None,
    parties: Annotated[int | None, typer.Option(min=1, help="How many institutions answer together.")] = None,
    keep_days: Annotated[int | None, typer.Option(min=0, help="Days that the answer is kept.")] = None,
    on: On = None,
    as_json: Json = False,
) -> None:
    """Say who may do what for which purpose and on what conditions; with -e, judge one statement, item by item."""
    policies, standard = _read(files)
    if sql is None:
        _explain_grants(policies, standard, as_json=as_json)
        return
    from privacy.permissions import Person  # noqa: PLC0415

    asked = _question(
        sql, policies, standard, who=Person(party, role or ""), purpose=purpose, budget=budget, parties=parties,
        keeps=keep_days, on=_day(on),
    )  # fmt: skip
    _explain_decision(*asked, standard=standard, as_json=as_json)


@policy_app.command()
def simulate(
    files: Files,
    *,
    party: Annotated[list[str] | None, typer.Option("--as", help="Tell of this party alone; may be repeated.")] = None,
    purpose: Annotated[list[str] | None, typer.Option(help="Tell of this purpose alone; may be repeated.")] = None,
    on: On = None,
    as_json: Json = False,
) -> None:
    """Print who may use which column how, for each purpose, under all of the policies together."""
    from privacy.permissions import permissions, persons  # noqa: PLC0415

    policies, standard = _read(files)
    who = [one for one in persons(policies) if not party or one.party in party]
    found = [one for one in permissions(policies, standard, who, on=_day(on)) if not purpose or one.purpose in purpose]
    if as_json:
        _print(
            [
                {
                    "party": one.who.party,
                    "role": one.who.role,
                    "purpose": one.purpose,
                    "column": one.atom.column,
                    "use": one.atom.use,
                    "allowed": one.allowed,
                    "reasons": list(one.reasons),
                }
                for one in found
            ]
        )
        return
    _show(_matrix(found))


@policy_app.command()
def diff(
    old: Annotated[Path, typer.Argument(help="The policy in force (JSON).")],
    new: Annotated[Path, typer.Argument(help="The policy that is to replace it (JSON).")],
    *,
    no_new_access: Annotated[
        bool, typer.Option("--no-new-access", help="Exit with 1 if the new policy opens anything.")
    ] = False,
    on: On = None,
    as_json: Json = False,
) -> None:
    """Say in plain words what a new policy opens and closes, with a request that shows it."""
    from privacy.openings import opened  # noqa: PLC0415

    (before, after), standard = _read([old, new])
    opens = opened(before, after, standard, on=_day(on))
    closes = opened(after, before, standard, on=_day(on))
    if as_json:
        _print({"opens": [_change(one) for one in opens], "closes": [_change(one) for one in closes]})
    else:
        for title, changes in (("opens", opens), ("closes", closes)):
            typer.echo(f"{title}: {'nothing' if not changes else ''}".rstrip())
            for one in changes:
                typer.echo(f"  - {_who(one.who)}{'' if one.purpose == '*' else f' for {one.purpose}'}: {one.what}")
                if one.example:
                    typer.echo(f"    {'now' if title == 'opens' else 'no longer'}: {one.example}")
    if no_new_access and opens:
        raise typer.Exit(OPENS)


@policy_app.command()
def check(file: File, *, as_json: Json = False) -> None:
    """Say what a data office should look at again: grants in vain, too wide, twice, or beyond what budgets bear."""
    from privacy.permissions import findings  # noqa: PLC0415

    (policy,), standard = _read([file])
    found = list(findings(policy, standard))
    if as_json:
        _print({"findings": found})
    else:
        for text in found:
            typer.echo(f"- {text}")
        typer.echo("nothing to mend" if not found else f"{len(found)} findings")
    if found:
        raise typer.Exit(OPENS)


@policy_app.command()
def verify(
    answer: Annotated[Path, typer.Argument(help="A stored answer: HOME/answers/SESSION.json of the desk that asked.")],
    files: Annotated[
        list[Path] | None, typer.Argument(help="Policies (JSON) that are said to have granted it.")
    ] = None,
    *,
    as_json: Json = False,
) -> None:
    """Check the necessity proof of an answer offline: what it needed, who granted it, what stayed closed."""
    from exchange.analyst.shelf import Stored  # noqa: PLC0415
    from exchange.standards import shipped  # noqa: PLC0415
    from privacy import proof  # noqa: PLC0415
    from privacy.policy import Policy  # noqa: PLC0415

    stored = Stored.from_json(document(answer))
    plan = stored.release.plan
    told: Any = stored.receipt.get("necessity")
    policies = [Policy.from_json(document(path)) for path in files or []]
    uses = proof.verify(told, plan, shipped(plan.standard), policies=policies)
    if as_json:
        _print(told)
        return
    typer.echo(f"the proof holds: {uses} uses, each needed for {told['asked']['purpose']}")
    for item in told["needed"]:
        typer.echo(f"  {item['use']}: without it fail {'; '.join(item['without_it_fails'])}")
    typer.echo(f"granted by: {', '.join(f'{owner} ({digest[:16]})' for owner, digest in told['granted'].items())}")
    typer.echo(f"policies at hand that granted it: {', '.join(policy.id for policy in policies) or 'none was given'}")
    for column, reason in proof.closed(told):
        typer.echo(f"  closed: {column}: {reason}")


@policy_app.command("export")
def export_odrl(file: File) -> None:
    """Print a policy as an ODRL 2.2 offer with DPV purposes (JSON-LD); the policy document is what counts."""
    from exchange.interop import odrl  # noqa: PLC0415

    (policy,), _ = _read([file])
    _print(odrl.export(policy))


@policy_app.command("import")
def import_odrl(file: Annotated[Path, typer.Argument(help="An ODRL offer (JSON-LD).")]) -> None:
    """Print the policy that an exported ODRL offer says; a term that is not understood is refused."""
    from exchange.interop import odrl  # noqa: PLC0415

    _print(odrl.read(document(file)).to_json())


# -- reading ---------------------------------------------------------------------------------------------------------


def _read(paths: "Iterable[Path]") -> "tuple[list[Policy], Standard]":
    from exchange.standards import shipped  # noqa: PLC0415
    from privacy.errors import Malformed  # noqa: PLC0415
    from privacy.policy import Policy  # noqa: PLC0415

    policies = [Policy.from_json(document(path)) for path in paths]
    named = {policy.standard for policy in policies}
    if len(named) != 1:
        raise Malformed("the policies are for several standards", fix="compare policies of one standard")
    return policies, shipped(named.pop())


def _day(text: str | None) -> date:
    from privacy.errors import Malformed  # noqa: PLC0415

    try:
        return datetime.now(tz=UTC).date() if text is None else date.fromisoformat(text)
    except ValueError:
        raise Malformed("the day is none", fix="write it as 2026-12-31") from None


def _question(
    sql: str,
    policies: "list[Policy]",
    standard: "Standard",
    *,
    who: "Person",
    purpose: str,
    budget: float | None,
    parties: int | None,
    keeps: int | None,
    on: date,
) -> "tuple[Question, Decision, str | None]":
    """Judge a statement; return the question, the decision and the statement of the nearest request, if there is one."""
    from exchange.analyst.narrowing import narrow  # noqa: PLC0415
    from exchange.analyst.reading import parse  # noqa: PLC0415
    from exchange.analyst.spelling import spell  # noqa: PLC0415
    from privacy.necessity import decide  # noqa: PLC0415
    from privacy.offences import Request  # noqa: PLC0415
    from privacy.purposes import PURPOSES  # noqa: PLC0415
    from privacy.terms import NANO  # noqa: PLC0415

    template = PURPOSES.get(purpose)
    owners = list(dict.fromkeys(policy.owner for policy in policies))
    most = parties or max([1 if template is None else template.min_parties, len(owners)])
    others = [f"institution-{number}" for number in range(1, most - len(owners) + 1)]
    prices = [
        grant.rho_per_query
        for policy in policies
        for grant in policy.granted(purpose)
        if grant.admits(who.party, who.role or None)
    ]
    rho = round(budget * NANO) if budget is not None else max(1, min(prices, default=NANO // 10))
    question = parse(sql, standard=standard, purpose=purpose, parties=(*owners, *others), rho=rho)
    days = keeps if keeps is not None else (0 if template is None else template.keeps)
    request = Request(question.plan, who.party, who.role or None, days, on)
    decision = decide(request, standard=standard, policies=policies)
    offered = None if decision.nearest is None else narrow(question, decision.nearest)
    return question, decision, None if offered is None else spell(offered, standard)


# -- printing --------------------------------------------------------------------------------------------------------


def _print(value: Any) -> None:
    typer.echo(json.dumps(value, ensure_ascii=False, indent=2))


def _show(table: "Table") -> None:
    from rich.console import Console  # noqa: PLC0415

    Console().print(table)


def _who(listed: "tuple[Person, ...]") -> str:
    if not listed:
        return "everybody"
    roles: dict[str, list[str]] = {}
    for one in listed:
        roles.setdefault(one.party, []).append(one.role)
    return ", ".join(f"{name} ({', '.join(held)})" if len(held) < 3 else name for name, held in roles.items())


def _change(one: "Change") -> dict[str, Any]:
    return {"who": [str(who) for who in one.who], "purpose": one.purpose, "what": one.what, "example": one.example}


def _matrix(found: "list[Permission]") -> "Table":
    """One row for each party, purpose and column that is open at all; the rest is closed."""
    from rich.table import Table  # noqa: PLC0415

    rows: dict[tuple[str, str, str], dict[str, list[str]]] = {}
    for one in found:
        if one.allowed:
            held = rows.setdefault((one.who.party, one.purpose, one.atom.column), {})
            held.setdefault(one.atom.use, []).append(one.who.role)
    view = Table(show_edge=False, caption="what is not listed is refused")
    for name in ("who", "purpose", "column", "uses"):
        view.add_column(name, overflow="fold")
    for (party, purpose, column), uses in rows.items():
        told = ", ".join(use if len(set(roles)) == 3 else f"{use} ({', '.join(roles)})" for use, roles in uses.items())
        view.add_row(party, purpose, "rows" if column == "*" else column, told)
    return view


def _explain_grants(policies: "list[Policy]", standard: "Standard", *, as_json: bool) -> None:
    from privacy.permissions import conditions  # noqa: PLC0415
    from privacy.purposes import PURPOSES  # noqa: PLC0415

    told: list[dict[str, Any]] = [
        {
            "policy": policy.id,
            "purpose": grant.purpose,
            "title": PURPOSES[grant.purpose].title,
            "recipients": list(grant.recipients),
            "columns": {column: list(uses) for column, uses in grant.columns.items()},
            "conditions": list(conditions(grant, standard)),
        }
        for policy in policies
        for grant in policy.grants
    ]
    struck = [(policy.id, one.to_json()) for policy in policies for one in policy.prohibitions]
    if as_json:
        _print({"grants": told, "prohibitions": [{"policy": name, **one} for name, one in struck]})
        return
    for one in told:
        typer.echo(f"{one['policy']} opens to {', '.join(one['recipients'])} for {one['purpose']} ({one['title']}):")
        for column, uses in one["columns"].items():
            typer.echo(f"  {'rows' if column == '*' else column}: {', '.join(uses)}")
        for condition in one["conditions"]:
            typer.echo(f"  - {condition}")
    for name, item in struck:
        typer.echo(
            f"{name} prohibits, whatever is granted: {', '.join(f'{key} {value}' for key, value in item.items())}"
        )


def _place(item: str, places: "Mapping[str, tuple[int, int]]") -> list[int] | None:
    """Return line and column (from 1) of an item in the statement: of the use it names, or of the first use of its column."""
    column = item.rpartition(" of ")[2]
    found = [at for name, at in places.items() if name == item or (column != item and name.startswith(f"{column} as "))]
    return list(min(found)) if found else None


def _explain_decision(
    question: "Question", decision: "Decision", nearest: str | None, *, standard: "Standard", as_json: bool
) -> None:
    from privacy.atoms import atoms  # noqa: PLC0415
    from privacy.necessity import shown_from  # noqa: PLC0415
    from privacy.terms import rho  # noqa: PLC0415

    plan, places = question.plan, question.places
    items = [one.to_json() | {"at": _place(one.item, places)} for one in decision.violations]
    told: dict[str, Any] = {
        "outcome": decision.outcome.value,
        "uses": [str(atom) for atom in atoms(plan)],
        "items": items,
        "nearest": nearest,
        "nearest_budget_rho": None if decision.nearest is None else decision.nearest.rho / 1e9,
        "nearest_keep_days": decision.keeps,
        "groups_shown_from": max(
            (shown_from(plan, standard=standard, grant=grant) for grant in decision.grants), default=None
        ),
    }
    if as_json:
        _print(told)
    else:
        typer.echo(f"{decision.outcome.value}: it uses {', '.join(map(str, told['uses']))}")
        for item in items:
            at = "" if item["at"] is None else " at {}:{}".format(*item["at"])
            typer.echo(f"  - {item['item']}{at}: {item['why']} ({item['layer']}: {item['rule']}); {item['fix']}")
        if nearest is not None and decision.nearest is not None:
            price = f"--budget {rho(decision.nearest.rho)} --keep-days {decision.keeps}"
            typer.echo(f"  the nearest request that passes: {nearest} {price}")
    if not decision.allowed:
        raise typer.Exit(REFUSED)
