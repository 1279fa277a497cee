"""How near a quick calibration comes to the law of the virtual boards: `python -m bench power_model`, six minutes."""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from statistics import fmean
from typing import Any

from bench.figure import Figure
from scheduler.power_model import PowerModel
from testbed.agent.contract import CoRun
from testbed.calibrate import calibration
from testbed.calibrate.design import QUICK
from testbed.calibrate.measurement import Measurement
from testbed.calibrate.validation import PAPER, estimated_j
from testbed.config import load_bench
from testbed.virtual import silicon
from testbed.virtual.config import PROFILES
from testbed.virtual.networks import work_of
from testbed.virtual.profile import Profile
from testbed.virtual.twin import profile_of

BENCHES = Path(__file__).parent.parent / "examples" / "benches"
BOARDS: Mapping[str, str] = {"virtual-jetson": "jetson-agx-orin", "virtual-pi": "raspberry-pi-5"}
"""bench -> profile"""
SEED = 1
PARAMETER_LIMIT, MAPE_LIMIT, QUICK_LIMIT_S = 0.02, 0.03, 300.0
ALONE = CoRun(0.0, 0.0)


class _Silent:
    def step(self, text: str) -> None:
        """Nobody looks."""

    def begins(self, folder: Path, left: int, left_s: float) -> None:
        """Nobody looks."""

    def measured(self, measurement: Measurement, left: int, left_s: float) -> None:
        """Nobody looks."""


def figures() -> list[Figure]:
    """Of both virtual boards the worst parameters, the errors on held-out inferences, the time, and the twin."""
    return [figure for bench, profile in BOARDS.items() for figure in _figures(bench, PROFILES[profile])]


def _figures(bench: str, profile: Profile) -> Iterable[Figure]:
    provenance = f"virtual: {bench}.yaml, plan quick, seed {SEED}, an emulated meter through its driver"
    with tempfile.TemporaryDirectory() as folder:
        begun_s = time.monotonic()
        outcome = calibration.start(load_bench(BENCHES / f"{bench}.yaml"), QUICK, SEED, Path(folder), _Silent())
        lasted_s = time.monotonic() - begun_s
        lines = (outcome.folder / "measurements.jsonl").read_text().splitlines()
        content = outcome.model.read_bytes()
    facts, model = outcome.facts, PowerModel.of(outcome.facts, bench)
    held_out = [m for m in (Measurement.from_dict(json.loads(line)) for line in lines) if m.condition.held_out]
    idle_w = silicon.base_power_w(profile, ALONE, facts["idle"]["reference_c"])
    idle, core = facts["idle"]["power_w"] / idle_w - 1.0, _worst_core(facts, profile)
    inferences = [m for m in held_out if m.condition.kind == "network"]
    law = fmean(abs(_estimate(model, m) / _law_j(profile, idle_w, m) - 1.0) for m in inferences)

    def figure(name: str, value: float, limit: float, reference: str | None = None) -> Figure:
        return Figure(
            f"{name}, {bench}", value, "1", reference, f"-{limit:g} to {limit:g}", abs(value) <= limit, provenance
        )

    yield figure("idle power against the law", idle, PARAMETER_LIMIT)
    yield figure("busy power of a core, worst frequency", core, PARAMETER_LIMIT)
    yield figure("MAPE, held-out inferences, metered", facts["validation"]["mape"], MAPE_LIMIT, PAPER)
    yield figure("MAPE, held-out inferences, the law's", law, MAPE_LIMIT, PAPER)
    yield figure("worst latency of the twin", _worst_latency(facts, profile_of(content, bench), profile), 0.15)
    yield Figure(
        f"quick calibration, {bench}", lasted_s, "s", None, f"{QUICK_LIMIT_S:g}", lasted_s <= QUICK_LIMIT_S, provenance
    )


def _worst_core(facts: Mapping[str, Any], profile: Profile) -> float:
    cpu = facts["cpu"]
    pairs = zip(cpu["frequencies_hz"], cpu["busy_core_w"], strict=True)
    errors = [watts / silicon.load_power_w(profile, 1.0, hz, throttled=False) - 1.0 for hz, watts in pairs]
    return max(errors, key=abs)


def _estimate(model: PowerModel, measured: Measurement) -> float:
    found = estimated_j(model, measured)
    assert found is not None
    return found


def _law_j(profile: Profile, idle_w: float, m: Measurement) -> float:
    """The law's mean energy over the latency that was measured."""
    c = m.condition
    work = work_of(c.network, c.precision, m.macs, m.bytes_moved)
    law = silicon.inference(profile, c.target, work, c.precision, c.frequency_hz, ALONE, False)
    return idle_w * m.busy_s + law.busy_j * m.busy_s / law.busy_s


def _worst_latency(facts: Mapping[str, Any], twin: Profile, profile: Profile) -> float:
    errors = []
    for row in facts["inferences"]:
        work = work_of(row["network"], row["precision"], row["macs"], row["bytes_moved"])
        place = row["target"], work, row["precision"], row["frequency_hz"], ALONE, False
        errors.append(silicon.inference(twin, *place).busy_s / silicon.inference(profile, *place).busy_s - 1.0)
    return max(errors, key=abs)
