"""A whole experiment: a suite on a bench into a run folder, from the start or from where it broke off."""

from __future__ import annotations

import logging
import platform
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict
from datetime import datetime, timezone
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Protocol

from results import RunHeader, RunStore
from scheduler import policies
from scheduler.contract import REMOTE_TARGETS, Action, Means, Network, State, Task
from scheduler.profile import ProfileRecord
from testbed.actions import expand_suite, resolve_actions
from testbed.alignment import align
from testbed.calibration import CalibrationRecord
from testbed.config import Bench, Environment, PolicyUse, Suite, Workload, bench_schema
from testbed.delivery import Freight, deliver, introduce, load
from testbed.environments import resolve_environment
from testbed.errors import BenchError
from testbed.estimation import ChosenModel
from testbed.interference import origins, require_co_runners
from testbed.meter import Meter
from testbed.models import zoo
from testbed.opening import OpenBench, Served, open_bench, serving
from testbed.plan import build_plan
from testbed.records import calibration_facts, meter_record, network_record
from testbed.runner import Runner, Watcher
from testbed.warmth import require_temperature

_log = logging.getLogger(__name__)

_VERSIONED = ("edge-energy-testbed", "numpy", "onnx", "onnxruntime", "pyarrow", "pyserial", "execnet")

Models = Mapping[str, zoo.PreparedModel]
"""workload -> its network"""


class Audience(Watcher, Protocol):
    """Who is told what goes on before and between the trials."""

    def step(self, text: str) -> None: ...

    def run_begins(self, store: RunStore, meter: Meter | None) -> None: ...


def start(bench: Bench, suite: Suite, seed: int, out: Path, audience: Audience) -> Path:
    """Run a suite from the beginning; returns the run folder, made under `out`.

    The folder appears once everything the suite needs was found to be there.
    """
    _require_policies(suite)
    _require_link(bench, suite)

    def create(opened: OpenBench, suite: Suite, models: Models, meter: Meter | None) -> RunStore:
        planned = build_plan(suite, seed, bench.link.standard) if bench.link else build_plan(suite, seed)
        stamp = datetime.now(timezone.utc).strftime("%Y%m%dT%H%M%S")
        plan = [trial.as_dict() for trial in planned]
        header = _header(opened, suite, models, meter, seed)
        return RunStore.create(out / f"{suite.name}-{bench.name}-{stamp}", header, plan)

    return _carry_out(bench, suite, seed, None, create, audience)


def resume(folder: Path, audience: Audience) -> Path:
    """Finish a run that broke off: the same plan, in the same order, from the first trial that is not on record."""
    with RunStore.open_for_resume(folder) as store:
        bench = bench_schema().model_validate(store.header.bench)
        suite = Suite.model_validate(store.header.suite)
        pinned = [CalibrationRecord.model_validate(facts.record) for facts in store.header.calibrations]
        return _carry_out(bench, suite, store.header.seed, pinned, lambda *_: nullcontext(store), audience)


def _carry_out(
    bench: Bench,
    suite: Suite,
    seed: int,
    pinned: Sequence[CalibrationRecord] | None,
    open_store: Callable[[OpenBench, Suite, Models, Meter | None], AbstractContextManager[RunStore]],
    audience: Audience,
) -> Path:
    model = None if bench.power_model is None else ChosenModel.read(bench.power_model)
    models = _prepare_models(suite, audience.step)
    audience.step(f"opening {bench.name}")
    with open_bench(bench, seed, pinned) as opened:
        offered = opened.processors(), opened.identity["frequencies_hz"], opened.board_name
        suite = expand_suite(suite, *offered)
        actions = resolve_actions(suite.actions, *offered, opened.identity["absent"])
        require_co_runners(opened.agent, suite)
        require_temperature(opened.agent, suite)
        _rehearse(bench, suite, models, actions)
        if model is not None:
            model.require(opened.identity, actions)
        with serving(opened, _served(models, actions), seed) as servers:

            def furnish(on_step: Callable[[str], None]) -> None:
                introduce(opened.agent, bench, servers)
                if model is not None:
                    model.hand_to(opened.agent)
                _bring_to_board(opened, suite, models, actions, seed, on_step)

            furnish(audience.step)
            with _metering(opened) as meter:
                window_s = suite.window_s or 0.0
                if meter is not None:
                    audience.step(f"watching {meter.spec.name}")
                    meter.settle(opened.now_ns())
                    window_s = meter.window_s(suite.window_s)
                    meter.require_guard(suite.guard_s)
                alignment = align(opened, meter, suite.guard_s) if meter else None
                with open_store(opened, suite, models, meter) as store:
                    if model is not None and model.label not in store.header.labels:
                        raise BenchError(f"power_model: {model.path} is not the one the run began with; restore that")
                    audience.run_begins(store, meter)
                    refurnish = partial(furnish, _log.debug)
                    Runner(
                        opened, meter, alignment, servers, suite, actions, store, audience, window_s, refurnish
                    ).run()
                    store.finish()
                    return store.path


