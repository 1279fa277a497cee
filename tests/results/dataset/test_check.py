from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from results import RunStore, StoreError
from results.dataset import About, check, export
from results.dataset.folder import DATASET_VERSION, read_facts, write_sums
from results.records import MeterRecord

RunMaker = Callable[..., Path]


@pytest.fixture
def copy(made: Path, tmp_path: Path) -> Path:
    """Of the dataset, to be damaged."""
    return Path(shutil.copytree(made, tmp_path / "copy"))


def wrong(folder: Path) -> dict[str, str]:
    """Of all promises but the last, which takes another program a second to judge."""
    found: dict[str, str] = {}
    for each in check(folder):
        if each.verdict == "wrong":
            found[each.what] = each.detail
        if each.what == "private":
            break
    return found


def file_of(folder: Path, table: str) -> str:
    return max((path for path, file in read_facts(folder).files.items() if file.table == table), key=str)


def rewritten(file: Path, column: str, change: Callable[[pa.ChunkedArray], pa.ChunkedArray]) -> None:
    table = pq.read_table(file, partitioning=None)
    place = table.schema.get_field_index(column)
    pq.write_table(table.set_column(place, table.schema.field(column), change(table[column])), file)


def test_a_truncated_parquet_is_named_and_the_rest_still_judged(copy: Path) -> None:
    path = file_of(copy, "trials")
    whole = (copy / path).read_bytes()
    (copy / path).write_bytes(whole[: len(whole) // 2])
    found = wrong(copy)
    assert f"{path} was altered or cut short" in found["checksums"]
    assert "energies" not in found
    assert "private" not in found


def test_a_truncated_parquet_that_was_summed_again_is_named(copy: Path) -> None:
    path = file_of(copy, "samples")
    whole = (copy / path).read_bytes()
    (copy / path).write_bytes(whole[: len(whole) // 2])
    write_sums(copy)
    found = wrong(copy)
    assert found["columns"] == f"{path} is no whole Parquet file"
    assert "it has an energy and no samples" in found["energies"]


def test_an_edited_csv_is_named(copy: Path) -> None:
    path = f"csv/{file_of(copy, 'trials').removesuffix('.parquet')}.csv"
    (copy / path).write_text((copy / path).read_text().replace("0.0125", "0.0025", 1))
    assert f"{path} was altered or cut short" in wrong(copy)["checksums"]


def test_a_csv_that_lost_a_line_is_named(copy: Path) -> None:
    path = f"csv/{file_of(copy, 'samples').removesuffix('.parquet')}.csv"
    lines = (copy / path).read_text().splitlines(keepends=True)
    (copy / path).write_text("".join(lines[:-1]))
    write_sums(copy)
    assert wrong(copy)["csv"] == f"{path} has {len(lines) - 2} rows, the Parquet {len(lines) - 1}"


def test_missing_and_foreign_files_are_named(copy: Path) -> None:
    path = file_of(copy, "blocks")
    (copy / path).unlink()
    (copy / "notes.txt").write_text("mine")
    (copy / ".gitattributes").write_text("*.parquet filter=lfs\n")
    assert wrong(copy)["files"] == f"{path} is missing; notes.txt is not of this dataset"


def test_a_dataset_without_its_checksums_says_so(copy: Path) -> None:
    (copy / "SHA256SUMS").unlink()
    assert "SHA256SUMS is missing" in wrong(copy)["checksums"]


def test_checksums_are_those_of_coreutils(made: Path) -> None:
    done = subprocess.run(
        ["sha256sum", "--check", "--strict", "SHA256SUMS"], cwd=made, capture_output=True, check=False
    )
    assert done.returncode == 0


def test_an_energy_that_is_not_in_its_trace_is_named(copy: Path) -> None:
    path = file_of(copy, "trials")
    rewritten(copy / path, "window_energy_j", lambda column: pc.multiply(column, 1.2))
    write_sums(copy)
    assert "trial 0: window_energy_j is 0.06 J, its samples sum to 0.05 J" in wrong(copy)["energies"]


def test_a_trace_that_was_moved_is_named(copy: Path) -> None:
    rewritten(copy / file_of(copy, "samples"), "time_ns", lambda column: pc.add(column, 10_000_000))
    write_sums(copy)
    assert "its window lies outside of its samples" in wrong(copy)["energies"]


def test_energies_without_samples_are_named(copy: Path) -> None:
    rewritten(copy / file_of(copy, "samples"), "trial", lambda column: pc.add(column, 1000))
    write_sums(copy)
    assert "it has an energy and no samples; " in wrong(copy)["energies"]


def test_the_total_of_several_channels_is_what_counts(tmp_path: Path, synthetic: ModuleType) -> None:
    """Channel 0 is no part of the board's total; a reading without one of the others is lost."""
    meter = MeterRecord(rate_hz=1000.0, aperture_s=0.001, channels=("in", "gpu", "cpu"), total=(1, 2))
    with RunStore.create(tmp_path / "run", synthetic.header(meter=meter), synthetic.plan(1)) as store:
        one = synthetic.columns(synthetic.lead_in_ns(0), power_w=2.5)
        spread = synthetic.Columns(
            *(column.repeat(3) for column in (one.index, one.time_ns)),
            one.channel.repeat(3) + [0, 1, 2] * 20,
            one.power_w.repeat(3),
        )
        store.append(synthetic.trial(0, energy=synthetic.energy(0.0125)), spread)
        store.finish()
    export([tmp_path / "run"], tmp_path / "out", About("three channels"))
    assert wrong(tmp_path / "out") == {}
    rewritten(
        tmp_path / "out" / file_of(tmp_path / "out", "samples"),
        "channel",
        lambda column: pc.fill_null(pc.if_else(pc.equal(column, 2), pa.scalar(0, pa.uint8()), column), 0),
    )
    write_sums(tmp_path / "out")
    assert "outside of its samples" in wrong(tmp_path / "out")["energies"]


def test_other_columns_and_counts_are_named(copy: Path) -> None:
    path = file_of(copy, "trials")
    table = pq.read_table(copy / path, partitioning=None)
    pq.write_table(
        table.slice(1).rename_columns([name.replace("energy_j", "energy") for name in table.column_names]), copy / path
    )
    write_sums(copy)
    found = wrong(copy)
    assert f"{path} has other columns, types, units or meanings" in found["columns"]
    assert f"{path} has {len(table) - 1} rows, dataset.json says {len(table)}" in found["columns"]
    assert "dataset.json says {'virtual': 52}" in found["rows"]


def test_a_trial_that_was_taken_out_is_named(copy: Path) -> None:
    path = file_of(copy, "trials")
    table = pq.read_table(copy / path, partitioning=None)
    pq.write_table(pa.concat_tables([table.slice(0, 3), table.slice(2, 1), table.slice(4)]), copy / path)
    write_sums(copy)
    assert f"{path} has trials of" in wrong(copy)["rows"]


def test_a_unit_that_was_changed_is_named(copy: Path) -> None:
    path = file_of(copy, "samples")
    table = pq.read_table(copy / path, partitioning=None)
    fields = [
        each.with_metadata({**each.metadata, b"unit": b"mW"}) if each.name == "power_w" else each
        for each in table.schema
    ]
    pq.write_table(table.cast(pa.schema(fields)), copy / path)
    write_sums(copy)
    found = wrong(copy)
    assert "other columns, types, units or meanings" in found["columns"]


def test_a_provenance_that_was_changed_is_named(copy: Path) -> None:
    path = file_of(copy, "trials")
    rewritten(
        copy / path, "provenance", lambda column: pa.chunked_array([["measured"] * len(column)]).cast(column.type)
    )
    write_sums(copy)
    assert "dataset.json says {'virtual': 52}" in wrong(copy)["rows"]


@pytest.mark.parametrize(
    ("edit", "says"),
    [
        (lambda text: text.replace("samples/**/*.parquet", "power/**/*.parquet", 1), "configs leave out samples/"),
        (lambda text: text.replace("configs:", "settings:", 1), "has no configs with data_files"),
        (lambda text: text.replace("pretty_name: ", "pretty_name: [", 1), "its front matter is no YAML"),
        (lambda text: text.replace("---\n", "", 1), "it has no front matter"),
    ],
)
def test_a_card_that_misleads_is_named(edit: Callable[[str], str], says: str, copy: Path) -> None:
    card = copy / "README.md"
    card.write_text(edit(card.read_text()))
    assert says in wrong(copy)["description"]


def test_a_card_is_for_people_to_complete(copy: Path) -> None:
    card = copy / "README.md"
    card.write_text(card.read_text() + "\nWrite to me@example.org.\n")
    assert wrong(copy) == {}


def test_a_croissant_that_is_no_longer_true_is_named(copy: Path) -> None:
    file = copy / "croissant.json"
    metadata = json.loads(file.read_text())
    metadata["recordSet"][0]["field"][0]["source"]["fileSet"]["@id"] = "nowhere"
    file.write_text(json.dumps(metadata))
    write_sums(copy)
    found = {each.what: each.detail for each in check(copy) if each.verdict == "wrong"}
    assert found.keys() == {"description", "croissant"}
    assert "croissant.json is not what the columns and dataset.json say" in found["description"]
    assert found["croissant"].startswith("croissant.json: ")


def test_what_is_private_is_named(copy: Path) -> None:
    path = file_of(copy, "trials")
    rewritten(copy / path, "note", lambda column: pa.chunked_array([["asked http://192.0.2.7:8000"] * len(column)]))
    write_sums(copy)
    assert f"{path}, column note: http://192.0.2.7:8000" in wrong(copy)["private"]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (None, "is no dataset: it has no dataset.json"),
        ("[]", "is damaged"),
        ("{", "is damaged"),
        (json.dumps({"format_version": DATASET_VERSION}), "is damaged"),
        (json.dumps({"format_version": 99}), f"dataset format 99, this program reads {DATASET_VERSION}"),
    ],
)
def test_what_is_no_dataset_is_refused(content: str | None, says: str, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / "dataset.json").write_text(content)
    with pytest.raises(StoreError, match=says):
        next(check(tmp_path))
