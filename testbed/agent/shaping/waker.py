"""Makes a faster rate take hold at once.

A tbf that waits for tokens has set a timer by its old rate, and a change leaves the timer alone: at 0.1 Mbit/s the next
packet would wait for up to 0.12 s of a rate that is over, and after an outage until somebody sends one. Any packet that
joins the queue makes it look again, so one is sent that goes nowhere: an ifb drops what no filter led into it.
"""

from __future__ import annotations

import logging
import socket
from types import TracebackType

_log = logging.getLogger(__name__)
_FRAME = bytes(60)
"""the shortest Ethernet has"""


class Waker:
    """A context manager. Without the right CAP_NET_RAW it does nothing, and says so once."""

    def __enter__(self) -> Waker:
        self._socket: socket.socket | None = None
        try:
            self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
        except PermissionError:
            _log.warning("without the right CAP_NET_RAW a faster rate takes hold only when the next packet is sent")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._socket is not None:
            self._socket.close()

    def wake(self, device: str) -> None:
        """Have a device look at its queue again."""
        if self._socket is None:
            return
        try:
            self._socket.sendto(_FRAME, (device, 0))
        except OSError as refusal:
            # A full queue takes no packet, but looks all the same.
            _log.debug("%s was not woken: %s", device, refusal)
