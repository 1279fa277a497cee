"""The board's own CPU, through ONNX Runtime.

A precision is a file: fp32, fp16 and int8 models differ in their graphs, and the runtime picks kernels for them. A CPU
without half-precision arithmetic computes an fp16 graph in fp32, between casts.

Outputs are new arrays each time. Binding them to arrays of our own would save 3 us of a run's 5.5 us of overhead, and
each result would change under its owner's hands with the next run.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import cycle, islice
from typing import Any

from testbed.agent.contract import CannotLoad, Clock, Model, Result, Span, TargetFailed, Tensors

WARM_RUNS = 3
"""the first run allocates and the second may again, where the first taught the arena a pattern"""


class OnnxRuntimeCpu:
    """The CPU as a target, with a fixed number of threads.

    Threads that wait for work sleep: spinning would burn three times the CPU time of a 20 ms frame for nothing, and the
    meter would see it (`session.intra_op.allow_spinning` = 0).
    """

    def __init__(self, clock: Clock, threads: int) -> None:
        if threads < 1:
            raise ValueError(f"the CPU target needs one thread at least, not {threads}")
        self._clock = clock
        self._threads = threads

    def load(self, model: Model, precision: str) -> OnnxRuntimeSession:
        """Raises CannotLoad, with the cure."""
        try:
            import onnxruntime
            from onnxruntime.capi.onnxruntime_pybind11_state import Fail, RuntimeException
        except ModuleNotFoundError:
            raise CannotLoad(
                "the CPU target needs ONNX Runtime, which this board's Python does not have: "
                "run `python3 -m pip install onnxruntime` on the board"
            ) from None
        if precision not in model.files:
            raise CannotLoad(f"model '{model.name}' has no file at {precision}, only at {', '.join(model.files)}")
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = self._threads
        options.inter_op_num_threads = 1
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        path = model.files[precision]
        try:
            session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        except Exception as error:  # the runtime's exceptions have no common base but this
            raise CannotLoad(f"ONNX Runtime {onnxruntime.__version__} cannot load {path}: {error}") from error
        return OnnxRuntimeSession(session, self._clock, (Fail, RuntimeException))


class OnnxRuntimeSession:
    """A model on the CPU. `session` is an onnxruntime.InferenceSession, `failures` what it raises when it gives up."""

    def __init__(self, session: Any, clock: Clock, failures: tuple[type[Exception], ...]) -> None:
        self._session = session
        self._clock = clock
        self._failures = failures
        self._outputs = [output.name for output in session.get_outputs()]

    def warm(self, inputs: Sequence[Tensors]) -> None:
        """Run a few times, so that all memory is allocated."""
        for tensors in islice(cycle(inputs), WARM_RUNS):
            self.run(tensors)

    def run(self, inputs: Tensors) -> Result:
        """One inference. Raises TargetFailed when the runtime gives up on it."""
        start_ns = self._clock.now_ns()
        try:
            values = self._session.run(self._outputs, inputs)
        except self._failures as error:
            raise TargetFailed(f"the CPU gave no answer: {error}") from error
        end_ns = self._clock.now_ns()
        outputs = dict(zip(self._outputs, values, strict=True))
        return Result(outputs, start_ns, end_ns, (Span("compute", start_ns, end_ns),))

    def close(self) -> None:
        """Give the memory back. Safe to call twice; the session runs no more."""
        self._session = None
