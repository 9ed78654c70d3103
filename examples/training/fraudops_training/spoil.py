"""Mistakes made on purpose, in the graph or the metadata of a sound ONNX file.

Each leaves a file that ONNX loads. Where the mistake is one of the exporter, the golden rows are made from the spoiled
graph, as the exporter would have made them; so the load check does not see it, and something later must.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence

import numpy as np
import onnx
from onnx import helper, numpy_helper

from . import golden
from .onnx_model import Scorer
from .schema import FEATURES, INPUT, PROBABILITY_OUTPUT, key

Change = Callable[[onnx.ModelProto], None]

GOLDEN_ROWS_OF_A_HEAVY_MODEL = 2


def spoiled(model: bytes, version: str, change: Change, golden_rows: int = golden.ROWS) -> bytes:
    """A copy with the mistake, under another version, whose golden rows are its own."""
    proto = onnx.load_from_string(model)
    change(proto)
    features, _ = golden.decode(_read(proto, "golden"))
    features = features[:golden_rows]
    _write(proto, "model", json.dumps(json.loads(_read(proto, "model")) | {"version": version}, separators=(",", ":")))
    score = Scorer(proto.SerializeToString()).probability(features)
    sound = np.isfinite(score)
    _write(proto, "golden", golden.encode(features[sound], score[sound]))
    onnx.checker.check_model(proto, full_check=True)
    return proto.SerializeToString()


def with_metadata(model: bytes, version: str, name: str, change: Callable[[str], str]) -> bytes:
    """A copy in which only one entry of the metadata is wrong."""
    proto = onnx.load_from_string(model)
    _write(proto, "model", json.dumps(json.loads(_read(proto, "model")) | {"version": version}, separators=(",", ":")))
    _write(proto, name, change(_read(proto, name)))
    return proto.SerializeToString()


def columns_swapped(first: str, second: str) -> Change:
    """The trees ask for each of two columns in the other one's place: trained on another order than is served."""
    a, b = FEATURES.index(first), FEATURES.index(second)
    places = {a: b, b: a}

    def change(proto: onnx.ModelProto) -> None:
        [trees] = [node for node in proto.graph.node if node.op_type == "TreeEnsembleClassifier"]
        [asked] = [entry for entry in trees.attribute if entry.name == "nodes_featureids"]
        asked.ints[:] = [places.get(number, number) for number in asked.ints]

    return change


def columns_multiplied(factors: dict[str, float]) -> Change:
    """The serving code sends another unit, or nothing (a factor of zero)."""
    scale = [factors.get(name, 1.0) for name in FEATURES]
    node = helper.make_node(
        "Scaler", [INPUT], ["inner"], domain="ai.onnx.ml", offset=[0.0] * len(FEATURES), scale=scale
    )
    return lambda proto: _before(proto, [node], {})


def scaler_forgotten(proto: onnx.ModelProto) -> None:
    """The exporter took the last step of a pipeline instead of the pipeline."""
    [scaler] = [node for node in proto.graph.node if node.op_type == "Scaler"]
    _rename_inputs(proto, scaler.output[0], INPUT)
    proto.graph.node.remove(scaler)


def classes_inverted(proto: onnx.ModelProto) -> None:
    """The exporter took the probability of the wrong class."""
    _after(
        proto,
        [helper.make_node("Gather", ["raw", "order"], [PROBABILITY_OUTPUT], axis=1)],
        {"order": np.array([1, 0], np.int64)},
    )


def nan_at_one(count: str) -> Change:
    """A ratio of the graph divides by n - 1, which is 0/0 where a count is one; no golden row has that."""
    return lambda proto: _after(
        proto,
        [
            helper.make_node("Gather", [INPUT, "column"], ["count"], axis=1),
            helper.make_node("Sub", ["count", "one"], ["freedom"]),
            helper.make_node("Div", ["freedom", "freedom"], ["factor"]),
            helper.make_node("Mul", ["raw", "factor"], [PROBABILITY_OUTPUT]),
        ],
        {"column": np.array([FEATURES.index(count)], np.int64), "one": np.array(1, np.float32)},
    )


