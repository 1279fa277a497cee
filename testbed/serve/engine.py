"""What runs a model behind the server, and the one that does it with ONNX Runtime."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from numpy.typing import NDArray

from testbed.agent.contract import Tensors


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """One input or output of a model."""

    name: str
    datatype: str
    """the protocol's name, "FP32" for one"""
    shape: tuple[int, ...]
    """-1 where any size will do"""


class Engine(Protocol):
    """A model that can be run; `infer` may be called from several threads at once."""

    @property
    def platform(self) -> str: ...

    @property
    def inputs(self) -> Sequence[TensorSpec]: ...

    @property
    def outputs(self) -> Sequence[TensorSpec]: ...

    def infer(self, inputs: Tensors) -> Mapping[str, NDArray[Any]]:
        """Every output by name. The inputs fit `self.inputs`."""


class OnnxEngine:
    """An ONNX file run by ONNX Runtime.

    Its worker threads sleep between requests instead of spinning: what shares the machine keeps its cores.
    """

    platform = "onnxruntime_onnx"

    def __init__(self, path: Path, threads: int = 0, providers: Sequence[str] = ("CPUExecutionProvider",)) -> None:
        """`threads` 0 leaves the choice to ONNX Runtime. Raises ValueError for a file that cannot be served."""
        import onnxruntime  # it takes a quarter of a second: the server's clients should not pay for it

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        try:
            self._session = onnxruntime.InferenceSession(path, options, providers=list(providers))
        except Exception as error:  # noqa: BLE001 - ONNX Runtime's errors have no common base but this
            raise ValueError(f"{path} cannot be loaded: {error}") from None
        self.inputs = tuple(_spec(path, node) for node in self._session.get_inputs())
        self.outputs = tuple(_spec(path, node) for node in self._session.get_outputs())
        self._names = [output.name for output in self.outputs]

    def infer(self, inputs: Tensors) -> dict[str, NDArray[Any]]:
        return dict(zip(self._names, self._session.run(self._names, dict(inputs)), strict=True))


_DATATYPES = {
    "tensor(bool)": "BOOL",
    "tensor(uint8)": "UINT8",
    "tensor(uint16)": "UINT16",
    "tensor(uint32)": "UINT32",
    "tensor(uint64)": "UINT64",
    "tensor(int8)": "INT8",
    "tensor(int16)": "INT16",
    "tensor(int32)": "INT32",
    "tensor(int64)": "INT64",
    "tensor(float16)": "FP16",
    "tensor(float)": "FP32",
    "tensor(double)": "FP64",
}


def _spec(path: Path, node: Any) -> TensorSpec:
    if node.type not in _DATATYPES:
        raise ValueError(f"{path}: '{node.name}' is a {node.type}, which cannot be served")
    return TensorSpec(
        node.name, _DATATYPES[node.type], tuple(size if isinstance(size, int) else -1 for size in node.shape)
    )
