"""From a fitted classifier to an ONNX graph, and from an ONNX file to probabilities."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
from skl2onnx import to_onnx, update_registered_converter
from skl2onnx.common.data_types import FloatTensorType
from skl2onnx.common.shape_calculator import calculate_linear_classifier_output_shapes

from .errors import TrainingError
from .float_splits import with_float_splits
from .model import Classifier, kind_of
from .schema import FEATURES, FRAUD_COLUMN, INPUT, LABEL_OUTPUT, PROBABILITY_OUTPUT

OPSET = {"": 17, "ai.onnx.ml": 3}
IR_VERSION = 8


def convert(model: Classifier) -> onnx.ModelProto:
    """Makes the graph `features: float32[N, 15]` -> `label: int64[N]`, `probabilities: float32[N, 2]`.

    Operators may be older than `OPSET`: the converters of LightGBM and of the MLP lower it.
    """
    kind = kind_of(model)
    _register_converter(kind, type(model))
    if kind == "lightgbm":
        model = with_float_splits(model)
    proto = to_onnx(
        model,
        initial_types=[(INPUT, FloatTensorType([None, len(FEATURES)]))],
        target_opset=OPSET,
        # Without this the probabilities are a sequence of maps, which only Python can read.
        options={id(model): {"zipmap": False}},
    )
    proto.ir_version = IR_VERSION
    # The converter of LightGBM takes them from a set: their order would change from run to run, and the file with it.
    versions = sorted(proto.opset_import, key=lambda entry: entry.domain, reverse=True)
    del proto.opset_import[:]
    proto.opset_import.extend(versions)
    # LightGBM's converter says that there is one label, however many rows: ONNX Runtime would warn at each batch.
    for output in proto.graph.output:
        if output.type.tensor_type.shape.dim[0].dim_value:
            output.type.tensor_type.shape.dim[0].Clear()
    outputs = [output.name for output in proto.graph.output]
    if outputs != [LABEL_OUTPUT, PROBABILITY_OUTPUT]:
        raise TrainingError(f"the converter named the outputs {outputs}, not label and probabilities")
    onnx.checker.check_model(proto, full_check=True)
    return proto


def _register_converter(kind: str, model: type) -> None:
    """Tells skl2onnx how to convert what is not of scikit-learn."""
    if kind == "xgboost":
        from onnxmltools.convert.xgboost.operator_converters.XGBoost import convert_xgboost as converter

        alias = "XGBoostXGBClassifier"
    elif kind == "lightgbm":
        from onnxmltools.convert.lightgbm.operator_converters.LightGbm import convert_lightgbm as converter

        alias = "LightGbmLGBMClassifier"
    else:
        return
    update_registered_converter(
        model,
        alias,
        calculate_linear_classifier_output_shapes,
        converter,
        options={"nocl": [True, False], "zipmap": [True, False, "columns"]},
    )


class Scorer:
    """ONNX Runtime on one model, one thread, asked for the probabilities by name."""

    def __init__(self, source: Path | bytes) -> None:
        """Loads a file, or the bytes of one."""
        name = "model" if isinstance(source, bytes) else str(source)
        options = ort.SessionOptions()
        options.intra_op_num_threads = 1
        options.log_severity_level = 4
        try:
            data = source if isinstance(source, bytes) else source.read_bytes()
            self._session = ort.InferenceSession(data, options, providers=["CPUExecutionProvider"])
        except OSError as error:
            raise TrainingError(f"{name}: {error.strerror}") from error
        except Exception as error:  # ONNX Runtime raises a class of its own for each status
            raise TrainingError(f"{name}: not a model that ONNX Runtime can load: {error}") from error
        self.metadata: dict[str, str] = dict(self._session.get_modelmeta().custom_metadata_map)
        self._check_signature(name)

    def _check_signature(self, name: str) -> None:
        inputs = {i.name: (i.type, i.shape[1:]) for i in self._session.get_inputs()}
        outputs = [o.name for o in self._session.get_outputs()]
        if inputs != {INPUT: ("tensor(float)", [len(FEATURES)])}:
            raise TrainingError(f"{name}: inputs are {inputs}, expected {INPUT} float32 [N, {len(FEATURES)}]")
        if PROBABILITY_OUTPUT not in outputs:
            raise TrainingError(f"{name}: outputs are {outputs}, {PROBABILITY_OUTPUT} is missing")

    def probability(self, features: np.ndarray) -> np.ndarray:
        """Probability of fraud for each row, float32."""
        rows = np.ascontiguousarray(features, dtype=np.float32)
        return self._session.run([PROBABILITY_OUTPUT], {INPUT: rows})[0][:, FRAUD_COLUMN]
