"""Where a board keeps the programs that control it."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

_FOLDERS = ("usr/sbin", "usr/bin", "opt/vc/bin")
"""sbin is not in the search path of every user; opt/vc/bin is where older Raspberry Pi OS has vcgencmd"""


def find_tool(name: str, root: Path) -> str | None:
    """Its path, under `root` (the machine's is also searched as its user does); None where there is none."""
    folders = [str(root / folder) for folder in _FOLDERS]
    if root == Path("/"):
        folders.insert(0, os.environ.get("PATH", ""))
    return shutil.which(name, path=os.pathsep.join(folders))
