"""CUDA graphs, asked of libcuda itself: pycuda has none.

What a stream was given once is launched again as a whole, which spares the CPU most of the work of queueing it.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable

from testbed.agent.targets.tensorrt.cuda import CudaError
from testbed.agent.targets.tensorrt.driver import LIBRARY

_THREAD_LOCAL = 1
"""CU_STREAM_CAPTURE_MODE_THREAD_LOCAL: other threads may go on allocating"""


class Graph:
    """What `queue` puts on a stream, ready to be launched again. Wants the context current, as everything here does."""

    def __init__(self, stream: int, queue: Callable[[], None]) -> None:
        """Raises CudaError, and what `queue` raises; the stream then takes work again."""
        self._cuda = ctypes.CDLL(LIBRARY)
        self._stream = ctypes.c_void_p(stream)
        self._executable = ctypes.c_void_p()
        graph = ctypes.c_void_p()
        self._ask("cuStreamBeginCapture_v2", self._stream, _THREAD_LOCAL)
        try:
            queue()
        except BaseException:
            self._cuda.cuStreamEndCapture(self._stream, ctypes.byref(graph))
            if graph:
                self._ask("cuGraphDestroy", graph)
            raise
        self._ask("cuStreamEndCapture", self._stream, ctypes.byref(graph))
        try:
            flags = ctypes.c_ulonglong(0)
            self._ask("cuGraphInstantiateWithFlags", ctypes.byref(self._executable), graph, flags)
        finally:
            self._ask("cuGraphDestroy", graph)

    def launch(self) -> None:
        """Queue all of it on its stream. Raises CudaError."""
        self._ask("cuGraphLaunch", self._executable, self._stream)

    def close(self) -> None:
        """Give it back. Once."""
        self._ask("cuGraphExecDestroy", self._executable)

    def _ask(self, function: str, *arguments: object) -> None:
        if code := getattr(self._cuda, function)(*arguments):
            raise CudaError(f"{function} returned CUDA error {code}")
