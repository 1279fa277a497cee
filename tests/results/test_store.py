from __future__ import annotations

import errno
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from results.durable import StoreError, StoreFull
from results.records import FORMAT_VERSION
from results.run import Run
from results.samples import SCHEMA
from results.store import RunStore

HERE = Path(__file__).parent


def check_whole(run: Run, synthetic: ModuleType, samples_each: int = 20) -> None:
    """Every durable trial is as written, once, and has exactly its own samples."""
    assert list(run.trials) == [synthetic.trial(index) for index in range(len(run.trials))]
    for index in range(len(run.trials)):
        table = run.samples_of(index)
        assert table.schema == SCHEMA
        start_ns = synthetic.lead_in_ns(index)
        assert table["time_ns"].to_pylist() == [start_ns + step * synthetic.MS for step in range(samples_each)]


def test_what_was_written_is_read_back(unfinished: Path, synthetic: ModuleType) -> None:
    run = Run.read(unfinished)
    assert run.header == synthetic.header()
    assert run.plan == tuple(synthetic.plan(6))
    assert run.blocks == (synthetic.block(),)
    assert not run.complete
    assert len(run.trials) == 3
    check_whole(run, synthetic)


def test_samples_keep_their_columns(unfinished: Path, synthetic: ModuleType) -> None:
    table = Run.read(unfinished).samples_of(1)
    assert table["index"].to_pylist() == list(range(20, 40))
    assert set(table["power_w"].to_pylist()) == {5.0}
    assert set(table["voltage_v"].to_pylist()) == {5.0}
    assert table["current_a"].null_count == 20


def test_samples_between_two_times(unfinished: Path, synthetic: ModuleType) -> None:
    first, last = synthetic.lead_in_ns(0) + 15 * synthetic.MS, synthetic.lead_in_ns(1) + 5 * synthetic.MS
    times = Run.read(unfinished).samples_between(first, last)["time_ns"].to_pylist()
    assert times == list(range(first, last + 1, synthetic.MS))


def test_a_run_is_resumed_finished_and_packed(unfinished: Path, synthetic: ModuleType) -> None:
    with RunStore.open_for_resume(unfinished) as store:
        assert len(store.trials) == 3
        synthetic.record_all(store, 6)
        assert len(list(unfinished.glob("samples-*.arrows"))) == 2
        store.finish()
    assert not list(unfinished.glob("*.arrows"))
    assert pq.ParquetFile(unfinished / "samples.parquet").metadata.row_group(0).column(0).compression == "ZSTD"
    run = Run.read(unfinished)
    assert run.complete
    check_whole(run, synthetic)
    assert len(run.samples_between(0, 2**62)) == 6 * 20


def test_a_run_without_monitor_has_no_samples(tmp_path: Path, synthetic: ModuleType) -> None:
    with RunStore.create(tmp_path / "run", synthetic.header(), synthetic.plan(1)) as store:
        store.append(synthetic.trial(0, energy=None))
        store.finish()
    assert sorted(path.name for path in (tmp_path / "run").iterdir()) == [
        "blocks.jsonl",
        "complete.json",
        "plan.jsonl",
        "run.json",
        "trials.jsonl",
    ]
    assert len(Run.read(tmp_path / "run").samples_of(0)) == 0


def test_a_reboot_between_start_and_resume_mixes_no_samples(unfinished: Path, synthetic: ModuleType) -> None:
    with RunStore.open_for_resume(unfinished) as store:
        store.append(synthetic.trial(3), synthetic.columns(synthetic.lead_in_ns(0), power_w=9.0))
    assert set(Run.read(unfinished).samples_of(0)["power_w"].to_pylist()) == {5.0}
    assert set(Run.read(unfinished).samples_of(3)["power_w"].to_pylist()) == {9.0}


@pytest.mark.parametrize(
    ("index", "complaint"), [(2, "holds trial 2 already; the next is 3"), (4, "out of the plan's order")]
)
def test_no_trial_is_doubled_or_skipped(unfinished: Path, synthetic: ModuleType, index: int, complaint: str) -> None:
    with RunStore.open_for_resume(unfinished) as store, pytest.raises(StoreError, match=complaint):
        store.append(synthetic.trial(index), synthetic.columns(0))
    check_whole(Run.read(unfinished), synthetic)


def test_nothing_is_appended_beyond_the_plan(unfinished: Path, synthetic: ModuleType) -> None:
    with RunStore.open_for_resume(unfinished) as store:
        synthetic.record_all(store, 6)
        with pytest.raises(StoreError, match="6 of 6 are done"):
            store.append(synthetic.trial(6))


def test_an_unfinished_run_cannot_be_finished(unfinished: Path) -> None:
    with (
        RunStore.open_for_resume(unfinished) as store,
        pytest.raises(StoreError, match=r"3 of 6 trials: resume it first"),
    ):
        store.finish()


