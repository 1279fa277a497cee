"""The board's own CPU, through ncnn: a second engine beside ONNX Runtime, with kernels written for Arm.

Both precisions come from the FP32 file: ncnn holds weights, and where the CPU can, computes, in halves by itself. It
has no integers here, as the tools that quantise for it are not in its wheel.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from itertools import cycle, islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from testbed.agent.affinity import Cores
from testbed.agent.contract import CannotLoad, Clock, Model, Result, Span, TargetFailed, Tensors
from testbed.agent.targets.ncnn_file import NcnnFile, converted
from testbed.agent.targets.onnxruntime_cpu import WARM_RUNS

PRECISIONS = ("fp32", "fp16")
TOLERANCE = 1e-3
"""of the largest number of an output: the order of sums, and Winograd's transforms, cost less than a tenth of this"""


class NcnnCpu:
    """The CPU as a target, with a fixed number of threads, on some of its cores or on any.

    Threads that wait for work sleep (`OMP_WAIT_POLICY` = PASSIVE): with 20 ms between frames of MobileNet v1, spinning
    took 60 ms of CPU time a frame on a loaded x86 host, instead of 17.
    """

    def __init__(self, clock: Clock, threads: int, cores: Cores) -> None:
        self._clock = clock
        self._threads = threads
        self._cores = cores

    def load(self, model: Model, precision: str) -> NcnnSession:
        """Convert where that has not been done, then load. Raises CannotLoad, with the cure."""
        ncnn = _ncnn()
        if precision not in PRECISIONS:
            raise CannotLoad(f"cpu_ncnn runs {' and '.join(PRECISIONS)}, not {precision}")
        if "fp32" not in model.files:
            raise CannotLoad(f"cpu_ncnn starts from a model's fp32 file, and '{model.name}' has none: give one")

        def check(made: NcnnFile, reference: Any) -> None:
            _agree(model, reference, self._session(ncnn, model, made, "fp32"))

        return self._session(ncnn, model, converted(model.files["fp32"], check), precision)

    def _session(self, ncnn: Any, model: Model, file: NcnnFile, precision: str) -> NcnnSession:
        halves = precision == "fp16"
        net = ncnn.Net()
        net.opt.num_threads = self._threads
        net.opt.use_vulkan_compute = False
        net.opt.use_fp16_packed = net.opt.use_fp16_storage = net.opt.use_fp16_arithmetic = halves
        with self._cores.held():  # its threads start here, to lay out the weights
            failed = net.load_param(str(file.param)) or net.load_model(str(file.bin))
        if failed:
            raise CannotLoad(
                f"ncnn {ncnn.__version__} cannot run '{model.name}', an operator of which it lacks (what it printed "
                "names it): leave cpu_ncnn out for this model"
            )
        return NcnnSession(ncnn, net, file, self._clock, self._cores)


class NcnnSession:
    """A model on the CPU. `ncnn` is the module, `net` an ncnn.Net that has loaded `file`."""

    def __init__(self, ncnn: Any, net: Any, file: NcnnFile, clock: Clock, cores: Cores) -> None:
        self._mat = ncnn.Mat
        self._net = net
        self._file = file
        self._clock = clock
        self.cores = cores

    def warm(self, inputs: Sequence[Tensors]) -> None:
        """Run a few times, so that all memory is allocated and all threads are there."""
        with self.cores.held():
            for tensors in islice(cycle(inputs), WARM_RUNS):
                self.run(tensors)

    def run(self, inputs: Tensors) -> Result:
        """One inference. Raises TargetFailed when ncnn gives up on it, ValueError for inputs that do not fit."""
        for declared in self._file.inputs:  # ncnn would read beyond an array that is too small
            given = inputs[declared.name]
            if given.shape != declared.shape or given.dtype != declared.dtype:
                raise ValueError(
                    f"'{declared.name}' must be {declared.dtype} {list(declared.shape)}, not {given.dtype} "
                    f"{list(given.shape)}"
                )
        outputs: dict[str, NDArray[np.generic]] = {}
        start_ns = self._clock.now_ns()
        extractor = self._net.create_extractor()
        for declared in self._file.inputs:
            fed = np.ascontiguousarray(inputs[declared.name], declared.fed)
            # A Mat of its own: one that lends an array's memory lacks the alignment that kernels count on.
            extractor.input(declared.blob, self._mat(fed, batch_index=declared.batch_axis).clone())
        for produced in self._file.outputs:
            status, mat = extractor.extract(produced.blob)
            if status:
                raise TargetFailed(f"the CPU gave no answer: ncnn gave up with status {status}")
            outputs[produced.name] = np.array(mat).reshape(produced.shape)
        end_ns = self._clock.now_ns()
        return Result(outputs, start_ns, end_ns, (Span("compute", start_ns, end_ns),))

    def close(self) -> None:
        """Give the memory back. Safe to call twice; the session runs no more."""
        self._net = None


def _ncnn() -> Any:
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # its OpenMP looks once, on being loaded
    try:
        import ncnn
    except ModuleNotFoundError:
        raise CannotLoad(
            "the target cpu_ncnn needs ncnn, which this board's Python does not have: "
            "run `python3 -m pip install ncnn` on the board"
        ) from None
    return ncnn


def _agree(model: Model, reference: Any, session: NcnnSession) -> None:
    """Raises CannotLoad when ncnn answers otherwise than ONNX Runtime."""
    inputs = model.inputs[0]
    try:
        with session.cores.held():
            answers = session.run(inputs).outputs
    except ValueError as error:  # outputs of another size
        raise CannotLoad(f"as pnnx converts '{model.name}' for ncnn, it does not answer alike: {error}") from error
    for declared, expected in zip(reference.get_outputs(), reference.run(None, dict(inputs)), strict=True):
        off = float(np.abs(answers[declared.name] - expected).max())
        if not off <= TOLERANCE * float(np.abs(expected).max()):
            raise CannotLoad(
                f"as pnnx converts '{model.name}' for ncnn, '{declared.name}' is off by {off:.3g} of "
                f"{float(np.abs(expected).max()):.3g}: leave cpu_ncnn out for this model, or export it with explicit "
                "padding (pools with auto_pad are known to come out wrong)"
            )
