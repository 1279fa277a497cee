"""`testbed export`, `testbed dataset`: runs as a dataset for others, and whether one keeps its promises."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from results import dataset as datasets
from testbed.cli.screen import ERRORS, FAILED, SCREEN, print_json
from testbed.cli.tables import show_findings
from testbed.finding import Finding

dataset = typer.Typer(
    help="Datasets that `testbed export` and `testbed collect` made.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

ToFolder = Annotated[Path, typer.Option("--to", metavar="DIR", help="The dataset's folder; it must not exist yet.")]
ToCsv = Annotated[bool, typer.Option("--csv", help="Write each table as CSV too, under csv/.")]
Mixed = Annotated[bool, typer.Option("--mixed", help="Measured and virtual runs together; each row says which.")]
Name = Annotated[str | None, typer.Option(help="What the dataset is called. Default: as its folder.")]
License = Annotated[str | None, typer.Option(help="SPDX identifier of its license, such as CC-BY-4.0.")]
Creators = Annotated[list[str] | None, typer.Option("--creator", help="Who made it, as it shall be published.")]


def export(
    runs: Annotated[list[Path], typer.Argument(help="Run folders.", metavar="RUN...")],
    to: ToFolder,
    csv: ToCsv = False,
    mixed: Mixed = False,
    name: Name = None,
    license: License = None,  # noqa: A002  # the option's name
    creator: Creators = None,
) -> None:
    """Make a dataset of runs: Parquet, data dictionary, datasheet, Croissant metadata, checksums; nothing private."""
    write_dataset(runs, to, csv=csv, mixed=mixed, name=name, license_=license, creators=creator)


def write_dataset(
    runs: list[Path],
    to: Path,
    *,
    csv: bool,
    mixed: bool,
    name: str | None,
    license_: str | None,
    creators: list[str] | None,
) -> None:
    """Make it, and say what is in it."""
    about = datasets.About(name or to.resolve().name, license_, tuple(creators or ()))
    with ERRORS.status("") as status:
        facts = datasets.export(runs, to, about, csv=csv, mixed=mixed, on_step=status.update)
    rows = ", ".join(f"{facts.rows(table)} {table}" for table in ("trials", "samples"))
    SCREEN.print(f"dataset: {to} ({rows})", soft_wrap=True, markup=False)
    SCREEN.print(facts.statement, soft_wrap=True, markup=False)


@dataset.command()
def check(
    folder: Annotated[Path, typer.Argument(help="A dataset's folder.", metavar="DIR")],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of lines.")] = False,
) -> None:
    """Hold a dataset to all its promises; the exit status is 1 when one is broken."""
    findings = (Finding(found.what, found.verdict, found.detail) for found in datasets.check(folder))
    if as_json:
        shown = list(findings)
        print_json({"findings": [each.as_json() for each in shown]})
    else:
        shown = show_findings(SCREEN, findings)
    if any(found.verdict == "wrong" for found in shown):
        raise typer.Exit(FAILED)
