"""Joules: power monitors, their samples on the controller's clock, and energy with its uncertainty."""

from power.bridge_input import BridgeInput
from power.clock import ClockFit, fit_events, fit_round_trips
from power.corrected import Corrected, Correction
from power.energies import cut_many
from power.energy import Energy, cut
from power.errors import (
    BenchError,
    BoardUnreachable,
    BridgeRestarted,
    MonitorGone,
    MonitorSilent,
    OutOfReach,
    OutputTripped,
    PortBusy,
    PortMissing,
    PowerError,
    PulseLost,
    SensorFault,
    TraceIncomplete,
    TransientError,
    Unintelligible,
    WindowTooShort,
    WrongDevice,
)
from power.hwmon import Accuracy, HwmonChip
from power.ina_bridge import InaBridge
from power.ina_i2c import InaI2c
from power.jetson import JetsonRails
from power.mark_line import Edges, find_edges
from power.monitor import Channel, Kind, MonitorSpec, PowerMonitor, Specimen
from power.monsoon_hvpm import MonsoonHvpm
from power.monsoon_input import MonsoonInput
from power.monsoon_lvpm import MonsoonLvpm
from power.on_board import OnBoard
from power.pi_pmic import PiPmic
from power.rail_card import CardRefused, RailCard, fit_card
from power.rapl import Rapl
from power.recorder import Recorder
from power.repetition import Repetition
from power.sampler_process import Place
from power.samples import Samples
from power.script import EnergyMeter, Window
from power.sync_pulse import Pulse, find_pulse, maximal_code
from power.tally import Sum, Tally

__all__ = [
    "Accuracy",
    "BenchError",
    "BoardUnreachable",
    "BridgeInput",
    "BridgeRestarted",
    "CardRefused",
    "Channel",
    "ClockFit",
    "Corrected",
    "Correction",
    "Edges",
    "Energy",
    "EnergyMeter",
    "HwmonChip",
    "InaBridge",
    "InaI2c",
    "JetsonRails",
    "Kind",
    "MonitorGone",
    "MonitorSilent",
    "MonitorSpec",
    "MonsoonHvpm",
    "MonsoonInput",
    "MonsoonLvpm",
    "OnBoard",
    "OutOfReach",
    "OutputTripped",
    "PiPmic",
    "Place",
    "PortBusy",
    "PortMissing",
    "PowerError",
    "PowerMonitor",
    "Pulse",
    "PulseLost",
    "RailCard",
    "Rapl",
    "Recorder",
    "Repetition",
    "Samples",
    "SensorFault",
    "Specimen",
    "Sum",
    "Tally",
    "TraceIncomplete",
    "TransientError",
    "Unintelligible",
    "Window",
    "WindowTooShort",
    "WrongDevice",
    "cut",
    "cut_many",
    "find_edges",
    "find_pulse",
    "fit_card",
    "fit_events",
    "fit_round_trips",
    "maximal_code",
]
