"""Makes one measurement of a condition on an open bench."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timezone
from typing import Any

import power
from power import Energy, cut
from testbed.calibrate.design import Condition
from testbed.calibrate.measurement import Measurement
from testbed.errors import BenchError, TransientError
from testbed.marks import HostClocks
from testbed.meter import GUARD_PERIODS, WINDOW_MARGIN, Meter
from testbed.network.conditions import condition_at
from testbed.opening import OpenBench, Servers
from testbed.remote import BoardLost

_log = logging.getLogger(__name__)

ATTEMPTS = 3
LEAST_WINDOW_S = 0.12
"""shorter ones would be fewer periods of a load worker's 10 ms than its duty can be seen in"""
LEAST_GUARD_S = 0.045
"""a third of it is how far a mark may be off: 15 ms, the round trips of a bad network"""
SETTLING_S = 0.005
"""of a load that rises or falls, left out of its windows"""
_REACH = 6.0
"""standard uncertainties of a window's place that its samples reach beyond it"""
THERMAL_SLICES = 60
"""of the longest time a thermal steady state is waited for"""
STEADY_K, STEADY_SLICES = 0.5, 6
"""a temperature that moved no more over so many slices is steady"""
_OUTSIDE_EXCESS = ("gain", "offset")
"""of an energy's causes of uncertainty, what acts on the load and on idle alike"""


@dataclass(frozen=True, slots=True)
class Network:
    """What a measurement has to know of a network."""

    macs: int
    bytes_moved: Mapping[str, int]
    """by precision"""


