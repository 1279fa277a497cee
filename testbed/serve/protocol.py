"""The Open Inference Protocol apart from HTTP: what is asked, a path with a body; what is answered, JSON and bytes."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from importlib.metadata import version
from typing import Any

from numpy.typing import NDArray

from testbed.agent.contract import Tensors
from testbed.agent.tensors import (
    HEAD_LENGTH,
    MalformedTensor,
    datatype,
    decode,
    encode_binary,
    encode_json,
    join,
    split,
)
from testbed.serve.engine import Engine, TensorSpec

MODEL_VERSION = "1"
_MODEL_PATH = re.compile(r"/v2/models/(?P<model>[^/]+)(/versions/(?P<version>[^/]+))?(?P<verb>/ready|/infer)?")


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


def json_reply(content: Mapping[str, Any], status: HTTPStatus = HTTPStatus.OK) -> Reply:
    """A reply that is JSON alone."""
    return Reply(status, {"Content-Type": "application/json"}, json.dumps(content).encode())


def error_reply(status: HTTPStatus, message: str) -> Reply:
    """An error in the protocol's form."""
    return json_reply({"error": message}, status)


class Models:
    """The models a server offers, and the protocol's questions about them. Each answer may raise ProtocolError."""

    def __init__(self, engines: Mapping[str, Engine]) -> None:
        self._engines = engines

    def get(self, path: str) -> Reply:
        """Health, and metadata of the server and its models."""
        if path in ("/v2", "/v2/"):
            extensions = ["binary_tensor_data"]
            return json_reply({"name": "testbed", "version": version("edge-energy-testbed"), "extensions": extensions})
        if path == "/v2/health/live":
            return json_reply({"live": True})
        if path == "/v2/health/ready":
            return json_reply({"ready": True})
        name, verb = self._resolve(path)
        if verb == "/infer":
            raise ProtocolError(HTTPStatus.METHOD_NOT_ALLOWED, "an inference is asked for with POST")
        if verb == "/ready":
            return json_reply({"name": name, "ready": True})
        engine = self._engines[name]
        return json_reply(
            {
                "name": name,
                "versions": [MODEL_VERSION],
                "platform": engine.platform,
                "inputs": [_metadata(spec) for spec in engine.inputs],
                "outputs": [_metadata(spec) for spec in engine.outputs],
            }
        )

    def model_to_infer(self, path: str) -> str:
        """The name of the model whose inference `path` asks for."""
        name, verb = self._resolve(path)
        if verb != "/infer":
            raise ProtocolError(HTTPStatus.METHOD_NOT_ALLOWED, "only inferences are asked for with POST")
        return name

    def infer(self, name: str, head_length: str | None, body: memoryview) -> Reply:
        """One inference with a model that `model_to_infer` named."""
        engine = self._engines[name]
        try:
            head, binary = split(body, head_length)
            inputs = decode(head.get("inputs"), binary)
            _check(name, engine.inputs, inputs)
            wanted = _wanted(name, head, engine.outputs)
        except MalformedTensor as error:
            raise ProtocolError(HTTPStatus.BAD_REQUEST, str(error)) from None
        try:
            outputs = engine.infer(inputs)
        except Exception as error:
            raise ProtocolError(HTTPStatus.INTERNAL_SERVER_ERROR, f"model '{name}' failed: {error}") from error
        answer = {"model_name": name, "model_version": MODEL_VERSION}
        if "id" in head:
            answer["id"] = head["id"]
        try:
            return _pack(answer, {output: (outputs[output], binary) for output, binary in wanted.items()})
        except MalformedTensor as error:
            raise ProtocolError(HTTPStatus.BAD_REQUEST, str(error)) from None

    def _resolve(self, path: str) -> tuple[str, str | None]:
        asked = _MODEL_PATH.fullmatch(path)
        if asked is None:
            raise ProtocolError(HTTPStatus.NOT_FOUND, f"there is nothing at {path[:200]}")
        if asked["model"] not in self._engines:
            known = ", ".join(sorted(self._engines)) or "none"
            raise ProtocolError(HTTPStatus.NOT_FOUND, f"model '{asked['model']}' is not served here; served: {known}")
        if asked["version"] not in (None, MODEL_VERSION):
            raise ProtocolError(HTTPStatus.NOT_FOUND, f"model '{asked['model']}' has version {MODEL_VERSION} only")
        return asked["model"], asked["verb"]


def _metadata(spec: TensorSpec) -> dict[str, Any]:
    return {"name": spec.name, "datatype": spec.datatype, "shape": list(spec.shape)}


def _check(model: str, specs: Sequence[TensorSpec], inputs: Tensors) -> None:
    needed = {spec.name for spec in specs}
    if needed != inputs.keys():
        raise MalformedTensor(f"model '{model}' takes {sorted(needed)}, the request holds {sorted(inputs)}")
    for spec in specs:
        given = inputs[spec.name]
        fits = len(given.shape) == len(spec.shape) and all(
            size in (-1, got) for size, got in zip(spec.shape, given.shape, strict=True)
        )
        if not fits or datatype(given.dtype) != spec.datatype:
            raise MalformedTensor(
                f"input '{spec.name}' of model '{model}' is {spec.datatype} {list(spec.shape)}, "
                f"the request holds {datatype(given.dtype)} {list(given.shape)}"
            )


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
