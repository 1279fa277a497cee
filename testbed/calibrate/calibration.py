"""A whole calibration: a bench measured by a plan into a folder, from the start or from where it broke off."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, Protocol

from scheduler.contract import Action, Task
from scheduler.contract import Network as NetworkFacts
from testbed.calibrate.bench_end import BenchEnd, Network
from testbed.calibrate.design import DOWNLOADS, UPLOADS, Condition, Offer, Plan, conditions
from testbed.calibrate.folder import Folder
from testbed.calibrate.measurement import Measurement
from testbed.calibrate.model_file import power_model
from testbed.calibrate.regression import SingularError
from testbed.calibrate.schedule import Schedule
from testbed.calibrate.transfers import prepare as prepare_transfer
from testbed.config import Bench, bench_schema
from testbed.delivery import Freight, deliver, introduce, load
from testbed.errors import BenchError
from testbed.meter import Meter
from testbed.models import inputs, zoo
from testbed.network.conditions import condition_at
from testbed.opening import OpenBench, Served, open_bench, serving

_log = logging.getLogger(__name__)

PATIENCE_S = 10.0
"""at the least, for an endpoint to answer: ten times the longest transfer, which may fade and be sent again"""


class Audience(Protocol):
    """Who is told how it goes."""

    def step(self, text: str) -> None: ...

    def begins(self, folder: Path, left: int, left_s: float) -> None:
        """Everything is ready: so many measurements are left at the least, which take about so long."""

    def measured(self, measurement: Measurement, left: int, left_s: float) -> None: ...


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a calibration came to."""

    folder: Path
    model: Path
    facts: Mapping[str, Any]
    """of the model's file"""


def start(bench: Bench, plan: Plan, seed: int, out: Path, audience: Audience) -> Outcome:
    """Calibrate from the beginning, in a folder made under `out`. Raises BenchError, TransientError."""

    def create(opened: OpenBench, meter: Meter) -> Folder:
        stamp = datetime.now(timezone.utc).strftime("%Y%m%dT%H%M%S")
        header = {
            "created": datetime.now(timezone.utc).isoformat(timespec="seconds"),
            "bench": bench.model_dump(mode="json"),
            "plan": asdict(plan),
            "seed": seed,
            "board": dict(opened.identity),
            "meter": _meter_facts(opened, meter),
            "power_mode": opened.agent.ask("standing")["held"].get("power_mode") if opened.identity["knobs"] else None,
            "provenance": bench.provenance,
            "labels": [*bench.board.labels, *(opened.link.labels if opened.link else ())],
        }
        return Folder.create(out / f"calibration-{bench.name}-{stamp}", header)

    return _carry_out(bench, plan, seed, create, audience)


def resume(path: Path, audience: Audience) -> Outcome:
    """Go on with a calibration that broke off, from the first measurement that is not there; or fit it anew."""
    with Folder(path) as folder:
        bench = bench_schema().model_validate(folder.header["bench"])
        plan = Plan.from_dict(folder.header["plan"])
        return _carry_out(bench, plan, folder.header["seed"], lambda *_: nullcontext(folder), audience)


def _carry_out(
    bench: Bench,
    plan: Plan,
    seed: int,
    open_folder: Callable[[OpenBench, Meter], AbstractContextManager[Folder]],
    audience: Audience,
) -> Outcome:
    if bench.monitor is None:
        raise BenchError(f"bench '{bench.name}' has no monitor: a power model is fitted to what one measures")
    audience.step(f"opening {bench.name}")
    with open_bench(bench, seed) as opened:
        offer = _offer(opened, plan)
        cargo = _Cargo(plan, offer, opened.identity, audience.step)
        with serving(opened, cargo.served, seed) as servers:
            introduce(opened.agent, _patient(bench), servers)
            wanted = cargo.bring(opened, conditions(plan, offer))
            assert opened.monitor is not None
            with Meter(opened.monitor) as meter:
                audience.step(f"watching {meter.spec.name}")
                meter.settle(opened.now_ns())
                with open_folder(opened, meter) as folder:
                    end = BenchEnd(opened, meter, servers, cargo.networks)
                    _measure(end, Schedule(wanted, plan, seed), folder, audience)
                    audience.step("fitting the model")
                    return _fitted(folder)


def fit(path: Path) -> Outcome:
    """Fit the model to what a calibration has measured so far; needs no bench. Raises BenchError for too little."""
    with Folder(path) as folder:
        return _fitted(folder)


def _fitted(folder: Folder) -> Outcome:
    try:
        facts = power_model(folder.measurements, folder.header)
    except SingularError as error:
        raise BenchError(f"{folder.path} holds too little for a power model: {error}; go on with --resume") from None
    return Outcome(folder.path, folder.write_model(facts), facts)


