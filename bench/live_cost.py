"""What `testbed live` takes of a core beside a run that makes trials, with a page open."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from http.client import HTTPConnection
from pathlib import Path

from bench.figure import Figure
from bench.many_trials import TraceColumns, header, trial
from results import RunStore

SECONDS, TRIALS_PER_S, SAMPLES = 20, 10, 500
"""10 trials/s as the demo makes, of 500 samples each: a meter of 5 kHz"""
GOAL = 0.01


def figures() -> Iterator[Figure]:
    """CPU time of its process over the time it ran; its start is left out."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "run"
        count = SECONDS * TRIALS_PER_S
        with RunStore.create(path, header(), ({"index": index} for index in range(count + 1))) as store:
            _add(store)
            with _live(path) as (process, address):
                connection = HTTPConnection(address)
                connection.request("GET", "/events")
                connection.getresponse().readline()
                before_s, begun_s = _cpu_s(process), time.monotonic()
                while len(store.trials) < count:
                    _add(store)
                    time.sleep(max(0.0, begun_s + len(store.trials) / TRIALS_PER_S - time.monotonic()))
                share = (_cpu_s(process) - before_s) / (time.monotonic() - begun_s)
                connection.close()
    yield Figure(
        name="live: share of a core",
        value=100 * share,
        unit="%",
        reference="the run's own process is not touched",
        goal=f"< {GOAL:.0%}",
        holds=share < GOAL,
        provenance=f"{TRIALS_PER_S} trials/s of {SAMPLES} samples for {SECONDS} s, one page open; CPU time",
    )


def _add(store: RunStore) -> None:
    index = len(store.trials)
    store.append(replace(trial(index), policy="cloud"), TraceColumns(index, SAMPLES))


@contextmanager
def _live(path: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    command = [sys.executable, "-m", "testbed", "live", "--run", str(path), "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={**os.environ, "COLUMNS": "200"}) as process:
        try:
            assert process.stdout is not None
            line = next(line for line in process.stdout if line.startswith("open "))
            yield process, line.split("/")[2]
        finally:
            process.terminate()


def _cpu_s(process: subprocess.Popen[str]) -> float:
    fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
