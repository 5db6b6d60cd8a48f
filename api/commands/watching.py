"""Commands over the identity of what is pledged: a node's fingerprints and confirmations, a lender's watch, a reviewer's rulings."""

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, cast

import typer

from api.commands.homes import Address, at_exchange, vault_of
from api.commands.terminal import tell

if TYPE_CHECKING:
    from datetime import date

    from exchange.line import Line
    from exchange.node.watch import Watch

Home = Annotated[Path, typer.Argument(help="Home of a node; it must not be running.")]
Party = Annotated[Path, typer.Argument(help="Home of an enrolled party: a desk or a node; it may be running.")]
Reviewer = Annotated[Path, typer.Argument(help="Home of a reviewer, made with touchstone desk init.")]
Dataset = Annotated[str, typer.Argument(help="The dataset's short name.")]
Asset = Annotated[str, typer.Argument(help="The dataset as owner/name.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]


def collateral_key(
    home: Home,
    *,
    take: Annotated[
        Path | None, typer.Option("--from", help="File of the key that another institution's node made.")
    ] = None,
    to: Annotated[
        Path | None, typer.Option("--to", help="Write the key to hand over here; where keys are protected, it must be.")
    ] = None,
) -> None:
    """Make the key that institutions share for fingerprints, or take over the one that another institution made."""
    from exchange.node import custody  # noqa: PLC0415
    from exchange.protecting import protection  # noqa: PLC0415
    from exchange.protocol.errors import PeerFault  # noqa: PLC0415

    if take is not None:
        custody.take_key(home, take)
        typer.echo("taken over; fingerprints can be compared with those of the institution that made it", err=True)
        return
    path = custody.make_key(home)
    if to is not None:
        custody.hand_over(home, to)
        path = to
    elif protection(home) is not None:
        raise PeerFault("the keys here are protected, so that file is no use to others", fix="give --to FILE")
    typer.echo(str(path))
    typer.echo("hand this file to the other institutions, in secret, and to nobody else", err=True)


def fingerprint(home: Home, dataset: Dataset, *, exchange: Address, as_json: AsJson = False) -> None:
    """Compute a dataset's fingerprint and put it on record: no lien is registered without one."""
    from exchange.protocol.collateral import Fingerprint  # noqa: PLC0415
    from exchange.protocol.messages import unverified  # noqa: PLC0415

    with _watch(home, exchange) as (watching, today):
        signed = watching.publish(dataset, day=today, progress=_tell)
    told = unverified(signed, Fingerprint)
    if as_json:
        named = {"id": signed.id, **told.model_dump(mode="json", exclude={"sketch"})}
        tell({"fingerprint": named})
        return
    typer.echo(f"fingerprint  {signed.id}")
    typer.echo(f"root         {told.root}")
    typer.echo(f"version      {told.version}, {told.least:,} to {told.below - 1:,} rows")


def confirm(home: Home, dataset: Dataset, *, exchange: Address, as_json: AsJson = False) -> None:
    """Compute a fingerprint anew and tell the exchange whether the rows are still those; a running node does it every day."""
    with _watch(home, exchange) as (watching, today):
        found = watching.confirm(dataset, day=today, progress=_tell)
    if as_json:
        tell({"dataset": dataset, "found": found})
    else:
        typer.echo(found)
    if found != "confirmed":
        raise typer.Exit(1)


def appoint(
    home: Annotated[Path, typer.Argument(help="Directory of the exchange.")],
    party: Annotated[str, typer.Argument(help="An enrolled officer, of no institution.")],
) -> None:
    """Let an officer rule on pledges whose rows are like those of another asset."""
    from exchange.hub.office import Appoint  # noqa: PLC0415

    at_exchange(home, Appoint(party=party))
    typer.echo(f"{party} rules on rows that are alike", err=True)


def watch(home: Party, asset: Asset, *, exchange: Address, as_json: AsJson = False) -> None:
    """Show whether a pledged dataset is still there, complete and fresh: confirmed, late, changed or gone, and why."""
    with _line(home, exchange) as line:
        told = line.get(f"/v1/collateral/{_path(asset)}")
    if as_json:
        tell(told)
        return
    typer.echo(f"{told['asset']}  {told['state']}")
    typer.echo(f"  {told['because']}")
    typer.echo(f"version   {told['version']}, {told['age_days']} days old")
    typer.echo(f"rows      {told['rows']['least']:,} to {told['rows']['below'] - 1:,}")
    if told["kept"] is not None:
        kept = told["kept"]
        typer.echo(f"pledged   {_percent(kept['share'])} of the rows of {told['pledged']['version']} ({_range(kept)})")
    for lien in told["liens"]:
        typer.echo(f"lien      rank {lien['rank']}, {lien['holder']}, since {lien['since']}")
    for one in told["reserves"]:
        left = "nothing" if one["told"] is None else f"{one['told'] / 1e9:g} of {one['agreed'] / 1e9:g} rho"
        typer.echo(f"reserve   {one['state']}: {left} for {one['purpose']}, rank {one['rank']}")
    for word in told["words"][:7]:
        typer.echo(f"  {word['day']}  {word['found']:<9}  heard {word['at']}")


def timeline(
    history: Annotated[
        Path, typer.Argument(help="JSON file of a pledge's readings, docs/collateral.md; - reads stdin.")
    ],
    *,
    picture: Annotated[Path | None, typer.Option("--svg", help="Draw the time line into this file.")] = None,
) -> None:
    """Print a pledge's LTV over time against its thresholds, and why it is to be valued anew, as JSON."""
    import sys  # noqa: PLC0415

    from privacy.errors import Malformed  # noqa: PLC0415
    from valuation import timeline as room  # noqa: PLC0415
    from valuation.timeline_picture import draw  # noqa: PLC0415

    try:
        document = json.loads(sys.stdin.read() if str(history) == "-" else history.read_text("utf-8"))
    except (OSError, ValueError, RecursionError):
        raise Malformed(f"{history.name} cannot be read as JSON", fix="check the path and the file") from None
    line = room.timeline(document)
    tell(line.to_json())
    if picture is not None:
        try:
            picture.write_text(draw(line), "utf-8")
        except OSError:
            raise Malformed(f"{picture.name} cannot be written", fix="name a file in a directory of yours") from None


def reviews(home: Reviewer, *, exchange: Address, as_json: AsJson = False) -> None:
    """List the pledges that wait for a reviewer, with how alike the rows are."""
    with _line(home, exchange) as line:
        waiting = line.get("/v1/reviews")["reviews"]
    if as_json:
        tell({"reviews": waiting})
        return
    for one in waiting:
        typer.echo(f"{one['asset']}  offer {one['offer'][:16]}")
        for found in one["found"]:
            shares = found["likeness"]
            typer.echo(f"  like {found['asset']} ({'pledged' if found['pledged'] else 'not pledged'})")
            for name, what in (("jaccard", "of both"), ("of_this", "of its rows"), ("of_other", "of the other's")):
                typer.echo(f"    {_percent(shares[name]['share'])} {what} ({_range(shares[name])})")
    if not waiting:
        typer.echo("Nothing waits for a ruling.")


def review(
    home: Reviewer,
    asset: Asset,
    other: Annotated[str, typer.Argument(help="The asset that it is like, as owner/name.")],
    *,
    act: Annotated[
        str, typer.Option(help="clear: they are different assets; same: they are one, and the pledge is refused.")
    ],
    because: Annotated[str, typer.Option(help="The reason, in one line.")],
    exchange: Address,
) -> None:
    """Rule on a pledge whose rows are like those of another asset; once cleared, its lender files it again."""
    import secrets  # noqa: PLC0415

    from exchange import identity  # noqa: PLC0415
    from exchange.protocol.collateral import Clearance  # noqa: PLC0415
    from exchange.protocol.errors import Unknown  # noqa: PLC0415
    from privacy.errors import Malformed  # noqa: PLC0415

    if act not in ("clear", "same") or not 0 < len(because) <= 400 or not because.isprintable():
        raise Malformed("the ruling is not one", fix="--act clear or same, --because with one line of plain text")
    with _line(home, exchange) as line:
        pairs = {
            (one["fingerprint"], found["fingerprint"])
            for one in line.get("/v1/reviews")["reviews"]
            for found in one["found"]
            if (one["asset"], found["asset"]) == (asset, other)
        }
        if not pairs:
            raise Unknown("review")
        party, key = identity.load(home, what="party")
        for first, second in sorted(pairs):
            ruling = Clearance(
                asset=asset,
                fingerprint=first,
                other=other,
                other_fingerprint=second,
                act=cast("Literal['clear', 'same']", act),
                because=because,
                nonce=secrets.token_hex(32),
            )
            line.post("/v1/reviews", ruling.sealed_by(party, key))
    typer.echo("cleared: the lender may file it again" if act == "clear" else "refused")


COMMANDS: Mapping[str, Callable[..., None]] = {
    "watch": watch, "reviews": reviews, "review": review, "timeline": timeline,
}  # fmt: skip
"""What belongs to ``touchstone pledge``."""


@contextmanager
def _watch(home: Path, exchange: str) -> "Iterator[tuple[Watch, date]]":
    from exchange import address  # noqa: PLC0415
    from exchange.line import seconds, today  # noqa: PLC0415
    from exchange.node.watch import Watch  # noqa: PLC0415

    with (
        vault_of(home) as vault,
        address.line(home, exchange, party=vault.party, key=vault.signing) as line,
    ):
        yield Watch(vault, line, seconds=seconds), today()


@contextmanager
def _line(home: Path, exchange: str) -> "Iterator[Line]":
    from exchange import address, identity  # noqa: PLC0415

    party, key = identity.load(home, what="party")
    with address.line(home, exchange, party=party, key=key) as line:
        yield line


def _path(asset: str) -> str:
    from exchange.protocol.errors import Unknown  # noqa: PLC0415
    from privacy.errors import Malformed  # noqa: PLC0415
    from privacy.terms import check_name, check_party  # noqa: PLC0415

    owner, _, name = asset.partition("/")
    try:
        return f"{check_party(owner)}/{check_name(name, what='dataset')}"
    except Malformed:
        raise Unknown("asset") from None


def _tell(done: int, total: int) -> None:
    typer.echo(f"{done} of {total} steps", err=True)


def _percent(share: str) -> str:
    return f"{float(share):.1%}"


def _range(share: dict[str, Any]) -> str:
    return f"{_percent(share['low'])} to {_percent(share['high'])}"
