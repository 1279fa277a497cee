"""Builds engines: parse, configure, build, for TensorRT 8.6 to 11."""

from __future__ import annotations

import logging
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from testbed.agent.contract import CannotLoad
from testbed.agent.targets.tensorrt import reporting
from testbed.agent.targets.tensorrt.library import Library
from testbed.agent.targets.tensorrt.network import parse
from testbed.agent.targets.tensorrt.order import WORKSPACE_BYTES, Order

if TYPE_CHECKING:
    import tensorrt

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Built:
    """What a build yields."""

    plan: bytes
    timing: bytes
    """how fast each kernel was, for the next build"""


def build(library: Library, order: Order, timing: bytes, calibrator: Any = None) -> Built:
    """Build an engine, telling its progress through `logging`.

    `timing` is an earlier build's, or empty; `calibrator` a tensorrt.IInt8Calibrator where the order needs one. Raises
    CannotLoad with TensorRT's own reason.
    """
    complaints = reporting.Complaints()
    logger = reporting.logger(library, complaints)
    with reporting.starting(library, complaints):
        builder: tensorrt.Builder = library.trt.Builder(logger)
    network = parse(library, order, builder, logger)
    config = builder.create_builder_config()
    _configure(library, order, config)
    if calibrator is not None:
        config.int8_calibrator = calibrator
    if (core := order.device.dla_core) is not None:
        library.require_dla(builder.num_DLA_cores, core)
        _put_on_dla(library, order, core, config, network)
    # A reference of our own: the configuration keeps none of what it reports to.
    if (monitor := reporting.progress(library, order.title)) is not None:
        config.progress_monitor = monitor
    cache = config.create_timing_cache(timing)
    config.set_timing_cache(cache, ignore_mismatch=False)
    _log.info("building %s with TensorRT %s; this can take minutes", order.title, library.version)
    plan = builder.build_serialized_network(network, config)
    if plan is None:
        raise CannotLoad(f"TensorRT {library.version} cannot build {order.title}: {complaints.take()}")
    _log.info("built %s: %.1f MB", order.title, plan.nbytes / 1e6)
    timings: tensorrt.ITimingCache = config.get_timing_cache()
    return Built(_content(plan), _content(timings.serialize()))


def _content(memory: Any) -> bytes:
    """Of a tensorrt.IHostMemory, which is a buffer."""
    return bytes(memoryview(memory))


def _configure(library: Library, order: Order, config: tensorrt.IBuilderConfig) -> None:
    trt = library.trt
    config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, WORKSPACE_BYTES)
    # What each layer computes in is looked up in the engine.
    config.profiling_verbosity = trt.ProfilingVerbosity.DETAILED
    # TF32 has FP16's ten bits of mantissa; it is on by default, and fp32 would not be FP32.
    config.clear_flag(trt.BuilderFlag.TF32)
    if library.typed:
        return
    if order.precision == "int8":
        config.set_flag(trt.BuilderFlag.INT8)
    if order.precision == "fp16" or order.device.dla_core is not None:
        config.set_flag(trt.BuilderFlag.FP16)


def _put_on_dla(
    library: Library, order: Order, core: int, config: tensorrt.IBuilderConfig, network: tensorrt.INetworkDefinition
) -> None:
    """Let the DLA have every layer it can run; the GPU has the rest, which is logged layer by layer."""
    trt = library.trt
    config.default_device_type = trt.DeviceType.DLA
    config.DLA_core = core
    config.set_flag(trt.BuilderFlag.GPU_FALLBACK)
    layers = [network.get_layer(index) for index in range(network.num_layers)]
    falling = [layer for layer in layers if not config.can_run_on_DLA(layer)]
    for layer in falling:
        _log.info("%s: the GPU has '%s' (%s)", order.title, layer.name, layer.type.name)
    if len(falling) == len(layers):
        raise CannotLoad(f"{order.title}: the DLA can run none of the {len(layers)} layers; use the target gpu")
    if falling:
        kinds = ", ".join(f"{count} {kind}" for kind, count in Counter(layer.type.name for layer in falling).items())
        _log.warning("%s: %d of %d layers fall back on the GPU: %s", order.title, len(falling), len(layers), kinds)
