"""What a block is made under: its condition put in force, its clocks and marks on record."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from datetime import datetime, timezone
from types import MappingProxyType
from typing import Any, Literal

from results import BlockRecord, ConditionRecord, RunStore
from testbed.marks import Alignment
from testbed.meter import Meter
from testbed.moment import Moment
from testbed.network.conditions import condition_at
from testbed.opening import OpenBench
from testbed.plan import PlannedTrial
from testbed.records import clock_record, marks_record

_log = logging.getLogger(__name__)

_LINKS: Mapping[str, str] = MappingProxyType({"cloud": "link", "edge": "peer_link"})
"""remote target -> how the link to it is called on record"""


class Surroundings:
    """Follows the plan: imposes what a trial asks where it is not yet so, and records how blocks begin and end."""

    def __init__(self, bench: OpenBench, meter: Meter | None, alignment: Alignment | None, store: RunStore) -> None:
        self._bench = bench
        self._agent = bench.agent
        self._meter = meter
        self._alignment = alignment
        self._store = store
        self._latest: PlannedTrial | None = None
        self._imposed: Moment | None = None
        self._co_runner: dict[str, float] = {}
        self.condition = ConditionRecord(asked={}, applied={})
        """in force now"""

    def impose(self, planned: PlannedTrial) -> None:
        """Put the condition of this trial in force."""
        new_block = self._latest is None or planned.block != self._latest.block
        if new_block:
            self.end()
        if new_block or planned.surroundings != self._imposed:
            self._apply(planned.surroundings, everything=new_block)
        self._latest = planned
        if new_block:
            self._bench.board_clock.update()
            if self._alignment is not None:
                self._alignment.begin()
            self._record(planned, "begin")

    def end(self) -> None:
        """The block of the trial imposed last is over; does nothing before the first."""
        if self._latest is None or self._alignment is None:
            return
        self._bench.board_clock.update()
        self._alignment.end()
        if note := self._alignment.note:
            _log.warning("block %d: %s", self._latest.block, note)
        self._record(self._latest, "end")

    def _apply(self, wanted: Moment, *, everything: bool) -> None:
        was, co_runner = self._imposed, {"cpu": wanted.co_cpu, "memory": wanted.co_memory}
        if everything or was is None or (was.co_cpu, was.co_memory) != (wanted.co_cpu, wanted.co_memory):
            self._co_runner = self._agent.ask("co_run", **co_runner)
        asked: dict[str, Any] = {"co_runner": co_runner}
        applied: dict[str, Any] = {"co_runner": self._co_runner}
        link, settings = self._bench.link, self._bench.bench.link
        if link is not None and settings is not None:
            signals = {"cloud": wanted.rssi_dbm, "edge": wanted.peer_rssi_dbm}
            for target in link.targets:
                result = link.apply(condition_at(signals[target], settings.standard), target)
                asked[_LINKS[target]] = result.asked.plain()
                applied[_LINKS[target]] = result.observed.plain() | {"time_ns": result.time_ns}
        self._imposed = wanted
        self.condition = ConditionRecord(asked=asked, applied=applied)

    def _record(self, planned: PlannedTrial, phase: Literal["begin", "end"]) -> None:
        clocks = {"board": clock_record(self._bench.board_clock.fit)}
        if self._meter is not None:
            clocks["monitor"] = clock_record(self._meter.clock)
        self._store.append_block(
            BlockRecord(
                block=planned.block,
                phase=phase,
                environment=planned.environment,
                condition=self.condition,
                clocks=clocks,
                marks=None if self._alignment is None else marks_record(self._alignment),
                started=datetime.now(timezone.utc).isoformat(),
                start_ns=self._bench.now_ns(),
            )
        )
