"""The board's client against servers in health, dead, silent, slow and talking nonsense."""

from __future__ import annotations

import itertools
import json
import logging
import shutil
import socket
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from testbed.agent.clock import MonotonicClock
from testbed.agent.contract import Model, Session, TargetFailed, Tensors
from testbed.agent.targets.failures import RequestRefused
from testbed.agent.targets.kserve import RemoteTarget
from testbed.agent.targets.kserve_http import encode_request
from testbed.agent.targets.terms import served_name
from testbed.agent.tensors import encode_binary, join
from testbed.serve import InferenceServer, TensorSpec

PATIENCE_S = 0.2
PARTS = ["encode", "transmit", "compute", "receive"]


def session(url: str, model: Model, timeout_s: float = 10.0, precision: str = "fp32") -> Session:
    return RemoteTarget(url, MonotonicClock(), timeout_s).load(model, precision)


def test_outputs_and_spans(server: InferenceServer, mean_model: Model) -> None:
    remote = session(server.url, mean_model)
    clock = MonotonicClock()
    for tensors in mean_model.inputs:
        before_ns = clock.now_ns()
        result = remote.run(tensors)
        np.testing.assert_allclose(result.outputs["mean"], tensors["image"].mean((2, 3)), rtol=1e-5)
        assert [span.name for span in result.spans if span.name != "wait"] == PARTS
        times = [before_ns, result.start_ns, *(span.end_ns for span in result.spans), result.end_ns, clock.now_ns()]
        assert times == sorted(times)
        starts = [span.start_ns for span in result.spans]
        assert starts == [result.start_ns, *(span.end_ns for span in result.spans[:-1])]
    remote.close()


def test_every_datatype_a_model_takes(server: InferenceServer) -> None:
    dtypes = {"fp32": "f4", "fp16": "f2", "int8": "i1", "uint8": "u1", "int64": "i8"}
    inputs = {f"{name}_in": np.arange(6).reshape(3, 2).astype(dtype) for name, dtype in dtypes.items()}
    remote = session(server.url, Model("echo", {}, 0, {}, [inputs]))
    outputs = remote.run(inputs).outputs
    remote.close()
    for name, dtype in dtypes.items():
        assert outputs[f"{name}_out"].dtype == np.dtype(dtype)
        np.testing.assert_array_equal(outputs[f"{name}_out"], inputs[f"{name}_in"])


class Counting:
    """Remembers what it is asked."""

    platform = "test"
    inputs = (TensorSpec("x", "INT8", (1,)),)
    outputs = (TensorSpec("x", "INT8", (1,)),)

    def __init__(self) -> None:
        self.asked: list[int] = []

    def infer(self, inputs: Tensors) -> Any:
        self.asked.append(int(inputs["x"][0]))
        if inputs["x"][0] < 0:
            raise RuntimeError("negative")
        return inputs


def small(value: int) -> dict[str, Any]:
    return {"x": np.array([value], np.int8)}


def test_the_precision_chooses_the_model_and_warming_sends_each_input_once() -> None:
    full, quantised = Counting(), Counting()
    model = Model("net", {}, 0, {}, [small(1), small(2), small(3)])
    assert served_name("net", "int8") == "net-int8"
    with InferenceServer({"net-fp32": full, "net-int8": quantised}) as server:
        remote = session(server.url, model, precision="int8")
        remote.warm(model.inputs)
        remote.close()
    assert (full.asked, quantised.asked) == ([], [1, 2, 3])


def test_a_model_not_served_is_the_persons_to_mend(server: InferenceServer, mean_model: Model) -> None:
    remote = session(server.url, mean_model, precision="int4")
    with pytest.raises(RequestRefused, match="'mean-int4' is not served here"):
        remote.warm(mean_model.inputs)
    with pytest.raises(TargetFailed, match="mean-int4"):
        remote.run(mean_model.inputs[0])
    remote.close()


