"""What every way to a server has in common: one request and its reply."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from testbed.agent.contract import Tensors
from testbed.agent.targets.signature import Signature


@dataclass(frozen=True, slots=True)
class Exchange:
    """A reply to an inference, and when it came, on the board's clock."""

    outputs: Tensors
    sent_ns: int
    """the network had taken the last byte of the request"""
    answered_ns: int
    """the reply's head was there"""
    received_ns: int
    """its last byte was"""
    compute_ns: int | None
    """how long the server computed; None where it does not tell"""


class Channel(Protocol):
    """The way to one model on a server. Each method ends by its deadline, or raises NoAnswer or RequestRefused."""

    def describe(self, deadline_ns: int) -> Signature: ...

    def prepare(self, inputs: Tensors, request_id: str) -> Callable[[int], Exchange]:
        """A request made ready; calling it with a deadline sends it, and once more sends it again."""

    def computed(self, deadline_ns: int) -> tuple[int, int] | None:
        """Inferences, and nanoseconds of computing, since the server began; None where it keeps no count."""

    def abort(self) -> None:
        """End the connection, with what is unsent."""

    def close(self) -> None: ...
