"""HTTP messages as a relay needs them: a head, and as many bytes of body as it says. Nothing is interpreted further."""

from __future__ import annotations

import re
import select
import socket
from dataclasses import dataclass

_END = b"\r\n\r\n"
_LENGTH = re.compile(rb"^content-length:[ \t]*(\d+)[ \t]*\r$", re.IGNORECASE | re.MULTILINE)
_MOST_HEAD_BYTES = 1 << 16
_CHUNK_BYTES = 1 << 16


class StreamEnded(Exception):
    """There is nothing more to relay on this connection."""


@dataclass(frozen=True, slots=True)
class Head:
    """A message's head as it came, with the blank line that ends it."""

    raw: bytes
    body_bytes: int | None
    """as Content-Length says; None where it says nothing"""


class HttpStream:
    """One end of a relayed connection."""

    def __init__(self, connection: socket.socket) -> None:
        self.socket = connection
        self._buffer = b""

    @property
    def buffered(self) -> bool:
        """Whether there is something to read that the socket no longer holds."""
        return bool(self._buffer)

    def read_head(self) -> Head:
        """The next message's head. Raises StreamEnded when there is none."""
        while _END not in self._buffer:
            if len(self._buffer) > _MOST_HEAD_BYTES:
                raise StreamEnded("this is not HTTP")
            self._buffer += self._receive()
        head, end, self._buffer = self._buffer.partition(_END)
        length = _LENGTH.search(head + b"\r\n")
        return Head(head + end, int(length[1]) if length else None)

    def read(self, most: int) -> bytes:
        """At least one byte of body, and at most so many. Raises StreamEnded when there is none."""
        if not self._buffer:
            return self._receive(min(most, _CHUNK_BYTES))
        taken, self._buffer = self._buffer[:most], self._buffer[most:]
        return taken

    def read_body(self, length: int | None) -> bytes:
        """The whole body, or what came of it before the connection ended; all there is where `length` is None."""
        chunks: list[bytes] = []
        left = length
        try:
            while left != 0:
                chunks.append(self.read(_CHUNK_BYTES if left is None else left))
                left = left if left is None else left - len(chunks[-1])
        except (StreamEnded, OSError):
            pass
        return b"".join(chunks)

    def send(self, data: bytes) -> None:
        """Raises OSError when the other end is gone."""
        self.socket.sendall(data)

    def _receive(self, most: int = _CHUNK_BYTES) -> bytes:
        data = self.socket.recv(most)
        if not data:
            raise StreamEnded("the other end closed the connection")
        return data


def poll_for(*watched: tuple[socket.socket, int]) -> select.poll:
    """Waits for events on sockets."""
    poll = select.poll()
    for connection, events in watched:
        poll.register(connection, events)
    return poll


def readable(connection: socket.socket) -> bool:
    """Whether there is something to read now, if only the end."""
    return bool(poll_for((connection, select.POLLIN)).poll(0))
