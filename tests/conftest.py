"""What every test needs before anything is imported."""

import os

# ONNX Runtime reports home from the moment it is imported; no test talks beyond loopback.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
