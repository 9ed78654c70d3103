"""/predict/batch, HTTP/2 and the documents, by plain clients."""

from __future__ import annotations

import json

import httpx
import numpy as np
import pytest


def test_a_batch_has_the_scores_of_the_protocol(api, transactions, scores):
    results = api.post("/predict/batch", json=transactions).json()
    np.testing.assert_allclose([result["fraud_probability"] for result in results], scores, atol=1e-6)


def test_a_wrong_transaction_does_not_disturb_the_others(api, transactions):
    results = api.post("/predict/batch", json=[transactions[0], {}, transactions[1]]).json()
    assert (results[1]["index"], results[1]["status"]) == (1, 422)
    assert all("fraud_probability" in results[index] for index in (0, 2))


def test_ndjson_comes_back_as_ndjson(api, transactions):
    body = "".join(json.dumps(transaction) + "\n" for transaction in transactions[:3])
    answer = api.post("/predict/batch", content=body, headers={"content-type": "application/x-ndjson"})
    assert answer.headers["content-type"] == "application/x-ndjson"
    assert len([json.loads(line) for line in answer.text.splitlines()]) == 3


def test_http2_without_tls_answers_as_http1_does(http, api, transactions):
    with httpx.Client(http1=False, http2=True, base_url=f"http://{http}") as http2:
        answer = http2.post("/predict", json=transactions[0])
        assert answer.http_version == "HTTP/2"
        over_http1 = api.post("/predict", json=transactions[0]).json()
        assert answer.json()["fraud_probability"] == over_http1["fraud_probability"]


@pytest.mark.parametrize("path", ["/v2", "/predict/batch", "/openapi.json", "/docs", "/predict"])
def test_the_request_id_comes_back(api, path):
    answer = api.get(path, headers={"x-request-id": "conformance-1"})
    assert answer.headers["x-request-id"] == "conformance-1"


def test_the_page_needs_nothing_from_elsewhere(api):
    page = api.get("/docs")
    assert page.headers["content-type"].startswith("text/html")
    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert "http://" not in page.text and "https://" not in page.text
