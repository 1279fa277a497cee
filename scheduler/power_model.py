"""The joules of an inference by a calibrated power model: `power-model.json`, as `testbed calibrate` writes it.

    model = PowerModel.read(Path("power-model.json"))
    model.energy_j(state, action, latency_s, transmit_s, receive_s)

The equations are AutoScale's (Kim and Wu, MICRO 2020, arXiv 2005.02544) (recalled) with one term more: beside the busy
power of its processor at its frequency an inference draws so many joules for each multiply-accumulate, which tells a
network that computes from one that waits for memory. Powers are above idle; between two frequencies, or two signals,
they are interpolated. The file's fields: docs/reference/power-model.md.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from typing import Any

import numpy as np

from scheduler.contract import REMOTE_TARGETS, Action, State
from scheduler.estimator import NotCalibratedError

FORMAT, VERSION = "power-model", 1


class PowerModelError(ValueError):
    """A power model that cannot be used, with the reason and the cure."""


@dataclass(frozen=True, slots=True)
class Busy:
    """A processor at a precision. One frequency, None, where its clock cannot be chosen."""

    frequencies_hz: tuple[float | None, ...]
    busy_power_w: tuple[float, ...]
    energy_per_mac_j: tuple[float, ...]

    def at(self, frequency_hz: float | None) -> tuple[float, float] | None:
        """Busy power and energy per multiply-accumulate; None beyond the frequencies that were calibrated."""
        if self.frequencies_hz == (None,):
            return self.busy_power_w[0], self.energy_per_mac_j[0]
        steps = [step for step in self.frequencies_hz if step is not None]
        if frequency_hz is None or not steps[0] <= frequency_hz <= steps[-1]:
            return None
        return (
            float(np.interp(frequency_hz, steps, self.busy_power_w)),
            float(np.interp(frequency_hz, steps, self.energy_per_mac_j)),
        )


@dataclass(frozen=True, slots=True)
class Radio:
    """Powers of the radio above idle, by signal in ascending order; beyond the ends they stay."""

    rssi_dbm: tuple[float, ...]
    transmit_w: tuple[float, ...]
    receive_w: tuple[float, ...]

    def energy_j(self, rssi_dbm: float, transmit_s: float, receive_s: float) -> float:
        """Above idle."""
        transmit_w, receive_w = (
            float(np.interp(rssi_dbm, self.rssi_dbm, powers)) for powers in (self.transmit_w, self.receive_w)
        )
        return transmit_w * transmit_s + receive_w * receive_s


@dataclass(frozen=True, slots=True)
class BoardLaw:
    """The general model: the board's power from what its own sensors tell."""

    idle_w: float
    idle_w_per_k: float
    reference_c: float | None
    """None where the board tells no temperature"""
    core_w: tuple[float, float, float]
    """of one busy core: of f, f squared and f cubed, f in GHz. None is negative, so power rises with frequency"""
    memory_w: float
    """of a saturated memory"""

    def power_w(
        self, busy_cores: float, frequency_hz: float, memory: float = 0.0, temperature_c: float | None = None
    ) -> float:
        """`busy_cores` is cores times utilisation; `memory` is 0..1."""
        ghz = frequency_hz * 1e-9
        core_w = sum(watts * ghz ** (power + 1) for power, watts in enumerate(self.core_w))
        warmth_k = 0.0 if temperature_c is None or self.reference_c is None else temperature_c - self.reference_c
        return self.idle_w + self.idle_w_per_k * warmth_k + busy_cores * core_w + self.memory_w * memory


