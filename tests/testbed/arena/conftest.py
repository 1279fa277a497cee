from __future__ import annotations

from pathlib import Path

import pytest

from testbed.arena.config import ArenaWorkload, Experiment, load_experiment
from testbed.arena.contract import Job
from testbed.arena.networks import job_of

EXPERIMENT = """
name: small
boards:
  - {kind: virtual, name: pi, profile: raspberry-pi-5, actions: [cpu/fp32@all, cpu/int8@max, edge/int8, cloud/fp16]}
  - {kind: virtual, name: jetson, profile: jetson-agx-orin, actions: [cpu/fp32@max, gpu/fp16@max, dla0/int8]}
workloads:
  - {name: photo, model: mobilenet-v1, qos_s: 50 ms, accuracy_target: 0.65}
  - {name: detect, model: ssd-mobilenet-v1, qos_s: 33.3 ms, accuracy_target: 0.2}
environments: [S1, D4]
drifts:
  - {name: hot, at: 12, throttled: true}
policies:
  - {name: edge-cpu-fp32}
  - {name: edge-best, profile: [S1]}
  - {name: opt}
  - {name: autoscale-repaired-trained, policy: autoscale, options: {reward: qos-penalty}, start: trained}
  - {name: bayesian-transferred, policy: bayesian, start: transferred}
  - {name: bayesian}
seeds: 2
trials: 24
profile: {environments: [S1, S2], trials: 2}
training: {environments: [S1, S2], trials: 10}
"""


@pytest.fixture
def written(tmp_path: Path) -> Path:
    """The experiment's file."""
    file = tmp_path / "small.yaml"
    file.write_text(EXPERIMENT)
    return file


@pytest.fixture
def experiment(written: Path) -> Experiment:
    return load_experiment(written)


@pytest.fixture
def photo() -> Job:
    workload = ArenaWorkload(name="photo", model="mobilenet-v1", qos_s=0.05, accuracy_target=0.65)
    return job_of(workload, ["fp32", "fp16", "int8"], _silent)


def _silent(text: str) -> None:
    pass
