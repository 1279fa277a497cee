"""Carries a plan out, trial by trial; each is durable before the next begins."""

from __future__ import annotations

import logging
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Any, Protocol

import power
from results import (
    ActionRecord,
    EnergyRecord,
    OutcomeRecord,
    RewardRecord,
    RunStore,
    TrialRecord,
)
from scheduler import policies
from scheduler.contract import Action
from testbed.config import Suite
from testbed.errors import BenchError
from testbed.lifeline import Lifeline
from testbed.marks import Alignment, Marks
from testbed.meter import Meter
from testbed.opening import OpenBench, Servers
from testbed.plan import PlannedTrial
from testbed.records import (
    clock_record,
    decision_record,
    energy_record,
    lost_record,
    opt_record,
    profile_record,
    with_remark,
)
from testbed.remote import BoardLost
from testbed.surroundings import Blocks, Surroundings
from testbed.switching import with_cost
from testbed.warmth import Discipline, Wait

_log = logging.getLogger(__name__)

ATTEMPTS = 4
"""how often a trial is made before a monitor that fails it stops the run"""
MOST_LOSSES = 3
"""of the board, with no trial made between them: one more stops the run"""


class Watcher(Protocol):
    """Who wants to see the run as it goes."""

    def trial_begins(self, planned: PlannedTrial) -> None: ...

    def waits(self, text: str) -> None:
        """Why the trial is put off, and how that goes; an empty text when it is over."""

    def trial_done(self, trial: TrialRecord) -> None: ...


