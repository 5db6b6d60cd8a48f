"""The house rules that no library checks, as executable checks whose messages say what to do instead.

Import contracts between packages are in ``pyproject.toml`` (import-linter). Every rule here is also shown to catch what it
is there for, on a planted example.
"""

import ast
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("privacy", "exchange", "valuation", "api")
ROOMS = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))

CATCH_ALLS = {"utils", "util", "helpers", "helper", "common", "manager", "managers", "base", "impl", "misc", "shared"}

BANNED_MODULES = {
    "random": "is a statistics generator: draw from secrets, or from the operating system through OpenDP",
    "pickle": "runs whatever it reads: use privacy.canonical",
    "marshal": "reads without checking: use privacy.canonical",
    "shelve": "is pickle on disk: write to the journal",
    "yaml": "has loaders that run code: documents are JSON",
    "imp": "is gone: use importlib",
    "requests": "is another HTTP client: exchange.line is the one line",
    "httpx": "stands still: httpx2 in exchange.line is the one client",
    "urllib.request": "is another HTTP client: exchange.line is the one line",
    "unittest.mock": "belongs to tests, and rarely there",
}
BANNED_CALLS = {
    "eval": "runs foreign text: parse it into a typed plan",
    "exec": "runs foreign text: parse it into a typed plan",
    "compile": "runs foreign text: parse it into a typed plan",
    "__import__": "hides a dependency: write an import statement",
    "print": "goes around the command line: use typer.echo or rich there, logging elsewhere",
    "breakpoint": "is for the desk, not for the house",
}
BANNED_ARGUMENTS = {
    ("shell", True): "passes text to a shell: start a process with a list",
    ("verify", False): "trusts whoever answers: leave certificate checks on",
}
PRINTERS = {
    "exchange/protocol/access.py",
    "exchange/protocol/pledge.py",
    "exchange/protocol/session.py",
    "valuation/desk/__main__.py",
}
"""``python -m`` of any of them prints a part of docs/."""

LIBRARIES = {
    "opendp": {"privacy/noise.py"},
    "phe": {"privacy/modulus.py", "privacy/unseal.py"},
    "gmpy2": {"privacy/modulus.py", "privacy/seal.py", "privacy/unseal.py"},
    "duckdb": {
        "exchange/analyst/result.py",
        "exchange/book.py",
        "exchange/projection.py",
        "exchange/hub/premises.py",
        "exchange/hub/tables.py",
        "exchange/node/engine.py",
        "exchange/node/prepared.py",
        "exchange/node/sandbox.py",
        "exchange/node/tables.py",
        "exchange/node/vault.py",
        "exchange/node/worker.py",
        "api/demo/people.py",
        "api/demo/truth.py",
    },
    "sqlglot": {"exchange/analyst/sql.py"},
    "httpx2": {"api/console/exchange.py", "exchange/line.py"},
    "pandas": {"api/demo/people.py", "api/demo/truth.py", "exchange/analyst/result.py"},
    "numpy": {"api/demo/people.py", "valuation/doubles.py", "valuation/draws.py"},
    "xlsxwriter": {"api/printing/workbook.py", "exchange/analyst/result.py"},
    "typst": {"api/printing/pdf.py"},
    "markdown_it": {"api/console/handbook.py"},
    "ctypes": {"api/processes.py", "exchange/node/worker.py"},
    "subprocess": {"api/demo/town.py", "exchange/node/sandbox.py"},
    "socket": {"api/admission.py", "api/console/loopback.py", "api/operating.py", "api/processes.py"},
    "ssl": {"api/commands/certificates.py", "exchange/line.py", "exchange/tls.py"},
    "getpass": {"exchange/passphrase.py"},
}
"""Libraries that only these rooms may import: what a room must not do, it cannot reach."""

MAKERS = {
    "Bench": {"exchange/node/worker.py"},
    "Clipped": {"exchange/node/source.py"},
    "Noised": {"privacy/noise.py", "exchange/node/vault.py"},
    "Packed": {"privacy/packing.py"},
    "Masked": {"privacy/masks.py"},
    "Sealed": {"privacy/seal.py", "privacy/unseal.py"},
    "Receipt": {"privacy/ledger.py", "exchange/node/vault.py"},
    "Release": {"exchange/analyst/desk.py"},
}
"""A type says how far a value has travelled; only these rooms may say so."""

