from __future__ import annotations

import errno
import json
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pyarrow.parquet as pq
import pytest

from results import Run, StoreError, StoreFull
from results.dataset import About, check, export, read_run
from results.dataset.folder import files_below, read_facts
from results.dataset.tables import TABLES
from results.records import FORMAT_VERSION

RunMaker = Callable[..., Path]
ABOUT = About("a dataset")


def test_a_dataset_of_two_boards_keeps_its_promises(made: Path) -> None:
    assert [found for found in check(made) if found.verdict != "ok"] == []
    facts = read_facts(made)
    assert facts.boards == ("virtual-jetson-agx-orin", "virtual-raspberry-pi-5")
    assert (facts.rows("trials"), facts.rows("samples"), facts.rows("runs")) == (52, 52 * 20, 2)
    assert facts.provenance == {"virtual": 52}
    assert "None of its figures is a measurement of hardware" in (made / "README.md").read_text()
    assert len(facts.unfinished) == 1


def test_files_lie_by_board_and_run(made: Path) -> None:
    facts = read_facts(made)
    for run in facts.runs:
        (path,) = (path for path in facts.files if path.startswith("trials/") and f"/run={run}/" in path)
        rows = pq.read_table(made / path, partitioning=None).to_pylist()
        assert {row["run"] for row in rows} == {run}
        assert path == f"trials/board={rows[0]['board']}/run={run}/part-00000.parquet"
        metadata = pq.read_metadata(made / path)
        assert metadata.row_group(0).column(0).compression == "ZSTD"


def test_every_trial_comes_back_as_it_was(made: Path, runs: list[Path]) -> None:
    originals = sorted((Run.read(path) for path in runs), key=lambda run: len(run.trials), reverse=True)
    back = sorted(
        (read_run(made, name) for name in read_facts(made).runs), key=lambda run: len(run.trials), reverse=True
    )
    for original, read in zip(originals, back, strict=True):
        assert read.trials == original.trials
        assert read.blocks == original.blocks
        assert (len(read.plan), read.complete) == (len(original.plan), original.complete)
        hidden = {"host": {}, "bench": {}}
        assert replace(read.header, **hidden) == replace(original.header, **hidden)


def test_a_run_that_is_not_there_is_named(made: Path) -> None:
    with pytest.raises(StoreError, match="has no run nowhere; it has: synthetic-desk-"):
        read_run(made, "nowhere")


def test_every_column_has_a_meaning(made: Path) -> None:
    text = (made / "data-dictionary.md").read_text()
    for table in TABLES.values():
        names = [column.name for column in table.columns]
        assert len(set(names)) == len(names)
        for column in table.columns:
            assert column.says
            assert f"| `{column.name}` |" in text


def test_a_name_with_a_unit_has_that_unit() -> None:
    endings = {"_j": "J", "_w": "W", "_s": "s", "_ns": "ns", "_hz": "Hz", "_bps": "bit/s", "_dbm": "dBm", "_bytes": "B"}
    for table in TABLES.values():
        for column in table.columns:
            for ending, unit in endings.items():
                if column.name.endswith(ending):
                    assert column.unit == unit, column.name


def test_a_trial_without_latencies_has_no_mean(tmp_path: Path, synthetic: ModuleType) -> None:
    nothing = {"outcome": "refused", "latencies_s": (), "n": 0, "qos_met": 0, "energy": None, "accuracy": None}
    run = synthetic.recorded(tmp_path / "run", nothing, meter=None)
    export([run.path], tmp_path / "out", ABOUT)
    (row,) = pq.read_table(tmp_path / "out" / "trials", partitioning=None).to_pylist()
    assert row["latencies_s"] == []
    assert row["latency_mean_s"] is row["latency_p99_s"] is row["energy_j"] is None
    assert row["compute_s"] == 0


def test_measured_and_virtual_do_not_mix_unasked(tmp_path: Path, make_run: RunMaker, runs: list[Path]) -> None:
    measured = make_run(tmp_path / "measured", 4, provenance="measured", seed=3)
    with pytest.raises(StoreError, match=r"do not go into one dataset unasked: measured: .*measured; not: .*one"):
        export([measured, runs[0]], tmp_path / "out", ABOUT)
    assert not (tmp_path / "out").exists()
    facts = export([measured, runs[0]], tmp_path / "out", ABOUT, mixed=True)
    assert facts.provenance == {"measured": 4, "virtual": 40}
    assert (
        "It mixes measurements of hardware with figures that are none (4 measured, 40 virtual)"
        in (tmp_path / "out" / "README.md").read_text()
    )
    named = {row["run"]: row["provenance"] for row in pq.read_table(tmp_path / "out" / "runs").to_pylist()}
    assert sorted(named.values()) == ["measured", "virtual"]


