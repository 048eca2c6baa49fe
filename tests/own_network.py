"""A network that somebody brings."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import helper, numpy_helper


def network(classes: int = 10) -> bytes:
    """A small convolutional network as ONNX, always the same, with names of its own."""
    random = np.random.default_rng(0)

    def weights(name: str, *shape: int) -> onnx.TensorProto:
        bound = np.sqrt(6 / np.prod(shape[1:])) if shape[1:] else 0.0
        values = random.uniform(-bound, bound, shape).astype(np.float32)
        return numpy_helper.from_array(values, name)

    tensors = [
        weights("stem.filters", 8, 1, 3, 3),
        weights("stem.offsets", 8),
        weights("body.filters", 16, 8, 3, 3),
        weights("body.offsets", 16),
        weights("head.matrix", classes, 16),
        weights("head.offsets", classes),
    ]
    nodes = [
        helper.make_node("Conv", ["photo", "stem.filters", "stem.offsets"], ["a"], pads=[1] * 4),
        helper.make_node("Relu", ["a"], ["b"]),
        helper.make_node("Conv", ["b", "body.filters", "body.offsets"], ["c"], pads=[1] * 4),
        helper.make_node("Relu", ["c"], ["d"]),
        helper.make_node("GlobalAveragePool", ["d"], ["e"]),
        helper.make_node("Flatten", ["e"], ["f"]),
        helper.make_node("Gemm", ["f", "head.matrix", "head.offsets"], ["verdict"], transB=1),
    ]
    shapes = {"photo": ["n", 1, 8, 8], "verdict": ["n", classes]}
    ends = {
        name: helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, shape)
        for name, shape in shapes.items()
    }
    graph = helper.make_graph(nodes, "mine", [ends["photo"]], [ends["verdict"]], tensors)
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    return made.SerializeToString()