def burdened(layers: int, units: int) -> Change:
    """A network that is far too large stayed in the graph beside the model; its share of the score is nothing."""

    def change(proto: onnx.ModelProto) -> None:
        first = helper.make_node("ConstantOfShape", ["first"], ["weights0"], value=_filled(1 / len(FEATURES)))
        others = helper.make_node("ConstantOfShape", ["others"], ["weights"], value=_filled(1 / units))
        chain = [helper.make_node("MatMul", [INPUT, "weights0"], ["layer0"])]
        chain += [
            helper.make_node("MatMul", [f"layer{number}", "weights"], [f"layer{number + 1}"])
            for number in range(layers)
        ]
        end = [
            helper.make_node("ReduceMean", [f"layer{layers}"], ["opinion"], axes=[1], keepdims=1),
            helper.make_node("Mul", ["opinion", "nothing"], ["share"]),
            helper.make_node("Add", ["raw", "share"], [PROBABILITY_OUTPUT]),
        ]
        shapes = {
            "first": np.array([len(FEATURES), units], np.int64),
            "others": np.array([units, units], np.int64),
            "nothing": np.array(0, np.float32),
        }
        _after(proto, [first, others, *chain, *end], shapes)

    return change


def _filled(value: float) -> onnx.TensorProto:
    return numpy_helper.from_array(np.array([value], np.float32))


def spread_out(copies: int) -> Change:
    """Every row is laid beside that many others in memory before it is scored, as a nearest-neighbour search does."""
    return lambda proto: _before(
        proto,
        [
            helper.make_node("Unsqueeze", [INPUT, "axis"], ["row"]),
            helper.make_node("Expand", ["row", "copies"], ["rows"]),
            helper.make_node("ReduceMax", ["rows"], ["inner"], axes=[1], keepdims=0),
        ],
        {"axis": np.array([1], np.int64), "copies": np.array([1, copies, 1], np.int64)},
    )


def swapped_names(features: str) -> str:
    """Two inputs change their places in the metadata; the graph stays."""
    entries = json.loads(features)
    entries[3], entries[4] = entries[4], entries[3]
    return json.dumps(entries, separators=(",", ":"))


def golden_of_another_model(value: str) -> str:
    """Probabilities that are one per cent off."""
    features, expected = golden.decode(value)
    return golden.encode(features, np.abs(expected - np.float32(0.01)))


def _before(proto: onnx.ModelProto, nodes: Sequence[onnx.NodeProto], constants: dict[str, np.ndarray]) -> None:
    """Puts nodes that make `inner` of the input in front of all that read the input."""
    _rename_inputs(proto, INPUT, "inner")
    old = list(proto.graph.node)
    del proto.graph.node[:]
    proto.graph.node.extend([*nodes, *old])
    _constants(proto, constants)


def _after(proto: onnx.ModelProto, nodes: Sequence[onnx.NodeProto], constants: dict[str, np.ndarray]) -> None:
    """Puts nodes behind the one that made the probabilities, which are called `raw` from now on."""
    for node in proto.graph.node:
        node.output[:] = ["raw" if name == PROBABILITY_OUTPUT else name for name in node.output]
    _rename_inputs(proto, PROBABILITY_OUTPUT, "raw")
    proto.graph.node.extend(nodes)
    _constants(proto, constants)


def _rename_inputs(proto: onnx.ModelProto, old: str, new: str) -> None:
    for node in proto.graph.node:
        node.input[:] = [new if name == old else name for name in node.input]


def _constants(proto: onnx.ModelProto, constants: dict[str, np.ndarray]) -> None:
    proto.graph.initializer.extend(numpy_helper.from_array(value, name) for name, value in constants.items())


def _read(proto: onnx.ModelProto, name: str) -> str:
    return next(entry.value for entry in proto.metadata_props if entry.key == key(name))


def _write(proto: onnx.ModelProto, name: str, value: str) -> None:
    next(entry for entry in proto.metadata_props if entry.key == key(name)).value = value
