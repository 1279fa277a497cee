"""`power-model.json`: the fitted parameters with what they hold for, how they were come by, and what they are worth."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta, timezone
from typing import Any, TypeVar

import numpy as np

from scheduler.power_model import FORMAT, VERSION, PowerModel
from testbed.calibrate import fit, validation
from testbed.calibrate.measurement import Measurement
from testbed.calibrate.regression import SingularError, Solution

LIFETIME = timedelta(days=180)
"""this testbed's choice: boards age, dust settles, firmware changes"""
UNITS = "SI units, in the names: W, s, J, Hz, K; degrees Celsius; dBm. Powers of processors and radio are above idle."

T = TypeVar("T")


def power_model(measurements: Sequence[Measurement], header: Mapping[str, Any]) -> dict[str, Any]:
    """The facts of the file; `header` is the calibration's. What was not measured is missing, and the verdict says so.

    Raises SingularError where not even the idle board was measured.
    """
    own = [m for m in measurements if m.condition.power_mode is None]
    fitted = [m for m in own if not m.condition.held_out and not m.sentinel]
    missing: list[str] = []
    notes: list[str] = []

    def attempt(make: Callable[[], T], reasons: list[str]) -> T | None:
        try:
            return make()
        except SingularError as reason:
            reasons.append(str(reason))
            return None

    idling = fit.idle(fitted)
    loads = [m for m in fitted if m.condition.kind == "cpu"]
    cpu = attempt(lambda: fit.cpu(loads), missing)
    memory = attempt(lambda: fit.memory([m for m in fitted if m.condition.kind == "memory"]), missing)
    core_w = attempt(lambda: fit.core_polynomial(loads), notes) if cpu is not None else None
    cores = int(header["board"]["cores"])
    memory_w = 0.0 if memory is None else float(memory.values[0])
    facts: dict[str, Any] = {
        "format": FORMAT,
        "version": VERSION,
        "units": UNITS,
        "provenance": header["provenance"],
        "labels": list(header["labels"]),
        "created": header["created"],
        "board": {name: header["board"][name] for name in ("model", "serial", "cores", "processors", "frequencies_hz")},
        "validity": _validity(own, header),
        "made_by": {
            "bench": header["bench"]["name"],
            "plan": header["plan"]["name"],
            "seed": header["seed"],
            "measurements": len(measurements),
            "meter": header["meter"],
        },
        "idle": {
            "power_w": idling.power_w,
            "standard_uncertainty_w": _number(idling.standard_uncertainty_w),
            "w_per_k": idling.w_per_k,
            "reference_c": idling.reference_c,
            "by_power_mode_w": _modes(measurements),
        },
        "cpu": {
            "full_w": 0.0 if cpu is None else cores * float(cpu.busy.values[-1]),
            "frequencies_hz": None if cpu is None or cpu.frequencies_hz == [None] else cpu.frequencies_hz,
            "busy_core_w": [] if cpu is None else _numbers(cpu.busy.values),
            "standard_uncertainty_w": [] if cpu is None else _numbers(cpu.busy.standard_uncertainties),
        },
        "memory": {
            "full_w": memory_w,
            "standard_uncertainty_w": None if memory is None else _number(memory.standard_uncertainties[0]),
        },
        "processors": list(_processors(fitted)),
        "radio": _radios(fitted),
        "board_law": None
        if core_w is None
        else {
            "idle_w": idling.power_w,
            "idle_w_per_k": idling.w_per_k,
            "reference_c": idling.reference_c,
            "core_w": _numbers(core_w),
            "memory_w": memory_w,
            "voltage": "not known: no board here tells it for each clock",
        },
        "thermal": _thermal(own),
        "inferences": _inferences(own),
        "notes": notes,
        "verdict": {"good_enough": False, "reasons": [], "withheld": {}},
    }
    model = PowerModel.of(facts, "the model just fitted")
    facts["validation"] = validation.validate(model, own) | {"drift": validation.drift(own)}
    facts["verdict"] = validation.verdict(facts["validation"], missing)
    core_at = {} if cpu is None else dict(zip(cpu.frequencies_hz, map(float, cpu.busy.values), strict=True))
    facts["against_truth"] = validation.against_truth(model, core_at, own)
    return facts


