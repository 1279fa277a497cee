"""Joules of a function, measured from a script: `python examples/measure_a_script.py [PORT]`.

With the serial port of an INA bridge it meters the machine it runs on. Without one an emulated bridge stands in, and
the function raises the power of an emulated supply from 5 W to 8 W: these joules are simulated.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from power import BridgeInput, EnergyMeter, InaBridge
from testbed.farend import start_far_end
from testbed.virtual.supply import SupplyWriter

SHUNT_OHM, SUPPLY_V = 0.015, 5.1


def work(lasts_s: float = 0.02) -> None:
    """What is to be measured: put your inference here."""
    end_s = time.monotonic() + lasts_s
    while time.monotonic() < end_s:
        sum(range(1000))


@contextmanager
def emulated() -> Iterator[tuple[str, Callable[[], None]]]:
    """An emulated bridge's port, and the work in front of its supply."""
    with tempfile.TemporaryDirectory() as folder, SupplyWriter(Path(folder) / "supply") as supply:
        supply.set(time.monotonic_ns(), 5.0)

        def drawing() -> None:
            supply.set(time.monotonic_ns(), 8.0)
            work()
            supply.set(time.monotonic_ns(), 5.0)

        words = [f"--supply={folder}/supply", f"--supply-voltage={SUPPLY_V}", f"--shunt-ohm={SHUNT_OHM}"]
        with start_far_end("testbed.virtual.meters.bridge", [*words, "--sensor=ina226@0x40"]) as far_end:
            yield far_end.ready["port"], drawing


def measure(port: str, function: Callable[[], object]) -> None:
    """Idle power, one window, and repetitions until a call is known to 2 %."""
    wired = BridgeInput(
        sensor="ina226", shunt_ohm=SHUNT_OHM, shunt_standard_uncertainty=0.001, supply_v=SUPPLY_V, bus_divisor=16
    )
    with EnergyMeter(InaBridge(port, wired)) as meter:
        print(f"idle: {meter.baseline(0.5):.2f} W")
        with meter.window("ten calls") as window:
            for _ in range(10):
                function()
        energy = window.energy
        print(f"ten calls: {energy.energy_j:.4f} J +- {energy.standard_uncertainty_j:.4f} J, ", end="")
        print(f"of which {energy.idle_subtracted_j:.4f} J above idle; {energy.mean_power_w:.2f} W in the mean")
        for cause, value_j in sorted(energy.budget_j.items(), key=lambda part: -part[1]):
            print(f"  {cause:13}{value_j * 1e3:8.3f} mJ")
        found = meter.repeat_until(function, relative=0.02, most=100)
        print(
            f"a call: {found.call.energy_j * 1e3:.2f} mJ +- {found.call.standard_uncertainty_j * 1e3:.2f} mJ, ", end=""
        )
        print(f"from {found.windows} windows of {found.calls} calls of {found.duration_s * 1e3:.1f} ms")


if __name__ == "__main__":
    if len(sys.argv) > 1:
        measure(sys.argv[1], work)
    else:
        print("an emulated meter: these joules are simulated")
        with emulated() as (emulated_port, drawing):
            measure(emulated_port, drawing)
