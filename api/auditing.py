"""``touchstone audit``: take the exchange's log away, check it without anybody's help, follow its head."""

import json
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Annotated, Any

import typer

from exchange import identity
from exchange.audit import bundle
from exchange.audit.verdict import Verdict
from exchange.audit.verdict import verify as check
from exchange.line import Line
from exchange.line import seconds as clock
from exchange.protocol.attest import Attested
from exchange.protocol.envelope import Envelope
from exchange.protocol.errors import PeerFault, Unknown
from exchange.protocol.log import TreeHead, read_head
from exchange.witness import Seen, Witness
from privacy import canonical
from privacy.errors import Malformed
from privacy.terms import NANO

audit_app = typer.Typer(no_args_is_help=True, help="Check the exchange's log from outside.")

Desk = Annotated[Path, typer.Option("--as", help="Directory of your own keys (touchstone desk init).")]
Address = Annotated[str, typer.Option("--exchange", envvar="TOUCHSTONE_URL", help="Address of the exchange.")]


@audit_app.command("pin")
def pin(
    home: Annotated[Path, typer.Argument(help="Directory of a node or a desk.")],
    log: Annotated[
        str, typer.Argument(help="The log's id, as `touchstone exchange init` told it; compare it by phone.")
    ],
) -> None:
    """Follow the log with this id and no other. It forgets what was seen before: after a loss at the exchange, ask why first."""
    identity.load(home, what="node or desk")
    Witness(home).pin(_log_id(log))
    _note(f"this directory now follows log {log}")


@audit_app.command("export")
def export(
    source: Annotated[str, typer.Argument(help="Directory of a stopped exchange, or address of a running one.")],
    *,
    output: Annotated[Path, typer.Option("-o", "--output", help="Write the bundle here.")],
    home: Annotated[Path | None, typer.Option("--as", help="For an address: directory of a regulator's keys.")] = None,
) -> None:
    """Write the whole log into one file that anybody can check offline."""
    if source.startswith(("http://", "https://")):
        if home is None:
            raise Malformed("an address needs a regulator's keys", fix="add --as with the directory of your keys")
        count = _fetch(source, home, output)
    else:
        count = _copy(Path(source), output)
    _note(f"{count} entries in {output.name}; check it with `touchstone audit verify`")


