"""The best that FastAPI does: ONNX Runtime on one thread, called in the event loop; no telemetry."""

import os

import numpy as np
import onnxruntime
from fastapi import FastAPI
from transaction import Transaction, features, refuse_blocked

options = onnxruntime.SessionOptions()
options.intra_op_num_threads = 1
options.inter_op_num_threads = 1
session = onnxruntime.InferenceSession(os.environ["MODEL_PATH"], options, providers=["CPUExecutionProvider"])
app = FastAPI()


@app.post("/predict")
async def predict(transaction: Transaction):
    """Scores one transaction."""
    refuse_blocked(transaction)
    rows = np.array([features(transaction)], dtype=np.float32)
    probability = float(session.run(["probabilities"], {"features": rows})[0][0, 1])
    return {"is_fraud": probability >= 0.5, "fraud_probability": probability}
