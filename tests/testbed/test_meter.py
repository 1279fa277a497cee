"""A run's meter at the far end of its wire: energy between marks, holes in the trace, a cable pulled."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from power import BridgeInput, InaBridge, TraceIncomplete, TransientError
from testbed.errors import BenchError
from testbed.farend import start_far_end
from testbed.marks import Marks
from testbed.meter import Meter
from testbed.virtual.supply import SupplyWriter

IDLE_W, BUSY_W = 10.0, 25.0
GUARD_S = 0.02
Open = Callable[..., Meter]


@pytest.fixture
def supply(tmp_path: Path) -> Iterator[SupplyWriter]:
    writer = SupplyWriter(tmp_path / "supply")
    writer.set(time.monotonic_ns(), IDLE_W)
    yield writer
    writer.close()


@pytest.fixture
def opened(supply: SupplyWriter, tmp_path: Path) -> Iterator[Open]:
    with ExitStack() as stack:

        def meter(*faults: str) -> Meter:
            arguments = ["--supply-voltage=15", "--sensor=ina226@0x40", "--shunt-ohm=0.015", "--seed=3"]
            far_end = stack.enter_context(
                start_far_end(
                    "testbed.virtual.meters.bridge",
                    [f"--supply={tmp_path / 'supply'}", *arguments, *(f"--fault={fault}" for fault in faults)],
                )
            )
            monitor = InaBridge(
                far_end.ready["port"], BridgeInput(shunt_ohm=0.015, supply_v=15.0, sensor="ina226", bus_divisor=16)
            )
            return stack.enter_context(Meter(monitor, reopening_pause_s=0.0))

        yield meter


def burst(supply: SupplyWriter, after_s: float, length_s: float) -> Marks:
    """A load planned ahead, and the marks at its edges."""
    start_ns = time.monotonic_ns() + round(after_s * 1e9)
    end_ns = start_ns + round(length_s * 1e9)
    supply.set_many([(start_ns, BUSY_W, 0.0), (end_ns, IDLE_W, 0.0)])
    return Marks(start_ns, end_ns, 20e-6)


def test_energy_between_marks_is_what_was_drawn(opened: Open, supply: SupplyWriter) -> None:
    meter = opened()
    meter.settle(time.monotonic_ns())
    energy = meter.energy(burst(supply, 0.1, 0.05), GUARD_S, busy_s=0.05)
    assert energy.energy_j == pytest.approx(BUSY_W * 0.05, abs=4 * energy.standard_uncertainty_j)
    assert energy.idle_subtracted_j == pytest.approx((BUSY_W - IDLE_W) * 0.05, rel=0.03)
    assert energy.baseline_power_w == pytest.approx(IDLE_W, rel=0.02)


def test_the_busy_part_leaves_out_the_time_the_board_waited(opened: Open, supply: SupplyWriter) -> None:
    meter = opened()
    meter.settle(time.monotonic_ns())
    marks = burst(supply, 0.1, 0.01)
    period = Marks(marks.start_ns, marks.start_ns + 40_000_000, marks.standard_uncertainty_s)
    energy = meter.energy(period, GUARD_S, busy_s=0.01)
    assert energy.busy is not None
    assert energy.busy.energy_j == pytest.approx(BUSY_W * 0.01, abs=4 * energy.busy.standard_uncertainty_j)
    assert energy.energy_j == pytest.approx(BUSY_W * 0.01 + IDLE_W * 0.03, rel=0.03)


def test_samples_are_handed_to_the_store_once(opened: Open, supply: SupplyWriter) -> None:
    meter = opened()
    meter.settle(time.monotonic_ns())
    meter.energy(burst(supply, 0.1, 0.05), GUARD_S, busy_s=0.05)
    first = meter.take_samples()
    meter.energy(burst(supply, 0.1, 0.05), GUARD_S, busy_s=0.05)
    second = meter.take_samples()
    assert second.index[0] == first.index[-1] + 1


def test_a_hole_in_the_trace_fails_one_window_and_the_next_is_whole(opened: Open, supply: SupplyWriter) -> None:
    meter = opened("gap@+2.0:0.1")
    meter.settle(time.monotonic_ns())
    with pytest.raises(TraceIncomplete) as trouble:
        meter.energy(burst(supply, 0.2, 1.6), GUARD_S, busy_s=1.6)
    meter.recover(trouble.value)
    energy = meter.energy(burst(supply, 0.1, 0.05), GUARD_S, busy_s=0.05)
    assert energy.present == 1.0


def test_a_bridge_that_restarts_is_opened_again(opened: Open, supply: SupplyWriter) -> None:
    meter = opened("restart@+1.5")
    meter.settle(time.monotonic_ns())
    with pytest.raises(TransientError) as trouble:
        meter.energy(burst(supply, 0.2, 1.5), GUARD_S, busy_s=1.5)
    meter.recover(trouble.value)
    meter.settle(time.monotonic_ns())
    energy = meter.energy(burst(supply, 0.1, 0.05), GUARD_S, busy_s=0.05)
    assert energy.energy_j == pytest.approx(BUSY_W * 0.05, rel=0.03)


def test_a_pulled_cable_ends_in_one_message_that_names_the_port(opened: Open, supply: SupplyWriter) -> None:
    meter = opened("unplug@+1.2")
    meter.settle(time.monotonic_ns())
    with pytest.raises(TransientError) as trouble:
        meter.energy(burst(supply, 0.2, 1.0), GUARD_S, busy_s=1.0)
    with pytest.raises(BenchError, match=r"/dev/pts/\d+.*cable.*resume the run"):
        meter.recover(trouble.value)
