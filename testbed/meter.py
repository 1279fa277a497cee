"""The power monitor of a run: its trace, cut trial by trial, and opened again when it vanishes."""

from __future__ import annotations

import logging
import time
from contextlib import ExitStack
from dataclasses import replace
from types import TracebackType

from power import (
    ClockFit,
    Energy,
    MonitorSpec,
    PowerError,
    PowerMonitor,
    Recorder,
    Samples,
    TraceIncomplete,
    TransientError,
    cut,
)
from testbed.errors import BenchError
from testbed.marks import Marks

_log = logging.getLogger(__name__)

PAD = 1 / 3
"""how much of each idle guard a cut takes in beside the window; the rest is the baseline"""
GUARD_PERIODS = 4.5
"""of the meter, in an idle guard: beside the pad it then holds two samples wherever they fall, one of them late"""
TRACE_TIMEOUT_S = 3.0
"""how long the trace may lag behind a trial's end"""
WINDOW_MARGIN = 1.02
"""over the meter's shortest window, whose rate is known better and better as it runs"""
REOPENINGS = 5
_LEAST_PERIODS = 4
"""of the meter, about two marks between which less went by"""
WARM_UP_S = 1.0
"""trace that must be there before the first trial: it settles the fit of the meter's clock"""


class Meter:
    """A context manager: it owns the monitor while it is entered."""

    def __init__(self, monitor: PowerMonitor, reopening_pause_s: float = 1.0) -> None:
        """`reopening_pause_s` is the time between two attempts to find a monitor that vanished."""
        self._monitor = monitor
        self._reopening_pause_s = reopening_pause_s
        self._owned = ExitStack()
        self.opened = 0
        """how often the monitor was opened; each time its place in time begins anew"""
        self._taken_until_ns = -(2**63)

    def __enter__(self) -> Meter:
        self._open()
        return self

    def _open(self) -> None:
        self._recorder = self._owned.enter_context(Recorder(self._monitor))
        self.opened += 1

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._owned.close()

    @property
    def spec(self) -> MonitorSpec:
        """What the monitor says of itself."""
        return self._monitor.spec

    @property
    def recorder(self) -> Recorder:
        """The trace as it grows; another one after `recover`."""
        return self._recorder

    def settle(self, now_ns: int) -> None:
        """Wait for enough trace to know the meter's clock. Raises a `power.TransientError` when none comes."""
        self._recorder.wait_until(now_ns + round(WARM_UP_S * 1e9), WARM_UP_S + TRACE_TIMEOUT_S)

    def window_s(self, asked_s: float | None) -> float:
        """The least length of a trial: as asked, or what this meter needs.

        Raises BenchError when less is asked than it can tell.
        """
        shortest_s = self.spec.shortest_window_s
        if asked_s is None:
            return shortest_s * WINDOW_MARGIN
        if asked_s < shortest_s:
            raise BenchError(
                f"suite: window_s of {asked_s * 1e3:.3g} ms is too short for {self.spec.name}, which needs "
                f"{shortest_s * 1e3:.3g} ms; leave it out to get that"
            )
        return asked_s

    def require_guard(self, guard_s: float) -> None:
        """Raises BenchError when so short an idle time beside a trial would hold too few samples for a baseline."""
        least_s = GUARD_PERIODS * self.spec.period_s
        if guard_s < least_s:
            raise BenchError(
                f"suite: guard_s of {guard_s * 1e3:.3g} ms is too short for {self.spec.name}, which samples every "
                f"{self.spec.period_s * 1e3:.3g} ms; set it to {least_s * 1e3:.3g} ms or more"
            )

    @property
    def clock(self) -> ClockFit:
        """How the meter's time is mapped to the controller's."""
        return self._monitor.clock

    def recover(self, trouble: TransientError) -> None:
        """Make ready for another attempt: a trace with holes goes on, a monitor that fell silent is opened again.

        Waits for a vanished device up to a bound. Raises BenchError when it does not come back.
        """
        if isinstance(trouble, TraceIncomplete):
            return
        self._owned.close()
        error: PowerError = trouble
        for _ in range(REOPENINGS):
            try:
                self._open()
                self.settle(time.monotonic_ns())
                return
            except PowerError as still:
                _log.warning("%s is not back yet: %s", self.spec.name, still)
                self._owned.close()
                error = still
                time.sleep(self._reopening_pause_s)
        raise BenchError(f"{error}; look at the meter's cable and supply, then resume the run")

    def energy(self, marks: Marks, guard_s: float, busy_s: float) -> Energy:
        """The energy between two marks; padded and baseline-subtracted where there are idle guards around them.

        `busy_s` is how long the board worked between them; the energy of that time stands in `busy`.

        Raises `power.WindowTooShort`, or a `power.TransientError` when the trace does not come or has holes.
        """
        spec = self.spec
        margin_ns = round((guard_s + 2 * spec.period_s + 3 * marks.standard_uncertainty_s) * 1e9)
        return cut(
            self.trace(marks.start_ns - margin_ns, marks.end_ns + margin_ns),
            marks.start_ns,
            marks.end_ns,
            spec,
            clock_uncertainty_s=marks.standard_uncertainty_s,
            pad_s=PAD * guard_s,
            guard_s=guard_s,
            busy_s=busy_s,
        )

    def energy_of(self, marks: Marks) -> Energy | None:
        """What the board drew between two marks however close they are, by its mean power about them.

        Its uncertainty is that of a window long enough for the meter, in proportion. None where the trace has holes.
        """
        lasted_ns = marks.end_ns - marks.start_ns
        beside_ns = max(0, round(_LEAST_PERIODS * self.spec.period_s * 1e9) - lasted_ns) // 2 + 1
        start_ns, end_ns = marks.start_ns - beside_ns, marks.end_ns + beside_ns
        margin_ns = round((2 * self.spec.period_s + 3 * marks.standard_uncertainty_s) * 1e9)
        try:
            about = cut(
                self.trace(start_ns - margin_ns, end_ns + margin_ns),
                start_ns,
                end_ns,
                replace(self.spec, shortest_window_s=0.0),
                clock_uncertainty_s=marks.standard_uncertainty_s,
            )
        except TransientError:
            return None
        share = lasted_ns / (end_ns - start_ns)
        return replace(
            about,
            energy_j=about.energy_j * share,
            standard_uncertainty_j=about.standard_uncertainty_j * share,
            budget_j={cause: part_j * share for cause, part_j in about.budget_j.items()},
            window_s=lasted_ns * 1e-9,
        )

    def trace(self, start_ns: int, end_ns: int) -> Samples:
        """The samples between two moments of the trace's clock, once they are there.

        Raises a `power.TransientError` when they do not come.
        """
        self._recorder.wait_until(end_ns, TRACE_TIMEOUT_S)
        return self._recorder.between(start_ns, end_ns)

    def take_samples(self) -> Samples:
        """The samples that came since the last call, for the store; older trace is then forgotten."""
        samples = self._recorder.since(self._taken_until_ns)
        if len(samples):
            self._taken_until_ns = int(samples.time_ns[-1])
            # The next trial's guard may reach back into what was just taken.
            self._recorder.forget_before(self._taken_until_ns - 1_000_000_000)
        return samples
