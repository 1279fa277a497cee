"""`python -m testbed`, and the `testbed` command."""

from __future__ import annotations

import sys

from testbed.cli import run_command_line


def main() -> None:
    """Run the command line; its exit status becomes the process's."""
    sys.exit(run_command_line(sys.argv[1:]))


if __name__ == "__main__":
    main()
