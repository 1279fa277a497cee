"""The suite file: what to do on a bench."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, model_validator

from testbed.co_runs import SHIPPED
from testbed.config.loader import Strict, load
from testbed.config.quantities import Celsius, Dbm, Seconds, Share

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*$")]
Precision = Literal["fp32", "fp16", "int8"]
Fraction = Annotated[float, Field(ge=0, le=1)]


class ModelFiles(Strict):
    """A model of the user's own."""

    files: dict[Precision, Path] = Field(min_length=1)
    """precision -> ONNX file, relative to the suite file"""
    accuracy: dict[Precision, Fraction]
    """precision -> accuracy, for the files above"""

    @model_validator(mode="after")
    def _accuracy_for_each_file(self) -> ModelFiles:
        if missing := sorted(set(self.files) - set(self.accuracy)):
            raise ValueError(f"accuracy is missing for {', '.join(missing)}")
        return self


class Workload(Strict):
    """A model with its inputs, QoS, arrival pattern and accuracy target."""

    name: Name
    model: str | ModelFiles
    """a network of the zoo by name, or files of your own"""
    qos_s: Seconds = Field(gt=0)
    period_s: Seconds | None = Field(default=None, gt=0)
    """frame period of a stream; absent when requests come one at a time"""
    accuracy_target: Fraction = 0.0
    inputs: int = Field(default=32, ge=1, le=4096)
    """how many different inputs"""


class CoRunner(Strict):
    """The load that interferes: shares of CPU and memory bandwidth, a recording of them, or a program."""

    cpu: Share = Field(default=0.0, ge=0, le=1)
    """busy share of all cores, or of `cores`"""
    memory: Share = Field(default=0.0, ge=0, le=1)
    """share of the board's memory bandwidth"""
    replay: str | None = None
    """music-player, web-browser, or a file of `time_s,cpu,memory` relative to the suite file"""
    replay_step_s: Seconds = Field(default=1.0, gt=0, le=3600)
    """how far the recording goes on from one trial to the next"""
    command: list[str] | None = Field(default=None, min_length=1)
    """a program and its arguments, run as it is; not beside a virtual board"""
    cores: list[Annotated[int, Field(ge=0)]] = Field(default_factory=list)
    """that it is pinned to; none: all"""
    nice: int = Field(default=0, ge=-20, le=19)

    @model_validator(mode="after")
    def _one_way(self) -> CoRunner:
        ways = [bool(self.cpu or self.memory), self.replay is not None, self.command is not None]
        if sum(ways) > 1:
            raise ValueError("give either 'cpu' and 'memory', or 'replay', or 'command'")
        if len(set(self.cores)) < len(self.cores):
            raise ValueError("cores: one stands there twice")
        return self


class Environment(Strict):
    """A condition held for a block of trials."""

    name: Name
    rssi_dbm: Dbm = Field(default=-58.0, ge=-90, le=-30)
    rssi_std_db: float = Field(default=0.0, ge=0, le=20)
    """standard deviation of the signal from trial to trial, Gaussian and kept within -85..-50 dBm"""
    trace: Path | None = None
    """file of a recorded link to the cloud, relative to the suite file, instead of `rssi_dbm`"""
    trace_step_s: Seconds = Field(default=1.0, gt=0, le=3600)
    """how far the trace goes on from one trial to the next"""
    peer_rssi_dbm: Dbm = Field(default=-58.0, ge=-90, le=-30)
    """signal towards the connected edge device"""
    co_runner: CoRunner | Annotated[list[CoRunner], Field(min_length=1)] = CoRunner()
    """one that stays as it is, or the states between which one changes at random"""
    dwell_trials: float = Field(default=5.0, ge=1)
    """mean number of trials that a changing co-runner stays in a state"""

    @model_validator(mode="after")
    def _one_signal(self) -> Environment:
        regular_dbm = type(self).model_fields["rssi_dbm"].default
        if self.trace is not None and (self.rssi_dbm != regular_dbm or self.rssi_std_db):
            raise ValueError("give either 'trace' or a signal ('rssi_dbm', 'rssi_std_db')")
        return self


class PolicyUse(Strict):
    """A policy, and how often it decides in each workload and environment."""

    name: str
    trials: int = Field(ge=1, le=100_000)
    options: dict[str, float | int | str] = Field(default_factory=dict)
    """the policy's own options; see the reference of policies"""
    energy: Literal["estimator", "monitor"] = "estimator"
    """where the energy in its reward comes from"""
    hold: Literal["block"] | None = None
    """for how long a processor that it has chosen stays at the frequency it chose first; absent: it may change"""


class Reference(Strict):
    """The drift sentinel: one fixed action, again and again."""

    action: str
    every: int = Field(default=20, ge=2)


