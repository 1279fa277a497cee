"""What the tests of the TensorRT backend are made of."""

from __future__ import annotations

import platform
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

WHEELS = Path(sys.prefix) / "tensorrt-bindings"
LIBRARIES = ("nvinfer", "nvonnxparser", "nvparsers", "nvinfer_plugin")
NEWEST_PYTHON_OF_8 = (3, 11)
SHAPE = (1, 3, 8, 8)
"""of the input of `save`'s network"""


def shared_library(source: Path, made: Path) -> Path:
    """Compile C into a library that is found by its own name."""
    if shutil.which("cc") is None:
        pytest.skip("no C compiler: install gcc")
    flags = ["-shared", "-fPIC", "-Wall", "-Wextra", "-Werror", f"-Wl,-soname,{made.name}"]
    subprocess.run(["cc", *flags, "-o", str(made), str(source)], check=True)
    return made


def lay_out_bindings(version: str, library: Path, folder: Path) -> Path:
    """The real Python bindings of a version as `tensorrt`, with `library` for each that they look for beside them."""
    if platform.machine() != "x86_64":
        pytest.skip(f"the bindings of TensorRT {version} on PyPI that are checked are those for x86-64")
    if version.startswith("8.") and sys.version_info[:2] > NEWEST_PYTHON_OF_8:
        pytest.skip(f"TensorRT {version} has no bindings for a Python newer than 3.11")
    wheels = list(WHEELS.glob(f"tensorrt*bindings-{version}-*.whl"))
    assert wheels, f"no bindings of TensorRT {version} in {WHEELS}: rm .venv/.tensorrt and make .venv/.develop"
    with zipfile.ZipFile(wheels[0]) as wheel:
        wheel.extractall(folder)
    (folder / "tensorrt").symlink_to("tensorrt_bindings")
    major = version.partition(".")[0]
    for name in LIBRARIES:
        shutil.copy(library, folder / f"lib{name}.so.{major}")
    return folder


def save(path: Path, operator: str = "Relu", batch: int | str = 1) -> Path:
    """A convolution and something behind it, float32 [batch, 3, 8, 8] to [batch, 4, 6, 6]."""
    weights = np.random.default_rng(0).standard_normal((4, 3, 3, 3)).astype(np.float32)
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["c"], name="conv"),
        helper.make_node(operator, ["c"], ["y"], name="behind"),
    ]
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [batch, 3, 8, 8])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, [batch, 4, 6, 6])
    graph = helper.make_graph(nodes, "g", [x], [y], [numpy_helper.from_array(weights, "w")])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), str(path))
    return path


def photos(count: int) -> list[dict[str, np.ndarray]]:
    """Inputs of `save`'s network."""
    random = np.random.default_rng(1)
    return [{"x": random.standard_normal((1, 3, 8, 8)).astype(np.float32)} for _ in range(count)]
