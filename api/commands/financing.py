"""Products on pledged data at the command line: worked out from a file, verified, shown on one page."""

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from privacy.errors import Malformed

finance_app = typer.Typer(no_args_is_help=True, help="Guarantees, data trusts, securitisations and portfolios.")

Facts = Annotated[Path, typer.Argument(help="JSON file of the inputs; - reads stdin.")]
Output = Annotated[Path | None, typer.Option("-o", "--output", help="Write the document here.")]
Document = Annotated[Path, typer.Argument(help="A document that one of these commands wrote; - reads stdin.")]


@finance_app.command()
def guarantee(facts: Facts, *, output: Output = None) -> None:
    """Work a guarantee out: joint default, fee floor, risk shares, and who is paid what after a call."""
    _work_out("guarantee", facts, output)


@finance_app.command()
def trust(facts: Facts, *, output: Output = None) -> None:
    """Work a data trust out: remoteness, fees, and distributions by metered use."""
    _work_out("trust", facts, output)


@finance_app.command("abs")
def securitisation(facts: Facts, *, output: Output = None) -> None:
    """Work a securitisation out: label, loss of the pool, cover, and the waterfall in each scenario."""
    _work_out("abs", facts, output)


@finance_app.command()
def portfolio(
    records: Annotated[Path | None, typer.Argument(help="JSON file of the records; - reads stdin.")] = None,
    *,
    output: Output = None,
    csv: Annotated[Path | None, typer.Option("--csv", help="Write all tables here as CSV.")] = None,
    from_exchange: Annotated[
        bool, typer.Option("--from-exchange", help="Read the exchange's register instead of a file; for regulators.")
    ] = False,
    home: Annotated[Path | None, typer.Option("--as", help="Directory of a regulator's keys.")] = None,
    exchange: Annotated[
        str | None, typer.Option("--exchange", envvar="TOUCHSTONE_URL", help="Address of the exchange.")
    ] = None,
    valuations: Annotated[
        Path | None, typer.Option(help="Directory of valuation reports; each that a pledge cites is computed anew.")
    ] = None,
    sectors: Annotated[Path | None, typer.Option(help="JSON object of sectors by institution.")] = None,
    audit: Annotated[Path | None, typer.Option(help="Verdict with overrides, from audit verify --json.")] = None,
    shocks: Annotated[Path | None, typer.Option(help="JSON list of shocks to try, as in records.")] = None,
    keep: Annotated[
        Path | None, typer.Option(help="Keep what the exchange told; the portfolio cites its digest.")
    ] = None,
) -> None:
    """Read many pledges as a supervisor does: exposures, concentration, shocks, titles, overrides, refusals."""
    if from_exchange is (records is not None):
        raise Malformed("the records come from a file or from the exchange", fix="give a file, or --from-exchange")
    if records is not None:
        if any(given is not None for given in (home, valuations, sectors, audit, shocks, keep)):
            raise Malformed("a file of records holds everything", fix="leave these options out, or use --from-exchange")
        _work_out("portfolio", records, output, csv=csv)
        return
    if home is None or exchange is None:
        raise Malformed("the register is read with a regulator's keys", fix="give --as HOME and --exchange URL")
    from api import supervising  # noqa: PLC0415
    from exchange import address, identity  # noqa: PLC0415
    from exchange.line import today  # noqa: PLC0415

    party, key = identity.load(home, what="party")
    with address.line(home, exchange, party=party, key=key) as line:
        told = supervising.read(line, on=today())
    if keep is not None:
        supervising.keep(told, keep)
    cited = [one["appraisal"]["report"] for one in supervising.live(told) if one["appraisal"] is not None]
    worths = {} if valuations is None else supervising.valued(valuations, cited)
    made = supervising.inputs(
        told,
        worths=worths,
        sectors={} if sectors is None else supervising.read_sectors(sectors),
        overrides={} if audit is None else supervising.read_overrides(audit),
        shocks=[] if shocks is None else supervising.read_shocks(shocks),
    )
    supervising.summarise(told, worths)
    _make("portfolio", made, output, csv=csv)


