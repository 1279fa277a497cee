"""The Open Inference Protocol apart from HTTP: what is asked, a path with a body; what is answered, JSON and bytes."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from importlib.metadata import version
from itertools import pairwise
from typing import Any, TypeVar

from numpy.typing import NDArray

from testbed.agent.contract import Tensors
from testbed.agent.tensors import (
    BINARY_EXTENSION,
    HEAD_LENGTH,
    JPEG_EXTENSION,
    MalformedTensor,
    datatype,
    decode,
    encode_binary,
    encode_json,
    join,
    split,
)
from testbed.serve.engine import Engine, TensorSpec
from testbed.serve.gate import Busy, Gate
from testbed.serve.images import from_jpeg, takes_jpeg
from testbed.serve.statistics import Statistics, Times

MODEL_VERSION = "1"
EXTENSIONS = (BINARY_EXTENSION, JPEG_EXTENSION, "statistics", "model_repository")
COME_AGAIN_S = 1
"""after which a client that was turned away is asked to come again"""
_MODEL_PATH = re.compile(r"/v2/models/(?P<model>[^/]+)(/versions/(?P<version>[^/]+))?(?P<verb>/ready|/infer|/stats)?")
_ALL_STATISTICS = "/v2/models/stats"
_INDEX = "/v2/repository/index"

Outputs = Mapping[str, NDArray[Any]]
_Packed = TypeVar("_Packed")


class ProtocolError(Exception):
    """A request that cannot be answered as asked."""

    def __init__(self, status: HTTPStatus, message: str) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True, slots=True)
class Reply:
    """A status, further headers and a body."""

    status: HTTPStatus
    headers: Mapping[str, str]
    body: bytes


def json_reply(content: Mapping[str, Any] | Sequence[Any], status: HTTPStatus = HTTPStatus.OK) -> Reply:
    """A reply that is JSON alone."""
    return Reply(status, {"Content-Type": "application/json"}, json.dumps(content).encode())


def error_reply(status: HTTPStatus, message: str) -> Reply:
    """An error in the protocol's form."""
    reply = json_reply({"error": message}, status)
    if status == HTTPStatus.SERVICE_UNAVAILABLE:
        return Reply(status, {**reply.headers, "Retry-After": str(COME_AGAIN_S)}, reply.body)
    return reply


@dataclass(frozen=True, slots=True)
class _Served:
    engine: Engine
    version: str
    statistics: Statistics = field(default_factory=Statistics)


class Models:
    """The models a server offers, and the protocol's questions about them. Each answer may raise ProtocolError."""

    def __init__(self, engines: Mapping[str, Engine], gate: Gate, versions: Mapping[str, str]) -> None:
        """A model that is not among `versions` has version 1."""
        self._served = {name: _Served(engine, versions.get(name, MODEL_VERSION)) for name, engine in engines.items()}
        self._gate = gate

    def get(self, path: str) -> Reply:
        """Health, statistics, and metadata of the server and its models."""
        if path in ("/v2", "/v2/"):
            return json_reply(self.about())
        if path == "/v2/health/live":
            return json_reply({"live": True})
        if path == "/v2/health/ready":
            return json_reply({"ready": True})
        if path == _ALL_STATISTICS:
            return json_reply({"model_stats": self.statistics()})
        name, verb = self._resolve(path)
        if verb == "/infer":
            raise ProtocolError(HTTPStatus.METHOD_NOT_ALLOWED, "an inference is asked for with POST")
        if verb == "/ready":
            return json_reply({"name": name, "ready": True})
        if verb == "/stats":
            return json_reply({"model_stats": self.statistics(name)})
        engine = self._served[name].engine
        return json_reply(
            {
                "name": name,
                "versions": [self._served[name].version],
                "platform": engine.platform,
                "inputs": [_metadata(spec) for spec in engine.inputs],
                "outputs": [_metadata(spec) for spec in engine.outputs],
            }
        )

    def about(self) -> dict[str, Any]:
        """The server's name, version and extensions."""
        return {"name": "testbed", "version": version("edge-energy-testbed"), "extensions": list(EXTENSIONS)}

    def statistics(self, name: str = "") -> list[dict[str, Any]]:
        """Of one model, or of all."""
        names = [name] if name else sorted(self._served)
        return [self._served[each].statistics.as_json(each, self._served[each].version) for each in names]

    def index(self) -> list[dict[str, str]]:
        """What the repository holds."""
        return [
            {"name": name, "version": served.version, "state": "READY", "reason": ""}
            for name, served in sorted(self._served.items())
        ]

    def post(self, path: str, head_length: str | None, body: memoryview) -> tuple[Reply, str | None, int]:
        """The reply; after an inference the model's name too, and for how many nanoseconds it computed."""
        if path == _INDEX:
            return json_reply(self.index()), None, 0
        name, verb = self._resolve(path)
        if verb != "/infer":
            raise ProtocolError(HTTPStatus.METHOD_NOT_ALLOWED, "only inferences are asked for with POST")
        head: dict[str, Any] = {}

        def read() -> Tensors:
            given, binary = split(body, head_length)
            head.update(given)
            return decode(given.get("inputs"), binary)

        def pack(outputs: Outputs) -> Reply:
            served = self._served[name]
            wanted = _wanted(name, head, served.engine.outputs)
            answer = {"model_name": name, "model_version": served.version}
            if "id" in head:
                answer["id"] = head["id"]
            return _pack(answer, {output: (outputs[output], binary) for output, binary in wanted.items()})

        reply, computed_ns = self.infer(name, read, pack)
        return reply, name, computed_ns

    def infer(self, name: str, read: Callable[[], Tensors], pack: Callable[[Outputs], _Packed]) -> tuple[_Packed, int]:
        """One inference with a served model: what `pack` made of the outputs, and nanoseconds of computing.

        `read` and `pack` may raise MalformedTensor.
        """
        served = self.served(name)
        times_ns = [time.monotonic_ns()]
        try:
            with self._gate.passed():
                times_ns.append(time.monotonic_ns())
                inputs = _fitting(name, served.engine.inputs, read())
                times_ns.append(time.monotonic_ns())
                outputs = _computed(name, served.engine, inputs)
                times_ns.append(time.monotonic_ns())
                packed = pack(outputs)
                times_ns.append(time.monotonic_ns())
        except (Busy, MalformedTensor, ProtocolError) as error:
            served.statistics.failed(time.monotonic_ns() - times_ns[0])
            if isinstance(error, ProtocolError):
                raise
            busy = isinstance(error, Busy)
            status = HTTPStatus.SERVICE_UNAVAILABLE if busy else HTTPStatus.BAD_REQUEST
            raise ProtocolError(status, str(error)) from None
        times = Times(*(end - begin for begin, end in pairwise(times_ns)))
        served.statistics.succeeded(times)
        return packed, times.infer_ns

    def served(self, name: str, asked_version: str | None = None) -> _Served:
        """A model by its name. Raises ProtocolError for one that is not served, or not in this version."""
        if name not in self._served:
            known = ", ".join(sorted(self._served)) or "none"
            raise ProtocolError(HTTPStatus.NOT_FOUND, f"model '{name}' is not served here; served: {known}")
        served = self._served[name]
        if asked_version not in (None, "", served.version):
            raise ProtocolError(HTTPStatus.NOT_FOUND, f"model '{name}' has version {served.version} only")
        return served

    def _resolve(self, path: str) -> tuple[str, str | None]:
        asked = _MODEL_PATH.fullmatch(path)
        if asked is None:
            raise ProtocolError(HTTPStatus.NOT_FOUND, f"there is nothing at {path[:200]}")
        self.served(asked["model"], asked["version"])
        return asked["model"], asked["verb"]


