"""What computes on a board, as targets: the CPU's engines, and TensorRT's where there is a GPU for it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version

from testbed.agent.affinity import Cores
from testbed.agent.contract import Clock, Target
from testbed.agent.targets.ncnn_cpu import PRECISIONS, NcnnCpu
from testbed.agent.targets.onnxruntime_cpu import OnnxRuntimeCpu
from testbed.agent.targets.tensorrt.targets import TensorRtTargets


@dataclass(frozen=True, slots=True)
class Engines:
    """What a board composes its targets of."""

    targets: Mapping[str, Target]
    precisions: Mapping[str, Sequence[str]]
    """target -> what it can run"""
    told: Mapping[str, str]
    """target -> what computes there and how it is set up, where it is installed"""
    forms: Mapping[str, Mapping[str, str]]
    """target -> precision -> the form of file it wants, where that is not the precision's own"""
    absent: Mapping[str, str]
    """targets that are not there -> why, and the cure"""


def find_engines(clock: Clock, threads: int, cores: Cores, *, cuda_graph: bool) -> Engines:
    """ONNX Runtime and ncnn, with so many threads on these cores, and what TensorRT has here."""
    how = f"{threads} threads on {cores}, asleep while they wait"
    tensorrt = TensorRtTargets.discover(clock, graph=cuda_graph)
    return Engines(
        {"cpu": OnnxRuntimeCpu(clock, threads, cores), "cpu_ncnn": NcnnCpu(clock, threads, cores), **tensorrt.targets},
        {"cpu": ("fp32", "fp16", "int8"), "cpu_ncnn": PRECISIONS, **tensorrt.processors},
        {target: f"{engine}, {how}" for target, engine in _installed().items()},
        {"cpu_ncnn": dict.fromkeys(PRECISIONS, "fp32"), **tensorrt.forms},
        tensorrt.absent,
    )


def _installed() -> dict[str, str]:
    """Target -> the package that computes there, where it is installed."""
    found = {}
    for target, package in (("cpu", "onnxruntime"), ("cpu_ncnn", "ncnn")):
        with suppress(PackageNotFoundError):
            found[target] = f"{package} {version(package)}"
    return found
