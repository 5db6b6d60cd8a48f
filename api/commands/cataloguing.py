"""Commands over the catalog: searching it, standards, certificates, and what an owner says of its datasets."""

import json
from contextlib import closing
from pathlib import Path
from typing import Annotated, Any

import typer

from api.commands.homes import Address, at_exchange, document

catalog_app = typer.Typer(no_args_is_help=True, help="Search the catalog of an exchange.")
standard_app = typer.Typer(no_args_is_help=True, help="Check, compare and publish standards.")
certificate_app = typer.Typer(no_args_is_help=True, help="Certificates of registration.")

Party = Annotated[Path, typer.Argument(help="Home of an enrolled party: a desk or a node; it may be running.")]
Asset = Annotated[str, typer.Argument(help="The dataset as owner/name.")]
Source = Annotated[str, typer.Argument(help="A standard's JSON file, or name/version of one that ships.")]
Words = Annotated[str, typer.Argument(help="Words, in Chinese or English; all must occur.")]
StandardFilter = Annotated[str | None, typer.Option("--standard", help="Only under this standard, name/version.")]
OwnerFilter = Annotated[str | None, typer.Option("--owner", help="Only of this institution.")]
LevelFilter = Annotated[str | None, typer.Option("--level", help="Only of this level: 1 to 5, or undeclared.")]
StateFilter = Annotated[str | None, typer.Option("--state", help="active, deprecated or withdrawn.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]


@catalog_app.command("search")
def search(
    home: Party,
    words: Words = "",
    *,
    exchange: Address,
    standard: StandardFilter = None,
    owner: OwnerFilter = None,
    level: LevelFilter = None,
    state: StateFilter = None,
    cursor: Annotated[str | None, typer.Option(help="Where the page before ended.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=500, help="Datasets on the page.")] = 20,
    as_json: AsJson = False,
) -> None:
    """Find datasets: those whose title says it all first, then the newest."""
    asked = {"q": words, "standard": standard, "owner": owner, "level": level, "state": state, "cursor": cursor}
    told = _get(home, exchange, "/v1/datasets", **asked, limit=str(limit))
    if as_json:
        _print(told)
        return
    for row in told["datasets"]:
        title = row["declared"].get("title") or {}
        names = " / ".join(dict.fromkeys(name for name in (row["title"], title.get("zh"), title.get("en")) if name))
        typer.echo(f"{row['asset']}  {row['standard']}  {row['refreshed']}  {row['state']}  {names}")
    if told["next"]:
        typer.echo(f"more: --cursor {told['next']}", err=True)


@catalog_app.command("facets")
def facets(
    home: Party,
    words: Words = "",
    *,
    exchange: Address,
    standard: StandardFilter = None,
    owner: OwnerFilter = None,
    level: LevelFilter = None,
    state: StateFilter = None,
    as_json: AsJson = False,
) -> None:
    """Count what a search finds by standard, owner, level and state."""
    asked = {"q": words, "standard": standard, "owner": owner, "level": level, "state": state}
    told = _get(home, exchange, "/v1/datasets", **asked, limit="1", facets="true")
    if as_json:
        _print({"facets": told["facets"], "exact": told["exact"]})
        return
    for facet, counts in told["facets"].items():
        for value, count in counts.items():
            typer.echo(f"{facet}  {value}  {count}")
    if not told["exact"]:
        typer.echo("counted among the newest only: search for less to count all", err=True)


@catalog_app.command("show")
def show(home: Party, asset: Asset, *, exchange: Address) -> None:
    """Print everything on record of a dataset, with all its versions, as JSON."""
    _print(_get(home, exchange, f"/v1/datasets/{asset}"))


@catalog_app.command("export")
def export(home: Party, asset: Annotated[str, typer.Argument()] = "", *, exchange: Address) -> None:
    """Print the catalog, or one dataset of it, as DCAT 3 in JSON-LD."""
    from exchange.interop import dcat  # noqa: PLC0415

    if asset:
        _print(dcat.export_dataset(_get(home, exchange, f"/v1/datasets/{asset}")))
        return
    records: list[Any] = []
    following: str | None = None
    while True:
        page = _get(home, exchange, "/v1/datasets", limit="500", cursor=following)
        records += page["datasets"]
        following = page["next"]
        if following is None:
            break
    _print(dcat.export_catalog(records))


@catalog_app.command("import")
def import_(file: Annotated[Path, typer.Argument(help="DCAT 3 JSON-LD, as exported.")]) -> None:
    """Read an exported catalog or dataset back and print its records as JSON; what contradicts itself is refused."""
    from exchange.interop import dcat  # noqa: PLC0415

    given = document(file)
    whole = isinstance(given, dict) and given.get("@type") == "dcat:Catalog"
    _print({"datasets": dcat.import_catalog(given) if whole else [dcat.import_dataset(given)]})


@standard_app.command("check")
def standard_check(
    new: Source, *, against: Annotated[str | None, typer.Option(help="The version before it: file or name.")] = None
) -> None:
    """Check that a standard is sound and, against the version before, that nothing which rests on that one breaks."""
    from exchange.evolution import check_compatible  # noqa: PLC0415

    standard = _standard(new)
    if against is not None:
        check_compatible(_standard(against), standard)
    typer.echo(f"{standard.id}  {standard.digest}")


@standard_app.command("diff")
def standard_diff(old: Source, new: Source) -> None:
    """Tell in plain words what changed between two versions, and what of it is not compatible."""
    from exchange.evolution import changes  # noqa: PLC0415

    for change in changes(_standard(old), _standard(new)):
        typer.echo(f"{'compatible' if change.compatible else 'NOT compatible'}: {change.place} {change.words}")


@standard_app.command("publish")
def standard_publish(home: Annotated[Path, typer.Argument(help="Directory of the exchange.")], new: Source) -> None:
    """Publish a standard at an exchange; a version that breaks what rests on the one before is refused."""
    from exchange.hub.office import Publish  # noqa: PLC0415

    standard = _standard(new)
    at_exchange(home, Publish(standard=standard.to_json()))
    typer.echo(f"published {standard.id}", err=True)


@standard_app.command("show")
def standard_show(
    name: Source,
    *,
    home: Annotated[Path | None, typer.Option(help="Home of an enrolled party, to fetch it from the exchange.")] = None,
    exchange: Annotated[str | None, typer.Option("--exchange", envvar="TOUCHSTONE_URL")] = None,
) -> None:
    """Print a standard as JSON: one that ships, a file, or with --home and --exchange one that is published there."""
    if home is not None and exchange is not None:
        _print(_get(home, exchange, f"/v1/standards/{name}"))
    else:
        _print(_standard(name).to_json())


@certificate_app.command("fetch")
def certificate_fetch(home: Party, asset: Asset, *, exchange: Address) -> None:
    """Print the certificate of a dataset's registration."""
    _print(_get(home, exchange, f"/v1/datasets/{asset}/certificate"))


@certificate_app.command("verify")
def certificate_verify(
    file: Annotated[Path, typer.Argument(help="A certificate's JSON file.")],
    *,
    key: Annotated[str, typer.Option(help="The exchange's key, compared out of band: 64 hexadecimal digits.")],
    page: Annotated[Path | None, typer.Option(help="Write a page to print, HTML.")] = None,
) -> None:
    """Check a certificate offline and tell what it certifies; exit 0 only if every signature and hash holds."""
    from exchange.protocol.certificate import verify  # noqa: PLC0415
    from privacy.errors import Malformed  # noqa: PLC0415

    try:
        raw = bytes.fromhex(key)
    except ValueError:
        raise Malformed("the key is not 64 hexadecimal digits", fix="copy it from the exchange's operator") from None
    given = document(file)
    told, registration, standing = verify(given, exchange_key=raw)
    if page is not None:
        from api.printing.certificate_page import render  # noqa: PLC0415

        page.write_text(render(told, registration, standing, text=json.dumps(given, ensure_ascii=False)), "utf-8")
    state = standing.kind if standing is not None else "active"
    _print({"asset": told.asset, "entry": told.place.seq, "head": told.head.seq, "state": state, "valid": True})


def draft(
    source: Annotated[Path, typer.Argument(help="A CSV or Parquet file, or a DuckDB file with --table.")],
    *,
    standard: Annotated[str, typer.Option(help="name/version of one that ships, or a standard's JSON file.")],
    table: Annotated[str, typer.Option(help="Table of a DuckDB file.")] = "",
    output: Annotated[Path | None, typer.Option("-o", "--output", help="Write the dataset document here.")] = None,
) -> None:
    """Draft a dataset document from a source, with a reason for each column; nothing leaves, a person completes it."""
    from exchange.node.drafting import draft as made  # noqa: PLC0415
    from exchange.node.engine import Location  # noqa: PLC0415
    from exchange.node.sandbox import Sandbox  # noqa: PLC0415

    kind = "duckdb" if table else "parquet" if source.suffix.lower() in {".parquet", ".pq"} else "csv"
    chosen = _standard(standard)
    with closing(Sandbox()) as engines:
        told = made(Location(kind, str(source.resolve()), table), chosen, engines=engines)
    if standard.endswith(".json"):
        told["dataset"]["standard"] = chosen.to_json()
    for name, why in told["columns"].items():
        typer.echo(f"{name} <- {why['source']}  ({why['confidence']:.2f}: {why['reason']})", err=True)
    for warning in told["warnings"]:
        typer.echo(f"note: {warning}", err=True)
    typer.echo("complete title, population and refreshed, check the mapping, then `touchstone node register`", err=True)
    if output is None:
        _print(told["dataset"])
    else:
        output.write_text(json.dumps(told["dataset"], indent=2, ensure_ascii=False) + "\n", "utf-8")


def deprecate(
    home: Annotated[Path, typer.Argument(help="Home of the node; it may be running.")],
    dataset: Annotated[str, typer.Argument(help="The dataset's short name.")],
    *,
    because: Annotated[str, typer.Option(help="The reason, told to everybody.")],
    successor: Annotated[str | None, typer.Option(help="What to use instead, owner/name.")] = None,
) -> None:
    """Advise against a dataset. The node tells the exchange within seconds, or when it is started."""
    from exchange.protocol.messages import Deprecation  # noqa: PLC0415

    _leave(home, Deprecation, dataset=dataset, because=because, successor=successor)
    typer.echo(f"{dataset} will be deprecated once the node has told the exchange", err=True)


def withdraw(
    home: Annotated[Path, typer.Argument(help="Home of the node; it may be running.")],
    dataset: Annotated[str, typer.Argument(help="The dataset's short name.")],
    *,
    because: Annotated[str, typer.Option(help="The reason, told to everybody.")],
    exchange: Address,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Tell what it would meet; withdraw nothing.")] = False,
) -> None:
    """Take a dataset out of the catalog for good, once nothing forbids it; prints first what it meets.

    The node tells the exchange within seconds, or when it is started, and stops answering for the dataset then.
    """
    from exchange.protocol.errors import Encumbered  # noqa: PLC0415
    from exchange.protocol.messages import Withdrawal  # noqa: PLC0415

    party, _ = _identity(home)
    met = _get(home, exchange, f"/v1/datasets/{party}/{dataset}/consequences")
    _print(met)
    for lien in met["liens"]:
        raise Encumbered(asset=met["asset"], **lien, doing="withdrawn")
    if not dry_run:
        _leave(home, Withdrawal, dataset=dataset, because=because)
        typer.echo(f"{dataset} will be withdrawn once the node has told the exchange", err=True)


def _leave(home: Path, message: Any, **told: Any) -> None:
    from pydantic import ValidationError  # noqa: PLC0415

    from exchange.node.declared import leave  # noqa: PLC0415
    from privacy.errors import Malformed  # noqa: PLC0415

    party, key = _identity(home)
    try:
        leave(home, message(**told), party=party, key=key)
    except ValidationError:
        raise Malformed("the dataset's name, reason or successor is not valid", fix="400 characters at most") from None


def _identity(home: Path) -> Any:
    from exchange import identity  # noqa: PLC0415

    return identity.load(home, what="party")


def _get(home: Path, exchange: str, path: str, **asked: str | None) -> Any:
    from urllib.parse import urlencode  # noqa: PLC0415

    from exchange import address  # noqa: PLC0415

    party, key = _identity(home)
    query = urlencode({name: value for name, value in asked.items() if value})
    with address.line(home, exchange, party=party, key=key) as line:
        return line.get(f"{path}?{query}" if query else path)


def _standard(source: str) -> Any:
    from exchange.standards import shipped  # noqa: PLC0415
    from privacy.terms import Standard  # noqa: PLC0415

    return Standard.from_json(document(Path(source))) if source.endswith(".json") else shipped(source)


def _print(value: Any) -> None:
    typer.echo(json.dumps(value, indent=2, ensure_ascii=False))
