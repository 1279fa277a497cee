"""Runs as HTML pages that need nothing but a browser: one run in full, or several against each other."""

from results.report.comparison import write_comparison
from results.report.page import render, write_report

__all__ = ["render", "write_comparison", "write_report"]