class BenchEnd:
    """Of one open bench with its meter running."""

    def __init__(self, opened: OpenBench, meter: Meter, servers: Servers, networks: Mapping[str, Network]) -> None:
        self._opened = opened
        self._agent = opened.agent
        self._meter = meter
        self._servers = servers
        self._networks = networks
        self._host = HostClocks(opened.board_clock, meter)
        spec = meter.spec
        self._settling_s = SETTLING_S + 2 * spec.period_s
        self._window_s = max(LEAST_WINDOW_S, WINDOW_MARGIN * spec.shortest_window_s) + 2 * self._settling_s
        self._guard_s = max(LEAST_GUARD_S, GUARD_PERIODS * spec.period_s)
        self._began_ns = opened.now_ns()

    def measure(self, condition: Condition, *, sentinel: bool, before_s: float) -> Measurement:
        """One measurement, made again where the meter or the board failed it; `before_s` had elapsed earlier.

        Raises BenchError after `ATTEMPTS`, and BoardLost.
        """
        for attempt in range(1, ATTEMPTS + 1):
            begun_ns = self._opened.now_ns()
            try:
                self._opened.board_clock.update()
                made = self._once(condition)
            except BoardLost:
                raise
            except (TransientError, power.TransientError) as trouble:
                _log.warning("%s, attempt %d of %d: %s", condition, attempt, ATTEMPTS, trouble)
                last = trouble
                if isinstance(trouble, power.TransientError):
                    self._meter.recover(trouble)
                continue
            self._meter.take_samples()
            now_ns = self._opened.now_ns()
            return replace(
                made,
                sentinel=sentinel,
                elapsed_s=before_s + (now_ns - self._began_ns) * 1e-9,
                lasted_s=(now_ns - begun_ns) * 1e-9,
            )
        raise BenchError(f"'{condition}' failed {ATTEMPTS} times: {last}; mend that, then go on with --resume")

    def _once(self, condition: Condition) -> Measurement:
        if condition.kind == "network":
            return self._inferences(condition)
        if condition.kind == "radio":
            self._apply_link(condition)
            return self._inferences(condition)
        if condition.kind == "thermal":
            return self._thermal(condition)
        if condition.power_mode is not None:
            return self._in_mode(condition, condition.power_mode)
        return self._burden(condition, self._window_s)

    def _burden(self, condition: Condition, duration_s: float) -> Measurement:
        answer = self._bear(condition, self._window_s, duration_s)
        windows = answer["windows"]
        before, busy, after = (self._cut(*windows[name]["ns"]) for name in ("before", "busy", "after"))
        idle_w = (before.mean_power_w + after.mean_power_w) / 2
        truths_w = [_mean_truth_w(windows[name]) for name in ("before", "busy", "after")]
        before_w, busy_w, after_w = truths_w
        return Measurement(
            condition=condition,
            sentinel=False,
            at=_now(),
            elapsed_s=0.0,
            lasted_s=0.0,
            idle_w=idle_w,
            power_w=busy.mean_power_w,
            excess_w=busy.mean_power_w - idle_w,
            standard_uncertainty_w=math.hypot(
                _random_w(busy), _random_w(before) / 2, _random_w(after) / 2, _drift_w(before, after)
            ),
            busy_s=duration_s,
            temperature_c=_mean(answer["temperature_c"]),
            throttled=answer["throttled"],
            strayed=tuple(answer["strayed"]),
            utilisation=answer["utilisation"],
            memory=answer["memory"],
            truth_idle_w=None if before_w is None or after_w is None else (before_w + after_w) / 2,
            truth_power_w=busy_w,
        )

    def _cut(self, start_ns: int, end_ns: int) -> Energy:
        """A window's energy without its edges."""
        place = self._host.place({"start_ns": start_ns, "end_ns": end_ns})
        trim_ns = round(self._settling_s * 1e9)
        margin_ns = round((2 * self._meter.spec.period_s + _REACH * place.standard_uncertainty_s) * 1e9)
        return cut(
            self._meter.trace(place.start_ns - margin_ns, place.end_ns + margin_ns),
            place.start_ns + trim_ns,
            place.end_ns - trim_ns,
            self._meter.spec,
            clock_uncertainty_s=place.standard_uncertainty_s,
        )

    def _inferences(self, condition: Condition) -> Measurement:
        answer = self._agent.ask(
            "trial",
            patience_s=self._agent.answer_s,
            workload=condition.network,
            who={"action": asdict(condition.action)},
            window={"shortest_s": self._window_s, "guard_s": self._guard_s},
            index=0,
            signals=None,
        )
        if answer["failure"] is not None:
            self._servers.require_alive()
            raise TransientError(answer["failure"])
        latencies_s = answer["latencies_s"]
        n = len(latencies_s)
        energy = self._meter.energy(self._host.place(answer), self._guard_s, sum(latencies_s))
        assert energy.busy is not None
        assert energy.baseline_power_w is not None
        assert energy.idle_subtracted_j is not None
        assert energy.idle_subtracted_budget_j is not None
        latency_s = sum(latencies_s) / n
        seen, network = answer["observed"], self._networks[condition.network]
        truth_j = answer["truth_j"]
        return Measurement(
            condition=condition,
            sentinel=False,
            at=_now(),
            elapsed_s=0.0,
            lasted_s=0.0,
            idle_w=energy.baseline_power_w,
            power_w=energy.busy.energy_j / n / latency_s,
            excess_w=energy.idle_subtracted_j / n / latency_s,
            standard_uncertainty_w=_without(energy.idle_subtracted_budget_j) / sum(latencies_s),
            busy_s=latency_s,
            temperature_c=seen["temperature_c"],
            throttled=seen["throttled"],
            strayed=tuple(answer["strayed"]),
            rssi_dbm=seen["rssi_dbm"],
            inferences=n,
            energy_j=energy.busy.energy_j / n,
            excess_j=energy.idle_subtracted_j / n,
            transmit_s=answer["transmit_s"] / n,
            receive_s=answer["receive_s"] / n,
            macs=network.macs,
            bytes_moved=network.bytes_moved.get(condition.precision, 0),
            truth_power_w=None if truth_j is None else truth_j / latency_s,
            truth_energy_j=truth_j,
        )

    def _apply_link(self, condition: Condition) -> None:
        link, settings = self._opened.link, self._opened.bench.link
        assert link is not None
        assert settings is not None
        at = condition_at(condition.rssi_dbm, settings.standard)
        if condition.rate_share != 1.0:
            share = condition.rate_share
            at = at.with_given({"rate_up_bps": at.rate_up_bps * share, "rate_down_bps": at.rate_down_bps * share})
        link.apply(at, condition.target)

    def _in_mode(self, condition: Condition, mode: str) -> Measurement:
        """In another power mode, and back. Raises BenchError where the board cannot be put into it."""
        was = self._agent.ask("standing")["held"].get("power_mode")
        try:
            self._agent.ask("tune", patience_s=120.0, knob="power_mode", value=mode)
            return self._burden(condition, self._window_s)
        finally:
            if was is not None:
                self._agent.ask("tune", patience_s=120.0, knob="power_mode", value=was)

    def _thermal(self, condition: Condition) -> Measurement:
        """Load until the temperature is steady; what is measured then is the hot board, whose idle power leaks more."""
        course: list[tuple[float, float]] = []
        longest_s = condition.duration_s
        slice_s = max(longest_s / THERMAL_SLICES, self._window_s)
        begun_ns = self._opened.now_ns()
        elapsed_s = 0.0
        while elapsed_s < longest_s and not _steady(course):
            warmth_c = _mean(self._bear(condition, 0.0, slice_s)["temperature_c"][-1:])
            self._meter.take_samples()
            elapsed_s = (self._opened.now_ns() - begun_ns) * 1e-9
            if warmth_c is None:
                break
            course.append((elapsed_s, warmth_c))
        share = min(1.0, len(course) * slice_s / elapsed_s)
        return replace(self._burden(condition, slice_s), course_c=tuple(course), course_share=share)

    def _bear(self, condition: Condition, idle_s: float, duration_s: float) -> dict[str, Any]:
        answer: dict[str, Any] = self._agent.ask(
            "burden",
            patience_s=60.0 + duration_s,
            cores=condition.cores,
            utilisation=condition.utilisation,
            frequency_hz=condition.frequency_hz,
            memory=condition.memory,
            idle_s=idle_s,
            duration_s=duration_s,
        )
        return answer


def _steady(course: list[tuple[float, float]]) -> bool:
    recent = [warmth_c for _, warmth_c in course[-STEADY_SLICES:]]
    return len(recent) == STEADY_SLICES and max(recent) - min(recent) <= STEADY_K


def _mean_truth_w(window: Mapping[str, Any]) -> float | None:
    start_ns, end_ns = window["ns"]
    return None if window["truth_j"] is None else window["truth_j"] / ((end_ns - start_ns) * 1e-9)


def _random_w(energy: Energy) -> float:
    return _without(energy.budget_j) / energy.window_s


def _without(budget_j: Mapping[str, float]) -> float:
    return math.hypot(*(value for cause, value in budget_j.items() if cause not in _OUTSIDE_EXCESS))


def _drift_w(before: Energy, after: Energy) -> float:
    """Of the idle power between two windows, whose mean stands for what lies between."""
    return abs(after.mean_power_w - before.mean_power_w) / math.sqrt(12.0)


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None


def _now() -> str:
    return datetime.now(timezone.utc).isoformat(timespec="seconds")
