"""The protocol over HTTP, with binary tensors where the server has them."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http.client import HTTPException, HTTPMessage, HTTPResponse
from typing import Any
from urllib.parse import quote

from testbed.agent.compression import CannotInflate, deflate, inflate
from testbed.agent.contract import Clock, Tensors
from testbed.agent.server_timing import SERVER_TIMING, compute_ns
from testbed.agent.targets.exchange import Exchange
from testbed.agent.targets.failures import NoAnswer, RequestRefused, Unavailable
from testbed.agent.targets.signature import Signature
from testbed.agent.targets.terms import Terms, tls_context
from testbed.agent.targets.wire import Wire
from testbed.agent.tensors import (
    BINARY_EXTENSION,
    HEAD_LENGTH,
    MalformedTensor,
    decode,
    encode_binary,
    encode_json,
    head_of,
    split,
)

MOST_REPLY_BYTES = 1 << 28
"""a compressed reply that inflates to more is no answer"""


def encode_request(inputs: Tensors, request_id: str = "0") -> list[bytes | memoryview]:
    """An inference request's HTTP body in pieces, asking for binary outputs; the first is its JSON head."""
    pairs = [encode_binary(name, tensor) for name, tensor in inputs.items()]
    head = {
        "id": request_id,
        "parameters": {"binary_data_output": True},
        "inputs": [description for description, _ in pairs],
    }
    return [head_of(head), *(elements for _, elements in pairs)]


class HttpChannel:
    """One model on the server. A connection is opened when first asked, then kept alive."""

    def __init__(self, host: str, port: int, secure: bool, model: str, clock: Clock, terms: Terms) -> None:
        """Raises ValueError for certificates that cannot be read."""
        self._host, self._port = host, port
        self._tls = tls_context(terms) if secure else None
        self._path = f"/v2/models/{quote(model, safe='')}"
        self._model = model
        self._clock = clock
        self._terms = terms
        self._wire: Wire | None = None
        self._binary: bool | None = None
        """None: the server did not say whether it reads binary tensors, and was not tried"""

    def describe(self, deadline_ns: int) -> Signature:
        """The model's metadata; and whether the server names the binary extension among its own."""
        server = self._ask("GET", "/v2", deadline_ns)
        if server.status == 200 and self._binary is None and BINARY_EXTENSION in _extensions(server.json()):
            self._binary = True
        model = self._ask("GET", self._path, deadline_ns)
        _require_answer(model)
        return Signature.read(self._model, model.json())

    def prepare(self, inputs: Tensors, request_id: str) -> Callable[[int], Exchange]:
        """A server that may not have the binary extension, and refuses, is sent JSON from then on."""
        request = self._encoded(inputs, request_id)

        def send(deadline_ns: int) -> Exchange:
            try:
                exchange = self._infer(request, request_id, deadline_ns)
            except (_NotRead, _Failed):
                if self._binary is not None:
                    raise
                self._binary = False
            else:
                self._binary = self._binary is not False
                return exchange
            try:
                return self._infer(self._encoded(inputs, request_id), request_id, deadline_ns)
            except Exception:
                self._binary = None
                raise

        return send

    def computed(self, deadline_ns: int) -> tuple[int, int] | None:
        """From the statistics extension."""
        reply = self._ask("GET", f"{self._path}/stats", deadline_ns)
        try:
            counted = reply.json()["model_stats"][0]["inference_stats"]["compute_infer"]
            return int(counted["count"]), int(counted["ns"])
        except (MalformedTensor, LookupError, TypeError, ValueError):
            return None

    def abort(self) -> None:
        if self._wire is not None:
            self._wire.abort()
            self._wire = None

    def close(self) -> None:
        if self._wire is not None:
            self._wire.finish()
            self._wire = None

    def _encoded(self, inputs: Tensors, request_id: str) -> tuple[_Pieces, dict[str, str]]:
        if self._binary is False:
            head = {"id": request_id, "inputs": [encode_json(name, tensor) for name, tensor in inputs.items()]}
            body: _Pieces = [head_of(head)]
            headers = {"Content-Type": "application/json"}
        else:
            body = encode_request(inputs, request_id)
            headers = {"Content-Type": "application/octet-stream", HEAD_LENGTH: str(len(body[0]))}
        if self._terms.compress is not None:
            coding = self._terms.compress
            body = [deflate(b"".join(body), coding)]
            headers |= {"Content-Encoding": coding, "Accept-Encoding": coding}
        return body, {**headers, "Content-Length": str(sum(map(len, body)))}

    def _infer(self, request: tuple[_Pieces, dict[str, str]], request_id: str, deadline_ns: int) -> Exchange:
        reply = self._ask("POST", f"{self._path}/infer", deadline_ns, *request)
        _require_answer(reply)
        head, binary = split(memoryview(reply.content), reply.headers.get(HEAD_LENGTH))
        if head.get("id", request_id) != request_id:
            raise MalformedTensor(f"the reply is to request {head['id']!r}, not {request_id!r}")
        outputs = decode(head.get("outputs"), binary)
        told_ns = compute_ns(reply.headers.get(SERVER_TIMING))
        return Exchange(outputs, reply.sent_ns, reply.answered_ns, reply.received_ns, told_ns)

    def _ask(
        self, method: str, path: str, deadline_ns: int, body: _Pieces | None = None, headers: Mapping[str, str] = {}
    ) -> _Reply:
        given = dict(headers)
        if self._terms.token is not None:
            given["Authorization"] = f"Bearer {self._terms.token}"
        try:
            response, sent_ns = self._head((method, path, body, given), deadline_ns)
        except ConnectionError as error:
            raise Unavailable(str(error)) from error
        except ssl.SSLCertVerificationError as error:
            raise RequestRefused(
                f"its certificate is not to be trusted: {error.verify_message}; give the endpoint a `ca_file` that "
                "vouches for it, and the host's name as the certificate has it"
            ) from error
        except (OSError, HTTPException) as error:
            raise _no_answer(error) from error
        try:
            answered_ns = self._clock.now_ns()
            content = response.read()
            received_ns = self._clock.now_ns()
            if (coding := response.getheader("Content-Encoding", "identity")) != "identity":
                content = inflate(content, coding, MOST_REPLY_BYTES)
        except (OSError, HTTPException, CannotInflate) as error:
            raise _no_answer(error) from error
        if response.will_close:
            self.close()
        return _Reply(response.status, response.reason, response.headers, content, sent_ns, answered_ns, received_ns)

    def _head(self, request: _Request, deadline_ns: int) -> tuple[HTTPResponse, int]:
        """The reply's head, and when the request had left. A kept connection the server has closed is opened anew."""
        if self._wire is not None:
            self._wire.deadline_ns = deadline_ns
            try:
                return self._sent(self._wire, request)
            except ConnectionError:
                self.abort()
        self._wire = Wire(self._host, self._port, self._tls, self._clock, deadline_ns)
        return self._sent(self._wire, request)

    def _sent(self, wire: Wire, request: _Request) -> tuple[HTTPResponse, int]:
        method, path, body, headers = request
        wire.connection.request(method, path, body, headers)
        wire.drain()
        sent_ns = self._clock.now_ns()
        return wire.connection.getresponse(), sent_ns


