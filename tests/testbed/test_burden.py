from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from testbed.agent import burden


def test_a_load_is_carried_by_as_many_cores_and_no_worker_stays() -> None:
    begun_ns = time.monotonic_ns()

    carried = burden.carry(1, 0.1, 0.02, 0.2)

    assert carried.start_ns - begun_ns >= 20e6
    assert carried.end_ns - carried.start_ns == 200_000_000
    assert time.monotonic_ns() >= carried.end_ns
    assert 0.09 <= carried.utilisation <= 1.0
    assert not [entry for entry in Path("/proc").iterdir() if entry.name.isdigit() and _is_worker(entry)]


def test_more_cores_than_there_are_is_an_error_in_words() -> None:
    with pytest.raises(burden.LoadFailed, match="may use"):
        burden.carry(len(burden.cores()) + 1, 1.0, 0.0, 0.01)


def test_a_worker_that_dies_is_told_of(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(burden.sys, "executable", "/bin/false")  # what a board out of memory makes of it
    with pytest.raises(burden.LoadFailed, match="ended before its time"):
        burden.carry(1, 1.0, 0.0, 0.01)


def _is_worker(entry: Path) -> bool:
    try:
        parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
        return parent == os.getpid() and "sched_setaffinity" in (entry / "cmdline").read_text()
    except OSError:
        return False
