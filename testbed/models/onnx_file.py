"""What an ONNX file declares: its inputs and outputs, and the shape of every tensor between them."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from pathlib import Path

import numpy as np
import onnx
from google.protobuf.message import DecodeError
from onnx import helper, shape_inference

from testbed.errors import BenchError

_LARGE = 4096
"""bytes; a constant that decides a shape is smaller"""


_INTEGER = {"QuantizeLinear", "DequantizeLinear", "QLinearConv", "QLinearMatMul", "ConvInteger", "MatMulInteger"}


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """An input or output of a network."""

    name: str
    dtype: str
    """as numpy names it: "uint8", "int32", "float32"..."""
    shape: tuple[int, ...]
    rows: int | None = None
    """of an input that indexes a table of the graph (token numbers): the table's length"""

    @property
    def nbytes(self) -> int:
        """Bytes of the tensor as it goes over the wire."""
        return prod(self.shape) * np.dtype(self.dtype).itemsize


@dataclass(frozen=True, slots=True)
class OnnxFile:
    """A graph with the shapes of its tensors; large constants are left out of it."""

    path: Path
    graph: onnx.GraphProto
    shapes: dict[str, tuple[int, ...]]
    """by tensor; of constants too; a tensor whose shape nothing tells is absent"""
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]

    @property
    def precision(self) -> str:
        """What it computes in: "int8" where anything is quantised, "fp16" where it has such weights, else "fp32"."""
        if any(node.op_type in _INTEGER for node in self.graph.node):
            return "int8"
        halves = any(constant.data_type == onnx.TensorProto.FLOAT16 for constant in self.graph.initializer)
        return "fp16" if halves else "fp32"


def read(path: Path) -> OnnxFile:
    """Read the file and infer all shapes.

    Raises BenchError when there is no such file, when it is not ONNX, when its weights lie in another file, or when an
    input's shape is not fixed.
    """
    try:
        model = onnx.load(str(path), load_external_data=False)
        if not model.graph.node or not model.graph.output:
            raise BenchError(f"{path} is no ONNX model, or was cut short: it holds no whole graph; export it again")
        for constant in model.graph.initializer:
            if constant.data_location == onnx.TensorProto.EXTERNAL:
                raise BenchError(f"{path} keeps its weights in another file: save it as one, with its data embedded")
            if len(constant.raw_data) > _LARGE:
                constant.ClearField("raw_data")
        inferred = shape_inference.infer_shapes(model, data_prop=True).graph
    except FileNotFoundError:
        raise BenchError(f"there is no model file {path}") from None
    except IsADirectoryError:
        raise BenchError(f"{path} is a folder, not a model file") from None
    except (DecodeError, shape_inference.InferenceError, ValueError) as error:
        raise BenchError(f"{path} cannot be read as an ONNX model ({error}): export it again") from error
    shapes = {constant.name: tuple(constant.dims) for constant in inferred.initializer}
    for value in (*inferred.value_info, *inferred.input, *inferred.output):
        if (shape := _fixed(value)) is not None:
            shapes[value.name] = shape
    inputs = [value for value in inferred.input if value.name not in {c.name for c in inferred.initializer}]
    for value in (*inputs, *inferred.output):
        if value.name not in shapes:
            raise BenchError(_dynamic(path, value))
    tables = _tables(inferred)
    return OnnxFile(
        path=path,
        graph=inferred,
        shapes=shapes,
        inputs=tuple(TensorSpec(v.name, _dtype(path, v), shapes[v.name], tables.get(v.name)) for v in inputs),
        outputs=tuple(TensorSpec(v.name, _dtype(path, v), shapes[v.name]) for v in inferred.output),
    )


def _fixed(value: onnx.ValueInfoProto) -> tuple[int, ...] | None:
    tensor = value.type.tensor_type
    if not tensor.HasField("shape") or not all(d.HasField("dim_value") for d in tensor.shape.dim):
        return None
    return tuple(d.dim_value for d in tensor.shape.dim)


def _dtype(path: Path, value: onnx.ValueInfoProto) -> str:
    try:
        return str(helper.tensor_dtype_to_np_dtype(value.type.tensor_type.elem_type))
    except KeyError:
        raise BenchError(f"{path}: {value.name!r} has no type that is known: export it again") from None


def _dynamic(path: Path, value: onnx.ValueInfoProto) -> str:
    dims = ", ".join(d.dim_param or str(d.dim_value or "?") for d in value.type.tensor_type.shape.dim)
    return (
        f"{path}: the shape of {value.name!r} is not fixed ([{dims}]). Export with fixed shapes, or fix the inputs: "
        "python -m onnxruntime.tools.make_dynamic_shape_fixed --input_name NAME --input_shape 1,... from.onnx to.onnx"
    )


def _tables(graph: onnx.GraphProto) -> dict[str, int]:
    """Tensors that index a constant table, seen through casts -> the table's length."""
    lengths = {constant.name: constant.dims[0] for constant in graph.initializer if constant.dims}
    found: dict[str, int] = {}
    for node in reversed(graph.node):
        if node.op_type == "Gather" and node.input[0] in lengths:
            found[node.input[1]] = lengths[node.input[0]]
        elif node.op_type == "Cast" and node.output[0] in found:
            found[node.input[0]] = found[node.output[0]]
    return found
