"""What a run leaves behind, as strict records: a wrong type, an unknown or missing key, NaN or infinity is refused.

Every record checks itself when it is made, so that nothing unreadable can reach the disk, and again when it is read.
Energies are those of the whole board. Times are CLOCK_MONOTONIC nanoseconds of the controller,
unless a name says otherwise.
"""

from __future__ import annotations

from typing import Any, Literal, TypeVar

from pydantic import ConfigDict, JsonValue, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

FORMAT_VERSION = 7
"""version of the run folder's format; a folder of another version is refused, never guessed at"""

VIRTUAL_LABEL = "virtual bench: simulated silicon, real protocol"

STRICT = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)

Facts = dict[str, JsonValue]
"""plain JSON: str, int, float, bool, None, lists and dicts of them"""


class RecordError(ValueError):
    """A line of a run folder does not hold the record it should."""


@dataclass(frozen=True, kw_only=True, slots=True, config=STRICT)
class CalibrationFacts:
    """A meter's calibration."""

    says: str
    """in words: which meter, when, against what, what was found"""
    record: Facts
    """all of it"""


@dataclass(frozen=True, kw_only=True, slots=True, config=STRICT)
class NetworkRecord:
    """The neural network of a workload, counted from its graph."""

    name: str
    conv_layers: int
    fc_layers: int
    rc_layers: int
    """recurrent and attention layers"""
    macs: int
    """multiply-accumulates of one inference"""
    input_bytes: int
    """of one request's tensors"""
    accuracy: dict[str, float]
    """precision -> 0..1"""
    sha256: dict[str, str]
    """form of the file, such as a precision -> its digest"""


@dataclass(frozen=True, kw_only=True, slots=True, config=STRICT)
class MeterRecord:
    """What the samples of a run are samples of."""

    rate_hz: float
    aperture_s: float
    """the time a sample averages over, which ends at its time_ns"""
    channels: tuple[str, ...]
    """names, numbered as in the samples' column `channel`"""
    total: tuple[int, ...]
    """the channels whose sum is what the board draws"""


@dataclass(frozen=True, kw_only=True, slots=True, config=STRICT)
class RunHeader:
    """How a run came to be; written before its first trial."""

    format_version: int = FORMAT_VERSION
    created: str
    """ISO 8601, with its offset from UTC"""
    bench: Facts
    """as resolved: every default filled in"""
    suite: Facts
    """as resolved: every default filled in"""
    networks: dict[str, NetworkRecord]
    """workload -> what it runs"""
    meter: MeterRecord | None
    """None where energy is not measured"""
    seed: int
    versions: dict[str, str]
    """package -> version"""
    host: Facts
    provenance: str
    """"virtual", "measured", or words for a mixture; anything but "measured" is labelled wherever results are shown"""
    labels: tuple[str, ...]
    """what a reader must know to read the figures, such as "thermal constants shortened\""""
    calibrations: tuple[CalibrationFacts, ...]
    """of the very meter, by which its readings are corrected; empty: its maker's limits count"""
    engines: dict[str, str]
    """target of the board -> what computes there and how it is set up, as far as the board tells"""

    @property
    def caution(self) -> str | None:
        """The label that goes with every figure of the run; None when everything was measured."""
        if self.provenance == "measured":
            return None
        return VIRTUAL_LABEL if self.provenance == "virtual" else self.provenance


@dataclass(frozen=True, kw_only=True, slots=True, config=STRICT)
class ActionRecord:
    """A target at a frequency."""

    target: str
    precision: str
    frequency_hz: float | None

    def __str__(self) -> str:
        at = "" if self.frequency_hz is None else f"@{self.frequency_hz / 1e6:.0f}MHz"
        return f"{self.target}/{self.precision}{at}"


