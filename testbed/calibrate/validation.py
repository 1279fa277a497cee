"""How well a power model foretells what it was not fitted to, and whether that is good enough."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from scheduler.contract import REMOTE_TARGETS, Network, State, Task
from scheduler.power_model import PowerModel
from testbed.calibrate.measurement import Measurement

LIMIT, TARGET_LIMIT = 0.05, 0.10
"""mean absolute relative error on whole inferences held out: of all, and of one target. This testbed's choice"""
PAPER = "AutoScale (Kim and Wu, MICRO 2020) reports 7.3 % for its estimator against a power meter (unconfirmed)"
INFERENCES = ("network", "radio")
_SIGNAL_DBM = -58.0
"""of a state in which no signal counts"""


def estimated_j(model: PowerModel, measured: Measurement) -> float | None:
    """Energy of one inference by the model, as the scheduler would ask for it; None where it cannot tell."""
    condition = measured.condition
    action = condition.action
    if model.objection(action) is not None:
        return None
    network = Network(condition.network, 0, 0, 0, measured.macs, 0)
    task = Task(condition.network, network, qos_s=1.0, accuracy_target=0.0, accuracy={})
    signal = condition.rssi_dbm if condition.target in REMOTE_TARGETS else _SIGNAL_DBM
    state = State(task, 0.0, 0.0, signal, signal)
    return model.energy_j(state, action, measured.busy_s, measured.transmit_s, measured.receive_s)


def law_power_w(model: PowerModel, measured: Measurement) -> float | None:
    """The board's power under a load by the general model; None where there is none."""
    condition = measured.condition
    if model.law is None or condition.kind not in ("cpu", "memory", "idle") or condition.power_mode is not None:
        return None
    busy_cores = condition.cores * measured.utilisation
    return model.law.power_w(busy_cores, condition.frequency_hz or 0.0, measured.memory, measured.temperature_c)


def validate(model: PowerModel, measurements: Sequence[Measurement]) -> dict[str, Any]:
    """The `validation` of a power-model file."""
    inferences = [m for m in measurements if m.condition.kind in INFERENCES and not m.sentinel]
    held_out = [m for m in inferences if m.condition.held_out]
    errors = _errors(held_out, lambda m: estimated_j(model, m), lambda m: m.energy_j)
    loads = [m for m in measurements if m.condition.kind == "cpu" and m.condition.held_out and not m.sentinel]
    law_errors = _errors(loads, lambda m: law_power_w(model, m), lambda m: m.power_w)
    by_target = {
        target: [error for m, error in errors if m.condition.target == target]
        for target in sorted({m.condition.target for m, _ in errors})
    }
    return {
        "mape": _mape([error for _, error in errors]),
        "inferences": len(errors),
        "mape_by_target": {target: _mape(found) for target, found in by_target.items()},
        "limit": LIMIT,
        "limit_of_a_target": TARGET_LIMIT,
        "paper": PAPER,
        "held_out": sorted({str(m.condition) for m, _ in errors}),
        "board_law_mape": _mape([error for _, error in law_errors]),
        "residuals": _residuals(_errors(inferences, lambda m: estimated_j(model, m), lambda m: m.energy_j)),
    }


def verdict(validation: Mapping[str, Any], missing: Sequence[str]) -> dict[str, Any]:
    """The `verdict` of a power-model file: whether it is good enough, what is withheld, and why."""
    withheld = {
        target: f"{mape:.1%} off on held-out inferences, where {TARGET_LIMIT:.0%} is the limit"
        for target, mape in validation["mape_by_target"].items()
        if mape is not None and mape > TARGET_LIMIT
    }
    reasons = list(missing)
    mape = validation["mape"]
    if mape is None:
        reasons.append("no inference was held out to validate it on")
    elif mape > LIMIT:
        reasons.append(f"it is {mape:.1%} off on held-out inferences, where {LIMIT:.0%} is the limit")
    return {"good_enough": not reasons, "reasons": reasons, "withheld": withheld}


