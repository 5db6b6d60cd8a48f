"""``touchstone desk``, ``query`` and ``job``: an asker's keys and questions."""

import json
from pathlib import Path
from typing import Annotated

import typer

from api.commands import inviting
from api.commands.homes import Address, Home, document, key_of

desk_app = typer.Typer(no_args_is_help=True, help="Keep an asker's keys.")
job_app = typer.Typer(no_args_is_help=True, help="Find questions again that were asked.")

Session = Annotated[str, typer.Argument(help="Id of the question's session, or its beginning.")]


@desk_app.command("init")
def desk_init(
    home: Home,
    party: Annotated[str, typer.Argument(help="Short name of the asker.")],
    pins: Annotated[Path, typer.Argument(help="Keys of the institutions, checked out of band: {name: key} (JSON).")],
) -> None:
    """Make an asker's keys and print the public one, to be enrolled with the exchange."""
    from exchange.analyst.desk import create  # noqa: PLC0415
    from privacy.terms import check_party  # noqa: PLC0415

    pinned = {check_party(name): key_of(key) for name, key in document(pins).items()}
    key = create(home, party=check_party(party), pinned=pinned)
    typer.echo(key.public_key().public_bytes_raw().hex())


desk_app.command("pin")(inviting.pin)


def query(
    home: Home,
    *,
    purpose: Annotated[str, typer.Option(help="Declared purpose, for example credit-risk-statistics.")],
    exchange: Address,
    sql: Annotated[str | None, typer.Option("-e", "--sql", help="Joint SQL over a standard.")] = None,
    file: Annotated[Path | None, typer.Option("-f", "--file", help="File that holds the statement.")] = None,
    accuracy: Annotated[
        list[str] | None, typer.Option(help="Half-width wanted at 95 %, as column=number; may be repeated.")
    ] = None,
    budget: Annotated[
        float | None, typer.Option(min=1e-9, max=100, help="Price in rho that each institution charges.")
    ] = None,
    rows: Annotated[int | None, typer.Option(min=1, help="Rows to expect in a group, for predicted errors.")] = None,
    preview: Annotated[bool, typer.Option("--preview", help="Tell price, error and verdicts; ask nothing.")] = False,
    fresh: Annotated[bool, typer.Option("--fresh", help="Ask even where a stored answer would do.")] = False,
    shared: Annotated[
        int | None, typer.Option(min=0, help="Share the noise: withstand this many colluding institutions.")
    ] = None,
    standard: Annotated[
        str | None, typer.Option(help="Standard to read from, name/version; the newest of this name if not given.")
    ] = None,
    keep_days: Annotated[
        int | None, typer.Option(min=0, help="Days that you keep the answer at most; as long as the purpose needs.")
    ] = None,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="Write to a file: .parquet, .csv, .xlsx or .json.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Ask a joint question and print each value with its 95 % half-width, the price and the receipt."""
    from api.commands import asking  # noqa: PLC0415
    from exchange import connect  # noqa: PLC0415

    text = asking.statement(sql, file)
    with connect(home, exchange) as client, asking.pointing_at(text):
        inquiry = client.query(
            text,
            purpose=purpose,
            accuracy=asking.wanted_errors(accuracy) if accuracy else None,
            budget=budget,
            rows=rows,
            shared=shared,
            standard=standard,
            fresh=fresh,
            keep_days=keep_days,
        )
        if preview:
            asking.show_preview(inquiry.preview(), as_json=as_json)
        else:
            asking.show(asking.follow(inquiry), as_json=as_json, output=output)


@job_app.command("list")
def job_list(
    home: Home,
    *,
    exchange: Address,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """List every question that this desk put, newest first."""
    from api.commands import asking  # noqa: PLC0415
    from exchange import connect  # noqa: PLC0415

    with connect(home, exchange) as client:
        asking.list_jobs(client, as_json=as_json)


@job_app.command("show")
def job_show(
    home: Home,
    session: Session,
    *,
    exchange: Address,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="Write to a file: .parquet, .csv, .xlsx or .json.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Print the answer of a question; one that is still open is followed to its end."""
    from api.commands import asking  # noqa: PLC0415
    from exchange import connect  # noqa: PLC0415

    with connect(home, exchange) as client:
        asking.show(client.job(session).result(), as_json=as_json, output=output)


@job_app.command("watch")
def job_watch(home: Home, session: Session, *, exchange: Address) -> None:
    """Follow a question to its end: one JSON line for each piece of news, the last one marked as such."""
    from api.commands import asking  # noqa: PLC0415
    from exchange import connect  # noqa: PLC0415

    with connect(home, exchange) as client:
        asking.watch_job(client, session)


@job_app.command("receipt")
def job_receipt(home: Home, session: Session, *, exchange: Address) -> None:
    """Print the receipt of an answered question as JSON."""
    from exchange import connect  # noqa: PLC0415

    with connect(home, exchange) as client:
        typer.echo(json.dumps(client.job(session).receipt(), indent=2, ensure_ascii=False))


@job_app.command("proof")
def job_proof(home: Home, session: Session, *, exchange: Address) -> None:
    """Prove that a question, its answers and charges are in the exchange's log; the proof is kept beside the receipt."""
    from exchange import connect  # noqa: PLC0415

    with connect(home, exchange) as client:
        typer.echo(json.dumps(client.job(session).proof(), indent=2))
