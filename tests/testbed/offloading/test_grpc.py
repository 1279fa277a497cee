"""The protocol over gRPC: our client and our service, and NVIDIA's client against the service."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest

from testbed.agent.clock import MonotonicClock
from testbed.agent.contract import Model, TargetFailed, Tensors
from testbed.agent.targets.failures import RequestRefused
from testbed.agent.targets.kserve import RemoteSession, RemoteTarget
from testbed.agent.targets.kserve_grpc import NoGrpc
from testbed.agent.targets.terms import Terms
from testbed.agent.tensors import MalformedTensor
from testbed.agent.tensors_grpc import put, take
from testbed.serve import Engine, TensorSpec
from testbed.serve.gate import Gate
from testbed.serve.grpc_service import GrpcService
from testbed.serve.protocol import Models
from tests.testbed.offloading.conftest import Authority
from tests.testbed.offloading.test_remote_kserve import free_port

triton = pytest.importorskip("tritonclient.grpc", reason="needs tritonclient[grpc]")
pb = triton.service_pb2

INPUT: dict[str, Any] = {"x": np.array([[1.5, -2.0]], np.float32)}


class Doubling:
    platform = "test"
    inputs = (TensorSpec("x", "FP32", (-1, 2)),)
    outputs = (TensorSpec("y", "FP32", (-1, 2)), TensorSpec("z", "FP32", (1,)))

    def infer(self, inputs: Tensors) -> Any:
        if inputs["x"][0, 0] < 0:
            raise RuntimeError("negative")
        rows = 2 if inputs["x"][0, 0] == 7 else 1  # seven makes it break its promise
        return {"y": 2 * inputs["x"], "z": np.zeros(rows, np.float32)}


@contextmanager
def service(engine: Engine | None = None, **options: Any) -> Iterator[GrpcService]:
    models = Models({"net-fp32": engine or Doubling()}, Gate(2, 2), {"net-fp32": "3"})
    arguments = {"request_bytes": 1 << 16, "calls": 4, **options}
    with GrpcService(models, "127.0.0.1", 0, **arguments) as running:
        yield running


def session(url: str, terms: Terms | None = None, timeout_s: float = 10.0) -> RemoteSession:
    return RemoteTarget(url, MonotonicClock(), timeout_s, terms).load(Model("net", {}, 0, {}, []), "fp32")


@pytest.mark.parametrize("compress", [None, "gzip", "deflate"])
def test_outputs_and_spans(compress: Any) -> None:
    with service() as running:
        remote = session(running.url, Terms(compress=compress))
        remote.warm([INPUT])
        result = remote.run(INPUT)
        remote.close()
    np.testing.assert_array_equal(result.outputs["y"], [[3.0, -4.0]])
    names = [span.name for span in result.spans if span.name != "wait"]
    assert names == ["encode", "transmit", "compute", "receive"]
    assert result.spans[0].start_ns == result.start_ns
    assert all(a.end_ns == b.start_ns for a, b in zip(result.spans, result.spans[1:], strict=False))
    assert result.spans[-1].end_ns <= result.end_ns


def test_refusals_name_the_model() -> None:
    with service() as running:
        with pytest.raises(RequestRefused, match="NOT_FOUND model 'other' is not served"):
            session(running.url, Terms(names={"net-fp32": "other"})).warm([INPUT])
        with pytest.raises(RequestRefused, match="has no input 'image', it takes x"):
            session(running.url).warm([{"image": INPUT["x"]}])
        with pytest.raises(TargetFailed, match="INTERNAL model 'net-fp32' failed: negative"):
            session(running.url).run({"x": -INPUT["x"]})
        remote = session(running.url)
        remote.warm([INPUT])
        with pytest.raises(TargetFailed, match=r"output 'z' came as FP32 \[2\]"):
            remote.run({"x": np.array([[7.0, 0.0]], np.float32)})
        with pytest.raises(TargetFailed, match="RESOURCE_EXHAUSTED"):
            remote.run({"x": np.zeros((1 << 14, 2), np.float32)})
        assert remote.run(INPUT).outputs["y"].shape == (1, 2)
        remote.close()


def test_a_token_and_a_certificate(authority: Authority) -> None:
    with service(token="s3cret", certificate_and_key=(authority.certificate, authority.key)) as running:
        assert running.url.startswith("grpcs://")
        remote = session(running.url, Terms(token="s3cret", ca_pem=authority.ca_pem))
        remote.warm([INPUT])
        assert remote.run(INPUT).outputs["y"].shape == (1, 2)
        remote.close()
        with pytest.raises(RequestRefused, match="token_file or token_env"):
            session(running.url, Terms(ca_pem=authority.ca_pem)).warm([INPUT])


def test_a_stranger_is_not_trusted(authority: Authority) -> None:
    with (
        service(certificate_and_key=(authority.certificate, authority.key)) as running,
        pytest.raises(RequestRefused, match="`ca_file`"),
    ):
        session(running.url).warm([INPUT])


def test_nobody_there() -> None:
    with pytest.raises(TargetFailed, match=r"net-fp32 at grpc://.* after \d"):
        session(f"grpc://127.0.0.1:{free_port()}", Terms(retries=1), timeout_s=2.0).run(INPUT)


def test_a_server_that_hangs(hanging: str) -> None:
    with pytest.raises(TargetFailed, match="no answer in time"):
        session(hanging, timeout_s=0.2).run(INPUT)


@pytest.fixture
def hanging() -> Iterator[str]:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as listener:  # connects, and never says a word
        yield f"grpc://127.0.0.1:{listener.getsockname()[1]}"


def test_a_board_without_grpc_is_told_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tritonclient.grpc", None)
    with pytest.raises(NoGrpc, match=r"pip install 'tritonclient\[grpc\]'` on the board, or .* http:// url"):
        session("grpc://127.0.0.1:1")
    with pytest.raises(ValueError, match="or leave --grpc-port out"), service():
        pass


def test_the_network_is_not_let_in_without_a_token() -> None:
    with pytest.raises(ValueError, match="whole network in"):
        GrpcService(Models({}, Gate(1, 1), {}), "0.0.0.0", 0, 1 << 16, 1)


def test_a_port_that_is_taken() -> None:
    with service() as running:
        port = int(running.url.rpartition(":")[2])
        with pytest.raises(OSError, match=f"{port} cannot be listened at"):
            GrpcService(Models({}, Gate(1, 1), {}), "127.0.0.1", port, 1 << 16, 1)


def test_nvidias_client_finds_its_way() -> None:
    with service() as running:
        client = triton.InferenceServerClient(running.url.removeprefix("grpc://"))
        assert client.is_server_live()
        assert client.is_server_ready()
        assert client.is_model_ready("net-fp32")
        assert not client.is_model_ready("nothing")
        assert "binary_tensor_data" in client.get_server_metadata().extensions
        metadata = client.get_model_metadata("net-fp32")
        assert (list(metadata.versions), list(metadata.inputs[0].shape)) == (["3"], [-1, 2])
        given = triton.InferInput("x", [1, 2], "FP32")
        given.set_data_from_numpy(INPUT["x"])
        wanted = [triton.InferRequestedOutput("y")]
        result = client.infer("net-fp32", [given], outputs=wanted, request_id="42")
        assert result.get_response().id == "42"
        np.testing.assert_array_equal(result.as_numpy("y"), [[3.0, -4.0]])
        assert result.as_numpy("z") is None
        for name, outputs in (("other", wanted), ("net-fp32", [triton.InferRequestedOutput("none")])):
            with pytest.raises(triton.InferenceServerException, match=r"not served here|no output \['none'\]"):
                client.infer(name, [given], outputs=outputs)
        (counted,) = client.get_inference_statistics("net-fp32").model_stats
        assert (counted.inference_count, counted.inference_stats.fail.count) == (1, 1)
        assert [each.name for each in client.get_model_repository_index().models] == ["net-fp32"]
        client.close()


def test_typed_contents_are_as_good_as_raw_bytes() -> None:
    message = pb.ModelInferResponse()
    message.outputs.add(name="a", datatype="INT64", shape=[2]).contents.int64_contents.extend([1, -2])
    message.outputs.add(name="b", datatype="BYTES", shape=[1]).contents.bytes_contents.append(b"cat")
    tensors = take(message.outputs, message.raw_output_contents)
    np.testing.assert_array_equal(tensors["a"], [1, -2])
    assert tensors["b"].tolist() == [b"cat"]
    again = pb.ModelInferResponse()
    put(tensors, again.outputs, again.raw_output_contents)
    assert take(again.outputs, again.raw_output_contents)["b"].tolist() == [b"cat"]


@pytest.mark.parametrize(
    ("datatype", "shape", "raw", "named"),
    [
        ("FP32", [2], [b"1234"], "needs 8 bytes"),
        ("FP32", [1], [b"1234", b"5678"], "1 tensors come with the bytes of 2"),
        ("FP16", [1], [], "do not fit"),
        ("FP99", [1], [], "FP99"),
    ],
)
def test_messages_that_do_not_fit_are_refused(datatype: str, shape: list[int], raw: list[bytes], named: str) -> None:
    message = pb.ModelInferResponse(raw_output_contents=raw)
    message.outputs.add(name="a", datatype=datatype, shape=shape)
    with pytest.raises(MalformedTensor, match=named):
        take(message.outputs, message.raw_output_contents)
