"""Energy for scripts: a meter in a `with` block, windows in it, and repetitions until the joules are sure enough.

The script runs on the machine that reads the meter, so that its own clock marks the windows.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from types import TracebackType

from power.energy import Energy, Idle, cut
from power.errors import OutOfReach, WindowTooShort
from power.monitor import PowerMonitor
from power.recorder import Recorder
from power.repetition import Repetition, least_relative, repetitions_for

SETTLE_S = 1.0
"""trace that must be there before the first window: it settles the fit of the meter's clock"""
TRACE_TIMEOUT_S = 3.0
"""how long the trace may lag behind a window's end"""
KEPT_S = 2.0
"""of the trace before a window"""
WINDOW_MARGIN = 1.05
"""over the meter's shortest window: the next calls may be quicker than the first"""
LEAST_REPETITIONS = 5
"""below, the scatter of repetitions tells too little of itself"""


class Window:
    """A stretch of the script between two marks."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._energy: Energy | None = None

    @property
    def energy(self) -> Energy:
        """Its joules, with their standard uncertainty by cause. Raises RuntimeError within the window."""
        if self._energy is None:
            raise RuntimeError(f"the energy of window '{self.name}' is known once it has ended")
        return self._energy

    def end(self, energy: Energy) -> None:
        """What the window took."""
        self._energy = energy

    def repetitions_for(self, relative: float) -> int:
        """How often to do the same back to back in one window, for this relative standard uncertainty of the energy.

        Raises `OutOfReach` where the meter's gain and offset leave more.
        """
        return repetitions_for(self.energy, relative)


class EnergyMeter:
    """Owns a monitor while it is entered. Windows may nest; every method may raise a `power.PowerError`."""

    def __init__(self, monitor: PowerMonitor) -> None:
        self._monitor = monitor
        self._owned = ExitStack()
        self._idle: Idle | None = None
        self._open = 0

    def __enter__(self) -> EnergyMeter:
        with ExitStack() as unless_settled:
            self._recorder = unless_settled.enter_context(Recorder(self._monitor))
            now_ns = time.monotonic_ns()
            self._recorder.wait_until(now_ns + round(SETTLE_S * 1e9), SETTLE_S + TRACE_TIMEOUT_S)
            self._owned = unless_settled.pop_all()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._owned.close()

    def baseline(self, seconds: float) -> float:
        """Measure what the idle machine draws: keep still for so long. Returns W; windows from now on take it off."""
        begun_ns = time.monotonic_ns()
        energy = self._measured(begun_ns, begun_ns + round(seconds * 1e9), seconds)
        half_s = seconds / 2
        halves_w = [
            self._measured(at_ns, at_ns + round(half_s * 1e9), 0.0).mean_power_w
            for at_ns in (begun_ns, begun_ns + round(half_s * 1e9))
        ]
        samples = self._recorder.between(begun_ns, begun_ns + round(seconds * 1e9)).sum_of(self._monitor.spec.total)
        noise_w = float(samples.power_w.std(ddof=1)) / math.sqrt(len(samples))
        drift_w = abs(halves_w[1] - halves_w[0]) / math.sqrt(12.0)
        self._idle = Idle(energy.mean_power_w, math.hypot(noise_w, drift_w), padding_j=0.0, padding_uncertainty_j=0.0)
        return energy.mean_power_w

    @contextmanager
    def window(self, name: str, relative: float = 0.01) -> Iterator[Window]:
        """A window around the block; its `energy` is known when the block has ended.

        Raises `WindowTooShort` when the meter cannot tell so short a one; it names the shortest, and how many
        repetitions would bring the energy to the `relative` standard uncertainty.
        """
        window = Window(name)
        start_ns = time.monotonic_ns()
        if not self._open:
            self._recorder.forget_before(start_ns - round(KEPT_S * 1e9))
        self._open += 1
        try:
            yield window
        finally:
            end_ns = time.monotonic_ns()
            self._open -= 1
        try:
            window.end(self._measured(start_ns, end_ns, 0.0))
        except WindowTooShort as refusal:
            raise self._with_advice(refusal, start_ns, end_ns, relative) from None

    def repeat_until(self, work: Callable[[], object], relative: float = 0.01, most: int = 1000) -> Repetition:
        """Repeat `work` until the energy of one call is known to this relative standard uncertainty.

        A window holds as many calls as the meter and the place of its clock ask for. Gives up after `most` windows:
        `reached` of the result is then False. Raises `OutOfReach` where the meter's gain and offset leave more.
        """
        calls = self._calls_that_fill_a_window(work)
        first = self._repeated(work, calls)
        if least_relative(first) >= relative:
            raise OutOfReach(relative, least_relative(first), self._monitor.spec.name)
        # What is off once a window may take half of the room there is; the scatter gets the rest.
        longer = repetitions_for(first, math.sqrt((least_relative(first) ** 2 + relative**2) / 2))
        windows = [first] if longer == 1 else []
        while True:
            found = Repetition.of(windows, calls * longer, relative) if windows else None
            if found and (len(windows) >= most or (len(windows) >= LEAST_REPETITIONS and found.reached)):
                return found
            windows.append(self._repeated(work, calls * longer))

    def _repeated(self, work: Callable[[], object], calls: int) -> Energy:
        with self.window("repetition") as window:
            for _ in range(calls):
                work()
        return window.energy

    def _calls_that_fill_a_window(self, work: Callable[[], object]) -> int:
        begun_s = time.monotonic()
        work()
        lasted_s = max(time.monotonic() - begun_s, 1e-9)
        return math.ceil(self._monitor.spec.shortest_window_s * WINDOW_MARGIN / lasted_s)

    def _measured(self, start_ns: int, end_ns: int, wait_s: float, shortest_s: float | None = None) -> Energy:
        spec = self._monitor.spec
        clock_s = self._monitor.clock.uncertainty_at_s(end_ns)
        margin_ns = round((2.0 * spec.period_s + 3.0 * clock_s) * 1e9)
        self._recorder.wait_until(end_ns + margin_ns, wait_s + TRACE_TIMEOUT_S)
        energy = cut(
            self._recorder.between(start_ns - margin_ns, end_ns + margin_ns),
            start_ns,
            end_ns,
            spec if shortest_s is None else replace(spec, shortest_window_s=shortest_s),
            clock_uncertainty_s=clock_s,
        )
        if self._idle is None:
            return energy
        less_idle = self._idle.without(energy.window_s, energy, spec.whole)
        return replace(
            energy,
            baseline_power_w=self._idle.baseline_w,
            idle_subtracted_j=less_idle.energy_j,
            idle_subtracted_standard_uncertainty_j=less_idle.standard_uncertainty_j,
            idle_subtracted_budget_j=less_idle.budget_j,
        )

    def _with_advice(self, refusal: WindowTooShort, start_ns: int, end_ns: int, relative: float) -> WindowTooShort:
        """The refusal, with the repetitions that would bring the energy to the wanted uncertainty."""
        try:
            glimpse = self._measured(start_ns, end_ns, 0.0, shortest_s=0.0)
            wanted = max(refusal.repetitions, repetitions_for(glimpse, relative))
        except OutOfReach as limit:
            return refusal.advised(str(limit))
        return refusal.advised(f"{wanted} times bring its energy to {relative:.2g} (standard uncertainty, relative)")
