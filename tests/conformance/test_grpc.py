"""Open Inference Protocol v2 over gRPC, by Triton's own client; health and reflection."""

from __future__ import annotations

import grpc
import numpy as np
import pytest
import tritonclient.grpc as triton
from google.protobuf.descriptor_pool import DescriptorPool
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase
from tritonclient.utils import InferenceServerException


@pytest.fixture
def client(grpc_address):
    client = triton.InferenceServerClient(grpc_address)
    yield client
    client.close()


def tensor(rows: np.ndarray) -> triton.InferInput:
    tensor = triton.InferInput("features", list(rows.shape), "FP32")
    tensor.set_data_from_numpy(rows)
    return tensor


def test_triton_sees_server_and_model(client, model):
    name, version = model
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready(name, version)
    described = client.get_model_metadata(name)
    assert list(described.inputs[0].shape) == [-1, 15]
    assert [output.name for output in described.outputs] == ["fraud_probability", "decision"]


def test_triton_scores_rows(client, model, rows, scores):
    answer = client.infer(model[0], [tensor(rows)], request_id="42")
    np.testing.assert_allclose(answer.as_numpy("fraud_probability"), scores, atol=1e-6)
    assert answer.get_response().id == "42"
    assert {d.decode() for d in answer.as_numpy("decision")} <= {"approve", "review", "block"}


def test_triton_may_ask_for_one_output(client, model, rows):
    answer = client.infer(model[0], [tensor(rows[:2])], outputs=[triton.InferRequestedOutput("decision")])
    assert [output.name for output in answer.get_response().outputs] == ["decision"]


@pytest.mark.parametrize(
    ("rows_sent", "named"),
    [(np.zeros((1, 14), np.float32), "inputs[0].shape"), (np.full((1, 15), np.nan, np.float32), "row 0, column 0")],
)
def test_triton_is_told_which_field_is_wrong(client, model, rows_sent, named):
    with pytest.raises(InferenceServerException) as error:
        client.infer(model[0], [tensor(rows_sent)])
    assert "INVALID_ARGUMENT" in str(error.value.status())
    assert named in error.value.message()


def test_a_client_without_the_proto_file_finds_the_service_by_reflection(grpc_address):
    with grpc.insecure_channel(grpc_address) as channel:
        database = ProtoReflectionDescriptorDatabase(channel)
        assert "inference.GRPCInferenceService" in database.get_services()
        service = DescriptorPool(database).FindServiceByName("inference.GRPCInferenceService")
        assert "ModelInfer" in service.methods_by_name