class Runner:
    """Makes the trials that the store still lacks."""

    def __init__(
        self,
        bench: OpenBench,
        meter: Meter | None,
        alignment: Alignment | None,
        servers: Servers,
        suite: Suite,
        actions: Sequence[Action],
        store: RunStore,
        watcher: Watcher,
        window_s: float,
        furnish: Callable[[], None],
    ) -> None:
        """`window_s` is the least length of a trial; `alignment` comes with a meter.

        `furnish` brings endpoints, models and sessions to an agent that was started again.
        """
        self._bench = bench
        self._agent = bench.agent
        self._meter = meter
        self._alignment = alignment
        self._servers = servers
        self._suite = suite
        self._actions = dict(zip(suite.actions, actions, strict=True))
        self._workloads = {workload.name: workload for workload in suite.workloads}
        self._uses = {use.name: use for use in suite.policies}
        self._store = store
        self._watcher = watcher
        self._surroundings = Surroundings(bench.agent, bench.link, bench.bench.link, servers.urls)
        self._discipline = Discipline(bench.agent, suite, bench.now_ns, watcher.waits)
        self._blocks = Blocks(bench, self._surroundings, meter, alignment, store, self._discipline)
        self._wait = Wait()
        self._lifeline = Lifeline(bench.bench, bench.start_again)
        self._furnish = furnish
        self._policies_ready = False
        self._losses = 0
        """of the board, since a trial was made"""
        self._window = {"shortest_s": window_s, "guard_s": suite.guard_s if meter else 0.0}

    def run(self) -> None:
        """Every trial left, in the plan's order.

        Raises BenchError or TransientError when the run must stop; what was recorded stays, and can be resumed.
        """
        plan = [PlannedTrial.from_dict(entry) for entry in self._store.plan]
        for planned in plan[len(self._store.trials) :]:
            self._watcher.trial_begins(planned)
            record = self._whatever_happens(planned)
            self._store.append(record, self._meter.take_samples() if self._meter else None)
            self._watcher.trial_done(record)
        try:
            self._blocks.end()
        except BoardLost as loss:
            _log.warning("the last block has no end on record: %s", loss.what)

    def _whatever_happens(self, planned: PlannedTrial) -> TrialRecord:
        """One trial; that it is lost, where the board is lost in its midst. Raises BenchError where it stays away."""
        made_ns: tuple[int, int] | None = None
        told = ""
        loss: BoardLost | None = None
        while True:
            begun_ns = None
            try:
                if loss is not None:
                    told = f"{told or loss.what}; {self._revive(loss)}"
                if made_ns is not None:
                    return self._lost(planned, made_ns, told)
                self._make_ready(planned)
                begun_ns = self._bench.now_ns()
                record = self._trial(planned)
                self._surroundings.require_held()
            except BoardLost as another:
                loss = another
                self._losses += 1
                if begun_ns is not None:
                    made_ns, told = (begun_ns, self._bench.now_ns()), loss.what
                if self._losses > MOST_LOSSES:
                    what = f"the board was lost {self._losses} times and made no trial between"
                    raise BenchError(f"{what}: {loss}") from None
            else:
                self._losses = 0
                return with_remark(record, f"before it: {told}") if told else record

    def _make_ready(self, planned: PlannedTrial) -> None:
        if planned.policy is not None and not self._policies_ready:
            self._prepare_policies()
            self._policies_ready = True
        self._wait = self._blocks.follow(planned)
        if planned.kind != "warmup":
            self._discipline.await_band(self._wait)
            if self._wait.waited_s:
                self._bench.board_clock.update()

    def _revive(self, loss: BoardLost) -> str:
        """Have the board back with all that the run needs on it, its clock mapped anew; returns how it came back."""
        how = self._lifeline.bring_back(loss)
        self._policies_ready = False
        self._blocks.broke_off()
        self._furnish()
        if self._meter is not None and self._alignment is not None:
            self._alignment.forget()
            try:
                self._meter.settle(self._bench.now_ns())
            except power.TransientError as trouble:  # one that is read through the board was lost with it
                self._meter.recover(trouble)
        _log.warning("the board is %s", how)
        return how

    def _lost(self, planned: PlannedTrial, made_ns: tuple[int, int], note: str) -> TrialRecord:
        return lost_record(
            planned,
            self._workloads[planned.workload],
            None if planned.action is None else self._actions[planned.action],
            self._surroundings.condition,
            made_ns,
            note,
        )

    def _trial(self, planned: PlannedTrial) -> TrialRecord:
        """One trial, made again with the same decision when the meter failed it; its note then says so."""
        made_again = ""
        for attempt in range(1, ATTEMPTS + 1):
            answer = self._agent.ask(
                "trial",
                patience_s=self._agent.answer_s,
                workload=planned.workload,
                who=self._who(planned, again=attempt > 1),
                window=self._window,
                index=planned.index,
                signals=self._surroundings.signals(),
            )
            if answer["failure"] is not None:
                self._servers.require_alive()
            if self._meter is None or self._alignment is None:
                marks = self._bench.board_clock.place(answer["start_ns"], answer["end_ns"])
                return self._record(planned, answer, marks, None, "")
            try:
                marks = self._alignment.place(answer)
                energy = self._meter.energy(marks, self._window["guard_s"], sum(answer["latencies_s"]))
            except power.WindowTooShort as refusal:
                return self._record(planned, answer, marks, None, str(refusal))
            except power.TransientError as trouble:
                _log.warning("trial %d, attempt %d of %d: %s", planned.index, attempt, ATTEMPTS, trouble)
                made_again = f"made again after attempt {attempt}: {trouble}"
                self._recover(trouble)
                continue
            return self._record(planned, answer, marks, self._energy_record(planned, answer, energy), "", made_again)
        raise BenchError(
            f"{self._meter.spec.name if self._meter else 'the monitor'} failed trial {planned.index} {ATTEMPTS} times: "
            "look at its cable and supply, then resume the run"
        )

    def _recover(self, trouble: power.TransientError) -> None:
        """Have the meter back, or raise BenchError; a monitor opened again has a place in time of its own."""
        if self._meter is not None and self._alignment is not None:
            self._agent.ask("now_ns")  # a meter that is read through the board may have been lost with it
            before = self._meter.opened
            self._meter.recover(trouble)
            if self._meter.opened != before:
                self._alignment.begin()

    def _who(self, planned: PlannedTrial, *, again: bool) -> dict[str, Any]:
        if planned.policy is not None:
            return {"policy": planned.policy, "block": planned.block, "again": again}
        assert planned.action is not None
        return {"action": asdict(self._actions[planned.action])}

    def _energy_record(self, planned: PlannedTrial, answer: Mapping[str, Any], energy: power.Energy) -> EnergyRecord:
        frames = self._workloads[planned.workload].period_s is not None
        return energy_record(energy, len(answer["latencies_s"]), frames=frames)

    def _record(
        self,
        planned: PlannedTrial,
        answer: Mapping[str, Any],
        marks: Marks,
        energy: EnergyRecord | None,
        refusal: str,
        remark: str = "",
    ) -> TrialRecord:
        workload = self._workloads[planned.workload]
        failed = answer["failure"] is not None
        latencies_s = tuple(answer["latencies_s"])
        answered_s = latencies_s[:-1] if failed else latencies_s
        learnt, reward = self._learn(planned, energy)
        return TrialRecord(
            index=planned.index,
            block=planned.block,
            kind=planned.kind,
            workload=planned.workload,
            environment=planned.environment,
            policy=planned.policy,
            state=answer["state"],
            action=ActionRecord(**answer["action"]),
            explored=answer["explored"],
            n=len(latencies_s),
            latencies_s=latencies_s,
            transmit_s=answer["transmit_s"],
            receive_s=answer["receive_s"],
            compute_s=answer["compute_s"],
            qos_s=workload.qos_s,
            qos_met=sum(latency_s <= workload.qos_s for latency_s in answered_s),
            accuracy=answer["accuracy"] if answered_s else None,
            accuracy_target=workload.accuracy_target,
            start_ns=marks.start_ns,
            end_ns=marks.end_ns,
            energy=energy,
            estimated_energy_j=answer["estimated_energy_j"],
            learnt=learnt,
            reward=reward,
            opt=opt_record(answer["opt"]),
            truth_energy_j=answer["truth_j"],
            radio_penalty_j=self._surroundings.penalty_j(answer["action"]["target"], answer["request_bytes"]),
            condition=self._surroundings.as_met(
                answer["observed"]["rssi_dbm"], (*self._wait.strayed, *answer["strayed"])
            ),
            observed=self._observed(answer),
            clock=clock_record(self._bench.board_clock.fit),
            outcome="failed" if failed else "refused" if refusal else "ok",
            note=answer["failure"] or refusal or remark,
        )

    def _observed(self, answer: Mapping[str, Any]) -> dict[str, Any]:
        """As the board told, with the energy of a change of clocks and what went by before the trial."""
        observed = with_cost(answer["observed"], self._meter, self._bench.board_clock)
        return observed | ({"wait": self._wait.as_facts()} if self._wait.readings else {})

    def _learn(
        self, planned: PlannedTrial, energy: EnergyRecord | None
    ) -> tuple[OutcomeRecord | None, RewardRecord | None]:
        if planned.policy is None:
            return None, None
        metered = energy is not None and self._uses[planned.policy].energy == "monitor"
        told = self._agent.ask("learn", policy=planned.policy, energy_j=energy.energy_j if energy and metered else None)
        return OutcomeRecord(**told["outcome"]), RewardRecord(**told["reward"]) if told["reward"] else None

    def _prepare_policies(self) -> None:
        """Build the policies and bring them to where the store is.

        The on-board estimator is calibrated on the profile before, unless the bench has a power model.
        """
        profile = [trial for trial in self._store.trials if trial.kind == "profile" and trial.outcome == "ok"]
        records = [profile_record(trial) for trial in profile if trial.energy is not None]
        if records and self._bench.bench.power_model is None:
            baselines = [
                t.energy.baseline_power_w for t in profile if t.energy and t.energy.baseline_power_w is not None
            ]
            self._agent.ask("calibrate", records=records, idle_power_w=statistics.median(baselines))
        for number, use in enumerate(self._suite.policies):
            self._agent.ask(
                "policy",
                name=use.name,
                seed=self._store.header.seed * 1000 + number,
                options=use.options,
                profile=records,
                holds=use.hold is not None,
            )
            if use.name in policies.CLAIRVOYANT:
                continue
            if decisions := [decision_record(t) for t in self._store.trials if t.policy == use.name and t.learnt]:
                self._agent.ask("replay", name=use.name, decisions=decisions)