def test_a_run_in_use_is_refused_but_read(unfinished: Path, synthetic: ModuleType) -> None:
    with RunStore.open_for_resume(unfinished):
        with pytest.raises(StoreError, match="in use by another process"):
            RunStore.open_for_resume(unfinished)
        check_whole(Run.read(unfinished), synthetic)
    RunStore.open_for_resume(unfinished).close()


def test_a_complete_run_is_not_resumed(tmp_path: Path, synthetic: ModuleType) -> None:
    with RunStore.create(tmp_path / "run", synthetic.header(), []) as store:
        store.finish()
    with pytest.raises(StoreError, match="is complete"):
        RunStore.open_for_resume(tmp_path / "run")


def test_a_folder_that_is_no_run_is_refused_and_left_alone(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "absent"):
        with pytest.raises(StoreError, match=r"is not a run: it has no run\.json"):
            RunStore.open_for_resume(path)
    assert not list(tmp_path.iterdir())


def test_a_folder_with_something_in_it_is_not_taken(unfinished: Path, synthetic: ModuleType) -> None:
    with pytest.raises(StoreError, match="exists already"):
        RunStore.create(unfinished, synthetic.header(), synthetic.plan(1))


@pytest.mark.parametrize("version", [FORMAT_VERSION - 1, 99])
def test_another_format_version_is_refused(unfinished: Path, version: int) -> None:
    header = json.loads((unfinished / "run.json").read_text())
    (unfinished / "run.json").write_text(json.dumps(header | {"format_version": version, "novelty": 1}))
    for use in (Run.read, RunStore.open_for_resume):
        with pytest.raises(StoreError, match=f"run format {version}, this program reads {FORMAT_VERSION}"):
            use(unfinished)


def test_a_damaged_line_amid_the_trials_is_named(unfinished: Path) -> None:
    file = unfinished / "trials.jsonl"
    lines = file.read_text().splitlines(keepends=True)
    file.write_text(lines[0] + "{}\n" + lines[2])
    with pytest.raises(StoreError, match=r"trials\.jsonl, line 2: not a TrialRecord: index: missing key"):
        RunStore.open_for_resume(unfinished)


def test_a_lost_line_is_noticed(unfinished: Path) -> None:
    file = unfinished / "trials.jsonl"
    file.write_text("".join(file.read_text().splitlines(keepends=True)[1:]))
    with pytest.raises(StoreError, match="line 1: trial 1 where 0 belongs"):
        Run.read(unfinished)


