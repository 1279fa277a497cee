from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.waveform import Segment, Waveform
from power import Channel, Kind, MonitorSpec, Samples, TraceIncomplete, WindowTooShort, cut

PERFECT = MonitorSpec(
    name="perfect meter",
    rate_hz=5000.0,
    channels=(Channel("supply", 1e-9, 0.0, 0.0),),
    kind=Kind.AVERAGING,
    aperture_s=2e-4,
    shortest_window_s=5e-3,
)
GAPPED = replace(PERFECT, aperture_s=5e-5)
MS = 1_000_000


def sampled(waveform: Waveform, spec: MonitorSpec, phase_ns: int = 0) -> Samples:
    """What a meter without any error but its sampling reads."""
    period_ns, aperture_ns = round(spec.period_s * 1e9), round(spec.aperture_s * 1e9)
    ends = np.arange(period_ns + phase_ns, waveform.end_ns, period_ns, dtype=np.int64)
    power = [waveform.energy_j(int(end) - aperture_ns, int(end)) / (aperture_ns * 1e-9) for end in ends]
    return Samples(np.arange(len(ends), dtype=np.int64), ends, np.zeros(len(ends), np.uint8), np.array(power))


def without(samples: Samples, first: int, count: int) -> Samples:
    keep = np.ones(len(samples), bool)
    keep[first : first + count] = False
    return samples.take(keep)


CONSTANT = sampled(Waveform([Segment(0.5, 10.0, 10.0)]), PERFECT)
BURST = Waveform([Segment(0.1, 4.0, 4.0), Segment(0.02, 12.0, 20.0), Segment(0.1, 4.0, 4.0)])


@given(st.integers(20 * MS, 200 * MS), st.integers(5 * MS, 250 * MS))
def test_constant_power_is_power_times_time(start_ns: int, length_ns: int) -> None:
    energy = cut(CONSTANT, start_ns, start_ns + length_ns, PERFECT)
    assert energy.energy_j == pytest.approx(10.0 * length_ns * 1e-9, rel=1e-9)
    assert energy.standard_uncertainty_j < 1e-9
    assert (energy.present, energy.mean_power_w, energy.peak_power_w) == pytest.approx((1.0, 10.0, 10.0))
    assert energy.baseline_power_w is None


SEGMENTS = st.lists(
    st.builds(Segment, st.floats(1e-3, 2e-2), st.floats(0, 30), st.floats(0, 30)), min_size=1, max_size=8
)


@given(SEGMENTS, st.integers(0, 199_999), st.floats(0, 1), st.booleans())
def test_any_load_is_measured_within_its_uncertainty(
    load: list[Segment], phase_ns: int, place: float, full: bool
) -> None:
    spec = PERFECT if full else GAPPED
    waveform = Waveform([Segment(0.02, 5.0, 5.0), *load, Segment(0.02, 5.0, 5.0)])
    samples = sampled(waveform, spec, phase_ns)
    start_ns = 5 * MS + round(place * (waveform.end_ns - 25 * MS))
    end_ns = start_ns + 10 * MS
    energy = cut(samples, start_ns, end_ns, spec)
    error_j = energy.energy_j - waveform.energy_j(start_ns, end_ns)
    bound = 4.0 if full else 8.0
    # A ramp of 30 W in 1 ms bends by 6 W within a period: what no neighbour tells.
    assert abs(error_j) <= bound * energy.standard_uncertainty_j + 2e-4


@given(st.integers(5 * MS, 40 * MS), st.integers(0, 199_999), st.integers(45 * MS, 55 * MS))
def test_adjacent_windows_add_up(first_ns: int, phase_ns: int, start_ns: int) -> None:
    samples = sampled(BURST, PERFECT, phase_ns)
    middle_ns, end_ns = start_ns + first_ns, start_ns + first_ns + 30 * MS
    parts = cut(samples, start_ns, middle_ns, PERFECT).energy_j + cut(samples, middle_ns, end_ns, PERFECT).energy_j
    assert parts == pytest.approx(cut(samples, start_ns, end_ns, PERFECT).energy_j, rel=1e-9)


@given(st.integers(-2 * MS, 2 * MS))
def test_a_padded_cut_does_not_feel_the_clock(shift_ns: int) -> None:
    start_ns, end_ns = 100 * MS + shift_ns, 120 * MS + shift_ns
    energy = cut(sampled(BURST, PERFECT), start_ns, end_ns, PERFECT, clock_uncertainty_s=1e-3, pad_s=5e-3, guard_s=4e-2)
    assert energy.energy_j == pytest.approx(0.32, rel=1e-6)
    assert energy.baseline_power_w == pytest.approx(4.0)
    assert energy.idle_subtracted_j == pytest.approx(0.24, rel=1e-6)
    assert energy.budget_j["clock"] < 1e-6