class _NotRead(RequestRefused):
    """It makes nothing of the request's body."""


class _Failed(NoAnswer):
    """It broke over the request, as MLServer 1.7 does over binary tensors."""


_Pieces = list["bytes | memoryview"]
_Request = tuple[str, str, "_Pieces | None", Mapping[str, str]]


@dataclass(frozen=True, slots=True)
class _Reply:
    status: int
    reason: str
    headers: HTTPMessage
    content: bytes
    sent_ns: int
    answered_ns: int
    received_ns: int

    def json(self) -> dict[str, Any]:
        """Raises MalformedTensor."""
        return split(memoryview(self.content), None)[0]


def _extensions(metadata: Mapping[str, Any]) -> list[object]:
    extensions = metadata.get("extensions")
    return extensions if isinstance(extensions, list) else []


def _require_answer(reply: _Reply) -> None:
    """Raises RequestRefused, Unavailable or NoAnswer for any status but 200."""
    if reply.status == 200:
        return
    message = f"{reply.status} {_error_text(reply)}"
    after = reply.headers.get("Retry-After", "")
    if reply.status in (429, 503) and after.isascii() and after.isdigit():
        raise Unavailable(message, float(after))
    if reply.status in (401, 403):
        raise RequestRefused(f"{message}: give the endpoint the server's token (token_file or token_env)")
    if reply.status in (400, 415, 422):
        raise _NotRead(message)
    if 400 <= reply.status < 500 and reply.status not in (408, 429):
        raise RequestRefused(message)
    raise _Failed(message) if reply.status == 500 else NoAnswer(message)


def _no_answer(error: Exception) -> NoAnswer:
    return NoAnswer("no answer in time" if isinstance(error, TimeoutError) else str(error) or type(error).__name__)


def _error_text(reply: _Reply) -> str:
    """As the protocol has it, or as FastAPI (KServe, MLServer) does."""
    try:
        head = reply.json()
        return str(head["error"] if "error" in head else head["detail"])
    except (MalformedTensor, KeyError):
        return reply.reason
