"""The example of the how-to runs as it stands."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_example_measures_against_the_emulated_meter() -> None:
    done = subprocess.run(
        [sys.executable, "examples/measure_a_script.py"], cwd=ROOT, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert "these joules are simulated" in done.stdout
    assert re.search(r"idle: [45]\.\d\d W", done.stdout)
    assert re.search(r"a call: \d+\.\d\d mJ \+- \d+\.\d\d mJ, from \d+ windows of \d+ calls", done.stdout)
