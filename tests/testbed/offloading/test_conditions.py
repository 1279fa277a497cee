"""What signal strength makes of a link."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from testbed.network.conditions import Standard, condition_at

STANDARDS: list[Standard] = ["802.11n-ht20", "802.11n-ht40"]
signals = st.floats(-120.0, 0.0)
standards = st.sampled_from(STANDARDS)


@pytest.mark.parametrize(
    ("rssi_dbm", "standard", "rate_bps"),
    [
        (-58.0, "802.11n-ht40", 49.38e6),
        (-68.0, "802.11n-ht40", 11.44e6),
        (-83.0, "802.11n-ht40", 0.54e6),
        (-48.0, "802.11n-ht20", 28.72e6),
        (-88.0, "802.11n-ht20", 0.04e6),
        (-30.0, "802.11n-ht40", 49.38e6),
    ],
)
def test_the_measured_medians_are_met(rssi_dbm: float, standard: Standard, rate_bps: float) -> None:
    condition = condition_at(rssi_dbm, standard)
    assert condition.rate_down_bps == pytest.approx(rate_bps)
    assert condition.rate_up_bps == condition.rate_down_bps
    assert condition.rssi_dbm == rssi_dbm


@pytest.mark.parametrize(("standard", "weakest_dbm"), [("802.11n-ht20", -90.5), ("802.11n-ht40", -85.5)])
def test_weaker_than_measured_is_an_outage(standard: Standard, weakest_dbm: float) -> None:
    assert condition_at(weakest_dbm, standard).rate_up_bps > 0
    assert condition_at(weakest_dbm - 0.01, standard).rate_up_bps == 0


def test_between_two_bins_the_rate_is_their_geometric_mean() -> None:
    middle = condition_at(-70.5).rate_up_bps
    assert middle**2 == pytest.approx(condition_at(-68.0).rate_up_bps * condition_at(-73.0).rate_up_bps)


@given(signals, signals, standards)
def test_a_stronger_signal_is_never_worse(one_dbm: float, other_dbm: float, standard: Standard) -> None:
    weak, strong = (condition_at(rssi_dbm, standard) for rssi_dbm in sorted((one_dbm, other_dbm)))
    assert weak.rate_up_bps <= strong.rate_up_bps
    assert weak.delay_s >= strong.delay_s
    assert weak.jitter_s >= strong.jitter_s
    assert 1 > weak.loss >= strong.loss >= 0


def test_it_says_what_is_measured_and_what_is_not() -> None:
    source = condition_at(-60.0).source
    assert "measured (adamiaonr/wifi-vehicles, CC BY 4.0)" in source
    assert "delay, jitter and loss proposed" in source
