"""Valuation at the command line: the formula desk, appraisals and the re-performance of their reports."""

import sys
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from api.commands.terminal import tell
from exchange import identity
from exchange.protocol import envelope
from privacy import canonical
from privacy.errors import Malformed, Mismatch
from privacy.release import Release
from valuation import comparison, desk, exact, report
from valuation import split as splits
from valuation.desk import wire
from valuation.errors import OutOfRange
from valuation.money import Money
from valuation.reperform import NOTICE
from valuation.statement.words import Language

SIGNED = "valuation-report"
"""Kind of the envelope in which a report's maker signs it."""


def list_formulas(*, as_json: bool) -> None:
    """Print every method of the formula desk, in the order of the contract."""
    if as_json:
        tell([method.to_json() for method in desk.methods()])
        return
    view = Table(show_edge=False)
    for name in ("method", "for"):
        view.add_column(name, overflow="fold")
    for method in desk.methods():
        view.add_row(method.name, method.purpose)
    Console().print(view)


def show_contract(name: str, *, as_json: bool) -> None:
    """Print what a method computes and what it needs.

    Raises:
        OutOfRange: if there is no such method.
    """
    told = desk.find(name).to_json()
    if as_json:
        tell(told)
        return
    console = Console()
    console.print(f"{told['name']}: {told['purpose']}", highlight=False, markup=False)
    console.print(told["formula"], highlight=False, markup=False)
    console.print(f"Source: {told['source']}", highlight=False, markup=False)
    view = Table("input", "type", "unit", "range", "meaning", show_edge=False)
    for row in told["inputs"]:
        key = f"{row['key']} (optional)" if row["optional"] else row["key"]
        view.add_row(key, row["type"], row["unit"], row["range"], row["meaning"])
    console.print(view, markup=False)
    for condition in told["conditions"]:
        console.print(f"- {condition}", highlight=False, markup=False)
    view = Table("output", "type", "unit", "meaning", show_edge=False)
    for row in told["outputs"]:
        view.add_row(row["key"], row["type"], row["unit"], row["meaning"])
    console.print(view, markup=False)


def compute(name: str, inputs: Path) -> None:
    """Print the outputs of a method as one JSON object; what is unusual about the inputs goes to stderr.

    Raises:
        Malformed: if the file cannot be read; BadInput, naming the key, if it is not what the method demands.
    """
    given = wire.parse(read(inputs, "inputs"))
    outputs = desk.evaluate(name, given)
    for remark in desk.warnings(name, given):
        sys.stderr.write(f"note: {remark.key}: {remark.text}\n")
    sys.stdout.write(wire.spell(outputs) + "\n")


def appraise(facts: Path, *, output: Path | None) -> None:
    """Write the report of an appraisal to ``output`` and print its conclusion, or print the report itself.

    Raises:
        Malformed: if the file cannot be read or written; BadInput, naming the key, if it is not what the appraisal demands.
    """
    made = report.perform(wire.parse(read(facts, "facts")))
    _hand_out(made, output=output, what="report", show=_conclude)


def split(facts: Path, *, output: Path | None) -> None:
    """Write the document that splits a pool's value to ``output`` and print the parts, or print the document itself.

    Raises:
        Malformed: if the file cannot be read or written; BadInput, naming the key, if it is not what a split demands.
    """
    made = splits.perform(wire.parse(read(facts, "facts")))
    _hand_out(made, output=output, what="split", show=_show_parts)


def _hand_out(made: dict[str, Any], *, output: Path | None, what: str, show: Callable[[dict[str, Any]], None]) -> None:
    """Print a document, or write it to ``output`` and ``show`` what it concludes."""
    text = canonical.encode(made)
    if output is None:
        sys.stdout.write(text.decode("utf-8") + "\n")
        return
    _write(output, text, what)
    show(made)
    sys.stdout.write(f"{len(made['figures'])} figures, digest {made['digest']}\n")


