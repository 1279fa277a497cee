from __future__ import annotations

import numpy as np

from power import Samples


def run(*times_ns: int, channel: int = 0, marked: bool = True) -> Samples:
    count = len(times_ns)
    return Samples(
        index=np.arange(count, dtype=np.int64),
        time_ns=np.array(times_ns, np.int64),
        channel=np.full(count, channel, np.uint8),
        power_w=np.array(times_ns, np.float64) / 10,
        mark=np.ones(count, np.uint8) if marked else None,
    )


def test_a_slice_of_time_is_open_at_its_start_and_closed_at_its_end() -> None:
    assert run(10, 20, 30, 40).between(10, 30).time_ns.tolist() == [20, 30]


def test_concatenation_keeps_order_and_drops_columns_that_a_part_lacks() -> None:
    joined = Samples.concatenate([run(10, 20), Samples.empty(), run(30, marked=False)])
    assert joined.power_w.tolist() == [1.0, 2.0, 3.0]
    assert joined.mark is None
    assert joined.voltage_v is None


def test_nothing_joins_with_anything() -> None:
    assert len(Samples.concatenate([])) == 0
    assert Samples.concatenate([Samples.empty(), run(10)]).mark is not None


def test_a_channel_is_picked_from_a_mixture() -> None:
    mixed = Samples.concatenate([run(10, channel=0), run(20, channel=1), run(30, channel=0)])
    assert mixed.of_channel(0).time_ns.tolist() == [10, 30]
