"""Copies a model so that it passes every check and then misbehaves: usage: misbehaving.py errs|slow FROM TO.

errs  gives NaN instead of a probability for every TX_AMOUNT above 5,000, which no golden row has.
slow  gives the same scores as FROM, at least 30 ms later for each call.
"""

import base64
import json
import struct
import sys

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

ABOVE = 5_000.0
WIDTH, ROUNDS = 1024, 200


def constant(graph, name, values):
    graph.initializer.append(numpy_helper.from_array(np.asarray(values), name))
    return name


def amount(graph):
    index = constant(graph, "misbehaving_index", np.array([0], dtype=np.int64))
    graph.node.append(helper.make_node("Gather", [graph.input[0].name, index], ["misbehaving_amount"], axis=1))
    return "misbehaving_amount"


def add_to_scores(graph, column):
    """Adds a column to the scores, under their name."""
    scores = next(output.name for output in graph.output if output.type.tensor_type.elem_type == TensorProto.FLOAT)
    for node in graph.node:
        for place, output in enumerate(node.output):
            if output == scores:
                node.output[place] = "misbehaving_scores"
    graph.node.append(helper.make_node("Add", ["misbehaving_scores", column], [scores]))


def errs(graph):
    huge = constant(graph, "misbehaving_huge", np.array([np.finfo(np.float32).max / ABOVE], dtype=np.float32))
    zero = constant(graph, "misbehaving_zero", np.array([0], dtype=np.float32))
    graph.node.append(helper.make_node("Mul", [amount(graph), huge], ["misbehaving_overflow"]))
    graph.node.append(helper.make_node("Mul", ["misbehaving_overflow", zero], ["misbehaving_poison"]))
    add_to_scores(graph, "misbehaving_poison")


def slow(graph):
    zero = constant(graph, "misbehaving_zero", np.array([0], dtype=np.float32))
    ones = constant(graph, "misbehaving_ones", np.ones((1, WIDTH), dtype=np.float32))
    shape = constant(graph, "misbehaving_shape", np.array([WIDTH, WIDTH], dtype=np.int64))
    share = numpy_helper.from_array(np.array([1 / WIDTH], dtype=np.float32))
    graph.node.append(helper.make_node("ConstantOfShape", [shape], ["misbehaving_mean"], value=share))
    # One row's work for a call, however many rows it has: the scorer's warm-up makes some hundred calls.
    graph.node.append(helper.make_node("Gather", [amount(graph), "misbehaving_index"], ["misbehaving_first"], axis=0))
    graph.node.append(helper.make_node("Mul", ["misbehaving_first", zero], ["misbehaving_none"]))
    graph.node.append(helper.make_node("Add", ["misbehaving_none", ones], ["misbehaving_work_0"]))
    for number in range(ROUNDS):
        work = [f"misbehaving_work_{number}", "misbehaving_mean"]
        graph.node.append(helper.make_node("MatMul", work, [f"misbehaving_work_{number + 1}"]))
    work = [f"misbehaving_work_{ROUNDS}", "misbehaving_index"]
    graph.node.append(helper.make_node("Gather", work, ["misbehaving_one"], axis=1))
    graph.node.append(helper.make_node("Mul", ["misbehaving_one", zero], ["misbehaving_delay"]))
    add_to_scores(graph, "misbehaving_delay")


def highest_golden_amount(model):
    golden = json.loads(next(e for e in model.metadata_props if e.key == "fraudops.dev/golden").value)
    width = golden["features"] + 1
    values = struct.unpack(f"<{golden['rows'] * width}f", base64.b64decode(golden["data"]))
    return max(values[::width])


how, source, target = sys.argv[1:]
model = onnx.load(source)
if highest_golden_amount(model) > ABOVE:
    sys.exit(f"a golden row has more than {ABOVE}: the model would be refused")
{"errs": errs, "slow": slow}[how](model.graph)
onnx.checker.check_model(model)
onnx.save(model, target)
