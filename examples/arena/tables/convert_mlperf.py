"""Krai's single-stream submissions to MLPerf Inference, with wall power, as a table for the arena.

    python convert_mlperf.py FOLDER > krai-mlperf.csv

FOLDER holds checkouts of mlcommons/inference_results_v1.1, _v2.0 and _v2.1 (Apache 2.0). A trial is one of `TRIALS`
equal parts of the logged latency distribution, linear between the logged percentiles; its energy is its latency times
the mean wall power between the log's power_begin and power_end.
"""

from __future__ import annotations

import csv
import json
import re
import sys
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import NamedTuple

import numpy as np

TRIALS = 20
COLUMNS = ("board", "model", "target", "precision", "frequency_hz", "latency_s", "power_w", "accuracy")
MODELS = {
    "resnet50": ("resnet50", "fp32"),
    "mobilenet-v1-1.0-224-non-quantized": ("mobilenet-v1", "fp32"),
    "mobilenet-v1-1.0-224-quantized": ("mobilenet-v1", "int8"),
    "mobilenet-v2-1.0-224-non-quantized": ("mobilenet-v2", "fp32"),
    "mobilenet-v2-1.0-224-quantized": ("mobilenet-v2", "int8"),
    "mobilenet-v3-large_224_1.0_float": ("mobilenet-v3", "fp32"),
    "mobilenet-v3-large_224_1.0_uint8": ("mobilenet-v3", "int8"),
    "efficientnet-lite0-non-quantized": ("efficientnet-lite0", "fp32"),
    "efficientnet-lite0-quantized": ("efficientnet-lite0", "int8"),
}
"""a submission's model -> the network and its precision"""
XAVIER_MODES = {"0": (8, 2265.6e6), "2": (4, 1200e6), "3": (8, 1200e6), "4": (6, 1450e6), "5": (4, 1780e6)}
"""nvpmodel -> CPU cores on line and their highest frequency: NVIDIA's power mode table of Jetson AGX Xavier"""


class Source(NamedTuple):
    """One submitted system as a target of a board."""

    release: str
    system: str
    board: str
    target: str
    frequency_hz: float | None


def sources() -> Iterator[Source]:
    """Systems whose runs are comparable: one board, one wall meter, one release."""
    for mode, (cores, frequency_hz) in XAVIER_MODES.items():
        system = f"xavier-power.{mode}-fan.cool"
        yield Source("v1.1", f"{system}-tflite-v2.5.0-ruy", "agx-xavier-modes", f"tflite-{cores}core", frequency_hz)
        yield Source("v1.1", f"{system}-armnn-v21.05-neon", "agx-xavier-modes", f"armnn-{cores}core", frequency_hz)
    for board, system in (
        ("agx-xavier", "xavier-power.0-fan.cool"),
        ("odroid-n2-plus", "odroid"),
        ("raspberry-pi-4", "rpi4"),
    ):
        yield Source("v2.0", f"{system}-tflite-v2.7.1-ruy", board, "tflite", None)
        yield Source("v2.0", f"{system}-armnn-v21.11-neon", board, "armnn", None)
    yield Source("v2.0", "odroid-armnn-v21.11-opencl", "odroid-n2-plus", "gpu", None)
    yield Source("v2.1", "orin-tflite-v2.7.1-ruy", "agx-orin", "tflite", None)
    yield Source("v2.1", "orin-armnn-v22.05-neon", "agx-orin", "armnn", None)


def quantiles(summary: str) -> np.ndarray:
    """Latencies in s that part the run's distribution into `TRIALS` equally likely classes, each by its middle."""
    found = {0.0: "Min latency", 1.0: "Max latency"}
    found |= {p / 100: rf"{p:.2f} percentile latency" for p in (50, 90, 95, 97, 99, 99.9)}
    shares = sorted(found)
    known_s = [1e-9 * float(_logged(rf"{found[share]} \(ns\)\s*: (\d+)", summary)) for share in shares]
    return np.interp((np.arange(TRIALS) + 0.5) / TRIALS, shares, known_s)


def mean_power_w(run: Path) -> float:
    """Of the wall meter's samples, one a second, within the run. The meter's clock may differ by a time zone."""
    begin, end = (_moment(run / "mlperf_log_detail.txt", key) for key in ("power_begin", "power_end"))
    rows = [line.split(",") for line in (run / "spl.txt").read_text().splitlines()]
    samples = [(datetime.strptime(row[1], "%m-%d-%Y %H:%M:%S.%f"), float(row[3])) for row in rows]
    hours = timedelta(hours=round((samples[0][0] - begin) / timedelta(hours=1)))
    watts = [watt for moment, watt in samples if begin + hours <= moment <= end + hours]
    if len(watts) < 0.9 * (end - begin).total_seconds():
        raise SystemExit(f"{run}: {len(watts)} samples of power in {end - begin}")
    return float(np.mean(watts))


def rows() -> Iterator[tuple[object, ...]]:
    """One a trial."""
    root = Path(sys.argv[1])
    for source in sources():
        found = root.glob(f"inference_results_{source.release}/*/Krai/results/{source.system}/*/singlestream")
        for folder in sorted(found):
            if folder.parent.name not in MODELS or (source.frequency_hz and folder.parent.name != "resnet50"):
                continue  # the other networks ran in one power mode only
            model, precision = MODELS[folder.parent.name]
            run = folder / "performance" / "run_1"
            power_w = mean_power_w(run)
            accuracy = float(_logged(r"accuracy=([\d.]+)%", (folder / "accuracy/accuracy.txt").read_text())) / 100
            action = source.target, precision, f"{source.frequency_hz:.0f}" if source.frequency_hz else ""
            for latency_s in quantiles((run / "mlperf_log_summary.txt").read_text()):
                yield source.board, model, *action, f"{latency_s:.6g}", f"{power_w:.5g}", f"{accuracy:.5f}"


def _moment(log: Path, key: str) -> datetime:
    lines = [line for line in log.read_text().splitlines() if f'"{key}"' in line]
    return datetime.strptime(json.loads(lines[-1].removeprefix(":::MLLOG "))["value"], "%m-%d-%Y %H:%M:%S.%f")


def _logged(pattern: str, text: str) -> str:
    found = re.search(pattern, text)
    if found is None:
        raise SystemExit(f"no {pattern} in a log")
    return found[1]


if __name__ == "__main__":
    table = csv.writer(sys.stdout, lineterminator="\n")
    table.writerow(COLUMNS)
    table.writerows(rows())
