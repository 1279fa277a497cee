"""How many inferences there are at once."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager


class Busy(Exception):
    """As many inferences as there may be are there."""


class Gate:
    """Lets some compute while others wait, and turns the rest away."""

    def __init__(self, computing: int, waiting: int) -> None:
        """At most `computing` pass at once, and `waiting` more stand before it."""
        self._most = computing + waiting
        self._there = 0
        self._lock = threading.Lock()
        self._turn = threading.Semaphore(computing)

    @contextmanager
    def passed(self) -> Iterator[None]:
        """Wait for a turn, and have it. Raises Busy."""
        with self._lock:
            if self._there >= self._most:
                raise Busy(f"{self._most} inferences are there already, and no more are taken: come again")
            self._there += 1
        try:
            with self._turn:
                yield
        finally:
            with self._lock:
                self._there -= 1
