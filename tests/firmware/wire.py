"""The controller's end of the serial line, byte by byte."""

from __future__ import annotations

import os

from bench.far_end import FarEnd
from power.bridge_protocol import REPLY, Decoder, Frame, Type

STEP_NS = 1_000_000
BOOT_STEPS = 2
PATIENCE_STEPS = 60
"""a bridge answers within 50 ms"""


class Wire:
    """Says commands and hears frames while the emulated world goes on in steps of 1 ms."""

    def __init__(self, far_end: FarEnd) -> None:
        self.far_end = far_end
        self._port = os.open(far_end.port(), os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
        self._decoder = Decoder()
        self._sequence = 0
        self.boot = self.hear(BOOT_STEPS)
        """what it said by itself after power-on"""

    def say(self, data: bytes) -> None:
        os.write(self._port, data)

    def hear(self, steps: int = 1) -> list[Frame]:
        """The frames of so many milliseconds."""
        frames: list[Frame] = []
        for _ in range(steps):
            self.far_end.advance(STEP_NS)
            try:
                frames += self._decoder.feed(os.read(self._port, 65536))
            except BlockingIOError:
                continue
        return frames

    def ask(self, kind: int, payload: bytes = b"") -> Frame:
        """The reply to a command, or its error."""
        self._sequence = self._sequence % 255 + 1
        self.say(Frame(kind, self._sequence, payload).encode())
        for _ in range(PATIENCE_STEPS):
            for frame in self.hear():
                if frame.sequence == self._sequence and frame.type in (kind | REPLY, Type.ERROR):
                    return frame
        raise TimeoutError(f"no answer to command {kind:#04x}")

    @property
    def skipped(self) -> int:
        return self._decoder.skipped

    def close(self) -> None:
        os.close(self._port)
