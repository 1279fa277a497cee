from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scheduler.contract import Network, State, Task
from scheduler.features import GRAPH_BINS, PUBLISHED_BINS, Bins, RowIndex

EDGES = {
    "conv_layers": [0, 29, 30, 49, 50, 89, 90, 500],
    "fc_layers": [0, 9, 10, 400],
    "rc_layers": [0, 9, 10, 30],
    "macs": [0, 999_999_999, 1_000_000_000, 1_999_999_999, 2_000_000_000, 6_000_000_000],
    "co_cpu": [0.0, 0.01, 0.249, 0.25, 0.749, 0.75, 1.0],
    "co_memory": [0.0, 0.01, 0.249, 0.25, 0.749, 0.75, 1.0],
    "rssi_dbm": [-95.0, -80.0, -79.9, -40.0],
    "peer_rssi_dbm": [-95.0, -80.0, -79.9, -40.0],
}
BINS = {
    "conv_layers": [0, 0, 1, 1, 2, 2, 3, 3],
    "fc_layers": [0, 0, 1, 1],
    "rc_layers": [0, 0, 1, 1],
    "macs": [0, 0, 1, 1, 2, 2],
    "co_cpu": [0, 1, 1, 2, 2, 3, 3],
    "co_memory": [0, 1, 1, 2, 2, 3, 3],
    "rssi_dbm": [0, 0, 1, 1],
    "peer_rssi_dbm": [0, 0, 1, 1],
}


def _state(**values: float) -> State:
    network = Network("n", 0, 0, 0, 0, 0)
    of_network = {name: value for name, value in values.items() if hasattr(network, name)}
    task = Task("t", replace(network, **of_network), 0.05, 0.0, {"fp32": 1.0})
    lowest = {"co_cpu": 0.0, "co_memory": 0.0, "rssi_dbm": -90.0, "peer_rssi_dbm": -90.0}
    return State(task=task, **{name: values.get(name, low) for name, low in lowest.items()})


def test_the_published_table_has_3072_rows() -> None:
    assert PUBLISHED_BINS.rows == 3072


@pytest.mark.parametrize("feature", EDGES)
def test_each_published_edge_falls_where_the_paper_puts_it(feature: str) -> None:
    row_of = RowIndex(PUBLISHED_BINS)
    rows = [row_of(_state(**{feature: value})) for value in EDGES[feature]]
    expected = BINS[feature]
    for i, row in enumerate(rows):
        for j, other in enumerate(rows):
            assert (row == other) == (expected[i] == expected[j]), (EDGES[feature][i], EDGES[feature][j])


@given(st.fixed_dictionaries({name: st.sampled_from(range(len(values))) for name, values in EDGES.items()}))
def test_a_row_is_the_mixed_radix_number_of_its_bins(picks: dict[str, int]) -> None:
    row = 0
    for name, size in zip(EDGES, (4, 2, 2, 3, 4, 4, 2, 2), strict=True):
        row = row * size + BINS[name][picks[name]]
    assert RowIndex(PUBLISHED_BINS)(_state(**{name: EDGES[name][i] for name, i in picks.items()})) == row


def test_a_task_that_changes_its_network_under_the_same_name_gets_its_own_row() -> None:
    row_of = RowIndex(PUBLISHED_BINS)
    assert row_of(_state(macs=5e9)) != row_of(_state(macs=1e6))


def test_other_edges_make_another_table() -> None:
    bins = Bins(co_memory=(), rssi_dbm=(-75.0, -65.0))
    assert bins.rows == 3072 // 4 // 2 * 3
    row_of = RowIndex(bins)
    assert row_of(_state(rssi_dbm=-70.0)) != row_of(_state(rssi_dbm=-60.0))
    assert row_of(_state(co_memory=0.9)) == row_of(_state(co_memory=0.1))


def test_graph_counts_fall_into_four_groups() -> None:
    row_of = RowIndex(GRAPH_BINS)
    groups = [{row_of(_state(conv_layers=n)) for n in group} for group in ((0,), (27,), (47, 52, 53, 57, 62), (94,))]
    assert [len(group) for group in groups] == [1, 1, 1, 1]
    assert len(set.union(*groups)) == 4


def test_edges_out_of_order_are_refused() -> None:
    with pytest.raises(ValueError, match=r"co_cpu must ascend"):
        Bins(co_cpu=(0.5, 0.2))
