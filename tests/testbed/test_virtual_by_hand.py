"""`testbed board` and `testbed doctor` on a virtual Jetson."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

BENCH = """
name: bench
board: {kind: virtual, profile: jetson-agx-orin, supply_voltage_v: 15 V, frequencies: {cpu: 3}}
monitor: {kind: ina-bridge, port: emulated, sensor: ina226, shunt_ohm: 15 mOhm, supply_voltage_v: 15 V}
"""
needs_fuse = pytest.mark.skipif(
    not Path("/dev/fuse").exists() or not Path("/usr/bin/fusermount3").exists(), reason="needs /dev/fuse and fuse3"
)


def run_testbed(folder: Path, *arguments: str, path: str | None = None) -> str:
    (folder / "bench.yaml").write_text(BENCH)
    command = [sys.executable, "-m", "testbed", *arguments, "--bench", "bench.yaml"]
    env = os.environ if path is None else os.environ | {"PATH": path}
    done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@needs_fuse
def test_knobs_are_turned_by_hand(tmp_path: Path) -> None:
    told = json.loads(run_testbed(tmp_path, "board", "info", "--json"))
    assert told["offered"]["power_mode"] == ["MAXN", "MODE_15W", "MODE_30W", "MODE_50W"]
    assert told["locked"] == []
    said = run_testbed(tmp_path, "board", "set", "power_mode=15W", "gpu=306MHz", "--for", "0.1s")
    assert said.splitlines() == [
        "power_mode is set: MODE_15W",
        "gpu is set: 306 MHz",
        "the board is given back",
    ]


@needs_fuse
def test_who_watches_sees_sensors_and_meter(tmp_path: Path) -> None:
    said = run_testbed(tmp_path, "board", "watch", "--for", "1.5s")
    assert re.search(r"gpu_hz 306 MHz, .*tj-thermal_c \d+\.\d °C", said)
    assert re.search(r"supply_w 1[34]\.\d+ W", said), said


def test_doctor_names_what_a_host_without_fuse_lacks(tmp_path: Path) -> None:
    said = run_testbed(tmp_path, "doctor", path=str(tmp_path))
    assert "this host has no fusermount3; sudo apt-get install fuse3" in " ".join(said.split())
