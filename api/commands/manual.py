"""``python -m api.commands.manual`` prints ``docs/reference-cli.md``: every command with its arguments and options, from the code."""

import sys
from collections.abc import Iterator
from typing import Any

import typer

from api import cli

HEAD = """# The command line

Every command with its arguments and options, printed from the code by `python -m api.commands.manual`; a test keeps it current.
`touchstone COMMAND --help` says the same. Data goes to stdout, everything else to stderr. Options in **bold** must be given.

| exit code | what it means |
|---|---|
| 0 | done |
| 1 | failed: the reason and what to do are on stderr |
| 2 | a wrong command line |
| 3 | refused by policy, budget, a gate or a lien |
| 4 | nobody could be reached |
"""


def page() -> str:
    """Return the page."""
    return "\n".join([HEAD, *_described(typer.main.get_command(cli.app), ("touchstone",))])


def _described(command: Any, names: tuple[str, ...]) -> Iterator[str]:
    inner = getattr(command, "commands", None)
    if inner is None:
        yield from _command(command, names)
        return
    if len(names) > 1:
        yield f"## {' '.join(names)}\n\n{_line(command.help)}\n"
    for name, one in inner.items():
        if not one.hidden:
            yield from _described(one, (*names, name))


def _command(command: Any, names: tuple[str, ...]) -> Iterator[str]:
    shown = [one for one in command.params if not getattr(one, "hidden", False) and one.name != "help"]
    arguments = [one for one in shown if one.param_type_name == "argument"]
    usage = " ".join([*names, *(_argument(one) for one in arguments)])
    yield f"{'##' if len(names) == 2 else '###'} {' '.join(names)}\n\n`{usage}`\n"
    yield "\n\n".join(_line(part) for part in (command.help or "").split("\n\n")) + "\n"
    if shown:
        yield "| argument or option | what it is |\n|---|---|"
        yield "\n".join(_row(one) for one in shown) + "\n"


def _argument(one: Any) -> str:
    name = str(one.metavar or one.name).upper().replace("_", "-").strip("{}[]")
    return name if one.required else f"[{name}]"


def _row(one: Any) -> str:
    if one.param_type_name == "argument":
        return f"| `{_argument(one)}` | {_line(one.help)} |"
    name = ", ".join(f"`{option}`" for option in one.opts)
    told = [_line(one.help)]
    if one.envvar:
        told.append(f"Also from `{one.envvar}`.")
    if isinstance(one.default, int | str) and not isinstance(one.default, bool):
        told.append(f"Usually `{one.default}`.")
    return f"| {f'**{name}**' if one.required else name} | {' '.join(part for part in told if part)} |"


def _line(text: str | None) -> str:
    return " ".join((text or "").split()).replace("|", "\\|")


if __name__ == "__main__":
    sys.stdout.write(page())