class ThermalBand(Strict):
    """The temperatures at which a trial may start."""

    band_c: tuple[Celsius, Celsius]
    """the lowest and the highest, of the board's warmest sensor"""
    wait_s: Seconds = Field(default=120.0, gt=0, le=3600)
    """how long a trial may be put off for it; a board that is too cold is loaded meanwhile"""
    otherwise: Literal["tag", "stop"] = "tag"
    """what becomes of a trial that is still outside then: it is made and tagged, or the run stops"""

    @model_validator(mode="after")
    def _in_order(self) -> ThermalBand:
        if self.band_c[0] >= self.band_c[1]:
            raise ValueError("band_c: give the lower temperature first")
        return self


class Suite(Strict):
    """What to do, in which order, how often."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9-]*$")
    workloads: list[Workload] = Field(min_length=1)
    environments: list[str | Environment] = Field(min_length=1)
    """names of the paper's environments, or ones of your own"""
    actions: list[str] = Field(min_length=1)
    """such as cpu/fp32@max, gpu/int8@612MHz, dla0/int8, cloud/fp16; several at once: cpu/fp32@all, cpu/fp32@3"""
    policies: list[PolicyUse] = Field(min_length=1)
    repetitions: int = Field(default=4, ge=1, le=1000)
    """blocks an environment's trials are spread over"""
    reference: Reference | None = None
    warmup_trials: int = Field(default=2, ge=0, le=1000)
    """trials of each workload at the start of a block that are marked and left out of every figure"""
    profile_trials: int = Field(default=3, ge=0, le=1000)
    """metered trials of each action and workload that calibrate the on-board estimator and Edge (Best); 0 where the
    bench names a power model and no policy chooses from a profile"""
    guard_s: Seconds = Field(default=0.015, gt=0, le=10)
    """idle time before and after a trial, from which its baseline is taken"""
    window_s: Seconds | None = Field(default=None, gt=0, le=600)
    """least length of a trial's window; absent: the meter's shortest"""
    thermal: ThermalBand | None = None
    cool_down_s: Seconds = Field(default=0.0, ge=0, le=3600)
    """idle time between two blocks"""
    most_tagged: Share = Field(default=0.2, ge=0, le=1)
    """share of trials off their condition from which on the run counts as unhealthy"""

    @model_validator(mode="after")
    def _names_are_unique(self) -> Suite:
        for what, names in (
            ("workloads", [workload.name for workload in self.workloads]),
            ("environments", [e if isinstance(e, str) else e.name for e in self.environments]),
            ("policies", [policy.name for policy in self.policies]),
            ("actions", self.actions),
        ):
            if twice := sorted({name for name in names if names.count(name) > 1}):
                raise ValueError(f"{what}: {', '.join(twice)} stands there twice")
        return self

    @model_validator(mode="after")
    def _reference_is_an_action(self) -> Suite:
        # An action that stands for several may hold it; which frequencies those are only the board knows.
        several = {text.partition("@")[0] for text in self.actions if "@" in text}
        what = self.reference.action.partition("@")[0] if self.reference is not None else None
        if self.reference is not None and self.reference.action not in self.actions and what not in several:
            raise ValueError(f"reference.action: '{self.reference.action}' is none of the suite's actions")
        return self


def load_suite(path: Path) -> Suite:
    """Raises BenchError naming every mistake with its line; files of models and traces become absolute paths."""
    suite = load(path, Suite)
    return suite.model_copy(
        update={
            "workloads": [_anchored(workload, path.parent) for workload in suite.workloads],
            "environments": [_with_files(environment, path.parent) for environment in suite.environments],
        }
    )


def _anchored(workload: Workload, folder: Path) -> Workload:
    if isinstance(workload.model, str):
        return workload
    files = {precision: (folder / file).resolve() for precision, file in workload.model.files.items()}
    return workload.model_copy(update={"model": workload.model.model_copy(update={"files": files})})


def _with_files(environment: str | Environment, folder: Path) -> str | Environment:
    if isinstance(environment, str):
        return environment
    update: dict[str, object] = {}
    if environment.trace is not None:
        update["trace"] = (folder / environment.trace).resolve()
    given = environment.co_runner
    if isinstance(given, CoRunner):
        update["co_runner"] = _with_recording(given, folder)
    else:
        update["co_runner"] = [_with_recording(state, folder) for state in given]
    return environment.model_copy(update=update)


def _with_recording(co_runner: CoRunner, folder: Path) -> CoRunner:
    if co_runner.replay is None or co_runner.replay in SHIPPED:
        return co_runner
    return co_runner.model_copy(update={"replay": str((folder / co_runner.replay).resolve())})
