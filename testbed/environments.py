"""The paper's execution environments, by their names (Kim & Wu, MICRO 2020, as recalled).

The paper gives them in words; the numbers are this testbed's. Signals: -58 dBm is regular, -82 dBm weak (the paper's
edge is -80 dBm); D3's spread reaches across that edge. Co-runners are shares of the CPU and of memory bandwidth; the
music player of D1 and the browser of D2 are replayed from recordings, D4 turns from one co-runner to another.
"""

from __future__ import annotations

from collections.abc import Iterator
from difflib import get_close_matches
from itertools import count, islice

import numpy as np

from testbed.co_runs import read_recording
from testbed.config import CoRunner, Environment
from testbed.errors import BenchError
from testbed.moment import Moment
from testbed.network.conditions import Condition, Standard
from testbed.network.trace_files import read_trace

SIGNAL_RANGE_DBM = (-85.0, -50.0)
"""the range the measured goodput table covers"""

_QUIET = CoRunner()
_MUSIC, _BROWSER = CoRunner(replay="music-player"), CoRunner(replay="web-browser")
_BUSY_CPU, _BUSY_MEMORY = CoRunner(cpu=0.75, memory=0.2), CoRunner(cpu=0.2, memory=0.75)

ENVIRONMENTS = {
    environment.name: environment
    for environment in (
        Environment(name="S1"),
        Environment(name="S2", co_runner=_BUSY_CPU),
        Environment(name="S3", co_runner=_BUSY_MEMORY),
        Environment(name="S4", rssi_dbm=-82.0),
        Environment(name="S5", peer_rssi_dbm=-82.0),
        Environment(name="D1", co_runner=_MUSIC),
        Environment(name="D2", co_runner=_BROWSER),
        Environment(name="D3", rssi_dbm=-68.0, rssi_std_db=9.0),
        Environment(name="D4", co_runner=[_QUIET, _MUSIC, _BROWSER, _BUSY_CPU, _BUSY_MEMORY], dwell_trials=20.0),
    )
}


def resolve_environment(named: str | Environment) -> Environment:
    """The environment of that name, or the one spelled out. Raises BenchError for an unknown name."""
    if isinstance(named, Environment):
        return named
    if named in ENVIRONMENTS:
        return ENVIRONMENTS[named]
    near = get_close_matches(named, ENVIRONMENTS, n=1)
    hint = f"did you mean '{near[0]}'?" if near else f"known: {', '.join(ENVIRONMENTS)}; or spell one out"
    raise BenchError(f"environment '{named}' is unknown; {hint}")


def path_of(environment: Environment, standard: Standard) -> Iterator[Condition] | None:
    """The path to the cloud in each of an environment's trials, without an end, as its trace has it; None without one.

    Raises BenchError for a trace that cannot be read.
    """
    if environment.trace is None:
        return None
    trace = read_trace(environment.trace, standard)
    return (trace.at(trial * environment.trace_step_s) for trial in count())


def moments(
    environment: Environment, trials: int, random: np.random.Generator, path: Iterator[Condition] | None = None
) -> list[Moment]:
    """What surrounds the board in each trial; signals in whole dBm, as a radio tells them.

    `path` is that of `path_of`, which goes on from one call to the next.
    """
    return list(islice(_surroundings(environment, random, path), trials))


def _surroundings(
    environment: Environment, random: np.random.Generator, path: Iterator[Condition] | None
) -> Iterator[Moment]:
    for co_runner, load in _loads(environment, random):
        cloud = None if path is None else next(path)
        rssi_dbm = environment.rssi_dbm if cloud is None or cloud.rssi_dbm is None else cloud.rssi_dbm
        if environment.rssi_std_db:
            weakest_dbm, strongest_dbm = SIGNAL_RANGE_DBM
            rssi_dbm = min(max(random.normal(rssi_dbm, environment.rssi_std_db), weakest_dbm), strongest_dbm)
        yield _moment(co_runner, load, rssi_dbm, environment.peer_rssi_dbm, cloud)


Loads = Iterator[tuple[float, float]]
"""(cpu, memory) of each trial, without an end"""


def _loads(environment: Environment, random: np.random.Generator) -> Iterator[tuple[CoRunner, tuple[float, float]]]:
    """Of each trial, without an end. A changing co-runner is a chain that leaves its state for any of the others.

    It does so with probability 1 / dwell_trials; a recording stands still while another state has its turn.
    """
    states = co_runners(environment)
    loads = [_replayed(state, random) for state in states]
    at = int(random.integers(len(states))) if len(states) > 1 else 0
    while True:
        yield states[at], next(loads[at])
        if len(states) > 1 and random.random() * environment.dwell_trials < 1.0:
            at = (at + int(random.integers(1, len(states)))) % len(states)


def _replayed(state: CoRunner, random: np.random.Generator) -> Loads:
    """A recording begins at a place of its own, drawn at random, and goes on by its step from trial to trial."""
    if state.replay is None:
        while True:
            yield state.cpu, state.memory
    recording = read_recording(state.replay)
    begin_s = float(random.random()) * recording.length_s
    for trial in count():
        yield recording.at(begin_s + trial * state.replay_step_s)


def co_runners(environment: Environment) -> list[CoRunner]:
    """The one that stays, or all between which it changes."""
    return environment.co_runner if isinstance(environment.co_runner, list) else [environment.co_runner]


def heaviest(state: CoRunner) -> Moment:
    """A moment with the most that a co-runner ever asks. Raises BenchError for a recording that cannot be read."""
    loads = [(state.cpu, state.memory)] if state.replay is None else read_recording(state.replay).loads
    cpu, memory = map(max, zip(*loads, strict=True))
    return _moment(state, (cpu, memory), -58.0, -58.0, None)


def _moment(
    co_runner: CoRunner, load: tuple[float, float], rssi_dbm: float, peer_rssi_dbm: float, cloud: Condition | None
) -> Moment:
    return Moment(
        *load,
        float(round(rssi_dbm)),
        float(round(peer_rssi_dbm)),
        cloud=cloud,
        co_cores=tuple(co_runner.cores),
        co_nice=co_runner.nice,
        co_command=tuple(co_runner.command or ()),
    )
