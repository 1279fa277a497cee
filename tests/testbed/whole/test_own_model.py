"""A model of one's own through the command line onto this host's CPU, on both engines, held on a core."""

from __future__ import annotations

import os
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import onnx
import pytest

from results import Run
from testbed.models.graph import Graph
from testbed.models.networks import image
from tests.testbed.whole.conftest import CommandLine

pytestmark = pytest.mark.skipif(
    find_spec("ncnn") is None or find_spec("pnnx") is None,
    reason="needs ncnn and pnnx: pip install ncnn; pip install --no-deps pnnx",
)

SUITE = """
name: own
workloads:
  - {name: photo, model: own, qos_s: 50 ms, inputs: 2}
environments: [S1]
actions: [cpu/fp32, cpu_ncnn/fp16]
policies:
  - {name: random, trials: 8}
repetitions: 1
warmup_trials: 1
profile_trials: 1
window_s: 2 ms
"""


def _save(path: Path) -> None:
    graph = Graph("own")
    value = image.photo(graph, image.IMAGENET_MEAN, image.IMAGENET_DEVIATION, 32)
    value = image.random_convolution(graph, value, (3, 8), 3, "relu", 2)
    image.random_scores(graph, image.averaged(graph, value), 8)
    onnx.save(graph.model(), str(path))


def test_a_registered_model_runs_on_both_engines_and_the_record_says_how_they_were_set_up(
    command_line: CommandLine,
) -> None:
    core = max(os.sched_getaffinity(0))
    _save(command_line.folder / "own.onnx")
    added = command_line.run("models", "add", "own.onnx", "--name", "own")
    assert added.returncode == 0, added.stderr
    bench = f"name: host\nboard: {{kind: linux, supply_voltage_v: 12 V, cores: [{core}]}}\n"
    files = command_line.write("suite.yaml", SUITE), command_line.write("bench.yaml", bench)
    done = command_line.run("run", files[0], "--bench", files[1])
    assert done.returncode == 0, done.stderr
    run = Run.read(command_line.run_folder())
    assert {str(trial.action) for trial in run.trials} == {"cpu/fp32", "cpu_ncnn/fp16"}
    assert {trial.outcome for trial in run.trials} == {"ok"}
    assert all(np.median(trial.latencies_s) > 0 for trial in run.trials)
    assert list(run.header.engines) == ["cpu", "cpu_ncnn"]
    assert all(f"1 threads on cores {core}, asleep" in told for told in run.header.engines.values())
