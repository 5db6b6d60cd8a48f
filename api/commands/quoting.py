"""Pledge loans at the command line: the quote, its repayment, its stresses, the committee's one page. All pure, offline."""

import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from privacy.errors import Malformed

Source = Annotated[
    Path, typer.Argument(help="Inputs with a lender's terms (JSON), or a report made of them; - is stdin.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]


def quote(
    facts: Annotated[
        Path, typer.Argument(help="JSON file of an appraisal's inputs with the lender's terms; - is stdin.")
    ],
    *,
    output: Annotated[Path | None, typer.Option("-o", "--output", help="Write the report here.")] = None,
) -> None:
    """Quote a loan: recognised value, limit, price, tenor, covenants, stress; write the report, or print it."""
    from privacy import canonical  # noqa: PLC0415

    made = _performed(facts)
    text = canonical.encode(made)
    if output is None:
        sys.stdout.write(text.decode("utf-8") + "\n")
        return
    _write(output, text)
    _summarise(made)


def schedule(source: Source, *, as_json: AsJson = False) -> None:
    """Print the repayment of the planned loan: dates, interest, principal and balance, to the cent."""
    figures, loan = _loan(_performed(source))
    rows = [
        {
            **{name: payment[name] for name in ("number", "from", "to", "days", "due")},
            **{name: figures[payment[name]]["value"] for name in ("interest", "principal", "balance")},
        }
        for payment in loan["payments"]
    ]
    if as_json:
        _print_json({"amount": figures[loan["amount"]]["value"], "payments": rows})
        return
    head = ["payment", "due", "days", "interest", "principal", "balance"]
    amounts = ("interest", "principal", "balance")
    _print_table(
        head,
        [[str(row["number"]), row["due"], str(row["days"]), *(_cents(row[name]) for name in amounts)] for row in rows],
    )


def stress(source: Source, *, as_json: AsJson = False) -> None:
    """Print LTV, DSCR and shortfall of the planned loan under each named shock, and the least shock that hurts."""
    figures, loan = _loan(_performed(source))
    rows = [
        {"name": row["name"], "shock": row["label"], "state": row["state"]}
        | {name: figures[row[name]]["value"] if row[name] else None for name in ("ltv", "dscr", "shortfall")}
        for row in loan["stresses"]
    ]
    drop, reverse = figures[loan["drop"]], figures[loan["reverse"]] if loan["reverse"] else None
    if as_json:
        told = {"drop": drop["value"], "reverse": None if reverse is None else reverse["value"]}
        _print_json({"stresses": rows} | told)
        return
    _print_stresses(rows, drop, reverse)


def sheet(
    source: Source,
    *,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="Write to a file: .pdf, .html or .json.")
    ] = None,
) -> None:
    """Make the credit committee's one page, after computing the report anew."""
    from api.commands import valuing  # noqa: PLC0415
    from api.printing import pledge_page  # noqa: PLC0415
    from privacy import canonical  # noqa: PLC0415
    from valuation.desk import wire  # noqa: PLC0415
    from valuation.sheet import sheet as made_of  # noqa: PLC0415

    if output is not None and output.suffix not in {".pdf", ".html", ".json"}:
        raise Malformed("a sheet is written as .pdf, .html or .json", fix="end the file's name with one of them")
    text = valuing.read(source, "inputs").removesuffix(b"\n")
    given = wire.parse(text)
    made = made_of(text if _is_report(given) else _quoted(given))
    if output is not None and output.suffix == ".html":
        _write(output, pledge_page.render(made).encode("utf-8"))
    elif output is not None and output.suffix == ".pdf":
        from api.printing import sheets  # noqa: PLC0415  a typesetter only where something is set

        _write(output, sheets.committee(made))
    elif output is not None:
        _write(output, canonical.encode(made))
    else:
        sys.stdout.write(canonical.encode(made).decode("utf-8") + "\n")


def _performed(path: Path) -> dict[str, Any]:
    """The report of a file of inputs, or the report in the file, once it has been computed anew."""
    from api.commands import valuing  # noqa: PLC0415
    from valuation import report  # noqa: PLC0415
    from valuation.desk import wire  # noqa: PLC0415

    text = valuing.read(path, "inputs").removesuffix(b"\n")
    given = wire.parse(text)
    if not _is_report(given):
        return _quoted(given)
    report.verify(text)
    found: dict[str, Any] = given
    return found


def _is_report(given: Any) -> bool:
    return isinstance(given, dict) and "figures" in given


