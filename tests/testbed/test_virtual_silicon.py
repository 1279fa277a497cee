from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from testbed.agent.contract import CoRun
from testbed.virtual import silicon
from testbed.virtual.config import PROFILES
from testbed.virtual.networks import NETWORKS, Work, plain, work_of

ORIN = PROFILES["jetson-agx-orin"]
ALONE = CoRun(0.0, 0.0)
networks = st.sampled_from(sorted(NETWORKS))
places = st.sampled_from(
    [
        (board, name, precision)
        for board, profile in PROFILES.items()
        for name, processor in profile.processors.items()
        for precision in processor.precisions
    ]
)
loads = st.builds(CoRun, cpu=st.floats(0, 1), memory=st.floats(0, 1))


def law(
    processor: str,
    network: str,
    precision: str,
    frequency_hz: float | None = None,
    co_run: CoRun = ALONE,
    *,
    throttled: bool = False,
) -> silicon.Inference:
    work = NETWORKS[network].work(precision)
    return silicon.inference(ORIN, processor, work, precision, frequency_hz, co_run, throttled)


def law_at(place: tuple[str, str, str], network: str, co_run: CoRun) -> silicon.Inference:
    board, name, precision = place
    work = NETWORKS[network].work(precision)
    return silicon.inference(PROFILES[board], name, work, precision, None, co_run, False)


@given(place=places, network=networks, co_run=loads)
def test_phases_last_and_draw_what_the_law_says(place: tuple[str, str, str], network: str, co_run: CoRun) -> None:
    inference = law_at(place, network, co_run)
    phases = inference.phases(1.25, 0.004)
    assert sum(duration_s for duration_s, _ in phases) == pytest.approx(1.25 * inference.busy_s + 0.004)
    assert sum(duration_s * w for duration_s, w in phases) == pytest.approx(1.25 * inference.busy_j)
    assert all(duration_s >= 0 and w >= 0 for duration_s, w in phases)


@given(place=places, network=networks)
def test_an_inference_has_phases_of_different_power(place: tuple[str, str, str], network: str) -> None:
    assert len({w for _, w in law_at(place, network, ALONE).phases(1.0, 0.0)}) >= 4


@given(place=places, network=networks, less=loads, more=loads)
def test_a_heavier_co_runner_never_helps(place: tuple[str, str, str], network: str, less: CoRun, more: CoRun) -> None:
    more = CoRun(max(less.cpu, more.cpu), max(less.memory, more.memory))
    light, heavy = law_at(place, network, less), law_at(place, network, more)
    assert heavy.mean_latency_s() >= light.mean_latency_s() * (1 - 1e-12)
    assert heavy.deviation >= light.deviation


@pytest.mark.parametrize("co_run", [ALONE, CoRun(0.75, 0.2)])
def test_closed_form_agrees_with_draws(co_run: CoRun) -> None:
    inference = law("cpu", "mobilenetv2", "fp32", co_run=co_run)
    draws = inference.draw(np.random.default_rng(5), 400_000)
    latencies_s = inference.latency_s(draws)
    assert latencies_s.mean() == pytest.approx(inference.mean_latency_s(), rel=2e-3)
    assert inference.extra_j(draws).mean() == pytest.approx(inference.busy_j, rel=2e-3)
    for quantile in (0.05, 0.5, 0.9, 0.99, 0.999):
        limit_s = float(np.quantile(latencies_s, quantile))
        assert inference.p_within(limit_s) == pytest.approx(quantile, abs=3e-3)
    assert inference.p_within(0.0) == 0.0


def test_the_tail_is_heavier_than_the_body() -> None:
    inference = law("cpu", "mobilenetv2", "fp32")
    five_deviations_s = inference.busy_s * math.exp(5 * inference.deviation)
    assert 1.0 - inference.p_within(five_deviations_s) > 1e-4


