"""Energy by how a sample comes about: looked at once, averaged, or counted; against the closed form."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.waveform import Segment, Waveform
from power import Channel, Kind, MonitorSpec, Samples, TraceIncomplete, cut
from power.samples import IntArray

MS = 1_000_000
PERIOD_NS = 1 * MS
METERS = {
    kind: MonitorSpec(f"{kind.value} meter", 1000.0, (Channel("supply", 1e-9, 0.0, 0.0),), kind, aperture_s, 5e-3)
    for kind, aperture_s in ((Kind.INSTANTANEOUS, 0.0), (Kind.AVERAGING, 1e-3), (Kind.COUNTING, 1e-3))
}
LENGTHS_S = st.floats(4e-3, 2e-2)
POWERS_W = st.floats(0.0, 30.0)
LOADS = st.lists(st.builds(Segment, LENGTHS_S, POWERS_W, POWERS_W), min_size=1, max_size=6)
BOOKEND = Segment(0.05, 5.0, 5.0)


def moments(waveform: Waveform, jitter: float, seed: int) -> IntArray:
    """Readings about every millisecond; each is late by up to `jitter` of the period, as a busy board's are."""
    late = np.random.default_rng(seed).uniform(0, jitter, (waveform.end_ns - 2 * PERIOD_NS) // PERIOD_NS)
    return np.rint((np.arange(len(late)) + 1 + late) * PERIOD_NS).astype(np.int64)


def sampled(waveform: Waveform, kind: Kind, times_ns: IntArray, keep: np.ndarray | None = None) -> Samples:
    """What a meter without any error but its sampling reads; of those it could have taken, it took `keep`."""
    index = np.arange(len(times_ns), dtype=np.int64)[keep if keep is not None else slice(None)]
    ends = times_ns[index]
    if kind is Kind.INSTANTANEOUS:
        power = [waveform.energy_j(int(t) - 500, int(t) + 500) / 1e-6 for t in ends]
    elif kind is Kind.AVERAGING:
        power = [waveform.energy_j(int(t) - PERIOD_NS, int(t)) / 1e-3 for t in ends]
    else:
        spans = zip(ends[:-1].tolist(), ends[1:].tolist(), strict=True)
        power = [waveform.energy_j(a, b) / ((b - a) * 1e-9) for a, b in spans]
        index, ends = index[1:], ends[1:]
    return Samples(index, ends, np.zeros(len(ends), np.uint8), np.array(power))


@pytest.mark.parametrize("kind", Kind)
@given(load=LOADS, place=st.floats(0, 1), jitter=st.floats(0, 0.5), seed=st.integers(0, 99))
def test_any_load_is_measured_within_its_uncertainty(
    kind: Kind, load: list[Segment], place: float, jitter: float, seed: int
) -> None:
    waveform = Waveform([BOOKEND, *load, BOOKEND])
    start_ns = 5 * MS + round(place * (waveform.end_ns - 45 * MS))
    samples = sampled(waveform, kind, moments(waveform, 0.0 if kind is Kind.AVERAGING else jitter, seed))
    energy = cut(samples, start_ns, start_ns + 30 * MS, METERS[kind])
    error_j = energy.energy_j - waveform.energy_j(start_ns, start_ns + 30 * MS)
    # A ramp of 30 W in 4 ms bends by up to 7.5 W within a period, at either edge: what no neighbour tells.
    assert abs(error_j) <= 4.0 * energy.standard_uncertainty_j + 2e-4


@pytest.mark.parametrize("kind", Kind)
@given(power_w=POWERS_W, seed=st.integers(0, 99), length_ns=st.integers(5 * MS, 60 * MS))
def test_steady_power_is_power_times_time_for_every_kind(kind: Kind, power_w: float, seed: int, length_ns: int) -> None:
    waveform = Waveform([Segment(0.1, power_w, power_w)])
    energy = cut(sampled(waveform, kind, moments(waveform, 0.5, seed)), 20 * MS, 20 * MS + length_ns, METERS[kind])
    assert energy.energy_j == pytest.approx(power_w * length_ns * 1e-9, rel=1e-6, abs=1e-9)
    assert energy.standard_uncertainty_j < 1e-6


@given(load=LOADS, seed=st.integers(0, 99), lost=st.floats(0.0, 0.7))
def test_a_counter_loses_no_energy_with_its_samples(load: list[Segment], seed: int, lost: float) -> None:
    waveform = Waveform([BOOKEND, *load, BOOKEND])
    times_ns = moments(waveform, 0.5, seed)
    keep = np.random.default_rng(seed).uniform(size=len(times_ns)) >= lost
    keep[[0, -1]] = True
    samples = sampled(waveform, Kind.COUNTING, times_ns, keep)
    first, last = 0, len(samples) - 1
    start_ns, end_ns = int(samples.time_ns[first]), int(samples.time_ns[last])
    energy = cut(samples, start_ns, end_ns, METERS[Kind.COUNTING])
    assert energy.energy_j == pytest.approx(waveform.energy_j(start_ns, end_ns), rel=1e-9)
    assert energy.budget_j["missing"] == energy.budget_j["sampling"] == 0.0
    assert energy.present == pytest.approx(keep[1:].mean(), abs=0.06)


def test_a_step_in_a_long_count_widens_the_cut_through_it() -> None:
    waveform = Waveform([Segment(0.05, 4.0, 4.0), Segment(0.05, 24.0, 24.0)])
    times_ns = moments(waveform, 0.0, 0)
    keep = np.ones(len(times_ns), bool)
    keep[40:59] = False
    energy = cut(sampled(waveform, Kind.COUNTING, times_ns, keep), 50 * MS, 80 * MS, METERS[Kind.COUNTING])
    # The count from 40 to 60 ms has 14 W; cut at 50 ms, its second half was 24 W.
    assert energy.energy_j == pytest.approx(0.72 - 0.1)
    assert energy.budget_j["edges"] == pytest.approx(0.02 * 20.0 / 4 / 3**0.5)


def test_a_count_without_its_beginning_is_no_sample() -> None:
    waveform = Waveform([Segment(0.1, 5.0, 5.0)])
    samples = sampled(waveform, Kind.COUNTING, moments(waveform, 0.0, 0))
    spec = METERS[Kind.COUNTING]
    with pytest.raises(TraceIncomplete, match="record longer"):
        cut(samples, int(samples.time_ns[0]) - 500_000, 50 * MS, spec)


def test_two_counters_read_together_are_summed() -> None:
    waveform = Waveform([Segment(0.1, 5.0, 5.0)])
    one = sampled(waveform, Kind.COUNTING, moments(waveform, 0.0, 0))
    spec = replace(METERS[Kind.COUNTING], channels=METERS[Kind.COUNTING].channels * 2, total=(0, 1))
    both = Samples.concatenate([one, replace(one, channel=np.ones(len(one), np.uint8))])
    assert cut(both, 20 * MS, 60 * MS, spec).energy_j == pytest.approx(0.4)
