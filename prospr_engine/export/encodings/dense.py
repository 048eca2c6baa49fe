"""The dense encoding: every weight is an initialiser under the parameter's own name."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import onnx
from onnx import numpy_helper

from prospr_engine.errors import ExportError


def encode(model: onnx.ModelProto, masks: Mapping[str, np.ndarray]) -> onnx.ModelProto:
    """The model itself: zeros are stored like any other weight."""
    return model


def decode(model: onnx.ModelProto) -> dict[str, np.ndarray]:
    """All initialisers by name. Raises ``ExportError`` if one holds fewer or more bytes than
    its shape says, or appears twice."""
    weights: dict[str, np.ndarray] = {}
    for tensor in model.graph.initializer:
        if tensor.name in weights:
            raise ExportError(f"The file holds two tensors called {tensor.name!r}.")
        try:
            weights[tensor.name] = numpy_helper.to_array(tensor)
        except (ValueError, TypeError, KeyError, OverflowError):
            raise ExportError(
                f"The tensor {tensor.name!r} does not hold the values its shape promises."
            ) from None
    return weights
