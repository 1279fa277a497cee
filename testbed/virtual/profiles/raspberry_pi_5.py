"""Raspberry Pi 5, with its active cooler.

Each figure has its source beside it. *Derived* names the rule of `rules` it follows; a *proposal* is a plausible value
for which no published one was found. No energy per inference is published for this board.
"""

from __future__ import annotations

from types import MappingProxyType

from testbed.virtual.networks import ATTENTION, DENSE, INVERTED, NETWORKS, SEPARABLE
from testbed.virtual.profile import Anchor, Circuit, Processor, Profile, Radio, Stalls
from testbed.virtual.rules import Published, mean_from_median_s, rate_macs_per_s, scaled
from testbed.virtual.thermal import Cooling

CORES = 4
IDLE_W = 3.3
"""at the USB supply (github.com/iiab/iiab, issue 4050)"""
CPU_FULL_W = 7.9 - IDLE_W
"""Geekbench on all cores (github.com/geerlingguy/sbc-reviews, issue 21, where the meter is disputed: perhaps 9.9 W)"""
MEMORY_BYTES_PER_S = 4267e6 * 4
"""LPDDR4X-4267, 32 bits (Raspberry Pi 5 product brief)"""

CPU = Circuit(
    frequencies_hz=tuple(100e6 * step for step in range(15, 25)),  # raspberrypi/documentation: 1500 to 2400 MHz
    throttled_hz=1500e6,  # proposal
    voltage_floor=0.8,  # proposal
    voltage_knee=0.625,  # the lowest step
    bandwidth_bytes_per_s=0.6 * MEMORY_BYTES_PER_S,  # proposal
    threads=CORES,
    host_s=30e-6,  # proposal
    host_w=CPU_FULL_W / CORES,
    jitter=0.04,  # proposal
    stalls=Stalls(probability=0.003, least_s=1e-3, shape=2.5),  # proposal
)


def _row(network: str, precision: str, median_ms: float) -> Published:
    return Published(
        NETWORKS[network].work(precision), mean_from_median_s(median_ms * 1e-3, CPU.jitter), CPU.highest_hz
    )


ROWS = {
    ("int8", DENSE): _row("resnet50", "int8", 20.6),  # ExecuTorch with XNNPACK, median (huggingface.co/Arm)
    ("fp32", INVERTED): _row("mobilenetv2", "fp32", 10.9),  # learn.arm.com
    ("int8", INVERTED): _row("mobilenetv2", "int8", 4.0),  # learn.arm.com
}
FP32_OVER_INT8 = 90.8 / 25.3
"""latency of GoogLeNet (huggingface.co/Arm)"""


def _anchors() -> dict[tuple[str, str], Anchor]:
    anchors = {key: Anchor(rate_macs_per_s(CPU, row, 0.0), CPU_FULL_W, 0.0) for key, row in ROWS.items()}
    anchors["fp32", DENSE] = scaled(anchors["int8", DENSE], 1.0 / FP32_OVER_INT8)  # derived: 6
    for precision in ("fp32", "int8"):
        anchors[precision, SEPARABLE] = anchors[precision, INVERTED]  # derived: 5
        anchors[precision, ATTENTION] = anchors[precision, DENSE]  # derived: 5
    for kind in (DENSE, SEPARABLE, INVERTED, ATTENTION):
        anchors["fp16", kind] = anchors["fp32", kind]  # a runtime without FP16 kernels computes in FP32
    return anchors


PROFILE = Profile(
    model="Raspberry Pi 5",
    cores=CORES,
    idle_w=IDLE_W,
    leakage_share=0.08,  # proposal
    leakage_reference_c=45.0,  # proposal
    leakage_scale_k=35.0,  # proposal
    cpu_full_w=CPU_FULL_W,
    memory_full_w=0.9,  # proposal
    cooling=Cooling(
        resistance_k_per_w=4.5,  # proposal
        time_constant_s=60.0,  # proposal
        throttle_at_c=80.0,  # raspberrypi/documentation, frequency management
        release_at_c=75.0,  # proposal
    ),
    # Proposal; that power rises as the signal weakens follows Ding et al., SIGMETRICS 2013.
    radio=Radio(idle_w=0.2, near_w=1.1, far_w=2.1, turning_dbm=-75.0, width_db=5.0, listening_w=0.9),
    processors=MappingProxyType({"cpu": Processor(CPU, MappingProxyType(_anchors()))}),
)