def test_a_server_in_trouble_gives_no_answer_and_serves_on() -> None:
    with InferenceServer({"net-fp32": Counting()}) as server:
        remote = session(server.url, Model("net", {}, 0, {}, []))
        with pytest.raises(TargetFailed, match="500 model 'net-fp32' failed: negative"):
            remote.run(small(-1))
        assert remote.run(small(4)).outputs["x"][0] == 4
        remote.close()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def test_a_dead_server(mean_model: Model, caplog: pytest.LogCaptureFixture) -> None:
    remote = session(f"http://127.0.0.1:{free_port()}", mean_model)
    with pytest.raises(TargetFailed, match=r"refused, after \d+\.\d+ s"):
        remote.run(mean_model.inputs[0])
    with caplog.at_level(logging.WARNING):
        remote.warm(mean_model.inputs)  # an outcome of the run, not of the warming
    assert "not warmed" in caplog.text
    remote.close()


def test_a_server_that_dies_and_comes_back(mean_model: Model, engines: dict[str, Any]) -> None:
    with InferenceServer(engines) as first:
        port = int(first.url.rpartition(":")[2])
        remote = session(first.url, mean_model)
        remote.run(mean_model.inputs[0])
    with pytest.raises(TargetFailed, match="refused"):
        remote.run(mean_model.inputs[0])
    with InferenceServer(engines, port=port):
        assert remote.run(mean_model.inputs[0]).outputs["mean"].shape == (1, 3)
        remote.close()


Talk = Callable[[socket.socket, int], None]


@contextmanager
def scripted(talk: Talk) -> Iterator[tuple[str, list[int]]]:
    """A server that does what `talk` does with each connection, given its number; yields the numbers as they come."""
    served: list[int] = []

    def serve() -> None:
        for number in itertools.count():
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            served.append(number)
            with connection:
                try:
                    talk(connection, number)
                except OSError:
                    continue  # the client left first

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}", served
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()


def read_request(connection: socket.socket) -> None:
    """Whole, as one that says how long it is."""
    reader = connection.makefile("rb")
    length = 0
    while line := reader.readline().strip():
        if line.lower().startswith(b"content-length:"):
            length = int(line.split(b":")[1])
    reader.read(length)


def good_reply(request_id: str = "0", extra: bytes = b"") -> bytes:
    description, elements = encode_binary("x", np.array([1], np.int8))
    body, length = join({"id": request_id, "outputs": [description]}, [elements])
    head = f"HTTP/1.1 200 OK\r\nInference-Header-Content-Length: {length}\r\nContent-Length: {len(body)}\r\n"
    return head.encode() + extra + b"\r\n" + body


def test_a_kept_connection_gone_stale_is_opened_anew() -> None:
    def once_each(connection: socket.socket, number: int) -> None:
        read_request(connection)
        connection.sendall(good_reply(str(number)))

    with scripted(once_each) as (url, served):
        remote = session(url, Model("net", {}, 0, {}, []))
        assert [int(remote.run(small(1)).outputs["x"][0]) for _ in range(3)] == [1, 1, 1]
        remote.close()
    assert served == [0, 1, 2]


def test_a_connection_that_the_server_ends_is_not_kept() -> None:
    def once_each(connection: socket.socket, number: int) -> None:
        read_request(connection)
        connection.sendall(good_reply(str(number), extra=b"Connection: close\r\n"))

    with scripted(once_each) as (url, served):
        remote = session(url, Model("net", {}, 0, {}, []))
        remote.run(small(1))
        remote.run(small(1))
        remote.close()
    assert served == [0, 1]


def test_it_reconnects_once_and_no_more() -> None:
    def first_only(connection: socket.socket, number: int) -> None:
        read_request(connection)
        if number == 0:
            connection.sendall(good_reply())

    with scripted(first_only) as (url, served):
        remote = session(url, Model("net", {}, 0, {}, []))
        remote.run(small(1))
        with pytest.raises(TargetFailed):
            remote.run(small(1))
        remote.close()
    assert served == [0, 1]


def until_the_client_leaves(connection: socket.socket) -> None:
    while connection.recv(1 << 16):
        pass


def silent(connection: socket.socket, number: int) -> None:
    until_the_client_leaves(connection)