@audit_app.command("verify")
def verify(
    path: Annotated[Path, typer.Argument(metavar="BUNDLE", help="A bundle.")],
    *,
    log: Annotated[str | None, typer.Option(help="Id that the log must have.")] = None,
    home: Annotated[
        Path | None, typer.Option("--as", help="Directory of your keys: its pinned log, parties and last head count.")
    ] = None,
    seen: Annotated[Path | None, typer.Option(help="A head that you saw before (audit head -o).")] = None,
    report: Annotated[
        list[Path] | None, typer.Option(help="A report whose appraisal is on record; may be repeated.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Check a bundle offline: tree, signatures, cosignatures, every entry, budgets, liens, appraisals."""
    witness = None if home is None else Witness(home)
    wanted = _log_id(log) if log is not None else witness.log if witness is not None else None
    remembered = witness.head if witness is not None and witness.log == wanted else None
    found = check(
        path,
        log=wanted,
        seen=_head(seen, wanted) if seen is not None else remembered,
        pinned={} if home is None else _pinned(home),
    )
    reports = [_on_record(found, one) for one in report or ()]
    if as_json:
        typer.echo(json.dumps({**found.to_json(), "reports": reports}, ensure_ascii=False, indent=2))
    else:
        _tell(found, reports, compared=wanted is not None)


@audit_app.command("head")
def head(
    *,
    home: Desk,
    exchange: Address,
    output: Annotated[Path | None, typer.Option("-o", "--output", help="Keep the signed head here.")] = None,
) -> None:
    """Fetch the log's head, hold it to the last one that was seen here, and print it with who cosigned it."""
    with _line(home, exchange) as line:
        seen = Witness(home).look(line, now=int(clock()), directory=_pinned(home))
    if output is not None:
        output.write_bytes(canonical.encode(dict(seen.signed)))
    typer.echo(json.dumps(_shown(seen), indent=2))


@audit_app.command("watch")
def watch(
    *,
    home: Desk,
    exchange: Address,
    every: Annotated[int, typer.Option(min=1, help="Seconds between two looks.")] = 60,
    looks: Annotated[int | None, typer.Option(min=1, help="End after so many looks; never, if not given.")] = None,
) -> None:
    """Follow the log: one JSON line for each new head; ends with the reason if it is ever another log."""
    witness, pinned, size, looked = Witness(home), _pinned(home), -1, 0
    with _line(home, exchange) as line:
        while looks is None or looked < looks:
            if looked:
                time.sleep(every)
            seen = witness.look(line, now=int(clock()), directory=pinned)
            if seen.head.size != size:
                size = seen.head.size
                sys.stdout.write(json.dumps(_shown(seen)) + "\n")
                sys.stdout.flush()
            looked += 1


def _fetch(url: str, home: Path, output: Path) -> int:
    with _line(home, url) as line:
        witness = Witness(home)
        told = line.get(f"/v1/log/head?since={witness.size}")
        seen = witness.take(told, now=int(clock()), directory=_pinned(home))
        cosigned = [Envelope.from_json(item["said"]) for item in told["cosigned"]]
        return bundle.write(output, signed=seen.signed, cosigned=cosigned, texts=_pages(line, seen.head.size))


def _pages(line: Line, size: int) -> Iterator[bytes]:
    done = 0
    while done < size:
        match line.get(f"/v1/log/entries?after={done}&limit={min(1_000, size - done)}"):
            case {"entries": [_, *_] as texts} if all(isinstance(text, str) for text in texts):
                yield from (text.encode() for text in texts)
                done += len(texts)
            case _:
                raise PeerFault("the exchange does not give its entries", fix="report the exchange")


def _copy(home: Path, output: Path) -> int:
    from api.processes import microseconds  # noqa: PLC0415
    from exchange.hub.store import Store  # noqa: PLC0415

    identity.load(home, what="exchange")
    with closing(Store.open(home, clock=microseconds)) as store:
        _, attested = store.log.head(now=int(clock()))
        cosigned = [envelope for _, envelope in store.log.cosigned()]
        texts = (entry.text for entry in store.book.journal.entries())
        return bundle.write(output, signed=attested.to_json(), cosigned=cosigned, texts=texts)


def _on_record(found: Verdict, path: Path) -> dict[str, Any]:
    """Compute a report anew and find its appraisal in the log."""
    from valuation.report import verify as derive  # noqa: PLC0415

    try:
        digest = derive(path.read_bytes().removesuffix(b"\n")).digest
    except OSError:
        raise Malformed(f"{path.name} cannot be read", fix="check the path") from None
    for id_, (asset, report, valuer) in found.record.appraisals.items():
        if report == digest:
            return {"report": digest, "appraisal": id_, "asset": asset, "valuer": valuer}
    raise Unknown(f"appraisal of {path.name} in the log")


def _tell(found: Verdict, reports: list[dict[str, Any]], *, compared: bool) -> None:
    told = found.to_json()
    typer.echo(f"log      {found.log}{'' if compared else '  (compare it with what the operator tells by phone)'}")
    typer.echo(f"head     {found.head.size} entries, root {found.head.root}")
    typer.echo(f"         signed by Ed25519 and ML-DSA-65 at {_day(found.head.at)}")
    cosigners = ", ".join(f"{party} to {size}" for party, size in found.cosigned.items())
    typer.echo(f"cosigned {cosigners or 'by nobody'}")
    typer.echo("entries  " + ", ".join(f"{count} {kind}" for kind, count in told["entries"].items()))
    answered, everything = told["sessions"]["answered"], told["sessions"]["all"]
    typer.echo(f"sessions {answered} answered of {everything}")
    for account in told["budgets"]:
        partners = ", ".join(f"{name} {spent / NANO:g}" for name, spent in account["partners"].items())
        typer.echo(f"budget   {account['population']}: {account['everyone'] / NANO:g} rho spent ({partners})")
    for lien in told["liens"]:
        typer.echo(f"lien     {lien['asset']} rank {lien['rank']}: {lien['holder']}")
    for one in reports:
        typer.echo(f"report   {one['report'][:16]} follows from its inputs; on record for {one['asset']}")
    for override in told["overrides"]:
        typer.echo(f"override entry {override['seq']}: {override['what']} {override['party']} to {override['to']}")
    typer.echo("all entries are sound")


def _shown(seen: Seen) -> dict[str, Any]:
    log = Attested.from_json(seen.signed).keys.id
    return {"log": log, **seen.head.model_dump(mode="json"), "cosigned": dict(seen.cosigned)}


def _line(home: Path, url: str) -> Line:
    party, key = identity.load(home, what="desk")
    return Line(url, party=party, key=key, seconds=clock)


def _pinned(home: Path) -> Mapping[str, bytes]:
    path = home / "pinned.json"
    if not path.exists():
        return {}
    return {party: bytes.fromhex(key) for party, key in canonical.decode(path.read_bytes()).items()}


def _head(path: Path, log: str | None) -> TreeHead:
    try:
        document = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError):
        raise Malformed(f"{path.name} cannot be read as JSON", fix="check the path and the file") from None
    return read_head(document, log or Attested.from_json(document).keys.id)


def _log_id(text: str) -> str:
    if len(text) != 64 or not all(digit in "0123456789abcdef" for digit in text):
        raise Malformed("the log's id is not 64 hexadecimal digits", fix="copy it from `touchstone exchange init`")
    return text


def _day(at: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(at))


def _note(text: str) -> None:
    typer.echo(text, err=True)
