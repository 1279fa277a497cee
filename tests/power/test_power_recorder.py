from __future__ import annotations

import queue
import threading
from collections.abc import Callable

import numpy as np
import pytest

from power import Channel, Kind, MonitorGone, MonitorSilent, MonitorSpec, Recorder, Samples
from power.clock import ClockFit

SPEC = MonitorSpec("fed by hand", 1000.0, (Channel("supply", 1e-3, 0.0, 0.0),), Kind.AVERAGING, 1e-3, 1e-2)


class FedByHand:
    """A monitor that reads what the test puts into it."""

    spec = SPEC
    clock = ClockFit(0, 0, 0.0, 0.0, 0.0, 0.0)

    def __init__(self) -> None:
        self.fed: queue.SimpleQueue[Samples | Exception] = queue.SimpleQueue()
        self.calls: list[str] = []
        self.readers: set[int] = set()

    def open(self) -> None:
        self.calls.append("open")

    def start(self) -> None:
        self.calls.append("start")

    def read(self) -> Samples:
        self.readers.add(threading.get_ident())
        try:
            item = self.fed.get(timeout=0.005)
        except queue.Empty:
            return Samples.empty()
        if isinstance(item, Exception):
            raise item
        return item

    def stop(self) -> None:
        self.calls.append("stop")

    def close(self) -> None:
        self.calls.append("close")

    def feed(self, *times_ns: int) -> None:
        times = np.array(times_ns, np.int64)
        self.fed.put(Samples(times, times, np.zeros(len(times), np.uint8), times * 0.1))


def test_the_monitor_is_opened_read_stopped_and_closed_in_order_by_one_reader() -> None:
    monitor = FedByHand()
    with Recorder(monitor) as recorder:
        monitor.feed(10)
        recorder.wait_until(10, timeout_s=5.0)
    assert monitor.calls == ["open", "start", "stop", "close"]
    assert len(monitor.readers) == 1
    assert threading.get_ident() not in monitor.readers


def test_the_trace_is_handed_out_by_time_and_piece_by_piece() -> None:
    monitor = FedByHand()
    with Recorder(monitor) as recorder:
        assert recorder.latest_power_w is None
        monitor.feed(10, 20)
        monitor.feed(30, 40)
        recorder.wait_until(40, timeout_s=5.0)
        assert recorder.latest_power_w == pytest.approx(4.0)
        assert recorder.between(10, 30).time_ns.tolist() == [20, 30]
        assert recorder.since(0).time_ns.tolist() == [10, 20, 30, 40]
        assert recorder.since(30).time_ns.tolist() == [40]
        assert len(recorder.since(40)) == 0


def test_old_samples_are_forgotten_on_request() -> None:
    monitor = FedByHand()
    with Recorder(monitor) as recorder:
        monitor.feed(10, 20)
        monitor.feed(30, 40)
        recorder.wait_until(40, timeout_s=5.0)
        recorder.forget_before(30)
        assert recorder.since(0).time_ns.tolist() == [30, 40]


def test_waiting_beyond_the_trace_ends_in_time() -> None:
    with Recorder(FedByHand()) as recorder, pytest.raises(MonitorSilent, match="fed by hand"):
        recorder.wait_until(10, timeout_s=0.01)


CALLS: list[Callable[[Recorder], object]] = [
    lambda recorder: recorder.latest_power_w,
    lambda recorder: recorder.wait_until(99, timeout_s=5.0),
    lambda recorder: recorder.between(0, 99),
    lambda recorder: recorder.since(0),
]


@pytest.mark.parametrize("call", CALLS)
def test_an_error_of_the_reader_reaches_every_later_call(call: Callable[[Recorder], object]) -> None:
    monitor = FedByHand()
    with Recorder(monitor) as recorder:
        monitor.fed.put(MonitorGone("unplugged"))
        with pytest.raises(MonitorGone, match="unplugged"):
            recorder.wait_until(99, timeout_s=5.0)
        with pytest.raises(MonitorGone, match="unplugged"):
            call(recorder)
    assert monitor.calls == ["open", "start", "close"]


def test_a_monitor_that_does_not_start_is_closed() -> None:
    class Refusing(FedByHand):
        def start(self) -> None:
            raise MonitorGone("no")

    monitor = Refusing()
    with pytest.raises(MonitorGone), Recorder(monitor):
        pass
    assert monitor.calls == ["open", "close"]