def test_a_plain_cut_feels_the_clock_as_it_says() -> None:
    spec, samples = PERFECT, sampled(BURST, PERFECT)
    energy = cut(samples, 110 * MS, 125 * MS, spec, clock_uncertainty_s=5e-4)
    late, early = (cut(samples, t + 110 * MS, t + 125 * MS, spec).energy_j for t in (MS // 2, -MS // 2))
    assert energy.budget_j["clock"] == pytest.approx(abs(late - early) / 2, rel=0.05)


def test_gain_and_offset_scale_as_stated() -> None:
    spec = replace(PERFECT, channels=(Channel("supply", 1e-9, 0.01, 0.1),))
    energy = cut(CONSTANT, 100 * MS, 200 * MS, spec)
    assert energy.budget_j["gain"] == pytest.approx(0.01)
    assert energy.budget_j["offset"] == pytest.approx(0.01)
    assert energy.standard_uncertainty_j == pytest.approx(0.01 * math.sqrt(2))


def test_the_offset_is_not_in_what_idle_is_taken_off() -> None:
    spec = replace(PERFECT, channels=(Channel("supply", 1e-9, 0.0, 1.0),))
    energy = cut(sampled(BURST, PERFECT), 100 * MS, 120 * MS, spec, pad_s=5e-3, guard_s=4e-2)
    assert energy.standard_uncertainty_j > 0.019
    assert energy.idle_subtracted_standard_uncertainty_j is not None
    assert energy.idle_subtracted_standard_uncertainty_j < 1e-3


def test_idle_time_within_the_window_can_be_taken_off() -> None:
    # Two bursts of 20 ms at 12 to 20 W with 30 ms of idle at 4 W between them.
    burst, idle = Segment(0.02, 12.0, 20.0), Segment(0.1, 4.0, 4.0)
    trace = sampled(Waveform([idle, burst, Segment(0.03, 4.0, 4.0), burst, idle]), PERFECT)
    energy = cut(trace, 100 * MS, 170 * MS, PERFECT, pad_s=5e-3, guard_s=4e-2, busy_s=0.04)
    assert energy.energy_j == pytest.approx(0.76, rel=1e-6)
    assert energy.busy is not None
    assert energy.busy.energy_j == pytest.approx(0.64, rel=1e-6)
    assert set(energy.busy.budget_j) == {*energy.budget_j, "baseline"}


def test_steady_power_shares_one_rounding_error_and_a_ramp_has_many() -> None:
    spec = replace(PERFECT, channels=(Channel("supply", 0.5, 0.0, 0.0),))
    steady = cut(CONSTANT, 100 * MS, 300 * MS, spec)
    ramp = cut(sampled(Waveform([Segment(0.5, 0.0, 50.0)]), PERFECT), 100 * MS, 300 * MS, spec)
    assert steady.budget_j["quantisation"] == pytest.approx(0.5 / math.sqrt(12) * 0.2, rel=0.01)
    assert ramp.budget_j["quantisation"] < steady.budget_j["quantisation"] / 5


def test_several_rails_are_summed_as_declared_or_cut_one_by_one() -> None:
    rails = Channel("cpu", 0.01, 0.01, 0.03), Channel("gpu", 0.02, 0.02, 0.04), Channel("fan", 0.5, 0.5, 0.5)
    spec = replace(PERFECT, channels=rails, total=(0, 1))
    each = [replace(CONSTANT, channel=np.full(len(CONSTANT), i, np.uint8)) for i in range(len(rails))]
    samples = Samples.concatenate([replace(part, power_w=part.power_w * (i + 1)) for i, part in enumerate(each)])
    whole = cut(samples, 100 * MS, 200 * MS, spec)
    assert whole.energy_j == pytest.approx(3.0)
    assert whole.budget_j["gain"] == pytest.approx(0.06)
    assert whole.budget_j["offset"] == pytest.approx(0.005)
    fan = cut(samples, 100 * MS, 200 * MS, spec, channel=2)
    assert (fan.energy_j, fan.budget_j["offset"]) == pytest.approx((3.0, 0.05))


def test_a_sample_that_one_rail_lacks_is_missing_from_the_total() -> None:
    spec = replace(PERFECT, channels=PERFECT.channels * 2, total=(0, 1))
    second = replace(without(CONSTANT, 1000, 10), channel=np.ones(len(CONSTANT) - 10, np.uint8))
    energy = cut(Samples.concatenate([CONSTANT, second]), 150 * MS, 250 * MS, spec)
    assert energy.energy_j == pytest.approx(2.0)
    assert energy.present == pytest.approx(0.98, abs=0.003)


def test_a_window_too_short_names_the_shortest_and_the_repetitions() -> None:
    with pytest.raises(WindowTooShort, match="perfect meter, which needs 5 ms; repeat .* 3 times") as caught:
        cut(CONSTANT, 100 * MS, 102 * MS, PERFECT)
    assert (caught.value.shortest_s, caught.value.repetitions) == (5e-3, 3)


@pytest.mark.parametrize(("start_ms", "end_ms"), [(-5, 20), (480, 520), (900, 950)])
def test_a_window_that_leaves_the_trace_is_refused(start_ms: int, end_ms: int) -> None:
    with pytest.raises(TraceIncomplete, match="perfect meter"):
        cut(CONSTANT, start_ms * MS, end_ms * MS, PERFECT)


def test_an_empty_trace_is_refused() -> None:
    with pytest.raises(TraceIncomplete):
        cut(Samples.empty(), 0, 10 * MS, PERFECT)


@given(st.integers(510, 570), st.integers(1, 4))
def test_a_few_lost_samples_widen_the_uncertainty(first: int, count: int) -> None:
    whole = sampled(BURST, PERFECT)
    # The burst starts at sample 500: 20 ms on, 100 samples.
    energy = cut(without(whole, first, count), 90 * MS, 130 * MS, PERFECT)
    complete = cut(whole, 90 * MS, 130 * MS, PERFECT)
    assert energy.present == pytest.approx(1 - count / 200, abs=1e-3)
    assert energy.standard_uncertainty_j > complete.standard_uncertainty_j
    assert energy.budget_j["missing"] > 0
    assert abs(energy.energy_j - complete.energy_j) < 2 * energy.standard_uncertainty_j


def test_a_lost_sample_is_not_closed_up() -> None:
    energy = cut(without(CONSTANT, 700, 5), 100 * MS, 200 * MS, PERFECT)
    assert energy.energy_j == pytest.approx(1.0, rel=1e-9)
    assert energy.present == pytest.approx(0.99, abs=1e-3)


@pytest.mark.parametrize("lost", [[(700, 30)], [(600 + 8 * burst, 2) for burst in range(40)]])
def test_too_many_lost_samples_are_refused(lost: list[tuple[int, int]]) -> None:
    trace = CONSTANT
    for first, count in reversed(lost):
        trace = without(trace, first, count)
    with pytest.raises(TraceIncomplete, match="lost .* measure again"):
        cut(trace, 100 * MS, 200 * MS, PERFECT)


def test_pads_need_guards() -> None:
    with pytest.raises(ValueError, match="guard_s"):
        cut(CONSTANT, 100 * MS, 200 * MS, PERFECT, pad_s=0.01)


@pytest.mark.parametrize(
    ("first", "count"), [(-16, 12), (-8, 12), (-4, 12), (-3, 4), (90, 12), (96, 12), (99, 4), (101, 12), (50, 3)]
)
def test_a_gap_counts_as_far_as_it_reaches_into_the_window(first: int, count: int) -> None:
    """Also one that straddles an edge, where no sample is missing between two of the window's own."""
    trace = without(CONSTANT, 1000 + first, count)
    start_ns = int(CONSTANT.time_ns[1000]) - 200_000  # where the aperture of sample 1000 begins
    inside = len(set(range(first, first + count)) & set(range(100)))
    arguments = (start_ns, start_ns + 20 * MS, PERFECT)
    if inside > 5:
        with pytest.raises(TraceIncomplete, match="lost .* measure again"):
            cut(trace, *arguments, pad_s=1e-9, guard_s=0.02)
        return
    energy = cut(trace, *arguments, pad_s=1e-9, guard_s=0.02)
    assert energy.present == pytest.approx(1 - inside / 100, abs=0.002)
    assert energy.energy_j == pytest.approx(0.2)


@given(
    st.integers(2, 4), st.sets(st.tuples(st.integers(0, 3), st.integers(0, 2499)), max_size=60), st.integers(400, 1900)
)
def test_a_total_has_no_sample_that_one_of_its_rails_lacks(rails: int, lost: set[tuple[int, int]], start: int) -> None:
    spec = replace(PERFECT, channels=PERFECT.channels * rails, total=tuple(range(rails)))
    parts = []
    for rail in range(rails):
        keep = ~np.isin(CONSTANT.index, [index for of, index in lost if of == rail])
        parts.append(replace(CONSTANT.take(keep), channel=np.full(keep.sum(), rail, np.uint8)))
    samples = Samples.concatenate(parts)
    total = samples.sum_of(spec.total)
    gone = {index for rail, index in lost if rail < rails}
    assert set(total.index.tolist()) == set(range(len(CONSTANT))) - gone
    assert total.power_w == pytest.approx(10.0 * rails)
    missed = len(gone & set(range(start, start + 500)))
    start_ns = int(CONSTANT.time_ns[start]) - 200_000
    try:
        energy = cut(samples, start_ns, start_ns + 100 * MS, spec)
    except TraceIncomplete:
        longest = max((sum(i + k in gone for k in range(26)) for i in gone), default=0)
        # An edge within a gap is refused whatever its length; within the window, a twentieth of it in a row.
        assert longest >= 25 or gone & {*range(start - 2, start + 2), *range(start + 498, start + 503)}
        return
    assert energy.energy_j == pytest.approx(rails * 1.0)
    assert energy.present == pytest.approx(1 - missed / 500, abs=0.003)
