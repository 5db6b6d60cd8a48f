"""What the pages under ``docs/`` say must be so. ``python -m tests.test_docs`` writes the parts that the code dictates."""

import json
import re
import tempfile
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
from typer.testing import CliRunner

from api import cli
from api.commands import manual
from api.demo import people, town
from exchange.node import registration, vault
from exchange.protocol import access, pledge, session
from privacy.atoms import USES
from privacy.floor import FLOORS
from privacy.purposes import PURPOSES, REFUSED

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = sorted([*DOCS.rglob("*.md"), ROOT / "README.md", ROOT / "CHANGELOG.md"])
SOURCES = "\n".join(
    path.read_text("utf-8")
    for package in ("privacy", "exchange", "valuation", "api")
    for path in (ROOT / package).rglob("*.py")
)


def example(directory: Path) -> tuple[dict, dict]:
    """The documents of the demonstration's bank-b, as its data office would write them beside its file."""
    one = people.synthesise(directory, rows=1_000)[1]
    dataset = town.dataset_document(one)
    dataset["source"]["path"] = Path(one.location.path).name
    return dataset, town.policy_document(one)


def spell(value, indent=0):
    """JSON with short objects and lists on one line, as a person writes them."""
    line = json.dumps(value, ensure_ascii=False)
    if len(line) + indent <= 100 or not isinstance(value, dict | list):
        return line
    inner = " " * (indent + 2)
    if isinstance(value, dict):
        items = [f"{inner}{json.dumps(key)}: {spell(item, indent + 2)}" for key, item in value.items()]
        return "{\n" + ",\n".join(items) + "\n" + " " * indent + "}"
    return "[\n" + ",\n".join(inner + spell(item, indent + 2) for item in value) + "\n" + " " * indent + "]"


def dictated(directory: Path) -> dict[tuple[str, str], str]:
    """Page and marker of every part that the code dictates, with its text."""
    dataset, policy = example(directory)
    return {
        ("architecture.md", "session tables"): session.print_tables(),
        ("access.md", "access table"): access.print_table(),
        ("register.md", "pledge table"): pledge.print_table(),
        ("node.md", "dataset example"): f"```json\n{spell(dataset)}\n```",
        ("node.md", "policy example"): f"```json\n{spell(policy)}\n```",
        ("policy.md", "purposes"): purposes_table(),
        ("policy.md", "levels"): levels_table(),
        ("policy.md", "worked refusal"): worked_refusal(directory, policy),
    }


def notebook() -> str:
    """The analyst's tour: the guide as cells, its blocks of Python and shell to be run one after the other."""
    guide = (DOCS / "guide" / "analyst.en.md").read_text("utf-8").replace("<!-- runs -->\n", "").replace("](../", "](")
    cells = []
    for part_ in re.split(r"(^```(?:bash|python)\n.*?^```$)", guide, flags=re.MULTILINE | re.DOTALL):
        block = re.fullmatch(r"```(bash|python)\n(.*)\n```", part_, re.DOTALL)
        text = part_.strip() if block is None else ("%%bash\n" if block[1] == "bash" else "") + block[2]
        if text:
            cell = {"cell_type": "markdown", "metadata": {}, "source": text.splitlines(keepends=True)}
            code = {"cell_type": "code", "execution_count": None, "outputs": []}
            cells.append({"id": f"step-{len(cells)}"} | cell | (code if block else {}))
    kernel = {"kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"}}
    document = {"cells": cells, "metadata": kernel, "nbformat": 4, "nbformat_minor": 5}
    return json.dumps(document, ensure_ascii=False, indent=1) + "\n"


def test_the_notebook_is_the_guide():
    assert (DOCS / "analyst-tour.ipynb").read_text("utf-8") == notebook(), "run python -m tests.test_docs"


def purposes_table() -> str:
    head = "| purpose | for | may use | institutions | kept | who | dates by |\n|---|---|---|---|---|---|---|\n"
    rows = []
    for one in PURPOSES.values():
        uses = "; ".join(
            f"{kind.value}: {', '.join(use for use in USES if use in listed)}" for kind, listed in one.uses.items()
        )
        who = ", ".join(one.roles) or "anybody"
        rows.append(
            f"| `{one.purpose}` | {one.title} | {uses} | {one.min_parties} | {one.keeps} days | {who} | {one.part} |"
        )
    barred = [f"- `{one.purpose}` is always refused: {one.why}." for one in REFUSED.values()]
    return head + "\n".join(rows) + "\n\n" + "\n".join(barred)


