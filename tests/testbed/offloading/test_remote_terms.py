"""How a board asks: tokens, compression, JPEG, JSON where that is all there is, retries; and what it is promised."""

from __future__ import annotations

import gzip
import json
import logging
import socket
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from testbed.agent.clock import MonotonicClock
from testbed.agent.contract import Model, Result, TargetFailed, Tensors
from testbed.agent.targets.failures import RequestRefused
from testbed.agent.targets.kserve import RemoteSession, RemoteTarget
from testbed.agent.targets.terms import Terms
from testbed.serve import InferenceServer, TensorSpec
from tests.testbed.offloading.far_server import METADATA, REPLY, Answer, Asked, far_server, ok, usual
from tests.testbed.offloading.test_remote_kserve import free_port, good_reply, read_request, scripted

INPUT: dict[str, Any] = {"x": np.array([3], np.int8)}
MODEL = Model("net", {}, 0, {}, [INPUT])


def session(url: str, terms: Terms | None = None, model: Model = MODEL, timeout_s: float = 10.0) -> RemoteSession:
    return RemoteTarget(url, MonotonicClock(), timeout_s, terms).load(model, "fp32")


def span_ns(result: Result, name: str) -> int:
    return sum(span.end_ns - span.start_ns for span in result.spans if span.name == name)


def test_a_server_without_binary_tensors_is_sent_json_from_then_on() -> None:
    def json_only(asked: Asked) -> Answer:
        if asked.headers["Content-Type"] != "application/json":
            return 400, {}, {"detail": "this is no JSON"}
        return 200, {}, REPLY

    with far_server(usual(infer=json_only)) as far:
        remote = session(far.url)
        remote.warm([INPUT])
        np.testing.assert_array_equal(remote.run(INPUT).outputs["y"], [[1, 2]])
        remote.close()
        binary, first, second = far.bodies("infer")
    assert "Inference-Header-Content-Length" in binary.headers
    for asked in (first, second):
        assert json.loads(asked.body)["inputs"] == [{"name": "x", "datatype": "INT8", "shape": [1], "data": [3]}]


def test_one_that_breaks_over_binary_tensors_is_sent_json_too() -> None:
    def breaks(asked: Asked) -> Answer:
        return (500, {}, b"oops") if "Inference-Header-Content-Length" in asked.headers else (200, {}, REPLY)

    with far_server(usual(infer=breaks)) as far:
        remote = session(far.url)
        assert remote.run(INPUT).outputs["y"].shape == (1, 2)
        remote.close()


def test_one_that_has_binary_tensors_is_never_sent_json() -> None:
    answers = usual(infer=lambda _: (400, {}, {"error": "no"}), v2=ok({"extensions": ["binary_tensor_data"]}))
    with far_server(answers) as far:
        remote = session(far.url)
        with pytest.raises(RequestRefused, match="net-fp32 at http.*: 400 no"):
            remote.warm([INPUT])
        assert len(far.bodies("infer")) == 1


def test_parameters_may_be_null_as_kserve_writes_them() -> None:
    output = {**REPLY["outputs"][0], "parameters": None}  # type: ignore[index]
    with far_server(usual(infer=ok({"outputs": [output], "parameters": None}))) as far:
        remote = session(far.url)
        assert remote.run(INPUT).outputs["y"].shape == (1, 2)
        remote.close()


@pytest.mark.parametrize(
    ("metadata", "named"),
    [
        ({"inputs": [{"name": "image", "datatype": "INT8", "shape": [1]}]}, "has no input 'x', it takes image"),
        ({"inputs": [{"name": "x", "datatype": "FP32", "shape": [1]}]}, r"is FP32 \[1\] on the server, .* INT8 \[1\]"),
        ({"inputs": [{"name": "x", "datatype": "INT8", "shape": [1, 1]}]}, r"is INT8 \[1, 1\] on the server"),
        ({"inputs": [{"name": "x", "datatype": "INT8", "shape": [2]}]}, r"is INT8 \[2\] on the server"),
    ],
)
def test_inputs_that_the_model_does_not_take_are_refused_before_anything_is_sent(
    metadata: dict[str, Any], named: str
) -> None:
    with far_server(usual(**{"net-fp32": ok({**METADATA, **metadata})})) as far:
        remote = session(far.url)
        with pytest.raises(RequestRefused, match=named):
            remote.warm([INPUT])
        assert far.bodies("infer") == []


@pytest.mark.parametrize(
    ("outputs", "named"),
    [
        ([], "lacks output 'y'"),
        ([{"name": "y", "datatype": "FP32", "shape": [1, 3], "data": [1, 2, 3]}], r"FP32 \[1, 3\], where .* \[-1, 2\]"),
        ([{"name": "y", "datatype": "FP64", "shape": [1, 2], "data": [1, 2]}], "came as FP64"),
    ],
)
def test_a_server_that_lies_about_its_outputs_gave_no_answer(
    outputs: list[Any], named: str, caplog: pytest.LogCaptureFixture
) -> None:
    replies = [REPLY, {"outputs": outputs}]
    with far_server(usual(infer=lambda _: (200, {}, replies.pop(0)))) as far:
        remote = session(far.url)
        remote.warm([INPUT])
        with pytest.raises(TargetFailed, match=f"net-fp32 at http.*{named}"):
            remote.run(INPUT)
    assert caplog.text == ""


