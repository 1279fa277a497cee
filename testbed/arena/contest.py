"""A whole experiment: every course once, on all cores, from the start or from where it broke off."""

from __future__ import annotations

import multiprocessing
import platform
import signal
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from datetime import datetime, timezone
from importlib.metadata import version
from pathlib import Path

from results.arena import ArenaHeader, CellRecord, read_header, write_course, write_header
from results.arena.records import course_file
from scheduler import policies
from testbed.arena.boards import Plan, plan_board
from testbed.arena.config import Experiment
from testbed.arena.course import Circuit, Course, courses
from testbed.environments import resolve_environment
from testbed.errors import BenchError

_VERSIONED = ("edge-energy-testbed", "numpy", "pyarrow")
Done = Callable[[int, int], None]
"""is told how many of how many courses are done"""


def prepare(experiment: Experiment, on_step: Callable[[str], None]) -> list[Plan]:
    """Check everything an experiment names. Raises BenchError or PolicyError."""
    for policy in experiment.policies:
        policies.require(policy.builder, policy.options)
    training = experiment.training.environments
    named = [*experiment.environments, *experiment.profile.environments, *([] if training == "grid" else training)]
    for each in (*named, *(end for drift in experiment.drifts for end in (drift.before, drift.after))):
        resolve_environment(each)
    if len(experiment.boards) < 2 and any(policy.start == "transferred" for policy in experiment.policies):
        raise BenchError("a transferred policy comes from another board, and the experiment has one board only")
    return [plan_board(board, experiment.workloads, on_step) for board in experiment.boards]


def run(experiment: Experiment, plans: Sequence[Plan], folder: Path, workers: int, on_done: Done) -> None:
    """Carry out every course that `folder` lacks; each is durable as soon as it is done.

    What comes out depends on the experiment alone, not on `workers`, nor on how often it broke off.
    Raises BenchError when the folder holds another experiment.
    """
    _claim(experiment, plans, folder)
    every = courses(experiment)
    left = [course for course in every if not course_file(folder, course.name).exists()]
    done = len(every) - len(left)
    on_done(done, len(every))
    for course, cells in _carried_out(experiment, plans, left, workers):
        write_course(folder, course.name, cells)
        done += 1
        on_done(done, len(every))


def _claim(experiment: Experiment, plans: Sequence[Plan], folder: Path) -> None:
    header = ArenaHeader(
        created=datetime.now(timezone.utc).isoformat(),
        experiment=experiment.model_dump(mode="json"),
        versions={"python": platform.python_version(), **{package: version(package) for package in _VERSIONED}},
        host={"machine": platform.machine(), "system": platform.platform(), "node": platform.node()},
        provenance={plan.name: plan.provenance for plan in plans},
        actions={plan.name: [str(action) for action in plan.actions] for plan in plans},
        notes={plan.name: list(plan.notes) for plan in plans},
    )
    if (folder / "arena.json").exists():
        found = read_header(folder)
        if _but_seeds(found) != _but_seeds(header):
            raise BenchError(
                f"{folder} holds another experiment, or this one before it was changed; choose another folder"
            )
    write_header(folder, header)


def _but_seeds(header: ArenaHeader) -> tuple[object, ...]:
    """What must be the same for courses to stand beside each other: more seeds may always be added."""
    return {**header.experiment, "seeds": None}, header.actions, header.versions


_circuit: Circuit | None = None
"""of a worker process, which has one experiment all its life"""


def _begin(experiment: Experiment, plans: Sequence[Plan]) -> None:
    global _circuit
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's: it lets running courses end
    _circuit = Circuit(experiment, plans)


def _run(course: Course) -> list[CellRecord]:
    assert _circuit is not None
    return _circuit.run(course)


def _carried_out(
    experiment: Experiment, plans: Sequence[Plan], left: Sequence[Course], workers: int
) -> Iterator[tuple[Course, list[CellRecord]]]:
    if workers == 1:
        circuit = Circuit(experiment, plans)
        yield from ((course, circuit.run(course)) for course in left)
        return
    # Spawned: a fork would inherit whatever threads and locks the libraries of this process hold.
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(workers, context, initializer=_begin, initargs=(experiment, plans))
    try:
        waiting = iter(left)
        running: dict[Future[list[CellRecord]], Course] = {}
        while True:
            # Two courses a worker: none is idle, and an interruption loses little.
            while len(running) < 2 * workers and (course := next(waiting, None)) is not None:
                running[pool.submit(_run, course)] = course
            if not running:
                return
            for finished in wait(running, return_when=FIRST_COMPLETED).done:
                yield running.pop(finished), finished.result()
    finally:
        pool.shutdown(cancel_futures=True)
