"""The real firmware at the far end of a virtual bench, in real time."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

from testbed.farend import start_far_end
from testbed.marks import Marks
from testbed.meter import Meter
from testbed.monitors.ina_bridge import InaBridgeMonitor
from testbed.virtual.supply import SupplyWriter

IDLE_W, BUSY_W = 10.0, 25.0
LENGTH_S = 0.3


def settings() -> InaBridgeMonitor:
    return InaBridgeMonitor.model_validate(
        {
            "kind": "ina-bridge",
            "port": "emulated-firmware",
            "sensor": "ina226",
            "shunt_ohm": "15 mOhm",
            "supply_voltage_v": "15 V",
        }
    )


def test_energy_between_marks_is_what_was_drawn(folder: Path, tmp_path: Path) -> None:
    monitor = settings()
    with SupplyWriter(tmp_path / "supply") as supply:
        supply.set(time.monotonic_ns(), IDLE_W)
        program = monitor.far_end(tmp_path / "supply", 15.0, seed=3)
        assert program is not None
        assert monitor.emulated
        with start_far_end(program.module, program.arguments) as far_end:
            assert far_end.ready["device"] == "ina-bridge firmware"
            driver = monitor.build(None, far_end.ready)  # type: ignore[arg-type]
            with Meter(driver, reopening_pause_s=0.0) as meter:
                meter.settle(time.monotonic_ns())
                start_ns = time.monotonic_ns() + 100_000_000
                end_ns = start_ns + round(LENGTH_S * 1e9)
                supply.set_many([(start_ns, BUSY_W, 0.0), (end_ns, IDLE_W, 0.0)])
                energy = meter.energy(Marks(start_ns, end_ns, 20e-6), guard_s=0.05, busy_s=LENGTH_S)
    true_j = BUSY_W * LENGTH_S
    assert abs(energy.energy_j - true_j) < 4 * energy.standard_uncertainty_j
    assert energy.standard_uncertainty_j < 0.05 * true_j


def test_a_far_end_that_is_not_built_says_how() -> None:
    elsewhere = (
        "from pathlib import Path; from testbed.virtual.meters import bridge_firmware as it; it.BUILT = Path('/no')"
    )
    done = subprocess.run([sys.executable, "-c", f"{elsewhere}; it.main()"], capture_output=True, text=True)
    assert done.returncode == 1
    assert "make emulator" in done.stderr
