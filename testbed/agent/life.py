"""Whether the controller still gives signs of life: one that only hangs leaves its connection open."""

from __future__ import annotations

import time

SILENCE_S = 2.0
"""longer than a network or a busy controller keeps the signs waiting, which a thread of its own sends"""


class SignsOfLife:
    """Of the controller, as the agent hears them."""

    def __init__(self) -> None:
        self._heard_s = time.monotonic()

    def hear(self, sign: object) -> None:
        """There was one."""
        self._heard_s = time.monotonic()

    def recent(self) -> bool:
        """Whether the last was less than `SILENCE_S` ago."""
        return time.monotonic() - self._heard_s < SILENCE_S
