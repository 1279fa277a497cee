"""A virtual board's radio: a relay that lets requests reach a real server only as fast as the air or a kernel does."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
import time
from collections import deque
from collections.abc import Iterator
from types import TracebackType
from urllib.parse import urlsplit

from testbed.virtual.air import Air
from testbed.virtual.carriage import Carriage
from testbed.virtual.http_stream import HttpStream, StreamEnded
from testbed.virtual.passage import Draws, Passage, Play, PowerCurve, Trip

__all__ = ["Play", "PowerCurve", "Radio", "Trip"]

WINDOW_BYTES = 1 << 13
"""receive buffer, which the kernel doubles: bytes that leave the sender before their time, at most"""
_CONNECT_TIMEOUT_S = 5.0
_STOP_TIMEOUT_S = 5.0


class Radio:
    """The relay, from entering to leaving; clients find it at `url`. HTTP with Content-Length, without pipelining.

    A server that hangs, dies or refuses is passed on as such. In an outage nothing passes, until the client gives up.
    """

    def __init__(
        self,
        server_url: str,
        power: PowerCurve,
        play: Play,
        air: Air,
        seed: int,
        carrier: type[Passage] | type[Carriage] = Passage,
    ) -> None:
        """`power` says what the radio draws, `play` is told when it draws more than idling. The carrier of a connection
        holds bytes to the times of the air, or passes them on to a kernel that does.

        Raises ValueError for a server that is not at http://host:port.
        """
        parts = urlsplit(server_url)
        if parts.scheme != "http" or parts.hostname is None:
            raise ValueError(f"the virtual radio reaches http://host:port only, not '{server_url}'")
        self._server = (parts.hostname, parts.port or 80)
        self._power = power
        self._play = play
        self._draws = Draws(air, seed)
        self._carrier = carrier
        self._lock = threading.Lock()
        self._sockets: set[socket.socket] = set()
        self._threads: list[threading.Thread] = []
        self._stopping = False
        self.trips: deque[Trip] = deque(maxlen=1024)
        """the latest requests that were replied to, oldest first"""

    def __enter__(self) -> Radio:
        self._listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, WINDOW_BYTES)  # accepted connections inherit it
        self._listener.bind(("127.0.0.1", 0))
        self._listener.listen()
        self._acceptor = threading.Thread(target=self._accept, name="radio")
        self._acceptor.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        with self._lock:
            self._stopping = True
            for connection in (self._listener, *self._sockets):
                with contextlib.suppress(OSError):  # the other end was faster
                    connection.shutdown(socket.SHUT_RDWR)
        deadline_s = time.monotonic() + _STOP_TIMEOUT_S
        for thread in (self._acceptor, *self._threads):
            thread.join(max(0.0, deadline_s - time.monotonic()))
        self._listener.close()

    @property
    def url(self) -> str:
        """Where the board's applications reach the server."""
        host, port = self._listener.getsockname()
        return f"http://{host}:{port}"

    def set_air(self, air: Air) -> None:
        """Takes effect with the next request."""
        self._draws.set_air(air)

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:  # stopping
                return
            thread = threading.Thread(target=self._connection, args=(client,), name="radio-connection")
            self._threads = [*(earlier for earlier in self._threads if earlier.is_alive()), thread]
            thread.start()

    def _connection(self, client: socket.socket) -> None:
        with contextlib.suppress(StreamEnded, OSError), self._owned(client):
            try:
                server = socket.create_connection(self._server, _CONNECT_TIMEOUT_S)
            except OSError:
                # The board would have been refused; the nearest that a relay that listens can do is a reset.
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                return
            server.settimeout(None)
            with self._owned(server):
                streams = HttpStream(client), HttpStream(server)
                self._carrier(*streams, self._draws, self._power, self._play, self.trips.append).relay()

    @contextlib.contextmanager
    def _owned(self, connection: socket.socket) -> Iterator[None]:
        """A socket that leaving the radio may shut, and that is closed in the end."""
        with connection:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self._lock:
                if self._stopping:
                    raise StreamEnded("the radio is switched off")
                self._sockets.add(connection)
            try:
                yield
            finally:
                with self._lock:
                    self._sockets.discard(connection)
