"""Whether an NVIDIA driver answers, asked of libcuda itself.

TensorRT's lean runtime ends the whole process where there is no driver (it logs CUDA error 35, then segfaults), so this
is asked before anything of TensorRT is made. Names and codes are those of the CUDA driver API (cuda.h).
"""

from __future__ import annotations

import ctypes
from dataclasses import dataclass

from testbed.agent.contract import CannotLoad

LIBRARY = "libcuda.so.1"
_MAJOR, _MINOR = 75, 76
"""CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR and _MINOR"""
_NAME_BYTES = 256
_CURES = {
    100: "no CUDA device: see that nvidia-smi (a Jetson's tegrastats) shows one, and CUDA_VISIBLE_DEVICES hides none",
    34: "a stub of the driver: take CUDA's stubs folder out of LD_LIBRARY_PATH",
    803: "a driver that does not fit its kernel module: reboot after the update",
    999: "it failed for an unknown reason: reboot, and look at dmesg",
}
"""by CUresult: CUDA_ERROR_NO_DEVICE, _STUB_LIBRARY, _SYSTEM_DRIVER_MISMATCH, _UNKNOWN"""


class NoGpu(CannotLoad):
    """No CUDA device answers."""


@dataclass(frozen=True, slots=True)
class Gpu:
    """The first CUDA device."""

    name: str
    sm: int
    """compute capability without its point: 87 is an Orin"""
    cuda_version: int
    """the newest CUDA its driver speaks, as the driver says it: 12060 is 12.6"""


def probe() -> Gpu:
    """The first CUDA device. Raises NoGpu, with the cure; makes no context and takes no memory of the device."""
    try:
        cuda = ctypes.CDLL(LIBRARY)
    except OSError as error:
        raise NoGpu(
            f"no NVIDIA driver is installed here ({error}): on a Jetson it comes with JetPack, elsewhere with the GPU"
        ) from None
    _ask(cuda, "cuInit", 0)
    version, count, device = ctypes.c_int(), ctypes.c_int(), ctypes.c_int()
    major, minor = ctypes.c_int(), ctypes.c_int()
    name = ctypes.create_string_buffer(_NAME_BYTES)
    _ask(cuda, "cuDriverGetVersion", ctypes.byref(version))
    _ask(cuda, "cuDeviceGetCount", ctypes.byref(count))
    if not count.value:
        raise NoGpu(_refusal("cuDeviceGetCount", 100))
    _ask(cuda, "cuDeviceGet", ctypes.byref(device), 0)
    _ask(cuda, "cuDeviceGetName", name, _NAME_BYTES, device)
    _ask(cuda, "cuDeviceGetAttribute", ctypes.byref(major), _MAJOR, device)
    _ask(cuda, "cuDeviceGetAttribute", ctypes.byref(minor), _MINOR, device)
    return Gpu(name.value.decode(errors="replace"), 10 * major.value + minor.value, version.value)


def _ask(cuda: ctypes.CDLL, function: str, *arguments: object) -> None:
    if code := getattr(cuda, function)(*arguments):
        raise NoGpu(_refusal(function, code))


def _refusal(function: str, code: int) -> str:
    return f"the NVIDIA driver refuses ({function} returned CUDA error {code}): {_CURES.get(code, 'see cuda.h')}"
