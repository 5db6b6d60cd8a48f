"""Access on the command line: asking owners for it, and an officer's inbox and rulings. Everything goes through the exchange."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from api.commands.homes import Address
from api.commands.terminal import tell

if TYPE_CHECKING:
    from datetime import date

    from exchange.analyst.access import Access, Asked
    from exchange.analyst.desk import Desk

app = typer.Typer(no_args_is_help=True, help="Ask owners for access; rule on what others ask.")

Home = Annotated[Path, typer.Argument(help="Directory that holds the keys of an asker or an officer.")]
Name = Annotated[str, typer.Argument(metavar="ID", help="Id of the request, or its beginning.")]
Owner = Annotated[str | None, typer.Option("--for", help="Institution for which you rule, if it could be several.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]


@app.command()
def request(
    home: Home,
    *,
    purpose: Annotated[str, typer.Option(help="Declared purpose, for example credit-risk-statistics.")],
    why: Annotated[str, typer.Option(help="Why you ask, in one line, for the officers to read.")],
    exchange: Address,
    sql: Annotated[str | None, typer.Option("-e", "--sql", help="Joint SQL over a standard.")] = None,
    file: Annotated[Path | None, typer.Option("-f", "--file", help="File that holds the statement.")] = None,
    budget: Annotated[
        float | None, typer.Option(min=1e-9, max=100, help="Price in rho that each institution charges.")
    ] = None,
    standing: Annotated[
        bool, typer.Option("--standing", help="For every later question that needs no more, too.")
    ] = False,
    days: Annotated[int, typer.Option(min=1, max=90, help="Days within which officers may rule.")] = 30,
    as_json: AsJson = False,
) -> None:
    """Ask the owners of a question's data to approve it; prints the request's id."""
    from api.commands import asking  # noqa: PLC0415
    from exchange import connect  # noqa: PLC0415

    text = asking.statement(sql, file)
    with connect(home, exchange) as client, asking.pointing_at(text):
        plan = client.query(text, purpose=purpose, budget=budget).plan()
        access, today = _access(client.desk)
        name = access.ask(plan, why=why, standing=standing, closes=today + timedelta(days=days))
    if as_json:
        tell({"id": name})
    else:
        typer.echo(name)


@app.command("list")
def every(home: Home, *, exchange: Address, as_json: AsJson = False) -> None:
    """List the requests that you sent, or that concern your institution, newest first."""
    with _desk(home, exchange) as (access, _, _):
        listed = list(access.every())
    if as_json:
        tell({"requests": [document(one) for one in listed]})
        return
    from rich.console import Console  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415

    view = Table(show_edge=False)
    for name in ("id", "since", "asker", "purpose", "state"):
        view.add_column(name, overflow="fold")
    for one in listed:
        view.add_row(one.id[:16], one.since, one.asker, one.plan.purpose, one.state)
    Console().print(view)


@app.command()
def inbox(home: Home, *, exchange: Address, as_json: AsJson = False) -> None:
    """Show an officer what waits for a ruling, oldest first, each with what an approval would give away."""
    from exchange.protocol.access import OPEN  # noqa: PLC0415

    with _desk(home, exchange) as (access, desk, today):
        found = [
            (one, {owner: consequence_of(desk, one, owner, today)})
            for one in reversed(list(access.every()))
            for owner, side in one.sides.items()
            if side.own and side.case.standing in OPEN
        ]
    if as_json:
        told = [document(one) | {"consequences": sentences} for one, sentences in found]
        tell({"requests": told})
        return
    for one, sentences in found:
        for owner, sentence in sentences.items():
            typer.echo(f"{one.id[:16]}  {one.sides[owner].case.standing} for {owner} until {one.closes}")
            typer.echo(f"  {sentence}")
            typer.echo(f"  reason given: {one.why}")
    if not found:
        typer.echo("Nothing waits for a ruling.")


@app.command()
def show(home: Home, name: Name, *, exchange: Address, as_json: AsJson = False) -> None:
    """Show a request: the question as SQL, the reason given, where it stands, and to officers what they ruled."""
    with _desk(home, exchange) as (access, desk, today):
        one = access.find(name)
        sentences = {owner: consequence_of(desk, one, owner, today) for owner, side in one.sides.items() if side.own}
        told = document(one) | {"consequences": sentences, "sql": sql_of(desk, one)}
    if as_json:
        tell(told)
        return
    typer.echo(f"request   {one.id}")
    typer.echo(
        f"asker     {one.asker}{'' if one.known else ' (the node checks the signature when you rule)'}, {one.since}"
    )
    typer.echo(f"purpose   {one.plan.purpose}")
    typer.echo(f"covers    {'every later question that needs no more' if one.standing else 'this question alone'}")
    typer.echo(f"question  {told['sql']}")
    typer.echo(f"reason    {one.why}")
    typer.echo(f"state     {one.state}")
    for owner, side in told["owners"].items():
        details = [side["standing"]]
        details += [f"until {side['until']}"] if side["until"] else []
        details += [side["reason"]] if side["reason"] else []
        typer.echo(f"  {owner}: {', '.join(details)}")
        for ruling in side["rulings"]:
            word = "waits for the node" if ruling["counted"] is None else "counted" if ruling["counted"] else "no"
            counted = f"counts for nothing: {ruling['told']}" if word == "no" else word
            typer.echo(f"    {ruling['officer']}: {ruling['act']} ({counted})")
    for sentence in sentences.values():
        typer.echo(sentence)


@app.command()
def approve(
    home: Home,
    name: Name,
    *,
    exchange: Address,
    days: Annotated[int, typer.Option(min=0, max=3660, help="Days that the approval lasts, today not counted.")] = 30,
    owner: Owner = None,
) -> None:
    """Approve a request as an officer, and wait for your institution's node to take it."""
    from exchange.protocol.access import Act  # noqa: PLC0415

    with _desk(home, exchange) as (access, _, today):
        word = access.rule(access.find(name), Act.APPROVE, owner=owner, until=today + timedelta(days=days))
    typer.echo(f"approved until {word.until}" if word.until else "approved; another officer must approve as well")


