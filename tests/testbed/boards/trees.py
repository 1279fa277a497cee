"""Trees of /proc, /sys, /etc and /usr as boards of each generation have them, and the programs that come with them."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path

Tree = Callable[[Path], Path]

ORIN_GPU = "306000000 408000000 510000000 612000000 714000000 816000000 918000000 1020000000 1122000000 1224000000"
ORIN_CPU = "729600 1113600 1497600 1728000 2201600"


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def machine(root: Path, model: str, compatible: str, cores: int) -> None:
    if model:
        write(root / "proc/device-tree/model", f"{model}\0")
        write(root / "proc/device-tree/serial-number", "1420000000001\0")
        write(root / "proc/device-tree/compatible", compatible)
    write(root / "proc/stat", "cpu  100 0 50 800 50 0 0 0 0 0\ncpu0 1 2 3\n")
    write(root / "proc/meminfo", "MemTotal:  8000 kB\nMemFree: 1 kB\nMemAvailable:  6000 kB\n")
    cpu = root / "sys/devices/system/cpu"
    write(cpu / "online", f"0-{cores - 1}\n")
    for core in range(cores):
        (cpu / f"cpu{core}").mkdir()
        if core:
            write(cpu / f"cpu{core}/online", "1\n")


def cluster(root: Path, first: int, steps: str, at: str) -> Path:
    policy = root / f"sys/devices/system/cpu/cpufreq/policy{first}"
    write(policy / "scaling_available_frequencies", f"{steps} \n")
    write(policy / "scaling_min_freq", f"{steps.split()[0]}\n")
    write(policy / "scaling_max_freq", f"{steps.split()[-1]}\n")
    write(policy / "scaling_cur_freq", f"{at}\n")
    write(policy / "scaling_governor", "schedutil\n")
    write(policy / "scaling_available_governors", "ondemand userspace performance schedutil \n")
    return policy


def devfreq(folder: Path, steps: str, at: str) -> Path:
    write(folder / "available_frequencies", f"{steps}\n")
    write(folder / "min_freq", f"{steps.split()[0]}\n")
    write(folder / "max_freq", f"{steps.split()[-1]}\n")
    write(folder / "cur_freq", f"{at}\n")
    write(folder / "governor", "nvhost_podgov\n")
    write(folder / "available_governors", "userspace performance nvhost_podgov\n")
    return folder


def zone(root: Path, number: int, kind: str, milli_c: str) -> Path:
    write(root / f"sys/class/thermal/thermal_zone{number}/type", f"{kind}\n")
    return write(root / f"sys/class/thermal/thermal_zone{number}/temp", f"{milli_c}\n")


def alert(root: Path, number: int, kind: str) -> Path:
    write(root / f"sys/class/thermal/cooling_device{number}/type", f"{kind}\n")
    return write(root / f"sys/class/thermal/cooling_device{number}/cur_state", "0\n")


def nano_jp4(root: Path) -> Path:
    machine(root, "NVIDIA Jetson Nano Developer Kit", "nvidia,p3449-0000-b00+p3448-0000-b00\0nvidia,tegra210\0", 4)
    write(root / "etc/nv_tegra_release", "# R32 (release), REVISION: 7.1, GCID: 1, BOARD: t210ref\n")
    cluster(root, 0, "102000 518400 918000 1479000", "518400")
    gpu = root / "sys/devices/57000000.gpu"
    devfreq(gpu / "devfreq/57000000.gpu", "76800000 640000000 921600000", "76800000")
    write(gpu / "load", "0\n")
    zone(root, 0, "AO-therm", "42000")
    zone(root, 1, "CPU-therm", "33500")
    zone(root, 2, "PMIC-Die", "100000")
    modes(root, [("MAXN", 4, {}), ("5W", 2, {})])
    return root


def xavier_jp5(root: Path) -> Path:
    machine(root, "NVIDIA Jetson Xavier NX Developer Kit", "nvidia,p3509-0000+p3668-0000\0nvidia,tegra194\0", 6)
    write(root / "etc/nv_tegra_release", "# R35 (release), REVISION: 4.1\n")
    for first in (0, 2, 4):
        cluster(root, first, "115200 1190400 1420800 1907200", "1190400")
    gpu = root / "sys/devices/17000000.gv11b"
    devfreq(gpu / "devfreq/17000000.gv11b", "114750000 510000000 803250000 1109250000", "114750000")
    write(gpu / "load", "125\n")
    zone(root, 0, "GPU-therm", "45500")
    modes(root, [("MODE_15W_2CORE", 2, {}), ("MODE_15W_6CORE", 6, {}), ("MODE_10W_DESKTOP", 4, {})])
    return root


def orin_jp5(root: Path) -> Path:
    machine(root, "NVIDIA Jetson AGX Orin Developer Kit", "nvidia,p3737-0000+p3701-0000\0nvidia,tegra234\0", 12)
    write(root / "etc/nv_tegra_release", "# R35 (release), REVISION: 6.0\n")
    for first in (0, 4, 8):
        cluster(root, first, ORIN_CPU, "729600")
    gpu = root / "sys/devices/17000000.ga10b"
    devfreq(gpu / "devfreq/17000000.ga10b", ORIN_GPU, "306000000")
    write(gpu / "load", "0\n")
    write(root / "sys/kernel/nvpmodel_emc_cap/emc_iso_cap", "0\n")
    for n, address in enumerate(("15880000", "158c0000")):
        host = root / "sys/devices/platform/13e40000.host1x"
        write(host / f"{address}.nvdla{n}/acm/clk_cap/dla{n}_core", "1600000000\n")
    orin_heat(root)
    orin_modes(root)
    return root


def orin_jp6(root: Path) -> Path:
    machine(root, "NVIDIA Jetson AGX Orin Developer Kit", "nvidia,p3737-0000+p3701-0005\0nvidia,tegra234\0", 12)
    write(root / "etc/nv_tegra_release", "# R36 (release), REVISION: 4.3\n")
    for first in (0, 4, 8):
        cluster(root, first, ORIN_CPU, "729600")
    gpu = root / "sys/devices/platform/17000000.gpu"
    devfreq(gpu / "devfreq_dev", ORIN_GPU, "306000000")
    write(gpu / "load", "437\n")
    write(root / "sys/kernel/nvpmodel_clk_cap/emc", "0\n")
    for n, address in enumerate(("15880000", "158c0000")):
        host = root / "sys/devices/platform/bus@0/13e00000.host1x"
        write(host / f"{address}.nvdla{n}/clk_cap/dla{n}_core", "1600000000\n")
    orin_heat(root)
    orin_modes(root)
    return root


def thor_jp7(root: Path) -> Path:
    machine(root, "NVIDIA Jetson AGX Thor Developer Kit", "nvidia,p4071-0000+p3834-0008\0nvidia,tegra264\0", 14)
    write(root / "etc/nv_tegra_release", "# R38 (release), REVISION: 2.0\n")
    cluster(root, 0, "972000 1998000 2601000", "972000")
    devfreq(root / "sys/class/devfreq/gpu-gpc-0", "315000000 1575000000", "315000000")
    zone(root, 0, "tj-thermal", "51000")
    alert(root, 0, "gpu-throttle-alert")
    modes(root, [("MAXN", 14, {}), ("120W", 14, {}), ("90W", 12, {})])
    return root


def orin_heat(root: Path) -> None:
    zone(root, 0, "cpu-thermal", "47500")
    zone(root, 1, "tj-thermal", "50250")
    alert(root, 0, "pwm-fan").write_text("3\n")
    alert(root, 1, "cpu-throttle-alert")
    alert(root, 2, "gpu-throttle-alert")
    events = root / "sys/class/hwmon/hwmon3"
    write(events / "name", "soctherm_oc\n")
    for number in (1, 2, 3):
        write(events / f"oc{number}_event_cnt", "0\n")


def orin_modes(root: Path) -> None:
    caps = ({}, {"EMC": 2133000000, "DLA0_CORE": 614400000}, {"EMC": 3199000000, "DLA0_CORE": 1369600000})
    names = (("MAXN", 12), ("MODE_15W", 4), ("MODE_30W", 8))
    modes(root, [(*named, cap) for named, cap in zip(names, caps, strict=True)])


def pi4(root: Path) -> Path:
    machine(root, "Raspberry Pi 4 Model B Rev 1.4", "raspberrypi,4-model-b\0brcm,bcm2711\0", 4)
    cluster(root, 0, "600000 1500000", "600000")
    zone(root, 0, "cpu-thermal", "48686")
    vcgencmd(root)
    return root


def pi5(root: Path) -> Path:
    machine(root, "Raspberry Pi 5 Model B Rev 1.0", "raspberrypi,5-model-b\0brcm,bcm2712\0", 4)
    cluster(root, 0, "1500000 1600000 2400000", "1600000")
    zone(root, 0, "cpu-thermal", "51200")
    write(
        root / "proc/net/wireless",
        "Inter-| sta-|   Quality        |   Discarded packets\n face | tus | link level noise |  nwid\n"
        " wlan0: 0000   54.  -56.  -256        0      0      0      0     93        0\n"
        " wlan1: 0000   54.  -71.  -256        0      0      0      0     93        0\n",
    )
    vcgencmd(root)
    return root


def host(root: Path) -> Path:
    """A PC whose driver has no table of steps."""
    machine(root, "", "", 2)
    policy = cluster(root, 0, "800000 3650000", "1234567")
    (policy / "scaling_available_frequencies").unlink()
    write(policy / "cpuinfo_min_freq", "800000\n")
    write(policy / "cpuinfo_max_freq", "3650000\n")
    zone(root, 0, "x86_pkg_temp", "61000")
    write(root / "sys/devices/system/cpu/cpu0/thermal_throttle/core_throttle_count", "7\n")
    return root


def modes(root: Path, named: Sequence[tuple[str, int, dict[str, int]]]) -> None:
    """nvpmodel's configuration, its status, and the program: all modes but the last can be entered without a boot."""
    lines = ["< PARAM TYPE=FILE NAME=CPU_ONLINE >", "CORE_0 /sys/devices/system/cpu/cpu0/online", ""]
    for number, (name, cores, caps) in enumerate(named):
        lines += [f"< POWER_MODEL ID={number} NAME={name} >"]
        total = max(count for _, count, _ in named)
        lines += [f"CPU_ONLINE CORE_{core} {int(core < cores)}" for core in range(total)]
        lines += [f"{clock} MAX_FREQ {caps.get(clock, 0)}" for clock in ("EMC", "DLA0_CORE", "DLA1_CORE")]
        lines += [""]
    lines += ["# mandatory section to configure the default power mode", "< PM_CONFIG DEFAULT=0 >"]
    write(root / "etc/nvpmodel.conf", "\n".join(lines) + "\n")
    write(root / "var/lib/nvpmodel/status", "pmode:0000\n")
    program(root / "usr/sbin/nvpmodel", _NVPMODEL)


