"""Whether a shunt sensor can stand in a board's supply line."""

from __future__ import annotations

from testbed.config.plugins import BoardSettings

PIN_LIMIT_V = {"ina219": 26.0, "ina226": 36.0, "ina228": 85.0}
"""highest bus voltage: datasheets SBOS448, SBOS547, SBOSA20"""


def shunt_problems(
    board: BoardSettings, sensor: str, supply_voltage_v: float, shunt_ohm: float, range_v: float
) -> list[str]:
    """Why it could not, each with its cure. `range_v` is the full scale of the shunt voltage."""
    problems = []
    limit_v = PIN_LIMIT_V[sensor]
    if board.supply_voltage_v > limit_v:
        problems.append(
            f"monitor: the {sensor} bears {limit_v:g} V at its pins, the board's supply has "
            f"{board.supply_voltage_v:g} V; choose another sensor"
        )
    if abs(board.supply_voltage_v - supply_voltage_v) > 0.1 * board.supply_voltage_v:
        problems.append(
            f"monitor.supply_voltage_v: {supply_voltage_v:g} V at the sensor, but the board is fed with "
            f"{board.supply_voltage_v:g} V; the shunt must stand in the board's own supply line"
        )
    if board.draw is not None:
        most_a = board.draw.power_w / board.supply_voltage_v
        if most_a * shunt_ohm > range_v:
            problems.append(
                f"monitor.shunt_ohm: the board draws up to {most_a:.2g} A, a {shunt_ohm * 1e3:g} mOhm shunt "
                f"on the {range_v * 1e3:g} mV range ends at {range_v / shunt_ohm:.2g} A; take at most "
                f"{range_v / most_a * 1e3:.2g} mOhm"
            )
        low_v = board.draw.voltage_v[0]
        left_v = board.supply_voltage_v - most_a * shunt_ohm
        if board.supply_voltage_v >= low_v > left_v:
            problems.append(
                f"monitor.shunt_ohm: at {most_a:.2g} A a {shunt_ohm * 1e3:g} mOhm shunt leaves the board "
                f"{left_v:.3g} V, below the {low_v:g} V it needs; take at most "
                f"{(board.supply_voltage_v - low_v) / most_a * 1e3:.2g} mOhm"
            )
    return problems
