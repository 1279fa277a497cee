"""From a suite to a dataset with one command, and what the commands about datasets say when they cannot."""

from __future__ import annotations

import json

import pyarrow.parquet as pq
import pytest

from results.dataset.folder import read_facts
from tests.testbed.whole.conftest import SUITE, CommandLine


def test_collect_leaves_a_run_and_a_dataset_that_keeps_its_promises(command_line: CommandLine) -> None:
    suite = SUITE.replace(", cloud/fp32", "").replace("  - {name: cloud, trials: 1}\n", "").replace("[S1, S4]", "[S1]")
    command_line.write("suite.yaml", suite)
    options = ("--bench", "bench.yaml", "--to", "out", "--csv", "--license", "CC-BY-4.0", "--creator", "Ada")
    done = command_line.run("collect", "suite.yaml", *options)
    assert done.returncode == 0, done.stderr
    assert "None of its figures is a measurement of hardware" in done.stdout
    checked = command_line.run("dataset", "check", "out", "--json")
    assert checked.returncode == 0, checked.stdout
    assert {found["verdict"] for found in json.loads(checked.stdout)["findings"]} == {"ok"}
    folder = command_line.folder / "out"
    facts = read_facts(folder)
    (trials,) = (path for path, file in facts.files.items() if file.table == "trials")
    row = pq.read_table(folder / trials, partitioning=None).to_pylist()[-1]
    assert (row["model"], row["model_conv_layers"], row["board"]) == ("mobilenet-v2", 52, "virtual-jetson-agx-orin")
    assert row["asked_link_rssi_dbm"] == -58.0
    assert facts.rows("samples") > 1000
    card = folder / "README.md"
    card.write_text(card.read_text().replace("configs:", "setups:"))
    spoilt = command_line.run("dataset", "check", "out")
    assert spoilt.returncode == 1
    assert "wrong  description: README.md" in spoilt.stdout
    command_line.ends()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("export", "empty", "--to", "out"), "empty is not a run"),
        (("export", "empty", "--to", "full"), "full exists already"),
        (("collect", "suite.yaml", "--bench", "bench.yaml", "--to", "full"), "full exists already"),
        (("dataset", "check", "empty"), "empty is no dataset"),
    ],
)
def test_what_cannot_be_is_said_before_anything_runs(
    arguments: tuple[str, ...], says: str, command_line: CommandLine
) -> None:
    (command_line.folder / "empty").mkdir()
    (command_line.folder / "full").mkdir()
    (command_line.folder / "full" / "mine").touch()
    done = command_line.run(*arguments)
    assert (done.returncode, done.stdout) == (1, "")
    assert says in done.stderr
    assert "Traceback" not in done.stderr
    assert not (command_line.folder / "runs").exists()
