"""Records of runs: the store that writes them, what is computed from them, and the report that shows it."""

from results.durable import StoreError, StoreFull
from results.quality import Health, health
from results.records import (
    ActionRecord,
    BlockRecord,
    CalibrationFacts,
    ClockFit,
    ConditionRecord,
    EnergyRecord,
    MarksRecord,
    MeterRecord,
    NetworkRecord,
    OptRecord,
    OutcomeRecord,
    RecordError,
    RewardRecord,
    RunHeader,
    TrialRecord,
)
from results.report import write_comparison, write_report
from results.run import Run
from results.store import RunStore
from results.tables import summary
from results.timeline import write_timeline
from results.trace import Trace, TraceChannel, TraceHeader, TraceWriter
from results.trace_export import write_csv, write_parquet, write_perfetto

__all__ = [
    "ActionRecord",
    "BlockRecord",
    "CalibrationFacts",
    "ClockFit",
    "ConditionRecord",
    "EnergyRecord",
    "Health",
    "MarksRecord",
    "MeterRecord",
    "NetworkRecord",
    "OptRecord",
    "OutcomeRecord",
    "RecordError",
    "RewardRecord",
    "Run",
    "RunHeader",
    "RunStore",
    "StoreError",
    "StoreFull",
    "Trace",
    "TraceChannel",
    "TraceHeader",
    "TraceWriter",
    "TrialRecord",
    "health",
    "summary",
    "write_comparison",
    "write_csv",
    "write_parquet",
    "write_perfetto",
    "write_report",
    "write_timeline",
]