CALLERS = {
    "clip": {"exchange/node/agent.py"},
    "add_noise": {"exchange/node/agent.py"},
    "keep_noised": {"exchange/node/agent.py"},
    "pack": {"exchange/node/agent.py"},
    "mask": {"exchange/node/agent.py"},
    "unpack": {"exchange/analyst/desk.py"},
}
"""The steps between rows and ciphertexts have one caller, so there is one order in which they can happen."""

ROW_READERS = {"exchange/node/source.py", "exchange/node/worker.py", "api/demo/people.py", "api/demo/truth.py"}
_ROW_READING = re.compile(r"\b(read_parquet|read_csv|read_json|parquet_scan|sniff_csv|ATTACH)\b")


def place(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def imported(tree: ast.AST) -> Iterator[tuple[int, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            yield node.lineno, node.module
            yield from ((node.lineno, f"{node.module}.{alias.name}") for alias in node.names)


def called(tree: ast.AST) -> Iterator[tuple[ast.Call, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            if isinstance(node.func, ast.Name):
                yield node, node.func.id
            elif isinstance(node.func, ast.Attribute):
                yield node, node.func.attr


def bare(node: ast.Call) -> bool:
    return isinstance(node.func, ast.Name)


def strangers(tree: ast.AST, room: str) -> Iterator[str]:
    for line, module in imported(tree):
        for banned, why in BANNED_MODULES.items():
            if module == banned or module.startswith(f"{banned}."):
                yield f"{room}:{line} imports {banned}, which {why}"


def swallowings(tree: ast.AST, room: str) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Assert):
            yield f"{room}:{node.lineno} has an assert, which python -O drops: raise a PrivacyError with its fix"
        if isinstance(node, ast.ExceptHandler) and node.type is None:
            yield f"{room}:{node.lineno} catches everything, Ctrl-C too: name the errors"


def dangers(tree: ast.AST, room: str) -> Iterator[str]:
    for node, name in called(tree):
        if bare(node) and name in BANNED_CALLS and not (name == "print" and room in PRINTERS):
            yield f"{room}:{node.lineno} calls {name}, which {BANNED_CALLS[name]}"
        for keyword in node.keywords:
            if isinstance(keyword.value, ast.Constant) and keyword.arg is not None:
                why = BANNED_ARGUMENTS.get((keyword.arg, keyword.value.value))
                if why and isinstance(keyword.value.value, bool):
                    yield f"{room}:{node.lineno} passes {keyword.arg}={keyword.value.value}, which {why}"


def trespasses(tree: ast.AST, room: str) -> Iterator[str]:
    for line, module in imported(tree):
        allowed = LIBRARIES.get(module.split(".", maxsplit=1)[0])
        if allowed is not None and room not in allowed:
            yield f"{room}:{line} imports {module}: only {', '.join(sorted(allowed))} may"


def detours(tree: ast.AST, room: str) -> Iterator[str]:
    for node, name in called(tree):
        if name in MAKERS and room not in MAKERS[name]:
            yield f"{room}:{node.lineno} makes {name}: only {', '.join(sorted(MAKERS[name]))} may say that a value is one"
        if name in CALLERS and (bare(node) or name == "keep_noised") and room not in CALLERS[name]:
            yield f"{room}:{node.lineno} calls {name}: only {', '.join(sorted(CALLERS[name]))} may, in its order"


def row_readings(tree: ast.AST, room: str) -> Iterator[str]:
    if room in ROW_READERS:
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and _ROW_READING.search(node.value):
            yield f"{room}:{node.lineno} reads rows: only exchange/node/source.py does, from a typed plan"


def ambient(tree: ast.AST, room: str) -> Iterator[str]:
    """Switches from outside: settings come in as arguments, so that no variable can turn a protection off."""
    if room in ("exchange/analyst/client.py", "api/cli.py", "exchange/passphrase.py"):
        return  # where a desk and its exchange are; which language the help speaks; what opens protected keys
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and node.attr in {"environ", "getenv"}:
            yield f"{room}:{node.lineno} reads the environment: pass the setting as an argument"


def clocks(tree: ast.AST, room: str) -> Iterator[str]:
    if room.startswith("api/") or room == "exchange/line.py":
        return
    for line, module in imported(tree):
        if module == "time" or module.startswith("time."):
            yield f"{room}:{line} reads a clock: take the time as an argument"
    for node, name in called(tree):
        if name in {"today", "utcnow"} or (name == "now" and not node.args and isinstance(node.func, ast.Attribute)):
            yield f"{room}:{node.lineno} reads a clock: take the date as an argument"


def engines(tree: ast.AST, room: str) -> Iterator[str]:
    if not room.startswith("exchange/node/") or room == "exchange/node/worker.py":
        return
    for node, name in called(tree):
        if name == "connect":
            yield f"{room}:{node.lineno} starts an engine in the node: engines on rows run in another process, by sandbox.py"


RULES = (strangers, swallowings, dangers, trespasses, detours, row_readings, ambient, clocks, engines)


@pytest.mark.parametrize("room", ROOMS, ids=place)
def test_room_keeps_the_house_rules(room):
    tree = ast.parse(room.read_text("utf-8"))
    complaints = [complaint for rule in RULES for complaint in rule(tree, place(room))]
    assert not complaints, "\n".join(complaints)


@pytest.mark.parametrize(
    ("planted", "room", "said"),
    [
        ("import random", "exchange/hub/fold.py", "secrets"),
        ("from random import randint", "exchange/hub/fold.py", "secrets"),
        ("import pickle", "exchange/journal.py", "canonical"),
        ("assert x > 0", "privacy/plan.py", "python -O"),
        ("try:\n    f()\nexcept:\n    pass", "api/app.py", "Ctrl-C"),
        ("eval(text)", "exchange/analyst/reading.py", "typed plan"),
        ("print(rows)", "exchange/node/agent.py", "logging"),
        ("run(command, shell=True)", "api/demo/town.py", "list"),
        ("Client(verify=False)", "exchange/line.py", "certificate"),
        ("import opendp.prelude as dp", "exchange/node/agent.py", "privacy/noise.py"),
        ("from phe import paillier", "exchange/hub/fold.py", "privacy/unseal.py"),
        ("def f():\n    import duckdb", "valuation/cost.py", "exchange/book.py"),
        ("Noised(plan.hash, clipped.totals)", "exchange/node/agent.py", "privacy/noise.py"),
        ("noise.Noised(h, t)", "api/routes/sessions.py", "privacy/noise.py"),
        ("clip(plan, dataset, sampling_key=key)", "api/routes/sessions.py", "exchange/node/agent.py"),
        ("vault.keep_noised(x, plan, dataset)", "exchange/node/source.py", "exchange/node/agent.py"),
        ("f\"SELECT * FROM read_parquet('{p}')\"", "exchange/node/vault.py", "source.py"),
        ("Bench(memory=m)", "exchange/node/agent.py", "exchange/node/worker.py"),
        ("duckdb.connect(path)", "exchange/node/prepared.py", "another process"),
        ("os.environ['TOUCHSTONE_NOISE']", "privacy/noise.py", "argument"),
        ("import time", "valuation/cost.py", "argument"),
        ("date.today()", "valuation/terms.py", "argument"),
        ("datetime.now()", "exchange/hub/liens.py", "argument"),
    ],
)
def test_planted_offence_is_caught(planted, room, said):
    tree = ast.parse(planted)
    assert any(said in complaint for rule in RULES for complaint in rule(tree, room))


def test_the_process_that_has_rows_open_reaches_nothing_of_the_project():
    tree = ast.parse((ROOT / "exchange/node/worker.py").read_text("utf-8"))
    tops = {module.split(".", maxsplit=1)[0] for _, module in imported(tree)}
    assert tops <= {*sys.stdlib_module_names, "duckdb"}


def test_no_room_has_a_catch_all_name():
    caught = [place(room) for room in ROOMS if CATCH_ALLS & {*Path(place(room)).parts[:-1], room.stem}]
    assert not caught, f"name these rooms by what they do: {caught}"


def test_every_library_in_use_is_declared():
    declared = {re.split(r"[=<>!~\[ ;]", name)[0].replace("-", "_") for name in PROJECT["project"]["dependencies"]}
    declared |= {"markdown_it"} if "markdown_it_py" in declared else set()  # it is called otherwise than it is packed
    for room in ROOMS:
        for line, module in imported(ast.parse(room.read_text("utf-8"))):
            top = module.split(".", maxsplit=1)[0]
            known = top in sys.stdlib_module_names or top in PACKAGES or top in declared
            assert known, f"{place(room)}:{line} imports {top}: pin it in pyproject.toml and lock it"


def test_lists_of_rooms_name_rooms_that_exist():
    named = {room for rooms in (*LIBRARIES.values(), *MAKERS.values(), *CALLERS.values()) for room in rooms}
    missing = [room for room in sorted(named | ROW_READERS | PRINTERS) if not (ROOT / room).is_file()]
    assert not missing, f"these rooms moved: tell this file where {missing} went"


# -- what is written down --------------------------------------------------------------------------------------------


def texts() -> list[Path]:
    """All text files of the project, as git knows them; in an unpacked archive, all that are not hidden."""
    if (ROOT / ".git").exists():
        listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True).stdout
        found = [ROOT / name for name in listed.decode().split("\0") if name]
    else:
        found = [path for path in ROOT.rglob("*") if not any(part.startswith(".") for part in path.parts)]
    return [
        path
        for path in found
        if path.is_file() and path.suffix not in {".png", ".ico", ".woff2", ".ttf", ".gz", ".pyc"}
    ]


# written in halves, so that this file does not hold what it looks for
REGISTRIES = [a + b for a, b in (("pypi", ".org"), ("pythonhosted", ".org"), ("registry.npm", "js.org"))]
INDEX_OPTIONS = ["--index" + "-url", "--extra-index" + "-url", "--find" + "-links", "--trusted" + "-host"]
MACHINE = re.compile(r"(?<![\w.<])/(?:work|root|home|Users|opt)" + r"/\w")
MARKS = re.compile(r"\b(?:TO" + r"DO|FIX" + r"ME|XX" + r"X|HA" + r"CK)\b")


def test_no_text_names_a_registry_or_a_package_index():
    for path in texts():
        text = path.read_text("utf-8")
        named = [word for word in (*REGISTRIES, *INDEX_OPTIONS) if word in text]
        assert not named, f"{place(path)} names {named}: where packages come from is the reader's own setting"


def test_no_text_names_a_path_of_one_machine():
    for path in texts():
        found = MACHINE.search(path.read_text("utf-8"))
        assert found is None, f"{place(path)} holds {found and found.group()!r}: write paths from the project's root"


def test_nothing_is_put_off_in_a_comment():
    for path in texts():
        found = MARKS.search(path.read_text("utf-8"))
        assert found is None, (
            f"{place(path)} holds {found and found.group()}: do it, or open an issue and leave no mark"
        )


def test_locks_pin_and_hash_everything():
    declared = PROJECT["project"]["dependencies"] + PROJECT["dependency-groups"]["build"]
    expected = {
        "requirements.txt": declared,
        "requirements-dev.txt": declared + PROJECT["dependency-groups"]["dev"],
    }
    assert PROJECT["build-system"]["requires"] == PROJECT["dependency-groups"]["build"]
    for name, direct in expected.items():
        entries = re.split(r"^(?=[a-z0-9])", (ROOT / name).read_text("utf-8"), flags=re.MULTILINE)
        pinned = [entry for entry in entries if entry.strip() and not entry.startswith("#")]
        unhashed = [entry.split()[0] for entry in pinned if "--hash=sha256:" not in entry]
        loose = [entry.split()[0] for entry in pinned if not re.match(r"[a-z0-9._-]+==\S+", entry)]
        assert not unhashed, f"{name} has entries without a hash: {unhashed}"
        assert not loose, f"{name} has entries that are not pinned: {loose}"
        locked = {entry.split()[0] for entry in pinned}
        assert set(direct) <= locked, f"{name} is older than pyproject.toml: lock again, see docs/development.md"


# -- what is loaded --------------------------------------------------------------------------------------------------

HEAVY = ("opendp", "duckdb", "pandas", "numpy", "fastapi", "starlette", "uvicorn", "sqlglot", "cryptography", "gmpy2")


def run_alone(program: str) -> subprocess.CompletedProcess[str]:
    """Run a program in a process of its own, without coverage, which loads libraries itself."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("COV")}
    command = [sys.executable, "-c", program]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("arguments", [["--help"], ["query", "--help"], ["node", "--help"]], ids=" ".join)
def test_help_loads_no_heavy_library(arguments):
    program = (
        "import sys\n"
        "from api import cli\n"
        f"sys.argv = ['touchstone', *{arguments!r}]\n"
        "try:\n    cli.main()\n"
        "except SystemExit as ending:\n    failed = ending.code\n"
        f"loaded = [name for name in {HEAVY!r} if name in sys.modules]\n"
        "sys.exit(f'help loads {loaded}: import them inside the command that needs them' if loaded else failed)\n"
    )
    told = run_alone(program)
    assert told.returncode == 0, told.stderr
    assert "Usage" in told.stdout


def test_a_price_cannot_reach_the_network_an_engine_or_a_key():
    program = (
        "import sys\nimport valuation.report, valuation.terms\n"
        f"sys.exit(str([n for n in {(*HEAVY, 'httpx2', 'phe', 'socket')!r} if n in sys.modules] or ''))\n"
    )
    told = run_alone(program)
    assert told.stderr.strip() == "", f"valuation loads {told.stderr}"
