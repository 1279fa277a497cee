"""Energy in scripts: windows, a baseline and repetitions on an emulated bridge, in real time."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from power import BridgeInput, EnergyMeter, InaBridge, OutOfReach, WindowTooShort
from testbed.farend import start_far_end
from testbed.virtual.supply import SupplyWriter

IDLE_W, BUSY_W = 10.0, 25.0


class Work:
    """Something that draws power while it lasts."""

    def __init__(self, supply: SupplyWriter) -> None:
        self._supply = supply
        self.calls = 0

    def __call__(self, lasts_s: float = 0.03) -> None:
        start_ns = time.monotonic_ns()
        end_ns = start_ns + round(lasts_s * 1e9)
        self._supply.set_many([(start_ns, BUSY_W, 0.0), (end_ns, IDLE_W, 0.0)])
        while time.monotonic_ns() < end_ns:
            time.sleep(1e-3)
        self.calls += 1


@pytest.fixture
def work(tmp_path: Path) -> Iterator[Work]:
    with SupplyWriter(tmp_path / "supply") as supply:
        supply.set(time.monotonic_ns(), IDLE_W)
        yield Work(supply)


@pytest.fixture
def meter(work: Work, tmp_path: Path) -> Iterator[EnergyMeter]:
    arguments = ["--supply-voltage=15", "--sensor=ina226@0x40", "--shunt-ohm=0.015", "--seed=3"]
    with start_far_end("testbed.virtual.meters.bridge", [f"--supply={tmp_path / 'supply'}", *arguments]) as far_end:
        wired = BridgeInput(
            shunt_ohm=0.015, shunt_standard_uncertainty=0.001, supply_v=15.0, sensor="ina226", bus_divisor=16
        )
        monitor = InaBridge(far_end.ready["port"], wired)
        with EnergyMeter(monitor) as meter:
            yield meter


def test_a_window_has_joules_and_a_budget(meter: EnergyMeter, work: Work) -> None:
    with meter.window("infer") as window:
        begun_ns = time.monotonic_ns()
        with pytest.raises(RuntimeError, match="'infer' is known once it has ended"):
            _ = window.energy
        work(0.2)
        lasted_s = (time.monotonic_ns() - begun_ns) * 1e-9
    energy = window.energy
    expected_j = BUSY_W * 0.2 + IDLE_W * (lasted_s - 0.2)
    assert energy.energy_j == pytest.approx(expected_j, abs=4 * energy.standard_uncertainty_j + 0.02 * expected_j)
    assert {"gain", "offset", "clock", "edges"} <= set(energy.budget_j)
    assert energy.mean_power_w < energy.peak_power_w == pytest.approx(BUSY_W, rel=0.02)
    assert energy.idle_subtracted_j is None


def test_a_baseline_is_taken_off(meter: EnergyMeter, work: Work) -> None:
    assert meter.baseline(0.3) == pytest.approx(IDLE_W, rel=0.02)
    with meter.window("infer") as window:
        work(0.2)
    energy = window.energy
    assert energy.idle_subtracted_j == pytest.approx((BUSY_W - IDLE_W) * 0.2, rel=0.03)
    assert energy.baseline_power_w == pytest.approx(IDLE_W, rel=0.02)
    assert energy.idle_subtracted_standard_uncertainty_j < 0.05 * energy.idle_subtracted_j


def test_windows_nest(meter: EnergyMeter, work: Work) -> None:
    with meter.window("whole") as whole:
        with meter.window("first") as first:
            work(0.05)
        with meter.window("second") as second:
            work(0.05)
    assert first.energy.energy_j + second.energy.energy_j <= whole.energy.energy_j * 1.02


def test_a_window_too_short_says_how_often_to_repeat_it(meter: EnergyMeter, work: Work) -> None:
    told = r"needs .* ms; repeat .* times back to back; \d+ times bring its energy to 0\.02"
    with pytest.raises(WindowTooShort, match=told), meter.window("infer", relative=0.02):
        work(0.001)
    told = r"0\.0001 is out of reach: gain and offset .* leave 0\.00"
    with pytest.raises(WindowTooShort, match=told), meter.window("infer", relative=1e-4):
        work(0.001)


def test_an_error_in_the_window_is_the_scripts_own(meter: EnergyMeter) -> None:
    with pytest.raises(ZeroDivisionError), meter.window("infer"):
        _ = 1 / 0


def test_repetitions_go_on_until_the_energy_is_sure(meter: EnergyMeter, work: Work) -> None:
    found = meter.repeat_until(work, relative=0.05)
    assert found.reached
    assert found.windows >= 5
    assert found.idle_subtracted is None
    assert found.call.energy_j == pytest.approx(BUSY_W * 0.03, rel=0.15)
    assert found.call.standard_uncertainty_j <= 0.05 * found.call.energy_j
    assert work.calls >= found.windows * found.calls


def test_what_gain_and_offset_forbid_is_refused_at_once(meter: EnergyMeter, work: Work) -> None:
    with pytest.raises(OutOfReach, match="calibrate the meter") as refusal:
        meter.repeat_until(work, relative=1e-4)
    assert 1e-3 < refusal.value.reachable < 0.01
    assert work.calls <= 2


def test_repetitions_end_at_their_bound(meter: EnergyMeter, work: Work) -> None:
    floor = 0.0
    with pytest.raises(OutOfReach) as refusal:
        meter.repeat_until(work, relative=1e-4)
    floor = refusal.value.reachable
    found = meter.repeat_until(work, relative=floor * 1.02, most=2)
    assert found.windows == 2
    assert not found.reached
