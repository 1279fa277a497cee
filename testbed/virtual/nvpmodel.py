"""A virtual Jetson's nvpmodel: enters the power modes of its /etc/nvpmodel.conf by writing the board's files.

It lies in the board's tree as usr/sbin/nvpmodel. It prints what users of the real one published (JetPack 5 and 6).
"""

from __future__ import annotations

import errno
import re
import sys
from pathlib import Path

ROOT = Path(sys.argv[0]).parents[2]
STATUS = ROOT / "var/lib/nvpmodel/status"
SECTION = re.compile(r"<\s*(PARAM TYPE=\w+ NAME=(\S+)|POWER_MODEL ID=(\d+) NAME=(\S+)|PM_CONFIG \S+)\s*>")


def main() -> None:
    """The program: `nvpmodel -q`, `nvpmodel -m ID`."""
    files, modes, names = read((ROOT / "etc/nvpmodel.conf").read_text())
    if sys.argv[1:] == ["-q"]:
        now = int(STATUS.read_text().partition(":")[2])
        print(f"NV Power Mode: {names[now]}\n{now}")  # noqa: T201 - what it is for
    elif len(sys.argv) == 3 and sys.argv[1] == "-m":
        if not sys.argv[2].isdigit() or int(sys.argv[2]) not in modes:
            sys.exit("NVPM ERROR: invalid mode!")
        for (part, what), value in modes[int(sys.argv[2])]:
            put(files[part], what, value)
        STATUS.write_text(f"pmode:{int(sys.argv[2]):04d}\n")
    else:
        sys.exit("usage: nvpmodel -q | -m ID")


Settings = list[tuple[tuple[str, str], int]]


def read(conf: str) -> tuple[dict[str, dict[str, Path]], dict[int, Settings], dict[int, str]]:
    """The files of each parameter, and the settings and the name of each mode."""
    files: dict[str, dict[str, Path]] = {}
    modes: dict[int, Settings] = {}
    names: dict[int, str] = {}
    for line in conf.splitlines():
        words = line.split()
        if match := SECTION.search(line):
            part, mode = match[2], match[3]
            if mode is not None:
                names[int(mode)] = match[4]
                modes[int(mode)] = []
        elif len(words) == 2:
            files.setdefault(part, {})[words[0]] = ROOT / words[1].lstrip("/")
        elif len(words) == 3:
            modes[int(mode)].append(((words[0], words[1]), int(words[2])))
    return files, modes, names


def put(files: dict[str, Path], what: str, value: int) -> None:
    """Write one setting; a limit of none is that of the table, or 0 where there is no table.

    A clock whose cores are all off is busy, and stays as it is.
    """
    try:
        if value <= 0 and "FREQ_TABLE" in files:
            steps = files["FREQ_TABLE"].read_text().split()
            value = int(steps[0 if what == "MIN_FREQ" else -1])
        files[what].write_text(str(max(0, value)))
    except OSError as error:
        if error.errno != errno.EBUSY:
            sys.exit(f"NVPM ERROR: Error writing {value} to {files[what]}: {error.errno}")


if __name__ == "__main__":
    main()
