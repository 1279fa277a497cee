"""Bench and suite files: strict YAML, checked with line numbers and the nearest right key."""

from testbed.config.bench import (
    Bench,
    Endpoint,
    LinkSettings,
    NetemLinkSettings,
    VirtualLinkSettings,
    bench_schema,
    load_bench,
)
from testbed.config.suite import CoRunner, Environment, ModelFiles, PolicyUse, Suite, ThermalBand, Workload, load_suite

__all__ = [
    "Bench",
    "CoRunner",
    "Endpoint",
    "Environment",
    "LinkSettings",
    "ModelFiles",
    "NetemLinkSettings",
    "PolicyUse",
    "Suite",
    "ThermalBand",
    "VirtualLinkSettings",
    "Workload",
    "bench_schema",
    "load_bench",
    "load_suite",
]
