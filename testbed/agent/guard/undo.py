"""How to put things back: steps as data, each a verb and what it acts on. A step already done is no failure."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from testbed.agent.control.files import limits_in_order, text, write
from testbed.agent.shaping.devices import clsact_request, remove_device
from testbed.agent.shaping.netlink import DELQDISC, Rtnetlink

Step = Mapping[str, Any]
"""plain JSON"""

_NO_SUCH_QUEUE = (errno.ENODEV, errno.EINVAL, errno.ENOENT)
"""no such device; no such queue, by the two names kernels have for that"""
_NO_SUCH_FILE = (errno.ENOENT, errno.ENODEV)
_RUN_S = 30.0
"""bound on a command; nvpmodel takes a few seconds"""


def network_namespace() -> str:
    """Tells this process's network namespace from others: names of interfaces mean something in one only."""
    return str(Path("/proc/self/ns/net").stat().st_ino)


def boot() -> str:
    """Tells this boot from others: what the kernel holds ends with it. Empty where the kernel does not say."""
    return text(Path("/proc/sys/kernel/random/boot_id"))


def delete_device(name: str) -> Step:
    """The step that deletes a virtual network device, with all that is queued in it."""
    return {"do": "delete-device", "name": name, "namespace": network_namespace()}


def delete_filters(interface: str) -> Step:
    """The step that takes an interface's clsact away, with every filter in it."""
    return {"do": "delete-filters", "name": interface, "namespace": network_namespace()}


def write_back(path: Path, value: str) -> Step:
    """The step that writes a value to a file, where something else stands there."""
    return {"do": "write", "path": str(path), "value": value}


def limits_back(low: Path, high: Path, low_value: int, high_value: int) -> Step:
    """The step that writes a lower and an upper limit, in the order that the kernel takes them in."""
    return {"do": "limits", "low": str(low), "high": str(high), "values": [low_value, high_value]}


def run_again(command: Sequence[str], answer: str) -> Step:
    """The step that runs a command with `answer` as its input. It outlives a boot, as what such commands set does."""
    return {"do": "run", "command": list(command), "answer": answer}


def end_group(leader: int) -> Step:
    """The step that kills a process group of this machine, of which `leader` is the first process."""
    return {"do": "end-group", "leader": leader, "begun": _begun(leader)}


def undo(steps: Sequence[Step]) -> list[str]:
    """Carry out every step; returns what went wrong."""
    troubles = []
    for step in steps:
        try:
            _VERBS[step["do"]](step)
        except KeyError as error:
            troubles.append(f"no such step: {dict(step)} ({error})")
        except OSError as error:
            where = f"{error.filename}: " if error.filename else ""
            troubles.append(f"{where}{error.strerror}")
    return troubles


def of_another_boot(steps: Sequence[Step]) -> list[Step]:
    """Those steps that are still to be done after a boot."""
    return [step for step in steps if step.get("do") in _LASTING]


def _delete_device(step: Step) -> None:
    _require_namespace(step)
    with _gone_is_well(_NO_SUCH_QUEUE), Rtnetlink() as kernel:
        remove_device(kernel, step["name"])


def _delete_filters(step: Step) -> None:
    _require_namespace(step)
    with _gone_is_well(_NO_SUCH_QUEUE), Rtnetlink() as kernel:
        interface = kernel.interface(step["name"])
        if interface is not None:
            kernel.ask([clsact_request(DELQDISC, interface)])


def _require_namespace(step: Step) -> None:
    if step["namespace"] != network_namespace():
        raise OSError(errno.EXDEV, f"{step['name']} is in another network namespace, {step['namespace']}")


def _write(step: Step) -> None:
    path = Path(step["path"])
    with _gone_is_well(_NO_SUCH_FILE):
        if text(path) != step["value"]:
            write(path, step["value"])


def _limits(step: Step) -> None:
    with _gone_is_well(_NO_SUCH_FILE):
        for path, value in limits_in_order(Path(step["low"]), Path(step["high"]), *step["values"]):
            write(path, value)


def _run(step: Step) -> None:
    command = step["command"]
    try:
        done = subprocess.run(
            command, input=step["answer"], capture_output=True, text=True, timeout=_RUN_S, check=False
        )
    except subprocess.TimeoutExpired:
        raise OSError(errno.ETIMEDOUT, f"no end after {_RUN_S:g} s", command[0]) from None
    if done.returncode:
        said = (done.stderr or done.stdout).strip().splitlines()
        raise OSError(errno.EIO, said[-1] if said else f"status {done.returncode}", " ".join(command))


def _end_group(step: Step) -> None:
    # Another process may have the number by now; a group has its leader's.
    if step["begun"] and _begun(step["leader"]) == step["begun"]:
        with _gone_is_well((errno.ESRCH,)):
            os.killpg(step["leader"], signal.SIGKILL)


def _begun(process: int) -> str:
    """When a process began, in ticks since the boot (proc(5), field 22 of stat); empty where there is none."""
    fields = text(Path(f"/proc/{process}/stat")).rpartition(")")[2].split()
    return fields[19] if len(fields) > 19 else ""


@contextmanager
def _gone_is_well(codes: Sequence[int]) -> Iterator[None]:
    """Passes over the refusals of what is not there any more."""
    try:
        yield
    except OSError as error:
        if error.errno not in codes:
            raise


_VERBS: Mapping[str, Callable[[Step], None]] = {
    "delete-device": _delete_device,
    "delete-filters": _delete_filters,
    "write": _write,
    "limits": _limits,
    "run": _run,
    "end-group": _end_group,
}
_LASTING = ("run",)
