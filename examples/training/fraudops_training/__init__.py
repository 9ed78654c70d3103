"""Train a fraud model on simulated or real transactions and publish it as ONNX."""

import os

# ONNX Runtime reports to its maker from the moment that it is imported, unless this says otherwise.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

__version__ = "0.1.0"