def test_runs_of_other_versions_are_all_named(tmp_path: Path, make_run: RunMaker, runs: list[Path]) -> None:
    old = []
    for version in (FORMAT_VERSION - 1, 99):
        path = make_run(tmp_path / f"v{version}", 2)
        header = json.loads((path / "run.json").read_text())
        (path / "run.json").write_text(json.dumps(header | {"format_version": version}))
        old.append(path)
    with pytest.raises(StoreError) as refused:
        export([old[0], runs[0], old[1]], tmp_path / "out", ABOUT)
    assert f"{old[0]} has run format {FORMAT_VERSION - 1}" in str(refused.value)
    assert f"{old[1]} has run format 99" in str(refused.value)
    assert not (tmp_path / "out").exists()


def test_a_run_given_twice_is_refused(tmp_path: Path, runs: list[Path]) -> None:
    with pytest.raises(StoreError, match="are the same run: give it once"):
        export([runs[0], runs[1], runs[0]], tmp_path / "out", ABOUT)


def test_a_folder_that_holds_something_is_left_alone(tmp_path: Path, runs: list[Path]) -> None:
    (tmp_path / "mine").write_text("precious")
    with pytest.raises(StoreError, match="exists already: choose another folder"):
        export(runs, tmp_path, ABOUT)
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


def test_a_damaged_line_is_named(tmp_path: Path, make_run: RunMaker) -> None:
    run = make_run(tmp_path / "run", 6, planned=7)
    lines = (run / "trials.jsonl").read_bytes().splitlines(keepends=True)
    (run / "trials.jsonl").write_bytes(b"".join([*lines[:3], b'{"index": 3}\n', *lines[4:]]))
    with pytest.raises(StoreError, match=r"trials\.jsonl, line 4: "):
        export([run], tmp_path / "out", ABOUT)
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def test_a_torn_last_line_is_left_out(tmp_path: Path, make_run: RunMaker) -> None:
    run = make_run(tmp_path / "run", 6, planned=7)
    whole = (run / "trials.jsonl").read_bytes()
    (run / "trials.jsonl").write_bytes(whole[:-30])
    facts = export([run], tmp_path / "out", ABOUT)
    assert (facts.rows("trials"), facts.rows("samples")) == (5, 100)


def test_a_full_disk_leaves_nothing_half_made(tmp_path: Path, runs: list[Path]) -> None:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (8192, before[1]))
    try:
        with pytest.raises(StoreFull, match=os.strerror(errno.EFBIG)):
            export(runs, tmp_path / "out", ABOUT)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)
    assert not list(tmp_path.iterdir())
    export(runs, tmp_path / "out", ABOUT)


_KILLED = """
import os, signal, sys
from pathlib import Path
from results.dataset import About, export
def step(text):
    if text == "checksums":
        os.kill(os.getpid(), signal.SIGKILL)
export([Path(sys.argv[1])], Path(sys.argv[2]), About("killed"), on_step=step)
"""


def test_a_killed_export_leaves_no_dataset_and_is_swept_up(tmp_path: Path, runs: list[Path]) -> None:
    out = tmp_path / "out"
    done = subprocess.run([sys.executable, "-c", _KILLED, str(runs[1]), str(out)], check=False)
    assert done.returncode == -signal.SIGKILL
    assert [path.name for path in tmp_path.iterdir()] == [".out.part"]
    export([runs[1]], out, ABOUT)
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    assert "csv" not in {path.split("/")[0] for path in files_below(out)}


def test_two_exports_to_one_folder_do_not_meet(tmp_path: Path, runs: list[Path]) -> None:
    def second(text: str) -> None:
        if text == "checksums":
            with pytest.raises(StoreError, match="being written by another process"):
                export([runs[1]], tmp_path / "out", ABOUT)

    export([runs[0]], tmp_path / "out", ABOUT, on_step=second)
    assert read_facts(tmp_path / "out").rows("trials") == 40


_MEASURED = """
import resource, sys
from pathlib import Path
from results.dataset import About, export
for run in sys.argv[2:]:
    export([Path(run)], Path(sys.argv[1]) / Path(run).name, About("big"))
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def test_memory_does_not_grow_with_the_run(tmp_path: Path, make_run: RunMaker) -> None:
    """Twice the trials, either beyond a row group; held whole they would take another 25 MB."""
    run = make_run(tmp_path / "seed", 40)
    lines = [json.loads(line) for line in (run / "trials.jsonl").read_text().splitlines()]
    sizes = {"small": 2100, "large": 4200}
    for name, count in sizes.items():
        folder = tmp_path / name
        folder.mkdir()
        (folder / "run.json").write_bytes((run / "run.json").read_bytes())
        with (folder / "trials.jsonl").open("w") as trials:
            for index in range(count):
                trials.write(json.dumps(lines[index % 40] | {"index": index}) + "\n")
        (folder / "plan.jsonl").write_text("{}\n" * count)
    (tmp_path / "out").mkdir()
    command = [sys.executable, "-c", _MEASURED, str(tmp_path / "out"), *(str(tmp_path / name) for name in sizes)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    small_kib, large_kib = map(int, done.stdout.split())
    assert large_kib - small_kib < 12 * 1024
