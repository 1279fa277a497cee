"""Runs a command on a kernel with netem inside User-Mode Linux, on this machine's own files (Debian: user-mode-linux).

`in_uml(["python", "-m", "pytest", ...], out)`: what the job changes is gone with it, but for what it writes to
/run/out, which is the folder `out`.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

_BOOT = Path(__file__).with_name("uml_boot.sh")
_COMMANDS = ("linux.uml", "unshare", "chrt", "ip", "insmod")
OUT = Path("/run/out")
"""`out`, as the job sees it"""


def undisturbed() -> list[str]:
    """What to put before a command so that what it times does not feel what else this machine does, where one may."""
    first = ["chrt", "--fifo", "1"]
    return first if subprocess.run([*first, "true"], capture_output=True).returncode == 0 else []


class UmlDied(Exception):
    """The job has no exit status."""


def why_not() -> str | None:
    """What is missing for a User-Mode Linux; None where nothing is."""
    if missing := [
        command for command in ("linux.uml", "unshare", "chrt", "ip", "insmod") if shutil.which(command) is None
    ]:
        return f"needs {', '.join(missing)}: apt-get install user-mode-linux util-linux iproute2 kmod"
    return None if os.geteuid() == 0 else "a User-Mode Linux on this machine's own files needs root"


def in_uml(command: Sequence[str], out: Path, *, timeout_s: float, memory: str = "640M") -> int:
    """Run a command, from this working directory, in a fresh boot; returns its exit status.

    What it prints is in `out`/log afterwards. Raises UmlDied where it did not come to its end in time.
    """
    out = out.resolve()
    (out / "status").unlink(missing_ok=True)
    (out / "job.sh").write_text(f"cd {shlex.quote(str(Path.cwd()))}\nexec {shlex.join(command)}\n")
    with subprocess.Popen(
        [
            *undisturbed(),
            *("unshare", "--pid", "--fork", "--kill-child", "linux.uml"),
            *(f"mem={memory}", "rootfstype=hostfs", "rootflags=/", "ro", f"init={_BOOT}", "con=null", "con0=fd:0,fd:1"),
            *("quiet", "noreboot", f"uml_dir={out}/", "umid=uml", f"UOUT={out}", "UJOB=job.sh"),
        ],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    ) as process:
        try:
            said, _ = process.communicate(timeout=timeout_s)
        except subprocess.TimeoutExpired:
            process.kill()
            said, _ = process.communicate()
    status = out / "status"
    if not status.exists():
        log = out / "log"
        last = log.read_text(errors="replace")[-3000:] if log.exists() else said.decode(errors="replace")[-3000:]
        raise UmlDied(f"the job did not end within {timeout_s:g} s; its last words:\n{last}")
    return int(status.read_text())