@pytest.fixture(scope="module")
def pristine(synthetic: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return synthetic.unfinished_run(tmp_path_factory.mktemp("pristine") / "run")


@given(data=st.data())
@settings(max_examples=60, deadline=None)
def test_any_torn_tail_is_mended(pristine: Path, synthetic: ModuleType, data: st.DataObject) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(shutil.copytree(pristine, Path(scratch) / "run"))
        torn = folder / data.draw(st.sampled_from(["trials.jsonl", "blocks.jsonl", "samples-0001.arrows"]))
        size = data.draw(st.integers(0, torn.stat().st_size))
        os.truncate(torn, size)
        lines = (folder / "trials.jsonl").read_bytes().count(b"\n")
        Run.read(folder)
        with RunStore.open_for_resume(folder) as store:
            assert store.trials == [synthetic.trial(index) for index in range(lines)]
            synthetic.record_all(store, 6)
            store.finish()
        run = Run.read(folder)
        if torn.suffix == ".arrows":  # not what a crash does: samples are durable before their trial
            assert len(run.trials) == 6
        else:
            check_whole(run, synthetic)


@pytest.mark.parametrize("size", [0, 10, -1])
def test_a_damaged_header_or_plan_is_an_error(unfinished: Path, size: int) -> None:
    for name in ("run.json", "plan.jsonl"):
        if name == "plan.jsonl" and size == 0:
            continue
        file = unfinished / name
        whole = file.read_bytes()
        file.write_bytes(whole[:size])
        with pytest.raises(StoreError, match="damaged"):
            RunStore.open_for_resume(unfinished)
        file.write_bytes(whole)


def finished(folder: Path, synthetic: ModuleType) -> None:
    with RunStore.open_for_resume(folder) as store:
        synthetic.record_all(store, 6)
        store.finish()


@pytest.mark.parametrize("crash", ["half-made", "truncated", "not yet removed", "not yet marked"])
def test_packing_that_was_cut_short_is_ended(tmp_path: Path, synthetic: ModuleType, crash: str) -> None:
    folder = synthetic.unfinished_run(tmp_path / "run", planned=6, done=6)
    segment = (folder / "samples-0001.arrows").read_bytes()
    with RunStore.open_for_resume(folder) as store:
        store.finish()
    (folder / "complete.json").unlink()
    parquet = folder / "samples.parquet"
    if crash != "not yet marked":
        (folder / "samples-0001.arrows").write_bytes(segment)
    if crash == "half-made":
        parquet.rename(folder / "samples.parquet.part")
    if crash == "truncated":
        os.truncate(parquet, parquet.stat().st_size // 2)
    finished(folder, synthetic)
    check_whole(Run.read(folder), synthetic)
    names = {path.name for path in folder.iterdir()}
    assert names == {"run.json", "plan.jsonl", "trials.jsonl", "blocks.jsonl", "samples.parquet", "complete.json"}


def test_a_damaged_parquet_file_is_named(tmp_path: Path, synthetic: ModuleType) -> None:
    folder = synthetic.unfinished_run(tmp_path / "run")
    finished(folder, synthetic)
    os.truncate(folder / "samples.parquet", 100)
    with pytest.raises(StoreError, match=r"samples\.parquet is damaged"):
        Run.read(folder).samples_of(0)


@pytest.fixture(scope="module")
def writers() -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, str(HERE / "killed_writer.py")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1) as process:
        yield process


def kill_a_writer(writers: subprocess.Popen[str], folder: Path, survived: int) -> int:
    """Lets a writer record `survived` trials, kills it in what follows; returns the last trial it called durable."""
    assert writers.stdin
    assert writers.stdout
    writers.stdin.write(f"{folder}\n")
    process = int(writers.stdout.readline())
    durable = [int(writers.stdout.readline()) for _ in range(survived)]
    os.kill(process, signal.SIGKILL)
    durable += [int(line) for line in iter(writers.stdout.readline, "dead\n")]
    return durable[-1]


@pytest.mark.parametrize("survived", range(1, 25))
def test_kill_9_loses_nothing_durable(
    writers: subprocess.Popen[str], tmp_path: Path, synthetic: ModuleType, survived: int
) -> None:
    kill_a_writer(writers, tmp_path / "run", survived)
    durable = kill_a_writer(writers, tmp_path / "run", survived)
    with RunStore.open_for_resume(tmp_path / "run") as store:
        assert len(store.trials) in (durable + 1, durable + 2)  # the last may have been durable before it said so
        check_whole(Run.read(tmp_path / "run"), synthetic, samples_each=200)
        store.append(synthetic.trial(len(store.trials)))


@pytest.fixture
def tiny(tmp_path: Path) -> Iterator[Path]:
    """A file system of 256 KiB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = (
        os.geteuid() == 0
        and not subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(disk)], capture_output=True, check=False
        ).returncode
    )
    if not mounted:
        pytest.skip("mounting a tiny file system needs root")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


def fill(store: RunStore, synthetic: ModuleType) -> None:
    for index in range(len(store.trials), len(store.plan)):
        store.append(synthetic.trial(index), synthetic.columns(synthetic.lead_in_ns(index)))


def test_a_full_disk_keeps_what_was_durable(tiny: Path, tmp_path: Path, synthetic: ModuleType) -> None:
    ballast = tiny / "ballast"
    ballast.write_bytes(bytes(128 * 1024))
    folder = tiny / "run"
    with RunStore.create(folder, synthetic.header(), synthetic.plan(60)) as store:
        with pytest.raises(StoreFull, match=r"cannot write .*: No space left on device"):
            fill(store, synthetic)
        done = len(store.trials)
        assert 0 < done < 60
        check_whole(Run.read(folder), synthetic)
    ballast.unlink()
    with RunStore.open_for_resume(folder) as store:
        assert len(store.trials) == done
        fill(store, synthetic)
        ballast.write_bytes(bytes(shutil.disk_usage(tiny).free))
        with pytest.raises(StoreFull, match=r"samples\.parquet"):
            store.finish()
    assert not Run.read(folder).complete
    check_whole(Run.read(folder), synthetic)
    ballast.unlink()
    with RunStore.open_for_resume(folder) as store:
        store.finish()
    check_whole(Run.read(folder), synthetic)


SMALL_BYTES = 16 * 1024


@contextmanager
def small_files() -> Iterator[None]:
    """No file of this process grows beyond `SMALL_BYTES`: that includes a file the tests' own output goes to."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (SMALL_BYTES, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def sizes(folder: Path) -> dict[str, int]:
    return {path.name: path.stat().st_size for path in folder.iterdir()}


@pytest.mark.parametrize(("samples_each", "full"), [(1, "trials.jsonl"), (200, "samples-0001.arrows")])
def test_a_refused_append_leaves_no_trace(tmp_path: Path, synthetic: ModuleType, samples_each: int, full: str) -> None:
    folder = tmp_path / "run"
    with RunStore.create(folder, synthetic.header(), synthetic.plan(30)) as store:
        synthetic.record_all(store, 1)
        before = sizes(folder)

        def append_all() -> None:
            for index in range(1, 30):
                before.update(sizes(folder))
                store.append(synthetic.trial(index), synthetic.columns(synthetic.lead_in_ns(index), samples_each))

        with pytest.raises(StoreFull, match=f"{full}: {os.strerror(errno.EFBIG)}"), small_files():
            append_all()
        assert sizes(folder) == before
        assert before[full] > SMALL_BYTES / 4
        assert list(Run.read(folder).trials) == store.trials
