"""Which way a bench places its marks: as it asks, or the best it has."""

from __future__ import annotations

from collections.abc import Sequence

from testbed.errors import BenchError
from testbed.line_marks import MarkerLine
from testbed.marks import Alignment, HostClocks
from testbed.meter import PAD, Meter
from testbed.opening import OpenBench
from testbed.pulse_marks import SyncPulse, chip_for, is_quick_enough


def align(opened: OpenBench, meter: Meter, guard_s: float) -> Alignment:
    """The bench's way to place marks. Raises BenchError when it asks for one that it cannot have.

    A mark may be off by a pad of the cut without harm: there the board idles.
    """

    def load(code: Sequence[int], chip_s: float) -> int:
        return int(opened.agent.ask("pulse", code=list(code), chip_s=chip_s))

    asked = opened.bench.marks
    spec, bearable_s = meter.spec, PAD * guard_s
    settings = opened.bench.monitor
    wired = opened.bench.board.marker_wired and settings is not None and settings.marker_input
    if asked == "line" and not wired:
        raise BenchError("marks: line needs a wire from the board to the meter: say under board.marker where it begins")
    if asked == "line" and not spec.mark_lines:
        raise BenchError(f"marks: line needs a meter with a marker input, which {spec.name} has not; take pulse")
    if asked == "pulse" and not is_quick_enough(spec):
        raise BenchError(f"marks: {spec.name} is too slow for a sync pulse ({spec.rate_hz:.3g} samples/s); take clock")
    host = HostClocks(opened.board_clock, meter)
    if asked == "line" or (asked is None and wired and spec.mark_lines):
        return MarkerLine(host, meter, spec, bearable_s)
    if asked == "pulse" or (asked is None and is_quick_enough(spec)):
        return SyncPulse(host, meter, spec, load, chip_for(spec), bearable_s)
    return host
