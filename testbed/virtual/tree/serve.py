"""Serves a virtual board's tree through FUSE. Run as `python -m testbed.virtual.tree.serve FOLDER`.

It reads the board's hardware from a line of stdin, mounts FOLDER/root, and prints a line when that can be used. It
ends, and unmounts, when stdin does. The shell that starts it unmounts where it was killed, and
fusermount3 where both were (auto_unmount).
"""

from __future__ import annotations

import errno
import os
import stat
import subprocess
import sys
import threading
from collections import defaultdict
from pathlib import Path

import mfusepy

from testbed.virtual.tree.hardware import Hardware
from testbed.virtual.tree.kernel import File, Kernel
from testbed.virtual.tree.wires import Wires

_PAGE_BYTES = 4096
"""size of every file of sysfs; what is read is as long as it is"""
_STAND_S = 3600
"""for how long the host's kernel may remember names and rights: they never change"""


class Tree(mfusepy.Operations):  # type: ignore[misc]  # it has no types
    """Files by their paths; folders are where files are."""

    use_ns = True

    def __init__(self, files: dict[str, File]) -> None:
        self._files = {f"/{path}": file for path, file in files.items()}
        self._folders: dict[str, set[str]] = defaultdict(set)
        for path in self._files:
            while path != "/":
                folder, _, name = path.rpartition("/")
                path = folder or "/"
                self._folders[path].add(name)

    def init(self, path: str) -> None:
        """The mount is there."""
        sys.stdout.write("ready\n")
        sys.stdout.flush()

    def getattr(self, path: str, fh: int | None = None) -> dict[str, int]:
        """Owned by whoever serves it."""
        owner = {"st_uid": os.getuid(), "st_gid": os.getgid()}
        if path in self._folders:
            return {**owner, "st_mode": stat.S_IFDIR | 0o755, "st_nlink": 2}
        file = self._file(path)
        mode = 0o755 if file.program else 0o644 if file.write else 0o444
        return {**owner, "st_mode": stat.S_IFREG | mode, "st_nlink": 1, "st_size": _PAGE_BYTES}

    def readdir(self, path: str, fh: int) -> list[str]:
        """In no order."""
        return [".", "..", *self._folders[path]]

    def read(self, path: str, size: int, offset: int, fh: int) -> bytes:
        """As the board stands now."""
        return self._file(path).read().encode()[offset : offset + size]

    def write(self, path: str, data: bytes, offset: int, fh: int) -> int:
        """A value in one write."""
        take = self._file(path).write
        if take is None:  # root alone comes this far
            raise OSError(errno.EIO, "nothing takes it")
        take(data.decode("ascii", "replace"))
        return len(data)

    def truncate(self, path: str, length: int, fh: int | None = None) -> None:
        """What a file says does not depend on it."""

    def _file(self, path: str) -> File:
        if path not in self._files:
            raise OSError(errno.ENOENT, "no such file")
        return self._files[path]


def main() -> None:
    """The program."""
    folder = Path(sys.argv[1])
    hardware = Hardware.from_json(sys.stdin.readline())
    root = folder / "root"
    threading.Thread(target=_unmount_at_end, args=(root,), daemon=True).start()
    with Wires(folder / "wires") as wires:
        mfusepy.FUSE(
            Tree(Kernel(hardware, wires).files),
            str(root),
            foreground=True,
            nothreads=True,
            direct_io=True,
            default_permissions=True,
            auto_unmount=True,
            attr_timeout=_STAND_S,
            entry_timeout=_STAND_S,
            negative_timeout=_STAND_S,
        )


def _unmount_at_end(root: Path) -> None:
    """By its name: whoever still has a file open there loses it."""
    sys.stdin.read()
    subprocess.run(["fusermount3", "-q", "-u", "-z", str(root)], check=False)


if __name__ == "__main__":
    main()
