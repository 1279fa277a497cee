"""The sync pulse: found to a fraction of a sample, through noise, slow rises and lost samples, or not at all."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from power import Channel, Kind, MonitorSpec, PulseLost, Samples, TraceIncomplete, find_pulse, maximal_code

CODE = maximal_code()
STEP_S = 1e-5
LENGTH_S = 0.6
START_S = 0.15


def spec(rate_hz: float, aperture_s: float) -> MonitorSpec:
    return MonitorSpec("fed by hand", rate_hz, (Channel("supply", 1e-3, 0.0, 0.0),), Kind.AVERAGING, aperture_s, 0.01)


def chip_s(rate_hz: float) -> float:
    return (math.ceil(4e-3 * rate_hz) + 0.618) / rate_hz


def trace(meter: MonitorSpec, start_s: float, rise_s: float, noise_w: float, seed: int = 0) -> Samples:
    """A meter's view of a burst of 1.2 W on top of 5 W, by brute force."""
    time_s = np.arange(0.0, LENGTH_S, STEP_S)
    chip = ((time_s - start_s) // chip_s(meter.rate_hz)).astype(int)
    wanted = np.where((chip >= 0) & (chip < len(CODE)), np.array(CODE)[chip.clip(0, len(CODE) - 1)], 0).astype(float)
    load = wanted
    if rise_s:
        load, keep = np.empty_like(wanted), math.exp(-STEP_S / rise_s)
        level = 0.0
        for i, goal in enumerate(wanted.tolist()):
            level = goal + (level - goal) * keep
            load[i] = level
    energy = np.concatenate(([0.0], np.cumsum(load) * STEP_S))
    grid_s = np.arange(len(energy)) * STEP_S
    end_s = np.arange(1, round(LENGTH_S * meter.rate_hz)) / meter.rate_hz
    mean = (np.interp(end_s, grid_s, energy) - np.interp(end_s - meter.aperture_s, grid_s, energy)) / meter.aperture_s
    noise = np.random.default_rng(seed).normal(0.0, noise_w, len(end_s))
    index = np.arange(len(end_s), dtype=np.int64)
    return Samples(index, np.rint(end_s * 1e9).astype(np.int64), np.zeros(len(index), np.uint8), 5 + 1.2 * mean + noise)


def test_the_code_resembles_no_shift_of_itself() -> None:
    signs = 2 * np.array(CODE) - 1
    assert len(CODE) == 63
    assert CODE[0] == CODE[-1] == 1
    assert {int(signs @ np.roll(signs, shift)) for shift in range(1, 63)} == {-1}


@settings(max_examples=8, deadline=None)
@given(
    off_s=st.floats(0.0, 1e-3),
    near_s=st.floats(-0.01, 0.01),
    meter=st.sampled_from([spec(5000.0, 200e-6), spec(3000.0, 140e-6), spec(1000.0, 1e-3)]),
    seed=st.integers(0, 99),
)
def test_it_is_found_to_a_fraction_of_a_sample_and_knows_how_far_it_may_be_off(
    off_s: float, near_s: float, meter: MonitorSpec, seed: int
) -> None:
    samples = trace(meter, START_S + off_s, 0.0, 0.05, seed)
    pulse = find_pulse(samples, meter, CODE, chip_s(meter.rate_hz), round((START_S + near_s) * 1e9), 0.025)
    error_s = pulse.start_ns * 1e-9 - START_S - off_s
    assert abs(error_s) < 0.1 * meter.period_s
    assert abs(error_s) < 3 * pulse.standard_uncertainty_s < 3 * meter.period_s


@pytest.mark.parametrize("rise_s", [0.2e-3, 0.5e-3, 1e-3])
def test_a_slow_rise_of_the_load_is_told_from_a_late_one(rise_s: float) -> None:
    meter = spec(5000.0, 200e-6)
    pulse = find_pulse(
        trace(meter, START_S, rise_s, 0.02), meter, CODE, chip_s(meter.rate_hz), round(START_S * 1e9), 0.025
    )
    assert pulse.rise_s == pytest.approx(rise_s, rel=0.25)
    assert abs(pulse.start_ns * 1e-9 - START_S) < min(0.5 * meter.period_s, 2 * pulse.standard_uncertainty_s)


def test_lost_samples_do_not_hide_it() -> None:
    meter = spec(5000.0, 200e-6)
    samples = trace(meter, START_S, 0.0, 0.05)
    holed = samples.take((samples.index < 1000) | (samples.index > 1080))
    pulse = find_pulse(holed, meter, CODE, chip_s(meter.rate_hz), round(START_S * 1e9), 0.025)
    assert pulse.start_ns * 1e-9 == pytest.approx(START_S, abs=50e-6)


def test_noise_alone_is_no_pulse() -> None:
    meter = spec(5000.0, 200e-6)
    with pytest.raises(PulseLost, match="supply line"):
        find_pulse(trace(meter, 10.0, 0.0, 0.5), meter, CODE, chip_s(meter.rate_hz), round(START_S * 1e9), 0.025)


def test_a_trace_that_ends_within_it_is_not_judged() -> None:
    meter = spec(5000.0, 200e-6)
    samples = trace(meter, START_S, 0.0, 0.05)
    with pytest.raises(TraceIncomplete, match="does not cover"):
        find_pulse(samples.between(0, 300_000_000), meter, CODE, chip_s(meter.rate_hz), round(START_S * 1e9), 0.025)