def test_roofline_has_a_soft_corner_between_its_asymptotes() -> None:
    assert silicon.roofline_s(1.0, 0.01) == pytest.approx(1.0, rel=1e-6)
    assert silicon.roofline_s(0.01, 1.0) == pytest.approx(1.0, rel=1e-6)
    assert 1.1 < silicon.roofline_s(1.0, 1.0) < 1.3


def test_memory_bound_networks_suffer_more_from_a_memory_co_runner() -> None:
    def slow_down(intensity: float) -> float:
        work = Work("dense", macs=4e9, bytes_moved=4e9 / intensity, kernels=1)
        alone, beside = (
            silicon.inference(ORIN, "gpu", work, "int8", None, co_run, False).body_s
            for co_run in (ALONE, CoRun(0.0, 0.75))
        )
        return beside / alone

    assert slow_down(1e4) == pytest.approx(1.0, abs=0.01)
    assert slow_down(1.0) > 2.5


def test_cores_are_taken_only_once_they_run_out() -> None:
    assert silicon.crowding(4, 12, 0.2) < 1.02
    assert silicon.crowding(4, 4, 0.2) > 1.05
    assert 1.3 < silicon.crowding(4, 4, 0.75) < 2.0


def test_a_lower_clock_costs_a_memory_bound_network_little() -> None:
    def slow_down(network: str, co_run: CoRun) -> float:
        half = law("gpu", network, "int8", 612e6, co_run).mean_latency_s()
        return half / law("gpu", network, "int8", None, co_run).mean_latency_s()

    assert slow_down("resnet50", ALONE) > 1.8
    assert slow_down("efficientnetlite0", CoRun(0.0, 0.75)) < 1.1


def test_a_lower_clock_draws_less_than_in_proportion() -> None:
    full, half = law("gpu", "resnet50", "int8"), law("gpu", "resnet50", "int8", 612e6)
    assert half.body_w / full.body_w < 0.6 * 612 / 1300.5


def test_throttling_caps_the_clock() -> None:
    assert law("gpu", "resnet50", "int8", throttled=True) == law("gpu", "resnet50", "int8", 612e6)
    assert law("gpu", "resnet50", "int8", 408e6, throttled=True) == law("gpu", "resnet50", "int8", 408e6)


@pytest.mark.parametrize(
    ("processor", "precision", "message"),
    [
        ("npu", "int8", "has no processor 'npu': it has cpu, gpu, dla0, dla1"),
        ("dla0", "fp32", "dla0 cannot run fp32: it runs fp16, int8"),
    ],
)
def test_what_is_not_there_is_named(processor: str, precision: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        law(processor, "resnet50", precision)


def test_base_power_is_idle_plus_leakage_plus_co_runner() -> None:
    at_c = ORIN.leakage_reference_c
    assert silicon.base_power_w(ORIN, ALONE, at_c) == pytest.approx(ORIN.idle_w)
    assert silicon.base_power_w(ORIN, CoRun(0.5, 1.0), at_c) == pytest.approx(
        ORIN.idle_w + 0.5 * ORIN.cpu_full_w + ORIN.memory_full_w
    )
    hotter_w = silicon.base_power_w(ORIN, ALONE, at_c + ORIN.leakage_scale_k)
    assert hotter_w - ORIN.idle_w == pytest.approx(ORIN.idle_w * ORIN.leakage_share * (math.e - 1.0))


@pytest.mark.parametrize("name", ["MobileNet-v2", "mobilenet_v2 1.0 224", "MobileNetV2"])
def test_a_network_is_known_however_it_is_spelt(name: str) -> None:
    assert plain(name) == "mobilenetv2"


@given(network=networks, precision=st.sampled_from(["fp32", "fp16", "int8"]))
def test_an_unknown_network_takes_after_the_nearest(network: str, precision: str) -> None:
    work = NETWORKS[network].work(precision)
    assert work_of("home-made", precision, work.macs, work.bytes_moved) == work
    assert work_of("empty", precision, 0, 0).kernels > 0
