"""What the controller may ask of the board: everything a trial needs, in plain values both ends can hold."""

from __future__ import annotations

import io
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import asdict, replace
from typing import Any

import numpy as np

from scheduler import policies
from scheduler.contract import REMOTE_TARGETS, Action, EnergyEstimator, Network, Outcome, State, Task
from scheduler.estimator import Estimator
from scheduler.oracle import choose, score
from scheduler.power_model import PowerModel
from scheduler.profile import ProfileRecord
from testbed.agent.bearing import bear
from testbed.agent.contract import (
    Board,
    Controlled,
    CoRun,
    Model,
    Session,
    Simulated,
    Target,
    Tensors,
)
from testbed.agent.decider import Decider
from testbed.agent.footing import Footing, plain
from testbed.agent.guard.lease import sweep
from testbed.agent.life import SignsOfLife
from testbed.agent.probe import ProbeFailed, probe
from testbed.agent.shaping.filters import Address
from testbed.agent.shaping.shape import Shape
from testbed.agent.shaping.shaper import Shaper
from testbed.agent.store import ModelStore
from testbed.agent.targets.kserve import RemoteTarget
from testbed.agent.targets.terms import Terms
from testbed.agent.trial import Trial, Window, run_trial
from testbed.agent.truth import true_j


class Agent:
    """Owns the sessions, the policies and what they have learnt; the board is lent to it."""

    def __init__(self, board: Board, models: ModelStore, controller: SignsOfLife) -> None:
        self._board = board
        self._controller = controller
        self._models = models
        self._remotes: dict[str, Target] = {}
        self._addresses: dict[str, tuple[str, float, Terms]] = {}
        self._tasks: dict[str, Task] = {}
        self._loaded: dict[str, Model] = {}
        self._sessions: dict[tuple[str, str, str], Session] = {}
        self._actions: tuple[Action, ...] = ()
        self._deciders: dict[str, Decider] = {}
        self._estimator: EnergyEstimator | None = None
        self._footing = Footing(board)
        self._shaping = ExitStack()

    def identify(self) -> dict[str, Any]:
        """The fields of `Identity`; and whether the board has knobs."""
        identity = self._board.identify()
        return {
            "model": identity.model,
            "serial": identity.serial,
            "processors": {name: list(precisions) for name, precisions in identity.processors.items()},
            "frequencies_hz": {name: list(steps) for name, steps in identity.frequencies_hz.items()},
            "engines": dict(identity.engines),
            "cores": identity.cores,
            "knobs": isinstance(self._board, Controlled),
            "forms": {name: dict(forms) for name, forms in identity.forms.items()},
            "absent": dict(identity.absent),
            "labels": list(identity.labels),
        }

    def has_model(self, sha256: str) -> bool:
        """Whether the board keeps this model file already."""
        return self._models.has(sha256)

    def put_model(self, sha256: str, content: bytes) -> None:
        """Keep a model file on the board."""
        self._models.put(sha256, content)

    def endpoint(self, name: str, url: str, timeout_s: float, terms: dict[str, Any]) -> None:
        """Make a remote target of a server that speaks the Open Inference Protocol; `terms` are the fields of `Terms`.

        Raises ValueError for certificates that cannot be read.
        """
        address = self._board.reach(name, url, timeout_s) if isinstance(self._board, Simulated) else url
        asked = Terms(**terms)
        self._remotes[name] = RemoteTarget(address, self._board.clock, timeout_s, asked)
        self._addresses[name] = address, timeout_s, asked

    def workload(
        self,
        name: str,
        network: dict[str, Any],
        files: dict[str, str],
        bytes_moved: dict[str, int],
        inputs: list[bytes],
        constraints: dict[str, Any],
    ) -> None:
        """Make a workload known: its network, model files by precision and digest, inputs (npz each), constraints."""
        self._tasks[name] = Task(name=name, network=Network(**network), **constraints)
        model = Model(
            name=network["name"],
            files={precision: self._models.path(sha256) for precision, sha256 in files.items()},
            macs=network["macs"],
            bytes_moved=bytes_moved,
            inputs=[_tensors(content) for content in inputs],
        )
        self._loaded[name] = model
        if isinstance(self._board, Simulated):
            self._board.know(model)

    def load(self, workload: str, target: str, precision: str) -> None:
        """Load a session and warm it with every input."""
        model = self._loaded[workload]
        backend = self._remotes[target] if target in REMOTE_TARGETS else self._board.target(target)
        session = backend.load(model, precision)
        self._sessions[workload, target, precision] = session
        session.warm(model.inputs)

    def actions(self, actions: list[dict[str, Any]]) -> None:
        """The actions policies choose among."""
        self._actions = tuple(Action(**action) for action in actions)

    def power_model(self, content: bytes) -> None:
        """Take a calibrated power model as the on-board estimator.

        Raises `scheduler.power_model.PowerModelError` for one that cannot be used.
        """
        self._estimator = PowerModel.parse(content, "the power model")

    def calibrate(self, records: list[dict[str, Any]], idle_power_w: float) -> None:
        """Fit the on-board estimator to metered trials."""
        self._estimator = Estimator.fit([self._profile_record(record) for record in records], idle_power_w)

    def policy(self, name: str, seed: int, options: dict[str, Any], profile: list[dict[str, Any]], holds: bool) -> None:
        """Build a policy. `profile` holds the metered trials, for policies that choose from a table.

        `holds`: within a block each processor stays at the frequency that the policy chose for it first.
        """
        policy = policies.build(
            name,
            self._actions,
            seed=seed,
            options=options,
            profile=[self._profile_record(record) for record in profile],
            true_means=self._board.true_means if isinstance(self._board, Simulated) else None,
        )
        if hasattr(policy, "reward") and self._estimator is None:
            raise policies.PolicyError(f"policy '{name}' learns from energy, and without a monitor there is none")
        self._deciders[name] = Decider(policy, self._actions, holds=holds)

    def replay(self, name: str, decisions: list[dict[str, Any]]) -> None:
        """Bring a policy to where a broken-off run left it, by the decisions and outcomes on record.

        Raises `scheduler.replay.ReplayDiverged` when the policy decides otherwise than it did then.
        """
        self._deciders[name].replay(
            (on["block"], self._state(on["workload"], on["state"]), Action(**on["action"]), _outcome(on["outcome"]))
            for on in decisions
        )

    def co_run(self, load: dict[str, Any]) -> dict[str, Any]:
        """Start, change, look at or stop the co-runner, by the fields of `CoRun`; returns those of `CoRunning`."""
        wanted = CoRun.of(load)
        found = self._board.co_run(wanted if wanted.cpu or wanted.memory or wanted.command else None)
        return {**asdict(found), "program": list(found.program), "strayed": list(found.strayed)}

    def cannot_co_run(self, loads: list[dict[str, Any]]) -> list[str]:
        """What keeps each of these co-runners from running here; an empty text where nothing does."""
        return [self._board.cannot_co_run(CoRun.of(load)) for load in loads]

    def warmth(self) -> dict[str, Any]:
        """How warm the board is now, in the fields of `Warmth`."""
        return asdict(self._board.warmth())

    def air(self, condition: dict[str, float], target: str) -> dict[str, float]:
        """Put a virtual board's way to a remote target under a condition; returns the condition in force."""
        return dict(self._simulated().set_air(condition, target))

    def air_by_kernel(self) -> None:
        """Leave the pace on a virtual board's ways to remote targets to the kernel, which shapes them."""
        self._simulated().leave_pace_to_kernel()

    def shape_begin(
        self, interface: str, paths: dict[str, list[tuple[str, int]]], owner: str, replace: bool
    ) -> dict[str, bool]:
        """Take charge of an interface of this board; returns whether its kernel has netem.

        What is shaped is given back when the controller gives no sign of life any more.
        Raises `testbed.agent.shaping.survey.ShapingError` where it cannot be had.
        """
        addresses = {target: [Address(*address) for address in found] for target, found in paths.items()}
        guard = self._board.guard if isinstance(self._board, Controlled) else None
        live = self._controller.recent
        shaper = Shaper(interface, "board", addresses, owner=owner, replace=replace, guard=guard, live=live)
        self._shaper = self._shaping.enter_context(shaper)
        return {"netem": shaper.netem}

    def shape(self, target: str, up: dict[str, Any], down: dict[str, Any]) -> dict[str, Any]:
        """Put the way to a remote target under a shape each way; returns what the kernel holds, and since when."""
        up_held, down_held, time_ns = self._shaper.shape(target, Shape.of(up), Shape.of(down))
        return {"up": up_held.plain(), "down": down_held.plain(), "time_ns": time_ns}

    def shape_held(self) -> None:
        """Raises `testbed.agent.shaping.survey.ShapingError` where what was shaped has been given back."""
        self._shaper.require_held()

    def shape_restore(self) -> None:
        """Leave the interface as it was found, and stay in charge."""
        self._shaper.restore()

    def shape_end(self) -> None:
        """Give the interface back."""
        self._shaping.close()

    def probe(self, name: str, up_bytes: int) -> dict[str, Any]:
        """Probe the path to a remote target; returns the fields of `Path`, or the "failure"."""
        address, timeout_s, terms = self._addresses[name]
        try:
            return asdict(probe(address, timeout_s, up_bytes, terms))
        except ProbeFailed as failure:
            return {"failure": str(failure)}

    def pulse(self, code: list[int], chip_s: float) -> int:
        """Load the board by a code, 1 busy and 0 idle; returns when that began, on the board's clock."""
        return self._board.pulse(code, chip_s)

    def burden(
        self,
        cores: int,
        utilisation: float,
        frequency_hz: float | None,
        memory: float,
        idle_s: float,
        duration_s: float,
    ) -> dict[str, Any]:
        """Have the CPU at a clock and bear a load between two idle times: see `bear`."""
        self._footing.take(Action("cpu", "", frequency_hz))
        borne = bear(self._board, cores, utilisation, memory, idle_s, duration_s)
        told, strayed = self._footing.leave()
        return {**borne, "strayed": strayed, "frequency_hz": told["frequency_hz"]}

    def trial(
        self,
        workload: str,
        who: dict[str, Any],
        window: dict[str, Any],
        index: int,
        signals: dict[str, float] | None,
    ) -> dict[str, Any]:
        """Observe, decide, run.

        `who` is {"policy": name, "block": of the trial, "again": whether to repeat its last decision}, or
        {"action": {...}}. `signals` are those of the state (rssi_dbm, peer_rssi_dbm) which the link stands for,
        whatever the radio receives.
        """
        task = self._tasks[workload]
        telemetry = self._board.observe()
        seen = {"rssi_dbm": telemetry.rssi_dbm, "peer_rssi_dbm": telemetry.peer_rssi_dbm, **(signals or {})}
        state = State(task, telemetry.co_cpu, telemetry.co_memory, **seen)
        decider = self._deciders[who["policy"]] if "policy" in who else None
        if decider is None:
            action = Action(**who["action"])
        else:
            state, action = decider.again() if who["again"] else decider.decide(state, who["block"])
        self._footing.take(action)
        opt = self._opt(task, action)
        inputs = self._loaded[workload].inputs
        order = [inputs[(index + i) % len(inputs)] for i in range(len(inputs))]
        session = self._sessions[workload, action.target, action.precision]
        trial = run_trial(
            self._board.clock, session, order, Window(period_s=task.period_s, **window), self._board.marker
        )
        footing, strayed = self._footing.leave()
        estimated_j = self._estimated_energy_j(state, action, trial)
        if decider is not None:
            latency_s, accuracy = sum(trial.latencies_s) / trial.n, task.accuracy[action.precision]
            outcome = Outcome(latency_s, estimated_j or 0.0, accuracy, trial.failure is not None)
            decider.await_energy(outcome)
        return {
            "state": _state_values(state),
            "action": asdict(action),
            "explored": bool(decider is not None and getattr(decider.policy, "explored", False)),
            "start_ns": trial.start_ns,
            "end_ns": trial.end_ns,
            "marked_ns": trial.marked_ns,
            "latencies_s": trial.latencies_s,
            "transmit_s": trial.transmit_s,
            "receive_s": trial.receive_s,
            "compute_s": trial.compute_s,
            "failure": trial.failure,
            "accuracy": task.accuracy[action.precision],
            "estimated_energy_j": estimated_j,
            "observed": {
                "temperature_c": telemetry.temperature_c,
                "throttled": telemetry.throttled,
                "rssi_dbm": telemetry.rssi_dbm,
                **footing,
                **({} if trial.device_s is None else {"device_s": trial.device_s / trial.n}),
            },
            "strayed": strayed,
            "request_bytes": task.network.input_bytes,
            "opt": opt,
            "truth_j": None if (truth_j := true_j(self._board, trial.inferences_ns)) is None else truth_j / trial.n,
        }

    def learn(self, policy: str, energy_j: float | None) -> dict[str, Any]:
        """Tell the policy what its last decision brought, with the metered energy where the suite asks for it.

        Returns the outcome it was told, and the reward it made of it (None for a policy that has none).
        """
        state, action, outcome = self._deciders[policy].take_pending()
        if energy_j is not None:
            outcome = replace(outcome, energy_j=energy_j)
        learner = self._deciders[policy].policy
        learner.update(state, action, outcome)
        reward = getattr(learner, "reward", None)
        unknown = energy_j is None and self._estimator is None
        return {
            "outcome": {**asdict(outcome), "energy_j": None if unknown else outcome.energy_j},
            "reward": None if reward is None else {"name": reward.name, "value": getattr(learner, "last_reward", None)},
        }

    def tune(self, knob: str, value: str) -> None:
        """Set one of the board's knobs, until it is given back."""
        self._controlled().tune(knob, value)

    def offered(self) -> dict[str, Any]:
        """What each of the board's knobs can be set to."""
        return dict(self._controlled().offered())

    def locked(self) -> list[str]:
        """What of them the agent's user may not set."""
        return list(self._controlled().locked())

    def mend(self) -> list[str]:
        """Put back what dead programs left altered on this machine; a line for each."""
        return list(sweep())

    def standing(self) -> dict[str, Any]:
        """How the board stands, in the fields of `Standing`."""
        return dict(plain(self._controlled().standing()))

    def sweep(self) -> dict[str, Any]:
        """What the board's sensors say, and when, on its clock."""
        board = self._controlled()
        return {"time_ns": self._board.clock.now_ns(), "readings": dict(board.sweep())}

    def restore(self) -> None:
        """Give clocks and co-runners back."""
        self._board.restore()
        self._footing.forget()

    def close(self) -> None:
        """Close every session, and give the network back."""
        self._shaping.close()
        while self._sessions:
            self._sessions.popitem()[1].close()

    def _simulated(self) -> Simulated:
        if not isinstance(self._board, Simulated):
            raise TypeError("only a virtual board has a virtual link")
        return self._board

    def _estimated_energy_j(self, state: State, action: Action, trial: Trial) -> float | None:
        if self._estimator is None:
            return None
        latency_s = sum(trial.latencies_s) / trial.n
        return self._estimator.energy_j(state, action, latency_s, trial.transmit_s / trial.n, trial.receive_s / trial.n)

    def _opt(self, task: Task, action: Action) -> dict[str, Any] | None:
        """What the clairvoyant would pick now, and the true means of its pick and of `action`."""
        if not isinstance(self._board, Simulated):
            return None
        candidates = self._actions if action in self._actions else (*self._actions, action)
        means = dict(zip(candidates, self._board.true_means(task, candidates), strict=True))
        best = choose(task, {candidate: means[candidate] for candidate in self._actions})
        verdict = score(task, means, action)
        return {
            "action": asdict(best),
            "energy_j": means[best].energy_j,
            "feasible": verdict.feasible,
            "chosen_energy_j": means[action].energy_j,
            "chosen_met": verdict.met,
        }

    def _controlled(self) -> Controlled:
        if not isinstance(self._board, Controlled):
            raise TypeError("this board has no knobs but its frequencies")
        return self._board

    def _state(self, workload: str, values: Mapping[str, float]) -> State:
        return State(task=self._tasks[workload], **values)

    def _profile_record(self, record: Mapping[str, Any]) -> ProfileRecord:
        return ProfileRecord(
            state=self._state(record["workload"], record["state"]),
            action=Action(**record["action"]),
            latency_s=record["latency_s"],
            transmit_s=record["transmit_s"],
            receive_s=record["receive_s"],
            energy_j=record["energy_j"],
        )


def _tensors(content: bytes) -> Tensors:
    with np.load(io.BytesIO(content), allow_pickle=False) as archive:
        return {name: archive[name] for name in archive.files}


def _outcome(values: Mapping[str, Any]) -> Outcome:
    """An outcome on record; a policy that is shown one without energy does not look at it."""
    return Outcome(**{**values, "energy_j": values["energy_j"] or 0.0})


def _state_values(state: State) -> dict[str, float]:
    return {
        "co_cpu": state.co_cpu,
        "co_memory": state.co_memory,
        "rssi_dbm": state.rssi_dbm,
        "peer_rssi_dbm": state.peer_rssi_dbm,
    }
