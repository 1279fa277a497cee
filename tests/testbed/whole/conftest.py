"""Whole runs through the command line, on a virtual bench, with the processes they start under watch."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
import uuid
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from pathlib import Path
from unittest.mock import patch

import pytest

from testbed.calibration import CalibrationRecord, Conditions, settings_of, store
from testbed.cli import run_command_line
from testbed.config import load_bench

BENCH = """
name: bench
board: {kind: virtual, profile: jetson-agx-orin, supply_voltage_v: 15 V}
monitor: {kind: ina-bridge, port: emulated, sensor: ina226, shunt_ohm: 15 mOhm, supply_voltage_v: 15 V}
link: {kind: virtual, by: model}
endpoints: {cloud: {serve: virtual-gpu, timeout_s: 1 s}}
"""
SUITE = """
name: suite
workloads:
  - {name: photo, model: mobilenet-v2, qos_s: 50 ms, inputs: 3}
environments: [S1, S4]
actions: [cpu/fp32@max, gpu/fp32@max, cloud/fp32]
policies:
  - {name: edge-cpu-fp32, trials: 2}
  - {name: edge-best, trials: 2}
  - {name: opt, trials: 3}
  - {name: cloud, trials: 1}
  - {name: autoscale, trials: 8}
repetitions: 1
reference: {action: gpu/fp32@max, every: 8}
warmup_trials: 1
profile_trials: 1
guard_s: 12 ms
"""
PATIENCE_S = 120


@dataclass
class CommandLine:
    """Runs `testbed` in a folder; every process it starts carries a mark by which stray ones are found."""

    folder: Path
    mark: str = field(default_factory=lambda: uuid.uuid4().hex)

    @property
    def environment(self) -> dict[str, str]:
        own = {"TESTBED_TEST_MARK": self.mark, "COLUMNS": "120", "XDG_DATA_HOME": str(self.folder / "data")}
        return {**os.environ, **own}

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "testbed", *arguments],
            cwd=self.folder,
            env=self.environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        process = self.start(*arguments)
        out, err = process.communicate(timeout=PATIENCE_S)
        return subprocess.CompletedProcess(arguments, process.returncode, out, err)

    def within(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """The same within this process, which has imported all it takes: for what ends before anything is measured."""
        here = Path.cwd()
        os.chdir(self.folder)
        try:
            with (
                patch.dict(os.environ, self.environment),
                redirect_stdout(io.StringIO()) as out,
                redirect_stderr(io.StringIO()) as err,
            ):
                status = run_command_line(arguments)
        finally:
            os.chdir(here)
        return subprocess.CompletedProcess(arguments, status, out.getvalue(), err.getvalue())

    def write(self, name: str, text: str) -> str:
        (self.folder / name).write_text(text)
        return name

    def run_folder(self) -> Path:
        (folder,) = (self.folder / "runs").iterdir()
        return folder

    def _marked(self) -> Iterator[Path]:
        for entry in Path("/proc").iterdir():
            try:
                marked = entry.name.isdigit() and self.mark.encode() in (entry / "environ").read_bytes()
                if marked and (entry / "stat").read_text().rpartition(")")[2].split()[0] != "Z":
                    yield entry
            except OSError:  # it ended meanwhile
                continue

    def strays(self) -> list[str]:
        """Commands of this line's processes that are still alive."""
        return [(entry / "cmdline").read_text().replace("\0", " ") for entry in self._marked()]

    def kill(self, words: str) -> None:
        """Kill the processes of this command line whose own command holds these words."""
        for entry in self._marked():
            if words in (entry / "cmdline").read_text().replace("\0", " "):
                os.kill(int(entry.name), signal.SIGKILL)

    def ends(self) -> None:
        """Wait until nothing of it is left; fails after a bound."""
        deadline = subprocess.Popen(["sleep", "20"])  # a stopwatch that can be polled without sleeping here
        try:
            while self.strays():
                assert deadline.poll() is None, f"left behind: {self.strays()}"
                os.sched_yield()
        finally:
            deadline.kill()
            deadline.wait()


def _neutral_calibration(serial: str, bench: Path) -> CalibrationRecord:
    """Of an emulated meter: it finds no error, as well as its maker does."""
    settings = load_bench(bench).monitor
    assert settings is not None
    now = datetime.now(timezone.utc)
    return CalibrationRecord(
        kind="ina-bridge",
        serial=serial,
        firmware="1.0",
        channel="supply",
        settings=settings_of(settings),
        created=now,
        expires=now + timedelta(days=1),
        gain=0.0,
        gain_standard_uncertainty=0.0058,
        offset_w=0.0,
        offset_standard_uncertainty_w=0.0058,
        conditions=Conditions(
            load_ohm=20,
            load_standard_uncertainty=0.001,
            supply_v=15,
            supply_standard_uncertainty=0.001,
            supply_by="given",
            load_power_w=11.25,
            samples=1000,
        ),
    )


@pytest.fixture
def command_line(tmp_path: Path) -> Iterator[CommandLine]:
    line = CommandLine(tmp_path)
    line.write("bench.yaml", BENCH)
    line.write("suite.yaml", SUITE)
    yield line
    line.kill("")


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> CommandLine:
    """One whole run that went well."""
    line = CommandLine(tmp_path_factory.mktemp("finished"))
    line.write("bench.yaml", BENCH)
    line.write("suite.yaml", SUITE)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_DATA_HOME", line.environment["XDG_DATA_HOME"])
        store(_neutral_calibration("V5", line.folder / "bench.yaml"))
    done = line.run("run", "suite.yaml", "--bench", "bench.yaml", "--seed", "5")
    assert done.returncode == 0, done.stderr
    line.output = done.stdout  # type: ignore[attr-defined]
    return line


def follow(path: Path, trials: int) -> None:
    """Return once `path` holds so many lines."""
    with subprocess.Popen(
        ["tail", "-n", "+1", "-F", str(path)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as tail:
        assert tail.stdout is not None
        for _ in range(trials):
            tail.stdout.readline()
        tail.kill()