def _metering(opened: OpenBench) -> AbstractContextManager[Meter | None]:
    return nullcontext() if opened.monitor is None else Meter(opened.monitor)


def _require_policies(suite: Suite) -> None:
    for use in suite.policies:
        policies.require(use.name, use.options)
        if use.hold is not None and use.name in policies.CLAIRVOYANT:
            raise BenchError(f"policy '{use.name}' picks the best of every moment: it cannot hold; leave 'hold' out")


def _rehearse(bench: Bench, suite: Suite, models: Models, actions: Sequence[Action]) -> None:
    """Build every policy on a made-up profile, so that what it cannot do is known before anything is measured.

    Raises PolicyError, or BenchError for a policy that this bench cannot serve.
    """
    tasks = [_task(workload, models[workload.name]) for workload in suite.workloads]
    profile = [
        ProfileRecord(State(task, 0.0, 0.0, -58.0, -58.0), action, 0.01, 0.0, 0.0, 0.1)
        for task in tasks
        for action in actions
    ]
    for use in suite.policies:
        _require_energy(bench, suite, use)
        metered = profile if suite.profile_trials else []
        truth = _made_up_truth if bench.board.provenance == "virtual" else None
        policy = policies.build(use.name, actions, seed=0, options=use.options, profile=metered, true_means=truth)
        try:
            policy.select(profile[0].state, actions)
        except ValueError as error:
            raise BenchError(f"policy '{use.name}' cannot choose among this suite's actions: {error}") from None


def _require_energy(bench: Bench, suite: Suite, use: PolicyUse) -> None:
    """Raises BenchError for a policy whose energies nothing tells."""
    if use.name in policies.WITHOUT_ENERGY:
        return
    if bench.monitor is None and (bench.power_model is None or use.energy == "monitor"):
        raise BenchError(
            f"policy '{use.name}' decides by energy, and bench '{bench.name}' has no monitor"
            + ("" if use.energy == "monitor" else " and no power_model")
            + f"; without one there are: {', '.join(sorted(policies.WITHOUT_ENERGY))}"
        )
    if suite.profile_trials == 0 and bench.power_model is None:
        raise BenchError(
            f"policy '{use.name}' decides by energy, which profile trials tell: set profile_trials to 1 or more, "
            "or name a power_model in the bench file"
        )


def _made_up_truth(task: Task, actions: Sequence[Action]) -> list[Means]:
    return [Means(0.1, 0.01, 1.0) for _ in actions]


def _task(workload: Workload, model: zoo.PreparedModel) -> Task:
    counts = model.counts
    return Task(
        name=workload.name,
        network=Network(
            model.name, counts.conv_layers, counts.fc_layers, counts.rc_layers, counts.macs, model.input_bytes
        ),
        qos_s=workload.qos_s,
        accuracy_target=workload.accuracy_target,
        accuracy={precision: accuracy.value for precision, accuracy in model.accuracy.items()},
        period_s=workload.period_s,
    )


