"""The HTTP end of the inference server, on the standard library's threading server."""

from __future__ import annotations

import logging
import os
import socket
import socketserver
import ssl
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from http import HTTPStatus
from http.client import HTTPMessage
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any
from urllib.parse import unquote, urlsplit

from testbed.agent.compression import CannotInflate, deflate, inflate
from testbed.agent.server_timing import SERVER_TIMING, timing
from testbed.agent.tensors import HEAD_LENGTH
from testbed.serve.access import may_enter, refuse_open_door
from testbed.serve.engine import Engine
from testbed.serve.gate import Gate
from testbed.serve.protocol import Models, ProtocolError, Reply, error_reply

_log = logging.getLogger(__name__)

_WORTH_DEFLATING_BYTES = 1 << 10

BeforeReply = Callable[[str, int], "int | None"]
"""called before a reply goes out, with the model and the CLOCK_MONOTONIC time at which the request was there whole;
may return for how many nanoseconds the reply is to say that the model computed"""


@dataclass(frozen=True, slots=True)
class Limits:
    """What a server takes on."""

    request_bytes: int = 1 << 28
    """a larger request is refused, inflated or not"""
    computing: int = os.cpu_count() or 1
    """inferences computed at once"""
    waiting: int = 256
    """inferences that wait for their turn; the next is turned away with 503"""
    connections: int = 1024
    """the next is told 503, and ended"""


class InferenceServer:
    """Serves from entering to leaving, each connection on a thread of its own.

    Raises OSError when the address cannot be had.
    """

    def __init__(
        self,
        engines: Mapping[str, Engine],
        host: str = "127.0.0.1",
        port: int = 0,
        limits: Limits | None = None,
        before_reply: BeforeReply | None = None,
        token: str | None = None,
        tls: ssl.SSLContext | None = None,
        versions: Mapping[str, str] | None = None,
        walled: bool = False,
    ) -> None:
        """`port` 0 takes a free one. With a `token` every request must bring it, as a bearer. `walled` vouches for an
        address in a network namespace that only this machine reaches.

        Raises ValueError for any other address beyond this machine without a token.
        """
        if not walled:
            refuse_open_door(host, token)
        kept = limits or Limits()
        self.models = Models(engines, Gate(kept.computing, kept.waiting), versions or {})
        self._http = _Http((host, port), _Service(self.models, kept, before_reply, token, tls))
        self._scheme = "http" if tls is None else "https"
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.1,), name="serve")
        self.stopping = threading.Event()
        """set on leaving: a `before_reply` that waits must not wait longer"""

    @property
    def url(self) -> str:
        """Where clients find it."""
        host, port = self._http.server_address[:2]
        return f"{self._scheme}://[{host!s}]:{port}" if ":" in str(host) else f"{self._scheme}://{host!s}:{port}"

    def __enter__(self) -> InferenceServer:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stopping.set()
        self._http.shutdown()
        self._thread.join()
        self._http.hang_up()
        self._http.server_close()

    def refuse(self) -> None:
        """From now on refuse connections, and end those there are; the process lives on."""
        self._http.shutdown()
        self._http.socket.close()
        self._http.hang_up()


@dataclass(frozen=True, slots=True)
class _Service:
    models: Models
    limits: Limits
    before_reply: BeforeReply | None
    token: str | None
    tls: ssl.SSLContext | None


class _Http(ThreadingHTTPServer):
    daemon_threads = False  # leaving waits for every connection's thread
    request_queue_size = 128

    def __init__(self, address: tuple[str, int], service: _Service) -> None:
        self.address_family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        super().__init__(address, _Handler)
        self.service = service
        self._connections: set[socket.socket] = set()
        self._lock = threading.Lock()

    def server_bind(self) -> None:
        """Without the standard library's look-up of this machine's name, which may ask the network."""
        socketserver.TCPServer.server_bind(self)

    def get_request(self) -> tuple[socket.socket, Any]:
        connection, address = super().get_request()
        if self.service.tls is not None:  # the handshake is its thread's: a slow client must not hold up the others
            connection = self.service.tls.wrap_socket(connection, server_side=True, do_handshake_on_connect=False)
        with self._lock:
            self._connections.add(connection)
        return connection, address

    def verify_request(self, request: Any, client_address: Any) -> bool:
        """Whether there is room for one more connection; one that is turned away without TLS is told why."""
        with self._lock:
            if len(self._connections) <= self.service.limits.connections:
                return True
        if self.service.tls is None:
            with suppress(OSError):
                request.sendall(_NO_ROOM)
        return False

    def shutdown_request(self, request: Any) -> None:
        with self._lock:
            self._connections.discard(request)
        super().shutdown_request(request)

    def hang_up(self) -> None:
        """End every connection, so that its thread ends too."""
        with self._lock:
            for connection in self._connections:
                try:
                    connection.shutdown(socket.SHUT_RDWR)
                except OSError:  # the client was faster
                    continue

    def handle_error(self, request: Any, client_address: Any) -> None:
        _log.debug("connection of %s broke off", client_address, exc_info=True)


