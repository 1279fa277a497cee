"""Models that carry bytes and compute next to nothing: some take many and give few, others take few and give many.

What an inference of them costs is the radio's, so its powers can be told apart.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

import onnx
from onnx import TensorProto, helper

from testbed.calibrate.design import TRANSFER_BYTES, UPLOADS
from testbed.models import onnx_file
from testbed.models.cache import Artifact, Cache
from testbed.models.onnx_file import TensorSpec

_FLOAT_BYTES = 4
_OPSET = 17
_IR_VERSION = 8


def prepare(name: str, cache: Path | None = None) -> tuple[Artifact, tuple[TensorSpec, ...]]:
    """The file of a transfer, and what it takes."""
    made = Cache(cache).get(name, ".onnx", {"transfer": name, "version": 1}, partial(_build, name))
    return made, onnx_file.read(made.path).inputs


def _build(name: str, path: Path) -> None:
    elements = TRANSFER_BYTES[name] // _FLOAT_BYTES
    takes, gives = (elements, 1) if name in UPLOADS else (1, elements)
    taken = helper.make_tensor_value_info("taken", TensorProto.FLOAT, [takes])
    given = helper.make_tensor_value_info("given", TensorProto.FLOAT, [gives])
    nodes, constants = [helper.make_node("ReduceMax", ["taken"], ["given"], axes=[0], keepdims=1)], []
    if name not in UPLOADS:
        nodes = [helper.make_node("Expand", ["taken", "shape"], ["given"])]
        constants = [helper.make_tensor("shape", TensorProto.INT64, [1], [gives])]
    graph = helper.make_graph(nodes, name, [taken], [given], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", _OPSET)], ir_version=_IR_VERSION)
    onnx.save(model, path)
