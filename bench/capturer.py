"""Captures Monsoons into traces on disk, `python -m bench.capturer SECONDS FOLDER PORT...`, and prints what it took.

One process, a reader thread a port, and every half second what came is appended to a trace a port.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

import pyarrow as pa

from power import MonsoonInput, MonsoonLvpm, Recorder
from results.samples import SCHEMA, batch_of

FLUSH_S = 0.5
SETTLE_S = 3.0
"""before CPU time counts"""
FIRST_LOOK_S = 10.0
"""when memory is looked at first"""


class Capture:
    """One port, its thread, its trace."""

    def __init__(self, port: str, path: Path, owned: ExitStack) -> None:
        self.path = path
        self._recorder = owned.enter_context(Recorder(MonsoonLvpm(port, [MonsoonInput("main", 4.0)])))
        self._writer = owned.enter_context(pa.ipc.new_stream(owned.enter_context(pa.OSFile(str(path), "wb")), SCHEMA))
        self._until_ns = -(2**63)
        self._next: int | None = None
        self.samples = self.lost = 0

    def flush(self) -> None:
        """Append what came."""
        samples = self._recorder.since(self._until_ns)
        if not len(samples):
            return
        self._until_ns = int(samples.time_ns[-1])
        self._recorder.forget_before(self._until_ns)
        self._writer.write_batch(batch_of(0, samples))
        first, last = int(samples.index[0]), int(samples.index[-1])
        self.lost += last - first + 1 - len(samples) + (first - self._next if self._next is not None else 0)
        self._next = last + 1
        self.samples += len(samples)


def main(seconds: float, folder: Path, ports: Sequence[str]) -> None:
    """Capture for so long."""
    marks: list[tuple[float, float, int]] = []
    with ExitStack() as owned:
        captures = [Capture(port, folder / f"{number}.arrows", owned) for number, port in enumerate(ports)]
        begun_s = time.monotonic()
        for look_s in (SETTLE_S, FIRST_LOOK_S, seconds):
            while time.monotonic() - begun_s < look_s:
                time.sleep(FLUSH_S)
                for capture in captures:
                    capture.flush()
            marks.append((time.monotonic(), time.process_time(), _resident_bytes()))
    (from_s, from_cpu_s, _), (_, _, early_bytes), (until_s, until_cpu_s, late_bytes) = marks
    taken = {
        "samples": [capture.samples for capture in captures],
        "lost": sum(capture.lost for capture in captures),
        "cpu_share": (until_cpu_s - from_cpu_s) / (until_s - from_s),
        "early_bytes": early_bytes,
        "late_bytes": late_bytes,
        "trace_bytes": sum(capture.path.stat().st_size for capture in captures),
    }
    print(json.dumps(taken), flush=True)


def _resident_bytes() -> int:
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


if __name__ == "__main__":
    main(float(sys.argv[1]), Path(sys.argv[2]), sys.argv[3:])
