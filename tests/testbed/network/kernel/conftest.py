"""The tests in this folder meet a real kernel: see `tests/testbed/network/elsewhere.py`."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.testbed.network import elsewhere
from tests.testbed.network.kernel.wires import Wire, wire

_HERE = Path(__file__).parent
_INSIDE = os.environ.get(elsewhere.REPORTS)
_REPORTS: pytest.StashKey[dict[str, list[Any]]] = pytest.StashKey()


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item, nextitem: pytest.Item | None) -> bool | None:
    """A test of this folder is reported as it went elsewhere."""
    if _INSIDE or _HERE not in item.path.parents:
        return None
    reason = elsewhere.why_nowhere()
    if reason is not None:
        item.add_marker(pytest.mark.skip(reason=reason))
        return None
    session = item.session
    if _REPORTS not in session.stash:
        tests = [other.nodeid for other in session.items if _HERE in other.path.parents]
        session.stash[_REPORTS] = elsewhere.run(tests, item.config)
    item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
    for report in session.stash[_REPORTS][item.nodeid]:
        item.ihook.pytest_runtest_logreport(report=report)
    item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
    # What a test before these has set up, and the next one does not share, nobody else would take down.
    session._setupstate.teardown_exact(nextitem)
    return True


if _INSIDE:

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_logreport(report: pytest.TestReport) -> None:
        data = _CONFIG[0].hook.pytest_report_to_serializable(config=_CONFIG[0], report=report)
        with Path(_INSIDE).open("a") as file:
            file.write(json.dumps(data) + "\n")

    _CONFIG: list[pytest.Config] = []

    def pytest_configure(config: pytest.Config) -> None:
        _CONFIG.append(config)

    def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
        """What this machine does besides can only make packets late: a measurement may be tried three times."""
        for item in items:
            item.add_marker(pytest.mark.flaky(reruns=2))


@pytest.fixture(scope="session")
def a_wire() -> Iterator[Wire]:
    """Two network namespaces joined by a wire, this process in the near one."""
    with wire() as made:
        yield made
