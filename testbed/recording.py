"""Follows a monitor's trace as it grows: what came is handed on, in pieces, until the time is up."""

from __future__ import annotations

import platform
import time
from collections.abc import Callable, Sequence
from datetime import datetime, timezone
from importlib.metadata import version

from power import PowerMonitor, Recorder, Samples
from results import TraceChannel, TraceHeader
from testbed.calibration import CalibrationRecord
from testbed.config import Bench
from testbed.records import calibration_facts

PIECE_S = 0.25
"""of trace, handed on at once; the most a crash can cost a recording"""
PATIENCE_S = 3.0
"""how long the trace may lag behind"""


def settle(recorder: Recorder) -> int:
    """Wait until samples come and the meter's clock is known; returns the moment from which on the trace counts, ns."""
    begin_ns = time.monotonic_ns()
    recorder.wait_until(begin_ns, PATIENCE_S)
    return begin_ns


def follow(
    recorder: Recorder,
    begin_ns: int,
    duration_s: float | None,
    listeners: Sequence[Callable[[Samples], object]],
) -> None:
    """Hand on the trace from `begin_ns` on, for `duration_s` of its own time or for ever.

    Raises a PowerError when the trace ends by itself; what came before has been handed on.
    """
    end_ns = 2**63 - 1 if duration_s is None else begin_ns + round(duration_s * 1e9)
    taken_ns = begin_ns
    piece_ns = round(PIECE_S * 1e9)
    while taken_ns < end_ns:
        wanted_ns = min(taken_ns + piece_ns, end_ns)
        recorder.wait_until(wanted_ns, PIECE_S + PATIENCE_S)
        samples = recorder.between(taken_ns, min(end_ns, wanted_ns))
        taken_ns = wanted_ns
        if len(samples):
            for listener in listeners:
                listener(samples)
        recorder.forget_before(taken_ns)


def trace_header(
    bench: Bench, monitor: PowerMonitor, begin_ns: int, calibrations: Sequence[CalibrationRecord]
) -> TraceHeader:
    """Of a monitor whose samples come."""
    spec, specimen = monitor.spec, monitor.specimen
    now = datetime.now(timezone.utc).timestamp() - (time.monotonic_ns() - begin_ns) * 1e-9
    return TraceHeader(
        created=datetime.fromtimestamp(now, timezone.utc).isoformat(),
        created_ns=begin_ns,
        monitor=spec.name,
        specimen={} if specimen is None else {"serial": specimen.serial, "firmware": specimen.firmware},
        rate_hz=spec.rate_hz,
        aperture_s=spec.aperture_s,
        channels=tuple(
            TraceChannel(
                name=channel.name,
                power_lsb_w=channel.power_lsb_w,
                gain_standard_uncertainty=channel.gain_standard_uncertainty,
                offset_standard_uncertainty_w=channel.offset_standard_uncertainty_w,
            )
            for channel in spec.channels
        ),
        total=spec.total,
        mark_lines=spec.mark_lines,
        clock_standard_uncertainty_s=monitor.clock.standard_uncertainty_s,
        calibrations=tuple(map(calibration_facts, calibrations)),
        bench=bench.model_dump(mode="json"),
        versions={"python": platform.python_version(), "edge-energy-testbed": version("edge-energy-testbed")},
        provenance=bench.provenance,
    )
