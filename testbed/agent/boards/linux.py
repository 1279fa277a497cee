"""A board that runs Linux: a Raspberry Pi, a Jetson, or the controller's own host.

Frequencies go through cpufreq, telemetry comes from /proc and /sys; what the kernel does not show is absent.
"""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType

from testbed.agent.clock import MonotonicClock
from testbed.agent.contract import CoRun, Identity, Marker, Observed, Setting, Target, Telemetry
from testbed.agent.corunner import CoRunner
from testbed.agent.gpio import GpioMarker
from testbed.agent.pulse import burn
from testbed.agent.targets.onnxruntime_cpu import OnnxRuntimeCpu
from testbed.agent.targets.tensorrt.targets import NONE_LOOKED_FOR, TensorRtTargets
from testbed.agent.wireless import open_generic_netlink, rssi_dbm

NO_RADIO_DBM = -30.0
"""reported by a board without Wi-Fi: a cable is as good as a signal gets"""
_BROKEN_SENSOR_C = 99.9
"""some Tegra PMIC zones always read 100 degrees"""
_SHORTEST_LOOK_S = 0.05
"""below a few ticks of 10 ms a share of CPU time says nothing; the last one stands"""


def open_board(config: Mapping[str, object]) -> LinuxBoard:
    """The board the agent runs on.

    `config`: threads (of the CPU backend), cuda_graph (of TensorRT's targets), marker (GPIO chip and line), root (of
    /proc and /sys, for tests).
    """
    if unknown := set(config) - {"threads", "cuda_graph", "marker", "root"}:
        raise ValueError(f"unknown settings of a linux board: {', '.join(sorted(unknown))}")
    threads = config.get("threads")
    wired = config.get("marker")
    marker = GpioMarker(str(wired["chip"]), int(wired["line"])) if isinstance(wired, Mapping) else None
    root = Path(str(config.get("root", "/")))
    tensorrt = TensorRtTargets.discover(MonotonicClock(), graph=bool(config.get("cuda_graph")))
    return LinuxBoard(int(str(threads)) if threads else os.cpu_count() or 1, root, marker, tensorrt)


