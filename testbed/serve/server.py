"""The HTTP end of the inference server, on the standard library's threading server."""

from __future__ import annotations

import logging
import socket
import threading
import time
from collections.abc import Callable, Mapping
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any
from urllib.parse import unquote, urlsplit

from testbed.agent.tensors import HEAD_LENGTH
from testbed.serve.engine import Engine
from testbed.serve.protocol import Models, ProtocolError, Reply, error_reply

_log = logging.getLogger(__name__)

BeforeReply = Callable[[str, int], None]
"""called before a reply goes out, with the model and the CLOCK_MONOTONIC time at which the request was there whole"""


class InferenceServer:
    """Serves from entering to leaving, each connection on a thread of its own.

    Raises OSError when the address cannot be had.
    """

    def __init__(
        self,
        engines: Mapping[str, Engine],
        host: str = "127.0.0.1",
        port: int = 0,
        max_request_bytes: int = 1 << 28,
        before_reply: BeforeReply | None = None,
    ) -> None:
        """`port` 0 takes a free one. A larger request than `max_request_bytes` is refused."""
        self._http = _Http((host, port), Models(engines), max_request_bytes, before_reply)
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.1,), name="serve")
        self.stopping = threading.Event()
        """set on leaving: a `before_reply` that waits must not wait longer"""

    @property
    def url(self) -> str:
        """Where clients find it."""
        host, port = self._http.server_address[:2]
        return f"http://{host!s}:{port}"

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


class _Http(ThreadingHTTPServer):
    daemon_threads = False  # leaving waits for every connection's thread
    request_queue_size = 64

    def __init__(
        self, address: tuple[str, int], models: Models, max_request_bytes: int, before_reply: BeforeReply | None
    ) -> None:
        super().__init__(address, _Handler)
        self.models = models
        self.max_request_bytes = max_request_bytes
        self.before_reply = before_reply
        self._connections: set[socket.socket] = set()
        self._lock = threading.Lock()

    def get_request(self) -> tuple[socket.socket, Any]:
        connection, address = super().get_request()
        with self._lock:
            self._connections.add(connection)
        return connection, address

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


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version = "testbed"
    sys_version = ""
    disable_nagle_algorithm = True
    wbufsize = 1 << 16  # a head and a small body leave in one segment
    timeout = 600.0  # a connection this long silent is closed
    server: _Http

    def do_GET(self) -> None:
        try:
            reply = self.server.models.get(self._path())
        except ProtocolError as error:
            reply = error_reply(error.status, str(error))
        self._send(reply)

    def do_POST(self) -> None:
        try:
            body = self._body()
            received_ns = time.monotonic_ns()
            model = self.server.models.model_to_infer(self._path())
            reply = self.server.models.infer(model, self.headers.get(HEAD_LENGTH), body)
        except ProtocolError as error:
            self._send(error_reply(error.status, str(error)))
        else:
            self._send(reply, (model, received_ns))

    def _path(self) -> str:
        return unquote(urlsplit(self.path).path)

    def _body(self) -> memoryview:
        """The request's body, read whole. What cannot be read is refused, and the connection ended."""
        length = self.headers.get("Content-Length", "")
        if not (length.isascii() and length.isdigit()):
            raise self._refusal(HTTPStatus.LENGTH_REQUIRED, "the request needs a Content-Length")
        if int(length) > self.server.max_request_bytes:
            most = self.server.max_request_bytes
            raise self._refusal(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"a request of {length} bytes is over {most}")
        if self.headers.get("Content-Encoding", "identity") != "identity":
            raise self._refusal(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "compressed requests are not supported")
        body = memoryview(bytearray(int(length)))
        filled = 0
        while filled < len(body):
            got = self.rfile.readinto(body[filled:])
            if not got:
                raise ConnectionAbortedError("the client left in the middle of a request")
            filled += got
        return body

    def _refusal(self, status: HTTPStatus, message: str) -> ProtocolError:
        self.close_connection = True
        return ProtocolError(status, message)

    def _send(self, reply: Reply, inference: tuple[str, int] | None = None) -> None:
        self.send_response(reply.status)
        for name, value in reply.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(reply.body)))
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        if inference is not None and self.server.before_reply is not None:
            self.server.before_reply(*inference)
        self.wfile.write(reply.body)

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """What the standard library finds wrong with a request, in the protocol's form."""
        self.close_connection = True
        status = HTTPStatus(code)
        self._send(error_reply(status, message or explain or status.phrase))

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the standard library's name
        _log.debug(format, *args)