@finance_app.command()
def verify(document: Document) -> None:
    """Work a document out anew, offline, and name the first figure or table that differs."""
    told, found = _verified(document)
    sys.stdout.write(f"all {found.figures} figures and {len(told['tables'])} tables follow; digest {found.digest}\n")
    _conclude(told)


@finance_app.command()
def sheet(
    document: Document,
    *,
    output: Annotated[
        Path, typer.Option("-o", "--output", help="Page (.pdf or .html), picture alone (.svg) or all tables (.csv).")
    ],
) -> None:
    """Write the one-page sheet of a document, or its picture or tables, once it has been verified."""
    from valuation.finance.chart import chart  # noqa: PLC0415
    from valuation.finance.export import cells  # noqa: PLC0415
    from valuation.finance.sheet import sheet as page  # noqa: PLC0415

    forms = {".html": page, ".svg": chart, ".csv": cells}
    form = forms.get(output.suffix)
    if form is None and output.suffix != ".pdf":
        raise Malformed("there is no such form", fix=f"name the file with one of .pdf, {', '.join(forms)}")
    told, _ = _verified(document)
    if form is not None:
        _write(output, form(told))
        return
    from api.printing import sheets  # noqa: PLC0415  a typesetter only where something is set
    from valuation.finance.page import page as laid_out  # noqa: PLC0415

    _write(output, sheets.product(laid_out(told)))


def _work_out(kind: str, facts: Path, output: Path | None, *, csv: Path | None = None) -> None:
    from valuation.desk import wire  # noqa: PLC0415

    _make(kind, wire.parse(_read(facts)), output, csv=csv)


def _make(kind: str, inputs: Any, output: Path | None, *, csv: Path | None = None) -> None:
    from privacy import canonical  # noqa: PLC0415
    from valuation.finance import document  # noqa: PLC0415
    from valuation.finance.export import cells  # noqa: PLC0415

    made = document.perform(kind, inputs)
    text = canonical.encode(made).decode("utf-8")
    if csv is not None:
        _write(csv, cells(made))
    if output is None:
        sys.stdout.write(text + "\n")
        return
    _write(output, text)
    _conclude(made)
    sys.stdout.write(f"{len(made['figures'])} figures, {len(made['tables'])} tables, digest {made['digest']}\n")


def _verified(path: Path) -> tuple[dict[str, Any], Any]:
    from privacy import canonical  # noqa: PLC0415
    from valuation.finance import document  # noqa: PLC0415

    # an editor's newline at the end is not part of the document
    text = _read(path).removesuffix(b"\n")
    found = document.verify(text)
    return canonical.decode(text), found


def _conclude(made: dict[str, Any]) -> None:
    """Print what a document concludes, rounded for readers, and its remarks."""
    from rich.console import Console  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415

    from valuation.finance.page import concluded  # noqa: PLC0415

    console = Console()
    console.print(f"{made['notice']['en']}; no capital relief follows", highlight=False, markup=False)
    view = Table("figure", "", show_edge=False)
    for label, value in concluded(made):
        view.add_row(label, value)
    console.print(view, markup=False)
    for remark in made["remarks"]:
        console.print(f"- {remark['code']}: {remark['text']}", highlight=False, markup=False)


def _read(path: Path) -> bytes:
    try:
        return sys.stdin.buffer.read() if str(path) == "-" else path.read_bytes()
    except OSError:
        raise Malformed("the file cannot be read", fix="check its path, or give - for stdin") from None


def _write(path: Path, content: str | bytes) -> None:
    try:
        path.write_bytes(content.encode("utf-8") if isinstance(content, str) else content)
    except OSError:
        raise Malformed("the file cannot be written", fix="check the path and the room on the disk") from None
