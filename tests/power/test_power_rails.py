from __future__ import annotations

import time
from pathlib import Path

import pytest

from power import (
    Accuracy,
    Energy,
    HwmonChip,
    JetsonRails,
    OnBoard,
    Place,
    Recorder,
    SensorFault,
    WindowTooShort,
    WrongDevice,
    cut,
)
from power.monitor import MonitorSpec
from power.on_board import BoardSensor
from tests.power.trees import patiently, put, put_all

S = 1_000_000_000
DRIVERS = "sys/bus/i2c/drivers"
ORIN_NANO = "nvidia,p3768-0000+p3767-0005\0nvidia,p3767-0005\0nvidia,tegra234\0"
AGX_ORIN = "nvidia,p3737-0000+p3701-0000\0nvidia,p3701-0000\0nvidia,tegra234\0"


def jetson(root: Path, compatible: str, model: str = "NVIDIA Jetson Developer Kit") -> None:
    put_all(root / "proc/device-tree", {"model": model + "\0", "compatible": compatible})


def ina3221(root: Path, device: str, rails: list[str], shunt_uohm: int | None = 5000) -> Path:
    """As the kernel's driver shows one: three inputs, and the shunt voltages with their sum behind them."""
    folder = root / DRIVERS / "ina3221" / device / "hwmon/hwmon3"
    for n, label in enumerate(rails, 1):
        put_all(folder, {f"in{n}_label": label, f"in{n}_input": 5000, f"curr{n}_input": 1000 * n})
        put_all(folder, {f"in{n + 3}_input": 5, **({f"shunt{n}_resistor": shunt_uohm} if shunt_uohm else {})})
    put_all(folder, {"in7_label": "sum of shunt voltages", "in7_input": 30, "curr4_input": 6000})
    return folder


def opened(sensor: BoardSensor) -> MonitorSpec:
    monitor = OnBoard(sensor, rate_hz=200.0)
    monitor.open()
    monitor.close()
    return monitor.spec


