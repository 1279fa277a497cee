from __future__ import annotations

from testbed.agent.clock import MonotonicClock
from testbed.agent.contract import Clock, Result, Span, Tensors
from testbed.agent.trial import Window, run_trial

WINDOW = Window(shortest_s=2e-3, guard_s=0.0, period_s=None)


class _Accelerator:
    """Answers after a millisecond, of which it computes a quarter."""

    def __init__(self, clock: Clock, *names: str) -> None:
        self._clock = clock
        self._names = names

    def run(self, inputs: Tensors) -> Result:
        start_ns = self._clock.now_ns()
        self._clock.sleep_until(start_ns + 1_000_000)
        end_ns = self._clock.now_ns()
        return Result({}, start_ns, end_ns, tuple(Span(name, start_ns, start_ns + 250_000) for name in self._names))

    def warm(self, inputs: object) -> None: ...

    def close(self) -> None: ...


def test_an_accelerators_own_time_is_summed_beside_the_latencies() -> None:
    clock = MonotonicClock()
    trial = run_trial(clock, _Accelerator(clock, "compute", "upload", "device", "download"), [{}], WINDOW)
    assert trial.device_s is not None
    assert abs(trial.device_s - trial.n * 250e-6) < 1e-9
    assert min(trial.latencies_s) >= 1e-3


def test_a_target_without_a_clock_of_its_own_has_no_device_time() -> None:
    clock = MonotonicClock()
    assert run_trial(clock, _Accelerator(clock, "compute"), [{}], WINDOW).device_s is None
