"""A connection to an HTTP server on which everything together ends by one deadline, and that knows when bytes left."""

from __future__ import annotations

import io
import select
import socket
import ssl
import struct
from collections.abc import Callable
from http.client import HTTPConnection
from typing import Any, cast

from testbed.agent.contract import Clock


class Wire:
    """Connects when made; `deadline_ns`, on the board's clock, holds for everything. Raises OSError, TimeoutError too.

    `connection` is the standard library's, over this.
    """

    def __init__(self, host: str, port: int, tls: ssl.SSLContext | None, clock: Clock, deadline_ns: int) -> None:
        self._clock = clock
        self.deadline_ns = deadline_ns
        self._held: list[memoryview] = []
        self._socket = socket.create_connection((host, port), self._left_s())
        try:
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if tls is not None:
                self._socket.settimeout(self._left_s())
                self._socket = tls.wrap_socket(self._socket, server_hostname=host)
        except BaseException:
            self._socket.close()
            raise
        self.connection = HTTPConnection(host, port)
        self.connection.auto_open = 0
        self.connection.sock = cast(socket.socket, self)  # it asks for no more of a socket than the next three methods

    def sendall(self, data: bytes | memoryview) -> None:
        """Held until `drain`: head and body then leave together, without having been copied together."""
        self._held.append(memoryview(data))

    def makefile(self, mode: str) -> io.BufferedReader:
        return io.BufferedReader(cast(io.RawIOBase, _Incoming(self._receive_into)))

    def close(self) -> None:
        """http.client lets go as soon as it has a reply's head: the socket stays open until `finish` or `abort`."""

    def drain(self) -> None:
        """Send what is held, and wait until the kernel has sent everything: over a slow radio, written is not sent.

        The kernel calls a socket writable again once fewer unsent bytes than TCP_NOTSENT_LOWAT are left.
        """
        self._write()
        low = getattr(socket, "TCP_NOTSENT_LOWAT", None)
        if low is None:
            return
        self._socket.setsockopt(socket.IPPROTO_TCP, low, 1)
        poll = select.poll()
        poll.register(self._socket, select.POLLOUT)
        poll.poll(self._left_s() * 1e3)
        self._socket.setsockopt(socket.IPPROTO_TCP, low, 0)  # 0: the system's default

    def _write(self) -> None:
        held, self._held = self._held, []
        if isinstance(self._socket, ssl.SSLSocket):  # which has no sendmsg
            self._socket.settimeout(self._left_s())
            self._socket.sendall(b"".join(held))
            return
        while held:
            self._socket.settimeout(self._left_s())
            sent = self._socket.sendmsg(held)
            while held and sent >= len(held[0]):
                sent -= len(held.pop(0))
            if sent:
                held[0] = held[0][sent:]

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
