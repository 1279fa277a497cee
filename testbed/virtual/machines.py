"""How long a virtual server takes to serve one inference."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

HTTP_S = 1.0e-3
"""What the serving software adds: receiving, copying to the accelerator, replying.

Derived: the standard library's server answers a 602,112-byte request in 0.5 ms on a two-core virtual machine; twice
that leaves it room to keep to the law.
"""


@dataclass(frozen=True, slots=True)
class Machine:
    """A machine whose accelerator needs a fixed time and then a time per multiply-accumulate."""

    name: str
    fixed_s: float
    macs_per_s: Mapping[str, float]
    """by precision"""
    spread: float
    """standard deviation of the logarithm of the service time"""
    source: str

    def mean_s(self, macs: float, precision: str) -> float:
        """Mean service time of one inference, from request received to reply sent.

        Raises ValueError for a precision it has none for.
        """
        if precision not in self.macs_per_s:
            raise ValueError(f"{self.name} does not run {precision}; it runs {', '.join(self.macs_per_s)}")
        return HTTP_S + self.fixed_s + macs / self.macs_per_s[precision]

    def service_s(self, rng: np.random.Generator, macs: float, precision: str, size: int) -> NDArray[np.float64]:
        """Service times, log-normal around the mean. Shape (size,)."""
        deviations = self.spread * rng.standard_normal(size) - self.spread**2 / 2
        return self.mean_s(macs, precision) * np.exp(deviations)


_RESNET50_MACS = 4.089e9
_SSD_MOBILENET_MACS = 1.237e9


@dataclass(frozen=True, slots=True)
class _SingleStream:
    """Latencies of single INT8 inferences in one submission to MLPerf Inference, SingleStream."""

    ssd_mobilenet_mean_s: float
    resnet50_mean_s: float
    resnet50_p50_s: float
    resnet50_p99_s: float


def _machine(name: str, measured: _SingleStream, peak_ops: Mapping[str, float], source: str) -> Machine:
    """The line through the two mean latencies. Other precisions are slower as their peak rate is lower: derived."""
    slowdown_s = measured.resnet50_mean_s - measured.ssd_mobilenet_mean_s
    int8_macs_per_s = (_RESNET50_MACS - _SSD_MOBILENET_MACS) / slowdown_s
    return Machine(
        name,
        fixed_s=measured.resnet50_mean_s - _RESNET50_MACS / int8_macs_per_s,
        macs_per_s={precision: int8_macs_per_s * peak / peak_ops["int8"] for precision, peak in peak_ops.items()},
        spread=math.log(measured.resnet50_p99_s / measured.resnet50_p50_s) / _NORMAL_P99,
        source=source,
    )


_NORMAL_P99 = 2.326
"""standard deviations from the median of a normal distribution to its 99th percentile"""

MACHINES: Mapping[str, Machine] = {
    machine.name: machine
    for machine in (
        _machine(
            "a30",
            _SingleStream(0.318106e-3, 0.513817e-3, 0.512090e-3, 0.549190e-3),
            {"fp32": 82e12, "fp16": 165e12, "int8": 330e12},
            "NVIDIA A30 in INT8: mlcommons/inference_results_v2.0, closed/NVIDIA/results/A30x1_TRT; "
            "FP16, and FP32 as TF32, derived from its tensor cores' peak rates",
        ),
        _machine(
            "xavier-nx",
            _SingleStream(1.347371e-3, 2.455711e-3, 2.433525e-3, 2.589563e-3),
            {"fp32": 0.84e12, "fp16": 6.2e12, "int8": 12.3e12},
            "Jetson Xavier NX in INT8: mlcommons/inference_results_v2.0, closed/NVIDIA/results/Xavier_NX_TRT; "
            "FP16, and FP32 without tensor cores, derived from its GPU's peak rates",
        ),
    )
}
"""Virtual servers by name: "a30" is a data centre's GPU, "xavier-nx" a connected edge device."""
