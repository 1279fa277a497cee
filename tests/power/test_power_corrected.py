"""A meter that reads wrong, at the far end of its wire, put right by what is known of that specimen."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from bench.far_end import FarEnd, Nursery
from power import (
    BridgeInput,
    Corrected,
    Correction,
    InaBridge,
    MonsoonInput,
    MonsoonLvpm,
    PowerMonitor,
    Samples,
    Specimen,
)

Listen = Callable[[PowerMonitor, FarEnd, float], Samples]
KNOWN = Correction(gain=0.05, gain_standard_uncertainty=0.002, offset_w=0.5, offset_standard_uncertainty_w=0.001)


def lift_off(serial: str) -> Callable[[PowerMonitor], Mapping[int, Correction]]:
    """Knows one specimen."""

    def find(monitor: PowerMonitor) -> Mapping[int, Correction]:
        known = monitor.specimen is not None and monitor.specimen.serial == serial
        return {0: KNOWN} if known else {}

    return find


@pytest.fixture
def heard(nursery: Nursery, supply: Path, listen: Listen) -> Callable[[str], tuple[Corrected, Samples]]:
    def hear(serial: str) -> tuple[Corrected, Samples]:
        wiring = {"supply-voltage": 5.0, "sensor": "ina226@0x40", "shunt-ohm": 0.02, "supply": supply, "serial": serial}
        wrong = {"gain-error": KNOWN.gain, "offset-v": KNOWN.offset_w / 5.0 * 0.02 / (1 + KNOWN.gain)}
        with nursery.meter("bridge", {**wiring, **wrong, "noise-steps": 0.0}) as far_end:
            bridge = InaBridge(
                far_end.port(),
                BridgeInput(shunt_ohm=0.02, supply_v=5.0, sensor="ina226"),
                wait_s=2e-4,
                clock=far_end.clock,
            )
            monitor = Corrected(bridge, lift_off("RIGHT"))
            before = monitor.spec
            monitor.open()
            try:
                assert before.channels[0].gain_standard_uncertainty != KNOWN.gain_standard_uncertainty
                monitor.start()
                return monitor, listen(monitor, far_end, 0.8)
            finally:
                monitor.close()

    return hear


def test_readings_and_spec_are_those_of_the_calibration(heard: Callable[[str], tuple[Corrected, Samples]]) -> None:
    monitor, samples = heard("RIGHT")
    assert monitor.specimen == Specimen("RIGHT", "1.0")
    assert samples.power_w.mean() == pytest.approx(5.0, abs=0.03)
    assert samples.current_a is not None
    assert samples.current_a.mean() == pytest.approx(1.0, abs=0.006)
    (channel,) = monitor.spec.channels
    assert channel.gain_standard_uncertainty == KNOWN.gain_standard_uncertainty
    assert channel.offset_standard_uncertainty_w == KNOWN.offset_standard_uncertainty_w


def test_another_specimen_is_left_as_it_reads(heard: Callable[[str], tuple[Corrected, Samples]]) -> None:
    monitor, samples = heard("OTHER")
    assert samples.power_w.mean() == pytest.approx(5.0 * 1.05 + 0.5, abs=0.03)
    assert monitor.spec.channels[0].gain_standard_uncertainty != KNOWN.gain_standard_uncertainty


def test_an_lvpm_says_which_one_it_is(nursery: Nursery, supply: Path) -> None:
    options = {"supply": supply, "output": "aux", "output-voltage": 5.0, "serial-number": 4711}
    with nursery.meter("monsoon", options) as far_end:
        monitor = MonsoonLvpm(far_end.port(), [MonsoonInput("aux", 5.0)], clock=far_end.clock)
        assert monitor.specimen is None
        monitor.open()
        monitor.close()
        assert monitor.specimen is not None
        assert monitor.specimen.serial == "4711"
