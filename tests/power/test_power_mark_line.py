"""Edges of a marker line: where they are, which way, and how sure."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from power import Samples, find_edges

PERIOD_NS = 200_000


def trace(levels: list[int], line: int = 0) -> Samples:
    index = np.arange(len(levels), dtype=np.int64)
    mark = (np.array(levels, np.uint8) << line).astype(np.uint8)
    return Samples(index, index * PERIOD_NS, np.zeros(len(levels), np.uint8), np.ones(len(levels)), mark=mark)


@given(st.lists(st.integers(0, 1), min_size=2, max_size=200), st.integers(0, 7))
def test_every_change_is_an_edge_between_the_two_samples_that_differ(levels: list[int], line: int) -> None:
    edges = find_edges(trace(levels, line), line)
    changes = [i for i in range(1, len(levels)) if levels[i] != levels[i - 1]]
    assert edges.time_ns.tolist() == [i * PERIOD_NS - PERIOD_NS // 2 for i in changes]
    assert edges.rises.tolist() == [levels[i] == 1 for i in changes]
    assert edges.spread_s == pytest.approx(np.full(len(changes), PERIOD_NS * 1e-9 / 12**0.5))


def test_an_edge_beside_lost_samples_is_less_certain() -> None:
    whole = trace([0] * 5 + [1] * 5)
    holed = whole.take(~np.isin(whole.index, [3, 4, 5]))
    (edge_ns,), (spread_s,) = find_edges(holed, 0).time_ns, find_edges(holed, 0).spread_s
    assert edge_ns == 4 * PERIOD_NS
    assert spread_s == pytest.approx(4 * PERIOD_NS * 1e-9 / 12**0.5)


def test_the_nearest_edge_is_one_of_the_kind_asked_for() -> None:
    edges = find_edges(trace([0, 0, 1, 1, 1, 1, 0, 0, 1, 1]), 0)
    assert edges.nearest(6 * PERIOD_NS, rises=True) == 2
    assert edges.nearest(0, rises=False) == 1
    assert find_edges(trace([0, 1]), 0).nearest(0, rises=False) is None


def test_a_trace_without_mark_lines_has_no_edges_to_find() -> None:
    with pytest.raises(ValueError, match="without mark lines"):
        find_edges(replace(trace([0, 1]), mark=None), 0)