def vcgencmd(root: Path) -> None:
    write(root / "run/throttled", "0x0")
    write(root / "run/arm_hz", "1600109952")
    program(root / "usr/bin/vcgencmd", _VCGENCMD)


def program(path: Path, text: str) -> None:
    write(path, f"#!{sys.executable} -IS\n{text}").chmod(0o755)


_NVPMODEL = '''
"""As its users published what it prints and does."""
import re, sys
from pathlib import Path

root = Path(sys.argv[0]).parents[2]
conf = (root / "etc/nvpmodel.conf").read_text()
status = root / "var/lib/nvpmodel/status"
names = dict(re.findall(r"POWER_MODEL ID=(\\d+) NAME=(\\S+) >", conf))
if sys.argv[1] == "-q":
    mode = str(int(status.read_text().partition(":")[2]))
    print(f"NVPM WARN: fan mode is not set!\\nNV Power Mode: {names[mode]}\\n{mode}")
    sys.exit()
wanted = sys.argv[2]
if wanted not in names:
    sys.exit("NVPM ERROR: invalid mode!")
if int(wanted) == len(names) - 1:
    print(f"NVPM WARN: Golden image context is already created\\nNVPM WARN: Reboot required for changing to this power "
          f"mode: {wanted}\\nNVPM WARN: DO YOU WANT TO REBOOT NOW? enter YES/yes to confirm:")
    if sys.stdin.readline().strip().lower() != "yes":
        print("NVPM ERROR: bad input!\\nNVPM ERROR: optMask is 1, no request for power mode")
        sys.exit(1)
    print("NVPM WARN: rebooting")
    (root / "run").mkdir(exist_ok=True)
    (root / "run/booted").touch()
section = conf.partition(f"POWER_MODEL ID={wanted} ")[2].partition("<")[0]
for core, state in re.findall(r"CORE_(\\d+) (\\d)", section):
    switch = root / f"sys/devices/system/cpu/cpu{core}/online"
    if switch.exists():
        switch.write_text(state + "\\n")
on = [core for core, state in re.findall(r"CORE_(\\d+) (\\d)", section) if state == "1"]
(root / "sys/devices/system/cpu/online").write_text(f"0-{len(on) - 1}\\n")
for policy in (root / "sys/devices/system/cpu/cpufreq").glob("policy*"):
    steps = (policy / "scaling_available_frequencies").read_text().split()
    (policy / "scaling_max_freq").write_text(steps[-1 if wanted == "0" else -2] + "\\n")
status.write_text(f"pmode:{int(wanted):04d}\\n")
'''

_VCGENCMD = '''
"""As the Raspberry Pi documentation has it."""
import sys
from pathlib import Path

run = Path(sys.argv[0]).parents[2] / "run"
if sys.argv[1:] == ["get_throttled"]:
    print("throttled=" + (run / "throttled").read_text())
elif sys.argv[1:] == ["measure_clock", "arm"]:
    print("frequency(0)=" + (run / "arm_hz").read_text())
else:
    sys.exit('error=1 error_msg="Command not registered"')
'''
