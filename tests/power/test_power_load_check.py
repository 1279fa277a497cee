"""A meter held against a known resistor: gain and offset come out within their stated uncertainty, or not at all."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from power import BenchError, Channel, Samples, TraceIncomplete
from power.load_check import KnownLoad, Steady, find_correction, within_limit

CHANNEL = Channel("supply", 1e-3, 0.01, 5e-3)
LOAD = KnownLoad(10.0, 0.001, 5.0, 0.0005)


def readings(power_w: float, count: int = 4000) -> Samples:
    steps = np.rint(np.random.default_rng(7).normal(power_w, 2e-3, count) / CHANNEL.power_lsb_w)
    shown_w = steps * CHANNEL.power_lsb_w
    return Samples(
        np.arange(count),
        np.arange(count) * 1_000_000,
        np.zeros(count, np.uint8),
        shown_w,
    )


def steady(power_w: float) -> Steady:
    return Steady.of(readings(power_w), 0, CHANNEL)


@given(gain=st.floats(-0.1, 0.1), offset_w=st.floats(-0.05, 0.05))
def test_gain_and_offset_come_out_within_their_uncertainty(gain: float, offset_w: float) -> None:
    found = find_correction(steady(offset_w), steady((1 + gain) * LOAD.power_w + offset_w), LOAD, CHANNEL)
    assert found.gain == pytest.approx(gain, abs=1e-3)
    assert found.gain_standard_uncertainty == pytest.approx((1 + gain) * 2**0.5 * 0.001, rel=0.1)
    assert found.offset_w == pytest.approx(offset_w, abs=5 * found.offset_standard_uncertainty_w)


def test_another_resistor_than_stated_is_no_error_of_the_meter() -> None:
    with pytest.raises(BenchError, match="is this the resistor"):
        find_correction(steady(0.0), steady(1.25 * LOAD.power_w), LOAD, CHANNEL)


def test_a_load_of_a_few_steps_tells_nothing() -> None:
    with pytest.raises(BenchError, match="take a smaller resistance"):
        find_correction(steady(0.0), steady(0.01), KnownLoad(2500.0, 0.001, 5.0, 0.0005), CHANNEL)


def test_a_handful_of_samples_tells_nothing() -> None:
    with pytest.raises(TraceIncomplete, match="measure longer"):
        Steady.of(readings(1.0, count=99), 0, CHANNEL)


def test_a_limit_is_kept_broken_or_not_decided() -> None:
    assert within_limit(-0.002, 0.001, 0.01) is True
    assert within_limit(-0.02, 0.001, 0.01) is False
    assert within_limit(0.0095, 0.001, 0.01) is None