@pytest.mark.parametrize("metadata", [b"<html>", [], {"inputs": [{"name": "x"}]}, {"inputs": 7}])
def test_metadata_that_are_nonsense_leave_the_session_unwarmed(
    metadata: object, caplog: pytest.LogCaptureFixture
) -> None:
    with far_server(usual(**{"net-fp32": ok(metadata)})) as far, caplog.at_level(logging.WARNING):
        session(far.url).warm([INPUT])
    assert "not warmed: net-fp32 at " in caplog.text


@pytest.mark.parametrize("coding", ["gzip", "deflate"])
def test_requests_and_replies_are_compressed(coding: Any) -> None:
    pack: Callable[[bytes], bytes] = gzip.compress if coding == "gzip" else zlib.compress
    unpack: Callable[[bytes], bytes] = gzip.decompress if coding == "gzip" else zlib.decompress

    def infer(asked: Asked) -> Answer:
        assert asked.headers["Accept-Encoding"] == coding
        head = unpack(asked.body)[: int(asked.headers["Inference-Header-Content-Length"])]
        assert json.loads(head)["inputs"][0]["name"] == "x"
        return 200, {"Content-Encoding": asked.headers["Content-Encoding"]}, pack(json.dumps(REPLY).encode())

    with far_server(usual(infer=infer)) as far:
        remote = session(far.url, Terms(compress=coding))
        assert remote.run(INPUT).outputs["y"].shape == (1, 2)
        remote.close()


@pytest.mark.parametrize(("coding", "named"), [("br", "neither of gzip"), ("gzip", "not gzip")])
def test_a_reply_that_cannot_be_inflated_is_no_answer(coding: str, named: str) -> None:
    answers = usual(infer=ok(b"nonsense", Content_Encoding=coding))
    with far_server(answers) as far, pytest.raises(TargetFailed, match=named):
        session(far.url).run(INPUT)


def test_a_refusal_names_what_not_every_server_takes() -> None:
    answers = usual(infer=lambda _: (415, {}, {"error": "what is this?"}))
    named = "what is this.*leave out `compress`"
    with far_server(answers) as far, pytest.raises(RequestRefused, match=named):
        session(far.url, Terms(compress="gzip")).warm([INPUT])


def test_a_token_goes_with_every_request_and_into_no_text() -> None:
    terms = Terms(token="s3cret")
    assert "s3cret" not in repr(terms)
    with InferenceServer({"net-fp32": Doubling()}, token="s3cret") as server:
        remote = session(server.url, terms)
        remote.warm([INPUT])
        assert remote.run(INPUT).outputs["y"][0] == 6
        remote.close()
        for wrong in (Terms(), Terms(token="other")):
            with pytest.raises(RequestRefused, match="401 .*token_file or token_env") as refused:
                session(server.url, wrong).warm([INPUT])
            assert "s3cret" not in str(refused.value)


class Doubling:
    platform = "test"
    inputs = (TensorSpec("x", "INT8", (-1,)),)
    outputs = (TensorSpec("y", "INT8", (-1,)),)

    def infer(self, inputs: Tensors) -> Any:
        return {"y": 2 * inputs["x"]}


def test_the_server_calls_the_model_otherwise() -> None:
    with InferenceServer({"theirs": Doubling()}) as server:
        remote = session(server.url, Terms(names={"net-fp32": "theirs"}))
        remote.warm([INPUT])
        remote.close()


def test_what_the_server_says_it_computed_is_a_span_of_its_own() -> None:
    def tell(asked: Asked) -> Answer:
        return 200, {"Server-Timing": 'cache;desc="x", compute;dur=0.004'}, REPLY

    with far_server(usual(infer=tell)) as far:
        remote = session(far.url)
        result = remote.run(INPUT)
        remote.close()
    assert span_ns(result, "compute") == 4000
    assert [span.name for span in result.spans] == ["encode", "transmit", "wait", "compute", "wait", "receive"]
    assert abs((result.spans[2].end_ns - result.spans[2].start_ns) - (span_ns(result, "wait") / 2)) <= 1


def test_a_server_cannot_have_computed_longer_than_it_was_waited_for() -> None:
    with far_server(usual(infer=ok(REPLY, Server_Timing="compute;dur=999999"))) as far:
        remote = session(far.url)
        result = remote.run(INPUT)
        remote.close()
    assert span_ns(result, "wait") == 0
    assert result.spans[-1].end_ns <= result.end_ns


def test_a_server_with_statistics_alone_is_asked_for_them_while_warming() -> None:
    def stats(asked: Asked) -> Answer:
        count = len(far.bodies("infer"))
        counted = {"compute_infer": {"count": count, "ns": 3000 * count + 50_000_000}}
        return 200, {}, {"model_stats": [{"inference_stats": counted}]}

    with far_server(usual(stats=stats)) as far:
        remote = session(far.url)
        remote.warm([INPUT] * 3)
        asked = len(far.bodies("stats"))
        result = remote.run(INPUT)
        remote.close()
        assert (asked, len(far.bodies("stats"))) == (2, 2)
    assert span_ns(result, "compute") == 3000


