"""The lease on what is altered: one holder at a time, and what a dead one left is put back first."""

from __future__ import annotations

from pathlib import Path

import pytest

from testbed.agent.guard.guard import Guard
from testbed.agent.guard.lease import Lease, LeaseError, sweep
from testbed.agent.guard.undo import delete_device, undo


def test_a_second_holder_is_told_who_the_first_is(tmp_path: Path) -> None:
    lease = Lease.take("thing", "bench 'one'", [], folder=tmp_path)
    with pytest.raises(LeaseError, match=r"is in use by bench 'one' \(process \d+\)"):
        Lease.take("thing", "bench 'two'", [], folder=tmp_path)
    lease.put_back()
    lease.close()
    Lease.take("thing", "bench 'two'", [], folder=tmp_path).close()


def test_what_cannot_be_put_back_is_kept_and_named(tmp_path: Path) -> None:
    Lease.take("thing", "bench 'one'", [{"do": "unheard-of", "name": "x"}], folder=tmp_path).close()
    with pytest.raises(LeaseError, match="cannot be put back: no such step: .*unheard-of"):
        Lease.take("thing", "bench 'two'", [], folder=tmp_path)
    [line] = sweep(tmp_path)
    assert "unheard-of" in line


def test_a_sweep_leaves_alone_what_is_held(tmp_path: Path) -> None:
    lease = Lease.take("thing", "bench 'one'", [{"do": "unheard-of", "name": "x"}], folder=tmp_path)
    [line] = sweep(tmp_path)
    assert "is in use by bench 'one'" in line
    lease.close()


@pytest.mark.parametrize("content", ["", "{", "[]", "null"])
def test_a_file_that_says_nothing_asks_for_nothing(tmp_path: Path, content: str) -> None:
    (tmp_path / "testbed-thing.json").write_text(content)
    Lease.take("thing", "bench 'one'", [], folder=tmp_path).close()


def test_a_link_in_the_place_of_a_lease_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "testbed-thing.json").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(LeaseError, match="cannot be opened"):
        Lease.take("thing", "bench 'one'", [], folder=tmp_path)
    assert not (tmp_path / "elsewhere").exists()


def test_a_guard_empties_the_lease_and_lets_go(tmp_path: Path) -> None:
    lease = Lease.take("thing", "bench 'one'", [], folder=tmp_path)
    guard = Guard(lease)
    assert guard.alive
    lease.close()
    with pytest.raises(LeaseError, match="is in use"):
        Lease.take("thing", "bench 'two'", [], folder=tmp_path)
    guard.close()
    guard.close()
    assert not guard.alive
    assert lease.path.read_text() == ""
    Lease.take("thing", "bench 'two'", [], folder=tmp_path).close()


def test_a_step_that_cannot_be_is_named() -> None:
    assert undo([]) == []
    assert undo([{**delete_device("eth0"), "namespace": "1"}]) == ["eth0 is in another network namespace, 1"]
    assert undo([{"do": "delete-device"}]) == ["no such step: {'do': 'delete-device'} ('namespace')"]