def levels_table() -> str:
    head = "| level | uses that can be granted | dates by | a group is shown from |\n|---|---|---|---|\n"
    rows = []
    for level, floor in FLOORS.items():
        uses = "all" if floor.uses == set(USES) else ", ".join(use for use in USES if use in floor.uses) or "none"
        rows.append(f"| {level} | {uses} | {floor.part} | {floor.min_group} rows |")
    return head + "\n".join(rows)


def worked_refusal(directory: Path, policy: dict) -> str:
    (directory / "policy.json").write_text(json.dumps(policy))
    sql = "SELECT region, AVG(balance), AVG(income) FROM consumer_credit GROUP BY region"
    asked = ["--as", "lender-x", "--role", "lender", "--budget", "0.2", "--keep-days", "400"]
    told = CliRunner().invoke(cli.app, ["policy", "explain", str(directory / "policy.json"), "-e", sql, *asked])
    assert told.exit_code == 3
    shown = f'touchstone policy explain policy.json --as lender-x --role lender --budget 0.2 --keep-days 400 \\\n    -e "{sql}"'
    return f"```console\n$ {shown}\n{told.stdout.strip()}\n```"


def part(page: str, marker: str) -> re.Match[str]:
    pattern = rf"(<!-- {marker} -->\n)(.*?)(<!-- end of {marker} -->)"
    found = re.search(pattern, (DOCS / page).read_text("utf-8"), re.DOTALL)
    assert found is not None, f"docs/{page} has no part marked {marker}"
    return found


def test_what_the_code_dictates_is_what_the_pages_say(tmp_path):
    for (page, marker), text in dictated(tmp_path).items():
        stale = part(page, marker)[2].strip() != text
        assert not stale, f"docs/{page}: the {marker} is stale; run python -m tests.test_docs"


def test_the_page_of_the_command_line_is_current():
    stale = (DOCS / "reference-cli.md").read_text("utf-8") != manual.page()
    assert not stale, "docs/reference-cli.md is stale; run python -m api.commands.manual > docs/reference-cli.md"


def test_the_guides_say_the_same_in_both_languages():
    english = {page.name.removesuffix(".en.md") for page in DOCS.rglob("*.en.md")}
    assert english == {page.name.removesuffix(".zh.md") for page in DOCS.rglob("*.zh.md")}
    assert {"analyst", "concepts", "data-office", "lender", "operator", "regulator"} <= english
    for page in DOCS.rglob("*.en.md"):
        other = page.with_name(page.name.replace(".en.", ".zh.")).read_text("utf-8")
        fences = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
        assert fences.findall(page.read_text("utf-8")) == fences.findall(other), page.name


def test_the_documented_documents_register_a_dataset(tmp_path, monkeypatch):
    one = people.synthesise(tmp_path, rows=1_000)[1]
    monkeypatch.chdir(Path(one.location.path).parent)
    documents = [
        json.loads(part("node.md", f"{what} example")[2].strip().removeprefix("```json").removesuffix("```"))
        for what in ("dataset", "policy")
    ]
    home = tmp_path / "home"
    vault.create(home, party="bank-b")
    held = vault.Vault.open(home, clock=lambda: 0)
    try:
        kept = registration.register(held, dataset=documents[0], policy=documents[1])
        assert held.policy(kept.name).to_json() == documents[1]
    finally:
        held.close()


def test_every_field_of_the_documents_is_explained(tmp_path):
    page = (DOCS / "node.md").read_text("utf-8")
    dataset, policy = example(tmp_path)
    fields = {*dataset, *policy, *(f"grants[].{field}" for field in policy["grants"][0])} - {"source", "grants"}
    missing = [field for field in sorted(fields) if f"`{field}`" not in page]
    assert not missing, f"docs/node.md does not explain {missing}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_files_that_a_page_names_exist(page):
    text = page.read_text("utf-8")
    linked = [link for link in re.findall(r"\]\(([^)#]+)[^)]*\)", text) if not re.match(r"[a-z]+:", link)]
    named = re.findall(r"`((?:privacy|exchange|valuation|api|tests|docs|benchmarks)/[\w./-]+\.\w+)", text)
    missing = [name for name in linked if not (page.parent / name).exists()]
    missing += [name for name in named if not (ROOT / name).exists()]
    assert not missing, f"{page.name} names {missing}"


