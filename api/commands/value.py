"""``touchstone value``: options and help; :mod:`api.commands.valuing` does the work."""

from pathlib import Path
from typing import Annotated

import typer

from api.commands.homes import key_of

value_app = typer.Typer(no_args_is_help=True, help="Value data assets.")


@value_app.command("formula")
def value_formula(
    name: Annotated[
        str | None, typer.Argument(help="A method of the formula desk; alone, it prints its contract.")
    ] = None,
    *,
    inputs: Annotated[Path | None, typer.Option(help="JSON file with the method's inputs; - reads stdin.")] = None,
    every: Annotated[bool, typer.Option("--list", help="List all methods.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print a list or a contract as JSON.")] = False,
) -> None:
    """Compute one valuation method exactly, or say what it needs."""
    from api.commands import valuing  # noqa: PLC0415

    if every or name is None:
        valuing.list_formulas(as_json=as_json)
    elif inputs is None:
        valuing.show_contract(name, as_json=as_json)
    else:
        valuing.compute(name, inputs)


@value_app.command("appraise")
def value_appraise(
    facts: Annotated[Path, typer.Argument(help="JSON file of an appraisal's inputs; - reads stdin.")],
    *,
    output: Annotated[Path | None, typer.Option("-o", "--output", help="Write the report here.")] = None,
) -> None:
    """Value a data asset by the approaches that its facts support, and write the report."""
    from api.commands import valuing  # noqa: PLC0415

    valuing.appraise(facts, output=output)


@value_app.command("split")
def value_split(
    facts: Annotated[Path, typer.Argument(help="JSON file of a split's inputs; - reads stdin.")],
    *,
    output: Annotated[Path | None, typer.Option("-o", "--output", help="Write the split here.")] = None,
) -> None:
    """Split a pool's value among the institutions that contribute to it, and write how."""
    from api.commands import valuing  # noqa: PLC0415

    valuing.split(facts, output=output)


@value_app.command("sign")
def value_sign(
    report: Annotated[Path, typer.Argument(help="A report; - reads stdin.")],
    *,
    key: Annotated[Path, typer.Option(help="Home of the party that signs: a desk or a node; it may be running.")],
    output: Annotated[Path | None, typer.Option("-o", "--output", help="Write the signed report here.")] = None,
) -> None:
    """Verify a report and sign it, so that others know who stands for its evidence."""
    from api.commands import valuing  # noqa: PLC0415

    valuing.sign(report, home=key, output=output)


@value_app.command("verify")
def value_verify(
    report: Annotated[Path, typer.Argument(help="A report, signed or not, or a split; - reads stdin.")],
    *,
    signer: Annotated[
        str | None, typer.Option(help="Key of the party that must have signed it: 64 hexadecimal digits.")
    ] = None,
) -> None:
    """Compute every figure of a report or a split anew, offline, and name the first that differs."""
    from api.commands import valuing  # noqa: PLC0415

    valuing.verify(report, signer=None if signer is None else key_of(signer))


@value_app.command("compare")
def value_compare(
    first: Annotated[Path, typer.Argument(help="A report.")],
    second: Annotated[Path, typer.Argument(help="A later report of the same asset.")],
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Explain the change in value between two reports by cause, in money that adds up to it."""
    from api.commands import valuing  # noqa: PLC0415

    valuing.compare(first, second, as_json=as_json)


@value_app.command("report")
def value_report(
    report: Annotated[Path, typer.Argument(help="A report; - reads stdin.")],
    *,
    output: Annotated[Path, typer.Option("-o", "--output", help="A file ending in .pdf, .html or .xlsx.")],
    lang: Annotated[str, typer.Option(help="zh, en, or both side by side.")] = "both",
) -> None:
    """Make a report into a PDF, a web page or a workbook for people, once every figure of it has been verified."""
    from api.commands import valuing  # noqa: PLC0415

    valuing.state(report, output=output, lang=lang)
