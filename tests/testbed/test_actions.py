"""Actions as a suite writes them, checked against a board."""

from __future__ import annotations

import pytest

from scheduler.contract import Action
from testbed.actions import resolve_actions
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
        ("gpu/fp16@500MHz", "no such frequency step on the board 'X'; steps in MHz: 306, 612"),
    ],
)
def test_what_the_board_lacks_is_named(written: str, message: str) -> None:
    with pytest.raises(BenchError) as caught:
        resolve(written)
    assert message in str(caught.value)


def test_one_action_named_in_two_ways_is_refused() -> None:
    with pytest.raises(BenchError, match="named in two ways"):
        resolve("gpu/fp16@max", "gpu/fp16@612MHz")


def test_a_target_the_board_lacks_is_refused_with_its_reason() -> None:
    with pytest.raises(
        BenchError, match="action 'dla1/int8': the board 'X' has no target 'dla1': it has one DLA, dla0"
    ):
        resolve_actions(["dla1/int8"], PROCESSORS, STEPS, "the board 'X'", {"dla1": "it has one DLA, dla0"})
