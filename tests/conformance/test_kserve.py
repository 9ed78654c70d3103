"""Open Inference Protocol v2 by KServe's own clients.

In a process of its own: KServe's and Triton's packages register the same messages.
"""

from __future__ import annotations

import asyncio

import numpy as np
import pytest
from kserve import InferenceGRPCClient, InferenceRESTClient, InferInput, InferRequest, RESTConfig
from kserve.constants.constants import PredictorProtocol


@pytest.mark.parametrize("binary", [False, True])
def test_rows_are_scored_over_http(http, model, rows, scores, binary):
    async def talk():
        client = InferenceRESTClient(RESTConfig(protocol=PredictorProtocol.REST_V2, retries=0))
        base = f"http://{http}"
        assert await client.is_server_live(base)
        assert await client.is_server_ready(base)
        assert await client.is_model_ready(base, model[0])
        features = InferInput("features", list(rows.shape), "FP32")
        features.set_data_from_numpy(rows, binary_data=binary)
        return await client.infer(base, InferRequest(model[0], [features]), model_name=model[0])

    answer = asyncio.run(talk())
    by_name = {output.name: output for output in answer.outputs}
    np.testing.assert_allclose(by_name["fraud_probability"].as_numpy(), scores, atol=1e-6)
    assert len(by_name["decision"].as_numpy()) == len(rows)


def test_rows_are_scored_over_grpc(grpc_address, model, rows, scores):
    async def talk():
        async with InferenceGRPCClient(grpc_address, retries=0) as client:
            assert await client.is_server_live()
            assert await client.is_server_ready()
            assert await client.is_model_ready(model[0])
            features = InferInput("features", list(rows.shape), "FP32")
            features.set_data_from_numpy(rows, binary_data=False)
            return await client.infer(InferRequest(model[0], [features]))

    answer = asyncio.run(talk())
    by_name = {output.name: output for output in answer.outputs}
    np.testing.assert_allclose(by_name["fraud_probability"].as_numpy(), scores, atol=1e-6)
