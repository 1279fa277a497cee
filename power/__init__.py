"""Joules: power monitors, their samples on the controller's clock, and energy with its uncertainty."""

from power.clock import ClockFit, fit_round_trips
from power.corrected import Corrected, Correction
from power.energy import Energy, cut
from power.errors import (
    BenchError,
    BridgeRestarted,
    MonitorGone,
    MonitorSilent,
    OutputTripped,
    PortBusy,
    PortMissing,
    PowerError,
    SensorFault,
    TraceIncomplete,
    TransientError,
    Unintelligible,
    WindowTooShort,
    WrongDevice,
)
from power.ina_bridge import InaBridge
from power.monitor import Channel, Kind, MonitorSpec, PowerMonitor, Specimen
from power.monsoon_lvpm import MonsoonLvpm
from power.recorder import Recorder
from power.samples import Samples
from power.tally import Sum, Tally

__all__ = [
    "BenchError",
    "BridgeRestarted",
    "Channel",
    "ClockFit",
    "Corrected",
    "Correction",
    "Energy",
    "InaBridge",
    "Kind",
    "MonitorGone",
    "MonitorSilent",
    "MonitorSpec",
    "MonsoonLvpm",
    "OutputTripped",
    "PortBusy",
    "PortMissing",
    "PowerError",
    "PowerMonitor",
    "Recorder",
    "Samples",
    "SensorFault",
    "Specimen",
    "Sum",
    "Tally",
    "TraceIncomplete",
    "TransientError",
    "Unintelligible",
    "WindowTooShort",
    "WrongDevice",
    "cut",
    "fit_round_trips",
]
