"""What a condition may say, what a queue is made of, and that what is packed for the kernel reads back the same."""

from __future__ import annotations

import json
from math import inf, nan

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from testbed.agent.shaping.netlink import attributes
from testbed.agent.shaping.queues import netem_options, read_shape, tbf_options
from testbed.agent.shaping.shape import Mismatch, Shape, require_same
from testbed.errors import BenchError
from testbed.network.conditions import BurstLoss, Condition, condition_at
from testbed.network.shapes import observed, shapes

shares = st.floats(0.0, 1.0)
bursts = st.builds(BurstLoss, st.floats(0.001, 1.0), shares, shares, shares)
GOOD = {"rssi_dbm": None, "rate_up_bps": 1e6, "rate_down_bps": 1e6, "delay_s": 0.01, "jitter_s": 0.0, "loss": 0.0}


@st.composite
def conditions(draw: st.DrawFn) -> Condition:
    burst = draw(st.none() | bursts)
    return Condition(
        rssi_dbm=draw(st.none() | st.floats(-95.0, -30.0)),
        rate_up_bps=draw(st.floats(1e3, 1e10) | st.sampled_from([0.0, inf])),
        rate_down_bps=draw(st.floats(1e3, 1e10) | st.sampled_from([0.0, inf])),
        delay_s=draw(st.floats(1e-6, 60.0)),
        jitter_s=draw(st.floats(0.0, 60.0)),
        loss=0.0 if burst else draw(shares),
        distribution=draw(st.sampled_from(["uniform", "normal", "pareto"])),
        delay_correlation=draw(shares),
        burst=burst,
        reorder=draw(shares),
        duplicate=draw(shares),
        corrupt=draw(shares),
        queue_packets=draw(st.none() | st.integers(1, 10**6)),
    )


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("rate_up_bps", -1.0),
        ("rate_down_bps", nan),
        ("rate_up_bps", 1e15),
        ("delay_s", -0.001),
        ("delay_s", 3600.0),
        ("jitter_s", nan),
        ("loss", 1.01),
        ("loss", nan),
        ("duplicate", -0.1),
        ("corrupt", inf),
        ("rssi_dbm", 1e3),
        ("queue_packets", 0),
        ("distribution", "gaussian"),
    ],
)
def test_a_value_no_link_can_have_is_refused_by_name(name: str, value: object) -> None:
    with pytest.raises(BenchError, match=rf"a condition's {name} "):
        Condition(**{**GOOD, name: value})  # type: ignore[arg-type]


def test_losses_at_random_and_in_bursts_exclude_each_other() -> None:
    with pytest.raises(BenchError, match="give 'loss' or 'burst'"):
        Condition(**{**GOOD, "loss": 0.1}, burst=BurstLoss(0.1, 0.5))  # type: ignore[arg-type]


def test_the_chains_states_must_change() -> None:
    with pytest.raises(BenchError, match="never change"):
        BurstLoss(0.0, 0.0)


@settings(deadline=None)
@given(conditions())
def test_what_is_packed_for_the_kernel_reads_back_the_same(condition: Condition) -> None:
    for shape in shapes(condition):
        packed = netem_options(shape)
        assert attributes(packed[24:])  # behind the fixed part nothing but attributes
        require_same(shape, read_shape(tbf_options(shape, 1500), packed, shape), "the queue", rate_only=False)


@settings(deadline=None)
@given(conditions())
def test_what_the_kernel_holds_is_told_as_the_condition_it_came_from(condition: Condition) -> None:
    told = observed(condition, *shapes(condition), "read back")
    assert (told.rate_up_bps, told.rate_down_bps) == (condition.rate_up_bps, condition.rate_down_bps)
    assert told.mean_loss == pytest.approx(condition.mean_loss)
    assert told.source == "read back"
    assert not told.measured


@settings(deadline=None)
@given(conditions(), st.sampled_from(["rate_bps", "delay_s", "loss", "queue_packets", "corrupt"]))
def test_a_kernel_that_holds_something_else_is_found_out(condition: Condition, name: str) -> None:
    shape, _ = shapes(condition)
    plain = shape.plain()
    other = Shape.of({**plain, name: 2 * plain[name] + 100 if plain[name] != inf else 1e6})
    with pytest.raises(Mismatch, match=rf"the queue does not hold .*{name} asked .*, reads back "):
        require_same(shape, other, "the queue", rate_only=False)


@settings(deadline=None)
@given(st.floats(0.1e6, 1e9), st.floats(0.0, 0.5))
def test_a_queue_holds_what_is_on_its_way_and_fifty_milliseconds_more(rate_bps: float, delay_s: float) -> None:
    shape, _ = shapes(Condition(None, rate_bps, rate_bps, delay_s, 0.0, 0.0))
    held_s = shape.queue_packets * 1514 * 8 / rate_bps
    assert held_s >= delay_s + 0.05 - 1e-9
    assert shape.queue_packets == 10 or held_s <= delay_s + 0.05 + 1514 * 8 / rate_bps + 1e-9


@settings(deadline=None)
@given(conditions())
def test_a_condition_on_record_is_json(condition: Condition) -> None:
    plain = condition.as_json()
    assert json.loads(json.dumps(plain, allow_nan=False)) == plain


def test_every_value_is_measured_proposed_or_as_given() -> None:
    condition = condition_at(-70.0)
    assert condition.measured == ("rate_up_bps", "rate_down_bps")
    assert condition.proposed == ("delay_s", "jitter_s", "loss")


@given(st.floats(0.01, 0.5), st.floats(0.01, 1.0))
def test_the_mean_of_bursts_is_that_of_the_chain(to_bad: float, to_good: float) -> None:
    assert BurstLoss(to_bad, to_good).mean == pytest.approx(to_bad / (to_bad + to_good))


@pytest.mark.parametrize("name", ["reorder", "duplicate", "corrupt"])
def test_the_modelled_radio_says_what_it_cannot_do(name: str) -> None:
    with pytest.raises(BenchError, match=f"the virtual link knows no {name}"):
        Condition(**GOOD, **{name: 0.1}).as_air()  # type: ignore[arg-type]
