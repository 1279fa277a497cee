from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bench.far_end import FarEnd, Nursery
from bench.waveform import Segment, Waveform
from power import PowerMonitor, Samples

Listen = Callable[[PowerMonitor, FarEnd, float], Samples]


@pytest.fixture(scope="session")
def nursery() -> Iterator[Nursery]:
    with Nursery() as nursery:
        yield nursery


@pytest.fixture
def supply(tmp_path: Path) -> Path:
    """5 W for 1 s, then 10 W, for a long time."""
    path = tmp_path / "supply"
    Waveform([Segment(1.0, 5.0, 5.0), Segment(100.0, 10.0, 10.0)]).write(path)
    return path


@pytest.fixture
def listen() -> Listen:
    """Reads a started monitor for so many seconds of its world, every 5 ms."""

    def listen(monitor: PowerMonitor, far_end: FarEnd, duration_s: float) -> Samples:
        far_end.walks = False
        parts = []
        for _ in range(round(duration_s / 0.005)):
            far_end.advance(5_000_000)
            parts.append(monitor.read())
        return Samples.concatenate(parts)

    return listen
