"""Keeps a monitor's samples coming, in a thread of its own, and hands out the trace."""

from __future__ import annotations

import logging
import threading
from collections import deque
from types import TracebackType

from power.errors import MonitorSilent, PowerError
from power.monitor import PowerMonitor
from power.samples import Samples

log = logging.getLogger(__name__)

STOP_S = 5.0
"""bound on waiting for the reader to end"""


class Recorder:
    """Opens and starts a monitor on entry, stops and closes it on exit; between them its trace grows by itself.

    An error in the reader ends the trace, and is raised by the caller's next call.
    """

    def __init__(self, monitor: PowerMonitor) -> None:
        self.monitor = monitor
        self._chunks: deque[Samples] = deque()
        self._grown = threading.Condition()
        self._stopping = threading.Event()
        self._error: Exception | None = None
        self._reader = threading.Thread(target=self._keep_reading, name=f"reader of {monitor.spec.name}", daemon=True)

    def __enter__(self) -> Recorder:
        try:
            self.monitor.open()
            self.monitor.start()
        except BaseException:
            self.monitor.close()
            raise
        self._reader.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._stopping.set()
        self._reader.join(STOP_S)
        try:
            if self._error is None:
                self.monitor.stop()
            else:
                log.warning("the trace of %s had ended: %s", self.monitor.spec.name, self._error)
        except PowerError as trouble:
            log.warning("stopping %s: %s", self.monitor.spec.name, trouble)
        finally:
            self.monitor.close()

    @property
    def latest_power_w(self) -> float | None:
        """The board's power by the newest samples, None before the first."""
        with self._grown:
            self._raise_reader_error()
            newest = self._chunks[-1].sum_of(self.monitor.spec.total) if self._chunks else Samples.empty()
        return float(newest.power_w[-1]) if len(newest) else None

    def wait_until(self, time_ns: int, timeout_s: float) -> None:
        """Wait until the trace reaches a moment of the controller's clock. Raises `MonitorSilent` after `timeout_s`."""
        with self._grown:
            self._grown.wait_for(lambda: self._error is not None or self._end_ns() >= time_ns, timeout_s)
            self._raise_reader_error()
            if self._end_ns() < time_ns:
                raise MonitorSilent(
                    f"the trace of {self.monitor.spec.name} did not reach the moment asked for within {timeout_s:g} s"
                )

    def between(self, start_ns: int, end_ns: int) -> Samples:
        """The samples with start_ns < time_ns <= end_ns that are there now."""
        with self._grown:
            self._raise_reader_error()
            parts = [part for part in self._chunks if part.time_ns[-1] > start_ns and part.time_ns[0] <= end_ns]
        return Samples.concatenate(parts).between(start_ns, end_ns)

    def since(self, time_ns: int) -> Samples:
        """The samples after `time_ns` that are there now: to store a trace piece by piece, pass the last one's time."""
        return self.between(time_ns, 2**63 - 1)

    def forget_before(self, time_ns: int) -> None:
        """Drop old samples (whole chunks of the trace) so that a long run keeps a bounded memory."""
        with self._grown:
            while self._chunks and self._chunks[0].time_ns[-1] < time_ns:
                self._chunks.popleft()

    def _end_ns(self) -> int:
        return int(self._chunks[-1].time_ns[-1]) if self._chunks else -(2**63)

    def _raise_reader_error(self) -> None:
        if self._error is not None:
            raise self._error

    def _keep_reading(self) -> None:
        try:
            while not self._stopping.is_set():
                samples = self.monitor.read()
                if len(samples):
                    with self._grown:
                        self._chunks.append(samples)
                        self._grown.notify_all()
        except Exception as error:  # noqa: BLE001 - a thread has no caller: whatever it was, the owner hears of it
            with self._grown:
                self._error = error
                self._grown.notify_all()
