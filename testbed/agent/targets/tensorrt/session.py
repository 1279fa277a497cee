"""An engine at work: one context, one stream, one set of buffers, made once and used for every inference."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import cycle, islice
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from testbed.agent.contract import CannotLoad, Clock, Result, Span, TargetFailed, Tensors
from testbed.agent.targets.tensorrt.cuda import Cuda, CudaError
from testbed.agent.targets.tensorrt.graph import Graph
from testbed.agent.targets.tensorrt.library import Library
from testbed.agent.targets.tensorrt.shapes import is_fixed, shape_of

if TYPE_CHECKING:
    import tensorrt

_log = logging.getLogger(__name__)

WARM_RUNS = 3
"""the first run loads kernels, and the clocks of the GPU rise with the next"""


class WrongInputs(ValueError):
    """Inputs that do not fit the engine: a mistake of the suite, not an outcome."""


@dataclass(frozen=True, slots=True)
class _Port:
    """One input or output of the engine, on both sides."""

    name: str
    host: NDArray[Any]
    """pinned"""
    address: int
    """on the device"""


class TensorRtSession:
    """A model on the GPU or a DLA. Not for two threads at a time: its context is one thread's."""

    def __init__(
        self, library: Library, engine: tensorrt.ICudaEngine, cuda: Cuda, clock: Clock, title: str, *, graph: bool
    ) -> None:
        """`graph`: launch the engine as a CUDA graph. Raises CannotLoad, and CudaError when memory runs out."""
        self._library = library
        self._cuda = cuda
        self._clock = clock
        self._title = title
        self._owned = ExitStack()
        self._graph: Graph | None = None
        self._graph_wanted = graph
        with cuda.current(), ExitStack() as unless_made:
            unless_made.callback(self._release)
            self._open(engine)
            unless_made.pop_all()

    def _open(self, engine: tensorrt.ICudaEngine) -> None:
        context = engine.create_execution_context()
        if context is None:
            raise CannotLoad(f"{self._title}: no memory is left on the device for what happens between layers")
        self._engine, self._context = engine, context
        self._stream = self._mine(self._cuda.stream())
        self._begun, self._fed, self._computed, self._fetched = (self._mine(self._cuda.event()) for _ in range(4))
        names = [engine.get_tensor_name(index) for index in range(engine.num_io_tensors)]
        is_input = self._library.trt.TensorIOMode.INPUT
        inputs = [name for name in names if engine.get_tensor_mode(name) == is_input]
        self._inputs = {name: self._port(engine, name) for name in inputs}
        self._outputs = [self._port(engine, name) for name in names if name not in self._inputs]

    def _port(self, engine: tensorrt.ICudaEngine, name: str) -> _Port:
        """Buffers on both sides, which the context is told of."""
        shape, kind = shape_of(engine.get_tensor_shape(name)), engine.get_tensor_dtype(name)
        if not is_fixed(shape):
            raise CannotLoad(f"{self._title}: the shape of '{name}' follows from the data; export it with fixed shapes")
        try:
            dtype = np.dtype(self._library.trt.nptype(kind))
        except TypeError:
            raise CannotLoad(
                f"{self._title}: '{name}' is {kind}, for which numpy has no type; cast it in the file"
            ) from None
        size_bytes = max(1, prod(shape) * dtype.itemsize)
        memory = self._mine(self._cuda.pinned(size_bytes))
        address = self._mine(self._cuda.allocate(size_bytes))
        if not self._context.set_tensor_address(name, address):
            raise CannotLoad(f"{self._title}: TensorRT refuses the address of '{name}'")
        return _Port(name, memory[: prod(shape) * dtype.itemsize].view(dtype).reshape(shape), address)

    def _mine(self, made: tuple[Any, Any]) -> Any:
        value, give = made
        self._owned.callback(give)
        return value

    def warm(self, inputs: Sequence[Tensors]) -> None:
        """Run a few times; where a CUDA graph is wanted, record it. Raises CannotLoad where that cannot be."""
        for tensors in islice(cycle(inputs), WARM_RUNS):
            self.run(tensors)
        if self._graph_wanted and self._graph is None:
            try:
                with self._cuda.current():
                    self._graph = Graph(self._stream, self._enqueue)
            except CudaError as error:
                raise CannotLoad(f"{self._title} cannot be a CUDA graph: {error}: set cuda_graph: false") from error
            self._owned.callback(self._graph.close)

    def run(self, inputs: Tensors) -> Result:
        """One inference: span "compute" from end to end, and within it "device", as long as the device's clock says.

        Raises TargetFailed when CUDA or TensorRT gives up on it, and WrongInputs.
        """
        start_ns = self._clock.now_ns()
        self._fill(inputs)
        try:
            with self._cuda.current():
                queued_ns = self._queue()
                self._cuda.wait(self._fetched)
                fed_s = self._cuda.elapsed_s(self._begun, self._fed)
                device_s = self._cuda.elapsed_s(self._fed, self._computed)
        except CudaError as error:
            raise TargetFailed(f"{self._title}: the device gave no answer: {error}") from error
        outputs = {port.name: port.host.copy() for port in self._outputs}
        end_ns = self._clock.now_ns()
        # The device was idle: it began with the copy of the inputs when that was queued.
        fed_ns = queued_ns + round(fed_s * 1e9)
        device = Span("device", fed_ns, fed_ns + round(device_s * 1e9))
        return Result(outputs, start_ns, end_ns, (Span("compute", start_ns, end_ns), device))

    def _fill(self, inputs: Tensors) -> None:
        if inputs.keys() != self._inputs.keys():
            raise WrongInputs(f"{self._title} takes {', '.join(self._inputs)}, not {', '.join(inputs)}")
        for name, port in self._inputs.items():
            tensor = inputs[name]
            # TensorRT 8 has no 64-bit integers: it reads such a file's as 32-bit ones.
            narrowed = tensor.dtype == np.int64 and port.host.dtype == np.int32
            if tensor.shape != port.host.shape or not (tensor.dtype == port.host.dtype or narrowed):
                wanted, given = (f"{a.dtype} {list(a.shape)}" for a in (port.host, tensor))
                raise WrongInputs(f"{self._title}: '{name}' is {wanted}, not {given}")
            np.copyto(port.host, tensor, casting="same_kind")

    def _queue(self) -> int:
        """Queue an inference; returns when the device could begin with it."""
        queued_ns = self._clock.now_ns()
        self._cuda.record(self._begun, self._stream)
        for port in self._inputs.values():
            self._cuda.upload(port.address, port.host, self._stream)
        self._cuda.record(self._fed, self._stream)
        if self._graph is None:
            self._enqueue()
        else:
            self._graph.launch()
        self._cuda.record(self._computed, self._stream)
        for port in self._outputs:
            self._cuda.download(port.host, port.address, self._stream)
        self._cuda.record(self._fetched, self._stream)
        return queued_ns

    def _enqueue(self) -> None:
        if not self._context.execute_async_v3(self._stream):
            raise CudaError("TensorRT could not queue the engine")

    def close(self) -> None:
        """Give the memory back. Safe to call twice; the session runs no more."""
        try:
            with self._cuda.current():
                self._release()
        except CudaError as error:  # a device that gave up on an inference refuses everything from then on
            _log.warning("%s: not everything was given back: %s", self._title, error)

    def _release(self) -> None:
        self._inputs, self._outputs = {}, []  # pycuda frees pinned memory with the last view of it
        self._context = self._engine = None  # type: ignore[assignment]  # the last reference: it goes before its memory does
        self._owned.close()
