from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from power import CardRefused, Channel, ClockFit, Corrected, Kind, MonitorSpec, Samples, Specimen, cut, fit_card

S = 1_000_000_000
LEVELS_W = (3.0, 7.0, 4.0, 6.0, 5.0, 3.5, 6.5, 4.5, 5.5)
LOAD_S = 1.013
METER = MonitorSpec("meter", 1000.0, (Channel("main", 1e-3, 0.002, 0.005),), Kind.AVERAGING, 1e-3, 0.03)
RAILS = MonitorSpec(
    "rails",
    50.0,
    (Channel("a", 0.02, 0.01, 0.05), Channel("b", 0.02, 0.01, 0.05), Channel("part of a", 0.02, 0.01, 0.05)),
    Kind.AVERAGING,
    0.01,
    0.5,
    total=(0, 1),
)
LOADS = [(round((k + 0.2) * LOAD_S * S), round((k + 0.9) * LOAD_S * S)) for k in range(len(LEVELS_W))]


def power_w(at_s: np.ndarray) -> np.ndarray:
    return np.array(LEVELS_W)[np.clip((at_s / LOAD_S).astype(int), 0, len(LEVELS_W) - 1)]


def averaged_w(end_s: np.ndarray, aperture_s: float) -> np.ndarray:
    return np.mean([power_w(end_s - share * aperture_s) for share in np.linspace(0.0, 1.0, 21)], axis=0)


def samples(spec: MonitorSpec, columns: list[np.ndarray], time_ns: np.ndarray) -> Samples:
    n, c = len(time_ns), len(columns)
    return Samples(
        index=np.repeat(np.arange(n), c),
        time_ns=np.repeat(time_ns, c),
        channel=np.tile(np.arange(c, dtype=np.uint8), n),
        power_w=np.stack(columns, axis=1).ravel(),
    )


def traces(gain: float, offset_w: float, delay_s: float, seed: int = 1) -> tuple[Samples, Samples]:
    """Rails and meter: the rails show a part of the power, late and in steps."""
    random = np.random.default_rng(seed)
    whole_s = len(LEVELS_W) * LOAD_S
    meter_s = np.arange(0.0, whole_s, 1 / METER.rate_hz)
    meter_w = averaged_w(meter_s, METER.aperture_s) + random.normal(0.0, 0.01, len(meter_s))
    rails_s = np.arange(0.0, whole_s, 1 / RAILS.rate_hz)
    sum_w = (1 + gain) * averaged_w(rails_s - delay_s, RAILS.aperture_s) + offset_w
    a_w = np.round(0.7 * sum_w / 0.02) * 0.02 + random.normal(0.0, 0.01, len(rails_s))
    b_w = np.round(0.3 * sum_w / 0.02) * 0.02
    ns = [np.round(times * S).astype(np.int64) for times in (rails_s, meter_s)]
    return samples(RAILS, [a_w, b_w, a_w / 2], ns[0]), samples(METER, [meter_w], ns[1])


@settings(max_examples=8)
@given(st.floats(-0.3, 0.1), st.floats(-1.0, 0.3), st.floats(-0.02, 0.15))
def test_gain_offset_and_delay_are_found(gain: float, offset_w: float, delay_s: float) -> None:
    rails, meter = traces(gain, offset_w, delay_s)

    card = fit_card(rails, RAILS, meter, METER, LOADS)

    assert card.gain == pytest.approx(gain, abs=3 * card.gain_standard_uncertainty)
    assert card.offset_w == pytest.approx(offset_w, abs=3 * card.offset_standard_uncertainty_w)
    assert card.delay_s == pytest.approx(delay_s, abs=0.005)
    assert card.held_out_error < 0.01
    assert card.gain_standard_uncertainty >= METER.whole.gain_standard_uncertainty
    assert card.power_w == pytest.approx((3.0, 7.0), rel=0.01)


@dataclass
class Playing:
    """A monitor that has its samples already."""

    spec: MonitorSpec
    played: Samples
    clock: ClockFit = field(default_factory=lambda: ClockFit(0, 0, 0.0, 0.0, 0.0, 0.0))
    specimen: Specimen | None = None

    def open(self) -> None: ...

    def start(self) -> None: ...

    def read(self) -> Samples:
        return self.played

    def stop(self) -> None: ...

    def close(self) -> None: ...


def test_energies_of_rails_with_a_card_are_the_boards_within_their_uncertainty() -> None:
    rails, meter = traces(-0.18, -0.4, 0.06)
    card = fit_card(rails, RAILS, meter, METER, LOADS)
    carded = Corrected(
        Playing(RAILS, traces(-0.18, -0.4, 0.06, seed=2)[0]), lambda monitor: card.corrections(monitor.spec)
    )
    carded.open()

    start_ns, end_ns = round(0.5 * S), round(2.5 * S)
    energy = cut(carded.read(), start_ns, end_ns, carded.spec)

    lengths_s = (LOAD_S - 0.5, LOAD_S, 2.5 - 2 * LOAD_S)
    true_j = sum(length_s * level_w for length_s, level_w in zip(lengths_s, LEVELS_W, strict=False))
    assert energy.energy_j == pytest.approx(true_j, abs=3 * energy.standard_uncertainty_j)
    assert energy.energy_j == pytest.approx(true_j, rel=0.01)
    assert energy.budget_j["gain"] >= card.gain_standard_uncertainty * energy.energy_j * 0.99
    bare = cut(rails, start_ns, end_ns, RAILS)
    assert abs(bare.energy_j / true_j - 1.0) > 0.2, "without the card a fifth is missing"


def test_what_tells_too_little_makes_no_card() -> None:
    rails, meter = traces(-0.1, 0.0, 0.0)
    with pytest.raises(CardRefused, match="too few"):
        fit_card(rails, RAILS, meter, METER, LOADS[:3])
    flat = replace(meter, power_w=np.full(len(meter), 5.0))
    with pytest.raises(CardRefused, match="too alike"):
        fit_card(rails, RAILS, flat, METER, LOADS)
    falling = replace(rails, power_w=10.0 - rails.power_w)
    with pytest.raises(CardRefused, match="not its rails"):
        fit_card(falling, RAILS, meter, METER, LOADS)
