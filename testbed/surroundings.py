"""What trials are made under: put in force and looked at, block by block, with clocks and marks on record."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timezone
from types import MappingProxyType
from typing import Any, Literal

from results import BlockRecord, ConditionRecord, RunStore
from testbed.agent.probe import Path
from testbed.config import LinkSettings
from testbed.marks import Alignment
from testbed.meter import Meter
from testbed.moment import Moment
from testbed.network.conditions import Applied, Condition, Link, Standard, condition_at
from testbed.network.observed import probe_bytes, strays, strays_in_signal
from testbed.network.penalty import radio_penalty_j
from testbed.opening import OpenBench
from testbed.plan import PlannedTrial
from testbed.records import clock_record, marks_record
from testbed.remote import RemoteAgent
from testbed.warmth import Discipline, Wait

_log = logging.getLogger(__name__)

_LINKS: Mapping[str, str] = MappingProxyType({"cloud": "link", "edge": "peer_link"})
"""remote target -> how the link to it is called on record"""
_SIGNALS: Mapping[str, str] = MappingProxyType({"cloud": "rssi_dbm", "edge": "peer_rssi_dbm"})
"""remote target -> how the signal towards it is called in a state"""
_PROBE_PATIENCE_S = 60.0


class Surroundings:
    """Of the board of an open bench."""

    def __init__(
        self, agent: RemoteAgent, link: Link | None, settings: LinkSettings | None, endpoints: Mapping[str, str]
    ) -> None:
        """`endpoints` are those that can be probed, with their urls."""
        self._agent = agent
        self._link = link
        self._settings = settings
        self._endpoints = endpoints
        self._was: Moment | None = None
        self._co_runner: dict[str, Any] = {}
        self._paths: tuple[dict[str, Any], dict[str, Any], dict[str, Any], tuple[str, ...]] = {}, {}, {}, ()
        self._applied: dict[str, Applied] = {}
        self.condition = ConditionRecord(asked={}, applied={}, observed={}, strayed=())
        """in force"""

    def impose(self, wanted: Moment, *, anew: bool) -> None:
        """Put a moment in force where it is not yet; all of it when `anew`. A co-runner is looked at each time."""
        was = self._was
        if wanted == was and not anew and not wanted.co_runs:
            return
        if anew or was is None or was.co_runs or wanted.co_runs:
            self._co_runner = self._agent.ask("co_run", load=wanted.co_runner())
        if anew or wanted != was:
            self._paths = self._with_paths(wanted)
        self._was = wanted
        asked, applied, observed, strayed = self._paths
        found = dict(self._co_runner)
        self.condition = ConditionRecord(
            strayed=(*found.pop("strayed"), *strayed),
            asked={"co_runner": wanted.co_runner()} | asked,
            applied={"co_runner": found} | applied,
            observed=observed,
        )

    def rest(self) -> None:
        """Have nothing run beside the board until the next moment is put in force."""
        self._agent.ask("co_run", load={})
        self._was = None

    def _with_paths(self, wanted: Moment) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any], tuple[str, ...]]:
        """Of the links to remote targets: asked, applied, observed, and in which ways that is not as asked."""
        asked: dict[str, Any] = {}
        applied: dict[str, Any] = {}
        if self._link is not None and self._settings is not None:
            for target, condition in _conditions(wanted, self._settings.standard).items():
                if target in self._link.targets:
                    result = self._applied[target] = self._link.apply(condition, target)
                    asked[_LINKS[target]] = result.asked.as_json()
                    applied[_LINKS[target]] = result.observed.as_json() | {"time_ns": result.time_ns}
        return asked, applied, *self._probed()

    def require_held(self) -> None:
        """Raises BenchError where the condition has ended meanwhile: what was measured is then worth nothing."""
        if self._link is not None and self._applied:
            self._link.require_held()

    def signals(self) -> dict[str, float] | None:
        """What policies are to see of signals that the link stands for, and the board's radio cannot know of."""
        if self._link is None or self._link.moves_radio:
            return None
        asked = {_SIGNALS[target]: applied.asked.rssi_dbm for target, applied in self._applied.items()}
        return {name: rssi_dbm for name, rssi_dbm in asked.items() if rssi_dbm is not None}

    def as_met(self, radio_dbm: float, board: Sequence[str]) -> ConditionRecord:
        """The condition on record, with what the radio received meanwhile, and how the board was not as asked."""
        asked_dbm = self._applied["cloud"].asked.rssi_dbm if "cloud" in self._applied else None
        found: tuple[str, ...] = ()
        if asked_dbm is not None and self._link is not None and self._link.moves_radio:
            found = strays_in_signal(asked_dbm, radio_dbm)
        condition = self.condition
        return replace(
            condition,
            observed=condition.observed | {"rssi_dbm": radio_dbm},
            strayed=(*condition.strayed, *found, *board),
        )

    def penalty_j(self, target: str, request_bytes: int) -> float | None:
        """What the radio would have drawn besides at the signal that the link stands for; None where it is at it."""
        if self._link is None or self._settings is None or self._link.moves_radio or target not in self._applied:
            return None
        return radio_penalty_j(request_bytes, self._applied[target].asked, self._settings.standard)

    def _probed(self) -> tuple[dict[str, Any], tuple[str, ...]]:
        """What probes of the paths find, and in which ways that is not what the link holds."""
        observed: dict[str, Any] = {}
        strayed: list[str] = []
        for target, applied in self._applied.items() if self._settings is not None and self._settings.probe else ():
            held = applied.observed
            if target not in self._endpoints or 0 in (held.rate_up_bps, held.rate_down_bps):
                continue  # nothing comes back in an outage
            found = self._agent.ask("probe", patience_s=_PROBE_PATIENCE_S, name=target, up_bytes=probe_bytes(held))
            observed[_LINKS[target]] = found
            reasons = (found["failure"],) if "failure" in found else strays(held, Path(**found))
            strayed += [f"{target}: {reason}" for reason in reasons]
        return observed, tuple(strayed)


