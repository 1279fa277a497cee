from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from power import fit_round_trips
from power.clock import SLEW, ClockFit, LowerEnvelope, SteeredClock

SECOND = 1_000_000_000


def trips(
    count: int, offset_ns: int, drift: float, there_ns: np.ndarray, back_ns: np.ndarray, pause_ns: int
) -> tuple[np.ndarray, ...]:
    """Round trips with a device whose clock reads (controller - offset) / (1 + drift)."""
    t0 = np.arange(count, dtype=np.int64) * pause_ns + 5 * SECOND
    t1 = np.rint((t0 + there_ns - offset_ns) / (1 + drift)).astype(np.int64)
    t2 = t1 + 30_000
    t3 = np.rint(t2 * (1 + drift)).astype(np.int64) + offset_ns + back_ns.astype(np.int64)
    return t0, t1, t2, t3


@given(st.integers(-(10**15), 10**15), st.floats(-1e-4, 1e-4), st.integers(0, 2**32), st.integers(1, 20), st.booleans())
def test_round_trips_give_the_clock_within_half_the_least_delay(
    offset_ns: int, drift: float, seed: int, groups: int, lopsided: bool
) -> None:
    random = np.random.default_rng(seed)
    there = random.uniform(1e5, 3e6, 8 * groups)
    back = np.full(8 * groups, 1e5) if lopsided else random.uniform(1e5, 3e6, 8 * groups)
    t0, t1, t2, t3 = trips(8 * groups, offset_ns, drift, there, back, 50_000_000)
    fit = fit_round_trips(t0, t1, t2, t3)
    at = int(fit.device_ns)
    true_ns = at * (1 + drift) + offset_ns
    best_of_eight = ((t3 - t0) - (t2 - t1)).reshape(groups, 8).min(axis=1)
    assert abs(int(fit.to_controller(at)) - true_ns) <= best_of_eight.max() / 2 + 1e-4 * 3e6 + 100


def test_a_long_series_of_round_trips_tells_the_drift() -> None:
    random = np.random.default_rng(1)
    noise = random.uniform(1e5, 4e5, (2, 800))
    fit = fit_round_trips(*trips(800, 12345, 80e-6, noise[0], noise[1], 20_000_000))
    assert fit.drift == pytest.approx(80e-6, abs=5e-6)
    assert abs(fit.drift - 80e-6) < 3 * fit.drift_standard_uncertainty
    assert fit.residual_s < 1e-4


def test_one_round_trip_is_known_to_its_delay() -> None:
    fit = fit_round_trips(1_000_000, 77, 77, 3_000_000)
    assert (fit.device_ns, fit.controller_ns) == (77, 2_000_000)
    assert fit.standard_uncertainty_s == pytest.approx(2e-3 / np.sqrt(12))


def test_a_slow_spell_does_not_count() -> None:
    quick = trips(8, 0, 0.0, np.full(8, 1e5), np.full(8, 1e5), SECOND)
    slow = trips(8, 0, 0.0, np.full(8, 1e5), np.full(8, 9e7), SECOND)
    mixed = [np.concatenate(pair) for pair in zip(quick, slow, strict=True)]
    assert int(fit_round_trips(*mixed).to_controller(5 * SECOND)) == pytest.approx(5 * SECOND, abs=1000)


def test_uncertainty_grows_away_from_the_fit() -> None:
    fit = ClockFit(SECOND, 0, 0.0, 0.0, 1e-4, 1e-5)
    assert fit.uncertainty_s(SECOND) == pytest.approx(1e-4)
    assert fit.uncertainty_s(11 * SECOND) == pytest.approx(np.hypot(1e-4, 1e-4))


def envelope(duration_s: float, drift: float, stalled: bool = False) -> ClockFit:
    """Samples each ms, arriving 2 ms late and up to 1 ms later."""
    random = np.random.default_rng(3)
    line = LowerEnvelope(latency_s=2e-3, latency_standard_uncertainty_s=1e-4)
    for end_ns in range(0, round(duration_s * SECOND), 1_000_000):
        late_ns = 2_000_000 + random.uniform(0, 1e6)
        if stalled and 3 * SECOND < end_ns < 6 * SECOND:
            late_ns += 6.5e9 - end_ns
        line.add(end_ns, round(end_ns * (1 + drift) + late_ns))
    return line.fit()


@pytest.mark.parametrize("stalled", [False, True])
def test_the_lower_envelope_finds_offset_and_drift(stalled: bool) -> None:
    fit = envelope(15.0, 40e-6, stalled)
    assert fit.drift == pytest.approx(40e-6, abs=6e-6)
    middle_ns = 8 * SECOND
    assert int(fit.to_controller(middle_ns)) == pytest.approx(middle_ns * (1 + 40e-6), abs=100_000)
    assert 1e-4 <= fit.standard_uncertainty_s < 3e-4


def test_a_short_envelope_does_not_guess_a_drift() -> None:
    fit = envelope(0.3, 0.0)
    assert abs(fit.drift) < 50e-6
    assert int(fit.to_controller(0)) == pytest.approx(0, abs=300_000)


@given(st.lists(st.tuples(st.integers(1, 10**9), st.integers(-(10**8), 10**8), st.floats(-1e-4, 1e-4)), max_size=20))
def test_a_steered_clock_never_jumps(steps: list[tuple[int, int, float]]) -> None:
    clock = SteeredClock()
    device = np.array([0], np.int64)
    before = int(clock.map(device, ClockFit(0, 0, 0.0, 0.0, 0.0, 0.0))[-1])
    for step, offset, drift in steps:
        device = device[-1] + np.array([step, 2 * step], np.int64)
        mapped = clock.map(device, ClockFit(0, offset, drift, 0.0, 0.0, 0.0))
        for now, length in zip(mapped.tolist(), (step, step), strict=True):
            assert abs(now - before - length) <= length * (SLEW + abs(drift)) + 1
            before = now


def test_a_steered_clock_arrives_at_the_fit() -> None:
    clock = SteeredClock()
    clock.map(np.array([0], np.int64), ClockFit(0, 0, 0.0, 0.0, 0.0, 0.0))
    better = ClockFit(0, 400_000, 0.0, 0.0, 0.0, 0.0)
    assert clock.map(np.array([SECOND], np.int64), better).tolist() == [SECOND + 400_000]
