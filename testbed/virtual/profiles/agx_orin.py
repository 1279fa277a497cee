"""NVIDIA Jetson AGX Orin 64 GB developer kit, power mode MAXN.

Each figure has its source beside it. *Derived* names the rule of `rules` it follows; a *proposal* is a plausible value
for which no published one was found.
"""

from __future__ import annotations

from types import MappingProxyType

from testbed.virtual.networks import ATTENTION, DENSE, INVERTED, NETWORKS, SEPARABLE
from testbed.virtual.profile import Anchor, Circuit, Processor, Profile, Radio, Stalls
from testbed.virtual.rules import (
    Published,
    anchor,
    board_from_wall,
    kernel_s,
    mean_from_p90_s,
    rate_macs_per_s,
    relative_power_w,
    scaled,
)
from testbed.virtual.thermal import Cooling

IDLE_W = board_from_wall(15.0)
"""lowest wall power in the traces of NVIDIA's MLPerf Inference v2.0 power submission; derived: 2"""
CORES = 12
CPU_FULL_W = 15.2 / 8 * CORES
"""CPU rail of the 8-core AGX Orin 32 GB under stress, MAXN (forums.developer.nvidia.com, topic 323456), by cores"""
MEMORY_BYTES_PER_S = 204.8e9
"""LPDDR5, 256 bits at 6400 MT/s (NVIDIA Jetson AGX Orin data sheet)"""

# CPU -----------------------------------------------------------------------------------------------------------------
CPU = Circuit(
    # cpufreq: steps of 76.8 MHz from 115.2 MHz, 729.6 MHz being the floor of every nvpmodel mode, and the maximum.
    frequencies_hz=(*(115.2e6 + 76.8e6 * step for step in range(8, 28)), 2201.6e6),
    throttled_hz=1113.6e6,  # that of mode 15W (nvpmodel_p3701_0000.conf); proposal
    voltage_floor=0.6,  # proposal
    voltage_knee=0.45,  # proposal
    bandwidth_bytes_per_s=0.4 * MEMORY_BYTES_PER_S,  # proposal
    threads=8,  # proposal: what the rows draw is what eight cores draw under stress
    host_s=30e-6,  # proposal
    host_w=CPU_FULL_W / CORES,
    jitter=0.03,  # proposal
    stalls=Stalls(probability=0.002, least_s=1e-3, shape=2.5),  # proposal
)


def _cpu_row(network: str, precision: str, p90_ms: float, wall_mj: float) -> Published:
    """TensorFlow Lite on AGX Orin, Krai's open submissions to MLPerf Inference (90th percentile; wall energy)."""
    return Published(
        NETWORKS[network].work(precision),
        mean_from_p90_s(p90_ms * 1e-3, CPU.jitter),
        CPU.highest_hz,
        board_from_wall(wall_mj * 1e-3),
    )


CPU_ROWS = {
    ("fp32", DENSE): _cpu_row("resnet50", "fp32", 49.6, 1606.0),
    ("fp32", SEPARABLE): _cpu_row("mobilenetv1", "fp32", 7.52, 243.0),
    ("int8", SEPARABLE): _cpu_row("mobilenetv1", "int8", 5.13, 148.0),
    ("fp32", INVERTED): _cpu_row("mobilenetv2", "fp32", 7.25, 219.0),
    ("int8", INVERTED): _cpu_row("mobilenetv2", "int8", 5.34, 153.0),
}


def _cpu_anchors() -> dict[tuple[str, str], Anchor]:
    anchors = {key: anchor(CPU, row, 0.0, IDLE_W) for key, row in CPU_ROWS.items()}
    gain = CPU_ROWS["fp32", SEPARABLE].mean_s / CPU_ROWS["int8", SEPARABLE].mean_s
    anchors["int8", DENSE] = scaled(anchors["fp32", DENSE], gain)  # derived: 6
    for precision in ("fp32", "int8"):
        anchors[precision, ATTENTION] = anchors[precision, DENSE]  # derived: 5
    for kind in (DENSE, SEPARABLE, INVERTED, ATTENTION):
        anchors["fp16", kind] = anchors["fp32", kind]  # a runtime without FP16 kernels computes in FP32
    return anchors


