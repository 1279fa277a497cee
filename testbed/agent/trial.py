"""One trial: n back-to-back inferences under one decision, between two marks on the board's clock."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field

from testbed.agent.contract import Clock, Marker, OnCores, Result, Session, TargetFailed, Tensors


@dataclass(frozen=True, slots=True)
class Window:
    """How long a trial must last, and what surrounds it."""

    shortest_s: float
    """n is the least number of inferences (frames of a stream) that reaches this"""
    guard_s: float
    """idle time before the first mark and after the last"""
    period_s: float | None
    """frame period of a stream"""


@dataclass(slots=True)
class Trial:
    """What happened between the marks. Times on the board's clock."""

    start_ns: int
    end_ns: int
    inferences_ns: list[tuple[int, int]] = field(default_factory=list)
    """start and end of each, a last vain one included"""
    transmit_s: float = 0.0
    """sum over the inferences"""
    receive_s: float = 0.0
    compute_s: float = 0.0
    """as far as the target tells: a server may keep it to itself"""
    device_s: float | None = None
    """sum over the inferences, by the accelerator's own clock; None where the target has none"""
    failure: str | None = None
    """why the target gave no answer; the trial ends there"""
    marked_ns: tuple[tuple[int, int], tuple[int, int]] | None = None
    """between which two moments the marker line rose, and between which it fell; None where there is none"""

    @property
    def n(self) -> int:
        return len(self.inferences_ns)

    @property
    def latencies_s(self) -> list[float]:
        """Of every inference, a last vain one included."""
        return [(end - start) * 1e-9 for start, end in self.inferences_ns]

    def add(self, result: Result) -> None:
        """Count one finished inference."""
        self.inferences_ns.append((result.start_ns, result.end_ns))
        for span in result.spans:
            length_s = (span.end_ns - span.start_ns) * 1e-9
            if span.name == "transmit":
                self.transmit_s += length_s
            elif span.name == "receive":
                self.receive_s += length_s
            elif span.name == "compute":
                self.compute_s += length_s
            elif span.name == "device":
                self.device_s = (self.device_s or 0.0) + length_s


AFTERMATH_S = 0.25
"""idle time after a failure: what an abandoned request left in the radio's queues still goes out"""


def run_trial(
    clock: Clock, session: Session, inputs: list[Tensors], window: Window, marker: Marker | None = None
) -> Trial:
    """Run inferences over `inputs`, round and round, until the window is long enough.

    A frame of a stream starts a period after the one before, or at once when that one was late. The marker is high
    about as long as the window lasts.
    """
    clock.sleep_until(clock.now_ns() + round(window.guard_s * 1e9))
    rose_ns = _set(marker, clock, high=True) if marker else None
    try:
        with held(session):
            trial = _run(clock, session, inputs, window)
    finally:
        fell_ns = _set(marker, clock, high=False) if marker else None
    if rose_ns is not None and fell_ns is not None:
        trial.marked_ns = rose_ns, fell_ns
    idle_s = window.guard_s if trial.failure is None else max(AFTERMATH_S, window.guard_s)
    clock.sleep_until(trial.end_ns + round(idle_s * 1e9))
    return trial


def held(session: Session) -> AbstractContextManager[None]:
    """Keep the calling thread where the session computes, where that matters."""
    return session.cores.held() if isinstance(session, OnCores) else nullcontext()


def _set(marker: Marker, clock: Clock, *, high: bool) -> tuple[int, int]:
    """Set the marker; returns the moments just before and just after, between which the kernel may do other things."""
    before_ns = clock.now_ns()
    marker.set(high=high)
    return before_ns, clock.now_ns()


def _run(clock: Clock, session: Session, inputs: list[Tensors], window: Window) -> Trial:
    begun_ns = clock.now_ns()
    trial = Trial(begun_ns, begun_ns)
    frame_ns = begun_ns
    while True:
        begun_ns = clock.now_ns()
        try:
            result = session.run(inputs[trial.n % len(inputs)])
        except TargetFailed as failure:
            trial.failure = str(failure)
            trial.end_ns = clock.now_ns()
            trial.inferences_ns.append((begun_ns, trial.end_ns))
            break
        trial.add(result)
        trial.end_ns = result.end_ns
        if window.period_s is not None:
            frame_ns = max(frame_ns + round(window.period_s * 1e9), result.end_ns)
            clock.sleep_until(frame_ns)
            trial.end_ns = frame_ns  # where the next frame would begin
        if (trial.end_ns - trial.start_ns) * 1e-9 >= window.shortest_s:
            break
    return trial