def against_truth(model: PowerModel, core_w: Mapping[float | None, float], measurements: Sequence[Measurement]) -> Any:
    """How far the fitted powers are off what a virtual board truly drew; None where nobody knows.

    `core_w` is the busy power of a core at each frequency.
    """
    known = [m for m in measurements if m.truth_power_w is not None and m.condition.power_mode is None]
    if not known:
        return None
    idling = [(m.idle_w, m.truth_idle_w) for m in known if m.truth_idle_w is not None]
    busy: dict[str, float] = {}
    for frequency_hz, watts in core_w.items():
        truths_w = [
            (m.truth_power_w - m.truth_idle_w) / (m.condition.cores * m.utilisation)
            for m in known
            if m.condition.kind == "cpu" and m.condition.frequency_hz == frequency_hz
            and m.truth_power_w is not None and m.truth_idle_w is not None
        ]  # fmt: skip
        if truths_w:
            at = "its only frequency" if frequency_hz is None else f"{frequency_hz / 1e6:.0f} MHz"
            busy[f"cpu core at {at}"] = watts / float(np.median(truths_w)) - 1.0
    fitted = [m for m in known if m.condition.kind == "network" and not m.condition.held_out]
    by_condition: dict[str, list[float]] = {}
    for m, error in _errors(fitted, lambda m: estimated_j(model, m), lambda m: m.truth_energy_j):
        by_condition.setdefault(str(m.condition), []).append(error)
    busy |= {name: float(np.median(found)) for name, found in by_condition.items()}
    held_out = _errors(
        [m for m in known if m.condition.held_out and m.condition.kind in INFERENCES],
        lambda m: estimated_j(model, m),
        lambda m: m.truth_energy_j,
    )
    worst = max(busy, key=lambda name: abs(busy[name]), default=None)
    return {
        "idle_relative": float(np.mean([a for a, _ in idling]) / np.mean([b for _, b in idling]) - 1.0),
        "busy_relative_worst": None if worst is None else busy[worst],
        "busy_worst": worst,
        "core_relative": {name: error for name, error in busy.items() if name.startswith("cpu core")},
        "held_out_mape": _mape([error for _, error in held_out]),
    }


def drift(measurements: Sequence[Measurement]) -> dict[str, Any] | None:
    """How the sentinel's power changed over the calibration; None with fewer than three."""
    found = [m for m in measurements if m.sentinel]
    if len(found) < 3:
        return None
    hours = np.array([m.elapsed_s for m in found]) / 3600.0
    powers = np.array([m.power_w for m in found])
    slope, _ = np.polyfit(hours, powers, 1)
    return {
        "sentinel": str(found[0].condition),
        "times": len(found),
        "relative_per_hour": float(slope / powers.mean()),
        "relative_range": float((powers.max() - powers.min()) / powers.mean()),
    }


def _errors(
    measured: Sequence[Measurement],
    estimate: Callable[[Measurement], float | None],
    truth: Callable[[Measurement], float | None],
) -> list[tuple[Measurement, float]]:
    """(measurement, estimated over measured less one), where both are known."""
    pairs = ((m, estimate(m), truth(m)) for m in measured)
    return [(m, e / t - 1.0) for m, e, t in pairs if e is not None and t is not None]


def _mape(errors: Sequence[float]) -> float | None:
    return float(np.mean(np.abs(errors))) if errors else None


def _residuals(errors: Sequence[tuple[Measurement, float]]) -> dict[str, Any]:
    """Relative residuals against temperature and time: slopes that are noughts where the model misses neither."""
    told = [(m.temperature_c, error) for m, error in errors if m.temperature_c is not None]
    return {
        "per_kelvin": _slope(told),
        "per_hour": _slope([(m.elapsed_s / 3600.0, error) for m, error in errors]),
        "standard_deviation": float(np.std([error for _, error in errors])) if errors else None,
    }


def _slope(points: Sequence[tuple[float, float]]) -> float | None:
    x, y = np.array(points).T if len(points) > 2 else (np.zeros(0), np.zeros(0))
    return float(np.polyfit(x, y, 1)[0]) if len(x) and np.ptp(x) > 0 else None
