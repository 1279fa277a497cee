"""The real firmware at the far end of a virtual bench, in real time."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

from power import InaBridge, Samples, TransientError
from testbed.farend import start_far_end
from testbed.monitors.ina_bridge import InaBridgeMonitor
from testbed.virtual.supply import SupplyWriter

POWER_W = 10.0
ATTEMPTS = 10


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


def test_a_bench_may_ask_for_the_real_firmware(folder: Path, tmp_path: Path) -> None:
    monitor = settings()
    with SupplyWriter(tmp_path / "supply") as supply:
        supply.set(time.monotonic_ns(), POWER_W)
        program = monitor.far_end(tmp_path / "supply", 15.0, seed=3)
        assert program is not None
        assert monitor.emulated
        with start_far_end(program.module, program.arguments) as far_end:
            assert far_end.ready["device"] == "ina-bridge firmware"
            samples = first_samples(monitor.build(None, far_end.ready))  # type: ignore[arg-type]
    assert samples.power_w == pytest.approx(POWER_W, rel=0.02)


def first_samples(driver: InaBridge) -> Samples:
    """As a run would get them: a bridge that a busy host lets starve is opened again."""
    for _ in range(ATTEMPTS):
        try:
            driver.open()
            driver.start()
            while not len(samples := driver.read()):
                continue
            return samples
        except TransientError:
            continue
        finally:
            driver.close()
    raise AssertionError(f"no samples in {ATTEMPTS} attempts")


def test_a_far_end_that_is_not_built_says_how() -> None:
    elsewhere = (
        "from pathlib import Path; from testbed.virtual.meters import bridge_firmware as it; it.BUILT = Path('/no')"
    )
    done = subprocess.run([sys.executable, "-c", f"{elsewhere}; it.main()"], capture_output=True, text=True)
    assert done.returncode == 1
    assert "make emulator" in done.stderr
