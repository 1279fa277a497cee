"""The experiment file of the arena: who competes, on what, how often."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, model_validator

from testbed.config import Environment
from testbed.config.loader import Strict, load
from testbed.config.quantities import Seconds
from testbed.config.suite import Fraction, Name
from testbed.network.conditions import Standard


class VirtualBoard(Strict):
    """A virtual board in virtual time."""

    kind: Literal["virtual"]
    name: Name
    profile: str
    """such as jetson-agx-orin"""
    actions: list[str] = Field(min_length=2)
    """such as cpu/fp32@max, gpu/int8@612MHz, dla0/int8, cloud/fp16; `@all` is every frequency step"""
    standard: Standard = "802.11n-ht40"
    """which measured goodput table turns signal strength into a data rate"""
    patience_s: Seconds = Field(default=0.6, gt=0)
    """an answer later than this counts as none"""


class RecordedRun(Strict):
    """The trials of a run, played again."""

    kind: Literal["run"]
    name: Name
    folder: Path
    """a run folder, as `testbed run` makes it, relative to the experiment file"""


class ImportedTable(Strict):
    """Latencies and powers that others measured, played again."""

    kind: Literal["table"]
    name: Name
    file: Path
    """CSV, relative to the experiment file; see the reference of the arena"""
    board: str
    """which of the table's boards"""


ArenaBoard = Annotated[VirtualBoard | RecordedRun | ImportedTable, Field(discriminator="kind")]


class Layers(Strict):
    """A network that neither the zoo nor the literature knows, as AutoScale's state describes it."""

    conv_layers: int = Field(ge=0)
    fc_layers: int = Field(ge=0)
    rc_layers: int = Field(default=0, ge=0)
    macs: int = Field(gt=0)
    input_bytes: int = Field(default=224 * 224 * 3, gt=0)
    """of one request; absent: a photo of 224 x 224"""


class ArenaWorkload(Strict):
    """A network with its constraints."""

    name: Name
    model: str
    """a network by name; in an imported table, the name that stands there"""
    qos_s: Seconds = Field(gt=0)
    accuracy_target: Fraction = 0.0
    layers: Layers | None = None
    """of a network that is not known by its name"""


class ArenaPolicy(Strict):
    """A policy that competes."""

    name: Name
    """as the tables call it"""
    policy: str | None = None
    """which policy it is; absent: that of the same name"""
    options: dict[str, float | int | str] = Field(default_factory=dict)
    energy: Literal["estimator", "monitor"] = "estimator"
    """where the energy it learns from comes from"""
    profile: list[str] | None = None
    """which of the profiled environments it may look at; absent: all"""
    start: Literal["cold", "trained", "transferred"] = "cold"
    """how it enters a cell: as built, trained on this board, or with what it learnt on the other boards"""

    @property
    def builder(self) -> str:
        """Name of the policy."""
        return self.policy or self.name


class Profiling(Strict):
    """The metered trials that everyone may look at beforehand."""

    environments: list[str | Environment] = Field(default=["S1"], min_length=1)
    """those after the first tell the on-board estimator what co-runners and signals cost"""
    trials: int = Field(default=2, ge=1)
    """of each action, workload and environment"""
    power_error: dict[str, float] = Field(default_factory=dict)
    """target -> what its energies are multiplied by: a wrong power table, on purpose"""


class Training(Strict):
    """What a trained policy lives through before its cells: blocks of one workload in one condition."""

    environments: Literal["grid"] | list[str | Environment] = "grid"
    """names, or `grid`: each combination of the paper's bins of co-runners and signals, 64 in all"""
    trials: int = Field(default=100, ge=1)
    """in each block"""
    leave_network_out: bool = False
    """train for each workload's cells on the other workloads only"""


class Drift(Strict):
    """A cell in which the world changes from one environment to another."""

    name: Name
    before: str | Environment = "S1"
    after: str | Environment = "S1"
    at: int = Field(ge=1)
    """trial, from 0, at which the change begins"""
    over: int = Field(default=0, ge=0)
    """trials it takes; 0 is abrupt"""
    hidden: bool = False
    """telemetry goes on showing the first environment"""
    throttled: bool = False
    """once changed, the board throttles its clocks, and says nothing"""


class Experiment(Strict):
    """Policies x boards x workloads x environments x seeds."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9-]*$")
    boards: list[ArenaBoard] = Field(min_length=1)
    workloads: list[ArenaWorkload] = Field(min_length=1)
    environments: list[str | Environment] = Field(min_length=1)
    drifts: list[Drift] = Field(default_factory=list)
    policies: list[ArenaPolicy] = Field(min_length=1)
    seeds: int = Field(default=30, ge=1)
    trials: int = Field(default=100, ge=2)
    """of each policy in each cell: a board, a workload and an environment or a drift"""
    profile: Profiling = Profiling()
    training: Training = Training()

    @model_validator(mode="after")
    def _names_are_unique(self) -> Experiment:
        cells = [each if isinstance(each, str) else each.name for each in (*self.environments, *self.drifts)]
        for what, names in (
            ("boards", [board.name for board in self.boards]),
            ("workloads", [workload.name for workload in self.workloads]),
            ("environments and drifts", cells),
            ("policies", [policy.name for policy in self.policies]),
        ):
            if twice := sorted({name for name in names if names.count(name) > 1}):
                raise ValueError(f"{what}: {', '.join(twice)} stands there twice")
        return self

    @model_validator(mode="after")
    def _profiles_exist(self) -> Experiment:
        known = [each if isinstance(each, str) else each.name for each in self.profile.environments]
        for policy in self.policies:
            if unknown := sorted(set(policy.profile or ()) - set(known)):
                raise ValueError(f"policy '{policy.name}': {', '.join(unknown)} is not profiled; profiled: {known}")
        return self

    @model_validator(mode="after")
    def _signals_and_loads_only(self) -> Experiment:
        training = [] if self.training.environments == "grid" else self.training.environments
        drifting = [each for drift in self.drifts for each in (drift.before, drift.after)]
        for each in (*self.environments, *self.profile.environments, *training, *drifting):
            if not isinstance(each, Environment):
                continue
            if each.trace is not None:
                raise ValueError(f"environment '{each.name}': the arena's worlds know signals, not traces")
            states = each.co_runner if isinstance(each.co_runner, list) else [each.co_runner]
            if any(state.command or state.cores or state.nice for state in states):
                raise ValueError(
                    f"environment '{each.name}': the arena's worlds know loads: no command, no cores, no nice"
                )
        return self

    @model_validator(mode="after")
    def _drifts_fit(self) -> Experiment:
        for drift in self.drifts:
            if drift.at + drift.over >= self.trials:
                raise ValueError(f"drift '{drift.name}' ends at trial {drift.at + drift.over}: give more trials")
        return self


def load_experiment(path: Path) -> Experiment:
    """Raises BenchError naming every mistake with its line; files become absolute paths."""
    experiment = load(path, Experiment)
    return experiment.model_copy(update={"boards": [_anchored(board, path.parent) for board in experiment.boards]})


def _anchored(board: ArenaBoard, folder: Path) -> ArenaBoard:
    if isinstance(board, RecordedRun):
        return board.model_copy(update={"folder": (folder / board.folder).resolve()})
    if isinstance(board, ImportedTable):
        return board.model_copy(update={"file": (folder / board.file).resolve()})
    return board
