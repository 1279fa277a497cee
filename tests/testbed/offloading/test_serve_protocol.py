"""The server, byte by byte, as any client of the Open Inference Protocol meets it."""

from __future__ import annotations

import json
import socket
import struct
import threading
from collections.abc import Iterator, Mapping
from http.client import HTTPConnection
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pytest

from testbed.agent.contract import Tensors
from testbed.serve import InferenceServer, TensorSpec

Answer = tuple[int, Mapping[str, str], bytes]
LENGTH = "Inference-Header-Content-Length"


@pytest.fixture
def connection(server: InferenceServer) -> Iterator[HTTPConnection]:
    address = urlsplit(server.url)
    assert address.hostname is not None
    http = HTTPConnection(address.hostname, address.port, timeout=10)
    yield http
    http.close()


def ask(http: HTTPConnection, method: str, path: str, body: bytes | None = None, **headers: str) -> Answer:
    http.request(method, path, body, {name.replace("_", "-"): value for name, value in headers.items()})
    response = http.getresponse()
    return response.status, response.headers, response.read()


def ask_json(http: HTTPConnection, method: str, path: str, content: object = None) -> tuple[int, Any]:
    status, headers, body = ask(http, method, path, None if content is None else json.dumps(content).encode())
    assert headers["Content-Type"] == "application/json"
    return status, json.loads(body)


def echo_inputs() -> list[dict[str, Any]]:
    names = {"fp32": "FP32", "fp16": "FP16", "int8": "INT8", "uint8": "UINT8", "int64": "INT64"}
    return [
        {"name": f"{name}_in", "datatype": datatype, "shape": [1, 2], "data": [1, 2]}
        for name, datatype in names.items()
    ]


def test_health_and_metadata(connection: HTTPConnection) -> None:
    assert ask_json(connection, "GET", "/v2/health/live") == (200, {"live": True})
    assert ask_json(connection, "GET", "/v2/health/ready") == (200, {"ready": True})
    status, server = ask_json(connection, "GET", "/v2")
    assert status == 200
    assert server["extensions"] == ["binary_tensor_data", "jpeg_tensor_data", "statistics", "model_repository"]
    assert ask_json(connection, "GET", "/v2/models/mean-fp32/ready")[0] == 200
    status, model = ask_json(connection, "GET", "/v2/models/mean-fp32/versions/1")
    assert (status, model) == (
        200,
        {
            "name": "mean-fp32",
            "versions": ["1"],
            "platform": "onnxruntime_onnx",
            "inputs": [{"name": "image", "datatype": "FP32", "shape": [1, 3, 224, 224]}],
            "outputs": [{"name": "mean", "datatype": "FP32", "shape": [1, 3]}],
        },
    )
    assert ask_json(connection, "GET", "/v2/models/echo-fp32")[1]["inputs"][0]["shape"] == [-1, 2]


def test_json_in_json_out(connection: HTTPConnection) -> None:
    status, answer = ask_json(connection, "POST", "/v2/models/echo-fp32/infer", {"id": "7", "inputs": echo_inputs()})
    assert status == 200
    assert answer["id"] == "7"
    assert answer["model_name"] == "echo-fp32"
    outputs = {output["name"]: output for output in answer["outputs"]}
    assert set(outputs) == {"fp32_out", "fp16_out", "int8_out", "uint8_out", "int64_out"}
    assert outputs["int64_out"] == {"name": "int64_out", "datatype": "INT64", "shape": [1, 2], "data": [1, 2]}


def test_only_the_outputs_asked_for_and_no_id_unasked(connection: HTTPConnection) -> None:
    request = {"inputs": echo_inputs(), "outputs": [{"name": "int8_out"}]}
    status, answer = ask_json(connection, "POST", "/v2/models/echo-fp32/versions/1/infer", request)
    assert status == 200
    assert [output["name"] for output in answer["outputs"]] == ["int8_out"]
    assert "id" not in answer


def test_binary_in_binary_out(connection: HTTPConnection) -> None:
    inputs = echo_inputs()
    del inputs[0]["data"]
    inputs[0]["parameters"] = {"binary_data_size": 8}
    request = {
        "inputs": inputs,
        "outputs": [
            {"name": "uint8_out", "parameters": {"binary_data": True}},
            {"name": "int8_out"},
            {"name": "fp32_out", "parameters": {"binary_data": True}},
        ],
    }
    head = json.dumps(request).encode()
    body = head + struct.pack("<ff", 1.5, -2.5)
    headers = {"Inference_Header_Content_Length": str(len(head))}
    status, received, reply = ask(connection, "POST", "/v2/models/echo-fp32/infer", body, **headers)
    assert status == 200
    assert received["Content-Type"] == "application/octet-stream"
    length = int(received[LENGTH])
    outputs = json.loads(reply[:length])["outputs"]
    assert [output.get("parameters") for output in outputs] == [
        {"binary_data_size": 2},
        None,
        {"binary_data_size": 8},
    ]
    assert outputs[1]["data"] == [1, 2]
    assert reply[length:] == b"\x01\x02" + struct.pack("<ff", 1.5, -2.5)


def test_binary_data_output_asks_for_all_outputs(connection: HTTPConnection) -> None:
    request = {"inputs": echo_inputs(), "parameters": {"binary_data_output": True}}
    body = json.dumps(request).encode()
    _, headers, reply = ask(connection, "POST", "/v2/models/echo-fp32/infer", body)
    outputs = json.loads(reply[: int(headers[LENGTH])])["outputs"]
    assert all("data" not in output for output in outputs)
    assert sum(output["parameters"]["binary_data_size"] for output in outputs) == len(reply) - int(headers[LENGTH])


