"""The lease on what is altered: one holder at a time, and what a dead one left is put back first."""

from __future__ import annotations

import signal
import subprocess
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st

from testbed.agent.control.files import limits_in_order
from testbed.agent.guard.guard import Guard
from testbed.agent.guard.lease import Lease, LeaseError, sweep
from testbed.agent.guard.undo import delete_device, end_group, run_again, undo, write_back


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
    guard = Guard()
    assert not guard.alive
    guard.watch(lease)
    assert guard.alive
    lease.close()
    with pytest.raises(LeaseError, match="is in use"):
        Lease.take("thing", "bench 'two'", [], folder=tmp_path)
    guard.close()
    guard.close()
    assert not guard.alive
    assert not lease.path.exists()
    Lease.take("thing", "bench 'two'", [], folder=tmp_path).close()


def test_a_guard_forgets_what_its_holder_put_back(tmp_path: Path) -> None:
    with Guard() as guard:
        for thing in ("one", "other"):
            guard.watch(Lease.take(thing, "bench 'one'", [], folder=tmp_path))
        lease = Lease.take("third", "bench 'one'", [], folder=tmp_path)
        guard.watch(lease)
        lease.put_back()
        guard.forget(lease)
        lease.close()
        Lease.take("third", "bench 'two'", [], folder=tmp_path).close()


def test_what_the_kernel_held_is_not_put_back_after_a_boot(tmp_path: Path) -> None:
    knob, mode = tmp_path / "knob", tmp_path / "mode"
    knob.write_text("new")
    steps = [write_back(knob, "old"), run_again(["sh", "-c", f"cat > {mode}"], "as before")]
    lease = Lease.take("thing", "bench 'one'", steps, folder=tmp_path)
    lease.write(lease.read() | {"boot": "another"})
    lease.close()
    assert [*sweep(tmp_path)] == ["testbed-thing.json: put back what bench 'one' left"]
    assert (knob.read_text(), mode.read_text()) == ("new", "as before")


def test_a_command_that_fails_is_named_and_kept(tmp_path: Path) -> None:
    steps = [run_again(["sh", "-c", "echo no such mode >&2; exit 3"], "")]
    lease = Lease.take("thing", "bench 'one'", steps, folder=tmp_path)
    with pytest.raises(LeaseError, match="exit 3: no such mode"):
        lease.put_back()
    assert lease.read()["undo"]
    lease.close()


def test_a_process_group_is_ended_and_no_other_that_got_its_number() -> None:
    with subprocess.Popen(["sleep", "600"], start_new_session=True) as process:
        step = end_group(process.pid)
        assert undo([{**step, "begun": "1"}]) == []
        assert process.poll() is None
        assert undo([step]) == []
        assert process.wait() == -signal.SIGKILL
    assert undo([step]) == []


@given(st.integers(1, 9), st.integers(1, 9), st.integers(1, 9), st.integers(1, 9))
def test_limits_never_cross_on_their_way(low: int, high: int, low_to: int, high_to: int) -> None:
    low, high, low_to, high_to = min(low, high), max(low, high), min(low_to, high_to), max(low_to, high_to)
    with TemporaryDirectory() as folder:
        files = Path(folder) / "low", Path(folder) / "high"
        now = dict(zip(files, (low, high), strict=True))
        for file, value in now.items():
            file.write_text(f"{value}\n")
        for file, text in limits_in_order(*files, low_to, high_to):
            now[file] = int(text)
            assert now[files[0]] <= now[files[1]]
        assert tuple(now.values()) == (low_to, high_to)


def test_a_step_that_cannot_be_is_named() -> None:
    assert undo([]) == []
    assert undo([{**delete_device("eth0"), "namespace": "1"}]) == ["eth0 is in another network namespace, 1"]
    assert undo([{"do": "delete-device"}]) == ["no such step: {'do': 'delete-device'} ('namespace')"]
