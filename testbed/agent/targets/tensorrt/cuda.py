"""What a session asks of CUDA: the primary context, pinned memory, a stream, events.

Two libraries give it: pycuda, and where a board does not have it, NVIDIA's cuda-python. Both share the device's primary
context with TensorRT, and with whatever else runs in the process. Handles and addresses are plain integers.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from testbed.agent.contract import CannotLoad

Give = Callable[[], None]
"""gives back what it came with; wants the context current"""


class CudaError(Exception):
    """A CUDA call failed."""


class OutOfDeviceMemory(CudaError):
    """The device's memory is used up."""


class Current:
    """Makes a context current while it is entered, as often as it is: CUDA keeps a stack of them for each thread."""

    def __init__(self, push: Callable[[], object], pop: Callable[[], object]) -> None:
        self._push = push
        self._pop = pop

    def __enter__(self) -> None:
        self._push()

    def __exit__(self, *_: object) -> None:
        self._pop()


class Cuda(Protocol):
    """The first device's primary context. Everything but `current` and `close` wants it current on the thread."""

    def current(self) -> AbstractContextManager[None]:
        """Make the context current on this thread, for a while."""

    def pinned(self, size_bytes: int) -> tuple[NDArray[np.uint8], Give]:
        """Host memory that the device copies to and from without the CPU."""

    def allocate(self, size_bytes: int) -> tuple[int, Give]:
        """Device memory: its address."""

    def stream(self) -> tuple[int, Give]:
        """A stream: its handle."""

    def event(self) -> tuple[int, Give]:
        """An event that keeps the time, and that a thread waits for asleep: its handle."""

    def upload(self, address: int, source: NDArray[Any], stream: int) -> None:
        """Queue a copy to the device."""

    def download(self, destination: NDArray[Any], address: int, stream: int) -> None:
        """Queue a copy from the device."""

    def record(self, event: int, stream: int) -> None:
        """Queue a look at the device's clock."""

    def wait(self, event: int) -> None:
        """Sleep until the event has passed: a thread that spun would burn a core, and the meter would see it."""

    def elapsed_s(self, start: int, end: int) -> float:
        """Between two events that have passed, by the device's clock (resolution about 0.5 us, says NVIDIA)."""

    def free_bytes(self) -> int:
        """Device memory nobody has."""

    def close(self) -> None:
        """Let go of the context."""


def open_cuda() -> Cuda:
    """The device's primary context. Raises CannotLoad where neither library is there, and CudaError."""
    from testbed.agent.targets.tensorrt.with_cuda_python import CudaPython
    from testbed.agent.targets.tensorrt.with_pycuda import PyCuda

    try:
        return PyCuda()
    except ImportError:
        pass
    try:
        return CudaPython()
    except ImportError as error:
        raise CannotLoad(
            f"this board's Python has neither pycuda nor cuda-python ({error}): run `python3 -m pip install pycuda` "
            "(it is compiled on the board), or `python3 -m pip install cuda-bindings`, of the CUDA version installed"
        ) from None