def test_a_connection_serves_many_requests_and_its_delay_is_off(connection: HTTPConnection) -> None:
    ask(connection, "GET", "/v2/health/live")
    first = connection.sock
    status, answer = ask_json(connection, "POST", "/v2/models/nothing/infer", {})
    assert status == 404
    assert "nothing" in answer["error"]
    assert ask_json(connection, "POST", "/v2/models/echo-fp32/infer", {"inputs": echo_inputs()})[0] == 200
    assert connection.sock is first


@pytest.mark.parametrize(
    ("request_", "named"),
    [
        ({}, "tensors are not"),
        ({"inputs": []}, "fp32_in"),
        ({"inputs": echo_inputs()[1:]}, "fp32_in"),
        ({"inputs": [{**echo_inputs()[0], "shape": [2, 1]}, *echo_inputs()[1:]]}, r"FP32 [-1, 2]"),
        ({"inputs": [{**echo_inputs()[0], "datatype": "FP64"}, *echo_inputs()[1:]]}, "FP64 [1, 2]"),
        ({"inputs": echo_inputs(), "outputs": [{"name": "none"}]}, "no output 'none'"),
        ({"inputs": echo_inputs(), "id": 7}, "id is not a string"),
        ({"inputs": echo_inputs(), "parameters": {"binary_data_output": 1}}, "binary_data_output"),
    ],
)
def test_requests_that_do_not_fit_get_400(connection: HTTPConnection, request_: object, named: str) -> None:
    status, answer = ask_json(connection, "POST", "/v2/models/echo-fp32/infer", request_)
    assert status == 400
    assert named in answer["error"]


def test_other_refusals_are_json_too(connection: HTTPConnection) -> None:
    assert ask_json(connection, "GET", "/v2/models/echo-fp32/versions/2")[0] == 404
    assert ask_json(connection, "GET", "/elsewhere")[0] == 404
    assert ask_json(connection, "GET", "/v2/models/echo-fp32/infer")[0] == 405
    assert ask_json(connection, "POST", "/v2/models/echo-fp32", {})[0] == 405
    assert ask_json(connection, "DELETE", "/v2")[0] == 501
    status, _, body = ask(connection, "POST", "/v2/models/echo-fp32/infer", b"{", Content_Encoding="gzip")
    assert status == 415
    assert "error" in json.loads(body)


def test_a_request_over_the_bound_is_refused_unread(server: InferenceServer) -> None:
    address = urlsplit(server.url)
    with socket.create_connection((address.hostname, address.port), 10) as raw:
        raw.sendall(b"POST /v2/models/echo-fp32/infer HTTP/1.1\r\nHost: x\r\nContent-Length: 1048577\r\n\r\n")
        reply = raw.makefile("rb").read()
    assert reply.startswith(b"HTTP/1.1 413 ")
    assert b"Connection: close" in reply
    assert b'{"error": ' in reply


@pytest.mark.parametrize("head", [b"NONSENSE\r\n\r\n", b"GET /v2 HTTP/9\r\n\r\n", b"\x00\xff\r\n\r\n"])
def test_what_is_not_http_gets_an_error_and_is_hung_up_on(server: InferenceServer, head: bytes) -> None:
    address = urlsplit(server.url)
    with socket.create_connection((address.hostname, address.port), 10) as raw:
        raw.sendall(head)
        assert b'{"error": ' in raw.makefile("rb").read()


def test_a_body_without_a_length_is_refused(server: InferenceServer) -> None:
    address = urlsplit(server.url)
    with socket.create_connection((address.hostname, address.port), 10) as raw:
        raw.sendall(b"POST /v2/models/echo-fp32/infer HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n")
        assert raw.makefile("rb").read().startswith(b"HTTP/1.1 411 ")


class Fickle:
    """Fails, or answers with infinity, as its input says."""

    platform = "test"
    inputs = (TensorSpec("x", "INT8", (1,)),)
    outputs = (TensorSpec("y", "FP32", (1,)),)

    def infer(self, inputs: Tensors) -> dict[str, np.ndarray]:
        if inputs["x"][0]:
            raise RuntimeError("out of order")
        return {"y": np.array([np.inf], np.float32)}


def fickle_request(value: int) -> dict[str, Any]:
    return {"inputs": [{"name": "x", "datatype": "INT8", "shape": [1], "data": [value]}]}


def test_an_engine_that_fails_costs_one_request() -> None:
    with InferenceServer({"fickle": Fickle()}) as server:
        address = urlsplit(server.url)
        http = HTTPConnection(address.hostname or "", address.port, timeout=10)
        status, answer = ask_json(http, "POST", "/v2/models/fickle/infer", fickle_request(1))
        assert status == 500
        assert "out of order" in answer["error"]
        status, answer = ask_json(http, "POST", "/v2/models/fickle/infer", fickle_request(0))
        assert status == 400
        assert "infinity" in answer["error"]
        http.close()


def test_leaving_ends_idle_connections_and_every_thread(engines: dict[str, Any]) -> None:
    before = set(threading.enumerate())
    with InferenceServer(engines) as server:
        address = urlsplit(server.url)
        http = HTTPConnection(address.hostname or "", address.port, timeout=10)
        ask(http, "GET", "/v2/health/live")
    assert http.sock.recv(1) == b""
    http.close()
    assert set(threading.enumerate()) == before
