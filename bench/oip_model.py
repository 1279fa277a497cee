"""The model that the figures of remote inference share: a large request, a small reply, next to nothing to compute."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper

SHAPE = (1, 3, 224, 224)
NAME = "mean-fp32"


def save(path: Path) -> None:
    """The mean colour of an image of 602,112 bytes."""
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, SHAPE)
    mean = helper.make_tensor_value_info("mean", TensorProto.FLOAT, SHAPE[:2])
    node = helper.make_node("ReduceMean", ["image"], ["mean"], axes=[2, 3], keepdims=0)
    graph = helper.make_graph([node], "mean", [image], [mean])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)


def image(seed: int = 1) -> NDArray[np.float32]:
    """One input."""
    return np.random.default_rng(seed).random(SHAPE, dtype=np.float32)