def test_a_server_with_neither_is_only_waited_for() -> None:
    with far_server(usual(stats=ok({"model_stats": []}))) as far:
        remote = session(far.url)
        remote.warm([INPUT] * 2)
        assert span_ns(remote.run(INPUT), "compute") == 0
        remote.close()


def test_one_that_is_busy_is_asked_again_when_it_says() -> None:
    answers: list[Answer] = [(503, {"Retry-After": "0"}, {"error": "busy"})] * 2 + [(200, {}, REPLY)]
    with far_server(usual(infer=lambda _: answers.pop(0))) as far:
        remote = session(far.url, Terms(retries=2))
        result = remote.run(INPUT)
        remote.close()
        assert len(far.bodies("infer")) == 3
    assert span_ns(result, "retry") > 0


@pytest.mark.parametrize(
    ("retries", "headers", "tries"),
    [(1, {"Retry-After": "0"}, 2), (5, {"Retry-After": "3600"}, 1), (5, {"Retry-After": "soon"}, 1), (5, {}, 1)],
)
def test_no_more_often_than_the_bench_says_and_never_past_the_deadline(
    retries: int, headers: dict[str, str], tries: int
) -> None:
    with far_server(usual(infer=lambda _: (503, headers, {"error": "busy"}))) as far:
        with pytest.raises(TargetFailed, match="503 busy"):
            session(far.url, Terms(retries=retries)).run(INPUT)
        assert len(far.bodies("infer")) == tries


def test_a_reset_before_a_byte_of_the_reply_is_tried_again() -> None:
    def second_time(connection: socket.socket, number: int) -> None:
        read_request(connection)
        if number:
            connection.sendall(good_reply("0"))

    with scripted(second_time) as (url, served):
        remote = session(url, Terms(retries=1))
        remote.run(INPUT)
        remote.close()
    assert served == [0, 1]


def test_a_reply_cut_in_the_middle_is_not() -> None:
    def half(connection: socket.socket, number: int) -> None:
        read_request(connection)
        connection.sendall(good_reply("0")[:-1])

    with scripted(half) as (url, served), pytest.raises(TargetFailed, match="IncompleteRead"):
        session(url, Terms(retries=3)).run(INPUT)
    assert served == [0]


def test_retries_end_with_the_time_there_is() -> None:
    with pytest.raises(TargetFailed, match="refused"):
        session(f"http://127.0.0.1:{free_port()}", Terms(retries=10), timeout_s=0.2).run(INPUT)


PHOTO: dict[str, Any] = {
    "image": np.broadcast_to(np.linspace(0, 255, 32).astype(np.uint8), (1, 3, 24, 32)).copy(),
    "other": np.zeros((1, 2), np.float32),
}


class Photographer:
    """Hands its image back."""

    platform = "test"
    inputs = (TensorSpec("image", "UINT8", (-1, 3, 24, 32)), TensorSpec("other", "FP32", (1, 2)))
    outputs = (TensorSpec("seen", "UINT8", (1, 3, 24, 32)),)

    def infer(self, inputs: Tensors) -> Any:
        return {"seen": inputs["image"]}


def test_photos_go_as_jpeg_and_nothing_else_does() -> None:
    with InferenceServer({"net-fp32": Photographer()}) as server:
        remote = session(server.url, Terms(jpeg_quality=95), Model("net", {}, 0, {}, [PHOTO]))
        remote.warm([PHOTO])
        seen = remote.run(PHOTO).outputs["seen"]
        remote.close()
    assert seen.shape == (1, 3, 24, 32)
    assert np.abs(seen.astype(int) - PHOTO["image"]).max() <= 6  # a smooth image suffers little


def test_a_model_that_takes_bytes_says_in_which_shape() -> None:
    metadata = {**METADATA, "inputs": [{"name": "image", "datatype": "BYTES", "shape": [-1, 1]}]}
    photo = {"image": PHOTO["image"]}
    with far_server(usual(**{"net-fp32": ok(metadata)})) as far:
        remote = session(far.url, Terms(jpeg_quality=80))
        remote.warm([photo])
        remote.close()
        (asked,) = far.bodies("infer")
    length = int(asked.headers["Inference-Header-Content-Length"])
    (described,) = json.loads(asked.body[:length])["inputs"]
    assert (described["datatype"], described["shape"]) == ("BYTES", [1, 1])
    assert asked.body[length + 4 : length + 6] == b"\xff\xd8"  # JPEG's own beginning, behind the element's length


def test_a_photo_of_another_size_is_refused_with_the_cure() -> None:
    wrong = {**PHOTO, "image": PHOTO["image"][:, :, :16]}
    named = "takes 32 x 24 pixels, the JPEG has 32 x 16.*leave out `input: jpeg`"
    with InferenceServer({"net-fp32": Photographer()}) as server, pytest.raises(RequestRefused, match=named):
        session(server.url, Terms(jpeg_quality=80)).warm([wrong])
