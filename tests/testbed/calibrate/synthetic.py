"""Measurements of a board that obeys a law of this file's own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from testbed.calibrate.design import Condition, Offer, Plan, conditions
from testbed.calibrate.measurement import Measurement

STEPS_HZ = (0.6e9, 1.0e9, 1.4e9, 1.8e9)
IDLE_W, K_W, MEMORY_W, CORES = 3.0, 0.02, 0.9, 4
REFERENCE_C = 45.0
TRANSMIT_W = {-80.0: 1.9, -58.0: 1.0}
RECEIVE_W = 0.7
MACS: Mapping[str, int] = {"small": 300_000_000, "large": 4_000_000_000, "unseen": 400_000_000}
PLAN = Plan(
    name="small",
    cpu_steps=4,
    grid_steps=2,
    utilisations=(0.5, 1.0),
    network_steps=3,
    networks=("small", "large"),
    unseen_networks=("unseen",),
    unseen_steps=2,
    memory=(0.5, 1.0),
    rssi_dbm=tuple(TRANSMIT_W),
    rate_shares=(1.0, 0.5),
    repetitions=(2, 3),
    half_width=0.05,
    sentinel_every=10,
    thermal_s=0.0,
)
OFFER = Offer(
    cores=CORES,
    processors={"cpu": ("fp32",), "dla0": ("int8",)},
    frequencies_hz={"cpu": STEPS_HZ},
    power_modes=(),
    rates_bps={-80.0: 1e6, -58.0: 20e6},
    remotes=("cloud",),
)
HEADER: Mapping[str, Any] = {
    "created": "2026-01-02T03:04:05+00:00",
    "bench": {"name": "bench", "board": {"supply_voltage_v": 5.1}},
    "plan": {"name": "small"},
    "seed": 1,
    "board": {
        "model": "Board",
        "serial": "1",
        "cores": CORES,
        "processors": {"cpu": ["fp32"], "dla0": ["int8"]},
        "frequencies_hz": {"cpu": list(STEPS_HZ)},
    },
    "meter": {"name": "a meter"},
    "power_mode": None,
    "provenance": "virtual",
    "labels": [],
}


def core_w(frequency_hz: float) -> float:
    """Of one busy core."""
    return 0.4 * (frequency_hz * 1e-9) ** 2


def inference(condition: Condition) -> tuple[float, float]:
    """Latency, and power above idle, of one inference."""
    macs = MACS[condition.network]
    if condition.frequency_hz is None:
        latency_s = 1e-4 + macs / 1e12
        return latency_s, 1.0 + 1e-12 * macs / latency_s
    latency_s = 1e-3 + macs / (20.0 * condition.frequency_hz)
    return latency_s, 3.0 * core_w(condition.frequency_hz) + 5e-11 * macs / latency_s


def measured(condition: Condition, random: np.random.Generator, noise: float) -> Measurement:
    """One measurement, off by so much of the board's power (one standard deviation)."""
    warmth_c = float(random.uniform(40.0, 60.0))
    idle_w = IDLE_W + K_W * (warmth_c - REFERENCE_C)
    busy_s, excess_w, memory, utilisation = 0.2, 0.0, 0.0, 0.0
    transmit_s = receive_s = 0.0
    if condition.kind == "cpu":
        assert condition.frequency_hz is not None
        utilisation = condition.utilisation
        excess_w = condition.cores * utilisation * core_w(condition.frequency_hz)
    elif condition.kind == "memory":
        memory = condition.memory
        excess_w = MEMORY_W * memory
    elif condition.kind == "network":
        busy_s, excess_w = inference(condition)
    elif condition.kind == "radio":
        transmit_s, receive_s = (0.15, 0.001) if condition.network.startswith("up") else (0.001, 0.15)
        excess_w = (TRANSMIT_W[condition.rssi_dbm] * transmit_s + RECEIVE_W * receive_s) / busy_s
    excess_w += float(random.normal(0.0, noise)) * (idle_w + excess_w)
    inferences = condition.kind in ("network", "radio")
    return Measurement(
        condition=condition,
        sentinel=False,
        at="2026-01-02T03:04:05+00:00",
        elapsed_s=0.0,
        lasted_s=0.5,
        idle_w=idle_w,
        power_w=idle_w + excess_w,
        excess_w=excess_w,
        standard_uncertainty_w=0.01,
        busy_s=busy_s,
        temperature_c=warmth_c,
        throttled=False,
        utilisation=utilisation,
        memory=memory,
        inferences=3 if inferences else 0,
        energy_j=(idle_w + excess_w) * busy_s if inferences else None,
        excess_j=excess_w * busy_s if inferences else None,
        transmit_s=transmit_s,
        receive_s=receive_s,
        macs=MACS.get(condition.network, 1),
        bytes_moved=1_000_000,
    )


def campaign(seed: int = 1, noise: float = 0.002, plan: Plan = PLAN, offer: Offer = OFFER) -> list[Measurement]:
    """Every condition three times."""
    random = np.random.default_rng(seed)
    return [
        replace(measured(condition, random, noise), elapsed_s=60.0 * number)
        for number in range(3)
        for condition in conditions(plan, offer)
    ]
