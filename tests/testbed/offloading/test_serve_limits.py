"""Who may ask the server, what it takes on, and what it counts."""

from __future__ import annotations

import gzip
import io
import json
import socket
import ssl
import threading
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection, HTTPSConnection
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pytest
from PIL import Image

from testbed.agent.clock import MonotonicClock
from testbed.agent.contract import Model, TargetFailed, Tensors
from testbed.agent.targets.failures import RequestRefused
from testbed.agent.targets.kserve import RemoteTarget
from testbed.agent.targets.terms import Terms
from testbed.agent.tensors import encode_binary, join
from testbed.serve import InferenceServer, Limits, TensorSpec
from testbed.serve.access import tls_context
from tests.testbed.offloading.conftest import Authority

ONE = {"inputs": [{"name": "x", "datatype": "INT8", "shape": [1], "data": [1]}]}
INFER = "/v2/models/net/infer"


class Gated:
    """Computes once it may."""

    platform = "test"
    inputs = (TensorSpec("x", "INT8", (-1,)),)
    outputs = (TensorSpec("x", "INT8", (-1,)),)

    def __init__(self) -> None:
        self.begun = threading.Semaphore(0)
        self.may = threading.Event()

    def infer(self, inputs: Tensors) -> Any:
        self.begun.release()
        self.may.wait(10)
        return inputs


class Ready(Gated):
    def __init__(self) -> None:
        super().__init__()
        self.may.set()


@contextmanager
def connected(server: InferenceServer) -> Iterator[HTTPConnection]:
    address = urlsplit(server.url)
    http = HTTPConnection(address.hostname or "", address.port, timeout=10)
    try:
        yield http
    finally:
        http.close()


def ask(
    http: HTTPConnection, method: str, path: str, body: bytes | None = None, **headers: str
) -> tuple[int, Any, Any]:
    http.request(method, path, body, {name.replace("_", "-"): value for name, value in headers.items()})
    response = http.getresponse()
    content = response.read()
    if response.headers.get("Content-Encoding") == "gzip":
        content = gzip.decompress(content)
    return response.status, response.headers, json.loads(content)


def test_one_too_many_is_told_to_come_again() -> None:
    engine = Gated()
    limits = Limits(computing=1, waiting=0)
    with (
        InferenceServer({"net": engine}, limits=limits) as server,
        connected(server) as first,
        connected(server) as second,
    ):
        first.request("POST", INFER, json.dumps(ONE).encode())
        assert engine.begun.acquire(timeout=10)
        status, headers, answer = ask(second, "POST", INFER, json.dumps(ONE).encode())
        assert (status, headers["Retry-After"]) == (503, "1")
        assert "come again" in answer["error"]
        engine.may.set()
        assert first.getresponse().status == 200
        assert ask(second, "POST", INFER, json.dumps(ONE).encode())[0] == 200


def test_one_connection_too_many_is_told_so_and_ended() -> None:
    with InferenceServer({"net": Ready()}, limits=Limits(connections=1)) as server, connected(server) as first:
        assert ask(first, "GET", "/v2/health/live")[0] == 200
        with connected(server) as second:
            assert ask(second, "GET", "/v2/health/live")[0] == 503
        assert ask(first, "GET", "/v2/health/live")[0] == 200


def test_statistics_count_what_was_answered_and_what_was_not() -> None:
    with InferenceServer({"net": Ready(), "other": Ready()}) as server, connected(server) as http:
        for _ in range(3):
            status, headers, _ = ask(http, "POST", INFER, json.dumps(ONE).encode())
            assert status == 200
            assert headers["Server-Timing"].startswith("compute;dur=0.")
        assert ask(http, "POST", INFER, b"{}")[0] == 400
        _, _, mine = ask(http, "GET", "/v2/models/net/stats")
        _, _, all_of_them = ask(http, "GET", "/v2/models/stats")
        assert ask(http, "POST", "/v2/repository/index")[2] == [
            {"name": "net", "version": "1", "state": "READY", "reason": ""},
            {"name": "other", "version": "1", "state": "READY", "reason": ""},
        ]
    (counted,) = mine["model_stats"]
    times = counted["inference_stats"]
    assert (counted["name"], counted["inference_count"], times["fail"]["count"]) == ("net", 3, 1)
    parts = ("queue", "compute_input", "compute_infer", "compute_output")
    assert times["success"]["ns"] == sum(times[part]["ns"] for part in parts)
    assert [each["name"] for each in all_of_them["model_stats"]] == ["net", "other"]