def _computed(name: str, engine: Engine, inputs: Tensors) -> Outputs:
    try:
        return engine.infer(inputs)
    except Exception as error:
        raise ProtocolError(HTTPStatus.INTERNAL_SERVER_ERROR, f"model '{name}' failed: {error}") from error


def _metadata(spec: TensorSpec) -> dict[str, Any]:
    return {"name": spec.name, "datatype": spec.datatype, "shape": list(spec.shape)}


def _fitting(model: str, specs: Sequence[TensorSpec], given: Tensors) -> Tensors:
    """The inputs as the model takes them, JPEG decoded. Raises MalformedTensor for those that do not fit."""
    needed = {spec.name: spec for spec in specs}
    if needed.keys() != given.keys():
        raise MalformedTensor(f"model '{model}' takes {sorted(needed)}, the request holds {sorted(given)}")
    inputs = {name: _decoded(needed[name], tensor) for name, tensor in given.items()}
    for name, tensor in inputs.items():
        spec = needed[name]
        fits = len(tensor.shape) == len(spec.shape) and all(
            size in (-1, got) for size, got in zip(spec.shape, tensor.shape, strict=True)
        )
        if not fits or datatype(tensor.dtype) != spec.datatype:
            raise MalformedTensor(
                f"input '{spec.name}' of model '{model}' is {spec.datatype} {list(spec.shape)}, "
                f"the request holds {datatype(tensor.dtype)} {list(tensor.shape)}"
            )
    return inputs


def _decoded(spec: TensorSpec, tensor: NDArray[Any]) -> NDArray[Any]:
    return from_jpeg(spec, tensor) if tensor.dtype.kind == "O" and takes_jpeg(spec) else tensor


def _wanted(model: str, head: Mapping[str, Any], specs: Sequence[TensorSpec]) -> dict[str, bool]:
    """The outputs to send, and whether each goes as binary data."""
    if not isinstance(head.get("id", ""), str):
        raise MalformedTensor("the request's id is not a string")
    binary = _flag(head, "binary_data_output", False)
    known = [spec.name for spec in specs]
    asked = head.get("outputs") or [{"name": name} for name in known]
    if not isinstance(asked, list) or not all(isinstance(output, dict) for output in asked):
        raise MalformedTensor("the outputs asked for are not a JSON array of objects")
    for output in asked:
        if output.get("name") not in known:
            raise MalformedTensor(f"model '{model}' has no output {output.get('name')!r}; it has {known}")
    return {output["name"]: _flag(output, "binary_data", binary) for output in asked}


def _flag(holder: Mapping[str, Any], name: str, default: bool) -> bool:
    parameters = holder.get("parameters", {})
    value = parameters.get(name, default) if isinstance(parameters, dict) else None
    if not isinstance(value, bool):
        raise MalformedTensor(f"parameter {name} is neither true nor false")
    return value


def _pack(answer: dict[str, Any], outputs: Mapping[str, tuple[NDArray[Any], bool]]) -> Reply:
    descriptions, binaries = [], []
    for name, (tensor, binary) in outputs.items():
        if binary:
            description, elements = encode_binary(name, tensor)
            binaries.append(elements)
        else:
            description = encode_json(name, tensor)
        descriptions.append(description)
    body, length = join({**answer, "outputs": descriptions}, binaries)
    if not binaries:
        return Reply(HTTPStatus.OK, {"Content-Type": "application/json"}, body)
    return Reply(HTTPStatus.OK, {"Content-Type": "application/octet-stream", HEAD_LENGTH: str(length)}, body)
