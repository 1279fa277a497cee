"""What is told of a run, or of a meter, to those who watch."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from statistics import median
from typing import Any

import numpy as np

from power import MonitorSpec, Samples, Tally
from results import TrialRecord
from results.formats import TIMES
from results.names import policy_name
from results.report.requested import is_off
from testbed.live.feed import Feed, Json
from testbed.live.tail import News, RunTail

LOOK_EVERY_S = 0.5
RECENT = 50
"""trials by whose pace the end is foretold"""


class RunWatch:
    """Looks at a run folder now and then, and tells the feed."""

    def __init__(self, tail: RunTail, feed: Feed) -> None:
        self._tail = tail
        self._feed = feed
        self._starts: list[tuple[int, int]] = []
        """index and start of the latest trials"""
        self._origin_ns: int | None = None
        self._told: tuple[int, str] | None = None

    def follow(self) -> None:
        """Until interrupted."""
        while True:
            self.look()
            time.sleep(LOOK_EVERY_S)

    def look(self) -> None:
        """Once."""
        news = self._tail.look()
        if not news.trials and not news.samples and self._told == (news.done, news.state):
            return
        self._told = (news.done, news.state)
        self._mind_the_clock(news.trials)
        origin_ns = self._origin_ns or 0
        self._feed.tell(
            now=self._now(news),
            power=self._power(news, origin_ns),
            windows=[_window(trial, origin_ns) for trial in news.trials],
            alarms=[alarm for trial in news.trials for alarm in alarms_of(trial)],
        )

    def _mind_the_clock(self, trials: Sequence[TrialRecord]) -> None:
        for trial in trials:
            if self._starts and trial.start_ns < self._starts[-1][1]:  # a reboot between start and resume
                self._starts.clear()
                self._origin_ns = None
                self._feed.begin_anew()
            if self._origin_ns is None:
                self._origin_ns = trial.start_ns
            self._starts = [*self._starts[-RECENT:], (trial.index, trial.start_ns)]

    def _power(self, news: News, origin_ns: int) -> dict[str, Any]:
        lines: dict[str, Any] = {}
        for table in news.samples:
            channel = table["channel"].to_numpy()
            for number in np.unique(channel):
                own = channel == number
                at_s = (table["time_ns"].to_numpy()[own] - origin_ns) * 1e-9
                lines.setdefault(f"channel {number}", []).append((at_s, table["power_w"].to_numpy()[own]))
        return {name: tuple(map(np.concatenate, zip(*parts, strict=True))) for name, parts in lines.items()}

    def _now(self, news: News) -> Json:
        planned = len(self._tail.plan)
        now: Json = {"state": news.state, "done": news.done, "planned": planned, "left_s": self._left_s(news.done)}
        if news.done < planned:
            due: Any = self._tail.plan[news.done]
            who = policy_name(due["policy"]) if due.get("policy") else f"{due.get('kind')} {due.get('action') or ''}"
            now |= {"environment": due.get("environment"), "workload": due.get("workload"), "who": who.strip()}
            now["condition"] = _condition(due.get("surroundings") or {})
        if news.trials:
            now["last"] = _last(news.trials[-1])
        return now

    def _left_s(self, done: int) -> float | None:
        steps = [later[1] - earlier[1] for earlier, later in zip(self._starts, self._starts[1:], strict=False)]
        return median(steps) * 1e-9 * (len(self._tail.plan) - done) if steps else None


class MeterWatch:
    """Tells the feed what a meter reads."""

    def __init__(self, spec: MonitorSpec, begin_ns: int, feed: Feed) -> None:
        self._spec = spec
        self._begin_ns = begin_ns
        self._feed = feed
        self._tally = Tally(spec)
        self._lost = 0

    def take(self, samples: Samples) -> None:
        """Count them in."""
        self._tally.add(samples)
        total = self._tally.total
        alarms = []
        at_s = (int(samples.time_ns[-1]) - self._begin_ns) * 1e-9
        if total.lost > self._lost:
            text = f"{total.lost - self._lost}; {total.lost} of {total.lost + total.count} since the beginning"
            alarms.append({"at": f"{at_s:.1f} s", "kind": "samples lost", "text": text})
            self._lost = total.lost
        self._feed.tell(
            now={"elapsed_s": at_s, "power_w": total.latest_w, "mean_w": total.mean_w, "energy_j": total.energy_j},
            power={
                channel.name: (
                    (samples.time_ns[samples.channel == number] - self._begin_ns) * 1e-9,
                    samples.power_w[samples.channel == number],
                )
                for number, channel in enumerate(self._spec.channels)
            },
            alarms=alarms,
        )


def alarms_of(trial: TrialRecord) -> Iterator[Json]:
    """What a person at the bench should know of at once."""

    def alarm(kind: str, text: str) -> Json:
        return {"at": f"trial {trial.index}", "kind": kind, "text": text}

    if trial.energy and trial.energy.present < 1:
        yield alarm("samples lost", f"{100 * (1 - trial.energy.present):.2g} % of the window's samples")
    if trial.observed.get("throttled") is True:
        yield alarm("throttling", f"the board throttles at {trial.observed.get('temperature_c')} °C")
    asked_hz, observed_hz = trial.action.frequency_hz if trial.action else None, trial.observed.get("frequency_hz")
    if asked_hz is not None and isinstance(observed_hz, (int, float)) and is_off(asked_hz, observed_hz):
        yield alarm("mismatch", f"{trial.action} ran at {observed_hz / 1e6:.0f} MHz")
    for reason in trial.condition.strayed:
        yield alarm("strayed", reason)
    if trial.outcome != "ok":
        yield alarm(trial.outcome, trial.note)


def _condition(surroundings: Mapping[str, Any]) -> str:
    words = [f"signal {surroundings['rssi_dbm']:.0f} dBm"] if surroundings.get("rssi_dbm") is not None else []
    loads = [
        f"{surroundings[key]:.0%} {name}"
        for name, key in (("cpu", "co_cpu"), ("memory", "co_memory"))
        if surroundings.get(key)
    ]
    return ", ".join([*words, *(["co-runner " + " ".join(loads)] if loads else [])])


def _window(trial: TrialRecord, origin_ns: int) -> Json:
    text = f"{trial.n} {TIMES} {trial.workload} on {trial.action or 'nothing'}"
    return {
        "from_s": (trial.start_ns - origin_ns) * 1e-9,
        "to_s": (trial.end_ns - origin_ns) * 1e-9,
        "text": text,
    }


def _last(trial: TrialRecord) -> Json:
    energy = trial.energy
    return {
        "index": trial.index,
        "action": str(trial.action or trial.outcome),
        "who": policy_name(trial.policy) if trial.policy else trial.kind,
        "explored": trial.explored,
        "environment": trial.environment,
        "workload": trial.workload,
        "energy_j": energy.energy_j if energy else None,
        "standard_uncertainty_j": energy.standard_uncertainty_j if energy else None,
        "mean_power_w": energy.mean_power_w if energy else None,
        "latency_s": trial.latencies_s[-1] if trial.latencies_s else None,
        "qos_s": trial.qos_s,
        "temperature_c": trial.observed.get("temperature_c"),
        "rssi_dbm": trial.observed.get("rssi_dbm"),
        "outcome": trial.outcome,
    }
