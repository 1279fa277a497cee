from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bench.far_end import FarEnd, Nursery
from bench.waveform import Segment, Waveform
from power import Place, PowerMonitor, Samples

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


@pytest.fixture
def open_tree() -> Iterator[Path]:
    """A folder into which anyone may look."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder)
        path.chmod(0o755)
        yield path


@pytest.fixture
def nobody(open_tree: Path) -> Place:
    """Where a sampler has no special rights."""
    if os.geteuid() != 0:
        return Place()
    if shutil.which("setpriv") is None:
        pytest.skip("root needs setpriv (package util-linux) to try what others may not")
    python = open_tree / "python"
    # The system's own interpreter: nobody may not look into everyone's virtual environment.
    python.write_text(f'#!/bin/sh\nexec setpriv --reuid=65534 --clear-groups {Path(sys.executable).resolve()} "$@"\n')
    python.chmod(0o755)
    return Place(python=str(python))
