"""Actions as a suite writes them, checked against a board."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scheduler.contract import Action
from testbed.actions import expand_suite, resolve_actions
from testbed.config import Suite
from testbed.errors import BenchError

PROCESSORS = {"cpu": ["fp32", "int8"], "gpu": ["fp16"], "dla0": ["int8"], "cloud": ["fp32", "fp16", "int8"]}
STEPS = {"cpu": [7.0e8, 1.2e9, 2.2e9], "gpu": [3.06e8, 6.12e8]}


def resolve(*written: str) -> list[Action]:
    return resolve_actions(written, PROCESSORS, STEPS, "the board 'X'")


def test_frequencies_are_resolved_to_the_boards_steps() -> None:
    assert resolve("cpu/fp32@max", "cpu/int8@min", "gpu/fp16@612MHz", "cpu/fp32@1.2GHz", "dla0/int8", "cloud/fp16") == [
        Action("cpu", "fp32", 2.2e9),
        Action("cpu", "int8", 7.0e8),
        Action("gpu", "fp16", 6.12e8),
        Action("cpu", "fp32", 1.2e9),
        Action("dla0", "int8"),
        Action("cloud", "fp16"),
    ]


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ("cpu", "is not written as target/precision"),
        ("gpuu/fp16", "has no target 'gpuu'; did you mean 'gpu'?"),
        ("edge/fp32", "has no endpoint 'edge'"),
        ("dla0/fp32", "dla0 of the board 'X' cannot run fp32; it runs int8"),
        ("dla0/int8@max", "cannot be set on the board 'X'; leave '@max' out"),
        ("gpu/fp16@500MHz", "step on the board 'X'; the nearest is 612 MHz, steps in MHz: 306, 612"),
    ],
)
def test_what_the_board_lacks_is_named(written: str, message: str) -> None:
    with pytest.raises(BenchError) as caught:
        resolve(written)
    assert message in str(caught.value)


def suite(actions: list[str], reference: str | None = None) -> Suite:
    return Suite.model_validate(
        {
            "name": "sweep",
            "workloads": [{"name": "w", "model": "mobilenet-v2", "qos_s": 0.05}],
            "environments": ["S1"],
            "actions": actions,
            "policies": [{"name": "random", "trials": 1}],
            "reference": {"action": reference} if reference else None,
        }
    )


def expand(*actions: str, reference: str | None = None) -> Suite:
    return expand_suite(suite([*actions], reference), PROCESSORS, STEPS, "the board 'X'")


def test_several_steps_are_written_at_once() -> None:
    assert expand("cpu/fp32@all", "gpu/fp16@2", "cpu/int8@min,1.2GHz", "cloud/fp16").actions == [
        "cpu/fp32@700MHz",
        "cpu/fp32@1200MHz",
        "cpu/fp32@2200MHz",
        "gpu/fp16@306MHz",
        "gpu/fp16@612MHz",
        "cpu/int8@min",
        "cpu/int8@1.2GHz",
        "cloud/fp16",
    ]


@given(st.lists(st.integers(1, 10_000), min_size=2, max_size=40, unique=True), st.data())
def test_evenly_spaced_steps_are_steps_with_both_ends(tenths_mhz: list[int], data: st.DataObject) -> None:
    steps = [tenth * 1e5 for tenth in tenths_mhz]
    count = data.draw(st.integers(2, len(steps)))
    expanded = expand_suite(suite([f"cpu/fp32@{count}"]), PROCESSORS, {"cpu": steps}, "X").actions
    found = [float(text.partition("@")[2].removesuffix("MHz")) * 1e6 for text in expanded]
    assert len(set(found)) == count
    assert found == sorted(found)
    assert [found[0], found[-1]] == pytest.approx([min(steps), max(steps)])


def test_the_reference_may_be_one_of_several() -> None:
    expanded = expand("cpu/fp32@all", reference="cpu/fp32@max")
    assert expanded.reference is not None
    assert expanded.reference.action == "cpu/fp32@2200MHz"


@pytest.mark.parametrize(
    ("actions", "reference", "message"),
    [
        (["dla0/int8@all"], None, "the frequency of this target cannot be set on the board 'X'; leave '@all' out"),
        (["gpu/fp16@5"], None, "2 to 2 steps can be had of gpu"),
        (["cpu/fp32@1"], None, "2 to 3 steps can be had of cpu"),
        (["cpu/fp32@all"], "cpu/fp32@all", "is several actions; name one frequency"),
        (["cpu/fp32@min,1.2GHz"], "cpu/fp32@max", "'cpu/fp32@max' is none of the suite's actions on the board 'X'"),
    ],
)
def test_steps_that_cannot_be_had_are_named(actions: list[str], reference: str | None, message: str) -> None:
    with pytest.raises(BenchError) as caught:
        expand(*actions, reference=reference)
    assert message in str(caught.value)


def test_one_action_named_in_two_ways_is_refused() -> None:
    with pytest.raises(BenchError, match="named in two ways"):
        resolve("gpu/fp16@max", "gpu/fp16@612MHz")


def test_a_target_the_board_lacks_is_refused_with_its_reason() -> None:
    with pytest.raises(
        BenchError, match="action 'dla1/int8': the board 'X' has no target 'dla1': it has one DLA, dla0"
    ):
        resolve_actions(["dla1/int8"], PROCESSORS, STEPS, "the board 'X'", {"dla1": "it has one DLA, dla0"})
