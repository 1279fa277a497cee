"""One connection through the virtual radio: requests and replies, held to the timeline the air would give them."""

from __future__ import annotations

import select
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from testbed.agent.clock import MonotonicClock
from testbed.virtual.air import Air, download_s, one_way_s, upload_s
from testbed.virtual.http_stream import Head, HttpStream, StreamEnded, poll_for, readable

Play = Callable[[int, Sequence[tuple[float, float]]], None]
"""told what the radio draws beyond idling: a start on the host's CLOCK_MONOTONIC, then durations (s) with powers (W)"""

HELD_BYTES = 1 << 16
"""The end of a request that is left with the sender until its upload is over, so that the sender sees it leave then.

More than the relay's receive buffer holds.
"""
PIECE_NS = 50_000_000
"""power is played in pieces of this length: a client that gives up stops the radio within one"""
_POLL_MARGIN_NS = 1_500_000
_FOREVER_S = 1e6


class PowerCurve(Protocol):
    """Power of the whole radio."""

    @property
    def idle_w(self) -> float: ...

    def transmit_w(self, rssi_dbm: float) -> float: ...

    def receive_w(self, rssi_dbm: float) -> float: ...


@dataclass(frozen=True, slots=True)
class Trip:
    """The timeline of one request, planned but for `replied_ns`. Host's CLOCK_MONOTONIC; bytes of the HTTP bodies."""

    air: Air
    up_bytes: int
    down_bytes: int
    start_ns: int
    """the request's head reached the radio"""
    sent_ns: int
    """its last byte leaves the radio"""
    arrived_ns: int
    """its last byte reaches the server"""
    replied_ns: int
    """the reply's first byte left the server, as seen"""
    answered_ns: int
    """the reply's first byte reaches the board"""
    received_ns: int
    """its last byte does"""


@dataclass(frozen=True, slots=True)
class RequestDraw:
    """The air's part of one request, in seconds."""

    air: Air
    upload_s: float
    up_delay_s: float
    down_delay_s: float


class Draws:
    """The air as it is now, and the seeded draws from it that all connections share."""

    def __init__(self, air: Air, seed: int) -> None:
        self._air = air
        self._rng = np.random.default_rng(seed)
        self._lock = threading.Lock()

    @property
    def air(self) -> Air:
        """As it is now."""
        with self._lock:
            return self._air

    def set_air(self, air: Air) -> None:
        """For requests from now on."""
        with self._lock:
            self._air = air

    def request(self, up_bytes: int) -> RequestDraw:
        """For a request that starts now."""
        with self._lock:
            (upload,) = upload_s(self._rng, self._air, up_bytes, 1)
            up_delay, down_delay = one_way_s(self._rng, self._air, 2)
            return RequestDraw(self._air, float(upload), float(up_delay), float(down_delay))

    def download_s(self, air: Air, down_bytes: int) -> float:
        """For a reply to a request that started in `air`."""
        with self._lock:
            return float(download_s(self._rng, air, down_bytes, 1)[0])


class Passage:
    """Relays until one end closes. What the relay itself needs hides inside what the air needs."""

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
        self._clock = MonotonicClock()
        self._request_or_end = poll_for((client.socket, select.POLLIN), (server.socket, select.POLLIN))
        self._reply_or_leave = poll_for((client.socket, select.POLLRDHUP), (server.socket, select.POLLIN))
        self._leave = poll_for((client.socket, select.POLLRDHUP))

    def relay(self) -> None:
        """One request after the other. Raises StreamEnded or OSError once an end is gone: close the other then."""
        while True:
            self._request_or_end.poll()
            if readable(self._server.socket):
                raise StreamEnded("the server closed an idle connection")
            self._pass_one()

    def _pass_one(self) -> None:
        head = self._client.read_head()
        start_ns = time.monotonic_ns()
        up_bytes = head.body_bytes or 0
        draw = self._draws.request(up_bytes)
        sent_ns = _after(start_ns, draw.upload_s)
        arrived_ns = _after(sent_ns, draw.up_delay_s)
        self._upload(head.raw, up_bytes, draw.air, (start_ns, sent_ns, arrived_ns))
        replied_ns, reply, body = self._reply(draw.down_delay_s)
        answered_ns = max(_after(replied_ns, draw.down_delay_s), time.monotonic_ns())
        received_ns = _after(answered_ns, self._draws.download_s(draw.air, len(body)))
        times_ns = (start_ns, sent_ns, arrived_ns, replied_ns, answered_ns, received_ns)
        self._report(Trip(draw.air, up_bytes, len(body), *times_ns))
        self._download(reply.raw, body, draw.air, (answered_ns, received_ns))
        if len(body) != reply.body_bytes:
            raise StreamEnded("the server closed the connection with its reply")

    def _upload(self, head: bytes, up_bytes: int, air: Air, times_ns: tuple[int, int, int]) -> None:
        start_ns, sent_ns, arrived_ns = times_ns
        if not up_bytes:
            self._wait(arrived_ns)
            self._server.send(head)
            return
        self._server.send(head)
        held = min(up_bytes, HELD_BYTES)
        early = up_bytes - held
        for piece_end_ns in self._radiate(self._power.transmit_w(air.rssi_dbm), start_ns, sent_ns):
            self._forward(early)
            early = 0
            self._wait(piece_end_ns)
        self._forward(held - 1)
        self._wait(arrived_ns)
        self._forward(1)

    def _reply(self, delay_s: float) -> tuple[int, Head, bytes]:
        """When the server began to reply, and its reply. A server that closes instead is seen to, a delay later."""
        self._reply_or_leave.poll()
        replied_ns = time.monotonic_ns()
        if not readable(self._server.socket):
            raise StreamEnded("the client left")
        try:
            reply = self._server.read_head()
        except (StreamEnded, OSError):
            self._wait(_after(replied_ns, delay_s))
            raise
        return replied_ns, reply, self._server.read_body(reply.body_bytes)

    def _download(self, head: bytes, body: bytes, air: Air, times_ns: tuple[int, int]) -> None:
        answered_ns, received_ns = times_ns
        self._wait(answered_ns)
        self._client.send(head + body[:-1])
        for piece_end_ns in self._radiate(self._power.receive_w(air.rssi_dbm), answered_ns, received_ns):
            self._wait(piece_end_ns)
        self._client.send(body[-1:])

    def _radiate(self, power_w: float, start_ns: int, end_ns: int) -> Iterator[int]:
        """Draw a power for a while; yields the end of each piece once the piece is being played."""
        while start_ns < end_ns:
            piece_end_ns = min(start_ns + PIECE_NS, end_ns)
            self._play(start_ns, [((piece_end_ns - start_ns) * 1e-9, power_w - self._power.idle_w)])
            yield piece_end_ns
            start_ns = piece_end_ns

    def _forward(self, n_bytes: int) -> None:
        while n_bytes:
            data = self._client.read(n_bytes)
            self._server.send(data)
            n_bytes -= len(data)

    def _wait(self, until_ns: int) -> None:
        """Raises StreamEnded when the client leaves meanwhile."""
        left_ns = until_ns - time.monotonic_ns() - _POLL_MARGIN_NS
        if left_ns > 0 and self._leave.poll(left_ns * 1e-6):
            raise StreamEnded("the client left")
        self._clock.sleep_until(until_ns)


def _after(start_ns: int, seconds: float) -> int:
    return start_ns + round(min(seconds, _FOREVER_S) * 1e9)
