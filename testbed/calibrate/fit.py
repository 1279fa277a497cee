"""The parameters of a power model, fitted to measurements: of the idle board, cores, processors, memory and radio."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from testbed.calibrate.measurement import Measurement
from testbed.calibrate.regression import FloatArray, SingularError, Solution, rising, robust

LEAST_RELATIVE_UNCERTAINTY = 0.005
"""of the board's power in one measurement: what differs from one to the next besides the meter's noise"""
LEAST_RATIO = 1.3
"""of networks' multiply-accumulates a second, for the energy of one to be told from busy power"""


@dataclass(frozen=True, slots=True)
class Idle:
    """At a reference temperature, and what a kelvin adds."""

    power_w: float
    standard_uncertainty_w: float
    w_per_k: float
    reference_c: float | None


@dataclass(frozen=True, slots=True)
class Table:
    """Powers of one thing above idle at its frequencies, ascending; [None] where there are none to choose."""

    frequencies_hz: list[float | None]
    busy: Solution
    mac: Solution | None
    """joules of a multiply-accumulate; None where the networks cannot tell it"""


@dataclass(frozen=True, slots=True)
class RadioTable:
    """By signal, ascending."""

    rssi_dbm: list[float]
    transmit: Solution
    receive: Solution


def idle(measured: Sequence[Measurement]) -> Idle:
    """Of the board in its own power mode. Raises SingularError without measurements."""
    if not measured:
        raise SingularError("the idle board was not measured")
    told = [m for m in measured if m.temperature_c is not None]
    powers = np.array([m.idle_w for m in told or measured])
    ones = np.ones((len(powers), 1))
    if not told or max(_warmths(told)) - min(_warmths(told)) < 1.0:
        found = robust(ones, powers, 0.01 * powers)
        reference = float(np.median(_warmths(told))) if told else None
        return Idle(float(found.values[0]), float(found.standard_uncertainties[0]), 0.0, reference)
    reference_c = float(np.median(_warmths(told)))
    warmth = np.array(_warmths(told))[:, None] - reference_c
    found = robust(np.hstack([ones, warmth]), powers, 0.01 * powers)
    level, slope = (float(value) for value in found.values)
    return Idle(level, float(found.standard_uncertainties[0]), slope, reference_c)


def cpu(measured: Sequence[Measurement]) -> Table:
    """Of one busy core. Raises SingularError without measurements."""
    if not measured:
        raise SingularError("no CPU load was measured")
    steps = _steps(measured)
    busy_cores = np.array([m.condition.cores * m.utilisation for m in measured])
    design = _at(measured, steps) * busy_cores[:, None]
    return Table(steps, robust(design, _excess_w(measured), _spread_w(measured), rising(len(steps))), None)


def core_polynomial(measured: Sequence[Measurement]) -> FloatArray:
    """Watts of f, f squared and f cubed (GHz) of one busy core. Raises SingularError for one frequency alone."""
    steps = _steps(measured)
    if len(steps) < 2 or None in steps:
        raise SingularError(
            "the CPU was measured at one frequency only, which tells nothing of another: there is no general model of "
            "the board; let the agent set the CPU's clock (testbed board info --bench BENCH says what is in the way)"
        )
    ghz = np.array([(m.condition.frequency_hz or 0.0) * 1e-9 for m in measured])
    busy_cores = np.array([m.condition.cores * m.utilisation for m in measured])
    design = np.stack([busy_cores * ghz**power for power in (1, 2, 3)], axis=1)
    return robust(design, _excess_w(measured), _spread_w(measured)).values


def memory(measured: Sequence[Measurement]) -> Solution:
    """Of saturated memory. Raises SingularError without measurements."""
    if not measured:
        raise SingularError("no memory load was measured")
    return robust(np.array([[m.memory] for m in measured]), _excess_w(measured), _spread_w(measured))


def processor(measured: Sequence[Measurement]) -> Table:
    """Of one processor at one precision, from inferences of one network or more."""
    steps = _steps(measured)
    excess_j = np.array([m.excess_j or 0.0 for m in measured])
    spread_j = _spread_w(measured) * np.array([m.busy_s for m in measured])
    busy = _at(measured, steps) * np.array([m.busy_s for m in measured])[:, None]
    lift = rising(len(steps))
    rates = [m.macs / m.busy_s for m in measured]
    if len({m.condition.network for m in measured}) < 2 or max(rates) < LEAST_RATIO * min(rates):
        return Table(steps, robust(busy, excess_j, spread_j, lift), None)
    macs = _at(measured, steps) * np.array([float(m.macs) for m in measured])[:, None]
    nought = np.zeros_like(lift)
    found = robust(np.hstack([busy, macs]), excess_j, spread_j, np.block([[lift, nought], [nought, lift]]))
    n = len(steps)
    return Table(
        steps,
        Solution(found.values[:n], found.standard_uncertainties[:n]),
        Solution(found.values[n:], found.standard_uncertainties[n:]),
    )


def radio(measured: Sequence[Measurement]) -> RadioTable:
    """Of the way to one remote target: power does not rise as the signal gets stronger."""
    signals = sorted({m.condition.rssi_dbm for m in measured})
    n = len(signals)
    here = np.array([[float(m.condition.rssi_dbm == signal) for signal in signals] for m in measured])
    design = np.hstack([here * np.array([[m.transmit_s] for m in measured]), here * [[m.receive_s] for m in measured]])
    lift, nought = rising(n).T, np.zeros((n, n))
    excess_j = np.array([m.excess_j or 0.0 for m in measured])
    spread_j = _spread_w(measured) * np.array([m.busy_s for m in measured])
    found = robust(design, excess_j, spread_j, np.block([[lift, nought], [nought, lift]]))
    return RadioTable(
        signals,
        Solution(found.values[:n], found.standard_uncertainties[:n]),
        Solution(found.values[n:], found.standard_uncertainties[n:]),
    )


def _warmths(measured: Sequence[Measurement]) -> list[float]:
    return [m.temperature_c for m in measured if m.temperature_c is not None]


def _steps(measured: Sequence[Measurement]) -> list[float | None]:
    found = {m.condition.frequency_hz for m in measured}
    return [None] if None in found else sorted(found, key=lambda step: step or 0.0)


def _at(measured: Sequence[Measurement], steps: Sequence[float | None]) -> FloatArray:
    """1 where a measurement was at a step. Shape (measurements, steps)."""
    return np.array([[float(m.condition.frequency_hz == step) for step in steps] for m in measured])


def _excess_w(measured: Sequence[Measurement]) -> FloatArray:
    return np.array([m.excess_w for m in measured])


def _spread_w(measured: Sequence[Measurement]) -> FloatArray:
    return np.array([np.hypot(m.standard_uncertainty_w, LEAST_RELATIVE_UNCERTAINTY * m.power_w) for m in measured])