@dataclass(frozen=True)
class PowerModel:
    """Implements `EnergyEstimator`."""

    board_model: str
    provenance: str
    idle_power_w: float
    co_cpu_w: float
    """of a co-runner on all cores"""
    co_memory_w: float
    """of one that saturates memory"""
    processors: Mapping[tuple[str, str], Busy]
    radios: Mapping[str, Radio]
    withheld: Mapping[str, str]
    """target -> why its model is not good enough to be used"""
    law: BoardLaw | None
    """None where the CPU was measured at one frequency only"""

    @classmethod
    def read(cls, path: Path) -> PowerModel:
        """Raises PowerModelError, or OSError."""
        return cls.parse(path.read_bytes(), str(path))

    @classmethod
    def parse(cls, content: bytes, name: str) -> PowerModel:
        """From a file's content; `name` is what messages call it. Raises PowerModelError.

        A model that its own validation found not good enough is refused.
        """
        facts = read_facts(content, name)
        verdict = facts["verdict"]
        if not verdict["good_enough"]:
            raise PowerModelError(f"{name} is not good enough to be used: {'; '.join(verdict['reasons'])}")
        return cls.of(facts, name)

    @classmethod
    def of(cls, facts: Mapping[str, Any], name: str) -> PowerModel:
        """Of a file's facts, however good it is. Raises PowerModelError."""
        try:
            return cls(
                board_model=str(facts["board"]["model"]),
                provenance=str(facts["provenance"]),
                idle_power_w=_power(facts["idle"]["power_w"]),
                co_cpu_w=_power(facts["cpu"]["full_w"]),
                co_memory_w=_power(facts["memory"]["full_w"]),
                processors={(str(p["target"]), str(p["precision"])): _busy(p) for p in facts["processors"]},
                radios={str(target): _radio(radio) for target, radio in facts["radio"].items()},
                withheld={str(target): str(why) for target, why in facts["verdict"]["withheld"].items()},
                law=None if facts["board_law"] is None else _law(facts["board_law"]),
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            what = f"'{error.args[0]}' is missing" if isinstance(error, KeyError) else str(error)
            raise PowerModelError(f"{name} is no whole power model: {what}; calibrate the board again") from None

    def objection(self, action: Action) -> str | None:
        """Why the energy of an action cannot be told; None where it can."""
        target = action.target
        if target in self.withheld:
            return f"its model of {target} is not good enough: {self.withheld[target]}"
        if target in REMOTE_TARGETS:
            return None if target in self.radios else f"it was calibrated without the radio's way to {target}"
        busy = self.processors.get((target, action.precision))
        if busy is None:
            return f"it was calibrated without {target} at {action.precision}"
        if busy.at(action.frequency_hz) is None:
            at = "no clock" if action.frequency_hz is None else f"{action.frequency_hz / 1e6:.0f} MHz"
            return f"{target} at {at} lies beyond the frequencies that were calibrated"
        return None

    def energy_j(self, state: State, action: Action, latency_s: float, transmit_s: float, receive_s: float) -> float:
        """Whole-board energy of one inference. Raises NotCalibratedError where the model cannot speak of it."""
        if objection := self.objection(action):
            raise NotCalibratedError(f"the power model cannot tell the energy of {action}: {objection}")
        base_w = self.idle_power_w + self.co_cpu_w * state.co_cpu + self.co_memory_w * state.co_memory
        if action.target in REMOTE_TARGETS:
            rssi_dbm = state.rssi_dbm if action.target == "cloud" else state.peer_rssi_dbm
            return base_w * latency_s + self.radios[action.target].energy_j(rssi_dbm, transmit_s, receive_s)
        found = self.processors[action.target, action.precision].at(action.frequency_hz)
        assert found is not None
        busy_w, mac_j = found
        return (base_w + busy_w) * latency_s + mac_j * state.task.network.macs


def read_facts(content: bytes, name: str) -> dict[str, Any]:
    """The file as it stands. Raises PowerModelError for what is no power model of this version."""
    try:
        facts = json.loads(content)
    except ValueError:
        facts = None
    if not isinstance(facts, dict) or facts.get("format") != FORMAT or not isinstance(facts.get("verdict"), dict):
        raise PowerModelError(f"{name} is no power model: `testbed calibrate` writes one")
    if facts.get("version") != VERSION:
        raise PowerModelError(f"{name}: version {facts.get('version')}, this program reads {VERSION}; calibrate again")
    return facts


def _power(value: Any) -> float:
    number = float(value)
    if not (isfinite(number) and number >= 0.0):
        raise ValueError(f"{value!r} is no power, nor an energy")
    return number


def _ascending(values: Sequence[Any]) -> tuple[float, ...]:
    numbers = tuple(float(value) for value in values)
    if not numbers or sorted(set(numbers)) != list(numbers) or not isfinite(sum(numbers)):
        raise ValueError(f"{list(values)} do not ascend")
    return numbers


def _busy(facts: Mapping[str, Any]) -> Busy:
    clocks = facts["frequencies_hz"]
    frequencies_hz: tuple[float | None, ...] = (None,) if clocks is None else _ascending(clocks)
    powers, energies = (tuple(map(_power, facts[name])) for name in ("busy_power_w", "energy_per_mac_j"))
    if not len(frequencies_hz) == len(powers) == len(energies):
        raise ValueError(f"{facts['target']} {facts['precision']}: as many powers as frequencies are needed")
    return Busy(frequencies_hz, powers, energies)


def _radio(facts: Mapping[str, Any]) -> Radio:
    signals = _ascending(facts["rssi_dbm"])
    transmit, receive = (tuple(map(_power, facts[name])) for name in ("transmit_w", "receive_w"))
    if not len(signals) == len(transmit) == len(receive):
        raise ValueError("radio: as many powers as signals are needed")
    return Radio(signals, transmit, receive)


def _law(facts: Mapping[str, Any]) -> BoardLaw:
    first, second, third = (_power(watts) for watts in facts["core_w"])
    return BoardLaw(
        idle_w=_power(facts["idle_w"]),
        idle_w_per_k=_power(facts["idle_w_per_k"]),
        reference_c=None if facts["reference_c"] is None else float(facts["reference_c"]),
        core_w=(first, second, third),
        memory_w=_power(facts["memory_w"]),
    )
