"""The far end of a serial cable: a raw PTY that delivers late, in order, and loses what nobody reads."""

from __future__ import annotations

import heapq
import os
import random
import tty
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

_READ_BYTES = 4096
_PAUSE_NS = 1_000_000


@dataclass(frozen=True, slots=True)
class Delivery:
    """How long a byte is under way, and how many may wait for a reader."""

    latency_ns: int
    """the least time a byte is under way, in either direction"""
    jitter_ns: int
    """what comes on top is uniform in [0, jitter_ns)"""
    lag_ns: int
    """what the emulation itself adds to all but the answers given at once"""
    queue_bytes: int | None
    """the device's queue: what is due and not taken by the port; None keeps everything"""


class Line:
    """The device's side of the port `port`. A context manager: leaving it unplugs the cable.

    With `link` the port has that name, whatever terminal stands behind it, as udev names a device by its serial number.
    """

    def __init__(self, delivery: Delivery, seed: str, link: Path | None = None) -> None:
        self._delivery = delivery
        self._random = random.Random(seed)
        self._under_way: list[tuple[int, int, bytes]] = []
        self._answers_due_ns: list[int] = []
        self._posted = 0
        self._last_arrival_ns = 0
        self._last_due_ns = 0
        self._backlog = bytearray()
        self._to_drop = 0
        self._to_corrupt = 0
        self._link = link
        self._back_ns: int | None = None
        self._plug_in()

    def _plug_in(self) -> None:
        self._back_ns = None
        self._master, self._slave = os.openpty()
        tty.setraw(self._slave)
        os.set_blocking(self._master, False)
        self.port = os.ttyname(self._slave)
        if self._link is not None:
            self._link.unlink(missing_ok=True)
            self._link.symlink_to(self.port)
            self.port = str(self._link)

    def files(self) -> list[int]:
        """What to select() for; nothing once unplugged."""
        return [self._master] if self._master >= 0 else []

    @property
    def idle(self) -> bool:
        """True when nothing waits to be delivered."""
        return not (self._under_way or self._backlog)

    @property
    def stuck(self) -> bool:
        """True when the port takes no more until somebody reads."""
        return bool(self._backlog)

    def post(self, time_ns: int, data: bytes, pause_at: int | None = None) -> bool:
        """Send at `time_ns`, behind all that was posted before; what follows byte `pause_at` comes a moment later.

        False: the queue is full, nothing was sent.
        """
        if self._delivery.queue_bytes is not None and len(self._backlog) + len(data) > self._delivery.queue_bytes:
            return False
        if self._to_drop:
            self._to_drop -= 1
            return True
        if self._to_corrupt:
            self._to_corrupt -= 1
            data = self._flip_a_bit(data)
        self._last_due_ns = max(self._last_due_ns, time_ns + self._delivery.lag_ns + self._under_way_ns())
        self._push(self._last_due_ns, data[:pause_at])
        if pause_at is not None:
            self._last_due_ns += _PAUSE_NS
            self._push(self._last_due_ns, data[pause_at:])
        return True

    def post_at_once(self, time_ns: int, data: bytes) -> None:
        """Send at `time_ns` ahead of what is posted and not yet due."""
        due_ns = time_ns + self._under_way_ns()
        heapq.heappush(self._answers_due_ns, due_ns)
        self._push(due_ns, data)

    @property
    def answer_due_ns(self) -> int | None:
        """When the next answer given at once is due; None when there is none under way."""
        return self._answers_due_ns[0] if self._answers_due_ns else None

    def deliver(self, now_ns: int) -> None:
        """Show the port what is due by `now_ns`, as far as it takes it."""
        if self._back_ns is not None and now_ns >= self._back_ns:
            self._plug_in()
        while self._answers_due_ns and self._answers_due_ns[0] <= now_ns:
            heapq.heappop(self._answers_due_ns)
        while self._under_way and self._under_way[0][0] <= now_ns:
            self._backlog += heapq.heappop(self._under_way)[2]
        if self._master < 0:
            self._backlog.clear()
        while self._backlog:
            try:
                del self._backlog[: os.write(self._master, self._backlog)]
            except BlockingIOError:
                return

    def receive(self, now_ns: int) -> tuple[bytes, int]:
        """What the controller has written by now (empty when that is nothing), and when it reaches the device."""
        try:
            data = os.read(self._master, _READ_BYTES) if self._master >= 0 else b""
        except BlockingIOError:
            return b"", now_ns
        self._last_arrival_ns = max(self._last_arrival_ns, now_ns + self._under_way_ns())
        return data, self._last_arrival_ns

    def drop(self, count: int) -> None:
        """Lose the next `count` posted packets."""
        self._to_drop += count

    def corrupt(self, count: int) -> None:
        """Flip one bit in each of the next `count` posted packets."""
        self._to_corrupt += count

    def litter(self, time_ns: int, count: int) -> None:
        """Post `count` random bytes."""
        self.post(time_ns, self._random.randbytes(count))

    def unplug(self, back_ns: int | None = None) -> None:
        """Close the port, until `back_ns` or for good: whoever has it open reads its end. Twice does no harm."""
        self._back_ns = back_ns
        if self._master >= 0:
            if self._link is not None:
                self._link.unlink(missing_ok=True)
            os.close(self._master)
            os.close(self._slave)
            self._master = -1

    def _push(self, due_ns: int, data: bytes) -> None:
        self._posted += 1
        heapq.heappush(self._under_way, (due_ns, self._posted, data))

    def _under_way_ns(self) -> int:
        return self._delivery.latency_ns + int(self._delivery.jitter_ns * self._random.random())

    def _flip_a_bit(self, data: bytes) -> bytes:
        flipped = bytearray(data)
        flipped[self._random.randrange(len(data))] ^= 1 << self._random.randrange(8)
        return bytes(flipped)

    def __enter__(self) -> Line:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.unplug()
