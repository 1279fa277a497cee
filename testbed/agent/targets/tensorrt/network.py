"""From an ONNX file to a network TensorRT can build, or a message that says why not."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from testbed.agent.contract import CannotLoad
from testbed.agent.targets.tensorrt.library import Library
from testbed.agent.targets.tensorrt.order import Order
from testbed.agent.targets.tensorrt.shapes import is_fixed, shape_of, shown

if TYPE_CHECKING:
    import tensorrt

_OTHER_OPERATORS = (
    "export the model with operators that this TensorRT has (docs.nvidia.com/deeplearning/tensorrt, ONNX Operator "
    "Support), or leave the target out"
)


def parse(library: Library, order: Order, builder: tensorrt.Builder, logger: Any) -> tensorrt.INetworkDefinition:
    """The file's network, its shapes and precisions looked over. Raises CannotLoad."""
    trt = library.trt
    network: tensorrt.INetworkDefinition = builder.create_network(library.network_flags())
    parser: tensorrt.OnnxParser = trt.OnnxParser(network, logger)
    if not parser.parse_from_file(str(order.path)):
        errors = [parser.get_error(index) for index in range(parser.num_errors)]
        said = "; ".join(map(_shown_error, errors))
        # A message about no node is about the file as a whole.
        cure = _OTHER_OPERATORS if any(error.node() >= 0 for error in errors) else "send or export the file again"
        raise CannotLoad(f"TensorRT {library.version} cannot parse {order.path}: {said}: {cure}")
    if not network.num_outputs:
        raise CannotLoad(f"{order.path} has no output: export it again")
    _require_shapes(order, network)
    if library.typed:
        _require_precision(library, order, network)
    return network


def _shown_error(error: tensorrt.ParserError) -> str:
    if error.node() < 0:
        return error.desc()
    # Until TensorRT 10 an error has the node's number alone.
    named = f" ({error.node_operator()} '{error.node_name()}')" if hasattr(error, "node_name") else ""
    return f"node {error.node()}{named}: {error.desc()}"


def _require_shapes(order: Order, network: tensorrt.INetworkDefinition) -> None:
    tensors = [network.get_input(index) for index in range(network.num_inputs)]
    for tensor in tensors:
        shape = shape_of(tensor.shape)
        if not is_fixed(shape):
            raise CannotLoad(
                f"{order.path}: the shape of '{tensor.name}' is not fixed ({shown(shape)}). Export with fixed shapes, "
                "or fix the inputs: python -m onnxruntime.tools.make_dynamic_shape_fixed --input_name "
                f"{tensor.name} --input_shape 1,... from.onnx to.onnx"
            )
        if tensor.name in order.shapes and order.shapes[tensor.name] != shape:
            asked = shown(order.shapes[tensor.name])
            raise CannotLoad(f"{order.path}: input '{tensor.name}' is {shown(shape)}, the workload's is {asked}")
    if order.shapes and (wrong := {tensor.name for tensor in tensors} ^ set(order.shapes)):
        has = ", ".join(tensor.name for tensor in tensors)
        raise CannotLoad(f"{order.path} has the inputs {has}; it and the workload differ in {', '.join(sorted(wrong))}")


def _require_precision(library: Library, order: Order, network: tensorrt.INetworkDefinition) -> None:
    """A strongly typed network computes in the file's types: one without any of the precision would run in FP32."""
    trt = library.trt
    wanted = {"fp16": trt.DataType.HALF, "int8": trt.DataType.INT8}.get(order.precision)
    if wanted is None or wanted in _types(network):
        return
    raise CannotLoad(
        f"{order.path} has no {order.precision} in it, and TensorRT {library.version} computes in the file's types: "
        "it would run in FP32. Give a file of that precision (fp16: half-precision tensors, int8: Q/DQ pairs)"
    )


def _types(network: tensorrt.INetworkDefinition) -> set[Any]:
    layers = [network.get_layer(index) for index in range(network.num_layers)]
    return {layer.get_output(index).dtype for layer in layers for index in range(layer.num_outputs)}
