"""Figures of TensorRT's targets on this machine, each beside ONNX Runtime, the bare engine or trtexec."""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from math import prod
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import onnxruntime

from bench.figure import Figure
from testbed.agent.clock import MonotonicClock
from testbed.agent.contract import Model
from testbed.agent.targets.tensorrt.cache import EngineCache, default_folder, key
from testbed.agent.targets.tensorrt.cuda import Cuda
from testbed.agent.targets.tensorrt.driver import Gpu
from testbed.agent.targets.tensorrt.library import Library
from testbed.agent.targets.tensorrt.order import Device, order
from testbed.agent.targets.tensorrt.session import TensorRtSession
from testbed.agent.targets.tensorrt.shapes import shape_of
from testbed.agent.targets.tensorrt.target import TensorRtTarget
from testbed.agent.targets.tensorrt.targets import TensorRtTargets
from testbed.models import zoo
from testbed.models.forms import form

NETWORK = "mobilenet-v2"
INPUTS = 8
LEAST_CORRELATION = {"fp32": 0.9999, "fp16": 0.999, "int8": 0.99}
"""of the scores with those of ONNX Runtime on the same file"""
MOST_OVER_BARE = 0.02
BATCH, BATCHES = 50, 20
LOADS = 20
TRTEXEC = Path("/usr/src/tensorrt/bin/trtexec")
"""where JetPack puts it"""
_MEDIAN = re.compile(r"GPU Compute Time: .*median = ([0-9.]+) ms")


def engine_figures(library: Library, gpu: Gpu, cuda: Cuda, provenance: str, runs: int) -> Iterator[Figure]:
    """Of every target and precision there is."""
    clock = MonotonicClock()
    found = TensorRtTargets.discover(clock)
    prepared = zoo.prepare(NETWORK, ["fp32", "fp16", "int8"], on_step=print)
    symmetric = form(prepared, "int8-trt", print)
    assert symmetric is not None, "a network of the zoo has all its forms"
    files = {**prepared.files, "int8-trt": symmetric.path}
    model = Model(NETWORK, files, prepared.counts.macs, prepared.bytes_moved, prepared.inputs(INPUTS))
    for name, precisions in found.processors.items():
        device = Device(None if name == "gpu" else int(name.removeprefix("dla")))
        for precision in precisions:
            wanted = order(library, model, precision, device)
            target = TensorRtTarget(library, device, clock, EngineCache(default_folder()), graph=False)
            session = target.load(model, precision)
            session.warm(model.inputs)
            plan = EngineCache(default_folder()).plan(key(library.version, gpu, wanted))
            assert plan is not None, "what was loaded is kept"
            title = f"{NETWORK} {precision} on {name}"
            yield _agreement(title, session, wanted.path, model, precision, provenance)
            yield from _latency(title, library, plan, device, cuda, session, model, provenance)
            yield from _leaks(title, target, cuda, session, model, precision, runs, provenance)


def _agreement(
    title: str, session: TensorRtSession, path: Path, model: Model, precision: str, provenance: str
) -> Figure:
    cpu = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    names = [output.name for output in cpu.get_outputs()]
    ours, theirs = [], []
    for tensors in model.inputs:
        outputs = session.run(tensors).outputs
        ours.append(np.concatenate([np.ravel(outputs[name]) for name in names]))
        theirs.append(np.concatenate([np.ravel(value) for value in cpu.run(names, dict(tensors))]))
    correlation = float(np.corrcoef(np.ravel(ours), np.ravel(theirs))[0, 1])
    least = LEAST_CORRELATION[precision]
    beside = f"ONNX Runtime {onnxruntime.__version__} on the CPU, same file"
    return Figure(
        f"{title}: correlation of scores", correlation, "", beside, f">= {least}", correlation >= least, provenance
    )


def _latency(
    title: str,
    library: Library,
    plan: bytes,
    device: Device,
    cuda: Cuda,
    session: TensorRtSession,
    model: Model,
    provenance: str,
) -> Iterator[Figure]:
    tensors = model.inputs[0]
    with ExitStack() as owned:
        bare = _bare(library, plan, device, cuda, owned)
        ours_s, bare_s = _side_by_side(lambda: session.run(tensors), bare)
    over = ours_s / bare_s - 1.0
    beside = f"the same engine driven bare, {bare_s * 1e3:.4g} ms; session {ours_s * 1e3:.4g} ms"
    yield Figure(
        f"{title}: latency over bare", over, "", beside, f"<= {MOST_OVER_BARE}", over <= MOST_OVER_BARE, provenance
    )
    device_s = median(_device_s(session, tensors) for _ in range(BATCH * BATCHES))
    peer_s = _trtexec_s(plan, device)
    reference = "trtexec is not installed" if peer_s is None else f"trtexec, median, {peer_s * 1e3:.4g} ms"
    yield Figure(f"{title}: device time", device_s * 1e3, "ms", reference, "reported", True, provenance)


