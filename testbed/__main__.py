"""`python -m testbed`, and the `testbed` command."""

from __future__ import annotations

import os
import sys


def main() -> None:
    """Run the command line; its exit status becomes the process's."""
    # ONNX Runtime reports home from the moment it is imported: that is nobody's business, and costs joules.
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    from testbed.cli import run_command_line

    sys.exit(run_command_line(sys.argv[1:]))


if __name__ == "__main__":
    main()
