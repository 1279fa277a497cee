"""What people read of a dataset: the datasheet, which is its Hugging Face card too, and the data dictionary.

The questions are those of "Datasheets for Datasets" (Gebru et al., 2018). What the run folders know is filled in; the
rest is for whoever publishes it.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pyarrow as pa
import yaml
from jinja2 import Environment, PackageLoader, StrictUndefined

from results.dataset import recompute
from results.dataset.folder import DatasetFacts
from results.dataset.tables import TABLES
from results.dataset.trials import TRIALS

LOADING: Mapping[str, str] = MappingProxyType(
    {
        "pandas": 'import pandas; trials = pandas.read_parquet("trials")',
        "Polars": 'import polars; trials = polars.read_parquet("trials/**/*.parquet")',
        "DuckDB": "import duckdb; trials = duckdb.sql(\"FROM 'trials/**/*.parquet'\")",
    }
)
"""library -> the line that loads the trials, run in the dataset's folder"""
_SIZES = (
    ("n<1K", 1e3),
    ("1K<n<10K", 1e4),
    ("10K<n<100K", 1e5),
    ("100K<n<1M", 1e6),
    ("1M<n<10M", 1e7),
    ("10M<n<100M", 1e8),
)
"""Hugging Face's size categories, by number of trials, with their upper ends"""
_FENCE = "---\n"


def write_card(path: Path, facts: DatasetFacts) -> None:
    """The datasheet, with the front matter that Hugging Face reads."""
    environment = Environment(
        loader=PackageLoader("results.dataset", "."),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,  # Markdown
    )
    text = environment.get_template("datasheet.md.j2").render(
        facts=facts,
        tables=TABLES,
        loading=LOADING,
        figures={figure: recompute.line(figure) for figure in recompute.FIGURES},
        last_half=recompute.line_of_last_half("energy_j"),
        intervals=recompute.INTERVALS.format(run=facts.runs[0]),
    )
    front = yaml.safe_dump(front_matter(facts), sort_keys=False, allow_unicode=True)
    path.write_text(f"{_FENCE}{front}{_FENCE}{text}", encoding="utf-8")


def front_matter(facts: DatasetFacts) -> dict[str, Any]:
    """What Hugging Face reads of a card: one configuration a table."""
    trials = facts.rows(TRIALS.name)
    return {
        "pretty_name": facts.name,
        "license": facts.license.lower() if facts.license else "unknown",
        "task_categories": ["tabular-regression"],
        "tags": ["energy", "edge-computing", "power-measurement", "croissant"],
        "size_categories": [next((name for name, end in _SIZES if trials < end), "100M<n<1B")],
        "configs": [
            {
                "config_name": name,
                "data_files": f"{name}/**/*.parquet",
                **({"default": True} if name == TRIALS.name else {}),
            }
            for name in TABLES
            if facts.rows(name)
        ],
    }


def read_front_matter(path: Path) -> Any:
    """Of a card. Raises ValueError where there is none."""
    text = path.read_text(encoding="utf-8")
    if not text.startswith(_FENCE) or _FENCE not in text[len(_FENCE) :]:
        raise ValueError("it has no front matter between two lines of ---")
    try:
        return yaml.safe_load(text[len(_FENCE) :].partition(_FENCE)[0])
    except yaml.YAMLError as error:
        raise ValueError(f"its front matter is no YAML: {str(error).splitlines()[0]}") from None


def dictionary_text() -> str:
    """The data dictionary: every column of every table with type, unit and meaning."""
    parts = ["# Data dictionary\n\nUnits are SI; `1` is a number of, or a fraction; a column of words has none.\n"]
    for table in TABLES.values():
        parts.append(
            f"\n## {table.name}\n\nA row is {table.says}. Key: {', '.join(f'`{name}`' for name in table.key)}.\n\n"
        )
        parts.append("| Column | Type | Unit | Null | Meaning |\n|---|---|---|---|---|\n")
        for column in table.columns:
            null = "yes" if column.nullable else ""
            parts.append(f"| `{column.name}` | {_type(column.kind)} | {column.unit} | {null} | {column.says} |\n")
    return "".join(parts)


def _type(kind: pa.DataType) -> str:
    if pa.types.is_dictionary(kind):
        return "string"
    return f"list of {_type(kind.value_type)}" if pa.types.is_list(kind) else str(kind)
