"""Joules of one inference without a meter: powers from a metered profile, times from the board itself.

The equations are AutoScale's (Kim and Wu, MICRO 2020, arXiv 2005.02544) (recalled):

- a processor of the board: idle power and the busy power of its frequency, over the latency; a fixed accelerator is the
  case of one frequency;
- offloading: P_tx(signal) t_tx + P_rx t_rx + P_idle (latency - t_tx - t_rx).

Co-running applications draw from the same supply, so their utilisation adds power of its own wherever the profile shows
it. Written as power above idle all of it is linear, and one least-squares fit finds every power.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from scheduler.contract import REMOTE_TARGETS, Action, State
from scheduler.profile import ProfileRecord


class NotCalibratedError(ValueError):
    """The profile says nothing about an action."""


@dataclass(frozen=True, slots=True)
class SignalCurve:
    """How the power of the transmitting radio changes with the signal: energy per bit times bits per second.

    What a weak signal costs is mostly time on the air, which the transmit time holds already; only the rest is power.
    Between the points it is interpolated, beyond them it stays. The scale is of no account: the fit sets it.
    """

    rssi_dbm: tuple[float, ...]
    energy_per_bit: tuple[float, ...]
    """relative"""
    goodput_bps: tuple[float, ...]
    source: str

    def __call__(self, rssi_dbm: float) -> float:
        """Relative transmit power at a signal."""
        power = np.multiply(self.energy_per_bit, self.goodput_bps)
        strongest = power[-1]
        return float(np.interp(rssi_dbm, self.rssi_dbm, power / strongest))


PROPOSED_CURVE = SignalCurve(
    rssi_dbm=(-78.0, -73.0, -68.0, -63.0, -58.0, -48.0),
    energy_per_bit=(29.0, 11.0, 6.0, 3.3, 2.7, 1.0),
    goodput_bps=(1.0e6, 2.5e6, 4.8e6, 8.7e6, 11e6, 29e6),
    source="goodput: medians of 802.11n HT20 downlink UDP, adamiaonr/wifi-vehicles, feup-exp-201901 (CC BY 4.0); "
    "energy per bit: a proposal, not measured",
)

_Unknown = tuple[str, str, float | None]
"""(target or cause, precision or direction, frequency_hz) of one power above idle"""
_CO_CPU: _Unknown = ("co-runner", "cpu", None)
_CO_MEMORY: _Unknown = ("co-runner", "memory", None)


@dataclass(frozen=True, slots=True)
class Estimator:
    """Implements `EnergyEstimator`; `fit` makes one."""

    idle_power_w: float
    excess_power_w: Mapping[_Unknown, float]
    """power above idle; a frequency between two that were profiled is interpolated"""
    signal_curve: Callable[[float], float] = PROPOSED_CURVE
    _frequencies_hz: Mapping[tuple[str, str], list[float]] = field(init=False)

    def __post_init__(self) -> None:
        frequencies: dict[tuple[str, str], list[float]] = {}
        for target, precision, frequency_hz in sorted(self.excess_power_w, key=lambda unknown: unknown[2] or 0.0):
            if frequency_hz is not None:
                frequencies.setdefault((target, precision), []).append(frequency_hz)
        object.__setattr__(self, "_frequencies_hz", frequencies)

    @classmethod
    def fit(
        cls,
        records: Sequence[ProfileRecord],
        idle_power_w: float,
        signal_curve: Callable[[float], float] = PROPOSED_CURVE,
    ) -> Estimator:
        """Least squares of the relative error over the records, with no power below idle.

        Raises NotCalibratedError when there are no records.
        """
        if not records:
            raise NotCalibratedError("the energy estimator has no profile trials to learn from; meter some first")
        draft = cls(idle_power_w, {}, signal_curve)
        rows = [draft._terms(r.state, r.action, r.latency_s, r.transmit_s, r.receive_s) for r in records]
        unknowns = _visible(rows, records)
        weights = 1.0 / np.array([record.energy_j for record in records])
        rest = np.array([record.energy_j - idle_power_w * record.latency_s for record in records]) * weights
        design = np.array([[row.get(unknown, 0.0) for unknown in unknowns] for row in rows]) * weights[:, None]
        return cls(idle_power_w, dict(zip(unknowns, _not_negative(design, rest), strict=True)), signal_curve)

    def energy_j(self, state: State, action: Action, latency_s: float, transmit_s: float, receive_s: float) -> float:
        """Whole-board energy of one inference. Raises NotCalibratedError where the profile cannot speak of it."""
        terms = self._terms(state, action, latency_s, transmit_s, receive_s)
        return self.idle_power_w * latency_s + sum(time_s * self._power_w(unknown) for unknown, time_s in terms.items())

    def relative_error(self, records: Iterable[ProfileRecord]) -> float:
        """Mean of |estimated - metered| / metered."""
        errors = [
            abs(self.energy_j(r.state, r.action, r.latency_s, r.transmit_s, r.receive_s) - r.energy_j) / r.energy_j
            for r in records
        ]
        return sum(errors) / len(errors)

    def _terms(
        self, state: State, action: Action, latency_s: float, transmit_s: float, receive_s: float
    ) -> dict[_Unknown, float]:
        """Each power above idle that this inference drew, with the time it drew it."""
        terms: dict[_Unknown, float] = {_CO_CPU: state.co_cpu * latency_s, _CO_MEMORY: state.co_memory * latency_s}
        if action.target in REMOTE_TARGETS:
            rssi_dbm = state.rssi_dbm if action.target == "cloud" else state.peer_rssi_dbm
            terms[action.target, "transmit", None] = self.signal_curve(rssi_dbm) * transmit_s
            terms[action.target, "receive", None] = receive_s
        else:
            terms[action.target, action.precision, action.frequency_hz] = latency_s
        return terms

    def _power_w(self, unknown: _Unknown) -> float:
        known = self.excess_power_w.get(unknown)
        if known is not None:
            return known
        target, precision, frequency_hz = unknown
        if target == "co-runner":
            return 0.0
        steps = self._frequencies_hz.get((target, precision), [])
        if frequency_hz is None or not steps or not steps[0] <= frequency_hz <= steps[-1]:
            what = f"{target} {precision}" + ("" if frequency_hz is None else f" at {frequency_hz / 1e6:.0f} MHz")
            raise NotCalibratedError(f"the energy estimator knows no power of {what}; meter a profile trial of it")
        powers = [self.excess_power_w[target, precision, step] for step in steps]
        return float(np.interp(frequency_hz, steps, powers))


def _visible(rows: Sequence[Mapping[_Unknown, float]], records: Sequence[ProfileRecord]) -> list[_Unknown]:
    """The powers the records can tell: a co-runner's only where its load changed by a tenth or more."""
    unknowns = list(dict.fromkeys(unknown for row in rows for unknown in row))
    for unknown, loads in (
        (_CO_CPU, [record.state.co_cpu for record in records]),
        (_CO_MEMORY, [record.state.co_memory for record in records]),
    ):
        if max(loads) - min(loads) < 0.1:
            unknowns.remove(unknown)
    return unknowns


def _not_negative(design: NDArray[np.float64], rest: NDArray[np.float64]) -> list[float]:
    """Least squares with the powers that would fall below zero held there."""
    powers = np.zeros(design.shape[1])
    kept = np.arange(design.shape[1])
    while kept.size:
        solution = np.linalg.lstsq(design[:, kept], rest, rcond=None)[0]
        if (solution >= 0.0).all():
            powers[kept] = solution
            break
        kept = kept[solution >= 0.0]
    return [float(power) for power in powers]