class Blocks:
    """Follows the plan from block to block, and records how each begins and ends."""

    def __init__(
        self,
        bench: OpenBench,
        surroundings: Surroundings,
        meter: Meter | None,
        alignment: Alignment | None,
        store: RunStore,
        discipline: Discipline,
    ) -> None:
        self._bench = bench
        self._surroundings = surroundings
        self._meter = meter
        self._alignment = alignment
        self._store = store
        self._discipline = discipline
        self._latest: PlannedTrial | None = None

    def follow(self, planned: PlannedTrial) -> Wait:
        """Put the condition of this trial in force, in a block of its own where the plan begins one.

        Returns how the board cooled down before it, which it does with nothing beside it.
        """
        wait = Wait()
        new_block = self._latest is None or planned.block != self._latest.block
        if new_block:
            self.end()
            if self._latest is not None and self._discipline.cools:
                self._surroundings.rest()
                wait = self._discipline.cool_down()
        self._surroundings.impose(planned.surroundings, anew=new_block)
        self._latest = planned
        if new_block:
            self._bench.board_clock.update()
            if self._alignment is not None:
                self._alignment.begin()
            self._record(planned, "begin")
        return wait

    def broke_off(self) -> None:
        """The board was lost: the next trial begins its block anew, and what was in force is imposed again."""
        self._latest = None

    def end(self) -> None:
        """The block of the trial followed last is over; does nothing before the first."""
        if self._latest is None or self._alignment is None:
            return
        self._bench.board_clock.update()
        self._alignment.end()
        if note := self._alignment.note:
            _log.warning("block %d: %s", self._latest.block, note)
        self._record(self._latest, "end")

    def _record(self, planned: PlannedTrial, phase: Literal["begin", "end"]) -> None:
        clocks = {"board": clock_record(self._bench.board_clock.fit)}
        if self._meter is not None:
            clocks["monitor"] = clock_record(self._meter.clock)
        self._store.append_block(
            BlockRecord(
                block=planned.block,
                phase=phase,
                environment=planned.environment,
                condition=self._surroundings.condition,
                clocks=clocks,
                marks=None if self._alignment is None else marks_record(self._alignment),
                started=datetime.now(timezone.utc).isoformat(),
                start_ns=self._bench.now_ns(),
            )
        )


def _conditions(wanted: Moment, standard: Standard) -> dict[str, Condition]:
    return {
        "cloud": wanted.cloud or condition_at(wanted.rssi_dbm, standard),
        "edge": condition_at(wanted.peer_rssi_dbm, standard),
    }