@dataclass(frozen=True, kw_only=True, slots=True, config=STRICT)
class EnergyRecord:
    """Measured energy of one trial; energies are per inference unless their name says otherwise."""

    energy_j: float
    standard_uncertainty_j: float
    budget_j: dict[str, float]
    """cause -> its share of the standard uncertainty, per inference; the root of the sum of squares is the whole"""
    window_energy_j: float
    """all n inferences"""
    idle_subtracted_j: float | None
    """None where no baseline was taken"""
    idle_subtracted_standard_uncertainty_j: float | None
    frame_energy_j: float | None
    """per frame period, waiting included; None unless the workload is a stream"""
    present: float
    """fraction of the window's samples that arrived, 0..1"""
    window_s: float
    mean_power_w: float
    peak_power_w: float
    baseline_power_w: float | None


@dataclass(frozen=True, kw_only=True, slots=True, config=STRICT)
class OutcomeRecord:
    """What a policy was told of its decision: with these, in order, it can be brought to where it was."""

    latency_s: float
    """mean over the inferences, a vain one included"""
    energy_j: float | None
    """per inference, estimated or metered as the suite asks; None where it could be neither"""
    accuracy: float
    failed: bool


@dataclass(frozen=True, kw_only=True, slots=True, config=STRICT)
class RewardRecord:
    """What a learning policy was told, and by which formula."""

    name: str
    value: float


@dataclass(frozen=True, kw_only=True, slots=True, config=STRICT)
class OptRecord:
    """What the oracle would have chosen at this moment, and the truth about it and about what was chosen."""

    action: ActionRecord
    energy_j: float
    """true mean energy of Opt's action, per inference"""
    feasible: bool
    """some action had true P(latency <= QoS) >= 99 % at the accuracy asked for; otherwise Opt is the fastest"""
    chosen_energy_j: float
    """true mean energy of the chosen action, per inference"""
    chosen_met: bool
    """the chosen action had true P(latency <= QoS) >= 99 % at the accuracy asked for"""


@dataclass(frozen=True, kw_only=True, slots=True, config=STRICT)
class ClockFit:
    """Another clock mapped to the controller's: its time at controller time t is t + offset, and drifts."""

    offset_ns: int
    drift: float
    """seconds gained per second of the controller"""
    uncertainty_s: float
    """standard uncertainty of a mapped time"""
    residual_s: float
    """root mean square of the fit's residuals"""


@dataclass(frozen=True, kw_only=True, slots=True, config=STRICT)
class ConditionRecord:
    """A condition as asked, as read back, and as it turned out to be."""

    asked: Facts
    applied: Facts
    observed: Facts
    """what probes of the path and the board's radio found; empty where nobody looked"""
    strayed: tuple[str, ...]
    """in which ways that lies beyond its bounds, with the bound"""


