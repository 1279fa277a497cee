"""One connection through the virtual radio where a kernel shapes the way: bytes pass as it lets them through.

The radio only draws power meanwhile: to send, from the first byte until the far side has acknowledged the last, less
the round trip that an acknowledgement takes; to receive, from the first byte until the last.
"""

from __future__ import annotations

import fcntl
import select
import socket
import struct
import termios
import time
from collections.abc import Callable

from testbed.virtual.http_stream import Head, HttpStream, StreamEnded, poll_for, readable
from testbed.virtual.passage import Draws, Play, PowerCurve, Trip

CHUNK_BYTES = 1 << 12
"""handed to the kernel at once, and held there unsent at most: the client is to see its bytes leave when they do"""
STEP_MS = 1
"""power is played in steps of about this length, each when it is over"""
_INT = struct.Struct("=i")
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)


class Carriage:
    """Stands where `testbed.virtual.passage.Passage` does; reports trips as they were seen."""

    def __init__(
        self,
        client: HttpStream,
        server: HttpStream,
        draws: Draws,
        power: PowerCurve,
        play: Play,
        report: Callable[[Trip], None],
    ) -> None:
        self._client = client
        self._server = server
        self._draws = draws
        self._power = power
        self._play = play
        self._report = report
        ends = client.socket, server.socket
        self._request_or_end = poll_for(*((end, select.POLLIN) for end in ends))
        self._leave = poll_for((client.socket, select.POLLRDHUP))
        self._incoming = poll_for((client.socket, select.POLLIN))
        self._room = poll_for((client.socket, select.POLLRDHUP), (server.socket, select.POLLOUT))
        self._reply = poll_for((client.socket, select.POLLRDHUP), (server.socket, select.POLLIN))

    def relay(self) -> None:
        """One request after the other. Raises StreamEnded or OSError once an end is gone: close the other then."""
        server = self._server.socket
        server.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, CHUNK_BYTES)
        try:
            while True:
                self._request_or_end.poll()
                if readable(server):
                    raise StreamEnded("the server closed an idle connection")
                self._carry_one()
        except (StreamEnded, OSError):
            # What is still unsent would keep the way busy, for an answer nobody waits for.
            server.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
            raise

    def _carry_one(self) -> None:
        head = self._client.read_head()
        air, start_ns = self._draws.air, time.monotonic_ns()
        delay_ns = round(air.delay_s * 1e9)
        acknowledged_ns = self._upload(head, self._power.transmit_w(air.rssi_dbm), start_ns + 2 * delay_ns)
        while not readable(self._server.socket):
            self._reply.poll()
            self._require_client()
        answered_ns = time.monotonic_ns()
        reply = self._server.read_head()
        down_bytes, received_ns = self._download(reply, self._power.receive_w(air.rssi_dbm), answered_ns)
        sent_ns, replied_ns = max(start_ns, acknowledged_ns - 2 * delay_ns), answered_ns - delay_ns
        times_ns = (start_ns, sent_ns, sent_ns + delay_ns, replied_ns, answered_ns, received_ns)
        self._report(Trip(air, head.body_bytes or 0, down_bytes, *times_ns))
        if down_bytes != reply.body_bytes:
            raise StreamEnded("the server closed the connection with its reply")

    def _upload(self, head: Head, power_w: float, drawn_ns: int) -> int:
        """Draws from `drawn_ns` on; returns when the last byte was acknowledged."""
        left, waiting = head.body_bytes or 0, head.raw
        while left or waiting or self._unacknowledged():
            if waiting:
                self._room.poll(STEP_MS)
                waiting = waiting[self._push(waiting) :]
            elif left and (self._client.buffered or self._incoming.poll(STEP_MS)):
                waiting = self._client.read(min(left, CHUNK_BYTES))
                left -= len(waiting)
            elif not left:
                self._leave.poll(STEP_MS)
            self._require_client()
            drawn_ns = self._draw(power_w, drawn_ns)
        return time.monotonic_ns()

    def _download(self, reply: Head, power_w: float, drawn_ns: int) -> tuple[int, int]:
        """Draws from `drawn_ns` on; returns the length of the body that came, and when its last byte did."""
        self._client.send(reply.raw)
        got = 0
        while got != reply.body_bytes:
            if self._server.buffered or readable(self._server.socket):
                try:
                    data = self._server.read(CHUNK_BYTES if reply.body_bytes is None else reply.body_bytes - got)
                except StreamEnded:
                    break
                self._client.send(data)
                got += len(data)
            else:
                self._reply.poll(STEP_MS)
                self._require_client()
            drawn_ns = self._draw(power_w, drawn_ns)
        return got, time.monotonic_ns()

    def _draw(self, power_w: float, since_ns: int) -> int:
        """Play what has been drawn since then; returns the time until which that is."""
        now_ns = time.monotonic_ns()
        if now_ns <= since_ns:
            return since_ns
        self._play(since_ns, [((now_ns - since_ns) * 1e-9, power_w - self._power.idle_w)])
        return now_ns

    def _push(self, data: bytes) -> int:
        """Hand over what the kernel takes at once; returns how much."""
        try:
            return self._server.socket.send(data[:CHUNK_BYTES], socket.MSG_DONTWAIT)
        except BlockingIOError:
            return 0

    def _unacknowledged(self) -> int:
        """Bytes that the far side has not acknowledged yet."""
        return int(_INT.unpack(fcntl.ioctl(self._server.socket, termios.TIOCOUTQ, bytes(4)))[0])

    def _require_client(self) -> None:
        if self._leave.poll(0):
            raise StreamEnded("the client left")
