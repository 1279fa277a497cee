from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from power import Energy, Kind, OnBoard, PiPmic, Recorder, SensorFault, WrongDevice, cut
from power.pi_pmic import Rails, parse
from tests.power.trees import patiently, put

S = 1_000_000_000
BIN = Path(__file__).parent / "board/bin"
# Printed by a Raspberry Pi 5 with an SSD, as its owner published it.
OUTPUT = """\
 3V7_WL_SW_A current(0)=0.09466522A
   3V3_SYS_A current(1)=0.08197812A
   1V8_SYS_A current(2)=0.15029320A
  DDR_VDD2_A current(3)=0.00390372A
  DDR_VDDQ_A current(4)=0.00000000A
   1V1_SYS_A current(5)=0.20299340A
    0V8_SW_A current(6)=0.30546610A
  VDD_CORE_A current(7)=1.11625000A
   3V3_DAC_A current(17)=0.00000000A
   3V3_ADC_A current(18)=0.00018315A
   0V8_AON_A current(16)=0.00274725A
      HDMI_A current(22)=0.01660560A
 3V7_WL_SW_V volt(8)=3.62925200V
   3V3_SYS_V volt(9)=3.31652900V
   1V8_SYS_V volt(10)=1.79877700V
  DDR_VDD2_V volt(11)=1.10146400V
  DDR_VDDQ_V volt(12)=0.60622650V
   1V1_SYS_V volt(13)=1.10402800V
    0V8_SW_V volt(14)=0.79853400V
  VDD_CORE_V volt(15)=0.74944980V
   3V3_DAC_V volt(20)=3.31043600V
   3V3_ADC_V volt(21)=3.31684600V
   0V8_AON_V volt(19)=0.79794790V
      HDMI_V volt(23)=5.10138000V
     EXT5V_V volt(24)=5.08530000V
      BATT_V volt(25)=0.00000000V
"""
OUTPUT_W = 2.28221
"""its rails' currents times their voltages, summed with awk"""


@pytest.fixture
def output(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What the board's vcgencmd prints."""
    path = tmp_path / "output"
    put(path, OUTPUT)
    monkeypatch.setenv("PATH", f"{BIN}:{os.environ['PATH']}")
    monkeypatch.setenv("PMIC_OUTPUT", str(path))
    return path


def test_rails_with_current_and_voltage_are_summed(output: Path) -> None:
    monitor = OnBoard(PiPmic(), rate_hz=40.0)
    with Recorder(monitor) as recorder:
        recorder.wait_until(time.monotonic_ns(), timeout_s=20.0)
        assert recorder.latest_power_w == pytest.approx(OUTPUT_W, abs=1e-3)

        def step() -> tuple[Energy, float]:
            """As it is, and after 0.6 s 1.5 W more in the core for 0.6 s; and the truth."""
            put(output, OUTPUT)
            recorder.wait_until(start_ns := time.monotonic_ns() + S // 5, timeout_s=20.0)
            recorder.wait_until(start_ns + 6 * S // 10, timeout_s=20.0)
            put(output, OUTPUT.replace("(7)=1.11625000A", "(7)=3.11625000A"))
            step_ns = time.monotonic_ns()
            recorder.wait_until(end_ns := step_ns + 6 * S // 10, timeout_s=20.0)
            recorder.wait_until(end_ns + S // 5, timeout_s=20.0)
            clock_s = monitor.clock.standard_uncertainty_s
            energy = cut(recorder.since(0), start_ns, end_ns, monitor.spec, clock_uncertainty_s=clock_s)
            return energy, (OUTPUT_W * (end_ns - start_ns) + 2.0 * 0.7494498 * (end_ns - step_ns)) * 1e-9

        energy, truth_j = patiently(step)
        samples, spec = recorder.since(0), monitor.spec
    assert abs(energy.energy_j - truth_j) <= 4 * energy.standard_uncertainty_j
    assert spec.kind is Kind.INSTANTANEOUS
    assert len(spec.channels) == len(spec.total) == 12
    assert "EXT5V" not in [channel.name for channel in spec.channels]
    core = [channel.name for channel in spec.channels].index("VDD_CORE")
    assert samples.of_channel(core).power_w.max() == pytest.approx(3.11625 * 0.7494498)


def test_an_output_that_lacks_a_rail_is_a_lost_sample() -> None:
    readings = Rails(["VDD_CORE", "HDMI"]).decode([[OUTPUT], [OUTPUT.replace("HDMI_V", "HDMI_X")], [""]])
    assert readings.sound.tolist() == [True, False, False]
    assert readings.power_w[0] == pytest.approx([0.83657, 0.08471], abs=1e-4)


def test_another_pi_is_no_pi_5(output: Path) -> None:
    put(output, "VCHI initialization failed")
    with pytest.raises(WrongDevice, match="tells of no rail; only a Raspberry Pi 5"):
        OnBoard(PiPmic(), rate_hz=10.0).open()


def test_a_command_that_fails_is_quoted(output: Path) -> None:
    output.unlink()
    with pytest.raises(SensorFault, match=r"vcgencmd on local: cat: .*No such file"):
        OnBoard(PiPmic(), rate_hz=10.0).open()


def test_a_board_without_vcgencmd_is_no_pi(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SensorFault, match=r"vcgencmd on local: No such file.*is this a Raspberry Pi\?"):
        OnBoard(PiPmic(), rate_hz=10.0).open()


@given(st.text(), st.lists(st.tuples(st.from_regex(r"\A[A-Z0-9_]{1,12}\Z"), st.floats(0, 99))))
def test_whatever_stands_around_them_readings_are_found(noise: str, rails: list[tuple[str, float]]) -> None:
    lines = [f"  {name}_A current({n})={value:.8f}A" for n, (name, value) in enumerate(rails)]
    found = parse("\n".join([*lines, noise.replace("=", "")]))
    assert found == {(name, "A"): pytest.approx(value, abs=1e-8) for name, value in rails}