# GPU -----------------------------------------------------------------------------------------------------------------
GPU = Circuit(
    # devfreq of JetPack 6: steps of 102 MHz (nvpmodel_p3701_0000.conf caps at 408, 612, 816), and the maximum.
    frequencies_hz=(*(102e6 * step for step in range(3, 13)), 1300.5e6),
    throttled_hz=612e6,  # that of mode 30W; proposal
    voltage_floor=0.6,  # proposal
    voltage_knee=0.4,  # proposal
    bandwidth_bytes_per_s=0.8 * MEMORY_BYTES_PER_S,  # proposal
    threads=1,
    host_s=20e-6,  # proposal
    host_w=CPU_FULL_W / CORES,
    jitter=0.01,  # proposal: energy over power of the MaxQ rows, a mean, comes within 1 % of their 90th percentile
    stalls=Stalls(probability=0.002, least_s=0.5e-3, shape=2.5),  # proposal
)
MAXQ_HZ = 930.75e6
"""GPU clock of the MaxQ submission; memory at 3199 MHz as in MaxP"""


def _gpu_row(network: str, p90_ms: float, frequency_hz: float, wall_mj: float | None = None) -> Published:
    """TensorRT INT8, SingleStream, NVIDIA's closed submissions to MLPerf Inference v2.0 (90th percentile; wall)."""
    return Published(
        NETWORKS[network].work("int8"),
        mean_from_p90_s(p90_ms * 1e-3, GPU.jitter),
        frequency_hz,
        None if wall_mj is None else board_from_wall(wall_mj * 1e-3),
    )


GPU_MAXP_ROWS = {
    DENSE: _gpu_row("resnet50", 0.695, GPU.highest_hz),
    SEPARABLE: _gpu_row("ssdmobilenetv1", 0.474, GPU.highest_hz),
    ATTENTION: _gpu_row("bertlarge", 7.64, GPU.highest_hz),
}
GPU_MAXQ_ROWS = {
    DENSE: _gpu_row("resnet50", 0.920, MAXQ_HZ, 25.5),
    SEPARABLE: _gpu_row("ssdmobilenetv1", 0.593, MAXQ_HZ, 14.3),
    ATTENTION: _gpu_row("bertlarge", 9.16, MAXQ_HZ, 263.0),
}
GPU_KERNEL_S = kernel_s(GPU, GPU_MAXQ_ROWS[DENSE], GPU_MAXP_ROWS[DENSE])  # derived: 7
GPU_MS = {"fp32": 49.5195, "fp16": 22.1503, "int8": 13.4525}
"""one network at three precisions (AGX Orin, TensorRT 8.5: NVIDIA-AI-IOT/cuDLA-samples, issue 44)"""


def _gpu_anchors() -> dict[tuple[str, str], Anchor]:
    int8 = {kind: anchor(GPU, row, GPU_KERNEL_S, IDLE_W) for kind, row in GPU_MAXQ_ROWS.items()}
    int8[INVERTED] = int8[SEPARABLE]  # derived: 5
    return {
        (precision, kind): scaled(anchor, GPU_MS["int8"] / time_ms)  # derived: 6
        for precision, time_ms in GPU_MS.items()
        for kind, anchor in int8.items()
    }


