"""A whole run on one time axis, for ui.perfetto.dev: power, inferences, conditions, decisions, temperature.

Times are microseconds from the first trial's window, samples before it are below zero and left out. Where the
controller's clock began again between start and resume, what follows is put a second after what was before.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from results import samples
from results.durable import write_whole
from results.names import policy_name
from results.records import BlockRecord, TrialRecord
from results.run import Run
from results.run_clock import shifts_ns
from results.trace_events import Event, counter, instant, moment, named, ordered, slice_of, write_events

_CONDITIONS, _TRIALS, _INFERENCES, _DECISIONS = 2, 3, 4, 5
_THREADS = {_CONDITIONS: "conditions", _TRIALS: "trials", _INFERENCES: "inferences", _DECISIONS: "decisions"}
_SLACK = 1.02
"""inferences that fill their window but for this are laid end to end in it"""


def write_timeline(run: Run, path: Path) -> None:
    """JSON of the Trace Event Format. Raises `StoreFull` when there is no space."""
    write_whole(path, lambda part: write_events(part, _about(run), _events(run)))


def _about(run: Run) -> dict[str, Any]:
    header = run.header
    facts = {"bench": header.bench, "suite": header.suite, "seed": header.seed, "created": header.created}
    return {**facts, "provenance": header.provenance, "caution": header.caution, "labels": list(header.labels)}


def _events(run: Run) -> Iterator[Event]:
    name, caution = str(run.header.suite.get("name", run.path.name)), run.header.caution
    yield named("process_name", name if caution is None else f"{name} ({caution})")
    for place, (thread, what) in enumerate(_THREADS.items()):
        yield named("thread_name", what, thread)
        yield ordered(thread, place)
    if not run.trials:
        return
    shift_ns = shifts_ns(run.trials)
    yield from _condition_slices(run, shift_ns)
    for trial, shift in zip(run.trials, shift_ns.tolist(), strict=True):
        yield from _trial_events(trial, shift)
    yield from _readings(run, shift_ns)
    yield from _power(run, shift_ns)


def _condition_slices(run: Run, shift_ns: NDArray[np.int64]) -> Iterator[Event]:
    """Of each block from its first trial to its last: its condition and what became of it."""
    begins = {block.block: block for block in run.blocks if block.phase == "begin"}
    spans: dict[int, list[int]] = {}
    for number, trial in enumerate(run.trials):
        spans.setdefault(trial.block, [number, number])[1] = number
    for number, (first, last) in spans.items():
        begin, end = run.trials[first], run.trials[last]
        times = (begin.start_ns + int(shift_ns[first])) / 1e3, (end.end_ns + int(shift_ns[last])) / 1e3
        yield slice_of(begin.environment, _CONDITIONS, *times, "condition", _told(begins.get(number), begin))


def _told(block: BlockRecord | None, trial: TrialRecord) -> dict[str, Any]:
    condition = trial.condition
    told = {
        "block": trial.block,
        "asked": condition.asked,
        "applied": condition.applied,
        "observed": condition.observed,
    }
    return told if block is None else {**told, "clocks": {name: asdict(fit) for name, fit in block.clocks.items()}}


def _trial_events(trial: TrialRecord, shift_ns: int) -> Iterator[Event]:
    begin_us, end_us = (trial.start_ns + shift_ns) / 1e3, (trial.end_ns + shift_ns) / 1e3
    who = policy_name(trial.policy) if trial.policy else trial.kind
    outcome = {"outcome": trial.outcome, "note": trial.note, "qos_met": trial.qos_met, "accuracy": trial.accuracy}
    energy = asdict(trial.energy) if trial.energy else {}
    args = {"trial": trial.index, "n": trial.n, "chosen by": who, **outcome, **energy}
    yield slice_of(f"{trial.workload} on {trial.action or 'a lost board'}", _TRIALS, begin_us, end_us, trial.kind, args)
    if trial.policy is not None and trial.action is not None:
        told = {"trial": trial.index, "explored": trial.explored, "state": trial.state}
        opt = {} if trial.opt is None else {"opt": str(trial.opt.action), "opt_energy_j": trial.opt.energy_j}
        reward = {} if trial.reward is None else {"reward": trial.reward.value}
        yield moment(f"{who}: {trial.action}", _DECISIONS, begin_us, "decision", {**told, **opt, **reward})
    for reason in trial.condition.strayed:
        yield instant(f"strayed: {reason}", begin_us, "alarm")
    if trial.latencies_s and sum(trial.latencies_s) * 1e6 * _SLACK >= end_us - begin_us:
        yield from _inferences(trial, begin_us, end_us)


def _inferences(trial: TrialRecord, begin_us: float, end_us: float) -> Iterator[Event]:
    """End to end, as they were run; their own beginnings are not on record."""
    at_us = begin_us
    for number, latency_s in enumerate(trial.latencies_s):
        then_us = min(at_us + latency_s * 1e6, end_us)
        args = {"trial": trial.index, "latency_s": latency_s, "qos_s": trial.qos_s}
        yield slice_of(f"{trial.workload} {number + 1}", _INFERENCES, at_us, then_us, "inference", args)
        at_us = then_us


def _readings(run: Run, shift_ns: NDArray[np.int64]) -> Iterator[Event]:
    for name, key, unit in (("temperature", "temperature_c", "°C"), ("signal", "rssi_dbm", "dBm")):
        found = [
            ((trial.start_ns + shift) / 1e3, float(value))
            for trial, shift in zip(run.trials, shift_ns.tolist(), strict=True)
            if isinstance(value := trial.observed.get(key), (int, float))
        ]
        if found:
            at_us, values = np.array(found, np.float64).T
            yield from counter(name, unit, at_us, values)


def _power(run: Run, shift_ns: NDArray[np.int64]) -> Iterator[Event]:
    """Batch by batch, since a run has more samples than memory may hold."""
    for batch in samples.every(run.path, len(run.trials)):
        trial, time_ns, channel, power_w = (
            batch.column(name).to_numpy() for name in ("trial", "time_ns", "channel", "power_w")
        )
        at_us = (time_ns + shift_ns[trial]) / 1e3
        for number in np.unique(channel):
            own = (channel == number) & (at_us >= 0)
            yield from counter(f"power, channel {number}", "W", at_us[own], power_w[own])
