"""Policies built on scikit-learn, an extra of evaluations."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import pytest

from scheduler.contract import Action, Outcome
from scheduler.features import GRAPH_BINS
from scheduler.oracle import choose
from scheduler.policies import PolicyError, build

World = Any
NAMES = ["lr", "svr", "svm", "knn", "bo"]


@pytest.fixture
def scikit_learn() -> None:
    pytest.importorskip("sklearn")


def _states(world: World) -> list[Any]:
    tasks = [world.task(f"n{macs}", macs=macs) for macs in (300_000_000, 1_000_000_000, 4_000_000_000)]
    conditions: list[dict[str, float]] = [{}, {"co_cpu": 0.8}, {"co_memory": 0.8}, {"rssi_dbm": -82.0}]
    return [world.state(task, **condition) for task in tasks for condition in conditions]


def _records(world: World) -> list[Any]:
    return [world.meter(state, action) for state in _states(world) for action in world.actions]


@pytest.mark.usefixtures("scikit_learn")
@pytest.mark.parametrize(("name", "allowed"), [("lr", 0.8), ("svr", 0.1), ("svm", 0.25), ("knn", 0.1), ("bo", 0.25)])
def test_they_choose_well_where_they_were_profiled(world: World, name: str, allowed: float) -> None:
    policy = build(name, world.actions, 1, profile=_records(world))
    chosen_j, opt_j, late = 0.0, 0.0, 0
    for state in _states(world):
        action = policy.select(state, world.actions)
        chosen_j += world.energy_j(state, action)
        opt_j += world.energy_j(state, choose(state.task, world.means(state, world.actions)))
        late += world.spans(state, action)[0] > state.task.qos_s
    assert late <= 1
    assert chosen_j / opt_j - 1.0 < allowed


@pytest.mark.usefixtures("scikit_learn")
@pytest.mark.parametrize("name", NAMES)
def test_they_keep_to_what_is_on_offer_and_accurate(world: World, name: str) -> None:
    policy = build(name, world.actions, 1, profile=_records(world))
    state = world.state(world.task("n300000000", macs=300_000_000, accuracy_target=0.75))
    assert policy.select(state, world.actions).precision in ("fp32", "fp16")
    assert policy.select(state, world.actions[1:3]) in world.actions[1:3]


@pytest.mark.usefixtures("scikit_learn")
def test_bayesian_optimisation_learns_from_nothing(world: World) -> None:
    policy = build("bo", world.actions, 1)
    state = world.state(world.task())
    for _ in range(40):
        action = policy.select(state, world.actions)
        policy.update(state, action, world.run(state, action))
    best = choose(state.task, world.means(state, world.actions))
    assert world.energy_j(state, action) < 1.2 * world.energy_j(state, best)
    dead = policy.select(state, world.actions)
    for _ in range(3):
        policy.update(state, dead, Outcome(0.001, 0.001, 0.0, failed=True))
    assert policy.select(state, world.actions) != dead


@pytest.mark.usefixtures("scikit_learn")
def test_a_profile_of_one_example_is_enough_for_classifiers(world: World) -> None:
    state = world.state(world.task())
    records = [world.meter(state, action) for action in world.actions]
    for name in ("svm", "knn"):
        assert build(name, world.actions, 1, profile=records).select(state, world.actions) == Action("gpu", "fp16", 4e8)


@pytest.mark.parametrize("name", NAMES)
def test_without_scikit_learn_it_is_said_what_to_install(
    world: World, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("sklearn.base", "sklearn.linear_model", "sklearn.preprocessing", "sklearn.neighbors"):
        monkeypatch.setitem(sys.modules, module, None)
    monkeypatch.setitem(sys.modules, "sklearn.gaussian_process.kernels", None)
    monkeypatch.setitem(sys.modules, "sklearn", None)
    with pytest.raises(PolicyError, match=f"policy '{name}': .*pip install scikit-learn"):
        build(name, world.actions, 1, profile=_records(world))


@pytest.mark.usefixtures("scikit_learn")
def test_bins_are_found_again_from_data() -> None:
    from scheduler.clustering import find_bins, find_edges

    rng = np.random.default_rng(1)
    loads = np.concatenate((rng.normal(0.3, 0.01, 50), rng.normal(0.8, 0.01, 50), np.zeros(10)))
    signals = np.concatenate((rng.normal(-55.0, 1.0, 40), rng.normal(-85.0, 1.0, 40)))
    bins = find_bins(
        {
            "conv_layers": [27, 52, 62, 57, 94, 53, 47, 0],
            "fc_layers": [1, 1, 2, 0],
            "rc_layers": [0, 24],
            "macs": [3e8, 4e9],
            "co_cpu": loads.tolist(),
            "co_memory": [0.0, 0.01],
            "rssi_dbm": signals.tolist(),
            "peer_rssi_dbm": [-50.0],
        }
    )
    assert bins.conv_layers == GRAPH_BINS.conv_layers
    assert (bins.fc_layers, bins.rc_layers, bins.co_memory, bins.peer_rssi_dbm) == ((), (12.0,), (), ())
    assert bins.co_cpu == pytest.approx((0.15, 0.55), abs=0.03)
    assert bins.rssi_dbm == pytest.approx((-70.0,), abs=3.0)
    with pytest.raises(ValueError, match="no samples of macs"):
        find_bins({name: [1.0] for name in bins.edges() if name != "macs"})
    with pytest.raises(ValueError, match="no samples to cluster"):
        find_edges([], 1.0)
