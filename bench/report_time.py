"""A report of 100,000 trials: the time to make it, and to open it in a headless Chromium."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median

from bench.browser import Browser, found
from bench.figure import Figure
from bench.many_trials import make_run
from results import Run, write_report

TRIALS, ROUNDS = 100_000, 3
OPEN_GOAL_S = 3.0
_DRAWN = (
    "[...document.querySelectorAll('.plot')].filter((plot) => plot.getBoundingClientRect().top < innerHeight)"
    ".every((plot) => plot.querySelector('.main-svg'))"
)


def figures() -> Iterator[Figure]:
    """Of reading and rendering, of the page's size, and of opening it."""
    provenance = f"{TRIALS} made-up trials of 4 inferences, 5 policies in 32 places"
    with tempfile.TemporaryDirectory() as folder:
        path = make_run(Path(folder) / "run", TRIALS)
        page = Path(folder) / "report.html"
        begun_s = time.process_time()
        run = Run.read(path)
        read_s = time.process_time()
        write_report(run, page)
        done_s = time.process_time()
        yield Figure(
            "report: reading 100,000 trials", read_s - begun_s, "s", None, None, None, f"{provenance}; CPU time"
        )
        yield Figure(
            "report: writing the page of them", done_s - read_s, "s", None, None, None, f"{provenance}; CPU time"
        )
        size_mb = page.stat().st_size / 1e6
        yield Figure("report: size of that page", size_mb, "MB", "of which plotly.js 4.8", None, None, provenance)
        yield _opening(page, provenance)


def _opening(page: Path, provenance: str) -> Figure:
    name, goal = "report: opening that page", f"< {OPEN_GOAL_S:g}"
    program = found()
    if program is None:
        return Figure(name, None, "s", None, goal, None, "needs a Chromium; on Debian: the package chromium")
    times_s = []
    with Browser(program) as browser:
        browser.look(1280, 900)
        for _ in range(ROUNDS):
            begun_s = time.monotonic()
            browser.open(page.as_uri())
            browser.wait_for(_DRAWN)
            times_s.append(time.monotonic() - begun_s)
    value = median(times_s)
    how = f"{provenance}; until all in sight is drawn, 1280 x 900, headless, no GPU, wall clock, median of {ROUNDS}"
    return Figure(name, value, "s", f"the slowest {max(times_s):.2g} s", goal, value < OPEN_GOAL_S, how)
