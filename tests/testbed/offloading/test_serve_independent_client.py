"""An independent client finds its way: NVIDIA's own."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from testbed.serve import InferenceServer

tritonclient = pytest.importorskip("tritonclient.http", reason="needs tritonclient[http]")

DTYPES = {"fp32": "FP32", "fp16": "FP16", "int8": "INT8", "uint8": "UINT8", "int64": "INT64"}


@pytest.fixture
def client(server: InferenceServer) -> Iterator[Any]:
    triton = tritonclient.InferenceServerClient(server.url.removeprefix("http://"))
    yield triton
    triton.close()


def test_it_reads_health_and_metadata(client: Any) -> None:
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready("echo-fp32")
    assert not client.is_model_ready("nothing")
    assert "binary_tensor_data" in client.get_server_metadata()["extensions"]
    assert client.get_model_metadata("mean-fp32")["inputs"][0]["shape"] == [1, 3, 224, 224]


@pytest.mark.parametrize("binary_in", [True, False])
@pytest.mark.parametrize("binary_out", [True, False])
def test_it_infers(client: Any, binary_in: bool, binary_out: bool) -> None:
    tensors = {name: np.array([[1, 2], [3, 4]], np.dtype(name.replace("fp", "float"))) for name in DTYPES}
    inputs, outputs = [], []
    for name, datatype in DTYPES.items():
        as_input = tritonclient.InferInput(f"{name}_in", [2, 2], datatype)
        as_input.set_data_from_numpy(tensors[name], binary_data=binary_in or name == "fp16")
        inputs.append(as_input)
        outputs.append(tritonclient.InferRequestedOutput(f"{name}_out", binary_data=binary_out or name == "fp16"))
    result = client.infer("echo-fp32", inputs, outputs=outputs, request_id="42")
    assert result.get_response()["id"] == "42"
    for name, tensor in tensors.items():
        received = result.as_numpy(f"{name}_out")
        assert received.dtype == tensor.dtype
        np.testing.assert_array_equal(received, tensor)


def test_it_reads_the_error(client: Any) -> None:
    with pytest.raises(Exception, match="model 'nothing' is not served here"):
        client.infer("nothing", [])
