"""A remote target: a server that speaks the Open Inference Protocol (KServe v2) over HTTP with binary tensors."""

from __future__ import annotations

import io
import itertools
import logging
import select
import socket
import ssl
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException, HTTPResponse
from typing import Any, cast
from urllib.parse import quote, urlsplit

from testbed.agent.contract import Clock, Model, Result, Span, TargetFailed, Tensors
from testbed.agent.tensors import HEAD_LENGTH, MalformedTensor, decode, encode_binary, join, split

_log = logging.getLogger(__name__)


class RequestRefused(Exception):
    """The server is well but will not have the request: a model it does not serve, tensors that do not fit it.

    A mistake of the bench or the suite, not an outcome.
    """


def served_name(model: str, precision: str) -> str:
    """The name under which a server offers a model at a precision: "mobilenet-v2" in "int8" is "mobilenet-v2-int8"."""
    return f"{model}-{precision}"


def encode_request(inputs: Tensors, request_id: str = "0") -> tuple[bytes, int]:
    """An inference request's HTTP body, asking for binary outputs, and the length of its JSON head."""
    pairs = [encode_binary(name, tensor) for name, tensor in inputs.items()]
    head = {
        "id": request_id,
        "parameters": {"binary_data_output": True},
        "inputs": [description for description, _ in pairs],
    }
    return join(head, [elements for _, elements in pairs])


class RemoteTarget:
    """A server as a target. Each session keeps a connection of its own."""

    def __init__(self, url: str, clock: Clock, timeout_s: float) -> None:
        """`url` is "http://host:port" or https; an answer later than `timeout_s` counts as none.

        Raises ValueError for another form of url.
        """
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or parts.hostname is None or parts.path not in ("", "/"):
            raise ValueError(f"a server's url is http://host:port, not '{url}'")
        port = parts.port or (443 if parts.scheme == "https" else 80)
        self._server = _Server(url, parts.hostname, port, parts.scheme == "https", timeout_s)
        self._clock = clock

    def load(self, model: Model, precision: str) -> RemoteSession:
        """Needs no network: a server that is not there shows when the session runs."""
        return RemoteSession(self._server, served_name(model.name, precision), self._clock)


@dataclass(frozen=True, slots=True)
class _Server:
    url: str
    host: str
    port: int
    tls: bool
    timeout_s: float


class RemoteSession:
    """One model on the server. Connects when first run, then keeps the connection alive."""

    def __init__(self, server: _Server, model: str, clock: Clock) -> None:
        self._server = server
        self._model = model
        self._clock = clock
        self._ids = itertools.count()
        self._wire: _Wire | None = None

    def warm(self, inputs: Sequence[Tensors]) -> None:
        """Send each input once. A server that gives no answer is left for `run` to report.

        Raises RequestRefused.
        """
        for tensors in inputs:
            try:
                self.run(tensors)
            except TargetFailed as failure:
                _log.warning("not warmed: %s", failure)
                return

    def run(self, inputs: Tensors) -> Result:
        """One inference, with the spans "transmit" (until the network has taken the last byte of the request), "wait"
        (until the reply's head is here) and "receive" (until its last byte is).

        Raises TargetFailed when no whole answer comes in time, and RequestRefused.
        """
        start_ns = self._clock.now_ns()
        deadline_ns = start_ns + round(self._server.timeout_s * 1e9)
        request_id = str(next(self._ids))
        try:
            reply = self._exchange(encode_request(inputs, request_id), deadline_ns)
            outputs = self._outputs(reply, request_id)
        except (OSError, HTTPException, MalformedTensor) as error:
            self._abort()
            spent_s = (self._clock.now_ns() - start_ns) * 1e-9
            what = "no answer in time" if isinstance(error, TimeoutError) else str(error) or type(error).__name__
            raise TargetFailed(f"{self._model} at {self._server.url}: {what}, after {spent_s:.3f} s") from error
        spans = (
            Span("transmit", start_ns, reply.sent_ns),
            Span("wait", reply.sent_ns, reply.answered_ns),
            Span("receive", reply.answered_ns, reply.received_ns),
        )
        return Result(outputs, start_ns, self._clock.now_ns(), spans)

    def close(self) -> None:
        """End the connection."""
        if self._wire is not None:
            self._wire.finish()
            self._wire = None

    def _exchange(self, request: tuple[bytes, int], deadline_ns: int) -> _Reply:
        response, sent_ns = self._ask(request, deadline_ns)
        answered_ns = self._clock.now_ns()
        content = response.read()
        received_ns = self._clock.now_ns()
        if response.will_close:
            self.close()
        return _Reply(response, content, sent_ns, answered_ns, received_ns)

    def _ask(self, request: tuple[bytes, int], deadline_ns: int) -> tuple[HTTPResponse, int]:
        """The reply's head, and when the request had left. A kept connection the server has closed is opened anew."""
        if self._wire is not None:
            self._wire.deadline_ns = deadline_ns
            try:
                return self._send(self._wire, request)
            except ConnectionError:
                self._abort()
        self._wire = _Wire(self._server, self._clock, deadline_ns)
        return self._send(self._wire, request)

    def _send(self, wire: _Wire, request: tuple[bytes, int]) -> tuple[HTTPResponse, int]:
        body, head_length = request
        headers = {"Content-Type": "application/octet-stream", HEAD_LENGTH: str(head_length)}
        wire.connection.request("POST", f"/v2/models/{quote(self._model, safe='')}/infer", body, headers)
        wire.drain()
        sent_ns = self._clock.now_ns()
        return wire.connection.getresponse(), sent_ns

    def _abort(self) -> None:
        if self._wire is not None:
            self._wire.abort()
            self._wire = None

    def _outputs(self, reply: _Reply, request_id: str) -> Tensors:
        status = reply.response.status
        if status != 200:
            message = f"{status} {_error_text(reply)}"
            if 400 <= status < 500:
                raise RequestRefused(f"{self._model} at {self._server.url}: {message}")
            raise HTTPException(message)
        head, binary = split(memoryview(reply.content), reply.response.getheader(HEAD_LENGTH))
        if head.get("id", request_id) != request_id:
            raise MalformedTensor(f"the reply is to request {head['id']!r}, not {request_id!r}")
        return decode(head.get("outputs"), binary)


