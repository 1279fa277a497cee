"""The tables of a dataset beside that of the trials: the runs, their blocks, and the power samples."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from types import MappingProxyType
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa

from results.dataset.columns import COUNT, COUNTS, FLAG, NAME, REAL, TEXT, TEXTS, TIME, Column, Table
from results.dataset.source import RunFacts
from results.dataset.trials import TRIALS
from results.records import BlockRecord, ClockFit


@dataclass(frozen=True, slots=True)
class RunRow:
    """A run and what was counted while it was taken in."""

    run: RunFacts
    trials: int
    planned: int
    samples: int
    complete: bool


@dataclass(frozen=True, slots=True)
class BlockRow:
    """A record of a block and the run it is of."""

    run: RunFacts
    block: BlockRecord


RunColumn: TypeAlias = Column[RunRow]
BlockColumn: TypeAlias = Column[BlockRow]
_SYSTEM = re.compile(r"[A-Za-z]+-\d+\.\d+")
"""of `platform.platform()`: what follows may be a name that somebody gave a kernel"""


def _system(row: RunRow) -> str:
    found = _SYSTEM.match(str(row.run.header.host.get("system", "")))
    return found.group() if found else ""


def _meter(name: str, kind: pa.DataType, unit: str, says: str, get: Callable[[Any], Any]) -> RunColumn:
    return Column(name, kind, unit, says, lambda row: get(row.run.header.meter) if row.run.header.meter else None, True)


RUNS: Table[RunRow] = Table(
    "runs",
    "one run: one execution of a suite on a bench",
    ("run",),
    (
        Column(
            "run", NAME, "", "suite, bench, when, and six digits that tell it from any other", lambda row: row.run.id
        ),
        Column("board", NAME, "", "the device under test; of a virtual one it says so", lambda row: row.run.board),
        Column("bench", NAME, "", "name of the bench", lambda row: row.run.bench),
        Column("suite", NAME, "", "name of the suite", lambda row: row.run.suite),
        Column(
            "provenance", NAME, "", 'whether it was "measured", or of a "virtual" bench', lambda row: row.run.provenance
        ),
        Column("tags", TEXTS, "", "what a reader must know to read the figures", lambda row: row.run.tags),
        Column("created", TEXT, "", "ISO 8601, with its offset from UTC", lambda row: row.run.header.created),
        Column("complete", FLAG, "", "every planned trial was made", lambda row: row.complete),
        Column("trials", COUNT, "1", "made", lambda row: row.trials),
        Column("planned", COUNT, "1", "trials of the plan", lambda row: row.planned),
        Column("samples", COUNT, "1", "power samples", lambda row: row.samples),
        Column("seed", COUNT, "1", "of everything random", lambda row: row.run.header.seed),
        _meter(
            "meter_rate_hz",
            REAL,
            "Hz",
            "samples a second of each channel; null without a meter",
            lambda meter: meter.rate_hz,
        ),
        _meter(
            "meter_aperture_s",
            REAL,
            "s",
            "the time a sample averages over, which ends at its time_ns",
            lambda meter: meter.aperture_s,
        ),
        _meter(
            "meter_channels",
            TEXTS,
            "",
            "names, numbered from 0 as in the samples' column channel",
            lambda meter: meter.channels,
        ),
        _meter("meter_total", COUNTS, "1", "the channels whose sum is what the board draws", lambda meter: meter.total),
        Column(
            "networks_json",
            TEXT,
            "",
            "workload -> the neural network it runs",
            lambda row: row.run.private.json(
                {name: asdict(network) for name, network in row.run.header.networks.items()}
            ),
        ),
        Column(
            "bench_json",
            TEXT,
            "",
            "the bench as resolved, private words hashed",
            lambda row: row.run.private.json(row.run.header.bench),
        ),
        Column(
            "suite_json",
            TEXT,
            "",
            "the suite as resolved, private words hashed",
            lambda row: row.run.private.json(row.run.header.suite),
        ),
        Column(
            "calibrations_json",
            TEXT,
            "",
            "of the very meter, by which its readings are corrected; [] where its maker's limits count",
            lambda row: json.dumps([row.run.private.facts(facts.record) for facts in row.run.header.calibrations]),
        ),
        Column(
            "engines_json",
            TEXT,
            "",
            "target of the board -> what computes there and how it is set up, as far as the board tells",
            lambda row: row.run.private.words(row.run.header.engines),
        ),
        Column(
            "versions_json",
            TEXT,
            "",
            "package -> version that ran",
            lambda row: row.run.private.words(row.run.header.versions),
        ),
        Column(
            "machine",
            NAME,
            "",
            "processor family of the controller",
            lambda row: row.run.private.text(str(row.run.header.host.get("machine", ""))),
        ),
        Column("system", NAME, "", "operating system of the controller and its version", _system),
        Column(
            "host",
            NAME,
            "",
            "the controller, hashed; the same for all runs it made",
            lambda row: row.run.private.token(str(row.run.header.host.get("node", "")), "host"),
        ),
    ),
)


def _of_block(name: str, kind: pa.DataType, unit: str, says: str) -> BlockColumn:
    return Column(name, kind, unit, says, lambda row: getattr(row.block, name))


def _clock(whose: str, says: str, get: Callable[[BlockRecord], ClockFit | None]) -> tuple[BlockColumn, ...]:
    def part(name: str, kind: pa.DataType, unit: str, what: str, attribute: str) -> BlockColumn:
        def of(row: BlockRow) -> Any:
            fit = get(row.block)
            return None if fit is None else getattr(fit, attribute)

        return Column(f"{whose}_{name}", kind, unit, f"{says}: {what}", of, True)

    return (
        part("offset_ns", TIME, "ns", "its time less the controller's", "offset_ns"),
        part("drift", REAL, "s/s", "gained on the controller's", "drift"),
        part("standard_uncertainty_s", REAL, "s", "of a mapped time, k = 1", "uncertainty_s"),
        part("residual_s", REAL, "s", "root mean square of the fit's residuals", "residual_s"),
    )


BLOCKS: Table[BlockRow] = Table(
    "blocks",
    "a condition taking effect, or a block's end, with the clocks at that moment",
    ("run", "block", "phase", "start_ns"),
    (
        Column("run", NAME, "", "the run the block is of", lambda row: row.run.id),
        Column("board", NAME, "", "the device under test", lambda row: row.run.board),
        Column("provenance", NAME, "", "of the run", lambda row: row.run.provenance),
        _of_block("block", COUNT, "1", "number of the block"),
        _of_block("phase", NAME, "", '"begin" or "end"; a block that broke off has no end, and begins again'),
        Column(
            "environment",
            NAME,
            "",
            "the conditions, by their name",
            lambda row: row.run.private.text(row.block.environment),
        ),
        _of_block("started", TEXT, "", "of the record; ISO 8601, with its offset from UTC"),
        _of_block("start_ns", TIME, "ns", "the same on the controller's clock, CLOCK_MONOTONIC"),
        *_clock("board", "the board's clock", lambda block: block.clocks.get("board")),
        *_clock("monitor", "the meter's clock; null without one", lambda block: block.clocks.get("monitor")),
        Column(
            "marks_method",
            NAME,
            "",
            '"line", "pulse" or "clock": how marks are placed on the trace',
            lambda row: row.block.marks.method if row.block.marks else None,
            True,
        ),
        *_clock(
            "marks", "the board's clock against the trace's", lambda block: block.marks.fit if block.marks else None
        ),
        Column(
            "marks_note",
            TEXT,
            "",
            "what spoils the marks; empty when nothing does",
            lambda row: row.run.private.text(row.block.marks.note) if row.block.marks else None,
            True,
        ),
        Column(
            "condition_json",
            TEXT,
            "",
            "the whole condition: asked, applied, observed, strayed",
            lambda row: row.run.private.json(
                {
                    "asked": row.block.condition.asked,
                    "applied": row.block.condition.applied,
                    "observed": row.block.condition.observed,
                    "strayed": list(row.block.condition.strayed),
                }
            ),
        ),
    ),
)


@dataclass(frozen=True, slots=True)
class SampleRows:
    """A batch of samples, columns of `results.samples.SCHEMA`, and the run they are of."""

    run: RunFacts
    columns: pa.RecordBatch


def _same(word: str, rows: int) -> pa.Array:
    return pa.DictionaryArray.from_arrays(np.zeros(rows, np.int32), [word])


def _shared(name: str, says: str, get: Callable[[RunFacts], str]) -> Column[SampleRows]:
    return Column(name, NAME, "", says, lambda rows: _same(get(rows.run), len(rows.columns)))


def _read(name: str, kind: pa.DataType, unit: str, says: str, nullable: bool = False) -> Column[SampleRows]:
    return Column(name, kind, unit, says, lambda rows: rows.columns.column(name), nullable)


SAMPLES: Table[SampleRows] = Table(
    "samples",
    "one reading of one channel of the power meter; a gap in index is lost samples",
    ("run", "trial", "index", "channel"),
    (
        _shared("run", "the run the sample is of", lambda run: run.id),
        _shared("board", "the device under test", lambda run: run.board),
        _shared("provenance", "of the run", lambda run: run.provenance),
        _read(
            "trial", COUNT, "1", "the trial it was recorded with: the samples since the trial before, lead-in included"
        ),
        _read("index", COUNT, "1", "number of the reading, lost ones counted"),
        _read("time_ns", TIME, "ns", "end of the time it averages over, on the controller's clock, CLOCK_MONOTONIC"),
        _read("channel", pa.uint8(), "1", "number of the meter's input; the run's meter_channels has its name"),
        _read("power_w", REAL, "W", "at this channel"),
        _read("voltage_v", REAL, "V", "null where it is not measured", True),
        _read("current_a", REAL, "A", "null where it is not measured", True),
    ),
)


def sample_table(run: RunFacts, batch: pa.RecordBatch) -> pa.Table:
    """A batch of a run's samples as rows of `SAMPLES`; columns at once, not row by row."""
    rows = SampleRows(run, batch)
    return pa.Table.from_arrays([column.of(rows) for column in SAMPLES.columns], schema=SAMPLES.schema)


TABLES: Mapping[str, Table[Any]] = MappingProxyType({table.name: table for table in (TRIALS, RUNS, BLOCKS, SAMPLES)})
"""by name, the one people open first first"""
