"""Open Inference Protocol v2 over HTTP, by Triton's own client."""

from __future__ import annotations

import numpy as np
import pytest
import tritonclient.http as triton
from tritonclient.utils import InferenceServerException


@pytest.fixture
def client(http):
    client = triton.InferenceServerClient(http)
    yield client
    client.close()


def tensor(rows: np.ndarray, binary: bool, datatype: str = "FP32") -> triton.InferInput:
    tensor = triton.InferInput("features", list(rows.shape), datatype)
    tensor.set_data_from_numpy(rows, binary_data=binary)
    return tensor


def test_triton_sees_server_and_model(client, model):
    name, version = model
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready(name)
    assert client.is_model_ready(name, version)
    assert not client.is_model_ready("other")
    assert client.get_server_metadata()["extensions"] == ["binary_tensor_data"]
    described = client.get_model_metadata(name, version)
    assert described["inputs"] == [{"name": "features", "datatype": "FP32", "shape": [-1, 15]}]
    assert [output["name"] for output in described["outputs"]] == ["fraud_probability", "decision"]


@pytest.mark.parametrize("binary_in", [False, True])
@pytest.mark.parametrize("binary_out", [False, True])
def test_triton_scores_rows(client, model, rows, scores, binary_in, binary_out):
    outputs = [
        triton.InferRequestedOutput("fraud_probability", binary_data=binary_out),
        triton.InferRequestedOutput("decision", binary_data=binary_out),
    ]
    answer = client.infer(model[0], [tensor(rows, binary_in)], outputs=outputs, request_id="42")
    np.testing.assert_allclose(answer.as_numpy("fraud_probability"), scores, atol=1e-6)
    assert answer.get_response()["id"] == "42"
    decisions = [d.decode() if isinstance(d, bytes) else d for d in answer.as_numpy("decision")]
    assert decisions == ["block" if s >= 0.5 else "review" if s >= 0.1 else "approve" for s in scores]


def test_triton_without_named_outputs_gets_both(client, model, rows, scores):
    answer = client.infer(model[0], [tensor(rows[:1], True)], model_version=model[1])
    np.testing.assert_allclose(answer.as_numpy("fraud_probability"), scores[:1], atol=1e-6)
    assert answer.as_numpy("decision").shape == (1,)


@pytest.mark.parametrize(("datatype", "dtype"), [("FP64", np.float64), ("INT64", np.int64)])
@pytest.mark.parametrize("binary", [False, True])
def test_triton_may_send_other_datatypes(client, model, rows, datatype, dtype, binary):
    whole = np.floor(rows[:4])
    same = client.infer(model[0], [tensor(whole.astype(np.float32), True)])
    other = client.infer(model[0], [tensor(whole.astype(dtype), binary, datatype)])
    np.testing.assert_array_equal(same.as_numpy("fraud_probability"), other.as_numpy("fraud_probability"))


@pytest.mark.parametrize(
    ("rows_sent", "named"),
    [
        (np.zeros((1, 14), np.float32), "inputs[0].shape"),
        (np.zeros((513, 15), np.float32), "inputs[0].shape"),
        (np.full((1, 15), np.nan, np.float32), "row 0, column 0"),
        (np.full((1, 15), np.inf, np.float32), "row 0, column 0"),
    ],
)
def test_triton_is_told_which_field_is_wrong(client, model, rows_sent, named):
    with pytest.raises(InferenceServerException) as error:
        client.infer(model[0], [tensor(rows_sent, True)])
    assert "400" in str(error.value.status())
    assert named in error.value.message()


def test_triton_is_told_of_unknown_models_and_outputs(client, model, rows):
    with pytest.raises(InferenceServerException) as error:
        client.infer("other", [tensor(rows[:1], True)])
    assert "404" in str(error.value.status())
    with pytest.raises(InferenceServerException) as error:
        client.infer(model[0], [tensor(rows[:1], True)], outputs=[triton.InferRequestedOutput("label")])
    assert "outputs[0].name" in error.value.message()
