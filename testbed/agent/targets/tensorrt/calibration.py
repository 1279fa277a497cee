"""Ranges for INT8 found by TensorRT itself (until TensorRT 10), from the workload's inputs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import numpy as np

from testbed.agent.contract import Tensors
from testbed.agent.targets.tensorrt.cuda import Cuda
from testbed.agent.targets.tensorrt.library import Library


@contextmanager
def entropy_calibrator(library: Library, inputs: Sequence[Tensors], cuda: Cuda) -> Iterator[Any]:
    """A tensorrt.IInt8EntropyCalibrator2 over the inputs, the one calibrator that a DLA takes too.

    Wants the context current. TensorRT's builder works on a stream of its own: each batch is uploaded before it is
    handed over.
    """
    trt = library.trt
    with ExitStack() as owned:

        def mine(made: tuple[Any, Any]) -> Any:
            owned.callback(made[1])
            return made[0]

        stream, done = mine(cuda.stream()), mine(cuda.event())
        addresses = {name: mine(cuda.allocate(max(1, tensor.nbytes))) for name, tensor in inputs[0].items()}

        class Calibrator(trt.IInt8EntropyCalibrator2):  # type: ignore[misc, name-defined]  # of a module known when run
            def __init__(self) -> None:
                trt.IInt8EntropyCalibrator2.__init__(self)
                self._left = iter(inputs)

            def get_batch_size(self) -> int:
                return 1  # the network's own batch dimension is part of its shapes

            def get_batch(self, names: list[str]) -> list[int] | None:
                batch = next(self._left, None)
                if batch is None:
                    return None
                for name in names:
                    cuda.upload(addresses[name], np.ascontiguousarray(batch[name]), stream)
                cuda.record(done, stream)
                cuda.wait(done)
                return [addresses[name] for name in names]

            def read_calibration_cache(self) -> None:
                return None  # the engine is kept, with its ranges in it

            def write_calibration_cache(self, cache: Any) -> None:
                return None

        yield Calibrator()