class LinuxBoard:
    """Leaving it gives cpufreq limits, co-runners and the marker's line back."""

    def __init__(
        self,
        threads: int,
        root: Path = Path("/"),
        marker: GpioMarker | None = None,
        tensorrt: TensorRtTargets = NONE_LOOKED_FOR,
    ) -> None:
        self.clock = MonotonicClock()
        self._gpio = marker
        self.marker: Marker | None = marker
        self._root = root
        self._tensorrt = tensorrt
        self._targets: dict[str, Target] = {"cpu": OnnxRuntimeCpu(self.clock, threads), **tensorrt.targets}
        self._co_runner = CoRunner()
        self._policies = sorted((root / "sys/devices/system/cpu/cpufreq").glob("policy*"))
        self._limits = {policy: _limits(policy) for policy in self._policies}
        self._busy = _BusyTime(root / "proc")
        # The kernel that netlink reaches is this machine's, whatever tree its files are looked for in.
        self._open_netlink = open_generic_netlink if root == Path("/") else None

    def __enter__(self) -> LinuxBoard:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.restore()
        if self._gpio is not None:
            self._gpio.close()

    def identify(self) -> Identity:
        tree = self._root / "proc/device-tree"
        steps = self._steps_hz()
        return Identity(
            model=_text(tree / "model") or platform.machine(),
            serial=_text(tree / "serial-number") or platform.node(),
            processors={"cpu": ("fp32", "fp16", "int8"), **self._tensorrt.processors},
            frequencies_hz={"cpu": steps} if steps else {},
            forms=self._tensorrt.forms,
            absent=self._tensorrt.absent,
        )

    def target(self, name: str) -> Target:
        if name not in self._targets:
            raise ValueError(f"this board has no target '{name}'; it has: {', '.join(self._targets)}")
        return self._targets[name]

    def set(self, setting: Setting) -> Observed:
        if setting.processor != "cpu":
            raise ValueError(f"the frequency of '{setting.processor}' cannot be set on this board; only that of cpu")
        if setting.frequency_hz is None:
            self._give_frequencies_back()
        else:
            for policy in self._policies:
                _write_limits(policy, round(setting.frequency_hz / 1e3))
        return Observed("cpu", self._frequency_hz())

    def observe(self) -> Telemetry:
        signal_dbm = rssi_dbm(self._root / "proc/net/wireless", self._open_netlink)
        temperatures = [celsius for celsius in self._temperatures_c() if celsius < _BROKEN_SENSOR_C]
        return Telemetry(
            co_cpu=self._busy.others_share(),
            co_memory=_memory_share(self._root / "proc/meminfo"),
            rssi_dbm=NO_RADIO_DBM if signal_dbm is None else signal_dbm,
            peer_rssi_dbm=NO_RADIO_DBM,
            temperature_c=max(temperatures, default=None),
            throttled=None,
        )

    def co_run(self, load: CoRun | None) -> CoRun:
        if load is None:
            self._co_runner.stop()
            return CoRun(0.0, 0.0)
        return self._co_runner.start(load)

    def pulse(self, code: Sequence[int], chip_s: float) -> int:
        return burn(self.clock, code, chip_s)

    def restore(self) -> None:
        self._co_runner.stop()
        self._give_frequencies_back()

    def _give_frequencies_back(self) -> None:
        for policy, limits in self._limits.items():
            if limits is not None and _limits(policy) != limits:
                low_khz, high_khz = limits
                (policy / "scaling_max_freq").write_text(f"{high_khz}\n")
                (policy / "scaling_min_freq").write_text(f"{low_khz}\n")

    def _steps_hz(self) -> tuple[float, ...]:
        """Steps that every cluster has; none where the limits may not be written."""
        common: set[int] | None = None
        for policy in self._policies:
            if not os.access(policy / "scaling_max_freq", os.W_OK):
                return ()
            steps = {int(word) for word in _text(policy / "scaling_available_frequencies").split()}
            common = steps if common is None else common & steps
        return tuple(sorted(khz * 1e3 for khz in common or ()))

    def _frequency_hz(self) -> float | None:
        read = [_text(policy / "scaling_cur_freq") for policy in self._policies]
        return max((int(text) * 1e3 for text in read if text), default=None)

    def _temperatures_c(self) -> list[float]:
        readings = []
        for zone in (self._root / "sys/class/thermal").glob("thermal_zone*"):
            # A zone whose device is power-gated answers EAGAIN; it has no temperature to tell.
            if text := _text(zone / "temp"):
                readings.append(int(text) / 1e3)
        return readings


def _text(path: Path) -> str:
    """The file's text without padding; empty where it cannot be read."""
    try:
        return path.read_text().strip("\0 \n")
    except OSError:
        return ""


def _limits(policy: Path) -> tuple[int, int] | None:
    low, high = _text(policy / "scaling_min_freq"), _text(policy / "scaling_max_freq")
    return (int(low), int(high)) if low and high else None


def _write_limits(policy: Path, khz: int) -> None:
    """Pin the frequency; in an order that never leaves the lower limit above the upper."""
    limits = _limits(policy)
    raising = limits is not None and khz > limits[1]
    for name in ("scaling_max_freq", "scaling_min_freq") if raising else ("scaling_min_freq", "scaling_max_freq"):
        (policy / name).write_text(f"{khz}\n")


def _memory_share(meminfo: Path) -> float:
    values = {line.split(":")[0]: int(line.split()[1]) for line in _text(meminfo).splitlines() if ":" in line}
    total = values.get("MemTotal", 0)
    return 1.0 - values.get("MemAvailable", total) / total if total else 0.0


class _BusyTime:
    """CPU time of everything but this process, between one reading and the next."""

    def __init__(self, proc: Path) -> None:
        self._proc = proc
        self._last = self._read()
        self._share = 0.0

    def _read(self) -> tuple[float, float, float]:
        fields = _text(self._proc / "stat").split("\n", 1)[0].split()[1:]
        ticks = [int(field) for field in fields[:8]]
        idle = sum(ticks[3:5])
        own = os.times()
        per_s = os.sysconf("SC_CLK_TCK")
        return sum(ticks) / per_s, idle / per_s, own.user + own.system

    def others_share(self) -> float:
        now = self._read()
        total_s, idle_s, own_s = (after - before for after, before in zip(now, self._last, strict=True))
        if total_s >= _SHORTEST_LOOK_S:
            self._last = now
            self._share = min(1.0, max(0.0, (total_s - idle_s - own_s) / total_s))
        return self._share