_NO_ROOM = (
    b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nConnection: close\r\nContent-Length: 35\r\n\r\n"
    b'{"error": "too many connections"}\r\n'
)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version = "testbed"
    sys_version = ""
    disable_nagle_algorithm = True
    wbufsize = 1 << 16  # a head and a small body leave in one segment
    headers = HTTPMessage()  # of a request that could not be read
    timeout = 600.0  # a connection this long silent is closed
    server: _Http

    def do_GET(self) -> None:
        try:
            self._let_in()
            reply = self.server.service.models.get(self._path())
        except ProtocolError as error:
            reply = error_reply(error.status, str(error))
        self._send(reply)

    def do_POST(self) -> None:
        service = self.server.service
        try:
            self._let_in()
            body = self._body()
            received_ns = time.monotonic_ns()
            reply, model, computed_ns = service.models.post(self._path(), self.headers.get(HEAD_LENGTH), body)
        except ProtocolError as error:
            self._send(error_reply(error.status, str(error)))
            return
        if model is not None and service.before_reply is not None:
            said_ns = service.before_reply(model, received_ns)
            computed_ns = computed_ns if said_ns is None else said_ns
        self._send(reply, None if model is None else {SERVER_TIMING: timing(computed_ns)})

    def _let_in(self) -> None:
        if not may_enter(self.server.service.token, self.headers.get("Authorization")):
            raise self._refusal(HTTPStatus.UNAUTHORIZED, "this server wants its token, as 'Authorization: Bearer ...'")

    def _path(self) -> str:
        return unquote(urlsplit(self.path).path)

    def _body(self) -> memoryview:
        """The request's body, read whole. What cannot be read is refused, and the connection ended."""
        length = self.headers.get("Content-Length", "" if "Transfer-Encoding" in self.headers else "0")
        if not (length.isascii() and length.isdigit()):
            raise self._refusal(HTTPStatus.LENGTH_REQUIRED, "the request needs a Content-Length")
        most = self.server.service.limits.request_bytes
        if int(length) > most:
            raise self._refusal(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"a request of {length} bytes is over {most}")
        body = memoryview(bytearray(int(length)))
        filled = 0
        while filled < len(body):
            got = self.rfile.readinto(body[filled:])
            if not got:
                raise ConnectionAbortedError("the client left in the middle of a request")
            filled += got
        coding = self.headers.get("Content-Encoding", "identity")
        if coding == "identity":
            return body
        try:
            return memoryview(inflate(body, coding, most))
        except CannotInflate as error:
            raise ProtocolError(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, str(error)) from None

    def _refusal(self, status: HTTPStatus, message: str) -> ProtocolError:
        self.close_connection = True
        return ProtocolError(status, message)

    def _send(self, reply: Reply, more: Mapping[str, str] | None = None) -> None:
        headers, body = {**reply.headers, **(more or {})}, reply.body
        coding = _wanted_coding(self.headers.get("Accept-Encoding", ""))
        if coding is not None and len(body) >= _WORTH_DEFLATING_BYTES:
            headers["Content-Encoding"], body = coding, deflate(body, coding)
        self.send_response(reply.status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """What the standard library finds wrong with a request, in the protocol's form."""
        self.close_connection = True
        status = HTTPStatus(code)
        self._send(error_reply(status, message or explain or status.phrase))

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the standard library's name
        _log.debug(format, *args)


def _wanted_coding(accepted: str) -> str | None:
    """The first that the client names and this server writes."""
    names = (part.partition(";")[0].strip().lower() for part in accepted.split(","))
    return next((name for name in names if name in ("gzip", "deflate")), None)