def _validity(own: Sequence[Measurement], header: Mapping[str, Any]) -> dict[str, Any]:
    warmths = [m.temperature_c for m in own if m.temperature_c is not None]
    made = datetime.fromisoformat(header["created"]).astimezone(timezone.utc)
    return {
        "board_model": header["board"]["model"],
        "temperature_c": [min(warmths), max(warmths)] if warmths else None,
        "power_mode": header["power_mode"],
        "supply_voltage_v": header["bench"]["board"]["supply_voltage_v"],
        "expires": (made + LIFETIME).isoformat(timespec="seconds"),
    }


def _processors(fitted: Sequence[Measurement]) -> list[dict[str, Any]]:
    groups: dict[tuple[str, str], list[Measurement]] = {}
    for m in fitted:
        if m.condition.kind == "network":
            groups.setdefault((m.condition.target, m.condition.precision), []).append(m)
    found = []
    for (target, precision), measured in sorted(groups.items()):
        table = fit.processor(measured)
        macs = table.mac or Solution(np.zeros(len(table.frequencies_hz)), np.full(len(table.frequencies_hz), np.nan))
        found.append(
            {
                "target": target,
                "precision": precision,
                "frequencies_hz": None if table.frequencies_hz == [None] else table.frequencies_hz,
                "busy_power_w": _numbers(table.busy.values),
                "busy_power_standard_uncertainty_w": _numbers(table.busy.standard_uncertainties),
                "energy_per_mac_j": _numbers(macs.values),
                "energy_per_mac_standard_uncertainty_j": _numbers(macs.standard_uncertainties),
                "networks": sorted({m.condition.network for m in measured}),
            }
        )
    return found


def _radios(fitted: Sequence[Measurement]) -> dict[str, Any]:
    found = {}
    for target in sorted({m.condition.target for m in fitted if m.condition.kind == "radio"}):
        table = fit.radio([m for m in fitted if m.condition.kind == "radio" and m.condition.target == target])
        found[target] = {
            "rssi_dbm": table.rssi_dbm,
            "transmit_w": _numbers(table.transmit.values),
            "transmit_standard_uncertainty_w": _numbers(table.transmit.standard_uncertainties),
            "receive_w": _numbers(table.receive.values),
            "receive_standard_uncertainty_w": _numbers(table.receive.standard_uncertainties),
        }
    return found


def _modes(measurements: Sequence[Measurement]) -> dict[str, float]:
    modes: dict[str, list[float]] = {}
    for m in measurements:
        if m.condition.power_mode is not None:
            modes.setdefault(m.condition.power_mode, []).append(m.power_w)
    return {mode: float(np.median(powers)) for mode, powers in modes.items()}


def _thermal(own: Sequence[Measurement]) -> dict[str, Any] | None:
    """One resistance and one time constant, from the steady state; None where none was reached."""
    hot = next((m for m in own if m.condition.kind == "thermal" and len(m.course_c) > 2), None)
    cold = [m for m in own if m.condition.kind == "idle" and m.temperature_c is not None]
    if hot is None or not cold:
        return None
    end_c = hot.course_c[-1][1]
    cold_c = float(np.median([m.temperature_c for m in cold if m.temperature_c is not None]))
    cold_w = float(np.median([m.power_w for m in cold]))
    if end_c - cold_c < 1.0 or hot.power_w <= cold_w:
        return None
    begin_c = hot.course_c[0][1]
    reached = begin_c + (1.0 - np.exp(-1.0)) * (end_c - begin_c)
    return {
        "resistance_k_per_w": (end_c - cold_c) / ((hot.power_w - cold_w) * hot.course_share),
        "time_constant_s": next(at_s for at_s, warm_c in hot.course_c if warm_c >= reached),
        "steady_c": end_c,
        "steady_w": hot.power_w,
    }


def _inferences(own: Sequence[Measurement]) -> list[dict[str, Any]]:
    """What every network took and drew on every processor, in the median: of this a virtual board can be built."""
    groups: dict[Any, list[Measurement]] = {}
    for m in own:
        if m.condition.kind == "network":
            groups.setdefault(m.condition, []).append(m)
    return [
        {
            "network": condition.network,
            "macs": measured[0].macs,
            "bytes_moved": measured[0].bytes_moved,
            "target": condition.target,
            "precision": condition.precision,
            "frequency_hz": condition.frequency_hz,
            "latency_s": float(np.median([m.busy_s for m in measured])),
            "excess_w": float(np.median([m.excess_w for m in measured])),
            "held_out": condition.held_out,
        }
        for condition, measured in groups.items()
    ]


def _numbers(values: Any) -> list[float | None]:
    return [_number(value) for value in values]


def _number(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
