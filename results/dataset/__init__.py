"""Datasets: runs as tables that others can read, check and compute with, without this program."""

from results.dataset.check import Finding, check
from results.dataset.export import About, export
from results.dataset.folder import DatasetFacts, require_free
from results.dataset.read import read_run

__all__ = ["About", "DatasetFacts", "Finding", "check", "export", "read_run", "require_free"]