def _meter_facts(opened: OpenBench, meter: Meter) -> dict[str, Any]:
    whole = meter.spec.whole
    return {
        "name": meter.spec.name,
        "gain_standard_uncertainty": whole.gain_standard_uncertainty,
        "offset_standard_uncertainty_w": whole.offset_standard_uncertainty_w,
        "checks": [str(record) for record in opened.calibrations.used] if opened.calibrations else [],
    }


def _patient(bench: Bench) -> Bench:
    """What an answer is worth in time is no matter here."""
    endpoints = {
        name: endpoint.model_copy(update={"timeout_s": max(PATIENCE_S, endpoint.timeout_s)})
        for name, endpoint in bench.endpoints.items()
    }
    return bench.model_copy(update={"endpoints": endpoints})


def _measure(end: BenchEnd, schedule: Schedule, folder: Folder, audience: Audience) -> None:
    done = folder.measurements
    audience.begins(folder.path, schedule.total_left(done), schedule.left_s(done))
    before_s = max((measurement.elapsed_s for measurement in done), default=0.0)
    while (due := schedule.next(done)) is not None:
        condition, sentinel = due
        folder.append(end.measure(condition, sentinel=sentinel, before_s=before_s))
        audience.measured(done[-1], schedule.total_left(done), schedule.left_s(done))


def _offer(opened: OpenBench, plan: Plan) -> Offer:
    identity, bench = opened.identity, opened.bench
    engines = identity["engines"]
    modes: list[str] = []
    if identity["knobs"] and "power mode" not in opened.agent.ask("locked"):
        here = opened.agent.ask("standing")["held"].get("power_mode")
        modes = [mode for mode in opened.agent.ask("offered")["power_mode"] if mode != here]
    rates_bps: dict[float, float] = {}
    if bench.link is not None and opened.link is not None and opened.link.moves_radio:
        rates_bps = {dbm: condition_at(dbm, bench.link.standard).rate_up_bps for dbm in plan.rssi_dbm}
    elif bench.endpoints:
        _log.warning("nothing on this bench moves the board's radio to another signal: its powers are not calibrated")
    return Offer(
        cores=identity["cores"],
        processors={name: on for name, on in identity["processors"].items() if not engines or name in engines},
        frequencies_hz=identity["frequencies_hz"],
        power_modes=modes,
        rates_bps=rates_bps,
        remotes=list(bench.endpoints) if rates_bps else [],
    )


class _Cargo:
    """The networks of a calibration."""

    def __init__(self, plan: Plan, offer: Offer, identity: Mapping[str, Any], on_step: Callable[[str], None]) -> None:
        places = [(target, precision) for target, on in offer.processors.items() for precision in on]
        precisions = sorted({"fp32", *(p for on in offer.processors.values() for p in on)})
        self._on_step = on_step
        self._tasks: dict[str, Task] = {}
        self._freight: dict[str, Freight] = {}
        self.networks: dict[str, Network] = {}
        for name in (*plan.networks, *plan.unseen_networks):
            model = zoo.prepare(name, precisions, on_step=on_step)
            counts = model.counts
            facts = NetworkFacts(
                name, counts.conv_layers, counts.fc_layers, counts.rc_layers, counts.macs, model.input_bytes
            )
            self._add(facts, Freight.of(model, model.inputs(1), identity, places, on_step))
        self.served: dict[str, Served] = {}
        for name in (*UPLOADS, *DOWNLOADS) if offer.remotes else ():
            file, specs = prepare_transfer(name)
            self._add(
                NetworkFacts(name, 0, 0, 0, 1, sum(spec.nbytes for spec in specs)),
                Freight({"fp32": file}, {"fp32": 1}, inputs.for_specs(specs, 1)),
            )
            self.served[f"{name}-fp32"] = Served(file.path, 1)

    def _add(self, facts: NetworkFacts, freight: Freight) -> None:
        accuracy = dict.fromkeys(freight.files, 1.0)
        self._tasks[facts.name] = Task(facts.name, facts, qos_s=60.0, accuracy_target=0.0, accuracy=accuracy)
        self._freight[facts.name] = freight
        self.networks[facts.name] = Network(facts.macs, freight.bytes_moved)

    def bring(self, opened: OpenBench, wanted: list[Condition]) -> list[Condition]:
        """Send and load everything; returns the conditions whose sessions could be loaded."""
        agent = opened.agent
        agent.on_told = self._on_step
        agent.ask("actions", actions=[asdict(Action("cpu", "fp32"))])
        for name, task in self._tasks.items():
            self._on_step(f"sending {name} to the board")
            deliver(agent, task, self._freight[name])
        refused: set[tuple[str, str, str]] = set()
        for place in sorted({(c.network, c.target, c.precision) for c in wanted if c.network}):
            self._on_step(f"loading {place[0]} on {place[1]} at {place[2]}")
            try:
                load(agent, *place)
            except BenchError as refusal:
                _log.warning("left out: %s", refusal)
                refused.add(place)
        return [c for c in wanted if (c.network, c.target, c.precision) not in refused]