def test_a_step_on_the_total_rail_is_cut_as_it_was(tmp_path: Path) -> None:
    jetson(tmp_path, ORIN_NANO)
    folder = ina3221(tmp_path, "1-0040", ["VDD_IN", "VDD_CPU_GPU_CV", "VDD_SOC"])
    monitor = OnBoard(JetsonRails(root=tmp_path), rate_hz=200.0)
    with Recorder(monitor) as recorder:

        def step() -> tuple[Energy, Energy, float, int]:
            """5 W, and after 0.3 s 15 W for 0.4 s: of the total and of VDD_SOC, the truth, the beginning."""
            put(folder / "curr1_input", 1000)
            recorder.wait_until(start_ns := time.monotonic_ns() + S // 10, timeout_s=20.0)
            recorder.wait_until(start_ns + 3 * S // 10, timeout_s=20.0)
            put(folder / "curr1_input", 3000)
            step_ns = time.monotonic_ns()
            recorder.wait_until(end_ns := step_ns + 4 * S // 10, timeout_s=20.0)
            recorder.wait_until(end_ns + S // 10, timeout_s=20.0)
            samples, clock_s = recorder.since(0), monitor.clock.standard_uncertainty_s
            total = cut(samples, start_ns, end_ns, monitor.spec, clock_uncertainty_s=clock_s)
            soc = cut(samples, start_ns, end_ns, monitor.spec, channel=2)
            return total, soc, ((step_ns - start_ns) * 5.0 + (end_ns - step_ns) * 15.0) * 1e-9, start_ns

        total, soc, truth_j, start_ns = patiently(step)
        assert recorder.latest_power_w == pytest.approx(15.0)
        samples = recorder.since(0)
    assert abs(total.energy_j - truth_j) <= 4 * total.standard_uncertainty_j
    assert total.standard_uncertainty_j < 0.05 * truth_j
    assert soc.mean_power_w == pytest.approx(15.0)
    with pytest.raises(WindowTooShort):
        cut(samples, start_ns, start_ns + S // 20, monitor.spec)


def test_an_orin_nano_is_recognised_and_its_input_is_the_total(tmp_path: Path) -> None:
    jetson(tmp_path, ORIN_NANO)
    ina3221(tmp_path, "1-0040", ["VDD_IN", "VDD_CPU_GPU_CV", "NC"])
    spec = opened(JetsonRails(root=tmp_path))
    assert [channel.name for channel in spec.channels] == ["VDD_IN", "VDD_CPU_GPU_CV"]
    assert spec.total == (0,)
    assert spec.whole.power_lsb_w == pytest.approx(8e-3 * 5.0)  # 40 uV over 5 mOhm, at 5 V


def test_an_agx_orin_sums_its_rails_in_steps_of_20_ma(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    jetson(tmp_path, AGX_ORIN)
    ina3221(tmp_path, "1-0040", ["VDD_GPU_SOC", "VDD_CPU_CV", "VIN_SYS_5V0"], shunt_uohm=None)
    ina3221(tmp_path, "1-0041", ["NC", "VDDQ_VDD2_1V8AO", "NC"], shunt_uohm=None)
    spec = opened(JetsonRails(root=tmp_path))
    assert spec.whole.name == "VDD_GPU_SOC+VDD_CPU_CV+VIN_SYS_5V0+VDDQ_VDD2_1V8AO"
    assert spec.channels[0].power_lsb_w == pytest.approx(20e-3 * 5.0)
    assert "unconfirmed" in caplog.text


def test_fewer_rails_can_be_read_but_never_fewer_than_the_total(tmp_path: Path) -> None:
    jetson(tmp_path, ORIN_NANO)
    ina3221(tmp_path, "1-0040", ["VDD_IN", "VDD_CPU_GPU_CV", "VDD_SOC"])
    spec = opened(JetsonRails(rails=["VDD_SOC"], root=tmp_path))
    assert [channel.name for channel in spec.channels] == ["VDD_IN", "VDD_SOC"]
    with pytest.raises(SensorFault, match=r"no rail 'VDD_SC' on this board; there are VDD_IN, VDD_CPU_GPU_CV, VDD_SOC"):
        opened(JetsonRails(rails=["VDD_SC"], root=tmp_path))


def test_a_jetson_nano_of_jetpack_4_has_iio_files_in_milliwatts(tmp_path: Path) -> None:
    jetson(tmp_path, "nvidia,jetson-nano\0nvidia,tegra210\0", "NVIDIA Jetson Nano Developer Kit")
    folder = tmp_path / DRIVERS / "ina3221x/6-0040/iio:device0"
    for n, rail in enumerate(["POM_5V_IN", "POM_5V_GPU", "POM_5V_CPU"]):
        put_all(folder, {f"rail_name_{n}": rail, f"in_power{n}_input": 1500 + n})
    monitor = OnBoard(JetsonRails(root=tmp_path), rate_hz=200.0)
    with Recorder(monitor) as recorder:
        recorder.wait_until(time.monotonic_ns(), timeout_s=20.0)
        assert recorder.latest_power_w == pytest.approx(1.5)
        assert recorder.since(0).of_channel(2).power_w[0] == pytest.approx(1.502)


def test_thor_has_its_input_on_another_chip(tmp_path: Path) -> None:
    jetson(tmp_path, "nvidia,p3971-0080+p3834-0008\0nvidia,tegra264\0")
    ina3221(tmp_path, "2-0040", ["VDD_GPU", "VDD_CPU_SOC_MSS", "VIN_SYS_5V0"])
    put_all(tmp_path / DRIVERS / "ina238/2-0044/hwmon/hwmon5", {"power1_input": 42_000_000, "in1_input": 20000})
    monitor = OnBoard(JetsonRails(root=tmp_path), rate_hz=100.0)
    with Recorder(monitor) as recorder:
        recorder.wait_until(time.monotonic_ns(), timeout_s=20.0)
        assert recorder.latest_power_w == pytest.approx(42.0)


@pytest.mark.parametrize(
    ("compatible", "message"), [(None, "it has no device tree"), ("raspberrypi,5-model-b\0", "is no Jetson")]
)
def test_what_is_no_jetson_is_told_to_name_its_chip(tmp_path: Path, compatible: str | None, message: str) -> None:
    if compatible:
        jetson(tmp_path, compatible, "Raspberry Pi 5")
    with pytest.raises(WrongDevice, match=f"{message}.*name a chip"):
        opened(JetsonRails(root=tmp_path))


def test_rails_that_only_root_may_read_name_the_cure(nobody: Place, open_tree: Path) -> None:
    jetson(open_tree, ORIN_NANO)
    folder = ina3221(open_tree, "1-0040", ["VDD_IN", "VDD_CPU_GPU_CV", "VDD_SOC"])
    (folder / "in1_input").chmod(0)
    with pytest.raises(SensorFault, match=r"in1_input.*Permission denied; JetPack 4 .*run the board's agent as root"):
        OnBoard(JetsonRails(root=open_tree), rate_hz=10.0, place=nobody).open()


def test_a_rail_that_vanishes_is_named(tmp_path: Path) -> None:
    jetson(tmp_path, ORIN_NANO)
    folder = ina3221(tmp_path, "1-0040", ["VDD_IN", "VDD_CPU_GPU_CV", "VDD_SOC"])
    with Recorder(OnBoard(JetsonRails(root=tmp_path), rate_hz=200.0)) as recorder:
        recorder.wait_until(time.monotonic_ns(), timeout_s=20.0)
        (folder / "curr2_input").unlink()
        with pytest.raises(SensorFault, match=r"hwmon3/curr2_input on local: No such file.*driver loaded"):
            recorder.wait_until(time.monotonic_ns() + 5 * S, timeout_s=20.0)


CHIP = Accuracy(gain_limit=0.02, offset_limit_w=0.03, step_w=1e-3, conversion_s=1e-3, refresh_s=2e-3)


def test_any_hwmon_chip_by_its_name_and_labels(tmp_path: Path) -> None:
    hwmon = tmp_path / "sys/class/hwmon"
    put_all(hwmon / "hwmon0", {"name": "cpu_thermal", "temp1_input": 42000})
    put_all(hwmon / "hwmon1", {"name": "ina238", "power1_input": 7_000_000, "in0_input": 3, "curr1_input": 1400})
    put_all(hwmon / "hwmon2", {"name": "ina238", "power1_input": 500_000, "power1_label": "fan"})
    monitor = OnBoard(HwmonChip("ina238", total=["power1", "fan"], accuracy=CHIP, root=tmp_path), rate_hz=100.0)
    with Recorder(monitor) as recorder:
        recorder.wait_until(time.monotonic_ns(), timeout_s=20.0)
        assert recorder.latest_power_w == pytest.approx(7.5)
    assert monitor.spec.whole.gain_standard_uncertainty == pytest.approx(0.02 / 3**0.5)
    with pytest.raises(SensorFault, match="no chip 'ina260'.*there are cpu_thermal, ina238"):
        opened(HwmonChip("ina260", total=["power1"], accuracy=CHIP, root=tmp_path))
    with pytest.raises(SensorFault, match="no rail 'vin'.*there are power1, fan"):
        opened(HwmonChip("ina238", total=["vin"], accuracy=CHIP, root=tmp_path))
