"""The sparse encoding of the ONNX standard: the weights that are not zero, and their places.

Few tools read it; ONNX Runtime does, and makes the weights dense when it loads them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from prospr_engine.errors import ExportError
from prospr_engine.export.encodings.dense import decode as stored_tensors

Values = np.ndarray[Any, np.dtype[Any]]


def encode(model: onnx.ModelProto, masks: Mapping[str, Values]) -> onnx.ModelProto:
    """Every float32 tensor of ``model`` in this form where that is smaller."""
    graph = model.graph
    tensors, sparse = [], []
    for tensor in graph.initializer:
        packed = _packed(tensor)
        if packed is not None and packed.ByteSize() < tensor.ByteSize():
            sparse.append(packed)
        else:
            tensors.append(tensor)
    graph.sparse_initializer.extend(sparse)
    kept = [TensorProto.FromString(tensor.SerializeToString()) for tensor in tensors]
    graph.ClearField("initializer")
    graph.initializer.extend(kept)
    return model


def decode(model: onnx.ModelProto) -> dict[str, Values]:
    """The tensors of ``model`` by name. Raises ``ExportError`` if they do not fit their shapes."""
    values = stored_tensors(model)
    for sparse in model.graph.sparse_initializer:
        name, shape = sparse.values.name, tuple(sparse.dims)
        try:
            numbers = numpy_helper.to_array(sparse.values)
            places = numpy_helper.to_array(sparse.indices)
            sizes = [tensor.ByteSize() for tensor in (sparse.values, sparse.indices)]
            if min(shape, default=0) < 1 or math.prod(shape) > 2**31 or name in values:
                raise ValueError(f"its shape is {shape}, or it appears twice")
            if places.shape != numbers.shape or places.dtype != np.int64 or not min(sizes):
                raise ValueError("it has other places than values")
            if (np.diff(places) <= 0).any() or places.min(initial=0) < 0:
                raise ValueError("its places are not in order")
            dense = np.zeros(math.prod(shape), numbers.dtype)
            dense[places] = numbers
        except (ValueError, TypeError, KeyError, IndexError, OverflowError) as error:
            raise ExportError(f"The tensor {name!r} cannot be unpacked: {error}.") from None
        values[name] = dense.reshape(shape)
    return values


def _packed(tensor: TensorProto) -> onnx.SparseTensorProto | None:
    """The tensor in this form; None if it has no such form."""
    if tensor.data_type != TensorProto.FLOAT or not tensor.dims:
        return None
    flat = numpy_helper.to_array(tensor).reshape(-1)
    places = np.flatnonzero((flat != 0) | np.signbit(flat))  # all but +0
    if not len(flat):
        return None
    if not len(places):
        places = np.zeros(1, np.int64)  # runtimes need not know tensors without any value
    values = numpy_helper.from_array(flat[places], tensor.name)
    # As numbers of the message, and not as bytes: small ones take less there.
    indices = helper.make_tensor("", TensorProto.INT64, [len(places)], places.tolist())
    return helper.make_sparse_tensor(values, indices, list(tensor.dims))