def trickling_head(connection: socket.socket, number: int) -> None:
    read_request(connection)
    connection.sendall(b"HTTP/1.1 200 OK\r\n")
    for _ in itertools.count():
        connection.sendall(b"X")
        threading.Event().wait(0.02)


def trickling_body(connection: socket.socket, number: int) -> None:
    read_request(connection)
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
    for _ in itertools.count():
        connection.sendall(b" ")
        threading.Event().wait(0.02)


@pytest.mark.parametrize("talk", [silent, trickling_head, trickling_body])
def test_no_whole_answer_in_time(talk: Talk, mean_model: Model) -> None:
    with scripted(talk) as (url, _):
        remote = session(url, mean_model, PATIENCE_S)
        with pytest.raises(TargetFailed, match=r"no answer in time, after \d"):
            remote.run(mean_model.inputs[0])
        remote.close()


def reply_of(*chunks: bytes) -> Talk:
    def talk(connection: socket.socket, number: int) -> None:
        read_request(connection)
        for chunk in chunks:
            connection.sendall(chunk)

    return talk


def http(body: bytes, *headers: str, status: str = "200 OK") -> bytes:
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


@pytest.mark.parametrize(
    ("reply", "named"),
    [
        (b"", "closed"),
        (b"no http at all\r\n\r\n", "no http"),
        (good_reply()[:-1], "IncompleteRead"),
        (good_reply("other"), "'other'"),
        (http(b"{"), "not JSON"),
        (http(b"[]"), "not a JSON object"),
        (http(b"{}"), "not a JSON array"),
        (http(json.dumps({"outputs": [{"name": "x"}]}).encode()), "datatype"),
        (http(b"{}", "Inference-Header-Content-Length: 9"), "in a body of 2 bytes"),
        (http(b"oops", status="503 Service Unavailable"), "503 Service Unavailable"),
    ],
)
def test_a_malformed_reply(reply: bytes, named: str) -> None:
    with scripted(reply_of(reply)) as (url, _):
        remote = session(url, Model("net", {}, 0, {}, []))
        with pytest.raises(TargetFailed, match=named):
            remote.run(small(1))
        remote.close()


def test_a_json_reply_is_as_good() -> None:
    output = {"name": "x", "datatype": "INT8", "shape": [1], "data": [5]}
    with scripted(reply_of(http(json.dumps({"outputs": [output]}).encode()))) as (url, _):
        remote = session(url, Model("net", {}, 0, {}, []))
        assert remote.run(small(1)).outputs["x"] == np.array([5], np.int8)
        remote.close()


@pytest.mark.skipif(shutil.which("openssl") is None, reason="needs openssl to make a certificate")
def test_https(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=localhost"
    names = ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out", str(certificate)]
    subprocess.run([*command.split(), *names], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)

    def talk(connection: socket.socket, number: int) -> None:
        with context.wrap_socket(connection, server_side=True) as secure:
            for request in itertools.count():
                read_request(secure)
                secure.sendall(good_reply(str(request)))

    with scripted(talk) as (url, served):
        remote = session(url.replace("http", "https"), Model("net", {}, 0, {}, []))
        with pytest.raises(TargetFailed, match="certificate"):
            remote.run(small(1))
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        remote = session(url.replace("http", "https"), Model("net", {}, 0, {}, []))
        assert [remote.run(small(1)).outputs["x"][0] for _ in range(2)] == [1, 1]
        remote.close()
    assert served == [0, 1]


def test_the_request_is_as_long_as_its_tensors_and_a_head() -> None:
    head, *tensors = encode_request({"image": np.zeros((1, 3, 224, 224), np.float32)})
    assert sum(map(len, tensors)) == 602_112
    assert json.loads(bytes(head))["parameters"] == {"binary_data_output": True}


@pytest.mark.parametrize("url", ["127.0.0.1:80", "ftp://host", "http://", "http://host/v2/models"])
def test_other_urls_are_refused(url: str) -> None:
    with pytest.raises(ValueError, match="http://host:port"):
        RemoteTarget(url, MonotonicClock(), 1.0)
