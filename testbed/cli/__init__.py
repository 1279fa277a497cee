"""The command line."""

from testbed.cli.app import run_command_line

__all__ = ["run_command_line"]
