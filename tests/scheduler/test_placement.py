from __future__ import annotations

from typing import Any

import pytest

from scheduler.choices import NothingToChooseError
from scheduler.contract import Action
from scheduler.mosaic import Mosaic
from scheduler.neurosurgeon import Neurosurgeon
from scheduler.placement import PlacementModel

World = Any
SIZES = (200_000_000, 600_000_000, 1_500_000_000, 4_000_000_000)


def _records(world: World) -> list[Any]:
    world.noise = 0.0
    tasks = [world.task(f"n{macs}", macs=macs) for macs in SIZES]
    return [world.meter(world.state(task), action) for task in tasks for action in world.actions]


def test_costs_of_an_unseen_network_follow_from_its_size(world: World) -> None:
    model = PlacementModel(_records(world))
    state = world.state(world.task("unseen", macs=900_000_000))
    for action in (Action("cpu", "fp32", 1.4e9), Action("gpu", "fp16", 9e8), Action("dla0", "int8")):
        cost = model.cost(state, action)
        assert cost.latency_s == pytest.approx(world.spans(state, action)[0], rel=0.01)
        assert cost.energy_j == pytest.approx(world.energy_j(state, action), rel=0.01)
    assert model.cost(state, Action("cloud", "fp32")).latency_s == pytest.approx(
        world.spans(state, Action("cloud", "fp32"))[0], rel=0.2
    )


def test_only_the_highest_frequencies_are_known(world: World) -> None:
    assert {str(action) for action in PlacementModel(_records(world)).actions} == {
        "cpu/fp32@1400MHz",
        "cpu/int8@1400MHz",
        "gpu/fp32@900MHz",
        "gpu/fp16@900MHz",
        "dla0/int8",
        "edge/fp32",
        "cloud/fp32",
    }


def test_a_weak_signal_makes_the_cloud_dear(world: World) -> None:
    model = PlacementModel(_records(world))
    task = world.task("n4000000000", macs=4_000_000_000)
    near, far = (model.cost(world.state(task, rssi_dbm=rssi), Action("cloud", "fp32")) for rssi in (-58.0, -78.0))
    assert far.latency_s > 3.0 * near.latency_s
    peer = model.cost(world.state(task, rssi_dbm=-78.0), Action("edge", "fp32"))
    assert peer == model.cost(world.state(task), Action("edge", "fp32"))


def test_neurosurgeon_goes_to_the_cloud_with_the_large_and_stays_with_the_small(world: World) -> None:
    policy = Neurosurgeon(_records(world))
    large, small = world.task("n4000000000", macs=4_000_000_000), world.task("n200000000", macs=200_000_000)
    assert policy.select(world.state(large), world.actions).target == "cloud"
    assert policy.select(world.state(small), world.actions) == Action("gpu", "fp16", 9e8)
    assert policy.select(world.state(large, rssi_dbm=-80.0), world.actions).target == "gpu"
    busy = world.state(small, co_cpu=0.9, co_memory=0.9)
    assert policy.select(busy, world.actions) == Action("gpu", "fp16", 9e8), "it must not see co-runners"


def test_neurosurgeon_may_minimise_latency_instead(world: World) -> None:
    records = _records(world)
    large = world.state(world.task("n4000000000", macs=4_000_000_000))
    assert Neurosurgeon(records, minimise="latency").select(large, world.actions).target == "gpu"
    with pytest.raises(ValueError, match="'energy' or 'latency'"):
        Neurosurgeon(records, minimise="power")


def test_mosaic_uses_every_processor_and_minds_the_constraint(world: World) -> None:
    policy = Mosaic(_records(world))
    assert policy.select(world.state(world.task(macs=300_000_000)), world.actions) == Action("dla0", "int8")
    large = world.task("n4000000000", macs=4_000_000_000, qos_s=0.018)
    assert policy.select(world.state(large), world.actions) == Action("gpu", "fp16", 9e8)


def test_what_is_not_on_offer_is_named(world: World) -> None:
    state, records = world.state(world.task()), _records(world)
    with pytest.raises(NothingToChooseError, match="neither its local processor nor the cloud"):
        Neurosurgeon(records).select(state, [Action("dla0", "int8")])
    with pytest.raises(NothingToChooseError, match="no target on offer"):
        Mosaic(records).select(state, [Action("cpu", "fp32", 6e8)])
