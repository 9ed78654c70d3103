"""The reference system's stack: FastAPI, a pickled scikit-learn pipeline, OpenTelemetry for logs, metrics and traces.

Written from the description of that system's behaviour. TELEMETRY=off leaves out what it has beside the answer.
"""

import logging
import os
import pickle
import time
from pathlib import Path

import pandas as pd
from fastapi import FastAPI, Request
from opentelemetry import metrics, trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.exporter.prometheus import PrometheusMetricReader
from opentelemetry.instrumentation.fastapi import FastAPIInstrumentor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from prometheus_client import start_http_server
from transaction import FEATURES, Transaction, features, refuse_blocked

TELEMETRY = os.environ.get("TELEMETRY", "on") == "on"
THRESHOLD = 0.5
METRICS_PORT = int(os.environ.get("METRICS_PORT", "8010"))

if TELEMETRY:
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    # Nobody collects: that a batch cannot be sent is no news here.
    logging.getLogger("opentelemetry").setLevel(logging.CRITICAL)
    traces = TracerProvider()
    traces.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    trace.set_tracer_provider(traces)
    metrics.set_meter_provider(MeterProvider([PrometheusMetricReader()]))
    start_http_server(METRICS_PORT)

log = logging.getLogger("fraud_detection")
tracer = trace.get_tracer("fraud_detection")
meter = metrics.get_meter("fraud_detection")
predictions = meter.create_counter("predictions_total")
latency = meter.create_histogram("prediction_latency_seconds")
scores = meter.create_histogram("fraud_prediction_score")

model = pickle.loads(Path(os.environ["MODEL_PATH"]).read_bytes())  # noqa: S301 - the benchmark has just made it

app = FastAPI()
if TELEMETRY:
    FastAPIInstrumentor.instrument_app(app)


@app.post("/predict")
async def predict(transaction: Transaction, request: Request):
    """Scores one transaction."""
    start = time.perf_counter()
    with tracer.start_as_current_span("predict") as span:
        span.set_attribute("customer_id", transaction.CUSTOMER_ID)
        span.set_attribute("terminal_id", transaction.TERMINAL_ID)
        refuse_blocked(transaction)
        row = pd.DataFrame([features(transaction)], columns=FEATURES)
        probability = float(model.predict_proba(row)[0, 1])
        is_fraud = probability >= THRESHOLD
        span.set_attribute("fraud_probability", probability)
    predictions.add(1, {"is_fraud": str(is_fraud).lower()})
    latency.record(time.perf_counter() - start)
    scores.record(probability)
    log.info(
        "prediction request_id=%s customer=%s terminal=%s is_fraud=%s probability=%.4f",
        request.headers.get("x-request-id"),
        transaction.CUSTOMER_ID,
        transaction.TERMINAL_ID,
        is_fraud,
        probability,
    )
    return {"is_fraud": is_fraud, "fraud_probability": probability}
