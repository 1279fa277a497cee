"""What every test needs before anything is imported."""

import os

from hypothesis import settings

# ONNX Runtime reports home from the moment it is imported; no test talks beyond loopback.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

# A loaded machine is no failure: no test has a deadline.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")
