"""The constants give back the published figures they were derived from."""

from __future__ import annotations

import numpy as np
import pytest

from testbed.agent.contract import CoRun
from testbed.virtual import silicon
from testbed.virtual.networks import NETWORKS
from testbed.virtual.profile import Profile
from testbed.virtual.profiles import agx_orin, raspberry_pi_5
from testbed.virtual.rules import Published, anchor, board_from_wall, mean_from_p90_s, rate_macs_per_s

ALONE = CoRun(0.0, 0.0)


def law(profile: Profile, processor: str, row: Published, precision: str) -> silicon.Inference:
    return silicon.inference(profile, processor, row.work, precision, row.frequency_hz, ALONE, False)


def energy_j(profile: Profile, inference: silicon.Inference) -> float:
    return profile.idle_w * inference.mean_latency_s() + inference.busy_j


ORIN_ROWS = [
    *(("cpu", precision, row) for (precision, _), row in agx_orin.CPU_ROWS.items()),
    *(("gpu", "int8", row) for row in agx_orin.GPU_MAXQ_ROWS.values()),
]


@pytest.mark.parametrize(("processor", "precision", "row"), ORIN_ROWS)
def test_orin_gives_back_published_latency_and_energy(processor: str, precision: str, row: Published) -> None:
    inference = law(agx_orin.PROFILE, processor, row, precision)
    assert inference.mean_latency_s() == pytest.approx(row.mean_s, rel=1e-9)
    assert energy_j(agx_orin.PROFILE, inference) == pytest.approx(row.energy_j, rel=1e-9)


@pytest.mark.parametrize(("key", "row"), raspberry_pi_5.ROWS.items())
def test_pi_gives_back_published_latency(key: tuple[str, str], row: Published) -> None:
    inference = law(raspberry_pi_5.PROFILE, "cpu", row, key[0])
    assert inference.mean_latency_s() == pytest.approx(row.mean_s, rel=1e-9)


def test_the_law_has_the_published_90th_percentile() -> None:
    inference = law(agx_orin.PROFILE, "cpu", agx_orin.CPU_ROWS["fp32", "dense"], "fp32")
    latencies_s = inference.latency_s(inference.draw(np.random.default_rng(1), 100_000))
    assert np.quantile(latencies_s, 0.9) == pytest.approx(49.6e-3, rel=0.01)


@pytest.mark.parametrize("kind", agx_orin.GPU_MAXP_ROWS)
def test_the_other_clock_is_foretold(kind: str) -> None:
    row = agx_orin.GPU_MAXP_ROWS[kind]
    assert law(agx_orin.PROFILE, "gpu", row, "int8").mean_latency_s() == pytest.approx(row.mean_s, rel=0.11)


@pytest.mark.parametrize("kind", agx_orin.DLA_PAIR_PER_S)
def test_dla_has_the_published_throughput_and_efficiency(kind: str) -> None:
    row = agx_orin.GPU_MAXP_ROWS[kind]
    dla = silicon.inference(agx_orin.PROFILE, "dla0", row.work, "int8", None, ALONE, False)
    assert 2.0 / dla.mean_latency_s() == pytest.approx(agx_orin.DLA_PAIR_PER_S[kind], rel=1e-9)
    processors = agx_orin.PROFILE.processors
    gpu_per_s = agx_orin.BOTH_PER_S[kind] - agx_orin.DLA_PAIR_PER_S[kind]
    gpu_per_j = gpu_per_s / processors["gpu"].anchors["int8", kind].power_w
    dla_per_j = agx_orin.DLA_PAIR_PER_S[kind] / 2.0 / processors["dla0"].anchors["int8", kind].power_w
    assert dla_per_j / gpu_per_j == pytest.approx(agx_orin.DLA_EFFICIENCY[kind])


def test_gpu_precisions_stand_in_the_published_ratio_when_computing_decides() -> None:
    rates = {p: agx_orin.PROFILE.processors["gpu"].anchors[p, "dense"].rate_macs_per_s for p in agx_orin.GPU_MS}
    assert rates["int8"] / rates["fp32"] == pytest.approx(49.5195 / 13.4525)
    assert rates["int8"] / rates["fp16"] == pytest.approx(22.1503 / 13.4525)


def test_an_impossible_row_is_refused() -> None:
    work = NETWORKS["resnet50"].work("fp32")
    too_fast = Published(work, 1e-4, agx_orin.GPU.highest_hz, 1.0)
    with pytest.raises(ValueError, match="faster than its overhead and traffic allow"):
        rate_macs_per_s(agx_orin.GPU, too_fast, 0.0)
    too_frugal = Published(work, 10e-3, agx_orin.GPU.highest_hz, 1e-3)
    with pytest.raises(ValueError, match="leaves no energy to the processor"):
        anchor(agx_orin.GPU, too_frugal, 0.0, agx_orin.IDLE_W)


def test_conversions() -> None:
    assert mean_from_p90_s(1.0, 0.0) == 1.0
    samples = np.random.default_rng(3).lognormal(0.0, 0.1, 400_000)
    assert mean_from_p90_s(float(np.quantile(samples, 0.9)), 0.1) == pytest.approx(samples.mean(), rel=2e-3)
    assert board_from_wall(100.0) == 88.0
