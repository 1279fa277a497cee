"""What a session adds to its engine's bare call: clocks, spans, named outputs, checked inputs.

Both use one engine, on one thread, and take turns inference by inference; the figure of the trivial model is the median
of the differences between neighbours. A real model's inferences differ among themselves by more than the session adds:
there the figure is the time that the session spends outside the span it reports, on the wall clock, after the model has
had the caches to itself. The difference, with its standard error, stands beside it.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import onnx
import onnxruntime

from bench.figure import Figure
from testbed.agent.affinity import Cores
from testbed.agent.clock import MonotonicClock
from testbed.agent.contract import Model, Session, Tensors
from testbed.agent.targets.ncnn_cpu import NcnnCpu, NcnnSession
from testbed.agent.targets.ncnn_file import converted
from testbed.agent.targets.onnxruntime_cpu import OnnxRuntimeSession
from testbed.models import zoo
from testbed.models.graph import Graph

TRIVIAL_PAIRS, REAL_PAIRS = 20_000, 400
"""of inferences; the first tenth is left out"""
GOAL_US = 15.0
Bare = Callable[[], object]


@dataclass(frozen=True, slots=True)
class Cost:
    """Medians, us."""

    added_us: float
    error_us: float
    """standard error of `added_us`"""
    outside_us: float
    bare_us: float


def figures() -> list[Figure]:
    """The cost on both engines, with a trivial model and a real one."""
    core = max(os.sched_getaffinity(0))
    found = []
    with tempfile.TemporaryDirectory() as folder, Cores([core]).held():
        trivial, real = _trivial(Path(folder)), _real()
        for engine, ends_of in _engines().items():
            cost = measure(*ends_of(trivial, core), trivial.inputs[0], TRIVIAL_PAIRS)
            beside = f"the bare call takes {cost.bare_us:.1f} us"
            found.append(_figure(f"session on {engine}, trivial model", cost.added_us, beside, TRIVIAL_PAIRS))
            cost = measure(*ends_of(real, core), real.inputs[0], REAL_PAIRS)
            beside = f"difference {cost.added_us:.0f} +- {cost.error_us:.0f} us of {cost.bare_us:.0f} us"
            name = f"session on {engine}, {real.name}, outside its span"
            found.append(_figure(name, cost.outside_us, beside, REAL_PAIRS))
    return found


def _engines() -> dict[str, Callable[[Model, int], tuple[Session, Bare]]]:
    """Those that are installed."""
    engines: dict[str, Callable[[Model, int], tuple[Session, Bare]]] = {"ONNX Runtime": _onnxruntime}
    return engines | ({"ncnn": _ncnn} if find_spec("ncnn") else {})


def measure(session: Session, bare: Bare, inputs: Tensors, pairs: int) -> Cost:
    """Session and bare call by turns, each first in every other pair."""
    added_ns, outside_ns, bare_ns = [], [], []
    for i in range(pairs):
        if i % 2:
            bare_here_ns = _timed_ns(bare)
        start_ns = time.monotonic_ns()
        result = session.run(inputs)
        session_ns = time.monotonic_ns() - start_ns
        if not i % 2:
            bare_here_ns = _timed_ns(bare)
        if i >= pairs // 10:
            added_ns.append(session_ns - bare_here_ns)
            outside_ns.append(session_ns - (result.end_ns - result.start_ns))
            bare_ns.append(bare_here_ns)
    low, high = np.quantile(added_ns, [0.25, 0.75])
    # Of a median, from the quartiles: 1.349 standard deviations lie between those of a normal distribution.
    error_ns = (np.pi / 2) ** 0.5 * (high - low) / 1.349 / len(added_ns) ** 0.5
    return Cost(median(added_ns) * 1e-3, float(error_ns) * 1e-3, median(outside_ns) * 1e-3, median(bare_ns) * 1e-3)


def _timed_ns(call: Bare) -> int:
    start_ns = time.monotonic_ns()
    call()
    return time.monotonic_ns() - start_ns


def _figure(name: str, value_us: float, beside: str, pairs: int) -> Figure:
    how = f"median of {pairs - pairs // 10} pairs, one thread held on a core, this host"
    return Figure(name, value_us, "us/inference", beside, f"<= {GOAL_US:g} us", value_us <= GOAL_US, how)


def _onnxruntime(model: Model, core: int) -> tuple[Session, Bare]:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    engine = onnxruntime.InferenceSession(str(model.files["fp32"]), options, providers=["CPUExecutionProvider"])
    inputs = dict(model.inputs[0])
    session = OnnxRuntimeSession(engine, MonotonicClock(), Cores([core]), ())
    return session, lambda: engine.run(None, inputs)


def _ncnn(model: Model, core: int) -> tuple[Session, Bare]:
    import ncnn

    NcnnCpu(MonotonicClock(), 1, Cores([core])).load(model, "fp32").close()  # converts, and checks
    file = converted(model.files["fp32"], lambda made, reference: None)
    net = ncnn.Net()
    net.opt.num_threads = 1
    net.load_param(str(file.param))
    net.load_model(str(file.bin))
    [taken], [given] = file.inputs, file.outputs
    array: Any = model.inputs[0][taken.name]

    def bare() -> object:
        extractor = net.create_extractor()
        extractor.input(taken.blob, ncnn.Mat(array.astype(taken.fed), batch_index=taken.batch_axis).clone())
        return np.array(extractor.extract(given.blob)[1])

    return NcnnSession(ncnn, net, file, MonotonicClock(), Cores([core])), bare


def _trivial(folder: Path) -> Model:
    graph = Graph("trivial")
    graph.output(graph.node("Relu", graph.input("x", np.float32, [1])), "y", [1])
    path = folder / "trivial.onnx"
    onnx.save(graph.model(), str(path))
    return Model("trivial", {"fp32": path}, 1, {"fp32": 8}, [{"x": np.ones(1, np.float32)}])


def _real() -> Model:
    made = zoo.prepare("mobilenet-v2", ["fp32"])
    return Model(made.name, made.files, made.counts.macs, made.bytes_moved, made.inputs(1))