def sign(path: Path, *, home: Path, output: Path | None) -> None:
    """Verify a report, put it into an envelope that the party under ``home`` signs, and write that to ``output`` or print it.

    Raises:
        Malformed: if it is no report. Differs: naming a figure that does not follow: nobody signs what does not hold.
    """
    party, key = identity.load(home, what="party")
    document = canonical.decode(read(path, "report").removesuffix(b"\n"))
    found = report.verify(document)
    text = canonical.encode(envelope.sign(SIGNED, document, signer=party, key=key).to_json())
    if output is None:
        sys.stdout.write(text.decode("utf-8") + "\n")
        return
    _write(output, text, "signed report")
    sys.stdout.write(f"signed by {party}; digest {found.digest}\n")


def verify(path: Path, *, signer: bytes | None = None) -> None:
    """Compute a report or a split anew from the inputs in it and print what was found; ``signer`` is the key to be held to.

    Raises:
        Malformed: if it is neither. Differs: naming the first figure that does not follow. Mismatch: if the key did not sign it.
    """
    # an editor's newline at the end is not part of the document
    text = read(path, "report").removesuffix(b"\n")
    document = canonical.decode(text)
    if isinstance(document, dict) and "signature" in document:
        text, document = _opened(document, signer)
    elif signer is not None:
        raise Mismatch("the report is not signed", fix="ask its maker for the signed one")
    is_split = isinstance(document, dict) and document.get("format") == splits.FORMAT
    found = splits.verify(text) if is_split else report.verify(text)
    sys.stdout.write(f"all {found.figures} figures follow from the inputs; digest {found.digest}\n")
    for note in () if is_split else _noise_notes(document):
        sys.stderr.write(f"note: {note}\n")
    (_show_parts if is_split else _conclude)(document)


def compare(first: Path, second: Path, *, as_json: bool) -> None:
    """Verify two reports of one asset and print by cause why the value, and the loan limit, changed.

    Raises:
        Malformed, Differs: if one is no report or does not hold. Mismatch: if they cannot be compared.
    """
    found = comparison.compare(*(_report(path) for path in (first, second)))
    if as_json:
        tell(found.to_json())
        return
    console = Console()
    console.print(NOTICE["en"], highlight=False, markup=False)
    for label, change in (("value", found.value), ("loan limit", found.limit)):
        if change is None:
            continue
        view = Table(label, found.currency, show_edge=False)
        view.columns[1].justify = "right"
        view.add_row("in the first report", change.before.shown(2))
        for cause in change.causes:
            view.add_row("  " + " with ".join(cause.groups), _signed(cause.part))
        view.add_row("in the second report", change.after.shown(2))
        console.print(view, markup=False)


def _signed(amount: Money) -> str:
    return ("+" if amount.fraction > 0 else "") + amount.shown(2)


def _report(path: Path) -> dict[str, Any]:
    """The report in a file, out of its envelope if it is signed."""
    document = canonical.decode(read(path, "report").removesuffix(b"\n"))
    if isinstance(document, dict) and "signature" in document:
        document = _opened(document, None)[1]
    if not isinstance(document, dict):
        raise Malformed("the document is not a report", fix="give a file that `touchstone value appraise` wrote")
    return document


def _noise_notes(made: dict[str, Any]) -> Iterator[str]:
    """What the releases in a report say of their noise that their plans contradict: a smaller noise narrows a range for free."""
    from exchange.analyst.desk import variances  # noqa: PLC0415

    for place, item in enumerate(made["inputs"]["evidence"]["measured"]):
        drawn = Release.from_json(item["release"])
        owed = variances(drawn.plan)
        wrong = [key for key, stated in drawn.variances.items() if stated != owed[key]]
        if wrong:
            yield f"release {place} states another noise of {', '.join(wrong)} than its plan is charged for; ask for its receipt"