def _quoted(given: Any) -> dict[str, Any]:
    from valuation import report  # noqa: PLC0415
    from valuation.errors import MissingKey  # noqa: PLC0415

    if isinstance(given, dict) and given.get("terms") is None:
        raise MissingKey("inputs.terms")
    return report.perform(given)


def _loan(made: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The figures of a report by key, and what it concludes on the loan."""
    from valuation.errors import MissingKey, OutOfRange  # noqa: PLC0415

    if made["inputs"]["terms"] is None or "loan" not in made["inputs"]["terms"]:
        raise MissingKey("inputs.terms.loan")
    if "loan" not in made["conclusion"]:
        raise OutOfRange("inputs.terms", "terms on which anything can be lent")
    return {figure["key"]: figure for figure in made["figures"]}, made["conclusion"]["loan"]


def _summarise(made: dict[str, Any]) -> None:
    """Print what a credit officer looks for first; figures rounded for readers."""
    from valuation.shown import Figures  # noqa: PLC0415

    figures, ends = Figures(made), made["conclusion"]
    rows = [
        ["value", f"{figures.about(ends['central'])} ({figures.about(ends['low'])} to {figures.about(ends['high'])})"],
        ["recognised value", figures.about(ends["recognised"])],
        ["limit", f"{figures.money(ends['limit'])}, set by {ends['binding']}"],
    ]
    if "loan" in ends:
        loan = ends["loan"]
        rows += [
            ["amount", figures.money(loan["amount"])],
            ["loan to recognised value", figures.percent("loan.ltv")],
            ["largest LTV by quantile, on value", figures.percent(loan["ltv_max"])],
            ["least debt service cover", figures.times(loan["cover"])],
            ["expected loss of a year", figures.about(loan["expected_loss"])],
            ["floor rate, rate offered", f"{figures.rate(loan['floor'])}, {figures.rate('loan.rate')}"],
            ["RAROC, hurdle", f"{figures.rate(loan['raroc'])}, {figures.rate(loan['hurdle'])}"],
            [
                "prudent days to maturity",
                f"{figures.plain(loan['tenor']['prudent'])}, set by {loan['tenor']['binding']}",
            ],
        ]
    sys.stdout.write(made["notice"]["en"] + "\n")
    _print_table(["figure", ends["currency"]], rows)
    for remark in made["remarks"]:
        sys.stdout.write(f"- {remark['code']}: {remark['text']}\n")
    sys.stdout.write(f"{len(made['figures'])} figures, digest {made['digest']}\n")


def _print_stresses(rows: list[dict[str, Any]], drop: dict[str, Any], reverse: dict[str, Any] | None) -> None:
    from decimal import Decimal  # noqa: PLC0415

    from valuation import exact  # noqa: PLC0415
    from valuation.shown import three  # noqa: PLC0415

    def spelled(value: str | None) -> str:
        return "none" if value is None else three(Decimal(value))

    def percent(value: str | None) -> str:
        return "no value left" if value is None else exact.percent(Decimal(value))

    _print_table(
        ["shock", "LTV", "DSCR on interest", "shortfall", "state on recognised value"],
        [
            [
                row["shock"],
                percent(row["ltv"]),
                spelled(row["dscr"]),
                spelled(row["shortfall"]),
                row["state"].replace("_", " "),
            ]
            for row in rows
        ],
    )
    sys.stdout.write(f"{drop['label']}: {percent(drop['value'])}\n")
    told = (
        "no share of the shock leaves a shortfall"
        if reverse is None
        else f"{reverse['label']}: {percent(reverse['value'])}"
    )
    sys.stdout.write(told + "\n")


def _cents(value: str) -> str:
    from decimal import Decimal  # noqa: PLC0415

    return f"{Decimal(value):,.2f}"


def _print_json(value: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(value, ensure_ascii=False) + "\n")


def _print_table(head: list[str], rows: list[list[str]]) -> None:
    from rich.console import Console  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415

    view = Table(show_edge=False)
    view.add_column(head[0], overflow="fold")
    for name in head[1:]:
        view.add_column(name, justify="right", overflow="fold")
    for row in rows:
        view.add_row(*row)
    Console().print(view, markup=False)


def _write(path: Path, text: bytes) -> None:
    try:
        path.write_bytes(text)
    except OSError:
        raise Malformed("the file cannot be written", fix="check the path and the room on the disk") from None


COMMANDS: Mapping[str, Callable[..., None]] = {"quote": quote, "schedule": schedule, "stress": stress, "sheet": sheet}
"""What ``touchstone pledge`` answers from files alone."""
