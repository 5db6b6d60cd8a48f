"""README keeps its word: its two commands are what CI runs, its names exist, its tour is what the program says."""

import ast
import re
import subprocess
import tomllib
from pathlib import Path

from api.demo import story

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text("utf-8")
RUN = ROOT / ".ci" / "run"


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)


def functions(path: Path) -> set[str]:
    return {node.name for node in ast.walk(ast.parse(path.read_text("utf-8"))) if isinstance(node, ast.FunctionDef)}


def test_there_are_exactly_two_commands_of_one_line_each():
    commands = blocks("bash")
    assert len(commands) == 2
    assert all(command.count("\n") == 1 for command in commands)
    demo, tests = (command.strip() for command in commands)
    assert demo.endswith(".venv/bin/touchstone demo")
    assert tests.endswith(".venv/bin/pytest")
    assert "-r requirements.txt " in demo
    assert "-r requirements-dev.txt " in tests
    assert all("--require-hashes" in command for command in (demo, tests))


def test_ci_runs_the_two_commands_as_they_stand():
    told = subprocess.run([RUN, "commands"], capture_output=True, text=True, check=True)
    assert told.stdout == "".join(blocks("bash"))
    script = RUN.read_text("utf-8")
    assert 'eval "$demo --check"' in script
    assert 'eval "$tests"' in script


def test_ci_can_be_executed_and_stops_at_the_first_failure():
    assert RUN.stat().st_mode & 0o111, "chmod +x .ci/run"
    assert "set -euo pipefail" in RUN.read_text("utf-8")


def test_the_one_liners_of_uv_do_the_same():
    pip, uv = blocks("bash"), blocks("sh")[0].strip().splitlines()
    for one, other in zip(pip, uv, strict=True):
        steps = one.strip().split(" && ")[1:-1]
        assert [step.replace(".venv/bin/pip", "uv pip") for step in steps] == other.split(" && ")[1:-1]
        assert one.strip().split(" && ")[-1] == other.split(" && ")[-1]


def test_every_promise_names_tests_that_exist():
    table = README.split("## What it promises, and what shows it")[1].split("\n## ")[0]
    rows = [row for row in table.splitlines() if row.startswith("| ")][1:]
    assert len(rows) >= 8
    for row in rows:
        promise, shown = row.strip("| ").split(" | ")
        named = re.findall(r"`((?:tests|benchmarks)/[\w/]+\.py)(?:::(\w+))?`", shown)
        assert named, f"nothing shows that {promise!r}"
        for file, test in named:
            assert (ROOT / file).is_file(), f"{file} does not exist"
            known = not test or test in functions(ROOT / file)
            assert known, f"{file} has no {test}: name the test that shows {promise!r}"


def test_the_tour_has_the_steps_of_the_demonstration():
    source = Path(story.__file__).read_text("utf-8")
    steps = {int(number) for number in re.findall(r'\.step\(\s*f?"(\d+)\. ', source)}
    tour = README.split("## Five minutes")[1].split("\n## ")[0]
    assert {int(number) for number in re.findall(r"^(\d+)\. ", tour, re.MULTILINE)} == steps


def test_its_pictures_are_those_that_the_story_takes():
    shown = re.findall(r"!\[[^\]]{20,}\]\(docs/tour/([\w-]+)\.png\)", README)
    taken = re.findall(r'stage\.picture\("([\w-]+)"', (ROOT / "tests" / "story.py").read_text("utf-8"))
    assert shown == taken
    assert sorted(path.stem for path in (ROOT / "docs" / "tour").iterdir()) == sorted(shown)


def test_the_changelog_speaks_of_this_version():
    version = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["version"]
    assert re.search(rf"^## {re.escape(version)}\b", (ROOT / "CHANGELOG.md").read_text("utf-8"), re.MULTILINE)


def test_the_licence_is_what_the_project_says():
    text = (ROOT / "LICENSE").read_text("utf-8")
    assert "Apache License" in text
    assert "Version 2.0, January 2004" in text
    assert "GPL-3.0" in README.split("## Licence")[1]


def test_every_page_is_linked_from_the_readme():
    missing = [page.name for page in (ROOT / "docs").glob("*.md") if f"(docs/{page.name})" not in README]
    assert not missing
