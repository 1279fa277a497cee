"""Layers, multiply-accumulates and bytes of a network, counted from its ONNX graph by one rule.

The rule:

- a convolution layer is a Conv or ConvTranspose node (depthwise ones and 1x1 ones too), or its integer forms;
- a fully connected layer is a Gemm or MatMul node one of whose operands is constant, or its integer forms;
- a recurrent layer is an RNN, GRU or LSTM node; two MatMul nodes that multiply activations by activations are one
  attention layer (scores, then mixing), and count with the recurrent ones;
- multiply-accumulates are those of these layers; additions of a bias, activations and normalisations are not counted;
- parameters are the elements of all constants but 64-bit integers (shapes, axes) and the scales of quantisation;
- bytes moved are those of each layer's operands, read once, and of its result, written once, in the precision asked
  for. What lies between layers (activations, residual sums, normalisation) is taken to be fused into them.

QuantizeLinear and DequantizeLinear change no shape, so the quantised form of a graph counts the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod

import onnx

from testbed.errors import BenchError
from testbed.models.graph import OPSET
from testbed.models.onnx_file import OnnxFile

WIDTH = {"fp32": 4, "fp16": 2, "int8": 1}
"""bytes of one element"""


@dataclass(frozen=True, slots=True)
class Counts:
    """What a network is made of."""

    conv_layers: int
    fc_layers: int
    rc_layers: int
    """recurrent and attention layers"""
    macs: int
    """multiply-accumulates of one inference"""
    parameters: int
    elements_moved: int
    """operands and results of all layers"""

    def bytes_moved(self, precision: str) -> int:
        """Bytes through memory in one inference at a precision of `WIDTH`."""
        return self.elements_moved * WIDTH[precision]


PAPER = {
    "inception-v1": (49, 1, 0),
    "inception-v3": (94, 1, 0),
    "mobilenet-v1": (14, 1, 0),
    "mobilenet-v2": (35, 1, 0),
    "mobilenet-v3": (23, 20, 0),
    "resnet50": (53, 1, 0),
    "ssd-mobilenet-v1": (19, 1, 0),
    "ssd-mobilenet-v2": (52, 1, 0),
    "ssd-mobilenet-v3": (28, 20, 0),
    "mobilebert": (0, 1, 24),
}
"""conv, fc and rc layers as AutoScale counts them (Kim and Wu, MICRO 2020, arXiv 2005.02544): recalled, not checked
against the paper's text. It counts depthwise pairs and squeeze blocks by another rule."""

_CONVOLUTIONS = {"Conv": 1, "ConvInteger": 1, "QLinearConv": 3}
_PRODUCTS = {"Gemm": 1, "MatMul": 1, "MatMulInteger": 1, "QLinearMatMul": 3}
"""operator -> which input is the weights, or the second factor"""
_RECURRENT = {"RNN", "GRU", "LSTM"}
_REFUSED = {"Attention", "MultiHeadAttention", "GroupQueryAttention", "Einsum", "If", "Loop", "Scan"}

_Shape = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class _Layer:
    kind: str
    macs: int
    elements: int


def count(file: OnnxFile) -> Counts:
    """Count the graph of an ONNX file. Raises BenchError when a layer of it cannot be counted."""
    constants = _constants(file.graph)
    try:
        layers = [layer for node in file.graph.node if (layer := _layer(node, file.shapes, constants)) is not None]
    except _Uncountable as error:
        raise BenchError(f"{file.path}: {error}") from error
    kinds = [layer.kind for layer in layers]
    return Counts(
        conv_layers=kinds.count("conv"),
        fc_layers=kinds.count("fc"),
        rc_layers=kinds.count("recurrent") + (kinds.count("attention") + 1) // 2,
        macs=sum(layer.macs for layer in layers),
        parameters=_parameters(file.graph),
        elements_moved=sum(layer.elements for layer in layers),
    )


class _Uncountable(Exception):
    pass


def _layer(node: onnx.NodeProto, shapes: Mapping[str, _Shape], constants: set[str]) -> _Layer | None:
    if node.op_type in _REFUSED:
        raise _Uncountable(
            f"the operator {node.op_type} ({node.name!r}) cannot be counted: export the model with opset {OPSET} or "
            "without it, so that it comes as plain operators"
        )

    def shape(index: int) -> _Shape:
        return _shape(node, node.input[index], shapes)

    def elements() -> int:
        return sum(prod(_shape(node, name, shapes)) for name in (*node.input, node.output[0]) if name)

    if node.op_type == "ConvTranspose":
        return _Layer("conv", prod(shape(0)) * prod(shape(1)[1:]), elements())
    result = prod(_shape(node, node.output[0], shapes)) if node.op_type in _CONVOLUTIONS | _PRODUCTS else 0
    if node.op_type in _CONVOLUTIONS:
        return _Layer("conv", result * prod(shape(_CONVOLUTIONS[node.op_type])[1:]), elements())
    if node.op_type in _PRODUCTS:
        second = node.input[_PRODUCTS[node.op_type]]
        kind = "fc" if {node.input[0], second} & constants else "attention"
        return _Layer(kind, result * shape(0)[0 if _is_transposed(node) else -1], elements())
    if node.op_type in _RECURRENT:
        steps = prod(shape(0)[:2])
        weights, recurrence = shape(1), shape(2)
        states = steps * recurrence[0] * recurrence[2]
        parameters = prod(weights) + prod(recurrence)
        return _Layer("recurrent", steps * parameters, prod(shape(0)) + parameters + states)
    return None


def _shape(node: onnx.NodeProto, tensor: str, shapes: Mapping[str, _Shape]) -> _Shape:
    try:
        return shapes[tensor]
    except KeyError:
        raise _Uncountable(
            f"the shape of {tensor!r} at {node.op_type} {node.name!r} depends on the data, or on an operator that is "
            "not standard ONNX: export the model with fixed shapes"
        ) from None


def _is_transposed(node: onnx.NodeProto) -> bool:
    return node.op_type == "Gemm" and any(a.name == "transA" and a.i for a in node.attribute)


def _constants(graph: onnx.GraphProto) -> set[str]:
    """Names of tensors that are the same in every inference."""
    constants = {constant.name for constant in graph.initializer}
    for node in graph.node:
        if node.op_type == "Constant" or (node.input and constants.issuperset(filter(None, node.input))):
            constants.update(node.output)
    return constants


def _parameters(graph: onnx.GraphProto) -> int:
    pairs = (node for node in graph.node if node.op_type in {"QuantizeLinear", "DequantizeLinear"})
    scales = {name for node in pairs for name in node.input[1:]}
    return sum(
        prod(constant.dims)
        for constant in graph.initializer
        if constant.name not in scales and constant.data_type != onnx.TensorProto.INT64
    )