@pytest.mark.parametrize(("coding", "pack"), [("gzip", gzip.compress), ("deflate", zlib.compress)])
def test_compressed_requests_are_read(coding: str, pack: Any) -> None:
    with InferenceServer({"net": Ready()}) as server, connected(server) as http:
        body = pack(json.dumps(ONE).encode())
        assert ask(http, "POST", INFER, body, Content_Encoding=coding)[0] == 200
        assert ask(http, "POST", INFER, body[:-3], Content_Encoding=coding)[0] == 415


def test_replies_are_compressed_for_who_asks_and_when_it_is_worth_it() -> None:
    many = {"inputs": [{"name": "x", "datatype": "INT8", "shape": [5000], "data": [1] * 5000}]}
    with InferenceServer({"net": Ready()}) as server, connected(server) as http:
        for request, coding in ((many, "gzip"), (ONE, None)):
            status, headers, answer = ask(
                http, "POST", INFER, json.dumps(request).encode(), Accept_Encoding="br;q=1.0, gzip;q=0.8"
            )
            assert (status, headers["Content-Encoding"]) == (200, coding)
            assert answer["outputs"][0]["data"] == request["inputs"][0]["data"]


def test_a_request_that_inflates_over_the_bound_is_refused() -> None:
    with InferenceServer({"net": Ready()}, limits=Limits(request_bytes=1 << 16)) as server, connected(server) as http:
        bomb = gzip.compress(bytes(1 << 20))
        status, _, answer = ask(http, "POST", INFER, bomb, Content_Encoding="gzip")
        assert status == 415
        assert "over 65536 bytes" in answer["error"]


@pytest.mark.parametrize("path", ["/v2", "/v2/health/live", "/v2/models/net", "/v2/models/net/stats"])
def test_without_the_token_nothing_is_told(path: str) -> None:
    with InferenceServer({"net": Ready()}, token="s3cret") as server, connected(server) as http:
        for wrong in ({}, {"Authorization": "Bearer s3cre"}, {"Authorization": "s3cret"}):
            status, headers, answer = ask(http, "GET", path, None, **wrong)
            assert (status, headers["Connection"]) == (401, "close")
            assert "s3cret" not in answer["error"]
        assert ask(http, "GET", path, None, Authorization="Bearer s3cret")[0] == 200


def test_an_infer_without_the_token_is_refused_unread() -> None:
    with InferenceServer({"net": Ready()}, token="s3cret") as server:
        address = urlsplit(server.url)
        with socket.create_connection((address.hostname, address.port), 10) as raw:
            raw.sendall(f"POST {INFER} HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n".encode())
            assert raw.makefile("rb").readline().startswith(b"HTTP/1.1 401 ")


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "somewhere.example"])
def test_the_network_is_not_let_in_without_a_token(host: str) -> None:
    with pytest.raises(ValueError, match=r"whole network in: give --token-file"):
        InferenceServer({}, host)


def test_it_listens_on_the_other_loopback_too() -> None:
    with InferenceServer({"net": Ready()}, "::1") as server, connected(server) as http:
        assert server.url.startswith("http://[::1]:")
        assert ask(http, "GET", "/v2/health/live")[0] == 200


INPUT: dict[str, Any] = {"x": np.array([3], np.int8)}


