"""TensorRT as this board's Python has it, and what its version can do.

What a version can do is told by what it has, not by its number. The DLA is the exception: every version names it, those
that cannot use it too.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import ModuleType
from typing import Any

from testbed.agent.contract import CannotLoad

OLDEST = (8, 6)
"""the first with named tensors throughout (`set_tensor_address`, `execute_async_v3`) and VERSION_COMPATIBLE"""
LAST_DLA_OF_10 = (10, 7)
DLA_BACK = (11, 4)
"""NVIDIA's release notes: 10.8 to 11.3 have no DLA; 11.4.1 has it on AGX Orin"""


@dataclass(frozen=True, slots=True)
class Library:
    """One version of TensorRT."""

    trt: Any
    """the module; its members differ from version to version"""

    @property
    def version(self) -> str:
        return str(self.trt.__version__)

    @property
    def release(self) -> tuple[int, int]:
        """Major and minor."""
        major, minor, *_ = self.version.split(".")
        return int(major), int(minor)

    @property
    def typed(self) -> bool:
        """Whether every network is strongly typed: the file alone decides the precisions (TensorRT 11)."""
        return not hasattr(self.trt.BuilderFlag, "FP16")

    @property
    def calibrates(self) -> bool:
        """Whether it can find ranges for INT8 itself (until TensorRT 10)."""
        return hasattr(self.trt, "IInt8EntropyCalibrator2")

    def network_flags(self) -> int:
        """For `create_network`: a batch dimension of its own until TensorRT 10, where every network has one."""
        flag = getattr(self.trt.NetworkDefinitionCreationFlag, "EXPLICIT_BATCH", None)
        return 0 if flag is None else 1 << int(flag)

    def require_dla(self, cores: int, core: int) -> None:
        """Raises CannotLoad where this version, or a board with `cores` cores, has no DLA of that number."""
        if LAST_DLA_OF_10 < self.release < DLA_BACK:
            raise CannotLoad(
                f"TensorRT {self.version} has no DLA: 10.7 (JetPack 6) is the last of 10.x that has it, "
                "11.4.1 has it again, on AGX Orin"
            )
        if core >= cores:
            has = {0: "no DLA", 1: "one DLA, dla0"}.get(cores, f"{cores} DLAs, from dla0")
            raise CannotLoad(f"this board has {has}, says TensorRT {self.version}: leave dla{core} out")


def open_library() -> Library:
    """The board's TensorRT. Raises CannotLoad, with the cure."""
    try:
        import tensorrt
    except (ImportError, OSError) as error:
        raise CannotLoad(
            f"this board's Python has no TensorRT ({error}): on a Jetson it comes with JetPack, and a virtual "
            "environment sees it when made with --system-site-packages"
        ) from None
    return of_module(tensorrt)


def of_module(trt: ModuleType) -> Library:
    """The version a module is. Raises CannotLoad for one that is too old, or that is only type stubs."""
    if not hasattr(trt, "__version__"):
        raise CannotLoad("this board's Python has only type stubs for TensorRT: on a Jetson, use the system's Python")
    library = Library(trt)
    if library.release < OLDEST:
        raise CannotLoad(f"TensorRT {library.version} is too old, 8.6 is the oldest that will do: install JetPack 6")
    return library
