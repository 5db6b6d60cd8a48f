"""What is handed out: built again from the same files, anywhere and at any time, it is the same byte for byte."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent


def built(tree, target, *, umask=0o022, **environment):
    """Name and bytes of what a tree is built into."""
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-t", "sdist", "-d", str(target)],
        cwd=tree,
        env=os.environ | environment,
        umask=umask,
        check=True,
        capture_output=True,
    )
    return {file.name: file.read_bytes() for file in target.iterdir()}


def unpacked(archive, target, *, at):
    """The one directory of an archive, with files as old as ``at`` (seconds since 1970) in every place."""
    target.mkdir()
    subprocess.run(["tar", "-xzf", archive, "-C", target], check=True)
    for path in target.rglob("*"):
        os.utime(path, (at, at))
    (tree,) = target.iterdir()
    return tree


def test_a_release_is_built_again_from_its_own_source_into_the_same_bytes(tmp_path):
    first = built(ROOT, tmp_path / "first")
    (archive,) = (tmp_path / "first").glob("*.tar.gz")
    earlier = unpacked(archive, tmp_path / "a", at=1_500_000_000)
    later = unpacked(archive, tmp_path / "another place", at=1_900_000_000)
    second = built(earlier, tmp_path / "second", umask=0o077, TZ="Asia/Shanghai", PYTHONHASHSEED="7")
    assert built(later, tmp_path / "third", TZ="UTC", LC_ALL="C") == second
    assert first.keys() == second.keys()
    wheels = [name for name in first if name.endswith(".whl")]
    assert [first[name] for name in wheels] == [second[name] for name in wheels]
    assert len(wheels) == 1