# DLA -----------------------------------------------------------------------------------------------------------------
DLA = Circuit(
    frequencies_hz=(1600e6,),  # nvpmodel MAXN; not set from user space
    throttled_hz=614e6,  # that of mode 15W; proposal
    voltage_floor=1.0,
    voltage_knee=0.0,
    bandwidth_bytes_per_s=0.4 * MEMORY_BYTES_PER_S,  # proposal
    threads=1,
    host_s=60e-6,  # proposal
    host_w=CPU_FULL_W / CORES,
    jitter=0.005,  # proposal: "a minimum variance" (NVIDIA/Deep-Learning-Accelerator-SW, FAQ)
    stalls=Stalls(probability=0.001, least_s=0.5e-3, shape=2.5),  # proposal
)
DLA_PAIR_PER_S = {DENSE: 2037.0, SEPARABLE: 2664.0}
"""INT8 images/s of two DLAs, ResNet-50 and SSD-MobileNetV1, MAXN (NVIDIA/Deep-Learning-Accelerator-SW, README)"""
BOTH_PER_S = {DENSE: 6424.0, SEPARABLE: 6883.0}
"""offline INT8 images/s of GPU and both DLAs, MaxP (MLPerf Inference v3.1 and v2.0)"""
DLA_EFFICIENCY = {DENSE: 3.5, SEPARABLE: 4.2}
"""images per joule of the DLA over the GPU's, accelerator power only, MAXN (same README)"""
DLA_FP16 = 2.5 / (105.0 / 4)
"""peak FP16 over peak INT8 of one DLA. 105 TOPS are two DLAs', sparse (same README). The FAQ beside it says that Orin's
has less FP16 than Xavier's, whose is 2.5 TFLOPS (NVIDIA, Jetson AGX Xavier): so this is an upper bound"""


def _dla_anchors(gpu: dict[tuple[str, str], Anchor]) -> dict[tuple[str, str], Anchor]:
    int8 = {}
    for kind, pair_per_s in DLA_PAIR_PER_S.items():
        # Batches of two at twice the time of one (cuDLA-samples' YOLOv5: 3.82 ms, 7.68 ms): one at a time is as fast.
        row = Published(GPU_MAXP_ROWS[kind].work, 2.0 / pair_per_s, DLA.highest_hz)
        gpu_per_s = BOTH_PER_S[kind] - pair_per_s
        power_w = relative_power_w(gpu["int8", kind].power_w, gpu_per_s, pair_per_s / 2.0, DLA_EFFICIENCY[kind])
        int8[kind] = Anchor(rate_macs_per_s(DLA, row, 0.0), power_w, 0.0)  # derived: 3, 8
    int8[INVERTED] = int8[SEPARABLE]  # derived: 5
    anchors = {("fp16", kind): scaled(anchor, DLA_FP16) for kind, anchor in int8.items()}  # derived: 6
    anchors |= {("int8", kind): anchor for kind, anchor in int8.items()}
    for precision in ("fp16", "int8"):
        # TensorRT gives what the DLA cannot do, all of attention, back to the GPU, and reformats on the way; that a
        # reformat costs as much as a kernel is a proposal.
        fallback = gpu[precision, ATTENTION]
        anchors[precision, ATTENTION] = Anchor(fallback.rate_macs_per_s, fallback.power_w, 2.0 * fallback.kernel_s)
    return anchors


_GPU_ANCHORS = _gpu_anchors()

PROFILE = Profile(
    model="NVIDIA Jetson AGX Orin",
    cores=CORES,
    idle_w=IDLE_W,
    leakage_share=0.12,  # proposal
    leakage_reference_c=40.0,  # proposal
    leakage_scale_k=35.0,  # proposal
    cpu_full_w=CPU_FULL_W,
    memory_full_w=6.0,  # proposal
    cooling=Cooling(
        resistance_k_per_w=1.0,  # proposal
        time_constant_s=90.0,  # proposal
        throttle_at_c=99.0,  # software throttling (NVIDIA Jetson Linux Developer Guide, thermal management)
        release_at_c=95.0,  # proposal
    ),
    # Proposal; that power rises as the signal weakens follows Ding et al., SIGMETRICS 2013.
    radio=Radio(idle_w=0.25, near_w=1.3, far_w=2.5, turning_dbm=-75.0, width_db=5.0, listening_w=1.1),
    processors=MappingProxyType(
        {
            "cpu": Processor(CPU, MappingProxyType(_cpu_anchors())),
            "gpu": Processor(GPU, MappingProxyType(_GPU_ANCHORS)),
            "dla0": Processor(DLA, MappingProxyType(_dla_anchors(_GPU_ANCHORS))),
            "dla1": Processor(DLA, MappingProxyType(_dla_anchors(_GPU_ANCHORS))),
        }
    ),
)