def _require_link(bench: Bench, suite: Suite) -> None:
    """Raises BenchError for a signal that nothing on this bench can bring about."""
    regular = Environment(name="regular")
    for environment in map(resolve_environment, suite.environments):
        signals = environment.rssi_dbm, environment.peer_rssi_dbm, environment.rssi_std_db
        shaped = environment.trace or signals != (regular.rssi_dbm, regular.peer_rssi_dbm, regular.rssi_std_db)
        if bench.link is None and shaped:
            raise BenchError(
                f"environment '{environment.name}' asks for a signal, and bench '{bench.name}' has no 'link' to shape "
                "the network; add one, or leave the environment out"
            )


def _prepare_models(suite: Suite, on_step: Callable[[str], None]) -> dict[str, zoo.PreparedModel]:
    """The model of each workload, in every precision that some action uses."""
    precisions = {text.partition("/")[2].partition("@")[0] for text in suite.actions}
    return {workload.name: _prepare_model(workload, sorted(precisions), on_step) for workload in suite.workloads}


def _prepare_model(workload: Workload, precisions: Sequence[str], on_step: Callable[[str], None]) -> zoo.PreparedModel:
    if isinstance(workload.model, str):
        return zoo.prepare(workload.model, precisions, on_step=on_step)
    if missing := sorted(set(precisions) - set(workload.model.files)):
        raise BenchError(
            f"workload '{workload.name}' has no file for {', '.join(missing)}, which an action uses: "
            "add it under model.files, or leave the action out"
        )
    return zoo.from_files(
        workload.name,
        {str(precision): file for precision, file in workload.model.files.items()},
        {str(precision): accuracy for precision, accuracy in workload.model.accuracy.items()},
    )


def _served(models: Models, actions: Sequence[Action]) -> dict[str, Served]:
    """What the endpoints must serve, by the name the board asks for: `<model>-<precision>`."""
    precisions = {action.precision for action in actions if action.target in REMOTE_TARGETS}
    return {
        f"{model.name}-{precision}": Served(model.files[precision], model.counts.macs)
        for model in models.values()
        for precision in precisions
    }


def _bring_to_board(
    opened: OpenBench,
    suite: Suite,
    models: Models,
    actions: Sequence[Action],
    seed: int,
    on_step: Callable[[str], None],
) -> None:
    agent = opened.agent
    agent.on_told = on_step
    agent.ask("actions", actions=[asdict(action) for action in actions])
    places = sorted({(action.target, action.precision) for action in actions})
    for workload in suite.workloads:
        model = models[workload.name]
        on_step(f"sending {model.name} to the board")
        inputs = model.inputs(workload.inputs, seed)
        deliver(agent, _task(workload, model), Freight.of(model, inputs, opened.identity, places, on_step))
        for target, precision in places:
            on_step(f"loading {model.name} on {target} at {precision}")
            load(agent, workload.name, target, precision)


def _header(opened: OpenBench, suite: Suite, models: Models, meter: Meter | None, seed: int) -> RunHeader:
    bench = opened.bench
    resolved = suite.model_copy(update={"environments": [resolve_environment(named) for named in suite.environments]})
    return RunHeader(
        created=datetime.now(timezone.utc).isoformat(),
        bench=bench.model_dump(mode="json"),
        suite=resolved.model_dump(mode="json"),
        networks={workload: network_record(model) for workload, model in models.items()},
        meter=None if meter is None else meter_record(meter.spec),
        seed=seed,
        versions={"python": platform.python_version(), **_versions()},
        host={"machine": platform.machine(), "system": platform.platform(), "node": platform.node()},
        provenance=bench.provenance,
        labels=(
            *bench.board.labels,
            *opened.identity["labels"],
            *(opened.link.labels if opened.link else ()),
            *origins(suite),
            *(bench.monitor.labels if bench.monitor else ()),
            *((ChosenModel.read(bench.power_model).label,) if bench.power_model else ()),
        ),
        engines=opened.identity["engines"],
        calibrations=tuple(map(calibration_facts, opened.calibrations.used if opened.calibrations else ())),
    )


def _versions() -> dict[str, str]:
    found = {}
    for package in _VERSIONED:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            _log.warning("the version of %s is not known", package)
    return found
