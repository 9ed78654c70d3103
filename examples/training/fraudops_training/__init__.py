"""Train a fraud model on simulated or real transactions and publish it as ONNX."""

__version__ = "0.1.0"
