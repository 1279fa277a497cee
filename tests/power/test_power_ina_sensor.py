from __future__ import annotations

import pytest

from power.ina_sensor import INA219, INA226, INA228, Sensor, SensorModel


def sensor(model: SensorModel, range_v: float, conversion_s: float, averages: int = 1) -> Sensor:
    return Sensor(model, 0.1, range_v, conversion_s, averages)


@pytest.mark.parametrize(
    ("chosen", "register"),
    [
        (sensor(INA219, 0.32, 532e-6), 0x399F),  # the INA219's value at power-on
        (sensor(INA219, 0.32, 84e-6), 0x3807),
        (sensor(INA219, 0.04, 276e-6), 0x2117),
        (sensor(INA219, 0.08, 532e-6, 128), 0x2FFF),
        (sensor(INA226, 0.08192, 1.1e-3), 0x4127),  # the INA226's value at power-on
        (sensor(INA226, 0.08192, 140e-6), 0x4007),
        (sensor(INA226, 0.08192, 8.244e-3, 1024), 0x4FFF),
        (sensor(INA228, 0.16384, 1.052e-3), 0xBB68),  # 0xFB68 at power-on, which converts the temperature too
    ],
)
def test_golden_registers(chosen: Sensor, register: int) -> None:
    assert chosen.register == register


@pytest.mark.parametrize(
    ("model", "range_v", "conversion_s", "registers"),
    [
        (INA219, 0.32, 84e-6, (0x3805, 0x3806, 0)),
        (INA226, 0.08192, 140e-6, (0x4005, 0x4006, 0)),
        (INA228, 0.04096, 50e-6, (0xA000, 0x9000, 0x10)),
    ],
)
def test_from_a_bus_divisor_of_6_on_the_shunt_is_converted_alone(
    model: SensorModel, range_v: float, conversion_s: float, registers: tuple[int, int, int]
) -> None:
    in_turn, alone = (Sensor(model, 0.1, range_v, conversion_s, 1, divisor) for divisor in (5, 6))
    assert in_turn.register == in_turn.bus_register
    assert in_turn.period_s == pytest.approx(2 * conversion_s)
    assert (alone.register, alone.bus_register, alone.range_register) == registers
    assert alone.period_s == pytest.approx(conversion_s)


def test_averaging_lengthens_the_aperture() -> None:
    slow = sensor(INA226, 0.08192, 1.1e-3, 16)
    assert slow.aperture_s == pytest.approx(17.6e-3)
    assert slow.period_s == pytest.approx(35.2e-3)


def test_the_step_is_the_converters_where_that_is_coarser_than_the_registers() -> None:
    assert sensor(INA219, 0.04, 532e-6).current_lsb_a == pytest.approx(10e-6 / 0.1)
    assert sensor(INA219, 0.32, 532e-6).current_lsb_a == pytest.approx(80e-6 / 0.1)
    assert sensor(INA219, 0.32, 84e-6).current_lsb_a == pytest.approx(640e-6 / 0.1)
    assert sensor(INA219, 0.32, 84e-6).voltage_lsb_v == pytest.approx(32e-3)
    assert sensor(INA226, 0.08192, 140e-6).current_lsb_a == pytest.approx(2.5e-6 / 0.1)
    assert sensor(INA228, 0.16384, 50e-6).current_lsb_a == pytest.approx(312.5e-9 / 0.1)
    assert sensor(INA228, 0.04096, 50e-6).current_lsb_a == pytest.approx(78.125e-9 / 0.1)


@pytest.mark.parametrize(
    ("what", "make"),
    [
        ("conversion_s", lambda: sensor(INA219, 0.32, 140e-6)),
        ("range_v", lambda: sensor(INA226, 0.32, 140e-6)),
        ("averages", lambda: sensor(INA226, 0.08192, 140e-6, 2)),
        ("averages", lambda: sensor(INA219, 0.32, 84e-6, 16)),
        ("shunt_ohm", lambda: Sensor(INA219, 0.0, 0.32, 84e-6, 1)),
    ],
)
def test_a_setting_the_chip_lacks_is_named(what: str, make: object) -> None:
    with pytest.raises(ValueError, match=what):
        make()  # type: ignore[operator]
