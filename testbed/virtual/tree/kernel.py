"""The kernel of a virtual board: its files, what each says when it is read, and what a write to it does."""

from __future__ import annotations

import errno
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

from testbed.virtual.tree import programs
from testbed.virtual.tree.clocks import PERFORMANCE, POWERSAVE, Limited
from testbed.virtual.tree.hardware import Cap, Hardware
from testbed.virtual.tree.wires import Wires

GPU_GATED_AFTER_S = 0.5
"""how long the GPU's sensor goes on answering when its work is done: nvgpu's railgate_delay, unconfirmed"""


@dataclass(frozen=True, slots=True)
class File:
    """Both raise OSError as the kernel would."""

    read: Callable[[], str]
    write: Callable[[str], None] | None = None
    program: bool = False


class Kernel:
    """Of one board; it tells the board over the wires whenever something was written."""

    def __init__(self, hardware: Hardware, wires: Wires) -> None:
        self._hardware, self._wires = hardware, wires
        self._on = [True] * hardware.cores
        governors = ("schedutil", PERFORMANCE, POWERSAVE)
        self._policies = {cores: Limited(hardware.cpu, governors, on_steps=True) for cores in hardware.clusters}
        governors = ("nvhost_podgov", PERFORMANCE, POWERSAVE)
        self._gpu = Limited(hardware.gpu, governors, on_steps=False) if hardware.gpu else None
        self._caps_hz = {cap.name: cap.uncapped_hz for cap in hardware.caps}
        self._mode = 0
        self.files = dict(self._all_files())
        self._tell()

    def _all_files(self) -> Iterator[tuple[str, File]]:
        hardware = self._hardware
        for name, value in hardware.device_tree.items():
            yield f"proc/device-tree/{name}", _constant(f"{value}\0")
        yield from self._cpu_files()
        for cores, policy in self._policies.items():
            yield from self._policy_files(f"sys/devices/system/cpu/cpufreq/policy{cores[0]}", cores, policy)
        if self._gpu is not None:
            yield from self._devfreq_files(hardware.gpu_folder, self._gpu)
        for cap in hardware.caps:
            yield cap.path, File(partial(self._show_cap, cap), partial(self._cap, cap))
        yield from self._heat_files()
        if hardware.modes:
            yield "etc/nvpmodel.conf", _constant(programs.nvpmodel_conf(hardware))
            yield "var/lib/nvpmodel/status", File(lambda: f"pmode:{self._mode:04d}\n", self._enter)
            yield "usr/sbin/nvpmodel", File(programs.nvpmodel, program=True)
        if hardware.firmware:
            yield "run/throttled", File(lambda: f"{'0x4' if self._throttled else '0x0'}\n")
            yield "run/arm_hz", File(lambda: f"{self._current_hz(next(iter(self._policies.values())), 'cpu'):.0f}\n")
            yield "usr/bin/vcgencmd", _constant(programs.VCGENCMD, program=True)

    def _cpu_files(self) -> Iterator[tuple[str, File]]:
        folder = "sys/devices/system/cpu"
        yield f"{folder}/online", File(lambda: f"{','.join(str(core) for core, on in enumerate(self._on) if on)}\n")
        yield f"{folder}/cpu0/topology/core_id", _constant("0\n")
        for core in range(1, len(self._on)):
            yield f"{folder}/cpu{core}/online", File(partial(self._show_core, core), partial(self._switch, core))

    def _policy_files(self, folder: str, cores: tuple[int, ...], policy: Limited) -> Iterator[tuple[str, File]]:
        def show(told: Callable[[], object]) -> Callable[[], str]:
            def read() -> str:
                self._require_active(cores)
                return f"{told()}\n"

            return read

        def store(take: Callable[[str], None]) -> Callable[[str], None]:
            def write(text: str) -> None:
                self._require_active(cores)
                take(text)
                self._tell()

            return write

        steps = " ".join(str(step // 1000) for step in policy.clock.steps_hz)
        yield f"{folder}/scaling_available_frequencies", File(show(lambda: f"{steps} "))
        yield f"{folder}/scaling_available_governors", File(show(lambda: f"{' '.join(policy.governors)} "))
        yield (
            f"{folder}/scaling_governor",
            File(show(lambda: policy.governor), store(lambda text: policy.govern(text.strip()))),
        )
        yield f"{folder}/scaling_cur_freq", File(show(lambda: round(self._current_hz(policy, "cpu") / 1e3)))
        yield (
            f"{folder}/scaling_min_freq",
            File(
                show(lambda: round(policy.limits_hz()[0] / 1e3)),
                store(lambda text: policy.ask(low_hz=_number(text) * 1e3)),
            ),
        )
        yield (
            f"{folder}/scaling_max_freq",
            File(
                show(lambda: round(policy.limits_hz()[1] / 1e3)),
                store(lambda text: policy.ask(high_hz=_number(text) * 1e3)),
            ),
        )

    def _devfreq_files(self, folder: str, device: Limited) -> Iterator[tuple[str, File]]:
        def store(take: Callable[[str], None]) -> Callable[[str], None]:
            def write(text: str) -> None:
                take(text)
                self._tell()

            return write

        yield f"{folder}/available_frequencies", _constant(f"{' '.join(map(str, device.clock.steps_hz))}\n")
        yield f"{folder}/available_governors", _constant(f"{' '.join(device.governors)}\n")
        yield (
            f"{folder}/governor",
            File(lambda: f"{device.governor}\n", store(lambda text: device.govern(text.strip()))),
        )
        yield f"{folder}/cur_freq", File(lambda: f"{self._current_hz(device, 'gpu'):.0f}\n")
        # Requests are kept in kHz: the lower one is rounded down, the upper one up; 0 takes an upper one away.
        yield (
            f"{folder}/min_freq",
            File(
                lambda: f"{device.limits_hz()[0]:.0f}\n",
                store(lambda text: device.ask(low_hz=_number(text) // 1000 * 1000)),
            ),
        )
        yield (
            f"{folder}/max_freq",
            File(
                lambda: f"{device.limits_hz()[1]:.0f}\n",
                store(lambda text: device.ask(high_hz=-(-_number(text) // 1000) * 1000 or float("inf"))),
            ),
        )

    def _heat_files(self) -> Iterator[tuple[str, File]]:
        for number, zone in enumerate(self._hardware.zones):
            folder = f"sys/class/thermal/thermal_zone{number}"
            yield f"{folder}/type", _constant(f"{zone}\n")
            yield f"{folder}/temp", File(self._gpu_temperature if zone == "gpu-thermal" else self._temperature)
        for number, alert in enumerate(self._hardware.alerts):
            folder = f"sys/class/thermal/cooling_device{number}"
            yield f"{folder}/type", _constant(f"{alert}\n")
            yield f"{folder}/cur_state", File(lambda: f"{self._throttled:d}\n")

    @property
    def _throttled(self) -> bool:
        return bool(self._wires["throttled"])

    def _temperature(self) -> str:
        return f"{round(self._wires['temperature_c'] * 2) * 500}\n"

    def _gpu_temperature(self) -> str:
        if time.monotonic() > self._wires["gpu_busy_until_s"] + GPU_GATED_AFTER_S:
            raise OSError(errno.EAGAIN, "the GPU is gated")
        return self._temperature()

    def _current_hz(self, limited: Limited, processor: str) -> float:
        busy = time.monotonic() < self._wires[f"{processor}_busy_until_s"]
        now_hz = limited.working_hz() if busy else limited.idle_hz()
        return min(now_hz, limited.clock.throttled_hz) if self._throttled else now_hz

    def _require_active(self, cores: tuple[int, ...]) -> None:
        if not any(self._on[core] for core in cores):
            raise OSError(errno.EBUSY, "every core of this policy is off")

    def _show_core(self, core: int) -> str:
        return f"{self._on[core]:d}\n"

    def _switch(self, core: int, text: str) -> None:
        if text.strip() not in ("0", "1"):
            raise OSError(errno.EINVAL, "neither 0 nor 1")
        self._on[core] = text.strip() == "1"
        self._tell()

    def _show_cap(self, cap: Cap) -> str:
        return f"{self._caps_hz[cap.name]}\n"

    def _cap(self, cap: Cap, text: str) -> None:
        self._caps_hz[cap.name] = min(_number(text), cap.highest_hz) or cap.uncapped_hz
        self._tell()

    def _enter(self, text: str) -> None:
        self._mode = _number(text.strip().removeprefix("pmode:"))

    def _tell(self) -> None:
        """An inference on the CPU goes at the pace of its slowest cluster."""
        active = (policy for cores, policy in self._policies.items() if any(self._on[core] for core in cores))
        self._wires["cpu_hz"] = min(policy.working_hz() for policy in active)
        self._wires["cores_on"] = sum(self._on)
        if self._gpu is not None:
            self._wires["gpu_hz"] = self._gpu.working_hz()
        for cap in self._hardware.caps:
            self._wires[f"{cap.name}_hz"] = self._caps_hz[cap.name] or cap.highest_hz


def _constant(text: str, *, program: bool = False) -> File:
    return File(lambda: text, program=program)


def _number(text: str) -> int:
    """As `sscanf("%lu")` takes it. Raises OSError."""
    digits = text.strip()
    if not digits.isascii() or not digits.isdigit():
        raise OSError(errno.EINVAL, "no number")
    return int(digits)
