"""CUDA through NVIDIA's cuda-python (https://nvidia.github.io/cuda-python/cuda-bindings/)."""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np
from numpy.typing import NDArray

from testbed.agent.targets.tensorrt.cuda import CudaError, Current, Give, OutOfDeviceMemory


class CudaPython:
    """The primary context, through the driver API's own calls."""

    def __init__(self) -> None:
        """Raises ImportError where there is no cuda-python, and CudaError."""
        from cuda.bindings import driver

        self._driver = driver
        self._done(driver.cuInit(0))
        self._device = self._done(driver.cuDeviceGet(0))
        context = self._done(driver.cuDevicePrimaryCtxRetain(self._device))
        self._current = Current(
            lambda: self._done(driver.cuCtxPushCurrent(context)), lambda: self._done(driver.cuCtxPopCurrent())
        )

    def current(self) -> Current:
        return self._current

    def pinned(self, size_bytes: int) -> tuple[NDArray[np.uint8], Give]:
        address = int(self._done(self._driver.cuMemHostAlloc(size_bytes, 0)))
        memory = np.ctypeslib.as_array((ctypes.c_uint8 * size_bytes).from_address(address))
        return memory, lambda: self._done(self._driver.cuMemFreeHost(address))

    def allocate(self, size_bytes: int) -> tuple[int, Give]:
        memory = self._done(self._driver.cuMemAlloc(size_bytes))
        return int(memory), lambda: self._done(self._driver.cuMemFree(memory))

    def stream(self) -> tuple[int, Give]:
        flags = self._driver.CUstream_flags.CU_STREAM_NON_BLOCKING
        stream = self._done(self._driver.cuStreamCreate(flags))
        return int(stream), lambda: self._done(self._driver.cuStreamDestroy(stream))

    def event(self) -> tuple[int, Give]:
        flags = self._driver.CUevent_flags.CU_EVENT_BLOCKING_SYNC
        event = self._done(self._driver.cuEventCreate(flags))
        return int(event), lambda: self._done(self._driver.cuEventDestroy(event))

    def upload(self, address: int, source: NDArray[Any], stream: int) -> None:
        self._done(self._driver.cuMemcpyHtoDAsync(address, source.ctypes.data, source.nbytes, stream))

    def download(self, destination: NDArray[Any], address: int, stream: int) -> None:
        self._done(self._driver.cuMemcpyDtoHAsync(destination.ctypes.data, address, destination.nbytes, stream))

    def record(self, event: int, stream: int) -> None:
        self._done(self._driver.cuEventRecord(event, stream))

    def wait(self, event: int) -> None:
        self._done(self._driver.cuEventSynchronize(event))

    def elapsed_s(self, start: int, end: int) -> float:
        return float(self._done(self._driver.cuEventElapsedTime(start, end))) * 1e-3

    def free_bytes(self) -> int:
        return int(self._done(self._driver.cuMemGetInfo())[0])

    def close(self) -> None:
        self._done(self._driver.cuDevicePrimaryCtxRelease(self._device))

    def _done(self, answer: tuple[Any, ...]) -> Any:
        """A call's value, or values; every one answers with its CUresult first."""
        code, *values = answer
        if code == self._driver.CUresult.CUDA_SUCCESS:
            return values[0] if len(values) == 1 else tuple(values)
        kind = OutOfDeviceMemory if code == self._driver.CUresult.CUDA_ERROR_OUT_OF_MEMORY else CudaError
        raise kind(f"{code.name} ({int(code)})")
