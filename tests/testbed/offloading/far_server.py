"""A server of other people: answers each path as a test lays down, and remembers what it was asked."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Answer = tuple[int, dict[str, str], object]
"""status, headers, and a body: bytes, or what is sent as JSON"""


@dataclass(frozen=True, slots=True)
class Asked:
    method: str
    path: str
    headers: Message
    body: bytes


@dataclass
class FarServer:
    url: str
    asked: list[Asked] = field(default_factory=list)

    def bodies(self, verb: str) -> list[Asked]:
        return [each for each in self.asked if each.path.endswith(verb)]


METADATA: dict[str, Any] = {
    "name": "net-fp32",
    "versions": ["1"],
    "platform": "elsewhere",
    "inputs": [{"name": "x", "datatype": "INT8", "shape": [-1]}],
    "outputs": [{"name": "y", "datatype": "FP32", "shape": [-1, 2]}],
}
REPLY = {"model_name": "net-fp32", "outputs": [{"name": "y", "datatype": "FP32", "shape": [1, 2], "data": [1, 2]}]}


def ok(content: object, **headers: str) -> Callable[[Asked], Answer]:
    return lambda _: (200, {name.replace("_", "-"): value for name, value in headers.items()}, content)


def usual(**others: Callable[[Asked], Answer]) -> dict[str, Callable[[Asked], Answer]]:
    """Server and model metadata, and a JSON reply; `others` by the last part of the path."""
    return {"v2": ok({"name": "far", "extensions": []}), "net-fp32": ok(METADATA), "infer": ok(REPLY), **others}


@contextmanager
def far_server(answers: dict[str, Callable[[Asked], Answer]]) -> Iterator[FarServer]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = 1 << 16

        def answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
            asked = Asked(self.command, self.path, self.headers, body)
            far.asked.append(asked)
            found = answers.get(self.path.rpartition("/")[2])
            status, headers, content = found(asked) if found else (404, {}, {"error": "nothing there"})
            sent = content if isinstance(content, bytes) else json.dumps(content).encode()
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(sent))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(sent)

        def do_GET(self) -> None:
            self.answer()

        def do_POST(self) -> None:
            self.answer()

        def log_message(self, *args: object) -> None:
            pass

    class Http(ThreadingHTTPServer):
        def handle_error(self, *args: object) -> None:
            """The client left first."""

    with Http(("127.0.0.1", 0), Handler) as http:
        far = FarServer(f"http://127.0.0.1:{http.server_address[1]}")
        thread = threading.Thread(target=http.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield far
        finally:
            http.shutdown()
            thread.join()
