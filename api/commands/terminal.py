"""What all commands share at the terminal: one form of JSON, one form of refusals, what goes over the line, the language.

Data goes to standard output, everything else to standard error. With ``--json`` a command prints one object that says
``schema_version`` and ``status``, whether it succeeds (``ok``) or not (``refused``, ``unreachable``, ``failed``).
"""

import json
import logging
import sys
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import typer

from privacy.errors import PrivacyError, Refused

if TYPE_CHECKING:
    from typer._click import Command

SCHEMA_VERSION = "1"

DONE, FAILED, MISTYPED, REFUSED, UNREACHABLE = 0, 1, 2, 3, 4
"""Exit codes: done, failed, a wrong command line, refused by policy, budget or a lien, nobody could be reached."""

_STATUS = {FAILED: "failed", REFUSED: "refused", UNREACHABLE: "unreachable"}

REHEARSED = frozenset({"access", "pledge", "query"})
"""Commands that change something over the line alone, and can therefore be rehearsed."""


def tell(found: Mapping[str, Any] | Sequence[Any], *, indent: int | None = 2) -> None:
    """Print what was found as one object; a list becomes its ``items``."""
    told = dict(found) if isinstance(found, Mapping) else {"items": list(found)}
    document = {"schema_version": SCHEMA_VERSION, "status": "ok"} | told
    sys.stdout.write(json.dumps(document, ensure_ascii=False, indent=indent) + "\n")


def note(text: str) -> None:
    """Say something that is no data."""
    typer.echo(text, err=True)


def end(error: PrivacyError, *, as_json: bool) -> int:
    """Tell an error as a sentence and its fix, or as an object, and return the exit code."""
    from exchange.line import Rehearsed  # noqa: PLC0415

    if isinstance(error, Rehearsed):
        typer.echo(error.reason)
        note(error.fix)
        return DONE
    code = exit_code(error)
    if as_json:
        from exchange.protocol import problems  # noqa: PLC0415

        told = problems.document(error) | {"schema_version": SCHEMA_VERSION, "status": _STATUS[code]}
        if error.code:
            told |= {"code": error.code, "type": f"/problems/{error.code}", "title": error.reason}
        sys.stdout.write(json.dumps(told, ensure_ascii=False, indent=2, default=str) + "\n")
    _complain(error)
    return code


def exit_code(error: PrivacyError) -> int:
    """Return the exit code of an error."""
    from exchange.line import Unreachable  # noqa: PLC0415

    if isinstance(error, Refused):
        return REFUSED
    return UNREACHABLE if isinstance(error, Unreachable) else FAILED


def _complain(error: PrivacyError) -> None:
    from exchange.protocol import problems  # noqa: PLC0415
    from exchange.protocol.errors import Overreach  # noqa: PLC0415

    note(f"{error.code or problems.of(error).code}  {error.reason}")
    if isinstance(error, Overreach):
        rules: dict[str, list[str]] = {}
        for violation in error.violations:
            rules.setdefault(f"{violation.item}: {violation.why}", []).append(violation.rule)
        for offence, deciding in rules.items():
            note(f"  - {offence} ({', '.join(deciding)})")
    if error.fix:
        note(f"Fix: {error.fix}")
    if rewrite := getattr(error, "rewrite", ""):
        note(f"Answered would be: {rewrite}")


def show_calls() -> None:
    """Write every call to the exchange to standard error, as it is made."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("> %(message)s"))
    line = logging.getLogger("touchstone.line")
    line.addHandler(handler)
    line.setLevel(logging.DEBUG)
    line.propagate = False


def language(arguments: Sequence[str], environment: Mapping[str, str]) -> str:
    """Return the language that is wished for, ``en`` or ``zh``: by ``--lang``, TOUCHSTONE_LANG, LC_ALL or LANG."""
    wished = [after for before, after in pairwise(arguments) if before == "--lang"]
    wished += [argument.partition("=")[2] for argument in arguments if argument.startswith("--lang=")]
    wished += [environment[name] for name in ("TOUCHSTONE_LANG", "LC_ALL", "LANG") if environment.get(name)]
    return "zh" if wished and wished[0].lower().startswith("zh") else "en"


def localise(command: "Command", say: Callable[[str], str]) -> None:
    """Put the help of a command, its options and all commands below it into another language."""
    if command.help:
        command.help = say(command.help)
    for parameter in command.params:
        told = getattr(parameter, "help", None)
        if told:
            parameter.help = say(told)  # type: ignore[attr-defined]  # options and arguments of this library have one
    for below in getattr(command, "commands", {}).values():
        localise(below, say)
