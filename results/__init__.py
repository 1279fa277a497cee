"""Records of runs: the store that writes them, what is computed from them, and the report that shows it."""

from results.durable import StoreError, StoreFull
from results.records import (
    ActionRecord,
    BlockRecord,
    ClockFit,
    ConditionRecord,
    EnergyRecord,
    OptRecord,
    OutcomeRecord,
    RecordError,
    RewardRecord,
    RunHeader,
    TrialRecord,
)
from results.report import write_report
from results.run import Run
from results.store import RunStore
from results.tables import summary

__all__ = [
    "ActionRecord",
    "BlockRecord",
    "ClockFit",
    "ConditionRecord",
    "EnergyRecord",
    "OptRecord",
    "OutcomeRecord",
    "RecordError",
    "RewardRecord",
    "Run",
    "RunHeader",
    "RunStore",
    "StoreError",
    "StoreFull",
    "TrialRecord",
    "summary",
    "write_report",
]
