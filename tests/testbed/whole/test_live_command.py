"""`testbed live` as a process: of a bench on which no run goes on, its meter."""

from __future__ import annotations

import json
import signal
from http.client import HTTPConnection

from tests.testbed.whole.conftest import CommandLine


def test_a_bench_without_a_run_shows_its_meter_and_gives_it_back(command_line: CommandLine) -> None:
    process = command_line.start("live", "--bench", "bench.yaml", "--port", "0")
    assert process.stdout is not None
    address = next(line for line in process.stdout if line.startswith("open ")).split("/")[2]
    connection = HTTPConnection(address)
    connection.request("GET", "/events")
    events = (line for line in iter(connection.getresponse().readline, b"") if line.startswith(b"data: "))
    told = json.loads(next(events)[6:])
    assert told["about"]["caution"] == "virtual bench: simulated silicon, real protocol"
    while not told["power"]:
        told = json.loads(next(events)[6:])
    assert max(told["power"]["supply"][1]) > 1.0
    process.send_signal(signal.SIGTERM)
    _, error = process.communicate(timeout=60)
    connection.close()
    assert (process.returncode, error) == (0, "")
    command_line.ends()
