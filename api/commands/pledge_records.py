"""What is on record of pledges, on the command line: lists, states, certificates and the field sheet."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from api.commands.homes import Address
from api.commands.pledging import Home, Name, opened, payouts, shown
from api.commands.terminal import tell

AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]


def every(home: Home, *, exchange: Address, as_json: AsJson = False) -> None:
    """List the pledges that concern you, newest first."""
    with opened(home, exchange) as pledges:
        found = pledges.every()
    if as_json:
        tell({"pledges": found})
        return
    for one in found:
        typer.echo(f"{one['id'][:16]}  {one['state']:<11}  rank {one['rank']}  {one['asset']}  {one['lender']}")
    if not found:
        typer.echo("No pledge concerns you.")


def status(home: Home, name: Name, *, exchange: Address, as_json: AsJson = False) -> None:
    """Show where a pledge stands and how it came there."""
    with opened(home, exchange) as pledges:
        made, told = pledges.show(pledges.find(name))
    if as_json:
        tell(told)
        return
    typer.echo(f"pledge    {made.id}")
    typer.echo(f"asset     {made.asset}, rank {made.rank}{', forbids later ranks' if made.forbids_juniors else ''}")
    typer.echo(f"lender    {made.holder}{'' if made.holder == made.lender else f', quoted by {made.lender}'}")
    typer.echo(f"state     {made.state}")
    typer.echo(f"secured   {shown(made.secured)} yuan at most; claimed {shown(made.claim)}")
    typer.echo(f"until     {made.matures} (loan), {made.expires or 'not registered'} (registration)")
    if told["position"] is not None:
        typer.echo(f"position  entry {told['position']} of the journal, since {told['since']}")
    if made.terms is not None:
        operators = ", ".join(made.terms.operators)
        shut = ", nobody else is answered then" if made.terms.exclusive else ""
        typer.echo(f"step-in   {operators} for {made.terms.purpose}, {made.reserve / 1e9:g} rho kept back{shut}")
    if told["search"] is not None:
        typer.echo(f"copies    {_searched(told['search'])}")
    if made.state == "margin_call":
        typer.echo(f"cure by   {made.cure_by}")
    if made.operator is not None:
        typer.echo(f"operator  {made.operator}")
    for step in told["steps"]:
        said = step["said"]
        who = ("lapsed", "") if said is None else (said["kind"], said["signer"])
        typer.echo(f"  {step['at']}  {who[0]}  {who[1]}")
        for line in payouts(step["paid"] or ()):
            typer.echo(f"    {line}")


def certificate(
    home: Home,
    name: Name,
    *,
    exchange: Address,
    output: Annotated[Path | None, typer.Option("-o", "--output", help="Write it here.")] = None,
) -> None:
    """Fetch a registered pledge's certificate, which anybody can verify offline."""
    with opened(home, exchange) as pledges:
        told = pledges.certificate(pledges.find(name))
    _write(json.dumps(told, indent=2, ensure_ascii=False), output)


def verify(
    file: Annotated[Path, typer.Argument(help="A certificate of a pledge, JSON.")],
    *,
    key: Annotated[str, typer.Option(help="The exchange's key, compared out of band: 64 hexadecimal digits.")],
) -> None:
    """Check a pledge's certificate offline and tell what it proves; exit 0 only if every signature, hash and step holds."""
    from exchange.protocol.pledge_certificate import verify as verified  # noqa: PLC0415
    from privacy.errors import Malformed  # noqa: PLC0415

    try:
        raw, document = bytes.fromhex(key), json.loads(file.read_text("utf-8"))
    except (OSError, ValueError, RecursionError):
        raise Malformed(
            "the key or the file cannot be read", fix="give 64 hexadecimal digits and a JSON file"
        ) from None
    pledged = verified(document, exchange_key=raw)
    made = pledged.agreement
    _print(
        {
            "valid": True,
            "pledge": made.id,
            "asset": made.asset,
            "rank": made.rank,
            "lender": made.holder,
            "owner": made.owner,
            "state": made.state.value,
            "secured_cents": made.secured,
            "claim_cents": made.claim,
            "expires": made.expires,
            "position": pledged.position,
            "as_of_entry": pledged.told.head.seq,
        }
    )


def form(
    home: Home,
    name: Name,
    *,
    exchange: Address,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="Write it here: .html to print, else JSON.")
    ] = None,
) -> None:
    """Write the field sheet of a registered pledge for the national registry of movables."""
    with opened(home, exchange) as pledges:
        sheet = pledges.field_sheet(pledges.find(name))
    if output is not None and output.suffix.lower() in {".html", ".htm"}:
        from api.printing.field_sheet_page import render  # noqa: PLC0415

        output.write_text(render(sheet), "utf-8")
    else:
        _write(json.dumps(sheet, indent=2, ensure_ascii=False), output)


COMMANDS: Mapping[str, Callable[..., None]] = {
    "list": every, "status": status, "certificate": certificate, "verify": verify, "form": form,
}  # fmt: skip


def _searched(search: Mapping[str, Any]) -> str:
    """What the search for copies found when the pledge was filed last, in a few words."""
    alike = [one.get("asset", "an asset without a lien") for one in search["found"]]
    return f"{search['state']}{': like ' if alike else ''}{', '.join(alike)}"


def _write(text: str, output: Path | None) -> None:
    if output is None:
        typer.echo(text)
    else:
        output.write_text(text + "\n", "utf-8")


def _print(value: Any) -> None:
    typer.echo(json.dumps(value, indent=2, ensure_ascii=False))