def test_https_is_as_good_and_its_certificate_is_looked_at(authority: Authority) -> None:
    context = tls_context(authority.certificate, authority.key)
    with InferenceServer({"net-fp32": Ready()}, tls=context) as server:
        assert server.url.startswith("https://127.0.0.1:")
        target = RemoteTarget(server.url, MonotonicClock(), 10.0, Terms(ca_pem=authority.ca_pem))
        remote = target.load(Model("net", {}, 0, {}, []), "fp32")
        remote.warm([INPUT])
        assert remote.run(INPUT).outputs["x"][0] == 3
        remote.close()
        stranger = RemoteTarget(server.url, MonotonicClock(), 10.0).load(Model("net", {}, 0, {}, []), "fp32")
        with pytest.raises(RequestRefused, match="certificate is not to be trusted.*`ca_file`"):
            stranger.warm([INPUT])


def test_a_certificate_for_another_host_is_refused(authority: Authority) -> None:
    context = tls_context(authority.certificate, authority.key)
    with InferenceServer({"net-fp32": Ready()}, "127.0.0.2", tls=context) as server:
        target = RemoteTarget(server.url, MonotonicClock(), 10.0, Terms(ca_pem=authority.ca_pem))
        with pytest.raises(RequestRefused, match="IP address mismatch"):
            target.load(Model("net", {}, 0, {}, []), "fp32").warm([INPUT])


def test_a_client_that_never_shakes_hands_holds_nobody_up(authority: Authority) -> None:
    context = tls_context(authority.certificate, authority.key)
    with InferenceServer({"net": Ready()}, tls=context) as server:
        address = urlsplit(server.url)
        with socket.create_connection((address.hostname, address.port), 10):
            trusting = ssl.create_default_context(cadata=authority.ca_pem)
            http = HTTPSConnection(address.hostname or "", address.port, timeout=10, context=trusting)
            assert ask(http, "GET", "/v2/health/live")[0] == 200
            http.close()
        with socket.create_connection((address.hostname, address.port), 10) as plain:
            plain.sendall(b"GET /v2 HTTP/1.1\r\n\r\n")
            with pytest.raises(TargetFailed):
                RemoteTarget(server.url.replace("https", "http"), MonotonicClock(), 10.0).load(
                    Model("net", {}, 0, {}, []), "fp32"
                ).run(INPUT)


def test_files_that_are_no_certificate_are_named(authority: Authority) -> None:
    with pytest.raises(ValueError, match=r"key\.pem and .* are no certificate and its key"):
        tls_context(authority.key, authority.certificate)


class Photographer:
    platform = "test"
    inputs = (TensorSpec("image", "UINT8", (1, 3, 8, 16)),)
    outputs = (TensorSpec("seen", "UINT8", (1, 3, 8, 16)),)

    def infer(self, inputs: Tensors) -> Any:
        return {"seen": inputs["image"]}


def jpeg(width: int, height: int, mode: str = "RGB", kind: str = "JPEG") -> bytes:
    content = io.BytesIO()
    Image.new(mode, (width, height), 77 if mode == "L" else (77, 77, 77)).save(content, kind)
    return content.getvalue()


@pytest.mark.parametrize(
    ("elements", "status", "named"),
    [
        ([jpeg(16, 8)], 200, ""),
        ([jpeg(16, 8, "L")], 200, ""),
        ([jpeg(8, 16)], 400, "takes 16 x 8 pixels, the JPEG has 8 x 16"),
        ([jpeg(16, 8)] * 2, 400, "one JPEG"),
        ([jpeg(16, 8)[:-40]], 400, "no JPEG that can be read"),
        ([jpeg(16, 8, kind="PNG")], 400, "no JPEG that can be read"),
        ([b""], 400, "no JPEG that can be read"),
    ],
)
def test_a_jpeg_stands_for_the_tensor(elements: list[bytes], status: int, named: str) -> None:
    tensor = np.empty(len(elements), "O")
    tensor[:] = elements
    description, packed = encode_binary("image", tensor)
    body, length = join({"inputs": [description]}, [packed])
    with InferenceServer({"net": Photographer()}) as server, connected(server) as http:
        assert "jpeg_tensor_data" in ask(http, "GET", "/v2")[2]["extensions"]
        got, _, answer = ask(http, "POST", INFER, body, Inference_Header_Content_Length=str(length))
    assert got == status
    if status == 200:
        np.testing.assert_allclose(answer["outputs"][0]["data"], 77, atol=2)
    else:
        assert named in answer["error"]
