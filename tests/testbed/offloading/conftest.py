"""Small ONNX models behind a real server, and a program to start."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import pytest
import trustme
from onnx import TensorProto, helper

from testbed.agent.contract import Model
from testbed.serve import InferenceServer, Limits, OnnxEngine

TYPES = {
    "fp32": TensorProto.FLOAT,
    "fp16": TensorProto.FLOAT16,
    "int8": TensorProto.INT8,
    "uint8": TensorProto.UINT8,
    "int64": TensorProto.INT64,
}


def _save(path: Path, nodes: list[onnx.NodeProto], inputs: dict, outputs: dict) -> Path:
    def values(specs: dict) -> list[onnx.ValueInfoProto]:
        return [helper.make_tensor_value_info(name, *spec) for name, spec in specs.items()]

    graph = helper.make_graph(nodes, "g", values(inputs), values(outputs))
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return path


@pytest.fixture(scope="session")
def echo_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One input of each datatype that models take, and each of them as an output."""
    nodes = [helper.make_node("Identity", [f"{name}_in"], [f"{name}_out"]) for name in TYPES]
    inputs = {f"{name}_in": (element, ["n", 2]) for name, element in TYPES.items()}
    outputs = {f"{name}_out": (element, ["n", 2]) for name, element in TYPES.items()}
    return _save(tmp_path_factory.mktemp("models") / "echo.onnx", nodes, inputs, outputs)


@pytest.fixture(scope="session")
def mean_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The mean colour of an image: a large request, a small reply."""
    node = helper.make_node("ReduceMean", ["image"], ["mean"], axes=[2, 3], keepdims=0)
    inputs = {"image": (TensorProto.FLOAT, [1, 3, 224, 224])}
    return _save(tmp_path_factory.mktemp("models") / "mean.onnx", [node], inputs, {"mean": (TensorProto.FLOAT, [1, 3])})


@pytest.fixture(scope="session")
def engines(echo_path: Path, mean_path: Path) -> dict[str, OnnxEngine]:
    return {"echo-fp32": OnnxEngine(echo_path, threads=1), "mean-fp32": OnnxEngine(mean_path, threads=1)}


@pytest.fixture
def server(engines: dict[str, OnnxEngine]) -> Iterator[InferenceServer]:
    with InferenceServer(engines, limits=Limits(request_bytes=1 << 20)) as running:
        yield running


@pytest.fixture
def mean_model() -> Model:
    rng = np.random.default_rng(5)
    images = [{"image": rng.random((1, 3, 224, 224), dtype=np.float32)} for _ in range(2)]
    return Model("mean", {}, 0, {}, images)


Program = Callable[..., AbstractContextManager[tuple[subprocess.Popen[bytes], str]]]


@pytest.fixture
def program() -> Program:
    @contextmanager
    def start(module: str, *arguments: str) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
        process = subprocess.Popen(
            [sys.executable, "-W", "error", "-m", module, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        assert process.stdin is not None
        assert process.stdout is not None
        with process.stdin, process.stdout:
            try:
                yield process, json.loads(process.stdout.readline())["url"]
            finally:
                process.kill()
                process.wait()

    return start


@dataclass(frozen=True)
class Authority:
    """A CA made for a test, and a certificate it gave to "localhost" and 127.0.0.1."""

    ca_pem: str
    certificate: Path
    key: Path


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    folder = tmp_path_factory.mktemp("tls")
    ca = trustme.CA()
    issued = ca.issue_cert("localhost", "127.0.0.1")
    issued.private_key_pem.write_to_path(folder / "key.pem")
    for i, blob in enumerate(issued.cert_chain_pems):
        blob.write_to_path(folder / "certificate.pem", append=i > 0)
    return Authority(ca.cert_pem.bytes().decode(), folder / "certificate.pem", folder / "key.pem")
