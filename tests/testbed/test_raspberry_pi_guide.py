"""The guide's three commands: as many as it says, of files that exist and go together."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

from testbed.config import load_bench, load_suite

ROOT = Path(__file__).parents[2]
GUIDE = (ROOT / "docs/how-to/raspberry-pi.md").read_text("utf-8")


def test_three_commands_are_three_and_name_what_there_is() -> None:
    [block] = re.findall(r"```\n(.*?)```", GUIDE, re.DOTALL)
    on_the_pi, make, run = map(shlex.split, block.strip().splitlines())
    bench = load_bench(ROOT / run[run.index("--bench") + 1])
    suite = load_suite(ROOT / run[2])
    assert bench.board.agent.via == f"ssh://{on_the_pi[1]}"
    assert bench.board.agent.python == "/home/pi/venv/bin/python"
    assert "venv/bin/pip install onnxruntime" in on_the_pi[2]
    assert f"$(VENV)/{make[1].removeprefix('.venv/')}:" in (ROOT / "Makefile").read_text("utf-8")
    assert (bench.monitor, bench.endpoints) == (None, {})
    assert {action.partition("/")[0] for action in suite.actions} == {"cpu"}