def _opened(document: dict[str, Any], signer: bytes | None) -> tuple[bytes, Any]:
    """Return the report in an envelope, whose signature is checked against ``signer``, or said not to be."""
    held = envelope.Envelope.from_json(document)
    if held.kind != SIGNED:
        raise Malformed("the envelope does not hold a report", fix="give a report, or one signed by its maker")
    if signer is None:
        sys.stderr.write(f"note: it says {held.signer} signed it; give that party's key as --signer to check\n")
        return held.body, canonical.decode(held.body)
    told = held.verify({held.signer: signer})
    sys.stdout.write(f"signed by {held.signer}\n")
    return held.body, told


def state(path: Path, *, output: Path, lang: str) -> None:
    """Write the report at ``path`` for people; the ending of ``output`` says as what, ``lang`` in which language.

    Raises:
        OutOfRange: for another ending or language. Malformed: if a file cannot be read or written, or is no report.
        Differs: naming the first figure that does not follow; nothing is written then.
    """
    from api.printing import made  # noqa: PLC0415  a typesetter only where something is set

    if output.suffix.lower() not in made.FORMS:
        raise OutOfRange("the ending of the output", "{" + ", ".join(made.FORMS) + "}")
    if lang not in {language.value for language in Language}:
        raise OutOfRange("lang", "{" + ", ".join(Language) + "}")
    document = _report(path)
    report.verify(document)
    content = made.form(document, output.suffix.lower(), Language(lang))
    try:
        output.write_bytes(content)
    except OSError:
        raise Malformed("the file cannot be written", fix="check the path and the room on the disk") from None
    sys.stdout.write(f"{output.name}: {len(content):,} bytes, every figure verified\n")


def _conclude(made: dict[str, Any]) -> None:
    """Print a report's conclusion with a range, its approaches and its remarks; figures rounded for readers."""
    figures = {figure["key"]: figure for figure in made["figures"]}
    currency = made["conclusion"]["currency"]
    view = Table("figure", f"{currency}", show_edge=False)
    values = {
        "income.central": "by income",
        "market.central": "by market",
        "value.central": "by cost",
        "option": "real option, beside the value",
    }
    rows = [(made["conclusion"][end], figures[made["conclusion"][end]]["label"]) for end in ("low", "central", "high")]
    rows += [(key, label) for key, label in values.items() if key in figures and made["conclusion"]["central"] != key]
    if "limit" in made["conclusion"]:
        rows.append((made["conclusion"]["limit"], figures[made["conclusion"]["limit"]]["label"]))
    for key, label in rows:
        view.add_row(label, Money.parse(f"{figures[key]['value']} {currency}").shown(0))
    console = Console()
    console.print(made["notice"]["en"], highlight=False, markup=False)
    console.print(view, markup=False)
    for remark in made["remarks"]:
        console.print(f"- {remark['code']}: {remark['text']}", highlight=False, markup=False)


def _show_parts(made: dict[str, Any]) -> None:
    """Print each institution's part with its interval and share; figures rounded for readers, parts to the cent."""
    figures = {figure["key"]: figure["value"] for figure in made["figures"]}
    currency = made["conclusion"]["currency"]
    view = Table("institution", "share", f"part, {currency}", "low", "high", show_edge=False)
    for part in made["conclusion"]["parts"]:
        ends = [Money.parse(f"{figures[part[end]]} {currency}").shown(2) for end in ("central", "low", "high")]
        view.add_row(part["party"], exact.percent(Decimal(figures[f"share.{part['party']}"])), *ends)
    console = Console()
    console.print(made["notice"]["en"], highlight=False, markup=False)
    console.print(view, markup=False)
    for remark in made["remarks"]:
        console.print(f"- {remark['code']}: {remark['text']}", highlight=False, markup=False)


def _write(path: Path, text: bytes, what: str) -> None:
    try:
        path.write_bytes(text)
    except OSError:
        raise Malformed(f"the {what} cannot be written", fix="check the path and the room on the disk") from None


def read(path: Path, what: str) -> bytes:
    """Read a file, or stdin for ``-``; raises ``Malformed`` if it cannot be read."""
    try:
        return sys.stdin.buffer.read() if str(path) == "-" else path.read_bytes()
    except OSError:
        raise Malformed(f"the file of the {what} cannot be read", fix="check its path, or give - for stdin") from None
