"""The guides keep their word: every block that is marked to run is run, as it stands, in a town that works."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.consoles import kept_town, running
from tests.test_console_oversight import touchstone

GUIDES = sorted((Path(__file__).parents[1] / "docs" / "guide").glob("*.en.md"))
BLOCK = re.compile(r"^<!-- runs -->\n+```(bash|python)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def town(tmp_path_factory):
    """The homes of a town whose exchange and nodes run, with a regulator, and the environment that the guides speak of."""
    home = kept_town(tmp_path_factory)
    key = touchstone("desk", "init", home / "bureau", "bureau", home / "lender-x" / "pinned.json", cwd=home)
    touchstone(
        "exchange", "enrol", home / "exchange", "bureau", key, "--role", "regulator", "--name", "Bureau", cwd=home
    )
    programs = tmp_path_factory.mktemp("bin")
    command = programs / "touchstone"
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -P -m api.cli "$@"\n')
    command.chmod(0o755)
    with running(home) as street:
        around = {**os.environ, "PATH": f"{programs}:{os.environ['PATH']}", "TOUCHSTONE_URL": street.url}
        yield home, around


def test_every_guide_has_something_to_run():
    assert len(GUIDES) == 5
    assert all(BLOCK.search(guide.read_text("utf-8")) for guide in GUIDES)


@pytest.mark.parametrize("guide", GUIDES, ids=lambda guide: guide.name)
def test_what_a_guide_shows_to_be_run_runs(town, guide):
    home, around = town
    for language, code in BLOCK.findall(guide.read_text("utf-8")):
        command = ["bash", "-euo", "pipefail", "-c", code] if language == "bash" else [sys.executable, "-P", "-c", code]
        done = subprocess.run(command, check=False, cwd=home, env=around, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, f"{guide.name}:\n{code}\n{done.stdout}\n{done.stderr}"
        assert done.stdout or done.stderr or "-o " in code
