"""Valuation at the command line: the formula desk."""

import json
import sys
from pathlib import Path

from rich.console import Console
from rich.table import Table

from privacy.errors import Malformed
from valuation import desk
from valuation.desk import wire


def list_formulas(*, as_json: bool) -> None:
    """Print every method of the formula desk, in the order of the contract."""
    if as_json:
        sys.stdout.write(json.dumps([method.to_json() for method in desk.methods()], ensure_ascii=False) + "\n")
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
        sys.stdout.write(json.dumps(told, ensure_ascii=False) + "\n")
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
    try:
        text = sys.stdin.buffer.read() if str(inputs) == "-" else inputs.read_bytes()
    except OSError:
        raise Malformed("the file of the inputs cannot be read", fix="check its path, or give - for stdin") from None
    given = wire.parse(text)
    outputs = desk.evaluate(name, given)
    for remark in desk.warnings(name, given):
        sys.stderr.write(f"note: {remark.key}: {remark.text}\n")
    sys.stdout.write(wire.spell(outputs) + "\n")
