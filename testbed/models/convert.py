"""From the FP32 graph to the other precisions.

fp16  weights and arithmetic in half precision; inputs and outputs keep their types.
int8  quantised for ONNX Runtime: uint8 activations, int8 weights by output channel. Quantisation is static: the range
      of each activation is the least and greatest value seen over calibration inputs, and is written into the file
      as QuantizeLinear / DequantizeLinear pairs.
      There are two such files. ONNX Runtime has fast kernels for uint8 activations beside int8 weights. TensorRT
      takes int8 alone, symmetric about 0, reads weights as floats with a pair of their own, and wants biases as
      floats ("Working with Quantized Types", NVIDIA TensorRT documentation); on x86 ONNX Runtime is about half as
      fast with it.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import onnx
from onnx import TensorProto
from onnxconverter_common.float16 import convert_float_to_float16
from onnxruntime.quantization import (
    CalibrationDataReader,
    CalibrationMethod,
    QuantFormat,
    QuantType,
    quantize_static,
)

from testbed.agent.contract import Tensors

FP16_MAX = 65504.0


def to_fp16(source: Path, destination: Path) -> None:
    """Write the half-precision form of `source`. Numbers below FP16's least become 0."""
    model = onnx.load(str(source))
    casts = {node.name for node in model.graph.node if node.op_type == "Cast"}
    half = convert_float_to_float16(model, keep_io_types=True, min_positive_val=0.0, max_finite_val=FP16_MAX)
    for node in half.graph.node:
        if node.name in casts:  # the converter changes what a Cast's output is declared to be, not what it is cast to
            node.attribute[0].i = TensorProto.FLOAT16
    onnx.save(half, str(destination))


def to_int8(source: Path, destination: Path, operators: Sequence[str], calibration: Sequence[Tensors]) -> None:
    """Write the quantised form of `source` for ONNX Runtime: nodes of `operators`, ranges from `calibration`."""
    _quantise(source, destination, operators, calibration, QuantType.QUInt8, {})


def to_int8_symmetric(
    source: Path, destination: Path, operators: Sequence[str], calibration: Sequence[Tensors]
) -> None:
    """Write the quantised form of `source` for TensorRT: every zero point is 0, weights and biases stay floats.

    Of the `operators` the inputs are quantised, and not the outputs: a pair between a convolution and its activation
    would keep TensorRT from fusing them.
    """
    options: dict[str, object] = {
        "ActivationSymmetric": True,
        "WeightSymmetric": True,
        "AddQDQPairToWeight": True,
        "QuantizeBias": False,
        "OpTypesToExcludeOutputQuantization": list(operators),
    }
    _quantise(source, destination, operators, calibration, QuantType.QInt8, options)


def _quantise(
    source: Path,
    destination: Path,
    operators: Sequence[str],
    calibration: Sequence[Tensors],
    activations: QuantType,
    options: dict[str, object],
) -> None:
    with _quiet():
        quantize_static(
            str(source),
            str(destination),
            _Calibration(calibration),
            quant_format=QuantFormat.QDQ,
            per_channel=True,
            activation_type=activations,
            weight_type=QuantType.QInt8,
            op_types_to_quantize=list(operators),
            calibrate_method=CalibrationMethod.MinMax,
            extra_options=options,
        )


class _Calibration(CalibrationDataReader):  # type: ignore[misc]  # onnxruntime is untyped
    def __init__(self, inputs: Sequence[Tensors]) -> None:
        self._inputs = iter(inputs)

    def get_next(self) -> dict[str, object] | None:
        tensors = next(self._inputs, None)
        return None if tensors is None else dict(tensors)


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep onnxruntime off the root logger: its advice to fold batch normalisation first is beside the point here.

    The null handler keeps `logging.warning` from setting up handlers of its own on a root logger that has none.
    """
    root, silent = logging.getLogger(), logging.NullHandler()

    def advice(record: logging.LogRecord) -> bool:
        return "pre-processing before quantization" not in record.getMessage()

    root.addHandler(silent)
    root.addFilter(advice)
    try:
        yield
    finally:
        root.removeFilter(advice)
        root.removeHandler(silent)
