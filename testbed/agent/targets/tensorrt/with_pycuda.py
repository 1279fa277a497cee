"""CUDA through pycuda (https://documen.tician.de/pycuda/driver.html)."""

from __future__ import annotations

from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from testbed.agent.targets.tensorrt.cuda import CudaError, Current, Give, OutOfDeviceMemory

NON_BLOCKING = 1
"""CU_STREAM_NON_BLOCKING of cuda.h, for which pycuda has no name: the stream does not wait for the legacy one"""


class PyCuda:
    """The primary context, as `pycuda.autoprimaryctx` takes it, but for as long as it is asked for and not until exit.

    pycuda works on objects that live as long as somebody refers to them; here they go by their handles.
    """

    def __init__(self) -> None:
        """Raises ImportError where there is no pycuda, and CudaError."""
        import pycuda.driver

        self._driver = pycuda.driver
        self._told = _Told(pycuda.driver)
        self._objects: dict[int, Any] = {}
        with self._told:
            self._driver.init()
            self._context = self._driver.Device(0).retain_primary_context()
        self._current = Current(self._push, self._driver.Context.pop)

    def current(self) -> Current:
        return self._current

    def pinned(self, size_bytes: int) -> tuple[NDArray[np.uint8], Give]:
        with self._told:
            memory: NDArray[np.uint8] = self._driver.pagelocked_empty(size_bytes, np.uint8)
        return memory, lambda: None  # freed with the last view of it

    def allocate(self, size_bytes: int) -> tuple[int, Give]:
        with self._told:
            memory = self._driver.mem_alloc(size_bytes)
        return int(memory), memory.free

    def stream(self) -> tuple[int, Give]:
        with self._told:
            stream = self._driver.Stream(NON_BLOCKING)
        return self._kept(stream.handle, stream)

    def event(self) -> tuple[int, Give]:
        with self._told:
            event = self._driver.Event(self._driver.event_flags.BLOCKING_SYNC)
        return self._kept(id(event), event)

    def upload(self, address: int, source: NDArray[Any], stream: int) -> None:
        with self._told:
            self._driver.memcpy_htod_async(address, source, self._objects[stream])

    def download(self, destination: NDArray[Any], address: int, stream: int) -> None:
        with self._told:
            self._driver.memcpy_dtoh_async(destination, address, self._objects[stream])

    def record(self, event: int, stream: int) -> None:
        with self._told:
            self._objects[event].record(self._objects[stream])

    def wait(self, event: int) -> None:
        with self._told:
            self._objects[event].synchronize()

    def elapsed_s(self, start: int, end: int) -> float:
        with self._told:
            return float(self._objects[end].time_since(self._objects[start])) * 1e-3

    def free_bytes(self) -> int:
        with self._told:
            return int(self._driver.mem_get_info()[0])

    def close(self) -> None:
        self._objects.clear()
        self._context.detach()

    def _push(self) -> None:
        with self._told:
            self._context.push()

    def _kept(self, handle: int, kept: Any) -> tuple[int, Give]:
        self._objects[handle] = kept

        def give() -> None:
            self._objects.pop(handle, None)

        return handle, give


class _Told:
    """Turns pycuda's errors into ours. One object serves every call: it is entered a dozen times in an inference."""

    def __init__(self, driver: Any) -> None:
        self._driver = driver

    def __enter__(self) -> None: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if isinstance(error, self._driver.MemoryError):
            raise OutOfDeviceMemory(str(error)) from error
        if isinstance(error, self._driver.Error):
            raise CudaError(str(error)) from error
