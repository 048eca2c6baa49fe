"""ONNX files as others write them, for 8×8 digits."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper


def keras_like(
    batch: int | str = "n",
    opset: int = 18,
    softmax: bool = True,
    channels: int = 1,
    side: int = 8,
    classes: int = 10,
) -> onnx.ModelProto:
    """Channels last, a transpose in front, matrices as (in, out), a probability at the end."""
    draw = np.random.default_rng(0)

    def tensor(name, *shape):
        fan_in = int(np.prod(shape[:-1] if len(shape) == 2 else shape[1:])) if shape[1:] else 1
        values = draw.normal(size=shape) * (2 / fan_in) ** 0.5 if shape[1:] else np.zeros(shape)
        return numpy_helper.from_array(values.astype(np.float32), name)

    last = "scores" if softmax else "probabilities"
    nodes = [
        helper.make_node("Transpose", ["images:0"], ["nchw"], "to_nchw", perm=[0, 3, 1, 2]),
        helper.make_node(
            "Conv", ["nchw", "conv/kernel:0", "conv/bias:0"], ["c"], "conv", pads=[1, 1, 1, 1]
        ),
        helper.make_node("Relu", ["c"], ["r"], "relu"),
        helper.make_node("MaxPool", ["r"], ["p"], "pool", kernel_shape=[2, 2], strides=[2, 2]),
        helper.make_node(
            "Conv", ["p", "conv2/kernel:0", "conv2/bias:0"], ["c2"], "conv2", pads=[1, 1, 1, 1]
        ),
        helper.make_node("Relu", ["c2"], ["r2"], "relu2"),
        helper.make_node("Flatten", ["r2"], ["f"], "flatten"),
        helper.make_node("MatMul", ["f", "dense/kernel:0"], ["m"], "dense"),
        helper.make_node("Add", ["m", "dense/bias:0"], [last], "dense/add"),
    ]
    if softmax:
        nodes.append(helper.make_node("Softmax", [last], ["probabilities"], "softmax", axis=1))
    graph = helper.make_graph(
        nodes,
        "digits",
        [
            helper.make_tensor_value_info(
                "images:0", TensorProto.FLOAT, (batch, side, side, channels)
            )
        ],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, (batch, classes))],
        [
            tensor("conv/kernel:0", 16, channels, 3, 3),
            tensor("conv/bias:0", 16),
            tensor("conv2/kernel:0", 16, 16, 3, 3),
            tensor("conv2/bias:0", 16),
            tensor("dense/kernel:0", 4 * side * side, classes),
            tensor("dense/bias:0", classes),
        ],
    )
    model = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=10, producer_name="theirs"
    )
    helper.set_model_props(model, {"author": "somebody"})
    return model


def saved(model: onnx.ModelProto, path: Path) -> str:
    path.write_bytes(model.SerializeToString())
    return str(path)
