"""Eight Monsoons into traces on disk for a minute in one process: `python -m bench sustained_capture`."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bench.figure import Figure
from bench.monsoon_frames import RATE_HZ

STREAMS, SECONDS, SEED = 8, 60, 3
REPEAT_S = 20
"""of the stream that the far end repeats"""
CPU_GOAL, GROWTH_GOAL = 0.25, 0.05


def figures() -> Iterator[Figure]:
    """Samples lost, CPU share, growth of memory, bytes a sample on disk."""
    taken = capture(STREAMS, SECONDS)
    samples = sum(taken["samples"])
    provenance = (
        f"virtual: {STREAMS} replayed LVPM streams of {RATE_HZ} Hz on pseudo-terminals, from a process of their own, "
        f"{SECONDS} s, {samples} samples"
    )
    short = min(taken["samples"]) < (SECONDS - 2) * RATE_HZ
    growth = taken["late_bytes"] / taken["early_bytes"] - 1.0
    yield Figure(
        "sustained capture: samples lost", taken["lost"], "1", None, "0", taken["lost"] == 0 and not short, provenance
    )
    share = taken["cpu_share"]
    yield Figure(
        "sustained capture: CPU share of the capturing process",
        share,
        "1",
        f"{share / STREAMS:.4f} a stream",
        f"< {CPU_GOAL:g} of a core",
        share < CPU_GOAL,
        provenance,
    )
    yield Figure(
        "sustained capture: growth of memory from 10 s to the end",
        growth,
        "1",
        f"{taken['late_bytes'] / 2**20:.0f} MiB at the end",
        f"< {GROWTH_GOAL:g}",
        growth < GROWTH_GOAL,
        provenance,
    )


def capture(streams: int, seconds: float) -> dict[str, Any]:
    """What the capturing process says of itself."""
    replay = [sys.executable, "-m", "bench.replay", str(streams), str(REPEAT_S), str(SEED)]
    with (
        tempfile.TemporaryDirectory() as folder,
        subprocess.Popen(replay, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as far_end,
    ):
        assert far_end.stdout is not None
        ports = json.loads(far_end.stdout.readline())
        command = [sys.executable, "-m", "bench.capturer", str(seconds), str(Path(folder)), *ports]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE)
        assert far_end.stdin is not None
        far_end.stdin.close()
    taken: dict[str, Any] = json.loads(done.stdout)
    return taken
