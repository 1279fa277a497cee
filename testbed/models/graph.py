"""A small hand for drawing ONNX graphs: nodes, constants, seeded weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

OPSET = 17
IR_VERSION = 8
"""the oldest that carries opset 17 (ONNX's version table), so that old runtimes read the file too"""


class Graph:
    """An ONNX graph as it is drawn. Values are named by strings, as in ONNX."""

    def __init__(self, name: str, seed: int = 0) -> None:
        self._name = name
        self._random = np.random.default_rng(seed)
        self._nodes: list[onnx.NodeProto] = []
        self._constants: list[TensorProto] = []
        self._inputs: list[onnx.ValueInfoProto] = []
        self._outputs: list[onnx.ValueInfoProto] = []

    def input(self, name: str, dtype: type[np.generic], shape: Sequence[int]) -> str:
        """Declare an input of the network."""
        self._inputs.append(_value(name, dtype, shape))
        return name

    def output(self, value: str, name: str, shape: Sequence[int]) -> None:
        """Declare `value` an output of the network, float32, under the given name."""
        self._nodes.append(helper.make_node("Identity", [value], [name], name=name))
        self._outputs.append(_value(name, np.float32, shape))

    def constant(self, array: NDArray[np.generic]) -> str:
        """A constant of the graph."""
        name = f"c{len(self._constants)}"
        self._constants.append(numpy_helper.from_array(np.ascontiguousarray(array), name))
        return name

    def floats(self, *values: float) -> str:
        """A short float32 vector; one value makes a scalar."""
        return self.constant(np.array(values[0] if len(values) == 1 else values, np.float32))

    def ints(self, *values: int) -> str:
        """A short int64 vector, as shapes, axes and bounds are given."""
        return self.constant(np.array(values, np.int64))

    def he(self, shape: Sequence[int], fan_in: int) -> NDArray[np.float32]:
        """Random weights of variance 2 / fan_in (He et al. 2015, arXiv 1502.01852), from the graph's seed."""
        return self.normal(shape, float(np.sqrt(2 / fan_in)))

    def normal(self, shape: Sequence[int], deviation: float) -> NDArray[np.float32]:
        """Random numbers of the given standard deviation, from the graph's seed."""
        numbers: NDArray[np.float32] = self._random.standard_normal(shape, np.float32)
        numbers *= np.float32(deviation)
        return numbers

    def node(self, op: str, *inputs: str, **attributes: Any) -> str:
        """A node with one output, which is returned."""
        name = f"{op}_{len(self._nodes)}"
        return self._add(op, inputs, [name], attributes)[0]

    def nodes(self, op: str, outputs: int, *inputs: str, **attributes: Any) -> list[str]:
        """A node with several outputs, which are returned."""
        name = f"{op}_{len(self._nodes)}"
        return self._add(op, inputs, [f"{name}_{i}" for i in range(outputs)], attributes)

    def _add(self, op: str, inputs: Sequence[str], outputs: list[str], attributes: Mapping[str, Any]) -> list[str]:
        name = f"{op}_{len(self._nodes)}"
        self._nodes.append(helper.make_node(op, list(inputs), outputs, name=name, **attributes))
        return outputs

    def model(self) -> onnx.ModelProto:
        """The finished model. Raises onnx.checker.ValidationError when it is not sound."""
        graph = helper.make_graph(self._nodes, self._name, self._inputs, self._outputs, self._constants)
        opset = helper.make_opsetid("", OPSET)
        model = helper.make_model(graph, opset_imports=[opset], ir_version=IR_VERSION, producer_name="testbed")
        onnx.checker.check_model(model)
        return model


def _value(name: str, dtype: type[np.generic], shape: Sequence[int]) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(np.dtype(dtype)), list(shape))
