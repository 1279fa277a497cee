"""The CPU's engines of a board, as targets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version

from testbed.agent.affinity import Cores
from testbed.agent.contract import Clock, Target
from testbed.agent.targets.ncnn_cpu import PRECISIONS, NcnnCpu
from testbed.agent.targets.onnxruntime_cpu import OnnxRuntimeCpu


@dataclass(frozen=True, slots=True)
class Engines:
    """What a board composes its targets of."""

    targets: Mapping[str, Target]
    precisions: Mapping[str, Sequence[str]]
    """target -> what it can run"""
    told: Mapping[str, str]
    """target -> what computes there and how it is set up, where it is installed"""


def cpu_engines(clock: Clock, threads: int, cores: Cores) -> Engines:
    """ONNX Runtime and ncnn, with so many threads on these cores."""
    how = f"{threads} threads on {cores}, asleep while they wait"
    return Engines(
        {"cpu": OnnxRuntimeCpu(clock, threads, cores), "cpu_ncnn": NcnnCpu(clock, threads, cores)},
        {"cpu": ("fp32", "fp16", "int8"), "cpu_ncnn": PRECISIONS},
        {target: f"{engine}, {how}" for target, engine in _installed().items()},
    )


def _installed() -> dict[str, str]:
    """Target -> the package that computes there, where it is installed."""
    found = {}
    for target, package in (("cpu", "onnxruntime"), ("cpu_ncnn", "ncnn")):
        with suppress(PackageNotFoundError):
            found[target] = f"{package} {version(package)}"
    return found