@dataclass(frozen=True, kw_only=True, slots=True, config=STRICT)
class TrialRecord:
    """n back-to-back inferences under one decision."""

    index: int
    """position in the plan, from 0"""
    block: int
    kind: Literal["warmup", "profile", "reference", "trial"]
    workload: str
    environment: str
    policy: str | None
    """None where the trial was bound to an action, as all but "trial" are"""
    state: Facts
    """empty where the trial was lost"""
    action: ActionRecord | None
    """None where the trial was lost and a policy was to decide: the board took its decision along"""
    explored: bool
    """the policy chose it to learn, not because it seemed best"""
    n: int
    """inferences begun"""
    latencies_s: tuple[float, ...]
    """of each inference, in order; the last of a failed trial may be that of the vain attempt"""
    transmit_s: float
    """time the radio spent sending, over all inferences; 0 on the board"""
    receive_s: float
    """time the radio spent receiving, over all inferences; 0 on the board"""
    compute_s: float
    """time the target computed, over all inferences; 0 where a server does not tell"""
    qos_s: float
    qos_met: int
    """of the n, how many answered within qos_s"""
    accuracy: float | None
    """0..1; None when nothing answered"""
    accuracy_target: float
    start_ns: int
    end_ns: int
    energy: EnergyRecord | None
    """None where there is no monitor, or where it could not measure"""
    estimated_energy_j: float | None
    """per inference, without the meter"""
    learnt: OutcomeRecord | None
    """what the policy was told of its decision; None where no policy decided"""
    reward: RewardRecord | None
    """None unless the policy learns from a reward"""
    opt: OptRecord | None
    """None where the truth is not known"""
    truth_energy_j: float | None
    """true energy of these very inferences, per inference; None unless the board is virtual"""
    radio_penalty_j: float | None
    """Modelled, per inference, and in no other figure: what the radio would have drawn besides at the signal that an
    emulated link stands for. None where there is nothing to add."""
    condition: ConditionRecord
    observed: Facts
    """the frequency read back, telemetry; of a board with knobs what was asked of it and what it held"""
    clock: ClockFit | None
    """the board's clock; None where board and controller share one"""
    outcome: Literal["ok", "failed", "refused", "lost"]
    """failed: the target gave no answer; refused: not run, or run and not to be trusted; lost: the board went away or
    fell silent before it told what came of it (`note` says why)"""
    note: str

    def __post_init__(self) -> None:
        if self.end_ns < self.start_ns:
            raise ValueError(f"trial {self.index} ends before it starts: {self.end_ns} < {self.start_ns}")
        if len(self.latencies_s) > self.n or (self.outcome == "ok" and len(self.latencies_s) < self.n):
            raise ValueError(f"trial {self.index} has {len(self.latencies_s)} latencies for {self.n} inferences")
        if not 0 <= self.qos_met <= len(self.latencies_s):
            raise ValueError(f"trial {self.index}: {self.qos_met} of {len(self.latencies_s)} answers met QoS")
        if self.outcome == "lost" and (self.energy or self.learnt or self.n):
            raise ValueError(f"trial {self.index} was lost: nothing can be known of it")
        if self.outcome != "lost" and self.action is None:
            raise ValueError(f"trial {self.index} was made without an action")


MarksMethod = Literal["line", "pulse", "clock"]
"""how marks are placed on the trace: by a wire to the meter, by a coded burst of load, by the host's clocks"""


@dataclass(frozen=True, kw_only=True, slots=True, config=STRICT)
class MarksRecord:
    """How the board's clock lies on the trace's."""

    method: MarksMethod
    fit: ClockFit
    note: str
    """what spoils the marks; empty when nothing does"""


@dataclass(frozen=True, kw_only=True, slots=True, config=STRICT)
class BlockRecord:
    """A condition taking effect, or a block's end.

    A block that is resumed has records for each time it was entered; one that broke off has no end.
    """

    block: int
    phase: Literal["begin", "end"]
    environment: str
    condition: ConditionRecord
    clocks: dict[str, ClockFit]
    """clock ("board", "monitor") -> its fit at this record"""
    marks: MarksRecord | None
    """None where there is no monitor"""
    started: str
    """ISO 8601, with its offset from UTC; of the record"""
    start_ns: int


Record = TypeVar("Record", RunHeader, TrialRecord, BlockRecord)


_ADAPTERS: dict[type, TypeAdapter[Any]] = {kind: TypeAdapter(kind) for kind in (RunHeader, TrialRecord, BlockRecord)}
"""made once: one costs as much as reading a record"""


def to_json(record: RunHeader | TrialRecord | BlockRecord) -> str:
    """One line of JSON, without the line's end; floats survive the round trip exactly."""
    return _ADAPTERS[type(record)].dump_json(record).decode()


def from_json(kind: type[Record], text: str | bytes) -> Record:
    """The record in `text`; raises `RecordError` naming each key that is unknown, missing or wrong."""
    try:
        record: Record = _ADAPTERS[kind].validate_json(text)
        return record
    except ValidationError as error:
        raise RecordError(f"not a {kind.__name__}: {_reasons(error)}") from None


_WORDS = {"unexpected_keyword_argument": "unknown key", "missing": "missing key"}


def _reasons(error: ValidationError) -> str:
    faults = [(".".join(str(part) for part in fault["loc"]), fault) for fault in error.errors()]
    return "; ".join(
        f"{where}: {_WORDS.get(fault['type'], fault['msg'])}" if where else fault["msg"] for where, fault in faults
    )
