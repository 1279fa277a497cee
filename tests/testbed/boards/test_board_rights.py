"""What the files of packaging/ allow is what the boards need, and `doctor` names what is missing."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from fnmatch import fnmatch
from pathlib import Path

import pytest

from testbed.doctor import _permissions
from tests.testbed.boards import trees
from tests.testbed.boards.conftest import Opener

PACKAGING = Path(__file__).parents[3] / "packaging"
KINDS = {"pi4": "raspberry-pi", "host": "linux"}
NOBODY = 65534


@contextmanager
def as_nobody() -> Iterator[None]:
    """Where root runs the tests, ask for the rights of a user who has none: access(2) goes by the real one."""
    if os.geteuid() != 0:
        yield
        return
    os.setreuid(NOBODY, -1)
    try:
        yield
    finally:
        os.setreuid(0, -1)


@pytest.mark.parametrize(
    "tree",
    [trees.nano_jp4, trees.xavier_jp5, trees.orin_jp5, trees.orin_jp6, trees.thor_jp7, trees.pi4, trees.host],
)
def test_every_knob_is_covered_and_nothing_else(root: Path, opened: Opener, tree: trees.Tree) -> None:
    tree(root)
    board = opened(KINDS.get(tree.__name__, "jetson"))
    for path in root.rglob("*"):
        if path.is_file():
            path.chmod(0o444)
    with as_nobody():
        assert not board.identify().frequencies_hz
        needed = {f"/{Path(what).relative_to(root)}" for what in board.locked() if what != "power mode"}
    globs = re.findall(r"^z (\S+) 0664 root testbed$", (PACKAGING / "testbed-board.conf").read_text(), re.MULTILINE)
    there = [f"/{path.relative_to(root)}" for path in root.rglob("*") if path.is_file()]
    assert needed == {path for path in there if matches(path, globs)}


def matches(path: str, globs: list[str]) -> bool:
    """As glob(7) does, where a star stands for no slash."""
    return any(
        path.count("/") == glob.count("/")
        and all(fnmatch(part, wanted) for part, wanted in zip(path.split("/"), glob.split("/"), strict=True))
        for glob in globs
    )


def test_what_is_missing_is_named_with_the_command_that_grants_it() -> None:
    files, mode = _permissions(["power mode", "/sys/a", "/sys/b"])
    assert files.detail.startswith("/sys/a and 1 more may not be written: ")
    assert "sudo systemd-tmpfiles --create testbed-board.conf" in files.detail
    assert "sudo install -m 0440 testbed-board.sudoers" in mode.detail
    (fine,) = _permissions([])
    assert fine.verdict == "ok"
