"""What every test needs before anything is imported, and how tests are spread over workers."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

# ONNX Runtime reports home from the moment it is imported; no test talks beyond loopback.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

# A loaded machine is no failure: no test has a deadline.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")

KERNEL = "tests/testbed/network/kernel/"
_LONG = {"kernel", "whole"}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Folders of long tests first: at the end they would keep one worker busy and the other idle."""
    items.sort(key=lambda item: _LONG.isdisjoint(Path(item.path).parts))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """A file goes to one worker; those that share a boot of a kernel, all to one."""
    from xdist.scheduler import LoadFileScheduling

    class ByFile(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return KERNEL if nodeid.startswith(KERNEL) else super()._split_scope(nodeid)

    return ByFile(config, log)