def _device_s(session: TensorRtSession, tensors: Any) -> float:
    (span,) = (span for span in session.run(tensors).spans if span.name == "device")
    return (span.end_ns - span.start_ns) * 1e-9


def _bare(library: Library, plan: bytes, device: Device, cuda: Cuda, owned: ExitStack) -> Callable[[], None]:
    """Upload, execute, download, wait; and nothing else."""
    trt = library.trt
    owned.enter_context(cuda.current())
    runtime = trt.Runtime(trt.Logger(trt.Logger.ERROR))
    if device.dla_core is not None:
        runtime.DLA_core = device.dla_core
    engine = runtime.deserialize_cuda_engine(plan)
    context = engine.create_execution_context()

    def mine(made: tuple[Any, Any]) -> Any:
        owned.callback(made[1])
        return made[0]

    stream, done = mine(cuda.stream()), mine(cuda.event())
    ports: dict[bool, list[tuple[int, Any]]] = {True: [], False: []}
    for name in (engine.get_tensor_name(index) for index in range(engine.num_io_tensors)):
        dtype = np.dtype(trt.nptype(engine.get_tensor_dtype(name)))
        size_bytes = prod(shape_of(engine.get_tensor_shape(name))) * dtype.itemsize
        host, address = mine(cuda.pinned(size_bytes)), mine(cuda.allocate(size_bytes))
        context.set_tensor_address(name, address)
        ports[engine.get_tensor_mode(name) == trt.TensorIOMode.INPUT].append((address, host))

    def run() -> None:
        for address, host in ports[True]:
            cuda.upload(address, host, stream)
        context.execute_async_v3(stream)
        for address, host in ports[False]:
            cuda.download(host, address, stream)
        cuda.record(done, stream)
        cuda.wait(done)

    return run


def _side_by_side(one: Callable[[], object], other: Callable[[], object]) -> tuple[float, float]:
    """Seconds of each, the median of batches that take turns: clocks and heat are then the same for both."""
    seconds: tuple[list[float], list[float]] = [], []
    for _ in range(BATCHES):
        for act, kept in zip((one, other), seconds, strict=True):
            begun = time.perf_counter()
            for _ in range(BATCH):
                act()
            kept.append((time.perf_counter() - begun) / BATCH)
    return median(seconds[0]), median(seconds[1])


def _trtexec_s(plan: bytes, device: Device) -> float | None:
    """trtexec's own median of the same engine; None where it is not installed, or does not say."""
    program = shutil.which("trtexec") or (str(TRTEXEC) if TRTEXEC.exists() else None)
    if program is None:
        return None
    with tempfile.NamedTemporaryFile(suffix=".plan") as file:
        file.write(plan)
        file.flush()
        core = [] if device.dla_core is None else [f"--useDLACore={device.dla_core}"]
        done = subprocess.run(
            [program, f"--loadEngine={file.name}", *core], capture_output=True, text=True, check=False
        )
    said = _MEDIAN.search(done.stdout)
    return float(said[1]) * 1e-3 if said else None


def _leaks(
    title: str,
    target: TensorRtTarget,
    cuda: Cuda,
    session: TensorRtSession,
    model: Model,
    precision: str,
    runs: int,
    provenance: str,
) -> Iterator[Figure]:
    before_bytes = _free(cuda)
    for run in range(runs):
        session.run(model.inputs[run % INPUTS])
    lost_bytes = before_bytes - _free(cuda)
    yield Figure(
        f"{title}: device memory left taken by {runs} runs", lost_bytes, "bytes", None, "0", lost_bytes <= 0, provenance
    )
    session.close()
    target.load(model, precision).close()
    before_bytes = _free(cuda)
    for _ in range(LOADS):
        target.load(model, precision).close()
    lost_bytes = before_bytes - _free(cuda)
    yield Figure(
        f"{title}: device memory left taken by {LOADS} loads",
        lost_bytes,
        "bytes",
        None,
        "0",
        lost_bytes <= 0,
        provenance,
    )


def _free(cuda: Cuda) -> int:
    with cuda.current():
        return cuda.free_bytes()
