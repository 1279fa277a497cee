"""The page and its stream of events over HTTP. On loopback for whoever is at this machine; beyond it, with a token."""

from __future__ import annotations

import hmac
import ipaddress
import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.resources import files
from typing import Any
from urllib.parse import parse_qs, urlsplit

from plotly.offline import get_plotlyjs

from testbed.errors import BenchError
from testbed.live.feed import Feed

LEAST_TOKEN = 16
"""characters"""
RETRY_MS = 1000
"""after which a page that lost its stream asks again"""
_BEAT_S = 10.0
"""between signs of life where nothing changes, by which a reader that has gone is noticed"""
_LOCAL = ("localhost", "127.0.0.1", "::1")


def require_safe(host: str, token: str | None) -> None:
    """Raises BenchError for an address beyond this machine without a token, and for a token that can be guessed."""
    if token is not None and len(token) < LEAST_TOKEN:
        raise BenchError(f"--token: give {LEAST_TOKEN} characters at least, such as `openssl rand -hex 16` makes")
    if token is None and not _is_loopback(host):
        raise BenchError(
            f"--host {host} lets others in: give a token (--token), such as `openssl rand -hex 16` makes; "
            "or keep to this machine and reach it through SSH (ssh -L)"
        )


@contextmanager
def serving(feed: Feed, host: str, port: int, token: str | None) -> Iterator[str]:
    """Serves the feed; yields the address to open. Raises BenchError where the port is taken."""
    require_safe(host, token)
    try:
        server = _Server((host, port), partial(_Handler, feed, token))
    except OSError as error:
        raise BenchError(f"cannot serve on {host}, port {port}: {error.strerror}; choose another --port") from None
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        shown = f"[{host}]" if ":" in host else host
        yield f"http://{shown}:{server.server_address[1]}/" + (f"?token={token}" if token else "")
    finally:
        feed.close()
        server.shutdown()
        server.server_close()
        thread.join()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def __init__(self, address: tuple[str, int], handler: Any) -> None:
        self.address_family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        super().__init__(address, handler)


class _Handler(BaseHTTPRequestHandler):
    server_version = "testbed-live"
    protocol_version = "HTTP/1.1"

    def __init__(self, feed: Feed, token: str | None, *connection: Any) -> None:
        self._feed = feed
        self._token = token
        super().__init__(*connection)

    def do_GET(self) -> None:
        asked = urlsplit(self.path)
        if asked.path == "/plotly.js":  # no secret, and large: it may be kept
            self._answer("text/javascript", get_plotlyjs().encode(), "max-age=86400")
        elif not self._allowed(parse_qs(asked.query).get("token", [""])[0]):
            self._refuse(HTTPStatus.FORBIDDEN, "this page needs the address that testbed live printed")
        elif asked.path == "/":
            page = files("testbed.live").joinpath("page.html").read_bytes()
            self._answer("text/html; charset=utf-8", page, "no-store")
        elif asked.path == "/events":
            self._stream()
        else:
            self._refuse(HTTPStatus.NOT_FOUND, "there is / and nothing else")

    def log_message(self, *_: Any) -> None:
        """The screen belongs to the command line."""

    def _allowed(self, token: str) -> bool:
        if self._token is not None:
            return hmac.compare_digest(token.encode(), self._token.encode())
        # A page from elsewhere that had its name resolve to this machine would come with that name.
        return urlsplit(f"//{self.headers.get('Host', '')}").hostname in _LOCAL

    def _answer(self, kind: str, content: bytes, caching: str) -> None:
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.send_header("Cache-Control", caching)
        self.send_header("Referrer-Policy", "no-referrer")
        self.end_headers()
        self.wfile.write(content)

    def _refuse(self, status: HTTPStatus, why: str) -> None:
        content = f"{why}\n".encode()
        self.send_response(status)
        self.send_header("Content-Type", "text/plain; charset=utf-8")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def _stream(self) -> None:
        self.close_connection = True
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        number: int | None = None
        try:
            self.wfile.write(f"retry: {RETRY_MS}\n\n".encode())
            while (found := self._feed.since(number, _BEAT_S)) is not None:
                number, changes = found
                for change in changes:
                    self.wfile.write(b"data: " + json.dumps(change, allow_nan=False).encode() + b"\n\n")
                if not changes:
                    self.wfile.write(b": still here\n\n")
                self.wfile.flush()
        except (BrokenPipeError, ConnectionResetError):  # the reader went
            pass


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
