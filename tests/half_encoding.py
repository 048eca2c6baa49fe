"""A second encoding, as an engineer would add one: this file and the row ``HALF``.

The weights are stored in 16 bits, and a Cast in front of the network makes 32 of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from prospr_engine.export.encodings import (
    ENCODINGS,
    EncodingSpec,
    FileSize,
    StoredTensor,
    Tolerance,
)

SUFFIX = ".half"


def encode(model: onnx.ModelProto, masks: Mapping[str, np.ndarray]) -> onnx.ModelProto:
    nodes, tensors = [], []
    for tensor in model.graph.initializer:
        if tensor.name not in masks:
            tensors.append(tensor)
            continue
        values = numpy_helper.to_array(tensor).astype(np.float16)
        stored = tensor.name + SUFFIX
        tensors.append(numpy_helper.from_array(values, stored))
        nodes.append(helper.make_node("Cast", [stored], [tensor.name], to=TensorProto.FLOAT))
    nodes += model.graph.node
    for field, content in (("initializer", tensors), ("node", nodes)):
        model.graph.ClearField(field)
        getattr(model.graph, field).extend(content)
    return model


def decode(model: onnx.ModelProto) -> dict[str, np.ndarray]:
    return {
        tensor.name.removesuffix(SUFFIX): values.astype(np.float32)
        if tensor.name.endswith(SUFFIX)
        else values
        for tensor in model.graph.initializer
        for values in [numpy_helper.to_array(tensor)]
    }


def size(tensors: Sequence[StoredTensor], rest: FileSize) -> FileSize:
    plain = rest.bytes + sum(2 * round(tensor.values) + 500 for tensor in tensors)
    return FileSize(plain, plain // 2)


HALF = EncodingSpec(
    name="half",
    label="Dense, 16 bit",
    description="Half the size, at a loss of precision.",
    target=encode,
    reader=decode,
    sizer=size,
    tolerance=Tolerance(relative=1e-2, absolute=1e-4),
)


@contextmanager
def registered() -> Iterator[EncodingSpec]:
    """The row is in the table, until the end."""
    before = ENCODINGS._specs
    try:
        yield ENCODINGS.register(HALF)
    finally:
        ENCODINGS._specs = before