@dataclass(frozen=True, slots=True)
class _Reply:
    response: HTTPResponse
    content: bytes
    sent_ns: int
    answered_ns: int
    received_ns: int


def _error_text(reply: _Reply) -> str:
    try:
        head, _ = split(memoryview(reply.content), None)
        return str(head["error"])
    except (MalformedTensor, KeyError):
        return reply.response.reason


class _Wire:
    """A connection to the server on which everything together has to end by one deadline of the board's clock."""

    def __init__(self, server: _Server, clock: Clock, deadline_ns: int) -> None:
        self._clock = clock
        self.deadline_ns = deadline_ns
        self._socket = socket.create_connection((server.host, server.port), self._left_s())
        try:
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if server.tls:
                self._socket.settimeout(self._left_s())
                self._socket = ssl.create_default_context().wrap_socket(self._socket, server_hostname=server.host)
        except BaseException:
            self._socket.close()
            raise
        self.connection = HTTPConnection(server.host, server.port)
        self.connection.auto_open = 0
        self.connection.sock = cast(socket.socket, self)  # it asks for no more of a socket than the next three methods

    def sendall(self, data: bytes) -> None:
        self._socket.settimeout(self._left_s())
        self._socket.sendall(data)

    def makefile(self, mode: str) -> io.BufferedReader:
        return io.BufferedReader(cast(io.RawIOBase, _Incoming(self._receive_into)))

    def close(self) -> None:
        """http.client lets go as soon as it has a reply's head: the socket stays open until `finish` or `abort`."""

    def drain(self) -> None:
        """Wait until the kernel has sent everything: over a slow radio, written is not sent.

        The kernel calls a socket writable again once fewer unsent bytes than TCP_NOTSENT_LOWAT are left.
        """
        low = getattr(socket, "TCP_NOTSENT_LOWAT", None)
        if low is None:
            return
        self._socket.setsockopt(socket.IPPROTO_TCP, low, 1)
        poll = select.poll()
        poll.register(self._socket, select.POLLOUT)
        poll.poll(self._left_s() * 1e3)
        self._socket.setsockopt(socket.IPPROTO_TCP, low, 0)  # 0: the system's default

    def finish(self) -> None:
        self._socket.close()

    def abort(self) -> None:
        """Close without sending what is still unsent: a radio should not work for an answer nobody waits for."""
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._socket.close()

    def _receive_into(self, buffer: memoryview) -> int:
        self._socket.settimeout(self._left_s())
        return self._socket.recv_into(buffer)

    def _left_s(self) -> float:
        left_ns = self.deadline_ns - self._clock.now_ns()
        if left_ns <= 0:
            raise TimeoutError
        return left_ns * 1e-9


class _Incoming(io.RawIOBase):
    """The raw side of a reply's file."""

    def __init__(self, receive_into: Callable[[memoryview], int]) -> None:
        self._receive_into = receive_into

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        return self._receive_into(buffer)
