"""The benchmarks still run against the code of today, on small sizes, and end with one JSON object; nothing is timed here."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SMALL = {
    "end_to_end": ["--rows", "20000"],
    "catalog": ["--datasets", "300", "--messages", "70", "--registrations", "256", "--repeats", "1"],
    "valuation": ["--assets", "2", "--identifiers", "2000", "--rows", "500", "--runs", "1"],
    "api": ["--requests", "100", "--connections", "4", "--seconds", "1", "--entries", "500"],
    "policy": ["--grants", "3", "--seconds", "0.05"],
}


@pytest.mark.parametrize("name", SMALL)
def test_a_benchmark_ends_with_one_json_object(name, tmp_path):
    run = subprocess.run(
        [sys.executable, "-m", f"benchmarks.{name}", *SMALL[name]],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    told = json.loads(run.stdout.splitlines()[-1])
    assert told
    if name == "api":
        among = told["flood"]["honest"]
        assert (told["flood"]["tenants"], among["failed"]) == (50, 0), "in the flood, every honest request is answered"
        assert among["requests"] > 0
