from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from testbed.virtual.thermal import Cooling, Thermal

COOLING = Cooling(resistance_k_per_w=2.0, time_constant_s=10.0, throttle_at_c=80.0, release_at_c=70.0)


def test_starts_settled() -> None:
    thermal = Thermal(COOLING, ambient_c=25.0, power_w=10.0)
    assert thermal.temperature_c == 45.0
    thermal.advance(100.0, 10.0)
    assert thermal.temperature_c == pytest.approx(45.0)


def test_one_time_constant_covers_63_percent() -> None:
    thermal = Thermal(COOLING, 25.0, 0.0)
    thermal.advance(10.0, 10.0)
    assert thermal.temperature_c == pytest.approx(25.0 + 20.0 * (1.0 - math.exp(-1.0)))


@given(parts=st.lists(st.floats(0.001, 30.0), min_size=1, max_size=6))
def test_steps_add_up(parts: list[float]) -> None:
    whole, stepped = Thermal(COOLING, 25.0, 3.0), Thermal(COOLING, 25.0, 3.0)
    whole.advance(sum(parts), 22.0)
    for part in parts:
        stepped.advance(part, 22.0)
    assert stepped.temperature_c == pytest.approx(whole.temperature_c)


def test_throttles_until_it_has_cooled() -> None:
    thermal = Thermal(COOLING, 25.0, 0.0)
    seen = []
    for power_w in (26.0, 28.0, 26.0, 20.0):  # settles at 77, 81, 77, 65 C
        thermal.advance(200.0, power_w)
        seen.append(thermal.throttled)
    assert seen == [False, True, True, False]
