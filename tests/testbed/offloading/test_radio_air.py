"""The law of the air, and of the machines behind it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from testbed.virtual.air import (
    FADE,
    RTO_S,
    Air,
    download_s,
    one_way_s,
    round_trip,
    upload_s,
)
from testbed.virtual.machines import HTTP_S, MACHINES

CALM = Air(rssi_dbm=-58, rate_up_bps=40e6, rate_down_bps=20e6, delay_s=0.003, jitter_s=0.002, loss=0.0)
N = 40_000


def rng() -> np.random.Generator:
    return np.random.default_rng(11)


def test_the_median_message_takes_its_bits_over_the_rate() -> None:
    assert np.median(upload_s(rng(), CALM, 500_000, N)) == pytest.approx(0.1, rel=0.01)
    assert np.median(download_s(rng(), CALM, 500_000, N)) == pytest.approx(0.2, rel=0.01)
    assert np.std(np.log(upload_s(rng(), CALM, 500_000, N))) == pytest.approx(FADE, rel=0.02)


def test_delays_have_the_mean_and_spread_asked_for() -> None:
    delays_s = one_way_s(rng(), CALM, N)
    assert delays_s.min() >= 0
    assert delays_s.mean() == pytest.approx(0.003, rel=0.02)
    assert delays_s.std() == pytest.approx(0.002, rel=0.03)
    assert set(one_way_s(rng(), replace(CALM, jitter_s=0.0), 5)) == {0.003}
    assert set(one_way_s(rng(), replace(CALM, delay_s=0.0), 5)) == {0.0}


def test_loss_costs_what_the_closed_form_says() -> None:
    lossy = replace(CALM, loss=0.02)
    packets = 346
    extra_s = upload_s(rng(), lossy, 500_000, N).mean() - upload_s(rng(), CALM, 500_000, N).mean()
    each_s = 2 * CALM.delay_s + 8 * 1448 / CALM.rate_up_bps
    backoffs = np.arange(1, 40)
    timeouts_s = RTO_S * ((2.0 ** np.minimum(backoffs, 6) - 1) * 0.98 * 0.02 ** (backoffs - 1)).sum()
    expected_s = packets * 0.02 * each_s + (1 - 0.98**3) * timeouts_s
    assert extra_s == pytest.approx(expected_s, rel=0.05)


def test_loss_makes_a_heavy_tail() -> None:
    latencies_s = upload_s(rng(), replace(CALM, loss=0.02), 20_000, N)
    assert np.median(latencies_s) < 0.01
    assert np.quantile(latencies_s, 0.99) > RTO_S


def test_nothing_passes_in_an_outage_and_nothing_takes_no_time() -> None:
    outage = replace(CALM, rate_up_bps=0.0)
    assert np.isinf(upload_s(rng(), outage, 1, 3)).all()
    assert np.isinf(round_trip(rng(), outage, 1, 1, 0.001, 3).transmit_s).all()
    assert np.isfinite(download_s(rng(), outage, 1, 3)).all()
    assert (upload_s(rng(), CALM, 0, 3) == 0).all()


airs = st.builds(
    Air,
    rssi_dbm=st.floats(-95, -30),
    rate_up_bps=st.floats(1e4, 1e9),
    rate_down_bps=st.floats(1e4, 1e9),
    delay_s=st.floats(0, 0.2),
    jitter_s=st.floats(0, 0.2),
    loss=st.floats(0, 0.5),
)


@given(airs, st.integers(0, 1_000_000), st.integers(0, 1_000_000), st.integers(1, 20), st.integers(0, 99))
def test_a_round_trip_is_finite_reproducible_and_of_the_size_asked(
    air: Air, up_bytes: int, down_bytes: int, size: int, seed: int
) -> None:
    trip = round_trip(np.random.default_rng(seed), air, up_bytes, down_bytes, 0.004, size)
    again = round_trip(np.random.default_rng(seed), air, up_bytes, down_bytes, np.full(size, 0.004), size)
    for part, same in zip(
        (trip.transmit_s, trip.wait_s, trip.receive_s),
        (again.transmit_s, again.wait_s, again.receive_s),
        strict=True,
    ):
        assert part.shape == (size,)
        assert np.isfinite(part).all()
        np.testing.assert_array_equal(part, same)
    assert (trip.wait_s >= 0.004).all()
    assert (trip.transmit_s >= 0).all()


@pytest.mark.parametrize(
    ("machine", "macs", "published_s"),
    [
        ("a30", 1.237e9, 0.318106e-3),
        ("a30", 4.089e9, 0.513817e-3),
        ("xavier-nx", 1.237e9, 1.347371e-3),
        ("xavier-nx", 4.089e9, 2.455711e-3),
    ],
)
def test_machines_meet_the_latencies_they_are_drawn_from(machine: str, macs: float, published_s: float) -> None:
    mean_s = MACHINES[machine].mean_s(macs, "int8")
    assert mean_s - HTTP_S == pytest.approx(published_s, rel=1e-6)
    draws_s = MACHINES[machine].service_s(rng(), macs, "int8", N)
    assert draws_s.shape == (N,)
    assert draws_s.mean() == pytest.approx(mean_s, rel=0.001)


@pytest.mark.parametrize("machine", MACHINES)
def test_a_coarser_precision_is_faster(machine: str) -> None:
    times_s = [MACHINES[machine].mean_s(1e9, precision) for precision in ("int8", "fp16", "fp32")]
    assert times_s == sorted(times_s)
    with pytest.raises(ValueError, match="does not run fp8; it runs fp32, fp16, int8"):
        MACHINES[machine].mean_s(1e9, "fp8")