THREATS = {
    *(f"D{n}" for n in range(1, 13)), *(f"P{n}" for n in range(1, 13)), "W1", "W2", *(f"S{n}" for n in range(1, 9)),
    *(f"J{n}" for n in range(1, 7)), *(f"Q{n}" for n in range(1, 10)), *(f"A{n}" for n in range(1, 14)), "R19",
    *(f"B{n}" for n in range(1, 7)), *(f"V{n}" for n in range(1, 8)), *(f"L{n}" for n in range(1, 6)),
    *(f"C{n}" for n in range(1, 5)), *(f"X{n}" for n in range(1, 5)),
}  # fmt: skip
"""Every threat of the model: none is left out of the table, or told of twice."""


def named(cell):
    """The ids in the first cell of a row: ``P1, P2`` or ``J1 to J6``."""
    first, _, last = cell.partition(" to ")
    if last:
        return [f"{first[0]}{n}" for n in range(int(first[1:]), int(last[1:]) + 1)]
    return cell.split(", ")


def test_every_threat_has_its_row_and_every_row_its_test_or_says_what_is_missing():
    text = (DOCS / "security.md").read_text("utf-8")
    told = []
    for row in re.findall(r"^\| ([A-Z]\d.*) \|$", text, re.MULTILINE):
        cells = [cell.strip() for cell in row.split(" |")]
        if not re.fullmatch(r"[A-Z]\d+(?:(?:, | to )[A-Z]\d+)*", cells[0]):
            continue  # of the checklist
        told += named(cells[0])
        assert len(cells) == 6, cells[0]
        assert cells[4], f"{cells[0]} does not say what is left"
        shown = re.findall(r"`tests/\w+\.py::\w+`", cells[5])
        open_still = "not applicable" in cells[4] or "**" in cells[4] or cells[4].startswith("nothing")
        assert shown or open_still, f"{cells[0]} names no test"
    assert sorted(told) == sorted(THREATS)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_tests_that_a_page_names_exist(page):
    for file, name in re.findall(r"`(tests/\w+\.py)::(\w+)`", page.read_text("utf-8")):
        assert re.search(rf"^def {name}\(", (ROOT / file).read_text("utf-8"), re.MULTILINE), f"{file}::{name}"


def test_types_on_the_way_of_a_number_exist():
    table = (DOCS / "architecture.md").read_text("utf-8").split("## How a number travels")[1].split("## ")[0]
    types = set(re.findall(r"\| `([A-Z]\w+)` \|", table))
    assert len(types) >= 9
    missing = [name for name in sorted(types) if not re.search(rf"^class {name}\b", SOURCES, re.MULTILINE)]
    assert not missing, f"docs/architecture.md names types that are gone: {missing}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_that_a_page_shows_exist(page):
    text = page.read_text("utf-8")
    shown = set(
        re.findall(
            r"(?:^|[`/])touchstone ((?:(?:exchange|node|desk|access|policy|pledge|value|audit|job|keys) )?[a-z-]+)\b",
            text,
            re.MULTILINE,
        )
    )
    runner = CliRunner()
    for command in sorted(shown):
        told = runner.invoke(cli.app, [*command.split(), "--help"])
        assert told.exit_code == 0, f"{page.name} shows `touchstone {command}`, which does not exist"


def test_the_picture_is_sound_and_works_in_the_dark():
    text = (DOCS / "flow.svg").read_text("utf-8")
    root = ET.fromstring(text)  # noqa: S314  our own file
    assert root.get("role") == "img"
    named = {child.tag.rpartition("}")[2] for child in root}
    assert {"title", "desc"} <= named, "the picture needs a title and a description for readers who do not see it"
    assert "prefers-color-scheme: dark" in text
    assert not re.search(r"(?:href|src)\s*=", text), "the picture must not load anything"


def rewrite() -> None:
    (DOCS / "analyst-tour.ipynb").write_text(notebook(), "utf-8")
    with tempfile.TemporaryDirectory() as directory:
        for (page, marker), text in dictated(Path(directory)).items():
            found = part(page, marker)
            path = DOCS / page
            whole = path.read_text("utf-8")
            path.write_text(f"{whole[: found.start(2)]}\n{text}\n\n{whole[found.end(2) :]}", "utf-8")


if __name__ == "__main__":
    rewrite()
