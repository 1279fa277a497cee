"""`python -m fuzz [TARGET ...]`: each target, or those named, for `--seconds` each; ends with the first that fails."""

from __future__ import annotations

import argparse
import importlib
import subprocess
import sys
import tempfile

TARGETS = ("lvpm_serial", "monsoon_usb", "bridge")
"""modules of this package with a function `one(data)`, which may raise nothing"""
LONGEST = 4096
"""bytes of an input"""


def main(arguments: list[str]) -> int:
    """Run the targets, each in a process of its own: the engine ends its process."""
    options = argparse.ArgumentParser(prog="python -m fuzz")
    options.add_argument("targets", nargs="*", choices=(*TARGETS, []), help=f"of {', '.join(TARGETS)}; all")
    options.add_argument("--seconds", type=int, default=20, help="for each target (20)")
    options.add_argument("--here", action="store_true", help=argparse.SUPPRESS)
    asked = options.parse_args(arguments)
    try:
        import atheris
    except ImportError:
        print("atheris is not installed: make fuzz installs it where it has a wheel (x86-64 Linux)", file=sys.stderr)
        return 2
    for name in asked.targets or TARGETS:
        if asked.here:
            _fuzz(atheris, name, asked.seconds)
        print(f"{name}, {asked.seconds} s", flush=True)
        command = [sys.executable, "-m", "fuzz", name, "--here", f"--seconds={asked.seconds}"]
        if status := subprocess.run(command, check=False).returncode:
            return status
    return 0


def _fuzz(atheris: object, name: str, seconds: int) -> None:
    with atheris.instrument_imports(include=["power", "fuzz"]):  # type: ignore[attr-defined]
        target = importlib.import_module(f"fuzz.{name}")
    with tempfile.TemporaryDirectory() as folder:
        limits = [
            f"-max_total_time={seconds}",
            f"-max_len={LONGEST}",
            "-rss_limit_mb=1024",
            "-timeout=5",
            "-verbosity=0",
        ]
        atheris.Setup([name, *limits, "-print_final_stats=1", folder], target.one)  # type: ignore[attr-defined]
        atheris.Fuzz()  # type: ignore[attr-defined]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
