"""Many windows at once are the same joules as one by one."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from power import Channel, Kind, MonitorSpec, PowerError, Samples, cut, cut_many

PERIOD_NS = 200_000
SPEC = MonitorSpec(
    name="a meter",
    rate_hz=5000.0,
    channels=(Channel("main", 1e-3, 1e-3, 1e-3), Channel("usb", 1e-3, 1e-3, 1e-3)),
    kind=Kind.AVERAGING,
    aperture_s=200e-6,
    shortest_window_s=25 / 5000.0,
)


def trace(count: int, seed: int, lost: list[int], channel: int = 0) -> Samples:
    random = np.random.default_rng(seed)
    index = np.delete(np.arange(count, dtype=np.int64), [at for at in lost if at < count])
    jitter_ns = random.integers(-500, 500, len(index))
    power_w = random.random(len(index)) * 10
    return Samples(index, (index + 1) * PERIOD_NS + jitter_ns, np.full(len(index), channel, np.uint8), power_w)


def one_by_one(samples: Samples, windows: list[tuple[int, int]], channel: int | None = None) -> list[float]:
    found = []
    for start_ns, end_ns in windows:
        try:
            found.append(cut(samples, start_ns, end_ns, SPEC, channel=channel).energy_j)
        except PowerError:
            found.append(float("nan"))
    return found


WINDOWS = st.lists(st.tuples(st.integers(-5_000_000, 90_000_000), st.integers(0, 60_000_000)), max_size=8)


@given(WINDOWS, st.lists(st.integers(0, 399), max_size=6), st.integers(0, 400), st.integers(0, 2**32))
def test_many_windows_are_the_same_joules(
    windows: list[tuple[int, int]], lost: list[int], count: int, seed: int
) -> None:
    samples = trace(count, seed, lost)
    pairs = [(start_ns, start_ns + length_ns) for start_ns, length_ns in windows]
    found = cut_many(samples, [start for start, _ in pairs], [end for _, end in pairs], SPEC)
    assert found == pytest.approx(one_by_one(samples, pairs), rel=1e-9, abs=1e-12, nan_ok=True)


def test_what_cut_refuses_is_not_a_number() -> None:
    samples = trace(400, 1, list(range(200, 260)))
    windows = [(10_000_000, 30_000_000), (10_000_000, 12_000_000), (30_000_000, 60_000_000), (70_000_000, 95_000_000)]
    found = cut_many(samples, *zip(*windows, strict=True), SPEC)
    assert np.isnan(found).tolist() == [False, True, True, True]


def test_channels_are_summed_or_taken_alone() -> None:
    main, usb = trace(400, 1, []), trace(400, 2, [], channel=1)
    usb = replace(usb, time_ns=main.time_ns)
    both = Samples.concatenate([main, usb]).take(np.argsort(np.concatenate([main.index, usb.index]), kind="stable"))
    summing = replace(SPEC, total=(0, 1))
    starts, ends = [10_000_000, 20_000_000], [30_000_000, 70_000_000]
    alone = [cut_many(both, starts, ends, SPEC, channel=channel) for channel in (0, 1)]
    assert cut_many(both, starts, ends, summing) == pytest.approx(alone[0] + alone[1])
    assert alone[1] == pytest.approx(one_by_one(both, list(zip(starts, ends, strict=True)), channel=1))