@app.command()
def refuse(
    home: Home,
    name: Name,
    *,
    because: Annotated[str, typer.Option(help="The reason, in one line, for the asker to read.")],
    exchange: Address,
    owner: Owner = None,
) -> None:
    """Refuse a request as an officer."""
    from exchange.protocol.access import Act  # noqa: PLC0415

    with _desk(home, exchange) as (access, _, _):
        access.rule(access.find(name), Act.REFUSE, owner=owner, because=because)
    typer.echo("refused")


@app.command()
def withdraw(
    home: Home,
    name: Name,
    *,
    exchange: Address,
    because: Annotated[str, typer.Option(help="The reason, in one line, for the asker to read.")] = "",
    owner: Owner = None,
) -> None:
    """Take an approval back as an officer: from then on no question is covered by it."""
    from exchange.protocol.access import Act  # noqa: PLC0415

    with _desk(home, exchange) as (access, _, _):
        access.rule(access.find(name), Act.WITHDRAW, owner=owner, because=because)
    typer.echo("withdrawn")


@contextmanager
def _desk(home: Path, exchange: str) -> "Iterator[tuple[Access, Desk, date]]":
    from exchange import connect  # noqa: PLC0415

    with connect(home, exchange) as client:
        access, today = _access(client.desk)
        yield access, client.desk, today


def _access(desk: "Desk") -> "tuple[Access, date]":
    from exchange.analyst.access import Access  # noqa: PLC0415
    from exchange.line import today  # noqa: PLC0415

    day = today()
    return Access(desk, today=day), day


def consequence_of(desk: "Desk", one: "Asked", owner: str, today: "date") -> str:
    """Return what an owner gives away by approving a request, in one sentence that is safe to show."""
    from exchange.analyst.consequence import consequence  # noqa: PLC0415
    from privacy.offences import Request  # noqa: PLC0415

    standard, policy = _standard(desk, one), one.sides[owner].policy
    request = Request(one.plan, one.asker, desk.role(one.asker), keeps=0, on=today)
    return printable(consequence(request, standing=one.standing, standard=standard, policy=policy))


def sql_of(desk: "Desk", one: "Asked") -> str:
    """Return a request's question as a statement that asks for everything in its plan; empty if the language has none."""
    from exchange.analyst.consequence import statement  # noqa: PLC0415

    return printable(statement(one.plan, _standard(desk, one)))


def _standard(desk: "Desk", one: "Asked") -> Any:
    from privacy.errors import Mismatch  # noqa: PLC0415

    standard = desk.standard(one.plan.standard)
    if standard.digest != one.plan.standard_digest:
        raise Mismatch("the exchange shows another standard than the plan was made for", fix="report the exchange")
    return standard


def document(one: "Asked") -> dict[str, Any]:
    """Return a request as the JSON object that commands print."""
    return {
        "id": one.id,
        "since": one.since,
        "asker": one.asker,
        "asker_known": one.known,
        "purpose": one.plan.purpose,
        "standing": one.standing,
        "closes": one.closes.isoformat(),
        "why": one.why,
        "state": one.state,
        "waiting_for": list(one.waiting_for),
        "plan": one.plan.to_json(),
        "owners": {
            owner: {
                "standing": side.case.standing.value,
                "until": None if side.case.until is None else side.case.until.isoformat(),
                "reason": printable(side.reason),
                "rulings": [
                    {
                        "officer": move.officer,
                        "act": move.ruling.act.value,
                        "until": move.ruling.until,
                        "because": move.ruling.because,
                        "counted": None if move.word is None else move.word.counted,
                        "told": "" if move.word is None else printable(move.word.reason),
                    }
                    for move in side.rulings
                ],
            }
            for owner, side in one.sides.items()
        },
    }


def printable(text: str) -> str:
    """Leave out what could steer the reader's screen: values in a plan are whatever its asker put there."""
    return "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in text)
